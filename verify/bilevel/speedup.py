"""Parallel speed-up: iterations to a given accuracy with more samples a block, more blocks, and where it ends."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.bilevel_bounds import BilevelSchedule, stated_iterations
from theorylab.algorithms.bilevel_quadratic import QuadraticBlocks
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, EveryRun, InExpectation, RateAtMost
from verify.bilevel import PAPER
from verify.bilevel.descent import (
    HYPOTHESES,
    PAPER_LOOP,
    Setting,
    Variant,
    audited,
    drawn,
    method_of,
    run,
    scheduled,
    streams,
)
from verify.bilevel.measures import log_slope

Array = npt.NDArray[np.float64]

MOST = 60_000  # iterations; a run that takes more counts as never arriving
EVERY = 8  # iterations between two looks at the gradient


@dataclass(frozen=True, slots=True)
class Goal:
    """When a run has arrived, and the constants of its steps.

    It arrives when the mean of ``||grad F||^2`` so far is at most ``share eps^2``; ``step`` is c0 of eta, and the lower
    steps are ``pace`` times eta.
    """

    epsilon: float
    share: float
    step: float
    pace: float


IN_BATCH, IN_BLOCKS = Goal(0.2, 0.1, 0.25, 4.0), Goal(0.3, 0.1, 0.5, 1.0)


def planned(goal: Goal, setting: Setting, variant: Variant = PAPER_LOOP) -> BilevelSchedule:
    """Return the schedule of the eps^-3 rate for a goal."""
    plan = scheduled(goal.epsilon, setting, step=goal.step, variant=variant)
    return replace(plan, tau=goal.pace * plan.tau, implicit=goal.pace * plan.implicit)


def arrival(
    blocks: QuadraticBlocks,
    schedule: BilevelSchedule,
    setting: Setting,
    goal: Goal,
    rng: np.random.Generator,
    variant: Variant = PAPER_LOOP,
    every: int = EVERY,
) -> tuple[float, float]:
    """Return the iterations until a run arrives, inf if it does not, and ``||z - grad F||^2 / eps^2`` of its half."""
    played = run(
        blocks,
        method_of(schedule, setting, variant),
        schedule,
        setting,
        rng,
        iterations=MOST,
        every=every,
        threshold=goal.share * goal.epsilon**2,
    )
    half = played.error_squares[played.error_squares.size // 2 :]
    return np.inf if played.hit is None else float(max(played.hit, 1)), float(half.mean()) / goal.epsilon**2


def arrivals(
    settings: list[Setting],
    goal: Goal,
    rng: np.random.Generator,
    *,
    schedules: list[BilevelSchedule] | None = None,
    variant: Variant = PAPER_LOOP,
) -> dict[str, Any]:
    """Return for runs on one instance their iterations, the stated order, and errors of z (n,); and the audits.

    ``schedules`` are the paper's if None; audited are the paper's.
    """
    rngs = streams(rng, len(settings) + 1)
    problem, blocks = drawn(rngs[-1], settings[0].blocks)
    stated = [planned(goal, setting) for setting in settings]
    cells = zip(stated if schedules is None else schedules, settings, rngs, strict=False)
    iterations, errors = np.array(
        [arrival(blocks, schedule, setting, goal, own, variant) for schedule, setting, own in cells]
    ).T
    order = [stated_iterations(goal.epsilon, blocks=s.blocks, sampled=s.sampled, batch=s.batch) for s in settings]
    return {
        "iterations": iterations,
        "stated order through the first point": iterations[0] * np.array(order) / order[0],
        "error of z over eps^2": errors,
        **audited(problem, list(zip(stated, settings, strict=True))),
    }


def spread(errors: Array) -> float:
    """Return the largest over the smallest entry; infinite where one is."""
    return float(errors.max() / errors.min()) if np.isfinite(errors).all() else np.inf


ORDER = RateAtMost(measured="iterations", rate="stated order through the first point", margin=0.1)
NOISE = EveryRun(measured="error of z over eps^2", at_most=1.0)
FLAT = InExpectation(measured="largest over smallest error", at_most=3.0)


@claim(
    PAPER,
    source="abstract, case I = m; order only, schedule re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="B",
        label="samples of each block an iteration, B",
        quick=(1, 4, 16),
        full=(1, 2, 4, 8, 16),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=6, full=32),
    judges=[ORDER, Equals(measured="slope", between=(-0.6, -0.4)), FLAT, NOISE],
    controls=[
        Control("steps that grow like B instead of its root", like_batch=True),
        Control("steps and weights of B = 1 throughout", ignore_batch=True),
    ],
    hypotheses=HYPOTHESES,
)
def parallel_speedup_in_batch(
    B: Array, rng: np.random.Generator, *, like_batch: bool = False, ignore_batch: bool = False
) -> dict[str, Any]:
    r"""With every block sampled, B times the samples save a factor √B of the iterations.

    **Problem.** That of `eps-cubed-rate` with $m = I = 8$.

    **Algorithm.** BSVRB-v2 with $\varepsilon = 0.2$, $\alpha = \beta = 0.1B\varepsilon^2$, $\eta = 0.25\sqrt\alpha$ and
    $\tau = \tau_v = 4\eta$, until the mean of $\|\nabla F(x_t)\|^2$ so far is at most $0.1\varepsilon^2$.

    **Guarantee** (upper bound, order). $O(\varepsilon^{-3}/\sqrt B)$ iterations. Averages of $B$ samples have a $B$-th
    of the variance, so $\alpha$ may be $B$ times as large for the same error, and the steps $\sqrt B$ times as long.

    **Measured.** The iterations needed: their slope over $B$ in $[-0.6, -0.4]$, and at most 0.1 above that of the
    stated order. With steps that grow like $\sqrt B$ a saving is no surprise; the theorem is that they may: the error
    $\|z-\nabla F\|^2/\varepsilon^2$ over the second half of a run is at most 1, as the schedule promises, and differs
    over $B$ by less than a factor of 3 on the average over instances. Controls: steps $\eta \sim B$ and steps that do
    not know $B$, whose slopes are near $-1$ and 0.

    **Chosen after measuring.** The first draft had the goal $0.05\varepsilon^2$ and three equal steps $0.5\sqrt\alpha$.
    On one instance in six the error of $z$ at $B = 16$ then lay above the goal, and shorter equal steps did not cure
    it: $x$, $y_i$ and $v_i$ move at one pace and swing. The theory asks for $\eta$ small against $\tau$, with a
    constant that an order does not show; a quarter is enough on all instances tried. The windows are those of the
    draft.

    **Reference.** Hu, Qiu, Guo, Zhang and Yang, ICML 2023, abstract; schedule re-derived.
    """
    settings = [Setting(8, 8, int(batch)) for batch in B]
    schedules = [planned(IN_BATCH, setting) for setting in settings]
    if ignore_batch:
        schedules = [planned(IN_BATCH, Setting(8, 8, 1))] * len(settings)
    if like_batch:
        schedules = [lengthened(schedule, np.sqrt(batch)) for schedule, batch in zip(schedules, B, strict=True)]
    found = arrivals(settings, IN_BATCH, rng, schedules=schedules)
    return found | {
        "slope": np.full(B.size, log_slope(B, found["iterations"])),
        "largest over smallest error": np.full(B.size, spread(found["error of z over eps^2"])),
    }


def lengthened(schedule: BilevelSchedule, factor: float) -> BilevelSchedule:
    """Return the schedule with all three steps times ``factor``."""
    steps = {name: getattr(schedule, name) * float(factor) for name in ("eta", "tau", "implicit")}
    return replace(schedule, **steps)


@claim(
    PAPER,
    source="abstract, case I < m; order only, schedule re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="I",
        label="blocks of 32 sampled an iteration, I",
        quick=(2, 4, 8, 16),
        full=(2, 4, 8, 16),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=8, full=40),
    judges=[ORDER, Equals(measured="slope", between=(-1.7, -1.3)), FLAT, NOISE],
    controls=[Control("steps without the factor I/m", scaled=False)],
    hypotheses=HYPOTHESES,
)
def parallel_speedup_in_blocks(
    I: Array,  # noqa: E741
    rng: np.random.Generator,
    *,
    scaled: bool = True,
) -> dict[str, Any]:
    r"""Twice the sampled blocks need 2^1.5 times fewer iterations, and so fewer samples in total.

    **Problem.** That of `eps-cubed-rate`, $m = 32$ blocks.

    **Algorithm.** BSVRB-v2 with $B = 16$, $\varepsilon = 0.3$, $\alpha = \beta = 0.1I\varepsilon^2$ and $\eta = \tau =
    \tau_v = 0.5\tfrac Im\sqrt\alpha$, until the mean of $\|\nabla F(x_t)\|^2$ so far is at most $0.1\varepsilon^2$.

    **Guarantee** (upper bound, order). $O(m\varepsilon^{-3}/(I\sqrt I))$ iterations for $I \le B$, $I < m$. A factor
    $I$ comes from trackers being renewed more often, $\sqrt I$ from the smaller variance of $z$ over the choice of
    blocks.

    **Measured.** The iterations needed: their slope over $I$ in $[-1.7, -1.3]$, and at most 0.1 above that of the
    stated order. As in `parallel-speedup-in-batch` the steps grow with $I$ and the error of $z$ has to stay: at most
    $\varepsilon^2$ in every run, and over $I$ within a factor of 3 on the average over instances. Without the factor
    $I/m$ in the steps a tracker that rests for $m/I$ iterations leads its block too far, and at $I = 2$ the error is
    some forty times as large.

    **Reference.** Hu, Qiu, Guo, Zhang and Yang, ICML 2023, abstract; schedule re-derived.
    """
    settings, variant = [Setting(32, int(count), 16) for count in I], Variant(scaled=scaled)
    schedules = [planned(IN_BLOCKS, setting, variant) for setting in settings]
    found = arrivals(settings, IN_BLOCKS, rng, schedules=schedules, variant=variant)
    return found | {
        "slope": np.full(I.size, log_slope(I, found["iterations"])),
        "largest over smallest error": np.full(I.size, spread(found["error of z over eps^2"])),
    }


@claim(
    PAPER,
    source="abstract, case I < m; order only, schedule re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="B",
        label="samples of each block an iteration, B",
        quick=(1, 4, 16, 64),
        full=(1, 4, 16, 64),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=24, full=40),
    judges=[
        InExpectation(measured="iterations", at_least="three quarters of those at B = 16"),
        Equals(measured="iterations at B = 4 over B = 1", between=(0.45, 0.68)),
        Equals(measured="iterations at B = 64 over B = 16", between=(0.75, 1.1)),
        NOISE,
    ],
    controls=[Control("steps and weights that grow with B beyond I", beyond=True)],
    hypotheses=HYPOTHESES,
)
def parallel_speedup_ends_at_blocks(B: Array, rng: np.random.Generator, *, beyond: bool = False) -> dict[str, Any]:
    r"""With few blocks sampled more samples of each help up to B = I, and no further.

    **Problem.** That of `eps-cubed-rate`, $I = 8$ of $m = 32$ blocks.

    **Algorithm.** BSVRB-v2 with $\varepsilon = 0.3$, $q = \min(I, B)$, $\alpha = \beta = 0.1q\varepsilon^2$ and $\eta =
    \tau = \tau_v = 0.5\tfrac Im\sqrt\alpha$, until the mean of $\|\nabla F(x_t)\|^2$ so far is at most
    $0.1\varepsilon^2$.

    **Guarantee** (upper bound, order). $O(m\varepsilon^{-3}(1/(I\sqrt I) + 1/(I\sqrt B)))$ iterations. $z$ averages
    over $I$ blocks, and the variance between blocks does not know $B$.

    **Measured.** From $B = 1$ to 4 the iterations fall by a factor in $[0.45, 0.68]$: the steps alone say $1/2$, the
    stated sum 0.63. From 16 to 64 they fall to no less than three quarters, where the stated sum says 0.79. The steps
    do not change there, and the control shows why: steps that follow $B$ are out of their range at 64, and the run
    diverges. The error of $z$ is at most $\varepsilon^2$ in every run. It is *not* flat below $B = I$, but grows with
    the steps, five times from $B = 1$ to 16: the variance between blocks prevails already with few samples, and the
    schedule is more careful than this family needs.

    **Chosen after measuring.** The draft also compared the slope over $B$ with that of the stated sum. Both halves of
    the sum have constants of their own that the order does not show, so that its bend is no prediction; left out. That
    the error be flat, which the two other speed-ups ask, was found not to hold below $B = I$ and is not asked.
    24 seeds: with 8 and with 16 another root seed was undecided.

    **Reference.** Hu, Qiu, Guo, Zhang and Yang, ICML 2023, abstract; schedule re-derived.
    """
    settings = [Setting(32, 8, int(batch)) for batch in B]
    schedules = [planned(IN_BLOCKS, setting) for setting in settings]
    if beyond:
        weights = np.minimum(0.5, 0.1 * B * IN_BLOCKS.epsilon**2)
        steps = IN_BLOCKS.step * 8 / 32 * np.sqrt(weights)
        schedules = [BilevelSchedule(a, a, s, s, s) for a, s in zip(weights.tolist(), steps.tolist(), strict=True)]
    found = arrivals(settings, IN_BLOCKS, rng, schedules=schedules)
    needed = dict(zip(B.tolist(), found["iterations"], strict=True))
    return found | {
        "three quarters of those at B = 16": np.full(B.size, 0.75 * needed[16]),
        "iterations at B = 4 over B = 1": np.full(B.size, needed[4] / needed[1]),
        "iterations at B = 64 over B = 16": np.full(B.size, needed[64] / needed[16]),
    }
