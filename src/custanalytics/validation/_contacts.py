"""Read the contact fields of a customers' table, each distinct value once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics.validation._customer_ids import ADDRESS, CITY, COUNTRY, EMAIL, PHONE, POSTCODE
from custanalytics.validation._customer_rules import BITS
from custanalytics.validation._emails import NOTHING, EmailReader
from custanalytics.validation._phones import PhoneReader
from custanalytics.validation._values import MISSING_TEXT, distinct, plain


@dataclass(frozen=True)
class Contacts:
    """The normal forms of one contact field and its faults, each of shape (n_rows,); None where there is none.

    `codes` number the normal forms: equal where they are equal, -1 where there is none.
    """

    values: np.ndarray
    kinds: np.ndarray | None
    codes: np.ndarray
    faults: np.ndarray


def read_emails(
    frame: nw.DataFrame[Any], disposable: Iterable[str] = (), same: Callable[[str], str] = str.lower
) -> Contacts:
    """Read the column email; `same` gives what two addresses of one mailbox have in common.

    Lower case, not without case: that would make ss of ß, which is another domain and another mailbox.
    """
    reader = EmailReader(disposable)
    codes, values = distinct(frame[EMAIL])
    found = [*map(reader.read, values), (None, BITS["missing_email"])]
    return _spread(codes, [(normal, None, bits) for normal, bits in found], same)


def read_phones(frame: nw.DataFrame[Any], country: str | None) -> Contacts:
    """Read the column phone; the column country, if there is one, says where each number is dialled."""
    reader = PhoneReader()
    codes, values = distinct(frame[PHONE])
    if COUNTRY not in frame.columns:
        found = [*(reader.read(value, country) for value in values), (None, None, BITS["missing_phone"])]
        return _spread(codes, found, str)
    where, names = distinct(frame[COUNTRY])
    regions = [str(name).strip().upper() for name in names]
    known = [*(region if region in reader.regions else country for region in regions), country]
    odd = [region not in reader.regions and plain(region) not in MISSING_TEXT for region in regions]
    pairs, which = np.unique((codes + 1) * len(known) + where % len(known), return_inverse=True)
    found = []
    for pair in pairs.tolist():
        at, region = pair // len(known) - 1, known[pair % len(known)]
        found.append((None, None, BITS["missing_phone"]) if at < 0 else reader.read(values[at], region))
    unknown = np.array([*odd, False])[where].astype(np.uint32) * np.uint32(BITS["unknown_country"])
    contacts = _spread(which, found, str)
    return Contacts(contacts.values, contacts.kinds, contacts.codes, contacts.faults | unknown)


def read_addresses(frame: nw.DataFrame[Any]) -> np.ndarray:
    """The faults of the postal address of every row."""
    faults = np.zeros(len(frame), np.uint32)
    for name in (ADDRESS, POSTCODE, CITY):
        if name in frame.columns:
            codes, values = distinct(frame[name])
            empty = [plain(str(value)) in MISSING_TEXT or plain(str(value)) in NOTHING for value in values]
            faults[np.array([*empty, True])[codes]] = BITS["incomplete_address"]
    return faults


def shared(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether another one of some rows has the same code; -1 is nobody's: boolean (n_rows,)."""
    times = np.bincount(codes[rows] + 1, minlength=int(codes.max(initial=-1)) + 2)
    times[0] = 0
    return rows & (times[codes + 1] > 1)


def _spread(codes: np.ndarray, found: list[tuple[str | None, str | None, int]], same: Callable[[str], str]) -> Contacts:
    """Give every row what its distinct value was read as; a code of -1 takes the last one."""
    values, kinds = np.empty(len(found), object), np.empty(len(found), object)
    values[:], kinds[:] = [each[0] for each in found], [each[1] for each in found]
    faults = np.array([each[2] for each in found], np.uint32)
    numbers: dict[str, int] = {}
    equal = [-1 if value is None else numbers.setdefault(same(value), len(numbers)) for value in values]
    return Contacts(values[codes], kinds[codes], np.array(equal, np.int64)[codes], faults[codes])
