"""Likelihoods at the bounds of the search, where parameters are 1e-10 and 1e10: they approach their limits smoothly."""

from __future__ import annotations

from functools import partial
from itertools import product

import mpmath as mp
import numpy as np
import pytest
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
