"""Maximum likelihood on exact sufficient statistics: compression, the solver, and what the curvature says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import cast

import numpy as np

from custanalytics import _jit
from custanalytics.clv._compression import Sample as Sample
from custanalytics.clv._compression import compress as compress
from custanalytics.clv._compression import distinct as distinct
from custanalytics.clv._optimum import BOUNDARY as BOUNDARY
from custanalytics.clv._optimum import BOX as BOX
from custanalytics.clv._optimum import FLAT as FLAT
from custanalytics.clv._optimum import Objective as Objective
from custanalytics.clv._optimum import Optimum as Optimum
from custanalytics.clv._optimum import Shape as Shape
from custanalytics.clv._optimum import at_limit as at_limit
from custanalytics.clv._optimum import directions as directions
from custanalytics.clv._optimum import errors as errors
from custanalytics.clv._optimum import of_natural as of_natural
from custanalytics.clv._optimum import shape as shape
from custanalytics.clv._optimum import skewness as skewness
from custanalytics.clv._optimum import undetermined as undetermined
from custanalytics.clv._optimum import without_variance as without_variance

LONGEST_STEP = 2.0  # in log-parameters
STEP = 1e-5  # of the central differences of the gradient: error about 1e-10 of the curvature
FAST = 0.05  # fall of the expected gain from step to step that an old curvature must still give
PARTS, FEWEST = 16, 2048  # into so many slices a sample is cut, of so many distinct rows at least
SMALL = 512  # distinct rows up to which every start is tried
ENOUGH = 2048  # distinct rows that tell the skewness of larger samples, where a row costs little
AWAY = 3.0  # spreads of a covariate: how far from 0 a further start has coefficients
FEW = 64  # distinct rows by which starts are put in order where samples are large
COARSE = (256, 4096, 32768)  # distinct rows of the first fits of larger samples
SAME = 0.02  # in log-parameters: climbs of a large sample that begin so near each other are one
LOOSE = 0.05  # of customers per row: the gain at which a coarse fit stops, far below that of the rows it omits
BATCH = 64  # points whose likelihoods one thread evaluates at a time
SHORT = 1e-3  # length of a last step, in log-parameters, that needs no proof
HALVINGS = 20  # of a step; a still shorter one that improves does so by rounding alone
IDLE = 3  # steps in a row without any improvement after which rounding has the last word
RESOLUTION = 1e-12  # of a log-likelihood: a gain below, which no step shows, is as small as it can be known to be
FAR, IN_SIGHT = 1.0, 10.0  # of a log-likelihood, and of the gain of the next step: how far is too far
TINY = 1e-300
ROUNDING = float(np.finfo(float).eps) * BOX  # of the logarithms of powers of 1, times the power


def total(loop: Callable[..., None], sample: Sample, theta: np.ndarray, second: bool = False) -> np.ndarray:
    """Log-likelihood and gradient over the sample: shape (1 + n_params,).

    With `second`, for loops that give them, also the second derivatives by the logarithms of the parameters, the
    upper triangle row by row: shape (1 + n_params + n_params * (n_params + 1) / 2,).
    """
    n, k = sample.weight.size, theta.size
    width = 1 + k + (k * (k + 1) // 2 if second else 0)
    size = min(max(n // PARTS, FEWEST), _jit.SLICE)
    parts = np.zeros((len(_jit.slices(n, size)), width))
    _jit.run(loop, n, *sample.columns, sample.weight, theta, parts=parts, size=size)
    result = np.zeros(width)
    for part in parts:  # in slice order: the same bits for any number of threads
        result += part
    return result


def gradients(loop: Callable[..., None], sample: Sample, theta: np.ndarray) -> np.ndarray:
    """Gradient of the log-likelihood of each distinct row: shape (n_rows, n_params)."""
    result, one = np.zeros((sample.weight.size, 1 + theta.size)), np.ones(1)
    for row, out in enumerate(result):
        _jit.call(loop, 0, 1, *(column[row : row + 1] for column in sample.columns), one, theta, out=(out[None],))
    return result[:, 1:]


@dataclass(frozen=True)
class Penalty:
    """Weighted squares of the log-parameters' distances from a centre: minus the logarithm of a normal prior."""

    weight: np.ndarray | float = 0.0  # 1 / (2 variance)
    centre: np.ndarray | float = 0.0

    def value(self, logs: np.ndarray) -> float:
        """What is taken off the log-likelihood."""
        away = logs - self.centre
        return float((self.weight * away) @ away)

    def gradient(self, logs: np.ndarray) -> np.ndarray:
        """Its derivatives: shape (n_params,)."""
        return 2.0 * self.weight * (logs - self.centre)

    def hessian(self, logs: np.ndarray) -> np.ndarray:
        """Its second derivatives: shape (n_params, n_params)."""
        result = np.zeros((logs.size, logs.size))
        result.flat[:: logs.size + 1] = 2.0 * self.weight
        return result


