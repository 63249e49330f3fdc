"""Learners for exp-concave losses: optimistic online Newton step and its follow-the-leader counterpart.

Both keep ``H_t = a I + b (g_1 g_1' + ... + g_{t-1} g_{t-1}')`` and play the minimiser of ``x'H_t x / 2 - <r, x>`` on a
centred ball. ``H_t`` and its Cholesky factor are updated by one rank a round, so that a round costs O(d^2). Only a
point that leaves the ball needs factorisations, one for each of the few Newton iterations on the secular equation.

Source: Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, equations (13) and (14), Theorem 5, and Theorem 6
(Appendix A.3). All helpers of the kernel live in this file because numba's disk cache does not notice edits elsewhere.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.online_learners import Played, as_played, empty_record
from theorylab.algorithms.online_losses import SmoothLosses, checked_checkpoints, checked_positive, quadratic_arrays

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

COLUMNS = 7  # as in `theorylab.algorithms.online_kernels`, whose order the sums follow
LARGEST_LOSS = 1e100
SECULAR_TOLERANCE = 1e-15  # relative, of the multiplier's last move; Newton's method gets there in about six steps
MOST_SECULAR_STEPS = 100


@njit(nogil=True, cache=True, error_model="numpy")
def factorise(matrix: Array, shift: float, lower: Array) -> None:
    """Fill ``lower`` (d, d) with the Cholesky factor of ``matrix + shift I``, ``matrix`` being positive definite."""
    d = matrix.shape[0]
    for j in range(d):
        pivot = matrix[j, j] + shift
        for k in range(j):
            pivot -= lower[j, k] * lower[j, k]
        root = np.sqrt(pivot)
        lower[j, j] = root
        for i in range(j + 1, d):
            entry = matrix[i, j]
            for k in range(j):
                entry -= lower[i, k] * lower[j, k]
            lower[i, j] = entry / root


@njit(nogil=True, cache=True, error_model="numpy")
def update_factor(lower: Array, direction: Array) -> None:
    """Turn the factor of ``H`` into that of ``H + w w'`` by rotations, O(d^2); ``direction`` ``w`` is destroyed.

    Unlike Sherman and Morrison's update of the inverse it loses no digits over many rounds.
    """
    d = direction.size
    for k in range(d):
        old, entry = lower[k, k], direction[k]
        new = np.sqrt(old * old + entry * entry)
        cosine, sine = new / old, entry / old
        lower[k, k] = new
        for i in range(k + 1, d):
            lower[i, k] = (lower[i, k] + sine * direction[i]) / cosine
            direction[i] = cosine * direction[i] - sine * lower[i, k]


@njit(nogil=True, cache=True, error_model="numpy")
def add_outer_product(matrix: Array, lower: Array, rate: float, gradient: Array, work: Array) -> None:
    """Add ``rate g g'`` to ``H`` and update its factor; ``work`` (d,) is scratch."""
    for i in range(gradient.size):
        for j in range(gradient.size):
            matrix[i, j] += rate * gradient[i] * gradient[j]
        work[i] = np.sqrt(rate) * gradient[i]
    update_factor(lower, work)


@njit(nogil=True, cache=True, error_model="numpy")
def solve_lower(lower: Array, right: Array, x: Array) -> float:
    """Fill ``x`` (d,) with ``L^{-1} right`` and return its squared norm, ``right' (L L')^{-1} right``."""
    squares = 0.0
    for i in range(right.size):
        entry = right[i]
        for k in range(i):
            entry -= lower[i, k] * x[k]
        x[i] = entry / lower[i, i]
        squares += x[i] * x[i]
    return squares


@njit(nogil=True, cache=True, error_model="numpy")
def solve_upper(lower: Array, x: Array) -> float:
    """Replace ``x`` (d,) by ``L'^{-1} x`` and return its squared norm."""
    squares = 0.0
    for i in range(x.size - 1, -1, -1):
        entry = x[i]
        for k in range(i + 1, x.size):
            entry -= lower[k, i] * x[k]
        x[i] = entry / lower[i, i]
        squares += x[i] * x[i]
    return squares


