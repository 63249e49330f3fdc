"""What all drawings share: the style, the settled layout, and files that are the same bytes for the same drawing."""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches; 900 pixels at 100 dots an inch
INK, GREY = "#222222", "#5a5a5a"

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "theorylab",
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def style() -> AbstractContextManager[None]:
    """Return the context in which everything is drawn: matplotlib's defaults and our changes, nobody else's."""
    # From matplotlib's defaults, so that a user's own settings neither show in our figures nor are changed.
    import matplotlib.style

    context: AbstractContextManager[None] = matplotlib.style.context(["default", _STYLE])
    return context


def settle(figure: Figure) -> None:
    """Place everything here and now: later, ticks would be made and sized by the user's own settings.

    The layout leaves the last digits to chance, and with them which pixel a mark falls on; they are rounded away.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in figure.subfigs:
        part.bbox_relative.set_points(np.round(part.bbox_relative.get_points(), 6))
    parts: list[Any] = [figure, *figure.subfigs]
    for axes in dict.fromkeys(axes for part in parts for axes in part.axes):
        x, y, width, height = np.round(axes.get_position().bounds, 6)
        axes.set_position((x, y, width, height))
    for text in (text for part in parts for text in part.texts):
        text.set_position((round(text.get_position()[0], 6), round(text.get_position()[1], 6)))


def encoded(figure: Figure, title: str) -> tuple[str, bytes]:
    """Return a settled figure as SVG text, short and with ``title`` in its metadata, and as the bytes of a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    svg, png = io.BytesIO(), io.BytesIO()
    # By their canvases: savefig would draw everything once more for each file, to lay out what is laid out already.
    with style():
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": "theorylab"})  # type: ignore[no-untyped-call]
        description = {"Date": None, "Creator": "theorylab", "Title": title}
        FigureCanvasSVG(figure).print_svg(svg, metadata=description)  # type: ignore[no-untyped-call]
    return _shortened(svg.getvalue().decode()), png.getvalue()


def _shortened(svg: str) -> str:
    """Round the coordinates to what can be seen, a tenth of a point in long paths: half the size.

    Names of clips and markers are hashes of all digits of their coordinates, which the layout leaves to chance; they
    are numbered instead, so that the same result gives the same bytes.
    """
    names: dict[str, str] = {}

    def rounded(found: re.Match[str]) -> str:
        text = re.sub(r"\s*\n", "", found.group())
        digits = r"(\.\d)\d+" if len(text) > 500 else r"(\.\d\d)\d+"
        return re.sub(digits, r"\1", text)

    def numbered(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], f"s{len(names)}")

    flat = re.sub(r'(id="|#)([mp][0-9a-f]{10})\b', numbered, re.sub(r"(?m)^ +", "", svg))
    dense = re.sub(r'(?<= )style="[^"]*"', lambda found: re.sub(r"(?<=[;:,]) ", "", found.group()), flat)
    return re.sub(r'(?<= )(?:d|x|y)="[^"]*"', rounded, dense)
