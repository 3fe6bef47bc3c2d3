"""The estimator's own behaviour: parameters, messages, scikit-learn's conventions, the report."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from custanalytics import _jit
from custanalytics.datasets import load_cdnow
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.validation import TransactionValidator, ValidationReport, ValidationRule

AS_OF = "2024-12-31"
LOG = pd.DataFrame(
    {
        "customer_id": [1, 2, 3, 3],
        "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02", None, "2025-06-01"]),
        "amount": [1.0, np.nan, np.nan, -4.0],
    }
)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"columns": 3}, "The 'columns' parameter of TransactionValidator must be an instance of Mapping"),
        (
            {"on_error": "ignore"},
            "The 'on_error' parameter of TransactionValidator must be a str among {'quarantine', 'raise', 'repair'}",
        ),
        ({"duplicates": "drop"}, "The 'duplicates' parameter of TransactionValidator must be a str among"),
        ({"as_of": 20241231}, "The 'as_of' parameter of TransactionValidator must be an instance of str or date"),
        (
            {"as_of": "31.12.2024"},
            "The 'as_of' parameter of TransactionValidator must be a date or a datetime, or one in ISO",
        ),
        ({"as_of": np.datetime64("NaT")}, "The 'as_of' parameter of TransactionValidator must be a date or a datetime"),
        ({"as_of": pd.NaT}, "The 'as_of' parameter of TransactionValidator must be"),
        ({"earliest": None}, "The 'earliest' parameter of TransactionValidator must be an instance of str or date"),
        (
            {"earliest": "old"},
            "The 'earliest' parameter of TransactionValidator must be a date or a datetime, or one in ISO",
        ),
        (
            {"earliest": "2025-01-02", "as_of": "2025-01-01"},
            "The 'earliest' parameter of TransactionValidator must not lie after as_of='2025-01-01'",
        ),
        ({"date_format": 1}, "The 'date_format' parameter of TransactionValidator must be an instance of str"),
        (
            {"dayfirst": "yes"},
            "The 'dayfirst' parameter of TransactionValidator must be an instance of bool or an instance",
        ),
        (
            {"time_zone": "Mars/Olympus"},
            "The 'time_zone' parameter of TransactionValidator must be the name of a time zone",
        ),
        ({"time_zone": ""}, "The 'time_zone' parameter of TransactionValidator must be the name of a time zone"),
        (
            {"placeholder_ids": "guest"},
            "The 'placeholder_ids' parameter of TransactionValidator must be an instance of list",
        ),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransactionValidator(**params).fit(LOG)


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(MissingColumnError, match=r"TransactionValidator needs the columns \['amount'\]; found"):
        TransactionValidator().fit(LOG.drop(columns="amount"))
    with pytest.raises(MissingColumnError, match=r"TransactionValidator needs the columns \['household'\]; found"):
        TransactionValidator(columns={"customer_id": "household"}).fit(LOG)
    with pytest.raises(MissingColumnError, match=r"needs the columns \['channel'\]; found .* They were there in fit"):
        TransactionValidator().fit(LOG.assign(channel="web")).transform(LOG)
    with pytest.raises(ValueError, match="The 'columns' parameter names unknown columns"):
        TransactionValidator(columns={"a": "b"}).fit(LOG.assign(a=1))
    with pytest.raises(InvalidDataError, match="TransactionValidator needs columns with distinct names"):
        TransactionValidator().fit(LOG.set_axis(["amount", "amount", "timestamp"], axis=1))
    with pytest.raises(TypeError, match="TransactionValidator takes one table with named columns"):
        TransactionValidator().fit(np.ones((3, 3)))


def test_transform_needs_fit() -> None:
    with pytest.raises(NotFittedError):
        TransactionValidator().transform(LOG)
    with pytest.raises(NotFittedError):
        TransactionValidator().get_feature_names_out()


def test_on_error_raise_says_what_where_and_what_to_do() -> None:
    validator = TransactionValidator(on_error="raise", as_of=AS_OF).fit(LOG)
    message = (
        "3 of 4 rows break the rules of TransactionValidator.\n"
        r"missing_timestamp: 1 \(rows 2\)\. .*\n"
        r"future_timestamp: 1 \(rows 3\)\. .*\n"
        r"missing_amount: 2 \(rows 1, 2\)\. .*\n"
        r"Pass on_error='quarantine' to set them aside and go on\."
    )
    with pytest.raises(InvalidDataError, match=message):
        validator.transform(LOG)
    assert validator.quarantine_["row"].tolist() == [1, 2, 3]
    assert validator.transform(LOG.iloc[:1])["customer_id"].tolist() == [1]
    assert validator.report_.rows_quarantined == 0
    many = pd.DataFrame({"customer_id": range(9), "timestamp": "2024-05-01", "amount": np.inf})
    with pytest.raises(InvalidDataError, match=r"non_finite_amount: 9 \(rows 0, 1, 2, 3, 4, …\)"):
        TransactionValidator(on_error="raise").fit_transform(many)


def test_copies_that_are_kept_raise_nothing() -> None:
    twice = pd.concat([LOG.iloc[:1]] * 2)
    assert len(TransactionValidator(on_error="raise", duplicates="flag").fit_transform(twice)) == 2
    with pytest.raises(InvalidDataError, match=r"duplicate: 1 \(rows 1\)"):
        TransactionValidator(on_error="raise").fit_transform(twice)


def test_scikit_learn_conventions() -> None:
    validator = TransactionValidator(as_of=AS_OF, columns={"customer_id": "customer_id"})
    assert clone(validator).get_params() == validator.get_params()
    assert set(vars(validator.fit(LOG))) == {*validator.get_params(), "feature_names_in_", "n_features_in_"}
    assert validator.feature_names_in_.tolist() == ["customer_id", "timestamp", "amount"]
    assert validator.n_features_in_ == 3
    assert validator.get_feature_names_out().tolist() == ["customer_id", "timestamp", "amount", "is_return"]
    clean = validator.transform(LOG)
    copy = pickle.loads(pickle.dumps(validator))
    pd.testing.assert_frame_equal(copy.quarantine_, validator.quarantine_)
    assert copy.report_ == validator.report_
    pd.testing.assert_frame_equal(copy.transform(LOG), clean)
    assert "TransactionValidator(as_of='2024-12-31'" in repr(validator)


def test_set_output_and_pipeline() -> None:
    as_polars = TransactionValidator(as_of=AS_OF).set_output(transform="polars").fit_transform(LOG)
    assert isinstance(as_polars, pl.DataFrame)
    assert as_polars["customer_id"].to_list() == [1]
    as_pandas = TransactionValidator(as_of=AS_OF).set_output(transform="pandas").fit_transform(pl.from_pandas(LOG))
    assert isinstance(as_pandas, pd.DataFrame)
    pipeline = make_pipeline(TransactionValidator(), FunctionTransformer(lambda log: log["amount"].sum()))
    assert pipeline.set_params(transactionvalidator__as_of=AS_OF).fit_transform(LOG) == 1.0


def test_renaming_both_ways_and_names_that_clash() -> None:
    log = LOG.rename(columns={"customer_id": "household"}).assign(customer_id="row number")
    for columns in ({"customer_id": "household"}, {"household": "customer_id"}):
        validator = TransactionValidator(columns=columns, as_of=AS_OF).fit(log)
        clean = validator.transform(log)
        assert clean["customer_id"].tolist() == [1]
        assert validator.get_feature_names_out().tolist() == clean.columns.tolist()
        assert validator.quarantine_["customer_id"].tolist() == ["row number"] * 3


def test_is_return_of_an_earlier_run_is_renewed() -> None:
    log = LOG.iloc[[0, 0]].assign(is_return=[True, False])
    validator = TransactionValidator().fit(log)
    assert validator.transform(log)["is_return"].tolist() == [False]
    assert validator.get_feature_names_out().tolist() == ["customer_id", "timestamp", "amount", "is_return"]


def test_typed_columns_keep_their_type_and_clean_logs_their_values() -> None:
    log = pd.DataFrame(
        {
            "customer_id": np.array([1, 2], np.int32),
            "timestamp": np.array(["2024-01-01", "2024-01-02"], "datetime64[s]"),
            "amount": [3, -4],
            "channel": pd.Categorical(["web", "shop"]),
        }
    )
    clean = TransactionValidator(as_of=AS_OF).fit_transform(log)
    pd.testing.assert_frame_equal(clean.drop(columns="is_return"), log)


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(3)
    n = 50_000
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(-1, 50, n),
            "timestamp": np.datetime64("2024-01-01T10", "s") + rng.integers(0, 500, n).astype("timedelta64[D]"),
            "amount": rng.choice([1.0, 2.0, -3.0, np.nan, np.inf], n, p=[0.4, 0.4, 0.1, 0.05, 0.05]),
        }
    )
    outcomes = []
    for threads in (1, 2, 3):
        with _jit.threads(threads):
            validator = TransactionValidator(as_of=AS_OF).fit(log)
            outcomes.append((validator.transform(log), validator.quarantine_, validator.report_))
    for clean, aside, report in outcomes[1:]:
        pd.testing.assert_frame_equal(clean, outcomes[0][0])
        pd.testing.assert_frame_equal(aside, outcomes[0][1])
        assert report == outcomes[0][2]
    wrong = (log["customer_id"] == -1) | (log["timestamp"] > "2025-01-01") | ~np.isfinite(log["amount"])
    copied = log[~wrong].duplicated()
    assert outcomes[0][2].counts["duplicate"] == copied.sum() > 0
    pd.testing.assert_frame_equal(outcomes[0][0].drop(columns="is_return"), log[~wrong][~copied])


def test_concatenating_disjoint_customers_adds_the_counts() -> None:
    other = LOG.assign(customer_id=LOG["customer_id"] + 10)
    reports = []
    for log in (LOG, other, pd.concat([LOG, other])):
        validator = TransactionValidator(as_of=AS_OF).fit(log)
        validator.transform(log)
        reports.append(validator.report_.counts)
    assert {name: reports[0][name] + reports[1][name] for name in reports[0]} == reports[2]


def test_relabelling_customers_and_shifting_the_calendar_change_no_reason() -> None:
    names = LOG.assign(customer_id=["c", "a", "b", "b"])
    later = LOG.assign(timestamp=LOG["timestamp"] + pd.Timedelta(days=366))
    reasons = []
    for log, as_of in ((LOG, AS_OF), (names, AS_OF), (later, datetime(2026, 1, 1))):
        validator = TransactionValidator(as_of=as_of).fit(log)
        validator.transform(log)
        reasons.append(validator.quarantine_["reasons"].tolist())
    assert (
        reasons[0]
        == reasons[1]
        == reasons[2]
        == ["missing_amount", "missing_timestamp;missing_amount", "future_timestamp"]
    )


def test_the_report_as_text_html_and_dict() -> None:
    validator = TransactionValidator(as_of=AS_OF).fit(LOG)
    validator.transform(LOG)
    report = validator.report_
    assert isinstance(report, ValidationReport)
    assert str(report) == repr(report)
    lines = str(report).splitlines()
    assert lines[0] == "4 rows in = 1 clean (25.00%) + 3 quarantined"
    assert len([line for line in lines if line.split()[0] in report.counts]) == len(TransactionValidator.rules())
    assert lines[1] == "quality score 25.00 %"
    assert any(line.split() == ["missing_amount", "2", "50.00", "%", "quarantined"] for line in lines)
    assert any(line.split() == ["duplicate", "0", "100.00", "%"] for line in lines)
    assert any(line.split() == ["return", "0"] for line in lines)
    assert any(line.startswith("  future_timestamp: the timestamp is after `as_of`. Check the clock") for line in lines)
    page = report._repr_html_()
    assert page.count("<tr>") == 1 + len(TransactionValidator.rules())
    assert "<td>missing_amount</td><td style='text-align:right'>2</td>" in page
    assert "<td style='text-align:right'>50.00 %</td><td>quarantined</td>" in page
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["rules"]["missing_amount"] == 2
    assert plain["rules"]["return"] == 0
    assert (plain["score"], plain["scores"]["missing_amount"], "return" in plain["scores"]) == (0.25, 0.5, False)
    assert plain["patterns"] == [
        {"rules": ["future_timestamp"], "rows": 1},
        {"rules": ["missing_amount"], "rows": 1},
        {"rules": ["missing_timestamp", "missing_amount"], "rows": 1},
    ]
    assert [plain[name] for name in ("rows_in", "rows_clean", "rows_quarantined", "rows_merged", "notes")] == [
        4,
        1,
        3,
        0,
        [],
    ]
    assert plain["flagged"] == [rule.name for rule in TransactionValidator.rules() if rule.severity != "error"]


def test_html_is_escaped() -> None:
    page = ValidationReport(1, 1, 0, {"<b>": 0}, notes=("<script>",))._repr_html_()
    assert "<b></td>" not in page
    assert "&lt;script&gt;" in page


def test_a_rule_is_a_plain_value() -> None:
    rule = TransactionValidator.rules()[-1]
    assert rule == ValidationRule(rule.name, None, "flag", rule.message, rule.remedy, bit=rule.bit)
    assert rule.description == rule.message


def test_cdnow_keeps_every_purchase_where_copies_cannot_be_told_from_purchases() -> None:
    log = load_cdnow()
    counts = {}
    for policy in ("quarantine", "auto", "flag"):
        validator = TransactionValidator(duplicates=policy).fit(log)
        validator.transform(log)
        report = validator.report_
        counts[policy] = (report.rows_in, report.rows_clean, report.counts["duplicate"])
        assert [name for name, rows in report.counts.items() if rows] == ["duplicate"]
        assert "21 of 6,919 rows copy an earlier one, but the log has neither" in report.notes[0]
    assert counts == {"quarantine": (6919, 6898, 21), "auto": (6919, 6919, 21), "flag": (6919, 6919, 21)}


def test_the_kernels_run_uncompiled() -> None:
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import pandas as pd\n"
        "from custanalytics.validation import TransactionValidator\n"
        "log = pd.DataFrame({'customer_id': [1, 1, 2, -1, 2], 'amount': [1, 1, -2, 3, 9e9]})\n"
        "log['timestamp'] = '2024-05-01T10:00'\n"
        "validator = TransactionValidator().fit(log)\n"
        "print(validator.transform(log)['amount'].tolist(), validator.quarantine_['reasons'].tolist())"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.strip() == "[1.0, -2.0, 9000000000.0] ['duplicate', 'placeholder_customer']", done.stderr


@pytest.mark.parametrize("quantities", [False, True])
def test_a_row_is_judged_alike_in_any_company(quantities: bool) -> None:
    """Rows are looked at a thousand together, and one by one only where something is wrong among these."""
    rng, n = np.random.default_rng(8), 6000
    log = pd.DataFrame({"customer_id": rng.integers(1, 500, n), "amount": rng.normal(20.0, 1.0, n).round(2)})
    log["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    if quantities:
        log["quantity"] = np.ones(n)
    wrong = {"customer_id": [-1], "amount": [np.nan, np.inf, -1e14, 5e12, -30.0], "timestamp": ["1901-01-01", None]}
    if quantities:
        wrong["quantity"] = [-1.0, np.inf, np.nan]
    at = iter(rng.permutation(n))
    for name, values in wrong.items():
        for value in values:
            log.loc[[next(at) for _ in range(2)], name] = pd.Timestamp(value) if name == "timestamp" else value
    copied = next(at)
    log.loc[copied + 1 if copied + 1 < n else 0] = log.loc[copied]
    log["order_id"] = np.where(log.duplicated(keep=False), 0, np.arange(n))

    def judged(some: pd.DataFrame) -> tuple[dict[int, str], dict[str, int], int]:
        validator = TransactionValidator().fit(some)
        kept = validator.transform(some)
        why = validator.quarantine_
        reasons = {order: each for order, each in zip(why["order_id"], why["reasons"], strict=True) if order}
        return reasons, validator.report_.counts, int(kept["is_return"].sum())

    alone = [judged(log.iloc[row : row + 1])[0] for row in range(0, n, 401)]
    whole = judged(log)
    assert whole == judged(log.sample(frac=1.0, random_state=1))
    assert whole == judged(log.iloc[np.argsort(log["amount"].isna(), kind="stable")])
    assert len(whole[0]) >= 8
    for row, reasons in zip(range(0, n, 401), alone, strict=True):
        assert reasons.get(log["order_id"][row]) == whole[0].get(log["order_id"][row])
