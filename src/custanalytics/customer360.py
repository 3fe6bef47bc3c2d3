"""Customer360: the one composed estimator, from a raw log to a scored customer table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames, _report
from custanalytics._output import FrameTransformer
from custanalytics._params import (
    BOOLEAN,
    NONE,
    Having,
    InstanceOf,
    Number,
    OneOf,
    Rule,
    check_params,
    integer,
    require_extra,
    warn,
)
from custanalytics._steps import DEFAULTS, TABLE_STEPS, TITLES, clean, new
from custanalytics.exceptions import DataQualityWarning, InvalidDataError

__all__ = ["Customer360"]

STEP = Having(("fit", "get_params"))


class Customer360(FrameTransformer, BaseEstimator):
    """Score every customer of a transaction log: RFM, lifetime value, churn risk, groups, next best offers.

    It joins the library's estimators in their usual order and gives one row per customer. Every step is an estimator
    of its own: replace it, switch it off with None, or set its parameters (``set_params(churn__cv=3)``).
    Use the steps themselves where you need more than their main output.

    Parameters
    ----------
    columns : mapping or None, default=None
        Maps the standard names ("customer_id", "timestamp", "amount", and if the log has them "order_id",
        "product_id", "quantity", "channel") to those of your log.
    validator, summary, scorer, segmenter, value, churn_features, churn, tiers, clusterer, offers : \
