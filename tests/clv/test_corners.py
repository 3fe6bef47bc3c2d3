"""Likelihoods at the bounds of the search, where parameters are 1e-10 and 1e10: they approach their limits smoothly."""

from __future__ import annotations

from functools import partial
from itertools import product

import mpmath as mp
import numba
import numpy as np
import pytest
from tests.reference import clv as reference
from tests.reference import clv_families

from custanalytics import clv
from custanalytics.clv import _fit, _kernels_cnbd

WHO = ((0, 0.0, 1.0), (1, 0.0, 1.0), (7, 0.0, 0.01), (2, 0.4, 1.3), (30, 0.9, 0.9), (3, 0.2, 50.0))


def found(loop, who, theta):
    sample = _fit.Sample(tuple(np.array([float(value)]) for value in who), np.ones(1))
    return _fit.total(loop, sample, np.array(theta))


@pytest.mark.parametrize(
    ("k", "chances", "loop"),
    [
        (1, 0, clv.BetaGeoModel._loglik_loop),
        (1, 1, clv.ModifiedBetaGeoModel._loglik_loop),
        (3, 0, partial(_kernels_cnbd.log_likelihood_loop, 3.0, 0.0)),
        (2, 1, partial(_kernels_cnbd.log_likelihood_loop, 2.0, 1.0)),
    ],
)
def test_families_of_the_beta_geometric(k, chances, loop):
    values = (1e-10, 0.3, 1e10)
    for theta in (*product(values, repeat=4), (1e10, 1e10, 1e-10, 1e6), (1e10, 3e9, 1e5, 4e4)):
        for who in WHO:
            with mp.workdps(50):
                exact = float(clv_families.log_likelihood(k, chances, *who, *theta))
            rounding = 1e-13 + 1e-14 * k * who[0] * _fit.BOX  # of as many logarithms of up to 1e10
            assert found(loop, who, theta)[0] == pytest.approx(exact, rel=2e-13, abs=rounding), (who, theta)


@pytest.mark.parametrize("x", [1, 3, 40])
def test_spend_of_large_shapes(x):
    """A customer always spends the same, and all spend the same: the powers cancel against the beta function."""
    for p, q in ((1e10, 1e10), (1e10, 30.0), (10.5, 1e10), (3e6, 12.0), (1e5, 4e5), (11.0, 10.0), (1e10, 3.0)):
        for off in (0.0, 1e-9, -1e-5, 0.01, -0.3, 3.0):
            m, v = 20.0, 20.0 * q / p * (1.0 + off)
            values = found(clv.GammaGammaModel._loglik_loop, (x, m), (p, q, v))
            with mp.workdps(50):
                exact = float(reference.gg_log_likelihood(x, m, p, q, v))
                slopes = reference.gg_gradient(x, m, p, q, v)
            assert values[0] == pytest.approx(exact, rel=1e-13, abs=1e-14 * (p * x + q) ** 0.5 + 1e-13), (p, q, off)
            rounding = 1e-15 * (p * x + q) if numba.config.DISABLE_JIT else 1e-13 * (p * x + q) ** 0.5
            by_logs, exactly = values[1:] * (p, q, v), np.array(slopes) * (p, q, v)
            assert (np.abs(by_logs - exactly) <= 1e-12 * np.abs(exactly) + rounding).all(), (p, q, off)
            correlated = found(clv.CorrelatedGammaGammaModel._loglik_loop, (x, 0.3, m), (p, q, v * np.exp(-0.3), 1.0))
            assert correlated[0] == pytest.approx(exact, rel=1e-12, abs=1e-6), (p, q, off)
