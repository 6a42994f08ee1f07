import numpy as np

def forward(params, inputs):
    z1 = inputs @ params["w_hidden"] + params["b_hidden"]
    a1 = np.tanh(z1)
    z2 = a1 @ params["w_out"] + params["b_out"]
    return z2, {"inputs": inputs, "a1": a1}

def backward(params, cache, grad_out):
    a1, inputs = cache["a1"], cache["inputs"]
    grads = {}
    grads["w_out"] = a1.T @ grad_out
    grads["b_out"] = grad_out.sum(0)
    da1 = grad_out @ params["w_out"].T
    dz1 = da1
    grads["w_hidden"] = inputs.T @ dz1
    grads["b_hidden"] = dz1.sum(0)
    return grads
