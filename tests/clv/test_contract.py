"""Shifted beta-geometric and beta-discrete-Weibull: mpmath, published segments and cohorts, recovery, messages."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import contract as reference

from custanalytics.clv import BetaDiscreteWeibullModel, LifetimeValue, ShiftedBetaGeoModel, _fit
from custanalytics.clv import _kernels_lifetimes as kernels
from custanalytics.exceptions import FitWarning, InvalidDataError, MissingColumnError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "contract.json").read_text())
KINDS = {2: ShiftedBetaGeoModel, 3: BetaDiscreteWeibullModel}


def triangle(left):
    """One row per fate of a cohort, and how many customers met it."""
    years = len(left) - 1
    table = {"recency": np.arange(years + 1.0), "T": np.full(years + 1, float(years))}
    return table, np.append(-np.diff(left), left[-1])


def kind_of(params):
    return KINDS[len(params)]


# --- published ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["fits"])
def test_published_segments(case):
    left = np.array(GOLDEN["segments"][case["segment"]][: case["years"] + 1]) * 10
    table, weight = triangle(left)
    model = kind_of(case["params"])().fit(table, sample_weight=weight)
    for name, value in case["params"].items():
        assert model.params_[name] == pytest.approx(value, abs=1.1e-5)
    assert model.log_likelihood_ == pytest.approx(case["log_likelihood"], abs=1e-4)
    for year, share in case["left"].items():
        assert 100 * model.survival(int(year)) == pytest.approx(share, abs=6e-3)
    assert model.converged_


def test_published_cohorts():
    tables = [triangle(left) for left in GOLDEN["cohorts"]["left"]]
    rows = pd.concat(pd.DataFrame({**table, "n": weight}) for table, weight in tables)
    model = ShiftedBetaGeoModel().fit(rows, sample_weight="n")
    for name, value in GOLDEN["cohorts"]["params"].items():
        assert model.params_[name] == pytest.approx(value, abs=6e-6)
    assert model.log_likelihood_ == pytest.approx(GOLDEN["cohorts"]["log_likelihood"], abs=1e-4)


def test_published_lifetimes():
    case = GOLDEN["lifetime"]
    model = ShiftedBetaGeoModel.from_params(**case["params"])
    renewed = {"recency": np.arange(6), "T": np.arange(6)}
    # there the renewal to come is not discounted
    found = (1 + case["rate"]) * model.predict_discounted_purchases(renewed, np.inf, np.log1p(case["rate"]))
    np.testing.assert_allclose(found, case["expected"], atol=5.1e-5)


# --- kernels ------------------------------------------------------------------------------------------------------


def random_cases(n, seed):
    rng = np.random.default_rng(seed)
    for number in range(n):
        T = int(rng.choice([0, 1, 2, 6, 30, 200, 10_000]))
        recency = int(rng.integers(0, T + 1)) if number % 3 else T
        theta = (10 ** rng.uniform(-3, 3, 2)).tolist()
        yield recency, T, theta + [float(10 ** rng.uniform(-1, 0.5))] * (number % 2)


def test_likelihood_and_gradient_at_random_extremes():
    with mp.workdps(300):
        for number, (recency, T, theta) in enumerate(random_cases(80, 0)):
            sample = _fit.Sample((np.array([float(recency)]), np.array([float(T)])), np.ones(1))
            found = _fit.total(KINDS[len(theta)]._loglik_loop, sample, np.array(theta))
            exact = float(reference.contract_log_likelihood(recency, T, *theta))
            assert found[0] == pytest.approx(exact, rel=1e-10, abs=0), (recency, T, theta)
            if number % 4 == 0:
                slopes = reference.complex_step(
                    lambda *t, w=(recency, T): reference.contract_log_likelihood(*w, *t), theta
                )
                np.testing.assert_allclose(found[1:], slopes, rtol=1e-9, atol=1e-11 / min(theta))


@pytest.mark.parametrize(
    ("recency", "T", "theta"),
    [
        (2, 2, (3e-3, 1e-3, 400.0)),
        (4, 6, (3e-3, 1e-3, 400.0)),
        (1, 6, (2.0, 5.0, 400.0)),
        (1, 6, (4e-4, 0.2, 400.0)),
    ],
)
def test_powers_of_time_beyond_the_doubles(recency, T, theta):
    sample = _fit.Sample((np.array([float(recency)]), np.array([float(T)])), np.ones(1))
    found = _fit.total(BetaDiscreteWeibullModel._loglik_loop, sample, np.array(theta))
    with mp.workdps(450):
        exact = float(reference.contract_log_likelihood(recency, T, *theta))
        slopes = reference.complex_step(lambda *t: reference.contract_log_likelihood(recency, T, *t), theta)
        left = float(reference.survival(T + 3, *theta) / reference.survival(T, *theta))
    assert found[0] == pytest.approx(exact, rel=1e-10, abs=0)
    np.testing.assert_allclose(found[1:], slopes, rtol=1e-9, atol=1e-100)
    model = BetaDiscreteWeibullModel.from_params(**dict(zip(("alpha", "beta", "c"), theta, strict=True)))
    assert model.predict_alive({"recency": [T], "T": [T]}, ahead=3)[0] == pytest.approx(left, rel=1e-10, abs=1e-300)


def test_who_stays_at_first_may_leave_by_a_power_law():
    """A limit at which alpha c is held fixed: powers of time were held back at 1e290, and fits stopped there."""
    left = np.append(1.0, 0.9995 * np.arange(1.0, 30.0) ** -1.2)
    table, weight = triangle(1e4 * left)
    with pytest.warns(FitWarning, match=r"The limit there: who stays at .* leaves by a power of time, -alpha \* c"):
        model = BetaDiscreteWeibullModel().fit(table, sample_weight=weight)
    assert model.converged_
    assert model.params_["alpha"] * model.params_["c"] == pytest.approx(1.2, abs=1e-3)
    best = float(weight @ np.log(np.append(-np.diff(left), left[-1])))
    assert model.log_likelihood_ == pytest.approx(best, abs=1e-6)


def test_the_logarithm_of_the_ratio_of_four_gammas():
    rng = np.random.default_rng(1)
    with mp.workdps(50):
        for _ in range(300):
            y, a, d = 10 ** rng.uniform([-3, -3, -6], [6, 3.3, 6])
            exact = [mp.loggamma(mp.mpf(y) + p + q) for p in (0, mp.mpf(a)) for q in (0, mp.mpf(d))]
            truth = float(exact[0] + exact[3] - exact[1] - exact[2])
            assert kernels.log_cross_ratio(y, a, d) == pytest.approx(truth, rel=1e-10, abs=0), (y, a, d)


def test_long_sums_are_integrals():
    rng = np.random.default_rng(2)
    i = np.arange(1.0, 2e6)
    for _ in range(60):
        alpha, beta = 10 ** rng.uniform(-3, 3, 2)
        start, rate = float(rng.choice([0, 6, 10_000])), float(rng.choice([0, 1e-4, 0.002, 0.1, 1.0]))
        periods = float(rng.choice([1, 3, 60, 1000, 1e5, np.inf]))
        if np.isinf(periods) and rate == 0:
            continue
        here = i[: int(min(periods, 50 / rate if rate else np.inf, i.size))]
        logs = np.cumsum(-np.log1p(alpha / (beta + start + here - 1))) - rate * here
        found = kernels.periods_ahead(start, periods, rate, alpha, beta, 1.0)
        assert found == pytest.approx(np.exp(logs).sum(), rel=1e-10), (start, periods, rate, alpha, beta)


@pytest.mark.parametrize(("alpha", "beta", "c"), [(3.0, 2.0, 0.7), (1.5, 5.0, 1.2), (2.0, 0.5, 3.0), (40.0, 30.0, 0.2)])
def test_endless_lifetimes_with_duration_dependence(alpha, beta, c):
    # term by term, and from 2,000 on by quadrature with half the first term and a twelfth of its slope
    found = kernels.periods_ahead(2.0, np.inf, 0.0, alpha, beta, c)
    with mp.workdps(40):
        now = reference.survival(2, alpha, beta, c)

        def term(i):
            with mp.workdps(220):  # the difference of two huge numbers
                t = (2 + i) ** mp.mpf(c)
                return mp.exp(mp.loggamma(beta + t) - mp.loggamma(alpha + beta + t) + base) / now

        base = mp.loggamma(mp.mpf(alpha) + beta) - mp.loggamma(mp.mpf(beta))
        exact = mp.fsum(term(mp.mpf(i)) for i in range(1, 2000))
        mp.mp.dps = 20
        far = mp.quad(lambda v: term(mp.exp(v)) * mp.exp(v), [mp.log(2000), 12, 20, 40, 80, 120])
        exact += far + term(mp.mpf(2000)) / 2 - mp.diff(term, mp.mpf(2000)) / 12
    assert found == pytest.approx(float(exact), rel=1e-9)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0.1, 3), st.integers(0, 10_000), st.integers(1, 10**6))
def test_predictions_are_sane_everywhere(alpha, beta, c, T, horizon):
    model = BetaDiscreteWeibullModel.from_params(alpha=alpha, beta=beta, c=c)
    table = {"recency": [T], "T": [T]}
    near, far = (model.predict_purchases(table, h)[0] for h in (1, horizon))
    assert 0 <= near <= 1
    assert near <= far * (1 + 1e-12)
    assert far <= horizon * (1 + 1e-10)
    assert model.predict_discounted_purchases(table, horizon, 0.1)[0] <= far * (1 + 1e-9)
    assert near == pytest.approx(model.retention(T + 1), rel=1e-12)
    later = model.predict_purchases(table, 1, start=horizon)[0]
    assert later == pytest.approx(model.predict_alive(table, ahead=horizon + 1)[0], rel=1e-9)
    assert not np.isnan(model.predict_purchases(table, np.inf, start=1e300)[0])


# --- what the models say --------------------------------------------------------------------------------------------


def test_predictions_renewal_by_renewal():
    for theta in ((0.7, 1.2), (0.5, 0.9, 1.3)):
        kind = KINDS[len(theta)]
        model = kind.from_params(**dict(zip(kind._names, theta, strict=True)))
        table = {"recency": [0, 4, 2], "T": [0, 4, 4]}
        with mp.workdps(30):
            for horizon in (1, 5, 80):
                exact = [float(reference.renewals(T, horizon, 0, *theta)) for T in (0, 4)]
                np.testing.assert_allclose(model.predict_purchases(table, horizon), [*exact, 0.0], rtol=1e-11)
                later = [
                    float(reference.renewals(T, horizon + 6, 0, *theta) - reference.renewals(T, 6, 0, *theta))
                    for T in (0, 4)
                ]
                found = model.predict_purchases(table, horizon, start=6.5)
                np.testing.assert_allclose(found, [*later, 0.0], rtol=1e-11)
                exact = [float(reference.renewals(T, horizon, 0.1, *theta)) for T in (0, 4)]
                found = model.predict_discounted_purchases(table, horizon, 0.1)
                np.testing.assert_allclose(found, [*exact, 0.0], rtol=1e-11)
            left = float(reference.survival(7, *theta) / reference.survival(4, *theta))
        np.testing.assert_allclose(model.predict_alive(table, ahead=3)[1:], [left, 0.0], rtol=1e-12)
        assert model.predict_alive(table, ahead=3.9).tolist() == model.predict_alive(table, ahead=3).tolist()
        assert model.predict_alive(table).tolist() == [1.0, 1.0, 0.0]
        shares = model.survival(np.arange(6))
        np.testing.assert_allclose(shares[1:] / shares[:-1], model.retention(np.arange(1, 6)), rtol=1e-12)
        assert model.expected_purchases_new_customer(5) == pytest.approx(shares[1:].sum(), rel=1e-12)
        assert model.survival([[0.0, 1.0]]).shape == (1, 2)


def test_retention_rises_in_the_shifted_beta_geometric():
    rates = ShiftedBetaGeoModel.from_params(alpha=0.7, beta=1.2).retention(np.arange(1, 100))
    assert (np.diff(rates) > 0).all()


def test_endless_lifetimes():
    customer = {"recency": [4], "T": [4]}
    assert ShiftedBetaGeoModel.from_params(alpha=1.0, beta=2.0).predict_purchases(customer, np.inf)[0] == np.inf
    model = ShiftedBetaGeoModel.from_params(alpha=3.0, beta=2.0)
    assert model.predict_purchases(customer, np.inf)[0] == pytest.approx(3.0, rel=1e-14)
    assert model.predict_purchases(customer, 1e9)[0] == pytest.approx(3.0, rel=1e-10)


def test_at_c_1_the_weibull_is_the_geometric():
    params = {"alpha": 0.7, "beta": 1.2}
    table, weight = triangle([1000, 631, 468, 382, 326])
    plain = ShiftedBetaGeoModel.from_params(**params)
    general = BetaDiscreteWeibullModel.from_params(**params, c=1.0)
    assert general.score(table, sample_weight=weight) == plain.score(table, sample_weight=weight)
    np.testing.assert_array_equal(general.survival(np.arange(20)), plain.survival(np.arange(20)))


@pytest.mark.parametrize("truth", [{"alpha": 0.9, "beta": 2.5}, {"alpha": 0.6, "beta": 2.0, "c": 1.4}])
def test_parameters_are_recovered(truth):
    rng = np.random.default_rng(3)
    table = reference.contract_simulate(rng, rng.integers(1, 9, 40_000).astype(float), **truth)
    model = kind_of(truth)().fit(table)
    for name, true in truth.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.2 * true


def test_lifetime_value_of_a_contract():
    model = ShiftedBetaGeoModel.from_params(alpha=0.668, beta=3.806)
    value = LifetimeValue(purchases=model, spend=100.0, horizon=np.inf, discount_rate=0.1, time_unit="Y")
    expected = 100 * model.predict_discounted_purchases({"recency": [3], "T": [3]}, np.inf, np.log(1.1))
    np.testing.assert_allclose(value.predict({"recency": [3, 1], "T": [3, 3]}), [*expected, 0.0], rtol=1e-12)


def test_frames_and_engines_give_the_same(to_frame):
    table, weight = triangle([1000.0, 631, 468, 382, 326])
    frame = pd.DataFrame({**table, "n": weight})
    model = ShiftedBetaGeoModel().fit(to_frame(frame), sample_weight="n")
    lazy = pl.from_pandas(frame).lazy()
    assert ShiftedBetaGeoModel().fit(lazy, sample_weight="n").params_ == model.params_
    found = model.predict_alive(lazy, ahead=2).collect()["p_alive"]
    np.testing.assert_array_equal(found, model.predict_alive(to_frame(frame), ahead=2))
    found = model.predict_purchases(lazy, 9).collect()["expected_purchases"]
    np.testing.assert_array_equal(found, model.predict_purchases(frame, 9))
    found = model.predict_purchases(lazy, 9, start=4).collect()["expected_purchases"]
    np.testing.assert_array_equal(found, model.predict_purchases(frame, 9, start=4))
    found = model.predict_discounted_purchases(lazy, 9, 0.1).collect()["discounted_purchases"]
    np.testing.assert_array_equal(found, model.predict_discounted_purchases(frame, 9, 0.1))


# --- boundaries and messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        {"recency": [3.0] * 5, "T": [3.0] * 5},  # nobody left
        {"recency": [0.0] * 5, "T": [3.0] * 5},  # everybody left at once
        {"recency": [0.0], "T": [0.0]},  # nothing seen yet
        {"recency": [1.0, 1.0], "T": [3.0, 1.0]},
    ],
)
@pytest.mark.parametrize("kind", KINDS.values())
def test_degenerate_tables_neither_raise_nor_give_nan(kind, table):
    with pytest.warns(FitWarning, match="do not determine"):
        model = kind().fit(table)
    assert np.isfinite([*model.params_.values(), model.log_likelihood_]).all()
    assert not np.isnan([*model.standard_errors_.values(), *model.predict_purchases(table, 10)]).any()
    penalised = kind(penalty=0.5).fit(table)
    assert penalised.undetermined_ == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recency": [1, 4]}, r"1 of 2 rows have recency > T \(first: 1\). Nobody renews more often than they could"),
        (
            {"recency": [1, 0.5]},
            "have a recency that is no whole number .*divide durations by the length of the contract",
        ),
        ({"T": [3, 2.5]}, "have a T that is no whole number"),
        ({"recency": [1, -1]}, "have a negative recency"),
        ({"T": [3, np.nan]}, "have a missing or infinite T"),
        ({"recency": [np.nan, 1]}, "have a missing or infinite recency"),
    ],
)
def test_impossible_rows_are_named(change, message):
    with pytest.raises(InvalidDataError, match=message):
        ShiftedBetaGeoModel().fit({"recency": [1, 2], "T": [3, 2], **change})


def test_other_messages():
    model = ShiftedBetaGeoModel.from_params(alpha=1, beta=2)
    with pytest.raises(MissingColumnError, match=r"needs the columns \['T'\].*chances to renew that were seen"):
        model.predict_alive({"recency": [1]})
    with pytest.raises(ValueError, match=r"The 'renewals' parameter of ShiftedBetaGeoModel.retention"):
        model.retention(0)
    with pytest.raises(ValueError, match=r"The 'renewals' parameter of ShiftedBetaGeoModel.survival"):
        model.survival(["1"])
    for ask in (model.survival, model.retention):  # were NaN
        with pytest.raises(ValueError, match=r"must be a float in the range \[[01], inf\). Got .*inf"):
            ask(np.inf)
    with pytest.raises(ValueError, match=r"The 'horizon' parameter of ShiftedBetaGeoModel.expected_purchases_new"):
        model.expected_purchases_new_customer(-1)
    with pytest.raises(ValueError, match=r"The 'horizon' parameter of ShiftedBetaGeoModel.predict_purchases"):
        model.predict_purchases({"recency": [1], "T": [1]}, -1)
    with pytest.raises(ValueError, match=r"The 'rate' parameter of ShiftedBetaGeoModel.predict_discounted"):
        model.predict_discounted_purchases({"recency": [1], "T": [1]}, 1, -1)
    with pytest.raises(InvalidDataError, match="needs at least one customer to learn from"):
        ShiftedBetaGeoModel().fit({"recency": [], "T": []})
