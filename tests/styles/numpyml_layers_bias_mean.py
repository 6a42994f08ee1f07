from abc import ABC, abstractmethod

import numpy as np


class LayerBase(ABC):
    def __init__(self, optimizer=None):
        """An abstract base class inherited by all neural network layers"""
        self.X = []
        self.act_fn = None
        self.trainable = True
        self.optimizer = optimizer
        self.gradients = {}
        self.parameters = {}
        self.derived_variables = {}

    @abstractmethod
    def forward(self, z, **kwargs):
        """Perform a forward pass through the layer"""
        raise NotImplementedError

    @abstractmethod
    def backward(self, out, **kwargs):
        """Perform a backward pass through the layer"""
        raise NotImplementedError

    def flush_gradients(self):
        """Erase all the layer's derived variables and gradients."""
        self.X = []
        for k, v in self.gradients.items():
            self.gradients[k] = np.zeros_like(v)


class Tanh:
    def fn(self, z):
        return np.tanh(z)

    def grad(self, x):
        return 1 - np.tanh(x) ** 2


class FullyConnected(LayerBase):
    def __init__(self, n_out, act_fn=None, optimizer=None):
        r"""
        A fully-connected (dense) layer: Y = f(WX + b).

        Parameters
        ----------
        n_out : int
            The dimensionality of the layer output
        """
        super().__init__(optimizer)
        self.n_in = None
        self.n_out = n_out
        self.act_fn = act_fn or Tanh()
        self.is_initialized = False

    def _init_params(self):
        b = np.zeros((1, self.n_out))
        W = np.random.randn(self.n_in, self.n_out) / np.sqrt(self.n_in)
        self.parameters = {"W": W, "b": b}
        self.gradients = {"W": np.zeros_like(W), "b": np.zeros_like(b)}
        self.is_initialized = True

    def forward(self, X, retain_derived=True):
        """
        Parameters
        ----------
        X : ndarray of shape (n_ex, n_in)
            Layer input

        Returns
        -------
        Y : ndarray of shape (n_ex, n_out)
        """
        if not self.is_initialized:
            self.n_in = X.shape[1]
            self._init_params()
        Y, Z = self._fwd(X)
        if retain_derived:
            self.X.append(X)
        return Y

    def _fwd(self, X):
        Z = X @ self.parameters["W"] + self.parameters["b"]
        return self.act_fn.fn(Z), Z

    def backward(self, dLdy, retain_grads=True):
        """
        Parameters
        ----------
        dLdy : ndarray of shape (n_ex, n_out)
            The gradient of the loss wrt. the layer output `Y`
        retain_grads : bool
            Whether to include the intermediate parameter gradients computed during the backward
            pass in the final parameter update.

        Returns
        -------
        dLdX : ndarray of shape (n_ex, n_in)
        """
        if not isinstance(dLdy, list):
            dLdy = [dLdy]
        dX = []
        for dy, x in zip(dLdy, self.X):
            dx, dw, db = self._bwd(dy, x)
            dX.append(dx)
            if retain_grads:
                self.gradients["W"] += dw
                self.gradients["b"] += db
        return dX[0] if len(self.X) == 1 else dX

    def _bwd(self, dLdy, X):
        W, b = self.parameters["W"], self.parameters["b"]
        Z = X @ W + b
        dZ = dLdy * self.act_fn.grad(Z)
        dX = dZ @ W.T
        dW = X.T @ dZ
        dB = dZ.mean(axis=0, keepdims=True)
        return dX, dW, dB
