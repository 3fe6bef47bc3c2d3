"""RFMSegmenter: named segments from RFM scores by a proven rule table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engines, _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._output import FrameTransformer
from custanalytics._params import NONE, UNITS, InstanceOf, OneOf, Rule, check_params, check_value, warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.rfm._explain import SegmentExplanation, explain, row_of
from custanalytics.rfm._lazy_segments import count_cells, name_in_engine
from custanalytics.rfm._presets import PRESETS
from custanalytics.rfm._reach import unreachable
from custanalytics.rfm._rules import RuleTable
from custanalytics.rfm._scorer import RFMScorer
from custanalytics.rfm._wording import bad_customers

SEGMENT = "segment"


class RFMSegmenter(FrameTransformer, BaseEstimator):
    """Name the segment of each customer from the RFM scores.

    The rules are a table that was proven to give every combination of scores exactly one segment, so no customer
    ends in an "other" and no segment is out of reach by construction. Ties can still put a segment out of reach on
    given data: with half of the customers at f_score 1, cells with f_score 2 have nobody in them. `fit` finds such
    segments and says why.

    Parameters
    ----------
    rules : {"eleven-segments", "ten-segments", "value-usage"}, RuleTable, mapping or Path, \
default="eleven-segments"
        The name of a preset, a rule table, what makes one (see ``RuleTable.from_dict``), or the path of a TOML file.
    scores : sequence of str or None, default=None
        Columns of the scores in the order of the codes' parts. Rules with two parts use the first two. None takes
        those that the rules name, which are "r_score", "f_score" and "m_score" unless they say otherwise.
    on_unreachable : {"warn", "raise", "ignore"}, default="warn"
        What `fit` does where ties put segments out of reach.

    Attributes
    ----------
    segments_ : ndarray of shape (n_segments,)
        Names of the segments.
    grid_ : ndarray of shape (n_bins,) * n_scores
        Position in `segments_` of each cell's segment.
    scores_ : tuple of str
        Columns of the scores.
    codes_ : dict of str to tuple of str
        The codes of each segment.
    unreachable_ : dict of str to str
        Segments that nobody can be in on the data given to `fit`, with the reason. See Notes.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.

    See Also
    --------
    RFMScorer : Makes the scores.
    RuleTable : The rules and their proof.
    migration : Who moved from which segment to which, and why.

    Notes
    -----
    A segment is out of reach if each of its cells has a score that no customer has, or a pair of scores that ties
    exclude: a score held by a B-th of the customers or more (B scores, at least 20 customers) goes with one score of
    the other column for all of them, and the cell has another. One-time buyers are the usual case: their
    `monetary_value` is 0, so that f_score 1 always goes with m_score 1. With fewer than four customers per
    score, an empty score may be chance, and nothing is said.

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
        "rules": (OneOf(tuple(PRESETS)), InstanceOf((RuleTable, Mapping, Path))),
        "scores": (InstanceOf((tuple, list)), NONE),
        "on_unreachable": (OneOf(("warn", "raise", "ignore")),),
    }

    def __init__(
        self,
        *,
        rules: str | RuleTable | Mapping[str, Any] | Path = "eleven-segments",
        scores: Sequence[str] | None = None,
        on_unreachable: str = "warn",
    ) -> None:
        self.rules = rules
        self.scores = scores
        self.on_unreachable = on_unreachable

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
        InvalidDataError
            Where segments are out of reach and `on_unreachable` is "raise".

        Warns
        -----
        DataQualityWarning
            Where ties put segments out of reach on this data.
        """
        check_params(self, self._rules)
        table = self._table()
        scores = table.scores if self.scores is None else tuple(self.scores)
        if len(scores) < table.n_scores:
            raise ValueError(
                f"The 'scores' parameter of RFMSegmenter must name {table.n_scores} columns for these rules. "
                f"Got {self.scores!r} instead."
            )
        self.segments_ = np.asarray(table.segments)
        self.grid_, self.codes_, self.scores_ = table.grid, table.codes, scores[: table.n_scores]
        if _engines.is_lazy(X):
            cells, customers, names = count_cells(X, self.scores_, self.grid_.shape)
        else:
            frame = self._read(X)
            known = ~np.any([self._outside(frame, column) for column in self.scores_], axis=0)
            cells = [_frames.floats(frame, column)[known].astype(np.int64) - 1 for column in self.scores_]
            customers, names = np.ones(int(known.sum()), np.int64), frame.columns
        self.unreachable_ = unreachable(cells, self.grid_, table.segments, self.scores_, customers)
        highest = max((int(each.max()) + 1 for each in cells if each.size), default=0)
        self._tell(int(customers.sum()), highest)
        self.feature_names_in_ = np.asarray(names, dtype=object)
        self.n_features_in_ = len(names)
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
            The table with the str column segment: the same kind of frame as X, lazy where X is.

        Raises
        ------
        InvalidDataError
            Where a score is no whole number from 1 to the number of bins of the rules.
        """
        check_is_fitted(self)
        if _engines.is_lazy(X):
            return name_in_engine(X, self.scores_, self.grid_, self.segments_, SEGMENT)
        frame = self._read(X)
        cells = tuple(self._cells(frame, column) for column in self.scores_)
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

    def explain(
        self, customer: Any, table: Any, *, scorer: RFMScorer | None = None, time_unit: str | None = None
    ) -> SegmentExplanation:
        """Why a customer is in a segment, and the smallest changes that lead to the others.

        Parameters
        ----------
        customer : scalar
            The id of the customer.
        table : frame
            The customer table, with a column customer_id. With a scorer it needs no scores.
        scorer : RFMScorer or None, default=None
            The fitted scorer that made the scores: changes are then in the units of the data. None explains by
            scores alone.
        time_unit : {"h", "D", "W", "M", "Y"} or None, default=None
            Unit of the durations in the table, for the words of the explanation. Nothing is converted.

        Returns
        -------
        explanation : SegmentExplanation
            Print it, or take ``to_dict()``.

        Raises
        ------
        KeyError
            Where the table has no such customer.
        InvalidDataError
            Where it has several such rows, the scores in the table are not those of the scorer, or the scorer has not
            the bins of the rules.

        Examples
        --------
        >>> import pandas as pd
        >>> from custanalytics.rfm import RFMScorer, RFMSegmenter
        >>> table = pd.DataFrame({
        ...     "customer_id": ["ann", "bob", "cyd", "dan"],
        ...     "inactivity": [2.0, 9.0, 20.0, 30.0],
        ...     "frequency": [1, 6, 2, 0],
        ...     "monetary_value": [20.0, 25.0, 60.0, 0.0],
        ... })
        >>> scorer = RFMScorer(n_bins=2).fit(table)
        >>> rules = {"core": "22", "fresh": "21", "sleeping": "1*"}
        >>> segmenter = RFMSegmenter(rules=rules).fit(scorer.transform(table))
        >>> print(segmenter.explain("ann", table, scorer=scorer))
        Customer ann is in 'fresh': the rule 21 fits r_score 2, f_score 1.
          r_score 2 of 2: inactivity 2 is less than 20
          f_score 1 of 2: frequency 1 is at most 1
        The smallest change that leads to each other segment:
          core      1 step   frequency from 1 to 2 (1 more)
          sleeping  1 step   inactivity from 2 to 20 (18 more)
        Without a purchase: in 18 to 'sleeping'.
        """
        check_is_fitted(self)
        check_value("time_unit", time_unit, (UNITS, NONE), "RFMSegmenter.explain")
        check_value("scorer", scorer, (InstanceOf((RFMScorer,)), NONE), "RFMSegmenter.explain")
        if scorer is not None:
            check_is_fitted(scorer)
        frame = _frames.read(table, [CUSTOMER_ID], "RFMSegmenter.explain")
        row = row_of(frame, customer)
        if scorer is None:
            row = self._read(row.to_native())
            cell = [int(self._cells(row, column)[0]) + 1 for column in self.scores_]
            return replace(explain(customer, self, cell), time_unit=time_unit)
        return replace(explain(customer, self, None, scorer, row), time_unit=time_unit)

    def _table(self) -> RuleTable:
        if isinstance(self.rules, str):
            return RuleTable.from_preset(self.rules)
        if isinstance(self.rules, Path):
            return RuleTable.from_toml(self.rules)
        return self.rules if isinstance(self.rules, RuleTable) else RuleTable.from_dict(self.rules)

    def _tell(self, n_customers: int, highest: int) -> None:
        """Warn of segments out of reach, or refuse them."""
        if not self.unreachable_ or self.on_unreachable == "ignore":
            return
        reasons = "; ".join(f"{segment} ({reason})" for segment, reason in self.unreachable_.items())
        message = (
            f"{len(self.unreachable_)} of {self.segments_.size} segments are out of reach on these {n_customers:,} "
            "customers, "
        )
        n_bins = max(self.grid_.shape)
        if highest < n_bins:
            message += (
                f"whose scores end at {highest}, where the rules are for scores up to {n_bins}: {reasons}. "
                f"Make the scores with RFMScorer(n_bins={n_bins}), write rules for fewer scores, "
            )
        else:
            message += (
                f"whose values are tied: {reasons}. Score money by a column without ties, "
                "RFMScorer(monetary='total_value'), keep zero apart, RFMScorer(zero_apart=('f_score',)), use rules on "
                "recency and frequency alone, "
            )
        message += "or pass RFMSegmenter(on_unreachable='ignore')."
        if self.on_unreachable == "raise":
            raise InvalidDataError(message)
        warn(message, DataQualityWarning)

    def _read(self, X: Any) -> nw.DataFrame[Any]:
        return _frames.read(X, self.scores_, "RFMSegmenter", "Make the scores with RFMScorer.")

    def _cells(self, frame: nw.DataFrame[Any], column: str) -> np.ndarray:
        """Scores as positions in the grid, from 0."""
        bad, n_bins = self._outside(frame, column), self.grid_.shape[self.scores_.index(column)]
        if bad.any():
            raise InvalidDataError(
                bad_customers(frame, bad, f"have a {column} that is no whole number from 1 to {n_bins}")
                + f". The rules are for RFMScorer(n_bins={n_bins}): score with it, or pass rules for your scores."
            )
        return _frames.floats(frame, column).astype(np.int64) - 1

    def _outside(self, frame: nw.DataFrame[Any], column: str) -> np.ndarray:
        """Whether each score is one that the rules do not know; `fit` passes over these, `transform` refuses them."""
        values, n_bins = _frames.floats(frame, column), self.grid_.shape[self.scores_.index(column)]
        return ~((values >= 1) & (values <= n_bins) & (values == np.floor(values)))
