"""Multi-block bilevel problems with exact values and hypergradients: one entrance to the families.

``min_x F(x) = (1/m) sum_i f_i(x, y_i*(x))``, ``y_i*(x) = argmin_y g_i(x, y)``, as in Hu, Qiu, Guo, Zhang and Yang,
Blockwise Stochastic Variance-Reduced Methods with Parallel Speedup for Multi-Block Bilevel Optimization, ICML 2023.
Families: `problems.bilevel_quadratic` (closed hypergradient, Gaussian oracle), `problems.bilevel_temperature` (weights
of real samples for many temperatures) and `problems.bilevel_topk` (thresholds of top-K ranking). Tracking without a
bilevel problem is in `problems.moving_mappings`.
"""

from types import ModuleType

import numpy as np
import numpy.typing as npt

from problems import bilevel_quadratic, bilevel_temperature, bilevel_topk
from problems.bilevel_derivatives import (
    BilevelCertificate,
    Derivatives,
    finite,
    implicit_hypergradient,
    positive,
)
from problems.bilevel_derivatives import implicit_vectors as solved_vectors
from problems.bilevel_quadratic import QuadraticBilevel
from problems.bilevel_temperature import TemperatureTuning
from problems.bilevel_topk import TopKRanking

Array = npt.NDArray[np.float64]
Problem = QuadraticBilevel | TemperatureTuning | TopKRanking


def lower_solutions(problem: Problem, x: npt.ArrayLike, start: Array | None = None) -> Array:
    """Return ``y_i*(x)`` (m, dy) at ``x`` (dx,); ``start`` (m, dy) helps where they are found by iteration.

    Raises ValueError if ``x`` has the wrong shape or is not finite, as every function of this module.
    """
    at = _point(problem, x)
    if isinstance(problem, TemperatureTuning):
        return bilevel_temperature.lower_solutions(problem, at, start)
    return _family(problem).lower_solutions(problem, at)


def derivatives(problem: Problem, x: npt.ArrayLike, y: npt.ArrayLike) -> Derivatives:
    """Return the exact derivatives of every ``f_i`` and ``g_i`` at ``x`` (dx,) and ``y`` (m, dy)."""
    return _family(problem).derivatives(problem, _point(problem, x), _points(problem, y))


def upper_values(problem: Problem, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Return ``f_i(x, y_i)`` (m,) at ``x`` (dx,) and ``y`` (m, dy)."""
    return _family(problem).upper_values(problem, _point(problem, x), _points(problem, y))


def lower_values(problem: Problem, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Return ``g_i(x, y_i)`` (m,) at ``x`` (dx,) and ``y`` (m, dy)."""
    return _family(problem).lower_values(problem, _point(problem, x), _points(problem, y))


def implicit_vectors(problem: Problem, x: npt.ArrayLike) -> Array:
    """Return ``v_i*(x) = [D2_yy g_i]^{-1} grad_y f_i`` (m, dy) at ``(x, y_i*(x))``; their norms are at most V."""
    return solved_vectors(derivatives(problem, x, lower_solutions(problem, x)))


def value(problem: Problem, x: npt.ArrayLike, start: Array | None = None) -> float:
    """Return ``F(x)``."""
    return float(upper_values(problem, x, lower_solutions(problem, x, start)).mean())


def hypergradient(problem: Problem, x: npt.ArrayLike) -> Array:
    """Return ``grad F(x)`` (dx,) by an implicit solve for each block.

    >>> problem = bilevel_quadratic.drawn_quadratic(np.random.default_rng(0), blocks=4)
    >>> closed = bilevel_quadratic.closed_hypergradient(problem, problem.start)
    >>> bool(np.allclose(hypergradient(problem, problem.start), closed, atol=1e-14))
    True
    """
    return implicit_hypergradient(derivatives(problem, x, lower_solutions(problem, x)))


def difference_quotients(problem: Problem, x: npt.ArrayLike, directions: npt.ArrayLike, width: float = 1e-4) -> Array:
    """Return the slopes of F at ``x`` (dx,) along ``directions`` (k, dx), (k,), of fourth order in ``width``.

    ``(8 (F(x+h) - F(x-h)) - (F(x+2h) - F(x-2h))) / (12 h)``, an independent check of the hypergradient. Raises
    ValueError on directions of the wrong shape and a width that is not positive.
    """
    at, h = _point(problem, x), positive("width", width)
    along = finite("directions", directions, (None, at.size))
    near = lower_solutions(problem, at)

    def gap(move: Array) -> float:
        return value(problem, at + move, near) - value(problem, at - move, near)

    return np.array([(8.0 * gap(h * u) - gap(2.0 * h * u)) / (12.0 * h) for u in along])


def certify(problem: Problem, *, batch: int = 1) -> BilevelCertificate:
    """Certify A1 to A5 for oracle calls averaged over ``batch``; each family says how it is proved."""
    return _family(problem).certify(problem, batch=batch)


def _family(problem: Problem) -> ModuleType:
    """Return the module that knows this type of instance; all three have functions of the same names."""
    if isinstance(problem, QuadraticBilevel):
        return bilevel_quadratic
    return bilevel_temperature if isinstance(problem, TemperatureTuning) else bilevel_topk


def _point(problem: Problem, x: npt.ArrayLike) -> Array:
    return finite("x", x, (problem.constants.upper_dimension,))


def _points(problem: Problem, y: npt.ArrayLike) -> Array:
    return finite("y", y, (problem.constants.blocks, problem.constants.lower_dimension))
