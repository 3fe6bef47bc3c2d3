"""The Pareto/NBD model: published figures, known truth, properties, data that determine nothing."""

from __future__ import annotations

import importlib.util
import json
import math
import pickle
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.base import clone
from tests.reference import pareto_nbd as reference

from custanalytics import _jit
from custanalytics.clv import ParetoNBDModel
from custanalytics.exceptions import FitWarning, InvalidDataError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "pareto_nbd.json").read_text())
CDNOW = GOLDEN["fit"]["params"]
COLUMNS = ["frequency", "recency", "T"]


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """Customer table of the 1/10 sample after 39 weeks, with what each bought in the next 39."""
    spec = importlib.util.find_spec("lifetimes")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    names = ["master", "customer_id", "date", "quantity", "dollars"]
    log = pd.read_csv(path, sep=r"\s+", header=None, names=names)
    log["date"] = pd.to_datetime(log["date"].astype(str))
    days = log[["customer_id", "date"]].drop_duplicates()
    until = pd.Timestamp("1997-09-30")
    seen = days[days["date"] <= until].groupby("customer_id")["date"].agg(["min", "max", "count"])
    later = days[(days["date"] > until) & (days["date"] <= pd.Timestamp("1998-06-30"))]
    table = pd.DataFrame(
        {
            "customer_id": seen.index,
            "frequency": seen["count"].to_numpy() - 1,
            "recency": (seen["max"] - seen["min"]).dt.days.to_numpy() / 7,
            "T": (until - seen["min"]).dt.days.to_numpy() / 7,
            "holdout": later.groupby("customer_id").size().reindex(seen.index, fill_value=0).to_numpy(),
        }
    )
    assert len(table) == 2357
    assert table["frequency"].sum() == 2457
    assert table["holdout"].sum() == 1882
    return table


@pytest.fixture(scope="module")
def fitted(cdnow: pd.DataFrame) -> ParetoNBDModel:
    return ParetoNBDModel().fit(cdnow)


def simulate(n: int, theta: dict[str, float], seed: int, span: float = 39.0, entry: float = 12.0) -> pd.DataFrame:
    """Customers who buy in continuous time until they drop out, observed to one date."""
    rng = np.random.default_rng(seed)
    T = span - entry * rng.uniform(size=n)
    rate = rng.gamma(theta["r"], 1 / theta["alpha"], n)
    lifetime = rng.exponential(size=n) / rng.gamma(theta["s"], 1 / theta["beta"], n)
    active = np.minimum(lifetime, T)
    x = rng.poisson(rate * active)
    # Given their number, the purchases are uniform over the active time; the last is their maximum.
    t_x = np.where(x > 0, active * rng.uniform(size=n) ** (1 / np.maximum(x, 1)), 0.0)
    return pd.DataFrame({"frequency": x, "recency": t_x, "T": T, "alive": lifetime > T})


def fit_quietly(table: pd.DataFrame, **params: Any) -> ParetoNBDModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return ParetoNBDModel(**params).fit(table)


def test_fit_as_published(fitted: ParetoNBDModel) -> None:
    published = GOLDEN["fit"]
    assert fitted.converged_
    assert fitted.undetermined_ == ()
    assert fitted.log_likelihood_ == pytest.approx(published["log_likelihood"], abs=1e-4)
    assert fitted.params_ == pytest.approx(published["params"], rel=1e-5)
    # Published from a Hessian by finite differences of the log-likelihood itself: good to about four digits.
    assert fitted.standard_errors_ == pytest.approx(published["standard_errors"], rel=2e-4)
    assert fitted.expected_purchases_new_customer(52) == pytest.approx(published["new_customer_52_weeks"], rel=1e-6)


def test_predictions_as_published() -> None:
    published = GOLDEN["rounded"]
    model = ParetoNBDModel.from_params(**published["params"])
    assert model.expected_purchases_new_customer(52) == pytest.approx(published["new_customer_52_weeks"], rel=1e-3)
    loyal = published["customer"]
    table = {"frequency": [loyal["frequency"], 0], "recency": [loyal["recency"], 0.0], "T": [loyal["T"], 39.0]}
    alive = model.predict_alive(table)
    assert alive[0] == pytest.approx(loyal["alive"], abs=1e-6)
    assert alive[1] == pytest.approx(published["alive_0_0_39"], rel=1e-3)
    assert model.predict_purchases(table, 52)[0] == pytest.approx(loyal["purchases_52_weeks"], rel=1e-3)


