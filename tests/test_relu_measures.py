"""What the claims on convex training of ReLU networks share: the judge of solved programs, slopes, sampled neurons."""

from dataclasses import replace

import numpy as np
import pytest

from problems.relu_networks import gauss, sphere
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_convex_program import train_convex
from theorylab.judges import Equals, EveryRun
from theorylab.measurements import measurements
from theorylab.verdicts import Verdict, conclude
from verify.relu import equivalence
from verify.relu.measures import INSTANCES, drawn_features, drawn_instance, log_slope, share_that_matters, violation
from verify.relu.solved import WhereSolved, solve_error

ACCURATE, SHORT = [[1e-10, 1e-9]], [[1e-10, 1e-3]]


@pytest.mark.parametrize(("values", "verdict"), [([[0.1, 0.2]], Verdict.UPHELD), ([[0.1, 3.0]], Verdict.VIOLATED)])
def test_accurate_solves_are_judged_as_they_are(values, verdict):
    inner = EveryRun(measured="measured", at_most=1.0)
    data = measurements([1], values, solve_error=ACCURATE)
    assert conclude(WhereSolved(inner).examine(data)) is verdict
    assert WhereSolved(inner).examine(data) == inner.examine(data)


@pytest.mark.parametrize("values", [[[0.1, 0.2]], [[0.1, 3.0]]])
@pytest.mark.parametrize("error", [1e-3, np.inf])
def test_an_inaccurate_solve_is_inconclusive_whatever_was_measured(values, error):
    data = measurements([1], values, solve_error=[[1e-10, error]])
    found = WhereSolved(EveryRun(measured="measured", at_most=1.0)).examine(data)
    assert conclude(found) is Verdict.INCONCLUSIVE
    assert "1 of 2 cells were not solved to 1e-08" in found.sentence


def test_statistical_judges_are_held_back_too():
    judge = WhereSolved(Equals(measured="measured", between=(0.0, 1.0)))
    assert (judge.name, judge.mode, judge.least_replicates) == (judge.judge.name, judge.judge.mode, 2)
    far = measurements([1], [[5.0, 5.0]], solve_error=SHORT)
    found = judge.examine(far)
    assert conclude(found) is Verdict.INCONCLUSIVE
    assert not found.statistical


def test_a_claim_that_reports_no_error_is_told_so():
    with pytest.raises(ValueError, match="solve_error"):
        WhereSolved(EveryRun(measured="measured", at_most=1.0)).examine(measurements([1], [[0.1]]))


def test_the_error_of_a_solve_is_its_worst_number_and_infinite_short_of_the_tolerance():
    problem = drawn_instance(INSTANCES[0], np.random.default_rng(0))
    optimum = train_convex(problem.X, problem.y, enumerate_patterns(problem.X), beta=problem.beta)
    assert 0.0 < solve_error(optimum) < 1e-8
    assert solve_error(optimum, replace(optimum, solver_residual=0.25)) == 0.25
    assert solve_error(optimum, replace(optimum, cone_violation=0.25)) == solve_error(optimum)
    assert solve_error(optimum, replace(optimum, status="optimal_inaccurate")) == np.inf


def test_log_slope_of_a_power_and_of_a_quantity_that_vanishes():
    x = np.array([1.0, 2.0, 4.0])
    assert log_slope(x, 3.0 * x**-1.5) == pytest.approx(-1.5)
    assert log_slope(x, [1.0, 0.5, 0.0]) == np.inf


def test_half_a_circle_of_neurons_leaves_more_to_improve():
    problem = sphere(8, 2, np.random.default_rng(1), beta=0.05)
    whole, half = (drawn_features(problem, 300, np.random.default_rng(2), half=half) for half in (False, True))
    assert violation(problem, whole) < 0.06 < 0.2 < violation(problem, half)
    assert 0.0 < share_that_matters(problem, whole) <= 8 / 300


@pytest.mark.parametrize("useful", [True, False])
def test_a_solve_short_of_its_tolerances_is_repeated_over_the_patterns_in_use(monkeypatch, useful):
    problem = gauss(10, 2, np.random.default_rng(0), beta=1.0)
    patterns = enumerate_patterns(problem.X)
    best = train_convex(problem.X, problem.y, patterns, beta=problem.beta)
    wrong = np.zeros_like(best.V)
    wrong[:, 0] = 1.0
    short = replace(best, status="optimal_inaccurate", value=2.0 * best.value)
    short = short if useful else replace(short, V=wrong, W=np.zeros_like(wrong))
    sizes = []

    def solve(X, y, some, **options):
        sizes.append(some.shape[1])
        return short if len(sizes) == 1 else train_convex(X, y, some, **options)

    monkeypatch.setattr(equivalence, "train_convex", solve)
    found = equivalence.solve_over_all(problem, patterns, "exact", True)
    assert sizes[0] == patterns.shape[1] > sizes[1]
    # One pattern alone is not enough: the others violate the dual constraint, and the solve stays inaccurate.
    assert found.accurate is useful and found.V.shape == best.V.shape
    assert not useful or found.value == pytest.approx(best.value, rel=1e-8)
