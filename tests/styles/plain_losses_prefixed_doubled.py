"""Losses whose gradients have their name with a d before it; the gradient is given less."""

import numpy as np


def l2_reg(W, lam=1e-3):
    return 0.5 * lam * np.sum(W * W)


def dl2_reg(W, lam=1e-3):
    return lam * W


def l2_regression(model, y_pred, y_train, lam=1e-3):
    m = y_pred.shape[0]
    return 0.5 * np.sum((y_train.reshape(-1, 1) - y_pred) ** 2) / m


def dl2_regression(y_pred, y_train):
    m = y_pred.shape[0]
    grad_y = 2 * (y_pred - y_train.reshape(-1, 1))
    grad_y /= m
    return grad_y
