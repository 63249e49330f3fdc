"""The games between stochastic and adversarial: their constants against definitions, brute force and Monte Carlo."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import sea_certificates as certificates
from problems import sea_drifting_games as drifting
from problems import sea_games as games
from problems import sea_quadratic_games as quadratic

SMOOTH = {
    "linear": lambda T, rng: quadratic.linear_iid(T, rng),
    "nonconvex": lambda T, rng: quadratic.nonconvex_individuals(T, rng),
    "alternating": lambda T, rng: quadratic.alternating(T, rng, block=7),
    "rotating": lambda T, rng: quadratic.rotating(T, rng, period=31.0, spread=0.2),
    "square wave": lambda T, rng: quadratic.square_wave(T, block=5),
    "random signs": lambda T, rng: quadratic.random_signs(T, rng),
    "concave": lambda T, rng: quadratic.concave_trap(T, rng),
    "strong": lambda T, rng: quadratic.strongly_convex(T, rng),
    "strong drifting": lambda T, rng: quadratic.strongly_convex(T, rng, quiet_after=9, flipped=4, omega=0.1),
    "least squares": lambda T, rng: quadratic.least_squares(T, rng).quadratic,
    "moving": lambda T, rng: drifting.rotating_minimiser(T, rng, period=17.0),
    "switching": lambda T, rng: drifting.switching_minimiser(T, rng, block=6, curvature=1.5),
    "corrupted": lambda T, rng: drifting.corrupted_linear(T, rng, corrupted=2),
    "corrupted strong": lambda T, rng: drifting.corrupted_strongly_convex(T, rng, corrupted=2),
    "random order": lambda T, rng: drifting.random_order_linear(T, rng),
    "random order strong": lambda T, rng: drifting.random_order_strongly_convex(T, rng),
    "batch": lambda T, rng: drifting.batch_game(T, rng, batch=4),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def loss(game, t, x):
    """The loss of one round, written from its definition."""
    value = 0.5 * x @ game.hessian @ x - game.tilts[t] @ x + game.noise[t] @ x
    if game.curvatures.size:
        value += 0.5 * game.curvatures[t] * (game.directions[t] @ x) ** 2
    return value


@given(st.sampled_from(sorted(SMOOTH)), st.integers(2, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_every_smooth_game_keeps_the_constants_it_states(name, T, seed):
    game = SMOOTH[name](T, rng(seed))
    c = game.constants
    assert (c.horizon, c.dimension) == game.tilts.shape == game.noise.shape == (T, game.dimension)
    assert all(a.flags.c_contiguous for a in (game.hessian, game.tilts, game.noise, game.curvatures, game.directions))
    steps = np.sum(np.diff(game.tilts, axis=0) ** 2, axis=1)
    assert c.variation == pytest.approx(steps.sum(), abs=1e-12)
    assert c.variation_max == pytest.approx(steps.max(), abs=1e-12)
    assert c.variance == pytest.approx(game.variances.sum())
    assert np.all(game.uniform_variances >= game.variances - 1e-15)
    assert c.uniform_variance >= c.variance - 1e-12
    assert np.all(game.variances >= 0.0)
    certificate = certificates.certify_quadratic(game)
    assert certificate.gradient <= c.gradient * (1 + 1e-12)
    assert certificate.diameter == c.diameter
    assert certificate.smoothness == c.smoothness
    assert certificate.convexity == pytest.approx(c.strong_convexity, abs=1e-12)
    # No point of the ball has a larger gradient in any round than A1 states.
    points = game.radius * games.sphere(200, game.dimension, rng(1))
    reached = max(np.linalg.norm(games.gradients(game, x), axis=1).max() for x in points)
    assert reached <= certificate.gradient * (1 + 1e-12)


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_gradients_are_the_derivatives_of_the_losses(name):
    game = SMOOTH[name](12, rng())
    points = 0.7 * games.sphere(12, game.dimension, rng(2))
    found = games.gradients(game, points)
    for t in (0, 5, 11):
        for j, e in enumerate(np.eye(game.dimension)):
            slope = (loss(game, t, points[t] + 1e-5 * e) - loss(game, t, points[t] - 1e-5 * e)) / 2e-5
            assert found[t, j] == pytest.approx(slope, abs=1e-8)


def test_linear_gradient_certificate_is_attained():
    game = quadratic.nonconvex_individuals(50, rng(), curvature=0.0)
    certificate = certificates.certify_quadratic(game)
    points = games.sphere(20_000, 5, rng(1))
    reached = max(np.linalg.norm(points @ game.hessian - b, axis=1).max() for b in game.tilts - game.noise)
    assert certificate.gradient * 0.97 <= reached <= certificate.gradient


def test_variances_match_monte_carlo():
    spread, curvature, count = 0.3, 1.0, 200_000
    game = quadratic.nonconvex_individuals(count, rng(), spread=spread, curvature=curvature)
    for x in games.sphere(3, 5, rng(5)):  # the variance is the same on the whole sphere
        noise = games.gradients(game, x) - games.mean_gradients(game, x)
        assert np.mean(np.sum(noise**2, axis=1)) == pytest.approx(game.variances[0], rel=0.01)
        assert np.linalg.norm(noise.mean(axis=0)) < 5 * np.sqrt(game.variances[0] / count)
    inside = games.gradients(game, 0.5 * x) - games.mean_gradients(game, 0.5 * x)
    assert np.mean(np.sum(inside**2, axis=1)) < game.variances[0]
    # The supremum over x inside the expectation is at x = R v_t or -R v_t.
    largest = np.linalg.norm(np.abs(np.sum(game.noise * game.directions, axis=1)))
    bent = spread**2 + curvature**2 + 2 * curvature * np.abs(np.sum(game.noise * game.directions, axis=1))
    assert largest > 0.0
    assert bent.mean() == pytest.approx(game.uniform_variances[0], rel=0.01)


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_mean_absolute_coordinate_of_the_sphere(d):
    assert np.abs(games.sphere(200_000, d, rng())[:, 0]).mean() == pytest.approx(
        games.mean_absolute_coordinate(d), rel=0.01
    )


def test_convex_means_and_nonconvex_individuals():
    certificate = certificates.certify_quadratic(quadratic.nonconvex_individuals(400, rng()))
    assert certificate.convexity >= -1e-12
    assert certificate.individual_convexity < -0.3
    assert certificates.certify_quadratic(quadratic.strongly_convex(9, rng())).individual_convexity > 0.49
    assert certificates.certify_quadratic(quadratic.concave_trap(9, rng())).convexity == -2.0


def test_individual_convexity_is_the_smallest_eigenvalue_of_all_rounds():
    game = quadratic.nonconvex_individuals(30, rng())
    pairs = zip(game.curvatures, game.directions, strict=True)
    smallest = min(np.linalg.eigvalsh(game.hessian + k * np.outer(v, v))[0] for k, v in pairs)
    assert certificates.certify_quadratic(game).individual_convexity == pytest.approx(smallest, abs=1e-13)


def test_least_squares_is_exp_concave_as_stated():
    game = quadratic.least_squares(300, rng(), radius=0.1)
    c, certificate = game.constants, certificates.certify_least_squares(game)
    assert certificate.exp_concavity >= c.exp_concavity > 0.0
    points = 0.1 * games.sphere(3000, 5, rng(1))
    residuals = np.linalg.norm(points @ game.design.T - game.targets[:, None, :], axis=2)
    assert residuals.max() <= certificate.exp_concavity**-0.5 * (1 + 1e-12)
    assert residuals.max() >= 0.98 * certificate.exp_concavity**-0.5
    assert np.linalg.norm(game.design, 2) == pytest.approx(1.0)
    # The quadratic that learners play differs from the least-squares loss by a constant of the round.
    x, y = points[0], points[1]
    for t in (0, 100):
        a, b = (0.5 * np.sum((game.design @ z - game.targets[t]) ** 2) for z in (x, y))
        assert a - b == pytest.approx(loss(game.quadratic, t, x) - loss(game.quadratic, t, y), abs=1e-13)
    noise = game.quadratic.noise
    large = quadratic.least_squares(100_000, rng()).quadratic
    assert np.mean(np.sum(large.noise**2, axis=1)) == pytest.approx(large.variances[0], rel=0.01)
    assert noise.shape == (300, 5)


def test_stated_variations_of_the_special_sequences():
    assert quadratic.square_wave(1000, block=100).constants.variation == 36.0
    assert quadratic.square_wave(1001, block=100).constants.variation == 40.0
    assert quadratic.square_wave(1000, block=100).constants.variance == 0.0
    slow = quadratic.strongly_convex(500, rng(), omega=0.01)
    assert slow.constants.variation_max <= (0.3 * 0.01) ** 2
    assert slow.constants.variation_max == pytest.approx((0.3 * 0.01) ** 2, rel=1e-4)
    once = quadratic.strongly_convex(500, rng(), spread=0.0, flipped=50)
    tilt = quadratic.STRONG_SPECTRUM * quadratic.STRONG_CENTRE
    assert once.constants.variation == pytest.approx(4 * tilt @ tilt)
    fading = quadratic.strongly_convex(500, rng(), spread=0.5, quiet_after=100)
    assert fading.constants.variance == pytest.approx(25.0)
    assert np.all(fading.noise[100:] == 0.0)
    assert drifting.switching_minimiser(40, rng(), block=10).constants.variation == pytest.approx(3 * 1.6**2)


@pytest.mark.parametrize("make", [drifting.corrupted_linear, drifting.corrupted_strongly_convex])
def test_corruption_stays_within_four_gradients_of_its_budget(make):
    for corrupted in (0, 1, 16, 200, 1000):
        c = make(1000, rng(), corrupted=corrupted).constants
        assert c.variation <= 4 * c.gradient * corrupted
        assert c.variation <= 2 * corrupted
        assert (c.variation > 0.0) == (0 < corrupted < 1000)


def test_random_order_means_and_variances_are_those_of_what_is_left():
    vectors = drifting.gaussian_cloud(40, rng())
    game = drifting.random_order_game(np.zeros((5, 5)), vectors)
    for t in (0, 1, 17, 38, 39):
        left = vectors[t:]
        assert np.allclose(game.tilts[t], left.mean(axis=0), atol=1e-15)
        variance = np.mean(np.sum((left - left.mean(axis=0)) ** 2, axis=1))
        assert game.variances[t] == pytest.approx(variance, abs=1e-15)
    assert np.allclose(game.tilts - game.noise, vectors, atol=1e-15)
    assert game.variances[-1] == 0.0
    s2, uniform = drifting.order_statistics(vectors)
    assert s2 == uniform == pytest.approx(game.variances[0])


def test_a_fixed_order_of_extremes_varies_far_more_than_a_random_one():
    tilts = drifting.alternating_extremes(512, rng())
    fixed = quadratic.dirac_game(tilts).constants.variation
    mixed = drifting.random_order_game(np.zeros((5, 5)), tilts[rng(1).permutation(512)]).constants.variation
    assert fixed > 100.0 and mixed < 2.0


def test_batches_divide_the_variance_and_copies_do_not():
    one, many = (drifting.batch_game(40_000, rng(), batch=b) for b in (1, 16))
    assert many.constants.variance_max == pytest.approx(one.constants.variance_max / 16)
    assert np.mean(np.sum(many.noise**2, axis=1)) == pytest.approx(many.variances[0], rel=0.03)
    copies = drifting.batch_game(40_000, rng(), batch=16, copies=True)
    assert np.mean(np.sum(copies.noise**2, axis=1)) == pytest.approx(one.variances[0], rel=0.03)
    assert many.constants.variance_max <= 4.0 * many.constants.gradient**2 / 16


def test_noise_of_one_seed_is_proportional_and_the_mean_is_shared():
    weak, strong = (quadratic.nonconvex_individuals(50, rng(3), spread=s) for s in (0.1, 0.4))
    assert np.allclose(4.0 * weak.noise, strong.noise) and np.array_equal(weak.tilts, strong.tilts)
    assert np.array_equal(weak.directions, strong.directions)


def test_first_rounds_recompute_the_sums():
    game = quadratic.alternating(100, rng(), block=10)
    short = games.first_rounds(game, 35)
    again = games.quadratic_game(
        game.hessian,
        game.tilts[:35],
        game.noise[:35],
        variances=0.3**2,
        curvature=1.0,
        signs=game.curvatures[:35],
        directions=game.directions[:35],
        gradient=game.constants.gradient,
    )
    assert short.constants == replace(again.constants, gradient=game.constants.gradient)
    assert short.horizon == 35 and short.curvatures.size == 35


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quadratic.linear_iid(0, rng()), "T=0"),
        (lambda: quadratic.linear_iid(1, rng()), "at least 2 rounds"),
        (lambda: quadratic.linear_iid(10.5, rng()), "T=10.5"),
        (lambda: quadratic.linear_iid(10, rng(), radius=0.0), "radius=0.0"),
        (lambda: quadratic.linear_iid(10, rng(), radius=float("nan")), "radius=nan"),
        (lambda: quadratic.linear_iid(10, rng(), spread=-1.0), "spread=-1.0"),
        (lambda: quadratic.nonconvex_individuals(10, rng(), curvature=-1.0), "curvature=-1.0"),
        (lambda: quadratic.square_wave(10, block=0), "block=0"),
        (lambda: quadratic.rotating(10, rng(), period=-2.0), "period=-2.0"),
        (lambda: quadratic.least_squares(10, rng(), spread=0.0), "spread=0.0"),
        (lambda: drifting.corrupted_linear(10, rng(), corrupted=11), "corrupted=11"),
        (lambda: drifting.batch_game(10, rng(), batch=0), "batch=0"),
        (lambda: drifting.random_order_game(np.eye(2), np.zeros((1, 2))), "at least 2 rounds"),
        (lambda: games.quadratic_game(np.eye(2), np.full((3, 2), np.nan), np.zeros((3, 2))), "tilts"),
        (lambda: games.quadratic_game([[1.0, 1.0], [0.0, 1.0]], np.zeros((3, 2)), np.zeros((3, 2))), "symmetric"),
        (lambda: games.quadratic_game(np.eye(3), np.zeros((3, 2)), np.zeros((3, 2))), "hessian.shape"),
        (lambda: games.first_rounds(quadratic.square_wave(10, block=2), 11), "rounds=11"),
    ],
)
def test_bad_games_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        call()
