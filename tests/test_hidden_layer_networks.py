"""Networks with a hidden layer: gradient, products and Hessian against differences and against each other; rank."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import digit_networks as networks
from problems import hidden_layer_networks as hidden
from problems import labelled_data as data


def drawn(activation, biases, seed=0, samples=7, width=4, classes=3):
    rng = np.random.default_rng(seed)
    points = data.gaussian_mixture(samples, 3, classes, 1.0, rng)
    start = hidden.initial_network(points, width, rng, activation=activation, biases=biases)
    # Biases away from zero, so that their derivatives are tried where they matter.
    return hidden.at_weights(start, start.weights + 0.3 * rng.standard_normal(start.parameters))


KINDS = [("tanh", True), ("tanh", False), ("relu", True), ("relu", False)]


def differences(function, network, step):
    columns = []
    for e in np.eye(network.parameters):
        up = function(hidden.at_weights(network, network.weights + step * e))
        down = function(hidden.at_weights(network, network.weights - step * e))
        columns.append((up - down) / (2 * step))
    return np.array(columns)


@pytest.mark.parametrize(("activation", "biases"), KINDS)
def test_derivatives_are_those_of_the_loss(activation, biases):
    network = drawn(activation, biases)
    # The nearest kink is much farther than the steps, as the seed is fixed: differences do not cross it.
    first = network.weights[: network.inputs.shape[1] * 4].reshape(4, -1)
    assert np.abs(network.inputs @ first.T).min() > 1e-3
    assert np.abs(differences(hidden.loss, network, 1e-5) - hidden.gradient(network)).max() < 1e-9
    assert np.abs(differences(hidden.gradient, network, 1e-5) - hidden.hessian(network)).max() < 1e-9


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
@settings(max_examples=25)
def test_product_is_exact(seed, kind):
    network = drawn(*kind, seed=seed)
    u = np.random.default_rng(seed).standard_normal(network.parameters)
    whole = hidden.hessian(network)
    assert np.abs(whole - whole.T).max() < 1e-13
    assert np.abs(hidden.hessian_product(network, u) - whole @ u).max() < 1e-12


@pytest.mark.parametrize(("activation", "biases"), KINDS)
def test_gauss_newton_is_the_jacobian_form(activation, biases):
    network = drawn(activation, biases)

    def scores(moved):
        _, _, _, a = hidden._forward(moved)
        return (a @ hidden._split(moved, moved.weights)[1]).ravel()

    jacobian = differences(scores, network, 1e-5).reshape(network.parameters, network.samples, network.classes)
    p = hidden._forward(network)[0]
    bent = np.array([np.diag(q) - np.outer(q, q) for q in p])
    direct = np.einsum("ank,nkl,bnl->ab", jacobian, bent, jacobian) / network.samples
    found = hidden.gauss_newton(network)
    assert np.abs(found - direct).max() < 1e-9
    assert np.linalg.eigvalsh(found)[0] > -1e-12
    assert np.abs(hidden.hessian(network) - found).max() > 1e-3  # the terms with the residual are there


def test_hessian_of_a_batch_is_the_mean_of_its_samples():
    network = networks.digit_network(np.random.default_rng(0), samples=40, steps=3)
    assert (network.parameters, network.hidden, network.classes) == (910, 12, 10)
    batch = data.draw_batch(40, 5, np.random.default_rng(1))
    each = [hidden.hessian(hidden.on_batch(network, [i])) for i in batch]
    assert np.abs(hidden.hessian(hidden.on_batch(network, batch)) - np.mean(each, axis=0)).max() < 1e-13


def test_extreme_excess_has_the_mean_of_the_extreme_eigenvalues():
    network = drawn("tanh", True, samples=6)
    values, vectors = np.linalg.eigh(hidden.hessian(network))
    top, bottom = vectors[:, -1], vectors[:, 0]
    pairs = [list(b) for b in itertools.combinations(range(6), 2)]
    excess = np.mean([hidden.extreme_excess(network, top, bottom, b) for b in pairs], axis=0)
    extremes = [np.linalg.eigvalsh(hidden.hessian(hidden.on_batch(network, b)))[[-1, 0]] for b in pairs]
    mean = np.mean(extremes, axis=0)
    assert excess == pytest.approx([mean[0] - values[-1], values[0] - mean[1]], rel=1e-9)
    assert min(excess) > 0
    assert np.abs(hidden.extreme_excess(network, top, bottom, np.arange(6))).max() < 1e-12


def test_rank_bound_holds_for_a_sample_and_not_for_the_data():
    network = networks.rectifier_network(np.random.default_rng(0), 1500)
    assert network.parameters == 880
    small_loss = 2 * (40 + 2 + 20)  # section 7.1: neurons and inputs; twice the classes without a small loss
    stated = 2 * 2 * small_loss

    def rank(some):
        eigenvalues = np.abs(np.linalg.eigvalsh(hidden.hessian(some)))
        return int(np.sum(eigenvalues > 1e-10 * eigenvalues.max()))

    assert max(rank(hidden.on_batch(network, [i])) for i in range(5)) <= small_loss
    assert rank(network) > stated


def test_descent_lowers_the_loss_and_is_its_definition():
    start = drawn("tanh", True)
    by_hand = start.weights.copy()
    for _ in range(4):
        by_hand -= 0.3 * hidden.gradient(hidden.at_weights(start, by_hand))
    end = hidden.descend(start, 4, 0.3)
    assert np.abs(end.weights - by_hand).max() < 1e-14
    assert hidden.loss(end) < hidden.loss(start)
    assert np.array_equal(hidden.descend(start, 0, 0.3).weights, start.weights)


def test_preparations_and_mixtures():
    def inputs(**options):
        return networks.digit_network(np.random.default_rng(0), samples=100, **options).inputs

    assert np.array_equal(inputs()[:, :-1], data.digits(100).features)
    assert np.array_equal(inputs(preparation="standardised")[:, :-1], data.standardised(data.digits(100)).features)
    white = inputs(preparation="whitened", regulariser=0.5)[:, :-1]
    assert np.array_equal(white, data.whitened(data.digits(100), 0.5).features)
    mixture = networks.mixture_network(np.random.default_rng(0), 2.0, samples=50)
    assert mixture.inputs.shape == (50, 31)
    trained = networks.rectifier_network(np.random.default_rng(0), 100, separable=True, steps=50)
    assert hidden.loss(trained) < 0.5


def test_bad_input():
    rng = np.random.default_rng(0)
    network = drawn("tanh", True)
    points = data.gaussian_inputs(6, 2, rng)
    cases = [
        (lambda: hidden.initial_network(points, 0, rng), "hidden=0"),
        (lambda: hidden.initial_network(points, 3, rng, activation="gelu"), "activation='gelu'"),
        (lambda: hidden.initial_network(points, 3, rng, gain=0.0), "gain=0.0"),
        (lambda: hidden.at_weights(network, np.ones(3)), "weights"),
        (lambda: hidden.hessian_product(network, np.ones(3)), "vector"),
        (lambda: hidden.hessian_product(network, np.full(network.parameters, np.inf)), "vector"),
        (lambda: hidden.on_batch(network, []), "batch"),
        (lambda: hidden.on_batch(network, [7]), "7..7"),
        (lambda: hidden.on_batch(network, [1, 1]), "repeated"),
        (lambda: hidden.descend(network, -1, 0.1), "steps=-1"),
        (lambda: hidden.descend(network, 1, -0.1), "rate=-0.1"),
        (lambda: networks.digit_network(rng, preparation="grey"), "preparation='grey'"),
        (lambda: networks.mixture_network(rng, -1.0), "separation=-1.0"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message.replace(".", r"\.")):
            call()
