"""What the claims on random matrices measure or audit in the same way."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt

from problems.random_matrix_hessians import SpikedWigner
from problems.subsampled_wigner import WignerPopulation, draw_batch, entry_variances
from theorylab.audit import Hypothesis, by_construction, certified, not_certified

Array = npt.NDArray[np.float64]

NOISE = 16.0  # x = P sigma^2: with lambda_1 = 1 the transition is at b = 16
ORDER = 2000  # P of the tridiagonal ensembles
DRAWS = 20  # matrices in a cell: one seed is the mean over a batch of draws
LARGEST_KURTOSIS = 10.0
LARGEST_ROW_SPREAD = 1.1
KURTOSIS_SAMPLES = 40  # of N: their entries are hundreds of thousands

LOW_RANK = r"$H_{\mathrm{emp}}$ has rank $r \ll P$"
FIELD = r"conditions (i)-(iii) of Theorem 3: entries of $\epsilon$ not too dependent, row sums of their variances equal"
EDGE = r"$\|\epsilon\| \to 2\rho$, which Theorem 4 needs and does not state: see `thm4-edge-gap`"
WIGNER = {"low rank": LOW_RANK, "field": FIELD, "edge": EDGE}
MODEL = r"the model is the one named in **Problem**; which one a network follows is not part of the statement"


def wigner(batch: int, *, spike: float = 1.0, order: int = ORDER) -> SpikedWigner:
    """Return the rank-one model (``spike`` zero: none) with ``P sigma^2 = 16``, N infinite."""
    return SpikedWigner(order, (spike,) if spike != 0.0 else (), sqrt(NOISE / order), batch)


def audited_wigner(rank: int = 1, order: int = ORDER) -> dict[str, Hypothesis]:
    """Report the hypotheses of Theorem 4 for Gaussian noise and a full Hessian of rank ``rank``."""
    return {
        "low rank": certified(rank / order, at_most=0.01, note="r / P"),
        "field": by_construction("entries are independent Gaussian numbers of one variance"),
        "edge": by_construction("the largest eigenvalue of the GOE tends to the edge of its density"),
    }


def audited_population(population: WignerPopulation) -> dict[str, Hypothesis]:
    """Report the hypotheses of Theorem 4 for a finite population, by its own entry variances and kurtosis.

    Entries whose kurtosis is above 10 are not certified: no theorem used here gives the edge of their batch means.
    """
    rows = entry_variances(population).sum(axis=1)
    kurtosis = pooled_kurtosis(population.entries[:KURTOSIS_SAMPLES])
    if kurtosis <= LARGEST_KURTOSIS:
        field = certified(float(rows.max() / rows.mean()), at_most=LARGEST_ROW_SPREAD, note="largest over mean row")
        edge = certified(kurtosis, at_most=LARGEST_KURTOSIS, note="kurtosis of the entries")
    else:
        field = not_certified("rows of entries with heavy tails are not equal", float(rows.max() / rows.mean()))
        edge = not_certified("the kurtosis of the entries is too large", kurtosis)
    return {
        "low rank": certified(1.0 / population.parameters, at_most=0.01, note="r / P, rank one by centring"),
        "field": field,
        "edge": edge,
    }


def pooled_kurtosis(values: npt.ArrayLike) -> float:
    """Return the fourth central moment over the squared second of all ``values``, of any shape."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    squares = (flat - flat.mean()) ** 2
    return float(np.mean(squares**2) / np.mean(squares) ** 2)


def batch_means(population: WignerPopulation, batch: int, draws: int, rng: np.random.Generator) -> Array:
    """Return the upper triangles (D, P(P+1)/2) of the noise of ``draws`` D batches, in one matrix product.

    As `problems.subsampled_wigner.batch_hessian`, batch by batch, to single precision.
    """
    n = population.population
    chosen = np.zeros((draws, n), dtype=np.float32)
    for row in chosen:
        row[draw_batch(n, batch, rng)] = 1.0 / batch
    return np.asarray(population.scale * ((chosen @ population.entries).astype(np.float64) - population.means))


def top_of_batches(population: WignerPopulation, batch: int, draws: int, rng: np.random.Generator) -> Array:
    """Return the largest eigenvalues (D,) of ``draws`` D batch Hessians of ``population``."""
    from scipy.linalg import eigvalsh

    p = population.parameters
    places = np.triu_indices(p)
    tops = np.empty(draws)
    full = population.spike * np.outer(population.direction, population.direction)
    for k, upper in enumerate(batch_means(population, batch, draws, rng)):
        hessian = full.copy()
        hessian[places] += upper  # the routine reads the upper triangle alone
        tops[k] = eigvalsh(hessian, lower=False, subset_by_index=[p - 1, p - 1], check_finite=False)[0]
    return tops


def ks_distance(sample: npt.ArrayLike, cdf: Callable[[Array], Array]) -> float:
    """Return the Kolmogorov-Smirnov distance of a ``sample`` (n,) from a continuous distribution function.

    >>> ks_distance([0.5], lambda x: x)
    0.5
    """
    x = np.sort(np.asarray(sample, dtype=np.float64))
    levels, steps = cdf(x), np.arange(x.size + 1) / x.size
    return float(np.max(np.maximum(steps[1:] - levels, levels - steps[:-1])))


def mass(density: Callable[[Array], Array], low: float, high: float, points: int = 4000) -> float:
    """Return the integral of a ``density`` with square-root edges at ``low`` and ``high``; zero where they cross.

    The midpoint rule in the angle of ``y = centre - half * cos(angle)``, which makes such an integrand smooth.
    """
    if not high > low:
        return 0.0
    angle = (np.arange(points) + 0.5) * np.pi / points
    y = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(angle)
    return float(np.sum(density(y) * np.sin(angle)) * 0.5 * (high - low) * np.pi / points)
