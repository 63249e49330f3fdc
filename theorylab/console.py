"""What people read on a terminal: progress, the table of verdicts, findings in sentences, one claim in full."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from theorylab.judges import described
from theorylab.outputs import NOTHING_DRAWN, Drawn
from theorylab.results import ArmResult, ClaimResult, readable_point
from theorylab.verdicts import Verdict, conclude

if TYPE_CHECKING:
    from rich.console import Console

    from theorylab.claims import Claim
    from theorylab.pictures import Picture
    from theorylab.runner import Progress

_SYMBOLS = {
    Verdict.UPHELD: ("✓", "+"),
    Verdict.VIOLATED: ("✗", "x"),
    Verdict.INCONCLUSIVE: ("?", "?"),
    Verdict.NOT_APPLICABLE: ("–", "-"),
    Verdict.COULD_NOT_MEASURE: ("!", "!"),
}
_PLAIN = str.maketrans({
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "–": "-", "—": "-", "−": "-", "×": "x", "·": "-", "…": "...",
    "“": '"', "”": '"', "’": "'", "‘": "'", "√": "sqrt", "∞": "inf", "‖": "||", "→": "->", "±": "+-", "∈": "in",
})  # fmt: skip


def console_for(stream: IO[str]) -> Console:
    """Return a console on a stream: as wide as the terminal, 120 columns where there is none."""
    import os

    from rich.console import Console

    wide = None if stream.isatty() or "COLUMNS" in os.environ else 120
    return Console(file=stream, width=wide, highlight=False, markup=False, emoji=False)


def say(console: Console, text: str = "", *, style: str = "", indent: int = 0) -> None:
    """Print text, wrapped to the console's width below ``indent`` spaces; lines of the text stay lines."""
    from rich.text import Text

    text = written(text, console.encoding)
    room = max(console.width - indent, 30)
    for line in text.split("\n"):
        hang = len(line) - len(line.lstrip(" -"))
        for piece in textwrap.wrap(line, room, subsequent_indent=" " * hang, break_on_hyphens=False) or [""]:
            console.print(Text(" " * indent + piece, style=style), soft_wrap=True)


def written(text: str, encoding: str) -> str:
    """Return the text as a stream of this encoding can show it: Greek by name, symbols by their ASCII look.

    >>> written("‖Δ‖ ≤ 4α²", "ascii")
    '||Delta|| <= 4alpha^2'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_ascii(letter) for letter in text.translate(_PLAIN))
    return text


def _ascii(letter: str) -> str:
    if letter.isascii():
        return letter
    name = unicodedata.name(letter, "")
    if name.startswith("GREEK") and " LETTER " in name and " WITH " not in name:
        word = name.rpartition(" LETTER ")[2].lower().removeprefix("final ")
        return word.capitalize() if "CAPITAL" in name else word
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
    return f"^{plain}" if name.startswith("SUPERSCRIPT") else plain


@contextmanager
def progress(stream: IO[str], *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Yield what the runner calls with every advance: a bar on a terminal, plain lines elsewhere, nothing if quiet."""
    console = console_for(stream)
    seen: dict[str, Progress] = {}
    with advancing(console, "cells", quiet=quiet) as advance:
        yield lambda event: None if quiet else _follow(console, seen, event, advance)


