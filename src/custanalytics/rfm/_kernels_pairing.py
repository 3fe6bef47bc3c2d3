"""Kernels that pair the returns of one customer with the purchases, the surest pairing first.

Each pairing sorts the rows that are still open by its key and sweeps those of one key with a stack (or a queue) in
the order of time: never slower than n log n, however many rows a customer has.
"""

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import kernel

SHORT = 16  # rows up to which insertion beats merging
SAME = 1e-12  # amounts that differ by less, relatively, are one: products of a quantity and a price round

STEPS = 10_000.0  # four decimals serve every currency and most unit prices

# Pairings, the surest first: what a return and its purchase have in common.
ORDER_PRODUCT_AMOUNT, ORDER_PRODUCT, ORDER_AMOUNT, ORDER, PRODUCT_AMOUNT, PRODUCT_PRICE, PRODUCT, AMOUNT, WHOLE = range(
    9
)
PAIRINGS = 9
OFF, ON, CLAIM = range(3)  # CLAIM: nothing is paired, but a return that names an order belongs to no other


@kernel
def less(i, j, a, b, c, d, e):
    """Whether row i comes before row j by five keys."""
    if a[i] != a[j]:
        return a[i] < a[j]
    if b[i] != b[j]:
        return b[i] < b[j]
    if c[i] != c[j]:
        return c[i] < c[j]
    if d[i] != d[j]:
        return d[i] < d[j]
    return e[i] < e[j]


@kernel
def sort_index(start, stop, index, spare, a, b, c, d, e):
    """Sort part of an index by five keys; rows that are equal in all stay in their order."""
    for low in range(start, stop, SHORT):
        for at in range(low + 1, min(low + SHORT, stop)):
            row = index[at]
            to = at
            while to > low and less(row, index[to - 1], a, b, c, d, e):
                index[to] = index[to - 1]
                to -= 1
            index[to] = row
    width = SHORT
    while width < stop - start:
        for low in range(start, stop - width, 2 * width):
            middle, high = low + width, min(low + 2 * width, stop)
            if not less(index[middle], index[middle - 1], a, b, c, d, e):
                continue
            for at in range(low, middle):  # the left run steps aside; what is merged never overtakes the right
                spare[at] = index[at]
            left, right = low, middle
            for to in range(low, high):
                if left == middle:
                    break
                if right < high and less(index[right], spare[left], a, b, c, d, e):
                    index[to] = index[right]
                    right += 1
                else:
                    index[to] = spare[left]
                    left += 1
        width *= 2


@kernel
def is_exact(pairing):
    """Whether a return takes all of a purchase; else each takes from the other what it can."""
    return pairing in (ORDER_PRODUCT_AMOUNT, ORDER_AMOUNT, PRODUCT_AMOUNT, AMOUNT, WHOLE)


@kernel
def claim(low, high, values, orders, by_order, claimed):
    """Mark the returns that name an order with an earlier purchase. `by_order` is sorted so."""
    bought = 0
    for at in range(low, high):
        row = by_order[at]
        if at == low or orders[row] != orders[by_order[at - 1]]:
            bought = 0
        if math.copysign(1.0, values[row]) > 0:
            bought += 1
        elif bought > 0:
            claimed[row] = True


@kernel
def has_open_return(low, high, by_order, values, is_open, claimed):
    """Whether a customer has a return that is open to pairings by order, or to the others."""
    for row in range(low, high):
        if math.copysign(1.0, values[row]) < 0 and is_open[row] and claimed[row] == by_order:
            return True
    return False


@kernel
def enlist(low, high, pairing, values, orders, products, quantities, left, is_open, claimed, index, a, b, d):
    """List the rows of a customer that take part in a pairing, with their keys; 0 where nothing can come of it."""
    exact = is_exact(pairing)
    by_order = pairing <= ORDER
    by_product = pairing in (ORDER_PRODUCT_AMOUNT, ORDER_PRODUCT, PRODUCT_AMOUNT, PRODUCT_PRICE, PRODUCT)
    n = returns = 0
    for row in range(low, high):
        is_return = math.copysign(1.0, values[row]) < 0
        if is_return:
            if not is_open[row] or claimed[row] != by_order or (pairing == AMOUNT and products[row] >= 0):
                continue
            if not exact and left[row] == 0:
                continue
        elif not is_open[row]:
            continue
        if by_product and products[row] < 0:
            continue
        if pairing == PRODUCT_PRICE and not quantities[row] > 0:
            continue
        a[row] = orders[row] if by_order else 0
        b[row] = products[row] if by_product else 0
        d[row] = left[row] if exact else 0.0
        if pairing == PRODUCT_PRICE:
            d[row] = math.fabs(values[row]) / quantities[row]
        index[low + n] = row
        n += 1
        returns += is_return
    return n if 0 < returns < n else 0


