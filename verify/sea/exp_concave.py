"""Exp-concave losses: optimistic online Newton, Theorem 5, and its follow-the-leader counterpart, Theorem 6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.sea_certificates import certify_least_squares
from problems.sea_games import LeastSquaresGame
from problems.sea_quadratic_games import least_squares
from theorylab.algorithms import online_bounds as bounds
from theorylab.algorithms import online_certificates as certificates
from theorylab.algorithms.online_learners import Played
from theorylab.algorithms.online_newton import exp_concave_ftrl, exp_concave_rate, optimistic_newton
from theorylab.audit import Hypothesis, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun, InExpectation, Ordered
from verify.sea import PAPER
from verify.sea.measures import DIAMETER, GRADIENT, ROUNDING, SMOOTH, audited_smooth, drawn_losses
from verify.sea.trajectories import constants_at, drawn_regrets, mean_regrets, share, worst

Array = npt.NDArray[np.float64]
Rounds = npt.NDArray[np.int64]

GAMES = {"R=0.1, s=0.5": (0.1, 0.5), "R=1, s=0.5": (1.0, 0.5), "R=1, s=0.05": (1.0, 0.05)}
SMALL = "R=0.1, s=0.5"  # the game on which a wrong beta shows
FIRST, EXPONENT = 1000, 0.6  # regret may grow like (T/1000)^0.6 from T = 1000 on, as the logarithm only begins there
SWEEP = Sweep(
    name="T",
    label="rounds, T",
    quick=(4000, 8000),
    full=(4000, 8000, 16000, 32000, 64000),
    along_trajectory=True,
)
HYPOTHESES = {
    "gradient": GRADIENT,
    "diameter": DIAMETER,
    "smooth": SMOOTH,
    "exp-concave": r"A7: every drawn $f_t$ is $\alpha$-exp-concave on $X$",
}
CONTROLS = [Control("β ten thousand times too large", scale=1e4), Control("β ten thousand times too small", scale=1e-4)]


def _audited(games: Sequence[LeastSquaresGame]) -> dict[str, Hypothesis]:
    """Certify `HYPOTHESES` on all games: alpha is the inverse of the largest squared residual over the ball."""
    reports = []
    for game in games:
        found, c = certify_least_squares(game), game.constants
        alpha = certified(found.exp_concavity, at_least=c.exp_concavity * (1.0 - ROUNDING), note="alpha")
        reports.append(audited_smooth(c, found) | {"exp-concave": alpha})
    return worst(reports, least=("exp-concave",))


def _draw(T: Rounds, rng: np.random.Generator) -> dict[str, LeastSquaresGame]:
    return {name: least_squares(int(T[-1]), rng, radius=R, spread=s) for name, (R, s) in GAMES.items()}


def _play(game: LeastSquaresGame, T: Rounds, learner: Callable[..., Played], scale: float) -> tuple[Played, float]:
    """Play with ``scale`` times the rate beta of the theorems and return it; the round `FIRST` is recorded too."""
    c = game.constants
    beta = scale * exp_concave_rate(c.diameter, c.gradient, c.exp_concavity)
    rounds = np.concatenate(([FIRST], T))
    radius = game.quadratic.radius
    losses = drawn_losses(game.quadratic)
    return learner(losses, radius=radius, beta=beta, gradient=c.gradient, checkpoints=rounds), beta


@claim(
    PAPER,
    source="Theorem 5; pathwise form and second bound re-derived",
    guarantee="upper bound",
    sweep=SWEEP,
    replicates=Replicates(quick=8, full=12),
    judges=[
        EveryRun(measured="share of the path's bound", at_most=1.0),
        InExpectation(measured=f"regret, {SMALL}", at_most="power 0.6 of T"),
        *(
            InExpectation(measured=f"regret, {game}", at_most=f"{bound}, {game}")
            for game in GAMES
            for bound in ("Theorem 5", "re-derived")
        ),
    ],
    controls=CONTROLS,
    hypotheses=HYPOTHESES,
)
def expconcave(T: Rounds, rng: np.random.Generator, *, scale: float = 1.0) -> dict[str, Any]:
    r"""Optimistic online Newton pays a logarithm on exp-concave losses, on every path and in expectation.

    **Problem.** $f_t(x) = \frac12\|Bx-y_t\|^2$ on the ball of radius $R$ in $\mathbb R^5$, $B$ a random $3\times5$
    matrix of norm 1, $y_t = Bu_0 + s\cdot$(random unit vector): exp-concave with $\alpha = 1/\max\|Bx-y\|^2$, and not
    strongly convex. $(R,s) = (0.1, 0.5), (1, 0.5), (1, 0.05)$.

    **Algorithm.** Mirror descent with the hint $g_{t-1}$ in the norm of $H_t = (1+\frac{\beta G^2}2)I + \frac\beta2
    \sum_{s<t}g_sg_s^\top$, $\beta = \frac12\min(\frac1{4GD},\alpha)$, and unit steps.

    **Guarantee** (upper bound). On every path, for every $u$, with $w_t = \|g_t-g_{t-1}\|^2_{H_t^{-1}}$ (re-derived)
    $$\sum f_t(x_t)-f_t(u) \le \tfrac12(1+\tfrac{\beta G^2}2)\|u\|^2 + 2\sum w_t - \tfrac14\sum\|x_t-x_{t-1}\|^2, \quad
    \sum w_t \le \tfrac{8d}\beta\ln(1+\tfrac{\beta V_T}{8d}).$$
    In expectation, Theorem 5: $\frac{16d}\beta\ln(\frac\beta d\sigma^2+\frac\beta{2d}\Sigma^2+\frac\beta{8d}G^2+1) +
    \frac{16d}\beta\ln(32L^2+1) + D^2(1+\frac{\beta G^2}2)$; re-derived, the path's bound with $V_T \le W + 4L^2\sum
    \|x_t-x_{t-1}\|^2$, maximised over the moves.

    **Measured.** The largest share, over games and rounds so far, of regret against the best $u$ in hindsight in the
    path's bound, and of $\sum w_t$ in its own: at most 1. Regret on the means against the bounds. And as these are 80
    times larger, the growth of regret in the first game from $T = 1000$ on: at most like $T^{0.6}$, between the
    logarithm, which starts at $T\gg 8d/(\beta\sigma_t^2)$, and the linear growth of a learner with the wrong $\beta$.

    **Chosen after measuring.** The comparison with a growth of T^0.6 replaces a fitted slope below 0.6, which its
    guard against bends would leave undecided; it was chosen after measuring, the exponent before.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang (2024), Theorem 5.
    """
    games, found, shares = _draw(T, rng), {}, []
    for name, game in games.items():
        played, beta = _play(game, T, optimistic_newton, scale)
        c = game.constants
        regrets, norms = drawn_regrets(game.quadratic, played)
        path = [
            certificates.online_newton(w, moved, norm, beta, c.gradient)
            for w, moved, norm in zip(played.weighted_variations, played.movements, norms, strict=True)
        ]
        errors = certificates.newton_error_sum(played.variations, c.dimension, beta)
        shares += [share(regrets, np.array(path)), share(played.weighted_variations, errors)]
        found[f"regret, {name}"] = mean_regrets(game.quadratic, played)
        constants = constants_at(game.quadratic, T)
        found[f"Theorem 5, {name}"] = np.array([bounds.exp_concave_omd(k) for k in constants])
        found[f"re-derived, {name}"] = np.array([bounds.exp_concave_omd_rederived(k) for k in constants])
    return _joined(found, shares, T) | (_audited(list(games.values())) if scale == 1.0 else {})


@claim(
    PAPER,
    source="Theorem 6 and its inequality (58)",
    guarantee="upper bound",
    sweep=SWEEP,
    replicates=Replicates(quick=12, full=12),
    judges=[
        EveryRun(measured="share of the path's bound", at_most=1.0),
        InExpectation(measured=f"regret, {SMALL}", at_most="power 0.6 of T"),
        *(InExpectation(measured=f"regret, {game}", at_most=f"Theorem 6, {game}") for game in GAMES),
        Ordered(smaller=f"regret, {SMALL}", larger="regret of online Newton"),
    ],
    controls=CONTROLS,
    hypotheses=HYPOTHESES,
)
def expconcave_oftrl(T: Rounds, rng: np.random.Generator, *, scale: float = 1.0) -> dict[str, Any]:
    r"""Optimistic follow the leader on exp-concave losses pays a logarithm with a quarter of the constant.

    **Problem.** The three games of `expconcave`.

    **Algorithm.** $x_{t+1}$ minimises $\frac12(1+\beta G^2)\|x\|^2 + \sum_{s\le t}[\langle g_s,x-x_s\rangle +
    \frac\beta2\langle g_s,x-x_s\rangle^2] + \langle g_t,x\rangle$; $H_t = (1+\beta G^2)I + \beta\sum_{s<t}g_sg_s^\top$.

    **Guarantee** (upper bound). On every path, (58): $\sum f_t(x_t)-f_t(u) \le \frac12(1+\beta G^2)\|u\|^2 + \sum w_t$
    with $w_t = \|g_t-g_{t-1}\|^2_{H_t^{-1}}$, $\sum w_t \le \frac{4d}\beta\ln(1+\frac{\beta V_T}{4d})$. In expectation,
    Theorem 6: $\frac{4d}\beta\ln(\frac{2\beta}d\sigma^2+\frac\beta d\Sigma^2+\frac\beta{4d}G^2+1) +
    \frac{4d}\beta\ln(16L^2+1) + \frac12(1+\beta G^2)D^2$.

    **Measured.** As in `expconcave`. Besides, in the first game its regret is below that of online Newton on the same
    draws; no theorem says so, it is what the constants suggest, a quarter to one.

    **Chosen after measuring.** The number of seeds was raised from 6 to 12 after an undecided run at another seed.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang (2024), Theorem 6 and Appendix A.3.
    """
    games, found, shares = _draw(T, rng), {}, []
    for name, game in games.items():
        played, beta = _play(game, T, exp_concave_ftrl, scale)
        c = game.constants
        regrets, norms = drawn_regrets(game.quadratic, played)
        path = [
            certificates.exp_concave_oftrl(w, norm, beta, c.gradient)
            for w, norm in zip(played.weighted_variations, norms, strict=True)
        ]
        errors = certificates.newton_error_sum(played.variations, c.dimension, beta, factor=4.0)
        shares += [share(regrets, np.array(path)), share(played.weighted_variations, errors)]
        found[f"regret, {name}"] = mean_regrets(game.quadratic, played)
        constants = constants_at(game.quadratic, T)
        found[f"Theorem 6, {name}"] = np.array([bounds.exp_concave_oftrl(k) for k in constants])
    newton, _ = _play(games[SMALL], T, optimistic_newton, 1.0)
    found["regret of online Newton"] = mean_regrets(games[SMALL].quadratic, newton)
    return _joined(found, shares, T) | (_audited(list(games.values())) if scale == 1.0 else {})


def _joined(found: dict[str, Array], shares: list[Array], T: Rounds) -> dict[str, Any]:
    """Drop the round `FIRST`, add the largest share so far and the power law through the regret in that round."""
    regret = found[f"regret, {SMALL}"]
    return {
        **{name: values[-T.size :] for name, values in found.items()},
        "power 0.6 of T": regret[0] * (T / FIRST) ** EXPONENT,
        "share of the path's bound": np.maximum.accumulate(np.max(shares, axis=0))[1:],
    }
