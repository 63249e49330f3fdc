r"""Bounds on regret against a moving comparator, and for losses with kinks, as functions of the constants of a game.

Theorem numbers are those of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024. ``path_length`` is ``P_T = sum_{t>=2}
||u_t - u_{t-1}||`` of the comparators, which are fixed before the losses are drawn. All functions return floats, bounds
on the expected regret in units of loss times rounds. The theorems with kinks fix the unit of a gradient to 1.
"""

from math import cbrt, ceil, inf, isfinite, log, log2, sqrt

import numpy as np

from theorylab.algorithms.implicit_descent import implicit_pool
from theorylab.algorithms.online_bounds import gradient_change_bound
from theorylab.algorithms.online_ensemble import dynamic_pool, known_variance_pool, known_variance_rate
from theorylab.algorithms.sea_constants import SeaConstants


def dynamic_ensemble(c: SeaConstants, path_length: float) -> float:
    """Theorem 7, display (37) (paper), for the two-layer ensemble with the steps of `dynamic_pool`."""
    d, smooth, g = c.diameter, _positive_smoothness(c), c.gradient
    log_n = log(dynamic_pool(c.horizon, diameter=d, gradient=g, smoothness=smooth).size)
    a = 5.0 * d * sqrt(log_n) + 2.0 * sqrt(_travel(c, path_length))
    drift = a * (2.0 * sqrt(2.0) * sqrt(c.variance) + 2.0 * sqrt(c.variation))
    moves = (58.0 * log_n + 16.0) * d**2 * smooth + 32.0 * d * smooth * path_length
    return a * g + drift + moves + g**2 / smooth


def dynamic_fixed_parameters(c: SeaConstants, path_length: float) -> float:
    r"""Theorem 7 for known ``A = G^2 + 8 sigma^2 + 4 Sigma^2`` [re-derived], 3 to 8 times below (37).

    Optimistic Hedge with rate eps costs ``ln N/eps + eps R^2 V_T - sum ||p_t - p_{t-1}||_1^2 / (4 eps)``, base i costs
    ``(D^2 + 2 D P_T)/(2 eta_i) + eta_i V_T - sum ||x_{t,i} - x_{t-1,i}||^2 / (4 eta_i)``. ``V_T <= W + 4 L^2 S``, and
    the played point moves by ``||x_t - x_{t-1}||^2 <= 2 sum_i p_{t,i} ||x_{t,i} - x_{t-1,i}||^2 + 2 R^2 ||p_t -
    p_{t-1}||_1^2``. With steps at most 1/(8L), ``eps <= 1/(8LR^2)`` and the correction ``lam = 2L``, the first part of
    S is paid by the correction, which base i pays with its own stability, and the second by that of the weights. With
    one base learner there are no weights and the terms with eps vanish.
    """
    smooth, radius, scale = _positive_smoothness(c), c.diameter / 2.0, gradient_change_bound(c)
    pool = known_variance_pool(diameter=c.diameter, smoothness=smooth, total=scale)
    base = float(np.min(_travel(c, path_length) / (2.0 * pool) + pool * scale))
    if pool.size == 1:
        return base
    eps = known_variance_rate(pool.size, radius=radius, smoothness=smooth, total=scale).cap
    return base + log(pool.size) / eps + eps * radius**2 * scale


def dynamic_separate_gradients(c: SeaConstants, path_length: float) -> float:
    """Theorem 11 (paper): every base learner with a gradient of its own; only the uniform variance is in the bound.

    ``N = ceil(log2(8 G^2 T / (L^2 D^2)) / 2) + 1`` learners.
    """
    d, smooth, g = c.diameter, _positive_smoothness(c), c.gradient
    count = max(1, ceil(0.5 * log2(8.0 * g**2 * c.horizon / (smooth * d) ** 2)) + 1)
    log_n, travel = log(count), _travel(c, path_length)
    drift = sqrt(2.0) * sqrt(c.uniform_variance) + sqrt(c.variation)
    leading = (2.0 * log_n + 4.0 * d**2 + 4.0 * sqrt(travel)) * drift
    constant = (log_n + 2.0 * d**2) * (sqrt(5.0) * g + 4.0 * d * smooth * sqrt(log_n + 2.0 * d**2))
    return leading + constant + 2.0 * g * sqrt(travel) + 6.0 * smooth * travel


def nonsmooth_omd(c: SeaConstants) -> float:
    """Theorem 8 [corrected]: implicit optimistic mirror descent; the proof gives ``1 + 5G^2`` under the first root."""
    return _nonsmooth_omd(c, 5.0)


def nonsmooth_omd_printed(c: SeaConstants) -> float:
    """Theorem 8 as printed, with ``1 + G^2`` under the first root, which the proof does not give."""
    return _nonsmooth_omd(c, 1.0)


