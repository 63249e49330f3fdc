"""The sub-gradient method: against plain numpy with the full measurement matrices, and its kernels against Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.matrix_sensing import Noise, ground_truth, measure
from theorylab.algorithms import low_rank_start as starts
from theorylab.algorithms import packed_symmetric as packed
from theorylab.algorithms import subgradient_kernels as kernels
from theorylab.algorithms.subgradient_method import (
    Arm,
    Schedule,
    StepRule,
    geometric_schedule,
    subgradient_method,
    subgradient_method_stacked,
)

pytestmark = pytest.mark.kernels


def drawn(d, r, m, seed=0, noise=None):
    """An instance together with its full measurement matrices (m, d, d), which are not symmetric."""
    rng = np.random.default_rng(seed)
    truth = ground_truth(d, r, 2.0, rng)
    full = rng.standard_normal((m, d, d))
    return full, measure(truth, packed.pack_measurements(full), rng, noise)


def by_definition(full, y, truth, start, schedule):
    """The method from its definition, with unsymmetric matrices: errors and losses of all iterates, and the last."""
    u, errors, losses = start.copy(), [], []
    for t in range(schedule.horizon + 1):
        x = u @ u.T
        residual = np.einsum("mij,ij->m", full, x) - y
        errors.append(np.linalg.norm(x - truth))
        losses.append(np.mean(np.abs(residual)))
        if t == schedule.horizon:
            return np.array(errors), np.array(losses), u
        weight = residual if schedule.rule == StepRule.LEAST_SQUARES else np.sign(residual)
        q = np.einsum("m,mij->ij", weight, full) / y.size
        d_t = (q + q.T) @ u  # the sub-gradient; for least squares twice the gradient
        if schedule.rule == StepRule.QUASI_POLYAK:
            u = u - 0.5 * schedule.step * losses[-1] * d_t
        elif schedule.rule == StepRule.NORMALISED:
            u = u - schedule.step * schedule.decay**t / np.linalg.norm((q + q.T) / 2, 2) * d_t
        else:
            u = u - schedule.step * d_t / 2


RULES = [
    Schedule(StepRule.QUASI_POLYAK, 0.2, 40),
    Schedule(StepRule.NORMALISED, 0.1, 40, 0.97),
    Schedule(StepRule.NORMALISED, 0.1, 40),
    Schedule(StepRule.LEAST_SQUARES, 0.05, 40),
]


@pytest.mark.parametrize("schedule", RULES, ids=["quasi-Polyak", "geometric", "constant", "least-squares"])
@pytest.mark.parametrize(("d", "rank", "m"), [(7, 7, 201), (5, 2, 64), (1, 1, 3)])
def test_agrees_with_the_definition(schedule, d, rank, m):
    full, instance = drawn(d, 1, m, noise=Noise(share=0.1, scale=2.0))
    start = starts.gaussian_start(d, rank, 0.5, np.random.default_rng(1))
    path = subgradient_method(
        instance.operator,
        instance.observations,
        start,
        schedule,
        truth=instance.truth.matrix,
        checkpoints=np.arange(41),
        keep_iterates=True,
    )
    errors, losses, final = by_definition(full, instance.observations, instance.truth.matrix, start, schedule)
    assert np.allclose(path.errors, errors, rtol=1e-8, atol=1e-10)
    assert np.allclose(path.losses, losses, rtol=1e-8, atol=1e-10)
    assert np.allclose(path.final, final, rtol=1e-8, atol=1e-10)
    assert np.array_equal(path.iterates[0], start) and np.array_equal(path.iterates[-1], path.final)


def test_stacked_arms_get_what_they_get_alone():
    _, instance = drawn(8, 2, 151, noise=Noise(share=0.2))
    rng = np.random.default_rng(4)
    arms = [
        Arm(
            starts.spectral_start(instance.operator, instance.observations, 3, 0.1),
            Schedule(StepRule.NORMALISED, 0.1, 30, 0.95),
        ),
        Arm(starts.gaussian_start(8, 8, 0.3, rng), Schedule(StepRule.LEAST_SQUARES, 0.02, 50), np.array([0, 7, 20])),
        Arm(starts.orthonormal_start(8, 5, 0.2, rng), Schedule(StepRule.QUASI_POLYAK, 0.01, 17), np.arange(18)),
        Arm(starts.gaussian_start(8, 1, 0.3, rng), Schedule(StepRule.NORMALISED, 0.1, 60)),
    ]
    data = (instance.operator, instance.observations)
    together = subgradient_method_stacked(*data, arms, truth=instance.truth.matrix, keep_iterates=True)
    for arm, path in zip(arms, together, strict=True):
        alone = subgradient_method(
            *data, arm.start, arm.schedule, truth=instance.truth.matrix, checkpoints=arm.checkpoints, keep_iterates=True
        )
        for name in ("checkpoints", "errors", "losses", "final", "iterates"):
            one, other = getattr(path, name), getattr(alone, name)
            assert one.shape == other.shape
            assert np.allclose(one, other, rtol=1e-7, atol=1e-9), name


@pytest.mark.parametrize("rank", [2, 9])
def test_recovers_exactly_known_and_over_parameterised(rank):
    _, instance = drawn(9, 2, 1200, noise=Noise(share=0.1, law="cauchy"))
    start = starts.spectral_start(instance.operator, instance.observations, rank, 1e-3)
    schedule = geometric_schedule(1e-3, 2.0)
    path = subgradient_method(instance.operator, instance.observations, start, schedule, truth=instance.truth.matrix)
    assert path.errors[0] > 1.0 and path.errors[-1] < 1e-3
    squares = Schedule(StepRule.LEAST_SQUARES, 0.05, 300)
    fooled = subgradient_method(instance.operator, instance.observations, start, squares, truth=instance.truth.matrix)
    assert fooled.errors[-1] > 0.1


def test_spectral_start_is_the_positive_part_of_the_sign_matrix():
    full, instance = drawn(6, 2, 50)
    signed = np.einsum("m,mij->ij", np.sign(instance.observations), full) / 50
    eigenvalues, vectors = np.linalg.eigh((signed + signed.T) / 2)
    assert eigenvalues[0] < 0.0  # so that the projection has something to do
    positive = (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T
    whole = starts.spectral_start(instance.operator, instance.observations, 6, 0.1)
    assert np.allclose(whole @ whole.T, 0.01 * positive, atol=1e-14)
    two = starts.spectral_start(instance.operator, instance.observations, 2, 0.1)
    assert np.allclose(np.linalg.norm(two, axis=0) ** 2, 0.01 * eigenvalues[:-3:-1])
    assert np.array_equal(two, whole[:, :2])


def test_random_starts_have_their_scale():
    gaussian = starts.gaussian_start(400, 50, 0.1, np.random.default_rng(0))
    assert np.sum(gaussian**2) / 50 == pytest.approx(0.01, rel=0.05)
    orthonormal = starts.orthonormal_start(20, 5, 0.3, np.random.default_rng(0))
    assert np.allclose(orthonormal.T @ orthonormal, 0.09 * np.eye(5))


@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_forward_and_adjoint_are_those_of_the_full_matrices(d, m, seed):
    rng = np.random.default_rng(seed)
    full, x, w = rng.standard_normal((m, d, d)), rng.standard_normal((d, d)), rng.standard_normal(m)
    x = x + x.T
    operator = packed.pack_measurements(full)
    summed = np.einsum("m,mij->ij", w, full)
    assert np.allclose(packed.forward(operator, x), np.einsum("mij,ij->m", full, x))
    assert np.allclose(packed.adjoint(operator, w), (summed + summed.T) / 2)
    assert packed.forward(operator, x) @ w == pytest.approx(np.sum(x * packed.adjoint(operator, w)), abs=1e-9)
    assert np.array_equal(packed.unpack(packed.pack(x)), x)


@given(
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["dense", "low-rank", "diagonal", "balanced", "zero"]),
)
@settings(max_examples=100, deadline=None)
def test_spectral_norm_is_that_of_lapack(d, seed, kind):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((d, d))
    matrix = {
        "dense": x + x.T,
        "low-rank": np.outer(x[0], x[0]) * 1e-6,
        "diagonal": np.diag(x[0]),
        # +1 and -1 in equal numbers: the case in which a power iteration never settles
        "balanced": np.linalg.qr(x)[0] * np.where(np.arange(d) % 2, 1.0, -1.0) @ np.linalg.qr(x)[0].T,
        "zero": np.zeros((d, d)),
    }[kind]
    wanted = np.max(np.abs(np.linalg.eigvalsh(matrix)))
    for norm in (kernels.spectral_norm, kernels.spectral_norm.py_func):
        assert norm(matrix.copy(order="C"), np.empty((4, d))) == pytest.approx(wanted, rel=1e-10, abs=1e-15)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("m", [1, 4, 7, 130])
def test_passes_agree_with_their_python_and_with_each_other(m, squared):
    rng = np.random.default_rng(m)
    operator, y, points = rng.standard_normal((m, 10)), rng.standard_normal(m), rng.standard_normal((10, 3))
    residuals = operator @ points - y[:, None]
    wanted = operator.T @ (residuals if squared else np.sign(residuals))
    for one in (kernels.pass_for_one, kernels.pass_for_one.py_func):
        for k in range(3):
            gradient = np.full(10, np.nan)
            loss = one(operator, y, np.ascontiguousarray(points[:, k]), squared, gradient)
            assert loss == pytest.approx(np.abs(residuals[:, k]).sum()) and np.allclose(gradient, wanted[:, k])
    for many in (kernels.pass_for_many, kernels.pass_for_many.py_func):
        for arms in (1, 3):
            gradients, losses = np.full((10, arms), np.nan), np.full(arms, np.nan)
            some = np.ascontiguousarray(points[:, :arms])
            many(operator, y, some, np.full(arms, squared), gradients, np.empty((10, arms)), losses)
            assert np.allclose(losses, np.abs(residuals).sum(axis=0)[:arms])
            assert np.allclose(gradients, wanted[:, :arms])


def test_kernel_agrees_with_its_python():
    _, instance = drawn(4, 1, 30, noise=Noise(share=0.2))
    starting = np.random.default_rng(0).standard_normal((3, 4, 4)) * 0.3
    left = []
    for descend in (kernels.descend, kernels.descend.py_func):
        factors, errors, losses = starting.copy(), np.full((3, 2), np.inf), np.full((3, 2), np.inf)
        history = np.full((3, 2, 4, 4), np.inf)
        ranks, rules = np.array([4, 2, 3]), np.array([0, 1, 2])
        steps, decays, horizons = np.array([0.1, 0.1, 0.02]), np.array([1.0, 0.9, 1.0]), np.array([12, 9, 9])
        checkpoints = np.array([[0, 12], [9, -1], [3, 9]])
        data = (instance.operator, instance.observations, instance.truth.matrix)
        descend(*data, factors, ranks, rules, steps, decays, horizons, checkpoints, errors, losses, history)
        left.append((factors, errors, losses, history))
    for compiled, python in zip(*left, strict=True):
        assert np.allclose(compiled, python, rtol=1e-9, atol=1e-12)
    assert np.isfinite(left[0][1]).sum() == 5  # five checkpoints were asked for, the sixth place is padding


def test_divergence_is_infinite_and_leaves_the_other_arms_alone():
    _, instance = drawn(5, 1, 60, noise=Noise(share=0.3, scale=1e3))
    start = starts.orthonormal_start(5, 5, 1.0, np.random.default_rng(0))
    wild = Arm(start, Schedule(StepRule.LEAST_SQUARES, 5.0, 100), np.array([0, 50, 100]))
    tame = Arm(start, Schedule(StepRule.NORMALISED, 0.05, 90, 0.95))
    data = (instance.operator, instance.observations)
    lost, kept = subgradient_method_stacked(*data, [wild, tame], truth=instance.truth.matrix, keep_iterates=True)
    assert lost.diverged and not kept.diverged
    assert np.isfinite(lost.errors[0]) and np.all(np.isposinf(lost.errors[1:])) and np.all(np.isposinf(lost.losses[1:]))
    assert np.all(np.isposinf(lost.final)) and np.all(np.isposinf(lost.iterates[1:]))
    alone = subgradient_method(*data, start, tame.schedule, truth=instance.truth.matrix)
    assert np.allclose(kept.errors, alone.errors, rtol=1e-7)


def test_a_zero_subgradient_stays_where_it_is():
    _, instance = drawn(4, 1, 20)
    at_truth = np.sqrt(instance.truth.eigenvalues) * instance.truth.basis
    observations = instance.operator @ packed.pack(at_truth @ at_truth.T) * 0.0
    origin = np.zeros((4, 2))
    path = subgradient_method(
        instance.operator, observations, origin, Schedule(StepRule.NORMALISED, 0.1, 5), truth=instance.truth.matrix
    )
    assert np.array_equal(path.final, origin) and path.losses[-1] == 0.0


def test_geometric_schedule_is_that_of_the_paper():
    schedule = geometric_schedule(1e-4, 3.0, 2.0)
    level = np.log(1e4)
    assert schedule.step == pytest.approx(2.0 / (3.0 * level))
    assert 1.0 - schedule.decay == pytest.approx(schedule.step / (3.0 * level))
    assert schedule.horizon == np.ceil(2.0 * level / (1.0 - schedule.decay))
    assert schedule.decay**schedule.horizon <= 1e-8


OPERATOR, Y, X = np.ones((4, 6)), np.ones(4), np.eye(3)
GOOD = Schedule(StepRule.NORMALISED, 0.1, 10)


def run(operator=OPERATOR, y=Y, start=np.ones((3, 1)), schedule=GOOD, truth=X, checkpoints=None):  # noqa: B008
    return subgradient_method(operator, y, start, schedule, truth=truth, checkpoints=checkpoints)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(operator=np.ones((4, 5))), "packed length=5"),
        (lambda: run(operator=np.full((4, 6), np.nan)), "24 entries that are not finite"),
        (lambda: run(operator=np.ones((0, 6))), "m >= 1"),
        (lambda: run(y=np.ones(3)), r"observations.shape=\(3,\)"),
        (lambda: run(y=[1.0, np.inf, 1.0, 1.0]), "observations holds 1"),
        (lambda: run(start=np.ones((3, 4))), "search rank r' in 1..3"),
        (lambda: run(start=np.ones(3)), r"start.shape=\(3,\)"),
        (lambda: run(start=np.full((3, 1), np.nan)), "start holds 3"),
        (lambda: run(truth=np.eye(2)), r"truth.shape=\(2, 2\)"),
        (lambda: run(truth=np.arange(9.0).reshape(3, 3)), "must be symmetric"),
        (lambda: run(checkpoints=[0, 11]), r"within 0\.\.10"),
        (lambda: run(checkpoints=[3, 3]), "ascend"),
        (lambda: run(checkpoints=[0.5]), "integers"),
        (lambda: subgradient_method_stacked(OPERATOR, Y, [], truth=X), "at least one Arm"),
        (lambda: Schedule(StepRule.NORMALISED, 0.0, 10), "step=0.0"),
        (lambda: Schedule(StepRule.NORMALISED, 0.1, 0), "horizon=0"),
        (lambda: Schedule(StepRule.NORMALISED, 0.1, 2.5), "horizon=2.5"),
        (lambda: Schedule(StepRule.NORMALISED, 0.1, 10, 1.5), "decay=1.5"),
        (lambda: geometric_schedule(1.0, 2.0), "alpha=1.0"),
        (lambda: geometric_schedule(0.1, 0.5), "condition=0.5"),
        (lambda: geometric_schedule(0.5, 1.0), "choose c below"),
        (lambda: starts.spectral_start(OPERATOR, Y, 4, 0.1), "rank=4"),
        (lambda: starts.spectral_start(OPERATOR, Y, 2, -0.1), "alpha=-0.1"),
        (lambda: starts.gaussian_start(3, 0, 0.1, np.random.default_rng(0)), "rank=0"),
        (lambda: packed.pack_measurements(np.ones((2, 3, 4))), r"matrices.shape=\(2, 3, 4\)"),
    ],
)
def test_bad_input_is_named_with_its_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()
