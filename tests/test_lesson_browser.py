"""A lesson as a class meets it, in headless Chromium: sliders move curves, controls appear, animations run."""

from __future__ import annotations

import re

import browser
import lesson_files
import pytest

from theorylab import cli

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser.EXECUTABLE is None, reason="needs Chromium"),
]
FILM, CURVES = (f"document.querySelectorAll('.stage')[{k}]" for k in (0, 1))
LATER = "new Promise(done => setTimeout(done, {}))"
OUTSIDE = """Array.from(document.querySelectorAll("body *")).filter(element => {
  if (element.closest("nav > *, svg *, math[display=block] > *, .wide > *, .skip, .heard")) return false;
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map(element => element.tagName + " " + element.textContent.slice(0, 60))"""


@pytest.fixture(scope="module")
def page():
    with browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """The address of the small lesson."""
    folder = tmp_path_factory.mktemp("clone")
    lesson_files.write(folder)
    places = ("--folder", str(folder / "verify"), "--results", str(folder / "results"), "--out", str(folder / "l.html"))
    assert cli.execute(cli.commands, "theorylab", ("demo", "small-numbers", "--quiet", *places)) == 0
    return (folder / "l.html").as_uri()


@pytest.fixture
def opened(page, lesson):
    page.look(1440)
    page.open(lesson)
    return page


def path(page, role):
    """The path of the line of a role in the chart of curves, empty if there is none."""
    return page.run(f"({CURVES}.querySelector('.panel svg .as-{role} .line') || document.body).getAttribute('d') || ''")


def slide(page, stage, number, value):
    page.run(
        f"(input => {{ input.value = {value}; input.dispatchEvent(new Event('input')); }})"
        f"({stage}.querySelectorAll('input')[{number}])"
    )


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_opens_without_a_complaint_and_fits(page, lesson, width, dark):
    page.look(width, dark=dark)
    page.open(lesson)
    page.run("document.querySelectorAll('.toggle').forEach(button => button.click())")
    assert page.errors == []
    assert [address for address in page.requests if not address.startswith("data:")] == [lesson]
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(OUTSIDE) == []
    assert page.run("document.querySelectorAll('.stage svg[role=img]').length") == 4
    assert page.run("Math.min(...Array.from(document.querySelectorAll('math')).map(m => m.clientHeight || 1))") > 0
    # Letters are as large as they were meant to be: the drawing is as wide as its place.
    scale = f"(svg => svg.clientWidth / svg.viewBox.baseVal.width)({CURVES}.querySelector('.panel > svg'))"
    assert page.run(scale) == pytest.approx(1.0, abs=0.02)


def test_a_slider_moves_the_curve_the_bound_and_the_numbers(opened):
    before = path(opened, "measured"), path(opened, "bound"), opened.run(f"{CURVES}.querySelector('dd').textContent")
    slide(opened, CURVES, 1, 3)
    after = path(opened, "measured"), path(opened, "bound"), opened.run(f"{CURVES}.querySelector('dd').textContent")
    assert all(old and new and old != new for old, new in zip(before, after, strict=True))
    assert opened.run(f"{CURVES}.querySelectorAll('output')[1].textContent") == "10 m"
    assert opened.run(f"{CURVES}.querySelectorAll('input')[1].getAttribute('aria-valuetext')") == "10 m"
    slide(opened, CURVES, 0, 0)
    assert path(opened, "measured") != after[0] and path(opened, "bound") == after[1]
    assert opened.run(f"{CURVES}.querySelector('.band') !== null")


def test_axes_stay_while_curves_move(opened):
    ticks = f"Array.from({CURVES}.querySelectorAll('.axes text')).map(text => text.textContent).join()"
    before = opened.run(ticks)
    slide(opened, CURVES, 1, 0)
    assert opened.run(ticks) == before and re.search("10⁻", before)


def test_what_is_seen_is_said_and_said_again(opened):
    said = f"{CURVES}.querySelector('.heard').textContent"
    before = opened.run(said)
    assert before.startswith("step η 0.2, scale <x₀> 0.1 m: measured: 0.0") and "bound: 0.1 at 0" in before
    slide(opened, CURVES, 1, 3)
    opened.run(LATER.format(300))
    assert "bound: 10 at 0" in opened.run(said) and "control" not in opened.run(said)
    assert opened.run(f"{CURVES}.querySelector('.heard').getAttribute('aria-live')") == "polite"
    assert opened.run(f"{CURVES}.querySelector('svg').getAttribute('aria-label')").endswith(opened.run(said))


