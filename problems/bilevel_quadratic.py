"""Quadratic lower problems under a bounded non-convex upper loss: bilevel instances with a closed hypergradient.

    g_i(x, y) = y'A_i y / 2 - y'(C_i x + b_i),   f_i(x, y) = sum_k phi(y_k - c_ik) + rho sum_j phi(x_j - a_j),
    phi(u) = u^2 / (1 + u^2),   |phi'| <= 3 sqrt(3) / 8,   -1/2 <= phi'' <= 2,

so ``y_i*(x) = J_i x + A_i^{-1} b_i`` with ``J_i = A_i^{-1} C_i``, and ``grad F(x) = (1/m) sum_i J_i' phi'(y_i* - c_i) +
rho phi'(x - a)`` is Lipschitz with ``L_F = 2 ||(1/m) sum_i J_i'J_i|| + 2 rho``. The setting is that of Hu, Qiu, Guo,
Zhang and Yang, ICML 2023; the family and its constants are ours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.bilevel_derivatives import BilevelCertificate, Derivatives, amplitude, count, finite, positive
from theorylab.algorithms.bilevel_constants import BilevelConstants

Array = npt.NDArray[np.float64]

SLOPE = 3.0 * 3.0**0.5 / 8.0  # the largest |phi'|, at u^2 = 1/3
BEND = 2.0  # the largest |phi''|, at u = 0


@dataclass(frozen=True, slots=True)
class OracleNoise:
    """Standard deviations of one call of the Gaussian oracle; a batch of B calls divides all of them by sqrt(B).

    A call at a sampled block draws, and uses at every point it is asked about: a symmetric matrix ``N`` (dy, dy) added
    to ``A_i``, entries on and above the diagonal independent N(0, hessian^2); ``M`` (dy, dx) added to ``C_i``, entries
    N(0, coupling^2); ``n`` (dy,) added to ``b_i``, N(0, offset^2); ``r`` (dy,) added to ``grad_y f_i``, N(0, upper^2).
    These are s_A, s_C, s_b and s_f. The mean of B independent calls has exactly this law with each number over
    sqrt(B), so one draw stands for the whole batch. ``grad_x f_i`` is exact.
    """

    hessian: float = 0.1
    coupling: float = 0.1
    offset: float = 0.5
    upper: float = 0.3

    def __post_init__(self) -> None:
        """Raise ValueError on a standard deviation that is negative or not finite."""
        for name in self.__slots__:
            amplitude(name, getattr(self, name))


@dataclass(frozen=True, slots=True, eq=False)
class QuadraticBilevel:
    """An instance of the family of this module; arrays are C-contiguous float64.

    ``hessians`` ``A_i`` (m, dy, dy), symmetric; ``couplings`` ``C_i`` (m, dy, dx); ``offsets`` ``b_i`` (m, dy);
    ``targets`` ``c_i`` (m, dy); ``anchor`` ``a`` (dx,); ``weight`` is rho; ``start`` ``x_0`` (dx,). The lower iterates
    and the implicit vectors start at zero. So ``grad_y g_i = A_i y - C_i x - b_i`` and ``D2_xy g_i = -C_i'`` (dx, dy).
    """

    hessians: Array
    couplings: Array
    offsets: Array
    targets: Array
    anchor: Array
    weight: float
    start: Array
    noise: OracleNoise
    constants: BilevelConstants


def quadratic_bilevel(
    hessians: npt.ArrayLike,
    couplings: npt.ArrayLike,
    offsets: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    anchor: npt.ArrayLike,
    start: npt.ArrayLike,
    weight: float = 0.05,
    noise: OracleNoise | None = None,
) -> QuadraticBilevel:
    """Assemble an instance from arrays of the shapes in `QuadraticBilevel`, with exact constants.

    mu and L are the smallest and largest eigenvalue of any ``A_i``; ``C_f = sqrt(dy) 3 sqrt(3) / 8``, reached nowhere
    else than at ``|y_k - c_ik| = 1 / sqrt(3)``; ``C_gxy = max ||C_i||``. Raises ValueError on shapes that do not fit,
    entries that are not finite, an asymmetric Hessian, and a lower problem that is not strongly convex.
    """
    a = finite("hessians", hessians, (None, None, None))
    m, dy = a.shape[:2]
    c = finite("couplings", couplings, (m, dy, None))
    dx = c.shape[2]
    if a.shape[2] != dy:
        raise ValueError(f"hessians.shape={a.shape}: must be (m, dy, dy), one square matrix a block")
    if not np.allclose(a, a.transpose(0, 2, 1), rtol=0.0, atol=1e-12 * (1.0 + float(np.max(np.abs(a))))):
        raise ValueError("hessians: must be symmetric up to rounding; pass (A + A.T) / 2")
    eigenvalues = np.linalg.eigvalsh(a)
    lowest = int(np.argmin(eigenvalues[:, 0]))
    if not eigenvalues[lowest, 0] > 1e-12 * eigenvalues[:, -1].max():
        raise ValueError(
            f"hessians[{lowest}] has smallest eigenvalue {eigenvalues[lowest, 0]:.6g}: must be positive, or the lower "
            "problem is not strongly convex; add a ridge"
        )
    gain = np.linalg.solve(a, c)
    rho = amplitude("weight", weight)
    constants = BilevelConstants(
        blocks=m,
        upper_dimension=dx,
        lower_dimension=dy,
        strong_convexity=float(eigenvalues.min()),
        smoothness=float(eigenvalues.max()),
        upper_gradient=float(SLOPE * np.sqrt(dy)),
        coupling=float(np.linalg.norm(c, 2, axis=(1, 2)).max()),
        hypergradient_smoothness=float(BEND * np.linalg.norm(np.einsum("mka,mkb->ab", gain, gain) / m, 2) + BEND * rho),
        lower_bound=0.0,
    )
    return QuadraticBilevel(
        hessians=a,
        couplings=c,
        offsets=finite("offsets", offsets, (m, dy)),
        targets=finite("targets", targets, (m, dy)),
        anchor=finite("anchor", anchor, (dx,)),
        weight=rho,
        start=finite("start", start, (dx,)),
        noise=OracleNoise() if noise is None else noise,
        constants=constants,
    )


def drawn_quadratic(
    rng: np.random.Generator,
    *,
    blocks: int = 32,
    upper_dimension: int = 8,
    lower_dimension: int = 6,
    strong_convexity: float = 1.0,
    smoothness: float = 3.0,
    heterogeneity: float = 1.0,
    weight: float = 0.05,
    noise: OracleNoise | None = None,
) -> QuadraticBilevel:
    """Draw an instance: ``A_i = Q diag(ev) Q'``, Q of Haar's law, ev uniform on [mu, L] with mu and L among them.

    ``C_i = (C_0 + heterogeneity C~_i) / sqrt(dx)`` with Gaussian entries, b, c and a standard Gaussian, ``x_0`` the
    point ``(3, ..., 3) / sqrt(dx)`` of norm 3. If dy = 1, ``ev = mu``. Raises ValueError on sizes that are not positive
    integers, mu <= 0, L < mu, and negative amplitudes.

    >>> problem = drawn_quadratic(np.random.default_rng(0), blocks=4)
    >>> problem.hessians.shape, problem.couplings.shape, round(problem.constants.smoothness, 6)
    ((4, 6, 6), (4, 6, 8), 3.0)
    """
    m, dx, dy = (
        count("blocks", blocks),
        count("upper_dimension", upper_dimension),
        count("lower_dimension", lower_dimension),
    )
    mu, largest = positive("strong_convexity", strong_convexity), positive("smoothness", smoothness)
    if largest < mu:
        raise ValueError(f"smoothness={smoothness!r}: must be at least strong_convexity={strong_convexity!r}")
    amplitude("heterogeneity", heterogeneity)
    eigenvalues = rng.uniform(mu, largest, (m, dy))
    eigenvalues[:, -1] = largest
    eigenvalues[:, 0] = mu
    q, r = np.linalg.qr(rng.standard_normal((m, dy, dy)))
    q *= np.sign(np.einsum("mkk->mk", r))[:, None, :]  # without the signs Q is not of Haar's law
    hessians = np.einsum("mak,mk,mbk->mab", q, eigenvalues, q)
    shared, own = rng.standard_normal((dy, dx)), rng.standard_normal((m, dy, dx))
    return quadratic_bilevel(
        0.5 * (hessians + hessians.transpose(0, 2, 1)),
        (shared + heterogeneity * own) / np.sqrt(dx),
        rng.standard_normal((m, dy)),
        rng.standard_normal((m, dy)),
        anchor=rng.standard_normal(dx),
        start=np.full(dx, 3.0 / np.sqrt(dx)),
        weight=weight,
        noise=noise,
    )


def lower_solutions(problem: QuadraticBilevel, x: Array) -> Array:
    """Return ``y_i*(x) = A_i^{-1}(C_i x + b_i)`` (m, dy) at ``x`` (dx,)."""
    return np.asarray(np.linalg.solve(problem.hessians, (problem.couplings @ x + problem.offsets)[:, :, None])[:, :, 0])


def upper_values(problem: QuadraticBilevel, x: Array, y: Array) -> Array:
    """Return ``f_i(x, y_i)`` (m,) at ``x`` (dx,) and ``y`` (m, dy)."""
    u, w = y - problem.targets, x - problem.anchor
    return np.asarray(np.sum(u**2 / (1.0 + u**2), axis=1) + problem.weight * np.sum(w**2 / (1.0 + w**2)))


def lower_values(problem: QuadraticBilevel, x: Array, y: Array) -> Array:
    """Return ``g_i(x, y_i)`` (m,) at ``x`` (dx,) and ``y`` (m, dy)."""
    force = problem.couplings @ x + problem.offsets
    return np.asarray(np.einsum("mk,mkl,ml->m", y, problem.hessians, y) / 2 - np.sum(y * force, axis=1))


def derivatives(problem: QuadraticBilevel, x: Array, y: Array) -> Derivatives:
    """Return the exact derivatives of all blocks at ``x`` (dx,) and ``y`` (m, dy)."""
    m, dx = y.shape[0], x.shape[0]
    return Derivatives(
        upper_x=np.broadcast_to(problem.weight * bounded_slope(x - problem.anchor), (m, dx)),
        upper_y=bounded_slope(y - problem.targets),
        lower=np.einsum("mkl,ml->mk", problem.hessians, y) - problem.couplings @ x - problem.offsets,
        cross=-problem.couplings.transpose(0, 2, 1),
        hessians=problem.hessians,
    )


def closed_hypergradient(problem: QuadraticBilevel, x: Array) -> Array:
    """Return ``grad F(x) = (1/m) sum_i J_i' phi'(y_i* - c_i) + rho phi'(x - a)`` (dx,), ``J_i = A_i^{-1} C_i``."""
    gain = np.linalg.solve(problem.hessians, problem.couplings)
    pull = bounded_slope(lower_solutions(problem, x) - problem.targets)
    through_lower = np.einsum("mka,mk->a", gain, pull) / pull.shape[0]
    return np.asarray(through_lower + problem.weight * bounded_slope(x - problem.anchor))


