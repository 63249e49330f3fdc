"""Constants and exponents of the final error of robust matrix recovery that the theorems leave to hidden factors."""

from math import pi, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count, checked_deviation, checked_share, checked_spectrum
from theorylab.algorithms.low_rank_start import checked_rank
from theorylab.algorithms.sign_rip import NOISELESS_SCALING


def degrees_of_freedom(dimension: int, rank: int) -> int:
    """Return ``D = dr - r(r-1)/2``, the dimension of the manifold of symmetric d x d matrices of rank r.

    Raises ValueError on a rank outside 1..d.

    >>> degrees_of_freedom(20, 3)
    57
    """
    d = checked_count("dimension", dimension)
    r = checked_rank(rank, d)
    return d * r - r * (r - 1) // 2


def asymptotic_error(gaussian: float, share: float, dimension: int, rank: int, measurements: int) -> float:
    r"""Return ``(nu/(1-p)) sqrt(pi D / (2m))``, the root mean square Frobenius error of exact-rank l1 estimation.

    Gaussian measurements, N(0, ``gaussian``^2) noise (nu) on all of them, and outliers of probability ``share`` (p)
    that are much larger than nu. The paper states only the order ``nu sqrt(dr/m) / (1-p)`` (Corollary 29, Remark 30).

    [re-derived, asymptotic in m] Near the truth the estimate is a median regression on the tangent space, of dimension
    ``D = dr - r(r-1)/2``. Measured in an orthonormal basis of it the regressors ``<A_i, T_j>`` are independent N(0, 1),
    so each coefficient has variance ``1 / (4 h^2 m)`` with the density ``h = (1-p) / (nu sqrt(2 pi))`` of the errors at
    zero; sum over D coefficients. Least squares has ``nu sqrt(D/m)`` where p = 0, smaller by ``sqrt(pi/2)``.

    Raises ValueError on a negative ``gaussian``, a share outside [0, 1), a rank outside 1..d, measurements below one.

    >>> round(asymptotic_error(0.2, 0.0, 20, 3, 1500), 4)
    0.0489
    """
    m = checked_count("measurements", measurements)
    spread = checked_deviation("gaussian", gaussian) / (1.0 - checked_share(share))
    return float(spread * sqrt(pi * degrees_of_freedom(dimension, rank) / (2.0 * m)))


def alpha_exponent(eigenvalues: npt.ArrayLike, dimension: int, measurements: int) -> float:
    r"""Return a heuristic estimate of the exponent beta in ``error ~ alpha^beta``, noiseless step rule.

    ``beta = 2 - (2/phi_0) sqrt(2(d-r)/m) sum_k (1/sigma_k - 1/sigma_{k-1}) sqrt(sum_{j >= k} sigma_j^2)``,
    ``1/sigma_0 = 0``. The theorems say ``2 - O(sqrt(r) kappa^2 delta)``; beta is below 2 at every finite m and can be
    negative, where the estimate is void.

    [heuristic] The k-th direction takes ``log(1/alpha) (1/sigma_k - 1/sigma_{k-1}) / (eta phi_0^2)`` iterations. While
    it is being learned the error is about the tail ``(sigma_j)_{j >= k}``, and the excess part G grows at the relative
    rate ``eta phi_0 ||tail||_F ||P_perp dev P_perp||``, where ``dev = sym(Q) - phi X/||X||_F``. That block is close to
    a Gaussian symmetric matrix of off-diagonal variance ``1/(2m)``, of spectral norm ``sqrt(2(d-r)/m)``. So
    ``||G G^T||`` is ``alpha^beta`` at the end.

    ``eigenvalues`` (r,) are positive and descending. Raises ValueError otherwise, on r > d or measurements below one.

    >>> [round(alpha_exponent([2**0.5, 1.0, 0.5**0.5], 20, m), 2) for m in (500, 2000, 8000)]
    [0.71, 1.35, 1.68]
    """
    rank = np.size(np.asarray(eigenvalues))
    sigma = checked_spectrum(eigenvalues, rank)
    d = checked_count("dimension", dimension)
    checked_rank(rank, d)
    m = checked_count("measurements", measurements)
    waiting = np.diff(1.0 / sigma, prepend=0.0)
    tails = np.sqrt(np.cumsum(sigma[::-1] ** 2)[::-1])
    return float(2.0 - 2.0 / NOISELESS_SCALING * sqrt(2.0 * (d - rank) / m) * (waiting @ tails))
