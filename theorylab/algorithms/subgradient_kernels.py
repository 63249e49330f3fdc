"""The numba kernels of the sub-gradient method: one pass over the measurements per iteration, for one arm or for many.

The iteration is memory-bound: at (d, m) = (60, 8000) the packed operator has 117 MB and is read once per iteration. A
row's residual, its sign and its share of the sub-gradient are all computed while the row is in cache. Arms that share
measurements read the operator together, a block of rows at a time, through matrix-matrix products.

All helpers live in this file because numba's disk cache does not notice edits of helpers elsewhere. The flags
``reassoc`` and ``contract`` let LLVM vectorise the reductions; they leave NaN and infinity alone.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

QUASI_POLYAK, NORMALISED, LEAST_SQUARES = 0, 1, 2  # the rules that turn a sub-gradient into a step
# A block of the stacked pass has a multiple of 16 rows, at most 144, and about 0.5 MB. It stays in a second-level cache
# between its two products, beside the points and gradients of the arms. OpenBLAS multiplies without copying its
# arguments first as long as a product needs at most a million multiplications: beyond it arms cost up to twice as much.
MOST_ROWS_TOGETHER = 144
BLOCK_ENTRIES = 60_000
BLOCK_MULTIPLICATIONS = 1_000_000
NORM_TOLERANCE = 1e-11  # relative, of the spectral norm that normalises the step
LARGEST_LOSS = 1e100  # beyond it an arm counts as diverged; its squares still fit a double


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def tridiagonalise(
    matrix: Array, diagonal: Array, off_diagonal: Array, vector_space: Array, product_space: Array
) -> None:
    """Reduce a symmetric ``(d, d)`` matrix to tridiagonal form by Householder reflections; the matrix is overwritten.

    Fills ``diagonal`` (d,) and ``off_diagonal`` (d,; the last entry is zero). The two spaces (d,) are scratch.
    """
    d = matrix.shape[0]
    for k in range(d - 1):
        v = vector_space[: d - 1 - k]
        p = product_space[: d - 1 - k]
        column = matrix[k, k + 1 :]
        squares = 0.0
        for j in range(v.size):
            v[j] = column[j]
            squares += v[j] * v[j]
        reflected = -np.copysign(np.sqrt(squares), v[0])
        diagonal[k] = matrix[k, k]
        off_diagonal[k] = reflected
        if squares == 0.0:
            continue
        scale = 1.0 / (squares - reflected * v[0])
        v[0] -= reflected
        projection = 0.0
        for i in range(v.size):
            row = matrix[k + 1 + i, k + 1 :]
            total = 0.0
            for j in range(v.size):
                total += row[j] * v[j]
            p[i] = scale * total
            projection += p[i] * v[i]
        projection *= 0.5 * scale
        for i in range(v.size):
            p[i] -= projection * v[i]
        for i in range(v.size):
            row = matrix[k + 1 + i, k + 1 :]
            vi, pi = v[i], p[i]
            for j in range(v.size):
                row[j] -= vi * p[j] + pi * v[j]
    diagonal[d - 1] = matrix[d - 1, d - 1]
    off_diagonal[d - 1] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def gap_above(level: float, sign: float, diagonal: Array, squares: Array) -> tuple[float, float]:
    """Bracket ``level - max(eigenvalue)`` of ``sign * T`` from below and above; (-1, -1) if it is not positive.

    ``squares`` (d,) holds the squared off-diagonal of the tridiagonal ``T``. With the gaps ``g_i = level -
    eigenvalue_i``, ``S1 = sum 1/g_i`` and ``S2 = sum 1/g_i^2`` are the first two logarithmic derivatives of the
    characteristic polynomial, taken along the pivots of ``level - sign * T``; all sums have terms of one sign, so
    nothing cancels. Laguerre's step is at most the smallest gap, and ``S1/S2``, an average of the gaps, at least.
    """
    d = diagonal.size
    s1, s2, first, second = 0.0, 0.0, 1.0, 0.0  # the last two: derivatives of the pivot
    pivot = level - sign * diagonal[0]
    for i in range(d):
        if not pivot > 0.0:
            return -1.0, -1.0
        inverse = 1.0 / pivot
        slope, curvature = first * inverse, second * inverse
        s1 += slope
        s2 += slope * slope - curvature
        if i < d - 1:
            ratio = squares[i] * inverse
            pivot = level - sign * diagonal[i + 1] - ratio
            first = 1.0 + ratio * slope
            second = ratio * (curvature - 2.0 * slope * slope)
    spread = max(d * s2 - s1 * s1, 0.0)
    return d / (s1 + np.sqrt((d - 1) * spread)), s1 / s2


@njit(nogil=True, cache=True, error_model="numpy")
def spectral_norm(matrix: Array, scratch: Array) -> float:
    """Return the spectral norm of a symmetric ``(d, d)`` matrix, which is overwritten; ``scratch`` is ``(4, d)``.

    Tridiagonal form, then a bracket that starts with the largest column norm and Gershgorin's bound. A Laguerre step
    from its upper end converges cubically, but slowly to clustered eigenvalues: a step that does not halve the bracket
    is followed by a bisection. Unlike a warm-started power iteration this cannot settle on the wrong eigenvalue.
    """
    diagonal, squares = scratch[0], scratch[1]
    tridiagonalise(matrix, diagonal, squares, scratch[2], scratch[3])
    lower, upper, before = 0.0, 0.0, 0.0
    for i in range(diagonal.size):
        after = abs(squares[i])  # still the off-diagonal, not squared
        upper = max(upper, abs(diagonal[i]) + before + after)
        lower = max(lower, np.sqrt(diagonal[i] * diagonal[i] + before * before + after * after))
        before = after
        squares[i] = after * after
    level = upper
    while upper - lower > NORM_TOLERANCE * upper:
        width = upper - lower
        least, most = gap_above(level, 1.0, diagonal, squares)
        least_below, most_below = gap_above(level, -1.0, diagonal, squares)
        if least < 0.0 or least_below < 0.0:
            lower = level
        else:
            upper = level - min(least, least_below)
            lower = max(lower, level - min(most, most_below))
        level = upper if upper - lower < 0.5 * width else 0.5 * (lower + upper)
    return upper


@njit(nogil=True, cache=True, error_model="numpy")
def weight_of(residual: float, squared: bool) -> float:
    """Return a measurement's weight in the (sub-)gradient: the residual's sign, or for a squared loss the residual."""
    return residual if squared else np.sign(residual)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def add_row(weight: float, row: Array, gradient: Array) -> None:
    """Add ``weight`` times a row to the gradient, both of one length."""
    for j in range(row.size):
        gradient[j] += weight * row[j]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def pass_for_one(operator: Array, observations: Array, point: Array, squared: bool, gradient: Array) -> float:
    """Fill ``gradient`` (P,) with ``sum_i w_i B_i`` and return ``sum_i |<B_i, point> - y_i|``.

    One pass over the operator. While the residuals of four rows are summed, the four rows before them, still in cache
    and now with known weights, are added to the gradient: so the memory never waits for the arithmetic.
    """
    m, length = operator.shape
    gradient[:] = 0.0
    loss, w0, w1, w2, w3 = 0.0, 0.0, 0.0, 0.0, 0.0
    whole = m - m % 4
    for i in range(0, whole, 4):
        row0, row1, row2, row3 = operator[i], operator[i + 1], operator[i + 2], operator[i + 3]
        b = max(i - 4, 0)  # the first four have none before them: their weights are still zero
        before0, before1, before2, before3 = operator[b], operator[b + 1], operator[b + 2], operator[b + 3]
        r0, r1, r2, r3 = -observations[i], -observations[i + 1], -observations[i + 2], -observations[i + 3]
        for j in range(length):
            x = point[j]
            r0 += row0[j] * x
            r1 += row1[j] * x
            r2 += row2[j] * x
            r3 += row3[j] * x
            gradient[j] += (w0 * before0[j] + w1 * before1[j]) + (w2 * before2[j] + w3 * before3[j])
        loss += (abs(r0) + abs(r1)) + (abs(r2) + abs(r3))
        w0, w1, w2, w3 = weight_of(r0, squared), weight_of(r1, squared), weight_of(r2, squared), weight_of(r3, squared)
    if whole > 0:
        add_row(w0, operator[whole - 4], gradient)
        add_row(w1, operator[whole - 3], gradient)
        add_row(w2, operator[whole - 2], gradient)
        add_row(w3, operator[whole - 1], gradient)
    for i in range(whole, m):
        residual = -observations[i]
        row = operator[i]
        for j in range(length):
            residual += row[j] * point[j]
        loss += abs(residual)
        add_row(weight_of(residual, squared), row, gradient)
    return loss


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def pass_for_many(
    operator: Array, observations: Array, points: Array, squared: Flags, gradients: Array, partial: Array, losses: Array
) -> None:
    """Do what `pass_for_one` does for every column of ``points`` (P, K), reading the operator once for all of them.

    ``gradients`` and ``partial`` are (P, K), ``losses`` and ``squared`` (K,). Arms are columns because BLAS
    multiplies a block of rows by a matrix of few columns faster than the other way round. A single arm has its own
    pass.
    """
    if losses.size == 1:
        point, gradient = points.reshape(points.size), gradients.reshape(points.size)
        losses[0] = pass_for_one(operator, observations, point, squared[0], gradient)
        return
    gradients[:] = 0.0
    losses[:] = 0.0
    length = operator.shape[1]
    fitting = min(BLOCK_ENTRIES // length, BLOCK_MULTIPLICATIONS // (length * losses.size))
    together = max(16, min(MOST_ROWS_TOGETHER, fitting // 16 * 16))
    for first in range(0, operator.shape[0], together):
        block = operator[first : first + together]
        weights = np.dot(block, points)
        for i in range(block.shape[0]):
            row = weights[i]
            for k in range(losses.size):
                residual = row[k] - observations[first + i]
                losses[k] += abs(residual)
                row[k] = weight_of(residual, squared[k])
        np.dot(block.T, weights, partial)
        for j in range(length):  # as an array expression it does not vectorise
            add_row(1.0, partial[j], gradients[j])


@njit(nogil=True, cache=True, error_model="numpy")
def pack_product(factor: Array, product: Array, packed: Array) -> None:
    """Fill ``packed`` with the triangle of ``U U^T``; ``factor`` (r, d) is ``U^T`` and ``product`` (d, d) scratch."""
    np.dot(factor.T, factor, product)
    start = 0
    for i in range(product.shape[0]):
        for j in range(i, product.shape[0]):
            packed[start + j - i] = product[i, j]
        start += product.shape[0] - i


@njit(nogil=True, cache=True, error_model="numpy")
def unpack_gradient(packed: Array, scale: float, symmetric: Array) -> None:
    """Fill ``symmetric`` (d, d) with ``scale`` times the symmetric part of ``sum_i w_i A_i``.

    The packed sum holds that part doubled off the diagonal.
    """
    start = 0
    for i in range(symmetric.shape[0]):
        symmetric[i, i] = scale * packed[start]
        for j in range(i + 1, symmetric.shape[0]):
            value = 0.5 * scale * packed[start + j - i]
            symmetric[i, j] = value
            symmetric[j, i] = value
        start += symmetric.shape[0] - i


@njit(nogil=True, cache=True, error_model="numpy")
def distance(packed: Array, truth: Array) -> float:
    """Return the Frobenius distance of a packed symmetric matrix from ``truth`` (d, d), which is not packed."""
    total, start = 0.0, 0
    for i in range(truth.shape[0]):
        total += (packed[start] - truth[i, i]) ** 2
        for j in range(i + 1, truth.shape[0]):
            total += 2.0 * (packed[start + j - i] - truth[i, j]) ** 2
        start += truth.shape[0] - i
    return float(np.sqrt(total))


@njit(nogil=True, cache=True, error_model="numpy")
def step_length(rule: int, step: float, loss: float, gradient: Array, work: Array, scratch: Array) -> float:
    """Return the factor of ``Q^s U`` in the update; ``step`` is ``eta rho^t``. A zero sub-gradient means: stay.

    ``gradient`` (d, d) is ``Q^s``; it is copied to ``work`` (d, d) because the norm overwrites its argument.
    """
    if rule == QUASI_POLYAK:
        return step * loss
    if rule == LEAST_SQUARES:
        return step
    work[:] = gradient
    norm = spectral_norm(work, scratch)
    return 2.0 * step / norm if norm > 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def descend(
    operator: Array,
    observations: Array,
    truth: Array,
    factors: Array,
    ranks: Integers,
    rules: Integers,
    steps: Array,
    decays: Array,
    horizons: Integers,
    checkpoints: Integers,
    errors: Array,
    losses: Array,
    history: Array,
) -> None:
    """Run K arms on the same measurements and fill what they leave at their checkpoints.

    ``factors`` (K, R, d) holds each arm's ``U_0^T`` in its first ``ranks[k]`` rows and ends with ``U_T^T``. ``rules``,
    ``steps``, ``decays``, ``horizons`` are (K,), horizons descending; ``checkpoints`` (K, C) ascend, filled up with -1.
    ``errors``, ``losses`` (K, C) and ``history`` (K, C, R, d), or (K, 0, R, d) when not wanted, have to arrive filled
    with infinity: an arm leaves that from the first checkpoint after its divergence.
    """
    arms, _, d = factors.shape
    m, length = operator.shape
    point_space = np.empty(length * arms)
    gradient_space = np.empty(length * arms)
    partial_space = np.empty(length * arms)
    gradient, work = np.empty((d, d)), np.empty((d, d))
    totals, scratch = np.empty(arms), np.empty((4, d))
    squared, position, lost = rules == LEAST_SQUARES, np.zeros(arms, np.int64), np.zeros(arms, np.bool_)
    active = arms
    for t in range(horizons[0] + 1):
        while horizons[active - 1] < t:
            active -= 1
        points = point_space[: length * active].reshape(length, active)
        gradients = gradient_space[: length * active].reshape(length, active)
        partial = partial_space[: length * active].reshape(length, active)
        for k in range(active):
            pack_product(factors[k][: ranks[k]], work, points[:, k])
        pass_for_many(operator, observations, points, squared[:active], gradients, partial, totals[:active])
        for k in range(active):
            loss = totals[k] / m
            factor = factors[k][: ranks[k]]
            lost[k] = lost[k] or not loss <= LARGEST_LOSS
            if lost[k]:
                factor[:] = np.inf
                continue
            c = position[k]
            if c < checkpoints.shape[1] and checkpoints[k, c] == t:
                losses[k, c] = loss
                errors[k, c] = distance(points[:, k], truth)
                if history.shape[1] > 0:
                    history[k, c] = factors[k]
                position[k] = c + 1
            if t < horizons[k]:
                unpack_gradient(gradients[:, k], 1.0 / m, gradient)
                eta = step_length(rules[k], steps[k] * decays[k] ** t, loss, gradient, work, scratch)
                product = work[: ranks[k]]
                np.dot(factor, gradient, product)
                for i in range(ranks[k]):
                    add_row(-eta, product[i], factor[i])
