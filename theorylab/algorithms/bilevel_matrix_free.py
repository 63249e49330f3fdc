"""Versions 1 and 2 of the blockwise method on any multi-block bilevel problem, in numpy.

The method is that of Hu, Qiu, Guo, Zhang and Yang, ICML 2023. A problem is a `BlockOracle`: six functions, none of
which returns a matrix. Version 2 asks for products of the lower Hessian and of the mixed derivative with a vector and
for nothing else, so its memory is O(m dy + dx) and its cost that of the products. Version 1 is for small dy and takes a
function for the Hessian besides. `theorylab.algorithms.bilevel_quadratic` is the compiled form for one family.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.bilevel_kernels import LARGEST_SQUARE
from theorylab.algorithms.bilevel_methods import (
    BilevelMethod,
    BilevelRun,
    BilevelSteps,
    as_bilevel_run,
    checked_positive,
    initial_calls,
    recorded_times,
)
from theorylab.algorithms.block_estimators import Array, BlockEstimator, checked_sampled
from theorylab.algorithms.checks import checked_count

Draw = Callable[[int, int, np.random.Generator], Any]
Gradient = Callable[[int, Array, Array, Any], Array]
Product = Callable[[int, Array, Array, Array, Any], Array]
Exact = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True, slots=True)
class BlockOracle:
    """What a method may ask of m blocks; ``i`` counts from 0, x is (dx,), y and v are (dy,).

    ``draw(i, batch, rng)`` returns a sample, whatever it is; the others take it as their last argument and answer the
    mean over its batch: ``lower_gradient(i, x, y, sample)`` is ``grad_y g_i`` (dy,), ``hessian_vector(i, x, y, v,
    sample)`` is ``D2_yy g_i v`` (dy,), ``cross_vector(i, x, y, v, sample)`` is ``D2_xy g_i v`` (dx,),
    ``upper_gradient_x`` and ``upper_gradient_y(i, x, y, sample)`` are those of f_i, (dx,) and (dy,). Raises ValueError
    on sizes that are not positive integers.
    """

    blocks: int
    upper_dimension: int
    lower_dimension: int
    draw: Draw
    lower_gradient: Gradient
    hessian_vector: Product
    cross_vector: Product
    upper_gradient_x: Gradient
    upper_gradient_y: Gradient

    def __post_init__(self) -> None:
        """Validate the sizes once."""
        for name in ("blocks", "upper_dimension", "lower_dimension"):
            checked_count(name, getattr(self, name))


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """The settings of a run, checked."""

    method: BilevelMethod
    steps: BilevelSteps
    iterations: int
    sampled: int
    batch: int
    first: int
    times: npt.NDArray[np.int64]
    threshold: float
    exact: Exact | None


def bsvrb_v2(
    oracle: BlockOracle,
    method: BilevelMethod,
    steps: BilevelSteps,
    *,
    start: npt.ArrayLike,
    iterations: int,
    sampled: int,
    batch: int,
    radius: float,
    rng: np.random.Generator,
    exact: Exact | None = None,
    every: int | None = None,
    threshold: float = 0.0,
    initial_batch: int | None = None,
) -> BilevelRun:
    """Run version 2 from ``start`` ``x_0`` (dx,), ``y_0 = v_0 = 0``, through products with the Hessian only.

    An iteration samples I = ``sampled`` blocks with B = ``batch`` calls each and moves all. ``radius`` V bounds the
    ``v_i``, inf being allowed. ``exact(x)`` returns ``F(x)`` and ``grad F(x)`` for the record, which without it holds
    NaN but for ``||z||^2``. The record, ``threshold`` and ``initial_batch`` are those of `bsvrb_v2_quadratic`. Raises
    ValueError on I outside 1..m, sizes that are not positive integers, a start of the wrong shape or not finite, a
    radius that is not positive and a threshold that is negative or has no ``exact``; also on an answer of the oracle at
    time 0 of the wrong shape. Steps are not warned of, as nothing here knows L or L_F.
    """
    ball = np.inf if radius == np.inf else checked_positive("radius", radius)
    plan, x = _checked_plan(
        oracle, method, steps, start, iterations, sampled, batch, exact, every, threshold, initial_batch
    )
    shape = (oracle.blocks, oracle.lower_dimension)
    y, v, trackers = np.zeros(shape), np.zeros(shape), np.empty((2, *shape))
    s, u = trackers
    y_before, v_before = y.copy(), v.copy()

    def begin(i: int, sample: Any) -> Array:
        s[i], u[i], term = _checked_answers(oracle, _answers_v2(oracle, method, i, x, y[i], v[i], sample))
        return term

    def touch(i: int, points: tuple[Array, Array], samples: tuple[Any, Any]) -> tuple[Array, Array]:
        low, quadratic, now = _answers_v2(oracle, method, i, points[0], y[i], v[i], samples[0])
        low_before, quadratic_before, before = _answers_v2(
            oracle, method, i, points[1], y_before[i], v_before[i], samples[1]
        )
        s[i] = _combined(method.trackers, s[i], low, low_before)
        u[i] = _combined(method.trackers, u[i], quadratic, quadratic_before)
        return now, before

    def move() -> None:
        y_before[:], v_before[:] = y, v
        y[:] -= steps.lower * s
        v[:] -= steps.implicit * u
        norms = np.sqrt(np.einsum("ij,ij->i", v, v))
        outside = norms > ball
        v[outside] *= (ball / norms[outside])[:, None]

    def rest(untouched: npt.NDArray[np.int64]) -> None:
        trackers[:, untouched] *= method.trackers.rest

    record, x, z, hit = _run(oracle, plan, x, begin, touch, move, rest, rng)
    return as_bilevel_run(plan.times, record, x, z, y, v, hit)


def bsvrb_v1(
    oracle: BlockOracle,
    hessian: Gradient,
    method: BilevelMethod,
    steps: BilevelSteps,
    *,
    strong_convexity: float,
    start: npt.ArrayLike,
    iterations: int,
    sampled: int,
    batch: int,
    rng: np.random.Generator,
    exact: Exact | None = None,
    every: int | None = None,
    threshold: float = 0.0,
    initial_batch: int | None = None,
) -> BilevelRun:
    """Run version 1: ``hessian(i, x, y, sample)`` (dy, dy) is tracked, clipped from below at mu and inverted.

    ``strong_convexity`` is mu. The other arguments and errors are those of `bsvrb_v2`; z uses the tracked Hessian from
    before the update. Raises ValueError also on mu that is not positive and on trackers that fade at rest.
    """
    mu = checked_positive("strong_convexity", strong_convexity)
    if method.trackers.rest != 1.0:
        raise ValueError(f"trackers.rest={method.trackers.rest!r}: must be 1 in version 1; run version 2 instead")
    plan, x = _checked_plan(
        oracle, method, steps, start, iterations, sampled, batch, exact, every, threshold, initial_batch
    )
    m, dy = oracle.blocks, oracle.lower_dimension
    y, s, tracked = np.zeros((m, dy)), np.empty((m, dy)), np.empty((m, dy, dy))
    y_before, previous = y.copy(), tracked.copy()
    following: dict[int, Array] = {}

    def begin(i: int, sample: Any) -> Array:
        tracked[i] = previous[i] = clipped(hessian(i, x, y[i], sample), mu)
        low, term = _answers_v1(oracle, method, i, x, y[i], tracked[i], sample)
        s[i], _, checked = _checked_answers(oracle, (low, y[i], term))
        return checked

    def touch(i: int, points: tuple[Array, Array], samples: tuple[Any, Any]) -> tuple[Array, Array]:
        low, now = _answers_v1(oracle, method, i, points[0], y[i], tracked[i], samples[0])
        low_before, before = _answers_v1(oracle, method, i, points[1], y_before[i], previous[i], samples[1])
        s[i] = _combined(method.trackers, s[i], low, low_before)
        curved, curved_before = hessian(i, points[0], y[i], samples[0]), hessian(i, points[1], y_before[i], samples[1])
        following[i] = clipped(_combined(method.trackers, tracked[i], curved, curved_before), mu)
        return now, before

    def move() -> None:
        y_before[:] = y
        y[:] -= steps.lower * s
        previous[:] = tracked
        for i, matrix in following.items():
            tracked[i] = matrix
        following.clear()

    record, x, z, hit = _run(oracle, plan, x, begin, touch, move, lambda untouched: None, rng)
    return as_bilevel_run(plan.times, record, x, z, y, np.empty((0, dy)), hit)


def clipped(matrix: npt.ArrayLike, mu: float) -> Array:
    """Return the projection of a symmetric matrix (d, d) on ``H >= mu I``: eigenvalues below mu become mu.

    >>> clipped([[3.0, 0.0], [0.0, -1.0]], 0.5).tolist()
    [[3.0, 0.0], [0.0, 0.5]]
    """
    values, vectors = np.linalg.eigh(np.asarray(matrix, dtype=np.float64))
    return np.asarray((vectors * np.maximum(values, mu)) @ vectors.T)


def _run(
    oracle: BlockOracle,
    plan: _Plan,
    x: Array,
    begin: Callable[[int, Any], Array],
    touch: Callable[[int, tuple[Array, Array], tuple[Any, Any]], tuple[Array, Array]],
    move: Callable[[], None],
    rest: Callable[[npt.NDArray[np.int64]], None],
    rng: np.random.Generator,
) -> tuple[Array, Array, Array, int]:
    """Run the loop that both versions share; return the record (C, 4), x, z and the time of the hit or -1."""
    m, dx, record = oracle.blocks, oracle.upper_dimension, np.full((plan.times.size, 4), np.inf)
    order, total, row, t = np.arange(m), 0.0, 0, 0
    z = np.zeros(dx)
    for i in range(m):
        z += begin(i, oracle.draw(i, plan.first, rng)) / m
    before = x
    while True:
        if t == plan.times[row]:
            record[row] = _observed(plan.exact, x, z)
            total, row = total + record[row, 1], row + 1
            if total <= plan.threshold * row:
                return record, x, z, t
        if t == plan.iterations or not float(z @ z) < LARGEST_SQUARE:  # false for NaN as well
            return record, x, z, -1
        before, x = x, x - plan.steps.upper * z
        move()
        t += 1
        for j in range(plan.sampled):  # a partial Fisher-Yates shuffle picks a uniform set of blocks
            other = j + int(rng.random() * (m - j))
            order[j], order[other] = order[other], order[j]
        now, then = np.zeros(dx), np.zeros(dx)
        for i in order[: plan.sampled].tolist():
            sample = oracle.draw(i, plan.batch, rng)
            again = oracle.draw(i, plan.batch, rng) if plan.method.fresh else sample
            terms = touch(i, (x, before), (sample, again))
            now += terms[0] / plan.sampled
            then += terms[1] / plan.sampled
        rest(order[plan.sampled :])
        z = _combined(plan.method.direction, z, now, then)


def _observed(exact: Exact | None, x: Array, z: Array) -> tuple[float, float, float, float]:
    """Return ``F``, ``||grad F||^2``, ``||z - grad F||^2`` and ``||z||^2``."""
    if exact is None:
        return np.nan, np.nan, np.nan, float(z @ z)
    value, gradient = exact(x)
    gap = z - gradient
    return float(value), float(gradient @ gradient), float(gap @ gap), float(z @ z)


def _answers_v2(
    oracle: BlockOracle, method: BilevelMethod, i: int, x: Array, y: Array, v: Array, sample: Any
) -> tuple[Array, Array, Array]:
    """Return ``grad_y g_i``, ``D2_yy g_i v - grad_y f_i`` and the hypergradient with ``v``."""
    push = oracle.upper_gradient_y(i, x, y, sample)
    return (
        oracle.lower_gradient(i, x, y, sample),
        oracle.hessian_vector(i, x, y, v, sample) - push,
        _hypergradient(oracle, method, i, x, y, v, sample),
    )


def _answers_v1(
    oracle: BlockOracle, method: BilevelMethod, i: int, x: Array, y: Array, tracked: Array, sample: Any
) -> tuple[Array, Array]:
    """Return ``grad_y g_i`` and the hypergradient with ``H^{-1} grad_y f_i``, ``tracked`` being H."""
    vector = np.asarray(np.linalg.solve(tracked, oracle.upper_gradient_y(i, x, y, sample)), dtype=np.float64)
    return oracle.lower_gradient(i, x, y, sample), _hypergradient(oracle, method, i, x, y, vector, sample)


def _hypergradient(
    oracle: BlockOracle, method: BilevelMethod, i: int, x: Array, y: Array, v: Array, sample: Any
) -> Array:
    """Return ``grad_x f_i - D2_xy g_i v``, without the last term where the method leaves it out."""
    direct = oracle.upper_gradient_x(i, x, y, sample)
    return direct - oracle.cross_vector(i, x, y, v, sample) if method.implicit else direct


def _combined(rule: BlockEstimator, tracker: Array, new: Array, old: Array) -> Array:
    """Return the tracker of a sampled block after one step of the rule."""
    return rule.keep * tracker + rule.new * new - rule.old * old


def _checked_answers(oracle: BlockOracle, answers: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Return what the oracle said at time 0; raise ValueError on shapes that do not fit its sizes."""
    sizes = (oracle.lower_dimension, oracle.lower_dimension, oracle.upper_dimension)
    names = ("lower_gradient", "hessian_vector or upper_gradient_y", "cross_vector or upper_gradient_x")
    for name, answer, size in zip(names, answers, sizes, strict=True):
        if np.shape(answer) != (size,):
            raise ValueError(f"{name} returned shape {np.shape(answer)}: must be ({size},) as the oracle's sizes say")
    return answers


def _checked_plan(
    oracle: BlockOracle,
    method: BilevelMethod,
    steps: BilevelSteps,
    start: npt.ArrayLike,
    iterations: int,
    sampled: int,
    batch: int,
    exact: Exact | None,
    every: int | None,
    threshold: float,
    initial_batch: int | None,
) -> tuple[_Plan, Array]:
    """Return the settings and ``x_0``, checked."""
    x = np.array(start, dtype=np.float64)
    if x.shape != (oracle.upper_dimension,) or not np.isfinite(x).all():
        raise ValueError(f"start: shape {x.shape}, must be ({oracle.upper_dimension},) with finite entries")
    if not threshold >= 0.0 or (threshold > 0.0 and exact is None):
        raise ValueError(f"threshold={threshold!r}: must be zero or more, and zero without exact=")
    chosen, calls = checked_sampled(sampled, oracle.blocks), checked_count("batch", batch)
    times, _ = recorded_times(iterations, every)
    first = initial_calls(method, calls, initial_batch)
    return _Plan(method, steps, int(times[-1]), chosen, calls, first, times, float(threshold), exact), x
