"""Assertions on plain arrays ``(points, replicates)`` for anybody's pytest suite.

Two lines assert a convergence slope with a confidence interval instead of a hand-made tolerance::

    errors = np.array([[solve(n, np.random.default_rng((n, seed))) for seed in range(16)] for n in sizes])
    assert_rate(sizes, errors, at_most=-0.5, margin=0.1)

Every assertion passes only when the statement is *upheld*; *violated* and *inconclusive* raise
:class:`ClaimNotUpheld`, whose message says in words and numbers what was measured, what was allowed and what would
decide. :func:`assert_refuted` passes only when an assertion is *violated*: use it for the negative control.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from theorylab.judges import (
    Equals,
    EveryRun,
    InExpectation,
    Judge,
    LinearConvergence,
    Ordered,
    RateAtLeast,
    RateAtMost,
    RateExactly,
    WithProbability,
)
from theorylab.measurements import Measurements, measurements
from theorylab.verdicts import Evidence, Verdict, conclude

__all__ = [
    "ClaimNotUpheld",
    "assert_bounded",
    "assert_equal_mean",
    "assert_linear_convergence",
    "assert_ordered",
    "assert_probably_bounded",
    "assert_rate",
    "assert_refuted",
]


class ClaimNotUpheld(AssertionError):  # noqa: N818 - an assertion that failed, named for what it says
    """An assertion that was violated or could not be decided; carries its ``verdict`` and ``evidence``."""

    def __init__(self, verdict: Verdict, evidence: Evidence, data: Measurements) -> None:
        self.verdict = verdict
        self.evidence = evidence
        super().__init__(_explain(verdict, evidence, data))


def assert_rate(
    points: Any,
    values: Any,
    *,
    at_most: float | None = None,
    exactly: float | None = None,
    at_least: float | None = None,
    bound: Any = None,
    margin: float = 0.05,
    floor: float | None = None,
    typical: bool = False,
) -> Evidence:
    """Assert the exponent with which the mean of ``values`` scales with ``points``.

    Parameters
    ----------
    points
        Positive numbers, shape (points,), listed towards the asymptotic regime.
    values
        Positive measurements, shape (points, replicates), one column a seed; at least 3 points and 3 seeds.
    at_most, exactly, at_least
        The stated exponent; give one of them, or ``bound``.
    bound
        The bound itself, shape (points,) or (points, replicates): its own slope on the same points is the stated one.
    margin
        Exponent error that is tolerated; fix it before looking at data.
    floor
        Level below which the measurement means nothing (rounding errors, say); points near it are left out.
    typical
        Judge the slopes of single runs instead of the slope of the mean.

    Returns
    -------
    Evidence
        Slope, interval, p-values, power.

    Raises
    ------
    ClaimNotUpheld
        The rate is violated or cannot be decided.
    ValueError
        Shapes or numbers do not fit.

    >>> rng = np.random.default_rng(1)
    >>> n = np.geomspace(100, 10_000, 7)
    >>> errors = n[:, None] ** -0.5 * np.exp(0.02 * rng.standard_normal((7, 16)))
    >>> round(assert_rate(n, errors, at_most=-0.5).estimate, 1)
    -0.5
    """
    stated = {"at_most": at_most, "exactly": exactly, "at_least": at_least}
    given = {name: rate for name, rate in stated.items() if rate is not None}
    if len(given) + (bound is not None) != 1:
        raise ValueError(f"at_most={at_most!r}, exactly={exactly!r}, at_least={at_least!r}, bound: give exactly one")
    data = measurements(points, values, **({} if bound is None else {"bound": bound}))
    kinds: dict[str, Callable[..., Judge]] = {"at_most": RateAtMost, "exactly": RateExactly, "at_least": RateAtLeast}
    kind, rate = next(iter(given.items()), ("at_most", "bound"))
    return _uphold(kinds[kind](measured="measured", rate=rate, margin=margin, floor=floor, typical=typical), data)


def assert_linear_convergence(
    steps: Any, values: Any, *, factor_at_most: float, floor: float | None = None
) -> Evidence:
    """Assert that the mean of ``values``, shape (checkpoints, replicates), contracts by a factor a step.

    ``steps`` are the iteration numbers, shape (checkpoints,). Declare the ``floor`` at which rounding stops progress.
    Raises ClaimNotUpheld and ValueError as :func:`assert_rate` does.

    >>> t = np.arange(0, 50, 5)
    >>> errors = 0.8 ** t[:, None] * np.exp(0.01 * np.random.default_rng(0).standard_normal((10, 8)))
    >>> round(assert_linear_convergence(t, errors, factor_at_most=0.85).estimate, 2)
    0.8
    """
    judge = LinearConvergence(measured="measured", factor_at_most=factor_at_most, floor=floor)
    return _uphold(judge, measurements(steps, values))


def assert_bounded(
    values: Any, *, at_most: Any = None, at_least: Any = None, every_run: bool = False, points: Any = None
) -> Evidence:
    """Assert that ``values`` respect a bound in expectation, or with ``every_run`` in every single run.

    Parameters
    ----------
    values
        Measurements, shape (points, replicates) or (replicates,).
    at_most, at_least
        The bound: a number, or shape (points,) or (points, replicates). Give one.
    every_run
        Judge each run by itself, with a relative tolerance of 1e-9 for rounding, instead of the mean.
    points
        Names of the rows for the message; by default their numbers.

    Raises ClaimNotUpheld and ValueError as :func:`assert_rate` does.

    >>> regret = np.array([[0.9, 1.0, 0.8, 0.9], [0.5, 0.4, 0.6, 0.5]])
    >>> assert_bounded(regret, at_most=[1.5, 1.1]).sentence.split(";")[0]
    'measured should be at most bound'
    """
    if (at_most is None) == (at_least is None):
        raise ValueError(f"at_most={at_most!r}, at_least={at_least!r}: give exactly one of them")
    data = _rows(values, points, bound=at_most if at_most is not None else at_least)
    above, below = ("bound", None) if at_most is not None else (None, "bound")
    kind: Callable[..., Judge] = EveryRun if every_run else InExpectation
    return _uphold(kind(measured="measured", at_most=above, at_least=below), data)


def assert_probably_bounded(values: Any, *, at_most: Any, delta: float, points: Any = None) -> Evidence:
    """Assert P(value > bound) <= delta from runs of shape (points, replicates) or (replicates,).

    Takes about 3.7 / delta runs a point even if none fails. Raises as :func:`assert_rate` does.

    >>> assert_probably_bounded(np.zeros(100), at_most=1.0, delta=0.05).estimate
    0.0
    """
    judge = WithProbability(measured="measured", at_most="bound", delta=delta)
    return _uphold(judge, _rows(values, points, bound=at_most))


def assert_equal_mean(
    values: Any, to: Any, *, relative: float | None = None, absolute: float | None = None, points: Any = None
) -> Evidence:
    """Assert that the mean equals a closed form within a tolerance, beyond noise. Raises as :func:`assert_rate` does.

    >>> round(assert_equal_mean([[2.0, 2.01, 1.99]], to=2.0, relative=0.05).estimate, 6)
    1.0
    """
    judge = Equals(measured="measured", to="bound", relative=relative, absolute=absolute)
    return _uphold(judge, _rows(values, points, bound=to))


def assert_ordered(smaller: Any, larger: Any, *, factor: float = 1.0, points: Any = None) -> Evidence:
    """Assert E[smaller] < factor * E[larger] for arms paired by seed. Raises as :func:`assert_rate` does.

    >>> assert_ordered([[1.0, 1.1, 0.9]], [[2.0, 2.2, 1.9]]).estimate < 1
    True
    """
    judge = Ordered(smaller="measured", larger="larger", factor=factor)
    return _uphold(judge, _rows(smaller, points, larger=larger))


def assert_refuted(assertion: Callable[..., Evidence], *args: Any, **options: Any) -> Evidence:
    """Assert that another assertion of this module is violated, not merely undecided: the negative control.

    Raises AssertionError when the assertion passes or is inconclusive.

    >>> flat = 1 + 0.01 * np.random.default_rng(0).standard_normal((5, 8))
    >>> assert_refuted(assert_rate, [1, 10, 100, 1000, 10000], flat, at_most=-0.5).p_violated < 0.01
    True
    """
    try:
        evidence = assertion(*args, **options)
    except ClaimNotUpheld as failure:
        if failure.verdict is Verdict.VIOLATED:
            return failure.evidence
        raise AssertionError(f"the control was not refuted\n{failure}") from failure
    raise AssertionError(f"the control was upheld, so the check cannot fail: {evidence.sentence}")


def _rows(values: Any, points: Any, **others: Any) -> Measurements:
    array = np.atleast_2d(np.asarray(values, dtype=float))
    named = {
        name: np.atleast_2d(other) if np.ndim(other) == 1 and np.ndim(values) == 1 else other
        for name, other in others.items()
    }
    return measurements(range(len(array)) if points is None else points, array, **named)


def _uphold(judge: Judge, data: Measurements) -> Evidence:
    if data.replicates < judge.least_replicates:
        raise ValueError(
            f"replicates={data.replicates} are too few for {judge.name!r}; it needs at least {judge.least_replicates}"
        )
    evidence = judge.examine(data)
    verdict = conclude(evidence)
    if verdict is not Verdict.UPHELD:
        raise ClaimNotUpheld(verdict, evidence, data)
    return evidence


def _explain(verdict: Verdict, evidence: Evidence, data: Measurements) -> str:
    means = data.quantity("measured").mean(axis=1)
    shown = ", ".join(f"{point}: {mean:.4g}" for point, mean in zip(data.points, means, strict=True))
    lines = [
        f"{evidence.judge}: {verdict.value}",
        f"  {evidence.sentence}",
        f"  means over {data.replicates} replicates: {shown}",
        f"  p-value of the statement: {evidence.p_violated:.2g}; {evidence.power}",
    ]
    if evidence.would_decide:
        lines.append(f"  would decide: {evidence.would_decide}")
    return "\n".join(lines)
