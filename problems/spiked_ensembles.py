"""Exact samplers of spiked Gaussian and Wishart matrices as tridiagonal ones: O(P) numbers in place of P^2.

Householder reflections that leave ``e_1`` alone turn the noise into tridiagonal or bidiagonal form without touching a
spike in direction ``e_1``, and Gaussian noise is invariant under them. So eigenvalues, and first components of
eigenvectors, have exactly the law of the dense ensembles (Dumitriu and Edelman 2002; Bloemendal and Virag 2013).
`problems.random_matrix_hessians` has the models.

Shared randomness. A draw of a Wigner model consumes P normals and P - 1 chi-square numbers whatever spike, sigma or B
are, so equal seeds give equal noise at all batch sizes; draws follow each other, so fewer draws are a prefix of more.
"""

from math import sqrt

import numpy as np
import numpy.typing as npt

from problems.random_matrix_hessians import ExtremeDraws, SpikedWigner, SpikedWishart, Tridiagonal
from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.tridiagonal_top import top_eigenpair

Array = npt.NDArray[np.float64]

ENDS = ("top", "bottom")


def goe_noise(parameters: int, rng: np.random.Generator) -> Tridiagonal:
    """Draw the tridiagonal form of a symmetric Gaussian matrix of order P, variance 1 off the diagonal and 2 on it.

    Diagonal N(0, 2), off-diagonal ``chi_{P-1}, ..., chi_1``. Raises ValueError on P below one.
    """
    p = checked_count("parameters", parameters)
    diagonal = sqrt(2.0) * rng.standard_normal(p)
    return Tridiagonal(diagonal, np.sqrt(rng.chisquare(np.arange(p - 1, 0, -1, dtype=np.float64))))


def spiked_wigner(model: SpikedWigner, rng: np.random.Generator) -> Tridiagonal:
    """Draw the tridiagonal form of a batch Hessian of ``model``, which has one spike at most.

    Raises ValueError on more spikes, for which there is `dense_spiked_wigner`.
    """
    if len(model.spikes) > 1:
        raise ValueError(f"spikes={model.spikes!r}: must be one at most; use dense_spiked_wigner for more")
    noise = goe_noise(model.parameters, rng)
    diagonal = model.entry_deviation * noise.diagonal
    diagonal[0] += sum(model.spikes)
    return Tridiagonal(diagonal, model.entry_deviation * noise.off_diagonal)


def spiked_wishart(model: SpikedWishart, rng: np.random.Generator) -> Tridiagonal:
    r"""Draw the tridiagonal form of a matrix of ``model``, of order ``min(P, n + 1)``; further eigenvalues are zero.

    ``LL'/n`` with L lower bidiagonal: diagonal ``chi_n, chi_{n-1}, ...``, below it ``chi_{P-1}, chi_{P-2}, ...``, all
    times sigma. Only the first number knows of the spike. It is the norm of the first row of the data, since the other
    rows are independent of it and isotropic: ``sqrt(1 + lambda/sigma^2) chi_n`` for the covariance, and the root of a
    non-central chi-square number, n degrees of freedom and non-centrality ``n lambda/sigma^2``, for information plus
    noise. In the additive model lambda is added to the corner of the result.
    """
    p, n, variance = model.parameters, model.samples, model.deviation**2
    size = min(p, n + 1)
    columns = min(p, n)
    squares = rng.chisquare(np.arange(n, n - columns, -1, dtype=np.float64))
    below = rng.chisquare(np.arange(p - 1, p - size, -1, dtype=np.float64))
    if model.model == "covariance":
        squares[0] *= 1.0 + model.spike / variance
    elif model.model == "information":
        squares[0] = rng.noncentral_chisquare(n, n * model.spike / variance)
    diagonal = np.zeros(size)
    diagonal[:columns] = squares
    diagonal[1:] += below
    off_diagonal = np.sqrt(squares[: size - 1] * below)
    scale = variance / n
    diagonal *= scale
    diagonal[0] += model.spike if model.model == "additive" else 0.0
    return Tridiagonal(diagonal, scale * off_diagonal)


