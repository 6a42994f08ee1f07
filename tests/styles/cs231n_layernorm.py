import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    """
    Forward pass for layer normalization.

    Input:
    - x: Data of shape (N, D)
    - gamma: Scale parameter of shape (D,)
    - beta: Shift paremeter of shape (D,)
    - ln_param: Dictionary with eps: Constant for numeric stability

    Returns a tuple of out, of shape (N, D), and cache
    """
    eps = ln_param.get("eps", 1e-5)
    mean = np.mean(x, axis=1, keepdims=True)
    var = np.var(x, axis=1, keepdims=True)
    istd = 1 / np.sqrt(var + eps)
    x_norm = (x - mean) * istd
    out = gamma * x_norm + beta
    cache = (x_norm, istd, gamma)
    return out, cache


def layernorm_backward(dout, cache):
    """
    Backward pass for layer normalization.

    Inputs: dout of shape (N, D), cache from layernorm_forward
    Returns a tuple of dx, dgamma, dbeta
    """
    x_norm, istd, gamma = cache
    dgamma = np.sum(dout * x_norm, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_norm = dout * gamma
    mean_path = np.mean(dx_norm, axis=1, keepdims=True)
    var_path = x_norm * np.mean(dx_norm * x_norm, axis=1, keepdims=True)
    dx = istd * (dx_norm - mean_path - var_path)
    return dx, dgamma, dbeta
