"""Fits of a table in an engine: the parameters of the in-memory fit, from few rows, and the same refusals."""

from __future__ import annotations

import decimal
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.services import Engine, Engines
from tests.engines.tables import customers

from custanalytics import _engines, _frames
from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue, ParetoNBDModel, _fit, _gamma_gamma
from custanalytics.clv import _kernels_gamma_gamma as kernels
from custanalytics.clv import _spend_sums as spend_sums
from custanalytics.exceptions import DataQualityWarning, FitWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMScorer

TABLE = customers(4000)
LAZY = ("polars-lazy", "duckdb", "ibis-duckdb", "dask")
QUICK = ("polars-lazy", "duckdb")  # Dask takes a second for what these do at once


@pytest.fixture
def never_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spend is fitted from sums, however few the repeat buyers."""
    monkeypatch.setattr(_gamma_gamma, "FEW", 0)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of everything that leaves an engine."""
    sizes: list[int] = []
    gather = _frames.gather

    def counted(lazy: Any) -> Any:
        frame = gather(lazy)
        sizes.append(len(frame))
        return frame

    monkeypatch.setattr(_frames, "gather", counted)
    return sizes


def assert_close(found: Any, wanted: Any, rel: float = 1e-9) -> None:
    assert found.params_ == pytest.approx(wanted.params_, rel=rel)
    assert found.log_likelihood_ == pytest.approx(wanted.log_likelihood_, rel=1e-12)
    assert found.undetermined_ == wanted.undetermined_
    assert found.converged_ == wanted.converged_


def refusal(action: Any) -> tuple[type, str]:
    with pytest.raises((InvalidDataError, TypeError)) as caught:
        action()
    return caught.type, str(caught.value)


# --- the same parameters ------------------------------------------------------------------------------------------


def test_a_fit_of_purchases_is_that_in_memory_to_the_last_bit(engine: Engine) -> None:
    found, wanted = BetaGeoModel().fit(engine.make(TABLE)), BetaGeoModel().fit(TABLE)
    assert found.params_ == wanted.params_
    assert found.standard_errors_ == wanted.standard_errors_
    assert found.log_likelihood_ == wanted.log_likelihood_


@pytest.mark.parametrize("name", LAZY)
def test_purchases_take_weights_and_score(engines: Engines, name: str) -> None:
    table = engines[name].make(TABLE.assign(weight=TABLE.index % 3))
    wanted = BetaGeoModel().fit(TABLE)
    assert wanted.score(table) == wanted.score(TABLE)
    weighted = BetaGeoModel().fit(table, sample_weight="weight")
    assert weighted.params_ == BetaGeoModel().fit(TABLE, sample_weight=TABLE.index % 3).params_


def test_a_fit_of_spend_from_sums_is_that_in_memory(engine: Engine, never_few: None) -> None:
    wanted = GammaGammaModel().fit(TABLE)
    found = GammaGammaModel().fit(engine.make(TABLE))
    assert_close(found, wanted)
    assert found.standard_errors_ == pytest.approx(wanted.standard_errors_, rel=1e-4)


@pytest.mark.parametrize("name", QUICK)
def test_sums_take_weights_and_a_penalty_and_score(engines: Engines, name: str, never_few: None) -> None:
    table = engines[name].make(TABLE.assign(weight=TABLE.index % 3))
    wanted = GammaGammaModel(penalty=0.3).fit(TABLE, sample_weight=TABLE.index % 3)
    assert_close(GammaGammaModel(penalty=0.3).fit(table, sample_weight="weight"), wanted)
    assert wanted.score(table) == pytest.approx(wanted.score(TABLE), rel=1e-12)
    by_weight = wanted.score(TABLE, sample_weight=TABLE.index % 3)
    assert wanted.score(table, sample_weight="weight") == pytest.approx(by_weight, rel=1e-12)


@pytest.mark.parametrize("name", LAZY)
def test_a_fit_of_spend_to_few_is_that_in_memory_to_the_last_bit(engines: Engines, name: str) -> None:
    table = engines[name].make(TABLE.assign(weight=0.5 + TABLE.index % 3))
    assert GammaGammaModel().fit(table).params_ == GammaGammaModel().fit(TABLE).params_
    wanted = GammaGammaModel().fit(TABLE, sample_weight=0.5 + TABLE.index % 3)
    assert_close(GammaGammaModel().fit(table, sample_weight="weight"), wanted, rel=1e-12)


@pytest.mark.parametrize("name", QUICK)
def test_lifetime_value_fits_both_of_its_models_in_the_engine(engines: Engines, name: str) -> None:
    table = engines[name].make(TABLE)
    found = LifetimeValue(purchases=ParetoNBDModel()).fit(table)
    wanted = LifetimeValue(purchases=ParetoNBDModel()).fit(TABLE)
    assert found.purchases_.params_ == wanted.purchases_.params_
    assert found.spend_.params_ == wanted.spend_.params_
    assert list(found.feature_names_in_) == list(wanted.feature_names_in_)


