"""Who is still a customer: the spread of P(alive), or what a model makes of each frequency and recency."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, RECENCY, UNIT_NAMES, T
from custanalytics._params import NONE, POSITIVE, UNITS, Having, Number, check_value, integer
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._models import needed
from custanalytics.plotting._style import BLUE, INK, SEQUENTIAL, Display, bare, numbers, percent

_CELLS = 52  # most steps of recency that are drawn
_DARK = 0.7  # cells above are too dark for dark lines


class AliveDisplay(Display):
    """Histogram of P(alive), or a map over frequency and recency of it or of the purchases to expect.

    `from_predictions` draws how P(alive) is spread over customers. `from_estimator` draws what a fitted model
    answers for every history that fits into `T`: the map shows at a glance that a frequent buyer who has been
    silent is less alive than an infrequent one. With a `horizon` it is the map of expected purchases.

    Parameters
    ----------
    p_alive : ndarray of shape (n_customers,) or (max_frequency, n_recencies), or None
        Probabilities, or the map: rows are frequencies 1, 2, …, columns are recencies. None for a map of purchases.
    frequency : ndarray of shape (max_frequency,) or None
        Repeat purchase periods, for a map.
    recency : ndarray of shape (n_recencies,) or None
        From first to last purchase in `time_unit`, for a map.
    time_unit : {"h", "D", "W", "M", "Y"} or None
        Unit of time of a map, for the labels.
    expected_purchases : ndarray of shape (max_frequency, n_recencies) or None
        A map of purchases in the `horizon`, in place of `p_alive`.
    horizon : float or None
        Length of the time ahead of such a map, in `time_unit`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    bars_ : matplotlib BarContainer
        Bars of the histogram. Absent from a map.
    mesh_ : matplotlib QuadMesh
        Cells of the map. Absent from a histogram.

    See Also
    --------
    PurchasesDisplay : Whether predicted purchases came.

    Notes
    -----
    Customers without repeat purchases have no cell in the map: with a frequency of 0 the only possible recency
    is 0.

    Examples
    --------
    >>> from custanalytics.plotting import AliveDisplay
    >>> display = AliveDisplay.from_predictions([0.02, 0.4, 0.97, 0.99], bins=4)
    >>> [int(bar.get_height()) for bar in display.bars_]
    [1, 1, 0, 2]
    """

    def __init__(
        self,
        *,
        p_alive: np.ndarray | None = None,
        frequency: np.ndarray | None = None,
        recency: np.ndarray | None = None,
        time_unit: str | None = None,
        expected_purchases: np.ndarray | None = None,
        horizon: float | None = None,
    ) -> None:
        self.expected_purchases = expected_purchases
        self.horizon = horizon
        self.p_alive = p_alive
        self.frequency = frequency
        self.recency = recency
        self.time_unit = time_unit

    @classmethod
    def from_predictions(cls, p_alive: Any, *, bins: int = 20, ax: Any = None) -> Self:
        """Draw the histogram.

        Parameters
        ----------
        p_alive : array-like of shape (n_customers,)
            Probabilities of being alive.
        bins : int, default=20
            Number of bars between 0 and 1.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        AliveDisplay

        Raises
        ------
        InvalidDataError
            If a number is missing or is no probability.
        """
        values = numbers(p_alive, "p_alive", cls.__name__)
        if values.min() < 0 or values.max() > 1:
            raise InvalidDataError(
                f"'p_alive' must hold probabilities; they go from {values.min():g} to {values.max():g}."
            )
        return cls(p_alive=values).plot(ax=ax, bins=bins)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        max_frequency: int = 20,
        T: float = 52.0,
        horizon: float | None = None,
        time_unit: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Ask a fitted model for every history, and draw the map.

        Parameters
        ----------
        estimator : object with `predict_alive`, or with `predict_purchases` for a `horizon`
            Fitted model; it is given a table with `frequency`, `recency` and `T`.
        max_frequency : int, default=20
            Largest frequency drawn.
        T : float, default=52.0
            Time since the first purchase, in `time_unit`.
        horizon : float, default=None
            Draw the purchases to expect in so long a time ahead, in `time_unit`; None draws P(alive).
        time_unit : {"h", "D", "W", "M", "Y"} or None, default=None
            Unit of the model, for the labels; None says "time units".
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        AliveDisplay

        Raises
        ------
        ValueError
            If the model also needs covariates or dates.
        """
        check_value("horizon", horizon, (POSITIVE, NONE), cls.__name__)
        asked = "predict_alive" if horizon is None else "predict_purchases"
        check_value("estimator", estimator, (Having((asked,)),), cls.__name__)
        check_value("max_frequency", max_frequency, (integer(1),), cls.__name__)
        check_value("T", T, (Number(0, closed="neither"),), cls.__name__)
        check_value("time_unit", time_unit, (UNITS, NONE), cls.__name__)
        if more := needed(estimator):
            raise ValueError(
                f"{cls.__name__} draws histories of frequency, recency and T alone; {type(estimator).__name__} needs "
                f"{more}, too. Draw model.with_covariates(...) where there is that, or the predictions for a table: "
                f"{cls.__name__}.from_predictions(model.predict_alive(table))."
            )
        frequency = np.arange(1, max_frequency + 1)
        steps = int(min(_CELLS, max(np.floor(T), 10)))
        recency = T * np.arange(1, steps + 1) / steps
        shape = (frequency.size, recency.size)
        histories = _histories(frequency, recency, T)
        if horizon is None:
            found = {"p_alive": estimator.predict_alive(histories)}
        else:
            found = {"expected_purchases": estimator.predict_purchases(histories, horizon)}
        cells = {name: np.asarray(values, dtype=np.float64).reshape(shape) for name, values in found.items()}
        return cls(frequency=frequency, recency=recency, time_unit=time_unit, horizon=horizon, **cells).plot(ax=ax)

    def plot(self, ax: Any = None, *, bins: int = 20) -> Self:
        """Draw the histogram or the map.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.
        bins : int, default=20
            Number of bars of a histogram.

        Returns
        -------
        self
        """
        check_value("bins", bins, (integer(1),), "AliveDisplay")
        if self.frequency is None or self.recency is None:
            return self._histogram(self._canvas(ax), np.asarray(self.p_alive), bins)
        return self._map(self._canvas(ax, 7.4, 4.8), self.frequency, self.recency)

    def _histogram(self, ax: Any, p_alive: np.ndarray, bins: int) -> Self:
        counts, edges = np.histogram(p_alive, bins=bins, range=(0, 1))
        self.bars_ = ax.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE, edgecolor="white")
        mean = float(p_alive.mean())
        ax.axvline(mean, color=INK, linewidth=1, linestyle="--")
        right = mean > 0.5
        ax.annotate(
            f"mean {100 * mean:.0f} %",
            (mean, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-5 if right else 5, -2),
            textcoords="offset points",
            ha="right" if right else "left",
            va="top",
            color=INK,
        )
        bare(ax, f"P(alive) of {p_alive.size:,} customers", "P(alive)", "Customers")
        ax.set_xlim(0, 1)
        ax.margins(y=0.12)
        percent(ax.xaxis)
        return self

    def _map(self, ax: Any, frequency: np.ndarray, recency: np.ndarray) -> Self:
        step, unit = recency[0], UNIT_NAMES.get(str(self.time_unit), "time units")
        x, y = np.append(recency - step / 2, recency[-1] + step / 2), np.append(frequency, frequency[-1] + 1) - 0.5
        alive = self.expected_purchases is None
        cells = np.asarray(self.p_alive if alive else self.expected_purchases)
        top = 1.0 if alive else max(float(cells.max()), 1e-9)
        self.mesh_ = ax.pcolormesh(x, y, cells, cmap=SEQUENTIAL, vmin=0, vmax=top)
        levels = [level for level in _levels(alive, top) if cells.min() < level < cells.max()]
        tints = ["white" if level > _DARK * top else INK for level in levels]
        if levels and min(cells.shape) > 1:
            lines = ax.contour(recency, frequency, cells, levels=levels, colors=tints, linewidths=0.8)
            ax.clabel(lines, fmt=lambda level: f"{100 * level:.0f} %" if alive else f"{level:g}", fontsize=8)
        after = f"{recency[-1]:.3g} {unit} after the first purchase"
        title = f"P(alive) {after}" if alive else f"Purchases to expect in the next {self.horizon:.3g} {unit}"
        bare(
            ax,
            title,
            f"Recency: {unit} from first to last purchase" + ("" if alive else f" (T = {recency[-1]:.3g})"),
            "Frequency: repeat purchases",
            None,
        )
        bar = self.figure_.colorbar(self.mesh_, ax=ax, pad=0.02)
        bar.outline.set_visible(False)
        if alive:
            percent(bar.ax.yaxis)
        ax.yaxis.get_major_locator().set_params(integer=True)
        return self


def _levels(alive: bool, top: float) -> list[float]:
    """Where lines are drawn: at round probabilities, or at counts each twice the one before."""
    return [0.1, 0.5, 0.9] if alive else [float(2**power) for power in range(-3, 11) if 2.0**power >= 0.02 * top]


def _histories(frequency: np.ndarray, recency: np.ndarray, observed: float) -> Any:
    rows, columns = np.meshgrid(frequency, recency, indexing="ij")
    return _frames.table({FREQUENCY: rows.ravel(), RECENCY: columns.ravel(), T: np.full(rows.size, float(observed))})
