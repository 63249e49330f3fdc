r"""Stated and re-derived regret bounds for smooth losses between stochastic and adversarial, as functions of constants.

Theorem numbers are those of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024; "Sachs" is Sachs, Hadiji, van Erven
and Guzman, Between Stochastic and Adversarial Online Convex Optimization, NeurIPS 2022. A bound takes a `SeaConstants`
and returns a float, in units of loss times rounds, that the expected regret cannot exceed. The variation sum starts at
t = 2; the first round is paid by a G term, as in the proofs. Bounds marked [re-derived] come with their proof.

All re-derivations use one step. With ``m_t = g_{t-1}``, ``m_1 = 0`` and ``S = sum_{t>=2} ||x_t - x_{t-1}||^2``, the
difference ``g_t - g_{t-1}`` is noise at t, plus ``grad F_t - grad F_{t-1}``, plus the move of ``x`` in ``F``, plus
noise at t - 1, so that ``V_T = sum_t ||g_t - m_t||^2`` is at most ``W + 4 L^2 S`` with ``E W <= A = G^2 + 8 sigma^2 + 4
Sigma^2``.
"""

from math import ceil, inf, log, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.online_newton import exp_concave_rate
from theorylab.algorithms.sea_constants import SeaConstants

Array = npt.NDArray[np.float64]


def gradient_change_bound(c: SeaConstants) -> float:
    """Return ``A = G^2 + 8 sigma^2 + 4 Sigma^2``, the part of ``E V_T`` that does not come from the learner's moves."""
    return c.gradient**2 + 8.0 * c.variance + 4.0 * c.variation


def optimism_offset(c: SeaConstants) -> float:
    """Return ``delta = 10 D^2 L^2`` of step size (10), in squared gradient units."""
    return 10.0 * (c.diameter * _smooth(c)) ** 2


def convex_omd(c: SeaConstants) -> float:
    """Theorem 1 (paper): optimistic mirror descent with step (10), convex ``F_t``."""
    d = c.diameter
    constant = 5.0 * sqrt(10.0) * d**2 * _smooth(c) + 2.5 * sqrt(5.0) * d * c.gradient
    return constant + 5.0 * sqrt(2.0) * d * sqrt(c.variance) + 5.0 * d * sqrt(c.variation)


def convex_omd_rederived(c: SeaConstants) -> float:
    r"""Theorem 1 [re-derived]; also bounds the expected linearised regret against the best point in hindsight.

    The pathwise inequality (P') gives ``(5D/2) sqrt(V_T) + (D/2) sqrt(delta) + DG - q S / (4D)`` with ``q =
    sqrt(delta + 4G^2)``. Insert ``sqrt(V_T) <= sqrt(W) + 2L sqrt(S)``, maximise ``5DL sqrt(S) - q S / (4D)`` over S,
    which gives ``25 D^3 L^2 / q``, and take expectations with Jensen. Convexity is not used: it only turns linearised
    regret into regret.
    """
    d, delta = c.diameter, optimism_offset(c)
    stability = 25.0 * d**3 * _smooth(c) ** 2 / sqrt(delta + 4.0 * c.gradient**2)
    return 2.5 * d * sqrt(gradient_change_bound(c)) + 0.5 * d * sqrt(delta) + d * c.gradient + stability


def convex_oftrl(c: SeaConstants) -> float:
    """Theorem 2 (paper; under the root of its delta the smoothness is squared): optimistic FTRL, convex ``F_t``."""
    d, g = c.diameter, c.gradient
    offset = 2.0 * sqrt(9.0 * d**4 * _smooth(c) ** 2 + 6.0 * d**2 * g**2) + 1.5 * sqrt(2.0) * d * g
    return 6.0 * d * sqrt(c.variance) + 3.0 * sqrt(2.0) * d * sqrt(c.variation) + offset


