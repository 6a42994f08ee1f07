import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def nn_cost_function(nn_params, input_layer_size, hidden_layer_size, num_labels, X_orig, y, lam):
    cut = hidden_layer_size * (input_layer_size + 1)
    Theta1 = nn_params[:cut].reshape(hidden_layer_size, input_layer_size + 1)
    Theta2 = nn_params[cut:].reshape(num_labels, hidden_layer_size + 1)
    m = X_orig.shape[0]
    X = np.hstack((np.ones((m, 1)), X_orig))
    Y = np.zeros((m, num_labels))
    for i in range(m):
        Y[i, y[i, 0] - 1] = 1

    hidden = sigmoid(X.dot(Theta1.T))
    layer2 = np.hstack((np.ones((m, 1)), hidden))
    h = sigmoid(layer2.dot(Theta2.T))
    J = -np.sum(Y * np.log(h) + (1 - Y) * np.log(1 - h)) / m
    J += lam / (2 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))

    d3 = h - Y
    d2 = d3.dot(Theta2)[:, 1:] * hidden * (1 - hidden)
    delta2 = d3.T.dot(layer2)
    delta1 = d2.T.dot(X) / m
    delta1[:, 1:] += lam / m * Theta1[:, 1:]
    delta2[:, 1:] += lam / m * Theta2[:, 1:]
    grad = np.hstack((delta1.ravel(), delta2.ravel()))
    return J, grad
