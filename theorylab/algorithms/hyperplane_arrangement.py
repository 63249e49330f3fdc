"""Activation patterns of a ReLU neuron on given data: the cells of a central hyperplane arrangement.

A neuron u is active at the rows of X (n, d) with ``x_k'u >= 0``. The hyperplanes ``x_k'u = 0`` cut the space of u into
cells, and each full-dimensional cell is a pattern ``D_i = diag(1[Xu >= 0])``. Patterns are stored as the columns of a
Boolean array D (n, P). Lower-dimensional cells are faces of these and add nothing to a convex program over the cells.

Counting: Cover, IEEE Transactions on Electronic Computers, 1965. Enumeration (re-derived): after a reduction to full
rank r the closure of every cell is a pointed cone and has an extreme ray, which spans the null space of r - 1
independent rows. The cells around a ray u agree with the signs of ``x_k'u`` where they are not zero, and run through
all cells of the arrangement of the remaining rows, of rank r - 1. In general position those rows are r - 1 and
independent, so that they take all ``2^(r-1)`` signs; otherwise the same argument is applied to them again.
"""

from itertools import combinations
from math import comb, e

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.relu_losses import Array, Mask, checked_activations, checked_inputs

# Rows are scaled to unit length first: an inner product below TIGHT is a zero, a singular value below DEPENDENT too.
TIGHT, DEPENDENT = 1e-9, 1e-8


def arrangement_rank(X: npt.ArrayLike) -> int:
    """Return the rank r of X (n, d), singular values below 1e-10 of the largest being zero."""
    return int(_reduced(checked_inputs(X)).shape[1])


def pattern_count(samples: int, rank: int) -> int:
    """Return ``P = 2 sum_{k<r} C(n-1, k)``, the cells of n hyperplanes in general position in R^r.

    An upper bound in any other position. Raises ValueError unless both are positive integers. Source: Cover 1965.

    >>> pattern_count(6, 2), pattern_count(9, 4)
    (12, 186)
    """
    n, r = checked_count("samples", samples), checked_count("rank", rank)
    return 2 * sum(comb(n - 1, k) for k in range(r))


def pattern_count_bound(samples: int, rank: int) -> float:
    """Return ``2 r (e (n-1) / r)^r``, the closed bound on `pattern_count`; needs ``n > r``, else ValueError."""
    n, r = checked_count("samples", samples), checked_count("rank", rank)
    if n <= r:
        raise ValueError(f"samples={n}: must exceed rank={r} for this bound; below it there are 2^samples patterns")
    return float(2 * r * (e * (n - 1) / r) ** r)


def enumerate_patterns(X: npt.ArrayLike, *, max_bytes: int = 2**30) -> Mask:
    """Return every full-dimensional pattern of X (n, d) as the columns of a Boolean (n, P), in a fixed order.

    X may be of deficient rank and in any position, with rows repeated, opposite or zero (active everywhere). Cost
    ``C(n, r-1) 2^r`` patterns of n bytes. Raises ValueError where that exceeds ``max_bytes``, or X is empty, zero or
    not finite.

    >>> enumerate_patterns([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).shape
    (3, 6)
    """
    inputs = checked_inputs(X)
    rows = _reduced(inputs)
    n, r = rows.shape
    needed = _enumeration_bytes(n, r)
    if needed > max_bytes:
        raise ValueError(
            f"X has n={n} rows of rank {r}: up to {pattern_count(n, r):.4g} patterns, whose enumeration takes about"
            f" {needed / 2**30:.3g} GiB, max_bytes={max_bytes}; draw some with sample_patterns(X, count, rng),"
            " or project X to fewer columns"
        )
    nonzero = np.any(rows != 0.0, axis=1)
    cells = _cells(rows[nonzero])
    patterns = np.ones((n, cells.shape[1]), dtype=np.bool_)
    patterns[nonzero] = cells
    return patterns


def enumeration_bytes(X: npt.ArrayLike) -> int:
    """Return about how many bytes `enumerate_patterns` takes for X (n, d); raises ValueError on a wrong X."""
    samples, rank = _reduced(checked_inputs(X)).shape
    return _enumeration_bytes(int(samples), int(rank))


def sample_patterns(X: npt.ArrayLike, count: int, rng: np.random.Generator, *, half_space: bool = False) -> Mask:
    """Return the patterns of ``count`` directions ``a_h ~ N(0, I_d)`` as the columns of a Boolean (n, count).

    Duplicates stay, for the sampling theorems count draws; `distinct_patterns` drops them. The first N columns are a
    sample of size N, so that samples nest. ``half_space=True`` reflects every direction to a non-negative first
    coordinate, which no theorem covers. Raises ValueError on a count that is not a positive integer, or wrong X.
    """
    inputs = checked_inputs(X)
    directions = rng.standard_normal((checked_count("count", count), inputs.shape[1]))
    if half_space:
        directions[directions[:, 0] < 0.0] *= -1.0
    return np.asarray(inputs @ directions.T >= 0.0)


