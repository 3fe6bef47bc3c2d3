"""The integral over an unseen time of dropout under gamma-distributed rates, for some customers at once.

What belongs to a customer stands in a lane of a flat array, so that the loops over lanes, like those over all the
nodes of all lanes, are nothing but arithmetic, which a processor does for several of them at once. A lane gives the
same bits whatever stands in the others.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import fma, kernel
from custanalytics._special import exp_lane, expm1_lane, log1p_lane, log_lane

LANES = 16  # so many that the nodes of all of them stay in the first cache
NODES = 12  # of a Gauss-Legendre rule on [0, 1], used panel by panel
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS

# On a panel the logarithm of the integrand may change by _STEEP, and by a little more where the integrand has
# already decayed; a panel is never wider than _WIDEST, for the integrand has singularities at the distance π from
# the real line. What is left once the integrand has decayed by exp(-_NEGLIGIBLE) is dropped.
_STEEP = 10.0
_WIDEST = 3.0
_NEGLIGIBLE = 38.0

# Where the rows of lanes begin: what `decay_integrals` is given, its results, and what it keeps of those at work.
P, Q, A, B, LOG_A, LOG_B, LOG_INTEGRAL, MOMENTS = (LANES * row for row in range(8))
_WHOSE, _NEAR, _RHO, _BY_NEAR, _BY_FAR, _END, _LO, _PANEL, _ALLOWED, _GROWTH, _SLOPE, _DECAY, _LEAST, _SUMS = (
    LANES * row for row in range(23, 37)
)
USED = _SUMS + 17 * LANES  # numbers in all
_Y, _Z, _G, _EXCESS, _NEAR_FALL, _FAR_FALL, _NEAR_SHARE, _FAR_SHARE, _RHOS, _BY_NEARS, _BY_FARS = (
    NODES * LANES * row for row in range(11)
)
_ROWS = 11
POINTS = _ROWS * NODES * LANES  # numbers about the nodes


@kernel
def decay_integrals(n, order, lanes, points):
    """Integrals of (1 + w/a)^-p (1 + w/b)^-q dw/b from 0 to where the bases are exp(log_a), exp(log_b).

    Takes P, Q, A, B, LOG_A, LOG_B of the first `n` lanes. Fills LOG_INTEGRAL with the logarithms (error below 1e-12;
    -inf where nothing is to integrate). Under the integrand, fills MOMENTS from order 1 on with the means of
    log(1 + w/a), 1/(1 + w/a), (w/a)/(1 + w/a) and of the same three with b (relative error below 1e-11), and at order
    2 with the means of the ten products of two of log(1 + w/a), (w/a)/(1 + w/a) and the same with b.

    The variable is y = log(1 + w/c) with c the smaller of a and b. In it the integrand is exp(-by_near y) times
    (1 + rho (e^y - 1))^-by_far, smooth on the scale of one whatever a and b are, and all terms are positive.
    """
    active, nodes = 0, points.size // (_ROWS * LANES)  # NODES, but the compiler would unroll the loops if it knew
    for i in range(n):
        lanes[LOG_INTEGRAL + i] = 0.0
        if lanes[LOG_A + i] > 0.0 and lanes[LOG_B + i] > 0.0:
            _begin(i, active, lanes)
            active += 1
    for k in range(16):
        for i in range(n):
            lanes[MOMENTS + k * LANES + i] = 0.0
    while active > 0:
        _choose_panels(active, lanes)
        _place_nodes(active, nodes, lanes, points)
        _evaluate(nodes * active, order, points)
        _add_up(active, nodes, order, lanes, points)
        active = _settle(active, order, lanes)
    for i in range(n):
        integral = lanes[LOG_INTEGRAL + i]
        lanes[LOG_INTEGRAL + i] = log_lane(integral) if integral > 0.0 else -math.inf


@kernel
def _begin(i, at, lanes):
    """Put customer i to work in the lane `at`."""
    p, q, a, b, end = lanes[P + i], lanes[Q + i], lanes[A + i], lanes[B + i], lanes[LOG_A + i]
    near, rho, by_near, by_far = a, a / b, p - 1.0, q
    if b < a:
        near, rho, by_near, by_far, end = b, b / a, q - 1.0, p, lanes[LOG_B + i]
    lanes[_WHOSE + at], lanes[_NEAR + at], lanes[_RHO + at] = i, near, rho
    lanes[_BY_NEAR + at], lanes[_BY_FAR + at], lanes[_END + at] = by_near, by_far, end
    lanes[_LO + at], lanes[_DECAY + at], lanes[_LEAST + at], lanes[_SLOPE + at] = 0.0, 0.0, 0.0, by_far * rho
    for k in range(17):
        lanes[_SUMS + k * LANES + at] = 0.0


@kernel
def _choose_panels(active, lanes):
    """The next panel of each lane, on which the integrand is no steeper than allowed."""
    for j in range(active):
        allowed = _STEEP + 0.5 * (lanes[_DECAY + j] - lanes[_LEAST + j])
        steep = abs(lanes[_BY_NEAR + j]) + lanes[_SLOPE + j]
        panel = min(min(lanes[_END + j] - lanes[_LO + j], _WIDEST), allowed / steep)
        lanes[_ALLOWED + j], lanes[_PANEL + j] = allowed, panel
        lanes[_GROWTH + j] = expm1_lane(lanes[_LO + j] + panel)
    for j in range(active):
        growth, rho = lanes[_GROWTH + j], lanes[_RHO + j]
        lanes[_SLOPE + j] = lanes[_BY_FAR + j] * rho * (1.0 + growth) / (1.0 + rho * growth)
    for j in range(active):
        rho, steep, allowed, panel = lanes[_RHO + j], abs(lanes[_BY_NEAR + j]), lanes[_ALLOWED + j], lanes[_PANEL + j]
        while (steep + lanes[_SLOPE + j]) * panel > 1.001 * allowed:  # steeper at its end than at its beginning
            panel = max(0.5 * panel, allowed / (steep + lanes[_SLOPE + j]))
            growth = expm1_lane(lanes[_LO + j] + panel)
            lanes[_SLOPE + j] = lanes[_BY_FAR + j] * rho * (1.0 + growth) / (1.0 + rho * growth)
            lanes[_GROWTH + j], lanes[_PANEL + j] = growth, panel


@kernel
def _place_nodes(active, nodes, lanes, points):
    """The nodes of all panels, with what belongs to each of them: node by node, lane by lane."""
    for k in range(nodes):
        node, weight, row = _NODES[k], _WEIGHTS[k], k * active
        for j in range(active):
            points[_Y + row + j] = fma(lanes[_PANEL + j], node, lanes[_LO + j])
            points[_G + row + j] = lanes[_PANEL + j] * weight
            points[_RHOS + row + j] = lanes[_RHO + j]
            points[_BY_NEARS + row + j] = lanes[_BY_NEAR + j]
            points[_BY_FARS + row + j] = lanes[_BY_FAR + j]


@kernel
def _evaluate(m, order, points):
    """The integrand times the weight at the first `m` nodes, and what its moments are about."""
    for at in range(m):
        points[_EXCESS + at] = expm1_lane(points[_Y + at])
    for at in range(m):
        points[_Z + at] = log1p_lane(points[_RHOS + at] * points[_EXCESS + at])
    for at in range(m):
        fall = fma(points[_BY_NEARS + at], points[_Y + at], points[_BY_FARS + at] * points[_Z + at])
        points[_G + at] *= exp_lane(-fall)
    if order > 0:
        for at in range(m):
            far = points[_RHOS + at] * points[_EXCESS + at]
            points[_NEAR_FALL + at] = 1.0 / (1.0 + points[_EXCESS + at])
            points[_FAR_FALL + at] = 1.0 / (1.0 + far)
            points[_NEAR_SHARE + at] = points[_EXCESS + at] * points[_NEAR_FALL + at]
            points[_FAR_SHARE + at] = far * points[_FAR_FALL + at]


@kernel
def _add_up(active, nodes, order, lanes, points):
    """Add the integrand and its moments at the nodes to the sums of each lane."""
    for k in range(nodes):
        row = k * active
        for j in range(active):
            lanes[_SUMS + j] += points[_G + row + j]
        if order > 0:
            for j in range(active):
                g = points[_G + row + j]
                lanes[_SUMS + LANES + j] += g * points[_Y + row + j]
                lanes[_SUMS + 2 * LANES + j] += g * points[_NEAR_FALL + row + j]
                lanes[_SUMS + 3 * LANES + j] += g * points[_NEAR_SHARE + row + j]
                lanes[_SUMS + 4 * LANES + j] += g * points[_Z + row + j]
                lanes[_SUMS + 5 * LANES + j] += g * points[_FAR_FALL + row + j]
                lanes[_SUMS + 6 * LANES + j] += g * points[_FAR_SHARE + row + j]
        if order == 2:
            for j in range(active):
                g, y, z = points[_G + row + j], points[_Y + row + j], points[_Z + row + j]
                near, far = points[_NEAR_SHARE + row + j], points[_FAR_SHARE + row + j]
                g_y, g_z, g_near = g * y, g * z, g * near
                lanes[_SUMS + 7 * LANES + j] += g_y * y
                lanes[_SUMS + 8 * LANES + j] += g_y * near
                lanes[_SUMS + 9 * LANES + j] += g_y * z
                lanes[_SUMS + 10 * LANES + j] += g_y * far
                lanes[_SUMS + 11 * LANES + j] += g_near * near
                lanes[_SUMS + 12 * LANES + j] += g_near * z
                lanes[_SUMS + 13 * LANES + j] += g_near * far
                lanes[_SUMS + 14 * LANES + j] += g_z * z
                lanes[_SUMS + 15 * LANES + j] += g_z * far
                lanes[_SUMS + 16 * LANES + j] += g * far * far


@kernel
def _settle(active, order, lanes):
    """Write the results of lanes that are done, and move the others together; how many those are."""
    for j in range(active):
        lanes[_LO + j] += lanes[_PANEL + j]
        far = log1p_lane(lanes[_RHO + j] * lanes[_GROWTH + j])
        lanes[_DECAY + j] = lanes[_BY_NEAR + j] * lanes[_LO + j] + lanes[_BY_FAR + j] * far
        lanes[_LEAST + j] = min(lanes[_LEAST + j], lanes[_DECAY + j])
    left = 0
    for j in range(active):
        end = lanes[_END + j]
        if end - lanes[_LO + j] <= 1e-15 * end or lanes[_DECAY + j] - lanes[_LEAST + j] > _NEGLIGIBLE:
            _finish(j, order, lanes)
        else:
            if left < j:
                for row in range(_WHOSE, USED, LANES):
                    lanes[row + left] = lanes[row + j]
            left += 1
    return left


@kernel
def _finish(j, order, lanes):
    """Turn the sums of a lane into the results of its customer: the integral itself, and the means."""
    i, total = int(lanes[_WHOSE + j]), lanes[_SUMS + j]
    share = 1.0 / total
    lanes[LOG_INTEGRAL + i] = total * (lanes[_NEAR + j] / lanes[B + i])
    for k in range((0, 6, 16)[order]):
        lanes[MOMENTS + k * LANES + i] = lanes[_SUMS + (k + 1) * LANES + j] * share
    if lanes[B + i] < lanes[A + i] and order > 0:
        for k in range(3):
            _swap(k, k + 3, i, lanes)
        for one, other in ((6, 13), (7, 14), (10, 15), (9, 11)):
            _swap(one, other, i, lanes)


@kernel
def _swap(one, other, i, lanes):
    """Exchange two moments of a customer."""
    one, other = MOMENTS + one * LANES + i, MOMENTS + other * LANES + i
    lanes[one], lanes[other] = lanes[other], lanes[one]
