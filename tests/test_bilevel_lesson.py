"""The lesson of multi-block bilevel optimisation: what the class is told to see is what the charts show."""

import numpy as np
import pytest

from problems.moving_mappings import moving_mappings, values
from theorylab.algorithms.block_estimators import msvr
from theorylab.algorithms.block_tracking import track_mappings
from theorylab.report.lesson_checks import fitted
from theorylab.report.lessons import Chart, Classroom, Curve
from verify.bilevel import lesson_runs, lesson_tracking
from verify.bilevel.lesson_runs import LONG_STEPS, MISTAKES, NO_GAMMA, mistakes_chart, run_chart
from verify.bilevel.lesson_tracking import BATCHES, SAMPLED, drift_chart, film, followed, mean_square
from verify.multi_block_bilevel import classroom


def nothing(done: int, total: int) -> None:
    """Take a report of progress."""
    assert 0 <= done <= total


def curve(chart: Chart, panel: int, name: str) -> np.ndarray:
    """Return the y of a curve with all axes of the grid, each at its full length where it depends on the slider."""
    (layer,) = [layer for layer in chart.panels[panel].layers if layer.name == name]
    assert isinstance(layer, Curve)
    return fitted(name, layer.y, chart.grid, np.shape(layer.y)[-1:])


def readout(chart: Chart, name: str) -> np.ndarray:
    """Return the values of a readout over the grid."""
    (found,) = [readout for readout in chart.readouts if readout.name == name]
    return fitted(name, found.values, chart.grid, ())


@pytest.fixture(scope="module")
def moving() -> Chart:
    return film(np.random.default_rng(1))


@pytest.fixture(scope="module")
def drift() -> Chart:
    return drift_chart(np.random.default_rng(2), nothing, long=400)


@pytest.fixture(scope="module")
def runs() -> Chart:
    return run_chart(np.random.default_rng(3), nothing, iterations=256)


@pytest.fixture(scope="module")
def mistakes() -> Chart:
    return mistakes_chart(np.random.default_rng(4), nothing, horizons=np.array([512, 2048]), instances=1)


def test_the_paper_file_has_the_lesson() -> None:
    assert isinstance(classroom, Classroom)
    assert classroom.paper.slug == "multi_block_bilevel"


@pytest.mark.parametrize("sampled", [1, 4, 16])
def test_the_film_follows_the_run_of_the_kernel(sampled: int) -> None:
    mappings = moving_mappings(np.random.default_rng(0), chord=0.02, steps=40)
    rule = msvr(0.1, 3.0)
    run = followed(mappings, rule, np.random.default_rng(5), sampled=sampled, batch=4)
    kernel = track_mappings(
        mappings.matrices, mappings.path, rule, sampled=sampled, batch=4, rng=np.random.default_rng(5),
        matrix_noise=mappings.matrix_noise, offset_noise=mappings.offset_noise,
    )  # fmt: skip
    np.testing.assert_allclose(mean_square(run.trackers, values(mappings))[1:], kernel[0], rtol=1e-10)
    assert (run.seen[1:].sum(axis=1) == sampled).all()
    assert not run.seen[0].any()


def test_resting_and_lit_trackers_share_the_blocks(moving: Chart) -> None:
    resting, lit = curve(moving, 0, "tracker, resting"), curve(moving, 0, "tracker, just sampled")
    assert (np.isnan(resting) ^ np.isnan(lit)).all()
    assert np.isnan(resting[-1, 1:]).all()  # I = 16: all are lit


def test_without_gamma_trackers_stay_behind_and_fresh_samples_ruin_them(moving: Chart) -> None:
    right, mean, fresh = (
        np.nanmean(curve(moving, 1, name)[:, 0, 75:], axis=1)
        for name in ("MSVR, this run", lesson_tracking.MEAN, lesson_tracking.FRESH)
    )
    assert (mean[:3] > 2.0 * right[:3]).all()
    assert (fresh[:3] > 20.0 * right[:3]).all()


def test_the_exact_expectation_is_below_its_bound(moving: Chart) -> None:
    expected, bound = curve(moving, 1, "MSVR, expected exactly"), curve(moving, 1, "bound on the expected")
    assert (expected[..., 1:] <= bound[..., 1:]).all()


