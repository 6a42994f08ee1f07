import numpy as np

def embedding_forward(indices, table):
    return table[indices], (indices, table.shape)

def embedding_backward(dout, cache):
    indices, shape = cache
    dtable = np.zeros(shape)
    np.add.at(dtable, indices, dout)
    return dtable

def bilinear_forward(left, right, core):
    return np.einsum('ni,ijk,nj->nk', left, core, right), (left, right, core)

def bilinear_backward(dout, cache):
    left, right, core = cache
    dleft = np.einsum('nk,ijk,nj->ni', dout, core, right)
    dright = np.einsum('nk,ijk,ni->nj', dout, core, left)
    dcore = np.einsum('nk,ni,nj->ijk', dout, left, right)
    return dleft, dright, dcore
