"""Spectral densities by stochastic Lanczos quadrature: exactness, rigorous errors, standard errors, breakdowns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.algorithms.lanczos import lanczos, ritz_values
from theorylab.algorithms.spectral_density import spectral_density, weight_near_zero


def generator(seed=0):
    return np.random.default_rng(seed)


def wigner(n, seed=0):
    draws = generator(seed).standard_normal((n, n))
    return (draws + draws.T) / np.sqrt(2 * n)


def test_moments_are_exact_up_to_twice_the_steps_minus_one():
    a = wigner(60)
    m = 4
    for seed in range(3):
        start = generator(seed).standard_normal(60)
        start /= np.linalg.norm(start)
        rule = ritz_values(lanczos(a, steps=m, rng=generator(), start=start))
        for k in range(2 * m + 1):
            exact = start @ np.linalg.matrix_power(a, k) @ start
            error = abs(rule.weights @ rule.values**k - exact)
            assert error > 1e-6 if k == 2 * m else error < 1e-13


def test_density_of_all_steps_is_the_spectral_measure_of_the_probes():
    a = wigner(25)
    found = spectral_density(a, probes=400, steps=25, rng=generator(1))
    exact = np.linalg.eigvalsh(a)
    for moment, estimate, error in zip(range(5), *_parts(found.moments(5)), strict=True):
        assert abs(estimate - np.mean(exact**moment)) <= 4 * error + 1e-12
    at = np.linspace(-2.0, 2.0, 9)
    smooth = np.mean(np.exp(-0.5 * ((at[:, None] - exact) / 0.3) ** 2), axis=1) / (0.3 * np.sqrt(2 * np.pi))
    density = found.density(at, 0.3)
    assert np.all(np.abs(density.value - smooth) <= 4 * density.standard_error)
    assert density.rule_error.max() < 1e-6


@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_cdf_error_is_rigorous_for_the_measure_of_the_probe(n, steps, seed):
    rng = generator(seed)
    eigenvalues = np.sort(rng.standard_normal(n))
    found = spectral_density(np.diag(eigenvalues), probes=1, steps=min(steps, n), rng=rng)
    at = np.r_[-9.0, rng.uniform(-3.0, 3.0, 30), 9.0]
    exact = np.mean(eigenvalues <= at[:, None], axis=1)  # signs weigh all eigenvectors of a diagonal alike
    estimate = found.cdf(at)
    assert np.all(np.abs(estimate.value - exact) <= estimate.rule_error + 1e-9)
    assert estimate.value[-1] == pytest.approx(1.0)
    assert np.isinf(estimate.standard_error).all()


def test_standard_errors_cover_and_shrink():
    a = np.diag(np.r_[np.zeros(60), np.linspace(1.0, 2.0, 60)]) + 0.1 * wigner(120)
    exact = np.linalg.eigvalsh(a)
    misses = 0
    for seed in range(40):
        estimate = spectral_density(a, probes=12, steps=15, rng=generator(seed), probe="gaussian").moments(3)
        misses += abs(estimate.value[2] - np.mean(exact**2)) > 2.2 * estimate.standard_error[2]
    assert misses <= 7  # 5 % expected


def test_blocks_of_probes_do_not_change_the_result(monkeypatch):
    a = wigner(50)
    together = spectral_density(a, probes=6, steps=12, rng=generator(4))
    monkeypatch.setattr("theorylab.algorithms.spectral_density.BLOCK_ENTRIES", 1)
    alone = spectral_density(lambda v: a @ v, 50, probes=6, steps=12, rng=generator(4))
    assert np.abs(together.nodes - alone.nodes).max() < 1e-10
    assert np.abs(together.weights - alone.weights).max() < 1e-10
    assert together.matvecs == alone.matvecs == 6 * 12 + 2


def test_weight_near_zero_overestimates_the_share_of_zeros():
    eigenvalues = np.r_[np.zeros(30), np.linspace(1e-3, 1.0, 70)]
    shares = []
    for steps in (5, 10, 40):
        found = spectral_density(np.diag(eigenvalues), probes=5, steps=steps, rng=generator())
        weight, value = weight_near_zero(found)
        two, _ = weight_near_zero(found, nearest=2)
        assert np.all(two > weight)
        assert np.all(np.abs(value) < 0.1)
        shares.append(weight.mean())
    assert shares[0] > shares[1] > shares[2] > 0.3 - 1e-9


def test_a_broken_down_probe_is_exact():
    found = spectral_density(np.diag(np.r_[np.zeros(6), np.full(4, 3.0)]), probes=3, steps=8, rng=generator())
    assert np.abs(found.moments(4).value - [1.0, 1.2, 3.6, 10.8]).max() < 1e-12
    assert found.density([0.0], 1.0).rule_error.max() == 0.0
    weight, _ = weight_near_zero(found)
    assert np.abs(weight - 0.6).max() < 1e-12


def _parts(estimate):
    return estimate.value, estimate.standard_error
