from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from custanalytics.validation import TransactionValidator

TIMES = np.array(["2024-01-01", "2024-01-02", "2024-01-02"], "M8[us]")


@pytest.mark.parametrize("on_error", ["quarantine", "repair"])
def test_runs_and_halves_are_read_and_set_aside_like_any_column(on_error: str) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int32()), pa.array(["ann", None]))
    log = pa.table({"customer_id": runs, "timestamp": TIMES, "amount": np.array([1.5, 2, 3], "f2")})
    validator = TransactionValidator(on_error=on_error)
    clean = validator.fit_transform(log)
    assert clean["customer_id"].to_pylist() == ["ann"]
    assert clean["amount"].to_pylist() == [1.5]
    assert validator.quarantine_["row"].to_pylist() == [1, 2]
    assert validator.quarantine_["reasons"].to_pylist() == ["missing_customer_id"] * 2
