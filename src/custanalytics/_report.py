"""What Customer360 shows: one self-contained HTML page, and a card for notebooks."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, UNIT_NAMES, T
from custanalytics._params import require_extra
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting import AliveDisplay, RFMDisplay, SegmentDisplay, TierDisplay

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; background: #f4f6f8; margin: 0; }
main { max-width: 1060px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 8px 0 0; } h2 { font-size: 18px; margin: 0 0 8px; }
section { background: #fff; border: 1px solid #dfe5ea; border-radius: 8px; padding: 18px 22px; margin: 18px 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0; }
.tile { background: #fff; border: 1px solid #dfe5ea; border-radius: 8px; padding: 12px 18px; flex: 1 1 128px; }
.tile b { display: block; font-size: 22px; } .tile span, .note { color: #5b6b7a; font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: right; color: #5b6b7a; font-weight: 600; border-bottom: 2px solid #dfe5ea; padding: 4px 8px; }
td { text-align: right; border-bottom: 1px solid #eef1f4; padding: 4px 8px; }
th.text, td.text { text-align: left; }
img { max-width: 100%; height: auto; display: block; margin: 8px auto; }
.wide { overflow-x: auto; }
"""
CARD_STYLE = "font: 13px system-ui, sans-serif; border: 1px solid #dfe5ea; border-radius: 8px; padding: 10px 14px;"
N_TOP = 20
TOP_COLUMNS = (
    "customer_id",
    "segment",
    "frequency",
    "inactivity",
    "total_value",
    "p_alive",
    "expected_purchases",
    "lifetime_value",
    "churn_risk",
    "offer_1",
    "offer_2",
    "offer_3",
)


