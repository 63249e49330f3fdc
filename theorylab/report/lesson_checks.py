"""What the layers of a chart have to be: arrays that fit the sliders' grid, known roles, a clock for what grows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from theorylab.report.lessons import DRAWINGS, ROLES, Bars, Cells, Chart, Curve, Panel, Readout, Slider

Array = npt.NDArray[np.float64]
Layer = Curve | Bars | Cells


def check_chart(chart: Chart) -> None:
    """Raise ValueError, naming chart and layer, unless everything fits the grid."""
    where = f"chart {chart.title!r}"
    clocks = [slider for slider in chart.sliders if slider.plays]
    still = len(chart.sliders) - len(clocks)
    if len(clocks) > 1 or still > 3 or not chart.sliders:
        raise ValueError(
            f"{where}: {still} sliders and {len(clocks)} that play; give one to three, and one that plays at most"
        )
    if not chart.title.strip() or not chart.look.strip():
        raise ValueError(f"{where}: title and look must say what the chart shows and what to try")
    if not 1 <= len(chart.panels) <= 3:
        raise ValueError(f"{where}: {len(chart.panels)} panels; give one to three")
    try:
        for panel in chart.panels:
            _check_panel(panel, chart.grid, clocks)
        for readout in chart.readouts:
            _check_role(readout)
            fitted(f"readout {readout.name!r}", readout.values, chart.grid, ())
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _check_panel(panel: Panel, grid: tuple[int, ...], clocks: list[Slider]) -> None:
    if not panel.layers:
        raise ValueError(f"panel {panel.title!r} has no layers; give it a Curve, Bars or Cells")
    if not (panel.x.label.strip() and panel.y.label.strip()):
        raise ValueError(f"panel {panel.title!r}: its axes need labels, with units")
    kinds = {type(layer) for layer in panel.layers}
    if (Cells in kinds and len(panel.layers) > 2) or ({Cells, Bars} & kinds and len(kinds) > 1):
        raise ValueError(f"panel {panel.title!r} mixes curves, bars and cells; give each kind a panel of its own")
    for layer in panel.layers:
        _check_role(layer)
        check_layer(layer, grid, clocks)
    bars = [tuple(layer.labels) for layer in panel.layers if isinstance(layer, Bars)]
    if len(set(bars)) > 1:
        raise ValueError(f"panel {panel.title!r}: its bars have different labels {bars}")


def _check_role(layer: Layer | Readout) -> None:
    if layer.role not in ROLES:
        raise ValueError(f"{layer.name!r}: role={layer.role!r} must be one of {', '.join(ROLES)}")


def check_layer(layer: Layer, grid: tuple[int, ...], clocks: list[Slider]) -> None:
    """Raise ValueError unless the arrays of a layer fit the grid."""
    if isinstance(layer, Bars):
        fitted(f"bars {layer.name!r}: heights", layer.heights, grid, (len(layer.labels),))
    elif isinstance(layer, Cells):
        shape = np.shape(layer.values)
        if len(shape) < 2:
            raise ValueError(f"cells {layer.name!r}: values.shape={shape} must be (*grid, rows, columns)")
        fitted(f"cells {layer.name!r}: values", layer.values, grid, shape[-2:])
        if layer.largest is not None and not (np.isfinite(layer.largest) and layer.largest > 0.0):
            raise ValueError(f"cells {layer.name!r}: largest={layer.largest!r} must be positive and finite")
    else:
        _check_curve(layer, grid, clocks)


def _check_curve(curve: Curve, grid: tuple[int, ...], clocks: list[Slider]) -> None:
    where = f"curve {curve.name!r}"
    if curve.draw not in DRAWINGS:
        raise ValueError(f"{where}: draw={curve.draw!r} must be one of {', '.join(DRAWINGS)}")
    shape = np.shape(curve.y)
    if not shape or shape[-1] < 1:
        raise ValueError(f"{where}: y.shape={shape} must be (*grid, n) with n of one or more")
    fitted(f"{where}: y", curve.y, grid, shape[-1:])
    fitted(f"{where}: x", curve.x, grid, shape[-1:])
    if (curve.low is None) != (curve.high is None):
        raise ValueError(f"{where}: give low and high together, or neither")
    for name, band in (("low", curve.low), ("high", curve.high)):
        if band is not None:
            fitted(f"{where}: {name}", band, grid, shape[-1:])
    if curve.grows and (not clocks or shape[-1] != len(clocks[0].values)):
        steps = f"the clock has {len(clocks[0].values)} values" if clocks else "no slider plays"
        raise ValueError(f"{where}: grows with n={shape[-1]} points, but {steps}; it needs one point a value")


def fitted(name: str, values: npt.ArrayLike, grid: tuple[int, ...], tail: tuple[int, ...]) -> Array:
    """Return an array with all axes of the grid, of length 1 where it does not depend on a slider.

    Missing leading axes are added. Raises ValueError when an axis has neither the grid's length nor 1.

    >>> fitted("y", [[1.0, 2.0]], (3, 4), (2,)).shape
    (1, 1, 2)
    """
    array = np.asarray(values, dtype=np.float64)
    ends = array.shape[array.ndim - len(tail) :]
    if array.ndim < len(tail) or ends != tail:
        raise ValueError(f"{name}.shape={array.shape} must end in {tail}")
    leading = array.shape[: array.ndim - len(tail)]
    full = (1,) * (len(grid) - len(leading)) + leading
    if len(full) != len(grid) or any(have not in (1, want) for have, want in zip(full, grid, strict=True)):
        raise ValueError(f"{name}.shape={array.shape}: its leading axes must be those of the sliders, {grid}, or 1")
    return array.reshape(full + tail)
