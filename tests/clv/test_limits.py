"""Fits that run to the boundary say in words what it means, and find it where it is."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from custanalytics import clv
from custanalytics.clv._limits import told
from custanalytics.exceptions import FitWarning

N = 400


def purchases(rate, live):
    """As many Poisson purchases as the rates and times of activity give."""
    rng = np.random.default_rng(1)
    live = np.broadcast_to(live, N)
    x = rng.poisson(rate * live)
    return {
        "frequency": x,
        "recency": np.where(x > 0, live * rng.random(N) ** (1.0 / np.maximum(x, 1)), 0.0),
        "T": np.full(N, 30.0),
    }


def shares(seed, *args):
    return np.random.default_rng(seed).gamma(*args, N)


EQUAL = {"frequency": 8 + np.arange(N) % 3, "recency": np.full(N, 29.0), "T": np.full(N, 30.0)}  # and nobody leaves
EXPONENTIAL = purchases(shares(2, 2.0, 0.1), np.minimum(shares(3, 1.0, 20.0), 30.0))
AT_ONCE = purchases(shares(2, 2.0, 0.3), np.where(np.arange(N) % 2, 1e-9, 30.0))
NOBODY = {"frequency": np.zeros(9), "recency": np.zeros(9), "T": np.full(9, 30.0)}
WHOLE = np.full(300, 7)
TOSSES = np.random.default_rng(4).random((300, 7)) < 0.4
SAME_CHANCE = {"frequency": TOSSES.sum(axis=1), "recency": (TOSSES * np.arange(1, 8)).max(axis=1), "T": WHOLE}
SAME_RATE = r"The limit there: all customers buy at the same rate \(r and alpha grow\)"
NO_DROPOUT = rf"{SAME_RATE}; nobody drops out \("


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("NBDModel", EQUAL, SAME_RATE),
        ("BetaGeoModel", EQUAL, NO_DROPOUT),
        ("ModifiedBetaGeoModel", EQUAL, NO_DROPOUT),
        ("ParetoNBDModel", EQUAL, NO_DROPOUT),
        ("GammaGompertzNBDModel", EQUAL, NO_DROPOUT),
        ("NBDModel", NOBODY, r"nobody buys again \(r / alpha goes to 0\)"),
        ("ParetoNBDModel", EXPONENTIAL, "all customers have the same hazard of dropping out"),
        ("ParetoNBDModel", AT_ONCE, "who drops out does so at once"),
        ("ShiftedBetaGeoModel", {"recency": WHOLE, "T": WHOLE}, "nobody leaves"),
        ("ShiftedBetaGeoModel", {"recency": 0 * WHOLE, "T": WHOLE}, "everybody leaves at the first opportunity"),
        (
            "ShiftedBetaGeoModel",
            {"recency": 7 * (np.arange(300) % 2), "T": WHOLE},
            "some customers leave at the first opportunity and the others never",
        ),
        ("BetaDiscreteWeibullModel", {"recency": WHOLE, "T": WHOLE}, "nobody leaves"),
        ("BetaGeoBetaBinomModel", SAME_CHANCE, "all customers buy with the same chance.*; nobody leaves"),
        (
            "BetaGeoBetaBinomModel",
            {"frequency": WHOLE, "recency": WHOLE, "T": WHOLE},
            "everybody buys at every opportunity .*; nobody leaves",
        ),
        (
            "GammaGammaModel",
            {"frequency": np.arange(1, 9), "monetary_value": np.full(8, 20.0)},
            "a customer always spends the same .*; all customers spend the same on average .* beyond the bounds",
        ),
    ],
)
def test_the_limit_is_named(name, table, words):
    with pytest.warns(FitWarning, match=words):
        model = getattr(clv, name)().fit(table)
    assert model.converged_
    assert model.undetermined_


def test_customers_who_do_differ_hear_of_no_limit():
    x = np.random.default_rng(5).poisson(shares(6, 2.0, 3.0))
    table = {"frequency": x, "recency": np.where(x > 0, 29.0, 0.0), "T": np.full(N, 30.0)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = clv.NBDModel().fit(table)
    assert model.converged_
    assert model.undetermined_ == ()


MODELS = [getattr(clv, name) for name in clv.__all__ if getattr(getattr(clv, name), "_limits", ())]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_knows_its_limits_and_stumbles_over_no_number(model):
    corners = np.array(np.meshgrid(*([[1e-10, 1e-3, 1.0, 1e3, 1e10]] * len(model._names)))).reshape(
        len(model._names), -1
    )
    spoken = set()
    for corner in corners.T:
        scaled = dict(zip(model._names, corner.tolist(), strict=True))
        assert told(model._limits, scaled, (), 0.0) == ""
        spoken.add(told(model._limits, scaled, model._names, 0.0))
    assert len(spoken) > sum(len(part) > 1 for part in model._limits)
    assert {name for part in model._limits for limit in part for name in limit.names} <= set(model._names)


def test_a_maximum_that_rounding_hides_is_said():
    table = {"frequency": [3, 3], "recency": [0.0, 0.0], "T": [5.0, 5.0]}
    with pytest.warns(FitWarning, match=r"Up to about \de-05 of it may be hidden there by rounding"):
        model = clv.ModifiedBetaGeoModel().fit(table)
    assert math.isfinite(model.log_likelihood_)


@pytest.mark.parametrize(
    ("x", "recency", "T", "reached"),
    [
        (38, (13.7387, 159.1054, 159.3896, 5.6738, 73.1114), (347, 301, 347, 91, 114), -252.5439),
        (
            7,
            (
                *(4.325, 2.3445, 0.5541, 8.0971, 24.1005, 9.8063, 19.819, 22.0893, 20.0482, 48.913),
                *(14.0374, 18.2362, 17.2238, 25.4487, 7.1282, 6.0977, 39.1282, 1.5073, 0.8227, 8.7231),
            ),
            (15, 4, 1, 10, 43, 34, 48, 27, 32, 51, 38, 33, 29, 30, 49, 15, 43, 35, 1, 21),
            -265.5069,
        ),
    ],
)
def test_lifetimes_that_begin_late_are_found(x, recency, T, reached):
    """The maxima that random starts of another solver found: the hazard sets in, constant, at a certain age."""
    with pytest.warns(FitWarning, match=r"nobody drops out before a certain age, log\(beta\) / b"):
        model = clv.GammaGompertzNBDModel().fit({"frequency": [x] * len(T), "recency": recency, "T": T})
    assert model.log_likelihood_ > reached - 1e-3


def test_losses_that_begin_late_are_found():
    with pytest.warns(FitWarning, match="nobody leaves before a certain number of renewals"):
        model = clv.BetaDiscreteWeibullModel().fit({"recency": [14, 3, 0], "T": [15, 4, 0]})
    assert model.log_likelihood_ > -5.7535
