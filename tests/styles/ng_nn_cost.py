import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoidGradient(z):
    return sigmoid(z) * (1 - sigmoid(z))


def nnCostFunction(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, Lambda):
    """
    Cost and gradient of a network with one hidden layer. nn_params is Theta1 and Theta2 unrolled,
    y holds labels 1..num_labels.
    """
    cut = hidden_layer_size * (input_layer_size + 1)
    Theta1 = nn_params[:cut].reshape(hidden_layer_size, input_layer_size + 1)
    Theta2 = nn_params[cut:].reshape(num_labels, hidden_layer_size + 1)
    m = X.shape[0]

    a1 = np.hstack((np.ones((m, 1)), X))
    z2 = a1.dot(Theta1.T)
    a2 = np.hstack((np.ones((m, 1)), sigmoid(z2)))
    h = sigmoid(a2.dot(Theta2.T))
    Y = (y.reshape(-1, 1) == np.arange(1, num_labels + 1)).astype(float)

    J = np.sum(-Y * np.log(h) - (1 - Y) * np.log(1 - h)) / m
    J += Lambda / (2 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))

    d3 = h - Y
    d2 = d3.dot(Theta2[:, 1:]) * sigmoidGradient(z2)
    Theta1_grad = d2.T.dot(a1) / m
    Theta2_grad = d3.T.dot(a2) / m
    Theta1_grad[:, 1:] += Lambda / m * Theta1[:, 1:]
    Theta2_grad[:, 1:] += Lambda / m * Theta2[:, 1:]
    grad = np.concatenate((Theta1_grad.ravel(), Theta2_grad.ravel()))
    return J, grad


if __name__ == "__main__":
    X = np.random.rand(20, 4)
    y = np.random.randint(1, 4, 20)
    params = np.random.rand(5 * 5 + 3 * 6) * 0.24 - 0.12
    print(nnCostFunction(params, 4, 5, 3, X, y, 1.0)[0])
