"""Lessons: what a chart has to be, how it is written down, and the command that makes the page."""

from __future__ import annotations

import base64
import json
import re
import sys

import lesson_files
import numpy as np
import pytest

from theorylab import cli
from theorylab.claims import ClaimError, Paper, load_file
from theorylab.report import lessons
from theorylab.report.lesson_checks import fitted
from theorylab.report.lesson_data import document, packed, shown
from theorylab.report.lessons import Axis, Bars, Cells, Chart, Curve, Lesson, Panel, Part, Readout, Slider, lesson_of
from theorylab.store import sources_of, sources_when_loaded

SLIDERS = (Slider("a", (1, 2, 3), 2), Slider("b", ("x", "y"), "x"))
CLOCK = Slider("t", range(4), 0, plays=True)
AXES = (Axis("x"), Axis("y"))
LINE = Curve("line", np.arange(5.0), np.ones((3, 2, 5)))
NUMBER = re.compile(r"[0-9.]+")


def chart(*layers, sliders=SLIDERS, axes=AXES, readouts=()):
    return Chart("title", "look", sliders, (Panel(*axes, layers),), readouts)


def decoded(entry):
    values = np.frombuffer(base64.b64decode(entry["data"]), "<f4")
    return values.reshape(*entry["over"], *entry["tail"])


def test_axes_that_a_drawing_does_not_depend_on_have_length_one():
    assert fitted("y", np.ones(5), (3, 2), (5,)).shape == (1, 1, 5)
    assert fitted("y", np.ones((2, 5)), (3, 2), (5,)).shape == (1, 2, 5)
    assert fitted("y", np.ones((3, 1, 5)), (3, 2), (5,)).shape == (3, 1, 5)
    assert fitted("y", 1.0, (3, 2), ()).shape == (1, 1)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Curve("c", np.arange(5), np.ones((2, 3, 5))), r"leading axes must be those of the sliders, \(3, 2\)"),
        (Curve("c", np.arange(4), np.ones(5)), r"x.shape=\(4,\) must end in \(5,\)"),
        (Curve("c", np.arange(5), np.ones(5), low=np.ones(5)), "low and high together"),
        (Curve("c", np.arange(5), np.ones(5), draw="dots"), "draw='dots' must be one of"),
        (Curve("c", np.arange(5), np.ones(5), role="truth"), "role='truth' must be one of"),
        (Curve("c", np.arange(5), np.ones(5), grows=True), "no slider plays"),
        (Curve("c", 0.0, 0.0), r"y.shape=\(\) must be"),
        (Curve("c", np.ones((1, 1, 1, 5)), np.ones(5)), "leading axes"),
        (Bars("b", ("p", "q"), np.ones(3)), r"heights.shape=\(3,\) must end in \(2,\)"),
        (Cells("m", np.ones(3)), r"values.shape=\(3,\) must be"),
        (Cells("m", np.ones((3, 3)), largest=-1.0), "largest=-1.0 must be positive"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused_by_name(layer, said):
    with pytest.raises(ValueError, match=said) as caught:
        chart(layer)
    assert "chart 'title'" in str(caught.value)


def test_a_growing_curve_has_a_point_for_each_value_of_the_clock():
    chart(Curve("c", np.arange(4), np.ones(4), grows=True), sliders=(CLOCK,))
    with pytest.raises(ValueError, match="the clock has 4 values"):
        chart(Curve("c", np.arange(5), np.ones(5), grows=True), sliders=(CLOCK,))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: chart(LINE, sliders=()), "0 sliders"),
        (lambda: chart(LINE, sliders=(CLOCK, CLOCK)), "2 that play"),
        (lambda: chart(LINE, sliders=(*SLIDERS, *SLIDERS)), "4 sliders"),
        (lambda: chart(), "no layers"),
        (lambda: chart(LINE, Bars("b", ("p",), [1.0])), "mixes"),
        (lambda: chart(Bars("b", ("p",), [1.0]), Bars("c", ("q",), [1.0])), "different labels"),
        (lambda: chart(LINE, axes=(Axis(""), Axis("y"))), "need labels"),
        (lambda: chart(LINE, readouts=(Readout("r", np.ones(3)),)), "readout 'r'"),
        (lambda: Chart("", "look", SLIDERS, (Panel(*AXES, (LINE,)),)), "title and look"),
        (lambda: Chart("t", "look", SLIDERS, ()), "0 panels"),
        (lambda: Slider("a", (1,), 1), "1 entries"),
        (lambda: Slider("a", (1, 2), 3), "default=3 is none"),
        (lambda: Slider("a", (1, 2), 1, seconds=0.0), "seconds=0.0"),
        (lambda: Axis("x", log=True, low=0.0), "low=0.0 must be finite and positive"),
        (lambda: Axis("x", low=float("nan")), "low=nan"),
        (lambda: Axis("x", low=2.0, high=1.0), "low=2.0 must be below high=1.0"),
    ],
)
def test_what_makes_no_chart_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_lesson_tells_every_step_and_names_its_claims():
    full = {name: Part("text") for name in lessons.PARTS}
    with pytest.raises(ValueError, match=r"guarantee.text=' '"):
        Lesson(**full | {"guarantee": Part(" ")}, claims=("a",))
    with pytest.raises(ValueError, match=r"claims=\(\)"):
        Lesson(**full, claims=())