def test_more_frequent_buyers_who_have_been_silent_are_worth_less() -> None:
    published = GOLDEN["frequency_paradox"]
    model = ParetoNBDModel.from_params(**GOLDEN["rounded"]["params"])
    n = len(published["frequency"])
    table = {"frequency": published["frequency"], "recency": [20.0] * n, "T": [39.0] * n}
    np.testing.assert_allclose(model.predict_purchases(table, 52), published["purchases_52_weeks"], rtol=1e-3)


def test_holdout_means_by_frequency(cdnow: pd.DataFrame, fitted: ParetoNBDModel) -> None:
    published = GOLDEN["holdout"]
    scored = cdnow.assign(expected=fitted.predict_purchases(cdnow, 39), bin=cdnow["frequency"].clip(upper=7))
    bins = scored.groupby("bin").agg(n=("expected", "size"), expected=("expected", "mean"), actual=("holdout", "mean"))
    assert bins["n"].tolist() == published["n"]
    np.testing.assert_allclose(bins["actual"], published["actual"], atol=6e-4)
    np.testing.assert_allclose(bins["expected"], published["expected"], atol=1.5e-3)


@pytest.mark.parametrize(
    "theta",
    [
        CDNOW,
        {"r": 1e-3, "alpha": 1e3, "s": 1.0, "beta": 1e-3},
        {"r": 50.0, "alpha": 2.0, "s": 1 + 1e-12, "beta": 700.0},
    ],
)
def test_purchases_ahead_against_mpmath(theta: dict[str, float]) -> None:
    customers = [(0, 0.0, 3.0), (1, 1.0, 3.0), (7, 30.0, 39.0), (200, 9e3, 1e4), (2, 5.0, 5.0)]
    model = ParetoNBDModel.from_params(**theta)
    x, t_x, T = (np.array(column, float) for column in zip(*customers, strict=True))
    for horizon in (0.0, 1e-3, 39.0, 1e5):
        found = model.predict_purchases({"frequency": x, "recency": t_x, "T": T}, horizon)
        truth = [float(reference.purchases(*customer, horizon, *theta.values())) for customer in customers]
        np.testing.assert_allclose(found, truth, rtol=1e-9)


def test_infinite_horizon() -> None:
    table = {"frequency": [3, 9000], "recency": [5.0, 1.0], "T": [8.0, 9000.0]}
    finite = ParetoNBDModel.from_params(r=0.5, alpha=3.0, s=2.0, beta=6.0)
    np.testing.assert_allclose(
        finite.predict_purchases(table, math.inf)[0], finite.predict_alive(table)[0] * 3.5 / 11 * 14, rtol=1e-14
    )
    endless = ParetoNBDModel.from_params(r=0.5, alpha=3.0, s=0.7, beta=6.0)
    assert np.isposinf(endless.predict_purchases(table, math.inf)).all()
    assert np.isposinf(endless.expected_purchases_new_customer(math.inf))


def test_new_customers_at_many_horizons() -> None:
    model = ParetoNBDModel.from_params(**CDNOW)
    horizons = np.array([[0.0, 1.0], [52.0, 1e6]])
    found = model.expected_purchases_new_customer(horizons)
    rate = CDNOW["r"] / CDNOW["alpha"]
    truth = [[rate * float(reference.mean_lifetime(CDNOW["s"], CDNOW["beta"], t)) for t in row] for row in horizons]
    np.testing.assert_allclose(found, truth, rtol=1e-13)
    with pytest.raises(ValueError, match="'horizon' parameter"):
        model.expected_purchases_new_customer(-1.0)


def test_cumulative_purchases_as_published(cdnow: pd.DataFrame, fitted: ParetoNBDModel) -> None:
    published = GOLDEN["cumulative_week_25"]
    entered = cdnow["T"].max() - cdnow["T"]
    expected = fitted.expected_purchases_new_customer(np.maximum(25 - entered, 0)).sum()
    assert expected == pytest.approx(published, rel=1e-4)


