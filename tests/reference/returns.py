"""Returns paired with purchases in plain Python, with exact fractions: slow, and as the definitions read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

KEYS = ("order", "product", "amount")


@dataclass
class Line:
    """A row of the log on its way to its fate; amounts are exact, and `left` is what is not yet paired."""

    number: int
    row: Mapping[str, Any]
    is_return: bool
    amount: Fraction
    left: Fraction
    order: Any
    product: Any
    quantity: Fraction
    claimed: bool = False
    partners: list[int] = field(default_factory=list)
    fate: str = ""

    @property
    def is_open(self) -> bool:
        return self.left > 0 or not self.partners


def missing(value: Any) -> bool:
    return value is None or value != value


def exact(amount: float) -> Fraction:
    """The decimal that was meant: 3 * 2.95 is 8.85."""
    return Fraction(str(round(amount, 9)))


def line_of(number: int, row: Mapping[str, Any], bought_orders: set[Any], prefix: str | None) -> Line:
    quantity = row.get("quantity", 0)
    quantity = Fraction(0) if missing(quantity) else Fraction(str(quantity))
    amount = exact(row["amount"])
    is_return = amount < 0 or quantity < 0
    order = row.get("order_id")
    order = ("own", number) if missing(order) else order
    if is_return and prefix and isinstance(order, str) and order.startswith(prefix) and order not in bought_orders:
        cancelled = order[len(prefix) :]
        order = cancelled if cancelled in bought_orders else order
    product = row.get("product_id")
    product = None if missing(product) else product
    return Line(number, row, is_return, abs(amount), abs(amount), order, product, abs(quantity))


def place(line: Line) -> tuple[Any, ...]:
    """The canonical order of the rows of a customer; rows that are equal in all of it are interchangeable."""
    signed = -line.amount if line.is_return else line.amount
    product = (line.product is not None, line.product) if line.product is not None else (False,)
    own = isinstance(line.order, tuple)
    return (line.row["timestamp"], line.is_return, signed, product, line.quantity, not own, line.order)


def kinds(match: Sequence[str], columns: set[str], partial: bool) -> Iterable[tuple[str, tuple[str, ...], bool]]:
    """The pairings, the surest first: what it is called, what must be equal, and whether the amounts must be."""
    everything = [
        ("order", ("order", "product"), True),
        ("order", ("order", "product"), False),
        ("order", ("order",), True),
        ("order", ("order",), False),
        ("claim", (), True),
        ("product", ("product",), True),
        ("product", ("product", "price"), False),
        ("product", ("product",), False),
        ("amount", (), True),
        ("whole", (), True),
    ]
    for name, keys, exact in everything:
        family = {"claim": "order", "whole": "amount"}.get(name, name)
        needed = {"order": {"order_id"}, "claim": {"order_id"}, "whole": {"order_id"}}.get(name, set())
        needed = (
            needed | ({"product_id"} if "product" in keys else set()) | ({"quantity"} if "price" in keys else set())
        )
        if family in match and needed <= columns and (exact or partial):
            yield name, keys, exact


def agree(bought: Line, back: Line, keys: Sequence[str]) -> bool:
    if "order" in keys and bought.order != back.order:
        return False
    if "product" in keys and (bought.product is None or bought.product != back.product):
        return False
    if "price" in keys:
        if not bought.quantity or not back.quantity:
            return False
        return bought.amount / bought.quantity == back.amount / back.quantity
    return True


def settle_pair(bought: Line, back: Line) -> None:
    amount = min(bought.left, back.left)
    bought.left -= amount
    back.left -= amount
    bought.partners.append(back.number)
    back.partners.append(bought.number)


def settle_customer(lines: list[Line], columns: set[str], policy: Mapping[str, Any]) -> None:
    lines.sort(key=place)
    step = -1 if policy["choose"] == "latest" else 1
    within = None if policy["within"] is None else timedelta(days=policy["within"])

    def qualify(position: int) -> Iterable[Line]:
        back = lines[position]
        for bought in lines[:position][::step]:
            age = back.row["timestamp"] - bought.row["timestamp"]
            if not bought.is_return and bought.is_open and (within is None or age <= within):
                yield bought

    for name, keys, exact in kinds(policy["match"], columns, policy["partial"]):
        for position, back in enumerate(lines):
            if not back.is_return or back.claimed or not back.is_open:
                continue
            if name == "claim":
                back.claimed = any(not b.is_return and b.order == back.order for b in lines[:position])
            elif name == "whole":
                if back.product is None and back.left > 0:
                    take_back_an_order(lines, position, list(qualify(position)), step, within)
            elif name != "amount" or back.product is None:
                for bought in qualify(position):
                    if not agree(bought, back, keys) or not back.is_open:
                        continue
                    if bought.left == back.left if exact else bought.left > 0 and back.left > 0:
                        settle_pair(bought, back)


def take_back_an_order(
    lines: list[Line], position: int, qualifying: list[Line], step: int, within: timedelta | None
) -> None:
    """Pair a return with all that is left of one order of several lines, the last of them being recent enough."""
    back = lines[position]
    orders: dict[Any, list[Line]] = defaultdict(list)
    for line in lines:
        if not line.is_return and line.left > 0:
            orders[line.order].append(line)
    for last in qualifying:
        whole = orders[last.order]
        if whole and whole[-1] is last and len(whole) > 1 and sum(line.left for line in whole) == back.left:
            for line in whole[::-1]:
                settle_pair(line, back)
            return


def judge(lines: list[Line], policy: Mapping[str, Any]) -> None:
    orders: dict[Any, list[Line]] = defaultdict(list)
    for line in lines:
        if not line.is_return:
            orders[line.order].append(line)
    for order in orders.values():
        kept = sum(line.left for line in order)
        touched = any(line.partners for line in order)
        for line in order:
            if touched and kept <= Fraction(str(policy["min_kept_value"])):
                line.fate = "too little kept" if line.left else "returned"
            elif line.left == 0 and line.partners:
                line.fate = "returned"
            elif kept == 0 and not policy["count_free"]:
                line.fate = "free order"
            else:
                line.fate = "purchase"
    stays = any(line.fate == "purchase" for line in lines)
    for line in lines:
        if line.is_return and line.left == 0 and line.partners:
            line.fate = "paired return"
        elif line.is_return:
            words = "partly paired return" if line.left < line.amount else "unmatched return"
            line.fate = words if stays else "return left out"


def settle(log: Sequence[Mapping[str, Any]], end: datetime | None = None, **policy: Any) -> list[dict[str, Any]]:
    """One entry a row: its fate, its partners, the exact amount, what is paired, set aside and counted of it.

    Signed as in the log: amount = paired + set_aside + counted, and the paired amounts come to nothing.
    """
    policy = {
        "match": KEYS, "choose": "latest", "within": None, "partial": True, "unmatched": "flag", "min_kept_value": 0,
        "count_free": True, "cancellation_prefix": "C", **policy,
    }  # fmt: skip
    before = [(number, row) for number, row in enumerate(log) if end is None or row["timestamp"] < end]
    customers: dict[Any, list[Line]] = defaultdict(list)
    numbered: dict[Any, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for number, row in before:
        numbered[row["customer_id"]].append((number, row))
    for customer, rows in numbered.items():
        plain = [line_of(number, row, set(), None) for number, row in rows]
        bought = {line.order for line in plain if not line.is_return}
        customers[customer] = [line_of(number, row, bought, policy["cancellation_prefix"]) for number, row in rows]
    outcome = []
    for row in log:
        amount = exact(row["amount"])
        amount = -abs(amount) if row.get("quantity", 0) < 0 else amount
        outcome.append(
            {"fate": "after cutoff", "partners": [], "amount": amount, "paired": 0, "set_aside": amount, "counted": 0}
        )
    for lines in customers.values():
        settle_customer(lines, set(log[0]), policy)
        judge(lines, policy)
        for line in lines:
            sign = -1 if line.is_return else 1
            counts = line.fate == "purchase" or (
                line.fate in ("partly paired return", "unmatched return") and policy["unmatched"] == "flag"
            )
            outcome[line.number] |= {
                "fate": line.fate,
                "partners": line.partners,
                "paired": sign * (line.amount - line.left),
                "set_aside": 0 if counts else sign * line.left,
                "counted": sign * line.left if counts else 0,
            }
    return outcome


def net_log(log: Sequence[Mapping[str, Any]], end: datetime | None = None, **policy: Any) -> list[dict[str, Any]]:
    """The log with what counts of it: purchases with what is left of them, and returns that are not paired."""
    kept = []
    for number, (row, fate) in enumerate(zip(log, settle(log, end, **policy), strict=True)):
        if "order_id" in row and missing(row["order_id"]):
            row = {**row, "order_id": f"of row {number}"}
        if fate["fate"] == "purchase" or (fate["fate"].endswith("return") and fate["counted"]):
            kept.append({**row, "amount": float(fate["counted"]), "quantity": 1})
    return kept
