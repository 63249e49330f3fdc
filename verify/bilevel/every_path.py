"""What holds on every path, whatever the estimator: the formula of the hypergradient and the master inequality."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from problems import multi_block_bilevel as exact
from problems.bilevel_oracles import compiled_blocks
from problems.bilevel_quadratic import QuadraticBilevel, closed_hypergradient, drawn_quadratic
from problems.bilevel_temperature import breast_cancer_tuning
from problems.bilevel_topk import TopKRanking, drawn_ranking, threshold_gradients
from theorylab.algorithms.bilevel_bounds import descent_slack, master_sides, variance_reduced_schedule
from theorylab.algorithms.bilevel_methods import BilevelMethod, BilevelSteps
from theorylab.algorithms.bilevel_quadratic import bsvrb_v1_quadratic, bsvrb_v2_quadratic
from theorylab.algorithms.block_estimators import msvr, storm
from theorylab.algorithms.tracking_bounds import gamma_star
from theorylab.audit import by_construction, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun
from verify.bilevel import PAPER
from verify.bilevel.measures import ROUNDING, SETTING, audited_setting

Array = npt.NDArray[np.float64]

ITERATIONS = 2000


def _runs(version: str, *sizes: tuple[int, int]) -> tuple[tuple[str, int, int, str], ...]:
    """Return the sweep points of a version: every (I, B) with both steps."""
    return tuple((version, *size, eta) for size in sizes for eta in ("schedule", "1/(2 L_F)"))


@claim(
    PAPER,
    source="re-derived from the descent lemma, with constants",
    guarantee="upper bound",
    sweep=Sweep(
        name="(version, I, B, eta)",
        label="version, sampled blocks of 32, batch and step: (version, I, B, η)",
        quick=_runs("v2", (4, 4), (32, 1), (1, 1)) + _runs("v1", (4, 4)),
        full=_runs("v2", (4, 4), (32, 1), (1, 1)) + _runs("v1", (4, 4), (32, 1), (1, 1)),
    ),
    replicates=Replicates(quick=3, full=12),
    judges=[
        EveryRun(measured="largest share of the right-hand side", at_most=1.0),
        EveryRun(measured="least slack of a step", at_least=0.0, absolute=1e-12),
    ],
    controls=[Control("no implicit term in z and no error term in the bound", implicit=False, error_term=False)],
    hypotheses=SETTING | {"step": r"$F$ is $L_F$-smooth and $\eta \le 1/(2L_F)$"},
)
def master_inequality(
    point: tuple[str, int, int, str], rng: np.random.Generator, *, implicit: bool = True, error_term: bool = True
) -> dict[str, Any]:
    r"""Descent and the error of the direction alone bound the mean gradient, on every path and at every time.

    **Problem.** $m = 32$ quadratic lower problems in $R^6$ with eigenvalues in $[1, 3]$, an upper loss
    $\sum_k\phi(y_k - c_k)$ plus a small one in $x \in R^8$, $\phi(u) = u^2/(1+u^2)$, a Gaussian oracle. With $J_i =
    A_i^{-1}C_i$, the gradient of $F$ has the Lipschitz constant $L_F = 2\|\frac1m\sum J_i'J_i\| + 2\rho$.

    **Algorithm.** Versions 1 and 2 of the paper, $T = 2000$, with the schedule of its rate ($\varepsilon =
    0.7(T/512)^{-1/3}$), and again with $\eta$ raised to $1/(2L_F)$.

    **Guarantee** (upper bound for every run; re-derived). If $x_{t+1} = x_t - \eta z_t$ and $\eta \le 1/(2L_F)$, then
    for every $T$
    $$\frac1T\sum_t\|\nabla F(x_t)\|^2 \le \frac{2(F(x_0)-F(x_T))}{\eta T} + \frac1T\sum_t\|z_t-\nabla F(x_t)\|^2 -
    \frac1{2T}\sum_t\|z_t\|^2.$$
    It says nothing of where $z_t$ comes from. The descent lemma gives $F(x_{t+1}) \le F(x_t) - \eta\langle\nabla F, z
    \rangle + \frac{L_F\eta^2}2\|z\|^2$; put in $-\langle\nabla F, z\rangle = \frac12(\|z-\nabla F\|^2 - \|\nabla F\|^2
    - \|z\|^2)$ and $L_F\eta/2 \le 1/4$, and add up. So a rate for the error of $z$ is a rate for the gradient, and this
    error is what the estimators of the paper reduce.

    **Measured.** Both sides after each of the 2000 steps, from exact values and gradients: the largest quotient may not
    exceed one, and no single step may have less slack than rounding. The quotient is close to one in the first steps,
    where $v_0 = 0$ makes $z$ small: the two sides differ by at most $\|z\|^2$. The control leaves the implicit term out
    of $z$ and pretends that $z$ has no error.

    **Reference.** Re-derived, for the methods of Hu, Qiu, Guo, Zhang and Yang, ICML 2023.
    """
    version, sampled, batch, step = point
    problem = drawn_quadratic(rng)
    smooth = problem.constants.hypergradient_smoothness
    plan = variance_reduced_schedule(0.7 * (ITERATIONS / 512) ** (-1 / 3), blocks=32, sampled=sampled, batch=batch)
    eta = plan.eta if step == "schedule" else 0.5 / smooth
    gamma = gamma_star(plan.alpha, blocks=32, sampled=sampled)
    method = BilevelMethod(msvr(plan.alpha, gamma), storm(plan.beta), implicit=implicit)
    play = bsvrb_v2_quadratic if version == "v2" else bsvrb_v1_quadratic
    run = play(
        compiled_blocks(problem),
        method,
        BilevelSteps(eta, plan.tau, plan.implicit),
        iterations=ITERATIONS,
        sampled=sampled,
        batch=batch,
        rng=rng,
        every=1,
    )
    audits = audited_setting(problem, batch)
    audits["step"] = certified(eta * smooth, at_most=0.5 * (1.0 + ROUNDING), note="eta L_F")
    if run.diverged:
        return {"largest share of the right-hand side": np.inf, "least slack of a step": -np.inf} | audits
    errors = run.error_squares[:-1] if error_term else np.zeros(ITERATIONS)
    record = (run.objectives, run.gradient_squares[:-1], errors, run.direction_squares[:-1])
    left, right = master_sides(*record, eta=eta)
    shares = np.full(ITERATIONS, np.inf)
    np.divide(left, right, out=shares, where=right > 0.0)
    return {
        "largest share of the right-hand side": float(shares.max()),
        "least slack of a step": float(descent_slack(*record, eta=eta).min()),
        **audits,
    }


_FAMILIES: dict[str, Callable[[np.random.Generator], exact.Problem]] = {
    "quadratic": drawn_quadratic,
    "temperatures": breast_cancer_tuning,
    "top-K": drawn_ranking,
}


@claim(
    PAPER,
    source="the hypergradient that the paper's methods estimate; re-derived",
    guarantee="tight",
    sweep=Sweep(name="family", label="family of instances", quick=tuple(_FAMILIES), full=tuple(_FAMILIES)),
    replicates=Replicates(quick=4, full=16),
    judges=[
        EveryRun(measured="distance from differences", at_most=1e-7),
        EveryRun(measured="distance from a second formula", at_most=1e-10),
    ],
    controls=[
        Control("no implicit term", weight=0.0),
        Control("implicit term with the wrong sign", weight=-1.0),
        Control("lower problems not solved: y = 0", solved=False),
    ],
    hypotheses={
        "A1": SETTING["A1"],
        "A3": SETTING["A3"],
        "smooth": "$f_i$ is continuously differentiable and $g_i$ twice",
    },
)
def hypergradient_exact(
    family: str, rng: np.random.Generator, *, weight: float = 1.0, solved: bool = True
) -> dict[str, Any]:
    r"""The gradient of F takes one solve with the lower Hessian of each block.

    **Problem.** Quadratic lower problems with a bounded upper loss ($m = 32$, $d_x = 8$, $d_y = 6$); weights of 200
    training samples for 10 temperatures of a logistic regression on real data; thresholds of top-K ranking ($m = 16$
    queries, $d_y = 1$).

    **Algorithm.** None: the formula, at a random point about the start of each instance.

    **Guarantee** (tight). By the implicit function theorem on $\nabla_y g_i(x, y_i^\ast(x)) = 0$,
    $$\nabla F(x) = \frac1m\sum_i\big[\nabla_xf_i - \nabla^2_{xy}g_i\,v_i^\ast\big], \qquad \nabla^2_{yy}g_i\,v_i^\ast =
    \nabla_yf_i,$$
    all at $(x, y_i^\ast(x))$. The vector $v_i^\ast$ minimises $\frac12v'\nabla^2_{yy}g_iv - v'\nabla_yf_i$, which is
    what version 2 of the algorithm does with products alone.

    **Measured.** The largest distance, over 8 directions of length one, between the formula's slope and differences of
    fourth order of $F$, for which the lower problems are solved anew: at most $10^{-7}$, above the rounding of
    differences of width $10^{-4}$. The second formula, to $10^{-10}$, has no $v_i^\ast$: for quadratics it is the
    closed form, for rankings it goes by the derivatives of the thresholds in closed form, and for temperatures by the
    whole Jacobian of the lower solutions.

    **Reference.** Re-derived, for the problem of Hu, Qiu, Guo, Zhang and Yang, ICML 2023.
    """
    problem = _FAMILIES[family](rng)
    x = problem.start + 0.5 * rng.standard_normal(problem.start.size)
    directions = rng.standard_normal((8, x.size))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    lower = exact.lower_solutions(problem, x)
    at = exact.derivatives(problem, x, lower if solved else np.zeros_like(lower))
    vectors = np.linalg.solve(at.hessians, at.upper_y[:, :, None])[:, :, 0]
    gradient = (at.upper_x - weight * np.einsum("mab,mb->ma", at.cross, vectors)).mean(axis=0)
    differences = exact.difference_quotients(problem, x, directions)
    audits = audited_setting(problem, 1)
    return {
        "distance from differences": float(np.abs(differences - directions @ gradient).max()),
        "distance from a second formula": float(np.abs(_second_formula(problem, x) - gradient).max()),
        "A1": audits["A1"],
        "A3": audits["A3"],
        "smooth": by_construction("rational functions, logistic functions and quadratics"),
    }


def _second_formula(problem: exact.Problem, x: Array) -> Array:
    """Return ``grad F(x)`` (dx,) from the derivatives of the lower solutions, without any implicit vector."""
    if isinstance(problem, QuadraticBilevel):
        return closed_hypergradient(problem, x)
    at = exact.derivatives(problem, x, exact.lower_solutions(problem, x))
    if isinstance(problem, TopKRanking):
        jacobians = threshold_gradients(problem, x)[:, None, :]
    else:
        jacobians = np.asarray(-np.linalg.solve(at.hessians, at.cross.transpose(0, 2, 1)))
    return np.asarray((at.upper_x + np.einsum("mba,mb->ma", jacobians, at.upper_y)).mean(axis=0))
