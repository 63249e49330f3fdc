r"""Right-hand sides of the theory of gradient descent on the population loss, every constant explicit.

Notation: ``lam = lambda_min(S S^T)``, ``d = ||Sigma - S S^T||``, ``c = ||S E^T||``, ``e = ||E E^T||``, a plus for the
next iterate, ``P = S S^T``, ``D = Sigma - P``, ``M = U^T U = S^T S + E^T E``. The iteration is ``S+ = (I + eta D) S -
eta S E^T E``, ``E+ = E (I - eta M)``.

The paper asks for a step "eta <= const / sigma_1" and leaves the constant open. All proofs sketched here [re-derived]
hold for ``eta sigma_1 <= 1/10``. They use one device twice: ``||A^T D A - B^T D B|| <= ||D|| ||A^T A + B^T B||``.

Source: Ma and Fattahi, JMLR 24(96), 2023, Propositions 16 and 17, Theorem 18.
"""

from dataclasses import dataclass
from math import ceil, log, log1p, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.low_rank_start import checked_scale
from theorylab.algorithms.population_gradient import PopulationRun

Array = npt.NDArray[np.float64]

LARGEST_STEP = 0.1  # of eta sigma_1, in every re-derived proof of this file
# Proposition 17: ||P|| <= 1.01 sigma_1 persists. [re-derived] P+ <= P + eta (Sigma^2 - P^2).
SIGNAL_NORM_FACTOR = 1.01


def growth_bound(smallest_signal: Array, residual: Array, step: float, sigma_r: float) -> Array:
    r"""Proposition 16 as printed: a lower bound of ``lam+``, shape of the inputs.

    ``lam+ >= ((1 + eta sigma_r)^2 - 2 eta e) lam - 2 eta (1 + eta sigma_r) lam^2``.

    [re-derived, with 3.1 for the first 2] if P commutes with Sigma: then ``S+ = W S (I - X)`` with ``W = I + eta D``
    and ``X = eta S^+ W^{-1} S E^T E``, where ``S^+ W^{-1} S`` is symmetric and ``||X|| <= 1.25 eta e``; use ``(1-x)^2
    >= 1 - 2x`` and ``(1 + eta sigma_r)^2 <= 1.21``. Without commutation ``S^+ W^{-1} S`` is only similar to a small
    matrix and the statement is false in general, for every step size and every constant: see
    `conditioned_growth_bound`, which holds always. Runs that start as Theorem 18 asks stay close to commuting, and
    there the printed bound is a per-step fact to be measured.
    """
    growth = 1.0 + step * sigma_r
    return np.asarray((growth**2 - 2.0 * step * residual) * smallest_signal - 2.0 * step * growth * smallest_signal**2)


