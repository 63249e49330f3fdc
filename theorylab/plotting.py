"""One figure for every claim, drawn from the claim's result alone."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.panels import Series, draw_panel, series_of, split_controls
from theorylab.results import ClaimResult, readable_point, write_atomically
from theorylab.ticks import room_below
from theorylab.verdicts import Verdict, conclude

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_WIDTH = 9.0  # inches; 900 pixels at 100 dots an inch
_MOST_PANELS = 3
_INK, _GREY = "#222222", "#5a5a5a"

#: Symbol and background of the badge. The word stands beside the colour, which nobody has to tell apart.
_BADGES = {
    Verdict.UPHELD: ("✓", "#00694E"),
    Verdict.VIOLATED: ("✗", "#A63F00"),
    Verdict.INCONCLUSIVE: ("?", "#5A5A5A"),
    Verdict.NOT_APPLICABLE: ("–", "#5A5A5A"),
    Verdict.COULD_NOT_MEASURE: ("!", "#222222"),
}

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "theorylab",
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def draw(result: ClaimResult) -> Figure:
    """Draw a claim: one panel a judge (at most three), measured against stated, with its controls and its verdict.

    The mean is drawn with its interval over faint single runs, the bound as a dashed line, controls in grey; a control
    that would squeeze the rest gets a panel of its own. Diverged runs (``inf``) are arrows at the upper edge.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with _style():
        shown = _shown(result)
        title, where = _wrap(result.title, 80), _wrap(_where(result), 120)
        head = 0.26 + 0.2 * (title.count("\n") + 1) + 0.17 * (where.count("\n") + 1)
        rows = [_row(result, indices) for indices in shown]
        heights = [head, *(row.height for row in rows)] if rows else [head, 0.8]
        figure = Figure(figsize=(_WIDTH, sum(heights) + 0.35), dpi=100)
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.04))
        top, *below = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        _header(top, title, where, head)
        _badge(figure, result)
        for subfigure, row in zip(below, rows, strict=False):
            _draw_row(subfigure, result, row)
        if not rows:
            _say_nothing_measured(below[0], result)
        figure.supxlabel(_footer(result), x=0.01, ha="left", fontsize=8, color=_GREY, linespacing=1.3, parse_math=False)
        _settle(figure)
    return figure


def save(result: ClaimResult, folder: str | Path) -> tuple[Path, Path]:
    """Write ``<folder>/<paper>/<claim>.svg`` and ``.png`` (900 pixels wide) and return the two paths.

    The same result gives the same bytes. Raises OSError when the folder cannot be written.
    """
    paper, name = result.id.split("/")
    target = Path(folder) / paper
    target.mkdir(parents=True, exist_ok=True)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure = draw(result)
    svg, png = io.BytesIO(), io.BytesIO()
    # By their canvases: savefig would draw everything once more for each file, to lay out what is laid out already.
    with _style():
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": "theorylab"})  # type: ignore[no-untyped-call]
        description = {"Date": None, "Creator": "theorylab", "Title": result.id}
        FigureCanvasSVG(figure).print_svg(svg, metadata=description)  # type: ignore[no-untyped-call]
    paths = target / f"{name}.svg", target / f"{name}.png"
    write_atomically(paths[0], _shortened(svg.getvalue().decode()))
    write_atomically(paths[1], png.getvalue())
    return paths


def _settle(figure: Figure) -> None:
    """Place everything here and now: later, ticks would be made and sized by the user's own settings.

    The layout leaves the last digits to chance, and with them which pixel a mark falls on; they are rounded away.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in figure.subfigs:
        part.bbox_relative.set_points(np.round(part.bbox_relative.get_points(), 6))
        for axes in part.axes:
            x, y, width, height = np.round(axes.get_position().bounds, 6)
            axes.set_position((x, y, width, height))
    for text in (*figure.texts, *(text for part in figure.subfigs for text in part.texts)):
        text.set_position((round(text.get_position()[0], 6), round(text.get_position()[1], 6)))


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


def _style() -> AbstractContextManager[None]:
    # From matplotlib's defaults, so that a user's own settings neither show in our figures nor are changed.
    import matplotlib.style

    context: AbstractContextManager[None] = matplotlib.style.context(["default", _STYLE])
    return context


def _shown(result: ClaimResult) -> list[tuple[int, ...]]:
    """Return the panels: which evidence each shows. Judges of the same curves share one; surprises come first."""
    panels: dict[str, list[int]] = {}
    for index, evidence in enumerate(result.arm.evidence):
        if evidence.details.get("curves"):
            picture = [evidence.details.get(key) for key in ("x", "curves", "log_x", "log_y")]
            panels.setdefault(repr(picture), []).append(index)
    verdicts = _verdicts(result)
    upheld = [all(verdicts[i] is Verdict.UPHELD for i in indices) for indices in panels.values()]
    first = sorted(zip(upheld, map(tuple, panels.values()), strict=True))[:_MOST_PANELS]
    return sorted(indices for _, indices in first)


def _verdicts(result: ClaimResult) -> list[Verdict]:
    pairs = zip(result.arm.evidence, result.arm.levels, strict=True)
    return [conclude(evidence, level_violated=level) for evidence, level in pairs]


@dataclass(frozen=True, slots=True)
class _Row:
    """One strip of the figure: its judges' sentences, the curves of its one or two panels, its height in inches."""

    details: Mapping[str, Any]
    text: str
    together: list[Series]
    apart: list[Series]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(series.name for series in (*self.together, *self.apart)))

    @property
    def height(self) -> float:
        below = room_below([readable_point(x) for x in self.together[0].x], _WIDTH * (0.55 if self.apart else 0.85))
        return (
            2.9 + below + 0.17 * (self.text.count("\n") + 1) + 0.19 * math.ceil(len(self.names) / _columns(self.names))
        )


