"""Tridiagonal samplers: against dense ensembles and eigh, against the laws, the compiled root finder, bad input."""

from math import inf, isclose, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh_tridiagonal
from scipy.stats import ks_2samp

from problems import spiked_ensembles as ensembles
from problems.random_matrix_hessians import SpikedWigner, SpikedWishart, Tridiagonal, certify_noise
from theorylab.algorithms import random_matrix_laws as laws
from theorylab.algorithms import tridiagonal_top as top
from theorylab.algorithms import wishart_laws as wishart

DRAWS = 1500  # a Kolmogorov-Smirnov distance of 0.063 has a p-value of 0.005


def dense_extremes(sample, draws, rng, end=-1):
    """Extreme eigenvalue, squared first component and corner of dense draws, (3, D)."""
    found = []
    for _ in range(draws):
        matrix = sample(rng)
        values, vectors = np.linalg.eigh(matrix)
        found.append((values[end], vectors[0, end] ** 2, matrix[0, 0]))
    return np.array(found).T


MODELS = [
    SpikedWigner(8, (2.0,), 0.7, 4, 10),
    SpikedWigner(8, (), 0.5, 1),
    SpikedWigner(2, (0.3,), 1.0, 2),
    SpikedWishart("covariance", 7, 12, 2.0, 0.8),
    SpikedWishart("covariance", 9, 4, 2.0),
    SpikedWishart("additive", 6, 6, 1.5),
    SpikedWishart("information", 5, 20, 1.0, 0.5),
    SpikedWishart("information", 8, 3, 4.0),
]


@pytest.mark.kernels
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_tridiagonal_draws_have_the_law_of_dense_ones(model):
    dense = ensembles.dense_spiked_wigner if isinstance(model, SpikedWigner) else ensembles.dense_spiked_wishart
    reference = dense_extremes(lambda rng: dense(model, rng), DRAWS, np.random.default_rng(1))
    drawn = ensembles.extreme_draws(model, DRAWS, np.random.default_rng(2))
    for mine, theirs in zip((drawn.eigenvalues, drawn.overlaps, drawn.corners), reference, strict=True):
        assert ks_2samp(mine, theirs).pvalue > 1e-3


@pytest.mark.kernels
def test_the_comparison_of_laws_has_teeth():
    """One order less, or a diagonal of variance one for two, is seen at this size."""
    drawn = ensembles.extreme_draws(SpikedWigner(8, (), 0.5, 1), DRAWS, np.random.default_rng(2)).eigenvalues
    smaller = ensembles.extreme_draws(SpikedWigner(7, (), 0.5, 1), DRAWS, np.random.default_rng(1)).eigenvalues
    assert ks_2samp(drawn, smaller).pvalue < 1e-3

    def thin_diagonal(rng):
        matrix = 0.5 * ensembles.dense_goe(8, rng)
        matrix[np.diag_indices(8)] /= sqrt(2)
        return matrix

    thin = dense_extremes(thin_diagonal, DRAWS, np.random.default_rng(1))
    assert ks_2samp(drawn, thin[0]).pvalue < 1e-3


@pytest.mark.kernels
def test_bottom_end_mirrors_the_top():
    model = SpikedWigner(1000, (-3.0,), 0.04, 1)
    below = ensembles.extreme_draws(model, 40, np.random.default_rng(0), end="bottom")
    assert isclose(below.eigenvalues.mean(), laws.batch_bottom(-3.0, model.radius), rel_tol=0.01)
    assert isclose(below.overlaps.mean(), laws.squared_overlap(-3.0, model.radius), abs_tol=0.02)


@pytest.mark.kernels
@pytest.mark.parametrize("batch", [1, 4, 64, 256])
def test_theorem_4_and_10_at_p_1000(batch):
    model = SpikedWigner(1000, (1.0,), sqrt(16 / 1000), batch)
    drawn = ensembles.extreme_draws(model, 30, np.random.default_rng(batch))
    assert isclose(drawn.eigenvalues.mean(), laws.batch_top(1.0, model.radius), rel_tol=0.02)
    assert isclose(drawn.overlaps.mean(), laws.squared_overlap(1.0, model.radius), abs_tol=0.02)
    if batch == 1:  # the extrapolated outlier branch is far off below the transition
        assert drawn.eigenvalues.mean() < 0.6 * laws.outlier_branch(1.0, model.radius)


