"""Customers who are alive now, and a calendar ahead of them that makes purchases and dropout run faster or slower."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from custanalytics import _jit
from custanalytics.clv import _fit, _kernels_calendar, _kernels_calendar_counts
from custanalytics.clv._given_alive import NO_SPEND, GivenAlive, Spend
from custanalytics.clv._kernels_futures import BETA, SCALE, S
from custanalytics.clv._windows import Ahead

SHORTEST = 1e-270  # time that is a unit; in shorter ones hardly anybody buys


@dataclass(frozen=True)
class GivenCalendar(GivenAlive):
    """Customers whom `GivenAlive` describes at a rate and a hazard of 1, and what the calendar makes of both.

    Where nobody has a lifetime, events are all that counts, and they come evenly in the time that the rates make:
    with that until the horizon as the unit of time, customers are as without a calendar.
    """

    group: np.ndarray  # of each customer, among those of `ahead`
    ahead: Ahead

    def distinct(self) -> tuple[np.ndarray, Self] | None:
        """Codes of customers who are alike, and each kind once; None where most differ."""
        found = super().distinct()
        if found is None:
            return None
        grouped = _fit.distinct((found[0].astype(np.float64), self.group.astype(np.float64)), most=0.5)
        return None if grouped is None else (grouped[0], self.pick(grouped[1]))

    def pick(self, rows: np.ndarray) -> Self:
        """Some of the customers."""
        return replace(super().pick(rows), group=self.group[rows])

    def stay(self, ahead: float) -> np.ndarray:
        """P(alive after `ahead`)."""
        if not self._lives():
            return self._evenly(ahead).stay(unit(ahead))
        window = self.ahead.within(0.0, ahead)
        aged = window.passed(window.hazards)[self.group]
        return np.exp(-self.table[:, S] * np.log1p(aged / self.table[:, BETA]))

    def window(self, start: float, horizon: float) -> np.ndarray:
        """Expected purchases from `start` to `start` + `horizon`."""
        out = np.empty(len(self.table))
        until, window = self.ahead.within(0.0, start), self.ahead.within(start, horizon)
        if self._lives():
            inputs = (self.table, self.group, until.passed(until.hazards)[self.group], *_pieces(window))
            _jit.run(_kernels_calendar.lifetimes_loop, out.size, *inputs, out=(out,), size=512)
        else:
            times = (each.passed(each.rates)[self.group] for each in (until, window))
            _jit.run(_kernels_calendar.coins_loop, out.size, self.table, *times, out=(out,), size=512)
        return out

    def exactly(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X = n) for n of shape (1 or n_customers, n_counts), whole and 0 or more."""
        if self._lives():
            return self._counts(n, horizon, 1.0)
        return self._evenly(horizon).exactly(n, unit(horizon))

    def at_least(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X >= n) for n of shape (1 or n_customers, n_counts)."""
        if self._lives():
            return self._counts(n, horizon, 0.0)
        return self._evenly(horizon).at_least(n, unit(horizon))

    def draw(
        self, alive: np.ndarray, first: int, horizon: float, seed: int, counts: np.ndarray, values: np.ndarray,
        rate: float = 0.0, spend: Spend = NO_SPEND,
    ) -> None:  # fmt: skip
        """Fill `counts` with draws of purchases and `values`, where it has columns, with their discounted value."""
        window = self.ahead.within(0.0, horizon)
        time = (window.bounds, window.begin, window.length, window.rates, window.hazards)
        settings = (first, rate, seed, spend.p, spend.q, spend.v)
        inputs = (alive, self.table, self.group, *time, *settings)
        _jit.run(_kernels_calendar.draws_loop, len(self.table), *inputs, out=(counts, values), size=512)

    def _evenly(self, horizon: float) -> GivenAlive:
        """The same customers without a calendar, in a unit of time of their own."""
        if horizon in (0.0, np.inf):
            return GivenAlive(self.table)
        table, window = self.table.copy(), self.ahead.within(0.0, horizon)
        table[:, SCALE] /= np.maximum(window.passed(window.rates), SHORTEST)[self.group]
        return GivenAlive(table)

    def _counts(self, n: np.ndarray, horizon: float, exactly: float) -> np.ndarray:
        order = np.argsort(n, axis=1)
        out, result = (np.empty((len(self.table), n.shape[1])) for _ in range(2))
        ascending = np.ascontiguousarray(np.take_along_axis(n, order, axis=1))
        inputs = (self.table, self.group, *_pieces(self.ahead.within(0.0, horizon)), ascending, exactly)
        _jit.run(_kernels_calendar_counts.counts_loop, len(self.table), *inputs, out=(out,), size=64)
        np.put_along_axis(result, np.broadcast_to(order, out.shape), out, axis=1)
        return result


def unit(horizon: float) -> float:
    """The horizon in that unit of time."""
    return horizon if horizon in (0.0, np.inf) else 1.0


def _pieces(window: Ahead) -> tuple[np.ndarray, ...]:
    return window.bounds, window.length, window.rates, window.hazards
