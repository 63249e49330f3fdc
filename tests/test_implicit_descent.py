"""Implicit optimistic learners: against definitions in plain numpy and general solvers, certificates, bad input."""

import numpy as np
import online_by_definition as definition
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from theorylab.algorithms import implicit_kernels as kernels
from theorylab.algorithms.implicit_descent import (
    KinkRule,
    ball_game,
    box_game,
    implicit_pool,
    play_implicit,
    play_implicit_ensemble,
)
from theorylab.algorithms.online_learners import empty_record
from theorylab.algorithms.online_losses import kinked_losses, quadratic_losses, softmax_losses

pytestmark = pytest.mark.kernels
CENTRE = np.array([0.3, -0.2, 0.1, 0.45])


def kinked(horizon=50, noise=0.2, width=0.0, seed=0, switching=False):
    """Tilted sums of absolute values around one centre, or around two in turns, on [-1, 1]^4."""
    rng = np.random.default_rng(seed)
    centres = np.tile(CENTRE, (horizon, 1))
    if switching:
        centres[horizon // 2 :] *= -1.0
    losses = kinked_losses(centres, 0.3 + noise * definition.sphere(horizon, 4, rng), width)
    return losses, box_game(losses, -1.0, 1.0)


def softmax(horizon=12, seed=0):
    """Convex mixtures of softmax regressions on a ball of radius 2."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((3, 6, 2)) + 1.5 * np.eye(3)[:, None, :2]
    return features, rng.dirichlet(np.ones(3), horizon)


def value(losses, t, x):
    """``f_t(x)``."""
    z = np.abs(x - losses.centres[t])
    w = losses.width
    h = np.where(z <= w, z**2 / (2 * w), z - w / 2) if w > 0 else z
    return h.sum() + losses.tilts[t] @ x


def subgradient(losses, t, x, signs):
    """An element of the sub-differential; ``signs`` are taken at kinks."""
    z = x - losses.centres[t]
    if losses.width > 0:
        return np.clip(z / losses.width, -1, 1) + losses.tilts[t]
    return np.where(z == 0, signs, np.sign(z)) + losses.tilts[t]


def prox(losses, t, centre, eta):
    """The proximal step, coordinate by coordinate: the best of its few candidates."""
    c, a, w = losses.centres[t], losses.tilts[t], losses.width
    z = centre - eta * a - c
    candidates = [z - eta, z + eta, z / (1 + eta / w) if w > 0 else 0 * z]
    points = np.clip(c + np.array(candidates), -1, 1)
    h = np.abs(points - c)
    h = np.where(h <= w, h**2 / (2 * w), h - w / 2) if w > 0 else h
    best = np.argmin(h + a * points + (points - centre) ** 2 / (2 * eta), axis=0)
    return points[best, np.arange(c.size)]


def static(losses, horizon, diameter, bound, rule):
    """Equations (29)-(31) with the rule for kinks."""
    x, xhat, hint, total = np.zeros(4), np.zeros(4), np.zeros(4), 0.0
    signs = np.full(4, float(rule == KinkRule.ONE))
    eta, xs, v = diameter / np.sqrt(1 + 4 * bound**2), [], []
    for t in range(horizon):
        g = subgradient(losses, t, x, signs)
        xs.append(x)
        v.append(np.sum((g - hint) ** 2))
        total += v[-1]
        xhat = np.clip(xhat - eta * g, -1, 1)
        eta = diameter / np.sqrt(1 + 4 * bound**2 + total)
        if rule == KinkRule.EXPLICIT:
            hint, x = g, np.clip(xhat - eta * g, -1, 1)
            continue
        x = prox(losses, t, xhat, eta)
        if rule == KinkRule.REALISED:
            signs = np.clip((xhat - x) / eta - losses.tilts[t], -1, 1)
        hint = subgradient(losses, t, x, signs)
    return np.array(xs), np.array(v)


@pytest.mark.parametrize("rule", list(KinkRule))
@pytest.mark.parametrize("width", [0.0, 1e-6, 0.3])
@pytest.mark.parametrize("switching", [False, True])
def test_static_learner_is_its_definition(rule, width, switching):
    losses, game = kinked(width=width, switching=switching)
    played = play_implicit(game, diameter=4.0, gradient=2.8, rule=rule, checkpoints=[10, 50])
    xs, v = static(losses, 50, 4.0, 2.8, rule)
    scale = 1e-12 if width != 1e-6 else 1e-10  # the gradient of a narrow Huber function magnifies rounding
    assert np.abs(played.iterates - xs).max() < scale
    assert played.variations == pytest.approx([v[:10].sum(), v.sum()], rel=1e-7)
    assert np.sum((played.gradients - played.hints) ** 2, axis=1) == pytest.approx(v, rel=1e-6, abs=1e-6)
    assert played.losses[1] == pytest.approx(sum(value(losses, t, x) for t, x in enumerate(xs)))
    assert played.linear_losses[1] == pytest.approx(np.sum(played.gradients * played.iterates))
    assert played.gradient_sums[1] == pytest.approx(played.gradients.sum(axis=0))
    if width == 0.0 and rule in (KinkRule.REALISED, KinkRule.ZERO):
        assert np.any(xs == losses.centres)  # otherwise the rule would not be tried


@given(st.floats(-3, 3), st.floats(-1, 1), st.floats(-0.9, 0.9), st.floats(1e-3, 50), st.sampled_from([0.0, 1e-6, 0.2]))
def test_coordinate_step_minimises_its_objective(centre, c, a, eta, width):
    losses = kinked_losses([[c]], [[a]], width)
    game = box_game(losses, -1.0, 1.0).arrays
    x = np.empty(1)
    kernels.proximal_step(game, 0, np.array([centre]), eta, 0.0, x)

    def objective(u):
        return value(losses, 0, np.array([u])) + (u - centre) ** 2 / (2 * eta)

    found = minimize_scalar(objective, bounds=(-1.0, 1.0), method="bounded", options={"xatol": 1e-10})
    assert -1.0 <= x[0] <= 1.0 and objective(x[0]) <= found.fun + 1e-12


@pytest.mark.parametrize("eta", [1e-3, 0.1, 5.0, 400.0])
def test_softmax_step_agrees_with_a_general_solver(eta):
    features, weights = softmax()
    game = ball_game(softmax_losses(features, weights), 2.0)
    centre = 0.4 * np.ones(6)
    x = np.empty(6)
    kernels.proximal_step(game.arrays, 0, centre, eta, game.curvatures[0], x)
    found = minimize(
        lambda u: definition.softmax_mixture(features, weights[0], u) + np.sum((u - centre) ** 2) / (2 * eta),
        centre, constraints={"type": "ineq", "fun": lambda u: 4.0 - u @ u}, options={"ftol": 1e-15, "maxiter": 500},
    )  # fmt: skip
    ours = definition.softmax_mixture(features, weights[0], x) + np.sum((x - centre) ** 2) / (2 * eta)
    assert ours <= found.fun + 1e-9 and x == pytest.approx(found.x, abs=2e-4)
    assert np.linalg.norm(x) <= 2.0 * (1 + 1e-12)


def test_curvature_bounds_the_hessian():
    features, weights = softmax()
    game = ball_game(softmax_losses(features, weights), 2.0)
    rng = np.random.default_rng(0)
    g, h = np.empty(6), np.empty(6)
    for t in range(weights.shape[0]):
        x, step = rng.standard_normal(6), 1e-4 * rng.standard_normal(6)
        kernels.softmax_gradient(features, weights[t], x, g)
        kernels.softmax_gradient(features, weights[t], x + step, h)
        assert np.linalg.norm(h - g) <= game.curvatures[t] * np.linalg.norm(step)


@pytest.mark.parametrize("width", [0.0, 0.3])
def test_ensemble_is_its_definition(width):
    losses, game = kinked(horizon=30, width=width, switching=True)
    steps = np.array([0.05, 0.4, 3.0])
    played = play_implicit_ensemble(game, steps, checkpoints=[12, 30])
    centres, points, signs, hints = (np.zeros((3, 4)) for _ in range(4))
    totals, promised, weights = np.zeros(3), np.zeros(3), np.full(3, 1 / 3)
    errors, surprise, weighted, loss, before = np.zeros(3), 0.0, 0.0, 0.0, 0.0
    for t in range(30):
        x = weights @ points
        assert np.abs(played.iterates[t] - x).max() < 1e-12
        assert np.abs(played.weights[t] - weights).max() < 1e-12
        loss += value(losses, t, x)
        own = np.array([value(losses, t, p) for p in points])
        at_start = value(losses, t, np.zeros(4))
        q = np.max(np.abs((own - at_start) - (promised - before)))
        before = at_start
        weighted += q * q / np.sqrt(1 + surprise)
        surprise += q * q
        totals += own
        for i, eta in enumerate(steps):
            g = subgradient(losses, t, points[i], signs[i])
            errors[i] += np.sum((g - hints[i]) ** 2)
            centres[i] = np.clip(centres[i] - eta * g, -1, 1)
            points[i] = prox(losses, t, centres[i], eta)
            signs[i] = np.clip((centres[i] - points[i]) / eta - losses.tilts[t], -1, 1)
            hints[i] = subgradient(losses, t, points[i], signs[i])
            promised[i] = value(losses, t, points[i])
        weights = np.exp(-(totals + promised - (totals + promised).min()) / np.sqrt(1 + surprise))
        weights /= weights.sum()
    assert played.losses[1] == pytest.approx(loss, abs=1e-11)
    assert played.base_variations[1] == pytest.approx(errors, abs=1e-10)
    assert played.surprises[1] == pytest.approx(surprise) and played.weighted_surprises[1] == pytest.approx(weighted)
    uniform = play_implicit_ensemble(game, steps, uniform=True)
    assert np.all(uniform.weights == 1 / 3) and uniform.losses[0] != played.losses[1]


@pytest.mark.parametrize("kind", ["kinked", "softmax"])
def test_compiled_kernels_are_their_python(kind):
    game = kinked(horizon=8)[1] if kind == "kinked" else ball_game(softmax_losses(*softmax(horizon=8)), 2.0)
    rounds = np.array([3, 8])
    static_outputs, ensemble_outputs = [], []
    for run in (kernels.play_implicit, kernels.play_implicit.py_func):
        record = (*empty_record(rounds, game.dimension, kernels.COLUMNS, True), np.full((8, game.dimension), np.inf))
        run(game.arrays, game.curvatures, (kernels.REALISED, 4.0, 10.0), rounds, *record)
        static_outputs.append(record)
    for run in (kernels.play_implicit_ensemble, kernels.play_implicit_ensemble.py_func):
        record = tuple(np.full(shape, np.inf) for shape in ((2, 3), (2, 2), (8, game.dimension), (8, 2)))
        run(game.arrays, game.curvatures, np.array([0.1, 2.0]), True, rounds, *record)
        ensemble_outputs.append(record)
    for outputs in (static_outputs, ensemble_outputs):
        for compiled, plain in zip(*outputs, strict=True):
            assert np.allclose(compiled, plain, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-6, 0.1]), st.sampled_from([0.0, 0.2, 1.0]))
def test_pathwise_inequality_holds(seed, width, noise):
    """(N): half the weighted variation, plus ``D^2 / (2 eta_T)``, bounds the regret against every fixed point."""
    losses, game = kinked(horizon=120, noise=noise, width=width, seed=seed)
    played = play_implicit(game, diameter=4.0, gradient=2.6 + noise)
    stated = 16.0 / (2 * played.steps[-1]) + 0.5 * played.weighted_variations[-1]
    box = np.abs(played.gradient_sums[-1]).sum()  # the best corner of [-1, 1]^4
    assert played.linear_losses[-1] + box <= stated * (1 + 1e-9)
    fixed = sum(value(losses, t, CENTRE) for t in range(120))
    assert played.losses[-1] - fixed <= stated * (1 + 1e-9)


@given(st.integers(0, 2**31), st.booleans())
def test_pathwise_inequality_of_the_ensemble_holds(seed, smooth):
    """Theorem 9's certificate bounds the regret against a fixed point."""
    if smooth:
        features, weights = softmax(horizon=40, seed=seed)
        game, diameter, bound = ball_game(softmax_losses(features, weights), 2.0), 4.0, 4.0
        u = np.zeros(6)
        fixed = sum(definition.softmax_mixture(features, w, u) for w in weights)
    else:
        losses, game = kinked(horizon=120, seed=seed)
        diameter, bound, u = 4.0, 2.8, CENTRE
        fixed = sum(value(losses, t, u) for t in range(120))
    pool = implicit_pool(game.horizon, diameter=diameter, gradient=bound)
    played = play_implicit_ensemble(game, pool)
    stated = np.min(diameter**2 / (2 * pool) + pool / 2 * played.base_variations[-1])
    stated += np.log(pool.size) * np.sqrt(1 + played.surprises[-1]) + 0.5 * played.weighted_surprises[-1]
    assert played.losses[-1] - fixed <= stated * (1 + 1e-9)


def test_fixed_subgradient_at_the_kink_has_linear_regret():
    regrets = {}
    for horizon in (256, 1024):
        losses, game = kinked(horizon=horizon, noise=0.0)
        fixed = horizon * value(losses, 0, CENTRE)
        for rule in KinkRule:
            regrets[rule, horizon] = play_implicit(game, diameter=4.0, gradient=2.6, rule=rule).losses[-1] - fixed
    assert regrets[KinkRule.REALISED, 1024] == pytest.approx(regrets[KinkRule.REALISED, 256], abs=1e-9)
    assert regrets[KinkRule.ONE, 1024] == pytest.approx(4 * regrets[KinkRule.ONE, 256], rel=0.02)
    assert regrets[KinkRule.ZERO, 1024] == pytest.approx(4 * regrets[KinkRule.ZERO, 256], rel=0.05)


def test_divergence_is_infinity():
    losses = kinked_losses(np.zeros((3, 1)), np.array([[0.0], [1e200], [1e200]]))
    played = play_implicit(box_game(losses, -1.0, 1.0), diameter=2.0, gradient=1.0, checkpoints=[1, 3])
    assert np.isfinite(played.losses[0]) and played.losses[1] == np.inf


LOSSES, GAME = kinked()
MIXTURE = softmax_losses(*softmax())
BAD = {
    "lower=1.0, upper=-1.0": lambda: box_game(LOSSES, 1.0, -1.0),
    "centres span .*must lie in the box": lambda: box_game(LOSSES, -0.1, 0.1),
    "width=-1.0": lambda: kinked_losses([[0.0]], [[0.0]], -1.0),
    "centres.shape": lambda: kinked_losses([[0.0]], [[0.0, 1.0]]),
    r"weights\[0, 1\]=-0.1.*A8": lambda: ball_game(softmax_losses(np.zeros((2, 1, 1)), [[1.1, -0.1]]), 1.0),
    "softmax_losses": lambda: ball_game(quadratic_losses(np.eye(1), [[1.0]]), 1.0),
    "radius=0.0": lambda: ball_game(MIXTURE, 0.0),
    "diameter=0": lambda: play_implicit(GAME, diameter=0, gradient=1.0),
    "gradient=nan": lambda: play_implicit(GAME, diameter=1.0, gradient=float("nan")),
    "checkpoints": lambda: play_implicit(GAME, diameter=1.0, gradient=1.0, checkpoints=[5, 5]),
    "steps": lambda: play_implicit_ensemble(GAME, [0.0]),
    "horizon=1": lambda: implicit_pool(1, diameter=1.0, gradient=1.0),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_ends_in_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        BAD[sentence]()
