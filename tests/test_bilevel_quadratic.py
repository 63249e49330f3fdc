"""Compiled blockwise bilevel methods: against their definition in plain numpy, against their Python, bad input."""

import warnings

import bilevel_by_definition as definition
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.algorithms import bilevel_kernels as kernels
from theorylab.algorithms import bilevel_methods as methods
from theorylab.algorithms.bilevel_quadratic import bsvrb_v1_quadratic, bsvrb_v2_quadratic, quadratic_blocks
from theorylab.algorithms.block_estimators import BlockEstimator, storm

pytestmark = pytest.mark.kernels
M, DX, DY = 7, 4, 3
STEPS = methods.BilevelSteps(upper=0.02, lower=0.05, implicit=0.06)


def drawn(seed=0, noise=(0.1, 0.1, 0.5, 0.3), m=M):
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((m, DY, DY)))[0]
    a = (q * rng.uniform(1.0, 3.0, (m, 1, DY))) @ q.transpose(0, 2, 1)
    c = rng.standard_normal((m, DY, DX)) / 2
    b, targets, anchor = rng.standard_normal((m, DY)), rng.standard_normal((m, DY)), rng.standard_normal(DX)
    symmetric = (a + a.transpose(0, 2, 1)) / 2
    return quadratic_blocks(symmetric, c, b, targets, anchor, weight=0.05, start=np.full(DX, 1.5), noise=noise)


def gamma_star(sampled, alpha, m=M):
    return (m - sampled) / (sampled * (1 - alpha)) + 1 - alpha


MSVR = methods.bsvrb(0.2, 0.3, gamma_star(2, 0.2))
METHODS = {
    "BSVRB": MSVR,
    "moving averages": methods.moving_average_method(0.2, 0.3),
    "block STORM": methods.block_storm_method(0.2, 0.3),
    "zero-fill": methods.zero_fill_method(0.2, 0.3, sampled=2, blocks=M),
    "SOBA": methods.soba(),
    "no implicit term": methods.BilevelMethod(MSVR.trackers, MSVR.direction, implicit=False),
    "fresh samples": methods.BilevelMethod(MSVR.trackers, MSVR.direction, fresh=True),
}
CASES = [(name, 2) for name in METHODS] + [(name, 1) for name in METHODS if METHODS[name].trackers.rest == 1.0]


