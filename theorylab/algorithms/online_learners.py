"""Gradient learners on quadratic losses: optimistic mirror descent, its follow-the-leader counterparts, baselines.

A `Learner` is a recipe of plain numbers, `play` runs it on a sequence of losses and returns what it `Played`: the
certificates of the pathwise inequalities at chosen rounds and, if kept, iterates and gradients of every round.

Notation is that of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024: ``g_t = grad f_t(x_t)``, hints ``m_t =
g_{t-1}`` with ``m_1 = 0``, ``v_t = ||g_t - m_t||^2``, ``V_t = v_1 + ... + v_t``. Sets are balls around the origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import online_kernels as kernels
from theorylab.algorithms.online_losses import (
    Array,
    Integers,
    SmoothLosses,
    checked_array,
    checked_checkpoints,
    checked_positive,
    quadratic_arrays,
)


@dataclass(frozen=True, slots=True)
class Step:
    """The rule of ``eta_t`` with its two numbers; made by `adaptive_step`, `strongly_convex_step` or `fixed_step`."""

    rule: int
    scale: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Learner:
    """A learner: how it makes points (``method``), its step, and ``hint`` h of ``m_t = h g_{t-1}``."""

    method: int
    step: Step
    hint: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What a learner leaves behind, at C checkpoints and, if kept, in all T rounds.

    ``rounds`` (C,) int; ``losses`` ``sum f_s(x_s)``, ``linear_losses`` ``sum <g_s, x_s>``, ``gradient_sums`` ``sum
    g_s`` (C, d); ``variations`` ``V_t``; ``steps`` ``eta_t``; ``weighted_variations`` ``sum eta_s v_s``;
    ``weighted_movements`` ``sum_{s>=2} ||x_s - x_{s-1}||^2 / (4 eta_{s-1})``; ``movements`` the same sum without
    weights; all (C,). Newton learners have unit steps in a metric of their own: there ``v_s`` of the weighted sum is
    ``||g_s - m_s||^2_{H_s^{-1}}``. ``iterates`` ``x_t`` and ``gradients`` ``g_t`` are (T, d), or (0, d) when not kept.
    A diverged learner (a loss beyond 1e100 or not finite) leaves infinity from then on.
    """

    rounds: Integers
    losses: Array
    linear_losses: Array
    gradient_sums: Array
    variations: Array
    steps: Array
    weighted_variations: Array
    weighted_movements: Array
    movements: Array
    iterates: Array
    gradients: Array

    @property
    def diverged(self) -> bool:
        """Whether the learner left the range of double precision."""
        return not bool(np.isfinite(self.losses[-1]))


def adaptive_step(diameter: float, offset: float) -> Step:
    """Return ``eta_t = D / sqrt(offset + V_{t-1})``, equation (10): there ``offset = 10 D^2 L^2 + 4 G^2``.

    Raises ValueError unless both are positive and finite.
    """
    return Step(kernels.ADAPTIVE, checked_positive("diameter", diameter), checked_positive("offset", offset))


def strongly_convex_step(curvature: float) -> Step:
    """Return ``eta_t = 2 / (lambda t)``, equation (12); raises ValueError unless ``curvature`` lambda is positive."""
    return Step(kernels.HARMONIC, 2.0 / checked_positive("curvature", curvature))


def fixed_step(eta: float) -> Step:
    """Return the constant step ``eta``; raises ValueError unless it is positive and finite."""
    return Step(kernels.FIXED, checked_positive("eta", eta))


def optimistic_omd(step: Step, *, hint: float = 1.0) -> Learner:
    """Return optimistic online mirror descent, Algorithm 1 with (7) and (8), in the Euclidean norm.

    ``x_t = Proj(xhat_t - eta_t m_t)``, ``xhat_{t+1} = Proj(xhat_t - eta_t g_t)``, ``m_t = hint g_{t-1}``; ``hint=-1``
    is a wrong hint. Raises ValueError on a hint that is not finite.
    """
    return Learner(kernels.MIRROR, step, _checked_finite("hint", hint))


def online_gradient_descent(step: Step) -> Learner:
    """Return online gradient descent: mirror descent without a hint (Zinkevich 2003)."""
    return optimistic_omd(step, hint=0.0)


def optimistic_ftrl(diameter: float, offset: float) -> Learner:
    """Return optimistic follow the regularised leader, Theorem 2 (Appendix A.1), on linearised losses.

    ``x_t`` minimises ``<g_1 + ... + g_{t-1} + m_t, x> + ||x||^2 / eta_t`` with ``eta_t = D^2 / (offset + sum_{s<t}
    eta_s v_s)``. ``offset`` is ``delta = sqrt(9 D^4 L^2 + 6 D^2 G^2)`` in Theorem 2 and ``nu = L D^2 + D G`` in Sachs,
    Hadiji, van Erven and Guzman, 2022, Theorem 5. Raises ValueError unless both are positive and finite.
    """
    scale = checked_positive("diameter", diameter) ** 2
    return Learner(kernels.LEADER, Step(kernels.SELF_WEIGHTED, scale, checked_positive("offset", offset)))


def fixed_step_ftrl(eta: float) -> Learner:
    """Return the learner of `optimistic_ftrl` with a constant ``eta``, which no theorem covers."""
    return Learner(kernels.LEADER, fixed_step(eta))


