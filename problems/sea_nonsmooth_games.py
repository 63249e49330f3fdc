"""Games of losses with kinks on a box: generators, exact comparators and regrets.

Losses are ``f_t(x) = sum_j h(x_j - c_tj) + <a_t, x>`` (`problems.sea_games.NonsmoothGame`), separable, so that a best
point is found one coordinate at a time. With Huber's h of a tiny width they are differentiable but arbitrarily badly
smooth. Raise ValueError on a horizon below 2, amplitudes or widths that are negative or not finite.
"""

import numpy as np
import numpy.typing as npt

from problems.sea_games import NonsmoothGame, checked_amplitude, checked_rounds, sphere
from theorylab.algorithms.sea_constants import SeaConstants

Array = npt.NDArray[np.float64]

DIMENSION = 4
CENTRE = np.array([0.3, -0.2, 0.1, 0.45])
SWITCHING_CENTRE = np.array([0.5, 0.5, -0.5, 0.5])


def fixed_kinks(T: int, rng: np.random.Generator, *, spread: float = 0.2, width: float = 0.0) -> NonsmoothGame:
    """One centre for all rounds and tilts ``a_t = 0.3 + s`` times a unit vector; ``s = 0`` plays one loss T times."""
    noise = checked_amplitude("spread", spread) * sphere(checked_rounds(T), DIMENSION, rng)
    means = np.full((T, DIMENSION), 0.3)
    return nonsmooth_game(np.tile(CENTRE, (T, 1)), means, noise, spread=spread, width=width)


def switching_kinks(
    T: int, rng: np.random.Generator, *, switches: int = 7, spread: float = 0.1, width: float = 0.0
) -> NonsmoothGame:
    """The centre changes its sign ``switches`` times, evenly; ``a_t = 0.1 + s`` times a unit vector.

    For absolute values the centres are the minimisers of ``F_t``.
    """
    if isinstance(switches, bool) or not isinstance(switches, (int, np.integer)) or not 0 <= switches < T:
        raise ValueError(f"switches={switches!r}: must be an integer in 0..{T - 1}")
    turns = np.arange(checked_rounds(T)) * (switches + 1) // T
    noise = checked_amplitude("spread", spread) * sphere(T, DIMENSION, rng)
    centres = (1.0 - 2.0 * (turns[:, None] % 2)) * SWITCHING_CENTRE
    return nonsmooth_game(centres, np.full((T, DIMENSION), 0.1), noise, spread=spread, width=width)


