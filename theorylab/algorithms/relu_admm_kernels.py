"""Kernels of the structured ADMM for the convex program of two-layer ReLU networks.

Blocks ``u_1..u_P`` and ``z_1..z_P`` are stacked into arrays of 2P rows; ``F u = sum_i D_i X (u_i - z_i)`` and ``(G u)_i
= (2 D_i - I) X u_i``. The u-step minimises ``|u - v + lambda|^2 + kappa |G u - s + nu|^2 + |F u - t|^2 / shift``. Its
matrix is simple because ``G_i^T G_i = X^T X`` for every pattern: ``K = I + kappa G^T G`` has 2P equal blocks ``M = I +
kappa X^T X``, ``F K^{-1} F^T = 2 (X M^{-1} X^T) o (D D^T)``, and by Woodbury's identity ``u = k + K^{-1} F^T (shift I
+ F K^{-1} F^T)^{-1} (t - F k)`` with ``k`` the
minimiser of the first two terms. Everything is a product with X, an n x n or a d x d matrix.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Arrays = tuple[Array, ...]
Sums = tuple[float, float, float, float]

# Ways to treat the loss: `DIRECT` keeps the squared loss in the u-step (t = y, shift = rho), the others split F u = p.
SQUARED, LOGISTIC, HINGE, DIRECT = 0, 1, 2, 3
COPY, CONE, FIT, STATIONARITY, SUBGRADIENT, OBJECTIVE, NETWORK, DUAL, PENALTY = range(9)
COLUMNS = 9
DIVERGED = 1e150


@njit(nogil=True, cache=True, error_model="numpy")
def loss_value(kind: int, predicted: Array, y: Array) -> float:
    """Sum of the losses; `DIRECT` is the squared one."""
    total = 0.0
    for k in range(y.size):
        if kind == LOGISTIC:
            margin = y[k] * predicted[k]
            total += max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))
        elif kind == HINGE:
            total += max(1.0 - y[k] * predicted[k], 0.0)
        else:
            total += 0.5 * (predicted[k] - y[k]) ** 2
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def proximal_loss(kind: int, point: float, label: float, weight: float) -> float:
    """Minimiser of ``loss(p) + weight/2 (p - point)^2`` over the real line."""
    if kind == SQUARED:
        return (label + weight * point) / (1.0 + weight)
    margin = label * point
    if kind == HINGE:
        return label * max(margin, min(margin + 1.0 / weight, 1.0))
    # The slope weight (m - margin) - 1/(1 + e^m) is convex below m = 0 and concave above, and has opposite signs at the
    # ends of [margin, margin + 1/weight]: from the side chosen here Newton's method is monotone and cannot overshoot.
    root = max(0.0, margin) if weight * margin >= -0.5 else min(0.0, margin + 1.0 / weight)
    for _ in range(100):
        odds = 1.0 / (1.0 + np.exp(root))
        step = (weight * (root - margin) - odds) / (weight + odds * (1.0 - odds))
        root -= step
        if abs(step) <= 1e-15 * (1.0 + abs(root)):
            break
    return label * root


@njit(nogil=True, cache=True, error_model="numpy")
def u_step(
    data: Arrays, factors: Arrays, shift: float, kappa: float, target: Array, state: Arrays, work: Arrays
) -> None:
    """Exact minimiser ``u`` with its ``F u`` and ``u X^T``; ``rest`` holds the rows ``(2 D_i - I)(s_i - nu_i)``."""
    x, xt, on, _ = data
    m_inverse, triangle = factors
    u, v, lam = state[0], state[1], state[2]
    fu, inner, rest, k, b, half, diff, h = work
    blocks, d = v.shape
    p, n = on.shape
    np.dot(rest, x, b)
    for i in range(blocks):
        for c in range(d):
            b[i, c] = v[i, c] - lam[i, c] + kappa * b[i, c]
    np.dot(b, m_inverse, k)
    for i in range(p):
        for c in range(d):
            diff[i, c] = k[i, c] - k[p + i, c]
    np.dot(diff, xt, half)
    gap = target.copy()
    for i in range(p):
        for j in range(n):
            gap[j] -= on[i, j] * half[i, j]
    # The inverse of the Cholesky factor is kept: two products with a triangle are faster than two substitutions.
    weights = np.dot(np.dot(triangle, gap), triangle)
    for i in range(p):
        for j in range(n):
            half[i, j] = on[i, j] * weights[j]
    np.dot(half, x, diff)
    np.dot(diff, m_inverse, h)
    for i in range(p):
        for c in range(d):
            u[i, c] = k[i, c] + h[i, c]
            u[p + i, c] = k[p + i, c] - h[i, c]
    for j in range(n):
        fu[j] = target[j] - shift * weights[j]
    np.dot(u, xt, inner)


@njit(nogil=True, cache=True, error_model="numpy")
def cone_step(on: Array, tau: float, state: Arrays, work: Arrays) -> Sums:
    """Project the slacks, move their multipliers; returns ``|Gu - s|^2``, ``|s - s_old|^2``, ``|s|^2``, ``|nu|^2``."""
    s, nu = state[3], state[4]
    inner, rest = work[1], work[2]
    p, n = on.shape
    miss, moved, size, dual = 0.0, 0.0, 0.0, 0.0
    for i in range(s.shape[0]):
        row = i % p
        for j in range(n):
            sign = 2.0 * on[row, j] - 1.0
            inside = sign * inner[i, j]
            slack = max(inside + nu[i, j], 0.0)
            error = inside - slack
            change = slack - s[i, j]
            multiplier = nu[i, j] + tau * error
            s[i, j] = slack
            nu[i, j] = multiplier
            rest[i, j] = sign * (slack - multiplier)
            miss += error * error
            moved += change * change
            size += slack * slack
            dual += multiplier * multiplier
    return miss, moved, size, dual


@njit(nogil=True, cache=True, error_model="numpy")
def copy_step(threshold: float, tau: float, state: Arrays) -> Sums:
    """Shrink the blocks ``v_i``, move their multipliers; returns the four sums of `cone_step` for ``u - v``."""
    u, v, lam = state[0], state[1], state[2]
    blocks, d = v.shape
    miss, moved, size, dual = 0.0, 0.0, 0.0, 0.0
    for i in range(blocks):
        norm = 0.0
        for c in range(d):
            norm += (u[i, c] + lam[i, c]) ** 2
        norm = np.sqrt(norm)
        keep = 1.0 - threshold / norm if norm > threshold else 0.0
        for c in range(d):
            new = keep * (u[i, c] + lam[i, c])
            error = u[i, c] - new
            moved += (new - v[i, c]) ** 2
            v[i, c] = new
            lam[i, c] += tau * error
            miss += error * error
            size += new * new
            dual += lam[i, c] ** 2
    return miss, moved, size, dual


@njit(nogil=True, cache=True, error_model="numpy")
def fit_step(kind: int, y: Array, weight: float, tau: float, fu: Array, state: Arrays) -> Sums:
    """Proximal step of the loss on ``p``; returns the four sums of `cone_step` for ``F u - p``, zero if `DIRECT`."""
    fit, mu = state[5], state[6]
    miss, moved, size, dual = 0.0, 0.0, 0.0, 0.0
    if kind == DIRECT:
        return miss, moved, size, dual
    for j in range(y.size):
        new = proximal_loss(kind, fu[j] + mu[j], y[j], weight)
        error = fu[j] - new
        moved += (new - fit[j]) ** 2
        fit[j] = new
        mu[j] += tau * error
        miss += error * error
        size += new * new
        dual += mu[j] ** 2
    return miss, moved, size, dual


@njit(nogil=True, cache=True, error_model="numpy")
def dual_value(kind: int, y: Array, alpha: Array, bound: float) -> float:
    """Value of the restricted dual at ``c alpha`` with the best (logistic: a good) ``c <= bound``."""
    if kind in (SQUARED, DIRECT):
        inner, square = 0.0, 0.0
        for j in range(y.size):
            inner += y[j] * alpha[j]
            square += alpha[j] * alpha[j]
        c = max(min(bound, inner / square), 0.0) if square > 0.0 else 0.0
        return c * inner - 0.5 * c * c * square
    c, total = min(bound, 1.0), 0.0
    for j in range(y.size):
        share = c * y[j] * alpha[j]
        if kind == HINGE:
            total += share
        elif 0.0 < share < 1.0:
            total -= share * np.log(share) + (1.0 - share) * np.log1p(-share)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def multiplier_record(kind: int, data: Arrays, numbers: Sums, state: Arrays, work: Arrays, row: Array) -> None:
    """Stationarity of ``u`` and the lower bound from the multipliers, both from products with X^T."""
    x, _, on, y = data
    beta, rho, kappa, shift = numbers
    lam, nu, mu = state[2], state[4], state[6]
    fu, spare, b, half, diff = work[0], work[1], work[4], work[5], work[6]
    p, n = on.shape
    alpha = np.empty(n)
    for j in range(n):
        alpha[j] = y[j] - fu[j] if kind == DIRECT else -rho * mu[j] / shift
    for i in range(2 * p):
        for j in range(n):
            spare[i, j] = (2.0 * on[i % p, j] - 1.0) * nu[i, j]
    for i in range(p):
        for j in range(n):
            half[i, j] = on[i, j] * alpha[j]
    np.dot(spare, x, b)
    np.dot(half, x, diff)
    total = 0.0
    for i in range(2 * p):
        for c in range(x.shape[1]):
            fitted = diff[i % p, c] if i < p else -diff[i % p, c]
            total += (rho * (lam[i, c] + kappa * b[i, c]) - fitted) ** 2
    row[STATIONARITY] = np.sqrt(total)
    # Feasible whatever the iterate: alpha is clipped to the conjugate's domain, eta = -rho kappa nu to eta >= 0.
    for j in range(n):
        if kind in (LOGISTIC, HINGE):
            alpha[j] = y[j] * min(max(y[j] * alpha[j], 0.0), 1.0)
        for i in range(p):
            half[i, j] = on[i, j] * alpha[j]
    for i in range(2 * p):
        for j in range(n):
            spare[i, j] = (2.0 * on[i % p, j] - 1.0) * max(-rho * kappa * nu[i, j], 0.0)
    np.dot(spare, x, b)
    np.dot(half, x, diff)
    largest = 0.0
    for i in range(2 * p):
        norm = 0.0
        for c in range(x.shape[1]):
            fitted = diff[i % p, c] if i < p else -diff[i % p, c]
            norm += (fitted + b[i, c]) ** 2
        largest = max(largest, np.sqrt(norm))
    row[DUAL] = dual_value(kind, y, alpha, beta / largest if largest > 0.0 else np.inf)


@njit(nogil=True, cache=True, error_model="numpy")
def value_record(kind: int, data: Arrays, numbers: Sums, state: Arrays, work: Arrays, row: Array) -> None:
    """Objectives of ``v`` in the program and as a network, and the optimality of ``v`` given the multipliers."""
    _, xt, on, y = data
    beta, rho = numbers[0], numbers[1]
    v, lam, spare = state[1], state[2], work[1]
    p, n = on.shape
    penalty, worst = 0.0, 0.0
    for i in range(2 * p):
        norm, pull = np.sqrt(np.sum(v[i] ** 2)), 0.0
        penalty += beta * norm
        if norm > 0.0:
            pull = np.sqrt(np.sum((beta * v[i] / norm - rho * lam[i]) ** 2))
        else:
            pull = max(rho * np.sqrt(np.sum(lam[i] ** 2)) - beta, 0.0)
        worst = max(worst, pull)
    np.dot(v, xt, spare)
    linear, network = np.zeros(n), np.zeros(n)
    for i in range(p):
        for j in range(n):
            linear[j] += on[i, j] * (spare[i, j] - spare[p + i, j])
            network[j] += max(spare[i, j], 0.0) - max(spare[p + i, j], 0.0)
    row[SUBGRADIENT] = worst
    row[OBJECTIVE] = loss_value(kind, linear, y) + penalty
    row[NETWORK] = loss_value(kind, network, y) + penalty


@njit(nogil=True, cache=True, error_model="numpy")
def rescale(factor: float, state: Arrays, work: Arrays, on: Array) -> None:
    """Multiply the penalty by ``factor``: scaled multipliers shrink by it, and ``rest`` follows."""
    s, rest = state[3], work[2]
    for multiplier in (state[2], state[4]):
        multiplier /= factor
    state[6][:] /= factor
    for i in range(s.shape[0]):
        for j in range(s.shape[1]):
            rest[i, j] = (2.0 * on[i % on.shape[0], j] - 1.0) * (s[i, j] - state[4][i, j])


@njit(nogil=True, cache=True, error_model="numpy")
def balance(copy: Sums, cone: Sums, fit: Sums, kappa: float, shift: float) -> float:
    """Factor of the penalty that balances relative primal and dual residuals; 1 while they are within a factor 3."""
    primal = np.sqrt(copy[0] + kappa * cone[0] + fit[0] / shift)
    moved = np.sqrt(copy[1] + kappa * cone[1] + fit[1] / shift)
    size = np.sqrt(copy[2] + kappa * cone[2] + fit[2] / shift)
    dual = np.sqrt(copy[3] + kappa * cone[3] + fit[3] / shift)
    if primal == 0.0 or moved == 0.0 or size == 0.0 or dual == 0.0:
        return 1.0
    ratio = (primal / size) / (moved / dual)
    if 1.0 / 3.0 < ratio < 3.0:
        return 1.0
    return float(min(max(np.sqrt(ratio), 0.5), 2.0))


@njit(nogil=True, cache=True, error_model="numpy")
def run(
    kind: int,
    data: Arrays,
    factors: Arrays,
    numbers: Sums,
    steps: tuple[float, float],
    limits: tuple[float, float],
    adapt: bool,
    checkpoints: Integers,
    state: Arrays,
    residuals: Array,
    record: Array,
) -> tuple[int, int, float, bool]:
    """Iterate to the last checkpoint; returns iterations made, checkpoints filled, rho and whether a limit was met.

    ``numbers`` beta, rho, kappa, shift; ``steps`` tau and its decay; ``limits`` tolerance of residuals and of the gap.
    ``residuals`` (T,) gets ``sqrt(|u-v|^2 + |Gu-s|^2)`` of each iteration; ``record`` (C, COLUMNS).
    """
    x, _, on, y = data
    beta, rho, kappa, shift = numbers
    p, n = on.shape
    d = x.shape[1]
    wide, narrow = np.empty((2 * p, n)), np.empty((2 * p, d))
    work = (np.empty(n), wide, wide.copy(), narrow, narrow.copy(), np.empty((p, n)), np.empty((p, d)), np.empty((p, d)))
    rescale(1.0, state, work, on)
    tau, lower, filled, rest_until = steps[0], -np.inf, 0, 0
    for iteration in range(1, checkpoints[-1] + 1):
        target = y if kind == DIRECT else state[5] - state[6]
        u_step(data, factors, shift, kappa, target, state, work)
        copy = copy_step(beta / rho, tau, state)
        cone = cone_step(on, tau, state, work)
        fit = fit_step(kind, y, rho / shift, tau, work[0], state)
        tau *= steps[1]
        residuals[iteration - 1] = np.sqrt(copy[0] + cone[0])
        if not residuals[iteration - 1] < DIVERGED:
            return iteration, filled, rho, False
        if iteration != checkpoints[filled]:
            continue
        row = record[filled]
        row[COPY], row[CONE], row[FIT], row[PENALTY] = np.sqrt(copy[0]), np.sqrt(cone[0]), np.sqrt(fit[0]), rho
        multiplier_record(kind, data, (beta, rho, kappa, shift), state, work, row)
        value_record(kind, data, (beta, rho, kappa, shift), state, work, row)
        filled += 1
        lower = max(lower, row[DUAL])
        if np.max(row[: SUBGRADIENT + 1]) <= limits[0] or row[NETWORK] - lower <= limits[1] * abs(row[NETWORK]):
            return iteration, filled, rho, True
        # Ever rarer changes: after each one the penalty rests for a quarter of the iterations made so far.
        if adapt and iteration >= rest_until:
            factor = balance(copy, cone, fit, kappa, shift)
            if factor != 1.0:
                rho *= factor
                rescale(factor, state, work, on)
                rest_until = iteration + iteration // 4
    return checkpoints[-1], filled, rho, False
