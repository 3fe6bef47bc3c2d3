"""Ranking, calibration and profit by their definitions: every order of tied rows, every threshold, plain sums."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby, pairwise, permutations, product
from math import floor

from scipy import stats
from scipy.integrate import quad


def orders(scores):
    """Every order of the rows by descending score: one for each way to arrange the tied ones."""
    ranked = sorted(range(len(scores)), key=lambda row: -scores[row])
    blocks = [list(permutations(block)) for _, block in groupby(ranked, key=lambda row: scores[row])]
    for choice in product(*blocks):
        yield [row for block in choice for row in block]


def captured(y, scores, n_targeted):
    """Mean share of y among the first n_targeted rows (a Fraction: the last row counts in part), over all orders."""
    whole, part = floor(n_targeted), n_targeted - floor(n_targeted)
    shares = []
    for order in orders(scores):
        found = sum(Fraction(y[row]) for row in order[:whole])
        found += part * Fraction(y[order[whole]]) if part else 0
        shares.append(found / sum(map(Fraction, y)))
    return sum(shares) / len(shares)


def lift(y, scores, fraction):
    """Lift in the first `fraction` of the rows."""
    return captured(y, scores, Fraction(fraction) * len(y)) / Fraction(fraction)


def gini(y, scores):
    """Twice the area between the gains curve and the diagonal, by trapezoids between whole numbers of rows."""
    n = len(y)
    gains = [captured(y, scores, Fraction(k)) for k in range(n + 1)]
    return sum((gains[k] + gains[k + 1]) / n for k in range(n)) - 1


def pairwise_gini(y, scores):
    """Normalized Gini of labels: right minus wrong pairs, over all pairs of a 1 and a 0."""
    pairs = [
        (a, b)
        for a, label in zip(scores, y, strict=True)
        if label
        for b, other in zip(scores, y, strict=True)
        if not other
    ]
    return Fraction(sum((a > b) - (a < b) for a, b in pairs), len(pairs))


def calibration(y, predictions, n_bins):
    """Bins of equal counts in which tied predictions share the bin of their middle rank: list of lists of rows."""
    bins = {}
    for prediction in sorted(set(predictions)):
        below = sum(other < prediction for other in predictions)
        rows = [row for row, other in enumerate(predictions) if other == prediction]
        middle = Fraction(2 * below + len(rows), 2 * len(y))
        bins.setdefault(floor(n_bins * middle), []).extend(rows)
    return [bins[number] for number in sorted(bins)]


def best_campaign(y, scores, stay, clv, incentive, contact):
    """The greatest profit per customer over all thresholds, and the share targeted, at one probability to stay."""
    best = (0.0, 0.0)
    for threshold in set(scores):
        labels = [label for label, score in zip(y, scores, strict=True) if score >= threshold]
        churners = sum(labels)
        profit = churners * (stay * (clv - incentive) - contact) - (len(labels) - churners) * (incentive + contact)
        best = max(best, (profit / len(y), len(labels) / len(y)))
    return best


def empc(y, scores, clv, incentive, contact, alpha, beta):
    """Expected maximum profit, and expected share targeted, by adaptive quadrature between the kinks."""
    density = stats.beta(alpha, beta).pdf
    grid = [k / 400 for k in range(401)]
    totals = []
    for part in (0, 1):

        def integrand(stay, part=part):
            return best_campaign(y, scores, stay, clv, incentive, contact)[part] * density(stay)

        totals.append(sum(quad(integrand, low, high, limit=200)[0] for low, high in pairwise(grid)))
    return totals
