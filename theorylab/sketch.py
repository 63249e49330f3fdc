"""What a judge hands to the figure: abscissae and curves with their bands, as plain lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theorylab.intervals import CONFIDENCE, mean_estimate
from theorylab.measurements import Measurements

Array = NDArray[np.float64]


def curve(data: Measurements, quantity: str | float, role: str, *, extremes: bool = False) -> dict[str, object]:
    """Return one curve: the mean of a quantity (or a constant) with its pointwise band.

    ``role`` is "measured", "bound", "limit" or "larger"; a diverged point is ``inf``. The band is the 95 % interval of
    the mean, or the smallest and largest run with ``extremes``, for statements about every run.
    """
    values = data.bound(quantity)
    means, low, high = [], [], []
    for row in values:
        finite = bool(np.isfinite(row).all())
        means.append(float(row.mean()) if finite else float("inf"))
        if finite and extremes:
            low.append(float(row.min()))
            high.append(float(row.max()))
        elif finite and row.size > 1:
            estimate = mean_estimate(row)
            low.append(estimate.lower((1 - CONFIDENCE) / 2))
            high.append(estimate.upper((1 - CONFIDENCE) / 2))
        else:
            low.append(means[-1])
            high.append(means[-1])
    name = quantity if isinstance(quantity, str) else f"{quantity:.6g}"
    return {"name": name, "role": role, "y": means, "low": low, "high": high}


def sketch(
    data: Measurements,
    measured: str,
    others: list[dict[str, object]],
    *,
    against: str | None = None,
    log_x: bool | None = None,
    log_y: bool | None = None,
    extremes: bool = False,
) -> dict[str, object]:
    """Return the drawing of a judge's evidence: measured curve first, then the others.

    Axes are logarithmic by default where all values are positive and span more than a decade. ``x`` is None for a
    sweep over names or tuples.
    """
    x = data.positions(against) if data.numeric or against is not None else None
    first = curve(data, measured, "measured", extremes=extremes)
    drawn = np.concatenate([np.asarray(c["y"], dtype=float) for c in (first, *others)])
    return {
        "x": None if x is None else x.tolist(),
        "x_label": against,
        "y_label": measured,
        "curves": [first, *others],
        "log_x": _spans_a_decade(x) if log_x is None and x is not None else bool(log_x),
        "log_y": _spans_a_decade(drawn) if log_y is None else log_y,
    }


def _spans_a_decade(values: Array) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size > 0 and (finite > 0).all() and finite.max() >= 10 * finite.min())
