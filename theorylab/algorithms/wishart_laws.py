r"""Extreme eigenvalues of positive semidefinite batch Hessians: Theorem 7 as printed, and the three models it may mean.

Notation of Granziol, Zohren and Roberts, JMLR 23, 2022: ``q = P/n`` where X (P, n) is the noise matrix, ``sigma^2`` its
entry variance, ``lambda`` the spike. Theorem 7 writes ``P/b`` for q. Name the model in every check:

- additive ``lambda e e' + XX'/n``: ``XX'/n`` has ``R(g) = sigma^2 / (1 - q sigma^2 g)``, so an outlier is ``z =
  lambda + R(1/lambda)`` and ends where ``dz/dlambda = 0``;
- information plus noise ``YY'/n``, ``Y = sqrt(lambda n) e v' + X`` (equation 16; Benaych-Georges and Nadakuditi 2012);
- covariance, columns ``N(0, sigma^2 I + lambda e e')`` (Baik and Silverstein 2006; Paul 2007). Its outlier, transition
  and overlap are those of information plus noise: the direction's squared weight in Y, ``n (lambda + sigma^2)`` to
  first order, is all that enters, and it is the same.
"""

from math import sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_deviation

Array = npt.NDArray[np.float64]


def theorem7_top(spike: float, ratio: float, deviation: float) -> float:
    r"""Return ``lambda'_1`` of Theorem 7 as printed, equation (18).

    ``(lambda + sigma^2 (1-q)) / (1 - q sigma^2/lambda)`` if ``lambda > sigma^2 (1+q)``, else ``2 sigma^2 (1+q)``. The
    outlier equals `additive_top`; transition and edge are right at q = 1 only. The edge is continuous with the outlier
    at the printed transition, but the true one is the outlier's minimum, ``sigma^2 (1 + sqrt(q))^2``, taken at
    ``sigma^2 (q + sqrt(q))``. Raises ValueError on a negative spike, q not above 0 or a negative sigma.

    >>> theorem7_top(0.0, 4.0, 1.0), additive_top(0.0, 4.0, 1.0)
    (10.0, 9.0)
    """
    lam, q, variance = _checked(spike, ratio, deviation)
    if lam > variance * (1.0 + q):
        return (lam + variance * (1.0 - q)) / (1.0 - q * variance / lam)
    return 2.0 * variance * (1.0 + q)


def additive_top(spike: float, ratio: float, deviation: float) -> float:
    r"""Return the largest eigenvalue of ``lambda e e' + XX'/n``: Theorem 7 corrected for the additive model.

    ``lambda + sigma^2 / (1 - q sigma^2/lambda)`` if ``lambda > sigma^2 (q + sqrt(q))``, else ``sigma^2 (1 +
    sqrt(q))^2``. [re-derived] ``dz/dlambda = 1 - q (sigma^2/(lambda - q sigma^2))^2`` vanishes at the transition, and z
    is the edge there. As q -> 0 it is ``lambda + sigma^2``, not lambda: this noise is not that of sampling. Raises as
    `theorem7_top`.
    """
    lam, q, variance = _checked(spike, ratio, deviation)
    if lam > additive_transition(q, deviation):
        return lam + variance / (1.0 - q * variance / lam)
    return wishart_edge(q, deviation)


def additive_transition(ratio: float, deviation: float) -> float:
    """Return ``sigma^2 (q + sqrt(q))``, the spike that leaves the bulk of the additive model; raises as the others."""
    _, q, variance = _checked(0.0, ratio, deviation)
    return variance * (q + sqrt(q))


def additive_overlap(spike: float, ratio: float, deviation: float) -> float:
    r"""Return the squared overlap ``1 - q (sigma^2/(lambda - q sigma^2))^2`` of the additive model, 0 below transition.

    [re-derived] An outlier z of ``lambda e e' + W`` has ``G_W(z) = 1/lambda`` and squared overlap ``-1/(lambda^2
    G_W'(z)) = dz/dlambda``, since ``dz = -dlambda/(lambda^2 G_W')``. Raises as `theorem7_top`.
    """
    lam, q, variance = _checked(spike, ratio, deviation)
    if lam <= additive_transition(q, deviation):
        return 0.0
    return 1.0 - q * (variance / (lam - q * variance)) ** 2


