import numpy as np
from numba import njit, prange


@njit("float64[:,:](float64[:,:])", parallel=True)
def swish_forward(x):
    out = np.empty_like(x)
    for i in prange(x.shape[0]):
        out[i] = x[i] / (1 + np.exp(-x[i]))
    return out


@njit(parallel=True)
def swish_backward(grad_out, x):
    out = np.empty_like(x)
    for i in prange(x.shape[0]):
        s = 1 / (1 + np.exp(-x[i]))
        out[i] = grad_out[i] * (x[i] * s * (1 - s))
    return out
