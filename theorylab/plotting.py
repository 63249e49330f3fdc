"""One figure for every claim, drawn from the claim's result alone."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theorylab.drawing import GREY, INK, WIDTH, encoded, settle, style
from theorylab.panels import Series, draw_panel, series_of, split_controls
from theorylab.results import ClaimResult, readable_point, write_atomically
from theorylab.ticks import room_below
from theorylab.verdicts import Verdict, conclude

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_MOST_PANELS = 3

#: Symbol and background of the badge. The word stands beside the colour, which nobody has to tell apart.
_BADGES = {
    Verdict.UPHELD: ("✓", "#00694E"),
    Verdict.VIOLATED: ("✗", "#A63F00"),
    Verdict.INCONCLUSIVE: ("?", "#5A5A5A"),
    Verdict.NOT_APPLICABLE: ("–", "#5A5A5A"),
    Verdict.COULD_NOT_MEASURE: ("!", "#222222"),
}


def draw(result: ClaimResult) -> Figure:
    """Draw a claim: one panel a judge (at most three), measured against stated, with its controls and its verdict.

    The mean is drawn with its interval over faint single runs, the bound as a dashed line, controls in grey; a control
    that would squeeze the rest gets a panel of its own. Diverged runs (``inf``) are arrows at the upper edge.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with style():
        shown = _shown(result)
        title, where = _wrap(result.title, 80), _wrap(_where(result), 120)
        head = 0.26 + 0.2 * (title.count("\n") + 1) + 0.17 * (where.count("\n") + 1)
        rows = [_row(result, indices) for indices in shown]
        heights = [head, *(row.height for row in rows)] if rows else [head, 0.8]
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.35), dpi=100)
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.04))
        top, *below = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        top.set_gid("header")  # the page has a heading of its own and cuts this one off
        _header(top, title, where, head)
        _badge(figure, result)
        for subfigure, row in zip(below, rows, strict=False):
            _draw_row(subfigure, result, row)
        if not rows:
            _say_nothing_measured(below[0], result)
        figure.supxlabel(_footer(result), x=0.01, ha="left", fontsize=8, color=GREY, linespacing=1.3, parse_math=False)
        settle(figure)
    return figure


def save(result: ClaimResult, folder: str | Path) -> tuple[Path, Path]:
    """Write ``<folder>/<paper>/<claim>.svg`` and ``.png`` (900 pixels wide) and return the two paths.

    The same result gives the same bytes. Raises OSError when the folder cannot be written.
    """
    paper, name = result.id.split("/")
    target = Path(folder) / paper
    target.mkdir(parents=True, exist_ok=True)
    svg, png = encoded(draw(result), result.id)
    paths = target / f"{name}.svg", target / f"{name}.png"
    write_atomically(paths[0], svg)
    write_atomically(paths[1], png)
    return paths


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
        below = room_below([readable_point(x) for x in self.together[0].x], WIDTH * (0.55 if self.apart else 0.85))
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
    top.text(0.01, 1 - 0.12 / height, title, va="top", fontsize=11.5, color=INK, parse_math=maths, linespacing=1.25)
    top.text(0.01, 0.06 / height, where, va="bottom", fontsize=9, color=GREY, parse_math=False, linespacing=1.25)


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
        width = WIDTH * 0.92 * ratio / sum(ratios) - 0.4
        draw_panel(axes, series, row.details, result.sweep_label, width=width, rescale=series is row.apart)
        handles, labels = axes.get_legend_handles_labels()
        keys = dict(zip(labels, handles, strict=True)) | keys
    if row.apart:
        grid[1].set_title("controls, on their own scale", fontsize=8.5, color=GREY, loc="left")
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
    subfigure.suptitle(text, x=0.012, ha="left", fontsize=9, color=INK, parse_math=False, linespacing=1.35)


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
