"""Limits of the models, in words: what a fit means whose parameters run to the boundary."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

LARGE, SMALL = 100.0, 1e-3  # what stands for infinity and for 0 where the data do not determine it
FAST = 10.0  # power of time by which hardly anybody is left after twice the time
STEEP = 5.0  # power of time from which on a hazard sets in at a certain age
HIDDEN = 1e-6  # of the log-likelihood, which is worth a word


class Limit(NamedTuple):
    """What it means when the parameters of these names, those with a unit in multiples of it, are in some region."""

    names: tuple[str, ...]
    holds: Callable[..., bool]
    words: str


Limits = tuple[tuple[Limit, ...], ...]  # for each part of a model those to choose from: the first that holds is told


def told(limits: Limits, scaled: Mapping[str, float], undetermined: Container[str], hidden: float) -> str:
    """What the limit means that a fit has run to, and how much of the log-likelihood may be hidden there."""
    found = (_first(part, scaled, undetermined) for part in limits)
    words = "; ".join(each for each in found if each)
    blur = f"Up to about {hidden:.0e} of it may be hidden there by rounding, or lie beyond the bounds of the search. "
    return (f"The limit there: {words}. " if words else "") + (blur if hidden > HIDDEN else "")


def _first(part: Iterable[Limit], scaled: Mapping[str, float], undetermined: Container[str]) -> str | None:
    for names, holds, words in part:
        if any(name in undetermined for name in names) and holds(*(scaled[name] for name in names)):
            return words
    return None


def of_chances(names: tuple[str, str], never: str, always: str, equal: str, split: str) -> tuple[Limit, ...]:
    """Limits of a beta distribution of chances over customers."""
    a, b = names
    return (
        Limit(names, lambda a, b: a < SMALL * b, f"{never} ({a} / {b} goes to 0)"),
        Limit(names, lambda a, b: b < SMALL * a, f"{always} ({b} / {a} goes to 0)"),
        Limit(names, lambda a, b: min(a, b) > LARGE, f"{equal} ({a} and {b} grow together)"),
        Limit(names, lambda a, b: max(a, b) < SMALL, f"{split} ({a} and {b} go to 0 together)"),
    )


def _left(s: float, beta: float, odds: float) -> float:
    """Share of the customers who have left once their odds of it, at a level of hazard of 1, are so high."""
    return -math.expm1(-s * math.log1p(odds / beta))


def _left_of_age(b: float, s: float, beta: float) -> float:
    return _left(s, beta, math.expm1(min(b, 700.0)))


PURCHASES = (
    Limit(
        ("r", "alpha"), lambda r, alpha: min(r, alpha) > LARGE, "all customers buy at the same rate (r and alpha grow)"
    ),
    Limit(("alpha",), lambda alpha: alpha < SMALL, "who buys again does so at once (alpha goes to 0)"),
    Limit(("r", "alpha"), lambda r, alpha: r < SMALL * alpha, "nobody buys again (r / alpha goes to 0)"),
    Limit(("r",), lambda r: r > LARGE, "all customers buy at the same rate (r and alpha grow)"),
)
DROPOUT = of_chances(
    ("a", "b"),
    "nobody drops out",
    "everybody drops out at the first chance",
    "all customers have the same chance of dropping out",
    "some customers drop out at the first chance and the others never",
)
LIFETIMES = (
    Limit(("s", "beta"), lambda s, beta: _left(s, beta, 1.0) < SMALL, "nobody drops out (s, or s / beta, goes to 0)"),
    Limit(("beta",), lambda beta: beta < SMALL, "who drops out does so at once (beta goes to 0)"),
    Limit(("s", "beta"), lambda s, beta: beta < SMALL * s, "everybody drops out at once (beta / s goes to 0)"),
    Limit(("s",), lambda s: s > LARGE, "all customers have the same hazard of dropping out (s and beta grow)"),
)
AGEING = (
    Limit(("b", "s", "beta"), lambda *of: _left_of_age(*of) < SMALL, "nobody drops out (s, or s / beta, goes to 0)"),
    Limit(
        ("b", "s", "beta"),
        lambda b, s, beta: beta < SMALL * b,
        "who drops out does so at once (beta goes to 0)",
    ),
    Limit(
        ("b", "beta"),
        lambda b, beta: min(b, beta) > LARGE,
        "nobody drops out before a certain age, log(beta) / b (b and beta grow)",
    ),
    Limit(("s",), lambda s: s > LARGE, "all customers have the same hazard of dropping out (s and beta grow)"),
    Limit(
        ("b",), lambda b: b < SMALL, "the hazard of dropping out does not grow: ParetoNBDModel says it (b goes to 0)"
    ),
)
OPPORTUNITIES = of_chances(
    ("alpha", "beta"),
    "nobody buys again",
    "everybody buys at every opportunity",
    "all customers buy with the same chance",
    "each customer buys at every opportunity or at none",
)
LOSSES = (
    "nobody leaves",
    "everybody leaves at the first opportunity",
    "all customers have the same chance of leaving",
    "some customers leave at the first opportunity and the others never",
)
CHURN = of_chances(("alpha", "beta"), *LOSSES)
LATE_CHURN = (
    Limit(
        ("alpha", "c"),
        lambda alpha, c: c > LARGE and alpha * c < FAST,
        "who stays at the first opportunity leaves by a power of time, -alpha * c (alpha goes to 0 and c grows)",
    ),
    Limit(
        ("beta", "c"),
        lambda beta, c: beta > LARGE and c > STEEP,
        "nobody leaves before a certain number of renewals, beta ** (1 / c) (beta and c grow)",
    ),
    *CHURN,
)
DEATHS = of_chances(("gamma", "delta"), *LOSSES)
CHANGES = (
    Limit(("c",), lambda c: c < SMALL, "who stays at the first opportunity to leave stays for ever (c goes to 0)"),
    Limit(
        ("alpha", "c"),
        lambda alpha, c: c > LARGE and alpha * c >= FAST,
        "who stays at the first opportunity leaves at the second (c grows)",
    ),
)
AMOUNTS = (Limit(("p",), lambda p: p > LARGE, "a customer always spends the same (p grows and v goes to 0)"),)
CUSTOMERS_SPEND = (Limit(("q",), lambda q: q > LARGE, "all customers spend the same on average (q and v grow)"),)
