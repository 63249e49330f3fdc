r"""Extreme eigenvalues of a low-rank matrix plus Wigner noise: Theorem 4 and what belongs to it.

Notation of Granziol, Zohren and Roberts, JMLR 23, 2022: P parameters, batch size B of N points, ``b = B / (1 - B/N)``,
``sigma`` the standard deviation of one entry of one sample's Hessian, ``lambda`` an eigenvalue of ``H_emp``. All laws
here depend on ``lambda`` and ``rho = sigma sqrt(P/b)`` alone (`bulk_radius`). Numbers are in the units of the Hessian.

The laws are those of Baik, Ben Arous and Peche (2005), Peche (2006), Capitaine, Donati-Martin and Feral (2009) and
Benaych-Georges and Nadakuditi (2011). With the resolvent trace ``G(z)`` of the semicircle of radius ``2 rho``, an
outlier z of ``lambda e e' + noise`` solves ``G(z) = 1/lambda``; ``z = rho^2 G + 1/G`` makes it ``lambda +
rho^2/lambda``, valid while ``1/lambda < G(2 rho) = 1/rho``. Its squared overlap is ``-1 / (lambda^2 G'(z)) = dz/dlambda
= 1 - rho^2/lambda^2``.
"""

from math import inf, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count, checked_deviation

Array = npt.NDArray[np.float64]

# Tracy-Widom law with beta = 1 (Tracy and Widom 1996; Bornemann 2010): mean, variance and skewness.
TRACY_WIDOM_MEAN = -1.2065335745820
TRACY_WIDOM_VARIANCE = 1.6077810345810
TRACY_WIDOM_SKEWNESS = 0.2934645240


def effective_batch(batch: int, population: int | None = None) -> float:
    r"""Return ``b = B / (1 - B/N)``, infinity at B = N; ``population`` None means N infinite, so b = B (Remark 6).

    A batch drawn without replacement has ``Var epsilon_jk = S_jk^2 / b`` exactly, with ``S^2`` the variance over the N
    samples normalised by N - 1 [re-derived]: equation (6) is ``(1/B - (B-1)/(B(N-1))) V`` with ``V = S^2 (N-1)/N``, and
    the bracket is ``(N-B) / (B(N-1))``, so the product is ``S^2 (1/B - 1/N)``. Raises ValueError unless 1 <= B <= N.

    >>> effective_batch(200, 400)
    400.0
    """
    drawn = checked_count("batch", batch)
    if population is None:
        return float(drawn)
    size = checked_count("population", population)
    if drawn > size:
        raise ValueError(f"batch={batch!r}: must be at most population={population!r} without replacement")
    return inf if drawn == size else drawn / (1.0 - drawn / size)


def bulk_radius(parameters: int, deviation: float, effective: float) -> float:
    """Return ``rho = sigma sqrt(P/b)``: the bulk of the noise is ``[-2 rho, 2 rho]``, a spike leaves it above rho.

    ``effective`` is b, which may be infinity. Raises ValueError on P below one, sigma below zero or b not above zero.

    >>> bulk_radius(1000, 0.1, 10.0)
    1.0
    """
    if not effective > 0.0:
        raise ValueError(f"effective={effective!r}: must be positive, the batch size b after correction")
    return checked_deviation("deviation", deviation) * sqrt(checked_count("parameters", parameters) / effective)


def outlier_branch(spike: float, radius: float) -> float:
    """Return ``lambda + rho^2/lambda``, the outlier of Theorem 4 without its condition ``lambda > rho``.

    Section 10.1 uses it for all batch sizes. Raises ValueError on a spike of zero or a negative radius.
    """
    if not (np.isfinite(spike) and spike != 0.0):
        raise ValueError(f"spike={spike!r}: must be finite and not zero; without a spike the top is the edge 2 rho")
    return float(spike) + checked_radius(radius) ** 2 / float(spike)


