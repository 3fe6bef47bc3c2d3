"""Scores of forecasts by their definitions, customer by customer."""

from __future__ import annotations

from math import exp, lgamma, log, sqrt


def poisson(k, mean):
    """P(X = k)."""
    if mean == 0:
        return 1.0 if k == 0 else 0.0
    return exp(k * log(mean) - mean - lgamma(k + 1))


def crps(chances, came):
    """Sum over k of (P(X <= k) - 1{came <= k})^2, for the probabilities of 0, 1, 2, …"""
    total = reached = 0.0
    for k, chance in enumerate(chances):
        reached += chance
        total += (reached - (1.0 if came <= k else 0.0)) ** 2
    return total


def clustered(rows):
    """Mean and standard error of (customer, difference) rows, over customers."""
    mean = sum(value for _, value in rows) / len(rows)
    sums = {}
    for customer, value in rows:
        sums[customer] = sums.get(customer, 0.0) + value - mean
    n = len(sums)
    return mean, sqrt(n / (n - 1) * sum(each**2 for each in sums.values())) / len(rows)


def repeats(rows):
    """From (customer, day) rows: the first day of each customer, and every later distinct one."""
    first, later = {}, []
    for customer, day in sorted(set(rows)):
        if customer in first:
            later.append(day)
        else:
            first[customer] = day
    return first, later


def tracked(expectation, rows, week):
    """Actual and expected repeat purchases in the first weeks after the first day of all."""
    first, later = repeats(rows)
    start = min(first.values())
    actual = sum(1 for day in later if day < start + 7 * week)
    ages = [(start + 7 * week - day) / 7 for day in first.values()]
    return actual, sum(expectation(age) for age in ages if age > 0)
