"""Lasso on random ReLU features against cvxpy and its optimality conditions; probabilities against a grid; bounds."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from problems import relu_networks as networks
from theorylab.algorithms import relu_sampling as sampling
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns, sample_patterns
from theorylab.algorithms.relu_certificate import pattern_dual_norms
from theorylab.algorithms.relu_convex_program import train_convex
from theorylab.algorithms.relu_recovery import training_objective

SEED = np.random.default_rng


@pytest.mark.parametrize(("n", "d", "count"), [(6, 2, 20), (8, 3, 60), (12, 3, 5)])
def test_the_lasso_is_cvxpys(n, d, count):
    problem = networks.gauss(n, d, SEED(n), beta=0.1)
    features = sampling.relu_features(problem.X, sampling.random_directions(count, d, SEED(1)))
    optimum = sampling.sampled_lasso(features, problem.y, beta=0.1)
    alpha = cp.Variable(count)
    stated = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(features @ alpha - problem.y) + 0.1 * cp.norm1(alpha)))
    value = stated.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert optimum.value == pytest.approx(value, rel=1e-8)


@given(st.integers(2, 10), st.integers(1, 4), st.integers(1, 40), st.floats(0.01, 2.0), st.integers(0, 10**6))
def test_optimality_conditions(n, d, count, beta, seed):
    rng = SEED(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    features = sampling.relu_features(X, sampling.random_directions(count, d, rng))
    optimum = sampling.sampled_lasso(features, y, beta=beta)
    correlation = features.T @ optimum.residual
    assert optimum.residual == pytest.approx(y - features @ optimum.coefficients, abs=1e-10)
    assert optimum.violation < 1e-8
    assert optimum.value == pytest.approx(optimum.dual_value, abs=1e-8)
    chosen = optimum.support
    assert correlation[chosen] == pytest.approx(beta * np.sign(optimum.coefficients[chosen]), rel=1e-7, abs=1e-9)
    assert chosen.size <= n
    assert np.linalg.matrix_rank(features[:, chosen], tol=1e-11) == chosen.size


def test_large_weight_decay_leaves_nothing():
    features = np.abs(SEED(0).standard_normal((5, 4)))
    optimum = sampling.sampled_lasso(features, np.ones(5), beta=1e3)
    assert optimum.support.size == 0
    assert optimum.value == pytest.approx(2.5)


def test_removing_a_support_sample_changes_the_optimum_and_removing_another_does_not():
    problem = networks.sphere(8, 2, SEED(4), beta=0.05)
    features = sampling.relu_features(problem.X, sampling.random_directions(30, 2, SEED(5)))
    optimum = sampling.sampled_lasso(features, problem.y, beta=problem.beta)
    for j in range(30):
        less = sampling.sampled_lasso(np.delete(features, j, axis=1), problem.y, beta=problem.beta)
        assert (less.value > optimum.value * (1 + 1e-9)) == (j in optimum.support)


def test_the_network_of_the_support_has_the_value_of_the_program():
    problem = networks.gauss(10, 3, SEED(1), beta=0.2)
    directions = sampling.random_directions(200, 3, SEED(2))
    optimum = sampling.sampled_lasso(sampling.relu_features(problem.X, directions), problem.y, beta=0.2)
    network = sampling.sampled_network(optimum, directions)
    assert network.width == optimum.support.size
    assert training_objective(network, problem.X, problem.y, beta=0.2, loss="squared") == pytest.approx(optimum.value)
    best = train_convex(problem.X, problem.y, enumerate_patterns(problem.X), beta=0.2).value
    assert best <= optimum.value <= 3.0 * best


@settings(max_examples=40)
@given(st.integers(2, 12), st.floats(0.01, 1.5), st.integers(0, 10**6))
def test_the_exact_violation_probability_is_that_of_a_grid(n, beta, seed):
    rng = SEED(seed)
    X, v = rng.standard_normal((n, 2)), rng.standard_normal(n)
    angles = (np.arange(20_000) + 0.5) * (2.0 * np.pi / 20_000)
    heights = np.abs(v @ np.maximum(X @ np.stack([np.cos(angles), np.sin(angles)]), 0.0))
    assert sampling.violation_probability(X, v, beta=beta) == pytest.approx(np.mean(heights > beta), abs=2e-3)


def test_no_direction_of_the_circle_violates_at_the_optimum_and_all_do_at_no_bound():
    X = np.vstack([np.eye(2), -np.eye(2)])
    assert sampling.violation_probability(X, np.full(4, 0.1), beta=1.0) == 0.0
    assert sampling.violation_probability(X, np.full(4, 10.0), beta=1.0) == pytest.approx(1.0)
    # |cos| > 1/2 on both halves where the only row is active: a third of the whole circle.
    assert sampling.violation_probability([[1.0, 0.0]], [1.0], beta=0.5) == pytest.approx(1.0 / 3.0)


def test_pattern_measures_are_frequencies_and_all_patterns():
    X = networks.gauss(8, 2, SEED(4)).X
    patterns, measures = sampling.pattern_measures(X)
    assert measures.sum() == pytest.approx(1.0)
    columns = {column.tobytes(): share for column, share in zip(patterns.T, measures, strict=True)}
    assert set(columns) == {column.tobytes() for column in enumerate_patterns(X).T}
    drawn = sample_patterns(X, 40_000, SEED(0))
    frequency = np.array([np.mean((drawn == pattern[:, None]).all(axis=0)) for pattern in patterns.T])
    assert frequency == pytest.approx(measures, abs=0.01)


def test_parallel_and_zero_rows_cut_no_further_arcs():
    patterns, measures = sampling.pattern_measures([[1.0, 1.0], [2.0, 2.0], [-1.0, -1.0], [0.0, 0.0], [1.0, -1.0]])
    assert patterns.shape == (5, 4)
    assert measures == pytest.approx(np.full(4, 0.25))


def test_a_pattern_improves_exactly_where_its_dual_norm_exceeds_beta():
    problem = networks.gauss(8, 2, SEED(4), beta=0.1)
    patterns, _ = sampling.pattern_measures(problem.X)
    some = patterns[:, :5]
    restricted = train_convex(problem.X, problem.y, some, beta=0.1)
    norms = pattern_dual_norms(problem.X, restricted.dual, patterns)
    improved = []
    for i in range(patterns.shape[1]):
        more = train_convex(problem.X, problem.y, np.column_stack([some, patterns[:, i]]), beta=0.1)
        improved.append(more.value < restricted.value * (1 - 1e-7))
    assert improved == (norms > 0.1 * (1 + 1e-6)).tolist()
    assert any(improved)


def test_the_mean_violation_is_the_mean_support_and_below_its_bound():
    problem = networks.sphere(8, 2, SEED(4), beta=0.05)
    rng, violated, support = SEED(0), [], []
    for _ in range(150):
        features = sampling.relu_features(problem.X, sampling.random_directions(21, 2, rng))
        first = sampling.sampled_lasso(features[:, :20], problem.y, beta=problem.beta)
        violated.append(sampling.violation_probability(problem.X, first.residual, beta=problem.beta))
        support.append(sampling.sampled_lasso(features, problem.y, beta=problem.beta).support.size / 21)
    error = np.std(np.subtract(violated, support), ddof=1) / np.sqrt(150)
    assert abs(np.mean(violated) - np.mean(support)) < 4 * error
    assert np.mean(violated) < sampling.expected_violation_bound(8, 20)


def test_half_the_circle_misses_the_other_half():
    problem = networks.gauss(6, 2, SEED(0), beta=0.1)
    directions = sampling.random_directions(300, 2, SEED(1), half_space=True)
    assert (directions[0] >= 0.0).all()
    features = sampling.relu_features(problem.X, directions)
    residual = sampling.sampled_lasso(features, problem.y, beta=0.1).residual
    assert sampling.violation_probability(problem.X, residual, beta=0.1) > sampling.expected_violation_bound(6, 300)


def test_directions_nest_and_are_uniform():
    long = sampling.random_directions(4000, 3, SEED(0))
    assert np.array_equal(long[:, :7], sampling.random_directions(7, 3, SEED(0)))
    assert np.linalg.norm(long, axis=0) == pytest.approx(np.ones(4000))
    assert long @ long.T / 4000 == pytest.approx(np.eye(3) / 3, abs=0.02)


def test_scenario_bounds():
    assert [sampling.stated_sample_size(6, *pair) for pair in ((0.2, 0.2), (0.1, 0.2), (0.1, 0.05))] == [87, 173, 200]
    assert sampling.stated_sample_size(2, 0.9, 0.9) == 3  # Markov's branch: 3 / 0.81 - 1
    assert sampling.expected_violation_bound(6, 10) == pytest.approx(6 / 11)
    tail = sampling.violation_tail_bound(6, 20, 0.2)
    assert tail == pytest.approx(sum(binom.pmf(i, 20, 0.2) for i in range(6)))
    for psi, xi in ((0.2, 0.2), (0.1, 0.2), (0.1, 0.05)):
        assert sampling.violation_tail_bound(6, sampling.stated_sample_size(6, psi, xi), psi) <= xi


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sampling.sampled_lasso(np.ones((2, 2)), [1.0, 2.0], beta=0.0), "beta=0.0"),
        (lambda: sampling.sampled_lasso(np.ones((2, 2)), [1.0], beta=1.0), r"y.shape=\(1,\)"),
        (lambda: sampling.sampled_lasso([[np.nan]], [1.0], beta=1.0), r"features\[0, 0\]=nan"),
        (lambda: sampling.sampled_lasso(np.ones((2, 0)), [1.0, 1.0], beta=1.0), r"features.shape=\(2, 0\)"),
        (lambda: sampling.violation_probability(np.ones((2, 3)), [1.0, 1.0], beta=1.0), "must have 2 columns"),
        (lambda: sampling.pattern_measures(np.ones((2, 1))), "must have 2 columns"),
        (lambda: sampling.random_directions(0, 2, SEED(0)), "count=0"),
        (lambda: sampling.random_directions(2, 1.5, SEED(0)), "features=1.5"),
        (lambda: sampling.relu_features(np.ones((2, 3)), np.ones((2, 5))), r"directions.shape=\(2, 5\)"),
        (lambda: sampling.stated_sample_size(6, 0.0, 0.1), "psi=0.0"),
        (lambda: sampling.stated_sample_size(6, 0.1, 1.0), "xi=1.0"),
        (lambda: sampling.violation_tail_bound(6, -1, 0.1), "count=-1"),
        (lambda: sampling.expected_violation_bound(0, 5), "samples=0"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said):
        call()