def bounded_slope(u: Array) -> Array:
    """Return ``phi'(u) = 2u / (1 + u^2)^2``, entry by entry."""
    return np.asarray(2.0 * u / (1.0 + u**2) ** 2)


def certify(problem: QuadraticBilevel, *, batch: int = 1, reach: float = 10.0) -> BilevelCertificate:
    """Certify A1 to A5 for oracle calls averaged over ``batch`` B, variances up to norm ``reach`` of x and of y_i.

    With one draw at both points, ``E||(A + N) dy - (C + M) dx||^2 = ||A dy - C dx||^2 + (dy s_A^2 ||dy||^2 + dy s_C^2
    ||dx||^2) / B``, since ``E||N u||^2 = dy s_A^2 ||u||^2`` for the symmetric N of `OracleNoise`; A2 takes the largest
    eigenvalue. The second derivatives of g do not depend on the point, nor does their noise. The variance of ``grad_y
    g_i`` is ``dy (s_A^2 ||y||^2 + s_C^2 ||x||^2 + s_b^2) / B``, bounded on bounded sets only.
    """
    b, dy, dx = count("batch", batch), problem.constants.lower_dimension, problem.constants.upper_dimension
    s, far = problem.noise, positive("reach", reach)
    spread = np.concatenate([np.full(dy, dy * s.hessian**2), np.full(dx, dy * s.coupling**2)]) / b
    joint = np.concatenate([problem.hessians, -problem.couplings], axis=2)
    squared = np.einsum("mka,mkb->mab", joint, joint) + np.diag(spread)
    eigenvalues = np.linalg.eigvalsh(problem.hessians)
    return BilevelCertificate(
        strong_convexity=float(eigenvalues.min()),
        smoothness=float(eigenvalues.max()),
        lower_smoothness=float(np.sqrt(np.linalg.eigvalsh(squared).max())),
        hessian_smoothness=0.0,
        cross_smoothness=0.0,
        upper_smoothness=BEND * max(1.0, problem.weight),
        upper_gradient=float(SLOPE * np.sqrt(dy)),
        coupling=float(np.linalg.norm(problem.couplings, 2, axis=(1, 2)).max()),
        lower_variance=dy * ((s.hessian**2 + s.coupling**2) * far**2 + s.offset**2) / b,
        hessian_variance=dy**2 * s.hessian**2 / b,
        cross_variance=dx * dy * s.coupling**2 / b,
        upper_variance=dy * s.upper**2 / b,
        reach=far,
        lower_bound=0.0,
    )
