"""What ``theorylab demo`` does: find the lesson of a paper, compute it or take it from the store, write its page."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from theorylab.cells import canonical, stream, words_of
from theorylab.claims import ClaimError, load_file
from theorylab.finding import load_content
from theorylab.report.lesson_data import document
from theorylab.report.lesson_page import lesson_page
from theorylab.report.lessons import Classroom, Lesson, Progress, lesson_of
from theorylab.results import write_atomically
from theorylab.store import file_that_holds, open_store, sources_when_loaded, versions

_MOST_BYTES = 5_000_000
_FORMAT = ("lessons.py", "lesson_checks.py", "lesson_data.py")  # what makes a document, but is no source of a claim


def write_lesson(
    paper: str,
    files: Sequence[Path],
    out: Path | None,
    *,
    results: Path,
    seed: int = 0,
    fresh: bool = False,
    progress: Progress,
) -> list[str]:
    """Write the page of a paper's lesson and return sentences: where it is, how large, whether it was stored.

    Parameters
    ----------
    paper
        Name of the paper, which is that of its file.
    files
        Files of claims, among them the paper's.
    out
        The HTML file, by default ``figures/<paper>.html``; folders above it are made.
    results
        Folder of results; the lesson is kept in its store.
    seed
        Seed of the lesson's generator.
    fresh
        Compute it again although it is stored.
    progress
        Called with every advance of the precomputation.

    Raises
    ------
    ClaimError
        No paper has this name, its file does not import, or it has no lesson.
    ValueError
        The lesson does not fit together, or is too large for a page.
    OSError
        The page or the store cannot be written.
    """
    classroom, claims = _found(paper, files)
    slug = classroom.paper.slug
    stored, note = _computed(classroom, results=results, seed=seed, fresh=fresh, progress=progress)
    text = lesson_page(classroom, stored["lesson"], claims, seed=seed, versions=stored["versions"])
    size = len(text.encode())
    if size > _MOST_BYTES:
        raise ValueError(
            f"{slug}: its lesson takes {size / 1e6:.1f} MB, a page may take {_MOST_BYTES / 1e6:.0f}; "
            "give the curves fewer points or the sliders fewer values"
        )
    target = Path("figures") / f"{slug}.html" if out is None else out
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, text)
    return [f"{target}: {size / 1e6:.2f} MB, {note}."]


def _found(paper: str, files: Sequence[Path]) -> tuple[Classroom, Sequence[Any]]:
    """Return the lesson and the claims of a paper; raises ClaimError with the nearest names, or what is missing."""
    by_name = {path.stem.replace("_", "-"): path for path in files}
    name = paper.strip("/").replace("_", "-")
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5) or [k for k in by_name if name in k][:3]
        names = " or ".join(by_name[k].stem for k in near) or ", ".join(path.stem for path in files)
        raise ClaimError(f"no paper is called {paper!r}; did you mean {names}?")
    path = by_name[name]
    content = load_content(path)
    classroom = lesson_of(load_file(path))
    if classroom is None:
        raise ClaimError(
            f"{path.stem} has no lesson yet; a lesson is a function under @lesson(PAPER) that {path.name} imports, "
            "see theorylab.report.lessons"
        )
    return classroom, content.claims


def _computed(
    classroom: Classroom, *, results: Path, seed: int, fresh: bool, progress: Progress
) -> tuple[dict[str, Any], str]:
    """Return the stored record of a lesson, computing it first if need be, and where it came from in words."""
    slug = classroom.paper.slug
    sources = sources_when_loaded(file_that_holds(classroom.function, f"the lesson of {slug}"))
    format_hash = [sha256((Path(__file__).parent / name).read_bytes()).hexdigest() for name in _FORMAT]
    key = sha256(canonical((slug, seed, sources, format_hash)).encode()).hexdigest()
    path = open_store(results).folder / "lessons" / f"{slug}-{key}.json"
    damaged = False
    if path.exists() and not fresh:
        record = _read(path)
        if record is not None:
            return record, "from the store; --fresh computes it again"
        damaged = True
    rng = stream(seed, words_of(f"lesson {slug}"))
    with np.errstate(all="ignore"):
        lesson = classroom.function(rng, progress)
    if not isinstance(lesson, Lesson):
        raise ValueError(f"{slug}: the lesson's function returned {type(lesson).__name__}; return a Lesson")
    record = {"lesson": document(lesson), "versions": dict(versions())}
    body = json.dumps(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{sha256(body.encode()).hexdigest()}\n{body}")
    return record, "computed; what the store held was damaged" if damaged else "computed and stored"


def _read(path: Path) -> dict[str, Any] | None:
    """Return a stored lesson, or None when it is not what was written."""
    checksum, _, body = path.read_bytes().partition(b"\n")
    if checksum != sha256(body).hexdigest().encode():
        return None
    record: dict[str, Any] = json.loads(body)
    return record
