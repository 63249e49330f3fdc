"""What is written when a run has ended: results, figures of claims, pictures of papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from theorylab.results import ClaimResult, write

if TYPE_CHECKING:
    from theorylab.pictures import Picture


@dataclass(frozen=True, slots=True)
class Drawn:
    """Figures (of claims) and pictures (of papers) by id, each with the sentence why it failed, empty if it did not."""

    figures: Mapping[str, str]
    pictures: Mapping[str, str]

    @property
    def failures(self) -> list[str]:
        """The sentences about what could not be drawn."""
        return [sentence for sentence in (*self.figures.values(), *self.pictures.values()) if sentence]


NOTHING_DRAWN = Drawn({}, {})


@dataclass(frozen=True, slots=True)
class _Task:
    """One thing to draw, in a worker process."""

    item: ClaimResult | Picture
    folder: Path
    seed: int


def write_all(
    results: Sequence[ClaimResult],
    pictures: Sequence[Picture],
    folder: Path,
    *,
    figures: bool,
    seed: int,
    workers: int | None,
) -> Drawn:
    """Write every result, draw the figures if wanted, then the pictures, and return what became of the drawings.

    A drawing that fails does not take the others down: it ends as a sentence. Raises OSError when the folder cannot
    be written.
    """
    from theorylab.backends import crew, spread

    for result in results:
        write(result, folder)
    tasks = [_Task(result, folder, seed) for result in results if figures]
    tasks += [_Task(picture, folder, seed) for picture in pictures]
    # A drawing takes half a second; processes, because matplotlib is not made for threads.
    artists = crew("loky", workers if len(tasks) > 4 else 1)
    sentences = dict(spread(_draw, tasks, artists)) if tasks else {}
    return Drawn(
        {result.id: sentences[result.id] for result in results if figures},
        {picture.id: sentences[picture.id] for picture in pictures},
    )


def _draw(task: _Task) -> tuple[str, str]:
    item = task.item
    if isinstance(item, ClaimResult):
        return item.id, _draw_figure(item, task.folder)
    from theorylab.pictures import save_picture

    return item.id, save_picture(item, task.folder, seed=task.seed)


def _draw_figure(result: ClaimResult, folder: Path) -> str:
    from theorylab.plotting import save

    try:
        save(result, folder)
    except OSError:
        raise
    except Exception as error:
        # The figure of an earlier run would be taken for this one's.
        for ending in (".svg", ".png"):
            (folder / f"{result.id}{ending}").unlink(missing_ok=True)
        return f"{result.id}: its figure could not be drawn: {type(error).__name__}: {error}"
    return ""
