"""The method of RFMSummary that brings a customer table up to date."""

from __future__ import annotations

from typing import Any, ClassVar

import narwhals as nw
from sklearn.base import clone

from custanalytics import _frames
from custanalytics._columns import SUMMARY_COLUMNS
from custanalytics._instants import last_microsecond
from custanalytics._params import BOOLEAN, check_params, check_value
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._order_policy import resolve
from custanalytics.rfm._rows import warn_of_left_out
from custanalytics.rfm._update import updated


class Updating:
    """`update` for a summary: see `RFMSummary`."""

    _rules: ClassVar[Any]
    period: str
    time_unit: str
    policy: Any
    _read: Any
    _give: Any

    def update(
        self, table: Any, new_events: Any, *, as_of: Any = None, history: Any = None, whole_orders: bool = False
    ) -> Any:
        """The table that the whole log would give, from the table so far and the events since.

        Nothing need be fitted: the table says up to which period it goes.

        Parameters
        ----------
        table : frame
            A customer table of an earlier `transform` or `update` with the same `period`, `time_unit` and `policy`.
            Its columns other than those of `get_feature_names_out` are dropped.
        new_events : frame
            The events after the last period of the table, all of them up to `as_of`.
        as_of : str, date, datetime, numpy.datetime64 or None, default=None
            Names the new last period, as the parameter of the class does. None takes that of the last new event.
        history : frame or None, default=None
            All rows up to the last period of the table of some customers, who are then summed up afresh.
        whole_orders : bool, default=False
            Says that no order has lines on both sides of a cutoff, so that `n_orders` can be added up.

        Returns
        -------
        table : frame
            As `transform` gives it, of the library of `table`. Equal to it to the bit where amounts are whole numbers
            of 1/10,000 of the currency, else money to a relative 1e-12 of what was added up.

        Raises
        ------
        InvalidDataError
            Where the new table cannot be known: events of a closed period; customers of the table who have returns
            (unless `policy` is None) or orders that may go back further, and no `history`; a table with other periods,
            units or cutoffs, or with a customer twice; sums that no double holds.

        Warns
        -----
        DataQualityWarning
            Where new customers, or those of `history`, have returns and no purchase that is left: they are left out.

        Notes
        -----
        Customers left out so far, for having nothing but returns, are not in the table. Where there were any, pass
        their rows as `history` for as long as it takes: else returns before their first purchase are forgotten.

        Examples
        --------
        >>> import pandas as pd
        >>> from custanalytics.rfm import RFMSummary
        >>> log = pd.DataFrame({
        ...     "customer_id": [7, 8, 7, 9],
        ...     "timestamp": pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-16"]),
        ...     "amount": [20.0, 50.0, 30.0, 10.0],
        ... })
        >>> summary = RFMSummary(time_unit="D")
        >>> yesterday = summary.fit_transform(log.iloc[:2])
        >>> today = summary.update(yesterday, log.iloc[2:])
        >>> today.equals(summary.fit_transform(log))
        True
        """
        check_params(self, self._rules)
        check_value("as_of", as_of, self._rules["as_of"], "RFMSummary.update")
        check_value("whole_orders", whole_orders, (BOOLEAN,), "RFMSummary.update")
        clock = Clock(self.period, self.time_unit)
        known = _frames.read(table, SUMMARY_COLUMNS, "RFMSummary.update", "Pass a table that RFMSummary made.")
        found, left_out = updated(
            known,
            self._read(new_events),
            None if history is None else self._read(history),
            clock,
            None if as_of is None else clock.index(last_microsecond(as_of)),
            resolve(self.policy),
            bool(whole_orders),
            self._recomputed,
        )
        warn_of_left_out(len(left_out), left_out[:5].to_list(), "the last period")
        return self._give(found)

    def _recomputed(self, frame: nw.DataFrame[Any], last_period: int) -> tuple[nw.DataFrame[Any], nw.Series[Any]]:
        """The customer table of a log up to a period, and who has no purchase that is left."""
        other = clone(self)
        other.as_of_ = Clock(self.period, self.time_unit).name(last_period)
        return other._table(frame)
