"""Cross-validation over customers and cutoffs in which no training label is younger than the test cutoff."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from custanalytics import _frames
from custanalytics._columns import CUTOFF, DAYS_PER_UNIT
from custanalytics._instants import microseconds
from custanalytics._params import NONE, POSITIVE, TEXT, Number, OneOf, Rule, check_value, integer
from custanalytics.exceptions import InvalidDataError
from custanalytics.model_selection._times import known_times


class RollingOriginSplit(BaseCrossValidator):
    """Rolling-origin backtest over a table of customers and cutoffs, purged by the end of each label's window.

    Each split tests on the customers of one cutoff and trains on those of earlier cutoffs whose labels were known by
    then, as a model in use would have been trained. Ordinary cross-validation learns from the future here, and a split
    by the number of rows can put one date on both sides.

    Parameters
    ----------
    horizon : float
        The length of a label's window in `time_unit`: the label of a row is settled during
        ``[cutoff + lead, cutoff + lead + horizon)``.
    n_splits : int, default=5
        How many cutoffs are tested: the last ones, `step` apart.
    lead : float, default=0.0
        The time between a cutoff and the start of its label's window, in `time_unit`.
    step : float, default=None
        The least time between two tested cutoffs in `time_unit`; None tests each of the last `n_splits` cutoffs.
    train_window : float, default=None
        Train only on cutoffs at most so long before the tested one, in `time_unit` (a sliding window); None trains on
        all earlier ones (an expanding window).
    time_unit : {"h", "D", "W", "M", "Y"}, default="D"
        The unit of every duration here.
    cutoff_column : str, default="cutoff"
        The column of X with the cutoff of each row, of dates or datetimes.

    See Also
    --------
    rolling_cutoffs : Cutoffs at which to make the table.
    temporal_split : One split of a log.
    sklearn.model_selection.TimeSeriesSplit : Splits by the number of rows.

    Notes
    -----
    A row is trained on if ``cutoff + lead + horizon <= test cutoff``. Windows are half-open, so a label that ends at
    the very instant of the test cutoff counts as known. Where X has no column of cutoffs, as when features alone are
    left, pass them as `groups`, which has precedence.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.model_selection import RollingOriginSplit
    >>> months = pd.date_range("2024-01-01", periods=5, freq="MS")
    >>> table = pd.DataFrame({"cutoff": months.repeat(2), "recency": range(10)})
    >>> for train, test in RollingOriginSplit(n_splits=2, horizon=60).split(table):
    ...     print(train, test)
    [0 1 2 3] [6 7]
    [0 1 2 3 4 5] [8 9]
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "horizon": (POSITIVE,),
        "n_splits": (integer(1),),
        "lead": (Number(0),),
        "step": (POSITIVE, NONE),
        "train_window": (POSITIVE, NONE),
        "time_unit": (OneOf(tuple(DAYS_PER_UNIT)),),
        "cutoff_column": (TEXT,),
    }
    # With metadata routing, `groups` reaches `split` without being asked for, as in scikit-learn's own group splitters.
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(
        self,
        *,
        horizon: float,
        n_splits: int = 5,
        lead: float = 0.0,
        step: float | None = None,
        train_window: float | None = None,
        time_unit: str = "D",
        cutoff_column: str = CUTOFF,
    ) -> None:
        self.horizon = horizon
        self.n_splits = n_splits
        self.lead = lead
        self.step = step
        self.train_window = train_window
        self.time_unit = time_unit
        self.cutoff_column = cutoff_column

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to train and to test on, in ascending order of the tested cutoff.

        Parameters
        ----------
        X : frame of n_samples rows
            A pandas, Polars or PyArrow frame with the column `cutoff_column`; any array where `groups` is given.
        y : object, default=None
            Ignored.
        groups : array-like of datetime64, shape (n_samples,), default=None
            The cutoff of each row, in place of the column.

        Yields
        ------
        train : ndarray of int64
            Positions of the rows whose labels are settled by the tested cutoff.
        test : ndarray of int64
            Positions of all rows of the tested cutoff.

        Raises
        ------
        InvalidDataError
            Where a cutoff is missing, or too few cutoffs leave anything to train on.
        MissingColumnError
            Where there is neither the column nor `groups`.
        """
        for name, rules in self._rules.items():
            check_value(name, getattr(self, name), rules, type(self).__name__)
        cutoffs = self._cutoffs(X, groups)
        settled = microseconds(self.lead + self.horizon, self.time_unit)
        oldest = None if self.train_window is None else microseconds(self.train_window, self.time_unit)
        for tested in self._tested(cutoffs, settled, oldest):
            learned = cutoffs + settled <= tested
            if oldest is not None:
                learned &= cutoffs >= tested - oldest
            yield np.flatnonzero(learned), np.flatnonzero(cutoffs == tested)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def _cutoffs(self, X: Any, groups: Any) -> np.ndarray:
        owner = type(self).__name__
        if groups is not None:
            return known_times(_frames.read({"groups": groups}, owner=owner), "groups", owner)
        frame = _frames.read(X, (self.cutoff_column,), owner, "Or pass the cutoffs as groups=table['cutoff'].")
        return known_times(frame, self.cutoff_column, owner)

    def _tested(self, cutoffs: np.ndarray, settled: int, oldest: int | None) -> list[int]:
        # The cutoffs to test, from the last backwards, each with something to train on.
        distinct = np.unique(cutoffs)
        newest = np.searchsorted(distinct, distinct - settled, side="right") - 1  # the last one settled by then
        trained = newest >= 0
        if oldest is not None:
            trained &= distinct[newest] >= distinct - oldest
        apart = 1 if self.step is None else microseconds(self.step, self.time_unit)
        chosen: list[int] = []
        for cutoff in distinct[trained][::-1].tolist():
            if len(chosen) < self.n_splits and (not chosen or cutoff <= chosen[-1] - apart):
                chosen.append(cutoff)
        if len(chosen) < self.n_splits:
            raise InvalidDataError(
                f"RollingOriginSplit finds {len(chosen)} of n_splits={self.n_splits} cutoffs to test: of the "
                f"{distinct.size} cutoffs given, the others are less than 'step' apart or have no earlier cutoff whose "
                f"label, lead + horizon = {self.lead + self.horizon} {self.time_unit} long, was settled by then. "
                "Pass fewer splits, or a table with more cutoffs, as from rolling_cutoffs."
            )
        return chosen[::-1]
