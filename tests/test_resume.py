"""Kill a run at any moment and start it again: nothing finished is computed twice, and every bit is the same."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from theorylab import results
from theorylab.claims import claims_of, load_file
from theorylab.runner import run
from theorylab.store import StoreError

FILE = Path(__file__).with_name("engine_claims.py")
ROOT = Path(__file__).parents[1]
CELLS = 18

# Runs one claim and prints every bit of its values. With a moment to die at, it kills itself without any clean-up.
DRIVER = """
import os, signal, sys
from pathlib import Path
from theorylab import results
from theorylab.claims import claims_of, load_file
from theorylab.runner import run

file, folder, workers, moment, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
left = [count]

def die_in_time(now):
    if now == moment:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def write_atomically(path, content):
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content[: len(content) // 2])
    die_in_time("half written")
    temporary.write_bytes(content)
    die_in_time("before rename")
    temporary.replace(path)
    die_in_time("after rename")

def tell(progress):
    print(progress.done, flush=True)

def main():
    if moment != "never":
        from theorylab import store
        store.write_atomically = write_atomically
    claim = {c.id: c for c in claims_of(load_file(file))}["toy/separate"]
    if moment == "computing":
        inner = claim.function
        def function(T, rng, **settings):
            die_in_time("computing")
            return inner(T, rng, **settings)
        function.__module__ = inner.__module__
        from dataclasses import replace
        claim = replace(claim, function=function)
    (result,) = run([claim], workers=workers, folder=folder, on_event=tell)
    for arm in (result.arm, *result.controls):
        for name, values in sorted(arm.values.items()):
            print("bits", arm.name, name, values.tobytes().hex(), flush=True)

main()
"""


def command(folder, *, file=FILE, workers=1, moment="never", count=1):
    return [sys.executable, "-c", DRIVER, str(file), str(folder), str(workers), moment, str(count)]


def drive(folder, *, marks=None, **options):
    environment = os.environ | ({"THEORYLAB_MARKS": str(marks)} if marks else {})
    done = subprocess.run(command(folder, **options), capture_output=True, text=True, cwd=ROOT, env=environment)
    return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("bits")], done.stderr


def bits(result):
    return [
        f"bits {arm.name} {name} {values.tobytes().hex()}"
        for arm in (result.arm, *result.controls)
        for name, values in sorted(arm.values.items())
    ]


def separate(file=FILE):
    return {c.id: c for c in claims_of(load_file(file))}["toy/separate"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    (result,) = run([separate()], workers=1, folder=tmp_path_factory.mktemp("undisturbed"))
    return bits(result)


def count(marks):
    return len(marks.read_text().splitlines()) if marks.exists() else 0


def entries(folder):
    return [p for p in (folder / "store" / "cells").rglob("*") if p.is_file() and not p.name.startswith(".")]


@pytest.mark.parametrize(
    ("moment", "at", "finished"),
    [
        ("computing", 1, 0),
        ("computing", 11, 10),
        ("half written", 1, 0),
        ("half written", 8, 7),
        ("before rename", 5, 4),
        ("after rename", 13, 13),
        ("after rename", CELLS, CELLS),
    ],
)
def test_killed_at_any_moment(tmp_path, undisturbed, monkeypatch, moment, at, finished):
    marks = tmp_path / "marks"
    code, _, said = drive(tmp_path / "r", moment=moment, count=at)
    assert code == -signal.SIGKILL, said
    assert len(entries(tmp_path / "r")) == finished
    monkeypatch.setenv("THEORYLAB_MARKS", str(marks))
    (result,) = run([separate()], workers=1, folder=tmp_path / "r")
    assert count(marks) == CELLS - finished
    assert bits(result) == undisturbed
    assert result.notes == ()


def interrupted(folder, send):
    """Start two worker processes, disturb them once cells come in, and wait until the last of them has gone."""
    process = subprocess.Popen(
        command(folder, workers=2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    for line in process.stdout:
        if int(line) > 0:
            break
    send(process)
    # Workers hold the other end of this pipe: it ends when no process is left.
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_killed_with_workers(tmp_path, undisturbed):
    code, _ = interrupted(tmp_path, lambda process: process.kill())
    assert code == -signal.SIGKILL
    kept = len(entries(tmp_path))
    assert kept >= 1
    (result,) = run([separate()], workers=1, folder=tmp_path)
    assert bits(result) == undisturbed


def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(tmp_path, undisturbed):
    code, errors = interrupted(tmp_path, lambda process: process.send_signal(signal.SIGINT))
    assert code != 0 and "KeyboardInterrupt" in errors
    assert len(entries(tmp_path)) >= 1
    (result,) = run([separate()], workers=1, folder=tmp_path)
    assert bits(result) == undisturbed


def test_two_runs_at_once(tmp_path, undisturbed):
    both = [
        subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    for process in both:
        said, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert [line for line in said.splitlines() if line.startswith("bits")] == undisturbed
    assert len(entries(tmp_path)) == CELLS


def test_damaged_entries_are_computed_again_and_mentioned(tmp_path, undisturbed, monkeypatch):
    run([separate()], workers=1, folder=tmp_path / "r")
    first, second, *_ = sorted(entries(tmp_path / "r"))
    first.write_bytes(first.read_bytes()[:40])
    second.write_bytes(second.read_bytes().replace(b"seconds", b"sekonds"))
    marks = tmp_path / "marks"
    monkeypatch.setenv("THEORYLAB_MARKS", str(marks))
    (result,) = run([separate()], workers=1, folder=tmp_path / "r")
    assert result.notes == ("2 stored cells were damaged and computed again",)
    assert (count(marks), bits(result)) == (2, undisturbed)
    (result,) = run([separate()], workers=1, folder=tmp_path / "r")
    assert (count(marks), result.notes) == (2, ())


def test_fresh_computes_every_cell(tmp_path, undisturbed, monkeypatch):
    marks = tmp_path / "marks"
    monkeypatch.setenv("THEORYLAB_MARKS", str(marks))
    for times in (1, 2):
        (result,) = run([separate()], workers=1, folder=tmp_path / "r", fresh=True)
        assert (count(marks), bits(result)) == (times * CELLS, undisturbed)


def test_an_edit_is_never_answered_with_old_cells(tmp_path):
    file, marks = tmp_path / "engine_claims.py", tmp_path / "marks"
    shutil.copy(FILE, file)
    original = file.read_text()
    _, before, _ = drive(tmp_path / "r", file=file, marks=marks)
    file.write_text(original.replace("FACTOR = 1.0", "FACTOR = 3.0"))
    _, edited, _ = drive(tmp_path / "r", file=file, marks=marks)
    assert len(before) == len(edited) == 4 and before != edited
    assert count(marks) == 2 * CELLS
    file.write_text(original)
    assert drive(tmp_path / "r", file=file, marks=marks)[1] == before
    assert count(marks) == 2 * CELLS


def test_an_edit_under_a_living_process_is_refused(tmp_path):
    file = tmp_path / "engine_claims.py"
    shutil.copy(FILE, file)
    claim = separate(file)
    run([claim], workers=1, folder=tmp_path / "r")
    file.write_text(file.read_text().replace("FACTOR = 1.0", "FACTOR = 3.0"))
    with pytest.raises(ValueError, match=r"edited after this process read it; start anew"):
        run([claim], workers=1, folder=tmp_path / "r")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_that_breaks_during_the_run(tmp_path, undisturbed, workers):
    cells, aside = tmp_path / "store" / "cells", tmp_path / "aside"

    def break_it(progress):
        if progress.done and not aside.exists():
            cells.rename(aside)
            cells.write_text("in the way")

    with pytest.raises(StoreError, match=r"cannot use .*Finished cells are kept.*run again to resume"):
        run([separate()], workers=workers, folder=tmp_path, on_event=break_it)
    cells.unlink()
    aside.rename(cells)
    assert len(entries(tmp_path)) >= 1
    (result,) = run([separate()], workers=1, folder=tmp_path)
    assert bits(result) == undisturbed


def test_result_files_of_a_resumed_run_are_those_of_an_undisturbed_one(tmp_path):
    drive(tmp_path / "r", moment="after rename", count=5)
    (resumed,) = run([separate()], workers=1, folder=tmp_path / "r")
    (plain,) = run([separate()], workers=1, folder=tmp_path / "other")
    assert results.tidy_csv(resumed) == results.tidy_csv(plain)
    timeless = [results.document_json(r) | {"seconds": 0} for r in (resumed, plain)]
    assert timeless[0] == timeless[1]
