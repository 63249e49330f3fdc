"""The hypotheses A1 to A8 of the games, measured again on the losses that were drawn.

Numbers of the assumptions as in Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024. What a certificate reports is
exact or errs to the safe side: gradients too large, curvatures too small. That the noise has mean zero and is drawn
from ``rng`` after the mean losses are fixed holds by construction.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.comparators import minimise_on_ball
from problems.label_shift import LabelShiftGame
from problems.sea_games import LeastSquaresGame, NonsmoothGame, QuadraticGame, variations

Array = npt.NDArray[np.float64]

ROUNDS_TOGETHER = 4096  # Hessians of single rounds formed at once


@dataclass(frozen=True, slots=True)
class SeaCertificate:
    """What holds for a drawn game, plain floats.

    ``gradient`` (A1) is the largest ``||grad f_t(x)||`` over the set and all rounds. ``diameter`` (A2).
    ``variation_max`` (A3) is the largest ``Sigma_t^2``. ``smoothness`` (A4) and ``convexity`` (A5, A6) are the largest
    modulus and the smallest value of the eigenvalues of the Hessian of ``F_t``, ``individual_convexity`` (A8) the
    smallest over all ``f_t``, for label shift the smallest weight, which has the same sign. ``exp_concavity`` (A7) is
    that of all ``f_t``, 0 if none was computed.
    """

    gradient: float
    diameter: float
    variation_max: float
    smoothness: float
    convexity: float
    individual_convexity: float
    exp_concavity: float


def certify_quadratic(game: QuadraticGame) -> SeaCertificate:
    """Certify a quadratic game; with random curvature its largest gradient errs by at most ``2 max |k_t| R``."""
    eigenvalues = np.linalg.eigvalsh(game.hessian)
    reached = _largest_residual(game.hessian, game.tilts - game.noise, game.radius)
    bent = float(np.max(np.abs(game.curvatures))) if game.curvatures.size else 0.0
    return SeaCertificate(
        gradient=reached + bent * game.radius,
        diameter=2.0 * game.radius,
        variation_max=float(variations(game.tilts).max()),
        smoothness=float(np.max(np.abs(eigenvalues))),
        convexity=float(eigenvalues[0]),
        individual_convexity=_individual_convexity(game),
        exp_concavity=0.0,
    )


def certify_least_squares(game: LeastSquaresGame) -> SeaCertificate:
    """Certify a least-squares game; exp-concavity is ``1 / max ||Bx - y_t||^2`` over the ball and the drawn targets."""
    plain = certify_quadratic(game.quadratic)
    residual = _largest_residual(game.design, game.targets, game.quadratic.radius)
    return SeaCertificate(
        plain.gradient,
        plain.diameter,
        plain.variation_max,
        plain.smoothness,
        plain.convexity,
        plain.individual_convexity,
        1.0 / residual**2,
    )


def certify_nonsmooth(game: NonsmoothGame) -> SeaCertificate:
    """Certify a game with kinks: every loss is convex by its form, and ``|h'| <= 1`` in each coordinate."""
    return SeaCertificate(
        gradient=float(np.max(np.linalg.norm(1.0 + np.abs(game.tilts), axis=1))),
        diameter=(game.upper - game.lower) * float(np.sqrt(game.dimension)),
        variation_max=game.constants.variation_max,
        smoothness=np.inf if game.width == 0.0 else 1.0 / game.width,
        convexity=0.0,
        individual_convexity=0.0,
        exp_concavity=0.0,
    )


def certify_label_shift(game: LabelShiftGame) -> SeaCertificate:
    """Certify a label-shift game: ``sum_k w_k R_k`` is convex if no weight is negative; a negative one voids that."""
    return SeaCertificate(
        gradient=float(np.max(np.sum(np.abs(game.weights), axis=1))) * game.class_gradient,
        diameter=2.0 * game.radius,
        variation_max=game.constants.variation_max,
        smoothness=game.constants.smoothness,
        convexity=0.0,
        individual_convexity=min(0.0, float(game.weights.min())),
        exp_concavity=0.0,
    )


def _largest_residual(matrix: Array, targets: Array, radius: float) -> float:
    """Return ``max ||Bx - y_t||`` over the ball and all rounds, exactly, for B (m, d) and targets (T, m).

    Maximising a convex quadratic is minimising a concave one, which `minimise_on_ball` does globally. A round whose
    ``||y_t|| + ||B|| R`` stays below what the longest target reaches cannot hold the maximum and is left out.
    """
    lengths = np.linalg.norm(targets, axis=1)
    longest = int(np.argmax(lengths))
    reached = _residual(matrix, targets[longest : longest + 1], radius)
    rivals = lengths + float(np.linalg.norm(matrix, 2)) * radius > reached
    return max(reached, _residual(matrix, targets[rivals], radius)) if rivals.any() else reached


def _residual(matrix: Array, targets: Array, radius: float) -> float:
    """Return ``max ||Bx - y_t||`` over the ball and the rows of ``targets`` (n, m)."""
    gram = matrix.T @ matrix
    worst = minimise_on_ball(-(gram + gram.T), -2.0 * targets @ matrix, radius)
    return float(np.max(np.linalg.norm(worst @ matrix.T - targets, axis=1)))


def _individual_convexity(game: QuadraticGame) -> float:
    """Return the smallest eigenvalue of ``H + k_t v_t v_t'`` over all rounds."""
    smallest = float(np.linalg.eigvalsh(game.hessian)[0])
    if not game.curvatures.size:
        return smallest
    smallest = np.inf
    for first in range(0, game.horizon, ROUNDS_TOGETHER):
        v = game.directions[first : first + ROUNDS_TOGETHER]
        bent = game.curvatures[first : first + ROUNDS_TOGETHER, None, None] * v[:, :, None] * v[:, None, :]
        smallest = min(smallest, float(np.linalg.eigvalsh(game.hessian + bent).min()))
    return smallest
