"""The sign map and its restricted isometry: Theorems 10 and 11, Lemma 12, and a spurious global optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import Noise, draw_errors, draw_operator, ground_truth, sense
from theorylab.algorithms.convex_recovery import convex_recovery
from theorylab.algorithms.low_rank_start import spectral_start
from theorylab.algorithms.packed_symmetric import forward
from theorylab.algorithms.sign_rip import (
    NOISELESS_SCALING,
    deviation,
    mean_square_deviation,
    random_low_rank,
    searched_deviation,
    sign_map,
    sign_scaling,
    typical_deviation,
)
from theorylab.algorithms.subgradient_method import geometric_schedule, subgradient_method
from theorylab.audit import by_construction, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, EveryRun, InExpectation, RateAtMost
from verify.matrix_recovery import PAPER
from verify.matrix_recovery.measures import SENSING, TRUTH, audited_sensing, audited_truth, log_slope

Array = npt.NDArray[np.float64]

NOISES = {
    "normal outliers": Noise(share=0.5, law="normal", scale=1.0),
    "one-sided outliers": Noise(share=0.5, law="one-sided", scale=0.5),
    "Cauchy outliers": Noise(share=0.5, law="cauchy", scale=1.0),
    "Gaussian noise": Noise(gaussian=1.0),
}
OUTLIERS = r"a share $p < 1$ of the $s_i$ is drawn independently from any law, the others are zero"


def _scaling(norm: float, noise: Noise) -> float:
    return sign_scaling(norm, share=noise.share, law=noise.law, scale=noise.scale, gaussian=noise.gaussian)


@claim(
    PAPER,
    source="Theorems 10 and 11, scaling function; variance re-derived",
    guarantee="tight",
    sweep=Sweep(
        name="noise, norm, m",
        label="law of the errors, ‖X‖_F, measurements",
        quick=tuple((law, norm, 5000) for law in NOISES for norm in (0.5, 2.0)),
        full=tuple((law, norm, 20_000) for law in NOISES for norm in (0.5, 2.0)),
    ),
    replicates=Replicates(quick=10, full=24),
    judges=[
        Equals(measured="alignment", to="scaling", relative=0.05),
        Equals(measured="deviation_ratio", between=(0.8, 1.25)),
    ],
    controls=[
        Control("scaling without the errors", formula="clean"),
        Control("scaling with (1 - p) alone", formula="share"),
    ],
    hypotheses={"sensing": SENSING, "errors": OUTLIERS + ", or all are Gaussian"},
)
def sign_rip_scaling(
    point: tuple[str, float, int], rng: np.random.Generator, *, formula: str = "full"
) -> dict[str, Any]:
    r"""The sign map of corrupted measurements points along X, with exactly the stated length.

    **Problem.** $Q(X) = \frac1m\sum_i\mathrm{Sign}(\langle A_i, X\rangle - s_i)A_i$ for symmetric $X$ of rank 6,
    $d = 10$; half of the $s_i$ outliers comparable to $\|X\|_F$ (normal, one-sided, Cauchy), or all of them Gaussian.

    **Guarantee** (equality in expectation). Theorem 10:
    $\varphi(X) = \sqrt{2/\pi}\,(1 - p + p\,E e^{-s^2/(2\|X\|_F^2)})$; Theorem 11:
    $\varphi(X) = \sqrt{2/\pi}\,\|X\|_F/\sqrt{\|X\|_F^2 + \nu^2}$. Then $E\,Q = \varphi X/\|X\|_F$. The paper asks for
    outliers of mean zero; the formula needs only their independence of $A_i$, and is tried for one-sided ones too.
    Re-derived: $E\|\mathrm{sym}\,Q - \varphi X/\|X\|_F\|_F^2 = (d(d+1)/2 - \varphi^2)/m$.

    **Measured.** $\langle Q, X/\|X\|_F\rangle$, mean of 20 random $X$ a run, within 5 % of $\varphi$ (four standard
    errors of one $X$ are 4 to 15 %, of the mean over runs a third of that); the squared deviation over its expectation
    within [0.8, 1.25]. Formulas that ignore the errors, or their size, must be refuted.

    **Chosen after measuring.** The number of seeds was raised after an undecided run with 6; both windows were fixed
    before.

    **Reference.** Ma and Fattahi (2023), Theorems 10 and 11.
    """
    law, norm, m = point
    d, noise = 10, NOISES[law]
    operator = draw_operator(m, d, rng)
    _, errors = draw_errors(m, noise, rng)
    X = random_low_rank(d, 6, norm, 20, rng)
    phi = {
        "full": _scaling(norm, noise),
        "clean": NOISELESS_SCALING,
        "share": NOISELESS_SCALING * (1.0 - noise.share),
    }[formula]
    Q = sign_map(operator, X, errors)
    squares = np.sum((Q - phi * X / norm) ** 2, axis=(1, 2))
    return {
        "alignment": float(np.mean(np.sum(Q * X, axis=(1, 2)) / norm)),
        "scaling": phi,
        "deviation_ratio": float(squares.mean()) / mean_square_deviation(d, m, phi),
        "sensing": by_construction("all entries and the errors are drawn separately from one generator"),
        "errors": by_construction("drawn from the law, independently", measured=noise.share),
    }


@claim(
    PAPER,
    source="Theorem 10, rate in m and p",
    guarantee="tight",
    sweep=Sweep(
        name="m",
        label="measurements, m",
        quick=(500, 2000, 8000),
        full=(500, 1000, 2000, 4000, 8000),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=6, full=16),
    judges=[
        RateAtMost(measured="typical", rate=-0.5, margin=0.1),
        Equals(measured="typical_slope", between=(-0.6, -0.4)),
        Equals(measured="searched_slope", between=(-0.6, -0.4)),
        Equals(measured="corrupted_typical_slope", between=(-0.6, -0.4)),
        Equals(measured="corrupted_searched_slope", between=(-0.6, -0.4)),
        Equals(measured="ratio", to=2.0, relative=0.1),
    ],
    controls=[Control("scaling that ignores the outliers", ignore_outliers=True)],
    hypotheses={"sensing": SENSING, "errors": OUTLIERS},
)
def sign_rip_rate(counts: Array, rng: np.random.Generator, *, ignore_outliers: bool = False) -> dict[str, Any]:
    r"""The deviation δ of the sign map falls like one over the root of m, and grows like 1/(1-p).

    **Problem.** $d = 20$, rank $k = 6$, $\|X\|_F = 1$; no errors, or a share $p = 1/2$ of outliers $N(0, 10^6)$. The
    first $m$ of one set of measurements are used.

    **Guarantee** (upper bound, Theorem 10: Sign-RIP$(k, \delta)$ with $\delta^2 \approx dk\log^2 m/((1-p)^2m)$; judged
    as tight). For one $X$ the supremum over $Y$ of rank $k$ is exact; over $X$ it is searched, so every number here is
    a lower bound of $\delta$.

    **Measured.** The median over 20 random $X$ (typical) and the largest that a greedy ascent of 10 rounds finds
    (searched): the mean slope of single runs over $m$ within $-0.5 \pm 0.1$, without and with outliers. Typical
    $\delta$ at $p = 1/2$ over that at $p = 0$: $1/(1-p) = 2$ within 10 %. The logarithm in the theorem pays for the
    uniformity in $X$ and does not show here. A scaling that ignores the outliers leaves a bias, and no such rate.

    **Chosen after measuring.** Slopes per run, beside the fitted rate of at most -0.5, were chosen after measuring:
    the two-sided judge of a rate stayed undecided, because it excludes a bend over another sweep. The window was
    fixed before.

    **Reference.** Ma and Fattahi (2023), Theorem 10.
    """
    d, noise = 20, Noise(share=0.5, law="normal", scale=1000.0)
    operator = draw_operator(int(counts[-1]), d, rng)
    _, outliers = draw_errors(len(operator), noise, rng)
    phi = NOISELESS_SCALING if ignore_outliers else _scaling(1.0, noise)
    found: dict[str, Array] = {}
    for name, errors, scaling in (("", np.zeros_like(outliers), NOISELESS_SCALING), ("corrupted_", outliers, phi)):
        pairs = np.array([_deviations(operator[:m], errors[:m], scaling, rng) for m in counts])
        for column, kind in enumerate(("typical", "searched")):
            found[name + kind] = pairs[:, column]
            found[f"{name}{kind}_slope"] = np.full(counts.size, log_slope(counts, pairs[:, column]))
    return {
        **found,
        "ratio": found["corrupted_typical"] / found["typical"],
        "sensing": by_construction("all entries and the errors are drawn separately from one generator"),
        "errors": certified(float(np.mean(outliers != 0.0)), at_most=0.999, note="share of outliers"),
    }


def _deviations(operator: Array, errors: Array, scaling: float, rng: np.random.Generator) -> tuple[float, float]:
    """Median and searched maximum of delta(X) over X of rank 6 and norm 1."""
    typical = typical_deviation(operator, errors, scaling, rank=6, norm=1.0, count=20, rng=rng)
    searched = searched_deviation(operator, errors, scaling, rank=6, norm=1.0, rng=rng, rounds=10, candidates=8)
    return float(np.median(typical)), searched


@claim(
    PAPER,
    id="lemma12",
    source="Lemma 12, pointwise",
    guarantee="upper bound",
    sweep=Sweep(name="X", label="matrices tried", quick=("random", "iterates"), full=("random", "iterates")),
    replicates=Replicates(quick=2, full=8),
    judges=[
        EveryRun(measured="excess", at_most=0.0, absolute=1e-12),
        EveryRun(measured="mismatch", at_most=0.0, absolute=1e-12),
    ],
    controls=[Control("with Gaussian noise in the loss", noise=0.5)],
    hypotheses={"sensing": SENSING + "; here there are no errors", "rank": r"the rank of $X$ is at most $k$"},
)
def lemma_12(kind: str, rng: np.random.Generator, *, noise: float = 0.0) -> dict[str, Any]:
    r"""Without noise the loss equals φ times the error up to the relative deviation δ.

    **Problem.** $d = 20$, $m = 2000$ Gaussian measurements without noise; 200 random $X$ of rank 6 and all sizes, or
    $\Delta_t = U_tU_t^\top - X^\star$ at 200 iterations of the sub-gradient method.

    **Guarantee** (two-sided bound, Lemma 12): $(1-\delta)\varphi\|X\|_F \le \frac1m\sum_i|\langle A_i, X\rangle| \le
    (1+\delta)\varphi\|X\|_F$. It holds for each $X$ with its own $\delta(X)$, the exact supremum over $Y$ of rank
    $k \ge \mathrm{rank}\,X$, since the loss is $\langle Q, X\rangle$ and $Y = X$ is allowed. So the lemma is tried
    here without Sign-RIP, which no one can certify.

    **Measured.** The largest excess over either side, over $\varphi\|X\|_F$, and the relative difference of loss and
    $\langle Q, X\rangle$: zero up to rounding, $10^{-12}$.

    **Reference.** Ma and Fattahi (2023), Lemmas 12 and 51.
    """
    d = 20
    instance = sense(ground_truth(d, 3, 2.0, rng), 2000, rng)
    if kind == "random":
        X, rank = random_low_rank(d, 6, 1.0, 200, rng) * 10.0 ** rng.uniform(-6, 2, (200, 1, 1)), 6
    else:
        start = spectral_start(instance.operator, instance.observations, d, 1e-3)
        path = subgradient_method(
            instance.operator,
            instance.observations,
            start,
            geometric_schedule(1e-3, 2.0),
            truth=instance.truth.matrix,
            checkpoints=np.arange(0, 600, 3),
            keep_iterates=True,
        )
        X, rank = path.iterates @ np.swapaxes(path.iterates, 1, 2) - instance.truth.matrix, d
    errors = noise * rng.standard_normal(instance.measurements)
    norms = np.linalg.norm(X, axis=(1, 2))
    scale = NOISELESS_SCALING * norms
    losses = np.array([np.mean(np.abs(forward(instance.operator, matrix) - errors)) for matrix in X])
    products = np.sum(sign_map(instance.operator, X, errors) * X, axis=(1, 2))
    delta = deviation(instance.operator, X, np.zeros_like(errors), NOISELESS_SCALING, rank)
    ranks = [np.linalg.matrix_rank(matrix, tol=1e-10 * norm) for matrix, norm in zip(X, norms, strict=True)]
    return {
        "excess": float(np.max(np.abs(losses - scale) / scale - delta)),
        "mismatch": float(np.max(np.abs(losses - products) / scale)),
        "sensing": audited_sensing(instance),
        "rank": certified(max(ranks), at_most=rank, note="largest rank"),
    }


@claim(
    PAPER,
    source="Section 1, Property 3 (spurious global minima); Corollary 28",
    guarantee="lower bound",
    sweep=Sweep(
        name="d, m",
        label="dimension, measurements",
        quick=((15, 250),),
        full=((15, 250), (20, 400)),
    ),
    replicates=Replicates(quick=8, full=16),
    judges=[
        InExpectation(measured="gap", at_least=1e-3),
        InExpectation(measured="digits_nearer", at_least=1.0),
        EveryRun(measured="uncertified", at_most=1e-4),
    ],
    controls=[Control("5 % outliers", share=0.05)],
    hypotheses={"truth": TRUTH, "sensing": SENSING, "errors": OUTLIERS},
)
def spurious_optimum(point: tuple[int, int], rng: np.random.Generator, *, share: float = 0.5) -> dict[str, Any]:
    r"""With half the measurements corrupted the truth is no global minimum, yet the method still comes near it.

    **Problem.** Rank one, $(d, m) = (15, 250)$ and $(20, 400)$, a share $p = 1/2$ of outliers $N(0, 100)$, search rank
    $r' = d$. Then the global minimum of $f$ is that of a convex problem, $\min_{X \succeq 0}\frac1m\|y - A(X)\|_1$.

    **Algorithm.** Sub-gradient method with geometric steps from the spectral start, $\alpha = 10^{-3}$.

    **Guarantee** (at these sizes, an observation of the paper and no theorem: the small start and not the
    landscape leads to $X^\star$; Corollary 28 promises its neighbourhood). In expectation $f(X^\star)$ exceeds the
    global minimum by more than $10^{-3}$, and the minimiser is ten times farther from $X^\star$ than the last iterate
    in a typical run, by the mean of the logarithm. (With so few measurements the error varies by a factor of three
    from run to run, and a run in twenty or so misses the factor of ten.)

    **Measured.** Both; and the duality gap and infeasibility of the convex solution, at most $10^{-4}$ in every run, so
    that the minimum is certified without trust in the solver. At $p = 0.05$ the truth is the minimiser.

    **Chosen after measuring.** The mean of the logarithm, 8 seeds and the tolerance of the solver were settled after
    measuring: single draws fell to a ratio of 4.6, and the solver reached 9e-6. At seed 2 this claim is inconclusive.

    **Reference.** Ma and Fattahi (2023), Section 1, Property 3, and Corollary 28.
    """
    d, m = point
    instance = sense(ground_truth(d, 1, 1.0, rng), m, rng, Noise(share=share, law="normal", scale=10.0))
    truth = instance.truth.matrix
    best = convex_recovery(instance.operator, instance.observations)
    start = spectral_start(instance.operator, instance.observations, d, 1e-3)
    path = subgradient_method(
        instance.operator, instance.observations, start, geometric_schedule(1e-3, 1.0), truth=truth
    )
    return {
        "gap": float(np.mean(np.abs(instance.errors))) - best.value,
        "digits_nearer": float(np.log10(np.linalg.norm(best.X - truth) / path.errors[-1])),
        "uncertified": max(abs(best.gap), best.dual_violation, best.psd_violation),
        "truth": audited_truth(instance.truth, 1, 1.0),
        "sensing": audited_sensing(instance),
        "errors": certified(float(instance.corrupted.mean()), at_most=0.999, note="share of outliers"),
    }
