r"""Sign-RIP: how close the sign map ``Q(X) = (1/m) sum_i Sign(<A_i, X> - s_i) A_i`` is to ``phi(X) X / ||X||_F``.

Sign-RIP(k, delta) asks that ``|<Q - phi X/||X||_F, Y/||Y||_F>| <= phi delta`` for all rank-k X and Y. For one X the
supremum over symmetric Y is exact here, and only the symmetric part of Q enters the algorithm. The supremum over X is
only searched: what this file returns is a LOWER bound of delta, never a certificate that Sign-RIP holds.

The operator is packed as in `packed_symmetric`: row i is the upper triangle of ``A_i`` with ``A_ij + A_ji`` off the
diagonal.

Source: Ma and Fattahi, JMLR 24(96), 2023, Section 4, Theorems 10 and 11.
"""

from math import erfc, exp, hypot, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx

from theorylab.algorithms.checks import checked_count, checked_deviation, checked_share
from theorylab.algorithms.low_rank_start import checked_rank, checked_scale
from theorylab.algorithms.packed_symmetric import checked_operator, checked_vector, matrix_dimension

Array = npt.NDArray[np.float64]

NOISELESS_SCALING = sqrt(2.0 / pi)  # phi_0 = E|N(0, 1)|
OUTLIER_LAWS = ("normal", "signs", "cauchy", "one-sided")


def sign_map(operator: npt.ArrayLike, matrices: npt.ArrayLike, errors: npt.ArrayLike) -> Array:
    """Return the symmetric part of ``Q(X)``, shape (..., d, d), for a stack of symmetric X (..., d, d).

    ``operator`` is packed, (m, d(d+1)/2), ``errors`` are ``s`` (m,). At a zero argument the element 0 of ``Sign(0) =
    [-1, 1]`` is taken. Raises ValueError on shapes that do not fit or entries that are not finite.

    >>> sign_map([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[3.0, -1.0], [-1.0, 0.0]], [0.0, 0.0])
    array([[ 0.5, -0.5],
           [-0.5,  0. ]])
    """
    B = checked_operator(operator)
    d = matrix_dimension(B.shape[1])
    X = np.asarray(matrices, dtype=np.float64)
    if X.ndim < 2 or X.shape[-2:] != (d, d) or not np.isfinite(X).all():
        raise ValueError(f"matrices.shape={X.shape}: must be (..., {d}, {d}) with finite entries")
    asymmetry = np.abs(X - np.swapaxes(X, -1, -2)).max(initial=0.0)
    if asymmetry > 1e-10 * max(1.0, np.abs(X).max(initial=0.0)):
        raise ValueError("matrices must be symmetric; pass (X + X.T) / 2")
    s = checked_vector("errors", errors, B.shape[0])
    row, column = np.triu_indices(d)
    packed = X[..., row, column].reshape(-1, B.shape[1])
    signs = np.sign(packed @ B.T - s)
    # Off the diagonal the packed operator holds A_ij + A_ji, twice the symmetric part.
    upper = (signs @ B) * np.where(row == column, 1.0, 0.5) / B.shape[0]
    Q = np.empty((packed.shape[0], d, d))
    Q[:, row, column] = upper
    Q[:, column, row] = upper
    return Q.reshape(X.shape)


