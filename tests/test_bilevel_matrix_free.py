"""Versions 1 and 2 on any oracle: the compiled paths, products only at dy = 2000, real data, top-K, bad input."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from problems import multi_block_bilevel as exact_quantities
from problems.bilevel_oracles import compiled_blocks, quadratic_oracle, temperature_oracle, topk_oracle
from problems.bilevel_quadratic import drawn_quadratic
from problems.bilevel_temperature import breast_cancer_tuning
from problems.bilevel_topk import drawn_ranking
from theorylab.algorithms import bilevel_methods as methods
from theorylab.algorithms.bilevel_matrix_free import BlockOracle, bsvrb_v1, bsvrb_v2, clipped
from theorylab.algorithms.bilevel_quadratic import bsvrb_v1_quadratic, bsvrb_v2_quadratic
from theorylab.algorithms.block_estimators import BlockEstimator, storm
from theorylab.algorithms.tracking_bounds import gamma_star

STEPS = methods.BilevelSteps(upper=0.02, lower=0.04, implicit=0.04)
QUADRATIC = drawn_quadratic(np.random.default_rng(0), blocks=6, upper_dimension=4, lower_dimension=3)
MSVR = methods.bsvrb(0.2, 0.3, gamma_star(0.2, blocks=6, sampled=2))
METHODS = {
    "BSVRB": MSVR,
    "zero-fill": methods.zero_fill_method(0.2, 0.3, sampled=2, blocks=6),
    "fresh samples": dataclasses.replace(MSVR, fresh=True),
    "no implicit term": dataclasses.replace(MSVR, implicit=False),
    "SOBA": methods.soba(),
}


def exact_of(problem):
    return lambda x: (exact_quantities.value(problem, x), exact_quantities.hypergradient(problem, x))


@pytest.mark.kernels
@pytest.mark.parametrize("name", METHODS)
def test_version_2_takes_the_path_of_the_compiled_one(name):
    blocks, (oracle, _) = compiled_blocks(QUADRATIC), quadratic_oracle(QUADRATIC)
    options = {"iterations": 40, "sampled": 2, "batch": 4, "initial_batch": 16, "every": 8, "radius": 0.3}
    compiled = bsvrb_v2_quadratic(blocks, METHODS[name], STEPS, rng=np.random.default_rng(1), **options)
    free = bsvrb_v2(
        oracle, METHODS[name], STEPS, start=QUADRATIC.start, rng=np.random.default_rng(1), exact=exact_of(QUADRATIC),
        **options,
    )  # fmt: skip
    for field in dataclasses.fields(methods.BilevelRun):
        if field.name != "hit":
            assert getattr(free, field.name) == pytest.approx(getattr(compiled, field.name), rel=1e-7, abs=1e-11)


@pytest.mark.kernels
@pytest.mark.parametrize("name", ["BSVRB", "fresh samples"])
def test_version_1_takes_the_path_of_the_compiled_one(name):
    blocks, (oracle, hessian) = compiled_blocks(QUADRATIC), quadratic_oracle(QUADRATIC)
    options = {"iterations": 40, "sampled": 2, "batch": 4, "initial_batch": 16, "every": 8}
    compiled = bsvrb_v1_quadratic(blocks, METHODS[name], STEPS, rng=np.random.default_rng(1), **options)
    free = bsvrb_v1(
        oracle, hessian, METHODS[name], STEPS, strong_convexity=blocks.strong_convexity, start=QUADRATIC.start,
        rng=np.random.default_rng(1), exact=exact_of(QUADRATIC), **options,
    )  # fmt: skip
    assert free.x == pytest.approx(compiled.x, abs=1e-11) and free.lower == pytest.approx(compiled.lower, abs=1e-11)
    assert free.error_squares == pytest.approx(compiled.error_squares, rel=1e-7)


@pytest.mark.parametrize("build", ["quadratic", "temperature", "top-K"])
def test_the_mean_of_an_oracle_is_the_exact_derivative(build):
    rng = np.random.default_rng(2)
    if build == "quadratic":
        problem, (oracle, hessian) = QUADRATIC, quadratic_oracle(QUADRATIC)
    elif build == "temperature":
        problem = breast_cancer_tuning(rng, blocks=2)
        oracle, hessian = temperature_oracle(problem)
    else:
        problem = drawn_ranking(rng, blocks=2)
        oracle, hessian = topk_oracle(problem)
    x, calls, i = problem.start + 0.3 * rng.standard_normal(problem.start.size), 4000, 1
    y, v = 0.3 * rng.standard_normal((oracle.blocks, oracle.lower_dimension)), np.ones(oracle.lower_dimension)
    true = exact_quantities.derivatives(problem, x, y)
    answers = []
    for _ in range(calls // 8):
        sample = oracle.draw(i, 8, rng)
        curved = hessian(i, x, y[i], sample)
        assert curved @ v == pytest.approx(oracle.hessian_vector(i, x, y[i], v, sample))
        answers.append(
            np.concatenate([
                oracle.lower_gradient(i, x, y[i], sample),
                curved @ v,
                oracle.cross_vector(i, x, y[i], v, sample),
                oracle.upper_gradient_x(i, x, y[i], sample),
                oracle.upper_gradient_y(i, x, y[i], sample),
            ])
        )  # fmt: skip
    wanted = np.concatenate([
        true.lower[i], true.hessians[i] @ v, true.cross[i] @ v, true.upper_x[i], true.upper_y[i]
    ])  # fmt: skip
    deviation = np.std(answers, axis=0, ddof=1) / np.sqrt(len(answers))
    gap = np.abs(np.mean(answers, axis=0) - wanted)
    assert np.all(gap <= 5.0 * deviation + 1e-12)
    assert np.any(deviation > 1e-4)  # it is noisy


def chain(dy, counts):
    """m = 3 blocks with a tridiagonal lower Hessian of eigenvalues in (1, 5) and dx = 2, products only."""
    force = np.random.default_rng(0).standard_normal((3, 2, dy)) / np.sqrt(dy)

    def hessian_vector(i, x, y, v, sample):
        counts["products"] += 1
        out = 3.0 * v
        out[1:] -= v[:-1]
        out[:-1] -= v[1:]
        return out * (1.0 + 0.01 * sample)

    def cross_vector(i, x, y, v, sample):
        counts["products"] += 1
        return -(force[i] @ v)

    def counted(answer):
        def gradient(i, x, y, sample):
            counts["gradients"] += 1
            return answer(i, x, y, sample)

        return gradient

    def draw(i, batch, rng):
        counts["draws"] += 1
        return rng.standard_normal()

    return BlockOracle(
        blocks=3, upper_dimension=2, lower_dimension=dy, draw=draw,
        lower_gradient=counted(lambda i, x, y, s: hessian_vector(i, x, y, y, s) - x @ force[i]),
        hessian_vector=hessian_vector, cross_vector=cross_vector,
        upper_gradient_x=counted(lambda i, x, y, s: 0.1 * x),
        upper_gradient_y=counted(lambda i, x, y, s: y - 1.0 / np.sqrt(dy)),
    ), force  # fmt: skip


def test_version_2_needs_products_only_and_no_matrix_at_two_thousand():
    dy, iterations, sampled = 2000, 600, 1
    counts = {"products": 0, "gradients": 0, "draws": 0}
    oracle, force = chain(dy, counts)
    assert not any("hessian" in field.name and "vector" not in field.name for field in dataclasses.fields(oracle))
    method = methods.bsvrb(0.2, 0.2, gamma_star(0.2, blocks=3, sampled=sampled))
    tracemalloc.start()
    seen = bsvrb_v2(
        oracle, method, methods.BilevelSteps(0.1, 0.05, 0.05), start=[1.0, -1.0], iterations=iterations,
        sampled=sampled, batch=1, radius=np.inf, rng=np.random.default_rng(0),
    )  # fmt: skip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < dy * dy * 8 / 10  # 32 MB would be one matrix
    # Two points of each sampled block, three products at each (that of the lower gradient included), one draw.
    touches = 3 + 2 * iterations * sampled
    assert counts == {"products": 3 * touches, "gradients": 3 * touches, "draws": 3 + iterations * sampled}
    # It solves the problem: y_i and v_i are near their minimisers, found by a banded solve.
    from scipy.linalg import solve_banded

    band = np.vstack([np.full(dy, -1.0), np.full(dy, 3.0), np.full(dy, -1.0)])
    y = np.array([solve_banded((1, 1), band, seen.x @ f) for f in force])
    assert np.linalg.norm(seen.lower - y) < 0.3 * np.linalg.norm(y)
    v = np.array([solve_banded((1, 1), band, row - 1.0 / np.sqrt(dy)) for row in y])
    assert np.linalg.norm(seen.implicit - v) < 0.02 * np.linalg.norm(v)


def test_weights_of_flipped_samples_fall_with_both_versions():
    """The paper's experiment, small: real data, 20 % of the labels flipped."""
    problem = breast_cancer_tuning(np.random.default_rng(0), blocks=4)
    oracle, hessian = temperature_oracle(problem)
    method = methods.bsvrb(0.5, 0.1, gamma_star(0.5, blocks=4, sampled=2))
    steps = methods.BilevelSteps(2.0 * problem.start.size, 1.0, 1.0)
    options = {"start": problem.start, "iterations": 150, "sampled": 2, "batch": 32, "every": 150, "initial_batch": 64}
    exact, falls = exact_of(problem), []
    two = bsvrb_v2(oracle, method, steps, radius=np.inf, exact=exact, rng=np.random.default_rng(1), **options)
    one = bsvrb_v1(
        oracle, hessian, method, steps, strong_convexity=problem.ridge, exact=exact, rng=np.random.default_rng(1),
        **options,
    )  # fmt: skip
    for seen in (one, two):
        share, flipped = 1.0 / (1.0 + np.exp(-seen.x)), problem.flipped == 1
        assert share[~flipped].mean() > share[flipped].mean() + 0.05
        falls.append(seen.objectives[0] - seen.objectives[-1])
        assert falls[-1] > 0.01
    assert falls[0] == pytest.approx(falls[1], rel=0.3)


