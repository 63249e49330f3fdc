"""Gradient training and sign attacks on ReLU networks: gradients, definitions in plain numpy, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from theorylab.algorithms import relu_descent_kernels as kernels
from theorylab.algorithms.relu_descent import attacked, fgsm, pgd, train

pytestmark = pytest.mark.kernels
LOSSES = ("squared", "logistic", "hinge")


def drawn(loss="squared", n=9, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    y = np.maximum(x @ rng.standard_normal((d, 3)), 0.0) @ [1.0, -1.0, 0.7] + 0.3 * rng.standard_normal(n)
    return x, y if loss == "squared" else np.sign(y)


def loss_of(loss, outputs, y):
    return {
        "squared": lambda: 0.5 * (outputs - y) ** 2,
        "logistic": lambda: np.logaddexp(0.0, -y * outputs),
        "hinge": lambda: np.maximum(1.0 - y * outputs, 0.0),
    }[loss]()


def objective(loss, x, y, beta, u, a):
    """``u`` (d, m), ``a`` (m,)."""
    return loss_of(loss, np.maximum(x @ u, 0.0) @ a, y).sum() + beta / 2 * (np.sum(u**2) + np.sum(a**2))


def buffers(n, m):
    return np.empty((n, m)), np.empty(n), np.empty(n)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_that_of_finite_differences(loss):
    x, y = drawn(loss)
    rng = np.random.default_rng(1)
    m, d = 5, x.shape[1]
    hidden, output = rng.standard_normal((m, d)), rng.standard_normal(m)
    to_hidden, to_output = np.empty((m, d)), np.empty(m)
    kind = LOSSES.index(loss)
    value = kernels.gradient(kind, x, y, hidden, output, buffers(len(y), m), to_hidden, to_output)

    def at(weights):
        return objective(loss, x, y, 0.0, weights[: m * d].reshape(m, d).T, weights[m * d :])

    weights = np.append(hidden.ravel(), output)
    assert value == pytest.approx(at(weights), rel=1e-12)
    slope = approx_fprime(weights, at, 1e-7)
    assert np.abs(slope - np.append(to_hidden.ravel(), to_output)).max() < 1e-4
    assert np.abs(slope).max() > 0.1
    python = np.empty((m, d)), np.empty(m)
    kernels.gradient.py_func(kind, x, y, hidden, output, buffers(len(y), m), *python)
    assert np.abs(python[0] - to_hidden).max() < 1e-12 and np.abs(python[1] - to_output).max() < 1e-12


def adam_by_definition(loss, x, y, beta, u, a, steps, rate):
    """Kingma and Ba's algorithm with a cosine, on both layers at once; gradients by the chain rule in numpy."""
    weights = [u.copy(), a.copy()]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t in range(1, steps + 1):
        hidden = x @ weights[0]
        outputs = np.maximum(hidden, 0.0) @ weights[1]
        slope = {
            "squared": outputs - y,
            "logistic": -y / (1.0 + np.exp(y * outputs)),
            "hinge": -y * (y * outputs < 1.0),
        }[loss]
        gradients = [
            x.T @ (np.outer(slope, weights[1]) * (hidden > 0.0)) + beta * weights[0],
            np.maximum(hidden, 0.0).T @ slope + beta * weights[1],
        ]
        step = rate * (1.0 + np.cos(np.pi * (t - 1) / steps)) / 2.0
        for i, g in enumerate(gradients):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            weights[i] = weights[i] - step * (first[i] / (1 - 0.9**t)) / (np.sqrt(second[i] / (1 - 0.999**t)) + 1e-8)
    return weights


