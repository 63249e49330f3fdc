"""Symmetric matrices and linear measurements of them, stored as packed upper triangles.

For a symmetric ``X`` the measurement ``<A_i, X>`` sees only the symmetric part of ``A_i``. Row ``i`` of the packed
operator ``B`` therefore holds the upper triangle of ``A_i`` with ``A_ij + A_ji`` off the diagonal, and ``B @
pack(X)`` is the vector of all ``<A_i, X>``: half the memory of the full ``(m, d^2)`` operator and exactly the same
numbers up to rounding. Triangles are stored row by row: ``(0,0), (0,1), ..., (0,d-1), (1,1), ...``.
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def packed_length(dimension: int) -> int:
    """Return the length ``d(d+1)/2`` of a packed symmetric ``d x d`` matrix.

    >>> packed_length(20)
    210
    """
    return dimension * (dimension + 1) // 2


def matrix_dimension(length: int) -> int:
    """Return the ``d`` with ``d(d+1)/2 == length``.

    Raises ValueError where no such positive ``d`` exists.

    >>> matrix_dimension(210)
    20
    """
    dimension = (math.isqrt(8 * length + 1) - 1) // 2 if length > 0 else 0
    if dimension < 1 or packed_length(dimension) != length:
        raise ValueError(
            f"packed length={length}: must be d(d+1)/2 for a positive d, e.g. 3, 6, 10; pack with pack_measurements"
        )
    return dimension


def checked_operator(operator: npt.ArrayLike) -> Array:
    """Return a packed operator as contiguous float64 ``(m, d(d+1)/2)``, without a copy where it already is.

    Raises ValueError on another shape, no rows, or entries that are not finite.
    """
    checked = np.ascontiguousarray(operator, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[0] == 0:
        raise ValueError(
            f"operator.shape={checked.shape}: must be (m, d(d+1)/2) with m >= 1; pack with pack_measurements"
        )
    matrix_dimension(checked.shape[1])
    # The sum of a large array is not finite if an entry is not; it needs no mask of the operator's size.
    if not np.isfinite(checked.sum()) and not np.isfinite(checked).all():
        raise ValueError(
            f"operator holds {np.count_nonzero(~np.isfinite(checked))} entries that are not finite; remove those rows"
        )
    return checked


def checked_vector(name: str, values: npt.ArrayLike, length: int) -> Array:
    """Return ``values`` as contiguous float64 ``(length,)``; raise ValueError on a wrong shape or entries."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    if checked.shape != (length,):
        raise ValueError(f"{name}.shape={checked.shape}: must be ({length},), one entry a measurement")
    if not np.isfinite(checked).all():
        raise ValueError(
            f"{name} holds {np.count_nonzero(~np.isfinite(checked))} entries that are not finite; remove those rows"
        )
    return checked


def checked_symmetric(name: str, matrix: npt.ArrayLike, dimension: int | None = None) -> Array:
    """Return ``matrix`` as contiguous float64 ``(d, d)``; raise ValueError unless finite, symmetric, of that size."""
    checked = np.ascontiguousarray(matrix, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[0] != checked.shape[1] or checked.size == 0:
        raise ValueError(f"{name}.shape={checked.shape}: must be (d, d) with d >= 1")
    if dimension is not None and checked.shape[0] != dimension:
        raise ValueError(
            f"{name}.shape={checked.shape}: must be ({dimension}, {dimension}), the dimension of the operator"
        )
    if not np.isfinite(checked).all():
        raise ValueError(f"{name} holds {np.count_nonzero(~np.isfinite(checked))} entries that are not finite")
    asymmetry = float(np.max(np.abs(checked - checked.T)))
    if asymmetry > 1e-10 * max(1.0, float(np.max(np.abs(checked)))):
        raise ValueError(f"{name}: max|X - X^T|={asymmetry:.3g}, must be symmetric; pass (X + X.T) / 2")
    return checked


def pack(matrix: npt.ArrayLike) -> Array:
    """Return the upper triangle ``(d(d+1)/2,)`` of a symmetric ``(d, d)`` matrix.

    Raises ValueError unless the matrix is finite and symmetric.

    >>> pack([[1.0, 2.0], [2.0, 3.0]])
    array([1., 2., 3.])
    """
    checked = checked_symmetric("matrix", matrix)
    return np.ascontiguousarray(checked[np.triu_indices(checked.shape[0])])


def unpack(packed: npt.ArrayLike) -> Array:
    """Return the symmetric ``(d, d)`` matrix whose upper triangle is ``packed``, the inverse of `pack`.

    >>> unpack([1.0, 2.0, 3.0])
    array([[1., 2.],
           [2., 3.]])
    """
    values = np.asarray(packed, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"packed.shape={values.shape}: must be (d(d+1)/2,)")
    dimension = matrix_dimension(values.size)
    matrix = np.empty((dimension, dimension))
    upper = np.triu_indices(dimension)
    matrix[upper] = values
    matrix.T[upper] = values
    return matrix


def pack_measurements(matrices: npt.ArrayLike) -> Array:
    """Return the packed operator ``B`` of measurement matrices ``(m, d, d)``, which need not be symmetric.

    Raises ValueError on another shape.

    >>> pack_measurements([[[1.0, 5.0], [2.0, 3.0]]])
    array([[1., 7., 3.]])
    """
    full = np.asarray(matrices, dtype=np.float64)
    if full.ndim != 3 or full.shape[1] != full.shape[2] or full.shape[1] == 0:
        raise ValueError(f"matrices.shape={full.shape}: must be (m, d, d) with d >= 1")
    row, column = np.triu_indices(full.shape[1])
    operator: Array = np.ascontiguousarray(full[:, row, column])
    off = np.flatnonzero(row != column)
    operator[:, off] += full[:, column[off], row[off]]
    return operator


def forward(operator: npt.ArrayLike, matrix: npt.ArrayLike) -> Array:
    """Return all measurements ``<A_i, X>``, shape ``(m,)``, of a symmetric ``(d, d)`` matrix ``X``."""
    checked = checked_operator(operator)
    measured: Array = checked @ pack(checked_symmetric("matrix", matrix, matrix_dimension(checked.shape[1])))
    return measured


def adjoint(operator: npt.ArrayLike, weights: npt.ArrayLike) -> Array:
    """Return the symmetric part of ``sum_i w_i A_i``, shape ``(d, d)``, for weights ``(m,)``.

    It is the adjoint of `forward` on symmetric matrices: ``<forward(X), w> = <X, adjoint(w)>``.
    """
    checked = checked_operator(operator)
    doubled = unpack(checked_vector("weights", weights, checked.shape[0]) @ checked)
    # Off the diagonal the packed operator holds A_ij + A_ji, twice the symmetric part.
    return 0.5 * (doubled + np.diag(np.diag(doubled)))