def test_top_k_ranking_improves():
    problem = drawn_ranking(np.random.default_rng(0), blocks=6)
    oracle, _ = topk_oracle(problem)
    method = methods.bsvrb(0.3, 0.3, gamma_star(0.3, blocks=6, sampled=3))
    seen = bsvrb_v2(
        oracle, method, methods.BilevelSteps(0.3, 0.2, 0.2), start=problem.start, iterations=300, sampled=3, batch=8,
        radius=problem.constants.implicit_radius, exact=exact_of(problem), every=300, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert seen.objectives[-1] < seen.objectives[0] - 0.05
    assert seen.gradient_squares[-1] < 0.5 * seen.gradient_squares[0]


def test_without_exact_quantities_the_record_is_not_a_number():
    oracle, _ = quadratic_oracle(QUADRATIC)
    seen = bsvrb_v2(
        oracle, MSVR, STEPS, start=QUADRATIC.start, iterations=5, sampled=1, batch=1, radius=1.0,
        rng=np.random.default_rng(0), every=2,
    )  # fmt: skip
    assert seen.times.tolist() == [0, 2, 4, 5] and np.isnan(seen.objectives).all() and not seen.diverged
    assert np.isfinite(seen.direction_squares).all()


def test_hit_and_divergence():
    oracle, _ = quadratic_oracle(QUADRATIC)
    options = {"start": QUADRATIC.start, "sampled": 2, "batch": 1, "radius": 1.0, "exact": exact_of(QUADRATIC)}
    hit = bsvrb_v2(oracle, MSVR, STEPS, iterations=50, threshold=1e9, rng=np.random.default_rng(0), **options)
    assert hit.hit == 0 and hit.times.tolist() == [0]
    wild = methods.BilevelMethod(MSVR.trackers, BlockEstimator(3.0, 1.0, 0.0))
    lost = bsvrb_v2(oracle, wild, STEPS, iterations=900, every=300, rng=np.random.default_rng(0), **options)
    assert lost.diverged and np.isinf(lost.objectives[-1])


def test_clipping_is_the_nearest_matrix_above():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 4))
    a += a.T
    nearest = clipped(a, 0.5)
    assert np.linalg.eigvalsh(nearest)[0] == pytest.approx(0.5)
    for _ in range(20):  # the variational inequality of a projection
        b = rng.standard_normal((4, 4))
        other = b @ b.T + 0.5 * np.eye(4)
        assert np.sum((a - nearest) * (other - nearest)) <= 1e-12


