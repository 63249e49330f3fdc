r"""Pictures that belong to a paper: what a reader wants to see and no single claim draws.

A picture is a function of a random generator that returns a figure and the words for those who cannot see it:

    @picture(PAPER)
    def phases(rng: np.random.Generator) -> Drawing:
        '''Eigenvalues are learned one after the other.

        What to look at, in a few sentences; mathematics between $...$ is typeset on the page.
        '''
        figure, (axes,) = canvas(columns=1)
        ...
        return Drawing(figure, "Three eigenvalues reach 5, 3 and 2 after 40, 70 and 110 iterations.")

The first line of the docstring is the title, the function's name the id. A run of the whole paper draws it, after the
claims, into ``results/<paper>/pictures/<id>.svg``, ``.png`` and ``.json``.
"""

from __future__ import annotations

import inspect
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.cells import stream, words_of
from theorylab.claims import SLUG, ClaimError, Paper, load_file
from theorylab.drawing import WIDTH, encoded, settle, style
from theorylab.results import plain, write_atomically
from theorylab.store import file_that_holds, sources_of, versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the figures of claims, by role; legible in greyscale if every role has its own line style too.
COLOURS: Mapping[str, str] = {
    "measured": "#0072B2",
    "second": "#CC79A7",
    "third": "#009E73",
    "fourth": "#E69F00",
    "bound": "#D55E00",
    "control": "#6E6E6E",
}
_MOST_BYTES = 150_000  # of an SVG: the page holds a hundred and more


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn figure, and the text that says with numbers what is to be seen on it.

    Raises ValueError when the text is empty or the figure is no matplotlib figure.
    """

    figure: Figure
    text: str

    def __post_init__(self) -> None:
        from matplotlib.figure import Figure

        if not isinstance(self.figure, Figure):
            raise ValueError(f"figure={self.figure!r} must be a matplotlib Figure, e.g. the one of canvas()")
        if not isinstance(self.text, str) or not self.text.strip():
            raise ValueError(f"text={self.text!r} must say with numbers what is to be seen on the figure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a paper; made by :func:`picture`, drawn by :func:`drawn`."""

    id: str
    paper: Paper
    title: str
    caption: str
    function: Callable[[np.random.Generator], Drawing] = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # As for claims: workers load it from its file.
        return _reload, (str(sys.modules[self.function.__module__].__file__), self.id)


def picture(paper: Paper, *, id: str | None = None) -> Callable[[Callable[[np.random.Generator], Drawing]], Picture]:
    """Turn a function ``(rng) -> Drawing`` into a picture of the paper.

    The first line of its docstring is the title (plain text), the rest the caption. ``id`` is the second half of the
    id, by default the function's name with hyphens.

    Raises
    ------
    ClaimError
        The function has no docstring, or the id is not made of lower-case words joined by hyphens.
    """

    def decorate(function: Callable[[np.random.Generator], Drawing]) -> Picture:
        name = id or function.__name__.replace("_", "-")
        title, _, caption = (inspect.getdoc(function) or "").partition("\n\n")
        if not SLUG.fullmatch(name):
            raise ClaimError(f"{paper.slug}: picture id={name!r} must be lower-case words joined by hyphens")
        if not title.strip():
            raise ClaimError(f"{paper.slug}/{name}: the picture has no docstring; its first line is the title")
        return Picture(
            id=f"{paper.slug}/{name}",
            paper=paper,
            title=title.replace("\n", " ").strip().rstrip("."),
            caption=caption.strip(),
            function=function,
        )

    return decorate


def pictures_of(module: ModuleType) -> list[Picture]:
    """Return the pictures that a module defines or imports, in the order of its text.

    Raises ClaimError when two pictures share an id.
    """
    seen: dict[str, Picture] = {}
    for value in vars(module).values():
        if isinstance(value, Picture) and seen.setdefault(value.id, value) is not value:
            raise ClaimError(f"{value.id}: two pictures have this id; rename one with id=")
    return list(seen.values())


def canvas(rows: int = 1, columns: int = 1, *, height: float = 3.4, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return an empty figure as wide as those of claims, and its axes in reading order.

    Parameters
    ----------
    rows, columns
        The grid of axes.
    height
        Height of the whole figure in inches; the width is 9.
    **options
        Passed to matplotlib's ``Figure.subplots``: ``sharey=True``, ``width_ratios=[2, 1]``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=100, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).ravel())


def drawn(picture: Picture, *, seed: int = 0) -> Drawing:
    """Draw a picture in the style of the figures; its random numbers depend on the seed and the picture's id alone."""
    rng = stream(seed, words_of(f"picture {picture.id}"))
    with style(), np.errstate(all="ignore"):
        drawing = picture.function(rng)
        if not isinstance(drawing, Drawing):
            raise TypeError(f"the function returned {type(drawing).__name__}; return Drawing(figure, text)")
        drawing.figure.set_dpi(100 * WIDTH / drawing.figure.get_figwidth())
        settle(drawing.figure)
    return drawing


def save_picture(picture: Picture, folder: str | Path, *, seed: int = 0) -> str:
    """Draw a picture into ``<folder>/<paper>/pictures/<id>.svg``, ``.png`` and ``.json``.

    Returns an empty text, or the sentence that says why it could not be drawn; then only the ``.json`` is written,
    with that sentence in it, and an older drawing is removed. Raises OSError when the folder cannot be written.
    """
    paper, name = picture.id.split("/")
    target = Path(folder) / paper / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    text, failure = "", ""
    try:
        drawing = drawn(picture, seed=seed)
        text = drawing.text
        svg, png = encoded(drawing.figure, picture.id)
        if len(svg) > _MOST_BYTES:
            failure = _too_large(picture, len(svg))
    except Exception as error:
        failure = f"{picture.id}: not drawn: {_where(picture, error)}{type(error).__name__}: {error}"
    if failure:
        for ending in (".svg", ".png"):
            (target / f"{name}{ending}").unlink(missing_ok=True)
    else:
        write_atomically(target / f"{name}.svg", svg)
        write_atomically(target / f"{name}.png", png)
    record = {
        "id": picture.id,
        "paper": paper,
        "title": picture.title,
        "caption": picture.caption,
        "text": text,
        "failure": failure,
        "seed": seed,
        "versions": versions(),
        "sources": sources_of(file_that_holds(picture.function, picture.id)),
    }
    write_atomically(target / f"{name}.json", json.dumps(plain(record), indent=1) + "\n")
    return failure


def _too_large(picture: Picture, size: int) -> str:
    return (
        f"{picture.id}: not kept: its SVG takes {size / 1e3:.0f} kB, a picture may take {_MOST_BYTES / 1e3:.0f}; "
        "draw fewer points or lines, or pass rasterized=True to what is dense"
    )


def _where(picture: Picture, error: BaseException) -> str:
    """Return the line of the picture's own file at which drawing failed, if it was there."""
    file = sys.modules[picture.function.__module__].__file__
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{Path(str(file)).name}, line {lines[-1]}: " if lines else ""


def _reload(path: str, picture_id: str) -> Picture:
    for candidate in pictures_of(load_file(path)):
        if candidate.id == picture_id:
            return candidate
    raise ClaimError(f"{picture_id}: no longer in {path}; the file changed while the run was under way")
