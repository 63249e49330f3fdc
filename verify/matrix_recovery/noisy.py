"""The noisy method, the wrong variants that controls use, and its hypotheses, shared by the claims with errors.

The method of Theorem 27: spectral start of scale ``alpha``, then ``U <- U - 2 eta rho^t Q^s U / ||Q^s||``.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import MatrixSensing
from theorylab.algorithms.low_rank_start import spectral_start
from theorylab.algorithms.sign_rip import NOISELESS_SCALING
from theorylab.algorithms.subgradient_method import (
    Arm,
    Schedule,
    StepRule,
    geometric_schedule,
    subgradient_method_stacked,
)
from theorylab.audit import Hypothesis, by_construction, certified
from verify.matrix_recovery.measures import SENSING, SIGN_RIP, TRUTH, audited_sensing, audited_sign_rip, audited_truth

Array = npt.NDArray[np.float64]

STEP_CONSTANT = 4.0  # c in eta = c/(kappa L); the paper gives the order of eta only
HYPOTHESES = {
    "low-rank truth": TRUTH,
    "sensing": SENSING,
    "errors": r"an outlier with probability $p < 1$, of any size, and Gaussian noise of deviation $\nu_g < \infty$",
    "small start": r"$\alpha \lesssim 1/\sqrt d \wedge 1/\kappa \wedge (1-p)$; with Gaussian noise also $\sqrt{dr/m}$",
    "step sizes": r"$\eta \lesssim 1/(\kappa L)$ and $1-\rho = \Theta(\eta/(\kappa L))$, $L = \log(1/\alpha)$",
    "Sign-RIP": SIGN_RIP,
}


def schedule_of(method: str, alpha: float, instance: MatrixSensing) -> Schedule:
    """Return the schedule of the paper ("geometric") or of a wrong variant, for a start of scale ``alpha``.

    "constant" never shortens the normalised step. "noiseless" is the rule ``eta_t = (eta/2) f(U_t)`` of Theorem 22 and
    "least squares" gradient descent on the l2 loss; both run for the time in which the noiseless rule converges.
    Raises ValueError on another name.
    """
    truth = instance.truth
    geometric = geometric_schedule(alpha, truth.condition, STEP_CONSTANT)
    if method == "geometric":
        return geometric
    if method == "constant":
        return replace(geometric, decay=1.0)
    rules = {"noiseless": StepRule.QUASI_POLYAK, "least squares": StepRule.LEAST_SQUARES}
    if method not in rules:
        raise ValueError(f"method={method!r}: must be geometric, constant, noiseless or least squares")
    step = 0.3 / float(truth.eigenvalues[0])
    rate = step * float(truth.eigenvalues[-1]) * NOISELESS_SCALING**2
    return Schedule(rules[method], step, math.ceil((3.5 * math.log(1.0 / alpha) + 10.0) / rate))


def recovery_errors(
    instance: MatrixSensing,
    ranks: Sequence[int],
    alpha: float,
    *,
    method: str = "geometric",
    start_scale: float | None = None,
) -> Array:
    """Return the final errors ``||U_T U_T^T - X*||_F`` (n,) of all search ranks, run together; inf after divergence.

    The schedule is that of a start of scale ``alpha``, also where a control starts at another ``start_scale``.
    """
    schedule = schedule_of(method, alpha, instance)
    scale = alpha if start_scale is None else start_scale
    operator, observed = instance.operator, instance.observations
    arms = [Arm(spectral_start(operator, observed, rank, scale), schedule) for rank in ranks]
    paths = subgradient_method_stacked(operator, observed, arms, truth=instance.truth.matrix)
    return np.array([path.errors[-1] for path in paths])


def relative_errors(
    instance: MatrixSensing,
    ranks: Sequence[int],
    alpha: float,
    *,
    method: str = "geometric",
    start_scale: float | None = None,
) -> Array:
    """Return `recovery_errors` divided by ``||X*||_F``, shape (n,)."""
    errors = recovery_errors(instance, ranks, alpha, method=method, start_scale=start_scale)
    return errors / float(np.linalg.norm(instance.truth.eigenvalues))


def first_measurements(instance: MatrixSensing, m: int) -> MatrixSensing:
    """Return the instance with its first ``m`` measurements only, so that sizes share what was drawn."""
    return replace(
        instance,
        operator=instance.operator[:m],
        observations=instance.observations[:m],
        errors=instance.errors[:m],
        corrupted=instance.corrupted[:m],
    )


def audited(instance: MatrixSensing, alpha: float, rng: np.random.Generator) -> dict[str, Hypothesis]:
    """Return every hypothesis of `HYPOTHESES`, measured on the instance and a start of scale ``alpha``."""
    truth, noise = instance.truth, instance.noise
    scales = [1.0 / math.sqrt(truth.dimension), 1.0 / truth.condition, 1.0 - noise.share]
    if noise.gaussian > 0.0:
        scales.append(math.sqrt(truth.dimension * truth.rank / instance.measurements))
    return {
        "low-rank truth": audited_truth(truth, truth.rank, truth.condition),
        "sensing": audited_sensing(instance),
        "errors": by_construction("measured is the share of outliers drawn", float(instance.corrupted.mean())),
        "small start": certified(
            alpha / min(scales), at_most=1.0, note="alpha over the smallest scale, one for the hidden constant:"
        ),
        "step sizes": by_construction(
            "the orders hold with measured = eta kappa L; the paper hides how small it must be", STEP_CONSTANT
        ),
        "Sign-RIP": audited_sign_rip(instance, alpha, rng),
    }
