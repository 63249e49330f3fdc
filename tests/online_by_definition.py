"""Online learners written down from their definitions in plain numpy, for tiny T: the oracles of the kernels.

Projections and argmins in another norm are solved by eigendecomposition and a bracketing root finder, which the
kernels do not use.
"""

import numpy as np
from scipy.optimize import brentq


def sphere(count, d, rng):
    """``count`` unit vectors (count, d)."""
    z = rng.standard_normal((count, d))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def ball(x, radius):
    """The projection on the centred ball."""
    return x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))


def quadratic(game):
    """The gradient map ``(t, x) -> grad f_t(x)`` of a quadratic game's arrays."""
    _, h, b, k, v, _, _ = game
    return lambda t, x: h @ x - b[t] + (k[t] * (v[t] @ x) * v[t] if k.size else 0.0)


def mirror_descent(gradient, horizon, d, radius, eta, hint=1.0, start=None):
    """Algorithm 1; ``eta(t, V_{t-1})``. Returns iterates and gradients."""
    xhat = np.zeros(d) if start is None else np.array(start)
    m, variation, xs, gs = np.zeros(d), 0.0, [], []
    for t in range(1, horizon + 1):
        step = eta(t, variation)
        x = ball(xhat - step * m, radius)
        g = gradient(t - 1, x)
        xhat = ball(xhat - step * g, radius)
        variation += np.sum((g - m) ** 2)
        m = hint * g
        xs.append(x)
        gs.append(g)
    return np.array(xs), np.array(gs)


def ftrl(gradient, horizon, d, radius, diameter, offset):
    """Theorem 2's learner."""
    xs, gs, weighted = [], [np.zeros(d)], 0.0
    for t in range(1, horizon + 1):
        eta = diameter**2 / (offset + weighted)
        x = ball(-(eta / 2) * (np.sum(gs, axis=0) + gs[-1]), radius)
        g = gradient(t - 1, x)
        weighted += eta * np.sum((g - gs[-1]) ** 2)
        xs.append(x)
        gs.append(g)
    return np.array(xs), np.array(gs[1:])


def strong_ftrl(gradient, horizon, d, radius, curvature, anchored):
    """Theorem 4's learner, and Sachs et al.'s without the anchor at ``x_0 = 0``."""
    xs, gs = [], []
    for t in range(1, horizon + 1):
        x = np.zeros(d)
        if t > 1:
            pull = curvature * np.sum(xs, axis=0) - np.sum(gs, axis=0) - gs[-1]
            x = ball(pull / (curvature * (t - 1 + anchored)), radius)
        xs.append(x)
        gs.append(gradient(t - 1, x))
    return np.array(xs), np.array(gs)


def metric_projection(y, h, radius):
    """``argmin (x - y)' H (x - y)`` over the ball, by the spectrum of ``H`` and a bracketed root."""
    lam, q = np.linalg.eigh(h)
    z = lam * (q.T @ y)

    def excess(nu):
        return np.linalg.norm(z / (lam + nu)) - radius

    if excess(0.0) <= 0.0:
        return y
    nu = brentq(excess, 0.0, np.linalg.norm(z) / radius + 1.0, xtol=1e-16, rtol=1e-15, maxiter=500)
    return q @ (z / (lam + nu))


def newton(gradient, horizon, d, radius, beta, bound, hint=1.0):
    """Equations (13), (14)."""
    h, xhat, m, xs, norms = (1 + beta * bound**2 / 2) * np.eye(d), np.zeros(d), np.zeros(d), [], 0.0
    for t in range(horizon):
        x = metric_projection(xhat - np.linalg.solve(h, m), h, radius)
        g = gradient(t, x)
        norms += (g - m) @ np.linalg.solve(h, g - m)
        xhat = metric_projection(xhat - np.linalg.solve(h, g), h, radius)
        h = h + beta / 2 * np.outer(g, g)
        m = hint * g
        xs.append(x)
    return np.array(xs), norms


def newton_ftrl(gradient, horizon, d, radius, beta, bound):
    """Theorem 6's learner."""
    h, pull, last, xs, norms = (1 + beta * bound**2) * np.eye(d), np.zeros(d), np.zeros(d), [], 0.0
    for t in range(horizon):
        x = metric_projection(np.linalg.solve(h, pull - last), h, radius)
        g = gradient(t, x)
        norms += (g - last) @ np.linalg.solve(h, g - last)
        pull = pull + beta * g * (g @ x) - g
        h = h + beta * np.outer(g, g)
        last = g
        xs.append(x)
    return np.array(xs), norms


def ensemble(gradient, horizon, d, radius, steps, rate, correction):
    """Algorithm 2; ``rate(V_t)``. Every sum is formed anew in every round, as the definition has it."""
    n = len(steps)
    xhat = np.zeros((n, d))
    points, gs, xs, weights = [np.zeros((n, d))], [], [], [np.full(n, 1 / n)]
    for t in range(horizon):
        x = weights[-1] @ points[-1]
        g = gradient(t, x)
        gs.append(g)
        xs.append(x)
        variation = sum(np.sum((gs[s] - gs[s - 1]) ** 2) for s in range(1, t + 1))
        xhat = np.array([ball(xhat[i] - steps[i] * g, radius) for i in range(n)])
        points.append(np.array([ball(xhat[i] - steps[i] * g, radius) for i in range(n)]))
        total = np.zeros(n)
        for i in range(n):
            for s in range(t + 2):
                seen = gs[min(s, t)]
                move = np.sum((points[s][i] - points[s - 1][i]) ** 2) if s > 0 else 0.0
                total[i] += seen @ points[s][i] + correction * move
        p = np.exp(-rate(variation) * (total - total.min()))
        weights.append(p / p.sum())
    return np.array(xs), np.array(weights[:-1])


def softmax_mixture(features, weights, x):
    """``sum_k w_k R_k(x)`` by ``scipy.special.log_softmax``."""
    from scipy.special import log_softmax

    w = x.reshape(features.shape[0], features.shape[2])
    return -sum(weights[k] * np.mean(log_softmax(features[k] @ w.T, axis=1)[:, k]) for k in range(features.shape[0]))
