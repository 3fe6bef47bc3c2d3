"""BG/CNBD-k and MBG/CNBD-k: likelihood, the choice of k, the exact conditional expectation, messages."""

from __future__ import annotations

import pickle
from functools import partial

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline
from sklearn.base import clone
from tests.reference import clv as bg_reference
from tests.reference import clv_families as reference
from tests.reference import phases as phases_reference
from tests.reference.differences import hessian_by_logs, symmetric

from custanalytics import _jit
from custanalytics.clv import (
    BetaGeoCNBDModel,
    BetaGeoModel,
    LifetimeValue,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    _fit,
)
from custanalytics.clv import _kernels_beta_geo_purchases as bg_kernels
from custanalytics.clv import _kernels_cnbd as kernels
from custanalytics.clv import _kernels_cnbd_purchases as ahead
from custanalytics.clv import _kernels_futures as futures_kernels
from custanalytics.clv import _kernels_phases as phases
from custanalytics.exceptions import DataQualityWarning, FitWarning, InvalidDataError, MissingColumnError

TRUTH = {"r": 0.9, "alpha": 1.5, "a": 0.8, "b": 2.4}
FAMILIES = [(BetaGeoCNBDModel, 0), (ModifiedBetaGeoCNBDModel, 1)]


def one(x, t_x, T):
    return {"frequency": [x], "recency": [t_x], "T": [T]}


def kernel_likelihood(k, chances, x, t_x, T, theta, second=False):
    sample = _fit.Sample(tuple(np.array([float(value)]) for value in (x, t_x, T)), np.ones(1))
    loop = partial(kernels.log_likelihood_loop, float(k), float(chances))
    return _fit.total(loop, sample, np.asarray(theta, float), second)


def simulated(k, chances, n, seed=0, later=0.0):
    rng = np.random.default_rng(seed)
    return reference.simulate(rng, k, chances, rng.uniform(20, 40, n), ahead=later, **TRUTH)


def random_cases(n, seed):
    rng = np.random.default_rng(seed)
    for number in range(n):
        x, T = int(rng.choice([0, 0, 1, 2, 7, 50, 2000])), 10 ** rng.uniform(-2, 4)
        t_x = T * rng.choice([rng.uniform(), 1.0, 1e-6]) if x else 0.0
        k = int(rng.choice([1, 2, 3, 12]))
        yield k, number % 2, x, float(t_x), float(T), (10 ** rng.uniform(-3, 3, 4)).tolist()


def test_likelihood_and_gradient_at_random_extremes():
    with mp.workdps(reference.DIGITS):
        for k, chances, x, t_x, T, theta in random_cases(60, 1):
            found = kernel_likelihood(k, chances, x, t_x, T, theta)
            exact = float(reference.log_likelihood(k, chances, x, t_x, T, *theta))
            assert found[0] == pytest.approx(exact, rel=1e-11, abs=0), (k, chances, x, t_x, T, theta)
            gradient = reference.gradient(k, chances, x, t_x, T, *theta)
            size = max(1.0, k * x) / np.array(theta)
            np.testing.assert_allclose(found[1:], gradient, rtol=1e-9, atol=1e-12 * size.max())


def test_exact_second_derivatives_are_those_of_the_gradient():
    for k, chances, x, t_x, T, theta in random_cases(100, 2):
        exactly = symmetric(kernel_likelihood(k, chances, x, t_x, T, theta, second=True)[5:])
        gradient = partial(lambda *case: kernel_likelihood(*case)[1:], k, chances, x, t_x, T)
        differences = hessian_by_logs(gradient, theta)
        rounding = 1e-10 * (1 + k * x + max(theta))
        np.testing.assert_allclose(exactly, differences, rtol=1e-7, atol=rounding, err_msg=str((k, x, t_x, T, theta)))


