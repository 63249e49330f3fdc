"""The README tells the truth: its example runs, its commands are those of the continuous integration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"<!-- example: executed.*?-->\n```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_claim_is_short_and_runs(tmp_path):
    code = EXAMPLES[0]
    assert len(code.strip().splitlines()) <= 30
    path = tmp_path / "first_steps.py"
    path.write_text(code)
    command = [sys.executable, str(path), "--json", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["ok"]
    (claim,) = document["claims"]
    assert claim["id"] == "first-steps/sample-mean"
    assert claim["verdict"] == "upheld"
    assert claim["controls"][0]["refuted"]


@pytest.mark.parametrize("code", EXAMPLES[1:])
def test_the_other_examples_run_and_print(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 5


def test_continuous_integration_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    for command in (
        "python3 -m venv .venv && .venv/bin/pip install",
        ".venv/bin/python -m pytest",
        ".venv/bin/theorylab verify",
    ):
        assert command in README
        assert command in script


def test_everything_the_readme_points_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)|`(verify/\S+?\.py|tests/\S+?\.py)`", README):
        path = next(part for part in target if part)
        assert (ROOT / path).exists(), path
