"""Where claims are found: the files of ``verify/``, and the claims that a command names."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import theorylab
from theorylab.claims import Claim, ClaimError, claims_of, load_file


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


def load_claims(path: Path) -> list[Claim]:
    """Return the claims of a file; raises ClaimError, which names the file and the line, when it does not import."""
    try:
        return claims_of(load_file(path))
    except ClaimError as error:
        raise ClaimError(f"{path.name}: {error}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == path.resolve()]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f"{path}, line {line}" if line else str(path)
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ClaimError(f"{where}: the file does not import: {type(error).__name__}: {said}") from error


def select(names: Sequence[str], files: Sequence[Path]) -> list[Claim]:
    """Return the claims that ``names`` (papers, ``paper/claim`` or claims) stand for, each once; without names, all.

    When every named paper has a file of its name, only these files are imported. Raises ClaimError for a name that
    nothing has, with the nearest names, and for an id that two claims share.
    """
    by_name = {_normal(path.stem): path for path in files}
    papers = [_normal(name).partition("/")[0] for name in names]
    chosen = [by_name[paper] for paper in dict.fromkeys(papers) if paper in by_name]
    if names and len(chosen) == len(set(papers)):
        claims = _all_claims(chosen)
        if all(_matches(name, claims) for name in names):
            return _matching(names, claims)
    claims = _all_claims(files)
    for name in names:
        if not _matches(name, claims):
            raise ClaimError(f"no paper or claim is called {name!r}; {_nearest(name, claims)}")
    return _matching(names, claims)


def _all_claims(files: Iterable[Path]) -> list[Claim]:
    found: dict[str, tuple[Claim, Path]] = {}
    for path in files:
        for claim in load_claims(path):
            if found.setdefault(claim.id, (claim, path))[0] is not claim:
                raise ClaimError(f"{claim.id}: two claims have this id, in {found[claim.id][1].name} and {path.name}")
    return [claim for claim, _ in found.values()]


def _normal(name: str) -> str:
    return name.strip("/").replace("_", "-")


def _names(claim: Claim) -> tuple[str, ...]:
    identity = _normal(claim.id)
    return identity, *identity.split("/")


def _matches(name: str, claims: Iterable[Claim]) -> list[Claim]:
    return [claim for claim in claims if _normal(name) in _names(claim)]


def _matching(names: Sequence[str], claims: Sequence[Claim]) -> list[Claim]:
    if not names:
        return list(claims)
    return [claim for claim in claims if any(_matches(name, [claim]) for name in names)]


def _nearest(name: str, claims: Sequence[Claim]) -> str:
    known = {_normal(part): part for claim in claims for part in (claim.id, *claim.id.split("/"))}
    near = difflib.get_close_matches(_normal(name), known, n=3, cutoff=0.5)
    near = near or [other for other in known if _normal(name) in other][:3]
    if near:
        return f"did you mean {' or '.join(known[other] for other in near)}?"
    papers = ", ".join(dict.fromkeys(claim.paper.slug for claim in claims))
    return f"there are the papers {papers}; 'theorylab list' shows all claims" if papers else "there are no claims"
