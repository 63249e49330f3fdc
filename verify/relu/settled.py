"""How far an ADMM run came to rest, and a judge that lets runs in a plateau decide nothing."""

from dataclasses import dataclass, replace

import numpy as np

from problems.relu_networks import TrainingProblem
from theorylab.algorithms.relu_admm import AdmmRun, AdmmState, admm
from theorylab.algorithms.relu_losses import Mask
from theorylab.judges import EveryRun
from theorylab.measurements import Measurements
from theorylab.verdicts import Evidence, Mode
from verify.relu.measures import Array

HORIZON, CHUNK = 100_000, 4_000
# Residuals: below REST a run has settled, above STUCK at the horizon it has failed, between them it is in a plateau.
REST, STUCK, ROUNDING = 1e-9, 1e-3, 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """An ADMM run: ``residuals`` (T,), at its end ``network`` and the best ``dual_bound``, both inf if ``diverged``."""

    residuals: Array
    network: float
    dual_bound: float
    diverged: bool

    @property
    def plateau(self) -> bool:
        """Whether the run neither settled nor failed: its horizon ended while the residual was between the two."""
        return bool(REST <= self.residuals[-100:].max() <= STUCK)


def run_to_rest(problem: TrainingProblem, patterns: Mask, *, dual_step: float, decay: float) -> Rest:
    """Run ADMM from zero until its residual stays below 1e-12 for 100 iterations, or to the horizon of 100,000.

    A run whose dual step has faded below rounding ends as well: its multipliers have stopped.
    """
    residuals: list[Array] = []
    state: AdmmState | None = None
    best = -np.inf
    for begun in range(0, HORIZON, CHUNK):
        # A dual step that decays goes on where the chunk before ended.
        run: AdmmRun = admm(
            problem.X, problem.y, patterns, problem.beta, dual_step=dual_step * decay**begun, decay=decay,
            iterations=CHUNK, checkpoints=[CHUNK], start=state,
        )  # fmt: skip
        residuals.append(run.residuals)
        if run.diverged:
            return Rest(np.concatenate(residuals), np.inf, np.inf, True)
        state, best = run.state, max(best, float(run.dual_bound[-1]))
        if run.residuals[-100:].max() < ROUNDING or dual_step * decay ** (begun + CHUNK) < 1e-16:
            break
    return Rest(np.concatenate(residuals), float(run.network[-1]), best, False)


def tail_envelope(residuals: Array) -> Array:
    """Return the largest of this and all later residuals (T,): oscillations do not show in it.

    >>> tail_envelope(np.array([3.0, 1.0, 2.0])).tolist()
    [3.0, 2.0, 2.0]
    """
    return np.maximum.accumulate(residuals[::-1])[::-1]


def decade_times(residuals: Array) -> Array:
    """Return the iterations after which residuals (T,) stay below 1e-1, 1e-2, ..., down to 1e-12 as far as reached."""
    envelope = tail_envelope(residuals)
    # The envelope falls: as many entries are not below a level as iterations have passed before it is.
    levels = 10.0 ** -np.arange(1, 13)
    times = np.array([1.0 + np.sum(envelope >= level) for level in levels])
    return times[times <= residuals.size]


def last_increments(run: Rest) -> Array:
    """Return the iterations (3,) that each of the last three decades took; inf where 1e-9 was not reached."""
    times = decade_times(run.residuals)
    # Nine decades end at 1e-9; a run that jumped over a whole decade took one iteration at least.
    return np.maximum(np.diff(times)[-3:], 1.0) if times.size >= 9 else np.full(3, np.inf)


def steady_growth(increments: Array) -> float:
    """Return the lesser growth from one of three ``increments`` (3,) to the next; inf if they are not finite.

    Geometric decay has 1; decay like ``k^-p`` has ``10^(1/p)``; one change of the active blocks moves one growth only.

    >>> steady_growth(np.array([100.0, 400.0, 404.0]))
    1.01
    """
    if not np.isfinite(increments).all():
        return float("inf")
    return float(min(increments[1:] / increments[:-1]))


@dataclass(frozen=True, slots=True)
class WhereSettled:
    """The verdict of ``judge`` about the runs that have settled or failed; inconclusive if these are too few.

    They must be a share of ``at_least`` at every point. ``plateau`` names a returned quantity, 1 for a run that decides
    nothing: a theorem without a rate says nothing on how long a plateau lasts.
    """

    judge: EveryRun
    plateau: str = "plateau"
    quantity: str = "error"
    at_least: float = 0.5

    @property
    def name(self) -> str:
        """The name of the judge that decides."""
        return self.judge.name

    @property
    def mode(self) -> Mode:
        """The mode of the judge that decides."""
        return self.judge.mode

    @property
    def least_replicates(self) -> int:
        """The number of seeds that the judge needs."""
        return self.judge.least_replicates

    def examine(self, data: Measurements) -> Evidence:
        """Let the judge decide on the others; raises ValueError where a quantity is missing."""
        waiting = data.quantity(self.plateau) > 0.0
        if not waiting.any():
            return self.judge.examine(data)
        counted = data.quantity(self.quantity)[~waiting]
        # Less than the least of the runs that count stands for one that does not: it can be neither the closest to an
        # upper bound nor a counterexample.
        neutral = float(np.nextafter(counted.min(), -np.inf)) if counted.size else 0.0
        shown = np.where(waiting, neutral, data.quantity(self.quantity))
        found = self.judge.examine(Measurements(data.points, {**data.values, self.quantity: shown}))
        found = replace(found, sentence=_said(found.sentence, int(waiting.sum()), waiting.size))
        if bool((np.mean(~waiting, axis=1) >= self.at_least).all()):
            return found
        # Too few to uphold; a run that counts against the statement does so however few there are.
        return replace(found, p_upheld=1.0, would_decide="a longer horizon")


def _said(sentence: str, waiting: int, cells: int) -> str:
    """What `EveryRun` says of all cells, said of those alone that are not in a plateau."""
    others = f"the other {cells - waiting}"
    sentence = sentence.replace(f"all {cells} cells satisfy", f"{others} satisfy")
    sentence = sentence.replace(f"of {cells} cells exceed", f"of {others} exceed")
    return f"{waiting} of {cells} runs were in a plateau at the horizon and decide nothing; {sentence}"
