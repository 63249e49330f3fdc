"""One cell of an experiment: its random stream, the call of the claim's function, the check of what came back."""

from __future__ import annotations

import difflib
import math
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from numbers import Integral, Real
from typing import Any

import numpy as np

from theorylab.audit import Hypothesis
from theorylab.claims import Claim
from theorylab.results import Failure, readable_point

#: Index that stands for all points of a sweep along a trajectory, which one call measures.
WHOLE_TRAJECTORY = -1


@dataclass(frozen=True, slots=True)
class Cell:
    """One call of a claim's function: arm, index of the sweep point (or WHOLE_TRAJECTORY), and replicate."""

    arm: str
    point: int
    replicate: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cell measured: numbers by name (tuples over the points along a trajectory), hypotheses, seconds."""

    values: Mapping[str, float | tuple[float, ...]]
    hypotheses: Mapping[str, Hypothesis]
    seconds: float


def cells_of(claim: Claim, full: bool) -> list[Cell]:
    """Return all cells of a claim for the chosen budget.

    The points come last to first: the last one lies farthest in the asymptotic regime and usually takes longest.
    """
    points = len(claim.sweep.points(full))
    indices = [WHOLE_TRAJECTORY] if claim.sweep.along_trajectory else list(range(points - 1, -1, -1))
    replicates = range(claim.replicates.count(full))
    return [Cell(arm, point, k) for point in indices for arm in claim.arms() for k in replicates]


def canonical(value: object) -> str:
    """Return a text that is equal exactly when two settings or sweep values are equal, in any process.

    Raises ValueError for a value whose content cannot be written down, a function say.

    >>> canonical(("cauchy", 0.1, 3)), canonical({"b": None, "a": np.float64(2.0)})
    ("('cauchy',0.1,3)", "{'a':2.0,'b':None}")
    """
    if value is None or isinstance(value, str | bool | np.bool_):
        return repr(bool(value) if isinstance(value, np.bool_) else value)
    if isinstance(value, Integral):
        return repr(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, tuple | list):
        return "(" + ",".join(canonical(part) for part in value) + ")"
    if isinstance(value, Mapping):
        parts = sorted((canonical(key), canonical(item)) for key, item in value.items())
        return "{" + ",".join(f"{key}:{item}" for key, item in parts) + "}"
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        content = sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array({value.dtype.str},{value.shape},{content})"
    raise ValueError(f"value={value!r} cannot be a setting or a sweep value; use numbers, strings, tuples or arrays")


def place_of(cell: Cell, points: tuple[Any, ...]) -> str:
    """Return the canonical text of a cell's sweep value, or the fixed word of a whole trajectory."""
    return "trajectory" if cell.point == WHOLE_TRAJECTORY else canonical(points[cell.point])


