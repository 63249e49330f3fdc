r"""Learning rates for a batch size, from the curvature of the full loss and the noise of the batch Hessian.

Two rules, in the notation of Granziol, Zohren and Roberts, JMLR 23, 2022, with ``x = P sigma^2``, ``b = B/(1 - B/N)``:

- *static* (Section 10.1): ``2 / lambda'_1`` with the top eigenvalue of the batch Hessian by Theorem 4, that is
  ``lambda_1 + x/(b lambda_1)`` above the transition ``lambda_1^2 > x/b`` and ``2 sqrt(x/b)`` below. A step below it
  decreases the loss of its own batch.
- *dynamic* [re-derived]: ``2 / (lambda_1 + (P+1) sigma^2/(b lambda_1))`` for every b. A step below it keeps the mean
  square of the iterates from growing when each step draws a fresh batch.

The dynamic threshold is never above the static one (``t + 1/t >= 2``, but for the P + 1), and it alone has the linear
scaling in B that the paper draws from the static formula outside of its domain.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.extreme_eigenvalues import extreme_eigenvalues
from theorylab.algorithms.hessian_variance import SampleProducts, hessian_variance_probe
from theorylab.algorithms.operators import Array, Matvec, symmetric_operator
from theorylab.algorithms.random_matrix_laws import batch_top, effective_batch
from theorylab.algorithms.stability_rules import static_rate
from theorylab.algorithms.step_thresholds import heavy_ball_threshold


class Limit(Enum):
    """What limits the learning rate; values are sentences for people."""

    NOISE = "the noise of the batch Hessian limits the step: it may grow about as the batch size does"
    CURVATURE = "the curvature of the full loss limits the step: a larger batch hardly helps"


@dataclass(frozen=True, slots=True)
class LearningRates:
    """Thresholds of the learning rate for one batch size, and the suggestion.

    ``curvature`` lambda_1 with ``curvature_error``; ``noise`` x (averaged over random probes or given);
    ``noise_at_top`` ``b E||epsilon u_1||^2`` along the top eigenvector, measured where per-sample products are at
    hand and ``x (P+1)/P`` otherwise; ``effective_batch`` b; ``batch_curvature`` lambda'_1 of Theorem 4 and whether it
    is an ``outlier``; thresholds ``static`` and ``dynamic`` without momentum; ``with_momentum``, the dynamic threshold
    of heavy ball with the momentum asked for; ``suggested``, half of it, at which the mean square shrinks fastest
    without momentum; ``exponent`` ``d ln(dynamic) / d ln b`` in [0, 1]; ``critical_batch``, the B at which noise and
    curvature weigh the same (infinite data: b itself); ``limit`` and ``reason`` in words.
    """

    curvature: float
    curvature_error: float
    noise: float
    noise_at_top: float
    effective_batch: float
    batch_curvature: float
    outlier: bool
    static: float
    dynamic: float
    with_momentum: float
    suggested: float
    exponent: float
    critical_batch: float
    limit: Limit
    reason: str


def suggest_learning_rate(
    matvec: Matvec,
    n: int | None,
    batch_noise: float | SampleProducts,
    *,
    batch_size: int,
    rng: np.random.Generator,
    population: int | None = None,
    momentum: float = 0.0,
    probes: int = 8,
    tol: float = 1e-4,
) -> LearningRates:
    """Return the learning rates that the curvature and the batch noise allow for a batch size.

    ``matvec`` is the Hessian (or generalised Gauss-Newton matrix) of the *full* loss: matrix, LinearOperator or
    function of (n,). ``batch_noise`` is the per-sample variance ``x = P sigma^2``, or a function that maps v (n,) to
    the per-sample products ``H_i v``, rows (N, n) or blocks of rows; x is then measured with ``probes`` random
    vectors and once along the top eigenvector. Real noise is not isotropic, so that the second number, which is the
    one that counts there, is often far above the first. ``population`` N is the number of data for batches without
    replacement, None for fresh samples. ``momentum`` of heavy ball in [0, 1). ``tol`` of the top eigenvalue.

    The dynamic rule is exact for an isotropic quadratic with Wigner noise; elsewhere it is the condition along the
    top eigenvector, a guide and not a guarantee. Raises ValueError on a batch size outside 1..N, negative noise, no
    positive curvature, and as `extreme_eigenvalues`.

    >>> found = suggest_learning_rate(np.eye(100), None, 16.0, batch_size=1, rng=np.random.default_rng(0))
    >>> round(found.static, 3), round(found.dynamic, 3), found.limit.name
    (0.25, 0.117, 'NOISE')
    """
    b = effective_batch(batch_size, population)
    operator = symmetric_operator(matvec, n, rng=rng)
    # A product with a Hessian is a pass over the data: a large basis, so that few are needed.
    top = extreme_eigenvalues(operator.apply, operator.n, tol=tol, rng=rng, basis=min(operator.n, 80))
    lam = float(top.values[0])
    if not lam > 0.0:
        raise ValueError(f"largest curvature={lam!r}: must be positive; the operator is zero or negative")
    noise, noise_at_top = _noise(batch_noise, operator.n, top.vectors[:, 0], probes, rng)
    return _assembled(lam, float(top.errors[0]), noise, noise_at_top, batch_size, b, population, momentum)


def _assembled(
    lam: float,
    error: float,
    noise: float,
    noise_at_top: float,
    batch_size: int,
    b: float,
    population: int | None,
    momentum: float,
) -> LearningRates:
    """Return both rules for top curvature ``lam``, and say which limits."""
    rho, variance = float(np.sqrt(noise / b)), noise_at_top / b
    dynamic = float(heavy_ball_threshold(lam, noise=variance))
    with_momentum = float(heavy_ball_threshold(lam, noise=variance, momentum=momentum))
    share = variance / (lam**2 + variance)
    critical = noise_at_top / lam**2
    if population is not None:
        critical = critical / (1.0 + critical / population)
    static = static_rate(lam, rho)
    limit = Limit.NOISE if share > 0.5 else Limit.CURVATURE
    reason = (
        f"{limit.value}; at B={batch_size} noise is {share:.0%} of lambda_1 + x/(b lambda_1), half of it at "
        f"B={critical:.3g}. The dynamic threshold is {dynamic:.3g}, the static one {static:.3g} "
        f"({'an outlier' if lam > rho else 'the bulk edge'} of Theorem 4); the suggestion follows the dynamic one."
    )
    return LearningRates(
        curvature=lam,
        curvature_error=error,
        noise=noise,
        noise_at_top=noise_at_top,
        effective_batch=b,
        batch_curvature=batch_top(lam, rho),
        outlier=lam > rho,
        static=static,
        dynamic=dynamic,
        with_momentum=with_momentum,
        suggested=0.5 * with_momentum,
        exponent=share,
        critical_batch=critical,
        limit=limit,
        reason=reason,
    )


def _noise(
    batch_noise: float | SampleProducts, n: int, top: Array, probes: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return x and the noise along the top eigenvector (n,), measured or, for Wigner noise, x (P+1)/P."""
    if callable(batch_noise):
        count = checked_count("probes", probes)
        isotropic = np.mean([hessian_variance_probe(batch_noise, n, rng=rng).noise for _ in range(count)])
        return float(isotropic), hessian_variance_probe(batch_noise, n, rng=rng, direction=top).noise
    if not (np.isfinite(batch_noise) and batch_noise >= 0.0):
        raise ValueError(
            f"batch_noise={batch_noise!r}: must be x = P sigma^2, finite and not negative, or a function that maps a "
            "vector to the per-sample products"
        )
    return float(batch_noise), float(batch_noise) * (n + 1.0) / n