def strongly_convex_ftrl(curvature: float) -> Learner:
    """Return optimistic FTRL for strongly convex expected losses, Theorem 4 (Appendix A.2), with ``x_0 = 0``.

    ``x_{t+1} = Proj((sum_{s<=t} (lambda x_s - g_s) - g_t) / (lambda (t+1)))``; ``curvature`` is lambda. Raises
    ValueError unless it is positive and finite.
    """
    return Learner(kernels.STRONG_LEADER, Step(kernels.HARMONIC, 1.0 / checked_positive("curvature", curvature)))


def sachs_oftl(curvature: float) -> Learner:
    """Return the optimistic follow-the-leader of Sachs et al., 2022, Theorem 7: no ``x_0`` term, so ``lambda t`` below.

    ``x_1 = 0``, as nothing is known yet, and ``steps`` of `Played` is 0 there. Raises ValueError as
    `strongly_convex_ftrl`.
    """
    return Learner(kernels.STRONG_LEADER, Step(kernels.HARMONIC, 1.0 / checked_positive("curvature", curvature), -1.0))


def play(
    losses: SmoothLosses,
    learner: Learner,
    *,
    radius: float,
    start: npt.ArrayLike | None = None,
    checkpoints: npt.ArrayLike | None = None,
    keep: bool = True,
) -> Played:
    """Play ``learner`` on ``losses`` over the centred ball of ``radius`` and record it at the checkpoints.

    ``start`` ``xhat_1`` (d,) is the origin if None, as for every leader. ``checkpoints`` (C,) ascend in 1..T, None
    being T; play ends at the last one. ``keep=False`` saves the memory of iterates and gradients. ``radius=inf`` drops
    the projection. ``losses`` are those of `quadratic_losses`; `play_ensemble` with a pool of one step plays others.
    Raises ValueError on a radius that is not positive, a start outside the ball or away from the origin
    for a leader, and wrong checkpoints. Divergence is infinite numbers, no error.

    >>> from theorylab.algorithms.online_losses import quadratic_losses
    >>> still = quadratic_losses(np.eye(2), np.tile([0.5, 0.0], (400, 1)))
    >>> played = play(still, optimistic_omd(fixed_step(0.25)), radius=1.0)
    >>> bool(np.allclose(played.iterates[-1], [0.5, 0.0]))
    True
    """
    ball = checked_positive("radius", radius, infinite=True)
    rounds = checked_checkpoints(checkpoints, losses.horizon)
    origin = np.zeros(losses.dimension)
    first = origin if start is None else checked_array("start", start, origin.shape)
    if learner.method != kernels.MIRROR and np.any(first != 0.0):
        raise ValueError(f"start={start!r}: must be None for a follow-the-leader learner, which starts at the origin")
    if float(np.linalg.norm(first)) > ball * (1.0 + 1e-12):
        raise ValueError(f"start has norm {float(np.linalg.norm(first)):.6g}: must be at most radius={radius!r}")
    sums, gradient_sums, iterates, gradients = empty_record(rounds, losses.dimension, kernels.COLUMNS, keep)
    kernels.play(
        quadratic_arrays(losses),
        (learner.method, learner.step.rule, learner.step.scale, learner.step.offset, learner.hint, ball),
        first,
        rounds,
        sums,
        gradient_sums,
        iterates,
        gradients,
    )
    return as_played(rounds, sums, gradient_sums, iterates, gradients)


def best_single_step(
    losses: SmoothLosses, etas: Sequence[float], *, radius: float, hint: float = 0.0, keep: bool = True
) -> tuple[float, Played]:
    """Return the constant step of least total loss in hindsight among ``etas``, and how it played.

    It plays `optimistic_omd` with each step in turn, without a hint unless one is asked for. Raises ValueError on an
    empty grid or a step that is not positive. If all diverge, the first is returned.
    """
    if len(etas) == 0:
        raise ValueError("etas=[]: must hold at least one step")
    learners = [optimistic_omd(fixed_step(eta), hint=hint) for eta in etas]
    totals = [play(losses, learner, radius=radius, keep=False).losses[-1] for learner in learners]
    best = int(np.argmin(totals))
    return float(etas[best]), play(losses, learners[best], radius=radius, keep=keep)


def empty_record(rounds: Integers, dimension: int, columns: int, keep: bool) -> tuple[Array, Array, Array, Array]:
    """Return sums (C, columns), gradient sums (C, d), both infinite, and empty iterates and gradients (T, d) or (0, d).

    Kernels overwrite every row of the last two; filling them here would cost as much as a third of the play.
    """
    kept = int(rounds[-1]) if keep else 0
    sums, gradient_sums = np.full((rounds.size, columns), np.inf), np.full((rounds.size, dimension), np.inf)
    return sums, gradient_sums, np.empty((kept, dimension)), np.empty((kept, dimension))


def as_played(rounds: Integers, sums: Array, gradient_sums: Array, iterates: Array, gradients: Array) -> Played:
    """Name the columns of ``sums`` (C, 7), which follow the order of the kernel file."""
    column = [np.ascontiguousarray(values) for values in sums.T]
    return Played(
        rounds=rounds,
        losses=column[kernels.LOSS],
        linear_losses=column[kernels.LINEAR_LOSS],
        gradient_sums=gradient_sums,
        variations=column[kernels.VARIATION],
        steps=column[kernels.STEP],
        weighted_variations=column[kernels.WEIGHTED_VARIATION],
        weighted_movements=column[kernels.WEIGHTED_MOVEMENT],
        movements=column[kernels.MOVEMENT],
        iterates=iterates,
        gradients=gradients,
    )


def _checked_finite(name: str, value: float) -> float:
    """Return ``value`` as a float; raise ValueError unless it is finite."""
    if not np.isfinite(value):
        raise ValueError(f"{name}={value!r}: must be finite")
    return float(value)
