"""How soon ADMM is near the optimum: an observation that holds in the plane and does not carry over."""

from typing import Any

import numpy as np

from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_admm import admm
from theorylab.algorithms.relu_convex_program import train_convex
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun
from verify.relu import PAPER
from verify.relu.measures import CONVEX, Array, Counts, Instance, audited_loss, drawn_instance
from verify.relu.solved import WhereSolved, solve_error
from verify.relu.solvers import PLANE, SPACE, STEP, TOO_LONG, audited_step

LABEL = "data, samples, dimension, weight decay, loss"
SOON = WhereSolved(EveryRun(measured="iterations", at_most=1500.0))


@claim(
    PAPER,
    source="an observation on small problems; 1500 iterations are ours",
    guarantee="upper bound",
    sweep=Sweep(name="data, n, d, beta, loss", label=LABEL, quick=PLANE, full=PLANE),
    replicates=Replicates(quick=3, full=40),
    judges=SOON,
    controls=[TOO_LONG],
    hypotheses={"loss": CONVEX, "step": STEP},
)
def admm_early(point: Instance, rng: np.random.Generator, *, dual_step: float = 1.0) -> dict[str, Any]:
    r"""In the plane, a few hundred iterations of ADMM come within one per cent of the optimum, and stay there.

    **Problem and algorithm.** As in `admm-equals-cvx`, in the plane: 20 to 24 patterns. Exact solutions are not needed
    for training: an observation on problems of this size and scale, no theorem.

    **Guarantee** (upper bound, empirical). At most 1500 iterations.

    **Measured.** Every tenth of 3000 iterations, the objective of $v$ in the program, cones ignored, and that of the
    recovered network; and the first of them from which on both are within 1 % of $p^\star$. The control diverges.

    **Chosen after measuring.** That instances are in the plane: in three and four dimensions the number is exceeded,
    which `admm-early-in-space` states as a claim of its own.

    **Reference.** Bai, Gautam and Sojoudi (2023).
    """
    return _measured(point, rng, dual_step)


@claim(
    PAPER,
    source="an observation in the plane, tried elsewhere; 1500 iterations are ours",
    guarantee="upper bound",
    sweep=Sweep(name="data, n, d, beta, loss", label=LABEL, quick=SPACE[2:], full=SPACE),
    replicates=Replicates(quick=4, full=12),
    judges=SOON,
    controls=[Control("the plane, where the statement was observed", plane=True)],
    hypotheses={"loss": CONVEX, "step": STEP},
    expected="violated",
    reason="1500 iterations are an observation on instances in the plane and no theorem; with more patterns and the"
    " same penalty ADMM takes longer",
)
def admm_early_in_space(point: Instance, rng: np.random.Generator, *, plane: bool = False) -> dict[str, Any]:
    r"""In three and four dimensions too, ADMM is within one per cent of the optimum after 1500 iterations (it is not).

    **Problem and algorithm.** As in `admm-early`, with 134 to 186 patterns in three and four dimensions; $\rho$ as it
    is there.

    **Guarantee** (none: the number of `admm-early`, carried over). No theorem gives a number of iterations: linear
    convergence is stated without its rate, and the rate depends on the instance through the active cones, and on how
    $\rho$ fits the scale of the data.

    **Measured.** As in `admm-early`, by the same judge. The control draws the instances of the plane, where the
    statement must hold.

    **Chosen after measuring.** The whole claim: `admm-early` was stated for all instances first, and 12 of 36 runs in
    three and four dimensions took between 1500 and 2700 iterations, none of the 24 in the plane. Then, here, 9 of 12 in
    four dimensions, three of them more than 3000, and none of 24 in three; hence the instances of the quick budget.

    **Reference.** Bai, Gautam and Sojoudi (2023).
    """
    return _measured(PLANE[SPACE.index(point) % len(PLANE)] if plane else point, rng, 1.0)


def _measured(point: Instance, rng: np.random.Generator, dual_step: float) -> dict[str, Any]:
    """Run ADMM on an instance; see `admm_early`."""
    problem = drawn_instance(point, rng)
    patterns = enumerate_patterns(problem.X)
    best = train_convex(problem.X, problem.y, patterns, beta=problem.beta)
    at = np.arange(10, 3001, 10)
    run = admm(
        problem.X, problem.y, patterns, problem.beta, dual_step=dual_step, iterations=int(at[-1]), checkpoints=at
    )
    return {
        "iterations": first_near(run.checkpoints, np.array([run.objective, run.network]), best.value),
        "solve_error": solve_error(best),
        "loss": audited_loss(problem),
        "step": audited_step(),
    }


def first_near(at: Counts, values: Array, optimum: float) -> float:
    """Return the first of ``at`` (C,) from which on all ``values`` (K, C) are within 1 % of ``optimum``, or inf."""
    far = np.flatnonzero(~(np.abs(values / optimum - 1.0) <= 0.01).all(axis=0))
    first = int(far[-1]) + 1 if far.size else 0
    return float(at[first]) if first < at.size else float("inf")
