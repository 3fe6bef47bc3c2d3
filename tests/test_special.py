"""The special functions of kernels against mpmath, at the error bounds that they state."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics import _special

EPS = np.finfo(float).eps
PAIRS = [
    (1e-300, 1.0),
    (1e-12, 15.0),
    (1e-3, 1e4),
    (0.5, 2.0),
    (0.5, 1e-9),
    (1.0, 1.0),
    (1.0, 1e-12),
    (9.999999, 3.0),
    (10.0, 3.0),
    (10.000001, 0.5),
    (1e3, 1e4),
    (1e5, 1e5),
    (1e9, 7.0),
    (1e12, 1e-3),
    (1e15, 1e3),
    (3.0, 1e12),
    (1e-6, 1e-6),
    (2e-20, 1e11),  # the ratio of the arguments passes the point where the first factor is taken apart
    (2e-19, 1e11),
]
positive = st.floats(-12, 12).map(lambda power: 10.0**power)
counts = st.one_of(st.integers(0, 10_000).map(float), positive)


@pytest.fixture(autouse=True)
def _many_digits():
    with mp.workdps(60):
        yield


def log_rising_truth(a: float, n: float) -> mp.mpf:
    return mp.loggamma(mp.mpf(a) + mp.mpf(n)) - mp.loggamma(mp.mpf(a))


def check_log_rising(a: float, n: float) -> None:
    truth = log_rising_truth(a, n)
    assert abs(_special.log_rising(a, n) - truth) < 8 * EPS * (1 + abs(truth) + abs(math.log(a)))


def check_log_staying(a: float, c: float, n: float) -> None:
    truth = log_rising_truth(c, n) - log_rising_truth(a + mp.mpf(c), n)
    few, many = min(a, n), max(a, n)
    size = abs(truth) + abs(math.log(c)) + abs(math.log(c + many)) + few * abs(math.log(c + many + few))
    assert abs(_special.log_staying(a, c, n) - truth) < 16 * EPS * (1 + size)


def check_digamma_rising(a: float, n: float) -> None:
    truth = mp.digamma(mp.mpf(a) + mp.mpf(n)) - mp.digamma(mp.mpf(a))
    assert abs(_special.digamma_rising(a, n) - truth) < 1e-14 * truth


def check_log_beta(a: float, b: float) -> None:
    truth = mp.loggamma(mp.mpf(a)) + mp.loggamma(mp.mpf(b)) - mp.loggamma(mp.mpf(a) + mp.mpf(b))
    assert abs(_special.log_beta(a, b) - truth) < 16 * EPS * (1 + abs(truth))
    assert _special.log_beta(a, b) == _special.log_beta(b, a)


@pytest.mark.parametrize(("a", "n"), PAIRS)
def test_at_chosen_points(a: float, n: float) -> None:
    check_log_rising(a, n)
    check_log_beta(a, n)
    if n >= 1e-3:
        check_digamma_rising(a, n)


@given(a=positive, n=counts)
def test_log_rising(a: float, n: float) -> None:
    check_log_rising(a, n)


@given(a=positive, c=positive, n=counts)
def test_log_staying(a: float, c: float, n: float) -> None:
    check_log_staying(a, c, n)


@pytest.mark.parametrize("large", [1e5, 1e10, 1e15])
def test_log_staying_keeps_its_digits_beside_large_parameters(large: float) -> None:
    for few in (0.3, 1.0, 7.0):
        for a, n in ((few, large), (large, few)):
            truth = log_rising_truth(3.0, n) - log_rising_truth(a + mp.mpf(3), n)
            assert abs(_special.log_staying(a, 3.0, n) - truth) < 1e-13 * abs(truth)
    assert _special.log_staying(0.0, 3.0, math.inf) == 0.0
    assert _special.log_staying(0.5, 3.0, math.inf) == -math.inf


@given(a=positive, n=counts.filter(lambda n: n >= 1e-3))
def test_digamma_rising(a: float, n: float) -> None:
    check_digamma_rising(a, n)


@given(a=positive, b=positive)
def test_log_beta(a: float, b: float) -> None:
    check_log_beta(a, b)


@given(x=positive)
def test_digamma(x: float) -> None:
    truth = mp.digamma(mp.mpf(x))
    assert abs(_special.digamma(x) - truth) < 8 * EPS * (1 + abs(truth))


@pytest.mark.parametrize("x", [1e-300, 1.4616321449683623, 9.999999, 10.0, 1e300])
def test_digamma_at_chosen_points(x: float) -> None:
    truth = mp.digamma(mp.mpf(x))
    assert abs(_special.digamma(x) - truth) < 8 * EPS * (1 + abs(truth))


@pytest.mark.parametrize("x", [10.0, 10.5, 13.0, 100.0, 1e6])
def test_rests_of_the_asymptotic_series(x: float) -> None:
    z = mp.mpf(x)
    truth = mp.loggamma(z) - (z - 0.5) * mp.log(z) + z - mp.log(2 * mp.pi) / 2
    assert abs(_special.stirling_rest(x) - truth) < 1e-17
    truth = mp.digamma(z) - mp.log(z) + 1 / (2 * z) + 1 / (12 * z * z)
    assert abs(_special.digamma_rest(1.0 / (x * x)) - truth) < 1e-17


def test_nothing_rises_by_nothing() -> None:
    for a in (1e-300, 1.0, 9.0, 1e12):
        assert _special.log_rising(a, 0.0) == 0.0
        assert _special.digamma_rising(a, 0.0) == 0.0


@given(a=st.floats(-1e4, 1e4), b=st.floats(-1e4, 1e4))
def test_log_add(a: float, b: float) -> None:
    truth = mp.log(mp.exp(mp.mpf(a)) + mp.exp(mp.mpf(b)))
    assert abs(_special.log_add(a, b) - truth) < 2 * EPS * (1 + abs(truth))
    assert _special.log_add(a, b) == _special.log_add(b, a)


def test_log_add_at_infinity() -> None:
    inf = math.inf
    assert _special.log_add(-inf, -3.0) == -3.0
    assert _special.log_add(-inf, -inf) == -inf
    assert _special.log_add(inf, 2.0) == inf
    assert _special.log_add(inf, inf) == inf
    assert _special.log_add(1e308, 1e308) == 1e308


LANE_EDGES = [0.0, 5e-324, 1e-300, 1e-17, 1e-8, 0.4142135623730949, 0.41421356237309515, 1.0, 1e15, 1e17, 1e300]
LANE_EDGES.append(float(np.finfo(float).max))


def check_log1p_lane(u: float) -> None:
    truth = mp.log1p(mp.mpf(u))
    assert abs(_special.log1p_lane(u) - truth) <= 4 * EPS * truth


def check_exp_lane(v: float) -> None:
    truth = mp.exp(mp.mpf(v))
    assert abs(_special.exp_lane(v) - truth) <= max(4 * EPS * truth, mp.mpf("5e-324"))


@pytest.mark.parametrize("u", LANE_EDGES)
def test_lane_functions_at_chosen_points(u: float) -> None:
    check_log1p_lane(u)
    check_exp_lane(-u)
    check_exp_lane(-700.0 * u)


@given(u=positive)
def test_log1p_lane(u: float) -> None:
    check_log1p_lane(u)


@given(v=st.floats(0.0, 745.0))
def test_exp_lane(v: float) -> None:
    check_exp_lane(-v)


@given(v=st.floats(0.0, 700.0) | st.floats(-18, 0).map(lambda power: 10.0**power))
def test_expm1_lane(v: float) -> None:
    truth = mp.expm1(mp.mpf(v))
    assert abs(_special.expm1_lane(v) - truth) <= 4 * EPS * truth
    assert abs(_special.exp_lane(v) - mp.exp(mp.mpf(v))) <= 4 * EPS * mp.exp(mp.mpf(v))


@given(y=st.floats(1e-307, 1e307))
def test_log_lane(y: float) -> None:
    truth = mp.log(mp.mpf(y))
    assert abs(_special.log_lane(y) - truth) <= 2 * EPS * (abs(truth) + 1)


def test_lane_functions_at_infinity() -> None:
    assert _special.exp_lane(-math.inf) == 0.0
    assert _special.log1p_lane(math.inf) == pytest.approx(math.log(np.finfo(float).max), rel=1e-15)
