"""Claims on corrupted stochastic losses: Corollary 1, for convex and for strongly convex expected losses."""

from dataclasses import replace
from typing import Any

import numpy as np

from problems.comparators import best_fixed_point, linear_regret, mean_loss_gaps
from problems.sea_drifting_games import corrupted_linear, corrupted_strongly_convex
from problems.sea_games import variations
from theorylab.algorithms.online_bounds import (
    convex_omd,
    convex_omd_rederived,
    corrupted_variation,
    strongly_convex_omd,
    strongly_convex_omd_rederived,
)
from theorylab.algorithms.online_learners import optimistic_omd, play, strongly_convex_step
from theorylab.audit import certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun, InExpectation, RateAtMost
from verify.sea import PAPER
from verify.sea.measures import (
    CONVEX_GAME,
    STRONG_GAME,
    audited_convex_game,
    audited_strong_game,
    convex_learner,
    drawn_losses,
)

BUDGET = r"$\sum_t \max_x \|\nabla c_t(x)\| \le C_T$, and the corruption is chosen before the losses are drawn"


@claim(
    PAPER,
    source="Corollary 1 with Theorem 1; second bound re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="C_T",
        label="corruption budget C_T (rounds with a corruption of norm 1)",
        quick=(0, 16, 64, 256, 1024),
        full=(0, 4, 16, 64, 256, 512, 1024),
    ),
    replicates=Replicates(quick=5, full=20),
    judges=[
        InExpectation(measured="regret", at_most="theorem_1"),
        InExpectation(measured="regret", at_most="rederived"),
        EveryRun(measured="variation", at_most="variation_bound"),
    ],
    controls=[Control("budget under-reported by 4", reported=0.25)],
    hypotheses=CONVEX_GAME | {"budget": BUDGET},
)
def corruption(corrupted: int, rng: np.random.Generator, *, reported: float = 1.0) -> dict[str, Any]:
    r"""Corruption of total size C costs at most the root of C: Σ² ≤ 4GC, regret of order σ√T + √C.

    **Problem.** $f_t = h_t + c_t$ on the unit disc, $T = 4096$: $h_t(x) = \langle \xi_t - 0.05 e_1, x\rangle$ with
    $\xi_t$ uniform on a circle of radius 0.1, and in $C_T$ random rounds the adversary adds $c_t(x) = \langle e_1,
    x\rangle$, which turns the best point round.

    **Algorithm.** Optimistic mirror descent with $m_t = g_{t-1}$ and the adaptive step (10). It knows neither $C_T$ nor
    which rounds are corrupted.

    **Guarantee** (upper bound). $\Sigma_{1:T}^2 \le 4GC_T$ on every path: with $\Delta_t = \nabla c_t - \nabla
    c_{t-1}$, $\|\Delta_t\|^2 \le 2G\,\|\Delta_t\| \le 2G(\|\nabla c_t\| + \|\nabla c_{t-1}\|)$; sum over $t$. Theorem 1
    then gives expected regret $O(\sigma\sqrt T + \sqrt{C_T})$ with the constants of the paper. Re-derived: $\frac52 D
    \sqrt{G^2 + 8\sigma_{1:T}^2 + 16GC_T} + DG$, since $L = 0$.

    **Measured.** $\Sigma_{1:T}^2$ of the drawn instance against $4GC_T$, in every run. The regret on the drawn linear
    losses against the best point in hindsight, in expectation against both bounds with $4GC_T$ for $\Sigma_{1:T}^2$.
    A budget that is reported four times too small breaks the inequality.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Corollary 1 and Theorem 1.
    """
    game = corrupted_linear(4096, rng, corrupted=corrupted)
    c = game.constants
    stated = replace(c, variation=corrupted_variation(c.gradient, reported * corrupted))
    played = play(drawn_losses(game), convex_learner(c), radius=game.radius)
    spent = _corruption_spent(game.tilts[:, 0], 0.05)
    return {
        "regret": linear_regret(played.gradients, played.iterates, game.radius),
        "theorem_1": convex_omd(stated),
        "rederived": convex_omd_rederived(stated),
        "variation": c.variation,
        "variation_bound": stated.variation,
        **audited_convex_game(game),
        "budget": certified(spent, at_most=corrupted + 1e-9, note="sum of the norms"),
    }


