"""Exact comparators and regrets for quadratic games on a ball: the best fixed point, the path of minimisers.

The best point of a ball for a quadratic of any sign is the solution of a trust-region problem, found from one
eigendecomposition and the secular equation. A regret is the sum of the gaps that the functions here return, one a
round, so a cumulative sum gives the regret after every round.
"""

import numpy as np
import numpy.typing as npt

from problems.sea_games import QuadraticGame, checked_positive

Array = npt.NDArray[np.float64]

BISECTIONS = 72  # of the logarithm of the multiplier, over 700 natural units: exact to rounding


def minimise_on_ball(hessian: npt.ArrayLike, linear: npt.ArrayLike, radius: float) -> Array:
    """Return the minimisers of ``x'Hx/2 - <c, x>`` over ``||x|| <= R`` for one ``c`` (d,) or each row of (n, d).

    Shape of ``linear``. ``H`` (d, d) symmetric may be indefinite: the minimum is global. With ``y`` and ``b``
    the coordinates of x and c in the eigenvectors, ``(lambda_i + nu) y_i = b_i`` for the smallest ``nu >= max(0,
    -lambda_min)`` with ``||y|| <= R``. Where ``b`` has no part in the lowest eigenspace of an indefinite H (the hard
    case) an eigenvector fills up the norm; of several minimisers in a flat direction the shortest is returned. Raises
    ValueError on shapes that do not fit, entries that are not finite, or a radius that is not positive.

    >>> minimise_on_ball([[2.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [3.0, 4.0]], 1.0)
    array([[0.5, 0. ],
           [0.6, 0.8]])
    """
    h, c = np.asarray(hessian, dtype=np.float64), np.asarray(linear, dtype=np.float64)
    rows = np.atleast_2d(c)
    if c.ndim not in (1, 2) or h.shape != (rows.shape[1], rows.shape[1]):
        raise ValueError(f"linear.shape={c.shape}, hessian.shape={h.shape}: must be (n, d) or (d,), and (d, d)")
    if not (np.isfinite(h).all() and np.isfinite(rows).all()):
        raise ValueError("hessian, linear: must be finite, some entries are not")
    checked_positive("radius", radius)
    eigenvalues, basis = np.linalg.eigh(h)
    scale = float(np.max(np.abs(eigenvalues)))
    eigenvalues[np.abs(eigenvalues) <= 1e-13 * scale] = 0.0
    lowest = min(float(eigenvalues[0]), 0.0)
    b = rows @ basis
    b[np.abs(b) <= 1e-14 * np.linalg.norm(rows, axis=1, keepdims=True)] = 0.0
    gaps = eigenvalues - lowest
    y = _shifted_solution(gaps, b, np.zeros(len(b)))
    norms = np.linalg.norm(y, axis=1)
    outside = norms > radius
    if lowest < 0.0:
        y[~outside, 0] = np.sqrt(radius**2 - norms[~outside] ** 2)
    if outside.any():
        y[outside] = _on_sphere(gaps, b[outside], radius)
    return np.asarray((y @ basis.T).reshape(c.shape))


def best_fixed_point(game: QuadraticGame) -> Array:
    """Return the minimiser (d,) of ``sum_t F_t`` over the ball; it does not depend on what was drawn.

    In the random-order model this depends on the order through the conditional means; use `best_drawn_point`, whose
    sum does not depend on the order.
    """
    return minimise_on_ball(game.hessian, game.tilts.mean(axis=0), game.radius)


def best_drawn_point(game: QuadraticGame) -> Array:
    """Return the minimiser (d,) of ``sum_t f_t`` over the ball, the best point in hindsight."""
    hessian = game.hessian
    if game.curvatures.size:
        hessian = hessian + (game.directions.T * game.curvatures) @ game.directions / game.horizon
    return minimise_on_ball(0.5 * (hessian + hessian.T), (game.tilts - game.noise).mean(axis=0), game.radius)


def minimiser_path(game: QuadraticGame) -> Array:
    """Return the path ``u_t = argmin F_t`` (T, d) over the ball."""
    return minimise_on_ball(game.hessian, game.tilts, game.radius)