GOOD = quadratic_oracle(QUADRATIC)


def attempt(version=2, oracle=GOOD[0], method=MSVR, **changes):
    options = {"start": QUADRATIC.start, "iterations": 3, "sampled": 1, "batch": 1, "rng": np.random.default_rng(0)}
    if version == 2:
        return bsvrb_v2(oracle, method, STEPS, **{"radius": 1.0, **options, **changes})
    return bsvrb_v1(oracle, GOOD[1], method, STEPS, **{"strong_convexity": 1.0, **options, **changes})


def with_answer(**functions):
    return dataclasses.replace(GOOD[0], **functions)


BAD = {
    "sampled=7: must be at most blocks=6": lambda: attempt(sampled=7),
    "batch=0": lambda: attempt(batch=0),
    "iterations=1.5": lambda: attempt(1, iterations=1.5),
    "strong_convexity=0.0: must be positive": lambda: attempt(1, strong_convexity=0.0),
    "strong_convexity=-1.0": lambda: attempt(1, strong_convexity=-1.0),
    "radius=nan": lambda: attempt(radius=float("nan")),
    r"start: shape \(3,\), must be \(4,\)": lambda: attempt(start=np.zeros(3)),
    "start: shape .* finite": lambda: attempt(start=np.full(4, np.nan)),
    "threshold=0.1: .*without exact": lambda: attempt(threshold=0.1),
    "threshold=-1.0": lambda: attempt(threshold=-1.0),
    "trackers.rest=0.8": lambda: attempt(1, method=METHODS["zero-fill"]),
    "blocks=0": lambda: with_answer(blocks=0),
    r"lower_gradient returned shape \(2,\)": lambda: attempt(
        oracle=with_answer(lower_gradient=lambda i, x, y, s: np.zeros(2))
    ),
    r"cross_vector.*returned shape \(\)": lambda: attempt(
        oracle=with_answer(cross_vector=lambda i, x, y, v, s: 0.0, upper_gradient_x=lambda i, x, y, s: 0.0)
    ),
    "keep=inf": lambda: methods.BilevelMethod(storm(0.1), BlockEstimator(np.inf, 1.0, 0.0)),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_ends_in_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        BAD[sentence]()
