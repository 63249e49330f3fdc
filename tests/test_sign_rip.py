"""The sign map, its scaling and its deviation, against quadrature, the full operator and Monte Carlo."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from theorylab.algorithms import sign_rip
from theorylab.algorithms.packed_symmetric import pack_measurements
from theorylab.algorithms.recovery_bounds import alpha_exponent, asymptotic_error, degrees_of_freedom


def sensing(m, d, seed):
    full = np.random.default_rng(seed).standard_normal((m, d, d))
    return full, pack_measurements(full)


def draw_outliers(law, scale, count, rng):
    z = {"signs": rng.choice([-1.0, 1.0], count), "cauchy": rng.standard_cauchy(count)}.get(
        law, rng.standard_normal(count)
    )
    return scale * (1 + np.abs(z) if law == "one-sided" else z)


def test_sign_map_equals_the_symmetrised_full_sum():
    full, packed = sensing(40, 5, 0)
    rng = np.random.default_rng(1)
    X = sign_rip.random_low_rank(5, 3, 2.0, 4, rng)
    s = rng.standard_normal(40)
    Q = sign_rip.sign_map(packed, X, s)
    for matrix, result in zip(X, Q, strict=True):
        direct = np.einsum("i,ijk->jk", np.sign(np.einsum("ijk,jk->i", full, matrix) - s), full) / 40
        np.testing.assert_allclose(result, 0.5 * (direct + direct.T), atol=1e-14)
    np.testing.assert_allclose(sign_rip.sign_map(packed, X[0], s), Q[0], atol=1e-14)


@pytest.mark.parametrize("law", sign_rip.OUTLIER_LAWS)
@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_scaling_equals_quadrature_over_the_outliers(law, scale):
    norm, gaussian, share = 1.3, 0.4, 0.3
    tau = np.hypot(norm, gaussian)

    def factor(s):
        return np.exp(-0.5 * (s / tau) ** 2)

    if law == "signs":
        mean = factor(scale)
    else:
        density = stats.cauchy.pdf if law == "cauchy" else stats.norm.pdf
        value = (lambda z: scale * (1 + z)) if law == "one-sided" else (lambda z: scale * z)
        # The integrand is even in z; the break points keep a narrow peak at zero in sight.
        breaks = [0.0, 0.05, 0.5, 3.0, 40.0 / min(scale, 1.0)]
        mean = sum(
            integrate.quad(lambda z: 2 * density(z) * factor(value(z)), low, high, epsabs=1e-13)[0]
            for low, high in pairwise(breaks)
        )
    expected = np.sqrt(2 / np.pi) * norm / tau * (1 - share + share * mean)
    found = sign_rip.sign_scaling(norm, share=share, law=law, scale=scale, gaussian=gaussian)
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("law", [*sign_rip.OUTLIER_LAWS, "none"])
def test_scaling_is_the_mean_of_the_sign_map(law):
    m, d, norm, scale = 20_000, 6, 0.7, 2.0
    _, packed = sensing(m, d, 2)
    rng = np.random.default_rng(3)
    share = 0.0 if law == "none" else 0.4
    gaussian = 0.5 if law in ("none", "cauchy") else 0.0
    s = gaussian * rng.standard_normal(m)
    if share:
        s += np.where(rng.random(m) < share, draw_outliers(law, scale, m, rng), 0.0)
    X = sign_rip.random_low_rank(d, 2, norm, 1, rng)[0]
    phi = sign_rip.sign_scaling(
        norm, share=share, law="normal" if law == "none" else law, scale=scale, gaussian=gaussian
    )
    Q = sign_rip.sign_map(packed, X, s)
    # <Q, X/||X||> is a mean of m terms of variance 1 - phi^2.
    assert abs(np.sum(Q * X) / norm - phi) <= 4 * np.sqrt((1 - phi**2) / m)
    energy = np.sum((Q - phi * X / norm) ** 2) / sign_rip.mean_square_deviation(d, m, phi)
    assert energy == pytest.approx(1.0, abs=4 * np.sqrt(2 / 21))
    wrong = sign_rip.NOISELESS_SCALING
    assert abs(np.sum(Q * X) / norm - wrong) > 4 * np.sqrt((1 - phi**2) / m)


def test_mean_square_deviation_over_many_operators():
    found = []
    for seed in range(300):
        _, packed = sensing(50, 4, seed)
        X = np.diag([1.0, -1.0, 0.0, 0.0]) / np.sqrt(2)
        Q = sign_rip.sign_map(packed, X, np.zeros(50))
        found.append(np.sum((Q - sign_rip.NOISELESS_SCALING * X) ** 2))
    expected = sign_rip.mean_square_deviation(4, 50, sign_rip.NOISELESS_SCALING)
    assert abs(np.mean(found) - expected) <= 4 * np.std(found) / np.sqrt(300)


def test_scaling_of_extreme_outliers_neither_overflows_nor_forgets_the_clean_share():
    for law in sign_rip.OUTLIER_LAWS:
        assert sign_rip.sign_scaling(1.0, share=0.3, law=law, scale=1e12) == pytest.approx(
            0.7 * sign_rip.NOISELESS_SCALING, rel=1e-6
        )
        assert sign_rip.sign_scaling(1.0, share=0.3, law=law, scale=1e-9) == pytest.approx(
            sign_rip.NOISELESS_SCALING, rel=1e-6
        )


def test_deviation_is_attained_by_its_truncation_and_never_exceeded():
    _, packed = sensing(60, 6, 4)
    rng = np.random.default_rng(5)
    X = sign_rip.random_low_rank(6, 2, 1.0, 1, rng)[0]
    phi = sign_rip.NOISELESS_SCALING
    delta = sign_rip.deviation(packed, X, np.zeros(60), phi, 2)
    R = sign_rip.sign_map(packed, X, np.zeros(60)) - phi * X
    Y = rng.standard_normal((4000, 6, 2)) @ rng.standard_normal((4000, 2, 6))
    pairings = np.abs(np.sum(R * Y, axis=(1, 2))) / np.linalg.norm(Y, axis=(1, 2)) / phi
    assert 0.5 * delta < pairings.max() <= delta
    left, singular, right = np.linalg.svd(R)
    best = left[:, :2] * singular[:2] @ right[:2]
    assert np.sum(R * best) / np.linalg.norm(best) / phi == pytest.approx(delta, rel=1e-12)
    full = sign_rip.deviation(packed, X, np.zeros(60), phi, 6)
    assert full == pytest.approx(np.linalg.norm(R) / phi, rel=1e-12)


def test_lemma_12_brackets_the_loss():
    """f within (1 +- delta(X)) phi ||X||_F for every X of rank at most k, without noise."""
    _, packed = sensing(300, 8, 6)
    rng = np.random.default_rng(7)
    X = sign_rip.random_low_rank(8, 3, 2.0, 50, rng)
    row, column = np.triu_indices(8)
    loss = np.mean(np.abs(X[:, row, column] @ packed.T), axis=1)
    phi = sign_rip.NOISELESS_SCALING
    delta = sign_rip.deviation(packed, X, np.zeros(300), phi, 3)
    assert np.all(np.abs(loss / (2.0 * phi) - 1) <= delta)
    assert np.max(np.abs(loss / (2.0 * phi) - 1)) > 0


def test_random_low_rank_has_rank_norm_and_mixed_signature():
    X = sign_rip.random_low_rank(7, 3, 2.5, 60, np.random.default_rng(8))
    np.testing.assert_allclose(np.linalg.norm(X, axis=(1, 2)), 2.5, rtol=1e-12)
    np.testing.assert_array_equal(np.linalg.matrix_rank(X, tol=1e-10), 3)
    negative = np.sum(np.linalg.eigvalsh(X) < -1e-10, axis=1)
    assert set(negative) == {0, 1, 2, 3}


def test_typical_deviation_falls_like_the_root_of_m():
    values = []
    for m in (500, 2000):
        _, packed = sensing(m, 10, 9)
        drawn = sign_rip.typical_deviation(
            packed, np.zeros(m), sign_rip.NOISELESS_SCALING, rank=4, norm=1.0, count=80, rng=np.random.default_rng(10)
        )
        values.append(np.median(drawn))
    assert np.log(values[0] / values[1]) / np.log(4) == pytest.approx(0.5, abs=0.06)


def test_search_climbs_above_its_start_and_repeats_with_its_seed():
    _, packed = sensing(400, 8, 11)
    arguments = (packed, np.zeros(400), sign_rip.NOISELESS_SCALING)

    def search(rounds):
        rng = np.random.default_rng(12)
        return sign_rip.searched_deviation(*arguments, rank=3, norm=1.0, rng=rng, rounds=rounds, candidates=12)

    typical = sign_rip.typical_deviation(*arguments, rank=3, norm=1.0, count=12, rng=np.random.default_rng(12))
    assert typical.max() <= search(1) <= search(5) < search(40)
    assert search(40) > 1.1 * np.median(typical)
    assert search(40) == search(40)


def test_constants_of_noisy_recovery():
    assert degrees_of_freedom(20, 3) == 57 and degrees_of_freedom(4, 4) == 10
    assert asymptotic_error(0.2, 0.0, 20, 3, 1500) == pytest.approx(0.2 * np.sqrt(np.pi * 57 / 3000))
    assert asymptotic_error(0.2, 0.5, 20, 3, 1500) == pytest.approx(2 * asymptotic_error(0.2, 0.0, 20, 3, 1500))
    assert asymptotic_error(0.0, 0.5, 20, 3, 1500) == 0.0
    # With one eigenvalue the sum is one term: sigma / sigma = 1.
    assert alpha_exponent([3.0], 9, 800) == pytest.approx(2 - np.sqrt(2 * np.pi) * np.sqrt(16 / 800))
    assert alpha_exponent([2.0, 1.0], 9, 10**9) == pytest.approx(2.0, abs=1e-3)


def test_asymptotic_error_is_that_of_a_median_regression_on_the_tangent_space():
    """Where the tangent space is all there is (r = d = 1) the estimate is a one-parameter least-absolute fit."""
    rng = np.random.default_rng(13)
    m, nu, share = 400, 0.3, 0.25
    errors = []
    for _ in range(1500):
        a = rng.standard_normal(m)
        s = nu * rng.standard_normal(m) + np.where(rng.random(m) < share, 1e4 * rng.standard_normal(m), 0.0)
        order = np.argsort(s / a)
        weights = np.cumsum(np.abs(a)[order])
        errors.append((s / a)[order][np.searchsorted(weights, 0.5 * weights[-1])])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(asymptotic_error(nu, share, 1, 1, m), rel=0.08)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"norm": 0.0}, "norm=0.0"),
        ({"norm": np.nan}, "norm=nan"),
        ({"norm": 1.0, "share": 1.0}, "share=1.0"),
        ({"norm": 1.0, "share": np.nan}, "share=nan"),
        ({"norm": 1.0, "law": "laplace"}, "law='laplace'"),
        ({"norm": 1.0, "scale": -1.0}, "scale=-1.0"),
        ({"norm": 1.0, "gaussian": -0.1}, "gaussian=-0.1"),
    ],
)
def test_scaling_names_bad_input(keywords, message):
    with pytest.raises(ValueError, match=message):
        sign_rip.sign_scaling(**keywords)


def test_bad_input_is_named():
    _, packed = sensing(5, 3, 0)
    X, s = np.eye(3), np.zeros(5)
    for arguments, message in [
        ((packed, np.eye(4), s, 1.0, 1), r"matrices.shape=\(4, 4\)"),
        ((packed, np.triu(np.ones((3, 3))), s, 1.0, 1), "symmetric"),
        ((packed, X * np.nan, s, 1.0, 1), "finite"),
        ((packed, 0 * X, s, 1.0, 1), "zero matrix"),
        ((packed, X, s[:4], 1.0, 1), r"errors.shape=\(4,\)"),
        ((packed, X, s, 0.0, 1), "scaling=0.0"),
        ((packed, X, s, 1.0, 4), "rank=4"),
        ((packed[:, :5], X, s, 1.0, 1), "packed length=5"),
    ]:
        with pytest.raises(ValueError, match=message):
            sign_rip.deviation(*arguments)
    with pytest.raises(ValueError, match="count=0"):
        sign_rip.random_low_rank(3, 1, 1.0, 0, np.random.default_rng(0))
    for arguments, message in [
        ((-1.0, 0.0, 3, 1, 10), "gaussian=-1.0"),
        ((1.0, 1.0, 3, 1, 10), "share=1.0"),
        ((1.0, 0.0, 3, 4, 10), "rank=4"),
        ((1.0, 0.0, 3, 1, 0), "measurements=0"),
    ]:
        with pytest.raises(ValueError, match=message):
            asymptotic_error(*arguments)
    with pytest.raises(ValueError, match="descending"):
        alpha_exponent([1.0, 2.0], 5, 100)
