"""Stochastic Lanczos quadrature: the spectral density of a symmetric operator from products with a few vectors.

For a unit vector v the spectral measure ``mu_v = sum_i (v'u_i)^2 delta(lambda_i)`` has mean ``(1/n) sum_i
delta(lambda_i)`` over random v. Lanczos gives its Gauss rule: m Ritz values and weights, exact for polynomials of
degree 2m - 1 (Theorem 13 with Appendix D, which claims only m moments).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.lanczos import checked_steps, lanczos_block, tridiagonal
from theorylab.algorithms.operators import Array, Matvec, symmetric_operator

Probe = Literal["rademacher", "gaussian"]
# Bases of all probes that run side by side stay below this many float64 (256 MB).
BLOCK_ENTRIES = 2**25


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """An estimate with its two errors, arrays of the shape of the argument it was asked at.

    ``standard_error`` is that of the mean over probes (infinite for one probe); ``rule_error`` is what the quadrature
    may contribute for these probes.
    """

    value: Array
    standard_error: Array
    rule_error: Array


@dataclass(frozen=True, slots=True, eq=False)
class SpectralDensity:
    """Gauss rules of k probes: ``nodes`` and ``weights`` (k, m), ascending nodes, weights of a probe sum to one.

    ``short_nodes`` and ``short_weights`` (k, m) are the rules of one step less, for the error. Where a probe broke
    down earlier, its last nodes are repeated with weight zero. ``n`` is the dimension, ``matvecs`` the products spent.
    """

    nodes: Array
    weights: Array
    short_nodes: Array
    short_weights: Array
    n: int
    matvecs: int

    def density(self, x: npt.ArrayLike, width: float) -> Estimate:
        """Return the density at ``x`` smoothed by a Gaussian of standard deviation ``width``; it integrates to one.

        The rule error is the difference from the rule of one step less: large where ``width`` is too small for the
        number of steps. Raises ValueError unless ``width`` is positive and finite.
        """
        if not (np.isfinite(width) and width > 0.0):
            raise ValueError(f"width={width!r}: must be positive and finite, in units of the eigenvalues")
        at = _finite("x", x)
        longer = _smoothed(self.nodes, self.weights, at, width)
        return _estimate(longer, _smoothed(self.short_nodes, self.short_weights, at, width))

    def cdf(self, x: npt.ArrayLike) -> Estimate:
        """Return the share of eigenvalues at most ``x``.

        The rule error is rigorous for the measures of these probes: by Chebyshev, Markov and Stieltjes a Gauss rule's
        cdf is off by at most the weights of the two nodes around ``x``.
        """
        at = _finite("x", x)
        cumulated = np.cumsum(np.pad(self.weights, ((0, 0), (1, 1))), axis=1)
        padded = np.pad(self.weights, ((0, 0), (1, 1)))
        below = np.stack([np.searchsorted(nodes, at.ravel(), side="right") for nodes in self.nodes])
        values = np.take_along_axis(cumulated, below, axis=1).reshape(-1, *at.shape)
        # Above: the node that follows x may count already; below: the one before x may be spread up to it.
        around = np.maximum(padded, np.roll(padded, -1, axis=1))
        errors = np.take_along_axis(around, below, axis=1).reshape(-1, *at.shape)
        return Estimate(np.mean(values, axis=0), _standard_error(values), np.mean(errors, axis=0))

    def moments(self, count: int) -> Estimate:
        """Return ``(1/n) tr A^j`` for ``j = 0..count-1``; the rule is exact for these probes up to ``j = 2m - 1``.

        Raises ValueError unless ``count`` is a positive integer. The rule error is that of one step less.
        """
        powers = np.arange(checked_count("count", count))
        longer = np.einsum("km,kmj->kj", self.weights, self.nodes[:, :, None] ** powers)
        shorter = np.einsum("km,kmj->kj", self.short_weights, self.short_nodes[:, :, None] ** powers)
        return _estimate(longer, shorter)


def spectral_density(
    matvec: Matvec,
    n: int | None = None,
    *,
    probes: int = 10,
    steps: int = 80,
    rng: np.random.Generator,
    probe: Probe = "rademacher",
) -> SpectralDensity:
    """Return the spectral density of a symmetric operator by Lanczos from ``probes`` random unit vectors.

    ``matvec`` is a symmetric matrix, dense or sparse, a LinearOperator, or a function of (n,) with ``n`` given.
    ``steps`` m is at most n; ``probe`` "rademacher" (signs / sqrt(n)) or "gaussian" (uniform on the sphere). It costs
    ``probes * steps + 2`` products and holds ``steps`` vectors a probe. Bases are re-orthogonalised twice.

    Raises ValueError on an operator that is not symmetric, not square or not finite, and on wrong counts.

    >>> found = spectral_density(np.diag([1.0, 1.0, 1.0, 5.0]), probes=4, steps=4, rng=np.random.default_rng(0))
    >>> found.moments(2).value
    array([1., 2.])
    """
    operator = symmetric_operator(matvec, n, rng=rng)
    count, m = checked_count("probes", probes), checked_steps(steps, operator.n)
    if probe not in ("rademacher", "gaussian"):
        raise ValueError(f"probe={probe!r}: must be 'rademacher' or 'gaussian'")
    if probe == "rademacher":
        starts = rng.choice([-1.0, 1.0], size=(operator.n, count)) / np.sqrt(operator.n)
    else:
        starts = rng.standard_normal((operator.n, count))
        starts /= np.linalg.norm(starts, axis=0)
    rules = np.empty((4, count, m))
    side_by_side = max(1, BLOCK_ENTRIES // (operator.n * (m + 1)))
    products = 2
    for first in range(0, count, side_by_side):
        block = np.ascontiguousarray(starts[:, first : first + side_by_side])
        alpha, beta, taken, _ = lanczos_block(operator, block, m)
        products += int(np.max(taken)) * block.shape[1]
        for i, size in enumerate(taken):
            rules[:2, first + i] = _gauss_rule(alpha[i], beta[i], int(size), m)
            # After a breakdown the rule is exact and the shorter one is no measure of its error.
            rules[2:, first + i] = _gauss_rule(alpha[i], beta[i], int(size) - (beta[i, size - 1] > 0.0 and m > 1), m)
    return SpectralDensity(rules[0], rules[1], rules[2], rules[3], operator.n, products)


def weight_near_zero(density: SpectralDensity, *, nearest: int = 1) -> tuple[Array, Array]:
    """Return the proxy (k,) of the share of zero eigenvalues for each probe, and the value (k,) it sits at.

    The weight of the Ritz value ``nearest`` to zero, and for 2 the sum of the two nearest with their weighted mean,
    which the paper takes for the Hessian ("spectral splitting", Section 7.2). It overestimates the share of exact
    zeros: one node stands for all eigenvalues close to it. Raises ValueError unless ``nearest`` is in 1..m.
    """
    count = checked_count("nearest", nearest)
    if count > density.nodes.shape[1]:
        raise ValueError(f"nearest={nearest!r}: must be at most the number of nodes, {density.nodes.shape[1]}")
    # Repeated nodes of a broken-down probe have no weight and must not take the place of a node that has.
    distances = np.where(density.weights > 0.0, np.abs(density.nodes), np.inf)
    chosen = np.argsort(distances, axis=1)[:, :count]
    weights = np.take_along_axis(density.weights, chosen, axis=1)
    nodes = np.take_along_axis(density.nodes, chosen, axis=1)
    total = np.sum(weights, axis=1)
    return total, np.sum(weights * nodes, axis=1) / total


def _gauss_rule(alpha: Array, beta: Array, size: int, length: int) -> Array:
    """Return nodes and weights (2, length) of the leading T of ``size`` rows, repeated with weight zero beyond."""
    values, vectors = np.linalg.eigh(tridiagonal(alpha[:size], beta[: size - 1]))
    rule = np.zeros((2, length))
    rule[0, :size], rule[0, size:] = values, values[-1]
    rule[1, :size] = vectors[0] ** 2
    return rule


def _smoothed(nodes: Array, weights: Array, at: Array, width: float) -> Array:
    """Return each probe's density (k, *x.shape), a mixture of Gaussians."""
    values = np.empty((nodes.shape[0], *at.shape))
    for i in range(nodes.shape[0]):
        values[i] = np.exp(-0.5 * ((at[..., None] - nodes[i]) / width) ** 2) @ weights[i]
    return values / (width * float(np.sqrt(2.0 * np.pi)))


def _estimate(longer: Array, shorter: Array) -> Estimate:
    change = np.abs(np.mean(longer, axis=0) - np.mean(shorter, axis=0))
    return Estimate(np.mean(longer, axis=0), _standard_error(longer), change)


def _standard_error(values: Array) -> Array:
    """Return the standard error (...,) of the mean over the first axis; infinite where there is one value."""
    if values.shape[0] == 1:
        return np.full(values.shape[1:], np.inf)
    return np.asarray(np.std(values, axis=0, ddof=1) / np.sqrt(values.shape[0]))


def _finite(name: str, values: npt.ArrayLike) -> Array:
    checked = np.asarray(values, dtype=np.float64)
    if not np.isfinite(checked).all():
        raise ValueError(f"{name} holds entries that are not finite; ask for the density at finite points")
    return checked
