"""Returns settled against purchases: on plain arrays, and on the rows of a log of which few have returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import clone

from custanalytics import _frames, _jit
from custanalytics._columns import CUSTOMER_ID, ORDER_ID, PRODUCT_ID, QUANTITY
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm import _kernels_returns as k
from custanalytics.rfm._contenders import contenders, has_others
from custanalytics.rfm._order_policy import OrderPolicy
from custanalytics.rfm._pieces import Rows, Survey, survey
from custanalytics.rfm._rows import numbered

FATES = (
    "purchase",
    "returned",
    "free order",
    "too little kept",
    "paired return",
    "partly paired return",
    "unmatched return",
    "return left out",
    "after cutoff",
)
ROWS_A_PIECE = 1 << 11
ROWS_A_SLICE = 1 << 18
FIRST = 5  # rows whose customers a message names
UNMATCHED_REMEDY = '. OrderPolicy(unmatched="flag") lets them lower total_value'
FOREVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Settled:
    """What became of some rows, each array of shape (n_rows,).

    `values` are the net values: of a purchase what is left of it; with a minus sign (-0.0 too) what is none, and
    then what it takes from the total value of the customer. `fates` are positions in `FATES`, `partners` the row
    that a purchase or return is (first) paired with, or -1, and `left` the size of the amount that stays unpaired.
    """

    values: np.ndarray
    fates: np.ndarray
    partners: np.ndarray
    left: np.ndarray

    @property
    def unmatched(self) -> np.ndarray:
        """Whether a row is a return, or has a part of one, without a purchase: shape (n_rows,)."""
        return np.isin(self.fates, (k.PARTLY, k.UNMATCHED, k.LEFT_OUT))


def settle(
    ids: np.ndarray,
    times: np.ndarray,
    amounts: np.ndarray,
    orders: np.ndarray | None = None,
    products: np.ndarray | None = None,
    quantities: np.ndarray | None = None,
    policy: OrderPolicy | None = None,
    cutoff: int = FOREVER,
) -> Settled:
    """Pair the returns of each customer with the purchases, by a policy (None is the default one).

    Arrays have the shape (n_rows,). `ids` are int64, `times` int64 microseconds, `amounts` float64 with a minus sign
    on returns (on those of 0 too), `orders` int64 with a number of its own for each row without an order, `products`
    int64 with -1 for none, `quantities` float64. Empty and None are columns that the log does not have. Rows at or
    after `cutoff` have no part in it.
    """
    policy = OrderPolicy() if policy is None else policy
    n = ids.size
    before = times < cutoff
    if not before.all():
        at = np.flatnonzero(before)
        some = [None if each is None or not each.size else each[at] for each in (orders, products, quantities)]
        settled = settle(ids[at], times[at], amounts[at], some[0], some[1], some[2], policy)
        return _spread(
            settled, at, Settled(np.full(n, -0.0), np.full(n, k.AFTER, np.uint8), np.full(n, -1), np.zeros(n))
        )
    given = [
        np.empty(0, kind) if each is None else np.ascontiguousarray(each, dtype=kind)
        for each, kind in ((orders, np.int64), (products, np.int64), (quantities, np.float64))
    ]
    ids = np.ascontiguousarray(ids).view(np.int64)
    times, amounts = np.ascontiguousarray(times), np.ascontiguousarray(amounts)
    wanted = policy._wanted(*(each.size > 0 for each in given))
    found = contenders(ids, amounts, given[0], given[1], wanted, bool(policy.count_free))
    if found.all():
        return _settle_all(ids, times, amounts, given, wanted, policy)
    at = np.flatnonzero(found)
    few = [each[at] if each.size else each for each in given]
    settled = _settle_all(ids[at], times[at], amounts[at], few, wanted, policy)
    left_out = np.flatnonzero(settled.fates == k.LEFT_OUT)
    bought = left_out[has_others(ids, found, ids[at[left_out]])]  # every other row is a purchase
    in_part = settled.left[bought] < np.abs(amounts[at[bought]])
    settled.fates[bought] = np.where(in_part, k.PARTLY, k.UNMATCHED)
    kept = Settled(amounts.copy(), np.full(n, k.PURCHASE, np.uint8), np.full(n, -1), np.abs(amounts))
    return _spread(settled, at, kept)


def _settle_all(
    ids: np.ndarray,
    times: np.ndarray,
    amounts: np.ndarray,
    given: list[np.ndarray],
    wanted: np.ndarray,
    policy: OrderPolicy,
) -> Settled:
    """What becomes of rows all of which go through the `wanted` pairings. `given` are orders, products, quantities."""
    n = ids.size
    bounds, dealt = np.zeros(max(n // ROWS_A_PIECE, 1) + 1, np.int64), np.empty(n, np.int64)
    _jit.call(k.deal, ids, out=(bounds, dealt))
    settled = Settled(np.empty(n), np.empty(n, np.uint8), np.empty(n, np.int64), np.empty(n))
    _jit.run(
        k.settle_piece,
        bounds.size - 1,
        bounds,
        dealt,
        wanted,
        policy.choose == "latest",
        policy._limit(),
        float(policy.min_kept_value),
        bool(policy.count_free),
        policy.unmatched == "drop",
        ids,
        times,
        amounts,
        *given,
        out=(settled.values, settled.fates, settled.partners, settled.left),
        size=1,
    )
    return settled


@dataclass(frozen=True)
class Outcome:
    """What became of the rows of a log: `at` are those of customers with returns, `settled` is what became of them."""

    look: Survey
    at: np.ndarray
    settled: Settled | None


def settle_log(frame: nw.DataFrame[Any], rows: Rows, end: int, policy: OrderPolicy) -> tuple[Rows, Outcome]:
    """The rows with net values, and what became of them. A log without returns is looked through once.

    Rows that are refused later (no time, no finite value) are left to it.
    """
    n = rows.ids.size
    free = bool(policy.count_free)
    look = survey(rows, end, free)
    if not look.n_wanted or not look.sound:
        return rows, Outcome(look, np.empty(0, np.int64), None)
    at = _affected(rows, end, free, look.n_wanted)
    products, quantities = _details(frame, at)
    orders = rows.orders[at] if rows.orders.size else None
    if orders is not None and policy.cancellation_prefix and "order" in policy.match:
        orders = _cancelled(frame, at, rows.ids[at], rows.values[at], orders, policy.cancellation_prefix)
    settled = settle(rows.ids[at], rows.times[at], rows.values[at], orders, products, quantities, policy)
    if policy.unmatched == "raise" and settled.unmatched.any():
        _refuse(frame, n, at[settled.unmatched])
    values = rows.values.copy()
    values[at] = settled.values
    return replace(rows, values=values), Outcome(look, at, settled)


def _affected(rows: Rows, end: int, free: bool, wanted: int) -> np.ndarray:
    """Positions of the rows before `end` of customers with something to settle, and of a few others."""
    n = rows.ids.size
    ids = rows.ids.view(np.int64)
    bits = np.zeros(1 << max((wanted // 4).bit_length(), 4), np.uint64)  # at least 16 bits a row to settle
    found = np.empty(n, np.bool_)
    _jit.call(k.mark, end, free, ids, rows.times, rows.values, out=(bits,))
    _jit.run(k.probe, n, end, ids, rows.times, bits, out=(found,), size=ROWS_A_SLICE)
    return np.flatnonzero(found)


def _details(frame: nw.DataFrame[Any], at: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Numbers of the products (-1 for none) and the quantities of some rows; None where there is no such column."""
    products = quantities = None
    if PRODUCT_ID in frame.columns:
        products = numbered(_frames.take(frame[PRODUCT_ID], at))
    if QUANTITY in frame.columns:
        quantities = _frames.floats(frame, QUANTITY)[at]
    return products, quantities