@dataclass(frozen=True)
class Likelihood:
    """The function of the logarithms of the scaled parameters to minimise: value and gradient.

    The parameters are exp(logs) times `units`, but for the last ones, `coefficients` of them, which are as they are.
    """

    loop: Callable[..., None]
    sample: Sample
    penalty: Penalty = Penalty()
    exact: bool = False  # whether the loop gives second derivatives: they cost little beside the value
    units: np.ndarray | float = 1.0
    coefficients: int = 0
    last: dict[bytes, np.ndarray] = field(default_factory=dict)  # what the loop gave where last evaluated

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        theta = self.natural(logs)
        slopes = theta.copy()  # of the parameters by their logarithms
        if self.coefficients:
            slopes[-self.coefficients :] = 1.0
        result = total(self.loop, self.sample, theta, second=self.exact)
        if self.exact:
            self.last.clear()
            self.last[logs.tobytes()] = result
        value = self.penalty.value(logs) - result[0]
        return value, self.penalty.gradient(logs) - result[1 : 1 + logs.size] * slopes

    def natural(self, logs: np.ndarray) -> np.ndarray:
        """The parameters themselves, of one point or of one in each row."""
        theta = np.exp(logs) * self.units
        if self.coefficients:
            theta[..., -self.coefficients :] = logs[..., -self.coefficients :]
        return theta

    def log_likelihoods(self, thetas: np.ndarray) -> np.ndarray:
        """Without the penalty, of parameters in each row: shape (n_rows,)."""
        if self.sample.weight.size > _jit.SLICE:  # the threads are busy with the slices of one point
            return np.array([total(self.loop, self.sample, theta)[0] for theta in thetas])
        values = np.empty(len(thetas))
        _jit.run(self._evaluate, len(thetas), thetas, out=(values,), size=BATCH)
        return values

    def _evaluate(self, start: int, stop: int, thetas: np.ndarray, out: np.ndarray) -> None:
        """Log-likelihoods of some points, on this thread."""
        columns = [column.view() for column in (*self.sample.columns, self.sample.weight)]
        for column in columns:
            column.flags.writeable = False
        part = np.zeros((1, 1 + thetas.shape[1]))
        for i in range(start, stop):
            part[:] = 0.0
            self.loop(0, self.sample.weight.size, *columns, thetas[i], part)
            out[i] = part[0, 0]

    def hessian(self, logs: np.ndarray) -> np.ndarray:
        """Second derivatives from the loop: shape (n_params, n_params)."""
        if logs.tobytes() not in self.last:
            self(logs)
        return self.penalty.hessian(logs) - self.last[logs.tobytes()][1 + logs.size :][square(logs.size)]


