"""Every numerical fault ever found keeps its case; expected values by mpmath from the formulas of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from custanalytics.clv import (
    BetaGeoCNBDModel,
    BetaGeoModel,
    GammaGammaModel,
    LifetimeValue,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
)
from custanalytics.exceptions import FitWarning, InvalidDataError


def customer(x: float, t_x: float, T: float) -> dict[str, list[float]]:
    return {"frequency": [x], "recency": [t_x], "T": [T]}


def pareto(*theta: float) -> ParetoNBDModel:
    return ParetoNBDModel.from_params(**dict(zip(("r", "alpha", "s", "beta"), theta, strict=True)))


def bg(*theta: float) -> BetaGeoModel:
    return BetaGeoModel.from_params(**dict(zip(("r", "alpha", "a", "b"), theta, strict=True)))


def test_pareto_nbd_finds_the_maximum_where_a_share_leaves_at_once() -> None:
    table = {"frequency": [5, 0, 0, 0, 0], "recency": [39.285714, 0, 0, 0, 0], "T": [40.0] * 5}
    with pytest.warns(FitWarning, match="do not determine"):
        model = ParetoNBDModel().fit(table)
    assert model.log_likelihood_ == pytest.approx(-18.05997, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "who", "horizon", "rate", "expected"),
    [
        (pareto(1000, 30.050682063877495, 1000, 30.050682063877495), (0, 0, 0), np.inf, 0.05, 0.999496217),
        (
            pareto(30.75421171176919, 6.718997613358972, 47.08949249667341, 5.965811052946664),
            (1, 2.506524225219473, 2.506524225219473),
            244.74626837639985,
            0.0018,
            0.63250613,
        ),
        (
            bg(7.431431993200714, 253.98609144649896, 552.5485245383875, 9.983293955374112),
            (400, 6.910021491116146, 6.910021491116146),
            np.inf,
            0.0018,
            0.7400264,
        ),
        (
            bg(7.057915186019654, 17.01124302498666, 18.809518115495507, 0.5532208090735146),
            (100, 0.1120270308285624, 0.1120270308285624),
            2232.373434424791,
            0.0018,
            5.57857083,
        ),
    ],
)
def test_discounting_follows_fast_dropout(
    model: Any, who: tuple[float, float, float], horizon: float, rate: float, expected: float
) -> None:
    # The expected values are known to the digits printed.
    assert model.predict_discounted_purchases(customer(*who), horizon, rate)[0] == pytest.approx(expected, rel=1e-7)


def test_bg_nbd_alive_does_not_overflow() -> None:
    model = bg(0.5, 1, 0.6, 2)
    gone = customer(400, 1, 40)
    assert 0 < model.predict_alive(gone)[0] < 1e-300
    assert model.predict_purchases(gone, np.inf)[0] == np.inf
    assert model.predict_purchases(gone, 10)[0] < 1e-300


def test_nothing_is_worth_nothing_even_where_another_factor_is_infinite() -> None:
    table = {**customer(1, 2, 30), "monetary_value": [3.0]}
    endless = GammaGammaModel.from_params(p=0.2, q=0.5, v=15)
    with pytest.warns(FitWarning, match="infinite"):
        assert LifetimeValue(purchases=bg(0.5, 1, 0.6, 2), spend=endless, margin=0).predict(table) == [0]
    forever = LifetimeValue(purchases=bg(0.5, 1, 0.6, 2), spend=0, horizon=np.inf, discount_rate=0)
    assert forever.predict(table) == [0]
    with pytest.raises(ValueError, match="The 'margin' parameter"):
        LifetimeValue(purchases=bg(0.5, 1, 0.6, 2), spend=1, margin=np.inf).predict(table)


@pytest.mark.parametrize("means", [[20.0], [20.0, 20.0, 20.0]])
def test_gamma_gamma_without_spread_is_a_limit_and_no_failure(means: list[float]) -> None:
    with pytest.warns(FitWarning, match="do not determine p, q"):
        model = GammaGammaModel().fit({"frequency": [1] * len(means), "monetary_value": means})
    assert model.converged_
    assert model.predict_spend({"frequency": [1], "monetary_value": [20.0]})[0] == pytest.approx(20, rel=1e-6)


def test_gamma_gamma_finds_the_maximum_at_large_q() -> None:
    table = {"frequency": [1328, 7, 11, 2], "monetary_value": [33.475, 9.819, 21.492, 14.271]}
    with pytest.warns(FitWarning, match="do not determine"):
        assert GammaGammaModel().fit(table).log_likelihood_ > -13.1


@pytest.mark.parametrize("spend", [np.float32(20), np.int64(20), 20])
def test_spend_may_be_any_real_number(spend: Any) -> None:
    table = {"frequency": [1, 2, 0, 3], "recency": [5.0, 6, 0, 9], "T": [10.0, 20, 10, 12]}
    model = bg(0.5, 1, 0.6, 2)
    found = LifetimeValue(purchases=model, spend=spend).predict(table)
    np.testing.assert_array_equal(found, LifetimeValue(purchases=model, spend=20.0).predict(table))


def test_rates_at_the_ends_of_their_range() -> None:
    model = bg(0.243, 4.414, 0.793, 2.426)
    with pytest.raises(ValueError, match="The 'rate' parameter"):
        model.predict_discounted_purchases(customer(1, 2, 3), 10, np.inf)
    assert model.predict_discounted_purchases(customer(1, 2, 3), np.inf, 5e-324)[0] == np.inf


@pytest.mark.parametrize("horizon", [5e-324, 1e-310, 1e-100])
@pytest.mark.parametrize(
    "model", [bg(0.5, 6, 0.9, 1.6), BetaGeoCNBDModel.from_params(k=2, r=0.5, alpha=6, a=0.9, b=1.6)]
)
def test_nothing_is_discounted_in_a_time_too_short_for_it(model: Any, horizon: float) -> None:
    # 5e-324 has no shares: they were NaN, and BG/CNBD-k's loop over the events to come never ended
    found = model.predict_discounted_purchases(customer(2, 5, 6), horizon, 0.01)
    assert found[0] == model.predict_purchases(customer(2, 5, 6), horizon)[0]


@pytest.mark.parametrize("model", [NBDModel.from_params(r=0.4, alpha=12), bg(3, 1, 0.01, 3)])
def test_counts_beyond_the_whole_numbers_among_doubles(model: Any) -> None:
    # from 2^53 on halving found no middle and never ended; from 2^63 on draws were negative
    early, late = (model.predict_count_quantiles(customer(3, 4, 7), [0.5, 0.99], horizon) for horizon in (1e10, 1e17))
    np.testing.assert_allclose(late, 1e7 * early, rtol=0.2)  # those who drop out in between are few
    for ask in (model.predict_count_quantiles, model.sample):
        with pytest.raises(ValueError, match=r"The 'horizon' parameter of .* must leave time for fewer than 2\^63"):
            ask(customer(3, 4, 7), 0.99 if ask == model.predict_count_quantiles else 9, 1e21)


@pytest.mark.parametrize("model", [BetaGeoModel(), ParetoNBDModel()])
def test_an_absurd_frequency_is_refused(model: Any) -> None:
    table = {"frequency": [1, 1e12], "recency": [5.0, 6], "T": [10.0, 20]}
    with pytest.raises(InvalidDataError, match=r"1 of 2 rows have a frequency above 10,000,000"):
        model.fit(table)


@pytest.mark.filterwarnings("ignore:GammaGammaModel. q <= 1")
def test_amounts_too_far_apart_for_double_precision_end_in_a_warning() -> None:
    amounts = np.where(np.arange(50) % 2, 1e150, 1e-150)
    # 300 orders of magnitude: the best v is far outside the search, which ends at its bound and says so
    with pytest.warns(FitWarning, match="do not determine v: the log-likelihood is flat, or largest at the boundary"):
        model = GammaGammaModel().fit({"frequency": np.full(50, 3), "monetary_value": amounts})
    assert model.undetermined_ == ("v",)
    assert np.isfinite(model.log_likelihood_)


@pytest.mark.parametrize(
    ("kind", "expected"), [(BetaGeoModel, 1.000905389254971e-8), (ModifiedBetaGeoModel, 2.381741927116774e-10)]
)
def test_a_short_window_late_keeps_its_digits(kind: Any, expected: float) -> None:
    # The expected value is the difference of two hypergeometric functions in 60 digits.
    model = kind.from_params(r=26.951636061947262, alpha=1.0, a=0.06096995581313124, b=0.21055186168354018)
    who = customer(0, 0, 0.21340505395870218)
    assert model.predict_purchases(who, 1e-9, start=256.3922511009623)[0] == pytest.approx(expected, rel=1e-11)
