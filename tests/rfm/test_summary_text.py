from __future__ import annotations

import itertools
import sys
import warnings
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics import _frames
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.rfm import RFMSummary, _alphabet, _pieces, _rows, _text
from custanalytics.rfm._text import Text, read_text

WORDS = st.text(st.sampled_from("aAbé\0\u4e2d\U0001f600"), max_size=20)


def text_of(values: list[str]) -> Text:
    found = read_text(nw.from_native(pl.Series("id", values), series_only=True))
    assert found is not None
    return found


def log_of(ids: list[str]) -> pd.DataFrame:
    times = np.datetime64("2024-01-01", "us") + np.arange(len(ids)) * np.timedelta64(9, "h")
    return pd.DataFrame({"customer_id": ids, "timestamp": times, "amount": np.arange(len(ids)) + 0.25})


def to_pandas(table: Any) -> pd.DataFrame:
    return table if isinstance(table, pd.DataFrame) else table.to_pandas()


@given(values=st.lists(WORDS, min_size=1, max_size=60), start=st.sampled_from(["", "customer-", "éé"]))
def test_texts_are_put_in_the_order_of_their_code_points(values: list[str], start: str) -> None:
    unique = [start + value for value in dict.fromkeys(values)]
    text = text_of(unique)
    assert [unique[at] for at in text.in_order(np.arange(len(unique)))] == sorted(unique)
    hashes = text_of(unique + unique[::-1]).hashes(0)
    assert (hashes == np.concatenate([hashes[: len(unique)], hashes[: len(unique)][::-1]])).all()


@given(
    values=st.lists(WORDS, min_size=1, max_size=60), start=st.sampled_from(["", "née-"]), end=st.sampled_from(["", "é"])
)
def test_texts_are_numbered_in_their_order_and_written_again_or_not_at_all(
    values: list[str], start: str, end: str
) -> None:
    unique = sorted({start + value + end for value in values}, key=str.encode)
    text = text_of(unique)
    if text.numbered is None:
        assert max(len(value.encode()) for value in unique) > 33  # of up to 13 bytes each, and an end
        return
    alphabet, numbers = text.numbered[0], np.ascontiguousarray(text.numbered[1].T)
    pairs = [tuple(row) for row in numbers.tolist()]
    assert pairs == sorted(set(pairs))
    backwards = text_of(unique[::-1]).numbered
    assert backwards is not None
    assert (numbers[::-1] == backwards[1].T).all()
    edges, letters = alphabet.texts(numbers[::-1])
    assert [letters[a:b].tobytes().decode() for a, b in itertools.pairwise(edges)] == unique[::-1]


