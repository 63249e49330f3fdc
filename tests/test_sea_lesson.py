"""The lesson on online learning: what the class is told to see is there, on pieces small enough for a test."""

import numpy as np
import pytest

from problems.sea_games import first_rounds
from theorylab.claims import Claim
from theorylab.report.lessons import lesson_of
from verify import sea_online_learning
from verify.sea import lesson, lesson_film, lesson_limits, lesson_regret
from verify.sea.lesson import classroom


@pytest.fixture(scope="module")
def lost():
    """What is lost to the minimiser (noise, drift, hint), the mean of eight games."""
    return np.mean(
        [
            [
                [
                    [lesson_film.chase(game, hint).gaps.sum() for hint in lesson_film.HINTS]
                    for game in [lesson_film.turning_game(noise, drift, seed) for drift in lesson_film.DRIFTS]
                ]
                for noise in lesson_film.NOISES
            ]
            for seed in range(8)
        ],
        axis=0,
    )


@pytest.fixture(scope="module")
def plane():
    return lesson_regret.regrets_on_plane(np.random.default_rng(0), 2048, 3)


@pytest.fixture(scope="module")
def strong():
    return lesson_regret.strong_regrets(np.random.default_rng(0), 20_000, 1)


@pytest.fixture(scope="module")
def kinks():
    return lesson_limits.kink_regrets(np.random.default_rng(0), 4096, 2)


def test_the_paper_has_this_lesson():
    assert lesson_of(sea_online_learning) is classroom


def test_the_claims_it_rests_on_exist_and_progress_is_told(monkeypatch):
    chart = lesson_limits.wave_chart({"2¹¹": 2**11, "2¹²": 2**12})
    for name in ("film", "regret_chart", "strong_chart", "wave_chart", "kink_chart"):
        monkeypatch.setattr(lesson, name, lambda *_: chart)
    steps = []
    told = classroom.function(np.random.default_rng(0), lambda done, total: steps.append((done, total)))
    known = {value.id for value in vars(sea_online_learning).values() if isinstance(value, Claim)}
    assert {f"sea_online_learning/{name}" for name in told.claims} <= known
    assert steps == [(k, 5) for k in range(1, 6)]


def test_the_hint_is_worth_something_until_the_noise_drowns_it(lost):
    with_hint, without, backwards = np.moveaxis(lost, -1, 0)
    assert np.all(with_hint[:2, 1:] < 0.9 * without[:2, 1:])
    assert np.all(without < backwards)
    assert with_hint[2, 0] > 0.9 * without[2, 0]


def test_the_step_along_the_hint_ends_at_the_point_played():
    game = lesson_film.turning_game(0.25, 0.06, 3)
    one = lesson_film.chase(game, 1.0)
    assert np.max(np.linalg.norm(one.centres, axis=1)) <= 1.0 + 1e-12
    first = first_rounds(game, 2)
    gradient = first.noise[0] - first.tilts[0]
    step = 2.0 / np.sqrt(4.0 * game.constants.gradient**2)  # D = 2, L = 0, nothing missed yet
    centre = -step * gradient / max(1.0, step * np.linalg.norm(gradient))
    np.testing.assert_allclose(one.centres[1], centre, atol=1e-6)
    moved = one.played[1] - one.centres[1]
    assert np.linalg.norm(moved) < 1e-9 or moved @ gradient < 0.0


def test_the_trail_ends_where_the_learner_is():
    points = np.arange(2.0 * 15).reshape(15, 2)
    trail = lesson_film._trail(points)
    assert trail.shape == (15, lesson_film.TRAIL, 2)
    np.testing.assert_array_equal(trail[:, -1], points)
    np.testing.assert_array_equal(trail[12, 1:], points[10:13])
    assert np.isnan(trail[0, :-1]).all()


def test_regret_follows_the_sliders_below_the_bound(plane):
    T, measured, _, stated, _ = plane
    mean = measured.mean(axis=2)
    assert np.all(mean <= stated)
    half = np.searchsorted(T, 500)
    assert mean[0, 0, -1] < 1.05 * mean[0, 0, half]
    np.testing.assert_allclose(stated[0, 0, -1], stated[0, 0, 0])
    assert np.all(np.diff(mean[:, 0, -1]) > 0.0)
    assert np.all(np.diff(mean[0, :, -1]) > 0.0)
    assert np.all(np.diff(stated[..., -1], axis=0) > 0.0)
    assert np.all(np.diff(stated[..., -1], axis=1) > 0.0)
    above = (stated / mean)[..., -1]
    assert above.min() > 8.0 and above.max() < 35.0


def test_the_bound_sees_one_number(plane):
    _, _, _, stated, scale = plane
    # The part of G outside the root is the only other thing in it: D G + const.
    rest = stated - 5.0 * scale
    assert np.all(rest > 0.0) and np.max(rest) < 25.0


def test_a_step_that_never_shrinks_pays_in_proportion_to_the_rounds(plane):
    T, _, steep, stated, _ = plane
    half = np.searchsorted(T, T[-1] / 2)
    assert np.all(steep[..., -1] > 1.6 * steep[..., half])
    assert steep[0, 0, -1] > stated[0, 0, -1]


def test_curvature_makes_it_logarithmic_and_quiet_makes_it_flat(strong):
    T, found, stated = strong
    assert np.all(found[0] <= stated)
    late = np.searchsorted(T, 1000)
    assert np.all(found[0, :, :, -1] < 1.6 * found[0, :, :, late])
    np.testing.assert_allclose(found[:2, :, 0, -1], found[:2, :, 0, late], rtol=1e-3)
    np.testing.assert_allclose(stated[:, 0, -1], stated[:, 0, late], rtol=1e-6)
    assert np.all(found[2, :, 2, -1] > 2.0 * found[2, :, 2, late])
    assert np.all(found[3, :, 2, -1] > 6.0 * found[3, :, 2, late])


def test_without_the_hint_the_square_wave_breaks_the_bound():
    hinted, plain, stated = lesson_limits.wave_regrets((2**14, 2**20), np.array([64, 512]))
    assert lesson_limits.BLOCKS[lesson_limits.SHOWN] == 512
    assert plain[1, 1] == pytest.approx(1024.0) and plain[1, 1] > stated[1, 1]
    fits = ~np.isnan(hinted)
    assert np.all(hinted[fits] < 0.0)
    assert np.all(plain[0][fits[0]] <= stated[0][fits[0]])


def test_at_a_kink_the_sub_gradient_decides(kinks):
    T, found, stated = kinks
    assert np.all(found[0] <= stated)
    assert found[0, 0, -1] == pytest.approx(found[0, 0, np.searchsorted(T, 100)])
    assert np.all(found[1:, 0, -1] > stated[0, -1])


def test_small_charts_fit_their_grids():
    rng = np.random.default_rng(0)
    assert lesson_regret.regret_chart(rng, 64, 2).grid == (6, 6)
    assert lesson_regret.strong_chart(rng, 256, 1).grid == (3, 3)
    assert lesson_limits.wave_chart({"2¹¹": 2**11, "2¹²": 2**12}).grid == (2,)
    assert lesson_limits.kink_chart(rng, 64, 1).grid == (3,)