def test_very_regular_purchases_do_not_overflow():
    # k = 200: the terms of the sum pass 1e200 and are scaled
    with mp.workdps(60):
        case = (200, 1, 3, 20.0, 26.0, 500.0, 2.0, 0.8, 2.5)
        assert kernel_likelihood(*case[:5], case[5:])[0] == pytest.approx(
            float(reference.log_likelihood(*case)), rel=1e-12
        )
        model = ModifiedBetaGeoCNBDModel.from_params(k=200, r=500, alpha=2, a=0.8, b=2.5)
        assert model.predict_alive(one(3, 20.0, 26.0))[0] == pytest.approx(float(reference.alive(*case)), rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "simple"), [(BetaGeoCNBDModel, BetaGeoModel), (ModifiedBetaGeoCNBDModel, ModifiedBetaGeoModel)]
)
def test_at_k_1_it_is_the_simple_model(kind, simple):
    table, _ = bg_reference.cdnow()
    general, plain = kind(k=1).fit(table), simple().fit(table)
    assert general.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-12)
    for name, value in plain.params_.items():
        assert general.params_[name] == pytest.approx(value, rel=1e-6)
    same = simple.from_params(**{name: general.params_[name] for name in plain.params_})
    np.testing.assert_allclose(general.predict_alive(table), same.predict_alive(table), rtol=1e-12)
    np.testing.assert_allclose(general.predict_purchases(table, 39.0), same.predict_purchases(table, 39.0), rtol=1e-11)
    few = table.iloc[:40]
    found = general.predict_discounted_purchases(few, 104.0, 0.002)
    np.testing.assert_allclose(found, same.predict_discounted_purchases(few, 104.0, 0.002), rtol=1e-9)
    assert general.expected_purchases_new_customer(52) == pytest.approx(same.expected_purchases_new_customer(52))
    n = np.arange(30)
    chances = general.probability_of_purchases(n, 39.0)
    np.testing.assert_allclose(chances, same.probability_of_purchases(n, 39.0), rtol=1e-9)


# --- the exact conditional expectation ---------------------------------------------------------------------------

# Brute force, by `reference.purchases_by_integration`, which integrates the story over the rate: half a minute each.
INTEGRATED = [
    ((3, 1, 2, 5.0, 9.0, 10.0), 1.4502237706489607),
    ((2, 0, 1, 5.0, 9.0, 10.0), 0.7834146036400136),
]


@pytest.mark.parametrize(("case", "expected"), INTEGRATED)
def test_the_expectation_is_the_integral_over_rates(case, expected):
    k, chances, x, t_x, T, horizon = case
    kind = FAMILIES[chances][0]
    model = kind.from_params(k=k, r=0.5, alpha=2.0, a=0.8, b=2.5)
    assert model.predict_purchases(one(x, t_x, T), horizon)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize(("case", "expected"), INTEGRATED)
def test_the_integral_is_what_it_is_said_to_be(case, expected):
    with mp.workdps(20):
        found = reference.purchases_by_integration(*case, 0.5, 2.0, 0.8, 2.5)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_at_k_1_what_lies_ahead_is_that_of_the_bg_nbd_everywhere():
    rng, room = np.random.default_rng(3), ahead.room(1.0)
    for _ in range(150):
        s, c = 10 ** rng.uniform(-3, 4, 2)
        u, a = 10 ** rng.uniform(-6, 13), float(rng.choice([0.001, 0.5, 1.0, 1.0 + 1e-12, 3.0, 1000.0]))
        exact = (
            futures_kernels.still_active(s, u, a, c),
            bg_kernels.purchases_if_alive(s, u, a, c),
            s * futures_kernels.still_active(s + 1.0, u, a, c),
        )
        for what, expected in enumerate(exact):
            found = ahead.ahead(what, s, u, 0.3, a, c, *room), ahead.integral(what, s, u, a, c, np.ones(1), room[1])
            assert found == pytest.approx((expected, expected), rel=1e-10, abs=1e-290), (what, s, u, a, c)


