"""Bounds and schedules of blockwise variance-reduced bilevel methods: stated orders, steps, the master inequality.

Paper: Hu, Qiu, Guo, Zhang and Yang, Blockwise Stochastic Variance-Reduced Methods with Parallel Speedup for Multi-Block
Bilevel Optimization, ICML 2023. m blocks, I sampled an iteration, B samples each, p = I/m. Exact results on the
trackers are in `theorylab.algorithms.tracking_bounds`.
"""

from dataclasses import dataclass, fields
from math import sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.bilevel_constants import BilevelConstants
from theorylab.algorithms.block_estimators import checked_sampled
from theorylab.algorithms.checks import checked_count

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BilevelSchedule:
    """The steps and weights of one run, plain floats.

    ``alpha`` is the weight of the newest sample in the blocks' trackers, ``beta`` that in z; ``eta`` the step of x,
    ``tau`` that of the lower iterates y, ``implicit`` tau_v, that of the implicit vectors v, which v1 does not use.
    Raises ValueError on weights outside (0, 1] and steps that are not positive and finite.
    """

    alpha: float
    beta: float
    eta: float
    tau: float
    implicit: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value > 0.0):
                raise ValueError(f"{field.name}={value!r}: must be positive and finite")
        for name in ("alpha", "beta"):
            if getattr(self, name) > 1.0:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be in (0, 1], a weight")


@dataclass(frozen=True, slots=True)
class StepCondition:
    """One condition of the theory on a run's numbers: ``value`` must be at most ``limit``; ``reason`` says why."""

    name: str
    value: float
    limit: float
    reason: str

    @property
    def holds(self) -> bool:
        """Whether ``value <= limit``."""
        return self.value <= self.limit

    def __str__(self) -> str:
        """One sentence with name, value, limit and reason."""
        return f"{self.name}={self.value:.6g}: must be at most {self.limit:.6g}, {self.reason}"


def stated_iterations(epsilon: float, *, blocks: int, sampled: int, batch: int) -> float:
    """Return ``m eps^-3 (1[I < m] / (I sqrt(I)) + 1 / (I sqrt(B)))``, the order of T to ``E||grad F|| <= eps``.

    The headline of the paper for both versions, without its constant, which is not stated. With all blocks sampled it
    is ``eps^-3 / sqrt(B)``; with I < m the speed-up in B ends where B reaches I. Raises ValueError on eps that is not
    positive, I outside 1..m and B that is no positive integer.

    >>> stated_iterations(0.5, blocks=8, sampled=8, batch=4), stated_iterations(0.5, blocks=8, sampled=4, batch=4)
    (4.0, 16.0)
    """
    part = checked_sampled(sampled, blocks) / blocks
    waiting = 0.0 if sampled == blocks else 1.0 / sqrt(sampled)
    return _positive("epsilon", epsilon) ** -3 * (waiting + 1.0 / sqrt(checked_count("batch", batch))) / part


def stated_samples(epsilon: float, *, blocks: int, sampled: int, batch: int) -> float:
    """Return the order ``T I B`` of the samples drawn in `stated_iterations`; errors as there."""
    return stated_iterations(epsilon, blocks=blocks, sampled=sampled, batch=batch) * sampled * batch


def variance_reduced_schedule(
    epsilon: float, *, blocks: int, sampled: int, batch: int, weight: float = 0.1, step: float = 0.5
) -> BilevelSchedule:
    """Return the schedule of the eps^-3 rate: ``alpha = min(1/2, a0 q eps^2)`` and ``eta = tau = c0 p sqrt(alpha)``.

    ``q = B`` if all blocks are sampled, else ``min(I, B)``; ``weight`` is a0, ``step`` c0. Re-derived, in orders: a
    tracker errs by ``alpha sigma^2/B`` from noise and by the squared movement times ``((1-p) + 1/B)/(p^2 alpha)``, z by
    ``beta ((1-p) + 1/B)/I`` and the movement over ``I beta``. Noise at most eps^2 fixes alpha, and movement at most a
    constant share of ``eta^2 ||z||^2`` fixes eta; then ``T = O(1/(eta eps^2))`` is `stated_iterations`. tau carries the
    factor p too: an unsampled block goes on along a direction that rests for m/I iterations on average. Raises
    ValueError on numbers that are not positive, I outside 1..m and B that is no positive integer.
    """
    part = checked_sampled(sampled, blocks) / blocks
    quality = checked_count("batch", batch) if sampled == blocks else min(sampled, checked_count("batch", batch))
    alpha = min(0.5, _positive("weight", weight) * quality * _positive("epsilon", epsilon) ** 2)
    eta = _positive("step", step) * part * sqrt(alpha)
    return BilevelSchedule(alpha=alpha, beta=alpha, eta=eta, tau=eta, implicit=eta)


def moving_average_schedule(
    epsilon: float, *, blocks: int, sampled: int, weight: float = 0.4, step: float = 0.5
) -> BilevelSchedule:
    """Return the schedule of the eps^-4 rate without corrections: ``alpha = min(1/2, a1 eps^2)``, ``eta = c0 p alpha``.

    A moving average lags by movement/(p alpha), so the step may not exceed the order of ``p alpha``, and ``T =
    O(1/(eta eps^2)) = O(eps^-4 / p)``. Re-derived, in orders. Raises ValueError as `variance_reduced_schedule`.
    """
    part = checked_sampled(sampled, blocks) / blocks
    alpha = min(0.5, _positive("weight", weight) * _positive("epsilon", epsilon) ** 2)
    eta = _positive("step", step) * part * alpha
    return BilevelSchedule(alpha=alpha, beta=alpha, eta=eta, tau=eta, implicit=eta)


