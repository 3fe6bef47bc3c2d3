"""Next best offer: how likely each customer's next basket holds each product, what that is worth, and the top k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, DAYS_PER_UNIT, PRODUCT_ID, TIMESTAMP
from custanalytics._output import FrameTransformer
from custanalytics._params import NONE, InstanceOf, Number, OneOf, Rule, check_params, check_value, integer
from custanalytics.offers import _affinity
from custanalytics.offers._customers import as_array, identified, positions, whom
from custanalytics.offers._eligibility import OFFER, Policy
from custanalytics.offers._ranking import rank, wide_columns, wide_names
from custanalytics.offers._values import offer_values


class NextBestOffer(FrameTransformer, BaseEstimator):
    """Recommend to each customer the offers with the highest propensity times value, among those allowed.

    A product's propensity is the estimated probability that the customer's next basket holds it. It is learnt from
    the log alone: what this customer's baskets held, the recent ones most, and what else customers buy who bought
    the same. It applies where products are bought repeatedly and there are enough baskets to see tastes: groceries,
    drugstores, media. It does not tell what an offer *changes*: who would buy anyway ranks high. It is not meant for
    more than some thousand offers at once: use product categories rather than articles.

    Parameters
    ----------
    k : int, default=3
        Offers per customer, at most.
    columns : mapping or None, default=None
        Your names of the log's columns, {"customer_id": "household", ...}; the other way round works too.
    half_life : float, default=90
        Age at which a basket counts half, in `time_unit`. Infinity counts all baskets alike.
    time_unit : {"h", "D", "W", "M", "Y"}, default="D"
        Unit of `half_life`.
    prior_baskets : float, default=5
        How many fresh baskets the prior is worth: with that many of their own, customers are believed by half.
    blend : float, default=0.75
        Share of the item-to-item model in the prior; the rest is the population. 0 leaves personal frequency, shrunk
        towards the population.
    regularization : float, default=500
        Ridge penalty of the item-to-item model, counted in average customers, so that it means the same for any log.
    max_offers : int, default=2000
        Only the products in most baskets become offers, at most this many; of equals, the lower id. Time grows with
        the cube of it, memory with its square.
    as_of : str, date, datetime, numpy.datetime64 or None, default=None
        Last observed day: all its events count, none after it. None takes the day of the log's last event.
    value : mapping, array of shape (n_offers,) or None, default=None
        What the purchase of each offer is worth: a mapping from product to value, or an array in the order of
        `offers_`. None takes the mean amount of a purchase line of the product, in the currency of the log.

    Attributes
    ----------
    offers_ : ndarray of shape (n_offers,)
        The products that can be offered, in ascending order.
    n_offers_left_out_ : int
        Products bought up to `as_of_` that `max_offers` leaves out.
    customers_ : ndarray of shape (n_customers,)
        Customers with a purchase up to `as_of_`, in ascending order.
    as_of_ : numpy.datetime64
        The last observed day.
    offer_values_ : ndarray of shape (n_offers,)
        Value of each offer, in the currency of the log unless `value` is in another.
    popularity_ : ndarray of shape (n_offers,)
        Share of the population's baskets that hold each offer: the propensity of a customer not in the log.
    basket_counts_ : scipy.sparse.csr_array of shape (n_customers, n_offers)
        Decayed number of baskets of each customer that hold each offer.
    baskets_ : ndarray of shape (n_customers,)
        Decayed number of baskets of each customer.
    penalty_ : float
        The ridge penalty :math:`\\lambda` that `regularization` came to.
    item_weights_ : ndarray of shape (n_offers, n_offers)
        Item-to-item weights: column j rebuilds offer j from the others; the diagonal is 0.
    n_without_offer_ : int
        Customers of the last `recommend` who may have none of the offers and so have no row.

    Notes
    -----
    A basket is an order of a customer (`order_id`), or without one all that a customer bought on a day. A basket of
    age :math:`a` at the end of the day `as_of_` counts :math:`d_b = 2^{-a / \\text{half\\_life}}`. Rows with a
    negative amount or quantity are returns: they neither add nor take away a purchase. With

    .. math::

        n_u = \\sum_{b \\in u} d_b, \\qquad f_{ui} = \\sum_{b \\in u} d_b \\, [i \\in b], \\qquad
        w_u = \\frac{n_u}{n_u + m}, \\qquad s_{ui} = \\frac{f_{ui}}{n_u}

    and :math:`m` = `prior_baskets`, the population's share of offer :math:`i` is
    :math:`\\mu_i = \\sum_u w_u s_{ui} / \\sum_u w_u`. The propensity is the posterior mean of a beta-binomial model
    whose prior mean :math:`\\pi_{ui}` is the population, moved by what the customer's other tastes tell:

    .. math::

        p_{ui} = \\frac{f_{ui} + m \\, \\pi_{ui}}{n_u + m}, \\qquad
        \\pi_{ui} = \\min\\Bigl(1, \\max\\Bigl(0,\\; \\mu_i + \\text{blend} \\sum_j w_u (s_{uj} - \\mu_j) B_{ji}
        \\Bigr)\\Bigr).

    It lies in [0, 1], rises with each own purchase, and is :math:`\\mu_i` for a customer never seen. It is rounded to
    a multiple of :math:`2^{-40}`, so that offers that are equal on paper tie.

    :math:`B` is EASE [1]_ on the customers' rows :math:`w_u (s_{uj} - \\mu_j)`: with their Gram matrix :math:`G`,
    :math:`P = (G + \\lambda I)^{-1}` gives :math:`B_{ij} = -P_{ij} / P_{jj}` off the diagonal and 0 on it (equation
    8), with :math:`\\lambda` = `regularization` times the mean of the diagonal of :math:`G` per customer.

    Offers rank by priority = propensity times value. **Ties**: the higher priority, then the higher propensity, then
    the offer that comes first in `offers_`. The result depends on neither the order of the log's rows nor the number
    of threads. Memory beyond the answer is that of a few thousand customers, never customers times offers.
    On the 302 product categories of the Complete Journey up to November 2017, the ten highest propensities hold 36.8 %
    of the products of the next basket (plain personal frequency 35.3 %, popularity 28.6 %). High propensities are
    cautious there: of those about 0.44, 54 % were bought.

    References
    ----------
    .. [1] H. Steck (2019). Embarrassingly Shallow Autoencoders for Sparse Data. The World Wide Web Conference,
       3251-3257, equation 8. https://doi.org/10.1145/3308558.3313710

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.offers import NextBestOffer
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 1, 1, 1, 2, 2, 3],
    ...     "timestamp": pd.to_datetime(["2024-01-02", "2024-01-02", "2024-01-09", "2024-01-16"] + ["2024-01-11"] * 3),
    ...     "amount": [2.0, 3.0, 2.0, 2.0, 3.0, 8.0, 8.0],
    ...     "product_id": ["milk", "bread", "milk", "milk", "bread", "cheese", "cheese"],
    ... })
    >>> nbo = NextBestOffer(k=2).fit(log)
    >>> nbo.recommend([1, 3], exclude=["cheese"]).round(3)
       customer_id  rank  offer  propensity  value  priority
    0            1     1   milk       0.700    2.0     1.400
    1            1     2  bread       0.371    3.0     1.112
    2            3     1  bread       0.338    3.0     1.014
    3            3     2   milk       0.444    2.0     0.888
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "k": (integer(1),),
        "columns": (InstanceOf((Mapping,)), NONE),
        "half_life": (Number(0, closed="right"),),
        "time_unit": (OneOf(tuple(DAYS_PER_UNIT)),),
        "prior_baskets": (Number(0, closed="neither"),),
        "blend": (Number(0, 1),),
        "regularization": (Number(0, closed="neither"),),
        "max_offers": (integer(1),),
        "as_of": (InstanceOf((str, date, np.datetime64)), NONE),
        "value": (InstanceOf((Mapping, np.ndarray, Sequence)), NONE),
    }

    def __init__(
        self,
        *,
        k: int = 3,
        columns: Mapping[str, str] | None = None,
        half_life: float = 90,
        time_unit: str = "D",
        prior_baskets: float = 5,
        blend: float = 0.75,
        regularization: float = 500,
        max_offers: int = 2000,
        as_of: Any = None,
        value: Any = None,
    ) -> None:
        self.k = k
        self.columns = columns
        self.half_life = half_life
        self.time_unit = time_unit
        self.prior_baskets = prior_baskets
        self.blend = blend
        self.regularization = regularization
        self.max_offers = max_offers
        self.as_of = as_of
        self.value = value

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the customers' affinities from their baskets.

        Parameters
        ----------
        X : frame
            Event log with customer_id, timestamp, amount and product_id, and order_id and quantity if there are.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            Where the log has no purchases up to `as_of`, or ids, times, products or amounts are missing.
        """
        check_params(self, self._rules)
        frame = _frames.read_log(X, self.columns, (CUSTOMER_ID, TIMESTAMP, AMOUNT, PRODUCT_ID), _affinity.OWNER)
        lines = _affinity.purchase_lines(frame, self.as_of)
        chosen, basket, offer = _affinity.most_frequent(lines, self.max_offers)
        self.as_of_ = np.datetime64(lines.as_of, "D")
        self.customers_ = as_array(lines.customers)
        self.offers_ = as_array([lines.products[code] for code in chosen])
        self.n_offers_left_out_ = len(lines.products) - chosen.size
        self.offer_values_ = offer_values(self.value, self.offers_, _affinity.mean_amounts(lines, chosen))
        self.basket_counts_, self.baskets_ = _affinity.decayed_counts(
            lines, basket, offer, chosen.size, float(self.half_life), self.time_unit
        )
        strength, _ = self._prior = float(self.prior_baskets), float(self.blend)
        self.popularity_ = _affinity.population(self.basket_counts_, self.baskets_, strength)
        gram = _affinity.deviations_gram(self.basket_counts_, self.baskets_, self.popularity_, strength)
        average = float(np.trace(gram)) / (chosen.size * self.baskets_.size)
        self.penalty_ = float(self.regularization) * (average if average > 0 else 1.0)
        self.item_weights_ = _affinity.item_weights(gram, self.penalty_)
        self._log_kind = _frames.kind(frame)
        return self

    def recommend(
        self, customers: Any = None, *, eligibility: Any = None, exclude: Any = None, k: int | None = None
    ) -> Any:
        """The best offers of each customer, one row each.

        Parameters
        ----------
        customers : frame, sequence of ids or None, default=None
            Whom to make offers: a frame with customer_id, or the ids. Ids that the log did not have get the
            population's propensities. None takes all `customers_`.
        eligibility : boolean array of shape (n_offers,) or (n_customers, n_offers), frame or None, default=None
            What may be offered: an array in the order of `offers_` and of the customers given, or a frame of the
            allowed pairs with the columns customer_id and offer, where customers who are not in it may have nothing.
        exclude : sequence of offers, frame or None, default=None
            What may not be offered: to nobody the offers of a sequence, or no pair of customer_id and offer of a
            frame. It overrules `eligibility`. Pairs of other customers are ignored, here and there.
        k : int or None, default=None
            Offers per customer, at most. None takes the parameter `k`.

        Returns
        -------
        frame
            Columns customer_id, rank (from 1), offer, propensity, value and priority = propensity * value; by
            customer in the order given, then by rank. Fewer than k rows for customers with fewer eligible offers and
            none for those without any. Of the same kind as `customers`, or as the log where that is no frame.

        Raises
        ------
        InvalidDataError
            Where customers are doubled or missing, or an offer of `eligibility` or `exclude` is unknown.
        ValueError
            Where a mask is not boolean or not of the right shape.
        """
        check_is_fitted(self, "offers_")
        k = self.k if k is None else k
        check_value("k", k, self._rules["k"], "NextBestOffer.recommend")
        frame = whom(customers, self.customers_, self.columns, self._log_kind)
        _frames.check_unique(frame, CUSTOMER_ID, "NextBestOffer.recommend")
        best, propensity, priority = self._rank(frame, k, eligibility, exclude)
        self.n_without_offer_ = int((best[:, 0] < 0).sum())
        row, place = np.nonzero(best >= 0)
        at = best[row, place]
        return _frames.build(
            frame,
            {
                CUSTOMER_ID: _frames.take(frame[CUSTOMER_ID], row),
                "rank": place + 1,
                OFFER: _frames.take(_frames.like(frame, OFFER, self.offers_), at),
                "propensity": propensity[row, place],
                "value": self.offer_values_[at],
                "priority": priority[row, place],
            },
        ).to_native()

    def predict_propensity(self, customers: Any = None) -> np.ndarray:
        """Every customer's propensity for every offer, as one dense matrix: for inspection and small groups.

        Parameters
        ----------
        customers : frame, sequence of ids or None, default=None
            As in `recommend`; the same customer may come more than once.

        Returns
        -------
        ndarray of shape (n_customers, n_offers)
            Columns in the order of `offers_`.
        """
        check_is_fitted(self, "offers_")
        frame = whom(customers, self.customers_, self.columns, self._log_kind)
        best, propensity, _ = self._rank(frame, self.offers_.size)
        return np.take_along_axis(propensity, np.argsort(best, axis=1), axis=1)

    def transform(self, X: Any) -> Any:
        """Add each customer's best offers to a table.

        Parameters
        ----------
        X : frame
            Table with customer_id (or your name of it, see `columns`); the same customer may come more than once.

        Returns
        -------
        frame
            The table with offer_1, ..., offer_k, missing where there are fewer than k offers, and priority_1, ...,
            priority_k, NaN there. Integer offers are of pandas' nullable type Int64 in pandas.
        """
        check_is_fitted(self, "offers_")
        table = _frames.read(X, owner="NextBestOffer.transform")
        best, _, priority = self._rank(identified(table, self.columns), self.k)
        offers = _frames.like(table, OFFER, self.offers_)
        return self._give(_frames.extend(table, wide_columns(offers, best, priority, self.k)))

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> np.ndarray:
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : sequence of str or None, default=None
            Names of the table's columns; None names the added columns alone.

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self, "offers_")
        before = [] if input_features is None else list(input_features)
        added = wide_names(self.k)
        return np.array([*(name for name in before if name not in added), *added], dtype=object)

    def _rank(
        self, frame: nw.DataFrame[Any], k: int, eligibility: Any = None, exclude: Any = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offers, propensities and priorities of each row of a frame: three arrays (n_rows, min(k, n_offers))."""
        rows = positions(self.customers_, frame, CUSTOMER_ID, "NextBestOffer")
        strength, blend = self._prior
        policy = Policy(frame, self.offers_, eligibility, exclude)
        fitted = (
            self.basket_counts_.indptr.astype(np.int64),
            self.basket_counts_.indices.astype(np.int64),
            self.basket_counts_.data,
            self.baskets_,
            blend * self.item_weights_,
            blend * (self.popularity_ @ self.item_weights_),
            self.popularity_,
            strength,
            self.offer_values_,
        )
        return rank(rows, fitted, policy, min(int(k), self.offers_.size))
