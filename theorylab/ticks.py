"""Tick marks at values that people recognise: the sweep's own points, whole decades, category names."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from theorylab.results import readable_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CATEGORIES = 30  # a sweep of more points is one of numbers
_LETTER, _GAP = 0.085, 0.15  # inches that a letter of a label takes, and that must stay free between two labels


def log_ticks(axis: Any, values: Sequence[float], width: float) -> None:
    """Put ticks of a logarithmic axis at the sweep's points if these are few and well apart, else at round values.

    ``values`` are the sweep's points, or the two ends of the axis when the points are not to be marked; ``width`` is
    the length of the axis in inches.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    labels = [number(value) for value in values]
    if len(values) > 2 and _well_apart([math.log(value) for value in values], labels, width):
        axis.set_major_locator(FixedLocator(list(values)))
        axis.set_major_formatter(FixedFormatter(labels))
        axis.set_minor_locator(NullLocator())
        return
    low, high = min(values), max(values)
    subs = (1.0,) if math.log10(high / low) >= 1.8 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_minor_formatter(NullFormatter())
    if low > 5e-4 and high < 2e5:
        axis.set_major_formatter(FuncFormatter(lambda value, _: readable_point(float(value))))
    else:
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))


def number_ticks(axis: Any, values: Sequence[float], width: float) -> None:
    """Put ticks of a linear axis at the sweep's points if these are few and well apart."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    labels = [number(value) for value in values]
    if len(values) <= 9 and _well_apart(values, labels, width):
        axis.set_major_locator(FixedLocator(list(values)))
        axis.set_major_formatter(FixedFormatter(labels))


def category_ticks(axes: Axes, labels: Sequence[str], width: float, *, named: bool = True) -> None:
    """Put one tick a category; names are wrapped to the room they have on ``width`` inches, or slanted.

    Without ``named`` long names are left out, for a panel beside one that has them.
    """
    slanted = _slanted(labels, width)
    if not slanted:
        axes.set_xticks(range(len(labels)), _wrapped(labels, width))
    elif named:
        axes.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(labels)), [""] * len(labels))
        axes.set_xlabel("the same, in the same order")
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.grid(False, axis="x")


def room_below(labels: Sequence[str], width: float) -> float:
    """Return the height in inches that slanted category names need below the axes, 0 if they are not slanted."""
    if len(labels) > _MOST_CATEGORIES or not _slanted(labels, width):
        return 0.0
    return 0.05 * max(len(label) for label in labels)


def _wrapped(labels: Sequence[str], width: float) -> list[str]:
    return [
        textwrap.fill(label, max(_room(labels, width), 1), break_long_words=False, break_on_hyphens=False)
        for label in labels
    ]


def _slanted(labels: Sequence[str], width: float) -> bool:
    room = _room(labels, width)
    return any(len(line) > room for label in _wrapped(labels, width) for line in label.split("\n"))


def _room(labels: Sequence[str], width: float) -> int:
    return int(11 * width / len(labels)) - 2


def number(value: float) -> str:
    r"""Return a number as it stands on an axis: plain in the middle range, a power of ten outside.

    >>> number(4096.0), number(0.05), number(1e-6)
    ('4096', '0.05', '$10^{-6}$')
    """
    return readable_point(float(value)) if value == 0 or 1e-3 <= abs(value) < 1e5 else power_of_ten(value)


def power_of_ten(value: float) -> str:
    r"""Return a non-zero number as mantissa and power of ten, for matplotlib to typeset.

    >>> power_of_ten(100.0), power_of_ten(2e-6)
    ('$10^{2}$', '$2\\times10^{-6}$')
    """
    digits, _, exponent = f"{value:.2e}".partition("e")
    mantissa = digits.rstrip("0").rstrip(".")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa}\times{power}$"


def _well_apart(positions: Sequence[float], labels: Sequence[str], width: float) -> bool:
    """Tell whether labels of an axis of ``width`` inches stay clear of each other."""
    ordered = sorted(positions)
    gaps = [after - before for before, after in pairwise(ordered)]
    letters = max(len(re.sub(r"[${}^\\]|times", "", label)) for label in labels)
    return len(gaps) <= 11 and min(gaps) / (ordered[-1] - ordered[0]) * width >= _LETTER * letters + _GAP
