"""Minibatch training: kernels against their Python and plain numpy, batches, the search for the largest rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import hidden_layer_networks as hidden
from problems import labelled_data as data
from theorylab.algorithms import network_kernels as kernels
from theorylab.algorithms import network_training as training

pytestmark = pytest.mark.kernels
OPTIMISERS = {
    "SGD": training.sgd(),
    "heavy ball": training.heavy_ball(0.7),
    "EMA": training.ema_heavy_ball(0.7),
    "Adam": training.adam(0.8, 0.95, 1e-3),
}


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    start = hidden.initial_network(data.gaussian_mixture(12, 5, 3, 2.0, rng), 4, rng)
    return hidden.at_weights(start, start.weights + 0.2 * rng.standard_normal(start.parameters))


def run(network, batches, optimiser, rate, **options):
    return training.train(
        network.inputs, network.labels, network.weights, batches, optimiser, rate, hidden=4, classes=3, **options
    )


def by_definition(network, batches, name, rate):
    """The four optimisers as the module describes them, with the gradients of the problem file."""
    w = network.weights.copy()
    m, s = np.zeros_like(w), np.zeros_like(w)
    for t, rows in enumerate(batches, start=1):
        g = hidden.gradient(hidden.on_batch(hidden.at_weights(network, w), rows))
        if name == "SGD":
            w = w - rate * g
        elif name == "heavy ball":
            m = 0.7 * m + g
            w = w - rate * m
        elif name == "EMA":
            m = 0.7 * m + 0.3 * g
            w = w - rate * m
        else:
            m, s = 0.8 * m + 0.2 * g, 0.95 * s + 0.05 * g**2
            w = w - rate * (m / (1 - 0.8**t)) / (np.sqrt(s / (1 - 0.95**t)) + 1e-3)
    return w


@pytest.mark.parametrize("name", OPTIMISERS)
def test_training_is_its_definition(network, name):
    batches = training.draw_batches(12, 4, 25, np.random.default_rng(1))
    trained = run(network, batches, OPTIMISERS[name], 0.05)
    expected = by_definition(network, batches, name, 0.05)
    assert np.abs(trained.weights - expected).max() < 1e-12
    assert trained.loss == pytest.approx(hidden.loss(hidden.at_weights(network, expected)), rel=1e-12)
    assert (trained.status, trained.steps) == (training.TrainingStatus.FINISHED, 25)


def test_moving_average_is_the_heavy_ball_with_a_smaller_rate(network):
    batches = training.draw_batches(12, 3, 30, np.random.default_rng(2))
    heavy = run(network, batches, training.heavy_ball(0.9), 0.01)
    moving = run(network, batches, training.ema_heavy_ball(0.9), 0.1)
    assert np.abs(heavy.weights - moving.weights).max() < 1e-13


@pytest.mark.parametrize("name", OPTIMISERS)
def test_kernel_is_its_python(network, name):
    batches = training.draw_batches(12, 3, 10, np.random.default_rng(3))
    o = OPTIMISERS[name]
    rule = (o.kind, o.momentum, o.memory, o.damping)
    compiled, plain = network.weights.copy(), network.weights.copy()
    assert kernels.train(network.inputs, network.labels, batches, rule, 0.1, 4, 3, compiled) == 10
    assert kernels.train.py_func(network.inputs, network.labels, batches, rule, 0.1, 4, 3, plain) == 10
    # Sums are re-associated in the compiled one, so equality is up to rounding.
    assert np.abs(compiled - plain).max() < 1e-12
    loss = kernels.mean_loss(network.inputs, network.labels, 4, 3, compiled)
    assert loss == pytest.approx(kernels.mean_loss.py_func(network.inputs, network.labels, 4, 3, plain), rel=1e-12)


def test_divergence_is_a_status(network):
    batches = training.draw_batches(12, 3, 400, np.random.default_rng(4))
    wild = run(network, batches, training.heavy_ball(0.99), 1e308)
    assert wild.status is training.TrainingStatus.DIVERGED
    assert wild.loss == np.inf
    assert wild.steps < 400


@given(samples=st.integers(1, 40), part=st.floats(0, 1), steps=st.integers(1, 50), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_batches_are_epochs_without_replacement(samples, part, steps, seed):
    size = 1 + int(part * (samples - 1))
    batches = training.draw_batches(samples, size, steps, np.random.default_rng(seed))
    assert batches.shape == (steps, size)
    each = samples // size
    for begin in range(0, steps, each):
        epoch = batches[begin : begin + each].ravel()
        assert np.unique(epoch).size == epoch.size
        assert epoch.min() >= 0 and epoch.max() < samples


def search(network, rates, threshold=0.5, steps=150):
    batches = training.draw_batches(12, 4, steps, np.random.default_rng(5))
    arguments = (network.inputs, network.labels, network.weights, batches)
    found = training.largest_training_rate(*arguments, training.sgd(), rates, hidden=4, classes=3, threshold=threshold)
    return found, batches


def test_bisection_finds_a_rate_that_works_beside_one_that_does_not(network):
    rates = 2.0 ** np.arange(-5, 12)
    found, batches = search(network, rates)
    assert found.bracketed
    index = int(np.flatnonzero(rates == found.rate)[0])
    assert found.losses[index] < 0.5 <= found.losses[index + 1]
    assert run(network, batches, training.sgd(), found.rate).loss == found.losses[index]
    assert np.isfinite(found.losses).sum() <= 5  # log2 of 17 and no more; the others are NaN


def test_ends_of_the_grid_are_told(network):
    none, _ = search(network, [1e-6, 1e-5])
    assert (none.rate, none.bracketed) == (0.0, False)
    all_work, _ = search(network, [0.3, 0.4, 0.5])
    assert (all_work.rate, all_work.bracketed) == (0.5, False)


def test_bad_input(network):
    rng = np.random.default_rng(0)
    batches = training.draw_batches(12, 4, 5, rng)
    x, y, w = network.inputs, network.labels, network.weights
    sizes = {"hidden": 4, "classes": 3}
    sgd = training.sgd()
    cases = [
        (lambda: training.draw_batches(12, 0, 5, rng), "size=0"),
        (lambda: training.draw_batches(12, 13, 5, rng), "size=13"),
        (lambda: training.draw_batches(12, 4, 0, rng), "steps=0"),
        (lambda: training.train(x, y, w[:-1], batches, sgd, 0.1, **sizes), "start"),
        (lambda: training.train(x, y[:-1], w, batches, sgd, 0.1, **sizes), "labels"),
        (lambda: training.train(x, y + 1, w, batches, sgd, 0.1, **sizes), "labels in 1..3"),
        (lambda: training.train(x, y, w, batches + 10, sgd, 0.1, **sizes), "batches in"),
        (lambda: training.train(x, y, w, batches - 12, sgd, 0.1, **sizes), "batches in"),
        (lambda: training.train(x, y, w, batches * 1.0, sgd, 0.1, **sizes), "batches"),
        (lambda: training.train(x, y, w, np.zeros((2, 13), int), sgd, 0.1, **sizes), "B > N"),
        (lambda: training.train(x, y, w, batches, sgd, 0.0, **sizes), "rate=0.0"),
        (lambda: training.train(x, y, w, batches, sgd, np.nan, **sizes), "rate=nan"),
        (lambda: training.train(x * np.nan, y, w, batches, sgd, 0.1, **sizes), "inputs"),
        (lambda: training.train(x, y, w, batches, sgd, 0.1, hidden=0, classes=3), "hidden=0"),
        (lambda: training.heavy_ball(1.0), "momentum=1.0"),
        (lambda: training.ema_heavy_ball(-0.1), "momentum=-0.1"),
        (lambda: training.adam(memory=1.0), "memory=1.0"),
        (lambda: training.adam(damping=0.0), "damping=0.0"),
        (lambda: search(network, []), "rates"),
        (lambda: search(network, [0.2, 0.1]), "ascending"),
        (lambda: search(network, [0.0, 0.1]), "positive"),
        (lambda: search(network, [0.1], threshold=0.0), "threshold=0.0"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message.replace(".", r"\.")):
            call()
