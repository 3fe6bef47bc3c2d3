"""Customers: against the libraries that judge addresses and numbers, rows that balance, all kinds of frames."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from typing import Any

import email_validator
import numpy as np
import pandas as pd
import phonenumbers
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError, MissingExtraError
from custanalytics.validation import CustomerReport, CustomerRule, CustomerValidator, IdentityResolver


def judge(email: Any = None, phone: Any = None, **kwargs: Any) -> pd.Series:
    """The one clean row of a customer."""
    table = {"customer_id": [1], "email": [email], "phone": [phone]}
    return CustomerValidator(**{"country": "US", **kwargs}).fit_transform(pd.DataFrame(table, dtype=object)).iloc[0]


LOCAL = st.one_of(
    st.from_regex(r"\A[A-Za-z0-9._+-]{1,12}\Z"),
    st.sampled_from(["ann", "Info", "POSTMASTER", "a..b", ".a", "a" * 64, "a" * 65, "é", "a b", '"a b"', "o'neil"]),
)
DOMAIN = st.one_of(
    st.from_regex(r"\A[A-Za-z0-9.-]{1,12}\.[A-Za-z]{2,5}\Z"),
    st.sampled_from(["Shop.DE", "exämple.de", "shop", "a.test", "b.local", "[1.2.3.4]", "d" * 63 + ".de", "x.y.z.org"]),
    st.integers(180, 250).map(lambda n: ".".join(["d" * 59] * (n // 60)) + ".de"),
)


@given(st.lists(st.builds("{}@{}".format, LOCAL, DOMAIN), min_size=1, max_size=20))
def test_addresses_are_judged_as_email_validator_judges_them(addresses: list[str]) -> None:
    table = pl.DataFrame({"customer_id": range(len(addresses)), "email": addresses})
    clean = CustomerValidator().fit_transform(table)
    for address, found, issues in zip(addresses, clean["email_normalized"], clean["contact_issues"], strict=True):
        if "placeholder_email" in issues:
            continue
        try:
            expected = email_validator.validate_email(address, check_deliverability=False).normalized
        except email_validator.EmailNotValidError:
            expected = None
        assert found == expected
        assert ("invalid_email" in issues) == (expected is None)


@given(st.lists(st.from_regex(r"\A(\+|00)?[0-9 ()-]{3,14}\Z"), min_size=1, max_size=10), st.sampled_from(["US", "DE"]))
def test_numbers_are_judged_as_phonenumbers_judges_them(numbers: list[str], country: str) -> None:
    table = pl.DataFrame({"customer_id": range(len(numbers)), "phone": numbers})
    clean = CustomerValidator(country=country).fit_transform(table)
    for text, found, issues in zip(numbers, clean["phone_e164"], clean["contact_issues"], strict=True):
        if "placeholder_phone" in issues or "missing_phone" in issues:
            assert found is None
            continue
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            assert "unreadable_phone" in issues
            continue
        if phonenumbers.is_valid_number(number):
            assert found == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        else:
            assert found is None
            assert "invalid_phone" in issues or "impossible_phone" in issues


@given(
    st.lists(st.builds("{}@{}".format, LOCAL, DOMAIN), min_size=1, max_size=8), st.lists(st.text("0123+ ", max_size=12))
)
def test_normal_forms_are_their_own_normal_forms(addresses: list[str], numbers: list[str]) -> None:
    n = max(len(addresses), len(numbers))
    table = pd.DataFrame({"customer_id": range(n)})
    table["email"] = (addresses * n)[:n]
    table["phone"] = [*numbers, *["+4915123456789"] * n][:n]
    validator = CustomerValidator(country="DE")
    once = validator.fit_transform(table)
    again = once.assign(email=once["email_normalized"], phone=once["phone_e164"])
    twice = CustomerValidator(country="DE").fit_transform(again)
    for name in ("email_normalized", "phone_e164", "phone_type", "reachable_email", "reachable_sms"):
        pd.testing.assert_series_equal(twice[name], once[name])


@pytest.mark.parametrize(
    ("email", "issue"),
    [
        ("test@test.com", "placeholder_email"),
        (" N/A ", "placeholder_email"),
        ("noemail@shop.de", "placeholder_email"),
        ("no@email.com", "placeholder_email"),
        ("x@x.com", "placeholder_email"),
        (None, "missing_email"),
        ("  ", "missing_email"),
        ("NULL", "missing_email"),
        (17, "invalid_email"),
        ("Ann <ann@shop.de>", "invalid_email"),
        ("a@b.de, c@d.de", "invalid_email"),
        ("ann@shop.test", "invalid_email"),
        ("ann@@shop.de", "invalid_email"),
    ],
)
def test_addresses_that_no_mail_can_be_sent_to(email: Any, issue: str) -> None:
    row = judge(email, "+4915123456789")
    assert row["contact_issues"] == issue
    assert not row["reachable_email"]
    assert pd.isna(row["email_normalized"])
    assert row["reachable_sms"]


@pytest.mark.parametrize(
    ("email", "issue"),
    [
        ("ann@example.com", "reserved_email_domain"),
        ("ann@mail.example", "reserved_email_domain"),
        ("ann@mailinator.com", "disposable_email"),
        ("ann@sub.yopmail.com", "disposable_email"),
        ("ann@mine.org", "disposable_email"),
        ("Info@shop.de", "role_email"),
        ("sales+x@shop.de", "role_email"),
    ],
)
def test_doubtful_addresses_are_flagged_and_barred_on_demand(email: str, issue: str) -> None:
    row = judge(email, "+4915123456789", disposable_domains=["@Mine.org"])
    assert row["contact_issues"] == issue
    assert row["reachable_email"]
    barred = judge(email, "+4915123456789", disposable_domains=["mine.org"], bar=(issue,))
    assert not barred["reachable_email"]
    assert barred["reachable_sms"]


@pytest.mark.parametrize(
    ("phone", "issue", "e164", "kind"),
    [
        ("0000000", "placeholder_phone", None, None),
        ("+1 (000) 000-0000", "placeholder_phone", None, None),
        ("123456789", "placeholder_phone", None, None),
        ("n/a", "placeholder_phone", None, None),
        (None, "missing_phone", None, None),
        ("call me", "unreadable_phone", None, None),
        ("736 5000", "impossible_phone", None, None),
        ("+49 151 2345678901234", "impossible_phone", None, None),
        ("+49 151 234567890123456", "unreadable_phone", None, None),
        ("111 736 5000", "invalid_phone", None, None),
        ("212 736 5000", "", "+12127365000", "fixed_line_or_mobile"),
        (2127365000, "", "+12127365000", "fixed_line_or_mobile"),
        (2127365000.0, "", "+12127365000", "fixed_line_or_mobile"),
        ("2127365000.0", "", "+12127365000", "fixed_line_or_mobile"),
        ("+4930901820.0", "not_a_mobile_phone", "+4930901820", "fixed_line"),
        ("212 736 5000 ext. 3", "not_a_mobile_phone", "+12127365000", "fixed_line_or_mobile"),
        ("+49 30 901820", "not_a_mobile_phone", "+4930901820", "fixed_line"),
        ("011 49 151 23456789", "", "+4915123456789", "mobile"),
        ("+39 06 698 12345", "not_a_mobile_phone", "+390669812345", "fixed_line"),
    ],
)
def test_numbers(phone: Any, issue: str, e164: str | None, kind: str | None) -> None:
    row = judge("ann@shop.de", phone)
    assert row["contact_issues"] == issue
    assert (row["phone_e164"], row["phone_type"]) == (e164, kind) or (e164 is None and pd.isna(row["phone_e164"]))
    assert row["reachable_phone"] == (e164 is not None)
    assert row["reachable_sms"] == (issue == "")
    assert row["reachable_email"]


def test_where_a_number_is_dialled() -> None:
    table = pd.DataFrame(
        {
            "customer_id": range(5),
            "phone": ["0151 23456789", "0151 23456789", "07911 123456", "+33 6 12 34 56 78", "0151 23456789"],
            "country": ["DE", None, "gb", "Atlantis", "Atlantis"],
        }
    )
    alone = CustomerValidator().fit_transform(table)
    assert alone["contact_issues"].tolist() == [
        "",
        "phone_without_country",
        "",
        "unknown_country",
        "phone_without_country;unknown_country",
    ]
    default = CustomerValidator(country="de").fit_transform(table)
    assert default["phone_e164"].tolist() == [
        "+4915123456789",
        "+4915123456789",
        "+447911123456",
        "+33612345678",
        "+4915123456789",
    ]
    assert default["contact_issues"].tolist()[:3] == ["shared_phone", "shared_phone", ""]


def test_addresses_of_other_letters_are_not_shared() -> None:
    emails = ["ann@straße.de", "ann@strasse.de", "bob@shop.de", "BOB@SHOP.DE", "groß@shop.de", "GROSS@shop.de"]
    clean = CustomerValidator().fit_transform({"customer_id": range(6), "email": emails})
    assert clean["contact_issues"].tolist() == ["", "", "shared_email", "shared_email", "", ""]
    resolver = IdentityResolver().fit({"customer_id": range(6), "email": emails})
    assert resolver.merge_map_["customer_id"].tolist() == [3]


def test_an_address_that_two_customers_share_is_flagged() -> None:
    table = {"customer_id": [1, 2, 3, 3], "email": ["Ann@shop.de", "ann@SHOP.de", "bob@shop.de", "bob@shop.de"]}
    clean = CustomerValidator().fit_transform(table)
    assert clean["contact_issues"].tolist() == ["shared_email", "shared_email", ""]
    assert clean["reachable_email"].all()
    barred = CustomerValidator(bar=["shared_email"]).fit_transform(table)
    assert barred["reachable_email"].tolist() == [False, False, True]


def test_a_table_of_nobody_is_worth_a_warning() -> None:
    with pytest.warns(DataQualityWarning, match="All 2 rows are quarantined, and the clean table is empty"):
        clean = CustomerValidator().fit_transform({"customer_id": [None, ""]})
    assert len(clean) == 0


def test_postal_addresses() -> None:
    table = {"customer_id": [1, 2, 3], "address": ["Weg 1", "", "Weg 3"], "postcode": ["1", "2", "n/a"]}
    validator = CustomerValidator()
    clean = validator.fit_transform(table)
    assert validator.channels_ == ("post",)
    assert clean["reachable_post"].tolist() == [True, False, False]


ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, None, "a", "guest", ""]),
        st.sampled_from(["ann@shop.de", "bad", None, "info@shop.de"]),
        st.sampled_from(["+4915123456789", "0", None, "030 901820"]),
    ),
    max_size=12,
)


@pytest.mark.filterwarnings("ignore:All .* rows are quarantined")
@given(ROWS, st.sampled_from(["first", "last", "none"]))
def test_rows_in_are_rows_clean_and_rows_set_aside(rows: list[tuple[Any, ...]], duplicates: str) -> None:
    table = pd.DataFrame(rows, columns=["customer_id", "email", "phone"], dtype=object).assign(at=range(len(rows)))
    validator = CustomerValidator(country="DE", duplicates=duplicates).fit(table)
    clean, aside, report = validator.transform(table), None, validator.report_
    aside = validator.quarantine_
    assert sorted([*clean["at"], *aside["at"]]) == list(range(len(rows)))
    assert aside["row"].tolist() == aside["at"].tolist()
    assert report.rows_in == len(rows) == report.rows_clean + report.rows_quarantined
    assert (report.rows_clean, report.rows_quarantined) == (len(clean), len(aside))
    assert sum(report.patterns.values()) == len(aside)
    assert clean["customer_id"].is_unique
    ids = [one for one, *_ in rows]
    for at, one in enumerate(ids):
        if one in (None, ""):
            reason = "missing_customer_id"
        elif one == "guest":
            reason = "placeholder_customer"
        elif ids.count(one) > 1 and not (
            (duplicates == "first" and at == ids.index(one))
            or (duplicates == "last" and at == len(ids) - 1 - ids[::-1].index(one))
        ):
            reason = "duplicate_customer_id"
        else:
            assert at in set(clean["at"])
            continue
        assert aside.set_index("at").loc[at, "reasons"] == reason
    for channel in ("email", "phone", "sms"):
        assert report.reachable[channel] == clean[f"reachable_{channel}"].sum()
    assert report.counts["invalid_email"] == clean["contact_issues"].str.contains("invalid_email").sum()


def test_all_kinds_of_frames(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    table = pd.DataFrame(
        {
            "client": ["a", "b", None],
            "mail": ["Ann@Shop.de", None, "x@y.de"],
            "phone": ["+4915123456789", "?", None],
            "vip": [True, False, True],
        }
    )
    before = table.copy()
    native = to_frame(table)
    validator = CustomerValidator(columns={"customer_id": "client", "email": "mail"})
    clean = validator.fit_transform(native)
    assert type(clean) is type(native) is type(validator.quarantine_)
    names = clean.column_names if hasattr(clean, "column_names") else list(clean.columns)
    assert names == validator.get_feature_names_out().tolist()
    assert names[:4] == ["customer_id", "email", "phone", "vip"]
    plain = pl.DataFrame({name: list(np.asarray(clean[name])) for name in names}, strict=False)
    assert plain["email"].to_list()[0] == "Ann@Shop.de"
    assert plain["email_normalized"][0] == "Ann@shop.de"
    assert plain["reachable_sms"].to_list() == [True, False]
    assert plain["contact_issues"].to_list() == ["", "missing_email;placeholder_phone"]
    assert list(np.asarray(validator.quarantine_["reasons"])) == ["missing_customer_id"]
    pd.testing.assert_frame_equal(table, before)


def test_empty_and_index_and_whole_ids() -> None:
    table = pd.DataFrame({"customer_id": [1.0, np.nan, 2.0], "email": ["a@shop.de", "b@shop.de", "c@shop.de"]})
    table.index = [7, 8, 9]
    clean = CustomerValidator().fit_transform(table)
    assert clean.index.tolist() == [7, 9]
    assert clean["customer_id"].tolist() == [1, 2]
    assert clean["customer_id"].dtype == np.int64
    validator = CustomerValidator().fit(table)
    empty = validator.transform(table.iloc[:0])
    assert empty.shape == (0, 5)
    assert str(validator.report_).startswith("0 rows in = 0 clean (100.00%) + 0 quarantined")
    alone = CustomerValidator().fit_transform(pd.DataFrame({"customer_id": [1]}))
    assert alone.columns.tolist() == ["customer_id", "contact_issues"]


def test_an_estimator_like_the_others() -> None:
    table = pd.DataFrame({"customer_id": [1, 2], "email": ["a@shop.de", "b"]})
    validator = CustomerValidator(bar=["role_email"])
    with pytest.raises(NotFittedError):
        validator.transform(table)
    assert clone(validator).get_params() == validator.get_params()
    fitted = validator.fit(table)
    assert isinstance(validator.set_output(transform="polars").transform(table), pl.DataFrame)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.set_output(transform="default").transform(table)["reachable_email"].tolist() == [True, False]
    assert all(isinstance(rule, CustomerRule) for rule in CustomerValidator.rules())
    assert len({rule.bit for rule in CustomerValidator.rules()}) == len(CustomerValidator.rules())


def test_the_report_in_three_forms() -> None:
    table = {"customer_id": [1, 2, 2, None], "email": ["a@shop.de", "<b>", "c@shop.de", "d@shop.de"]}
    validator = CustomerValidator()
    validator.fit_transform(table)
    report = validator.report_
    assert isinstance(report, CustomerReport)
    found = json.loads(json.dumps(report.to_dict()))
    assert found["reachable"] == {"email": 1}
    assert found["patterns"] == [
        {"rules": ["missing_customer_id"], "rows": 1},
        {"rules": ["duplicate_customer_id"], "rows": 1},
    ]
    assert list(found["rules"]) == [rule.name for rule in CustomerValidator.rules()]
    assert "reachable by email: 1 of 2 (50.00%)" in str(report)
    assert "<td>not reachable by email</td>" in report._repr_html_()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"columns": 3}, "The 'columns' parameter of CustomerValidator must be an instance of Mapping"),
        ({"columns": {"email": "mail", "phones": "phone"}}, "names unknown columns"),
        ({"country": "Germany"}, "The 'country' parameter of CustomerValidator must be an ISO 3166 code"),
        ({"country": 1}, "The 'country' parameter of CustomerValidator must be an instance of str or"),
        ({"channels": ["fax"]}, r"The 'channels' parameter of CustomerValidator must be among .*Got \['fax'\] too"),
        ({"channels": "email"}, "The 'channels' parameter of CustomerValidator must be an instance of list"),
        ({"bar": ["missing_email"]}, "The 'bar' parameter of CustomerValidator must be among"),
        ({"duplicates": "drop"}, "The 'duplicates' parameter of CustomerValidator must be a str among"),
        ({"on_error": "repair"}, "The 'on_error' parameter of CustomerValidator must be a str among"),
        ({"placeholder_ids": "guest"}, "The 'placeholder_ids' parameter of CustomerValidator must be"),
        ({"disposable_domains": "x.de"}, "The 'disposable_domains' parameter of CustomerValidator must be"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CustomerValidator(**params).fit({"customer_id": [1], "email": ["a@b.de"], "phone": ["1"], "mail": ["x"]})


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(MissingColumnError, match=r"CustomerValidator needs the columns \['customer_id'\]; found"):
        CustomerValidator().fit({"email": ["a@b.de"]})
    with pytest.raises(MissingColumnError, match="or leave the channel out of channels="):
        CustomerValidator(channels=["sms"]).fit({"customer_id": [1]})
    table = {"customer_id": [1, 1, None, None], "email": ["a@b.de"] * 4}
    message = r"3 of 4 rows break the rules of CustomerValidator.\nmissing_customer_id: 2 \(rows 2, 3\)"
    with pytest.raises(InvalidDataError, match=message):
        CustomerValidator(on_error="raise").fit_transform(table)


@pytest.mark.parametrize(("package", "column"), [("email_validator", "email"), ("phonenumbers", "phone")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str, column: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}', which is not installed.*custanalytics\[contact\]"):
        CustomerValidator().fit_transform({"customer_id": [1], column: ["a"]})
