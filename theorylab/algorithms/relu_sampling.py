"""Sampled convex programs: the lasso on random ReLU features, solved exactly, and what scenario theory says of it.

Directions ``u_1..u_N`` are independent and uniform on the unit sphere, and stay fixed; the program is ``min_alpha
||Phi alpha - y||^2 / 2 + beta ||alpha||_1`` with ``Phi_kj = (x_k'u_j)_+`` (Bai, Gautam and Sojoudi, SIAM Journal on
Mathematics of Data Science, 2023).

Scenario theory (re-derived). The dual projects y on ``{v : |Phi'v| <= beta}``, a strictly convex program in R^n with a
constraint a sample. A new sample lowers the optimum if and only if it violates its constraint at the current v; call
its probability ``V_N``. Of N + 1 exchangeable samples the last one matters as often as any: ``E V_N = E s_{N+1} /
(N+1)``, where s counts the samples whose removal changes the optimum, and ``s <= n`` as the active constraints can be
taken independent. Campi and Garatti, SIAM Journal on Optimization, 2008, bound the tail by a binomial one. Neither
bounds how far the sampled program is from the optimum over all directions; dual certificates do.
"""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.relu_losses import (
    Array,
    Mask,
    checked_decay,
    checked_finite,
    checked_inputs,
    checked_vector,
)
from theorylab.algorithms.relu_recovery import Network, recover_network


@dataclass(frozen=True, slots=True, eq=False)
class SampledOptimum:
    """The optimum of the lasso on sampled features.

    ``value`` is the primal objective at ``coefficients`` alpha (N,), ``dual_value`` is ``||y||^2 / 2 - ||y - v||^2 /
    2`` of ``residual`` v = y - Phi alpha (n,). ``support`` holds the indices of the non-zero coefficients, linearly
    independent features, so at most n. ``violation`` is ``max |Phi'v| / beta - 1``, or 0 where that is negative.
    """

    value: float
    dual_value: float
    coefficients: Array
    residual: Array
    support: npt.NDArray[np.int64]
    violation: float


def random_directions(count: int, features: int, rng: np.random.Generator, *, half_space: bool = False) -> Array:
    """Return ``count`` independent uniform points of the unit sphere as columns (d, N); the first ones nest.

    ``half_space=True`` reflects them to a non-negative first coordinate, which no theorem covers. Raises ValueError on
    sizes that are not positive integers.
    """
    drawn = rng.standard_normal((checked_count("count", count), checked_count("features", features)))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    if half_space:
        drawn[drawn[:, 0] < 0.0] *= -1.0
    return np.ascontiguousarray(drawn.T)


