"""Estimators of many mappings: against their definition, the exact recursion of the error, bad input."""

import bilevel_by_definition as definition
import numpy as np
import pytest

from theorylab.algorithms import block_estimators as estimators
from theorylab.algorithms.block_tracking import track, track_mappings

pytestmark = pytest.mark.kernels
M, DY, DX, T = 6, 3, 4, 40


def drawn(seed=0):
    """Mappings and a path that wanders, so that no two steps are alike."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((M, DY, DX)) / 2, np.cumsum(0.1 * rng.standard_normal((T + 1, DX)), axis=0)


def gamma_star(m, sampled, alpha):
    return (m - sampled) / (sampled * (1 - alpha)) + 1 - alpha


RULES = {
    "MSVR": estimators.msvr(0.2, gamma_star(M, 2, 0.2)),
    "STORM": estimators.storm(0.2),
    "moving average": estimators.moving_average(0.2),
    "zero-fill": estimators.zero_fill(0.2, sampled=2, blocks=M),
    "plain": estimators.memoryless(),
}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_tracking_is_its_definition(name, fresh):
    matrices, path = drawn()
    settings = {"sampled": 2, "batch": 4, "matrix_noise": 0.3, "offset_noise": 0.5, "fresh": fresh}
    seen = track_mappings(matrices, path, RULES[name], rng=np.random.default_rng(3), **settings)
    expected = definition.tracked(np.random.default_rng(3), matrices, path, RULES[name], (0.15, 0.25), 2, fresh)
    assert seen[0] == pytest.approx(expected, rel=1e-11, abs=1e-14)


def test_compiled_tracking_is_its_python():
    matrices, path = drawn(1)
    outputs = []
    for run in (track, track.py_func):
        errors = np.empty((2, T))
        run(np.random.default_rng(0), matrices, path, RULES["zero-fill"].weights, (0.3, 0.5), 2, True, errors)
        outputs.append(errors)
    assert np.array_equal(*outputs)


@pytest.mark.parametrize(("sampled", "alpha"), [(2, 0.1), (6, 0.3)])
def test_error_follows_the_exact_recursion_of_msvr(sampled, alpha):
    """E||e_t||^2 = (p a^2 + 1 - p) E||e_{t-1}||^2 + (p b^2 + 1 - p) ||D_t||^2 + p N_t where gamma = gamma*."""
    matrices, path = drawn(2)
    gamma, p, a = gamma_star(M, sampled, alpha), sampled / M, 1 - alpha
    rule = estimators.msvr(alpha, gamma)
    seen = track_mappings(
        matrices, path, rule, sampled=sampled, matrix_noise=0.3, offset_noise=0.5, rng=np.random.default_rng(5),
        repeats=4000,
    )  # fmt: skip
    exact, error = [], 0.0
    for w, before in zip(path[1:], path[:-1], strict=True):
        drift = np.mean(np.sum((matrices @ (w - before)) ** 2, axis=1))
        noise = DY * (0.09 * np.sum((alpha * w + gamma * (w - before)) ** 2) + alpha**2 * 0.25)
        error = (p * a**2 + 1 - p) * error + (p * (gamma - a) ** 2 + 1 - p) * drift + p * noise
        exact.append(error)
    deviation = seen.std(axis=0, ddof=1) / np.sqrt(4000)
    assert np.max(np.abs(seen.mean(axis=0) - exact) / deviation) < 4.5
    wrong = track_mappings(
        matrices, path, rule, sampled=sampled, matrix_noise=0.3, offset_noise=0.5, rng=np.random.default_rng(5),
        repeats=1000, fresh=True,
    )  # fmt: skip
    assert abs(wrong.mean() - np.mean(exact)) > 0.2 * np.mean(exact)  # the comparison can fail


def test_every_block_is_sampled_alike():
    """Without noise a sampled plain tracker is exact and the others are zero: their share is I/m of each block."""
    matrices = np.eye(M)[:, None, :]
    path = np.ones((2, M))
    seen = track_mappings(
        matrices, path, estimators.memoryless(), sampled=2, matrix_noise=0.0, offset_noise=0.0,
        rng=np.random.default_rng(0), repeats=3,
    )  # fmt: skip
    assert seen == pytest.approx(np.full((3, 1), 4 / 6))
    order, counts, rng = np.arange(M), np.zeros(M), np.random.default_rng(1)
    for _ in range(6000):
        counts[definition.chosen(rng, order, 2)] += 1
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(6000 * 2 / 9)


def test_pieces_are_the_rules_of_the_kernels():
    rng = np.random.default_rng(0)
    u, new, old = rng.standard_normal((3, 2, 5))
    alpha, gamma = 0.3, 1.7
    assert estimators.msvr_update(u, new, old, alpha=alpha, gamma=gamma) == pytest.approx(
        (1 - alpha) * u + alpha * new + gamma * (new - old)
    )
    assert estimators.storm_update(u, new, old, beta=alpha) == pytest.approx((1 - alpha) * (u - old) + new)
    assert estimators.storm(alpha).weights == pytest.approx(estimators.msvr(alpha, 1 - alpha).weights)
    matrix, path = rng.standard_normal((1, 2, 3)), rng.standard_normal((3, 3))
    quiet = {"sampled": 1, "matrix_noise": 0.0, "offset_noise": 0.0, "rng": rng}
    seen = track_mappings(matrix, path, estimators.msvr(alpha, gamma), **quiet)
    u = matrix[0] @ path[0]
    for t in (1, 2):
        u = estimators.msvr_update(u, matrix[0] @ path[t], matrix[0] @ path[t - 1], alpha=alpha, gamma=gamma)
        assert seen[0, t - 1] == pytest.approx(np.sum((u - matrix[0] @ path[t]) ** 2))


GOOD = drawn()


def tracking(**changes):
    settings = {
        "matrices": GOOD[0], "path": GOOD[1], "estimator": estimators.storm(0.1), "sampled": 2, "matrix_noise": 0.1,
        "offset_noise": 0.1, "rng": np.random.default_rng(0),
    }  # fmt: skip
    return track_mappings(**{**settings, **changes})


BAD = {
    "sampled=7: must be at most blocks=6": lambda: tracking(sampled=7),
    "sampled=0: must be a positive integer": lambda: tracking(sampled=0),
    "sampled=2.0": lambda: tracking(sampled=2.0),
    "batch=0": lambda: tracking(batch=0),
    "repeats=-1": lambda: tracking(repeats=-1),
    "matrix_noise=-0.1": lambda: tracking(matrix_noise=-0.1),
    "offset_noise=nan": lambda: tracking(offset_noise=float("nan")),
    r"matrices.shape=\(3, 4\): must have 3 axes": lambda: tracking(matrices=np.ones((3, 4))),
    r"path.shape=\(41, 3\): must be \(T\+1, 4\)": lambda: tracking(path=GOOD[1][:, :3]),
    r"path.shape=\(1, 4\)": lambda: tracking(path=GOOD[1][:1]),
    "path: must be finite, 1": lambda: tracking(path=np.where(GOOD[1] == GOOD[1].max(), np.nan, GOOD[1])),
    "alpha=0": lambda: estimators.msvr(0, 1.0),
    "alpha=1.5": lambda: estimators.moving_average(1.5),
    "gamma=inf.*alpha at most 1/2": lambda: estimators.msvr(1.0, np.inf),
    "beta=nan": lambda: estimators.storm(float("nan")),
    "sampled=9: must be at most blocks=4": lambda: estimators.zero_fill(0.1, sampled=9, blocks=4),
    "rest=1.5": lambda: estimators.BlockEstimator(0.5, 0.5, 0.0, 1.5),
    "keep=nan": lambda: estimators.BlockEstimator(np.nan, 0.5, 0.0),
    r"old.shape=\(1,\): must be": lambda: estimators.msvr_update([1.0, 2.0], [1.0, 2.0], [1.0], alpha=0.1, gamma=1.0),
    "new: must be finite": lambda: estimators.storm_update([1.0], [np.nan], [1.0], beta=0.1),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_ends_in_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        BAD[sentence]()