def test_arrays_survive_the_way_to_the_page():
    values = np.random.default_rng(0).standard_normal((3, 2, 5))
    values[0, 0, :2] = np.nan, np.inf
    back = decoded(packed(values, (3, 2), (5,)))
    np.testing.assert_array_equal(back, values.astype("<f4"))
    assert np.isposinf(decoded(packed([1e300], (3,), (1,)))).all()  # has left every chart


def axis_of(*layers, axes=AXES, sliders=SLIDERS):
    full = {name: Part("text") for name in lessons.PARTS} | {
        "problem": Part("t", (chart(*layers, axes=axes, sliders=sliders),))
    }
    (panel,) = document(Lesson(**full, claims=("a",)))["parts"][0]["charts"][0]["panels"]
    return panel["x"], panel["y"]


def test_axes_hold_everything_and_the_control_stretches_them_to_twice_their_length_at_most():
    grid = np.array([0.0, 10.0])
    x, y = axis_of(Curve("c", grid, grid))
    assert (x["low"], x["high"]) == (0.0, 10.0) and y["low"] == 0.0 and 10.0 < y["high"] < 11.0
    wild = Curve("control", grid, [0.0, 1e9], role="control")
    assert axis_of(Curve("c", grid, grid), wild)[1]["high"] == pytest.approx(20.0, rel=0.1)
    _, y = axis_of(Curve("c", grid, [1e-4, np.inf]), axes=(Axis("x"), Axis("y", log=True, high=7.0)))
    assert 0.0 < y["low"] <= 1e-4 and y["high"] == 7.0
    _, y = axis_of(Curve("c", grid, [np.nan, np.nan]))
    assert y["low"] < y["high"]
    _, y = axis_of(Bars("b", ("p", "q"), [2.0, 3.0]))
    assert y["low"] == 0.0 and y["high"] > 3.0


def test_values_of_sliders_are_written_as_people_write_them():
    assert [shown(value) for value in (0.05, 1e-4, 3e-7, 1e7, -2.0, 0, "none")] == [
        "0.05", "10⁻⁴", "3·10⁻⁷", "10⁷", "−2", "0", "none",
    ]  # fmt: skip
    assert shown(1e-3) == "0.001"


def test_a_lesson_is_found_in_its_file_and_two_are_too_many(tmp_path):
    module = load_file(lesson_files.write(tmp_path))
    found = lesson_of(module)
    assert found.title == "Small numbers become smaller" and found.lead.startswith("The number $x_t$")
    module.second = lessons.lesson(found.paper)(found.function)
    with pytest.raises(ClaimError, match="has two lessons"):
        lesson_of(module)
    with pytest.raises(ClaimError, match="no docstring"):
        lessons.lesson(Paper("p", "t", "a", "r"))(lambda rng, progress: None)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    lesson_files.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def demo(*arguments):
    return cli.execute(cli.commands, "theorylab", ("demo", *arguments))


