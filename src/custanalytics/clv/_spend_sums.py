"""The Gamma-Gamma likelihood of customers who stay in their engine, from a few sums for each `frequency`.

A customer with x purchases of mean m enters by x and by smooth functions of log(v / (x m)) alone. The engine sums
those over the customers of each x at Chebyshev nodes of log(v) around a first estimate, and between the nodes the
sums follow by interpolation, to double precision: their nearest singularity lies at a distance of pi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from custanalytics import _engines, _jit
from custanalytics.clv import _fit
from custanalytics.clv._kernels_gamma_gamma import shape_loop

X, M, WEIGHT = "x", "m", "weight"
BINS = 16  # of the first estimate, per unit of a logarithm
NODES = 14  # interpolation errs by (2 pi + sqrt(1 + 4 pi^2))^-NODES = 4e-16
REACH = 0.5  # in log(v), on either side of the first estimate


@dataclass(frozen=True)
class Repeaters:
    """The repeat buyers of a table in an engine: `x` purchases of mean `m`, both positive, each with a weight."""

    lazy: nw.LazyFrame[Any]
    weighted: bool

    def pairs(self) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """The distinct (x, m) and the weight of each."""
        by = (X, M, WEIGHT) if self.weighted else (X, M)
        found, counts = _engines.counts(self.lazy, by)
        return (found[X], found[M]), found[WEIGHT] * counts if self.weighted else counts.astype(np.float64)

    def binned(self) -> _fit.Sample:
        """Means of x and m within bins of their logarithms, for a first estimate."""
        logs = _engines.with_logarithms(self.lazy, {f"log_{name}": nw.col(name) for name in (X, M)})
        keys = [(nw.col(f"log_{name}") * BINS).floor().alias(f"bin_{name}") for name in (X, M)]
        sums = [(nw.col(WEIGHT) * nw.col(name)).alias(f"sum_{name}") for name in (X, M)]
        binned = logs.with_columns(*keys, *sums)
        found = _summed(binned, ("bin_x", "bin_m"), (WEIGHT, "sum_x", "sum_m"))
        weight = found[WEIGHT]
        columns = (found["sum_x"] / weight, found["sum_m"] / weight)
        order = np.lexsort(columns)
        return _fit.Sample(tuple(np.ascontiguousarray(column[order]) for column in columns), weight[order])

    def sums(self, log_v: float) -> SpendSums:
        """What the likelihood needs for every v within `REACH` of exp(`log_v`), in logarithms: one query."""
        values = np.exp(log_v + REACH * _nodes())
        centre = float(np.exp(log_v))
        weight, spent = nw.col(WEIGHT), nw.col("spent")
        lazy = self.lazy.with_columns((nw.col(X) * nw.col(M)).alias("spent"))
        ratios = {"more": spent / centre, "less": centre / spent}
        wanted = {"log_m": nw.col(M), **{name: ratio + 1.0 for name, ratio in ratios.items()}}
        lazy = _engines.with_logarithms(lazy, wanted).with_columns(
            *(_log1p(ratio, nw.col(name)).alias(name) for name, ratio in ratios.items()),
            *((spent / (spent + float(v))).alias(f"over_{k}") for k, v in enumerate(values)),
            *((float(v) / (spent + float(v))).alias(f"under_{k}") for k, v in enumerate(values)),
        )
        over, under = ([f"{side}_{k}" for k in range(NODES)] for side in ("over", "under"))
        terms = ("more", "less", "log_m", *over, *under)
        if self.weighted:
            lazy = lazy.with_columns(*((nw.col(name) * weight).alias(name) for name in terms))
        found = _summed(lazy, (X,), (WEIGHT, *terms))
        order = np.argsort(found[X])
        found = {name: np.ascontiguousarray(column[order]) for name, column in found.items()}
        transform = _transform()
        return SpendSums(
            centre=log_v,
            x=found[X],
            weight=found[WEIGHT],
            more=found["more"],
            less=found["less"],
            log_m=float(found["log_m"].sum()),
            over=transform @ np.array([found[name] for name in over]),
            under=transform @ np.array([found[name] for name in under]),
        )


@dataclass(frozen=True)
class SpendSums:
    """Sums over the repeat buyers of each `x`: arrays of shape (n_x,), Chebyshev series of shape (NODES, n_x)."""

    centre: float  # log(v) in the middle of the nodes
    x: np.ndarray
    weight: np.ndarray
    more: np.ndarray  # of log(1 + x m / v) at the centre
    less: np.ndarray  # of log(1 + v / (x m)) at the centre
    log_m: float  # of log(m), over all
    over: np.ndarray  # of x m / (v + x m), by log(v)
    under: np.ndarray  # of v / (v + x m), by log(v)

    def likelihood(self, logs: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood at the logarithms of p, q and v, its gradient and its second derivatives by them."""
        p, q, _ = np.exp(logs)
        at = (logs[2] - self.centre) / REACH
        over, under = chebyshev.chebval(at, self.over), chebyshev.chebval(at, self.under)
        # d log(1 + x m / v) / d log(v) = -over, d log(1 + v / (x m)) / d log(v) = under, whose slope is over * under
        more = self.more - REACH * chebyshev.chebval(at, chebyshev.chebint(self.over, lbnd=0.0))
        less = self.less + REACH * chebyshev.chebval(at, chebyshev.chebint(self.under, lbnd=0.0))
        bend = chebyshev.chebval(at, chebyshev.chebder(self.under)) / REACH
        shapes = np.empty((self.x.size, 3))
        _jit.run(shape_loop, self.x.size, self.x, np.exp(logs), out=(shapes,))
        a, n = p * self.x, self.weight
        value = -float(n @ shapes[:, 0] + q * more.sum() + a @ less) - self.log_m
        by_p, by_q = a * (n * shapes[:, 1] - less), q * (n * shapes[:, 2] - more)
        gradient = np.array([by_p.sum(), by_q.sum(), (q * over - a * under).sum()])
        both, of_a, of_q = (special.zeta(2.0, z) for z in (a + q, a, q))  # trigamma
        hessian = np.empty((3, 3))
        hessian[0, 0] = gradient[0] + (n * a * a * (both - of_a)).sum()
        hessian[1, 1] = gradient[1] + (n * q * q * (both - of_q)).sum()
        hessian[0, 1] = hessian[1, 0] = (n * a * q * both).sum()
        hessian[0, 2] = hessian[2, 0] = -(a * under).sum()
        hessian[1, 2] = hessian[2, 1] = (q * over).sum()
        hessian[2, 2] = -((q + a) * bend).sum()
        return value, gradient, hessian