TRUTHS = [
    {"r": 0.55, "alpha": 10.6, "s": 0.6, "beta": 11.7},
    {"r": 1.5, "alpha": 4.0, "s": 1.0, "beta": 20.0},
    {"r": 0.8, "alpha": 3.0, "s": 2.5, "beta": 30.0},
]


def check_recovery(n: int, truth: dict[str, float], seed: int, span: float) -> None:
    table = simulate(n, truth, seed, span=span)
    model = ParetoNBDModel().fit(table)
    assert model.converged_
    for name, value in truth.items():
        assert abs(model.params_[name] - value) < 4 * model.standard_errors_[name], name
    theta = ParetoNBDModel.from_params(**truth)
    assert theta.score(table) * n <= model.log_likelihood_
    # P(alive) is calibrated: the share of customers who are, among those with similar P(alive)
    p = model.predict_alive(table)
    for low in np.arange(0.0, 1.0, 0.2):
        group = (p >= low) & (p < low + 0.2)
        share, error = table["alive"][group].mean(), np.sqrt(0.25 / max(group.sum(), 1))
        assert abs(share - p[group].mean()) < 5 * error + 0.005


@pytest.mark.parametrize("truth", TRUTHS[:2])
def test_recovers_the_truth(truth: dict[str, float]) -> None:
    check_recovery(20_000, truth, seed=3, span=52.0)


@pytest.mark.thorough
@pytest.mark.parametrize("truth", TRUTHS)
def test_recovers_the_truth_from_many_customers(truth: dict[str, float]) -> None:
    check_recovery(100_000, truth, seed=4, span=104.0)


@pytest.mark.thorough
def test_intervals_cover_the_truth() -> None:
    truth, hits = TRUTHS[0], np.zeros(4)
    for seed in range(200):
        model = fit_quietly(simulate(2500, truth, seed=1000 + seed, span=78.0))
        errors = [abs(model.params_[name] - truth[name]) / model.standard_errors_[name] for name in truth]
        hits += np.array(errors) < 1.6449
    assert (hits / 200 > 0.82).all()
    assert (hits / 200 < 0.97).all()


shapes = st.floats(-3, 3).map(lambda power: 10.0**power)
times = st.floats(0.01, 1e4)


@given(
    r=shapes,
    alpha=shapes,
    s=shapes,
    beta=shapes,
    x=st.integers(1, 10_000),
    T=times,
    shares=st.tuples(*[st.floats(0, 1)] * 2),
)
def test_alive_rises_with_recency(r, alpha, s, beta, x, T, shares) -> None:
    low, high = sorted(share * T for share in shares)
    model = ParetoNBDModel.from_params(r=r, alpha=alpha, s=s, beta=beta)
    early, late, now = model.predict_alive({"frequency": [x] * 3, "recency": [low, high, T], "T": [T] * 3})
    assert 0 < early <= late * (1 + 1e-9)
    assert late <= now == 1.0


@given(r=shapes, alpha=shapes, s=shapes, beta=shapes, x=st.integers(0, 10_000), T=times, share=st.floats(0, 1))
def test_purchases_rise_with_the_horizon(r, alpha, s, beta, x, T, share) -> None:
    model = ParetoNBDModel.from_params(r=r, alpha=alpha, s=s, beta=beta)
    table = {"frequency": [x], "recency": [share * T if x else 0.0], "T": [T]}
    horizons = (0.0, 1e-3, 1.0, 10.0, 1e4)
    expected = [model.predict_purchases(table, horizon)[0] for horizon in horizons]
    assert expected[0] == 0.0
    assert np.isfinite(expected).all()
    assert all(a <= b for a, b in pairwise(expected))
    at_once = model.predict_alive(table)[0] * (r + x) / (alpha + T)
    assert all(value <= at_once * t * (1 + 1e-9) + 1e-300 for value, t in zip(expected, horizons, strict=True))


