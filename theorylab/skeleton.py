"""The beginning of a paper: three small files that run at once and say what is to be filled in."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

import theorylab
from theorylab.claims import ClaimError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TEMPLATES = Path(__file__).parent / "report" / "templates"
_FILES = {
    "new-problem.txt": "problems/{}.py",
    "new-algorithm.txt": "theorylab/algorithms/{}.py",
    "new-claims.txt": "verify/{}.py",
}


def begin(name: str, here: Path) -> list[str]:
    """Write problem, algorithm and claims called ``name`` into the clone around ``here``; return what to do next.

    Nothing is written unless all three can be. Raises ClaimError when the name is no module name, is taken, or would
    hide another module, and when ``here`` is not inside the clone that theorylab runs from. Raises OSError when a
    file cannot be written.
    """
    _check_name(name)
    root = _clone_around(here)
    targets = {template: root / place.format(name) for template, place in _FILES.items()}
    taken = [str(target.relative_to(root)) for target in targets.values() if target.exists()]
    taken += [f"verify/{name}/"] if (root / "verify" / name).is_dir() else []
    if taken:
        raise ClaimError(f"name={name!r} is taken, there is already {', '.join(taken)}; choose another name")
    for template, target in targets.items():
        text = (_TEMPLATES / template).read_text(encoding="utf-8").replace("@name@", name)
        target.write_text(text, encoding="utf-8")
    return [
        *(f"{target.relative_to(root)}: written." for target in targets.values()),
        f"Try it: python verify/{name}.py (a toy theorem about gradient descent; its control is refuted).",
        "Then replace the toy by the paper, and fill in what says FILL IN: statement, source, reference. Until that "
        "is done, python -m pytest tests/test_conformance.py says what is missing; CONTRIBUTING.md says the rest.",
    ]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        hint = f", e.g. {near}" if _NAME.fullmatch(near) and not keyword.iskeyword(near) else ""
        raise ClaimError(f"name={name!r} must be lower-case words joined by underscores, a module name{hint}")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise ClaimError(
            f"name={name!r} is that of an installed module, which python verify/{name}.py would hide; choose another"
        )


def _clone_around(here: Path) -> Path:
    """Return the root of the clone around a folder; raises ClaimError when there is none, or theorylab is another's."""
    inside = [folder for folder in (here, *here.parents) if _is_clone(folder)]
    if not inside:
        raise ClaimError(
            f"{str(here)!r} is not inside a clone of the project (a folder with problems/, verify/ and "
            "theorylab/algorithms/); change to a clone and run it there"
        )
    root, ours = inside[0].resolve(), Path(theorylab.__file__).resolve().parents[1]
    if root != ours:
        raise ClaimError(
            f"theorylab runs from {str(ours)!r}, not from the clone {str(root)!r}, and would not see the new "
            "algorithm; install the clone with: pip install -e ."
        )
    return root


def _is_clone(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in ("problems", "verify", "theorylab/algorithms"))
