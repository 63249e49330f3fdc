"""Hypotheses of a theorem, checked on the instance that was drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Status(Enum):
    """How well a hypothesis is known to hold; ordered from best to worst, the values are what people read."""

    CERTIFIED = "certified"
    SAMPLED = "sampled, not violated"
    NOT_CERTIFIED = "not certified"
    VIOLATED = "violated"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One hypothesis on one drawn instance: its status, the measured constant (nan if there is none) and a note."""

    status: Status
    measured: float = math.nan
    note: str = ""


def by_construction(note: str, measured: float = math.nan) -> Hypothesis:
    """Certified because of the way the instance is built; ``note`` says which property of the generator gives it."""
    return Hypothesis(Status.CERTIFIED, float(measured), f"by construction: {note}")


def not_certified(note: str, measured: float = math.nan) -> Hypothesis:
    """Neither proved nor disproved; ``note`` says what is missing, ``measured`` what was found (a lower bound, say)."""
    return Hypothesis(Status.NOT_CERTIFIED, float(measured), note)


def certified(
    measured: float,
    *,
    at_most: float = math.inf,
    at_least: float = -math.inf,
    note: str = "",
) -> Hypothesis:
    """Certified when the exactly computed constant lies in its allowed range, violated otherwise.

    >>> certified(0.05, at_most=0.1, note="eta * sigma_1").status.value
    'certified'
    >>> certified(0.3, at_most=0.1).status.value
    'violated'
    """
    return _compare(Status.CERTIFIED, measured, at_most, at_least, note)


def sampled(
    worst: float,
    *,
    at_most: float = math.inf,
    at_least: float = -math.inf,
    note: str = "",
) -> Hypothesis:
    """Not violated by any sample so far: ``worst`` is the worst value seen, so this is evidence and no proof."""
    return _compare(Status.SAMPLED, worst, at_most, at_least, note)


def _compare(holds: Status, measured: float, at_most: float, at_least: float, note: str) -> Hypothesis:
    inside = at_least <= measured <= at_most  # False for NaN, as it must be
    limits = ((">=", at_least), ("<=", at_most))
    text = " and ".join(f"{sign} {limit:.6g}" for sign, limit in limits if math.isfinite(limit))
    return Hypothesis(holds if inside else Status.VIOLATED, float(measured), f"{note} {text}".strip())


def positive_semidefinite(matrix: Array, *, rounding: float = 1e-10) -> Hypothesis:
    """Certify that a symmetric (d, d) matrix is positive semidefinite, by its eigenvalues.

    ``measured`` is the smallest eigenvalue over the largest absolute one. Raises ValueError unless the matrix is
    square, finite and symmetric.

    >>> positive_semidefinite(np.eye(2)).status.value
    'certified'
    """
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"matrix.shape={matrix.shape} must be (d, d) with d >= 1")
    if not np.isfinite(matrix).all():
        raise ValueError("matrix has entries that are not finite; remove NaN and inf first")
    scale = float(np.abs(matrix).max()) or 1.0
    if float(np.abs(matrix - matrix.T).max()) > rounding * scale:
        raise ValueError("matrix is not symmetric; pass (matrix + matrix.T) / 2")
    eigenvalues = np.linalg.eigvalsh(matrix)
    relative = float(eigenvalues[0]) / (float(np.abs(eigenvalues).max()) or 1.0)
    return certified(relative, at_least=-rounding, note="smallest relative eigenvalue")


def lipschitz(function: Callable[[Array], Array], points: Array, constant: float) -> Hypothesis:
    """Sample the Lipschitz constant of a map over all pairs of rows of ``points`` (n, d) in the Euclidean norm.

    Pass a gradient to sample the smoothness constant of a function.

    >>> lipschitz(lambda x: 2 * x, np.array([[0.0], [1.0], [3.0]]), 2.0).status.value
    'sampled, not violated'
    """
    points = _points(points)
    images = np.array([np.atleast_1d(function(point)) for point in points], dtype=float)
    i, j = np.triu_indices(len(points), k=1)
    distance = np.linalg.norm(points[i] - points[j], axis=1)
    change = np.linalg.norm(images[i] - images[j], axis=1)
    apart = distance > 0
    worst = float(np.max(change[apart] / distance[apart])) if apart.any() else 0.0
    return sampled(worst, at_most=constant * (1 + 1e-9), note="largest difference quotient")


def convex(function: Callable[[Array], float], points: Array, *, modulus: float = 0.0) -> Hypothesis:
    """Sample (strong) convexity of a function by midpoints of all pairs of rows of ``points`` (n, d).

    ``measured`` is the smallest of ``(f(x) + f(y)) / 2 - f((x + y) / 2) - modulus * |x - y|^2 / 8``.

    >>> convex(lambda x: float(x @ x), np.array([[0.0], [1.0], [3.0]]), modulus=2.0).status.value
    'sampled, not violated'
    """
    points = _points(points)
    values = np.array([float(function(point)) for point in points])
    i, j = np.triu_indices(len(points), k=1)
    middle = np.array([float(function(point)) for point in (points[i] + points[j]) / 2])
    gap = (values[i] + values[j]) / 2 - middle - modulus * np.sum((points[i] - points[j]) ** 2, axis=1) / 8
    worst = float(gap.min())
    return sampled(worst, at_least=-1e-9 * float(np.abs(values).max() + 1), note="smallest midpoint gap")


def bounded_variance(samples: Array, variance: float) -> Hypothesis:
    """Sample the total variance of ``samples`` (n, d): violated if it exceeds ``variance`` by four standard errors."""
    samples = _points(samples)
    squares = np.sum((samples - samples.mean(axis=0)) ** 2, axis=1) * len(samples) / (len(samples) - 1)
    noise = 4 * float(squares.std(ddof=1)) / math.sqrt(len(samples))
    return sampled(float(squares.mean()), at_most=variance + noise, note="total variance")


def diameter(points: Array, bound: float) -> Hypothesis:
    """Sample the Euclidean diameter of a set by its points (n, d)."""
    points = _points(points)
    i, j = np.triu_indices(len(points), k=1)
    worst = float(np.linalg.norm(points[i] - points[j], axis=1).max())
    return sampled(worst, at_most=bound * (1 + 1e-9), note="largest distance")


def _points(points: Array) -> Array:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] < 1:
        raise ValueError(f"points.shape={points.shape} must be (n, d) with n >= 2 and d >= 1")
    if not np.isfinite(points).all():
        raise ValueError("points has entries that are not finite; remove NaN and inf first")
    return points
