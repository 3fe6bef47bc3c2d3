"""Loops of the next best offer: the Gram matrix of the customers' tastes, and the fused score and top k."""

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel

# Propensities are rounded to this grid, far below any use and far above the noise of a sum in another order,
# so that two offers whose propensities are equal on paper tie here too.
GRID = 2.0**40


@kernel
def gram(indptr, indices, data, out):
    """Add A'A of a CSR matrix with sorted indices to `out` (n, n), given as zeros; both triangles are filled."""
    for row in range(indptr.size - 1):
        for left in range(indptr[row], indptr[row + 1]):
            weight = data[left]
            line = out[indices[left]]
            for right in range(left, indptr[row + 1]):
                line[indices[right]] += weight * data[right]
    for row in range(out.shape[0]):
        for column in range(row):
            out[row, column] = out[column, row]


@kernel
def add_rows(first, last, indices, data, matrix, total):
    """Add to `total` the rows of a matrix that a sparse vector names, each times its weight.

    Four rows at a time, because loading and storing `total` is what takes the time.
    """
    at = first
    while at + 4 <= last:
        a, b, c, d = data[at], data[at + 1], data[at + 2], data[at + 3]
        row_a, row_b = matrix[indices[at]], matrix[indices[at + 1]]
        row_c, row_d = matrix[indices[at + 2]], matrix[indices[at + 3]]
        for i in range(total.size):
            total[i] += (a * row_a[i] + b * row_b[i]) + (c * row_c[i] + d * row_d[i])
        at += 4
    while at < last:
        a, row_a = data[at], matrix[indices[at]]
        for i in range(total.size):
            total[i] += a * row_a[i]
        at += 1


@kernel
def best_offers(
    start, stop, rows, indptr, indices, counts, baskets, weights, shift, popularity, strength, values, allowed,
    best, propensity, priority,
):  # fmt: skip
    """Score every offer for each customer and keep the top k: `best`, `propensity` and `priority` are (n, k).

    `rows` names the customer's row in the CSR counts, -1 for one never seen; `weights` are the item weights and
    `shift` is popularity @ weights. A place that stays empty has best = -1 and NaN.
    """
    n_offers = values.size
    k = best.shape[1]
    own = np.empty(n_offers)
    score = np.empty(n_offers)
    worth = np.empty(n_offers)
    for row in range(start, stop):
        own[:] = 0.0
        score[:] = 0.0
        seen = 0.0
        customer = rows[row]
        if customer >= 0:
            seen = baskets[customer]
            add_rows(indptr[customer], indptr[customer + 1], indices, counts, weights, score)
            for at in range(indptr[customer], indptr[customer + 1]):
                own[indices[at]] = counts[at]
        scale = 1.0 / (seen + strength)
        for i in range(n_offers):
            prior = popularity[i] + (score[i] - seen * shift[i]) * scale
            prior = prior if prior > 0.0 else 0.0
            prior = prior if prior < 1.0 else 1.0
            score[i] = np.rint((own[i] + strength * prior) * scale * GRID) * (1.0 / GRID)
        for i in range(n_offers):  # apart from the loop above, which the compiler vectorises only while it is small
            worth[i] = score[i] * values[i]

        filled = 0
        floor = -1.0  # the priority of the last of k offers: most offers fall short of it
        for i in range(n_offers):
            if worth[i] < floor or not allowed[row, i]:
                continue
            if filled < k:
                slot = filled
                filled += 1
            else:
                slot = k - 1
                if worth[i] == floor and score[i] <= propensity[row, slot]:
                    continue
            # Offers come in their own order, so of two equal ones the earlier stays ahead.
            while slot > 0 and (
                worth[i] > priority[row, slot - 1]
                or (worth[i] == priority[row, slot - 1] and score[i] > propensity[row, slot - 1])
            ):
                best[row, slot] = best[row, slot - 1]
                propensity[row, slot] = propensity[row, slot - 1]
                priority[row, slot] = priority[row, slot - 1]
                slot -= 1
            best[row, slot] = i
            propensity[row, slot] = score[i]
            priority[row, slot] = worth[i]
            if filled == k:
                floor = priority[row, k - 1]
        for slot in range(filled, k):
            best[row, slot] = -1
            propensity[row, slot] = np.nan
            priority[row, slot] = np.nan
