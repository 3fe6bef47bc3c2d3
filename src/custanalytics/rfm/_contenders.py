"""The rows that can have a part in pairing returns: the others are purchases that count in full."""

from __future__ import annotations

import numpy as np

from custanalytics import _jit
from custanalytics.rfm import _kernels_contenders as k
from custanalytics.rfm import _kernels_pairing as pairing

ROWS_A_SLICE = 1 << 18
KEYS_A_WORD = 4


def contenders(
    ids: np.ndarray,
    amounts: np.ndarray,
    orders: np.ndarray,
    products: np.ndarray,
    wanted: np.ndarray,
    free: bool,
) -> np.ndarray:
    """Whether a row is a return, may be paired with one, or belongs to an order with such a row: shape (n_rows,).

    So are the purchases of 0 where these are not `free` to count. Arrays are those of `settle`, empty where the log has
    no such column, and `wanted` are the pairings that run. A few rows more may be marked.
    """
    n = ids.size
    kinds = (
        bool(wanted[pairing.ORDER]),
        bool(wanted[[pairing.PRODUCT_AMOUNT, pairing.PRODUCT_PRICE, pairing.PRODUCT]].any()),
        bool(wanted[pairing.AMOUNT]),
        bool(wanted[pairing.WHOLE]),
    )
    words, found = amounts.view(np.int64), np.empty(n, np.bool_)
    bits = _bits((kinds[0] + (kinds[1] or 2 * kinds[2] + kinds[3])) * int(np.signbit(amounts).sum()))
    _jit.call(k.note_returns, *kinds, ids, words, orders, products, out=(bits,))
    inputs = (free, *kinds, ids, amounts, words, orders, products, bits)
    _jit.run(k.find, n, *inputs, out=(found,), size=ROWS_A_SLICE)
    if orders.size:
        bits = _bits(int(found.sum()))
        _jit.call(k.note_orders, ids, orders, found, out=(bits,))
        _jit.run(k.find_orders, n, ids, orders, bits, out=(found,), size=ROWS_A_SLICE)
    return found


def has_others(ids: np.ndarray, found: np.ndarray, customers: np.ndarray) -> np.ndarray:
    """Whether some of the rows of each customer are not marked as found: shape (customers.size,)."""
    names, places = np.unique(customers, return_inverse=True)
    seen = np.zeros(names.size, np.bool_)
    slots = np.full(1 << (4 * names.size + 1).bit_length(), -1, np.int64)
    _jit.call(k.look_elsewhere, ids, found, names, out=(slots, seen))
    return seen[places]


def _bits(keys: int) -> np.ndarray:
    return np.zeros(1 << (keys // KEYS_A_WORD).bit_length(), np.uint64)
