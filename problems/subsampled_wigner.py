"""Finite populations of per-sample Hessians, of which batches are drawn without replacement.

``H_i = lambda v v' + sigma Z_i``, i = 1..N, with ``Z_i`` symmetric of order P and independent entries on and above the
diagonal, centred over i. So ``H_emp = lambda v v'`` whatever was drawn, and the sampling noise of a batch of B has
entry variances ``S_jk^2 (1/B - 1/N)`` exactly, the subject of Section 3.1 of Granziol, Zohren and Roberts, JMLR 23,
2022. Without the centring ``H_emp`` would have a bulk of its own, which Theorem 4 does not count.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb, sqrt

import numpy as np
import numpy.typing as npt

from problems.random_matrix_hessians import checked_sigma
from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.random_matrix_laws import effective_batch

Array = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

LAWS = ("rademacher", "uniform", "student")
MOST_BATCHES = 100_000  # an enumeration beyond it is a mistake


@dataclass(frozen=True, slots=True, eq=False)
class WignerPopulation:
    """N per-sample Hessians, stored as upper triangles.

    ``entries`` (N, P(P+1)/2), float32 to save memory (signs are exact in it), are the ``Z_i`` before centring, row by
    row of the upper triangle; ``means`` (P(P+1)/2,) float64 are their means over i; ``direction`` v (P,) is a unit
    vector; ``spike`` lambda; ``scale`` multiplies the centred entries. ``deviation`` is the population's sigma, the
    root of the mean over all P^2 entries of the unbiased ``S_jk^2``; it differs from ``scale`` by what was drawn.
    """

    entries: Single
    means: Array
    direction: Array
    spike: float
    scale: float
    deviation: float

    @property
    def population(self) -> int:
        """The number of samples N."""
        return int(self.entries.shape[0])

    @property
    def parameters(self) -> int:
        """The order P of the Hessians."""
        return int(self.direction.size)


def subsampled_wigner(
    parameters: int,
    population: int,
    rng: np.random.Generator,
    *,
    spike: float = 1.0,
    deviation: float = 1.0,
    law: str = "rademacher",
    degrees: float = 2.2,
) -> WignerPopulation:
    """Draw a population with entries of standard deviation ``deviation`` (sigma).

    ``law``: "rademacher", "uniform" on ``+-sqrt(3)``, or "student" with ``degrees`` of freedom, divided by its standard
    deviation ``sqrt(degrees / (degrees - 2))``: of infinite fourth moment for 4 degrees or fewer, so outside Theorem 4.
    Raises ValueError on sizes below one, N below two, an unknown law, degrees not above two, a spike that is not finite
    or a negative deviation.
    """
    p, n = checked_count("parameters", parameters), checked_count("population", population)
    if n < 2:
        raise ValueError(f"population={population!r}: must be at least 2, or no variance is left after centring")
    if not np.isfinite(spike):
        raise ValueError(f"spike={spike!r}: must be finite, the eigenvalue of the full Hessian")
    scale = checked_sigma(deviation)
    entries = _unit_entries(law, degrees, (n, p * (p + 1) // 2), rng)
    direction = rng.standard_normal(p)
    direction /= np.linalg.norm(direction)
    means, variances = _moments(entries)
    places = np.triu_indices(p)
    twice = np.where(places[0] == places[1], 1.0, 2.0)
    sigma = scale * sqrt(float(twice @ variances)) / p
    return WignerPopulation(entries, means, direction, float(spike), scale, sigma)


def entry_variances(population: WignerPopulation) -> Array:
    """Return the unbiased variances ``S_jk^2`` (P, P) over the N samples, normalised by N - 1."""
    return _unpack(population.scale**2 * _moments(population.entries)[1], population.parameters)


def sample_hessian(population: WignerPopulation, index: int) -> Array:
    """Return ``H_i`` (P, P), ``index`` in 0..N-1; ValueError outside."""
    return batch_hessian(population, [index])


def full_hessian(population: WignerPopulation) -> Array:
    """Return ``H_emp = lambda v v'`` (P, P)."""
    return np.asarray(population.spike * np.outer(population.direction, population.direction))


def batch_hessian(population: WignerPopulation, indices: npt.ArrayLike) -> Array:
    """Return the mean (P, P) of the Hessians with the given distinct ``indices`` (B,) in 0..N-1.

    Raises ValueError on an empty, larger or repeated choice, and on indices outside 0..N-1.
    """
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer) or chosen.size == 0:
        raise ValueError(f"indices={indices!r}: must be one or more integers in 0..N-1")
    n = population.population
    if chosen.min() < 0 or chosen.max() >= n or np.unique(chosen).size != chosen.size:
        raise ValueError(f"indices: must be distinct and in 0..{n - 1}, found {chosen.min()}..{chosen.max()}")
    mean = population.entries[chosen].mean(axis=0, dtype=np.float64)
    noise = population.scale * _unpack(mean - population.means, population.parameters)
    return np.asarray(full_hessian(population) + noise)


