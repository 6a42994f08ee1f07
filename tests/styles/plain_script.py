# Train a small network on random data and watch the loss go down.
import numpy as np
import time

np.random.seed(1)
N, D_in, H, D_out = 32, 10, 7, 3


class Net:
    def __init__(self):
        self.w1 = np.random.randn(D_in, H) / np.sqrt(D_in)
        self.w2 = np.random.randn(H, D_out) / np.sqrt(H)

    def forward(self, x):
        self.x = x
        self.h = x.dot(self.w1)
        self.h_relu = np.maximum(self.h, 0)
        return self.h_relu.dot(self.w2)

    def backward(self, grad_y_pred):
        grad_w2 = self.h_relu.T.dot(grad_y_pred)
        grad_h_relu = grad_y_pred.dot(self.w2.T)
        grad_h = grad_h_relu.copy()
        grad_h[self.h < 0] = 0
        grad_w1 = self.x.T.dot(grad_h)
        return grad_w1, grad_w2


x = np.random.randn(N, D_in)
y = np.random.randn(N, D_out)
net = Net()
learning_rate = 1e-3
for t in range(40):
    y_pred = net.forward(x)
    loss = np.square(y_pred - y).sum()
    if t % 10 == 0:
        print(t, loss)
        time.sleep(0.01)
    grad_y_pred = 2.0 * (y_pred - y)
    grad_w1, grad_w2 = net.backward(grad_y_pred)
    net.w1 -= learning_rate * grad_w1
    net.w2 -= learning_rate * grad_w2
