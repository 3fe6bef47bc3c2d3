"""What Customer360 does in each step, on a customer table and the clean log behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import clone

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, CUTOFF, DAYS_PER_UNIT, PRODUCT_ID
from custanalytics.churn import ChurnClassifier, ChurnFeatures, churn_labels
from custanalytics.clv import LifetimeValue
from custanalytics.exceptions import InvalidDataError
from custanalytics.model_selection import rolling_cutoffs
from custanalytics.offers import NextBestOffer
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary
from custanalytics.segmentation import CustomerClusterer, ValueTiers
from custanalytics.validation import TransactionValidator

Table = nw.DataFrame[Any]

DEFAULTS: Mapping[str, Callable[[], Any]] = {
    # Rows that copy another are set aside where an order id or a time of day shows that they are copies; in a log of
    # days and amounts they may be purchases of their own, and are kept.
    "validator": lambda: TransactionValidator(duplicates="auto"),
    "summary": RFMSummary,
    "scorer": RFMScorer,
    "segmenter": lambda: RFMSegmenter(on_unreachable="ignore"),  # the report says which segments are out of reach
    "value": LifetimeValue,
    "churn_features": ChurnFeatures,
    "churn": ChurnClassifier,
    "tiers": ValueTiers,
    "clusterer": CustomerClusterer,
    "offers": NextBestOffer,
}
TITLES: Mapping[str, str] = {
    "validator": "Validate the log",
    "summary": "Summarise it per customer",
    "scorer": "Score recency, frequency, monetary value",
    "segmenter": "Name the segments",
    "value": "Model purchases, spend, lifetime value",
    "churn": "Learn churn from earlier cutoffs",
    "tiers": "Tier by value and usage",
    "clusterer": "Cluster",
    "offers": "Choose next best offers",
}
SCORES = ("r_score", "f_score", "m_score")
MAX_CHURN_ROWS = 60_000  # of training; more adds time and hardly any accuracy


def new(c360: Any, name: str) -> Any:
    """An unfitted estimator for a step: the default, or a clone of the one given."""
    given = getattr(c360, name)
    return DEFAULTS[name]() if isinstance(given, str) else clone(given)


def clean(c360: Any, log: Any, learn: bool) -> Any:
    """The clean log; raises where there is nothing in it to learn from."""
    cleaned, report = c360.validator_.transform(log), getattr(c360.validator_, "report_", None)
    if learn and report is not None and report.rows_clean == 0 < report.rows_in:
        reasons = ", ".join(f"{name} {rows:,}" for name, rows in report.counts.items() if rows)
        raise InvalidDataError(
            f"No row of the log is usable: all {report.rows_in:,} are set aside ({reasons}). "
            "print(c360.validator_.report_) has a remedy for each, c360.validator_.quarantine_ the rows."
        )
    return cleaned


def end_of(summary: RFMSummary) -> np.datetime64:
    """The instant at which the last observed period of a fitted summary is over."""
    length = 7 if summary.period == "W" else 1  # a week is named by the day of its Monday
    return (summary.as_of_ + length).astype("datetime64[us]")


def add_by_transform(c360: Any, name: str, table: Table, log: Any, learn: bool) -> Table:
    """A step that takes the table and gives it back with its columns."""
    native = table.to_native()
    step = new(c360, name).fit(native) if learn else getattr(c360, f"{name}_")
    result = _frames.read(step.transform(native))
    setattr(c360, f"{name}_", step)
    return result


def add_segment(c360: Any, name: str, table: Table, log: Any, learn: bool) -> Table:
    """The segment, where there are scores and they run as far as the rules."""
    if learn:
        scorer = getattr(c360, "scorer_", None)
        step = new(c360, name)
        columns = list(getattr(step, "scores", None) or SCORES)
        if scorer is None and not set(columns) <= set(table.columns):
            raise InvalidDataError(
                f"Segments need scores, and the step 'scorer' is off or left out: the table has no {columns}."
            )
        step.fit(table.to_native())
        bins = dict(zip(SCORES, getattr(scorer, "n_bins_", ()), strict=False))
        for score, n in zip(getattr(step, "scores_", ()), getattr(step, "grid_", np.empty(0)).shape, strict=False):
            if bins.get(score, n) != n:
                raise InvalidDataError(
                    f"The segmenter's scores run from 1 to {bins[score]} and its rules from 1 to {n}. Pass rules "
                    "for these scores, set_params(segmenter__rules=...), or score with as many bins as the rules have."
                )
    return add_by_transform(c360, name, table, log, learn)


def add_value(c360: Any, name: str, table: Table, log: Any, learn: bool) -> Table:
    """P(alive), expected purchases and spend, lifetime value."""
    native = table.to_native()
    step = new_value(c360).fit(native) if learn else c360.value_
    added = {
        "p_alive": step.purchases_.predict_alive(native),
        "expected_purchases": step.purchases_.predict_purchases(native, step.horizon),
        "expected_spend": step.spend_.predict_spend(native),
        "lifetime_value": step.predict(native),
    }
    c360.value_ = step
    return _frames.extend(table, added)


def new_value(c360: Any) -> Any:
    """The value step, in the same unit of time as the summary."""
    unit = c360.summary_.time_unit
    if isinstance(c360.value, str):
        return LifetimeValue(time_unit=unit, horizon=52 * DAYS_PER_UNIT["W"] / DAYS_PER_UNIT[unit])
    step = clone(c360.value)
    if getattr(step, "time_unit", unit) != unit:
        raise ValueError(
            f"The summary counts time in {unit!r} and the value step in {step.time_unit!r}. "
            f"Pass LifetimeValue(time_unit={unit!r}, horizon=...) or RFMSummary(time_unit={step.time_unit!r})."
        )
    return step


def add_churn(c360: Any, name: str, table: Table, log: Any, learn: bool) -> Table:
    """The risk of churn after the end of `as_of_`, learned at earlier cutoffs."""
    end = end_of(c360.summary_)
    if learn:
        if c360.churn_features is None:
            raise InvalidDataError("Churn needs its features: churn_features is None.")
        features = new(c360, "churn_features").set_params(log=log)
        labels = mature_labels(c360, log, end, features.time_unit)
        c360.churn_ = new(c360, name).fit(features.fit_transform(labels))
        c360.churn_features_ = features.set_params(log=None)
    if len(table) == 0:
        return _frames.extend(table, {"churn_risk": np.empty(0)})
    asked = {CUSTOMER_ID: table[CUSTOMER_ID], CUTOFF: np.full(len(table), end)}
    features = clone(c360.churn_features_).set_params(log=log)
    risk = c360.churn_.predict_proba(features.fit_transform(_frames.build(table, asked).to_native()))[:, 1]
    return _frames.extend(table, {"churn_risk": risk})


def mature_labels(c360: Any, log: Any, end: np.datetime64, time_unit: str) -> Any:
    """Customers and cutoffs whose labels were all known at `end`; cutoffs are a month apart at most."""
    day = np.timedelta64(1, "D") * DAYS_PER_UNIT[time_unit]
    horizon, n = c360.churn_horizon, c360.n_churn_cutoffs
    first = _frames.times(_frames.read(log)).view("datetime64[us]").min()
    room = (end - first) / day - 1.5 * horizon  # half a horizon of history before the first cutoff
    if room <= 0:
        raise InvalidDataError(
            f"The log spans less than one and a half times churn_horizon={horizon:g} ({time_unit}), so churn cannot "
            "be learned from it. Pass a shorter churn_horizon."
        )
    step = min(room / n, DAYS_PER_UNIT["M"] / DAYS_PER_UNIT[time_unit])
    cutoffs = rolling_cutoffs(log, horizon=horizon, n_cutoffs=n, step=step, end=end, time_unit=time_unit)
    labels = _frames.read(churn_labels(log, cutoffs, horizon, time_unit=time_unit, observed_until=end))
    stride = -(-len(labels) // MAX_CHURN_ROWS)
    if stride > 1:  # whole customers, evenly over their order
        labels = labels.filter((_frames.codes(labels)[0] % stride == 0).tolist())
    return labels.to_native()


def add_cluster(c360: Any, name: str, table: Table, log: Any, learn: bool) -> Table:
    """The cluster of each customer."""
    if learn and len(table) < 2:
        raise InvalidDataError("Clusters need at least two customers, and the table has one.")
    native = table.to_native()
    step = new(c360, name).fit(native) if learn else c360.clusterer_
    labels = step.labels_ if learn else step.predict(native) if len(table) else np.empty(0, np.int64)
    c360.clusterer_ = step
    return _frames.extend(table, {"cluster": labels})


def add_offers(c360: Any, name: str, table: Table, log: Any, learn: bool) -> Table:
    """The next best offers of each customer."""
    if learn:
        frame = _frames.read(log)
        if PRODUCT_ID not in frame.columns:
            raise InvalidDataError("Offers need a column product_id, which the log does not have.")
        if frame[PRODUCT_ID].null_count():  # lines without a product teach nothing about products
            log = frame.filter(~frame[PRODUCT_ID].is_null()).to_native()
        step = new(c360, name)
        if step.as_of is None:
            step.set_params(as_of=end_of(c360.summary_) - np.timedelta64(1, "us"))
        c360.offers_ = step.fit(log)
    return _frames.read(c360.offers_.transform(table.to_native()))


# In their order; each adds its columns to the table.
TABLE_STEPS: Mapping[str, Callable[[Any, str, Table, Any, bool], Table]] = {
    "scorer": add_by_transform,
    "segmenter": add_segment,
    "value": add_value,
    "churn": add_churn,
    "tiers": add_by_transform,
    "clusterer": add_cluster,
    "offers": add_offers,
}