def data_of(page):
    (text,) = re.findall(r'id="lesson-data">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(text)


def test_the_command_writes_a_page_and_the_second_time_takes_it_from_the_store(clone, capsys):
    assert demo("small_numbers") == 0
    out, err = capsys.readouterr()
    assert "figures/small-numbers.html: 0.0" in out and "computed and stored" in out and "1 of 2 parts" in err
    first = (clone / "figures/small-numbers.html").read_text()
    assert "http://" not in first.replace("http://www.w3.org", "") and "https://" not in first
    assert "theorylab verify small-numbers/holds" in first and 'href="#small-numbers--holds"' in first
    film, curves = data_of(first)
    assert [slider["plays"] for slider in film["sliders"]] == [True]
    assert curves["sliders"][1]["values"] == ["0.01 m", "0.1 m", "1 m", "10 m"] and curves["sliders"][1]["at"] == 1
    assert demo("small-numbers", "--quiet") == 0
    out, err = capsys.readouterr()
    assert "from the store" in out and not err
    assert (clone / "figures/small-numbers.html").read_text() == first
    assert demo("small-numbers", "--fresh", "--out", "again.html") == 0
    assert (clone / "again.html").read_text() == first
    assert demo("small-numbers", "--seed", "3", "--out", "other.html") == 0
    other = (clone / "other.html").read_text()
    assert data_of(other) != data_of(first) and "theorylab demo small-numbers --seed 3" in other


def test_an_edit_or_damage_computes_it_again(clone, capsys):
    assert demo("small-numbers", "--quiet") == 0
    (kept,) = (clone / "results/store/lessons").iterdir()
    kept.write_bytes(kept.read_bytes()[:-5])
    assert demo("small-numbers", "--quiet") == 0
    assert "was damaged" in capsys.readouterr().out
    assert demo("small-numbers", "--quiet") == 0
    assert "from the store" in capsys.readouterr().out
    path = lesson_files.write(clone, text=lesson_files.LESSON.replace("0.9, 1.0", "0.8, 1.0"))
    assert demo("small-numbers", "--quiet") == 0
    assert "from the store" in capsys.readouterr().out  # this process has imported the file as it was
    del sys.modules[load_file(path).__name__]
    sources_when_loaded.cache_clear()
    assert demo("small-numbers", "--quiet") == 0
    assert "computed and stored" in capsys.readouterr().out


def test_wrong_names_and_missing_lessons_are_sentences(clone, capsys):
    assert demo("smal-numbers") == 2
    assert "did you mean small_numbers?" in capsys.readouterr().err
    lesson_files.claim_files.write(clone, "other-numbers")
    assert demo("other-numbers") == 2
    assert "other_numbers has no lesson yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('claims=("holds",)', 'claims=("hold",)', "rests on the claim 'hold'; the claims are holds"),
        ("return Lesson(", "return (", "invalid syntax|Error"),
        ("    return Lesson(", "    return None\n    Lesson(", "returned NoneType; return a Lesson"),
    ],
)
def test_a_lesson_that_does_not_fit_is_a_sentence(tmp_path, monkeypatch, capsys, before, after, said):
    monkeypatch.chdir(tmp_path)
    lesson_files.write(tmp_path, text=lesson_files.LESSON.replace(before, after))
    assert demo("small-numbers", "--quiet") == 2
    err = capsys.readouterr().err
    assert re.search(said, err) and "Traceback" not in err
    assert not (tmp_path / "figures").exists()


def test_a_page_that_is_too_large_is_refused(clone, capsys, monkeypatch):
    monkeypatch.setattr("theorylab.report.demo._MOST_BYTES", 1000)
    assert demo("small-numbers", "--quiet") == 2
    assert "fewer points" in capsys.readouterr().err


def test_lessons_do_not_count_as_sources_of_claims_but_of_each_other(tmp_path):
    folder = tmp_path / "verify" / "small"
    folder.mkdir(parents=True)
    claims, first, second = (folder / name for name in ("parts.py", "lesson.py", "lesson_film.py"))
    for path in (claims, first, second):
        path.write_text("x = 1\n")
    before = sources_of(claims), sources_of(first)
    second.write_text("x = 2\n")
    after = sources_of(claims), sources_of(first)
    assert before[0] == after[0] and before[1] != after[1]
    claims.write_text("x = 2\n")
    assert sources_of(claims) != after[0] and sources_of(first) != after[1]
