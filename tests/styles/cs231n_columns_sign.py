import numpy as np


def L_i(x, y, W):
    """
    unvectorized version. Compute the multiclass svm loss for a single example (x,y)
    - x is a column vector representing an image
    - y is an integer giving index of correct class
    - W is the weight matrix
    """
    delta = 1.0
    scores = W.dot(x)
    correct = scores[y]
    loss_i = 0.0
    for j in range(W.shape[0]):
        if j == y:
            continue
        loss_i += max(0, scores[j] - correct + delta)
    return loss_i


def softmax_loss(W, X, y, reg):
    """
    - W: C x D array of weights
    - X: D x N array of data. Data are D-dimensional columns
    - y: 1-dimensional array of length N with labels 0...K-1, for K classes
    - reg: (float) regularization strength
    Returns:
    a tuple of:
    - loss as single float
    - gradient with respect to weights W, an array of same size as W
    """
    loss = 0.0
    dW = np.zeros_like(W)
    N = X.shape[1]
    for i in range(N):
        x = X[:, i]
        scores = W.dot(x)
        scores -= np.max(scores)
        e = np.exp(scores)
        p = e / e.sum()
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        dW -= np.outer(p, x)
    loss /= N
    dW /= N
    loss += 0.5 * reg * np.sum(W * W)
    dW += reg * W
    return loss, dW
