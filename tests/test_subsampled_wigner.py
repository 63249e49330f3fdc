"""Finite populations and variance profiles: exact identities by enumeration, laws, counterexamples, bad input."""

from math import isclose, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from problems import subsampled_wigner as populations
from problems import wigner_profiles as profiles
from problems.random_matrix_hessians import certify_noise
from theorylab.algorithms import random_matrix_laws as laws


@given(st.integers(1, 4), st.integers(2, 7), st.sampled_from(populations.LAWS), st.integers(0, 999), st.data())
@settings(max_examples=40, deadline=None)
def test_variance_over_all_batches_is_the_population_variance_over_b(p, n, law, seed, data):
    batch = data.draw(st.integers(1, n))
    drawn = populations.subsampled_wigner(p, n, np.random.default_rng(seed), spike=2.0, deviation=0.7, law=law)
    noise = [populations.batch_hessian(drawn, chosen) for chosen in populations.all_batches(n, batch)]
    noise = np.array(noise) - populations.full_hessian(drawn)
    assert np.allclose(noise.mean(axis=0), 0.0, atol=1e-12)
    expected = populations.entry_variances(drawn) / laws.effective_batch(batch, n)
    assert np.allclose(np.mean(noise**2, axis=0), expected, rtol=1e-9, atol=1e-12)
    # Jensen: the mean top eigenvalue exceeds that of the full Hessian, for any law of sampling.
    tops = np.linalg.eigvalsh(noise + populations.full_hessian(drawn))[:, -1]
    assert tops.mean() >= (2.0 if p > 1 else 2.0 - 1e-12) - 1e-12


