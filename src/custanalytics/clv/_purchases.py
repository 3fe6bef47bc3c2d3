"""What models of purchases while alive share: reading `frequency`, `recency` and `T`, and predicting from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames, _jit
from custanalytics._columns import FREQUENCY, RECENCY, T
from custanalytics._params import NOT_NEGATIVE, Number, check_value
from custanalytics.clv import _fit
from custanalytics.clv._base import SUMMARY_HINT, LikelihoodModel, refuse
from custanalytics.clv._discounting import discounting
from custanalytics.clv._kernels import MOST, count_impossible


class PurchaseModel(LikelihoodModel):
    """A model of purchases while alive, from `frequency`, `recency` and `T`.

    Beyond `LikelihoodModel`, a model sets the two loops of its predictions.
    """

    _columns: ClassVar[tuple[str, ...]] = (FREQUENCY, RECENCY, T)
    _unit_columns: ClassVar[tuple[str, ...]] = (RECENCY, T)
    _alive_loop: ClassVar[Callable[..., None]]  # loop(start, stop, x, t_x, T, theta, out)
    # Sum over k of weights[k] * E[purchases in (T, T + horizons[k]] | alive at T]:
    _purchases_loop: ClassVar[Callable[..., None]]  # loop(start, stop, x, T, theta, horizons, weights, out)

    def predict_alive(self, table: Any) -> np.ndarray:
        """Probability that each customer is still active at the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.

        Returns
        -------
        ndarray of shape (n_customers,)
            P(alive at `T`).
        """
        theta = self._theta()
        return self._alive(self._read(table), theta)

    def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
        """Expected number of purchases of each customer in the `horizon` after the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        horizon : float
            Length of the time ahead, (T, T + horizon], in `time_unit`; may be infinite.

        Returns
        -------
        ndarray of shape (n_customers,)
            Expected purchases; P(alive) is included.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_purchases")
        return self._weighted_purchases(table, np.array([float(horizon)]), np.ones(1))

    def predict_discounted_purchases(self, table: Any, horizon: float, rate: float) -> np.ndarray:
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
            Discounted expected purchases.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_discounted_purchases")
        check_value("rate", rate, (NOT_NEGATIVE,), f"{type(self).__name__}.predict_discounted_purchases")
        check_is_fitted(self, "params_")
        return self._weighted_purchases(table, *discounting(float(horizon), float(rate), self._memory()))

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

    def _memory(self) -> float:
        """The shortest time, in `time_unit`, on which expected purchases bend: how finely discounting must look."""
        return min(value for name, value in self.params_.items() if self._unit_powers.get(name) == 1)

    def _weighted_purchases(self, table: Any, horizons: np.ndarray, weights: np.ndarray) -> np.ndarray:
        theta = self._theta()
        columns = self._read(table)
        x, _, age = columns
        # Given alive, a customer is (frequency, T): few distinct pairs, so that the costly part is done on them.
        grouped = _fit.distinct((x, age), most=0.5)
        if grouped is not None:
            codes, rows = grouped
            x, age = x[rows], age[rows]
        result = np.empty(x.size)
        _jit.run(self._purchases_loop, x.size, x, age, theta, horizons, weights, out=(result,), size=512)
        if grouped is not None:
            result = result[codes]
        result *= self._alive(columns, theta)
        return result

    def _alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> np.ndarray:
        result = np.empty(columns[0].size)
        _jit.run(self._alive_loop, result.size, *columns, theta, out=(result,))
        return result

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        owner = type(self).__name__
        frame = _frames.read(table, self._columns, owner, SUMMARY_HINT)
        x, t_x, age = (_frames.floats(frame, name) for name in self._columns)
        if not sum(_jit.run(count_impossible, x.size, x, t_x, age)):
            return x, t_x, age
        for name, values in zip(self._columns, (x, t_x, age), strict=True):
            refuse(frame, ~np.isfinite(values), f"have a missing or infinite {name}", "Drop or repair them.")
            refuse(frame, values < 0, f"have a negative {name}", "Summarise the log anew.")
        refuse(frame, x > MOST, f"have a {FREQUENCY} above {MOST:,}", "Is it an id or an amount?")
        refuse(frame, x != np.rint(x), f"have a {FREQUENCY} that is no whole number", "It counts repeat periods.")
        refuse(frame, t_x > age, f"have {RECENCY} > {T}", "Was `as_of` earlier than the last event?")
        refuse(
            frame,
            (x == 0) & (t_x > 0),
            f"have {RECENCY} > 0 without a repeat purchase",
            f"{RECENCY} runs from the first to the last purchase; T - {RECENCY} is the time since the last one.",
        )
        return x, t_x, age


def check_horizons(horizon: ArrayLike, owner: str) -> np.ndarray:
    """One or more horizons as float64: 0 or more, infinity allowed."""
    times = np.asarray(horizon, dtype=np.float64)
    if times.size:
        for value in (float(times.min()), float(times.max())):
            check_value("horizon", value, (Number(0),), owner)
    return times
