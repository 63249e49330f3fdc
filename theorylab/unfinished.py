"""Which claims a run has begun and not ended: a small list in the results folder, for those who look at it later."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from theorylab.results import write_atomically

_NAME = "unfinished.json"


@dataclass(frozen=True, slots=True)
class Begun:
    """The budget ("quick" or "full") and the seed of a run that has begun."""

    budget: str
    seed: int


def mark(folder: Path, claims: Iterable[str], begun: Begun) -> None:
    """Note that a run of these claim ids has begun; raises OSError when the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, unfinished(folder) | dict.fromkeys(claims, begun))


def unmark(folder: Path, claims: Iterable[str]) -> None:
    """Note that the results of these claim ids are written."""
    gone = set(claims)
    _write(folder, {claim: begun for claim, begun in unfinished(folder).items() if claim not in gone})


def unfinished(folder: Path) -> dict[str, Begun]:
    """Return the claim ids whose run has not ended; a list that cannot be read counts as empty."""
    try:
        entries = json.loads((folder / _NAME).read_bytes())
        return {str(claim): Begun(str(entry["budget"]), int(entry["seed"])) for claim, entry in entries.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # it only serves to explain a missing result


def _write(folder: Path, entries: dict[str, Begun]) -> None:
    if not entries:
        (folder / _NAME).unlink(missing_ok=True)
        return
    plain = {claim: {"budget": begun.budget, "seed": begun.seed} for claim, begun in entries.items()}
    write_atomically(folder / _NAME, json.dumps(plain, indent=1) + "\n")
