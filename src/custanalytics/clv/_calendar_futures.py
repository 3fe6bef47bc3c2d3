"""What lies ahead of customers on a calendar: expectations, distributions and draws under covariates to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from custanalytics import _engine_checks, _engines
from custanalytics._columns import (
    CUSTOMER_ID,
    DISCOUNTED_PURCHASES,
    EXPECTED_PURCHASES,
    FIRST_SEEN,
    FREQUENCY,
    P_ALIVE,
    RECENCY,
    T,
)
from custanalytics._params import NOT_NEGATIVE, Number, check_value
from custanalytics.clv._calendar import Calendar, Pieces, unit_length
from custanalytics.clv._compression import distinct
from custanalytics.clv._design import group_codes
from custanalytics.clv._discounting import FADED
from custanalytics.clv._futures import CHUNK, FINITE, Futures, Given
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._given_calendar import GivenCalendar
from custanalytics.clv._posterior_predictions import Part
from custanalytics.clv._purchases import CHECKS
from custanalytics.clv._walks import HINT, NO_DATE, REMEDY, CalendarModel
from custanalytics.clv._windows import Ahead, Window, discounted_sums

NUMBERS = (FREQUENCY, RECENCY, T)


class Seen(NamedTuple):
    """Customers of a table and their time in pieces of a calendar: nothing that depends on parameters."""

    calendar: Calendar
    x: np.ndarray
    before: Pieces
    after: Pieces
    group: np.ndarray  # of each, among those who have the same time ahead
    ahead: Pieces
    begin: np.ndarray  # of the pieces ahead, from now on


class Facing(NamedTuple):
    """Customers at the end of the observation: who they are, and what time is ahead of them."""

    x: np.ndarray
    alive: np.ndarray
    bought: np.ndarray  # how much time counted so far, for purchases
    aged: np.ndarray  # and for dropout
    group: np.ndarray  # of each, among those of `ahead`
    ahead: Ahead


class CalendarFutures(Futures, CalendarModel):
    """Predictions of a model on a calendar."""

    def predict_alive(self, table: Any, *, ahead: float = 0) -> Any:
        """Probability that each customer is active at the end of the observation, or some time after it.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `customer_id`, `first_seen`, `frequency`, `recency` and `T`.
        ahead : float, default=0
            How long after the end of the observation, in `time_unit`; `intervals` must cover it.

        Returns
        -------
        ndarray of shape (n_customers,)
            P(alive at `T` + `ahead`). For a table in an engine the table itself, with that column added.

        Raises
        ------
        InvalidDataError
            If the intervals end before.
        """
        check_value("ahead", ahead, (Number(0),), f"{type(self).__name__}.predict_alive")
        return self._anywhere(table, P_ALIVE, "_alive_after", float(ahead))

    def predict_purchases(self, table: Any, horizon: float, *, start: float = 0) -> Any:
        """Expected number of purchases of each customer in the `horizon` after the observation, or in a later window.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `customer_id`, `first_seen`, `frequency`, `recency` and `T`. A new customer has
            0 for the last three.
        horizon : float
            Length of the time ahead in `time_unit`; `intervals` must cover it.
        start : float, default=0
            How long after the observation it begins, in `time_unit`: purchases in (T + start, T + start + horizon] are
            counted.

        Returns
        -------
        ndarray of shape (n_customers,)
            Expected purchases; P(alive) is included. For a table in an engine the table itself, with that column added.

        Raises
        ------
        InvalidDataError
            If the intervals end before the horizon.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_purchases")
        check_value("start", start, (FINITE,), f"{type(self).__name__}.predict_purchases")
        return self._anywhere(table, EXPECTED_PURCHASES, "_purchases_within", float(horizon), float(start))

    def predict_discounted_purchases(self, table: Any, horizon: float, rate: float) -> Any:
        """Expected purchases in the `horizon` ahead, each discounted to the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_purchases`.
        horizon : float
            Length of the time ahead in `time_unit`; `intervals` must cover it.
        rate : float
            Continuous rate of discount per `time_unit`: a purchase after t counts exp(-rate * t).

        Returns
        -------
        ndarray of shape (n_customers,)
            Discounted expected purchases. For a table in an engine the table itself, with that column added.

        Raises
        ------
        InvalidDataError
            If the intervals end before the horizon.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_discounted_purchases")
        check_value("rate", rate, (NOT_NEGATIVE,), f"{type(self).__name__}.predict_discounted_purchases")
        if rate == 0:
            return self._anywhere(table, DISCOUNTED_PURCHASES, "_purchases_within", float(horizon), 0.0)
        return self._anywhere(table, DISCOUNTED_PURCHASES, "_discounted", float(horizon), float(rate))

    def _anywhere(self, table: Any, column: str, method: str, *args: float) -> Any:
        """What a method predicts: an array, or a column added to a table in an engine."""
        self._theta()
        if _engines.is_lazy(table):
            return self._added(table, column, method, *args)
        return getattr(self, method)(table, *args)

    def _added(self, table: Any, column: str, method: str, *args: float) -> Any:
        """A table in an engine, checked at once, with the predictions of a method added where the rows are.

        Ids and dates come to the method as texts, which all engines make without a loss.
        """
        lazy = _engines.read_table(table, self._columns, type(self).__name__, HINT)
        checks = (*CHECKS, _engine_checks.Check(NO_DATE, REMEDY, lambda *_: nw.col(FIRST_SEEN).is_null()))
        _engine_checks.refuse(lazy, checks, *_engine_checks.numbers(lazy, NUMBERS))
        schema = lazy.collect_schema()
        moment = nw.col(FIRST_SEEN)
        if getattr(schema[FIRST_SEEN], "time_zone", None) is not None:
            moment = moment.dt.replace_time_zone(None)
        texts = {name: f"{name}_as_text" for name in (CUSTOMER_ID, FIRST_SEEN)}
        lazy = lazy.with_columns(
            nw.col(CUSTOMER_ID).cast(nw.String).alias(texts[CUSTOMER_ID]),
            moment.cast(nw.String).alias(texts[FIRST_SEEN]),
        )
        whole = schema[CUSTOMER_ID].is_integer()
        predict = partial(_predicted, copy(self), method, args, column, texts, whole)
        found = _engines.map_columns(lazy, (*texts.values(), *NUMBERS), predict, {column: float})
        return _engines.native(found.drop(*texts.values()))

    def _alive_after(self, table: Any, ahead: float) -> np.ndarray:
        if ahead > 0:
            return self._later(table, ahead, lambda given: given.stay(ahead))
        return self._facing(table, 0.0).alive

    def _purchases_within(self, table: Any, horizon: float, start: float) -> np.ndarray:
        return self._later(table, start + horizon, lambda given: given.window(start, horizon))

    def _discounted(self, table: Any, horizon: float, discount: float) -> np.ndarray:
        end = min(horizon, FADED / discount)
        theta, facing = self._theta(), self._facing(table, end)
        ahead, memory = facing.ahead.within(0.0, end), self._static.from_params(**self.params_)._memory()
        alike = distinct((facing.x, facing.bought, facing.aged, facing.group.astype(np.float64)))
        assert alike is not None  # never gives up
        codes, rows = alike
        x, bought, aged, groups = (each[rows] for each in (facing.x, facing.bought, facing.aged, facing.group))
        result, order = np.empty(rows.size), np.argsort(groups, kind="stable")
        bounds = np.searchsorted(groups, np.arange(ahead.bounds.size), sorter=order)
        for group, (low, high) in enumerate(pairwise(bounds)):
            at, window = order[low:high], ahead.window(group)
            fastest = max(1.0, window.rates.max(), window.hazards.max())
            sums = discounted_sums(window.edges(), discount, memory / fastest)
            result[at] = self._if_alive(x[at], bought[at], aged[at], window, *sums, theta)
        return facing.alive * result[codes]

    def _later(self, table: Any, end: float, of: Callable[[Given], np.ndarray]) -> np.ndarray:
        """What lies ahead of customers if they are alive, times the chance that they are."""
        result = [alive * of(given) for alive, given in self._customers(table, end, CHUNK)]
        return np.concatenate(result) if result else np.empty(0)

    def _customers(self, table: Any, horizon: float, size: int) -> Iterator[tuple[np.ndarray, Given]]:
        facing = self._facing(table, horizon)
        described = self._given_alive(facing.x, facing.bought, facing.aged, self._theta())
        given = GivenCalendar(described.table, facing.group, facing.ahead)
        for start in range(0, facing.x.size, size):
            rows = np.arange(start, min(start + size, facing.x.size))
            yield facing.alive[rows], given.pick(rows)

    def _facing(self, table: Any, end: float) -> Facing:
        """The customers of a table, and what time counts for them up to `end` ahead."""
        theta = self._theta()
        seen = table.kept(end, lambda: self._see(table, end)) if isinstance(table, Part) else self._see(table, end)
        rates, hazards = self._weights(seen.calendar, self._coefficients())
        bought, aged = ((seen.before.exposure(each) + seen.after.exposure(each)) for each in (rates, hazards))
        alive = self._alive(seen.x, seen.before, seen.after, theta, rates, hazards)
        return Facing(seen.x, alive, bought, aged, seen.group, Ahead.of(seen.ahead, seen.begin, rates, hazards))

    def _see(self, table: Any, end: float) -> Seen:
        """The customers of a table, and the covariates to come for as long as `end`."""
        calendar = self._calendar()
        frame, x, first, t_x, age = self._read(table)
        rows, before, after = self._pieces(calendar, frame, first, t_x, age)
        length = unit_length(self.time_unit)
        now = first + age * length
        calendar.cover(rows, now, now + end * length, frame[CUSTOMER_ID].to_list(), f"up to {end:g} ahead")
        group, found = group_codes((now, rows.astype(np.float64)))
        leaders = np.empty(found, np.int64)
        leaders[group] = np.arange(group.size)
        rows, now = rows[leaders], now[leaders]
        pieces = calendar.pieces(rows, now, now + end * length, length)
        each = np.repeat(now, np.diff(pieces.bounds))
        begin = (np.maximum(calendar.start[pieces.interval], each) - each) / length
        return Seen(calendar, x, before, after, group, pieces, begin)

    def _described_customers(self, table: Any) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
        frame, x, first, t_x, age = self._read(table)
        ids = frame[CUSTOMER_ID].to_list()
        rows = self._calendar().rows_of(ids, type(self).__name__)
        names = np.empty(len(ids), object)
        names[:] = ids
        cells = (names, first.astype("datetime64[us]"), x, t_x, age)
        return dict(zip(self._columns, cells, strict=True)), (rows.astype(np.float64), first, x, t_x, age)

    def _alive(
        self, x: np.ndarray, before: Pieces, after: Pieces, theta: np.ndarray, rates: np.ndarray, hazards: np.ndarray
    ) -> np.ndarray:
        """P(alive at T)."""
        raise NotImplementedError

    def _if_alive(
        self,
        x: np.ndarray,
        bought: np.ndarray,
        aged: np.ndarray,
        window: Window,
        times: np.ndarray,
        weights: np.ndarray,
        theta: np.ndarray,
    ) -> np.ndarray:
        """Weighted sum of the purchases expected within each of some times, of customers who are alive.

        `bought` and `aged` are how much time counted so far, for purchases and for dropout.
        """
        raise NotImplementedError

    def _given_alive(self, x: np.ndarray, bought: np.ndarray, aged: np.ndarray, theta: np.ndarray) -> GivenAlive:
        """What customers are like who are alive at T, at a rate and a hazard of 1."""
        raise NotImplementedError


def _predicted(
    model: CalendarFutures,
    method: str,
    args: tuple[float, ...],
    column: str,
    texts: dict[str, str],
    whole: bool,
    values: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """What a method predicts of rows of an engine, whose ids are whole numbers or texts."""
    ids = values[texts[CUSTOMER_ID]].tolist()
    table = {
        CUSTOMER_ID: [int(each) for each in ids] if whole and None not in ids else ids,
        FIRST_SEEN: np.array(values[texts[FIRST_SEEN]], "datetime64[us]"),
        **{name: values[name] for name in NUMBERS},
    }
    return {column: getattr(model, method)(table, *args)}
