"""What the models say about customers who are alive now, in one form: how fast they buy and how they drop out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy import special

from custanalytics import _jit
from custanalytics.clv import (
    _fit,
    _kernels_chances,
    _kernels_counts,
    _kernels_draws,
    _kernels_futures,
    _kernels_opportunities,
)
from custanalytics.clv._kernels_futures import BETA, SCALE, SHAPE, SHARE, A, B, C, S

NOTHING = np.zeros(0)
NEAR = 0.1  # what is missing to 1 below which it, and not the rest, is given to the incomplete beta function


@dataclass(frozen=True)
class Spend:
    """What purchases are worth: gamma(`p`) at a rate that is gamma(`q`, `v`) distributed; `v` itself where p is 0."""

    p: float
    q: np.ndarray
    v: np.ndarray


NO_SPEND = Spend(0.0, NOTHING, NOTHING)


@dataclass(frozen=True)
class GivenAlive:
    """Customers who are alive now, a row each of `table`.

    Purchases come at a rate that is gamma distributed with the columns shape and scale (the rate parameter, a time).
    After each somebody drops out with a probability that is Beta(a, c), never where a is 0; or at a time with survivor
    (beta / (beta + e^(b t) - 1))^s from now, (beta / (beta + t))^s where b is 0, never where s is 0.
    """

    table: np.ndarray

    @classmethod
    def of(cls, n: int, **columns: Any) -> GivenAlive:
        """From the columns by name."""
        table = np.zeros((n, 8))
        places = {"shape": SHAPE, "scale": SCALE, "a": A, "c": C, "s": S, "b": B, "beta": BETA, "share": SHARE}
        for name, values in columns.items():
            table[:, places[name]] = values
        return cls(table)

    def distinct(self) -> tuple[np.ndarray, Self] | None:
        """Codes of customers who are alike, and each kind once; None where most differ."""
        codes: np.ndarray = np.zeros(len(self.table))
        rows = np.zeros(1, np.int64)
        for pair in ((SHAPE, SCALE), (SHARE, A), (C, S), (B, BETA)):
            columns = [self.table[:, at] for at in pair]
            if all(column.size == 0 or (column == column[0]).all() for column in columns):
                continue
            grouped = _fit.distinct((codes, *map(np.ascontiguousarray, columns)), most=0.5)
            if grouped is None:
                return None
            codes, rows = grouped[0].astype(np.float64), grouped[1]
        return codes.astype(np.int64), self.pick(rows)

    def pick(self, rows: np.ndarray) -> Self:
        """Some of the customers."""
        return replace(self, table=np.ascontiguousarray(self.table[rows]))

    def stay(self, ahead: float) -> np.ndarray:
        """P(alive after `ahead`)."""
        out = np.empty(len(self.table))
        _jit.run(_kernels_futures.stay_loop, out.size, self.table, ahead, out=(out,), size=512)
        return out

    def window(self, start: float, horizon: float) -> np.ndarray:
        """Expected purchases from `start` to `start` + `horizon`."""
        out = np.empty(len(self.table))
        _jit.run(_kernels_futures.window_loop, out.size, self.table, start, horizon, out=(out,), size=512)
        return out

    def exactly(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X = n) for n of shape (1 or n_customers, n_counts), whole and 0 or more."""
        if self._lives():
            return self._in_lifetimes(n, horizon, 1.0)
        shape, scale = self.table[:, [SHAPE]], self.table[:, [SCALE]]
        chance = self._left(n) * negative_binomial(n, shape, scale, horizon)
        return chance + self._leaves(n) * at_least(n, shape, scale, horizon)

    def at_least(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X >= n) for n of shape (1 or n_customers, n_counts)."""
        if self._lives():
            return self._in_lifetimes(n, horizon, 0.0)
        shape, scale = self.table[:, [SHAPE]], self.table[:, [SCALE]]
        before = np.where(n > 0, self._left(np.maximum(n - 1.0, 0.0)), 1.0)
        return before * at_least(n, shape, scale, horizon)

    def draw(
        self, alive: np.ndarray, first: int, horizon: float, seed: int, counts: np.ndarray, values: np.ndarray,
        rate: float = 0.0, spend: Spend = NO_SPEND,
    ) -> None:  # fmt: skip
        """Fill `counts` with draws of purchases and `values`, where it has columns, with their discounted value."""
        settings = (self._events_per_purchase(), first, horizon, rate, seed, spend.p, spend.q, spend.v)
        inputs = (alive, self.table, *settings)
        _jit.run(_kernels_draws.futures_loop, len(self.table), *inputs, out=(counts, values), size=512)

    def _events_per_purchase(self) -> float:
        return 1.0

    def _lives(self) -> bool:
        return bool(len(self.table)) and self.table[0, S] > 0.0

    def _left(self, n: np.ndarray) -> np.ndarray:
        """E[(1 - p)^n]: not dropped out after n purchases."""
        a, c = self.table[:, [A]], self.table[:, [C]]
        if not a.any():
            return np.ones((len(a), 1))
        return staying(n, a, c)

    def _leaves(self, n: np.ndarray) -> np.ndarray:
        """E[p (1 - p)^(n - 1)]: dropped out right after purchase n; 0 for n = 0."""
        a, c = self.table[:, [A]], self.table[:, [C]]
        if not a.any():
            return np.zeros((len(a), 1))
        before = np.maximum(n - 1.0, 0.0)
        return np.where(n > 0, self._left(before) * (a / (a + c + before)), 0.0)

    def _in_lifetimes(self, n: np.ndarray, horizon: float, exactly: float) -> np.ndarray:
        out = np.empty((len(self.table), n.shape[1]))
        inputs = (self.table, n, horizon, exactly)
        _jit.run(_kernels_counts.life_counts_loop, len(self.table), *inputs, out=(out,), size=64)
        return out


@dataclass(frozen=True)
class GivenThere:
    """Customers of the BG/BB who are there now: chances to buy are Beta(first, second), to leave Beta(third, last)."""

    table: np.ndarray

    def distinct(self) -> tuple[np.ndarray, GivenThere] | None:
        """Codes of customers who are alike, and each kind once; None where most differ."""
        grouped = _fit.distinct(tuple(np.ascontiguousarray(self.table[:, at]) for at in (0, 1, 3)), most=0.5)
        return None if grouped is None else (grouped[0], self.pick(grouped[1]))

    def pick(self, rows: np.ndarray) -> GivenThere:
        """Some of the customers."""
        return GivenThere(np.ascontiguousarray(self.table[rows]))

    def stay(self, ahead: float) -> np.ndarray:
        """P(there after `ahead` opportunities)."""
        leaves, stays = self.table[:, [2]], self.table[:, [3]]
        return staying(np.full((1, 1), ahead), leaves, stays)[:, 0]

    def window(self, start: float, horizon: float) -> np.ndarray:
        """Expected purchases at the `horizon` opportunities after the next `start`."""
        out = np.empty(len(self.table))
        inputs = (self.table, float(np.floor(start)), float(np.floor(horizon)))
        _jit.run(_kernels_opportunities.window_loop, out.size, *inputs, out=(out,), size=512)
        return out

    def exactly(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X = n) for n of shape (1 or n_customers, n_counts)."""
        return self._counts(n, horizon, 1.0)

    def at_least(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X >= n) for n of shape (1 or n_customers, n_counts)."""
        return self._counts(n, horizon, 0.0)

    def draw(
        self, alive: np.ndarray, first: int, horizon: float, seed: int, counts: np.ndarray, values: np.ndarray,
        rate: float = 0.0, spend: Spend = NO_SPEND,
    ) -> None:  # fmt: skip
        """Fill `counts` with draws of purchases and `values`, where it has columns, with their discounted value."""
        settings = (first, float(np.floor(horizon)), rate, seed, spend.p, spend.q, spend.v)
        inputs = (alive, self.table, *settings)
        _jit.run(_kernels_draws.opportunities_loop, len(self.table), *inputs, out=(counts, values), size=512)

    def _counts(self, n: np.ndarray, horizon: float, exactly: float) -> np.ndarray:
        out = np.empty((len(self.table), n.shape[1]))
        inputs = (self.table, n, float(np.floor(horizon)), exactly)
        _jit.run(_kernels_opportunities.counts_loop, len(self.table), *inputs, out=(out,), size=64)
        return out


def staying(n: np.ndarray, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """E[(1 - p)^n] for p ~ Beta(a, c), with n of shape (1 or n_rows, n_counts) and the others of (n_rows, 1)."""
    out = np.empty((len(a), n.shape[1]))
    _jit.run(_kernels_chances.staying_loop, len(a), n, a[:, 0], c[:, 0], out=(out,), size=512)
    return out


def log_ways(n: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Logarithm of Γ(shape + n) / (Γ(shape) n!), of the same shapes."""
    out = np.empty((len(shape), n.shape[1]))
    _jit.run(_kernels_chances.log_ways_loop, len(shape), n, shape[:, 0], out=(out,), size=512)
    return out


