"""The examples in the pages of the documentation work, and so does the model that they add."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from custanalytics.datasets import simulate_transactions
from custanalytics.validation import TransactionValidator

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [*DOCS.glob("*.rst"), *(DOCS / "guide").glob("*.rst")]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(autouse=True)
def importable_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.stem)
def test_examples_in_pages_are_true(page: Path) -> None:
    failed, _ = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert failed == 0


def test_every_guide_page_has_an_example() -> None:
    pages = [page for page in (DOCS / "guide").glob("*.rst") if page.stem != "index"]
    assert pages
    for page in pages:
        assert ">>>" in page.read_text(), f"{page.name} has no example"


def test_guide_lists_all_its_pages() -> None:
    listed = set((DOCS / "guide" / "index.rst").read_text().split())
    assert {page.stem for page in (DOCS / "guide").glob("*.rst")} - {"index"} <= listed


def test_guide_lists_all_rules_of_validation() -> None:
    listed = re.findall(r"^``(\w+)``  ", (DOCS / "guide" / "validation.rst").read_text(), re.MULTILINE)
    assert listed == [rule.name for rule in TransactionValidator.rules()]


def test_the_added_model_recovers_what_it_assumes() -> None:
    # Dropout so slow that nobody leaves: the Pareto/NBD is then the NBD.
    _, truth = simulate_transactions(n_customers=20_000, r=0.8, alpha=6.0, s=1.0, beta=1e9, seed=3)
    model = importlib.import_module("nbd_model").NBDModel().fit(truth)
    assert truth["alive"].all()
    for name, true in {"r": 0.8, "alpha": 6.0}.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.1 * true


def test_the_added_model_knows_no_dropout_and_no_unit_of_time() -> None:
    model = importlib.import_module("nbd_model").NBDModel
    weeks = {"frequency": [0.0, 2.0, 7.0, 1.0], "recency": [0.0, 3.0, 9.0, 2.0], "T": [8.0, 9.0, 10.0, 30.0]}
    days = {name: 7.0 * np.array(values) if name != "frequency" else values for name, values in weeks.items()}
    by_week, by_day = model(penalty=0.01).fit(weeks), model(penalty=0.01).fit(days)
    assert by_day.params_["r"] == pytest.approx(by_week.params_["r"], rel=1e-9)
    assert by_day.params_["alpha"] == pytest.approx(7 * by_week.params_["alpha"], rel=1e-9)
    np.testing.assert_array_equal(by_week.predict_alive(weeks), 1.0)
    expected = by_week.predict_purchases(weeks, np.inf)
    assert np.isinf(expected).all()
