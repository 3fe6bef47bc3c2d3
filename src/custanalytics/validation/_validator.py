"""Split a transaction log into clean rows and rows set aside, each with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from types import FunctionType
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._output import FrameTransformer
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
from custanalytics.validation._history import history
from custanalytics.validation._policy import PLACEHOLDER_IDS, policy_of, standard_names
from custanalytics.validation._quarantine import broken, complaint, count, judge_copies, set_aside, tally, without
from custanalytics.validation._repairs import changed_columns, log_of, restored, undo_of
from custanalytics.validation._rules import RULES, ValidationRule
from custanalytics.validation._screening import IS_RETURN, screen_log
from custanalytics.validation._values import takeable

_TIME = InstanceOf((str, date, np.datetime64))


class TransactionValidator(FrameTransformer, BaseEstimator):
    """Check a transaction log row by row; keep the clean rows, and set the others aside with their reasons.

    It gives the columns their standard names, reads times and amounts that arrive as text, and holds every row
    against the rules that `rules()` lists, and against yours. No row is lost: rows in = rows clean + rows in
    `quarantine_` (+ copies dropped, where `on_error` is "repair"). No value is guessed: where a text has two readings,
    the row is set aside.

    It judges rows one by one. It does not pair returns with their purchases, and does not find one person behind
    two ids. A lazy frame is collected.

    Parameters
    ----------
    columns : mapping, default=None
        Standard names to yours, such as ``{"customer_id": "household", "timestamp": "day"}``, or yours to the
        standard ones. The standard names are customer_id, timestamp, amount, and, if the log has them, order_id,
        product_id, quantity and channel. Other columns pass through.
    on_error : {"quarantine", "raise", "repair"}, default="quarantine"
        Set wrong rows aside, or raise an `InvalidDataError` that says what is wrong, or repair what is safe to repair
        and set the others aside: see the notes. `report_.repairs` lists what was changed, and `restore` undoes it.
    duplicates : {"quarantine", "auto", "flag"}, default="quarantine"
        What becomes of a row that equals an earlier one in every column: it is set aside (dropped, where `on_error` is
        "repair"). "flag" keeps and counts it. "auto" keeps it only where it may well be a second purchase: the log has
        no order ids, and all its times are at midnight.
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
    decimal : {".", ","}, default=None
        The decimal sign of amounts and quantities that are text. None reads what can be read in one way only.
    max_amount : float, default=1e15
        Amounts beyond it, with either sign, are wrong: in the currency of the log.
    placeholder_ids : sequence or None, default=("unknown", "guest", "anonymous", ..., -1)
        Ids that stand for nobody. Texts are compared without case and surrounding space; -1 is also "-1". Zero and
        99999 are often customers, so they are not in the default.
    custom_rules : sequence of ValidationRule or of functions, or mapping, default=None
        Rules of your own. A function gets its name from itself, in a mapping from the key, for example
        ``{"absurd": nw.col("amount") > 1e6}``; such rules are errors. At most 31.

    Attributes
    ----------
    quarantine_ : frame
        Of the kind that came in: the rows set aside by the last `transform`, as they came, with their position
        `row` (int64, from 0) and their `reasons`, rule names joined by ";". A column of yours with such a name
        stays, and the new one gets an underscore more.
    report_ : ValidationReport
        Counts, scores and repairs of the last `transform`.
    undo_ : object
        What `restore` needs, where `on_error` is "repair".
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
    as number objects are integers. Numeric and datetime columns stay as they came, and a log without a wrong row is
    not copied. `is_return` (boolean) is added, or replaced: the amount or the quantity is negative. A return is kept,
    and is never a purchase.

    *Times.* Besides ISO 8601: 2024/1/31, 31/1/2024, 1/31/2024 (with ``/``, ``-``, ``.`` or space), 31 Jan 2024,
    January 31, 2024, each with an optional time of day (seconds and AM or PM optional) and offset. A two-digit year
    needs `date_format`. Day and month: a text such as 31/1/2024 proves its order for the whole column. If nothing
    proves an order, or both are proven, the texts with two readings are ambiguous. Time zones: where a column of
    objects or texts mixes zones, offsets or times without any, the rows whose zone is not that of more than half
    are set aside, all of them if there is no such zone. No time is shifted unless `time_zone` is given, or repairs
    are wanted.

    *Amounts.* "10.05" and "1e3" are numbers, as are "1,234.50" and "1.234,50", where both signs leave one reading.
    "1,234" and "10,05" are not, unless `decimal` is given or repairs are wanted.

    *Ids.* In a column of objects, rows whose id is not of the type of more than half (text or number) are set
    aside: 1 and "1" may or may not be one customer. White space around an id is part of it, and a warning.

    *Copies* are looked for among the rows without another fault, on clean values: "10.0" copies "10.00".

    *Repairs.* Ids of text lose white space and invisible characters around them and get Unicode normal form C. Zoned
    times move to the clock of more than half of them, or else to UTC, unless most times have no zone. Amounts and
    quantities of text are read with currency signs and codes, brackets or a sign at either end for negative ones,
    spaces, points, commas and apostrophes between thousands, and the decimal sign that the column proves: "10,05" says
    that "1,234" is a little more than one. Where one of amount and quantity is negative, both become so. Copies are
    dropped. Repairing a repaired log changes nothing.

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
        """The library's rules, in the order of the report.

        Returns
        -------
        tuple of ValidationRule
            Each with its name, severity, message, remedy and repair.
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
        policy_of(self)
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
        policy = policy_of(self)
        screened = screen_log(frame, policy)
        mend = self.on_error == "repair"
        keep_copies, notes = judge_copies(screened, self.duplicates, mend)
        found = tally(screened, keep_copies, mend and not keep_copies)
        wrong, dropped = found.wrong, found.dropped
        clean = _frames.extend(screened.frame, {IS_RETURN: screened.returns})
        gone = np.union1d(wrong, dropped) if dropped.size else wrong
        clean = without(clean, gone)
        more = {
            "history": history(screened.times, screened.span, found.rows, found.masks),
            "kind": _frames.kind(raw),
        }
        if mend:
            names = standard_names(raw.columns, self.columns)
            yours = {standard: name for name, standard in names.items()}
            more["repairs"] = log_of(found, screened, raw, yours)
            changed = changed_columns(frame, screened.frame, policy.own)
            kept = np.setdiff1d(np.arange(len(raw)), gone, assume_unique=True)
            self.undo_ = undo_of(raw, clean, changed, kept, dropped, names)
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
            The clean log that the last `transform` gave, its times and amounts, and its rows in their order. Columns
            that you have added are left out; a column that was never repaired is taken from here.

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
        found = list(standard_names(self.feature_names_in_, self.columns).values())
        return np.array([*found, *([] if IS_RETURN in found else [IS_RETURN])], dtype=object)

    def _read(self, log: Any) -> tuple[nw.DataFrame[Any], nw.DataFrame[Any]]:
        raw = takeable(_frames.read(log, owner=type(self).__name__))
        return raw, _frames.read_log(raw.to_native(), self.columns, owner=type(self).__name__)
