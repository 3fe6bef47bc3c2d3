"""What all pictures share: colours that every reader can tell apart, bare axes, and numbers short enough to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import offenders, require_extra
from custanalytics.exceptions import InvalidDataError

if TYPE_CHECKING:
    import narwhals as nw

# Told apart under every common colour blindness, and in grey (after Okabe and Ito).
BLUE, ORANGE, GREY, INK = "#0072B2", "#E69F00", "#B8BEC4", "#2F3437"
SERIES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
SEQUENTIAL = "Blues"
SMALL = 9


class Display:
    """Where a picture was drawn."""

    ax_: Any
    figure_: Any

    def _canvas(self, ax: Any, width: float = 7.0, height: float = 4.5) -> Any:
        # The axes to draw on: those given, or those of a new figure.
        pyplot = require_extra("matplotlib.pyplot", "plot", type(self).__name__)
        if ax is None:
            figure, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
            figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def bare(ax: Any, title: str, xlabel: str, ylabel: str, grid: str | None = "y") -> None:
    """Title, labels, two spines, and light grid lines behind the data along one axis."""
    ax.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=12)
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK)
    if grid is not None:
        ax.grid(axis=grid, color=GREY, linewidth=0.6, alpha=0.5)
        ax.set_axisbelow(True)


def literal(name: Any) -> str:
    """A name for a picture as it is: between two dollar signs Matplotlib would read mathematics."""
    return str(name).replace("$", r"\$")


def spoken(column: str) -> str:
    """The name of a column as words: "total_value" is "total value"."""
    return literal(column.replace("_", " "))


def percent(axis: Any) -> None:
    """Label an axis of shares in percent."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")


def short(number: float) -> str:
    """A number in three figures or so: 847, 12.4k, 3.1M."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * size:
            scaled = number / size
            return f"{scaled:.0f}{letter}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{letter}"
    return f"{number:,.0f}" if number == round(number) or abs(number) >= 100 else f"{number:.2g}"


def finite(frame: nw.DataFrame[Any], column: str, owner: str) -> np.ndarray:
    """A numeric column of a table to draw, without missing or infinite values: shape (n_customers,)."""
    values = _frames.floats(frame, column)
    bad = ~np.isfinite(values)
    if bad.any():
        ids = frame[CUSTOMER_ID] if CUSTOMER_ID in frame.columns else np.arange(values.size)
        phrase = offenders(bad, ids, f"have a missing or infinite {column}")
        raise InvalidDataError(f"{phrase}. {owner} can draw finite numbers only: drop or fill these rows first.")
    return values


def check_counts(values: np.ndarray, name: str, ids: Any, owner: str) -> None:
    """Refuse what cannot be numbers of purchases."""
    bad = (values < 0) | (values % 1 != 0)
    if bad.any():
        phrase = offenders(bad, ids, f"have a {name} that is no whole number, 0 or more")
        raise InvalidDataError(f"{phrase}. {owner} draws customers by their number of repeat purchases.")


def numbers(values: Any, name: str, owner: str) -> np.ndarray:
    """A one-dimensional array of finite numbers that is not empty: shape (n_customers,)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{owner} takes {name!r} as a one-dimensional array that is not empty; got {array.shape}.")
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array))
        raise InvalidDataError(
            f"{bad.size:,} of {array.size:,} values of {name!r} are missing or infinite "
            f"(first at {', '.join(map(str, bad[:5]))}). Drop these customers from all arguments first."
        )
    return array


def same_length(owner: str, **arrays: np.ndarray) -> None:
    """Raise a ValueError unless all arrays are of one length."""
    if len({array.size for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {array.size:,}" for name, array in arrays.items())
        raise ValueError(f"{owner} takes arrays of one length, an element per customer; got {lengths}.")


def shares(totals: np.ndarray, what: str, owner: str) -> np.ndarray:
    """Totals over their sum, or an InvalidDataError where that is not positive."""
    whole = totals.sum()
    if whole <= 0:
        raise InvalidDataError(
            f"The sum of {what!r} over all customers is {whole:g}: {owner} cannot draw shares of it. "
            "Pass another column with value='...'."
        )
    return totals / whole
