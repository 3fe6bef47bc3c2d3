"""Counts of purchases within a lifetime, piece by piece: against integrals in many digits, and against each other."""

from __future__ import annotations

from time import perf_counter

import mpmath as mp
import numba
import numpy as np
import pytest
from tests.reference import calendar as slow

from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._given_calendar import GivenCalendar
from custanalytics.clv._windows import Ahead


def counted(n, shape, scale, s, beta, pieces, at_least=False):
    """P(X = n), or P(X >= n), of one customer with a lifetime."""
    length, rates, hazards = (np.array(column, float) for column in zip(*pieces, strict=True))
    ahead = Ahead(np.array([0, length.size]), np.append(0.0, np.cumsum(length)[:-1]), length, rates, hazards)
    table = GivenAlive.of(1, shape=shape, scale=scale, s=s, beta=beta).table
    given = GivenCalendar(table, np.zeros(1, np.int64), ahead)
    return (given.at_least if at_least else given.exactly)(np.array([n], float), float(length.sum()))[0]


def check_counts(seed, cases):
    rng = np.random.default_rng(seed)
    with mp.workdps(25):
        for _ in range(cases):
            r, scale, s, beta = 10 ** rng.uniform(-3, 3, 4)
            shape = r + float(rng.integers(0, 10 ** rng.uniform(0, 4)))
            pieces = [tuple(10 ** rng.uniform((-3, -2, -2), (3, 2, 2))) for _ in range(rng.integers(2, 5))]
            n = np.floor(10 ** rng.uniform(0, 2.5, 2))  # in any order
            given = shape, scale, s, beta, pieces
            exactly = [float(slow.lifetime_counts(int(each), *given, 18)) for each in n]
            np.testing.assert_allclose(counted(n, *given), exactly, rtol=1e-10, atol=1e-290)
            at_least = [float(slow.lifetime_at_least(int(each), *given, 18)) for each in n]
            np.testing.assert_allclose(counted(n, *given, at_least=True), at_least, rtol=1e-10, atol=1e-290)


def test_counts_agree_with_many_digits():
    check_counts(1, 1)


@pytest.mark.thorough
def test_counts_agree_with_many_digits_in_10_cases():
    check_counts(2, 10)


def check_sums(seed, cases):
    rng = np.random.default_rng(seed)
    for _ in range(cases):
        r, scale, s, beta = 10 ** rng.uniform(-3, 3, 4)
        shape = r + float(rng.integers(0, 10 ** rng.uniform(0, 4)))
        pieces = [tuple(10 ** rng.uniform((-3, -6, -6), (3, 6, 6))) for _ in range(rng.integers(1, 8))]
        given = shape, scale, s, beta, pieces
        below, above = counted(np.arange(150), *given), counted([0, 3, 150], *given, at_least=True)
        assert (below >= 0).all()
        assert above[0] == 1.0
        assert below[:3].sum() + above[1] == pytest.approx(1.0, rel=1e-12)
        assert below.sum() + above[2] == pytest.approx(1.0, rel=1e-12)


def test_counts_and_what_is_above_them_are_all_there_is():
    check_sums(3, 60)


@pytest.mark.thorough
def test_counts_and_what_is_above_them_are_all_there_is_in_500_cases():
    check_sums(4, 500)


def test_a_life_that_may_end_at_once_or_late_is_counted_whole():
    # at once, or after 400 purchases: the integrand of the second piece has two peaks
    given = 401.0, 1.0, 0.5, 1e-3, [(1.0, 1.0, 0.01), (500.0, 2.0, 30.0)]
    with mp.workdps(25):
        expected = float(slow.lifetime_counts(400, *given, 25))
    assert counted([400], *given)[0] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("r", [0.2, 500.0])
def test_counts_of_heavy_buyers_are_those_without_a_calendar(r):
    """Of 10,000 purchases so far, in pieces that are alike; far from its height the integrand is passed over."""
    customer = {"shape": r + 10_000.0, "scale": 1.2, "s": 47.0, "beta": 11.0}
    pieces = [(length, 1.0, 1.0) for length in (0.01, 0.2, 3.0, 150.0, 300.0, 99_546.79)]
    plain, n = GivenAlive.of(1, **customer), np.array([[0.0, 3, 150, 400, 2_500, 9_000, 11_000, 70_000]])
    for name in ("exactly", "at_least"):
        asked = counted(n[0], *customer.values(), pieces, at_least=name == "at_least")
        expected = getattr(plain, name)(n, 100_000.0)[0]
        np.testing.assert_allclose(asked, expected, rtol=1e-10, atol=1e-290)
    start = perf_counter()
    for _ in range(1 if numba.config.DISABLE_JIT else 100):
        counted([2_500], *customer.values(), pieces)
    assert perf_counter() - start < 2.0  # of 4 to 5 without that


def test_counts_within_lifetimes_are_those_of_the_definition():
    pieces = [(1.0, 0.5, 2.0), (3.0, 2.0, 0.1), (0.5, 1.0, 1.0), (4.0, 0.3, 3.0)]
    given = (3.6, 20.0, 0.6, 30.0)
    for n, found in zip([0, 1, 4, 9], counted([0, 1, 4, 9], *given, pieces), strict=True):
        assert found == pytest.approx(slow.by_definition(n, *given, pieces), rel=1e-11)
