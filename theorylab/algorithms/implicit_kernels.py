"""The numba kernels of learners with an implicit optimistic step, for losses without smoothness.

An explicit half-step ``xhat_{t+1} = Proj(xhat_t - eta g_t)`` is followed by a proximal one, ``x_{t+1} = argmin f_t(x) +
||x - xhat_{t+1}||^2 / (2 eta)``. A game is a tuple ``(kind, first, second, width, lower, upper)``: for KINKED losses
``sum_j h(x_j - c_tj) + <a_t, x>`` on the box [lower, upper]^d centres and tilts (T, d) in a (1, T, d) and a (T, d)
array; for SOFTMAX mixtures features (K, n, p) and weights (T, K), on the centred ball of radius ``upper``.

All helpers live in this file because numba's disk cache does not notice edits of helpers elsewhere. Those of a round
are inlined: at small d the counting of references to array arguments costs more than the arithmetic.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Game = tuple[int, Array, Array, float, float, float]

KINKED, SOFTMAX = 0, 1  # the kinds of losses
REALISED, ZERO, ONE, EXPLICIT = 0, 1, 2, 3  # what is taken for the sign at a kink; EXPLICIT has no proximal step
# The columns of the sums that the static learner leaves at its checkpoints.
LOSS, LINEAR_LOSS, VARIATION, STEP, WEIGHTED_VARIATION, COLUMNS = range(6)
LARGEST_LOSS = 1e100
MOST_PROX_STEPS, PROX_TOLERANCE = 400, 1e-10  # of accelerated gradient; the tolerance is relative to the ball's radius


@njit(nogil=True, cache=True, error_model="numpy")
def slope(z: float, width: float, at_kink: float) -> float:
    """Return ``h'(z)``, and at the kink of the absolute value (``width`` zero) what the caller takes for it."""
    if width > 0.0:
        return min(1.0, max(-1.0, z / width))
    return at_kink if z == 0.0 else float(np.sign(z))


@njit(nogil=True, cache=True, error_model="numpy")
def shrink(z: float, eta: float, width: float) -> float:
    """Return the minimiser of ``h(y) + (y - z)^2 / (2 eta)``, exactly zero on the flat of the absolute value."""
    if abs(z) <= width + eta:
        return z / (1.0 + eta / width) if width > 0.0 else 0.0
    return z - eta if z > 0.0 else z + eta


