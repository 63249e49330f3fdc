"""The Lanczos process with and without re-orthogonalisation, its Ritz values, and power iteration as the baseline.

Notation: ``V`` has orthonormal columns ``v_1, ..., v_m``, ``T = V'AV`` is tridiagonal with diagonal ``alpha`` and
off-diagonal ``beta``, and ``A V = V T + beta_m v_{m+1} e_m'``. Several start vectors run side by side, so that one
product with a block of vectors serves them all.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.operators import (
    Array,
    Matvec,
    SymmetricOperator,
    checked_start,
    random_unit,
    symmetric_operator,
)

# A coupling below this share of the largest |alpha| or |beta| is rounding: the Krylov space is invariant.
BREAKDOWN = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Lanczos:
    """What m steps leave: ``diagonal`` alpha (m,), ``off_diagonal`` beta (m-1,), ``coupling`` beta_m, ``basis`` (n, m).

    ``coupling`` is 0 where the process broke down, that is, found an invariant space; m is then the steps it took,
    which may be fewer than asked for.
    """

    diagonal: Array
    off_diagonal: Array
    coupling: float
    basis: Array

    @property
    def broke_down(self) -> bool:
        """Whether the Krylov space is invariant, so that every Ritz value is an eigenvalue."""
        return self.coupling == 0.0


@dataclass(frozen=True, slots=True, eq=False)
class RitzValues:
    """Ritz values, ascending (m,), the nodes of Gauss quadrature, with its ``weights`` (m,), which sum to one.

    ``residuals`` (m,) are ``beta_m |s_mi|``, the norms ``||A y_i - theta_i y_i||`` as long as V is orthonormal.
    """

    values: Array
    weights: Array
    residuals: Array


def lanczos(
    matvec: Matvec,
    n: int | None = None,
    *,
    steps: int,
    rng: np.random.Generator,
    start: npt.ArrayLike | None = None,
    reorthogonalise: bool = True,
) -> Lanczos:
    """Run m = ``steps`` Lanczos steps from ``start`` (n,), a random vector if None.

    ``matvec`` is a symmetric matrix, dense or sparse, a LinearOperator, or a function of (n,) with ``n`` given. With
    ``reorthogonalise`` each new vector is cleaned twice against all before it, as the paper does at every step
    (Appendix D); without, rounding brings copies of converged eigenvalues, "ghosts". Raises ValueError on an operator
    that is not symmetric or not finite, a wrong start, or more steps than n.

    >>> ritz = ritz_values(lanczos(np.diag([4.0, 1.0, 1.0]), steps=3, rng=np.random.default_rng(0)))
    >>> ritz.values.round(12)  # two distinct eigenvalues: the process stops after two steps
    array([1., 4.])
    """
    operator = symmetric_operator(matvec, n, rng=rng)
    m = checked_steps(steps, operator.n)
    first = random_unit(operator.n, rng) if start is None else checked_start(start, operator.n)
    alpha, beta, taken, bases = lanczos_block(operator, first[:, None], m, reorthogonalise=reorthogonalise)
    size = int(taken[0])
    return Lanczos(alpha[0, :size].copy(), beta[0, : size - 1].copy(), float(beta[0, size - 1]), bases[0, :size].T)


def ritz_values(process: Lanczos) -> RitzValues:
    """Return the eigenvalues of T with the squares of the first components of its eigenvectors (Theorem 13)."""
    values, vectors = np.linalg.eigh(tridiagonal(process.diagonal, process.off_diagonal))
    return RitzValues(values, vectors[0] ** 2, process.coupling * np.abs(vectors[-1]))


def power_iteration(
    matvec: Matvec,
    n: int | None = None,
    *,
    steps: int,
    rng: np.random.Generator,
    start: npt.ArrayLike | None = None,
) -> Array:
    """Return the Rayleigh quotients (steps,) of ``A^{j-1} v``: after j products each, as j Lanczos steps need.

    Same arguments and errors as `lanczos`, but any number of steps. The quotients of a positive semi-definite A
    increase towards the largest eigenvalue. Where A maps a vector to zero, they are zero from there on.
    """
    operator = symmetric_operator(matvec, n, rng=rng)
    quotients = np.zeros(checked_count("steps", steps))
    vector = random_unit(operator.n, rng) if start is None else checked_start(start, operator.n)
    for j in range(quotients.size):
        image = operator.apply(vector)
        quotients[j] = vector @ image
        norm = float(np.linalg.norm(image))
        if not np.isfinite(norm):
            raise ValueError(f"matvec returned entries that are not finite in product {j + 1}; check the operator")
        if norm == 0.0:
            break
        vector = image / norm
    return quotients


def lanczos_block(
    operator: SymmetricOperator, starts: Array, steps: int, *, reorthogonalise: bool = True
) -> tuple[Array, Array, npt.NDArray[np.intp], Array]:
    """Run Lanczos from each of the unit columns of ``starts`` (n, k) with one product for all of them at each step.

    Returns alpha (k, m), beta (k, m) with the last coupling in column m-1, the steps taken (k,), fewer than m after a
    breakdown, with zeros behind, and the bases (k, m+1, n) by rows. Raises ValueError where a product is not finite.
    """
    n, k = starts.shape
    alpha, beta, taken = np.zeros((k, steps)), np.zeros((k, steps)), np.full(k, steps)
    rows = np.zeros((k, steps + 1, n))
    rows[:, 0] = starts.T
    for j in range(steps):
        v = rows[:, j]
        w = np.array(operator.apply_block(np.ascontiguousarray(v.T)).T, order="C")
        if w.shape != (k, n):
            raise ValueError(f"matvec returned a block of shape {w.T.shape}: must be {(n, k)}, that of its argument")
        alpha[:, j] = np.einsum("kn,kn->k", v, w)
        if not np.isfinite(alpha[:, j]).all():
            raise ValueError(f"matvec returned entries that are not finite in product {j + 1}; check the operator")
        w -= alpha[:, j, None] * v
        if j > 0:
            w -= beta[:, j - 1, None] * rows[:, j - 1]
        if reorthogonalise:
            for i in range(k):
                _clean_twice(rows[i, : j + 1], w[i])
        beta[:, j] = np.linalg.norm(w, axis=1)
        largest = np.maximum(np.max(np.abs(alpha), axis=1), np.max(beta, axis=1))
        broken = (beta[:, j] <= BREAKDOWN * largest) | (j + 1 >= n)
        taken[broken] = np.minimum(taken[broken], j + 1)
        beta[broken, j] = 0.0
        np.divide(w, beta[:, j, None], out=rows[:, j + 1], where=~broken[:, None])
        if broken.all():
            break
    return alpha, beta, taken, rows


def tridiagonal(diagonal: Array, off_diagonal: Array) -> Array:
    """Return the symmetric tridiagonal matrix (m, m) with ``diagonal`` (m,) and ``off_diagonal`` (m-1,)."""
    return np.asarray(np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1))


def checked_steps(steps: int, n: int) -> int:
    """Return the number of Lanczos steps; raise ValueError unless it is an integer in 1..n."""
    m = checked_count("steps", steps)
    if m > n:
        raise ValueError(f"steps={steps!r}: must be at most n={n}, where the Krylov space is the whole space")
    return m


def _clean_twice(rows: Array, w: Array) -> None:
    """Remove the components of ``w`` (n,) along the orthonormal ``rows`` (j, n), twice, in place."""
    for _ in range(2):
        w -= (rows @ w) @ rows
