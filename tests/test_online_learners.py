"""Gradient learners and the smooth ensemble: against definitions in plain numpy, against their Python, bad input."""

from math import inf, log

import numpy as np
import online_by_definition as definition
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from theorylab.algorithms import online_kernels as kernels
from theorylab.algorithms import online_learners as learners
from theorylab.algorithms.online_ensemble import (
    adaptive_rate,
    dynamic_pool,
    fixed_rate,
    known_variance_pool,
    known_variance_rate,
    play_ensemble,
)
from theorylab.algorithms.online_losses import quadratic_arrays, quadratic_losses, softmax_losses

pytestmark = pytest.mark.kernels
T, D = 60, 4


def drawn(seed=0, horizon=T, d=D, noise=1.0):
    """Noisy quadratics whose individuals are not convex, on which projections are active."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((d, d))
    tilts = 0.5 + noise * definition.sphere(horizon, d, rng)
    return quadratic_losses(a @ a.T / d, tilts, rng.choice([-1.0, 1.0], horizon), definition.sphere(horizon, d, rng))


LEARNERS = {
    "adaptive": (
        learners.optimistic_omd(learners.adaptive_step(2.0, 3.0)),
        lambda g: definition.mirror_descent(g, T, D, 0.7, lambda t, v: 2.0 / np.sqrt(3.0 + v)),
    ),
    "strongly convex": (
        learners.optimistic_omd(learners.strongly_convex_step(0.4)),
        lambda g: definition.mirror_descent(g, T, D, 0.7, lambda t, v: 2.0 / (0.4 * t)),
    ),
    "gradient descent": (
        learners.online_gradient_descent(learners.fixed_step(0.3)),
        lambda g: definition.mirror_descent(g, T, D, 0.7, lambda t, v: 0.3, hint=0.0),
    ),
    "wrong hint": (
        learners.optimistic_omd(learners.fixed_step(0.3), hint=-1.0),
        lambda g: definition.mirror_descent(g, T, D, 0.7, lambda t, v: 0.3, hint=-1.0),
    ),
    "FTRL": (learners.optimistic_ftrl(2.0, 3.0), lambda g: definition.ftrl(g, T, D, 0.7, 2.0, 3.0)),
    "strong FTRL": (learners.strongly_convex_ftrl(0.4), lambda g: definition.strong_ftrl(g, T, D, 0.7, 0.4, True)),
    "Sachs OFTL": (learners.sachs_oftl(0.4), lambda g: definition.strong_ftrl(g, T, D, 0.7, 0.4, False)),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learner_is_its_definition(name):
    learner, oracle = LEARNERS[name]
    losses = drawn()
    played = learners.play(losses, learner, radius=0.7)
    xs, gs = oracle(definition.quadratic(losses.game))
    assert np.abs(played.iterates - xs).max() < 1e-12
    assert np.abs(played.gradients - gs).max() < 1e-12
    on_the_sphere = np.isclose(np.linalg.norm(xs, axis=1), 0.7).sum()
    assert 0 < on_the_sphere < T  # otherwise the projection, or its absence, would not be tried


@pytest.mark.parametrize("name", LEARNERS)
def test_sums_at_checkpoints_are_sums_over_rounds(name):
    learner, _ = LEARNERS[name]
    losses = drawn(1)
    at = np.array([1, 2, 17, T])
    played = learners.play(losses, learner, radius=0.7, checkpoints=at)
    x, g = played.iterates, played.gradients
    m = np.vstack([np.zeros(D), learner.hint * g[:-1]])
    v = np.sum((g - m) ** 2, axis=1)
    moves = np.sum(np.diff(x, axis=0) ** 2, axis=1)
    each = [learners.play(losses, learner, radius=0.7, checkpoints=[t], keep=False) for t in range(1, T + 1)]
    eta = np.array([one.steps[-1] for one in each])
    _, h, b, k, d, _, _ = losses.game
    values = 0.5 * np.einsum("ti,ij,tj->t", x, h, x) - np.sum(b * x, 1) + 0.5 * k * np.sum(d * x, 1) ** 2
    for c, t in enumerate(at):
        assert played.losses[c] == pytest.approx(values[:t].sum(), abs=1e-11)
        assert played.linear_losses[c] == pytest.approx(np.sum(g[:t] * x[:t]), abs=1e-11)
        assert played.gradient_sums[c] == pytest.approx(g[:t].sum(axis=0), abs=1e-11)
        assert played.variations[c] == pytest.approx(v[:t].sum(), abs=1e-11)
        assert played.weighted_variations[c] == pytest.approx((eta * v)[:t].sum(), rel=1e-11)
        assert played.movements[c] == pytest.approx(moves[: t - 1].sum(), abs=1e-11)
        # Sachs et al.'s first round has no step, and its movement no weight.
        weighted = np.sum((moves / (4 * np.where(eta > 0, eta, inf)[:-1]))[: t - 1])
        assert played.weighted_movements[c] == pytest.approx(weighted, rel=1e-11)
    assert played.steps.tolist() == [eta[t - 1] for t in at]


def test_a_step_of_each_learner_is_the_argmin_of_its_definition():
    losses = drawn(2, horizon=6)
    gradient = definition.quadratic(losses.game)
    lam, d2, offset, radius = 0.4, 4.0, 3.0, 0.7

    def argmin(objective):
        inside = {"type": "ineq", "fun": lambda x: radius**2 - x @ x}
        return minimize(objective, np.zeros(D), method="SLSQP", constraints=inside, options={"ftol": 1e-14}).x

    strong = learners.play(losses, learners.strongly_convex_ftrl(lam), radius=radius)
    plain = learners.play(losses, learners.optimistic_ftrl(2.0, offset), radius=radius)
    eta_sum = 0.0
    for t in range(1, 6):
        x, g = strong.iterates[:t], strong.gradients[:t]
        point = argmin(lambda u, x=x, g=g: lam / 2 * u @ u + np.sum(g @ u) + lam / 2 * np.sum((u - x) ** 2) + g[-1] @ u)
        assert point == pytest.approx(strong.iterates[t], abs=2e-6)
        g = plain.gradients[:t]
        before = np.vstack([np.zeros(D), g])[:-1]
        eta = d2 / (offset + eta_sum)
        eta_sum += eta * np.sum((g[-1] - before[-1]) ** 2)
        eta = d2 / (offset + eta_sum)
        point = argmin(lambda u, g=g, eta=eta: g.sum(0) @ u + g[-1] @ u + u @ u / eta)
        assert point == pytest.approx(plain.iterates[t], abs=2e-6)
        assert gradient(t, plain.iterates[t]) == pytest.approx(plain.gradients[t])


@pytest.mark.parametrize("name", LEARNERS)
def test_compiled_learner_is_its_python(name):
    learner, _ = LEARNERS[name]
    losses = drawn(3)
    rounds = np.array([7, T])
    outputs = []
    for run in (kernels.play, kernels.play.py_func):
        record = learners.empty_record(rounds, D, kernels.COLUMNS, True)
        step = learner.step
        choices = (learner.method, step.rule, step.scale, step.offset, learner.hint, 0.7)
        run(quadratic_arrays(losses), choices, np.zeros(D), rounds, *record)
        outputs.append(record)
    for compiled, plain in zip(*outputs, strict=True):
        assert np.array_equal(compiled, plain)


@pytest.mark.parametrize("correction", [0.0, 2.5])
def test_ensemble_is_its_definition(correction):
    losses = drawn(4, horizon=40)
    steps, scale = np.array([0.02, 0.1, 0.4]), log(3) / 4.0
    played = play_ensemble(
        losses, steps, adaptive_rate(3, diameter=2.0, smoothness=0.05), radius=1.0, correction=correction
    )
    cap = 1.0 / (8 * 4.0 * 0.05)
    xs, weights = definition.ensemble(
        definition.quadratic(losses.game), 40, D, 1.0, steps,
        lambda v: min(cap, np.sqrt(scale / v)) if v > 0 else cap, correction,
    )  # fmt: skip
    assert np.abs(played.iterates - xs).max() < 1e-12
    assert np.abs(played.weights - weights).max() < 1e-12
    assert np.ptp(weights[-1]) > 0.1  # the weights have moved
    v = np.sum(np.diff(played.gradients, axis=0) ** 2)
    assert played.variations[-1] == pytest.approx(v)
    assert played.rates[-1] == pytest.approx(min(cap, np.sqrt(scale / v)))


def test_compiled_ensemble_is_its_python():
    rng = np.random.default_rng(0)
    losses = softmax_losses(rng.standard_normal((3, 5, 2)), rng.standard_normal((20, 3)))
    outputs = []
    for run in (kernels.play_ensemble, kernels.play_ensemble.py_func):
        rounds = np.array([3, 20])
        record = (*learners.empty_record(rounds, 6, 4, True), np.full((20, 2), np.inf))
        run(losses.game, np.array([0.1, 0.5]), 1.0, 0.3, 0.2, 2.0, rounds, *record)
        outputs.append(record)
    for compiled, plain in zip(*outputs, strict=True):
        assert np.allclose(compiled, plain, rtol=1e-13, atol=1e-15)  # exp and log differ in the last bit


def test_ensemble_of_one_is_mirror_descent():
    losses = drawn(5)
    one = play_ensemble(losses, [0.2], fixed_rate(0.7), radius=0.7, correction=3.0)
    alone = learners.play(losses, learners.optimistic_omd(learners.fixed_step(0.2)), radius=0.7)
    assert np.abs(one.iterates - alone.iterates).max() < 1e-14


def test_pools_and_rates():
    pool = dynamic_pool(10_000, diameter=2.0, gradient=3.0, smoothness=0.5)
    assert pool[-1] == 0.25 and pool[-2] < 0.25 and pool[0] == pytest.approx(2.0 / np.sqrt(8 * 9 * 10_000))
    assert np.all(np.diff(pool) > 0)
    typeset = dynamic_pool(10_000, diameter=2.0, gradient=3.0, smoothness=0.5, inside_root=True)
    assert typeset.size == pool.size and typeset[-1] < 0.05
    assert dynamic_pool(2, diameter=2.0, gradient=0.1, smoothness=5.0).size == 1
    known = known_variance_pool(diameter=2.0, smoothness=0.5, total=1e4)
    assert known[-1] == 0.25 and known[:-1] == pytest.approx(known[0] * 2.0 ** np.arange(known.size - 1))
    assert known_variance_rate(1, radius=1.0, smoothness=1.0, total=10.0).cap == 0.0
    assert known_variance_rate(4, radius=2.0, smoothness=1e-9, total=10.0).cap == pytest.approx(np.sqrt(log(4) / 40))


@given(st.integers(0, 2**31), st.integers(2, 4), st.integers(1, 6), st.integers(1, 3))
def test_softmax_gradient_is_the_derivative_of_the_mixture(seed, classes, points, width):
    rng = np.random.default_rng(seed)
    features, weights = rng.standard_normal((classes, points, width)), rng.standard_normal(classes)
    x, gradient = rng.standard_normal(classes * width), np.empty(classes * width)
    value = kernels.softmax_gradient(features, weights, x, gradient)
    assert value == pytest.approx(definition.softmax_mixture(features, weights, x), abs=1e-12)
    slope = approx_fprime(x, lambda z: definition.softmax_mixture(features, weights, z), 1e-6)
    assert gradient == pytest.approx(slope, abs=1e-4)


@given(st.integers(0, 2**31), st.floats(0.1, 5.0), st.floats(0.01, 3.0))
def test_pathwise_inequality_holds_for_mirror_descent(seed, radius, noise):
    """(P): the learner's certificate bounds its linear regret against every fixed point."""
    losses = drawn(seed, horizon=50, noise=noise)
    played = learners.play(losses, learners.optimistic_omd(learners.adaptive_step(2 * radius, 1.0)), radius=radius)
    regret = played.linear_losses[-1] + radius * np.linalg.norm(played.gradient_sums[-1])
    bound = (2 * radius) ** 2 / (2 * played.steps[-1]) + played.weighted_variations[-1]
    assert regret <= (bound - played.weighted_movements[-1]) * (1 + 1e-9)


