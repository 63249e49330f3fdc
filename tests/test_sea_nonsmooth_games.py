"""Games with kinks and online label shift: constants, exact minimisers and regrets against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import label_shift as shift
from problems import sea_certificates as certificates
from problems import sea_nonsmooth_games as kinks


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn_loss(game, t, x):
    z = np.abs(x - game.centres[t])
    w = game.width
    return np.sum(np.where(z <= w, z**2 / (2 * w) if w else 0.0, z - w / 2)) + game.tilts[t] @ x


@given(st.integers(2, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-6, 0.3]), st.floats(0.1, 2.0))
@settings(max_examples=60)
def test_best_points_of_kinked_games_beat_a_grid(T, seed, width, strength):
    generator = rng(seed)
    centres = np.round(generator.uniform(-1.2, 1.2, (T, 2)), 1)  # ties, and centres outside the box
    means = strength * generator.standard_normal((T, 2))
    game = kinks.nonsmooth_game(centres, means, generator.uniform(-1.0, 1.0, (T, 2)), spread=2.0, width=width)
    grid = np.linspace(-1.0, 1.0, 401)
    for best, gaps in (
        (kinks.best_fixed_point(game), kinks.mean_loss_gaps),
        (kinks.best_drawn_point(game), kinks.drawn_loss_gaps),
    ):
        for j in range(2):  # separable: moving one coordinate at a time is enough
            rivals = np.tile(best, (401, 1))
            rivals[:, j] = grid
            totals = np.array([gaps(game, np.tile(x, (T, 1)), best).sum() for x in rivals])
            assert totals.min() >= -1e-11
            assert totals.min() <= 0.01 * T * (2.0 + 8.0 * strength)  # the grid comes close: best is no worse than it


@pytest.mark.parametrize("width", [0.0, 0.05])
def test_path_of_minimisers_beats_a_grid(width):
    means = np.array([[0.3, -0.9], [1.4, -1.2], [-1.0, 0.0]])
    game = kinks.nonsmooth_game(
        np.array([[0.3, 0.2], [0.5, -0.5], [0.97, 1.0]]), means, 0.0 * means, spread=0, width=width
    )
    path, grid = kinks.minimiser_path(game), np.linspace(-1.0, 1.0, 2001)
    for j in range(2):
        for x in grid:
            rival = path.copy()
            rival[:, j] = x
            assert kinks.mean_loss_gaps(game, rival, path).min() >= -1e-12


def test_gaps_are_differences_of_losses_and_linear_regret_is_at_a_corner():
    game = kinks.fixed_kinks(20, rng(), width=0.1)
    x, u = rng(1).uniform(-1, 1, (20, 4)), rng(2).uniform(-1, 1, 4)
    gaps = kinks.drawn_loss_gaps(game, x, u)
    assert np.allclose(gaps, [drawn_loss(game, t, x[t]) - drawn_loss(game, t, u) for t in range(20)], atol=1e-13)
    g = rng(3).standard_normal((20, 4))
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T
    assert kinks.linear_regret(game, g, x) == pytest.approx((np.sum(g * x) - corners @ g.sum(axis=0)).max())


def test_constants_of_the_kinked_games():
    c = kinks.fixed_kinks(100, rng(), spread=0.2).constants
    assert c.diameter == 4.0 and c.gradient == pytest.approx(1.3 * 2 + 0.2)
    assert c.uniform_variance == c.variance == pytest.approx(100 * 0.04)
    assert c.variation == 0.0 and c.smoothness == np.inf
    switching = kinks.switching_kinks(800, rng())
    assert switching.constants.variation == pytest.approx(4 * 4 * 7)
    path = kinks.minimiser_path(switching)
    assert np.array_equal(path, switching.centres)
    assert np.sum(np.linalg.norm(np.diff(path, axis=0), axis=1)) == pytest.approx(14.0)
    assert certificates.certify_nonsmooth(switching).gradient <= switching.constants.gradient
    assert kinks.switching_kinks(800, rng(), width=1e-6).constants.smoothness == pytest.approx(1e6)


@pytest.mark.parametrize("width", [0.0, 0.2, 3.0])
def test_variation_of_kinked_games_is_the_supremum_over_the_box(width):
    centres = np.array([[0.2, -0.3], [0.5, 0.4]])
    means = np.array([[0.1, 0.3], [0.4, -0.2]])
    found = kinks.nonsmooth_game(centres, means, 0 * means, spread=0.0, width=width).constants.variation
    x = np.linspace(-1, 1, 2001)
    slope = np.sign if width == 0.0 else lambda z: np.clip(z / width, -1, 1)
    sup = 0.0
    for j in range(2):
        sup += np.max((slope(x - centres[1, j]) - slope(x - centres[0, j]) + means[1, j] - means[0, j]) ** 2)
    assert sup <= found * (1 + 1e-12)
    if width < 1.0:  # the box reaches the flat parts of h
        assert sup >= 0.99 * found


def test_label_weights_are_unbiased_with_the_stated_variance():
    game = shift.label_shift(shift.switching_priors(40_000, block=40_000), rng(), samples=16)
    errors = game.weights - game.frequencies
    assert np.allclose(errors.mean(axis=0), 0.0, atol=5 * np.sqrt(game.weight_errors[0] / 40_000))
    assert np.mean(np.sum(errors**2, axis=1)) == pytest.approx(game.weight_errors[0], rel=0.03)
    assert np.allclose(game.weights.sum(axis=1), 1.0) and np.allclose(game.confusion.sum(axis=0), 1.0)


def test_raw_weights_go_negative_and_projected_ones_do_not():
    shares = []
    for samples in (4, 16, 64):
        raw, safe = (
            shift.label_shift(shift.switching_priors(500), rng(), samples=samples, projected=p) for p in (False, True)
        )
        shares.append(shift.negative_share(raw))
        assert shift.negative_share(safe) == 0.0
        assert certificates.certify_label_shift(raw).individual_convexity < 0.0
        assert certificates.certify_label_shift(safe).individual_convexity == 0.0
        # Projection on a set that holds the truth cannot increase the error.
        assert np.all(
            np.linalg.norm(safe.weights - safe.frequencies, axis=1)
            <= np.linalg.norm(raw.weights - raw.frequencies, axis=1) + 1e-12
        )
    assert shares[0] > shares[1] > shares[2] > 0.0


def test_class_gradients_and_constants_of_the_risks():
    features = shift.digit_pool()
    game = shift.label_shift(shift.switching_priors(50), rng(), samples=8)
    for seed in range(4):
        w = 2.0 * rng(seed).standard_normal(6)
        w *= min(1.0, 2.0 / np.linalg.norm(w))
        found = shift.class_gradients(features, w)
        columns = [
            (shift.class_risks(features, w + e) - shift.class_risks(features, w - e))[0] / 2e-5
            for e in np.eye(6) * 1e-5
        ]
        assert np.allclose(found, np.array(columns).T, atol=1e-8)
        assert np.linalg.norm(found, axis=1).max() <= game.class_gradient
        for k in range(3):
            hessian = np.array(
                [
                    (shift.class_gradients(features, w + e)[k] - shift.class_gradients(features, w - e)[k]) / 2e-5
                    for e in np.eye(6) * 1e-5
                ]
            )
            assert np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[-1] <= game.constants.smoothness * (1 + 1e-6)
        assert np.abs(game.weights @ shift.class_risks(features, w)[0]).max() <= shift.loss_bound(game)


def test_label_shift_minimisers_are_certified():
    game = shift.label_shift(shift.switching_priors(30, block=10), rng(), samples=8)
    path, gap = shift.minimiser_path(game)
    assert 0.0 <= gap + 1e-12 <= 1e-8
    assert np.array_equal(path[0], path[29]) and not np.allclose(path[0], path[10])
    points = 2.0 * rng(1).standard_normal((30, 6))
    points *= np.minimum(1.0, 2.0 / np.linalg.norm(points, axis=1))[:, None]
    assert shift.mean_loss_gaps(game, points, path).min() >= -gap - 1e-12
    direct = [
        game.weights[t] @ (shift.class_risks(game.features, points[t]) - shift.class_risks(game.features, path[t]))[0]
        for t in range(30)
    ]
    assert np.allclose(shift.drawn_loss_gaps(game, points, path), direct, atol=1e-13)
    assert shift.shift_length(game) == pytest.approx(2 * 1.4)


def test_simplex_projection_is_the_nearest_point():
    points = 2.0 * rng().standard_normal((50, 3))
    near = shift.project_on_simplex(points)
    assert np.allclose(near.sum(axis=1), 1.0) and near.min() >= 0.0
    others = rng(1).dirichlet(np.ones(3), 5000)
    distances = np.linalg.norm(points[:, None] - others, axis=2).min(axis=1)
    assert np.all(np.linalg.norm(points - near, axis=1) <= distances + 1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kinks.fixed_kinks(1, rng()), "T=1"),
        (lambda: kinks.fixed_kinks(10, rng(), width=-1.0), "width=-1.0"),
        (lambda: kinks.fixed_kinks(10, rng(), spread=float("inf")), "spread=inf"),
        (lambda: kinks.switching_kinks(10, rng(), switches=10), "switches=10"),
        (
            lambda: kinks.nonsmooth_game(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((3, 1)), spread=0, lower=1),
            "lower=1",
        ),
        (lambda: kinks.mean_loss_gaps(kinks.fixed_kinks(3, rng()), np.zeros((3, 4)), np.full(4, 1.1)), "must lie in"),
        (
            lambda: kinks.linear_regret(kinks.fixed_kinks(2, rng()), np.full((2, 4), np.nan), np.zeros((2, 4))),
            "not finite",
        ),
        (lambda: shift.label_shift(np.full((4, 3), 0.5), rng(), samples=4), "frequencies"),
        (lambda: shift.label_shift(shift.switching_priors(4), rng(), samples=0), "samples=0"),
        (lambda: shift.label_shift(shift.switching_priors(4), rng(), samples=4, radius=0.0), "radius=0.0"),
        (
            lambda: shift.label_shift(shift.switching_priors(4), rng(), samples=4, features=np.zeros((3, 5, 2))),
            "invertible",
        ),
    ],
)
def test_bad_games_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        call()
