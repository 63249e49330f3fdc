"""Real symmetric operators as the Lanczos methods see them: a dimension and a checked product with a vector.

A matrix (dense or scipy.sparse), a `scipy.sparse.linalg.LinearOperator` or any callable becomes a
`SymmetricOperator` once, at the boundary. Symmetry is tested by one random probe, as the methods never see entries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

Array = npt.NDArray[np.float64]
# What a user may pass for A: an array, a scipy.sparse matrix, a LinearOperator, or a callable v -> A v.
Matvec = Any

# Products by differences of gradients are symmetric to about 1e-8; a wrong operator misses by 1/sqrt(n) or more.
SYMMETRY_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class SymmetricOperator:
    """A symmetric ``n x n`` operator: ``apply`` maps (n,) to (n,), ``apply_block`` (n, k) to (n, k), both float64.

    ``work`` is the number of stored entries of a row on average, which says what a product costs; infinite where only
    products are known.
    """

    n: int
    apply: Callable[[Array], Array]
    apply_block: Callable[[Array], Array]
    work: float


def symmetric_operator(matvec: Matvec, n: int | None, *, rng: np.random.Generator) -> SymmetricOperator:
    """Return ``matvec`` as a `SymmetricOperator` after two products that test its symmetry.

    ``matvec`` is a real symmetric matrix (n, n), dense or sparse, a LinearOperator, or a callable that maps (n,) to
    (n,), for which ``n`` has to be given. The test compares ``u'(Av)`` with ``v'(Au)`` for random unit vectors; it
    finds every asymmetry that is not confined to about a millionth of the operator, with probability one.

    Raises ValueError on a missing or wrong ``n``, a matrix that is not square, complex or not finite, a product of
    another shape or with entries that are not finite, and an operator that is not symmetric.

    >>> symmetric_operator(np.diag([3.0, 1.0]), None, rng=np.random.default_rng(0)).apply(np.ones(2))
    array([3., 1.])
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng={rng!r}: must be a numpy.random.Generator, e.g. np.random.default_rng(0)")
    operator = _wrapped(matvec, n)
    _check_symmetry(operator, rng)
    return operator


def checked_start(start: npt.ArrayLike, n: int) -> Array:
    """Return the start vector as unit float64 (n,); raise ValueError on another shape, zero or entries not finite."""
    vector = np.array(start, dtype=np.float64)
    if vector.shape != (n,):
        raise ValueError(f"start.shape={vector.shape}: must be ({n},), the dimension of the operator")
    norm = float(np.linalg.norm(vector))
    if not (np.isfinite(norm) and norm > 0.0):
        raise ValueError(f"start has norm {norm}: must be finite and positive; draw it at random")
    return vector / norm


def random_unit(n: int, rng: np.random.Generator) -> Array:
    """Return a vector (n,) uniform on the unit sphere."""
    vector = rng.standard_normal(n)
    return np.asarray(vector / np.linalg.norm(vector))


def _wrapped(matvec: Matvec, n: int | None) -> SymmetricOperator:
    if scipy.sparse.issparse(matvec):
        _check_dimension(matvec.shape, n)
        sparse = scipy.sparse.csr_array(_as_real(matvec))
        if not np.isfinite(sparse.data).all():
            raise ValueError("matrix holds entries that are not finite; clean it before the analysis")
        return SymmetricOperator(sparse.shape[0], sparse.__matmul__, sparse.__matmul__, sparse.nnz / sparse.shape[0])
    if isinstance(matvec, scipy.sparse.linalg.LinearOperator):
        _check_dimension(matvec.shape, n)
        size = int(matvec.shape[0])
        return SymmetricOperator(size, _checked_product(matvec.matvec, size), matvec.matmat, np.inf)
    if callable(matvec):
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"n={n!r}: must be a positive integer where only a function of vectors is given")
        product = _checked_product(matvec, int(n))
        return SymmetricOperator(int(n), product, lambda block: _by_columns(product, block), np.inf)
    dense = np.asarray(matvec)
    _check_dimension(dense.shape, n)
    matrix = np.ascontiguousarray(_as_real(dense))
    # A sum that is not finite is enough to look for entries that are not: no mask of the matrix is built otherwise.
    if not np.isfinite(matrix.sum()) and not np.isfinite(matrix).all():
        raise ValueError("matrix holds entries that are not finite; clean it before the analysis")
    return SymmetricOperator(matrix.shape[0], matrix.__matmul__, matrix.__matmul__, float(matrix.shape[0]))


def _as_real(matrix: Any) -> Any:
    if np.iscomplexobj(matrix):
        raise ValueError(f"matrix.dtype={matrix.dtype}: must be real; complex Hermitian operators are not covered")
    return matrix.astype(np.float64, copy=False)


def _check_dimension(shape: tuple[int, ...], n: int | None) -> None:
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise ValueError(f"matvec.shape={shape}: must be (n, n) with n >= 1, or pass a function and n")
    if n is not None and n != shape[0]:
        raise ValueError(f"n={n!r}: must be {shape[0]}, the dimension of the matrix, or left out")


def _checked_product(matvec: Callable[[Array], Any], n: int) -> Callable[[Array], Array]:
    """Return ``matvec`` with a check of the shape of what it returns; entries are checked by those who use them."""

    def product(vector: Array) -> Array:
        result = np.asarray(matvec(vector), dtype=np.float64)
        if result.shape != (n,):
            raise ValueError(f"matvec returned shape {result.shape}: must be ({n},), that of its argument")
        return result

    return product


def _by_columns(product: Callable[[Array], Array], block: Array) -> Array:
    return np.stack([product(np.ascontiguousarray(column)) for column in block.T], axis=1)


def _check_symmetry(operator: SymmetricOperator, rng: np.random.Generator) -> None:
    u, v = random_unit(operator.n, rng), random_unit(operator.n, rng)
    # A matvec may write into its argument or return the same buffer each time: copies keep the test honest.
    image_u, image_v = np.array(operator.apply(u.copy())), np.array(operator.apply(v.copy()))
    size = float(np.linalg.norm(image_u) + np.linalg.norm(image_v))
    if not np.isfinite(size):
        raise ValueError("matvec returned entries that are not finite; check the operator at a random vector")
    gap = abs(float(u @ image_v - v @ image_u))
    if gap > SYMMETRY_TOLERANCE * size:
        raise ValueError(
            f"operator is not symmetric: |u'Av - v'Au|={gap:.3g} for random unit u, v with |Au| + |Av|={size:.3g}; "
            "pass a symmetric operator, such as (A + A')/2"
        )