def test_best_single_step_is_the_best_of_the_grid():
    losses = drawn(6)
    etas = [0.01, 0.1, 1.0, 10.0]
    best, played = learners.best_single_step(losses, etas, radius=0.7)
    steps = [learners.online_gradient_descent(learners.fixed_step(eta)) for eta in etas]
    totals = [learners.play(losses, one, radius=0.7).losses[-1] for one in steps]
    assert played.losses[-1] == min(totals) and best == etas[int(np.argmin(totals))]


def test_divergence_is_infinity_from_then_on():
    losses = quadratic_losses(np.eye(2), np.ones((2000, 2)))
    played = learners.play(
        losses, learners.optimistic_omd(learners.fixed_step(10.0)), radius=inf, checkpoints=[1, 20, 2000]
    )
    assert played.diverged and np.isfinite(played.losses[:2]).all() and played.losses[2] == inf
    assert np.isinf(played.iterates[-1]).all() and np.isinf(played.gradient_sums[2]).all()


def test_long_games_leave_no_rows():
    played = learners.play(drawn(), learners.sachs_oftl(0.4), radius=0.7, keep=False)
    assert played.iterates.shape == (0, D) and played.gradients.shape == (0, D)


GOOD = drawn()
OMD = learners.optimistic_omd(learners.fixed_step(0.1))
NAN_TILT = np.array([[0.0, 1.0], [np.nan, 0.0]])
BAD = {
    "radius=-1.0: must be positive": lambda: learners.play(GOOD, OMD, radius=-1.0),
    "quadratic_losses": lambda: learners.play(softmax_losses(np.zeros((2, 1, 1)), [[1.0, 1.0]]), OMD, radius=1.0),
    "radius=nan: must be positive": lambda: learners.play(GOOD, OMD, radius=float("nan")),
    r"checkpoints=\[0\]": lambda: learners.play(GOOD, OMD, radius=1.0, checkpoints=[0]),
    r"checkpoints=\[61\].*1..60": lambda: learners.play(GOOD, OMD, radius=1.0, checkpoints=[61]),
    r"checkpoints=\[2.5\].*integers": lambda: learners.play(GOOD, OMD, radius=1.0, checkpoints=[2.5]),
    "start has norm 4": lambda: learners.play(GOOD, OMD, radius=1.0, start=[2.0] * 4),
    "start=.*must be None": lambda: learners.play(GOOD, learners.sachs_oftl(1.0), radius=9.0, start=[2.0] * 4),
    "start.shape": lambda: learners.play(GOOD, OMD, radius=1.0, start=[0.0]),
    "eta=0": lambda: learners.fixed_step(0),
    "curvature=-0.5": lambda: learners.strongly_convex_step(-0.5),
    "diameter=0.0": lambda: learners.adaptive_step(0.0, 1.0),
    "offset=0": lambda: learners.optimistic_ftrl(1.0, 0),
    "hint=nan": lambda: learners.optimistic_omd(learners.fixed_step(1.0), hint=float("nan")),
    r"tilts\[1, 0\]=nan: must be finite": lambda: quadratic_losses(np.eye(2), NAN_TILT),
    "hessian: max.*symmetric": lambda: quadratic_losses([[1.0, 2.0], [0.0, 1.0]], np.zeros((3, 2))),
    "hessian.shape": lambda: quadratic_losses(np.eye(3), np.zeros((3, 2))),
    r"tilts.shape=\(0, 2\)": lambda: quadratic_losses(np.eye(2), np.zeros((0, 2))),
    r"curvatures.shape=\(2,\)": lambda: quadratic_losses(np.eye(2), np.zeros((3, 2)), np.ones(2), np.ones((2, 2))),
    "at least K=2": lambda: softmax_losses(np.zeros((1, 3, 2)), np.zeros((5, 1))),
    "weights.shape": lambda: softmax_losses(np.zeros((2, 3, 2)), np.zeros((5, 3))),
    "horizon=1": lambda: dynamic_pool(1, diameter=1.0, gradient=1.0, smoothness=1.0),
    "smoothness=inf": lambda: dynamic_pool(9, diameter=1.0, gradient=1.0, smoothness=inf),
    "bases=0": lambda: adaptive_rate(0, diameter=1.0, smoothness=1.0),
    "eps=-1.0": lambda: fixed_rate(-1.0),
    r"steps=\[\]|steps.shape": lambda: play_ensemble(GOOD, [], fixed_rate(1.0), radius=1.0, correction=0.0),
    "must be positive": lambda: play_ensemble(GOOD, [0.1, -0.1], fixed_rate(1.0), radius=1.0, correction=0.0),
    "correction=-1.0": lambda: play_ensemble(GOOD, [0.1], fixed_rate(1.0), radius=1.0, correction=-1.0),
    r"etas=\[\]": lambda: learners.best_single_step(GOOD, [], radius=1.0),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_ends_in_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        BAD[sentence]()
