"""Tables and holdouts at several origins of one log, made by a summary of the caller's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from sklearn.base import clone

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, FREQUENCY, TIMESTAMP, T, renaming
from custanalytics._instants import DAY, instants, microseconds
from custanalytics.exceptions import InvalidDataError
from custanalytics.model_selection._temporal import rolling_cutoffs
from custanalytics.model_selection._times import known_times

_HALF = {
    "h": DAY // 48,
    "D": DAY // 2,
    "W": 7 * DAY // 2,
    "M": 15 * DAY,
    "Y": 182 * DAY,
}  # of a period: the nearest is taken


class Origin(NamedTuple):
    """What was known at a cutoff, and what came."""

    name: str
    frame: nw.DataFrame[Any]  # one row per customer
    came: np.ndarray  # purchases of each in the holdout
    horizon: float  # its length in the unit of the table


def rolling_origins(
    log: Any, summary: Any, cutoffs: Any, horizon: float, step: float | None, end: Any, owner: str
) -> Iterator[Origin]:
    """An origin per cutoff: the summary of the log as of its eve, and what another `horizon` adds to it."""
    params = summary.get_params(deep=False)
    unit, half = params.get("time_unit", "W"), _HALF.get(params.get("period", "D"), _HALF["D"])
    columns = params.get("columns")
    for at in _cutoffs(log, cutoffs, horizon, step, end, columns, unit, owner):
        now, later = (_summarised(summary, log, at + ahead - half) for ahead in (0, microseconds(horizon, unit)))
        found = dict(zip(later[CUSTOMER_ID].to_list(), range(len(later)), strict=True))
        rows = np.array([found.get(each, -1) for each in now[CUSTOMER_ID].to_list()], np.int64)
        bought = np.append(_frames.floats(later, FREQUENCY), 0.0)[rows] - _frames.floats(now, FREQUENCY)
        ages = np.append(_frames.floats(later, T), np.nan)[rows] - _frames.floats(now, T)
        covered = float(np.nanmedian(ages)) if (rows >= 0).any() else horizon
        exact = horizon if np.isclose(covered, horizon, rtol=1e-9) else covered
        yield Origin(_words(at), now, np.maximum(bought, 0.0), exact)


def _cutoffs(
    log: Any,
    cutoffs: Any,
    horizon: float,
    step: float | None,
    end: Any,
    columns: Mapping[str, str] | None,
    unit: str,
    owner: str,
) -> np.ndarray:
    """The cutoffs in microseconds, each with a whole horizon after it."""
    if isinstance(cutoffs, Integral):
        try:
            return rolling_cutoffs(
                log, horizon=horizon, n_cutoffs=int(cutoffs), step=step, end=end, columns=columns, time_unit=unit
            ).view(np.int64)
        except InvalidDataError as error:
            raise InvalidDataError(str(error).replace("n_cutoffs=", "cutoffs=")) from error
    yours = {standard: name for name, standard in renaming(columns).items()}.get(TIMESTAMP, TIMESTAMP)
    frame = _frames.read(log, (yours,), owner)
    times, zone = known_times(frame, yours, owner), _frames.zone_of(frame, yours)
    found = instants(cutoffs, "cutoffs", owner, zone)
    if times.size == 0:
        raise InvalidDataError(f"{owner} needs a log with at least one event; it is empty.")
    stop = (int(times.max()) // DAY + 1) * DAY if end is None else int(instants(end, "end", owner, zone)[0])
    late = found + microseconds(horizon, unit) > stop
    if late.any():
        raise InvalidDataError(
            f"The horizon of {horizon:g} {unit} after the cutoff {_words(found[late][0])} reaches beyond the end of "
            f"the log, {_words(stop)}: purchases that nobody could see would count as none. "
            "Pass an earlier cutoff, a shorter horizon, or end=... if the log was observed for longer."
        )
    return found


def _summarised(summary: Any, log: Any, as_of: int) -> nw.DataFrame[Any]:
    day = np.datetime64(int(as_of), "us")
    hourly = summary.get_params(deep=False).get("period", "D") == "h"
    named = day.astype("datetime64[h]" if hourly else "datetime64[D]")
    return _frames.read(clone(summary).set_params(as_of=named).fit_transform(log), (CUSTOMER_ID, FREQUENCY, T))


def _words(time: int) -> str:
    """A time in microseconds as a date, with the time of day where it is not midnight."""
    return str(np.datetime64(int(time), "us").astype("datetime64[s]")).removesuffix("T00:00:00").replace("T", " ")
