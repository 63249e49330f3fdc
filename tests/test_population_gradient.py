"""Gradient descent on the population loss: the kernel, and every explicit constant of its theory."""

import numpy as np
import pytest

from theorylab.algorithms import population_bounds as bounds
from theorylab.algorithms.population_gradient import descend, population_gradient, small_start
from theorylab.algorithms.signal_residual import split_norms

ROUNDING = 1e-13

pytestmark = pytest.mark.kernels


def truth(d, r, condition, rng):
    basis, _ = np.linalg.qr(rng.standard_normal((d, r)))
    root = np.sqrt(condition)
    return basis, np.geomspace(root, 1 / root, r) if r > 1 else np.ones(1)


def one_step(S, E, sigma, step):
    """Spectral quantities before and after one step written from the definition, with a dense truth."""
    U = np.vstack([S, E])
    X = np.diag(np.r_[sigma, np.zeros(len(E))])
    after = U - step * (U @ U.T - X) @ U
    return quantities(U, sigma), quantities(after, sigma)


def quantities(U, sigma):
    S, E = U[: sigma.size], U[sigma.size :]
    singular = np.linalg.svd(S, compute_uv=False)
    return {
        "lam": singular[-1] ** 2,
        "norm": singular[0] ** 2,
        "d": np.linalg.norm(np.diag(sigma) - S @ S.T, 2),
        "c": np.linalg.norm(S @ E.T, 2),
        "e": np.linalg.norm(E, 2) ** 2,
    }


def random_state(rng, largest_signal):
    """A hard state: badly conditioned signal, tilted against Sigma, with a residual of any size up to sigma_1 = 1."""
    r, q = rng.integers(1, 4), rng.integers(1, 4)
    width = r + rng.integers(0, 3)
    sigma = np.sort(np.exp(rng.uniform(-4, 0, r)))[::-1]
    tilt, _ = np.linalg.qr(rng.standard_normal((r, r)))
    rows, _ = np.linalg.qr(rng.standard_normal((width, r)))
    strengths = np.sqrt(largest_signal * np.exp(rng.uniform(-12, 0, r)))
    strengths[0] = np.sqrt(largest_signal)
    E = (
        rng.standard_normal((q, width))
        if rng.random() < 0.5
        else np.outer(rng.random(q) + 1, rng.standard_normal(width))
    )
    return tilt * strengths @ rows.T, E * np.exp(rng.uniform(-4, 0)) / np.linalg.norm(E, 2), sigma / sigma[0]


def test_run_equals_the_definition_with_a_dense_truth():
    rng = np.random.default_rng(1)
    V, sigma = truth(7, 2, 3.0, rng)
    U = 0.3 * rng.standard_normal((7, 4))
    X = V * sigma @ V.T
    run = population_gradient(U, V, sigma, 0.05, [0, 1, 10, 60])
    measured = []
    for t in range(61):
        if t in (0, 1, 10, 60):
            measured.append(U)
        final, U = U, U - 0.05 * (U @ U.T - X) @ U
    norms = split_norms(measured, V, sigma)
    np.testing.assert_allclose(run.error, norms.error, rtol=1e-10)
    np.testing.assert_allclose(run.signal_error, norms.signal_error, rtol=1e-10)
    np.testing.assert_allclose(run.cross, norms.cross, rtol=1e-9)
    np.testing.assert_allclose(run.residual, norms.residual, rtol=1e-10)
    signal = [np.linalg.svd(V.T @ W, compute_uv=False) ** 2 for W in measured]
    np.testing.assert_allclose(run.smallest_signal, [s[-1] for s in signal], rtol=1e-9)
    np.testing.assert_allclose(run.signal_norm, [s[0] for s in signal], rtol=1e-10)
    np.testing.assert_allclose(run.final, final, atol=1e-13)