"default", None or estimator
        The steps: :class:`~custanalytics.validation.TransactionValidator`, :class:`~custanalytics.rfm.RFMSummary`
        (the one step that cannot be switched off), :class:`~custanalytics.rfm.RFMScorer`,
        :class:`~custanalytics.rfm.RFMSegmenter`, :class:`~custanalytics.clv.LifetimeValue`,
        :class:`~custanalytics.churn.ChurnFeatures` and :class:`~custanalytics.churn.ChurnClassifier`,
        :class:`~custanalytics.segmentation.ValueTiers`, :class:`~custanalytics.segmentation.CustomerClusterer`,
        :class:`~custanalytics.offers.NextBestOffer`. Estimators given are cloned, never changed.
    churn_horizon : float, default=90
        A customer churns who buys nothing for so long, in the `time_unit` of `churn_features` (days by default).
    n_churn_cutoffs : int, default=6
        Earlier cutoffs, a month apart at most, from which churn is learned; fewer where the log is short.
    progress : bool, default=False
        Show the steps as they run (needs the extra ``progress``).

    Attributes
    ----------
    as_of_ : numpy.datetime64
        Last observed period of the log given to `fit`.
    table_ : frame
        The scored customers of that log. Not kept in a pickle.
    skipped_ : dict of str to str
        Steps that the data cannot support, with the reason: no ``product_id``, a log too short to learn churn.
    validator_, summary_, scorer_, segmenter_, value_, churn_features_, churn_, tiers_, clusterer_, offers_ : estimator
        The fitted steps that were run.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Columns of the log given to `fit`.
    n_features_in_ : int
        Their number.

    See Also
    --------
    custanalytics.validation.TransactionValidator : The first step; its ``report_`` and ``quarantine_`` stay at hand
        in ``validator_``.

    Notes
    -----
    The columns added to those of the summary, step by step: ``r_score, f_score, m_score``; ``segment``; ``p_alive``,
    ``expected_purchases`` (over the horizon of the value step), ``expected_spend`` (per purchase),
    ``lifetime_value`` (discounted, in the currency of the log); ``churn_risk``; ``value_tier``, ``usage_tier``;
    ``cluster``; ``offer_1``, ..., ``priority_1``, ....

    `fit` learns cut points, parameters and affinities, and freezes them: `transform` scores another log, or part of
    the same one, by them and at the same `as_of_`. Churn is learned from cutoffs whose labels were all known by
    `as_of_`, and scored at the end of `as_of_`. Those who have not bought twice are worth their expected spend too.

    Examples
    --------
    >>> from custanalytics import Customer360
    >>> from custanalytics.datasets import simulate_transactions
    >>> log = simulate_transactions(n_customers=300, seed=7).log
    >>> table = Customer360(churn=None, clusterer=None).fit_transform(log)
    >>> table.shape[0] == log["customer_id"].nunique()
    True
    >>> bool(table["p_alive"].between(0, 1).all() and (table["lifetime_value"] >= 0).all())
    True
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        **dict.fromkeys(DEFAULTS, (OneOf(("default",)), NONE, STEP)),
        "summary": (OneOf(("default",)), STEP),
        "churn_horizon": (Number(0, closed="neither"),),
        "n_churn_cutoffs": (integer(1),),
        "progress": (BOOLEAN,),
    }

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        validator: Any = "default",
        summary: Any = "default",
        scorer: Any = "default",
        segmenter: Any = "default",
        value: Any = "default",
        churn_features: Any = "default",
        churn: Any = "default",
        tiers: Any = "default",
        clusterer: Any = "default",
        offers: Any = "default",
        churn_horizon: float = 90,
        n_churn_cutoffs: int = 6,
        progress: bool = False,
    ) -> None:
        self.columns = columns
        self.validator = validator
        self.summary = summary
        self.scorer = scorer
        self.segmenter = segmenter
        self.value = value
        self.churn_features = churn_features
        self.churn = churn
        self.tiers = tiers
        self.clusterer = clusterer
        self.offers = offers
        self.churn_horizon = churn_horizon
        self.n_churn_cutoffs = n_churn_cutoffs
        self.progress = progress

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator or, as ``step__parameter``, of a step; a default step is made first."""
        for name in {key.partition("__")[0] for key in params if "__" in key}:
            given = getattr(self, name) if name in DEFAULTS and name not in params else self
            if given is None:
                raise ValueError(f"The step {name!r} of Customer360 is off: first set_params({name}='default').")
            if isinstance(given, str):
                setattr(self, name, DEFAULTS[name]())
        return super().set_params(**params)

    def fit(self, X: Any, y: Any = None, *, as_of: str | date | np.datetime64 | None = None) -> Self:
        """Learn every step from a log, and score its customers.

        Parameters
        ----------
        X : frame
            The event log, one row per line of a transaction.
        y : None
            Ignored.
        as_of : str, date, datetime, numpy.datetime64 or None, default=None
            Names the last observed period: all its events count, none after it. None takes the summary step's own,
            which by default is the log's last period.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            Where no usable row is left.
        MissingColumnError
            Where the log lacks a column, named with the remedy.

        Warns
        -----
        DataQualityWarning
            Where a step is left out since the data cannot support it; `skipped_` says which and why.
        """
        check_params(self, self._rules)
        names = _frames.read(X, owner="Customer360").columns
        self.feature_names_in_, self.n_features_in_ = np.asarray(names, dtype=object), len(names)
        self.skipped_: dict[str, str] = {}
        for name in DEFAULTS:
            self.__dict__.pop(f"{name}_", None)  # a fit forgets the last one
        with self._shown() as show:
            log = self._clean(X, show, learn=True)
            summary = new(self, "summary")
            if as_of is not None:
                summary.set_params(as_of=as_of)
            show("summary")
            self.summary_ = summary.fit(log)
            self.as_of_ = self.summary_.as_of_
            table = self._score(_frames.read(self.summary_.transform(log)), log, show, learn=True)
        self.table_ = table.to_native()
        return self

    def transform(self, X: Any) -> Any:
        """Score the customers of a log by what `fit` learned, at the same `as_of_`.

        Parameters
        ----------
        X : frame
            An event log with the columns that `fit` saw.

        Returns
        -------
        frame
            One row per customer with a purchase up to `as_of_`, in ascending order of customer_id.
        """
        check_is_fitted(self, "as_of_")
        with self._shown() as show:
            log = self._clean(X, show, learn=False)
            show("summary")
            table = _frames.read(self.summary_.transform(log))
            return self._give(self._score(table, log, show, learn=False))

    def fit_transform(self, X: Any, y: Any = None, *, as_of: Any = None) -> Any:
        """Fit to a log and give its scored customers, without scoring them twice.

        Parameters
        ----------
        X : frame
            The event log.
        y : None
            Ignored.
        as_of : str, date, datetime, numpy.datetime64 or None, default=None
            As in `fit`.

        Returns
        -------
        frame
            One row per customer, in ascending order of customer_id.
        """
        return self._give(_frames.read(self.fit(X, as_of=as_of).table_))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the scored table.

        Parameters
        ----------
        input_features : None
            Ignored: the steps determine the columns.

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self, "as_of_")
        return self._names_out.copy()

    def report(self, path: str | Path, table: Any = None) -> Path:
        """Write one self-contained HTML page: the tables and plots a manager looks at first.

        Parameters
        ----------
        path : str or Path
            Where to write it.
        table : frame or None, default=None
            A table that `transform` gave. None takes the customers of the log given to `fit`.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        MissingExtraError
            Where matplotlib is not installed (the extra ``plot``).
        """
        check_is_fitted(self, "as_of_")
        table = getattr(self, "table_", None) if table is None else table
        if table is None:
            raise ValueError(
                "A loaded Customer360 holds no customers: pass a table, report(path, table=c360.transform(log))."
            )
        page = _report.page(self, _frames.read(table))
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
        return path

    def _clean(self, X: Any, show: Callable[[str], None], *, learn: bool) -> Any:
        if self.validator is None:
            return _frames.read_log(X, self.columns, owner="Customer360").to_native()
        show("validator")
        if learn:
            self.validator_ = new(self, "validator")
            if self.columns is not None:
                self.validator_.set_params(columns=self.columns)
            self.validator_.fit(X)
        return clean(self, X, learn)

    def _score(
        self, table: nw.DataFrame[Any], log: Any, show: Callable[[str], None], *, learn: bool
    ) -> nw.DataFrame[Any]:
        if learn and len(table) == 0:
            raise InvalidDataError(f"No customer has a purchase up to {self.as_of_}: there is nobody to score.")
        for name, add in TABLE_STEPS.items():
            if getattr(self, name) is None or name in self.skipped_:
                continue
            show(name)
            try:
                table = add(self, name, table, log, learn)
            except InvalidDataError as error:
                if not learn:
                    raise
                self._skip(name, str(error))
        if learn:
            self._names_out = np.asarray(table.columns, dtype=object)
        return table

    def _skip(self, name: str, reason: str) -> None:
        self.skipped_[name] = reason
        self.__dict__.pop(f"{name}_", None)
        warn(f"Customer360 leaves out the step {name!r}: {reason}", DataQualityWarning)

    @contextmanager
    def _shown(self) -> Iterator[Callable[[str], None]]:
        if not self.progress:
            yield lambda name: None
            return
        names = [name for name in TITLES if getattr(self, name) is not None]
        with require_extra("tqdm.auto", "progress", "progress=True").tqdm(total=len(names)) as bar:

            def show(name: str) -> None:
                bar.set_description(TITLES[name])
                bar.update()

            yield show

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return _report.card(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in dict(super().__getstate__()).items() if name != "table_"}
