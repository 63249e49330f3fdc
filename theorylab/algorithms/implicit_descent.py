"""Implicit optimistic mirror descent for losses without smoothness, and its ensemble for dynamic regret.

Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024: equations (29)-(31) with Theorem 8, Algorithm 3 ((33), (34)) with
Theorem 9. Both play a `ProxGame`: kinked losses on a box, or convex mixtures of softmax regressions on a ball.

At a kink the proof of Theorem 8 takes for ``grad f_{t-1}(x_t)`` the sub-gradient that the proximal step realised,
``h_{t-1} = (xhat_t - x_t)/eta_t``, and ``grad f_t(x_t)`` is then built from the same slopes: `KinkRule.REALISED`. With
a fixed sign(0) the theorem is false: on ``f_t = f`` the learner sits on the kink while ``v_t`` never vanishes.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import ceil, log2, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import implicit_kernels as kernels
from theorylab.algorithms import online_kernels
from theorylab.algorithms.online_learners import empty_record
from theorylab.algorithms.online_losses import (
    Array,
    Integers,
    KinkedLosses,
    SmoothLosses,
    checked_array,
    checked_checkpoints,
    checked_positive,
)


class KinkRule(IntEnum):
    """What is taken for the slope of an absolute value at its kink; EXPLICIT also drops the implicit step."""

    REALISED = kernels.REALISED
    ZERO = kernels.ZERO
    ONE = kernels.ONE
    EXPLICIT = kernels.EXPLICIT


@dataclass(frozen=True, slots=True, eq=False)
class ProxGame:
    """T convex losses with a proximal step, and their set; made by `box_game` or `ball_game`.

    ``arrays`` is the tuple that kernels read, ``curvatures`` (T,) Lipschitz constants of the gradients where the
    proximal step is iterative.
    """

    arrays: kernels.Game
    curvatures: Array
    horizon: int
    dimension: int


@dataclass(frozen=True, slots=True, eq=False)
class ImplicitPlayed:
    """What the static learner leaves behind, at C checkpoints and, if kept, in all T rounds.

    ``rounds`` (C,) int; ``losses`` ``sum f_s(x_s)``, ``linear_losses`` ``sum <g_s, x_s>``, ``gradient_sums`` ``sum
    g_s`` (C, d); ``variations`` ``sum v_s`` with ``v_s = ||g_s - h_{s-1}||^2``; ``steps`` ``eta_t``;
    ``weighted_variations`` ``sum eta_s v_s``; all (C,). ``iterates`` ``x_t``, ``gradients`` ``g_t`` and ``hints``
    ``h_{t-1}`` are (T, d), or (0, d) when not kept. A diverged learner leaves infinity from then on.
    """

    rounds: Integers
    losses: Array
    linear_losses: Array
    gradient_sums: Array
    variations: Array
    steps: Array
    weighted_variations: Array
    iterates: Array
    gradients: Array
    hints: Array


@dataclass(frozen=True, slots=True, eq=False)
class ImplicitEnsemblePlayed:
    """What Algorithm 3 leaves behind, at C checkpoints and, if kept, in all T rounds.

    ``rounds`` (C,) int; ``losses`` (C,) ``sum f_s(x_s)``; ``base_variations`` (C, N) ``sum_s v_{s,i}``; ``surprises``
    (C,) ``Q_t = sum q_s^2``; ``weighted_surprises`` (C,) ``sum q_s^2 / sqrt(1 + Q_{s-1})``. ``iterates`` ``x_t`` (T, d)
    and ``weights`` ``p_t`` (T, N), or without rows when not kept. A diverged ensemble leaves infinity from then on.
    """

    rounds: Integers
    losses: Array
    base_variations: Array
    surprises: Array
    weighted_surprises: Array
    iterates: Array
    weights: Array


def box_game(losses: KinkedLosses, lower: float, upper: float) -> ProxGame:
    """Return kinked losses on the box ``[lower, upper]^d``.

    Raises ValueError unless ``lower < upper`` are finite and every centre lies in the box.
    """
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise ValueError(f"lower={lower!r}, upper={upper!r}: must be finite with lower < upper")
    least, most = float(losses.centres.min()), float(losses.centres.max())
    if least < lower or most > upper:
        raise ValueError(f"centres span [{least!r}, {most!r}]: must lie in the box [{lower!r}, {upper!r}]")
    arrays = (kernels.KINKED, losses.centres[None], losses.tilts, losses.width, float(lower), float(upper))
    return ProxGame(arrays, np.zeros(losses.horizon), losses.horizon, losses.dimension)


def ball_game(losses: SmoothLosses, radius: float) -> ProxGame:
    """Return mixtures of softmax regressions, made by `softmax_losses`, on the centred ball of ``radius``.

    Raises ValueError on another kind of losses, on a negative weight, which makes a loss non-convex (A8 fails) and its
    proximal step ill-posed, and on a radius that is not positive and finite.
    """
    kind, _, _, _, _, features, weights = losses.game
    if kind != online_kernels.SOFTMAX:
        raise ValueError(f"losses of kind={kind!r}: must be made by softmax_losses; kinked losses go to box_game")
    if weights.min() < 0.0:
        t, k = np.unravel_index(int(np.argmin(weights)), weights.shape)
        raise ValueError(
            f"weights[{int(t)}, {int(k)}]={float(weights[t, k])!r}: must be at least 0, or f_t is not convex (A8); "
            "project the weights on the simplex, or play the smooth ensemble"
        )
    ball = checked_positive("radius", radius)
    # The Hessian of the cross-entropy at z is (diag(p) - pp') x zz', and the first factor is at most 1/2.
    tops = [0.5 * float(np.linalg.eigvalsh(z.T @ z / z.shape[0])[-1]) for z in features]
    arrays = (kernels.SOFTMAX, features, weights, 0.0, -ball, ball)
    return ProxGame(arrays, weights @ np.array(tops), losses.horizon, losses.dimension)


def play_implicit(
    game: ProxGame,
    *,
    diameter: float,
    gradient: float,
    rule: KinkRule = KinkRule.REALISED,
    checkpoints: npt.ArrayLike | None = None,
    keep: bool = True,
) -> ImplicitPlayed:
    """Play (29)-(31): ``eta_t = D / sqrt(1 + 4 G^2 + sum_{s<t} v_s)``, from the projection of the origin.

    ``xhat_{t+1} = Proj(xhat_t - eta_t g_t)``, ``x_{t+1} = argmin f_t(x) + ||x - xhat_{t+1}||^2 / (2 eta_{t+1})``.
    ``diameter`` is D, ``gradient`` G, ``rule`` what happens at kinks. Raises ValueError on constants that are not
    positive and finite and wrong checkpoints.

    >>> from theorylab.algorithms.online_losses import kinked_losses
    >>> still = box_game(kinked_losses(np.full((300, 1), 0.3), np.zeros((300, 1))), -1.0, 1.0)
    >>> float(play_implicit(still, diameter=2.0, gradient=1.0).iterates[-1, 0])
    0.3
    """
    scale = checked_positive("diameter", diameter)
    offset = 1.0 + 4.0 * checked_positive("gradient", gradient) ** 2
    rounds = checked_checkpoints(checkpoints, game.horizon)
    sums, gradient_sums, iterates, gradients = empty_record(rounds, game.dimension, kernels.COLUMNS, keep)
    hints = np.empty(iterates.shape)
    record = (sums, gradient_sums, iterates, gradients, hints)
    kernels.play_implicit(game.arrays, game.curvatures, (int(KinkRule(rule)), scale, offset), rounds, *record)
    column = [np.ascontiguousarray(values) for values in sums.T]
    return ImplicitPlayed(
        rounds=rounds,
        losses=column[kernels.LOSS],
        linear_losses=column[kernels.LINEAR_LOSS],
        gradient_sums=gradient_sums,
        variations=column[kernels.VARIATION],
        steps=column[kernels.STEP],
        weighted_variations=column[kernels.WEIGHTED_VARIATION],
        iterates=iterates,
        gradients=gradients,
        hints=hints,
    )


def implicit_pool(horizon: int, *, diameter: float, gradient: float) -> Array:
    """Return the N steps of Theorem 9, ``eta_i = 2^{i-1} D / sqrt(1 + 4 T G^2)``, ascending.

    ``N = ceil(log2((1 + 2T)(1 + 4 T G^2)) / 2) + 1``. Raises ValueError on a horizon below 2 or constants that are not
    positive and finite.

    >>> implicit_pool(4096, diameter=4.0, gradient=2.0).size
    16
    """
    if int(horizon) != horizon or horizon < 2:
        raise ValueError(f"horizon={horizon!r}: must be an integer of at least 2 rounds")
    total = 1.0 + 4.0 * horizon * checked_positive("gradient", gradient) ** 2
    bases = ceil(0.5 * log2((1.0 + 2.0 * horizon) * total)) + 1
    return np.asarray(2.0 ** np.arange(bases) * checked_positive("diameter", diameter) / sqrt(total))


def play_implicit_ensemble(
    game: ProxGame,
    steps: npt.ArrayLike,
    *,
    uniform: bool = False,
    checkpoints: npt.ArrayLike | None = None,
    keep: bool = True,
) -> ImplicitEnsemblePlayed:
    """Play Algorithm 3: base learners with fixed ``steps`` (N,) and their own gradients, under optimistic Hedge.

    ``p_{t+1,i}`` is proportional to ``exp(-eps_t (sum_{s<=t} f_s(x_{s,i}) + f_t(x_{t+1,i})))``, ``eps_t = (1 +
    Q_t)^{-1/2}``, ``Q_t = sum q_s^2``, ``q_s = max_i |f_s(x_{s,i}) - f_{s-1}(x_{s,i})|``, losses counted from their
    value at the first point. ``uniform`` freezes the weights, which no theorem covers. Raises ValueError on a pool
    that is empty or not positive and wrong checkpoints.
    """
    pool = checked_array("steps", steps, (None,))
    if pool.min() <= 0.0:
        raise ValueError(f"steps={steps!r}: all steps must be positive")
    rounds = checked_checkpoints(checkpoints, game.horizon)
    kept = int(rounds[-1]) if keep else 0
    sums, bases = np.full((rounds.size, 3), np.inf), np.full((rounds.size, pool.size), np.inf)
    iterates, weights = np.empty((kept, game.dimension)), np.empty((kept, pool.size))
    kernels.play_implicit_ensemble(
        game.arrays, game.curvatures, pool, not uniform, rounds, sums, bases, iterates, weights
    )
    losses, surprises, weighted = (np.ascontiguousarray(column) for column in sums.T)
    return ImplicitEnsemblePlayed(rounds, losses, bases, surprises, weighted, iterates, weights)
