"""Batch Hessians as random matrices: the models and what is drawn from them.

The Hessian of a batch is that of all data plus sampling noise, ``H_batch = H_emp + epsilon``. Notation is that of
Granziol, Zohren and Roberts, Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach to Neural
Network Training, JMLR 23, 2022: P parameters, N training points, batch size B, ``b = B / (1 - B/N)``, ``sigma`` the
standard deviation of ONE ENTRY of one sample's Hessian, ``lambda_k`` the eigenvalues of ``H_emp``.

Samplers are in `problems.spiked_ensembles` (exact, O(P)), finite populations in `problems.subsampled_wigner`, and
matrices at the border of the theorems' hypotheses in `problems.wigner_profiles`. Every array is float64.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.random_matrix_laws import bulk_radius, effective_batch

Array = npt.NDArray[np.float64]

WISHART_MODELS = ("covariance", "additive", "information")


@dataclass(frozen=True, slots=True)
class SpikedWigner:
    """``H_batch = diag(spikes, 0, ..., 0) + (sigma / sqrt(b)) G``, G symmetric Gaussian of order P, the model of Thm 4.

    ``G`` has off-diagonal variance 1 and diagonal variance 2 (GOE), so its law does not depend on the basis.
    ``parameters`` P; ``spikes`` the non-zero eigenvalues of ``H_emp``, descending; ``deviation`` sigma; ``batch`` B;
    ``population`` N, None for an infinite one, where b = B. Raises ValueError on sizes that are no positive integers,
    B > N, a negative or non-finite sigma, and spikes that are zero, not finite, not descending or more than P.
    """

    parameters: int
    spikes: tuple[float, ...]
    deviation: float
    batch: int
    population: int | None = None

    def __post_init__(self) -> None:
        checked_count("parameters", self.parameters)
        checked_spikes(self.spikes, self.parameters)
        checked_sigma(self.deviation)
        effective_batch(self.batch, self.population)

    @property
    def effective_batch(self) -> float:
        """``b = B / (1 - B/N)``, infinity for the full batch."""
        return effective_batch(self.batch, self.population)

    @property
    def entry_deviation(self) -> float:
        """The standard deviation ``s = sigma / sqrt(b)`` of an off-diagonal entry of ``epsilon``."""
        return self.deviation / sqrt(self.effective_batch)

    @property
    def radius(self) -> float:
        """``rho = sigma sqrt(P/b)``: a spike above it leaves the bulk, whose edge is ``2 rho``."""
        return bulk_radius(self.parameters, self.deviation, self.effective_batch)


@dataclass(frozen=True, slots=True)
class SpikedWishart:
    """A spiked sample covariance of P rows and n columns, in one of the three models that Theorem 7 may mean.

    With X (P, n) of independent N(0, sigma^2) entries and lambda the ``spike``:

    - "covariance": columns ``x ~ N(0, sigma^2 I + lambda e_1 e_1')``, ``H = XX'/n`` (a multiplicative perturbation);
    - "additive": ``lambda e_1 e_1' + XX'/n``;
    - "information": ``YY'/n`` with ``Y = sqrt(lambda n) e_1 v' + X`` for a unit vector v (equation 16).

    ``parameters`` P, ``samples`` n, ``deviation`` sigma; the paper's ratio P/b is ``q = P/n``. Raises ValueError on an
    unknown model, sizes that are no positive integers, a negative or non-finite spike, and sigma not above zero.
    """

    model: str
    parameters: int
    samples: int
    spike: float
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.model not in WISHART_MODELS:
            raise ValueError(f"model={self.model!r}: must be one of {', '.join(WISHART_MODELS)}")
        checked_count("parameters", self.parameters)
        checked_count("samples", self.samples)
        if not (np.isfinite(self.spike) and self.spike >= 0.0):
            raise ValueError(f"spike={self.spike!r}: must be finite and zero or more, a variance beside sigma^2")
        if checked_sigma(self.deviation) == 0.0:
            raise ValueError("deviation=0.0: must be positive; without noise the spectrum is known")

    @property
    def ratio(self) -> float:
        """The shape ``q = P/n``."""
        return self.parameters / self.samples


@dataclass(frozen=True, slots=True, eq=False)
class Tridiagonal:
    """A symmetric tridiagonal matrix: ``diagonal`` (n,) and ``off_diagonal`` (n-1,)."""

    diagonal: Array
    off_diagonal: Array


@dataclass(frozen=True, slots=True, eq=False)
class ExtremeDraws:
    """One extreme eigenpair of each of D draws, all arrays (D,).

    ``eigenvalues``; ``overlaps``, the squared first components of the unit eigenvectors, ``e_1`` being the eigenvector
    of the spike in ``H_emp``; ``corners``, the entries ``H_11 = e_1' H e_1``, the control variate of the eigenvalue.
    """

    eigenvalues: Array
    overlaps: Array
    corners: Array


@dataclass(frozen=True, slots=True)
class EdgeCertificate:
    """What one needs to know of a noise matrix before Theorem 4 is applied to it, plain floats.

    ``row_spread`` is the largest over the mean row sum of squared entries (conditions (ii) and (iii) of Theorem 3,
    1 for equal rows); ``kurtosis`` of the entries off the diagonal (3 for Gaussian ones; infinite fourth moments show
    as values that grow with P); ``top_ratio`` is ``||epsilon|| / (2 rho)``, ``rho^2 = ||epsilon||_F^2 / P``: 1 where
    nothing leaves the semicircle, which the theorem needs and its hypotheses do not give; ``stable_rank`` is
    ``||epsilon||_F^2 / ||epsilon||^2``, P/4 for a semicircle.
    """

    row_spread: float
    kurtosis: float
    top_ratio: float
    stable_rank: float


def certify_noise(noise: npt.ArrayLike) -> EdgeCertificate:
    """Certify a drawn noise matrix ``epsilon`` (P, P).

    Raises ValueError unless it is square of order two or more, finite, symmetric and not zero.

    >>> certify_noise([[0.0, 1.0], [1.0, 0.0]]).row_spread
    1.0
    """
    e = np.asarray(noise, dtype=np.float64)
    if e.ndim != 2 or e.shape[0] != e.shape[1] or e.shape[0] < 2:
        raise ValueError(f"noise.shape={e.shape}: must be (P, P) with P of 2 or more")
    if not np.isfinite(e).all() or not np.array_equal(e, e.T):
        raise ValueError("noise: must be finite and exactly symmetric; pass (E + E.T) / 2")
    squared = float(np.sum(e**2))
    if squared == 0.0:
        raise ValueError("noise=0: must have an entry other than zero; a full batch has no sampling noise")
    rows = np.sum(e**2, axis=1)
    off = e[np.triu_indices_from(e, 1)]
    spread = float(np.mean((off - off.mean()) ** 2))
    fourth = float(np.mean((off - off.mean()) ** 4))
    norm = float(np.max(np.abs(np.linalg.eigvalsh(e))))
    return EdgeCertificate(
        row_spread=float(rows.max() / rows.mean()),
        kurtosis=fourth / spread**2 if spread > 0.0 else float("inf"),
        top_ratio=norm / (2.0 * sqrt(squared / e.shape[0])),
        stable_rank=squared / norm**2,
    )


def checked_spikes(spikes: tuple[float, ...], parameters: int) -> tuple[float, ...]:
    """Return ``spikes``; raise ValueError unless they are finite, non-zero, descending and at most ``parameters``."""
    values = np.asarray(spikes, dtype=np.float64)
    if values.ndim != 1 or values.size > parameters:
        raise ValueError(f"spikes={spikes!r}: must be at most parameters={parameters} numbers")
    if not np.isfinite(values).all() or np.any(values == 0.0):
        raise ValueError(f"spikes={spikes!r}: must be finite and not zero; leave zeros out")
    if np.any(np.diff(values) > 0.0):
        raise ValueError(f"spikes={spikes!r}: must be descending; pass tuple(sorted(spikes, reverse=True))")
    return spikes


def checked_sigma(deviation: float) -> float:
    """Return ``deviation``; raise ValueError unless it is finite and zero or more."""
    if not (np.isfinite(deviation) and deviation >= 0.0):
        raise ValueError(f"deviation={deviation!r}: must be finite and zero or more, the root of a variance")
    return float(deviation)