@pytest.mark.parametrize("parts", [1, 5])
def test_partitions_of_dask_change_nothing_even_empty_ones(parts: int, never_few: None) -> None:
    import dask.dataframe

    table = dask.dataframe.from_pandas(TABLE, npartitions=parts)
    gone = table["customer_id"] < 500  # partitions without a row
    for model in (BetaGeoModel(), GammaGammaModel()):
        assert_close(model.fit(table[gone]), type(model)().fit(TABLE[:500]))


@pytest.mark.parametrize("name", ["duckdb", "polars-lazy", "ibis-duckdb"])
def test_decimals_integers_and_missing_amounts_of_one_time_buyers_are_read(engines: Engines, name: str) -> None:
    money = [None if x == 0 else decimal.Decimal(f"{m:.2f}") for x, m in TABLE[["frequency", "monetary_value"]].values]
    table = pa.table(
        {
            "frequency": pa.array(TABLE["frequency"], pa.int16()),
            "monetary_value": pa.array(money, pa.decimal128(12, 2)),
        }
    )
    assert GammaGammaModel().fit(engines[name].make(table)).params_ == GammaGammaModel().fit(TABLE).params_


# --- few rows -----------------------------------------------------------------------------------------------------


def check_rows_moved(engines: Engines, moved: list[int], table: pd.DataFrame, most: int) -> None:
    there = engines["duckdb"].make(table)
    for model in (BetaGeoModel(), ParetoNBDModel(), GammaGammaModel()):
        moved.clear()
        found = type(model)().fit(there)
        assert 0 < sum(moved) < most
        assert_close(found, model.fit(table))
    moved.clear()
    LifetimeValue().fit(there)
    assert 0 < sum(moved) < most
    moved.clear()
    scorer = RFMScorer().fit(there)
    assert 0 < sum(moved) < 5000
    wanted = RFMScorer().fit(table)
    assert all(np.array_equal(scorer.cut_points_[name], cuts) for name, cuts in wanted.cut_points_.items())


def test_few_rows_leave_the_engine(engines: Engines, moved: list[int]) -> None:
    check_rows_moved(engines, moved, customers(100_000, seed=1), 33_000)


@pytest.mark.thorough
def test_of_a_million_customers_fewer_than_150_000_rows_leave_the_engine(engines: Engines, moved: list[int]) -> None:
    check_rows_moved(engines, moved, customers(1_000_000, seed=2), 150_000)


# --- the likelihood from sums -------------------------------------------------------------------------------------


def repeaters(x: np.ndarray, m: np.ndarray, weight: np.ndarray) -> spend_sums.Repeaters:
    frame = pl.DataFrame({"x": x, "m": m, "weight": weight}).lazy()
    return spend_sums.Repeaters(_engines.wrap(frame), True)


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_sums_give_the_likelihood_of_the_kernel_and_its_derivatives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 200
    x, m = rng.integers(1, 40, n).astype(float), 10 ** rng.uniform(-3, 4, n)
    weight = rng.integers(1, 4, n).astype(float)
    centre = rng.uniform(-8, 10)
    sums = repeaters(x, m, weight).sums(centre)
    logs = np.array([*rng.uniform(-5, 6, 2), centre + rng.uniform(-0.5, 0.5)])
    value, gradient, hessian = sums.likelihood(logs)
    theta = np.exp(logs)
    sample = _fit.Sample((x, m), weight)
    exact = _fit.total(kernels.log_likelihood_loop, sample, theta)
    p, q, v = theta
    size = float(weight @ (q * np.log1p(x * m / v) + p * x * np.log1p(v / (x * m)) + np.abs(np.log(m)) + 1))
    assert value == pytest.approx(exact[0], abs=1e-14 * size * np.sqrt(n))
    np.testing.assert_allclose(gradient, exact[1:] * theta, atol=1e-13 * size * np.sqrt(n))
    step = 1e-4
    for k in range(3):
        up, down = logs.copy(), logs.copy()
        up[k], down[k] = up[k] + step, down[k] - step
        if abs(up[2] - centre) < 0.5 and abs(down[2] - centre) < 0.5:
            slope = (sums.likelihood(up)[1] - sums.likelihood(down)[1]) / (2 * step)
            np.testing.assert_allclose(hessian[k], slope, rtol=1e-5, atol=1e-7 * size)


def test_a_bad_first_estimate_is_left_behind_step_by_step() -> None:
    buyers = TABLE[TABLE["frequency"] > 0]
    x, m = buyers["frequency"].to_numpy(float), buyers["monetary_value"].to_numpy()
    wanted = GammaGammaModel().fit(TABLE)
    far = _fit.Optimum(np.log([1.0, 1.5, 40.0]), 0.0, 0.0, np.eye(3), 0, True)
    optimum, value = spend_sums.maximise(repeaters(x, m, np.ones(x.size)), far, 1.0, _fit.Penalty(), 200, 1e-9)
    assert optimum.converged
    np.testing.assert_allclose(np.exp(optimum.logs), list(wanted.params_.values()), rtol=1e-9)
    assert value == pytest.approx(wanted.log_likelihood_, rel=1e-12)


