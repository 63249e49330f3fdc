"""Findings: what came out violated, undecided or sharper than published, each in three sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theorylab.report.records import Entry
from theorylab.report.wording import slack_of

_ROOM = 10.0  # a bound that leaves at least this factor at every point is called loose
_FASTER = 0.2  # an exponent that is better than allowed by at least this is called faster
KINDS = {
    "surprise": "Not as expected",
    "violated": "Published statements that fail",
    "not applicable": "Statements whose hypotheses fail",
    "inconclusive": "Undecided",
    "faster": "Faster than stated",
    "loose": "Bounds with more than tenfold room",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its kind (a key of KINDS), the claim's entry, and its three sentences as text."""

    kind: str
    entry: Entry
    statement: str
    evidence: str
    beside: str


def findings(entries: list[Entry]) -> list[Finding]:
    """Return the findings of all results, in the order of KINDS."""
    found = [finding for entry in entries if entry.record for finding in _of(entry, entry.record)]
    return sorted(found, key=lambda finding: list(KINDS).index(finding.kind))


def _of(entry: Entry, record: Mapping[str, Any]) -> list[Finding]:
    verdict, expected, tests = record["verdict"], record["expected"], record["evidence"]["tests"]
    statement = _sentence(f"{record['title']} ({record['source']})")
    found = []
    if verdict != expected:
        evidence = f"It came out {verdict}, although {expected} was expected: {record['evidence']['summary']}"
        found.append(Finding("surprise", entry, statement, _sentence(evidence), _what_to_do(record, verdict)))
    elif verdict in ("violated", "inconclusive", "not applicable"):
        evidence = f"It came out {verdict}, as expected: {_first(record)}"
        found.append(
            Finding(verdict, entry, statement, _sentence(evidence), _sentence(f"The reason: {record['reason']}"))
        )
    for control in record["controls"]:
        if not control["refuted"]:
            evidence = (
                f"Its control “{control['name']}” came out {control['verdict']}: {control['evidence']['summary']}"
            )
            beside = "A check whose control is not refuted shows nothing; the control or the judge has to change."
            found.append(Finding("surprise", entry, statement, _sentence(evidence), beside))
    if verdict == "upheld":
        found += _sharper(entry, record, statement, tests)
    return found


def _first(record: Mapping[str, Any]) -> str:
    tests = record["evidence"]["tests"]
    return str(tests[0]["sentence"] if tests else record["evidence"]["summary"])


def _what_to_do(record: Mapping[str, Any], verdict: str) -> str:
    wanted = [test["would_decide"] for test in record["evidence"]["tests"] if test["would_decide"]]
    if verdict == "inconclusive" and wanted:
        return _sentence(f"To decide it: {wanted[0]}")
    if verdict == "could not measure":
        return "The traceback stands in the stored result; the rest of the run is not touched."
    refuted = sum(control["refuted"] for control in record["controls"])
    return f"Beside it {refuted} of {len(record['controls'])} controls came out as they must."


def _sharper(entry: Entry, record: Mapping[str, Any], statement: str, tests: list[Mapping[str, Any]]) -> list[Finding]:
    """Return rates that are better than stated, and the bound that leaves most room at every point."""
    found = []
    controls = len(record["controls"])
    beside = (
        f"The control{'s' * (controls != 1)} beside it {'were' if controls != 1 else 'was'} refuted by the same judges"
    )
    faster = next((test for test in tests if _is_faster(test)), None)
    if faster is not None:
        evidence = f"The rate is better than what is allowed: {faster['sentence']}"
        rest = f"{beside}; on these instances the exponent could be sharpened."
        found.append(Finding("faster", entry, statement, _sentence(evidence), rest))
    rooms = [(room, test) for test in tests if (room := _room(test)) >= _ROOM]
    if rooms:
        room, test = max(rooms, key=lambda pair: pair[0])
        evidence = f"Its bound leaves a factor of at least {room:.3g} at every point: {test['sentence']}"
        least = min(_room(other) for other in tests if _room(other) > 0)
        closest = f"; the closest bound of this claim leaves {least:.3g}" if len(tests) > 1 and least < room else ""
        found.append(Finding("loose", entry, statement, _sentence(evidence), f"{beside}{closest}."))
    return found


def _is_faster(test: Mapping[str, Any]) -> bool:
    """Tell whether the whole interval of a rate lies well below what is allowed."""
    if test["judge"] != "rate at most":
        return False
    return float(test["interval"][1]) < float(test["allowed"][1]) - _FASTER


def _room(test: Mapping[str, Any]) -> float:
    """Return the smallest lower limit of the slack; 0 if there is none or the bound is a mere threshold."""
    bounds = [curve["name"] for curve in test["details"].get("curves", []) if curve["role"] == "bound"]
    lows = [low for _, low, _ in slack_of(test)]
    if not lows or not bounds or any(_is_number(name) for name in bounds):
        return 0.0
    return min(lows) if all(math.isfinite(low) for low in lows) else 0.0


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
