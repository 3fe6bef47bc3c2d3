"""RFMSummary: from an event log to one row per customer, at an explicit cutoff."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engines, _frames
from custanalytics._columns import CUSTOMER_ID, LOG_REQUIRED, SUMMARY_COLUMNS, TIMESTAMP
from custanalytics._instants import last_microsecond
from custanalytics._output import FrameTransformer
from custanalytics._params import UNITS, InstanceOf, OneOf, Rule, check_params
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm import _lazy, _query
from custanalytics.rfm._clock import PERIODS, Clock
from custanalytics.rfm._finish import SharedHashError
from custanalytics.rfm._ledger import Ledger, row_by_row, totals
from custanalytics.rfm._order_policy import OrderPolicy, resolve
from custanalytics.rfm._pieces import BadRowsError, extent_of, summarise, survey
from custanalytics.rfm._returns import settle_log, unmatched_of
from custanalytics.rfm._rows import log_rows, refuse_bad_rows, refuse_endless_sums, table_ids, warn_of_left_out
from custanalytics.rfm._updating import Updating


class RFMSummary(Updating, FrameTransformer, BaseEstimator):
    """Turn a transaction log into a customer table as of the end of a period.

    Each customer with a purchase up to `as_of` becomes one row: how often, how recently, for how long and for
    how much they bought. These are the inputs of RFM scores and of every buy-till-you-die model. Events of one
    customer in one period count once towards `frequency`; the first period starts the clock and is not part
    of `monetary_value`.

    A return (a row with a negative amount or quantity) never adds a purchase, an order or recency. It lowers the value
    of the purchase that it takes back, as far as `policy` finds that one; an order of which nothing is left is no
    purchase. A return without a purchase lowers `total_value` and nothing else. Run a raw log through
    ``TransactionValidator`` first: rows without an id, a time or a finite amount are refused here, not repaired.

    Parameters
    ----------
    columns : mapping or None, default=None
        Maps the standard names ("customer_id", "timestamp", "amount", "order_id", "product_id", "quantity") to those
        of the log. None where the log has the standard names.
    period : {"h", "D", "W", "M", "Y"}, default="D"
        Purchases within one hour, day, ISO week (from Monday), calendar month or year count as one.
    time_unit : {"h", "D", "W", "M", "Y"}, default="W"
        Unit of `recency`, `T` and `inactivity`. A month is 30.4375 days and a year 365.25.
    as_of : str, date, datetime, numpy.datetime64 or None, default=None
        Names the last observed period. All its events count (those at 18:00 of the last day too) and none
        after it. A date stands for its whole day, "1997-09" for its whole month, "1997" for its year. A time zone is
        dropped, as it is from the log: wall clocks are compared. None takes the period of the last event seen by `fit`.
    policy : OrderPolicy, "default" or None, default="default"
        How returns are paired with purchases, and which orders count. "default" is ``OrderPolicy()``. None pairs
        nothing: each return lowers `total_value` and leaves purchases as they are.

    Attributes
    ----------
    ledger_ : Ledger
        What became of the rows and the money of the log that `transform` saw last, where there is a policy and the
        log is in memory.
    as_of_ : numpy.datetime64
        The last observed period, in the resolution of `period` (for weeks, the day of their Monday).
    n_features_in_ : int
        Number of columns of the log given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.

    See Also
    --------
    OrderPolicy : How returns are paired with purchases.
    Ledger : What became of the rows.
    RFMScorer : Scores from 1 to 5 on the customer table.
    RFMSegmenter : Named segments from the scores.

    Notes
    -----
    With :math:`p_1 < \\dots < p_m` the distinct purchase periods of a customer, :math:`a` the period of `as_of`
    and :math:`c` the mean length of a period in `time_unit`,

    .. math::

        \\mathrm{frequency} = m - 1, \\quad \\mathrm{recency} = c\\,(p_m - p_1), \\quad
        T = c\\,(a - p_1), \\quad \\mathrm{inactivity} = c\\,(a - p_m),

    each duration rounded once, so that equal numbers of periods are equal numbers (`T` − `recency` may differ
    from `inactivity` in the last bit). `monetary_value` is the value of the purchases in
    :math:`p_2, \\dots, p_m`, less what was returned of it, over :math:`m - 1`, and 0 where :math:`m = 1`. `n_orders`
    counts the distinct `order_id` with a purchase, a purchase without one as an order of its own; without such a
    column it counts purchase rows. Money is added so that the same bits come out in whatever order the rows are and
    on any number of threads.

    `frequency`, `recency` and `T` are the :math:`x`, :math:`t_x` and :math:`T` of [1]_, here on a clock of whole
    periods.

    References
    ----------
    .. [1] P. S. Fader, B. G. S. Hardie and K. L. Lee (2005). "RFM and CLV: Using Iso-Value Curves for Customer
       Base Analysis". Journal of Marketing Research 42(4), 415-430. :doi:`10.1509/jmkr.2005.42.4.415`

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import RFMSummary
    >>> log = pd.DataFrame({
    ...     "customer_id": [7, 7, 7, 8],
    ...     "timestamp": pd.to_datetime(["2024-01-01", "2024-01-15", "2024-01-15", "2024-01-08"]),
    ...     "amount": [20.0, 30.0, -10.0, 50.0],
    ... })
    >>> table = RFMSummary(as_of="2024-01-29").fit_transform(log)
    >>> table[["customer_id", "frequency", "recency", "T", "inactivity", "monetary_value"]]
       customer_id  frequency  recency    T  inactivity  monetary_value
    0            7          1      2.0  4.0         2.0            30.0
    1            8          0      0.0  3.0         3.0             0.0
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping, type(None))),),
        "period": (OneOf(PERIODS),),
        "time_unit": (UNITS,),
        "as_of": (InstanceOf((str, date, np.datetime64, type(None))),),
        "policy": (InstanceOf((OrderPolicy, type(None))), OneOf(("default",))),
    }

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        period: str = "D",
        time_unit: str = "W",
        as_of: Any = None,
        policy: OrderPolicy | str | None = "default",
    ) -> None:
        self.columns = columns
        self.period = period
        self.time_unit = time_unit
        self.as_of = as_of
        self.policy = policy

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the last observed period.

        Parameters
        ----------
        X : frame
            The event log.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            Where the log is empty, times are missing, or `as_of` lies before the first event.
        """
        check_params(self, self._rules)
        resolve(self.policy)
        lazy = _engines.is_lazy(X)
        first, last = _lazy.span(_query.read(X, self.columns)) if lazy else self._span(self._read(X))
        clock = Clock(self.period, self.time_unit)
        moment = last if self.as_of is None else last_microsecond(self.as_of)
        last_period, first_period = clock.index(moment), clock.index(first)
        if last_period < first_period:
            raise InvalidDataError(
                f"as_of={self.as_of!r} lies before the first event of the log ({clock.name(first_period)}): "
                "no event counts. Pass a later as_of, or none to take the log's last period."
            )
        self.as_of_ = clock.name(last_period)
        names = _engines.wrap(X).collect_schema().names() if lazy else _frames.read(X).columns
        self.feature_names_in_ = np.asarray(names, dtype=object)
        self.n_features_in_ = len(names)
        return self

    def transform(self, X: Any) -> Any:
        """Sum up the events up to `as_of_`.

        Parameters
        ----------
        X : frame
            An event log with the columns that `fit` saw.

        Returns
        -------
        table : frame
            One row per customer with a purchase up to `as_of_`, in ascending order of customer_id (in no order
            where the log is in an engine, which gives the table back, see the guide): customer_id,
            frequency, recency, T, inactivity (in `time_unit`), monetary_value (in the currency of the log),
            n_orders, total_value (in the currency of the log), first_seen, last_seen (the times of the first
            and last purchase).

        Raises
        ------
        InvalidDataError
            Where rows have no customer, no time or no finite amount, or returns have no purchase and the policy
            raises.

        Warns
        -----
        DataQualityWarning
            Where customers have returns and no purchase up to `as_of_`, or none that is left: they are left out.
        """
        check_is_fitted(self)
        found: Any
        if _engines.is_lazy(X):
            log = _query.read(X, self.columns)
            policy = resolve(self.policy)
            free = policy is None or bool(policy.count_free)
            unmatched = self._unmatched if policy is not None and policy.unmatched == "raise" else None
            cutoff, pairs = self._cutoff(), policy is not None
            found, n_left_out, first = _lazy.table(log, *cutoff, self._table, unmatched, pairs, free)
            self.__dict__.pop("ledger_", None)  # one of another log
        else:
            found, left_out, ledger = self._summed(self._read(X))
            if ledger is not None:
                self.ledger_ = ledger
            n_left_out, first = len(left_out), left_out[:5].to_list()
        warn_of_left_out(n_left_out, first, self.as_of_)
        return self._give(found)

    def ledger(self, X: Any) -> Any:
        """What becomes of each row of a log: kept, merged, paired, set aside.

        Parameters
        ----------
        X : frame
            An event log in memory with the columns that `fit` saw.

        Returns
        -------
        ledger : frame
            One row per row of the log, in its order: customer_id, timestamp, fate (see `Ledger`; a purchase that
            counts is "kept" where it is the first of its customer and period, else "merged into order" or "merged
            into period"), partner (the position of the row that it is first paired with, or -1), and in the currency
            of the log, signed: amount, paired, set_aside and counted, where amount = paired + set_aside + counted.
        """
        check_is_fitted(self)
        frame = self._read(X)
        rows, _ = log_rows(frame)
        clock, last_period = self._cutoff()
        end = clock.start(last_period + 1)
        _, outcome = settle_log(frame, rows, end, resolve(self.policy) or OrderPolicy(match=()))
        if not outcome.look.sound:
            refuse_bad_rows(frame, ids=rows.ids if rows.coded else None, times=rows.times, values=rows.values)
        columns = row_by_row(rows, outcome, end, clock)
        return self._give(_frames.build(frame, {name: frame[name] for name in (CUSTOMER_ID, TIMESTAMP)} | columns))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the customer table.

        Parameters
        ----------
        input_features : None
            Ignored: the columns are always the same.

        Returns
        -------
        names : ndarray of shape (10,)
        """
        check_is_fitted(self)
        return np.asarray(SUMMARY_COLUMNS, dtype=object)

    def _table(self, frame: nw.DataFrame[Any]) -> tuple[nw.DataFrame[Any], nw.Series[Any]]:
        """The customer table of a log in memory, and the customers who have no purchase that is left."""
        return self._summed(frame)[:2]

    def _unmatched(self, frame: nw.DataFrame[Any]) -> nw.Series[Any]:
        """The customers of returns without a purchase, as often as there are such returns."""
        clock, last_period = self._cutoff()
        policy = resolve(self.policy) or OrderPolicy()
        return unmatched_of(frame, log_rows(frame)[0], clock.start(last_period + 1), policy)

    def _summed(
        self, frame: nw.DataFrame[Any], hashed: bool = True
    ) -> tuple[nw.DataFrame[Any], nw.Series[Any], Ledger | None]:
        """The customer table, the customers left out, and the ledger."""
        rows, names = log_rows(frame, hashed)
        clock, last_period = self._cutoff()
        end, policy = clock.start(last_period + 1), resolve(self.policy)
        net, outcome = settle_log(frame, rows, end, policy) if policy is not None else (rows, None)
        look = survey(rows, end) if outcome is None else outcome.look
        try:
            ids, columns, left_out = summarise(net, clock, last_period, look)
        except SharedHashError:  # returns were perhaps settled for two customers as if they were one
            return self._summed(frame, hashed=False)
        except BadRowsError:
            refuse_bad_rows(frame, ids=rows.ids if rows.coded else None, times=rows.times, values=rows.values)
        refuse_endless_sums(look.largest, rows.ids.size)
        ledger = totals(rows, outcome, end, columns) if outcome is not None else None
        table = _frames.build(frame, {CUSTOMER_ID: table_ids(frame, ids, names), **columns})
        return table, table_ids(frame, left_out, names), ledger

    def _span(self, frame: nw.DataFrame[Any]) -> tuple[int, int]:
        times = _frames.times(frame)
        if times.size == 0:
            raise InvalidDataError("The log is empty: RFMSummary.fit needs at least one event.")
        first, last = extent_of(times)
        if first == _frames.NO_TIME:
            refuse_bad_rows(frame, times=times)
        return first, last

    def _cutoff(self) -> tuple[Clock, int]:
        clock = Clock(self.period, self.time_unit)
        return clock, clock.index(last_microsecond(self.as_of_))

    def _read(self, X: Any) -> nw.DataFrame[Any]:
        return _frames.read_log(X, self.columns, LOG_REQUIRED, "RFMSummary")