@pytest.mark.parametrize("letters", ["0f", "0123456789abcdef", "ab", "".join(map(chr, range(32, 127)))])
@pytest.mark.parametrize("size", [1, 9, 16, 32])
@pytest.mark.parametrize("seam", ["", "-"])
def test_texts_at_the_ends_of_the_alphabet_are_written_again(letters: str, size: int, seam: str) -> None:
    rng = np.random.default_rng(size)
    texts = ["".join(row) for row in rng.choice(list(letters), (300, size))]
    texts += [letter * size for letter in letters] + [letters[-1] * (size - 1) + letters[0]]
    # what is the same in all texts, before, between and after, where a word may be full
    texts = [seam + text[: size // 2] + seam + text[size // 2 :] + seam for text in texts]
    text = text_of(texts)
    if text.numbered is None:
        assert len(letters) ** size > 2**128 / len(letters)  # a word ends with a letter
        return
    alphabet, numbers = text.numbered
    edges, found = alphabet.texts(np.ascontiguousarray(numbers.T))
    assert [found[a:b].tobytes().decode() for a, b in itertools.pairwise(edges)] == texts


def test_ids_that_count_customers_are_numbered_without_gaps() -> None:
    text = text_of([f"C{number:06d}-EU" for number in range(2000)])
    assert text.numbered is not None
    assert text.numbered[1].tolist() == [list(range(2000))]


@pytest.mark.parametrize("pad", ["04d", "d"])
@pytest.mark.parametrize("other", ["C000x", "C00001", "C00", "é0000", "C0000", "C", "", "C7", "D5000"])
def test_texts_beyond_what_some_show_are_numbered_as_if_they_were_known(other: str, pad: str) -> None:
    texts = [f"C{number:{pad}}" for number in range(10, 9990)]  # of which every second one is looked at
    for at in (0, 1):
        whole = [*texts[:at], other, *texts[at:]]
        found = text_of(whole).numbered
        assert found is not None
        alphabet, numbers = found
        assert [whole[row] for row in np.argsort(numbers[0])] == sorted(whole, key=str.encode)
        assert len(set(numbers[0].tolist())) == len(set(whole))
        edges, letters = alphabet.texts(np.ascontiguousarray(numbers.T))
        assert [letters[a:b].tobytes().decode() for a, b in itertools.pairwise(edges)] == whole


def test_the_rare_short_numbers_of_counted_ids_need_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    seen = _alphabet._seen
    monkeypatch.setattr(_alphabet, "_seen", lambda *args: looks.append(args[0].size) or seen(*args))
    numbers = np.random.default_rng(0).permutation(np.arange(1000, 50_000))
    numbers[1::4][:5] = [0, 7, 23, 456, 999]  # where no one looks
    texts = [f"cust_{number}" for number in numbers]
    found = text_of(texts).numbered
    assert found is not None
    assert len(looks) == 1
    assert [texts[row] for row in np.argsort(found[1][0])] == sorted(texts)


def test_numbers_of_many_digits_stay_in_one_word() -> None:
    rng = np.random.default_rng(0)
    texts = [str(number) for number in rng.integers(10**17, 10**19, 9000, dtype=np.uint64)]  # 11**19 is too large
    found = text_of(texts).numbered
    assert found is not None
    assert found[0].n_words == 1
    assert [texts[row] for row in np.argsort(found[1][0])] == sorted(texts)


def test_texts_with_too_much_to_tell_them_apart_are_not_numbered() -> None:
    rng = np.random.default_rng(0)
    letters = ["".join(row) for row in rng.choice(list("0123456789abcdef"), (5000, 33))]
    for size, words in ((16, 1), (17, 2), (32, 2)):
        found = text_of([row[:size] for row in letters]).numbered
        assert found is not None
        assert found[0].n_words == len(found[1]) == words
    assert text_of(letters).numbered is None
    assert text_of([*["a"] * 5000, *letters]).numbered is None  # as a look at the first ones does not tell
    assert text_of(["a" * 65, "b"]).numbered is None


@given(ids=st.lists(WORDS, min_size=1, max_size=60))
def test_hashed_and_numbered_texts_give_one_table(ids: list[str]) -> None:
    log = log_of(ids)
    table = RFMSummary().fit_transform(log)
    assert table["customer_id"].tolist() == sorted(set(ids))
    numbers = {value: number for number, value in enumerate(sorted(set(ids)))}
    expected = RFMSummary().fit_transform(log.assign(customer_id=log["customer_id"].map(numbers)))
    pd.testing.assert_frame_equal(table.drop(columns="customer_id"), expected.drop(columns="customer_id"))


KINDS: dict[str, Any] = {
    "pandas str": lambda log: log.astype({"customer_id": "str"}),
    "pandas object": lambda log: log.astype({"customer_id": object}),
    "pandas category": lambda log: log.astype({"customer_id": "category"}),
    "pandas pyarrow": lambda log: log.astype({"customer_id": pd.ArrowDtype(pa.string())}),
    "polars": pl.from_pandas,
    "polars category": lambda log: pl.from_pandas(log).with_columns(pl.col("customer_id").cast(pl.Categorical)),
    "polars slice": lambda log: pl.concat([pl.from_pandas(log[:3]), pl.from_pandas(log)])[3:],
    **{
        f"pyarrow {kind}": lambda log, kind=kind: (
            lambda table: table.set_column(0, "customer_id", table["customer_id"].cast(kind))
        )(pa.Table.from_pandas(log, preserve_index=False))
        for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()))
    },
    "pyarrow chunks": lambda log: pa.concat_tables(
        [pa.Table.from_pandas(part, preserve_index=False) for part in (log[:5], log[5:])]
    ),
}


# --- ids of two numbers, and numbers that lie far apart ---------------------------------------------------------------


