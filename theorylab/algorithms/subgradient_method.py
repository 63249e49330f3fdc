"""The sub-gradient method (SubGM) for robust low-rank recovery from linear measurements, and its l2 baseline.

The problem is to minimise ``f(U) = (1/m) sum_i |y_i - <A_i, U U^T>|`` over ``U`` (d, r'), r' >= r, in order to find a
positive semidefinite ``X*`` of rank r from ``y_i = <A_i, X*> + s_i``. With ``Q = (1/m) sum_i Sign(<A_i, U U^T> - y_i)
A_i`` and its symmetric part ``Q^s``, the sub-gradient is ``D = 2 Q^s U`` and the method is ``U <- U - eta_t D``: no
projection, no averaging, no early stop.

A `Schedule` holds the step rule. An arm is a start with its schedule; arms that share measurements run together and
read them once.

Source: Ma and Fattahi, Global Convergence of Sub-gradient Method for Robust Matrix Recovery, JMLR 24(96), 2023,
Algorithm 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import subgradient_kernels as kernels
from theorylab.algorithms.low_rank_start import checked_scale
from theorylab.algorithms.packed_symmetric import checked_operator, checked_symmetric, checked_vector, matrix_dimension

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class StepRule(IntEnum):
    """What multiplies the (sub-)gradient at step ``t``."""

    QUASI_POLYAK = kernels.QUASI_POLYAK  # eta_t = (eta/2) f(U_t): the noiseless rule
    NORMALISED = kernels.NORMALISED  # eta_t = eta rho^t / ||Q^s_t||, spectral norm: the noisy rule
    LEAST_SQUARES = kernels.LEAST_SQUARES  # gradient descent on (1/4m) sum_i (<A_i, U U^T> - y_i)^2 with step eta


@dataclass(frozen=True, slots=True)
class Schedule:
    """A step rule with its numbers: ``step`` is eta, ``decay`` is rho in (0, 1], ``horizon`` is T, the number of steps.

    Raises ValueError on a step that is not positive, a decay outside (0, 1] or a horizon that is not a positive
    integer.
    """

    rule: StepRule
    step: float
    horizon: int
    decay: float = 1.0

    def __post_init__(self) -> None:
        StepRule(self.rule)
        checked_scale("step", self.step)
        if not 0.0 < self.decay <= 1.0:
            raise ValueError(f"decay={self.decay!r}: must be in (0, 1]; 1 keeps the step constant")
        if isinstance(self.horizon, bool) or not isinstance(self.horizon, (int, np.integer)) or self.horizon < 1:
            raise ValueError(f"horizon={self.horizon!r}: must be a positive integer, the number of steps")


def geometric_schedule(alpha: float, condition: float, c: float = 4.0) -> Schedule:
    """Return the normalised, geometrically decaying rule for a start of scale ``alpha`` and ``condition`` kappa.

    With ``L = log(1/alpha)``: ``eta = c/(kappa L)``, ``rho = 1 - eta/(kappa L)``, ``T = ceil(2L/(1 - rho))``, so that
    ``rho^T <= alpha^2``. The paper gives the orders ``eta <~ 1/(kappa L)`` and ``1 - rho = Theta(eta/(kappa L))``;
    ``c`` in [1, 4] is a working value. Raises ValueError unless ``0 < alpha < 1``, ``condition >= 1`` and ``c > 0``
    leave ``rho`` in (0, 1).

    Source: Theorem 27 of the paper.

    >>> schedule = geometric_schedule(1e-3, 2.0)
    >>> schedule.horizon, round(schedule.decay, 4)
    (660, 0.979)
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(
            f"alpha={alpha!r}: must be in (0, 1), the scale of a small start; for a large start build a Schedule"
        )
    if not (np.isfinite(condition) and condition >= 1.0):
        raise ValueError(f"condition={condition!r}: must be at least 1, the ratio of the extreme non-zero eigenvalues")
    rate = condition * math.log(1.0 / alpha)
    step = checked_scale("c", c) / rate
    if step >= rate:
        raise ValueError(
            f"c={c!r} with alpha={alpha!r}, condition={condition!r}: decay <= 0; choose c below {rate**2:.3g}"
        )
    decay = 1.0 - step / rate
    return Schedule(StepRule.NORMALISED, step, math.ceil(2.0 * math.log(1.0 / alpha) / (1.0 - decay)), decay)


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """A start ``U_0`` (d, r') with its schedule and the iterations at which it is recorded.

    ``checkpoints`` (C,) are ascending integers in 0..T, by default ``[0, T]``; ``0`` is the start itself.
    """

    start: npt.ArrayLike
    schedule: Schedule
    checkpoints: npt.ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """What an arm leaves behind.

    ``checkpoints`` (C,) int; ``errors`` (C,) is ``||U_t U_t^T - X*||_F``; ``losses`` (C,) is the l1 loss ``f(U_t)``,
    for the least-squares rule too; ``final`` (d, r') is ``U_T``; ``iterates`` (C, d, r') holds ``U_t`` at the
    checkpoints, or (0, d, r') when it was not asked for. From its divergence on (a loss above 1e100 or not finite)
    every number of an arm is infinite.
    """

    checkpoints: Integers
    errors: Array
    losses: Array
    final: Array
    iterates: Array

    @property
    def diverged(self) -> bool:
        """Whether the arm left the range of double precision."""
        return not bool(np.isfinite(self.final).all())


