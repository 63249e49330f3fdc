"""Gradient descent on the population loss: Propositions 16 and 17 along a run, and Theorem 18 with its constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import GroundTruth, ground_truth
from theorylab.algorithms.low_rank_start import orthonormal_start
from theorylab.algorithms.population_bounds import (
    LARGEST_STEP,
    SIGNAL_NORM_FACTOR,
    leading_hitting_time,
    linear_horizon,
    one_step_slacks,
    residual_bound,
)
from theorylab.algorithms.population_gradient import PopulationRun, population_gradient, small_start
from theorylab.audit import Hypothesis, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun, RateExactly
from verify.matrix_recovery import PAPER
from verify.matrix_recovery.measures import TRUTH, audited_truth

Array = npt.NDArray[np.float64]

WIDE, NARROW = (20, 3, 2.0, 20), (30, 2, 5.0, 12)  # d, r, kappa, r'
STEP = r"$\eta\sigma_1 \le 1/10$, where the paper writes $\eta \lesssim 1/\sigma_1$"
START = r"$\|U_0U_0^\top - 2\alpha^2 X^\star\| \le \alpha^2\sigma_r$"
REGION = r"$SS^\top \succ 0$, $\|SS^\top\| \le 1.01\,\sigma_1$ and $\|EE^\top\| \le \sigma_1$ at every iterate"


def _draw(size: tuple[int, int, float, int], alpha: float, rng: np.random.Generator) -> tuple[GroundTruth, Array]:
    """A random truth and a start that meets the hypothesis of Theorem 18 nearly with equality."""
    d, r, condition, search_rank = size
    truth = ground_truth(d, r, condition, rng)
    return truth, small_start(truth.basis, truth.eigenvalues, search_rank, alpha, rng)


def _run(truth: GroundTruth, start: Array, step_factor: float, checkpoints: Array) -> PopulationRun:
    """Run with the step ``step_factor / sigma_1``."""
    step = step_factor / float(truth.eigenvalues[0])
    return population_gradient(start, truth.basis, truth.eigenvalues, step, checkpoints)


def _horizon(truth: GroundTruth, alpha: float) -> int:
    """The explicit horizon at the largest step of the proof; controls use the same number of iterations."""
    sigma_1, sigma_r = float(truth.eigenvalues[0]), float(truth.eigenvalues[-1])
    return linear_horizon(alpha, LARGEST_STEP / sigma_1, sigma_1, sigma_r)


def _audited_step(step_factor: float) -> Hypothesis:
    return certified(step_factor, at_most=LARGEST_STEP, note="eta sigma_1")


def _audited_start(truth: GroundTruth, start: Array, alpha: float) -> Hypothesis:
    distance = float(np.linalg.norm(start @ start.T - 2 * alpha**2 * truth.matrix, 2))
    share = distance / (alpha**2 * float(truth.eigenvalues[-1]))
    return certified(share, at_most=1.0 + 1e-9, note="distance over alpha^2 sigma_r")


def _audited_region(run: PopulationRun) -> Hypothesis:
    """Certify the region of Proposition 17 at all iterates; measured is the largest share of a limit that is used."""
    sigma_1 = float(run.eigenvalues[0])
    used = max(run.signal_norm.max() / (SIGNAL_NORM_FACTOR * sigma_1), run.residual.max() / sigma_1)
    positive = bool(run.smallest_signal.min() > 0.0)
    return certified(float(used) if positive else math.inf, at_most=1.0 + 1e-12, note="share of the limits in use")


def _worst(slack: Array, scale: Array | float) -> float:
    """The largest slack in units of ``scale``; inf after divergence."""
    shares = slack / scale
    return float(np.where(np.isfinite(shares), shares, np.inf).max())


@claim(
    PAPER,
    source="Propositions 16 and 17",
    guarantee="upper bound",
    sweep=Sweep(
        name="d, r, kappa, r', alpha",
        label="dimension, rank, condition, search rank, scale of the start",
        quick=((*WIDE, 1e-2), (*NARROW, 1e-2)),
        full=tuple((*size, alpha) for size in (WIDE, NARROW) for alpha in (1e-2, 1e-3, 1e-4)),
    ),
    replicates=Replicates(quick=2, full=4),
    judges=[
        EveryRun(measured="growth", at_most=0.0, absolute=1e-8),
        EveryRun(measured="signal", at_most=0.0, absolute=1e-13),
        EveryRun(measured="cross", at_most=0.0, absolute=1e-13),
        EveryRun(measured="residual", at_most=0.0, absolute=1e-13),
        EveryRun(measured="signal_norm", at_most=0.0, absolute=1e-13),
    ],
    controls=[Control("step 1.2 / sigma_1", step_factor=1.2)],
    hypotheses={"truth": TRUTH, "start": START, "step": STEP, "region": REGION},
)
def population_one_step(
    point: tuple[int, int, float, int, float], rng: np.random.Generator, *, step_factor: float = LARGEST_STEP
) -> dict[str, Any]:
    r"""One step on the population loss: signal, cross and residual terms obey their recursions.

    **Problem.** $X^\star = V\Sigma V^\top$ of rank $r$, search rank $r' > r$; $S = V^\top U$ is the signal of an
    iterate and $E = V_\perp^\top U$ its residual.

    **Algorithm.** $U^+ = U - \eta(UU^\top - X^\star)U$, the sub-gradient method on
    $\bar f(U) = \|UU^\top - X^\star\|_F$ with step $(\eta/2)\bar f(U)$, from the small start of Theorem 18.

    **Guarantee** (upper bounds, Propositions 16 and 17; all constants are the paper's). With
    $\lambda = \lambda_{\min}(SS^\top)$, along such a run

    - $\lambda^+ \ge ((1+\eta\sigma_r)^2 - 2\eta\|EE^\top\|)\lambda - 2\eta(1+\eta\sigma_r)\lambda^2$ (growth),
    - $\|\Sigma - S^+S^{+\top}\| \le (1-\eta\lambda)\|\Sigma - SS^\top\| + 5\eta\|SE^\top\|^2$ (signal),
    - $\|S^+E^{+\top}\| \le (1 - \eta\lambda + 2\eta\|\Sigma - SS^\top\| + 2\eta\|EE^\top\|)\|SE^\top\|$ (cross),
    - $\|E^+E^{+\top}\| \le \|EE^\top\| - \eta\|EE^\top\|^2$ (residual), and $\|S^+S^{+\top}\| \le 1.01\,\sigma_1$.

    The growth bound is claimed for the iterates of these runs. At an arbitrary iterate it fails: see
    `growth-arbitrary-iterate`.

    **Measured.** The largest left side minus right side over all steps up to the explicit horizon of Theorem 18:
    growth over $\lambda$, signal over $\sigma_1$, cross over its initial size $\alpha\sqrt{\sigma_1}$, residual over
    itself. Nothing may exceed zero by more than rounding: $10^{-13}$, and $10^{-8}$ for growth, since $\lambda$ is an
    eigenvalue of a matrix that is up to $10^7$ times larger.

    **Reference.** Ma and Fattahi (2023), Propositions 16 and 17.
    """
    *size, alpha = point
    d, r, condition, search_rank = size
    truth, start = _draw((d, r, condition, search_rank), alpha, rng)
    run = _run(truth, start, step_factor, np.arange(_horizon(truth, alpha) + 1))
    slacks = one_step_slacks(run)
    sigma_1 = float(truth.eigenvalues[0])
    return {
        "growth": _worst(slacks.growth, run.smallest_signal[:-1]),
        "signal": _worst(slacks.signal_error, sigma_1),
        "cross": _worst(slacks.cross, alpha * math.sqrt(sigma_1)),
        "residual": _worst(slacks.residual, run.residual[:-1]),
        "signal_norm": _worst(slacks.signal_norm, sigma_1),
        "truth": audited_truth(truth, r, condition),
        "start": _audited_start(truth, start, alpha),
        "step": _audited_step(step_factor),
        "region": _audited_region(run),
    }


@claim(
    PAPER,
    source="Proposition 17 and Lemma 32, constants re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="d, r, kappa, r', alpha",
        label="dimension, rank, condition, search rank, scale of the start",
        quick=((*WIDE, 1e-2), (*NARROW, 1e-2), (*WIDE, 0.3), (*NARROW, 0.3)),
        full=tuple((*size, alpha) for size in (WIDE, NARROW) for alpha in (1e-4, 1e-3, 1e-2, 0.3)),
    ),
    replicates=Replicates(quick=2, full=4),
    judges=EveryRun(measured="ratio", at_most=1.0, rounding=1e-12),
    controls=[Control("a bound that decays three times as fast", decay=3.0)],
    hypotheses={"truth": TRUTH, "step": STEP, "region": REGION},
)
def population_residual(
    point: tuple[int, int, float, int, float], rng: np.random.Generator, *, decay: float = 1.0
) -> dict[str, Any]:
    r"""The residual never grows and decays at least like one over the iteration.

    **Problem, algorithm.** As in `population-one-step`; a start with $\alpha = 0.3$ makes the decay visible within
    the run, at smaller $\alpha$ the residual hardly moves.

    **Guarantee** (upper bound, re-derived from the paper's recursion $e^+ \le e - \eta e^2$, Proposition 17).
    With $e_t = \|E_tE_t^\top\|$: $1/e_{t+1} \ge 1/(e_t(1-\eta e_t)) \ge 1/e_t + \eta$, hence for all $t$
    $$e_t \le \frac{e_0}{1 + \eta e_0 t}.$$
    Lemma 32 states it with $\alpha^2$ in place of $e_0$. The true rate for large $t$ is twice as fast,
    $e_t \sim 1/(2\eta t)$, so that the control, three times as fast, has to fail.

    **Measured.** The largest $e_t$ over its bound for $1 \le t \le 2000$; at most 1.

    **Reference.** Ma and Fattahi (2023), Proposition 17, Lemma 32.
    """
    d, r, condition, search_rank, alpha = point
    truth, start = _draw((d, r, condition, search_rank), alpha, rng)
    # Every iteration where the residual moves fastest, every tenth afterwards.
    times = np.r_[np.arange(200), np.arange(200, 2001, 10)]
    run = _run(truth, start, LARGEST_STEP, times)
    bound = residual_bound(float(run.residual[0]), decay * run.step, times)
    return {
        "ratio": float(np.max((run.residual / bound)[1:])),
        "truth": audited_truth(truth, r, condition),
        "step": _audited_step(LARGEST_STEP),
        "region": _audited_region(run),
    }


@claim(
    PAPER,
    source="Theorem 18 (i), constants re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="d, r, kappa, r', alpha",
        label="dimension, rank, condition, search rank, scale of the start",
        quick=tuple((*size, alpha) for size in (WIDE, NARROW) for alpha in (1e-2, 1e-3)),
        full=tuple((*size, alpha) for size in (WIDE, NARROW) for alpha in (1e-2, 1e-3, 1e-4)),
    ),
    replicates=Replicates(quick=2, full=4),
    judges=[
        EveryRun(measured="error", at_most="level"),
        EveryRun(measured="time_ratio", at_least=0.9, at_most=1.1),
    ],
    controls=[Control("step 1.2 / sigma_1", step_factor=1.2), Control("start of scale 1", start_scale=1.0)],
    hypotheses={"truth": TRUTH, "start": START, "step": STEP},
)
def population_linear(
    point: tuple[int, int, float, int, float],
    rng: np.random.Generator,
    *,
    step_factor: float = LARGEST_STEP,
    start_scale: float | None = None,
) -> dict[str, Any]:
    r"""From a small start the population loss is solved to 4α² within order log(1/α) / (ησᵣ) iterations.

    **Problem.** As in `population-one-step`.

    **Algorithm.** $U^+ = U - \eta(UU^\top - X^\star)U$ from $\|U_0U_0^\top - 2\alpha^2X^\star\| \le \alpha^2\sigma_r$.

    **Guarantee** (upper bound, Theorem 18 (i): $\|U_tU_t^\top - X^\star\| \lesssim \alpha^2$ after
    $\bar T \lesssim \log(\sigma_1/\alpha)/(\eta\sigma_r)$ iterations). Re-derived with all constants: the error is at
    most $4\alpha^2$ from an explicit $\bar T$ on, signal and residual giving $\alpha^2$ each and the cross term twice
    that; see `theorylab.algorithms.population_bounds.linear_horizon`. Sharp order, re-derived: the level $4\alpha^2$
    is met after about $2\log(1/\alpha)/(\eta\sigma_r)$ iterations, half of them growth and half contraction.

    **Measured.** The largest spectral error from $\bar T$ to $1.5\,\bar T$; and how many iterations more a ten times
    smaller $\alpha$ takes to its level, over the predicted $2\log(10)/(\eta\sigma_r)$. That order is for small $\eta$
    and $\alpha$; 10 % is allowed for what is neither.

    **Reference.** Ma and Fattahi (2023), Theorem 18.
    """
    d, r, condition, search_rank, alpha = point
    truth, start = _draw((d, r, condition, search_rank), start_scale or alpha, rng)
    horizon = _horizon(truth, alpha)
    late = _run(truth, start, step_factor, np.unique(np.linspace(horizon, 1.5 * horizon, 20).astype(int)))
    return {
        "error": float(late.error.max()),
        "level": 4 * alpha**2,
        "time_ratio": _extra_time(truth, start, alpha, step_factor),
        "truth": audited_truth(truth, r, condition),
        "start": _audited_start(truth, start, alpha),
        "step": _audited_step(step_factor),
    }


def _extra_time(truth: GroundTruth, start: Array, alpha: float, step_factor: float) -> float:
    """Extra iterations that the ten times smaller start needs, over the leading order; inf if a level is not met."""
    smallest, step = float(truth.eigenvalues[-1]), LARGEST_STEP / float(truth.eigenvalues[0])
    predicted = [leading_hitting_time(scale, step, smallest) for scale in (alpha, alpha / 10)]
    # Half as long again as predicted: who takes longer has missed the window anyway.
    times = np.arange(int(1.5 * predicted[1]))
    hits = [
        _run(truth, factor * start, step_factor, times).first_hit(4 * (factor * alpha) ** 2) for factor in (1.0, 0.1)
    ]
    if hits[0] is None or hits[1] is None:
        return math.inf
    return (hits[1] - hits[0]) / (predicted[1] - predicted[0])


@claim(
    PAPER,
    source="Theorem 18 (ii), constant re-derived",
    guarantee="tight",
    sweep=Sweep(
        name="t",
        label="iteration, t",
        quick=(2000, 2500, 3200, 4000, 5000),
        full=(2000, 3000, 4500, 7000, 10_000, 15_000, 20_000),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=3, full=4),
    judges=[
        RateExactly(measured="error", rate=-1.0, margin=(0.05, 0.07)),
        EveryRun(measured="scaled", at_least=0.95, at_most=1.05),
    ],
    controls=[Control("small start", start_scale=1e-3), Control("exact rank", search_rank=3)],
    hypotheses={"truth": TRUTH, "step": STEP, "start": r"$\alpha = 0.3$ below $\sqrt{\sigma_r}$"},
)
def population_sublinear(
    times: Array, rng: np.random.Generator, *, start_scale: float = 0.3, search_rank: int = 20
) -> dict[str, Any]:
    r"""Once ηα²t is large, over-parameterisation makes the error decay like 1/(2ηt), not linearly.

    **Problem.** $d = 20$, $r = 3$, $\kappa = 2$, search rank $r' = d$.

    **Algorithm.** $U^+ = U - \eta(UU^\top - X^\star)U$ with $\eta\sigma_1 = 1/10$ from $U_0 = 0.3$ times a random
    matrix with orthonormal columns.

    **Guarantee** (Theorem 18 (ii), an upper bound: $\|U_tU_t^\top - X^\star\| \lesssim \alpha^2/(\eta\alpha^2t + 1)$;
    judged as tight). Re-derived constant: outside the rows of the signal the residual follows
    $x^+ = (1 - \eta x)^2x$, so that $1/x_t = 1/x_0 + 2\eta t + O(\eta\log t)$ and $x_t \sim 1/(2\eta t)$. The start is
    not the one of Theorem 18; the recursion holds from any start whose signal converges.

    **Measured.** The slope of the spectral error over $t$ in $[-1.05, -0.93]$, and error times $2\eta t$ within 5 %
    of one at every $t$: with $1/x_0 = 11.1$ the correction is 4 % at $t = 2000$ and falls. From a small start, or
    with $r' = r$, there is no such tail.

    **Reference.** Ma and Fattahi (2023), Theorem 18 and Lemma 32.
    """
    truth = ground_truth(20, 3, 2.0, rng)
    start = orthonormal_start(20, search_rank, start_scale, rng)
    run = _run(truth, start, LARGEST_STEP, times)
    alpha_share = start_scale / math.sqrt(float(truth.eigenvalues[-1]))
    return {
        "error": run.error,
        "scaled": run.error * 2 * run.step * times,
        "truth": audited_truth(truth, 3, 2.0),
        "step": _audited_step(LARGEST_STEP),
        "start": certified(alpha_share, at_most=1.0, note="alpha over sqrt(sigma_r)"),
    }