def convex_oftrl_sachs(c: SeaConstants) -> float:
    """Sachs, Theorem 5 with ``nu = L D^2 + D G``: optimistic FTRL on convex individual losses."""
    d, g, smooth = c.diameter, c.gradient, _smooth(c)
    nu = smooth * d**2 + d * g
    drift = d * (6.0 * sqrt(c.variance) + 3.0 * sqrt(2.0) * sqrt(c.variation))
    return drift + 1.5 * sqrt(2.0) * d * g + nu + (4.0 * (d * g) ** 2 + 9.0 * smooth**2 * d**4) / nu


def strongly_convex_omd(c: SeaConstants) -> float:
    """Theorem 3 (paper): optimistic mirror descent with ``eta_t = 2 / (lambda t)``, strongly convex ``F_t``."""
    lam, smooth, d = _strongly_convex(c), _smooth(c), c.diameter
    noise = 16.0 * (2.0 * c.variance_max + c.variation_max)
    curved = 16.0 * smooth**2 * d**2 * (log(1.0 + 8.0 * sqrt(2.0) * smooth / lam) + 1.0)
    return (noise * (_log_ratio(c) + 2.0) + curved + 4.0 * c.gradient**2) / lam + lam * d**2 / 4.0


def strongly_convex_omd_rederived(c: SeaConstants, variances: npt.ArrayLike, variations: npt.ArrayLike) -> float:
    r"""Theorem 3 [re-derived] with the whole sequence ``sigma_t^2`` (T,) and ``Sigma_t^2`` (T,), the first of no use.

    Summing the mirror descent inequality with ``1/(2 eta_t) = lambda t / 4`` leaves ``lambda D^2 / 4 + (lambda/4)
    sum_t ||u - xhat_{t+1}||^2``, and ``(lambda/4) ||u - xhat_{t+1}||^2 <= (lambda/2)(||u - x_t||^2 + eta_t^2 ||g_t -
    m_t||^2)``. The first half is cancelled by strong convexity, the second makes the factor of ``||g_t - m_t||^2``
    equal to ``(2/(lambda t))(1 + 1/t)``. Split that difference into ``a_t = sigma_t^2 + sigma_{t-1}^2 + Sigma_t^2``
    and the learner's move, whose square is at most ``D^2`` and which the stability term ``lambda (t-1) / 8`` absorbs
    for large t. Raises ValueError unless both sequences have shape (T,) and are non-negative.
    """
    lam, smooth, d = _strongly_convex(c), _smooth(c), c.diameter
    sigma, drift = _sequence("variances", variances, c.horizon), _sequence("variations", variations, c.horizon)
    t = np.arange(2, c.horizon + 1, dtype=np.float64)
    weight = 8.0 / (lam * t) * (1.0 + 1.0 / t)
    noise = np.sum(weight * (sigma[1:] + sigma[:-1] + drift[1:]))
    moves = np.sum(np.maximum(0.0, smooth**2 * weight - lam * (t - 1.0) / 8.0))
    return lam * d**2 / 4.0 + 4.0 * c.gradient**2 / lam + float(noise + d**2 * moves)


def strongly_convex_oftrl(c: SeaConstants) -> float:
    r"""Theorem 4 [corrected additive constant]: optimistic FTRL with quadratic surrogates, strongly convex ``F_t``.

    Printed is ``(8 smx + 4 Smx + 4)/lambda``, ``smx = sigma_max^2``, ``Smx = Sigma_max^2``, in place of ``(16 smx + 8
    Smx)/lambda``. The proof needs ``4 sum_t a_t / t`` with ``a_t <= a_max = 2 smx + Smx``; at most ``n = ceil(sum a /
    a_max)`` full terms fit in front, so ``sum_t a_t / t <= a_max (1 + ln n) <= a_max (2 + ln(1 + sum a / a_max))``.
    """
    lam, smooth, d = _strongly_convex(c), _smooth(c), c.diameter
    noise = 4.0 * (2.0 * c.variance_max + c.variation_max)
    curved = 4.0 * smooth**2 * d**2 * (log(1.0 + 16.0 * smooth / lam) + 1.0)
    return (noise * (_log_ratio(c) + 2.0) + curved + c.gradient**2) / lam + lam * d**2 / 2.0


