"""Judges of rates: slopes on log-log axes and contraction factors, against a number or the bound's own slope."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from theorylab.intervals import CONFIDENCE
from theorylab.measurements import Measurements
from theorylab.pointwise import slack_curve
from theorylab.rates import (
    RateFit,
    above_floor,
    detectable,
    fit_rate,
    judge_slope,
    replicates_to_decide,
)
from theorylab.sketch import curve, sketch
from theorylab.verdicts import FAMILY_LEVEL, Evidence, Mode, Slack

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateAtMost:
    """Upheld when the slope of log E[measured] exceeds that of the bound by less than the margin.

    ``rate`` is an exponent of the sweep's value, or the name of a returned bound whose own slope on the same grid is
    used. ``against`` names a returned quantity to fit against instead of the sweep's value; ``floor`` (number or name)
    is the level below which the measurement means nothing; ``typical`` judges the slopes of single runs.
    """

    measured: str
    rate: str | float
    margin: float = 0.05
    against: str | None = None
    floor: str | float | None = None
    typical: bool = False
    name: str = field(default="rate at most", init=False)
    mode: Mode = field(default=Mode.ASYMPTOTIC, init=False)
    least_replicates: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def examine(self, data: Measurements) -> Evidence:
        """Test the slope against the margin."""
        return _Rate(self.measured, self.rate, -math.inf, self.margin, self.against, self.floor, self.typical).examine(
            self.name, self.mode, data
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateAtLeast:
    """Upheld when the slope falls below that of the stated rate by less than the margin (lower bounds)."""

    measured: str
    rate: str | float
    margin: float = 0.05
    against: str | None = None
    floor: str | float | None = None
    typical: bool = False
    name: str = field(default="rate at least", init=False)
    mode: Mode = field(default=Mode.ASYMPTOTIC, init=False)
    least_replicates: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def examine(self, data: Measurements) -> Evidence:
        """Test the slope against the margin."""
        return _Rate(self.measured, self.rate, -self.margin, math.inf, self.against, self.floor, self.typical).examine(
            self.name, self.mode, data
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateExactly:
    """Upheld when two one-sided tests put the slope within the margin of the stated rate, violated when outside.

    ``margin`` is one number or (below, above).
    """

    measured: str
    rate: str | float
    margin: float | tuple[float, float] = 0.05
    against: str | None = None
    floor: str | float | None = None
    typical: bool = False
    name: str = field(default="rate exactly", init=False)
    mode: Mode = field(default=Mode.ASYMPTOTIC, init=False)
    least_replicates: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        for part in self.margin if isinstance(self.margin, tuple) else (self.margin,):
            _check_margin(part)

    def examine(self, data: Measurements) -> Evidence:
        """Test the slope from both sides."""
        below, above = self.margin if isinstance(self.margin, tuple) else (self.margin, self.margin)
        return _Rate(self.measured, self.rate, -below, above, self.against, self.floor, self.typical).examine(
            self.name, self.mode, data
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConvergence:
    """Upheld when the contraction factor per step of E[measured] lies in the stated range, above the floor.

    The sweep is the iteration. Give ``factor_at_most``, or ``factor_between=(low, high)``.
    """

    measured: str
    factor_at_most: float | None = None
    factor_between: tuple[float, float] | None = None
    floor: str | float | None = None
    typical: bool = False
    name: str = field(default="linear convergence", init=False)
    mode: Mode = field(default=Mode.ASYMPTOTIC, init=False)
    least_replicates: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        if (self.factor_at_most is None) == (self.factor_between is None):
            raise ValueError("give exactly one of factor_at_most= and factor_between=")
        for factor in self.factor_between or (self.factor_at_most,):
            if factor is None or not 0 < factor <= 1:
                raise ValueError(f"factor={factor!r} must lie in (0, 1]")

    def examine(self, data: Measurements) -> Evidence:
        """Test the slope of the log error per step."""
        if self.factor_between is not None:
            low, high = (math.log(factor) for factor in self.factor_between)
        else:
            assert self.factor_at_most is not None
            low, high = -math.inf, math.log(self.factor_at_most)
        return _Rate(self.measured, 0.0, low, high, None, self.floor, self.typical, per_step=True).examine(
            self.name, self.mode, data
        )


def _check_margin(margin: float) -> None:
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin={margin!r} must be a positive number fixed before the run, e.g. 0.05")


@dataclass(frozen=True, slots=True)
class _Rate:
    """The test that all rate judges share: slope minus stated slope inside [low, high]."""

    measured: str
    rate: str | float
    low: float
    high: float
    against: str | None
    floor: str | float | None
    typical: bool
    per_step: bool = False

    def examine(self, judge: str, mode: Mode, data: Measurements) -> Evidence:
        measured, x = data.quantity(self.measured), data.positions(self.against)
        if x.size < 3:
            raise ValueError(f"points={data.points!r} are too few for a rate; a slope and its bend need at least 3")
        if not self.per_step and not (x > 0).all():
            raise ValueError(f"{self.against or 'sweep'} values {x.tolist()} must be positive for a log-log slope")
        bound = data.quantity(self.rate) if isinstance(self.rate, str) else None
        drawing = self._sketch(data, x, measured)
        slack = () if bound is None else slack_curve(data.points, measured, bound)
        if not np.isfinite(measured).all():
            return self._diverged(judge, mode, data, measured, drawing)
        keep = above_floor(measured, None if self.floor is None else data.bound(self.floor)) & (measured > 0).all(1)
        if keep.sum() < 3:
            return self._undecided(judge, mode, int(keep.sum()), drawing)
        position = x[keep] if self.per_step else np.log(x[keep])
        if float(np.ptp(position)) == 0.0:
            raise ValueError(f"{self.against or 'sweep'} values {x.tolist()} do not vary; a slope needs a range")
        fit = fit_rate(position, measured[keep], None if bound is None else bound[keep], typical=self.typical)
        shift = 0.0 if bound is not None or self.per_step else float(self.rate)
        low, high = self.low + shift, self.high + shift
        upheld, violated, bend = judge_slope(fit, low, high, self._margin(), floor_declared=self.floor is not None)
        return self._evidence(judge, mode, data, fit, (low, high), (upheld, violated), bend, keep, drawing, slack)

    def _margin(self) -> tuple[float, float]:
        """What the limits allow beyond the stated rate; a contraction factor states the limits themselves."""
        return (0.0, 0.0) if self.per_step else (abs(self.low), abs(self.high))

    def _evidence(
        self,
        judge: str,
        mode: Mode,
        data: Measurements,
        fit: RateFit,
        allowed: tuple[float, float],
        p_values: tuple[float, float],
        bend: str,
        keep: NDArray[np.bool_],
        drawing: dict[str, object],
        slack: tuple[Slack, ...],
    ) -> Evidence:
        alpha = (1 - CONFIDENCE) / 2
        show = math.exp if self.per_step else float
        value, low, high = (show(v) for v in (fit.slope.value, fit.slope.lower(alpha), fit.slope.upper(alpha)))
        smallest = detectable(fit.slope, FAMILY_LEVEL)
        more = replicates_to_decide(fit.slope, *allowed, data.replicates)
        left_out = f"; {int((~keep).sum())} points at the floor left out" if not keep.all() else ""
        what = "contraction factor per step" if self.per_step else "slope"
        stated = f" minus that of {self.rate}" if isinstance(self.rate, str) else ""
        limits = tuple(show(limit) for limit in allowed)
        decided = p_values[0] <= alpha or p_values[1] <= FAMILY_LEVEL
        return Evidence(
            judge=judge,
            mode=mode,
            sentence=f"{what} of {self.measured}{stated} = {value:.4g} [{low:.4g}, {high:.4g}], "
            f"allowed {_words(limits)}{left_out}" + (f"; {bend}" if bend else ""),
            estimate=value,
            interval=(low, high),
            allowed=(limits[0], limits[1]),
            p_upheld=p_values[0],
            p_violated=p_values[1],
            detectable=smallest,
            power=f"an exponent wrong by {smallest:.2g} beyond the margin would have been detected with 90 %",
            would_decide="" if decided else "a longer sweep" if bend else f"about {more} replicates",
            slack=slack,
            details=drawing | {"near_half": fit.near.value, "far_half": fit.far.value, "bent": fit.bent},
        )

    def _diverged(
        self, judge: str, mode: Mode, data: Measurements, measured: Array, drawing: dict[str, object]
    ) -> Evidence:
        count = int(np.sum(~np.isfinite(measured)))
        contradicts = math.isfinite(self.high)
        return Evidence(
            judge=judge,
            mode=mode,
            sentence=f"{count} of {measured.size} runs of {self.measured} diverged",
            estimate=math.inf,
            interval=(math.inf, math.inf),
            allowed=(self.low, self.high),
            p_upheld=1.0,
            p_violated=0.0 if contradicts else 1.0,
            detectable=math.nan,
            power="divergence needs no statistics",
            would_decide="" if contradicts else "a quantity that stays finite",
            statistical=False,
            details=drawing,
        )

    def _undecided(self, judge: str, mode: Mode, left: int, drawing: dict[str, object]) -> Evidence:
        return Evidence(
            judge=judge,
            mode=mode,
            sentence=f"only {left} points of {self.measured} lie above the floor; a rate needs 3",
            estimate=math.nan,
            interval=(-math.inf, math.inf),
            allowed=(self.low, self.high),
            p_upheld=1.0,
            p_violated=1.0,
            detectable=math.inf,
            power="no departure could have been detected",
            would_decide="a sweep that ends before the floor is reached",
            statistical=False,
            details=drawing,
        )

    def _sketch(self, data: Measurements, x: Array, measured: Array) -> dict[str, object]:
        if isinstance(self.rate, str):
            stated = [curve(data, self.rate, "bound")]
        else:
            stated = [_stated_line(x, measured, self.rate, self.low, self.high, self.per_step)]
        return sketch(data, self.measured, stated, against=self.against, log_x=not self.per_step, log_y=True)


def _stated_line(x: Array, measured: Array, rate: float, low: float, high: float, per_step: bool) -> dict[str, object]:
    """The stated slope, drawn through the first finite mean."""
    means = measured.mean(axis=1)
    usable = np.flatnonzero(np.isfinite(means) & (means > 0))
    start = int(usable[0]) if usable.size else 0
    if per_step:
        slope = high if not math.isfinite(low) else (low + high) / 2
        y, name = means[start] * np.exp(slope * (x - x[start])), f"factor {math.exp(slope):.4g} a step"
    else:
        y, name = means[start] * (x / x[start]) ** rate, f"slope {rate:g}"
    return {"name": name, "role": "bound", "y": y.tolist(), "low": y.tolist(), "high": y.tolist()}


def _words(limits: tuple[float, ...]) -> str:
    low, high = limits
    if not math.isfinite(low) or low == 0.0:
        return f"at most {high:.4g}"
    if not math.isfinite(high):
        return f"at least {low:.4g}"
    return f"[{low:.4g}, {high:.4g}]"
