"""The convex program of a ReLU network, the network recovered from it and its dual bounds, against each other."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize

from problems import relu_networks as networks
from theorylab.algorithms import relu_certificate as certificate
from theorylab.algorithms import relu_losses as losses
from theorylab.algorithms.hyperplane_arrangement import distinct_patterns, enumerate_patterns, sample_patterns
from theorylab.algorithms.relu_convex_program import convex_program, solve_program, train_convex
from theorylab.algorithms.relu_recovery import (
    Network,
    network_outputs,
    network_patterns,
    prune_network,
    recover_network,
    training_objective,
)

SEED = np.random.default_rng
# Optimal values of the program to eight digits, and of two wrong ones: without cones, and of one sign.
INSTANCES = {
    "plane": (networks.gauss(10, 2, SEED(0), beta=0.1), 0.2678781, 0.2227, 4.39),
    "space": (networks.gauss(12, 3, SEED(1), beta=0.3), 0.71610384, 0.5422, 15.9),
    "sphere": (networks.sphere(12, 2, SEED(2), beta=0.05), 2.39376634, 0.4125, 3.66),
    "logistic": (networks.sphere(10, 3, SEED(3), beta=0.2, loss="logistic"), 3.4724957, 2.567, 5.23),
    "four": (networks.gauss(9, 4, SEED(4), beta=0.5), 0.90374043, 0.577, 2.64),
    "hinge": (networks.rings(12, SEED(5), beta=0.05), None, None, None),
}
each_instance = pytest.mark.parametrize("name", INSTANCES)


def solved(problem, patterns=None, **settings):
    if patterns is None:
        patterns = enumerate_patterns(problem.X)
    return train_convex(problem.X, problem.y, patterns, beta=problem.beta, loss=problem.loss, **settings)


def nonconvex(network, problem):
    return training_objective(network, problem.X, problem.y, beta=problem.beta, loss=problem.loss)


@each_instance
def test_program_recovered_network_and_dual_bound_agree(name):
    problem, value, _, _ = INSTANCES[name]
    patterns = enumerate_patterns(problem.X)
    optimum = solved(problem, patterns)
    assert optimum.accurate
    assert optimum.tolerance <= 1e-9
    assert max(optimum.cone_violation, optimum.solver_gap, optimum.solver_residual) < 1e-8
    if value is not None:
        assert optimum.value == pytest.approx(value, rel=1e-7)
    assert nonconvex(recover_network(optimum.V, optimum.W), problem) == pytest.approx(optimum.value, rel=1e-7)
    data = problem.X, problem.y, optimum.dual
    bound = certificate.restricted_dual_bound(*data, patterns, beta=problem.beta, loss=problem.loss)
    assert -1e-9 < certificate.relative_gap(optimum.value, bound.value) < 1e-7
    everywhere = certificate.global_dual_bound(*data, beta=problem.beta, loss=problem.loss)
    assert everywhere.exact_norm
    assert everywhere.value == pytest.approx(bound.value, rel=1e-12)


@each_instance
def test_wrong_programs_have_other_values(name):
    problem, value, without_cones, one_sign = INSTANCES[name]
    if value is None:
        return
    assert solved(problem, cones="none").value == pytest.approx(without_cones, rel=2e-3)
    assert solved(problem, both_signs=False).value == pytest.approx(one_sign, rel=5e-3)


@pytest.mark.parametrize("name", ["plane", "space", "four"])
def test_optimality_conditions_of_the_squared_loss(name):
    """The multiplier is the residual; every block meets its cone's dual constraint, with equality where it is used."""
    problem = INSTANCES[name][0]
    patterns = enumerate_patterns(problem.X)
    optimum = solved(problem, patterns)
    assert optimum.dual == pytest.approx(problem.y - optimum.outputs, abs=1e-8)
    norms = certificate.pattern_dual_norms(problem.X, optimum.dual, patterns)
    assert norms.max() == pytest.approx(problem.beta, rel=1e-7)
    used = np.linalg.norm(optimum.V, axis=0) + np.linalg.norm(optimum.W, axis=0) > 1e-3
    assert norms[used] == pytest.approx(np.full(used.sum(), problem.beta), rel=1e-6)
    slopes = problem.X.T @ (patterns * optimum.dual[:, None])
    assert np.sum(slopes * (optimum.V - optimum.W)) == pytest.approx(
        problem.beta * (np.linalg.norm(optimum.V, axis=0).sum() + np.linalg.norm(optimum.W, axis=0).sum()), rel=1e-6
    )


