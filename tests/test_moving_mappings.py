"""The mappings that a tracker follows: the path, its constants, the law of the noise; bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems.moving_mappings import moving_mappings, noise_energy, tracking_constants, values


@given(st.integers(2, 5), st.floats(0.0, 2.0), st.integers(1, 20), st.integers(0, 99))
def test_path_is_a_circle(dx, chord, steps, seed):
    problem = moving_mappings(np.random.default_rng(seed), chord=chord, steps=steps, upper_dimension=dx)
    assert np.linalg.norm(problem.path, axis=1) == pytest.approx(np.ones(steps + 1))
    assert np.linalg.norm(np.diff(problem.path, axis=0), axis=1) == pytest.approx(np.full(steps, chord), abs=1e-12)
    assert np.linalg.matrix_rank(problem.path, tol=1e-9) <= 2


def test_tracking_constants_are_means_over_a_turn():
    turn = moving_mappings(np.random.default_rng(1), chord=2.0 * 1.5 * np.sin(np.pi / 50), steps=50, radius=1.5)
    c, h = tracking_constants(turn), values(turn)
    assert c.size == pytest.approx(np.mean(np.sum(h[1:] ** 2, axis=2)))
    assert c.chord == pytest.approx(turn.chord)
    assert np.mean(np.sum(np.diff(h, axis=0) ** 2, axis=2)) <= (c.lipschitz * c.chord) ** 2
    assert c.variance == pytest.approx(3 * (0.09 * 2.25 + 0.25))


@pytest.mark.parametrize("fresh", [False, True])
def test_noise_energy_is_what_calls_show(fresh):
    problem, rng, new, old = (
        moving_mappings(np.random.default_rng(1), chord=0.5, steps=1),
        np.random.default_rng(2),
        1.3,
        0.9,
    )

    def noise():
        return 0.3 * rng.standard_normal((60_000, 3, 4)), 0.5 * rng.standard_normal((60_000, 3))

    matrix, shift = noise()
    seen = new * (matrix @ problem.path[1] + shift)
    if fresh:
        matrix, shift = noise()
    seen = (seen - old * (matrix @ problem.path[0] + shift)) / np.sqrt(4)
    assert np.mean(np.sum(seen**2, axis=1)) == pytest.approx(
        noise_energy(problem, new, old, 4, fresh=fresh)[0], rel=0.03
    )


def rng():
    return np.random.default_rng(0)


BAD = {
    "chord=2.1: must be at most": lambda: moving_mappings(rng(), chord=2.1, steps=3),
    "upper_dimension=1: must be at least 2": lambda: moving_mappings(rng(), chord=0.1, steps=3, upper_dimension=1),
    "steps=0: must": lambda: moving_mappings(rng(), chord=0.1, steps=0),
    "matrix_noise=-1.0: must": lambda: moving_mappings(rng(), chord=0.1, steps=3, matrix_noise=-1.0),
    "radius=0.0: must be positive": lambda: moving_mappings(rng(), chord=0.0, steps=3, radius=0.0),
    "batch=0: must": lambda: noise_energy(moving_mappings(rng(), chord=0.1, steps=3), 1.0, 0.5, 0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