def _row(result: ClaimResult, indices: tuple[int, ...]) -> _Row:
    details = result.arm.evidence[indices[0]].details
    together, apart = split_controls(series_of(result, indices[0]), details)
    verdicts = _verdicts(result)
    said = [f"{_BADGES[verdicts[i]][0]}  {result.arm.evidence[i].sentence}" for i in indices]
    return _Row(details, _wrap("\n".join(said), 132), together, apart)


def _where(result: ClaimResult) -> str:
    return f"{result.id}  ·  {result.source}  ·  {result.guarantee}, {result.mode}"


def _header(top: SubFigure, title: str, where: str, height: float) -> None:
    maths = _has_maths(title)
    top.text(0.01, 1 - 0.12 / height, title, va="top", fontsize=11.5, color=_INK, parse_math=maths, linespacing=1.25)
    top.text(0.01, 0.06 / height, where, va="bottom", fontsize=9, color=_GREY, parse_math=False, linespacing=1.25)


def _badge(figure: Figure, result: ClaimResult) -> None:
    symbol, colour = _BADGES[result.arm.verdict]
    text = f"{symbol} {result.arm.verdict.word}"
    if not result.as_expected:
        text += f"\nexpected: {result.expected.word}"
    elif result.expected is not Verdict.UPHELD:
        text += "\nas expected"
    box = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": "none"}
    top = 1 - 0.14 / figure.get_figheight()
    figure.text(0.985, top, text, ha="right", va="top", color="white", weight="bold", fontsize=10, bbox=box)


def _draw_row(subfigure: SubFigure, result: ClaimResult, row: _Row) -> None:
    panels = [row.together, row.apart] if row.apart else [row.together]
    ratios = [1.9, 1.0][: len(panels)]
    grid = subfigure.subplots(1, len(panels), squeeze=False, width_ratios=ratios)[0]
    keys: dict[str, Any] = {}
    for axes, series, ratio in zip(grid, panels, ratios, strict=True):
        width = _WIDTH * 0.92 * ratio / sum(ratios) - 0.4
        draw_panel(axes, series, row.details, result.sweep_label, width=width, rescale=series is row.apart)
        handles, labels = axes.get_legend_handles_labels()
        keys = dict(zip(labels, handles, strict=True)) | keys
    if row.apart:
        grid[1].set_title("controls, on their own scale", fontsize=8.5, color=_GREY, loc="left")
    _write_above(subfigure, row.text)
    names = [name for name in row.names if name in keys]
    subfigure.legend(
        [keys[name] for name in names],
        [_wrap(name, 110) for name in names],
        loc="outside lower left",
        ncols=_columns(names),
        fontsize=8.5,
        handlelength=3.2,
    )


def _columns(labels: Sequence[str]) -> int:
    """Return the number of columns of the legend: one row if everything fits, else as many as the longest allows."""
    if sum(len(label) + 9 for label in labels) <= 125:
        return max(len(labels), 1)
    return max(1, 125 // (max(len(label) for label in labels) + 9))


def _write_above(subfigure: SubFigure, text: str) -> None:
    subfigure.suptitle(text, x=0.012, ha="left", fontsize=9, color=_INK, parse_math=False, linespacing=1.35)


def _say_nothing_measured(subfigure: SubFigure, result: ClaimResult) -> None:
    said = [failure.message for failure in result.arm.failures[:3]] or ["Nothing was measured that can be drawn."]
    _write_above(subfigure, _wrap("\n".join(said), 132))


def _footer(result: ClaimResult) -> str:
    seeds = f"{result.replicates} seed" + "s" * (result.replicates != 1)
    parts = [f"{seeds} a point, {result.budget} budget, seed {result.seed}"]
    for control in result.controls:
        said = control.verdict.word
        outcome = f"{said}, as it must be" if result.refuted(control) else f"{said}: NOT REFUTED"
        parts.append(f"control “{control.name}”: {outcome}")
    hidden = len(result.arm.evidence) - sum(len(indices) for indices in _shown(result))
    if hidden:
        parts.append(f"{hidden} more judge{'s' * (hidden != 1)}, not drawn")
    parts += [f"{h.name}: {h.status.value}" for h in result.hypotheses if h.status.value != "certified"]
    return _wrap("  ·  ".join(parts), 135)


def _wrap(text: str, width: int) -> str:
    """Wrap plain text, keeping every ``$...$`` in one piece."""
    glued = re.sub(r"\$[^$]*\$", lambda found: found.group().replace(" ", "\0"), text)
    lines: list[str] = []
    for line in glued.split("\n"):
        lines += textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(lines).replace("\0", " ")


def _has_maths(text: str) -> bool:
    """Tell whether matplotlib can typeset the ``$...$`` of a text; if not, it is shown as written."""
    from matplotlib.mathtext import MathTextParser

    parser: Any = MathTextParser("path")
    try:
        parser.parse(text.replace("\n", " "))
    except ValueError:
        return False
    return True
