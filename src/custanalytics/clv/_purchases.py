"""What models of purchases while alive share: reading `frequency`, `recency` and `T`, and predicting from them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engines, _frames, _jit
from custanalytics._columns import DISCOUNTED_PURCHASES, EXPECTED_PURCHASES, FREQUENCY, P_ALIVE, RECENCY, T
from custanalytics._engine_checks import Check, absent
from custanalytics._params import NOT_NEGATIVE, Number, check_value, check_values
from custanalytics.clv import _fit
from custanalytics.clv._base import SUMMARY_HINT, refuse
from custanalytics.clv._design import Customers, Design, Groups, each_group
from custanalytics.clv._discounting import discounting
from custanalytics.clv._futures import FINITE
from custanalytics.clv._kernels import MOST, count_impossible, multiply_by_code
from custanalytics.clv._later_futures import LaterFutures

# A check is a function of frequency, recency and T, arrays or expressions alike.
CHECKS = (
    Check(f"have a missing or infinite {FREQUENCY}", "Drop or repair them.", lambda x, t_x, age: absent(x)),
    Check(f"have a negative {FREQUENCY}", "Summarise the log anew.", lambda x, t_x, age: x < 0),
    Check(f"have a missing or infinite {RECENCY}", "Drop or repair them.", lambda x, t_x, age: absent(t_x)),
    Check(f"have a negative {RECENCY}", "Summarise the log anew.", lambda x, t_x, age: t_x < 0),
    Check(f"have a missing or infinite {T}", "Drop or repair them.", lambda x, t_x, age: absent(age)),
    Check(f"have a negative {T}", "Summarise the log anew.", lambda x, t_x, age: age < 0),
    Check(f"have a {FREQUENCY} above {MOST:,}", "Is it an id or an amount?", lambda x, t_x, age: x > MOST),
    Check(f"have a {FREQUENCY} that is no whole number", "It counts repeat periods.", lambda x, t_x, age: x % 1.0 != 0),
    Check(f"have {RECENCY} > {T}", "Was `as_of` earlier than the last event?", lambda x, t_x, age: t_x > age),
    Check(
        f"have {RECENCY} > 0 without a repeat purchase",
        f"{RECENCY} runs from the first to the last purchase; T - {RECENCY} is the time since the last one.",
        lambda x, t_x, age: (x == 0) & (t_x > 0),
    ),
)


FEW = 256  # customers whose pairs are not worth a search


class CustomerScore(NamedTuple):
    """What `score_one` says of a customer."""

    p_alive: float
    expected_purchases: float


class PurchaseModel(LaterFutures):
    """A model of purchases while alive, from `frequency`, `recency` and `T`.

    Beyond `LikelihoodModel`, a model sets the two loops of its predictions, and says by `_given_alive` what customers
    are like who are alive: all else about the future follows.
    """

    _columns: ClassVar[tuple[str, ...]] = (FREQUENCY, RECENCY, T)
    _unit_columns: ClassVar[tuple[str, ...]] = (RECENCY, T)
    _checks: ClassVar[tuple[Check, ...]] = CHECKS
    _alive_loop: ClassVar[Callable[..., None]]  # loop(start, stop, x, t_x, T, theta, out)
    _groups: Groups | None = None  # of the customers asked about, where each group has parameters of its own
    _alive_slice: ClassVar[int] = _jit.SLICE  # rows that a thread takes at once
    # Sum over k of weights[k] * E[purchases in (T, T + horizons[k]] | alive at T]:
    _purchases_loop: ClassVar[Callable[..., None]]  # loop(start, stop, x, T, theta, horizons, weights, out)

    @each_group
    def predict_alive(self, table: Any, *, ahead: float = 0) -> Any:
        """Probability that each customer is active at the end of the observation, or some time after it.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        ahead : float, default=0
            How long after the end of the observation, in `time_unit`.

        Returns
        -------
        ndarray of shape (n_customers,)
            P(alive at `T` + `ahead`). For a table in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) the
            table itself, with the column `p_alive` added.

        Examples
        --------
        >>> from custanalytics.clv import ParetoNBDModel
        >>> model = ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.656)
        >>> table = {"frequency": [26, 0], "recency": [30.86, 0.0], "T": [31.0, 39.0]}
        >>> model.predict_alive(table).round(3), model.predict_alive(table, ahead=52).round(3)
        (array([0.998, 0.294]), array([0.616, 0.192]))
        """
        check_value("ahead", ahead, (Number(0),), f"{type(self).__name__}.predict_alive")
        if _engines.is_lazy(table):
            check_is_fitted(self, "params_")
            return self._added(table, P_ALIVE, "_alive_after", float(ahead))
        return self._alive_after(table, float(ahead)) if ahead > 0 else self._alive(self._read(table), self._theta())

    @each_group
    def predict_purchases(self, table: Any, horizon: float, *, start: float = 0) -> Any:
        """Expected number of purchases of each customer in the `horizon` after the observation, or in a later window.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        horizon : float
            Length of the time ahead in `time_unit`; may be infinite.
        start : float, default=0
            How long after the observation it begins, in `time_unit`: purchases in (T + start, T + start + horizon] are
            counted, to the same relative accuracy however short or far away that is.

        Returns
        -------
        ndarray of shape (n_customers,)
            Expected purchases; P(alive) is included. For a table in an engine (Polars lazy, DuckDB, Dask, Spark,
            Ibis) the table itself, with the column `expected_purchases` added.

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel
        >>> model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> table = {"frequency": [26, 2], "recency": [30.86, 30.43], "T": [31.0, 38.86]}
        >>> model.predict_purchases(table, horizon=52).round(2)
        array([25.76,  1.56])
        >>> model.predict_purchases(table, horizon=26, start=26).round(2)  # its second half
        array([10.74,  0.7 ])
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_purchases")
        check_value("start", start, (FINITE,), f"{type(self).__name__}.predict_purchases")
        if _engines.is_lazy(table):
            return self._added(table, EXPECTED_PURCHASES, "_purchases_within", float(horizon), float(start))
        if start > 0:
            return self._purchases_within(table, float(horizon), float(start))
        return self._weighted_purchases(table, np.array([float(horizon)]), np.ones(1))

    @each_group
    def predict_discounted_purchases(self, table: Any, horizon: float, rate: float) -> Any:
        """Expected purchases in the `horizon` ahead, each discounted to the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        horizon : float
            Length of the time ahead in `time_unit`; may be infinite.
        rate : float
            Continuous rate of discount per `time_unit`: a purchase after t counts exp(-rate * t).

        Returns
        -------
        ndarray of shape (n_customers,)
            Discounted expected purchases. For a table in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) the
            table itself, with the column `discounted_purchases` added.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_discounted_purchases")
        check_value("rate", rate, (NOT_NEGATIVE,), f"{type(self).__name__}.predict_discounted_purchases")
        if _engines.is_lazy(table):
            check_is_fitted(self, "params_")
            method = "predict_discounted_purchases"
            return self._added(table, DISCOUNTED_PURCHASES, method, float(horizon), float(rate))
        return self._discounted(table, float(horizon), float(rate))

    def score_one(self, frequency: float, recency: float, T: float, horizon: float) -> CustomerScore:
        """Score a single customer in microseconds, for programs that look at one at a time.

        Any number of threads may call it at once.

        Parameters
        ----------
        frequency : int
            Repeat purchase periods.
        recency, T : float
            From the first purchase to the last one and to the end of the observation, in `time_unit`.
        horizon : float
            Length of the time ahead, in `time_unit`; may be infinite.

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

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel
        >>> model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> model.score_one(frequency=2, recency=30.43, T=38.86, horizon=39)
        CustomerScore(p_alive=0.727, expected_purchases=1.226)
        """
        try:
            possible = 0 <= frequency <= MOST and frequency % 1 == 0 and 0 <= recency <= T < inf and horizon >= 0
            x, t_x, age, ahead = (np.array([float(each)]) for each in (frequency, recency, T, horizon))
        except (TypeError, OverflowError) as error:  # of an array, and of a whole number beyond all doubles
            given = f"frequency={frequency!r}, recency={recency!r}, T={T!r}, horizon={horizon!r}"
            raise TypeError(f"{type(self).__name__}.score_one takes numbers. Got {given} instead.") from error
        if not possible or (frequency == 0 and recency > 0):
            raise ValueError(
                f"No customer has frequency={frequency}, recency={recency}, T={T} with horizon={horizon}: frequency is "
                "a whole number, 0 <= recency <= T, recency is 0 without a repeat purchase, and horizon >= 0."
            )
        theta = self._theta()
        alive = np.empty(1)
        _jit.run(self._alive_loop, 1, x, t_x, age, theta, out=(alive,))
        purchases = self._if_alive((x, t_x, age), theta, ahead, np.ones(1))
        return CustomerScore(float(alive[0]), float(alive[0] * purchases[0]))

    def expected_purchases_new_customer(self, horizon: ArrayLike) -> Any:
        """Expected repeat purchases of a new customer, from the first purchase on.

        Parameters
        ----------
        horizon : float or array-like
            How long after the first purchase, in `time_unit`.

        Returns
        -------
        float or ndarray of the shape of `horizon`
            E[X(horizon)].
        """
        theta = self._theta()
        times = check_horizons(horizon, "expected_purchases_new_customer")
        zeros, one = np.zeros(1), np.ones(1)
        result = np.empty(times.size)
        for at, time in enumerate(times.ravel()):
            _jit.run(self._purchases_loop, 1, zeros, zeros, theta, one * time, one, out=(result[at:],))
        return result.reshape(times.shape) if times.ndim else float(result[0])

    def _design(self) -> Design | None:
        """The covariates and what they scale; None where there are none."""
        return None

    def _if_alive(
        self, columns: tuple[np.ndarray, ...], theta: np.ndarray, horizons: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Sum over k of weights[k] E[purchases in (T, T + horizons[k]] | alive at T], per customer."""
        if self._groups is not None:
            return _jit.call(self._groups.run, self._purchases_loop, (columns[0], columns[-1]), horizons, weights)
        result = np.empty(columns[0].size)
        loop_inputs = (columns[0], columns[-1], theta, horizons, weights)
        _jit.run(self._purchases_loop, result.size, *loop_inputs, out=(result,), size=512)
        return result

    def _takes_groups(self, method: str, ahead: float = 0, start: float = 0, **_: Any) -> bool:
        """Whether a method is for the two loops alone, which can be run with other parameters for each group."""
        of_loops = type(self)._weighted_purchases is PurchaseModel._weighted_purchases
        return (
            (method == "predict_alive" and not ahead)
            or (method == "predict_purchases" and not start and of_loops)
            or (method == "predict_discounted_purchases" and of_loops and self._scores_alone())
        )

    def _scores_alone(self) -> bool:
        """Whether what is discounted is a sum of expectations, so that one customer takes no table."""
        return type(self)._discounted is PurchaseModel._discounted

    def _memory(self) -> float:
        """The shortest time, in `time_unit`, on which expected purchases bend: how finely discounting must look."""
        return min(value for name, value in self.params_.items() if self._unit_powers.get(name) == 1)

    def _bends(self, horizon: float) -> float:
        """How sharply they bend again within the horizon: that time over the time it takes; 0 where they do not."""
        return 0.0

    def _discounted(self, table: Any, horizon: float, rate: float) -> np.ndarray:
        """Discounted purchases, by default from the expectations at several horizons."""
        if self._groups is None:
            return self._weighted_purchases(table, *discounting(horizon, rate, self._memory(), self._bends(horizon)))
        columns = self._read(table)
        return self._alive(columns, self._theta()) * self._discounted_by_group(columns, horizon, rate)

    def _discounted_by_group(self, columns: tuple[np.ndarray, ...], horizon: float, rate: float) -> np.ndarray:
        """What is discounted given alive: the times at which each group's expectations are taken are its own."""
        assert self._groups is not None  # the caller has seen it
        result = np.empty(columns[0].size)
        for theta, (start, stop) in zip(self._groups.thetas, pairwise(self._groups.bounds), strict=True):
            self.params_ = dict(zip(self._names, theta.tolist(), strict=True))
            nodes = discounting(horizon, rate, self._memory(), self._bends(horizon))
            inputs = (columns[0], columns[-1], theta, *nodes)
            _jit.call(self._purchases_loop, start, stop, *inputs, out=(result,))
        return result

    def _weighted_purchases(self, table: Any, horizons: np.ndarray, weights: np.ndarray) -> np.ndarray:
        theta = self._theta()
        columns = self._read(table)
        x, _, age = columns
        # Given alive, a customer is (frequency, T): few distinct pairs, so that the costly part is done on them.
        grouped = _fit.distinct((x, age), most=0.5) if x.size > FEW and self._groups is None else None
        if grouped is not None:
            codes, rows = grouped
            x, age = x[rows], age[rows]
        ahead = self._if_alive((x, age), theta, horizons, weights)
        result = self._alive(columns, theta)
        if grouped is None:
            result *= ahead
        else:
            _jit.run(multiply_by_code, result.size, ahead, codes, out=(result,), size=_jit.WIDE)
        return result

    def _alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> np.ndarray:
        if self._groups is not None:
            return self._groups.run(self._alive_loop, columns)
        result = np.empty(columns[0].size)
        _jit.run(self._alive_loop, result.size, *columns, theta, out=(result,), size=self._alive_slice)
        return result

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        if isinstance(table, Customers):
            return table.columns
        owner = type(self).__name__
        x, t_x, age = _frames.numbers(table, PurchaseModel._columns, self._columns, owner, SUMMARY_HINT)
        if sum(_jit.run(count_impossible, x.size, x, t_x, age, size=_jit.WIDE)):
            for check in PurchaseModel._checks:
                refuse(table, check.broken(x, t_x, age), check.phrase, check.remedy)
        return x, t_x, age


def check_horizons(horizon: ArrayLike, owner: str) -> np.ndarray:
    """One or more horizons as float64: 0 or more, infinity allowed."""
    return check_values("horizon", horizon, (Number(0),), owner)
