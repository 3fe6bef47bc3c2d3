"""How many scores there are and where their cuts come from: the parameters of RFMScorer, checked and resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import fsum
from numbers import Real
from typing import Any

import numpy as np

from custanalytics._params import Number, integer
from custanalytics.rfm._cuts import Scale

SCORES = ("r_score", "f_score", "m_score")
N_BINS = integer(2, 100)
SHARE = Number(0, 1, closed="neither")
_ROUNDING = 1e-12  # far above what rounding leaves of a sum of shares
WEIGHT = Number(0, np.finfo(np.float64).max)


@dataclass(frozen=True)
class ThreeOf:
    """Three numbers, for recency, frequency and money."""

    rule: Number

    def accepts(self, value: Any) -> bool:
        """Whether the value is a sequence of three that each keep the rule."""
        return isinstance(value, tuple | list) and len(value) == 3 and all(map(self.rule.accepts, value))

    def __str__(self) -> str:
        return f"a sequence of three, for recency, frequency and money, each {self.rule}"


def scales(
    n_bins: int | Sequence[int],
    cut_points: Mapping[str, Sequence[float]] | None,
    shares: Mapping[str, Sequence[float]] | None,
    zero_apart: Sequence[str],
) -> dict[str, Scale]:
    """The three scales, where recency is negated so that larger is better; a ValueError where they clash."""
    cut_points, shares = cut_points or {}, shares or {}
    for parameter, names in (("cut_points", cut_points), ("shares", shares), ("zero_apart", zero_apart)):
        unknown = [name for name in names if name not in SCORES]
        if unknown or (parameter == "zero_apart" and SCORES[0] in names):
            allowed = SCORES[1:] if parameter == "zero_apart" else SCORES
            raise _refused(parameter, f"name scores among {list(allowed)}", list(names))
    twice = [name for name in cut_points if name in shares or name in zero_apart]
    if twice:
        raise _refused(
            "cut_points", f"leave out {twice}, whose cuts 'shares' or 'zero_apart' ask for", dict(cut_points)
        )
    counts = [n_bins] * 3 if isinstance(n_bins, int | np.integer) else list(n_bins)
    return {
        name: _scale(name, int(count), cut_points.get(name), shares.get(name), name in zero_apart)
        for name, count in zip(SCORES, counts, strict=True)
    }


def _scale(name: str, n_bins: int, given: Any, shares: Any, zero_apart: bool) -> Scale:
    if given is not None:
        cuts = _fixed(name, given)
        return Scale(cuts.size + 1, (), False, cuts)
    if shares is None:
        parts = n_bins - zero_apart
        marks = tuple(Fraction(k, parts) for k in range(1, parts))
    else:
        marks = _marks(name, shares)
    return Scale(len(marks) + 1 + zero_apart, marks, zero_apart, None)


def _fixed(name: str, given: Any) -> np.ndarray:
    """Cut points of a caller, in the order of the scores."""
    numbers = _list(given)
    if not 1 <= len(numbers) <= 99 or not all(_is_number(cut) for cut in numbers):
        raise _refused("cut_points", f"give {name} 1 to 99 finite numbers, one fewer than scores", given)
    cuts = np.array(numbers, np.float64)
    steps = np.diff(cuts)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        raise _refused("cut_points", f"give {name} cuts that rise or fall throughout", given)
    return np.sort(-cuts if name == SCORES[0] else cuts)


def _marks(name: str, given: Any) -> tuple[Fraction, ...]:
    """Shares of customers from the worst score to the best, added up."""
    numbers = _list(given)
    valid = 2 <= len(numbers) <= 99 and all(SHARE.accepts(share) for share in numbers)
    if not valid or abs(fsum(numbers) - 1) > _ROUNDING:
        raise _refused("shares", f"give {name} 2 to 99 positive shares that sum to 1, the worst score's first", given)
    return tuple(_meant(min(fsum(numbers[:k]), 1.0)) for k in range(1, len(numbers)))


def _meant(share: float) -> Fraction:
    """The simple fraction that a float was meant to be, 1/3 of 0.333..., or the float itself where there is none."""
    simple = Fraction(share).limit_denominator(10**6)
    return simple if 0 < simple < 1 and abs(simple - Fraction(share)) <= _ROUNDING else Fraction(share)


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str | Mapping) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and bool(np.isfinite(float(value)))


def _refused(parameter: str, wanted: str, got: Any) -> ValueError:
    return ValueError(f"The {parameter!r} parameter of RFMScorer must {wanted}. Got {got!r} instead.")