@kernel
def enlist_orders(
    low, high, values, orders, products, left, is_open, claimed, index, spare, a, b, d, none, zeros, chain
):
    """List the orders of several lines by their last line, and the returns that may be one of a whole order.

    `chain` leads from the last line of an order to the one before it, and so on to -1.
    """
    n = returns = 0
    for row in range(low, high):
        a[row] = b[row] = 0
        chain[row] = -1
        d[row] = -1.0
        if math.copysign(1.0, values[row]) < 0:
            if is_open[row] and not claimed[row] and products[row] < 0 and left[row] > 0:
                d[row] = left[row]
                returns += 1
        elif left[row] > 0:
            index[low + n] = row
            n += 1
    if returns == 0:
        return 0
    sort_index(low, low + n, index, spare, orders, zeros, none, zeros, none)
    total = 0.0
    for at in range(low, low + n):
        row = index[at]
        if at > low and orders[index[at - 1]] == orders[row]:
            chain[row] = index[at - 1]
            d[index[at - 1]] = -1.0
        else:
            total = 0.0
        total += left[row]
        if chain[row] >= 0:
            d[row] = total
    n = 0
    for row in range(low, high):
        if d[row] >= 0:
            index[low + n] = row
            n += 1
    return n if returns < n else 0


@kernel
def settle_pair(bought, back, left, values, is_open, partners):
    """Set a purchase and a return off against each other as far as both go."""
    amount = min(left[bought], left[back])
    for row in (bought, back):
        left[row] -= amount
        decimal = np.rint(left[row] * STEPS) / STEPS
        if math.fabs(left[row] - decimal) <= SAME * math.fabs(values[row]):
            left[row] = decimal  # 20 - 8.1 - 3.3 is 8.6
        if left[row] <= SAME * math.fabs(values[row]):
            left[row] = 0.0
            is_open[row] = False
    if partners[bought] < 0:
        partners[bought] = back
    if partners[back] < 0:
        partners[back] = bought


@kernel
def sweep(start, stop, pairing, latest, within, times, values, index, left, is_open, partners, chain, stack):
    """Pair the rows of one key in the order of time: a return with the latest (or earliest) open purchase before."""
    exact = is_exact(pairing)
    head = top = start
    for at in range(start, stop):
        row = index[at]
        if math.copysign(1.0, values[row]) > 0:
            if is_open[row] and (exact or left[row] > 0):
                stack[top] = row
                top += 1
            continue
        while is_open[row] and left[row] >= 0 and top > head:
            bought = stack[top - 1] if latest else stack[head]
            if times[row] - times[bought] > within:
                if latest:  # those below are older still
                    break
                head += 1
                continue
            if not exact and left[row] == 0:
                break
            settle_pair(bought, row, left, values, is_open, partners)
            while pairing == WHOLE and chain[bought] >= 0:
                bought = chain[bought]
                settle_pair(bought, row, left, values, is_open, partners)
            if exact or not is_open[bought]:
                if latest:
                    top -= 1
                else:
                    head += 1
            if exact:
                break


@kernel
def pair(
    low, high, pairing, latest, within, times, values, orders, products, quantities, left, is_open, claimed,
    partners, index, spare, a, b, d, none, zeros, chain,
):  # fmt: skip
    """Run one pairing over the rows low to high of a customer, which are in canonical order."""
    if pairing == WHOLE:
        n = enlist_orders(
            low, high, values, orders, products, left, is_open, claimed, index, spare, a, b, d, none, zeros, chain
        )
    else:
        n = enlist(low, high, pairing, values, orders, products, quantities, left, is_open, claimed, index, a, b, d)
    if n == 0:
        return
    stop = low + n
    sort_index(low, stop, index, spare, a, zeros, b, d, none)
    start = low
    while start < stop:
        first = index[start]
        end, last = start + 1, first
        while end < stop:
            row = index[end]
            if a[row] != a[first] or b[row] != b[first] or d[row] - d[last] > SAME * d[row]:
                break
            end, last = end + 1, row
        if d[last] != d[first]:  # rows of one amount but for its last bits: back into the order of time
            for at in range(start, end):
                d[index[at]] = index[at]
            sort_index(start, end, index, spare, none, zeros, none, d, none)
        if end - start > 1:
            sweep(
                start, end, pairing, latest, within, times, values, index, left, is_open, partners, chain, spare,
            )  # fmt: skip
        start = end