def covariance_top(spike: float, ratio: float, deviation: float) -> float:
    r"""Return the largest eigenvalue of a spiked covariance, and of information plus noise (equation 16).

    ``(lambda + sigma^2)(lambda + q sigma^2)/lambda`` if ``lambda > sigma^2 sqrt(q)``, else ``sigma^2 (1+sqrt(q))^2``.
    With ``ell = 1 + lambda/sigma^2`` it is ``sigma^2 ell (1 + q/(ell - 1))``. Raises as `theorem7_top`.

    >>> covariance_top(3.0, 1.0, 1.0)
    5.333333333333333
    """
    lam, q, variance = _checked(spike, ratio, deviation)
    if lam > variance * sqrt(q):
        return (lam + variance) * (lam + q * variance) / lam
    return wishart_edge(q, deviation)


def covariance_overlap(spike: float, ratio: float, deviation: float) -> float:
    """Return ``(1 - q/t^2) / (1 + q/t)``, ``t = lambda/sigma^2 > sqrt(q)``, the squared overlap of `covariance_top`.

    0 at and below the transition. Raises as `theorem7_top`.
    """
    lam, q, variance = _checked(spike, ratio, deviation)
    if lam <= variance * sqrt(q):
        return 0.0
    return (1.0 - q * (variance / lam) ** 2) / (1.0 + q * variance / lam)


def wishart_edge(ratio: float, deviation: float) -> float:
    """Return ``sigma^2 (1 + sqrt(q))^2``, the upper edge of the bulk of ``XX'/n`` in all models; raises as the others.

    >>> wishart_edge(4.0, 1.0)
    9.0
    """
    _, q, variance = _checked(0.0, ratio, deviation)
    return variance * (1.0 + sqrt(q)) ** 2


def marchenko_pastur_density(points: npt.ArrayLike, ratio: float, deviation: float) -> Array:
    r"""Return ``sqrt(4 q s y - (y - s(1-q))^2) / (2 pi q s y)``, ``s = sigma^2``, zero outside the bulk.

    The continuous part of the spectrum of ``XX'/n``; its mass is ``min(1, 1/q)``, the rest sits at zero. [re-derived]
    from ``z = -1/S + s/(1 + q s S)``, which is ``q s z S^2 + (z - s(1-q)) S + 1 = 0``. Raises as `wishart_edge`.
    """
    return _semicircle_over_line(points, ratio, deviation, 1.0) / np.pi


def printed_marchenko_pastur_density(points: npt.ArrayLike, ratio: float, deviation: float) -> Array:
    r"""Return equation (60) as printed: ``+s(1-q)`` for ``-s(1-q)``, and no pi.

    Its support is empty for q < 1/2: ``4 q s y > (y + s(1-q))^2`` has the discriminant ``16 s^2 q (2q - 1)``. Raises as
    `wishart_edge`.
    """
    return _semicircle_over_line(points, ratio, deviation, -1.0)


def _semicircle_over_line(points: npt.ArrayLike, ratio: float, deviation: float, sign: float) -> Array:
    _, q, variance = _checked(0.0, ratio, deviation)
    if variance == 0.0:
        raise ValueError("deviation=0.0: must be positive, or there is no density")
    y = np.asarray(points, dtype=np.float64)
    inside = 4.0 * q * variance * y - (y - sign * variance * (1.0 - q)) ** 2
    scale = np.where(inside > 0.0, 2.0 * q * variance * y, 1.0)
    return np.sqrt(np.maximum(inside, 0.0)) / scale


def _checked(spike: float, ratio: float, deviation: float) -> tuple[float, float, float]:
    """Return ``lambda``, ``q`` and ``sigma^2``."""
    if not (np.isfinite(spike) and spike >= 0.0):
        raise ValueError(f"spike={spike!r}: must be finite and zero or more")
    if not (np.isfinite(ratio) and ratio > 0.0):
        raise ValueError(f"ratio={ratio!r}: must be positive and finite; it is q = P/n")
    return float(spike), float(ratio), checked_deviation("deviation", deviation) ** 2