def run(version, blocks, method, steps=STEPS, seed=4, **options):
    face = bsvrb_v2_quadratic if version == 2 else bsvrb_v1_quadratic
    options = {"iterations": 60, "sampled": 2, "batch": 4, "initial_batch": 9, "every": 1, **options}
    return face(blocks, method, steps, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize(("name", "version"), CASES)
def test_method_is_its_definition(name, version):
    """The compiled method leaves unsampled blocks alone until they are sampled; the definition moves them all."""
    blocks = drawn()
    seen = run(version, blocks, METHODS[name])
    xs, zs, y, v = definition.bilevel(
        blocks, METHODS[name], STEPS, version=version, iterations=60, sampled=2, batch=4, first=9,
        rng=np.random.default_rng(4), radius=blocks.implicit_radius,
    )  # fmt: skip
    exact = [definition.exact(blocks.problem, x) for x in xs]
    assert seen.times.tolist() == list(range(61))
    assert seen.objectives == pytest.approx([value for value, _ in exact], rel=1e-10)
    assert seen.gradient_squares == pytest.approx([g @ g for _, g in exact], rel=1e-8)
    errors = [np.sum((z - g) ** 2) for z, (_, g) in zip(zs, exact, strict=True)]
    assert seen.error_squares == pytest.approx(errors, rel=1e-8)
    assert seen.direction_squares == pytest.approx(np.sum(zs**2, axis=1), rel=1e-8)
    assert seen.x == pytest.approx(xs[-1], abs=1e-11) and seen.direction == pytest.approx(zs[-1], abs=1e-11)
    assert seen.lower == pytest.approx(y, abs=1e-10)
    if version == 2:
        assert seen.implicit == pytest.approx(v, abs=1e-10)


@given(st.integers(0, 2**31), st.floats(0.02, 0.6), st.floats(0.05, 1.5), st.sampled_from([0.0, 0.7, 1.0]))
@settings(max_examples=25)
def test_late_moves_are_the_moves_also_where_the_ball_is_left(seed, radius, tau, rest):
    """Projections that bind, large steps and fading trackers: the lazy path is the eager one."""
    blocks = drawn(seed % 5)
    rule = BlockEstimator(0.8, 0.8, 0.6, rest)
    method, steps = methods.BilevelMethod(rule, storm(0.3)), methods.BilevelSteps(0.02, 0.05, tau)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = run(2, blocks, method, steps, seed, iterations=25, sampled=1, radius=radius)
    xs, _, y, v = definition.bilevel(
        blocks, method, steps, version=2, iterations=25, sampled=1, batch=4, first=9,
        rng=np.random.default_rng(seed), radius=radius,
    )  # fmt: skip
    assert seen.x == pytest.approx(xs[-1], rel=1e-7, abs=1e-9)
    assert seen.lower == pytest.approx(y, rel=1e-7, abs=1e-9)
    assert seen.implicit == pytest.approx(v, rel=1e-7, abs=1e-9)


def test_some_projection_binds_in_the_test_above():
    out = np.empty(2)
    kernels.catch_up(np.array([0.9, 0.0]), np.array([0.0, -1.0]), 0.5, 1.0, 3, 1.0, out)
    point = np.array([0.9, 0.0])
    for _ in range(3):
        point = definition.ball(point + np.array([0.0, 0.5]), 1.0)
    assert out == pytest.approx(point, abs=1e-14) and np.linalg.norm(out) == pytest.approx(1.0)
    straight = np.array([0.9, 1.5]) / np.linalg.norm([0.9, 1.5])
    assert np.abs(out - straight).max() > 0.02  # projecting the end of the line would be another point


@pytest.mark.parametrize("version", [1, 2])
def test_compiled_method_is_its_python(version):
    blocks, outputs = drawn(1), []
    for compiled in (True, False):
        rng, points, z = np.random.default_rng(0), np.stack([blocks.start] * 2), np.full(DX, 0.1)
        record, upper, plan = np.full((21, 4), np.inf), (MSVR.direction.weights, 0.02, 1.0), (2, 40, 2, 0.0)
        if version == 2:
            state = np.full((M, 4, DY), 0.1)
            kernel = kernels.run_v2 if compiled else kernels.run_v2.py_func
            choices = (METHODS["zero-fill"].trackers.weights, blocks.noise, True, 0.05, 0.5, 0.4)
            kernel(rng, blocks.problem, choices, upper, plan, points, z, state, record)
        else:
            state, matrices = np.full((M, 2, DY), 0.1), np.stack([np.stack([np.eye(DY)] * 3)] * M)
            kernel = kernels.run_v1 if compiled else kernels.run_v1.py_func
            choices = (MSVR.trackers.weights, blocks.noise, True, 0.05, 1.0)
            kernel(rng, blocks.problem, choices, upper, plan, points, z, state, matrices, record)
        outputs.append((record, points, z, state))
    for compiled, plain in zip(*outputs, strict=True):
        # Version 1 calls LAPACK, which numba and numpy may take from different builds.
        assert np.array_equal(compiled, plain) if version == 2 else np.allclose(compiled, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_without_noise_and_with_all_blocks_it_is_the_deterministic_method(alpha):
    """STORM keeps an exact estimate exact: alpha and beta then play no part."""
    blocks = drawn(2, noise=(0.0, 0.0, 0.0, 0.0))
    seen = run(2, blocks, methods.bsvrb(alpha, alpha, 1 - alpha), sampled=M, iterations=300, every=100)
    x, y, v = definition.deterministic_v2(
        blocks.problem, alpha, alpha, 0.02, 0.05, 0.06, blocks.implicit_radius, blocks.start, 300
    )
    assert seen.x == pytest.approx(x, abs=1e-11)
    assert seen.lower == pytest.approx(y, abs=1e-11) and seen.implicit == pytest.approx(v, abs=1e-11)
    assert seen.objectives[-1] < seen.objectives[0]


def test_record_has_the_exact_hypergradient():
    blocks = drawn(3)
    gradient, x = np.empty(DX), np.linspace(-1.0, 1.0, DX)
    value = kernels.hypergradient(blocks.problem, x, gradient)
    assert value == pytest.approx(definition.exact(blocks.problem, x)[0])
    unused = np.empty(DX)
    quotient = [
        (kernels.hypergradient(blocks.problem, x + h, unused) - kernels.hypergradient(blocks.problem, x - h, unused))
        / 2e-5
        for h in 1e-5 * np.eye(DX)
    ]
    assert gradient == pytest.approx(quotient, abs=1e-9)
    # And the closed form is the minimiser's: minimise every g_i, then put it into f_i.
    a, c, b, targets, anchor, _, _, rho = blocks.problem
    gap = np.array([np.linalg.solve(a[i], c[i] @ x + b[i]) for i in range(M)]) - targets
    assert value == pytest.approx(np.sum(gap**2 / (1 + gap**2)) / M + rho * np.sum(1 - 1 / (1 + (x - anchor) ** 2)))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("sampled", [2, M])
def test_master_inequality_on_every_trajectory(version, sampled):
    """(1/T) sum ||grad F||^2 <= 2 (F_0 - F_T) / (eta T) + mean error - mean ||z||^2 / 2 for eta <= 1 / (2 L_F)."""
    blocks = drawn(4)
    eta = 0.5 / blocks.upper_smoothness
    seen = run(version, blocks, MSVR, methods.BilevelSteps(eta, 0.05, 0.05), sampled=sampled, iterations=500)
    bound = 2 * (seen.objectives[0] - seen.objectives[-1]) / (eta * 500)
    bound += seen.error_squares[:-1].mean() - seen.direction_squares[:-1].mean() / 2
    assert seen.gradient_squares[:-1].mean() <= bound * (1 + 1e-12)


def test_hits_are_the_first_time_of_the_running_mean():
    blocks, faster = drawn(5), methods.BilevelSteps(0.08, 0.05, 0.05)
    whole = run(2, blocks, MSVR, faster, iterations=1500, every=3)
    means = np.cumsum(whole.gradient_squares) / np.arange(1, whole.times.size + 1)
    threshold = 1.02 * means.min()
    short = run(2, blocks, MSVR, faster, iterations=1500, every=3, threshold=threshold)
    first = int(np.argmax(means <= threshold))
    assert first > 100 and whole.hit is None and short.hit == whole.times[first] == short.times[-1]
    assert short.gradient_squares == pytest.approx(whole.gradient_squares[: first + 1])
    until = run(2, blocks, MSVR, faster, iterations=short.hit)
    assert short.lower == pytest.approx(until.lower, abs=1e-12) and short.x == pytest.approx(until.x, abs=1e-12)


def test_times_include_the_last_and_divergence_is_infinity():
    blocks = drawn(6)
    seen = run(2, blocks, MSVR, iterations=50, every=20)
    assert seen.times.tolist() == [0, 20, 40, 50] and np.isfinite(seen.objectives).all() and not seen.diverged
    wild = methods.BilevelMethod(BlockEstimator(0.8, 8.0, 9.0), BlockEstimator(3.0, 1.0, 0.0))
    for version in (1, 2):
        with pytest.warns(UserWarning, match="tau"):
            lost = run(version, blocks, wild, methods.BilevelSteps(0.1, 2.0, 0.1), iterations=2000)
        assert lost.diverged and np.isinf(lost.error_squares[-1]) and np.isfinite(lost.error_squares[0])


def test_default_batch_at_the_start_and_default_record():
    assert methods.initial_calls(methods.bsvrb(0.25, 0.1, 1.0), 3, None) == 12
    times, every = methods.recorded_times(10_000, None)
    assert every == 5 and times.size == 2001


@pytest.mark.parametrize(
    ("method", "steps", "message"),
    [
        (methods.bsvrb(0.6, 0.3, 1.0), STEPS, "alpha.*=0.6: above 0.5"),
        (MSVR, methods.BilevelSteps(9.0, 0.05, 0.05), r"eta.*=9: above .* 1/\(2 L_F\)"),
        (MSVR, methods.BilevelSteps(0.01, 1.2, 0.05), "tau.*=1.2: above .*2p/"),
        (MSVR, methods.BilevelSteps(0.01, 0.05, 1.3), "tau_v.*=1.3: above .*2p/"),
    ],
)
def test_steps_outside_the_theory_are_warned_of(method, steps, message):
    with pytest.warns(UserWarning, match=message) as caught:
        bsvrb_v2_quadratic(drawn(), method, steps, iterations=1, sampled=1, batch=1, rng=np.random.default_rng(0))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(2, drawn(), MSVR, iterations=1)


GOOD = drawn()
A, C, B = GOOD.problem[:3]
INDEFINITE = A - 2.0 * np.eye(DY)
TILTED = A + np.triu(np.ones((DY, DY)), 1)


def assembled(**changes):
    parts = {"hessians": A, "couplings": C, "offsets": B, "targets": B, "anchor": np.zeros(DX)}
    return quadratic_blocks(**{**parts, "weight": 0.1, "start": np.zeros(DX), **changes})


BAD = {
    "sampled=8: must be at most blocks=7": lambda: run(2, GOOD, MSVR, sampled=8),
    "sampled=True": lambda: run(1, GOOD, MSVR, sampled=True),
    "batch=0: must be a positive integer": lambda: run(2, GOOD, MSVR, batch=0),
    "initial_batch=0.5": lambda: run(2, GOOD, MSVR, initial_batch=0.5),
    "iterations=0": lambda: run(1, GOOD, MSVR, iterations=0),
    "every=-1": lambda: run(2, GOOD, MSVR, every=-1),
    "threshold=nan": lambda: run(2, GOOD, MSVR, threshold=float("nan")),
    "radius=0.0": lambda: run(2, GOOD, MSVR, radius=0.0),
    "trackers.rest=0.8: must be 1": lambda: run(1, GOOD, METHODS["zero-fill"]),
    "upper=-0.1": lambda: methods.BilevelSteps(-0.1, 0.1, 0.1),
    "implicit=nan": lambda: methods.BilevelSteps(0.1, 0.1, float("nan")),
    "smallest eigenvalue mu=-.*strongly convex": lambda: assembled(hessians=INDEFINITE),
    "symmetric up to rounding": lambda: assembled(hessians=TILTED),
    r"couplings.shape=\(7, 2, 4\): must be \(7, 3, any\)": lambda: assembled(couplings=C[:, :2]),
    r"hessians.shape=\(7, 3, 2\): must be \(7, 3, 3\)": lambda: assembled(hessians=A[:, :, :2]),
    r"anchor.shape=\(3,\): must be \(4\)": lambda: assembled(anchor=np.zeros(3)),
    "offsets: must be finite, 21": lambda: assembled(offsets=np.full((M, DY), np.nan)),
    "weight=-1.0": lambda: assembled(weight=-1.0),
    "four deviations": lambda: assembled(noise=(0.1, 0.1)),
    r"noise\[2\]=-1.0": lambda: assembled(noise=(0.1, 0.1, -1.0, 0.1)),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_ends_in_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        BAD[sentence]()
