"""Slopes with confidence intervals, and the guards that keep a bent curve from being taken for a straight one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theorylab.intervals import Estimate, inside_or_outside, log_mean_contrasts, student_estimate
from theorylab.verdicts import UPHELD_LEVEL

Array = NDArray[np.float64]

#: Points whose mean is within this factor of a declared floor are left out of a fit.
FLOOR_FACTOR = 10.0
#: Two-sided level at which the near and the far half of a curve are said to have different slopes.
BEND_LEVEL = 0.10
#: One-sided level at which a bend is limited from above.
AHEAD_LEVEL = 0.05
#: A bend below this share of the departure from the stated rate cannot reconcile the two.
BEND_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class RateFit:
    """Slope of log E[measured] - log E[bound] over the whole sweep, its near half and its far half.

    ``bend`` is far minus near; ``ahead`` is the slope after another sweep of the same length if the bend continued;
    ``decays`` says that the measured quantity itself falls over the sweep.
    """

    slope: Estimate
    near: Estimate
    far: Estimate
    bend: Estimate
    ahead: Estimate
    decays: bool

    @property
    def bent(self) -> bool:
        """Whether the halves differ beyond noise."""
        return min(self.bend.p_above(0.0), self.bend.p_below(0.0)) < BEND_LEVEL / 2 and self.bend.value != 0.0


def slope_weights(x: Array) -> Array:
    """Least-squares weights of a slope: ``weights @ y`` is the slope of y over x, both of shape (points,).

    >>> float(slope_weights(np.array([0.0, 1.0, 2.0])) @ np.array([1.0, 3.0, 5.0]))
    2.0
    """
    centred = x - x.mean()
    return np.asarray(centred / (centred @ centred))


def fit_rate(x: Array, values: Array, reference: Array | None = None, *, typical: bool = False) -> RateFit:
    """Fit slopes of the log mean over ``x`` with intervals from the seeds.

    Parameters
    ----------
    x
        Abscissae, shape (points,): the logarithm of the sweep for power laws, the step for linear convergence.
    values, reference
        Positive, shape (points, replicates). With ``reference`` the slope of their quotient is fitted.
    typical
        Average the slopes of single seeds instead: the slope of a typical run, not of the mean (E log <= log E).

    Raises ValueError for fewer than three points.
    """
    count = x.size
    if count < 3:
        raise ValueError(f"points={count} are too few for a rate; a slope and its bend need at least 3")
    half = (count + 1) // 2
    whole = slope_weights(x)
    near = np.concatenate([slope_weights(x[:half]), np.zeros(count - half)])
    far = np.concatenate([np.zeros(count - half), slope_weights(x[-half:])])

    contrasts = np.stack([whole, near, far, far - near, 3 * far - 2 * near])
    estimates: tuple[Estimate, ...] = log_mean_contrasts(contrasts, values, reference)
    if typical:
        logs = np.log(values) - (0.0 if reference is None else np.log(reference))
        estimates = tuple(student_estimate(weights @ logs) for weights in contrasts)
    decays = float(whole @ np.log(values.mean(axis=1))) < 0
    slope, near_slope, far_slope, bend, ahead = estimates
    return RateFit(slope, near_slope, far_slope, bend, ahead, decays)


def judge_slope(
    fit: RateFit, low: float, high: float, margin: tuple[float, float], *, floor_declared: bool
) -> tuple[float, float, str]:
    """Return p-values (upheld, violated) of "the slope lies in [low, high]", with the reason when a bend forbids one.

    The whole sweep and its far half have to agree, and a bend of the curve has to be excluded as the explanation:

    - upheld, two-sided: the trend carried on over another sweep of the same length stays inside, at its 95 % limit;
      one-sided: the same for the estimated trend, if the two halves differ at the 10 % level;
    - violated: the 95 % limit of a bend that would favour the claim is below a quarter of the departure from the
      stated rate. Such a bend goes towards the claim (a pre-asymptote, a logarithm), or flattens a decaying curve (a
      floor), unless the floor of the measurement was declared and its points left out.

    ``margin`` is what [low, high] allows below and above the stated rate.
    """
    upheld, violated = inside_or_outside(fit.slope, low, high)
    far_upheld, far_violated = inside_or_outside(fit.far, low, high)
    upheld, violated = max(upheld, far_upheld), max(violated, far_violated)
    halves = f"{fit.near.value:+.3g} on the near half, {fit.far.value:+.3g} on the far half"
    if math.isfinite(low) and math.isfinite(high):
        # Tested at 5 %, so its p-value is scaled to the common level of "upheld".
        ahead = inside_or_outside(fit.ahead, low, high)[0] * UPHELD_LEVEL / AHEAD_LEVEL
    else:
        ahead = 1.0 if fit.bent and not low <= fit.ahead.value <= high else 0.0
    is_above = fit.far.value > high
    steepens, flattens = -fit.bend.lower(AHEAD_LEVEL), fit.bend.upper(AHEAD_LEVEL)
    if is_above:
        favourable = max(steepens, flattens if fit.decays and not floor_declared else -math.inf)
        excess = fit.far.value - high + margin[1]
    else:
        favourable = flattens
        excess = low - fit.far.value + margin[0]
    if violated < 0.5 and favourable > BEND_SHARE * excess:
        return max(upheld, ahead), 1.0, f"a floor, a logarithm or a pre-asymptote could explain it: slope {halves}"
    if upheld < 0.5 and ahead > UPHELD_LEVEL:
        return max(upheld, ahead), violated, f"the slope may still change: {halves}"
    return max(upheld, ahead), violated, ""


def above_floor(values: Array, floor: Array | None) -> NDArray[np.bool_]:
    """Points whose mean is positive and above ten times the declared floor, shape (points,) of bool."""
    means = values.mean(axis=1)
    keep = means > 0
    if floor is not None:
        keep &= means > FLOOR_FACTOR * floor.mean(axis=1)
    return np.asarray(keep)


def detectable(estimate: Estimate, level: float) -> float:
    """Smallest departure that a test at the one-sided ``level`` detects with probability 90 %."""
    return (estimate.upper(level) - estimate.value) + (estimate.upper(0.1) - estimate.value)


def replicates_to_decide(estimate: Estimate, low: float, high: float, replicates: int) -> int:
    """Seeds after which an interval shrinking like 1 / sqrt(replicates) no longer contains a limit."""
    half_width = (estimate.upper(0.025) - estimate.lower(0.025)) / 2
    distance = min(abs(estimate.value - limit) for limit in (low, high) if math.isfinite(limit))
    if distance == 0 or not math.isfinite(half_width):
        return 1000 * replicates
    return int(min(1000 * replicates, max(replicates + 1, math.ceil(replicates * (half_width / distance) ** 2))))
