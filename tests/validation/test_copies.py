"""The search for copies is exact, even where hashes collide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.validation import mix

from custanalytics import _jit
from custanalytics._hashing import mix as kernel_mix
from custanalytics.validation._copies import first_of, rows_sharing_hash


def copies(keys: list[np.ndarray], n_rows: int) -> np.ndarray:
    later, first = first_of(keys, n_rows)
    assert all(np.array_equal(key[later], key[first]) for key in keys)
    assert np.all(first < later)
    return later


def signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


def slow(columns: list[list[int]]) -> list[int]:
    seen: set[tuple[int, ...]] = set()
    later = []
    for row, key in enumerate(zip(*columns, strict=True)):
        if key in seen:
            later.append(row)
        seen.add(key)
    return later


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[st.integers(-2, 2)] * n), max_size=60)))
def test_copies_are_those_of_the_slow_search(rows: list[tuple[int, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]]
    assert copies([np.array(column, np.int64) for column in columns], len(rows)).tolist() == slow(columns)


def test_rows_that_collide_under_the_first_hash_are_told_apart() -> None:
    assert int(kernel_mix(np.int64(12345))) == mix(12345)
    after = [mix(mix(1) + customer) for customer in (7, 8)]  # the first column's hash, under the first seed
    shift = mix(after[0] + 1) - mix(after[1] + 1)
    first, second = [7, 8, 7], [5, signed(5 + shift), 5]
    hashes = [mix(mix(mix(mix(1) + a) + 1) + b) for a, b in zip(first, second, strict=True)]
    assert len(set(hashes)) == 1
    assert copies([np.array(first), np.array(second)], 3).tolist() == [2]
    assert copies([np.array(first[:2]), np.array(second[:2])], 2).tolist() == []


@pytest.mark.parametrize("n", [0, 1, 2, 8191, 8192, 100_000])
def test_every_size_of_part(n: int) -> None:
    keys = np.arange(n) // 2 * 1_000_003
    for threads in (1, 2):
        with _jit.threads(threads):
            assert np.array_equal(copies([keys], n), np.arange(1, n, 2))
    assert copies([np.zeros(n, np.int64)], n).tolist() == list(range(1, n))


def test_rows_that_share_a_hash_and_the_earliest_of_them() -> None:
    rows, first = rows_sharing_hash(np.array([5, 0, 0, 7, 0], np.uint64))
    assert (rows.tolist(), first.tolist()) == ([1, 2, 4], [1, 1, 1])
