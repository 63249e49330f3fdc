r"""The convex baseline of robust matrix recovery: least absolute deviations over positive semidefinite matrices.

``min_{X >= 0} (1/m) ||y - A(X)||_1 + lambda tr X``. With ``lambda = 0`` its value is the exact global minimum of the
factored loss ``f(U)`` when ``r' = d``, so it tells whether the truth is a global optimum at all.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.packed_symmetric import adjoint, checked_operator, checked_vector, matrix_dimension, pack

Array = npt.NDArray[np.float64]

LARGEST_DIMENSION = 40  # an interior-point step factorises a system of m + d^2/2 unknowns
LARGEST_MEASUREMENTS = 4000


@dataclass(frozen=True, slots=True)
class ConvexRecovery:
    """A solution with its status and residuals, all recomputed from the returned matrix and multipliers.

    Weak duality makes ``gap``, together with ``dual_violation = 0``, a certificate of optimality that trusts no solver.
    Where the solver returned nothing, all numbers are NaN and ``status`` says why.
    """

    X: Array  # positive semidefinite up to psd_violation, (d, d)
    value: float  # (1/m) ||y - A(X)||_1 + lambda tr X at this X
    status: str  # the solver's own word: "optimal", "optimal_inaccurate", "user_limit", "solver_error", ...
    psd_violation: float  # max(0, -lambda_min(X))
    dual_violation: float  # how far the multipliers are from max |w_i| <= 1, (1/m) A^*(w) <= lambda I
    gap: float  # value - (1/m) <w, y>, at least -dual_violation (||y - A(X)||_1 / m + tr X) if X >= 0

    @property
    def accurate(self) -> bool:
        """Whether the solver reached its full accuracy; an inaccurate X is returned all the same."""
        return self.status == "optimal"


def convex_recovery(operator: npt.ArrayLike, observations: npt.ArrayLike, penalty: float = 0.0) -> ConvexRecovery:
    r"""Solve ``min_{X >= 0} (1/m) ||y - A(X)||_1 + lambda tr X`` with cvxpy and Clarabel.

    ``operator`` is packed, (m, d(d+1)/2), with d <= 40 and m <= 4000; ``observations`` are ``y`` (m,), ``penalty`` is
    ``lambda >= 0``. A solve of (d, m) = (20, 400) takes about a second. An inaccurate or failed solve is reported in
    ``status``, not raised.

    [re-derived] The dual is ``max (1/m) <w, y>`` over ``|w_i| <= 1`` with ``(1/m) sum_i w_i sym(A_i) <= lambda I``.

    Raises ValueError on shapes that do not fit, entries that are not finite, a negative penalty or larger sizes.
    """
    B = checked_operator(operator)
    m, d = B.shape[0], matrix_dimension(B.shape[1])
    y = checked_vector("observations", observations, m)
    if not (np.isfinite(penalty) and penalty >= 0.0):
        raise ValueError(f"penalty={penalty!r}: must be finite and zero or more, the lambda of lambda tr X")
    if d > LARGEST_DIMENSION or m > LARGEST_MEASUREMENTS:
        limit = f"d <= {LARGEST_DIMENSION}, m <= {LARGEST_MEASUREMENTS}"
        raise ValueError(f"d={d}, m={m}: must satisfy {limit}; use the sub-gradient method for larger problems")
    # Imported here because it takes about a second and only this baseline needs it.
    cp: Any = import_module("cvxpy")
    X = cp.Variable((d, d), PSD=True)
    residuals = cp.Variable(m)
    row, column = np.triu_indices(d)
    measured = residuals == y - B @ X[row, column]
    problem = cp.Problem(cp.Minimize(cp.norm1(residuals) / m + penalty * cp.trace(X)), [measured])
    try:
        problem.solve(solver=cp.CLARABEL)
        status = str(problem.status)
    except cp.error.SolverError:
        status = "solver_error"
    if X.value is None or measured.dual_value is None:
        return ConvexRecovery(np.full((d, d), np.nan), np.nan, status, np.nan, np.nan, np.nan)
    # Stationarity in the residuals makes minus the multiplier a sub-gradient of (1/m) ||.||_1.
    return _certified(B, y, float(penalty), np.asarray(X.value), -m * np.asarray(measured.dual_value), status)


def _certified(B: Array, y: Array, penalty: float, X: Array, w: Array, status: str) -> ConvexRecovery:
    """Measure a primal-dual pair ``(X, w)`` against the optimality conditions."""
    symmetric = 0.5 * (X + X.T)
    value = float(np.mean(np.abs(y - B @ pack(symmetric))) + penalty * np.trace(symmetric))
    excess = float(np.linalg.eigvalsh(adjoint(B, w))[-1] / y.size - penalty)
    return ConvexRecovery(
        X=symmetric,
        value=value,
        status=status,
        psd_violation=max(0.0, -float(np.linalg.eigvalsh(symmetric)[0])),
        dual_violation=max(0.0, excess, float(np.max(np.abs(w))) - 1.0),
        gap=value - float(w @ y) / y.size,
    )
