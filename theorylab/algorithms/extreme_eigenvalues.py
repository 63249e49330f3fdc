"""A few extreme eigenvalues of a symmetric operator by thick-restart Lanczos, with error bounds.

The basis grows to a fixed size, the best Ritz vectors are kept, and Lanczos goes on from there (Wu and Simon, 2000),
which in exact arithmetic is ARPACK's implicit restart. Every new vector takes the three-term recurrence first and
then one pass of Gram-Schmidt against the whole basis, repeated where the pass removed much.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import daxpy, ddot, dgemv, dnrm2

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.operators import (
    Array,
    Matvec,
    SymmetricOperator,
    checked_start,
    random_unit,
    symmetric_operator,
)

Which = Literal["largest", "smallest", "both"]
EPSILON = float(np.finfo(np.float64).eps)
# A coupling below this share of the operator's size is rounding: the basis spans an invariant space.
BREAKDOWN = 1e-14
# From this many entries a row on, products cost more than the orthogonalisation against a small basis.
EXPENSIVE = 80
# Up to here, and where a function does not tell, the smallest basis takes the least time.
CHEAP = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class ExtremeEigenvalues:
    """Approximate eigenpairs ``(theta_i, y_i)``, largest first, with what bounds their error.

    ``values`` (k,), ``vectors`` (n, k) with unit columns. ``residuals`` (k,) are ``||A y_i - theta_i y_i||`` from
    fresh products: some eigenvalue lies within that distance of ``theta_i``, rigorously. ``errors`` (k,) estimate
    the distance itself, ``min(r_i, r_i^2 / gap_i)`` plus rounding (Kato and Temple), with the gap taken from the Ritz
    values instead of the unknown spectrum. ``matvecs`` counts every product, those of the symmetry test and of the
    residuals among them. ``converged`` is False where the budget of products ran out.
    """

    values: Array
    vectors: Array
    residuals: Array
    errors: Array
    matvecs: int
    converged: bool


def extreme_eigenvalues(
    matvec: Matvec,
    n: int | None = None,
    *,
    k: int = 1,
    which: Which = "largest",
    tol: float = 1e-10,
    rng: np.random.Generator,
    basis: int | None = None,
    max_matvecs: int | None = None,
    start: npt.ArrayLike | None = None,
    confirm: bool = False,
) -> ExtremeEigenvalues:
    """Return the ``k`` algebraically largest or smallest eigenvalues, or ``k`` at each end (``which="both"``).

    ``matvec`` is a symmetric matrix, dense or sparse, a LinearOperator, or a function of (n,) with ``n`` given. It
    stops when every residual is at most ``tol`` times the largest Ritz value in modulus. ``basis`` is the number of
    vectors held; None takes few where products are cheap, or a function does not tell, and more where they are not: a
    larger basis needs fewer products, so pass ``basis=80`` where one is expensive. ``max_matvecs`` defaults to
    ``max(1000, 20 n)``. ``start`` (n,) is random unless given.

    A single start vector sees one copy of a multiple eigenvalue until rounding or a breakdown brings the next, as in
    ARPACK: a small residual says that ``theta`` is close to *an* eigenvalue, not that none was missed. ``confirm=True``
    moves the pairs found to the middle of the spectrum and looks again from a new random vector, until nothing more
    shows; it costs about twice the products. Use it for k > 1 where symmetries make eigenvalues multiple.

    Raises ValueError on an operator that is not symmetric, not square or not finite, ``k`` beyond ``n``, a basis below
    ``k + 2`` (``2k + 2`` for both ends) where n allows more, a tolerance outside (0, 1).

    >>> found = extreme_eigenvalues(lambda v: np.arange(1.0, 1001.0) * v, 1000, k=2, rng=np.random.default_rng(0))
    >>> found.values.round(6)
    array([1000.,  999.])
    """
    operator = symmetric_operator(matvec, n, rng=rng)
    wanted = _wanted_count(k, which, operator.n)
    if not 0.0 < tol < 1.0:
        raise ValueError(f"tol={tol!r}: must be in (0, 1), relative to the largest eigenvalue; 1e-10 is usual")
    size = _basis_size(basis, wanted, operator)
    budget = max(1000, 20 * operator.n) if max_matvecs is None else checked_count("max_matvecs", max_matvecs)
    first = random_unit(operator.n, rng) if start is None else checked_start(start, operator.n)
    found = _solved(operator, first, wanted, which, size, budget, tol, rng)
    # The symmetry test took two products.
    found = replace(found, matvecs=found.matvecs + 2)
    while confirm and size < operator.n:
        again = _solved(_moved(operator, found), random_unit(operator.n, rng), wanted, which, size, budget, tol, rng)
        merged = _merged(operator, found, again, which)
        margin = np.maximum(found.residuals, 10.0 * tol * float(np.max(np.abs(merged.values))))
        if np.all(np.abs(merged.values - found.values) <= margin):
            return merged
        found = merged
    return found


def _solved(
    operator: SymmetricOperator,
    start: Array,
    wanted: int,
    which: Which,
    size: int,
    budget: int,
    tol: float,
    rng: np.random.Generator,
) -> ExtremeEigenvalues:
    """Return ``wanted`` eigenpairs from the unit vector ``start`` (n,) with a basis of ``size`` vectors."""
    vectors, projected = np.empty((size + 1, operator.n)), np.zeros((size, size))
    vectors[0] = start
    held = matvecs = 0
    # Products between two looks at the Ritz values: a look costs about as much as a few cheap products.
    stride = 10 if _known_work(operator) >= EXPENSIVE else 20
    while True:
        target = min(size, held + stride)
        coupling = _extend(operator, vectors, projected, held, target, rng)
        matvecs, held = matvecs + target - held, target
        values, rotation = np.linalg.eigh(projected[:held, :held])
        estimates = coupling * np.abs(rotation[-1])
        chosen = _ends(held, wanted, which)
        goal = tol * float(np.max(np.abs(values)))
        done = held == operator.n or (held >= wanted and bool(np.all(estimates[chosen] <= goal)))
        if done or (matvecs >= budget and held >= wanted):
            return _result(operator, vectors[:held].T @ rotation[:, chosen], values, chosen, matvecs, done)
        if held == size:
            kept = _ends(size, _kept_count(size, wanted, int(np.sum(estimates[chosen] <= goal))), which)
            vectors[: kept.size] = rotation[:, kept].T @ vectors[:size]
            vectors[kept.size] = vectors[size]
            projected[:] = 0.0
            projected[np.arange(kept.size), np.arange(kept.size)] = values[kept]
            projected[: kept.size, kept.size] = projected[kept.size, : kept.size] = coupling * rotation[-1, kept]
            held = kept.size


def _extend(
    operator: SymmetricOperator, vectors: Array, projected: Array, first: int, last: int, rng: np.random.Generator
) -> float:
    """Grow the basis from ``first`` to ``last`` rows of ``vectors`` (m+1, n) in place; return the last coupling.

    Row ``first`` is there already, and column ``first`` of ``projected`` holds its couplings to the rows before it.
    """
    coupling, largest = 0.0, float(np.max(np.abs(np.diagonal(projected))))
    for j in range(first, last):
        v, w = vectors[j], vectors[j + 1]
        w[:] = operator.apply(v)
        size = float(dnrm2(w))
        if not np.isfinite(size):
            raise ValueError("matvec returned entries that are not finite; check the operator along the Krylov space")
        largest = max(largest, size)
        # What the projected matrix already knows: one neighbour, or all kept Ritz vectors right after a restart.
        for i in range(0 if j == first else j - 1, j):
            daxpy(vectors[i], w, a=-projected[i, j])
        projected[j, j] = ddot(v, w)
        daxpy(v, w, a=-projected[j, j])
        coupling = _orthogonalise(vectors[: j + 1], w)
        if coupling <= BREAKDOWN * largest:
            # The space is invariant: any vector orthogonal to it starts the next block of the projected matrix.
            coupling = 0.0
            if j + 1 < operator.n:
                w[:] = random_unit(operator.n, rng)
                w /= _orthogonalise(vectors[: j + 1], w, at_least=2)
        else:
            w /= coupling
        if j + 1 < projected.shape[0]:
            projected[j, j + 1] = projected[j + 1, j] = coupling
    return coupling


def _orthogonalise(rows: Array, w: Array, at_least: int = 1) -> float:
    """Remove the components of ``w`` (n,) along orthonormal ``rows`` (j, n) in place; return the norm of the rest.

    Classical Gram-Schmidt, repeated while a pass removes more than half of the square of the norm: twice is enough.
    """
    for times in range(1, 4):
        parts = dgemv(1.0, rows.T, w, trans=1)
        dgemv(-1.0, rows.T, parts, beta=1.0, y=w, overwrite_y=1)
        norm = float(dnrm2(w))
        if times >= at_least and norm > dnrm2(parts):
            break
    return norm


def _wanted_count(k: int, which: Which, n: int) -> int:
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f"which={which!r}: must be 'largest', 'smallest' or 'both'")
    wanted = checked_count("k", k) * (2 if which == "both" else 1)
    if wanted > n:
        raise ValueError(f"k={k!r}: asks for {wanted} eigenvalues of an operator with n={n}; ask for at most n")
    return wanted


def _basis_size(basis: int | None, wanted: int, operator: SymmetricOperator) -> int:
    """Return the number of basis vectors held: enough for products to dominate the work, at most n."""
    if basis is None:
        return min(operator.n, 2 * wanted + int(np.clip(_known_work(operator), CHEAP, EXPENSIVE)))
    size = checked_count("basis", basis)
    if size < min(wanted + 2, operator.n):
        raise ValueError(f"basis={basis!r}: must be at least {min(wanted + 2, operator.n)}, two more than are wanted")
    return min(size, operator.n)


def _known_work(operator: SymmetricOperator) -> float:
    """Return the entries of a row that a product reads; a function does not tell, and counts as cheap."""
    return operator.work if np.isfinite(operator.work) else CHEAP


def _ends(size: int, count: int, which: Which) -> npt.NDArray[np.intp]:
    """Return ``count`` indices of ascending Ritz values, from the wanted end or half of them from each end."""
    count = min(count, size)
    low = {"largest": 0, "smallest": count, "both": count // 2}[which]
    return np.concatenate([np.arange(low), np.arange(size - (count - low), size)])


def _kept_count(size: int, wanted: int, converged: int) -> int:
    """Return how many Ritz vectors a restart keeps: the wanted and a share of the rest, so that none is lost."""
    return min(size - 1, max(wanted + converged, (2 * size) // 5, wanted + (size - wanted) // 4))


def _moved(operator: SymmetricOperator, found: ExtremeEigenvalues) -> SymmetricOperator:
    """Return ``A + Y diag(c - theta) Y'``, whose pairs ``Y`` sit at c inside the spectrum, a Rayleigh quotient."""
    vectors = found.vectors
    flat = np.full(operator.n, 1.0 / np.sqrt(operator.n))
    shifts = float(flat @ operator.apply(flat)) - found.values

    def apply(vector: Array) -> Array:
        return np.asarray(operator.apply(vector) + vectors @ (shifts * (vectors.T @ vector)))

    def apply_block(block: Array) -> Array:
        return np.asarray(operator.apply_block(block) + vectors @ (shifts[:, None] * (vectors.T @ block)))

    return SymmetricOperator(operator.n, apply, apply_block, operator.work)


