import numpy as np

def forward(X, weights, biases):
    activations, a = [X], X
    for k, (w, b) in enumerate(zip(weights, biases)):
        z = a @ w + b
        a = z if k == len(weights) - 1 else np.tanh(z)
        activations.append(a)
    return a, activations

def backward(dout, activations, weights, biases):
    dW, db = [None] * len(weights), [None] * len(weights)
    d = dout
    for k in reversed(range(len(weights))):
        if k < len(weights) - 1:
            d = d * (1 - activations[k + 1])
        dW[k] = activations[k].T @ d
        db[k] = d.sum(axis=0)
        d = d @ weights[k].T
    return dW, db, d
