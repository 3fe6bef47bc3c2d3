"""Covariates of a model's parameters: which coefficient scales which, and groups of customers with equal ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engines
from custanalytics._engine_checks import Check, absent
from custanalytics._params import NONE, REAL, TEXT, InstanceOf, check_value, warn
from custanalytics.clv import _fit
from custanalytics.exceptions import FitWarning

MAPPING = InstanceOf((Mapping,))
FARTHEST = 600.0  # in logarithms: so far covariates may move parameters within a fit, and so far off they may be at 0
SMALLEST, LARGEST = 1e-50, 1e25  # where customers' own parameters are cut: beyond, all is over
FEW = 256  # groups up to which each is compressed by itself
REMEDY = "Fill them in, say with the mean and a second column of 0 and 1 that says where, or drop those customers."


class Customers(NamedTuple):
    """Columns that were read and checked before, in the order of the model."""

    columns: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Design:
    """Coefficients, each of one column, and the parameters that they scale.

    A customer's parameter is the baseline's times exp(sum over coefficients of power * coefficient * value).
    """

    columns: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (process, column), one per coefficient
    source: np.ndarray  # which column each coefficient is of
    powers: np.ndarray  # of exp(coefficient * value) in each parameter: (n_coefficients, n_params)

    @classmethod
    def of(
        cls, covariates: Mapping[str, tuple[str, ...]], effects: Mapping[str, Mapping[str, int]], names: tuple[str, ...]
    ) -> Design:
        """The design of some processes, each with its columns and with the powers of the parameters it scales."""
        pairs = tuple((process, column) for process, columns in covariates.items() for column in columns)
        columns = tuple(dict.fromkeys(column for _, column in pairs))
        source = np.array([columns.index(column) for _, column in pairs], dtype=np.intp)
        powers = np.array([[float(effects[process].get(name, 0)) for name in names] for process, _ in pairs])
        return cls(columns, pairs, source, powers.reshape(len(pairs), len(names)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the coefficients, each unlike all others."""
        return tuple(f"{process}:{column}" for process, column in self.pairs)

    def only(self, columns: np.ndarray) -> Design:
        """The design without the columns that are False in a mask."""
        kept = columns[self.source]
        names = tuple(name for name, each in zip(self.columns, columns, strict=True) if each)
        pairs = tuple(pair for pair, each in zip(self.pairs, kept, strict=True) if each)
        return Design(names, pairs, (np.cumsum(columns) - 1)[self.source[kept]], self.powers[kept])

    def thetas(self, baseline: np.ndarray, values: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Customers' parameters: shape (n_rows, n_params) for values of shape (n_rows, n_columns)."""
        exponents = (values[:, self.source] * coefficients) @ self.powers
        with np.errstate(over="ignore"):
            scaled = baseline * np.exp(np.clip(exponents, -2.0 * FARTHEST, 2.0 * FARTHEST))
        return np.clip(scaled, SMALLEST, LARGEST)

    def basis(self, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """From log-parameters and coefficients of (value - centre) / spread to those of the values themselves."""
        n, k = self.powers.shape
        result = np.eye(k + n)
        result[k:, k:] = np.diag(1.0 / spread[self.source])
        result[:k, k:] = -self.powers.T * (centre / spread)[self.source]
        return result

    def scale(self, reach: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """The unit of each column for the solver: its spread, or what keeps all it reaches within `FARTHEST`."""
        return np.maximum(spread, reach * len(self.columns) * _fit.BOX / FARTHEST)

    def report_bounded(self, found: np.ndarray, far: np.ndarray, owner: str) -> None:
        """Warn of columns so far from 0 that this bounds what the solver found, their coefficients in its units."""
        bounded = {self.columns[at] for at in self.source[np.abs(found) >= _fit.BOUNDARY] if far[at]}
        if bounded:
            warn(
                f"{owner}: the coefficients of {', '.join(sorted(bounded))} are bounded, for the values are far from 0 "
                "beside how much they vary: at 0, parameters would be beyond what a float holds. Subtract a typical "
                "value from them.",
                FitWarning,
            )


def missing(name: str, at: int) -> Check:
    """That a covariate, the column number `at`, is missing."""
    return Check(f"have a missing or infinite {name}", REMEDY, lambda *columns: absent(columns[at]))


def group_codes(values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, int]:
    """Number the distinct rows of some columns in ascending order: int64 of shape (n_rows,), and how many there are."""
    codes = np.zeros(values[0].size, np.int64)
    found = min(codes.size, 1)
    for column in values:
        uniques, ranks = np.unique(column, return_inverse=True)
        if uniques.size > 1:
            kept, codes = np.unique(codes * uniques.size + ranks, return_inverse=True)
            found = kept.size
    return codes, found


def compress(own: tuple[np.ndarray, ...], values: tuple[np.ndarray, ...], weight: np.ndarray | None) -> _fit.Sample:
    """Distinct rows with summed weights, one group of equal covariates after the other."""
    own, values = (tuple(column + 0.0 for column in columns) for columns in (own, values))  # no -0.0
    codes, found = group_codes(values)
    if found > FEW:
        return _compress_sorted(own, values, codes, np.ones(codes.size) if weight is None else weight)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes, np.arange(found + 1), sorter=order)
    parts, groups = [], []
    for low, high in pairwise(bounds):
        rows = order[low:high]
        whole = rows.size == codes.size
        part = _fit.compress(
            own if whole else tuple(column[rows] for column in own),
            weight if whole or weight is None else weight[rows],
        )
        parts.append(part)
        groups.append([np.full(part.weight.size, column[rows[0]]) for column in values])
    columns = [np.concatenate(pieces) for pieces in zip(*(part.columns for part in parts), strict=True)]
    constant = [np.concatenate(pieces) for pieces in zip(*groups, strict=True)]
    return _fit.Sample((*columns, *constant), np.concatenate([part.weight for part in parts]))


def _compress_sorted(
    own: tuple[np.ndarray, ...], values: tuple[np.ndarray, ...], codes: np.ndarray, weight: np.ndarray
) -> _fit.Sample:
    first, *between, last = own
    order = np.lexsort((weight, *reversed(between), last, first, codes))
    keys = [column[order] for column in (codes, *own)]
    new = np.zeros(order.size, dtype=bool)
    new[0] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(new)
    columns = (*(key[starts] for key in keys[1:]), *(column[order[starts]] for column in values))
    return _fit.Sample(columns, np.add.reduceat(weight[order], starts))


class Groups(NamedTuple):
    """Customers in groups, from one bound to the next, and the parameters of each group: shape (n_groups, n_params)."""

    bounds: list[int]
    thetas: np.ndarray

    def run(self, loop: Callable[..., None], columns: tuple[np.ndarray, ...], *inputs: np.ndarray) -> np.ndarray:
        """What `loop(start, stop, *columns, theta, *inputs, out)` makes of each group: shape (n_customers,)."""
        out = np.empty(self.bounds[-1])
        for at, (start, stop) in enumerate(pairwise(self.bounds)):
            loop(start, stop, *columns, self.thetas[at], *inputs, out)
        return out


def each_group(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a table, asked of each group of customers with equal covariates: of their model without covariates.

    The method gives an array with one row per customer.
    """

    @wraps(method)
    def wrapped(self: Any, table: Any, *args: Any, **named: Any) -> Any:
        design = self._design()
        if design is None or _engines.is_lazy(table):
            return method(self, table, *args, **named)
        check_is_fitted(self, "params_")
        columns = self._read(table)
        own, values = columns[: -len(design.columns)], columns[-len(design.columns) :]
        codes, found = group_codes(values)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes, np.arange(found + 1), sorter=order)
        firsts = order[bounds[:-1]]
        thetas = self._thetas(np.column_stack([column[firsts] for column in values]))
        plain = self._without_covariates(self._baseline())
        if found == 0:
            return method(plain, Customers(own), *args, **named)
        sorted_columns = [column[order] for column in own]
        for column in (*sorted_columns, thetas):
            column.flags.writeable = False  # as kernels want it, once for all groups
        if self._takes_groups(method.__name__, **named):
            plain._groups = Groups(bounds.tolist(), thetas)
            by_row = np.empty(order.size)
            by_row[order] = method(plain, Customers(tuple(sorted_columns)), *args, **named)
            return by_row
        result: Any = None
        for theta, low, high in zip(thetas.tolist(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            rows = Customers(tuple(column[low:high] for column in sorted_columns))
            plain.params_ = {**plain.params_, **dict(zip(self._names, theta, strict=True))}
            part = np.asarray(method(plain, rows, *args, **named))
            if result is None:
                result = np.empty((order.size, *part.shape[1:]), part.dtype)
            result[order[low:high]] = part
        return result

    return wrapped


def within(restricted: Any, full: Any) -> bool:
    """Whether the covariates of one model are a special case of those of another."""
    small, large = (model._design() if hasattr(model, "_design") else None for model in (restricted, full))
    if small is None or large is None:  # perhaps covariates that change with time
        few, many = (
            {(process, name) for process, each in getattr(model, "coefficients_", {}).items() for name in each}
            for model in (restricted, full)
        )
        both = {("equal", name) for process, name in many if process == "rate" and ("dropout", name) in many}
        return small is None and few <= many | both
    places = [full._names.index(name) for name in restricted._names]
    for at, column in enumerate(small.columns):
        if column not in large.columns:
            return False
        span = large.powers[large.source == large.columns.index(column)]
        rows = np.zeros((int((small.source == at).sum()), len(full._names)))
        rows[:, places] = small.powers[small.source == at]
        if np.linalg.matrix_rank(np.vstack((span, rows))) > np.linalg.matrix_rank(span):
            return False
    return True


def check_coefficients(coefficients: Any, owner: str) -> None:
    """Refuse what is no mapping from processes to finite numbers by column; None is no coefficients."""
    check_value("coefficients", coefficients, (MAPPING, NONE), owner)
    for process, values in (coefficients or {}).items():
        check_value(f"coefficients[{process!r}]", values, (MAPPING,), owner)
        for column, value in values.items():
            check_value(f"a column of coefficients[{process!r}]", column, (TEXT,), owner)
            check_value(f"coefficients[{process!r}][{column!r}]", value, (REAL,), owner)
