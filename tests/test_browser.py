"""The page as people meet it: opened in headless Chromium at the widths of a phone and of a desk, light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import browser
import made_up
import picture_files
import pytest
from test_report import FAILS, HOLDS

from theorylab import cli
from theorylab.finding import claim_files as files_of
from theorylab.report.page import write_page
from theorylab.results import write

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser.EXECUTABLE is None, reason="needs Chromium"),
]
VERIFY = Path(__file__).resolve().parents[1] / "verify"
WIDTHS = pytest.mark.parametrize("width", [390, 1440])
SCHEMES = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
SHOWN = "Array.from(document.querySelectorAll('#overview tbody tr:not(.paper)')).filter(r => r.offsetHeight > 0).length"
EVERYTHING = "document.querySelectorAll('article, .picture').forEach(e => e.style.contentVisibility = 'visible')"
OUTSIDE = """Array.from(document.querySelectorAll("body *")).filter(element => {
  if (element.closest(".scroll > *, .fig > *, .wide > *, math[display=block] > *")) return false;
  if (element.closest(".skip, #overview thead, .hypotheses thead")) return false;
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map(element => element.tagName + " " + element.textContent.slice(0, 60))"""


@pytest.fixture(scope="module")
def page():
    with browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The address of a page with two papers, a picture and real results."""
    folder = tmp_path_factory.mktemp("clone")
    picture_files.write(folder, claims=(HOLDS, FAILS))
    picture_files.write(folder, "other-numbers")
    options = ("--folder", str(folder / "verify"), "--results", str(folder / "results"))
    assert cli.execute(cli.commands, "theorylab", ("verify", *options, "--workers", "1", "--quiet")) == 0
    write_page(folder / "results", files_of(folder / "verify"), folder / "index.html")
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The address of a page with every published statement, and one made-up result."""
    folder = tmp_path_factory.mktemp("published")
    write(made_up.rate(), folder)
    write_page(folder, files_of(VERIFY), folder / "index.html")
    return (folder / "index.html").as_uri()


@WIDTHS
@SCHEMES
def test_it_opens_without_a_complaint_and_fits(page, small, width, dark, tmp_path):
    page.look(width, dark=dark)
    page.open(small)
    assert page.errors == []
    assert [address for address in page.requests if not address.startswith("data:")] == [small]
    page.run(EVERYTHING)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(OUTSIDE) == []
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@WIDTHS
def test_every_published_statement_fits(page, published, width):
    page.look(width)
    page.open(published)
    page.run(EVERYTHING)
    assert page.errors == []
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(OUTSIDE) == []


def test_the_mathematics_is_drawn(page, published):
    page.look(1440)
    page.open(published)
    page.run(EVERYTHING)
    sizes = json.loads(page.run(
        "JSON.stringify(Array.from(document.querySelectorAll('math')).map(m => {"
        " const box = m.getBoundingClientRect(); return [box.width, box.height]; }))"
    ))  # fmt: skip
    assert len(sizes) > 800 and min(min(size) for size in sizes) > 1
    # A fraction is two storeys high (a line of text has 17 pixels): the browser lays it out, it does not print letters.
    heights = (
        "Array.from(document.querySelectorAll('math[display=block] mfrac')).map(f => f.getBoundingClientRect().height)"
    )
    assert min(page.run(heights)) > 22


def test_colours_follow_the_reader(page, small):
    lightness = (
        "(s => s.match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3)"
        "(getComputedStyle(document.querySelector('{}')).{})"
    )
    seen = {}
    for dark in (False, True):
        page.look(1440, dark=dark)
        page.open(small)
        seen[dark] = [
            page.run(lightness.format(*part)) for part in (("body", "backgroundColor"), (".fig text", "fill"))
        ]
    assert seen[False][0] > 200 > 60 > seen[False][1]
    assert seen[True][0] < 60 < 200 < seen[True][1]


def test_filters_work_together_and_say_how_many_are_left(page, small):
    page.look(1440)
    page.open(small)
    choose = (
        "(e => {{ e.value = '{}'; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
        "(document.getElementById('{}'))"
    )
    said = "document.getElementById('shown').textContent"
    assert page.run(SHOWN) == 3
    page.run(choose.format("small-numbers", "by-paper"))
    assert (page.run(SHOWN), page.run(said)) == (2, "2 of 3 claims")
    assert page.run("document.querySelector('tbody[data-paper=other-numbers]').offsetHeight") == 0
    page.run(choose.format("violated", "by-verdict"))
    assert page.run(SHOWN) == 1
    page.run(choose.format("for every run", "by-mode"))
    assert page.run(SHOWN) == 1
    page.run(choose.format("nowhere", "by-words"))
    assert page.run(SHOWN) == 0
    page.run("document.querySelector('.filters button').click(); new Promise(done => setTimeout(done, 20))")
    assert (page.run(SHOWN), page.run(said)) == (3, "3 of 3 claims")
    page.run(choose.format("which is FALSE", "by-words"))
    assert page.run(SHOWN) == 1


def test_the_keyboard_is_enough(page, small):
    page.look(1440)
    page.open(small)
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "To the content"
    assert page.run("document.activeElement.getBoundingClientRect().left") >= 0
    for _ in range(40):
        if page.run("document.activeElement.id") == "by-paper":
            break
        page.press("Tab")
    page.press("ArrowDown")
    page.press("Enter")
    assert page.run("document.activeElement.id") == "by-paper"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.run(SHOWN) < 3


def test_a_claim_in_the_table_leads_to_its_section(page, small):
    page.look(390)
    page.open(small)
    page.run("document.querySelector('#overview a[href=\"#small-numbers--fails\"]').click()")
    page.run("new Promise(done => setTimeout(done, 100))")
    assert abs(page.run("document.getElementById('small-numbers--fails').getBoundingClientRect().top")) < 450


def test_everything_is_there_without_scripts(page, small):
    page.look(1440)
    page.scripts(False)
    try:
        page.open(small)
        assert page.run("getComputedStyle(document.querySelector('.filters')).display") == "none"
        assert page.run(SHOWN) == 3
    finally:
        page.scripts(True)


def test_on_paper_there_are_no_controls(page, small):
    page.look(1440, dark=True)
    page.open(small)
    page.paper()
    for gone in (".filters", "nav", ".skip"):
        assert page.run(f"getComputedStyle(document.querySelector('{gone}')).display") == "none"
    assert page.run("getComputedStyle(document.querySelector('article')).contentVisibility") == "visible"
    assert page.run("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#222222"
