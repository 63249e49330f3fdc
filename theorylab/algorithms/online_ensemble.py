"""The two-layer ensemble for dynamic regret on smooth losses: many steps in parallel, weighted by optimistic Hedge.

Algorithm 2 and Theorem 7 of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, equations (25)-(28). The method is a
pool of steps (`dynamic_pool`, `known_variance_pool`) and a rate of the weights (`adaptive_rate`, `fixed_rate`); a wrong
pool or rate makes a wrong learner: one slow step, a frozen one, or weights that never move (`fixed_rate(0.0)`).
"""

from dataclasses import dataclass
from math import ceil, inf, log, log2, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import online_kernels as kernels
from theorylab.algorithms.online_learners import empty_record
from theorylab.algorithms.online_losses import (
    Array,
    Integers,
    SmoothLosses,
    checked_array,
    checked_checkpoints,
    checked_positive,
)


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate of the weights, ``eps_t = min(cap, sqrt(scale / V_t))``, ``V_t = sum_{2<=s<=t} ||g_s - g_{s-1}||^2``."""

    cap: float
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class EnsemblePlayed:
    """What the ensemble leaves behind, at C checkpoints and, if kept, in all T rounds.

    ``rounds`` (C,) int; ``losses`` ``sum f_s(x_s)``, ``linear_losses`` ``sum <g_s, x_s>``, ``gradient_sums`` ``sum
    g_s`` (C, d); ``variations`` ``V_t``, without the first round; ``rates`` ``eps_t``; all (C,). ``iterates`` ``x_t``
    and ``gradients`` ``g_t`` (T, d) and ``weights`` ``p_t`` (T, N), or without rows when not kept. A diverged ensemble
    leaves infinity from then on.
    """

    rounds: Integers
    losses: Array
    linear_losses: Array
    gradient_sums: Array
    variations: Array
    rates: Array
    iterates: Array
    gradients: Array
    weights: Array


def dynamic_pool(
    horizon: int, *, diameter: float, gradient: float, smoothness: float, inside_root: bool = False
) -> Array:
    """Return the N steps of Theorem 7, ``eta_i = min(1/(8L), 2^{i-1} D / sqrt(8 G^2 T))``, ascending.

    ``N = ceil(log2(G^2 T / (8 L^2 D^2)) / 2) + 1``, at least 1, lets the largest reach ``1/(8L)``. ``inside_root``
    puts ``2^{i-1}`` under the root, as the paper is typeset: then the pool ends near ``sqrt(eta_1 / (8L))``. Raises
    ValueError on a horizon below 2 or constants that are not positive and finite.

    >>> dynamic_pool(4096, diameter=2.0, gradient=2.0, smoothness=1.0).round(4).tolist()
    [0.0055, 0.011, 0.0221, 0.0442, 0.0884, 0.125]
    """
    if int(horizon) != horizon or horizon < 2:
        raise ValueError(f"horizon={horizon!r}: must be an integer of at least 2 rounds")
    d, g = checked_positive("diameter", diameter), checked_positive("gradient", gradient)
    smooth = checked_positive("smoothness", smoothness)
    bases = max(1, ceil(0.5 * log2(g * g * horizon / (8.0 * smooth * smooth * d * d))) + 1)
    growth = 2.0 ** np.arange(bases)
    if inside_root:
        growth = np.sqrt(growth)
    return np.asarray(np.minimum(0.125 / smooth, growth * d / sqrt(8.0 * g * g * horizon)))


def known_variance_pool(*, diameter: float, smoothness: float, total: float) -> Array:
    """Return the steps of the fixed-parameter variant: ``min(1/(8L), D/sqrt(2A))``, doubled up to and with ``1/(8L)``.

    ``total`` is ``A = G^2 + 8 sigma^2 + 4 Sigma^2`` of the cumulative variance and variation, which this variant has to
    know. Raises ValueError on constants that are not positive and finite.

    >>> known_variance_pool(diameter=2.0, smoothness=1.0, total=5000.0).tolist()
    [0.02, 0.04, 0.08, 0.125]
    """
    largest = 0.125 / checked_positive("smoothness", smoothness)
    steps = [min(largest, checked_positive("diameter", diameter) / sqrt(2.0 * checked_positive("total", total)))]
    while steps[-1] < largest:
        steps.append(min(largest, 2.0 * steps[-1]))
    return np.array(steps)


def adaptive_rate(bases: int, *, diameter: float, smoothness: float) -> Rate:
    """Return ``eps_t = min(1/(8 D^2 L), sqrt(ln N / (D^2 V_t)))`` of Theorem 7 for N ``bases``.

    Raises ValueError on fewer than one base or constants that are not positive and finite.
    """
    square = checked_positive("diameter", diameter) ** 2
    return Rate(0.125 / (square * checked_positive("smoothness", smoothness)), _log_bases(bases) / square)


def known_variance_rate(bases: int, *, radius: float, smoothness: float, total: float) -> Rate:
    """Return ``eps = min(1/(8 L R^2), sqrt(ln N / (R^2 A)))`` of the fixed-parameter variant; ``total`` is A.

    Raises ValueError as `adaptive_rate`.
    """
    square = checked_positive("radius", radius) ** 2
    known = sqrt(_log_bases(bases) / (square * checked_positive("total", total)))
    return fixed_rate(min(0.125 / (square * checked_positive("smoothness", smoothness)), known))


def fixed_rate(eps: float) -> Rate:
    """Return the constant rate ``eps``; 0 keeps the weights uniform. Raises ValueError if negative or not finite."""
    if not (np.isfinite(eps) and eps >= 0.0):
        raise ValueError(f"eps={eps!r}: must be finite and at least 0")
    return Rate(float(eps), inf)


def play_ensemble(
    losses: SmoothLosses,
    steps: npt.ArrayLike,
    rate: Rate,
    *,
    radius: float,
    correction: float,
    checkpoints: npt.ArrayLike | None = None,
    keep: bool = True,
) -> EnsemblePlayed:
    """Play Algorithm 2 on ``losses`` over the centred ball of ``radius``: one gradient a round for N base learners.

    ``steps`` (N,) is the pool; base i runs optimistic mirror descent with step ``eta_i`` on the shared gradient, from
    the origin. Weights are ``p_{t+1,i}`` proportional to ``exp(-eps_t (sum_{s<=t} l_s,i + l_{t+1,i}))``, where ``l_s,i
    = <g_s, x_{s,i}> + lambda ||x_{s,i} - x_{s-1,i}||^2`` and the last takes ``g_t`` for the unseen gradient.
    ``correction`` is lambda, 2L in Theorem 7. Raises ValueError on a pool that is empty or not positive, a negative
    correction, a radius that is not positive and finite, and wrong checkpoints.

    >>> from theorylab.algorithms.online_losses import quadratic_losses
    >>> still = quadratic_losses(np.eye(2), np.tile([0.5, 0.0], (2000, 1)))
    >>> pool = dynamic_pool(2000, diameter=2.0, gradient=1.5, smoothness=1.0)
    >>> rate = adaptive_rate(pool.size, diameter=2.0, smoothness=1.0)
    >>> played = play_ensemble(still, pool, rate, radius=1.0, correction=2.0)
    >>> bool(np.allclose(played.iterates[-1], [0.5, 0.0], atol=1e-3))
    True
    """
    pool = checked_array("steps", steps, (None,))
    if pool.min() <= 0.0:
        raise ValueError(f"steps={steps!r}: all steps must be positive")
    if not (np.isfinite(correction) and correction >= 0.0):
        raise ValueError(f"correction={correction!r}: must be finite and at least 0; Theorem 7 takes 2L")
    ball = checked_positive("radius", radius)
    rounds = checked_checkpoints(checkpoints, losses.horizon)
    sums, gradient_sums, iterates, gradients = empty_record(rounds, losses.dimension, 4, keep)
    weights = np.empty((iterates.shape[0], pool.size))
    record = (sums, gradient_sums, iterates, gradients, weights)
    kernels.play_ensemble(losses.game, pool, float(correction), rate.cap, rate.scale, ball, rounds, *record)
    totals, linear, variations, rates = (np.ascontiguousarray(column) for column in sums.T)
    return EnsemblePlayed(rounds, totals, linear, gradient_sums, variations, rates, iterates, gradients, weights)


def _log_bases(bases: int) -> float:
    """Return ``ln N``; raise ValueError unless N is a positive integer."""
    if int(bases) != bases or bases < 1:
        raise ValueError(f"bases={bases!r}: must be a positive integer, the size of the pool")
    return log(bases)
