"""Exact recursions of block trackers: against enumeration, published forms, simulation, closed limits; bad input."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.moving_mappings import moving_mappings, noise_energy, tracking_constants, values
from theorylab.algorithms import block_estimators as rules
from theorylab.algorithms import tracking_bounds as bounds

M = 16
GRID = np.geomspace(0.003, 0.9, 14)
CHORDS = 0.08 / 2.0 ** np.arange(6)
SETTINGS = [(4, 1, 0.1), (1, 4, 0.05), (16, 2, 0.1), (8, 8, 0.3)]


def matched(alpha, sampled, blocks=M):
    return rules.msvr(alpha, bounds.gamma_star(alpha, blocks=blocks, sampled=sampled))


def all_rules(sampled, blocks):
    return {
        "MSVR": matched(0.3, sampled, blocks),
        "STORM": rules.storm(0.3),
        "moving average": rules.moving_average(0.3),
        "zero-fill": rules.zero_fill(0.3, sampled=sampled, blocks=blocks),
        "memoryless": rules.memoryless(),
    }


def mappings(chord=0.02, steps=300, seed=0, **more):
    return moving_mappings(np.random.default_rng(seed), chord=chord, steps=steps, **more)


def predicted(problem, rule, sampled, batch, start=None):
    energy = noise_energy(problem, rule.new, rule.old, batch)
    return bounds.exact_errors(values(problem), energy, rule, sampled=sampled, start=start)


@pytest.mark.kernels
@pytest.mark.parametrize("sampled", [1, 2, 3])
@pytest.mark.parametrize("name", ["MSVR", "STORM", "moving average", "zero-fill", "memoryless"])
def test_recursion_is_the_mean_over_all_samples_of_a_tiny_problem(name, sampled):
    rng = np.random.default_rng(1)
    m, steps = 3, 3 if sampled < 3 else 2
    rule = all_rules(sampled, m)[name]
    h, spread, start = rng.standard_normal((steps + 1, m)), rng.standard_normal(steps + 1), rng.standard_normal(m)
    outcomes = [(s, e) for s in combinations(range(m), sampled) for e in product((-1.0, 1.0), repeat=sampled)]
    total = 0.0
    for path in product(outcomes, repeat=steps):
        u = h[0] + start
        for t, (chosen, signs) in enumerate(path, start=1):
            new = rule.rest * u
            for i, sign in zip(chosen, signs, strict=True):
                # The same sign at both points: one sample, used twice.
                seen, before = h[t, i] + sign * spread[t], h[t - 1, i] + sign * spread[t - 1]
                new[i] = rule.keep * u[i] + rule.new * seen - rule.old * before
            u = new
        total += np.mean((u - h[-1]) ** 2)
    energy = (rule.new * spread[1:] - rule.old * spread[:-1]) ** 2
    exact = bounds.exact_errors(h[:, :, None], energy, rule, sampled=sampled, start=start[:, None])
    assert exact[0] == pytest.approx(np.mean(start**2), rel=1e-14)
    assert exact[-1] == pytest.approx(total / len(outcomes) ** steps, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.7, 4.2])
def test_recursion_is_the_published_form_for_every_gamma(gamma):
    problem, alpha, sampled, batch = mappings(steps=40), 0.1, 4, 2
    h, p, a, b = values(problem), sampled / M, 1.0 - alpha, gamma - 1.0 + alpha
    w = problem.path
    energy = 3 / batch * (0.09 * np.sum((alpha * w[1:] + gamma * np.diff(w, axis=0)) ** 2, axis=1) + alpha**2 * 0.25)
    error, mean, written = 0.0, np.zeros(h.shape[1:]), [0.0]
    for t in range(1, 41):
        d = h[t] - h[t - 1]
        cross = (2 * p * a * b - 2 * (1 - p)) * np.sum(mean * d) / M
        error = (p * a * a + 1 - p) * error + (p * b * b + 1 - p) * np.sum(d * d) / M + cross + p * energy[t - 1]
        mean = (p * a + 1 - p) * mean + (p * b - (1 - p)) * d
        written.append(error)
    assert predicted(problem, rules.msvr(alpha, gamma), sampled, batch) == pytest.approx(np.array(written), rel=1e-11)


def test_zero_fill_follows_its_own_form_and_keeps_a_floor():
    beta, sampled, beyond = 0.05, 4, 10**12
    problem = mappings(chord=2.0 * np.sin(np.pi / 1000), steps=1500)
    rule, h, w = rules.zero_fill(beta, sampled=sampled, blocks=M), values(problem), problem.path
    q, moved = h[1:] - (1 - beta) * h[:-1], w[1:] - (1 - beta) * w[:-1]
    energy = 3 / 16 * (0.09 * np.sum(moved**2, axis=1) + beta**2 * 0.25)
    error, written = 0.0, [0.0]
    for t in range(1500):
        error = (1 - beta) ** 2 * error + (M / sampled - 1) * np.sum(q[t] ** 2) / M + M / sampled * energy[t]
        written.append(error)
    assert predicted(problem, rule, sampled, 16) == pytest.approx(np.array(written), rel=1e-11)
    floor = bounds.zero_fill_floor(tracking_constants(problem), beta, sampled=sampled)
    assert predicted(problem, rule, sampled, beyond)[-1000:].mean() == pytest.approx(floor, rel=1e-8)
    assert predicted(problem, matched(beta, sampled), sampled, beyond)[-1000:].mean() < 0.2 * floor


def test_recursion_is_what_a_simulation_finds():
    problem, sampled, batch, runs = mappings(steps=40, blocks=6, chord=0.2), 2, 2, 4000
    h, w, rng = values(problem), problem.path, np.random.default_rng(5)
    for rule in (matched(0.3, sampled, 6), rules.zero_fill(0.3, sampled=sampled, blocks=6)):
        u = np.broadcast_to(h[0], (runs, 6, 3)).copy()
        for t in range(1, 41):
            chosen = np.argsort(rng.random((runs, 6)), axis=1)[:, :, None] < sampled
            matrix = 0.3 * rng.standard_normal((runs, 6, 3, 4)) / np.sqrt(batch)
            shift = 0.5 * rng.standard_normal((runs, 6, 3)) / np.sqrt(batch)
            now, before = h[t] + matrix @ w[t] + shift, h[t - 1] + matrix @ w[t - 1] + shift
            u = np.where(chosen, rule.keep * u + rule.new * now - rule.old * before, rule.rest * u)
        squares = np.sum((u - h[-1]) ** 2, axis=2).mean(axis=1)
        exact = predicted(problem, rule, sampled, batch)[-1]
        assert abs(squares.mean() - exact) < 4.0 * squares.std() / np.sqrt(runs)
        assert squares.std() / np.sqrt(runs) < 0.02 * exact


@pytest.mark.parametrize("name", ["MSVR", "STORM", "moving average", "zero-fill", "memoryless"])
def test_closed_limit_is_where_the_recursion_ends(name):
    # A hundred steps make a turn, so means over the last hundred are means over the circle.
    problem, rule = mappings(chord=2.0 * np.sin(np.pi / 100), steps=3000, seed=3), all_rules(4, M)[name]
    limit = bounds.circle_error(tracking_constants(problem), rule, sampled=4, batch=2)
    assert predicted(problem, rule, 4, 2)[-100:].mean() == pytest.approx(limit, rel=1e-9)


@given(
    sampled=st.integers(1, M),
    batch=st.integers(1, 64),
    alpha=st.floats(0.02, 0.5),
    chord=st.floats(0.001, 0.5),
    seed=st.integers(0, 50),
)
@settings(max_examples=60, deadline=None)
def test_bound_is_never_below_the_exact_error(sampled, batch, alpha, chord, seed):
    problem, rule = mappings(chord=chord, steps=60, seed=seed), matched(alpha, sampled)
    constants = tracking_constants(problem)
    start = 3.0 * np.random.default_rng(seed).standard_normal((M, 3))
    exact = predicted(problem, rule, sampled, batch, start)
    for t in (0, 1, 7, 60):
        bound = bounds.msvr_bound(constants, alpha, sampled=sampled, batch=batch, steps=t, start=exact[0])
        assert exact[t] <= bound * (1.0 + 1e-12)
    limit = bounds.circle_error(constants, rule, sampled=sampled, batch=batch)
    assert limit <= bounds.msvr_bound(constants, alpha, sampled=sampled, batch=batch)


@pytest.mark.parametrize(("sampled", "batch", "alpha"), SETTINGS)
def test_bound_is_within_a_factor_of_four(sampled, batch, alpha):
    constants = tracking_constants(mappings())
    limit = bounds.circle_error(constants, matched(alpha, sampled), sampled=sampled, batch=batch)
    assert 1.0 < bounds.msvr_bound(constants, alpha, sampled=sampled, batch=batch) / limit < 4.0


@given(sampled=st.integers(1, M), alpha=st.floats(0.01, 0.9))
def test_gamma_star_alone_hides_the_sign_of_the_error(sampled, alpha):
    problem = mappings(chord=0.3, steps=3)
    start = np.random.default_rng(7).standard_normal((M, 3))

    def spread(rule):
        one, other = (predicted(problem, rule, sampled, 1, sign * start)[1] for sign in (1.0, -1.0))
        return abs(one - other) / one

    gamma = bounds.gamma_star(alpha, blocks=M, sampled=sampled)
    assert spread(rules.msvr(alpha, gamma)) < 1e-12
    assert spread(rules.msvr(alpha, gamma - (1.0 - alpha))) > 1e-6
    assert spread(rules.msvr(alpha, gamma + 0.1)) > 1e-7


def test_independent_samples_at_the_two_points_are_seen():
    problem, rule = mappings(), matched(0.1, 4)
    energies = [noise_energy(problem, rule.new, rule.old, 1, fresh=fresh) for fresh in (False, True)]
    shared, fresh = (bounds.exact_errors(values(problem), e, rule, sampled=4)[-1] for e in energies)
    assert fresh > 100.0 * shared


def test_drift_exponents():
    slopes = {}
    for name, rule in {"MSVR": lambda a: matched(a, 4), "moving average": rules.moving_average}.items():
        least = [
            bounds.least_circle_error(tracking_constants(mappings(c, 1)), rule, GRID, sampled=4, batch=1)
            for c in CHORDS
        ]
        slopes[name] = np.polyfit(np.log(CHORDS), np.log([error for error, _ in least]), 1)[0]
        assert all(GRID[0] < alpha < GRID[-1] for _, alpha in least)  # the grid must not decide the minimum
    assert 0.9 < slopes["MSVR"] < 1.2
    assert 0.58 < slopes["moving average"] < 0.78


@pytest.mark.kernels
def test_recursion_is_its_python():
    problem, rule = mappings(steps=20), matched(0.2, 4)
    h, energy = values(problem), noise_energy(problem, rule.new, rule.old, 2)
    start, plain = np.random.default_rng(0).standard_normal((M, 3)), np.empty(21)
    bounds.fill_errors.py_func(h, energy, rule.weights, 0.25, start.copy(), plain)
    assert bounds.exact_errors(h, energy, rule, sampled=4, start=start) == pytest.approx(plain, rel=1e-13)


H, N = np.ones((4, 3, 2)), np.ones(3)
RULE = rules.moving_average(0.5)
CONSTANTS = bounds.TrackingConstants(4, 1.0, 0.1, 1.0, 1.0, 0.1, 0.1)
BAD = {
    "alpha=1.0: must be below 1": lambda: bounds.gamma_star(1.0, blocks=4, sampled=2),
    "alpha=0.0: must be in": lambda: bounds.gamma_star(0.0, blocks=4, sampled=2),
    "sampled=5: must be at most blocks=4": lambda: bounds.gamma_star(0.5, blocks=4, sampled=5),
    "sampled=0: must be a positive integer": lambda: bounds.exact_errors(H, N, RULE, sampled=0),
    "sampled=4: must be at most blocks=3": lambda: bounds.exact_errors(H, N, RULE, sampled=4),
    "values.shape=\\(4, 3\\): must have 3 axes": lambda: bounds.exact_errors(H[:, :, 0], N, RULE, sampled=1),
    "values: must be finite, 24": lambda: bounds.exact_errors(H * np.nan, N, RULE, sampled=1),
    "noise.shape=\\(2,\\), values": lambda: bounds.exact_errors(H, N[1:], RULE, sampled=1),
    "noise must be zero or more": lambda: bounds.exact_errors(H, -N, RULE, sampled=1),
    "at least one step": lambda: bounds.exact_errors(H[:1], N[:1], RULE, sampled=1),
    "start.shape=\\(2, 3\\): must be \\(3, 2\\)": lambda: bounds.exact_errors(
        H, N, RULE, sampled=1, start=np.ones((2, 3))
    ),
    "batch=0: must be a positive": lambda: bounds.circle_error(CONSTANTS, RULE, sampled=1, batch=0),
    "error does not settle": lambda: bounds.circle_error(
        CONSTANTS, rules.BlockEstimator(1.0, 1.0, 1.0), sampled=1, batch=1
    ),
    "weights.shape=\\(0,\\)": lambda: bounds.least_circle_error(CONSTANTS, rules.storm, [], sampled=1, batch=1),
    "steps=-1: must be zero": lambda: bounds.msvr_bound(CONSTANTS, 0.5, sampled=1, batch=1, steps=-1),
    "start=nan: must be zero": lambda: bounds.msvr_bound(CONSTANTS, 0.5, sampled=1, batch=1, start=np.nan),
    "beta=2.0: must be": lambda: bounds.zero_fill_floor(CONSTANTS, 2.0, sampled=1),
    "radius=0.0: must be positive": lambda: bounds.TrackingConstants(4, 1.0, 0.1, 0.0, 1.0, 0.1, 0.1),
    "size=nan: must be finite": lambda: bounds.TrackingConstants(4, np.nan, 0.1, 1.0, 1.0, 0.1, 0.1),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
