"""Kernels that every model of this domain shares."""

from __future__ import annotations

from math import floor, inf

from custanalytics._jit import kernel

MOST = 10_000_000  # repeat purchases: sums of the models run over 0, ..., frequency


@kernel
def multiply_by_code(start, stop, values, codes, out):
    """Multiply each row by the value of its code."""
    for row in range(start, stop):
        out[row] *= values[codes[row]]


@kernel
def count_impossible(start, stop, x, t_x, T):
    """How many rows are no summary of a customer: whole x >= 0, 0 <= t_x <= T, and t_x = 0 where x = 0."""
    x, t_x, T = x[start:stop], t_x[start:stop], T[start:stop]
    bad = 0
    for i in range(T.size):  # from 0 on: vectorised
        # written so that NaN and infinity fail, too
        fine = (x[i] >= 0.0) & (x[i] <= MOST) & (x[i] == floor(x[i])) & (t_x[i] >= 0.0)
        fine = fine & (t_x[i] <= T[i]) & (T[i] < inf) & ((x[i] > 0.0) | (t_x[i] == 0.0))
        bad += 0 if fine else 1
    return bad
