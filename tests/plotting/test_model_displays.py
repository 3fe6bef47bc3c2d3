"""Tracking, frequency and conditional expectations, against plain sums and published figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from tests.reference import comparison as reference

from custanalytics.clv import (
    BetaGeoBetaBinomModel,
    BetaGeoCNBDModel,
    BetaGeoModel,
    GammaGompertzNBDModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    TimeVaryingBetaGeoModel,
    TimeVaryingParetoNBDModel,
)
from custanalytics.datasets import load_cdnow, load_donations
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.model_selection import temporal_split
from custanalytics.plotting import AliveDisplay, FrequencyDisplay, PurchasesDisplay, TrackingDisplay
from custanalytics.rfm import RFMSummary

GOLDEN = Path(__file__).parents[1] / "golden"
BG, PARETO = (json.loads((GOLDEN / name).read_text()) for name in ("clv.json", "pareto_nbd.json"))
BG_NBD = BetaGeoModel.from_params(r=0.242595, alpha=4.413602, a=0.792922, b=2.425907)
PARETO_NBD = ParetoNBDModel.from_params(**PARETO["fit"]["params"])
MODELS = {
    "BG/NBD": BG_NBD,
    "MBG/NBD": ModifiedBetaGeoModel.from_params(r=0.525, alpha=6.183, a=0.891, b=1.614),
    "BG/CNBD-2": BetaGeoCNBDModel(k=2),
    "MBG/CNBD-2": ModifiedBetaGeoCNBDModel(k=2),
    "Pareto/NBD": PARETO_NBD,
    "GG/NBD": GammaGompertzNBDModel.from_params(r=0.553, alpha=10.576, b=0.01, s=0.6, beta=0.2),
    "NBD": NBDModel.from_params(r=0.385, alpha=12.072),
}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow()


@pytest.fixture(scope="module")
def split(log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    past, future = temporal_split(log, "1997-10-01", horizon=39, time_unit="W")
    return RFMSummary(as_of="1997-09-30").fit_transform(past), future


@pytest.fixture(scope="module")
def models(split: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Any]:
    return {name: model if hasattr(model, "params_") else model.fit(split[0]) for name, model in MODELS.items()}


def test_tracking_as_published(log: pd.DataFrame) -> None:
    display = TrackingDisplay.from_estimator({"Pareto/NBD": PARETO_NBD}, log, cutoff="1997-10-01")
    assert display.ends.tolist() == list(range(1, 79))
    assert display.cumulative_actual[[24, 38, 77]].tolist() == [1672, 2457, 2457 + 1882]
    # Published at an optimum that R's optim left a little apart: 5e-5 of the figure.
    assert display.cumulative_expected["Pareto/NBD"][24] == pytest.approx(PARETO["cumulative_week_25"], rel=5e-5)
    assert display.cutoff == 39
    display.plot(kind="cumulative")
    assert display.actual_line_.get_ydata()[24] == 1672
    display.plot()
    assert display.actual_line_.get_ydata().sum() == 2457 + 1882
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    late = display.expected["Pareto/NBD"][39:].sum()
    assert legend == ["Actual", f"Pareto/NBD ({100 * (late / 1882 - 1):+.0f} % in the holdout)"]
    assert display.ax_.get_title(loc="left") == "Repeat purchases per week"


def test_tracking_is_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    rows = [(int(who), int(day)) for who, day in zip(rng.integers(0, 12, 80), rng.integers(0, 100, 80), strict=True)]
    start = pd.Timestamp("2024-03-05")
    log = pd.DataFrame(rows, columns=["customer_id", "day"])
    log["timestamp"] = start + pd.to_timedelta(log["day"] * 24 + rng.integers(0, 24, 80), unit="h")
    log["amount"] = 1.0
    display = TrackingDisplay.from_estimator(BG_NBD, log, end=start + pd.Timedelta(days=105))
    first_day = min(day for _, day in rows)
    assert display.ends.size == (105 - first_day) // 7
    for week in range(1, display.ends.size + 1):
        actual, expected = reference.tracked(BG_NBD.expected_purchases_new_customer, rows, week)
        assert display.cumulative_actual[week - 1] == actual
        assert display.cumulative_expected["BetaGeoModel"][week - 1] == pytest.approx(expected, rel=1e-12)
    returns = pd.DataFrame({"customer_id": [3] * 50, "timestamp": log["timestamp"].iloc[:50], "amount": -1.0})
    again = TrackingDisplay.from_estimator(
        BG_NBD, pd.concat([returns, log.sample(frac=1, random_state=3)]), end=start + pd.Timedelta(days=105)
    )
    assert again.actual.tolist() == display.actual.tolist()


def test_tracking_follows_those_who_came_before_the_cutoff(log: pd.DataFrame) -> None:
    early = log[log["timestamp"] < "1997-02-01"]["customer_id"].unique()
    whole = TrackingDisplay.from_estimator(BG_NBD, log, cutoff="1997-02-01")
    cohort = TrackingDisplay.from_estimator(BG_NBD, log[log["customer_id"].isin(early)])
    assert whole.actual.tolist() == cohort.actual.tolist()
    np.testing.assert_allclose(whole.expected["BetaGeoModel"], cohort.expected["BetaGeoModel"])
    assert cohort.cutoff is None
    assert [text.get_text() for text in cohort.ax_.get_legend().get_texts()] == ["Actual", "BetaGeoModel"]


def test_tracking_in_other_units_and_frames(log: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    per_day = BetaGeoModel.from_params(r=0.242595, alpha=7 * 4.413602, a=0.792922, b=2.425907)
    weeks = TrackingDisplay.from_estimator(BG_NBD, log, step=2)
    renamed = to_frame(log.rename(columns={"customer_id": "who", "timestamp": "at"}))
    names = {"customer_id": "who", "timestamp": "at"}
    days = TrackingDisplay.from_estimator(per_day, renamed, time_unit="D", step=14, columns=names)
    assert days.actual.tolist() == weeks.actual.tolist()
    np.testing.assert_allclose(days.expected["BetaGeoModel"], weeks.expected["BetaGeoModel"], rtol=1e-9)
    assert days.ax_.get_title(loc="left") == "Repeat purchases per 14 days"
    months = TrackingDisplay.from_estimator(BG_NBD, log, period="M")
    counted = log.assign(month=log["timestamp"].dt.to_period("M")).drop_duplicates(["customer_id", "month"])
    assert months.actual.sum() == len(counted) - 2357
    years = TrackingDisplay.from_estimator(BG_NBD, log, period="Y")
    assert years.actual.sum() == log[log["timestamp"] >= "1998"]["customer_id"].nunique()


def test_every_model_of_purchases_is_tracked_and_counted(
    log: pd.DataFrame, split: tuple[pd.DataFrame, pd.DataFrame], models: dict[str, Any]
) -> None:
    table, future = split
    tracking = TrackingDisplay.from_estimator(models, log, cutoff="1997-10-01", step=3)
    frequency = FrequencyDisplay.from_estimator(models, table)
    purchases = PurchasesDisplay.from_estimator(models, table, future, horizon=39)
    for name in models:
        assert tracking.expected[name].size == 26
        assert (tracking.expected[name] > 0).all()
        assert frequency.expected[name].sum() == pytest.approx(2357, rel=1e-9)
        assert frequency.expected[name][0] == pytest.approx(1411, rel=0.08)
        assert np.isfinite(purchases.expected[name]).all()
        AliveDisplay.from_estimator(models[name], max_frequency=4, T=39, horizon=10)
        pyplot.close("all")


def test_frequency_is_the_plain_sum(split: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = split[0]
    display = FrequencyDisplay.from_estimator({"BG/NBD": BG_NBD}, table, max_frequency=5)
    counts = table["frequency"].clip(upper=5).value_counts().sort_index()
    assert display.actual.tolist() == counts.tolist()
    wanted = sum(BG_NBD.probability_of_purchases(np.arange(5), age) for age in table["T"])
    np.testing.assert_allclose(display.expected["BG/NBD"][:5], wanted, rtol=1e-9)
    assert display.expected["BG/NBD"].sum() == pytest.approx(2357)
    assert [bar.get_height() for bar in display.actual_bars_] == counts.tolist()
    assert [bar.get_height() for bar in display.expected_bars_["BG/NBD"]] == pytest.approx(
        display.expected["BG/NBD"].tolist()
    )
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["0", "1", "2", "3", "4", "5+"]


def test_frequency_takes_many_ages_together() -> None:
    rng = np.random.default_rng(1)
    table = {"frequency": rng.integers(0, 9, 3000), "T": rng.uniform(20, 60, 3000)}
    display = FrequencyDisplay.from_estimator(BG_NBD, table, max_frequency=3)
    wanted = sum(BG_NBD.probability_of_purchases(np.arange(3), age) for age in table["T"])
    np.testing.assert_allclose(display.expected["BetaGeoModel"][:3], wanted, rtol=1e-5)


def test_frequency_of_a_model_that_knows_only_conditional_counts() -> None:
    class Conditional:
        def predict_count_probabilities(self, table: Any, n: Any, horizon: float) -> np.ndarray:
            assert [float(np.asarray(table[name])[0]) for name in ("frequency", "recency", "T")] == [0, 0, 0]
            return BG_NBD.probability_of_purchases(n, horizon)[None, :]

    table = {"frequency": [0, 0, 3], "T": [10.0, 20.0, 30.0]}
    found = FrequencyDisplay.from_estimator({"a": Conditional(), "b": BG_NBD}, table, max_frequency=2)
    np.testing.assert_allclose(found.expected["a"], found.expected["b"])


def test_weights_are_customers() -> None:
    donors = load_donations()
    model = BetaGeoBetaBinomModel.from_params(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    display = FrequencyDisplay.from_estimator(model, donors, max_frequency=6, sample_weight="customers")
    assert display.actual.sum() == 11104
    assert display.actual[0] == donors.loc[donors["frequency"] == 0, "customers"].sum()
    expected = 11104 * model.probability_of_purchases(np.arange(6), 6)
    np.testing.assert_allclose(display.expected["BetaGeoBetaBinomModel"][:6], expected)
    weighted = PurchasesDisplay.from_estimator(
        model, donors, np.arange(len(donors)) % 3, horizon=5, sample_weight="customers"
    )
    repeated = donors.loc[donors.index.repeat(donors["customers"])]
    alone = PurchasesDisplay.from_estimator(
        model, repeated, (np.arange(len(donors)) % 3)[repeated.index.to_numpy()], horizon=5
    )
    assert weighted.counts.tolist() == alone.counts.tolist()
    np.testing.assert_allclose(weighted.actual, alone.actual)
    np.testing.assert_allclose(
        weighted.expected["BetaGeoBetaBinomModel"], alone.expected["BetaGeoBetaBinomModel"], rtol=1e-9
    )


def small(log: pd.DataFrame) -> pd.DataFrame:
    return log[log["customer_id"] <= 60]


def test_models_with_covariates(log: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    few = small(log)
    table = RFMSummary().fit_transform(few)
    table["big"] = (table["customer_id"] % 3).astype(float)
    model = ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.66, coefficients={"rate": {"big": 0.3}})
    plain = {value: model.with_covariates({"big": value}) for value in (0.0, 1.0, 2.0)}
    display = TrackingDisplay.from_estimator(model, to_frame(few), table=to_frame(table), step=6)
    counted = FrequencyDisplay.from_estimator(model, to_frame(table), max_frequency=3)
    wanted, chances = np.zeros(display.ends.size), np.zeros(3)
    for value, each in plain.items():
        these = table.loc[table["big"] == value]
        start = (these["first_seen"] - table["first_seen"].min()).dt.days.to_numpy() / 7
        ages = np.maximum(display.ends[:, None] - start, 0)
        wanted += each.expected_purchases_new_customer(ages).sum(axis=1)
        chances += sum(each.probability_of_purchases(np.arange(3), age) for age in these["T"])
    np.testing.assert_allclose(display.cumulative_expected["ParetoNBDModel"], wanted, rtol=1e-9)
    np.testing.assert_allclose(counted.expected["ParetoNBDModel"][:3], chances, rtol=1e-9)
    with pytest.raises(MissingColumnError, match=r"\['customer_id', 'big'\].*Pass table=..., with the covariates"):
        TrackingDisplay.from_estimator(model, few)
    with pytest.raises(InvalidDataError, match=r"1 of 60 customers of the log are not in the table \(first: 60\)"):
        TrackingDisplay.from_estimator(model, few, table=table.head(59))


def test_covariates_that_change_move_the_expected_line(log: pd.DataFrame) -> None:
    few = small(log)
    months = {"start": np.array(["1996-12-01", "1997-06-01", "1997-07-01"], "datetime64[us]"), "june": [0, 1, 0]}
    params = {"r": 0.553, "alpha": 10.58, "s": 0.606, "beta": 11.66}
    same, twice = (
        TimeVaryingParetoNBDModel.from_params(**params, coefficients={"rate": {"june": effect}}, intervals=months)
        for effect in (0.0, np.log(2))
    )
    found = TrackingDisplay.from_estimator(
        {"plain": ParetoNBDModel.from_params(**params), "same": same, "twice": twice}, few
    ).expected
    np.testing.assert_allclose(found["same"], found["plain"], rtol=1e-7)
    ratio = found["twice"] / found["plain"]
    np.testing.assert_allclose(ratio[22:25], 2, rtol=1e-6)  # weeks within June; 1 June 1997 is day 151
    np.testing.assert_allclose(ratio[:21], 1, rtol=1e-6)
    table = RFMSummary().fit_transform(few)
    counted = FrequencyDisplay.from_estimator(
        {"plain": ParetoNBDModel.from_params(**params), "same": same, "twice": twice}, table, max_frequency=3
    ).expected
    np.testing.assert_allclose(counted["same"], counted["plain"], rtol=1e-9)
    new = table.assign(frequency=0, recency=0.0, T=0.0)
    ages = table["T"].to_numpy()
    wanted = sum(twice.predict_count_probabilities(new.iloc[[row]], [0, 1, 2], age)[0] for row, age in enumerate(ages))
    np.testing.assert_allclose(counted["twice"][:3], wanted, rtol=1e-9)
    assert counted["twice"][0] < counted["plain"][0]
    with pytest.raises(MissingColumnError, match=r"FrequencyDisplay needs the columns \['first_seen'\]"):
        FrequencyDisplay.from_estimator(twice, table.drop(columns="first_seen"))


def test_conditional_expectations_as_published(split: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, future = split
    both = {"BG/NBD": BG_NBD, "Pareto/NBD": ParetoNBDModel.from_params(**PARETO["fit"]["params"])}
    display = PurchasesDisplay.from_estimator(both, table, future, horizon=39)
    assert display.counts.tolist() == BG["holdout_bins"]["customers"]
    assert display.open_ended
    np.testing.assert_allclose(display.actual, BG["holdout_bins"]["actual"], atol=5.1e-4)
    np.testing.assert_allclose(display.expected["BG/NBD"], BG["holdout_bins"]["expected"], rtol=1e-4)
    np.testing.assert_allclose(display.expected["Pareto/NBD"], PARETO["holdout"]["expected"], atol=2e-3)
    assert display.expected_line_ is display.expected_lines_["BG/NBD"]
    given = {name: model.predict_purchases(table, 39) for name, model in both.items()}
    ids = future.drop_duplicates(["customer_id", "timestamp"]).value_counts("customer_id")
    came = table["customer_id"].map(ids).fillna(0)
    again = PurchasesDisplay.from_predictions(came, given, table["frequency"])
    np.testing.assert_array_equal(again.expected["Pareto/NBD"], display.expected["Pareto/NBD"])
    labels = [text.get_text() for text in again.ax_.get_legend().get_texts()]
    assert labels == ["Actual", "BG/NBD", "Pareto/NBD"]


def test_a_map_of_purchases_to_expect() -> None:
    display = AliveDisplay.from_estimator(BG_NBD, max_frequency=3, T=39, horizon=26, time_unit="W")
    table = {"frequency": [2], "recency": [13.0], "T": [39.0]}
    assert display.expected_purchases[1, 12] == pytest.approx(BG_NBD.predict_purchases(table, 26)[0])
    assert display.p_alive is None
    assert display.mesh_.get_array().ravel().tolist() == display.expected_purchases.ravel().tolist()
    assert display.ax_.get_title(loc="left") == "Purchases to expect in the next 26 weeks"
    assert display.ax_.get_xlabel() == "Recency: weeks from first to last purchase (T = 39)"
    assert AliveDisplay.from_estimator(BG_NBD, max_frequency=1, T=5.0, horizon=1e-3).mesh_ is not None


@pytest.mark.parametrize("kind", ["incremental", "cumulative"])
def test_displays_draw_on_axes_given(log: pd.DataFrame, kind: str) -> None:
    _, ax = pyplot.subplots()
    display = TrackingDisplay.from_estimator(BG_NBD, log, kind=kind, cutoff="1997-10-01", ax=ax)
    assert display.ax_ is ax
    assert ax.get_xlabel() == "Weeks since the first purchase in the log"
    ax.figure.canvas.draw()
    frequency = FrequencyDisplay.from_estimator(BG_NBD, {"frequency": [0, 1], "T": [3.0, 4.0]}, ax=ax)
    assert frequency.plot().ax_ is not ax
    assert (frequency.ax_.get_xlabel(), frequency.ax_.get_ylabel()) == ("Repeat purchases", "Customers")


def test_messages(log: pd.DataFrame) -> None:
    table = {"frequency": [0, 1], "T": [3.0, 4.0]}
    with pytest.raises(
        ValueError, match=r"needs fitted models with expected_purchases_new_customer\(\).*'int' is a int"
    ):
        TrackingDisplay.from_estimator(3, log)
    with pytest.raises(ValueError, match="'x' is the class BetaGeoModel"):
        TrackingDisplay.from_estimator({"x": BetaGeoModel}, log)
    with pytest.raises(
        ValueError, match=r"PurchasesDisplay needs fitted models with predict_purchases\(\); 'x' is a None"
    ):
        PurchasesDisplay.from_estimator({"x": None}, table, [0, 1], horizon=3)
    with pytest.raises(ValueError, match="TrackingDisplay needs at least one model"):
        TrackingDisplay.from_estimator({}, log)
    with pytest.raises(ValueError, match="'kind' parameter of TrackingDisplay must be a str among"):
        TrackingDisplay.from_estimator(BG_NBD, log, kind="weekly")
    with pytest.raises(ValueError, match="'step' parameter of TrackingDisplay must be a float"):
        TrackingDisplay.from_estimator(BG_NBD, log, step=0)
    with pytest.raises(InvalidDataError, match="nobody bought before the cutoff"):
        TrackingDisplay.from_estimator(BG_NBD, log, cutoff="1996-01-01")
    with pytest.raises(InvalidDataError, match="nobody bought"):
        TrackingDisplay.from_estimator(BG_NBD, log.iloc[:0])
    with pytest.raises(InvalidDataError, match="needs a log of at least one step, 90 W"):
        TrackingDisplay.from_estimator(BG_NBD, log, step=90)
    with pytest.raises(ValueError, match=r"needs fitted models with probability_of_purchases\(\) or .*'x' is a int"):
        FrequencyDisplay.from_estimator({"x": 3}, table)
    with pytest.raises(InvalidDataError, match="FrequencyDisplay has no customers to draw"):
        FrequencyDisplay.from_estimator(BG_NBD, {"frequency": [], "T": []})
    with pytest.raises(ValueError, match=r"takes sample_weight with one number per row, \(2,\); got \(3,\)"):
        FrequencyDisplay.from_estimator(BG_NBD, table, sample_weight=[1, 1, 1])
    with pytest.raises(InvalidDataError, match="sample_weight must be counts of customers"):
        FrequencyDisplay.from_estimator(BG_NBD, table, sample_weight=[1, -1])
    with pytest.raises(ValueError, match="'horizon' parameter of AliveDisplay must be a float"):
        AliveDisplay.from_estimator(BG_NBD, horizon=-1)
    with pytest.raises(ValueError, match="'horizon' parameter of PurchasesDisplay must be a float"):
        PurchasesDisplay.from_estimator(BG_NBD, table, [0, 1], horizon=0)


def test_groups_are_those_of_customers_who_count() -> None:
    table = pd.DataFrame({"frequency": [0, 1, 9], "recency": [0.0, 3.0, 8.0], "T": [9.0, 9.0, 9.0]})
    asked = {"horizon": 3.0, "max_frequency": 1, "sample_weight": [1, 2, 0]}
    display = PurchasesDisplay.from_estimator(BG_NBD, table, [0, 1, 2], **asked)
    assert not display.open_ended
    assert display.ax_.get_xticklabels()[-1].get_text() == "1\n(2)"


@pytest.mark.parametrize("frequency", [[0, 1.5], [0, -1]])
def test_frequencies_are_whole_numbers(frequency: list[float]) -> None:
    for ask in (
        lambda: PurchasesDisplay.from_predictions([1, 2], [1, 2], frequency),
        lambda: FrequencyDisplay.from_estimator(BG_NBD, {"frequency": frequency, "T": [3.0, 4.0]}),
    ):
        with pytest.raises(InvalidDataError, match=r"1 of 2 customers have a frequency that is no whole number"):
            ask()
    with pytest.raises(InvalidDataError, match="1 of 2 customers have a negative T"):
        FrequencyDisplay.from_estimator(BG_NBD, {"frequency": [0, 1], "T": [3.0, -4.0]})


def test_a_map_of_histories_has_neither_dates_nor_covariates() -> None:
    model = BetaGeoModel.from_params(r=0.2, alpha=4.4, a=0.8, b=2.4, coefficients={"rate": {"z": 0.5}})
    with pytest.raises(ValueError, match=r"frequency, recency and T alone; BetaGeoModel needs \['z'\], too"):
        AliveDisplay.from_estimator(model)
    assert AliveDisplay.from_estimator(model.with_covariates({"z": 1.0})).p_alive.size
    dated = TimeVaryingBetaGeoModel.from_params(r=0.2, alpha=4.4, a=0.8, b=2.4, intervals={"start": ["2020-01-01"]})
    with pytest.raises(ValueError, match=r"TimeVaryingBetaGeoModel needs \['customer_id', 'first_seen'\]"):
        AliveDisplay.from_estimator(dated)
