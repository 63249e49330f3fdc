"""The ADMM of `relu_admm.admm` with the matrix of the u-step formed and factored: the reference for tests and speed.

The u-step solves ``(I + F^T F / rho + G^T G) u = F^T y / rho + v - lambda + G^T (s - nu)``, a system of 2dP unknowns:
one cubic factorisation, then two triangular substitutions per iteration. This is the algorithm as Bai, Gautam and
Sojoudi, 2023, count it: quadratic per iteration in dP. Memory is the trap: (2dP)^2 doubles.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.relu_losses import SQUARED, Array, checked_training
from theorylab.algorithms.relu_solver_checks import checked_number, pattern_rows


@dataclass(frozen=True, slots=True, eq=False)
class DenseAdmm:
    """A factored u-step: the lower Cholesky factor (2dP, 2dP) and ``F^T y / rho`` (2dP,).

    ``x`` (n, d) and ``signs`` (2P, n), the diagonals of ``2 D_i - I`` for both rows of blocks, apply G and its
    transpose without their zeros.
    """

    x: Array
    signs: Array
    factor: Array
    pull: Array
    beta: float
    penalty: float


def dense_matrix(x: Array, on: Array, penalty: float) -> tuple[Array, Array]:
    """Return ``F`` (n, 2dP) and ``I + F^T F / rho + G^T G`` (2dP, 2dP) of ``X`` (n, d) and patterns in rows (P, n)."""
    d, p = x.shape[1], on.shape[0]
    half = np.hstack([on[i][:, None] * x for i in range(p)])
    fit = np.hstack([half, -half])
    matrix = np.eye(2 * d * p) + fit.T @ fit / penalty
    for i in range(2 * p):
        cone = (2.0 * on[i % p][:, None] - 1.0) * x
        matrix[i * d : (i + 1) * d, i * d : (i + 1) * d] += cone.T @ cone
    return fit, matrix


def factor_dense(
    x: npt.ArrayLike, y: npt.ArrayLike, patterns: npt.ArrayLike, beta: float, *, penalty: float = 0.05
) -> DenseAdmm:
    """Form and factor the matrix of the u-step; arguments, shapes and errors as `relu_admm.admm`.

    Also raises ValueError where the matrix and its factor would take more than 4 GB.
    """
    features, targets, weight = checked_training(x, y, beta, SQUARED)
    on = pattern_rows(patterns, targets.size)
    rho = checked_number("penalty", penalty)
    gigabytes = 8e-9 * 2 * (2 * features.shape[1] * on.shape[0]) ** 2
    if gigabytes > 4.0:
        raise ValueError(f"patterns: {on.shape[0]} need {gigabytes:.1f} GB here, 4 are allowed; use relu_admm.admm")
    fit, matrix = dense_matrix(features, on, rho)
    factor = cho_factor(matrix, lower=True, overwrite_a=True)[0]
    signs = np.vstack([2.0 * on - 1.0, 2.0 * on - 1.0])
    return DenseAdmm(features, signs, factor, fit.T @ targets / rho, weight, rho)


def admm_dense(problem: DenseAdmm, iterations: int, *, dual_step: float = 1.0) -> tuple[Array, Array, Array]:
    """Run ADMM from zero; return ``u``, ``v`` (2P, d) and the residuals (T,) ``sqrt(|u-v|^2 + |Gu-s|^2)``.

    ``dual_step`` is tau = gamma_a / rho. Raises ValueError unless iterations is a positive integer and tau positive.
    """
    steps, tau = checked_count("iterations", iterations), checked_number("dual_step", dual_step)
    x, signs = problem.x, problem.signs
    u = np.zeros((signs.shape[0], x.shape[1]))
    v, lam, s, nu = u.copy(), u.copy(), np.zeros(signs.shape), np.zeros(signs.shape)
    residuals = np.empty(steps)
    for k in range(steps):
        side = problem.pull + (v - lam + (signs * (s - nu)) @ x).ravel()
        u = cho_solve((problem.factor, True), side, overwrite_b=True, check_finite=False).reshape(u.shape)
        norms = np.maximum(np.linalg.norm(u + lam, axis=1, keepdims=True), 1e-300)
        v = (u + lam) * np.maximum(1.0 - problem.beta / problem.penalty / norms, 0.0)
        inside = signs * (u @ x.T)
        s = np.maximum(inside + nu, 0.0)
        lam += tau * (u - v)
        nu += tau * (inside - s)
        residuals[k] = np.hypot(np.linalg.norm(u - v), np.linalg.norm(inside - s))
    return u, v, residuals


def dense_flops(n: int, d: int, p: int) -> int:
    """Floating-point operations of one dense iteration, quadratic in the number ``p`` of patterns.

    Two substitutions with 2dp unknowns, ``2 (2dp)^2``; products with the blocks of G and their transposes, ``8 n d p``;
    ten operations for each slack and copy.
    """
    return 2 * (2 * d * p) ** 2 + 8 * n * d * p + 10 * 2 * p * (n + d)