@given(r=shapes, alpha=shapes, s=shapes, beta=shapes, x=st.integers(0, 50), T=times, share=st.floats(0, 1), unit=shapes)
def test_the_unit_of_time_is_only_a_unit(r, alpha, s, beta, x, T, share, unit) -> None:
    table = pd.DataFrame({"frequency": [x], "recency": [share * T if x else 0.0], "T": [T]})
    other = table.assign(recency=table["recency"] * unit, T=table["T"] * unit)
    assume((other["recency"] <= other["T"]).all())
    model = ParetoNBDModel.from_params(r=r, alpha=alpha, s=s, beta=beta)
    moved = ParetoNBDModel.from_params(r=r, alpha=alpha * unit, s=s, beta=beta * unit)
    np.testing.assert_allclose(moved.predict_alive(other), model.predict_alive(table), rtol=1e-7)
    np.testing.assert_allclose(
        moved.predict_purchases(other, 10 * unit), model.predict_purchases(table, 10.0), rtol=1e-7
    )
    # a density per unit of time to the power of x
    difference = moved.score(other) + x * math.log(unit) - model.score(table)
    assert abs(difference) < 1e-9 * (1 + abs(model.score(table)))


def test_fit_in_days_is_the_fit_in_weeks(cdnow: pd.DataFrame, fitted: ParetoNBDModel) -> None:
    in_days = ParetoNBDModel().fit(cdnow.assign(recency=cdnow["recency"] * 7, T=cdnow["T"] * 7))
    weeks = fitted.params_
    expected = {**weeks, "alpha": weeks["alpha"] * 7, "beta": weeks["beta"] * 7}
    assert in_days.params_ == pytest.approx(expected, rel=1e-6)
    shift = cdnow["frequency"].sum() * math.log(7)
    assert in_days.log_likelihood_ == pytest.approx(fitted.log_likelihood_ - shift, rel=1e-10)


def test_order_ids_weights_and_threads_change_nothing(cdnow: pd.DataFrame, fitted: ParetoNBDModel) -> None:
    shuffled = cdnow.sample(frac=1, random_state=1)
    assert ParetoNBDModel().fit(shuffled).params_ == fitted.params_
    counted = cdnow.groupby(COLUMNS, as_index=False).size()
    assert ParetoNBDModel().fit(counted, sample_weight=counted["size"]).params_ == fitted.params_
    with _jit.threads(1):
        assert ParetoNBDModel().fit(cdnow).params_ == fitted.params_
    alive = fitted.predict_alive(cdnow)
    np.testing.assert_array_equal(fitted.predict_alive(shuffled), alive[shuffled.index])


def test_many_slices_on_any_number_of_threads() -> None:
    table = simulate(40_000, CDNOW, seed=8)
    model = ParetoNBDModel.from_params(**CDNOW)
    scores = []
    for n in (1, 2, 5):
        with _jit.threads(n):
            scores.append((model.score(table), model.predict_alive(table).tobytes()))
    assert scores[0] == scores[1] == scores[2]


def test_every_frame_library(cdnow: pd.DataFrame, fitted: ParetoNBDModel, to_frame: Any) -> None:
    frame = to_frame(cdnow)
    model = ParetoNBDModel().fit(frame)
    assert model.params_ == fitted.params_
    np.testing.assert_array_equal(model.predict_alive(frame), fitted.predict_alive(cdnow))
    np.testing.assert_array_equal(model.predict_purchases(frame, 39), fitted.predict_purchases(cdnow, 39))


def test_clone_and_pickle(cdnow: pd.DataFrame, fitted: ParetoNBDModel) -> None:
    assert not hasattr(clone(fitted), "params_")
    state = pickle.dumps(fitted)
    assert len(state) < 2000
    np.testing.assert_array_equal(pickle.loads(state).predict_alive(cdnow), fitted.predict_alive(cdnow))


def test_discounting_lies_between_its_bounds(cdnow: pd.DataFrame, fitted: ParetoNBDModel) -> None:
    plain = fitted.predict_purchases(cdnow, 52)
    discounted = fitted.predict_discounted_purchases(cdnow, 52, 0.002)
    assert (discounted < plain).all()
    assert (discounted > plain * math.exp(-0.002 * 52)).all()
    np.testing.assert_allclose(fitted.predict_discounted_purchases(cdnow, 52, 0.0), plain, rtol=1e-14)


def test_discounted_for_ever_as_published() -> None:
    published = GOLDEN["discounted"]
    model = ParetoNBDModel.from_params(**published["params"])
    table = {name: [value] for name, value in published["customer"].items()}
    found = model.predict_discounted_purchases(table, math.inf, published["rate"])
    np.testing.assert_allclose(found, published["purchases"], atol=5e-7)


