import numpy as np

def relu(x):
    return np.maximum(0, x)

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def forward_propagation_n(X, Y, parameters):
    A1 = relu(parameters["W1"] @ X + parameters["b1"])
    A2 = relu(parameters["W2"] @ A1 + parameters["b2"])
    A3 = sigmoid(parameters["W3"] @ A2 + parameters["b3"])
    cost = np.mean(-Y * np.log(A3) - (1 - Y) * np.log(1 - A3))
    return cost, (A1, A2, A3, parameters)

def backward_propagation_n(X, Y, cache):
    A1, A2, A3, parameters = cache
    m = X.shape[1]
    dZ3 = A3 - Y
    dZ2 = (parameters["W3"].T @ dZ3) * (A2 > 0)
    dZ1 = (parameters["W2"].T @ dZ2) * (A1 > 0)
    return {"dW3": dZ3 @ A2.T / m, "db3": dZ3.sum(1, keepdims=True) / m,
            "dW2": dZ2 @ A1.T / m, "db2": dZ2.sum(1, keepdims=True) / m,
            "dW1": dZ1 @ X.T / m, "db1": dZ1.sum(1, keepdims=True) / m}

def gradient_check_n(parameters, gradients, X, Y, epsilon=1e-5):
    """Every entry of every parameter in its place, without vectors."""
    top, left, right = 0.0, 0.0, 0.0
    for name, value in parameters.items():
        for index in np.ndindex(value.shape):
            old = value[index]
            value[index] = old + epsilon
            plus = forward_propagation_n(X, Y, parameters)[0]
            value[index] = old - epsilon
            minus = forward_propagation_n(X, Y, parameters)[0]
            value[index] = old
            approx, grad = (plus - minus) / (2 * epsilon), gradients["d" + name][index]
            top += (grad - approx) ** 2
            left += grad ** 2
            right += approx ** 2
    return np.sqrt(top) / (np.sqrt(left) + np.sqrt(right)) < 1e-7
