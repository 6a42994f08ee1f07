import numpy as np
from scipy import optimize


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def lrCostFunction(theta, X, y, lambda_):
    """
    Computes the cost of using theta as the parameter for regularized logistic regression and
    the gradient of the cost w.r.t. to the parameters.

    Parameters
    ----------
    theta : array_like
        Logistic regression parameters. A vector with shape (n, ), including the intercept.
    X : array_like
        The data set with shape (m x n).
    y : array_like
        The data labels. A vector with shape (m, ).
    lambda_ : float
        The regularization parameter.

    Returns
    -------
    J : float
    grad : array_like, shape (n, )
    """
    if y.dtype == bool:
        y = y.astype(int)
    m = y.size
    h = sigmoid(X.dot(theta.T))
    temp = theta.copy()
    temp[0] = 0
    J = np.sum(-y * np.log(h) - (1 - y) * np.log(1 - h)) / m + lambda_ / (2 * m) * np.sum(temp**2)
    grad = (h - y).dot(X) / m
    grad = grad + lambda_ / m * theta
    return J, grad


def oneVsAll(X, y, num_labels, lambda_):
    m, n = X.shape
    all_theta = np.zeros((num_labels, n + 1))
    X = np.concatenate([np.ones((m, 1)), X], axis=1)
    for c in range(num_labels):
        res = optimize.minimize(lrCostFunction, np.zeros(n + 1), (X, (y == c), lambda_),
                                jac=True, method="CG", options={"maxiter": 50})
        all_theta[c] = res.x
    return all_theta
