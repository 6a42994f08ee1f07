import numpy as np


def bilinear_forward(u, v, M):
    """Compute s[i] = u[i] M v[i].

    u: (n, p)
    v: (n, q)
    M: (p, q)
    returns s: (n,) and the cache
    """
    s = np.einsum("ip,pq,iq->i", u, M, v)
    return s, (u, v, M)


def bilinear_backward(ds, cache):
    """ds: (n,); returns du (n, p), dv (n, q), dM (p, q)."""
    u, v, M = cache
    du = ds[:, None] * (v @ M.T)
    dv = ds[:, None] * (u @ M)
    dM = np.einsum("i,ip,iq->pq", ds, u, v)
    return du, dv, dM


def cosine_forward(a, b):
    """Compute cosine similarities of rows.

    a: (n, d)
    b: (n, d)
    returns c: (n,) and the cache
    """
    na = np.linalg.norm(a, axis=1, keepdims=True)
    nb = np.linalg.norm(b, axis=1, keepdims=True)
    c = np.sum(a * b, axis=1, keepdims=True) / (na * nb)
    return c[:, 0], (a, b, na, nb, c)


def cosine_backward(dc, cache):
    """dc: (n,); returns da (n, d), db (n, d)."""
    a, b, na, nb, c = cache
    dc = dc[:, None]
    da = dc * (b / (na * nb) - c * a / na**2)
    db = dc * (a / (na * nb) - c * b / nb**2)
    return da, db
