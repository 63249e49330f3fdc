"""What several claims of this paper measure or audit in the same way."""

import math

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import GroundTruth, MatrixSensing
from theorylab.algorithms.sign_rip import sign_scaling, typical_deviation
from theorylab.audit import Hypothesis, Status, by_construction, certified, not_certified, positive_semidefinite

Array = npt.NDArray[np.float64]

TRUTH = r"$X^\star$ is positive semidefinite of rank $r$ with condition number $\kappa$"
SENSING = r"the entries of all $A_i$ are independent $N(0,1)$, and the errors are independent of them"
SIGN_RIP = r"Sign-RIP$(4r, \delta)$ with $\delta \lesssim 1/(\sqrt r\,\kappa^2 \log^2(1/\alpha))$"


def audited_truth(truth: GroundTruth, rank: int, condition: float) -> Hypothesis:
    """Certify rank, semidefiniteness and condition number of ``X*`` (d, d) by its eigenvalues; measured is kappa."""
    psd = positive_semidefinite(truth.matrix)
    if psd.status is Status.VIOLATED:
        return psd
    eigenvalues = np.linalg.eigvalsh(truth.matrix)
    kept = eigenvalues[eigenvalues > 1e-10 * eigenvalues[-1]]
    if kept.size != rank:
        return certified(kept.size, at_least=rank, at_most=rank, note="rank")
    kappa = float(kept[-1] / kept[0])
    return certified(
        kappa, at_least=condition * (1 - 1e-9), at_most=condition * (1 + 1e-9), note=f"PSD, rank {rank}; kappa"
    )


def audited_sensing(instance: MatrixSensing) -> Hypothesis:
    """Report Gaussian sensing with errors drawn independently of it."""
    if instance.within_theory:
        return by_construction("all entries and the errors are drawn separately from one generator")
    return Hypothesis(Status.VIOLATED, note="the sensing is not Gaussian, or the errors depend on it")


def audited_sign_rip(instance: MatrixSensing, alpha: float, rng: np.random.Generator) -> Hypothesis:
    """Report the largest deviation of eight random matrices of rank 4r: a lower bound of delta, no certificate.

    ``alpha`` is the scale of the start. The required delta is quoted with one in place of the hidden constant.
    """
    truth, noise = instance.truth, instance.noise
    norm = float(np.linalg.norm(truth.eigenvalues))
    phi = sign_scaling(norm, share=noise.share, law=noise.law, scale=noise.scale, gaussian=noise.gaussian)
    rank = min(4 * truth.rank, truth.dimension)
    found = typical_deviation(instance.operator, instance.errors, phi, rank=rank, norm=norm, count=8, rng=rng)
    needed = 1.0 / (math.sqrt(truth.rank) * truth.condition**2 * math.log(1.0 / alpha) ** 2)
    return not_certified(f"measured is a lower bound of delta; the theorem asks for about {needed:.2g}", found.max())


def log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the least-squares slope of ``log y`` over ``log x``, both positive (n,); inf where a run diverged."""
    values = np.asarray(y, dtype=np.float64)
    if not np.isfinite(values).all():
        return math.inf
    return float(np.polyfit(np.log(x), np.log(values), 1)[0])


def first_time(times: npt.ArrayLike, reached: npt.ArrayLike) -> float:
    """Return the first of ``times`` (n,) at which ``reached`` (n,) is true, inf if there is none."""
    hits = np.flatnonzero(reached)
    return float(np.asarray(times)[hits[0]]) if hits.size else math.inf
