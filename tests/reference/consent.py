"""Consent decided event by event, as the rules are written, for one customer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Event(NamedTuple):
    channel: str
    purpose: str
    status: str
    time: int
    expires: int | None


def decide(
    events: Sequence[Event], channel: str, purpose: str, now: int, *, regime: str, narrower: bool = False
) -> str:
    """ "granted", "not_opted_out", "opted_out", "expired" or "no_consent" for the events of one id."""
    covering = [
        event
        for event in events
        if event.time <= now and event.channel in ("*", channel) and event.purpose in ("*", purpose)
    ]
    scopes = {(event.channel, event.purpose) for event in covering}
    outs, live, ever = {}, {}, False
    for scope in scopes:
        of_scope = [event for event in covering if (event.channel, event.purpose) == scope]
        refused = [event.time for event in of_scope if event.status == "withdrawn"]
        granted = [event for event in of_scope if event.status == "granted"]
        if refused:
            outs[scope] = max(refused)
        if granted:
            ever = True
            latest = max(event.time for event in granted)
            ends = [event.expires for event in granted if event.time == latest and event.expires is not None]
            if not ends or min(ends) > now:
                live[scope] = latest
    for scope, when in outs.items():
        lifting = [
            at
            for other, at in live.items()
            if other == scope
            or (narrower and all(mine in ("*", theirs) for mine, theirs in zip(scope, other, strict=True)))
        ]
        if not any(at > when for at in lifting):
            return "opted_out"
    if any(at > outs.get(scope, at - 1) for scope, at in live.items()):
        return "granted"
    if regime == "opt_out":
        return "not_opted_out"
    return "expired" if ever and not live else "no_consent"
