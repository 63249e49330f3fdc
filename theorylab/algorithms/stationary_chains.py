r"""Stationary losses of SGD with momentum and of Adam on a noisy quadratic, and the rate that attains a given loss.

Coordinates are independent copies of ``h w^2/2`` with gradients ``h w + (s_g/sqrt(B)) xi_t``, ``xi_t`` standard normal.
At a fixed stationary loss heavy ball needs ``eta`` proportional to B, Adam to ``sqrt(B)`` (`stability_rules`): the
dynamic reading of the linear and the square-root rule of Granziol, Zohren and Roberts, JMLR 23, 2022.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.checks import checked_count, checked_deviation
from theorylab.algorithms.stability_rules import checked_curvature

Array = npt.NDArray[np.float64]

HEAVY_BALL, AVERAGED, ADAM = 0, 1, 2
METHODS = {"heavy ball": HEAVY_BALL, "averaged heavy ball": AVERAGED, "adam": ADAM}
LARGEST_LOSS = 1e100  # beyond it a chain counts as diverged
RELATIVE_PRECISION = 1e-6


@dataclass(frozen=True, slots=True)
class Method:
    """A method by ``name``, with ``momentum`` beta (Adam's beta_1), ``memory`` (its beta_2) and ``damping`` delta.

    - "heavy ball": ``m <- beta m + g``, ``w <- w - eta m``; momentum 0 is plain SGD;
    - "averaged heavy ball": ``m <- beta m + (1-beta) g`` as in Adam, so heavy ball of rate ``(1-beta) eta``;
    - "adam": the same m, ``v <- beta_2 v + (1-beta_2) g^2``, ``w <- w - eta m / (sqrt(v) + delta)``; corrections of
      bias are left out, as they vanish in the stationary state.

    Raises ValueError on another name, momentum or memory outside [0, 1), or a negative damping.
    """

    name: str
    momentum: float = 0.0
    memory: float = 0.999
    damping: float = 1e-8

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise ValueError(f"name={self.name!r}: must be one of {', '.join(METHODS)}")
        if not (0.0 <= self.momentum < 1.0 and 0.0 <= self.memory < 1.0):
            raise ValueError(f"momentum={self.momentum!r}, memory={self.memory!r}: must both be in [0, 1)")
        checked_deviation("damping", self.damping)


@njit(nogil=True, cache=True, error_model="numpy")
def mean_stationary_loss(
    kind: int,
    eta: float,
    beta: float,
    memory: float,
    damping: float,
    curvature: float,
    noise: Array,
    scale: float,
    spread: float,
) -> float:
    """Return the loss averaged over the second half of T steps and over all coordinates.

    ``noise`` (K, T+1) standard normal, one row a coordinate: the first number times ``spread`` is w at the start, the
    others times ``scale``, ``s_g/sqrt(B)``, are gradient noise. Adam's v starts at its stationary value without
    curvature, ``scale^2``. A loss beyond LARGEST_LOSS, or none, is infinity.
    """
    coordinates, steps = noise.shape[0], noise.shape[1] - 1
    own = 1.0 if kind == HEAVY_BALL else 1.0 - beta
    total = 0.0
    for k in range(coordinates):
        w, m, v = spread * noise[k, 0], 0.0, scale**2
        for t in range(steps):
            gradient = curvature * w + scale * noise[k, t + 1]
            m = beta * m + own * gradient
            if kind == ADAM:
                v = memory * v + (1.0 - memory) * gradient**2
                w -= eta * m / (np.sqrt(v) + damping)
            else:
                w -= eta * m
            if 2 * t >= steps:
                total += w * w
        if not total < LARGEST_LOSS:
            return np.inf
    return float(0.5 * curvature * total / (coordinates * (steps - (steps + 1) // 2)))


def simulated_loss(
    method: Method,
    rate: float,
    noise: npt.ArrayLike,
    *,
    deviation: float,
    batch: int,
    curvature: float = 1.0,
    spread: float = 0.0,
) -> float:
    """Return the stationary loss of ``method`` at learning ``rate`` eta, infinity if it diverges.

    ``noise`` (K, T+1) standard normal numbers, to be shared by the rates and batches that are compared: a start, of
    which ``spread`` is the standard deviation, and T steps for each of K coordinates, the first half discarded.
    ``deviation`` is s_g, ``batch`` B, ``curvature`` h. Raises ValueError on noise of another shape or fewer than two
    steps, entries that are not finite, a negative rate or spread, a curvature or s_g not positive, B < 1.

    >>> noise = np.random.default_rng(0).standard_normal((20, 4000))
    >>> seen = simulated_loss(Method("heavy ball"), 0.1, noise, deviation=1.0, batch=4)
    >>> from theorylab.algorithms.stability_rules import stationary_loss
    >>> abs(seen / stationary_loss(1.0, 4, 0.1, 1.0) - 1.0) < 0.05
    True
    """
    xi, scale = _checked_noise(noise), _checked_scale(deviation, batch)
    if not (np.isfinite(rate) and rate >= 0.0):
        raise ValueError(f"rate={rate!r}: must be a finite learning rate, zero or more")
    return _loss(method, rate, xi, scale, checked_curvature(curvature), checked_deviation("spread", spread))


def rate_for_loss(
    method: Method,
    target: float,
    noise: npt.ArrayLike,
    *,
    deviation: float,
    batch: int,
    curvature: float = 1.0,
) -> float:
    """Return the learning rate at which `simulated_loss` is ``target``, by bisection to a relative 1e-6.

    The same noise serves every rate. Coordinates start with the root mean square ``sqrt(2 target / h)``, exactly that
    of the target, which spares the slow chains of small batches their transient. The rates' scaling shows where the
    noise dominates the gradient, ``2 h target << s_g^2/B``, and where chains are long, ``4 B h target T >> s_g^2``.
    Raises ValueError as `simulated_loss`, and on a target that is not positive.
    """
    if not (np.isfinite(target) and target > 0.0):
        raise ValueError(f"target={target!r}: must be positive and finite")
    xi, scale, h = _checked_noise(noise), _checked_scale(deviation, batch), checked_curvature(curvature)
    size = sqrt(float(np.mean(xi[:, 0] ** 2)))
    spread = sqrt(2.0 * target / h) / size if size > 0.0 else 0.0
    # Half the rate that stability_rules gives to first order: the loss there is still below the target.
    upper = 0.5 * (1.0 - method.momentum if method.name == "heavy ball" else 1.0) * 4.0 * target / scale
    upper = upper if method.name == "adam" else upper / (scale + 2.0 * target * h / scale)
    lower = 0.0
    while _loss(method, upper, xi, scale, h, spread) < target:
        lower, upper = upper, 2.0 * upper
    while upper - lower > RELATIVE_PRECISION * upper:
        middle = 0.5 * (lower + upper)
        if _loss(method, middle, xi, scale, h, spread) < target:
            lower = middle
        else:
            upper = middle
    return 0.5 * (lower + upper)


def _loss(method: Method, rate: float, noise: Array, scale: float, curvature: float, spread: float) -> float:
    choices = (rate, method.momentum, method.memory, method.damping)
    return float(mean_stationary_loss(METHODS[method.name], *choices, curvature, noise, scale, spread))


def _checked_noise(noise: npt.ArrayLike) -> Array:
    xi = np.ascontiguousarray(noise, dtype=np.float64)
    if xi.ndim != 2 or xi.shape[0] == 0 or xi.shape[1] < 3:
        raise ValueError(f"noise.shape={xi.shape}: must be (K, T+1), K of 1 or more and T of 2 or more")
    if not np.isfinite(xi).all():
        raise ValueError("noise: must be finite; look for NaN and infinity")
    if not np.any(xi[:, 1:]):
        raise ValueError("noise: must not be zero in all steps; draw it with rng.standard_normal")
    return xi


def _checked_scale(deviation: float, batch: int) -> float:
    if checked_deviation("deviation", deviation) == 0.0:
        raise ValueError("deviation=0.0: must be positive; without noise the stationary loss is zero")
    return deviation / sqrt(checked_count("batch", batch))