def batch_top(spike: float, radius: float) -> float:
    """Return ``lambda'_1`` of Theorem 4: the outlier if ``lambda > rho``, else the edge ``2 rho``.

    ``spike`` is ``lambda_1``, zero or negative if ``H_emp`` has no positive eigenvalue. Raises ValueError on a spike
    that is not finite or a negative radius.

    >>> batch_top(1.0, 0.5), batch_top(1.0, 2.0)
    (1.25, 4.0)
    """
    if not np.isfinite(spike):
        raise ValueError(f"spike={spike!r}: must be finite, the largest eigenvalue of the full Hessian")
    rho = checked_radius(radius)
    return outlier_branch(spike, rho) if spike > rho else 2.0 * rho


def batch_bottom(spike: float, radius: float) -> float:
    """Return ``lambda'_P`` of Theorem 4, the mirror image of `batch_top`; raises as that does.

    >>> batch_bottom(-1.0, 0.5)
    -1.25
    """
    return -batch_top(-spike, radius)


def squared_overlap(spike: float, radius: float) -> float:
    """Return ``|phi'_1' phi_1|^2 = 1 - rho^2/lambda^2`` if ``|lambda| > rho``, else 0: Theorem 10.

    Raises ValueError on a spike that is not finite or a negative radius.

    >>> squared_overlap(2.0, 1.0)
    0.75
    """
    return _overlap_beyond(spike, radius, 1.0)


def squared_overlap_lemma11(spike: float, radius: float) -> float:
    """Return the overlap with the threshold ``lambda > 2 rho`` that Lemma 11 prints; the right one is Theorem 10's.

    The two differ for ``rho < |lambda| <= 2 rho``. Raises as `squared_overlap`.

    >>> squared_overlap_lemma11(1.5, 1.0)
    0.0
    """
    return _overlap_beyond(spike, radius, 2.0)


def mean_top_bounds(spike: float, radius: float) -> tuple[float, float]:
    r"""Return the bounds ``lambda_1 <= E lambda'_1 <= lambda_1 + 2 rho`` at every size [re-derived].

    Lower, any unbiased sampling: the largest eigenvalue is convex (Jensen). Upper, Gaussian noise with off-diagonal
    variance ``s^2 = sigma^2/b`` and diagonal ``2 s^2``: by Weyl it is enough that ``E max x'Ex <= 2 s sqrt(P)`` on the
    unit sphere. Increments of ``x'Ex`` have variance ``2 s^2 ||xx' - yy'||_F^2 = 4 s^2 (1 - c^2) <= 8 s^2 (1 - c)
    = 4 s^2 ||x - y||^2``, ``c = x'y``, those of ``2 s g'x``; Sudakov-Fernique bounds by ``2 s E||g|| <= 2 s sqrt(P)``.
    ``spike`` must be the largest eigenvalue, at least 0 where the rank is below P. Raises as `batch_top`.
    """
    batch_top(spike, radius)
    return float(spike), float(spike) + 2.0 * float(radius)


def largest_relative_gain(spike: float, radius: float) -> float:
    r"""Return ``lambda'_1 / lambda_1 = 1 + rho^2/lambda^2`` in the outlier branch, always below 2.

    So no data with a separated outlier of twice the full-batch eigenvalue obey Theorem 4. Raises ValueError unless
    ``spike > radius``, the domain of the branch.
    """
    if not spike > checked_radius(radius):
        raise ValueError(f"spike={spike!r}: must exceed radius={radius!r}; there is no outlier below the transition")
    return outlier_branch(spike, radius) / spike


def outlier_fluctuation(theta: float) -> float:
    r"""Return the limit variance ``2 (1 - theta^-2)`` of ``sqrt(P) (lambda'_1/rho - theta - 1/theta)``.

    Rank-one spiked Gaussian noise, ``theta = lambda/rho`` (Peche 2006; Capitaine et al. 2009). The factor 2 is the
    diagonal variance of the noise: first-order perturbation gives ``Var e'Ee = 2 rho^2/P``. Raises ValueError unless
    ``theta > 1``.

    >>> outlier_fluctuation(2.0)
    1.5
    """
    if not (np.isfinite(theta) and theta > 1.0):
        raise ValueError(f"theta={theta!r}: must be finite and above 1; at the edge the Tracy-Widom law holds")
    return 2.0 * (1.0 - theta**-2)


