"""Kernels that tell which rows of customers with returns can have a part in a pairing: most purchases cannot.

A key is what a return and its purchase have in common. Of a key no more is noted than two bits of one word, so that
a row may be taken for a contender that is none; never the other way round.
"""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

ORDER, PRODUCT, AMOUNT, ANY = range(1, 5)  # kinds of keys; ANY is that of customers all of whose rows contend


@kernel
def place_of(name, kind, what):
    """The place of a key among 2**64; `name` is the hash of the customer."""
    return mix(name ^ mix(8 * what + kind))


@kernel
def pattern_of(place):
    """The two bits that a key has in its word, from other bits of its hash than the word's number."""
    return np.uint64(1) << (place >> np.uint64(58)) | np.uint64(1) << ((place >> np.uint64(52)) & np.uint64(63))


@kernel
def note(bits, place):
    """Set the bits of a key."""
    bits[np.int64(place & np.uint64(bits.size - 1))] |= pattern_of(place)


@kernel
def is_noted(bits, place):
    """Whether the bits of a key are set."""
    pattern = pattern_of(place)
    return (bits[np.int64(place & np.uint64(bits.size - 1))] & pattern) == pattern


@kernel
def note_returns(by_order, by_product, by_amount, by_whole, ids, words, orders, products, bits):
    """Note the keys of returns. `words` are the amounts seen as int64.

    Amounts that share the upper half of their bits, or nearly so, have one key. A chain of amounts, each the same as
    the next to 12 digits, would need 400,000 links to lead out of it.
    """
    for row in range(ids.size):
        if words[row] >= 0:  # no minus sign
            continue
        name = mix(ids[row])
        if by_order:
            note(bits, place_of(name, ORDER, orders[row]))
        if products.size > 0 and products[row] >= 0:
            if by_product:
                note(bits, place_of(name, PRODUCT, products[row]))
            continue
        if by_amount:
            upper = (words[row] >> 32) & 0x7FFFFFFF
            near = 1 if words[row] & 0x80000000 else -1
            note(bits, place_of(name, AMOUNT, upper))
            note(bits, place_of(name, AMOUNT, upper + near))
        if by_whole:
            note(bits, place_of(name, ANY, 0))


@kernel
def find(
    start, stop, free, by_order, by_product, by_amount, by_whole, ids, values, words, orders, products, bits, found
):
    """Mark the returns, the purchases of 0 where these are not `free` to count, and those with a key of a return."""
    for row in range(start, stop):
        if words[row] < 0 or (values[row] == 0 and not free):
            found[row] = True
            continue
        name = mix(ids[row])
        hit = by_amount and is_noted(bits, place_of(name, AMOUNT, words[row] >> 32))
        if not hit and by_order:
            hit = is_noted(bits, place_of(name, ORDER, orders[row]))
        if not hit and by_product and products[row] >= 0:
            hit = is_noted(bits, place_of(name, PRODUCT, products[row]))
        if not hit and by_whole:
            hit = is_noted(bits, place_of(name, ANY, 0))
        found[row] = hit


@kernel
def note_orders(ids, orders, found, bits):
    """Note the orders that the marked rows belong to."""
    for row in range(ids.size):
        if found[row]:
            note(bits, place_of(mix(ids[row]), ORDER, orders[row]))


@kernel
def find_orders(start, stop, ids, orders, bits, found):
    """Mark all lines of the orders noted: what is left of an order decides on each of them."""
    for row in range(start, stop):
        if not found[row]:
            found[row] = is_noted(bits, place_of(mix(ids[row]), ORDER, orders[row]))


@kernel
def look_elsewhere(ids, found, names, slots, seen):
    """Mark those of some customers who have a row that is not marked. `names` are distinct, `slots` all -1."""
    last = np.uint64(slots.size - 1)
    for code in range(names.size):
        at = np.int64(mix(names[code]) & last)
        while slots[at] >= 0:
            at = np.int64(np.uint64(at + 1) & last)
        slots[at] = code
    for row in range(ids.size):
        if found[row]:
            continue
        at = np.int64(mix(ids[row]) & last)
        while slots[at] >= 0 and names[slots[at]] != ids[row]:
            at = np.int64(np.uint64(at + 1) & last)
        if slots[at] >= 0:
            seen[slots[at]] = True
