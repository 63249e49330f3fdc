"""Section 11.2: how the variance of a batch's squared gradient, and with it of the change in loss, falls with B."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.stability_rules import squared_norm_variance
from theorylab.audit import Hypothesis, by_construction
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals
from verify.random_matrix import PAPER
from verify.random_matrix.rates import log_log_slope

Array = npt.NDArray[np.float64]

DIMENSION, DRAWS = 10, 10000
BATCHES = (1, 4, 16, 64, 256, 1024)
HYPOTHESES = {"independent": r"gradients of samples are independent, $N(g, \Sigma)$: a batch has $N(g, \Sigma/B)$"}
SIGNALS = Sweep(
    name="signal",
    label="signal to noise of one sample, |g|² / tr Σ",
    quick=(0.02, 0.3, 3.0),
    full=(0.02, 0.3, 3.0),
)


@claim(
    PAPER,
    source="Section 11.2, equation (33)",
    guarantee="tight",
    sweep=SIGNALS,
    replicates=Replicates(quick=8, full=20),
    judges=Equals(measured="slope", to=-2.0, absolute=0.05),
    controls=[Control("noise alone, g = 0", scale=0.0)],
    hypotheses=HYPOTHESES,
    expected="violated",
    reason="the variance has a term in 1/B, which dominates at large B unless g = 0; see noise-variance",
)
def noise_variance_printed(signal: float, rng: np.random.Generator, *, scale: float = 1.0) -> dict[str, Any]:
    r"""Equation (33) as printed: the variance of the change in loss falls as the square of the batch size.

    **Problem.** Gradients of samples $N(g, \Sigma)$ in dimension 10, $\Sigma$ diagonal with entries from 0.5 to 1.5 and
    $\|g\|^2/\mathrm{tr}\,\Sigma$ from 0.02 to 3; batches of 1 to 1024.

    **Algorithm.** One linearised step of SGD, whose change in loss is $-\alpha\|g_B\|^2$ (32).

    **Guarantee** (tight, as printed). $\mathrm{Var}(\alpha\|g_B\|^2) \propto \alpha^2/B^2$, and with it the linear rule
    from equal variances.

    **Why it fails.** Write $g_B = g + z/\sqrt B$: $\|g_B\|^2 = \|g\|^2 + 2g^\top z/\sqrt B + \|z\|^2/B$. The middle
    term has the variance $4g^\top\Sigma g/B$. It is absent only for $g = 0$, and beyond $B$ of about
    $\mathrm{tr}\,\Sigma^2 / 2g^\top\Sigma g$ it dominates: then equal variances ask for $\alpha \propto \sqrt B$, not
    for $\alpha \propto B$.

    **Measured.** The slope of the variance of 10000 draws over $B$, one a run, against $-2 \pm 0.05$. Control: $g = 0$,
    where the printed law is exact.

    **Reference.** Granziol, Zohren and Roberts (2022), Section 11.2, equations (32), (33).
    """
    g, covariance = _gradients(scale * signal)
    variances = _sampled(g, covariance, rng)
    return {"slope": log_log_slope(BATCHES, variances), "independent": _independent()}


@claim(
    PAPER,
    source="Section 11.2, equation (33) corrected, re-derived",
    guarantee="tight",
    sweep=Sweep(name="signal", label=SIGNALS.label, quick=(0.0, 0.02, 0.3, 3.0), full=(0.0, 0.02, 0.1, 0.3, 1.0, 3.0)),
    replicates=Replicates(quick=8, full=20),
    judges=[
        Equals(measured="ratio_1", to=1.0, relative=0.04),
        Equals(measured="ratio_16", to=1.0, relative=0.04),
        Equals(measured="ratio_1024", to=1.0, relative=0.04),
        Equals(measured="slope", to="stated_slope", absolute=0.05),
    ],
    controls=[
        Control("the term in 1/B forgotten", cross=False),
        Control("covariance taken without its square", square=False),
    ],
    hypotheses=HYPOTHESES,
)
def noise_variance(
    signal: float, rng: np.random.Generator, *, cross: bool = True, square: bool = True
) -> dict[str, Any]:
    r"""The variance of a batch's squared gradient norm has a term in 1/B beside that in 1/B².

    **Problem and algorithm.** As in `noise-variance-printed`, with $g = 0$ as well.

    **Guarantee** (tight, re-derived). $\mathrm{Var}\|g_B\|^2 = 4g^\top\Sigma g/B + 2\,\mathrm{tr}\,\Sigma^2/B^2$ for
    $g_B \sim N(g, \Sigma/B)$: the two terms of $\|g_B\|^2 - \|g\|^2$ are uncorrelated, as odd moments of $z$ vanish,
    and $\mathrm{Var}\|z\|^2 = 2\,\mathrm{tr}\,\Sigma^2$.

    **Measured.** Variance of 10000 draws over the formula at $B = 1, 16, 1024$, within 4 %; the slope over all $B$, one
    a run, within 0.05 of the formula's: from $-2$ without signal to $-1$ where the signal dominates.

    **Reference.** Granziol, Zohren and Roberts (2022), Section 11.2.
    """
    g, covariance = _gradients(signal)
    variances = _sampled(g, covariance, rng)
    stated = np.array(
        [
            squared_norm_variance(g if cross else 0.0 * g, covariance if square else np.sqrt(covariance), batch)
            for batch in BATCHES
        ]
    )
    ratios = dict(zip(BATCHES, variances / stated, strict=True))
    return {
        "ratio_1": ratios[1],
        "ratio_16": ratios[16],
        "ratio_1024": ratios[1024],
        "slope": log_log_slope(BATCHES, variances),
        "stated_slope": log_log_slope(BATCHES, stated),
        "independent": _independent(),
    }


def _gradients(signal: float) -> tuple[Array, Array]:
    """Mean (d,) and covariance (d, d) of one sample's gradient, ``|g|^2 / tr Sigma`` being ``signal``."""
    variances = np.linspace(0.5, 1.5, DIMENSION)
    return np.full(DIMENSION, math.sqrt(signal * variances.mean())), np.diag(variances)


def _sampled(g: Array, covariance: Array, rng: np.random.Generator) -> Array:
    """Sample variances of ``||g_B||^2``, one for each of BATCHES, independent of each other."""
    deviations = np.sqrt(np.diag(covariance))
    found = []
    for batch in BATCHES:
        drawn = g + deviations / math.sqrt(batch) * rng.standard_normal((DRAWS, DIMENSION))
        found.append(np.var(np.einsum("ij,ij->i", drawn, drawn), ddof=1))
    return np.array(found)


def _independent() -> Hypothesis:
    return by_construction("batch means are drawn from their Gaussian law")