def nonsmooth_omd_rederived(c: SeaConstants) -> float:
    r"""Theorem 8 [re-derived]: ``1.5 D sqrt(1 + 5G^2 + 3 tilde-sigma^2 + 2 Sigma^2)``.

    Take expectations in (N), in the form ``1.5 D sqrt(1 + 4G^2 + sum_t v_t)``. The first term is ``v_1 <= G^2``. For t
    >= 2, at the point ``x_t``, ``g_t - h_{t-1}`` is the noise of ``f_t`` plus ``grad F_t - grad F_{t-1}`` plus the
    noise of ``f_{t-1}``. The first has conditional mean zero given the rest, so ``E v_t <= sigma_t^2 + 2 Sigma_t^2 + 2
    tilde-sigma_{t-1}^2``.
    """
    inside = 1.0 + 5.0 * c.gradient**2 + 3.0 * c.uniform_variance + 2.0 * c.variation
    return 1.5 * c.diameter * sqrt(inside)


def nonsmooth_ensemble(c: SeaConstants, path_length: float) -> float:
    """Theorem 9, display (49) [corrected additive ``4 D^2 G^2``: losses differ by at most 2GD in a round]."""
    return _nonsmooth_ensemble(c, path_length) + 4.0 * (c.diameter * c.gradient) ** 2


def nonsmooth_ensemble_printed(c: SeaConstants, path_length: float) -> float:
    """Theorem 9, display (49) as printed, with the additive ``4 G^4``."""
    return _nonsmooth_ensemble(c, path_length) + 4.0 * c.gradient**4


def label_shift(c: SeaConstants, loss_bound: float, frequency_path: float) -> float:
    r"""Corollary 4 [corrected as (49)] for the minimisers ``u_t`` of ``F_t``, without their path length.

    ``loss_bound`` is ``B_f = sup f``, ``frequency_path`` is ``L_T = sum_t ||mu_t - mu_{t-1}||_1``. The horizon is cut
    into blocks with one comparator each; the length of the blocks balances the two terms. A8, convex ``f_t``, is a
    hypothesis: raw weights of black-box shift estimation can be negative and violate it.
    """
    if not (isfinite(loss_bound) and loss_bound > 0.0):
        raise ValueError(f"loss_bound={loss_bound!r}: must be positive and finite")
    scale, d = _kinked_scale(c), c.diameter
    shift = loss_bound * d**2 * _checked_path("frequency_path", frequency_path) * c.horizon
    moving = 12.0 * cbrt(shift * scale**2)
    log_n = log(implicit_pool(c.horizon, diameter=c.diameter, gradient=c.gradient).size)
    return moving + (log_n + 8.0) * (1.0 + d * scale) + 4.0 * (d * c.gradient) ** 2


def _nonsmooth_omd(c: SeaConstants, factor: float) -> float:
    """Return the bound of Theorem 8 with ``1 + factor G^2`` under the first root."""
    d = c.diameter
    first = 5.0 * d * sqrt(1.0 + factor * c.gradient**2)
    return first + 10.0 * sqrt(2.0) * d * sqrt(c.uniform_variance) + 10.0 * d * sqrt(c.variation)


def _nonsmooth_ensemble(c: SeaConstants, path_length: float) -> float:
    """Return (49) without its additive term of fourth order."""
    log_n = log(implicit_pool(c.horizon, diameter=c.diameter, gradient=c.gradient).size)
    factor = c.diameter * (log_n + 4.0) + 2.0 * sqrt(2.0 * _travel(c, path_length))
    return factor * _kinked_scale(c) + log_n + 4.0


def _kinked_scale(c: SeaConstants) -> float:
    """Return ``G + 2 sqrt(2) sqrt(tilde-sigma^2) + 2 sqrt(Sigma^2)``."""
    return c.gradient + 2.0 * sqrt(2.0) * sqrt(c.uniform_variance) + 2.0 * sqrt(c.variation)


def _travel(c: SeaConstants, path_length: float) -> float:
    """Return ``D^2 + 2 D P_T``, what a base learner pays over twice its step to follow the comparators."""
    return c.diameter**2 + 2.0 * c.diameter * _checked_path("path_length", path_length)


def _checked_path(name: str, value: float) -> float:
    """Return a finite length; raise ValueError if it is negative or not finite."""
    if not (isfinite(value) and value >= 0.0):
        raise ValueError(f"{name}={value!r}: must be finite and at least 0, the sum of the steps of the path")
    return value


def _positive_smoothness(c: SeaConstants) -> float:
    """Return L; raise ValueError unless it is positive and finite."""
    if c.smoothness == inf or c.smoothness <= 0.0:
        raise ValueError(
            f"smoothness={c.smoothness!r}: must be positive and finite for the ensemble of Theorem 7 or 11"
        )
    return c.smoothness
