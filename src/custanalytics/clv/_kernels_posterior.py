"""Shortest intervals of counts and of amounts, from draws of them."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel

BINS = 1 << 12  # counts up to here are told apart; larger ones in steps of a fraction 1 / BINS of the largest


@kernel
def counts_loop(start, stop, counts, needed, lower, upper, inside):
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


@kernel
def amounts_loop(start, stop, amounts, needed, lower, upper, inside):
    """The same for amounts."""
    for i in range(start, stop):
        ordered = np.sort(amounts[i])
        n = ordered.size
        for k in range(needed.size):
            reach, best = needed[k] - 1, 0
            for low in range(1, n - reach):
                if ordered[low + reach] - ordered[low] < ordered[best + reach] - ordered[best]:
                    best = low
            low, high = best, best + reach
            while low > 0 and ordered[low - 1] == ordered[low]:  # those that are equal to an end are inside
                low -= 1
            while high < n - 1 and ordered[high + 1] == ordered[high]:
                high += 1
            lower[i, k], upper[i, k] = ordered[low], ordered[high]
            inside[i, k] = high - low + 1
