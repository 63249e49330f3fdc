"""Generators of smooth games between stochastic and adversarial whose comparator is one fixed point.

Losses are quadratics on the unit ball unless said otherwise (`problems.sea_games.QuadraticGame`); ``T`` is the number
of rounds, ``spread`` the norm s of the linear noise, uniform on a sphere. The linear games have ``H = 0``, and d = 5
where nothing else is said. All randomness comes from ``rng``; noise of another ``spread`` is proportional. Raise
ValueError on a horizon below 2 and amplitudes that are negative or not finite.
"""

import numpy as np
import numpy.typing as npt

from problems.sea_games import (
    LeastSquaresGame,
    QuadraticGame,
    checked_amplitude,
    checked_count,
    checked_positive,
    checked_rounds,
    quadratic_game,
    rotation,
    sphere,
)

Array = npt.NDArray[np.float64]

DIMENSION = 5
BENT_SPECTRUM = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
BENT_CENTRE = np.array([0.0, 0.3, -0.3, 0.2, 0.4])
STRONG_SPECTRUM = np.linspace(0.5, 2.0, DIMENSION)
STRONG_CENTRE = np.array([0.3, 0.3, -0.3, 0.2, 0.4])


def linear_iid(
    T: int, rng: np.random.Generator, *, tilt: float = 0.5, spread: float = 0.5, radius: float = 1.0
) -> QuadraticGame:
    """Linear losses with the fixed mean ``-tilt e_1``; ``tilt=0`` is pure noise, whose regret is ``R s sqrt(T)``."""
    direction = np.zeros(DIMENSION)
    direction[0] = checked_amplitude("tilt", tilt)
    noise = checked_amplitude("spread", spread) * sphere(checked_rounds(T), DIMENSION, rng)
    flat = np.zeros((DIMENSION, DIMENSION))
    return quadratic_game(flat, np.tile(direction, (T, 1)), noise, radius=radius, variances=spread**2)


def nonconvex_individuals(
    T: int, rng: np.random.Generator, *, spread: float = 0.3, curvature: float = 1.0
) -> QuadraticGame:
    """Convex ``F_t`` with eigenvalues 0, .5, 1, 1.5, 2 and individual losses with random curvature +-``curvature``.

    At ``curvature=1`` individual Hessians have eigenvalues down to -1; 0 leaves convex losses with linear noise.
    """
    basis = rotation(DIMENSION, rng)
    return _bent(basis, np.tile(basis @ (BENT_SPECTRUM * BENT_CENTRE), (checked_rounds(T), 1)), rng, spread, curvature)


def alternating(
    T: int, rng: np.random.Generator, *, block: int = 50, spread: float = 0.3, curvature: float = 1.0
) -> QuadraticGame:
    """`nonconvex_individuals` with ``c_t`` multiplied by 0.5 and 1.5 in turn, in blocks of ``block`` rounds."""
    basis = rotation(DIMENSION, rng)
    turns = np.arange(checked_rounds(T)) // checked_count("block", block)
    tilts = np.outer(0.5 + turns % 2, basis @ (BENT_SPECTRUM * BENT_CENTRE))
    return _bent(basis, tilts, rng, spread, curvature)


def rotating(T: int, rng: np.random.Generator, *, period: float = 200.0, spread: float = 0.0) -> QuadraticGame:
    """Linear losses whose mean tilt ``c_t = (cos, sin)(2 pi t / period)`` turns in a plane of R^5."""
    tilts = np.zeros((checked_rounds(T), DIMENSION))
    tilts[:, :2] = circle(T, 2.0 * np.pi / checked_positive("period", period))
    noise = checked_amplitude("spread", spread) * sphere(T, DIMENSION, rng)
    return quadratic_game(np.zeros((DIMENSION, DIMENSION)), tilts, noise, variances=spread**2)


def square_wave(T: int, *, block: int) -> QuadraticGame:
    """Noise-free losses ``-c_t x`` on [-1, 1], ``c_t`` = 1 and -1 in turn: ``Sigma^2 = 4 (ceil(T / block) - 1)``.

    >>> square_wave(100, block=10).constants.variation
    36.0
    """
    turns = np.arange(checked_rounds(T)) // checked_count("block", block)
    return dirac_game(1.0 - 2.0 * (turns[:, None] % 2))


def random_signs(T: int, rng: np.random.Generator, *, amplitude: float = 1.0) -> QuadraticGame:
    """Adversarial losses ``-c_t x`` on [-1, 1] with ``c_t`` = +-``amplitude``, fair coins tossed before the game."""
    return dirac_game(checked_positive("amplitude", amplitude) * sphere(checked_rounds(T), 1, rng))


