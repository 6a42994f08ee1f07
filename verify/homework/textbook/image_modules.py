"""What CS231n's compiled `im2col_cython` computes, for files that come without it.

An image's windows become columns and back. `cols` has a row for each entry of a window (channel,
row, column) and a column for each window (row, column, example).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray


def im2col(x: Array, height: int, width: int, padding: int, stride: int) -> Array:
    """Return the windows of images x (N, C, H, W) as columns."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, (height, width), (2, 3))[:, :, ::stride, ::stride]
    return windows.transpose(1, 4, 5, 2, 3, 0).reshape(x.shape[1] * height * width, -1)


def col2im(
    cols: Array, N: int, C: int, H: int, W: int, height: int, width: int, padding: int, stride: int
) -> Array:
    """Return the images (N, C, H, W) in which windows, given as columns, are added up."""
    rows, columns = ((n + 2 * padding - k) // stride + 1 for n, k in ((H, height), (W, width)))
    windows = cols.reshape(C, height, width, rows, columns, N).transpose(0, 1, 2, 5, 3, 4)
    return col2im_6d(windows, N, C, H, W, height, width, padding, stride)


def col2im_6d(
    cols: Array, N: int, C: int, H: int, W: int, height: int, width: int, padding: int, stride: int
) -> Array:
    """Return the same of windows (C, height, width, N, rows, columns)."""
    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    rows, columns = cols.shape[4:]
    for i in range(height):
        for j in range(width):
            inside = (slice(i, i + stride * rows, stride), slice(j, j + stride * columns, stride))
            padded[:, :, *inside] += cols[:, i, j].transpose(1, 0, 2, 3)
    return padded[:, :, padding : padding + H, padding : padding + W]


FUNCTIONS = {"im2col_cython": im2col, "col2im_cython": col2im, "col2im_6d_cython": col2im_6d}
"""The functions of the module, by its own names."""
