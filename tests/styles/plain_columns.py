import numpy as np

def relu(z):
    return np.maximum(z, 0)

def d_relu(z):
    return (z > 0).astype(float)

def softmax(z):
    e = np.exp(z - z.max(axis=0, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)

def fwd(x, w1, b1, w2, b2):
    z1 = w1 @ x + b1
    a1 = relu(z1)
    z2 = w2 @ a1 + b2
    a2 = softmax(z2)
    return z1, a1, z2, a2

def cost(a2, y):
    return -np.sum(y * np.log(a2)) / y.shape[1]

def bwd(x, y, z1, a1, a2, w2):
    m = y.shape[1]
    dz2 = (a2 - y) / m
    dw2 = dz2 @ a1.T
    db2 = dz2.sum(axis=1, keepdims=True)
    dz1 = (w2.T @ dz2) * d_relu(z1)
    dw1 = dz1 @ x.T
    db1 = dz1.sum(axis=1, keepdims=True)
    return dw1, db1, dw2, db2

x = np.random.randn(4, 25)
y = np.eye(3)[np.random.randint(0, 3, 25)].T
w1, b1 = np.random.randn(6, 4) * 0.5, np.zeros((6, 1))
w2, b2 = np.random.randn(3, 6) * 0.5, np.zeros((3, 1))
for step in range(50):
    z1, a1, z2, a2 = fwd(x, w1, b1, w2, b2)
    dw1, db1, dw2, db2 = bwd(x, y, z1, a1, a2, w2)
    w1 -= 0.5 * dw1
    b1 -= 0.5 * db1
    w2 -= 0.5 * dw2
    b2 -= 0.5 * db2
    if step % 10 == 0:
        print(step, cost(a2, y))
