r"""Dual lower bounds on the optimal value of two-layer ReLU training, from any candidate, and the zero threshold.

Duality (re-derived, Fenchel). Over given patterns the convex program is ``min l(yhat) + beta R(yhat)`` with R the least
``sum ||v_i|| + ||w_i||`` that makes ``yhat``. R is a gauge whose dual norm is ``M(v) = max_i,+- ||Proj_{C_i}(+-X'D_i
v)||`` with the cones ``C_i = {u : E_i X u >= 0}``, the greatest ``|v'(Xu)_+|`` over the unit vectors u of the patterns.
So the value is ``max_v -l*(-v)`` over ``M(v) <= beta``, and each feasible v gives a lower bound. From any candidate v
the best multiple ``c v`` with ``c M(v) <= beta`` is taken. Optimal is ``v = -grad l(yhat)``, the residual ``y - yhat``
for the squared loss. Zero is optimal if and only if ``beta >= M(-grad l(0))``.

What a bound is about depends on the patterns, and names say which:

- *restricted*: M over the patterns given. A lower bound on the value of the program restricted to them. With sampled
  patterns it says nothing about networks of other patterns, whose loss may be lower.
- *global*: M over all u. A lower bound on the training objective (NC) of every network of any width. M is exact where
  all patterns are given or can be enumerated; otherwise the maximum of ``|v'(Xu)_+|`` is not a convex problem, and
  `dual_norm_upper_bound` relaxes it: the bound stays valid but is loose, often by far. On 569 samples in 31 columns
  the relaxed M is several times the true one, and the bound all but vacuous.

All bounds hold up to rounding. Notation is that of Bai, Gautam and Sojoudi, SIAM Journal on Mathematics of Data
Science, 2023.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, nnls

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns, enumeration_bytes
from theorylab.algorithms.relu_losses import (
    LOGISTIC,
    SQUARED,
    Array,
    checked_activations,
    checked_inputs,
    checked_loss_name,
    checked_training,
    checked_vector,
    dual_value,
    negative_gradient,
)


@dataclass(frozen=True, slots=True, eq=False)
class DualBound:
    """A lower bound and its proof: ``point`` (n,), the feasible ``c v``, and ``dual_norm``, M of the candidate v.

    ``value`` is ``-l*(-c v)``. ``exact_norm`` says whether M was computed, over the patterns that the bound is about,
    or bounded from above.
    """

    value: float
    point: Array
    dual_norm: float
    exact_norm: bool


def restricted_dual_bound(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    point: npt.ArrayLike,
    patterns: npt.ArrayLike,
    *,
    beta: float,
    loss: str = SQUARED,
) -> DualBound:
    """Return a lower bound on the program restricted to ``patterns`` (n, P), from any candidate ``point`` v (n,).

    With every pattern of X (n, d) it bounds every network; with sampled ones only the restricted program. For the
    logistic and the hinge loss ``y_k v_k`` is clipped to [0, 1] first. Raises ValueError on wrong data or shapes.
    Source: re-derived, see above; with all patterns and the optimal v it equals (NC), Pilanci and Ergen, ICML 2020.
    """
    inputs, targets, decay = checked_training(X, y, beta, loss)
    v = _in_domain(checked_vector("point", point, targets.size), targets, loss)
    return _scaled(v, targets, decay, loss, dual_norm(inputs, v, patterns), True)


def global_dual_bound(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    point: npt.ArrayLike,
    *,
    beta: float,
    loss: str = SQUARED,
    max_bytes: int = 2**26,
) -> DualBound:
    """Return a lower bound on (NC) over all networks of any width, from any candidate ``point`` v (n,).

    All patterns are enumerated where that takes at most ``max_bytes``; otherwise M is bounded from above by
    `dual_norm_upper_bound`. Arguments and errors as `restricted_dual_bound`.

    >>> X, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 0.0, 1.0])
    >>> bound = global_dual_bound(X, y, y, beta=0.1)  # the best multiple of y; the optimum is 0.0967
    >>> round(bound.value, 4), bound.exact_norm
    (0.0874, True)
    """
    inputs, targets, decay = checked_training(X, y, beta, loss)
    v = _in_domain(checked_vector("point", point, targets.size), targets, loss)
    if enumeration_bytes(inputs) > max_bytes:
        return _scaled(v, targets, decay, loss, dual_norm_upper_bound(inputs, v), False)
    return _scaled(v, targets, decay, loss, dual_norm(inputs, v, enumerate_patterns(inputs)), True)


def zero_threshold(X: npt.ArrayLike, y: npt.ArrayLike, patterns: npt.ArrayLike, *, loss: str = SQUARED) -> float:
    """Return ``beta_max = M(-grad l(0))``: zero is optimal over ``patterns`` (n, P) if and only if beta is at least it.

    With all patterns this is the threshold of every network. Raises ValueError on wrong data. Source: re-derived.
    """
    inputs, targets, _ = checked_training(X, y, 1.0, loss)
    return dual_norm(inputs, negative_gradient(loss, np.zeros_like(targets), targets), patterns)


def relative_gap(value: float, bound: float) -> float:
    """Return ``(value - bound) / |value|``, the relative duality gap; 0 where both are 0."""
    return 0.0 if value == bound else (value - bound) / max(abs(value), np.finfo(np.float64).tiny)


def pattern_dual_norms(X: npt.ArrayLike, point: npt.ArrayLike, patterns: npt.ArrayLike) -> Array:
    """Return ``max_+- ||Proj_{C_i}(+-X'D_i v)||`` (P,) for every pattern; a pattern above beta improves on v.

    The length of a projection on ``{u : Gu >= 0}`` is the residual of ``min ||b + G'q||, q >= 0``, solved by Lawson and
    Hanson's active-set method, 2P times d by n. Raises ValueError on arrays that do not fit.
    """
    inputs = checked_inputs(X)
    v, D = checked_vector("point", point, inputs.shape[0]), checked_activations(patterns, inputs.shape[0])
    slopes = inputs.T @ (D * v[:, None])
    lengths = [
        max(_projected_length(inputs, pattern, slope), _projected_length(inputs, pattern, -slope))
        for pattern, slope in zip(D.T, slopes.T, strict=True)
    ]
    return np.array(lengths)


def dual_norm(X: npt.ArrayLike, point: npt.ArrayLike, patterns: npt.ArrayLike) -> float:
    """Return ``M(v)`` over ``patterns`` (n, P), the greatest of `pattern_dual_norms`, without forming them all.

    Patterns whose ``||X'D_i v||`` is below the best projection so far are passed over.
    """
    inputs = checked_inputs(X)
    v, D = checked_vector("point", point, inputs.shape[0]), checked_activations(patterns, inputs.shape[0])
    slopes = inputs.T @ (D * v[:, None])
    lengths = np.linalg.norm(slopes, axis=0)
    best = 0.0
    for i in np.argsort(-lengths):
        if lengths[i] <= best:
            break
        for sign in (1.0, -1.0):
            best = max(best, _projected_length(inputs, D[:, i], sign * slopes[:, i]))
    return best


def dual_norm_upper_bound(X: npt.ArrayLike, point: npt.ArrayLike, *, iterations: int = 60) -> float:
    """Return an upper bound on ``M(v) = max |v'(Xu)_+|`` over all unit u, in polynomial time, for any n and d.

    With ``w = +-v``, ``w'(Xu)_+ = (w'Xu + sum_k w_k |x_k'u|) / 2``. Where ``w_k > 0``, ``|z| <= (eta_k z^2 + 1/eta_k) /
    2`` for any ``eta_k > 0``; where ``w_k < 0``, ``|z| >= z^2 / ||x_k||``. What is left is a quadratic on the ball,
    whose maximum is known from its eigenvalues. Frank-Wolfe steps on the lifted problem over ``conv{(u, uu')}`` choose
    eta, ``eta_k = (x_k'U x_k)^(-1/2)``; every eta gives a valid bound, and the least is returned. Re-derived. Raises
    ValueError on arrays that do not fit.
    """
    inputs = checked_inputs(X)
    v, steps = checked_vector("point", point, inputs.shape[0]), checked_count("iterations", iterations)
    return max(_relaxed_maximum(inputs, v, steps), _relaxed_maximum(inputs, -v, steps))


def _relaxed_maximum(X: Array, weights: Array, iterations: int) -> float:
    """Return an upper bound on ``max w'(Xu)_+`` over the unit ball; see `dual_norm_upper_bound`."""
    lengths = np.linalg.norm(X, axis=1)
    rising, falling = np.maximum(weights, 0.0), np.maximum(-weights, 0.0)
    curvature = -falling / np.where(lengths > 0.0, lengths, 1.0)
    slope, moment = X.T @ weights, np.eye(X.shape[1]) / X.shape[1]
    least = np.inf
    for step in range(iterations):
        spread = np.sqrt(np.maximum(np.einsum("kd,de,ke->k", X, moment, X, optimize=True), 1e-300))
        # A row that no direction has met yet would need an infinite eta.
        spread = np.maximum(spread, 1e-8 * lengths.max())
        quadratic = (X * (0.5 * rising / spread + curvature)[:, None]).T @ X
        top, u = _ball_maximum(slope, quadratic)
        least = min(least, float(rising @ spread) / 4.0 + top)
        share = 2.0 / (step + 3.0)
        moment = (1.0 - share) * moment + share * np.outer(u, u)
    return max(least, 0.0)


def _ball_maximum(slope: Array, quadratic: Array) -> tuple[float, Array]:
    """Return an upper bound on ``(g'u + u'Qu) / 2`` over the unit ball, tight up to rounding, and a maximiser (d,).

    By duality it is ``min_{t > max(eigenvalue, 0)} t / 2 + sum_i g_i^2 / (8 (t - q_i))``; every such t bounds it.
    """
    values, vectors = np.linalg.eigh(quadratic)
    g2 = (vectors.T @ slope) ** 2
    floor = max(float(values[-1]), 0.0)
    size = floor + float(np.sqrt(g2.sum()))
    low, high = floor + 1e-12 * size + 1e-300, floor + 0.5 * float(np.sqrt(g2.sum())) + 1e-11 * size + 1e-299

    def rise(t: float) -> float:
        return 1.0 - 0.25 * float(np.sum(g2 / (t - values) ** 2))

    t = low if rise(low) >= 0.0 else float(brentq(rise, low, high, xtol=1e-14 * size + 1e-300))
    u = vectors @ (0.5 * (vectors.T @ slope) / (t - values))
    rest = max(0.0, 1.0 - float(u @ u))
    if values[-1] > 0.0:
        # The hard case: what is missing to the sphere lies along the top eigenvector, on the side of the slope.
        u = u + np.copysign(np.sqrt(rest), float(vectors[:, -1] @ u)) * vectors[:, -1]
    return 0.5 * t + 0.125 * float(np.sum(g2 / (t - values))), u / max(1.0, float(np.linalg.norm(u)))


def _projected_length(X: Array, pattern: Array, slope: Array) -> float:
    """Return the length of the projection of ``slope`` (d,) on the cone of one pattern."""
    signed = (2.0 * pattern - 1.0)[:, None] * X
    if np.all(signed @ slope >= 0.0):
        return float(np.linalg.norm(slope))
    return float(nnls(-signed.T, slope, maxiter=50 * signed.shape[0])[1])


def _in_domain(point: Array, targets: Array, loss: str) -> Array:
    """Return the candidate with ``y_k v_k`` clipped to [0, 1] where the conjugate is infinite outside."""
    if checked_loss_name(loss) == SQUARED:
        return point
    return targets * np.clip(targets * point, 0.0, 1.0)


def _scaled(point: Array, targets: Array, beta: float, loss: str, norm: float, exact: bool) -> DualBound:
    """Return the bound of the best multiple of ``point`` that is feasible."""
    largest = beta / norm if norm > 0.0 else np.inf
    if not np.any(point):
        return DualBound(0.0, np.zeros_like(point), norm, exact)
    if loss == SQUARED:
        # The concave parabola c v'y - c^2 ||v||^2 / 2.
        multiple = min(largest, max(0.0, float(point @ targets)) / float(point @ point))
    else:
        share = targets * point
        # A multiple beyond 1 / max t would leave the domain by rounding alone.
        multiple = min(largest, (1.0 - 1e-15) / float(share.max()))
        if loss == LOGISTIC:
            multiple = _best_entropy_multiple(share[share > 0.0], multiple)
    scaled = multiple * point
    return DualBound(dual_value(loss, scaled, targets), scaled, norm, exact)


def _best_entropy_multiple(share: Array, largest: float) -> float:
    """Return the c in (0, largest] that maximises the sum of the binary entropies of ``c t``, concave in c."""

    def rise(multiple: float) -> float:
        # The derivative; it falls from plus infinity at 0.
        active = np.minimum(multiple * share, 1.0 - 1e-16)
        return float(np.sum(share * (np.log1p(-active) - np.log(active))))

    return largest if rise(largest) >= 0.0 else float(brentq(rise, 1e-12 * largest, largest))
