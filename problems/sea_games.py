"""Games of the stochastically extended adversarial model: the instances, their losses and what they certify.

In round t nature picks a distribution of losses with mean ``F_t`` and draws ``f_t`` from it; the learner plays ``x_t``
in a set X before it sees ``f_t``. Notation is that of Chen, Zhang, Tu, Zhao and Zhang, Optimistic Online Mirror Descent
for Bridging Stochastic and Adversarial Online Convex Optimization, JMLR 25(178), 2024. Three families of losses:
quadratics on a centred ball, least squares on a ball (a quadratic game with targets), and separable losses with kinks
on a box. Generators are in `problems.sea_quadratic_games`, `problems.sea_drifting_games` and
`problems.sea_nonsmooth_games`, best points and regrets in `problems.comparators`.

Every array is C-contiguous float64, so that it goes to a compiled kernel as it is. Round t of the text is row t - 1.
"""

from dataclasses import dataclass
from math import exp, lgamma, pi, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.sea_constants import SeaConstants

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class QuadraticGame:
    """``f_t(x) = x'Hx/2 - <c_t, x> + <xi_t, x> + (k_t/2) <v_t, x>^2`` on the ball of ``radius`` R, ``D = 2R``.

    ``hessian`` is ``H`` (d, d), symmetric; ``tilts`` are ``c_t`` (T, d); ``noise`` is ``xi_t`` (T, d), of conditional
    mean zero; ``curvatures`` are ``k_t = s_E e_t`` with random signs ``e_t`` (T,), ``directions`` ``v_t`` (T, d) unit
    vectors. A game without random curvature has shapes (0,) and (0, d). So ``F_t(x) = x'Hx/2 - <c_t, x>``, and
    ``grad f_t(x) = Hx - c_t + xi_t + k_t <v_t, x> v_t``. Individual losses need not be convex where ``F_t`` is.
    ``variances`` (T,) are ``sigma_t^2``, ``uniform_variances`` (T,) ``tilde-sigma_t^2``, both exact and conditional on
    the past.
    """

    hessian: Array
    tilts: Array
    noise: Array
    curvatures: Array
    directions: Array
    radius: float
    variances: Array
    uniform_variances: Array
    constants: SeaConstants

    @property
    def horizon(self) -> int:
        """The number of rounds T."""
        return int(self.tilts.shape[0])

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.tilts.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class LeastSquaresGame:
    """``f_t(x) = ||Bx - y_t||^2 / 2`` on a centred ball: exp-concave losses, not strongly convex if B has a kernel.

    ``design`` is ``B`` (m, d), ``targets`` are ``y_t`` (T, m). ``quadratic`` is the same game, up to constants that no
    regret sees, with ``H = B'B``, ``c_t`` the mean of ``B'y_t`` and ``xi_t`` its noise; learners play that one.
    """

    design: Array
    targets: Array
    quadratic: QuadraticGame

    @property
    def constants(self) -> SeaConstants:
        """The constants, with the exp-concavity ``alpha = 1 / max ||Bx - y||^2``."""
        return self.quadratic.constants


@dataclass(frozen=True, slots=True, eq=False)
class NonsmoothGame:
    """``f_t(x) = sum_j h(x_j - c_tj) + <a_t, x>`` on the box ``[lower, upper]^d``, with h = |.| or Huber's function.

    ``centres`` are ``c_t`` (T, d), not random; ``tilts`` are ``a_t`` (T, d); ``mean_tilts`` ``E a_t`` (T, d).
    ``width`` is w of Huber's ``h(z) = z^2 / (2w)`` for ``|z| <= w``, else ``|z| - w/2``; 0 means the absolute value.
    """

    centres: Array
    tilts: Array
    mean_tilts: Array
    width: float
    lower: float
    upper: float
    constants: SeaConstants

    @property
    def horizon(self) -> int:
        """The number of rounds T."""
        return int(self.tilts.shape[0])

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.tilts.shape[1])


