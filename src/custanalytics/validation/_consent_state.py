"""What the events of a ledger come to for one channel, one purpose and one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics.validation._consent_words import EVERY, GRANTED, MEANINGS, WITHDRAWN

NEVER = np.iinfo(np.int64).min
FOREVER = np.iinfo(np.int64).max
_SCOPES = 4  # which of channel and purpose an event names: neither, the purpose, the channel, both


@dataclass(frozen=True)
class Events:
    """The events of a ledger, each array of shape (n_events,); times are microseconds on the ledger's clock.

    `meanings` are positions in MEANINGS (grants and withdrawals alone), `ids` positions among the ids of the ledger.
    """

    ids: np.ndarray
    channels: np.ndarray
    purposes: np.ndarray
    meanings: np.ndarray
    times: np.ndarray
    expires: np.ndarray


@dataclass(frozen=True)
class State:
    """Of each id: has it opted out, has it a grant in force, had it one that has run out; boolean (n_ids,)."""

    out: np.ndarray
    granted: np.ndarray
    expired: np.ndarray


def state_of(events: Events, n_ids: int, channel: int, purpose: int, now: int, *, narrower: bool) -> State:
    """The state of every id. The result does not depend on the order of the events."""
    counts = events.times <= now
    counts &= (events.channels == EVERY) | (events.channels == channel)
    counts &= (events.purposes == EVERY) | (events.purposes == purpose)
    rows = np.flatnonzero(counts)
    scope = 2 * (events.channels[rows] != EVERY) + (events.purposes[rows] != EVERY)
    slot, when, meaning = events.ids[rows] * _SCOPES + scope, events.times[rows], events.meanings[rows]
    size = n_ids * _SCOPES
    out, grant, ends = np.full(size, NEVER), np.full(size, NEVER), np.full(size, FOREVER)
    is_out, is_grant = meaning == MEANINGS.index(WITHDRAWN), meaning == MEANINGS.index(GRANTED)
    np.maximum.at(out, slot[is_out], when[is_out])
    np.maximum.at(grant, slot[is_grant], when[is_grant])
    last = is_grant & (when == grant[slot])
    np.minimum.at(ends, slot[last], events.expires[rows][last])
    live = np.where((grant > NEVER) & (ends > now), grant, NEVER).reshape(n_ids, _SCOPES)
    outs = out.reshape(n_ids, _SCOPES)
    opted_out = np.zeros(n_ids, np.bool_)
    for each in range(_SCOPES):
        lifting = [other for other in range(_SCOPES) if other == each or (narrower and other & each == each)]
        opted_out |= (outs[:, each] > NEVER) & (live[:, lifting].max(axis=1) <= outs[:, each])
    had = (grant > NEVER).reshape(n_ids, _SCOPES).any(axis=1)
    granted = (live > outs).any(axis=1) & ~opted_out
    return State(opted_out, granted, had & (live == NEVER).all(axis=1))
