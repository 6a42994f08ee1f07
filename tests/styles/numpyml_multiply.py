import numpy as np


class LayerNorm1D:
    def __init__(self, epsilon=1e-5):
        self.epsilon = epsilon
        self.X = []
        self.parameters = {}
        self.gradients = {}
        self.is_initialized = False

    def _init_params(self, n_in):
        scaler = np.random.rand(n_in)
        intercept = np.zeros(n_in)
        self.parameters = {"scaler": scaler, "intercept": intercept}
        self.gradients = {"scaler": np.zeros_like(scaler), "intercept": np.zeros_like(intercept)}
        self.is_initialized = True

    def forward(self, X, retain_derived=True):
        """
        X : ndarray of shape (n_ex, n_in)
        """
        if not self.is_initialized:
            self._init_params(X.shape[1])
        scaler, intercept = self.parameters["scaler"], self.parameters["intercept"]
        if retain_derived:
            self.X.append(X)
        X_mean, X_var = X.mean(axis=1, keepdims=True), X.var(axis=1, keepdims=True)
        lnorm = (X - X_mean) / np.sqrt(X_var + self.epsilon)
        return scaler * lnorm + intercept

    def backward(self, dLdy, retain_grads=True):
        if not isinstance(dLdy, list):
            dLdy = [dLdy]
        dX = []
        for dy, x in zip(dLdy, self.X):
            dx, dScaler, dIntercept = self._bwd(dy, x)
            dX.append(dx)
            if retain_grads:
                self.gradients["scaler"] += dScaler
                self.gradients["intercept"] += dIntercept
        return dX[0] if len(self.X) == 1 else dX

    def _bwd(self, dLdy, X):
        scaler = self.parameters["scaler"]
        n_ex, n_in = X.shape
        mean, var = X.mean(axis=1, keepdims=True), X.var(axis=1, keepdims=True)
        lnorm = (X - mean) / np.sqrt(var + self.epsilon)
        dLnorm = dLdy * scaler
        dIntercept = dLdy.sum(axis=0)
        dScaler = np.sum(dLdy * lnorm, axis=0)
        dX = n_in * dLnorm - dLnorm.sum(axis=1, keepdims=True)
        dX = dX - lnorm * (dLnorm * lnorm).sum(axis=1, keepdims=True)
        dX = dX / (n_in * np.sqrt(var + self.epsilon))
        return dX, dScaler, dIntercept
