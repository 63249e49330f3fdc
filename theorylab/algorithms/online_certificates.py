r"""Right-hand sides of inequalities that hold on every path: no expectation, no hidden constant, best point included.

Each takes the sums that a run leaves at its checkpoints, scalars or float64 arrays (C,), and returns the bounds (C,) on
``sum_{s<=t} <g_s, x_s - u>`` for any u of the set, unless said otherwise. The algorithms are those of Chen, Zhang, Tu,
Zhao and Zhang, JMLR 25(178), 2024; the inequalities are re-derived, each with its proof. ``v_t = ||g_t - m_t||^2``,
``V_t = v_1 + ... + v_t``. All raise ValueError on sums that are negative or not finite and on diameters, steps and
gradient bounds that are not positive.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def mirror_descent(
    steps: npt.ArrayLike, weighted_variations: npt.ArrayLike, weighted_movements: npt.ArrayLike, diameter: float
) -> Array:
    r"""(P): ``D^2/(2 eta_t) + sum eta_s v_s - sum_{s>=2} ||x_s - x_{s-1}||^2 / (4 eta_{s-1})``.

    For any hints and steps ``eta_t`` that do not increase; the second and the third sum are ``weighted_variations`` and
    ``weighted_movements``. Proof: the two projections give ``<g_t, x_t - u> <= (||u - xhat_t||^2 - ||u -
    xhat_{t+1}||^2)/(2 eta_t) + <g_t - m_t, x_t - xhat_{t+1}> - (||xhat_{t+1} - x_t||^2 + ||x_t - xhat_t||^2)/(2
    eta_t)``. The middle term is at most ``eta_t v_t`` since projections do not expand. The first telescopes with the
    growing ``1/eta_t``; of the last, ``||xhat_t - x_{t-1}||^2 + ||x_t - xhat_t||^2 >= ||x_t - x_{t-1}||^2/2``.

    >>> mirror_descent([0.5], [1.0], [0.25], 2.0)
    array([4.75])
    """
    eta = _positive("steps", steps)
    start = _positive("diameter", diameter) ** 2 / (2.0 * eta)
    return start + _sums("weighted_variations", weighted_variations) - _sums("weighted_movements", weighted_movements)


def adaptive_mirror_descent(
    variations: npt.ArrayLike, movements: npt.ArrayLike, diameter: float, gradient: float, delta: float
) -> Array:
    r"""(P'): ``(5D/2) sqrt(V_t) + (D/2) sqrt(delta) + DG - (sqrt(delta + 4G^2)/(4D)) sum ||x_s - x_{s-1}||^2``.

    For the steps ``D / sqrt(delta + 4G^2 + V_{t-1})``. Proof: in (P), ``1/eta_t`` splits by ``sqrt(a + b) <= sqrt(a) +
    sqrt(b)``; ``v_t <= 4G^2`` moves the current term under the root, and ``sum_s v_s / sqrt(V_s) <= 2 sqrt(V_t)``.
    """
    d, g, offset = _positive("diameter", diameter), _positive("gradient", gradient), _sums("delta", delta)
    growth = 2.5 * d * np.sqrt(_sums("variations", variations))
    stability = np.sqrt(offset + 4.0 * g**2) / (4.0 * d) * _sums("movements", movements)
    return np.asarray(growth + 0.5 * d * np.sqrt(offset) + d * g - stability)


def implicit_mirror_descent(steps: npt.ArrayLike, weighted_mismatches: npt.ArrayLike, diameter: float) -> Array:
    r"""(N): ``D^2/(2 eta_t) + sum eta_s v_s / 2``, with ``v_t = ||g_t - h_{t-1}||^2``, for losses with kinks.

    ``weighted_mismatches`` are ``sum eta_s v_s``; ``h_{t-1}`` is the sub-gradient of ``f_{t-1}`` at ``x_t`` that the
    implicit step realised, ``h_0 = 0``. Proof: the implicit step gives ``<h_{t-1}, x_t - xhat_{t+1}> <=
    (||xhat_{t+1} - xhat_t||^2 - ||xhat_{t+1} - x_t||^2 - ||x_t - xhat_t||^2)/(2 eta_t)``, the explicit one ``<g_t,
    xhat_{t+1} - u> <= (||u - xhat_t||^2 - ||u - xhat_{t+1}||^2 - ||xhat_{t+1} - xhat_t||^2)/(2 eta_t)``. Add them;
    ``<g_t - h_{t-1}, z> - ||z||^2/(2 eta_t) <= eta_t v_t / 2`` with ``z = x_t - xhat_{t+1}``.
    """
    start = _positive("diameter", diameter) ** 2 / (2.0 * _positive("steps", steps))
    return start + 0.5 * _sums("weighted_mismatches", weighted_mismatches)


def adaptive_implicit_mirror_descent(mismatches: npt.ArrayLike, diameter: float, gradient: float) -> Array:
    r"""(N) for ``eta_t = D / sqrt(1 + 4G^2 + sum_{s<t} v_s)``: at most ``1.5 D sqrt(1 + 4G^2 + sum_{s<=t} v_s)``.

    Half of the factor is ``D^2/(2 eta_t)``; ``v_t <= 4G^2`` gives ``eta_t v_t <= D v_t / sqrt(1 + v_1 + ... + v_t)``.
    ``mismatches`` are the sums of v.
    """
    inside = 1.0 + 4.0 * _positive("gradient", gradient) ** 2 + _sums("mismatches", mismatches)
    return np.asarray(1.5 * _positive("diameter", diameter) * np.sqrt(inside))


def online_newton(
    weighted_variations: npt.ArrayLike, movements: npt.ArrayLike, start_distance: float, beta: float, gradient: float
) -> Array:
    r"""Pathwise Theorem 5: ``(1 + beta G^2/2) ||u - xhat_1||^2/2 + 2 sum w_s - sum ||x_s - x_{s-1}||^2/4``.

    ``weighted_variations`` are the sums of ``w_t``, which is ``||g_t - m_t||^2`` in the norm of ``H_t^{-1}``;
    ``start_distance`` is ``||u - xhat_1||``. It bounds ``sum f_s(x_s) - f_s(u)`` for exp-concave losses. Proof:
    telescoping leaves ``(beta/4) <g_t, u - xhat_{t+1}>^2 <= (beta/2)(<g_t, u - x_t>^2 + <g_t, x_t - xhat_{t+1}>^2)``.
    Exp-concavity pays the first half; the second is at most ``(beta G^2/2) ||x_t - xhat_{t+1}||^2``, at most ``||x_t -
    xhat_{t+1}||^2`` in the norm of ``H_t >= (1 + beta G^2/2) I``, so at most ``w_t``.
    """
    distance = _sums("start_distance", start_distance)
    start = 0.5 * (1.0 + 0.5 * _positive("beta", beta) * _positive("gradient", gradient) ** 2) * distance**2
    moved = 0.25 * _sums("movements", movements)
    return np.asarray(start + 2.0 * _sums("weighted_variations", weighted_variations) - moved)


def newton_error_sum(variations: npt.ArrayLike, dimension: int, beta: float, *, factor: float = 8.0) -> Array:
    r"""Return ``(8d/beta) ln(1 + beta V_t/(8d))``, at least ``sum w_s`` of `online_newton`.

    ``factor`` is 8 for Theorem 5, and 4 for (58). Proof: ``(g_s - g_{s-1})(g_s - g_{s-1})' <= 2 g_s g_s' + 2 g_{s-1}
    g_{s-1}'``, so that ``H_t >= I + (beta/factor) sum_{s<=t} (g_s - m_s)(g_s - m_s)'``; the sum is then a telescoping
    log-determinant, at most d times the log of the mean eigenvalue.
    """
    scale = factor * dimension / _positive("beta", beta)
    return np.asarray(scale * np.log1p(_sums("variations", variations) / scale))


def exp_concave_oftrl(
    weighted_variations: npt.ArrayLike, comparator_norm: float, beta: float, gradient: float
) -> Array:
    r"""Pathwise (58) of Theorem 6: ``(1 + beta G^2) ||u||^2/2 + sum w_s``, a bound on ``sum f_s(x_s) - f_s(u)``.

    ``w_t`` as in `online_newton`, with the ``H_t`` of Theorem 6. The surrogates ``<g_t, x - x_t> + (beta/2) <g_t, x -
    x_t>^2`` are below ``f_t(x) - f_t(x_t)``. Be-the-leader with the strong convexity of both minimisations even gives
    half of the sum; this is the paper's form.
    """
    norm = _sums("comparator_norm", comparator_norm)
    start = 0.5 * (1.0 + _positive("beta", beta) * _positive("gradient", gradient) ** 2) * norm**2
    return np.asarray(start + _sums("weighted_variations", weighted_variations))


def nonsmooth_ensemble(
    base_variations: npt.ArrayLike,
    steps: npt.ArrayLike,
    surprises: npt.ArrayLike,
    weighted_surprises: npt.ArrayLike,
    *,
    diameter: float,
    path_length: npt.ArrayLike,
) -> Array:
    r"""Pathwise Theorem 9: the best base learner plus the weights, a bound on the dynamic regret.

    ``min_i [(D^2 + 2 D P_t)/(2 eta_i) + eta_i V_{t,i}/2] + ln N sqrt(1 + Q_t) + sum_s q_s^2/(2 sqrt(1 + Q_{s-1}))``.
    ``base_variations`` are ``V_{t,i} = sum_s v_{s,i}`` (C, N), ``steps`` the ``eta_i`` (N,), ``surprises`` ``Q_t = sum
    q_s^2`` (C,), ``weighted_surprises`` the last sum without its 2 (C,), ``path_length`` ``P_t``, one number or (C,).
    Proof: (N) for a fixed step and moving comparators, whose telescoping sum is at most ``(D^2 + 2 D P_t)/(2 eta_i)``,
    plus optimistic FTRL with the entropy, 1-strongly convex in the 1-norm, for the weights.
    """
    sums, eta = np.asarray(base_variations, dtype=np.float64), _positive("steps", steps)
    if sums.ndim != 2 or eta.shape != sums.shape[1:]:
        raise ValueError(f"steps.shape={eta.shape}, base_variations.shape={sums.shape}: must be (N,) and (C, N)")
    _sums("base_variations", sums.reshape(-1))
    d = _positive("diameter", diameter)
    travel = d**2 + 2.0 * d * np.atleast_1d(_sums("path_length", path_length))[:, None]
    base = np.min(travel / (2.0 * eta) + 0.5 * eta * sums, axis=1)
    weights = np.log(eta.size) * np.sqrt(1.0 + _sums("surprises", surprises))
    return np.asarray(base + weights + 0.5 * _sums("weighted_surprises", weighted_surprises))


def _sums(name: str, values: npt.ArrayLike) -> Array:
    """Return float64, a scalar or (n,), finite and non-negative; raise ValueError otherwise."""
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim > 1 or not np.isfinite(checked).all() or not np.all(checked >= 0.0):
        raise ValueError(f"{name}={_shown(checked)}: must be finite and at least 0; did the run diverge?")
    return checked


def _positive(name: str, values: npt.ArrayLike) -> Array:
    """Return float64, a scalar or (n,), finite and positive; raise ValueError otherwise."""
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim > 1 or not np.isfinite(checked).all() or not np.all(checked > 0.0):
        raise ValueError(f"{name}={_shown(checked)}: must be positive and finite")
    return checked


def _shown(values: Array) -> str:
    """Return a short text of an array for a message: the first entry that may be at fault, or the whole scalar."""
    if values.ndim == 0:
        return repr(float(values))
    return np.array2string(values, threshold=6, edgeitems=2, precision=6)
