"""A transaction log of customers whose traits, lifetimes and future are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from custanalytics._columns import DAYS_PER_UNIT
from custanalytics._params import NONE, POSITIVE, Number, OneOf, Rule, check_value, integer
from custanalytics.datasets._processes import Careers, bg_nbd, choose, pareto_nbd, tastes

if TYPE_CHECKING:
    import pandas as pd

MICROSECONDS_PER_DAY = 86_400_000_000
MEAN_DAYS_TO_RETURN = 14.0
MEAN_EXTRA_UNITS = 0.25

# Maximum likelihood estimates on the CDNOW sample, time in weeks; `alpha` and `beta` are times.
CDNOW: dict[str, dict[str, float]] = {
    "pareto_nbd": {"r": 0.553277, "alpha": 10.577683, "s": 0.606240, "beta": 11.668729},
    "bg_nbd": {"r": 0.242595, "alpha": 4.413602, "a": 0.792922, "b": 2.425907},
}
TIMES = ("alpha", "beta")

_RULES: dict[str, tuple[Rule, ...]] = {
    "n_customers": (integer(1),),
    "duration": (POSITIVE,),
    "acquisition": (Number(0),),
    "holdout": (Number(0),),
    "time_unit": (OneOf(tuple(DAYS_PER_UNIT)),),
    "model": (OneOf(tuple(CDNOW)),),
    **dict.fromkeys(("r", "alpha", "s", "beta", "a", "b"), (POSITIVE, NONE)),
    **dict.fromkeys(("p", "q", "v"), (POSITIVE,)),
    "lines_per_order": (Number(1),),
    "n_products": (integer(1),),
    "return_rate": (Number(0, 1),),
    "seed": (integer(0),),
}


class SimulatedTransactions(NamedTuple):
    """What `simulate_transactions` gives: the log that an analyst sees, and the truth behind it.

    Parameters
    ----------
    log : pandas.DataFrame
        One row per line of an order, in order of time: ``customer_id``, ``timestamp``, ``amount``, ``order_id``,
        ``product_id``, ``quantity``.
    truth : pandas.DataFrame
        One row per customer; the columns are listed at `simulate_transactions`.

    See Also
    --------
    simulate_transactions : Makes one.

    Examples
    --------
    >>> from custanalytics.datasets import SimulatedTransactions, simulate_transactions
    >>> log, truth = simulate_transactions(n_customers=3)
    >>> isinstance(simulate_transactions(n_customers=3), SimulatedTransactions)
    True
    """

    log: pd.DataFrame
    truth: pd.DataFrame


def simulate_transactions(
    *,
    n_customers: int = 1000,
    start: str = "2020-01-01",
    duration: float = 78.0,
    acquisition: float = 12.0,
    holdout: float = 0.0,
    time_unit: str = "W",
    model: str = "pareto_nbd",
    r: float | None = None,
    alpha: float | None = None,
    s: float | None = None,
    beta: float | None = None,
    a: float | None = None,
    b: float | None = None,
    p: float = 6.249572,
    q: float = 3.744225,
    v: float = 15.443521,
    lines_per_order: float = 2.0,
    n_products: int = 20,
    return_rate: float = 0.0,
    seed: int = 0,
) -> SimulatedTransactions:
    """Simulate the log of customers who buy until they silently leave, and keep the truth about each.

    For tests of models against what they try to learn, for power calculations and for timing. Purchases come in
    exact continuous time: a summary by days or weeks sees them rounded, which moves estimates slightly. Nothing
    here depends on the season, the price or the earlier purchases of a customer.

    Parameters
    ----------
    n_customers : int, default=1000
        How many customers make at least their first purchase.
    start : str or datetime-like, default="2020-01-01"
        The instant at which the log starts.
    duration : float, default=78.0
        How long the log lasts, in `time_unit`: it covers ``[start, start + duration)``.
    acquisition : float, default=12.0
        First purchases are uniform over this first part of the log, in `time_unit`; 0 lets all customers start at
        `start`.
    holdout : float, default=0.0
        The time after the end of the log over which the truth counts purchases, in `time_unit`.
    time_unit : {"h", "D", "W", "M", "Y"}, default="W"
        The unit of every duration and rate here.
    model : {"pareto_nbd", "bg_nbd"}, default="pareto_nbd"
        How customers leave: at a constant rate of time, or with a constant probability after each repeat purchase.
    r, alpha : float, default=None
        Purchase rates are gamma distributed with shape `r` and rate `alpha` (in `time_unit`): mean ``r / alpha``.
        None is the value of the model fitted to CDNOW, converted to `time_unit`; so for the next four.
    s, beta : float, default=None
        For ``"pareto_nbd"``: dropout rates are gamma distributed with shape `s` and rate `beta` (in `time_unit`).
    a, b : float, default=None
        For ``"bg_nbd"``: dropout probabilities are beta distributed with mean ``a / (a + b)``.
    p, q, v : float, default=6.249572, 3.744225, 15.443521
        Gamma-Gamma spend: the values of a customer's orders are gamma distributed with shape `p` and rate nu,
        and nu is so over customers with shape `q` and rate `v` (in the currency of the log). The mean value of an
        order is ``p * v / (q - 1)``, infinite for ``q <= 1``.
    lines_per_order : float, default=2.0
        The mean number of lines of an order, 1 plus a Poisson number; its value is divided among them.
    n_products : int, default=20
        How many products there are, numbered from 0.
    return_rate : float, default=0.0
        The probability that a line is returned: a later row of the same order with the amount and the quantity
        negative, after an exponential time with a mean of 14 days. Returns after the end are not seen.
    seed : int, default=0
        The same seed gives the same result (with the same release of NumPy).

    Returns
    -------
    SimulatedTransactions
        ``log, truth``. The truth has one row per customer, with the columns:

        - ``customer_id`` (int64, from 1) and ``first_purchase`` (datetime64[us]);
        - ``rate``: purchases per `time_unit` while alive;
        - ``dropout``: the rate per `time_unit` (Pareto/NBD) or the probability after a repeat purchase (BG/NBD);
        - ``lifetime``: from first purchase to dropout in `time_unit`, and ``alive``: whether that lies after the end;
        - ``frequency``, ``recency``, ``T``, ``monetary_value``: the summary of the log in continuous time, where
          every repeat order is a period of its own (returns are ignored);
        - ``mean_spend``: the mean value of the customer's orders, ``p / nu``;
        - ``n_future``: purchases in the `holdout` after the end;
        - ``favourite_product``, and the probabilities ``affinity_0`` … of each product in the customer's lines.

    Raises
    ------
    ValueError
        Where a parameter is out of its range or belongs to the other model.

    See Also
    --------
    load_cdnow : Real purchases of one cohort.

    Notes
    -----
    Given how many purchases a Poisson process makes in a span, their times are independent and uniform. For the
    BG/NBD the number K of repeat purchases until dropout is geometric, the lifetime is a gamma variable with shape K,
    and given that the K − 1 purchases before it are uniform. Both facts are exact, so that no customer is stepped
    through purchase by purchase. Each customer's affinities are Dirichlet around one of four common tastes.

    References
    ----------
    .. [1] Schmittlein, D. C., Morrison, D. G. and Colombo, R. (1987), "Counting your customers: who are they and
       what will they do next?", Management Science 33(1), 1-24. https://doi.org/10.1287/mnsc.33.1.1
    .. [2] Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005), "'Counting your customers' the easy way: an
       alternative to the Pareto/NBD model", Marketing Science 24(2), 275-284, assumptions i-v of section 3.
       https://doi.org/10.1287/mksc.1040.0098
    .. [3] Fader, P. S. and Hardie, B. G. S. (2013), "The Gamma-Gamma model of monetary value", technical note 025,
       section 2. http://www.brucehardie.com/notes/025/

    Examples
    --------
    >>> from custanalytics.datasets import simulate_transactions
    >>> log, truth = simulate_transactions(n_customers=500, holdout=26, seed=1)
    >>> list(log.columns)
    ['customer_id', 'timestamp', 'amount', 'order_id', 'product_id', 'quantity']
    >>> int(truth["frequency"].sum()) + 500 == log["order_id"].nunique()
    True
    >>> bool(truth.loc[~truth["alive"], "n_future"].any())
    False
    """
    given = dict(locals())
    for name, rules in _RULES.items():
        check_value(name, given[name], rules, "simulate_transactions")
    if acquisition > duration:
        raise ValueError(
            f"The 'acquisition' parameter of simulate_transactions must be at most duration={duration!r}. "
            f"Got {acquisition!r} instead."
        )
    traits = _traits(model, time_unit, {name: given[name] for name in ("r", "alpha", "s", "beta", "a", "b")})
    rng = np.random.default_rng(seed)
    clock = _Clock(start, duration, holdout, time_unit)
    arrival = rng.random(n_customers) * acquisition
    window = duration + holdout - arrival
    careers = (bg_nbd if model == "bg_nbd" else pareto_nbd)(rng, window, **traits)
    purchases = _purchases(rng, careers, arrival, clock, (p, q, v))
    shares = tastes(rng, n_customers, n_products)
    log = _log(rng, purchases, shares, lines_per_order, return_rate, clock)
    return SimulatedTransactions(log, _truth(careers, purchases, arrival, shares, clock))


class _Clock:
    # Converts times since the start, in `time_unit`, to whole microseconds; the log ends before `end`.
    def __init__(self, start: str, duration: float, holdout: float, time_unit: str) -> None:
        self.start = np.datetime64(start, "us")
        self.duration = duration
        self.unit = DAYS_PER_UNIT[time_unit] * MICROSECONDS_PER_DAY
        self.end = int(np.ceil(duration * self.unit))
        self.end_of_holdout = int(np.ceil((duration + holdout) * self.unit))

    def ticks(self, times: np.ndarray) -> np.ndarray:
        return np.floor(times * self.unit).astype(np.int64)

    def instants(self, ticks: np.ndarray) -> np.ndarray:
        return self.start + ticks.astype("timedelta64[us]")


class _Purchases(NamedTuple):
    customer: np.ndarray  # (n_purchases,) ascending
    since_first: np.ndarray  # (n_purchases,) in time_unit
    ticks: np.ndarray  # (n_purchases,) microseconds since the start
    value: np.ndarray  # (n_purchases,)
    seen: np.ndarray  # (n_purchases,) whether before the end of the log
    mean_spend: np.ndarray  # (n_customers,)


def _traits(model: str, time_unit: str, given: dict[str, float | None]) -> dict[str, float]:
    scale = DAYS_PER_UNIT["W"] / DAYS_PER_UNIT[time_unit]
    defaults = {name: value * scale if name in TIMES else value for name, value in CDNOW[model].items()}
    foreign = [name for name, value in given.items() if value is not None and name not in defaults]
    if foreign:
        raise ValueError(
            f"The parameters {foreign} of simulate_transactions do not belong to model={model!r}, "
            f"which takes {list(defaults)}."
        )
    return {name: default if (value := given[name]) is None else float(value) for name, default in defaults.items()}


def _purchases(
    rng: np.random.Generator,
    careers: Careers,
    arrival: np.ndarray,
    clock: _Clock,
    spend: tuple[float, float, float],
) -> _Purchases:
    p, q, v = spend
    customer = np.repeat(np.arange(arrival.size), np.diff(careers.starts))
    ticks = clock.ticks(careers.times + arrival[customer])
    nu = rng.standard_gamma(q, arrival.size) / v
    value = rng.standard_gamma(p, customer.size) / nu[customer]
    return _Purchases(customer, careers.times, ticks, value, ticks < clock.end, p / nu)


def _log(
    rng: np.random.Generator,
    purchases: _Purchases,
    shares: np.ndarray,
    lines_per_order: float,
    return_rate: float,
    clock: _Clock,
) -> pd.DataFrame:
    import pandas as pd

    seen = np.flatnonzero(purchases.seen)
    orders = seen[np.argsort(purchases.ticks[seen], kind="stable")]
    n_lines = 1 + rng.poisson(lines_per_order - 1, orders.size)
    order_id = np.repeat(np.arange(orders.size), n_lines)
    line = orders[order_id]
    weight = rng.uniform(0.5, 1.5, line.size)
    total = np.add.reduceat(weight, np.cumsum(n_lines) - n_lines)
    columns = {
        "customer_id": purchases.customer[line] + 1,
        "timestamp": purchases.ticks[line],
        "amount": purchases.value[line] * weight / total[order_id],
        "order_id": order_id,
        "product_id": choose(rng, shares, purchases.customer[line]),
        "quantity": 1 + rng.poisson(MEAN_EXTRA_UNITS, line.size),
    }
    if return_rate > 0:
        columns = _with_returns(rng, columns, return_rate, clock.end)
    columns["timestamp"] = clock.instants(columns["timestamp"])
    return pd.DataFrame(columns, copy=False)


def _with_returns(
    rng: np.random.Generator, columns: dict[str, np.ndarray], return_rate: float, end: int
) -> dict[str, np.ndarray]:
    back = np.flatnonzero(rng.random(columns["amount"].size) < return_rate)
    delay = rng.standard_exponential(back.size) * (MEAN_DAYS_TO_RETURN * MICROSECONDS_PER_DAY)
    ticks = columns["timestamp"][back] + 1 + delay.astype(np.int64)
    back, ticks = back[ticks < end], ticks[ticks < end]
    returns = {name: values[back] for name, values in columns.items()}
    returns |= {"timestamp": ticks, "amount": -returns["amount"], "quantity": -returns["quantity"]}
    order = np.argsort(np.concatenate([columns["timestamp"], ticks]), kind="stable")
    return {name: np.concatenate([columns[name], returns[name]])[order] for name in columns}


def _truth(
    careers: Careers, purchases: _Purchases, arrival: np.ndarray, shares: np.ndarray, clock: _Clock
) -> pd.DataFrame:
    import pandas as pd

    first = careers.starts[:-1]
    seen = np.add.reduceat(purchases.seen, first, dtype=np.int64)
    later = (purchases.ticks >= clock.end) & (purchases.ticks < clock.end_of_holdout)
    value = np.add.reduceat(np.where(purchases.seen, purchases.value, 0.0), first) - purchases.value[first]
    frequency = seen - 1
    known = {
        "customer_id": np.arange(arrival.size) + 1,
        "first_purchase": clock.instants(purchases.ticks[first]),
        "rate": careers.rate,
        "dropout": careers.dropout,
        "lifetime": careers.lifetime,
        "alive": arrival + careers.lifetime > clock.duration,
        "frequency": frequency,
        "recency": np.maximum.reduceat(np.where(purchases.seen, purchases.since_first, 0.0), first),
        "T": clock.duration - arrival,
        "monetary_value": np.where(frequency > 0, value / np.maximum(frequency, 1), 0.0),
        "mean_spend": purchases.mean_spend,
        "n_future": np.add.reduceat(later, first, dtype=np.int64),
        "favourite_product": shares.argmax(axis=1),
    }
    names = [f"affinity_{product}" for product in range(shares.shape[1])]
    return pd.concat([pd.DataFrame(known), pd.DataFrame(shares, columns=names, copy=False)], axis=1)
