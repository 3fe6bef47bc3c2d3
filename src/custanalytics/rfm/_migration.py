"""migration: who moved from which segment to which between two customer tables, and why.

It lives beside the scorer and the segmenter, since it scores by their cuts and rules, and domains never import
each other; `by` takes the segments of any other domain from a column.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import clone

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, INACTIVITY, TOTAL_VALUE, T
from custanalytics._params import NONE, TEXT, InstanceOf, Number, check_columns, check_value, offenders, warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.rfm._migration_result import Migration, Paths, Side, assemble
from custanalytics.rfm._scorer import RFMScorer
from custanalytics.rfm._segmenter import RFMSegmenter

OWNER = "migration"
SLACK = 1e-6  # in the time unit of the tables: far below any clock, far above what rounding leaves of a difference


def migration(
    table_then: Any,
    table_now: Any,
    *,
    scorer: RFMScorer | None = None,
    segmenter: RFMSegmenter | None = None,
    now_scorer: RFMScorer | None = None,
    now_segmenter: RFMSegmenter | None = None,
    by: str | None = None,
    value: str | None = TOTAL_VALUE,
    elapsed: float | None = None,
) -> Migration:
    """Count who moved from which segment to which, and part the moves by cause.

    Customers change segment because time passed (ageing), because they bought or had a return (behaviour), or
    because the scale changed under them (thresholds: other cut points or rules). Only the second is theirs. A table
    of moves alone mixes the three.

    Parameters
    ----------
    table_then : frame
        Customer table at the earlier date, one row per customer, as ``RFMSummary`` makes it.
    table_now : frame
        Customer table at the later date, in the same time unit.
    scorer : RFMScorer or None, default=None
        Scores the earlier table. A fitted scorer is taken as it is, with its frozen cuts; one that is not fitted
        learns its cuts from each table. None is ``RFMScorer()``.
    segmenter : RFMSegmenter or None, default=None
        Its rules name the segments. None is ``RFMSegmenter()``.
    now_scorer : RFMScorer or None, default=None
        Scores the later table. None takes a fitted `scorer` again, and then there is no drift of thresholds, or
        fits a copy of `scorer` to the later table.
    now_segmenter : RFMSegmenter or None, default=None
        Rules of the later date, if others.
    by : str or None, default=None
        A column that holds the segments of both tables. Nothing is scored then, and moves are not parted by cause.
    value : str or None, default="total_value"
        Column to add up, in the currency of the log. None counts customers alone.
    elapsed : float or None, default=None
        Time between the tables, in their time unit. None takes it from `T`, which grows by it for everybody.

    Returns
    -------
    migration : Migration
        With the frames `matrix`, `flows`, `decomposition` and `customers`.

    Raises
    ------
    InvalidDataError
        Where a customer has two rows or no id, where the time between the tables is unknown, or runs backwards.

    Warns
    -----
    DataQualityWarning
        Where no customer is in both tables, or `T` did not grow alike for everybody.

    See Also
    --------
    RFMSegmenter : Names the segments.

    Notes
    -----
    Let :math:`s(x; c)` be the segment of values :math:`x` under cuts and rules :math:`c`, :math:`x_0, c_0` those then
    and :math:`x_1, c_1` those now, and :math:`x_0 + \\Delta` the earlier values with the elapsed time added to the
    inactivity: the customer had bought nothing. Each customer of both tables goes through

    .. math::

        s(x_0; c_0) \\to s(x_0 + \\Delta; c_0) \\to s(x_1; c_0) \\to s(x_1; c_1)

    by ageing, behaviour and thresholds. With :math:`n_k(j)` the customers in segment :math:`j` after step :math:`k`,
    a component is :math:`n_k(j) - n_{k-1}(j)`. Those who are gone are taken off at the start, and new
    customers come in at :math:`s(x_1; c_0)`. The components add up to the change of every segment's size, without
    a rest. The same holds for value, where ageing moves the earlier value, behaviour turns it into the later one,
    and thresholds move the later value. The order of the steps is part of the definition: behaviour is measured
    against silence, not against standing still.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import RFMScorer, RFMSegmenter, migration
    >>> then = pd.DataFrame({"customer_id": [1, 2, 3], "inactivity": [1.0, 2.0, 9.0], "T": [5.0, 8.0, 9.0],
    ...                      "frequency": [2, 1, 0], "monetary_value": [10.0, 20.0, 0.0]})
    >>> now = pd.DataFrame({"customer_id": [1, 2, 3, 4], "inactivity": [7.0, 3.0, 15.0, 1.0],
    ...                     "T": [11.0, 14.0, 15.0, 1.0], "frequency": [2, 2, 0, 0],
    ...                     "monetary_value": [10.0, 20.0, 0.0, 0.0]})
    >>> scorer = RFMScorer(cut_points={"r_score": [5], "f_score": [0], "m_score": [5]}).fit(then)
    >>> segmenter = RFMSegmenter(rules={"active": "2*", "silent": "1*"})
    >>> moves = migration(then, now, scorer=scorer, segmenter=segmenter, value=None)
    >>> moves.matrix
      segment  active  silent  (gone)
    0  active       1       1       0
    1  silent       0       1       0
    2   (new)       1       0       0
    >>> moves.decomposition
      segment  then  gone  ageing  behaviour  new  thresholds  now
    0  active     2     0      -2          1    1           0    2
    1  silent     1     0       2         -1    0           0    2
    """
    for name, given, kind in (
        ("scorer", scorer, RFMScorer),
        ("now_scorer", now_scorer, RFMScorer),
        ("segmenter", segmenter, RFMSegmenter),
        ("now_segmenter", now_segmenter, RFMSegmenter),
    ):
        check_value(name, given, (InstanceOf((kind,)), NONE), OWNER)
    check_value("by", by, (TEXT, NONE), OWNER)
    check_value("value", value, (TEXT, NONE), OWNER)
    check_value("elapsed", elapsed, (Number(0, np.finfo(np.float64).max), NONE), OWNER)
    then, now = _read(table_then, by, value), _read(table_now, by, value)
    at = _positions(then, now)
    if by is not None:
        return assemble(then, now, at, _by_column(then, now, by), value, None)
    kept = _elapsed(then, now, at) if elapsed is None else float(elapsed)
    paths = _by_rules(then, now, kept, scorer, segmenter, now_scorer, now_segmenter)
    return assemble(then, now, at, paths, value, kept)


def _read(table: Any, by: str | None, value: str | None) -> nw.DataFrame[Any]:
    needed = [CUSTOMER_ID, *([] if by is None else [by]), *([] if value is None else [value])]
    frame = _frames.read(table, [CUSTOMER_ID], OWNER)
    hint = "Pass value=None to count customers alone." if value is not None and value not in frame.columns else ""
    check_columns(frame.columns, needed, OWNER, hint)
    ids, missing = frame[CUSTOMER_ID].to_list(), _missing(frame[CUSTOMER_ID])
    if missing.any():
        raise InvalidDataError(
            offenders(missing, range(len(ids)), "have no customer_id", "rows") + ". Drop them first."
        )
    _frames.check_unique(frame, owner=OWNER)
    if value is not None:
        bad = ~np.isfinite(_frames.floats(frame, value))
        if bad.any():
            raise InvalidDataError(offenders(bad, ids, f"have no finite {value}") + ". Drop them, or pass value=None.")
    return frame


def _missing(series: nw.Series[Any]) -> np.ndarray:
    """Which values are missing or NaN."""
    not_numbers = np.array([isinstance(one, float) and one != one for one in series.to_list()], bool)
    return np.asarray(series.is_null().to_numpy(), bool) | not_numbers


def _positions(then: nw.DataFrame[Any], now: nw.DataFrame[Any]) -> np.ndarray:
    """Row in the later table of each customer of the earlier one, -1 for those who are gone."""
    place = {one: row for row, one in enumerate(now[CUSTOMER_ID].to_list())}
    at = np.fromiter((place.get(one, -1) for one in then[CUSTOMER_ID].to_list()), np.int64, len(then))
    if len(then) and len(now) and (at < 0).all():
        warn(
            f"No customer is in both tables: {len(then):,} are gone and {len(now):,} are new. Ids are equal only if "
            f"their types are; these are {then[CUSTOMER_ID].dtype} then and {now[CUSTOMER_ID].dtype} now.",
            DataQualityWarning,
        )
    return at


def _elapsed(then: nw.DataFrame[Any], now: nw.DataFrame[Any], at: np.ndarray) -> float:
    """Time between the tables: by how much T grew for those in both."""
    stay = at >= 0
    if not stay.any():
        return 0.0
    if T not in then.columns or T not in now.columns:
        raise InvalidDataError(
            "The time between the tables is unknown, since they have no column 'T'. Pass it, in their time unit: "
            "migration(then, now, elapsed=...)."
        )
    grown = _frames.floats(now, T)[at[stay]] - _frames.floats(then, T)[stay]
    elapsed = float(np.median(grown))
    if not elapsed > -SLACK:
        raise InvalidDataError(
            f"T grew by {elapsed:g} from the earlier table to the later one. Are they in the wrong order?"
        )
    other = np.zeros(len(then), bool)
    other[stay] = ~(np.abs(grown - elapsed) <= SLACK * max(1.0, elapsed))
    if 2 * other.sum() > stay.sum():
        raise InvalidDataError(
            f"T grew by another time than {elapsed:g} for {int(other.sum()):,} of {int(stay.sum()):,} customers: are "
            "both tables in one time unit? Pass the time between them: migration(then, now, elapsed=...)."
        )
    if other.any():
        phrase = offenders(other, then[CUSTOMER_ID].to_list(), f"have a T that did not grow by {elapsed:g}")
        warn(
            f"{phrase}, as it did for the rest: their first purchase changed. What that did counts as behaviour.",
            DataQualityWarning,
        )
    return max(elapsed, 0.0)


def _by_column(then: nw.DataFrame[Any], now: nw.DataFrame[Any], by: str) -> Paths:
    """Segments as the column has them, in order of their names."""
    names = [
        ["(none)" if gap else str(one) for one, gap in zip(side[by].to_list(), _missing(side[by]), strict=True)]
        for side in (then, now)
    ]
    segments = tuple(sorted({*names[0], *names[1]}))
    place = {name: at for at, name in enumerate(segments)}
    start, end = (np.array([place[name] for name in side], np.int64) for side in names)
    return Paths(segments, start, None, None, end)


def _by_rules(
    then: nw.DataFrame[Any],
    now: nw.DataFrame[Any],
    elapsed: float,
    scorer: RFMScorer | None,
    segmenter: RFMSegmenter | None,
    now_scorer: RFMScorer | None,
    now_segmenter: RFMSegmenter | None,
) -> Paths:
    """The segment of each customer after each step."""
    given, rules = scorer or RFMScorer(), segmenter or RFMSegmenter()
    before = _fitted(given, then)
    after = before if now_scorer is None and before is given else _fitted(now_scorer or given, now)
    first, last = _side(before, rules, then), _side(after, now_segmenter or rules, now)
    segments = tuple(dict.fromkeys([*first.segments, *last.segments]))
    place = {name: at for at, name in enumerate(segments)}
    start, aged = first.segment(then, place), first.segment(_aged(then, first.scorer, elapsed), place)
    return Paths(segments, start, aged, first.segment(now, place), last.segment(now, place))


def _fitted(scorer: RFMScorer, frame: nw.DataFrame[Any]) -> RFMScorer:
    return scorer if hasattr(scorer, "cut_points_") else clone(scorer).fit(frame.to_native())


def _side(scorer: RFMScorer, segmenter: RFMSegmenter, frame: nw.DataFrame[Any]) -> Side:
    """Cuts and proven rules; what ties do to the rules on this data is the segmenter's own affair."""
    scored = _frames.extend(frame, scorer._score(scorer._values(frame))).to_native()
    return Side(scorer, clone(segmenter).set_params(on_unreachable="ignore").fit(scored))


def _aged(frame: nw.DataFrame[Any], scorer: RFMScorer, elapsed: float) -> nw.DataFrame[Any]:
    """The table as it would be had nobody bought since."""
    derived = scorer.recency == INACTIVITY and INACTIVITY not in frame.columns
    column = T if derived else scorer.recency
    return _frames.extend(frame, {column: _frames.floats(frame, column) + elapsed})
