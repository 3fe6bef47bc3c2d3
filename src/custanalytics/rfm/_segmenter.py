"""RFMSegmenter: named segments from RFM scores by a proven rule table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._params import InstanceOf, OneOf, Rule, check_params
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._presets import PRESETS
from custanalytics.rfm._rules import RuleTable
from custanalytics.rfm._wording import bad_customers

SEGMENT = "segment"


class RFMSegmenter(_frames.FrameTransformer, BaseEstimator):
    """Name the segment of each customer from the RFM scores.

    The rules are a table that was proven to give every combination of scores exactly one segment, so no customer
    ends in an "other" and no segment is out of reach by construction. Ties can still leave a segment empty on
    given data: with half of the customers at f_score 1, cells with f_score 2 have nobody in them.

    Parameters
    ----------
    rules : {"eleven-segments", "ten-segments"}, RuleTable or mapping, default="eleven-segments"
        The name of a preset, a rule table, or what makes one (segment to codes).
    scores : tuple of str, default=("r_score", "f_score", "m_score")
        Columns of the scores in the order of the codes' parts. Rules with two parts use the first two.

    Attributes
    ----------
    segments_ : ndarray of shape (n_segments,)
        Names of the segments.
    grid_ : ndarray of shape (n_bins,) * n_scores
        Position in `segments_` of each cell's segment.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.

    See Also
    --------
    RFMScorer : Makes the scores.
    RuleTable : The rules and their proof.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import RFMSegmenter
    >>> scored = pd.DataFrame({"customer_id": [1, 2], "r_score": [5, 1], "f_score": [5, 1], "m_score": [4, 2]})
    >>> RFMSegmenter().fit_transform(scored)
       customer_id  r_score  f_score  m_score    segment
    0            1        5        5        4  Champions
    1            2        1        1        2       Lost
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "rules": (OneOf(tuple(PRESETS)), InstanceOf((RuleTable, Mapping))),
        "scores": (InstanceOf((tuple, list)),),
    }

    def __init__(
        self,
        *,
        rules: str | RuleTable | Mapping[str, Any] = "eleven-segments",
        scores: tuple[str, ...] = ("r_score", "f_score", "m_score"),
    ) -> None:
        self.rules = rules
        self.scores = scores

    def fit(self, X: Any, y: Any = None) -> Self:
        """Prove the rules and check the columns.

        Parameters
        ----------
        X : frame
            A scored customer table.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        RuleTableError
            Where the rules do not give every cell exactly one segment.
        """
        check_params(self, self._rules)
        table = self._table()
        if len(self.scores) < table.n_scores:
            raise ValueError(
                f"The 'scores' parameter of RFMSegmenter must name {table.n_scores} columns for these rules. "
                f"Got {self.scores!r} instead."
            )
        self.segments_ = np.asarray(table.segments)
        self.grid_ = table.grid
        frame = self._read(X)
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def transform(self, X: Any) -> Any:
        """Add the segment.

        Parameters
        ----------
        X : frame
            A scored customer table.

        Returns
        -------
        table : frame
            The table with the str column segment.

        Raises
        ------
        InvalidDataError
            Where a score is no whole number from 1 to the number of bins of the rules.
        """
        check_is_fitted(self)
        frame = self._read(X)
        cells = tuple(self._cells(frame, column) for column in self._columns())
        names = _frames.like(frame, SEGMENT, self.segments_[self.grid_[cells]])
        return self._give(_frames.extend(frame, {SEGMENT: names.cast(nw.String)}))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the segmented table.

        Parameters
        ----------
        input_features : None
            Ignored: the names seen by `fit` are used.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        given = [name for name in self.feature_names_in_ if name != SEGMENT]
        replaced = len(given) < self.n_features_in_
        return np.asarray(self.feature_names_in_ if replaced else [*given, SEGMENT], dtype=object)

    def _table(self) -> RuleTable:
        if isinstance(self.rules, str):
            return RuleTable.from_preset(self.rules)
        return self.rules if isinstance(self.rules, RuleTable) else RuleTable(self.rules)

    def _columns(self) -> list[str]:
        return list(self.scores)[: self.grid_.ndim]

    def _read(self, X: Any) -> nw.DataFrame[Any]:
        return _frames.read(X, self._columns(), "RFMSegmenter", "Make the scores with RFMScorer.")

    def _cells(self, frame: nw.DataFrame[Any], column: str) -> np.ndarray:
        """Scores as positions in the grid, from 0."""
        values = _frames.floats(frame, column)
        n_bins = self.grid_.shape[0]
        bad = ~((values >= 1) & (values <= n_bins) & (values == np.floor(values)))
        if bad.any():
            raise InvalidDataError(
                bad_customers(frame, bad, f"have a {column} that is no whole number from 1 to {n_bins}")
                + f". The rules are for RFMScorer(n_bins={n_bins}): score with it, or pass rules for your scores."
            )
        return values.astype(np.int64) - 1