def quadratic_game(
    hessian: npt.ArrayLike,
    tilts: npt.ArrayLike,
    noise: npt.ArrayLike,
    *,
    radius: float = 1.0,
    variances: npt.ArrayLike = 0.0,
    gradient: float | None = None,
    curvature: float = 0.0,
    signs: npt.ArrayLike | None = None,
    directions: npt.ArrayLike | None = None,
    exp_concavity: float = 0.0,
) -> QuadraticGame:
    """Assemble a `QuadraticGame` with its constants from ``hessian`` (d, d), ``tilts`` and ``noise`` (T, d).

    ``variances`` of the linear noise, a number or (T,); random curvature adds ``s_E^2 R^2 / d`` to them for directions
    uniform on the sphere and independent fair ``signs`` (T,), ``curvature`` being s_E. The uniform variance adds, by
    the point ``x = R v_t`` or its negative, ``s_E^2 R^2 + 2 s_E R E|<xi_t, v_t>|``, with ``E|<xi, v>| = s E|v_1|`` for
    ``||xi_t|| = s``, s^2 being the linear variance. ``gradient`` is G; by default ``||H|| R + max(||c_t|| + ||xi_t||)
    + s_E R``, right where the norm of the noise is not random. Raises ValueError on shapes that do not fit, entries
    that are not finite, an asymmetric Hessian, a horizon below 2 or a radius that is not positive.
    """
    c, xi = _checked("tilts", tilts, 2), _checked("noise", noise, 2)
    horizon, d = c.shape
    h = _checked("hessian", hessian, 2)
    if checked_rounds(horizon) != xi.shape[0] or xi.shape[1] != d or h.shape != (d, d):
        raise ValueError(f"noise.shape={xi.shape}, hessian.shape={h.shape}: must be ({horizon}, {d}) and ({d}, {d})")
    if not np.allclose(h, h.T, rtol=0.0, atol=1e-12 * (1.0 + float(np.max(np.abs(h))))):
        raise ValueError("hessian: must be symmetric up to rounding; pass (H + H.T) / 2")
    checked_positive("radius", radius)
    linear = np.broadcast_to(np.asarray(variances, dtype=np.float64), (horizon,))
    e = np.empty(0) if signs is None else curvature * _checked("signs", signs, 1)
    v = np.empty((0, d)) if directions is None else _checked("directions", directions, 2)
    if e.size not in (0, horizon) or v.shape != (e.size, d):
        raise ValueError(f"signs.shape={e.shape}, directions.shape={v.shape}: must be one a round, or both left out")
    bent = curvature * radius if e.size else 0.0
    sigma = linear + bent**2 / d
    uniform = linear + bent**2 + 2.0 * bent * np.sqrt(linear) * mean_absolute_coordinate(d)
    eigenvalues = np.linalg.eigvalsh(h)
    smooth = float(np.max(np.abs(eigenvalues)))
    if gradient is None:
        gradient = smooth * radius + bent + float(np.max(np.linalg.norm(c, axis=1) + np.linalg.norm(xi, axis=1)))
    constants = _constants(c, sigma, uniform, 2.0 * radius, gradient, smooth, float(eigenvalues[0]), exp_concavity)
    return QuadraticGame(h, c, xi, e, v, float(radius), sigma, uniform, constants)


def first_rounds(game: QuadraticGame, rounds: int) -> QuadraticGame:
    """Return the game that stops after ``rounds`` T' >= 2 rounds, with the sums and maxima of that part.

    G, L, lambda and alpha stay those of the whole game. Raises ValueError unless T' is an integer in 2..T.
    """
    if checked_rounds(rounds) > game.horizon:
        raise ValueError(f"rounds={rounds!r}: must be at most {game.horizon}, the horizon of the game")
    k, whole = rounds if game.curvatures.size else 0, game.constants
    sigma, uniform = game.variances[:rounds], game.uniform_variances[:rounds]
    constants = _constants(
        game.tilts[:rounds],
        sigma,
        uniform,
        whole.diameter,
        whole.gradient,
        whole.smoothness,
        whole.strong_convexity,
        whole.exp_concavity,
    )
    return QuadraticGame(
        game.hessian,
        game.tilts[:rounds],
        game.noise[:rounds],
        game.curvatures[:k],
        game.directions[:k],
        game.radius,
        sigma,
        uniform,
        constants,
    )


def variations(tilts: npt.ArrayLike) -> Array:
    """Return ``Sigma_t^2 = ||c_t - c_{t-1}||^2`` (T,) for tilts (T, d); the first is 0, it has no predecessor."""
    steps = np.diff(_checked("tilts", tilts, 2), axis=0)
    return np.concatenate(([0.0], np.einsum("td,td->t", steps, steps)))