def _cancelled(
    frame: nw.DataFrame[Any], at: np.ndarray, ids: np.ndarray, values: np.ndarray, orders: np.ndarray, prefix: str
) -> np.ndarray:
    """The orders, with those of returns that bear the prefix replaced by the ones that they cancel."""
    names = frame[ORDER_ID]
    if names.dtype.is_numeric():
        return orders
    returns = np.signbit(values)
    bearing = {
        text: code for text, code in _named(names, at[returns], orders[returns]).items() if text.startswith(prefix)
    }
    if not bearing:
        return orders
    named = _named(names, at, orders)
    cancelled = {code: named[text[len(prefix) :]] for text, code in bearing.items() if text[len(prefix) :] in named}
    theirs = np.flatnonzero(np.isin(orders, list(cancelled)))
    pairs = list(zip(ids[theirs].tolist(), orders[theirs].tolist(), returns[theirs].tolist(), strict=True))
    bought = {(customer, order) for customer, order, is_return in pairs if not is_return}
    found = [cancelled[order] if (customer, order) not in bought else order for customer, order, _ in pairs]
    orders = orders.copy()
    orders[theirs] = found
    return orders


def _named(names: nw.Series[Any], at: np.ndarray, orders: np.ndarray) -> dict[str, int]:
    """The order ids of some rows as text, with their codes."""
    codes, first = np.unique(orders, return_index=True)
    texts = _frames.take(names, at[first]).to_list()
    return {str(text): code for text, code in zip(texts, codes.tolist(), strict=True) if text is not None}


def _spread(settled: Settled, at: np.ndarray, whole: Settled) -> Settled:
    """Write what became of the rows `at` among that of all."""
    whole.values[at], whole.fates[at], whole.left[at] = settled.values, settled.fates, settled.left
    whole.partners[at] = np.where(settled.partners >= 0, at[settled.partners], -1)
    return whole


def unmatched_of(frame: nw.DataFrame[Any], rows: Rows, end: int, policy: OrderPolicy) -> nw.Series[Any]:
    """The customer of each return that has no purchase, or a part without one."""
    _, outcome = settle_log(frame, rows, end, clone(policy).set_params(unmatched="flag"))
    at = outcome.at if outcome.settled is None else outcome.at[outcome.settled.unmatched]
    return _frames.take(frame[CUSTOMER_ID], at)


def unmatched_phrase(customers: nw.Series[Any]) -> str:
    """What is wrong with the rows of some customers, of whom the first are named."""
    first = dict.fromkeys(customers[:FIRST].to_list())
    return (
        f"are returns without a purchase, of customers {', '.join(map(str, first))}{', …' * (len(customers) > FIRST)}"
    )


def _refuse(frame: nw.DataFrame[Any], n: int, rows: np.ndarray) -> None:
    bad = np.zeros(n, np.bool_)
    bad[rows] = True
    phrase = unmatched_phrase(_frames.take(frame[CUSTOMER_ID], rows))
    raise InvalidDataError(
        offenders(bad, range(n), phrase, "rows") + UNMATCHED_REMEDY + " and names them in RFMSummary.ledger."
    )