def pairs_of(kind: str, rng: np.random.Generator, n: int) -> list[str]:
    """Texts of 32 digits, the first half of which tells customers apart, does for all but two, or does not."""
    first, second = rng.integers(0, 2**64, (2, n), np.uint64)
    if kind == "one shared":
        first[-1] = first[0]
    elif kind == "shared":
        first %= np.uint64(7)
    elif kind == "uneven":
        first[n // 2 :] = first[0] + np.arange(n - n // 2, dtype=np.uint64)
    return [f"{one:016x}{other:016x}" for one, other in zip(first.tolist(), second.tolist(), strict=True)]


@pytest.mark.parametrize("rows", [20, 1 << 15])
@pytest.mark.parametrize("kind", ["told apart", "one shared", "shared", "uneven"])
def test_ids_of_two_numbers_give_the_table_of_codes(monkeypatch: pytest.MonkeyPatch, kind: str, rows: int) -> None:
    monkeypatch.setattr(_pieces, "ROWS_A_PIECE", rows)
    rng = np.random.default_rng(5)
    ids = pairs_of(kind, rng, 400)
    assert _rows.tell_apart(np.array([int(each[:16], 16) for each in ids], np.uint64)) == (
        kind in ("told apart", "one shared")
    )
    log = log_of([*ids, *rng.choice(ids, 3_000).tolist()])
    log.loc[rng.choice(len(log), 500, replace=False), "amount"] *= -1.0
    log.loc[len(log) - 1, "amount"] = -1.0
    named = {name: code for code, name in enumerate(sorted(ids))}
    coded = log.assign(customer_id=[named[each] for each in log["customer_id"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        found, expected = RFMSummary().fit_transform(log), RFMSummary().fit_transform(coded)
    expected["customer_id"] = pd.array([sorted(ids)[code] for code in expected["customer_id"]], "str")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("rows", [20, 1 << 15])
def test_numbers_far_apart_give_the_table_of_codes(monkeypatch: pytest.MonkeyPatch, dtype: Any, rows: int) -> None:
    monkeypatch.setattr(_pieces, "ROWS_A_PIECE", rows)
    rng, ends = np.random.default_rng(6), np.iinfo(dtype)
    ids = np.append(rng.integers(ends.min, ends.max, 400, dtype), np.array([ends.min, ends.max], dtype))
    log = log_of(np.append(ids, rng.choice(ids, 3_000)).tolist())
    log["customer_id"] = log["customer_id"].astype(dtype)
    codes = np.searchsorted(np.sort(ids), log["customer_id"].to_numpy())
    found, expected = RFMSummary().fit_transform(log), RFMSummary().fit_transform(log.assign(customer_id=codes))
    pd.testing.assert_frame_equal(found, expected.assign(customer_id=np.sort(ids)), check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_text_is_read(kind: str) -> None:
    log = log_of(["b", "", "a longer name than twelve bytes", "a", "b", "中", "a longer name than twelve bytes!", "a"])
    table = to_pandas(RFMSummary().fit_transform(KINDS[kind](log)))
    assert table["customer_id"].tolist() == sorted(set(log["customer_id"]))
    assert table["frequency"].tolist() == [0, 1, 0, 0, 1, 0]


def test_customers_with_one_hash_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    log = log_of([f"{pow(3, number + 99, 2**192):048x}" for number in rng.integers(0, 300, 4000).tolist()])
    log.loc[::7, "amount"] = -1.0
    expected = RFMSummary().fit_transform(log)
    asked: list[int] = []

    def few(self: Text, seed: int) -> np.ndarray:
        asked.append(1)
        return np.resize(np.array([7], np.int64), self.begins.size)

    monkeypatch.setattr(_text.Text, "hashes", few)
    pd.testing.assert_frame_equal(RFMSummary().fit_transform(log), expected, check_exact=True)
    assert asked


@pytest.mark.parametrize(
    "texts", [["b", "", "née-é" * 9, "a" * 12, "a" * 13], ["short", "x"], ["y" * 70, "y" * 69 + "z"]]
)
def test_texts_of_polars_are_read_where_they_lie(texts: list[str]) -> None:
    column = pl.concat([pl.Series(texts), pl.Series(texts[::-1]).gather([0, 0, 1, 0])], rechunk=False)
    for part in (column, column.slice(1, 4), column.slice(2, 1), column.head(1)):
        text = read_text(nw.from_native(part, series_only=True))
        assert text is not None
        found = [text.letters[a:b].tobytes().decode() for a, b in zip(text.begins, text.ends, strict=True)]
        assert found == part.to_list()
        hashes = text.hashes(0).tolist()
        assert len(set(hashes)) == len(set(found)) == len(set(zip(hashes, found, strict=True)))
    log = log_of(column.to_list())
    table = RFMSummary().fit_transform(pl.from_pandas(log).with_columns(customer_id=column))
    pd.testing.assert_frame_equal(table.to_pandas(), RFMSummary().fit_transform(log), check_dtype=False)


def test_without_pyarrow_texts_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    log = pl.from_pandas(log_of(["b", "a", "b"]))
    expected = RFMSummary().fit_transform(log)

    def missing(self: Any, **_: Any) -> Any:
        raise ModuleNotFoundError("pyarrow")

    monkeypatch.setattr(pl.Series, "to_arrow", missing)
    assert read_text(_frames.read(log)["customer_id"]) is None
    assert RFMSummary().fit_transform(log).equals(expected)
    assert "pyarrow" in sys.modules


@pytest.mark.parametrize(
    "ids",
    [
        pl.Series([1, 2], dtype=pl.Int128), pl.Series(["a", "b"], dtype=pl.Object), pl.Series([[1], [2]]),
        pa.array([[1], [2]]), pa.array([{"a": 1}, {"a": 2}]), pd.Series([[1], [2]]), pd.Series([{}, {}]),
    ],
    ids=lambda ids: f"{type(ids).__module__} {getattr(ids, 'dtype', '')}",
)  # fmt: skip
def test_what_is_no_id_is_refused_in_words(ids: Any) -> None:
    log = log_of(["a", "b"])
    frame: Any
    if isinstance(ids, pl.Series):
        frame = pl.from_pandas(log).with_columns(ids.alias("customer_id"))
    elif isinstance(ids, pd.Series):
        frame = log.assign(customer_id=ids)
    else:
        frame = pa.Table.from_pandas(log, preserve_index=False).set_column(0, "customer_id", ids)
    with pytest.raises(InvalidDataError, match=r"The ids in 'customer_id' .*(integers|text)"):
        RFMSummary().fit_transform(frame)


@pytest.mark.parametrize("column", ["customer_id", "order_id"])
def test_half_a_character_is_refused_in_words(column: str) -> None:
    log = log_of(["a", "b"]).assign(**{column: pd.Series(["\ud83d", "b"], dtype=object)})
    with pytest.raises(InvalidDataError, match=f"The column '{column}' holds text that is not valid Unicode"):
        RFMSummary().fit_transform(log)
