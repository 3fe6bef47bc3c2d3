"""Tables whose unit or whose end does not fit what they are held against."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import narwhals as nw
import pandas as pd
import pytest

from custanalytics._holdouts import holdout_counts
from custanalytics.clv import BetaGeoModel, LifetimeValue
from custanalytics.datasets import load_cdnow
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.model_selection import compare_models, temporal_split
from custanalytics.plotting import PurchasesDisplay
from custanalytics.rfm import RFMSummary

LOG = load_cdnow()
UNITS = {"h": 168.0, "D": 7.0, "W": 1.0, "M": 7 / (365.25 / 12), "Y": 7 / 365.25}
KNOWN = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)


def table(time_unit: str = "W", period: str = "D", as_of: str = "1997-09-30") -> pd.DataFrame:
    return RFMSummary(as_of=as_of, time_unit=time_unit, period=period).fit_transform(LOG)


def future(horizon: float = 13, cutoff: str = "1997-10-01") -> pd.DataFrame:
    return temporal_split(LOG, cutoff, horizon=horizon, time_unit="W")[1]


FUTURE = future()


def compared(table: Any, holdout: Any, horizon: float) -> pd.DataFrame:
    return compare_models([KNOWN], table, holdout, horizon=horizon, refit=False).ranking


@pytest.mark.parametrize("made", UNITS)
def test_a_table_in_another_unit_is_told(made: str, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    given = to_frame(table(made).head(300))
    values = [(told, LifetimeValue(purchases=KNOWN, spend=20.0, time_unit=told)) for told in UNITS]
    uses = [(told, use) for told, value in values for use in (value.predict, value.transform)]
    for told, use in [*uses, *((told, value.fit) for told, value in values if told in "DW")]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            use(given)
        found = [str(each.message) for each in caught if "of the table is not in" in str(each.message)]
        assert len(found) == (made != told)
        assert all(f"Pass LifetimeValue(time_unit={made!r}), or make the table with" in text for text in found)


@pytest.mark.parametrize("period", ["h", "D", "W", "M", "Y"])
@pytest.mark.parametrize("unit", UNITS)
def test_no_period_is_taken_for_another_unit(period: str, unit: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataQualityWarning)
        some = table(unit, period)
        LifetimeValue(purchases=KNOWN, spend=20.0, time_unit=unit).predict(some)
        frame = nw.from_native(some)
        assert holdout_counts(frame, FUTURE, "compare_models", 13 * UNITS[unit]).sum() > 0


def test_tables_that_do_not_tell_are_taken_at_their_word() -> None:
    given = table("D")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataQualityWarning)
        value = LifetimeValue(purchases=KNOWN, spend=20.0)
        expected = value.predict({name: given[name] for name in ("frequency", "recency", "T")})
        assert value.predict(given.drop(columns="last_seen")).tolist() == expected.tolist()
        assert value.predict(given.assign(first_seen=given["first_seen"].astype(str))).tolist() == expected.tolist()
        assert value.predict(given.iloc[:0]).size == 0
        assert len(compared(given.drop(columns="first_seen"), FUTURE, 13)) == 2


def test_a_holdout_that_the_table_has_seen_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"purchases of the holdout are at or before 1997-09-30, up to which"):
        compared(table(), LOG, 39)
    with pytest.raises(InvalidDataError, match="the table has counted them"):
        compared(table(as_of="1998-06-30"), future(), 13)
    with pytest.raises(InvalidDataError, match="and give PurchasesDisplay what came later"):
        PurchasesDisplay.from_estimator(KNOWN, table(), LOG, horizon=39)


def test_a_holdout_of_another_length_is_told() -> None:
    with pytest.warns(DataQualityWarning, match=r"until 1998-06-30, .* 13 weeks from 1997-09-30 on, ends before"):
        compared(table(), future(39), 13)
    with pytest.warns(DataQualityWarning, match=r"39 days from 1997-09-30 on, ends before"):
        compared(table("D"), future(39), 39)
    with pytest.warns(DataQualityWarning, match=r"until 1997-10-13, .* 13 weeks .* goes much further"):
        compared(table(), temporal_split(LOG, "1997-10-01", horizon=13)[1], 13)
    with pytest.warns(DataQualityWarning, match="goes much further"):
        compared(table(as_of="1998-03-31"), LOG[LOG["timestamp"] >= "1998-04-01"], 52)