@njit(nogil=True, cache=True, error_model="numpy")
def ball_minimiser(
    matrix: Array, lower: Array, right: Array, radius: float, x: Array, shifted: Array, scratch: Array
) -> None:
    """Fill ``x`` (d,) with the minimiser of ``x'Hx/2 - <right, x>`` on the ball, ``lower`` being the factor of ``H``.

    Outside the ball ``x = (H + nu I)^{-1} right`` with ``||x|| = R``. ``1/||x(nu)||`` is concave and increasing, so
    Newton's method for ``1/||x(nu)|| = 1/R`` from ``nu = 0`` climbs to the root without overshooting. ``shifted``
    (d, d) and ``scratch`` (d,) are scratch.
    """
    solve_lower(lower, right, x)
    squares = solve_upper(lower, x)
    if squares <= radius * radius:
        return
    shift = 0.0
    shifted[:] = lower
    for _ in range(MOST_SECULAR_STEPS):
        norm = np.sqrt(squares)
        slope = solve_lower(shifted, x, scratch) / squares
        move = (norm / radius - 1.0) / slope
        if move <= SECULAR_TOLERANCE * shift:
            return
        shift += move
        factorise(matrix, shift, shifted)
        solve_lower(shifted, right, x)
        squares = solve_upper(shifted, x)


@njit(nogil=True, cache=True, error_model="numpy")
def value_and_gradient(
    hessian: Array, tilts: Array, curvatures: Array, directions: Array, t: int, x: Array, gradient: Array
) -> float:
    """Fill ``gradient`` (d,) with ``Hx - b_t + k_t <v_t, x> v_t`` and return ``f_t(x)``."""
    d = x.size
    twice, along = 0.0, 0.0
    if curvatures.size > 0:
        for i in range(d):
            along += directions[t, i] * x[i]
    for i in range(d):
        gradient[i] = -tilts[t, i]
        for j in range(d):
            gradient[i] += hessian[i, j] * x[j]
        if curvatures.size > 0:
            gradient[i] += curvatures[t] * along * directions[t, i]
        twice += (gradient[i] - tilts[t, i]) * x[i]
    return 0.5 * twice


@njit(nogil=True, cache=True, error_model="numpy")
def metric_product(matrix: Array, centre: Array, gradient: Array, right: Array) -> None:
    """Fill ``right`` (d,) with ``H centre - gradient``; its minimiser on the ball is a Newton step from ``centre``."""
    for i in range(centre.size):
        right[i] = -gradient[i]
        for j in range(centre.size):
            right[i] += matrix[i, j] * centre[j]


@njit(nogil=True, cache=True, error_model="numpy")
def play_newton(
    quadratics: tuple[Array, Array, Array, Array],
    learner: tuple[bool, float, float, float, float],
    checkpoints: Integers,
    sums: Array,
    gradient_sums: Array,
    iterates: Array,
    gradients: Array,
) -> None:
    """Play quadratic losses ``(H, b, k, v)`` with ``H_t = base I + rate sum_{s<t} g_s g_s'``.

    ``learner`` is ``(leader, base, rate, hint, radius)``; ``leader`` means follow the leader, not mirror descent.
    Outputs as in `theorylab.algorithms.online_kernels.play`, with unit steps and ``v_t = ||g_t - m_t||^2_{H_t^{-1}}``
    in the weighted sum.
    """
    hessian, tilts, curvatures, directions = quadratics
    leader, base, rate, hint_scale, radius = learner
    d = tilts.shape[1]
    matrix, lower, shifted = base * np.eye(d), np.sqrt(base) * np.eye(d), np.empty((d, d))
    state, x, previous, right = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d)
    gradient, hint, total, work, error = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d)
    row = np.zeros(COLUMNS)
    c = 0
    for t in range(1, checkpoints[-1] + 1):
        if leader:
            right[:] = state - hint
        else:
            metric_product(matrix, state, hint, right)
        ball_minimiser(matrix, lower, right, radius, x, shifted, work)
        loss = value_and_gradient(hessian, tilts, curvatures, directions, t - 1, x, gradient)
        if not abs(loss) <= LARGEST_LOSS:
            iterates[t - 1 :] = np.inf
            gradients[t - 1 :] = np.inf
            return
        linear, squares, moved = 0.0, 0.0, 0.0
        for i in range(d):
            linear += gradient[i] * x[i]
            error[i] = gradient[i] - hint[i]
            squares += error[i] * error[i]
            moved += (x[i] - previous[i]) ** 2
            total[i] += gradient[i]
            hint[i] = hint_scale * gradient[i]
            previous[i] = x[i]
        row += np.array([loss, linear, squares, 0.0, solve_lower(lower, error, work), 0.25 * moved, moved])
        row[3] = 1.0
        if leader:
            for i in range(d):
                state[i] += (rate * linear - 1.0) * gradient[i]
        else:
            metric_product(matrix, state, gradient, right)
            ball_minimiser(matrix, lower, right, radius, state, shifted, work)
        add_outer_product(matrix, lower, rate, gradient, work)
        if iterates.shape[0] > 0:
            iterates[t - 1] = x
            gradients[t - 1] = gradient
        if checkpoints[c] == t:
            sums[c] = row
            gradient_sums[c] = total
            c += 1