@njit(nogil=True, cache=True, error_model="numpy")
def softmax_gradient(features: Array, weights: Array, x: Array, gradient: Array) -> float:
    """Fill ``gradient`` (K p,) with that of ``sum_k w_k R_k`` at ``x`` and return the sum.

    ``features`` (K, n, p) are the points of each class, ``weights`` (K,); ``x`` holds the rows of the (K, p) matrix.
    """
    classes, points, width = features.shape
    shares = np.empty(classes)
    gradient[:] = 0.0
    total = 0.0
    for k in range(classes):
        share = weights[k] / points
        if share == 0.0:
            continue
        for i in range(points):
            largest = -np.inf
            for j in range(classes):
                logit = 0.0
                for q in range(width):
                    logit += x[j * width + q] * features[k, i, q]
                shares[j] = logit
                largest = max(largest, logit)
            own = shares[k] - largest
            mass = 0.0
            for j in range(classes):
                shares[j] = np.exp(shares[j] - largest)
                mass += shares[j]
            total += share * (np.log(mass) - own)
            for j in range(classes):
                factor = share * (shares[j] / mass - (1.0 if j == k else 0.0))
                for q in range(width):
                    gradient[j * width + q] += factor * features[k, i, q]
    return total


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def project(game: Game, x: Array) -> None:
    """Replace ``x`` (d,) by its projection on the box (kinked losses) or the centred ball (softmax)."""
    kind, _, _, _, lower, upper = game
    if kind == KINKED:
        for j in range(x.size):
            x[j] = min(upper, max(lower, x[j]))
        return
    squares = 0.0
    for j in range(x.size):
        squares += x[j] * x[j]
    norm = np.sqrt(squares)
    if norm > upper:
        for j in range(x.size):
            x[j] *= upper / norm


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def loss_and_subgradient(game: Game, t: int, x: Array, signs: Array, gradient: Array) -> float:
    """Fill ``gradient`` (d,) with a sub-gradient of ``f_t`` at ``x`` and return ``f_t(x)``; ``t`` counts from zero.

    ``signs`` (d,) in [-1, 1] are what to take for the slope of each absolute value at its kink.
    """
    kind, first, second, width, _, _ = game
    if kind == SOFTMAX:
        return float(softmax_gradient(first, second[t], x, gradient))
    total = 0.0
    for j in range(x.size):
        z = x[j] - first[0, t, j]
        gradient[j] = slope(z, width, signs[j]) + second[t, j]
        value = 0.5 * z * z / width if abs(z) < width else abs(z) - 0.5 * width
        total += value + second[t, j] * x[j]
    return total


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def realise_signs(game: Game, t: int, centre: Array, x: Array, eta: float, signs: Array) -> None:
    """Fill ``signs`` (d,) with the slopes of the absolute values that the proximal step on ``f_t`` realised at ``x``.

    ``(xhat - x)/eta`` is a sub-gradient of ``f_t`` plus a normal of the box; clipping removes the normal.
    """
    kind, _, tilts, _, _, _ = game
    if kind == KINKED:
        for j in range(x.size):
            signs[j] = min(1.0, max(-1.0, (centre[j] - x[j]) / eta - tilts[t, j]))


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def proximal_step(game: Game, t: int, centre: Array, eta: float, curvature: float, x: Array) -> None:
    """Fill ``x`` (d,) with ``argmin f_t(x) + ||x - centre||^2 / (2 eta)`` over the set.

    Coordinatewise and exact for kinked losses. For softmax by accelerated projected gradient from the centre, strongly
    convex of modulus ``1/eta``; ``curvature`` is a Lipschitz constant of ``grad f_t``, which has to be convex.
    """
    kind, first, second, width, lower, upper = game
    if kind == KINKED:
        for j in range(x.size):
            c = first[0, t, j]
            moved = c + shrink(centre[j] - eta * second[t, j] - c, eta, width)
            x[j] = min(upper, max(lower, moved))
        return
    step = 1.0 / (curvature + 1.0 / eta)
    root = np.sqrt(step / eta)
    momentum = (1.0 - root) / (1.0 + root)
    point, fresh, gradient = centre.copy(), np.empty(x.size), np.empty(x.size)
    x[:] = centre
    for _ in range(MOST_PROX_STEPS):
        softmax_gradient(first, second[t], point, gradient)
        for j in range(x.size):
            fresh[j] = point[j] - step * (gradient[j] + (point[j] - centre[j]) / eta)
        project(game, fresh)
        moved = 0.0
        for j in range(x.size):
            moved = max(moved, abs(fresh[j] - point[j]))
            point[j] = fresh[j] + momentum * (fresh[j] - x[j])
            x[j] = fresh[j]
        # The distance to the minimiser is at most moved / root^2 or so.
        if moved <= PROX_TOLERANCE * upper * root * root:
            return


@njit(nogil=True, cache=True, error_model="numpy")
def explicit_step(game: Game, centre: Array, eta: float, gradient: Array, x: Array, hint: Array) -> None:
    """Fill ``x`` (d,) with ``Proj(centre - eta g)`` and the hint with ``g``: the optimistic step of smooth losses."""
    for j in range(x.size):
        hint[j] = gradient[j]
        x[j] = centre[j] - eta * hint[j]
    project(game, x)


@njit(nogil=True, cache=True, error_model="numpy")
def play_implicit(
    game: Game,
    curvatures: Array,
    learner: tuple[int, float, float],
    checkpoints: Integers,
    sums: Array,
    gradient_sums: Array,
    iterates: Array,
    gradients: Array,
    hints: Array,
) -> None:
    """Play the static learner with ``eta_t = scale / sqrt(offset + v_1 + ... + v_{t-1})`` from the origin's projection.

    ``learner`` is ``(rule, scale, offset)``; ``curvatures`` (T,) are Lipschitz constants of softmax gradients. ``sums``
    (C, 5) and ``gradient_sums`` (C, d) are filled at the ascending ``checkpoints`` and have to arrive filled with
    infinity; ``iterates``, ``gradients`` and ``hints`` ``h_{t-1}`` (T, d) in every round unless they are (0, d).
    """
    rule, scale, offset = learner
    d = gradient_sums.shape[1]
    x, gradient, hint, total, row = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(COLUMNS)
    signs = np.full(d, 1.0 if rule == ONE else 0.0)
    project(game, x)
    centre = x.copy()
    c = 0
    eta = scale / np.sqrt(offset)
    for t in range(1, checkpoints[-1] + 1):
        loss = loss_and_subgradient(game, t - 1, x, signs, gradient)
        if not abs(loss) <= LARGEST_LOSS:
            iterates[t - 1 :] = np.inf
            gradients[t - 1 :] = np.inf
            hints[t - 1 :] = np.inf
            return
        error = 0.0
        for j in range(d):
            row[LINEAR_LOSS] += gradient[j] * x[j]
            error += (gradient[j] - hint[j]) ** 2
            total[j] += gradient[j]
        row[LOSS] += loss
        row[VARIATION] += error
        row[STEP] = eta
        row[WEIGHTED_VARIATION] += eta * error
        if iterates.shape[0] > 0:
            iterates[t - 1] = x
            gradients[t - 1] = gradient
            hints[t - 1] = hint
        if checkpoints[c] == t:
            sums[c] = row
            gradient_sums[c] = total
            c += 1
        for j in range(d):
            centre[j] -= eta * gradient[j]
        project(game, centre)
        eta = scale / np.sqrt(offset + row[VARIATION])
        if rule == EXPLICIT:
            explicit_step(game, centre, eta, gradient, x, hint)
        else:
            proximal_step(game, t - 1, centre, eta, curvatures[t - 1], x)
            if rule == REALISED:
                realise_signs(game, t - 1, centre, x, eta, signs)
            loss_and_subgradient(game, t - 1, x, signs, hint)


