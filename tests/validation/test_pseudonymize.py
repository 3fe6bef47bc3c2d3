"""Pseudonyms against Python's own HMAC; equal for equal values of any library, and nothing tells the key."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.validation import pseudonymize

KEY = bytes(range(32))


def reference(message: bytes, key: bytes = KEY) -> str:
    return hmac.new(key, message, "sha256").hexdigest()


def first(values: Any, **kwargs: Any) -> str:
    return pseudonymize({"x": values}, "x", KEY, **{"length": 64, **kwargs})["x"].tolist()[0]


@given(st.lists(st.text(), min_size=1, max_size=8), st.binary(min_size=16, max_size=200))
def test_texts_are_the_hmac_of_their_utf8(values: list[str], key: bytes) -> None:
    found = pseudonymize(pl.DataFrame({"x": values}), ["x"], key, length=64)["x"].to_list()
    assert found == [reference(b"s" + value.encode(), key) for value in values]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8))
def test_integers_are_the_hmac_of_their_digits_in_every_type(values: list[int]) -> None:
    expected = [reference(b"i%d" % value) for value in values]
    for column in (np.array(values, np.int64), pd.array(values, dtype="Int64"), np.array(values, object)):
        assert pseudonymize(pd.DataFrame({"x": column}), "x", KEY, length=64)["x"].tolist() == expected
    assert pseudonymize(pl.DataFrame({"x": values}), "x", KEY, length=64)["x"].to_list() == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1", b"s1"),
        (1, b"i1"),
        (1.0, b"i1"),
        (Decimal("1.00"), b"i1"),
        (-0.0, b"i0"),
        (2.5, b"f2.5"),
        (Decimal("2.50"), b"f2.5"),
        (True, b"b1"),
        (date(2024, 5, 1), b"t2024-05-01T00:00:00"),
        (datetime(2024, 5, 1, tzinfo=UTC), b"z2024-05-01T00:00:00"),
        (b"\x00a", b"y\x00a"),
        (("a", 1), b"(2:sa2:i1"),
    ],
)
def test_kind_and_form_of_other_values(value: Any, message: bytes) -> None:
    column = np.empty(1, object)
    column[0] = value
    assert first(column) == reference(message)


def test_types_that_share_a_value_agree() -> None:
    assert first(np.array([7.0])) == first(np.array([7])) == first(np.array([7], np.uint8)) == reference(b"i7")
    assert first(np.array([2**63 + 5], np.uint64)) == reference(b"i%d" % (2**63 + 5))
    assert first(pd.Series(["a"], dtype="category")) == first(["a"])
    day = np.array(["2024-05-01"], "datetime64[us]")
    assert first(day) == pseudonymize(pl.DataFrame({"x": [date(2024, 5, 1)]}), "x", KEY, length=64)["x"][0]


def test_frames_come_back_as_they_went_in(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    frame = pd.DataFrame({"id": ["a", None, "b", "a"], "amount": [1.0, 2.0, 3.0, 4.0], "n": [1, 2, 3, 1]})
    native = to_frame(frame)
    found = pseudonymize(native, ["id", "n"], KEY)
    assert type(found) is type(native)
    plain = pd.DataFrame({name: list(np.asarray(found[name])) for name in ("id", "amount", "n")})
    assert plain["id"].isna().tolist() == [False, True, False, False]
    assert plain["id"][0] == plain["id"][3] == reference(b"sa")[:32]
    assert plain["n"].tolist() == [reference(b"i%d" % n)[:32] for n in (1, 2, 3, 1)]
    assert plain["amount"].tolist() == frame["amount"].tolist()
    assert frame["id"].tolist()[0] == "a"


def test_missing_stays_missing_and_an_index_stays() -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan], "y": [None, "a"]}, index=[7, 3])
    found = pseudonymize(frame, ["x", "y"], KEY)
    assert found.index.tolist() == [7, 3]
    assert found.isna().to_numpy().tolist() == [[False, True], [True, False]]
    assert found.loc[7, "x"] == reference(b"i1")[:32]
    empty = pseudonymize(frame.iloc[:0], ["x", "y"], KEY)
    assert empty.shape == (0, 2)


def test_one_key_joins_and_another_does_not() -> None:
    log = pd.DataFrame({"customer_id": [3, 1, 2, 3]})
    table = pl.DataFrame({"client": [1, 2, 3]})
    left = pseudonymize(log, "customer_id", KEY)["customer_id"]
    right = pseudonymize(table, "client", KEY)["client"].to_list()
    assert [right.index(each) + 1 for each in left] == [3, 1, 2, 3]
    other = pseudonymize(table, "client", KEY[::-1])["client"].to_list()
    assert not set(right) & set(other)
    assert pseudonymize(log, "customer_id", "ü" * 16).equals(pseudonymize(log, "customer_id", ("ü" * 16).encode()))


@pytest.mark.parametrize(("encoding", "length", "bits"), [("hex", 16, 4), ("hex", 64, 4), ("base32", 13, 5)])
def test_length_and_alphabet(encoding: str, length: int, bits: int) -> None:
    found = first(["a"], encoding=encoding, length=length)
    digest = hmac.digest(KEY, b"sa", "sha256")
    whole = digest.hex() if encoding == "hex" else base64.b32encode(digest).decode().lower()
    assert found == whole[:length]
    assert len(found) * bits >= 64


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"key": b"short secret"}, "must have at least 16 bytes, or it can be guessed; it has 12"),
        ({"key": ""}, "it has 0. Make one with secrets.token_bytes"),
        ({"key": None}, "must be an instance of bytes or str. Got a NoneType"),
        ({"key": 12345678901234567890}, "Got a int instead"),
        ({"length": 15}, "The 'length' parameter of pseudonymize must be an int in the range"),
        ({"length": 65}, "The 'length' parameter"),
        ({"encoding": "base64"}, "The 'encoding' parameter of pseudonymize must be a str among"),
        ({"columns": []}, "The 'columns' parameter of pseudonymize names no column: nothing would be replaced"),
        ({"columns": 3}, "The 'columns' parameter of pseudonymize must be"),
    ],
)
def test_wrong_arguments_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pseudonymize(**{"frame": {"x": ["a"]}, "columns": "x", "key": KEY, **kwargs})


def test_no_message_tells_the_key() -> None:
    for key in ("hunter2", b"hunter2", bytearray(b"hunter2")):
        with pytest.raises(ValueError) as error:
            pseudonymize({"x": ["a"]}, "x", key)
        assert "hunter" not in str(error.value)


def test_values_without_an_agreed_form_are_refused() -> None:
    for value in ([1], {"a": 1}, uuid4()):
        column = np.empty(1, object)
        column[0] = value
        with pytest.raises(InvalidDataError, match=r"has no agreed form to make a pseudonym of. Turn it into text"):
            pseudonymize({"x": column}, "x", KEY)
    with pytest.raises(MissingColumnError, match=r"pseudonymize needs the columns \['y'\]; found \['x'\]"):
        pseudonymize({"x": ["a"]}, ["x", "y"], KEY)


def test_a_collision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import custanalytics.validation._pseudonymize as module

    monkeypatch.setattr(module, "_hex", lambda digest: "0" * 64)
    with pytest.raises(InvalidDataError, match="Two values of the column 'x' have the same pseudonym"):
        pseudonymize({"x": ["a", "b"]}, "x", KEY)


def test_long_decimals_keep_all_their_digits_whatever_the_context() -> None:
    one, other = (Decimal(f"0.{'1' * 36}{digit}") for digit in (1, 2))
    frame = pd.DataFrame({"customer_id": pd.Series([one, other], dtype=object)})
    names = pseudonymize(frame, "customer_id", KEY)["customer_id"].tolist()
    assert names[0] != names[1]
    with localcontext(prec=3):
        assert pseudonymize(frame, "customer_id", KEY)["customer_id"].tolist() == names
