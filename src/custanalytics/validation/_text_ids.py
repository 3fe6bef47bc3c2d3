"""Read customer ids in a column of text: most at a glance, those that may be special one by one."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames, _jit
from custanalytics.validation import _kernels as k
from custanalytics.validation._values import MISSING_TEXT, Reading, distinct, is_untidy, plain, spread, tidy

_BITS = (1 << 64) - 1
_ROWS_AT_ONCE = 1 << 17


def judge_text(text: str, placeholders: frozenset[str]) -> int:
    """Whether an id of text is blank or a placeholder."""
    bare = plain(text)
    if bare in MISSING_TEXT:
        return k.BLANK_ID
    return k.PLACEHOLDER_ID if bare in placeholders else 0


def read_text_ids(series: nw.Series[Any], placeholders: frozenset[str], mend: bool) -> Reading:
    """Read a column of text ids."""
    keys, odd = _keys(series, placeholders)
    if keys is None:
        numbers, found = distinct(series)
        return _judged(series, numbers, np.arange(numbers.size), numbers, found, placeholders, mend)
    rows = np.flatnonzero(odd)
    if rows.size == 0:
        return Reading(keys)
    numbers, found = distinct(_frames.take(series, rows))
    return _judged(series, keys, rows, numbers, found, placeholders, mend)


def _judged(
    series: nw.Series[Any],
    keys: np.ndarray,
    rows: np.ndarray,
    numbers: np.ndarray,
    found: list[str],
    placeholders: frozenset[str],
    mend: bool,
) -> Reading:
    """The reading of a column, some rows of which were looked at: `found` by their `numbers`."""
    verdicts = np.array([judge_text(text, placeholders) for text in found], np.uint32)
    untidy = np.array([not verdict and is_untidy(text) for verdict, text in zip(verdicts, found, strict=True)], bool)
    if not mend:
        verdicts[untidy] |= k.UNTIDY_ID
    if not verdicts.any() and not untidy.any() and not np.any(numbers < 0):
        return Reading(keys)
    faults = np.zeros(keys.size, np.uint32)
    faults[rows] = spread(numbers, verdicts, k.MISSING_ID)
    if not mend or not untidy.any():
        return Reading(keys, faults)
    changed = spread(numbers, untidy, False)
    texts = np.array([tidy(text) for text in found], dtype=object)[numbers[changed]].tolist()
    clean = _with(series, rows[changed], texts)
    mended = np.zeros(keys.size, np.uint32)
    mended[rows[changed]] = k.UNTIDY_ID
    again, _ = _keys(clean, placeholders)
    return Reading(distinct(clean)[0] if again is None else again, faults, clean, mended=mended)


def _with(series: nw.Series[Any], rows: np.ndarray, texts: list[str]) -> nw.Series[Any]:
    """A column of text with some rows replaced."""
    if isinstance(series.dtype, nw.Categorical | nw.Enum):
        series = series.cast(nw.String)
    if series.implementation.is_pyarrow():
        values = series.to_list()
        for row, text in zip(rows.tolist(), texts, strict=True):
            values[row] = text
        return nw.new_series(series.name, values, dtype=nw.String, backend=series.implementation)
    return series.scatter(rows.tolist(), texts)


def _keys(series: nw.Series[Any], placeholders: frozenset[str]) -> tuple[np.ndarray | None, np.ndarray]:
    """An integer for each text, and the rows to look at; None where the library gives no Arrow buffers."""
    odd = np.zeros(len(series), bool)
    chunks = _arrow_chunks(series)
    if chunks is None:
        return None, odd
    keys = np.empty(len(series), np.int64)
    letters, special = _special(placeholders | MISSING_TEXT)
    at = 0
    for offsets, data in chunks:
        size = offsets.size - 1
        if size:
            out = (keys[at : at + size], odd[at : at + size])
            _jit.run(k.read_texts, size, offsets, data, letters, special, out=out, size=_ROWS_AT_ONCE)
            at += size
    if series.null_count():
        missing = series.is_null().to_numpy()
        keys[missing] = -1
        odd |= missing
    return keys, odd


def _arrow_chunks(series: nw.Series[Any]) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """The offsets and bytes of a column of text, without a copy where it lies in memory so."""
    if series.dtype != nw.String:
        return None
    try:
        array: Any = series.to_arrow()
    except (ImportError, TypeError, ValueError):
        return None
    chunks = []
    for chunk in getattr(array, "chunks", [array]):
        kinds = {"string": np.int32, "large_string": np.int64}
        if str(chunk.type) not in kinds:
            return None
        _, offsets, data = chunk.buffers()
        if len(chunk) == 0 or offsets is None:
            continue
        places = np.frombuffer(offsets, kinds[str(chunk.type)])[chunk.offset : chunk.offset + len(chunk) + 1]
        text = np.zeros(1, np.uint8) if data is None or data.size == 0 else np.frombuffer(data, np.uint8)
        chunks.append((places.astype(np.int64, copy=False), text))
    return chunks


def _special(texts: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which bytes, of either case, the special texts hold; and the key of each, as the kernel makes it."""
    letters = np.zeros(256, bool)
    letters[:33] = True
    keys = set()
    for text in texts:
        if text.isascii():
            raw = text.encode()
            letters[list(raw + text.upper().encode())] = True
            key = k.SEED
            for code in raw:
                key = (key ^ code) * k.PRIME & _BITS if code > 32 else key
            keys.add(key - (1 << 64) if key >> 63 else key)
    return letters, np.array(sorted(keys), np.int64)
