"""Generators of smooth games with moving minimisers, corruption, a random order of losses and limited resources.

The special cases of Section 5 of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, and the games for dynamic regret.
``T`` is the number of rounds, ``spread`` the norm of the linear noise. Raise ValueError as in
`problems.sea_quadratic_games`.
"""

import numpy as np
import numpy.typing as npt

from problems.sea_games import (
    QuadraticGame,
    checked_amplitude,
    checked_count,
    checked_positive,
    checked_rounds,
    quadratic_game,
    rotation,
    sphere,
)
from problems.sea_quadratic_games import DIMENSION, STRONG_CENTRE, STRONG_SPECTRUM, circle

Array = npt.NDArray[np.float64]


def rotating_minimiser(
    T: int, rng: np.random.Generator, *, period: float, distance: float = 0.6, spread: float = 0.3
) -> QuadraticGame:
    """``H = I`` in R^3; the minimiser turns on a circle of radius ``distance`` with the given ``period`` in rounds."""
    tilts = np.zeros((checked_rounds(T), 3))
    tilts[:, :2] = checked_amplitude("distance", distance) * circle(T, 2.0 * np.pi / checked_positive("period", period))
    noise = checked_amplitude("spread", spread) * sphere(T, 3, rng)
    return quadratic_game(np.eye(3), tilts, noise, variances=spread**2)


def switching_minimiser(
    T: int, rng: np.random.Generator, *, block: int = 2048, spread: float = 0.02, curvature: float = 0.0
) -> QuadraticGame:
    """``H = I`` in R^3; the minimiser jumps between 0.8 e_1 and -0.8 e_1 every ``block`` rounds.

    With ``curvature`` s_E = 1 individual losses are degenerate or worse where ``F_t`` is strongly convex; above 1 they
    are not convex.
    """
    turns = np.arange(checked_rounds(T)) // checked_count("block", block)
    tilts = np.zeros((T, 3))
    tilts[:, 0] = 0.8 - 1.6 * (turns % 2)
    noise = checked_amplitude("spread", spread) * sphere(T, 3, rng)
    signs, directions = 2.0 * rng.integers(0, 2, T) - 1.0, sphere(T, 3, rng)
    bent = checked_amplitude("curvature", curvature) > 0.0
    return quadratic_game(
        np.eye(3),
        tilts,
        noise,
        variances=spread**2,
        curvature=curvature,
        signs=signs if bent else None,
        directions=directions if bent else None,
    )


def corrupted_linear(T: int, rng: np.random.Generator, *, corrupted: int, spread: float = 0.1) -> QuadraticGame:
    """Linear losses in R^2 of mean tilt ``0.05 e_1``; in that many random rounds the adversary adds ``-e_1``.

    The corruption has gradients of norm 1, so its budget ``C_T`` is the number of ``corrupted`` rounds, chosen before
    the game.
    """
    tilts = np.zeros((checked_rounds(T), 2))
    tilts[:, 0] = 0.05 - _corruption(T, corrupted, rng)
    noise = checked_amplitude("spread", spread) * sphere(T, 2, rng)
    return quadratic_game(np.zeros((2, 2)), tilts, noise, variances=spread**2)


def corrupted_strongly_convex(
    T: int, rng: np.random.Generator, *, corrupted: int, spread: float = 0.1
) -> QuadraticGame:
    """The strongly convex game; in that many random rounds the adversary adds a tilt ``-e_1``, ``C_T`` as above."""
    basis = rotation(DIMENSION, rng)
    tilts = np.tile(basis @ (STRONG_SPECTRUM * STRONG_CENTRE), (checked_rounds(T), 1))
    tilts[:, 0] -= _corruption(T, corrupted, rng)
    noise = checked_amplitude("spread", spread) * sphere(T, DIMENSION, rng)
    return quadratic_game((basis * STRONG_SPECTRUM) @ basis.T, tilts, noise, variances=spread**2)


def random_order_linear(T: int, rng: np.random.Generator) -> QuadraticGame:
    """T fixed linear losses, Gaussian tilts in R^5 of largest norm 1, in a uniformly random order."""
    vectors = gaussian_cloud(checked_rounds(T), rng)
    return random_order_game(np.zeros((DIMENSION, DIMENSION)), vectors[rng.permutation(T)])


