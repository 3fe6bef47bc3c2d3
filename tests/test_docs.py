"""The examples in the pages of the documentation work, and so does the model that they add."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from custanalytics.clv import NBDModel
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


def _shown(source: str, options: str) -> str:
    """What a literalinclude with these options shows of the source."""
    named = re.search(r":pyobject: (\w+)", options)
    if named is None:
        start, end = re.findall(r":(?:start-at|end-before): (.+)", options)
        return source[source.index(start) : source.index(end)]
    part = next(each for each in ast.parse(source).body if getattr(each, "name", None) == named[1])
    return ast.unparse(part)


def test_the_page_shows_all_that_the_added_model_needs() -> None:
    page, source = (DOCS / "add_a_model.rst").read_text(), (DOCS / "nbd_model.py").read_text()
    shown = [_shown(source, options) for options in re.findall(r":: nbd_model.py\n((?:   :.+\n)+)", page)]
    pasted = ast.dump(ast.parse("\n".join(shown)))
    assert pasted == ast.dump(ast.Module(ast.parse(source).body[2:], []))  # all but the docstring and __future__


def test_the_added_model_answers_all_that_predictions_are_about() -> None:
    table = {"frequency": [2.0, 0.0], "recency": [30.43, 0.0], "T": [38.86, 38.86]}
    model = importlib.import_module("nbd_model").NBDModel.from_params(r=0.385, alpha=12.072)
    truth = NBDModel.from_params(r=0.385, alpha=12.072)
    assert model.score_one(2, 30.43, 38.86, horizon=13) == pytest.approx(truth.score_one(2, 30.43, 38.86, horizon=13))
    for question in (
        lambda each: each.predict_alive(table, ahead=13),
        lambda each: each.predict_purchases(table, 13, start=13),
        lambda each: each.predict_count_probabilities(table, [0, 1, 2], 13),
        lambda each: each.predict_count_quantiles(table, [0.05, 0.95], 13),
        lambda each: each.sample(table, 5, 13, rng=0),
        lambda each: each.probability_of_purchases([0, 1, 2], 52),
    ):
        np.testing.assert_allclose(question(model), question(truth), rtol=1e-12)


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
