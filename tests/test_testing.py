"""The assertions for other people's test suites: green, red, and a message that explains."""

from __future__ import annotations

import numpy as np
import pytest
from simulation import noisy

from theorylab.testing import (
    ClaimNotUpheld,
    assert_bounded,
    assert_equal_mean,
    assert_linear_convergence,
    assert_ordered,
    assert_probably_bounded,
    assert_rate,
    assert_refuted,
)
from theorylab.verdicts import Verdict

N = np.geomspace(100, 10_000, 9)
STEPS = np.arange(0.0, 40.0, 4.0)


def errors(rate, sigma=0.02, replicates=16, seed=0):
    return noisy(N**rate, replicates, sigma, np.random.default_rng(seed))


def test_two_lines_assert_a_slope():
    assert_rate(N, errors(-0.5), at_most=-0.5)
    assert_rate(N, errors(-0.5), exactly=-0.5, margin=0.1)
    assert_rate(N, errors(-0.5), at_least=-0.5)
    assert_rate(N, errors(-0.5), bound=3 * N**-0.5)
    assert_rate(N, errors(-0.5), at_most=-0.5, typical=True)


def test_the_control_is_refuted_and_a_refutation_needs_evidence():
    assert_refuted(assert_rate, N, errors(-0.3), at_most=-0.5)
    with pytest.raises(AssertionError, match="upheld, so the check cannot fail"):
        assert_refuted(assert_rate, N, errors(-0.5), at_most=-0.5)
    with pytest.raises(AssertionError, match="not refuted"):
        assert_refuted(assert_rate, N, errors(-0.45, sigma=1.0, replicates=3), at_most=-0.5)


def test_the_message_says_what_was_measured_allowed_and_missing():
    with pytest.raises(ClaimNotUpheld) as caught:
        assert_rate(N, errors(-0.3), at_most=-0.5)
    said = str(caught.value)
    assert caught.value.verdict is Verdict.VIOLATED
    for part in ("rate at most: violated", "slope of measured = -0.", "allowed at most -0.45", "100.0:", "p-value"):
        assert part in said


def test_an_undecided_rate_says_how_many_replicates_would_decide():
    with pytest.raises(ClaimNotUpheld, match=r"inconclusive[\s\S]*about \d+ replicates"):
        assert_rate(N, errors(-0.5, sigma=1.0, replicates=4), at_most=-0.5)


def test_bounds_in_the_mean_and_in_every_run():
    values = noisy(np.array([1.0, 0.5]), 32, 0.3, np.random.default_rng(1))
    assert_bounded(values, at_most=[1.3, 0.7])
    assert_bounded(values, at_least=[0.7, 0.3])
    assert_refuted(assert_bounded, values, at_most=[0.7, 0.7])
    assert_refuted(assert_bounded, values, at_most=[1.3, 0.7], every_run=True)
    assert_bounded(values[0], at_most=values[0], every_run=True)


def test_probabilities_equalities_order_and_contraction():
    rng = np.random.default_rng(2)
    assert_probably_bounded(rng.random(400), at_most=0.99, delta=0.05)
    assert_refuted(assert_probably_bounded, rng.random(400), at_most=0.5, delta=0.05)
    assert_equal_mean(2 + 0.01 * rng.standard_normal((2, 12)), to=2.0, absolute=0.05)
    assert_refuted(assert_equal_mean, 2 + 0.01 * rng.standard_normal((2, 12)), to=2.1, relative=0.01)
    paired = noisy(np.ones(2), 12, 1.0, rng)
    assert_ordered(paired, 1.2 * paired)
    assert_refuted(assert_ordered, 1.2 * paired, paired)
    run = noisy(0.7**STEPS, 8, 0.02, rng)
    assert_linear_convergence(STEPS, run, factor_at_most=0.75)
    assert_refuted(assert_linear_convergence, STEPS, run, factor_at_most=0.6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: assert_rate(N, errors(-0.5)), "give exactly one"),
        (lambda: assert_rate(N, errors(-0.5), at_most=-0.5, exactly=-0.5), "give exactly one"),
        (lambda: assert_rate(N[:4], errors(-0.5), at_most=-0.5), r"values\.shape=\(9, 16\) must be"),
        (lambda: assert_rate(N, errors(-0.5)[:, :2], at_most=-0.5), "replicates=2 are too few"),
        (lambda: assert_rate(N, errors(-0.5) * np.nan, at_most=-0.5), "holds NaN"),
        (lambda: assert_rate(N, errors(-0.5), at_most=-0.5, margin=-1), "margin=-1"),
        (lambda: assert_rate([], np.zeros((0, 0)), at_most=-1), "must be"),
        (lambda: assert_bounded(np.ones((2, 3)), at_most=[1.0, 2.0, 3.0, 4.0]), r"bound\.shape=\(4,\)"),
        (lambda: assert_bounded(np.ones((2, 3))), "give exactly one"),
    ],
)
def test_input_that_cannot_be_judged_is_a_value_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