def path_length(path: npt.ArrayLike) -> float:
    """Return ``P_T = sum_{t>=2} ||u_t - u_{t-1}||`` of a path (T, d).

    >>> path_length([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    5.0
    """
    return float(np.sum(np.linalg.norm(np.diff(np.asarray(path, dtype=np.float64), axis=0), axis=1)))


def mean_loss_gaps(game: QuadraticGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return ``F_t(x_t) - F_t(u_t)`` (T,), whose sum is the regret on the means.

    ``iterates`` are ``x_t`` (T, d), inside the ball or not; ``comparator`` is u (d,) or a path (T, d) in the ball. The
    difference is formed without subtracting losses. Raises ValueError on other shapes or a comparator outside.
    """
    x, u = _pair(game, iterates, comparator)
    step = x - u
    return np.asarray(np.einsum("td,td->t", step, 0.5 * (x + u) @ game.hessian - game.tilts))


def drawn_loss_gaps(game: QuadraticGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return ``f_t(x_t) - f_t(u_t)`` (T,), whose sum is the regret on the losses drawn; arguments as above."""
    x, u = _pair(game, iterates, comparator)
    step = x - u
    gaps = mean_loss_gaps(game, iterates, comparator) + np.einsum("td,td->t", step, game.noise)
    if game.curvatures.size:
        along = np.einsum("td,td->t", step, game.directions) * np.einsum("td,td->t", x + u, game.directions)
        gaps = gaps + 0.5 * game.curvatures * along
    return np.asarray(gaps)


def linear_regret(gradients: npt.ArrayLike, iterates: npt.ArrayLike, radius: float) -> float:
    """Return ``max_u sum_t <g_t, x_t - u>`` over the ball: ``sum_t <g_t, x_t> + R ||sum_t g_t||``, arrays (T, d).

    >>> linear_regret([[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]], 1.0)
    1.0
    """
    g, x = np.asarray(gradients, dtype=np.float64), np.asarray(iterates, dtype=np.float64)
    if g.ndim != 2 or g.shape != x.shape:
        raise ValueError(f"gradients.shape={g.shape}, iterates.shape={x.shape}: must both be (T, d)")
    if not np.isfinite(g).all():
        raise ValueError(f"gradients: row {int(np.argmin(np.isfinite(g).all(axis=1)))} is not finite; did it diverge?")
    return float(np.sum(g * x) + checked_positive("radius", radius) * np.linalg.norm(g.sum(axis=0)))


def _pair(game: QuadraticGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> tuple[Array, Array]:
    """Return iterates and comparators as (T, d); raise ValueError on other shapes or a comparator outside the ball."""
    x, u = np.asarray(iterates, dtype=np.float64), np.asarray(comparator, dtype=np.float64)
    if x.shape != game.tilts.shape:
        raise ValueError(f"iterates.shape={x.shape}: must be {game.tilts.shape}, one point a round")
    if u.shape not in (game.tilts.shape, game.tilts.shape[1:]):
        raise ValueError(f"comparator.shape={u.shape}: must be {game.tilts.shape[1:]} or {game.tilts.shape}")
    norm = float(np.max(np.linalg.norm(np.atleast_2d(u), axis=1)))
    # The negated comparison also catches NaN.
    if not norm <= game.radius * (1.0 + 1e-9):
        raise ValueError(f"comparator: its largest norm is {norm:.6g}, must be at most radius={game.radius!r}; project")
    return x, np.broadcast_to(u, x.shape)


def _shifted_solution(gaps: Array, b: Array, shift: Array) -> Array:
    """Return ``b_i / (gaps_i + shift)`` (n, d), with 0/0 = 0: a direction that is flat and not asked for stays at 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(b == 0.0, 0.0, b / (gaps + shift[:, None]))


def _on_sphere(gaps: Array, b: Array, radius: float) -> Array:
    """Return the y (n, d) of norm R with ``(gaps_i + mu) y_i = b_i``, mu > 0; the norm falls as mu grows."""
    high = np.log(np.linalg.norm(b, axis=1) / radius) + 1.0
    low = high - 700.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        long = np.linalg.norm(_shifted_solution(gaps, b, np.exp(middle)), axis=1) > radius
        low, high = np.where(long, middle, low), np.where(long, high, middle)
    y = _shifted_solution(gaps, b, np.exp(high))
    return np.asarray(y * (radius / np.linalg.norm(y, axis=1, keepdims=True)))