@pytest.mark.parametrize(("d", "r", "width"), [(5, 2, 4), (3, 3, 3), (4, 1, 1)])
def test_kernel_equals_its_python_source(d, r, width):
    rng = np.random.default_rng(2)
    start, sigma = 0.4 * rng.standard_normal((d, width)), np.geomspace(1.5, 0.5, r)
    times = np.array([0, 1, 7, 30])
    compiled, plain = np.empty((4, 6)), np.empty((4, 6))
    compiled_state, plain_state = start.copy(), start.copy()
    descend(compiled_state, sigma, 0.1, times, compiled)
    descend.py_func(plain_state, sigma, 0.1, times, plain)
    np.testing.assert_allclose(compiled_state, plain_state, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(compiled, plain, rtol=1e-10, atol=1e-13)
    assert np.ptp(compiled[:, 5]) > 0.01


def test_rank_one_run_follows_the_scalar_recursion():
    step, s, e = 0.1, 0.2, 0.05
    run = population_gradient([[s, 0.0], [0.0, e]], [[1.0], [0.0]], [1.0], step, np.arange(101))
    for t in range(101):
        assert run.smallest_signal[t] == pytest.approx(s**2, rel=1e-12)
        assert run.residual[t] == pytest.approx(e**2, rel=1e-12)
        assert run.error[t] == pytest.approx(max(abs(1 - s**2), e**2), rel=1e-10)
        s, e = s * (1 + step * (1 - s**2)), e * (1 - step * e**2)


def test_sparse_checkpoints_are_a_subset_of_all_steps():
    rng = np.random.default_rng(3)
    V, sigma = truth(6, 2, 2.0, rng)
    U = small_start(V, sigma, 6, 0.01, rng)
    every = population_gradient(U, V, sigma, 0.07, np.arange(301))
    some = population_gradient(U, V, sigma, 0.07, [5, 100, 300])
    np.testing.assert_array_equal(some.error, every.error[[5, 100, 300]])
    np.testing.assert_array_equal(some.final, every.final)


@pytest.mark.parametrize("rank", [3, 5, 9])
def test_small_start_has_the_distance_of_theorem_18(rank):
    rng = np.random.default_rng(4)
    V, sigma = truth(9, 3, 4.0, rng)
    U = small_start(V, sigma, rank, 0.01, rng)
    distance = np.linalg.norm(U @ U.T - 2e-4 * (V * sigma) @ V.T, 2)
    assert U.shape == (9, rank)
    assert distance == pytest.approx(0.0 if rank == 3 else 0.99e-4 * sigma[-1], rel=1e-9, abs=1e-18)


@pytest.mark.parametrize(("size", "alpha"), [((20, 3, 2.0, 20), 1e-2), ((30, 2, 5.0, 12), 1e-3)])
def test_all_bounds_hold_along_a_run_and_the_horizon_is_reached(size, alpha):
    d, r, condition, width = size
    rng = np.random.default_rng(5)
    V, sigma = truth(d, r, condition, rng)
    step = 0.1 / sigma[0]
    horizon = bounds.linear_horizon(alpha, step, sigma[0], sigma[-1])
    start = small_start(V, sigma, width, alpha, rng)
    run = population_gradient(start, V, sigma, step, np.arange(horizon + 200))
    slacks = bounds.one_step_slacks(run)
    for name in slacks.__dataclass_fields__:
        assert getattr(slacks, name).shape == (horizon + 199,)
        assert np.max(getattr(slacks, name)) <= ROUNDING, name
    assert np.all(run.residual <= bounds.residual_bound(run.residual[0], step, run.checkpoints) * (1 + 1e-12))
    assert np.all(run.error[horizon:] <= 4 * alpha**2)
    assert run.first_hit(4 * alpha**2) < horizon
    assert run.error[run.first_hit(0.1)] <= 0.1 < run.error[run.first_hit(0.1) - 1]
    assert run.first_hit(0.0) is None


def test_hitting_time_grows_by_the_leading_order():
    rng = np.random.default_rng(6)
    V, sigma = truth(12, 2, 2.0, rng)
    step = 0.1 / sigma[0]
    hits = [
        population_gradient(small_start(V, sigma, 12, a, rng), V, sigma, step, np.arange(700)).first_hit(4 * a**2)
        for a in (1e-2, 1e-4)
    ]
    predicted = [bounds.leading_hitting_time(a, step, sigma[-1]) for a in (1e-2, 1e-4)]
    assert np.diff(hits)[0] / np.diff(predicted)[0] == pytest.approx(1.0, abs=0.05)


def test_residual_tail_is_one_over_two_eta_t():
    rng = np.random.default_rng(7)
    V, sigma = truth(8, 2, 2.0, rng)
    start, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    run = population_gradient(0.3 * start, V, sigma, 0.07, [20_000])
    assert run.error[0] * 2 * 0.07 * 20_000 == pytest.approx(1.0, abs=0.02)


def test_proposition_17_and_its_sharper_forms_hold_for_hard_random_states():
    rng = np.random.default_rng(8)
    for _ in range(1500):
        S, E, sigma = random_state(rng, 1.01)
        step = 0.1
        old, new = one_step(S, E, sigma, step)
        lam, d, c, e = (old[key] for key in ("lam", "d", "c", "e"))
        assert new["d"] <= bounds.signal_error_bound(lam, d, c, step) + ROUNDING
        assert new["d"] <= (1 - 1.6 * step * lam) * d + 2.4 * step * c**2 + ROUNDING
        assert new["c"] <= bounds.cross_bound(lam, d, c, e, step) + ROUNDING
        assert new["c"] <= (1 - step * lam + step * d + 1.3 * step * e) * c + ROUNDING
        assert new["e"] <= bounds.residual_step_bound(e, step) + ROUNDING
        assert new["norm"] <= bounds.SIGNAL_NORM_FACTOR + ROUNDING


def test_conditioned_growth_bound_holds_for_hard_random_states_where_the_printed_one_fails():
    rng = np.random.default_rng(9)
    printed_failures = 0
    for _ in range(3000):
        S, E, sigma = random_state(rng, 2.0)
        old, new = one_step(S, E, sigma, 0.1)
        conditioned = bounds.conditioned_growth_bound(old["lam"], old["e"], old["norm"], 0.1, sigma[-1])
        assert new["lam"] >= conditioned - 1e-15
        printed_failures += new["lam"] < bounds.growth_bound(old["lam"], old["e"], 0.1, sigma[-1]) - 1e-12
    assert printed_failures > 0


def test_growth_bound_holds_with_3_1_where_the_signal_commutes_with_sigma():
    rng = np.random.default_rng(10)
    for _ in range(1500):
        S, E, sigma = random_state(rng, 2.0)
        S = np.linalg.svd(S)[1][rng.permutation(sigma.size), None] * np.linalg.qr(S.T)[0].T
        old, new = one_step(S, E, sigma, 0.1)
        # A residual that is 1.55 times larger turns the printed factor 2 into 3.1.
        assert new["lam"] >= bounds.growth_bound(old["lam"], 1.55 * old["e"], 0.1, sigma[-1]) - 1e-15


@pytest.mark.parametrize("step", [0.1, 0.01, 0.001])
def test_printed_growth_bound_fails_at_a_tilted_signal_for_every_step(step):
    """Sigma = diag(1, 0.1), P with eigenvectors at 45 degrees, lambda_min(P) of order step^4, rank-one residual."""
    sigma, half = np.array([1.0, 0.1]), np.sqrt(0.5)
    tilt, E = half * np.array([[1.0, -1.0], [1.0, 1.0]]), half * np.ones((1, 2))
    ratios = []
    for lam in np.geomspace(0.01, 10, 60) * step**4:
        old, new = one_step(tilt * np.sqrt([1.0, lam]), E, sigma, step)
        assert old["norm"] <= 2 and old["e"] <= 1 + 1e-12
        ratios.append(new["lam"] / bounds.growth_bound(old["lam"], old["e"], step, sigma[-1]))
    assert min(ratios) < 0.1


def test_horizon_is_below_the_sum_of_the_coarser_phases():
    """A looser form of the same argument: doubled growth phase and additive constants."""
    for alpha in (1e-2, 1e-3, 1e-5):
        for condition in (1.0, 2.0, 5.0):
            top, low = np.sqrt(condition), 1 / np.sqrt(condition)
            a = 0.1 / condition
            coarse = 7 + np.log(2.3 * low / alpha**2) / 0.98 + 2 * np.log(1.01 * np.sqrt(top) / alpha)
            coarse += np.log(7 * condition) / 0.98
            coarse = np.log(1 / alpha**2) / np.log1p(0.99 * a) + coarse / a
            assert 0.5 * coarse < bounds.linear_horizon(alpha, 0.1 / top, top, low) < coarse


def test_too_large_a_step_violates_the_horizon_and_a_one_step_inequality():
    rng = np.random.default_rng(11)
    V, sigma = truth(10, 2, 2.0, rng)
    start = small_start(V, sigma, 10, 1e-3, rng)
    run = population_gradient(start, V, sigma, 1.2 / sigma[0], np.arange(1000))
    slacks = bounds.one_step_slacks(run)
    assert run.error[-1] > 0.1
    assert max(slacks.signal_error.max(), slacks.signal_norm.max()) > 0.01


def test_divergence_is_infinite_and_never_nan():
    rng = np.random.default_rng(12)
    V, sigma = truth(5, 2, 2.0, rng)
    run = population_gradient(3.0 * rng.standard_normal((5, 5)), V, sigma, 1.0, np.arange(40))
    slacks = bounds.one_step_slacks(run)
    assert np.isfinite(run.error[0]) and np.isposinf(run.error[-1]) and np.isposinf(run.final).all()
    for name in slacks.__dataclass_fields__:
        assert not np.isnan(getattr(slacks, name)).any(), name
        assert np.isposinf(getattr(slacks, name)[-1])


BASIS, SIGMA, START = np.eye(3)[:, :1], [1.0], 0.1 * np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((START[:2], BASIS, SIGMA, 0.1, [1]), r"start.shape=\(2, 2\)"),
        ((START * np.nan, BASIS, SIGMA, 0.1, [1]), "finite entries"),
        ((np.ones((3, 4)), BASIS, SIGMA, 0.1, [1]), "rank=4"),
        ((START, 2 * BASIS, SIGMA, 0.1, [1]), "orthonormalise"),
        ((START, BASIS, [-1.0], 0.1, [1]), "positive and descending"),
        ((START, BASIS, [np.nan], 0.1, [1]), "positive and descending"),
        ((START, BASIS, [1.0, 1.0], 0.1, [1]), r"eigenvalues.shape=\(2,\)"),
        ((START, BASIS, SIGMA, 0.0, [1]), "step=0.0"),
        ((START, BASIS, SIGMA, 0.1, []), "non-empty"),
        ((START, BASIS, SIGMA, 0.1, [1.5]), "integers"),
        ((START, BASIS, SIGMA, 0.1, [-1, 2]), "increase strictly"),
        ((START, BASIS, SIGMA, 0.1, [2, 2]), "increase strictly"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        population_gradient(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1e-3, 0.2, 1.0, 1.0), "step=0.2"), ((0.5, 0.1, 1.0, 1.0), "alpha=0.5"), ((1e-3, 0.01, 4.0, 2.0), "sigma_r=2.0")],
)
def test_horizon_refuses_what_its_proof_does_not_cover(arguments, message):
    with pytest.raises(ValueError, match=message):
        bounds.linear_horizon(*arguments)


def test_slacks_need_consecutive_checkpoints_and_start_needs_a_rank_in_range():
    run = population_gradient(START, BASIS, SIGMA, 0.1, [0, 2, 4])
    with pytest.raises(ValueError, match=r"np\.arange"):
        bounds.one_step_slacks(run)
    with pytest.raises(ValueError, match="rank=4"):
        small_start(BASIS, SIGMA, 4, 0.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"alpha=1\.5"):
        bounds.leading_hitting_time(1.5, 0.1, 1.0)
