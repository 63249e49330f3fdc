r"""Lessons: a paper told in five steps, with charts whose sliders move over precomputed runs.

A lesson is a function of a random generator and of a call that reports progress:

    @lesson(PAPER)
    def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
        '''Eigenvalues are learned one after the other.

        What the lesson is about, in two or three sentences; mathematics between $...$ is typeset.
        '''
        ...
        return Lesson(problem=Part("..."), ..., claims=("sequential-learning",))

The first line of the docstring is the title, the rest the introduction. ``theorylab demo PAPER`` computes it once and
writes one self-contained page.

A chart has sliders, each with its values; together they span a grid. What it shows are layers (curves, bars, cells),
whose arrays hold one drawing for each point of the grid: the leading axes of an array are those of the sliders, in
their order, and an axis of length 1 stands for "the same whatever this slider says". A slider that plays is a clock:
the page gives it buttons, and the chart is an animation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.claims import ClaimError, Paper

#: What a layer is, which decides its colour and line: everything of the role "control" is hidden until it is asked for.
ROLES = ("measured", "second", "third", "fourth", "bound", "control")
DRAWINGS = ("line", "points", "both", "steps")
#: What a precomputation calls as it advances: ``progress(done, total)`` pieces of work.
Progress = Callable[[int, int], None]
PARTS = ("problem", "algorithm", "guarantee", "experiment", "breaks")


@dataclass(frozen=True, slots=True)
class Slider:
    """One axis of a chart's grid: ``values`` are what the slider stands on, in order, as numbers or words.

    ``name`` is written beside it ("step size η"), ``default`` is one of the values, ``unit`` follows the value. A
    slider that ``plays`` is a clock: it gets buttons and runs through its values in ``seconds``; a chart has one at
    most.
    """

    name: str
    values: Sequence[float | int | str]
    default: float | int | str
    unit: str = ""
    plays: bool = False
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 2 <= len(self.values) <= 2000:
            raise ValueError(f"slider {self.name!r}: values has {len(self.values)} entries; give 2 to 2000")
        if self.default not in list(self.values):
            raise ValueError(f"slider {self.name!r}: default={self.default!r} is none of its values")
        if not self.seconds > 0.0:
            raise ValueError(f"slider {self.name!r}: seconds={self.seconds!r} must be positive")


@dataclass(frozen=True, slots=True)
class Axis:
    """Label (with the unit), scale, and limits of an axis; without limits they fit everything that can be shown.

    Limits are the same for all positions of the sliders, so that what moves is the curve. ``low`` and ``high`` are
    what the author wants to be seen; on a logarithmic axis they are positive.
    """

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("low", self.low), ("high", self.high)):
            if limit is not None and not (np.isfinite(limit) and (limit > 0.0 or not self.log)):
                wanted = "finite" + " and positive" * self.log
                raise ValueError(f"axis {self.label!r}: {name}={limit!r} must be {wanted}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"axis {self.label!r}: low={self.low!r} must be below high={self.high!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve or a cloud of points: ``x`` and ``y`` (*grid, n), with a band from ``low`` to ``high`` (*grid, n).

    NaN leaves a gap, infinity (a diverged run) leaves the chart at the top. A curve that ``grows`` is shown up to the
    position of the clock: its n points are those of the clock.
    """

    name: str
    x: npt.ArrayLike
    y: npt.ArrayLike
    role: str = "measured"
    low: npt.ArrayLike | None = None
    high: npt.ArrayLike | None = None
    draw: str = "line"
    grows: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars of ``heights`` (*grid, k) over ``labels`` (k); in the role "bound" a mark across each bar instead."""

    name: str
    labels: Sequence[str]
    heights: npt.ArrayLike
    role: str = "measured"


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A matrix of ``values`` (*grid, rows, columns) as a heat map, colour by sign and size; alone in its panel.

    ``largest`` is the absolute value of full colour, by default the largest there is.
    """

    name: str
    values: npt.ArrayLike
    role: str = "measured"
    largest: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One system of axes with its layers."""

    x: Axis
    y: Axis
    layers: Sequence[Curve | Bars | Cells]
    title: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """A number written below the chart, with the sliders' values: ``values`` (*grid,)."""

    name: str
    values: npt.ArrayLike
    unit: str = ""
    role: str = "measured"


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """Panels over one grid of one to four sliders, and the sentence ``look`` that says what to try and to see.

    Raises ValueError when an array does not fit the grid, a role is unknown, or a growing curve has no clock.
    """

    title: str
    look: str
    sliders: Sequence[Slider]
    panels: Sequence[Panel]
    readouts: Sequence[Readout] = ()

    def __post_init__(self) -> None:
        from theorylab.report.lesson_checks import check_chart

        check_chart(self)

    @property
    def grid(self) -> tuple[int, ...]:
        """The numbers of values of the sliders."""
        return tuple(len(slider.values) for slider in self.sliders)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One step of the story: prose (paragraphs, lists, ``$...$``, names of claims in backticks), then its charts."""

    text: str
    charts: Sequence[Chart] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """The story in five steps, and the ids of the claims it rests on (without the paper's name).

    Raises ValueError when a step has no text or no claim is named.
    """

    problem: Part
    algorithm: Part
    guarantee: Part
    experiment: Part
    breaks: Part
    claims: Sequence[str]

    def __post_init__(self) -> None:
        for name in PARTS:
            part = getattr(self, name)
            if not part.text.strip():
                raise ValueError(f"{name}.text={part.text!r}: must tell this step of the story")
        if not self.claims:
            raise ValueError("claims=(): name the claims that the lesson rests on, e.g. ('sequential-learning',)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Classroom:
    """The lesson of a paper; made by :func:`lesson`, computed by ``theorylab demo``."""

    paper: Paper
    title: str
    lead: str
    function: Callable[[np.random.Generator, Progress], Lesson] = field(repr=False)


def lesson(paper: Paper) -> Callable[[Callable[[np.random.Generator, Progress], Lesson]], Classroom]:
    """Turn a function ``(rng, progress) -> Lesson`` into the lesson of the paper.

    Raises ClaimError when the function has no docstring: its first line is the title, the rest the introduction.
    """

    def decorate(function: Callable[[np.random.Generator, Progress], Lesson]) -> Classroom:
        title, _, lead = (inspect.getdoc(function) or "").partition("\n\n")
        if not title.strip():
            raise ClaimError(f"{paper.slug}: the lesson has no docstring; its first line is the title")
        title = title.replace("\n", " ").strip().rstrip(".")
        return Classroom(paper=paper, title=title, lead=lead.strip(), function=function)

    return decorate


def lesson_of(module: ModuleType) -> Classroom | None:
    """Return the lesson that a module defines or imports, None if it has none; raises ClaimError if it has two."""
    found: list[Any] = [value for value in vars(module).values() if isinstance(value, Classroom)]
    if len({id(value) for value in found}) > 1:
        raise ClaimError(f"{found[0].paper.slug}: has two lessons; a paper has one")
    return found[0] if found else None
