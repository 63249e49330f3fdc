"""What the claims on random matrices share: certificates, distances, masses, spikes around the transitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from problems.subsampled_wigner import batch_tops, subsampled_wigner
from theorylab.algorithms.random_matrix_laws import semicircle_density
from theorylab.audit import Status
from verify.random_matrix.densities import continuous_mass
from verify.random_matrix.ensembles import (
    audited_population,
    batch_means,
    ks_distance,
    mass,
    pooled_kurtosis,
    top_of_batches,
    wigner,
)
from verify.random_matrix.sampling import opposed_hessians, random_hessians
from verify.random_matrix.wishart import spikes_at


def test_ks_distance_is_that_of_scipy():
    sample = np.random.default_rng(0).standard_normal(200) * 1.3
    expected = stats.kstest(sample, stats.norm.cdf).statistic
    assert ks_distance(sample, stats.norm.cdf) == pytest.approx(expected, abs=1e-12)


def test_mass_of_a_semicircle_is_one_and_of_no_interval_zero():
    assert mass(lambda y: semicircle_density(y, 0.7), -1.4, 1.4) == pytest.approx(1.0, abs=1e-9)
    assert mass(lambda y: y, 1.0, 1.0) == 0.0


@pytest.mark.parametrize("beta", [0.25, 0.6, 1.0, 2.0])
def test_only_the_corrected_density_has_its_mass(beta):
    stated = min(1.0, 1.0 / beta)
    assert continuous_mass(beta, -1.0) == pytest.approx(stated, abs=1e-6)
    assert (abs(continuous_mass(beta, 1.0) - stated) < 1e-6) == (beta == 1.0)


def test_printed_masses_are_those_of_direct_quadrature():
    """The printed function at beta = 0.6 has mass 1/3 and at 2 mass 1, both with the factor 1/pi."""
    assert continuous_mass(0.6, 1.0) == pytest.approx(1.0 / 3.0, abs=1e-6)
    assert continuous_mass(2.0, 1.0) == pytest.approx(1.0, abs=1e-6)


def test_tops_of_batches_are_those_of_the_reference():
    """The same permutations in the same order: one matrix product in place of a loop."""
    population = subsampled_wigner(12, 20, np.random.default_rng(1))
    fast = top_of_batches(population, 5, 6, np.random.default_rng(2))
    slow = batch_tops(population, 5, 6, np.random.default_rng(2))
    np.testing.assert_allclose(fast, slow, atol=1e-5)
    assert batch_means(population, 20, 2, np.random.default_rng(2)) == pytest.approx(0.0, abs=1e-6)


def test_heavy_tails_are_not_certified_and_signs_are():
    rng = np.random.default_rng(3)
    signs = audited_population(subsampled_wigner(100, 60, rng))
    assert {found.status for found in signs.values()} == {Status.CERTIFIED}
    heavy = audited_population(subsampled_wigner(100, 60, rng, law="student"))
    assert heavy["edge"].status is Status.NOT_CERTIFIED
    assert pooled_kurtosis([-1.0, 1.0, 1.0, -1.0]) == 1.0


def test_the_common_model_has_its_transition_at_batch_sixteen():
    assert wigner(16).radius == pytest.approx(1.0)
    assert wigner(4, spike=0.0).spikes == ()


@pytest.mark.parametrize("q", [0.25, 4.0, 16.0])
def test_spikes_lie_where_their_names_say(q):
    true, printed = q + np.sqrt(q), 1.0 + q
    null, below, between, above, far = spikes_at(q)
    assert null == 0.0 and below < min(true, printed) < between < max(true, printed) < above < far


def test_populations_of_lemma_1_are_what_they_are_called():
    random = random_hessians(3, 5, np.random.default_rng(4))
    np.testing.assert_allclose(np.linalg.norm(random, 2, axis=(1, 2)), 1.0)
    assert opposed_hessians(2, 4)[:, 0, 0].tolist() == [1.0, -1.0, -1.0, -1.0]