@pytest.mark.parametrize("loss", LOSSES)
def test_training_is_adam(loss):
    x, y = drawn(loss)
    trained = train(x, y, 0.1, np.random.default_rng(5), width=4, loss=loss, restarts=3, steps=60)
    rng = np.random.default_rng(5)
    hidden, output = 0.5 * rng.standard_normal((3, 4, 3)), 0.5 * rng.standard_normal((3, 4))
    for r in range(3):
        u, a = adam_by_definition(loss, x, y, 0.1, hidden[r].T, output[r], 60, 0.02)
        assert np.abs(trained.U[r] - u).max() < 1e-9 and np.abs(trained.alpha[r] - a).max() < 1e-9
        assert trained.values[r, 0] == pytest.approx(objective(loss, x, y, 0.1, u, a), rel=1e-9)


@pytest.mark.parametrize("method", ["adam", "sgd"])
def test_compiled_training_is_its_python(method, monkeypatch):
    x, y = drawn("logistic")
    settings = {"width": 4, "loss": "logistic", "method": method, "restarts": 2, "steps": 12, "batch": 5}
    settings |= {"attack": pgd(0.1), "perturbed": [True, True, False], "checkpoints": [3, 12]}
    compiled = train(x, y, 0.1, np.random.default_rng(2), **settings)
    for name in ("train", "gradient", "attack", "update", "gather", "forward", "losses"):
        monkeypatch.setattr(kernels, name, getattr(kernels, name).py_func)
    python = train(x, y, 0.1, np.random.default_rng(2), **settings)
    assert np.abs(compiled.U - python.U).max() < 1e-11
    assert np.abs(compiled.values - python.values).max() < 1e-11


def test_training_reaches_the_optimum_of_a_small_problem():
    """One sample for each sign: the optimum is beta sum sqrt(...) by hand, here |y| = 1 and x = +-1, beta = 1/10."""
    trained = train([[1.0], [-1.0]], [1.0, 1.0], 0.1, np.random.default_rng(0), width=6, steps=3000)
    # Each sample has its own neuron: min (v - 1)^2 / 2 + v / 10 at v = 0.9 is 0.095.
    assert trained.values[trained.best, 0] == pytest.approx(0.19, abs=1e-6)


def test_sgd_descends_and_a_batch_is_unbiased():
    x, y = drawn(n=40)
    common = {"width": 6, "method": "sgd", "learning_rate": 1e-3, "restarts": 3, "checkpoints": [1, 500, 2000]}
    full = train(x, y, 0.1, np.random.default_rng(0), steps=2000, **common)
    part = train(x, y, 0.1, np.random.default_rng(0), steps=2000, batch=8, **common)
    assert np.all(np.diff(full.values, axis=1) < 0.0)
    # Without the factor n / batch the steps would be five times shorter, and the weight decay too strong beside them.
    assert np.abs(part.values[:, -1] / full.values[:, -1] - 1.0).max() < 0.2


def test_divergence_is_a_number_and_never_best():
    x, y = drawn()
    trained = train(x, y, 0.1, np.random.default_rng(0), width=6, method="sgd", learning_rate=10.0, steps=200)
    assert not np.isfinite(trained.values).all()
    assert isinstance(trained.best, int)


@pytest.mark.parametrize("loss", LOSSES)
def test_attacks_are_their_definition(loss):
    x, y = drawn(loss)
    rng = np.random.default_rng(3)
    u, a = rng.standard_normal((3, 7)), rng.standard_normal(7)
    kept = np.array([True, False, True])

    def push(z):
        hidden = z @ u
        slope = {
            "squared": lambda o: o - y,
            "logistic": lambda o: -y / (1.0 + np.exp(y * o)),
            "hinge": lambda o: -y,
        }[loss](np.maximum(hidden, 0.0) @ a)
        return slope[:, None] * ((hidden > 0.0) * a) @ u.T

    delta = np.zeros_like(x)
    for _ in range(7):
        delta = np.clip(delta + 2.5 * 0.2 / 7 * np.sign(push(x + delta)) * kept, -0.2, 0.2)
    assert np.abs(attacked(x, y, u, a, pgd(0.2), loss=loss, perturbed=kept) - (x + delta)).max() < 1e-14
    once = x + 0.2 * np.sign(push(x)) * kept
    assert np.abs(attacked(x, y, u, a, fgsm(0.2), loss=loss, perturbed=kept) - once).max() < 1e-14


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.0, 2.0), st.sampled_from(LOSSES))
def test_attacks_stay_in_the_box(seed, epsilon, loss):
    x, y = drawn(loss, seed=seed)
    rng = np.random.default_rng(seed)
    moved = attacked(x, y, rng.standard_normal((3, 4)), rng.standard_normal(4), pgd(epsilon), loss=loss)
    assert np.abs(moved - x).max() <= epsilon * (1 + 1e-12) + 1e-15


