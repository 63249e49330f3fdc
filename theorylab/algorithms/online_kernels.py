"""The numba kernels of gradient learners on smooth losses: one learner in one loop, and the two-layer ensemble.

A game is a tuple ``(kind, hessian, tilts, curvatures, directions, features, weights)`` of an integer and contiguous
float64 arrays; the arrays of the other kind are empty. A single learner is a triple of choices: how a point is made
from the state (`choose`), what the state takes in (`absorb`) and the step (`step_size`). A new learner of this kind is
one branch in each of them and one line in `theorylab.algorithms.online_learners`. It plays quadratics only: a branch
on the kind in its loop would double the cost of a round.

All helpers live in this file because numba's disk cache does not notice edits of helpers elsewhere. Those of a round
are inlined, and not nested: at d of about 10 the counting of references to array arguments costs more than the
arithmetic.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Quadratics = tuple[Array, Array, Array, Array]
Choices = tuple[int, int, float, float, float, float]
Game = tuple[int, Array, Array, Array, Array, Array, Array]

QUADRATIC, SOFTMAX = 0, 1  # the kinds of losses
MIRROR, LEADER, STRONG_LEADER = 0, 1, 2  # the kinds of learners
ADAPTIVE, HARMONIC, FIXED, SELF_WEIGHTED = 0, 1, 2, 3  # the rules of the step
# The columns of the sums that a single learner leaves at its checkpoints.
LOSS, LINEAR_LOSS, VARIATION, STEP, WEIGHTED_VARIATION, WEIGHTED_MOVEMENT, MOVEMENT, COLUMNS = range(8)
LARGEST_LOSS = 1e100  # beyond it a learner counts as diverged; its squares still fit a double


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def quadratic_gradient(
    hessian: Array, tilts: Array, curvatures: Array, directions: Array, t: int, x: Array, gradient: Array
) -> float:
    """Fill ``gradient`` (d,) with ``Hx - b_t + k_t <v_t, x> v_t`` and return ``f_t(x)``.

    The Hessian is read by rows as if they were columns, which it allows by symmetry: the inner loop then has no
    reduction and vectorises without any change of rounding.
    """
    d = x.size
    for i in range(d):
        gradient[i] = -tilts[t, i]
    for j in range(d):
        for i in range(d):
            gradient[i] += hessian[j, i] * x[j]
    if curvatures.size > 0:
        along = 0.0
        for i in range(d):
            along += directions[t, i] * x[i]
        for i in range(d):
            gradient[i] += curvatures[t] * along * directions[t, i]
    twice = 0.0  # <g - b, x> is twice the loss: every term of f_t but the tilt is quadratic
    for i in range(d):
        twice += (gradient[i] - tilts[t, i]) * x[i]
    return 0.5 * twice


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
            z = features[k, i]
            largest = -np.inf
            for j in range(classes):
                logit = 0.0
                for q in range(width):
                    logit += x[j * width + q] * z[q]
                shares[j] = logit
                largest = max(largest, logit)
            own = shares[k] - largest
            mass = 0.0
            for j in range(classes):
                shares[j] = np.exp(shares[j] - largest)
                mass += shares[j]
            total += share * (np.log(mass) - own)
            for j in range(classes):
                slope = share * (shares[j] / mass - (1.0 if j == k else 0.0))
                for q in range(width):
                    gradient[j * width + q] += slope * z[q]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def value_and_gradient(game: Game, t: int, x: Array, gradient: Array) -> float:
    """Fill ``gradient`` (d,) with ``grad f_t(x)`` and return ``f_t(x)``; ``t`` counts from zero."""
    kind, hessian, tilts, curvatures, directions, features, weights = game
    if kind == QUADRATIC:
        return float(quadratic_gradient(hessian, tilts, curvatures, directions, t, x, gradient))
    return float(softmax_gradient(features, weights[t], x, gradient))


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def project(x: Array, radius: float) -> None:
    """Replace ``x`` (d,) by its projection on the centred ball; an infinite radius leaves it alone."""
    squares = 0.0
    for i in range(x.size):
        squares += x[i] * x[i]
    norm = np.sqrt(squares)
    if norm > radius:
        for i in range(x.size):
            x[i] *= radius / norm


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def step_size(rule: int, scale: float, offset: float, t: int, variation: float, weighted: float) -> float:
    """Return ``eta_t`` from what is known before round ``t`` (from one): ``V_{t-1}`` and ``sum_{s<t} eta_s v_s``."""
    if rule == ADAPTIVE:
        return float(scale / np.sqrt(offset + variation))
    if rule == SELF_WEIGHTED:
        return scale / (offset + weighted)
    if rule == HARMONIC:
        # Without the anchor of Theorem 4 the first round has nothing to minimise; a zero step leaves it at the origin.
        return scale / (t + offset) if t + offset > 0.0 else 0.0
    return scale


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def choose(method: int, state: Array, hint: Array, eta: float, x: Array) -> None:
    """Fill ``x`` (d,) with the point whose projection the learner plays, before it sees the loss."""
    if method == MIRROR:  # state is xhat_t
        for i in range(x.size):
            x[i] = state[i] - eta * hint[i]
    elif method == LEADER:  # state is the sum of gradients
        for i in range(x.size):
            x[i] = -(0.5 * eta) * (state[i] + hint[i])
    else:  # state is the sum of lambda x_s - g_s
        for i in range(x.size):
            x[i] = eta * (state[i] - hint[i])


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def absorb(method: int, state: Array, gradient: Array, x: Array, eta: float, scale: float) -> None:
    """Update the state (d,) with the gradient that the round revealed at ``x``; mirror descent projects it next."""
    if method == MIRROR:
        for i in range(x.size):
            state[i] -= eta * gradient[i]
    elif method == LEADER:
        for i in range(x.size):
            state[i] += gradient[i]
    else:  # the scale is 1/lambda
        for i in range(x.size):
            state[i] += x[i] / scale - gradient[i]


@njit(nogil=True, cache=True, error_model="numpy")
def play(
    quadratics: Quadratics,
    learner: Choices,
    start: Array,
    checkpoints: Integers,
    sums: Array,
    gradient_sums: Array,
    iterates: Array,
    gradients: Array,
) -> None:
    """Play quadratic losses ``(H, b, k, v)`` up to the last checkpoint.

    ``learner`` is ``(method, rule, scale, offset, hint, radius)``, with hints ``m_t = hint g_{t-1}``; ``start`` (d,) is
    ``xhat_1``. ``sums`` (C, 7) and ``gradient_sums`` (C, d) are filled at the ascending ``checkpoints`` (C,) and have
    to arrive filled with infinity, which is what a diverged learner leaves from then on; ``iterates`` and ``gradients``
    (T, d) are filled in every round unless they are (0, d).
    """
    hessian, tilts, curvatures, directions = quadratics
    method, rule, scale, offset, hint_scale, radius = learner
    d = start.size
    state, x, previous = start.copy(), start.copy(), start.copy()
    gradient, hint, total = np.zeros(d), np.zeros(d), np.zeros(d)
    row = np.zeros(COLUMNS)
    before, c = 0.0, 0
    for t in range(1, checkpoints[-1] + 1):
        eta = step_size(rule, scale, offset, t, row[VARIATION], row[WEIGHTED_VARIATION])
        choose(method, state, hint, eta, x)
        project(x, radius)
        loss = quadratic_gradient(hessian, tilts, curvatures, directions, t - 1, x, gradient)
        if not abs(loss) <= LARGEST_LOSS:
            iterates[t - 1 :] = np.inf
            gradients[t - 1 :] = np.inf
            return
        absorb(method, state, gradient, x, eta, scale)
        if method == MIRROR:
            project(state, radius)
        linear, error, moved = 0.0, 0.0, 0.0
        for i in range(d):
            linear += gradient[i] * x[i]
            error += (gradient[i] - hint[i]) ** 2
            moved += (x[i] - previous[i]) ** 2
            total[i] += gradient[i]
            hint[i] = hint_scale * gradient[i]
            previous[i] = x[i]
        row[LOSS] += loss
        row[LINEAR_LOSS] += linear
        row[VARIATION] += error
        row[STEP] = eta
        row[WEIGHTED_VARIATION] += eta * error
        row[MOVEMENT] += moved  # nothing in the first round, which plays the start
        if before > 0.0:
            row[WEIGHTED_MOVEMENT] += moved / (4.0 * before)
        before = eta
        if iterates.shape[0] > 0:
            iterates[t - 1] = x
            gradients[t - 1] = gradient
        if checkpoints[c] == t:
            sums[c] = row
            gradient_sums[c] = total
            c += 1


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


@njit(nogil=True, cache=True, error_model="numpy")
def advance_base(centre: Array, point: Array, gradient: Array, eta: float, radius: float, fresh: Array) -> float:
    """Move one base learner, ``centre`` being ``xhat_i`` and ``point`` ``x_i``, both (d,) and updated in place.

    Return ``||x_{t+1,i} - x_{t,i}||^2``; ``fresh`` (d,) is scratch.
    """
    for j in range(point.size):
        centre[j] -= eta * gradient[j]
    project(centre, radius)
    for j in range(point.size):
        fresh[j] = centre[j] - eta * gradient[j]
    project(fresh, radius)
    moved = 0.0
    for j in range(point.size):
        moved += (fresh[j] - point[j]) ** 2
        point[j] = fresh[j]
    return moved


@njit(nogil=True, cache=True, error_model="numpy")
def dot(a: Array, b: Array) -> float:
    """Return ``<a, b>`` of two vectors (d,), summed in order: too short for BLAS to pay."""
    total = 0.0
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def play_ensemble(
    game: Game,
    steps: Array,
    correction: float,
    rate_cap: float,
    rate_scale: float,
    radius: float,
    checkpoints: Integers,
    sums: Array,
    gradient_sums: Array,
    iterates: Array,
    gradients: Array,
    weight_history: Array,
) -> None:
    """Play Algorithm 2 with the pool ``steps`` (N,) and the meta rate ``eps_t = min(rate_cap, sqrt(rate_scale/V_t))``.

    ``sums`` (C, 4) holds the losses, the linear losses, ``V_t`` (from t = 2) and ``eps_t``; the others are as in
    `play`, with ``weight_history`` (T, N) or (0, N).
    """
    d, bases = gradient_sums.shape[1], steps.size
    centres, points = np.zeros((bases, d)), np.zeros((bases, d))
    weights, losses, promised, moves = np.full(bases, 1.0 / bases), np.zeros(bases), np.zeros(bases), np.zeros(bases)
    x, gradient, before, fresh, total = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d)
    row = np.zeros(4)
    c = 0
    for t in range(1, checkpoints[-1] + 1):
        x[:] = 0.0
        for i in range(bases):
            for j in range(d):
                x[j] += weights[i] * points[i, j]
        loss = value_and_gradient(game, t - 1, x, gradient)
        if not abs(loss) <= LARGEST_LOSS:
            iterates[t - 1 :] = np.inf
            gradients[t - 1 :] = np.inf
            weight_history[t - 1 :] = np.inf
            return
        if iterates.shape[0] > 0:
            iterates[t - 1] = x
            gradients[t - 1] = gradient
            weight_history[t - 1] = weights
        for j in range(d):
            row[2] += (gradient[j] - before[j]) ** 2 if t > 1 else 0.0
            before[j] = gradient[j]
            total[j] += gradient[j]
        row[0] += loss
        row[1] += dot(gradient, x)
        row[3] = np.sqrt(rate_scale / row[2]) if row[2] * rate_cap * rate_cap > rate_scale else rate_cap
        for i in range(bases):
            losses[i] += dot(gradient, points[i]) + correction * moves[i]
            moves[i] = advance_base(centres[i], points[i], gradient, steps[i], radius, fresh)
            promised[i] = losses[i] + dot(gradient, points[i]) + correction * moves[i]
        tilt_weights(promised, row[3], weights)
        if checkpoints[c] == t:
            sums[c] = row
            gradient_sums[c] = total
            c += 1
