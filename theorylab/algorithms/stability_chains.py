r"""Stability of stochastic steps without matrices: one random curvature pair a step, thresholds by bisection.

SGD with a fresh batch in every step multiplies ``||w||^2`` by ``f_t = (1 - eta a_t)^2 + eta^2 c_t``, where ``a =
u'Hu`` and ``c = ||Hu||^2 - a^2`` for ``u = w/||w||``. If the law of the batch Hessian H does not depend on the basis,
the pairs ``(a_t, c_t)`` are independent, of a known law, and independent of eta: drawn once, they serve every learning
rate (common random numbers), so that thresholds are deterministic functions of the draw. `stability_rules` has the
closed forms.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.random_matrix_laws import bulk_radius
from theorylab.algorithms.stability_rules import checked_curvature

Array = npt.NDArray[np.float64]

HALVINGS = 60  # of a bracket whose ends are a factor of two apart: to the last digits
DOUBLINGS = 200


@dataclass(frozen=True, slots=True, eq=False)
class CurvaturePairs:
    """``along`` are ``a_t = u'H_t u``, ``across`` are ``c_t = ||H_t u||^2 - a_t^2``, both (T,).

    The units are those of the Hessian and of its square.
    """

    along: Array
    across: Array


def gaussian_pairs(
    curvature: float, parameters: int, deviation: float, effective: float, steps: int, rng: np.random.Generator
) -> CurvaturePairs:
    r"""Draw pairs of ``H = lambda I + E``, E symmetric Gaussian, off-diagonal variance ``s^2 = sigma^2/b``.

    ``u'Eu ~ N(0, 2 s^2)``, and the part of Eu orthogonal to u is independent of it, of squared norm ``s^2
    chi^2_{P-1}``. ``curvature`` lambda, ``effective`` b, ``steps`` T. Raises ValueError on a curvature or b that is not
    positive, sizes below one, or a negative deviation.
    """
    lam, p, t = checked_curvature(curvature), checked_count("parameters", parameters), checked_count("steps", steps)
    s = bulk_radius(p, deviation, effective) / sqrt(p)
    along = lam + s * sqrt(2.0) * rng.standard_normal(t)
    return CurvaturePairs(along, s**2 * _chi_squares(p - 1, t, rng))


def least_squares_pairs(parameters: int, batch: int, steps: int, rng: np.random.Generator) -> CurvaturePairs:
    r"""Draw pairs of ``H = (1/B) sum x_i x_i'``, x ~ N(0, I_P).

    ``g_i = x_i'u`` are standard normal and independent of the rest of ``x_i``, so with ``g^2 = sum g_i^2 ~ chi^2_B``:
    ``a = g^2/B``, and ``c = (g^2/B^2) chi^2_{P-1}``. Raises ValueError on sizes below one.
    """
    p, b, t = checked_count("parameters", parameters), checked_count("batch", batch), checked_count("steps", steps)
    along = rng.chisquare(b, t) / b
    return CurvaturePairs(along, along / b * _chi_squares(p - 1, t, rng))


@njit(nogil=True, cache=True, error_model="numpy")
def mean_log_growth(along: Array, across: Array, eta: float) -> float:
    """Return the mean over t of ``log((1 - eta a_t)^2 + eta^2 c_t)``."""
    total = 0.0
    for t in range(along.size):
        total += np.log((1.0 - eta * along[t]) ** 2 + eta**2 * across[t])
    return total / along.size


@njit(nogil=True, cache=True, error_model="numpy")
def mean_growth(along: Array, across: Array, eta: float) -> float:
    """Return the mean over t of ``(1 - eta a_t)^2 + eta^2 c_t``."""
    total = 0.0
    for t in range(along.size):
        total += (1.0 - eta * along[t]) ** 2 + eta**2 * across[t]
    return total / along.size


@njit(nogil=True, cache=True, error_model="numpy")
def bisect_growth(along: Array, across: Array, lower: float, upper: float, halvings: int) -> float:
    """Return the learning rate between ``lower`` and ``upper`` at which `mean_log_growth` changes sign to plus."""
    for _ in range(halvings):
        middle = 0.5 * (lower + upper)
        if not lower < middle < upper:
            break
        if mean_log_growth(along, across, middle) < 0.0:
            lower = middle
        else:
            upper = middle
    return lower


def lyapunov_exponent(pairs: CurvaturePairs, rate: float) -> float:
    """Return the mean logarithmic growth of ``||w||^2`` a step, below 0 where almost every path shrinks.

    Raises ValueError on pairs that are empty, not finite or of unequal length, on a negative ``across`` and on a rate
    that is negative or not finite.
    """
    along, across = _checked(pairs)
    return float(mean_log_growth(along, across, _checked_rate(rate)))


def mean_square_factor(pairs: CurvaturePairs, rate: float) -> float:
    """Return the mean growth factor of ``||w||^2`` a step, below 1 where the mean square shrinks; raises as above."""
    along, across = _checked(pairs)
    return float(mean_growth(along, across, _checked_rate(rate)))


def lyapunov_threshold(pairs: CurvaturePairs) -> float:
    r"""Return the largest learning rate at which `lyapunov_exponent` of these pairs is negative, to rounding.

    At least `mean_square_threshold` (Jensen); the two agree for large P, where the factors concentrate. The exponent
    need not be monotone above its first zero at small P: the zero that is bracketed by doubling from the mean-square
    threshold is returned. Raises as `lyapunov_exponent` and `mean_square_threshold`.

    >>> pairs = gaussian_pairs(1.0, 500, 0.1, 1.0, 4000, np.random.default_rng(0))
    >>> round(lyapunov_threshold(pairs) * (1.0 + 501 * 0.1**2) / 2.0, 2)
    1.0
    """
    along, across = _checked(pairs)
    lower = mean_square_threshold(pairs)
    for _ in range(DOUBLINGS):
        if mean_log_growth(along, across, 2.0 * lower) >= 0.0:
            return float(bisect_growth(along, across, lower, 2.0 * lower, HALVINGS))
        lower *= 2.0
    raise ValueError("pairs: must be unstable at some learning rate; every pair is zero or nearly so")


def mean_square_threshold(pairs: CurvaturePairs) -> float:
    r"""Return ``2 mean(a) / mean(a^2 + c)``, below which `mean_square_factor` of these pairs is under one.

    Raises ValueError on pairs as `lyapunov_exponent`, and where the mean curvature is not positive: no rate is stable.
    """
    along, across = _checked(pairs)
    mean = float(along.mean())
    if not mean > 0.0:
        raise ValueError(f"pairs: mean curvature={mean:.3g}, must be positive, or every learning rate is unstable")
    return 2.0 * mean / float(np.mean(along**2 + across))


def damping_threshold(pairs: CurvaturePairs, rate: float, curvature: float) -> float:
    r"""Return the least damping delta, at least 0, with which the step ``eta / (lambda + delta)`` is Lyapunov stable.

    ``rate`` eta, ``curvature`` lambda of the preconditioner. ``eta / threshold - lambda``, since the step only enters
    by that ratio. Raises as `lyapunov_threshold`.
    """
    return max(0.0, _checked_rate(rate) / lyapunov_threshold(pairs) - checked_curvature(curvature))


def _chi_squares(degrees: int, steps: int, rng: np.random.Generator) -> Array:
    """Return chi-square numbers (T,), zeros without a degree of freedom, which numpy does not allow."""
    return np.zeros(steps) if degrees == 0 else np.asarray(rng.chisquare(degrees, steps))


def _checked(pairs: CurvaturePairs) -> tuple[Array, Array]:
    along = np.ascontiguousarray(pairs.along, dtype=np.float64)
    across = np.ascontiguousarray(pairs.across, dtype=np.float64)
    if along.ndim != 1 or along.size == 0 or across.shape != along.shape:
        raise ValueError(f"along.shape={along.shape}, across.shape={across.shape}: must both be (T,), T > 0")
    if not (np.isfinite(along).all() and np.isfinite(across).all() and across.min() >= 0.0):
        raise ValueError(f"along, across: must be finite and across not negative; smallest across={across.min():.3g}")
    return along, across


def _checked_rate(rate: float) -> float:
    if not (np.isfinite(rate) and rate >= 0.0):
        raise ValueError(f"rate={rate!r}: must be a finite learning rate, zero or more")
    return float(rate)
