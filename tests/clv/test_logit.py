"""Integrals over a beta distributed chance where its shapes are those of the corners of the search, 1e-10 to 1e10."""

from __future__ import annotations

from itertools import product

import mpmath as mp
import numpy as np
import pytest

from custanalytics import clv
from custanalytics.clv import _kernels_beta_geo_purchases as purchases
from custanalytics.clv import _kernels_cnbd_purchases as ahead
from custanalytics.clv import _kernels_futures as futures
from custanalytics.clv import _kernels_logit as logit

SHAPES = (1e-10, 1e-3, 0.7, 9.0, 11.0, 1e4, 1e10)


@pytest.mark.parametrize(("a", "c"), list(product(SHAPES, SHAPES)))
def test_the_density_beside_its_mode_and_its_mass(a, c):
    with mp.workdps(60):
        p, q = mp.mpf(a) / (mp.mpf(a) + mp.mpf(c)), mp.mpf(c) / (mp.mpf(a) + mp.mpf(c))
        mass = mp.log(mp.beta(a, c)) - mp.mpf(a) * mp.log(p) - mp.mpf(c) * mp.log(q)
        assert logit.log_mass(a, c) == pytest.approx(float(mass), rel=1e-14, abs=1e-13)
        for t in (-900.0, -60.0, -3.0, -1e-5, 0.0, 1e-4, 0.4, 20.0, 800.0):
            exact = -(mp.mpf(a) * mp.log(p + q * mp.exp(-t)) + mp.mpf(c) * mp.log(q + p * mp.exp(t)))
            rounding = 1e-15 * max(abs(t), 1.0) * min(a, c) ** 0.5  # at a distance of so many widths
            assert logit.log_beside_mode(a, c, t) == pytest.approx(float(exact), rel=1e-12, abs=rounding + 1e-15)


def expected(value, a, c, s_u):
    """E[value(p, 1 - p)], p ~ Beta(a, c), by a rule ten times as fine as ours over all that counts."""
    a, c = mp.mpf(a), mp.mpf(c)
    mode, low = mp.log(a / c), mp.log(a / (c + s_u))
    width = 1 / mp.sqrt(a * c / (a + c) + 1)
    log_top = -(a * mp.log1p(c / a) + c * mp.log1p(a / c))
    mass, total = mp.mpf(0), mp.mpf(0)
    step = width / 20
    assert mode - low < 60
    for n in range(-1200, 1200):
        y = mode + n * step
        weight = mp.exp(-(a * mp.log1p(mp.exp(-y)) + c * mp.log1p(mp.exp(y))) - log_top)
        mass += weight
        total += weight * value(1 / (1 + mp.exp(-y)), 1 / (1 + mp.exp(y)))
    return float(total / mass)


@pytest.mark.parametrize(
    ("s", "u", "a", "c"),
    [
        (1e10, 1e4, 1e10, 8e7),
        (1e10, 1e-8, 1e10, 1e10),
        (3e4, 0.2, 1e8, 40.0),
        (1e6, 1e-3, 200.0, 1e10),
        (900.0, 3.0, 1e10, 1e8),
        (900.0, 30.0, 1e16, 3e19),
    ],
)
def test_what_lies_ahead_where_dropout_is_nearly_known(s, u, a, c):
    with mp.workdps(40):
        left = lambda p: (1 + p * mp.mpf(u)) ** -mp.mpf(s)  # noqa: E731
        stay = expected(lambda p, q: left(p), a, c, s * u)
        bought = expected(lambda p, q: (1 - left(p)) / p, a, c, s * u)
    room = ahead.room(1.0)
    assert purchases.purchases_integral(s, u, a, c) == pytest.approx(bought, rel=1e-9)
    assert futures.active_integral(s, u, a, c) == pytest.approx(stay, rel=1e-9, abs=1e-290)
    for what, exact in ((ahead.STAY, stay), (ahead.PURCHASES, bought)):
        found = ahead.integral(what, s, u, a, c, np.ones(1), room[1])
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-290)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (clv.BetaGeoModel, {}),
        (clv.ModifiedBetaGeoModel, {}),
        (clv.BetaGeoCNBDModel, {"k": 2}),
        (clv.ModifiedBetaGeoCNBDModel, {"k": 12}),
    ],
)
def test_predictions_at_all_corners_of_the_search_come_to_an_end(kind, given):
    """Where all buy again at once and leave, a density 1e-5 wide was followed over a range of 40."""
    table = {"frequency": [0, 1, 54], "recency": [0.0, 50.0, 1e-3], "T": [100.0] * 3}
    for corner in (*product((1e-10, 1.0, 1e10), repeat=4), *product((1.0, 1e30), repeat=4)):
        model = kind.from_params(**dict(zip(("r", "alpha", "a", "b"), corner, strict=True)), **given)
        alive = model.predict_alive(table)
        later = model.predict_alive(table, ahead=30.0)
        bought = model.predict_purchases(table, 30.0)
        window = model.predict_purchases(table, 30.0, start=100.0)
        assert ((later >= 0.0) & (later <= alive * (1.0 + 1e-9))).all(), corner
        assert (np.isfinite(bought) & (bought >= 0.0)).all(), corner
        assert (np.isfinite(window) & (window >= 0.0)).all(), corner