def exp_concave_rate(diameter: float, gradient: float, exp_concavity: float) -> float:
    """Return ``beta = min(1/(4 G D), alpha) / 2`` of Theorems 5 and 6; raises ValueError unless all are positive.

    >>> exp_concave_rate(2.0, 1.0, 0.5)
    0.0625
    """
    product = checked_positive("gradient", gradient) * checked_positive("diameter", diameter)
    return 0.5 * min(0.25 / product, checked_positive("exp_concavity", exp_concavity))


def optimistic_newton(
    losses: SmoothLosses,
    *,
    radius: float,
    beta: float,
    gradient: float,
    hint: float = 1.0,
    checkpoints: npt.ArrayLike | None = None,
    keep: bool = True,
) -> Played:
    """Play optimistic online Newton step, (13) and (14): mirror descent in the norm of ``H_t`` with unit steps.

    ``H_t = (1 + beta G^2/2) I + (beta/2) sum_{s<t} g_s g_s'``; ``gradient`` is G, ``beta`` that of `exp_concave_rate`;
    ``hint`` scales ``m_t = hint g_{t-1}``. ``losses`` are those of `quadratic_losses`. Other arguments, results and
    errors as in `theorylab.algorithms.online_learners.play`.
    """
    rate = checked_positive("beta", beta)
    base = 1.0 + 0.5 * rate * checked_positive("gradient", gradient) ** 2
    return _play(losses, False, base, 0.5 * rate, hint, radius, checkpoints, keep)


def exp_concave_ftrl(
    losses: SmoothLosses,
    *,
    radius: float,
    beta: float,
    gradient: float,
    hint: float = 1.0,
    checkpoints: npt.ArrayLike | None = None,
    keep: bool = True,
) -> Played:
    """Play optimistic FTRL for exp-concave losses, Theorem 6 (Appendix A.3).

    ``x_{t+1}`` minimises ``(1 + beta G^2)||x||^2/2 + sum_{s<=t} [<g_s, x - x_s> + beta <g_s, x - x_s>^2/2] + <m_{t+1},
    x>``, so ``H_t = (1 + beta G^2) I + beta sum_{s<t} g_s g_s'``. Arguments, results and errors as in
    `optimistic_newton`.
    """
    rate = checked_positive("beta", beta)
    base = 1.0 + rate * checked_positive("gradient", gradient) ** 2
    return _play(losses, True, base, rate, hint, radius, checkpoints, keep)


def _play(
    losses: SmoothLosses,
    leader: bool,
    base: float,
    rate: float,
    hint: float,
    radius: float,
    checkpoints: npt.ArrayLike | None,
    keep: bool,
) -> Played:
    """Check what both learners share, run the kernel and name its sums."""
    if not np.isfinite(hint):
        raise ValueError(f"hint={hint!r}: must be finite")
    ball = checked_positive("radius", radius, infinite=True)
    rounds = checked_checkpoints(checkpoints, losses.horizon)
    record = empty_record(rounds, losses.dimension, COLUMNS, keep)
    play_newton(quadratic_arrays(losses), (leader, base, rate, float(hint), ball), rounds, *record)
    return as_played(rounds, *record)
