"""Dynamic regret without smoothness: the ensemble of Theorem 9 against kinks that jump."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from problems.comparators import path_length
from problems.sea_games import NonsmoothGame
from problems.sea_nonsmooth_games import (
    DIMENSION,
    drawn_loss_gaps,
    mean_loss_gaps,
    minimiser_path,
    nonsmooth_game,
    switching_kinks,
)
from theorylab.algorithms import online_certificates
from theorylab.algorithms.implicit_descent import ImplicitEnsemblePlayed, implicit_pool, play_implicit_ensemble
from theorylab.algorithms.online_dynamic_bounds import nonsmooth_ensemble
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun, InExpectation, RateAtMost
from verify.sea import PAPER
from verify.sea.implicit import KINKED_GAME, WIDTHS, audited_kinked_game, drawn_kinks

Array = npt.NDArray[np.float64]

BLOCKS = 8


def _pool(game: NonsmoothGame) -> Array:
    """The steps of Theorem 9 (N,)."""
    return implicit_pool(game.horizon, diameter=game.constants.diameter, gradient=game.constants.gradient)


def _pathwise(game: NonsmoothGame, whole: ImplicitEnsemblePlayed, pool: Array, length: float) -> float:
    """The pathwise bound of a play with the whole pool (N,)."""
    bound = online_certificates.nonsmooth_ensemble(
        whole.base_variations,
        pool,
        whole.surprises,
        whole.weighted_surprises,
        diameter=game.constants.diameter,
        path_length=length,
    )
    return float(bound[-1])


@claim(
    PAPER,
    source="Theorem 9, display (49) with 4 D^2 G^2 for 4 G^4; pathwise form re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="(h, T)",
        label="shape h of the losses, rounds T",
        quick=(("absolute value", 4096), ("Huber", 4096), ("absolute value", 16384)),
        full=(
            ("absolute value", 4096),
            ("Huber", 4096),
            ("absolute value", 16384),
            ("absolute value", 65536),
            ("Huber", 65536),
            ("absolute value", 262144),
        ),
    ),
    replicates=Replicates(quick=3, full=4),
    judges=[
        EveryRun(measured="drawn_regret", at_most="pathwise"),
        InExpectation(measured="regret", at_most="stated"),
    ],
    controls=[
        Control("smallest step alone", only=1.0),
        Control("a sixteenth of the smallest step alone", only=0.0625),
    ],
    hypotheses=KINKED_GAME,
    id="nonsmooth-dynamic",
)
def nonsmooth_dynamic(point: tuple[str, int], rng: np.random.Generator, *, only: float | None = None) -> dict[str, Any]:
    r"""Without smoothness the ensemble of implicit learners follows minimisers that jump.

    **Problem.** $f_t(x) = \sum_j h(x_j - c_{tj}) + \langle a_t, x\rangle$ on $[-1, 1]^4$; $c_t = \pm(0.5, 0.5, -0.5,
    0.5)$ changes its sign every $T/8$ rounds, $a_t = (0.1, \ldots, 0.1)$ plus noise of norm 0.1; $h$ is the absolute
    value or Huber's function of width $10^{-6}$. The comparators are $u_t = \arg\min F_t$, $P_T = 14$.

    **Algorithm.** Algorithm 3: implicit optimistic learners with steps $\eta_i = 2^{i-1}D/\sqrt{1 + 4TG^2}$ and their
    own sub-gradients, those that the implicit steps realised at kinks; weights $p_{t+1,i} \propto
    \exp(-\epsilon_t(\sum_{s\le t}f_s(x_{s,i}) + f_t(x_{t+1,i})))$, $\epsilon_t = (1 + Q_t)^{-1/2}$, $Q_t = \sum
    q_s^2$, where $q_s$ is the largest change of a base's loss from $f_{s-1}$ to $f_s$.

    **Guarantee** (upper bounds). On every path [re-derived] $\min_i[(D^2 + 2DP_T)/(2\eta_i) + \frac12\eta_iV_{T,i}] +
    \ln N\sqrt{1 + Q_T} + \frac12\sum q_t^2/\sqrt{1 + Q_{t-1}}$: inequality (N) of `implicit` for a fixed step and
    moving comparators, plus optimistic follow-the-leader with the entropy for the weights. In expectation (49):
    $[D(\ln N + 4) + 2\sqrt{2(D^2 + 2DP_T)}](G + 2\sqrt2\sqrt{\tilde\sigma_{1:T}^2} + 2\sqrt{\Sigma_{1:T}^2}) +
    4D^2G^2 + \ln N + 4$. The paper prints $4G^4$ for $4D^2G^2$; the term stands for the largest $q_t^2$, and $q_t \le
    2GD$, since a loss varies by at most $GD$ over the set.

    **Measured.** $\sum f_t(x_t) - f_t(u_t)$ in every run against the pathwise bound of the whole pool, which is also
    what the controls are held to, and $\sum F_t(x_t) - F_t(u_t)$ on average against (49).

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Algorithm 3 and Theorem 9.
    """
    shape, rounds = point
    game = switching_kinks(rounds, rng, switches=BLOCKS - 1, width=WIDTHS[shape])
    path, pool = minimiser_path(game), _pool(game)
    length = path_length(path)
    whole = play_implicit_ensemble(drawn_kinks(game), pool)
    played = whole if only is None else play_implicit_ensemble(drawn_kinks(game), only * pool[:1])
    return {
        "drawn_regret": float(drawn_loss_gaps(game, played.iterates, path).sum()),
        "regret": float(mean_loss_gaps(game, played.iterates, path).sum()),
        "pathwise": _pathwise(game, whole, pool, length),
        "stated": nonsmooth_ensemble(game.constants, length),
        **audited_kinked_game(game),
    }


@claim(
    PAPER,
    source="Theorem 9, display (49) corrected, without noise; the margin 0.1 is ours",
    guarantee="upper bound",
    sweep=Sweep(
        name="T", label="rounds T", quick=(1024, 2048, 4096, 8192), full=(1024, 2048, 4096, 8192, 16384, 32768, 65536)
    ),
    replicates=Replicates(quick=4, full=6),
    judges=[
        RateAtMost(measured="regret", rate="stated", margin=0.1),
        EveryRun(measured="regret", at_most="pathwise"),
    ],
    controls=[
        Control("uniform weights", uniform=True),
        Control("smallest step alone", smallest=True),
    ],
    hypotheses=KINKED_GAME,
    id="nonsmooth-dynamic-flat",
)
def nonsmooth_dynamic_flat(
    rounds: int, rng: np.random.Generator, *, uniform: bool = False, smallest: bool = False
) -> dict[str, Any]:
    r"""Seven jumps cost the same however long the game: without noise the regret does not grow with T.

    **Problem.** That of `nonsmooth-dynamic` without noise, absolute values, the kinks at $\pm c$ with $|c_j|$ uniform
    on $[0.45, 0.55]$ and random signs. Then $\tilde\sigma_{1:T}^2 = 0$, $\Sigma_{1:T}^2 = 112$ and $P_T$ do not depend
    on $T$.

    **Algorithm.** Algorithm 3. It knows neither where the jumps are nor how many.

    **Guarantee.** Upper bound: (49) grows with $T$ only through $\ln N$, the logarithm of a logarithm, $N \approx
    \log_2T + 4$.

    **Measured.** The slope of the mean regret over $T$, at most 0.1 above that of (49), and the pathwise bound in
    every run. Uniform weights, too good for the explicit bounds, are refuted by the slope: the small steps of the
    pool shrink like $1/\sqrt T$, follow a jump ever more slowly, and keep their share of the point that is played.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Algorithm 3 and Theorem 9.
    """
    centre = rng.uniform(0.45, 0.55, DIMENSION) * rng.choice((-1.0, 1.0), DIMENSION)
    turns = np.arange(rounds) * BLOCKS // rounds
    centres = (1.0 - 2.0 * (turns[:, None] % 2)) * centre
    game = nonsmooth_game(centres, np.full(centres.shape, 0.1), np.zeros(centres.shape), spread=0.0)
    path, pool = minimiser_path(game), _pool(game)
    length = path_length(path)
    whole = play_implicit_ensemble(drawn_kinks(game), pool)
    played = whole
    if uniform or smallest:
        played = play_implicit_ensemble(drawn_kinks(game), pool[:1] if smallest else pool, uniform=uniform)
    return {
        "regret": float(mean_loss_gaps(game, played.iterates, path).sum()),
        "pathwise": _pathwise(game, whole, pool, length),
        "stated": nonsmooth_ensemble(game.constants, length),
        **audited_kinked_game(game),
    }
