"""Imports run one way: verify -> problems, theorylab; problems -> theorylab.algorithms; theorylab -> neither."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def imported(path: Path) -> set[str]:
    """Names of all modules that a file imports, at any depth of its text."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the full name"
            names.add(node.module or "")
    return names


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", files("theorylab"), ids=lambda p: str(p.relative_to(ROOT)))
def test_theorylab_imports_neither_problems_nor_verify(path):
    outside = {name for name in imported(path) if below(name, "problems") or below(name, "verify")}
    assert not outside


@pytest.mark.parametrize("path", files("theorylab/algorithms"), ids=lambda p: str(p.relative_to(ROOT)))
def test_algorithms_import_nothing_of_the_engine(path):
    engine = {n for n in imported(path) if below(n, "theorylab") and not below(n, "theorylab.algorithms")}
    assert not engine


@pytest.mark.parametrize("path", files("problems"), ids=lambda p: str(p.relative_to(ROOT)))
def test_problems_import_at_most_algorithms(path):
    names = imported(path)
    assert not {n for n in names if below(n, "verify")}
    assert not {n for n in names if below(n, "theorylab") and not below(n, "theorylab.algorithms")}


ORDER = ["verdicts", "audit", "intervals", "measurements", "rates", "judges", "claims", "results", "store", "runner"]


@pytest.mark.parametrize("low", ORDER)
def test_the_engine_is_layered(low):
    later = {
        f"theorylab.{name}"
        for name in [*ORDER[ORDER.index(low) + 1 :], "cli", "plotting", "pictures", "outputs", "testing"]
    }
    assert not imported(ROOT / "theorylab" / f"{low}.py") & later


@pytest.mark.parametrize("module", ["theorylab", "theorylab.cli"])
def test_the_command_line_starts_without_heavy_imports(module):
    heavy = {"numpy", "scipy", "numba", "matplotlib", "cvxpy", "sklearn", "joblib", "rich"}
    code = f"import sys, {module}; print(' '.join(sorted(set(m.partition('.')[0] for m in sys.modules))))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not heavy & set(loaded.stdout.split())
