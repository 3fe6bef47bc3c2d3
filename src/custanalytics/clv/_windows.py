"""Customers and the time ahead of them, in pieces of constant covariates; what a fit makes as small as it can."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from custanalytics import _jit
from custanalytics.clv import _fit
from custanalytics.clv._calendar import Calendar, Pieces
from custanalytics.clv._design import Design
from custanalytics.clv._grouped_loop import MovedPenalty

if TYPE_CHECKING:
    from custanalytics.clv._time_varying import TimeVaryingModel

_X, _W = np.polynomial.legendre.leggauss(10)
STILL, TINY = 1e-12, 1e-300  # spread of a covariate, of its mean, that is rounding
FASTEST = 5.0  # by how much the logarithm of the discount may change over a stretch of ten nodes
BATCH = 16  # points whose likelihoods one thread evaluates at a time
_NODES, _WEIGHTS = 0.5 * (_X + 1.0), 0.5 * _W


class Watched(NamedTuple):
    """Customers as a model sees them: what they did, and their time before and after the last purchase in pieces."""

    x: np.ndarray
    weight: np.ndarray
    before: Pieces
    after: Pieces
    bought: np.ndarray  # the repeat purchases in each interval, if there are covariates of the rate: (n_intervals,)

    @property
    def n_pieces(self) -> int:
        """How many pieces there are in all."""
        return int(self.before.length.size + self.after.length.size)


class Window(NamedTuple):
    """Time ahead of some customers, in pieces: how long, and how fast purchases and dropout run there."""

    length: np.ndarray
    rates: np.ndarray
    hazards: np.ndarray

    def edges(self) -> np.ndarray:
        """Where the pieces begin, and the end of the last: shape (n_pieces + 1,)."""
        return np.concatenate(([0.0], np.cumsum(self.length)))

    def cut(self, times: np.ndarray) -> tuple[np.ndarray, Window]:
        """The same time cut also at some times; with where each new piece ends."""
        edges = self.edges()
        ends = np.unique(np.concatenate((edges[1:], times)))
        begins = np.concatenate(([0.0], ends[:-1]))
        at = np.clip(np.searchsorted(edges, begins, side="right") - 1, 0, self.length.size - 1)
        return ends, Window(ends - begins, self.rates[at], self.hazards[at])


class Ahead(NamedTuple):
    """Time ahead of groups of customers, in pieces of one speed, those of one group after the other.

    The last piece of each has no end: `within` says how much of it is meant.
    """

    bounds: np.ndarray  # where those of each group begin, and the end of the last: (n_groups + 1,)
    begin: np.ndarray  # from now on
    length: np.ndarray
    rates: np.ndarray
    hazards: np.ndarray

    @classmethod
    def of(cls, pieces: Pieces, begin: np.ndarray, rates: np.ndarray, hazards: np.ndarray) -> Ahead:
        """Pieces of a calendar with the speeds of its intervals; neighbours that are alike become one."""
        rates, hazards = rates[pieces.interval], hazards[pieces.interval]
        new = np.append(True, (np.diff(rates) != 0) | (np.diff(hazards) != 0))[: rates.size]
        new[pieces.bounds[:-1]] = True
        first = np.flatnonzero(new)
        bounds = np.searchsorted(first, pieces.bounds)
        length = np.add.reduceat(pieces.length, first)
        length[bounds[1:] - 1] = inf
        return cls(bounds, begin[first], length, rates[first], hazards[first])

    def within(self, start: float, horizon: float) -> Ahead:
        """The part from `start` to `start` + `horizon`: pieces outside have no length."""
        before = np.maximum(start - self.begin, 0.0)
        left = horizon - np.maximum(self.begin - start, 0.0)
        return self._replace(length=np.maximum(np.minimum(self.length - before, left), 0.0))

    def passed(self, speeds: np.ndarray) -> np.ndarray:
        """How much time counts in each group at these speeds: shape (n_groups,)."""
        return np.add.reduceat(self.length * speeds, self.bounds[:-1])

    def window(self, group: int) -> Window:
        """That of one group."""
        own = slice(self.bounds[group], self.bounds[group + 1])
        return Window(self.length[own], self.rates[own], self.hazards[own])


@dataclass
class Objective:
    """The function of log-parameters and coefficients to minimise: value and gradient."""

    model: TimeVaryingModel
    calendar: Calendar
    watched: Watched
    penalty: _fit.Penalty
    units: np.ndarray

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        k = self.units.size
        theta, coefficients = np.split(self.natural(logs), [k])
        rates, hazards = self.model._weights(self.calendar, coefficients)
        value, by_theta, by_rate, by_hazard = self.model._likelihoods(self.watched, rates, hazards, theta)
        columns = np.array(self.model._columns_of_values(), dtype=np.intp)
        values, (rate, dropout) = self.calendar.values, self.model._sides()
        slopes = np.zeros(coefficients.size)
        slopes[rate] += values[:, columns[rate]].T @ (by_rate + self.watched.bought)
        slopes[dropout] += values[:, columns[dropout]].T @ by_hazard
        value += float(self.watched.bought @ np.log(rates))
        gradient = np.append(by_theta * theta, slopes)
        return self.penalty.value(logs) - value, self.penalty.gradient(logs) - gradient

    def standard(self, design: Design) -> Standard:
        """The same for covariates that are centred and scaled over the time lived and the purchases.

        Covariates that do not vary there are 0.
        """
        watched, values = self.watched, self.calendar.values
        before, after = (part.by_interval(watched.weight, len(values)) for part in (watched.before, watched.after))
        share = _share(before + after) + _share(watched.bought)
        share = _share(share if share.any() else np.ones(len(values)))
        seen = share > 0.0
        centre = share @ values
        away, largest = np.abs(values - centre)[seen].max(axis=0), np.abs(values[seen]).max(axis=0)
        varies = away > STILL * np.abs(centre)
        spread = np.where(varies, np.sqrt(share @ np.where(seen[:, None], values - centre, 0.0) ** 2), 1.0)
        scale = design.scale(np.where(varies, np.maximum(largest, away), 0.0), spread)
        basis = design.basis(np.where(varies, centre, 0.0), scale)
        moved = replace(self.calendar, values=np.where(varies, (values - centre) / scale, 0.0))
        penalty = MovedPenalty(self.penalty.weight, self.penalty.centre, basis)
        objective = Objective(self.model, moved, watched, penalty, self.units)
        spreads = np.append(np.ones(self.units.size), (spread / scale)[design.source])
        return Standard(objective, basis, spreads, (scale > spread) & (largest > 2.0 * away))

    def moves(self) -> np.ndarray:
        """Which coordinates change anything: not the coefficients of covariates that are always 0."""
        varies = (self.calendar.values != 0.0)[:, self.model._columns_of_values()].any(axis=0)
        return np.append(np.ones(self.units.size, dtype=bool), varies)

    @property
    def coefficients(self) -> int:
        """How many coordinates, the last ones, are no logarithms."""
        return len(self.model._columns_of_values())

    def natural(self, logs: np.ndarray) -> np.ndarray:
        """The parameters and coefficients themselves, of one point or of one in each row."""
        k, theta = self.units.size, logs.copy()
        theta[..., :k] = np.exp(logs[..., :k]) * self.units
        return theta

    def log_likelihoods(self, thetas: np.ndarray) -> np.ndarray:
        """Without the penalty, of parameters and coefficients in each row: shape (n_rows,)."""
        values = np.empty(len(thetas))
        _jit.run(self._evaluate, len(thetas), thetas, out=(values,), size=BATCH)
        return values

    def _evaluate(self, start: int, stop: int, thetas: np.ndarray, out: np.ndarray) -> None:
        """Log-likelihoods of some points, on this thread."""
        with np.errstate(all="ignore"):  # far out there may be none
            for i in range(start, stop):
                theta, coefficients = np.split(thetas[i], [self.units.size])
                out[i] = self.model._log_likelihood(self.calendar, self.watched, theta, coefficients)


class Standard(NamedTuple):
    """An objective in the solver's own coordinates."""

    objective: Objective
    basis: np.ndarray  # from these coordinates to log-parameters and coefficients of the covariates as given
    spreads: np.ndarray  # what a spread of each covariate, or 1 for a log-parameter, is in these coordinates
    far: np.ndarray  # which covariates are so far from 0 that this bounds their coefficients


