"""The numba kernels of blockwise bilevel methods on quadratic lower problems with a Gaussian oracle.

A problem is ``(A, C, b, c, a, J, base, rho)``: (m, dy, dy), (m, dy, dx), (m, dy), (m, dy), (dx,), (m, dy, dx), (m, dy)
and a number; ``J_i = A_i^{-1} C_i`` and ``base_i = A_i^{-1} b_i`` give the exact hypergradient. A call of the oracle is
``(A_i + N, C_i + M, b_i + n, r)``; it is asked at the points of times t and t-1.

An iteration touches the I sampled blocks and no other, so that its cost does not know m. The others move as well, but
along trackers that rest: where such a block is after k iterations is worked out when it is sampled next (`catch_up`).

All helpers live here: numba's disk cache does not notice edits in other files. A kernel is compiled when first called.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Problem = tuple[Array, Array, Array, Array, Array, Array, Array, float]
Scales = tuple[float, float, float, float]
Weights = tuple[float, float, float, float]
Call = tuple[Array, Array, Array, Array]
ChoicesV2 = tuple[Weights, Scales, bool, float, float, float]  # trackers, a batch, fresh samples at t-1, tau, tau_v, V
ChoicesV1 = tuple[Weights, Scales, bool, float, float]  # the same up to tau, then mu
Upper = tuple[Weights, float, float]  # the weights of z, eta, and 0 or 1 before the implicit term
Schedule = tuple[int, int, int, float]  # I, T, spacing of the record, threshold of the mean of ||grad F||^2

OBJECTIVE, GRADIENT, ERROR, DIRECTION, COLUMNS = range(5)  # the columns of a record
Y, V, S, U = range(4)  # the rows of a block's state: lower iterate, implicit vector and their trackers
LARGEST_SQUARE = 1e150  # of ||z||; beyond it a run counts as diverged, and its squares still fit a double


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def slope(u: float) -> float:
    """Return ``phi'(u) = 2u / (1 + u^2)^2`` of ``phi(u) = u^2 / (1 + u^2)``."""
    bell = 1.0 + u * u
    return float(2.0 * u / (bell * bell))


@njit(nogil=True, cache=True, error_model="numpy")
def hypergradient(problem: Problem, x: Array, gradient: Array) -> float:
    """Fill ``gradient`` (dx,) with ``grad F(x)`` and return ``F(x)``."""
    _, _, _, targets, anchor, jacobians, base, rho = problem
    m, dy, dx = jacobians.shape
    gradient[:] = 0.0
    total = 0.0
    for i in range(m):
        for j in range(dy):
            gap = base[i, j] - targets[i, j]
            for k in range(dx):
                gap += jacobians[i, j, k] * x[k]
            total += gap * gap / (1.0 + gap * gap)
            pull = slope(gap)
            for k in range(dx):
                gradient[k] += jacobians[i, j, k] * pull
    value = total / m
    for k in range(dx):
        gap = x[k] - anchor[k]
        gradient[k] = gradient[k] / m + rho * slope(gap)
        value += rho * gap * gap / (1.0 + gap * gap)
    return float(value)


@njit(nogil=True, cache=True, error_model="numpy")
def call_oracle(rng: np.random.Generator, problem: Problem, i: int, scales: Scales, call: Call) -> None:
    """Draw one call at block ``i``: N below and on the diagonal by rows, M by rows, n and r in turn."""
    hessians, couplings, offsets = problem[0], problem[1], problem[2]
    hessian, coupling, offset, noise = call
    dy, dx = coupling.shape
    for j in range(dy):
        for k in range(j + 1):
            hessian[j, k] = hessians[i, j, k] + scales[0] * rng.standard_normal()
            hessian[k, j] = hessian[j, k]
    for j in range(dy):
        for k in range(dx):
            coupling[j, k] = couplings[i, j, k] + scales[1] * rng.standard_normal()
    for j in range(dy):
        offset[j] = offsets[i, j] + scales[2] * rng.standard_normal()
        noise[j] = scales[3] * rng.standard_normal()


@njit(nogil=True, cache=True, error_model="numpy")
def lower_gradient(call: Call, x: Array, y: Array, out: Array) -> None:
    """Fill ``out`` with the call's ``grad_y g_i(x, y) = A y - C x - b``."""
    hessian, coupling, offset, _ = call
    for j in range(y.size):
        out[j] = -offset[j]
        for k in range(y.size):
            out[j] += hessian[j, k] * y[k]
        for k in range(x.size):
            out[j] -= coupling[j, k] * x[k]