@njit(nogil=True, cache=True, error_model="numpy")
def tilt_weights(losses: Array, rate: float, weights: Array) -> None:
    """Fill ``weights`` (N,) with the distribution proportional to ``exp(-rate losses)``, without overflow."""
    least = losses.min()
    mass = 0.0
    for i in range(losses.size):
        weights[i] = np.exp(-rate * (losses[i] - least))
        mass += weights[i]
    for i in range(losses.size):
        weights[i] /= mass


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def advance_base(
    game: Game, t: int, curvature: float, eta: float, centre: Array, x: Array, signs: Array, hint: Array, g: Array
) -> tuple[float, float]:
    """Move a base learner by its sub-gradient ``g`` of ``f_t``: ``centre``, ``x``, ``signs``, ``hint`` (d,) change.

    Return ``v_{t,i} = ||g_{t,i} - h_{t-1,i}||^2`` and the promised loss ``f_t(x_{t+1,i})``.
    """
    error = 0.0
    for j in range(x.size):
        error += (g[j] - hint[j]) ** 2
        centre[j] -= eta * g[j]
    project(game, centre)
    proximal_step(game, t, centre, eta, curvature, x)
    realise_signs(game, t, centre, x, eta, signs)
    return error, loss_and_subgradient(game, t, x, signs, hint)


@njit(nogil=True, cache=True, error_model="numpy")
def play_implicit_ensemble(
    game: Game,
    curvatures: Array,
    steps: Array,
    tempered: bool,
    checkpoints: Integers,
    sums: Array,
    base_variations: Array,
    iterates: Array,
    weight_history: Array,
) -> None:
    """Play Algorithm 3 with the pool ``steps`` (N,); not ``tempered`` means weights that stay uniform.

    ``sums`` (C, 3) holds the losses, ``Q_t`` and ``sum q_s^2 / sqrt(1 + Q_{s-1})``; ``base_variations`` (C, N) holds
    ``sum_s v_{s,i}``; ``iterates`` is (T, d) and ``weight_history`` (T, N), or without rows.
    """
    d, bases = iterates.shape[1], steps.size
    x, reference, g, none = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d)
    project(game, reference)
    points, signs, hints = np.zeros((bases, d)), np.zeros((bases, d)), np.zeros((bases, d))
    points[:] = reference
    centres = points.copy()
    weights, totals, promised = np.full(bases, 1.0 / bases), np.zeros(bases), np.zeros(bases)
    errors, row = np.zeros(bases), np.zeros(3)
    promised_reference = 0.0
    c = 0
    for t in range(1, checkpoints[-1] + 1):
        x[:] = 0.0
        for i in range(bases):
            for j in range(d):
                x[j] += weights[i] * points[i, j]
        loss = loss_and_subgradient(game, t - 1, x, none, g)
        if not abs(loss) <= LARGEST_LOSS:
            iterates[t - 1 :] = np.inf
            weight_history[t - 1 :] = np.inf
            return
        row[0] += loss
        if iterates.shape[0] > 0:
            iterates[t - 1] = x
            weight_history[t - 1] = weights
        at_reference = loss_and_subgradient(game, t - 1, reference, none, g)
        gap = 0.0  # q_t: how far the losses of the bases are from what was promised, up to a common shift
        for i in range(bases):
            own = loss_and_subgradient(game, t - 1, points[i], signs[i], g)
            totals[i] += own
            gap = max(gap, abs((own - at_reference) - (promised[i] - promised_reference)))
            error, promised[i] = advance_base(
                game, t - 1, curvatures[t - 1], steps[i], centres[i], points[i], signs[i], hints[i], g
            )
            errors[i] += error
        promised_reference = at_reference
        row[2] += gap * gap / np.sqrt(1.0 + row[1])
        row[1] += gap * gap
        tilt_weights(totals + promised, 1.0 / np.sqrt(1.0 + row[1]) if tempered else 0.0, weights)
        if checkpoints[c] == t:
            sums[c] = row
            base_variations[c] = errors
            c += 1
