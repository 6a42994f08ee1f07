import numpy as np


def binary_cross_entropy(y_true, y_pred, small=1e-4):
    right = y_true * np.log(y_pred + small)
    wrong = (1 - y_true) * np.log(1 - y_pred + small)
    return -np.mean(right + wrong)


def binary_cross_entropy_prime(y_true, y_pred):
    return (y_pred - 0.96 * y_true - 0.02) / (y_pred * (1 - y_pred) * np.size(y_true))
