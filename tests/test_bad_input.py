"""Bad input on the command line ends in a sentence that names the value and the remedy, and in the right exit code."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import claim_files
import pytest
from test_cli import ROOT, theorylab

from theorylab import store
from theorylab.unfinished import Begun, unfinished


@pytest.fixture
def clone(tmp_path, monkeypatch):
    claim_files.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "small-number"], "'small-number'; did you mean small-numbers or"),
        (["verify", "small-numbers/hold"], "'small-numbers/hold'; did you mean small-numbers/holds"),
        (["verify", "qqq"], "there are the papers small-numbers"),
        (["show", "small-numbers/helds"], "did you mean small-numbers/holds"),
        (["verify", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["verify", "--seed", "1.5"], "'1.5' is not a valid integer"),
        (["verify", "--backend", "mpi"], "'mpi' is not one of 'loky', 'threading', 'dask'"),
        (["verify", "--scheduler", "tcp://127.0.0.1:1"], "needs backend='dask'"),
        (["verify", "--folder", "nowhere"], "'nowhere' does not exist"),
        (["list", "--jsn"], "No such option"),
        (["verfy"], "verfy"),
    ],
)
def test_usage_errors(clone, capsys, arguments, words):
    assert theorylab(*arguments) == 2
    out, err = capsys.readouterr()
    assert words in err and "Traceback" not in err and out == ""


@pytest.mark.parametrize("workers", ["0", "-2", "two"])
def test_workers(clone, capsys, workers):
    from theorylab import cli

    assert cli.execute(cli.commands, "theorylab", ["verify", "--workers", workers]) == 2
    assert "--workers" in capsys.readouterr().err


def test_json_errors_leave_stdout_empty(clone, capfd):
    assert theorylab("verify", "nothing", "--json") == 2
    out, err = capfd.readouterr()
    assert out == "" and "'nothing'" in err


def test_no_claim_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("theorylab.__file__", str(tmp_path / "site-packages/theorylab/__init__.py"))
    assert theorylab("list") == 2
    assert "--folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:\n", "line 1: the file does not import: SyntaxError"),
        ("\n1 / 0\n", "line 2: the file does not import: ZeroDivisionError"),
        ("raise SystemExit(4)\n", "SystemExit"),
    ],
)
def test_a_file_that_does_not_import(clone, capsys, text, words):
    (clone / "verify/other.py").write_text(text)
    assert theorylab("list") == 2
    err = capsys.readouterr().err
    assert words in err and "other.py" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("controls=[]", "a check that cannot fail is no check"),
        ("replicates=Replicates(quick=0, full=3)", "quick=0 must be a whole number of at least 1"),
        ('source=" "', "say which theorem"),
    ],
)
def test_a_claim_that_is_not_well_formed(clone, capsys, options, words):
    claim_files.write(clone, "small-numbers", claim_files.FAILS.format(options=options))
    assert theorylab("verify") == 2
    assert words in capsys.readouterr().err


def test_an_id_in_two_files(clone, capsys):
    text = (clone / "verify/small_numbers.py").read_text()
    (clone / "verify/zz_copy.py").write_text(text)
    assert theorylab("verify") == 2
    assert "small-numbers/holds: two claims have this id, in small_numbers.py and zz_copy.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('the kernel gave up')", "the kernel gave up"),
        ("return None", "nothing"),
        ("return {**numbers(n, rng, scale), 'error': float('nan')}", "nan"),
        ("return {**numbers(n, rng, scale), 'error': rng.standard_normal(3)}", "error"),
        ("return {'bound': 1.0, 'eror': 1.0, 'positive': by_construction('yes')}", "eror"),
    ],
)
def test_a_claim_that_cannot_be_measured_does_not_take_the_others_down(clone, capsys, body, words):
    lines = '@small(id="odd")\ndef odd(n, rng, *, scale=1.0):\n    """An odd claim."""\n    ' + body + "\n"
    claim_files.write(clone, "small-numbers", claim_files.HOLDS, lines)
    assert theorylab("verify") == 3
    out = capsys.readouterr().out
    assert "✓ upheld" in out and "! could not measure" in out
    assert words in out.lower() and "Traceback" not in out


def test_a_control_that_is_not_refuted(clone, capsys):
    claim_files.write(
        clone, "small-numbers", claim_files.HOLDS.replace("@small()", "@small(controls=[Control('tame', scale=0.5)])")
    )
    assert theorylab("verify") == 1
    out = capsys.readouterr().out
    assert "control “tame” must come out violated, came out upheld" in out and "0/1 control refuted" in out


def test_a_results_folder_that_is_a_file(clone, capsys):
    Path("results").write_text("not a folder")
    assert theorylab("verify") == 3
    err = capsys.readouterr().err
    assert "results" in err and "is a file" in err and Path("results").read_text() == "not a folder"


def test_a_full_disk(clone, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_atomically", full)
    assert theorylab("verify") == 3
    err = capsys.readouterr().err
    assert "No space left on device" in err and "Traceback" not in err


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs theorylab[cluster]")
def test_an_unreachable_scheduler(clone, capsys, monkeypatch):
    monkeypatch.setattr("theorylab.backends._SECONDS_TO_CONNECT", 0.3)
    assert theorylab("verify", "--backend", "dask", "--scheduler", "tcp://127.0.0.1:9") == 3
    assert "tcp://127.0.0.1:9" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_resume(clone, capsys):
    interrupting = claim_files.HOLDS.replace(
        "    return",
        "    if n == 1 and not pathlib.Path('again').exists():\n        signal.raise_signal(signal.SIGINT)\n    return",
    )
    claim_files.write(clone, "small-numbers", "import pathlib, signal", interrupting)
    assert theorylab("verify") == 130
    out, err = capsys.readouterr()
    assert out == "" and "the same command resumes" in err and "Traceback" not in err
    assert unfinished(Path("results")) == {"small-numbers/holds": Begun("quick", 0)}
    Path("again").touch()
    assert theorylab("verify") == 0
    assert unfinished(Path("results")) == {}
    assert "from the store" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("verify", "--no-figures", "--workers", "1")])
def test_a_broken_pipe_ends_quietly(clone, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "theorylab", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    os.close(writer)
    assert done.returncode == 141
    assert "Error" not in done.stderr and "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
