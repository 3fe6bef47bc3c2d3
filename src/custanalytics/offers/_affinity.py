"""From a log to what each customer's baskets hold, and from those to the weights between items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array, csr_array

from custanalytics import _frames, _jit
from custanalytics._columns import AMOUNT, CUSTOMER_ID, DAYS_PER_UNIT, ORDER_ID, PRODUCT_ID, QUANTITY, TIMESTAMP
from custanalytics._hashing import integer_codes
from custanalytics._instants import DAY, last_microsecond
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.offers._kernels import gram

SAME = 1e-8  # customers whose tastes vary less than this, as a share of their squares, are alike
OWNER = "NextBestOffer.fit"


@dataclass(frozen=True)
class Lines:
    """Purchase lines up to `as_of`, as codes; the distinct ids stand in ascending order."""

    customer: np.ndarray
    product: np.ndarray
    basket: np.ndarray  # numbered by customer, then order
    time: np.ndarray  # microseconds
    amount: np.ndarray
    customers: list[Any]
    products: list[Any]
    as_of: int  # days since 1970


def last_day(as_of: Any, times: np.ndarray) -> int:
    """The last observed day, as days since 1970: that of `as_of`, else that of the last event."""
    return int((times.max() if as_of is None else last_microsecond(as_of)) // DAY)


def purchase_lines(frame: nw.DataFrame[Any], as_of: Any) -> Lines:
    """Read the purchases of a log: no returns, nothing after `as_of`."""
    if len(frame) == 0:
        raise InvalidDataError(f"The log is empty. {OWNER} needs at least one purchase.")
    customer, customer_ids = _frames.codes(frame, CUSTOMER_ID)
    times, amount = _frames.times(frame, TIMESTAMP), _frames.floats(frame, AMOUNT)
    ids = frame[CUSTOMER_ID]
    _refuse(customer < 0, np.arange(len(frame)), CUSTOMER_ID)
    _refuse(times == _frames.NO_TIME, ids, TIMESTAMP)
    _refuse(~np.isfinite(amount), ids, AMOUNT)
    day = last_day(as_of, times)
    bought = (amount >= 0) & (times < (day + 1) * DAY)
    if QUANTITY in frame.columns:
        bought &= ~(_frames.floats(frame, QUANTITY) < 0)
    if not bought.any():
        raise InvalidDataError(
            f"The log has no purchases up to {np.datetime64(day, 'D')}: all {len(frame):,} rows are later or are "
            "returns (amount or quantity below 0). Pass a later 'as_of'."
        )
    product, product_ids = _frames.codes(frame, PRODUCT_ID)
    _refuse(bought & (product < 0), ids, PRODUCT_ID)
    order = times // DAY - times.min() // DAY
    if ORDER_ID in frame.columns:
        named, _ = _frames.codes(frame, ORDER_ID)
        order = np.where(named >= 0, named, named.max(initial=0) + 1 + order)  # no order id: the day's basket
    customer, seen_customers = integer_codes(customer[bought])
    product, seen_products = integer_codes(product[bought])
    order = order[bought]
    basket, _ = integer_codes(customer * (order.max() + 1) + order)
    return Lines(
        customer,
        product,
        basket,
        times[bought],
        amount[bought],
        _frames.take(customer_ids, seen_customers).to_list(),
        _frames.take(product_ids, seen_products).to_list(),
        day,
    )


def most_frequent(lines: Lines, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The products in most baskets, at most `limit`, in ascending order of id (of equals, the lower id stays).

    Returns their codes, shape (n_offers,), and the basket and the offer of every distinct pair of the two.
    """
    n_products = len(lines.products)
    _, pairs = integer_codes(lines.basket * n_products + lines.product)
    basket, product = pairs // n_products, pairs % n_products
    held = np.bincount(product, minlength=n_products)
    offers = np.sort(np.argsort(-held, kind="stable")[:limit])
    place = np.full(n_products, -1, np.int64)
    place[offers] = np.arange(offers.size)
    kept = place[product] >= 0
    return offers, basket[kept], place[product[kept]]