def conditioned_growth_bound(
    smallest_signal: Array, residual: Array, signal_norm: Array, step: float, sigma_r: float
) -> Array:
    r"""The growth bound that holds for every iterate [re-derived]: a lower bound of ``lam+``, shape of the inputs.

    ``lam+ >= (1 - 1.25 eta e sqrt(||P|| / lam))_+^2 (1 + eta sigma_r - eta lam)^2 lam`` for ``eta sigma_1 <= 1/10`` and
    ``||P|| <= 2 sigma_1``.

    Sketch. ``S+ = W S (I - X)`` as in `growth_bound`, now with ``||S^+ W^{-1} S|| <= ||W^{-1}|| sqrt(||P|| / lam)`` and
    ``W >= 0.8 I``. It remains that ``W P W >= g I`` for ``g = lam (1 + eta sigma_r - eta lam)^2``, that is ``W^2 >= g
    P^{-1}``. Put ``W = W_0 + eta Z``, ``W_0 = (1 + eta sigma_r) I - eta P``, ``Z = Sigma - sigma_r I >= 0``. ``W_0``
    commutes with P and ``W_0^2 - g P^{-1} >= 0.32 (P - lam) P^{-1}``; by Young ``W_0 Z + Z W_0 + 0.1 eta (P - lam)^2 >=
    0`` (with ``Z^2 <= sigma_1 Z``), and ``0.32 (p - lam)/p >= 0.1 eta^2 (p - lam)^2`` pays for it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        tilt = 1.25 * step * residual * np.sqrt(signal_norm / smallest_signal)
        bound = np.maximum(1.0 - tilt, 0.0) ** 2 * (1.0 + step * (sigma_r - smallest_signal)) ** 2 * smallest_signal
    return np.asarray(np.where(smallest_signal > 0.0, bound, 0.0))


def signal_error_bound(smallest_signal: Array, signal_error: Array, cross: Array, step: float) -> Array:
    r"""Proposition 17: ``d+ <= (1 - eta lam) d + 5 eta c^2``, shape of the inputs.

    [re-derived] Without E, ``D+ = D - eta (DP + PD) - eta^2 DPD``. From above drop the last term and write the rest as
    ``(I - eta P) D (I - eta P) - eta^2 P D P``: factor ``1 - 2 eta lam (1 - eta lam)``. From below take ``DP = 0.9 DP +
    0.1 D(Sigma - D)``; the resulting ``-0.2 eta D^2`` absorbs ``eta^2 DPD``, and the same device with ``Q = 0.9 P + 0.1
    Sigma`` gives the factor ``1 - 1.6 eta lam``. E adds at most ``2.4 eta c^2``.
    """
    return np.asarray((1.0 - step * smallest_signal) * signal_error + 5.0 * step * cross**2)


def cross_bound(smallest_signal: Array, signal_error: Array, cross: Array, residual: Array, step: float) -> Array:
    r"""Proposition 17: ``c+ <= (1 - eta lam + 2 eta d + 2 eta e) c``, shape of the inputs.

    [re-derived] With ``C = S E^T``, ``N = E E^T``: ``C+ = (I + eta D)(C - eta P C - eta C N) - eta C N (I - eta N) +
    eta^2 C C^T C``, and ``||C||^2 <= ||P|| e``: the factor is even at most ``1 - eta lam + eta d + 1.3 eta e``.
    """
    return np.asarray((1.0 - step * (smallest_signal - 2.0 * signal_error - 2.0 * residual)) * cross)


def residual_step_bound(residual: Array, step: float) -> Array:
    r"""Proposition 17: ``e+ <= e - eta e^2``, shape of the input.

    [re-derived] for ``eta (||P|| + e) <= 1`` and ``eta e <= 1/2``: ``(I - eta M)^2 <= I - eta M <= I - eta E^T E``,
    hence ``E+ E+^T <= N - eta N^2``, and ``x - eta x^2`` increases up to ``x = 1/(2 eta)``.
    """
    return np.asarray(residual - step * residual**2)


def residual_bound(initial_residual: float, step: float, iterations: npt.ArrayLike) -> Array:
    r"""``||E_t E_t^T|| <= e0 / (1 + eta e0 t)`` with ``e0 = ||E_0 E_0^T||``, shape of ``iterations``.

    [re-derived] from `residual_step_bound`: ``1/e+ >= 1 / (e (1 - eta e)) >= 1/e + eta``. Sharp to a factor 2: once
    ``eta e0 t >> 1`` and the signal is learned, ``e+ = (1 - eta e)^2 e`` and ``e ~ 1 / (2 eta t)``.

    >>> residual_bound(1.0, 0.1, [0, 10, 90])
    array([1. , 0.5, 0.1])
    """
    return np.asarray(initial_residual / (1.0 + step * initial_residual * np.asarray(iterations, dtype=np.float64)))


def linear_horizon(alpha: float, step: float, sigma_1: float, sigma_r: float) -> int:
    r"""Theorem 18 (i) with explicit constants: for all ``t >= T``, ``||U_t U_t^T - X*|| <= 4 alpha^2``.

    Holds if ``||U_0 U_0^T - 2 alpha^2 X*|| <= alpha^2 sigma_r``, ``eta sigma_1 <= 1/10``, ``sigma_r <= 1``,
    ``alpha^2 <= min(0.005 sigma_r, 0.03 sigma_r / kappa)`` and ``lam+ >= ((1 + a)^2 - 3.1 eta e) lam - 2 eta (1 + a)
    lam^2`` along the run, ``a = eta sigma_r``. The last is weaker than Proposition 16; it is proved where ``alpha
    sqrt(kappa) <= 0.006``, by `conditioned_growth_bound`. Raises ValueError where one of the first four fails to hold
    for the given numbers.

    [re-derived] The residual never grows, ``e <= alpha^2 sigma_r``, so ``3.1 eta e <= 0.02 a``. Four phases:

    1. ``lam >= 0.9 sigma_r``: ``1/lam`` approaches its fixed point, at most ``1/(0.9445 sigma_r)``, by the factor
       ``(1 + 0.99 a)^{-2}`` a step, from ``1/(alpha^2 sigma_r)``; ``(log(1/alpha^2) + 3) / (2 log(1 + 0.99 a))`` steps.
    2. ``d <= 0.19 sigma_r``: d starts below ``1.01 sigma_1``, and ``c^2 <= ||P|| e <= 0.0303 sigma_r^2``;
       ``log(47 kappa) / (0.9 a)`` steps.
    3. ``c <= alpha^2``: from ``1.01 alpha sqrt(sigma_1)`` at rate ``(0.9 - 0.38 - 0.01) a > a/2``;
       ``2 log(1.01 sqrt(sigma_1) / alpha) / a`` steps.
    4. ``d <= alpha^2``: ``log(0.2 sigma_r / alpha^2) / (0.9 a)`` steps.

    Then ``||Delta|| <= d + 2c + e <= 4 alpha^2``, and every inequality used persists.

    >>> linear_horizon(1e-3, 0.05, 2.0, 1.0)
    839
    """
    if not 0.0 < step * sigma_1 <= LARGEST_STEP * (1.0 + 1e-12):
        raise ValueError(f"step={step!r}: step * sigma_1 must lie in (0, {LARGEST_STEP}]; use {LARGEST_STEP} / sigma_1")
    if not 0.0 < sigma_r <= min(1.0, sigma_1):
        raise ValueError(f"sigma_r={sigma_r!r}: must lie in (0, min(1, sigma_1)]; rescale the truth")
    kappa = sigma_1 / sigma_r
    largest = sqrt(min(0.005 * sigma_r, 0.03 * sigma_r / kappa))
    if not 0.0 < alpha <= largest:
        allowed = f"(0, {largest:.3g}] at sigma_r={sigma_r!r}, kappa={kappa:.3g}"
        raise ValueError(f"alpha={alpha!r}: must lie in {allowed}; take it smaller")
    a = step * sigma_r
    growth = (log(1.0 / alpha**2) + 3.0) / (2.0 * log1p(0.99 * a))
    signal = log(47.0 * kappa) / (0.9 * a)
    cross = 2.0 * log(1.01 * sqrt(sigma_1) / alpha) / a
    polish = log(0.2 * sigma_r / alpha**2) / (0.9 * a)
    return ceil(growth) + ceil(signal) + ceil(cross) + ceil(polish)


def leading_hitting_time(alpha: float, step: float, sigma_r: float) -> float:
    r"""Return ``2 log(1/alpha) / (eta sigma_r)``, the leading order in iterations of the first time the error is
    ``O(alpha^2)``.

    [re-derived, asymptotic] for ``alpha -> 0`` and a small step: the signal grows from ``alpha`` to order one like
    ``(1 + eta sigma_r)^t``; then the cross term, of order ``alpha``, contracts to ``alpha^2`` like ``exp(-eta sigma_r
    t)``.

    Raises ValueError unless all three are positive and alpha < 1.
    """
    if checked_scale("alpha", alpha) >= 1.0:
        raise ValueError(f"alpha={alpha!r}: must lie in (0, 1); the hitting time is the order for small alpha")
    return 2.0 * log(1.0 / alpha) / (checked_scale("step", step) * checked_scale("sigma_r", sigma_r))


@dataclass(frozen=True, slots=True)
class OneStepSlacks:
    """How far each one-step inequality is violated, ``left - right`` (positive = violated), float64 (n,), one entry a
    consecutive pair.

    Pairs of a run that diverged have infinite slacks.
    """

    growth: Array  # Proposition 16 as printed
    conditioned_growth: Array  # the corrected form
    signal_error: Array  # Proposition 17, first inequality
    cross: Array  # second
    residual: Array  # third
    signal_norm: Array  # ||S+ S+^T|| - 1.01 sigma_1


def one_step_slacks(run: PopulationRun) -> OneStepSlacks:
    """Return the slack of each one-step inequality for all pairs t, t+1 among the checkpoints of a run.

    Raises ValueError if there is no such pair.
    """
    before = np.flatnonzero(np.diff(run.checkpoints) == 1)
    if before.size == 0:
        raise ValueError(f"checkpoints={run.checkpoints}: must hold some t and t + 1; run with np.arange(T + 1)")
    lam, d, c = run.smallest_signal[before], run.signal_error[before], run.cross[before]
    e, norm = run.residual[before], run.signal_norm[before]
    eta, sigma_1, sigma_r = run.step, float(run.eigenvalues[0]), float(run.eigenvalues[-1])
    after = before + 1
    finite = np.isfinite(run.error[after])

    def slack(difference: Array) -> Array:
        return np.where(finite, difference, np.inf)

    with np.errstate(invalid="ignore", over="ignore"):
        return OneStepSlacks(
            growth=slack(growth_bound(lam, e, eta, sigma_r) - run.smallest_signal[after]),
            conditioned_growth=slack(conditioned_growth_bound(lam, e, norm, eta, sigma_r) - run.smallest_signal[after]),
            signal_error=slack(run.signal_error[after] - signal_error_bound(lam, d, c, eta)),
            cross=slack(run.cross[after] - cross_bound(lam, d, c, e, eta)),
            residual=slack(run.residual[after] - residual_step_bound(e, eta)),
            signal_norm=slack(run.signal_norm[after] - SIGNAL_NORM_FACTOR * sigma_1),
        )
