"""Shortest intervals of counts, from draws of them."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel

BINS = 1 << 12  # counts up to here are told apart; larger ones in steps of a fraction 1 / BINS of the largest


@kernel
def windows_loop(start, stop, counts, needed, lower, upper, inside):
    """For each row of draws and each number of draws needed, the shortest interval that holds as many.

    Among intervals of one length the one that holds most, the lowest of those. `inside` is how many it holds.
    """
    held = np.zeros(BINS, np.int64)
    for i in range(start, stop):
        largest = 0
        for draw in range(counts.shape[1]):
            largest = max(largest, counts[i, draw])
        step = largest // BINS + 1
        for draw in range(counts.shape[1]):
            held[counts[i, draw] // step] += 1
        top = largest // step
        for k in range(needed.size):
            low, high, total = 0, -1, 0
            best_low, best_high, best = 0, top, -1
            while True:
                while total < needed[k] and high < top:
                    high += 1
                    total += held[high]
                if total < needed[k]:
                    break
                length, shortest = high - low, best_high - best_low
                if best < 0 or length < shortest or (length == shortest and total > best):
                    best_low, best_high, best = low, high, total
                total -= held[low]
                low += 1
            lower[i, k] = best_low * step
            upper[i, k] = min(best_high * step + step - 1, largest)
            inside[i, k] = best
        held[: top + 1] = 0
