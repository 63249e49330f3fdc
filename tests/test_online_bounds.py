"""Stated, corrected and re-derived bounds: values worked out by hand, orderings, and certificates on real runs."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems import comparators, sea_games
from problems import sea_nonsmooth_games as kinks
from problems import sea_quadratic_games as quadratic
from theorylab.algorithms import implicit_descent, online_newton
from theorylab.algorithms import online_bounds as bounds
from theorylab.algorithms import online_certificates as certificates
from theorylab.algorithms import online_dynamic_bounds as dynamic
from theorylab.algorithms import online_learners as learners
from theorylab.algorithms.online_losses import kinked_losses, quadratic_losses
from theorylab.algorithms.sea_constants import SeaConstants

BASE = SeaConstants(
    horizon=100,
    dimension=5,
    diameter=2.0,
    gradient=1.0,
    smoothness=2.0,
    strong_convexity=0.5,
    exp_concavity=0.25,
    variance=25.0,
    variance_max=0.25,
    uniform_variance=36.0,
    variation=16.0,
    variation_max=4.0,
)
STATIC = [
    bounds.convex_omd,
    bounds.convex_omd_rederived,
    bounds.convex_oftrl,
    bounds.convex_oftrl_sachs,
    bounds.strongly_convex_omd,
    bounds.strongly_convex_oftrl,
    bounds.strongly_convex_oftl_sachs,
    bounds.exp_concave_omd,
    bounds.exp_concave_omd_rederived,
    bounds.exp_concave_oftrl,
]
NONSMOOTH = [dynamic.nonsmooth_omd, dynamic.nonsmooth_omd_printed, dynamic.nonsmooth_omd_rederived]
MOVING = [
    dynamic.dynamic_ensemble,
    dynamic.dynamic_fixed_parameters,
    dynamic.dynamic_separate_gradients,
    dynamic.nonsmooth_ensemble,
    dynamic.nonsmooth_ensemble_printed,
]


def test_values_worked_out_by_hand():
    flat = replace(BASE, smoothness=0.0, strong_convexity=0.0)
    assert bounds.convex_omd(BASE) == pytest.approx(40 * sqrt(10) + 5 * sqrt(5) + 50 * sqrt(2) + 40)
    assert bounds.convex_omd_rederived(flat) == pytest.approx(5 * sqrt(1 + 200 + 64) + 2)
    q = sqrt(160 + 4)
    assert bounds.convex_omd_rederived(BASE) == pytest.approx(5 * sqrt(265) + sqrt(160) + 2 + 25 * 8 * 4 / q)
    assert bounds.convex_oftrl(BASE) == pytest.approx(60 + 24 * sqrt(2) + 2 * sqrt(576 + 24) + 3 * sqrt(2))
    assert bounds.convex_oftrl_sachs(BASE) == pytest.approx(60 + 24 * sqrt(2) + 3 * sqrt(2) + 10 + (16 + 576) / 10)
    ratio = log(66 / 4.5 + 1)
    assert bounds.strongly_convex_oftrl(BASE) == pytest.approx(36 * (ratio + 2) + 128 * (log(65) + 1) + 2 + 1)
    assert bounds.strongly_convex_omd(BASE) == pytest.approx(
        144 * (ratio + 2) + 512 * (log(1 + 32 * sqrt(2)) + 1) + 8 + 0.5
    )
    beta = 0.0625
    assert bounds.exp_concave_oftrl(BASE) == pytest.approx(
        320 * (log(beta / 5 * (50 + 16 + 0.25) + 1) + log(65)) + (1 + beta) * 2
    )
    assert dynamic.nonsmooth_omd(BASE) == pytest.approx(10 * sqrt(6) + 20 * sqrt(2) * 6 + 80)
    assert dynamic.nonsmooth_omd(BASE) - dynamic.nonsmooth_omd_printed(BASE) == pytest.approx(10 * (sqrt(6) - sqrt(2)))
    assert dynamic.nonsmooth_omd_rederived(BASE) == pytest.approx(3 * sqrt(1 + 5 + 108 + 32))
    assert dynamic.dynamic_ensemble(BASE, 3.0) == pytest.approx(_theorem_seven(1, 3.0))
    assert dynamic.dynamic_ensemble(replace(BASE, horizon=1000), 3.0) == pytest.approx(_theorem_seven(3, 3.0))
    assert dynamic.nonsmooth_ensemble(BASE, 3.0) - dynamic.nonsmooth_ensemble_printed(BASE, 3.0) == pytest.approx(12.0)


def _theorem_seven(count, path):
    """Display (37) at D=2, G=1, L=2, sigma^2=25, Sigma^2=16; ceil(log2(T/128)/2) + 1 learners."""
    log_n = log(count)
    a = 10 * sqrt(log_n) + 2 * sqrt(4 + 4 * path)
    return a * (1 + 2 * sqrt(2) * 5 + 2 * 4) + (58 * log_n + 16) * 8 + 128 * path + 0.5


@pytest.mark.parametrize(
    ("T", "stated"),
    [(100, (2678.8, 952.7, 714.1)), (1000, (2715.5, 971.1, 723.3)), (100_000, (2789.2, 1008.0, 741.7))],
)
def test_strongly_convex_bounds_at_the_sizes_of_the_experiment(T, stated):
    game = quadratic.strongly_convex(T, np.random.default_rng(0))
    c = game.constants
    rederived = bounds.strongly_convex_omd_rederived(c, game.variances, sea_games.variations(game.tilts))
    found = bounds.strongly_convex_omd(c), rederived, bounds.strongly_convex_oftrl(c)
    assert found == pytest.approx(stated, abs=0.06)
    assert bounds.strongly_convex_oftl_sachs(c) < found[2]


def test_logarithms_are_in_the_sums_and_not_in_the_horizon():
    def all_bounds(T):
        game = quadratic.strongly_convex(T, np.random.default_rng(0), quiet_after=100)
        drift = sea_games.variations(game.tilts)
        rederived = bounds.strongly_convex_omd_rederived(game.constants, game.variances, drift)
        return [f(game.constants) for f in (bounds.strongly_convex_omd, bounds.strongly_convex_oftrl)] + [rederived]

    assert all_bounds(200) == pytest.approx(all_bounds(20_000), rel=1e-9)
    short, long = (replace(BASE, horizon=T) for T in (1000, 10_000))
    growth = bounds.strongly_convex_oftl_sachs(long) - bounds.strongly_convex_oftl_sachs(short)
    assert growth == pytest.approx((2.0 + 16.0) / 0.5 * log(10), rel=1e-3)


@given(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=80))
def test_weighted_sum_is_below_its_bound(terms):
    weighted = sum(a / t for t, a in enumerate(terms, start=2))
    assert weighted <= bounds.weighted_sum_bound(terms) * (1 + 1e-12)


@given(st.sampled_from(["variance", "uniform_variance", "variation"]), st.floats(1.0, 50.0))
def test_bounds_grow_with_what_makes_the_game_harder(name, factor):
    harder = replace(BASE, **{name: getattr(BASE, name) * factor})
    for bound in STATIC + NONSMOOTH:
        assert bound(harder) >= bound(BASE) * (1 - 1e-12)
    for bound in (dynamic.dynamic_ensemble, dynamic.dynamic_fixed_parameters, dynamic.nonsmooth_ensemble):
        assert bound(harder, 3.0) >= 0.99 * bound(BASE, 3.0)


@pytest.mark.parametrize("bound", MOVING)
def test_moving_comparators_cost_more(bound):
    assert bound(BASE, 0.0) < bound(BASE, 5.0) < bound(BASE, 50.0)
    with pytest.raises(ValueError, match=r"path_length=-1\.0"):
        bound(BASE, -1.0)


def test_rederived_bounds_are_sharper():
    long = replace(BASE, horizon=10_000, variance=2500.0, uniform_variance=2600.0)
    assert bounds.convex_omd_rederived(long) < bounds.convex_omd(long)
    assert bounds.exp_concave_omd_rederived(long) < bounds.exp_concave_omd(long)
    assert dynamic.nonsmooth_omd_rederived(long) < dynamic.nonsmooth_omd(long) / 3
    assert dynamic.dynamic_fixed_parameters(long, 5.0) < dynamic.dynamic_ensemble(long, 5.0) / 3


@pytest.mark.parametrize("smooth", [0.1, 0.5, 3.0])
def test_stability_terms_are_the_maxima_that_the_proofs_take(smooth):
    c = replace(BASE, smoothness=smooth, exp_concavity=0.9)
    moves = np.geomspace(1e-9, 1e9, 400_001)
    delta = bounds.optimism_offset(c)
    convex = 5 * c.diameter * smooth * np.sqrt(moves) - sqrt(delta + 4) / (4 * c.diameter) * moves
    without = 2.5 * c.diameter * sqrt(265) + 0.5 * c.diameter * sqrt(delta) + c.diameter
    assert bounds.convex_omd_rederived(c) - without == pytest.approx(convex.max(), rel=1e-6)
    beta = 0.0625
    b, k = 16 * 5 / beta, beta * smooth**2 / 10
    curved = max(0.0, float(np.max(b * np.log1p(k * moves) - moves / 4)))
    start = 0.5 * (1 + beta / 2) * 4 + b * log(1 + beta / 40 * 265)
    assert bounds.exp_concave_omd_rederived(c) - start == pytest.approx(curved, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: quadratic.linear_iid(600, rng),
        lambda rng: quadratic.nonconvex_individuals(600, rng),
        lambda rng: quadratic.alternating(600, rng),
        lambda rng: quadratic.rotating(600, rng),
    ],
)
def test_mirror_descent_certificates_hold_on_every_path(make):
    for seed in range(5):
        game = make(np.random.default_rng(seed))
        c = game.constants
        delta = max(bounds.optimism_offset(c), 1e-9)
        losses = quadratic_losses(game.hessian, game.tilts - game.noise, game.curvatures, game.directions)
        step = learners.adaptive_step(c.diameter, delta + 4 * c.gradient**2)
        played = learners.play(losses, learners.optimistic_omd(step), radius=1.0, checkpoints=[10, 100, 600])
        regret = played.linear_losses + np.linalg.norm(played.gradient_sums, axis=1)
        exact = certificates.mirror_descent(
            played.steps, played.weighted_variations, played.weighted_movements, c.diameter
        )
        closed = certificates.adaptive_mirror_descent(
            played.variations, played.movements, c.diameter, c.gradient, delta
        )
        assert np.all(regret <= exact) and np.all(exact <= closed * (1 + 1e-12))
        assert comparators.linear_regret(played.gradients, played.iterates, 1.0) == pytest.approx(regret[-1])
        assert np.linalg.norm(played.gradients, axis=1).max() <= c.gradient
        u = comparators.best_drawn_point(game)
        direct = np.sum(played.gradients * (played.iterates - u))
        assert direct <= regret[-1] + 1e-9


def test_certificates_worked_out_by_hand():
    assert certificates.mirror_descent([0.5], [3.0], [0.25], 2.0) == pytest.approx([4.0 + 3.0 - 0.25])
    adaptive = certificates.adaptive_mirror_descent([9.0], [2.0], 2.0, 3.0, 64.0)
    assert adaptive == pytest.approx([15.0 + 8.0 + 6.0 - 10.0 / 8.0 * 2.0])
    assert certificates.implicit_mirror_descent([0.5], [3.0], 2.0) == pytest.approx([4.0 + 1.5])
    assert certificates.adaptive_implicit_mirror_descent([4.0], 2.0, 1.0) == pytest.approx([9.0])
    assert certificates.online_newton([3.0], [2.0], 2.0, 0.5, 2.0) == pytest.approx([0.5 * 2.0 * 4.0 + 6.0 - 0.5])
    assert certificates.exp_concave_oftrl([3.0], 2.0, 0.5, 2.0) == pytest.approx([0.5 * 3.0 * 4.0 + 3.0])
    assert certificates.newton_error_sum([4.0], 5, 2.0, factor=4.0) == pytest.approx([10.0 * log(1.4)])


def test_ensemble_certificate_is_the_sum_of_its_parts():
    squares = np.array([0.0, 1.0, 4.0])
    weighted = np.sum(squares / np.sqrt([1.0, 1.0, 2.0]))
    found = certificates.nonsmooth_ensemble([[8.0, 2.0]], [0.5, 1.0], [5.0], [weighted], diameter=2.0, path_length=3.0)
    base = min(16.0 / 1.0 + 0.25 * 8.0, 16.0 / 2.0 + 0.5 * 2.0)
    assert found == pytest.approx([base + log(2) * sqrt(6) + 0.5 * (1.0 + 4.0 / sqrt(2))])


@pytest.mark.parametrize("width", [0.0, 1e-6])
def test_kinked_certificates_hold_on_every_path(width):
    for seed in range(3):
        game = kinks.fixed_kinks(500, np.random.default_rng(seed), width=width)
        c = game.constants
        box = implicit_descent.box_game(kinked_losses(game.centres, game.tilts, width), game.lower, game.upper)
        played = implicit_descent.play_implicit(box, diameter=c.diameter, gradient=c.gradient, checkpoints=[50, 500])
        exact = certificates.implicit_mirror_descent(played.steps, played.weighted_variations, c.diameter)
        closed = certificates.adaptive_implicit_mirror_descent(played.variations, c.diameter, c.gradient)
        assert np.all(exact <= closed * (1 + 1e-12))
        assert kinks.linear_regret(game, played.gradients, played.iterates) <= exact[-1]
        u = kinks.best_drawn_point(game)
        assert kinks.drawn_loss_gaps(game, played.iterates, u).sum() <= exact[-1]


def test_kinked_ensemble_certificate_holds_on_every_path():
    for seed in range(3):
        game = kinks.switching_kinks(1024, np.random.default_rng(seed))
        c = game.constants
        box = implicit_descent.box_game(kinked_losses(game.centres, game.tilts), game.lower, game.upper)
        pool = implicit_descent.implicit_pool(1024, diameter=c.diameter, gradient=c.gradient)
        played = implicit_descent.play_implicit_ensemble(box, pool)
        path = kinks.minimiser_path(game)
        length = comparators.path_length(path)
        bound = certificates.nonsmooth_ensemble(
            played.base_variations,
            pool,
            played.surprises,
            played.weighted_surprises,
            diameter=c.diameter,
            path_length=length,
        )
        assert kinks.drawn_loss_gaps(game, played.iterates, path).sum() <= bound[-1]
        assert bound[-1] < dynamic.nonsmooth_ensemble(c, length) / 5


@pytest.mark.parametrize("seed", range(3))
def test_newton_certificates_hold_on_every_path(seed):
    game = quadratic.least_squares(800, np.random.default_rng(seed), radius=0.1)
    q, c = game.quadratic, game.constants
    losses = quadratic_losses(q.hessian, q.tilts - q.noise)
    u = comparators.best_drawn_point(q)
    beta = online_newton.exp_concave_rate(c.diameter, c.gradient, c.exp_concavity)
    settings = {"radius": q.radius, "beta": beta, "gradient": c.gradient}
    newton = online_newton.optimistic_newton(losses, **settings)
    bound = certificates.online_newton(
        newton.weighted_variations, newton.movements, np.linalg.norm(u), beta, c.gradient
    )
    assert comparators.drawn_loss_gaps(q, newton.iterates, u).sum() <= bound[-1]
    leader = online_newton.exp_concave_ftrl(losses, **settings)
    stated = certificates.exp_concave_oftrl(leader.weighted_variations, np.linalg.norm(u), beta, c.gradient)
    assert comparators.drawn_loss_gaps(q, leader.iterates, u).sum() <= stated[-1]
    assert np.all(leader.weighted_variations <= certificates.newton_error_sum(leader.variations, 5, beta, factor=4.0))
    assert np.all(newton.weighted_variations <= certificates.newton_error_sum(newton.variations, 5, beta))


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([(8.0, 0.5), (4.0, 1.0)]))
def test_newton_error_sum_bounds_the_weighted_errors(T, d, seed, kind):
    factor, share = kind
    g = np.random.default_rng(seed).standard_normal((T, d))
    g /= np.maximum(1.0, np.linalg.norm(g, axis=1, keepdims=True))
    beta, metric, weighted, hint = 0.7, (1 + share * 0.7) * np.eye(d), 0.0, np.zeros(d)
    for row in g:
        weighted += (row - hint) @ np.linalg.solve(metric, row - hint)
        metric, hint = metric + share * beta * np.outer(row, row), row
    total = np.sum((g - np.vstack([np.zeros((1, d)), g[:-1]])) ** 2)
    assert weighted <= certificates.newton_error_sum(total, d, beta, factor=factor) * (1 + 1e-12)


def test_specialisations():
    assert bounds.corrupted_variation(1.15, 16) == pytest.approx(73.6)
    assert bounds.random_order_variation(1.0) == 8.0
    assert bounds.random_order_variance(1024, 0.2, 0.2) == pytest.approx(1024 * 0.2 * (log(2) + 2))
    assert bounds.batch_variance(1.0, [1, 2, 4]) == pytest.approx(7.0)
    assert dynamic.label_shift(BASE, 1.0, 8.0) > dynamic.label_shift(BASE, 1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: replace(BASE, horizon=1), "horizon=1"),
        (lambda: replace(BASE, diameter=0.0), "diameter=0.0"),
        (lambda: replace(BASE, gradient=float("inf")), "gradient=inf"),
        (lambda: replace(BASE, variance=-1.0), "variance=-1.0"),
        (lambda: replace(BASE, smoothness=float("nan")), "smoothness=nan"),
        (lambda: bounds.convex_omd(replace(BASE, smoothness=float("inf"))), "smoothness=inf"),
        (lambda: bounds.strongly_convex_omd(replace(BASE, strong_convexity=0.0)), "strong_convexity=0.0"),
        (lambda: bounds.exp_concave_omd(replace(BASE, exp_concavity=0.0)), "exp_concavity=0.0"),
        (lambda: bounds.strongly_convex_omd_rederived(BASE, [1.0], [1.0]), "variances.shape"),
        (lambda: bounds.random_order_variance(4, 0.1, 1.0), "variance=0.1"),
        (lambda: bounds.batch_variance(1.0, [0, 1]), "batches"),
        (lambda: bounds.corrupted_variation(1.0, -1.0), "budget=-1.0"),
        (lambda: dynamic.dynamic_ensemble(replace(BASE, smoothness=0.0), 1.0), "smoothness=0.0"),
        (lambda: dynamic.label_shift(BASE, 0.0, 1.0), "loss_bound=0.0"),
        (lambda: certificates.mirror_descent([0.0], [1.0], [1.0], 2.0), "steps"),
        (lambda: certificates.mirror_descent([1.0], [np.inf], [1.0], 2.0), "weighted_variations"),
        (
            lambda: certificates.nonsmooth_ensemble([[1.0]], [1.0, 2.0], [0.0], [0.0], diameter=2.0, path_length=1.0),
            "steps.shape",
        ),
    ],
)
def test_bad_constants_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        call()
