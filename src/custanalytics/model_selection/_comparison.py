"""ModelComparison: which model forecast best, by how much, and where each was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics.model_selection._scoring import MEASURED

_FIGURES = {
    "log_score": "{:.4f}",
    "crps": "{:.4f}",
    "mae": "{:.4f}",
    "rmse": "{:.4f}",
    "gini": "{:.3f}",
    "predicted_to_actual": "{:.3f}",
    "difference": "{:.4f}",
    "standard_error": "{:.4f}",
}
_SCORES = tuple(_FIGURES)[:6]


@dataclass(frozen=True)
class ModelComparison:
    """Forecasts of several models, held against what came.

    Made by `compare_models`. Print it to read the ranking.

    Parameters
    ----------
    scores : frame
        One row per origin and model: ``origin``, ``model``, ``n_customers``, ``horizon`` (in the unit of the table),
        ``log_score``, ``crps``, ``mae``, ``rmse``, ``gini``, ``predicted`` and ``actual`` (purchases of all customers),
        and ``predicted_to_actual``.
    by_group : frame
        One row per origin, model and number of purchases before the holdout: ``origin``, ``model``, ``frequency``
        (the last one with all above), ``label``, ``n_customers``, ``expected`` and ``actual`` (means per customer), and
        ``standard_error`` of ``actual - expected``.
    ranking : frame
        One row per model, the best first: ``model``, the scores over all origins, and ``difference`` to the first in
        the score named by `ranked_by`, as in `differences`, with its ``standard_error``.
    differences : frame
        One row per score, model and model before it in the ranking: ``score``, ``model``, ``better``, ``difference``
        (by how much the score of `model` is worse, in its own unit) and ``standard_error``.
    ranked_by : str
        The score that ranks.
    notes : dict of str to tuple of str
        For each model of which something is missing, why.

    See Also
    --------
    compare_models : Makes it.

    Notes
    -----
    Differences are means over pairs of forecasts for the same customer and origin. Their standard errors are over
    customers; the origins of a customer are taken together, as they are not independent. A difference of less than two
    standard errors is no reason to prefer a model.

    Examples
    --------
    >>> from custanalytics.clv import BetaGeoModel
    >>> from custanalytics.model_selection import compare_models
    >>> table = {"frequency": [0, 2, 5], "recency": [0.0, 20.0, 30.0], "T": [30.0, 35.0, 38.0]}
    >>> model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> found = compare_models({"BG/NBD": model}, table, [0, 1, 4], horizon=39, refit=False, ranked_by="mae")
    >>> found.ranking[["model", "mae", "predicted_to_actual"]].round(2)
           model   mae  predicted_to_actual
    0     BG/NBD  0.50                 0.83
    1  past rate  0.79                 1.47
    """

    scores: Any
    by_group: Any
    ranking: Any
    differences: Any
    ranked_by: str
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """Name of the model that ranks first."""
        return str(_frames.read(self.ranking)["model"].to_list()[0])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists, dicts, numbers and text.

        Returns
        -------
        content : dict
            The frames as dicts of lists, one per column; what is missing is None.
        """
        content: dict[str, Any] = {
            name: {column: _plain(values) for column, values in _columns(getattr(self, name)).items()}
            for name in ("scores", "by_group", "ranking", "differences")
        }
        notes = {name: list(reasons) for name, reasons in self.notes.items()}
        return {**content, "ranked_by": self.ranked_by, "best": self.best, "notes": notes}

    def __str__(self) -> str:
        head, rows = self._words()
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [self._title()]
        for row in (head, *rows):
            words = (
                word.rjust(width) if at else word.ljust(width)
                for at, (word, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join(words).rstrip())
        lines += [f"{name}: {reason}" for name, reasons in self.notes.items() for reason in reasons]
        return "\n".join(lines)

    def __repr__(self) -> str:
        columns = _columns(self.scores)
        return (
            f"ModelComparison({len(set(columns['model']))} models, {len(set(columns['origin']))} origins, "
            f"best by {self.ranked_by}: {self.best!r})"
        )

    def _repr_html_(self) -> str:
        head, rows = self._words()
        top = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(
            f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{word}</td>' for word in row[1:])}</tr>" for row in rows
        )
        notes = "".join(
            f"<li>{escape(name)}: {escape(reason)}</li>" for name, reasons in self.notes.items() for reason in reasons
        )
        table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p>{escape(self._title())}</p>{table}" + (f"<ul>{notes}</ul>" if notes else "")

    def _title(self) -> str:
        columns = _columns(self.scores)
        pairs = list(dict.fromkeys(zip(columns["origin"], columns["n_customers"], columns["horizon"], strict=True)))
        sizes, horizons = {n for _, n, _ in pairs}, {f"{horizon:g}" for _, _, horizon in pairs}
        many = f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,} to {max(sizes):,}"
        origins = "one origin" if len(pairs) == 1 else f"{len(pairs)} origins"
        return f"Forecasts of purchases: {origins}, {many} customers, horizon {' or '.join(sorted(horizons))}"

    def _words(self) -> tuple[list[str], list[list[str]]]:
        columns = _columns(self.ranking)
        shown = dict(_FIGURES) if self.ranked_by in MEASURED else {name: _FIGURES[name] for name in _SCORES}
        worse = f"{MEASURED.get(self.ranked_by, '').replace('_', ' ')} worse by"
        heads = {"predicted_to_actual": "predicted/actual", "difference": worse, "standard_error": "± s.e."}
        rows = [
            [name, *(_word(columns[score][at], form) for score, form in shown.items())]
            for at, name in enumerate(columns["model"])
        ]
        return ["model", *(heads.get(name, name) for name in shown)], rows


def _columns(frame: Any) -> dict[str, list[Any]]:
    return {name: series.to_list() for name, series in _frames.read(frame).to_dict(as_series=True).items()}


def _plain(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and not np.isfinite(value) else value for value in values]


def _word(value: Any, form: str) -> str:
    return "–" if value is None or value != value else form.format(value)