def test_the_control_is_one_click_away_and_leaves_the_chart_where_it_diverges(opened):
    assert path(opened, "control") == ""
    button = f"{CURVES}.querySelector('.toggle')"
    assert opened.run(f"{button}.textContent") == "Control: step 3"
    opened.run(f"{button}.click()")
    assert opened.run(f"{button}.getAttribute('aria-pressed')") == "true"
    heights = [float(point.split(",")[1]) for point in re.split("[ML]", path(opened, "control"))[1:]]
    assert heights[0] > 0 and heights[-1] < -1000
    opened.run(LATER.format(300))
    assert "diverged" in opened.run(f"{CURVES}.querySelector('.heard').textContent")
    opened.run(f"{button}.click()")
    assert path(opened, "control") == ""


def test_the_animation_steps_plays_and_pauses(opened):
    now = f"{FILM}.querySelector('output').textContent"
    press = f"Array.from({FILM}.querySelectorAll('.player button')).find(b => b.getAttribute('aria-label') === '{{}}')"
    tall = f"Number({FILM}.querySelector('.as-measured rect').getAttribute('height'))"
    dots = f"{FILM}.querySelectorAll('.panel')[1].querySelector('.line')"
    assert opened.run(now) == "0" and opened.run(f"{dots} === null || {dots}.closest('.legend') !== null")
    for _ in range(3):
        opened.run(press.format("One step forward") + ".click()")
    low = opened.run(tall)
    assert opened.run(now) == "3" and low > 0
    trail = f"{FILM}.querySelectorAll('.panel')[1].querySelector('svg .layer .line').getAttribute('d')"
    assert opened.run(trail).count("L") == 3
    opened.run(press.format("One step back") + ".click()")
    assert opened.run(now) == "2" and opened.run(tall) < low
    cells = opened.run(f"{FILM}.querySelectorAll('.panel')[2].querySelector('svg').innerHTML")
    opened.run(press.format("Play") + ".click()")
    opened.run(LATER.format(200))
    opened.run(press.format("Pause") + ".click()")
    paused = int(opened.run(now))
    assert 2 < paused < 49
    opened.run(LATER.format(150))
    assert int(opened.run(now)) == paused
    assert opened.run(f"{FILM}.querySelectorAll('.panel')[2].querySelector('svg').innerHTML") != cells
    opened.run(press.format("Play") + ".click()")
    opened.run(LATER.format(900))
    assert opened.run(now) == "49" and opened.run(press.format("Play") + " !== undefined")
    opened.run(press.format("To the start") + ".click()")
    assert opened.run(now) == "0"


def test_who_wants_no_motion_gets_steps(page, lesson):
    page.look(1440)
    reduce = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page._send("Emulation.setEmulatedMedia", media="", features=reduce)
    page.open(lesson)
    assert page.run(f"getComputedStyle({FILM}.querySelector('.play')).display") == "none"
    assert page.run(f"{FILM}.querySelectorAll('.player button:not([hidden])').length") == 3


def test_the_keyboard_is_enough(opened):
    opened.run(f"{FILM}.querySelector('input').focus()")
    opened.press("ArrowRight")
    opened.press("ArrowRight")
    assert opened.run(f"{FILM}.querySelector('output').textContent") == "2"
    for _ in range(2):
        opened.press("Tab")
    opened.press("Enter")
    assert opened.run("document.activeElement.getAttribute('aria-label')") == "One step back"
    assert opened.run(f"{FILM}.querySelector('output').textContent") == "1"
    assert opened.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_moving_a_slider_answers_within_a_frame(opened):
    opened.run(f"{CURVES}.querySelector('.toggle').click()")
    script = f"""(() => {{
      const input = {CURVES}.querySelectorAll('input')[1];
      const times = [];
      for (let k = 0; k < 40; k++) {{
        input.value = k % 4;
        const start = performance.now();
        input.dispatchEvent(new Event('input'));
        document.body.offsetHeight;
        times.push(performance.now() - start);
      }}
      return times.sort((a, b) => a - b)[20];
    }})()"""
    assert opened.run(script) < 16.0


def test_on_paper_the_charts_stand_as_they_are_and_nothing_can_be_pressed(opened):
    opened.paper()
    for gone in ("nav", ".player", ".slider input", ".toggle"):
        assert opened.run(f"getComputedStyle(document.querySelector('{gone}')).display") == "none"
    assert opened.run(f"{CURVES}.querySelector('output').textContent") == "0.2"
    assert path(opened, "measured")


def test_without_scripts_the_story_is_there_and_says_what_is_missing(page, lesson):
    page.look(1440)
    page.scripts(False)
    try:
        page.open(lesson)
        assert page.run("document.querySelector('noscript').textContent").strip()
        assert page.run("document.querySelectorAll('.story').length") == 5
    finally:
        page.scripts(True)