@contextmanager
def advancing(console: Console, unit: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield what to call with ``(done, total)``: a bar on a terminal, a line a tenth elsewhere, nothing if quiet."""
    tenths = {0}

    def advance(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth not in tenths and done < total:
            tenths.add(tenth)
            say(console, f"{done} of {total} {unit}")

    if quiet:
        yield lambda done, total: None
    elif console.is_terminal:
        with _bar(console, unit) as move:
            yield move
    else:
        yield advance


@contextmanager
def _bar(console: Console, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(f"{unit},"), TimeElapsedColumn(), TextColumn("elapsed,"),
               TimeRemainingColumn(), TextColumn("left"))  # fmt: skip
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _follow(console: Console, seen: dict[str, Progress], event: Progress, advance: Callable[[int, int], None]) -> None:
    before = seen.get(event.claim)
    seen[event.claim] = event
    if event.verdict is not None and (before is None or before.verdict is None):
        stored = f", {event.stored} from the store" if event.stored else ""
        say(console, f"{_label(event.verdict, console)}  {event.claim} ({event.total} cells{stored})")
    advance(sum(item.done for item in seen.values()), sum(item.total for item in seen.values()))


def _label(verdict: Verdict, console: Console) -> str:
    fancy, plain = _SYMBOLS[verdict]
    symbol = fancy if written(fancy, console.encoding) == fancy else plain
    return f"{symbol} {verdict.word}"


def show_results(console: Console, results: Sequence[ClaimResult], *, quiet: bool) -> None:
    """Print one entry a claim (verdict, name, controls refuted, evidence) below its paper, failures only if quiet."""
    shown = [result for result in results if not (quiet and result.ok)]
    for paper in dict.fromkeys(result.paper for result in shown):
        say(console)
        say(console, paper, style="bold")
        mine = [result for result in shown if result.paper == paper]
        widths = [max(len(_cells(result, console)[i]) for result in mine) for i in range(2)]
        for result in mine:
            _show_result(console, result, widths)


def _cells(result: ClaimResult, console: Console) -> tuple[str, str, str]:
    refuted = sum(result.refuted(control) for control in result.controls)
    count = len(result.controls)
    controls = f"{refuted}/{count} control{'s' * (count != 1)} {_outcome(result)}"
    return _label(result.arm.verdict, console), result.id.split("/")[1], controls


def _outcome(result: ClaimResult) -> str:
    return "refuted" if result.control_verdict is Verdict.VIOLATED else "upheld"


def _show_result(console: Console, result: ClaimResult, widths: Sequence[int]) -> None:
    from rich.text import Text

    verdict, name, controls = _cells(result, console)
    colour = "green" if result.as_expected else "bold red"
    all_refuted = all(result.refuted(control) for control in result.controls)
    line = Text("  ")
    line.append(verdict.ljust(widths[0]), style=colour)
    line.append("  " + name.ljust(widths[1]), style="bold")
    line.append("  " + controls, style="" if all_refuted else "bold red")
    console.print(line, soft_wrap=True)
    for sentence in evidence_sentences(result.arm):
        say(console, f"- {sentence}", indent=4)


def evidence_sentences(arm: ArmResult) -> list[str]:
    """Return measured against stated, one sentence a test; the first reason when nothing could be measured."""
    said = [evidence.sentence for evidence in arm.evidence] or [failure.message for failure in arm.failures[:1]]
    return said or ["nothing was measured"]


def findings(result: ClaimResult, folder: Path) -> list[str]:
    """Return in sentences whatever is not simply "upheld, every control refuted"."""
    found = []
    verdict, expected = result.arm.verdict, result.expected
    if not result.as_expected:
        said = f"{result.id}: {verdict.word}, expected {expected.word}. "
        found.append(said + (_to_decide(result.arm) or "; ".join(evidence_sentences(result.arm))))
        if any(failure.traceback for failure in result.arm.failures):
            found[-1] += f" (traceback: {folder / result.id}.json)"
    elif expected is not Verdict.UPHELD:
        found.append(f"{result.id}: {verdict.word}, as expected: {result.reason}")
    for control in result.controls:
        if not result.refuted(control):
            must = f"must come out {result.control_verdict.word}, came out {control.verdict.word}"
            found.append(f"{result.id}: control “{control.name}” {must}. {'; '.join(evidence_sentences(control))}")
    return found + [f"{result.id}: {note}" for note in result.notes]


def _to_decide(arm: ArmResult) -> str:
    if arm.verdict is not Verdict.INCONCLUSIVE:
        return ""
    open_tests = [
        evidence
        for evidence, level in zip(arm.evidence, arm.levels, strict=True)
        if conclude(evidence, level_violated=level) is Verdict.INCONCLUSIVE and evidence.would_decide
    ]
    return "; ".join(f"{evidence.judge}: to decide, {evidence.would_decide}" for evidence in open_tests)


def show_summary(
    console: Console,
    results: Sequence[ClaimResult],
    folder: Path,
    *,
    figures: bool,
    quiet: bool,
    drawn: Drawn = NOTHING_DRAWN,
) -> None:
    """Print the findings, what could not be drawn, where everything was written, and the line that counts."""
    sentences = [s for result in results for s in findings(result, folder) if not (quiet and result.ok)]
    sentences += drawn.failures
    if sentences:
        say(console)
        say(console, "Findings", style="bold")
        for sentence in sentences:
            say(console, f"- {sentence}", indent=2)
    if not quiet:
        what = "Results and figures" if figures else "Results"
        say(console)
        say(console, f"{what}: {folder}/<paper>/<claim>.json, .csv{', .svg, .png' * figures}")
        if drawn.pictures:
            count = len(drawn.pictures)
            say(console, f"{count} picture{'s' * (count != 1)}: {folder}/<paper>/pictures/<picture>.svg, .png, .json")
        if results:
            say(console, f"One claim in full: theorylab show {results[0].id}")
    expected = sum(result.as_expected for result in results)
    controls = [result.refuted(control) for result in results for control in result.controls]
    seconds = sum(result.seconds for result in results)
    all_good = all(result.ok for result in results) and not drawn.failures
    say(
        console,
        f"{expected} of {len(results)} claims as expected, {sum(controls)} of {len(controls)} controls as they must be "
        f"({seconds:.1f} s of computing).",
        style="bold green" if all_good else "bold red",
    )


def show_list(console: Console, claims: Sequence[Claim], pictures: Sequence[Picture]) -> None:
    """Print id, source, kind and title of every claim and the title of every picture, by paper."""
    papers = [claim.paper for claim in claims] + [picture.paper for picture in pictures]
    for slug, paper in {paper.slug: paper for paper in papers}.items():
        say(console, f"{paper.title} ({paper.authors})", style="bold")
        for claim in (claim for claim in claims if claim.paper.slug == slug):
            say(console, claim.id, indent=2)
            say(console, claim.title, indent=6)
            say(console, f"{claim.source}; {claim.guarantee.value}, {claim.mode.value}", indent=6, style="dim")
        for picture in (picture for picture in pictures if picture.paper.slug == slug):
            say(console, picture.id, indent=2)
            say(console, picture.title, indent=6)
            say(console, "picture", indent=6, style="dim")
        say(console)


def show_picture(console: Console, picture: Picture) -> None:
    """Print title and caption of a picture and the command that draws it."""
    say(console, picture.id, style="bold")
    say(console, f"{picture.paper.title}. {picture.paper.authors}. {picture.paper.reference}")
    say(console)
    say(console, f"{picture.title}.\n\n{picture.caption}".strip(), indent=2)
    say(console)
    say(console, "Draw it", style="bold")
    say(console, f"theorylab verify {picture.id}", indent=2)


def show_claim(console: Console, claim: Claim) -> None:
    """Print everything that a claim states: theorem, hypotheses, sweep, thresholds, controls, how to reproduce it."""
    say(console, claim.id, style="bold")
    say(console, f"{claim.paper.title}. {claim.paper.authors}. {claim.paper.reference}")
    say(console, f"{claim.source}; {claim.guarantee.value}, {claim.mode.value}; expected: {claim.expected.word}")
    if claim.reason:
        say(console, claim.reason)
    say(console)
    say(console, claim.statement, indent=2)
    sweep, budget = claim.sweep, claim.replicates
    along = ", measured along one run" if sweep.along_trajectory else ""
    parts = {
        "Hypotheses, audited on every drawn instance": [f"{key}: {text}" for key, text in claim.hypotheses.items()],
        f"Sweep over {sweep.name}: {sweep.label}{along}": [
            f"quick: {_points(sweep.quick)}; {budget.quick} seeds a point",
            f"full: {_points(sweep.full)}; {budget.full} seeds a point",
        ],
        "Judged": [described(judge) for judge in claim.judges],
        f"Controls, which must come out {claim.control_verdict.word}": [
            f"{control.name} ({', '.join(f'{key}={value!r}' for key, value in control.settings.items())})"
            for control in claim.controls
        ],
        "Reproduce": [f"theorylab verify {claim.id}", f"theorylab verify {claim.id} --full"],
    }
    for title, lines in parts.items():
        say(console)
        say(console, title, style="bold")
        for line in lines:
            say(console, line, indent=2)


def _points(points: Sequence[Any]) -> str:
    names = [readable_point(point) for point in points]
    if len(names) > 10:
        names = [*names[:4], "…", *names[-2:], f"({len(points)} values)"]
    return ", ".join(names)
