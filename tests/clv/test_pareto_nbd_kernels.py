"""Pareto/NBD kernels against mpmath: everywhere, and on both sides of every switch of branch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import pareto_nbd as reference

from custanalytics import _jit
from custanalytics.clv import _kernels_pareto_nbd as kernels

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "pareto_nbd.json").read_text())
CDNOW = np.array(list(GOLDEN["fit"]["params"].values()))
Case = tuple[float, ...]  # x, t_x, T, r, alpha, s, beta


def evaluate(case: Case, width: int = 5) -> np.ndarray:
    """Log-likelihood and gradient, with room for more the second derivatives too, as a fit sees them."""
    out = np.full((1, width), np.nan)
    columns = [np.array([float(value)]) for value in case[:3]]
    _jit.run(kernels.log_likelihood_loop, 1, *columns, np.ones(1), np.array(case[3:], float), out=(out,))
    return out[0]


def alive(case: Case) -> float:
    out = np.empty(1)
    columns = [np.array([float(value)]) for value in case[:3]]
    _jit.run(kernels.alive_loop, 1, *columns, np.array(case[3:], float), out=(out,))
    return float(out[0])


def off(found: float, truth: mp.mpf) -> float:
    return float(abs(found - truth) / abs(truth)) if truth else float(abs(found))


def check_likelihood(case: Case) -> None:
    assert off(evaluate(case)[0], reference.log_likelihood(*case)) < 1e-11, case


def check_gradient(case: Case) -> None:
    found = evaluate(case)[1:]
    for value, truth in zip(found, reference.gradient(*case), strict=True):
        assert off(value, truth) < 1e-9, case


def check_alive(case: Case) -> None:
    truth = reference.alive(*case)
    if truth > 1e-300:
        assert off(alive(case), truth) < 1e-10, case
    else:
        assert 0 < alive(case) <= 1e-290, case


def random_cases(n: int, seed: int) -> list[Case]:
    """Parameters and customers over the whole range, the special ones among them."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(n):
        r, s, alpha, beta = 10 ** rng.uniform(-3, 3, 4)
        x = (0.0, float(rng.integers(1, 20)), float(round(10 ** rng.uniform(0, 4))))[number % 3]
        match number % 7:
            case 0:
                s = 1.0
            case 1:
                s = r
            case 2:
                beta = alpha
        T = 10 ** rng.uniform(-3, 4)
        t_x = T * (1 - 10 ** rng.uniform(-6, 0) if number % 5 == 0 else rng.uniform()) if x else 0.0
        cases.append(tuple(float(value) for value in (x, t_x, T, r, alpha, s, beta)))
    return cases


@pytest.mark.parametrize("hard", GOLDEN["hard"], ids=lambda hard: str(hard["customer"]))
def test_where_other_libraries_overflow(hard: dict[str, Any]) -> None:
    case = (*hard["customer"], *hard["params"])
    assert evaluate(case)[0] == pytest.approx(hard["log_likelihood"], abs=5e-5)
    assert off(evaluate(case)[0], reference.log_likelihood_by_quadrature(*case)) < 1e-11
    check_likelihood(case)
    check_gradient(case)
    check_alive(case)


def test_the_reference_agrees_with_the_integral() -> None:
    for case in [(3, 10.0, 20.0, 0.55, 10.6, 0.6, 11.7), (0, 0.0, 39.0, 0.5, 3.0, 2.0, 1.0), (40, 5, 9, 7, 2, 2, 2)]:
        truth = reference.log_likelihood_by_quadrature(*case)
        assert off(reference.log_likelihood(*case), truth) < 1e-20


def test_likelihood_gradient_and_alive_everywhere() -> None:
    for number, case in enumerate(random_cases(60, seed=20)):
        check_likelihood(case)
        check_alive(case)
        if number % 4 == 0:
            check_gradient(case)


@pytest.mark.thorough
def test_likelihood_gradient_and_alive_everywhere_at_length() -> None:
    for case in random_cases(400, seed=21):
        check_likelihood(case)
        check_alive(case)
        check_gradient(case)


def hessian(case: Case) -> np.ndarray:
    """Second derivatives by the log-parameters."""
    upper = np.zeros((4, 4))
    upper[np.triu_indices(4)] = evaluate(case, width=15)[5:]
    return upper + np.triu(upper, 1).T