def random_ahead(rng, ks, highest_u):
    k, share = int(rng.choice(ks)), float(rng.choice([0.0, rng.uniform(), 1.0]))
    s, c, u = 10 ** rng.uniform(-3, 3), 10 ** rng.uniform(-1, 3), 10 ** rng.uniform(-2, highest_u)
    return k, s, u, share, float(rng.choice([10 ** rng.uniform(-1, 2), 1.0, 1.0 + 1e-12])), c


def agrees(case, exact):
    k, s, u, share, a, c = case
    room = ahead.room(float(k))
    ways = [[ahead.ahead(what, s, u, share, a, c, *room) for what in range(3)]]
    if s * u > 50:  # the integral must hold wherever it could be asked for
        phases.phase_chances(s, share, room[0])
        ways.append([ahead.integral(what, s, u, a, c, *room) for what in range(3)])
    for found in ways:
        assert found == pytest.approx([float(value) for value in exact], rel=1e-11, abs=1e-290), case


def check_counting(n):
    rng = np.random.default_rng(4)
    with mp.workdps(30):
        while n:
            case = random_ahead(rng, [2, 3, 12], 2)
            if case[1] * case[2] < 500:
                agrees(case, phases_reference.by_counting(*case))
                n -= 1


def check_matrices(n, seed):
    rng = np.random.default_rng(seed)
    with mp.workdps(30):
        for _ in range(n):
            case = random_ahead(rng, [2, 3], 13)
            width = min(0.2, 0.3 / np.sqrt(min(case[4], case[5] + case[1])))
            agrees(case, phases_reference.by_matrices(*case, width=width))


@pytest.mark.parametrize("k", [2, 3])
def test_the_matrix_of_the_phases_has_a_limit_where_dropout_is_certain(k):
    with mp.workdps(40):
        chances, given = phases_reference.phases(k, 3.3, 0.7), (k, mp.mpf("3.3"), mp.mpf("1.7"))
        stay = mp.mpf("1e-50")
        near = phases_reference.known_dropout(*given, chances, 1 - stay, stay)
        for limit, value in zip(phases_reference.certain_dropout(*given, chances), near, strict=True):
            assert abs(limit / value - 1) < 1e-15


def test_powers_of_the_chance_to_stay_do_not_overflow_within_a_purchase():
    """A hundred events to a purchase, and a million to come: chances pass 1e308 between two purchases."""
    for k, s, u in ((100, 3e5, 1.0), (200, 3e4, 3.0), (12, 1e30, 0.2)):
        chances, coefficients = ahead.room(float(k))
        phases.phase_chances(s, 0.5, chances)
        most = phases.fill_powers(phases.STAY, s, u, chances, coefficients)
        assert (coefficients[:most] < 1e-300).all(), (k, s, u)


def test_what_lies_ahead_event_by_event():
    check_counting(6)


def test_what_lies_ahead_by_the_matrix_of_the_phases():
    check_matrices(2, 11)  # two for which the matrices are quick


@pytest.mark.thorough
def test_what_lies_ahead_in_100_cases():
    check_counting(100)
    check_matrices(50, 5)


@pytest.mark.parametrize(("kind", "chances"), FAMILIES)
def test_as_many_purchases_ahead_as_doubles_hold(kind, chances):
    model = kind.from_params(k=12, r=0.039, alpha=0.00118, a=226.8, b=547.6)
    often = one(10_000, 0.074, 0.074)
    assert model.predict_alive(often, ahead=1e-4)[0] > model.predict_alive(often, ahead=0.02)[0] > 0.0
    assert 0.0 <= model.predict_alive(often, ahead=1e12)[0] <= model.predict_alive(often, ahead=455.8)[0] < 1e-200
    rate = kind.from_params(k=2, r=0.0371, alpha=0.0618, a=0.0371, b=1000.0)
    found = rate.predict_purchases(one(176, 639.0, 639.0), 0.001, start=1892.6)
    wider = rate.predict_purchases(one(176, 639.0, 639.0), 1.0, start=1892.1)
    assert found[0] == pytest.approx(wider[0] / 1000, rel=1e-4)
    # for 1e21 purchases to come almost nobody drops out: the discounted ones are the rate times the time
    endless = kind.from_params(k=2, r=1.0, alpha=1e-20, a=1e-10, b=93.0)
    discounted = endless.predict_discounted_purchases(one(0, 0.0, 0.0), 10.0, 0.01)
    assert discounted[0] == pytest.approx(1e20 / 2 * -np.expm1(-0.1) / 0.01, rel=1e-6)


