"""Blockwise bilevel methods and trackers in plain numpy, as one would write them down: eager, a block at a time.

Random numbers are taken in the order of the compiled code, so that paths agree and not only laws.
"""

import numpy as np


def slope(u):
    return 2 * u / (1 + u**2) ** 2


def chosen(rng, order, count):
    """A partial Fisher-Yates shuffle of ``order``; the set it puts in front is uniform."""
    for j in range(count):
        k = j + int(rng.random() * (order.size - j))
        order[j], order[k] = order[k], order[j]
    return order[:count].copy()


def call(rng, problem, i, scales):
    a, c, b = (part[i] for part in problem[:3])
    dy, dx = c.shape
    n = np.zeros((dy, dy))
    for j in range(dy):
        n[j, : j + 1] = n[: j + 1, j] = rng.standard_normal(j + 1)
    m = rng.standard_normal((dy, dx))
    last = rng.standard_normal((dy, 2))
    return a + scales[0] * n, c + scales[1] * m, b + scales[2] * last[:, 0], scales[3] * last[:, 1]


def exact(problem, x):
    _, _, _, targets, anchor, gains, base, rho = problem
    gap = base + gains @ x - targets
    far = x - anchor
    value = np.sum(gap**2 / (1 + gap**2)) / len(gap) + rho * np.sum(far**2 / (1 + far**2))
    return value, np.einsum("mka,mk->a", gains, slope(gap)) / len(gap) + rho * slope(far)


def ball(v, radius):
    norm = np.linalg.norm(v)
    return v if norm <= radius else v * (radius / norm)


def clip(h, mu):
    values, vectors = np.linalg.eigh(h)
    return vectors @ np.diag(np.maximum(values, mu)) @ vectors.T


def bilevel(blocks, method, steps, *, version, iterations, sampled, batch, first, rng, radius=np.inf):
    """All iterates of version 1 or 2: x and z (T+1, dx), final y and v (or None) (m, dy)."""
    problem, m = blocks.problem, blocks.count
    dy, dx = problem[1].shape[1:]
    rule, top = method.trackers, method.direction
    x = blocks.start.copy()
    x_old = x.copy()
    y, v, s, u = (np.zeros((m, dy)) for _ in range(4))
    h = np.zeros((m, dy, dy))
    y_old, v_old, h_old, h_next = y.copy(), v.copy(), h.copy(), h.copy()

    def answers(i, c, at_x, at_y, at_v, at_h):
        force = slope(at_y - problem[3][i]) + c[3]
        vector = at_v if version == 2 else np.linalg.inv(at_h) @ force
        outer = problem[7] * slope(at_x - problem[4]) + (c[1].T @ vector if method.implicit else 0.0)
        return c[0] @ at_y - c[1] @ at_x - c[2], c[0] @ at_v - force, outer

    z = np.zeros(dx)
    for i in range(m):
        c = call(rng, problem, i, np.array(blocks.noise) / np.sqrt(first))
        h[i] = h_old[i] = h_next[i] = clip(c[0], blocks.strong_convexity)
        s[i], u[i], outer = answers(i, c, x, y[i], v[i], h[i])
        z += outer / m
    order, xs, zs = np.arange(m), [x.copy()], [z.copy()]
    for _ in range(iterations):
        x_old, x = x, x - steps.upper * z
        y_old, y = y, y - steps.lower * s
        v_old, v = v, np.array([ball(v[i] - steps.implicit * u[i], radius) for i in range(m)])
        h_old, h = h, h_next.copy()
        now, before = np.zeros(dx), np.zeros(dx)
        picked = chosen(rng, order, sampled)
        for i in picked:
            c = call(rng, problem, i, np.array(blocks.noise) / np.sqrt(batch))
            low, quadratic, outer = answers(i, c, x, y[i], v[i], h[i])
            d = call(rng, problem, i, np.array(blocks.noise) / np.sqrt(batch)) if method.fresh else c
            low_old, quadratic_old, outer_old = answers(i, d, x_old, y_old[i], v_old[i], h_old[i])
            s[i] = rule.keep * s[i] + rule.new * low - rule.old * low_old
            u[i] = rule.keep * u[i] + rule.new * quadratic - rule.old * quadratic_old
            h_next[i] = clip(rule.keep * h[i] + rule.new * c[0] - rule.old * d[0], blocks.strong_convexity)
            now += outer / sampled
            before += outer_old / sampled
        untouched = np.setdiff1d(np.arange(m), picked)
        s[untouched] *= rule.rest
        u[untouched] *= rule.rest
        z = top.keep * z + top.new * now - top.old * before
        xs.append(x.copy())
        zs.append(z.copy())
    return np.array(xs), np.array(zs), y, v


def deterministic_v2(problem, alpha, beta, eta, tau, tau_v, radius, start, iterations):
    """Version 2 without noise and with every block seen, where each estimator equals what it estimates."""
    a, c, b, targets, anchor, _, _, rho = problem
    x = start.copy()
    y, v = np.zeros_like(b), np.zeros_like(b)
    for _ in range(iterations):
        z = rho * slope(x - anchor) + np.einsum("mka,mk->a", c, v) / len(b)
        lower = np.einsum("mkl,ml->mk", a, y) - c @ x - b
        quadratic = np.einsum("mkl,ml->mk", a, v) - slope(y - targets)
        x, y = x - eta * z, y - tau * lower
        v = np.array([ball(w, radius) for w in v - tau_v * quadratic])
    return x, y, v


def tracked(rng, matrices, path, rule, scales, sampled, fresh=False):
    """Mean squared errors (T,) of a rule that starts at the truth."""
    m, dy, dx = matrices.shape
    u, order, errors = matrices @ path[0], np.arange(m), []
    for t in range(1, len(path)):
        picked = chosen(rng, order, sampled)

        def mapping(i):
            n = rng.standard_normal((dy, dx))
            r = scales[1] * rng.standard_normal(dy)
            return lambda w, matrix=matrices[i] + scales[0] * n: matrix @ w + r

        old = u.copy()
        u = rule.rest * u
        for i in picked:
            h = mapping(i)
            now = h(path[t])
            before = (mapping(i) if fresh else h)(path[t - 1])
            u[i] = rule.keep * old[i] + rule.new * now - rule.old * before
        errors.append(np.mean(np.sum((u - matrices @ path[t]) ** 2, axis=1)))
    return np.array(errors)
