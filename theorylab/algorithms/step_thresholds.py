r"""Largest stable steps on quadratics: mean-square thresholds with momentum, and thresholds of Adam by bisection.

The model of the thresholds is ``g_t = (lambda I + epsilon_t) y_t`` with fresh, centred, isotropic noise,
``E ||epsilon_t v||^2 = s^2 ||v||^2`` and ``E epsilon_t = 0``. For Wigner noise of the batch Hessian
``s^2 = (P + 1) sigma^2 / b``; s = 0 is the deterministic case.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.operators import Array

Method = Literal["heavy ball", "averaged gradient", "nesterov", "adam"]
METHODS = ("heavy ball", "averaged gradient", "nesterov", "adam")
HEAVY_BALL, AVERAGED, NESTEROV, ADAM = range(4)


def heavy_ball_threshold(curvature: npt.ArrayLike, *, momentum: float = 0.0, noise: npt.ArrayLike = 0.0) -> Array:
    r"""Return the mean-square threshold of heavy ball, ``2(1-rho) / (s^2/lambda + lambda (1-rho)/(1+rho))``.

    Re-derived. ``curvature`` lambda > 0 and ``noise`` s^2 >= 0 broadcast; ``momentum`` rho in [0, 1), zero being plain
    SGD: ``2 / (lambda + s^2/lambda)``. Without noise it is the textbook ``2(1+rho)/lambda``; where noise dominates
    ``2(1-rho) lambda/s^2``. So "SGD without momentum takes rate/(1-rho)" (Appendix G) is right for small batches
    alone, where noise limits; for large ones momentum *raises* the threshold by 1 + rho. Raises ValueError otherwise.

    Proof: with ``A = 1 + rho - eta lambda``, ``a = E||w_t||^2``, ``b = E w_t'w_{t-1}``, ``c = E||w_{t-1}||^2``, a step
    is ``a' = (A^2 + eta^2 s^2) a - 2 rho A b + rho^2 c``, ``b' = A a - rho b``, ``c' = a``. The map preserves the cone
    of covariances, so its spectral radius is an eigenvalue and reaches 1 where it has a fixed point: ``b = A a/(1 +
    rho)`` leaves ``(1-rho)/(1+rho) ((1+rho)^2 - A^2) = eta^2 s^2``, linear in eta once divided by it.

    >>> float(heavy_ball_threshold(2.0)), float(heavy_ball_threshold(2.0, momentum=0.5))
    (1.0, 1.5)
    """
    lam, s2, rho = _model(curvature, noise, momentum)
    return np.asarray(2.0 * (1.0 - rho) / (s2 / lam + lam * (1.0 - rho) / (1.0 + rho)))


def nesterov_threshold(curvature: npt.ArrayLike, *, momentum: float, noise: npt.ArrayLike = 0.0) -> Array:
    r"""Return the mean-square threshold of Nesterov's method with constant momentum, by bisection [re-derived].

    Arguments and errors as `heavy_ball_threshold`; the gradient is taken at ``y = w_t + rho (w_t - w_{t-1})``. With
    ``A = 1 - eta lambda`` the fixed point of the second moments is where ``(A^2 + eta^2 s^2) ((1+rho)^2 + rho^2 -
    2 rho (1+rho)^2 A / (1 + rho A)) = 1``. Without noise that is ``(2 + 2 rho) / (lambda (1 + 2 rho))``.

    >>> float(nesterov_threshold(2.0, momentum=0.5).round(12))
    0.75
    """
    lam, s2, rho = _model(curvature, noise, momentum)
    high = (2.0 + 2.0 * rho) / (lam * (1.0 + 2.0 * rho))
    low = np.zeros_like(high)
    for _ in range(60):
        eta = 0.5 * (low + high)
        shrink = 1.0 - eta * lam
        growth = (1.0 + rho) ** 2 + rho**2 - 2.0 * rho * (1.0 + rho) ** 2 * shrink / (1.0 + rho * shrink)
        stable = (shrink**2 + eta**2 * s2) * growth < 1.0
        low, high = np.where(stable, eta, low), np.where(stable, high, eta)
    return np.asarray(low)


def largest_stable_step(
    eigenvalues: npt.ArrayLike,
    method: Method,
    *,
    steps: int,
    rng: np.random.Generator,
    momentum: float = 0.9,
    noise: float = 0.0,
    delta: float = 1e-8,
    second_momentum: float = 0.999,
    start: npt.ArrayLike | None = None,
    ceiling: float = 1.0,
    tolerance: float = 0.01,
) -> float:
    """Return the largest step whose mean loss over the last quarter is at most ``ceiling`` times that of the start.

    The loss is ``(1/2) sum_i lambda_i w_i^2`` with ``eigenvalues`` (d,) >= 0, gradients carry Gaussian noise of
    standard deviation ``noise`` a coordinate, drawn once: all steps see the same noise, so that bisection is on one
    fixed function. ``method``: "heavy ball"; "averaged gradient", ``m <- rho m + (1-rho) g``, which alone allows a
    step 1/(1-rho) times larger; "nesterov"; "adam" with ``momentum`` beta_1, ``second_momentum`` beta_2 and
    ``delta``, bias-corrected. Adam comes back from a burst and is quiet while it remembers it: give it several times
    ``1/(1-beta_2)`` steps. ``start`` (d,) is all ones if None. Relative ``tolerance`` of the bisection.

    Raises ValueError on wrong arguments and where no stable step is found within 2^60 of ``1/lambda_1``.

    >>> step = largest_stable_step([4.0, 1.0], "heavy ball", steps=400, momentum=0.5, rng=np.random.default_rng(0))
    >>> bool(abs(step / 0.75 - 1.0) < 0.02)
    True
    """
    spectrum = np.ascontiguousarray(eigenvalues, dtype=np.float64)
    if spectrum.ndim != 1 or not (np.isfinite(spectrum).all() and np.all(spectrum >= 0.0) and np.any(spectrum > 0.0)):
        raise ValueError(f"eigenvalues={eigenvalues!r}: must be (d,), finite, not negative and not all zero")
    if method not in METHODS:
        raise ValueError(f"method={method!r}: must be one of {', '.join(METHODS)}")
    first = np.ones(spectrum.size) if start is None else np.ascontiguousarray(start, dtype=np.float64)
    if first.shape != spectrum.shape or not np.isfinite(first).all():
        raise ValueError(f"start.shape={first.shape}: must be {spectrum.shape} and finite, as the eigenvalues")
    if not (np.isfinite(noise) and noise >= 0.0 and np.isfinite(delta) and delta >= 0.0):
        raise ValueError(f"noise={noise!r}, delta={delta!r}: must both be finite, zero or more")
    rates = (_checked_momentum("momentum", momentum), _checked_momentum("second_momentum", second_momentum), delta)
    allowed = ceiling * 0.5 * float(spectrum @ first**2)
    if not (allowed > 0.0 and 0.0 < tolerance < 1.0):
        raise ValueError(
            f"ceiling={ceiling!r}, tolerance={tolerance!r}: need a positive loss to compare with, and 0..1"
        )
    draws = noise * rng.standard_normal((checked_count("steps", steps), spectrum.size))
    kind = METHODS.index(method)

    def stable(eta: float) -> bool:
        return bool(late_loss(kind, spectrum, first, draws, eta, *rates) <= allowed)

    return bisected_threshold(stable, guess=1.0 / float(np.max(spectrum)), tolerance=tolerance)


def bisected_threshold(stable: Callable[[float], bool], *, guess: float, tolerance: float = 0.01) -> float:
    """Return the largest ``eta`` with ``stable(eta)``, to relative ``tolerance``, by doubling and geometric bisection.

    ``stable`` has to hold below the threshold and fail above, for the randomness it keeps fixed. Raises ValueError
    where 60 doublings or halvings of the positive ``guess`` find no change.

    >>> round(bisected_threshold(lambda eta: eta < 0.3, guess=1.0, tolerance=1e-6), 5)
    0.3
    """
    if not (np.isfinite(guess) and guess > 0.0):
        raise ValueError(f"guess={guess!r}: must be positive and finite")
    low = high = guess
    for _ in range(60):
        if not stable(high):
            break
        low, high = high, 2.0 * high
    for _ in range(60):
        if stable(low):
            break
        low, high = 0.5 * low, low
    if not stable(low) or stable(high):
        raise ValueError(f"guess={guess!r}: no change of stability within 2^60 of it; check the criterion")
    while high > low * (1.0 + tolerance):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


@njit(nogil=True, cache=True, error_model="numpy")
def late_loss(kind, eigenvalues, start, draws, eta, momentum, second_momentum, delta):  # type: ignore[no-untyped-def]
    """Return the mean loss over the last quarter of ``draws`` (T, d) under ``kind``; infinite once beyond 1e100."""
    horizon, d = draws.shape
    w, before = start.copy(), start.copy()
    first, second = np.zeros(d), np.zeros(d)
    power1, power2, late = 1.0, 1.0, 0.0
    begin = horizon - (horizon + 3) // 4
    for t in range(horizon):
        power1 *= momentum
        power2 *= second_momentum
        loss = 0.0
        for i in range(d):
            y = w[i] + momentum * (w[i] - before[i]) if kind == NESTEROV else w[i]
            g = eigenvalues[i] * y + draws[t, i]
            if kind == HEAVY_BALL:
                following = w[i] - eta * g + momentum * (w[i] - before[i])
            elif kind == NESTEROV:
                following = y - eta * g
            else:
                first[i] = momentum * first[i] + (1.0 - momentum) * g
                if kind == AVERAGED:
                    following = w[i] - eta * first[i]
                else:
                    second[i] = second_momentum * second[i] + (1.0 - second_momentum) * g * g
                    root = np.sqrt(second[i] / (1.0 - power2)) + delta
                    # Both moments vanish at a minimum with delta = 0: the step there is none.
                    following = w[i] - eta * first[i] / (1.0 - power1) / root if root > 0.0 else w[i]
            before[i] = w[i]
            w[i] = following
            loss += 0.5 * eigenvalues[i] * following * following
        if not loss < 1e100:
            return np.inf
        if t >= begin:
            late += loss
    return late / (horizon - begin)


def _model(curvature: npt.ArrayLike, noise: npt.ArrayLike, momentum: float) -> tuple[Array, Array, float]:
    lam, s2 = np.asarray(curvature, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if not (np.isfinite(lam).all() and np.all(lam > 0.0)):
        raise ValueError(f"curvature={curvature!r}: must be positive and finite")
    if not (np.isfinite(s2).all() and np.all(s2 >= 0.0)):
        raise ValueError(f"noise={noise!r}: must be finite and not negative, the variance E||epsilon v||^2")
    return lam, s2, _checked_momentum("momentum", momentum)


def _checked_momentum(name: str, value: float) -> float:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}={value!r}: must be in [0, 1)")
    return float(value)