@pytest.mark.parametrize(("kind", "chances"), FAMILIES)
def test_simulated_customers_are_recovered_and_foretold(kind, chances):
    table, later = simulated(3, chances, 15_000, later=12.0)
    model = kind().fit(table)
    assert model.k_ == 3
    assert model.params_["k"] == 3.0
    for name, true in TRUTH.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
    at_truth = kind.from_params(k=3, **TRUTH)
    expected = at_truth.predict_purchases(table, 12.0)
    # for all, and for those who have been silent for less and for more than their share of time
    late = (table["T"] - table["recency"]) * (table["frequency"] + 1) > table["T"]
    for group in (late, ~late):
        errors = (later - expected)[group]
        assert abs(errors.sum()) < 4 * np.sqrt((errors**2).sum())
    assert at_truth.score(table) == pytest.approx(model.log_likelihood_ / 15_000, rel=1e-3)


@pytest.mark.parametrize(("kind", "chances"), FAMILIES)
def test_counts_of_new_customers(kind, chances):
    model = kind.from_params(k=3, **TRUTH)
    n = np.arange(400)
    probabilities = model.probability_of_purchases(n, 12.0)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    assert probabilities @ n == pytest.approx(model.expected_purchases_new_customer(12.0), rel=1e-10)


def test_discounting_follows_the_steps_of_regular_buyers():
    model = ModifiedBetaGeoCNBDModel.from_params(k=12, r=60.0, alpha=5.0, a=0.5, b=5.0)  # every week or so
    table = one(20, 20.0, 20.5)
    times = np.linspace(0.0, 30.0, 601)
    so_far = np.array([model.predict_purchases(table, t)[0] for t in times])
    rest = CubicSpline(times, 0.05 * np.exp(-0.05 * times) * so_far).integrate(0, 30)
    found = model.predict_discounted_purchases(table, 30.0, 0.05)[0]
    assert found == pytest.approx(rest + np.exp(-0.05 * 30) * so_far[-1], rel=1e-7)
    assert LifetimeValue(purchases=model, spend=10.0).predict(table)[0] > 0


# --- the choice of k ----------------------------------------------------------------------------------------------


def test_the_log_likelihood_is_that_of_the_times_between_purchases():
    table = {**one(2, 5.0, 9.0), "litt": [np.log(2.0) + np.log(3.0)]}
    model = BetaGeoCNBDModel.from_params(k=2, **TRUTH)
    with mp.workdps(30):
        rest = float(reference.log_likelihood(2, 0, 2, 5.0, 9.0, *TRUTH.values()))
    assert model.score(table) == pytest.approx(rest + np.log(6.0), rel=1e-12)
    assert model.score(one(2, 5.0, 9.0)) == pytest.approx(rest, rel=1e-12)


def test_random_purchases_have_k_1():
    assert BetaGeoCNBDModel().fit(simulated(1, 0, 8000)[0]).k_ == 1


def test_weights_are_repeated_rows():
    table, _ = simulated(2, 1, 400)
    weight = np.arange(400) % 3
    rows = np.repeat(np.arange(400), weight)
    weighted = ModifiedBetaGeoCNBDModel().fit(table, sample_weight=weight)
    repeated = ModifiedBetaGeoCNBDModel().fit({name: column[rows] for name, column in table.items()})
    named = ModifiedBetaGeoCNBDModel().fit({**table, "n": weight}, sample_weight="n")
    assert weighted.params_ == repeated.params_ == named.params_
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, rel=1e-13)


