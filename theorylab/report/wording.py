"""The numbers of a claim in the words and tables of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theorylab.results import readable_point

_MOST_ROWS = 12  # of a table of numbers; longer sweeps are thinned evenly, their ends kept


def number(value: Any, digits: int = 4) -> str:
    """Return a number as people read it; records write infinities and NaN as text.

    >>> number(0.000123456), number("inf"), number(None), number(-2.0)
    ('0.0001235', '∞', '–', '−2')
    """
    if value is None:
        return "–"
    amount = float(value)
    if math.isnan(amount):
        return "–"
    if math.isinf(amount):
        return "∞" if amount > 0 else "−∞"
    return f"{amount:.{digits}g}".replace("-", "−")


def interval(pair: Sequence[Any], digits: int = 3) -> str:
    """Return an interval, or nothing when its ends are the same.

    >>> interval([0.5, 0.75]), interval([1, 1])
    ('[0.5, 0.75]', '')
    """
    low, high = number(pair[0], digits), number(pair[1], digits)
    return "" if low == high else f"[{low}, {high}]"


def point(value: Any) -> str:
    """Return a sweep value; records hold tuples as lists."""
    text = readable_point(_as_tuple(value))
    return text.replace("-", "−") if isinstance(value, int | float) else text


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(part) for part in value) if isinstance(value, list) else value


def summary(record: Mapping[str, Any]) -> list[str]:
    """Return measured against stated in a few words: the slope, and the slack where the bound is closest."""
    tests: list[Mapping[str, Any]] = record["evidence"]["tests"]
    found = []
    rate = next((test for test in tests if test["judge"].startswith("rate")), None)
    if rate is not None:
        found.append(f"slope {_with_interval(rate)}")
    slacks = [slack for test in tests for slack in slack_of(test) if math.isfinite(slack[0])]
    if slacks:
        ratio, low, high = min(slacks)
        found.append(f"slack {number(ratio, 3)} {interval((low, high))}".strip())
    if not found and tests:
        found.append(f"{_with_interval(tests[0])}, {_allowed(tests[0])}")
    return found


def slack_of(test: Mapping[str, Any]) -> list[tuple[float, float, float]]:
    """Return ratio and limits of bound over measured at every point; for a lower bound measured over bound.

    So 1 is tight and below 1 is violated, whatever the direction. A rate has none: its bound is a shape, no level.
    """
    if test["judge"].startswith(("rate", "linear")):
        return []
    found = [(float(slack["ratio"]), float(slack["low"]), float(slack["high"])) for slack in test["slack"]]
    is_lower = math.isinf(float(test["allowed"][1])) and math.isfinite(float(test["allowed"][0]))
    if not is_lower:
        return found
    return [(_inverse(ratio), _inverse(high), _inverse(low)) for ratio, low, high in found]


def _inverse(value: float) -> float:
    return 1 / value if value else math.inf


def _with_interval(test: Mapping[str, Any]) -> str:
    return f"{number(test['estimate'], 3)} {interval(test['interval'])}".strip()


def _allowed(test: Mapping[str, Any]) -> str:
    low, high = (float(end) for end in test["allowed"])
    if math.isinf(low):
        return f"allowed at most {number(high)}"
    return f"allowed at least {number(low)}" if math.isinf(high) else f"allowed {interval((low, high))}"


def power(record: Mapping[str, Any]) -> str:
    """Return the smallest departure that the first judge would have detected with 90 % probability."""
    tests = record["evidence"]["tests"]
    if not tests:
        return ""
    if tests[0]["judge"] == "for every run":
        return f"in {100 * float(tests[0]['detectable']):.0f} % of runs"
    return f"by {number(tests[0]['detectable'], 2)}"


def constant(measured: Sequence[Any]) -> str:
    """Return the range of a hypothesis' measured constant over all cells, or nothing when there is none.

    >>> constant([0.25, 0.25]), constant([1, 2]), constant(["nan", "nan"])
    ('0.25', '1 to 2', '')
    """
    low, high = number(measured[0]), number(measured[1])
    if low == "–":
        return ""
    return low if low == high else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind one panel of a figure: heading of the first column, names of the curves, rows of text."""

    label: str
    names: list[str]
    rows: list[list[str]]


def tables(record: Mapping[str, Any]) -> list[Table]:
    """Return one table for all judges of the same curves, over the sweep's points."""
    found: list[Table] = []
    for test in record["evidence"]["tests"]:
        curves = test["details"].get("curves") or []
        if curves:
            table = _table(record, test["details"], curves)
            if table not in found:
                found.append(table)
    return found


def _table(record: Mapping[str, Any], details: Mapping[str, Any], curves: Sequence[Mapping[str, Any]]) -> Table:
    points = details.get("x") or record["sweep"]["points"]
    count = min(len(points), _MOST_ROWS)
    places = sorted({round(k * (len(points) - 1) / max(count - 1, 1)) for k in range(count)})
    rows = [[point(points[place]), *(_cell(curve, place) for curve in curves)] for place in places]
    names = [f"{curve['name'].replace('_', ' ')} ({curve['role']})" for curve in curves]
    return Table(str(details.get("x_label") or record["sweep"]["label"]), names, rows)


def _cell(curve: Mapping[str, Any], place: int) -> str:
    if place >= len(curve["y"]):
        return "–"
    low, high = curve.get("low") or [], curve.get("high") or []
    ends = interval([low[place], high[place]]) if place < min(len(low), len(high)) else ""
    return f"{number(curve['y'][place])} {ends}".strip()