@njit(nogil=True, cache=True, error_model="numpy")
def quadratic_gradient(call: Call, target: Array, y: Array, v: Array, out: Array) -> None:
    """Fill ``out`` with the call's ``D2_yy g_i v - grad_y f_i``."""
    for j in range(y.size):
        out[j] = -(slope(y[j] - target[j]) + call[3][j])
        for k in range(y.size):
            out[j] += call[0][j, k] * v[k]


@njit(nogil=True, cache=True, error_model="numpy")
def add_implicit(call: Call, v: Array, implicit: Array) -> None:
    """Add the call's ``-D2_xy g_i v = C'v`` to ``implicit`` (dx,)."""
    for j in range(v.size):
        for k in range(implicit.size):
            implicit[k] += call[1][j, k] * v[j]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def travelled(rest: float, steps: int) -> float:
    """Return ``1 + rest + ... + rest^(steps - 1)``, how many steps' worth a resting tracker has moved its block."""
    return float(steps) if rest == 1.0 else (1.0 - rest ** float(steps)) / (1.0 - rest)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def project(v: Array, radius: float) -> bool:
    """Replace ``v`` by its projection on the centred ball; return whether it was outside."""
    squares = 0.0
    for j in range(v.size):
        squares += v[j] * v[j]
    if squares > radius * radius:
        for j in range(v.size):
            v[j] *= radius / np.sqrt(squares)
    return squares > radius * radius


@njit(nogil=True, cache=True, error_model="numpy")
def catch_up(v: Array, u: Array, tau: float, rest: float, steps: int, radius: float, out: Array) -> None:
    """Fill ``out`` with ``v`` after ``steps`` projected steps along ``u``, which shrinks by ``rest`` after each.

    Inside the ball the points lie on one line, and all are inside if the last is; else the map is iterated.
    """
    length = tau * travelled(rest, steps)
    for j in range(v.size):
        out[j] = v[j] - length * u[j]
    if not project(out, radius):
        return
    for j in range(v.size):
        out[j] = v[j]
    length = tau
    for _ in range(steps):
        for j in range(v.size):
            out[j] -= length * u[j]
        project(out, radius)
        length *= rest


@njit(nogil=True, cache=True, error_model="numpy")
def choose(rng: np.random.Generator, order: Integers, sampled: int) -> None:
    """Put a uniform set of ``sampled`` blocks in front of the permutation ``order``: a partial Fisher-Yates shuffle."""
    for j in range(sampled):
        other = j + int(rng.random() * (order.size - j))
        order[j], order[other] = order[other], order[j]


@njit(nogil=True, cache=True, error_model="numpy")
def turn(problem: Problem, points: Array, implicit: Array, share: float, weights: Weights, z: Array) -> None:
    """Update ``z`` from ``points`` (2, dx), x_t and x_{t-1}, and the implicit terms there, summed over blocks."""
    keep, new, old, _ = weights
    for k in range(z.size):
        now = problem[7] * slope(points[0, k] - problem[4][k]) + share * implicit[0, k]
        before = problem[7] * slope(points[1, k] - problem[4][k]) + share * implicit[1, k]
        z[k] = keep * z[k] + new * now - old * before


@njit(nogil=True, cache=True, error_model="numpy")
def observe(problem: Problem, x: Array, z: Array, gradient: Array, row: Array) -> None:
    """Fill a row of the record: ``F``, ``||grad F||^2``, ``||z - grad F||^2`` and ``||z||^2``."""
    row[:] = 0.0
    row[OBJECTIVE] = hypergradient(problem, x, gradient)
    for k in range(x.size):
        row[GRADIENT] += gradient[k] * gradient[k]
        row[ERROR] += (z[k] - gradient[k]) ** 2
        row[DIRECTION] += z[k] * z[k]


@njit(nogil=True, cache=True, error_model="numpy")
def advance(points: Array, eta: float, z: Array) -> bool:
    """Move x_t to x_{t-1} and put ``x_t - eta z`` in its place; return whether z still is a sensible number."""
    squares = 0.0
    for k in range(z.size):
        points[1, k] = points[0, k]
        points[0, k] -= eta * z[k]
        squares += z[k] * z[k]
    return squares < LARGEST_SQUARE  # false for NaN as well