def sign_scaling(
    norm: float, *, share: float = 0.0, law: str = "normal", scale: float = 10.0, gaussian: float = 0.0
) -> float:
    r"""Return the scaling ``phi(X)`` of Gaussian measurements, with ``E Q(X) = phi(X) X / ||X||_F`` for symmetric X.

    ``norm`` is ``||X||_F``; the errors are N(0, ``gaussian``^2) plus, with probability ``share`` (p), an outlier o of
    the given law: "normal" N(0, scale^2), "signs" +-scale, "cauchy" scale times standard Cauchy, "one-sided"
    scale (1 + |N(0, 1)|).

    ``phi = sqrt(2/pi) (||X||_F / tau) (1 - p + p E exp(-o^2 / (2 tau^2)))`` with ``tau^2 = ||X||_F^2 + gaussian^2``:
    Theorem 10 without the Gaussian part, Theorem 11 without outliers. [re-derived, together] ``u = <A, X>`` is
    N(0, ||X||_F^2) and ``v = u - gaussian noise`` is N(0, tau^2) with covariance ``||X||_F^2``, so
    ``E sign(v - o) u = (||X||_F / tau)^2 E sign(v - o) v``, and ``E sign(v - o) v = 2 tau^2 pdf_tau(o)`` for every
    fixed o: the outliers need no zero mean, only independence of A.

    Raises ValueError on a norm or scale that is not positive, a share outside [0, 1), an unknown law, a negative
    ``gaussian``.

    >>> round(sign_scaling(1.0), 4), round(sign_scaling(1.0, share=0.5, law="signs", scale=1e6), 4)
    (0.7979, 0.3989)
    """
    length = checked_scale("norm", norm)
    if law not in OUTLIER_LAWS:
        raise ValueError(f"law={law!r}: must be one of {', '.join(OUTLIER_LAWS)}")
    tau = hypot(length, checked_deviation("gaussian", gaussian))
    p = checked_share(share)
    kept = 1.0 - p + p * _outlier_factor(law, checked_scale("scale", scale) / tau)
    return NOISELESS_SCALING * (length / tau) * kept


def _outlier_factor(law: str, a: float) -> float:
    """``E exp(-o^2 / (2 tau^2))`` for outliers of relative scale ``a = scale / tau``, in closed form."""
    if law == "normal":
        return 1.0 / hypot(1.0, a)
    if law == "signs":
        return exp(-0.5 * a**2)
    if law == "cauchy":
        return float(erfcx(a / sqrt(2.0)))
    # One-sided: complete the square in E exp(-a^2 (1 + |z|)^2 / 2).
    width = hypot(1.0, a)
    return exp(-0.5 * (a / width) ** 2) / width * erfc(a * (a / width) / sqrt(2.0))


def mean_square_deviation(dimension: int, measurements: int, scaling: float) -> float:
    r"""Return ``E ||sym Q(X) - phi X/||X||_F||_F^2 = (d(d+1)/2 - phi^2) / m`` of Gaussian measurements.

    [re-derived] The symmetric part of A has total variance ``d + d(d-1)/2``, a squared sign is one, and the mean of
    each term is ``phi X/||X||_F``. Raises ValueError on sizes below one or a scaling that is not positive.

    >>> mean_square_deviation(2, 100, 1.0)
    0.02
    """
    d, m = checked_count("dimension", dimension), checked_count("measurements", measurements)
    return (d * (d + 1) / 2 - checked_scale("scaling", scaling) ** 2) / m


def deviation(
    operator: npt.ArrayLike, matrices: npt.ArrayLike, errors: npt.ArrayLike, scaling: npt.ArrayLike, rank: int
) -> Array:
    r"""Return ``delta(X)``, shape (...), of symmetric X (..., d, d): the exact supremum over rank-k symmetric Y.

    ``delta(X) = sqrt(sum of the k largest squared singular values of sym(Q) - phi X/||X||_F) / phi``: by von
    Neumann's trace inequality the best rank-k Y is the truncated deviation itself.

    ``scaling`` is ``phi(X)``, a number or one for each X; ``rank`` is k. Raises ValueError as `sign_map` does, on
    X = 0, a scaling that is not positive or a rank outside 1..d.
    """
    X = np.asarray(matrices, dtype=np.float64)
    Q = sign_map(operator, X, errors)
    k = checked_rank(rank, X.shape[-1])
    phi = np.asarray(scaling, dtype=np.float64)
    if not (np.isfinite(phi).all() and np.all(phi > 0)):
        raise ValueError(f"scaling={scaling!r}: must be positive and finite; see sign_scaling")
    norms = np.linalg.norm(X, axis=(-2, -1))
    if not np.all(norms > 0):
        raise ValueError("matrices holds a zero matrix, whose direction X/||X||_F is undefined; remove it")
    deviations = Q - X * (phi / norms)[..., None, None]
    largest = np.sort(np.linalg.eigvalsh(deviations) ** 2, axis=-1)[..., -k:]
    return np.asarray(np.sqrt(largest.sum(axis=-1)) / phi)


