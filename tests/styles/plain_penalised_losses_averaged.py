import numpy as np


def penalty(model, lam):
    return 0.5 * lam * np.sum([np.sum(model[k] ** 2) for k in model.keys() if k.startswith("W")])


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(model, y_pred, y_train, lam=1e-3):
    m = y_pred.shape[0]
    return -np.log(softmax(y_pred)[range(m), y_train]).sum() / m + penalty(model, lam)


def dcross_entropy(y_pred, y_train):
    m = y_pred.shape[0]
    grad = softmax(y_pred)
    grad[range(m), y_train] -= 1.0
    return grad


def hinge(model, y_pred, y_train, lam=1e-3):
    m = y_pred.shape[0]
    margins = np.maximum(0, y_pred - y_pred[range(m), y_train][:, None] + 1)
    margins[range(m), y_train] = 0
    return margins.sum() / m + penalty(model, lam)


def dhinge(y_pred, y_train):
    m = y_pred.shape[0]
    margins = y_pred - y_pred[range(m), y_train][:, None] + 1
    margins[range(m), y_train] = 0
    grad = (margins > 0).astype(float)
    grad[range(m), y_train] = -grad.sum(axis=1)
    return grad / m
