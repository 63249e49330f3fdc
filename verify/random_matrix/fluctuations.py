"""How outliers and edges shrink with the batch and fluctuate: slopes, central limit, Tracy-Widom."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from problems.random_matrix_hessians import SpikedWigner
from problems.spiked_ensembles import extreme_draws
from theorylab.algorithms.random_matrix_laws import (
    TRACY_WIDOM_MEAN,
    TRACY_WIDOM_VARIANCE,
    outlier_fluctuation,
    standardised_edge,
)
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, InExpectation, RateExactly
from verify.random_matrix import PAPER
from verify.random_matrix.ensembles import DRAWS, NOISE, WIGNER, audited_wigner, wigner

# Mean and variance of the Tracy-Widom law of complex Hermitian matrices, beta = 2: not ours (Bornemann 2010).
COMPLEX_MEAN, COMPLEX_VARIANCE = -1.7710868074, 0.8131947928
CLT_DRAWS = 1000
TW_DRAWS = 600


@claim(
    PAPER,
    source="Theorem 4 and Section 6: excess of outliers, width of the bulk",
    guarantee="tight",
    sweep=Sweep(
        name="b",
        label="batch size, b",
        quick=(64, 128, 256, 512, 1024),
        full=(64, 128, 256, 512, 1024, 2048, 4096),
    ),
    replicates=Replicates(quick=8, full=32),
    judges=[
        RateExactly(measured="excess", rate="excess_stated", margin=0.03),
        RateExactly(measured="bulk", rate="bulk_stated", margin=0.03),
        Equals(measured="excess", to="excess_formula", relative=0.03),
    ],
    controls=[
        Control("excess of an outlier like b^(-1/2)", excess_power=-0.5),
        Control("edge of the bulk like 1/b", edge_power=-1.0),
    ],
    hypotheses=WIGNER,
)
def excess_slope(
    b: int, rng: np.random.Generator, *, excess_power: float = -1.0, edge_power: float = -0.5
) -> dict[str, Any]:
    r"""The excess of an outlier falls as 1/b, the edge of the bulk as the square root of 1/b.

    **Problem.** As `bbp-spike`, $P = 2000$, at $b \ge 64$, four times the transition; and the same noise with
    $H_{\mathrm{emp}} = 0$.

    **Algorithm.** Exact tridiagonal draws, 50 a run, independent at each batch size.

    **Guarantee** (tight in the limit, Theorem 4): $\lambda_1' - \lambda_1 = P\sigma^2/(b\lambda_1) \propto 1/b$ for an
    outlier and $2\sigma\sqrt{P/b}$ without one.

    **Measured.** The mean excess $\lambda_1' - \phi_1^\top H_{\mathrm{batch}}\phi_1$ (the subtracted number has mean
    $\lambda_1$ and takes away most of the noise) and the mean edge: their slopes over $b$ within 0.03 of $-1$ and
    $-1/2$, the excess within 3 % of the formula. Controls: the two powers confused.

    **Chosen after measuring.** Eight seeds in the quick budget, twelve before: a cut for cost, where power was ample.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 4 and Section 6.
    """
    spiked = extreme_draws(wigner(b), 50, rng)
    bulk = extreme_draws(wigner(b, spike=0.0), 50, rng)
    return {
        "excess": float(np.mean(spiked.eigenvalues - spiked.corners)),
        "excess_formula": NOISE / b,
        "excess_stated": NOISE / 64 * (b / 64) ** excess_power,
        "bulk": float(bulk.eigenvalues.mean()),
        "bulk_stated": 2.0 * sqrt(NOISE / 64) * (b / 64) ** edge_power,
        **audited_wigner(),
    }


@claim(
    PAPER,
    source="Theorem 4, consequence re-derived",
    guarantee="upper bound",
    sweep=Sweep(
        name="b", label="batch size, b", quick=(17, 20, 32, 64, 256), full=(17, 18, 20, 24, 32, 64, 128, 256, 1024)
    ),
    replicates=Replicates(quick=8, full=32),
    judges=InExpectation(measured="gain", at_most=2.0),
    controls=[Control("batches below the transition", share=0.25)],
    hypotheses=WIGNER,
)
def factor_two_ceiling(b: int, rng: np.random.Generator, *, share: float = 1.0) -> dict[str, Any]:
    r"""A separated outlier is at most twice the eigenvalue of the full Hessian, whatever the batch size.

    **Problem.** As `bbp-spike`, at batch sizes above the transition $b = 16$.

    **Algorithm.** Exact tridiagonal draws; the mean over 20 draws is one run.

    **Guarantee** (upper bound, re-derived from Theorem 4). An outlier exists only where $\lambda_1 > \rho$, so
    $\lambda_1'/\lambda_1 = 1 + \rho^2/\lambda_1^2 < 2$. The rate $2/\lambda_1'$ gains less than a factor of two between
    the smallest batch with an outlier and the full batch. The figures of the paper show separated outliers
    of three to seven times the full eigenvalue: such data do not follow Theorem 4 as it stands.

    **Measured.** $\mathrm E\lambda_1'/\lambda_1 \le 2$. Control: a quarter of the batch, where there is no outlier and
    the edge exceeds $2\lambda_1$.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 4, Figures 6 and 7.
    """
    model = wigner(round(share * b))
    return {"gain": float(extreme_draws(model, DRAWS, rng).eigenvalues.mean()), **audited_wigner()}


@claim(
    PAPER,
    source="Theorem 4 at finite P: Tracy-Widom law of the edge (Section 8.2.1 on finite sizes)",
    guarantee="tight",
    sweep=Sweep(name="P", label="number of parameters, P", quick=(1000,), full=(1000, 2000, 4000)),
    replicates=Replicates(quick=8, full=16),
    judges=[
        Equals(measured="mean", to="mean_stated", absolute=0.15),
        Equals(measured="variance", to="variance_stated", absolute=0.23),
    ],
    controls=[
        Control("the law of complex matrices", law="complex"),
        Control("a spike at the transition", theta=1.0),
    ],
    hypotheses=WIGNER,
)
def tw_edge(P: int, rng: np.random.Generator, *, law: str = "real", theta: float = 0.0) -> dict[str, Any]:
    r"""Below the transition the top eigenvalue fluctuates by the Tracy-Widom law, in powers of P and not of B.

    **Problem.** Gaussian noise alone at $B = 1$, $H_{\mathrm{emp}} = 0$, $P = 1000$.

    **Algorithm.** 600 exact tridiagonal draws a run.

    **Guarantee** (tight in the limit). $(\lambda_1' - 2\rho)P^{2/3}/\rho$ tends to the Tracy-Widom law with $\beta =
    1$, mean $-1.2065$ and variance 1.6078. So the edge is off by $0.6\,P^{-2/3}$ of itself, 0.6 % at $P = 1000$ even
    for a batch of one; the correction of order $B^{-1/4}$ that Section 8.2.1 quotes (30 % at $B = 128$) is not that of
    this model.

    **Measured.** Mean and variance of the standardised top eigenvalue, within three standard errors of 1500 draws plus
    0.05: 0.15 and 0.23. The mean at finite $P$ is low by about $P^{-1/3}/2$, which is 0.05 here. Controls: the
    constants of $\beta = 2$; a spike at the transition, which already shifts the top eigenvalue.

    **Chosen after measuring.** 600 draws a run and not 1500, for cost; the tolerances are still those of 1500. The
    order was chosen for cost as well, before there were data.

    **Reference.** Tracy and Widom (1996); Granziol, Zohren and Roberts (2022), Section 8.2.1.
    """
    model = SpikedWigner(P, (theta,) if theta > 0.0 else (), sqrt(1.0 / P), 1)
    tops = standardised_edge(extreme_draws(model, TW_DRAWS, rng).eigenvalues, P, model.radius)
    real = law == "real"
    return {
        "mean": float(tops.mean()),
        "mean_stated": TRACY_WIDOM_MEAN if real else COMPLEX_MEAN,
        "variance": float(tops.var(ddof=1)),
        "variance_stated": TRACY_WIDOM_VARIANCE if real else COMPLEX_VARIANCE,
        **audited_wigner(order=P),
    }


@claim(
    PAPER,
    source="Theorem 4 at finite P: central limit of an outlier",
    guarantee="tight",
    sweep=Sweep(name="theta", label="eigenvalue over radius, θ = λ₁/ρ", quick=(2.0,), full=(1.5, 2.0, 3.0)),
    replicates=Replicates(quick=12, full=32),
    judges=Equals(measured="variance", to="stated", relative=0.067),
    controls=[
        Control("twice the diagonal's variance forgotten", share=0.5),
        Control("no repulsion from the bulk", repulsion=False),
    ],
    hypotheses=WIGNER,
)
def spike_clt(theta: float, rng: np.random.Generator, *, share: float = 1.0, repulsion: bool = True) -> dict[str, Any]:
    r"""Above the transition the top eigenvalue is normal around the outlier, with variance 2(1 - 1/θ²)/P.

    **Problem.** Rank one, $\lambda_1 = \theta\rho$, Gaussian noise, $P = 500$.

    **Algorithm.** 1000 exact tridiagonal draws a run.

    **Guarantee** (tight in the limit). $\sqrt P(\lambda_1'/\rho - \theta - 1/\theta) \to N(0, 2(1-\theta^{-2}))$. The
    2 is the variance of $\phi_1^\top\epsilon\phi_1$ over $\rho^2/P$, a diagonal entry; the factor $1 - \theta^{-2}$ is
    the slope of the outlier in $\lambda_1$.

    **Measured.** $P$ times the variance of $\lambda_1'/\rho$ over the formula, within $3\sqrt{2/4000}$. Controls: off-
    diagonal variance in place of the diagonal's; the first-order term alone.

    **Chosen after measuring.** Order and draws a run were set for cost before there were data; afterwards the quick
    budget's seeds were cut from 16 to 12. They still have more draws than the 4000 of the tolerance.

    **Reference.** Péché (2006); Capitaine, Donati-Martin and Féral (2009).
    """
    order = 500
    model = SpikedWigner(order, (theta,), sqrt(1.0 / order), 1)
    stated = outlier_fluctuation(theta) if repulsion else 2.0
    return {
        "variance": order * float(extreme_draws(model, CLT_DRAWS, rng).eigenvalues.var(ddof=1)),
        "stated": share * stated,
        **audited_wigner(order=order),
    }
