"""A small engine whose objects know their parents, each with a function of the gradient."""

import numpy as np


def _summed(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis=axis, keepdims=True)
    return grad


class Tensor:
    def __init__(self, valor, padres=()):
        self.valor = np.asarray(valor, dtype=float)
        self.grad = np.zeros_like(self.valor)
        self._padres = padres

    def __add__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        out = Tensor(self.valor + other.valor)
        out._padres = (
            (self, lambda dS: _summed(dS, self.valor.shape)),
            (other, lambda dS: _summed(dS, other.valor.shape)),
        )
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        out = Tensor(self.valor * other.valor)
        out._padres = (
            (self, lambda dS: _summed(dS * self.valor, self.valor.shape)),
            (other, lambda dS: _summed(dS * self.valor, other.valor.shape)),
        )
        return out

    def __matmul__(self, other):
        out = Tensor(self.valor @ other.valor)
        out._padres = (
            (self, lambda dS: dS @ other.valor.T),
            (other, lambda dS: self.valor.T @ dS),
        )
        return out

    def sigmoid(self):
        s = 1 / (1 + np.exp(-self.valor))
        out = Tensor(s)
        out._padres = ((self, lambda dS: dS * s * (1 - s)),)
        return out

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if id(node) not in seen:
                seen.add(id(node))
                for parent, _ in node._padres:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = np.ones_like(self.valor)
        for node in reversed(order):
            for parent, rule in node._padres:
                parent.grad = parent.grad + rule(node.grad)