@each_instance
def test_no_network_is_below_the_dual_bound(name):
    problem = INSTANCES[name][0]
    rng = SEED(7)
    best = np.inf
    bounds = []
    for trial in range(10):
        m = rng.integers(1, 15)
        network = Network(rng.standard_normal((problem.features, m)) * 0.5, rng.standard_normal(m) * 0.5)
        best = min(best, nonconvex(network, problem))
        # Any candidate gives a bound, however poor: here the residual of a random network, and plain noise.
        residual = losses.negative_gradient(problem.loss, network_outputs(network, problem.X), problem.y)
        for point in (residual, rng.standard_normal(problem.samples)):
            arguments = {"beta": problem.beta, "loss": problem.loss}
            exact = certificate.global_dual_bound(problem.X, problem.y, point, **arguments)
            bounds.append(exact.value)
            if trial == 0:
                loose = certificate.global_dual_bound(problem.X, problem.y, point, max_bytes=1, **arguments)
                assert not loose.exact_norm
                assert loose.value <= exact.value + 1e-10
    assert max(bounds) <= solved(problem).value * (1 + 1e-9) <= best
    assert max(bounds) > 0.0


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 10**6))
def test_the_dual_norm_is_the_maximum_over_directions(n, d, seed):
    rng = SEED(seed)
    X, v = rng.standard_normal((n, d)), rng.standard_normal(n)
    patterns = enumerate_patterns(X)
    norm = certificate.dual_norm(X, v, patterns)
    directions = rng.standard_normal((d, 400))
    directions /= np.linalg.norm(directions, axis=0)
    seen = np.abs(v @ np.maximum(X @ directions, 0.0))
    assert seen.max() <= norm * (1 + 1e-12)
    assert norm == pytest.approx(certificate.pattern_dual_norms(X, v, patterns).max(), rel=1e-12)
    assert norm <= certificate.dual_norm_upper_bound(X, v, iterations=40) * (1 + 1e-10)


def test_the_dual_norm_is_reached_by_ascent():
    problem = INSTANCES["space"][0]
    v = problem.y
    norm = certificate.dual_norm(problem.X, v, enumerate_patterns(problem.X))

    def height(u):
        return -abs(v @ np.maximum(problem.X @ (u / np.linalg.norm(u)), 0.0))

    best = min(minimize(height, SEED(s).standard_normal(3), method="Nelder-Mead").fun for s in range(10))
    assert -best == pytest.approx(norm, rel=1e-4)


def test_the_upper_bound_is_exact_where_the_output_is_linear():
    # All rows on one side of a hyperplane and non-negative weights: the best direction activates every row.
    X = np.abs(SEED(0).standard_normal((6, 3)))
    v = np.ones(6)
    assert certificate.dual_norm(X, v, enumerate_patterns(X)) == pytest.approx(np.linalg.norm(X.T @ v))
    assert certificate.dual_norm_upper_bound(X, v) <= 1.05 * np.linalg.norm(X.T @ v)


def test_the_upper_bound_finds_its_direction_where_the_slope_vanishes():
    # Opposite rows: the maximum of 3 |u_1| + |u_2| is sqrt(10), and the relaxation is exact.
    X = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert certificate.dual_norm(X, np.ones(4), enumerate_patterns(X)) == pytest.approx(np.sqrt(10.0))
    assert certificate.dual_norm_upper_bound(X, np.ones(4)) == pytest.approx(np.sqrt(10.0), rel=5e-3)


@each_instance
def test_zero_is_optimal_from_the_threshold_on(name):
    problem = INSTANCES[name][0]
    patterns = enumerate_patterns(problem.X)
    threshold = certificate.zero_threshold(problem.X, problem.y, patterns, loss=problem.loss)
    program = convex_program(problem.X, patterns, loss=problem.loss)
    empty = losses.loss_value(problem.loss, np.zeros(problem.samples), problem.y)
    below, above = (solve_program(program, problem.y, beta=share * threshold).value for share in (0.95, 1.01))
    assert (empty - below) / empty > 1e-5
    assert abs(empty - above) / empty < 1e-7


