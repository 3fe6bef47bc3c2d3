"""What models of contracts share: reading `recency` and `T` in renewals, and predicting from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from custanalytics import _engines, _frames
from custanalytics._columns import DISCOUNTED_PURCHASES, EXPECTED_PURCHASES, P_ALIVE, RECENCY, T
from custanalytics._engine_checks import Check, absent
from custanalytics._params import NOT_NEGATIVE, Number, check_value, check_values
from custanalytics.clv import _fit, _kernels_contract
from custanalytics.clv._base import refuse
from custanalytics.clv._counts import chances_of, check_counts
from custanalytics.clv._discounting import FADED
from custanalytics.clv._futures import Futures
from custanalytics.clv._given_renewals import GivenRenewals
from custanalytics.clv._purchases import CustomerScore

HINT = (
    f"One row per customer (or per group of them, with sample_weight): {T}, the chances to renew that were seen, and "
    f"{RECENCY}, how often they did in a row."
)
CHECKS = (
    *(
        Check(f"have a missing or infinite {name}", "Drop or repair them.", lambda *values, at=at: absent(values[at]))
        for at, name in enumerate((RECENCY, T))
    ),
    Check(f"have a negative {RECENCY}", "It counts renewals, from 0.", lambda recency, age: recency < 0),
    Check(f"have {RECENCY} > {T}", "Nobody renews more often than they could.", lambda recency, age: recency > age),
    *(
        Check(
            f"have a {name} that is no whole number",
            "Both count renewals: divide durations by the length of the contract and round.",
            lambda *values, at=at: values[at] % 1.0 != 0,
        )
        for at, name in enumerate((RECENCY, T))
    ),
)


class ContractModel(Futures):
    """A model of how long customers keep renewing a contract, from `recency` and `T` in renewals."""

    _columns: ClassVar[tuple[str, ...]] = (RECENCY, T)
    _unit_columns: ClassVar[tuple[str, ...]] = ()
    _unit_powers: ClassVar[dict[str, int]] = {}
    _checks: ClassVar[tuple[Check, ...]] = CHECKS
    _loglik_loop = staticmethod(_kernels_contract.log_likelihood_loop)

    def predict_alive(self, table: Any, *, ahead: float = 0) -> Any:
        """Probability that each customer is still one after `ahead` more renewals.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `recency` and `T`.
        ahead : float, default=0
            How many renewals ahead, whole ones; 0 asks for now, which is known.

        Returns
        -------
        ndarray of shape (n_customers,)
            0 for those who have left, with `recency` < `T`; for a table in an engine (Polars lazy, DuckDB, Dask,
            Spark, Ibis) the table itself, with the column `p_alive` added.
        """
        check_value("ahead", ahead, (NOT_NEGATIVE,), f"{type(self).__name__}.predict_alive")
        self._theta()
        if _engines.is_lazy(table):
            return self._added(table, P_ALIVE, "_alive_ahead", float(ahead))
        return self._alive_ahead(table, float(ahead))

    def predict_purchases(self, table: Any, horizon: float, *, start: float = 0) -> Any:
        """Expected number of renewals of each customer among the next `horizon` chances, or among later ones.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `recency` and `T`.
        horizon : float
            How many chances to renew to look ahead. Infinity gives the expected remaining lifetime in renewals,
            itself infinite for `alpha` (times `c`) <= 1.
        start : float, default=0
            After how many chances to begin: the renewals start + 1, ..., start + horizon ahead are counted.

        Returns
        -------
        ndarray of shape (n_customers,)
            0 for those who have left; for a table in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) the table
            itself, with the column `expected_purchases` added.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_purchases")
        check_value("start", start, (NOT_NEGATIVE,), f"{type(self).__name__}.predict_purchases")
        self._theta()
        if _engines.is_lazy(table):
            return self._added(table, EXPECTED_PURCHASES, "_purchases_within", float(horizon), float(start))
        return self._purchases_within(table, float(horizon), float(start))

    def predict_discounted_purchases(self, table: Any, horizon: float, rate: float) -> Any:
        """Expected renewals among the next `horizon` chances, each discounted to the end of the observation.

        With an infinite horizon this is the discounted expected residual lifetime of a customer who has just renewed.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `recency` and `T`.
        horizon : float
            How many chances to renew to look ahead; may be infinite.
        rate : float
            Continuous rate of discount per renewal: the i-th chance ahead counts exp(-rate * i). For a rate d per
            contract period that is log(1 + d).

        Returns
        -------
        ndarray of shape (n_customers,)
            0 for those who have left; for a table in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) the table
            itself, with the column `discounted_purchases` added.
        """
        owner = f"{type(self).__name__}.predict_discounted_purchases"
        check_value("horizon", horizon, (Number(0),), owner)
        check_value("rate", rate, (NOT_NEGATIVE,), owner)
        self._theta()
        if _engines.is_lazy(table):
            method = "predict_discounted_purchases"
            return self._added(table, DISCOUNTED_PURCHASES, method, float(horizon), float(rate))
        rate = float(rate) if rate > FADED * 1e-280 else 0.0  # a smaller one is none
        return self._by_age(table, lambda given: given.discounted(float(horizon), rate))

    def survival(self, renewals: ArrayLike) -> Any:
        """Share of new customers who are still customers after a number of chances to renew.

        Parameters
        ----------
        renewals : float or array-like
            How many chances to renew: 0 or more.

        Returns
        -------
        float or ndarray of the shape of `renewals`
            S(renewals).
        """
        new = GivenRenewals(np.zeros(1), self._theta())
        times = check_values("renewals", renewals, (NOT_NEGATIVE,), f"{type(self).__name__}.survival")
        result = np.array([new.stay(float(time))[0] for time in times.ravel()])
        return result.reshape(times.shape) if times.ndim else float(result[0])

    def retention(self, renewals: ArrayLike) -> Any:
        """Share of those who came to a renewal that renew.

        Parameters
        ----------
        renewals : int or array-like of int
            Which chance to renew: 1 is the first.

        Returns
        -------
        float or ndarray of the shape of `renewals`
            S(renewals) / S(renewals - 1).
        """
        theta = self._theta()
        times = check_values("renewals", renewals, (Number(1, closed="left"),), f"{type(self).__name__}.retention")
        result = GivenRenewals(np.ascontiguousarray(times.ravel() - 1.0), theta).stay(1.0)
        return result.reshape(times.shape) if times.ndim else float(result[0])

    def expected_purchases_new_customer(self, horizon: ArrayLike) -> Any:
        """Expected renewals of a new customer among the first `horizon` chances.

        Parameters
        ----------
        horizon : float or array-like
            How many chances to renew; may be infinite.

        Returns
        -------
        float or ndarray of the shape of `horizon`
            The sum of S(1), ..., S(horizon).
        """
        self._theta()
        owner = f"{type(self).__name__}.expected_purchases_new_customer"
        times = check_values("horizon", horizon, (Number(0),), owner)
        new = {RECENCY: [0.0], T: [0.0]}
        result = np.array([self.predict_purchases(new, time)[0] for time in times.ravel()])
        return result.reshape(times.shape) if times.ndim else float(result[0])

    def probability_of_purchases(self, n: ArrayLike, horizon: float) -> Any:
        """Probability that a new customer renews exactly `n` times.

        Parameters
        ----------
        n : int or array-like of int
            Number of renewals, 0 or more.
        horizon : float
            How many chances to renew to look ahead; may be infinite.

        Returns
        -------
        float or ndarray of the shape of `n`
            P(X(horizon) = n).
        """
        counts = check_counts(n)
        check_value("horizon", horizon, (Number(0),), "probability_of_purchases")
        new = GivenRenewals(np.zeros(1), self._theta())
        return chances_of(counts, lambda n: new.exactly(n, float(horizon)))

    def score_one(self, recency: float, T: float, horizon: float) -> CustomerScore:
        """Score a single customer in microseconds, for programs that look at one at a time.

        Any number of threads may call it at once.

        Parameters
        ----------
        recency, T : int
            How often the customer renewed in a row, and the chances to that were seen.
        horizon : float
            How many chances to renew to look ahead; may be infinite.

        Returns
        -------
        CustomerScore
            A named tuple of `p_alive` and `expected_purchases`, the same numbers as those of `predict_alive` and
            `predict_purchases`.

        Raises
        ------
        TypeError
            If something else than numbers is given.
        ValueError
            If the numbers cannot be those of a customer.
        """
        try:
            possible = 0 <= recency <= T < inf and recency % 1 == 0 and T % 1 == 0 and horizon >= 0
            age, ahead = np.array([float(T)]), float(horizon)
        except (TypeError, OverflowError) as error:  # of an array, and of a whole number beyond all doubles
            given = f"recency={recency!r}, T={T!r}, horizon={horizon!r}"
            raise TypeError(f"{type(self).__name__}.score_one takes numbers. Got {given} instead.") from error
        if not possible:
            raise ValueError(
                f"No customer has recency={recency}, T={T} with horizon={horizon}: both count renewals, "
                "0 <= recency <= T, and horizon >= 0."
            )
        if recency < T:
            return CustomerScore(0.0, 0.0)
        return CustomerScore(1.0, float(GivenRenewals(age, self._theta()).discounted(ahead, 0.0)[0]))

    def _alive_ahead(self, table: Any, ahead: float) -> np.ndarray:
        return self._by_age(table, lambda given: given.stay(float(np.floor(ahead))))

    def _purchases_within(self, table: Any, horizon: float, start: float) -> np.ndarray:
        return self._by_age(table, lambda given: given.window(start, horizon))

    def _by_age(self, table: Any, of: Callable[[GivenRenewals], np.ndarray]) -> np.ndarray:
        """What lies ahead of each distinct age, for who is a customer still; 0 for the others."""
        recency, age = self._read(table)
        ages, codes = np.unique(age, return_inverse=True)
        return np.where(recency == age, of(GivenRenewals(ages, self._theta()))[codes], 0.0)

    def _customers(self, table: Any, horizon: float, size: int) -> Iterator[tuple[np.ndarray, GivenRenewals]]:
        recency, age = self._read(table)
        for start in range(0, age.size, size):
            rows = slice(start, start + size)
            alive = (recency[rows] == age[rows]).astype(float)
            yield alive, GivenRenewals(np.ascontiguousarray(age[rows]), self._theta())

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        recency, age = _frames.numbers(table, self._columns, self._columns, type(self).__name__, HINT)
        for check in self._checks:
            with np.errstate(invalid="ignore"):
                refuse(table, check.broken(recency, age), check.phrase, check.remedy)
        return recency, age

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        starts = [(1.0, 3.0), (0.3, 1.0), (5.0, 20.0), (1.0, 30.0), (3.0, 0.3)]
        return np.array([(*start, 1.0)[: len(self._names)] for start in starts])
