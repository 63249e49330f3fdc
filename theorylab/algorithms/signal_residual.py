"""The signal/residual split of a factored iterate ``U`` (d, r') against a rank-r truth ``X* = V Sigma V^T``.

``S = V^T U`` is the signal, ``E = V_perp^T U`` the residual. The residual splits again along the row space of S, with
projector ``P_S``: ``F = E P_S`` overlaps with the signal's rows, ``G = E - F`` is what over-parameterisation adds. Thus
``U = V S + V_perp (F + G)``. Everything works on one iterate (d, r') or on a stack of iterates (..., d, r').

Source: Ma and Fattahi, JMLR 24(96), 2023, Section 5 and Lemma 14.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_basis, checked_spectrum

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SignalResidual:
    """The four parts of ``U``; leading axes are those of the stack of iterates."""

    S: Array  # signal V^T U, (..., r, r')
    E: Array  # residual V_perp^T U, (..., d-r, r')
    F: Array  # residual inside the row space of S, (..., d-r, r')
    G: Array  # residual orthogonal to the row space of S, (..., d-r, r')


@dataclass(frozen=True, slots=True)
class SplitNorms:
    """Spectral norms of the parts, float64 with the shape of the stack.

    ``error <= signal_error + 2 cross + residual`` (Lemma 14 and before).
    """

    error: Array  # ||U U^T - X*||
    signal_error: Array  # ||Sigma - S S^T||
    cross: Array  # ||S E^T||
    residual: Array  # ||E E^T||
    overlap: Array  # ||F F^T||
    excess: Array  # ||G G^T||


def orthogonal_complement(basis: npt.ArrayLike) -> Array:
    """Return orthonormal columns ``V_perp`` (d, d-r) that complete ``V`` (d, r).

    >>> np.abs(orthogonal_complement([[1.0], [0.0]]))
    array([[0.],
           [1.]])
    """
    checked = checked_basis("basis", basis)
    full, _ = np.linalg.qr(checked, mode="complete")
    return np.ascontiguousarray(full[:, checked.shape[1] :])


def split(iterates: npt.ArrayLike, eigenvectors: npt.ArrayLike) -> SignalResidual:
    """Return the parts S, E, F, G of iterates (..., d, r') against the eigenvectors ``V`` (d, r) of the truth.

    The row space of S is spanned by its right singular vectors above the usual rank tolerance ``max(r, r') eps ||S||``,
    so that a signal of deficient rank (at ``U = 0``, say) is split as well. E and its parts refer to the basis that
    `orthogonal_complement` returns.

    Raises ValueError on shapes that do not fit, entries that are not finite or eigenvectors that are not orthonormal.

    >>> parts = split([[3.0, 0.0], [1.0, 2.0]], [[1.0], [0.0]])
    >>> np.abs(parts.F), np.abs(parts.G)
    (array([[1., 0.]]), array([[0., 2.]]))
    """
    V, U = checked_basis("eigenvectors", eigenvectors), np.asarray(iterates, dtype=np.float64)
    if U.ndim < 2 or U.shape[-2] != V.shape[0] or U.shape[-1] == 0:
        raise ValueError(f"iterates.shape={U.shape}: must be (..., {V.shape[0]}, r') with r' >= 1")
    if not np.isfinite(U).all():
        wrong = np.count_nonzero(~np.isfinite(U))
        raise ValueError(f"iterates holds {wrong} entries that are not finite; drop diverged iterates")
    S = V.T @ U
    E = orthogonal_complement(V).T @ U
    _, singular, rows = np.linalg.svd(S, full_matrices=False)
    floor = max(S.shape[-2:]) * np.finfo(np.float64).eps * singular[..., :1]
    rows = np.where((singular > floor)[..., None], rows, 0.0)
    F = (E @ np.swapaxes(rows, -1, -2)) @ rows
    return SignalResidual(S=S, E=E, F=F, G=E - F)


def split_norms(iterates: npt.ArrayLike, eigenvectors: npt.ArrayLike, eigenvalues: npt.ArrayLike) -> SplitNorms:
    """Return the spectral norms of the parts of iterates (..., d, r') for the truth ``V diag(eigenvalues) V^T``.

    Raises ValueError as `split` does, and on eigenvalues (r,) that are not positive and descending.
    """
    parts = split(iterates, eigenvectors)
    sigma = checked_spectrum(eigenvalues, parts.S.shape[-2])
    V, U = np.asarray(eigenvectors, dtype=np.float64), np.asarray(iterates, dtype=np.float64)
    return SplitNorms(
        error=_spectral(_outer(U, U) - (V * sigma) @ V.T),
        signal_error=_spectral(np.diag(sigma) - _outer(parts.S, parts.S)),
        cross=_spectral(_outer(parts.S, parts.E)),
        # ||E E^T|| = ||E||^2, and the factor's norm is cheaper and loses nothing when it is tiny.
        residual=_spectral(parts.E) ** 2,
        overlap=_spectral(parts.F) ** 2,
        excess=_spectral(parts.G) ** 2,
    )


def _outer(left: Array, right: Array) -> Array:
    product: Array = left @ np.swapaxes(right, -1, -2)
    return product


def _spectral(matrices: Array) -> Array:
    """Largest singular value of each matrix of a stack; zero where a side is empty (r = d leaves no residual)."""
    if 0 in matrices.shape[-2:]:
        return np.zeros(matrices.shape[:-2])
    return np.asarray(np.linalg.svd(matrices, compute_uv=False)[..., 0])
