"""Consent against the rules applied one event at a time; opt-outs win; a merged person has refused what any id has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.reference.consent import Event, decide

from custanalytics.datasets import simulate_transactions
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.validation import ConsentLedger

DAY = np.datetime64("2024-01-01", "D")
CHANNELS, PURPOSES = ("email", "sms"), ("news", "survey")
EVENTS = st.builds(
    Event,
    st.sampled_from([*CHANNELS, "*"]),
    st.sampled_from([*PURPOSES, "*"]),
    st.sampled_from(["granted", "withdrawn"]),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 8)),
)
LEDGERS = st.lists(st.tuples(st.integers(0, 3), EVENTS), max_size=14)


def frame_of(events: list[tuple[Any, Event]]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [(who, *event) for who, event in events],
        columns=["customer_id", "channel", "purpose", "status", "timestamp", "expires"],
    )
    for name in ("timestamp", "expires"):
        days = [np.datetime64("NaT") if value is None or value != value else DAY + int(value) for value in frame[name]]
        frame[name] = np.array(days, "datetime64[us]")
    return frame.astype({"customer_id": np.int64})


def ledger_of(events: list[tuple[Any, Event]], **kwargs: Any) -> ConsentLedger:
    return ConsentLedger(frame_of(events), channels=list(CHANNELS), purposes=list(PURPOSES), **kwargs)


def at(day: int) -> datetime:
    return datetime(2024, 1, 1) + timedelta(days=day)


@given(LEDGERS, st.integers(-1, 9), st.sampled_from(["opt_in", "opt_out"]), st.booleans(), st.randoms())
def test_decisions_are_those_of_the_rules_in_any_order_of_events(
    events: list[tuple[int, Event]], now: int, regime: str, narrower: bool, random: Any
) -> None:
    shuffled = random.sample(events, len(events))
    ledger = ledger_of(shuffled, regime=regime, reconsent="narrower" if narrower else "same_scope")
    people = [2, 0, 3, 1, 9]
    for channel in CHANNELS:
        for purpose in PURPOSES:
            expected = [
                decide([e for who, e in events if who == one], channel, purpose, now, regime=regime, narrower=narrower)
                for one in people
            ]
            assert ledger.reasons(people, channel, purpose, at(now)).tolist() == expected
            allowed = ledger.allowed(people, channel, purpose, at(now))
            assert allowed.tolist() == [why in ("granted", "not_opted_out") for why in expected]


@given(LEDGERS, st.integers(0, 3), st.integers(0, 9), st.booleans())
def test_an_opt_out_wins_over_all_that_is_not_later(
    events: list[tuple[int, Event]], who: int, now: int, narrower: bool
) -> None:
    out = Event("*", "*", "withdrawn", 5, None)  # as late as the latest grant there is
    kwargs = {"regime": "opt_out", "reconsent": "narrower" if narrower else "same_scope"}
    ledger = ledger_of([*events, (who, out)], **kwargs)
    before = ledger_of(events, **kwargs)
    for channel in CHANNELS:
        for purpose in PURPOSES:
            allowed = ledger.allowed([0, 1, 2, 3], channel, purpose, at(now))
            expected = before.allowed([0, 1, 2, 3], channel, purpose, at(now))
            expected[who] &= now < 5
            np.testing.assert_array_equal(allowed, expected)


@given(LEDGERS, st.integers(0, 9), st.sampled_from(["opt_in", "opt_out"]))
def test_what_comes_after_the_date_changes_nothing(events: list[tuple[int, Event]], now: int, regime: str) -> None:
    known = [(who, event) for who, event in events if event.time <= now]
    for channel in CHANNELS:
        found = ledger_of(events, regime=regime).reasons([0, 1, 2, 3], channel, "news", at(now))
        expected = ledger_of(known, regime=regime).reasons([0, 1, 2, 3], channel, "news", at(now))
        np.testing.assert_array_equal(found, expected)


@given(LEDGERS, st.integers(0, 9), st.sampled_from(["opt_in", "opt_out"]))
def test_a_person_has_refused_what_any_of_the_ids_has(events: list[tuple[int, Event]], now: int, regime: str) -> None:
    apart = ledger_of(events, regime=regime, do_not_contact=[3])
    merged = apart.merged({1: 0, 7: 0, 3: 2})
    for one, ids in ((0, (0, 1)), (2, (2, 3))):
        why = apart.reasons(list(ids), "sms", "news", at(now)).tolist()
        allowed = merged.allowed([one, *ids], "sms", "news", at(now)).tolist()
        assert len(set(allowed)) == 1
        refused = bool({"opted_out", "do_not_contact"} & set(why))
        assert allowed[0] == (not refused and bool({"granted", "not_opted_out"} & set(why)))
    assert merged.allowed([7], "sms", "news", at(now)).tolist() == merged.allowed([0], "sms", "news", at(now)).tolist()


def test_merging_in_steps_is_merging_at_once() -> None:
    events = [(0, Event("sms", "news", "granted", 1, None)), (2, Event("sms", "*", "withdrawn", 0, None))]
    ledger = ledger_of(events)
    steps = ledger.merged({1: 0}).merged({2: 1})
    for merged in (steps, ledger.merged({1: 0, 2: 1}), ledger.merged({1: 0}).merged({0: 2})):
        assert merged.reasons([0, 1, 2], "sms", "news", at(3)).tolist() == ["opted_out"] * 3
    assert ledger.reasons([0, 1, 2], "sms", "news", at(3)).tolist() == ["granted", "no_consent", "opted_out"]


@given(LEDGERS, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=4))
@example([(who, Event("sms", "news", "granted", 0, None)) for who in (2, 3)], [(3, 2), (1, 0)])
def test_people_who_are_not_merged_stay_apart(events: list[tuple[int, Event]], pairs: list[tuple[int, int]]) -> None:
    ledger, people = ledger_of(events, do_not_contact=[5]), list(range(7))
    apart = ledger.allowed(people, "sms", "news", at(5))
    refused = np.isin(ledger.reasons(people, "sms", "news", at(5)), ["opted_out", "do_not_contact"])
    group = list(people)
    for one, other in pairs:
        ledger = ledger.merged({one: other})
        group = [group[other] if mine == group[one] else mine for mine in group]
    alike = np.equal.outer(group, group)
    expected = (alike & apart).any(axis=1) & ~(alike & refused).any(axis=1)
    assert ledger.allowed(people, "sms", "news", at(5)).tolist() == expected.tolist()


def test_a_global_opt_out_beats_a_later_grant_by_channel_unless_told_otherwise() -> None:
    events = [(0, Event("*", "*", "withdrawn", 1, None)), (0, Event("email", "news", "granted", 2, None))]
    assert not ledger_of(events).allowed([0], "email", "news", at(3))[0]
    narrower = ledger_of(events, reconsent="narrower")
    assert narrower.allowed([0], "email", "news", at(3))[0]
    assert not narrower.allowed([0], "email", "survey", at(3))[0]
    again = [*events, (0, Event("*", "*", "granted", 3, None))]
    assert ledger_of(again).allowed([0], "email", "news", at(3))[0]
    assert not ledger_of([*again, (0, Event("email", "*", "withdrawn", 0, None))]).allowed([0], "email", "news", at(3))[
        0
    ]


def test_a_date_is_a_whole_day_and_a_grant_ends_when_it_expires() -> None:
    events = pd.DataFrame(
        {
            "customer_id": ["a", "b"],
            "status": ["yes", "yes"],
            "timestamp": pd.to_datetime(["2024-05-01 17:00", "2024-01-01 00:00"]),
            "expires": pd.to_datetime([None, "2024-05-02"]),
        }
    )
    ledger = ConsentLedger(events)
    for as_of, expected in {
        "2024-05-01": [True, True],
        date(2024, 5, 1): [True, True],
        np.datetime64("2024-05-01"): [True, True],
        datetime(2024, 5, 1, 16): [False, True],
        "2024-05-02T00:00": [True, False],
        "2024-04-30": [False, True],
    }.items():
        assert ledger.allowed(["a", "b"], "email", "news", as_of).tolist() == expected


def test_a_zoned_date_is_read_on_the_clock_of_the_ledger() -> None:
    events = pd.DataFrame({"customer_id": [1], "status": ["opt-in"], "timestamp": pd.to_datetime(["2024-05-01 12:00"])})
    zoned = events.assign(timestamp=events["timestamp"].dt.tz_localize("Europe/Berlin"))
    for moment, expected in ((datetime(2024, 5, 1, 9, 59, tzinfo=UTC), False), ("2024-05-01T10:00+00:00", True)):
        assert ConsentLedger(zoned).allowed([1], "sms", "news", moment).tolist() == [expected]
        with pytest.raises(ValueError, match="has a time zone and the log has none"):
            ConsentLedger(events).allowed([1], "sms", "news", moment)


AUTUMN = ["2024-10-27T00:30", "2024-10-27T01:10"]  # in Berlin 2:30, and 40 minutes later 2:10, as clocks went back


@pytest.mark.parametrize("zone", ["Europe/Berlin", "dateutil/Europe/Berlin", "UTC", "+02:00"])
@pytest.mark.parametrize("later", ["opt-in", "opt-out"])
def test_what_came_later_came_later_when_clocks_go_back(
    to_frame: Callable[[pd.DataFrame], Any], zone: str, later: str
) -> None:
    times = pd.to_datetime(AUTUMN).tz_localize("UTC").tz_convert(zone)
    words = ["opt-out", "opt-in"] if later == "opt-in" else ["opt-in", "opt-out"]
    events = pd.DataFrame({"customer_id": 1, "status": words, "timestamp": times})
    ledger = ConsentLedger(events if zone.startswith("dateutil") else to_frame(events))  # only pandas has such zones
    for day in ("2024-10-27", "2024-10-28", datetime(2024, 10, 27, 1, 15, tzinfo=UTC)):
        assert ledger.allowed([1], "sms", "news", day).tolist() == [later == "opt-in"]
    assert ledger.allowed([1], "sms", "news", datetime(2024, 10, 27, 0, 45, tzinfo=UTC)).tolist() == [later != "opt-in"]
    assert ledger.allowed([1], "sms", "news", datetime(2024, 10, 27, 0, 15, tzinfo=UTC)).tolist() == [False]


def test_ends_of_consent_are_read_on_the_clock_of_the_ledger() -> None:
    times = pd.to_datetime(["2024-01-01"] * 3).tz_localize("America/New_York")
    events = pd.DataFrame({"customer_id": [1, 2, 3], "status": "opt-in", "timestamp": times})
    local = ["2024-07-01T09:00", "2024-11-03T01:30", "2024-03-10T02:30"]  # twice, and never: the earlier one
    for ends in (local, pd.to_datetime(local), ["2024-07-01T13:00+00:00", "2024-11-03T05:30Z", "2024-03-10T07:30Z"]):
        ledger = ConsentLedger(events.assign(expires=ends))
        for moment, expected in {
            datetime(2024, 7, 1, 12, 59, tzinfo=UTC): [True, True, False],
            datetime(2024, 7, 1, 13, 0, tzinfo=UTC): [False, True, False],
            "2024-07-01T08:59": [True, True, False],
            datetime(2024, 11, 3, 5, 29, tzinfo=UTC): [False, True, False],
            datetime(2024, 11, 3, 5, 30, tzinfo=UTC): [False, False, False],
            datetime(2024, 3, 10, 6, 29, tzinfo=UTC): [True, True, True],
            datetime(2024, 3, 10, 7, 30, tzinfo=UTC): [True, True, False],
        }.items():
            assert ledger.allowed([1, 2, 3], "sms", "news", moment).tolist() == expected


def test_words_of_all_kinds_are_understood() -> None:
    words = ["Opt-In", " opted in ", "GRANTED", "unsubscribed", "opt_out", "Objected", "pending", "expired"]
    events = pd.DataFrame({"customer_id": range(8), "status": words, "timestamp": pd.Timestamp("2024-01-01")})
    found = ConsentLedger(events).reasons(list(range(8)), "email", "news", "2024-02-01").tolist()
    assert found == ["granted"] * 3 + ["opted_out"] * 3 + ["no_consent", "expired"]
    truth = events.head(2).assign(status=[True, False])
    assert ConsentLedger(truth).allowed([0, 1], "email", "news", "2024-02-01").tolist() == [True, False]
    own = events.head(2).assign(status=["J", "N"])
    ledger = ConsentLedger(own, statuses={"J": "granted", "N": "withdrawn"})
    assert ledger.allowed([0, 1], "email", "news", "2024-02-01").tolist() == [True, False]


def test_a_name_is_one_in_every_form_of_unicode() -> None:
    purposes = ["Pr\u00e4mien", "pra\u0308mien ", "\uff30r\u00e4mien"]
    times = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    words = ["opt-in", "opt-out", "opt-in"]
    events = pd.DataFrame({"customer_id": 1, "purpose": purposes, "status": words, "timestamp": times})
    for n, expected in ((1, True), (2, False), (3, True)):
        ledger = ConsentLedger(events.head(n), regime={purposes[1]: "opt_out"})
        assert ledger.purposes_ == ("pr\u00e4mien",)
        assert [ledger.allowed([1], "email", each, "2024-02-01").item() for each in purposes] == [expected] * 3
        assert ledger.reasons([2], "email", purposes[2], "2024-02-01").tolist() == ["not_opted_out"]


def test_times_as_texts_and_as_dates() -> None:
    events = frame_of([(0, Event("email", "news", "granted", 1, 3)), (1, Event("email", "news", "withdrawn", 0, None))])
    texts = events.assign(timestamp=["2024-01-02", " 2024-01-01T00:00 "], expires=["2024-01-04", ""])
    dates = events.assign(timestamp=[date(2024, 1, 2), date(2024, 1, 1)], expires=[datetime(2024, 1, 4), None])
    for frame in (texts, dates, pl.from_pandas(texts)):
        ledger = ConsentLedger(frame)
        for day, expected in ((0, "no_consent"), (2, "granted"), (3, "expired")):
            assert ledger.reasons([0, 1], "email", "news", at(day)).tolist() == [expected, "opted_out"]


def test_consent_that_has_run_out_somewhere_is_refused() -> None:
    events = pd.DataFrame(
        {
            "customer_id": [1, 1],
            "channel": ["email", None],
            "purpose": "news",
            "status": ["granted", "expired"],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-31"]),
        }
    )
    with pytest.raises(InvalidDataError, match=r"1 of 2 events say that consent has run out without naming a channel"):
        ConsentLedger(events)
    ledger = ConsentLedger(events.fillna({"channel": "email"}))
    assert ledger.reasons([1], "email", "news", "2024-03-01").tolist() == ["expired"]


def test_a_regime_of_all_that_has_no_other() -> None:
    events = frame_of([(0, Event("email", "news", "granted", 0, None))])
    for regime in ({"*": "opt_out"}, {("*", "*"): "opt_out"}, {("*", "news"): "opt_out"}, {("sms", "news"): "opt_out"}):
        ledger = ConsentLedger(events, regime=regime, channels=["sms"])
        assert ledger.purposes_ == ("news",)
        assert ledger.allowed([1], "sms", "news", "2024-03-01").tolist() == [True]
    ledger = ConsentLedger(events, regime={"*": "opt_out", "news": "opt_in"})
    assert ledger.allowed([1], "email", "news", "2024-03-01").tolist() == [False]
    with pytest.raises(ValueError, match=r"is by purpose: name one for \('sms', '\*'\)"):
        ConsentLedger(events, regime={("sms", "*"): "opt_out"})


def test_a_regime_for_each_purpose() -> None:
    events = frame_of([(0, Event("email", "news", "withdrawn", 0, None))])
    regime = {"Service": "opt_out", ("email", "survey"): "opt_out"}
    ledger = ConsentLedger(events, regime=regime, channels=["sms"])
    asked = [("email", "service"), ("SMS", "service"), ("email", "survey"), ("sms", "survey"), ("email", "news")]
    assert ledger.eligibility([5], asked, "2024-02-01").tolist() == [[True, True, True, False, False]]


def test_an_opt_out_that_names_no_channel_is_from_all() -> None:
    events = pd.DataFrame(
        {
            "customer_id": [1, 1, 2],
            "channel": ["email", None, ""],
            "status": ["opt-in", "opt-out", "opt-out"],
            "timestamp": pd.Timestamp("2024-01-01"),
        }
    )
    ledger = ConsentLedger(events, regime="opt_out")
    assert ledger.allowed([1, 2, 3], "email", "x", "2024-02-01").tolist() == [False, False, True]
    with pytest.raises(InvalidDataError, match=r"1 of 3 events grant consent without naming a channel \(first: 2\)"):
        ConsentLedger(events.assign(status=["opt-in", "opt-out", "opt-in"]))


def test_frames_of_all_kinds(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    events = frame_of([(0, Event("email", "news", "granted", 0, None)), (1, Event("*", "*", "withdrawn", 0, 3))])
    ledger = ConsentLedger(to_frame(events), do_not_contact=to_frame(pd.DataFrame({"customer_id": [4]})))
    table = to_frame(pd.DataFrame({"customer_id": [4, 0, 1], "name": ["x", "y", "z"]}))
    found = ledger.table(table, "email", ["news"], "2024-02-01")
    assert type(found) is type(table)
    assert np.asarray(found["email_news"]).tolist() == [False, True, False]
    assert np.asarray(found["name"]).tolist() == ["x", "y", "z"]
    assert ledger.reasons(table, "email", "news", "2024-02-01").tolist() == ["do_not_contact", "granted", "opted_out"]


def test_missing_and_float_ids() -> None:
    events = frame_of([(1, Event("email", "news", "granted", 0, None))])
    ledger = ConsentLedger(events)
    assert ledger.allowed(pd.DataFrame({"customer_id": [1.0, np.nan]}), "email", "news", "2024-02-01").tolist() == [
        True,
        False,
    ]
    assert ledger.reasons([None, 1], "email", "news", "2024-02-01").tolist() == ["missing_id", "granted"]
    assert ledger.allowed([], "email", "news", "2024-02-01").shape == (0,)
    assert "secret" not in repr(ledger)
    assert "1 events, channels=['email']" in repr(ledger)


def test_the_mask_is_what_next_best_offer_takes() -> None:
    from custanalytics.offers import NextBestOffer

    log, _ = simulate_transactions(n_customers=60, seed=1)
    log = log.assign(product_id=np.where(np.arange(len(log)) % 2, "apple", "bread"))
    nbo = NextBestOffer(k=2).fit(log)
    people = nbo.customers_.tolist()
    events = pd.DataFrame(
        {
            "customer_id": people[:20] + people[:5],
            "channel": ["email"] * 20 + ["sms"] * 5,
            "purpose": "marketing",
            "status": "opt-in",
            "timestamp": pd.Timestamp("1990-01-01"),
        }
    )
    mask = ConsentLedger(events).eligibility(people, [("email", "marketing"), ("sms", "marketing")], "2030-01-01")
    best = nbo.recommend(people, eligibility=mask)
    expected = {(one, "apple") for one in people[:20]} | {(one, "bread") for one in people[:5]}
    assert set(zip(best["customer_id"], best["offer"], strict=True)) == expected


GOOD = frame_of([(1, Event("email", "news", "granted", 0, None))])


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        ({"status": ["maybe"]}, {}, r"1 of 1 events have a status of no known meaning \(first: 0\): 'maybe'"),
        ({"status": [None]}, {}, "have a status of no known meaning .*: it is missing"),
        ({"customer_id": [None]}, {}, "1 of 1 events have no customer_id"),
        ({"timestamp": [pd.NaT]}, {}, "1 of 1 events have no timestamp .* belongs in do_not_contact"),
        ({"timestamp": ["05/06/2024"]}, {}, "have in timestamp neither a date .*, but '05/06/2024'"),
        ({"expires": ["soon"]}, {}, "have in expires neither a date"),
        ({}, {"regime": "opt"}, "The 'regime' parameter of ConsentLedger must be a str among {'opt_in', 'opt_out'}"),
        ({}, {"regime": {"news": "out"}}, r"maps purposes to \['opt_in', 'opt_out'\]; got \['out'\]"),
        ({}, {"regime": {("a", "b", "c"): "opt_in"}}, "are purposes or"),
        ({}, {"statuses": {"x": "gone"}}, r"maps your words to \['granted', 'withdrawn', 'lapsed', 'pending'\]; got"),
        ({}, {"reconsent": "never"}, "The 'reconsent' parameter of ConsentLedger must be"),
        ({}, {"do_not_contact": ["x"]}, "are text .*but those of the ledger are no text"),
        ({}, {"do_not_contact": 3}, "The 'do_not_contact' argument of ConsentLedger must be a frame with customer_id"),
        ({}, {"columns": {"when": "timestamp", "x": "y"}}, "names unknown columns"),
    ],
)
def test_wrong_ledgers_are_refused(change: dict[str, Any], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConsentLedger(GOOD.assign(**change), **kwargs)


def test_wrong_questions_are_refused() -> None:
    ledger = ConsentLedger(GOOD)
    with pytest.raises(ValueError, match=r"No event of the ledger names the channel 'emial'; it knows \['email'\]"):
        ledger.allowed([1], "emial", "news", "2024-02-01")
    with pytest.raises(ValueError, match="The 'purpose' argument of ConsentLedger must be an instance of str"):
        ledger.allowed([1], "email", None, "2024-02-01")
    with pytest.raises(
        InvalidDataError, match=r"ids given to ConsentLedger are text .*those of the ledger are no text"
    ):
        ledger.allowed(["1"], "email", "news", "2024-02-01")
    with pytest.raises(ValueError, match="The 'as_of' parameter of ConsentLedger must be an instance of str or date"):
        ledger.allowed([1], "email", "news", None)
    with pytest.raises(ValueError, match=r"must be a sequence of \(channel, purpose\). Got \['email'\] instead"):
        ledger.eligibility([1], ["email"], "2024-02-01")
    with pytest.raises(ValueError, match="names no time"):
        ledger.allowed([1], "email", "news", "soon")
    with pytest.raises(ValueError, match=r"must be a frame with customer_id or a sequence of ids. Got '1'"):
        ledger.allowed("1", "email", "news", "2024-02-01")
    with pytest.raises(MissingColumnError, match="The 'customers' argument of ConsentLedger needs the columns"):
        ledger.allowed(pl.DataFrame({"id": [1]}), "email", "news", "2024-02-01")
    with pytest.raises(InvalidDataError, match=r"ids given to ConsentLedger.merged are text"):
        ledger.merged({"a": "b"})
    with pytest.raises(MissingColumnError, match=r"ConsentLedger needs the columns \['status'\]"):
        ConsentLedger(GOOD.drop(columns="status"))


@pytest.mark.parametrize("more", [[], [None], [1], [-1], [2.5], ["x"], [np.uint64(2**64 - 5)]])
@pytest.mark.parametrize("who", [2**53 + 1, 2**62 + 1, 2**63 + 5, 2**64 - 1])
def test_large_ids_in_a_list_are_not_rounded(who: int, more: list[Any]) -> None:
    kind = "uint64" if who > 2**63 else "int64"
    events = pd.DataFrame({"customer_id": np.array([who], kind), "status": "opt-out", "timestamp": "2024-01-01"})
    ledger = ConsentLedger(events, regime="opt_out", do_not_contact=[who - 1, *(more if more != ["x"] else [])])
    asked = [who, who - 1, who - 2, *more]
    found = ledger.reasons(asked, "email", "news", "2024-05-01").tolist()
    assert found[:3] == ["opted_out", "do_not_contact", "not_opted_out"]
    assert ledger.table(asked, "email", "news", "2024-05-01")["customer_id"].tolist()[:3] == asked[:3]