def extreme_draws(
    model: SpikedWigner | SpikedWishart, draws: int, rng: np.random.Generator, *, end: str = "top"
) -> ExtremeDraws:
    """Draw ``draws`` (D) matrices of ``model`` and return the eigenpair at one ``end`` of each, "top" or "bottom".

    About 0.4 ms a draw at P = 2000. Raises ValueError on D below one, another end, or several spikes.

    >>> model = SpikedWigner(500, (2.0,), 0.02, 1)
    >>> drawn = extreme_draws(model, 20, np.random.default_rng(0))
    >>> abs(float(drawn.eigenvalues.mean()) - (2.0 + model.radius**2 / 2.0)) < 0.02
    True
    """
    if end not in ENDS:
        raise ValueError(f"end={end!r}: must be one of {', '.join(ENDS)}")
    sign = 1.0 if end == "top" else -1.0
    result = np.empty((3, checked_count("draws", draws)))
    for k in range(draws):
        drawn = spiked_wigner(model, rng) if isinstance(model, SpikedWigner) else spiked_wishart(model, rng)
        value, weight = top_eigenpair(sign * drawn.diagonal, drawn.off_diagonal**2)
        result[:, k] = sign * value, weight, drawn.diagonal[0]
    return ExtremeDraws(result[0], result[1], result[2])


def spectrum(matrix: Tridiagonal) -> Array:
    """Return all eigenvalues of ``matrix``, ascending (n,), in O(n^2) time."""
    from scipy.linalg import eigvalsh_tridiagonal

    return np.asarray(eigvalsh_tridiagonal(matrix.diagonal, matrix.off_diagonal))


def preconditioned(matrix: Tridiagonal, curvature: float, damping: float) -> Tridiagonal:
    r"""Return ``D^{-1/2} H D^{-1/2}`` with ``D = diag(lambda + delta, delta, ..., delta)``, ``curvature`` lambda.

    This is the preconditioner of Section 11 that knows ``H_emp = lambda e_1 e_1'`` exactly; reflections that keep
    ``e_1`` commute with it, so the tridiagonal form still has the law of the dense matrix. ``damping`` is delta. Raises
    ValueError unless ``delta > 0`` and ``lambda >= 0`` are finite.
    """
    if not (np.isfinite(curvature) and curvature >= 0.0):
        raise ValueError(f"curvature={curvature!r}: must be finite and zero or more")
    if not (np.isfinite(damping) and damping > 0.0):
        raise ValueError(f"damping={damping!r}: must be positive and finite; H_emp alone is singular")
    roots = np.full(matrix.diagonal.size, 1.0 / sqrt(damping))
    roots[0] = 1.0 / sqrt(curvature + damping)
    return Tridiagonal(matrix.diagonal * roots**2, matrix.off_diagonal * roots[:-1] * roots[1:])


def preconditioned_rates(model: SpikedWigner, damping: float, draws: int, rng: np.random.Generator) -> Array:
    """Return ``2 / lambda_max`` (D,) of `preconditioned` draws of ``model``: the static threshold of equation (31).

    A draw whose largest eigenvalue is not positive bounds nothing and gives infinity. Raises ValueError on several
    spikes, a negative one, D below one or a damping that is not positive.
    """
    rates = np.empty(checked_count("draws", draws))
    for k in range(draws):
        scaled = preconditioned(spiked_wigner(model, rng), float(sum(model.spikes)), damping)
        top, _ = top_eigenpair(scaled.diagonal, scaled.off_diagonal**2)
        rates[k] = 2.0 / top if top > 0.0 else np.inf
    return rates


def dense_goe(parameters: int, rng: np.random.Generator) -> Array:
    """Draw a symmetric Gaussian matrix (P, P), variance 1 off the diagonal, 2 on it; ValueError on P below one."""
    p = checked_count("parameters", parameters)
    square = rng.standard_normal((p, p))
    return np.asarray((square + square.T) / sqrt(2.0))


def dense_spiked_wigner(model: SpikedWigner, rng: np.random.Generator) -> Array:
    """Draw a batch Hessian (P, P) of ``model`` with any number of spikes, on the first coordinates."""
    matrix = model.entry_deviation * dense_goe(model.parameters, rng)
    places = np.arange(len(model.spikes))
    matrix[places, places] += model.spikes
    return np.asarray(matrix)


def dense_spiked_wishart(model: SpikedWishart, rng: np.random.Generator) -> Array:
    """Draw a matrix (P, P) of ``model`` by its definition; the reference of `spiked_wishart`."""
    data = model.deviation * rng.standard_normal((model.parameters, model.samples))
    if model.model == "covariance":
        data[0] *= sqrt(1.0 + model.spike / model.deviation**2)
    elif model.model == "information":
        direction = rng.standard_normal(model.samples)
        data[0] += sqrt(model.spike * model.samples) * direction / np.linalg.norm(direction)
    matrix = data @ data.T / model.samples
    if model.model == "additive":
        matrix[0, 0] += model.spike
    return np.asarray(matrix)
