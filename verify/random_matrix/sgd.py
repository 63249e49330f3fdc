"""Learning rates of SGD with a fresh batch in every step: the linear rule, the batch's curvature, damping."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.random_matrix_hessians import SpikedWigner, SpikedWishart
from problems.spiked_ensembles import extreme_draws
from theorylab.algorithms.stability_chains import (
    CurvaturePairs,
    damping_threshold,
    gaussian_pairs,
    least_squares_pairs,
    lyapunov_exponent,
    lyapunov_threshold,
)
from theorylab.algorithms.stability_rules import dynamic_damping, dynamic_rate, least_squares_rate
from theorylab.audit import Hypothesis, by_construction
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, EveryRun, InExpectation
from verify.random_matrix import PAPER
from verify.random_matrix.rates import log_log_slope

Array = npt.NDArray[np.float64]

PARAMETERS = 500
CURVATURE = 1.0
DEVIATION = math.sqrt(200.0 / PARAMETERS)  # P sigma^2 = 200: noise dominates up to b of about 200
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
STEPS = 10000
SMALL = 16  # batches up to here are "very small": P sigma^2 / b is more than 12 lambda^2

FRESH = {"fresh": "every step draws a fresh batch, independent of the iterate"}
WIGNER = FRESH | {
    "noise": r"$H_{batch} = \lambda I + \epsilon$, $\epsilon$ symmetric Gaussian of variance $\sigma^2/b$"
}
LINEAR_MODEL = FRESH | {"data": r"realisable least squares with inputs $x \sim N(0, I_P)$"}


def _fresh() -> Hypothesis:
    return by_construction("one independent curvature pair for each step")


def _wigner() -> dict[str, Hypothesis]:
    return {"fresh": _fresh(), "noise": by_construction("Gaussian, off-diagonal variance sigma^2/b, twice that on it")}


def _linear_model() -> dict[str, Hypothesis]:
    return {"fresh": _fresh(), "data": by_construction("the law of u'H u and ||H u|| for Gaussian inputs")}


@claim(
    PAPER,
    source="Section 10.1; threshold, constant and proof re-derived",
    guarantee="tight",
    sweep=Sweep(name="B", label="batch size, B", quick=BATCHES, full=BATCHES, along_trajectory=True),
    replicates=Replicates(quick=10, full=24),
    judges=[
        Equals(measured="threshold", to="dynamic_rate", relative=0.02),
        InExpectation(measured="slope", at_least=0.95),
    ],
    controls=[
        Control("static rule: one and the same batch in all steps", fresh=False),
        Control("threshold without its factor P + 1", factor=False),
    ],
    hypotheses=WIGNER,
)
def sgd_linear(batches: Array, rng: np.random.Generator, *, fresh: bool = True, factor: bool = True) -> dict[str, Any]:
    r"""With a fresh batch in every step SGD's largest learning rate is linear in a small batch size.

    **Problem.** $\lambda\|w\|^2/2$ with $\lambda = 1$, $P = 500$, $P\sigma^2 = 200$, seen through batch Hessians
    $\lambda I + \epsilon_t$ with Gaussian symmetric $\epsilon_t$ of entry variance $\sigma^2/b$; $b = B$, infinite
    data.

    **Algorithm.** $w \leftarrow w - \eta(\lambda I + \epsilon_t)w$, $\epsilon_t$ fresh in each of 10000 steps.

    **Guarantee** (tight, re-derived). The mean square of $w$ stays bounded exactly for
    $$\eta \le \frac{2}{\lambda + (P+1)\sigma^2/(b\lambda)}.$$
    Proof: $E\epsilon_t = 0$, and $E\epsilon_t^2 = (P+1)(\sigma^2/b)I$: row $j$ of $\epsilon_t$ has $P - 1$ entries of
    variance $\sigma^2/b$ and one of $2\sigma^2/b$. So a step multiplies $E\|w\|^2$ by $(1 - \eta\lambda)^2 +
    \eta^2(P+1)\sigma^2/b$, and this is below one exactly for smaller $\eta$.

    The paper has the same formula, up to $P + 1$ for $P$, from another argument: it puts the outlier of Theorem 4,
    $\lambda_1 + P\sigma^2/(b\lambda_1)$, into the static condition $\eta < 2/\lambda_1(H_{batch})$ (24), where $b$ is
    so small that Theorem 4 has no outlier any more. The static rule of Theorem 4 is never steeper than $\sqrt B$
    (`static-slope-half`). The linear rule is right, and it is the fresh noise in every step that makes it so.

    **Measured.** The learning rate at which the Lyapunov exponent, the mean of $\log\|w_{t+1}\|/\|w_t\|$, changes sign,
    by bisection with common random numbers: within 2 % of the formula, which it can only exceed (Jensen). Its fitted
    slope over $B \le 16$, one a run, is at least 0.95; the formula itself has 0.974 there. Controls: the largest rate
    along one fixed batch, $2/\lambda_1(H_{batch})$, which is the static rule; and the formula with one direction of
    noise instead of $P + 1$.

    **Reference.** Granziol, Zohren and Roberts (2022), Section 10.1, equations (24), (25).
    """
    found, stated = [], []
    for batch in batches.astype(int).tolist():
        found.append(lyapunov_threshold(_seen(batch, fresh, rng)))
        directions = DEVIATION if factor else DEVIATION / math.sqrt(PARAMETERS + 1)
        stated.append(dynamic_rate(CURVATURE, PARAMETERS, directions, float(batch)))
    small = batches <= SMALL
    return {
        "threshold": np.array(found),
        "dynamic_rate": np.array(stated),
        "slope": np.full(batches.size, log_log_slope(batches[small], np.array(found)[small])),
        **_wigner(),
    }


@claim(
    PAPER,
    source="Section 10.1; threshold, constant and proof re-derived",
    guarantee="tight",
    sweep=Sweep(name="B", label="batch size, B", quick=BATCHES, full=BATCHES, along_trajectory=True),
    replicates=Replicates(quick=6, full=24),
    judges=[
        Equals(measured="threshold", to="dynamic_rate", relative=0.02),
        InExpectation(measured="slope", at_least=0.95),
    ],
    controls=[
        Control("static rule: one and the same batch in all steps", fresh=False),
        Control("threshold without its factor P + 1", factor=False),
    ],
    hypotheses=LINEAR_MODEL,
)
def sgd_linear_least_squares(
    batches: Array, rng: np.random.Generator, *, fresh: bool = True, factor: bool = True
) -> dict[str, Any]:
    r"""The linear rule for least squares: SGD's largest learning rate is 2 / (1 + (P+1)/B).

    **Problem.** Realisable least squares, $x \sim N(0, I_P)$, $P = 500$: $H_B = \frac1B\sum_i x_ix_i^\top$.

    **Algorithm.** SGD with a fresh batch in each of 10000 steps, $w \leftarrow w - \eta H_Bw$.

    **Guarantee** (tight, re-derived). The mean square of $w$ stays bounded exactly for $\eta \le 2/(1 + (P+1)/B)$.
    Proof: $E\|x\|^2xx^\top = (P+2)I$ for a Gaussian $x$, so the $B$ equal and $B(B-1)$ mixed pairs of the square give
    $EH_B^2 = ((P+2)/B + (B-1)/B)I$, and a step multiplies $E\|w\|^2$ by $1 - 2\eta + \eta^2(1 + (P+1)/B)$. Here no
    Wigner noise is assumed: these are batch Hessians of data.

    **Measured.** As in `sgd-linear`; the formula's own slope over $B \le 16$ is 0.990. Controls: the largest rate along
    one fixed batch, near $2/(1 + \sqrt{P/B})^2$, and the formula with $1/B$ for $(P+1)/B$.

    **Reference.** Granziol, Zohren and Roberts (2022), Section 10.1, equations (24), (25).
    """
    found, stated = [], []
    for batch in batches.astype(int).tolist():
        if fresh:
            found.append(lyapunov_threshold(least_squares_pairs(PARAMETERS, batch, STEPS, rng)))
        else:
            model = SpikedWishart("covariance", PARAMETERS, batch, 0.0)
            found.append(2.0 / float(extreme_draws(model, 1, rng).eigenvalues[0]))
        stated.append(least_squares_rate(PARAMETERS, batch) if factor else 2.0 / (1.0 + 1.0 / batch))
    small = batches <= SMALL
    return {
        "threshold": np.array(found),
        "dynamic_rate": np.array(stated),
        "slope": np.full(batches.size, log_log_slope(batches[small], np.array(found)[small])),
        **_linear_model(),
    }


@claim(
    PAPER,
    source="Section 14, conclusion 3; re-derived for least squares",
    guarantee="upper bound",
    sweep=Sweep(name="B", label="batch size, B", quick=(4, 16, 64, 256), full=(4, 8, 16, 32, 64, 128, 256)),
    replicates=Replicates(quick=4, full=12),
    judges=[EveryRun(measured="batch_growth", at_most=0.0), EveryRun(measured="empirical_growth", at_least=0.0)],
    controls=[
        Control("the rule of the batch with the curvature of the empirical Hessian", rule="empirical"),
        Control("four times the rate of the batch's curvature", multiple=4.0),
    ],
    hypotheses=LINEAR_MODEL,
)
def batch_curvature(
    batch: int, rng: np.random.Generator, *, rule: str = "batch", multiple: float = 1.0
) -> dict[str, Any]:
    r"""A rate of two over the curvature converges with the batch Hessian's curvature, diverges with the empirical one.

    **Problem.** Realisable least squares, $x \sim N(0, I_P)$, $P = 500$: $H_{emp} = I$, of top curvature 1, while a
    batch has $\lambda_1(H_B)$ near $(1 + \sqrt q)^2$, $q = P/B$.

    **Algorithm.** SGD with a fresh batch in each of 10000 steps, at the constant rate $2/\lambda_1$; $\lambda_1$ is the
    mean over eight batches, drawn before, or that of the empirical Hessian.

    **Guarantee** (upper bound, re-derived). $2/(1 + \sqrt q)^2 < 2/(1 + (P+1)/B)$ as $2\sqrt q > 1/B$, so by
    `sgd-linear-least-squares` the batch's rate is mean-square stable for every $B$. The empirical rate, 2, is not:
    there a step multiplies $E\|w\|^2$ by $1 + 4(P+1)/B$.

    **Measured.** The mean of $\log\|w_{t+1}\|^2/\|w_t\|^2$: below zero in every run at the batch's rate, above zero at
    the empirical one. Controls: the empirical curvature in the place of the batch's; and four times the batch's rate,
    which exceeds the threshold about twice or more, as $(1 + \sqrt q)^2 \le 2(1 + q)$.

    **Reference.** Granziol, Zohren and Roberts (2022), Sections 10.1 and 14.
    """
    model = SpikedWishart("covariance", PARAMETERS, batch, 0.0)
    of_batch = float(extreme_draws(model, 8, rng).eigenvalues.mean())
    pairs = least_squares_pairs(PARAMETERS, batch, STEPS, rng)
    curvature = of_batch if rule == "batch" else 1.0
    return {
        "batch_growth": lyapunov_exponent(pairs, multiple * 2.0 / curvature),
        "empirical_growth": lyapunov_exponent(pairs, 2.0),
        **_linear_model(),
    }


RATES = (0.25, 0.5, 1.0, 2.0)
DAMPED_BATCHES = (1, 4, 16, 64)


@claim(
    PAPER,
    source="Section 11, damping; re-derived, the paper has no theorem on it",
    guarantee="tight",
    sweep=Sweep(
        name="eta/B",
        label="learning rate over batch size, η/B",
        quick=(2.0, 1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125),
        full=(2.0, 1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=10, full=24),
    judges=[
        Equals(measured="damping", to="dynamic_damping", relative=0.03),
        Equals(measured="slope", between=(0.95, 1.06)),
    ],
    controls=[
        Control("static rule: one and the same batch in all steps", fresh=False),
        Control("damping without the factor P + 1", factor=False),
    ],
    hypotheses=WIGNER,
)
def damping(quotients: Array, rng: np.random.Generator, *, fresh: bool = True, factor: bool = True) -> dict[str, Any]:
    r"""With fresh batches the least damping is proportional to the learning rate over the batch size.

    **Problem.** As in `sgd-linear`: $\lambda = 1$, $P = 500$, $P\sigma^2 = 200$.

    **Algorithm.** SGD preconditioned by $(\lambda + \delta)^{-1}$, $w \leftarrow w - \frac{\eta}{\lambda +
    \delta}(\lambda I + \epsilon_t)w$, with rates $\eta \in \{1/4, \ldots, 2\}$ and batches $B \in \{1, 4, 16, 64\}$.

    **Guarantee** (tight, re-derived; the paper discusses damping in Section 11 and states no theorem). The least
    damping at which the mean square stays bounded is
    $$\delta = \frac{\eta}{2\lambda}\Bigl(\lambda^2 + \frac{(P+1)\sigma^2}{b}\Bigr) - \lambda,$$
    if that is positive: the step $\eta/(\lambda + \delta)$ has to meet the threshold of `sgd-linear`. At small $b$ it
    is proportional to $\eta/b$; the static rule would give $\eta/\sqrt b$.

    **Measured.** The least damping of a negative Lyapunov exponent, averaged over all pairs $(\eta, B)$ of one quotient
    whose stated damping exceeds $3\lambda$, where $\lambda$ does not hide the noise: within 3 % of the formula; its
    slope over $\eta/B$, one a run, within [0.95, 1.06]. Controls: one fixed batch, and the formula without $P + 1$.

    **Reference.** Granziol, Zohren and Roberts (2022), Section 11.
    """
    hessians = {batch: _seen(batch, fresh, rng) for batch in DAMPED_BATCHES}
    found, stated = [], []
    for quotient in quotients.tolist():
        pairs = [(rate, batch) for rate in RATES for batch in DAMPED_BATCHES if math.isclose(rate, quotient * batch)]
        kept = [pair for pair in pairs if _stated_damping(*pair) > 3.0 * CURVATURE]
        found.append(np.mean([damping_threshold(hessians[batch], rate, CURVATURE) for rate, batch in kept]))
        stated.append(np.mean([_stated_damping(*pair, factor=factor) for pair in kept]))
    return {
        "damping": np.array(found),
        "dynamic_damping": np.array(stated),
        # A control may need no damping at all; its slope is then that of rounding.
        "slope": np.full(quotients.size, log_log_slope(quotients, np.maximum(found, 1e-12))),
        **_wigner(),
    }


def _seen(batch: int, fresh: bool, rng: np.random.Generator) -> CurvaturePairs:
    """Curvature pairs of fresh batches, or one pair that has the largest eigenvalue of one batch for its curvature."""
    if fresh:
        return gaussian_pairs(CURVATURE, PARAMETERS, DEVIATION, float(batch), STEPS, rng)
    model = SpikedWigner(PARAMETERS, (CURVATURE,), DEVIATION, batch)
    return CurvaturePairs(extreme_draws(model, 1, rng).eigenvalues, np.zeros(1))


def _stated_damping(rate: float, batch: int, *, factor: bool = True) -> float:
    directions = DEVIATION if factor else DEVIATION / math.sqrt(PARAMETERS + 1)
    return dynamic_damping(rate, CURVATURE, PARAMETERS, directions, float(batch))
