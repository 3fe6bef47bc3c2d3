"""How good a forecast of counts was, customer by customer."""

from __future__ import annotations

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, T
from custanalytics.exceptions import InvalidDataError

_ROWS = 4096  # customers whose distributions are in memory at once
_FIRST = 8  # counts that are asked for at first
_TAIL = 1e-6  # probability beyond the last count of a distribution; its square is what the CRPS misses
_MOST = 1 << 17  # counts, where a tail is endless


class Forecast(NamedTuple):
    """Scores of one model at one origin, an element per customer."""

    expected: np.ndarray
    log_score: np.ndarray  # log P(what came); NaN without a distribution
    crps: np.ndarray  # NaN without a distribution


class PastRate:
    """The rule of thumb to beat: everybody goes on as before, at `frequency` over `T`."""

    def fit(self, table: Any) -> PastRate:
        """Learn the rate of all customers, for those who came just now."""
        x, age = self._columns(table)
        self.rate_ = float(x.sum() / age.sum()) if age.any() else 0.0
        return self

    def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
        """`frequency` / `T` * `horizon`."""
        x, age = self._columns(table)
        return horizon * np.where(age > 0, x / np.where(age > 0, age, 1.0), self.rate_)

    def _columns(self, table: Any) -> tuple[np.ndarray, np.ndarray]:
        frame = _frames.read(table)
        return _frames.floats(frame, FREQUENCY), _frames.floats(frame, T)


def forecast(model: Any, frame: nw.DataFrame[Any], came: np.ndarray, horizon: float, name: str) -> Forecast:
    """What a fitted model expected of each customer, and how probable it held what came."""
    expected = np.asarray(model.predict_purchases(frame.to_native(), horizon), dtype=np.float64)
    if expected.shape != came.shape or not np.isfinite(expected).all():
        what = "numbers that are missing or infinite" if expected.shape == came.shape else f"{expected.shape}"
        raise InvalidDataError(f"predict_purchases of {name!r} must give a finite number per customer; it gave {what}.")
    log_score, crps = np.full((2, came.size), np.nan)
    if hasattr(model, "predict_count_probabilities"):
        rows, codes = _distinct(model, frame, came)
        rows = rows[(by_size := np.argsort(expected[rows], kind="stable"))]
        place = np.empty(rows.size, np.int64)
        place[by_size] = np.arange(rows.size)
        found = np.empty((2, rows.size))
        for start in range(0, rows.size, _ROWS):
            part = rows[start : start + _ROWS]
            found[:, start : start + _ROWS] = _scores(model, frame[part].to_native(), came[part], horizon, name)
        log_score, crps = found[:, place[codes]]
    return Forecast(expected, log_score, crps)


def _scores(model: Any, table: Any, came: np.ndarray, horizon: float, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Log score and CRPS of a few customers. Counts are added until hardly any probability is left."""
    start, stop = 0, max(_FIRST, int(came.max()) + 1)
    below = np.zeros(came.size)
    logs, crps = np.full(came.size, -np.inf), np.zeros(came.size)
    while True:
        counts = np.arange(start, stop)
        chances = np.asarray(model.predict_count_probabilities(table, counts, horizon), dtype=np.float64)
        if chances.shape != (came.size, counts.size) or not (chances >= 0).all():
            raise InvalidDataError(
                f"predict_count_probabilities of {name!r} must give probabilities of the shape (customers, counts), "
                f"{(came.size, counts.size)}; it gave the shape {chances.shape}, or numbers below 0 or missing."
            )
        here = np.flatnonzero((came >= start) & (came < stop))
        with np.errstate(divide="ignore"):
            logs[here] = np.log(np.minimum(chances[here, came[here].astype(np.int64) - start], 1.0))
        reached = below[:, None] + np.cumsum(chances, axis=1)
        crps += np.square(np.minimum(reached, 1.0) - (counts >= came[:, None])).sum(axis=1)
        below = reached[:, -1]
        left = 1.0 - below
        if left.max() <= _TAIL or stop >= _MOST:
            return logs, crps
        start, stop = stop, 2 * stop


def _distinct(model: Any, frame: nw.DataFrame[Any], came: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that differ in what the model looks at or in what came, and the place of each customer among them."""
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    known = names and all(name in frame.columns and frame[name].dtype.is_numeric() for name in names)
    if not known:
        return np.arange(came.size), np.arange(came.size)
    columns = [came, *(_frames.floats(frame, name) for name in names)]
    order = np.lexsort(columns)
    fresh = np.zeros(came.size, bool)
    fresh[0] = True
    for column in columns:
        ordered = column[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    codes = np.empty(came.size, np.int64)
    codes[order] = np.cumsum(fresh) - 1
    return order[fresh], codes