@njit(nogil=True, cache=True, error_model="numpy")
def block_v2(
    rng: np.random.Generator,
    problem: Problem,
    i: int,
    lag: int,
    points: Array,
    state: Array,
    choices: ChoicesV2,
    call: Call,
    work: Array,
    implicit: Array,
) -> None:
    """Bring block ``i`` from its last touch, ``lag`` >= 1 iterations ago, to now and update its trackers."""
    (keep, new, old, rest), scales, fresh, tau, tau_v, radius = choices
    y, v, s, u = state[Y], state[V], state[S], state[U]
    y_before, v_before, low, adjoint, low_before, adjoint_before = work[0], work[1], work[2], work[3], work[4], work[5]
    fade = rest ** float(lag - 1)
    catch_up(v, u, tau_v, rest, lag - 1, radius, v_before)
    for j in range(y.size):
        y_before[j] = y[j] - tau * travelled(rest, lag - 1) * s[j]
        y[j] -= tau * travelled(rest, lag) * s[j]
        v[j] = v_before[j] - tau_v * fade * u[j]
    project(v, radius)
    call_oracle(rng, problem, i, scales, call)
    lower_gradient(call, points[0], y, low)
    quadratic_gradient(call, problem[3][i], y, v, adjoint)
    add_implicit(call, v, implicit[0])
    if fresh:
        call_oracle(rng, problem, i, scales, call)
    lower_gradient(call, points[1], y_before, low_before)
    quadratic_gradient(call, problem[3][i], y_before, v_before, adjoint_before)
    add_implicit(call, v_before, implicit[1])
    for j in range(y.size):
        s[j] = keep * fade * s[j] + new * low[j] - old * low_before[j]
        u[j] = keep * fade * u[j] + new * adjoint[j] - old * adjoint_before[j]


@njit(nogil=True, cache=True, error_model="numpy")
def run_v2(
    rng: np.random.Generator,
    problem: Problem,
    choices: ChoicesV2,
    upper: Upper,
    schedule: Schedule,
    points: Array,
    z: Array,
    state: Array,
    record: Array,
) -> tuple[int, int]:
    """Run version 2; return how many rows of ``record`` were filled and the time of the hit, -1 without one.

    ``points`` (2, dx) come as x_0, x_0; ``z`` and ``state`` (m, 4, dy) as estimates at time 0, and leave at the end.
    """
    (rest, tau), (tau_v, radius) = (choices[0][3], choices[3]), (choices[4], choices[5])
    sampled, iterations, every, threshold = schedule
    m, _, dy = state.shape
    call = (np.empty((dy, dy)), np.empty((dy, z.size)), np.empty(dy), np.empty(dy))
    work, implicit, gradient = np.empty((6, dy)), np.empty((2, z.size)), np.empty(z.size)
    order, touched = np.arange(m), np.zeros(m, np.int64)
    rows, hit, total, t = 0, -1, 0.0, 0
    while True:
        if t % every == 0 or t == iterations:
            observe(problem, points[0], z, gradient, record[rows])
            total += record[rows, GRADIENT]
            rows += 1
            hit = t if total <= threshold * rows else -1
        if hit >= 0 or t == iterations or not advance(points, upper[1], z):
            break
        t += 1
        implicit[:] = 0.0
        choose(rng, order, sampled)
        for j in range(sampled):
            i = order[j]
            block_v2(rng, problem, i, t - touched[i], points, state[i], choices, call, work, implicit)
            touched[i] = t
        turn(problem, points, implicit, upper[2] / sampled, upper[0], z)
    for i in range(m):
        catch_up(state[i, V], state[i, U], tau_v, rest, t - touched[i], radius, work[0])
        for j in range(dy):
            state[i, V, j] = work[0, j]
            state[i, Y, j] -= tau * travelled(rest, t - touched[i]) * state[i, S, j]
    return rows, hit


