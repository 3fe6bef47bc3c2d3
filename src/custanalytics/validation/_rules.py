"""The rules of a transaction log, as data: one row each, in the order of their bits."""

from __future__ import annotations

from dataclasses import dataclass

from custanalytics.validation import _kernels as k

QUARANTINE, FLAG = "quarantine", "flag"


@dataclass(frozen=True)
class ValidationRule:
    """One thing that can be wrong with a row of a transaction log.

    Attributes
    ----------
    name : str
        What `TransactionValidator.report_` and the `reasons` of a quarantined row call it.
    severity : {"quarantine", "flag"}
        Whether a row that breaks the rule is set aside, or kept and flagged.
    description : str
        When a row breaks the rule.
    remedy : str
        What to do about it.
    bit : int
        The rule's bit in the mask of a row.

    See Also
    --------
    TransactionValidator : Applies the rules.

    Examples
    --------
    >>> from custanalytics.validation import TransactionValidator
    >>> rule = TransactionValidator.rules()[0]
    >>> rule.name, rule.severity
    ('missing_customer_id', 'quarantine')
    >>> rule.remedy
    'Find the customer through the order, or leave the row out of per-customer figures.'
    """

    name: str
    severity: str
    description: str
    remedy: str
    bit: int


RULES = (
    ValidationRule(
        "missing_customer_id",
        QUARANTINE,
        "the customer id is null, None or NaN",
        "Find the customer through the order, or leave the row out of per-customer figures.",
        k.MISSING_ID,
    ),
    ValidationRule(
        "blank_customer_id",
        QUARANTINE,
        "the customer id is empty, white space, or the text of a missing value (nan, none, null, nat, <na>)",
        "Read the source with its missing values declared, so that they arrive as null.",
        k.BLANK_ID,
    ),
    ValidationRule(
        "placeholder_customer",
        QUARANTINE,
        "the customer id is one of `placeholder_ids`: it stands for anybody",
        "Change placeholder_ids=(...) if such an id is a real customer, or if yours has other placeholders.",
        k.PLACEHOLDER_ID,
    ),
    ValidationRule(
        "invalid_customer_id",
        QUARANTINE,
        "the customer id is an infinite number or a list, dict or other container, not one text or number",
        "Take the id out of the container, for example with .str[0].",
        k.INVALID_ID,
    ),
    ValidationRule(
        "mixed_id_types",
        QUARANTINE,
        "the customer id is of another type than more than half of the ids: 1 and '1' are never merged silently",
        "Make the ids one type first, for example with astype(str).",
        k.MIXED_ID_TYPES,
    ),
    ValidationRule(
        "missing_timestamp",
        QUARANTINE,
        "the timestamp is null, NaT, empty, or the text of a missing value",
        "Take the date from the order or the load batch, if you trust it.",
        k.MISSING_TIME,
    ),
    ValidationRule(
        "unparsable_timestamp",
        QUARANTINE,
        "the timestamp is no date: a text in no known format, or an object of another type",
        "Name the format: date_format='%d.%m.%y %H:%M'.",
        k.UNPARSABLE_TIME,
    ),
    ValidationRule(
        "ambiguous_timestamp",
        QUARANTINE,
        "day and month can be read in either order, and the column does not prove which",
        "Say which comes first: dayfirst=True or dayfirst=False.",
        k.AMBIGUOUS_TIME,
    ),
    ValidationRule(
        "mixed_time_zones",
        QUARANTINE,
        "the timestamp is in another time zone (or offset, or none) than more than half of the column",
        "Name the clock to read all zoned timestamps on: time_zone='Europe/Berlin'.",
        k.MIXED_TIME_ZONES,
    ),
    ValidationRule(
        "implausible_timestamp",
        QUARANTINE,
        "the timestamp is before `earliest` or in the year 2200 or later: a placeholder such as 1970-01-01",
        "If the log is that old, pass earliest='1950-01-01'.",
        k.IMPLAUSIBLE_TIME,
    ),
    ValidationRule(
        "future_timestamp",
        QUARANTINE,
        "the timestamp is after `as_of`",
        "Check the clock and the day/month order of the source; pass as_of=... if it runs ahead on purpose.",
        k.FUTURE_TIME,
    ),
    ValidationRule(
        "missing_amount",
        QUARANTINE,
        "the amount is null, NaN, empty, or the text of a missing value; it is never taken for 0",
        "Fill it from price and quantity, if you have them.",
        k.MISSING_AMOUNT,
    ),
    ValidationRule(
        "unparsable_amount",
        QUARANTINE,
        "the amount is a text that is not one unambiguous number ('1,234' is not), or no number at all",
        "Convert the column yourself; '10.05', '1,234.50' and '1.234,50' are understood.",
        k.UNPARSABLE_AMOUNT,
    ),
    ValidationRule(
        "non_finite_amount",
        QUARANTINE,
        "the amount is infinite",
        "Look for a division by zero in the source.",
        k.NON_FINITE_AMOUNT,
    ),
    ValidationRule(
        "unparsable_quantity",
        QUARANTINE,
        "the quantity is infinite or no number (a missing one is accepted)",
        "Convert the column yourself, or leave it out.",
        k.UNPARSABLE_QUANTITY,
    ),
    ValidationRule(
        "duplicate",
        QUARANTINE,
        "every column equals that of an earlier row, among rows that break no other rule",
        "If identical rows are real purchases, pass duplicates='flag'.",
        k.DUPLICATE,
    ),
    ValidationRule(
        "return",
        FLAG,
        "the amount or the quantity is negative: kept, with is_return True, and never a purchase",
        "Nothing to do.",
        k.RETURN,
    ),
)


def names(mask: int) -> tuple[str, ...]:
    """The names of the rules whose bits are set."""
    return tuple(rule.name for rule in RULES if mask & rule.bit)
