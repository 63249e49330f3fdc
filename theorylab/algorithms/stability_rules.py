r"""Largest learning rates as functions of the batch size: the static and the dynamic rule, preconditioning, damping.

Notation of Granziol, Zohren and Roberts, JMLR 23, 2022: ``rho = sigma sqrt(P/b)`` is the radius of
`random_matrix_laws.bulk_radius`, ``lambda`` an eigenvalue of ``H_emp``; learning rates have the unit 1/lambda.

Two different questions have two different answers. Static: one step along one batch does not raise that batch's loss
while ``eta < 2/lambda'_1`` (equation 24). Dynamic: with a fresh batch in every step the mean square of w stays bounded.
Under independent entries only the dynamic rate is linear in b at small b. `stability_chains` measures it.
"""

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count, checked_deviation
from theorylab.algorithms.random_matrix_laws import batch_top, bulk_radius, checked_radius, outlier_branch

Array = npt.NDArray[np.float64]


def static_rate(spike: float, radius: float) -> float:
    r"""Return ``2 / lambda'_1`` with `batch_top` for ``lambda'_1``: equation (24) and Theorem 4 together.

    ``spike`` lambda, ``radius`` rho; infinity if both are zero. Raises as `batch_top`.

    >>> static_rate(1.0, 2.0)
    0.5
    """
    top = batch_top(spike, radius)
    return 2.0 / top if top > 0.0 else inf


def static_exponent(spike: float, radius: float) -> float:
    r"""Return ``d ln static_rate / d ln b``: ``rho^2 / (lambda^2 + rho^2)`` above the transition, 1/2 below it.

    [re-derived] ``rho^2`` is proportional to 1/b; differentiate ``lambda + rho^2/lambda`` and ``2 rho``. Above the
    transition ``rho < lambda``, so the exponent never exceeds 1/2 and Theorem 4 gives no linear rule, which Section
    10.1 reads from the outlier branch where ``rho`` is much larger than lambda, outside its domain. Raises as
    `batch_top`, and ValueError where lambda and rho are both zero.

    >>> static_exponent(1.0, 0.5), static_exponent(1.0, 3.0)
    (0.2, 0.5)
    """
    if batch_top(spike, radius) == 0.0:
        raise ValueError(f"spike={spike!r}, radius={radius!r}: must not both be zero, or every rate is stable")
    return radius**2 / (spike**2 + radius**2) if spike > radius else 0.5


def extrapolated_rate(spike: float, radius: float) -> float:
    r"""Return ``2 / (lambda + rho^2/lambda)`` at every b: the rule of Section 10.1, linear in b at small b.

    The outlier of Theorem 4 used outside its domain. Up to P + 1 for P it is `dynamic_rate`, so the rule is right for
    another reason. ``spike`` must be positive. Raises ValueError otherwise and on a negative radius.
    """
    return 2.0 / outlier_branch(checked_curvature(spike), radius)


def wishart_static_exponent(ratio: float) -> float:
    r"""Return ``sqrt(q) / (1 + sqrt(q))``, the exponent in b of ``2 / (sigma^2 (1 + sqrt(q))^2)``, ``q = P/b``.

    [re-derived] The one static rule here that tends to linear, for P much larger than b. Raises ValueError unless q is
    positive and finite.

    >>> wishart_static_exponent(4.0)
    0.6666666666666666
    """
    if not (np.isfinite(ratio) and ratio > 0.0):
        raise ValueError(f"ratio={ratio!r}: must be positive and finite; it is q = P/b")
    return sqrt(ratio) / (1.0 + sqrt(ratio))


def dynamic_rate(curvature: float, parameters: int, deviation: float, effective: float) -> float:
    r"""Return ``2 / (lambda + (P+1) sigma^2 / (b lambda))``, the mean-square threshold of SGD.

    [re-derived] On ``lambda ||w||^2 / 2``, ``w <- (I - eta (lambda I + E_t)) w`` with fresh Gaussian symmetric ``E_t``,
    off-diagonal variance ``s^2 = sigma^2/b``, diagonal ``2 s^2``: ``E E_t = 0`` and ``E E_t^2 = (P+1) s^2 I``, so
    ``E||w||^2`` is multiplied by ``(1 - eta lambda)^2 + eta^2 (P+1) s^2``, below one exactly for
    smaller eta. Linear in b for ``b << P sigma^2 / lambda^2``. ``effective`` is b. Raises ValueError unless lambda and
    b are positive, P is a positive integer, sigma is zero or more.

    >>> dynamic_rate(1.0, 3, 1.0, 4.0)
    1.0
    """
    lam = checked_curvature(curvature)
    # rho^2 (P+1)/P is (P+1) sigma^2 / b.
    noise = bulk_radius(parameters, deviation, effective) ** 2 * (parameters + 1) / parameters
    return 2.0 / (lam + noise / lam)


