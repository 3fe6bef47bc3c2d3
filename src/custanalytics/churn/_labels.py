"""Churn labels at cutoffs, with a third state for what cannot be known yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames, _jit
from custanalytics._columns import CUSTOMER_ID, CUTOFF
from custanalytics._instants import instant, instants, microseconds
from custanalytics._output import give
from custanalytics._params import NOT_NEGATIVE, POSITIVE, UNITS, check_value
from custanalytics.churn._history import FOREVER, Events, read_events
from custanalytics.churn._kernels import DAY, mark_purchases

CHURNED = "churned"
STATE = "state"
STATES = np.array(["retained", "churned", "not yet knowable"])
_RETAINED, _CHURNED, _UNKNOWN = range(3)
_OWNER = "churn_labels"


def churn_labels(
    log: Any,
    cutoff: Any,
    horizon: float,
    *,
    lead: float = 0,
    time_unit: str = "D",
    observed_until: Any = None,
    columns: Mapping[str, str] | None = None,
) -> Any:
    """Label each customer, at each cutoff, as churned, retained or not yet knowable.

    A customer is labelled at a cutoff who has bought before it. The label window is
    ``[cutoff + lead, cutoff + lead + horizon)``. One purchase in it, and the customer is retained, from that
    moment on. Without one the customer has churned, but only once the whole window has been observed; until
    then the label is not yet knowable, and neither 0 nor 1 would be honest.

    It applies where nobody tells you that they leave: shops, donations, games. Where customers cancel, the
    date of cancellation is the label.

    Parameters
    ----------
    log : frame
        The event log: ``customer_id``, ``timestamp``, ``amount``, optionally ``quantity``. Rows with a negative
        amount or quantity are returns and no purchases.
    cutoff : instant or sequence of instants
        Where the past ends, itself excluded: a date, datetime, ``numpy.datetime64`` or ISO string.
    horizon : float
        Length of the label window, in `time_unit`.
    lead : float, default=0
        Time between the cutoff and the label window, in `time_unit`: what a campaign needs to be prepared.
        A purchase within it changes nothing.
    time_unit : {"h", "D", "W", "M", "Y"}, default="D"
        The unit of `horizon` and `lead`. A month is a twelfth of a year of 365.25 days.
    observed_until : instant, optional
        Where observation ends, itself excluded; events from there on are ignored. By default it is the midnight
        after the log's last event. Give it where the log was complete for longer than that, or for less.
    columns : dict, optional
        Standard names to yours, where they differ: ``{"customer_id": "household"}``.

    Returns
    -------
    frame
        Of the same kind as `log`, ordered by cutoff, then customer; one row for each customer and cutoff:

        - ``customer_id``;
        - ``cutoff``: datetime, on the clock of the log;
        - ``churned``: 1.0, 0.0, or missing where not yet knowable (null; in pandas NaN);
        - ``state``: "churned", "retained" or "not yet knowable".

    Raises
    ------
    InvalidDataError
        If rows of the log have no id, no time or no finite amount.
    ValueError
        If a parameter is out of its range, or a cutoff lies after the end of observation.

    See Also
    --------
    ChurnFeatures : What was known about these customers at these cutoffs.
    ChurnClassifier : Learns from both.

    Notes
    -----
    Observing for longer only ever turns labels that were not yet knowable into known ones. Train on cutoffs
    whose labels are known; on younger ones the known labels are those of customers who came back early, and
    a model that learns from these alone learns that hardly anybody churns.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.churn import churn_labels
    >>> log = pd.DataFrame({
    ...     "customer_id": ["ann", "ann", "bob", "cyd"],
    ...     "timestamp": pd.to_datetime(["2024-01-05", "2024-03-02", "2024-01-20", "2024-03-09"]),
    ...     "amount": [20.0, 35.0, 10.0, 50.0],
    ... })
    >>> churn_labels(log, "2024-02-01", horizon=35)
      customer_id     cutoff  churned     state
    0         ann 2024-02-01      0.0  retained
    1         bob 2024-02-01      1.0   churned

    The log ends on 9 March. Ann is back by then; of Bob nothing can be said yet:

    >>> churn_labels(log, "2024-03-01", horizon=30)["state"].tolist()
    ['retained', 'not yet knowable']
    """
    check_value("horizon", horizon, (POSITIVE,), _OWNER)
    check_value("lead", lead, (NOT_NEGATIVE,), _OWNER)
    check_value("time_unit", time_unit, (UNITS,), _OWNER)
    events = read_events(log, columns, _OWNER)
    cutoffs = instants(cutoff, "cutoff", _OWNER, events.zone)
    until = _end_of_observation(events, cutoffs, observed_until)
    begins = cutoffs + microseconds(lead, time_unit)
    width = microseconds(horizon, time_unit)

    first = np.full(len(events.ids), FOREVER, np.int64)
    bought = np.zeros((cutoffs.size, first.size), np.uint8)
    _jit.call(
        mark_purchases, events.customers, events.times, events.purchase, begins, width, until, out=(first, bought)
    )
    at, customer = np.nonzero(first < cutoffs[:, None])
    known = begins[at] + width <= until
    state = np.where(bought[at, customer] > 0, _RETAINED, np.where(known, _CHURNED, _UNKNOWN))
    return give(_table(events, cutoffs[at], customer, state))


def _end_of_observation(events: Events, cutoffs: np.ndarray, observed_until: Any) -> int:
    if observed_until is not None:
        until = instant(observed_until, "observed_until", _OWNER, events.zone)
    elif events.times.size:
        until = (int(events.times.max()) // DAY + 1) * DAY
    else:
        return FOREVER
    late = cutoffs[cutoffs > until]
    if late.size:
        raise ValueError(
            f"The cutoff {np.datetime64(int(late[0]), 'us')} lies after the end of observation, "
            f"{np.datetime64(until, 'us')}: who bought in between is unknown. If the log is complete until then, "
            "say so with observed_until=..."
        )
    return until


def _table(events: Events, cutoffs: np.ndarray, customer: np.ndarray, state: np.ndarray) -> nw.DataFrame[Any]:
    when = _frames.like(events.frame, CUTOFF, cutoffs.view("datetime64[us]"))
    if events.zone is not None:
        when = when.dt.replace_time_zone(events.zone)
    table = _frames.build(
        events.frame,
        {
            CUSTOMER_ID: _frames.take(events.ids, customer),
            CUTOFF: when,
            CHURNED: (state == _CHURNED).astype(np.float64),
            STATE: STATES[state],
        },
    )
    return table.with_columns(nw.when(nw.col(STATE) != str(STATES[_UNKNOWN])).then(nw.col(CHURNED)).alias(CHURNED))
