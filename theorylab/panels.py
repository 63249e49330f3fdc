"""The axes of a figure: curves with bands, single runs, categories, diverged runs, ticks that people can read."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from theorylab.results import ArmResult, ClaimResult, readable_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

# Okabe and Ito's colours; every role has a line style and a marker of its own too.
_ROLES: dict[str, tuple[tuple[str, Any, str], ...]] = {
    "measured": (("#0072B2", "-", "o"), ("#CC79A7", "-", "v"), ("#56B4E9", "-", "p")),
    "larger": (("#009E73", (0, (5, 1)), "s"), ("#E69F00", (0, (5, 1)), "*")),
    "bound": (("#D55E00", (0, (6, 2.5)), ""), ("#882255", (0, (2, 1)), "")),
    "limit": (("#000000", (0, (1, 1.6)), ""), ("#000000", (0, (1, 3)), "")),
    "control": (
        ("#6E6E6E", (0, (3, 1, 1, 1)), "X"),
        ("#8C8C8C", (0, (3, 1, 1, 1, 1, 1)), "P"),
        ("#6E6E6E", (0, (1, 1)), "D"),
        ("#8C8C8C", (0, (4, 2, 1, 2)), "<"),
    ),
    "control bound": (("#9A9A9A", (0, (6, 2.5)), ""),),
}
_LINES_ONLY = ("bound", "limit", "control bound")
_MOST_RUNS = 40  # single runs drawn behind a mean; more make a smear and a heavy file
_MOST_VERTICES = 280
_LEAST_SHARE = 0.3  # of the axis that the claim keeps before its controls move to a panel of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is drawn as one legend entry: x, y and interval of shape (points,), single runs (points, replicates)."""

    name: str
    role: str
    style: tuple[str, Any, str]
    x: tuple[Any, ...]
    y: Array
    low: Array
    high: Array
    runs: Array | None


def series_of(result: ClaimResult, index: int) -> list[Series]:
    """Return the curves of one judge: those of the claim, then the measured ones of its controls."""
    found = _of_arm(result.arm, index, "", result.points)
    bounds = [series.y for series in found if series.role == "bound"]
    for control in result.controls:
        if index < len(control.evidence):
            for series in _of_arm(control, index, control.name, result.points):
                # A control has a bound of its own only if its settings change the bound.
                if series.role == "control" or not any(_same(series.y, bound) for bound in bounds):
                    found.append(series)
    used: dict[str, int] = {}
    styled = []
    for series in found:
        turn = used.get(series.role, 0)
        used[series.role] = turn + 1
        styles = _ROLES[series.role]
        styled.append(replace(series, style=styles[turn % len(styles)]))
    return styled


def _of_arm(arm: ArmResult, index: int, control: str, points: tuple[Any, ...]) -> list[Series]:
    details = arm.evidence[index].details
    curves, xs = _curves(details), _abscissae(details)
    if control:
        curves = [curve for curve in curves if curve["role"] != "limit"]
    measured = sum(curve["role"] in ("measured", "larger") for curve in curves)
    found = []
    for curve in curves:
        y = np.asarray(curve["y"], dtype=float)
        role = str(curve["role"])
        name = _called(str(curve["name"]), role)
        if control:
            suffix = f" ({name})" if measured > 1 or role == "bound" else ""
            name, role = f"control: {control}{suffix}", "control bound" if role == "bound" else "control"
        found.append(
            Series(
                name=name,
                role=role,
                style=_ROLES[role][0],
                x=points if xs is None else tuple(xs),
                y=y,
                low=_edge(curve, "low", y),
                high=_edge(curve, "high", y),
                runs=None if control or role in _LINES_ONLY else _runs(arm, str(curve["name"]), y),
            )
        )
    return found


