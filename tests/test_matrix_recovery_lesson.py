"""The lesson of the matrix recovery paper shows what it tells the class to see."""

from __future__ import annotations

import lesson_rules
import numpy as np
import pytest

from theorylab.report.lessons import Lesson, Part
from verify.matrix_recovery import lesson as told
from verify.matrix_recovery import lesson_charts, lesson_outliers
from verify.matrix_recovery.lesson import classroom


def layer(chart, name, panel=0):
    (found,) = (layer for layer in chart.panels[panel].layers if layer.name == name)
    return found


def readout(chart, name):
    (found,) = (np.asarray(readout.values) for readout in chart.readouts if readout.name == name)
    return found


def streams():
    return np.random.default_rng(0).spawn(4)


@pytest.fixture(scope="module")
def film():
    return lesson_charts.film(streams()[0])


@pytest.fixture(scope="module")
def population():
    return lesson_charts.population_chart(streams()[1])


@pytest.fixture(scope="module")
def outliers():
    calls = []
    chart = lesson_outliers.outlier_chart(streams()[2], lambda done, total: calls.append((done, total)), seeds=1)
    assert calls == [(k, 5) for k in range(1, 6)]
    return chart


@pytest.fixture(scope="module")
def breaking():
    return lesson_outliers.breaking_chart(streams()[3])


def test_eigenvalues_arrive_in_order_and_about_when_predicted(film):
    heights = np.asarray(layer(film, "learned so far").heights)  # (alpha, frame, 6)
    truth = np.array(lesson_charts.SPECTRUM)
    arrived = lesson_charts.FRAMES[np.argmax(heights[..., :3] >= truth / 2, axis=1)]
    assert (np.diff(arrived, axis=1) > 0).all() and (np.diff(arrived, axis=0) > 0).all()
    predicted = np.asarray(layer(film, "predicted: half is learned", 1).x)[:, 0]
    assert (arrived / predicted)[1:].min() > 0.85 and (arrived / predicted)[1:].max() < 1.35
    np.testing.assert_allclose(heights[1:, -1, :3], np.broadcast_to(truth, (4, 3)), rtol=0.02)


def test_a_smaller_start_leaves_less_behind_and_a_large_one_much_more(film):
    left = readout(film, "largest eigenvalue that should be zero")
    assert (np.diff(left[:, -1]) < 0).all()
    assert readout(film, lesson_charts.LARGE)[-1] > 100 * left[1:, -1].max()


def test_the_run_passes_below_the_corner_and_the_controls_do_not(population):
    curve, corner = layer(population, "measured"), layer(population, "promise: 4α² from here on")
    times, promised = np.asarray(curve.x), np.asarray(corner.x)[..., 0]
    levels = np.asarray(corner.y)[:, -1]
    late = times >= promised[..., None]
    assert late.any(axis=-1).all()
    assert (np.where(late, curve.y, 0.0) <= levels[:, None]).all()
    for name in (lesson_charts.LARGE, lesson_charts.TOO_LONG):
        wrong = np.broadcast_to(layer(population, name).y, np.shape(curve.y))
        assert (np.where(late, wrong, 0.0) > levels[:, None]).any(axis=-1)[..., 1:].all()
    assert (readout(population, "4α² reached at iteration") <= readout(population, "promised from iteration")).all()


def test_without_noise_the_error_falls_with_the_start_and_with_noise_it_does_not(outliers):
    end = readout(outliers, "final relative error")  # (alpha, p, nu)
    assert (end[1:, :4, 0] < 0.5 * end[:-1, :4, 0]).all()
    assert (end[:, :, 3].max(axis=0) < 1.5 * end[:, :, 3].min(axis=0)).all()
    noisy = end[:, :4, 2:] / readout(outliers, "noise level")[:4, 2:]
    assert noisy.min() > 0.6 and noisy.max() < 2.2
    assert (readout(outliers, lesson_charts.LARGE)[:3, 0] > 10 * end[1, :3, 0]).all()


def test_the_panels_of_the_outlier_chart_agree(outliers):
    along, end = layer(outliers, "measured"), layer(outliers, "at the end, all α", 1)
    np.testing.assert_allclose(np.moveaxis(np.asarray(along.y)[..., -1], 0, -1), end.y)
    assert np.asarray(along.x).max() == 1.0


def test_wrong_variants_break_and_the_method_does_not(breaking):
    sign = np.asarray(layer(breaking, "sign steps of decaying length").y)[..., -1]  # (p, size)
    squares = np.asarray(layer(breaking, "control: least squares, the sign dropped").y)[..., -1]
    follows = np.asarray(layer(breaking, "control: step proportional to the loss").y)[..., -1]
    fooled = np.asarray(layer(breaking, "control: outliers that know the measurements").y)[:, 0, -1]
    assert sign[:4].max() < 0.02 and sign[:4, 1:].max(axis=1) == pytest.approx(sign[:4, 1:].min(axis=1), rel=3.0)
    assert squares[0].max() < 1e-3 < 0.3 < squares[1:, 1:].min()
    assert follows[0].max() < 1e-3 and not np.isfinite(follows[1:, 3]).any()
    assert fooled[:3].max() < 0.02 and fooled[-1] > 0.5


def test_it_keeps_the_rules_of_lessons(film, population, outliers, breaking):
    lesson = Lesson(
        problem=Part(told.PROBLEM),
        algorithm=Part(told.ALGORITHM, charts=(film,)),
        guarantee=Part(told.GUARANTEE, charts=(population,)),
        experiment=Part(told.EXPERIMENT, charts=(outliers,)),
        breaks=Part(told.BREAKS, charts=(breaking,)),
        claims=told.CLAIMS,
    )
    page = lesson_rules.check(lesson, "robust_matrix_recovery")
    assert classroom.title in page
