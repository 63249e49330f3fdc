"""Robust matrix sensing: ``y_i = <A_i, X*> + s_i``, a low-rank positive semidefinite ``X*`` and gross errors ``s``.

Problem, notation and models are those of Ma and Fattahi, Global Convergence of Sub-gradient Method for Robust Matrix
Recovery, JMLR 24(96), 2023. An instance keeps its true constants, and `certify` measures them again on what was
drawn.

Shared randomness. From one generator a ``ground_truth`` draws d^2 normals whatever the rank and spectrum, the sensing
draws m d^2 numbers whatever the noise, and the noise draws m uniforms (the mask), m normals (the Gaussian part), then
the outliers. Instances of one seed and size that differ in rank, spectrum or noise therefore share ``A`` and the
eigenvectors, those that differ in ``p`` have nested masks, and those that differ in scale have proportional outliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.packed_symmetric import matrix_dimension, pack, pack_measurements, packed_length

Array = npt.NDArray[np.float64]

ENSEMBLES = ("gaussian", "rademacher")
OUTLIER_LAWS = ("normal", "signs", "cauchy", "one-sided")
ROWS_DRAWN_TOGETHER = 256  # measurement matrices drawn before they are packed: the full (m, d, d) array never exists


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """``X* = V Sigma V^T`` (d, d) with its eigenvectors and constants.

    ``basis`` is ``V`` (d, r), ``complement`` is ``V_perp`` (d, d-r), ``eigenvalues`` (r,) are ``sigma_1 >= ... >=
    sigma_r > 0``.
    """

    matrix: Array
    basis: Array
    complement: Array
    eigenvalues: Array

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.matrix.shape[0])

    @property
    def rank(self) -> int:
        """The rank r."""
        return self.eigenvalues.size

    @property
    def condition(self) -> float:
        """The condition number kappa = sigma_1 / sigma_r."""
        return float(self.eigenvalues[0] / self.eigenvalues[-1])


@dataclass(frozen=True, slots=True)
class Noise:
    """Errors ``s_i``: an outlier with probability ``share`` (p), plus N(0, nu^2), ``gaussian`` being nu, everywhere.

    ``law`` of the outliers, with ``scale``: "normal" N(0, scale^2), "signs" +-scale, "cauchy" scale times standard
    Cauchy, "one-sided" scale (1 + |N(0,1)|), whose mean is not zero. Outliers and Gaussian part add up. Raises
    ValueError on a share outside [0, 1), an unknown law, a scale that is not positive or a negative ``gaussian``.
    """

    share: float = 0.0
    law: str = "normal"
    scale: float = 10.0
    gaussian: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share < 1.0:
            raise ValueError(f"share={self.share!r}: must be in [0, 1), the probability of an outlier")
        if self.law not in OUTLIER_LAWS:
            raise ValueError(f"law={self.law!r}: must be one of {', '.join(OUTLIER_LAWS)}")
        if not (np.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"scale={self.scale!r}: must be positive and finite; for no outliers set share=0")
        if not (np.isfinite(self.gaussian) and self.gaussian >= 0.0):
            raise ValueError(f"gaussian={self.gaussian!r}: must be a finite standard deviation, zero or more")


@dataclass(frozen=True, slots=True, eq=False)
class MatrixSensing:
    """An instance: truth, packed operator, observations and the errors that were drawn.

    ``operator`` is ``B`` (m, d(d+1)/2), whose row i is the upper triangle of ``A_i`` with ``A_ij + A_ji`` off the
    diagonal, so that ``B @ pack(X)`` is ``<A_i, X>`` for symmetric X. ``observations`` are ``y`` (m,), ``errors`` are
    ``s`` (m,), ``corrupted`` (m,) is the mask of outliers. ``noise_depends_on_sensing`` marks adversarial errors,
    which the theory excludes.
    """

    truth: GroundTruth
    operator: Array
    observations: Array
    errors: Array
    corrupted: npt.NDArray[np.bool_]
    noise: Noise
    ensemble: str
    noise_depends_on_sensing: bool = False

    @property
    def measurements(self) -> int:
        """The number of measurements m."""
        return self.observations.size

    @property
    def within_theory(self) -> bool:
        """Whether the ensemble and the errors are those of the theorems: Gaussian sensing, errors independent of it."""
        return self.ensemble == "gaussian" and not self.noise_depends_on_sensing


@dataclass(frozen=True, slots=True)
class Certificate:
    """The constants of an instance, measured on what was drawn.

    ``smallest_eigenvalue`` of X*, absolute; ``rank`` counts eigenvalues above 1e-10 of the largest; ``condition`` is
    their ratio; ``corrupted_share`` the share of outliers; ``observation_gap`` is ``max |y_i - <A_i, X*> - s_i|``;
    ``diagonal_variance`` and ``diagonal_kurtosis`` of the entries ``A_jj`` (1 and 3 for Gaussian, 1 and 1 for
    Rademacher sensing) and ``off_diagonal_variance`` of ``A_ij + A_ji`` (2 for both).
    """

    smallest_eigenvalue: float
    rank: int
    condition: float
    corrupted_share: float
    observation_gap: float
    diagonal_variance: float
    diagonal_kurtosis: float
    off_diagonal_variance: float

    @property
    def is_psd(self) -> bool:
        """Whether X* is positive semidefinite up to rounding."""
        return self.smallest_eigenvalue >= -1e-10


def ground_truth(d: int, r: int, condition: float, rng: np.random.Generator) -> GroundTruth:
    """Return a random truth with the spectrum ``geomspace(sqrt(kappa), 1/sqrt(kappa), r)``, which is 1 for r = 1.

    ``V`` is the first r columns of Q from the QR factorisation of a d x d Gaussian matrix: truths of one seed have
    nested eigenvectors. Raises ValueError on sizes that are not positive integers, r > d, or a condition below 1
    (other than 1 for r = 1).
    """
    _checked_size("d", d)
    _checked_size("r", r)
    if not (np.isfinite(condition) and condition >= 1.0):
        raise ValueError(f"condition={condition!r}: must be at least 1, sigma_1 / sigma_r")
    if r == 1:
        return truth_with_spectrum(d, [1.0], rng)
    return truth_with_spectrum(d, np.geomspace(condition**0.5, condition**-0.5, r), rng)


def truth_with_spectrum(d: int, eigenvalues: Sequence[float] | Array, rng: np.random.Generator) -> GroundTruth:
    """Return a random truth (d, d) with given positive eigenvalues (r,), descending; eigenvectors as in `ground_truth`.

    >>> truth = truth_with_spectrum(5, [2.0, 1.0, 0.5], np.random.default_rng(0))
    >>> truth.rank, truth.condition
    (3, 4.0)
    """
    _checked_size("d", d)
    spectrum = np.array(eigenvalues, dtype=np.float64)
    if spectrum.ndim != 1 or not 1 <= spectrum.size <= d:
        raise ValueError(f"eigenvalues.shape={spectrum.shape}: must be (r,) with a rank r in 1..{d}, the dimension")
    if not (np.isfinite(spectrum).all() and np.all(spectrum > 0.0) and np.all(np.diff(spectrum) <= 0.0)):
        raise ValueError(f"eigenvalues={spectrum}: must be finite, positive and in descending order")
    basis, _ = np.linalg.qr(rng.standard_normal((d, d)))
    return _truth_from_eigenvectors(basis, spectrum)


def real_spectrum(r: int = 3) -> GroundTruth:
    """Return the best rank-r part of the 30 x 30 correlation matrix of scikit-learn's breast_cancer features.

    It is divided by ``sqrt(lambda_1 lambda_r)`` so that the spectrum lies around 1; kappa is 4.71 for r = 3.
    Deterministic.
    """
    from sklearn.datasets import load_breast_cancer

    correlation = np.corrcoef(load_breast_cancer().data, rowvar=False)
    if _checked_size("r", r) > correlation.shape[0]:
        raise ValueError(f"r={r!r}: must be at most {correlation.shape[0]}, the number of features")
    eigenvalues, vectors = np.linalg.eigh(correlation)
    leading = eigenvalues[::-1][:r]
    return _truth_from_eigenvectors(vectors[:, ::-1], leading / np.sqrt(leading[0] * leading[-1]))


def sense(
    truth: GroundTruth, m: int, rng: np.random.Generator, noise: Noise | None = None, *, ensemble: str = "gaussian"
) -> MatrixSensing:
    """Draw m measurement matrices and errors and return the instance. Same as `draw_operator`, then `measure`."""
    return measure(truth, draw_operator(m, truth.dimension, rng, ensemble=ensemble), rng, noise, ensemble=ensemble)


def draw_operator(m: int, d: int, rng: np.random.Generator, *, ensemble: str = "gaussian") -> Array:
    """Return the packed operator (m, d(d+1)/2) of m matrices ``A_i`` (d, d), not symmetrised, with independent entries.

    "gaussian": N(0, 1), the sensing of the theorems; the numbers are those of ``rng.standard_normal((m, d, d))``.
    "rademacher": +-1, for which the paper proves nothing. Raises ValueError on sizes that are not positive integers
    or an unknown ensemble.
    """
    _checked_size("m", m)
    _checked_size("d", d)
    if ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble={ensemble!r}: must be one of {', '.join(ENSEMBLES)}")
    operator = np.empty((m, packed_length(d)))
    for first in range(0, m, ROWS_DRAWN_TOGETHER):
        shape = (min(ROWS_DRAWN_TOGETHER, m - first), d, d)
        drawn = rng.standard_normal(shape) if ensemble == "gaussian" else 2.0 * rng.integers(0, 2, shape) - 1.0
        operator[first : first + shape[0]] = pack_measurements(drawn)
    return operator


def measure(
    truth: GroundTruth,
    operator: Array,
    rng: np.random.Generator,
    noise: Noise | None = None,
    *,
    ensemble: str = "gaussian",
) -> MatrixSensing:
    """Observe the truth through a given operator, which several truths or noises can share; ``ensemble`` is its label.

    Raises ValueError where the operator's dimension is not that of the truth.
    """
    if operator.ndim != 2 or matrix_dimension(operator.shape[1]) != truth.dimension:
        wanted = f"m, {packed_length(truth.dimension)}"
        raise ValueError(
            f"operator.shape={operator.shape}: must be ({wanted}) for a truth of dimension {truth.dimension}"
        )
    model = Noise() if noise is None else noise
    corrupted, errors = draw_errors(operator.shape[0], model, rng)
    return MatrixSensing(truth, operator, operator @ pack(truth.matrix) + errors, errors, corrupted, model, ensemble)


def draw_errors(m: int, noise: Noise, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], Array]:
    """Return the mask of outliers (m,) and the errors ``s`` (m,).

    All numbers are drawn whatever ``share`` and ``gaussian`` are, so that instances of one seed share them.
    """
    corrupted = rng.random(_checked_size("m", m)) < noise.share
    gaussian = noise.gaussian * rng.standard_normal(m)
    if noise.law == "signs":
        outliers = 2.0 * rng.integers(0, 2, m) - 1.0
    elif noise.law == "cauchy":
        outliers = rng.standard_cauchy(m)
    else:
        outliers = rng.standard_normal(m)
    if noise.law == "one-sided":
        outliers = 1.0 + np.abs(outliers)
    return corrupted, gaussian + np.where(corrupted, noise.scale * outliers, 0.0)


def with_impostor(instance: MatrixSensing, impostor: GroundTruth) -> MatrixSensing:
    """Return the instance with ``y_i = <A_i, X_2>`` on its corrupted set.

    These errors depend on ``A_i``, which the theory excludes.

    Raises ValueError where the impostor has another dimension.
    """
    if impostor.dimension != instance.truth.dimension:
        raise ValueError(f"impostor.dimension={impostor.dimension}: must be {instance.truth.dimension}, as the truth's")
    shift = instance.operator @ pack(impostor.matrix - instance.truth.matrix)
    errors = np.where(instance.corrupted, shift, instance.errors)
    observations = instance.operator @ pack(instance.truth.matrix) + errors
    return replace(instance, observations=observations, errors=errors, noise_depends_on_sensing=True)


def certify(instance: MatrixSensing) -> Certificate:
    """Measure the constants of an instance from its matrices alone."""
    eigenvalues = np.linalg.eigvalsh(instance.truth.matrix)
    kept = eigenvalues[eigenvalues > 1e-10 * eigenvalues[-1]]
    gap = instance.observations - instance.operator @ pack(instance.truth.matrix) - instance.errors
    row, column = np.triu_indices(instance.truth.dimension)
    second_moments = np.mean(instance.operator**2, axis=0)
    diagonal = instance.operator[:, row == column]
    off_diagonal = second_moments[row != column]
    return Certificate(
        smallest_eigenvalue=float(eigenvalues[0]),
        rank=kept.size,
        condition=float(kept[-1] / kept[0]),
        corrupted_share=float(instance.corrupted.mean()),
        observation_gap=float(np.max(np.abs(gap))),
        diagonal_variance=float(np.mean(diagonal**2)),
        diagonal_kurtosis=float(np.mean(diagonal**4) / np.mean(diagonal**2) ** 2),
        off_diagonal_variance=float(off_diagonal.mean()) if off_diagonal.size else 2.0,
    )


def _truth_from_eigenvectors(vectors: Array, spectrum: Array) -> GroundTruth:
    """Assemble a truth whose eigenvectors are the leading columns of an orthogonal ``vectors`` (d, d)."""
    basis = np.ascontiguousarray(vectors[:, : spectrum.size])
    product = (basis * spectrum) @ basis.T
    return GroundTruth(0.5 * (product + product.T), basis, np.ascontiguousarray(vectors[:, spectrum.size :]), spectrum)


def _checked_size(name: str, value: int) -> int:
    """Return a positive int; raise ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r}: must be a positive integer")
    return int(value)
