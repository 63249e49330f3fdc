"""What the claims on whole runs share: drawn problems, the paper's loop and its variants, the audit of its steps."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from problems.bilevel_oracles import compiled_blocks
from problems.bilevel_quadratic import QuadraticBilevel, drawn_quadratic
from theorylab.algorithms.bilevel_bounds import BilevelSchedule, step_conditions, variance_reduced_schedule
from theorylab.algorithms.bilevel_methods import BilevelMethod, BilevelRun, BilevelSteps, bsvrb
from theorylab.algorithms.bilevel_quadratic import QuadraticBlocks, bsvrb_v1_quadratic, bsvrb_v2_quadratic
from theorylab.algorithms.tracking_bounds import gamma_star
from theorylab.audit import Hypothesis, by_construction, certified
from verify.bilevel.measures import SETTING, audited_setting

Array = npt.NDArray[np.float64]

HYPOTHESES = SETTING | {
    "sampling": "every iteration samples I of m blocks uniformly without replacement, independently of the past",
    "weights": r"$\alpha, \beta \le 1/2$ and $\tau, \tau_v \le 2(I/m)/(\mu+L)$, everywhere in the sweep",
    "descent": r"$\eta \le 1/(2L_F)$, for a rate at the end of the sweep: $\eta$ falls along it",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """How the paper's loop is played; every default is the paper's, every other value a mistake to be refuted.

    ``corrected``: gamma* in the trackers, else zero. ``implicit``: the implicit term in z. ``fresh``: independent
    samples at times t and t-1. ``scaled``: the factor I/m in the steps.
    """

    corrected: bool = True
    implicit: bool = True
    fresh: bool = False
    scaled: bool = True


PAPER_LOOP = Variant()


@dataclass(frozen=True, slots=True)
class Setting:
    """The sizes of one run: m ``blocks``, I ``sampled`` and B = ``batch``."""

    blocks: int
    sampled: int
    batch: int


def drawn(rng: np.random.Generator, blocks: int) -> tuple[QuadraticBilevel, QuadraticBlocks]:
    """Draw an instance of m = ``blocks``, dx = 8 and dy = 6; return it and its form for the kernels."""
    problem = drawn_quadratic(rng, blocks=blocks)
    return problem, compiled_blocks(problem)


def scheduled(epsilon: float, setting: Setting, *, step: float = 0.5, variant: Variant = PAPER_LOOP) -> BilevelSchedule:
    """Return the schedule of the eps^-3 rate with c0 = ``step``, without the factor I/m if the variant forgets it."""
    m, sampled = setting.blocks, setting.sampled
    stated = variance_reduced_schedule(epsilon, blocks=m, sampled=sampled, batch=setting.batch, step=step)
    long = stated.eta * m / sampled
    return stated if variant.scaled else replace(stated, eta=long, tau=long, implicit=long)


def method_of(schedule: BilevelSchedule, setting: Setting, variant: Variant = PAPER_LOOP) -> BilevelMethod:
    """Return the paper's estimators with the weights of ``schedule``, changed as the variant says."""
    gamma = gamma_star(schedule.alpha, blocks=setting.blocks, sampled=setting.sampled) if variant.corrected else 0.0
    paper = bsvrb(schedule.alpha, schedule.beta, gamma)
    return replace(paper, implicit=variant.implicit, fresh=variant.fresh)


def run(
    blocks: QuadraticBlocks,
    method: BilevelMethod,
    schedule: BilevelSchedule,
    setting: Setting,
    rng: np.random.Generator,
    *,
    iterations: int,
    version: int = 2,
    every: int | None = None,
    threshold: float = 0.0,
) -> BilevelRun:
    """Run version 1 or 2 without its warnings: what the theory asks of steps is a hypothesis of every claim."""
    face = bsvrb_v1_quadratic if version == 1 else bsvrb_v2_quadratic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return face(
            blocks,
            method,
            BilevelSteps(schedule.eta, schedule.tau, schedule.implicit),
            iterations=iterations,
            sampled=setting.sampled,
            batch=setting.batch,
            rng=rng,
            every=every,
            threshold=threshold,
        )


def audited(
    problem: QuadraticBilevel, cells: Sequence[tuple[BilevelSchedule, Setting]], *, falling: bool = False
) -> dict[str, Hypothesis]:
    """Certify `HYPOTHESES` for the paper's ``cells``; measured are the largest shares of the limits that are used.

    ``falling``: the steps fall along a sweep of horizons, and the last one has to satisfy the descent condition.
    """
    shares: dict[bool, list[float]] = {True: [], False: []}
    for schedule, setting in cells:
        for condition in step_conditions(problem.constants, schedule, sampled=setting.sampled):
            shares[condition.name == "eta"].append(condition.value / condition.limit)
    return {
        **audited_setting(problem, cells[0][1].batch),
        "sampling": by_construction("a partial shuffle picks the blocks of an iteration"),
        "weights": certified(max(shares[False]), at_most=1.0 + 1e-12, note="largest share of a limit"),
        "descent": certified((min if falling else max)(shares[True]), at_most=1.0 + 1e-12, note="2 L_F eta"),
    }


def streams(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Return independent generators, the same ones for every arm of a claim that asks for as many."""
    return [np.random.default_rng(int(seed)) for seed in rng.integers(2**62, size=count)]
