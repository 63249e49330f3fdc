"""Stability and stationary chains: against matrices, closed forms, their Python and reference loops; bad input."""

from math import inf, isclose, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from problems.spiked_ensembles import dense_goe
from theorylab.algorithms import stability_chains as chains
from theorylab.algorithms import stability_rules as rules
from theorylab.algorithms import stationary_chains as stationary
from theorylab.algorithms.stationary_chains import Method

pytestmark = pytest.mark.kernels
P, STEPS = 50, 4000


def gaussian_growth(rng, eta, sigma, b):
    """One step of SGD with a dense matrix from a random direction: the factor of the squared norm."""
    w = rng.standard_normal(P)
    moved = w - eta * (w + sigma / sqrt(b) * (dense_goe(P, rng) @ w))
    return (moved @ moved) / (w @ w)


def least_squares_growth(rng, eta, b):
    x, w = rng.standard_normal((b, P)), rng.standard_normal(P)
    moved = w - eta * (x.T @ (x @ w)) / b
    return (moved @ moved) / (w @ w)


@pytest.mark.parametrize("batch", [1, 8])
def test_factors_have_the_law_of_the_matrix_products(batch):
    rng = np.random.default_rng(0)
    eta, sigma = 0.4, 0.5
    for pairs, sample in (
        (chains.gaussian_pairs(1.0, P, sigma, batch, 1500, rng), lambda: gaussian_growth(rng, eta, sigma, batch)),
        (chains.least_squares_pairs(P, batch, 1500, rng), lambda: least_squares_growth(rng, eta, batch)),
    ):
        factors = (1 - eta * pairs.along) ** 2 + eta**2 * pairs.across
        assert ks_2samp(factors, [sample() for _ in range(1500)]).pvalue > 1e-3


def test_one_dimension_has_no_other_directions():
    pairs = chains.gaussian_pairs(1.0, 1, 0.5, 2.0, 10, np.random.default_rng(0))
    assert np.all(pairs.across == 0.0)


@pytest.mark.parametrize("batch", [1, 16, 256])
def test_thresholds_are_the_dynamic_rules(batch):
    sigma = sqrt(200 / 500)
    pairs = chains.gaussian_pairs(1.0, 500, sigma, batch, STEPS, np.random.default_rng(1))
    rate = rules.dynamic_rate(1.0, 500, sigma, batch)
    assert isclose(chains.lyapunov_threshold(pairs), rate, rel_tol=0.02)
    assert isclose(chains.mean_square_threshold(pairs), rate, rel_tol=0.02)
    # Leaving out the noise's factor P, or the two in the numerator, is far away.
    assert not isclose(chains.lyapunov_threshold(pairs), rate / 2, rel_tol=0.3)
    pairs = chains.least_squares_pairs(500, batch, STEPS, np.random.default_rng(1))
    assert isclose(chains.lyapunov_threshold(pairs), rules.least_squares_rate(500, batch), rel_tol=0.02)


def test_dynamic_rule_is_nearly_linear_at_small_batches():
    rates = [
        chains.lyapunov_threshold(chains.gaussian_pairs(1.0, 500, sqrt(0.4), b, STEPS, np.random.default_rng(1)))
        for b in (1, 2, 4, 8, 16)
    ]
    assert np.polyfit(np.log([1, 2, 4, 8, 16]), np.log(rates), 1)[0] > 0.95


@given(st.integers(0, 10**6), st.floats(0.01, 3), st.integers(1, 40))
def test_exponents_obey_jensen_and_thresholds_solve_their_equations(seed, sigma, p):
    pairs = chains.gaussian_pairs(1.0, p, sigma, 4.0, 200, np.random.default_rng(seed))
    if pairs.along.mean() <= 0:
        return
    rate = chains.mean_square_threshold(pairs)
    assert isclose(chains.mean_square_factor(pairs, rate), 1.0, rel_tol=1e-9)
    assert chains.lyapunov_exponent(pairs, rate) <= 1e-12
    threshold = chains.lyapunov_threshold(pairs)
    assert threshold >= rate * (1 - 1e-12)
    # Tiny p has factors close to zero, so steep logarithms: the crossing is looked at from both sides.
    assert chains.lyapunov_exponent(pairs, threshold * (1 - 1e-9)) < 1e-3
    assert chains.lyapunov_exponent(pairs, threshold * (1 + 1e-9)) > -1e-3


