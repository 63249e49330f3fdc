"""What several claims of this paper play, measure or audit in the same way."""

import numpy as np

from problems.sea_certificates import SeaCertificate, certify_quadratic
from problems.sea_games import QuadraticGame
from theorylab.algorithms.online_bounds import optimism_offset
from theorylab.algorithms.online_learners import Learner, adaptive_step, optimistic_omd
from theorylab.algorithms.online_losses import SmoothLosses, quadratic_losses
from theorylab.algorithms.sea_constants import SeaConstants
from theorylab.audit import Hypothesis, certified

GRADIENT = r"A1: $\|\nabla f_t(x)\| \le G$ on $X$ for every drawn loss"
DIAMETER = r"A2: $X$ contains the origin and has diameter at most $D$"
SMOOTH = r"A4: $F_t$ is $L$-smooth"
CONVEX = r"A5: $F_t$ is convex; the drawn losses need not be"
STRONG = r"A6: $F_t$ is $\lambda$-strongly convex, $\lambda > 0$"

CONVEX_GAME = {"gradient": GRADIENT, "diameter": DIAMETER, "smooth": SMOOTH, "convex": CONVEX}
STRONG_GAME = {"gradient": GRADIENT, "diameter": DIAMETER, "smooth": SMOOTH, "strong": STRONG}

ROUNDING = 1e-9


def drawn_losses(game: QuadraticGame) -> SmoothLosses:
    """Return the drawn losses of a quadratic game as learners take them."""
    return quadratic_losses(game.hessian, game.tilts - game.noise, game.curvatures, game.directions)


def convex_learner(c: SeaConstants) -> Learner:
    """Return optimistic mirror descent with step (10) of Theorem 1."""
    return optimistic_omd(adaptive_step(c.diameter, optimism_offset(c) + 4.0 * c.gradient**2))


def audited_convex_game(game: QuadraticGame) -> dict[str, Hypothesis]:
    """Certify the hypotheses `CONVEX_GAME` on a drawn quadratic game; measured are G, D, L and the least curvature."""
    found = certify_quadratic(game)
    least = certified(found.convexity, at_least=-ROUNDING * (1.0 + found.smoothness), note="least eigenvalue")
    return audited_smooth(game.constants, found) | {"convex": least}


def audited_strong_game(game: QuadraticGame) -> dict[str, Hypothesis]:
    """Certify the hypotheses `STRONG_GAME` on a drawn quadratic game; lambda is the one the step is made from."""
    found, modulus = certify_quadratic(game), game.constants.strong_convexity
    least = certified(found.convexity, at_least=modulus * (1.0 - ROUNDING), note="least eigenvalue; lambda")
    if not modulus > 0.0:
        least = certified(modulus, at_least=np.finfo(float).tiny, note="lambda")
    return audited_smooth(game.constants, found) | {"strong": least}


def audited_smooth(c: SeaConstants, found: SeaCertificate) -> dict[str, Hypothesis]:
    """Certify that the constants G, D and L of the bounds hold for the losses that were drawn."""
    return {
        "gradient": certified(found.gradient, at_most=c.gradient * (1.0 + ROUNDING), note="largest gradient; G"),
        "diameter": certified(found.diameter, at_most=c.diameter * (1.0 + ROUNDING), note="D"),
        "smooth": certified(found.smoothness, at_most=c.smoothness * (1.0 + ROUNDING) + 1e-12, note="L"),
    }
