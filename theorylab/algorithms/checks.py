"""Checks of what callers pass in, shared by the analysis of low-rank recovery; failures are ValueErrors."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def checked_basis(name: str, basis: npt.ArrayLike) -> Array:
    """Return ``basis`` as float64 (d, r); raise ValueError unless 1 <= r <= d with columns orthonormal to 1e-8."""
    checked = np.ascontiguousarray(basis, dtype=np.float64)
    if checked.ndim != 2 or not 1 <= checked.shape[1] <= checked.shape[0]:
        raise ValueError(f"{name}.shape={checked.shape}: must be (d, r) with 1 <= r <= d")
    gap = float(np.max(np.abs(checked.T @ checked - np.eye(checked.shape[1]))))
    # The negated comparison also catches NaN.
    if not gap <= 1e-8:
        raise ValueError(f"{name}: max|V^T V - I|={gap:.3g}, must be at most 1e-8; orthonormalise with np.linalg.qr")
    return checked


def checked_spectrum(eigenvalues: npt.ArrayLike, rank: int) -> Array:
    """Return ``eigenvalues`` as float64 (r,); raise ValueError unless they are positive, finite and descending."""
    sigma = np.ascontiguousarray(eigenvalues, dtype=np.float64)
    if sigma.shape != (rank,) or rank == 0:
        raise ValueError(f"eigenvalues.shape={sigma.shape}: must be ({rank},), one for each eigenvector of the truth")
    if not (np.isfinite(sigma).all() and sigma[-1] > 0 and np.all(np.diff(sigma) <= 0)):
        raise ValueError(f"eigenvalues={sigma}: must be finite, positive and descending; drop zeros and sort")
    return sigma


def checked_count(name: str, value: int) -> int:
    """Return a positive int; raise ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r}: must be a positive integer")
    return int(value)


def checked_share(share: float) -> float:
    """Return the probability of an outlier as float; raise ValueError outside [0, 1)."""
    if not 0.0 <= share < 1.0:
        raise ValueError(f"share={share!r}: must be in [0, 1), the probability of an outlier")
    return float(share)


def checked_deviation(name: str, value: float) -> float:
    """Return a standard deviation as float; raise ValueError where it is negative or not finite."""
    if not (np.isfinite(value) and value >= 0.0):
        raise ValueError(f"{name}={value!r}: must be a finite standard deviation, zero or more")
    return float(value)
