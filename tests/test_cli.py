"""The command line: what is run, what is printed where, and the exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import claim_files
import made_up
import pytest
from click.testing import CliRunner

from theorylab import backends, cli, console
from theorylab.runner import Progress
from theorylab.verdicts import Verdict

EXPECTED_TO_FAIL = 'expected="violated", reason="it was never true"'
ROOT = Path(__file__).parents[1]


def theorylab(*arguments: str) -> int:
    if "verify" in arguments:
        arguments = (*arguments, "--workers", "1", "--no-figures")
    return cli.execute(cli.commands, "theorylab", arguments)


def spawn(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | dict(options.pop("env", {}))
    return subprocess.run(
        [sys.executable, "-m", "theorylab", *arguments], cwd=cwd, env=environment, text=True, encoding="utf-8",
        **({"capture_output": True} | options),
    )  # fmt: skip


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with one paper of two claims, one of which is known to fail."""
    claim_files.write(tmp_path, "small-numbers", claim_files.HOLDS, claim_files.FAILS.format(options=EXPECTED_TO_FAIL))
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    return tmp_path


def test_verify_runs_the_claims_of_the_nearest_folder(clone, capsys):
    assert theorylab("verify") == 0
    out, err = capsys.readouterr()
    assert "✓ upheld    holds  1/1 control refuted" in out
    assert "✗ violated  fails  1/1 control upheld" in out
    assert "small-numbers/fails: violated, as expected: it was never true" in out
    assert out.endswith("computing).\n") and "2 of 2 claims as expected, 2 of 2 controls as they must be" in out
    assert "small-numbers/holds (12 cells)" in err
    stored = json.loads((clone / "inner/results/small-numbers/holds.json").read_text())
    assert stored["verdict"] == "upheld" and stored["budget"] == "quick"


@pytest.mark.parametrize("name", ["small-numbers/holds", "small_numbers/holds", "holds"])
def test_verify_runs_what_is_named(clone, capsys, name):
    assert theorylab("verify", name, "--quiet") == 0
    out, err = capsys.readouterr()
    assert "1 of 1 claims as expected" in out and err == ""
    assert not (clone / "inner/results/small-numbers/fails.json").exists()


def test_a_named_paper_does_not_import_the_others(clone, capsys):
    (clone / "verify/broken_paper.py").write_text("import nothing_like_this\n")
    assert theorylab("verify", "small-numbers", "--quiet") == 0
    assert theorylab("verify", "--quiet") == 2
    assert "broken_paper.py, line 1: the file does not import: ModuleNotFoundError" in capsys.readouterr().err


def test_full_seed_and_results_reach_the_run(clone, capsys):
    assert theorylab("verify", "holds", "--full", "--seed", "7", "--results", "elsewhere") == 0
    stored = json.loads(Path("elsewhere/small-numbers/holds.json").read_text())
    assert (stored["budget"], stored["seed"], stored["sweep"]["points"]) == ("full", 7, [1, 2, 4, 8])


def test_figures_are_drawn_unless_refused(clone, capsys):
    assert cli.execute(cli.commands, "theorylab", ["verify", "holds", "--workers", "1"]) == 0
    assert Path("results/small-numbers/holds.svg").read_text().startswith("<?xml")
    assert "figures" in capsys.readouterr().out