def decayed_counts(
    lines: Lines, basket: np.ndarray, offer: np.ndarray, n_offers: int, half_life: float, time_unit: str
) -> tuple[csr_array, np.ndarray]:
    """Each customer's baskets with each offer and baskets in all, halved every `half_life` of their age.

    Returns a CSR matrix (n_customers, n_offers) and an array (n_customers,).
    """
    n_baskets, n_customers = int(lines.basket.max()) + 1, len(lines.customers)
    owner = np.empty(n_baskets, np.int64)
    owner[lines.basket] = lines.customer
    time = np.full(n_baskets, _frames.NO_TIME)
    np.maximum.at(time, lines.basket, lines.time)
    age = ((lines.as_of + 1) * DAY - time) / (DAY * DAYS_PER_UNIT[time_unit])
    weight = 0.5 ** (age / half_life)
    baskets = np.bincount(owner, weight, n_customers)
    if not baskets.any():
        raise ValueError(
            f"With half_life={half_life!r} (in time_unit={time_unit!r}) every basket's weight is 0. Lengthen it."
        )
    counts = coo_array((weight[basket], (owner[basket], offer)), shape=(n_customers, n_offers)).tocsr()
    counts.sort_indices()
    return counts, baskets


def mean_amounts(lines: Lines, offers: np.ndarray) -> np.ndarray:
    """Mean amount of a purchase line of each offer, in the currency of the log: shape (n_offers,)."""
    order = np.argsort(lines.amount)  # so that the order of the rows changes no bit of the sums
    n_products = len(lines.products)
    total = np.bincount(lines.product[order], lines.amount[order], n_products)
    return (total / np.bincount(lines.product, minlength=n_products))[offers]


def population(counts: csr_array, baskets: np.ndarray, strength: float) -> np.ndarray:
    """Share of baskets with each offer, the mean over customers weighted by their credibility: shape (n_offers,)."""
    share = counts.T @ (1 / (baskets + strength))
    return np.minimum(share / (baskets / (baskets + strength)).sum(), 1.0)


def deviations_gram(counts: csr_array, baskets: np.ndarray, popularity: np.ndarray, strength: float) -> np.ndarray:
    """Gram matrix of the customers' deviations from the population, without making them dense: (n_offers, n_offers)."""
    scale = 1 / (baskets + strength)
    scaled = counts.data * np.repeat(scale, np.diff(counts.indptr))
    product = np.zeros((popularity.size, popularity.size))
    _jit.call(gram, counts.indptr.astype(np.int64), counts.indices.astype(np.int64), scaled, out=(product,))
    credibility = baskets * scale
    cross = np.outer(counts.T @ (scale * credibility), popularity)
    centred = product - cross - cross.T + (credibility @ credibility) * np.outer(popularity, popularity)
    # Where customers hardly differ, the differences above are rounding noise: there is nothing to learn from.
    return centred if np.trace(centred) > SAME * np.trace(product) else np.zeros_like(centred)


def item_weights(gram_matrix: np.ndarray, penalty: float) -> np.ndarray:
    """EASE: the weights, zero on the diagonal, that best rebuild each column from the others (Steck 2019, eq. 8)."""
    n = gram_matrix.shape[0]
    inverse = cho_solve(cho_factor(gram_matrix + penalty * np.eye(n)), np.eye(n))
    weights = np.ascontiguousarray(-inverse / np.diag(inverse))
    np.fill_diagonal(weights, 0.0)
    return weights


def _refuse(bad: np.ndarray, ids: Any, column: str) -> None:
    if bad.any():
        what = "a non-finite amount" if column == AMOUNT else f"no {column}"
        raise InvalidDataError(
            offenders(bad, ids, f"have {what}", "rows")
            + f". Run the log through TransactionValidator first, or drop them, in pandas with "
            f"log.dropna(subset=[{column!r}])."
        )
