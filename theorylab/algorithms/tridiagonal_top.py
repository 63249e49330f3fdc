"""The largest eigenvalue of a symmetric tridiagonal matrix and the first component of its eigenvector, in O(n)."""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]

PRECISION = 2.0**-52
MOST_EVALUATIONS = 200  # bisection alone needs about 60; Newton's method usually ends it after 25


@njit(nogil=True, cache=True, error_model="numpy")
def first_pivot(diagonal: Array, squares: Array, shift: float) -> tuple[float, float, bool]:
    """Return the first pivot ``p_1`` of ``T - shift``, eliminated from the bottom, its derivative, and a flag.

    ``p_n = a_n - x``, ``p_i = a_i - x - b_i^2 / p_{i+1}``. The flag is False, and the numbers void, if another pivot
    is not negative: then ``x`` is at most the top eigenvalue of ``T`` without its first row, so below that of ``T``.
    """
    last = diagonal.size - 1
    pivot = diagonal[last] - shift
    slope = -1.0
    for i in range(last - 1, -1, -1):
        if not pivot < 0.0:
            return 0.0, 0.0, False
        inverse = 1.0 / pivot
        ratio = squares[i] * inverse
        slope = -1.0 + ratio * inverse * slope
        pivot = diagonal[i] - shift - ratio
    return pivot, slope, True


@njit(nogil=True, cache=True, error_model="numpy")
def top_eigenpair(diagonal: Array, squares: Array) -> tuple[float, float]:
    """Return the largest eigenvalue and the squared first component; ``squares`` are the ``b_i^2``.

    Right of the poles ``p_1`` decreases and is convex, so Newton's method never passes its root from the left, and
    bisection serves where a step leaves the bracket. At the root ``p_1' = -1 / x_1^2`` for the unit eigenvector x.
    """
    n = diagonal.size
    lower, upper = diagonal[0], diagonal[0]
    for i in range(n):
        reach = 0.0
        if i > 0:
            reach += np.sqrt(squares[i - 1])
        if i < n - 1:
            reach += np.sqrt(squares[i])
        lower = max(lower, diagonal[i])
        upper = max(upper, diagonal[i] + reach)
    floor = PRECISION * (abs(lower) + abs(upper))
    upper += floor
    shift, step, weight = upper, np.inf, 1.0
    for _ in range(MOST_EVALUATIONS):
        pivot, slope, right_of_poles = first_pivot(diagonal, squares, shift)
        if not right_of_poles or pivot > 0.0:
            lower = shift
        else:
            upper = shift
        if right_of_poles:
            weight = -1.0 / slope
            step = pivot * weight
            if abs(step) <= floor:
                break
        if upper - lower <= floor:
            break
        newton = shift + step
        inside = right_of_poles and lower < newton < upper
        shift = newton if inside else 0.5 * (lower + upper)
    # A bracket that closed where Newton's step stayed long holds a pole: an eigenvector without a first component.
    return shift, weight if abs(step) <= 16.0 * floor else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def top_eigenpairs(diagonals: Array, squares: Array, values: Array, weights: Array) -> None:
    """Fill ``values`` and ``weights`` (D,) for the D matrices with ``diagonals`` (D, n), ``squares`` (D, n-1)."""
    for k in range(values.size):
        values[k], weights[k] = top_eigenpair(diagonals[k], squares[k])


def largest_eigenpair(diagonal: npt.ArrayLike, off_diagonal: npt.ArrayLike) -> tuple[float, float]:
    """Return the largest eigenvalue and the squared first component of its unit eigenvector.

    ``diagonal`` (n,), ``off_diagonal`` (n-1,) of a symmetric tridiagonal matrix. O(n) time and no further memory; the
    eigenvalue is right to about 1e-15 times the size of the entries. Raises ValueError on wrong shapes and on entries
    that are not finite.

    >>> value, weight = largest_eigenpair([0.0, 0.0], [2.0])
    >>> round(value, 12), round(weight, 12)
    (2.0, 0.5)
    """
    a = np.ascontiguousarray(diagonal, dtype=np.float64)
    b = np.ascontiguousarray(off_diagonal, dtype=np.float64)
    if a.ndim != 1 or a.size == 0 or b.shape != (a.size - 1,):
        raise ValueError(f"diagonal.shape={a.shape}, off_diagonal.shape={b.shape}: must be (n,) and (n-1,), n > 0")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("diagonal, off_diagonal: must be finite; look for NaN and infinity")
    value, weight = top_eigenpair(a, b**2)
    return float(value), float(weight)
