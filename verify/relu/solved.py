"""A judge for numbers that rest on a numerical solver: an inaccurate solve decides nothing."""

from dataclasses import dataclass, replace

import numpy as np

from theorylab.algorithms.relu_convex_program import ConvexOptimum
from theorylab.judges import Judge
from theorylab.measurements import Measurements
from theorylab.verdicts import Evidence, Mode


@dataclass(frozen=True, slots=True)
class WhereSolved:
    """The verdict of ``judge``, but inconclusive where ``error`` exceeds ``at_most`` in a cell, diverged or not.

    ``error`` names a returned quantity, the one of `solve_error`. Reported as a failed hypothesis instead, an
    inaccurate solve would make a claim "not applicable", and in a control it would not be seen at all.
    """

    judge: Judge
    error: str = "solve_error"
    at_most: float = 1e-8

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
        """Let the judge decide if all cells are accurate; raises ValueError where a quantity is missing."""
        found = self.judge.examine(data)
        errors = data.quantity(self.error)
        short = int(np.sum(~(errors <= self.at_most)))
        if short == 0:
            return found
        return replace(
            found,
            sentence=f"{short} of {errors.size} cells were not solved to {self.at_most:g}, the worst to"
            f" {errors.max():.2g}; undecided: {found.sentence}",
            p_upheld=1.0,
            p_violated=1.0,
            statistical=False,
            would_decide="an accurate solve of the convex program",
        )


def solve_error(*optima: ConvexOptimum) -> float:
    """Return the largest relative duality gap or residual of solved programs, inf if one missed its tolerance.

    Both are about the program as it was stated. A cone that is violated without a residual was not stated: that is no
    inaccuracy, and left to the judges.
    """
    errors = [max(found.solver_gap, found.solver_residual) for found in optima if found.accurate]
    return max(errors, default=0.0) if len(errors) == len(optima) else float("inf")
