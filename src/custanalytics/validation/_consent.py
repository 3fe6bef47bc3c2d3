"""Who may be contacted: consent by channel and purpose, as of a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import date
from typing import Any, ClassVar, Self

import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, TIMESTAMP
from custanalytics._params import NONE, InstanceOf, OneOf, Rule, check_value
from custanalytics.validation._consent_clock import clock_of
from custanalytics.validation._consent_events import (
    REGIMES,
    as_frame,
    code_of,
    listed,
    name_codes,
    read_events,
    regimes,
    several,
)
from custanalytics.validation._consent_state import state_of
from custanalytics.validation._consent_words import OWNER, spelt
from custanalytics.validation._customer_ids import (
    CHANNEL,
    EXPIRES,
    PURPOSE,
    STATUS,
    check_kinds,
    positions,
    read_named,
)
from custanalytics.validation._merge_map import final_survivors, groups
from custanalytics.validation._values import distinct

_COLUMNS = (CUSTOMER_ID, CHANNEL, PURPOSE, STATUS, TIMESTAMP, EXPIRES)
_REASONS = ("missing_id", "do_not_contact", "opted_out", "granted", "not_opted_out", "expired", "no_consent")


class ConsentLedger:
    """The consents and objections of customers as events, and the decision who may be contacted as of a date.

    A decision is never stored: it is made of the events for one channel, one purpose and one date, so that last year's
    campaign can be judged by what was known then. Where the events leave a doubt, the answer is no.

    It applies rules to records. Which purposes need consent at all, and how long one lasts, are matters of law and of
    the texts that the customers were shown; they come in through `regime` and the column expires.

    Parameters
    ----------
    events : frame
        One row for each statement of a customer: customer_id, status and timestamp; channel, purpose and expires if
        there are. Times may be ISO 8601 texts. Other columns (such as the source) are ignored. A channel or purpose of
        "*" or "all" stands for every one, as does a ledger without that column, or an opt-out that names none.
    columns : mapping, default=None
        Standard names to yours.
    regime : {"opt_in", "opt_out"} or mapping, default="opt_in"
        What holds for a customer without a statement. "opt_in": no contact without a grant in force. "opt_out": contact
        unless there is an opt-out, where a legitimate interest allows that. A mapping gives one regime for a purpose,
        or for a (channel, purpose); all that it does not name, by "*" neither, are "opt_in".
    do_not_contact : frame, sequence of ids or None, default=None
        Customers who may not be contacted by any channel for any purpose at any date.
    statuses : mapping, default=None
        Your words to "granted", "withdrawn", "lapsed" (the grant has run out) or "pending" (no statement yet). The
        usual words, such as "opt-in", "unsubscribed" or True, are known.
    channels, purposes : sequence of str, default=None
        Names that may be asked for although no event has them yet.
    reconsent : {"same_scope", "narrower"}, default="same_scope"
        What lifts an opt-out: a later grant of exactly the same scope, or also one of a narrower scope.

    Attributes
    ----------
    channels_, purposes_ : tuple of str
        The names that may be asked for.
    n_events_ : int
        How many events there are.

    Raises
    ------
    InvalidDataError
        If an event has no customer, no time or a status of unknown meaning, or a grant, or the end of one, names no
        channel or purpose.

    See Also
    --------
    CustomerValidator : Who can be reached by a channel; this one says who may be.
    IdentityResolver : Finds the merge map.

    Notes
    -----
    The *scope* of an event is its channel and its purpose, either of which may be all. For a question (channel,
    purpose, `as_of`), the events up to `as_of` count whose scope covers it: at most four scopes. A name is compared
    without case and surrounding white space, in whatever form of Unicode. An `as_of` that is a date stands for the
    whole day. Times with a zone are compared as instants, also in the hour that clocks show twice; times without one
    are read on the ledger's clock.

    1. Whoever is in `do_not_contact` may not be contacted.
    2. In each scope apart, the last grant is in force if it has not expired: `expires`, if given, is after `as_of`.
       Of grants at the same time, the one that expires first counts. An opt-out has no expiry.
    3. An opt-out holds unless a grant of the same scope is in force that is **strictly later**. One open opt-out in any
       of the covering scopes means no: a global opt-out beats every consent by channel, however late, and a global
       consent does not lift the opt-out from one channel. With ``reconsent="narrower"``, an explicit later grant of a
       narrower scope lifts the opt-out too, for that narrower scope alone.
    4. Without an opt-out, a grant in force means yes. Without either, `regime` decides.

    `merged` adds up people, not events: what one of the duplicates has refused, the person has. To lift it, record the
    new grant under the id that opted out.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import ConsentLedger
    >>> events = pd.DataFrame({
    ...     "customer_id": ["ann", "ann", "bob", "bob", "cyd"],
    ...     "channel": ["email", "sms", "email", "*", "email"],
    ...     "purpose": "marketing",
    ...     "status": ["opt-in", "opt-in", "opt-in", "opt-out", "opt-in"],
    ...     "timestamp": pd.to_datetime(["2024-01-05", "2024-01-05", "2024-01-07", "2024-03-01", "2024-02-02"]),
    ...     "expires": pd.to_datetime([None, "2024-06-30", None, None, None]),
    ... })
    >>> ledger = ConsentLedger(events, do_not_contact=["cyd"])
    >>> ledger.allowed(["ann", "bob", "cyd", "dan"], "email", "marketing", "2024-02-29").tolist()
    [True, True, False, False]
    >>> ledger.reasons(["ann", "bob", "cyd", "dan"], "email", "marketing", "2024-07-01").tolist()
    ['granted', 'opted_out', 'do_not_contact', 'no_consent']
    >>> ledger.table(pd.DataFrame({"customer_id": ["ann", "bob"]}), ["email", "sms"], "marketing", "2024-07-01")
      customer_id  email_marketing  sms_marketing
    0         ann             True          False
    1         bob            False          False
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        "regime": (OneOf(REGIMES), InstanceOf((Mapping,))),
        "statuses": (InstanceOf((Mapping,)), NONE),
        "channels": (InstanceOf((list, tuple, set, frozenset)), NONE),
        "purposes": (InstanceOf((list, tuple, set, frozenset)), NONE),
        "reconsent": (OneOf(("same_scope", "narrower")),),
    }

    def __init__(
        self,
        events: Any,
        *,
        columns: Mapping[str, str] | None = None,
        regime: str | Mapping[Any, str] = "opt_in",
        do_not_contact: Any = None,
        statuses: Mapping[Any, str] | None = None,
        channels: Sequence[str] | None = None,
        purposes: Sequence[str] | None = None,
        reconsent: str = "same_scope",
    ) -> None:
        given = {"columns": columns, "regime": regime, "statuses": statuses, "channels": channels}
        for name, value in {**given, "purposes": purposes, "reconsent": reconsent}.items():
            check_value(name, value, self._rules[name], OWNER)
        frame = read_named(events, columns, _COLUMNS, (CUSTOMER_ID, STATUS, TIMESTAMP), OWNER)
        self._clock = clock_of(frame[TIMESTAMP])
        self._regime, regime_purposes = regimes(regime)
        self._narrower = reconsent == "narrower"
        self.n_events_ = len(frame)
        self._ids, self._events, named = read_events(frame, statuses, self._clock)
        self._channel_codes = name_codes(named[0], channels, ())
        self._purpose_codes = name_codes(named[1], purposes, regime_purposes)
        self.channels_, self.purposes_ = tuple(self._channel_codes), tuple(self._purpose_codes)
        barred = listed(do_not_contact)
        check_kinds(self._ids, barred, OWNER + "(do_not_contact=...)", "the ledger")
        self._ids = list(dict.fromkeys([*self._ids, *barred]))
        place = {value: at for at, value in enumerate(self._ids)}
        self._barred = np.fromiter(map(place.__getitem__, barred), np.int64, len(barred))
        self._person = np.arange(len(self._ids))

    def __repr__(self) -> str:
        return (
            f"ConsentLedger({self.n_events_:,} events, channels={list(self.channels_)}, "
            f"purposes={list(self.purposes_)}, {len(self._barred):,} not to be contacted)"
        )

    def allowed(self, customers: Any, channel: str, purpose: str, as_of: str | date) -> np.ndarray:
        """Whether each customer may be contacted.

        Parameters
        ----------
        customers : frame or sequence of ids
            A frame with customer_id, or the ids. The same customer may come more than once.
        channel, purpose : str
            By what, and what for.
        as_of : str, date, datetime or numpy.datetime64
            Events up to then count; a date stands for the whole day.

        Returns
        -------
        ndarray of bool of shape (n_customers,)
            False where the id is missing.

        Raises
        ------
        ValueError
            If no event and no parameter names the channel or the purpose.
        InvalidDataError
            If the ids are text and those of the ledger are not, or the other way round.
        """
        return self._decide(self._find(customers), channel, purpose, as_of)[0]

    def reasons(self, customers: Any, channel: str, purpose: str, as_of: str | date) -> np.ndarray:
        """Why each customer may or may not be contacted.

        Parameters
        ----------
        customers, channel, purpose, as_of
            As in `allowed`.

        Returns
        -------
        ndarray of str objects of shape (n_customers,)
            "granted" or "not_opted_out" (regime "opt_out") where allowed; else "opted_out", "do_not_contact",
            "expired", "no_consent" or "missing_id".
        """
        return self._decide(self._find(customers), channel, purpose, as_of)[1]

    def table(
        self, customers: Any, channels: str | Sequence[str], purposes: str | Sequence[str], as_of: str | date
    ) -> Any:
        """The decisions for several channels and purposes, as columns added to a table.

        Parameters
        ----------
        customers : frame or sequence of ids
            A frame with customer_id, or the ids.
        channels, purposes : str or sequence of str
            Every channel is combined with every purpose.
        as_of : str, date, datetime or numpy.datetime64
            As in `allowed`.

        Returns
        -------
        frame
            Of the kind that came in (pandas for a sequence), with a boolean column ``<channel>_<purpose>`` for each
            pair.
        """
        frame = as_frame(customers)
        asked = [(channel, purpose) for channel in several(channels) for purpose in several(purposes)]
        found = self.eligibility(customers, asked, as_of)
        added = {f"{channel}_{purpose}": found[:, at] for at, (channel, purpose) in enumerate(asked)}
        return _frames.extend(frame, added).to_native()

    def eligibility(self, customers: Any, scopes: Sequence[tuple[str, str]], as_of: str | date) -> np.ndarray:
        """The decisions as the mask that `NextBestOffer.recommend` takes: one column for each offer.

        Parameters
        ----------
        customers : frame or sequence of ids
            Those who are to get offers, in their order.
        scopes : sequence of (channel, purpose)
            How each offer would be made, in the order of `offers_`. Pairs may repeat.
        as_of : str, date, datetime or numpy.datetime64
            As in `allowed`.

        Returns
        -------
        ndarray of bool of shape (n_customers, n_scopes)
        """
        if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in scopes):
            raise ValueError(
                f"The 'scopes' argument of {OWNER} must be a sequence of (channel, purpose). Got {scopes!r} instead."
            )
        at = self._find(customers)
        known = {(by, why): self._decide(at, by, why, as_of)[0] for by, why in scopes}
        found = np.empty((at.size, len(scopes)), np.bool_)
        for column, pair in enumerate(scopes):
            found[:, column] = known[pair[0], pair[1]]
        return found

    def merged(self, merge_map: Any) -> Self:
        """The ledger of people, where several ids are one person.

        An opt-out under one of the ids holds for the person, as does an entry of `do_not_contact`. The person may be
        asked for by any of the ids.

        Parameters
        ----------
        merge_map : frame or mapping
            As in `apply_merge_map`.

        Returns
        -------
        ConsentLedger
            A new one; this one stays as it is.
        """
        survivors = final_survivors(merge_map, "ConsentLedger.merged")
        check_kinds(self._ids, list(survivors), "ConsentLedger.merged", "the ledger")
        result = copy(self)
        result._ids = list(dict.fromkeys([*self._ids, *survivors, *survivors.values()]))
        place = {value: at for at, value in enumerate(result._ids)}
        left = np.array([*range(len(self._ids)), *map(place.__getitem__, survivors)], np.int64)
        right = np.array([*self._person.tolist(), *map(place.__getitem__, survivors.values())], np.int64)
        group = groups(len(result._ids), left, right)[1]
        result._person = np.unique(group, return_index=True)[1][group]  # the first of their ids stands for them
        return result

    def _find(self, customers: Any) -> np.ndarray:
        """Positions among the ids of the ledger; -1 is unknown and -2 missing."""
        series = as_frame(customers)[CUSTOMER_ID]
        at = positions(self._ids, series, OWNER, "the ledger")
        return np.where((at < 0) & (distinct(series)[0] < 0), -2, at)

    def _decide(self, at: np.ndarray, channel: str, purpose: str, as_of: Any) -> tuple[np.ndarray, np.ndarray]:
        by, why = code_of(self._channel_codes, channel, CHANNEL), code_of(self._purpose_codes, purpose, PURPOSE)
        state = state_of(self._events, len(self._ids), by, why, self._clock.now(as_of), narrower=self._narrower)
        out, granted, expired = (self._of_people(each)[at] for each in (state.out, state.granted, state.expired))
        barred = np.zeros(len(self._ids), np.bool_)
        barred[self._barred] = True
        free = np.full(at.size, self._free(spelt(channel), spelt(purpose)))
        tests = (at == -2, self._of_people(barred)[at], out, granted, free, expired)
        which = np.select(tests, range(len(tests)), len(tests))
        return (which == 3) | (which == 4), np.array(_REASONS, object)[which]

    def _of_people(self, of_ids: np.ndarray) -> np.ndarray:
        """What holds for any id of a person holds for all of them; the last two places serve unknown ids."""
        found = np.zeros(len(self._ids), np.bool_)
        found[self._person[of_ids]] = True
        return np.append(found[self._person], [False, False])

    def _free(self, channel: str, purpose: str) -> bool:
        return self._regime.get((channel, purpose), self._regime.get(purpose, self._regime[None])) == "opt_out"
