"""The ways to decide a claim. Each judge looks at measurements and returns evidence; several are joined by all-of.

=====================  ==============================================================================================
judge                  states
=====================  ==============================================================================================
:class:`EveryRun`          measured <= bound in every cell
:class:`InExpectation`     E[measured] <= E[bound] at every sweep point
:class:`WithProbability`   P(measured > bound) <= delta at every sweep point
:class:`RateAtMost`        the slope of log E[measured] is at most the bound's
:class:`RateAtLeast`       the slope of log E[measured] is at least the bound's
:class:`RateExactly`       the slope equals the stated one within a margin
:class:`LinearConvergence` the error contracts by a stated factor a step
:class:`Equals`            E[measured] equals a closed form within a tolerance
:class:`Ordered`           one paired arm stays below another
=====================  ==============================================================================================
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from theorylab.bound_judges import Equals, EveryRun, InExpectation, Ordered, WithProbability
from theorylab.measurements import Measurements
from theorylab.rate_judges import LinearConvergence, RateAtLeast, RateAtMost, RateExactly
from theorylab.verdicts import Evidence, Mode

__all__ = [
    "Equals",
    "EveryRun",
    "InExpectation",
    "Judge",
    "LinearConvergence",
    "Measurements",
    "Ordered",
    "RateAtLeast",
    "RateAtMost",
    "RateExactly",
    "WithProbability",
    "described",
]


class Judge(Protocol):
    """What every judge offers; thresholds are its fields and are fixed before any data."""

    @property
    def name(self) -> str:
        """Name of the kind of test, as people read it."""

    @property
    def mode(self) -> Mode:
        """How the judged statement quantifies over randomness."""

    @property
    def least_replicates(self) -> int:
        """Fewest seeds with which the judge can decide anything."""

    def examine(self, data: Measurements) -> Evidence:
        """Return the evidence for or against the statement; raises ValueError when a quantity is missing."""


def described(judge: Any) -> str:
    """Return a judge and its thresholds in words.

    >>> described(RateAtMost(measured="error", rate=-0.5))
    "rate at most: measured='error', rate=-0.5, margin=0.05, typical=False"
    """
    name, fields = judge.name, dataclasses.fields(judge) if dataclasses.is_dataclass(judge) else ()
    options = [(field.name, getattr(judge, field.name)) for field in fields if field.init]
    return f"{name}: " + ", ".join(f"{option}={value!r}" for option, value in options if value is not None)
