"""Kernels of k-means: the nearest centre of each row, and Lloyd's iteration from given centres."""

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel


@kernel
def assign(start, stop, Z, centers, labels):
    """Label rows with their nearest centre, the first of equals; returns the sum of squared distances."""
    k, width = centers.shape
    total = 0.0
    for row in range(start, stop):
        best = np.inf
        for label in range(k):
            distance = 0.0
            for at in range(width):
                distance += (Z[row, at] - centers[label, at]) ** 2
            if distance < best:
                best = distance
                labels[row] = label
        total += best
    return total


@kernel
def furthest(Z, centers, labels):
    """The row furthest from the centre it is labelled with, the first of equals."""
    found, most = 0, -1.0
    for row in range(Z.shape[0]):
        distance = 0.0
        for at in range(Z.shape[1]):
            distance += (Z[row, at] - centers[labels[row], at]) ** 2
        if distance > most:
            found, most = row, distance
    return found


@kernel
def lloyd(Z, max_iter, tolerance, centers, labels):
    """Move centres to the means of their rows until they rest; returns the sum of squared distances.

    Stops when the centres together move by a squared distance of no more than `tolerance`. A centre without
    rows goes to the row furthest from its own centre.
    """
    n, width = Z.shape
    k = centers.shape[0]
    sums, counts = np.empty((k, width)), np.empty(k, np.int64)
    inertia = assign(np.int64(0), n, Z, centers, labels)
    for _ in range(max_iter):
        for label in range(k):
            counts[label] = 0
            for at in range(width):
                sums[label, at] = 0.0
        for row in range(n):
            counts[labels[row]] += 1
            for at in range(width):
                sums[labels[row], at] += Z[row, at]
        moved = 0.0
        for label in range(k):
            lost = furthest(Z, centers, labels) if counts[label] == 0 else -1
            for at in range(width):
                mean = sums[label, at] / counts[label] if lost < 0 else Z[lost, at]
                moved += (mean - centers[label, at]) ** 2
                centers[label, at] = mean
        inertia = assign(np.int64(0), n, Z, centers, labels)
        if moved <= tolerance:
            break
    return inertia
