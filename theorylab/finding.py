"""Where claims and pictures are found: the files of ``verify/``, and what a command names of them."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import theorylab
from theorylab.claims import Claim, ClaimError, claims_of, load_file
from theorylab.pictures import Picture, pictures_of


def claim_files(folder: Path | None = None) -> list[Path]:
    """Return the files of claims, sorted: those of ``folder``, or of the nearest ``verify/``.

    Without ``folder`` the current folder and its parents are searched, then the clone that theorylab runs from. Files
    whose name starts with an underscore are left out. Raises ClaimError when there are none.
    """
    if folder is not None:
        files = _files(folder)
        if not files:
            raise ClaimError(f"folder={str(folder)!r} holds no claim files (*.py); name a folder that does")
        return files
    here = Path.cwd()
    clone = Path(theorylab.__file__).parents[1]
    for parent in (here, *here.parents, clone):
        files = _files(parent / "verify")
        if files:
            return files
    raise ClaimError(
        f"no claim files: neither {str(here)!r} nor a folder above it has a 'verify' folder with *.py files; "
        "change to a clone of the project, or name the folder with --folder"
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Found:
    """Claims and pictures, of files or of the names that a command was given."""

    claims: list[Claim]
    pictures: list[Picture]

    @property
    def items(self) -> list[Claim | Picture]:
        """Claims first, then pictures."""
        return [*self.claims, *self.pictures]


def load_content(path: Path) -> Found:
    """Return claims and pictures of a file; raises ClaimError, naming file and line, when it does not import."""
    try:
        module = load_file(path)
        return Found(claims_of(module), pictures_of(module))
    except ClaimError as error:
        raise ClaimError(f"{path.name}: {error}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == path.resolve()]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f"{path}, line {line}" if line else str(path)
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ClaimError(f"{where}: the file does not import: {type(error).__name__}: {said}") from error


def select(names: Sequence[str], files: Sequence[Path]) -> Found:
    """Return what ``names`` (papers, ``paper/claim``, ``paper/picture``, or these alone) stand for; without names, all.

    When every named paper has a file of its name, only these files are imported. Raises ClaimError for a name that
    nothing has, with the nearest names, and for an id that two claims or pictures share.
    """
    by_name = {_normal(path.stem): path for path in files}
    papers = [_normal(name).partition("/")[0] for name in names]
    chosen = [by_name[paper] for paper in dict.fromkeys(papers) if paper in by_name]
    if names and len(chosen) == len(set(papers)):
        found = _everything(chosen)
        if all(_matches(name, found) for name in names):
            return _matching(names, found)
    found = _everything(files)
    for name in names:
        if not _matches(name, found):
            raise ClaimError(f"no paper or claim is called {name!r}; {_nearest(name, found)}")
    return _matching(names, found)


def _everything(files: Iterable[Path]) -> Found:
    seen: dict[str, tuple[Claim | Picture, Path]] = {}
    for path in files:
        content = load_content(path)
        for item in content.items:
            known, other = seen.setdefault(item.id, (item, path))
            if known is not item:
                kinds = "claims" if isinstance(known, Claim) and isinstance(item, Claim) else "claims or pictures"
                raise ClaimError(f"{item.id}: two {kinds} have this id, in {other.name} and {path.name}")
    items = [item for item, _ in seen.values()]
    return Found(
        [item for item in items if isinstance(item, Claim)], [item for item in items if isinstance(item, Picture)]
    )


def _normal(name: str) -> str:
    return name.strip("/").replace("_", "-")


def _names(item: Claim | Picture) -> tuple[str, ...]:
    identity = _normal(item.id)
    return identity, *identity.split("/")


def _matches(name: str, found: Found) -> bool:
    return any(_normal(name) in _names(item) for item in found.items)


def _matching(names: Sequence[str], found: Found) -> Found:
    if not names:
        return found
    wanted = {_normal(name) for name in names}
    return Found(
        [claim for claim in found.claims if wanted & {*_names(claim)}],
        [picture for picture in found.pictures if wanted & {*_names(picture)}],
    )


def _nearest(name: str, found: Found) -> str:
    ids = [item.id for item in found.items]
    known = {_normal(part): part for identity in ids for part in (identity, *identity.split("/"))}
    near = difflib.get_close_matches(_normal(name), known, n=3, cutoff=0.5)
    near = near or [other for other in known if _normal(name) in other][:3]
    if near:
        return f"did you mean {' or '.join(known[other] for other in near)}?"
    papers = ", ".join(dict.fromkeys(claim.paper.slug for claim in found.claims))
    return f"there are the papers {papers}; 'theorylab list' shows all claims" if papers else "there are no claims"