def least_squares_rate(parameters: int, batch: int) -> float:
    r"""Return ``2 / (1 + (P+1)/B)``, the mean-square threshold of realisable least squares with x ~ N(0, I_P).

    [re-derived] ``H_B = (1/B) sum x_i x_i'`` has mean I and, by ``E (x'x) xx' = (P+2) I``, ``E H_B^2 = ((P+2)/B +
    (B-1)/B) I = (1 + (P+1)/B) I``; so the factor is ``1 - 2 eta + eta^2 (1 + (P+1)/B)``. Raises ValueError on sizes
    below one.

    >>> least_squares_rate(3, 4)
    1.0
    """
    return 2.0 / (1.0 + (checked_count("parameters", parameters) + 1) / checked_count("batch", batch))


def edge_over_outlier(ratio: float) -> float:
    r"""Return ``(t + 1/t)/2 = (lambda + rho^2/lambda) / (2 rho)``, ``t = lambda/rho``: equation (29) corrected.

    A preconditioner ``eta + delta`` makes the bulk edge dominate the outlier once ``(eta_j + delta)/(eta_i + delta)``
    exceeds it. Raises ValueError unless t is positive and finite.

    >>> edge_over_outlier(2.0)
    1.25
    """
    return 0.5 * edge_over_outlier_printed(ratio)


def edge_over_outlier_printed(ratio: float) -> float:
    """Return ``t + 1/t``, equation (29) as printed: with the edge ``rho`` for ``2 rho``; (31) has it right.

    Raises as `edge_over_outlier`.
    """
    if not (np.isfinite(ratio) and ratio > 0.0):
        raise ValueError(f"ratio={ratio!r}: must be positive and finite; it is t = lambda/rho")
    return ratio + 1.0 / ratio


def preconditioned_rate(curvature: float, radius: float) -> float:
    r"""Return ``kappa / rho``, ``kappa = eta_min + delta``: equation (31), proportional to ``sqrt(b)``.

    The largest rate while the bulk edge ``2 rho / kappa`` of the preconditioned batch Hessian dominates, which needs it
    well above 1, the preconditioned curvature of the spikes. ``curvature`` is kappa, positive. Raises ValueError
    otherwise and on a radius that is not positive.

    >>> preconditioned_rate(0.01, 0.5)
    0.02
    """
    rho = checked_radius(radius)
    if rho == 0.0:
        raise ValueError("radius=0.0: must be positive; without noise no bulk limits the rate")
    return checked_curvature(curvature) / rho


def dynamic_damping(rate: float, curvature: float, parameters: int, deviation: float, effective: float) -> float:
    r"""Return the least damping ``delta = eta (lambda^2 + (P+1) sigma^2/b) / (2 lambda) - lambda``, at least 0.

    [re-derived; the paper has no theorem on damping] A step ``eta / (lambda + delta)`` is mean-square stable iff it is
    below `dynamic_rate`. Proportional to ``eta/b`` at small b. Raises as `dynamic_rate`, and on a negative ``rate``.
    """
    lam = checked_curvature(curvature)
    return max(0.0, _checked_rate(rate) / dynamic_rate(lam, parameters, deviation, effective) - lam)


def static_damping(rate: float, spike: float, radius: float) -> float:
    r"""Return ``delta = eta lambda'_1 / 2 - lambda``, at least 0: the static rule, ``eta/sqrt(b)`` at small b.

    [re-derived] A step ``eta / (lambda + delta)`` below `static_rate`. Raises as `batch_top`, and on a negative rate.
    """
    return max(0.0, 0.5 * _checked_rate(rate) * batch_top(spike, radius) - spike)


def stationary_loss(noise: float, batch: int, rate: float, curvature: float, momentum: float = 0.0) -> float:
    r"""Return the stationary loss ``h E w^2 / 2`` of heavy ball on ``h w^2/2`` with gradient noise ``N(0, s_g^2/B)``.

    ``w_{t+1} = w_t - eta g_t + beta (w_t - w_{t-1})``; infinity at and above ``eta h = 2 (1 + beta)``, else ``eta
    (1+beta) s_g^2/B / (2 (1-beta) (2 (1+beta) - eta h))`` [re-derived: the variance of a second-order autoregression].
    At a fixed loss and small ``eta h`` this makes ``eta`` proportional to B. ``noise`` s_g, ``curvature`` h,
    ``momentum`` beta in [0, 1). Raises ValueError on anything outside its range.
    """
    h, eta = checked_curvature(curvature), _checked_rate(rate)
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum={momentum!r}: must be in [0, 1)")
    variance = checked_deviation("noise", noise) ** 2 / checked_count("batch", batch)
    room = 2.0 * (1.0 + momentum) - eta * h
    return eta * (1.0 + momentum) * variance / (2.0 * (1.0 - momentum) * room) if room > 0.0 else inf


def adam_stationary_loss(noise: float, batch: int, rate: float) -> float:
    r"""Return ``eta s_g / (4 sqrt(B))``, Adam's stationary loss to first order in eta, noise dominating the gradient.

    [re-derived, order only] Then ``v`` is about ``s_g^2/B``, and Adam is gradient descent of rate ``eta sqrt(B)/s_g``,
    whose `stationary_loss` at small rates is ``rate s_g^2/(4B)``. At a fixed loss ``eta`` is proportional to
    ``sqrt(B)``. Raises as `stationary_loss`.
    """
    deviation = checked_deviation("noise", noise) / sqrt(checked_count("batch", batch))
    return 0.25 * _checked_rate(rate) * deviation