def _curves(details: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(details.get("curves") or ())


def _abscissae(details: Mapping[str, Any]) -> Sequence[Any] | None:
    return details.get("x")  # None for a sweep over names: its points are the categories


def _edge(curve: Mapping[str, Any], key: str, y: Array) -> Array:
    values = curve.get(key)
    edge = y if values is None or len(values) == 0 else np.asarray(values, dtype=float)
    filled: Array = np.where(np.isnan(edge), y, edge)
    return filled


def _runs(arm: ArmResult, name: str, y: Array) -> Array | None:
    """Return the single runs behind a mean, unless the curve shows something derived from them (a ratio, say)."""
    runs = arm.values.get(name)
    if runs is None or runs.shape[0] != len(y) or runs.shape[1] < 2:
        return None
    finite = np.isfinite(y)  # the mean of diverged runs is inf: nothing to compare, and inf - inf would warn
    mean, own = y[finite], runs[finite]
    rounding = 1e-9 * (1 + np.abs(mean))
    if not np.all((own.min(axis=1) <= mean + rounding) & (mean - rounding <= own.max(axis=1))):
        return None
    return runs[:, : max(2, min(_MOST_RUNS, _MOST_VERTICES // len(y)))]


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, equal_nan=True))


def split_controls(series: Sequence[Series], details: Mapping[str, Any]) -> tuple[list[Series], list[Series]]:
    """Return what the main panel shows and what its neighbour shows: controls that would squeeze the claim's curves."""
    own = [s for s in series if not s.role.startswith("control")]
    controls = [s for s in series if s.role.startswith("control")]
    log = _log_y(own, details)
    if not controls or _share(own, series, log) >= _LEAST_SHARE:
        return list(series), []
    return own, [s for s in own if s.role == "bound"] + controls


def _share(own: Sequence[Series], everything: Sequence[Series], log: bool) -> float:
    inner, outer = _span(own, log), _span(everything, log)
    if inner is None or outer is None:
        return 1.0
    # One decade (or a tenth of the size) is room enough for a flat curve: only a real squeeze counts.
    least = math.log(10) if log else 0.1 * max(abs(inner[0]), abs(inner[1]))
    return max(inner[1] - inner[0], least) / max(outer[1] - outer[0], least, 1e-300)


def _span(series: Sequence[Series], log: bool) -> tuple[float, float] | None:
    """Return the range of what is drawn (its logarithms on a log axis), or None if nothing finite is.

    A band may widen the range of the curves and runs by half at either end, no more: an interval that no data decide
    would flatten everything else.
    """
    curves = _finite([part for s in series for part in (s.y, s.runs) if part is not None], log)
    if curves.size == 0:
        return None
    bottom, top = float(curves.min()), float(curves.max())
    room = 0.5 * max(top - bottom, math.log(2) if log else 0.1 * max(abs(bottom), abs(top)))
    bands = np.clip(_finite([part for s in series for part in (s.low, s.high)], log), bottom - room, top + room)
    return float(bands.min(initial=bottom)), float(bands.max(initial=top))


def _finite(parts: Sequence[Array], log: bool) -> Array:
    values: Array = np.concatenate([part.ravel() for part in parts])
    values = values[np.isfinite(values)]
    return np.log(values[values > 0]) if log else values


def _log_y(series: Sequence[Series], details: Mapping[str, Any]) -> bool:
    values = np.concatenate([*(s.y for s in series), np.empty(0)])
    values = values[np.isfinite(values)]
    wanted = details.get("log_y")
    if values.size == 0 or float(np.mean(values > 0)) < 0.5:
        return False
    return bool(wanted) if wanted is not None else bool(values.min() > 0 and values.max() > 10 * values.min())


def draw_panel(
    axes: Axes,
    series: Sequence[Series],
    details: Mapping[str, Any],
    sweep_label: str,
    *,
    width: float,
    rescale: bool = False,
) -> None:
    """Draw curves on axes about ``width`` inches wide; ``rescale`` chooses the scale of y anew, not the judge's."""
    from theorylab.ticks import category_ticks, log_ticks, number_ticks

    xs = max((s.x for s in series), key=len)
    numeric = len(xs) > 1 and all(isinstance(x, int | float | np.number) for x in xs)
    log = _log_y(series, {} if rescale else details)
    low, high = _limits(series, log)
    axes.set_yscale("log" if log else "linear")
    axes.set_ylim(low, high)
    drawn = [s for s in series if s.role not in _LINES_ONLY]
    for s in series:
        clipped = _clip(s, low, high)
        if numeric:
            _draw_curve(axes, clipped)
        else:
            _draw_categories(axes, clipped, _dodge(s, drawn))
    _mark_edges(axes, series, drawn, numeric, log)
    axes.set_xlabel(textwrap.fill(_readable(details.get("x_label") or sweep_label), int(11 * width)))
    axes.set_ylabel(_readable(str(details.get("y_label", ""))))
    if numeric:
        logarithmic = _log_x(xs, details)
        axes.set_xscale("log" if logarithmic else "linear")
        (log_ticks if logarithmic else number_ticks)(axes.xaxis, [float(x) for x in xs], width)
    else:
        category_ticks(axes, [readable_point(x) for x in xs], width, named=not rescale)
    if log:
        log_ticks(axes.yaxis, [low, high], width)


def _log_x(xs: Sequence[float], details: Mapping[str, Any]) -> bool:
    wanted = details.get("log_x")
    return min(xs) > 0 and (bool(wanted) if wanted is not None else max(xs) > 10 * min(xs))


def _limits(series: Sequence[Series], log: bool) -> tuple[float, float]:
    span = _span(series, log)
    if span is None:
        return (0.1, 1.0) if log else (0.0, 1.0)
    bottom, top = span
    least = math.log(1.6) if log else 1e-12 + 0.02 * max(abs(bottom), abs(top))
    margin = 0.07 * max(top - bottom, least) + 0.5 * max(least - (top - bottom), 0.0)
    low, high = bottom - margin, top + margin * 1.4
    return (math.exp(low), math.exp(high)) if log else (low, high)


def _clip(series: Series, low: float, high: float) -> Series:
    """Keep bands inside the axes and leave diverged and off-scale points to their own markers."""
    return replace(
        series,
        y=np.where((series.y < low) | (series.y > high), np.nan, series.y),
        low=np.clip(series.low, low, high),
        high=np.clip(series.high, low, high),
        runs=None if series.runs is None else np.where(series.runs < low, np.nan, series.runs),
    )


def _draw_curve(axes: Axes, series: Series) -> None:
    colour, line, marker = series.style
    x = np.asarray(series.x, dtype=float)
    if series.runs is not None:
        # All runs as one path with gaps: a small file, and one object to draw.
        runs = np.vstack(
            [np.where(np.isfinite(series.runs), series.runs, np.nan), np.full(series.runs.shape[1], np.nan)]
        )
        along = np.tile(np.append(x, np.nan), series.runs.shape[1])
        axes.plot(along, runs.T.ravel(), color=colour, alpha=0.22, linewidth=0.6, zorder=1.5)
    if not _same(series.low, series.high):
        axes.fill_between(x, series.low, series.high, color=colour, alpha=0.2, linewidth=0, zorder=1.8)
    axes.plot(
        x,
        series.y,
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=5,
        markevery=None if len(x) <= 12 else 0.08,
        zorder=2 if series.role.startswith("control") else 3,
        label=series.name,
    )


def _dodge(series: Series, drawn: Sequence[Series]) -> float:
    if series not in drawn:
        return 0.0
    step = min(0.2, 0.7 / max(len(drawn), 1))
    return step * (drawn.index(series) - (len(drawn) - 1) / 2)


def _draw_categories(axes: Axes, series: Series, dodge: float) -> None:
    colour, line, marker = series.style
    x = np.arange(len(series.x)) + dodge
    if series.role in _LINES_ONLY:
        axes.hlines(series.y, x - 0.42, x + 0.42, color=colour, linestyle=line, linewidth=1.8, label=series.name)
        return
    if series.runs is not None:
        count = series.runs.shape[1]
        scatter = 0.05 * np.sin(2.4 * np.arange(count))  # fixed, so that the same result gives the same picture
        across, gap = (x[:, None] + scatter).ravel(), np.full(series.runs.size, np.nan)
        # Dots as very short lines with round ends: one path of a few bytes a dot, which snapping would swallow.
        dots = np.column_stack([across, across + 1e-3, gap]).ravel()
        heights = np.column_stack([series.runs.ravel(), series.runs.ravel(), gap]).ravel()
        axes.plot(dots, heights, color=colour, alpha=0.35, linewidth=3, solid_capstyle="round", snap=False, zorder=1.5)
    reach = np.abs(np.vstack([series.y - series.low, series.high - series.y]))
    axes.errorbar(
        x,
        series.y,
        yerr=reach,
        color=colour,
        marker=marker,
        linestyle="none",
        markersize=6,
        capsize=3,
        label=series.name,
    )


def _mark_edges(axes: Axes, series: Sequence[Series], drawn: Sequence[Series], numeric: bool, log: bool) -> None:
    """Mark diverged runs by arrows at the upper edge, and zeros that a log axis cannot show at the lower one."""
    edges: list[tuple[str, str, float, str, Callable[[Array], Any]]] = [("^", "diverged", 0.97, "top", np.isposinf)]
    if log:
        edges.append(("v", "zero", 0.03, "bottom", lambda y: y <= 0))
    for marker, word, height, side, test in edges:
        marked = []
        for s in drawn:
            x = np.asarray(s.x, dtype=float) if numeric else np.arange(len(s.x)) + _dodge(s, drawn)
            there = x[test(s.y)]
            axes.plot(
                there,
                np.full(len(there), height),
                marker,
                color=s.style[0],
                markersize=7,
                transform=axes.get_xaxis_transform(),
                label=s.name if not np.isfinite(s.y).any() else "_",
            )
            marked += list(there)
        if marked:
            axes.annotate(
                word,
                (max(marked), height),
                (6, -6 if side == "top" else 6),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                va=side,
                ha="right",
                fontsize=8,
                color="#444444",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.8},
            )


def _called(name: str, role: str) -> str:
    try:
        float(name)
    except ValueError:
        return _readable(name)
    return f"{role} {name}"  # a constant bound has no name but its value


def _readable(name: str) -> str:
    """Return a quantity's name as words; text that already has spaces or maths is left alone."""
    return name if " " in name or "$" in name else name.replace("_", " ")