def distinct_patterns(patterns: npt.ArrayLike) -> Mask:
    """Return the different columns of ``patterns`` (n, N) in the order of their first appearance, Boolean (n, P)."""
    columns = np.asarray(patterns)
    checked = checked_activations(columns, columns.shape[0]).astype(np.bool_)
    _, first = np.unique(np.packbits(checked.T, axis=1), axis=0, return_index=True)
    return np.ascontiguousarray(checked[:, np.sort(first)])


def general_position_margin(X: npt.ArrayLike) -> float:
    """Return how far the rows of X (n, d) are from r of them being dependent, r being the rank; 0 if they are.

    It is the least ``|x_k'u| / ||x_k||`` over all unit u orthogonal to r - 1 rows and all other rows k. Above 1e-9 the
    rows are in general position up to rounding and `pattern_count` is exact. Cost ``C(n, r-1)`` small SVDs. Raises
    ValueError as `enumerate_patterns`, from 2^30 bytes on.
    """
    rows = _reduced(checked_inputs(X))
    n, r = rows.shape
    if comb(n, r - 1) * n * 8 > 2**30:
        raise ValueError(f"X has n={n} rows of rank {r}: {comb(n, r - 1):.4g} subsets of rows are too many to check")
    if not np.all(np.any(rows != 0.0, axis=1)):
        return 0.0
    if r == 1:
        return 1.0
    subsets, rays, independent = _null_directions(rows)
    if not independent.all():
        return 0.0
    values = np.abs(rays @ rows.T)
    values[np.arange(len(subsets))[:, None], subsets] = np.inf
    return float(values.min())


def _enumeration_bytes(n: int, r: int) -> int:
    """Return the size of all cells around all rays, and of the inner products that they come from."""
    return comb(n, r - 1) * n * (int(2**r) + 8)


def _reduced(inputs: Array) -> Array:
    """Return coordinates of the rows in their span (n, r), of unit length; zero rows stay zero."""
    left, singular, _ = np.linalg.svd(inputs, full_matrices=False)
    rank = int(np.sum(singular > 1e-10 * singular[0]))
    rows = left[:, :rank] * singular[:rank]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(lengths > 1e-12 * singular[0], rows / np.where(lengths == 0.0, 1.0, lengths), 0.0)


def _cells(rows: Array) -> Mask:
    """Return the cells (n, P) of ``rows`` (n, r), unit vectors of full rank r."""
    n, r = rows.shape
    if n == r:
        return _all_signs(r)
    if r == 1:
        return np.hstack([rows > 0.0, rows < 0.0])
    _, rays, independent = _null_directions(rows)
    values = rays[independent] @ rows.T
    tight = np.abs(values) <= TIGHT
    _, first = np.unique(np.packbits(tight, axis=1), axis=0, return_index=True)
    values, tight = values[first], tight[first]
    simple = tight.sum(axis=1) == r - 1
    around = [_cells_around_simple(values[simple], tight[simple], r)]
    for value, zeros in zip(values[~simple], tight[~simple], strict=True):
        inner = _cells(_reduced(rows[zeros]))
        outer = np.repeat((value > 0.0)[:, None], inner.shape[1], axis=1)
        outer[zeros] = inner
        around.append(outer.T)
    half = np.vstack(around)
    # The cells around -u are the opposites of the cells around u.
    packed = np.unique(np.packbits(np.vstack([half, ~half]), axis=1), axis=0)
    return np.ascontiguousarray(np.unpackbits(packed, axis=1, count=n).astype(np.bool_).T)


def _cells_around_simple(values: Array, tight: Mask, rank: int) -> Mask:
    """Return the ``2^(r-1)`` cells around each of R rays with exactly r - 1 zeros, (R 2^(r-1), n)."""
    signs = _all_signs(rank - 1)
    cells = np.repeat((values > 0.0)[None], signs.shape[1], axis=0)
    zeros = np.repeat(tight[None], signs.shape[1], axis=0)
    # Row-major order: sign pattern, ray, then the r - 1 zeros of that ray.
    cells[zeros] = np.repeat(signs.T[:, None, :], len(values), axis=1).ravel()
    return cells.reshape(-1, values.shape[1])


def _all_signs(count: int) -> Mask:
    """Return all ``2^count`` sign patterns of independent rows as the columns of (count, 2^count)."""
    return np.asarray((np.arange(2**count)[None, :] >> np.arange(count)[:, None]) % 2 == 1)


def _null_directions(rows: Array) -> tuple[npt.NDArray[np.int64], Array, Mask]:
    """Return every set of r - 1 rows (C, r-1), a unit vector orthogonal to it (C, r), and whether it is independent."""
    n, r = rows.shape
    subsets = np.array(list(combinations(range(n), r - 1)), dtype=np.int64)
    _, singular, right = np.linalg.svd(rows[subsets], full_matrices=True)
    return subsets, np.asarray(right[:, -1]), np.asarray(singular[:, -1] > DEPENDENT)
