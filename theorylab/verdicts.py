"""The words of a verdict, and the evidence a judge gives for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

#: One-sided level at which "upheld" is concluded: the displayed 95 % interval lies where it must.
UPHELD_LEVEL = 0.025
#: Chance that a run contains a false "violated" about a true statement, shared by all claims of the run (Holm's
#: method); the same again for its controls.
FAMILY_LEVEL = 0.01


class Verdict(Enum):
    """What a run says about a statement; the values are the sentences that people read."""

    UPHELD = "upheld: the measurements confirm the statement within its stated tolerance"
    VIOLATED = "violated: the measurements contradict the statement beyond noise"
    INCONCLUSIVE = "inconclusive: this run is too small or too bent to decide"
    NOT_APPLICABLE = "not applicable: a hypothesis of the statement fails on the drawn instance"
    COULD_NOT_MEASURE = "could not measure: a cell of the experiment failed"

    @property
    def word(self) -> str:
        """The verdict in one or two words, as it stands in JSON and in ``expected=``."""
        return self.value.partition(":")[0]


class Guarantee(Enum):
    """The kind of statement a theorem makes about the measured quantity."""

    UPPER = "upper bound"
    LOWER = "lower bound"
    TIGHT = "tight"


class Mode(Enum):
    """How the statement quantifies over the randomness."""

    EVERY_RUN = "for every run"
    EXPECTATION = "in expectation"
    PROBABILITY = "with probability at least 1 - delta"
    ASYMPTOTIC = "asymptotically"


@dataclass(frozen=True, slots=True)
class Slack:
    """bound / measured at one sweep point: 1 is tight, below 1 is violated, growing with the sweep is loose."""

    point: object
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one judge found.

    ``p_violated`` is the p-value of "the statement is true", ``p_upheld`` that of "the statement is false by at least
    the margin"; a guard that forbids a conclusion sets the p-value to 1. ``detectable`` is the smallest departure
    (in the units of ``estimate``) that this run would have detected with probability 90 %.
    """

    judge: str
    mode: Mode
    sentence: str
    estimate: float
    interval: tuple[float, float]
    allowed: tuple[float, float]
    p_upheld: float
    p_violated: float
    detectable: float
    power: str
    would_decide: str
    statistical: bool = True
    slack: tuple[Slack, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)


def conclude(evidence: Evidence, *, level_violated: float = FAMILY_LEVEL) -> Verdict:
    """Verdict of one piece of evidence when "violated" is concluded at the one-sided level ``level_violated``."""
    if evidence.p_violated <= level_violated:
        return Verdict.VIOLATED
    if evidence.p_upheld <= UPHELD_LEVEL:
        return Verdict.UPHELD
    return Verdict.INCONCLUSIVE


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Verdict of a statement with several parts: one violated part refutes it, all upheld parts uphold it.

    >>> all_of([Verdict.UPHELD, Verdict.INCONCLUSIVE]).word
    'inconclusive'
    """
    for decisive in (Verdict.COULD_NOT_MEASURE, Verdict.NOT_APPLICABLE, Verdict.VIOLATED, Verdict.INCONCLUSIVE):
        if decisive in verdicts:
            return decisive
    return Verdict.UPHELD


def holm_levels(p_values: Sequence[float], family_level: float = FAMILY_LEVEL) -> list[float]:
    """Level at which each hypothesis is tested by Holm's step-down method.

    Parameters
    ----------
    p_values
        p-values of all tests of a run, shape (tests,), each in [0, 1].
    family_level
        Probability of at least one false rejection that the family may spend.

    Returns
    -------
    list of float
        A test is rejected exactly when its p-value is at most its level. Tests after the first that is not rejected
        get the level at which the method stopped.

    Notes
    -----
    S. Holm (1979), A simple sequentially rejective multiple test procedure.

    >>> holm_levels([0.004, 0.2])
    [0.005, 0.01]
    """
    order = np.argsort(np.asarray(p_values, dtype=float), kind="stable")
    levels = [0.0] * len(p_values)
    stopped_at: float | None = None
    for rank, index in enumerate(order):
        level = family_level / (len(p_values) - rank)
        if stopped_at is not None:
            # Not tested any more: report the level that stopped the method, so that "p <= level" stays false.
            level = min(stopped_at, level)
        elif p_values[index] > level:
            stopped_at = level
        levels[index] = level
    return levels
