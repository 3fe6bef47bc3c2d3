"""Fitted models written to JSON and read back, and customers scored one by one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from custanalytics.clv import (
    BetaDiscreteWeibullModel,
    BetaGeoBetaBinomModel,
    BetaGeoCNBDModel,
    BetaGeoModel,
    CorrelatedGammaGammaModel,
    GammaGammaModel,
    GammaGompertzNBDModel,
    LifetimeValue,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
    TimeVaryingBetaGeoModel,
)
from custanalytics.exceptions import InvalidDataError

TABLE = {
    "frequency": [0, 2, 5, 1, 0, 3, 8, 1],
    "recency": [0.0, 20.0, 30.0, 5.0, 0.0, 12.0, 33.0, 2.0],
    "T": [30.0, 35.0, 38.0, 20.0, 12.0, 39.0, 36.0, 30.0],
    "monetary_value": [0.0, 20.0, 31.5, 12.0, 0.0, 60.0, 25.0, 33.0],
}
BG = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
PARETO = {"r": 0.553, "alpha": 10.58, "s": 0.606, "beta": 11.66}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.4}


KINDS = (
    *(BetaDiscreteWeibullModel, BetaGeoBetaBinomModel, BetaGeoCNBDModel, BetaGeoModel, GammaGammaModel),
    *(GammaGompertzNBDModel, ModifiedBetaGeoCNBDModel, ModifiedBetaGeoModel, NBDModel, ParetoNBDModel),
    ShiftedBetaGeoModel,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_fitted_model_comes_back_whole(kind):
    choice = {"k": 2} if "CNBD" in kind.__name__ else {}
    for penalty in (0.01, dict.fromkeys(kind._names, (2.0, 1.5))):
        check_round_trip(kind(penalty=penalty, max_iter=150, **choice).fit(TABLE))


def check_round_trip(model):
    kind = type(model)
    again = kind.from_json(model.to_json())
    assert again.get_params() == model.get_params()
    assert set(vars(again)) == set(vars(model))
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name, strict=isinstance(value, np.ndarray))
    assert len(model.to_json()) < 3072
    predict = "predict_spend" if kind is GammaGammaModel else "predict_alive"
    np.testing.assert_array_equal(getattr(again, predict)(TABLE), getattr(model, predict)(TABLE))
    assert (again.aic_, again.bic_, again.score(TABLE)) == (model.aic_, model.bic_, model.score(TABLE))


def test_infinite_standard_errors_come_back():
    with pytest.warns(UserWarning, match="do not determine"):
        model = BetaGeoModel().fit({"frequency": [0, 0], "recency": [0.0, 0.0], "T": [3.0, 5.0]})
    again = BetaGeoModel.from_json(model.to_json())
    assert again.standard_errors_ == model.standard_errors_
    assert again.undetermined_ == model.undetermined_


def test_lifetime_value_comes_back_with_its_models():
    value = LifetimeValue(purchases=ParetoNBDModel(penalty=0.01), spend=GammaGammaModel(penalty=0.01), margin=0.3)
    value.fit(TABLE)
    again = LifetimeValue.from_json(value.to_json())
    np.testing.assert_array_equal(again.predict(TABLE), value.predict(TABLE))
    assert again.margin == 0.3
    given = LifetimeValue(purchases=BetaGeoModel.from_params(**BG), spend=12.5)
    np.testing.assert_array_equal(LifetimeValue.from_json(given.to_json()).predict(TABLE), given.predict(TABLE))


def test_what_is_no_saved_model_is_refused_in_words():
    text = BetaGeoModel.from_params(**BG).to_json()
    with pytest.raises(InvalidDataError, match=r"This is a BetaGeoModel: read it with BetaGeoModel\.from_json"):
        ParetoNBDModel.from_json(text)
    later = json.dumps({**json.loads(text), "format": 99})
    with pytest.raises(InvalidDataError, match="written in format 99 by a later version"):
        BetaGeoModel.from_json(later)
    with pytest.raises(InvalidDataError, match=r"lacks its parameters \['r'\]"):
        BetaGeoModel.from_json(text.replace('"r"', '"q"'))
    for bad in ("", "[1]", "{}", b"\xff"):
        with pytest.raises(InvalidDataError, match="takes the text that to_json wrote"):
            BetaGeoModel.from_json(bad)
    with pytest.raises(NotFittedError):
        BetaGeoModel().to_json()


def changed(model, *path, to):
    """What the model writes, with one entry replaced, or left out where `to` is None."""
    document = json.loads(model.to_json())
    *above, last = path
    place = document
    for key in above:
        place = place[key]
    if to is None:
        del place[last]
    else:
        place[last] = to
    return json.dumps(document)


@pytest.mark.parametrize("value", ["0.243", float("nan"), -0.243, [1.0], {"number": "inf"}])
def test_parameters_that_cannot_be_are_not_read(value):
    point = ("learned", "params_", "map", "r")
    for outer in (BetaGeoModel.from_params(**BG), ParetoNBDModel.from_params(**PARETO)):
        with pytest.raises(InvalidDataError, match=rf"JSON of this {type(outer).__name__} has parameters that cannot"):
            type(outer).from_json(changed(outer, *point, to=value))
    inside = LifetimeValue(purchases=BetaGeoModel.from_params(**BG), spend=12.5)
    with pytest.raises(InvalidDataError, match="JSON of this BetaGeoModel has parameters that cannot be"):
        LifetimeValue.from_json(changed(inside, "settings", "purchases", "fitted", *point, to=value))


@pytest.mark.parametrize("kind", [BetaGeoModel, TimeVaryingBetaGeoModel])
@pytest.mark.parametrize("value", [None, "0.5", float("nan")])
def test_coefficients_that_cannot_be_are_not_read(kind, value):
    model = kind.from_params(**BG, coefficients={"rate": {"sale": -0.5}})
    assert kind.from_json(model.to_json()).coefficients_ == {"rate": {"sale": -0.5}}
    text = changed(model, "learned", "coefficients_", "map", "rate", "map", "sale", to=value)
    with pytest.raises(InvalidDataError, match=r"has coefficients of 'rate' that cannot be: \{'sale'"):
        kind.from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("settings",), None),
        (("learned",), None),
        (("learned",), [1]),
        (("format",), "one"),
        (("learned", "params_"), 3.0),
        (("settings", "color"), "red"),
        (("learned", "params_", "map", "r"), 10**400),
    ],
)
def test_json_of_another_shape_is_refused_in_words(path, value):
    with pytest.raises(InvalidDataError, match="takes the text that to_json wrote"):
        BetaGeoModel.from_json(changed(BetaGeoModel.from_params(**BG), *path, to=value))


def test_a_signed_parameter_comes_back():
    model = CorrelatedGammaGammaModel(penalty=0.1).fit({**TABLE, "monetary_value": [0.0, 40, 20, 60, 0, 30, 9, 66]})
    assert model.params_["c"] < 0
    assert CorrelatedGammaGammaModel.from_json(model.to_json()).params_ == model.params_


@pytest.mark.parametrize("model", [BetaGeoModel.from_params(**BG), ParetoNBDModel.from_params(**PARETO)])
def test_one_customer_is_scored_like_a_table(model):
    alive, ahead = model.predict_alive(TABLE), model.predict_purchases(TABLE, 26.0)
    customers = list(zip(TABLE["frequency"], TABLE["recency"], TABLE["T"], strict=True))
    for at, customer in enumerate(customers):
        assert model.score_one(*customer, 26.0) == (alive[at], ahead[at])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda customer: model.score_one(*customer, 26.0), customers * 50))
    assert found == [model.score_one(*customer, 26.0) for customer in customers] * 50


@pytest.mark.parametrize("customer", [(1.5, 1, 2), (-1, 0, 2), (1, 3, 2), (0, 1, 2), (1, 1, np.inf), (np.nan, 0, 1)])
def test_no_customer_is_refused(customer):
    with pytest.raises(ValueError, match="No customer has frequency="):
        BetaGeoModel.from_params(**BG).score_one(*customer, 26.0)


@pytest.mark.parametrize(
    "customer", [(1, 1.0, "a"), (None, 1.0, 2.0), (1, 1j, 2.0), (np.array([1]), 1.0, 2.0), (1, 1.0, 2**1100)]
)
def test_what_is_no_number_is_refused(customer):
    with pytest.raises(TypeError, match=r"BetaGeoModel\.score_one takes numbers\. Got frequency="):
        BetaGeoModel.from_params(**BG).score_one(*customer, 26.0)
    value = LifetimeValue(purchases=BetaGeoModel.from_params(**BG), spend=20.0).fit(TABLE)
    for amount in ("a", None, 1j, np.nan, 2**1100):
        with pytest.raises(ValueError, match="monetary_value must be a finite number"):
            value.score_one(1, 1.0, 2.0, amount)


def test_a_model_of_the_same_name_elsewhere_changes_nothing():
    other = type("BetaGeoModel", (BetaGeoModel,), {"__module__": "elsewhere"})
    mine = BetaGeoModel.from_params(**BG)
    assert type(BetaGeoModel.from_json(mine.to_json())) is BetaGeoModel
    assert type(other.from_json(other.from_params(**BG).to_json())) is other
    value = LifetimeValue(purchases=BetaGeoModel(), spend=20.0).fit(TABLE)
    assert type(LifetimeValue.from_json(value.to_json()).purchases_) is BetaGeoModel
