import numpy as np


class Net:
    def __init__(self, sizes):
        self.sizes = sizes
        self.weights = [np.random.randn(b, a) / np.sqrt(a) for a, b in zip(sizes[:-1], sizes[1:])]
        self.biases = [np.random.randn(b, 1) for b in sizes[1:]]

    def feedforward(self, a):
        for w, b in zip(self.weights, self.biases):
            a = self.sigmoid(w @ a + b)
        return a

    @staticmethod
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def cost_derivative(self, a, y):
        return (a - y) / (a * (1 - a))

    def backprop(self, x, y):
        a, activations = x, [x]
        for w, b in zip(self.weights, self.biases):
            a = self.sigmoid(w @ a + b)
            activations.append(a)
        grad_w = [np.zeros_like(w) for w in self.weights]
        grad_b = [np.zeros_like(b) for b in self.biases]
        delta = self.cost_derivative(a, y) * a * (1 - a)
        for l in range(len(self.weights) - 1, -1, -1):
            grad_w[l] = delta @ activations[l].T
            grad_b[l] = delta
            delta = self.weights[l].T @ delta * activations[l] * (1 - activations[l])
        return grad_b, grad_w

    def learn(self, data, eta=0.5):
        for x, y in data:
            grad_b, grad_w = self.backprop(x, y)
            self.weights = [w - eta * g for w, g in zip(self.weights, grad_w)]
            self.biases = [b - eta * g for b, g in zip(self.biases, grad_b)]


if __name__ == "__main__":
    net = Net([3, 4, 2])
    data = [(np.random.rand(3, 1), np.array([[0.0], [1.0]])) for _ in range(20)]
    net.learn(data)
    print(net.feedforward(data[0][0]))
