"""Starting points ``U_0`` of factored low-rank recovery: spectral, small random, large orthonormal."""

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.packed_symmetric import adjoint, checked_operator, checked_vector, matrix_dimension

Array = npt.NDArray[np.float64]


def checked_rank(rank: int, dimension: int) -> int:
    """Return the search rank as an int; raise ValueError unless it is an integer in 1..d."""
    if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or not 1 <= rank <= dimension:
        raise ValueError(f"rank={rank!r}: must be an integer in 1..{dimension}, the dimension of the matrices")
    return int(rank)


def checked_scale(name: str, value: float) -> float:
    """Return a positive finite float; raise ValueError otherwise."""
    if not (np.ndim(value) == 0 and np.isfinite(value) and value > 0):
        raise ValueError(f"{name}={value!r}: must be a positive finite number")
    return float(value)


def spectral_start(operator: npt.ArrayLike, observations: npt.ArrayLike, rank: int, alpha: float) -> Array:
    """Return the spectral initialisation ``U_0`` (d, r') of scale ``alpha``, columns by descending eigenvalue.

    With ``C = (1/m) sum_i Sign(y_i) (A_i + A_i^T)/2 = L D L^T`` and the eigenvalues in descending order, ``U_0 =
    alpha L_{:, 1:r'} (D_+)^{1/2}``. So ``U_0 U_0^T`` is ``alpha^2`` times the positive part of ``C``, and ``C`` is
    about ``phi(X*) X* / ||X*||_F``. The same measurements give nested starting points for all ranks.

    ``operator`` is packed, ``(m, d(d+1)/2)``; ``observations`` are ``y`` (m,). Raises ValueError on shapes that do
    not fit, entries that are not finite, a rank outside 1..d or a scale that is not positive.

    Source: Ma and Fattahi, JMLR 24(96), 2023, Algorithm 2.
    """
    packed = checked_operator(operator)
    dimension = matrix_dimension(packed.shape[1])
    columns = checked_rank(rank, dimension)
    scale = checked_scale("alpha", alpha)
    signs = np.sign(checked_vector("observations", observations, packed.shape[0]))
    eigenvalues, vectors = np.linalg.eigh(adjoint(packed, signs) / packed.shape[0])
    descending = slice(None, -columns - 1, -1)
    return np.ascontiguousarray(scale * vectors[:, descending] * np.sqrt(np.maximum(eigenvalues[descending], 0.0)))


def gaussian_start(dimension: int, rank: int, alpha: float, rng: np.random.Generator) -> Array:
    """Return a random ``U_0`` (d, r') with independent N(0, alpha^2/d) entries: columns of norm about ``alpha``.

    No theorem of the paper covers it; its conclusion reports that a small random start behaves like the spectral one.
    Raises ValueError on a rank outside 1..d or a scale that is not positive.
    """
    columns = checked_rank(rank, checked_rank(dimension, 2**31))
    scale = checked_scale("alpha", alpha) / np.sqrt(dimension)
    start: Array = scale * rng.standard_normal((dimension, columns))
    return start


def orthonormal_start(dimension: int, rank: int, alpha: float, rng: np.random.Generator) -> Array:
    """Return a random ``U_0`` (d, r') with orthogonal columns of norm ``alpha``.

    With ``alpha = 1`` it is the large start that the controls need.

    Raises ValueError on a rank outside 1..d or a scale that is not positive.

    >>> U = orthonormal_start(5, 2, 0.5, np.random.default_rng(0))
    >>> np.round(U.T @ U, 12)
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """
    columns = checked_rank(rank, checked_rank(dimension, 2**31))
    basis, _ = np.linalg.qr(rng.standard_normal((dimension, columns)))
    start: Array = np.ascontiguousarray(checked_scale("alpha", alpha) * basis)
    return start