def subgradient_method(
    operator: npt.ArrayLike,
    observations: npt.ArrayLike,
    start: npt.ArrayLike,
    schedule: Schedule,
    *,
    truth: npt.ArrayLike,
    checkpoints: npt.ArrayLike | None = None,
    keep_iterates: bool = False,
) -> Trajectory:
    """Run the sub-gradient method from ``start`` and record it at the checkpoints.

    ``operator`` (m, d(d+1)/2) is packed as by `pack_measurements`; ``observations`` ``y`` (m,); ``start`` ``U_0`` (d,
    r'); ``truth`` ``X*`` (d, d) enters the recorded errors and nothing else. Raises ValueError on shapes that do not
    fit, entries that are not finite, a search rank above d, or checkpoints that are not ascending integers in 0..T.
    Divergence is infinite numbers, no error.

    >>> from theorylab.algorithms.packed_symmetric import forward, pack_measurements
    >>> B = pack_measurements(np.random.default_rng(0).standard_normal((60, 3, 3)))
    >>> X = np.diag([1.0, 0.0, 0.0])
    >>> path = subgradient_method(B, forward(B, X), 0.01 * np.eye(3), geometric_schedule(0.01, 1.0, c=1.0), truth=X)
    >>> bool(path.errors[-1] < 1e-2 < path.errors[0])
    True
    """
    arm = Arm(start, schedule, checkpoints)
    return subgradient_method_stacked(operator, observations, [arm], truth=truth, keep_iterates=keep_iterates)[0]


def subgradient_method_stacked(
    operator: npt.ArrayLike,
    observations: npt.ArrayLike,
    arms: Sequence[Arm],
    *,
    truth: npt.ArrayLike,
    keep_iterates: bool = False,
) -> tuple[Trajectory, ...]:
    """Run several arms on the same measurements and return their trajectories in the same order.

    Search ranks, scales, starts, rules, horizons and checkpoints may all differ. Every arm gets the result that
    `subgradient_method` gives it alone, up to rounding (the sums run in another order), at a fraction of the cost:
    the operator is read once for all of them. Arguments and errors as there.
    """
    packed = checked_operator(operator)
    observed = checked_vector("observations", observations, packed.shape[0])
    dimension = matrix_dimension(packed.shape[1])
    target = checked_symmetric("truth", truth, dimension)
    if not arms:
        raise ValueError("arms=[]: must hold at least one Arm")
    # The kernel wants the longest arm first: the arms still running are then always the leading rows of its arrays.
    order = sorted(range(len(arms)), key=lambda k: -arms[k].schedule.horizon)
    starts = [_checked_start(arms[k].start, dimension) for k in order]
    schedules = [arms[k].schedule for k in order]
    checkpoints = [_checked_checkpoints(arms[k]) for k in order]

    count, widest, longest = len(arms), max(u.shape[1] for u in starts), max(c.size for c in checkpoints)
    factors = np.zeros((count, widest, dimension))
    recorded = np.full((count, longest), -1, dtype=np.int64)
    for k, (u, c) in enumerate(zip(starts, checkpoints, strict=True)):
        factors[k, : u.shape[1]] = u.T
        recorded[k, : c.size] = c
    errors, losses = np.full((2, count, longest), np.inf)
    history = np.full((count, longest if keep_iterates else 0, widest, dimension), np.inf)
    kernels.descend(
        packed,
        observed,
        target,
        factors,
        np.array([u.shape[1] for u in starts]),
        np.array([int(s.rule) for s in schedules]),
        np.array([float(s.step) for s in schedules]),
        np.array([float(s.decay) for s in schedules]),
        np.array([int(s.horizon) for s in schedules]),
        recorded,
        errors,
        losses,
        history,
    )
    paths = [
        _trajectory(c, u.shape[1], *z)
        for c, u, *z in zip(checkpoints, starts, errors, losses, factors, history, strict=True)
    ]
    return tuple(paths[order.index(k)] for k in range(count))


def _trajectory(
    checkpoints: Integers, rank: int, errors: Array, losses: Array, factor: Array, history: Array
) -> Trajectory:
    """Cut an arm's padding off and turn its ``U^T`` into ``U``."""
    kept = np.ascontiguousarray(history[: checkpoints.size, :rank].transpose(0, 2, 1))
    final = np.ascontiguousarray(factor[:rank].T)
    return Trajectory(checkpoints, errors[: checkpoints.size].copy(), losses[: checkpoints.size].copy(), final, kept)


def _checked_start(start: npt.ArrayLike, dimension: int) -> Array:
    """Return ``U_0`` as float64; raise ValueError unless it is finite ``(d, r')`` with ``1 <= r' <= d``."""
    u = np.asarray(start, dtype=np.float64)
    if u.ndim != 2 or u.shape[0] != dimension or not 1 <= u.shape[1] <= dimension:
        raise ValueError(f"start.shape={u.shape}: must be ({dimension}, r') with a search rank r' in 1..{dimension}")
    if not np.isfinite(u).all():
        raise ValueError(f"start holds {np.count_nonzero(~np.isfinite(u))} entries that are not finite; draw it again")
    return u


def _checked_checkpoints(arm: Arm) -> Integers:
    """Return the iterations to record; raise ValueError unless they are ascending integers in ``0..T``."""
    horizon = int(arm.schedule.horizon)
    if arm.checkpoints is None:
        return np.array([0, horizon], dtype=np.int64)
    wanted = np.asarray(arm.checkpoints)
    if wanted.ndim != 1 or wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer):
        raise ValueError(f"checkpoints={wanted!r}: must be a non-empty one-dimensional array of integers")
    if wanted[0] < 0 or wanted[-1] > horizon or np.any(np.diff(wanted) <= 0):
        raise ValueError(f"checkpoints={wanted!r}: must ascend within 0..{horizon}, the horizon of the schedule")
    return wanted.astype(np.int64)
