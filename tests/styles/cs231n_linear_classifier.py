import numpy as np


class LinearClassifier(object):
    def __init__(self):
        self.W = None

    def train(self, X, y, learning_rate=1e-3, reg=1e-5, num_iters=100, batch_size=200):
        num_train, dim = X.shape
        num_classes = np.max(y) + 1
        if self.W is None:
            self.W = 0.001 * np.random.randn(dim, num_classes)
        loss_history = []
        for it in range(num_iters):
            batch = np.random.choice(num_train, batch_size)
            loss, grad = self.loss(X[batch], y[batch], reg)
            loss_history.append(loss)
            self.W -= learning_rate * grad
        return loss_history

    def predict(self, X):
        return X.dot(self.W).argmax(axis=1)

    def loss(self, X_batch, y_batch, reg):
        raise NotImplementedError


class LinearSVM(LinearClassifier):
    """A subclass that uses the Multiclass SVM loss function"""

    def loss(self, X_batch, y_batch, reg):
        return svm_loss(self.W, X_batch, y_batch, reg)


def svm_loss(W, X, y, reg):
    n = X.shape[0]
    scores = X @ W
    margins = np.maximum(0, scores - scores[np.arange(n), y].reshape(-1, 1) + 1)
    margins[np.arange(n), y] = 0
    loss = margins.sum() / n + 0.5 * reg * (W**2).sum()
    mask = np.zeros_like(margins)
    mask[margins > 0] = 1
    mask[np.arange(n), y] = -mask.sum(axis=1)
    dW = X.T @ mask / n + reg * W
    return loss, dW


if __name__ == "__main__":
    X = np.random.randn(60, 5)
    y = np.random.randint(0, 3, 60)
    svm = LinearSVM()
    print(svm.train(X, y, batch_size=20)[-1])
