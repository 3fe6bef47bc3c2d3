"""The loop that reads ids of text: a key of every text, and which texts need a closer look."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

_SEED = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_SPACE = 32


@kernel
def fold(code):
    """An ASCII letter in lower case; anything else as it is."""
    return code + 32 if 65 <= code <= 90 else code


@kernel
def read_texts(start, stop, offsets, data, letters, special, keys, odd):
    """Give each text an integer key, equal for equal texts, and mark those that may be blank, special or untidy.

    `letters` says of each byte whether a special text holds it, `special` holds their keys in lower case without
    white space. A text is marked if it has a byte beyond ASCII, begins or ends with white space or a control
    character, is empty, or has the key of a special text: the caller then looks at the marked ones alone.
    """
    for row in range(start, stop):
        low, high = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        key, word, filled = np.uint64(_SEED) + (high - low), np.uint64(0), np.uint64(0)
        beyond, at = np.uint64(0), low
        while at < high:
            code = np.uint64(data[at])
            beyond |= code
            word |= code << filled
            filled += np.uint64(8)
            at += np.uint64(1)
            if filled == 64:
                key = mix(np.int64(key ^ word)) * np.uint64(_PRIME)
                word, filled = np.uint64(0), np.uint64(0)
        keys[row] = np.int64(mix(np.int64(key ^ word)))
        if high == low or beyond >= 128 or data[low] <= _SPACE or data[high - np.uint64(1)] <= _SPACE:
            odd[row] = True
            continue
        folded, at = np.uint64(_SEED), low
        while at < high and letters[data[at]]:
            if data[at] > _SPACE:
                folded = (folded ^ np.uint64(fold(np.int64(data[at])))) * np.uint64(_PRIME)
            at += np.uint64(1)
        if at == high:
            for known in special:
                if known == np.int64(folded):
                    odd[row] = True
