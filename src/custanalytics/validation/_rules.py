"""The rules of a transaction log, as data: one row each, in the order of their bits; and rules of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from custanalytics.validation import _kernels as k

ERROR, WARNING, FLAG = "error", "warning", "flag"
WEIGHTS: Mapping[str, float] = {ERROR: 1.0, WARNING: 0.5, FLAG: 0.0}


@dataclass(frozen=True)
class ValidationRule:
    """One thing that can be wrong with a row of a transaction log: one of the library's, or one of yours.

    Yours go to ``TransactionValidator(custom_rules=[...])``.

    Parameters
    ----------
    name : str
        What `TransactionValidator.report_` and the `reasons` of a quarantined row call it.
    check : callable or Narwhals expression, default=None
        Which rows break the rule. A function takes the log under standard names, with times and numbers read, as a
        frame of the library that came in, and gives booleans, one a row (a missing one is False); if it cannot work
        on such a frame, let it call ``narwhals.from_native``. An expression gives the same, for example
        ``nw.col("amount") > 1e6``. NaN compares as in the library that came in: in Polars it is larger than every
        number. The library's own rules have None.
    severity : {"error", "warning", "flag"}, default="error"
        A row that breaks an error is set aside; one that breaks a warning is kept and reported. A flag marks what is
        no fault: the library's rule of returns. It cannot be had for rules of yours.
    message : str, default=""
        When a row breaks the rule.
    remedy : str, default=""
        What to do about it.
    repair : mapping of str to callable or Narwhals expression, or str, default=None
        What `on_error="repair"` does about it: columns with their new values, which replace those of the rows that
        break the rule, for example ``{"amount": nw.col("amount") / 100}``. Rows that break the rule even so are set
        aside. The library's own rules say it in words.
    bit : int, default=0
        The rule's bit in the mask of a row; the validator numbers yours.

    See Also
    --------
    TransactionValidator : Applies the rules.

    Examples
    --------
    >>> from custanalytics.validation import TransactionValidator, ValidationRule
    >>> rule = TransactionValidator.rules()[0]
    >>> rule.name, rule.severity
    ('missing_customer_id', 'error')
    >>> rule.remedy
    'Find the customer through the order, or leave the row out of per-customer figures.'

    A rule of your own, with its repair:

    >>> import narwhals as nw
    >>> cents = ValidationRule(
    ...     name="in_cents",
    ...     check=nw.col("amount") > 10_000,
    ...     message="the amount is beyond 10,000: it is in cents",
    ...     repair={"amount": nw.col("amount") / 100},
    ... )
    >>> validator = TransactionValidator(custom_rules=[cents], on_error="repair", as_of="2024-12-31")
    >>> log = {"customer_id": [1, 2], "timestamp": ["2024-05-01", "2024-05-02"], "amount": [19.0, 24900.0]}
    >>> validator.fit_transform(log)["amount"].tolist()
    [19.0, 249.0]
    """

    name: str
    check: Any = None
    severity: str = ERROR
    message: str = ""
    remedy: str = ""
    repair: Any = None
    bit: int = 0

    @property
    def description(self) -> str:
        """The message, by its earlier name."""
        return self.message


def _error(name: str, message: str, remedy: str, bit: int, repair: str | None = None) -> ValidationRule:
    return ValidationRule(name, None, ERROR, message, remedy, repair, bit)


def _warning(name: str, message: str, remedy: str, bit: int, repair: str | None = None) -> ValidationRule:
    return ValidationRule(name, None, WARNING, message, remedy, repair, bit)


def _flag(name: str, message: str, remedy: str, bit: int) -> ValidationRule:
    return ValidationRule(name, None, FLAG, message, remedy, None, bit)


RULES = (
    _error(
        "missing_customer_id",
        "the customer id is null, None or NaN",
        "Find the customer through the order, or leave the row out of per-customer figures.",
        k.MISSING_ID,
    ),
    _error(
        "blank_customer_id",
        "the customer id is empty, white space, or the text of a missing value (nan, none, null, nat, <na>)",
        "Read the source with its missing values declared, so that they arrive as null.",
        k.BLANK_ID,
    ),
    _error(
        "placeholder_customer",
        "the customer id is one of `placeholder_ids`: it stands for anybody",
        "Change placeholder_ids=(...) if such an id is a real customer, or if yours has other placeholders.",
        k.PLACEHOLDER_ID,
    ),
    _error(
        "invalid_customer_id",
        "the customer id is an infinite number, a list, dict or other container, or a text with half a character",
        "Take the id out of the container, for example with .str[0]; read text with its own encoding.",
        k.INVALID_ID,
    ),
    _error(
        "mixed_id_types",
        "the customer id is of another type than more than half of the ids: 1 and '1' are never merged silently",
        "Make the ids one type first, for example with astype(str).",
        k.MIXED_ID_TYPES,
    ),
    _error(
        "missing_timestamp",
        "the timestamp is null, NaT, empty, or the text of a missing value",
        "Take the date from the order or the load batch, if you trust it.",
        k.MISSING_TIME,
    ),
    _error(
        "unparsable_timestamp",
        "the timestamp is no date: a text in no known format, or an object of another type",
        "Name the format: date_format='%d.%m.%y %H:%M'.",
        k.UNPARSABLE_TIME,
    ),
    _error(
        "ambiguous_timestamp",
        "day and month can be read in either order, and the column does not prove which",
        "Say which comes first: dayfirst=True or dayfirst=False.",
        k.AMBIGUOUS_TIME,
    ),
    _error(
        "mixed_time_zones",
        "the timestamp is in another time zone (or offset, or none) than more than half of the column",
        "Name the clock to read all zoned timestamps on: time_zone='Europe/Berlin'.",
        k.MIXED_TIME_ZONES,
        repair="moved to the clock of more than half of the zoned times, or to UTC if there is none",
    ),
    _error(
        "implausible_timestamp",
        "the timestamp is before `earliest` or in the year 2200 or later: a placeholder such as 1970-01-01",
        "If the log is that old, pass earliest='1950-01-01'.",
        k.IMPLAUSIBLE_TIME,
    ),
    _error(
        "future_timestamp",
        "the timestamp is after `as_of`",
        "Check the clock and the day/month order of the source; pass as_of=... if it runs ahead on purpose.",
        k.FUTURE_TIME,
    ),
    _error(
        "missing_amount",
        "the amount is null, NaN, empty, or the text of a missing value; it is never taken for 0",
        "Fill it from price and quantity, if you have them.",
        k.MISSING_AMOUNT,
    ),
    _error(
        "unparsable_amount",
        "the amount is a text that is not one unambiguous number ('1,234' is not), or no number at all",
        "Pass on_error='repair', with decimal=',' or decimal='.' where the column does not prove it.",
        k.UNPARSABLE_AMOUNT,
        repair="read where the column leaves one reading: currencies, brackets, thousands, decimal comma",
    ),
    _error(
        "non_finite_amount",
        "the amount is infinite",
        "Look for a division by zero in the source.",
        k.NON_FINITE_AMOUNT,
    ),
    _error(
        "huge_amount",
        "the amount, taken without its sign, is beyond `max_amount`: no price, and sums of such lose their cents",
        "If such amounts are real, pass max_amount=1e18 or more; otherwise look for a field that slipped or a unit.",
        k.HUGE_AMOUNT,
    ),
    _error(
        "unparsable_quantity",
        "the quantity is infinite or no number (a missing one is accepted)",
        "Convert the column yourself, or leave it out.",
        k.UNPARSABLE_QUANTITY,
        repair="read as amounts are",
    ),
    _error(
        "duplicate",
        "every column equals that of an earlier row, among rows that break no other rule",
        "If identical rows are real purchases, pass duplicates='flag'.",
        k.DUPLICATE,
        repair="dropped: the first of the equal rows stays",
    ),
    _warning(
        "untidy_customer_id",
        "the customer id has white space or invisible characters around it, or is not in Unicode normal form C",
        "Pass on_error='repair' to trim and normalise: otherwise ' ann' and 'ann' are two customers.",
        k.UNTIDY_ID,
        repair="trimmed, and put into normal form C",
    ),
    _warning(
        "timestamp_format",
        "the timestamp is a text that is read, but not in ISO 8601",
        "Write dates as 2024-01-31 at the source; until then, look whether the times read are right.",
        k.TIME_FORMAT,
        repair="read as a time",
    ),
    _warning(
        "amount_format",
        "the amount is a text that is read, but with thousands separators or other signs",
        "Export numbers as numbers.",
        k.AMOUNT_FORMAT,
        repair="read as a number",
    ),
    _warning(
        "quantity_format",
        "the quantity is a text that is read, but with thousands separators or other signs",
        "Export numbers as numbers.",
        k.QUANTITY_FORMAT,
        repair="read as a number",
    ),
    _warning(
        "sign_mismatch",
        "the amount is negative and the quantity positive, or the other way round: one of them says return",
        "Pass on_error='repair' to make both negative, which is how such a row counts anyway.",
        k.SIGN_MISMATCH,
        repair="both made negative",
    ),
    _flag(
        "return",
        "the amount or the quantity is negative: kept, with is_return True, and never a purchase",
        "Nothing to do.",
        k.RETURN,
    ),
)

WRONG = sum(rule.bit for rule in RULES if rule.severity == ERROR) | k.OWN_ERROR
