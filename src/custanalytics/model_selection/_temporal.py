"""Cut a log in two at an instant, and choose the instants at which labels are mature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import TIMESTAMP, renaming
from custanalytics._instants import DAY, instant, microseconds
from custanalytics._params import NONE, POSITIVE, UNITS, Number, check_value, integer, warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.model_selection._times import known_times


def temporal_split(
    log: Any,
    cutoff: Any,
    *,
    columns: Mapping[str, str] | None = None,
    horizon: float | None = None,
    time_unit: str = "D",
) -> tuple[Any, Any]:
    """Split a log at an instant into the past, to learn from, and what came after, to test against.

    Parameters
    ----------
    log : frame
        A pandas, Polars or PyArrow frame with the column ``timestamp``; a lazy frame is collected.
    cutoff : str, date or datetime
        The first instant of the test log, on the log's own wall clock.
    columns : mapping, default=None
        Your name of the time column: ``{"timestamp": "bought_at"}``. The split logs keep your names.
    horizon : float, default=None
        The length of the test log in `time_unit`; None is all that follows.
    time_unit : {"h", "D", "W", "M", "Y"}, default="D"
        The unit of `horizon`; a month is 30.4375 and a year 365.25 days.

    Returns
    -------
    train : frame
        The rows before the cutoff, as they are in `log`.
    test : frame
        The rows in ``[cutoff, cutoff + horizon)``.

    Raises
    ------
    InvalidDataError
        Where a row has no timestamp.
    MissingColumnError
        Where the time column is missing.

    Warns
    -----
    DataQualityWarning
        Where one of the two has no rows.

    See Also
    --------
    rolling_cutoffs : Several cutoffs for one log.
    RollingOriginSplit : Cross-validation over customers and cutoffs.

    Notes
    -----
    Both intervals are half-open: an event at the cutoff itself is in the test log alone, so none is lost or counted
    twice, and the test log covers exactly `horizon`. An ``as_of`` elsewhere in the library names the last *observed*
    period instead. With days, a cutoff of ``"1997-10-01"`` goes with ``as_of="1997-09-30"``: pass that to the summary
    of the training log, lest it takes the day of the last event for the end of observation.

    Examples
    --------
    >>> from custanalytics.datasets import load_cdnow
    >>> from custanalytics.model_selection import temporal_split
    >>> train, test = temporal_split(load_cdnow(), "1997-10-01", horizon=39, time_unit="W")
    >>> len(train), len(test)
    (4960, 1959)
    """
    check_value("horizon", horizon, (POSITIVE, NONE), "temporal_split")
    check_value("time_unit", time_unit, (UNITS,), "temporal_split")
    frame, times, zone = _timed(log, columns, "temporal_split")
    start = instant(cutoff, "cutoff", "temporal_split", zone)
    later = times >= start
    if horizon is not None:
        later &= times < start + microseconds(horizon, time_unit)
    sides = {"train": np.flatnonzero(times < start), "test": np.flatnonzero(later)}
    for name, rows in sides.items():
        if rows.size == 0:
            span = " The log is empty." if times.size == 0 else f" Its times are {_span(times)}."
            warn(f"The {name} log has no rows at the cutoff {cutoff}.{span}", DataQualityWarning)
    return frame[sides["train"]].to_native(), frame[sides["test"]].to_native()


def rolling_cutoffs(
    log: Any,
    *,
    horizon: float,
    n_cutoffs: int = 6,
    lead: float = 0.0,
    step: float | None = None,
    end: Any = None,
    columns: Mapping[str, str] | None = None,
    time_unit: str = "D",
) -> np.ndarray:
    """Evenly spaced cutoffs, the last as late as its labels can still be known.

    Parameters
    ----------
    log : frame
        A pandas, Polars or PyArrow frame with the column ``timestamp``; a lazy frame is collected.
    horizon : float
        The length of a label's window in `time_unit`.
    n_cutoffs : int, default=6
        How many cutoffs.
    lead : float, default=0.0
        The time between a cutoff and the start of its label's window, in `time_unit`.
    step : float, default=None
        The time between cutoffs in `time_unit`; None is `horizon`, so that the windows of labels do not overlap.
    end : str, date or datetime, default=None
        The instant up to which events are observed, itself excluded; None is the end of the day of the last event.
    columns : mapping, default=None
        Your name of the time column: ``{"timestamp": "bought_at"}``.
    time_unit : {"h", "D", "W", "M", "Y"}, default="D"
        The unit of every duration here.

    Returns
    -------
    cutoffs : ndarray of datetime64[us], shape (n_cutoffs,)
        Ascending; the last is ``end - lead - horizon``.

    Raises
    ------
    InvalidDataError
        Where a row has no timestamp, or no event comes before the first cutoff.
    MissingColumnError
        Where the time column is missing.

    See Also
    --------
    RollingOriginSplit : Cross-validation over customers and cutoffs.
    temporal_split : One cutoff.

    Examples
    --------
    >>> from custanalytics.datasets import load_cdnow
    >>> from custanalytics.model_selection import rolling_cutoffs
    >>> rolling_cutoffs(load_cdnow(), horizon=90, n_cutoffs=3).astype("datetime64[D]")
    array(['1997-10-04', '1998-01-02', '1998-04-02'], dtype='datetime64[D]')
    """
    rules = {
        "horizon": (horizon, (POSITIVE,)),
        "n_cutoffs": (n_cutoffs, (integer(1),)),
        "lead": (lead, (Number(0),)),
        "step": (step, (POSITIVE, NONE)),
        "time_unit": (time_unit, (UNITS,)),
    }
    for name, (value, allowed) in rules.items():
        check_value(name, value, allowed, "rolling_cutoffs")
    _, times, zone = _timed(log, columns, "rolling_cutoffs")
    if times.size == 0:
        raise InvalidDataError("rolling_cutoffs needs a log with at least one event; it is empty.")
    last_day = int(times.max()) // DAY
    stop = (last_day + 1) * DAY if end is None else instant(end, "end", "rolling_cutoffs", zone)
    spacing = microseconds(horizon if step is None else step, time_unit)
    cutoffs = stop - microseconds(lead + horizon, time_unit) - spacing * np.arange(n_cutoffs)[::-1]
    if cutoffs[0] <= times.min():
        fit = int(np.sum(cutoffs > times.min()))
        raise InvalidDataError(
            f"{n_cutoffs} cutoffs do not fit: events start at {_show(times.min())} and the first cutoff would be "
            f"{_show(cutoffs[0])}. Pass n_cutoffs={fit}, a smaller step or a shorter horizon."
            if fit
            else f"No cutoff fits: its label needs lead + horizon = {lead + horizon} {time_unit} after it, and the "
            f"log's times are {_span(times)}. Pass a shorter horizon."
        )
    return cutoffs.view("datetime64[us]")


def _timed(log: Any, columns: Mapping[str, str] | None, owner: str) -> tuple[nw.DataFrame[Any], np.ndarray, str | None]:
    # The log under the caller's own names, its times and their zone.
    yours = {standard: name for name, standard in renaming(columns).items()}.get(TIMESTAMP, TIMESTAMP)
    frame = _frames.read(log, (yours,), owner, 'Name yours with columns={"timestamp": "..."}.')
    return frame, known_times(frame, yours, owner), _frames.zone_of(frame, yours)


def _show(time: int) -> str:
    return str(np.datetime64(int(time), "us").astype("datetime64[s]")).replace("T", " ")


def _span(times: np.ndarray) -> str:
    return f"{_show(times.min())} to {_show(times.max())}"
