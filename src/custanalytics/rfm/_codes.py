"""Codes of score cells, as text, as a mapping of scores, and in small tables and TOML files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from custanalytics.exceptions import RuleTableError

SCORES = ("r_score", "f_score", "m_score")
KEYS = ("segments", "n_bins", "scores", "source")
_DIGITS = 3  # of the largest score, 100
_TOKEN = re.compile(r"\d|\*|\[\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\]")


def each(codes: Any) -> list[Any]:
    """The codes of one segment as a list, whether or not one was given alone."""
    return list(codes) if isinstance(codes, Iterable) and not isinstance(codes, str | Mapping) else [codes]


def codes_of(segment: str, given: Any, scores: Sequence[str]) -> tuple[str, ...]:
    """The codes of one segment as text, whatever they were given as."""
    return tuple(_text(segment, code, scores) for code in each(given))


def names_for(rules: Mapping[str, Any], n_scores: int | None, scores: Any) -> tuple[str, ...]:
    """Columns that the parts of a code stand for: those given, or the first two or three of the usual ones."""
    if scores is not None:
        names = tuple(scores) if isinstance(scores, tuple | list) else ()
        if len(set(names)) not in (2, 3) or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
            raise ValueError(
                f"The 'scores' parameter of RuleTable must be 2 or 3 column names. Got {scores!r} instead."
            )
        return names
    if n_scores is not None:
        return SCORES[:2] if n_scores == 2 else SCORES
    codes = [code for given in rules.values() for code in each(given)]
    text = [len(_TOKEN.findall(code)) for code in codes if isinstance(code, str)]
    money = any(isinstance(code, Mapping) and ("m" in code or SCORES[2] in code) for code in codes)
    return SCORES if 3 in text or money or len(text) == len(codes) else SCORES[:2]


def parse(segment: str, code: Any) -> list[set[int]]:
    """The scores that each part of a code admits; an empty set stands for all."""
    tokens = _TOKEN.findall(code) if isinstance(code, str) else []
    if not tokens or "".join(tokens) != code:
        raise RuleTableError(
            f"Cannot read the code {code!r} of {segment!r}. A code has a digit, a bracket such as [4-5] or [1,3], "
            "or * for each score: '555', '[4-5]1*'."
        )
    parts = []
    for token in tokens:
        spans = [span.split("-") for span in token.strip("[]*").split(",") if span]
        if any(len(end) > _DIGITS for span in spans for end in span):
            raise RuleTableError(f"The code {code!r} of {segment!r} has a score beyond all: they end at 100.")
        part = {score for span in spans for score in range(int(span[0]), int(span[-1]) + 1)}
        if token != "*" and any(int(span[0]) > int(span[-1]) for span in spans):
            raise RuleTableError(f"The range {token} in the code {code!r} of {segment!r} is empty.")
        parts.append(part)
    return parts


def code_of(cell: Iterable[int]) -> str:
    """The code of one cell."""
    return "".join(str(score) if score < 10 else f"[{score}]" for score in cell)


def _text(segment: str, code: Any, scores: Sequence[str]) -> Any:
    if not isinstance(code, Mapping):
        return code
    unknown = [key for key in code if key not in scores and key not in [score[:1] for score in scores]]
    if unknown:
        raise RuleTableError(
            f"Cannot read {dict(code)!r} of {segment!r}: {unknown} are none of the scores {list(scores)}, "
            f"or {[score[:1] for score in scores]} for short."
        )
    named = {next(score for score in scores if key in (score, score[:1])): part for key, part in code.items()}
    if len(named) < len(code):
        raise RuleTableError(f"Cannot read {dict(code)!r} of {segment!r}: it names a score twice.")
    return "".join(_part(segment, named.get(score, "*")) for score in scores)


def _part(segment: str, part: Any) -> str:
    """One score of a mapping as part of a code: 5, "4-5", [1, 3] or "*"."""
    if part == "*":
        return "*"
    inner = ",".join(map(str, part)) if isinstance(part, list | tuple) else str(part)
    token = f"[{inner.replace(' ', '')}]"
    if isinstance(part, bool) or not _TOKEN.fullmatch(token):
        raise RuleTableError(f"Cannot read the scores {part!r} of {segment!r}: write 5, '4-5', [1, 3] or '*'.")
    return token


def read_text(text: str) -> dict[str, tuple[str, ...]]:
    """A small table: one segment a line, its name, a colon and its codes; # starts a comment."""
    rules: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        name, colon, codes = (part.strip() for part in content.rpartition(":"))
        if not colon or not name or name in rules:
            raise RuleTableError(
                f"Cannot read line {number} of the rules, {line.strip()!r}: "
                + ("the segment is there twice." if name in rules else "write 'segment: code code ...'.")
            )
        rules[name] = tuple(codes.split())
    return rules


def read_toml(source: str | PathLike[str]) -> dict[str, Any]:
    """The content of a TOML file, or of TOML text."""
    is_path = not isinstance(source, str) or (source.endswith(".toml") and "\n" not in source)
    text = Path(source).read_text(encoding="utf-8") if is_path else str(source)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleTableError(f"The rules are no TOML: {error}.") from error


def write_toml(content: Mapping[str, Any]) -> str:
    """TOML text of what `RuleTable.to_dict` gives."""
    lines = [f"{key} = {_value(content[key])}" for key in KEYS[1:] if content.get(key)]
    rows = [f"{_value(name)} = {_value(codes)}" for name, codes in content["segments"].items()]
    return "\n".join([*lines, "", "[segments]", *rows, ""])


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
