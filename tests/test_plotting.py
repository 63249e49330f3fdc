"""Every kind of result gives a figure that is readable, small and the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import made_up
import matplotlib as mpl
import numpy as np
import pytest

from theorylab.panels import series_of, split_controls
from theorylab.plotting import draw, save
from theorylab.ticks import number
from theorylab.verdicts import Verdict

CASES = {
    "rate": made_up.rate,
    "squeezed": made_up.squeezed,
    "categories": made_up.categories,
    "single": made_up.single,
    "trajectory": made_up.trajectory,
    "unmeasured": made_up.unmeasured,
}


def axes_of(result):
    return [axes for part in draw(result).subfigs for axes in part.axes]


def ticks_out_of_view(figure) -> set:
    """Labels that matplotlib keeps for ticks beyond the ends of an axis and never draws."""
    found = set()
    for axes in (axes for part in figure.subfigs for axes in part.axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            found |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    return found


def words_of(figure) -> str:
    texts = figure.findobj(mpl.text.Text)
    return " ".join(text.get_text() for text in texts).replace("\n", " ")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_files_are_small_and_identical_each_time(case, tmp_path):
    svg, png = save(case(), tmp_path / "a")
    again = save(case(), tmp_path / "b")
    assert svg.read_bytes() == again[0].read_bytes() and png.read_bytes() == again[1].read_bytes()
    assert svg.stat().st_size < 60_000
    assert int.from_bytes(png.read_bytes()[16:20], "big") == 900
    text = svg.read_text()
    assert "<text" in text and "<dc:date>" not in text
    assert not re.search(r'(?<= )d="[^"]*(nan|inf)', text)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_nothing_overlaps_the_header_or_leaves_the_figure(case):
    figure = draw(case())
    figure.draw_without_rendering()
    badge = next(text for text in figure.texts if text.get_bbox_patch() is not None)
    frame = badge.get_bbox_patch().get_window_extent()
    header = [text.get_window_extent() for text in figure.subfigs[0].texts]
    assert header[0].y0 >= header[1].y1 - 3  # the line of the id stands below the title
    for text in figure.findobj(mpl.text.Text):
        box = text.get_window_extent()
        if text is badge or text in ticks_out_of_view(figure) or not text.get_text().strip():
            continue
        assert not frame.overlaps(box), text.get_text()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.width + 1, text.get_text()
    for axes in (axes for part in figure.subfigs for axes in part.axes):
        assert axes.get_window_extent().y1 < header[1].y0


def test_a_users_settings_neither_show_nor_change(tmp_path):
    plain = save(made_up.rate(), tmp_path / "plain")[0].read_bytes()
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        before = dict(mpl.rcParams)
        styled = save(made_up.rate(), tmp_path / "styled")[0].read_bytes()
        assert dict(mpl.rcParams) == before
    assert styled == plain


def test_verdict_sentence_and_controls_are_written_on_it():
    figure = draw(made_up.rate(verdict=Verdict.VIOLATED))
    words = words_of(figure)
    for part in ("✗ violated", "expected: upheld", "slope 0.50 [0.47, 0.53]", "Sign-RIP: not certified",
                 "control “gradient ascent on the hint”: violated, as it must be"):  # fmt: skip
        assert part in words


def test_powers_of_two_are_marked_on_a_log_axis():
    (axes,) = axes_of(made_up.rate())
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["256", "512", "1024", "2048", "4096", "8192"]
    assert axes.get_xlabel() == "horizon T [steps]"


def test_curves_differ_in_more_than_colour():
    for case in (made_up.rate, made_up.trajectory, made_up.squeezed):
        styles = [series.style[1:] for series in series_of(case(), 0)]
        assert len(set(map(str, styles))) == len(styles)


def test_a_control_that_would_squeeze_the_claim_moves_next_door():
    main, beside = axes_of(made_up.squeezed())
    assert main.get_ylim()[1] < 2 and beside.get_ylim()[1] > 50
    result = made_up.rate()
    together, apart = split_controls(series_of(result, 0), result.arm.evidence[0].details)
    assert apart == [] and [series.role for series in together] == ["measured", "bound", "control"]


def test_names_are_categories_and_diverged_runs_are_arrows():
    main, beside = axes_of(made_up.categories())
    assert [tick.get_text().replace("\n", " ") for tick in main.get_xticklabels()][2:4] == ["cauchy", "signs"]
    assert main.get_xlabel() == "distribution of the outliers"
    assert [text.get_text() for text in main.texts] == ["zero"]
    assert [text.get_text() for text in beside.texts] == ["diverged"]
    arrows = [line for line in beside.lines if line.get_marker() == "^"]
    assert sum(len(line.get_xdata()) for line in arrows) == 5


def test_runs_of_a_claim_that_diverge_at_some_points_are_drawn_without_a_warning():
    runs = np.full((3, 4), np.inf)
    runs[0] = [0.9, 1.0, 1.1, 1.2]
    curves = [made_up.curve("error", "measured", runs)]
    own = made_up.evidence("Diverges at two of three points.", [1, 2, 4], curves, (0.0, 1.0))
    result = made_up.result(made_up.arm("", Verdict.VIOLATED, [own], {"error": runs}))
    with np.errstate(invalid="raise"):
        (series,) = series_of(result, 0)
    assert series.runs is not None and series.runs.shape == (3, 4)


def test_judges_of_the_same_curves_share_a_panel():
    result = made_up.rate()
    evidence = result.arm.evidence[0]
    other = made_up.evidence("The slope is right.", **{
        "x": evidence.details["x"], "curves": evidence.details["curves"], "p": (1.0, 0.0), "log_x": True, "log_y": True,
    })  # fmt: skip
    both = made_up.arm("", Verdict.UPHELD, [evidence, other], result.arm.values)
    result = made_up.result(both, points=result.points)
    assert len(axes_of(result)) == 1
    assert "The slope is right." in words_of(draw(result))
    assert len(axes_of(made_up.trajectory())) == 2


def test_an_interval_that_no_data_decide_does_not_flatten_the_curves():
    runs = np.array([[1.0, 1.1], [1.2, 1.3]])
    wide = made_up.curve("error", "measured", runs) | {"high": [1e6, 2.0]}
    own = made_up.evidence("Undecided.", [1, 2], [wide], (0.5, 0.5))
    (axes,) = axes_of(made_up.result(made_up.arm("", Verdict.INCONCLUSIVE, [own], {"error": runs})))
    assert axes.get_ylim()[1] < 2


def test_single_runs_are_drawn_only_behind_their_own_mean():
    runs = np.array([[1.0, 1.1], [1.2, 1.3]])
    ratio = made_up.curve("error", "measured", runs / 10)
    own = made_up.evidence("A ratio.", [1, 2], [ratio], (1.0, 0.0))
    (series,) = series_of(made_up.result(made_up.arm("", Verdict.UPHELD, [own], {"error": runs})), 0)
    assert series.runs is None
    assert series_of(made_up.rate(), 0)[0].runs.shape == (6, 12)


def test_constants_are_named_by_their_role():
    own = made_up.evidence("x", [1, 2], [made_up.curve("0.0001", "bound", np.ones((2, 1)))], (1.0, 0.0))
    assert series_of(made_up.result(made_up.arm("", Verdict.UPHELD, [own], {})), 0)[0].name == "bound 0.0001"


def test_maths_in_a_title_is_typeset_or_left_as_written(tmp_path):
    good, _ = save(made_up.rate(), tmp_path)
    shown = re.sub(r"<!--.*?-->|<[^>]*>", "", good.read_text(), flags=re.DOTALL)
    assert r"\sqrt" not in shown and "made-up/regret" in shown
    bad, _ = save(made_up.rate(title=r"At most $\nosuchmacro{x}$", id="made-up/odd"), tmp_path)
    assert r"\nosuchmacro{x}" in bad.read_text()


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "made-up").write_text("a file")
    with pytest.raises(OSError, match="made-up"):
        save(made_up.rate(), Path(tmp_path))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-3.0, "-3"), (1e5, "$10^{5}$"), (2.5e-4, r"$2.5\times10^{-4}$")]
)
def test_numbers_on_axes(value, text):
    assert number(value) == text
