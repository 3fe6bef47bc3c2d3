"""The shared fit: weights, order, units, threads, boundaries, degenerate data, scikit-learn, messages."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimise
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from tests.reference import clv as reference

from custanalytics import _jit
from custanalytics.clv import BetaGeoModel, GammaGammaModel, _compression, _fit
from custanalytics.exceptions import FitWarning, InvalidDataError, MissingColumnError

TRUTH = {"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}


def simulated(n, seed=0, **params):
    rng = np.random.default_rng(seed)
    return reference.simulate_bg_nbd(rng, n, rng.uniform(20.0, 40.0, n), **{**TRUTH, **params})


def take(table, rows):
    return {name: np.asarray(column)[rows] for name, column in table.items()}


def quietly(model, table, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(table, **kwargs)


def state(model):
    return (*model.params_.values(), *model.standard_errors_.values(), model.log_likelihood_, model.n_iter_)


# --- what changes nothing ---------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_weights_are_repeated_rows_and_order_is_nothing_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    table = take(simulated(300, seed), slice(None))
    weight = rng.integers(0, 4, 300)
    weighted = quietly(BetaGeoModel(), table, sample_weight=weight)
    repeated = take(table, rng.permutation(np.repeat(np.arange(300), weight)))
    assert state(quietly(BetaGeoModel(), repeated)) == state(weighted)


@pytest.mark.parametrize("n", [500, 30_000])
def test_shuffling_and_threads_change_no_bit(n):
    table = simulated(n)
    rng = np.random.default_rng(1)
    rows, weight = rng.permutation(n), rng.random(n)
    with _jit.threads(1):
        first = BetaGeoModel().fit(table, sample_weight=weight)
    with _jit.threads(4):
        second = BetaGeoModel().fit(take(table, rows), sample_weight=weight[rows])
    assert state(first) == state(second)
    np.testing.assert_array_equal(first.covariance_, second.covariance_)


def test_the_unit_of_time_scales_alpha_alone():
    table = simulated(2000)
    days = {**table, "recency": table["recency"] * 7, "T": table["T"] * 7}
    weekly, daily = BetaGeoModel().fit(table), BetaGeoModel().fit(days)
    for name, factor in (("r", 1), ("alpha", 7), ("a", 1), ("b", 1)):
        assert daily.params_[name] == pytest.approx(weekly.params_[name] * factor, rel=1e-8)
        assert daily.standard_errors_[name] == pytest.approx(weekly.standard_errors_[name] * factor, rel=1e-6)
    # the density of each repeat purchase is per unit of time
    shift = -table["frequency"].sum() * np.log(7)
    assert daily.log_likelihood_ == pytest.approx(weekly.log_likelihood_ + shift, rel=1e-12)
    np.testing.assert_allclose(daily.predict_purchases(days, 70.0), weekly.predict_purchases(table, 10.0), rtol=1e-7)
    regular = [BetaGeoModel(penalty=2.0).fit(each).params_["r"] for each in (table, days)]
    assert regular[0] == pytest.approx(regular[1], rel=1e-8)


def test_every_frame_library_gives_the_same(to_frame):
    table, _ = reference.cdnow()
    native = to_frame(table)
    model = BetaGeoModel().fit(native)
    assert state(model) == state(BetaGeoModel().fit(table))
    np.testing.assert_array_equal(model.predict_purchases(native, 39.0), model.predict_purchases(table, 39.0))
    np.testing.assert_array_equal(model.predict_alive(native), model.predict_alive(dict(table)))
    assert model.score(native) == model.score(table)


def test_nothing_of_the_caller_is_touched():
    table, _ = reference.cdnow()
    before = table.copy()
    weight = np.ones(len(table))
    BetaGeoModel().fit(table, sample_weight=weight).predict_purchases(table, 3.0)
    pd.testing.assert_frame_equal(table, before)
    assert (weight == 1).all()


# --- the optimum ------------------------------------------------------------------------------------------------


def test_the_optimum_is_a_maximum_that_another_solver_does_not_beat():
    table = simulated(3000, seed=5)
    model = BetaGeoModel().fit(table)
    sample = _fit.compress(tuple(np.asarray(table[name], float) for name in ("frequency", "recency", "T")), None)
    objective = _fit.Likelihood(model._loglik_loop, sample)
    at = np.log(list(model.params_.values()))
    value, gradient = objective(at)
    assert -value == pytest.approx(model.log_likelihood_, rel=1e-13)
    assert np.abs(gradient).max() < 1e-5
    rival = scipy_minimise(objective, np.log([1.0, 5.0, 1.0, 1.0]), jac=True, method="L-BFGS-B", tol=1e-14)
    assert model.log_likelihood_ >= -rival.fun - 1e-6
    # observed information by differences of the value alone
    for k in range(4):
        for j in range(4):
            steps = np.eye(4) * 1e-3
            corners = [objective(at + s * steps[k] + t * steps[j])[0] * s * t for s in (-1, 1) for t in (-1, 1)]
            second = sum(corners) / 4e-6
            assert second == pytest.approx(_fit.curvature(objective, at)[k, j], rel=1e-3, abs=2.0)
    theta = np.exp(at)
    information = np.linalg.inv(_fit.curvature(objective, at)) * np.outer(theta, theta)
    np.testing.assert_allclose(model.covariance_, information, rtol=1e-5)
    np.testing.assert_array_equal(model.covariance_, model.covariance_.T)
    np.testing.assert_allclose(np.sqrt(np.diag(model.covariance_)), list(model.standard_errors_.values()))


def test_exact_second_derivatives_are_those_of_the_gradient():
    table = simulated(200, seed=6)
    columns = tuple(np.asarray(table[name], float) for name in ("frequency", "recency", "T"))
    sample = _fit.compress(columns, None)
    rng = np.random.default_rng(6)
    for _ in range(10):
        logs = rng.normal(0.0, 2.0, 4)
        exact, differences = (
            _fit.curvature(_fit.Likelihood(BetaGeoModel._loglik_loop, sample, _fit.Penalty(0.3), second), logs)
            for second in (True, False)
        )
        np.testing.assert_allclose(exact, differences, rtol=1e-8, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("cells", [1, 7, 40_000, 10**6, 2**40])
def test_counting_in_cells_and_sorting_find_the_same(cells):
    dtype = np.int32 if cells < 2**31 else np.int64
    keys = np.random.default_rng(cells).integers(0, cells, 5000).astype(dtype)
    unique, counts = np.unique(keys, return_counts=True)
    found, weight = _compression._counted(keys, cells)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, unique)
    np.testing.assert_array_equal(weight, counts)


def test_every_true_parameter_is_recovered_from_many_customers():
    model = BetaGeoModel().fit(simulated(100_000, seed=2))
    for name, true in TRUTH.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.1 * true


@pytest.mark.thorough
def test_ninety_percent_intervals_cover():
    inside = np.zeros(4)
    for seed in range(200):
        model = BetaGeoModel().fit(simulated(3000, seed=10_000 + seed))
        for k, (name, true) in enumerate(TRUTH.items()):
            inside[k] += abs(model.params_[name] - true) <= 1.6449 * model.standard_errors_[name]
    assert np.all((inside >= 0.82 * 200) & (inside <= 0.97 * 200)), inside


def test_the_penalty_draws_log_parameters_to_nothing():
    table = simulated(500)
    sizes = [np.abs(np.log(BetaGeoModel(penalty=p).fit(table).params_["b"])) for p in (0.0, 1.0, 100.0)]
    assert sizes[0] > sizes[1] > sizes[2]
    likelihoods = [BetaGeoModel(penalty=p).fit(table).log_likelihood_ for p in (0.0, 1.0, 100.0)]
    assert likelihoods[0] > likelihoods[1] > likelihoods[2]


def test_the_thin_sample_stands_for_all_customers():
    sample = _fit.compress(tuple(simulated(50_000)[name] for name in ("frequency", "recency", "T")), None)
    thin = sample.thinned(500)
    assert thin.weight.size <= 500
    assert thin.weight.sum() == pytest.approx(50_000)
    assert thin.mean(0) == pytest.approx(sample.mean(0), rel=0.02)
    assert thin.mean(2) == pytest.approx(sample.mean(2), rel=0.05)


# --- boundaries and degenerate data -----------------------------------------------------------------------------


def test_a_climb_far_below_another_is_given_up():
    sample = BetaGeoModel()._sample(simulated(2_000), None)
    objective = _fit.Likelihood(BetaGeoModel._loglik_loop, sample, exact=BetaGeoModel._second_derivatives)
    start = np.full(4, 3.0)
    reached = _fit.minimise(objective, start, 200, 1e-9)
    assert reached.converged
    beaten = _fit.minimise(objective, start, 200, 1e-9, rival=reached.value - 100.0)
    assert not beaten.converged
    assert 1 < beaten.n_iter < reached.n_iter
    alike = _fit.minimise(objective, start, 200, 1e-9, rival=reached.value)
    np.testing.assert_array_equal(alike.logs, reached.logs)


def test_steps_that_are_next_to_nothing_do_not_overflow():
    full, along_the_side, *_ = _fit._trials(np.zeros(2), np.array([5e-324, 30.0]))
    assert full[1] == along_the_side[1] == _fit.BOX


def test_a_step_that_would_leave_the_box_is_taken_along_its_side():
    """A narrow ridge that ends in a corner: the slope in the box is uphill, and the step along the ridge leads out."""
    ridge = np.array([[1.0, -1.0], [-1.0, 1.0]]) * 1e9 + np.eye(2)
    logs = np.array([_fit.BOX, _fit.BOX - 1.0])
    gradient = np.array([1e4, -1e4]) - 2.0
    step, gain = _fit._newton_step(logs, gradient, ridge)
    assert step[0] == 0.0
    assert step[1] == pytest.approx(-gradient[1] / ridge[1, 1])
    assert gain == pytest.approx(0.5 * gradient[1] ** 2 / ridge[1, 1])


def test_nobody_drops_out_is_recognised():
    rng = np.random.default_rng(0)
    n = 2000
    T = rng.uniform(20, 40, n)
    x = rng.poisson(rng.gamma(2.0, 0.1, n) * T)
    t_x = np.where(x > 0, T * rng.random(n) ** (1.0 / np.maximum(x, 1)), 0.0)
    with pytest.warns(FitWarning, match="do not determine .*a.*For finite estimates pass penalty=0.1"):
        model = BetaGeoModel().fit({"frequency": x, "recency": t_x, "T": T})
    assert "a" in model.undetermined_
    assert model.converged_
    assert model.params_["a"] / (model.params_["a"] + model.params_["b"]) < 1e-3
    assert model.params_["r"] == pytest.approx(2.0, abs=4 * model.standard_errors_["r"])
    assert np.isinf(model.standard_errors_["a"])
    assert not np.isnan(model.covariance_).any()
    penalised = BetaGeoModel(penalty=0.1).fit({"frequency": x, "recency": t_x, "T": T})
    assert np.isfinite(list(penalised.standard_errors_.values())).all()


def test_equal_rates_are_recognised():
    rng = np.random.default_rng(4)
    n = 3000
    table = reference.simulate_bg_nbd(rng, n, np.full(n, 30.0), r=1e6, alpha=5e6, a=1.0, b=3.0)
    model = quietly(BetaGeoModel(), table)
    assert model.params_["r"] / model.params_["alpha"] == pytest.approx(0.2, rel=0.1)
    assert not np.isnan(list(model.standard_errors_.values())).any()
    assert np.isfinite(model.predict_purchases(table, 30.0)).all()


whole = st.integers(0, 4)


@st.composite
def small_tables(draw):
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    x = rng.integers(0, draw(st.integers(1, 40)), n) * draw(st.sampled_from([0, 1]))
    T = draw(st.sampled_from([0.0, 1e-3, 1.0, 52.0, 1e4])) * rng.choice([rng.random(n), np.ones(n)])
    share = draw(st.sampled_from([0.0, 0.5, 1.0])) if draw(st.booleans()) else rng.random(n)
    return {"frequency": x, "recency": np.where(x > 0, T * share, 0.0), "T": T}


def check_degenerate(table):
    model = quietly(BetaGeoModel(), table)
    numbers = [*model.params_.values(), *model.standard_errors_.values(), model.log_likelihood_]
    assert not np.isnan(numbers).any()
    assert np.isfinite([*model.params_.values(), model.log_likelihood_]).all()
    alive = model.predict_alive(table)
    assert np.all((alive >= 0) & (alive <= 1))
    assert not np.isnan(model.predict_purchases(table, 10.0)).any()
    return model


@given(small_tables())
def test_degenerate_tables_neither_raise_nor_give_nan(table):
    check_degenerate(table)


@pytest.mark.thorough
def test_many_small_tables_reach_the_best_of_several_starts():
    worse = []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 200))
        truth = {name: 10 ** rng.uniform(-1, 1) for name in TRUTH}
        table = reference.simulate_bg_nbd(rng, n, rng.uniform(0, 30.0, n), **truth)
        model = check_degenerate(table)
        columns = tuple(np.asarray(table[name], float) for name in ("frequency", "recency", "T"))
        objective = _fit.Likelihood(model._loglik_loop, _fit.compress(columns, None))
        box = [(-12.0, 12.0)] * 4
        starts = rng.uniform(-3, 3, (6, 4))
        rivals = [scipy_minimise(objective, s, jac=True, method="L-BFGS-B", bounds=box).fun for s in starts]
        if model.converged_ and model.log_likelihood_ < -min(rivals) - 1e-4:
            worse.append((seed, model.log_likelihood_, -min(rivals)))
    assert worse == []


# --- scikit-learn -----------------------------------------------------------------------------------------------


def test_grid_search_over_the_penalty():
    table, _ = reference.cdnow()
    search = GridSearchCV(BetaGeoModel(), {"penalty": [0.0, 0.5, 100.0]}, cv=3).fit(table)
    assert search.best_params_["penalty"] in (0.0, 0.5)
    assert search.best_score_ == pytest.approx(-9582.43 / 2357, rel=0.02)


def test_score_is_the_mean_log_likelihood():
    table, _ = reference.cdnow()
    model = BetaGeoModel().fit(table)
    assert model.score(table) == pytest.approx(model.log_likelihood_ / 2357, rel=1e-12)
    weight = np.arange(len(table)) % 3
    rows = np.repeat(np.arange(len(table)), weight)
    assert model.score(table, sample_weight=weight) == model.score(table.iloc[rows])


@pytest.mark.parametrize("model", [BetaGeoModel(), GammaGammaModel()], ids=lambda m: type(m).__name__)
def test_clone_and_a_small_pickle_without_data(model):
    table, _ = reference.cdnow()
    copy = clone(model.set_params(tol=1e-8))
    assert copy.get_params() == {**type(model)().get_params(), "tol": 1e-8}
    assert copy.fit(table) is copy
    stored = pickle.dumps(copy)
    assert len(stored) < 10_000
    again = pickle.loads(stored)
    assert again.params_ == copy.params_
    assert list(again.feature_names_in_) == list(copy._columns)
    assert again.n_features_in_ == len(copy._columns)
    assert not hasattr(clone(copy), "params_")


def test_from_params_gives_a_fitted_model():
    model = BetaGeoModel.from_params(**TRUTH)
    assert model.params_ == TRUTH
    assert model.score(simulated(100)) < 0
    assert BetaGeoModel.from_params(b=2, a=1, r=3, alpha=4).params_ == {"r": 3.0, "alpha": 4.0, "a": 1.0, "b": 2.0}


# --- messages ---------------------------------------------------------------------------------------------------

GOOD = {"customer_id": ["ada", "bob", "cy"], "frequency": [0, 2, 1], "recency": [0.0, 5.0, 4.0], "T": [9.0, 9.0, 9.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recency": [0.0, 9.5, 4.0]}, r"1 of 3 customers have recency > T \(first: bob\). Was `as_of` earlier"),
        ({"frequency": [0, 1.5, 1]}, r"1 of 3 customers have a frequency that is no whole number \(first: bob\)"),
        ({"frequency": [-1, 2, 1]}, r"1 of 3 customers have a negative frequency \(first: ada\)"),
        ({"recency": [1.0, 5.0, 4.0]}, r"1 of 3 customers have recency > 0 without a repeat purchase \(first: ada\)"),
        ({"T": [np.nan, 9.0, np.inf]}, r"2 of 3 customers have a missing or infinite T \(first: ada, cy\)"),
        ({"frequency": [0, np.inf, 1]}, "missing or infinite frequency"),
    ],
)
def test_impossible_rows_are_named(change, message):
    for table in ({**GOOD, **change}, pd.DataFrame({**GOOD, **change})):
        with pytest.raises(InvalidDataError, match=message):
            BetaGeoModel().fit(table)
        with pytest.raises(InvalidDataError, match=message):
            BetaGeoModel.from_params(**TRUTH).predict_alive(table)
    without_ids = {name: column for name, column in {**GOOD, **change}.items() if name != "customer_id"}
    with pytest.raises(InvalidDataError, match="of 3 rows have"):
        BetaGeoModel().fit(without_ids)


def test_other_messages():
    with pytest.raises(MissingColumnError, match=r"BetaGeoModel needs the columns \['T'\].*RFMSummary makes such"):
        BetaGeoModel().fit({"frequency": [1], "recency": [1.0]})
    with pytest.raises(InvalidDataError, match="needs at least one customer to learn from"):
        BetaGeoModel().fit({"frequency": [], "recency": [], "T": []})
    with pytest.raises(InvalidDataError, match="needs at least one customer to learn from"):
        BetaGeoModel().fit(GOOD, sample_weight=[0, 0, 0])
    with pytest.raises(ValueError, match=r"sample_weight must have one number per customer, shape \(3,\); got \(2,\)"):
        BetaGeoModel().fit(GOOD, sample_weight=[1, 1])
    with pytest.raises(ValueError, match=r"sample_weight must have one number per customer, .* string to float: 'two'"):
        BetaGeoModel().fit(GOOD, sample_weight=["two", "2", "2"])
    with pytest.raises(ValueError, match=r"1 of 3 customers have a negative or missing sample_weight \(first: 1\)"):
        BetaGeoModel().fit(GOOD, sample_weight=[1, -1, 1])
    with pytest.raises(NotFittedError):
        BetaGeoModel().predict_alive(GOOD)
    with pytest.raises(ValueError, match=r"from_params takes exactly \['r', 'alpha', 'a', 'b'\]; got \['r'\]"):
        BetaGeoModel.from_params(r=1.0)
    with pytest.raises(ValueError, match=r"The 'a' parameter of BetaGeoModel.from_params must be"):
        BetaGeoModel.from_params(**{**TRUTH, "a": 0.0})


@pytest.mark.parametrize(("name", "value"), [("penalty", -1.0), ("max_iter", 0), ("tol", 0.0)])
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of BetaGeoModel must be"):
        BetaGeoModel(**{name: value}).fit(GOOD)


def test_stopping_short_is_said_where_the_caller_stands():
    with pytest.warns(FitWarning, match=r"stopped after 1 iterations.*tol=1e-09.*Raise max_iter \(now 1\)") as record:
        model = BetaGeoModel(max_iter=1).fit(reference.cdnow()[0])
    assert not model.converged_
    assert record[0].filename == __file__


def test_an_empty_table_is_scored_as_empty():
    empty = {"frequency": np.empty(0), "recency": np.empty(0), "T": np.empty(0)}
    model = BetaGeoModel.from_params(**TRUTH)
    assert model.predict_alive(empty).shape == (0,)
    assert model.predict_purchases(empty, 1.0).shape == (0,)


def test_priors_on_single_parameters():
    table = simulated(400)
    free = BetaGeoModel().fit(table)
    vague = BetaGeoModel(penalty={"alpha": (3.0, 1e4)}).fit(table)
    assert vague.params_ == pytest.approx(free.params_, rel=1e-5)
    # A tight prior decides, in the unit of the table; the same prior holds in another unit.
    tight = BetaGeoModel(penalty={"alpha": (3.0, 1e-4)}).fit(table)
    assert tight.params_["alpha"] == pytest.approx(3.0, rel=1e-3)
    days = {**table, "recency": table["recency"] * 7.0, "T": table["T"] * 7.0}
    in_days = BetaGeoModel(penalty={"alpha": (21.0, 1e-4)}).fit(days)
    assert in_days.params_["r"] == pytest.approx(tight.params_["r"], rel=1e-6)
    assert tight.log_likelihood_ < free.log_likelihood_
    # One number is the same as that normal prior around the mean T on each log-parameter.
    unit = float(np.mean(table["T"]))
    spread = 1 / np.sqrt(2 * 0.5)
    medians = {"r": 1.0, "alpha": unit, "a": 1.0, "b": 1.0}
    one = BetaGeoModel(penalty=0.5).fit(table)
    each = BetaGeoModel(penalty={name: (median, spread) for name, median in medians.items()}).fit(table)
    assert each.params_ == pytest.approx(one.params_, rel=1e-6)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        ({"q": (1.0, 1.0)}, "has no parameter 'q' to penalise"),
        ({"r": 1.0}, "must be a pair"),
        ({"r": (0.0, 1.0)}, "median.*must be a float in the range"),
        ({"r": (1.0, -1.0)}, "spread.*must be a float in the range"),
    ],
)
def test_bad_priors_are_refused(penalty, message):
    with pytest.raises(ValueError, match=message):
        BetaGeoModel(penalty=penalty).fit(GOOD)
