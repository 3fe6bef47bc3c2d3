"""Derivatives by differences, for checks of exact ones."""

from __future__ import annotations

import numpy as np


def hessian_by_logs(gradient, theta, step=1e-4):
    """Second derivatives by the logarithms of theta: fourth-order differences of theta times the gradient by theta."""
    theta = np.asarray(theta, float)
    result = np.empty((theta.size, theta.size))
    for k in range(theta.size):
        slopes = []
        for steps in (-2, -1, 1, 2):
            moved = theta.copy()
            moved[k] *= np.exp(steps * step)
            slopes.append(gradient(moved) * moved)
        result[k] = (slopes[0] - 8 * slopes[1] + 8 * slopes[2] - slopes[3]) / (12 * step)
    return result


def symmetric(upper):
    """A symmetric matrix from its upper triangle, row by row."""
    size = int(np.sqrt(2 * len(upper)))
    full = np.zeros((size, size))
    full[np.triu_indices(size)] = upper
    return full + np.triu(full, 1).T
