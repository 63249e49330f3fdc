"""The lesson on batch Hessians and learning rates: what a class is told to see has to be in the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from theorylab.report.lessons import Chart, Curve
from verify.random_matrix import lesson_rates as rates
from verify.random_matrix import lesson_spectra as spectra
from verify.random_matrix.lesson import classroom
from verify.random_matrix.sgd import BATCHES


def silent(done: int, total: int) -> None:
    assert 0 < done <= total


def readouts(chart: Chart) -> dict[str, np.ndarray]:
    return {readout.name: np.asarray(readout.values) for readout in chart.readouts}


@pytest.fixture(scope="module")
def film() -> Chart:
    return spectra.film(np.random.default_rng(1), silent, order=400)


def test_the_outlier_follows_theorem_4_at_every_slider(film: Chart) -> None:
    seen = readouts(film)
    mean, stated, formula = (seen[k] for k in ("largest eigenvalue, mean of 20", "Theorem 4", spectra.NO_TRANSITION))
    assert mean.shape == film.grid
    assert np.abs(mean / stated - 1.0).max() < 0.05
    assert (formula[:, :, 0] > 1.2 * mean[:, :, 0]).all()  # at B = 1 the control is far off
    default = (2, 1)
    invisible, seen_well = (seen["squared overlap with φ₁"][default][k] for k in (0, -1))
    assert invisible < 0.05 and seen_well > 0.9


def test_the_outlier_parts_from_the_edge(film: Chart) -> None:
    mean, second = (np.asarray(layer.y)[2, 1, 0] for layer in film.panels[1].layers[:2] if isinstance(layer, Curve))
    edge = 2.0 * np.sqrt(16.0 / np.array(spectra.BATCHES))
    assert np.abs(second / edge - 1.0).max() < 0.06
    assert mean[-1] > 2.5 * second[-1]


def test_half_the_curvature_needs_four_times_the_batch(film: Chart) -> None:
    stated = readouts(film)["Theorem 4"]
    sizes = list(spectra.BATCHES)
    for batch in (4, 16, 64):
        assert stated[2, 1, sizes.index(batch)] == pytest.approx(2.0 * stated[1, 1, sizes.index(4 * batch)])


def test_lanczos_finds_the_outlier_first_and_obeys_its_bounds() -> None:
    run = spectra.lanczos_runs(np.random.default_rng(2))
    assert (run["top"] <= run["top_bound"] + 1e-12).all()
    assert (run["bottom"] <= run["bottom_bound"] + 1e-12).all()
    assert (run["top"] <= run["power"] + 1e-12).all()
    largest, small = spectra.LANCZOS_BATCHES.index(256), spectra.LANCZOS_BATCHES.index(4)
    assert run["top"][largest, 11] < 1e-6 < 1e-3 < run["top"][small, 11]
    assert (run["bottom"][largest, 9:] > run["printed"][largest, 9:]).all()  # the control
    assert np.isfinite(run["values"]).sum(axis=-1).tolist() == [list(range(1, 41))] * 4
    assert np.nansum(run["weights"], axis=-1) == pytest.approx(1.0)


def test_fresh_batches_give_the_linear_rule_and_one_batch_the_root() -> None:
    found = rates.thresholds(np.random.default_rng(3))
    assert np.abs(found["fresh"] / found["dynamic"] - 1.0).max() < 0.12
    assert np.abs(found["fixed"] / found["static"] - 1.0).max() < 0.05
    default = (1, 1)
    assert rates.slopes(found["fresh"])[default] == pytest.approx(0.97, abs=0.03)
    assert rates.slopes(found["fixed"])[default] == pytest.approx(0.5, abs=0.02)
    assert (found["single"][default] > 1.5 * found["fresh"][default])[:4].all()  # the control
    assert (found["dynamic"] <= found["static"] * 1.001).all()


def test_a_rate_scaled_by_the_root_diverges_at_small_batches_and_by_b_at_large_ones() -> None:
    chart = rates.runs_chart(np.random.default_rng(4))
    linear, root, constant = (np.asarray(layer.y)[..., -1] for layer in chart.panels[0].layers[:3])
    place = {batch: (BATCHES.index(batch), 1) for batch in BATCHES}
    assert linear[place[16]] < 1e-4 and root[place[16]] > 1e4
    assert linear[place[256]] > 1e4 and root[place[256]] < 1e-4
    assert root[place[1024]] > 1.0 and constant[place[16]] > 1e4
    assert linear[place[64]] == pytest.approx(root[place[64]])


def test_the_largest_rate_is_read_off_the_losses() -> None:
    losses = np.full((2, rates.RATE_GRID.size), np.inf)
    losses[0, :5] = 0.4
    assert rates.largest_below(losses, 0.5)[0] == rates.RATE_GRID[4]
    assert np.isnan(rates.largest_below(losses, 0.5)[1])


def test_heavy_ball_gains_more_from_a_large_batch_than_adam() -> None:
    chart = rates.network_chart(np.random.default_rng(5), silent, steps=150, runs=1)
    seen = readouts(chart)
    at_one_nat = (0, 1)
    assert seen["slope, heavy ball"][at_one_nat] > seen["slope, Adam"][at_one_nat] + 0.1
    assert seen["slope, heavy ball"][at_one_nat] > seen["control: SGD without momentum"][at_one_nat] + 0.1
    assert len({curve.name for panel in chart.panels for curve in panel.layers if curve.role == "control"}) == 1


def test_nearly_everything_has_nearly_no_noise() -> None:
    sizes, tops, deviation = spectra.population_tops(64.0, 100, "rademacher", np.random.default_rng(6))
    assert sizes[-1] == 100 and tops[-1] == pytest.approx(1.0)
    radius = deviation * np.sqrt(120 * (1.0 / sizes - 0.01))
    stated = np.where(radius < 1.0, 1.0 + radius**2, 2.0 * radius)
    assert np.abs(tops / stated - 1.0).max() < 0.06
    assert 2.0 * deviation * np.sqrt(120 / sizes[-2]) > 1.2 * tops[-2]  # the control: B for b


def test_real_noise_is_a_hundred_times_too_strong_for_theorem_4() -> None:
    excess, gaussian, second, stated = rates.data_excess(200, 2, np.random.default_rng(7))
    shares = 1.0 / np.array(rates.DATA_BATCHES) - 1.0 / 1797
    assert (excess.mean(axis=1) > 15.0 * stated * shares).all()
    assert np.median(excess.mean(axis=1) / (second * shares)) == pytest.approx(1.0, abs=0.7)
    assert gaussian == pytest.approx(stated * shares, rel=0.3)  # the control


def test_the_lesson_belongs_to_the_paper() -> None:
    assert classroom.paper.slug == "random_matrix_hessian"
    assert classroom.title == "The learning rate and the batch size"
