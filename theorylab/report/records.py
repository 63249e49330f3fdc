"""What the page shows: claims of today's files and results of earlier runs, put side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from theorylab.cells import cells_of
from theorylab.claims import Claim, ClaimError, Paper
from theorylab.finding import load_content
from theorylab.pictures import Picture
from theorylab.store import DamagedError, Store, cell_key, file_that_holds, sources_of, versions
from theorylab.unfinished import Begun, unfinished


class State(Enum):
    """How a result relates to the files of today; the values are what people read."""

    CURRENT = "current"
    STALE = "stale"
    UNFINISHED = "half-finished"
    MISSING = "no result yet"
    DAMAGED = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One claim on the page: its claim of today (None if it is gone), its record (None if there is none), its state.

    ``note`` is the sentence that explains any state but "current"; ``figure`` the SVG file, if there is one.
    """

    id: str
    paper: str
    claim: Claim | None
    record: Mapping[str, Any] | None
    state: State
    note: str
    figure: Path | None
    figure_note: str

    @property
    def anchor(self) -> str:
        """The id of the claim's section on the page."""
        return self.id.replace("/", "--")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEntry:
    """One picture on the page: its record, and its SVG file if it was drawn."""

    id: str
    paper: str
    record: Mapping[str, Any] | None
    picture: Picture | None
    svg: Path | None
    note: str

    @property
    def anchor(self) -> str:
        """The id of the picture on the page."""
        return "picture--" + self.id.replace("/", "--")


@dataclass(frozen=True, slots=True)
class Collection:
    """Everything that the page shows, and the sentences about files that could not be imported."""

    papers: Mapping[str, Paper]
    entries: list[Entry]
    pictures: list[PictureEntry]
    problems: list[str]


def collect(results: Path, files: Sequence[Path]) -> Collection:
    """Read the claims of ``files`` and the stored results.

    A file that does not import becomes a problem; its stored results are shown all the same. Raises ClaimError when
    there is no result at all.
    """
    claims: list[Claim] = []
    pictures: list[Picture] = []
    problems: list[str] = []
    for file in files:
        try:
            content = load_content(file)
        except ClaimError as error:
            problems.append(str(error))
        else:
            claims += content.claims
            pictures += content.pictures
    reader = _Reader(results, unfinished(results), {})
    entries = [_entry(claim.id, claim, reader) for claim in claims]
    known = {claim.id for claim in claims}
    stored = sorted(f"{path.parent.name}/{path.stem}" for path in results.glob("*/*.json"))
    # Whatever else lies there (other records, somebody's notes) is no result of a claim.
    gone = [_entry(name, None, reader) for name in stored if name not in known]
    entries += [entry for entry in gone if entry.record is not None and entry.record["id"] == entry.id]
    if not any(entry.record for entry in entries):
        raise ClaimError(f"results={str(results)!r} holds no results yet; make them with: theorylab verify")
    if problems:
        # The file of a claim that seems to be gone may be one that does not import.
        entries = [_doubtful(entry) if entry.claim is None else entry for entry in entries]
    papers = [claim.paper for claim in claims] + [picture.paper for picture in pictures]
    return Collection(
        {paper.slug: paper for paper in papers}, entries, [_picture(picture, reader) for picture in pictures], problems
    )


def _doubtful(entry: Entry) -> Entry:
    return replace(entry, note="The file of this claim could not be imported: the result is of an earlier version.")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Where results are, which runs have not ended, and the hashes of sources that were computed already."""

    results: Path
    begun: Mapping[str, Begun]
    hashes: dict[Path, str]

    def sources(self, item: Claim | Picture) -> str:
        file = file_that_holds(item.function, item.id)
        if file not in self.hashes:
            self.hashes[file] = sources_of(file)
        return self.hashes[file]

    def read(self, path: Path) -> Mapping[str, Any] | None:
        """Return a record, or None when it is damaged."""
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict) or not {"id", "title", "seed"} <= set(record):
            return None
        return {"judges": [], "sources": "", "notes": [], "reason": ""} | record  # what older records lack


def _entry(name: str, claim: Claim | None, reader: _Reader) -> Entry:
    path = reader.results / f"{name}.json"
    record = reader.read(path) if path.exists() else None
    if record is not None and not {"evidence", "controls", "hypotheses", "sweep", "verdict"} <= set(record):
        record = None
    state, note = _state(name, claim, record, path.exists(), reader)
    figure = path.with_suffix(".svg")
    there = record is not None and figure.exists()
    figure_note = ""
    if record is not None and not there:
        figure_note = f"This figure was not drawn, or drawing it failed: theorylab verify {name} draws it."
    elif there and figure.stat().st_mtime < path.stat().st_mtime - 1:
        figure_note = "The figure is of an earlier run than the numbers."
    return Entry(
        id=name,
        paper=name.split("/")[0],
        claim=claim,
        record=record,
        state=state,
        note=note,
        figure=figure if there else None,
        figure_note=figure_note,
    )


def _state(
    name: str, claim: Claim | None, record: Mapping[str, Any] | None, exists: bool, reader: _Reader
) -> tuple[State, str]:
    again = f"theorylab verify {name}"
    if name in reader.begun:
        return State.UNFINISHED, _how_far(claim, record, reader.begun[name], reader)
    if record is None and exists:
        return State.DAMAGED, f"The stored result cannot be read; make it anew: {again} --fresh."
    if record is None:
        return State.MISSING, f"Make it with: {again}."
    if claim is None:
        return State.STALE, "No claim of the files has this id any more: this result is of an earlier version."
    changed = [
        f"{library} {then}, here is {versions().get(library, 'none')}"
        for library, then in record.get("versions", {}).items()
        if versions().get(library) != then
    ]
    if changed:
        return State.STALE, f"Made with {'; '.join(changed)}. Make it anew: {again}."
    if record.get("sources") != reader.sources(claim):
        return State.STALE, f"The sources have changed since this result was made. Make it anew: {again}."
    return State.CURRENT, ""


def _how_far(claim: Claim | None, record: Mapping[str, Any] | None, begun: Begun, reader: _Reader) -> str:
    full = begun.budget == "full"
    said = f"A {begun.budget} run (seed {begun.seed}) has begun and not ended"
    if claim is not None:
        store, sources = Store((reader.results / "store").resolve()), reader.sources(claim)
        cells = cells_of(claim, full)
        keys = [cell_key(claim, cell, full=full, seed=begun.seed, sources=sources) for cell in cells]
        said += f": {sum(_kept(store, key) for key in keys)} of {len(keys)} cells are finished"
    options = " --full" * full + (f" --seed {begun.seed}" if begun.seed else "")
    shown = " What is shown is an earlier result." if record else ""
    return f"{said}; resume it with: theorylab verify{options}.{shown}"


def _kept(store: Store, key: str) -> bool:
    try:
        return store.get(key) is not None
    except DamagedError:
        return False


def _picture(picture: Picture, reader: _Reader) -> PictureEntry:
    paper, name = picture.id.split("/")
    path = reader.results / paper / "pictures" / f"{name}.json"
    record = reader.read(path) if path.exists() else None
    svg = path.with_suffix(".svg")
    note = ""
    if record is None:
        note = f"Not drawn yet: theorylab verify {picture.id}."
    elif record.get("failure"):
        note = str(record["failure"])
    elif record.get("sources") != reader.sources(picture):
        note = f"Stale: the sources have changed since it was drawn. Draw it anew: theorylab verify {picture.id}."
    there = record is not None and not record.get("failure") and svg.exists()
    return PictureEntry(
        id=picture.id, paper=paper, record=record, picture=picture, svg=svg if there else None, note=note
    )
