"""Ledger: what became of the rows and the money of a log, from line to order to period."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from custanalytics import _jit
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm import _kernels_returns as k
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._pieces import Rows
from custanalytics.rfm._returns import FATES, ROWS_A_SLICE, Outcome, Settled

MONEY = ("amount", "paired", "set_aside", "counted")
KEPT, IN_ORDER, IN_PERIOD = "kept", "merged into order", "merged into period"
_MEANING = {
    "purchase": "what is left of it counts",
    "returned": "purchases taken back as a whole",
    "free order": "orders of value 0, where these do not count",
    "too little kept": "orders of which no more than min_kept_value was kept",
    "paired return": "returns that lower a purchase",
    "partly paired return": "returns of more than was left of their purchase",
    "unmatched return": "returns without a purchase: they lower total_value",
    "return left out": "returns of customers without a purchase",
    "after cutoff": "rows after as_of",
}


@dataclass(frozen=True)
class Ledger:
    """What became of every row of a log on the way to the customer table, balanced to the row and to the cent.

    `RFMSummary` leaves it as `ledger_`. Each fate has its number of rows and their money, in the currency of the log.
    A row's amount is paired (set off against a return, or against a purchase), set aside (counts nowhere) or counted
    (in `total_value`): ``amount = paired + set_aside + counted``, and the paired amounts come to 0.

    Parameters
    ----------
    n_rows : int
        Rows of the log.
    fates : dict
        Fate → {"rows": int, "amount": float, "paired": float, "set_aside": float, "counted": float}; returns are
        negative.
    n_orders : int
        Orders that the purchases belong to, the sum of `n_orders` in the table.
    n_periods : int
        Periods with a purchase, one customer's apart from another's: the sum of `frequency` + 1.
    n_customers : int
        Rows of the customer table.
    total_value : float
        The sum of `total_value` in the table.

    See Also
    --------
    OrderPolicy : Decides the fates.
    RFMSummary : ``RFMSummary.ledger`` gives the fate of each single row.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import RFMSummary
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 1, 1, 1],
    ...     "timestamp": pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-16"]),
    ...     "amount": [100.0, 50.0, -50.0, -7.0],
    ... })
    >>> summary = RFMSummary().fit(log)
    >>> table = summary.transform(log)
    >>> print(summary.ledger_)
    fate              rows  amount  paired  set aside  counted
    purchase             1  100.00    0.00       0.00   100.00
    returned             1   50.00   50.00       0.00     0.00
    paired return        1  -50.00  -50.00       0.00     0.00
    unmatched return     1   -7.00    0.00       0.00    -7.00
    total                4   93.00    0.00       0.00    93.00
    1 purchase row in 1 order in 1 period of 1 customer, worth 93.00 after returns
    """

    n_rows: int
    fates: dict[str, dict[str, float]]
    n_orders: int
    n_periods: int
    n_customers: int
    total_value: float

    @property
    def total(self) -> dict[str, float]:
        """The sums over all fates."""
        rows = sum(int(each["rows"]) for each in self.fates.values())
        return {"rows": rows, **{name: math.fsum(each[name] for each in self.fates.values()) for name in MONEY}}

    def check(self) -> None:
        """Raise an InvalidDataError unless rows and money balance, half a cent (or 12 digits) allowed.

        Raises
        ------
        InvalidDataError
            Where a row or a cent is missing.
        """
        total = self.total
        size = math.fsum(abs(each[name]) for each in self.fates.values() for name in MONEY)
        gaps = {
            "rows": abs(total["rows"] - self.n_rows),
            "paired amounts": abs(total["paired"]),
            "amounts": abs(total["amount"] - total["paired"] - total["set_aside"] - total["counted"]),
            "values of the table": abs(total["counted"] - self.total_value),
        }
        allowed = {name: 0.0 if name == "rows" else max(0.005, 1e-12 * size) for name in gaps}
        wrong = [f"{name} by {gap:g}" for name, gap in gaps.items() if not gap <= allowed[name]]
        if wrong:
            raise InvalidDataError(f"The ledger does not balance: {'; '.join(wrong)}.")

    def to_dict(self) -> dict[str, Any]:
        """The ledger as plain dictionaries and numbers, fit for JSON."""
        return {
            "n_rows": self.n_rows,
            "fates": {fate: dict(each) for fate, each in self.fates.items()},
            "total": self.total,
            "n_orders": self.n_orders,
            "n_periods": self.n_periods,
            "n_customers": self.n_customers,
            "total_value": self.total_value,
        }

    def __str__(self) -> str:
        lines = [["fate", "rows", *(name.replace("_", " ") for name in MONEY)], *self._lines()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        texts = [
            "  ".join(
                [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
            )
            for line in lines
        ]
        return "\n".join([*texts, self._story()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("fate", "rows", *MONEY))
        body = "".join(
            f'<tr title="{escape(_MEANING.get(line[0], ""))}"><td style="text-align: left">{escape(line[0])}</td>'
            + "".join(f"<td>{cell}</td>" for cell in line[1:])
            + "</tr>"
            for line in self._lines()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(self._story())}</p>"

    def _lines(self) -> list[list[str]]:
        found = [(fate, each) for fate, each in self.fates.items() if each["rows"]]
        return [
            [fate, f"{int(each['rows']):,}", *(f"{each[name] + 0.0:,.2f}".replace("-0.00", "0.00") for name in MONEY)]
            for fate, each in [*found, ("total", self.total)]
        ]

    def _story(self) -> str:
        counts = [
            (int(self.fates["purchase"]["rows"]), "purchase row"),
            (self.n_orders, "order"),
            (self.n_periods, "period"),
            (self.n_customers, "customer"),
        ]
        rows, orders, periods, customers = (f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in counts)
        return f"{rows} in {orders} in {periods} of {customers}, worth {self.total_value:,.2f} after returns"


def exact_sum(values: np.ndarray, largest: float | None = None) -> float:
    """The sum of some amounts: the same in any order, and off by less than its own last digits.

    The `largest` is that of their sizes, where it is known.
    """
    n = values.size
    largest = float(np.abs(values).max(initial=0.0)) if largest is None else largest
    exponent = math.frexp(largest)[1] + n.bit_length() + 1
    below = exponent - 52 + n.bit_length()
    if largest == 0.0 or exponent > 1000 or below < -1000:
        return float(values.sum())
    grids = math.ldexp(1.5, exponent), math.ldexp(1.5, below)
    parts = _jit.run(k.add_up, n, *grids, np.ascontiguousarray(values), size=ROWS_A_SLICE)
    return math.fsum(part for pair in parts for part in pair)


def money_of(values: np.ndarray, settled: Settled) -> dict[str, np.ndarray]:
    """The amounts of rows, signed, and what of each is paired, set aside and counted: shapes (n_rows,)."""
    counted = np.where(settled.fates >= k.LEFT_OUT, 0.0, settled.values + 0.0)
    left = np.copysign(settled.left, values)
    paired = np.where(settled.fates == k.AFTER, 0.0, values - left)
    set_aside = np.where(settled.fates == k.AFTER, values, left - counted)
    return {"amount": values + 0.0, "paired": paired + 0.0, "set_aside": set_aside + 0.0, "counted": counted}


def totals(rows: Rows, outcome: Outcome, end: int, table: dict[str, np.ndarray]) -> Ledger:
    """The ledger of a log of which only some rows had to be settled: the others are purchases, or after the cutoff."""
    n = rows.ids.size
    fates: dict[str, dict[str, float]] = {fate: dict.fromkeys(("rows", *MONEY), 0.0) for fate in FATES}
    if outcome.settled is not None:
        found = outcome.settled
        at = np.flatnonzero((found.fates != k.PURCHASE) | (found.partners >= 0))  # the rest counts in full
        touched = Settled(found.values[at], found.fates[at], found.partners[at], found.left[at])
        money = money_of(rows.values[outcome.at[at]], touched)
        for code, fate in enumerate(FATES):
            mine = touched.fates == code
            fates[fate] = {name: exact_sum(each[mine]) for name, each in money.items()}
            fates[fate]["rows"] = int(mine.sum())
    if outcome.look.n_after:
        amount = exact_sum(rows.values[rows.times >= end])
        fates["after cutoff"] |= {"amount": amount, "set_aside": amount}
    fates["after cutoff"]["rows"] = outcome.look.n_after
    bought = fates["purchase"]
    others = [each for fate, each in fates.items() if fate != "purchase"]
    bought["rows"] = n - sum(int(each["rows"]) for each in others)
    bought["amount"] = math.fsum([exact_sum(rows.values, outcome.look.largest), *(-each["amount"] for each in others)])
    bought["counted"] = bought["amount"] - bought["paired"] - bought["set_aside"]
    ordered = {fate: {name: each[name] for name in ("rows", *MONEY)} for fate, each in fates.items()}
    return Ledger(
        n_rows=n,
        fates=ordered,
        n_orders=int(table["n_orders"].sum()),
        n_periods=int(table["frequency"].sum()) + table["frequency"].size,
        n_customers=int(table["frequency"].size),
        total_value=exact_sum(table["total_value"]),
    )


def row_by_row(rows: Rows, outcome: Outcome, end: int, clock: Clock) -> dict[str, Any]:
    """The fate of each row, the row that it is paired with, and its money: columns of length n_rows."""
    n = rows.ids.size
    values = rows.values + 0.0
    settled = Settled(np.where(rows.times < end, values, -0.0), np.zeros(n, np.uint8), np.full(n, -1), np.abs(values))
    if outcome.settled is not None:
        at, found = outcome.at, outcome.settled
        settled.values[at], settled.fates[at], settled.left[at] = found.values, found.fates, found.left
        settled.partners[at] = np.where(found.partners >= 0, at[found.partners], -1)
    settled.fates[rows.times >= end] = k.AFTER
    words = np.array([KEPT, *FATES[1:], IN_ORDER, IN_PERIOD], dtype=object)
    codes = settled.fates.astype(np.int64)
    bought = np.flatnonzero(codes == k.PURCHASE)
    codes[bought] = _merged(rows, bought, clock)
    return {"fate": words[codes].tolist(), "partner": settled.partners, **money_of(rows.values, settled)}


def _merged(rows: Rows, at: np.ndarray, clock: Clock) -> np.ndarray:
    """Codes of purchases: the first of its period, of the order of an earlier one, or of another order."""
    ids, times, values = rows.ids[at], rows.times[at], rows.values[at]
    orders = rows.orders[at] if rows.orders.size else np.arange(at.size)
    periods = np.empty(at.size, np.int64)
    _jit.run(k.number_periods, at.size, clock.length, clock.offset, times, out=(periods,), size=ROWS_A_SLICE)
    codes = np.full(at.size, len(FATES))
    for keys, code in (((orders, periods, ids), len(FATES) + 1), ((periods, ids), 0)):
        order = np.lexsort((values, times, *keys))
        first = np.ones(at.size, np.bool_)
        first[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
        codes[order[first]] = code
    return codes
