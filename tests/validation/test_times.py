"""Dates and times in every form that a log brings."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from custanalytics.validation import TransactionValidator

NOON = datetime(2024, 1, 31, 14, 5, 9)


def read(values: Any, **params: Any) -> tuple[list[datetime | None], set[str]]:
    """The clean times in order, and the reasons met."""
    log = pd.DataFrame({"customer_id": range(len(values)), "timestamp": values, "amount": 1.0})
    validator = TransactionValidator(**{"as_of": "2024-12-31", **params}).fit(log)
    clean = validator.transform(log)
    assert clean["timestamp"].dtype.kind == "M"
    assert getattr(clean["timestamp"].dtype, "tz", None) is None
    return [stamp.to_pydatetime() for stamp in clean["timestamp"]], set(validator.quarantine_["reasons"])


DATES = [
    "2024-01-31", "20240131", "2024-W05-3", "2024/1/31", "2024.01.31", "2024 1 31", "31/1/2024", "31.01.2024",
    "31-1-2024", "1/31/2024", "31 Jan 2024", "31-Jan-2024", "31st January, 2024", "Jan 31, 2024", "january 31st 2024",
    "Wed, 31 Jan 2024", "Wednesday January 31, 2024", " 2024-01-31\t",
]  # fmt: skip
CLOCKS = ["14:05:09", "2:05:09 PM", "02:05:09pm", "14:05:09.000", "14:05:09,000000"]


@pytest.mark.parametrize("text", DATES)
def test_dates(text: str) -> None:
    assert read([text]) == ([datetime(2024, 1, 31)], set())


@pytest.mark.parametrize(
    "text",
    [
        f"{day}{gap}{clock}"
        for day, gap in (("2024-01-31", "T"), ("31/01/2024", " "), ("Jan 31, 2024", ", "))
        for clock in CLOCKS
    ],
)
def test_times_of_day(text: str) -> None:
    assert read([text]) == ([NOON], set())


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-0530", " UTC", " +0100", " GMT"])
@pytest.mark.parametrize("day", ["2024-01-31T", "2024/01/31 ", "31 Jan 2024 "])
def test_a_zoned_text_stays_on_its_own_wall_clock(day: str, zone: str) -> None:
    assert read([day + "14:05:09" + zone]) == ([NOON], set())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31/01/2024 12:30 AM", datetime(2024, 1, 31, 0, 30)),
        ("31/01/2024 12:30 PM", datetime(2024, 1, 31, 12, 30)),
        ("2024-01-31 10:00:00.123456789", datetime(2024, 1, 31, 10, 0, 0, 123456)),
        ("31/01/2024 10:00:00.5", datetime(2024, 1, 31, 10, 0, 0, 500000)),
        ("05/05/2024", datetime(2024, 5, 5)),
    ],
)
def test_details(text: str, expected: datetime) -> None:
    assert read([text]) == ([expected], set())


def test_a_column_proves_the_order_of_day_and_month() -> None:
    assert read(["05/06/2024", "13/06/2024"])[0] == [datetime(2024, 6, 5), datetime(2024, 6, 13)]
    assert read(["05/06/2024", "06/13/2024"])[0] == [datetime(2024, 5, 6), datetime(2024, 6, 13)]


def test_without_proof_or_with_both_proofs_the_order_stays_open() -> None:
    assert read(["05/06/2024", "2024-06-05", "05/05/2024"]) == (
        [datetime(2024, 6, 5), datetime(2024, 5, 5)],
        {"ambiguous_timestamp"},
    )
    assert read(["05/06/2024", "13/06/2024", "06/13/2024"]) == (
        [datetime(2024, 6, 13), datetime(2024, 6, 13)],
        {"ambiguous_timestamp"},
    )


def test_the_caller_may_say_the_order() -> None:
    assert read(["05/06/2024", "06/13/2024"], dayfirst=True) == ([datetime(2024, 6, 5)], {"unparsable_timestamp"})
    assert read(["05/06/2024", "13/06/2024"], dayfirst=False) == ([datetime(2024, 5, 6)], {"unparsable_timestamp"})


def test_the_caller_may_name_the_format() -> None:
    assert read(["31.1.24 14:05", "2024-01-31"], date_format="%d.%m.%y %H:%M") == (
        [datetime(2024, 1, 31, 14, 5)],
        {"unparsable_timestamp"},
    )
    assert read([19970131, 19970201], date_format="%Y%m%d")[0] == [datetime(1997, 1, 31), datetime(1997, 2, 1)]


def test_integers_are_dates_only_as_yyyymmdd() -> None:
    assert read([19970131, 20240131])[0] == [datetime(1997, 1, 31), datetime(2024, 1, 31)]
    assert read([20240131.0, 20240131.5, None]) == (
        [datetime(2024, 1, 31)],
        {"unparsable_timestamp", "missing_timestamp"},
    )


def test_python_objects() -> None:
    values = [NOON, date(2024, 1, 31), pd.Timestamp(NOON), np.datetime64("2024-01-31T14:05:09", "ns"), "2024-01-31"]
    day = datetime(2024, 1, 31)
    assert read(pd.Series(values, dtype=object)) == ([NOON, day, NOON, NOON, day], set())


def test_one_zone_by_name_covers_summer_and_winter() -> None:
    berlin = [datetime(2024, month, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")) for month in (1, 7)]
    assert read(pd.Series(berlin, dtype=object))[0] == [datetime(2024, 1, 1, 12), datetime(2024, 7, 1, 12)]


def test_rows_in_the_minority_zone_are_set_aside_and_none_is_shifted() -> None:
    plus = timezone(timedelta(hours=2))
    values = [NOON.replace(tzinfo=plus), NOON, "2024-01-31T10:00+02:00", NOON.replace(tzinfo=plus, hour=1)]
    assert read(pd.Series(values, dtype=object)) == (
        [NOON, datetime(2024, 1, 31, 10), NOON.replace(hour=1)],
        {"mixed_time_zones"},
    )


def test_time_zone_moves_zoned_times_to_one_clock() -> None:
    texts = ["2024-01-31T12:00+00:00", "2024-07-31T12:00+02:00", "2024-01-31T12:00-05:00", "2024-01-31 12:00"]
    assert read(texts, time_zone="Europe/Berlin") == (
        [datetime(2024, 1, 31, 13), datetime(2024, 7, 31, 12), datetime(2024, 1, 31, 18)],
        {"mixed_time_zones"},
    )
    assert read(["9999-12-31T23:00-05:00", "2024-01-31T12:00Z"], time_zone="Asia/Tokyo")[0] == [
        datetime(2024, 1, 31, 21)
    ]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "+05:30"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_zoned_columns_keep_their_wall_clock(zone: str, unit: str) -> None:
    stamps = pd.Series(pd.to_datetime([NOON, None])).dt.tz_localize(zone).dt.as_unit(unit)
    assert read(stamps) == ([NOON], {"missing_timestamp"})


def test_typed_zoned_columns_move_to_the_clock_asked_for() -> None:
    stamps = pd.Series(pd.to_datetime(["2024-01-31T12:00", "2024-07-31T12:00"]))
    expected = [datetime(2024, 1, 31, 7), datetime(2024, 7, 31, 8)]
    assert read(stamps.dt.tz_localize("UTC"), time_zone="America/New_York")[0] == expected
    moved = stamps.dt.tz_localize("UTC").dt.tz_convert("Asia/Ho_Chi_Minh")
    assert read(moved, time_zone="America/New_York")[0] == expected
    frame = pl.DataFrame({"customer_id": [1, 2], "timestamp": stamps.dt.tz_localize("UTC").to_list(), "amount": 1})
    clean = TransactionValidator(as_of="2024-12-31", time_zone="America/New_York").fit_transform(frame)
    assert clean["timestamp"].to_list() == expected
    assert clean["timestamp"].dtype == pl.Datetime("us")


def test_dates_of_polars_and_pyarrow_become_datetimes() -> None:
    days = [date(2024, 1, 31), None]
    frame = pl.DataFrame({"customer_id": ["a", "b"], "timestamp": days, "amount": [1, 2]})
    for log in (frame, frame.to_arrow()):
        clean = TransactionValidator(as_of="2024-12-31").fit_transform(log)
        assert next(iter(clean["timestamp"])) in (datetime(2024, 1, 31), pa.scalar(datetime(2024, 1, 31)))
        assert len(clean) == 1


def test_copies_must_agree_to_the_nanosecond() -> None:
    stamps = pd.Series(
        np.array(["2024-01-31T00:00:00.000000001", "2024-01-31T00:00:00.000000002"] * 2, "datetime64[ns]")
    )
    log = pd.DataFrame({"customer_id": 1, "timestamp": stamps, "amount": 1.0})
    validator = TransactionValidator(as_of="2024-12-31").fit(log)
    assert len(validator.transform(log)) == 2
    assert validator.quarantine_["row"].tolist() == [2, 3]
