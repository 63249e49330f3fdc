"""Intervals: closed forms, coverage at 95 % on simulated truth, and the limits of one-sided tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from simulation import noisy, share

from theorylab.intervals import (
    PositiveMeanEstimate,
    StudentEstimate,
    failure_interval,
    inside_or_outside,
    jackknife,
    log_mean_contrasts,
    mean_estimate,
)
from theorylab.rates import fit_rate, slope_weights

X = np.geomspace(100, 10_000, 8)


def assert_covers(hit, repeats, seed):
    """Coverage between 93 and 97 %, give or take two standard errors of this simulation; benchmarks are stricter."""
    noise = 2 * math.sqrt(0.95 * 0.05 / repeats)
    assert 0.93 - noise <= share(hit, repeats, seed) <= 0.97 + noise


@pytest.mark.parametrize("replicates", [8, 16, 64])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_interval_of_the_mean_covers_95_percent(replicates, sigma):
    def hit(rng):
        estimate = mean_estimate(noisy(np.ones(1), replicates, sigma, rng)[0])
        return estimate.lower(0.025) <= 1.0 <= estimate.upper(0.025)

    assert_covers(hit, 2000, seed=10)


@pytest.mark.parametrize("trajectory", [None, 0.9])
@pytest.mark.parametrize("replicates", [8, 16, 64])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_interval_of_a_slope_covers_95_percent(replicates, sigma, trajectory):
    weights = slope_weights(np.log(X))[None, :]

    def hit(rng):
        values = noisy(X**-0.5, replicates, sigma, rng, trajectory=trajectory)
        (estimate,) = log_mean_contrasts(weights, values)
        return estimate.lower(0.025) <= -0.5 <= estimate.upper(0.025)

    assert_covers(hit, 1200, seed=11)


def test_least_squares_over_checkpoints_of_one_run_does_not_cover():
    """The mistake that the jackknife over seeds avoids: the checkpoints of one run are no replicates."""

    def hit(rng):
        values = noisy(X**-0.5, 1, 0.3, rng, trajectory=0.9)
        fit = stats.linregress(np.log(X), np.log(values[:, 0]))
        return abs(fit.slope + 0.5) <= stats.t.ppf(0.975, X.size - 2) * fit.stderr

    assert share(hit, 1000, seed=12) < 0.85


def test_mean_of_typical_runs_is_another_number_than_the_typical_mean():
    values = noisy(X**-0.5, 64, 1.0, np.random.default_rng(0))
    mean = fit_rate(np.log(X), values)
    typical = fit_rate(np.log(X), values, typical=True)
    slopes = [stats.linregress(np.log(X), np.log(run)).slope for run in values.T]
    assert typical.slope.value == pytest.approx(np.mean(slopes), rel=1e-12)
    assert mean.slope.value == pytest.approx(stats.linregress(np.log(X), np.log(values.mean(1))).slope, rel=1e-12)


def test_student_estimate_is_scipys_t_interval():
    sample = np.array([-1.0, 0.5, 2.0, 0.1, 0.7])
    estimate = mean_estimate(sample)
    reference = stats.ttest_1samp(sample, 0.3, alternative="greater")
    low, high = reference.confidence_interval(0.95).low, stats.ttest_1samp(sample, 0).confidence_interval(0.95).high
    assert estimate.lower(0.05) == pytest.approx(low)
    assert estimate.upper(0.025) == pytest.approx(high)
    assert estimate.p_above(0.3) == pytest.approx(reference.pvalue)


def test_failure_interval_is_clopper_pearsons_beta_quantiles():
    low, high = failure_interval(3, 50, 0.05)
    assert low == pytest.approx(stats.beta.ppf(0.025, 3, 48))
    assert high == pytest.approx(stats.beta.ppf(0.975, 4, 47))
    # Exact: it covers at least 95 % for every probability, and more where the law is coarse.
    for p in (0.02, 0.1, 0.4):
        k = np.arange(51)
        inside = [failure_interval(int(i), 50, 0.05)[0] <= p <= failure_interval(int(i), 50, 0.05)[1] for i in k]
        assert 0.95 <= float(stats.binom.pmf(k, 50, p) @ np.array(inside)) <= 0.995


def test_jackknife_of_the_mean_is_the_standard_error_of_the_mean():
    sample = np.random.default_rng(0).random(9)
    left_out = np.array([np.delete(sample, i).mean() for i in range(9)])
    estimate = jackknife(sample.mean(), left_out)
    assert estimate.stderr == pytest.approx(stats.sem(sample))
    assert estimate.df == 8


def test_log_normal_part_of_the_mean_interval_is_zous_formula():
    logs = np.random.default_rng(1).standard_normal(12)
    estimate = mean_estimate(np.exp(logs))
    assert isinstance(estimate, PositiveMeanEstimate)
    variance, centre = logs.var(ddof=1), logs.mean() + logs.var(ddof=1) / 2
    of_mean = stats.t.ppf(0.975, 11) * math.sqrt(variance / 12)
    above = variance / 2 * (11 / stats.chi2.ppf(0.025, 11) - 1)
    assert estimate.upper(0.025) >= math.exp(centre + math.hypot(of_mean, above)) * (1 - 1e-12)
    assert estimate.upper(0.025) == pytest.approx(math.exp(centre + math.hypot(of_mean, above)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(6, 20), alpha=st.floats(1e-4, 0.4))
def test_p_values_and_limits_say_the_same(seed, count, alpha):
    estimate = mean_estimate(np.exp(np.random.default_rng(seed).standard_normal(count)))
    assert estimate.p_above(estimate.lower(alpha)) == pytest.approx(alpha, rel=5e-3)
    assert estimate.p_below(estimate.upper(alpha)) == pytest.approx(alpha, rel=5e-3)


def test_an_infinite_limit_is_above_every_mean():
    estimate = mean_estimate(np.array([0.5, 1.0, 4.0]))
    assert estimate.p_below(math.inf) < 1e-12
    assert estimate.p_above(math.inf) == 1.0


def test_a_deterministic_measurement_on_the_limit_satisfies_it():
    exact = StudentEstimate(1.0, 0.0, 7)
    assert inside_or_outside(exact, -math.inf, 1.0) == (0.0, 0.5)
    assert inside_or_outside(exact, 1.1, 1.2) == (1.0, 0.0)


@pytest.mark.parametrize("sample", [np.array([1.0]), np.array([1.0, np.nan]), np.ones((2, 2)), np.array([1.0, np.inf])])
def test_mean_refuses_what_has_no_interval(sample):
    with pytest.raises(ValueError, match=r"sample\.shape="):
        mean_estimate(sample)