def random_order_strongly_convex(T: int, rng: np.random.Generator) -> QuadraticGame:
    """T fixed losses with the strongly convex Hessian and Gaussian tilts of largest norm 0.5, in a random order."""
    basis = rotation(DIMENSION, rng)
    vectors = 0.5 * gaussian_cloud(checked_rounds(T), rng)
    return random_order_game((basis * STRONG_SPECTRUM) @ basis.T, vectors[rng.permutation(T)])


def random_order_game(hessian: npt.ArrayLike, tilts: npt.ArrayLike) -> QuadraticGame:
    """Return the random-order model for the losses ``x'Hx/2 - <w_t, x>``, ``tilts`` ``w_t`` (T, d), each drawn once.

    The order given is taken to be uniformly random. Given the past, ``f_t`` is uniform over the losses that are left:
    ``c_t`` is their mean tilt, ``xi_t = c_t - w_t``, and ``sigma_t^2`` their exact variance, 0 in the last round.
    """
    w = np.ascontiguousarray(tilts, dtype=np.float64)
    if w.ndim != 2 or w.shape[0] < 2:
        raise ValueError(f"tilts.shape={w.shape}: must be (T, d) with at least 2 rounds")
    left = np.arange(w.shape[0], 0, -1)[:, None]
    means = np.cumsum(w[::-1], axis=0)[::-1] / left
    # Welford's recursion from the back: no difference of large numbers, so the last variance is exactly 0.
    steps = np.sum((w[:-1] - means[1:]) ** 2, axis=1) * (left[1:, 0] / left[:-1, 0])
    squares = np.concatenate((np.cumsum(steps[::-1])[::-1], [0.0]))
    smooth = float(np.max(np.abs(np.linalg.eigvalsh(hessian))))
    gradient = smooth + float(np.max(np.linalg.norm(w, axis=1)))
    return quadratic_game(hessian, means, means - w, variances=squares / left[:, 0], gradient=gradient)


def order_statistics(tilts: npt.ArrayLike) -> tuple[float, float]:
    """Return ``(s^2, Lambda)`` of Corollary 2 for losses that differ in their tilts (T, d) only: they are equal."""
    w = np.asarray(tilts, dtype=np.float64)
    variance = float(np.mean(np.sum((w - w.mean(axis=0)) ** 2, axis=1)))
    return variance, variance


def alternating_extremes(T: int, rng: np.random.Generator) -> Array:
    """Return the tilts (T, d) of a `gaussian_cloud` ordered by their first coordinate, largest and smallest in turn.

    A fixed order, as bad as it gets: as a Dirac game its variation is of order T, where a random order has at most 8.
    """
    cloud = gaussian_cloud(checked_rounds(T), rng)
    ordered = cloud[np.argsort(cloud[:, 0])]
    turns = np.empty_like(ordered)
    turns[0::2] = ordered[::-1][: (T + 1) // 2]
    turns[1::2] = ordered[: T // 2]
    return turns


def batch_game(
    T: int, rng: np.random.Generator, *, batch: int, functions: int = 256, copies: bool = False
) -> QuadraticGame:
    """Each round sees the mean of ``batch`` of K fixed linear losses, drawn with replacement; ``F_t = 0``.

    The vectors are centred and have largest norm 1, so ``sigma_t^2`` is their mean square divided by the batch.
    ``copies=True`` repeats one draw in the whole batch, which gains nothing; the stated variance is then that of one.
    """
    cloud = gaussian_cloud(checked_count("functions", functions), rng)
    vectors = cloud - cloud.mean(axis=0)
    vectors /= np.max(np.linalg.norm(vectors, axis=1))
    drawn = rng.integers(0, functions, (checked_rounds(T), 1 if copies else checked_count("batch", batch)))
    noise = vectors[drawn].mean(axis=1)
    variance = float(np.mean(np.sum(vectors**2, axis=1))) / drawn.shape[1]
    flat = np.zeros((DIMENSION, DIMENSION))
    return quadratic_game(flat, np.zeros((T, DIMENSION)), noise, variances=variance, gradient=1.0)


def gaussian_cloud(count: int, rng: np.random.Generator) -> Array:
    """Return Gaussian vectors (n, 5) divided by the largest of their norms."""
    drawn = rng.standard_normal((count, DIMENSION))
    return np.asarray(drawn / np.max(np.linalg.norm(drawn, axis=1)))


def _corruption(T: int, corrupted: int, rng: np.random.Generator) -> Array:
    """Return the indicator (T,) of that many random rounds."""
    if corrupted != 0:
        checked_count("corrupted", corrupted, T)
    mask = np.zeros(T)
    mask[rng.permutation(T)[:corrupted]] = 1.0
    return mask
