"""Split a transaction log into clean rows and rows set aside, each with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import FunctionType
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, QUANTITY, TIMESTAMP, renaming
from custanalytics._params import (
    BOOLEAN,
    NONE,
    POSITIVE,
    TEXT,
    InstanceOf,
    OneOf,
    Rule,
    check_columns,
    check_params,
    warn,
)
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.validation._custom import own_rules
from custanalytics.validation._history import history
from custanalytics.validation._quarantine import broken, complaint, count, set_aside, tally
from custanalytics.validation._repairs import log_of, restored, undo_of
from custanalytics.validation._rules import RULES, ValidationRule
from custanalytics.validation._screening import IS_RETURN, Policy, Screened, screen_log
from custanalytics.validation._text_times import wall

PLACEHOLDER_IDS = (
    *("unknown", "guest", "anonymous", "anon", "test", "test user", "test customer", "dummy", "default"),
    *("undefined", "unassigned", "not available", "n/a", "#n/a", "na", "-", "?", -1),
)
_TIME = InstanceOf((str, date, np.datetime64))
_ABSURD = wall(date(2200, 1, 1))
_READ = (CUSTOMER_ID, TIMESTAMP, AMOUNT, QUANTITY)
_LAST_CLOCK_ON_EARTH = timedelta(hours=14)


class TransactionValidator(_frames.FrameTransformer, BaseEstimator):
    """Check a transaction log row by row; keep the clean rows, and set the others aside with their reasons.

    It gives the columns their standard names, reads times and amounts that arrive as text, and holds every row
    against the rules that `rules()` lists. No row is lost: rows in = rows clean + rows in `quarantine_`. No value
    is guessed: where a text has two readings, the row is set aside.

    It judges rows one by one. It does not pair returns with their purchases, and does not find one person behind
    two ids.

    Parameters
    ----------
    columns : mapping, default=None
        Standard names to yours, such as ``{"customer_id": "household", "timestamp": "day"}``, or yours to the
        standard ones. The standard names are customer_id, timestamp, amount, and, if the log has them, order_id,
        product_id, quantity and channel. Other columns pass through.
    on_error : {"quarantine", "raise"}, default="quarantine"
        Set wrong rows aside, or raise an `InvalidDataError` that says what is wrong.
    duplicates : {"quarantine", "auto", "flag"}, default="quarantine"
        What becomes of a row that equals an earlier one in every column. "flag" keeps and counts it. "auto" keeps
        it only where it may well be a second purchase: the log has no order ids, and all its times are at midnight.
    as_of : str, date or datetime, default=None
        Times after it are in the future; a day (midnight) counts in full. None is now, on the clock that is
        furthest ahead on Earth (UTC+14).
    earliest : str, date or datetime, default="1970-01-02"
        Times before it are implausible. The default tells apart the zeros of computer clocks.
    date_format : str, default=None
        The one format of texts and integers in the timestamp column, as `datetime.strptime` has it. None reads
        ISO 8601 (also 20240131) and the formats in the notes.
    dayfirst : bool, default=None
        Whether 05/06/2024 is in June. None lets the column prove it: see the notes.
    time_zone : str, default=None
        The clock to read all zoned times on, for example "Europe/Berlin". None leaves them on their own.
    placeholder_ids : sequence or None, default=("unknown", "guest", "anonymous", ..., -1)
        Ids that stand for nobody. Texts are compared without case and surrounding space; -1 is also "-1". Zero and
        99999 are often customers, so they are not in the default.

    Attributes
    ----------
    quarantine_ : frame
        Of the kind that came in: the rows set aside by the last `transform`, as they came, with their position
        `row` (int64, from 0) and their `reasons`, rule names joined by ";". A column of yours with such a name
        stays, and the new one gets an underscore more.
    report_ : ValidationReport
        Counts of the last `transform`.
    feature_names_in_ : ndarray of str
        The columns seen in `fit`.
    n_features_in_ : int
        How many.

    See Also
    --------
    ValidationReport : The counts.
    ValidationRule : One rule.

    Notes
    -----
    The clean log holds the rows in their order, under standard names; times are datetimes without a zone, on the
    wall clock they came with; amounts and quantities that came as text are floats; ids that came as whole floats or
    as number objects are integers. Numeric and datetime columns stay as they came. `is_return` (boolean) is added,
    or replaced: the amount or the quantity is negative. A return is kept, and is never a purchase.

    *Times.* Besides ISO 8601: 2024/1/31, 31/1/2024, 1/31/2024 (with ``/``, ``-``, ``.`` or space), 31 Jan 2024,
    January 31, 2024, each with an optional time of day (seconds and AM or PM optional) and offset. A two-digit year
    needs `date_format`. Day and month: a text such as 31/1/2024 proves its order for the whole column. If nothing
    proves an order, or both are proven, the texts with two readings are ambiguous. Time zones: where a column of
    objects or texts mixes zones, offsets or times without any, the rows whose zone is not that of more than half
    are set aside, all of them if there is no such zone. No time is shifted unless `time_zone` is given.

    *Amounts.* "10.05" and "1e3" are numbers, as are "1,234.50" and "1.234,50", where both signs leave one reading.
    "1,234" and "10,05" are not.

    *Ids.* In a column of objects, rows whose id is not of the type of more than half (text or number) are set
    aside: 1 and "1" may or may not be one customer. White space around an id is part of it.

    *Copies* are looked for among the rows without another fault, on clean values: "10.0" copies "10.00".

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import TransactionValidator
    >>> log = pd.DataFrame({
    ...     "customer": ["ann", "bob", "guest", "ann"],
    ...     "timestamp": ["2024-05-01", "31/04/2024", "2024-05-02", "2024-05-03"],
    ...     "amount": ["10.05", "3", "4", "-10.05"],
    ... })
    >>> validator = TransactionValidator(columns={"customer_id": "customer"}, as_of="2024-12-31")
    >>> validator.fit_transform(log)
      customer_id  timestamp  amount  is_return
    0         ann 2024-05-01   10.05      False
    3         ann 2024-05-03  -10.05       True
    >>> validator.quarantine_
      customer   timestamp amount  row               reasons
    1      bob  31/04/2024      3    1  unparsable_timestamp
    2    guest  2024-05-02      4    2  placeholder_customer
    >>> print(str(validator.report_).splitlines()[0])
    4 rows in = 2 clean (50.00%) + 2 quarantined
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        "on_error": (OneOf(("quarantine", "raise", "repair")),),
        "duplicates": (OneOf(("quarantine", "auto", "flag")),),
        "as_of": (_TIME, NONE),
        "earliest": (_TIME,),
        "date_format": (TEXT, NONE),
        "dayfirst": (BOOLEAN, NONE),
        "time_zone": (TEXT, NONE),
        "decimal": (OneOf((".", ",")), NONE),
        "max_amount": (POSITIVE,),
        "placeholder_ids": (InstanceOf((list, tuple, set, frozenset)), NONE),
        "custom_rules": (InstanceOf((list, tuple, Mapping, FunctionType, ValidationRule)), NONE),
    }

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        on_error: str = "quarantine",
        duplicates: str = "quarantine",
        as_of: str | date | None = None,
        earliest: str | date = "1970-01-02",
        date_format: str | None = None,
        dayfirst: bool | None = None,
        time_zone: str | None = None,
        decimal: str | None = None,
        max_amount: float = 1e15,
        placeholder_ids: Iterable[Any] | None = PLACEHOLDER_IDS,
        custom_rules: Any = None,
    ) -> None:
        self.columns = columns
        self.on_error = on_error
        self.duplicates = duplicates
        self.as_of = as_of
        self.earliest = earliest
        self.date_format = date_format
        self.dayfirst = dayfirst
        self.time_zone = time_zone
        self.decimal = decimal
        self.max_amount = max_amount
        self.placeholder_ids = placeholder_ids
        self.custom_rules = custom_rules

    @staticmethod
    def rules() -> tuple[ValidationRule, ...]:
        """The rules, in the order of the report.

        Returns
        -------
        tuple of ValidationRule
            Each with its name, severity, description and remedy.
        """
        return RULES

    def fit(self, log: Any, y: Any = None) -> Self:
        """Check the parameters and note the columns; nothing is learned from the rows.

        Parameters
        ----------
        log : frame
            A transaction log: pandas, Polars or PyArrow, or a mapping of columns.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If there is no customer, time or amount.
        """
        check_params(self, self._rules)
        self._policy()
        raw, _ = self._read(log)
        self.feature_names_in_ = np.array(raw.columns, dtype=object)
        self.n_features_in_ = len(raw.columns)
        return self

    def transform(self, log: Any) -> Any:
        """Validate a log, and renew `quarantine_` and `report_`.

        Parameters
        ----------
        log : frame
            A transaction log with the columns seen in `fit`.

        Returns
        -------
        frame
            The clean rows, of the kind that came in.

        Raises
        ------
        InvalidDataError
            If `on_error` is "raise" and a row is wrong; if a rule of yours fails.
        """
        check_is_fitted(self, "feature_names_in_")
        raw, frame = self._read(log)
        check_columns(raw.columns, list(self.feature_names_in_), type(self).__name__, "They were there in fit.")
        screened = screen_log(frame, self._policy())
        mend = self.on_error == "repair"
        keep_copies, notes = self._judge_copies(screened)
        found = tally(screened, keep_copies, mend and not keep_copies)
        wrong, dropped = found.wrong, found.dropped
        clean = _frames.extend(screened.frame, {IS_RETURN: screened.returns})
        kept = None
        if wrong.size or dropped.size:
            sound = np.ones(len(clean), bool)
            sound[wrong] = sound[dropped] = False
            kept = np.flatnonzero(sound)
            clean = clean[kept]
        more = {
            "history": history(screened.times, screened.span, found.rows, found.masks),
            "kind": _frames.kind(raw),
        }
        if mend:
            names = self._standard(raw.columns)
            yours = {standard: name for name, standard in names.items()}
            more["repairs"] = log_of(found, screened, raw, yours)
            rows = np.arange(len(clean)) if kept is None else kept
            self.undo_ = undo_of(raw, clean, self._changed(frame, screened.frame), rows, dropped, names)
        self.report_ = count(found, screened.returns, keep_copies, notes, more)
        self.quarantine_ = set_aside(raw, wrong, found.reasons())
        if wrong.size and self.on_error == "raise":
            raise InvalidDataError(complaint(self.report_, found))
        if 0 < wrong.size == len(raw):
            warn(
                f"All {wrong.size:,} rows are quarantined: {broken(self.report_)}. The clean log is empty; see "
                "quarantine_ and report_ of the TransactionValidator.",
                DataQualityWarning,
            )
        return self._give(clean)

    def restore(self, clean: Any) -> Any:
        """Undo the repairs: the rows behind a clean log, as they came.

        Parameters
        ----------
        clean : frame
            The clean log that the last `transform` gave, its rows in their order. Columns that you have added are
            left out; a column that was never repaired is taken from here.

        Returns
        -------
        frame
            The rows of the log that are not in `quarantine_`, in their order: with their own names and values, and
            with the rows that were dropped as copies.

        Raises
        ------
        ValueError
            If `on_error` is not "repair", or `clean` has not the rows that `transform` gave.
        """
        check_is_fitted(self, "report_")
        if getattr(self, "undo_", None) is None or self.on_error != "repair":
            raise ValueError(
                f"restore undoes repairs, and on_error={self.on_error!r} makes none. Pass on_error='repair' and "
                "transform the log first."
            )
        frame = _frames.read(clean, list(self.undo_.names.values()), "restore")
        if len(frame) != self.undo_.rows:
            raise ValueError(
                f"restore takes the clean log as transform gave it, with {self.undo_.rows:,} rows; got {len(frame):,}."
            )
        return restored(frame, self.undo_).to_native()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The columns of the clean log.

        Parameters
        ----------
        input_features : None
            Ignored: the names are those seen in `fit`.

        Returns
        -------
        ndarray of str
            Standard names where there are such, and `is_return`.
        """
        check_is_fitted(self, "feature_names_in_")
        found = list(self._standard(self.feature_names_in_).values())
        return np.array([*found, *([] if IS_RETURN in found else [IS_RETURN])], dtype=object)

    def _read(self, log: Any) -> tuple[nw.DataFrame[Any], nw.DataFrame[Any]]:
        raw = _frames.read(log, owner=type(self).__name__)
        return raw, _frames.read_log(raw.to_native(), self.columns, owner=type(self).__name__)

    def _standard(self, found: Iterable[str]) -> dict[str, str]:
        """The columns of a log that are kept, each with its standard name."""
        standard = renaming(self.columns)
        taken = {name for yours, name in standard.items() if yours != name and name not in standard}
        return {name: standard.get(name, name) for name in found if name not in taken}

    def _changed(self, frame: nw.DataFrame[Any], clean: nw.DataFrame[Any]) -> set[str]:
        """The columns of the clean log that are not the very columns read."""
        own = {name for rule in own_rules(self.custom_rules) if rule.repair for name in rule.repair}
        same = {name for name in frame.columns if name not in _READ and name not in own}
        typed = {name for name in _READ if name in frame.columns and frame.schema[name] == clean.schema[name]}
        typed = {name for name in typed if name not in own and _equal(frame[name], clean[name])}
        return set(clean.columns) - same - typed | {IS_RETURN}

    def _judge_copies(self, screened: Screened) -> tuple[bool, tuple[str, ...]]:
        copies = len(screened.first)
        if not copies or screened.identified:
            return self.duplicates == "flag", ()
        kept = self.duplicates != "quarantine"
        what = "dropped" if self.on_error == "repair" else "set aside"
        return kept, (
            f"{copies:,} of {screened.faults.size:,} rows copy an earlier one, but the log has neither order ids nor "
            "times of day, so they may be purchases of their own. They are "
            + (f"kept; duplicates='quarantine' has them {what}." if kept else f"{what}; duplicates='auto' keeps them."),
        )

    def _policy(self) -> Policy:
        if self.as_of is None:
            latest = wall(datetime.now(UTC) + _LAST_CLOCK_ON_EARTH)
        else:
            latest = _instant(self.as_of, "as_of")
            latest += 86_400_000_000 - 1 if latest % 86_400_000_000 == 0 else 0
        try:
            zone = None if self.time_zone is None else ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                "The 'time_zone' parameter of TransactionValidator must be the name of a time zone, such as "
                f"'Europe/Berlin'. Got {self.time_zone!r} instead."
            ) from error
        earliest = _instant(self.earliest, "earliest")
        return Policy(
            earliest,
            latest,
            _ABSURD,
            self.date_format,
            self.dayfirst,
            zone,
            self.decimal,
            self.placeholder_ids,
            float(self.max_amount),
            self.on_error == "repair",
            own_rules(self.custom_rules),
        )


def _equal(one: nw.Series[Any], other: nw.Series[Any]) -> bool:
    """Whether a column is the very one that was read: its native object, or equal in every value."""
    if one.to_native() is other.to_native():
        return True
    if not (one.dtype.is_numeric() or isinstance(one.dtype, nw.Datetime)):
        return False
    same = ((one == other) | (one.is_null() & other.is_null())).fill_null(False).to_numpy()
    return bool(np.all(same))


def _instant(value: Any, name: str) -> int:
    """A parameter as microseconds since 1970 on its own wall clock."""
    try:
        if isinstance(value, np.datetime64):
            value = value.astype("datetime64[us]").item()
        return wall(datetime.fromisoformat(value) if isinstance(value, str) else value)
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"The {name!r} parameter of TransactionValidator must be a date or a datetime, or one in ISO 8601. "
            f"Got {value!r} instead."
        ) from error