def test_nobody_drops_out() -> None:
    rng = np.random.default_rng(5)
    x = rng.poisson(rng.gamma(2.0, 1.5, 1500))
    t_x = np.where(x, 39 * rng.uniform(size=1500) ** (1 / np.maximum(x, 1)), 0)
    table = pd.DataFrame({"frequency": x, "recency": t_x, "T": 39.0})
    with pytest.warns(FitWarning, match=r"do not determine .*beta"):
        model = ParetoNBDModel().fit(table)
    assert model.converged_
    without = ParetoNBDModel.from_params(r=2.0, alpha=26.0, s=1e-9, beta=39.0).score(table) * len(table)
    assert without <= model.log_likelihood_ < without + 8
    assert model.predict_alive(table).mean() > 0.95
    assert model.expected_purchases_new_customer(39) == pytest.approx(x.mean(), rel=0.02)


def test_customers_all_alike() -> None:
    rng = np.random.default_rng(6)
    active = np.minimum(rng.exponential(30.0, 1500), 52.0)
    x = rng.poisson(0.3 * active)
    t_x = np.where(x, active * rng.uniform(size=1500) ** (1 / np.maximum(x, 1)), 0)
    model = fit_quietly(pd.DataFrame({"frequency": x, "recency": t_x, "T": 52.0}))
    assert model.params_["r"] / model.params_["alpha"] == pytest.approx(0.3, rel=0.05)
    assert model.params_["s"] / model.params_["beta"] == pytest.approx(1 / 30, rel=0.15)
    assert model.params_["r"] > 50


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0.0, 39.0)],
        [(0, 0.0, 39.0)] * 50,
        [(0, 0.0, 0.0)],
        [(1, 0.0, 0.0)],
        [(5, 30.0, 30.0)] * 3,
        [(3, 10.0, 39.0)],
        [(1, 1e-9, 1e-9), (10_000, 1e4, 1e4)],
        [(10_000, 1e-3, 1e4)],
        [(0, 0.0, 1e-6), (0, 0.0, 1e6)],
        [(2, 0.0, 5.0)],
    ],
    ids=str,
)
def test_data_that_determine_little(rows: list[tuple[int, float, float]]) -> None:
    table = pd.DataFrame(rows, columns=COLUMNS)
    check_sound(table, fit_quietly(table))
    check_sound(table, fit_quietly(table, penalty=0.1))


def check_sound(table: pd.DataFrame, model: ParetoNBDModel) -> None:
    """Every number is a number, and the fit is no worse than other points."""
    assert all(0 < value < math.inf for value in model.params_.values())
    assert np.isfinite(model.log_likelihood_)
    assert not np.isnan(list(model.standard_errors_.values())).any()
    alive = model.predict_alive(table)
    assert ((alive > 0) & (alive <= 1)).all()
    assert np.isfinite(model.predict_purchases(table, 39.0)).all()


def check_small_sets(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        theta = dict(zip(CDNOW, 10 ** rng.uniform([-1.5, -1, -1.5, -1], [1.5, 2, 1.5, 2]), strict=True))
        table = simulate(int(rng.integers(2, 200)), theta, int(rng.integers(1 << 30)))
        model = fit_quietly(table)
        check_sound(table, model)
        if model.converged_:
            others = [theta, CDNOW, {**model.params_, "s": model.params_["s"] * 1.1}]
            others += [{**model.params_, "r": model.params_["r"] * 0.9}]
            best = max(ParetoNBDModel.from_params(**other).score(table) for other in others) * len(table)
            assert model.log_likelihood_ > best - 1e-6


def test_small_data_sets_never_fail() -> None:
    check_small_sets(40, seed=9)


@pytest.mark.thorough
def test_small_data_sets_never_fail_at_length() -> None:
    check_small_sets(2000, seed=10)


def test_a_fit_that_is_cut_short_says_so(cdnow: pd.DataFrame) -> None:
    with pytest.warns(FitWarning, match="stopped after 1 iterations"):
        model = ParetoNBDModel(max_iter=1).fit(cdnow)
    assert not model.converged_


def test_impossible_rows_are_named() -> None:
    model = ParetoNBDModel.from_params(**CDNOW)
    with pytest.raises(InvalidDataError, match="1 of 2 rows have recency > T"):
        model.predict_alive({"frequency": [1, 1], "recency": [2.0, 5.0], "T": [3.0, 3.0]})