def test_restricted_values_fall_and_their_bounds_are_of_the_restricted_program():
    problem = INSTANCES["space"][0]
    whole = solved(problem).value
    values, drawn = [], sample_patterns(problem.X, 60, SEED(3))
    for count in (2, 5, 10, 20, 60):
        patterns = distinct_patterns(drawn[:, :count])
        optimum = solved(problem, patterns)
        bound = certificate.restricted_dual_bound(problem.X, problem.y, optimum.dual, patterns, beta=problem.beta)
        assert certificate.relative_gap(optimum.value, bound.value) < 1e-6
        below = certificate.global_dual_bound(problem.X, problem.y, optimum.dual, beta=problem.beta)
        assert below.value <= whole * (1 + 1e-9)
        values.append(optimum.value)
    assert np.all(np.diff(values) <= 1e-8)
    assert values[0] > 1.1 * whole  # where the restricted bound is no bound on the whole program
    assert whole <= values[-1] + 1e-8


def test_one_program_serves_a_sweep():
    problem = INSTANCES["plane"][0]
    program = convex_program(problem.X, enumerate_patterns(problem.X))
    for beta in (0.05, 0.5):
        other = networks.training_problem(problem.X, problem.y[::-1], beta=beta)
        assert solve_program(program, other.y, beta=beta).value == pytest.approx(solved(other).value, rel=1e-9)


def test_the_program_is_what_cvxpy_makes_of_its_definition():
    problem = networks.gauss(6, 2, SEED(8), beta=0.2, loss="logistic")
    patterns = enumerate_patterns(problem.X)
    pairs = [(cp.Variable(2), cp.Variable(2)) for _ in patterns.T]
    outputs = sum(
        np.diag(mask.astype(float)) @ problem.X @ (v - w) for mask, (v, w) in zip(patterns.T, pairs, strict=True)
    )
    size = sum(cp.norm(v) + cp.norm(w) for v, w in pairs)
    cones = [
        np.diag(2.0 * mask - 1.0) @ problem.X @ u >= 0
        for mask, pair in zip(patterns.T, pairs, strict=True)
        for u in pair
    ]
    defined = cp.Problem(cp.Minimize(cp.sum(cp.logistic(-cp.multiply(problem.y, outputs))) + 0.2 * size), cones)
    assert solved(problem).value == pytest.approx(defined.solve(solver=cp.CLARABEL), rel=1e-6)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 10**6))
def test_recovery_is_balanced_and_pruning_keeps_outputs(d, patterns, seed):
    rng = SEED(seed)
    V, W = rng.standard_normal((d, patterns)), rng.standard_normal((d, patterns))
    W[:, 0] = 0.0
    network = recover_network(V, W)
    assert network.width == 2 * patterns - 1
    assert np.linalg.norm(network.U, axis=0) == pytest.approx(np.abs(network.alpha))
    assert 0.5 * (np.sum(network.U**2) + np.sum(network.alpha**2)) == pytest.approx(
        np.linalg.norm(V, axis=0).sum() + np.linalg.norm(W, axis=0).sum()
    )
    X = rng.standard_normal((7, d))
    outputs = np.maximum(X @ V, 0.0).sum(axis=1) - np.maximum(X @ W, 0.0).sum(axis=1)
    assert network_outputs(network, X) == pytest.approx(outputs)
    factors = rng.uniform(0.1, 10.0, network.width)
    lopsided = Network(network.U * factors, network.alpha / factors)
    balanced = prune_network(lopsided)
    assert network_outputs(balanced, X) == pytest.approx(outputs)
    assert np.sum(balanced.U**2) <= 0.5 * (np.sum(lopsided.U**2) + np.sum(lopsided.alpha**2)) + 1e-12
    assert network_patterns(network, X).shape == (7, network.width)


