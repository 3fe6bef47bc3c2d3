"""One column of one customer: its score, why, and the nearest values that have the other scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics._columns import INACTIVITY
from custanalytics.rfm._explanation import Change, number

DECIMALS = 9  # to which RFMScorer rounds an inactivity


@dataclass(frozen=True)
class Column:
    """The value of a customer, and the cuts of its score as "larger is better", nested or not."""

    score_name: str
    name: str
    value: float
    score: int
    cuts: np.ndarray
    whole: bool
    falling: bool

    @property
    def better(self) -> float:
        """The value as "larger is better"."""
        return -self.value if self.falling else self.value

    def cuts_in(self, nest: tuple[int, ...]) -> np.ndarray:
        """Cuts that apply to customers with the given earlier scores (positions from 0)."""
        return self.cuts[nest[: self.cuts.ndim - 1]]

    def score_in(self, nest: tuple[int, ...]) -> int:
        """The score of the value there, from 0."""
        return int((self.cuts_in(nest) < self.better).sum())

    def above(self, value: float) -> float:
        """The next better value that the column can have."""
        if self.whole:
            return float(np.floor(value) + 1)
        following = float(np.nextafter(value, np.inf))
        return (
            max(following, float(np.round(value + 10**-DECIMALS, DECIMALS))) if self.name == INACTIVITY else following
        )

    def reason(self, at: tuple[int, ...]) -> str:
        """Between which cuts the value lies."""
        nest = at[: self.cuts.ndim - 1]
        cuts, k = self.cuts_in(nest), self.score - 1
        low = None if k == 0 else float(cuts[k - 1])
        high = None if k == cuts.size else float(cuts[k])
        if self.falling:
            words = [
                *([] if high is None else [f"at least {number(-high)}"]),
                *([] if low is None else [f"less than {number(-low)}"]),
            ]
        else:
            words = [
                *([] if low is None else [f"more than {number(low)}"]),
                *([] if high is None else [f"at most {number(high)}"]),
            ]
        among = " and ".join(f"{name} {score + 1}" for name, score in zip(("r_score", "f_score"), nest, strict=False))
        return f"{self.name} {number(self.value)} is {' and '.join(words)}" + (f", among {among}" if among else "")

    def change(self, better: float, nest: tuple[int, ...]) -> Change | None:
        """The change to another value, if it is one."""
        if better == self.better:
            return None
        value = -better if self.falling else better
        bound = None
        if better > self.better and not self.whole:
            cuts = self.cuts_in(nest)
            bound = float(cuts[cuts < better].max()) * (-1 if self.falling else 1)
        return Change(self.name, self.value, value + 0.0, bound, self.falling)


def targets(column: Column, bins: tuple[int, ...]) -> np.ndarray:
    """The value nearest to the customer's that has each score, in each nest: shape `bins`; NaN where there is none.

    Values are "larger is better". A duration does not fall below 0.
    """
    cuts = np.broadcast_to(column.cuts, (*bins[:-1], bins[-1] - 1))
    edge = np.full((*bins[:-1], 1), np.inf)
    low, high = np.concatenate([-edge, cuts], axis=-1), np.concatenate([cuts, edge], axis=-1)
    lowest = np.full(bins, -np.inf)
    at_edges = np.isfinite(low)
    values, where = np.unique(low[at_edges], return_inverse=True)
    lowest[at_edges] = np.array([column.above(value) for value in values])[where] if values.size else []
    highest = np.floor(high) if column.whole else high
    reached = np.clip(column.better, lowest, np.maximum(lowest, highest))
    impossible = (lowest > highest) | (high <= low)
    if column.falling and column.value >= 0:
        impossible |= reached > 0
    return np.where(impossible, np.nan, reached)