def test_json_is_one_document_whatever_a_claim_prints(tmp_path):
    noisy = claim_files.HOLDS.replace("    return", '    print("noise")\n    return')
    claim_files.write(tmp_path, "small-numbers", 'print("loud import")', noisy)
    done = spawn("verify", "--json", "--workers", "2", "--no-figures", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["ok"] is True
    (claim,) = document["claims"]
    assert {"id", "paper", "source", "mode", "verdict", "expected", "as_expected", "evidence", "hypotheses", "controls",
            "seconds"} <= set(claim)  # fmt: skip
    assert claim["controls"][0]["refuted"] is True
    assert "loud import" in done.stderr and "noise" in done.stderr


def test_list_names_every_claim_and_runs_none(clone, capsys):
    assert theorylab("list", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["claims"][1] == {
        "id": "small-numbers/fails",
        "paper": "small-numbers",
        "title": "The error is at most 1/n, which is false",
        "source": "Theorem 1",
        "kind": "upper bound",
        "mode": "for every run",
        "expected": "violated",
    }
    assert theorylab("list") == 0
    out = capsys.readouterr().out
    assert "  small-numbers/holds\n      The error is at most 1/n\n      Theorem 1; upper bound, for every run\n" in out
    assert not Path("results").exists()


def test_show_prints_statement_thresholds_and_command(clone, capsys):
    assert theorylab("show", "small-numbers/holds") == 0
    out = capsys.readouterr().out
    for part in ("α ≤ β", "positive: n ≥ 1", "quick: 1, 2, 4; 2 seeds a point", "at_most='bound'",
                 "ten times larger (scale=10.0)", "theorylab verify small-numbers/holds"):  # fmt: skip
        assert part in out


def test_run_file_runs_the_claims_of_that_file(clone, capsys):
    path = claim_files.write(clone, "other-paper")
    assert cli.run_file(path, ["--quiet", "--workers", "1", "--no-figures"]) == 0
    assert cli.run_file(path, ["fails"]) == 2
    out, err = capsys.readouterr()
    assert "1 of 1 claims as expected" in out and "no paper or claim is called 'fails'" in err


@pytest.mark.parametrize(
    ("claim", "control", "code"),
    [
        (Verdict.UPHELD, Verdict.VIOLATED, 0),
        (Verdict.VIOLATED, Verdict.VIOLATED, 1),
        (Verdict.NOT_APPLICABLE, Verdict.VIOLATED, 1),
        (Verdict.UPHELD, Verdict.UPHELD, 1),
        (Verdict.INCONCLUSIVE, Verdict.VIOLATED, 3),
        (Verdict.UPHELD, Verdict.INCONCLUSIVE, 3),
        (Verdict.COULD_NOT_MEASURE, Verdict.COULD_NOT_MEASURE, 3),
        (Verdict.INCONCLUSIVE, Verdict.UPHELD, 1),
    ],
)
def test_exit_code(claim, control, code):
    result = made_up.result(made_up.arm("", claim, [], {}), made_up.arm("wrong", control, [], {}))
    assert cli.exit_code([result]) == code


def test_an_expected_inconclusive_is_no_surprise():
    result = made_up.single(expected=Verdict.INCONCLUSIVE, control_verdict=Verdict.INCONCLUSIVE, reason="too small")
    assert cli.exit_code([result]) == 0
    assert console.findings(result, Path("results"))[0].endswith("inconclusive, as expected: too small")


def test_findings_spell_out_what_went_wrong():
    (undecided,) = (text for text in console.findings(made_up.single(), Path("r")) if "control" in text)
    assert "control “wrong variance” must come out violated, came out inconclusive" in undecided
    failed = console.findings(made_up.unmeasured(), Path("r"))[0]
    assert "rank=9 exceeds d=5" in failed and "r/made-up/broken.json" in failed


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    screen = console.console_for(stream)
    results = [made_up.rate(), made_up.trajectory(), made_up.unmeasured(), made_up.categories()]
    console.show_results(screen, results, quiet=False)
    console.show_summary(screen, results, Path("results"), figures=True, quiet=False)
    lines = stream.getvalue().splitlines()
    assert len(lines) > 20 and max(map(len, lines)) <= width
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_bar_and_the_verdicts_above_it(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with console.progress(stream, quiet=False) as on_event:
        on_event(Progress("p/a", 0, 4, 0, None))
        on_event(Progress("p/b", 0, 4, 0, None))
        on_event(Progress("p/a", 4, 4, 2, Verdict.UPHELD))
    assert "✓ upheld  p/a (4 cells, 2 from the store)" in stream.getvalue()
    assert "4/8" in stream.getvalue()


def test_plain_progress_names_each_verdict_once():
    stream = io.StringIO()
    with console.progress(stream, quiet=False) as on_event:
        on_event(Progress("p/a", 0, 40, 0, None))
        on_event(Progress("p/a", 20, 40, 0, None))
        on_event(Progress("p/a", 40, 40, 0, Verdict.VIOLATED))
        on_event(Progress("p/a", 40, 40, 0, Verdict.VIOLATED))
    assert stream.getvalue() == "20 of 40 cells\n✗ violated  p/a (40 cells)\n"


def test_ascii_streams_get_ascii(clone):
    done = spawn("show", "holds", cwd=clone, env={"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"})
    assert done.returncode == 0 and done.stdout.isascii()
    assert "alpha <= beta" in done.stdout and "?" not in done.stdout


def test_backends_are_those_of_the_runner():
    assert cli._BACKENDS == backends.BACKENDS


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys, theorylab.cli; print(sorted({'numpy', 'numba', 'rich', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
    helped = CliRunner().invoke(cli.commands, ["--help"])
    assert helped.exit_code == 0 and "verify" in helped.output
    assert "0.1.0" in CliRunner().invoke(cli.commands, ["--version"]).output