def page(c360: Any, table: nw.DataFrame[Any]) -> str:
    """The whole page as text."""
    if len(table) == 0:
        raise InvalidDataError("The table has no customers, so there is nothing to report.")
    parts = [
        f"<h1>Customers as of {escape(str(c360.as_of_))}</h1>",
        '<p class="note">Made by custanalytics. Amounts are in the currency of the log.</p>',
        tiles(c360, table),
        *(section(title, *body) for title, body in sections(c360, table)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Customers as of {escape(str(c360.as_of_))}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def card(c360: Any) -> str:
    """A short summary for notebooks: the steps and, once fitted, what they found."""
    rows: dict[str, list[Any]] = {"step": [], "estimator": [], "state": []}
    for name, given in c360.get_params(deep=False).items():
        if given == "default" or given is None or hasattr(given, "fit"):
            fitted = getattr(c360, f"{name}_", None)
            kind = "default" if isinstance(given, str) else "off" if given is None else type(given).__name__
            rows["step"].append(name)
            rows["estimator"].append(type(fitted).__name__ if fitted is not None else kind)
            skipped = getattr(c360, "skipped_", {}).get(name)
            rows["state"].append(f"skipped: {skipped}" if skipped else "fitted" if fitted is not None else "")
    title = "Customer360" + (f", as of {c360.as_of_}" if hasattr(c360, "as_of_") else ", not fitted")
    return f'<div style="{CARD_STYLE}"><b>{escape(title)}</b>{html_table(rows)}</div>'


def sections(c360: Any, table: nw.DataFrame[Any]) -> Iterator[tuple[str, list[str]]]:
    """Titles and contents, in the order in which a manager asks."""
    have = set(table.columns)
    worth = "total_value" in have and bool(column(table, "total_value").sum() > 0)
    if {"segment", "total_value"} <= have:
        drawn = SegmentDisplay.from_table(table.to_native(), value="total_value" if worth else None)
        yield "Segments", [picture(drawn), html_table(segment_rows(table)), *out_of_reach(c360)]
    if {"r_score", "f_score"} <= have:
        yield "Recency and frequency", [picture(RFMDisplay.from_table(table.to_native()))]
    if hasattr(c360, "tiers_"):
        yield "Concentration of value", list(concentration(table, worth))
    if "p_alive" in have:
        yield "Who is still a customer", list(alive(c360, table))
    if "churn_risk" in have:
        yield "Churn", [churn_text(c360), html_table(churn_rows(table))]
    if hasattr(c360, "clusterer_"):
        profile = _frames.read(c360.clusterer_.profile_table())
        yield "Clusters", [html_table(profile.to_dict(as_series=False))]
    if "offer_1" in have:
        yield "Next best offers", [html_table(offer_rows(table))]
    if "lifetime_value" in have:
        yield f"The {min(N_TOP, len(table))} most valuable customers", [html_table(top_rows(table))]
    yield "The data behind this page", list(data(c360))


def concentration(table: nw.DataFrame[Any], worth: bool) -> Iterator[str]:
    """How the value is shared out, if there is any."""
    if worth:
        yield picture(TierDisplay.from_table(table.to_native()))
        yield "<p>How the value of the log so far is shared out among the customers, best first.</p>"
    else:
        yield "<p>Purchases less returns do not come to more than zero, so there are no shares of value.</p>"


def tiles(c360: Any, table: nw.DataFrame[Any]) -> str:
    """The few figures to see first."""
    found = {"customers": f"{len(table):,}"}
    if "total_value" in table.columns:
        found["value so far"] = money(float(column(table, "total_value").sum()))
    if "p_alive" in table.columns:
        found["expected to be active still"] = f"{column(table, 'p_alive').sum():,.0f}"
        horizon = f"{c360.value_.horizon:g} {UNIT_NAMES[c360.value_.time_unit]}"
        found[f"purchases expected in {horizon}"] = f"{column(table, 'expected_purchases').sum():,.0f}"
        found[f"discounted value of the next {horizon}"] = money(float(column(table, "lifetime_value").sum()))
    if "churn_risk" in table.columns:
        found[f"mean risk of {c360.churn_horizon:g} {unit_of_churn(c360)} without a purchase"] = percent(
            float(column(table, "churn_risk").mean())
        )
    cells = (f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in found.items())
    return f'<div class="tiles">{"".join(cells)}</div>'


def alive(c360: Any, table: nw.DataFrame[Any]) -> Iterator[str]:
    """The probability of being active, and the model behind it."""
    yield picture(AliveDisplay.from_predictions(column(table, "p_alive")))
    model = c360.value_.purchases_
    if hasattr(model, "params_") and hasattr(model, "log_likelihood_"):
        fitted = ", ".join(f"{name} = {value:.4g}" for name, value in model.params_.items())
        yield (
            f'<p class="note">{escape(type(model).__name__)}: {escape(fitted)}; log-likelihood '
            f"{model.log_likelihood_:,.2f}; converged: {'yes' if model.converged_ else 'no'}.</p>"
        )
    if float(column(table, FREQUENCY).max(initial=0)) > 0 and float(column(table, T).max()) > 0:
        yield picture(
            AliveDisplay.from_estimator(
                model,
                max_frequency=int(min(30, column(table, FREQUENCY).max())),
                T=float(column(table, T).max()),
                time_unit=c360.summary_.time_unit,
            )
        )


def segment_rows(table: nw.DataFrame[Any]) -> dict[str, list[Any]]:
    """Size and worth of every segment, largest value first."""
    labels = np.asarray(table["segment"].to_list())
    names, codes = np.unique(labels, return_inverse=True)
    n = np.bincount(codes)
    value = np.bincount(codes, weights=column(table, "total_value"))
    order = np.argsort(-value, kind="stable")
    rows: dict[str, list[Any]] = {
        "segment": names[order].tolist(),
        "customers": n[order].tolist(),
        "share of customers": [percent(x) for x in n[order] / n.sum()],
        "value so far": [money(x) for x in value[order]],
    }
    for name, title in (("lifetime_value", "mean lifetime value"), ("churn_risk", "mean churn risk")):
        if name in table.columns:
            means = np.bincount(codes, weights=column(table, name)) / n
            rows[title] = [money(x) if name == "lifetime_value" else percent(x) for x in means[order]]
    return rows


def out_of_reach(c360: Any) -> Iterator[str]:
    """Segments that nobody can be in, since values are tied."""
    reasons = getattr(getattr(c360, "segmenter_", None), "unreachable_", {})
    if reasons:
        words = "; ".join(f"{segment} ({reason})" for segment, reason in reasons.items())
        yield f'<p class="note">Out of reach, since values are tied: {escape(words)}.</p>'


def churn_text(c360: Any) -> str:
    """What churn means here."""
    return (
        f"<p>A customer churns who buys nothing for {c360.churn_horizon:g} {unit_of_churn(c360)} after the end of "
        f"{escape(str(c360.as_of_))}. The risk was learned at earlier cutoffs, each with all its labels known.</p>"
    )


def unit_of_churn(c360: Any) -> str:
    """The unit of `churn_horizon`, in words."""
    return UNIT_NAMES[c360.churn_features_.time_unit]


def churn_rows(table: nw.DataFrame[Any]) -> dict[str, list[Any]]:
    """Customers and what is at stake by band of churn risk."""
    risk = column(table, "churn_risk")
    band = np.minimum((risk * 5).astype(np.int64), 4)
    rows: dict[str, list[Any]] = {
        "churn risk": [f"{20 * k}–{20 * k + 20} %" for k in range(5)],
        "customers": np.bincount(band, minlength=5).tolist(),
    }
    if "lifetime_value" in table.columns:
        at_stake = np.bincount(band, weights=column(table, "lifetime_value"), minlength=5)
        rows["lifetime value"] = [money(x) for x in at_stake]
    return rows


def offer_rows(table: nw.DataFrame[Any]) -> dict[str, list[Any]]:
    """The offers that are first for most customers."""
    first = np.asarray([str(offer) for offer in table["offer_1"].to_list() if offer is not None])
    names, n = np.unique(first, return_counts=True)
    order = np.argsort(-n, kind="stable")[:N_TOP]
    return {"first offer": names[order].tolist(), "customers": n[order].tolist()}


def top_rows(table: nw.DataFrame[Any]) -> dict[str, list[Any]]:
    """The customers with the highest lifetime value."""
    best = np.argsort(-column(table, "lifetime_value"), kind="stable")[:N_TOP]
    rows: dict[str, list[Any]] = {}
    for name in TOP_COLUMNS:
        if name in table.columns:
            values = _frames.take(table[name], best).to_list()
            rows[name] = [short(value) for value in values] if name != "customer_id" else list(map(str, values))
    return rows


def data(c360: Any) -> Iterator[str]:
    """What came in, what was set aside, which steps were left out."""
    report = getattr(getattr(c360, "validator_", None), "report_", None)
    if report is not None:
        yield report._repr_html_()
    for name, reason in c360.skipped_.items():
        yield f"<p>Left out: <b>{escape(name)}</b>. {escape(reason)}</p>"


def column(table: nw.DataFrame[Any], name: str) -> np.ndarray:
    """A numeric column as floats."""
    return _frames.floats(table, name)


def section(title: str, *body: str) -> str:
    """A box with a heading."""
    return f'<section><h2>{escape(title)}</h2><div class="wide">{"".join(body)}</div></section>'


def html_table(columns: dict[str, list[Any]]) -> str:
    """Columns of equal length as an HTML table; text to the left, numbers to the right."""
    kind = {name: ' class="text"' if is_text(values) else "" for name, values in columns.items()}
    head = "".join(f"<th{kind[name]}>{escape(name.replace('_', ' '))}</th>" for name in columns)
    rows = (
        "".join(f"<td{kind[name]}>{escape(short(value))}</td>" for name, value in zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def is_text(values: list[Any]) -> bool:
    """Whether a column holds words rather than numbers, written out or not."""
    return bool(values) and isinstance(values[0], str) and not values[0].lstrip("-")[:1].isdigit()


def picture(display: Any) -> str:
    """A drawn display, embedded as a PNG; its figure is closed."""
    pyplot = require_extra("matplotlib.pyplot", "plot", "Customer360.report")
    buffer = io.BytesIO()
    display.figure_.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    pyplot.close(display.figure_)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{type(display).__name__}" src="data:image/png;base64,{data}">'


def short(value: Any) -> str:
    """A value as people read it."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def money(value: float) -> str:
    """An amount without decimals where it is large."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.1f} %"