def test_damping_threshold_is_the_re_derived_formula():
    pairs = chains.gaussian_pairs(1.0, 500, sqrt(0.4), 4, STEPS, np.random.default_rng(1))
    found = chains.damping_threshold(pairs, 2.0, 1.0)
    assert isclose(found, rules.dynamic_damping(2.0, 1.0, 500, sqrt(0.4), 4), rel_tol=0.03) and found > 3
    assert isclose(chains.lyapunov_exponent(pairs, 2.0 / (1.0 + found)), 0.0, abs_tol=1e-9)
    assert chains.damping_threshold(pairs, 1e-3, 1.0) == 0.0


@pytest.mark.parametrize("batch", [4, 64])
def test_batch_curvature_is_stable_where_the_full_curvature_is_not(batch):
    pairs = chains.least_squares_pairs(500, batch, 500, np.random.default_rng(0))
    assert chains.lyapunov_exponent(pairs, 2 / (1 + sqrt(500 / batch)) ** 2) < 0
    assert chains.lyapunov_exponent(pairs, 2.0) > 2


def test_growth_kernels_are_their_python():
    pairs = chains.gaussian_pairs(1.0, P, 0.5, 2.0, 50, np.random.default_rng(0))
    arrays = pairs.along, pairs.across
    for kernel in (chains.mean_growth, chains.mean_log_growth):
        assert isclose(kernel(*arrays, 0.3), kernel.py_func(*arrays, 0.3), rel_tol=1e-12)
    bracket = chains.bisect_growth(*arrays, 0.01, 1.0, 60)
    assert isclose(bracket, chains.bisect_growth.py_func(*arrays, 0.01, 1.0, 60), rel_tol=1e-9)


METHODS = [
    Method("heavy ball"),
    Method("heavy ball", 0.9),
    Method("averaged heavy ball", 0.9),
    Method("adam", 0.9, 0.99, 0.01),
]