def spawn_key(claim: Claim, cell: Cell, points: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the spawn key of a cell's stream: 64-bit hashes of claim and sweep value as 32-bit words, replicate.

    It depends neither on the arm, so that compared arms share their randomness, nor on the position of the point, so
    that a new point or claim shifts no other. A trajectory's does not depend on its checkpoints: the quick and the
    full budget follow the same runs.
    """
    return (*words_of(claim.id), *words_of(place_of(cell, points)), cell.replicate)


def words_of(text: str) -> tuple[int, int]:
    """Return a 64-bit hash of a text as two 32-bit words, for the spawn key of a stream."""
    digest = sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def stream(seed: int, key: tuple[int, ...]) -> np.random.Generator:
    """Return the independent random generator of a cell, from the run's seed and the cell's spawn key."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=key)))


def measure(claim: Claim, cell: Cell, *, full: bool, seed: int) -> Measured | Failure:
    """Run one cell; whatever the claim's function raises or wrongly returns becomes a failure in words."""
    points = claim.sweep.points(full)
    value = np.array(points) if cell.point == WHOLE_TRAJECTORY else points[cell.point]
    rng = stream(seed, spawn_key(claim, cell, points))
    settings = claim.arms()[cell.arm]
    start = time.perf_counter()
    try:
        # Overflow and NaN are looked for in what comes back; numpy's warnings would say the same a thousand times.
        with np.errstate(all="ignore"):
            returned = claim.function(value, rng, **settings)
        seconds = time.perf_counter() - start
        values = _numbers(claim, cell, points, returned)
        hypotheses = _hypotheses(claim, returned) if cell.arm == "" else {}
    except _WrongReturnError as error:
        return failure(claim, cell, points, str(error))
    except (Exception, SystemExit) as error:
        # The first frame is this function; the reader wants those of the claim.
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        text = "".join(traceback.format_exception(type(error), error, frames))
        said = f"raised {type(error).__name__}: {error}; its traceback is in the results"
        return failure(claim, cell, points, said, text)
    return Measured(values, hypotheses, seconds)


def failure(claim: Claim, cell: Cell, points: tuple[Any, ...], problem: str, trace: str = "") -> Failure:
    """Return the failure of a cell, with a sentence that names claim, arm, sweep value and replicate."""
    arm = f", control {cell.arm!r}" if cell.arm else ""
    along = cell.point == WHOLE_TRAJECTORY
    where = "whole trajectory" if along else f"{claim.sweep.name}={readable_point(points[cell.point])}"
    sentence = f"{claim.id}{arm} at {where}, replicate {cell.replicate}: {problem}"
    return Failure(
        point=where if along else points[cell.point],
        replicate=cell.replicate,
        message=sentence,
        traceback=trace,
    )


class _WrongReturnError(Exception):
    """What a claim's function returned is not what a claim returns; turned into a failure at once."""


def _numbers(
    claim: Claim, cell: Cell, points: tuple[Any, ...], returned: object
) -> dict[str, float | tuple[float, ...]]:
    if not isinstance(returned, Mapping):
        got = "nothing" if returned is None else f"returned={returned!r}"
        raise _WrongReturnError(f"the function gave back {got}; return a mapping such as {{'error': error}}")
    values: dict[str, float | tuple[float, ...]] = {}
    for name, item in returned.items():
        if not isinstance(name, str):
            raise _WrongReturnError(f"the function returned the name {name!r}; names are strings")
        if isinstance(item, Hypothesis):
            continue
        array = _as_floats(name, item)
        along = cell.point == WHOLE_TRAJECTORY
        shape = (len(points),) if along else ()
        if array.shape != shape:
            remedy = "one number a checkpoint" if along else "one number, float(...)"
            raise _WrongReturnError(f"{name!r} has shape={array.shape}, allowed is {shape}: return {remedy}")
        if np.isnan(array).any():
            at = f" at {claim.sweep.name}={readable_point(points[int(np.argmax(np.isnan(array)))])}" if along else ""
            raise _WrongReturnError(f"{name!r} is nan{at}; return inf for a diverged run, or find where nan begins")
        values[name] = tuple(array.tolist()) if along else float(array)
    if not values:
        raise _WrongReturnError("the function returned no number; return a mapping such as {'error': error}")
    return values


def _as_floats(name: str, item: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        raw = np.asarray(item)
        if raw.dtype.kind not in "biuf":
            raise TypeError
        return raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _WrongReturnError(f"{name!r} is {item!r}, which is no real number; return a float") from None


def _hypotheses(claim: Claim, returned: Mapping[str, Any]) -> dict[str, Hypothesis]:
    found = {name: item for name, item in returned.items() if isinstance(item, Hypothesis)}
    for name in found:
        if name not in claim.hypotheses:
            near = difflib.get_close_matches(name, claim.hypotheses, n=1)
            hint = f"; did it mean {near[0]!r}?" if near else "; add it to hypotheses= of the claim"
            raise _WrongReturnError(f"hypothesis {name!r} is not one of {sorted(claim.hypotheses)}{hint}")
    missing = sorted(set(claim.hypotheses) - set(found))
    if missing:
        raise _WrongReturnError(
            f"the declared hypotheses {missing} were not reported; return an audit.Hypothesis under each name, "
            f"audit.not_certified(...) if it cannot be checked"
        )
    return {
        name: Hypothesis(item.status, float(item.measured) if item.measured is not None else math.nan, str(item.note))
        for name, item in found.items()
    }