def test_adversarial_training_withstands_attacks_better():
    rng = np.random.default_rng(0)
    angles, labels = rng.uniform(0.0, 2.0 * np.pi, 40), np.where(np.arange(40) % 2 == 0, 1.0, -1.0)
    radius = np.where(labels > 0, 0.6, 1.1) + 0.05 * rng.standard_normal(40)
    x = np.column_stack([radius * np.cos(angles), radius * np.sin(angles), np.ones(40)])
    mask, strength = np.array([True, True, False]), pgd(0.12)
    common = {"width": 20, "loss": "hinge", "restarts": 1, "steps": 1500, "perturbed": mask}
    losses = []
    for attack in (None, strength):
        net = train(x, labels, 0.05, np.random.default_rng(1), attack=attack, **common)
        moved = attacked(x, labels, net.U[0], net.alpha[0], strength, loss="hinge", perturbed=mask)
        assert np.array_equal(moved[:, 2], x[:, 2])
        losses.append(objective("hinge", moved, labels, 0.05, net.U[0], net.alpha[0]))
    assert losses[1] < 0.8 * losses[0]


X, Y = drawn()
LABELS = np.sign(Y)
RNG = np.random.default_rng(0)
U, ALPHA = np.ones((3, 4)), np.ones(4)
BAD = {
    "beta=-1": lambda: train(X, Y, -1, RNG, width=3),
    "n=1": lambda: train(X[:1], Y[:1], 0.1, RNG, width=3),
    "X is constant": lambda: train(np.ones((5, 2)), np.ones(5), 0.1, RNG, width=3),
    "y holds": lambda: train(X, Y, 0.1, RNG, width=3, loss="logistic"),
    "y\\[2\\]=nan": lambda: train(X, np.where(np.arange(9) == 2, np.nan, Y), 0.1, RNG, width=3),
    "width=0": lambda: train(X, Y, 0.1, RNG, width=0),
    "width=2.0": lambda: train(X, Y, 0.1, RNG, width=2.0),
    "restarts=0": lambda: train(X, Y, 0.1, RNG, width=3, restarts=0),
    "steps=-5": lambda: train(X, Y, 0.1, RNG, width=3, steps=-5),
    "method='newton'": lambda: train(X, Y, 0.1, RNG, width=3, method="newton"),
    "learning_rate=0": lambda: train(X, Y, 0.1, RNG, width=3, learning_rate=0),
    "init=nan": lambda: train(X, Y, 0.1, RNG, width=3, init=np.nan),
    "batch=10": lambda: train(X, Y, 0.1, RNG, width=3, batch=10),
    "checkpoints": lambda: train(X, Y, 0.1, RNG, width=3, steps=10, checkpoints=[2, 2]),
    "epsilon=-0.1": lambda: fgsm(-0.1),
    "steps=0": lambda: pgd(0.1, steps=0),
    "perturbed": lambda: train(X, LABELS, 0.1, RNG, width=3, loss="hinge", attack=fgsm(0.1), perturbed=[1, 1, 0]),
    "alpha.shape": lambda: attacked(X, Y, U, np.ones((2, 2)), fgsm(0.1)),
    "U.shape": lambda: attacked(X, Y, U.T, ALPHA, fgsm(0.1)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