def reference_loss(method, rate, noise, scale, curvature, spread):
    """The method as one would write it down, all coordinates at once."""
    w, m, v = spread * noise[:, 0], 0.0, scale**2
    own = 1.0 if method.name == "heavy ball" else 1 - method.momentum
    losses = []
    for xi in noise[:, 1:].T:
        g = curvature * w + scale * xi
        m = method.momentum * m + own * g
        v = method.memory * v + (1 - method.memory) * g**2
        w = w - rate * m / ((np.sqrt(v) + method.damping) if method.name == "adam" else 1.0)
        losses.append(np.mean(curvature * w**2 / 2))
    return np.mean(losses[(len(losses) + 1) // 2 :])


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("steps", [40, 41])
def test_stationary_kernel_is_the_method_and_its_python(method, steps):
    noise = np.random.default_rng(0).standard_normal((3, steps + 1))
    settings = {"deviation": 0.8, "batch": 4, "curvature": 1.5, "spread": 0.7}
    seen = stationary.simulated_loss(method, 0.05, noise, **settings)
    assert isclose(seen, reference_loss(method, 0.05, noise, 0.4, 1.5, 0.7), rel_tol=1e-10)
    choices = stationary.METHODS[method.name], 0.05, method.momentum, method.memory, method.damping
    assert isclose(seen, stationary.mean_stationary_loss.py_func(*choices, 1.5, noise, 0.4, 0.7), rel_tol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_stationary_loss_of_heavy_ball_is_its_closed_form(momentum, rate):
    noise = np.random.default_rng(1).standard_normal((50, 8001))
    seen = stationary.simulated_loss(Method("heavy ball", momentum), rate, noise, deviation=1.0, batch=4)
    assert isclose(seen, rules.stationary_loss(1.0, 4, rate, 1.0, momentum), rel_tol=0.04)
    averaged = Method("averaged heavy ball", momentum)
    same = stationary.simulated_loss(averaged, rate / (1 - momentum), noise, deviation=1.0, batch=4)
    assert isclose(same, seen, rel_tol=1e-9)


def test_adam_s_stationary_loss_to_first_order():
    noise = np.random.default_rng(1).standard_normal((50, 20001))
    seen = stationary.simulated_loss(Method("adam", 0.9), 0.003, noise, deviation=1.0, batch=4, spread=0.03)
    assert isclose(seen, rules.adam_stationary_loss(1.0, 4, 0.003), rel_tol=0.06)


def test_fixed_loss_gives_the_linear_and_the_square_root_rule():
    noise = np.random.default_rng(0).standard_normal((20, 5001))
    batches = [1, 4, 16, 64, 256]

    def slope(method):
        rates = [stationary.rate_for_loss(method, 2.5e-4, noise, deviation=1.0, batch=b) for b in batches]
        return np.polyfit(np.log(batches), np.log(rates), 1)[0]

    assert abs(slope(Method("heavy ball")) - 1) < 0.07
    assert abs(slope(Method("adam", 0.9)) - 0.5) < 0.07


def test_rate_for_loss_attains_the_target_and_divergence_is_infinite():
    noise = np.random.default_rng(0).standard_normal((20, 4001))
    rate = stationary.rate_for_loss(Method("heavy ball"), 0.02, noise, deviation=1.0, batch=4)
    assert isclose(rules.stationary_loss(1.0, 4, rate, 1.0), 0.02, rel_tol=0.06)
    assert stationary.simulated_loss(Method("heavy ball"), 2.5, noise, deviation=1.0, batch=4) == inf


RNG = np.random.default_rng(0)
NOISE = np.random.default_rng(0).standard_normal((2, 9))
PAIRS = chains.CurvaturePairs
BAD = {
    "parameters=0": lambda: chains.gaussian_pairs(1.0, 0, 1.0, 1.0, 5, RNG),
    "curvature=-1.0": lambda: chains.gaussian_pairs(-1.0, 5, 1.0, 1.0, 5, RNG),
    "deviation=-1.0": lambda: chains.gaussian_pairs(1.0, 5, -1.0, 1.0, 5, RNG),
    "effective=-1.0": lambda: chains.gaussian_pairs(1.0, 5, 1.0, -1.0, 5, RNG),
    "steps=0": lambda: chains.gaussian_pairs(1.0, 5, 1.0, 1.0, 0, RNG),
    "batch=0": lambda: chains.least_squares_pairs(5, 0, 5, RNG),
    "along.shape": lambda: chains.lyapunov_exponent(PAIRS(np.ones(2), np.ones(3)), 0.1),
    "along.shape=\\(0,\\)": lambda: chains.lyapunov_threshold(PAIRS(np.ones(0), np.ones(0))),
    "smallest across=-1": lambda: chains.mean_square_factor(PAIRS(np.ones(1), -np.ones(1)), 0.1),
    "must be finite and across": lambda: chains.mean_square_threshold(PAIRS(np.array([nan]), np.ones(1))),
    "mean curvature=-1": lambda: chains.lyapunov_threshold(PAIRS(-np.ones(2), np.ones(2))),
    "rate=nan": lambda: chains.lyapunov_exponent(PAIRS(np.ones(2), np.ones(2)), nan),
    "name='sgd'": lambda: Method("sgd"),
    "momentum=1.0": lambda: Method("adam", 1.0),
    "damping=-1.0": lambda: Method("adam", damping=-1.0),
    "noise.shape": lambda: stationary.simulated_loss(METHODS[0], 0.1, np.ones(5), deviation=1.0, batch=1),
    "noise: must be finite": lambda: stationary.simulated_loss(
        METHODS[0], 0.1, np.full((2, 4), nan), deviation=1.0, batch=1
    ),
    "must not be zero": lambda: stationary.rate_for_loss(METHODS[0], 0.1, 0 * NOISE, deviation=1.0, batch=1),
    "rate=-0.1": lambda: stationary.simulated_loss(METHODS[0], -0.1, NOISE, deviation=1.0, batch=1),
    "deviation=0.0": lambda: stationary.rate_for_loss(METHODS[0], 0.1, NOISE, deviation=0.0, batch=1),
    "target=0.0": lambda: stationary.rate_for_loss(METHODS[0], 0.0, NOISE, deviation=1.0, batch=1),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named_with_its_value(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