@njit(nogil=True, cache=True, error_model="numpy")
def clip_and_invert(matrices: Array, mu: float) -> None:
    """Project H on ``H >= mu I`` and invert it; ``matrices`` (3, d, d) are H, its inverse and the inverse before."""
    values, vectors = np.linalg.eigh(matrices[0])
    for j in range(values.size):
        for k in range(values.size):
            matrices[2, j, k] = matrices[1, j, k]
            matrices[0, j, k] = 0.0
            matrices[1, j, k] = 0.0
            for e in range(values.size):
                product = vectors[j, e] * vectors[k, e]
                matrices[0, j, k] += product * max(values[e], mu)
                matrices[1, j, k] += product / max(values[e], mu)


@njit(nogil=True, cache=True, error_model="numpy")
def implicit_vector(call: Call, target: Array, inverse: Array, y: Array, v: Array) -> None:
    """Fill ``v`` with ``H_i^{-1} grad_y f_i`` of the call, at ``y``."""
    v[:] = 0.0
    for k in range(y.size):
        push = slope(y[k] - target[k]) + call[3][k]
        for j in range(y.size):
            v[j] += inverse[j, k] * push


@njit(nogil=True, cache=True, error_model="numpy")
def block_v1(
    rng: np.random.Generator,
    problem: Problem,
    i: int,
    lag: int,
    points: Array,
    state: Array,
    matrices: Array,
    choices: ChoicesV1,
    call: Call,
    work: Array,
    implicit: Array,
) -> None:
    """Do for version 1 what `block_v2` does; ``matrices`` (3, dy, dy) are H, its inverse and the one before."""
    (keep, new, old, _), scales, fresh, tau, mu = choices
    y, s, hessian = state[0], state[1], matrices[0]
    y_before, v, low, low_before = work[0], work[1], work[2], work[3]
    inverse_before = matrices[2] if lag == 1 else matrices[1]  # of a block that rested at t-1 it is the same
    call_oracle(rng, problem, i, scales, call)
    for j in range(y.size):
        y_before[j] = y[j] - tau * (lag - 1) * s[j]
        y[j] -= tau * lag * s[j]
        for k in range(y.size):
            hessian[j, k] = keep * hessian[j, k] + new * call[0][j, k]
    lower_gradient(call, points[0], y, low)
    implicit_vector(call, problem[3][i], matrices[1], y, v)
    add_implicit(call, v, implicit[0])
    if fresh:
        call_oracle(rng, problem, i, scales, call)
    lower_gradient(call, points[1], y_before, low_before)
    implicit_vector(call, problem[3][i], inverse_before, y_before, v)
    add_implicit(call, v, implicit[1])
    for j in range(y.size):
        s[j] = keep * s[j] + new * low[j] - old * low_before[j]
        for k in range(y.size):
            hessian[j, k] -= old * call[0][j, k]
    clip_and_invert(matrices, mu)


@njit(nogil=True, cache=True, error_model="numpy")
def run_v1(
    rng: np.random.Generator,
    problem: Problem,
    choices: ChoicesV1,
    upper: Upper,
    schedule: Schedule,
    points: Array,
    z: Array,
    state: Array,
    matrices: Array,
    record: Array,
) -> tuple[int, int]:
    """Run version 1 as `run_v2` runs version 2; ``state`` (m, 2, dy) is y and s, ``matrices`` (m, 3, dy, dy)."""
    sampled, iterations, every, threshold = schedule
    m, _, dy = state.shape
    call = (np.empty((dy, dy)), np.empty((dy, z.size)), np.empty(dy), np.empty(dy))
    work, implicit, gradient = np.empty((4, dy)), np.empty((2, z.size)), np.empty(z.size)
    order, touched = np.arange(m), np.zeros(m, np.int64)
    rows, hit, total, t = 0, -1, 0.0, 0
    while True:
        if t % every == 0 or t == iterations:
            observe(problem, points[0], z, gradient, record[rows])
            total += record[rows, GRADIENT]
            rows += 1
            hit = t if total <= threshold * rows else -1
        if hit >= 0 or t == iterations or not advance(points, upper[1], z):
            break
        t += 1
        implicit[:] = 0.0
        choose(rng, order, sampled)
        for j in range(sampled):
            i = order[j]
            block_v1(rng, problem, i, t - touched[i], points, state[i], matrices[i], choices, call, work, implicit)
            touched[i] = t
        turn(problem, points, implicit, upper[2] / sampled, upper[0], z)
    for i in range(m):
        for j in range(dy):
            state[i, 0, j] -= choices[3] * (t - touched[i]) * state[i, 1, j]
    return rows, hit