def negative_binomial(n: np.ndarray, shape: np.ndarray, scale: np.ndarray, horizon: float) -> np.ndarray:
    """P(n events by the horizon) for gamma distributed rates; 0 for negative n."""
    whole = np.maximum(n, 0.0)
    ways = log_ways(whole, shape)
    with np.errstate(divide="ignore", over="ignore"):  # a horizon of 0 or without end, or so near it that a ratio is
        others, own = special.xlog1py(whole, scale / horizon), special.xlog1py(shape, horizon / scale)
    chance = np.exp(ways - others - own)
    return np.where(n < 0, 0.0, chance)


def at_least(n: np.ndarray, shape: np.ndarray, scale: np.ndarray, horizon: float) -> np.ndarray:
    """P(n events or more by the horizon) for gamma distributed rates."""
    chance = np.ones(np.broadcast_shapes(n.shape, shape.shape))
    if np.isinf(horizon):
        return chance
    whole, missing = np.maximum(n, 1.0), scale / (scale + horizon)
    # near 1, the share of the time ahead is known better through what is missing to it
    near = np.broadcast_to(missing < NEAR, chance.shape)
    special.betainc(whole, shape, horizon / (scale + horizon), out=chance, where=~near)
    special.betaincc(shape, whole, missing, out=chance, where=near)
    return np.where(n <= 0, 1.0, chance)
