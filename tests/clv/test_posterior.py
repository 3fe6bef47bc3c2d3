"""Posteriors of parameters: against quadrature, against NUTS, over simulated data, and where there is none."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.reference import clv as reference
from tests.reference import posterior as slow

from custanalytics import _jit, clv
from custanalytics.clv import (
    BetaDiscreteWeibullModel,
    BetaGeoBetaBinomModel,
    BetaGeoModel,
    GammaGammaModel,
    NBDModel,
    ParameterPosterior,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
    _psis,
)
from custanalytics.clv._posterior_target import target_of
from custanalytics.exceptions import FitWarning, MissingExtraError

ELSEWHERE = ("LifetimeValue", "TimeVaryingBetaGeoModel", "TimeVaryingParetoNBDModel")  # have tests of their own
TRUTH = {"r": 0.6, "alpha": 5.0, "a": 0.8, "b": 2.5}


@pytest.fixture(scope="module")
def cdnow():
    return reference.cdnow()[0]


@pytest.fixture(scope="module")
def fitted(cdnow):
    return BetaGeoModel().fit(cdnow)


@pytest.fixture(scope="module")
def posterior(fitted, cdnow):
    return fitted.posterior(cdnow, rng=1)


@pytest.fixture(scope="module")
def few():
    table, _ = slow.simulate_bg_nbd(np.random.default_rng(5), 400, **TRUTH, shortest=26, longest=52, horizon=1)
    return table


def test_cdnow_posterior_is_worth_thousands_of_draws(posterior):
    assert isinstance(posterior, ParameterPosterior)
    assert posterior.draws.shape == (4000, 4)
    assert posterior.names == ("r", "alpha", "a", "b")
    assert posterior.weights.sum() == pytest.approx(1.0)
    assert posterior.effective_sample_size == pytest.approx(1.0 / (posterior.weights**2).sum())
    assert posterior.effective_sample_size > 2800
    assert posterior.k_hat < 0.5
    assert posterior.held == ()


@pytest.mark.parametrize("penalty", [0.0, 4.0, {"alpha": (3.0, 0.05)}])
def test_moments_are_those_of_quadrature(few, penalty):
    model = NBDModel(penalty=penalty).fit(few)
    posterior = model.posterior(few, rng=2, n_draws=8000)
    target = target_of(model, few, None)
    wide = 7 * np.abs(target.root).sum(axis=1)
    grid, mean = slow.moments_by_quadrature(
        lambda logs: -target.objective(logs)[0], target.mode - wide, target.mode + wide
    )
    size = posterior.effective_sample_size
    for at, name in enumerate(posterior.names):
        values = np.exp(grid[at]) * target.objective.units[at]
        expected = mean(values)
        spread = np.sqrt(mean((values - expected) ** 2))
        assert posterior.mean()[name] == pytest.approx(expected, abs=4 * spread / np.sqrt(size))
        assert posterior.sd()[name] == pytest.approx(spread, rel=4 / np.sqrt(size))
        low, high = posterior.interval(0.9)[name]
        inside = mean(((values >= low) & (values <= high)).astype(float))
        assert inside == pytest.approx(0.9, abs=0.02)


def test_a_strong_prior_is_the_posterior(few):
    model = NBDModel(penalty={"r": (2.0, 0.001), "alpha": (7.0, 0.001)}).fit(few)
    found = model.posterior(few, rng=3)
    median = found.quantile(0.5)
    assert median["r"] == pytest.approx(2.0, rel=0.005)
    assert found.sd()["alpha"] / median["alpha"] < 0.00103


def test_log_density_is_the_likelihood_and_the_prior(few):
    model = BetaGeoModel(penalty={"a": (1.0, 0.5)}).fit(few)
    target = target_of(model, few, None)
    z = np.random.default_rng(0).normal(size=(5, 4))
    found = target.log_density(z)
    for row, value in zip(z, found, strict=True):
        theta = target.natural(target.at(row))
        mine = BetaGeoModel.from_params(**dict(zip(model.params_, theta, strict=True)))
        prior = -0.5 * np.log(theta[2] / 1.0) ** 2 / 0.5**2
        assert value == pytest.approx(mine.score(few) * 400 + prior, rel=1e-10)
    many = pd.concat([pd.DataFrame(few)] * 2, ignore_index=True)
    doubled = target_of(BetaGeoModel().fit(few), many, None)
    single = target_of(BetaGeoModel().fit(few), few, np.full(400, 2.0))
    np.testing.assert_allclose(doubled.log_density(z), single.log_density(z), rtol=1e-12)


def test_many_distinct_customers_take_the_threads_one_draw_at_a_time():
    rng = np.random.default_rng(0)
    T = rng.uniform(20, 60, 20_000)
    table = {"frequency": rng.poisson(rng.gamma(0.8, 0.1, 20_000) * T).astype(float), "T": T}
    table["recency"] = np.where(table["frequency"] > 0, T * rng.random(20_000) ** 0.2, 0.0)
    model = NBDModel().fit(table)
    found = model.posterior(table, rng=0, n_draws=200)
    assert found.k_hat < 0.7
    assert found.effective_sample_size > 100
    for name, sd in found.sd().items():
        assert sd == pytest.approx(model.standard_errors_[name], rel=0.3)


def test_same_seed_same_draws_whatever_the_threads(fitted, cdnow, posterior):
    for threads in (1, 3):
        with _jit.threads(threads):
            again = fitted.posterior(cdnow, rng=1)
        np.testing.assert_array_equal(again.draws, posterior.draws)
        np.testing.assert_array_equal(again.weights, posterior.weights)
    shuffled = cdnow.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(fitted.posterior(shuffled, rng=1).draws, posterior.draws)
    other = fitted.posterior(cdnow, rng=np.random.default_rng(7))
    assert not np.array_equal(other.draws, posterior.draws)


def test_a_change_of_unit_scales_what_carries_it(cdnow, posterior):
    days = cdnow.assign(recency=cdnow["recency"] * 7, T=cdnow["T"] * 7)
    found = BetaGeoModel().fit(days).posterior(days, rng=1)
    assert found.mean()["alpha"] == pytest.approx(7 * posterior.mean()["alpha"], rel=1e-6)
    assert found.mean()["b"] == pytest.approx(posterior.mean()["b"], rel=1e-6)


def test_frames_of_every_library(to_frame, fitted, cdnow, posterior):
    found = fitted.posterior(to_frame(cdnow), rng=1)
    np.testing.assert_array_equal(found.draws, posterior.draws)


def test_weights_are_counts_of_customers(few):
    model = BetaGeoModel().fit(few)
    doubled = {name: np.repeat(column, 2) for name, column in few.items()}
    one = model.posterior(few, rng=0, sample_weight=np.full(400, 2.0))
    np.testing.assert_allclose(one.draws, model.posterior(doubled, rng=0).draws, rtol=1e-9)


def test_summaries_agree_with_the_draws(posterior):
    taken = posterior.resample(200_000, rng=0)
    assert taken.shape == (200_000, 4)
    for at, name in enumerate(posterior.names):
        each = posterior.summary(0.8)[name]
        assert each.mean == pytest.approx(taken[:, at].mean(), rel=1e-3)
        assert each.sd == pytest.approx(taken[:, at].std(), rel=1e-2)
        assert (each.lower, each.upper) == pytest.approx(np.quantile(taken[:, at], [0.1, 0.9]), rel=5e-3)
        assert posterior.quantile([0.1, 0.9])[name] == pytest.approx([each.lower, each.upper])
    np.testing.assert_allclose(np.sqrt(np.diag(posterior.covariance())), list(posterior.sd().values()))
    np.testing.assert_allclose(np.exp(posterior.log_weights), posterior.weights)
    assert "k_hat" in repr(posterior)
    assert "alpha" in repr(posterior)


def test_a_posterior_holds_no_customers_and_no_later_fit_changes_it(cdnow, few):
    model = BetaGeoModel().fit(cdnow)
    posterior = model.posterior(cdnow, rng=0, n_draws=200)
    before = posterior.predict_alive(cdnow[:5]).mean
    model.fit(few)
    np.testing.assert_array_equal(posterior.predict_alive(cdnow[:5]).mean, before)
    saved = pickle.dumps(posterior)
    assert len(saved) < 20_000
    np.testing.assert_array_equal(pickle.loads(saved).predict_alive(cdnow[:5]).mean, before)


def test_standard_errors_are_the_spread_of_large_samples():
    table, _ = slow.simulate_bg_nbd(np.random.default_rng(1), 20_000, **TRUTH, shortest=40, longest=52, horizon=1)
    model = BetaGeoModel().fit(table)
    found = model.posterior(table, rng=0, n_draws=400)
    for name, sd in found.sd().items():
        assert sd == pytest.approx(model.standard_errors_[name], rel=0.2)
        assert found.mean()[name] == pytest.approx(model.params_[name], abs=0.3 * sd)


def contract_table():
    return {"recency": np.arange(8), "T": np.full(8, 7)}, [131, 126, 90, 60, 42, 34, 26, 491]


@pytest.mark.parametrize(
    "name", [n for n in clv.__all__ if hasattr(getattr(clv, n), "posterior") and n not in ELSEWHERE]
)
def test_every_model_has_a_posterior(name, few):
    kind, weight = getattr(clv, name), None
    if kind in (ShiftedBetaGeoModel, BetaDiscreteWeibullModel):
        table, weight = contract_table()
    elif issubclass(kind, GammaGammaModel):
        rng = np.random.default_rng(0)
        means = rng.gamma(8.0, 1.0 / rng.gamma(4.0, 1.0 / 15.0, 300))
        table = {"frequency": rng.integers(1, 9, 300), "T": np.full(300, 20.0), "monetary_value": means}
    elif kind is BetaGeoBetaBinomModel:
        years = np.full(len(few["T"]), 6.0)
        recency = np.minimum(np.ceil(few["recency"] / 8), 6.0)
        table = {"frequency": np.minimum(few["frequency"], recency), "recency": recency, "T": years}
    else:
        table = few
    settings = {"k": 2} if "CNBD" in name else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        model = kind(**settings, penalty=0.05).fit(table, sample_weight=weight)
        found = model.posterior(table, rng=0, n_draws=600, sample_weight=weight)
    assert np.isfinite(found.draws).all()
    assert found.effective_sample_size > 60
    for name, (low, high) in found.interval(0.999).items():
        assert low * (1 - 1e-9) - 1e-12 <= model.params_[name] <= high * (1 + 1e-9) + 1e-12
        assert low > 0 or name == "c"


def test_parameters_at_a_boundary_are_held_and_named():
    rng = np.random.default_rng(3)
    frequency = rng.poisson(rng.gamma(2.0, 0.15, 500) * 30.0).astype(float)  # nobody drops out
    table = {"frequency": frequency, "recency": np.where(frequency > 0, 29.9, 0.0), "T": np.full(500, 30.0)}
    with pytest.warns(FitWarning, match="do not determine"):
        model = BetaGeoModel().fit(table)
    with pytest.warns(FitWarning, match=r"BetaGeoModel.posterior: .* held at the fitted values.*penalty=0.1"):
        found = model.posterior(table, rng=0)
    assert found.held == model.undetermined_
    for name in found.held:
        assert found.sd()[name] == pytest.approx(0.0, abs=1e-9 * found.mean()[name])
    assert found.sd()["r"] > 0
    steady = BetaGeoModel(penalty=0.1).fit(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        assert steady.posterior(table, rng=0).held == ()


def test_nothing_determined_is_an_error():
    table = {"frequency": [0.0, 0.0], "recency": [0.0, 0.0], "T": [5.0, 5.0]}
    with pytest.warns(FitWarning):
        model = NBDModel().fit(table)
    with pytest.raises(ValueError, match=r"determine none of the parameters.*penalty=0.1"):
        model.posterior(table)


def test_long_tails_are_reported():
    table, _ = slow.simulate_pareto_nbd(np.random.default_rng(0), 60, 0.6, 10.0, 0.6, 12.0, longest=40, horizon=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        model = ParetoNBDModel().fit(table)
    with pytest.warns(FitWarning, match=r"k_hat = .* above 0.7|do not determine"):
        model.posterior(table, rng=0)


def test_wrong_requests(fitted, cdnow, posterior):
    with pytest.raises(ValueError, match=r"'n_draws' parameter of BetaGeoModel\.posterior must be an int"):
        fitted.posterior(cdnow, n_draws=5)
    with pytest.raises(ValueError, match=r"'method' parameter .* \{'laplace', 'nuts'\}"):
        fitted.posterior(cdnow, method="vi")
    with pytest.raises(ValueError, match="'level' parameter"):
        posterior.interval(1.0)
    with pytest.raises(ValueError, match="'q' parameter"):
        posterior.quantile(1.5)
    with pytest.raises(ValueError, match="'n_draws' parameter"):
        posterior.resample(0)
    with pytest.raises(Exception, match="not fitted"):
        BetaGeoModel().posterior(cdnow)


def test_without_the_extra_nuts_says_what_to_install(monkeypatch, fitted, cdnow):
    monkeypatch.setitem(__import__("sys").modules, "nutpie", None)
    with pytest.raises(MissingExtraError, match=r"custanalytics\[bayes\]"):
        fitted.posterior(cdnow, method="nuts")


def test_nuts_agrees_with_laplace(fitted, cdnow, posterior):
    pytest.importorskip("nutpie")
    pytest.importorskip("arviz", exc_type=ImportError)
    chains = fitted.posterior(cdnow, method="nuts", n_draws=1200, rng=3)
    assert chains.method == "nuts"
    assert np.isnan(chains.k_hat)
    assert chains.effective_sample_size > 300
    error = np.sqrt(1 / chains.effective_sample_size + 1 / posterior.effective_sample_size)
    for name, sd in posterior.sd().items():
        assert chains.mean()[name] == pytest.approx(posterior.mean()[name], abs=4 * sd * error)
        assert chains.sd()[name] == pytest.approx(sd, rel=6 * error)
    data = chains.to_arviz()
    assert data.posterior["alpha"].shape == (4, 300)
    assert not data.sample_stats["diverging"].any()
    assert posterior.to_arviz().posterior["r"].shape == (1, 4000)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 0.3, 0.9])
def test_pareto_fit_recovers_the_shape(shape):
    excess = np.sort(stats.genpareto.rvs(shape, scale=3.0, size=20_000, random_state=1))
    found, scale = _psis.pareto_fit(excess)
    assert found == pytest.approx(shape, abs=0.04)
    assert scale == pytest.approx(3.0, rel=0.05)
    chances = np.array([0.1, 0.5, 0.99])
    np.testing.assert_allclose(
        _psis.pareto_quantiles(chances, shape, 3.0), stats.genpareto.ppf(chances, shape, scale=3.0)
    )


def test_k_hat_tells_long_tails_from_short_ones():
    rng = np.random.default_rng(0)
    narrow = rng.normal(size=5000)
    long_tails = stats.t(3).logpdf(narrow) - stats.norm.logpdf(narrow)
    assert _psis.smoothed(long_tails)[1] > 0.4
    wide = stats.t(3).rvs(size=5000, random_state=1)
    assert _psis.smoothed(stats.norm.logpdf(wide) - stats.t(3).logpdf(wide))[1] < 0.2
    half = rng.normal(scale=0.4, size=5000)  # ratios have no variance: the shape is 1 - 0.4^2
    ratios = stats.norm.logpdf(half) - stats.norm.logpdf(half, scale=0.4)
    assert _psis.smoothed(ratios)[1] > 0.6


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=300))
def test_smoothing_keeps_the_order_of_the_weights(ratios):
    logs = np.array(ratios)
    weights, shape = _psis.smoothed(logs)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert np.isfinite(shape)
    order = np.argsort(logs, kind="stable")
    assert (np.diff(weights[order]) >= -1e-12).all()
    assert 1.0 - 1e-9 <= _psis.effective_size(weights) <= logs.size * (1 + 1e-9)


def test_resampling_takes_each_as_often_as_its_weight():
    weights = np.array([0.5, 0.25, 0.125, 0.125, 0.0])
    taken = np.bincount(_psis.resampled(weights, 800, np.random.default_rng(0)), minlength=5)
    assert (np.abs(taken - 800 * weights) < 1).all()
    assert taken[4] == 0


def coverage_of_parameters(n, repeats):
    inside = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        table, _ = slow.simulate_bg_nbd(rng, n, **TRUTH, shortest=26, longest=52, horizon=1)
        found = BetaGeoModel().fit(table).posterior(table, n_draws=1000, rng=seed).interval(0.9)
        inside.append([found[name][0] <= value <= found[name][1] for name, value in TRUTH.items()])
    return np.mean(inside, axis=0)


def test_intervals_of_parameters_cover_them():
    covered = coverage_of_parameters(800, 40)
    assert (covered >= 0.72).all()  # 4 standard errors of 40 data sets
    assert 0.82 <= covered.mean() <= 0.97


@pytest.mark.thorough
def test_intervals_of_parameters_cover_as_often_as_they_say():
    covered = coverage_of_parameters(1000, 1000)
    print("90 % intervals of", list(TRUTH), "cover", covered.round(3))
    assert (np.abs(covered - 0.9) < 0.03).all()
    assert 0.88 <= covered.mean() <= 0.92