def test_the_best_weights_give_two_exponents(drift: Chart) -> None:
    few = SAMPLED.index(4), BATCHES.index(1), 0
    assert 0.9 < readout(drift, "slope of MSVR")[few] < 1.2
    assert 0.58 < readout(drift, "slope of the moving average")[few] < 0.78


def test_zero_fill_keeps_a_floor_except_where_all_are_sampled(drift: Chart) -> None:
    zero, right = curve(drift, 0, "zero-fill"), curve(drift, 0, "MSVR, exact")
    assert (zero[1, -1, 2] > 10.0 * right[1, -1, 2])[0]  # I = 4, B = 64, alpha = 0.1, the slowest drift
    np.testing.assert_allclose(zero[-1], right[-1], rtol=1e-9)


def test_fixed_weights_leave_noise_and_no_line_passes_the_bound(drift: Chart) -> None:
    right, bound = curve(drift, 0, "MSVR, exact"), curve(drift, 0, "bound for MSVR")
    assert (right <= bound).all()
    assert right[1, 0, 3, 0] > 0.9 * right[1, 0, 3, 1] > 0.0  # alpha = 0.3: halving a small drift gains nothing


def test_dots_of_runs_lie_on_the_lines(drift: Chart) -> None:
    right, seen = curve(drift, 0, "MSVR, exact"), curve(drift, 0, "MSVR, run")
    quick = np.log(seen[1:, :, 2:] / right[1:, :, 2:])  # weights that settle within the short runs of this test
    assert np.abs(quick).max() < 1.0
    assert abs(np.median(quick)) < 0.1


def test_the_gradient_stays_below_its_bound(runs: Chart) -> None:
    seen, bound = curve(runs, 0, "measured"), curve(runs, 0, "bound from descent")
    drawn = ~np.isnan(bound)
    assert (seen[drawn] <= bound[drawn] * (1.0 + 1e-9)).all()
    assert drawn[:, :2].all()
    assert (drawn.all(axis=-1) == (readout(runs, "2 L_F η") <= 1.0)).all()


def test_more_blocks_fall_faster_and_controls_err_more(runs: Chart) -> None:
    gradient = curve(runs, 0, "measured")[1, :, 1, -1]
    assert gradient[0] > gradient[1] > gradient[2]
    assert (readout(runs, "error of z over ε²")[:, 1] < 1.0).all()
    fresh = readout(runs, lesson_runs.FRESH)[2, 1, 1]
    assert fresh > 2.0 * readout(runs, "error of z over ε²")[2, 1, 1]
    assert {layer.name for layer in runs.panels[1].layers if layer.role == "control"} >= {NO_GAMMA, LONG_STEPS}


def test_every_mistake_errs_more_than_the_paper(mistakes: Chart) -> None:
    right, wrong = curve(mistakes, 1, "the paper's method"), curve(mistakes, 1, "with the mistake")
    assert (wrong[:3, 1, -1] > 2.0 * right[0, 1, -1]).all()
    slopes = readout(mistakes, "slope of the error, with the mistake")[:3, 1]
    assert (readout(mistakes, "slope of the error, the paper's")[0, 1] < slopes - 0.2).all()
    forgotten = list(MISTAKES).index("steps without I/m")
    assert wrong[forgotten, 0, -1] > 5.0 * right[0, 0, -1]  # at I = 2
    assert wrong[forgotten, 2, -1] < 2.0 * right[0, 2, -1]  # at I = 16
    assert (right[0, 1] < curve(mistakes, 1, "aimed at: ε²")[0, 0]).all()


def test_the_speed_chart_tells_the_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = lesson_runs.stated_shape()
    monkeypatch.setattr(lesson_runs, "measured_iterations", lambda rng: 2.0 * shape)
    chart = lesson_runs.speed_chart(np.random.default_rng(0))
    np.testing.assert_allclose(readout(chart, "slope over I from 2 to 16"), readout(chart, "stated slope"))
    np.testing.assert_allclose(
        curve(chart, 0, "measured"), curve(chart, 0, "stated order, through the first point"), rtol=1e-12
    )
