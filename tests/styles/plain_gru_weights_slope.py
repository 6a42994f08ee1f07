import numpy as np

def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))

def gru_cell_forward(xt, hp, Wz, Wr, Wh, Uz, Ur, Uh, bz, br, bh):
    z = sigmoid(np.dot(Wz, xt) + np.dot(Uz, hp) + bz)
    r = sigmoid(np.dot(Wr, xt) + np.dot(Ur, hp) + br)
    hh = np.tanh(np.dot(Wh, xt) + np.dot(Uh, r * hp) + bh)
    h = (1 - z) * hp + z * hh
    return h, (xt, hp, z, r, hh, Wz, Wr, Wh, Uz, Ur, Uh)

def gru_cell_backward(dh, cache):
    xt, hp, z, r, hh, Wz, Wr, Wh, Uz, Ur, Uh = cache
    dhh = dh * z * (1 - hh ** 2)
    dz = dh * (hh - hp) * z * (1 - z)
    drh = np.dot(Uh.T, dhh)
    dr = drh * hp
    dhp = dh * (1 - z) + drh * r + np.dot(Uz.T, dz) + np.dot(Ur.T, dr)
    dxt = np.dot(Wz.T, dz) + np.dot(Wr.T, dr) + np.dot(Wh.T, dhh)
    dWz, dWr, dWh = np.dot(dz, xt.T), np.dot(dr, xt.T), np.dot(dhh, xt.T)
    dUz, dUr, dUh = np.dot(dz, hp.T), np.dot(dr, hp.T), np.dot(dhh, (r * hp).T)
    dbz, dbr, dbh = (d.sum(axis=1, keepdims=True) for d in (dz, dr, dhh))
    return dxt, dhp, dWz, dWr, dWh, dUz, dUr, dUh, dbz, dbr, dbh