def differences_of_the_gradient(case: Case) -> np.ndarray:
    """The same by fourth-order differences of the gradient."""
    theta, step, result = np.array(case[3:]), 1e-4, np.empty((4, 4))
    for k in range(4):
        slopes = []
        for steps in (-2, -1, 1, 2):
            moved = theta.copy()
            moved[k] *= np.exp(steps * step)
            slopes.append(evaluate((*case[:3], *moved))[1:] * moved)
        result[k] = (slopes[0] - 8 * slopes[1] + 8 * slopes[2] - slopes[3]) / (12 * step)
    result[2:, :2] = result[:2, 2:].T  # those of s and beta have no terms that grow with x, whose rounding would show
    return result


def check_hessian(case: Case) -> None:
    found, truth = hessian(case), differences_of_the_gradient(case)
    size = np.sqrt(np.abs(np.diag(truth)))
    np.testing.assert_allclose(found, found.T, rtol=0)
    rounding = 1e-11 * (1 + case[0] + 20 * case[3] + 20 * case[5])  # of the terms of the gradient, over the step
    assert (np.abs(found - truth) <= 1e-6 * np.outer(size, size) + rounding).all(), case


def test_second_derivatives() -> None:
    for case in random_cases(300, seed=22):
        check_hessian(case)
        assert (evaluate(case, width=15)[:5] == evaluate(case)).all()


@pytest.mark.thorough
def test_second_derivatives_at_length() -> None:
    for case in random_cases(10_000, seed=23):
        check_hessian(case)


def test_customers_add_up_in_any_order() -> None:
    """Sums over customers with their weights, whether those of one x come together or not."""
    rng = np.random.default_rng(1)
    x = np.array([3.0, 0.0, 7.0, 7.0, 1.0, 0.0, 4.0])
    T = rng.uniform(1, 39, x.size)
    t_x, weight, theta = np.where(x > 0, T * rng.uniform(size=x.size), 0.0), rng.uniform(size=x.size), CDNOW
    alone = [w * evaluate((*row, *theta), width=15) for w, *row in zip(weight, x, t_x, T, strict=True)]
    for order in (np.arange(x.size), np.argsort(x)):
        out = np.empty((1, 15))
        columns = [values[order] for values in (x, t_x, T, weight)]
        _jit.run(kernels.log_likelihood_loop, x.size, *columns, theta, out=(out,))
        np.testing.assert_allclose(out[0], np.sum(alone, axis=0), rtol=1e-12)


def test_a_customer_gets_the_same_bits_in_any_company() -> None:
    """Whatever else the lanes are about, how many of them are in use, and however many panels each one takes."""
    rng = np.random.default_rng(24)
    cases = np.array(random_cases(150, seed=24))
    for theta in (CDNOW, np.array([30.0, 0.5, 2.0, 0.1]), np.array([1e-3, 10.0, 1e-3, 1e3])):
        x, t_x, T = cases[:, 0], cases[:, 1], cases[:, 2]
        alone = [[alive((*row, *theta)), *evaluate((*row, *theta), width=15)] for row in cases[:, :3]]
        for n in (2, 3, 15, 16, 17, 33, 150):
            rows = rng.permutation(len(cases))[:n]
            columns = [np.ascontiguousarray(column[rows]) for column in (x, t_x, T)]
            share, parts = np.empty(n), np.empty((n, 1, 15))
            _jit.run(kernels.alive_loop, n, *columns, theta, out=(share,))
            thetas = np.repeat(theta[None], n, axis=0)
            _jit.call(kernels.grouped_loop, np.arange(n + 1), *columns, np.ones(n), thetas, out=(parts,))
            np.testing.assert_array_equal(np.column_stack([share, parts[:, 0]]), np.array(alone)[rows])


