"""What every file of verify/ has to offer; a contributor's new file is held to it without being listed here."""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from theorylab.claims import claims_of, load_file
from theorylab.pictures import pictures_of
from theorylab.report.lessons import lesson_of
from theorylab.report.mathematics import mathml
from theorylab.report.prose import formulas
from theorylab.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "verify").glob("*.py"))
MODULES = {path.stem: load_file(path) for path in FILES}
CLAIMS = [claim for module in MODULES.values() for claim in claims_of(module)]
LESSONS = [found for module in MODULES.values() if (found := lesson_of(module))]
PICTURES = [picture for module in MODULES.values() for picture in pictures_of(module)]
each_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
THRESHOLDS = {
    "at_most", "at_least", "rate", "margin", "delta", "relative", "absolute", "between", "factor",
    "factor_at_most", "factor_between",
}  # fmt: skip


def test_there_are_claims():
    assert CLAIMS


@pytest.mark.parametrize("stem", MODULES)
def test_a_file_holds_the_claims_of_the_paper_it_is_named_after(stem):
    module = MODULES[stem]
    assert module.__doc__
    claims = claims_of(module)
    assert claims
    assert {claim.paper.slug for claim in claims} == {stem}
    text = Path(module.__file__).read_text()
    assert "raise SystemExit(run_file(__file__))" in text, (
        "python verify/NAME.py must run the claims and exit as they do"
    )


@pytest.mark.parametrize("path", sorted(Path(FILES[0].parent).rglob("*.py")), ids=lambda path: path.name)
def test_no_claim_shadows_another(path):
    """A second function of the same name would silently replace the first claim."""
    names = Counter(node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    assert max(names.values(), default=1) == 1, names.most_common(1)


def test_ids_are_unique():
    ids = [claim.id for claim in CLAIMS] + [picture.id for picture in PICTURES]
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    assert not repeated


@each_claim
def test_the_docstring_is_the_theorem(claim):
    assert len(claim.title) <= 120, "the first line is the title"
    assert "$" not in claim.title, "titles are plain text; mathematics belongs below"
    assert claim.source
    for part in ("Problem", "Guarantee", "Measured", "Reference"):
        assert f"**{part}" in claim.statement, f"the docstring has no **{part}** part"
    assert claim.paper.reference


@each_claim
def test_nothing_is_left_to_fill_in(claim):
    texts = {
        "source": claim.source,
        "docstring": claim.statement,
        "paper title": claim.paper.title,
        "paper authors": claim.paper.authors,
        "paper reference": claim.paper.reference,
    }
    left = [name for name, text in texts.items() if "FILL IN" in text]
    assert not left, f"{claim.id}: still to be filled in: {', '.join(left)}"


@pytest.mark.parametrize(
    "path",
    [path for part in ("problems", "theorylab/algorithms", "verify") for path in sorted((ROOT / part).rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_docstring_is_left_to_fill_in(path):
    assert "FILL IN" not in path.read_text(), f"{path.relative_to(ROOT)} says FILL IN: write what it asks for"


@each_claim
def test_every_judge_has_a_threshold(claim):
    for judge in claim.judges:
        fields = {field.name: getattr(judge, field.name) for field in dataclasses.fields(judge)}
        assert any(fields.get(name) is not None for name in THRESHOLDS), f"{judge.name} decides nothing"


@each_claim
def test_a_control_and_the_hypotheses_are_listed(claim):
    assert claim.controls
    assert claim.hypotheses
    assert all(text.strip() for text in claim.hypotheses.values())


@each_claim
def test_another_verdict_than_upheld_has_its_reason(claim):
    assert claim.expected is Verdict.UPHELD or claim.reason


@each_claim
def test_the_full_budget_is_at_least_the_quick_one(claim):
    assert len(claim.sweep.full) >= len(claim.sweep.quick)
    assert claim.replicates.full >= claim.replicates.quick


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.id)
def test_a_picture_has_a_plain_title_and_a_caption(picture):
    assert len(picture.title) <= 120 and "$" not in picture.title
    assert picture.caption, "the docstring says below its first line what to look at"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.paper.slug)
def test_a_lesson_has_a_title_and_an_introduction_that_can_be_typeset(lesson):
    assert len(lesson.title) <= 120
    assert lesson.lead, "the docstring says below its first line what the lesson is about"
    for latex in formulas(lesson.title) + formulas(lesson.lead):
        assert mathml(latex)


@pytest.mark.parametrize("path", sorted((ROOT / "verify").rglob("*.py")), ids=lambda path: path.name)
def test_no_claim_computes_with_a_lesson(path):
    """Lessons do not count as sources of claims, so that a sentence for the class makes no result stale."""
    if path.name.startswith("lesson") or path.parent.name == "verify":
        return
    names = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in names if name.split(".")[-1].startswith("lesson")]
