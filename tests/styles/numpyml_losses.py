import numpy as np


class Affine:
    """The identity scaled by a slope and shifted by an intercept."""

    def __init__(self, slope=1, intercept=0):
        self.slope = slope
        self.intercept = intercept

    def fn(self, z):
        return self.slope * z + self.intercept

    def grad(self, x):
        return self.slope * np.ones_like(x)


class SquaredError:
    """0.5 * ||y_hat - y||^2"""

    def __call__(self, y, y_pred):
        return self.loss(y, y_pred)

    @staticmethod
    def loss(y, y_pred):
        """
        Parameters
        ----------
        y : ndarray of shape (n, m)
            Ground truth values for each of n examples
        y_pred : ndarray of shape (n, m)
            Predictions for the n examples in the batch.
        """
        return 0.5 * np.linalg.norm(y_pred - y) ** 2

    @staticmethod
    def grad(y, y_pred, z, act_fn):
        """
        Gradient of the squared error loss with respect to the pre-nonlinearity input, z.
        """
        return (y_pred - y) * act_fn.grad(z)


class CrossEntropy:
    def __call__(self, y, y_pred):
        return self.loss(y, y_pred)

    @staticmethod
    def loss(y, y_pred):
        eps = np.finfo(float).eps
        cross_entropy = -np.sum(y * np.log(y_pred + eps))
        return cross_entropy

    @staticmethod
    def grad(y, y_pred):
        """
        Let:  f(z) = cross_entropy(softmax(z)).
        Then: df / dz = softmax(z) - y_true
                      = y_pred - y_true
        """
        grad = y_pred - y
        return grad