def dirac_game(tilts: npt.ArrayLike) -> QuadraticGame:
    """Linear losses ``-<c_t, x>`` known in advance, ``sigma = 0``, for tilts (T, d) in the order given; unit ball."""
    c = np.atleast_2d(np.asarray(tilts, dtype=np.float64))
    return quadratic_game(np.zeros((c.shape[1], c.shape[1])), c, np.zeros_like(c))


def concave_trap(T: int, rng: np.random.Generator, *, block: int = 50, spread: float = 0.05) -> QuadraticGame:
    """``F_t(x) = -x^2 - c_t x`` on [-1, 1], ``c_t`` = 1.5 in the first ``block`` rounds, then -0.5: A5 fails.

    A learner is drawn to x = 1 and stays, a local minimum of all later losses, while -1 is better.
    """
    late = np.arange(checked_rounds(T)) >= checked_count("block", block)
    noise = checked_amplitude("spread", spread) * sphere(T, 1, rng)
    return quadratic_game([[-2.0]], np.where(late, -0.5, 1.5)[:, None], noise, variances=spread**2)


def strongly_convex(
    T: int,
    rng: np.random.Generator,
    *,
    spread: float = 0.5,
    quiet_after: int | None = None,
    flipped: int = 0,
    omega: float = 0.0,
) -> QuadraticGame:
    """``F_t`` with eigenvalues of H from 0.5 to 2, in five variants of ``c_t`` and noise that may be combined.

    ``quiet_after``: the noise is off after that round (fading). ``flipped``: ``c_t`` has the other sign in that many
    first rounds (one change). ``omega``: ``c_t`` moves on a circle of radius 0.3 by that angle a round (slow shift,
    ``Sigma_t^2 <= (0.3 omega)^2``).
    """
    basis = rotation(DIMENSION, rng)
    tilts = np.tile(basis @ (STRONG_SPECTRUM * STRONG_CENTRE), (checked_rounds(T), 1))
    tilts[:flipped] *= -1.0
    if omega:
        tilts[:, :2] += 0.3 * circle(T, omega)
    active = np.arange(T) < (T if quiet_after is None else checked_count("quiet_after", quiet_after))
    noise = checked_amplitude("spread", spread) * active[:, None] * sphere(T, DIMENSION, rng)
    return quadratic_game((basis * STRONG_SPECTRUM) @ basis.T, tilts, noise, variances=spread**2 * active)


def least_squares(
    T: int, rng: np.random.Generator, *, radius: float = 1.0, spread: float = 0.5, distance: float = 0.5
) -> LeastSquaresGame:
    """Exp-concave losses ``||Bx - y_t||^2 / 2``: B is 3 x 5 of norm 1, ``y_t = B u_0 + s`` times a unit vector.

    ``||u_0|| = distance * radius``. ``sigma_t^2 = tr(BB') s^2 / 3`` exactly; alpha and G come from ``max ||Bx - y|| <=
    R + ||B u_0|| + s``, so alpha is a certified lower bound.
    """
    drawn = rng.standard_normal((3, DIMENSION))
    design = np.ascontiguousarray(drawn / np.linalg.norm(drawn, 2))
    truth = checked_positive("radius", radius) * checked_amplitude("distance", distance) * sphere(1, DIMENSION, rng)[0]
    errors = checked_positive("spread", spread) * sphere(checked_rounds(T), 3, rng)
    residual = radius + float(np.linalg.norm(design @ truth)) + spread
    variance = float(np.sum(design**2)) * spread**2 / 3.0
    gram = design.T @ design
    quadratic = quadratic_game(
        0.5 * (gram + gram.T),
        np.tile(gram @ truth, (T, 1)),
        -errors @ design,
        radius=radius,
        variances=variance,
        gradient=residual,
        exp_concavity=1.0 / residual**2,
    )
    return LeastSquaresGame(design, design @ truth + errors, quadratic)


def circle(T: int, omega: float) -> Array:
    """Return ``(cos, sin)(omega t)`` for t = 1..T, (T, 2)."""
    angle = omega * np.arange(1, T + 1)
    return np.column_stack((np.cos(angle), np.sin(angle)))


def _bent(basis: Array, tilts: Array, rng: np.random.Generator, spread: float, curvature: float) -> QuadraticGame:
    """Add sphere noise of norm ``spread`` and random curvature to ``F_t`` with the spectrum BENT_SPECTRUM."""
    T = tilts.shape[0]
    noise = checked_amplitude("spread", spread) * sphere(T, DIMENSION, rng)
    signs, directions = 2.0 * rng.integers(0, 2, T) - 1.0, sphere(T, DIMENSION, rng)
    bent = checked_amplitude("curvature", curvature) > 0.0
    return quadratic_game(
        (basis * BENT_SPECTRUM) @ basis.T,
        tilts,
        noise,
        variances=spread**2,
        curvature=curvature,
        signs=signs if bent else None,
        directions=directions if bent else None,
    )
