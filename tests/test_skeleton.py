"""``theorylab new NAME``: three files that run at once, and fail the conformance suite until they are filled in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import theorylab
from theorylab import cli
from theorylab.claims import ClaimError
from theorylab.skeleton import begin

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = ("problems/heavy_ball.py", "theorylab/algorithms/heavy_ball.py", "verify/heavy_ball.py")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the engine with nothing in problems/ and verify/ but what the command writes."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "theorylab", folder / "theorylab", ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("problems", "verify", "tests"):
        (folder / part).mkdir()
    (folder / "problems/__init__.py").touch()
    for name in ("tests/test_conformance.py", "setup.cfg", "ruff.toml"):
        shutil.copy(ROOT / name, folder / name)
    done = python(folder / "problems", "-m", "theorylab", "new", "heavy_ball")
    assert done.returncode == 0, done.stderr
    assert "Try it: python verify/heavy_ball.py" in done.stdout
    return folder


def python(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = next(folder for folder in (cwd, *cwd.parents) if (folder / "theorylab").is_dir())
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.kernels
def test_the_first_claim_holds_and_its_control_is_refuted(clone):
    done = python(clone, "verify/heavy_ball.py", "--workers", "1", "--no-figures")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 claims as expected, 1 of 1 controls as they must be" in done.stdout


def test_conformance_says_what_is_to_be_filled_in_and_the_examples_are_true(clone):
    done = python(clone, "-m", "pytest", "--doctest-modules", "tests/test_conformance.py", *WRITTEN[:2])
    assert done.returncode == 1
    failed = {line.split("::")[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {
        "test_the_docstring_is_the_theorem[heavy_ball/gap-after-t-steps]",
        "test_nothing_is_left_to_fill_in[heavy_ball/gap-after-t-steps]",
        *(f"test_no_docstring_is_left_to_fill_in[{name}]" for name in WRITTEN),
    }
    assert "still to be filled in: source, docstring, paper title, paper authors, paper reference" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("5 failed")


def test_the_files_keep_the_house_rules(clone):
    style = [sys.executable, "-m", "ruff"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([*style, *command, *WRITTEN], cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A clone without content, from which theorylab seems to run."""
    for part in ("problems", "verify", "theorylab/algorithms"):
        (tmp_path / part).mkdir(parents=True)
    monkeypatch.setattr(theorylab, "__file__", str(tmp_path / "theorylab/__init__.py"))
    return tmp_path


def test_nothing_is_overwritten_and_nothing_half_written(empty):
    (empty / "verify/mine.py").write_text("kept")
    with pytest.raises(ClaimError, match=r"name='mine' is taken, there is already verify/mine.py"):
        begin("mine", empty)
    assert (empty / "verify/mine.py").read_text() == "kept"
    assert not list((empty / "problems").iterdir())
    (empty / "verify/parts").mkdir()
    with pytest.raises(ClaimError, match="verify/parts/"):
        begin("parts", empty)
    begin("yours", empty / "problems")
    assert all((empty / name.replace("heavy_ball", "yours")).exists() for name in WRITTEN)
    assert "@name@" not in (empty / "verify/yours.py").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Heavy-Ball", "e.g. heavy_ball"),
        ("2nd", "a module name$"),
        ("a/b", "e.g. a_b"),
        ("../up", "e.g. up"),
        ("lambda", "lower-case words"),
        ("", "lower-case words"),
        ("random", "python verify/random.py would hide"),
        ("numpy", "would hide"),
    ],
)
def test_names_that_are_no_names_of_files_are_refused_with_a_better_one(empty, name, said):
    with pytest.raises(ClaimError, match=said):
        begin(name, empty)
    assert not list(empty.rglob("*.py"))


def test_outside_a_clone_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.execute(cli.commands, "theorylab", ("new", "mine")) == 2
    assert "is not inside a clone of the project" in capsys.readouterr().err


def test_in_a_clone_that_theorylab_does_not_run_from_it_says_so(empty, monkeypatch):
    monkeypatch.setattr(theorylab, "__file__", "/elsewhere/theorylab/__init__.py")
    with pytest.raises(ClaimError, match=r"pip install -e \."):
        begin("mine", empty)
