import numpy as np
import scipy.io
import scipy.optimize as opt
import matplotlib.pyplot as plt


def linear_reg_cost_function(X, y, theta, lmd):
    """Regularized linear regression; X (m, n) holds the column of ones, y (m,), theta (n,)."""
    m = y.size
    error = X @ theta - y
    cost = error @ error / (2 * m) + lmd / (2 * m) * np.sum(theta[1:] ** 2)
    reg_term = lmd / m * theta
    reg_term[0] = 0
    grad = X.T @ error / m + reg_term
    return cost, grad


def train_linear_reg(X, y, lmd):
    def cost_func(t):
        return linear_reg_cost_function(X, y, t, lmd)[0]

    def grad_func(t):
        return linear_reg_cost_function(X, y, t, lmd)[1]

    return opt.fmin_cg(cost_func, np.zeros(X.shape[1]), grad_func, maxiter=200, disp=False)


if __name__ == "__main__":
    data = scipy.io.loadmat("ex5data1.mat")
    X, y = np.c_[np.ones(12), data["X"]], data["y"].flatten()
    plt.scatter(data["X"], y, c="r", marker="x")
    plt.plot(data["X"], X @ train_linear_reg(X, y, 0))
    plt.show()
