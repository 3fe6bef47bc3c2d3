"""Segment tables in wide use, with where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from custanalytics._columns import TOTAL_VALUE


@dataclass(frozen=True)
class Preset:
    """Segment to codes, as `RuleTable` reads them, the scores they are for, and where they come from."""

    rules: Mapping[str, tuple[str, ...]]
    n_bins: tuple[int, ...]
    scores: tuple[str, ...]
    scoring: Mapping[str, Any]
    source: str


_ELEVEN = {
    "Champions": "555 554 544 545 454 455 445",
    "Loyal": "543 444 435 355 354 345 344 335",
    "Potential Loyalist": "553 551 552 541 542 533 532 531 452 451 442 441 431 453 433 432 423 353 352 351 342 341 "
    "333 323",
    "New": "512 511 422 421 412 411 311",
    "Promising": "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313",
    "Need Attention": "535 534 443 434 343 334 325 324",
    "About To Sleep": "331 321 312 221 213 231 241 251",
    "At Risk": "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124",
    "Cannot Lose": "155 154 144 214 215 115 114 113",
    "Hibernating": "332 322 233 232 223 222 132 123 122 212 211",
    "Lost": "111 112 121 131 141 151",
}

_TEN = {
    "hibernating": "[1-2][1-2]",
    "at_risk": "[1-2][3-4]",
    "cant_loose": "[1-2]5",
    "about_to_sleep": "3[1-2]",
    "need_attention": "33",
    "loyal": "[3-4][4-5]",
    "promising": "41",
    "new": "51",
    "potential_loyalists": "[4-5][2-3]",
    "champions": "5[4-5]",
}

_VALUE = ("low", "medium", "high")  # as the scores rise
_USAGE = ("zero", "light", "medium", "heavy")
_TIERS = {
    f"{value} value, {usage} usage": f"{m}{f}"
    for m, value in reversed(list(enumerate(_VALUE, 1)))
    for f, usage in reversed(list(enumerate(_USAGE, 1)))
}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "eleven-segments": Preset(
            {name: tuple(codes.split()) for name, codes in _ELEVEN.items()},
            (5, 5, 5),
            ("r_score", "f_score", "m_score"),
            {"n_bins": 5},
            "The list of 125 codes for eleven segments that circulates among marketing practitioners, here in its "
            "complete form: copies in use lack 231, 241 and 251, or run two codes together.",
        ),
        "ten-segments": Preset(
            {name: tuple(codes.split()) for name, codes in _TEN.items()},
            (5, 5),
            ("r_score", "f_score"),
            {"n_bins": 5},
            "The recency × frequency map of ten segments that most public Python scripts copy, with its own "
            "spelling of the names.",
        ),
        "value-usage": Preset(
            {name: (codes,) for name, codes in _TIERS.items()},
            (3, 4),
            ("m_score", "f_score"),
            {
                "monetary": TOTAL_VALUE,
                "shares": {"m_score": (0.5, 0.3, 0.2), "f_score": (0.5, 0.3, 0.2)},
                "zero_apart": ("f_score",),
            },
            "Tiers of account planning: heavy, medium and light users are the first 20, next 30 and last 50 % of those "
            "who came back, users of zero are apart; crossed with value tiers of the same shares.",
        ),
    }
)
