"""The keys by which two customers may be one person, in a normal form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics.validation._contacts import Contacts, read_emails, read_phones
from custanalytics.validation._customer_ids import BIRTH_DATE, EMAIL, NAME, PHONE, POSTCODE
from custanalytics.validation._emails import NOTHING, person_of
from custanalytics.validation._values import MISSING_TEXT, distinct, plain

USUAL_KEYS: tuple[tuple[str, ...], ...] = ((EMAIL,), (PHONE,), (NAME, BIRTH_DATE, POSTCODE))


@dataclass(frozen=True)
class Key:
    """One key of every row: `codes` (n_rows,) are equal where the key is, -1 where there is none."""

    name: str
    codes: np.ndarray
    columns: tuple[tuple[np.ndarray, list[str]], ...]

    def text(self, row: int) -> str:
        """The normal form of the key of a row."""
        return " | ".join(words[codes[row]] for codes, words in self.columns)


def read_key(frame: nw.DataFrame[Any], columns: Sequence[str], country: str | None, *, aliases: bool) -> Key:
    """Read the key made of some columns; a row without one of them has no key."""
    read = tuple(normal_column(frame, column, country, aliases=aliases) for column in columns)
    codes = read[0][0]
    for further, _ in read[1:]:
        both = (codes + 1) * (int(further.max(initial=-1)) + 2) + further + 1
        joint = np.unique(both, return_inverse=True)[1]
        codes = np.where((codes < 0) | (further < 0), -1, joint)
    return Key("+".join(columns), codes, read)


def normal_column(
    frame: nw.DataFrame[Any], column: str, country: str | None, *, aliases: bool
) -> tuple[np.ndarray, list[str]]:
    """The codes of the normal forms of a column, -1 where there is none, and the normal forms."""
    if column == EMAIL:
        same = person_of if aliases else str.lower
        return _of_contacts(read_emails(frame, same=same), same)
    if column == PHONE:
        return _of_contacts(read_phones(frame, country), str)
    codes, values = distinct(frame[column])
    normal = {NAME: _name, BIRTH_DATE: _date}.get(column, _squeezed)
    numbers: dict[str, int] = {}
    words = [normal(value) for value in values]
    found = [numbers.setdefault(word, len(numbers)) if word else -1 for word in words]
    return np.array([*found, -1], np.int64)[codes], list(numbers)


def _of_contacts(contacts: Contacts, same: Callable[[str], str]) -> tuple[np.ndarray, list[str]]:
    codes, first = np.unique(contacts.codes, return_index=True)
    return contacts.codes, [same(contacts.values[row]) for code, row in zip(codes, first, strict=True) if code >= 0]


def _bare(value: Any) -> str:
    """A text without accents, case and punctuation; empty where it says nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = plain(str(value))
    if text in MISSING_TEXT or text in NOTHING:
        return ""
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
    return re.sub(r"[\W_]+", " ", bare).strip()


def _name(value: Any) -> str:
    """The words of a name in alphabetical order: "Müller, Ann" is "Ann Muller"."""
    return " ".join(sorted(_bare(value).split()))


def _squeezed(value: Any) -> str:
    return _bare(value).replace(" ", "")


def _date(value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = plain(str(value))
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return _bare(value)
