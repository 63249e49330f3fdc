"""Thresholds of top-K ranking: one scalar lower problem a query (Hu, Qiu, Guo, Zhang and Yang, ICML 2023).

    g_i(x, l) = (K/N) l + t2 l^2 / 2 + (1/N) sum_j t1 log(1 + exp((h_ij(x) - l) / t1)),    h_ij(x) = <a_ij, x>
    f_i(x, l) = -sum_j r_ij sigmoid((h_ij(x) - l) / t3) + rho ||x||^2 / 2,    r_ij >= 0, sum_j r_ij = 1

The minimiser ``l_i*(x)`` is a smoothed K-th largest score: ``(1/N) sum_j sigmoid((h_ij - l) / t1) = K/N + t2 l``. The
upper problem is the share of a query's gain that its top K hold, smoothed, with its sign turned.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.bilevel_derivatives import (
    SIGMOID_BEND,
    BilevelCertificate,
    Derivatives,
    amplitude,
    count,
    finite,
    positive,
)
from theorylab.algorithms.bilevel_constants import BilevelConstants

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TopKRanking:
    """An instance of the family of this module; arrays are C-contiguous float64, the lower dimension is dy = 1.

    ``features`` ``a_ij`` (m, N, dx); ``gains`` ``r_ij`` (m, N), each row sums to 1; ``top`` is K; ``softness`` t1,
    ``ridge`` t2, ``sharpness`` t3, ``weight`` rho; ``start`` ``x_0`` (dx,). A batch draws B items of the query
    uniformly with replacement; for ``f_i`` the drawn items' terms are multiplied by N/B, for ``g_i`` averaged.
    """

    features: Array
    gains: Array
    top: int
    softness: float
    ridge: float
    sharpness: float
    weight: float
    start: Array
    constants: BilevelConstants


def topk_ranking(
    features: npt.ArrayLike,
    gains: npt.ArrayLike,
    top: int,
    *,
    softness: float = 0.2,
    ridge: float = 0.2,
    sharpness: float = 0.5,
    weight: float = 0.05,
    start: npt.ArrayLike | None = None,
) -> TopKRanking:
    """Assemble an instance from ``features`` (m, N, dx) and ``gains`` (m, N), whose rows are scaled to sum to 1.

    ``start`` (dx,) is zero if None. mu is the ridge t2, ``L = t2 + 1/(4 t1)``, ``C_f = 1/(4 t3)``. With R the largest
    ``||a_ij||``, ``L_F = rho + 4 R^2 max|sigmoid''| / t3^2 + R^2 / (4 t1 t3)``: ``p = d l_i*/dx`` is at most a mean of
    the ``a_ij``, so ``||a_ij - p|| <= 2R``, and differentiating it again, ``(N t1 t2 + sum s_j) l_i*'' = sum_j
    sigmoid''_j (a_ij - p)(a_ij - p)' / t1`` with ``|sigmoid''| <= sigmoid'``, a variance, at most ``R^2 / t1``. Raises
    ValueError on shapes that do not fit, entries that are not finite, negative gains or a query without gain, K outside
    1..N-1, and t1, t2 or t3 that are not positive: without t2 the lower problem is not strongly convex.
    """
    a = finite("features", features, (None, None, None))
    m, items, dx = a.shape
    if items < 2:
        raise ValueError(f"features.shape={a.shape}: must hold at least 2 items a query, or there is nothing to rank")
    r = finite("gains", gains, (m, items))
    if np.any(r < 0.0) or np.any(r.sum(axis=1) <= 0.0):
        raise ValueError(f"gains: smallest is {float(r.min())!r}; must be zero or more, with a positive sum a query")
    t1, t2, t3 = positive("softness", softness), positive("ridge", ridge), positive("sharpness", sharpness)
    rho = amplitude("weight", weight)
    lengths = np.linalg.norm(a, axis=2)
    longest = float(lengths.max())
    constants = BilevelConstants(
        blocks=m,
        upper_dimension=dx,
        lower_dimension=1,
        strong_convexity=t2,
        smoothness=t2 + 1.0 / (4.0 * t1),
        upper_gradient=1.0 / (4.0 * t3),
        coupling=float(lengths.mean(axis=1).max()) / (4.0 * t1),
        hypergradient_smoothness=rho + longest**2 * (4.0 * SIGMOID_BEND / t3**2 + 1.0 / (4.0 * t3 * t1)),
        lower_bound=-1.0,
    )
    return TopKRanking(
        features=a,
        gains=np.ascontiguousarray(r / r.sum(axis=1, keepdims=True)),
        top=count("top", top, items - 1),
        softness=t1,
        ridge=t2,
        sharpness=t3,
        weight=rho,
        start=np.zeros(dx) if start is None else finite("start", start, (dx,)),
        constants=constants,
    )


def drawn_ranking(
    rng: np.random.Generator,
    *,
    blocks: int = 16,
    items: int = 40,
    dimension: int = 6,
    top: int = 5,
    grade_noise: float = 0.5,
) -> TopKRanking:
    """Draw queries with synthetic relevance: hidden linear scores plus noise, the best items graded 3, 2 and 1.

    Features are Gaussian divided by sqrt(dx), the hidden weights Gaussian, shared by all queries. Of N items the first
    ``K`` by noisy score have grade 3, the next K grade 2, the next K grade 1, and gain is ``2^grade - 1``, as in NDCG.
    Raises ValueError on sizes that are not positive integers and K outside 1..N-1.

    >>> problem = drawn_ranking(np.random.default_rng(0))
    >>> problem.features.shape, bool(np.allclose(problem.gains.sum(axis=1), 1.0))
    ((16, 40, 6), True)
    """
    m, n, dx = count("blocks", blocks), count("items", items), count("dimension", dimension)
    if n < 2:
        raise ValueError(f"items={items!r}: must be at least 2, or there is nothing to rank")
    k = count("top", top, n - 1)
    features = rng.standard_normal((m, n, dx)) / np.sqrt(dx)
    hidden = rng.standard_normal(dx)
    noisy = features @ hidden + amplitude("grade_noise", grade_noise) * rng.standard_normal((m, n))
    place = np.argsort(np.argsort(-noisy, axis=1), axis=1)
    grades = np.maximum(3 - place // k, 0)
    return topk_ranking(features, 2.0**grades - 1.0, k)


def scores(problem: TopKRanking, x: Array) -> Array:
    """Return ``h_ij(x) = <a_ij, x>`` (m, N)."""
    return np.asarray(problem.features @ x)


def lower_solutions(problem: TopKRanking, x: Array) -> Array:
    """Return the thresholds ``l_i*(x)`` (m, 1) at ``x`` (dx,), by bisection; exact up to rounding.

    ``(1/N) sum_j sigmoid((h_ij - l)/t1) - K/N - t2 l`` falls strictly in l and changes sign between ``-K/(N t2)`` and
    ``(1 - K/N)/t2``.
    """
    h, share = scores(problem, x), problem.top / problem.features.shape[1]
    low, high = np.full(h.shape[0], -share / problem.ridge), np.full(h.shape[0], (1.0 - share) / problem.ridge)
    for _ in range(64):
        middle = 0.5 * (low + high)
        above = _sigmoid((h - middle[:, None]) / problem.softness).mean(axis=1) > share + problem.ridge * middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.ascontiguousarray(0.5 * (low + high)[:, None])


def threshold_gradients(problem: TopKRanking, x: Array) -> Array:
    """Return the derivatives ``d l_i* / dx`` (m, dx): ``sum_j s_j a_ij / (N t1 t2 + sum_j s_j)``.

    ``s_j = sigmoid'((h_ij - l_i*)/t1)``; by the implicit function theorem.
    """
    z = (scores(problem, x) - lower_solutions(problem, x)) / problem.softness
    s = _sigmoid(z) * _sigmoid(-z)
    below = s.shape[1] * problem.softness * problem.ridge + s.sum(axis=1)
    return np.asarray(np.einsum("mj,mja->ma", s, problem.features) / below[:, None])


def upper_values(problem: TopKRanking, x: Array, y: Array) -> Array:
    """Return ``f_i(x, l_i)`` (m,) at ``x`` (dx,) and ``y = l`` (m, 1)."""
    kept = _sigmoid((scores(problem, x) - y) / problem.sharpness)
    return np.asarray(-np.sum(problem.gains * kept, axis=1) + 0.5 * problem.weight * float(x @ x))


def lower_values(problem: TopKRanking, x: Array, y: Array) -> Array:
    """Return ``g_i(x, l_i)`` (m,) at ``x`` (dx,) and ``y = l`` (m, 1)."""
    level, t1 = y[:, 0], problem.softness
    soft = t1 * np.logaddexp(0.0, (scores(problem, x) - y) / t1).mean(axis=1)
    return np.asarray(problem.top / problem.features.shape[1] * level + 0.5 * problem.ridge * level**2 + soft)


def derivatives(problem: TopKRanking, x: Array, y: Array) -> Derivatives:
    """Return the exact derivatives of all blocks at ``x`` (dx,) and ``y = l`` (m, 1)."""
    h, (m, items, _) = scores(problem, x), problem.features.shape
    z, u = (h - y) / problem.softness, (h - y) / problem.sharpness
    s = _sigmoid(z) * _sigmoid(-z) / (problem.softness * items)
    pull = problem.gains * _sigmoid(u) * _sigmoid(-u) / problem.sharpness
    share = problem.top / items
    return Derivatives(
        upper_x=problem.weight * x - np.einsum("mj,mja->ma", pull, problem.features),
        upper_y=pull.sum(axis=1, keepdims=True),
        lower=share + problem.ridge * y - _sigmoid(z).mean(axis=1, keepdims=True),
        cross=-np.einsum("mj,mja->ma", s, problem.features)[:, :, None],
        hessians=(problem.ridge + s.sum(axis=1)).reshape(m, 1, 1),
    )


def certify(problem: TopKRanking, *, batch: int = 1) -> BilevelCertificate:
    """Certify A1 to A5 in closed form for batches of ``batch`` items drawn with replacement, as the module says.

    A drawn item's terms are Lipschitz with the constants of one item; those of ``f_i`` carry the factor N and the
    item's gain. Variances are at most second moments over B.
    """
    b, c = count("batch", batch), problem.constants
    lengths, items = np.linalg.norm(problem.features, axis=2), problem.features.shape[1]
    a, t1, t3 = float(lengths.max()), problem.softness, problem.sharpness
    square = float((lengths**2).mean(axis=1).max())
    turn = float(SIGMOID_BEND / t1**2 * np.hypot(a, 1.0))  # the derivative of sigmoid' along (x, l), over t1
    heaviest = items * float(problem.gains.max())
    gain = items * problem.gains**2 * (1.0 + lengths**2)  # E of the squared N-fold gain, x and l together
    return BilevelCertificate(
        strong_convexity=problem.ridge,
        smoothness=c.smoothness,
        lower_smoothness=float(np.hypot(a / (4.0 * t1), c.smoothness)),
        hessian_smoothness=turn,
        cross_smoothness=a * turn,
        upper_smoothness=float(problem.weight + heaviest * SIGMOID_BEND / t3**2 * (1.0 + a**2)),
        upper_gradient=c.upper_gradient,
        coupling=c.coupling,
        lower_variance=0.25 / b,
        hessian_variance=1.0 / (16.0 * t1**2) / b,
        cross_variance=square / (16.0 * t1**2) / b,
        upper_variance=float(gain.sum(axis=1).max()) / (16.0 * t3**2) / b,
        reach=float("inf"),
        lower_bound=-1.0,
    )


def _sigmoid(u: Array) -> Array:
    """Return ``1 / (1 + exp(-u))``; tanh cannot overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * u)))
