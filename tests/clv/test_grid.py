"""Every family over its whole range, extremes over-weighted: finite, in range, and as many digits have it."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from tests.reference import clv as bg_reference
from tests.reference import clv_families as families
from tests.reference import contract, futures, phases
from tests.reference import pareto_nbd as pareto_reference

from custanalytics.clv import (
    BetaDiscreteWeibullModel,
    BetaGeoBetaBinomModel,
    BetaGeoCNBDModel,
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
)

NAMES = {
    BetaGeoModel: "r alpha a b",
    ModifiedBetaGeoModel: "r alpha a b",
    BetaGeoCNBDModel: "r alpha a b",
    ModifiedBetaGeoCNBDModel: "r alpha a b",
    ParetoNBDModel: "r alpha s beta",
    NBDModel: "r alpha",
    BetaGeoBetaBinomModel: "alpha beta gamma delta",
    ShiftedBetaGeoModel: "alpha beta",
    BetaDiscreteWeibullModel: "alpha beta c",
    GammaGammaModel: "p q v",
}
SMALLEST = 1e-300  # below, doubles lose their digits


def parameters(rng, kind):
    """From 1e-3 to 1e3, the ends and 1, just beside 1, and equal ones among them."""
    names = NAMES[kind].split()
    values = {
        name: float(rng.choice([10 ** rng.uniform(-3, 3), 1e-3, 1.0, 1e3], p=[0.7, 0.1, 0.1, 0.1])) for name in names
    }
    match rng.integers(5):
        case 0:
            values[names[-2]] = float(rng.choice([1.0, 1.0 + 10 ** rng.uniform(-14, -3)]))
        case 1:
            values[names[-2]] = values[names[0]]
        case 2:
            values[names[-1]] = values[names[min(1, len(names) - 2)]]
    return values


def customer(rng):
    """Frequency to 1e4, T to 1e4, a last purchase anywhere or at T itself."""
    x = float(rng.choice([0, 1, 2, np.floor(10 ** rng.uniform(0, 4)), 1e4]))
    T = float(rng.choice([10 ** rng.uniform(-3, 4), 1e4], p=[0.9, 0.1]))
    share = rng.choice([rng.uniform(), 1.0, 1.0 - 10 ** rng.uniform(-9, -1), 10 ** rng.uniform(-9, -1)])
    return x, float(T * share) if x else 0.0, T


def whole_customer(rng, longest):
    T = int(rng.choice([0, 1, 10 ** rng.uniform(0, np.log10(longest)), longest]))
    t_x = int(rng.choice([T, rng.integers(0, T + 1)]))
    return int(rng.choice([min(t_x, 1), t_x, rng.integers(min(t_x, 1), t_x + 1)])), t_x, T


def close(found, exact, *case):
    exact = float(exact)
    if abs(exact) > SMALLEST:
        assert found == pytest.approx(exact, rel=1e-9, abs=0), case
    else:
        assert 0.0 <= found <= 1e-290, case


def table_of(*who):
    return {name: [value] for name, value in zip(("frequency", "recency", "T"), who, strict=True)}


def check_beta_geo(rng, kind):
    values, who, tosses = parameters(rng, kind), customer(rng), int(kind is ModifiedBetaGeoModel)
    model, table, case = kind.from_params(**values), table_of(*who), (kind, values, who)
    horizon, start, n = float(10 ** rng.uniform(-9, 4)), float(10 ** rng.uniform(-4, 4)), int(rng.choice([0, 1, 2, 7]))
    x, t_x, T = who
    r, alpha, a, b = (mp.mpf(value) for value in values.values())
    s, scale, c = r + x, alpha + mp.mpf(T), b + (x + tosses)
    close(model.score(table), families.log_likelihood(1, tosses, *who, *values.values()), case)
    alive = families.alive(1, tosses, x, t_x, T, *values.values())
    close(model.predict_alive(table)[0], alive, case)
    later = alive * futures.still_active(s, horizon / scale, a, c)
    close(model.predict_alive(table, ahead=horizon)[0], later, case, horizon)
    ends = [mp.mpf(0)] + [bg_reference.bg_purchases_if_alive(s, (mp.mpf(at) / scale), a, c) for at in (horizon, start)]
    close(model.predict_purchases(table, horizon)[0], alive * ends[1], case, horizon)
    until = bg_reference.bg_purchases_if_alive(s, (mp.mpf(start) + mp.mpf(horizon)) / scale, a, c)
    if until - ends[2] > 1e-40 * until:  # of which the difference has digits enough
        close(model.predict_purchases(table, horizon, start=start)[0], alive * (until - ends[2]), case, start, horizon)
    chance = alive * futures.coin_counts(n, s, scale, a, c, horizon) + (1 - alive if n == 0 else 0)
    close(model.predict_count_probabilities(table, [n], horizon)[0, 0], chance, case, n, horizon)


def check_phases(rng, kind):
    values, who, tosses = parameters(rng, kind), customer(rng), int(kind is ModifiedBetaGeoCNBDModel)
    k, horizon, n = int(rng.choice([1, 2, 3, 12])), float(10 ** rng.uniform(-9, 4)), int(rng.choice([0, 1, 2, 7]))
    model, table, case = kind.from_params(k=k, **values), table_of(*who), (kind, k, values, who, horizon)
    x, t_x, T = who
    r, alpha, a, b = (mp.mpf(value) for value in values.values())
    likelihood = families.log_likelihood(k, tosses, *who, *values.values()) - x * mp.loggamma(k)
    close(model.score(table), likelihood, case)
    alive = families.alive(k, tosses, *who, *values.values())
    close(model.predict_alive(table)[0], alive, case)
    s, scale, c = r + k * x, alpha + mp.mpf(T), b + (x + tosses)
    share = (mp.mpf(T) - mp.mpf(t_x)) / scale
    chance = alive * futures.phased_counts(n, k, s, share, scale, a, c, horizon) + (1 - alive if n == 0 else 0)
    close(model.predict_count_probabilities(table, [n], horizon)[0, 0], chance, case, n)
    if s * horizon / scale * (1 + horizon / scale) * k < 5000:  # so few events that all can be counted
        stays, purchases, rate = phases.by_counting(k, s, horizon / scale, share, a, c)
        close(model.predict_alive(table, ahead=horizon)[0], alive * stays, case)
        close(model.predict_purchases(table, horizon)[0], alive * purchases, case)
        tiny = horizon * 1e-8
        if rate / scale * tiny > 1e-290 and (horizon / scale) * s < 100:
            middle = phases.by_counting(k, s, horizon * (1 + mp.mpf("5e-9")) / scale, share, a, c)[2]
            close(model.predict_purchases(table, tiny, start=horizon)[0], alive * middle / scale * tiny, case)


def check_pareto(rng, kind):
    values, who = parameters(rng, kind), customer(rng)
    model, table, case = kind.from_params(**values), table_of(*who), (kind, values, who)
    horizon, theta = float(10 ** rng.uniform(-9, 4)), tuple(values.values())
    close(model.score(table), pareto_reference.log_likelihood(*who, *theta), case)
    close(model.predict_alive(table)[0], pareto_reference.alive(*who, *theta), case)
    close(model.predict_purchases(table, horizon)[0], pareto_reference.purchases(*who, horizon, *theta), case, horizon)


def check_nbd(rng, kind):
    values, (x, t_x, T), n = parameters(rng, kind), customer(rng), int(rng.choice([0, 1, 7, 1000]))
    model, table, horizon = kind.from_params(**values), table_of(x, t_x, T), float(10 ** rng.uniform(-9, 4))
    r, alpha = (mp.mpf(value) for value in values.values())
    rising = mp.loggamma(r + x) - mp.loggamma(r)
    close(model.score(table), rising + r * mp.log(alpha) - (r + x) * mp.log(alpha + T), values, x, T)
    close(model.predict_purchases(table, horizon)[0], (r + x) / (alpha + T) * horizon, values, x, T, horizon)
    chance = futures.negative_binomial(n, r + x, alpha + T, horizon)
    close(model.predict_count_probabilities(table, [n], horizon)[0, 0], chance, values, x, T, n, horizon)


def check_opportunities(rng, kind):
    values, who, horizon = parameters(rng, kind), whole_customer(rng, 300), int(10 ** rng.uniform(0, 2))
    model, table, theta = kind.from_params(**values), table_of(*who), tuple(values.values())
    case = (values, who, horizon)
    close(model.predict_alive(table)[0], contract.bgbb_alive(*who, 0, *theta), case)
    close(model.predict_alive(table, ahead=horizon)[0], contract.bgbb_alive(*who, horizon, *theta), case)
    if who[2] > 0:
        close(-model.score(table), -contract.bgbb_log_likelihood(*who, *theta), case)
    expected = contract.bgbb_purchases(*who, 3, *theta, rate=0.01)
    close(model.predict_discounted_purchases(table, 3, 0.01)[0], expected, case)


def check_contract(rng, kind):
    values, (_, recency, T) = parameters(rng, kind), whole_customer(rng, 10_000)
    if "c" in values:
        values["c"] = float(10 ** rng.uniform(-3, 0.5))
    model, theta = kind.from_params(**values), tuple(values.values())
    here, seen = {"recency": [T], "T": [T]}, {"recency": [recency], "T": [T]}
    ahead, horizon, rate = int(10 ** rng.uniform(0, 4)), int(10 ** rng.uniform(0, 2)), float(10 ** rng.uniform(-6, 1))
    case = (kind, values, recency, T, ahead, horizon, rate)
    if T > 0:
        close(-model.score(seen), -contract.contract_log_likelihood(recency, T, *theta), case)
    left = contract.survival(T + ahead, *theta) / contract.survival(T, *theta)
    close(model.predict_alive(here, ahead=ahead)[0], left, case)
    expected = contract.renewals(T, horizon, rate, *theta)
    close(model.predict_discounted_purchases(here, horizon, rate)[0], expected, case)


def check_spend(rng, kind):
    values, x, m = parameters(rng, kind), int(10 ** rng.uniform(0, 4)), float(10 ** rng.uniform(-3, 5))
    model, table, theta = kind.from_params(**values), {"frequency": [x], "monetary_value": [m]}, tuple(values.values())
    found, exact = model.score(table), float(bg_reference.gg_log_likelihood(x, m, *theta))
    assert found == pytest.approx(exact, rel=1e-9, abs=1e-12), (values, x, m)
    p, q, v = (mp.mpf(value) for value in theta)
    if p * x + q > 1:
        close(model.predict_spend(table)[0], p * (v + x * mp.mpf(m)) / (p * x + q - 1), values, x, m)


CHECKS = {
    BetaGeoModel: check_beta_geo,
    ModifiedBetaGeoModel: check_beta_geo,
    BetaGeoCNBDModel: check_phases,
    ModifiedBetaGeoCNBDModel: check_phases,
    ParetoNBDModel: check_pareto,
    NBDModel: check_nbd,
    BetaGeoBetaBinomModel: check_opportunities,
    ShiftedBetaGeoModel: check_contract,
    BetaDiscreteWeibullModel: check_contract,
    GammaGammaModel: check_spend,
}


def check(kind, seed, n):
    rng = np.random.default_rng(seed)
    with mp.workdps(60):
        for _ in range(n):
            CHECKS[kind](rng, kind)


@pytest.mark.parametrize("kind", CHECKS)
def test_many_digits_agree(kind):
    check(kind, 1, 4)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", CHECKS)
def test_many_digits_agree_in_100_cases(kind):
    check(kind, 2, 100)
