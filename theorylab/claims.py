"""A claim: a theorem's statement, the experiment that tries it, and the control that has to be refuted."""

from __future__ import annotations

import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from theorylab.judges import Judge
from theorylab.verdicts import Guarantee, Mode, Verdict

SLUG = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
_EXPECTED = {v.word: v for v in (Verdict.UPHELD, Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE)}


class ClaimError(ValueError):
    """A claim that is not well formed; the message says which field, its value and the remedy."""


@dataclass(frozen=True, slots=True)
class Paper:
    """The paper whose statements a file of ``verify/`` tries: slug (the first half of every id), title, reference."""

    slug: str
    title: str
    authors: str
    reference: str

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise ClaimError(f"slug={self.slug!r} must be lower-case words joined by - or _")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The values at which a claim is tried.

    ``name`` is the field's symbol, ``label`` the axis text with units. Values are numbers, strings or tuples of these.
    With ``along_trajectory`` one call measures all values in one run (checkpoints); otherwise each value is a run.
    """

    name: str
    label: str
    quick: tuple[Any, ...]
    full: tuple[Any, ...]
    along_trajectory: bool = False

    def __post_init__(self) -> None:
        for budget in ("quick", "full"):
            points = tuple(getattr(self, budget))
            object.__setattr__(self, budget, points)
            if not points:
                raise ClaimError(f"{budget}={points!r} of sweep {self.name!r} must hold at least one value")
            if len(set(points)) < len(points):
                raise ClaimError(f"{budget}={points!r} of sweep {self.name!r} repeats a value; list each once")
            for point in points:
                _check_point(point, self.name)

    def points(self, full: bool) -> tuple[Any, ...]:
        """Return the values of the chosen budget."""
        return self.full if full else self.quick


def _check_point(point: object, name: str) -> None:
    if isinstance(point, tuple):
        for part in point:
            _check_point(part, name)
    elif isinstance(point, bool) or not isinstance(point, int | float | str):
        raise ClaimError(f"sweep {name!r} has the value {point!r}; use int, float, str or tuples of these")
    elif isinstance(point, float) and not math.isfinite(point):
        raise ClaimError(f"sweep {name!r} has the value {point!r}; it must be finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """Number of independent seeds at each sweep point, for the quick and the full budget."""

    quick: int
    full: int

    def __post_init__(self) -> None:
        for budget in ("quick", "full"):
            count = getattr(self, budget)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ClaimError(f"replicates {budget}={count!r} must be a whole number of at least 1")

    def count(self, full: bool) -> int:
        """Return the number of seeds of the chosen budget."""
        return self.full if full else self.quick


@dataclass(frozen=True, slots=True, init=False)
class Control:
    """A deliberately wrong variant: the same experiment with other settings, which the same judges must refute.

    >>> Control("large initialisation", alpha=1.0).settings
    {'alpha': 1.0}
    """

    name: str
    settings: Mapping[str, Any]

    def __init__(self, name: str, /, **settings: Any) -> None:
        if not name or not settings:
            raise ClaimError(f"control {name!r} needs a name and at least one setting that differs, e.g. step=2.0")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "settings", dict(settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement of a paper with its experiment; made by :func:`claim`, run by ``theorylab verify``."""

    id: str
    paper: Paper
    title: str
    statement: str
    source: str
    guarantee: Guarantee
    function: Callable[..., Mapping[str, Any]] = field(repr=False)
    sweep: Sweep
    replicates: Replicates
    judges: tuple[Judge, ...]
    controls: tuple[Control, ...]
    hypotheses: Mapping[str, str]
    expected: Verdict
    reason: str

    @property
    def mode(self) -> Mode:
        """How the statement quantifies over randomness: the mode of its first judge."""
        return self.judges[0].mode

    @property
    def control_verdict(self) -> Verdict:
        """What a control must come out as: violated, or upheld when the statement itself is expected to fail."""
        return Verdict.UPHELD if self.expected in (Verdict.VIOLATED, Verdict.NOT_APPLICABLE) else Verdict.VIOLATED

    def arms(self) -> dict[str, Mapping[str, Any]]:
        """Settings by arm: the claim itself under the empty name, then its controls."""
        return {"": {}} | {control.name: control.settings for control in self.controls}

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers load the claim from its file, so that no function is shipped by value and edits cannot go stale.
        module = sys.modules[self.function.__module__]
        return _reload, (str(module.__file__), self.id)


