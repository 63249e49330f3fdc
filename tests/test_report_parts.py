"""The parts of the page: mathematics, prose, figures made fit for it, numbers in words."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import made_up
import pytest

from theorylab.claims import claims_of, load_file
from theorylab.pictures import pictures_of
from theorylab.plotting import save
from theorylab.report import wording
from theorylab.report.mathematics import mathml
from theorylab.report.prose import formulas, html, line_html
from theorylab.report.vector import Styles, inline
from theorylab.results import document_json

FILES = sorted((Path(__file__).resolve().parents[1] / "verify").glob("*.py"))


def texts():
    """All texts of all published claims and pictures that the page typesets."""
    for path in FILES:
        module = load_file(path)
        for claim in claims_of(module):
            yield claim.id, [claim.title, claim.statement, claim.source, claim.reason, *claim.hypotheses.values()]
        for picture in pictures_of(module):
            yield picture.id, [picture.title, picture.caption]


@pytest.mark.parametrize(("name", "parts"), [pytest.param(name, parts, id=name) for name, parts in texts()])
def test_all_mathematics_of_a_claim_converts(name, parts):
    for text in parts:
        assert text.count("$") % 2 == 0, "a dollar without its partner"
        for latex in formulas(text):
            ET.fromstring(f"<p>{mathml(latex)}</p>")
        assert "$" not in re.sub(r"<code>.*?</code>", "", html(text))


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        (r"d \log n", '<mi>d</mi><mspace width=".17em" /><mi>log</mi><mspace width=".17em" /><mi>n</mi>'),
        (r"\log(n)", '<mi>log</mi><mo stretchy="false">'),
        (r"\arg\min_x f", '<mi>arg</mi><mspace width=".17em" /><msub><mi>min</mi>'),
        (r"\mathrm{sign}(u)", "<mi>sign</mi>"),
        (r"1/2", '<mo lspace="0" rspace="0">/</mo>'),
        (r"[-1, -2]", '<mo form="prefix">−</mo><mn>1</mn>'),
        (r"\|x\| - 1", "<mo>−</mo><mn>1</mn>"),
        (r"x \sim y", "<mo>∼</mo>"),
        (r"r' = d", '<mrow><mi>r</mi><mo lspace="0" rspace="0">′</mo></mrow>'),
        (r"x^{-1}", '<msup><mi>x</mi><mrow><mo form="prefix">−</mo><mn>1</mn></mrow></msup>'),
    ],
)
def test_mathematics_is_spaced_as_in_print(latex, part):
    assert part in mathml(latex)


@pytest.mark.parametrize("latex", [r"\nosuch{x}", r"\frac{a}", r"a & b", r"{", r"\left( x"])
def test_mathematics_that_is_not_understood_is_an_error_and_shown_as_written(latex):
    with pytest.raises(ValueError, match="latex="):
        mathml(latex)
    assert line_html(f"so ${latex}$").startswith("so <code>$")


def test_display_mathematics_is_a_block():
    assert mathml("x", display=True).startswith('<math display="block">')
    assert '<math display="block">' in html("hence\n$$x\n\\le y$$\nand so on")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n\nc", "<p>a\nb</p><p>c</p>"),
        ("with\n- one\n  more\n- two\n\nend", "<p>with</p><ul><li>one\nmore</li><li>two</li></ul><p>end</p>"),
        ("1. one\n2. two", "<ol><li>one</li><li>two</li></ol>"),
        ("**a < b** & `c<d`", "<p><strong>a &lt; b</strong> &amp; <code>c&lt;d</code></p>"),
        ("``two ticks``", "<p><code>two ticks</code></p>"),
        ("- one\nback at the margin", "<ul><li>one</li></ul><p>back at the margin</p>"),
        ("$x$.", '<p><span class="held"><math><mi>x</mi></math>.</span></p>'),
        ("`$5` is no formula", "<p><code>$5</code> is no formula</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
    ],
)
def test_docstrings_become_html(text, expected):
    assert html(text) == expected


def test_a_minus_inside_a_formula_begins_no_list():
    assert "<ul>" not in html("we have $$a\n- b$$\nhere")


def test_names_of_claims_become_links():
    assert line_html("as in `one-step`", {"one-step": "p--one-step"}) == 'as in <a href="#p--one-step">one-step</a>'


@pytest.fixture(scope="module")
def drawing(tmp_path_factory):
    return save(made_up.rate(), tmp_path_factory.mktemp("figure"))[0].read_text()


def test_a_figure_is_made_fit_for_the_page(drawing):
    styles = Styles()
    svg = inline(drawing, "Regret: “upheld” & more", styles)
    root = ET.fromstring(svg)
    assert root.get("aria-label") == "Regret: “upheld” & more" and root.get("role") == "img"
    for gone in ("metadata", "<title", "style=", "font-family", "xlink", "#0072b2", "made-up/regret"):
        assert gone not in svg
    assert "var(--blue)" in styles.css()
    assert len(svg) < 0.55 * len(drawing)


def test_the_heading_is_cut_off_and_the_rest_stays(drawing):
    before = [float(part) for part in ET.fromstring(drawing).get("viewBox").split()]
    after = [float(part) for part in ET.fromstring(inline(drawing, "x", Styles())).get("viewBox").split()]
    assert after[1] > 30 and after[1] + after[3] == pytest.approx(before[3], abs=0.01)
    assert "horizon T [steps]" in inline(drawing, "x", Styles())


def test_ids_of_two_figures_do_not_collide_and_every_reference_is_met(drawing):
    styles = Styles()
    both = inline(drawing, "x", styles) + inline(drawing, "y", styles)
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(set(ids)) == len(ids) > 4
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', both)) <= set(ids)


def test_the_same_style_is_written_once(drawing):
    styles = Styles()
    inline(drawing, "x", styles)
    once = styles.css()
    inline(drawing, "y", styles)
    assert styles.css() == once


def test_what_is_no_svg_is_refused():
    for text in ("", "not xml", "<html></html>"):
        with pytest.raises(ValueError, match="svg"):
            inline(text, "x", Styles())


def record(result, **evidence):
    document = document_json(result)
    document["evidence"]["tests"][0] |= evidence
    return document


def test_numbers_in_words():
    slack = [{"point": 1, "ratio": 2.0, "low": 1.8, "high": 2.2}, {"point": 2, "ratio": 1.25, "low": 1.2, "high": 1.3}]
    assert wording.summary(record(made_up.rate(), slack=slack)) == ["slack 1.25 [1.2, 1.3]"]
    assert wording.summary(record(made_up.rate(), judge="rate at most")) == ["slope −0.5 [−0.55, −0.45]"]
    assert wording.summary(record(made_up.rate())) == ["−0.5 [−0.55, −0.45], allowed at most 0"]
    assert wording.power(record(made_up.rate())) == "by 0.05"
    assert wording.power(record(made_up.rate(), judge="for every run", detectable=0.25)) == "in 25 % of runs"


def test_slack_of_a_lower_bound_is_turned_round_and_a_rate_has_none():
    slack = [{"point": 1, "ratio": 0.5, "low": 0.4, "high": 0.8}]
    (test,) = record(made_up.rate(), slack=slack, allowed=[1.0, "inf"])["evidence"]["tests"]
    assert wording.slack_of(test) == [(2.0, 1.25, 2.5)]
    assert wording.slack_of(test | {"judge": "rate at most"}) == []
    assert wording.slack_of(test | {"allowed": ["-inf", 1.0]}) == [(0.5, 0.4, 0.8)]


def test_the_table_holds_the_numbers_of_the_figure():
    (table,) = wording.tables(record(made_up.rate()))
    assert table.names == ["regret (measured)", "bound (bound)"]
    assert [row[0] for row in table.rows] == ["256", "512", "1024", "2048", "4096", "8192"]
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", table.rows[0][1]) and table.rows[0][2] == "40"


def test_long_sweeps_are_thinned_and_keep_their_ends():
    result = made_up.trajectory()
    tables = wording.tables(record(result))
    assert len(tables) == 2
    assert len(tables[0].rows) == 12
    assert tables[0].rows[0][0] == "1" and tables[0].rows[-1][0] == str(result.points[-1])


def test_names_and_diverged_runs_stand_in_the_table():
    (table,) = wording.tables(record(made_up.categories()))
    assert [row[0] for row in table.rows][2:] == ["cauchy", "signs", "(one-sided, 100)"]


def test_long_formulas_may_break_after_a_relation_but_not_inside_brackets():
    broken = mathml(r"\sum_{t=1}^T f_t(x + y, z) \le 4 D \sqrt{V_T} + 8 D^2 L + 16 D G")
    pieces = broken.split("<wbr/>")
    assert len(pieces) == 4 and all(ET.fromstring(piece).tag == "math" for piece in pieces)
    assert "≤" in pieces[0] and "z" in pieces[0]
    assert "<wbr/>" not in mathml("a + b = c")


def test_a_formula_that_cannot_break_may_be_scrolled():
    assert mathml(r"\frac{" + "abc" * 12 + "}{2}").startswith('<span class="wide"><math>')