@pytest.mark.parametrize("name", QUICK)
def test_a_flat_likelihood_is_reported_as_in_memory(engines: Engines, name: str, never_few: None) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, 3000)
    alike = pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(2.0 * x, 10.0) / x})  # of one mean for all
    with pytest.warns(FitWarning, match="do not determine q, v"):
        wanted = GammaGammaModel().fit(alike)
    with pytest.warns(FitWarning, match="do not determine q, v"):
        found = GammaGammaModel().fit(engines[name].make(alike))
    assert found.params_["p"] == pytest.approx(wanted.params_["p"], rel=1e-6)
    assert found.params_["v"] / found.params_["q"] == pytest.approx(wanted.params_["v"] / wanted.params_["q"], rel=1e-6)
    assert found.log_likelihood_ == pytest.approx(wanted.log_likelihood_, abs=1e-5)


# --- the same refusals --------------------------------------------------------------------------------------------

BAD = {
    "missing": ("recency", [3, 5, 9], np.nan),
    "infinite": ("T", [7], np.inf),
    "negative": ("frequency", list(range(10)), -1),
    "half a purchase": ("frequency", [1, 2], 1.5),
    "an id": ("frequency", [4], 3e7),
    "after T": ("recency", [8, 11], 99.0),
    "no money": ("monetary_value", [], np.nan),
}


def spoiled(case: str) -> pd.DataFrame:
    column, rows, value = BAD[case]
    table = TABLE[:60].astype({"frequency": float})
    table.loc[rows or table.index[table["frequency"] > 0][:2], column] = value
    return table


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", QUICK)
def test_bad_values_are_refused_in_the_same_words(engines: Engines, name: str, case: str) -> None:
    table = spoiled(case)
    model = GammaGammaModel() if case == "no money" else BetaGeoModel()
    assert refusal(lambda: model.fit(engines[name].make(table))) == refusal(lambda: model.fit(table))


def test_bad_values_are_refused_by_services_too(engine: Engine) -> None:
    kind, words = refusal(lambda: BetaGeoModel().fit(engine.make(spoiled("missing"))))
    assert kind is InvalidDataError
    assert (kind, words) == refusal(lambda: BetaGeoModel().fit(spoiled("missing")))


@pytest.mark.parametrize("name", QUICK)
def test_what_else_is_refused(engines: Engines, name: str) -> None:
    make = engines[name].make
    weight = np.ones(len(TABLE))
    weight[[10, 20]] = -1.0, np.nan
    for model in (BetaGeoModel(), GammaGammaModel(), LifetimeValue()):
        with pytest.raises(InvalidDataError, match="at least one customer"):
            model.fit(make(TABLE[:0]))
        with pytest.raises(MissingColumnError, match="needs the columns"):
            model.fit(make(TABLE[["customer_id"]]))
        with pytest.raises(TypeError, match='pass its name, sample_weight="weight"'):
            model.fit(make(TABLE), sample_weight=np.ones(len(TABLE)))
        with pytest.raises(InvalidDataError, match="2 of 4,000 customers have a negative or missing sample_weight"):
            model.fit(make(TABLE.assign(weight=weight)), sample_weight="weight")
    text = TABLE[:5].astype({"T": str})
    with pytest.raises(InvalidDataError, match="'T' must be numeric"):
        BetaGeoModel().fit(make(text))
    nameless = spoiled("after T").drop(columns="customer_id")
    with pytest.raises(InvalidDataError, match=r"^2 of 60 rows have recency > T\. Was"):
        BetaGeoModel().fit(make(nameless))
    with pytest.raises(ValueError, match="'max_iter' parameter"):
        GammaGammaModel(max_iter=0).fit(make(TABLE))


@pytest.mark.parametrize("name", QUICK)
def test_repeat_buyers_without_money_are_left_out_with_the_same_warning(engines: Engines, name: str) -> None:
    table = TABLE.copy()
    table.loc[table.index[table["frequency"] > 0][:3], "monetary_value"] = [0.0, -5.0, -1.0]
    found = []
    for given_table in (table, engines[name].make(table)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = GammaGammaModel().fit(given_table)
        words = [str(each.message) for each in caught if each.category is DataQualityWarning]
        found.append((model.params_, words))
    assert found[0] == found[1]
    assert "leaves out 3 of" in found[0][1][0]


def test_a_weight_column_of_a_frame_in_memory_is_read_too() -> None:
    table = TABLE.assign(weight=TABLE.index % 3)
    by_name = BetaGeoModel().fit(table, sample_weight="weight")
    assert by_name.params_ == BetaGeoModel().fit(table, sample_weight=table["weight"]).params_
    with pytest.raises(MissingColumnError, match="share"):
        BetaGeoModel().fit(table, sample_weight="share")