def _share(parts: np.ndarray) -> np.ndarray:
    result: np.ndarray = parts / max(float(parts.sum()), TINY)
    return result


def discounted_sums(edges: np.ndarray, rate: float, memory: float) -> tuple[np.ndarray, np.ndarray]:
    """Times t_k and weights w_k with sum of w_k E[X(t_k)] = integral over the window of exp(-rate t) dE[X(t)].

    By parts, as `_discounting.discounting` has it. Expectations bend where pieces meet, and elsewhere on a scale of
    `memory` and more: Gauss and Legendre's rule is taken between those, on stretches that grow with time.
    """
    end = edges[-1]
    if end == 0.0:
        return np.zeros(1), np.ones(1)
    cuts = [0.0]
    for edge in edges[1:]:
        while edge - cuts[-1] > 1e-12 * edge:
            longest = min(memory + cuts[-1], FASTEST / rate)
            cuts.append(min(cuts[-1] + longest, edge))
    begins, lengths = np.array(cuts[:-1]), np.diff(cuts)
    times = (begins[:, None] + lengths[:, None] * _NODES).ravel()
    weights = rate * (lengths[:, None] * _WEIGHTS).ravel() * np.exp(-rate * times)
    return np.append(times, end), np.append(weights, np.exp(-rate * end))


def mean_lifetime(s: float, beta: np.ndarray, horizon: float) -> np.ndarray:
    """Mean of min(lifetime, horizon) where P(lifetime > t) = (beta / (beta + t))^s."""
    growth = np.log1p(horizon / beta)
    exponent = (s - 1.0) * growth
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        share = np.where(np.abs(exponent) < 1e-8, 1.0 - 0.5 * exponent, -np.expm1(-exponent) / exponent)
        far = beta * (-np.expm1(-exponent) / (s - 1.0)) if s != 1.0 else growth
        return np.where(np.isinf(growth), far, beta * growth * share)
