"""The No-U-Turn sampler of nutpie on our own log-density and gradient, and ArviZ data: the extra `bayes`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from custanalytics._params import require_extra, warn
from custanalytics.clv._posterior_target import Target
from custanalytics.exceptions import FitWarning

CHAINS = 4
WARM_UP = 400  # the coordinates are whitened at the mode, so that little is left to adapt
PURPOSE = 'posterior(method="nuts")'


@dataclass(frozen=True)
class Chains:
    """Positions of all chains, one after the other, in standard deviations from the mode."""

    positions: np.ndarray
    chains: int
    statistics: dict[str, np.ndarray]  # by chain and draw


class OutsideError(ValueError):
    """The density is not defined here; the sampler turns back."""

    is_recoverable = True


def require() -> tuple[Any, Any]:
    """The modules nutpie and ArviZ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ announces its next version on import
        return require_extra("nutpie", "bayes", PURPOSE), require_extra("arviz", "bayes", PURPOSE)


def sample(target: Target, n_draws: int, rng: np.random.Generator) -> Chains:
    """At least `n_draws` draws in four chains, started near the mode."""
    nutpie, _ = require()
    compiled = require_extra("nutpie.compiled_pyfunc", "bayes", PURPOSE)
    width = target.root.shape[1]

    def density(z: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = target.objective(target.mode + target.root @ z)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise OutsideError("The log-posterior is not finite.")
        return -value, -(gradient @ target.root)

    model = compiled.from_pyfunc(
        ndim=width,
        make_logp_fn=lambda: density,
        make_expand_fn=lambda *seeds: lambda z: {"z": np.array(z)},
        expanded_dtypes=[np.dtype(np.float64)],
        expanded_shapes=[(width,)],
        expanded_names=["z"],
        make_initial_point_fn=lambda seed: np.random.default_rng(seed).normal(size=width),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = nutpie.sample(
            model,
            draws=-(-n_draws // CHAINS),
            tune=WARM_UP,
            chains=CHAINS,
            seed=int(rng.integers(1 << 31)),
            progress_bar=False,
            save_warmup=False,
        )
    diverging = np.asarray(trace.sample_stats["diverging"], dtype=bool)
    if diverging.any():
        warn(
            f"NUTS: {int(diverging.sum()):,} of {diverging.size:,} draws diverged: the posterior has corners that "
            "they did not get into. Give the model a prior, penalty=0.1.",
            FitWarning,
        )
    positions = np.asarray(trace.posterior["z"], dtype=np.float64).reshape(-1, width)
    return Chains(positions, diverging.shape[0], {"diverging": diverging})


def effective_size(logs: np.ndarray, chains: int) -> float:
    """The smallest effective sample size (bulk) over the coordinates that vary."""
    _, arviz = require()
    columns = [column.reshape(chains, -1) for column in logs.T if np.ptp(column) > 0]
    return float(min(arviz.ess(column) for column in columns))


def inference_data(draws: Mapping[str, np.ndarray], statistics: Mapping[str, np.ndarray]) -> Any:
    """ArviZ data of draws by chain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arviz = require_extra("arviz", "bayes", "to_arviz()")
        return arviz.from_dict(posterior=dict(draws), sample_stats=dict(statistics) or None)
