"""``figures/index.html``: one self-contained page of everything that was found, made from stored results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from theorylab import __version__
from theorylab.report import wording
from theorylab.report.findings import KINDS, findings
from theorylab.report.prose import html, line_html
from theorylab.report.records import Collection, Entry, PictureEntry, State, collect
from theorylab.report.vector import Styles, inline
from theorylab.results import write_atomically

if TYPE_CHECKING:
    from jinja2 import Environment

_SYMBOLS = {"upheld": "✓", "violated": "✗", "inconclusive": "?", "not applicable": "–", "could not measure": "!"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperPart:
    """One paper on the page: its slug, title, authors and reference, its claims and its pictures."""

    slug: str
    title: str
    authors: str
    reference: str
    entries: list[Entry]
    pictures: list[PictureEntry]


def write_page(results: Path, files: Sequence[Path], out: Path) -> list[str]:
    """Write the page and return sentences: where it is, what it holds, what is stale or missing.

    Parameters
    ----------
    results
        Folder of stored results.
    files
        Files of claims; what they state is compared with what the results say they stated.
    out
        The HTML file; folders above it are made.

    Raises
    ------
    ClaimError
        There are no results, or no files of claims.
    OSError
        The page cannot be written.
    """
    collection = collect(results, files)
    text = page(collection)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text)
    shown = sum(entry.record is not None for entry in collection.entries)
    said = [f"{out}: {shown} of {len(collection.entries)} claims, {len(text.encode()) / 1e6:.1f} MB."]
    said += [f"{entry.id}: {entry.state.value}. {entry.note}" for entry in collection.entries if entry.note]
    said += [f"{entry.id}: {entry.figure_note}" for entry in collection.entries if entry.figure_note]
    said += [f"{picture.id}: {picture.note}" for picture in collection.pictures if picture.note]
    return said + collection.problems


def page(collection: Collection) -> str:
    """Return the whole page as HTML."""
    links = _links(collection)
    styles = Styles()
    found = findings(collection.entries)
    grouped = {KINDS[kind]: [item for item in found if item.kind == kind] for kind in KINDS}
    body = (
        _environment(links, styles)
        .get_template("page.html")
        .render(
            version=__version__,
            front=front_sentence(collection.entries),
            state_note=_state_sentence(collection.entries),
            problems=collection.problems,
            groups={title: items for title, items in grouped.items() if items},
            folded=KINDS["loose"],  # many and seldom read; what fails is never folded away
            papers=_papers(collection),
            entries=collection.entries,
            modes=_sorted_values(collection.entries, "mode"),
            verdicts=[word for word in _SYMBOLS if word in _sorted_values(collection.entries, "verdict")],
        )
    )
    return body.replace("/*FIGURE-STYLES*/", styles.css())


def front_sentence(entries: Sequence[Entry]) -> str:
    """Return the state of the suite in one sentence."""
    records = [entry.record for entry in entries if entry.record]
    controls = [control for record in records for control in record["controls"]]
    good, refuted = sum(record["as_expected"] for record in records), sum(control["refuted"] for control in controls)
    papers = len({record["paper"] for record in records})
    claims = f"{_all_of(good, len(records))} claims of {papers} paper{'s' * (papers != 1)} came out as expected"
    words = {word: sum(record["verdict"] == word for record in records) for word in _SYMBOLS}
    counted = ", ".join(f"{count} {word}" for word, count in words.items() if count)
    budgets = " and ".join(sorted({f"{record['budget']} budget" for record in records}))
    seeds = ", ".join(sorted({str(record["seed"]) for record in records}))
    return (
        f"{claims} ({counted}), and {_all_of(refuted, len(controls)).lower()} controls came out as they must "
        f"({budgets}, seed {seeds})."
    )


def _all_of(part: int, whole: int) -> str:
    return f"All {whole}" if part == whole else f"{part} of {whole}"


def _state_sentence(entries: Sequence[Entry]) -> str:
    counts = {state: sum(entry.state is state for entry in entries) for state in State if state is not State.CURRENT}
    parts = [f"{count} {state.value}" for state, count in counts.items() if count]
    return f"Not up to date: {', '.join(parts)}." if parts else ""


def _sorted_values(entries: Sequence[Entry], field: str) -> list[str]:
    return sorted({str(entry.record[field]) for entry in entries if entry.record})


def _papers(collection: Collection) -> list[PaperPart]:
    parts = []
    slugs = [entry.paper for entry in collection.entries] + [picture.paper for picture in collection.pictures]
    for slug in dict.fromkeys(slugs):
        paper = collection.papers.get(slug)
        parts.append(
            PaperPart(
                slug=slug,
                title=paper.title if paper else slug,
                authors=paper.authors if paper else "",
                reference=paper.reference if paper else "",
                entries=[entry for entry in collection.entries if entry.paper == slug],
                pictures=[picture for picture in collection.pictures if picture.paper == slug],
            )
        )
    return parts


def _links(collection: Collection) -> dict[str, dict[str, str]]:
    """Return, for each paper, the anchors of its claims by the names that its texts call them."""
    links: dict[str, dict[str, str]] = {}
    for entry in collection.entries:
        own = links.setdefault(entry.paper, {})
        own[entry.id.split("/")[1]] = own[entry.id] = entry.anchor
    return links


def _environment(links: Mapping[str, Mapping[str, str]], styles: Styles) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("theorylab.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    # What stands in the package is ours and goes in as it is; everything else is escaped or made by prose and vector.
    for name in ("page.css", "page.js"):
        source = environment.loader.get_source(environment, name)[0] if environment.loader else ""
        environment.globals[name.replace(".", "_")] = Markup(source)
    environment.filters |= {
        "number": wording.number,
        "interval": wording.interval,
        "point": wording.point,
        "constant": wording.constant,
        "summary": wording.summary,
        "power": wording.power,
        "tables": wording.tables,
        "symbol": lambda word: _SYMBOLS.get(word, "·"),
        "line": lambda text, paper="": Markup(line_html(_linked(text, links.get(paper, {})), links.get(paper, {}))),
        "statement": lambda text, paper: Markup(html(text.partition("\n\n")[2] or text, links.get(paper, {}))),
        "prose": lambda text, paper: Markup(html(text, links.get(paper, {}))),
        "figure": lambda entry: Markup(_figure(entry, styles)),
        "drawing": lambda picture: Markup(_drawing(picture, styles)),
        "command": command,
    }
    return environment


def _linked(text: str, links: Mapping[str, str]) -> str:
    """Put names of claims that stand in a sentence as they are into code spans, which become links.

    Only names of several words: one word may be meant as a word.
    """
    names = [name for name in links if "-" in name and "/" not in name]
    if not names or "`" in text:
        return text
    longest_first = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.sub(rf"(?<![\w/-])({longest_first})(?![\w/-])", r"`\1`", text)


def _figure(entry: Entry, styles: Styles) -> str:
    record = entry.record
    if entry.figure is None or record is None:
        return ""
    label = f"{record['title']}: {record['verdict']}. {record['evidence']['summary']}"
    return _inlined(entry.figure, label, styles)


def _drawing(picture: PictureEntry, styles: Styles) -> str:
    if picture.svg is None or picture.record is None:
        return ""
    return _inlined(picture.svg, f"{picture.record['title']}. {picture.record['text']}", styles)


def _inlined(path: Path, label: str, styles: Styles) -> str:
    try:
        return inline(path.read_text(encoding="utf-8"), label, styles)
    except (OSError, ValueError):
        return '<p class="note">This figure could not be read; the next run draws it again.</p>'


def command(record: Mapping[str, Any]) -> str:
    """Return the command that makes this very result again."""
    full = " --full" if record["budget"] == "full" else ""
    seed = f" --seed {record['seed']}" if record["seed"] else ""
    return f"theorylab verify {record['id']}{full}{seed}"
