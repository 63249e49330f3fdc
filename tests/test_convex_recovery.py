"""The convex baseline: optimality certified by weak duality, exact recovery, spurious optima, and honest statuses."""

import cvxpy as cp
import numpy as np
import pytest

from theorylab.algorithms.convex_recovery import convex_recovery
from theorylab.algorithms.packed_symmetric import pack, pack_measurements


def instance(m, d, share, seed):
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((d, 1))
    X = direction @ direction.T / np.sum(direction**2)
    B = pack_measurements(rng.standard_normal((m, d, d)))
    errors = np.where(rng.random(m) < share, 10.0 * rng.standard_normal(m), 0.0)
    return X, B, B @ pack(X) + errors, errors


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_few_outliers_are_ignored_and_duality_certifies_it(penalty):
    X, B, y, errors = instance(80, 6, 0.05, 0)
    result = convex_recovery(B, y, penalty)
    assert result.accurate and result.status == "optimal"
    assert np.linalg.norm(result.X - X) < 1e-5
    assert result.value == pytest.approx(np.mean(np.abs(errors)) + penalty, rel=1e-6)
    assert result.psd_violation < 1e-7 and result.dual_violation < 1e-5 and abs(result.gap) < 1e-5
    np.testing.assert_array_equal(result.X, result.X.T)


def test_many_outliers_make_a_spurious_global_optimum_below_the_truth():
    X, B, y, errors = instance(60, 8, 0.5, 1)
    result = convex_recovery(B, y)
    assert result.accurate
    assert result.value < np.mean(np.abs(errors)) - 1e-3
    assert np.linalg.norm(result.X - X) > 0.1
    assert abs(result.gap) < 1e-5 and result.dual_violation < 1e-5


def test_no_positive_semidefinite_matrix_does_better():
    X, B, y, _ = instance(30, 4, 0.4, 2)
    result = convex_recovery(B, y, 0.05)
    rng = np.random.default_rng(3)
    for _ in range(300):
        factor = rng.standard_normal((4, 2))
        other = result.X + 0.02 * rng.random() * (factor @ factor.T - result.X)
        assert np.mean(np.abs(y - B @ pack(other))) + 0.05 * np.trace(other) >= result.value - 1e-6
    assert np.linalg.norm(result.X - X) < 5


def test_a_large_penalty_gives_zero():
    _, B, y, _ = instance(30, 4, 0.2, 4)
    result = convex_recovery(B, y, 50.0)
    assert np.linalg.norm(result.X) < 1e-5
    assert result.value == pytest.approx(np.mean(np.abs(y)), rel=1e-4)


def test_one_dimension_is_a_weighted_median():
    a, y = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 8.0, 12.0])
    # Ratios 1, 4, 3 with weights 1, 2, 4: the weighted median is 3.
    assert convex_recovery(a, y).X[0, 0] == pytest.approx(3.0, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("iterations", [1, 3])
def test_a_solver_that_stops_early_is_reported_and_not_raised(monkeypatch, iterations):
    _, B, y, _ = instance(30, 4, 0.3, 5)
    solve = cp.Problem.solve
    monkeypatch.setattr(cp.Problem, "solve", lambda self, **options: solve(self, max_iter=iterations, **options))
    result = convex_recovery(B, y)
    assert not result.accurate and result.status != "optimal"
    # Either nothing came back, or what came back does not pass for a solution.
    assert np.isnan(result.value) or result.gap > 1e-4 or result.dual_violation > 1e-4 or result.psd_violation > 1e-4


def test_a_solver_that_fails_is_reported_and_not_raised(monkeypatch):
    def fail(self, **options):
        raise cp.error.SolverError("no")

    monkeypatch.setattr(cp.Problem, "solve", fail)
    _, B, y, _ = instance(10, 3, 0.0, 6)
    result = convex_recovery(B, y)
    assert result.status == "solver_error" and np.isnan(result.value) and np.isnan(result.X).all()


@pytest.mark.parametrize(
    ("operator", "observations", "penalty", "message"),
    [
        (np.ones((4, 6)), np.ones(3), 0.0, r"observations.shape=\(3,\)"),
        (np.ones((4, 5)), np.ones(4), 0.0, "packed length=5"),
        (np.full((4, 6), np.nan), np.ones(4), 0.0, "not finite"),
        (np.ones((4, 6)), np.full(4, np.inf), 0.0, "not finite"),
        (np.ones((4, 6)), np.ones(4), -1.0, "penalty=-1.0"),
        (np.ones((4, 6)), np.ones(4), np.nan, "penalty=nan"),
        (np.ones((1, 41 * 42 // 2)), np.ones(1), 0.0, "d=41"),
        (np.ones((4001, 1)), np.ones(4001), 0.0, "m=4001"),
    ],
)
def test_bad_input_is_named(operator, observations, penalty, message):
    with pytest.raises(ValueError, match=message):
        convex_recovery(operator, observations, penalty)