def step_conditions(
    constants: BilevelConstants, schedule: BilevelSchedule, *, sampled: int, implicit: bool = True
) -> tuple[StepCondition, ...]:
    """Return the theory's conditions on a schedule, each with its value and limit; ``all(c.holds for c in ...)``.

    - alpha, beta at most 1/2: gamma* has ``1 - alpha`` in a denominator.
    - eta at most ``1/(2 L_F)``: the master inequality needs it, see `master_sides`.
    - tau, and tau_v unless ``implicit`` is False, at most ``2p/(mu + L)``. A gradient step ``2/(mu + L)`` or shorter
      contracts by ``1 - tau mu``; a block that rests unsampled repeats its direction m/I times on average.

    Raises ValueError unless I is an integer in 1..m.
    """
    part = checked_sampled(sampled, constants.blocks) / constants.blocks
    lower = 2.0 * part / (constants.strong_convexity + constants.smoothness)
    smooth = constants.hypergradient_smoothness
    conditions = [
        StepCondition("alpha", schedule.alpha, 0.5, "or the correction gamma* of the trackers grows too large"),
        StepCondition("beta", schedule.beta, 0.5, "the range of the schedule"),
        StepCondition("eta", schedule.eta, 0.5 / smooth if smooth > 0.0 else np.inf, "1/(2 L_F)"),
        StepCondition("tau", schedule.tau, lower, "2 (I/m) / (mu + L)"),
    ]
    if implicit:
        conditions.append(StepCondition("tau_v", schedule.implicit, lower, "2 (I/m) / (mu + L)"))
    return tuple(conditions)


def descent_slack(
    values: npt.ArrayLike, gradients: npt.ArrayLike, errors: npt.ArrayLike, directions: npt.ArrayLike, *, eta: float
) -> Array:
    """Return, for every step, by how much the descent inequality holds (T,); negative where it fails.

    For x+ = x - eta z and ``eta <= 1/(2 L_F)``,

        F(x+) <= F(x) - (eta/2) ||grad F||^2 + (eta/2) ||z - grad F||^2 - (eta/4) ||z||^2

    on every trajectory. ``values`` are F (T+1,); ``gradients``, ``errors``, ``directions`` the three squared norms
    (T,). Re-derived: the descent lemma, ``-<g, z> = (||z - g||^2 - ||g||^2 - ||z||^2)/2`` and ``L_F eta/2 <= 1/4``.
    Raises ValueError on shapes that do not fit, entries that are not finite, negative squares, and eta that is not
    positive.
    """
    f, g, e, z = _trajectory(values, gradients, errors, directions)
    step = _positive("eta", eta)
    return np.asarray(f[:-1] - f[1:] + 0.5 * step * (e - g - 0.5 * z))


def master_sides(
    values: npt.ArrayLike, gradients: npt.ArrayLike, errors: npt.ArrayLike, directions: npt.ArrayLike, *, eta: float
) -> tuple[Array, Array]:
    """Return both sides of the master inequality after every number of steps 1..T, each (T,): ``left <= right``.

    ``(1/T) sum ||grad F(x_t)||^2 <= 2 (F_0 - F_T)/(eta T) + (1/T) sum ||z_t - grad F(x_t)||^2 - (1/(2T)) sum
    ||z_t||^2``, the sum of the steps of `descent_slack`; arguments and errors as there.

    >>> left, right = master_sides([1.0, 0.5], [1.0], [0.0], [1.0], eta=0.5)
    >>> left.tolist(), right.tolist()
    ([1.0], [1.5])
    """
    f, g, e, z = _trajectory(values, gradients, errors, directions)
    step, count = _positive("eta", eta), np.arange(1, g.size + 1)
    left = np.cumsum(g) / count
    return left, 2.0 * (f[0] - f[1:]) / (step * count) + np.cumsum(e - 0.5 * z) / count


def _trajectory(
    values: npt.ArrayLike, gradients: npt.ArrayLike, errors: npt.ArrayLike, directions: npt.ArrayLike
) -> tuple[Array, Array, Array, Array]:
    """Return the checked record of one run: F (T+1,) and three series of squared norms (T,)."""
    f, g, e, z = (np.asarray(series, dtype=np.float64) for series in (values, gradients, errors, directions))
    if g.ndim != 1 or g.size == 0 or f.shape != (g.size + 1,):
        raise ValueError(f"values.shape={f.shape}, gradients.shape={g.shape}: must be (T+1,) and (T,) with T >= 1")
    for name, series in (("gradients", g), ("errors", e), ("directions", z)):
        if series.shape != g.shape:
            raise ValueError(f"{name}.shape={series.shape}: must be {g.shape}, one squared norm a step")
        if not (np.isfinite(series).all() and np.all(series >= 0.0)):
            raise ValueError(f"{name}: must be finite and zero or more, squared norms; a diverged run has no sides")
    if not np.isfinite(f).all():
        raise ValueError(f"values: must be finite, {int(np.sum(~np.isfinite(f)))} entries are not")
    return f, g, e, z


def _positive(name: str, value: float) -> float:
    """Return a positive finite number; raise ValueError otherwise."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name}={value!r}: must be positive and finite")
    return float(value)
