import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


def naive_softmax_loss_and_gradient(center_vec, outside_idx, outside_vectors):
    """
    Arguments:
    center_vec -- the embedding of the center word, of shape (d,)
    outside_idx -- integer, index of the outside word
    outside_vectors -- outside vectors of all words in the vocabulary, of shape (V, d)

    Return: loss, grad_center (d,), grad_outside (V, d)
    """
    p = softmax(outside_vectors @ center_vec)
    loss = -np.log(p[outside_idx])
    delta = p.copy()
    delta[outside_idx] -= 1
    grad_center = outside_vectors.T @ delta
    grad_outside = np.outer(delta, center_vec)
    return loss, grad_center, grad_outside


def neg_sampling_loss_and_gradient(center_vec, outside_idx, outside_vectors, negatives=(1, 3, 3)):
    """The same, with negative samples, of which one may come twice."""
    s = 1 / (1 + np.exp(-outside_vectors[outside_idx] @ center_vec))
    loss = -np.log(s)
    grad_center = (s - 1) * outside_vectors[outside_idx]
    grad_outside = np.zeros_like(outside_vectors)
    grad_outside[outside_idx] += (s - 1) * center_vec
    for k in negatives:
        sk = 1 / (1 + np.exp(outside_vectors[k] @ center_vec))
        loss -= np.log(sk)
        grad_center += (1 - sk) * outside_vectors[k]
        grad_outside[k] += (1 - sk) * center_vec
    return loss, grad_center, grad_outside
