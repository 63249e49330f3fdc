"""The page: self-contained, complete, and honest about what is stale, missing, half-finished or broken."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import claim_files
import made_up
import picture_files
import pytest

from theorylab import cli
from theorylab.claims import ClaimError
from theorylab.finding import claim_files as files_of
from theorylab.report.findings import findings
from theorylab.report.page import command, front_sentence, write_page
from theorylab.report.records import Entry, State
from theorylab.results import document_json
from theorylab.unfinished import Begun, mark, unfinished, unmark
from theorylab.verdicts import Verdict

VOID = {"meta", "wbr", "link", "br", "input", "img", "hr"}
STATEMENT = r'''
    r"""The error is at most 1/n.

    **Problem.** With $\\alpha \\le 1$ and <b>no markup</b>, see `fails`.

    - one thing,
    - $$\\sum_{k=1}^n \\frac{1}{k} \\le 1 + \\log n.$$
    """
'''
HOLDS = re.sub(r'\n    """.*?"""\n', lambda _: STATEMENT.replace("\\\\", "\\"), claim_files.HOLDS, flags=re.DOTALL)
FAILS = claim_files.FAILS.format(
    options='expected="violated", reason="at n = 1 it is false; holds is the form that holds"'
)


class Outline(HTMLParser):
    """Tags, ids and references of a page; raises when tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "src", "xlink:href", "action", "srcset"):
                self.references.append(value)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()


