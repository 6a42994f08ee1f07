import numpy as np


class RNNCell:
    """RNN Cell class."""

    def __init__(self, input_size, hidden_size):
        self.input_size = input_size
        self.hidden_size = hidden_size
        h, d = hidden_size, input_size
        self.W_ih = np.random.randn(h, d)
        self.W_hh = np.random.randn(h, h)
        self.b_ih = np.random.randn(h)
        self.b_hh = np.random.randn(h)
        self.zero_grad()

    def zero_grad(self):
        d, h = self.input_size, self.hidden_size
        self.dW_ih = np.zeros((h, d))
        self.dW_hh = np.zeros((h, h))
        self.db_ih = np.zeros(h)
        self.db_hh = np.zeros(h)

    def __call__(self, x, h_prev_t):
        return self.forward(x, h_prev_t)

    def forward(self, x, h_prev_t):
        """
        RNN Cell forward (single time step).

        Input
        -----
        x: (batch_size, input_size) input at the current time step
        h_prev_t: (batch_size, hidden_size) hidden state at the previous time step

        Returns
        -------
        h_t: (batch_size, hidden_size) hidden state at the current time step
        """
        h_t = np.tanh(x @ self.W_ih.T + self.b_ih + h_prev_t @ self.W_hh.T + self.b_hh)
        return h_t

    def backward(self, delta, h_t, h_prev_l, h_prev_t):
        """
        RNN Cell backward (single time step).

        Input
        -----
        delta: (batch_size, hidden_size) gradient w.r.t the current hidden layer
        h_t: (batch_size, hidden_size) hidden state of the current time step
        h_prev_l: (batch_size, input_size) hidden state at the current time step, previous layer
        h_prev_t: (batch_size, hidden_size) hidden state at previous time step

        Returns
        -------
        dx: (batch_size, input_size)
        dh_prev_t: (batch_size, hidden_size)
        """
        dz = (1 - h_t * h_t) * delta
        self.dW_ih += dz.T @ h_prev_l
        self.dW_hh += dz.T @ h_prev_t
        self.db_ih += dz.sum(axis=0)
        self.db_hh += dz.sum(axis=0)
        dx = dz @ self.W_ih
        dh_prev_t = dz @ self.W_hh
        return dx, dh_prev_t