SWITCHES: dict[str, list[Case]] = {
    "which scale is smaller": [
        (3, 10, 20, 0.5, 10.0, 0.6, 10.0 * factor) for factor in (1 - 1e-9, 1.0, 1 + 1e-9, 1e-6, 1e6)
    ],
    "r + x below and above 1, where the integrand rises and falls": [
        (0, 0, T, r, 1e-3, s, 50.0) for r in (1e-3, 0.9, 1.0, 1.1) for s in (1e-3, 1.0) for T in (1.0, 1e4)
    ],
    "seen at T itself": [(4, 10.0, 10.0, 0.5, 3.0, 0.6, 7.0), (0, 0.0, 0.0, 0.5, 3.0, 0.6, 7.0)],
    "seen just before T": [(4, 10.0, 10.0 + gap, 0.5, 3.0, 0.6, 7.0) for gap in (1e-13, 1e-9, 1e-5)],
    "one panel or more": [(9, 1.0, 1.0 + gap, 1.0, 1.0, 1.0, 1e6) for gap in (1.47, 1.495, 1.5, 3.0, 3.04, 9.0)],
    "the tail is dropped": [(40, 1.0, 1.0 + gap, 1.0, 1.0, 1.0, 1e3) for gap in (2.9, 3.0, 3.2, 60.0)],
    "a buyer who never came back, likely or not": [
        (0, 0, T, 0.5, 10.0, 0.6, 12.0) for T in (1e-6, 1e-3, 1.0, 39.0, 54.0, 55.0, 56.0, 57.0, 1e3)
    ],
    "no purchase and hardly a chance of one": [(0, 0, 1e-3, 1e-3, 1e3, 0.5, 2.0), (0, 0, 50.0, 0.05, 1.2, 300.0, 1e-2)],
    "shapes and scales almost without bound": [
        (5, 3.0, 9.0, 1e8, 1e8, 0.6, 7.0),
        (5, 3.0, 9.0, 0.5, 4.0, 1e8, 1e9),
        (5, 3.0, 9.0, 0.5, 4.0, 1e-8, 1e8),
        (5, 3.0, 9.0, 0.5, 4.0, 1e-8, 1e-8),
    ],
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_both_sides_of_every_switch(switch: str) -> None:
    for case in SWITCHES[switch]:
        truth = reference.log_likelihood(*case)
        assert abs(evaluate(case)[0] - truth) <= 1e-11 * abs(truth) + 1e-50, case
        check_alive(case)


@pytest.mark.parametrize("switch", SWITCHES)
def test_gradient_on_both_sides_of_every_switch(switch: str) -> None:
    for case in SWITCHES[switch]:
        if case[1] == case[2] == 0:
            assert evaluate(case)[1:].tolist() == [0, 0, 0, 0]
        else:
            check_gradient(case)
            check_hessian(case)


def test_both_sides_of_a_likely_first_purchase_are_there() -> None:
    """The case above does straddle the point where the likelihood of x = 0 changes its form."""
    values = [evaluate(case)[0] for case in SWITCHES["a buyer who never came back, likely or not"]]
    assert min(values) < -0.5 < max(values)


@given(
    power=st.floats(-12, 3),
    sign=st.sampled_from([-1.0, 0.0, 1.0]),
    beta=st.floats(-3, 4).map(lambda power: 10.0**power),
    horizon=st.one_of(st.just(0.0), st.floats(-9, 6).map(lambda power: 10.0**power)),
)
def test_mean_lifetime(power: float, sign: float, beta: float, horizon: float) -> None:
    s = 1.0 + sign * 10.0**power
    if s > 0:
        assert off(kernels.mean_lifetime(s, beta, horizon), reference.mean_lifetime(s, beta, horizon)) < 1e-14


def test_mean_lifetime_at_its_switches() -> None:
    growth = math.log1p(3.0)
    for exponent in (-1e-8, 1e-8, -1.0, 1.0, -0.7, 0.7):
        for nudge in (1 - 1e-6, 1 + 1e-6):
            s = 1.0 + exponent * nudge / growth
            if s > 0:
                assert off(kernels.mean_lifetime(s, 2.0, 6.0), reference.mean_lifetime(s, 2.0, 6.0)) < 1e-14


def test_mean_lifetime_without_end() -> None:
    assert kernels.mean_lifetime(3.0, 4.0, math.inf) == 2.0
    assert kernels.mean_lifetime(1.0, 4.0, math.inf) == math.inf
    assert kernels.mean_lifetime(0.3, 4.0, math.inf) == math.inf


def test_purchases_add_up_horizons_by_weight() -> None:
    theta, out = np.array([0.5, 3.0, 0.6, 7.0]), np.empty(2)
    x, T = np.array([0.0, 4.0]), np.array([9.0, 20.0])
    horizons, weights = np.array([1.0, 10.0, 1e4]), np.array([0.5, 2.0, 0.25])
    _jit.run(kernels.purchases_loop, 2, x, T, theta, horizons, weights, out=(out,))
    for row in range(2):
        truth = sum(
            weight * (0.5 + x[row]) / (3 + T[row]) * reference.mean_lifetime(0.6, 7 + T[row], horizon)
            for horizon, weight in zip(horizons, weights, strict=True)
        )
        assert off(float(out[row]), truth) < 1e-14
