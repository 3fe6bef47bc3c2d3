"""Read phone numbers: E.164, what kind of line it is, and what is wrong with the others."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from custanalytics._params import require_extra
from custanalytics.validation._customer_rules import BITS
from custanalytics.validation._emails import NOTHING, trimmed
from custanalytics.validation._values import MISSING_TEXT, plain

_SEQUENCES = ("01234567890", "12345678901", "98765432109", "09876543210")
_SHORTEST_SEQUENCE = 5
_FLOAT = re.compile(r"\+?\d+\.0")


class Phone(NamedTuple):
    """What a value comes to: `e164` and `kind` are None unless the number is valid."""

    e164: str | None
    kind: str | None
    bits: int


class PhoneReader:
    """Reads one distinct value of one country at a time."""

    def __init__(self) -> None:
        self._library = require_extra("phonenumbers", "contact", "Checking phone numbers")
        kinds = self._library.PhoneNumberType
        self._kinds = {getattr(kinds, name): name.lower() for name in dir(kinds) if name.isupper()}
        self._possible = self._library.ValidationResult.IS_POSSIBLE  # with its area code
        self.regions = frozenset(self._library.SUPPORTED_REGIONS)

    def read(self, value: Any, region: str | None) -> Phone:
        """Read one value; `region` says where a number without an international prefix is dialled."""
        text = _as_text(value)
        plain_text = plain(text)
        if plain_text in MISSING_TEXT:
            return Phone(None, None, BITS["missing_phone"])
        if plain_text in NOTHING or _stands_for_none(re.sub(r"\D", "", text)):
            return Phone(None, None, BITS["placeholder_phone"])
        try:
            number = self._library.parse(text, region)
        except self._library.NumberParseException as error:
            nowhere = error.error_type == self._library.NumberParseException.INVALID_COUNTRY_CODE
            wants_country = nowhere and region is None and "+" not in text
            return Phone(None, None, BITS["phone_without_country" if wants_country else "unreadable_phone"])
        national = self._library.national_significant_number(number)
        if _stands_for_none(national):
            return Phone(None, None, BITS["placeholder_phone"])
        kind = self._kinds[self._library.number_type(number)]
        if kind == "unknown":  # not valid, in the words of the library
            possible = self._library.is_possible_number_with_reason(number) == self._possible
            return Phone(None, None, BITS["invalid_phone" if possible else "impossible_phone"])
        mobile = kind in ("mobile", "fixed_line_or_mobile") and not number.extension
        bits = 0 if mobile else BITS["not_a_mobile_phone"]
        return Phone(f"+{number.country_code}{national}", kind, bits)


def _as_text(value: Any) -> str:
    """A number that was read as a float is its digits, also where the float has been made text since."""
    whole = isinstance(value, float) and value.is_integer()
    text = trimmed(str(int(value) if whole else value))
    return text[:-2] if _FLOAT.fullmatch(text) else text


def _stands_for_none(digits: str) -> bool:
    if not digits:
        return False
    run = len(digits) >= _SHORTEST_SEQUENCE and any(each.startswith(digits) for each in _SEQUENCES)
    return len(set(digits)) == 1 or run
