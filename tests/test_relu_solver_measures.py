"""What the claims about solvers and robust training measure: decades, their growth, plateaus, robust objectives."""

import numpy as np
import pytest

from problems.relu_networks import gauss, rings, training_problem
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_recovery import Network, recover_network
from theorylab.judges import EveryRun
from theorylab.measurements import measurements
from theorylab.verdicts import Verdict, conclude
from verify.relu.early import first_near
from verify.relu.robust import robust_objective, robust_path
from verify.relu.settled import (
    Rest,
    WhereSettled,
    decade_times,
    last_increments,
    run_to_rest,
    steady_growth,
    tail_envelope,
)

STEPS = np.arange(1, 40_001, dtype=float)


def at_rest(residuals):
    return Rest(residuals, 1.0, 1.0, False)


def test_decades_are_counted_on_the_tail_envelope():
    residuals = np.array([1.0, 0.05, 0.5, 0.02, 0.005, 0.0])
    assert tail_envelope(residuals).tolist() == [1.0, 0.5, 0.5, 0.02, 0.005, 0.0]
    # Below 0.1 for good from the fourth iteration, below 0.01 from the fifth, below all else from the sixth.
    assert decade_times(residuals).tolist() == [4.0, 5.0] + [6.0] * 10
    assert decade_times(np.array([1.0, 1.0])).size == 0


def test_geometric_decay_has_equal_decades_and_powers_have_growing_ones():
    assert steady_growth(last_increments(at_rest(10.0 ** (-STEPS / 500.0)))) == pytest.approx(1.0, abs=0.01)
    # 20 (1 + k)^-6 is at 1e-12 after about 165 iterations.
    assert steady_growth(last_increments(at_rest(20.0 * STEPS**-6.0))) > 2.0**0.5


def test_one_change_of_the_rate_is_not_steady_growth():
    assert steady_growth(np.array([50.0, 600.0, 600.0])) == 1.0
    assert steady_growth(np.array([50.0, 50.0, 600.0])) == 1.0
    assert steady_growth(np.array([50.0, 100.0, 200.0])) == 2.0
    assert steady_growth(np.full(3, np.inf)) == np.inf


@pytest.mark.parametrize(("level", "plateau"), [(1e-13, False), (1e-6, True), (0.02, False), (np.inf, False)])
def test_a_plateau_is_neither_at_rest_nor_stuck(level, plateau):
    assert at_rest(np.full(500, level)).plateau is plateau


@pytest.mark.kernels
def test_a_known_instance_takes_607_iterations_a_decade():
    problem = gauss(10, 2, np.random.default_rng(2), beta=0.1)
    run = run_to_rest(problem, enumerate_patterns(problem.X), dual_step=1.0, decay=1.0)
    assert last_increments(run).tolist() == pytest.approx([607.0] * 3, abs=2.0)
    assert run.dual_bound == pytest.approx(run.network, rel=1e-9)
    fading = run_to_rest(problem, enumerate_patterns(problem.X), dual_step=1.0, decay=0.99)
    assert fading.residuals[-1] > 1e-3 and not fading.plateau
    assert run_to_rest(problem, enumerate_patterns(problem.X), dual_step=2.1, decay=1.0).diverged


def judged(errors, plateaus):
    judge = WhereSettled(EveryRun(measured="error", at_most=1.0))
    data = measurements([1], [errors], error=[errors], plateau=[plateaus])
    return conclude(judge.examine(data))


@pytest.mark.parametrize(
    ("errors", "plateaus", "verdict"),
    [
        ([0.5, 0.5, 9.0, 0.5], [0, 0, 1, 0], Verdict.UPHELD),
        ([0.5, 9.0, 9.0, 9.0], [0, 1, 1, 1], Verdict.INCONCLUSIVE),
        ([0.5, 9.0, 0.1, 0.1], [1, 0, 1, 1], Verdict.VIOLATED),
        ([0.5, 9.0, 0.1, 0.1], [0, 0, 0, 0], Verdict.VIOLATED),
        ([9.0, 9.0, 9.0, 9.0], [1, 1, 1, 1], Verdict.INCONCLUSIVE),
        ([np.inf, 0.5, 9.0, 0.5], [0, 0, 1, 0], Verdict.VIOLATED),
    ],
)
def test_runs_in_a_plateau_decide_nothing(errors, plateaus, verdict):
    assert judged(errors, plateaus) is verdict


def test_the_sentence_counts_those_runs_alone_that_came_to_rest():
    judge = WhereSettled(EveryRun(measured="error", at_most=1.0))
    held = measurements([1], [[0.5, 0.7, 9.0, 8.0]], error=[[0.5, 0.7, 9.0, 8.0]], plateau=[[0, 0, 1, 1]])
    sentence = judge.examine(held).sentence
    assert sentence.startswith("2 of 4 runs were in a plateau at the horizon and decide nothing; the other 2 satisfy")
    assert "error=0.7 against 1 at 1, replicate 1" in sentence
    failed = measurements([1], [[0.5, 7.0, 9.0, 8.0]], error=[[0.5, 7.0, 9.0, 8.0]], plateau=[[0, 0, 1, 1]])
    assert "1 of the other 2 exceed the bound" in judge.examine(failed).sentence


def test_a_run_is_near_only_from_when_on_all_its_values_stay_near():
    at = np.array([10, 20, 30, 40])
    assert first_near(at, np.array([[3.0, 2.01, 2.3, 2.001], [2.0, 2.0, 2.0, 2.0]]), 2.0) == 40.0
    assert first_near(at, np.array([[2.0, 2.01, 1.99, 2.001]]), 2.0) == 10.0
    assert first_near(at, np.array([[2.0, 2.0, 2.0, 2.1]]), 2.0) == np.inf
    assert first_near(at, np.full((2, 4), np.nan), 2.0) == np.inf


def test_the_robust_path_starts_at_the_standard_optimum_and_states_its_worst_case():
    problem = rings(8, np.random.default_rng(0))
    nominal, robust = robust_path(problem, enumerate_patterns(problem.X), (0.0, 0.05))
    network = recover_network(robust.V, robust.W)
    assert robust_objective(network, problem, 0.05) == pytest.approx(robust.value, rel=1e-6)
    assert nominal.value < robust.value < robust_objective(recover_network(nominal.V, nominal.W), problem, 0.05)


def test_two_samples_show_that_the_robust_value_is_only_an_upper_bound():
    # In shrunken cones of x = 0.05 at radius 0.1 there is no neuron but zero, whose hinge loss is 2.
    beta = 0.05
    problem = training_problem([[1.0], [0.05]], [1.0, 1.0], beta=beta, loss="hinge")
    root = 0.9**-0.5
    one = Network(np.array([[root]]), np.array([root]))
    assert robust_objective(one, problem, 0.1) == pytest.approx(1.0 + beta / 0.9)
    assert robust_objective(Network(np.zeros((1, 0)), np.zeros(0)), problem, 0.1) == 2.0
    with pytest.raises(ValueError, match="only the zero network"):
        robust_path(problem, enumerate_patterns(problem.X), (0.1,))
