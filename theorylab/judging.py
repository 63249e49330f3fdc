"""From the outcomes of cells to verdicts: values by name, audited hypotheses, evidence, Holm's levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theorylab.audit import Hypothesis, Status
from theorylab.cells import WHOLE_TRAJECTORY, Cell, Measured, failure
from theorylab.claims import Claim
from theorylab.measurements import Measurements
from theorylab.results import ArmResult, AuditedHypothesis, Failure
from theorylab.verdicts import FAMILY_LEVEL, Evidence, Verdict, all_of, conclude, holm_levels

Array = NDArray[np.float64]
_BY_SEVERITY = list(Status)


@dataclass(frozen=True, slots=True)
class Examined:
    """One arm after its judges have seen it; only the levels of the run's tests are missing.

    ``settled`` is the verdict when no test decides it: a cell failed, or a hypothesis does not hold.
    """

    name: str
    settings: Mapping[str, Any]
    values: Mapping[str, Array]
    evidence: tuple[Evidence, ...]
    settled: Verdict | None
    failures: tuple[Failure, ...]
    seconds: float

    @property
    def statistical(self) -> list[float]:
        """p-values of the tests that share the run's error budget."""
        return [] if self.settled else [e.p_violated for e in self.evidence if e.statistical]

    @property
    def p_violated(self) -> float:
        """p-value of "every part of the statement is true for this arm" (Bonferroni over its parts)."""
        return min(1.0, len(self.statistical) * min(self.statistical))


def examine(claim: Claim, arm: str, *, full: bool, outcomes: Mapping[Cell, Measured | Failure]) -> Examined:
    """Put the outcomes of one arm together and let every judge of the claim examine them."""
    points = claim.sweep.points(full)
    mine = {cell: outcomes[cell] for cell in sorted(outcomes, key=_in_order) if cell.arm == arm}
    mine = _same_names(claim, mine, points)
    values = _gather(mine, len(points), claim.replicates.count(full))
    failures = _without_repeats([o for o in mine.values() if isinstance(o, Failure)])
    evidence: list[Evidence] = []
    for judge in claim.judges if not failures else ():
        try:
            evidence.append(judge.examine(Measurements(points, values)))
        except ValueError as error:
            said = f"{claim.id}{f', control {arm!r}' if arm else ''}: the judge {judge.name!r} cannot decide: {error}"
            failures.append(Failure(point="all", replicate=-1, message=said))
    settled = Verdict.COULD_NOT_MEASURE if failures else None
    if settled is None and arm == "" and _worst(mine) is Status.VIOLATED:
        settled = Verdict.NOT_APPLICABLE
    seconds = math.fsum(o.seconds for o in mine.values() if isinstance(o, Measured))
    return Examined(arm, claim.arms()[arm], values, tuple(evidence), settled, tuple(failures), seconds)


def provisional(examined: Examined) -> Verdict:
    """Return the verdict of an arm while the rest of the run's tests are unknown: each test at the family's level."""
    return examined.settled or all_of([conclude(e) for e in examined.evidence])


def decide(arms: Sequence[Examined]) -> list[ArmResult]:
    """Conclude all arms of a run by Holm's method, the claims in one family, their controls in another.

    A statement called violated although it is true is a false alarm; a control called violated although it is none
    is a check that only seems to have teeth. Each kind of error is held below the family's level for the whole run.
    The unit is the arm, whose tests share its level equally: so a run of many papers asks no more of a control than
    a run of one, as long as the others are refuted. Tests that are certain, and those of arms that are settled, are
    concluded at the family's level and spend nothing.
    """
    shares: dict[int, float] = {}
    for is_control in (False, True):
        family = [i for i, arm in enumerate(arms) if bool(arm.name) is is_control and arm.statistical]
        levels = holm_levels([arms[i].p_violated for i in family])
        shares |= {i: level / len(arms[i].statistical) for i, level in zip(family, levels, strict=True)}
    results = []
    for i, arm in enumerate(arms):
        own = [shares.get(i, FAMILY_LEVEL) if e.statistical else FAMILY_LEVEL for e in arm.evidence]
        verdicts = [conclude(e, level_violated=level) for e, level in zip(arm.evidence, own, strict=True)]
        results.append(
            ArmResult(
                name=arm.name,
                settings=arm.settings,
                values=arm.values,
                evidence=arm.evidence,
                levels=tuple(own),
                verdict=arm.settled or all_of(verdicts),
                failures=arm.failures,
                seconds=arm.seconds,
            )
        )
    return results


def audited(claim: Claim, outcomes: Mapping[Cell, Measured | Failure]) -> tuple[AuditedHypothesis, ...]:
    """Return every declared hypothesis with its worst status and the range of its constant over the claim's own arm."""
    own = [outcomes[cell] for cell in sorted(outcomes, key=_in_order) if cell.arm == ""]
    reports = [o.hypotheses for o in own if isinstance(o, Measured)]
    return tuple(
        _over_cells(name, statement, [report[name] for report in reports])
        for name, statement in claim.hypotheses.items()
    )


def _over_cells(name: str, statement: str, found: Sequence[Hypothesis]) -> AuditedHypothesis:
    if not found:
        nothing = Hypothesis(Status.NOT_CERTIFIED, note="no cell was measured")
        found = [nothing]
    worst = max(found, key=lambda h: _BY_SEVERITY.index(h.status))
    constants = [h.measured for h in found if not math.isnan(h.measured)]
    return AuditedHypothesis(
        name=name,
        statement=statement,
        status=worst.status,
        low=min(constants, default=math.nan),
        high=max(constants, default=math.nan),
        note=worst.note,
    )


def _in_order(cell: Cell) -> tuple[str, int, int]:
    return cell.arm, cell.point, cell.replicate


def _worst(outcomes: Mapping[Cell, Measured | Failure]) -> Status:
    statuses = [h.status for o in outcomes.values() if isinstance(o, Measured) for h in o.hypotheses.values()]
    return max(statuses, key=_BY_SEVERITY.index, default=Status.CERTIFIED)


def _same_names(
    claim: Claim, outcomes: Mapping[Cell, Measured | Failure], points: tuple[Any, ...]
) -> dict[Cell, Measured | Failure]:
    """Turn every cell whose names differ from those of the first into a failure."""
    checked: dict[Cell, Measured | Failure] = {}
    names: set[str] | None = None
    for cell, outcome in outcomes.items():
        checked[cell] = outcome
        if isinstance(outcome, Measured):
            names = set(outcome.values) if names is None else names
            if set(outcome.values) != names:
                said = f"returned the names {sorted(outcome.values)}, other cells {sorted(names)}; return the same ones"
                checked[cell] = failure(claim, cell, points, said)
    return checked


def _gather(outcomes: Mapping[Cell, Measured | Failure], points: int, replicates: int) -> dict[str, Array]:
    """Arrange the numbers by name, each (points, replicates); nan where a cell failed."""
    values: dict[str, Array] = {}
    for cell, outcome in outcomes.items():
        if isinstance(outcome, Measured):
            for name, item in outcome.values.items():
                array = values.setdefault(name, np.full((points, replicates), np.nan))
                array[slice(None) if cell.point == WHOLE_TRAJECTORY else cell.point, cell.replicate] = item
    return values


def _without_repeats(failures: Sequence[Failure]) -> list[Failure]:
    """Keep every failure but each traceback only once: a broken claim fails the same way in all its cells."""
    seen: set[str] = set()
    kept = []
    for item in failures:
        kept.append(replace(item, traceback="") if item.traceback in seen else item)
        seen.add(item.traceback)
    return kept