@given(st.integers(1, 5), st.integers(2, 9), st.sampled_from(populations.LAWS), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_samples_centre_on_the_full_hessian_and_give_sigma(p, n, law, seed):
    drawn = populations.subsampled_wigner(p, n, np.random.default_rng(seed), law=law)
    samples = np.array([populations.sample_hessian(drawn, i) for i in range(n)])
    full = populations.full_hessian(drawn)
    assert np.allclose(samples.mean(axis=0), full, atol=1e-12)
    assert np.array_equal(samples, samples.transpose(0, 2, 1))
    squared = n / (n - 1) * (np.mean(np.sum(samples**2, axis=(1, 2))) - np.sum(full**2)) / p**2
    assert isclose(drawn.deviation**2, squared, rel_tol=1e-9, abs_tol=1e-12)
    # Lemma 1 corrected: no batch moves further than twice the largest sample norm.
    largest = max(np.linalg.norm(h, 2) for h in samples)
    moved = max(np.linalg.norm(h - full, 2) for h in samples)
    assert moved <= laws.entry_bound(largest) * (1 + 1e-12)


def test_finite_population_correction_is_needed():
    drawn = populations.subsampled_wigner(120, 400, np.random.default_rng(0), deviation=4 / np.sqrt(120))
    tops = populations.batch_tops(drawn, 200, 10, np.random.default_rng(1))
    corrected = laws.batch_top(1.0, laws.bulk_radius(120, drawn.deviation, laws.effective_batch(200, 400)))
    without = laws.batch_top(1.0, laws.bulk_radius(120, drawn.deviation, laws.effective_batch(200)))
    assert isclose(tops.mean(), corrected, rel_tol=0.01)
    assert not isclose(tops.mean(), without, rel_tol=0.02)
    assert np.allclose(populations.batch_tops(drawn, 400, 1, np.random.default_rng(1)), 1.0)


def test_heavy_tails_leave_the_bulk():
    # Degrees of 2.2 have no fourth moment: single entries stick out of small batches.
    law = {"law": "student", "deviation": 4 / np.sqrt(120)}
    drawn = populations.subsampled_wigner(120, 400, np.random.default_rng(0), **law)
    tops = populations.batch_tops(drawn, 16, 10, np.random.default_rng(1))
    predicted = laws.batch_top(1.0, laws.bulk_radius(120, drawn.deviation, laws.effective_batch(16, 400)))
    assert tops.mean() > 1.15 * predicted


def test_batches_of_equal_seeds_are_nested_without_replacement():
    small, large = (populations.draw_batch(50, b, np.random.default_rng(3)) for b in (10, 30))
    assert set(small) < set(large) and len(set(large)) == 30


@pytest.mark.parametrize("batch", [1, 16, 200])
def test_standardised_means_have_unit_variance_and_become_normal(batch):
    values = populations.skewed_population(400, np.random.default_rng(0))
    means = populations.standardised_batch_means(values, batch, 2000, np.random.default_rng(1))
    assert isclose(np.var(means), 1.0, rel_tol=0.1)
    distance = kstest(means, "norm").statistic
    assert distance < 0.035 if batch == 200 else distance > 0.04


def semicircle_distance(matrix):
    return kstest(np.linalg.eigvalsh(matrix), lambda x: laws.semicircle_cdf(x, 1.0)).statistic


@pytest.mark.parametrize("profile", ["flat", "band"])
def test_equal_row_variances_give_the_semicircle(profile):
    variances = profiles.variance_profile(profile, 400)
    conditions = profiles.profile_conditions(variances)
    assert conditions.row_deviation < 1e-12 and isclose(conditions.mean, 1.0)
    assert semicircle_distance(profiles.profiled_wigner(variances, np.random.default_rng(0))) < 0.012


def test_unequal_rows_and_heavy_tails_do_not():
    variances = profiles.variance_profile("product", 400)
    assert isclose(profiles.profile_conditions(variances).row_deviation, 0.9)
    rng = np.random.default_rng(0)
    assert semicircle_distance(profiles.profiled_wigner(variances, rng)) > 0.05
    heavy = profiles.profiled_wigner(np.ones((400, 400)), rng, law="student")
    assert semicircle_distance(heavy / np.sqrt(np.mean(np.sum(heavy**2, axis=1)))) > 0.05


def test_planted_entry_keeps_the_density_and_moves_the_edge():
    matrix = profiles.entry_pair(800, 2.0, np.random.default_rng(0))
    assert semicircle_distance(matrix) < 0.01
    assert abs(np.linalg.eigvalsh(matrix)[-1] - 2.5) < 0.15
    assert certify_noise(matrix).top_ratio > 1.15
    normal = profiles.profiled_wigner(np.ones((500, 500)), np.random.default_rng(0), law="normal")
    assert certify_noise(normal).top_ratio < 1.03


@pytest.mark.parametrize("p", [4, 16, 64])
def test_lone_hessian_breaks_lemma_1_and_keeps_its_correction(p):
    hessians = profiles.lone_hessian_population(p, 50, 1.0)
    full = hessians.mean(axis=0)
    assert isclose(np.linalg.norm(full, 2), 1.0)
    moved = np.max(np.abs(hessians[0] - full))
    assert isclose(moved, 49.0) and moved > laws.entry_bound_lemma1(p, 1.0)
    assert moved <= laws.entry_bound(50.0)


RNG = np.random.default_rng(0)
SMALL = populations.subsampled_wigner(3, 4, np.random.default_rng(0))
BAD = {
    "parameters=0": lambda: populations.subsampled_wigner(0, 4, RNG),
    "population=1: ": lambda: populations.subsampled_wigner(3, 1, RNG),
    "deviation=-1.0": lambda: populations.subsampled_wigner(3, 4, RNG, deviation=-1.0),
    "law='cauchy'": lambda: populations.subsampled_wigner(3, 4, RNG, law="cauchy"),
    "degrees=2.0": lambda: populations.subsampled_wigner(3, 4, RNG, law="student", degrees=2.0),
    "spike=nan": lambda: populations.subsampled_wigner(3, 4, RNG, spike=nan),
    "batch=0": lambda: populations.batch_tops(SMALL, 0, 1, RNG),
    "batch=5": lambda: populations.batch_tops(SMALL, 5, 1, RNG),
    "draws=0": lambda: populations.batch_tops(SMALL, 2, 0, RNG),
    "found 0..4": lambda: populations.batch_hessian(SMALL, [0, 4]),
    "found 1..1": lambda: populations.batch_hessian(SMALL, [1, 1]),
    "indices=\\[\\]": lambda: populations.batch_hessian(SMALL, []),
    "indices=\\[0.5\\]": lambda: populations.batch_hessian(SMALL, [0.5]),
    "more than 100000": lambda: populations.all_batches(60, 30),
    "batch=4, N=4": lambda: populations.standardised_batch_means([1.0, 2.0, 3.0, 5.0], 4, 1, RNG),
    "values.shape=\\(1,\\)": lambda: populations.standardised_batch_means([1.0], 1, 1, RNG),
    "profile='round'": lambda: profiles.variance_profile("round", 3),
    "smallest=-1": lambda: profiles.profile_conditions([[-1.0]]),
    "variances.shape": lambda: profiles.profiled_wigner(np.ones((2, 3)), RNG),
    "law='uniform'": lambda: profiles.profiled_wigner(np.ones((2, 2)), RNG, law="uniform"),
    "degrees=0.0": lambda: profiles.profiled_wigner(np.ones((2, 2)), RNG, law="student", degrees=0.0),
    "parameters=1: ": lambda: profiles.entry_pair(1, 2.0, RNG),
    "strength=nan": lambda: profiles.entry_pair(4, nan, RNG),
    "smoothness=0.0": lambda: profiles.lone_hessian_population(2, 3, 0.0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named_with_its_value(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
