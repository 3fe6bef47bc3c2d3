"""Slow truths for tiers and clusters: plain Python, whole numbers and fractions where they decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def tier(values: Sequence[float], marks: Sequence[Fraction], value: float) -> int:
    """Tier of one value, counted among the fitted `values`; values not among them as documented."""
    if value > max(values):
        return 1
    if value < min(values):
        return len(marks) + 1
    value = max(seen for seen in values if seen <= value)
    above = sum(seen > value for seen in values)
    equal = sum(seen == value for seen in values)
    middle = Fraction(above) + Fraction(equal, 2)
    return 1 + sum(middle >= len(values) * mark for mark in marks)


def tier_rows(
    tiers: Sequence[int], n_tiers: int, by: Sequence[float], value: Sequence[float]
) -> list[dict[str, float]]:
    """One row per tier: customers, range and value."""
    whole, running, rows = math.fsum(value), 0.0, []
    for number in range(1, n_tiers + 1):
        members = [at for at, mine in enumerate(tiers) if mine == number]
        total = math.fsum(value[at] for at in members)
        share = total / whole if whole > 0 else math.nan
        running += share
        rows.append(
            {
                "n_customers": len(members),
                "customer_share": len(members) / len(tiers),
                "min_value": min((by[at] for at in members), default=math.nan),
                "max_value": max((by[at] for at in members), default=math.nan),
                "total_value": total,
                "value_share": share,
                "cumulative_value_share": running,
            }
        )
    return rows


def jaccard_maxima(labels: Sequence[int], found: Sequence[int], k: int) -> list[float]:
    """For each cluster the highest Jaccard similarity with a cluster found, by sets."""
    best = []
    for one in range(k):
        mine = {row for row, label in enumerate(labels) if label == one}
        similar = [0.0]
        for other in range(k):
            theirs = {row for row, label in enumerate(found) if label == other}
            if mine | theirs:
                similar.append(len(mine & theirs) / len(mine | theirs))
        best.append(max(similar))
    return best


def nearest(rows: Sequence[Sequence[float]], centers: Sequence[Sequence[float]]) -> list[int]:
    """The nearest centre of each row, the first of equals."""
    return [
        min(
            range(len(centers)),
            key=lambda label: (sum((a - b) ** 2 for a, b in zip(row, centers[label], strict=True)), label),
        )
        for row in rows
    ]


def settle(rows: Sequence[Sequence[float]], centers: Sequence[Sequence[float]]) -> tuple[list[list[float]], list[int]]:
    """Lloyd's iteration until no centre moves at all; a centre without rows goes to the row furthest off."""
    current = [list(center) for center in centers]
    while True:
        labels = nearest(rows, current)
        before = [list(center) for center in current]
        for label in range(len(current)):
            members = [row for row, mine in zip(rows, labels, strict=True) if mine == label]
            if not members:
                off = [
                    sum((a - b) ** 2 for a, b in zip(row, current[mine], strict=True))
                    for row, mine in zip(rows, labels, strict=True)
                ]
                members = [rows[off.index(max(off))]]
            current[label] = [math.fsum(column) / len(members) for column in zip(*members, strict=True)]
        if all(math.dist(a, b) < 1e-12 for a, b in zip(before, current, strict=True)):
            return current, nearest(rows, current)


def standardised_difference(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Difference of means over the pooled standard deviation."""
    mean_in, mean_out = math.fsum(inside) / len(inside), math.fsum(outside) / len(outside)
    squares = math.fsum((x - mean_in) ** 2 for x in inside) + math.fsum((x - mean_out) ** 2 for x in outside)
    return (mean_in - mean_out) / math.sqrt(squares / (len(inside) + len(outside) - 2))