def test_thresholds_drop_neurons():
    V = np.array([[1.0, 1e-9, 0.0], [0.0, 0.0, 0.0]])
    assert recover_network(V, np.zeros_like(V)).width == 2
    assert recover_network(V, np.zeros_like(V), relative_size=1e-6).width == 1
    assert recover_network(np.zeros((2, 3)), np.zeros((2, 3))).width == 0
    nothing = recover_network(np.zeros((2, 3)), np.zeros((2, 3)))
    assert network_outputs(nothing, np.eye(2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_conjugates_and_gradients(loss):
    """Fenchel-Young: ``l(yhat) - (-l*(-v)) >= -<v, yhat>``, with equality at ``v = -grad l(yhat)``."""
    rng = SEED(1)
    y = np.sign(rng.standard_normal(6))
    outputs = 1.5 * rng.standard_normal(6)
    gradient = losses.negative_gradient(loss, outputs, y)
    value = losses.loss_value(loss, outputs, y)
    assert value + gradient @ outputs == pytest.approx(losses.dual_value(loss, gradient, y))
    for _ in range(200):
        v = y * rng.uniform(0.0, 1.0, 6)
        assert losses.dual_value(loss, v, y) <= value + v @ outputs + 1e-12
    if loss != "squared":
        assert losses.dual_value(loss, -y, y) == -np.inf
        assert losses.dual_value(loss, 1.1 * y, y) == -np.inf
    error = check_grad(
        lambda z: losses.loss_value(loss, z, y), lambda z: -losses.negative_gradient(loss, z, y), outputs
    )
    assert error < 1e-5


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_the_best_multiple_of_a_candidate(loss):
    rng = SEED(2)
    X, y = rng.standard_normal((8, 2)), np.sign(rng.standard_normal(8))
    patterns, v = enumerate_patterns(X), y * rng.uniform(0.2, 0.9, 8)
    for beta in (0.1, 1.0, 30.0):
        bound = certificate.restricted_dual_bound(X, y, v, patterns, beta=beta, loss=loss)
        assert certificate.dual_norm(X, bound.point, patterns) <= beta * (1 + 1e-9)
        largest = beta / bound.dual_norm
        tried = [losses.dual_value(loss, c * v, y) for c in np.linspace(0.0, min(largest, 8.0), 4001)]
        assert max(tried) <= bound.value + 1e-12
        assert bound.value == pytest.approx(max(tried), rel=1e-2)
    zero = certificate.restricted_dual_bound(X, y, np.zeros(8), patterns, beta=1.0, loss=loss)
    assert zero.value == 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"X": [[1.0, 2.0]], "y": [1.0], "patterns": [[1]]}, "n=1"),
        ({"X": np.ones((3, 2))}, "X is constant"),
        ({"y": [1.0, 2.0, 1.0], "loss": "logistic"}, "y holds 2"),
        ({"y": [1.0, np.nan, 1.0]}, r"y\[1\]=nan"),
        ({"beta": 0.0}, "beta=0.0"),
        ({"patterns": np.ones((2, 1))}, r"patterns.shape=\(2, 1\)"),
        ({"patterns": np.ones((3, 0))}, r"patterns.shape=\(3, 0\)"),
        ({"patterns": np.full((3, 1), 0.5)}, "patterns hold 0.5"),
        ({"cones": "wide"}, "cones='wide'"),
        ({"loss": "cubic"}, "loss='cubic'"),
        ({"epsilon": -0.1}, "epsilon=-0.1"),
        ({"epsilon": np.nan}, "epsilon=nan"),
        ({"epsilon": 50.0}, "epsilon=50.0: only the zero network is feasible; must be below"),
    ],
)
def test_bad_input(change, said):
    X = np.array([[1.0, 2.0], [3.0, -4.0], [0.0, 1.0]])
    arguments = {"X": X, "y": [1.0, -1.0, 1.0], "patterns": enumerate_patterns(X), "beta": 0.1} | change
    with pytest.raises(ValueError, match=said):
        train_convex(arguments.pop("X"), arguments.pop("y"), arguments.pop("patterns"), **arguments)


def test_a_program_too_large_says_so_before_it_is_stated():
    X = SEED(0).standard_normal((60, 10))
    with pytest.raises(
        ValueError, match=r"P=50 patterns of n=60 samples in d=10 columns.*max_bytes=1000000.*relu_admm"
    ):
        convex_program(X, sample_patterns(X, 50, SEED(1)), max_bytes=10**6)


def test_rank_deficient_data_train_like_their_coordinates():
    problem = INSTANCES["plane"][0]
    turned = np.linalg.qr(SEED(0).standard_normal((5, 5)))[0][:2]
    wide = networks.training_problem(problem.X @ turned, problem.y, beta=problem.beta)
    assert solved(wide).value == pytest.approx(solved(problem).value, rel=1e-8)


def test_bad_certificates_and_networks():
    problem = INSTANCES["plane"][0]
    patterns = enumerate_patterns(problem.X)
    with pytest.raises(ValueError, match=r"point.shape=\(3,\)"):
        certificate.restricted_dual_bound(problem.X, problem.y, np.ones(3), patterns, beta=0.1)
    with pytest.raises(ValueError, match=r"point\[0\]=nan"):
        certificate.global_dual_bound(problem.X, problem.y, np.full(10, np.nan), beta=0.1)
    with pytest.raises(ValueError, match=r"network.U.shape=\(3, 1\)"):
        training_objective(Network(np.ones((3, 1)), np.ones(1)), problem.X, problem.y, beta=0.1, loss="squared")
    with pytest.raises(ValueError, match="must both be"):
        recover_network(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"relative_size=1.0"):
        recover_network(np.ones((2, 2)), np.ones((2, 2)), relative_size=1.0)