def strongly_convex_oftl_sachs(c: SeaConstants) -> float:
    """Sachs, Theorem 7: optimistic follow-the-leader; grows like ``(sigma_max^2 + Sigma_max^2) log T``."""
    mu, smooth, d = _strongly_convex(c), _smooth(c), c.diameter
    harmonic = float(np.sum(1.0 / np.arange(1, c.horizon + 1)))
    curved = 4.0 * d**2 * smooth**2 * log(1.0 + 16.0 * smooth / mu)
    return (harmonic * (8.0 * c.variance_max + 4.0 * c.variation_max) + curved) / mu


def exp_concave_omd(c: SeaConstants) -> float:
    """Theorem 5 (paper): optimistic online Newton on exp-concave individual losses; its proof gives ``D^2/2``."""
    beta, d = _exp_concave_rate(c), c.dimension
    inside = beta / d * (c.variance + c.variation / 2.0 + c.gradient**2 / 8.0) + 1.0
    logs = log(inside) + log(32.0 * _smooth(c) ** 2 + 1.0)
    return 16.0 * d / beta * logs + c.diameter**2 * (1.0 + beta * c.gradient**2 / 2.0)


def exp_concave_omd_rederived(c: SeaConstants) -> float:
    r"""Theorem 5 [re-derived]. On every path regret ``<= (1 + beta G^2/2) D^2/2 + b ln(1 + beta V_T/(8d)) - S/4``.

    Here ``b = 16d/beta``. With ``k = beta L^2/(2d)``, ``1 + beta V_T/(8d) <= (1 + beta W/(8d))(1 + kS)``; ``b ln(1 +
    kS) - S/4`` is largest at ``1 + kS = 4bk = 32 L^2``, or at S = 0 if that is below 1. Then use Jensen for W.
    """
    beta, d, smooth = _exp_concave_rate(c), c.dimension, _smooth(c)
    b, k = 16.0 * d / beta, beta * smooth**2 / (2.0 * d)
    stability = b * log(4.0 * b * k) - b + 1.0 / (4.0 * k) if 32.0 * smooth**2 > 1.0 else 0.0
    start = 0.5 * (1.0 + beta * c.gradient**2 / 2.0) * c.diameter**2
    return start + b * log(1.0 + beta / (8.0 * d) * gradient_change_bound(c)) + max(0.0, stability)


def exp_concave_oftrl(c: SeaConstants) -> float:
    """Theorem 6 (paper): optimistic FTRL on exp-concave individual losses; a fourth of Theorem 5's leading term."""
    beta, d = _exp_concave_rate(c), c.dimension
    inside = beta / d * (2.0 * c.variance + c.variation + c.gradient**2 / 4.0) + 1.0
    logs = log(inside) + log(16.0 * _smooth(c) ** 2 + 1.0)
    return 4.0 * d / beta * logs + (1.0 + beta * c.gradient**2) * c.diameter**2 / 2.0


def corrupted_variation(gradient: float, budget: float) -> float:
    r"""Corollary 1: ``Sigma^2 <= 4 G C_T``, where ``sum_t max_x ||grad c_t|| <= C_T`` and the rest is i.i.d.

    ``Delta_t = grad F_t - grad F_{t-1}`` has norm at most 2G and at most ``||grad c_t|| + ||grad c_{t-1}||``; multiply
    and sum. Raises ValueError on a negative budget or a gradient bound that is not positive.
    """
    if not gradient > 0.0:
        raise ValueError(f"gradient={gradient!r}: must be positive")
    if not budget >= 0.0:
        raise ValueError(f"budget={budget!r}: the corruption budget C_T must be at least 0")
    return 4.0 * gradient * budget


def random_order_variation(gradient: float) -> float:
    """Corollary 2: ``Sigma^2 <= 8 G^2`` in expectation over the order, gradient being G."""
    return 8.0 * gradient**2


