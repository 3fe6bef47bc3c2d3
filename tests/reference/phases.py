"""What lies ahead where every k-th event is a purchase: by counting events, and by the matrix of the phases.

Both give (P(alive then), purchases until then, purchases per unit of u then) of customers who are alive now, for
s = r + k x, u = time / (alpha + T), share = silence / (alpha + T), p ~ Beta(a, c).
"""

from __future__ import annotations

import mpmath as mp


def phases(k, s, share):
    """Chances of 0, ..., k - 1 events since the last purchase."""
    weights = [mp.rf(s, j) / mp.factorial(j) * mp.mpf(share) ** j for j in range(k)]
    return [weight / sum(weights) for weight in weights]


def by_counting(k, s, u, share, a, c):
    """Sums over the number of events, from none on."""
    s, u, a, c = (mp.mpf(value) for value in (s, u, a, c))
    totals = [mp.mpf(0)] * 3
    for j, weight in enumerate(phases(k, s, share)):
        shape, n, left, bought = s + j, 0, mp.mpf(1), mp.mpf(0)
        chance, events = weight * (1 + u) ** -(s + j), 0
        while True:
            rate = chance * (shape + events) / (1 + u) * left if (events + j + 1) % k == 0 else 0
            totals = [total + part for total, part in zip(totals, (chance * left, chance * bought, rate), strict=True)]
            if events > shape * u and chance * (1 + bought) * (shape + events) * (1 + u) < mp.mpf("1e-25") * min(
                totals
            ):
                break
            chance *= u / (1 + u) * (shape + events) / (events + 1)
            events += 1
            if (events + j) % k == 0:
                bought += left
                left *= (c + n) / (a + c + n)
                n += 1
    return totals


def by_matrices(k, s, u, share, a, c, width=0.1):
    """Integrals over p: the phases of somebody who drops out with p are a Markov chain of k states."""
    s, u, a, c, width = (mp.mpf(value) for value in (s, u, a, c, width))
    chances, totals, mass = phases(k, s, share), [mp.mpf(0)] * 3, mp.mpf(0)
    steps, middle = 0, mp.log(a / (c + s * u))
    y, way = middle, 1
    while True:
        with mp.extradps(80):  # who drops out with p = 1e-60 stays with 1 - p, and not with 1
            p, stay = 1 / (1 + mp.exp(-y)), 1 / (1 + mp.exp(y))
        weight = p**a * stay**c
        parts = [weight * value for value in known_dropout(k, s, u, chances, p, stay)]
        mass += weight
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
        steps += 1
        past = y > mp.log(a / c) if way > 0 else True
        if past and max([weight / mass, *(part / total for part, total in zip(parts, totals, strict=True))]) < 1e-20:
            if way < 0:
                return [total / mass for total in totals]
            y, way = middle, -1
        y += way * width


def known_dropout(k, s, u, chances, p, stay):
    """The same for one p, by the powers of 1 + u (1 - Z), where Z moves by one event."""
    if stay < mp.mpf("1e-60"):
        return certain_dropout(k, s, u, chances)
    Z = mp.zeros(k)
    for j in range(k - 1):
        Z[j, j + 1] = 1
    Z[k - 1, 0] = stay
    alive, rate = mp.mpf(0), mp.mpf(0)
    with mp.extradps(80):  # eigenvectors become alike as `stay` goes to 0, and what they add up to cancels
        values, vectors = mp.eig(Z)
        inverse = vectors**-1
        for j, chance in enumerate(chances):
            for m, value in enumerate(values):
                base = 1 + u * (1 - value)
                power = base ** -(s + j)
                alive += chance * (vectors[j, m] * power * sum(inverse[m, i] for i in range(k))).real
                rate += chance * (s + j) * (vectors[j, m] * power / base * inverse[m, k - 1]).real
        return alive, (1 - alive) / p, rate


def certain_dropout(k, s, u, chances):
    """The same for p = 1, where the phases end with the next purchase: Z^k is 0, and the powers are sums."""
    alive, rate = mp.mpf(0), mp.mpf(0)
    for j, chance in enumerate(chances):
        for i in range(k - j):  # events without a purchase
            some = chance * mp.rf(s + j, i) / mp.factorial(i) * u**i * (1 + u) ** -(s + j + i)
            alive += some
            if i == k - 1 - j:
                rate += some * (s + j + i) / (1 + u)
    return alive, 1 - alive, rate
