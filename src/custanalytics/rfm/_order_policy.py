"""OrderPolicy: how returns are paired with purchases, and what then counts as a purchase."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from custanalytics._params import BOOLEAN, NONE, NOT_NEGATIVE, POSITIVE, TEXT, OneOf, Rule, check_params
from custanalytics.rfm import _kernels_pairing as k

KEYS = ("order", "product", "amount")
NO_LIMIT = 1 << 61
_DAY = 86_400_000_000

_NEEDS_PRODUCT = (k.ORDER_PRODUCT_AMOUNT, k.ORDER_PRODUCT, k.PRODUCT_AMOUNT, k.PRODUCT_PRICE, k.PRODUCT)
_BY = {
    "order": (k.ORDER_PRODUCT_AMOUNT, k.ORDER_PRODUCT, k.ORDER_AMOUNT, k.ORDER),
    "product": (k.PRODUCT_AMOUNT, k.PRODUCT_PRICE, k.PRODUCT),
    "amount": (k.AMOUNT, k.WHOLE),
}
_IN_PARTS = (k.ORDER_PRODUCT, k.ORDER, k.PRODUCT_PRICE, k.PRODUCT)


class OrderPolicy(BaseEstimator):
    """What becomes of returns, and which orders count: the `policy` of `RFMSummary`.

    A return is a row with a negative amount or quantity. The policy looks for the purchase that it takes back, among
    the rows of the same customer that are not later than the return. What is found lowers the value of that purchase.
    An order of which nothing is left is no purchase: it adds no frequency, no recency and no order.

    It is of no use where the log holds payments rather than orders: there a negative row may be anything.

    Parameters
    ----------
    match : tuple of {"order", "product", "amount"}, default=("order", "product", "amount")
        What may tie a return to a purchase. They are tried in this order, whatever the order given:

        - "order": the same `order_id`. Within the order first the same product and amount, then the same product,
          then the same amount, then whatever is left of the order (a discount line lowers the order that it is in).
          A return that names an order with an earlier purchase belongs to that order and to no other.
        - "product": the same `product_id`. First the same amount, then the same amount a unit (where the log has
          `quantity`), then whatever is left of the product's purchases.
        - "amount": the same amount, for returns that name no product: first of one row, then of what is left of a
          whole order.
    choose : {"latest", "earliest"}, default="latest"
        Which purchase, where several qualify: the latest that is not later than the return, or the earliest.
    within : float or None, default=None
        The longest time in days from a purchase to its return. None sets no limit.
    partial : bool, default=True
        Whether a return may take back part of a purchase, or several purchases one after the other. False pairs equal
        amounts only.
    unmatched : {"flag", "drop", "raise"}, default="flag"
        What becomes of a return, or the part of one, without a purchase. "flag": it lowers `total_value` and nothing
        else, and the ledger says so. "drop": it counts nowhere. "raise": an `InvalidDataError`.
    min_kept_value : float, default=0.0
        An order of which something was returned is a purchase only where more than this is left of it, in the currency
        of the log. What is left of the others counts nowhere.
    count_free : bool, default=True
        Whether an order of value 0 from the start is a purchase.
    cancellation_prefix : str or None, default="C"
        A return whose `order_id` is this prefix and the id of an order ("C5001" and "5001") is one of that order,
        unless something was bought under the longer id. For ids that are text.

    See Also
    --------
    RFMSummary : Applies the policy.
    Ledger : What became of the rows.

    Notes
    -----
    All returns of a customer go through one kind of match before any goes through the next, in the order of their
    times. Rows of one time are taken purchases first, then by value, product, quantity and order: the order of the
    log does not matter. Two amounts are the same where they agree to 12 digits.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import OrderPolicy, RFMSummary
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 1, 1, 1],
    ...     "timestamp": pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-15", "2024-03-15"]),
    ...     "amount": [100.0, 50.0, 60.0, -50.0],
    ... })
    >>> columns = ["frequency", "monetary_value", "n_orders", "total_value"]
    >>> RFMSummary().fit_transform(log)[columns]
       frequency  monetary_value  n_orders  total_value
    0          1            60.0         2        160.0
    >>> RFMSummary(policy=OrderPolicy(within=30)).fit_transform(log)[columns]
       frequency  monetary_value  n_orders  total_value
    0          2            55.0         3        160.0
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "choose": (OneOf(("latest", "earliest")),),
        "within": (POSITIVE, NONE),
        "partial": (BOOLEAN,),
        "unmatched": (OneOf(("flag", "drop", "raise")),),
        "min_kept_value": (NOT_NEGATIVE,),
        "count_free": (BOOLEAN,),
        "cancellation_prefix": (TEXT, NONE),
    }

    def __init__(
        self,
        *,
        match: tuple[str, ...] = KEYS,
        choose: str = "latest",
        within: float | None = None,
        partial: bool = True,
        unmatched: str = "flag",
        min_kept_value: float = 0.0,
        count_free: bool = True,
        cancellation_prefix: str | None = "C",
    ) -> None:
        self.match = match
        self.choose = choose
        self.within = within
        self.partial = partial
        self.unmatched = unmatched
        self.min_kept_value = min_kept_value
        self.count_free = count_free
        self.cancellation_prefix = cancellation_prefix

    def _check(self) -> None:
        check_params(self, self._rules)
        known = isinstance(self.match, tuple | list) and all(each in KEYS for each in self.match)
        if not known:
            raise ValueError(
                f"The 'match' parameter of OrderPolicy must be a tuple of {{{', '.join(map(repr, KEYS))}}}. "
                f"Got {self.match!r} instead."
            )

    def _limit(self) -> int:
        """The longest time from a purchase to its return, in microseconds."""
        return NO_LIMIT if self.within is None else round(min(float(self.within) * _DAY, NO_LIMIT))

    def _wanted(self, has_orders: bool, has_products: bool, has_quantities: bool) -> np.ndarray:
        """Which pairings run on a log with these columns: shape (PAIRINGS,)."""
        wanted = np.full(k.PAIRINGS, k.OFF)
        for key in self.match:
            wanted[list(_BY[key])] = k.ON
        if not has_orders:
            wanted[[*_BY["order"], k.WHOLE]] = k.OFF
        if not has_products:
            wanted[list(_NEEDS_PRODUCT)] = k.OFF
        if not has_quantities:
            wanted[k.PRODUCT_PRICE] = k.OFF
        if not self.partial:
            wanted[k.ORDER] = k.CLAIM if wanted[k.ORDER] else k.OFF
            wanted[[each for each in _IN_PARTS if each != k.ORDER]] = k.OFF
        return wanted


def resolve(policy: Any) -> OrderPolicy | None:
    """The policy that a parameter names ("default", None or one of one's own), with its parameters checked."""
    found = OrderPolicy() if isinstance(policy, str) else policy
    if found is not None:
        found._check()
    return found
