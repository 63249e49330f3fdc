"""Schedules, stated orders, step conditions and the master inequality of blockwise bilevel methods."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.bilevel_quadratic import drawn_quadratic
from problems.multi_block_bilevel import hypergradient, value
from theorylab.algorithms import bilevel_bounds as bounds
from theorylab.algorithms.bilevel_constants import BilevelConstants

SIZES = {"blocks": 4, "upper_dimension": 3, "lower_dimension": 2}
PLAIN = {"strong_convexity": 1.0, "smoothness": 3.0, "upper_gradient": 2.0, "coupling": 1.0}
REST = {"hypergradient_smoothness": 2.5, "lower_bound": 0.0}
CONSTANTS = BilevelConstants(**SIZES, **PLAIN, **REST)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 256), st.floats(0.01, 0.15))
def test_schedule_takes_the_stated_number_of_iterations(blocks, sampled, batch, epsilon):
    sampled = min(sampled, blocks)
    plan = bounds.variance_reduced_schedule(epsilon, blocks=blocks, sampled=sampled, batch=batch)
    taken = 1.0 / (plan.eta * epsilon**2)
    stated = bounds.stated_iterations(epsilon, blocks=blocks, sampled=sampled, batch=batch)
    if plan.alpha < 0.5:
        # c0 sqrt(a0) is left; the sum of two terms and their maximum differ by a factor of at most 2.
        assert 1.0 - 1e-9 <= stated / taken / (0.5 * sqrt(0.1)) <= 2.0 + 1e-9
    assert plan.alpha == plan.beta <= 0.5
    assert plan.eta == plan.tau == plan.implicit == pytest.approx(0.5 * sampled / blocks * sqrt(plan.alpha))
    samples = bounds.stated_samples(epsilon, blocks=blocks, sampled=sampled, batch=batch)
    assert samples == pytest.approx(stated * sampled * batch)


def test_stated_powers():
    def stated(**setting):
        return bounds.stated_iterations(0.1, **setting)

    assert stated(blocks=8, sampled=8, batch=16) / stated(blocks=8, sampled=8, batch=1) == pytest.approx(0.25)
    many = [stated(blocks=512, sampled=i, batch=10**9) for i in (4, 16)]
    assert many[1] / many[0] == pytest.approx(0.125, rel=1e-3)
    few = [stated(blocks=512, sampled=i, batch=1) for i in (128, 256)]
    assert few[1] / few[0] == pytest.approx(0.5, rel=0.03)
    assert bounds.stated_iterations(0.05, blocks=8, sampled=8, batch=1) / stated(
        blocks=8, sampled=8, batch=1
    ) == pytest.approx(8.0)


def test_moving_average_takes_eps_to_the_minus_four():
    plans = [bounds.moving_average_schedule(e, blocks=8, sampled=2) for e in (0.1, 0.05)]
    taken = [1.0 / (plan.eta * e**2) for plan, e in zip(plans, (0.1, 0.05), strict=True)]
    assert taken[1] / taken[0] == pytest.approx(16.0)


def test_conditions_name_what_fails():
    good = bounds.BilevelSchedule(alpha=0.5, beta=0.5, eta=0.2, tau=0.25, implicit=0.25)
    assert all(c.holds for c in bounds.step_conditions(CONSTANTS, good, sampled=2))
    bad = bounds.BilevelSchedule(alpha=0.6, beta=0.7, eta=0.21, tau=0.26, implicit=0.26)
    failed = [c for c in bounds.step_conditions(CONSTANTS, bad, sampled=2) if not c.holds]
    assert [c.name for c in failed] == ["alpha", "beta", "eta", "tau", "tau_v"]
    assert str(failed[2]) == "eta=0.21: must be at most 0.2, 1/(2 L_F)"
    assert [c.name for c in bounds.step_conditions(CONSTANTS, bad, sampled=2, implicit=False)][-1] == "tau"
    # The same steps with all blocks sampled leave the lower problems in range.
    assert {c.name for c in bounds.step_conditions(CONSTANTS, bad, sampled=4) if not c.holds} == {
        "alpha",
        "beta",
        "eta",
    }


@given(st.integers(0, 30), st.floats(0.05, 1.0), st.floats(0.0, 2.0))
@settings(max_examples=20, deadline=None)
def test_master_inequality_holds_on_every_path(seed, share, spread):
    rng = np.random.default_rng(seed)
    problem = drawn_quadratic(rng, blocks=3, upper_dimension=3, lower_dimension=2)
    record, eta = path(problem, share / (2.0 * problem.constants.hypergradient_smoothness), spread, rng)
    left, right = bounds.master_sides(*record, eta=eta)
    assert np.all(left <= right + 1e-12)
    assert np.all(bounds.descent_slack(*record, eta=eta) >= -1e-12)
    assert left[-1] == pytest.approx(np.mean(record[1]))
    values, gradients, errors, directions = record
    whole = 2.0 * (values[0] - values[-1]) / (eta * gradients.size) + np.mean(errors) - np.mean(directions) / 2.0
    assert right[-1] == pytest.approx(whole)


def test_master_inequality_needs_its_terms():
    rng = np.random.default_rng(0)
    problem = drawn_quadratic(rng, blocks=3, upper_dimension=3, lower_dimension=2)
    record, eta = path(problem, 0.5 / problem.constants.hypergradient_smoothness, 1.0, rng)
    without_error = bounds.master_sides(record[0], record[1], 0.0 * record[2], record[3], eta=eta)
    assert without_error[0][-1] > without_error[1][-1]
    too_long, eta = path(problem, 20.0 / problem.constants.hypergradient_smoothness, 0.0, rng)
    assert bounds.descent_slack(*too_long, eta=eta).min() < 0.0


def path(problem, eta, spread, rng):
    """Gradient descent with Gaussian errors of that spread: F (T+1,), three squared norms (T,), eta."""
    x, values, squares = problem.start, [value(problem, problem.start)], []
    for _ in range(15):
        g = hypergradient(problem, x)
        z = g + spread * rng.standard_normal(g.size)
        squares.append([g @ g, (z - g) @ (z - g), z @ z])
        x = x - eta * z
        values.append(value(problem, x))
    return (np.array(values), *np.array(squares).T), eta


ONES = np.ones(3)
BAD = {
    "sampled=5: must be at most": lambda: bounds.stated_iterations(0.1, blocks=4, sampled=5, batch=1),
    "batch=0: must be a positive": lambda: bounds.stated_iterations(0.1, blocks=4, sampled=2, batch=0),
    "epsilon=0.0: must be positive": lambda: bounds.stated_iterations(0.0, blocks=4, sampled=2, batch=1),
    "epsilon=nan: must": lambda: bounds.variance_reduced_schedule(np.nan, blocks=4, sampled=2, batch=1),
    "weight=-1.0: must": lambda: bounds.variance_reduced_schedule(0.1, blocks=4, sampled=2, batch=1, weight=-1.0),
    "step=0.0: must": lambda: bounds.moving_average_schedule(0.1, blocks=4, sampled=2, step=0.0),
    "sampled=True: must": lambda: bounds.moving_average_schedule(0.1, blocks=4, sampled=True),
    "alpha=1.5: must be in": lambda: bounds.BilevelSchedule(1.5, 0.1, 0.1, 0.1, 0.1),
    "eta=inf: must be positive": lambda: bounds.BilevelSchedule(0.5, 0.1, np.inf, 0.1, 0.1),
    "values.shape=\\(3,\\), gradients": lambda: bounds.master_sides(ONES, ONES, ONES, ONES, eta=0.1),
    "errors.shape=\\(2,\\): must be \\(3,\\)": lambda: bounds.master_sides(np.ones(4), ONES, ONES[1:], ONES, eta=0.1),
    "errors: must be finite": lambda: bounds.master_sides(np.ones(4), ONES, ONES * np.inf, ONES, eta=0.1),
    "directions: must be finite": lambda: bounds.descent_slack(np.ones(4), ONES, ONES, -ONES, eta=0.1),
    "values: must be finite, 4": lambda: bounds.descent_slack(np.full(4, np.nan), ONES, ONES, ONES, eta=0.1),
    "eta=-1.0: must be positive": lambda: bounds.descent_slack(np.ones(4), ONES, ONES, ONES, eta=-1.0),
    "strong_convexity=0.0: mu must be positive": lambda: BilevelConstants(
        **SIZES, **(PLAIN | {"strong_convexity": 0.0}), **REST
    ),
    "smoothness=0.5: must be at least": lambda: BilevelConstants(**SIZES, **(PLAIN | {"smoothness": 0.5}), **REST),
    "blocks=0: must be a positive": lambda: BilevelConstants(**(SIZES | {"blocks": 0}), **PLAIN, **REST),
    "coupling=-1.0: must be zero": lambda: BilevelConstants(**SIZES, **(PLAIN | {"coupling": -1.0}), **REST),
    "lower_bound=nan: must be finite": lambda: BilevelConstants(**SIZES, **PLAIN, **(REST | {"lower_bound": np.nan})),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
