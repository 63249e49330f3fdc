"""What a run leaves behind: results as frozen data, written as JSON and tidy CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theorylab.audit import Status
from theorylab.verdicts import Evidence, Verdict

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedHypothesis:
    """One hypothesis over all cells of the claim: its worst status and the range of its measured constant."""

    name: str
    statement: str
    status: Status
    low: float
    high: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A cell that gave no measurement: where, and the sentence (and traceback, if any) that says why."""

    point: object
    replicate: int
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One arm (the claim or a control): measurements by name, each of shape (points, replicates), and the verdict.

    ``levels`` are the levels at which Holm's method tested each evidence for "violated".
    """

    name: str
    settings: Mapping[str, Any]
    values: Mapping[str, Array]
    evidence: tuple[Evidence, ...]
    levels: tuple[float, ...]
    verdict: Verdict
    failures: tuple[Failure, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """Everything a run found about one claim.

    ``judges`` are its judges with their thresholds, in words; ``sources`` is the hash of all it was computed with.
    """

    id: str
    paper: str
    title: str
    statement: str
    source: str
    guarantee: str
    mode: str
    expected: Verdict
    reason: str
    control_verdict: Verdict
    sweep_name: str
    sweep_label: str
    points: tuple[Any, ...]
    replicates: int
    along_trajectory: bool
    budget: str
    seed: int
    versions: Mapping[str, str]
    judges: tuple[str, ...]
    sources: str
    arm: ArmResult
    controls: tuple[ArmResult, ...]
    hypotheses: tuple[AuditedHypothesis, ...]
    notes: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether the claim's verdict is the expected one."""
        return self.arm.verdict is self.expected

    def refuted(self, control: ArmResult) -> bool:
        """Whether a control came out as a control of this claim must."""
        return control.verdict is self.control_verdict

    @property
    def ok(self) -> bool:
        """Whether the verdict is the expected one and every control came out as it must."""
        return self.as_expected and all(self.refuted(control) for control in self.controls)

    @property
    def seconds(self) -> float:
        """Computing time of all cells, in seconds, those taken from the store included."""
        return self.arm.seconds + sum(control.seconds for control in self.controls)


def plain(value: Any) -> Any:
    """Turn results into what JSON can hold: enums by value, arrays as lists, inf and NaN as the strings they print as.

    >>> plain({"slope": np.float64(-0.5), "points": (1, 2), "worst": float("inf")})
    {'slope': -0.5, 'points': [1, 2], 'worst': 'inf'}
    """
    if isinstance(value, Verdict):
        return value.word
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def evidence_json(arm: ArmResult) -> dict[str, Any]:
    """Return the evidence of an arm: one sentence, and every test with numbers, thresholds, power and slack."""
    tests = [
        {
            "judge": e.judge,
            "mode": e.mode,
            "sentence": e.sentence,
            "estimate": e.estimate,
            "interval": e.interval,
            "allowed": e.allowed,
            "p_violated": e.p_violated,
            "level_violated": level,
            "p_upheld": e.p_upheld,
            "power": e.power,
            "detectable": e.detectable,
            "would_decide": e.would_decide,
            "slack": [{"point": s.point, "ratio": s.ratio, "low": s.low, "high": s.high} for s in e.slack],
            "details": e.details,
        }
        for e, level in zip(arm.evidence, arm.levels, strict=True)
    ]
    failures = [
        {"point": f.point, "replicate": f.replicate, "message": f.message, "traceback": f.traceback}
        for f in arm.failures
    ]
    said = "; ".join([e.sentence for e in arm.evidence] or [f.message for f in arm.failures[:1]])
    document: dict[str, Any] = plain({"summary": said, "tests": tests, "failures": failures})
    return document


def claim_json(result: ClaimResult) -> dict[str, Any]:
    """Return the entry of one claim in ``theorylab verify --json``."""
    controls = [
        {
            "name": control.name,
            "settings": control.settings,
            "verdict": control.verdict,
            "refuted": result.refuted(control),
            "evidence": evidence_json(control),
        }
        for control in result.controls
    ]
    hypotheses = [
        {"name": h.name, "statement": h.statement, "status": h.status, "measured": (h.low, h.high), "note": h.note}
        for h in result.hypotheses
    ]
    document: dict[str, Any] = plain(
        {
            "id": result.id,
            "paper": result.paper,
            "title": result.title,
            "source": result.source,
            "kind": result.guarantee,
            "mode": result.mode,
            "verdict": result.arm.verdict,
            "expected": result.expected,
            "as_expected": result.as_expected,
            "reason": result.reason,
            "evidence": evidence_json(result.arm),
            "hypotheses": hypotheses,
            "controls": controls,
            "seconds": round(result.seconds, 3),
        }
    )
    return document


def document_json(result: ClaimResult) -> dict[str, Any]:
    """Return the whole record of a claim, as written to ``results/<paper>/<claim>.json``."""
    extra: dict[str, Any] = plain(
        {
            "statement": result.statement,
            "sweep": {
                "name": result.sweep_name,
                "label": result.sweep_label,
                "points": result.points,
                "along_trajectory": result.along_trajectory,
            },
            "replicates": result.replicates,
            "budget": result.budget,
            "seed": result.seed,
            "versions": result.versions,
            "judges": result.judges,
            "sources": result.sources,
            "notes": result.notes,
        }
    )
    return claim_json(result) | extra


def write(result: ClaimResult, folder: Path) -> Path:
    """Write ``<folder>/<paper>/<claim>.json`` and ``.csv`` atomically; return the stem of the two paths.

    Raises OSError when the folder cannot be written.
    """
    paper, name = result.id.split("/")
    target = folder / paper
    target.mkdir(parents=True, exist_ok=True)
    write_atomically(target / f"{name}.json", json.dumps(document_json(result), indent=1, allow_nan=False) + "\n")
    write_atomically(target / f"{name}.csv", tidy_csv(result))
    return target / name


def tidy_csv(result: ClaimResult) -> str:
    """Return one row a measured number: arm, sweep point, replicate, quantity, value."""
    rows: list[list[Any]] = []
    for arm in (result.arm, *result.controls):
        for name in sorted(arm.values):
            values = arm.values[name]
            for i, point in enumerate(result.points):
                rows += [[arm.name or "claim", point, k, name, repr(float(v))] for k, v in enumerate(values[i])]

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", result.sweep_name, "replicate", "quantity", "value"])
    writer.writerows(rows)
    return text.getvalue()


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a file so that a reader, or a killed writer, only ever leaves the old content or the whole new one."""
    content = data.encode() if isinstance(data, str) else data
    # Not tempfile: its files are private to the user, results are to be read by others as the umask says.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def readable_point(point: object) -> str:
    """Return a sweep value as people write it.

    >>> readable_point(0.001), readable_point((20, 3)), readable_point("cauchy")
    ('0.001', '(20, 3)', 'cauchy')
    """
    if isinstance(point, float):
        return f"{point:.6g}"
    if isinstance(point, tuple):
        return "(" + ", ".join(readable_point(part) for part in point) + ")"
    return re.sub(r"\s+", " ", str(point))
