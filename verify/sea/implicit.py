"""Static regret without smoothness: Theorem 8 for the implicit optimistic step, and what it needs at kinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.sea_certificates import certify_nonsmooth
from problems.sea_games import NonsmoothGame
from problems.sea_nonsmooth_games import (
    DIMENSION,
    best_fixed_point,
    fixed_kinks,
    linear_regret,
    mean_loss_gaps,
    nonsmooth_game,
)
from theorylab.algorithms.implicit_descent import ImplicitPlayed, KinkRule, ProxGame, box_game, play_implicit
from theorylab.algorithms.online_certificates import implicit_mirror_descent
from theorylab.algorithms.online_dynamic_bounds import nonsmooth_omd, nonsmooth_omd_printed, nonsmooth_omd_rederived
from theorylab.algorithms.online_losses import kinked_losses
from theorylab.algorithms.sea_constants import SeaConstants
from theorylab.audit import Hypothesis, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun, InExpectation
from verify.sea import PAPER
from verify.sea.measures import DIAMETER, GRADIENT, ROUNDING

Array = npt.NDArray[np.float64]

KINKED_GAME = {
    "gradient": GRADIENT,
    "diameter": DIAMETER,
    "individual_convexity": r"A8: every drawn loss $f_t$ is convex",
}
WIDTHS = {"absolute value": 0.0, "Huber": 1e-6}
RULES = {"realised": KinkRule.REALISED, "+1": KinkRule.ONE, "0": KinkRule.ZERO, "explicit": KinkRule.EXPLICIT}
RULE_CONTROLS = [
    Control("sub-gradient at kinks from sign(0) = +1", rule="+1"),
    Control("sub-gradient at kinks from sign(0) = 0", rule="0"),
    Control("explicit optimistic step", rule="explicit"),
]


def drawn_kinks(game: NonsmoothGame) -> ProxGame:
    """Return the drawn losses of a game with kinks, on their box, as learners with an implicit step take them."""
    return box_game(kinked_losses(game.centres, game.tilts, game.width), game.lower, game.upper)


def audited_kinked_game(game: NonsmoothGame) -> dict[str, Hypothesis]:
    """Certify the hypotheses `KINKED_GAME` on a drawn game; measured are G, D and the least curvature, zero."""
    c, seen = game.constants, certify_nonsmooth(game)
    convex = certified(seen.individual_convexity, at_least=0.0, note="sum of convex functions of one coordinate each;")
    return {
        "gradient": certified(seen.gradient, at_most=c.gradient * (1.0 + ROUNDING), note="largest gradient; G"),
        "diameter": certified(seen.diameter, at_most=c.diameter * (1.0 + ROUNDING), note="D"),
        "individual_convexity": convex,
    }


def _played(game: NonsmoothGame, rule: str) -> ImplicitPlayed:
    c = game.constants
    return play_implicit(drawn_kinks(game), diameter=c.diameter, gradient=c.gradient, rule=RULES[rule])


def _regrets(game: NonsmoothGame, played: ImplicitPlayed, horizons: Array) -> Array:
    """The regret on the ``F_t``, one for all rounds, after each of ``horizons`` (n,) rounds of one play."""
    gaps = mean_loss_gaps(game, played.iterates, best_fixed_point(game))
    return np.asarray(np.cumsum(gaps)[horizons.astype(np.int64) - 1])


def _stated_after(c: SeaConstants, horizons: Array) -> Array:
    """Theorem 8 as proved, after each of ``horizons`` (n,) rounds of a game with constant noise and no variation."""
    noise = c.uniform_variance / c.horizon
    return np.array([nonsmooth_omd(replace(c, horizon=int(t), uniform_variance=noise * t)) for t in horizons])


@claim(
    PAPER,
    source="Theorem 8 with the sub-gradients that its proof uses; pathwise form and second bound re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="(h, s, T)",
        label="shape h of the losses, noise s, rounds T",
        quick=(
            ("absolute value", 0.0, 256),
            ("absolute value", 0.0, 1024),
            ("Huber", 0.0, 1024),
            ("absolute value", 0.2, 256),
            ("absolute value", 0.2, 1024),
            ("Huber", 0.2, 1024),
        ),
        full=tuple((h, s, T) for h in WIDTHS for s in (0.0, 0.2) for T in (256, 1024, 4096, 16384)),
    ),
    replicates=Replicates(quick=4, full=20),
    judges=[
        EveryRun(measured="linear_regret", at_most="pathwise"),
        InExpectation(measured="linear_regret", at_most="rederived"),
        InExpectation(measured="regret", at_most="stated"),
    ],
    controls=RULE_CONTROLS,
    hypotheses=KINKED_GAME,
)
def implicit(point: tuple[str, float, int], rng: np.random.Generator, *, rule: str = "realised") -> dict[str, Any]:
    r"""Without smoothness an implicit optimistic step bounds regret by variance and variation alone.

    **Problem.** $f_t(x) = \sum_j h(x_j - c_j) + \langle a_t, x\rangle$ on $[-1, 1]^4$ ($D = 4$), $a_t = (0.3, \ldots,
    0.3)$ plus noise of norm $s$. $h$ is the absolute value, or Huber's function of width $10^{-6}$: differentiable,
    so that Theorem 8 holds as it is printed, and so badly smooth ($L = 10^6$) that Theorem 1 gives only $2.5 \cdot
    10^8$.

    **Algorithm.** $\hat x_{t+1} = \Pi(\hat x_t - \eta_tg_t)$, then $x_{t+1} = \arg\min_X f_t(x) + \|x - \hat
    x_{t+1}\|^2/(2\eta_{t+1})$, $\eta_t = D/\sqrt{1 + 4G^2 + \sum_{s<t}v_s}$, $v_t = \|g_t - h_{t-1}\|^2$. Here
    $h_{t-1} = (\hat x_t - x_t)/\eta_t$, less a normal of the box, is the sub-gradient of $f_{t-1}$ at $x_t$ that the
    implicit step realised, and $g_t$ takes the same slopes at the kinks.

    **Guarantee** (upper bounds). (N), on every path, for every $u$: $\sum\langle g_t, x_t - u\rangle \le
    D^2/(2\eta_T) + \frac12\sum\eta_tv_t$ [re-derived]. *Proof.* The two steps give $\langle h_{t-1}, x_t - \hat
    x_{t+1}\rangle \le (\|\hat x_{t+1} - \hat x_t\|^2 - \|\hat x_{t+1} - x_t\|^2 - \|x_t - \hat x_t\|^2)/(2\eta_t)$
    and $\langle g_t, \hat x_{t+1} - u\rangle \le (\|u - \hat x_t\|^2 - \|u - \hat x_{t+1}\|^2 - \|\hat x_{t+1} - \hat
    x_t\|^2)/(2\eta_t)$. Add them and $\langle g_t - h_{t-1}, z\rangle - \|z\|^2/(2\eta_t) \le \eta_tv_t/2$ for $z =
    x_t - \hat x_{t+1}$.

    In expectation [re-derived] at most $1.5D\sqrt{1 + 5G^2 + 3\tilde\sigma_{1:T}^2 + 2\Sigma_{1:T}^2}$: (N) is at
    most $1.5D\sqrt{1 + 4G^2 + \sum v_t}$, $v_1 \le G^2$, and for $t \ge 2$ the noise of $f_t$ has mean zero given the
    rest, so $E\,v_t \le \sigma_t^2 + 2\Sigma_t^2 + 2\tilde\sigma_{t-1}^2$. Stated in the paper is $5D\sqrt{1 + G^2} +
    10\sqrt2D\sqrt{\tilde\sigma_{1:T}^2} + 10D\sqrt{\Sigma_{1:T}^2}$. Its proof gives $1 + 5G^2$; the smaller printed
    constant follows from the re-derived bound, since $2.25(1 + 5G^2) \le 25(1 + G^2)$.

    **Measured.** The linearised regret against the best point in hindsight, in every run against (N) and on average
    against the re-derived bound; $\sum F_t(x_t) - F_t(u)$ against the printed one.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, displays (29)-(31) and Theorem 8.
    """
    shape, spread, rounds = point
    game = fixed_kinks(rounds, rng, spread=spread, width=WIDTHS[shape])
    played, c = _played(game, rule), game.constants
    pathwise = implicit_mirror_descent(played.steps, played.weighted_variations, c.diameter)
    return {
        "linear_regret": linear_regret(game, played.gradients, played.iterates),
        "regret": float(mean_loss_gaps(game, played.iterates, best_fixed_point(game)).sum()),
        "pathwise": float(pathwise[-1]),
        "rederived": nonsmooth_omd_rederived(c),
        "stated": nonsmooth_omd_printed(c),
        **audited_kinked_game(game),
    }


@claim(
    PAPER,
    source="Theorem 8 with zero variance and variation, second bound re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="T",
        label="rounds T",
        quick=(256, 512, 1024, 4096),
        full=(256, 1024, 4096, 16384, 65536),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=4, full=20),
    judges=[
        EveryRun(measured="regret", at_most="stated"),
        EveryRun(measured="regret", at_most="rederived"),
        EveryRun(measured="regret", at_most="regret_at_first", absolute=1e-9),
        EveryRun(measured="largest_coordinate", at_most=1.0),
    ],
    controls=RULE_CONTROLS,
    hypotheses=KINKED_GAME,
)
def implicit_constant_loss(horizons: Array, rng: np.random.Generator, *, rule: str = "realised") -> dict[str, Any]:
    r"""One loss with kinks, played for ever, costs a constant: neither variance nor variation, no growth.

    **Problem.** $f_t = f$ of `implicit` with $s = 0$ and absolute values, the kinks $c$ uniform on $[-0.8, 0.8]^4$.
    The tilt is $(0.3, 0.3, 0.3, 1.3)$: the last coordinate of the minimiser lies on a face of the box, the others at
    a kink.

    **Algorithm.** That of `implicit`. The slopes that the proximal step realised are used for $g_t$ too, so $g_t =
    h_{t-1}$, $v_t = 0$ from the second round on, and $\eta_t$ stays. Off the faces $\hat x_{t+1} = \hat x_t - \eta
    g_t = x_t$: this is the proximal point method, which is at rest after finitely many rounds.

    **Guarantee.** Upper bound: $5D\sqrt{1 + G^2}$ in the paper, $1.5D\sqrt{1 + 5G^2}$ re-derived, for every $T$.

    **Measured.** The regret in every run, against both, and against itself after the fewest rounds of the sweep: it
    may not grow by more than rounding. No coordinate of a played point may leave $[-1, 1]$.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Theorem 8.
    """
    rounds = int(horizons[-1])
    centre = rng.uniform(-0.8, 0.8, DIMENSION)
    shape = (rounds, DIMENSION)
    tilts = np.broadcast_to(np.array([0.3, 0.3, 0.3, 1.3]), shape)
    game = nonsmooth_game(np.broadcast_to(centre, shape), tilts, np.zeros(shape), spread=0.0)
    played, c = _played(game, rule), game.constants
    regret = _regrets(game, played, horizons)
    return {
        "regret": regret,
        "largest_coordinate": np.full(horizons.size, np.abs(played.iterates).max()),
        "regret_at_first": np.full(horizons.size, regret[0]),
        "rederived": np.full(horizons.size, nonsmooth_omd_rederived(c)),
        "stated": np.full(horizons.size, nonsmooth_omd_printed(c)),
        **audited_kinked_game(game),
    }


@claim(
    PAPER,
    source="Theorem 8 read with a fixed sub-gradient oracle",
    guarantee="upper bound",
    sweep=Sweep(
        name="T",
        label="rounds T",
        quick=(64, 256, 1024, 4096),
        full=(64, 256, 1024, 4096, 16384),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=4, full=20),
    judges=[
        InExpectation(measured="regret_with_plus_one", at_most="stated"),
        InExpectation(measured="regret_with_zero", at_most="stated"),
        InExpectation(measured="noisy_regret", at_most="noisy_stated"),
    ],
    controls=[
        Control("sub-gradient that the implicit step realised", realised=True),
        Control("Huber's function of width 1e-6 for the kinks", shape="Huber"),
    ],
    hypotheses=KINKED_GAME,
    expected="violated",
    reason="at kinks a fixed sub-gradient oracle keeps the step constant while the learner is pushed off the minimum",
)
def implicit_fixed_oracle(
    horizons: Array, rng: np.random.Generator, *, realised: bool = False, shape: str = "absolute value"
) -> dict[str, Any]:
    r"""With a fixed sub-gradient at kinks the non-smooth theorem fails: regret is linear without noise and variation.

    **Problem.** The losses of `implicit` with absolute values.

    **Algorithm.** That of `implicit`, but every sub-gradient, in the explicit step and in $v_t = \|g_t - \nabla
    f_{t-1}(x_t)\|^2$, comes from one oracle with $\mathrm{sign}(0) = +1$, or $0$. This is how the theorem reads.

    **Guarantee.** Upper bound $5D\sqrt{1 + kG^2} + 10\sqrt2D\sqrt{\tilde\sigma_{1:T}^2} + 10D\sqrt{\Sigma_{1:T}^2}$
    with $k = 1$ (printed) or $k = 5$ (as proved): a constant for $f_t = f$. It fails. *Proof* in one dimension, $f(x)
    = |x - c| + ax$ with $0 < a < 1$, $\mathrm{sign}(0) = +1$. From the second round on $v_t = 0$, the same function
    is asked at the same point, so $\eta$ stays. Below $c$ both steps add up to a climb by $(1 - a)\eta$ a round,
    until $x_t = c$, with $\hat x_t = c - \delta$ for some $0 < \delta \le (1 - a)\eta$. There the oracle says $1 +
    a$: $\hat x_{t+1} = c - \delta - (1 + a)\eta$, and the proximal step adds $(1 - a)\eta$, so $x_{t+1} = c - \delta
    - 2a\eta$. That costs at least $2a(1 - a)\eta$, and after at most $2 + 2a/(1 - a)$ more rounds the learner is back
    at $c$ and falls again. With $\mathrm{sign}(0) = 0$ the same happens more slowly: while $x$ rests at $c$, $\hat x$
    sinks by $a\eta$ a round, until it pulls $x$ down. The proof in the paper takes for $\nabla f_{t-1}(x_t)$ the
    sub-gradient that the proximal step realised, which lies in $[a - 1, a + 1]$ and vanishes at rest. With that
    sub-gradient, and for differentiable losses, the theorem is true: the controls, which have to be upheld here, and
    `implicit`.

    **Measured.** $\sum F_t(x_t) - F_t(u)$ on average over the seeds against the larger bound, $k = 5$: without noise
    for both oracles, and with noise of norm 0.2 for $\mathrm{sign}(0) = +1$.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, displays (29)-(31) and Theorem 8.
    """
    rounds, width = int(horizons[-1]), WIDTHS[shape]
    one, zero = ("realised", "realised") if realised else ("+1", "0")
    quiet = fixed_kinks(rounds, rng, spread=0.0, width=width)
    noisy = fixed_kinks(rounds, rng, spread=0.2, width=width)
    return {
        "regret_with_plus_one": _regrets(quiet, _played(quiet, one), horizons),
        "regret_with_zero": _regrets(quiet, _played(quiet, zero), horizons),
        "stated": _stated_after(quiet.constants, horizons),
        "noisy_regret": _regrets(noisy, _played(noisy, one), horizons),
        "noisy_stated": _stated_after(noisy.constants, horizons),
        **audited_kinked_game(noisy),
    }
