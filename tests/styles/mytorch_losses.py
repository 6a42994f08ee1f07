import numpy as np


class MSELoss:

    def forward(self, A, Y):
        """
        Calculate the Mean Squared error
        :param A: Output of the model of shape (N, C)
        :param Y: Ground-truth values of shape (N, C)
        :Return: MSE Loss (scalar)
        """
        self.A = A
        self.Y = Y
        self.N, self.C = A.shape
        se = (self.A - self.Y) * (self.A - self.Y)
        sse = np.ones((1, self.N)) @ se @ np.ones((self.C, 1))
        mse = sse / (self.N * self.C)
        return mse.item()

    def backward(self):
        dLdA = 2 * (self.A - self.Y) / (self.N * self.C)
        return dLdA


class CrossEntropyLoss:

    def forward(self, A, Y):
        """
        :param A: Output of the model of shape (N, C)
        :param Y: Ground-truth values of shape (N, C)
        :Return: CrossEntropyLoss(scalar)
        """
        self.A = A
        self.Y = Y
        N, C = A.shape
        shifted = A - A.max(axis=1, keepdims=True)
        self.softmax = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        crossentropy = -Y * np.log(self.softmax)
        sum_crossentropy = np.ones((1, N)) @ crossentropy @ np.ones((C, 1))
        L = sum_crossentropy.item() / N
        return L

    def backward(self):
        dLdA = (self.softmax - self.Y) / len(self.A)
        return dLdA
