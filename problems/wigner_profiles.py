"""Wigner matrices with unequal variances, heavy tails or planted entries: at and beyond the border of Theorem 3.

``X = (d_ij zeta_ij) / sqrt(P)`` with independent standardised ``zeta_ij`` on and above the diagonal and variances
``d_ij^2``. Theorem 3 of Granziol, Zohren and Roberts, JMLR 23, 2022, needs row means of the variances that agree
(condition (ii)), are bounded (iii), and Lindeberg's condition; Theorem 4 needs more, namely ``||X|| -> 2 sigma``.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from problems.spiked_ensembles import dense_goe
from theorylab.algorithms.checks import checked_count

Array = npt.NDArray[np.float64]

PROFILES = ("flat", "band", "product")
LAWS = ("rademacher", "normal", "student")


@dataclass(frozen=True, slots=True)
class ProfileConditions:
    """Conditions of Theorem 3 on a matrix of variances, plain floats.

    ``mean`` is ``sigma^2``, the mean variance; ``row_deviation`` the mean over rows of ``|row mean - sigma^2|``
    (condition (ii), which wants 0 in the limit); ``row_maximum`` the largest row mean (condition (iii)).
    """

    mean: float
    row_deviation: float
    row_maximum: float


def variance_profile(profile: str, parameters: int) -> Array:
    """Return variances ``d_ij^2`` (P, P): "flat" ones, "band" ``1 + 0.9 cos(2 pi (i-j)/P)``, "product" ``d_i d_j``.

    Rows of the band have equal sums, so Theorem 3 holds; the product has ``d = 0.1`` in the first half and 1.9 in the
    second, which breaks condition (ii). Raises ValueError on another name, P below one.
    """
    p = checked_count("parameters", parameters)
    places = np.arange(p)
    if profile == "flat":
        return np.ones((p, p))
    if profile == "band":
        return np.asarray(1.0 + 0.9 * np.cos(2.0 * np.pi * (places[:, None] - places) / p))
    if profile == "product":
        d = np.where(places < p // 2, 0.1, 1.9)
        return np.asarray(np.outer(d, d))
    raise ValueError(f"profile={profile!r}: must be one of {', '.join(PROFILES)}")


def profile_conditions(variances: npt.ArrayLike) -> ProfileConditions:
    """Return what Theorem 3 asks of ``variances`` (P, P).

    Raises ValueError unless they are square, symmetric, finite and not negative.
    """
    rows = _checked_variances(variances).mean(axis=1)
    mean = float(rows.mean())
    return ProfileConditions(mean, float(np.mean(np.abs(rows - mean))), float(rows.max()))


def profiled_wigner(
    variances: npt.ArrayLike, rng: np.random.Generator, *, law: str = "rademacher", degrees: float = 1.5
) -> Array:
    """Draw ``X`` (P, P) with ``E X_ij^2 = variances_ij / P``.

    ``law``: "rademacher", "normal", or "student" with ``degrees`` of freedom, not rescaled: up to 2 degrees it has no
    variance and breaks Lindeberg's condition, and ``variances`` are then squared scales only. Raises ValueError on
    variances as `profile_conditions`, another law, degrees not positive.

    >>> x = profiled_wigner(variance_profile("flat", 4), np.random.default_rng(0))
    >>> bool(np.all(np.abs(x) == 0.5))
    True
    """
    v = _checked_variances(variances)
    p = v.shape[0]
    if law == "rademacher":
        square = rng.choice([-1.0, 1.0], (p, p))
    elif law == "normal":
        square = rng.standard_normal((p, p))
    elif law == "student":
        if not (np.isfinite(degrees) and degrees > 0.0):
            raise ValueError(f"degrees={degrees!r}: must be positive")
        square = rng.standard_t(degrees, (p, p))
    else:
        raise ValueError(f"law={law!r}: must be one of {', '.join(LAWS)}")
    upper = np.triu(square)
    return np.asarray((upper + np.triu(square, 1).T) * np.sqrt(v / p))


def entry_pair(parameters: int, strength: float, rng: np.random.Generator) -> Array:
    r"""Draw ``G/sqrt(P)`` (P, P), G Gaussian as in `dense_goe`, and set the entries (1, 2), (2, 1) to ``strength`` t.

    A counterexample to the proof of Theorem 4 [re-derived]: the change has rank two and eigenvalues ``+-t`` up to
    ``O(P^{-1/2})``, so spectral density and every hypothesis of Theorem 3 stay, yet the top eigenvalue tends to ``t +
    1/t`` for t > 1 with ``H_emp = 0``, where Theorem 4 says 2. Raises ValueError on P below two, t not finite.
    """
    p = checked_count("parameters", parameters)
    if p < 2:
        raise ValueError(f"parameters={parameters!r}: must be at least 2, for an entry off the diagonal")
    if not np.isfinite(strength):
        raise ValueError(f"strength={strength!r}: must be finite")
    matrix = dense_goe(p, rng) / sqrt(p)
    matrix[0, 1] = matrix[1, 0] = strength
    return np.asarray(matrix)


def lone_hessian_population(parameters: int, population: int, smoothness: float) -> Array:
    r"""Return ``H_i`` (N, P, P): the first is ``N L e_1 e_1'``, all others zero, so ``||H_emp|| = L``.

    The counterexample to Lemma 1: a batch of the first sample alone has ``epsilon_11 = (N-1) L``, beyond the stated
    ``sqrt(P) L`` where ``N > 1 + sqrt(P)``. Raises ValueError on sizes below one or L not positive.
    """
    p, n = checked_count("parameters", parameters), checked_count("population", population)
    if not (np.isfinite(smoothness) and smoothness > 0.0):
        raise ValueError(f"smoothness={smoothness!r}: must be positive and finite")
    hessians = np.zeros((n, p, p))
    hessians[0, 0, 0] = n * smoothness
    return hessians


def _checked_variances(variances: npt.ArrayLike) -> Array:
    v = np.asarray(variances, dtype=np.float64)
    if v.ndim != 2 or v.shape[0] != v.shape[1] or v.shape[0] == 0:
        raise ValueError(f"variances.shape={v.shape}: must be (P, P), P > 0")
    if not (np.isfinite(v).all() and v.min() >= 0.0 and np.allclose(v, v.T)):
        raise ValueError(f"variances: smallest={v.min():.3g}, must be finite, symmetric and zero or more")
    return v
