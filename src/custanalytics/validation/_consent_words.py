"""The words of a consent ledger: what a status means, and which channels and purposes there are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._values import MISSING_TEXT, distinct, plain

OWNER = "ConsentLedger"
GRANTED, WITHDRAWN, LAPSED, PENDING = "granted", "withdrawn", "lapsed", "pending"
MEANINGS = (GRANTED, WITHDRAWN, LAPSED, PENDING)
EVERY = -1  # the code of a channel or purpose that stands for all
UNNAMED = -2

_WORDS = {
    GRANTED: "granted grant given opt_in opted_in optin subscribed subscribe resubscribed consented consent accepted "
    "confirmed allowed yes true",
    WITHDRAWN: "withdrawn withdraw revoked opt_out opted_out optout unsubscribed unsubscribe denied declined refused "
    "rejected objected objection blocked suppressed do_not_contact dnc complained complaint no false",
    LAPSED: "lapsed expired",
    PENDING: "pending requested unconfirmed",
}
STATUSES: Mapping[str, str] = MappingProxyType(
    {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
)
_ALL = frozenset({"*", "all", "any", "every", "global"})


def statuses_of(series: nw.Series[Any], own: Mapping[Any, str] | None) -> np.ndarray:
    """What the status of each event means, as a position in MEANINGS: shape (n_events,)."""
    known = {**STATUSES, **{_word(word): meaning for word, meaning in (own or {}).items()}}
    wrong = sorted(str(meaning) for meaning in (own or {}).values() if meaning not in MEANINGS)
    if wrong:
        raise ValueError(f"The 'statuses' parameter of {OWNER} maps your words to {list(MEANINGS)}; got {wrong}.")
    codes, values = distinct(series)
    unknown = [value for value in values if _word(value) not in known]
    if unknown or (codes < 0).any():
        bad = np.append([value in unknown for value in values], True)[codes]
        found = ", ".join(repr(value) for value in unknown[:10]) + (", …" if len(unknown) > 10 else "")
        raise InvalidDataError(
            offenders(bad, range(codes.size), "have a status of no known meaning", "events")
            + f": {found or 'it is missing'}. The numbers are rows from 0. Say what they mean: "
            f"statuses={{{(unknown or ['...'])[0]!r}: 'withdrawn'}}; the meanings are {list(MEANINGS)}."
        )
    meanings = np.array([MEANINGS.index(known[_word(value)]) for value in values], np.int64)
    return meanings[codes]


def names_of(series: nw.Series[Any] | None, n: int) -> tuple[np.ndarray, list[str]]:
    """The codes of the channels or purposes of events, and their names in order of the codes.

    A word for all is EVERY, as is everything where there is no such column; a missing one is UNNAMED.
    """
    if series is None:
        return np.full(n, EVERY), []
    codes, values = distinct(series)
    words = [spelt(str(value)) for value in values]
    names = sorted(set(words) - _ALL - MISSING_TEXT)
    place = {**dict.fromkeys(_ALL, EVERY), **{name: at for at, name in enumerate(names)}}
    meant = np.array([place.get(word, UNNAMED) for word in words], np.int64)
    return np.append(meant, UNNAMED)[codes], names


def spelt(name: str) -> str:
    """The name of a channel or purpose as it is compared: one for all ways to write it."""
    return plain(unicodedata.normalize("NFKC", name))


def _word(value: Any) -> str:
    return re.sub(r"[\s_-]+", "_", plain(str(value)))