def random_order_variance(horizon: int, variance: float, uniform_variance: float) -> float:
    """Corollary 2: ``sigma^2 <= T s^2 ln(2 e^2 Lambda / s^2)``; the print has ``log(Lambda/s)``, the proof this.

    ``variance`` is ``s^2 = max_x mean ||grad f_t - grad Fbar||^2``, ``uniform_variance`` is ``Lambda``, the same with
    the maximum inside the mean. Raises ValueError outside the case ``T s^2 / Lambda > 2`` that the formula is for.
    """
    if not (0.0 < variance <= uniform_variance * (1.0 + 1e-12) and horizon * variance > 2.0 * uniform_variance):
        raise ValueError(
            f"variance={variance!r}, uniform_variance={uniform_variance!r}: must satisfy 0 < s^2 <= Lambda and "
            f"T s^2 > 2 Lambda, T={horizon!r}; outside use the trivial bound 4 G^2 T"
        )
    return horizon * variance * (log(2.0 * uniform_variance / variance) + 2.0)


def batch_variance(gradient: float, batches: npt.ArrayLike) -> float:
    """Corollary 3: ``sigma^2 <= 4 G^2 sum_t 1/B_t`` for batch sizes ``B_t`` (T,), all at least 1."""
    sizes = np.asarray(batches, dtype=np.float64)
    if sizes.ndim != 1 or sizes.size == 0 or not np.all(sizes >= 1.0):
        raise ValueError(f"batches={batches!r}: must be a non-empty list of batch sizes, each at least 1")
    return 4.0 * gradient**2 * float(np.sum(1.0 / sizes))


def weighted_sum_bound(terms: npt.ArrayLike) -> float:
    r"""Return ``a_max (1 + ln ceil(sum a / a_max)) >= sum_{t>=2} a_t / t`` for ``a_2, a_3, ...`` (n,), all >= 0.

    The left side is largest when the mass sits in front, ``n`` full terms, and ``sum_{t=2}^{n+1} 1/t <= ln(n+1) <= 1 +
    ln n``. It does not grow once the terms stop: the log of Theorems 3 and 4 is in the sums and not in T.
    """
    a = np.asarray(terms, dtype=np.float64)
    if a.ndim != 1 or a.size == 0 or not np.all(a >= 0.0):
        raise ValueError(f"terms.shape={a.shape}: must be a non-empty vector of non-negative terms")
    largest = float(a.max())
    return 0.0 if largest == 0.0 else largest * (1.0 + log(ceil(float(a.sum()) / largest)))


def _log_ratio(c: SeaConstants) -> float:
    """Return ``ln((2 sigma^2 + Sigma^2) / (2 sigma_max^2 + Sigma_max^2) + 1)``, 0 for a game without either."""
    largest = 2.0 * c.variance_max + c.variation_max
    return log((2.0 * c.variance + c.variation) / largest + 1.0) if largest > 0.0 else 0.0


def _smooth(c: SeaConstants) -> float:
    """Return L; raise ValueError where the losses have kinks."""
    if c.smoothness == inf:
        raise ValueError(
            "smoothness=inf: this bound needs smooth F_t; for losses with kinks see online_nonsmooth_bounds"
        )
    return c.smoothness


def _strongly_convex(c: SeaConstants) -> float:
    """Return lambda; raise ValueError unless it is positive."""
    if c.strong_convexity <= 0.0:
        raise ValueError(f"strong_convexity={c.strong_convexity!r}: must be positive; F_t is not strongly convex (A6)")
    return c.strong_convexity


def _exp_concave_rate(c: SeaConstants) -> float:
    """Return ``beta = min(1/(4GD), alpha) / 2``; raise ValueError where the losses are not exp-concave."""
    return exp_concave_rate(c.diameter, c.gradient, c.exp_concavity)


def _sequence(name: str, values: npt.ArrayLike, horizon: int) -> Array:
    """Return float64 (T,); raise ValueError on another shape or a negative or non-finite entry."""
    checked = np.asarray(values, dtype=np.float64)
    if checked.shape != (horizon,) or not (np.isfinite(checked).all() and np.all(checked >= 0.0)):
        raise ValueError(f"{name}.shape={checked.shape}: must be ({horizon},), finite and non-negative, one a round")
    return checked
