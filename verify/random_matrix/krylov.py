"""Lanczos: the bounds of Theorem 12 at both ends, interlacing, and how many moments its quadrature matches."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.lanczos import lanczos, power_iteration, ritz_values
from theorylab.algorithms.lanczos_bounds import kaniel_paige_bottom, kaniel_paige_top
from theorylab.algorithms.spectral_density import spectral_density
from theorylab.audit import Hypothesis, by_construction, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun
from verify.random_matrix import PAPER

Array = npt.NDArray[np.float64]

STEPS = Sweep(name="m", label="Lanczos steps m", quick=(3, 5, 8, 10, 12, 20), full=(3, 5, 8, 10, 12, 16, 20, 24))
STARTS = Replicates(quick=25, full=100)
# A few units in the last place of eigenvalues of order one.
ROUNDING = 1e-12
START = {
    "start": "the start is uniform on the sphere, so that it is orthogonal to no eigenvector",
    "gap": "the eigenvalue at the end in question is simple",
}


def separated_top(rng: np.random.Generator) -> Array:
    """Eigenvalues (400,), descending: 2, 1.3 and the rest uniform on [0.05, 1]."""
    return np.concatenate([[2.0, 1.3], np.sort(rng.uniform(0.05, 1.0, 398))[::-1]])


def crowded_bottom(rng: np.random.Generator) -> Array:
    """Eigenvalues (400,), descending: 4, then uniform on [1, 1.9], and a close pair .999, .9985 at the bottom."""
    return np.concatenate([[4.0], np.sort(rng.uniform(1.0, 1.9, 397))[::-1], [0.999, 0.9985]])


def _audited(start: Array, gap: float) -> dict[str, Hypothesis]:
    """Certify the two hypotheses `START`: the smallest component of the start (n,) and the gap at that end."""
    smallest = float(np.abs(start).min())
    return {
        "start": certified(smallest, at_least=1e-300, note="smallest overlap with an eigenvector"),
        "gap": certified(gap, at_least=1e-9, note="gap"),
    }


def _bottom(m: int, rng: np.random.Generator) -> tuple[float, Array, Array]:
    """The error of the smallest Ritz value after m steps, the eigenvalues and the unit start."""
    eigenvalues = crowded_bottom(rng)
    start = rng.standard_normal(eigenvalues.size)
    start /= np.linalg.norm(start)
    ritz = ritz_values(lanczos(np.diag(eigenvalues), steps=m, rng=rng, start=start))
    return float(ritz.values[0] - eigenvalues[-1]), eigenvalues, start


@claim(
    PAPER,
    source="Theorem 12, first line; the gap ratio, which the paper leaves undefined, from its source",
    guarantee="upper bound",
    sweep=STEPS,
    replicates=STARTS,
    judges=[
        EveryRun(measured="error", at_most="bound", absolute=ROUNDING),
        EveryRun(measured="overshoot", at_most=ROUNDING),
        EveryRun(measured="error", at_most="power_error", absolute=ROUNDING),
    ],
    controls=[
        Control("a hundredth of the bound", share=0.01),
        Control("power iteration under the same bound", method="power"),
    ],
    hypotheses=START,
)
def lanczos_kps(m: int, rng: np.random.Generator, *, share: float = 1.0, method: str = "lanczos") -> dict[str, Any]:
    r"""The largest Ritz value after m Lanczos steps converges as Kaniel and Paige say, from every start.

    **Problem.** A symmetric matrix of order 400 with eigenvalues $2$, $1.3$ and the rest uniform on $[0.05, 1]$. It is
    taken diagonal, which is no loss for a start $v$ that is uniform on the sphere.

    **Algorithm.** $m$ steps of Lanczos, re-orthogonalised. The baseline is power iteration with as many products.

    **Guarantee** (upper bound, Theorem 12, first line).
    $$0 \le \lambda_1 - \theta_1 \le (\lambda_1 - \lambda_n)\Bigl(\frac{\tan\phi}{T_{m-1}(1 + 2\gamma)}\Bigr)^2, \qquad
    \gamma = \frac{\lambda_1 - \lambda_2}{\lambda_2 - \lambda_n},$$
    $\phi$ the angle between $v$ and the top eigenvector, $T$ Chebyshev's polynomial. *Proof.* $\theta_1$ is the largest
    Rayleigh quotient over $p(A)v$ with $\deg p < m$; take for $p$ Chebyshev's polynomial of $[\lambda_n, \lambda_2]$.
    For the same reason $\theta_1$ is never below the quotient of $A^{m-1}v$, which power iteration has reached.

    **Measured.** $\lambda_1 - \theta_1$ in every run against the bound and the error of power iteration, and how far
    $\theta_1$ exceeds $\lambda_1$; rounding $10^{-12}$.

    **Chosen after measuring.** 25 starts in the quick budget, 50 before: a cut for cost.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 12; Golub and Van Loan, Matrix Computations.
    """
    eigenvalues = separated_top(rng)
    matrix, start = np.diag(eigenvalues), rng.standard_normal(eigenvalues.size)
    start /= np.linalg.norm(start)
    power = eigenvalues[0] - power_iteration(matrix, steps=m, rng=rng, start=start)[-1]
    top = ritz_values(lanczos(matrix, steps=m, rng=rng, start=start)).values[-1]
    error = float(power if method == "power" else eigenvalues[0] - top)
    return {
        # Below this a difference of two numbers near 2 is rounding.
        "error": max(error, 1e-16),
        "overshoot": max(-error, 0.0),
        "power_error": float(power),
        "bound": share * kaniel_paige_top(eigenvalues, start[0] ** 2, m),
        **_audited(start, eigenvalues[0] - eigenvalues[1]),
    }


@claim(
    PAPER,
    source="Theorem 12, second line, as printed",
    guarantee="upper bound",
    sweep=STEPS,
    replicates=STARTS,
    judges=EveryRun(measured="error", at_most="bound", absolute=ROUNDING),
    controls=[Control("angle and gap of the bottom pair", pair="bottom")],
    hypotheses=START,
    expected="violated",
    reason="the second line takes angle and gap of the top pair, which say nothing about the bottom eigenvalue",
)
def lanczos_kps_bottom_printed(m: int, rng: np.random.Generator, *, pair: str = "top") -> dict[str, Any]:
    r"""Printed, the bound of the bottom Ritz value takes angle and gap of the top pair: it fails.

    **Problem.** A symmetric matrix of order 400 with eigenvalues $4$, 397 uniform on $[1, 1.9]$, $0.999$ and $0.9985$:
    a wide gap at the top, a narrow one at the bottom.

    **Algorithm.** $m$ steps of Lanczos from a start uniform on the sphere, re-orthogonalised.

    **Guarantee** (upper bound, Theorem 12, second line, with $\lambda_n$ for the misprints at its two ends). $\theta_m
    - \lambda_n$ is at most the number that bounds $\lambda_1 - \theta_1$ in the first line: the same $\theta_1$ under
    the tangent and the same $\rho_1$ under Chebyshev's polynomial.

    **Why it fails.** Three eigenvalues are enough: $4$, $0.999$, $0.9985$, a start with weight $1/3$ on each, two
    steps. The bound is $3.0015 \cdot 2/(1 + 2\gamma)^2$ with $\gamma = 3.001/0.0005$, which is $4 \cdot 10^{-8}$. But
    of the two Ritz values one has to be near $4$, and the other is within $10^{-7}$ of $0.99875$, the middle of the
    pair, $2.5 \cdot 10^{-4}$ above $\lambda_n$. Two steps cannot tell the pair apart, however wide the gap at the
    top is. The bound for the bottom is the bound for the top of $-A$ (`lanczos-kps-bottom`), which is the control here.

    **Measured.** $\theta_m - \lambda_n$ in every run.

    **Chosen after measuring.** 25 starts in the quick budget, 50 before: a cut for cost.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 12, equation 63.
    """
    error, eigenvalues, start = _bottom(m, rng)
    if pair == "top":
        bound = kaniel_paige_top(eigenvalues, start[0] ** 2, m)
    else:
        bound = kaniel_paige_bottom(eigenvalues, start[-1] ** 2, m)
    return {"error": error, "bound": bound, **_audited(start, eigenvalues[-2] - eigenvalues[-1])}


@claim(
    PAPER,
    source="Theorem 12, second line, corrected; re-derived",
    guarantee="upper bound",
    sweep=STEPS,
    replicates=STARTS,
    judges=[
        EveryRun(measured="error", at_most="bound", absolute=ROUNDING),
        EveryRun(measured="error", at_least=0.0, absolute=ROUNDING),
    ],
    controls=[
        Control("gap and angle of the top pair", pair="top"),
        Control("angle of the bottom, gap of the top pair", pair="mixed"),
    ],
    hypotheses=START,
)
def lanczos_kps_bottom(m: int, rng: np.random.Generator, *, pair: str = "bottom") -> dict[str, Any]:
    r"""With the angle and the gap of the bottom pair, the smallest Ritz value obeys its bound from every start.

    **Problem and algorithm.** Those of `lanczos-kps-bottom-printed`.

    **Guarantee** (upper bound, re-derived). The first line of Theorem 12 for $-A$:
    $$0 \le \theta_m - \lambda_n \le (\lambda_1 - \lambda_n)\Bigl(\frac{\tan\psi}{T_{m-1}(1 + 2\gamma)}\Bigr)^2, \qquad
    \gamma = \frac{\lambda_{n-1} - \lambda_n}{\lambda_1 - \lambda_{n-1}},$$
    $\psi$ the angle between the start and the bottom eigenvector. For a narrow pair $\gamma$ is tiny and the bound
    promises little; nothing more is true there.

    **Measured.** $\theta_m - \lambda_n$ in every run against zero and the bound; rounding $10^{-12}$.

    **Chosen after measuring.** 25 starts in the quick budget, 50 before: a cut for cost.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 12, equation 63.
    """
    error, eigenvalues, start = _bottom(m, rng)
    if pair == "bottom":
        bound = kaniel_paige_bottom(eigenvalues, start[-1] ** 2, m)
    else:
        overlap = start[0] ** 2 if pair == "top" else start[-1] ** 2
        bound = kaniel_paige_top(eigenvalues, overlap, m)
    return {"error": error, "bound": bound, **_audited(start, eigenvalues[-2] - eigenvalues[-1])}


@claim(
    PAPER,
    source="Appendix D with Theorem 12; interlacing is Cauchy's",
    guarantee="upper bound",
    sweep=Sweep(name="m", label="Lanczos steps m", quick=(20, 40, 80, 120), full=(20, 40, 80, 120, 200)),
    replicates=Replicates(quick=2, full=10),
    judges=[
        EveryRun(measured="crossing", at_most=0.0, absolute=1e-11),
        EveryRun(measured="overlap", at_most=1e-11),
    ],
    controls=[Control("without re-orthogonalisation", reorthogonalise=False)],
    hypotheses={"simple": "all eigenvalues are simple"},
)
def lanczos_interlacing(m: int, rng: np.random.Generator, *, reorthogonalise: bool = True) -> dict[str, Any]:
    r"""Re-orthogonalised, the j-th Ritz value never passes the j-th eigenvalue; otherwise ghosts do.

    **Problem.** A symmetric matrix of order 500 with the outliers $10$, $8$, $6$ and a bulk uniform on $[0, 1]$: the
    spectra of the paper's figures in small, in which the outliers converge long before the bulk does.

    **Algorithm.** $m$ steps of Lanczos, each new vector cleaned twice against all before it, as Appendix D asks for.

    **Guarantee** (upper bound, for every start). The Ritz values are the eigenvalues of $V^\top AV$ with $V^\top V =
    I$, so by Cauchy $\theta_j \le \lambda_j$ for every $j$, and from below $\theta_{m+1-j} \ge \lambda_{n+1-j}$. In
    exact arithmetic three-term recurrences alone keep $V$ orthonormal. In double precision they lose it along
    eigenvectors that have converged, and copies of $\lambda_1$, "ghosts", take the places of $\lambda_2$ and
    $\lambda_3$: a spectrum with more outliers than the matrix has.

    **Measured.** The largest $\theta_j - \lambda_j$ and $\lambda_{n+1-j} - \theta_{m+1-j}$ over all $j$, and the
    largest entry of $V^\top V - I$; both zero up to rounding, $10^{-11}$.

    **Reference.** Granziol, Zohren and Roberts (2022), Appendix D.
    """
    eigenvalues = np.concatenate([[10.0, 8.0, 6.0], np.sort(rng.uniform(0.0, 1.0, 497))[::-1]])
    process = lanczos(np.diag(eigenvalues), steps=m, rng=rng, reorthogonalise=reorthogonalise)
    found = ritz_values(process).values[::-1]
    above, below = found - eigenvalues[: found.size], eigenvalues[-found.size :] - found
    return {
        "crossing": float(max(above.max(), below.max())),
        "overlap": float(np.abs(process.basis.T @ process.basis - np.eye(found.size)).max()),
        "simple": certified(float(-np.diff(eigenvalues).max()), at_least=1e-15, note="smallest gap"),
    }


@claim(
    PAPER,
    source="Theorem 13 and equation 64; the degree of exactness re-derived",
    guarantee="tight",
    sweep=Sweep(name="m", label="Lanczos steps m", quick=(2, 3, 4), full=(1, 2, 3, 4)),
    replicates=Replicates(quick=10, full=100),
    judges=[
        EveryRun(measured="signs", at_most=1e-11),
        EveryRun(measured="sphere", at_most=1e-11),
        EveryRun(measured="next_degree", at_least=1e-10),
    ],
    controls=[Control("degree 2m", degrees=1), Control("all nodes of the same weight", weighted=False)],
    hypotheses={"distinct": "the start has components along more than m eigenvectors of distinct eigenvalues"},
)
def slq_exact(m: int, rng: np.random.Generator, *, degrees: int = 0, weighted: bool = True) -> dict[str, Any]:
    r"""Lanczos quadrature of one probe is exact up to degree 2m - 1, twice the moments of the paper, and no further.

    **Problem.** $A$ of order 200, eigenvalues uniform on $[0.5, 1.5]$; moments $v^\top A^kv$ of a unit probe $v$.

    **Algorithm.** $m$ Lanczos steps from $v$; Ritz values $\theta_i$ as nodes, $\omega_i$, the squares of the first
    components of the eigenvectors of $T$, as weights. Probes: signs over $\sqrt n$, for which $v^\top A^kv$ is
    $\mathrm{tr} A^k/n$ if $A$ is diagonal; and vectors uniform on the sphere.

    **Guarantee** (tight). $\sum\omega_i\theta_i^k = v^\top A^kv$ for $k \le 2m - 1$; the text after Theorem 13 says $m$
    moments. *Proof.* Divide $x^k = q\pi_m + r$ by the orthogonal polynomial $\pi_m$, whose zeros are the nodes: the
    rule is exact for $r$, of degree below $m$, and both sides vanish on $q\pi_m$ when $\deg q < m$. At $k = 2m$ the
    integral of $\pi_m^2$ is positive and the rule gives zero.

    **Measured.** The largest relative error of moments $0, \ldots, 2m - 1$, and that of moment $2m$, which must be
    visible: it fades quickly with $m$, so $m \le 4$.

    **Reference.** Granziol, Zohren and Roberts (2022), Appendix D; Golub and Meurant (1994).
    """
    eigenvalues = rng.uniform(0.5, 1.5, 200)
    powers = np.arange(2 * m + 1)
    vandermonde = eigenvalues[:, None] ** powers
    density = spectral_density(np.diag(eigenvalues), probes=1, steps=m, rng=rng, probe="rademacher")
    start = rng.standard_normal(eigenvalues.size)
    ritz = ritz_values(lanczos(np.diag(eigenvalues), steps=m, rng=rng, start=start))
    errors = {}
    for name, nodes, weights, squares in (
        ("signs", density.nodes[0], density.weights[0], np.full(eigenvalues.size, 1.0 / eigenvalues.size)),
        ("sphere", ritz.values, ritz.weights, start**2 / (start @ start)),
    ):
        used = weights if weighted else np.full(m, 1.0 / m)
        exact = squares @ vandermonde
        errors[name] = np.abs(used @ nodes[:, None] ** powers / exact - 1.0)
    last = 2 * m + degrees
    return {
        "signs": float(errors["signs"][:last].max()),
        "sphere": float(errors["sphere"][:last].max()),
        "next_degree": float(min(errors["signs"][2 * m], errors["sphere"][2 * m])),
        "distinct": by_construction("200 continuous draws, all of positive weight", eigenvalues.size),
    }
