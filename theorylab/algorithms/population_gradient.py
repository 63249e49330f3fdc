"""Gradient descent on the population loss of matrix recovery, ``U <- U - eta (U U^T - X*) U``, with its diagnostics.

The map commutes with rotations of R^d, so the kernel works in the basis ``[V, V_perp]`` of the truth: the iterate is
``[S; E]`` with the signal ``S = V^T U`` and the residual ``E = V_perp^T U``, and ``X*`` is ``diag(sigma, 0)``. That is
the same iteration, it needs no dense ``X*``, and a residual many orders below the signal keeps its relative accuracy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.checks import checked_basis, checked_spectrum
from theorylab.algorithms.low_rank_start import checked_scale
from theorylab.algorithms.signal_residual import orthogonal_complement

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SMALLEST_SIGNAL, SIGNAL_NORM, SIGNAL_ERROR, CROSS, RESIDUAL, ERROR = range(6)  # columns of the kernel's output
LARGEST_SQUARE = 1e100  # an iterate with ||U||_F^2 beyond it has diverged; its fourth power still fits a double


@njit(nogil=True, cache=True, error_model="numpy")
def _step(U: Array, eigenvalues: Array, step: float, gram: Array, row: Array) -> None:
    """Advance ``U = [S; E]`` (d, r') in place by one step; ``gram`` (r', r') and ``row`` (r',) are scratch."""
    d, width = U.shape
    gram[:] = 0.0
    for i in range(d):
        for a in range(width):
            u = U[i, a]
            for b in range(width):
                gram[a, b] += u * U[i, b]
    for i in range(d):
        growth = 1.0 + step * eigenvalues[i] if i < eigenvalues.size else 1.0
        for b in range(width):
            row[b] = growth * U[i, b]
        for a in range(width):
            shrink = step * U[i, a]
            for b in range(width):
                row[b] -= shrink * gram[a, b]
        for b in range(width):
            U[i, b] = row[b]


@njit(nogil=True, cache=True, error_model="numpy")
def _measure(U: Array, eigenvalues: Array, outer: Array, out: Array) -> bool:
    """Write the six spectral norms of ``U = [S; E]`` (d, r') to ``out`` (6,); return False after divergence.

    ``outer`` (d, d) is scratch.
    """
    d = U.shape[0]
    r = eigenvalues.size
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for a in range(U.shape[1]):
                total += U[i, a] * U[j, a]
            outer[i, j] = total
            outer[j, i] = total
    # The negated comparison also catches NaN.
    if not np.trace(outer) <= LARGEST_SQUARE:
        return False
    signal = outer[:r, :r].copy()
    spectrum = np.linalg.eigvalsh(signal)
    out[SMALLEST_SIGNAL] = max(spectrum[0], 0.0)
    out[SIGNAL_NORM] = spectrum[-1]
    out[CROSS] = 0.0
    out[RESIDUAL] = 0.0
    if r < d:
        cross = outer[:r, r:].copy()
        out[CROSS] = np.sqrt(max(np.linalg.eigvalsh(np.dot(cross, cross.T))[-1], 0.0))
        out[RESIDUAL] = max(np.linalg.eigvalsh(outer[r:, r:].copy())[-1], 0.0)
    for i in range(r):
        signal[i, i] -= eigenvalues[i]
        outer[i, i] -= eigenvalues[i]
    out[SIGNAL_ERROR] = np.max(np.abs(np.linalg.eigvalsh(signal)))
    out[ERROR] = np.max(np.abs(np.linalg.eigvalsh(outer)))
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def descend(U: Array, eigenvalues: Array, step: float, checkpoints: Integers, out: Array) -> None:
    """Run the iteration in place on ``U = [S; E]`` (d, r') up to the last checkpoint, filling ``out`` (checkpoints, 6).

    ``eigenvalues`` (r,) are the positive ones of the truth, ``checkpoints`` (k,) strictly increasing iteration numbers,
    0 = the start. After divergence the remaining rows are infinite.
    """
    gram = np.empty((U.shape[1], U.shape[1]))
    row = np.empty(U.shape[1])
    outer = np.empty((U.shape[0], U.shape[0]))
    t = 0
    for k in range(checkpoints.size):
        while t < checkpoints[k]:
            _step(U, eigenvalues, step, gram, row)
            t += 1
        if not _measure(U, eigenvalues, outer, out[k]):
            out[k:] = np.inf
            return


@dataclass(frozen=True, slots=True)
class PopulationRun:
    """Spectral norms along a run of gradient descent on the population loss; every array is float64 (k,), one entry a
    checkpoint.

    A run that diverged has infinite entries from the first checkpoint after it.
    """

    step: float  # eta
    eigenvalues: Array  # sigma_1 >= ... >= sigma_r, (r,)
    checkpoints: Integers  # t, strictly increasing, (k,)
    smallest_signal: Array  # lambda_min(S S^T)
    signal_norm: Array  # ||S S^T||
    signal_error: Array  # ||Sigma - S S^T||
    cross: Array  # ||S E^T||
    residual: Array  # ||E E^T||
    error: Array  # ||U U^T - X*||
    final: Array  # U after the last checkpoint, (d, r')

    def first_hit(self, level: float) -> int | None:
        """Return the first checkpoint at which the error is at most ``level``, or None if there is none."""
        hits = np.flatnonzero(self.error <= level)
        return int(self.checkpoints[hits[0]]) if hits.size else None


def small_start(
    eigenvectors: npt.ArrayLike, eigenvalues: npt.ArrayLike, rank: int, alpha: float, rng: np.random.Generator
) -> Array:
    r"""Return ``U_0`` (d, r') with ``U_0 U_0^T = 2 alpha^2 X* + 0.99 alpha^2 sigma_r W W^T``, W random orthonormal d x
    (r'-r).

    So ``||U_0 U_0^T - 2 alpha^2 X*|| = 0.99 alpha^2 sigma_r``: the hypothesis of Theorem 18 holds by construction,
    nearly with equality. (For ``r' = r`` there is no W and the distance is zero.) ``eigenvectors`` (d, r) are
    orthonormal, ``eigenvalues`` (r,) positive.

    Raises ValueError on a basis that is not orthonormal, a spectrum that is not positive and descending, r' outside
    r..d, alpha <= 0.

    Source: Ma and Fattahi, JMLR 24(96), 2023, Theorem 18.
    """
    basis = checked_basis("eigenvectors", eigenvectors)
    sigma = checked_spectrum(eigenvalues, basis.shape[1])
    width = _checked_search_rank(rank, *basis.shape)
    scale = checked_scale("alpha", alpha)
    noise, _ = np.linalg.qr(rng.standard_normal((basis.shape[0], width - basis.shape[1])))
    signal = np.sqrt(2.0 * sigma) * basis
    return np.ascontiguousarray(scale * np.hstack([signal, np.sqrt(0.99 * sigma[-1]) * noise]))


def population_gradient(
    start: npt.ArrayLike,
    eigenvectors: npt.ArrayLike,
    eigenvalues: npt.ArrayLike,
    step: float,
    checkpoints: npt.ArrayLike,
) -> PopulationRun:
    r"""Run gradient descent on the population loss and measure it at the checkpoints.

    The population loss is ``\bar f(U) = ||U U^T - X*||_F``; with the step ``(eta/2) \bar f`` the sub-gradient method is
    exactly ``U <- U - eta (U U^T - X*) U``. A measurement costs three symmetric eigenvalue problems, about ten steps:
    ask for every step only where a statement is about every step.

    ``start`` is ``U_0`` (d, r'), ``eigenvectors`` (d, r) and ``eigenvalues`` (r,) are those of ``X*``, ``checkpoints``
    (k,) strictly increasing iteration numbers with 0 for the start. Raises ValueError on a shape that does not fit,
    entries that are not finite, a rank r' below r or above d, a step that is not positive, checkpoints that are empty,
    negative or not increasing.

    Source: Ma and Fattahi, JMLR 24(96), 2023, Section 5 (Propositions 16 and 17, Theorem 18).

    >>> run = population_gradient([[0.1], [0.1]], [[1.0], [0.0]], [1.0], 0.1, [0, 200])
    >>> np.round(run.error, 3)
    array([0.99, 0.  ])
    """
    basis = checked_basis("eigenvectors", eigenvectors)
    sigma = checked_spectrum(eigenvalues, basis.shape[1])
    U = np.asarray(start, dtype=np.float64)
    if U.ndim != 2 or U.shape[0] != basis.shape[0] or not np.isfinite(U).all():
        raise ValueError(f"start.shape={U.shape}: must be ({basis.shape[0]}, r') with finite entries; see small_start")
    _checked_search_rank(U.shape[1], *basis.shape)
    times = _checked_checkpoints(checkpoints)
    rotation = np.hstack([basis, orthogonal_complement(basis)])
    state = np.ascontiguousarray(rotation.T @ U)
    out = np.empty((times.size, 6))
    eta = checked_scale("step", step)
    descend(state, sigma, eta, times, out)
    return PopulationRun(
        step=eta,
        eigenvalues=sigma,
        checkpoints=times,
        smallest_signal=out[:, SMALLEST_SIGNAL],
        signal_norm=out[:, SIGNAL_NORM],
        signal_error=out[:, SIGNAL_ERROR],
        cross=out[:, CROSS],
        residual=out[:, RESIDUAL],
        error=out[:, ERROR],
        final=rotation @ state if np.isfinite(out[-1]).all() else np.full(U.shape, np.inf),
    )


def _checked_search_rank(rank: int, dimension: int, true_rank: int) -> int:
    if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or not true_rank <= rank <= dimension:
        raise ValueError(f"rank={rank!r}: the search rank must be in {true_rank}..{dimension} (the rank of X* to d)")
    return int(rank)


def _checked_checkpoints(checkpoints: npt.ArrayLike) -> Integers:
    given = np.asarray(checkpoints)
    if given.ndim != 1 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"checkpoints={checkpoints!r}: must be a non-empty sequence of integers, e.g. np.arange(1001)")
    if given[0] < 0 or np.any(np.diff(given) <= 0):
        raise ValueError(f"checkpoints={checkpoints!r}: must increase strictly from 0 or later; use np.unique")
    return np.ascontiguousarray(given, dtype=np.int64)
