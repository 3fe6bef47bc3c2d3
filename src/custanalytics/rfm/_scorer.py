"""RFMScorer: scores from 1 to n_bins on the customer table, with cut points frozen by fit."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, INACTIVITY, MONETARY_VALUE, RECENCY, T
from custanalytics._params import TEXT, Rule, check_params, integer, warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.rfm._wording import bad_customers

SCORES = ("r_score", "f_score", "m_score")
DECIMALS = 9  # of an inactivity: far below any clock, far above what rounding leaves of T - recency


class RFMScorer(_frames.FrameTransformer, BaseEstimator):
    """Score customers from 1 to `n_bins` (best) on recency, frequency and money.

    `fit` takes the cut points from a customer table and freezes them: another table, next month's or a part of
    this one, is scored by the same cuts. Customers with equal values get equal scores whatever the ties and the
    order of the rows, and a better value never gets a worse score. The price is that heavily tied columns do
    not use every score: where half of the customers bought once, all of them score 1 for frequency and the
    others share what is left. Where that loses too much, lower `n_bins` or segment by R × F rules.

    Parameters
    ----------
    n_bins : int, default=5
        Number of scores, 2 to 100.
    recency : str, default="inactivity"
        Column of the time since the last purchase: *smaller is better*. Where a table has no `inactivity`, it
        is `T` - `recency`.
    frequency : str, default="frequency"
        Column where larger is better.
    monetary : str, default="monetary_value"
        Column where larger is better.

    Attributes
    ----------
    cut_points_ : dict of str to ndarray of shape (n_bins - 1,)
        For "r_score", "f_score" and "m_score": the k-th cut parts the scores k and k + 1, in the unit of the
        column. Those of "r_score" descend.
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
    With :math:`v` the value (for recency its negative), :math:`\\hat F` the distribution of the fitted values and
    :math:`B` the number of bins,

    .. math::

        c_k = \\min\\bigl(\\min\\{v : \\hat F(v) \\ge k / B\\},\\; v_{(-1)}\\bigr), \\qquad
        \\mathrm{score}(v) = 1 + \\#\\{k : c_k < v\\},

    where :math:`v_{(-1)}` is the second-largest distinct fitted value. The first term is the quantile that
    NumPy calls "inverted_cdf". Every cut is thus a fitted value: scoring commutes with any increasing
    transformation of a column (a change of currency or unit). The second term gives the best fitted value the
    best score even where more than a B-th of the customers share it; the worst gets 1.

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
        "n_bins": (integer(2, 100),),
        "recency": (TEXT,),
        "frequency": (TEXT,),
        "monetary": (TEXT,),
    }

    def __init__(
        self,
        *,
        n_bins: int = 5,
        recency: str = INACTIVITY,
        frequency: str = FREQUENCY,
        monetary: str = MONETARY_VALUE,
    ) -> None:
        self.n_bins = n_bins
        self.recency = recency
        self.frequency = frequency
        self.monetary = monetary

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the cut points.

        Parameters
        ----------
        X : frame
            The customer table.
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
            Where a column is constant: every customer then scores 1 on it.
        """
        check_params(self, self._rules)
        frame = _frames.read(X, owner="RFMScorer")
        if len(frame) == 0:
            raise InvalidDataError("The customer table is empty: RFMScorer.fit needs at least one customer.")
        self.cut_points_ = {}
        for score, (column, values) in self._values(frame).items():
            sign = -1.0 if score == SCORES[0] else 1.0
            cuts = _cut_points(sign * values, self.n_bins)
            self.cut_points_[score] = sign * cuts + 0.0
            if values.min() == values.max():
                warn(
                    f"All {values.size:,} customers have {column} = {values[0]:g}, so that {score} is 1 for every one "
                    "of them. Fit on a table where it differs, or segment by rules without it.",
                    DataQualityWarning,
                )
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
            The table with the int64 columns r_score, f_score and m_score, each from 1 to `n_bins` (best).

        Raises
        ------
        InvalidDataError
            Where a value is missing or infinite.
        """
        check_is_fitted(self)
        frame = _frames.read(X, owner="RFMScorer")
        scores = {}
        for score, (_, values) in self._values(frame).items():
            sign = -1.0 if score == SCORES[0] else 1.0
            below = np.searchsorted(sign * self.cut_points_[score], sign * values, side="left")
            scores[score] = 1 + below.astype(np.int64)
        return self._give(_frames.extend(frame, scores))

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
        return np.asarray([*given, *(score for score in SCORES if score not in given)], dtype=object)

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


def _cut_points(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Fitted values that part the scores, where larger is better: shape (n_bins - 1,), ascending."""
    ordered = np.sort(values)
    ranks = -(-ordered.size * np.arange(1, n_bins) // n_bins)  # the smallest count that is a share of k / n_bins
    below_best = ordered[: np.searchsorted(ordered, ordered[-1], side="left")]
    cuts = ordered[ranks - 1]
    return np.minimum(cuts, below_best[-1]) if below_best.size else cuts
