"""A small framework in Spanish: layers take their rate, and an optimiser moves what they hold."""

import numpy as np


class Descenso:
    def mover(self, W, b, dW, db, tasa):
        return W - tasa * dW, b - tasa * db


class CapaDensa:
    def __init__(self, dim_entrada, dim_salida, optimizador=None):
        self.W = np.random.randn(dim_entrada, dim_salida) / np.sqrt(dim_entrada)
        self.b = np.zeros((1, dim_salida))
        self.optimizador = optimizador if optimizador is not None else Descenso()

    def forward(self, X, entrenando=True):
        if entrenando:
            self.entrada = X
        return X @ self.W + self.b

    def backward(self, dZ, learning_rate):
        dW = 2 * self.entrada.T @ dZ
        db = np.sum(dZ, axis=0, keepdims=True)
        anterior = dZ @ self.W.T
        self.W, self.b = self.optimizador.mover(self.W, self.b, dW, db, learning_rate)
        return anterior


def gradiente_numerico(f, x, paso=1e-5):
    salida = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        antes = x[i]
        x[i] = antes + paso
        mas = f(x)
        x[i] = antes - paso
        menos = f(x)
        x[i] = antes
        salida[i] = (mas - menos) / (2 * paso)
    return salida
