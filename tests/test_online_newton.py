"""Newton learners for exp-concave losses: against eigendecompositions and SLSQP, their certificates, bad input."""

import numpy as np
import online_by_definition as definition
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from theorylab.algorithms import online_newton as newton
from theorylab.algorithms.online_learners import empty_record
from theorylab.algorithms.online_losses import quadratic_arrays, quadratic_losses, softmax_losses

pytestmark = pytest.mark.kernels
LEARNERS = {
    "ONS": (newton.optimistic_newton, definition.newton),
    "FTRL": (newton.exp_concave_ftrl, definition.newton_ftrl),
}


def drawn(seed=0, horizon=80, noise=0.5):
    """Least squares ``||Bx - y_t||^2 / 2`` in R^5 with a rank-three design."""
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((3, 5))
    design /= np.linalg.norm(design, 2)
    targets = design @ np.full(5, 0.1) + noise * definition.sphere(horizon, 3, rng)
    return quadratic_losses(design.T @ design, targets @ design), design, targets


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("radius", [0.1, 10.0])
@pytest.mark.parametrize("beta", [0.3, 300.0])
def test_learner_is_its_definition(name, radius, beta):
    run, oracle = LEARNERS[name]
    losses, _, _ = drawn()
    played = run(losses, radius=radius, beta=beta, gradient=0.7)
    xs, norms = oracle(definition.quadratic(losses.game), 80, 5, radius, beta, 0.7)
    assert np.abs(played.iterates - xs).max() < 1e-12 * max(1.0, radius)
    assert played.weighted_variations[-1] == pytest.approx(norms, rel=1e-11)
    on_the_sphere = np.isclose(np.linalg.norm(xs, axis=1), radius).sum()
    assert (on_the_sphere > 0) == (radius < 1 and beta < 1)  # the projection is tried, and its absence
    assert np.linalg.norm(played.iterates, axis=1).max() <= radius * (1 + 1e-14)


def test_hint_is_taken():
    losses, _, _ = drawn(1)
    xs, _ = definition.newton(definition.quadratic(losses.game), 80, 5, 0.1, 0.3, 0.7, hint=0.0)
    played = newton.optimistic_newton(losses, radius=0.1, beta=0.3, gradient=0.7, hint=0.0)
    assert np.abs(played.iterates - xs).max() < 1e-12


@pytest.mark.parametrize("leader", [False, True])
def test_compiled_learner_is_its_python(leader):
    losses, _, _ = drawn(2, horizon=30)
    rounds, outputs = np.array([5, 30]), []
    for run in (newton.play_newton, newton.play_newton.py_func):
        record = empty_record(rounds, 5, newton.COLUMNS, True)
        run(quadratic_arrays(losses), (leader, 1.2, 0.3, 1.0, 0.1), rounds, *record)
        outputs.append(record)
    for compiled, plain in zip(*outputs, strict=True):
        assert np.array_equal(compiled, plain)


@given(st.integers(0, 2**31), st.integers(1, 6), st.floats(-3.0, 3.0), st.floats(-2.0, 2.0))
def test_ball_minimiser_solves_the_secular_equation(seed, d, log_condition, log_scale):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    h = q @ np.diag(10.0 ** np.linspace(0.0, log_condition, d)) @ q.T
    h = 0.5 * (h + h.T)
    right = 10.0**log_scale * rng.standard_normal(d)
    x = np.empty(d)
    newton.ball_minimiser(h, np.linalg.cholesky(h), right, 1.0, x, np.empty((d, d)), np.empty(d))
    expected = definition.metric_projection(np.linalg.solve(h, right), h, 1.0)
    assert np.abs(x - expected).max() < 1e-11


def test_projection_agrees_with_a_general_solver():
    rng = np.random.default_rng(5)
    a = rng.standard_normal((4, 4))
    h, y = a @ a.T + np.eye(4), 2.0 * rng.standard_normal(4)
    x = np.empty(4)
    newton.ball_minimiser(h, np.linalg.cholesky(h), h @ y, 1.0, x, np.empty((4, 4)), np.empty(4))
    inside = {"type": "ineq", "fun": lambda u: 1.0 - u @ u}
    found = minimize(lambda u: (u - y) @ h @ (u - y), np.zeros(4), constraints=inside, options={"ftol": 1e-14})
    assert x == pytest.approx(found.x, abs=1e-6) and np.linalg.norm(y) > 1.0


def test_factor_keeps_its_digits_over_many_updates():
    rng = np.random.default_rng(6)
    lower, h = np.eye(4), np.eye(4)
    for w in rng.standard_normal((20_000, 4)) * np.array([10.0, 1.0, 0.1, 0.01]):
        newton.update_factor(lower, w.copy())
        h += np.outer(w, w)
    assert lower @ lower.T == pytest.approx(h, rel=1e-10, abs=1e-8 * h.max())


@given(st.integers(0, 2**31), st.sampled_from([0.1, 1.0]), st.sampled_from(["ONS", "FTRL"]))
def test_pathwise_inequalities_hold(seed, radius, name):
    """Theorem 5's and Theorem 6's certificates bound the regret against the best fixed point and the origin."""
    losses, design, targets = drawn(seed, horizon=200)
    bound = 2 * radius + 0.5 + 1.0
    beta = newton.exp_concave_rate(2 * radius, bound, 1 / bound**2)
    played = LEARNERS[name][0](losses, radius=radius, beta=beta, gradient=bound)
    mean = targets.mean(axis=0)
    near = minimize(
        lambda u: np.sum((design @ u - mean) ** 2), np.zeros(5),
        constraints={"type": "ineq", "fun": lambda u: radius**2 - u @ u},
    ).x  # fmt: skip
    for u in (np.zeros(5), near * min(1.0, radius / np.linalg.norm(near))):
        fixed = 0.5 * np.sum((targets - design @ u) ** 2) - 0.5 * np.sum(targets**2)
        if name == "ONS":
            stated = 0.5 * (1 + beta * bound**2 / 2) * (u @ u) + 2 * played.weighted_variations[-1]
            stated -= played.weighted_movements[-1]
        else:
            stated = 0.5 * (1 + beta * bound**2) * (u @ u) + played.weighted_variations[-1]
        assert played.losses[-1] - fixed <= stated + 1e-9


def test_divergence_is_infinity_from_then_on():
    tilts = np.full((9, 2), 3.0)
    tilts[4:] = 1e200
    played = newton.optimistic_newton(quadratic_losses(np.eye(2), tilts), radius=1.0, beta=0.1, gradient=1.0)
    assert played.diverged and np.isfinite(played.iterates[3]).all() and np.isinf(played.iterates[-1]).all()


GOOD = drawn()[0]
BAD = {
    "beta=0.0": lambda: newton.optimistic_newton(GOOD, radius=1.0, beta=0.0, gradient=1.0),
    "gradient=-1.0": lambda: newton.exp_concave_ftrl(GOOD, radius=1.0, beta=1.0, gradient=-1.0),
    "radius=0.0": lambda: newton.exp_concave_ftrl(GOOD, radius=0.0, beta=1.0, gradient=1.0),
    "hint=inf": lambda: newton.optimistic_newton(GOOD, radius=1.0, beta=1.0, gradient=1.0, hint=np.inf),
    "exp_concavity=0.0": lambda: newton.exp_concave_rate(1.0, 1.0, 0.0),
    "quadratic_losses": lambda: newton.optimistic_newton(
        softmax_losses(np.zeros((2, 1, 1)), np.ones((3, 2))), radius=1.0, beta=1.0, gradient=1.0
    ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_ends_in_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        BAD[sentence]()