@pytest.mark.kernels
@pytest.mark.parametrize("q", [0.25, 4.0])
@pytest.mark.parametrize("model", ["covariance", "additive", "information"])
def test_wishart_laws_at_p_1000(model, q):
    law, overlap = (wishart.covariance_top, wishart.covariance_overlap)
    if model == "additive":
        law, overlap = wishart.additive_top, wishart.additive_overlap
    for spike in (0.0, 3 * (q + sqrt(q))):
        drawn = ensembles.extreme_draws(SpikedWishart(model, 1000, int(1000 / q), spike), 60, np.random.default_rng(5))
        assert isclose(drawn.eigenvalues.mean(), law(spike, q, 1.0), rel_tol=0.025)
        assert isclose(drawn.overlaps.mean(), overlap(spike, q, 1.0), abs_tol=0.02)


@pytest.mark.kernels
def test_wrong_laws_are_refuted_at_p_1000():
    drawn = ensembles.extreme_draws(SpikedWishart("information", 1000, 250, 10.0), 20, np.random.default_rng(0))
    assert drawn.eigenvalues.mean() > 1.25 * wishart.theorem7_top(10.0, 4.0, 1.0)
    null = ensembles.extreme_draws(SpikedWishart("additive", 1000, 250, 0.0), 20, np.random.default_rng(0))
    assert wishart.theorem7_top(0.0, 4.0, 1.0) > 1.08 * null.eigenvalues.mean()


def test_equal_seeds_share_noise_at_all_batch_sizes_and_fewer_draws_are_a_prefix():
    small, large = (
        ensembles.spiked_wigner(SpikedWigner(50, (1.0,), 0.3, b), np.random.default_rng(4)) for b in (1, 100)
    )
    assert np.allclose(small.off_diagonal, 10 * large.off_diagonal)
    assert isclose(small.diagonal[0] - 1, 10 * (large.diagonal[0] - 1))
    model = SpikedWigner(50, (1.0,), 0.3, 2)
    few, many = (ensembles.extreme_draws(model, d, np.random.default_rng(4)).eigenvalues for d in (3, 7))
    assert np.array_equal(few, many[:3])


def test_full_batch_has_no_noise():
    drawn = ensembles.extreme_draws(SpikedWigner(30, (2.0,), 0.5, 9, 9), 2, np.random.default_rng(0))
    assert np.allclose(drawn.eigenvalues, 2.0, rtol=1e-14) and drawn.overlaps.tolist() == [1.0, 1.0]


def test_dense_multi_spike_outliers_and_a_negative_one():
    spikes = (3.0, 2.0, 1.5, -2.5)
    model = SpikedWigner(400, spikes, 0.5 / sqrt(400), 1)
    values = np.linalg.eigvalsh(ensembles.dense_spiked_wigner(model, np.random.default_rng(0)))
    expected = [laws.batch_top(s, model.radius) for s in spikes[:3]]
    assert np.allclose(values[-3:][::-1], expected, rtol=0.06)
    assert isclose(values[0], laws.batch_bottom(-2.5, model.radius), rel_tol=0.06)


@pytest.mark.kernels
def test_preconditioned_form_has_the_law_of_the_dense_preconditioner():
    model, damping = SpikedWigner(8, (1.0,), 0.8, 4), 0.05

    def sample(rng):
        roots = 1 / np.sqrt(np.array([1.0] + [0.0] * 7) + damping)
        return roots[:, None] * ensembles.dense_spiked_wigner(model, rng) * roots

    dense = 2 / dense_extremes(sample, DRAWS, np.random.default_rng(1))[0]
    rates = ensembles.preconditioned_rates(model, damping, DRAWS, np.random.default_rng(0))
    assert ks_2samp(rates, dense).pvalue > 1e-3


@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(-3, 3))
@settings(max_examples=60)
def test_python_form_of_the_root_finder_is_eigh(order, seed, shift):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal(order) + shift, rng.standard_normal(order - 1)
    value, weight = top.top_eigenpair.py_func(a, b**2)
    values, vectors = eigh_tridiagonal(a, b)
    assert isclose(value, values[-1], abs_tol=1e-13)
    # The weight is as well determined as the gap of the spectrum.
    gap = values[-1] - values[-2] if order > 1 else 1.0
    assert isclose(weight, vectors[0, -1] ** 2, abs_tol=1e-11 / max(gap, 1e-8))


