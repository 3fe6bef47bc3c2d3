"""Models of purchases whose rate of purchase and dropout depend on covariates of the customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._engine_checks import Check
from custanalytics._params import NOT_NEGATIVE, REAL, InstanceOf, Rule, check_value
from custanalytics.clv import _fit
from custanalytics.clv._base import SUMMARY_HINT, refuse
from custanalytics.clv._design import MAPPING, Customers, Design, check_coefficients, compress, missing
from custanalytics.clv._grouped_loop import CovariateOptimum, GroupedLoop, MovedPenalty, given_terms
from custanalytics.clv._purchases import PurchaseModel
from custanalytics.exceptions import InvalidDataError

RATE, DROPOUT, EQUAL = "rate", "dropout", "equal"
SETTINGS = {RATE: "rate_covariates", EQUAL: "equal_covariates"}  # any other process: dropout_covariates
ALIKE = 7.0  # so much larger are the logarithms of r and alpha where covariates explain who buys how often
NAMES: tuple[Rule, ...] = (InstanceOf((tuple, list)),)


class RateCovariateModel(PurchaseModel):
    """A model whose rate of purchase may depend on columns of the table."""

    _grouped_loop: ClassVar[Callable[..., None]]  # loop(bounds, *columns, weight, thetas, parts): one for each group
    _rate_effect: ClassVar[Mapping[str, int]] = {"alpha": -1}  # by which power covariates scale a parameter
    _learned: ClassVar[tuple[str, ...]] = (*PurchaseModel._learned, "coefficients_")
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "rate_covariates": NAMES,
        "covariate_penalty": (NOT_NEGATIVE,),
        **PurchaseModel._rules,
    }

    def __init__(
        self,
        *,
        rate_covariates: Sequence[str] = (),
        covariate_penalty: float = 0.0,
        penalty: float | Mapping[str, tuple[float, float]] = 0.0,
        max_iter: int = 200,
        tol: float = 1e-9,
    ) -> None:
        super().__init__(penalty=penalty, max_iter=max_iter, tol=tol)
        self.rate_covariates = rate_covariates
        self.covariate_penalty = covariate_penalty

    coefficients_: dict[str, dict[str, float]]

    @classmethod
    def from_params(  # type: ignore[override]
        cls, *, coefficients: Mapping[str, Mapping[str, float]] | None = None, **params: Any
    ) -> Self:
        """A fitted model at known parameters.

        Parameters
        ----------
        coefficients : mapping of str to mapping of str to float, optional
            The coefficients of the covariates by process and column, as `coefficients_` has them.
        **params : float
            Every parameter of the model by name, positive; those that carry a unit are in the unit of the tables
            that the model will score. With covariates, they are those of a customer whose covariates are all 0.

        Returns
        -------
        model
            Ready to predict. It has `params_` but none of the attributes that describe a fit.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown or not positive, or there is no such process.
        """
        effect = {name: params.pop(name) for name in ("dropout_effect",) if name in params}
        model = super().from_params(**params)
        check_coefficients(coefficients, cls.__name__)
        if not coefficients:
            return model.set_params(**effect)
        given: dict[str, tuple[str, ...]] = {}
        for process, values in coefficients.items():
            given[SETTINGS.get(process, "dropout_covariates")] = tuple(values)
        model.set_params(**{name: columns for name, columns in given.items() if hasattr(model, name)}, **effect)
        design = model._design()
        found = {(process, column) for process, values in coefficients.items() for column in values}
        if design is None or found != set(design.pairs):
            raise ValueError(
                f"The coefficients of {cls.__name__} are by process, of {list(model._processes())}, and column; got "
                f"{dict(coefficients)}."
            )
        model._keep_coefficients(design, [coefficients[process][column] for process, column in design.pairs])
        model._keep(model._baseline())
        return model

    def with_covariates(self, covariates: Mapping[str, float]) -> Self:
        """The model for customers with given covariates: one without covariates, with parameters of their own.

        Parameters
        ----------
        covariates : mapping of str to float
            A value for each column that the model uses.

        Returns
        -------
        model
            Of the same class, for whatever is asked of one customer, or of a new one: `score_one`,
            `expected_purchases_new_customer` and the like.

        Raises
        ------
        ValueError
            If the columns are not those of the model, or a value is no finite number.
        """
        check_is_fitted(self, "params_")
        check_value("covariates", covariates, (MAPPING,), type(self).__name__)
        design = self._design()
        columns = () if design is None else design.columns
        if set(covariates) != set(columns):
            raise ValueError(f"{type(self).__name__} has the covariates {list(columns)}; got {list(covariates)}.")
        for name, value in covariates.items():
            check_value(f"covariates[{name!r}]", value, (REAL,), type(self).__name__)
        values = np.array([[float(covariates[name]) for name in columns]])
        return self._without_covariates(self._baseline() if design is None else self._thetas(values)[0])

    def _processes(self) -> dict[str, tuple[str, ...]]:
        """The columns of each process that has coefficients."""
        return {RATE: tuple(self.rate_covariates)}

    def _effects(self) -> dict[str, Mapping[str, int]]:
        """By which power the covariates of each process scale the parameters."""
        return {RATE: self._rate_effect}

    def _design(self) -> Design | None:
        """The covariates and what they scale; None where there are none."""
        processes = self._processes()
        return Design.of(processes, self._effects(), self._names) if any(processes.values()) else None

    def _check_covariates(self) -> None:
        """Refuse names that cannot be those of covariates."""
        owner = type(self).__name__
        for setting in ("rate_covariates", "dropout_covariates", "equal_covariates"):
            if hasattr(self, setting):
                check_value(setting, getattr(self, setting), NAMES, owner)
        for process, columns in self._processes().items():
            setting = SETTINGS.get(process, "dropout_covariates")
            for name in columns:
                if not isinstance(name, str):
                    raise ValueError(f"{setting} of {owner} are names of columns; got {name!r}.")
                if name in PurchaseModel._columns:
                    raise ValueError(f"{name!r} is what {owner} explains and cannot be a covariate: see {setting}.")
            if len(set(columns)) < len(columns):
                raise ValueError(f"{setting} of {owner} name a column twice: {list(columns)}.")

    @property
    def _columns(self) -> tuple[str, ...]:  # type: ignore[override]
        design = self._design()
        return PurchaseModel._columns if design is None else (*PurchaseModel._columns, *design.columns)

    @property
    def _checks(self) -> tuple[Check, ...]:  # type: ignore[override]
        design = self._design()
        if design is None:
            return PurchaseModel._checks
        n = len(PurchaseModel._columns)
        own = (Check(each.phrase, each.remedy, partial(_of_first, n, each.broken)) for each in PurchaseModel._checks)
        return (*own, *(missing(name, at) for at, name in enumerate(design.columns, start=n)))

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters, and the coefficients of covariates, by maximum likelihood.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency`, `T` and the covariates, which are numbers. Of a table in
            an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) only the distinct rows are collected, with their counts.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weight of each customer, or the column of the table that holds it; 2 is the same as the row given twice,
            0 as the row left out.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If rows cannot be what the columns mean, a covariate is missing, or no row is left.

        Warns
        -----
        FitWarning
            If the solver stops short of `tol`, or some parameters are not determined by the data.
        """
        self._check_covariates()
        return super().fit(table, y, sample_weight)

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        own = super()._read(table)
        design = self._design()
        if design is None or isinstance(table, Customers):
            return own
        frame = _frames.read(table, self._columns, type(self).__name__, SUMMARY_HINT)
        for name in design.columns:
            if frame[name].dtype in (nw.String, nw.Categorical, nw.Enum):
                raise InvalidDataError(
                    f"The covariate {name!r} must be numeric; it is {frame[name].dtype}. Make a column of 0 and 1 of "
                    "each category but one."
                )
        values = tuple(_frames.floats(frame, name) for name in design.columns)
        for at, name in enumerate(design.columns):
            check = missing(name, at)
            refuse(frame, check.broken(*values), check.phrase, check.remedy)
        return (*own, *values)

    def _compress(self, columns: tuple[np.ndarray, ...], weight: np.ndarray | None) -> _fit.Sample:
        n = len(PurchaseModel._columns)
        return super()._compress(columns, weight) if len(columns) == n else compress(columns[:n], columns[n:], weight)

    def _maximise(self, sample: _fit.Sample, unit: float) -> _fit.Optimum:
        design = self._design()
        if design is None:
            return super()._maximise(sample, unit)
        # Covariates are centred and scaled for the solver; one that is the same for everybody is not for it at all.
        first = len(PurchaseModel._columns)
        own, values, share = sample.columns[:first], sample.columns[first:], sample.weight / sample.weight.sum()
        centre = np.array([float(share @ column) for column in values])
        spread = np.sqrt([float(share @ (column - mean) ** 2) for column, mean in zip(values, centre, strict=True)])
        varies = spread > 1e-12 * np.abs(centre)
        used = design.only(varies)
        k, n = len(self._names), len(used.pairs)
        centre, spread = centre[varies], spread[varies]
        scale = used.scale(np.abs(centre), spread)
        basis = used.basis(centre, scale)
        kept = [column for column, each in zip(values, varies, strict=True) if each]
        scaled = _fit.Sample(own, sample.weight).scaled(
            tuple(unit if name in self._unit_columns else 1.0 for name in PurchaseModel._columns)
        )
        starts = np.log(self._starts(scaled))
        starts = np.vstack((starts, starts[0] + np.multiply(ALIKE, np.arange(k) < 2)))  # r and alpha
        penalty, at = self._penalty(unit), np.append(np.arange(k), k + np.flatnonzero(varies[design.source]))
        optimum = _fit.fit_sample(
            GroupedLoop(self._grouped_loop, used, centre, scale) if n else self._loglik_loop,
            _fit.Sample((*own, *kept), sample.weight),
            np.hstack([starts, np.zeros((len(starts), n))]),
            penalty=MovedPenalty(np.asarray(penalty.weight)[at], np.asarray(penalty.centre)[at], basis),
            max_iter=int(self.max_iter),
            tol=float(self.tol),
            exact=self._second_derivatives,
            units=np.append(self._units(unit), np.ones(n)),
            coefficients=n,
            enough=self._enough,
        )
        spreads = np.append(np.ones(k), (spread / scale)[used.source])
        used.report_bounded(optimum.logs[k:], scale > spread, type(self).__name__)
        return given_terms(optimum, basis, at, k + len(design.pairs), spreads)

    def _penalty(self, unit: float) -> _fit.Penalty:
        penalty, design = super()._penalty(unit), self._design()
        if design is None:
            return penalty
        n, k = design.powers.shape
        weight = np.append(np.broadcast_to(penalty.weight, k), np.full(n, float(self.covariate_penalty)))
        return _fit.Penalty(weight, np.append(np.broadcast_to(penalty.centre, k), np.zeros(n)))

    def _learn(self, optimum: _fit.Optimum, unit: float) -> None:
        design = self._design()
        if design is None or not isinstance(optimum, CovariateOptimum):
            self.__dict__.pop("coefficients_", None)  # of an earlier fit
            super()._learn(optimum, unit)
            return
        k = design.powers.shape[1]
        theta = np.exp(optimum.logs[:k]) * self._units(unit)
        self._keep_coefficients(design, optimum.logs[k:])
        self._keep(theta)
        self._keep_shape(optimum, optimum.shape, np.append(theta, np.ones(len(design.pairs))))
        self._report(optimum)

    def _keep_coefficients(self, design: Design, coefficients: Any) -> None:
        self.coefficients_ = {process: {} for process, _ in design.pairs}
        for (process, column), value in zip(design.pairs, coefficients, strict=True):
            self.coefficients_[process][column] = float(value)

    def _estimates(self) -> dict[str, float]:
        design = self._design()
        if design is None:
            return super()._estimates()
        found = (self.coefficients_[process][column] for process, column in design.pairs)
        return {**super()._estimates(), **dict(zip(design.labels, found, strict=True))}

    def _likelihood(self) -> tuple[Callable[..., None], np.ndarray]:
        design = self._design()
        if design is None:
            return super()._likelihood()
        check_is_fitted(self, "params_")
        zeros, ones = np.zeros(len(design.columns)), np.ones(len(design.columns))
        return GroupedLoop(self._grouped_loop, design, zeros, ones), np.array(list(self._estimates().values()))

    def _theta(self) -> np.ndarray:
        if any(self._processes().values()):
            check_is_fitted(self, "params_")
            names = list(self._columns[len(PurchaseModel._columns) :])
            values = ", ".join(f"{name!r}: ..." for name in names)
            raise ValueError(
                f"This {type(self).__name__} has the covariates {names}, so that this depends on the customer: ask it "
                f"of model.with_covariates({{{values}}})."
            )
        return super()._theta()

    def _baseline(self) -> np.ndarray:
        """The parameters of a customer whose covariates are all 0."""
        return np.array([self.params_[name] for name in self._names])

    def _thetas(self, values: np.ndarray) -> np.ndarray:
        """The parameters of customers with some covariates: shape (n_rows, n_params)."""
        design = self._design()
        assert design is not None  # the caller has seen it
        coefficients = np.array([self.coefficients_[process][column] for process, column in design.pairs])
        return design.thetas(self._baseline(), values, coefficients)

    def _without_covariates(self, theta: np.ndarray) -> Self:
        """This model with its parameters replaced, and no covariates."""
        model = object.__new__(type(self))
        model.__dict__.update(vars(self))
        for setting in ("rate_covariates", "dropout_covariates", "equal_covariates"):
            if setting in vars(model):
                setattr(model, setting, ())
        model.params_ = {**self.params_, **dict(zip(self._names, theta.tolist(), strict=True))}
        for learned in set(self._learned) - {"params_", "k_"}:
            model.__dict__.pop(learned, None)
        return model


def _of_first(n: int, broken: Callable[..., Any], *columns: Any) -> Any:
    return broken(*columns[:n])
