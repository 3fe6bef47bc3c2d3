"""Static covariates: exact likelihoods and derivatives, recovery, predictions, and what changes nothing."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tests.reference import clv as reference
from tests.reference.covariates import log_likelihood, simulate
from tests.reference.differences import symmetric

from custanalytics import _jit
from custanalytics.clv import (
    BetaGeoCNBDModel,
    BetaGeoModel,
    GammaGompertzNBDModel,
    LifetimeValue,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    _fit,
    likelihood_ratio_test,
)
from custanalytics.clv._design import compress
from custanalytics.exceptions import FitWarning, InvalidDataError, MissingColumnError

THETA = {
    BetaGeoModel: {"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.5},
    ModifiedBetaGeoModel: {"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.5},
    ParetoNBDModel: {"r": 0.6, "alpha": 6.0, "s": 0.6, "beta": 10.0},
    NBDModel: {"r": 0.6, "alpha": 6.0},
}
KINDS = list(THETA)
TABLE = {
    "frequency": np.array([0.0, 2, 5, 1, 0, 3, 8, 1]),
    "recency": np.array([0.0, 20, 30, 5, 0, 12, 33, 2]),
    "T": np.array([30.0, 35, 38, 20, 12, 39, 36, 30]),
    "shop": np.array([0.0, 1, 1, 0, 1, 0, 1, 0]),
    "age": np.array([-0.3, 1.2, 0.4, -0.9, 0.0, 0.7, -1.4, 0.2]),
}


def settings(kind, **more):
    dropout = {} if kind is NBDModel else {"dropout_covariates": ("age",)}
    return {"rate_covariates": ("shop", "age"), **dropout, **more}


def coefficients(kind):
    return {"rate": {"shop": 0.5, "age": -0.3}, **({} if kind is NBDModel else {"dropout": {"age": 0.4}})}


def known(kind, **more):
    return kind.from_params(**THETA[kind], coefficients=coefficients(kind), **more)


def one_by_one(kind, table, effect="a"):
    """The parameters of each customer."""
    for shop, age in zip(table["shop"], table["age"], strict=True):
        theta = dict(THETA[kind])
        theta["alpha"] *= np.exp(-(0.5 * shop - 0.3 * age))
        if "beta" in theta:
            theta["beta"] *= np.exp(-0.4 * age)
        for name in ("a", "b") if effect == "both" else ("a",):
            if name in theta:
                theta[name] *= np.exp(0.4 * age)
        yield theta


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_is_that_of_customers_with_parameters_of_their_own(kind):
    expected = sum(
        log_likelihood(kind.__name__, x, t_x, T, *theta.values())
        for x, t_x, T, theta in zip(
            *(TABLE[c] for c in ("frequency", "recency", "T")), one_by_one(kind, TABLE), strict=True
        )
    )
    assert known(kind).score(TABLE) * 8 == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("effect", ["both", "apart"])
def test_dropout_effects_scale_a_and_b_as_documented(effect):
    given = {"dropout": {"age": 0.4}} if effect == "both" else {"a": {"age": 0.4}, "b": {"age": -0.7}}
    model = BetaGeoModel.from_params(**THETA[BetaGeoModel], dropout_effect=effect, coefficients=given)
    at = model.with_covariates({"age": 1.5}).params_
    assert at["a"] == pytest.approx(0.8 * np.exp(0.4 * 1.5), rel=1e-15)
    assert at["b"] == pytest.approx(2.5 * np.exp((0.4 if effect == "both" else -0.7) * 1.5), rel=1e-15)
    assert at["alpha"] == 6.0


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_exact(kind):
    model = known(kind)
    loop, point = model._likelihood()
    sample = model._sample(TABLE, [1.0, 2, 1, 1, 3, 1, 1, 1])
    k, n = len(model._names), point.size

    def value(at):
        return _fit.total(loop, sample, at)[0]

    def by_logs(at):
        gradient = _fit.total(loop, sample, at)[1 : 1 + n]
        gradient[:k] *= at[:k]
        return gradient

    steps = 1e-3 * np.eye(n)
    moved = [(np.append(point[:k] * np.exp(s[:k]), point[k:] + s[k:])) for s in steps]
    back = [(np.append(point[:k] * np.exp(-s[:k]), point[k:] - s[k:])) for s in steps]
    twice = [(np.append(point[:k] * np.exp(2 * s[:k]), point[k:] + 2 * s[k:])) for s in steps]
    twice_back = [(np.append(point[:k] * np.exp(-2 * s[:k]), point[k:] - 2 * s[k:])) for s in steps]

    def fourth_order(function):
        return np.array(
            [
                (8 * (function(a) - function(b)) - (function(c) - function(d))) / 12e-3
                for a, b, c, d in zip(moved, back, twice, twice_back, strict=True)
            ]
        )

    np.testing.assert_allclose(by_logs(point), fourth_order(value), rtol=1e-7, atol=1e-8)
    second = symmetric(_fit.total(loop, sample, point, second=True)[1 + n :])
    np.testing.assert_allclose(second, fourth_order(by_logs), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_covariate_that_is_the_same_for_everybody_changes_nothing(kind, level):
    table = reference.cdnow()[0].assign(same=level)
    plain = kind().fit(table)
    dropout = {} if kind is NBDModel else {"dropout_covariates": ("same",)}
    with pytest.warns(FitWarning, match="do not determine rate:same"):
        model = kind(rate_covariates=("same",), **dropout).fit(table)
    assert model.log_likelihood_ == plain.log_likelihood_
    assert model.params_ == plain.params_
    assert model.coefficients_["rate"] == {"same": 0.0}
    assert model.standard_errors_["rate:same"] == np.inf
    np.testing.assert_array_equal(model.predict_alive(table), plain.predict_alive(table))
    np.testing.assert_array_equal(model.predict_purchases(table, 39), plain.predict_purchases(table, 39))


@pytest.mark.parametrize("kind", KINDS)
def test_coefficients_of_zero_change_nothing(kind):
    nothing = {process: dict.fromkeys(each, 0.0) for process, each in coefficients(kind).items()}
    model, plain = kind.from_params(**THETA[kind], coefficients=nothing), kind.from_params(**THETA[kind])
    np.testing.assert_array_equal(model.predict_alive(TABLE), plain.predict_alive(TABLE))
    np.testing.assert_array_equal(model.predict_purchases(TABLE, 39), plain.predict_purchases(TABLE, 39))
    assert model.score(TABLE) == pytest.approx(plain.score(TABLE), rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("continuous", [False, True])
def test_the_truth_is_recovered(kind, continuous):
    rng = np.random.default_rng(3)
    shop = rng.integers(0, 2, 6000).astype(float)
    age = rng.normal(size=6000) if continuous else rng.integers(-1, 2, 6000).astype(float)
    thetas = list(one_by_one(kind, {"shop": shop, "age": age}))
    table = {**simulate(rng, kind.__name__, thetas), "shop": shop, "age": age}
    model = kind(**settings(kind)).fit(table)
    truth = known(kind)._estimates()
    assert model.converged_
    for name, value in model._estimates().items():
        assert abs(value - truth[name]) < 4.0 * model.standard_errors_[name], name
    assert model.standard_errors_["rate:shop"] < 0.1
    robust = np.sqrt(np.diag(model.sandwich_covariance({name: column[:2000] for name, column in table.items()})))
    assert robust[-1] < model.standard_errors_[list(truth)[-1]]  # of a third of the customers, at the same curvature


def test_equal_covariates_have_one_coefficient():
    rng = np.random.default_rng(4)
    age = rng.normal(size=4000)
    base = THETA[ParetoNBDModel]
    thetas = [{**base, "alpha": 6.0 * np.exp(-0.5 * z), "beta": 10.0 * np.exp(-0.5 * z)} for z in age]
    table = {**simulate(rng, "ParetoNBDModel", thetas), "age": age}
    one = ParetoNBDModel(equal_covariates=("age",)).fit(table)
    two = ParetoNBDModel(rate_covariates=("age",), dropout_covariates=("age",)).fit(table)
    assert abs(one.coefficients_["equal"]["age"] - 0.5) < 4 * one.standard_errors_["equal:age"]
    assert one.aic_ == pytest.approx(10 - 2 * one.log_likelihood_, rel=1e-15)
    test = likelihood_ratio_test(one, two)
    assert test.degrees_of_freedom == 1
    assert test.p_value > 1e-3
    assert likelihood_ratio_test(ParetoNBDModel().fit(table), one).p_value < 1e-6
    with pytest.raises(ValueError, match="ParetoNBDModel is not a special case of ParetoNBDModel"):
        likelihood_ratio_test(ParetoNBDModel(rate_covariates=("age",)).fit(table), one)


@pytest.mark.parametrize("kind", KINDS)
def test_every_customer_is_scored_by_parameters_of_their_own(kind):
    model = known(kind)
    alive = model.predict_alive(TABLE)
    ahead = model.predict_purchases(TABLE, 13.0)
    worth = model.predict_discounted_purchases(TABLE, 52.0, 0.01)
    for at, theta in enumerate(one_by_one(kind, TABLE)):
        plain = kind.from_params(**theta)
        row = {name: TABLE[name][at : at + 1] for name in ("frequency", "recency", "T")}
        assert alive[at] == pytest.approx(plain.predict_alive(row)[0], rel=1e-12)
        assert ahead[at] == pytest.approx(plain.predict_purchases(row, 13.0)[0], rel=1e-12)
        assert worth[at] == pytest.approx(plain.predict_discounted_purchases(row, 52.0, 0.01)[0], rel=1e-12)
        own = model.with_covariates({name: float(TABLE[name][at]) for name in ("shop", "age")})
        assert own.score_one(*(float(row[name][0]) for name in row), horizon=13.0) == (
            pytest.approx(alive[at], rel=1e-12),
            pytest.approx(ahead[at], rel=1e-12),
        )
        assert own.expected_purchases_new_customer(10.0) == pytest.approx(
            plain.expected_purchases_new_customer(10.0), rel=1e-12
        )


OTHERS = {
    GammaGompertzNBDModel: {"r": 0.6, "alpha": 6.0, "b": 0.05, "s": 0.6, "beta": 0.4},
    BetaGeoCNBDModel: {"k": 3, "r": 0.9, "alpha": 2.0, "a": 0.8, "b": 2.5},
    ModifiedBetaGeoCNBDModel: {"k": 2, "r": 0.9, "alpha": 3.0, "a": 0.8, "b": 2.5},
}
SCALED = {"alpha": -1, "beta": -1, "a": 1}


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_whatever_is_asked_of_a_table_is_asked_of_each_customer(kind):
    base = {**THETA, **OTHERS}[kind]
    model = kind.from_params(**base, coefficients=coefficients(kind))
    asked = {
        "score": lambda of, rows: np.array([of.score(rows)]),
        "alive": lambda of, rows: of.predict_alive(rows),
        "alive ahead": lambda of, rows: of.predict_alive(rows, ahead=5.0),
        "purchases": lambda of, rows: of.predict_purchases(rows, 13.0),
        "later purchases": lambda of, rows: of.predict_purchases(rows, 13.0, start=4.0),
        "discounted": lambda of, rows: of.predict_discounted_purchases(rows, 52.0, 0.01),
        "counts": lambda of, rows: of.predict_count_probabilities(rows, [0, 2], 9.0),
        "quantiles": lambda of, rows: of.predict_count_quantiles(rows, 0.9, 9.0),
    }
    for what, ask in asked.items():
        found = ask(model, TABLE)
        single = []
        for at, (shop, age) in enumerate(zip(TABLE["shop"], TABLE["age"], strict=True)):
            linear = {"alpha": 0.5 * shop - 0.3 * age, "beta": 0.4 * age, "a": 0.4 * age}
            theta = {name: value * np.exp(SCALED.get(name, 0) * linear.get(name, 0.0)) for name, value in base.items()}
            row = {name: TABLE[name][at : at + 1] for name in ("frequency", "recency", "T")}
            single.append(ask(kind.from_params(**{**theta, **({"k": base["k"]} if "k" in base else {})}), row)[0])
        expected = np.array([np.mean(single)]) if what == "score" else np.array(single)
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=what)


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_what_is_said_of_a_customer_does_not_depend_on_the_others(kind):
    model = kind.from_params(**{**THETA, **OTHERS}[kind], coefficients=coefficients(kind))
    before = dict(model.params_)
    rows = np.random.default_rng(4).choice(len(TABLE["T"]), 60)
    many = {name: column[rows] for name, column in TABLE.items()}
    many["T"][::3] += 1.0  # groups of customers who differ
    apart = [{name: column[at : at + 1] for name, column in many.items()} for at in range(60)]
    for ask in (
        lambda table: model.predict_alive(table),
        lambda table: model.predict_purchases(table, 13.0),
        lambda table: model.predict_discounted_purchases(table, horizon=52.0, rate=0.01),
    ):
        np.testing.assert_allclose(ask(many), np.concatenate([ask(one) for one in apart]), rtol=1e-13)
    assert model.params_ == before


@pytest.mark.parametrize("kind", [BetaGeoModel, ParetoNBDModel])
def test_draws_of_a_customer_do_not_depend_on_the_groups(kind):
    nothing = {process: dict.fromkeys(each, 0.0) for process, each in coefficients(kind).items()}
    model, plain = kind.from_params(**THETA[kind], coefficients=nothing), kind.from_params(**THETA[kind])
    np.testing.assert_array_equal(model.sample(TABLE, 50, 9.0, rng=1), plain.sample(TABLE, 50, 9.0, rng=1))


def test_regular_timing_takes_covariates_and_is_the_bg_nbd_at_k_1():
    rng = np.random.default_rng(9)
    thetas = [{**THETA[BetaGeoModel], "alpha": 6.0 * np.exp(-z)} for z in np.tile([0.0, 1.0], 500)]
    table = {**simulate(rng, "BetaGeoModel", thetas), "shop": np.tile([0.0, 1.0], 500)}
    one = BetaGeoCNBDModel(k=1, rate_covariates=("shop",)).fit(table)
    other = BetaGeoModel(rate_covariates=("shop",)).fit(table)
    assert one.log_likelihood_ == pytest.approx(other.log_likelihood_, abs=1e-7)
    assert one.coefficients_["rate"]["shop"] == pytest.approx(other.coefficients_["rate"]["shop"], abs=1e-6)
    assert one.score(table) * 1000 == pytest.approx(one.log_likelihood_, rel=1e-12)


def test_what_needs_one_customer_asks_for_the_covariates():
    model = known(BetaGeoModel)
    for ask in (
        lambda: model.score_one(2, 5.0, 9.0, 4.0),
        lambda: model.expected_purchases_new_customer(5.0),
        lambda: model.probability_of_purchases(2, 5.0),
    ):
        with pytest.raises(
            ValueError, match=r"has the covariates \['shop', 'age'\], .* model.with_covariates\(\{'shop'"
        ):
            ask()
    with pytest.raises(ValueError, match=r"has the covariates \['shop', 'age'\]; got \['shop'\]"):
        model.with_covariates({"shop": 1})
    with pytest.raises(ValueError, match="The \"covariates\\['age'\\]\" parameter of BetaGeoModel must be a float"):
        model.with_covariates({"shop": 1, "age": np.nan})
    with pytest.raises(NotFittedError):
        BetaGeoModel(rate_covariates=("shop",)).with_covariates({"shop": 1})
    with pytest.raises(NotFittedError):
        BetaGeoModel(rate_covariates=("shop",)).predict_alive(TABLE)
    plain = BetaGeoModel.from_params(**THETA[BetaGeoModel])
    assert plain.with_covariates({}).params_ == plain.params_


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("groups", [2, 300])
def test_compression_is_exact_and_ignores_the_order_of_rows(weighted, groups):
    rng = np.random.default_rng(5)
    n = 2000
    own = tuple(rng.integers(0, 3, n).astype(float) for _ in range(3))
    values = (rng.integers(0, groups, n) - 1.0, rng.integers(0, 2, n) * -1.0)
    weight = rng.integers(0, 3, n) / 7 if weighted else None
    sample = compress(own, values, weight)
    frame = pd.DataFrame(np.column_stack([*values, *own]) + 0.0)
    sums = frame.assign(w=1.0 if weight is None else weight).groupby(list(range(5)))["w"].sum()
    assert sample.weight.size == len(sums)
    found = pd.Series(sample.weight, pd.MultiIndex.from_arrays([*sample.columns[3:], *sample.columns[:3]]))
    np.testing.assert_allclose(found.sort_index().to_numpy(), sums.to_numpy(), rtol=1e-14)
    order = rng.permutation(n)
    again = compress(
        tuple(c[order] for c in own), tuple(c[order] for c in values), None if weight is None else weight[order]
    )
    for one, other in zip((*sample.columns, sample.weight), (*again.columns, again.weight), strict=True):
        np.testing.assert_array_equal(one, other)
    changes = (np.diff(np.column_stack(sample.columns[3:]), axis=0) != 0).any(axis=1).sum()
    assert changes + 1 == len(frame[[0, 1]].drop_duplicates())  # each group is in one piece


def test_weights_order_threads_and_units_change_what_they_should():
    rng = np.random.default_rng(6)
    thetas = [THETA[BetaGeoModel]] * 500
    table = {
        **simulate(rng, "BetaGeoModel", thetas),
        "shop": rng.integers(0, 2, 500) * 1.0,
        "age": rng.normal(size=500),
    }
    model = BetaGeoModel(**settings(BetaGeoModel)).fit(table)
    order = rng.permutation(500)
    shuffled = BetaGeoModel(**settings(BetaGeoModel)).fit({name: column[order] for name, column in table.items()})
    assert shuffled.params_ == model.params_
    assert shuffled.coefficients_ == model.coefficients_
    doubled = BetaGeoModel(**settings(BetaGeoModel)).fit(table, sample_weight=np.full(500, 2.0))
    assert doubled.log_likelihood_ == pytest.approx(2 * model.log_likelihood_, rel=1e-12)
    with _jit.threads(1):
        assert BetaGeoModel(**settings(BetaGeoModel)).fit(table).params_ == model.params_
    days = {**table, "recency": table["recency"] * 7, "T": table["T"] * 7}
    daily = BetaGeoModel(**settings(BetaGeoModel)).fit(days)
    assert daily.params_["alpha"] == pytest.approx(7 * model.params_["alpha"], rel=1e-6)
    assert daily.coefficients_["rate"]["shop"] == pytest.approx(model.coefficients_["rate"]["shop"], abs=1e-6)
    moved = {**table, "age": 2000.0 + 10.0 * table["age"]}  # another zero and another unit of a covariate
    other = BetaGeoModel(**settings(BetaGeoModel)).fit(moved)
    assert other.log_likelihood_ == pytest.approx(model.log_likelihood_, abs=1e-7)
    assert 10 * other.coefficients_["dropout"]["age"] == pytest.approx(model.coefficients_["dropout"]["age"], rel=1e-4)
    assert 10 * other.standard_errors_["rate:age"] == pytest.approx(model.standard_errors_["rate:age"], rel=1e-4)


def test_collinear_covariates_are_said_to_be_undetermined():
    rng = np.random.default_rng(7)
    table = {**simulate(rng, "BetaGeoModel", [THETA[BetaGeoModel]] * 500), "shop": rng.integers(0, 2, 500) * 1.0}
    table["web"] = 1.0 - table["shop"]
    with pytest.warns(FitWarning, match="do not determine alpha, rate:shop, rate:web"):
        model = BetaGeoModel(rate_covariates=("shop", "web")).fit(table)
    assert model.log_likelihood_ == pytest.approx(BetaGeoModel(rate_covariates=("shop",)).fit(table).log_likelihood_)
    steady = BetaGeoModel(rate_covariates=("shop", "web"), covariate_penalty=1.0).fit(table)
    assert steady.undetermined_ == ()


def test_a_ridge_shrinks_the_coefficients_alone():
    rng = np.random.default_rng(8)
    thetas = [{**THETA[BetaGeoModel], "alpha": 6.0 * np.exp(-z)} for z in np.tile([0.0, 1.0], 500)]
    table = {**simulate(rng, "BetaGeoModel", thetas), "shop": np.tile([0.0, 1.0], 500)}
    free, held, firm = (
        BetaGeoModel(rate_covariates=("shop",), covariate_penalty=weight).fit(table) for weight in (0.0, 30.0, 1e8)
    )
    assert (
        free.coefficients_["rate"]["shop"] > held.coefficients_["rate"]["shop"] > firm.coefficients_["rate"]["shop"] > 0
    )
    plain = BetaGeoModel().fit(table)
    assert firm.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-3)
    assert firm.params_["a"] == pytest.approx(plain.params_["a"], rel=1e-4)
    with pytest.raises(ValueError, match="needs fits without penalty"):
        likelihood_ratio_test(plain, held)


@pytest.mark.parametrize("kind", KINDS)
def test_json_pickle_and_clone_keep_them(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        model = kind(**settings(kind), penalty=0.1, covariate_penalty=0.1).fit(TABLE)
    for again in (kind.from_json(model.to_json()), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_purchases(TABLE, 9.0), model.predict_purchases(TABLE, 9.0))
        assert again.coefficients_ == model.coefficients_
        np.testing.assert_array_equal(again.covariance_, model.covariance_)
    assert clone(model).get_params() == model.get_params()
    assert list(model.feature_names_in_) == ["frequency", "recency", "T", "shop", "age"]
    assert model.n_features_in_ == 5


def test_a_fit_without_covariates_forgets_them():
    model = BetaGeoModel(rate_covariates=("shop",), penalty=0.1, covariate_penalty=1.0).fit(TABLE)
    model.set_params(rate_covariates=()).fit(TABLE)
    assert not hasattr(model, "coefficients_")
    assert list(model.feature_names_in_) == ["frequency", "recency", "T"]


def test_frames_engines_and_lifetime_value_take_them(to_frame):
    frame = pd.DataFrame(TABLE)
    model = known(ParetoNBDModel)
    expected = model.predict_purchases(TABLE, 9.0)
    np.testing.assert_array_equal(model.predict_purchases(to_frame(frame), 9.0), expected)
    lazy = model.predict_purchases(pl.from_pandas(frame).lazy(), 9.0).collect()
    np.testing.assert_array_equal(lazy["expected_purchases"].to_numpy(), expected)
    value = LifetimeValue(purchases=model, spend=10.0, horizon=9.0, discount_rate=0.0)
    np.testing.assert_allclose(value.predict(TABLE), 10.0 * expected, rtol=1e-12)
    with pytest.raises(InvalidDataError, match=r"1 of 8 rows have a missing or infinite age"):
        model.predict_alive(pl.from_pandas(frame.assign(age=[None, *frame["age"][1:]])).lazy())
    fitted = BetaGeoModel(rate_covariates=("shop",), penalty=0.1).fit(TABLE)
    again = BetaGeoModel(rate_covariates=("shop",), penalty=0.1).fit(pl.from_pandas(frame).lazy())
    assert again.coefficients_["rate"]["shop"] == pytest.approx(fitted.coefficients_["rate"]["shop"], rel=1e-9)


def test_an_empty_table_has_no_predictions():
    empty = {name: np.zeros(0) for name in TABLE}
    assert known(BetaGeoModel).predict_purchases(empty, 3.0).shape == (0,)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (
            {**TABLE, "age": [np.nan, np.inf, *[0.0] * 6]},
            InvalidDataError,
            "2 of 8 rows have a missing or infinite age",
        ),
        ({**TABLE, "age": list("abcdefgh")}, InvalidDataError, "The covariate .age. must be numeric; .* of 0 and 1"),
        ({name: TABLE[name] for name in ("frequency", "recency", "T", "shop")}, MissingColumnError, r"\['age'\]"),
    ],
)
def test_tables_that_lack_covariates_are_refused(table, error, message):
    with pytest.raises(error, match=message):
        BetaGeoModel(**settings(BetaGeoModel)).fit(table)
    with pytest.raises(error, match=message):
        known(BetaGeoModel).predict_alive(table)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"rate_covariates": "shop"},
            "'rate_covariates' parameter of BetaGeoModel must be an instance of tuple or list",
        ),
        ({"rate_covariates": ("T",)}, "'T' is what BetaGeoModel explains and cannot be a covariate"),
        ({"rate_covariates": (1,)}, "rate_covariates of BetaGeoModel are names of columns; got 1"),
        ({"dropout_covariates": ("age", "age")}, "dropout_covariates of BetaGeoModel name a column twice"),
        ({"equal_covariates": ("age",), "rate_covariates": ("age",)}, "one coefficient for both processes"),
        ({"dropout_effect": "c"}, "'dropout_effect' parameter of BetaGeoModel must be a str among"),
        ({"dropout_effect": "apart", "equal_covariates": ("age",)}, "there are two of them"),
        ({"covariate_penalty": -1.0}, "'covariate_penalty' parameter of BetaGeoModel"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        BetaGeoModel(**given).fit(TABLE)


def test_coefficients_of_no_process_are_refused():
    with pytest.raises(ValueError, match=r"by process, of \['rate'\], and column"):
        NBDModel.from_params(r=1.0, alpha=2.0, coefficients={"dropout": {"age": 1.0}})
    with pytest.raises(ValueError, match=r"by process, of \['rate', 'equal', 'a', 'b'\], and column"):
        BetaGeoModel.from_params(**THETA[BetaGeoModel], dropout_effect="apart", coefficients={"a": {"age": 1.0}})
    with pytest.raises(ValueError, match="must be a float"):
        NBDModel.from_params(r=1.0, alpha=2.0, coefficients={"rate": {"age": np.inf}})


def test_covariates_out_of_all_proportion_give_finite_numbers():
    model = known(ParetoNBDModel)
    far = {**TABLE, "age": TABLE["age"] * 1e6, "shop": TABLE["shop"] * -1e6}
    assert np.isfinite(model.predict_alive(far)).all()
    assert np.isfinite(model.predict_purchases(far, 9.0)).all()
    assert np.isfinite(model.score(far))


def test_a_group_without_purchases_leaves_its_coefficient_open_and_the_rest_as_it_is():
    rng = np.random.default_rng(10)
    table = {**simulate(rng, "BetaGeoModel", [THETA[BetaGeoModel]] * 800)}
    table["silent"] = (table["frequency"] == 0).astype(float)
    with pytest.warns(FitWarning, match=r"do not determine rate:silent: .* \(rate:silent = -"):
        model = BetaGeoModel(rate_covariates=("silent",)).fit(table)
    others = {name: column[table["silent"] == 0] for name, column in table.items()}
    alone = BetaGeoModel().fit({name: others[name] for name in ("frequency", "recency", "T")})
    assert model.params_["r"] == pytest.approx(alone.params_["r"], rel=1e-4)
    assert model.standard_errors_["alpha"] == pytest.approx(alone.standard_errors_["alpha"], rel=1e-3)
    assert model.standard_errors_["rate:silent"] == np.inf


@pytest.mark.parametrize("coefficients", [[1], {"rate": None}, {"rate": "z"}, {"rate": {3: 1.0}}])
def test_coefficients_that_are_no_mappings_are_refused(coefficients):
    with pytest.raises(ValueError, match=r"coefficients.* parameter of BetaGeoModel must be an instance of"):
        BetaGeoModel.from_params(r=0.2, alpha=4.4, a=0.8, b=2.4, coefficients=coefficients)
    model = BetaGeoModel.from_params(r=0.2, alpha=4.4, a=0.8, b=2.4, coefficients={"rate": {"z": 0.5}})
    with pytest.raises(ValueError, match="'covariates' parameter of BetaGeoModel must be an instance of"):
        model.with_covariates(None)