def test_the_unit_of_time_changes_nothing_but_alpha():
    table, _ = simulated(3, 0, 3000)
    days = {**table, "recency": table["recency"] * 7, "T": table["T"] * 7}
    days["litt"] = table["litt"] + table["frequency"] * np.log(7)
    weekly, daily = BetaGeoCNBDModel().fit(table), BetaGeoCNBDModel().fit(days)
    assert weekly.k_ == daily.k_ == 3
    for name, factor in (("r", 1), ("alpha", 7), ("a", 1), ("b", 1)):
        assert daily.params_[name] == pytest.approx(weekly.params_[name] * factor, rel=1e-7)
    shift = -table["frequency"].sum() * np.log(7)
    assert daily.log_likelihood_ == pytest.approx(weekly.log_likelihood_ + shift, rel=1e-12)


def test_the_largest_k_is_doubted():
    with pytest.warns(FitWarning, match="k = 2 is the largest that was tried.*larger max_k"):
        model = BetaGeoCNBDModel(max_k=2).fit(simulated(6, 0, 3000)[0])
    assert model.k_ == 2


def test_messages():
    table, _ = simulated(3, 0, 30)
    without = {name: column for name, column in table.items() if name != "litt"}
    with pytest.raises(MissingColumnError, match=r"needs the column 'litt' to choose k.*BetaGeoCNBDModel\(k=2\)"):
        BetaGeoCNBDModel().fit(without)
    broken = {**table, "litt": np.where(table["frequency"] > 0, -np.inf, 0.0)}
    with pytest.raises(InvalidDataError, match=r"missing or infinite litt .*merge purchases of one period"):
        BetaGeoCNBDModel().fit(broken)
    with pytest.raises(ValueError, match="The 'k' parameter of BetaGeoCNBDModel must be an int in the range"):
        BetaGeoCNBDModel(k=0).fit(table)
    with pytest.raises(ValueError, match=r"The 'k' parameter of BetaGeoCNBDModel.from_params"):
        BetaGeoCNBDModel.from_params(k=1.5, **TRUTH)
    with pytest.raises(ValueError, match=r"from_params takes exactly \['k', 'r', 'alpha', 'a', 'b'\]"):
        BetaGeoCNBDModel.from_params(**TRUTH)


def test_times_between_purchases_in_another_unit_are_doubted():
    table, _ = simulated(3, 0, 300)
    buyers = int((table["frequency"] > 0).sum())
    message = rf"BetaGeoCNBDModel: [0-9]+ of {buyers} repeat buyers have a litt .* Are both in the same unit"
    for factor in (7.0, 1 / 7.0):
        off = {**table, "litt": table["litt"] + table["frequency"] * np.log(factor)}
        with pytest.warns(DataQualityWarning, match=message):
            BetaGeoCNBDModel(k=3).fit(off)
    rounded = {**table, "recency": np.round(table["recency"], 2)}
    rounded["T"] = np.maximum(rounded["T"], rounded["recency"])
    BetaGeoCNBDModel(k=3).fit(rounded)  # warnings are errors


def test_infinite_horizons():
    model = BetaGeoCNBDModel.from_params(k=2, r=1.0, alpha=5.0, a=3.0, b=2.0)
    table = one(2, 5.0, 10.0)
    assert model.predict_purchases(table, np.inf)[0] == pytest.approx(3.0 * model.predict_alive(table)[0])
    assert np.isinf(BetaGeoCNBDModel.from_params(k=2, **TRUTH).predict_purchases(table, np.inf))[0]
    assert model.predict_purchases(table, 0.0)[0] == 0.0


def test_clone_pickle_and_threads():
    table, _ = simulated(3, 1, 2000)
    model = ModifiedBetaGeoCNBDModel(max_k=4, tol=1e-8)
    copy = clone(model).fit(pd.DataFrame(table))
    assert copy.get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(copy))
    results = []
    for threads in (1, 3):
        with _jit.threads(threads):
            results.append(again.predict_purchases(table, 9.0))
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0], copy.predict_purchases(table, 9.0))