def claim(
    paper: Paper,
    *,
    source: str,
    guarantee: Guarantee | str,
    sweep: Sweep,
    replicates: Replicates,
    judges: Judge | Sequence[Judge],
    controls: Sequence[Control],
    hypotheses: Mapping[str, str],
    expected: str = "upheld",
    reason: str = "",
    id: str | None = None,
) -> Callable[[Callable[..., Mapping[str, Any]]], Claim]:
    """Turn a function ``(sweep value, rng, **settings) -> named numbers`` into a claim.

    Parameters
    ----------
    paper
        The paper; its slug is the first half of the claim's id.
    source
        Where the statement stands: "Theorem 5", "Corollary 28, constant re-derived".
    guarantee
        "upper bound", "lower bound" or "tight".
    sweep, replicates
        What is varied, and how many seeds, for the quick and the full budget.
    judges
        One judge, or several of which all must uphold the statement. Thresholds stand here, before any data.
    controls
        Wrong variants that the same judges have to refute; at least one.
    hypotheses
        Name -> statement of each hypothesis. The function returns a :class:`theorylab.audit.Hypothesis` under each.
    expected
        "upheld", "violated" (a published statement known to fail), "inconclusive" or "not applicable".
    reason
        Why another verdict than "upheld" is expected.
    id
        Second half of the id; by default the function's name with hyphens.

    The function's docstring is the theorem; its first line is the title. It returns a mapping of names to numbers (to
    arrays of shape (points,) along a trajectory) and to hypotheses; ``inf`` stands for a diverged run, NaN is an error.

    Raises
    ------
    ClaimError
        A field is missing or not well formed.
    """

    def decorate(function: Callable[..., Mapping[str, Any]]) -> Claim:
        name = id or function.__name__.replace("_", "-")
        label = f"{paper.slug}/{name}"
        statement = inspect.getdoc(function) or ""
        judge_list = tuple(judges) if isinstance(judges, Sequence) else (judges,)
        _check(label, name, statement, source, judge_list, controls, expected, reason)
        _check_settings(label, function, controls)
        _check_replicates(label, replicates, judge_list)
        return Claim(
            id=label,
            paper=paper,
            title=statement.split("\n\n")[0].replace("\n", " ").strip().rstrip("."),
            statement=statement,
            source=source,
            guarantee=Guarantee(guarantee),
            function=function,
            sweep=sweep,
            replicates=replicates,
            judges=judge_list,
            controls=tuple(controls),
            hypotheses=dict(hypotheses),
            expected=_EXPECTED[expected],
            reason=reason,
        )

    return decorate


def _check(
    label: str,
    name: str,
    statement: str,
    source: str,
    judges: tuple[Judge, ...],
    controls: Sequence[Control],
    expected: str,
    reason: str,
) -> None:
    if not SLUG.fullmatch(name):
        raise ClaimError(f"{label}: id={name!r} must be lower-case words joined by hyphens")
    if not statement.strip():
        raise ClaimError(f"{label}: the function has no docstring; the docstring is the theorem")
    if not source.strip():
        raise ClaimError(f"{label}: source={source!r} is empty; say which theorem of the paper this is")
    if not judges:
        raise ClaimError(f"{label}: judges=() decides nothing; give at least one judge")
    if not controls:
        raise ClaimError(f"{label}: controls=() is empty; a check that cannot fail is no check, give one wrong variant")
    names = [control.name for control in controls]
    if len(set(names)) < len(names):
        raise ClaimError(f"{label}: controls={names!r} repeat a name; give each its own")
    if expected not in _EXPECTED:
        raise ClaimError(f"{label}: expected={expected!r} must be one of {sorted(_EXPECTED)}")
    if expected != "upheld" and not reason.strip():
        raise ClaimError(f"{label}: expected={expected!r} needs a reason, e.g. reason='fails at kinks, see below'")


def _check_settings(label: str, function: Callable[..., Any], controls: Sequence[Control]) -> None:
    parameters = inspect.signature(function).parameters
    allowed = [name for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for control in controls:
        for setting in control.settings:
            if setting not in allowed:
                raise ClaimError(f"{label}: control {control.name!r} sets {setting!r}; keyword settings are {allowed}")


def _check_replicates(label: str, replicates: Replicates, judges: tuple[Judge, ...]) -> None:
    for budget in ("quick", "full"):
        count = getattr(replicates, budget)
        for judge in judges:
            if count < judge.least_replicates:
                raise ClaimError(
                    f"{label}: replicates {budget}={count} is too few for the judge {judge.name!r}, "
                    f"which needs at least {judge.least_replicates}"
                )


def claims_of(module: ModuleType) -> list[Claim]:
    """Return the claims that a module defines or imports, in the order of its text.

    Raises ClaimError when two claims share an id.
    """
    seen: dict[str, Claim] = {}
    for value in vars(module).values():
        if not isinstance(value, Claim):
            continue
        known = seen.setdefault(value.id, value)
        if known is not value:
            first, second = known.function.__name__, value.function.__name__
            raise ClaimError(f"{value.id}: two claims have this id ({first} and {second}); rename one with id=")
    return list(seen.values())


def root_of(path: Path) -> Path:
    """Return the folder from which a file of claims imports: the parent of ``verify``, or else the file's own."""
    above = [folder.parent for folder in path.parents if folder.name == "verify"]
    return above[0] if above else path.parent


def load_file(path: str | Path) -> ModuleType:
    """Import a file of claims under one stable name, in any process, and return its module.

    A file below a folder called ``verify`` is imported with that folder's parent on ``sys.path``, so that
    ``import problems.x`` works from a clone without installation. Raises ClaimError when there is no such file.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise ClaimError(f"path={str(path)!r} is not a file of claims")
    root = root_of(path)
    name = f"{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ClaimError(f"path={str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _reload(path: str, claim_id: str) -> Claim:
    for candidate in claims_of(load_file(path)):
        if candidate.id == claim_id:
            return candidate
    raise ClaimError(f"{claim_id}: no longer in {path}; the file changed while the run was under way")
