"""RFMScorer: scores from 1 to n_bins on the customer table, with cut points frozen by fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engines, _frames
from custanalytics._columns import FREQUENCY, INACTIVITY, MONETARY_VALUE, RECENCY, T
from custanalytics._output import FrameTransformer
from custanalytics._params import NONE, TEXT, InstanceOf, OneOf, Rule, check_params, check_value
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._cuts import Nests, empty_scores, fitted_cuts, score_by
from custanalytics.rfm._lazy_scores import fit_in_engine, score_in_engine
from custanalytics.rfm._presets import PRESETS
from custanalytics.rfm._scale import N_BINS, SCORES, WEIGHT, ThreeOf, scales
from custanalytics.rfm._wording import bad_customers, warn_of_constant

RFM_SCORE = "rfm_score"
DECIMALS = 9  # of an inactivity: far below any clock, far above what rounding leaves of T - recency


class RFMScorer(FrameTransformer, BaseEstimator):
    """Score customers from 1 to `n_bins` (best) on recency, frequency and money.

    `fit` takes the cut points from a customer table and freezes them: another table, next month's or a part of
    this one, is scored by the same cuts, and so is a customer whom `fit` has not seen. Customers with equal values
    get equal scores whatever the ties and the order of the rows, and a better value never gets a worse score. The
    price is that heavily tied columns do not use every score: where half of the customers bought once, all of
    them score 1 for frequency and the others share what is left. Where that loses too much, keep the customers
    without a repeat purchase apart (`zero_apart`), lower `n_bins`, or give cuts of your own.

    Parameters
    ----------
    n_bins : int or three ints, default=5
        Number of scores, 2 to 100; one number, or one each for recency, frequency and money.
    recency : str, default="inactivity"
        Column of the time since the last purchase: *smaller is better*. Where a table has no `inactivity`, it
        is `T` - `recency`.
    frequency : str, default="frequency"
        Column where larger is better.
    monetary : str, default="monetary_value"
        Column where larger is better.

    method : {"quantile", "nested"}, default="quantile"
        "quantile" cuts each column by itself. "nested" cuts frequency within each recency score, and money within
        each pair of recency and frequency scores: the cells fill evenly, but equal frequencies under different
        recency scores may score differently.
    cut_points : mapping of str to sequence of float, or None, default=None
        Cuts of your own for "r_score", "f_score" or "m_score", in the unit of the column, rising or falling; a score
        without any is cut by `method`. A value *on* a cut gets the worse score: ``{"r_score": [30, 90]}`` gives 3
        to less than 30, 2 to less than 90, 1 to 90 and more; ``{"f_score": [0, 4]}`` gives 1 up to 0, 2 up to 4, 3
        above. These scores have one more value than cuts, whatever `n_bins` says.
    shares : mapping of str to sequence of float, or None, default=None
        Wanted shares of customers with each score, the worst score first, in place of equal ones; they sum to 1.
        These scores have as many values as shares, whatever `n_bins` says.
    zero_apart : sequence of {"f_score", "m_score"}, default=()
        Scores whose 1 is kept for values of 0 and less, so that the rest is divided among the others alone. With
        `shares` it is one score more.
    weights : three floats or None, default=None
        Weights of recency, frequency and money in the column `rfm_score`, at least 0. None adds no such column.

    Attributes
    ----------
    cut_points_ : dict of str to ndarray of shape (n_bins - 1,)
        For "r_score", "f_score" and "m_score": the k-th cut parts the scores k and k + 1, in the unit of the
        column. Those of "r_score" descend. With ``method="nested"`` "f_score" has a row for each recency score and
        "m_score" is of shape (recency scores, frequency scores, cuts).
    n_bins_ : tuple of three ints
        Number of recency, frequency and money scores.
    unreachable_scores_ : dict of str to tuple of int
        Scores that nobody can get, seen or not: ties made the cuts on both sides of them equal.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.

    See Also
    --------
    RFMSummary : Makes the customer table.
    RFMSegmenter : Named segments from the scores.

    Notes
    -----
    With :math:`v` the value (for recency its negative), :math:`\\hat F` the distribution of the fitted values,
    :math:`B` the number of bins, and :math:`s_k` the share of customers wanted in the first :math:`k` of them
    (:math:`k / B` unless `shares` are given),

    .. math::

        c_k = \\min\\bigl(\\min\\{v : \\hat F(v) \\ge s_k\\},\\; v_{(-1)}\\bigr), \\qquad
        \\mathrm{score}(v) = 1 + \\#\\{k : c_k < v\\},

    where :math:`v_{(-1)}` is the second-largest distinct fitted value. The first term is the quantile that
    NumPy calls "inverted_cdf". Every cut is thus a fitted value: scoring commutes with any increasing
    transformation of a column (a change of currency or unit). The second term gives the best fitted value the
    best score even where more than a B-th of the customers share it; the worst gets 1. With `zero_apart`,
    :math:`c_1 = 0` and :math:`\\hat F` is the distribution of the values above 0.

    Nested scores are these, with :math:`\\hat F` taken within the nest. A nest in which `fit` saw nobody (a customer
    may come to it later, where all of a wider nest were equal, or by cuts of your own) takes the cuts of the nest
    around it: those of the recency score for money, those of the whole table for frequency.

    With weights :math:`w`, `rfm_score` is :math:`w_R\\,r + w_F f + w_M m`, not divided by anything: weights of
    (100, 10, 1) write the three digits side by side. It then runs from the sum of the weights to the sum of the
    weights times the numbers of bins.

    `inactivity` is rounded to 9 decimals of its unit before it is cut or scored, so that equal durations that
    were computed as differences stay equal.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import RFMScorer
    >>> table = pd.DataFrame({
    ...     "customer_id": [1, 2, 3, 4],
    ...     "inactivity": [1.0, 5.0, 9.0, 30.0],
    ...     "frequency": [0, 0, 2, 7],
    ...     "monetary_value": [0.0, 0.0, 25.0, 80.0],
    ... })
    >>> scores = RFMScorer(n_bins=4).fit_transform(table)
    >>> scores[["customer_id", "r_score", "f_score", "m_score"]]
       customer_id  r_score  f_score  m_score
    0            1        4        1        1
    1            2        3        1        1
    2            3        2        3        3
    3            4        1        4        4
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "n_bins": (N_BINS, ThreeOf(N_BINS)),
        "recency": (TEXT,),
        "frequency": (TEXT,),
        "monetary": (TEXT,),
        "method": (OneOf(("quantile", "nested")),),
        "cut_points": (InstanceOf((Mapping,)), NONE),
        "shares": (InstanceOf((Mapping,)), NONE),
        "zero_apart": (InstanceOf((tuple, list)),),
        "weights": (ThreeOf(WEIGHT), NONE),
    }

    def __init__(
        self,
        *,
        n_bins: int | Sequence[int] = 5,
        recency: str = INACTIVITY,
        frequency: str = FREQUENCY,
        monetary: str = MONETARY_VALUE,
        method: str = "quantile",
        cut_points: Mapping[str, Sequence[float]] | None = None,
        shares: Mapping[str, Sequence[float]] | None = None,
        zero_apart: Sequence[str] = (),
        weights: Sequence[float] | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.recency = recency
        self.frequency = frequency
        self.monetary = monetary
        self.method = method
        self.cut_points = cut_points
        self.shares = shares
        self.zero_apart = zero_apart
        self.weights = weights

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """The scorer that a preset of rules is made for.

        Parameters
        ----------
        name : {"eleven-segments", "ten-segments", "value-usage"}
            Name of the preset.

        Returns
        -------
        scorer : RFMScorer
            Not fitted.

        Examples
        --------
        >>> from custanalytics.rfm import RFMScorer
        >>> RFMScorer.from_preset("value-usage").zero_apart
        ('f_score',)
        """
        check_value("name", name, (OneOf(tuple(PRESETS)),), "RFMScorer.from_preset")
        return cls(**PRESETS[name].scoring)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the cut points.

        Parameters
        ----------
        X : frame
            The customer table. One that stays in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) is cut at the same
            values, found by counting there.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            Where the table is empty or a value is missing or infinite.

        Warns
        -----
        DataQualityWarning
            Where a column is constant: every customer then has one score on it.
        """
        check_params(self, self._rules)
        plan = scales(self.n_bins, self.cut_points, self.shares, self.zero_apart)
        fixed = plan[SCORES[0]].fixed
        if self.recency == INACTIVITY and fixed is not None:
            plan[SCORES[0]] = replace(plan[SCORES[0]], fixed=np.round(fixed, DECIMALS))
        if _engines.is_lazy(X):
            fit_in_engine(self, X, plan)
            return self
        frame = _frames.read(X, owner="RFMScorer")
        if len(frame) == 0:
            raise InvalidDataError("The customer table is empty: RFMScorer.fit needs at least one customer.")
        self.n_bins_ = tuple(scale.n_bins for scale in plan.values())
        self.cut_points_, self.unreachable_scores_ = {}, {}
        values = self._values(frame)
        self._whole = tuple(score for score, (_, column) in values.items() if (column == np.floor(column)).all())
        around: tuple[int, ...] = ()  # numbers of bins of the scores that the next is nested in
        nesting = [Nests(np.zeros(len(frame), np.int64), 1)]
        for (score, (column, found)), scale in zip(values.items(), plan.values(), strict=True):
            sign = -1.0 if score == SCORES[0] else 1.0
            cuts = fitted_cuts(sign * found, nesting, scale)
            scores = score_by(sign * found, cuts, nesting[-1].at)
            self.cut_points_[score] = (sign * cuts + 0.0).reshape(*around, scale.n_bins - 1)
            self.unreachable_scores_[score] = empty_scores(cuts)
            if found.min() == found.max():
                warn_of_constant(found.size, column, found[0], score, int(scores[0]))
            if self.method == "nested":
                nesting.append(Nests(nesting[-1].at * scale.n_bins + scores - 1, nesting[-1].count * scale.n_bins))
                around = (*around, scale.n_bins)
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def transform(self, X: Any) -> Any:
        """Add the scores.

        Parameters
        ----------
        X : frame
            A customer table; its customers need not be those of `fit`.

        Returns
        -------
        table : frame
            The table with the int64 columns r_score, f_score and m_score, each from 1 to `n_bins` (best), and with
            `weights` the float64 column rfm_score: the same kind of frame as X, lazy where X is.

        Raises
        ------
        InvalidDataError
            Where a value is missing or infinite.
        """
        check_is_fitted(self)
        if _engines.is_lazy(X):
            return score_in_engine(self, X)
        frame = _frames.read(X, owner="RFMScorer")
        return self._give(_frames.extend(frame, self._score(self._values(frame))))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the scored table.

        Parameters
        ----------
        input_features : None
            Ignored: the names seen by `fit` are used.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        given = list(self.feature_names_in_)
        added = SCORES if self.weights is None else (*SCORES, RFM_SCORE)
        return np.asarray([*given, *(score for score in added if score not in given)], dtype=object)

    def _score(self, values: dict[str, tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The columns to add, from the columns and values behind each score."""
        scores: dict[str, np.ndarray] = {}
        nests = np.zeros(next(iter(values.values()))[1].size, np.int64)
        for score, (_, found) in values.items():
            sign = -1.0 if score == SCORES[0] else 1.0
            cuts = sign * self.cut_points_[score]
            scores[score] = score_by(sign * found, cuts.reshape(-1, cuts.shape[-1]), nests)
            if self.method == "nested":
                nests = nests * (cuts.shape[-1] + 1) + scores[score] - 1
        if self.weights is not None:
            scores[RFM_SCORE] = sum(
                (float(weight) * scores[score] for weight, score in zip(self.weights, SCORES, strict=True)),
                np.zeros(nests.size),
            )
        return scores

    def _values(self, frame: nw.DataFrame[Any]) -> dict[str, tuple[str, np.ndarray]]:
        """Column and checked values behind each score."""
        columns = (self.recency, self.frequency, self.monetary)
        derived = self.recency == INACTIVITY and INACTIVITY not in frame.columns
        frame = _frames.read(
            frame.to_native(),
            [*((T, RECENCY) if derived else (self.recency,)), *columns[1:]],
            "RFMScorer",
            "Make the customer table with RFMSummary, or name your columns in RFMScorer(recency=..., ...).",
        )
        values = {column: _frames.floats(frame, column) for column in columns if column in frame.columns}
        if derived:
            values[INACTIVITY] = _frames.floats(frame, T) - _frames.floats(frame, RECENCY)
        if self.recency == INACTIVITY:
            values[INACTIVITY] = np.round(values[INACTIVITY], DECIMALS)
        for column in columns:
            bad = ~np.isfinite(values[column])
            if bad.any():
                raise InvalidDataError(
                    bad_customers(frame, bad, f"have no finite {column}")
                    + ". Drop them, or make the table with RFMSummary, which leaves no gaps."
                )
        return {score: (column, values[column]) for score, column in zip(SCORES, columns, strict=True)}
