"""What every lesson has to keep, for the tests of each: mathematics that is drawn, claims that exist, a small page."""

from __future__ import annotations

import json
import re
from pathlib import Path

from theorylab.claims import claims_of, load_file
from theorylab.report.lesson_data import document
from theorylab.report.lesson_page import lesson_page
from theorylab.report.lessons import PARTS, Lesson, lesson_of
from theorylab.report.mathematics import mathml
from theorylab.report.prose import formulas

VERIFY = Path(__file__).resolve().parents[1] / "verify"


def check(lesson: Lesson, paper: str, *, most_bytes: int = 1_000_000) -> str:
    """Assert the rules for a computed lesson of ``verify/<paper>.py`` and return its page."""
    module = load_file(VERIFY / f"{paper}.py")
    classroom, claims = lesson_of(module), claims_of(module)
    assert classroom is not None, f"verify/{paper}.py does not import its lesson"
    names = {claim.id.split("/")[1] for claim in claims}
    assert set(lesson.claims) <= names
    for name in PARTS:
        part = getattr(lesson, name)
        for text in (part.text, *(words for chart in part.charts for words in (chart.title, chart.look))):
            for latex in formulas(text):
                assert mathml(latex)
            called = set(re.findall(r"(?<!`)`([a-z0-9-]+)`", text)) & names
            assert called <= set(lesson.claims), f"{name} names {called - set(lesson.claims)}: put it into claims"
    assert any(getattr(lesson, name).charts for name in PARTS)
    page = lesson_page(classroom, json.loads(json.dumps(document(lesson))), claims, seed=0, versions={})
    assert len(page.encode()) < most_bytes
    return page