@pytest.mark.kernels
@pytest.mark.parametrize("order", [1, 2, 3, 50, 300])
def test_root_finder_is_eigh_and_its_python(order):
    rng = np.random.default_rng(order)
    a, b = 10 * rng.standard_normal(order), rng.standard_normal(order - 1)
    value, weight = top.largest_eigenpair(a, b)
    values, vectors = eigh_tridiagonal(a, b)
    assert isclose(value, values[-1], rel_tol=1e-14)
    assert isclose(weight, vectors[0, -1] ** 2, rel_tol=1e-7, abs_tol=1e-20)
    slow = top.top_eigenpair.py_func(a, b**2)
    assert isclose(value, slow[0], rel_tol=1e-14) and isclose(weight, slow[1], rel_tol=1e-9, abs_tol=1e-20)


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("diagonal", "off", "value", "weight"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0], 0.0, None),  # any vector is one of the zero matrix
        ([1.0, 3.0, 2.0], [0.0, 0.0], 3.0, 0.0),  # decoupled: the first component is zero
        ([4.0, 3.0], [0.0], 4.0, 1.0),
        ([-5.0], [], -5.0, 1.0),
        ([1e-300, 1e-300], [1e-300], 2e-300, None),  # the squares underflow
    ],
)
def test_root_finder_on_degenerate_matrices(diagonal, off, value, weight):
    found = top.largest_eigenpair(diagonal, off)
    assert isclose(found[0], value, rel_tol=1e-12, abs_tol=1e-299)
    assert 0 <= found[1] <= 1 and (weight is None or isclose(found[1], weight, abs_tol=1e-12))


def test_spectrum_and_moments_of_the_noise():
    noise = ensembles.goe_noise(400, np.random.default_rng(0))
    values = ensembles.spectrum(noise)
    assert isclose(np.sum(values**2), np.sum(noise.diagonal**2) + 2 * np.sum(noise.off_diagonal**2))
    assert isclose(np.mean(values**2) / 401, 1.0, rel_tol=0.03)
    assert isclose(values[-1], laws.edge_mean(400, sqrt(400)), rel_tol=0.05)


def test_certificate_of_gaussian_noise_and_of_a_planted_entry():
    noise = ensembles.dense_goe(300, np.random.default_rng(0))
    good = certify_noise(noise)
    assert good.row_spread < 1.35 and abs(good.kurtosis - 3) < 0.3
    assert abs(good.top_ratio - 1) < 0.05 and good.stable_rank > 300 / 6
    noise[0, 1] = noise[1, 0] = 2 * sqrt(300)
    planted = certify_noise(noise)
    assert planted.top_ratio > 1.15 and planted.kurtosis > 10


RNG = np.random.default_rng(0)
BAD = {
    "parameters=0": lambda: SpikedWigner(0, (), 1.0, 1),
    "batch=0": lambda: SpikedWigner(5, (), 1.0, 0),
    "batch=9: must be at most population=8": lambda: SpikedWigner(5, (), 1.0, 9, 8),
    "deviation=-0.1": lambda: SpikedWigner(5, (), -0.1, 1),
    "deviation=nan": lambda: SpikedWigner(5, (), nan, 1),
    "descending": lambda: SpikedWigner(5, (1.0, 2.0), 1.0, 1),
    "not zero": lambda: SpikedWigner(5, (1.0, 0.0), 1.0, 1),
    "spikes=\\(inf,\\)": lambda: SpikedWigner(5, (inf,), 1.0, 1),
    "at most parameters=1": lambda: SpikedWigner(1, (2.0, 1.0), 1.0, 1),
    "one at most": lambda: ensembles.spiked_wigner(SpikedWigner(5, (2.0, 1.0), 1.0, 1), RNG),
    "model='wigner'": lambda: SpikedWishart("wigner", 5, 5, 1.0),
    "samples=0": lambda: SpikedWishart("additive", 5, 0, 1.0),
    "spike=-1.0": lambda: SpikedWishart("additive", 5, 5, -1.0),
    "deviation=0.0": lambda: SpikedWishart("additive", 5, 5, 1.0, 0.0),
    "draws=0": lambda: ensembles.extreme_draws(MODELS[0], 0, RNG),
    "end='left'": lambda: ensembles.extreme_draws(MODELS[0], 1, RNG, end="left"),
    "damping=0.0": lambda: ensembles.preconditioned(Tridiagonal(np.ones(2), np.ones(1)), 1.0, 0.0),
    "curvature=-1.0": lambda: ensembles.preconditioned(Tridiagonal(np.ones(2), np.ones(1)), -1.0, 1.0),
    "off_diagonal.shape": lambda: top.largest_eigenpair([1.0, 2.0], [1.0, 2.0]),
    "diagonal.shape=\\(0,\\)": lambda: top.largest_eigenpair([], []),
    "must be finite": lambda: top.largest_eigenpair([1.0, nan], [1.0]),
    "noise.shape": lambda: certify_noise(np.ones((2, 3))),
    "symmetric": lambda: certify_noise([[0.0, 1.0], [2.0, 0.0]]),
    "noise=0": lambda: certify_noise(np.zeros((3, 3))),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named_with_its_value(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
