"""The bilevel families of this directory as the methods of theorylab take them: compiled blocks or matrix-free oracles.

A sample of the quadratic family is one Gaussian call, which stands for a batch; of the others a pair of index arrays or
one. Batches are as the families' dataclasses say.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.bilevel_quadratic import QuadraticBilevel, bounded_slope
from problems.bilevel_temperature import TemperatureTuning
from problems.bilevel_topk import TopKRanking
from theorylab.algorithms.bilevel_matrix_free import BlockOracle
from theorylab.algorithms.bilevel_quadratic import QuadraticBlocks, drawn_call, quadratic_blocks

Array = npt.NDArray[np.float64]
Hessian = Callable[[int, Array, Array, Any], Array]


def compiled_blocks(problem: QuadraticBilevel) -> QuadraticBlocks:
    """Return the instance as `bsvrb_v2_quadratic` and `bsvrb_v1_quadratic` take it."""
    s = problem.noise
    return quadratic_blocks(
        problem.hessians,
        problem.couplings,
        problem.offsets,
        problem.targets,
        problem.anchor,
        weight=problem.weight,
        start=problem.start,
        noise=(s.hessian, s.coupling, s.offset, s.upper),
    )


def quadratic_oracle(problem: QuadraticBilevel) -> tuple[BlockOracle, Hessian]:
    """Return the oracle of the quadratic family and its Hessian; draws are those of the compiled methods."""
    blocks = compiled_blocks(problem)
    m, dy, dx = problem.couplings.shape

    def draw(i: int, batch: int, rng: np.random.Generator) -> Any:
        a, b, c, d = blocks.noise
        root = float(np.sqrt(batch))
        return drawn_call(blocks, i, (a / root, b / root, c / root, d / root), rng)

    oracle = BlockOracle(
        blocks=m,
        upper_dimension=dx,
        lower_dimension=dy,
        draw=draw,
        lower_gradient=lambda i, x, y, call: call[0] @ y - call[1] @ x - call[2],
        hessian_vector=lambda i, x, y, v, call: call[0] @ v,
        cross_vector=lambda i, x, y, v, call: -(call[1].T @ v),
        upper_gradient_x=lambda i, x, y, call: problem.weight * bounded_slope(x - problem.anchor),
        upper_gradient_y=lambda i, x, y, call: bounded_slope(y - problem.targets[i]) + call[3],
    )
    return oracle, lambda i, x, y, call: call[0]


def temperature_oracle(problem: TemperatureTuning) -> tuple[BlockOracle, Hessian]:
    """Return the oracle of the temperature family and its Hessian; a sample is indices of training and validation rows.

    A drawn training sample j moves entry j of the gradient with respect to the logits only.
    """
    z, held, t, lam = problem.features, problem.validation, problem.temperatures, problem.ridge
    n, dy = z.shape

    def draw(i: int, batch: int, rng: np.random.Generator) -> tuple[Any, Any]:
        return rng.integers(0, n, batch), rng.integers(0, held.shape[0], batch)

    def missed(i: int, rows: Array, w: Array) -> Array:
        """Return ``sigmoid(-<row, w> / t_i)``."""
        return _sigmoid(-(rows @ w) / t[i])

    def lower_gradient(i: int, x: Array, w: Array, sample: Any) -> Array:
        rows = z[sample[0]]
        return lam * w - (_sigmoid(x[sample[0]]) * missed(i, rows, w)) @ rows / (t[i] * rows.shape[0])

    def curvatures(i: int, x: Array, w: Array, sample: Any) -> Array:
        share = missed(i, z[sample[0]], w)
        return np.asarray(_sigmoid(x[sample[0]]) * share * (1.0 - share) / (t[i] ** 2 * share.size))

    def hessian_vector(i: int, x: Array, w: Array, v: Array, sample: Any) -> Array:
        rows = z[sample[0]]
        return lam * v + (curvatures(i, x, w, sample) * (rows @ v)) @ rows

    def cross_vector(i: int, x: Array, w: Array, v: Array, sample: Any) -> Array:
        rows, share, product = z[sample[0]], _sigmoid(x[sample[0]]), np.zeros(n)
        slopes = -missed(i, rows, w) * share * (1.0 - share) / (t[i] * rows.shape[0])
        np.add.at(product, sample[0], slopes * (rows @ v))  # a sample may be drawn twice
        return product

    def upper_gradient_y(i: int, x: Array, w: Array, sample: Any) -> Array:
        rows = held[sample[1]]
        return -missed(i, rows, w) @ rows / (t[i] * rows.shape[0])

    def hessian(i: int, x: Array, w: Array, sample: Any) -> Array:
        rows = z[sample[0]]
        return lam * np.eye(dy) + (rows.T * curvatures(i, x, w, sample)) @ rows

    oracle = BlockOracle(
        blocks=t.size,
        upper_dimension=n,
        lower_dimension=dy,
        draw=draw,
        lower_gradient=lower_gradient,
        hessian_vector=hessian_vector,
        cross_vector=cross_vector,
        upper_gradient_x=lambda i, x, w, sample: np.zeros(n),
        upper_gradient_y=upper_gradient_y,
    )
    return oracle, hessian


def topk_oracle(problem: TopKRanking) -> tuple[BlockOracle, Hessian]:
    """Return the oracle of the top-K family and its Hessian (1, 1); a sample is indices of items of the query."""
    m, items, dx = problem.features.shape
    t1, t2, t3 = problem.softness, problem.ridge, problem.sharpness

    def draw(i: int, batch: int, rng: np.random.Generator) -> Any:
        return rng.integers(0, items, batch)

    def lower_gradient(i: int, x: Array, y: Array, sample: Any) -> Array:
        above = _sigmoid((problem.features[i, sample] @ x - y) / t1)
        return np.asarray(problem.top / items + t2 * y - above.mean())

    def bends(i: int, x: Array, y: Array, sample: Any) -> Array:
        above = _sigmoid((problem.features[i, sample] @ x - y) / t1)
        return np.asarray(above * (1.0 - above) / (t1 * above.size))

    def cross_vector(i: int, x: Array, y: Array, v: Array, sample: Any) -> Array:
        return -(bends(i, x, y, sample) @ problem.features[i, sample]) * v[0]

    def pulls(i: int, x: Array, y: Array, sample: Any) -> Array:
        kept = _sigmoid((problem.features[i, sample] @ x - y) / t3)
        return np.asarray(problem.gains[i, sample] * kept * (1.0 - kept) * items / (t3 * kept.size))

    def hessian_vector(i: int, x: Array, y: Array, v: Array, sample: Any) -> Array:
        return (t2 + bends(i, x, y, sample).sum()) * v

    oracle = BlockOracle(
        blocks=m,
        upper_dimension=dx,
        lower_dimension=1,
        draw=draw,
        lower_gradient=lower_gradient,
        hessian_vector=hessian_vector,
        cross_vector=cross_vector,
        upper_gradient_x=lambda i, x, y, s: problem.weight * x - pulls(i, x, y, s) @ problem.features[i, s],
        upper_gradient_y=lambda i, x, y, s: np.array([pulls(i, x, y, s).sum()]),
    )
    return oracle, lambda i, x, y, s: np.array([[t2 + bends(i, x, y, s).sum()]])


def _sigmoid(u: Array) -> Array:
    """Return ``1 / (1 + exp(-u))``; tanh cannot overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * u)))
