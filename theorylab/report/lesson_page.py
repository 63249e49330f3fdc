"""The page of a lesson: one self-contained HTML file, made from a lesson's document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from theorylab import __version__
from theorylab.claims import Claim, ClaimError
from theorylab.report.lessons import Classroom
from theorylab.report.prose import html, line_html

if TYPE_CHECKING:
    from jinja2 import Environment

_HEADINGS = {
    "problem": "The problem",
    "algorithm": "The algorithm",
    "guarantee": "The guarantee",
    "experiment": "The experiment",
    "breaks": "What breaks it",
}
_FILES = ("page.css", "lesson.css", "lesson.js")


def lesson_page(
    classroom: Classroom,
    document: Mapping[str, Any],
    claims: Sequence[Claim],
    *,
    seed: int,
    versions: Mapping[str, str],
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    classroom
        The lesson, for its title and paper.
    document
        What it computed, as `theorylab.report.lesson_data.document` returns it.
    claims
        The claims of the paper; the lesson names some of them.
    seed, versions
        What the lesson was computed with.

    Raises
    ------
    ClaimError
        The lesson rests on a claim that the paper does not have.
    """
    paper = classroom.paper
    by_name = {claim.id.split("/")[1]: claim for claim in claims}
    for name in document["claims"]:
        if name not in by_name:
            known = ", ".join(by_name) or "none"
            raise ClaimError(f"{paper.slug}: its lesson rests on the claim {name!r}; the claims are {known}")
    rests = [by_name[name] for name in document["claims"]]
    anchors = {name: _anchor(by_name[name]) for name in document["claims"]}
    charts: list[Any] = []
    parts = [_part(part, charts) for part in document["parts"]]
    options = f" --seed {seed}" if seed else ""
    return (
        _environment(anchors)
        .get_template("lesson.html")
        .render(
            version=__version__,
            title=classroom.title,
            lead=classroom.lead,
            paper=paper,
            parts=parts,
            claims=[_entry(claim) for claim in rests],
            command=f"theorylab demo {paper.slug}{options}",
            seed=seed,
            versions=versions,
            # "<" only occurs in names; written so, no name can end the script.
            data=Markup(json.dumps(charts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")),
        )
    )


def _part(part: Mapping[str, Any], charts: list[Any]) -> dict[str, Any]:
    """Return what the template shows of a part, and append the data of its charts for the script."""
    shown = []
    for chart in part["charts"]:
        shown.append({"title": chart["title"], "look": chart["look"], "index": len(charts)})
        charts.append({key: value for key, value in chart.items() if key != "look"})
    return {"name": part["name"], "heading": _HEADINGS[part["name"]], "text": part["text"], "charts": shown}


def _anchor(claim: Claim) -> str:
    return claim.id.replace("/", "--")


def _entry(claim: Claim) -> dict[str, str]:
    return {
        "id": claim.id,
        "anchor": _anchor(claim),
        "title": claim.title,
        "source": claim.source,
        "kind": claim.guarantee.value,
        "mode": claim.mode.value,
    }


def _environment(anchors: Mapping[str, str]) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("theorylab.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    for name in _FILES:
        source = environment.loader.get_source(environment, name)[0] if environment.loader else ""
        environment.globals[name.replace(".", "_")] = Markup(source)
    environment.filters |= {
        "line": lambda text: Markup(line_html(text, anchors)),
        "prose": lambda text: Markup(html(text, anchors)),
    }
    return environment
