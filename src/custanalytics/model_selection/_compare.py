"""compare_models: forecasts of several models at one or more origins, held against what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, T
from custanalytics._holdouts import holdout_counts
from custanalytics._params import BOOLEAN, NONE, Having, Number, OneOf, check_value, integer
from custanalytics.exceptions import InvalidDataError
from custanalytics.model_selection._comparison import ModelComparison
from custanalytics.model_selection._forecasts import Forecast, PastRate, forecast
from custanalytics.model_selection._origins import Origin, rolling_origins
from custanalytics.model_selection._scoring import MEASURED, SCORES, Pool, differences, groups, ranked, who

OWNER = "compare_models"
BASELINE = "past rate"
NO_COUNTS = "no log score and no CRPS, as it has no predict_count_probabilities()"


class _Run(NamedTuple):
    """A model at an origin, with what it forecast."""

    model: str
    origin: Origin
    forecast: Forecast


def compare_models(
    models: Any,
    table: Any = None,
    holdout: Any = None,
    *,
    horizon: float,
    log: Any = None,
    summary: Any = None,
    cutoffs: Any = 3,
    step: float | None = None,
    end: Any = None,
    refit: bool = True,
    baseline: bool = True,
    ranked_by: str = "log_score",
    max_frequency: int = 7,
) -> ModelComparison:
    """Fit models on the past, and hold their forecasts of purchases against what came.

    At one origin, give the customer `table` as of the cutoff and the `holdout` that followed. At several, give the
    `log`, the `summary` that makes tables of it, and `cutoffs`: each model is then fitted anew at every cutoff, to what
    was known by then.

    Parameters
    ----------
    models : mapping of str to estimator, or list of estimators
        Models of purchases, fitted or not, with `fit(table)`, `predict_purchases(table, horizon)` and, for scores of
        the whole distribution, `predict_count_probabilities(table, n, horizon)`. A list is named by class.
    table : frame or mapping of arrays
        One row per customer, with `frequency`, `T` and what the models need. `customer_id` is needed for a holdout log.
    holdout : str, array-like of shape (n_customers,) or frame
        Purchases of each customer in the holdout: the name of a column of the table, an array, or the log of the
        holdout, as ``temporal_split`` gives it, of which each distinct day with a purchase counts.
    horizon : float
        Length of the holdout, in the time unit of the table or of `summary`.
    log : frame
        Transaction log, in place of `table` and `holdout`.
    summary : estimator
        Unfitted ``RFMSummary``, which says how tables are made of the log: its columns, period and time unit. Its
        `as_of` is set anew at each cutoff.
    cutoffs : int or sequence of date, datetime or str, default=3
        First instants of the holdouts, rounded to the nearest period of `summary`; or how many: the last ones that the
        log allows, as ``rolling_cutoffs`` has them.
    step : float, default=None
        Time between cutoffs that are only counted, in the unit of `summary`; None is `horizon`.
    end : str, date or datetime, default=None
        The instant up to which the log was observed, itself excluded; None is the end of the day of its last event.
    refit : bool, default=True
        Whether to fit a copy of each model at each origin. False takes the models as they are: fitted before, and not
        to anything that came after the first origin.
    baseline : bool, default=True
        Whether to add the rule of thumb that everybody goes on as before, ``frequency / T * horizon``, as "past rate".
    ranked_by : {"log_score", "crps", "mae", "rmse", "gini"}, default="log_score"
        The score that ranks. Models that do not have it come last, by their root mean squared error, which ranks all
        where no model has it.
    max_frequency : int, default=7
        The last group of `by_group`: customers with so many repeat purchases, or more.

    Returns
    -------
    ModelComparison
        With the frames `ranking`, `scores`, `by_group` and `differences`, of the library of the table or the log.

    Raises
    ------
    ValueError
        If a parameter cannot be used, or the data of one way and of the other are mixed.
    InvalidDataError
        If counts are missing or no whole numbers, a horizon reaches beyond the log, or the table has seen purchases of
        the holdout.

    Warns
    -----
    DataQualityWarning
        If a holdout log goes on beyond the horizon, or ends before half of it, by the table's `first_seen` and `T`.

    See Also
    --------
    rolling_cutoffs : Where the cutoffs come from.
    temporal_split : One past and one future of a log.
    ModelComparison : What comes back.

    Notes
    -----
    With :math:`P_i` a model's distribution of the count of customer i, :math:`x_i` the count that came and
    :math:`\\mu_i` the expected one, the scores over n customers are

    .. math::

        \\text{log score} &= \\frac{1}{n} \\sum_i \\log P_i(x_i), \\\\
        \\text{CRPS} &= \\frac{1}{n} \\sum_i \\sum_{k \\ge 0} \\big(P_i(X \\le k) - 1\\{x_i \\le k\\}\\big)^2,

    the mean absolute and the root mean squared error of :math:`\\mu_i`, and the normalised Gini coefficient of the
    order by :math:`\\mu_i` (that of ``gini_score``). Larger is better for the log score and the Gini, smaller for the
    rest. The log score and the CRPS are proper [1]_: in expectation no forecast beats the truth, and among expected
    counts the same holds of the squared error. The absolute error is not: as most customers buy nothing, it favours a
    model that expects too little. The sum over k ends where a probability of less than 1e-6 is left: what is left out
    is of the order of its square.

    A holdout is what a summary a horizon later has over the one at the cutoff. Customers who first buy after the cutoff
    are no part of it, and a return that cancels an old order takes nothing off a count below 0.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", Journal of
       the American Statistical Association 102(477), 359-378; equations 20 and 21 (CRPS).
       https://doi.org/10.1198/016214506000001437
    .. [2] C. Czado, T. Gneiting and L. Held (2009), "Predictive Model Assessment for Count Data", Biometrics 65(4),
       1254-1261. https://doi.org/10.1111/j.1541-0420.2009.01191.x

    Examples
    --------
    >>> from custanalytics.clv import BetaGeoModel, NBDModel
    >>> from custanalytics.datasets import load_cdnow
    >>> from custanalytics.model_selection import compare_models, temporal_split
    >>> from custanalytics.rfm import RFMSummary
    >>> models = {"BG/NBD": BetaGeoModel(), "NBD": NBDModel()}
    >>> past, future = temporal_split(load_cdnow(), "1997-10-01", horizon=39, time_unit="W")
    >>> table = RFMSummary(as_of="1997-09-30").fit_transform(past)
    >>> found = compare_models(models, table, future, horizon=39)
    >>> found.ranking[["model", "log_score", "crps", "predicted_to_actual", "difference", "standard_error"]].round(3)
           model  log_score   crps  predicted_to_actual  difference  standard_error
    0     BG/NBD     -0.984  0.510                0.879       0.000             NaN
    1        NBD     -1.064  0.604                1.557       0.079           0.015
    2  past rate        NaN    NaN                1.557         NaN             NaN

    At three origins of thirteen weeks each:

    >>> rolling = compare_models(models, log=load_cdnow(), summary=RFMSummary(), cutoffs=3, horizon=13)
    >>> rolling.scores["origin"].unique().tolist(), rolling.best
    (['1997-10-01', '1997-12-31', '1998-04-01'], 'BG/NBD')
    """
    _check(horizon, step, refit, baseline, ranked_by, max_frequency)
    named = _named(models, refit)
    if baseline and BASELINE in named:
        raise ValueError(f"The name {BASELINE!r} is that of the baseline: rename your model, or pass baseline=False.")
    runs: list[_Run] = []
    for origin in _origins(table, holdout, float(horizon), log, summary, cutoffs, step, end):
        everybody = {**named, BASELINE: PastRate()} if baseline else named
        for name, model in everybody.items():
            again = name == BASELINE or refit
            runs.append(_Run(name, origin, _forecast(model, origin, name, again)))
    return _assembled(runs, ranked_by, int(max_frequency))


def _check(horizon: Any, step: Any, refit: Any, baseline: Any, ranked_by: Any, max_frequency: Any) -> None:
    check_value("horizon", horizon, (Number(0, closed="neither"),), OWNER)
    check_value("step", step, (Number(0, closed="neither"), NONE), OWNER)
    check_value("refit", refit, (BOOLEAN,), OWNER)
    check_value("baseline", baseline, (BOOLEAN,), OWNER)
    check_value("ranked_by", ranked_by, (OneOf(SCORES),), OWNER)
    check_value("max_frequency", max_frequency, (integer(1),), OWNER)


def _named(models: Any, refit: bool) -> dict[str, Any]:
    """The models by name."""
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    elif isinstance(models, Iterable) and not _frames.is_frame(models):
        given = list(models)
        named = {type(model).__name__: model for model in given}
        if len(named) < len(given):
            raise ValueError(f"{OWNER} needs a name for each model of one class: pass a dict, {{'name': model, ...}}.")
    else:
        raise ValueError(
            f"{OWNER} takes models as {{'name': model, ...}} or a list of them, before the table. Got "
            f"{type(models).__name__} instead."
        )
    if not named:
        raise ValueError(f"{OWNER} needs at least one model.")
    methods = ("fit", "predict_purchases") if refit else ("predict_purchases",)
    for name, model in named.items():
        check_value("models", model, (Having(methods),), f"{OWNER}, at {name!r},")
    return named


def _origins(
    table: Any, holdout: Any, horizon: float, log: Any, summary: Any, cutoffs: Any, step: float | None, end: Any
) -> Iterable[Origin]:
    """The tables and what came: the one given, or those of the log."""
    if log is None:
        if table is None or holdout is None:
            raise ValueError(
                f"{OWNER} needs a table and its holdout, or a log with a summary: "
                "compare_models(models, table, holdout, horizon=39), or "
                "compare_models(models, log=log, summary=RFMSummary(), cutoffs=3, horizon=13)."
            )
        if summary is not None:
            raise ValueError(f"{OWNER} makes tables with the summary from a log: pass log=..., or leave summary out.")
        frame = _frames.read(table, (FREQUENCY, T), OWNER, "RFMSummary makes such a table from a transaction log.")
        return [Origin("table", _filled(frame), holdout_counts(frame, holdout, OWNER, horizon), horizon)]
    if table is not None or holdout is not None:
        raise ValueError(f"{OWNER} takes a table with its holdout or a log, not both.")
    check_value("summary", summary, (Having(("get_params", "fit_transform")),), f"{OWNER} with a log")
    if isinstance(cutoffs, Real):
        check_value("cutoffs", cutoffs, (integer(1),), OWNER)
    found = rolling_origins(log, summary, cutoffs, horizon, step, end, OWNER)
    return (origin._replace(frame=_filled(origin.frame)) for origin in found)


def _filled(frame: Any) -> Any:
    if len(frame) == 0:
        raise InvalidDataError(f"{OWNER} needs at least one customer; the table has none.")
    return frame


def _forecast(model: Any, origin: Origin, name: str, refit: bool) -> Forecast:
    """The forecast of a model, of a copy that is fitted to the origin's table where it is to be."""
    try:
        if refit:
            model = (model if isinstance(model, PastRate) else clone(model)).fit(origin.frame.to_native())
        return forecast(model, origin.frame, origin.came, origin.horizon, name)
    except Exception as error:
        error.add_note(f"This happened in {OWNER}, to the model {name!r} at the origin {origin.name}.")
        raise