def edge_mean(parameters: int, radius: float) -> float:
    r"""Return ``2 rho - 1.2065 rho P^(-2/3)``, the mean top of pure Gaussian noise with its finite-size correction.

    ``(lambda'_1 - 2 rho) P^(2/3) / rho`` tends to Tracy-Widom, beta = 1. The small parameter is P; the B^(-1/4) of
    Section 8.2.1 is not that of this model. Raises ValueError on P below one or a negative radius.
    """
    rho = checked_radius(radius)
    return 2.0 * rho + TRACY_WIDOM_MEAN * rho / _edge_scale(parameters)


def standardised_edge(top: npt.ArrayLike, parameters: int, radius: float) -> Array:
    """Return ``(top - 2 rho) P^(2/3) / rho``, Tracy-Widom for pure Gaussian noise; ``top`` has any shape.

    Raises ValueError on P below one or a radius that is not positive.
    """
    rho = checked_radius(radius)
    if rho == 0.0:
        raise ValueError("radius=0.0: must be positive; without noise there is no edge")
    return np.asarray((np.asarray(top, dtype=np.float64) - 2.0 * rho) * (_edge_scale(parameters) / rho))


def semicircle_density(points: npt.ArrayLike, radius: float) -> Array:
    r"""Return ``sqrt(4 rho^2 - x^2) / (2 pi rho^2)`` at ``points``, zero outside: Theorem 3 with ``rho`` for sigma.

    Raises ValueError on a radius that is not positive.
    """
    rho = _positive_radius(radius)
    x = np.asarray(points, dtype=np.float64)
    return np.sqrt(np.maximum(4.0 * rho**2 - x**2, 0.0)) / (2.0 * np.pi * rho**2)


def semicircle_cdf(points: npt.ArrayLike, radius: float) -> Array:
    """Return the distribution function of `semicircle_density` at ``points``; raises as that does.

    >>> [round(float(p), 3) for p in semicircle_cdf([-2.0, 0.0, 2.0], 1.0)]
    [0.0, 0.5, 1.0]
    """
    x = np.clip(np.asarray(points, dtype=np.float64) / (2.0 * _positive_radius(radius)), -1.0, 1.0)
    return 0.5 + (x * np.sqrt(1.0 - x**2) + np.arcsin(x)) / np.pi


def entry_bound_lemma1(parameters: int, smoothness: float) -> float:
    r"""Return ``sqrt(P) L``, the bound on ``|epsilon_jk|`` that Lemma 1 states.

    It is false [re-derived]: the proof takes the gradient of the batch risk to be L-Lipschitz because that of the full
    risk is. With ``H_1 = N L e_1 e_1'`` and all other ``H_i`` zero, ``||H_emp|| = L`` and the batch {1} has
    ``epsilon_11 = (N-1) L``. See `entry_bound`. Raises ValueError on P below one or a negative L.
    """
    return sqrt(checked_count("parameters", parameters)) * checked_deviation("smoothness", smoothness)


def entry_bound(largest_norm: float) -> float:
    """Return ``2 max_i ||H_i||``, which bounds ``||epsilon||`` and so every entry: both means have norm at most half.

    Lemma 1 corrected [re-derived], without a dimension. Raises ValueError on a norm that is negative or not finite.
    """
    return 2.0 * checked_deviation("largest_norm", largest_norm)


def checked_radius(radius: float) -> float:
    """Return ``rho`` as float; raise ValueError where it is negative or not finite."""
    if not (np.isfinite(radius) and radius >= 0.0):
        raise ValueError(f"radius={radius!r}: must be finite and zero or more; it is sigma sqrt(P/b)")
    return float(radius)


def _edge_scale(parameters: int) -> float:
    """Return ``P^(2/3)``."""
    return float(checked_count("parameters", parameters) ** (2.0 / 3.0))


def _positive_radius(radius: float) -> float:
    if checked_radius(radius) == 0.0:
        raise ValueError("radius=0.0: must be positive, or there is no density")
    return float(radius)


def _overlap_beyond(spike: float, radius: float, threshold: float) -> float:
    if not np.isfinite(spike):
        raise ValueError(f"spike={spike!r}: must be finite, an eigenvalue of the full Hessian")
    rho = checked_radius(radius)
    return 1.0 - (rho / float(spike)) ** 2 if abs(spike) > threshold * rho else 0.0
