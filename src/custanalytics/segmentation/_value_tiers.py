"""Tiers of customers by value, and heavy, moderate and infrequent users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, TOTAL_VALUE
from custanalytics._output import FrameTransformer
from custanalytics._params import NONE, TEXT, InstanceOf, OneOf, Rule, check_params, check_value, integer
from custanalytics.exceptions import InvalidDataError
from custanalytics.segmentation._cuts import cut_points, tier_of, tier_totals
from custanalytics.segmentation._inputs import finite

VALUE_TIER = "value_tier"
USAGE_TIER = "usage_tier"
USAGES = ("heavy", "moderate", "infrequent")

_HINT = "Name your columns with ValueTiers(value='...', usage='...'); usage=None leaves the usage tiers out."


def check_shares(shares: Sequence[float]) -> list[Fraction]:
    """The three shares as exact fractions, or a ValueError unless they are positive and sum to one."""
    numbers = all(isinstance(share, Real) and share > 0 for share in shares)
    exact = [Fraction(float(share)).limit_denominator(10**6) for share in shares] if numbers else []
    if len(exact) != len(USAGES) or sum(exact) != 1:
        raise ValueError(
            "The 'usage_shares' parameter of ValueTiers must be three positive shares that sum to 1: heavy, "
            f"moderate and infrequent users. Got {shares!r} instead."
        )
    return exact


class ValueTiers(FrameTransformer, BaseEstimator):
    """Tier customers by value (deciles, 1 the best) and by usage (heavy, moderate, infrequent).

    Use it to see how concentrated value is, and to treat the few customers who carry the business apart from
    the many who do not. The cut points are learned by `fit` and then frozen: next month's customers are tiered
    by the same thresholds, so a customer changes tier only by changing. It ranks what customers have done; to
    rank by what they will do, pass a predicted column as `value`.

    Parameters
    ----------
    value : str, default="total_value"
        Column to tier by, in the currency of the log.
    n_tiers : int, default=10
        Number of value tiers of equal size, at least 1; 10 gives deciles.
    usage : str or None, default="frequency"
        Column of the usage tiers. None leaves them out.
    usage_shares : sequence of three floats, default=(0.2, 0.3, 0.5)
        Wanted shares of customers who are heavy, moderate and infrequent users; they sum to 1.

    Attributes
    ----------
    cuts_ : ndarray of shape (n_tiers - 1,)
        Lowest value that is above each cut, best first, in the currency of the log.
    usage_cuts_ : ndarray of shape (2,)
        Lowest usage of a heavy and of a moderate user. Absent if `usage` is None.
    tiers_ : dict of str to ndarray of shape (n_tiers,)
        What each tier held at `fit`: `value_tier`, `n_customers`, `customer_share`, `min_value`, `max_value`,
        `total_value`, `value_share`, `cumulative_value_share`.
    usage_tiers_ : dict of str to ndarray of shape (3,)
        The same for `usage_tier`, with `wanted_share`; `min_value` and `max_value` are of the usage column.
        Absent if `usage` is None.
    n_features_in_ : int
        Number of columns seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of these columns.

    See Also
    --------
    CustomerClusterer : Groups by several columns at once.

    Notes
    -----
    Customers of equal value are always in one tier. With :math:`a` customers above a value and :math:`b` at it,
    among :math:`n`, the value is in tier

    .. math:: 1 + \\#\\{k = 1, \\dots, K - 1 : a + b / 2 \\ge n s_k\\},

    where :math:`s_k` is the share of customers wanted in the first :math:`k` tiers (:math:`k / K` for the value
    tiers). A block of equal values thus goes whole to the tier in which its middle lies. Its neighbours may
    then be smaller or empty, and the actual shares differ from the wanted ones by at most half a block at each
    cut; `tier_table` reports them. If all customers are equal, they are all in the middle tier, and infrequent users.

    A customer not seen by `fit` has the tier of the next lower value seen. Anyone above the highest value seen
    is in tier 1, anyone below the lowest in the last.

    Returns make values negative. They are tiered like any other; a tier's share of value is then its total over
    the total of all, so that cumulative shares can pass 1 on the way to 1. The shares are NaN if that total is
    not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.segmentation import ValueTiers
    >>> table = pd.DataFrame({
    ...     "customer_id": [1, 2, 3, 4, 5, 6, 7, 8],
    ...     "frequency": [9, 4, 3, 1, 0, 0, 0, 0],
    ...     "total_value": [500.0, 200.0, 120.0, 80.0, 40.0, 20.0, 20.0, 20.0],
    ... })
    >>> tiers = ValueTiers(n_tiers=4).fit(table)
    >>> tiers.transform(table)[["customer_id", "value_tier", "usage_tier"]]
       customer_id  value_tier  usage_tier
    0            1           1       heavy
    1            2           1       heavy
    2            3           2    moderate
    3            4           2    moderate
    4            5           3  infrequent
    5            6           4  infrequent
    6            7           4  infrequent
    7            8           4  infrequent
    >>> tiers.tier_table()[["value_tier", "n_customers", "value_share", "cumulative_value_share"]]
       value_tier  n_customers  value_share  cumulative_value_share
    0           1            2         0.70                    0.70
    1           2            2         0.20                    0.90
    2           3            1         0.04                    0.94
    3           4            3         0.06                    1.00
    """

    _rules: ClassVar[Mapping[str, tuple[Rule, ...]]] = {
        "value": (TEXT,),
        "n_tiers": (integer(1),),
        "usage": (TEXT, NONE),
        "usage_shares": (InstanceOf((tuple, list)),),
    }

    def __init__(
        self,
        *,
        value: str = TOTAL_VALUE,
        n_tiers: int = 10,
        usage: str | None = FREQUENCY,
        usage_shares: Sequence[float] = (0.2, 0.3, 0.5),
    ) -> None:
        self.value = value
        self.n_tiers = n_tiers
        self.usage = usage
        self.usage_shares = usage_shares

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the cut points from a customer table.

        Parameters
        ----------
        X : frame
            Customer table with the columns `value` and `usage`, one row per customer.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If a column is missing.
        InvalidDataError
            If there are no customers, or some have a missing or infinite value.
        """
        check_params(self, self._rules)
        shares = check_shares(self.usage_shares)
        frame = self._read(X)
        if len(frame) == 0:
            raise InvalidDataError("ValueTiers has no customers to learn from: the table has 0 rows.")
        values = finite(frame, self.value, "ValueTiers")
        self.cuts_ = cut_points(values, [Fraction(k, self.n_tiers) for k in range(1, self.n_tiers)])
        totals = tier_totals(tier_of(values, self.cuts_), self.n_tiers, values, values)
        self.tiers_ = {VALUE_TIER: np.arange(1, self.n_tiers + 1), **totals}
        if self.usage is not None:
            usage = finite(frame, self.usage, "ValueTiers")
            self.usage_cuts_ = cut_points(usage, [shares[0], shares[0] + shares[1]])
            totals = tier_totals(tier_of(usage, self.usage_cuts_), len(USAGES), usage, values)
            wanted = np.array([float(share) for share in shares])
            self.usage_tiers_ = {USAGE_TIER: np.array(USAGES), "wanted_share": wanted, **totals}
        self.n_features_in_ = len(frame.columns)
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self._kind = _frames.kind(frame)
        return self

    def transform(self, X: Any) -> Any:
        """Add the tier of each customer.

        Parameters
        ----------
        X : frame
            Customer table with the columns `value` and `usage`.

        Returns
        -------
        frame
            The table with `value_tier` (int64, 1 the best) and, unless `usage` is None, `usage_tier` ("heavy",
            "moderate" or "infrequent") added; the same kind of frame, the same rows in the same order.
        """
        check_is_fitted(self)
        frame = self._read(X)
        tiers: dict[str, Any] = {VALUE_TIER: tier_of(finite(frame, self.value, "ValueTiers"), self.cuts_)}
        if self.usage is not None:
            usage = finite(frame, self.usage, "ValueTiers")
            tiers[USAGE_TIER] = np.array(USAGES)[tier_of(usage, self.usage_cuts_) - 1]
        return self._give(_frames.extend(frame, tiers))

    def tier_table(self, by: str = "value") -> Any:
        """What each tier held at `fit`, one row per tier, best first.

        Parameters
        ----------
        by : {"value", "usage"}, default="value"
            Which tiers.

        Returns
        -------
        frame
            The columns of `tiers_` or `usage_tiers_`, in the kind of frame that `fit` was given.
        """
        check_is_fitted(self)
        check_value("by", by, (OneOf(("value", "usage")),), "tier_table")
        if by == "usage" and self.usage is None:
            raise ValueError("There are no usage tiers: this ValueTiers was fitted with usage=None.")
        return _frames.table(self.tiers_ if by == "value" else self.usage_tiers_, self._kind)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : sequence of str or None
            Columns of the table; those seen by `fit` if None.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        names = list(self.feature_names_in_ if input_features is None else input_features)
        added = [VALUE_TIER] if self.usage is None else [VALUE_TIER, USAGE_TIER]
        return np.array([*names, *(name for name in added if name not in names)], dtype=object)

    def _read(self, X: Any) -> nw.DataFrame[Any]:
        needed = [self.value] if self.usage is None else [self.value, self.usage]
        return _frames.read(X, needed, "ValueTiers", _HINT)