@cache
def square(k: int) -> np.ndarray:
    """Where each element of a symmetric matrix stands in its upper triangle, read row by row: shape (k, k)."""
    places = np.zeros((k, k), np.int64)
    places[np.triu_indices(k)] = np.arange(k * (k + 1) // 2)
    return places + np.triu(places, 1).T


def minimise(
    objective: Objective,
    start: np.ndarray,
    max_iter: int,
    tol: float,
    hessian: np.ndarray | None = None,
    rival: float = np.inf,
) -> Optimum:
    """Damped Newton steps within the box.

    Directions of negative curvature are followed downhill; a step is at most `LONGEST_STEP` long and halved until
    it improves. The curvature (or the one given to begin with) is kept as long as the expected gain falls by
    `FAST` at each step. Converged means that the next step gains at most `tol`, by the curvature at that very
    point; that step is still taken, and the value there is the expected one where the step is short. Where rounding
    hides a gain that no step shows, `RESOLUTION` of the value is small enough, too. Where the value is far above a
    `rival` with no gain in sight that would make up for it, it is left as it is.
    """
    logs = np.clip(start, -BOX, BOX)
    value, gradient = objective(logs)
    gain, n_iter, idle, fresh = np.inf, 0, 0, False
    while True:
        n_iter += 1
        if hessian is None:
            hessian, fresh = curvature(objective, logs), True
            if not np.isfinite(hessian).all():  # amounts or times too far apart for double precision
                return Optimum(logs, value, np.inf, np.zeros_like(hessian), n_iter, False)
        before = gain
        step, gain = _newton_step(logs, gradient, hessian)
        if not fresh and (gain <= tol or gain > FAST * before):
            hessian, fresh = curvature(objective, logs), True
            step, gain = _newton_step(logs, gradient, hessian)
        if gain <= tol and fresh and np.abs(step).max() <= SHORT:
            return Optimum(np.clip(logs + step, -BOX, BOX), value - gain, gain, hessian, n_iter, True)
        if value - IN_SIGHT * gain > rival + FAR:
            return Optimum(logs, value, gain, hessian, n_iter, False)
        moved = _search(objective, logs, value, gradient, step)
        if moved is not None:
            idle = idle + 1 if moved[1] >= value else 0
            logs, value, gradient = moved
        stuck = moved is None or idle >= IDLE
        if gain <= tol or stuck or n_iter >= max_iter:
            # Towards the box the objective is flat up to rounding: no step improves it, and there is nothing to gain.
            stalled = (stuck or n_iter >= max_iter) and bool((np.abs(logs) >= BOUNDARY).any())
            resolved = gain <= tol or (stuck and gain <= RESOLUTION * abs(value))
            return Optimum(logs, value, gain, hessian, n_iter, resolved or stalled)
        fresh = False
        if gain > FAST * before or getattr(objective, "exact", False):
            hessian = None


def curvature(objective: Objective, logs: np.ndarray) -> np.ndarray:
    """Symmetric matrix of second derivatives: exact where the loop gives it, else from differences of the gradient."""
    if getattr(objective, "exact", False):
        return cast(Likelihood, objective).hessian(logs)
    hessian = np.empty((logs.size, logs.size))
    for k in range(logs.size):
        up, down = logs.copy(), logs.copy()
        up[k] += STEP
        down[k] -= STEP
        hessian[k] = (objective(up)[1] - objective(down)[1]) / (up[k] - down[k])
    return 0.5 * (hessian + hessian.T)


def _newton_step(logs: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, float]:
    """The step, every direction of it cut to the longest one, then all of them together; and what it should gain."""
    inside = np.abs(logs) < BOX
    free = inside | (logs * gradient >= 0.0)  # of those at the box, what leads downhill back inside
    while True:
        step = np.zeros_like(logs)
        if not free.any():
            return step, 0.0
        values, vectors = np.linalg.eigh(hessian if free.all() else hessian[np.ix_(free, free)])
        slopes = gradient[free] @ vectors
        steepness = np.maximum(np.abs(values), np.abs(slopes) / LONGEST_STEP)
        lengths = slopes / np.maximum(steepness, TINY)
        lengths *= LONGEST_STEP / max(math.sqrt(lengths @ lengths), LONGEST_STEP)
        step[free] = -(vectors @ lengths)
        outwards = free & ~inside & (step * logs > 0.0)
        if not outwards.any():  # along a narrow ridge the slope may lead back inside and the step yet leave
            return step, 0.5 * float(slopes @ lengths)
        free &= ~outwards


def _search(
    objective: Objective, logs: np.ndarray, value: float, gradient: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray] | None:
    noise = 1e-14 * abs(value)
    for trial in _trials(logs, step):
        new, slope = objective(trial)
        if np.isfinite(new) and new <= value + 1e-4 * float(gradient @ (trial - logs)) + noise:
            return trial, new, slope
    return None


def _trials(logs: np.ndarray, step: np.ndarray) -> Iterator[np.ndarray]:
    """Ever shorter steps within the box: one that leaves it is bent along its side, or else ends there."""
    yield np.clip(logs + step, -BOX, BOX)
    room = np.divide(np.copysign(BOX, step) - logs, step, out=np.full_like(logs, np.inf), where=np.abs(step) > TINY)
    first = int(np.argmin(room))
    if 0.0 < room[first] < 1.0:  # a narrow ridge is not left, as it would be by bending
        trial = np.clip(logs + room[first] * step, -BOX, BOX)
        trial[first] = np.copysign(BOX, step[first])
        yield trial
    for halving in range(1, HALVINGS):
        yield np.clip(logs + 0.5**halving * step, -BOX, BOX)


def fit_sample(
    loop: Callable[..., None],
    sample: Sample,
    starts: np.ndarray,
    penalty: Penalty,
    max_iter: int,
    tol: float,
    exact: bool = False,
    units: np.ndarray | float = 1.0,
    coefficients: int = 0,
    enough: int = ENOUGH,
) -> Optimum:
    """The best optimum from several starts (logarithms of the parameters over `units`, one a row).

    The last `coefficients` of them are no logarithms. Large samples are begun on thin ones; where there are more rows
    than are `enough`, so many tell how skewed the optimum is.
    """
    levels = [sample.thinned(size) for size in COARSE if sample.weight.size > 2 * size]
    objectives = [Likelihood(loop, level, penalty, exact, units, coefficients) for level in (*levels, sample)]
    few = sample.thinned(FEW) if levels else sample
    rough = Likelihood(loop, few, penalty, exact, units, coefficients)
    heights = rough.log_likelihoods(rough.natural(starts)) - [penalty.value(start) for start in starts]
    order = np.argsort(-heights, kind="stable")
    best: Optimum | None = None
    begun: list[np.ndarray] = []
    for start in starts[order]:
        logs, hessian = start, None
        for objective in objectives[:-1]:
            loose = LOOSE * float(sample.weight.sum()) / objective.sample.weight.size
            optimum = minimise(objective, logs, max_iter, max(tol, loose), hessian)
            logs, hessian = optimum.logs, None if exact else optimum.hessian
        if levels and any(np.abs(logs - other).max() <= SAME for other in begun):
            continue  # the thin samples led to where another climb has begun
        begun.append(logs)
        rival = best.value if levels and best is not None else np.inf
        optimum = minimise(objectives[-1], logs, max_iter, tol, hessian, rival)
        if best is None or _better(optimum, best):
            best = optimum
        # Small samples may have a second, higher maximum, often at a boundary: all starts are tried.
        if sample.weight.size > SMALL and best.converged and not undetermined(best).any():
            break
    assert best is not None  # there is always a start
    if coefficients and sample.weight.size <= SMALL and undetermined(best)[-coefficients:].any():
        # Covariates that tell customers apart for certain do so in more ways than one.
        away = np.append(np.zeros(best.logs.size - coefficients), np.full(coefficients, AWAY))
        places = starts[order[:2]]
        best = climb(objectives[-1], np.vstack((places + away, places - away)), max_iter, tol, best)
    samples = (sample.thinned(enough), sample) if sample.weight.size > enough else (sample,)
    return replace(
        best, objectives=tuple(Likelihood(loop, each, penalty, exact, units, coefficients) for each in samples)
    )


def climb(objective: Objective, starts: np.ndarray, max_iter: int, tol: float, best: Optimum) -> Optimum:
    """The best optimum from several starts, one a row, if it is better than one that is known."""
    for start in starts:
        optimum = minimise(objective, start, max_iter, tol)
        if _better(optimum, best):
            best = optimum
    return best


def _better(one: Optimum, other: Optimum) -> bool:
    """Whether one optimum is higher, or, of two that are as high but for rounding, nearer to where it leads."""
    if abs(one.value - other.value) <= RESOLUTION * abs(other.value):
        return one.gain < other.gain
    return one.value < other.value
