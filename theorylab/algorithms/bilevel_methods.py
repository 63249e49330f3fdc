"""What a blockwise bilevel method is made of, its steps, and what a run leaves behind.

`BilevelMethod` names the estimators; version 1 or 2 of the loop around them is chosen by the function that runs it.
Notation is that of Hu, Qiu, Guo, Zhang and Yang, ICML 2023: ``x+ = x - eta z``, ``y_i+ = y_i - tau s_i``, ``v_i+ =
Proj(v_i - tau_v u_i)``, where ``s_i`` tracks ``grad_y g_i``, ``u_i`` the gradient of the quadratic that ``v_i``
minimises and z the hypergradient.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.block_estimators import (
    Array,
    BlockEstimator,
    memoryless,
    moving_average,
    msvr,
    storm,
    zero_fill,
)
from theorylab.algorithms.checks import checked_count

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BilevelMethod:
    """``trackers`` is the rule of ``s_i`` and of ``u_i`` (version 2) or ``H_i`` (version 1), ``direction`` that of z.

    ``implicit=False`` leaves the implicit term out of z, a wrong hypergradient; ``fresh=True`` takes independent
    samples at times t and t-1, the classic mistake. Both are there to be refuted.
    """

    trackers: BlockEstimator
    direction: BlockEstimator
    implicit: bool = True
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class BilevelSteps:
    """``upper`` eta, ``lower`` tau, ``implicit`` tau_v (version 2 only); ValueError unless positive and finite."""

    upper: float
    lower: float
    implicit: float

    def __post_init__(self) -> None:
        """Validate once."""
        for name in ("upper", "lower", "implicit"):
            checked_positive(name, getattr(self, name))


@dataclass(frozen=True, slots=True, eq=False)
class BilevelRun:
    """What a run leaves: at C recorded times the exact quantities, at its end the iterates.

    ``times`` (C,) int; ``objectives`` ``F(x_t)``, ``gradient_squares`` ``||grad F(x_t)||^2``, ``error_squares``
    ``||z_t - grad F(x_t)||^2`` and ``direction_squares`` ``||z_t||^2``, all (C,) and infinite from a divergence on;
    ``x`` (dx,), ``direction`` z (dx,), ``lower`` ``y_i`` (m, dy) and ``implicit`` ``v_i`` (m, dy), (0, dy) in version
    1. A time t counts moves of x made. ``hit`` is the first recorded time at which the mean of the recorded ``||grad
    F||^2`` was at most the threshold asked for, None without one; the run ends there.
    """

    times: Integers
    objectives: Array
    gradient_squares: Array
    error_squares: Array
    direction_squares: Array
    x: Array
    direction: Array
    lower: Array
    implicit: Array
    hit: int | None

    @property
    def diverged(self) -> bool:
        """Whether z left the range of sensible numbers before the end."""
        return not bool(np.isfinite(self.direction_squares[-1]))


def bsvrb(alpha: float, beta: float, gamma: float) -> BilevelMethod:
    """Return the paper's method: MSVR with ``alpha`` and ``gamma`` for the trackers, STORM with ``beta`` for z.

    Raises ValueError as `msvr` and `storm` of the estimators.
    """
    return BilevelMethod(msvr(alpha, gamma), storm(beta))


def moving_average_method(alpha: float, beta: float) -> BilevelMethod:
    """Return moving averages throughout, as SOX has them (Wang and Yang, ICML 2022): an eps^-4 method."""
    return BilevelMethod(moving_average(alpha), moving_average(beta))


def block_storm_method(alpha: float, beta: float) -> BilevelMethod:
    """Return STORM on every block although few are sampled: the drift of the others is forgotten."""
    return BilevelMethod(storm(alpha), storm(beta))


def zero_fill_method(alpha: float, beta: float, *, sampled: int, blocks: int) -> BilevelMethod:
    """Return the estimator of RSVRB (Guo, Hu, Zhang and Yang, arXiv 2105.02266) in the loop of version 2."""
    return BilevelMethod(zero_fill(alpha, sampled=sampled, blocks=blocks), storm(beta))


def soba() -> BilevelMethod:
    """Return SOBA (Dagreou, Ablin, Vaiter and Moreau, NeurIPS 2022): plain stochastic directions for y, v and x.

    Run it with version 2. Sampled blocks take one step each along a fresh sample and no other block moves; there is no
    memory and no variance reduction.
    """
    return BilevelMethod(memoryless(), memoryless())


def warn_outside_theory(
    method: BilevelMethod,
    steps: BilevelSteps,
    *,
    share: float,
    curvatures: tuple[float, float],
    upper_smoothness: float,
    implicit: bool,
) -> None:
    """Warn of weights and steps beyond what the analysis covers; it is `step_conditions` of the bounds as a warning.

    ``share`` is p = I/m, ``curvatures`` mu and L of the lower problems, ``upper_smoothness`` L_F; ``implicit`` whether
    tau_v plays a part. A block that rests goes on along its old direction m/I times on average, hence the p.
    """
    moves = share if method.trackers.rest > 0.0 else 1.0
    limits = {
        "1 - trackers.keep (alpha)": (1.0 - method.trackers.keep, 0.5 if method.trackers.old != 0.0 else 1.0, "1/2"),
        "upper (eta)": (steps.upper, 0.5 / upper_smoothness if upper_smoothness > 0.0 else np.inf, "1/(2 L_F)"),
        "lower (tau)": (steps.lower, 2.0 * moves / sum(curvatures), "2p/(mu + L)"),
        "implicit (tau_v)": (steps.implicit if implicit else 0.0, 2.0 * moves / sum(curvatures), "2p/(mu + L)"),
    }
    for name, (value, limit, rule) in limits.items():
        if value > limit * (1.0 + 1e-12):
            warnings.warn(f"{name}={value:.6g}: above {limit:.6g} = {rule}, outside the theory", stacklevel=4)


def recorded_times(iterations: int, every: int | None) -> tuple[Integers, int]:
    """Return the times 0, every, 2 every, .. and T, and the spacing, about 2000 records if None."""
    horizon = checked_count("iterations", iterations)
    spacing = max(1, horizon // 2000) if every is None else checked_count("every", every)
    times = np.arange(0, horizon + 1, spacing, dtype=np.int64)
    return (times if times[-1] == horizon else np.append(times, horizon)), spacing


def initial_calls(method: BilevelMethod, batch: int, initial_batch: int | None) -> int:
    """Return the size of the batch at time 0: by default ``ceil(B / alpha)``.

    A tracker without drift settles at a variance of ``alpha / (2 - alpha)`` times that of a batch; so it starts there.
    """
    if initial_batch is not None:
        return checked_count("initial_batch", initial_batch)
    return int(np.ceil(checked_count("batch", batch) / max(1.0 - method.trackers.keep, 1e-6)))


def as_bilevel_run(
    times: Integers, record: Array, x: Array, z: Array, lower: Array, implicit: Array, hit: int
) -> BilevelRun:
    """Name the columns of ``record`` (C, 4), in the order of the kernel file; a hit cuts the record there."""
    kept = times.size if hit < 0 else int(np.searchsorted(times, hit)) + 1
    objective, gradient, error, square = (np.ascontiguousarray(column) for column in record[:kept].T)
    return BilevelRun(times[:kept], objective, gradient, error, square, x, z, lower, implicit, None if hit < 0 else hit)


def checked_positive(name: str, value: float) -> float:
    """Return a positive finite number; raise ValueError otherwise."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name}={value!r}: must be positive and finite")
    return float(value)