def _merged(
    operator: SymmetricOperator, found: ExtremeEigenvalues, again: ExtremeEigenvalues, which: Which
) -> ExtremeEigenvalues:
    """Return the extreme Ritz pairs of the space spanned by both results."""
    space, _ = np.linalg.qr(np.hstack([found.vectors, again.vectors]))
    values, rotation = np.linalg.eigh(space.T @ operator.apply_block(space))
    chosen = _ends(values.size, found.values.size, which)
    # One product for the centre of `_moved`, and those of the projection.
    matvecs = found.matvecs + again.matvecs + 1 + space.shape[1]
    converged = found.converged and again.converged
    return _result(operator, space @ rotation[:, chosen], values, chosen, matvecs, converged)


def _result(
    operator: SymmetricOperator,
    vectors: Array,
    values: Array,
    chosen: npt.NDArray[np.intp],
    matvecs: int,
    converged: bool,
) -> ExtremeEigenvalues:
    """Return the ``chosen`` of the ascending Ritz ``values`` with their ``vectors`` (n, k), largest first, checked."""
    chosen = chosen[::-1]
    vectors = vectors[:, ::-1] / np.linalg.norm(vectors, axis=0)[::-1]
    found = values[chosen]
    residuals = np.linalg.norm(operator.apply_block(vectors) - vectors * found, axis=0)
    distances = np.abs(values[None, :] - found[:, None])
    distances[np.arange(chosen.size), chosen] = np.inf
    gaps = np.min(distances, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.fmin(residuals, residuals**2 / gaps) + EPSILON * float(np.max(np.abs(values)))
    return ExtremeEigenvalues(found, vectors, residuals, errors, matvecs + chosen.size, converged)
