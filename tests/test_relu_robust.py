"""Robust convex training: its value is the recovered network's worst case; radii and worst cases of any network."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import relu_networks as networks
from theorylab.algorithms import relu_losses as losses
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_convex_program import convex_program, solve_program, train_convex
from theorylab.algorithms.relu_recovery import Network, network_outputs, recover_network
from theorylab.algorithms.relu_robust import largest_robust_radius, output_ranges, pattern_radii, worst_case_loss

SEED = np.random.default_rng


def weights(network):
    return 0.5 * (np.sum(network.U**2) + np.sum(network.alpha**2))


def attacked(network, problem, epsilon, rng, points=300):
    """The largest loss over all corners of the boxes and random points in them, sample by sample."""
    columns = np.flatnonzero(problem.perturbed)
    moves = np.array(list(product([-epsilon, epsilon], repeat=columns.size)))
    moves = np.vstack([moves, rng.uniform(-epsilon, epsilon, (points, columns.size))])
    total = 0.0
    for x, y in zip(problem.X, problem.y, strict=True):
        near = np.repeat(x[None], len(moves), axis=0)
        near[:, columns] += moves
        outputs = network_outputs(network, near)
        total += max(losses.loss_value(problem.loss, outputs[k : k + 1], np.array([y])) for k in range(len(moves)))
    return total


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_the_robust_value_is_the_worst_case_of_the_recovered_network(loss):
    problem = networks.rings(14, SEED(1), loss=loss)
    patterns = enumerate_patterns(problem.X)
    program, nominal = (
        convex_program(problem.X, patterns, loss=loss, robust=True, perturbed=problem.perturbed, cones=cones)
        for cones in ("exact", "nominal")
    )
    previous = train_convex(problem.X, problem.y, patterns, beta=problem.beta, loss=loss).value
    for epsilon in (0.01, 0.06):
        optimum = solve_program(program, problem.y, beta=problem.beta, epsilon=epsilon)
        network = recover_network(optimum.V, optimum.W)
        arguments = {"loss": loss, "epsilon": epsilon, "perturbed": problem.perturbed}
        worst = worst_case_loss(network, problem.X, problem.y, **arguments) + problem.beta * weights(network)
        assert optimum.accurate
        assert optimum.cone_violation < 1e-8
        assert worst == pytest.approx(optimum.value, rel=1e-5)
        seen = attacked(network, problem, epsilon, SEED(0)) + problem.beta * weights(network)
        assert seen == pytest.approx(optimum.value, rel=1e-5)
        assert previous <= optimum.value
        previous = optimum.value
    # With the cones of the unperturbed data the stated value is not what an adversary reaches.
    optimum = solve_program(nominal, problem.y, beta=problem.beta, epsilon=0.06)
    network = recover_network(optimum.V, optimum.W)
    worst = worst_case_loss(network, problem.X, problem.y, **arguments) + problem.beta * weights(network)
    assert worst > 1.05 * optimum.value
    assert optimum.value < previous


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 5), st.floats(0.01, 2.0), st.booleans(), st.integers(0, 10**6))
def test_output_ranges_contain_and_nearly_reach_what_sampling_sees(d, width, epsilon, bias, seed):
    rng = SEED(seed)
    X = rng.standard_normal((3, d))
    perturbed = np.ones(d, dtype=bool)
    if bias:
        X, perturbed = np.column_stack([X, np.ones(3)]), np.append(perturbed, False)
    network = Network(rng.standard_normal((X.shape[1], width)), rng.standard_normal(width))
    least, greatest = output_ranges(network, X, epsilon=epsilon, perturbed=perturbed)
    points = np.repeat(X[:, None, :], 4000, axis=1)
    moves = np.where(rng.uniform(size=(4000, d)) < 0.3, 1.0, rng.uniform(-1.0, 1.0, (4000, d)))
    moves *= np.where(rng.uniform(size=(4000, d)) < 0.5, 1.0, -1.0)
    points[:, :, :d] += epsilon * moves
    outputs = np.array([network_outputs(network, near) for near in points])
    assert np.all(outputs.max(axis=1) <= greatest + 1e-9)
    assert np.all(outputs.min(axis=1) >= least - 1e-9)
    scale = epsilon * np.abs(network.U[:d]).sum() * np.abs(network.alpha).max()
    assert np.all(greatest - outputs.max(axis=1) <= 0.35 * scale)
    centre = network_outputs(network, X)
    assert np.all((least <= centre + 1e-12) & (centre <= greatest + 1e-12))


def test_a_worst_case_strictly_inside_the_box():
    # The ridge -|x| has its greatest value on the hyperplane x = 0, at no corner.
    network = Network(np.array([[1.0, -1.0]]), np.array([-1.0, -1.0]))
    least, greatest = output_ranges(network, [[0.1], [0.3]], epsilon=0.2)
    assert greatest == pytest.approx([0.0, -0.1])
    assert least == pytest.approx([-0.3, -0.5])
    assert worst_case_loss(network, [[0.1], [0.3]], [1.0, 1.0], loss="squared", epsilon=0.2) == pytest.approx(
        0.5 * (1.3**2 + 1.5**2)
    )


def test_without_radius_nothing_moves():
    problem = networks.gauss(6, 3, SEED(0))
    network = Network(SEED(1).standard_normal((3, 4)), SEED(2).standard_normal(4))
    least, greatest = output_ranges(network, problem.X, epsilon=0.0)
    assert np.array_equal(least, greatest)
    assert np.array_equal(least, network_outputs(network, problem.X))


def test_the_largest_radius_separates_useful_programs_from_vacuous_ones():
    problem = networks.gauss(8, 2, SEED(3), beta=1e-3)
    patterns = enumerate_patterns(problem.X)
    largest = largest_robust_radius(problem.X, patterns)
    arguments = {"beta": problem.beta, "perturbed": problem.perturbed}
    inside = train_convex(problem.X, problem.y, patterns, epsilon=0.9 * largest, **arguments)
    assert inside.value < 0.5 * problem.y @ problem.y
    with pytest.raises(ValueError, match=r"only the zero network is feasible; must be below"):
        train_convex(problem.X, problem.y, patterns, epsilon=1.1 * largest, **arguments)
    rings = networks.rings(8, SEED(0))
    assert largest_robust_radius(rings.X, enumerate_patterns(rings.X), perturbed=rings.perturbed) == np.inf


def test_patterns_without_room_are_left_out_and_do_not_stall_the_solver():
    problem = networks.rings(14, SEED(0), loss="logistic")
    patterns = enumerate_patterns(problem.X)
    within = pattern_radii(problem.X, patterns, perturbed=problem.perturbed) > 0.03
    assert 0 < within.sum() < within.size
    optimum = train_convex(
        problem.X, problem.y, patterns, beta=0.05, loss="logistic", epsilon=0.03, perturbed=problem.perturbed
    )
    assert optimum.accurate and optimum.value == pytest.approx(2.26623, abs=1e-5)
    assert optimum.V.shape == optimum.W.shape == (3, patterns.shape[1])
    assert not optimum.V[:, ~within].any() and not optimum.W[:, ~within].any()


def test_an_unperturbed_bias_stays_out_of_the_cones_and_the_loss():
    # A constant is feasible at any radius: 0.5 n (c - 1)^2 + beta c has its minimum at c = 1 - beta / n.
    X = np.column_stack([SEED(0).standard_normal((6, 2)), np.ones(6)])
    optimum = train_convex(
        X, np.ones(6), enumerate_patterns(X), beta=0.3, epsilon=20.0, perturbed=np.array([True, True, False])
    )
    assert optimum.value == pytest.approx(0.3 - 0.3**2 / 12)


def test_bad_input():
    network = Network(np.ones((12, 30)), np.ones(30))
    X = SEED(0).standard_normal((2, 12)) * 1e-3
    with pytest.raises(ValueError, match=r"30 neurons cross the box of a sample in 12 columns.*max_points"):
        worst_case_loss(network, X, [1.0, -1.0], loss="hinge", epsilon=1.0)
    with pytest.raises(ValueError, match="epsilon=inf"):
        output_ranges(network, X, epsilon=np.inf)
    with pytest.raises(ValueError, match="y holds 3"):
        worst_case_loss(network, X, [1.0, 3.0], loss="hinge", epsilon=0.1)
    rings = networks.rings(8, SEED(0))
    plain = convex_program(rings.X, enumerate_patterns(rings.X), loss="hinge")
    with pytest.raises(ValueError, match=r"epsilon=0.1: must be 0 in one stated without robust"):
        solve_program(plain, rings.y, beta=0.1, epsilon=0.1)
