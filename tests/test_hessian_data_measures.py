"""Helpers of verify/random_matrix that compute something of their own: row variances, weights at zero, outliers."""

import numpy as np

from problems import softmax_digits as softmax
from problems.digit_networks import mixture_network
from problems.hidden_layer_networks import hessian
from theorylab.algorithms.spectral_density import SpectralDensity
from verify.random_matrix.excess import row_deviation
from verify.random_matrix.ranks import weight_with_copies
from verify.random_matrix.whitening import outlier_ratio


def test_row_variances_are_those_of_the_per_sample_hessians():
    problem = softmax.softmax_digits(samples=20, components=3, steps=30)
    samples = np.array([softmax.hessian(problem, [i]) for i in range(problem.samples)])
    rows = samples.var(axis=0).sum(axis=1)
    expected = np.abs(rows - rows.mean()).mean() / rows.mean()
    assert np.isclose(row_deviation(problem, softmax.hessian(problem)), expected, rtol=1e-10)


def test_copies_of_a_zero_are_counted_and_other_nodes_are_not():
    nodes = np.array([[-1e-16, 1e-15, 0.3, 2.0], [0.01, 0.02, 0.5, 2.0]])
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.3, 0.2]])
    density = SpectralDensity(nodes, weights, nodes, weights, 100, 8)
    assert np.isclose(weight_with_copies(density), (0.3 + 0.25) / 2)


def test_outlier_ratio_is_first_over_twelfth():
    network = mixture_network(np.random.default_rng(0), 2.0, samples=60, dimension=5, hidden=4)
    values = np.sort(np.linalg.eigvalsh(hessian(network)))[::-1]
    assert np.isclose(outlier_ratio(network), values[0] / values[11])
