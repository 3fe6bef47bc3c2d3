"""Customers of a table, joined to a calendar of covariates and to the log that shows when they bought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from custanalytics import _frames, _params
from custanalytics._columns import AMOUNT, CUSTOMER_ID, FIRST_SEEN, FREQUENCY, QUANTITY, RECENCY, TIMESTAMP, T
from custanalytics.clv._base import LikelihoodModel, refuse
from custanalytics.clv._calendar import MICROSECONDS_A_DAY, Calendar, Pieces, unit_length
from custanalytics.clv._covariates import DROPOUT, EQUAL, RATE
from custanalytics.clv._design import FARTHEST, compress
from custanalytics.clv._purchases import PurchaseModel
from custanalytics.clv._weights import check_weight
from custanalytics.clv._windows import Watched
from custanalytics.exceptions import InvalidDataError

SAME_LOG = "Is the table the summary of this log, with the same period and time_unit?"
HINT = "RFMSummary makes such a table from a transaction log; model and summary have the same time_unit."
PERIODS = {"h": MICROSECONDS_A_DAY // 24, "D": MICROSECONDS_A_DAY}
NO_DATE, REMEDY = f"have no {FIRST_SEEN}", "Summarise the log anew."
WATCHED = "from their first purchase to the end of the observation"


class CalendarModel(LikelihoodModel):
    """A model of customers whose time is counted on a calendar of covariates."""

    _columns: ClassVar[tuple[str, ...]] = (CUSTOMER_ID, FIRST_SEEN, FREQUENCY, RECENCY, T)
    _static: ClassVar[type[PurchaseModel]]  # the same model without covariates

    intervals: Any
    log: Any
    rate_covariates: Sequence[str]
    columns: Mapping[str, str] | None
    time_unit: str
    period: str
    covariate_penalty: float
    coefficients_: dict[str, dict[str, float]]

    def _processes(self) -> dict[str, tuple[str, ...]]:
        """The columns of each process that has coefficients."""
        return {RATE: tuple(self.rate_covariates)}

    def _covariates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for names in self._processes().values() for name in names))

    def _columns_of_values(self) -> list[int]:
        """Which covariate of the calendar each coefficient is of."""
        names = self._covariates()
        return [names.index(name) for columns in self._processes().values() for name in columns]

    def _sides(self) -> tuple[list[int], list[int]]:
        """Which coefficients, by number, speed up purchases, and which dropout."""
        owners = [process for process, columns in self._processes().items() for _ in columns]
        rate, dropout = ([at for at, each in enumerate(owners) if each in (side, EQUAL)] for side in (RATE, DROPOUT))
        return rate, dropout

    def _weights(self, calendar: Calendar, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How fast purchases and dropout run in each interval: shapes (n_intervals,)."""
        columns = np.array(self._columns_of_values(), dtype=np.intp)
        rates, hazards = (
            np.exp(np.clip(calendar.values[:, columns[side]] @ coefficients[side], -FARTHEST, FARTHEST))
            for side in self._sides()
        )
        return rates, hazards

    def _coefficients(self) -> np.ndarray:
        pairs = ((process, name) for process, names in self._processes().items() for name in names)
        return np.array([self.coefficients_[process][name] for process, name in pairs])

    def _likelihood(self) -> tuple[Callable[..., None], np.ndarray]:
        raise ValueError(
            f"{type(self).__name__} has no likelihood of the distinct rows of a table, and no sandwich covariance. "
            "covariance_ is the inverse of the observed information; posterior(table) needs no normal approximation."
        )

    def _calendar(self) -> Calendar:
        if self.intervals is None:
            raise ValueError(f"{type(self).__name__} needs the covariates: set_params(intervals=...).")
        return Calendar.read(self.intervals, self._covariates(), type(self).__name__)

    def _read(self, table: Any) -> tuple[Any, ...]:
        """The frame, `frequency`, the first period in microseconds, `recency` and `T`."""
        frame = _frames.read(table, self._columns, type(self).__name__, HINT)
        x, t_x, age = self._static()._read(frame.to_native())
        first = _frames.times(frame, FIRST_SEEN)
        refuse(frame, first == _frames.NO_TIME, NO_DATE, REMEDY)
        return frame, x, (first - first % PERIODS[self.period]).astype(np.float64), t_x, age

    def _pieces(
        self, calendar: Calendar, frame: Any, first: np.ndarray, t_x: np.ndarray, age: np.ndarray
    ) -> tuple[np.ndarray, Pieces, Pieces]:
        """The number of each customer's intervals, and the time before and after the last purchase."""
        length, ids = unit_length(self.time_unit), frame[CUSTOMER_ID].to_list()
        rows = calendar.rows_of(ids, type(self).__name__)
        last, now = first + t_x * length, first + age * length
        calendar.cover(rows, first, now, ids, WATCHED)
        return rows, calendar.pieces(rows, first, last, length), calendar.pieces(rows, last, now, length)

    def _watch(self, calendar: Calendar, table: Any, sample_weight: Any) -> Watched:
        frame, x, first, t_x, age = self._read(table)
        if isinstance(sample_weight, str):
            _params.check_columns(frame.columns, (sample_weight,), type(self).__name__)
            sample_weight = _frames.floats(frame, sample_weight)
        weight = np.ones(x.size) if sample_weight is None else check_weight(sample_weight, x.size)
        if not weight.any():
            raise InvalidDataError(f"{type(self).__name__} needs at least one customer to learn from; found none.")
        length, ids = unit_length(self.time_unit), frame[CUSTOMER_ID].to_list()
        rows = calendar.rows_of(ids, type(self).__name__)
        calendar.cover(rows, first, first + age * length, ids, WATCHED)
        bought: np.ndarray = np.zeros(calendar.start.size)
        if self._sides()[0]:
            who, when = self._purchases(frame, x, first, t_x)
            bought = np.bincount(calendar.locate(rows[who], when), weight[who], bought.size)
        used = weight > 0
        sample = compress((x[used], t_x[used], age[used]), (first[used], rows[used].astype(np.float64)), weight[used])
        order = np.argsort(sample.columns[0], kind="stable")
        x, t_x, age, first, owners = (column[order] for column in sample.columns)
        rows, last, now = owners.astype(np.int64), first + t_x * length, first + age * length
        before, after = calendar.pieces(rows, first, last, length), calendar.pieces(rows, last, now, length)
        return Watched(x, sample.weight[order], before, after, bought)

    def _purchases(
        self, frame: Any, x: np.ndarray, first: np.ndarray, t_x: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every repeat purchase: the row of its customer, and its period in microseconds."""
        owner = type(self).__name__
        if self.log is None:
            raise ValueError(f"{owner} needs the log, to see which covariates held at each purchase: pass log=...")
        log = _frames.read_log(self.log, self.columns, owner=f"log of {owner}")
        rows = {name: row for row, name in enumerate(frame[CUSTOMER_ID].to_list())}
        if len(rows) < len(frame):
            raise InvalidDataError(f"{owner} takes one row per customer; {len(frame) - len(rows):,} are repeated.")
        codes, ids = _frames.codes(log)
        known = np.array([rows.get(name, -1) for name in ids.to_list()] + [-1], dtype=np.int64)
        who, when = known[codes], _frames.times(log, TIMESTAMP)
        counts = (who >= 0) & (when != _frames.NO_TIME) & (_frames.floats(log, AMOUNT) >= 0)
        if QUANTITY in log.columns:
            counts &= ~(_frames.floats(log, QUANTITY) < 0)
        period = PERIODS[self.period]
        who, when = who[counts], when[counts] - when[counts] % period
        order = np.lexsort((when, who))
        who, when = who[order], when[order]
        new = np.append(True, (np.diff(who) != 0) | (np.diff(when) != 0))[: who.size]
        who, when = who[new], when[new].astype(np.float64)
        last = first[who] + t_x[who] * unit_length(self.time_unit) + 0.5 * period
        kept = (when > first[who]) & (when <= last)
        who, when = who[kept], when[kept]
        bad = np.bincount(who, minlength=x.size) != x
        refuse(frame, bad, f"have another {FREQUENCY} than the log shows", SAME_LOG)
        return who, when