def relu_features(X: npt.ArrayLike, directions: npt.ArrayLike) -> Array:
    """Return ``Phi = (X U)_+`` (n, N) for ``X`` (n, d) and ``directions`` U (d, N), else ValueError."""
    inputs, columns = checked_inputs(X), np.asarray(directions, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[0] != inputs.shape[1]:
        raise ValueError(f"directions.shape={columns.shape}: must be ({inputs.shape[1]}, N), a direction a column")
    return np.maximum(inputs @ columns, 0.0)


def sampled_lasso(features: npt.ArrayLike, y: npt.ArrayLike, *, beta: float) -> SampledOptimum:
    """Return the exact optimum of ``||Phi alpha - y||^2 / 2 + beta ||alpha||_1`` for ``features`` Phi (n, N).

    Lawson and Hanson's least-distance programming (Solving Least Squares Problems, 1974, Chapter 23): the residual v
    is the projection of y on ``{v : |Phi'v| <= beta}``, found by one non-negative least-squares problem of n + 1 rows,
    whose solution is basic. ReLU features are nearly collinear; coordinate descent counts too many of them as support.
    Raises ValueError on shapes that do not fit, entries that are not finite or ``beta <= 0``.

    >>> sampled_lasso([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], beta=1.0).coefficients.round(9).tolist()
    [2.0, 0.0]
    """
    phi = np.ascontiguousarray(features, dtype=np.float64)
    if phi.ndim != 2 or phi.size == 0:
        raise ValueError(f"features.shape={phi.shape}: must be (n, N), samples by directions, neither empty")
    checked_finite("features", phi)
    targets, decay = checked_vector("y", y, phi.shape[0]), checked_decay(beta)
    n, count = phi.shape
    # Least distance in z = v - y: minimise ||z|| subject to Az >= h - Ay with A = -[Phi, -Phi]', h = -beta.
    signed = np.hstack([-phi, phi])
    stacked = np.vstack([signed, -decay - targets @ signed])
    weights, _ = nnls(stacked, np.append(np.zeros(n), 1.0), maxiter=100 * (n + count))
    rest = stacked @ weights
    rest[n] -= 1.0
    multipliers = weights / -rest[n]
    coefficients = multipliers[:count] - multipliers[count:]
    residual = targets - phi @ coefficients
    return SampledOptimum(
        value=0.5 * float(residual @ residual) + decay * float(np.abs(coefficients).sum()),
        dual_value=float(residual @ targets - 0.5 * residual @ residual),
        coefficients=coefficients,
        residual=residual,
        support=np.flatnonzero(coefficients),
        violation=max(0.0, float(np.max(np.abs(phi.T @ residual))) / decay - 1.0),
    )


def sampled_network(optimum: SampledOptimum, directions: npt.ArrayLike) -> Network:
    """Return the balanced network of the support: neurons ``u_j sqrt|alpha_j|`` for ``directions`` (d, N)."""
    columns = np.asarray(directions, dtype=np.float64) * optimum.coefficients
    positive = optimum.coefficients > 0.0
    # A negative coefficient keeps the direction of its neuron and turns the sign of its weight.
    return recover_network(np.where(positive, columns, 0.0), np.where(positive, 0.0, -columns))


def violation_probability(X: npt.ArrayLike, residual: npt.ArrayLike, *, beta: float) -> float:
    """Return ``V = P_u{|v'(Xu)_+| > beta}`` for u uniform on the circle, exactly; ``X`` is (n, 2), ``residual`` v (n,).

    Between the angles at which a row of X is orthogonal to u the function is ``R cos(theta - phi)``; together with the
    angles at which that meets +-beta they cut the circle into arcs on which the sign of ``|.| - beta`` does not change,
    and it is read off at their middle. Raises ValueError on X without exactly two columns and wrong arguments.
    """
    inputs = _checked_plane(X)
    v, decay = checked_vector("residual", residual, inputs.shape[0]), checked_decay(beta)
    starts, lengths = _arcs(inputs)
    middles = starts + 0.5 * lengths
    slopes = (v[:, None] * (inputs @ _circle(middles) >= 0.0)).T @ inputs
    sizes, phases = np.linalg.norm(slopes, axis=1), np.arctan2(slopes[:, 1], slopes[:, 0])
    turning = np.arccos(np.clip(decay / np.maximum(sizes, 1e-300), -1.0, 1.0))
    crossings = np.concatenate([phases + side + turn for side in (0.0, np.pi) for turn in (turning, -turning)])
    cuts = np.sort(np.concatenate([starts, np.mod(crossings, 2.0 * np.pi)]))
    pieces = np.append(np.diff(cuts), cuts[0] + 2.0 * np.pi - cuts[-1])
    heights = np.abs(v @ np.maximum(inputs @ _circle(cuts + 0.5 * pieces), 0.0))
    return float(pieces[heights > decay].sum() / (2.0 * np.pi))


def pattern_measures(X: npt.ArrayLike) -> tuple[Mask, Array]:
    """Return all patterns (n, P) of ``X`` (n, 2) and the probability (P,) of each under a Gaussian direction.

    They are arcs of the circle, in order of the angle. Raises ValueError on X without exactly two columns.
    """
    inputs = _checked_plane(X)
    starts, lengths = _arcs(inputs)
    return inputs @ _circle(starts + 0.5 * lengths) >= 0.0, lengths / (2.0 * np.pi)


def expected_violation_bound(samples: int, count: int) -> float:
    """Return ``n / (N + 1)``, the bound on ``E V_N`` for n data and N draws (re-derived; stated with n + 1).

    Raises ValueError unless both are positive integers.
    """
    return checked_count("samples", samples) / (checked_count("count", count) + 1)


def stated_sample_size(samples: int, psi: float, xi: float) -> int:
    """Return the N of the sampling theorems: then ``P(V_N > psi) <= xi`` for n data.

    ``N >= min{(n+1)/(psi xi) - 1, (2/psi)(n + 1 - log xi)}`` (Bai et al.). Raises ValueError unless
    psi and xi are in (0, 1) and n is a positive integer.

    >>> [stated_sample_size(6, psi, xi) for psi, xi in ((0.2, 0.2), (0.1, 0.2), (0.1, 0.05))]
    [87, 173, 200]
    """
    n, p, x = checked_count("samples", samples), _checked_share("psi", psi), _checked_share("xi", xi)
    return max(1, ceil(min((n + 1) / (p * x) - 1.0, 2.0 / p * (n + 1 - log(x)))))


def violation_tail_bound(samples: int, count: int, psi: float) -> float:
    """Return ``sum_{i<n} C(N, i) psi^i (1 - psi)^(N-i)``, the bound on ``P(V_N > psi)`` of Campi and Garatti, 2008.

    Raises ValueError unless n and N are positive integers and psi is in (0, 1).
    """
    from scipy.stats import binom  # takes half a second to import, and few need it

    n, drawn = checked_count("samples", samples), checked_count("count", count)
    return float(binom.cdf(n - 1, drawn, _checked_share("psi", psi)))


def _arcs(inputs: Array) -> tuple[Array, Array]:
    """Return where the arcs of one pattern start, in [0, 2 pi) ascending, and their lengths (P,)."""
    rows = inputs[np.any(inputs != 0.0, axis=1)]
    across = np.arctan2(rows[:, 0], -rows[:, 1])
    angles = np.sort(np.mod(np.concatenate([across, across + np.pi]), 2.0 * np.pi))
    lengths = np.append(np.diff(angles), angles[0] + 2.0 * np.pi - angles[-1])
    # Parallel rows cut the circle at the same angle, up to rounding.
    kept = lengths > 1e-12
    return angles[kept], lengths[kept]


def _circle(angles: Array) -> Array:
    """Return the unit vectors (2, K) at the given angles."""
    return np.stack([np.cos(angles), np.sin(angles)])


def _checked_plane(X: npt.ArrayLike) -> Array:
    """Return X as float64 (n, 2); raise ValueError on another number of columns."""
    inputs = checked_inputs(X)
    if inputs.shape[1] != 2:
        raise ValueError(f"X.shape={inputs.shape}: must have 2 columns, for arcs of a circle")
    return inputs


def _checked_share(name: str, value: float) -> float:
    """Return a probability inside (0, 1); raise ValueError otherwise."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name}={value!r}: must be inside (0, 1)")
    return float(value)