def gradients(game: QuadraticGame, points: npt.ArrayLike) -> Array:
    """Return ``grad f_t(x_t)`` (T, d) at ``points`` (T, d), one a round, or (d,), the same in every round."""
    x = np.broadcast_to(np.asarray(points, dtype=np.float64), game.tilts.shape)
    g = mean_gradients(game, x) + game.noise
    if game.curvatures.size:
        g += (game.curvatures * np.einsum("td,td->t", game.directions, x))[:, None] * game.directions
    return np.ascontiguousarray(g)


def mean_gradients(game: QuadraticGame, points: npt.ArrayLike) -> Array:
    """Return ``grad F_t(x_t) = H x_t - c_t`` (T, d) at ``points`` (T, d) or (d,)."""
    x = np.broadcast_to(np.asarray(points, dtype=np.float64), game.tilts.shape)
    return np.ascontiguousarray(x @ game.hessian - game.tilts)


def mean_absolute_coordinate(dimension: int) -> float:
    """Return ``E|v_1|`` for v uniform on the unit sphere of R^d: ``Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2))``.

    >>> mean_absolute_coordinate(1), mean_absolute_coordinate(3)
    (1.0, 0.5)
    """
    return round(exp(lgamma(dimension / 2) - lgamma((dimension + 1) / 2)) / sqrt(pi), 15)


def sphere(count: int, dimension: int, rng: np.random.Generator) -> Array:
    """Return ``count`` independent uniform points of the unit sphere of R^d, (n, d); fair signs for d = 1."""
    drawn = rng.standard_normal((count, dimension))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def rotation(dimension: int, rng: np.random.Generator) -> Array:
    """Return a random orthogonal matrix (d, d), the Q of a Gaussian matrix."""
    return np.asarray(np.linalg.qr(rng.standard_normal((dimension, dimension)))[0])


def checked_rounds(rounds: int, name: str = "T") -> int:
    """Return the number of rounds; raise ValueError unless it is an integer of at least 2."""
    if isinstance(rounds, bool) or not isinstance(rounds, (int, np.integer)) or rounds < 2:
        raise ValueError(f"{name}={rounds!r}: must be an integer of at least 2 rounds; regret compares rounds")
    return int(rounds)


def checked_positive(name: str, value: float) -> float:
    """Return a positive finite number; raise ValueError otherwise."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name}={value!r}: must be positive and finite")
    return float(value)


def checked_amplitude(name: str, value: float) -> float:
    """Return a finite number of at least 0; raise ValueError otherwise."""
    if not (np.isfinite(value) and value >= 0.0):
        raise ValueError(f"{name}={value!r}: must be finite and at least 0")
    return float(value)


def checked_count(name: str, value: int, largest: int | None = None) -> int:
    """Return a positive integer, at most ``largest``; raise ValueError otherwise."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
    if not fits or (largest is not None and value > largest):
        allowed = "a positive integer" if largest is None else f"an integer in 1..{largest}"
        raise ValueError(f"{name}={value!r}: must be {allowed}")
    return int(value)


def _constants(
    tilts: Array,
    sigma: Array,
    uniform: Array,
    diameter: float,
    gradient: float,
    smoothness: float,
    strong_convexity: float,
    exp_concavity: float,
) -> SeaConstants:
    """Sum and maximise the sequences; a smallest eigenvalue of H that is zero up to rounding counts as zero."""
    drift = variations(tilts)
    flat = abs(strong_convexity) <= 1e-12 * (1.0 + smoothness)
    return SeaConstants(
        horizon=tilts.shape[0],
        dimension=tilts.shape[1],
        diameter=diameter,
        gradient=gradient,
        smoothness=smoothness,
        strong_convexity=0.0 if flat else strong_convexity,
        exp_concavity=exp_concavity,
        variance=float(sigma.sum()),
        variance_max=float(sigma.max()),
        uniform_variance=float(uniform.sum()),
        variation=float(drift.sum()),
        variation_max=float(drift.max()),
    )


def _checked(name: str, values: npt.ArrayLike, axes: int) -> Array:
    """Return a contiguous float64 array with that many axes; raise ValueError on others or entries not finite."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    if checked.ndim != axes or checked.size == 0:
        raise ValueError(f"{name}.shape={checked.shape}: must have {axes} axes, none empty")
    if not np.isfinite(checked).all():
        raise ValueError(f"{name}: must be finite, {int(np.sum(~np.isfinite(checked)))} entries are not")
    return checked
