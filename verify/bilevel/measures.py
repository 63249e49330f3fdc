"""What several claims of this paper measure or audit in the same way."""

import numpy as np
import numpy.typing as npt

from problems import multi_block_bilevel as exact
from problems.bilevel_derivatives import BilevelCertificate
from theorylab.algorithms.bilevel_methods import BilevelRun
from theorylab.algorithms.block_estimators import BlockEstimator
from theorylab.audit import Hypothesis, certified

Array = npt.NDArray[np.float64]

SETTING = {
    "A1": r"$\mu I \preceq \nabla^2_{yy} g_i \preceq LI$ everywhere, $\mu > 0$",
    "A2": r"one sample at both points moves the lower gradients by at most $\bar L\|w-w'\|$ in the mean square",
    "A3": r"$\|\nabla_y f_i\| \le C_f$ and $\|\nabla^2_{xy} g_i\| \le C_{gxy}$",
    "A4": "the oracles are unbiased with bounded variance (for quadratics on bounded sets)",
    "A5": "F is bounded from below",
}
ROUNDING = 1e-9


def log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the least-squares slope of ``log y`` over ``log x``, both positive (n,); inf where a run diverged."""
    measured = np.asarray(y, dtype=np.float64)
    if not np.isfinite(measured).all():
        return float("inf")
    return float(np.polyfit(np.log(x), np.log(measured), 1)[0])


def errors_without_cross_term(values: Array, noise: Array, rule: BlockEstimator, *, sampled: int) -> Array:
    """Return the recursion of MSVR's error (T+1,) as if its cross term vanished, which it does at gamma* alone.

    Arguments are those of `exact_errors`; the estimator has to be MSVR with some gamma.
    """
    p, keep = sampled / values.shape[1], rule.keep
    drift = np.sum(np.diff(values, axis=0) ** 2, axis=2).mean(axis=1)
    errors = np.zeros(values.shape[0])
    for t in range(1, errors.size):
        added = (p * (rule.old - keep) ** 2 + 1.0 - p) * drift[t - 1] + p * noise[t - 1]
        errors[t] = (p * keep**2 + 1.0 - p) * errors[t - 1] + added
    return errors


def zero_fill_errors(values: Array, noise: Array, beta: float, *, sampled: int) -> Array:
    """Return the recursion of the zero-fill estimator's error (T+1,) in its own form, from an error of zero.

    ``E' = (1-beta)^2 E + (m/I - 1) ||k_t||^2 + (m/I) N_t``, ``k_t = h_t - (1-beta) h_{t-1}``, averaged over blocks.
    ``values`` (T+1, m, d) are h; ``noise`` (T,) is ``N_t = E||nbar(w_t) - (1-beta) nbar(w_{t-1})||^2``.
    """
    scale, keep = values.shape[1] / sampled, 1.0 - beta
    moved = np.sum((values[1:] - keep * values[:-1]) ** 2, axis=2).mean(axis=1)
    errors = np.zeros(values.shape[0])
    for t in range(1, errors.size):
        errors[t] = keep**2 * errors[t - 1] + (scale - 1.0) * moved[t - 1] + scale * noise[t - 1]
    return errors


def audited_setting(problem: exact.Problem, batch: int) -> dict[str, Hypothesis]:
    """Certify `SETTING` on a drawn instance and batches of that size; measured are mu, Lbar, C_f, sigma^2 and inf F."""
    found, c = exact.certify(problem, batch=batch), problem.constants
    finite = np.finfo(float).max
    return {
        "A1": certified(found.strong_convexity, at_least=c.strong_convexity * (1.0 - ROUNDING), note=_curved(found)),
        "A2": certified(found.lower_smoothness, at_most=finite, note="Lbar of the lower gradients"),
        "A3": certified(found.upper_gradient, at_most=c.upper_gradient * (1.0 + ROUNDING), note="C_f"),
        "A4": certified(found.lower_variance, at_most=finite, note=f"variance up to norm {found.reach:.3g}"),
        "A5": certified(found.lower_bound, at_least=-finite, note="lower bound"),
    }


def _curved(found: BilevelCertificate) -> str:
    return f"L = {found.smoothness:.6g}; mu"


def last_share(run: BilevelRun, share: float = 0.5) -> slice:
    """Return the slice of a run's record that holds its last ``share``."""
    return slice(run.times.size - max(1, int(share * run.times.size)), None)


def root_mean_gradient(run: BilevelRun, share: float = 0.5) -> float:
    """Return the root mean square of ``||grad F||`` over the last ``share`` of the record; inf where it diverged."""
    return float(np.sqrt(run.gradient_squares[last_share(run, share)].mean()))