@dataclass(frozen=True)
class SpendObjective:
    """The function of the log-parameters, with v in multiples of `unit`, to minimise: value and gradient."""

    sums: SpendSums
    unit: float
    penalty: _fit.Penalty
    exact: bool = True

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, _ = self._at(logs)
        return value, gradient

    def hessian(self, logs: np.ndarray) -> np.ndarray:
        """Second derivatives: shape (3, 3)."""
        return self._at(logs)[2]

    def _at(self, logs: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        actual = logs + np.array([0.0, 0.0, np.log(self.unit)])
        if abs(actual[2] - self.sums.centre) > REACH * (1.0 + 1e-12):  # the solver turns back from what is not finite
            return np.inf, np.zeros(3), np.eye(3)
        value, gradient, hessian = self.sums.likelihood(actual)
        return (
            self.penalty.value(logs) - value,
            self.penalty.gradient(logs) - gradient,
            self.penalty.hessian(logs) - hessian,
        )


def maximise(
    repeaters: Repeaters, near: _fit.Optimum, unit: float, penalty: _fit.Penalty, max_iter: int, tol: float
) -> tuple[_fit.Optimum, float]:
    """The optimum from one near it, v in multiples of `unit`, and the log-likelihood there."""
    logs, n_iter = near.logs, near.n_iter
    while True:
        sums = repeaters.sums(float(logs[2] + np.log(unit)))
        objective = SpendObjective(sums, unit, penalty)
        optimum = _fit.minimise(objective, logs, max(max_iter - n_iter, 1), tol)
        n_iter += optimum.n_iter
        moved = abs(optimum.logs[2] - logs[2])
        logs = optimum.logs
        # A solver that was held back at the end of the reach goes on from there.
        if optimum.converged or moved < 0.9 * REACH or n_iter >= max_iter:
            value = sums.likelihood(logs + np.array([0.0, 0.0, np.log(unit)]))[0]
            return replace(optimum, n_iter=n_iter, objectives=near.objectives), value


def _summed(lazy: nw.LazyFrame[Any], by: Sequence[str], columns: Sequence[str]) -> dict[str, np.ndarray]:
    found = _engines.collect(lazy.group_by(*by).agg(*(nw.col(name).sum() for name in columns)))
    return _engines.arrays(found, [*by, *columns])


def _log1p(value: nw.Expr, rough: nw.Expr) -> nw.Expr:
    """log(1 + value), to double precision, for positive values and the rough logarithm of 1 + value."""
    whole = value + 1.0
    lost = whole == 1.0
    step = nw.when(lost).then(nw.lit(1.0)).otherwise(whole - 1.0)
    return nw.when(lost).then(value).otherwise(rough * (value / step))


def _nodes() -> np.ndarray:
    return np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


def _transform() -> np.ndarray:
    """From values at the nodes to the coefficients of the Chebyshev series: shape (NODES, NODES)."""
    matrix = 2.0 / NODES * np.cos(np.pi * np.outer(np.arange(NODES), np.arange(NODES) + 0.5) / NODES)
    matrix[0] *= 0.5
    return matrix
