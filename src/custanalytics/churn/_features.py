"""What was known about customers at cutoffs: features from nothing but the events before each cutoff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames, _jit
from custanalytics._columns import (
    CUSTOMER_ID,
    CUTOFF,
    DAYS_PER_UNIT,
    FREQUENCY,
    INACTIVITY,
    LOG_OPTIONAL,
    MONETARY_VALUE,
    N_ORDERS,
    PRODUCT_ID,
    RECENCY,
    TOTAL_VALUE,
    T,
    renaming,
)
from custanalytics._instants import microseconds
from custanalytics._output import FrameTransformer
from custanalytics._params import NONE, POSITIVE, UNITS, InstanceOf, Rule, check_params, offenders
from custanalytics.churn._history import grouped, history, positions, read_events
from custanalytics.churn._kernels import N_FIXED, N_PRODUCTS, walk_cutoffs
from custanalytics.exceptions import InvalidDataError

# In the order of the kernel's columns.
FIXED = (
    FREQUENCY,
    RECENCY,
    T,
    INACTIVITY,
    MONETARY_VALUE,
    N_ORDERS,
    TOTAL_VALUE,
    "n_returns",
    "return_share",
    "mean_gap",
    "sd_gap",
    "overdue",
    "last_day_value",
    "n_products",
)
PER_WINDOW = ("orders", "value", "value_trend")
BLOCK = 1024


class _Windows:
    """The rule for `windows`: positive lengths, each once."""

    def accepts(self, value: Any) -> bool:
        """Whether the value is a sequence of distinct positive numbers."""
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
            return False
        return all(POSITIVE.accepts(each) for each in value) and len({f"{each:g}" for each in value}) == len(value)

    def __str__(self) -> str:
        return "a sequence of distinct positive numbers"


def _columns(rows: np.ndarray) -> np.ndarray:
    """Rows turned into contiguous columns, a block at a time, each small enough to stay in cache."""
    out = np.empty(rows.shape[::-1])
    for start in range(0, len(rows), BLOCK):
        out[:, start : start + BLOCK] = rows[start : start + BLOCK].T
    return out


class ChurnFeatures(FrameTransformer, BaseEstimator):
    """Add to a table of customers and cutoffs what was known about each customer at that cutoff.

    Every feature is computed from events before the row's cutoff. What happens at the cutoff or later can be
    changed, deleted or added to and no bit of a feature changes: the features of a training row, of a backtest
    and of today's scoring are the same function of the past.

    The log is a parameter and not an argument, so that rows of the table can be split, as cross-validation does.
    It suits histories of purchases. For contracts, add the columns that describe the contract to the table.

    Parameters
    ----------
    log : frame
        The event log: ``customer_id``, ``timestamp``, ``amount``, optionally ``quantity``, ``order_id``,
        ``product_id``. Rows with a negative amount or quantity are returns: never a purchase, they lower values
        by their absolute amount.
    columns : dict, optional
        Standard names to the log's own, where they differ: ``{"customer_id": "household"}``.
    windows : sequence of float, default=(30, 90, 180, 365)
        Lengths of the windows that end at the cutoff, in `time_unit`.
    time_unit : {"h", "D", "W", "M", "Y"}, default="D"
        The unit of `windows` and of all durations among the features.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of the table seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.

    See Also
    --------
    churn_labels : Makes such a table, with labels.
    ChurnClassifier : Learns from table, labels and features.

    Notes
    -----
    Days are those of the log's clock. :math:`a` is the last day that begins before the cutoff (with a cutoff at
    midnight, the day before), :math:`d_1 < \\dots < d_n` are the days with a purchase. The last gap is still
    open at the cutoff; it enters the gaps as if it closed with day :math:`a`, so that rhythm is defined for
    everybody, one-time buyers included, and no feature is ever missing.

    ===================== ==================================================================================
    feature               meaning
    ===================== ==================================================================================
    ``frequency``         :math:`n - 1`
    ``recency``           :math:`d_n - d_1`, in `time_unit`
    ``T``                 :math:`a - d_1`, in `time_unit`
    ``inactivity``        :math:`a - d_n`, in `time_unit`
    ``monetary_value``    mean value of the purchase days after the first; 0 where there is none
    ``n_orders``          orders: distinct ``order_id`` where the log has one, else rows that are purchases
    ``total_value``       purchases less returns
    ``n_returns``         rows that are returns
    ``return_share``      ``n_returns`` by all rows
    ``mean_gap``          :math:`m = (a + 1 - d_1) / n`: mean of the :math:`n` gaps, in `time_unit`
    ``sd_gap``            root mean squared deviation of the gaps from :math:`m`, in `time_unit`
    ``overdue``           :math:`(a + 1 - d_n) / m`: the open gap by the mean gap
    ``last_day_value``    purchases on day :math:`d_n`
    ``n_products``        distinct products bought; only where the log has ``product_id``
    ``orders_90D``        orders in the window (its length and unit), dated at their first line
    ``value_90D``         purchases less returns in the window, :math:`v`
    ``value_trend_90D``   :math:`(v - u) / (|v| + |u|)` with :math:`u` the value of the window before: from -1 to
                          1, and 0 where nothing was bought in either
    ===================== ==================================================================================

    A window of length :math:`w` is ``[cutoff - w, cutoff)``. Sums carry their rounding error along, so values are
    right to the last bits of a double however long the history. The events are sorted once; the time then grows
    with events × windows + rows × windows, whatever the windows overlap.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.churn import ChurnFeatures, churn_labels
    >>> log = pd.DataFrame({
    ...     "customer_id": ["ann", "ann", "bob", "cyd"],
    ...     "timestamp": pd.to_datetime(["2024-01-05", "2024-02-24", "2024-01-20", "2024-03-09"]),
    ...     "amount": [20.0, 35.0, 10.0, 50.0],
    ... })
    >>> labels = churn_labels(log, "2024-03-01", horizon=7)
    >>> table = ChurnFeatures(log=log, windows=(30,)).fit_transform(labels)
    >>> table[["customer_id", "churned", "recency", "inactivity", "mean_gap", "overdue", "value_30D"]]
      customer_id  churned  recency  inactivity  mean_gap  overdue  value_30D
    0         ann      1.0     50.0         5.0      28.0     0.21       35.0
    1         bob      1.0      0.0        40.0      41.0     1.00        0.0
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        "windows": (_Windows(),),
        "time_unit": (UNITS,),
    }

    def __init__(
        self,
        *,
        log: Any = None,
        columns: Mapping[str, str] | None = None,
        windows: Sequence[float] = (30, 90, 180, 365),
        time_unit: str = "D",
    ) -> None:
        self.log = log
        self.columns = columns
        self.windows = windows
        self.time_unit = time_unit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and note the table's columns; nothing is learned from rows.

        Parameters
        ----------
        X : frame of shape (n_rows, n_columns)
            One row per customer and cutoff: ``customer_id``, ``cutoff`` and any others.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        check_params(self, self._rules)
        if self.log is None:
            raise ValueError("ChurnFeatures needs the event log as a parameter: ChurnFeatures(log=log).")
        frame = self._read(X)
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def transform(self, X: Any) -> Any:
        """Add the features to the table.

        Parameters
        ----------
        X : frame of shape (n_rows, n_columns)
            One row per customer and cutoff: ``customer_id``, ``cutoff`` and any others.

        Returns
        -------
        frame of shape (n_rows, n_columns + n_features)
            The same kind of frame, rows and order, with the features as float64 columns. Columns that bear the
            name of a feature are replaced.

        Raises
        ------
        InvalidDataError
            If customers of the table have no purchase before their cutoff, or rows have no cutoff.
        """
        check_is_fitted(self, "feature_names_in_")
        frame = self._read(X)
        features = self._compute(frame)
        names = self._feature_names()
        columns = [
            column for place, column in enumerate(_columns(features)) if place != N_PRODUCTS or "n_products" in names
        ]
        return self._give(_frames.extend(frame, dict(zip(names, columns, strict=True))))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that ``transform`` gives.

        Parameters
        ----------
        input_features : None
            Ignored; present by convention.

        Returns
        -------
        ndarray of shape (n_columns_out,)
        """
        check_is_fitted(self, "feature_names_in_")
        mine = self._feature_names()
        kept = list(self.feature_names_in_)
        return np.array(kept + [name for name in mine if name not in kept], dtype=object)

    def _read(self, X: Any) -> nw.DataFrame[Any]:
        hint = "churn_labels(log, cutoff, horizon) makes such a table."
        return _frames.read(X, (CUSTOMER_ID, CUTOFF), type(self).__name__, hint)

    def _feature_names(self) -> list[str]:
        found = _frames.read(self.log).columns
        standard = {renaming(self.columns).get(name, name) for name in found} & set(LOG_OPTIONAL)
        fixed = [name for name in FIXED if name != "n_products" or PRODUCT_ID in standard]
        return fixed + [f"{name}_{window:g}{self.time_unit}" for window in self.windows for name in PER_WINDOW]

    def _compute(self, frame: nw.DataFrame[Any]) -> np.ndarray:
        events = read_events(self.log, self.columns, type(self).__name__)
        customers, ids = _frames.codes(frame)
        cutoffs = _frames.times(frame, CUTOFF)
        self._check_rows(frame, customers, cutoffs, events.zone)
        place = np.full(len(events.ids), -1, np.int64)
        known = positions(ids, events.ids)
        place[known[known >= 0]] = np.flatnonzero(known >= 0)
        last = int(cutoffs.max()) if cutoffs.size else 0
        past = history(events, place, len(ids), last)
        asked, ordered, _, rows = grouped(customers, cutoffs, np.zeros(cutoffs.size), np.arange(len(ids)), len(ids))

        spans = np.array([microseconds(window, self.time_unit) for window in self.windows], np.int64)
        spans = np.concatenate([spans, 2 * spans])
        out = np.empty((cutoffs.size, N_FIXED + len(PER_WINDOW) * len(self.windows)))
        inputs = (past.offsets, past.times, past.values, past.flags, asked, ordered, rows, spans)
        _jit.run(walk_cutoffs, len(ids), *inputs, DAYS_PER_UNIT[self.time_unit], out=(out,))
        self._check_history(frame, out)
        return out

    def _check_rows(
        self, frame: nw.DataFrame[Any], customers: np.ndarray, cutoffs: np.ndarray, log_zone: str | None
    ) -> None:
        for bad, phrase in ((customers < 0, "have no customer_id"), (cutoffs == _frames.NO_TIME, "have no cutoff")):
            if bad.any():
                raise InvalidDataError(
                    offenders(bad, range(bad.size), phrase, "rows") + ". Drop them: table.dropna(subset=...)."
                )
        zone = _frames.zone_of(frame, CUTOFF)
        if zone is not None and zone != log_zone:
            raise InvalidDataError(
                f"The column 'cutoff' is on the clock of {zone} and the log on that of {log_zone or 'no time zone'}. "
                "Convert the cutoffs to the clock of the log."
            )

    def _check_history(self, frame: nw.DataFrame[Any], features: np.ndarray) -> None:
        empty = np.isnan(features[:, 0])
        if empty.any():
            raise InvalidDataError(
                offenders(empty, frame[CUSTOMER_ID].to_list(), "have no purchase before their cutoff", "rows")
                + ". Leave them out; churn_labels(log, cutoff, horizon) lists only customers who have bought by then."
            )
