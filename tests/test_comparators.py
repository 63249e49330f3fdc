"""Best points and regrets of quadratic games against brute force, SLSQP and the conditions of optimality."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from problems import comparators, sea_games
from problems import sea_drifting_games as drifting
from problems import sea_quadratic_games as quadratic


def rng(seed=0):
    return np.random.default_rng(seed)


def value(h, c, x):
    return 0.5 * np.einsum("...i,ij,...j->...", x, h, x) - x @ c


@st.composite
def trust_regions(draw):
    d, seed = draw(st.integers(1, 6)), draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    basis = sea_games.rotation(d, generator)
    spectrum = np.array(draw(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.0, 1e-9, 0.5, 3.0]), min_size=d, max_size=d)))
    coordinates = generator.standard_normal(d) * draw(st.sampled_from([0.0, 1e-8, 0.1, 1.0, 50.0]))
    coordinates *= generator.random(d) < draw(st.sampled_from([0.5, 1.0]))  # often without a part in some eigenspace
    h = (basis * spectrum) @ basis.T
    return 0.5 * (h + h.T), basis @ coordinates, draw(st.sampled_from([0.1, 1.0, 7.0]))


@given(trust_regions())
def test_trust_region_solution_satisfies_the_conditions_of_a_global_minimum(problem):
    h, c, radius = problem
    x = comparators.minimise_on_ball(h, c, radius)
    scale = 1.0 + np.abs(h).max() * radius + np.linalg.norm(c)
    assert np.linalg.norm(x) <= radius * (1 + 1e-12)
    # Sufficient and necessary: (H + nu I) x = c with nu >= 0, H + nu I >= 0 and nu (||x|| - R) = 0.
    nu = max(0.0, -float(np.linalg.eigvalsh(h)[0]), float(x @ (c - h @ x)) / max(float(x @ x), 1e-300))
    nu = nu if np.linalg.norm(x) > radius * (1 - 1e-9) else 0.0
    assert np.linalg.norm(h @ x + nu * x - c) <= 1e-8 * scale
    assert np.linalg.eigvalsh(h)[0] + nu >= -1e-8 * scale
    # And no sampled point is better.
    others = sea_games.sphere(500, c.size, rng(1)) * radius * rng(2).random((500, 1)) ** (1 / c.size)
    assert value(h, c, x) <= value(h, c, others).min() + 1e-9 * scale * radius


def test_hard_case_reaches_the_sphere():
    x = comparators.minimise_on_ball(np.diag([-2.0, 1.0]), [0.0, 1.5], 1.0)
    assert np.linalg.norm(x) == pytest.approx(1.0)
    assert x[1] == pytest.approx(0.5) and abs(x[0]) == pytest.approx(np.sqrt(0.75))


def test_one_dimensional_concave_case_takes_the_better_end():
    assert comparators.minimise_on_ball([[-2.0]], [-0.1], 1.0) == pytest.approx([-1.0])
    assert comparators.minimise_on_ball([[-2.0]], [1e-9], 1.0) == pytest.approx([1.0])


def test_rows_are_solved_independently_of_each_other():
    h = quadratic.strongly_convex(2, rng()).hessian
    rows = 3.0 * rng(4).standard_normal((40, 5))
    together = comparators.minimise_on_ball(h, rows, 1.0)
    assert np.allclose(together, [comparators.minimise_on_ball(h, c, 1.0) for c in rows], rtol=0.0, atol=1e-14)


@pytest.mark.parametrize(
    "make",
    [
        lambda: quadratic.linear_iid(60, rng()),
        lambda: quadratic.nonconvex_individuals(60, rng()),
        lambda: quadratic.strongly_convex(60, rng()),
        lambda: drifting.corrupted_strongly_convex(60, rng(), corrupted=9),
    ],
)
def test_best_points_beat_slsqp_from_many_starts(make):
    game = make()
    for found, gaps in (
        (comparators.best_fixed_point(game), comparators.mean_loss_gaps),
        (comparators.best_drawn_point(game), comparators.drawn_loss_gaps),
    ):
        for start in 0.9 * sea_games.sphere(5, 5, rng(3)):
            constraint = {"type": "ineq", "fun": lambda x: 1.0 - x @ x}
            objective = lambda x, gaps=gaps, found=found: gaps(game, np.tile(x, (60, 1)), found).sum()  # noqa: E731
            rival = minimize(objective, start, constraints=[constraint], method="SLSQP", options={"ftol": 1e-13})
            assert rival.fun >= -1e-6
            assert rival.fun <= 1e-4 or game.curvatures.size


def test_minimiser_path_and_its_length():
    switching = drifting.switching_minimiser(40, rng(), block=10)
    path = comparators.minimiser_path(switching)
    assert np.allclose(path[:, 0], np.repeat([0.8, -0.8, 0.8, -0.8], 10)) and np.allclose(path[:, 1:], 0.0)
    assert comparators.path_length(path) == pytest.approx(3 * 1.6)
    turning = drifting.rotating_minimiser(400, rng(), period=400.0)
    assert comparators.path_length(comparators.minimiser_path(turning)) == pytest.approx(0.6 * 2 * np.pi, rel=0.01)
    strong = quadratic.strongly_convex(50, rng(), omega=0.3)
    assert np.allclose(sea_games.mean_gradients(strong, comparators.minimiser_path(strong)), 0.0, atol=1e-12)


def test_gaps_are_differences_of_losses():
    game = quadratic.alternating(30, rng(), block=4)
    x, u = 0.8 * sea_games.sphere(30, 5, rng(1)), 0.5 * sea_games.sphere(1, 5, rng(2))[0]
    means, drawn = comparators.mean_loss_gaps(game, x, u), comparators.drawn_loss_gaps(game, x, u)
    for t in (0, 11, 29):
        mean = value(game.hessian, game.tilts[t], x[t]) - value(game.hessian, game.tilts[t], u)
        noise = game.noise[t] @ (x[t] - u)
        bend = 0.5 * game.curvatures[t] * ((game.directions[t] @ x[t]) ** 2 - (game.directions[t] @ u) ** 2)
        assert means[t] == pytest.approx(mean, abs=1e-14)
        assert drawn[t] == pytest.approx(mean + noise + bend, abs=1e-14)
    assert np.array_equal(means, comparators.mean_loss_gaps(game, x, np.tile(u, (30, 1))))
    assert not np.allclose(means, drawn)


def test_linear_regret_is_the_largest_over_the_ball():
    g, x = rng(1).standard_normal((20, 3)), 0.5 * sea_games.sphere(20, 3, rng(2))
    points = 2.0 * sea_games.sphere(20_000, 3, rng(3))
    sampled = (np.sum(g * x) - points @ g.sum(axis=0)).max()
    exact = comparators.linear_regret(g, x, 2.0)
    assert sampled <= exact <= sampled + 1e-2 * abs(exact)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g, x: comparators.mean_loss_gaps(g, x, np.full(5, 1.0)), "largest norm is 2.23607, must be at most"),
        (lambda g, x: comparators.mean_loss_gaps(g, x, np.full(5, np.nan)), "largest norm is nan"),
        (lambda g, x: comparators.drawn_loss_gaps(g, x, np.zeros(4)), "comparator.shape"),
        (lambda g, x: comparators.mean_loss_gaps(g, x[:5], np.zeros(5)), "iterates.shape"),
        (lambda g, x: comparators.linear_regret(np.full((10, 5), np.inf), x, 1.0), "gradients: row 0 is not finite"),
        (lambda g, x: comparators.minimise_on_ball(np.eye(2), [1.0, np.inf], 1.0), "must be finite"),
        (lambda g, x: comparators.minimise_on_ball(np.eye(2), [1.0, 0.0], -1.0), "radius=-1.0"),
        (lambda g, x: comparators.minimise_on_ball(np.eye(3), [1.0, 0.0], 1.0), "hessian.shape"),
    ],
)
def test_bad_comparators_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call(quadratic.linear_iid(10, rng()), np.zeros((10, 5)))