def random_low_rank(dimension: int, rank: int, norm: float, count: int, rng: np.random.Generator) -> Array:
    """Return ``count`` random symmetric matrices (count, d, d) of rank k and Frobenius norm ``norm``.

    ``X`` is proportional to ``sum_j +-g_j g_j^T`` with Gaussian ``g_j`` and fair independent signs: mixed signature,
    as differences of two positive semidefinite matrices have. Raises ValueError on a rank outside 1..d, a norm that is
    not positive or a count below one.
    """
    k = checked_rank(rank, checked_count("dimension", dimension))
    n = checked_count("count", count)
    length = checked_scale("norm", norm)
    factors = rng.standard_normal((n, dimension, k))
    signs = 2.0 * rng.integers(0, 2, (n, 1, k)) - 1.0
    X = (factors * signs) @ np.swapaxes(factors, -1, -2)
    return np.asarray(_scaled(0.5 * (X + np.swapaxes(X, -1, -2)), length))


def typical_deviation(
    operator: npt.ArrayLike,
    errors: npt.ArrayLike,
    scaling: float,
    *,
    rank: int,
    norm: float,
    count: int,
    rng: np.random.Generator,
) -> Array:
    """Return ``delta(X)`` (count,) of `random_low_rank` matrices; their median is the typical deviation.

    ``scaling`` is ``phi`` at that norm. Every entry is a lower bound of the supremum that Sign-RIP asks for.
    """
    B = checked_operator(operator)
    X = random_low_rank(matrix_dimension(B.shape[1]), rank, norm, count, rng)
    return deviation(B, X, errors, scaling, rank)


def searched_deviation(
    operator: npt.ArrayLike,
    errors: npt.ArrayLike,
    scaling: float,
    *,
    rank: int,
    norm: float,
    rng: np.random.Generator,
    rounds: int = 40,
    candidates: int = 16,
) -> float:
    """Return the largest ``delta(X)`` that a greedy ascent over rank-k X of the given norm finds.

    This is a LOWER bound of the supremum in Sign-RIP, never a certificate: a larger deviation can exist.

    The best of ``candidates`` random matrices is moved along that many random rank-k directions, cut back to rank k and
    to the norm; the best move is kept if it raises delta, otherwise the length of the moves is halved. Q is piecewise
    constant, so there is no gradient to follow. Raises ValueError as `typical_deviation` does.
    """
    B = checked_operator(operator)
    d = matrix_dimension(B.shape[1])
    X = random_low_rank(d, rank, norm, candidates, rng)
    found = deviation(B, X, errors, scaling, rank)
    best, delta, length = X[np.argmax(found)], float(found.max()), 1.0
    for _ in range(checked_count("rounds", rounds)):
        moves = best + length * random_low_rank(d, rank, norm, candidates, rng)
        X = _scaled(_truncated(moves, rank), norm)
        found = deviation(B, X, errors, scaling, rank)
        if found.max() > delta:
            best, delta = X[np.argmax(found)], float(found.max())
        else:
            length *= 0.5
    return delta


def _scaled(X: Array, norm: float) -> Array:
    scaled: Array = X * (norm / np.linalg.norm(X, axis=(-2, -1), keepdims=True))
    return scaled


def _truncated(X: Array, rank: int) -> Array:
    """Best rank-k approximation of each symmetric matrix of a stack (n, d, d)."""
    values, vectors = np.linalg.eigh(X)
    dropped = np.argsort(np.abs(values), axis=-1)[:, : X.shape[-1] - rank]
    np.put_along_axis(values, dropped, 0.0, axis=-1)
    cut = (vectors * values[:, None, :]) @ np.swapaxes(vectors, -1, -2)
    return np.asarray(0.5 * (cut + np.swapaxes(cut, -1, -2)))