def _assembled(runs: list[_Run], ranked_by: str, max_frequency: int) -> ModelComparison:
    """The four frames."""
    kind = _frames.kind(runs[0].origin.frame)
    names = list(dict.fromkeys(run.model for run in runs))
    mine = {name: [run for run in runs if run.model == name] for name in names}
    pools = {name: Pool([(run.origin, run.forecast) for run in each]) for name, each in mine.items()}
    found = {name: pool.scores() for name, pool in pools.items()}
    ranked_by = ranked_by if any(not np.isnan(each[ranked_by]) for each in found.values()) else "rmse"
    order = ranked(found, ranked_by)
    gaps = differences(pools, order, who(run.origin for run in mine[names[0]]))
    first = {gap["model"]: gap for gap in gaps if gap["score"] == MEASURED.get(ranked_by) and gap["better"] == order[0]}
    ranking = []
    for name in order:
        gap = first.get(name, {"difference": 0.0 if name == order[0] else np.nan, "standard_error": np.nan})
        ranking.append({"model": name, **found[name], **{what: gap[what] for what in ("difference", "standard_error")}})
    scores = [
        {
            "origin": run.origin.name,
            "model": run.model,
            "n_customers": run.origin.came.size,
            "horizon": run.origin.horizon,
            **Pool([(run.origin, run.forecast)]).scores(),
        }
        for run in runs
    ]
    grouped = [groups(run.model, run.origin, run.forecast, max_frequency) for run in runs]
    return ModelComparison(
        scores=_frames.table(_columns(scores), kind),
        by_group=_frames.table({name: np.concatenate([each[name] for each in grouped]) for name in grouped[0]}, kind),
        ranking=_frames.table(_columns(ranking), kind),
        differences=_frames.table(_columns(gaps) or _columns_of_none(), kind),
        ranked_by=ranked_by,
        notes=_notes(mine, found),
    )


def _columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _columns_of_none() -> dict[str, np.ndarray]:
    """The columns of the differences of a single model."""
    words = {name: np.array([], dtype=str) for name in ("score", "model", "better")}
    return {**words, **{name: np.array([]) for name in ("difference", "standard_error")}}


def _notes(mine: dict[str, list[_Run]], found: dict[str, dict[str, float]]) -> dict[str, tuple[str, ...]]:
    """What is missing, and why."""
    notes = {}
    for name, runs in mine.items():
        reasons = []
        if np.isnan(found[name]["log_score"]):
            reasons.append(NO_COUNTS)
        impossible = sum(int(np.isneginf(run.forecast.log_score).sum()) for run in runs)
        if impossible:
            reasons.append(f"held what came impossible for {impossible:,} customers: its log score is -inf")
        if np.isnan(found[name]["gini"]):
            reasons.append("no Gini, as all customers bought equally often in the holdout")
        if reasons:
            notes[name] = tuple(reasons)
    return notes
