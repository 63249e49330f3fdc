"""The generators of robust matrix sensing: true constants, shared randomness, noise laws, bad input."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import matrix_sensing as ms
from theorylab.algorithms import packed_symmetric as packed


@st.composite
def sizes(draw):
    d = draw(st.integers(1, 9))
    return d, draw(st.integers(1, d)), draw(st.floats(1.0, 50.0)), draw(st.integers(0, 2**32 - 1))


@given(sizes())
@settings(max_examples=60, deadline=None)
def test_truth_has_the_constants_it_states(size):
    d, r, condition, seed = size
    truth = ms.ground_truth(d, r, condition, np.random.default_rng(seed))
    eigenvalues = np.linalg.eigvalsh(truth.matrix)[::-1]
    assert np.array_equal(truth.matrix, truth.matrix.T)
    assert np.allclose(eigenvalues[:r], truth.eigenvalues, atol=1e-12)
    assert np.allclose(eigenvalues[r:], 0.0, atol=1e-12)
    assert truth.condition == pytest.approx(condition if r > 1 else 1.0)
    assert np.prod(truth.eigenvalues) == pytest.approx(1.0)
    whole = np.hstack([truth.basis, truth.complement])
    assert np.allclose(whole.T @ whole, np.eye(d), atol=1e-12)
    assert np.allclose(truth.complement.T @ truth.matrix, 0.0, atol=1e-12)


@given(
    sizes(), st.integers(1, 40), st.floats(0.0, 0.9), st.sampled_from(ms.OUTLIER_LAWS), st.sampled_from(ms.ENSEMBLES)
)
@settings(max_examples=60, deadline=None)
def test_instance_agrees_with_the_full_measurement_matrices(size, m, share, law, ensemble):
    d, r, condition, seed = size
    noise = ms.Noise(share=share, law=law, scale=5.0, gaussian=0.1)
    rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
    instance = ms.sense(ms.ground_truth(d, r, condition, rng), m, rng, noise, ensemble=ensemble)
    again.standard_normal((d, d))  # the documented draw order: eigenvectors, then the measurement matrices
    full = again.standard_normal((m, d, d)) if ensemble == "gaussian" else 2.0 * again.integers(0, 2, (m, d, d)) - 1.0
    clean = np.einsum("mij,ij->m", full, instance.truth.matrix)
    assert np.allclose(instance.observations, clean + instance.errors, atol=1e-10)
    certificate = ms.certify(instance)
    assert certificate.is_psd and certificate.rank == r
    assert certificate.condition == pytest.approx(instance.truth.condition, rel=1e-8)
    assert certificate.corrupted_share == instance.corrupted.mean()
    assert certificate.observation_gap < 1e-10
    assert instance.within_theory == (ensemble == "gaussian")


def test_instances_of_one_seed_share_their_measurements_and_nest_their_masks():
    def draw(rank, noise):
        rng = np.random.default_rng(3)
        return ms.sense(ms.ground_truth(6, rank, 4.0, rng), 300, rng, noise)

    few, many = draw(2, ms.Noise(share=0.2)), draw(3, ms.Noise(share=0.6, law="cauchy", gaussian=1.0))
    assert np.array_equal(few.operator, many.operator)
    assert np.array_equal(few.truth.basis, many.truth.basis[:, :2])
    assert np.all(many.corrupted[few.corrupted]) and few.corrupted.sum() < many.corrupted.sum()
    large = draw(2, ms.Noise(share=0.2, scale=1e6))
    assert np.allclose(large.errors, 1e5 * few.errors, rtol=1e-12)


def test_certificate_sees_what_is_wrong():
    rng = np.random.default_rng(0)
    instance = ms.sense(ms.ground_truth(5, 2, 2.0, rng), 200, rng, ms.Noise(share=0.3))
    indefinite = replace(instance.truth, matrix=instance.truth.matrix - 0.5 * np.eye(5))
    assert not ms.certify(replace(instance, truth=indefinite)).is_psd
    assert ms.certify(replace(instance, observations=instance.observations + 1.0)).observation_gap > 0.5


def test_moments_tell_the_ensembles_apart():
    moments = {}
    for ensemble in ms.ENSEMBLES:
        rng = np.random.default_rng(1)
        moments[ensemble] = ms.certify(ms.sense(ms.ground_truth(8, 2, 2.0, rng), 4000, rng, ensemble=ensemble))
    for certificate in moments.values():
        assert certificate.diagonal_variance == pytest.approx(1.0, abs=0.05)
        assert certificate.off_diagonal_variance == pytest.approx(2.0, abs=0.05)
    assert moments["gaussian"].diagonal_kurtosis == pytest.approx(3.0, abs=0.2)
    assert moments["rademacher"].diagonal_kurtosis == 1.0


def test_noise_laws_have_their_shape():
    def outliers(law):
        noise = ms.Noise(share=0.4, law=law, scale=3.0)
        mask, errors = ms.draw_errors(20_000, noise, np.random.default_rng(5))
        assert mask.mean() == pytest.approx(0.4, abs=0.02) and np.all(errors[~mask] == 0.0)
        return errors[mask]

    assert outliers("normal").std() == pytest.approx(3.0, rel=0.05)
    assert set(np.unique(outliers("signs"))) == {-3.0, 3.0}
    assert np.median(np.abs(outliers("cauchy"))) == pytest.approx(3.0, rel=0.1)
    assert outliers("one-sided").min() >= 3.0
    assert outliers("one-sided").mean() == pytest.approx(3.0 * (1.0 + np.sqrt(2 / np.pi)), rel=0.05)
    _, mixture = ms.draw_errors(20_000, ms.Noise(share=0.1, gaussian=0.5), np.random.default_rng(5))
    assert np.median(np.abs(mixture)) == pytest.approx(0.6745 * 0.5, rel=0.25)


def test_impostor_takes_over_the_corrupted_measurements_only():
    rng = np.random.default_rng(2)
    instance = ms.sense(ms.ground_truth(5, 2, 2.0, rng), 100, rng, ms.Noise(share=0.5))
    impostor = ms.ground_truth(5, 2, 2.0, rng)
    adversarial = ms.with_impostor(instance, impostor)
    on = instance.corrupted
    assert np.allclose(adversarial.observations[on], packed.forward(instance.operator, impostor.matrix)[on])
    assert np.allclose(adversarial.observations[~on], packed.forward(instance.operator, instance.truth.matrix)[~on])
    assert instance.within_theory and not adversarial.within_theory


def test_real_spectrum_is_the_correlation_matrix_of_the_data():
    truth = ms.real_spectrum()
    assert (truth.dimension, truth.rank) == (30, 3)
    assert truth.condition == pytest.approx(4.71, abs=0.005)
    assert truth.eigenvalues[0] * truth.eigenvalues[-1] == pytest.approx(1.0)
    assert np.allclose(truth.basis.T @ truth.complement, 0.0, atol=1e-12)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ms.ground_truth(0, 1, 1.0, RNG), "d=0"),
        (lambda: ms.ground_truth(3, 2.5, 1.0, RNG), "r=2.5"),
        (lambda: ms.ground_truth(3, 4, 2.0, RNG), "rank r in 1..3"),
        (lambda: ms.ground_truth(3, 2, 0.5, RNG), "condition=0.5"),
        (lambda: ms.ground_truth(3, 2, np.nan, RNG), "condition=nan"),
        (lambda: ms.truth_with_spectrum(3, [1.0, 2.0], RNG), "descending"),
        (lambda: ms.truth_with_spectrum(3, [1.0, -2.0], RNG), "positive"),
        (lambda: ms.truth_with_spectrum(3, [], RNG), "eigenvalues.shape"),
        (lambda: ms.real_spectrum(31), "r=31"),
        (lambda: ms.draw_operator(-1, 3, RNG), "m=-1"),
        (lambda: ms.draw_operator(4, 3, RNG, ensemble="uniform"), "gaussian, rademacher"),
        (lambda: ms.Noise(share=1.0), "share=1.0"),
        (lambda: ms.Noise(share=np.nan), "share=nan"),
        (lambda: ms.Noise(law="laplace"), "law='laplace'"),
        (lambda: ms.Noise(scale=0.0), "scale=0.0"),
        (lambda: ms.Noise(gaussian=-1.0), "gaussian=-1.0"),
        (lambda: ms.measure(ms.ground_truth(3, 1, 1.0, RNG), np.ones((4, 10)), RNG), "a truth of dimension 3"),
    ],
)
def test_bad_input_is_named_with_its_remedy(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()
