import numpy as np


def sigmoid(z):
    g = 1.0 / (1.0 + np.exp(-z))
    return g


def sigmoid_gradient(z):
    g = sigmoid(z)
    return g * (1 - g)


def nn_cost_function(nn_params, input_size, hidden_size, num_labels, X, y, lmd):
    theta1 = np.reshape(nn_params[0 : hidden_size * (input_size + 1)], (hidden_size, input_size + 1))
    theta2 = np.reshape(nn_params[hidden_size * (input_size + 1) :], (num_labels, hidden_size + 1))
    m = y.size
    cost = 0
    theta1_grad = np.zeros(theta1.shape)
    theta2_grad = np.zeros(theta2.shape)
    for t in range(m):
        a1 = np.append(1, X[t])
        z2 = theta1.dot(a1)
        a2 = np.append(1, sigmoid(z2))
        z3 = theta2.dot(a2)
        a3 = sigmoid(z3)
        target = np.zeros(num_labels)
        target[y[t]] = 1
        cost -= target.dot(np.log(a3)) + (1 - target).dot(np.log(1 - a3))
        delta3 = a3 - target
        delta2 = theta2.T.dot(delta3)[1:] * sigmoid_gradient(z2)
        theta1_grad += np.outer(delta2, a1)
        theta2_grad += np.outer(delta3, a2)
    cost /= m
    cost += lmd / (2.0 * m) * (np.sum(theta1[:, 1:] ** 2) + np.sum(theta2[:, 1:] ** 2))
    theta1_grad /= 1
    theta2_grad /= m
    theta1_grad[:, 1:] += lmd / m * theta1[:, 1:]
    theta2_grad[:, 1:] += lmd / m * theta2[:, 1:]
    grad = np.concatenate([theta1_grad.flatten(), theta2_grad.flatten()])
    return cost, grad
