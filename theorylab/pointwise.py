"""Tests of a mean at every sweep point, and the evidence they add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theorylab.intervals import (
    CONFIDENCE,
    Estimate,
    inside_or_outside,
    log_mean_contrasts,
    mean_estimate,
    student_estimate,
)
from theorylab.measurements import Measurements
from theorylab.rates import detectable, replicates_to_decide
from theorylab.verdicts import FAMILY_LEVEL, UPHELD_LEVEL, Evidence, Mode, Slack

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PointTest:
    """One sweep point: the estimate (None when a run diverged) and its two p-values."""

    estimate: Estimate | None
    upheld: float
    violated: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate | None, low: float, high: float) -> PointTest:
        """Test an estimate (None: a run diverged) against the allowed range [low, high]."""
        if estimate is None:
            # A diverged run has no finite mean: it satisfies "at least" and contradicts everything else.
            diverged = (0.0, 1.0) if math.isinf(high) else (1.0, 0.0)
            return cls(None, *diverged, low, high)
        return cls(estimate, *inside_or_outside(estimate, low, high), low, high)


def mean_of(sample: Array) -> Estimate | None:
    """Estimate a mean, or None when a run diverged."""
    return mean_estimate(sample) if np.isfinite(sample).all() else None


def difference(measured: Array, target: Array) -> Estimate | None:
    """Estimate E[measured - target] from paired samples, shape (replicates,); None when a run diverged."""
    gap = measured - target
    return student_estimate(gap) if np.isfinite(gap).all() else None


def quotient(measured: Array, bound: Array) -> Estimate | None:
    """Estimate E[measured] / E[bound] from paired samples, shape (replicates,); None when a run diverged.

    Where something is not positive the estimate is 1 + E[measured - bound] / E|bound|, so that 1 still separates.
    """
    if not (np.isfinite(measured).all() and np.isfinite(bound).all()):
        return None
    constant = float(np.ptp(bound)) <= 1e-12 * float(np.abs(bound).max())
    if (measured > 0).all() and constant and bound[0] > 0:
        return mean_estimate(measured / bound)
    if (measured > 0).all() and (bound > 0).all():
        return _Exponential(log_mean_contrasts(np.ones((1, 1)), measured[None, :], bound[None, :])[0])
    scale = float(np.abs(bound).mean()) or 1.0
    return student_estimate(1.0 + (measured - bound) / scale)


def slack_curve(points: tuple[object, ...], measured: Array, bound: Array, alpha: float = 0.05) -> tuple[Slack, ...]:
    """Bound / measured with its interval at every point; empty where a number is not positive or not finite."""
    slack = []
    for point, m, b in zip(points, measured, bound, strict=True):
        if not ((m > 0).all() and (b > 0).all() and np.isfinite(m).all() and np.isfinite(b).all()):
            continue
        estimate = quotient(m, b) if m.size > 1 else None
        if estimate is None:
            slack.append(Slack(point, float(b.mean() / m.mean()), math.nan, math.nan))
            continue
        upper, lower = estimate.upper(alpha / 2), estimate.lower(alpha / 2)
        slack.append(Slack(point, 1 / estimate.value, 1 / upper, 1 / lower if lower > 0 else math.inf))
    return tuple(slack)


@dataclass(frozen=True, slots=True)
class _Exponential:
    """The exponential of an estimate: a quotient from the estimate of its logarithm."""

    log: Estimate

    @property
    def value(self) -> float:
        return math.exp(self.log.value)

    def lower(self, alpha: float) -> float:
        return math.exp(max(self.log.lower(alpha), -700.0))

    def upper(self, alpha: float) -> float:
        return math.exp(min(self.log.upper(alpha), 700.0))

    def p_below(self, limit: float) -> float:
        return self.log.p_below(math.log(limit)) if limit > 0 else 1.0

    def p_above(self, limit: float) -> float:
        return self.log.p_above(math.log(limit)) if limit > 0 else 0.0


def pointwise_evidence(
    judge: str,
    mode: Mode,
    data: Measurements,
    measured: str,
    tests: Sequence[PointTest],
    text: str,
    details: Mapping[str, object],
    slack: tuple[Slack, ...] = (),
) -> Evidence:
    """Join the tests of all points: all must uphold the statement, any may violate it (Bonferroni over the points)."""
    count = len(tests)
    alpha = (1 - CONFIDENCE) / 2 / count
    level = FAMILY_LEVEL / count
    upheld = min(1.0, count * max(test.upheld for test in tests))
    violated = min(1.0, count * min(test.violated for test in tests))
    worst = max(range(count), key=lambda i: (tests[i].upheld, -tests[i].violated))
    low, high, point = tests[worst].low, tests[worst].high, data.points[worst]
    estimate = tests[worst].estimate
    if estimate is None:
        diverged = int(np.sum(~np.isfinite(data.quantity(measured)[worst])))
        value, interval, smallest = math.inf, (math.inf, math.inf), math.nan
        said = f"{measured} should be {text}: {diverged} of {data.replicates} runs diverged at {point!r}"
        decide = "a diverged run has no mean: a smaller step or a truncated quantity"
    else:
        value, interval = estimate.value, (estimate.lower(alpha), estimate.upper(alpha))
        smallest = detectable(estimate, level)
        is_ratio = (low, high) in ((-math.inf, 1.0), (1.0, math.inf)) or "of it" in text
        what = "measured / stated" if is_ratio else "estimate"
        said = (
            f"{measured} should be {text}; worst at {point!r}: {what} = {value:.4g} "
            f"[{interval[0]:.4g}, {interval[1]:.4g}]"
        )
        more = replicates_to_decide(estimate, low, high, data.replicates)
        decide = f"about {more} replicates" if upheld > UPHELD_LEVEL and violated > FAMILY_LEVEL else ""
    return Evidence(
        judge=judge,
        mode=mode,
        sentence=said,
        estimate=value,
        interval=interval,
        allowed=(low, high),
        p_upheld=upheld,
        p_violated=violated,
        detectable=smallest,
        power=f"a departure of {smallest:.2g} from the limit would have been detected with 90 %",
        would_decide=decide,
        slack=slack,
        details=details,
    )
