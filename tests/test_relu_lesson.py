"""The lesson on convex training of ReLU networks: what the class is told to see is there, on smaller runs."""

import numpy as np
import pytest

from problems.relu_networks import sphere
from verify.relu.lesson_patterns import DECAYS, ONE_SIGN, SAMPLES, certificate_chart, film
from verify.relu.lesson_robust import NOMINAL, robust_charts
from verify.relu.lesson_training import HALF, NO_CONES, TOO_LONG, admm_chart, restart_chart, sampling_chart
from verify.relu.measures import INSTANCES, drawn_instance

pytestmark = pytest.mark.kernels


def layers(chart, panel):
    return {layer.name: np.asarray(layer.y) for layer in chart.panels[panel].layers}


def readouts(chart):
    return {readout.name: np.asarray(readout.values, dtype=np.float64) for readout in chart.readouts}


@pytest.fixture(scope="module")
def planted():
    return drawn_instance(INSTANCES[0], np.random.default_rng(3))


@pytest.fixture(scope="module")
def labels():
    return sphere(12, 2, np.random.default_rng(4))


def test_a_turn_meets_exactly_2n_patterns_and_switches_one_sample_at_a_time():
    chart = film(np.random.default_rng(0))
    shown = readouts(chart)
    assert shown["patterns met"][:, 0].tolist() == [1.0, 1.0, 1.0]
    assert (
        shown["patterns met"][:, -1].tolist()
        == [2.0 * n for n in SAMPLES]
        == shown["count of the theorem"][:, 0].tolist()
    )
    outputs = np.asarray(chart.panels[1].layers[0].heights)
    assert np.array_equal(np.isnan(outputs).sum(axis=-1)[:, 0], [SAMPLES[-1] - n for n in SAMPLES])
    switched = np.sum(np.diff(outputs[0, :, : SAMPLES[0]] > 0.0, axis=0), axis=0)
    assert switched.tolist() == [2, 2, 2]


def test_the_certificate_holds_touches_at_neurons_and_breaks_with_one_sign(labels):
    chart = certificate_chart(labels)
    curves, shown = layers(chart, 0), readouts(chart)
    assert np.abs(curves["use of a new neuron"]).max() <= 1.0 + 1e-6
    touching = curves["neurons of the network"]
    assert np.nanmin(np.abs(touching)) > 0.999
    assert np.array_equal(np.sum(~np.isnan(touching), axis=1), shown["neurons of this optimum"])
    assert curves[ONE_SIGN][0].min() < -3.0
    assert curves[ONE_SIGN][0].max() <= 1.0 + 1e-6
    threshold = float(shown["zero network from β ="][0])
    assert np.array_equal(shown["neurons of this optimum"] == 0.0, np.array(DECAYS) >= threshold)
    assert shown["gap to the bound, relative"].max() < 1e-8
    assert (shown[ONE_SIGN][:4] > 1.01 * shown["value of the convex program"][:4]).all()


def test_admm_is_caught_between_bounds_and_a_long_dual_step_diverges(planted):
    chart = admm_chart(planted, 1000)
    curves, residuals = layers(chart, 1), layers(chart, 0)
    middle = curves["network, above p*"][2:5, 1]
    assert (middle[:, -1] < 0.01).all()
    assert (curves["dual bound, below p*"][2:5, 1, -1] < 0.01).all()
    falling = residuals["largest residual from here on"]
    assert (np.diff(falling, axis=-1) <= 0.0).all()
    assert (residuals[TOO_LONG][..., -1] > 1e3).all()


def test_no_restart_goes_below_the_bound_and_wider_networks_reach_it(planted, labels):
    chart = restart_chart(
        {"planted": planted, "random labels": labels}, np.random.default_rng(5), lambda done, total: None, 4, 1500
    )
    shown, runs = readouts(chart), layers(chart, 0)
    best = shown["best restart above the bound, relative"]
    assert best.min() > -1e-9
    assert (best[:, 0] > 1e-3).all()
    assert np.median(best[0, -1]) < 1e-3
    assert (shown[NO_CONES] < 0.99 * shown["dual bound"]).all()
    line = runs["dual bound: no network is below"][..., :1]
    assert (runs["restarts of Adam"][~np.isnan(runs["restarts of Adam"])].reshape(2, -1).min(axis=1) > 0.0).all()
    assert np.nanmin(runs["restarts of Adam"] / line) > 1.0 - 1e-9


def test_sampling_keeps_its_promise_on_the_whole_circle_only():
    chart = sampling_chart(np.random.default_rng(6), trials=5, patterned=1)
    gaps, chances = layers(chart, 0), layers(chart, 1)
    bound, seen = chances["bound n/(N+1)"], chances["random neurons, mean ± 2 errors"]
    band = next(layer for layer in chart.panels[1].layers if layer.role == "measured")
    assert (np.asarray(band.low) <= bound).all()
    assert (chances[HALF][..., -1] > 4.0 * bound[..., -1]).all()
    assert (seen[..., -1] < 0.2 * seen[..., 0]).all()
    patterns = gaps["sampled patterns, median"]
    assert (np.diff(patterns, axis=-1) <= 1e-9).all()
    assert (patterns[..., -1] < 1e-6).all()
    assert (gaps[HALF][..., -1] > gaps["random neurons, median"][..., -1]).all()


def test_the_robust_promise_is_kept_exactly_and_that_of_nominal_cones_is_not():
    regions, worst = robust_charts(np.random.default_rng(7), samples=8, radii=(0.0, 0.03, 0.06))
    shown = readouts(worst)
    promised = shown["promised worst case"]
    np.testing.assert_allclose(shown["exact worst case"], promised, rtol=1e-5)
    assert (np.diff(promised) > 0.0).all()
    assert (shown["standard network under this attack"][1:] > 1.2 * promised[1:]).all()
    assert (shown[NOMINAL][1:] > 1.01 * shown["promised by the nominal cones"][1:]).all()
    assert readouts(regions)["its own squares with a loss, of 8"].tolist() == [0.0, 0.0, 0.0]
    pictures = np.asarray(regions.panels[0].layers[0].values)
    boundary = layers(regions, 1)["boundary"]
    assert pictures.shape[0] == len(boundary) == 3
    assert (pictures[:, 22, 22] > 0.0).all()
    assert (np.mean(pictures < 0.0, axis=(1, 2)) > 0.1).all()
    assert np.nanmax(np.abs(boundary)) <= 1.4
