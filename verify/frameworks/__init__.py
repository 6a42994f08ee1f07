"""Functions of PyTorch and JAX, as a forward function and its backward pass.

One file knows torch, one knows JAX; nobody else does. torch is imported only where a tensor, a
module or a function of torch comes in.
"""
