"""How well an estimator follows linear mappings of a moving point: the kernel and its face.

``h_i(w) = M_i w``, i = 1..m, along a path fixed beforehand; in every step I of the m blocks are sampled uniformly
without replacement, and a call returns ``(M_i + N) w + n`` with Gaussian N and n, the same at ``w_t`` and ``w_{t-1}``.
The estimators are those of `theorylab.algorithms.block_estimators`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.block_estimators import Array, BlockEstimator, checked_sampled
from theorylab.algorithms.checks import checked_count, checked_deviation

Weights = tuple[float, float, float, float]


@njit(nogil=True, cache=True, error_model="numpy")
def draw_mapping(
    rng: np.random.Generator, matrix: Array, scales: tuple[float, float], drawn: Array, shift: Array
) -> None:
    """Fill ``drawn`` (dy, dx) with ``M_i + N`` and ``shift`` (dy,) with ``n``."""
    for j in range(matrix.shape[0]):
        for k in range(matrix.shape[1]):
            drawn[j, k] = matrix[j, k] + scales[0] * rng.standard_normal()
    for j in range(matrix.shape[0]):
        shift[j] = scales[1] * rng.standard_normal()


@njit(nogil=True, cache=True, error_model="numpy")
def apply_mapping(matrix: Array, shift: Array, w: Array, value: Array) -> None:
    """Fill ``value`` (dy,) with ``matrix w + shift``."""
    for j in range(matrix.shape[0]):
        total = shift[j]
        for k in range(matrix.shape[1]):
            total += matrix[j, k] * w[k]
        value[j] = total


@njit(nogil=True, cache=True, error_model="numpy")
def mean_square_error(matrices: Array, w: Array, trackers: Array) -> float:
    """Return ``(1/m) sum_i ||u_i - M_i w||^2``."""
    total = 0.0
    for i in range(matrices.shape[0]):
        for j in range(matrices.shape[1]):
            gap = trackers[i, j]
            for k in range(matrices.shape[2]):
                gap -= matrices[i, j, k] * w[k]
            total += gap * gap
    return float(total / matrices.shape[0])


@njit(nogil=True, cache=True, error_model="numpy")
def track(
    rng: np.random.Generator,
    matrices: Array,
    path: Array,
    weights: Weights,
    scales: tuple[float, float],
    sampled: int,
    fresh: bool,
    errors: Array,
) -> None:
    """Fill ``errors`` (repeats, T) with the mean squared error after every step; each repeat starts with the truth.

    ``matrices`` (m, dy, dx); ``path`` (T+1, dx); ``scales`` are the deviations of N and n for a whole batch. ``fresh``
    draws another sample for ``w_{t-1}``. Draws of a step: I uniforms that pick blocks, then N by rows and n, block by
    block.
    """
    keep, new, old, rest = weights
    m, dy, dx = matrices.shape
    trackers, order, drawn, shift = np.empty((m, dy)), np.arange(m), np.empty((dy, dx)), np.empty(dy)
    now, before = np.empty(dy), np.empty(dy)
    for repeat in range(errors.shape[0]):
        shift[:] = 0.0
        for i in range(m):
            apply_mapping(matrices[i], shift, path[0], trackers[i])
        for t in range(1, path.shape[0]):
            # A partial Fisher-Yates shuffle: a uniform set of I blocks at a cost that does not know m.
            for j in range(sampled):
                other = j + int(rng.random() * (m - j))
                order[j], order[other] = order[other], order[j]
            if rest != 1.0:
                for j in range(sampled, m):
                    trackers[order[j]] *= rest
            for j in range(sampled):
                i = order[j]
                draw_mapping(rng, matrices[i], scales, drawn, shift)
                apply_mapping(drawn, shift, path[t], now)
                if fresh:
                    draw_mapping(rng, matrices[i], scales, drawn, shift)
                apply_mapping(drawn, shift, path[t - 1], before)
                for k in range(dy):
                    trackers[i, k] = keep * trackers[i, k] + new * now[k] - old * before[k]
            errors[repeat, t - 1] = mean_square_error(matrices, path[t], trackers)


def track_mappings(
    matrices: npt.ArrayLike,
    path: npt.ArrayLike,
    estimator: BlockEstimator,
    *,
    sampled: int,
    batch: int = 1,
    matrix_noise: float,
    offset_noise: float,
    rng: np.random.Generator,
    repeats: int = 1,
    fresh: bool = False,
) -> Array:
    """Return ``(1/m) sum_i ||u_i - M_i w_t||^2`` after each of the T steps, (repeats, T); every repeat starts at truth.

    ``matrices`` ``M_i`` (m, dy, dx) and ``path`` ``w_0..w_T`` (T+1, dx); ``sampled`` is I, ``batch`` B; one call has
    noise ``N w + n`` with entries of deviation ``matrix_noise`` and ``offset_noise``, a batch that over sqrt(B).
    ``fresh`` takes independent samples at ``w_t`` and ``w_{t-1}``, a common mistake. Raises ValueError on shapes that
    do not fit, entries that are not finite, I outside 1..m, B or repeats below 1 and negative deviations.

    >>> from theorylab.algorithms.block_estimators import storm
    >>> path = np.array([[1.0, 0.0], [0.9, 0.1]])
    >>> rng = np.random.default_rng(0)
    >>> seen = track_mappings([np.eye(2)], path, storm(0.5), sampled=1, matrix_noise=0.0, offset_noise=0.0, rng=rng)
    >>> seen.shape, bool(seen[0, 0] < 1e-30)
    ((1, 1), True)
    """
    maps, points = _checked("matrices", matrices, 3), _checked("path", path, 2)
    if points.shape[0] < 2 or points.shape[1] != maps.shape[2]:
        raise ValueError(f"path.shape={points.shape}: must be (T+1, {maps.shape[2]}) with T >= 1, as matrices ask for")
    root = np.sqrt(checked_count("batch", batch))
    scales = (
        float(checked_deviation("matrix_noise", matrix_noise) / root),
        float(checked_deviation("offset_noise", offset_noise) / root),
    )
    errors = np.empty((checked_count("repeats", repeats), points.shape[0] - 1))
    blocks = checked_sampled(sampled, maps.shape[0])
    track(rng, maps, points, estimator.weights, scales, blocks, bool(fresh), errors)
    return errors


def _checked(name: str, values: npt.ArrayLike, axes: int) -> Array:
    """Return a contiguous float64 array with that many axes; raise ValueError on others or entries not finite."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    if checked.ndim != axes or checked.size == 0:
        raise ValueError(f"{name}.shape={checked.shape}: must have {axes} axes, none empty")
    if not np.isfinite(checked).all():
        raise ValueError(f"{name}: must be finite, {int(np.sum(~np.isfinite(checked)))} entries are not")
    return checked
