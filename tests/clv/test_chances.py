"""Chances of counts at solutions near a limit: almost no heterogeneity, of rates, of dropout, or of both."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from tests.reference import futures

from custanalytics.clv import BetaGeoBetaBinomModel, BetaGeoCNBDModel, BetaGeoModel, GammaGompertzNBDModel, NBDModel
from custanalytics.clv._given_alive import GivenAlive, GivenThere, negative_binomial

LARGE = [1e5, 1e8, 1e10]
WHO = {"frequency": [3.0], "recency": [2.0], "T": [10.0]}
COUNTS = [0, 1, 2, 50]


@pytest.fixture(autouse=True)
def _many_digits():
    with mp.workdps(60):
        yield


def assert_close(found, expected):
    np.testing.assert_allclose(found, [float(value) for value in expected], rtol=1e-11)


@pytest.mark.parametrize("large", LARGE)
def test_customers_who_all_buy_at_one_rate(large):
    model = NBDModel.from_params(r=large, alpha=large / 2.0)
    found = model.predict_count_probabilities(WHO, COUNTS, 20.0)[0]
    assert_close(found, [futures.negative_binomial(n, large + 3.0, large / 2.0 + 10.0, 20.0) for n in COUNTS])


@pytest.mark.parametrize("large", LARGE)
def test_customers_who_all_drop_out_alike(large):
    model = BetaGeoModel.from_params(r=0.5, alpha=5.0, a=0.1 * large, b=large)
    found = model.predict_count_probabilities(WHO, COUNTS, 20.0)[0]
    given = GivenAlive.of(1, shape=3.5, scale=15.0, a=0.1 * large, c=large + 3.0)
    alive = model.predict_alive(WHO)[0]
    expected = [futures.coin_counts(n, 3.5, 15.0, 0.1 * large, large + 3.0, 20.0) for n in COUNTS]
    assert_close(given.exactly(np.array([COUNTS], float), 20.0)[0], expected)
    assert_close(found[1:], [alive * value for value in expected[1:]])


@pytest.mark.parametrize("large", LARGE)
def test_regular_customers_who_are_all_alike(large):
    model = BetaGeoCNBDModel.from_params(k=3, r=large, alpha=large / 6.0, a=0.1 * large, b=large)
    alive = model.predict_alive(WHO)[0]
    found = model.predict_count_probabilities(WHO, COUNTS[1:], 20.0)[0]
    share = 8.0 / (large / 6.0 + 10.0)
    given = (3, large + 9.0, share, large / 6.0 + 10.0, 0.1 * large, large + 3.0)
    assert_close(found, [alive * futures.phased_counts(n, *given, 20.0) for n in COUNTS[1:]])


def new_counts(n, horizon, alpha, beta, gamma, delta):
    """P(n purchases) of a customer there for exactly m of the opportunities, summed over m."""
    alpha, beta, gamma, delta = map(mp.mpf, (alpha, beta, gamma, delta))
    total = mp.mpf(0)
    for m in range(n, horizon + 1):
        there = mp.beta(gamma + (m < horizon), delta + m) / mp.beta(gamma, delta)
        total += there * mp.binomial(m, n) * mp.beta(alpha + n, beta + m - n) / mp.beta(alpha, beta)
    return total


@pytest.mark.parametrize("large", LARGE)
def test_opportunities_that_are_all_alike(large):
    model = BetaGeoBetaBinomModel.from_params(alpha=large, beta=2.0 * large, gamma=0.1 * large, delta=large)
    found = model.probability_of_purchases([0, 1, 7], 12)
    assert_close(found, [new_counts(n, 12, large, 2.0 * large, 0.1 * large, large) for n in (0, 1, 7)])
    stay = GivenThere(np.array([[large, large, 0.1 * large, large]])).stay(7.0)
    assert_close(stay, [futures.left(7, 0.1 * large, large)])


def test_horizons_of_no_time_and_of_all_time():
    n, ones = np.array([[0.0, 1.0, 5.0]]), np.ones((1, 1))
    assert negative_binomial(n, ones, ones, 0.0).tolist() == [[1.0, 0.0, 0.0]]
    assert negative_binomial(n, ones, ones, np.inf).tolist() == [[0.0, 0.0, 0.0]]
    assert negative_binomial(n, ones, ones, 5e-324)[0, 0] == 1.0
    there = GivenThere(np.array([[1.0, 2.0, 0.5, 3.0]]))
    assert [there.stay(0.0)[0], there.stay(np.inf)[0]] == [1.0, 0.0]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_hazard_that_ceases_to_grow_before_most_have_left(n):
    """What it was like while it grew is looked at closely, also from above."""
    r, alpha, b, s, beta = 62.3998, 5.0, 693.882, 0.0351008, 593.5
    model = GammaGompertzNBDModel.from_params(r=r, alpha=alpha, b=b, s=s, beta=beta)
    new = {"frequency": [0], "recency": [0.0], "T": [0.0]}

    def ends(t):
        growth = mp.exp(b * t)
        ways = mp.exp(mp.loggamma(r + n) - mp.loggamma(r) - mp.loggamma(n + 1))
        counts = ways * (t / (alpha + t)) ** n * (alpha / (alpha + t)) ** r
        return counts * s * b * growth / (beta - 1 + growth) * (beta / (beta - 1 + growth)) ** s

    edges = [*(mp.mpf(step) * mp.log(beta) / b / 2 for step in range(24)), 0.2, 0.5, 1, 10]
    assert_close(model.predict_count_probabilities(new, [n], 10.0)[0], [mp.quad(ends, edges)])
