"""Convex losses: the inequalities on every path, Theorems 1 and 2 in expectation, and a gradual adversary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.sea_certificates import certify_quadratic
from problems.sea_games import QuadraticGame
from problems.sea_quadratic_games import (
    alternating,
    concave_trap,
    linear_iid,
    nonconvex_individuals,
    rotating,
    square_wave,
)
from theorylab.algorithms import online_bounds as bounds
from theorylab.algorithms import online_certificates as certificates
from theorylab.algorithms.online_learners import (
    Learner,
    Played,
    fixed_step,
    fixed_step_ftrl,
    online_gradient_descent,
    optimistic_ftrl,
    optimistic_omd,
    play,
)
from theorylab.algorithms.sea_constants import SeaConstants
from theorylab.audit import certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun, InExpectation
from verify.sea import PAPER
from verify.sea.measures import CONVEX_GAME, ROUNDING, audited_convex_game, convex_learner, drawn_losses
from verify.sea.trajectories import constants_at, linear_regrets, mean_regrets, share, worst

Array = npt.NDArray[np.float64]

HORIZONS = Sweep(
    name="T",
    label="rounds, T",
    quick=(100, 316, 1000),
    full=(100, 316, 1000, 3162, 10000),
    along_trajectory=True,
)
STEEP = 2.0  # a step that does not decay; times the largest curvature of the games it is 4
WAVE_BLOCK, WAVE_STEP = 20, 0.1  # the learner just crosses the set, of diameter 2, between two switches


def _steep(T: int, rng: np.random.Generator) -> QuadraticGame:
    """The quadratic game with little noise and without random curvature, on which a long step shows."""
    return nonconvex_individuals(T, rng, spread=0.05, curvature=0.0)


def _oftrl_learner(c: SeaConstants) -> Learner:
    """Optimistic FTRL with the offset ``delta = sqrt(9 D^4 L^2 + 6 D^2 G^2)`` of Theorem 2."""
    d = c.diameter
    return optimistic_ftrl(d, float(np.sqrt(9.0 * d**4 * c.smoothness**2 + 6.0 * (d * c.gradient) ** 2)))


def _run(game: QuadraticGame, learner: Learner, rounds: npt.ArrayLike, radius: float | None = None) -> Played:
    return play(drawn_losses(game), learner, radius=game.radius if radius is None else radius, checkpoints=rounds)


@claim(
    PAPER,
    source="Theorem 1 and Lemma 2, pathwise form re-derived",
    guarantee="upper bound",
    sweep=HORIZONS,
    replicates=Replicates(quick=5, full=20),
    judges=[
        EveryRun(measured="share of the first bound", at_most=1.0),
        EveryRun(measured="share of the second bound", at_most=1.0),
        EveryRun(measured="distance from the origin", at_most=1.0),
    ],
    controls=[
        Control("step 2 that does not decay", step=STEEP),
        Control("no projection on the set", projected=False),
        Control("no hint on the square wave", hint=0.0),
    ],
    hypotheses={name: CONVEX_GAME[name] for name in ("gradient", "diameter")},
)
def pathwise(
    T: npt.NDArray[np.int64],
    rng: np.random.Generator,
    *,
    step: float | None = None,
    projected: bool = True,
    hint: float = 1.0,
) -> dict[str, Any]:
    r"""On every path the regret of optimistic mirror descent is below a sum that the path itself certifies.

    **Problem.** Five games on the unit ball of $\mathbb R^5$: linear losses with noise; quadratics whose individual
    losses are not convex; the same with $c_t$ alternating in blocks of 50; linear losses whose tilt turns with period
    200; a steep quadratic with little noise. A sixth, $-c_tx$ on $[-1,1]$ with $c_t=\pm1$ switching every 20 rounds, is
    played with the constant step $0.1$.

    **Algorithm.** $x_t = \Pi(\hat x_t - \eta_t g_{t-1})$, $\hat x_{t+1} = \Pi(\hat x_t - \eta_t g_t)$ with
    $\eta_t = D/\sqrt{10D^2L^2 + 4G^2 + V_{t-1}}$, $V_t = \sum_{s\le t}\|g_s - g_{s-1}\|^2$, $g_0 = 0$.

    **Guarantee** (upper bound for every run; re-derived from Lemma 2, no convexity and no expectation in it). For
    every $u$ in the set and any steps that do not increase,
    $$\sum_t\langle g_t, x_t-u\rangle \le \frac{D^2}{2\eta_T} + \sum_t\eta_t\|g_t-g_{t-1}\|^2
    - \sum_{t\ge2}\frac{\|x_t-x_{t-1}\|^2}{4\eta_{t-1}},$$
    and for the steps above, with $\delta = 10D^2L^2$, at most $\frac{5D}2\sqrt{V_T} + \frac D2\sqrt\delta + DG -
    \frac{\sqrt{\delta+4G^2}}{4D}\sum\|x_t-x_{t-1}\|^2$. In two lines: both projections give $\langle g_t,x_t-u\rangle
    \le (\|u-\hat x_t\|^2-\|u-\hat x_{t+1}\|^2)/(2\eta_t) + \eta_t\|g_t-g_{t-1}\|^2$ minus the squared moves over
    $2\eta_t$; sum, and let $1/\eta_t$ telescope.

    **Measured.** The largest share, over the games, of regret against the best $u$ in hindsight in either right-hand
    side; it may not exceed 1 beyond rounding. The points played have to lie in the set. On the square wave the hint is
    worth half a step a round: without it regret is $\eta T/2$, and the bound, which counts switches only, is broken.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang (2024), Lemma 2 and the proof of Theorem 1.
    """
    games = [make(int(T[-1]), rng) for make in (linear_iid, nonconvex_individuals, alternating, rotating, _steep)]
    found = [_certified_shares(game, T, step, projected) for game in games]
    wave = square_wave(int(T[-1]), block=WAVE_BLOCK)
    first = [of_first for of_first, _, _ in found] + [_share_on_wave(wave, T, hint)]
    audits = worst(audited_convex_game(game) for game in (*games, wave))
    return {
        "share of the first bound": np.max(first, axis=0),
        "share of the second bound": np.max([of_second for _, of_second, _ in found], axis=0),
        "distance from the origin": np.full(T.size, max(distance for _, _, distance in found)),
        "gradient": audits["gradient"],
        "diameter": audits["diameter"],
    }


def _certified_shares(
    game: QuadraticGame, T: npt.NDArray[np.int64], step: float | None, projected: bool
) -> tuple[Array, Array, float]:
    """Shares (C,) of the linearised regret in both bounds, and the largest norm of a point played."""
    c = game.constants
    learner = convex_learner(c) if step is None else optimistic_omd(fixed_step(step))
    played = _run(game, learner, T, None if projected else np.inf)
    regrets = linear_regrets(played, game.radius)
    first = certificates.mirror_descent(played.steps, played.weighted_variations, played.weighted_movements, c.diameter)
    second = certificates.adaptive_mirror_descent(
        played.variations, played.movements, c.diameter, c.gradient, bounds.optimism_offset(c)
    )
    distance = float(np.max(np.linalg.norm(played.iterates, axis=1)))
    return share(regrets, first), share(regrets, second), distance


def _share_on_wave(game: QuadraticGame, T: npt.NDArray[np.int64], hint: float) -> Array:
    """Share (C,) of regret in the bound for hints ``g_{t-1}``, whatever ``hint`` was played, at a constant step."""
    played = _run(game, optimistic_omd(fixed_step(WAVE_STEP), hint=hint), T)
    changes = np.diff(played.gradients, axis=0, prepend=0.0)
    weighted = WAVE_STEP * np.cumsum(np.sum(changes**2, axis=1))[T - 1]
    path = certificates.mirror_descent(played.steps, weighted, played.weighted_movements, game.constants.diameter)
    return share(linear_regrets(played, game.radius), path)


def _regrets(
    games: dict[str, QuadraticGame], learner_of: Callable[[SeaConstants], Learner], T: npt.NDArray[np.int64]
) -> dict[str, Array]:
    """Regret on the means, ``regret, NAME``, and linearised in hindsight, ``linearised, NAME``, (C,) of every game."""
    found = {}
    for name, game in games.items():
        played = _run(game, learner_of(game.constants), T)
        found[f"regret, {name}"] = mean_regrets(game, played)
        found[f"linearised, {name}"] = linear_regrets(played, game.radius)
    return found


@claim(
    PAPER,
    source="Theorem 1; second bound re-derived",
    guarantee="upper bound",
    sweep=HORIZONS,
    replicates=Replicates(quick=5, full=20),
    judges=[
        InExpectation(measured=f"{kind}, {game}", at_most=f"{bound}, {game}")
        for game in ("quadratic", "alternating", "linear")
        for kind, bound in (
            ("regret", "Theorem 1"),
            ("regret", "re-derived"),
            ("linearised", "re-derived"),
        )
    ],
    controls=[
        Control("step 2 that does not decay", step=STEEP, first="steep"),
        Control("A5 dropped: concave means", first="trap"),
    ],
    hypotheses=CONVEX_GAME,
)
def expected(
    T: npt.NDArray[np.int64], rng: np.random.Generator, *, step: float | None = None, first: str = "bent"
) -> dict[str, Any]:
    r"""Expected regret of optimistic mirror descent is below a multiple of σ + Σ, with draws that need not be convex.

    **Problem.** Unit ball of $\mathbb R^5$. Quadratics with the mean Hessian's eigenvalues $0, .5, 1, 1.5, 2$ and draws
    with random curvature, Hessians down to $-1$; the same alternating in blocks of 50; linear losses with noise.

    **Algorithm.** Optimistic mirror descent with the steps (10), $\eta_t = D/\sqrt{10D^2L^2+4G^2+V_{t-1}}$.

    **Guarantee** (upper bound in expectation). Theorem 1: for $u$ that does not depend on the draws,
    $$\mathbb E\,\mathrm{Reg} \le 5\sqrt{10}D^2L + \tfrac{5\sqrt5}2DG + 5\sqrt2D\sqrt{\sigma_{1:T}^2}
    + 5D\sqrt{\Sigma_{1:T}^2}.$$
    Re-derived, never above it and valid for linearised regret in hindsight: with $\delta = 10D^2L^2$,
    $\tfrac{5D}2\sqrt{G^2+8\sigma^2+4\Sigma^2} + \tfrac D2\sqrt\delta + DG + 25D^3L^2/\sqrt{\delta+4G^2}$, which is the
    paper's proof without splitting the root. $\Sigma^2$ is summed from $t = 2$.

    **Measured.** $\sum F_t(x_t) - F_t(u)$ against both bounds, and the linearised regret against the second. The
    control with $F_t = -x^2 - c_tx$ on $[-1,1]$ shows the link that convexity of the means is for: its linearised
    regret stays small (`pathwise`), its regret grows linearly.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang (2024), Theorem 1; order optimal by Sachs et al. (2022), Theorem 6.
    """
    games = _games(int(T[-1]), rng, first)
    found: dict[str, Any] = dict(
        _regrets(games, lambda c: convex_learner(c) if step is None else optimistic_omd(fixed_step(step)), T)
    )
    for name, game in games.items():
        constants = constants_at(game, T)
        found[f"Theorem 1, {name}"] = [bounds.convex_omd(c) for c in constants]
        found[f"re-derived, {name}"] = [bounds.convex_omd_rederived(c) for c in constants]
    return found | worst(audited_convex_game(game) for game in games.values())


def _games(horizon: int, rng: np.random.Generator, first: str) -> dict[str, QuadraticGame]:
    """The three games of Theorems 1 and 2; ``first`` chooses the first of them, a control puts its own there."""
    generators = {"bent": nonconvex_individuals, "steep": _steep, "trap": concave_trap}
    return {
        "quadratic": generators[first](horizon, rng),
        "alternating": alternating(horizon, rng),
        "linear": linear_iid(horizon, rng),
    }


@claim(
    PAPER,
    source="Theorem 2, and Theorem 5 of Sachs et al. (2022)",
    guarantee="upper bound",
    sweep=HORIZONS,
    replicates=Replicates(quick=5, full=20),
    judges=[
        *(
            InExpectation(measured=f"{kind}, {game}", at_most=f"Theorem 2, {game}")
            for game in ("quadratic", "alternating")
            for kind in ("regret", "linearised")
        ),
        InExpectation(measured="regret, convex draws", at_most="Sachs Theorem 5, convex draws"),
    ],
    controls=[
        Control("step 4 that does not decay", step=4.0, first="steep"),
        Control("A5 dropped: concave means", first="trap"),
    ],
    hypotheses=CONVEX_GAME | {"individuals": r"A8, for Sachs' bound alone: the draws of the third game are convex"},
)
def oftrl(
    T: npt.NDArray[np.int64], rng: np.random.Generator, *, step: float | None = None, first: str = "bent"
) -> dict[str, Any]:
    r"""Optimistic follow the regularised leader pays a multiple of σ + Σ as well, without convexity of the draws.

    **Problem.** The quadratics of `expected`, non-convex draws and alternating ones; a third game with convex draws
    ($s = 0.5$, no random curvature) for the older theorem, which needs them.

    **Algorithm.** $x_t$ minimises $\langle g_1+\dots+g_{t-1}+g_{t-1}, x\rangle + \|x\|^2/\eta_t$ with $\eta_t =
    D^2/(\delta + \sum_{s<t}\eta_s\|g_s-g_{s-1}\|^2)$; $\delta = \sqrt{9D^4L^2+6D^2G^2}$ in Theorem 2 (the print has $L$
    under the root without its square), $\delta = LD^2+DG$ in Sachs' Theorem 5.

    **Guarantee** (upper bound in expectation, the papers' constants). Theorem 2:
    $6D\sqrt{\sigma^2} + 3\sqrt2D\sqrt{\Sigma^2} + 2\delta + \tfrac{3\sqrt2}2DG$. Sachs et al., Theorem 5: $6D\sqrt{
    \sigma^2} + 3\sqrt2D\sqrt{\Sigma^2} + \tfrac{3\sqrt2}2DG + \delta + (4D^2G^2+9L^2D^4)/\delta$. Linearised losses are
    the difference: with them convexity of the means is enough.

    **Measured.** Regret on the means, and the linearised regret in hindsight against Theorem 2, whose proof bounds it
    for every $u$.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang (2024), Theorem 2, Appendix A.1; Sachs, Hadiji, van Erven and
    Guzman (2022), Theorem 5.
    """
    games = _games(int(T[-1]), rng, first)
    del games["linear"]
    convex = nonconvex_individuals(int(T[-1]), rng, spread=0.5, curvature=0.0)
    found: dict[str, Any] = dict(
        _regrets(games, lambda c: _oftrl_learner(c) if step is None else fixed_step_ftrl(step), T)
    )
    for name, game in games.items():
        found[f"Theorem 2, {name}"] = [bounds.convex_oftrl(c) for c in constants_at(game, T)]
    c = convex.constants
    nu = c.smoothness * c.diameter**2 + c.diameter * c.gradient
    found["regret, convex draws"] = mean_regrets(convex, _run(convex, optimistic_ftrl(c.diameter, nu), T))
    found["Sachs Theorem 5, convex draws"] = [bounds.convex_oftrl_sachs(c) for c in constants_at(convex, T)]
    least = certify_quadratic(convex).individual_convexity
    found["individuals"] = certified(least, at_least=-ROUNDING, note="least eigenvalue of all Hessians")
    return found | worst(audited_convex_game(game) for game in (*games.values(), convex))


@claim(
    PAPER,
    source="Theorem 1 with σ = 0, constant re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="T, P",
        label="rounds T, rounds between switches P",
        quick=((2**20, 512), (2**20, 1024)),
        full=((2**22, 512), (2**22, 1024)),
    ),
    replicates=Replicates(quick=1, full=1),
    judges=[
        EveryRun(measured="regret, positive part", at_most="re-derived"),
        EveryRun(measured="regret, positive part", at_most="Theorem 1"),
    ],
    controls=[Control("no hint: gradient descent with step D/(G√T)", optimistic=False)],
    hypotheses=CONVEX_GAME | {"deterministic": r"$\sigma_{1:T} = 0$: the bounds hold for the run, not its mean"},
)
def gradual(sizes: tuple[int, int], rng: np.random.Generator, *, optimistic: bool = True) -> dict[str, Any]:
    r"""Against an adversary that seldom moves, regret follows Σ and not G√T.

    **Problem.** $f_t(x) = -c_tx$ on $[-1,1]$, $c_t = \pm1$ switching every $P$ rounds; no noise, so
    $\Sigma_{1:T}^2 = 4(T/P-1)$.

    **Algorithm.** Optimistic mirror descent with the steps (10). Control: gradient descent with the step $D/(G\sqrt T)$
    that is optimal for $DG\sqrt T$.

    **Guarantee** (upper bound for every run, as nothing is random). With $L = 0$ the re-derived constant is
    $\tfrac{5D}2\sqrt{G^2+4\Sigma^2} + DG$, Theorem 1's $\tfrac{5\sqrt5}2DG + 5D\sqrt{\Sigma^2}$.

    **Measured.** Regret against the best fixed point; it is far below zero, as the learner follows the switches, and
    its positive part is held against the bounds. Gradient descent pays
    $(D/2)G\sqrt T$, which exceeds the bound for $400 < P \le \sqrt T/2$.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang (2024), Theorem 1 and Section 5.
    """
    horizon, block = sizes
    game = square_wave(horizon, block=block)
    c = game.constants
    plain = online_gradient_descent(fixed_step(c.diameter / (c.gradient * np.sqrt(horizon))))
    played = play(drawn_losses(game), convex_learner(c) if optimistic else plain, radius=game.radius, keep=False)
    regret = float(linear_regrets(played, game.radius)[0])
    return {
        "regret": regret,
        "regret, positive part": max(regret, 0.0),
        "re-derived": bounds.convex_omd_rederived(c),
        "Theorem 1": bounds.convex_omd(c),
        "deterministic": certified(c.variance, at_most=0.0, note="cumulative variance"),
        **audited_convex_game(game),
    }