def run(*arguments: str) -> int:
    return cli.execute(cli.commands, "theorylab", arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clone with two papers, a picture and results."""
    folder = tmp_path_factory.mktemp("clone")
    picture_files.write(folder, claims=(HOLDS, FAILS))
    claim_files.write(folder, "other-numbers")
    run("verify", "--folder", str(folder / "verify"), "--results", str(folder / "results"), "--workers", "1", "--quiet")
    return folder


@pytest.fixture
def clone(made, tmp_path, monkeypatch):
    """A copy of the results that a test may spoil, beside the files that made them."""
    import shutil

    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "results", tmp_path / "results")
    return tmp_path


def page_of(made: Path, folder: Path) -> tuple[str, list[str]]:
    said = write_page(folder / "results", files_of(made / "verify"), folder / "out/index.html")
    return (folder / "out/index.html").read_text(), said


def words(html: str) -> str:
    text = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", text)


def section(html: str, anchor: str) -> str:
    return html[html.index(f'id="{anchor}"') :].partition("</article>")[0]


def test_the_page_is_one_self_contained_file(made, clone):
    text, said = page_of(made, clone)
    outline = Outline(text)
    assert len(set(outline.ids)) == len(outline.ids)
    for reference in outline.references:
        assert reference == "data:," or (reference.startswith("#") and reference[1:] in outline.ids), reference
    assert not re.search(r"https?:|url\((?!#)|@import", text)
    assert said == [f"{clone}/out/index.html: 3 of 3 claims, 0.1 MB."]
    assert {"math", "svg", "table", "nav", "main"} <= set(outline.tags)


def test_every_claim_has_a_section_with_all_there_is_to_know(made, clone):
    text, _ = page_of(made, clone)
    own = section(text, "small-numbers--holds")
    for part in ("<math", "<svg", "aria-label", "1/1", "scale=10.0", "n ≥ 1", "certified", "by construction",
                 "theorylab verify small-numbers/holds", "numpy", "ten times larger", "at_most=&#39;bound&#39;",
                 'href="#small-numbers--fails"', "&lt;b&gt;no markup", "2 seeds a point, quick budget, seed 0",
                 "The numbers of this figure", "error (measured)"):  # fmt: skip
        assert part in own or part == "1/1", part
    assert "$" not in re.sub(r"<code>.*?</code>", "", own)


def test_the_front_says_it_in_one_sentence(made, clone):
    text, _ = page_of(made, clone)
    assert (
        "All 3 claims of 2 papers came out as expected (2 upheld, 1 violated), and all 3 controls came out as they "
        "must (quick budget, seed 0)."
    ) in text
    front = text.partition('id="claims"')[0]
    assert "Published statements that fail" in front and 'href="#small-numbers--fails"' in front


def test_the_picture_stands_in_its_paper(made, clone):
    text, _ = page_of(made, clone)
    assert re.search(r"<figcaption>After 200 steps the walk is at", text)
    assert 'id="picture--small-numbers--random-walk"' in text and "<msqrt>" in text


def test_the_same_results_give_the_same_page(made, clone):
    assert page_of(made, clone)[0] == page_of(made, clone)[0]


def test_no_results_name_the_command(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("report", "--folder", str(made / "verify")) == 2
    assert "theorylab verify" in capsys.readouterr().err
    assert not Path("figures").exists()
    with pytest.raises(ClaimError, match="no results yet"):
        write_page(tmp_path / "nothing", files_of(made / "verify"), tmp_path / "x.html")


def test_the_command_writes_the_page(made, clone, capsys):
    assert run("report", "--folder", str(made / "verify")) == 0
    assert Path("figures/index.html").exists() and "3 of 3 claims" in capsys.readouterr().out


def spoil(clone: Path, name: str, **changes: object) -> None:
    path = clone / f"results/small-numbers/{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_version_and_changed_sources_are_stale_and_shown(made, clone):
    spoil(clone, "holds", versions={"numpy": "1.0"})
    spoil(clone, "fails", sources="others")
    text, said = page_of(made, clone)
    assert "Not up to date: 2 stale." in text
    assert "Made with numpy 1.0, here is" in section(text, "small-numbers--holds")
    assert "sources have changed" in section(text, "small-numbers--fails")
    assert "<svg" in section(text, "small-numbers--holds")
    assert sum("stale" in sentence for sentence in said) == 2
    assert "theorylab verify small-numbers/holds" in " ".join(said)


def test_missing_and_damaged_results_are_shown_as_such(made, clone):
    (clone / "results/small-numbers/holds.json").unlink()
    (clone / "results/small-numbers/fails.json").write_text("{")
    text, _ = page_of(made, clone)
    Outline(text)
    assert "no result yet" in section(text, "small-numbers--holds") and "<math" in section(text, "small-numbers--holds")
    assert "cannot be read" in section(text, "small-numbers--fails")
    assert "All 1 claims of 1 paper" in text


def test_a_run_that_has_not_ended_is_shown_with_how_far_it_is(made, clone):
    mark(clone / "results", ["small-numbers/holds"], Begun("full", 0))
    text, _ = page_of(made, clone)
    own = words(section(text, "small-numbers--holds"))
    # Of 4 points with 3 seeds and 2 arms the quick run has left 3 points with 2 seeds.
    assert "half-finished" in own and "12 of 24 cells are finished" in own and "an earlier result" in own
    assert "theorylab verify --full" in own


def test_a_result_whose_claim_is_gone_is_stale(made, clone):
    folder = clone / "results/small-numbers"
    (folder / "gone.json").write_text(
        (folder / "holds.json").read_text().replace("small-numbers/holds", "small-numbers/gone")
    )
    text, _ = page_of(made, clone)
    assert "No claim of the files has this id any more" in section(text, "small-numbers--gone")


def test_results_of_an_older_program_are_stale_and_other_files_are_left_alone(made, clone):
    path = clone / "results/small-numbers/holds.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: record[key] for key in record if key not in ("judges", "sources", "notes")}))
    for name, text in (("lesson", "{}"), ("notes", "not json"), ("other", '{"id": 1, "title": 2, "seed": 3}')):
        (clone / f"results/small-numbers/{name}.json").write_text(text)
    text, said = page_of(made, clone)
    assert "sources have changed" in section(text, "small-numbers--holds")
    assert "3 of 3 claims" in said[0] and "lesson" not in text


def test_a_figure_that_failed_or_is_old_does_not_take_the_page_down(made, clone):
    import os

    (clone / "results/small-numbers/holds.svg").unlink()
    (clone / "results/small-numbers/fails.svg").write_text("no svg")
    os.utime(clone / "results/other-numbers/holds.svg", (1, 1))
    (clone / "results/small-numbers/pictures/random-walk.json").unlink()
    text, _ = page_of(made, clone)
    assert "drawing it failed" in section(text, "small-numbers--holds")
    assert "could not be read" in section(text, "small-numbers--fails")
    assert "of an earlier run than the numbers" in section(text, "other-numbers--holds")
    assert "Not drawn yet" in text


def test_a_file_that_does_not_import_is_named_and_its_results_are_shown(made, clone):
    broken = clone / "verify/small_numbers.py"
    broken.parent.mkdir()
    broken.write_text("1 / 0\n")
    said = write_page(clone / "results", [broken], clone / "index.html")
    text = (clone / "index.html").read_text()
    assert "ZeroDivisionError" in said[-1] and "ZeroDivisionError" in text
    assert "could not be imported" in section(text, "small-numbers--holds")


def test_marks_of_runs_are_added_and_taken_away(tmp_path):
    mark(tmp_path, ["a/b", "a/c"], Begun("quick", 0))
    mark(tmp_path, ["a/c"], Begun("full", 3))
    assert unfinished(tmp_path) == {"a/b": Begun("quick", 0), "a/c": Begun("full", 3)}
    unmark(tmp_path, ["a/c"])
    assert list(unfinished(tmp_path)) == ["a/b"]
    unmark(tmp_path, ["a/b"])
    assert not list(tmp_path.iterdir())
    for damaged in ("{", "[]", '{"a": 1}', '{"a": {"budget": "quick"}}'):
        (tmp_path / "unfinished.json").write_text(damaged)
        assert unfinished(tmp_path) == {}


def entry(result) -> Entry:
    return Entry(id=result.id, paper="made-up", claim=None, record=document_json(result), state=State.CURRENT, note="",
                 figure=None, figure_note="")  # fmt: skip


def test_what_is_not_as_expected_is_the_first_finding():
    undecided, failed = made_up.single(), made_up.unmeasured()
    found = findings([entry(made_up.rate()), entry(undecided), entry(failed)])
    assert [item.kind for item in found] == ["surprise"] * 4
    assert "came out inconclusive, although upheld was expected: Ratio 0.95" in found[0].evidence
    assert "Its control “wrong variance” came out inconclusive" in found[1].evidence
    assert "rank=9 exceeds d=5" in found[2].evidence and "traceback" in found[2].beside


def test_a_statement_that_fails_as_expected_has_its_reason():
    more = {"expected": Verdict.VIOLATED, "control_verdict": Verdict.VIOLATED, "reason": "it was never true"}
    (item,) = findings([entry(made_up.rate(verdict=Verdict.VIOLATED, **more))])
    assert item.kind == "violated" and item.beside == "The reason: it was never true."
    assert item.statement.endswith("(Theorem 5, constant re-derived).")


@pytest.mark.parametrize(
    ("judge", "high", "kinds"),
    [("rate at most", -0.3, ["faster"]), ("rate at most", -0.1, []), ("rate exactly", -0.3, []), ("ordered", -0.3, [])],
)
def test_a_rate_is_faster_when_its_whole_interval_is(judge, high, kinds):
    own = entry(made_up.rate())
    own.record["evidence"]["tests"][0] |= {"judge": judge, "interval": [-0.9, high], "allowed": ["-inf", 0.0]}
    assert [item.kind for item in findings([own])] == kinds


@pytest.mark.parametrize(
    ("low", "name", "kinds"), [(12.0, "bound", ["loose"]), (9.0, "bound", []), (12.0, "0.001", [])]
)
def test_a_bound_is_loose_when_it_leaves_tenfold_room_everywhere(low, name, kinds):
    own = entry(made_up.rate())
    (test,) = own.record["evidence"]["tests"]
    test["slack"] = [
        {"point": 1, "ratio": 30.0, "low": 20.0, "high": 40.0},
        {"point": 2, "ratio": 13, "low": low, "high": 14},
    ]
    test["details"]["curves"][1]["name"] = name
    assert [item.kind for item in findings([own])] == kinds


def test_the_front_counts_what_differs():
    said = front_sentence([entry(made_up.rate()), entry(made_up.single())])
    assert said.startswith(
        "1 of 2 claims of 1 paper came out as expected (1 upheld, 1 inconclusive), and 1 of 2 controls"
    )


def test_the_command_has_budget_and_seed():
    record = document_json(made_up.single(budget="full", seed=7))
    assert command(record) == "theorylab verify made-up/constant --full --seed 7"