def draw_batch(population: int, batch: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw ``batch`` (B,) indices out of 0..N-1 without replacement; ValueError unless 1 <= B <= N.

    The first B of one permutation: equal seeds give nested batches.
    """
    effective_batch(batch, population)
    return np.asarray(rng.permutation(population)[:batch])


def batch_tops(population: WignerPopulation, batch: int, draws: int, rng: np.random.Generator) -> Array:
    """Return the largest eigenvalues (D,) of ``draws`` D batch Hessians; ValueError on B outside 1..N, D below one."""
    from scipy.linalg import eigvalsh

    p = population.parameters
    tops = np.empty(checked_count("draws", draws))
    for k in range(draws):
        hessian = batch_hessian(population, draw_batch(population.population, batch, rng))
        tops[k] = eigvalsh(hessian, subset_by_index=[p - 1, p - 1], check_finite=False)[0]
    return tops


def all_batches(population: int, batch: int) -> npt.NDArray[np.int64]:
    """Return every batch, (N choose B, B), for exact expectations; ValueError on B outside 1..N or over 1e5 of them."""
    effective_batch(batch, population)
    if comb(population, batch) > MOST_BATCHES:
        raise ValueError(f"population={population!r}, batch={batch!r}: more than {MOST_BATCHES} batches; draw some")
    return np.array(list(combinations(range(population), batch)), dtype=np.int64)


def skewed_population(population: int, rng: np.random.Generator) -> Array:
    """Draw N centred exponential numbers (N,), one Hessian entry of each sample, for the central limit of Lemma 2.

    Raises ValueError on N below two.
    """
    if checked_count("population", population) < 2:
        raise ValueError(f"population={population!r}: must be at least 2, or there is no variance")
    values = rng.standard_exponential(population)
    return np.asarray(values - values.mean())


def standardised_batch_means(values: npt.ArrayLike, batch: int, draws: int, rng: np.random.Generator) -> Array:
    r"""Return ``draws`` D batch means, centred and multiplied by ``sqrt(b) / S``: Lemma 2, variance exactly one.

    ``values`` (N,) are one entry of all samples, ``S^2`` their unbiased variance. Raises ValueError on fewer than two
    values, values that are not finite or all equal, B outside 1..N-1 (at B = N nothing is random) or D below one.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.size < 2 or not np.isfinite(x).all():
        raise ValueError(f"values.shape={x.shape}: must be (N,), N of 2 or more, finite")
    b = effective_batch(batch, x.size)
    spread = float(np.std(x, ddof=1))
    if not np.isfinite(b) or spread == 0.0:
        raise ValueError(f"batch={batch!r}, N={x.size}: must leave randomness; B < N and values that differ are needed")
    means = np.array([x[draw_batch(x.size, batch, rng)].mean() for _ in range(checked_count("draws", draws))])
    return np.asarray((means - x.mean()) * sqrt(b) / spread)


def _unit_entries(law: str, degrees: float, shape: tuple[int, int], rng: np.random.Generator) -> Single:
    if law == "rademacher":
        return np.asarray(2 * rng.integers(0, 2, shape, dtype=np.int8) - 1, dtype=np.float32)
    if law == "uniform":
        return np.asarray(sqrt(12.0) * (rng.random(shape, dtype=np.float32) - np.float32(0.5)), dtype=np.float32)
    if law != "student":
        raise ValueError(f"law={law!r}: must be one of {', '.join(LAWS)}")
    if not (np.isfinite(degrees) and degrees > 2.0):
        raise ValueError(f"degrees={degrees!r}: must be above 2, or the entries have no variance to scale by")
    return np.asarray(rng.standard_t(degrees, shape) / sqrt(degrees / (degrees - 2.0)), dtype=np.float32)


def _moments(entries: Single) -> tuple[Array, Array]:
    """Return means and unbiased variances over the samples, in double precision without a copy of all entries."""
    n, length = entries.shape
    means = entries.mean(axis=0, dtype=np.float64)
    squares = np.zeros(length)
    for row in entries:
        squares += (row - means) ** 2
    return means, squares / (n - 1)


def _unpack(upper: Array, order: int) -> Array:
    matrix = np.zeros((order, order))
    places = np.triu_indices(order)
    matrix[places] = upper
    matrix.T[places] = upper
    return matrix
