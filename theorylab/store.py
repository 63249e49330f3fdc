"""The store of finished cells: content-addressed, one small file a cell, written atomically, checked when read."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import theorylab
from theorylab.audit import Hypothesis, Status
from theorylab.cells import WHOLE_TRAJECTORY, Cell, Measured, canonical
from theorylab.claims import Claim, root_of
from theorylab.results import write_atomically

_LIBRARIES = ("numpy", "scipy", "numba", "cvxpy")


class StoreError(OSError):
    """The store cannot be read or written; the message names the path and the remedy."""


class DamagedError(ValueError):
    """An entry of the store is truncated or was changed; it has to be computed again."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of finished cells; open it with :func:`open_store`."""

    folder: Path

    def get(self, key: str) -> Measured | None:
        """Return what the cell with this key measured, or None when it is not in the store.

        Raises DamagedError when the entry is not what was written, StoreError when it cannot be read.
        """
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(self._path(key), error) from error
        checksum, _, body = content.partition(b"\n")
        if checksum != _checksum(key, body):
            raise DamagedError(key)
        return _decode(body)

    def put(self, key: str, measured: Measured) -> None:
        """Keep what a cell measured; raises StoreError when the disk is full or the folder cannot be written."""
        body = _encode(measured)
        self._write(self._path(key), _checksum(key, body) + b"\n" + body)

    def counterexamples(self, claim_id: str) -> list[dict[str, Any]]:
        """Return the runs that contradicted a statement made for every run: seed, point, replicate, spawn key."""
        try:
            records = json.loads(self._counterexamples(claim_id).read_bytes())
        except (FileNotFoundError, ValueError):
            return []  # a damaged list costs nothing but the order in which cells are run
        except OSError as error:
            raise _refused(self._counterexamples(claim_id), error) from error
        well_formed = isinstance(records, list) and all(isinstance(record, dict) for record in records)
        return records if well_formed else []

    def keep_counterexamples(self, claim_id: str, records: list[dict[str, Any]]) -> None:
        """Replace the counterexamples of a claim; raises StoreError when that cannot be written."""
        path = self._counterexamples(claim_id)
        if records or path.exists():
            self._write(path, (json.dumps(records, indent=1) + "\n").encode())

    def _path(self, key: str) -> Path:
        return self.folder / "cells" / key[:2] / key[2:]

    def _counterexamples(self, claim_id: str) -> Path:
        return self.folder / "counterexamples" / f"{claim_id}.json"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise _refused(path, error) from error


def open_store(results: Path) -> Store:
    """Open, or make, the store inside a results folder, and try that it can be written.

    Raises StoreError when the folder is a file or cannot be written.
    """
    results = Path(results).resolve()
    folder = results / "store"
    for path in (results, folder):
        if path.exists() and not path.is_dir():
            raise StoreError(f"folder={str(path)!r} is a file; give another results folder, or move the file away")
    trial = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error
    return Store(folder)


def cell_key(claim: Claim, cell: Cell, *, full: bool, seed: int, sources: str) -> str:
    """Return the address of a cell: a hash of everything that its measurement depends on, ``sources`` included.

    The arm counts by its settings, so that renaming a control loses nothing. Raises ValueError when a setting cannot
    be written down.
    """
    points = claim.sweep.points(full)
    place = ("trajectory", *points) if cell.point == WHOLE_TRAJECTORY else ("point", points[cell.point])
    text = canonical((claim.id, claim.arms()[cell.arm], place, cell.replicate, seed, sources))
    return sha256(text.encode()).hexdigest()


def file_of(claim: Claim) -> Path:
    """Return the file in which a claim is written; raises ValueError when it was typed into a session."""
    return file_that_holds(claim.function, claim.id)


def file_that_holds(function: Callable[..., Any], name: str) -> Path:
    """Return the file of a function; raises ValueError, which calls it by ``name``, when it is in none."""
    path = getattr(sys.modules.get(function.__module__), "__file__", None)
    if path is None or not Path(path).is_file():
        raise ValueError(f"{name}: its function is not in a file (file={path!r}); write it to a file to run it")
    return Path(path).resolve()


def sources_of(file: Path) -> str:
    """Return a hash of all that a claim in ``file`` computes with, read from disk now.

    It covers every .py of theorylab (but not of its page, which only shows results), every .py of ``problems`` beside
    ``verify``, the file itself (its whole folder when that lies inside ``verify``; there ``lesson*.py`` count for
    themselves alone, because no claim imports from them), and the versions of Python and of the numerical libraries.
    """
    root = root_of(file)
    engine, problems = Path(theorylab.__file__).parent, root / "problems"
    in_own_folder = file.parent not in (root, root / "verify")
    claims = list(file.parent.rglob("*.py")) if in_own_folder else [file]
    if not file.name.startswith("lesson"):
        claims = [path for path in claims if not path.name.startswith("lesson")]
    total = sha256(canonical((platform.python_version(), *(_version(name) for name in _LIBRARIES))).encode())
    computing = [path for path in engine.rglob("*.py") if engine / "report" not in path.parents]
    for base, paths in ((engine, computing), (problems, problems.rglob("*.py")), (file.parent, claims)):
        for path in sorted(paths):
            content = sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(base).as_posix()}:{content}\n".encode())
    return total.hexdigest()


@cache
def sources_when_loaded(file: Path) -> str:
    """Return :func:`sources_of` as it was when this process first asked, which it does right after importing.

    A long-lived process (a notebook, a cluster's worker) computes with the sources it imported, not with those on
    disk: comparing the two hashes keeps stale results out of the store.
    """
    return sources_of(file)


def versions() -> Mapping[str, str]:
    """Return the versions that a result records: theorylab, Python, numpy, scipy, numba."""
    libraries = {name: _version(name) for name in ("numpy", "scipy", "numba")}
    return {"theorylab": theorylab.__version__, "python": platform.python_version()} | libraries


@cache
def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "absent"


def _checksum(key: str, body: bytes) -> bytes:
    # The key is part of it: an entry that was copied to another address is noticed too.
    return sha256(key.encode() + body).hexdigest().encode()


def _encode(measured: Measured) -> bytes:
    # JSON writes the shortest decimals that read back as the same float, so every bit survives.
    hypotheses = {name: (h.status.name, h.measured, h.note) for name, h in measured.hypotheses.items()}
    document = {"values": dict(measured.values), "hypotheses": hypotheses, "seconds": measured.seconds}
    return json.dumps(document).encode()


def _decode(body: bytes) -> Measured:
    document = json.loads(body)
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in document["values"].items()}
    hypotheses = {name: Hypothesis(Status[s], c, note) for name, (s, c, note) in document["hypotheses"].items()}
    return Measured(values, hypotheses, document["seconds"])


def _refused(path: Path, error: OSError) -> StoreError:
    said = error.strerror or str(error)
    return StoreError(
        f"cannot use {str(path)!r}: {said}. Finished cells are kept; make room or make the folder writable, or give "
        f"another results folder, and run again to resume"
    )
