"""A lesson as a document: what the page's script reads, and what the store keeps."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.report.lesson_checks import fitted
from theorylab.report.lessons import PARTS, Axis, Bars, Cells, Chart, Curve, Lesson, Panel, Readout, Slider
from theorylab.report.wording import number

Array = npt.NDArray[np.float64]
Document = dict[str, Any]

_ROOM = 0.06  # of an axis, left free beyond what is drawn
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def document(lesson: Lesson) -> Document:
    """Return the lesson as plain data for JSON: texts, and arrays as base64 of little-endian float32."""
    parts = []
    for name in PARTS:
        part = getattr(lesson, name)
        parts.append({"name": name, "text": part.text, "charts": [_chart(chart) for chart in part.charts]})
    return {"parts": parts, "claims": list(lesson.claims)}


def _chart(chart: Chart) -> Document:
    return {
        "title": chart.title,
        "look": chart.look,
        "sliders": [_slider(slider) for slider in chart.sliders],
        "panels": [_panel(panel, chart.grid) for panel in chart.panels],
        "readouts": [_readout(readout, chart.grid) for readout in chart.readouts],
    }


def _slider(slider: Slider) -> Document:
    unit = f" {slider.unit}" if slider.unit else ""
    return {
        "name": slider.name,
        "values": [shown(value) + unit for value in slider.values],
        "at": list(slider.values).index(slider.default),
        "plays": slider.plays,
        "seconds": slider.seconds,
    }


def shown(value: float | int | str) -> str:
    """Return the value of a slider as people write it.

    >>> [shown(value) for value in (0.3, 1e-5, 2.5e-7, 2000, 20000, "none")]
    ['0.3', '10⁻⁵', '2.5·10⁻⁷', '2000', '20000', 'none']
    """
    if isinstance(value, str):
        return value
    amount = float(value)
    if amount == 0.0 or 1e-3 <= abs(amount) < 1e6:
        return number(amount, 6)
    digits, _, exponent = f"{amount:.3g}".partition("e")
    if not exponent:
        digits, _, exponent = f"{amount:.2e}".partition("e")
        digits = digits.rstrip("0").rstrip(".")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    return power if digits == "1" else f"{digits}·{power}".replace("-", "−")


def _panel(panel: Panel, grid: tuple[int, ...]) -> Document:
    layers = panel.layers
    if isinstance(layers[0], Cells):
        x, y = _plain_axis(panel.x), _plain_axis(panel.y)
    elif isinstance(layers[0], Bars):
        heights = [(layer, np.append(np.ravel(layer.heights), 0.0 if not panel.y.log else math.nan))
                   for layer in layers if isinstance(layer, Bars)]  # fmt: skip
        x, y = _plain_axis(panel.x), _axis(panel.y, [values for bars, values in heights if bars.role != "control"],
                                           [values for bars, values in heights if bars.role == "control"])  # fmt: skip
    else:
        curves = [layer for layer in layers if isinstance(layer, Curve)]
        x = _axis(panel.x, [np.ravel(curve.x) for curve in curves], [], room=0.0)
        drawn, control = (
            [np.ravel(values) for curve in curves if (curve.role == "control") is wanted for values in _heights(curve)]
            for wanted in (False, True)
        )
        y = _axis(panel.y, drawn, control)
    return {"title": panel.title, "x": x, "y": y, "layers": [_layer(layer, grid) for layer in layers]}


def _heights(curve: Curve) -> Iterable[npt.ArrayLike]:
    return (values for values in (curve.y, curve.low, curve.high) if values is not None)


def _plain_axis(axis: Axis) -> Document:
    return {"label": axis.label, "log": False, "low": 0.0, "high": 1.0}


def _axis(axis: Axis, drawn: Sequence[Array], control: Sequence[Array], room: float = _ROOM) -> Document:
    """Fit the limits to what is drawn; the control may stretch them to twice their length at most."""
    low, high = _range(axis, drawn or control)
    if control:
        far_low, far_high = _range(axis, control)
        length = max(high - low, 1e-12)
        low, high = max(min(low, far_low), low - length), min(max(high, far_high), high + length)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    space = room * (high - low)
    bottom = low if low == 0.0 and not axis.log else low - space
    limits = [bottom, high + space]
    if axis.log:
        limits = [10.0**limit for limit in limits]
    limits = [limit if given is None else given for limit, given in zip(limits, (axis.low, axis.high), strict=True)]
    return {"label": axis.label, "log": axis.log, "low": float(limits[0]), "high": float(limits[1])}


def _range(axis: Axis, arrays: Sequence[npt.ArrayLike]) -> tuple[float, float]:
    values = np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
    values = values[np.isfinite(values) & ((values > 0.0) | (not axis.log))]
    if axis.log:
        values = np.log10(values)
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _layer(layer: Curve | Bars | Cells, grid: tuple[int, ...]) -> Document:
    base = {"kind": type(layer).__name__.lower(), "name": layer.name, "role": layer.role}
    if isinstance(layer, Bars):
        return base | {"labels": list(layer.labels), "y": packed(layer.heights, grid, (len(layer.labels),))}
    if isinstance(layer, Cells):
        shape = np.shape(layer.values)[-2:]
        values = np.abs(np.asarray(layer.values, dtype=np.float64))
        finite = values[np.isfinite(values)]
        largest = layer.largest or (float(finite.max()) if finite.size else 1.0) or 1.0
        return base | {"largest": largest, "y": packed(layer.values, grid, shape)}
    tail = np.shape(layer.y)[-1:]
    found = base | {"draw": layer.draw, "grows": layer.grows}
    for name in ("x", "y", "low", "high"):
        values = getattr(layer, name)
        if values is not None:
            found[name] = packed(values, grid, tail)
    return found


def _readout(readout: Readout, grid: tuple[int, ...]) -> Document:
    return {
        "name": readout.name,
        "role": readout.role,
        "unit": readout.unit,
        "y": packed(np.asarray(readout.values, dtype=np.float64)[..., None], grid, (1,)),
    }


def packed(values: npt.ArrayLike, grid: tuple[int, ...], tail: tuple[int, ...]) -> Document:
    """Return the shape over the grid, the number of entries of one drawing, and the base64 of all float32.

    >>> packed([1.0, 2.0], (3,), (2,))
    {'over': [1], 'tail': [2], 'data': 'AACAPwAAAEA='}
    """
    array = fitted("values", values, grid, tail)
    with np.errstate(over="ignore"):  # what float32 cannot hold has left every chart
        small = array.astype("<f4")
    over = array.shape[: len(grid)]
    return {"over": list(over), "tail": list(tail), "data": base64.b64encode(small.tobytes()).decode()}
