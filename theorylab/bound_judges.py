"""Judges of values: for every run, in expectation, with probability, equal to a closed form, ordered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from theorylab.intervals import CONFIDENCE, failure_interval
from theorylab.measurements import Measurements
from theorylab.pointwise import PointTest, difference, mean_of, pointwise_evidence, quotient, slack_curve
from theorylab.sketch import curve, sketch
from theorylab.verdicts import FAMILY_LEVEL, UPHELD_LEVEL, Evidence, Mode

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryRun:
    """Upheld when measured <= at_most (and >= at_least) in all cells, violated when one cell exceeds it.

    Bounds are numbers or names of returned quantities. ``rounding`` is relative to the bound, ``absolute`` is added:
    both stand for rounding errors and nothing else.
    """

    measured: str
    at_most: str | float | None = None
    at_least: str | float | None = None
    rounding: float = 1e-9
    absolute: float = 0.0
    name: str = field(default="for every run", init=False)
    mode: Mode = field(default=Mode.EVERY_RUN, init=False)
    least_replicates: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        _need_a_limit(self.at_most, self.at_least)

    def examine(self, data: Measurements) -> Evidence:
        """Compare every cell with its bound; the worst cell is the counterexample, if there is one."""
        measured = data.quantity(self.measured)
        excess = np.full(measured.shape, -np.inf)
        limit = np.full(measured.shape, math.nan)
        for bound_name, sign in ((self.at_most, 1.0), (self.at_least, -1.0)):
            if bound_name is None:
                continue
            bound = data.bound(bound_name)
            with np.errstate(invalid="ignore"):
                beyond = sign * (measured - bound) - self.rounding * np.abs(bound) - self.absolute
            # inf - inf: a diverged run contradicts whatever bound it is held against.
            beyond = np.where(np.isnan(beyond), np.inf, beyond)
            limit = np.where(beyond > excess, bound, limit)
            excess = np.maximum(beyond, excess)
        row, column = np.unravel_index(int(np.argmax(excess)), excess.shape)
        worst, count, broken = float(excess[row, column]), measured.size, int(np.sum(excess > 0))
        value, allowed = float(measured[row, column]), float(limit[row, column])
        at = f"at {data.points[row]!r}, replicate {column}"
        where = f"{self.measured}={value:.6g} against {allowed:.6g} {at}"
        said = (
            f"{broken} of {count} cells exceed the bound, the worst with {where}"
            if broken
            else (f"all {count} cells satisfy the bound; closest: {where}")
        )
        seen = 1 - 0.1 ** (1 / count)
        details = self._sketch(data) | {"worst_excess": worst, "cells": count, "cells_beyond": broken}
        if broken:
            details["counterexample"] = {"point": data.points[row], "replicate": int(column)}
        return Evidence(
            judge=self.name,
            mode=self.mode,
            sentence=said,
            estimate=value,
            interval=(value, value),
            allowed=_range(self.at_least is not None, self.at_most is not None, allowed),
            p_upheld=1.0 if broken else 0.0,
            p_violated=0.0 if broken else 1.0,
            statistical=False,
            detectable=seen,
            power=f"a violation in at least {seen:.2g} of all cells would have been seen with 90 %",
            would_decide="more cells can only find a violation" if not broken else "",
            slack=slack_curve(data.points, measured, data.bound(self.at_most)) if self.at_most is not None else (),
            details=details,
        )

    def _sketch(self, data: Measurements) -> dict[str, object]:
        limits = [limit for limit in (self.at_most, self.at_least) if limit is not None]
        drawn = [curve(data, limit, "bound", extremes=True) for limit in limits]
        return sketch(data, self.measured, drawn, extremes=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class InExpectation:
    """Upheld when the upper limit of E[measured] / E[bound] is below 1 at every point, violated when a lower exceeds 1.

    Limits hold simultaneously over the points (Bonferroni). The quotient is used where measured and bound are
    positive, the difference elsewhere; both state E[measured - bound] <= 0. ``at_least`` states the reverse.
    """

    measured: str
    at_most: str | float | None = None
    at_least: str | float | None = None
    name: str = field(default="in expectation", init=False)
    mode: Mode = field(default=Mode.EXPECTATION, init=False)
    least_replicates: int = field(default=2, init=False)

    def __post_init__(self) -> None:
        _need_a_limit(self.at_most, self.at_least, only_one=True)

    def examine(self, data: Measurements) -> Evidence:
        """Test the mean against the bound at every point."""
        upper = self.at_most is not None
        bound_name = self.at_most if self.at_most is not None else self.at_least
        assert bound_name is not None
        measured, bound = data.quantity(self.measured), data.bound(bound_name)
        word = "at most" if upper else "at least"
        low, high = (-math.inf, 1.0) if upper else (1.0, math.inf)
        tests = [PointTest.of(quotient(m, b), low, high) for m, b in zip(measured, bound, strict=True)]
        return pointwise_evidence(
            self.name,
            self.mode,
            data,
            self.measured,
            tests,
            f"{word} {_called(bound_name)}",
            slack=slack_curve(data.points, measured, bound, alpha=(1 - CONFIDENCE) / len(tests)),
            details=sketch(data, self.measured, [curve(data, bound_name, "bound")]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Equals:
    """Upheld when the simultaneous interval of the mean lies within the tolerance at every point, violated if outside.

    Give ``to`` (a closed form: number or name) with ``relative`` or ``absolute``, or ``between=(low, high)`` for a
    window of the mean itself.
    """

    measured: str
    to: str | float | None = None
    relative: float | None = None
    absolute: float | None = None
    between: tuple[float, float] | None = None
    name: str = field(default="equal to a closed form", init=False)
    mode: Mode = field(default=Mode.EXPECTATION, init=False)
    least_replicates: int = field(default=2, init=False)

    def __post_init__(self) -> None:
        chosen = [option is not None for option in (self.relative, self.absolute, self.between)]
        if sum(chosen) != 1 or (self.to is None) != (self.between is not None):
            raise ValueError(
                f"to={self.to!r}, relative={self.relative!r}, absolute={self.absolute!r}, between={self.between!r}: "
                "give to= with one of relative= and absolute=, or between= alone"
            )
        tolerance = self.relative if self.relative is not None else self.absolute
        if tolerance is not None and not tolerance > 0:
            raise ValueError(f"tolerance={tolerance!r} must be positive; rounding alone needs EveryRun")
        if self.between is not None and not self.between[0] < self.between[1]:
            raise ValueError(f"between={self.between!r} must be (low, high) with low < high")

    def examine(self, data: Measurements) -> Evidence:
        """Test the mean against the closed form at every point."""
        measured = data.quantity(self.measured)
        if self.between is not None:
            low, high = self.between
            text, limits = f"within [{low:.6g}, {high:.6g}]", [curve(data, low, "limit"), curve(data, high, "limit")]
            tests = [PointTest.of(mean_of(row), low, high) for row in measured]
        else:
            assert self.to is not None
            target = data.bound(self.to)
            limits = [curve(data, self.to, "bound")]
            if self.relative is not None:
                low, high = 1 - self.relative, 1 + self.relative
                text = f"equal to {_called(self.to)} within {self.relative:.3g} of it"
                tests = [PointTest.of(quotient(m, t), low, high) for m, t in zip(measured, target, strict=True)]
            else:
                assert self.absolute is not None
                low, high = -self.absolute, self.absolute
                text = f"equal to {_called(self.to)} within {self.absolute:.3g}"
                tests = [PointTest.of(difference(m, t), low, high) for m, t in zip(measured, target, strict=True)]
        return pointwise_evidence(
            self.name, self.mode, data, self.measured, tests, text, details=sketch(data, self.measured, limits)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Upheld when E[smaller] < factor * E[larger] beyond noise at every point, arms paired by seed.

    ``factor`` below 1 asks for a gap: 0.1 states that ``smaller`` is less than a tenth of ``larger``.
    """

    smaller: str
    larger: str
    factor: float = 1.0
    name: str = field(default="ordered", init=False)
    mode: Mode = field(default=Mode.EXPECTATION, init=False)
    least_replicates: int = field(default=2, init=False)

    def examine(self, data: Measurements) -> Evidence:
        """Test the paired quotient (the difference, if values are not positive) at every point."""
        smaller, larger = data.quantity(self.smaller), self.factor * data.quantity(self.larger)
        tests = [PointTest.of(quotient(s, b), -math.inf, 1.0) for s, b in zip(smaller, larger, strict=True)]
        scaled = f"{self.factor:.3g} * " if self.factor != 1.0 else ""
        details = sketch(data, self.smaller, [curve(data, self.larger, "larger")])
        return pointwise_evidence(
            self.name, self.mode, data, self.smaller, tests, f"below {scaled}{self.larger}", details=details
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WithProbability:
    """Upheld when the upper Clopper-Pearson limit of the failure rate is at most delta at every point.

    A failure is a run with measured > at_most (or < at_least). Zero failures uphold the claim from about 3.7 / delta
    replicates on, and fewer are refused when the claim is defined.
    """

    measured: str
    delta: float
    at_most: str | float | None = None
    at_least: str | float | None = None
    name: str = field(default="with probability at least 1 - delta", init=False)
    mode: Mode = field(default=Mode.PROBABILITY, init=False)

    def __post_init__(self) -> None:
        _need_a_limit(self.at_most, self.at_least, only_one=True)
        if not 0 < self.delta < 1:
            raise ValueError(f"delta={self.delta!r} must lie strictly between 0 and 1")

    @property
    def least_replicates(self) -> int:
        """Replicates at which no failure at all just upholds the claim."""
        return math.ceil(math.log(UPHELD_LEVEL) / math.log1p(-self.delta))

    def examine(self, data: Measurements) -> Evidence:
        """Count failures at every point and compare their rate with delta."""
        measured, runs = data.quantity(self.measured), data.replicates
        bound_name = self.at_most if self.at_most is not None else self.at_least
        assert bound_name is not None
        bound = data.bound(bound_name)
        failed = measured > bound if self.at_most is not None else measured < bound
        counts = failed.sum(axis=1)
        alpha = (1 - CONFIDENCE) / len(counts)
        upheld = max(float(special.bdtr(k, runs, self.delta)) for k in counts)
        violated = min(1.0, len(counts) * min(_at_least(int(k), runs, self.delta) for k in counts))
        worst = int(np.argmax(counts))
        low, high = failure_interval(int(counts[worst]), runs, alpha)
        smallest = _smallest_detected_rate(runs, self.delta)
        said = (
            f"{self.measured} missed the bound in {counts[worst]} of {runs} runs at {data.points[worst]!r} "
            f"(failure rate {counts[worst] / runs:.3g}, interval [{low:.3g}, {high:.3g}]; allowed {self.delta:.3g})"
        )
        details = sketch(data, self.measured, [curve(data, bound_name, "bound")])
        return Evidence(
            judge=self.name,
            mode=self.mode,
            sentence=said,
            estimate=float(counts[worst]) / runs,
            interval=(low, high),
            allowed=(0.0, self.delta),
            p_upheld=upheld,
            p_violated=violated,
            detectable=smallest - self.delta,
            power=f"a failure rate of {smallest:.2g} would have been detected with 90 %",
            would_decide=f"about {math.ceil(3.7 / self.delta)} runs without a failure uphold it",
            slack=slack_curve(data.points, measured, bound, alpha) if self.at_most is not None else (),
            details=details | {"failures": counts.tolist(), "runs": runs},
        )


def _need_a_limit(at_most: str | float | None, at_least: str | float | None, *, only_one: bool = False) -> None:
    given = (at_most is not None) + (at_least is not None)
    if given == 0 or (only_one and given == 2):
        need = "exactly one" if only_one else "at least one"
        raise ValueError(f"at_most={at_most!r}, at_least={at_least!r}: give {need} of them")


def _called(bound: str | float) -> str:
    return bound if isinstance(bound, str) else f"{bound:.6g}"


def _range(has_low: bool, has_high: bool, limit: float) -> tuple[float, float]:
    return (limit if has_low and not has_high else -math.inf, limit if has_high else math.inf)


def _smallest_detected_rate(runs: int, delta: float) -> float:
    """Smallest failure rate that the binomial test at the family level detects with probability 90 %."""
    critical = next((k for k in range(runs + 1) if _at_least(k, runs, delta) <= FAMILY_LEVEL), runs + 1)
    if critical > runs:
        return 1.0
    # P(at least `critical` failures) = 0.9 solves to a beta quantile.
    return float(special.betaincinv(critical, runs - critical + 1, 0.9))


def _at_least(failures: int, runs: int, probability: float) -> float:
    """Probability of at least so many failures."""
    return 1.0 if failures == 0 else float(special.bdtrc(failures - 1, runs, probability))
