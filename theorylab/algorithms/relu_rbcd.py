"""ADMM whose u-step is randomised block coordinate descent: the convex ReLU program with a smooth loss.

The algorithm is ADMM-RBCD of Bai, Gautam and Sojoudi, 2023. An outer iteration takes a number of block steps on
``loss(F u, y) + rho/2 (|u - v + lambda|^2 + |G u - s + nu|^2)``; a block is the pair ``(u_i, z_i)`` of a pattern drawn
uniformly. Its Hessian is at most ``2 L |D_i X|^2 + rho (1 + |X|^2)``: the two columns ``[D_i X, -D_i X]`` of the pair
have squared norm ``2 |D_i X|^2`` and the loss curvature L (1 squared, 1/4 logistic), and ``I + G_i^T G_i = I + X^T X``.
The inverse is the safe step (re-derived): with it no block step increases the objective of the u-step.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.relu_losses import Array, checked_training
from theorylab.algorithms.relu_solver_checks import (
    Integers,
    checked_checkpoints,
    checked_number,
    loss_kind,
    pattern_rows,
)

LOGISTIC = 1
CURVATURE = (1.0, 0.25)
# Back-tracking starts here times the safe step, divides by SHRINK, and ends at the safe step, which always passes.
BOLDEST, SHRINK, SUFFICIENT = 64.0, 2.5, 1e-3
OBJECTIVE, NETWORK, RESIDUAL, U_STEP = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class RbcdRun:
    """Blocks ``v``, ``w`` (P, d) at the end; at C checkpoints the columns below, each (C,).

    ``objective`` of ``v, w`` in the program, cones ignored; ``network``, that of the recovered network on the
    non-convex problem, at least the optimum over all patterns; ``residual`` ``sqrt(|u-v|^2 + |Gu-s|^2)``; ``u_step``,
    the objective of the u-step after its last block step.
    """

    v: Array
    w: Array
    checkpoints: Integers
    objective: Array
    network: Array
    residual: Array
    u_step: Array


@njit(nogil=True, cache=True, error_model="numpy")
def losses(kind: int, predicted: Array, y: Array) -> float:
    """Sum of the losses."""
    total = 0.0
    for k in range(y.size):
        if kind == LOGISTIC:
            margin = y[k] * predicted[k]
            total += max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))
        else:
            total += 0.5 * (predicted[k] - y[k]) ** 2
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def slopes(kind: int, predicted: Array, y: Array, slope: Array) -> None:
    """Derivatives of the losses with respect to the predictions."""
    for k in range(y.size):
        slope[k] = -y[k] / (1.0 + np.exp(y[k] * predicted[k])) if kind == LOGISTIC else predicted[k] - y[k]


@njit(nogil=True, cache=True, error_model="numpy")
def block_gradient(
    data: tuple[Array, ...], i: int, rho: float, pull: Array, slope: Array, u: Array, gradient: Array
) -> float:
    """Gradient (2, d) of the u-step in block i and ``rho (|g|^2 + |X g|^2)``, the curvature of its quadratic part.

    ``pull`` (2P, d) holds ``v - lambda + G^T (s - nu)``.
    """
    x, on, gram, _ = data
    p, n = on.shape
    d = x.shape[1]
    bend = 0.0
    for c in range(d):
        fitted = 0.0
        for k in range(n):
            fitted += on[i, k] * x[k, c] * slope[k]
        for side in range(2):
            row = i + side * p
            total = u[row, c] - pull[row, c]
            for e in range(d):
                total += gram[c, e] * u[row, e]
            gradient[side, c] = rho * total + (fitted if side == 0 else -fitted)
    for side in range(2):
        for c in range(d):
            bend += gradient[side, c] ** 2
            for e in range(d):
                bend += gradient[side, c] * gram[c, e] * gradient[side, e]
    return rho * bend


@njit(nogil=True, cache=True, error_model="numpy")
def block_step(
    kind: int,
    data: tuple[Array, ...],
    i: int,
    rho: float,
    safe: float,
    armijo: bool,
    pull: Array,
    u: Array,
    fitted: Array,
    work: tuple[Array, ...],
) -> float:
    """Take one gradient step on block i, update ``fitted = F u``, and return the change of the objective."""
    x, on, _, y = data
    p, n = on.shape
    slope, change, trial, gradient = work
    slopes(kind, fitted, y, slope)
    bend = block_gradient(data, i, rho, pull, slope, u, gradient)
    square, inner = np.sum(gradient**2), 0.0
    for k in range(n):
        change[k] = 0.0
        if on[i, k] != 0.0:
            for c in range(x.shape[1]):
                change[k] += x[k, c] * (gradient[0, c] - gradient[1, c])
        inner += slope[k] * change[k]
    before = losses(kind, fitted, y)
    step = safe * BOLDEST if armijo else safe
    while True:
        for k in range(n):
            trial[k] = fitted[k] - step * change[k]
        # The quadratic part changes by -step <its gradient, g> + step^2 bend / 2, its gradient being g - F^T slope.
        cost = losses(kind, trial, y) - before - step * (square - inner) + 0.5 * step * step * bend
        if step <= safe or cost <= -SUFFICIENT * step * square:
            break
        step = max(step / SHRINK, safe)
    for c in range(x.shape[1]):
        u[i, c] -= step * gradient[0, c]
        u[p + i, c] -= step * gradient[1, c]
    fitted[:] = trial
    return cost


@njit(nogil=True, cache=True, error_model="numpy")
def u_step_value(kind: int, data: tuple[Array, ...], rho: float, point: Array, slack: Array, u: Array) -> float:
    """Objective of the u-step by its definition; ``point = v - lambda`` (2P, d), ``slack = s - nu`` (2P, n)."""
    x, on, _, y = data
    p, n = on.shape
    fitted, quadratic = np.zeros(n), 0.0
    for i in range(2 * p):
        for c in range(x.shape[1]):
            quadratic += (u[i, c] - point[i, c]) ** 2
        for k in range(n):
            inner = 0.0
            for c in range(x.shape[1]):
                inner += x[k, c] * u[i, c]
            quadratic += ((2.0 * on[i % p, k] - 1.0) * inner - slack[i, k]) ** 2
            fitted[k] += on[i % p, k] * inner if i < p else -on[i % p, k] * inner
    return losses(kind, fitted, y) + 0.5 * rho * quadratic


@njit(nogil=True, cache=True, error_model="numpy")
def outer_step(
    data: tuple[Array, ...], threshold: float, tau: float, state: tuple[Array, ...], point: Array, slack: Array
) -> float:
    """The steps of v, s and the multipliers; fills ``v - lambda``, ``s - nu``, returns the squared residual."""
    x, on, _, _ = data
    u, v, lam, s, nu = state
    p, n = on.shape
    total = 0.0
    for i in range(2 * p):
        norm = np.sqrt(np.sum((u[i] + lam[i]) ** 2))
        keep = 1.0 - threshold / norm if norm > threshold else 0.0
        for c in range(x.shape[1]):
            v[i, c] = keep * (u[i, c] + lam[i, c])
            error = u[i, c] - v[i, c]
            lam[i, c] += tau * error
            point[i, c] = v[i, c] - lam[i, c]
            total += error * error
        for k in range(n):
            inner = 0.0
            for c in range(x.shape[1]):
                inner += x[k, c] * u[i, c]
            inner *= 2.0 * on[i % p, k] - 1.0
            s[i, k] = max(inner + nu[i, k], 0.0)
            nu[i, k] += tau * (inner - s[i, k])
            slack[i, k] = s[i, k] - nu[i, k]
            total += (inner - s[i, k]) ** 2
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def values(kind: int, data: tuple[Array, ...], beta: float, v: Array) -> tuple[float, float]:
    """Objectives of ``v`` in the program, cones ignored, and of its network."""
    x, on, _, y = data
    p, n = on.shape
    linear, network, penalty = np.zeros(n), np.zeros(n), 0.0
    for i in range(2 * p):
        sign = 1.0 if i < p else -1.0
        penalty += beta * np.sqrt(np.sum(v[i] ** 2))
        for k in range(n):
            inner = 0.0
            for c in range(x.shape[1]):
                inner += x[k, c] * v[i, c]
            linear[k] += sign * on[i % p, k] * inner
            network[k] += sign * max(inner, 0.0)
    return losses(kind, linear, y) + penalty, losses(kind, network, y) + penalty


@njit(nogil=True, cache=True, error_model="numpy")
def run(
    kind: int,
    data: tuple[Array, ...],
    numbers: tuple[float, float, float],
    safe: Array,
    block_steps: int,
    armijo: bool,
    checkpoints: Integers,
    rng: np.random.Generator,
    record: Array,
) -> Array:
    """Iterate to the last checkpoint from zero, fill ``record`` (C, 4) and return ``v`` (2P, d)."""
    x, on, _, _ = data
    beta, rho, tau = numbers
    p, n = on.shape
    d = x.shape[1]
    u, point, slack, pull = np.zeros((2 * p, d)), np.zeros((2 * p, d)), np.zeros((2 * p, n)), np.zeros((2 * p, d))
    state = (u, u.copy(), u.copy(), slack.copy(), slack.copy())
    fitted, work = np.zeros(n), (np.empty(n), np.empty(n), np.empty(n), np.empty((2, d)))
    filled = 0
    for iteration in range(1, checkpoints[-1] + 1):
        for i in range(2 * p):
            for c in range(d):
                pull[i, c] = point[i, c]
                for k in range(n):
                    pull[i, c] += (2.0 * on[i % p, k] - 1.0) * x[k, c] * slack[i, k]
        for _ in range(block_steps):
            i = min(int(p * rng.random()), p - 1)
            block_step(kind, data, i, rho, safe[i], armijo, pull, u, fitted, work)
        if iteration == checkpoints[filled]:
            record[filled, U_STEP] = u_step_value(kind, data, rho, point, slack, u)
        total = outer_step(data, beta / rho, tau, state, point, slack)
        if iteration == checkpoints[filled]:
            record[filled, OBJECTIVE], record[filled, NETWORK] = values(kind, data, beta, state[1])
            record[filled, RESIDUAL] = np.sqrt(total)
            filled += 1
    return state[1]


def admm_rbcd(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: npt.ArrayLike,
    beta: float,
    rng: np.random.Generator,
    *,
    loss: str = "logistic",
    penalty: float = 0.05,
    dual_step: float = 1.0,
    block_steps: int | None = None,
    armijo: bool = False,
    iterations: int = 400,
    checkpoints: npt.ArrayLike | None = None,
) -> RbcdRun:
    """Run ADMM-RBCD for the squared or the logistic loss, all variables starting at zero.

    ``x`` (n, d), ``y`` (n,; -1 or 1 if logistic), ``patterns`` (n, P) of 0 and 1, ``beta`` > 0; ``rng`` draws blocks.
    ``penalty`` rho, ``dual_step`` tau; ``block_steps`` an outer iteration, 3P if None. ``armijo`` back-tracks from 64
    times the safe step until the decrease is at least 1e-3 step |g|^2. ``checkpoints`` (C,) ascend, None being the end.
    Raises ValueError on bad shapes, entries, labels, settings and on the hinge loss, which has no gradient bound.

    Source: Bai, Gautam and Sojoudi, 2023, ADMM-RBCD; safe step re-derived, see the module's text.
    """
    kind = loss_kind(loss)
    if kind > LOGISTIC:
        raise ValueError(f"loss={loss!r}: must be squared or logistic; the hinge loss is not smooth, use split_admm")
    features, targets, weight = checked_training(x, y, beta, loss)
    on = pattern_rows(patterns, targets.size)
    rho = checked_number("penalty", penalty)
    numbers = (weight, rho, checked_number("dual_step", dual_step))
    at = checked_checkpoints(checkpoints, checked_count("iterations", iterations))
    record = np.empty((at.size, 4))
    p = on.shape[0]
    data = (features, on, features.T @ features, targets)
    safe = safe_steps(features, on, CURVATURE[kind], rho)
    steps = 3 * p if block_steps is None else checked_count("block_steps", block_steps)
    v = run(kind, data, numbers, safe, steps, armijo, at, rng, record)
    column = [np.ascontiguousarray(one) for one in record.T]
    return RbcdRun(v[:p].copy(), v[p:].copy(), at, column[OBJECTIVE], column[NETWORK], column[RESIDUAL], column[U_STEP])


def safe_steps(features: Array, on: Array, curvature: float, penalty: float) -> Array:
    """Return ``1 / (2 L |D_i X|^2 + rho (1 + |X|^2))`` (P,) with spectral norms, for patterns in rows (P, n)."""
    blocks = np.linalg.norm(on[:, :, None] * features[None], ord=2, axis=(1, 2)) ** 2
    bound = 2.0 * curvature * blocks + penalty * (1.0 + np.linalg.norm(features, ord=2) ** 2)
    return np.asarray(1.0 / bound, dtype=np.float64)