@claim(
    PAPER,
    source="Corollary 1 with Theorem 3; second bound re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="(T, C_T)",
        label="rounds T, corruption budget C_T",
        quick=((2000, 0), (2000, 32), (2000, 512)),
        full=((20_000, 0), (20_000, 16), (20_000, 64), (20_000, 256), (20_000, 1024), (20_000, 4096)),
    ),
    replicates=Replicates(quick=12, full=16),
    judges=[
        InExpectation(measured="regret", at_most="theorem_3"),
        InExpectation(measured="regret", at_most="rederived"),
        EveryRun(measured="variation", at_most="variation_bound"),
        RateAtMost(measured="regret", rate=1.0, margin=0.05, against="log_factor"),
    ],
    controls=[Control("budget under-reported by 16", reported=1.0 / 16.0)],
    hypotheses=STRONG_GAME | {"budget": BUDGET},
)
def corruption_sc(sizes: tuple[int, int], rng: np.random.Generator, *, reported: float = 1.0) -> dict[str, Any]:
    r"""With strongly convex expected losses corruption of total size C costs no more than a logarithm of C.

    **Problem.** $f_t(x) = \frac12 x^\top Hx - \langle c, x\rangle + \langle\xi_t, x\rangle$ on the unit ball of $R^5$,
    $H$ with eigenvalues from 0.5 to 2, $\|\xi_t\| = 0.1$; in $C_T$ random rounds the adversary adds $\langle e_1,
    x\rangle$.

    **Algorithm.** Optimistic mirror descent with $\eta_t = 2/(\lambda t)$, $m_t = g_{t-1}$.

    **Guarantee** (upper bound). $\Sigma_{1:T}^2 \le 4GC_T$ as in `corruption`; Theorem 3 with it has expected regret
    $O(\frac1\lambda\log(\sigma^2T + C_T))$, here with the constants of the paper: the only factor in which $C_T$ stands
    is $\ln(1 + (2\sigma_{1:T}^2 + 4GC_T)/(2\sigma_{\max}^2 + \Sigma_{\max}^2))$. Re-derived from the sequences
    $\sigma_t^2$, $\Sigma_t^2$ themselves, see `strongly_convex_omd_rederived`.

    **Measured.** The identity in every run; the expected regret on $F_t$ against the best fixed point (which does not
    depend on the noise) against both bounds; and its growth, at most proportional to that factor (slope at most 1 in
    logarithms, margin 0.05). $\Sigma_{\max}^2$ is the largest possible, 1, so that the factor is the same function of
    $C_T$ at all budgets. A budget that is reported sixteen times too small breaks the identity.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Corollary 1 and Theorem 3.
    """
    horizon, corrupted = sizes
    game = corrupted_strongly_convex(horizon, rng, corrupted=corrupted)
    c = game.constants
    # Theorem 3 grows with Sigma_max^2, so any upper bound may stand for it.
    stated = replace(c, variation=corrupted_variation(c.gradient, reported * corrupted), variation_max=1.0)
    learner = optimistic_omd(strongly_convex_step(c.strong_convexity))
    played = play(drawn_losses(game), learner, radius=game.radius)
    largest = 2.0 * stated.variance_max + stated.variation_max
    usual = np.median(game.tilts[:, 0])
    return {
        "regret": float(mean_loss_gaps(game, played.iterates, best_fixed_point(game)).sum()),
        "theorem_3": strongly_convex_omd(stated),
        "rederived": strongly_convex_omd_rederived(c, game.variances, variations(game.tilts)),
        "variation": c.variation,
        "variation_bound": stated.variation,
        "log_factor": float(np.log1p((2.0 * stated.variance + stated.variation) / largest)),
        **audited_strong_game(game),
        "budget": certified(_corruption_spent(game.tilts[:, 0], float(usual)), at_most=corrupted + 1e-9),
    }


def _corruption_spent(first_tilts: np.ndarray[Any, np.dtype[np.float64]], usual: float) -> float:
    """Return the total norm of the corruption, which moves the first coordinate (T,) of the tilts only."""
    return float(np.sum(np.abs(first_tilts - usual)))
