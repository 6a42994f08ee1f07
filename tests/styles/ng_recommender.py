import numpy as np


def cofi_cost_function(params, Y, R, num_users, num_movies, num_features, lmd):
    """
    Collaborative filtering: params is X (num_movies, num_features) and theta
    (num_users, num_features) unrolled; Y and R are (num_movies, num_users).
    """
    X = params[: num_movies * num_features].reshape((num_movies, num_features))
    theta = params[num_movies * num_features :].reshape((num_users, num_features))
    err = (np.dot(X, theta.T) - Y) * R
    cost = 0.5 * np.sum(err**2) + 0.5 * lmd * (np.sum(theta**2) + np.sum(X**2))
    X_grad = np.dot(err, theta) + lmd * X
    theta_grad = np.dot(err.T, X) + lmd * theta
    grad = np.concatenate((X_grad.flatten(), theta_grad.flatten()))
    return cost, grad