def squared_norm_variance(gradient: npt.ArrayLike, covariance: npt.ArrayLike, batch: int) -> float:
    r"""Return ``Var ||g_B||^2 = 4 g' Sigma g / B + 2 tr(Sigma^2) / B^2`` for ``g_B ~ N(g, Sigma/B)``.

    [re-derived] Equation (33) has ``1/B^2`` alone, which needs ``B g' Sigma g << tr(Sigma^2)``; else the variance falls
    as 1/B, and fixing ``alpha^2 Var`` gives alpha proportional to sqrt(B). ``gradient`` (P,), ``covariance`` (P, P)
    positive semidefinite. Raises ValueError on shapes that do not fit, numbers that are not finite, an asymmetric or
    indefinite covariance, a batch below one.

    >>> squared_norm_variance([1.0, 0.0], [[2.0, 0.0], [0.0, 1.0]], 2)
    6.5
    """
    g, sigma = np.asarray(gradient, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    if g.ndim != 1 or g.size == 0 or sigma.shape != (g.size, g.size):
        raise ValueError(f"gradient.shape={g.shape}, covariance.shape={sigma.shape}: must be (P,) and (P, P), P > 0")
    if not (np.isfinite(g).all() and np.isfinite(sigma).all()) or not np.allclose(sigma, sigma.T):
        raise ValueError("gradient, covariance: must be finite, and the covariance symmetric")
    eigenvalues = np.linalg.eigvalsh(sigma)
    if eigenvalues[0] < -1e-10 * max(abs(eigenvalues[-1]), abs(eigenvalues[0])):
        raise ValueError(f"covariance: smallest eigenvalue={eigenvalues[0]:.3g}, must be zero or more")
    b = checked_count("batch", batch)
    return float(4.0 * (g @ sigma @ g) / b + 2.0 * np.sum(sigma**2) / b**2)


def rank_bound(neurons: Sequence[int], inputs: int, classes: int) -> int:
    r"""Return ``4 d_y (sum_l N_l + d_x)``, the bound of Section 7.1 on the rank of a ReLU network's Hessian.

    ``neurons`` are the sizes ``N_l`` of all layers, the output included, as the paper's own example counts them. It
    holds for the Hessian of one sample, not for that of N samples, whose activation patterns differ: its rank grows
    with N. Raises ValueError on sizes below one or no layer.

    >>> rank_bound([40, 2], 20, 2)
    496
    """
    return 4 * checked_count("classes", classes) * _width(neurons, inputs)


def small_loss_rank_bound(neurons: Sequence[int], inputs: int) -> int:
    """Return ``2 (sum_l N_l + d_x)``, the bound of Section 7.1 in the limit of small loss; raises as `rank_bound`."""
    return 2 * _width(neurons, inputs)


def psd_ceiling(
    mean_squared_top: float, parameters: int, batch: int, rank: int, population: int | None = None
) -> float:
    r"""Return ``B d_y E lambda'_1^2 / P``, which ``P sigma^2 / B`` cannot exceed if samples are positive semidefinite.

    [re-derived] ``H_B >= G_i/B`` for each i in the batch, so ``B^2 lambda'_1^2 >= lambda_1(G_i)^2``; take means,
    ``lambda_1(G_i)^2 >= ||G_i||_F^2 / d_y`` by rank d_y, and ``mean ||G_i||_F^2 >= P^2 sigma^2 (N-1)/N``. The last
    factor is kept, 1 if ``population`` N is None. ``mean_squared_top`` is ``E lambda'_1^2``, ``rank`` the rank ``d_y``
    of one sample. Raises ValueError on sizes below one, N below two, B > N or a mean that is negative or not finite.
    """
    mean = checked_deviation("mean_squared_top", mean_squared_top)
    p, b, d = checked_count("parameters", parameters), checked_count("batch", batch), checked_count("rank", rank)
    correction = 1.0
    if population is not None:
        n = checked_count("population", population)
        if n < 2 or b > n:
            raise ValueError(f"population={population!r}: must be at least two and batch={batch!r}")
        correction = n / (n - 1)
    return correction * b * d * mean / p


def checked_curvature(curvature: float) -> float:
    """Return a curvature as float; raise ValueError unless it is positive and finite."""
    if not (np.isfinite(curvature) and curvature > 0.0):
        raise ValueError(f"curvature={curvature!r}: must be positive and finite")
    return float(curvature)


def _checked_rate(rate: float) -> float:
    if not (np.isfinite(rate) and rate >= 0.0):
        raise ValueError(f"rate={rate!r}: must be a finite learning rate, zero or more")
    return float(rate)


def _width(neurons: Sequence[int], inputs: int) -> int:
    if len(neurons) == 0:
        raise ValueError("neurons=[]: must hold the size of one layer at least, the output")
    return sum(checked_count("neurons", size) for size in neurons) + checked_count("inputs", inputs)
