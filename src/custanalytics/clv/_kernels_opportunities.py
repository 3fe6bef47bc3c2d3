"""How many purchases come at the opportunities ahead, in the BG/BB."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, log

from custanalytics._jit import kernel
from custanalytics._special import log_rising, log_staying
from custanalytics.clv._kernels_lifetimes import periods_ahead


@kernel
def counts_loop(start, stop, given, n, horizon, exactly, out):
    """P(X = n), or without `exactly` P(X >= n), at the next `horizon` opportunities, per customer and n.

    A sum over how many opportunities the customer is there for, or over the one of purchase n.
    """
    for i in range(start, stop):
        buys, misses, leaves, stays = given[i, 0], given[i, 1], given[i, 2], given[i, 3]
        any_time, leaving = buys + misses, leaves + stays
        for column in range(n.shape[1]):
            count, total = n[i % n.shape[0], column], 0.0
            first = count if exactly > 0.0 else max(count, 1.0)
            # there for the first m opportunities, purchases at `first` of them, the m-th included without `exactly`
            m = first
            there = log_staying(leaves, stays, m)
            bought = log_rising(buys, m) - log_rising(any_time, m)
            while m <= horizon:
                way = exp(there + bought)
                if exactly > 0.0 and m < horizon:
                    way *= leaves / (leaving + m)
                total += way
                there += log((stays + m) / (leaving + m))
                ways = (m + 1.0) / (m + 1.0 - first) if exactly > 0.0 else m / (m + 1.0 - first)
                bought += log(ways * ((misses + m - first) / (any_time + m)))
                m += 1.0
            out[i, column] = min(total, 1.0) if count > 0.0 or exactly > 0.0 else 1.0


@kernel
def window_loop(start, stop, given, first, horizon, out):
    """E[purchases at the `horizon` opportunities after the next `first` | there now], per customer."""
    for i in range(start, stop):
        buys, misses, leaves, stays = given[i, 0], given[i, 1], given[i, 2], given[i, 3]
        there = exp(log_staying(leaves, stays, first))
        ahead = periods_ahead(first, horizon, 0.0, leaves, stays, 1.0)
        out[i] = buys / (buys + misses) * there * ahead
