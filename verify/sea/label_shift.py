"""Claims on online label shift: Corollary 4, the theorem that covers it, and the hypothesis that fails."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.comparators import path_length
from problems.label_shift import (
    LabelShiftGame,
    drawn_loss_gaps,
    label_shift,
    mean_loss_gaps,
    minimiser_path,
    negative_share,
    switching_priors,
)
from problems.sea_certificates import certify_label_shift
from theorylab.algorithms.implicit_descent import ball_game, implicit_pool, play_implicit_ensemble
from theorylab.algorithms.online_certificates import nonsmooth_ensemble as pathwise_bound
from theorylab.algorithms.online_dynamic_bounds import dynamic_ensemble, nonsmooth_ensemble
from theorylab.algorithms.online_ensemble import adaptive_rate, dynamic_pool, play_ensemble
from theorylab.algorithms.online_losses import softmax_losses
from theorylab.algorithms.sea_constants import SeaConstants
from theorylab.audit import Hypothesis, by_construction, certified, sampled
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, EveryRun, InExpectation, Ordered
from verify.sea import PAPER
from verify.sea.measures import CONVEX, DIAMETER, GRADIENT, ROUNDING, SMOOTH

Array = npt.NDArray[np.float64]

INDIVIDUAL = r"A8: every drawn loss $f_t$ is convex"
UNBIASED = r"$E\,\hat\mu_t = \mu_t$, so that $F_t = \sum_k \mu_{tk} R_k$"
PATH = r"$u_t$ minimises $F_t$ over the ball"
SHIFT_HYPOTHESES = {"gradient": GRADIENT, "diameter": DIAMETER, "smooth": SMOOTH, "convex": CONVEX, "path": PATH}
TRIED = 32  # points of the ball at which the curvature of a loss is computed


def _game(rounds: int, samples: int, rng: np.random.Generator, *, projected: bool) -> LabelShiftGame:
    """The priors switch every 250 rounds, or once in a shorter game."""
    return label_shift(switching_priors(rounds, block=min(250, rounds // 2)), rng, samples=samples, projected=projected)


def _audited(game: LabelShiftGame, gap: float) -> dict[str, Hypothesis]:
    """Certify `SHIFT_HYPOTHESES`; ``gap`` is the largest ``F_t(u_t) - min F_t``."""
    c, found = game.constants, certify_label_shift(game)
    return {
        "gradient": certified(found.gradient, at_most=c.gradient * (1.0 + ROUNDING), note="largest gradient; G"),
        "diameter": certified(found.diameter, at_most=c.diameter * (1.0 + ROUNDING), note="D"),
        "smooth": by_construction("half the largest second moment of a class bounds the Hessian", c.smoothness),
        "convex": certified(float(game.frequencies.min()), at_least=0.0, note="least class frequency"),
        "path": certified(gap, at_most=1e-6, note="largest optimality gap"),
    }


@claim(
    PAPER,
    source="Theorem 7 in place of Corollary 4, for the raw estimator; the factor 0.75 is ours",
    guarantee="upper bound",
    sweep=Sweep(
        name="(T, n)",
        label="rounds T, unlabelled points a round n",
        quick=((250, 4), (250, 16), (250, 64)),
        full=((500, 4), (500, 16), (500, 64), (2000, 4), (2000, 16), (2000, 64)),
    ),
    replicates=Replicates(quick=4, full=12),
    judges=[
        InExpectation(measured="regret", at_most="theorem_7"),
        Ordered(smaller="regret", larger="slow_regret", factor=0.75),
    ],
    controls=[Control("smallest step alone", smallest=True)],
    hypotheses=SHIFT_HYPOTHESES | {"unbiased": UNBIASED},
)
def ols_smooth(sizes: tuple[int, int], rng: np.random.Generator, *, smallest: bool = False) -> dict[str, Any]:
    r"""Label shift with raw weights is covered by the theorem for smooth losses: only the mean loss must be convex.

    **Problem.** Softmax regression of three digits (1, 8, 9; two principal components, 40 images a class) on the ball
    of radius 2. Class frequencies switch between (.8, .1, .1) and (.1, .1, .8) every 250 rounds, or once in a short
    game. A round shows $n$ unlabelled points; black-box shift estimation gives $\hat\mu_t = C^{-1}\hat q_t$, unbiased,
    and $f_t = \sum_k \hat\mu_{tk} R_k$. Some weights are negative, so some $f_t$ are not convex.

    **Algorithm.** The two-layer ensemble (Algorithm 2), one gradient a round.

    **Guarantee** (upper bound, in expectation). Theorem 7, display (37), with the paper's constants: dynamic regret on
    $F_t$ against $u_t = \arg\min F_t$. It needs $F_t$ smooth and convex and nothing of the single losses. Inserted are
    $\sigma_{1:T}^2 \le KG_R^2\sum_t E\|\hat\mu_t - \mu_t\|^2$ (exact expectation) and $\Sigma_{1:T}^2 \le
    KG_R^2\sum_t\|\mu_t - \mu_{t-1}\|^2$ of Corollary 4, from Cauchy and Schwarz over the $K$ classes.

    **Measured.** Regret against (37), which is two hundred times larger and would let much pass. The second judge does
    not: the ensemble must stay below 0.75 of the regret of its own smallest step alone on the same losses.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Theorem 7 and Corollary 4; Lipton, Wang and
    Smola, ICML 2018.
    """
    rounds, samples = sizes
    game = _game(rounds, samples, rng, projected=False)
    c = game.constants
    path, gap = minimiser_path(game)
    pool = dynamic_pool(rounds, diameter=c.diameter, gradient=c.gradient, smoothness=c.smoothness)
    slow = _smooth_regret(game, pool[:1], path)
    return {
        "regret": slow if smallest else _smooth_regret(game, pool, path),
        "slow_regret": slow,
        "theorem_7": dynamic_ensemble(c, path_length(path)),
        **_audited(game, gap),
        "unbiased": by_construction("the confusion matrix is that of the pool the points are drawn from"),
    }


def _smooth_regret(game: LabelShiftGame, pool: Array, path: Array) -> float:
    """Dynamic regret of Algorithm 2 on ``F_t``."""
    c = game.constants
    rate = adaptive_rate(pool.size, diameter=c.diameter, smoothness=c.smoothness)
    losses = softmax_losses(game.features, game.weights)
    played = play_ensemble(losses, pool, rate, radius=game.radius, correction=2.0 * c.smoothness)
    return float(mean_loss_gaps(game, played.iterates, path).sum())


@claim(
    PAPER,
    source="Theorem 9 in place of Corollary 4, projected weights; pathwise bound re-derived, (49) corrected",
    guarantee="upper bound",
    sweep=Sweep(
        name="n",
        label="unlabelled points a round, n",
        quick=(4, 64),
        full=(4, 16, 64),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=3, full=8),
    judges=[
        EveryRun(measured="drawn_regret", at_most="pathwise"),
        InExpectation(measured="drawn_regret", at_most="theorem_9"),
        Equals(measured="mean_slope", between=(-1.0, 0.0)),
    ],
    controls=[Control("smallest step alone", smallest=True)],
    hypotheses=SHIFT_HYPOTHESES | {"individual": INDIVIDUAL},
)
def ols_implicit(samples: Array, rng: np.random.Generator, *, smallest: bool = False) -> dict[str, Any]:
    r"""Label shift with weights projected on the simplex is covered by the theorem for convex losses.

    **Problem.** As in `ols-smooth`, $T = 250$ with one switch; the estimated weights are projected on the simplex. Then
    every $f_t$ is convex, and the estimate is no longer unbiased: the mean of $f_t$ is not $F_t = \sum_k \mu_{tk} R_k$.

    **Algorithm.** The implicit ensemble (Algorithm 3); proximal steps by accelerated gradient descent.

    **Guarantee** (upper bound on $\sum_t f_t(x_t) - f_t(u_t)$, $u_t = \arg\min F_t$). On every path [re-derived]:
    $\min_i[(D^2 + 2DP_T)/(2\eta_i) + \frac{\eta_i}2\sum_t v_{t,i}] + \ln N\sqrt{1 + Q_T} + \sum_t
    q_t^2/(2\sqrt{1 + Q_{t-1}})$, proof in `online_certificates.nonsmooth_ensemble`. In expectation (49), with $4D^2G^2$
    for the printed $4G^4$. For (49): projection does not expand and leaves $\mu_t$ where it is, so
    $\tilde\sigma_{1:T}^2 \le KG_R^2\sum_t E\|\hat\mu_t - \mu_t\|^2$ still holds; two points of the simplex are at most
    $\sqrt2$ apart, so each switch adds at most $2KG_R^2$ to $\Sigma_{1:T}^2$. Nothing is proved about the regret on
    $F_t$ that the corollary is about.

    **Measured.** The drawn regret against the pathwise bound in every run and against (49) in expectation; and the
    log-log slope of the regret on $F_t$ over $n$, one a run, whose mean must lie in $[-1, 0]$: more points bring error
    and bias of the estimate down, whose mean square falls as $1/n$. The control plays the smallest step and is held to
    the bound of the whole pool.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Theorem 9 and Corollary 4.
    """
    games = [_game(250, int(n), rng, projected=True) for n in samples]
    path, gap = minimiser_path(games[0])
    length = path_length(path)
    played = [_implicit(game, path, length, smallest) for game in games]
    drawn, mean, pathwise = (np.array(column) for column in zip(*played, strict=True))
    audited = [_audited(game, gap) for game in games]
    least = min(certify_label_shift(game).individual_convexity for game in games)
    return {
        "drawn_regret": drawn,
        "mean_regret": mean,
        "pathwise": pathwise,
        "theorem_9": np.array([nonsmooth_ensemble(_projected_constants(game), length) for game in games]),
        "mean_slope": np.full(samples.size, np.polyfit(np.log(samples), np.log(mean), 1)[0]),
        **audited[0],
        "individual": certified(least, at_least=0.0, note="least weight, if negative"),
    }


def _implicit(game: LabelShiftGame, path: Array, length: float, smallest: bool) -> tuple[float, float, float]:
    """Regret of Algorithm 3 on ``f_t`` and on ``F_t``, and the pathwise bound of the whole pool."""
    c = game.constants
    losses = ball_game(softmax_losses(game.features, game.weights), game.radius)
    pool = implicit_pool(c.horizon, diameter=c.diameter, gradient=c.gradient)
    whole = play_implicit_ensemble(losses, pool)
    bound = pathwise_bound(
        whole.base_variations,
        pool,
        whole.surprises,
        whole.weighted_surprises,
        diameter=c.diameter,
        path_length=length,
    )
    points = (play_implicit_ensemble(losses, pool[:1]) if smallest else whole).iterates
    return (
        float(drawn_loss_gaps(game, points, path).sum()),
        float(mean_loss_gaps(game, points, path).sum()),
        float(bound[-1]),
    )


def _projected_constants(game: LabelShiftGame) -> SeaConstants:
    """The constants of the projected losses: a bound on the variation of their means, which are not ``F_t``."""
    switches = int(np.count_nonzero(np.any(np.diff(game.frequencies, axis=0) != 0.0, axis=1)))
    classes = game.features.shape[0]
    return replace(game.constants, variation=2.0 * classes * game.class_gradient**2 * switches)


@claim(
    PAPER,
    source="Corollary 4, hypothesis A8 of Theorem 9",
    guarantee="upper bound",
    sweep=Sweep(name="n", label="unlabelled points a round, n", quick=(4, 16, 64), full=(4, 16, 64, 256)),
    replicates=Replicates(quick=3, full=12),
    judges=[
        EveryRun(measured="negative_share", at_most=0.0),
        EveryRun(measured="least_curvature", at_least=0.0, absolute=1e-12),
    ],
    controls=[Control("weights projected on the simplex", projected=True)],
    hypotheses={"individual": INDIVIDUAL},
    expected="not applicable",
    reason="the raw label-shift estimator has negative weights, with which a drawn loss is not convex (A8 fails)",
)
def label_hyp(samples: int, rng: np.random.Generator, *, projected: bool = False) -> dict[str, Any]:
    r"""The label-shift corollary does not apply to raw weights: some are negative, and then the loss is not convex.

    **Problem.** As in `ols-smooth`, $T = 500$: $f_t = \sum_k \hat\mu_{tk} R_k$, $\hat\mu_t = C^{-1}\hat q_t$ from $n$
    unlabelled points, $C$ the confusion matrix of the classifier.

    **Algorithm.** None is run. Corollary 4 runs Algorithm 3, whose proximal steps are not defined once a loss is
    not convex: its largest step is about $D\sqrt{2T}$, and $f_t + \|\cdot - \hat x\|^2/(2\eta)$ need not be convex.

    **Guarantee** (the hypothesis of one). Theorem 9, and with it Corollary 4, asks for convex $f_t$ (A8). But $C^{-1}$
    has negative entries wherever the classifier errs: with $q = Ce_j$ every weight but the $j$-th is zero, and a
    sample $\hat q_t$ outside the cone of the columns of $C$ has a negative weight, say $\hat\mu_{tk} < 0$. Then
    $\nabla^2 f_t = \sum_j \hat\mu_{tj}\nabla^2R_j$ has a negative eigenvalue wherever the curvature of $R_k$ outweighs
    the others. Here that is no mere possibility: the eigenvalue is computed.

    **Measured.** The share of rounds with a negative weight (about .58, .34 and .08 for $n$ = 4, 16 and 64), and the
    smallest eigenvalue of $\nabla^2f_t$ over all rounds at 32 points of the ball: one negative value proves that A8
    fails on the instance, as it does for $n$ = 4 and 16. For $n = 64$ the negative weights are so small that none is
    found: there A8 is not refuted, and not known either. The control projects the weights on the simplex: no
    weight is negative and A8 holds, at the price of a bias (`ols-implicit`). The other way out is `ols-smooth`.

    **Reference.** Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, Corollary 4 and Theorem 9.
    """
    game = _game(500, samples, rng, projected=projected)
    least = _least_curvature(game, rng)
    share = negative_share(game)
    convex = sampled(least, at_least=-1e-12, note="least curvature found")
    if share == 0.0:
        convex = by_construction("mixtures of convex losses with non-negative weights", least)
    return {"negative_share": share, "least_curvature": least, "individual": convex}


def _least_curvature(game: LabelShiftGame, rng: np.random.Generator) -> float:
    """The least eigenvalue of the Hessians of all ``f_t`` at the origin and at random points of the ball."""
    weights = np.unique(game.weights, axis=0)
    directions = rng.standard_normal((TRIED, game.dimension))
    points = game.radius * rng.random((TRIED, 1)) * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    points[0] = 0.0
    hessians = [np.tensordot(weights, _class_hessians(game.features, x), axes=1) for x in points]
    return min(float(np.linalg.eigvalsh(stack).min()) for stack in hessians)


def _class_hessians(features: Array, point: Array) -> Array:
    """The Hessians of all ``R_k`` (K, K p, K p) at one point (K p,): the mean of ``(diag(q) - qq') x zz'``."""
    classes, count, p = features.shape
    logits = features @ point.reshape(classes, p).T
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    spread = shares[..., None] * np.eye(classes) - shares[..., :, None] * shares[..., None, :]
    return np.einsum("knab,kni,knj->kaibj", spread, features, features).reshape(classes, classes * p, -1) / count