def nonsmooth_game(
    centres: npt.ArrayLike,
    mean_tilts: npt.ArrayLike,
    noise: npt.ArrayLike,
    *,
    spread: float,
    width: float = 0.0,
    lower: float = -1.0,
    upper: float = 1.0,
) -> NonsmoothGame:
    """Assemble a game with its constants from ``centres``, ``mean_tilts`` and ``noise`` (T, d), of norm ``spread``.

    ``tilde-sigma_t^2 = sigma_t^2 = s^2``. ``Sigma_t^2``: in coordinate j the slopes of h at two centres differ by up to
    ``m = min(2, |c_tj - c_{t-1,j}|/w)``, with the sign of the move, next to the change of the mean tilt; the largest
    square is summed over j. It is attained where the box reaches both flat parts of each h, and is a bound otherwise.
    ``G = max ||1 + |E a_t| || + s``. Raises ValueError on shapes that do not fit, entries that are not finite, noise
    longer than ``spread``, or an empty box.
    """
    c, means, xi = (np.ascontiguousarray(a, dtype=np.float64) for a in (centres, mean_tilts, noise))
    if c.ndim != 2 or not c.shape == means.shape == xi.shape:
        raise ValueError(f"centres.shape={c.shape}, {means.shape}, {xi.shape}: must be (T, d), the same for all three")
    if not (np.isfinite(c).all() and np.isfinite(means).all() and np.isfinite(xi).all()):
        raise ValueError("centres, mean_tilts, noise: must be finite, some entries are not")
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise ValueError(
            f"lower={lower!r}, upper={upper!r}: must be finite with lower < upper; the diameter is positive"
        )
    checked_amplitude("width", width)
    longest = float(np.max(np.linalg.norm(xi, axis=1)))
    if longest > checked_amplitude("spread", spread) * (1.0 + 1e-9):
        raise ValueError(f"spread={spread!r}: must be at least {longest:.6g}, the largest norm of the noise")
    horizon, d = c.shape
    moved, tilted = np.diff(c, axis=0), np.diff(means, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        jump = np.where(moved == 0.0, 0.0, np.minimum(2.0, np.abs(moved) / width))
    # h'(x - c_t) - h'(x - c_{t-1}) fills [-jump, 0] or [0, jump] as x runs over the line.
    extreme = np.maximum(np.abs(tilted), np.abs(tilted - np.sign(moved) * jump))
    drift = np.sum(extreme**2, axis=1)
    constants = SeaConstants(
        horizon=checked_rounds(horizon),
        dimension=d,
        diameter=(upper - lower) * float(np.sqrt(d)),
        gradient=float(np.max(np.linalg.norm(1.0 + np.abs(means), axis=1))) + spread,
        smoothness=np.inf if width == 0.0 else 1.0 / width,
        strong_convexity=0.0,
        exp_concavity=0.0,
        variance=horizon * spread**2,
        variance_max=spread**2,
        uniform_variance=horizon * spread**2,
        variation=float(drift.sum()),
        variation_max=float(drift.max()),
    )
    return NonsmoothGame(c, means + xi, means, float(width), float(lower), float(upper), constants)


def kink_values(game: NonsmoothGame, points: npt.ArrayLike) -> Array:
    """Return ``sum_j h(x_tj - c_tj)`` (T,) at points (T, d), or at one point (d,) in all rounds."""
    z = np.abs(np.asarray(points, dtype=np.float64) - game.centres)
    if game.width > 0.0:
        z = np.where(z <= game.width, z**2 / (2.0 * game.width), z - 0.5 * game.width)
    return np.asarray(np.sum(z, axis=1))


def mean_loss_gaps(game: NonsmoothGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return ``F_t(x_t) - F_t(u_t)`` (T,) for iterates (T, d) and a comparator (d,) or (T, d) in the box.

    Raises ValueError on other shapes or a comparator outside the box.
    """
    return _gaps(game, game.mean_tilts, iterates, comparator)


def drawn_loss_gaps(game: NonsmoothGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return ``f_t(x_t) - f_t(u_t)`` (T,); arguments and errors as in `mean_loss_gaps`."""
    return _gaps(game, game.tilts, iterates, comparator)


def linear_regret(game: NonsmoothGame, gradients: npt.ArrayLike, iterates: npt.ArrayLike) -> float:
    """Return ``max_u sum_t <g_t, x_t - u>`` over the box, a corner; arrays (T, d)."""
    g, x = np.asarray(gradients, dtype=np.float64), np.asarray(iterates, dtype=np.float64)
    if g.shape != game.tilts.shape or x.shape != game.tilts.shape:
        raise ValueError(f"gradients.shape={g.shape}, iterates.shape={x.shape}: must both be {game.tilts.shape}")
    if not np.isfinite(g).all():
        raise ValueError(f"gradients: row {int(np.argmin(np.isfinite(g).all(axis=1)))} is not finite; did it diverge?")
    total = g.sum(axis=0)
    return float(np.sum(g * x) - np.sum(np.minimum(total * game.lower, total * game.upper)))


def best_fixed_point(game: NonsmoothGame) -> Array:
    """Return the minimiser (d,) of ``sum_t F_t`` over the box."""
    return _best_point(game, game.mean_tilts)


def best_drawn_point(game: NonsmoothGame) -> Array:
    """Return the minimiser (d,) of ``sum_t f_t`` over the box, the best point in hindsight."""
    return _best_point(game, game.tilts)


def minimiser_path(game: NonsmoothGame) -> Array:
    """Return the path ``u_t = argmin F_t`` (T, d): ``c_t - w E a_t`` where the mean tilt is at most 1, else a bound."""
    slope = game.mean_tilts
    inner = np.clip(game.centres - game.width * slope, game.lower, game.upper)
    return np.where(np.abs(slope) <= 1.0, inner, np.where(slope > 0.0, game.lower, game.upper))


def _best_point(game: NonsmoothGame, tilts: Array) -> Array:
    """Minimise the sum of all rounds with the given tilts (T, d), coordinate by coordinate."""
    sums = tilts.sum(axis=0)
    columns = range(game.dimension)
    best = [_minimise_kinks(game.centres[:, j], float(sums[j]), game.width) for j in columns]
    return np.clip(np.array(best), game.lower, game.upper)


def _minimise_kinks(centres: Array, tilt: float, width: float) -> float:
    """Return the minimiser over the line of ``sum_t h(x - c_t) + tilt x``, centres (T,); infinite beyond all slopes.

    The derivative is non-decreasing and piecewise linear (a staircase for absolute values) with breaks at ``c_t +- w``.
    It is evaluated on both sides of each break; the first break where it is no longer negative ends the piece that
    holds the root.
    """
    places, counts = np.unique(centres, return_counts=True)
    breaks = np.unique(np.concatenate((places - width, places + width)))
    if tilt > centres.size or tilt < -centres.size:
        return -np.inf if tilt > 0.0 else np.inf

    def slope(x: float, side: float) -> float:
        z = x - places
        rise = np.clip(z / width, -1.0, 1.0) if width > 0.0 else np.where(z == 0.0, side, np.sign(z))
        return float(counts @ rise) + tilt

    low, high = 0, breaks.size - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if slope(breaks[middle], 1.0) >= 0.0 else (middle + 1, high)
    before = slope(breaks[low], -1.0)
    if low == 0 or width == 0.0 or before <= 0.0:
        return float(breaks[low])
    start = slope(breaks[low - 1], 1.0)
    return float(breaks[low - 1] - start * (breaks[low] - breaks[low - 1]) / (before - start))


def _gaps(game: NonsmoothGame, tilts: Array, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return the loss gaps (T,) with the given tilts; check the comparator."""
    x, u = np.asarray(iterates, dtype=np.float64), np.asarray(comparator, dtype=np.float64)
    if x.shape != tilts.shape or u.shape not in (tilts.shape, tilts.shape[1:]):
        raise ValueError(f"iterates.shape={x.shape}, comparator.shape={u.shape}: must be {tilts.shape}, or (d,) for u")
    slack = 1e-9 * (game.upper - game.lower)
    if not (np.min(u) >= game.lower - slack and np.max(u) <= game.upper + slack):
        found = f"{np.min(u):.6g}..{np.max(u):.6g}"
        raise ValueError(f"comparator: its entries span {found}, must lie in [{game.lower!r}, {game.upper!r}]; clip")
    return np.asarray(kink_values(game, x) - kink_values(game, u) + np.einsum("td,td->t", tilts, x - u))
