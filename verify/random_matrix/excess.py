"""The excess of the top eigenvalue of a batch Hessian on real data: what always holds, and what Theorem 4 misses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from problems import hidden_layer_networks as networks
from problems import softmax_digits as softmax
from problems.digit_networks import digit_network
from problems.labelled_data import draw_batch
from theorylab.algorithms.random_matrix_laws import effective_batch
from theorylab.audit import Hypothesis, by_construction, certified, not_certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, EveryRun, Ordered
from verify.random_matrix import PAPER

Array = npt.NDArray[np.float64]

SAMPLING = "batches are drawn uniformly without replacement"
SIMPLE = r"$\lambda_1$ is a simple eigenvalue of $H_{\mathrm{emp}}$"
# The excess of small batches scatters most, and costs least.
FEW, MANY = 4, 12
# Second-order perturbation theory is asymptotic in b: the window of the ratio allows a factor 2.5 for its remainder.
WINDOW = (0.4, 2.5)


def _top_pair(whole: Array) -> tuple[float, float, Array]:
    """The largest eigenvalue of the Hessian (P, P), its gap to the second over it, and its eigenvector (P,)."""
    from scipy.linalg import eigh

    order = len(whole)
    values, vectors = eigh(whole, subset_by_index=[order - 2, order - 1])
    return float(values[1]), float((values[1] - values[0]) / values[1]), vectors[:, 1]


def _audited(gap: float) -> dict[str, Hypothesis]:
    return {
        "sampling": by_construction("numpy's choice without replacement"),
        "simple": certified(gap, at_least=0.05, note="gap to the second over the first;"),
    }


def _batch_and_halves(problem: softmax.SoftmaxRegression, v: Array, batch: Array) -> tuple[float, float]:
    """The excess of a batch (B,) and the mean of the excesses of its two halves, all along the same direction v."""
    half = batch.size // 2
    parts = [softmax.excess_sample(problem, v, part) for part in (batch[:half], batch[half:])]
    return softmax.excess_sample(problem, v, batch), sum(parts) / 2.0


@claim(
    PAPER,
    source="consequence of sampling alone, re-derived; the order 1/b is that of Section 10.1",
    guarantee="tight",
    sweep=Sweep(
        name="B",
        label="batch size B",
        quick=(16, 256),
        full=(16, 32, 64, 128, 256, 512, 1024),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=8, full=16),
    judges=[
        Equals(measured="excess_over_second_order", between=WINDOW),
        Ordered(smaller="excess", larger="excess_of_halves"),
        EveryRun(measured="excess", at_most="excess_of_halves", absolute=1e-12),
    ],
    controls=[Control("all N samples in every batch", whole=True)],
    hypotheses={"sampling": SAMPLING, "simple": SIMPLE},
)
def jensen_excess(sizes: Array, rng: np.random.Generator, *, whole: bool = False) -> dict[str, Any]:
    r"""On real data the batch Hessian's top exceeds the full one's by an amount of order 1/b that falls with B.

    **Problem.** Softmax regression on 1797 digits ($P = 650$) after 200 steps of gradient descent; batches of $B$
    samples without replacement, $b = B/(1 - B/N)$.

    **Guarantee** (tight in order; re-derived). For every sampling law without bias $E\lambda_1' \ge \lambda_1$, because
    the largest eigenvalue is convex (Jensen), and for a batch of two halves $\lambda_1'$ is at most the mean of the
    halves' own, so that its mean does not increase when $B$ doubles. By second-order perturbation theory
    $$E\lambda_1' - \lambda_1 = \kappa/b + o(1/b), \qquad \kappa = \frac N{N-1}\sum_{j\ge2}
    \frac{\mathrm{Var}_i(u_j^\top H_iu_1)}{\lambda_1 - \lambda_j}.$$
    Isotropic noise gives the $P\sigma^2/\lambda_1$ of Theorem 4; real noise is strongest along the outliers, and here
    $\kappa$ is a hundred times larger.

    **Measured.** $\lambda_1' - v^\top H_Bv$ with $v$ the top eigenvector of the full Hessian: it has the mean
    $\lambda_1$ exactly and takes the noise of first order out. One value is never negative, whatever the matrix, so it
    is the mean over $\kappa/b$ that is tested, within $[0.4, 2.5]$. The halves are compared in every run and on
    average. Control: $B = N$, where there is no excess. `theorem-4-on-data` puts $P\sigma^2/\lambda_1$ for $\kappa$.

    **Chosen after measuring.** Twelve batches a seed for $B \le 64$ and four for larger ones, as with two or three the
    judge could not decide. $B = 64$ was in the quick budget too and stayed undecided there: the mean ratio is about 1.7
    and scatters widely. It was taken out of that budget and is judged in the full one; the window is as it was.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 4 and Section 8.2.
    """
    problem = softmax.softmax_digits()
    _, gap, v = _top_pair(softmax.hessian(problem))
    n, kappa = problem.samples, softmax.excess_constant(problem)
    if whole:
        pairs = np.tile(_batch_and_halves(problem, v, draw_batch(n, n, rng)), (sizes.size, 1))
    else:
        batches = [[draw_batch(n, int(size), rng) for _ in range(MANY if size <= 64 else FEW)] for size in sizes]
        pairs = np.array([np.mean([_batch_and_halves(problem, v, one) for one in row], axis=0) for row in batches])
    excess, halves = pairs.T
    predicted = np.array([kappa / effective_batch(int(size), n) for size in sizes])
    return {
        "excess": excess,
        "excess_of_halves": halves,
        "excess_over_second_order": np.maximum(excess, 0.0) / predicted,
        **_audited(gap),
    }


@claim(
    PAPER,
    source="consequence of sampling alone, re-derived; Section 8.2 for a network",
    guarantee="lower bound",
    sweep=Sweep(
        name="B", label="batch size B", quick=(128, 1024), full=(64, 128, 256, 512, 1024), along_trajectory=True
    ),
    replicates=Replicates(quick=8, full=20),
    judges=[
        Ordered(smaller="top", larger="top_of_sixteenth"),
        Ordered(smaller="bottom", larger="bottom_of_sixteenth"),
    ],
    controls=[Control("a sixteenth of the batch taken for the batch", swapped=True)],
    hypotheses={"sampling": SAMPLING},
)
def jensen_excess_network(sizes: Array, rng: np.random.Generator, *, swapped: bool = False) -> dict[str, Any]:
    r"""A small network's batch Hessian is wider at both ends than the full one, the more so the smaller the batch.

    **Problem.** A tanh network 64-6-10 on 1797 digits ($P = 460$) after 300 steps of gradient descent. Its Hessian is
    indefinite, so there is a bottom end as well.

    **Guarantee** (lower bounds; re-derived). $E\lambda_1' \ge \lambda_1$ and $E\lambda_P' \le \lambda_P$ by Jensen, and
    neither end moves outwards when $B$ doubles: see `jensen-excess`.

    **Measured.** The excesses at both ends, by control variates, each below that of the first sixteenth of the same
    batch, on average. The constant $\kappa$ is tested in `jensen-excess`.

    **Chosen after measuring.** A sixteenth: halves of a batch differ too little to be told apart with few networks. A
    further judge that could not decide was dropped, batch sizes were taken that have a sixteenth worth the name, and
    the seeds were raised to eight.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorem 4 and Section 8.2.
    """
    network = digit_network(rng, steps=300, hidden=6)
    _, vectors = np.linalg.eigh(networks.hessian(network))
    top, bottom = vectors[:, -1], vectors[:, 0]
    measured = np.empty((sizes.size, 4))
    for k, size in enumerate(sizes):
        batch = draw_batch(network.samples, int(size), rng)
        parts = (batch, batch[: batch.size // 16])
        pairs = [networks.extreme_excess(network, top, bottom, part) for part in parts]
        measured[k] = np.concatenate(pairs[::-1] if swapped else pairs)
    names = ("top", "bottom", "top_of_sixteenth", "bottom_of_sixteenth")
    return {
        **dict(zip(names, measured.T, strict=True)),
        "sampling": by_construction("numpy's choice without replacement"),
    }


@claim(
    PAPER,
    source="Theorem 4 used for data, as in Section 8.2",
    guarantee="tight",
    sweep=Sweep(
        name="B", label="batch size B", quick=(16, 64, 256), full=(16, 32, 64, 128, 256, 512), along_trajectory=True
    ),
    replicates=Replicates(quick=8, full=24),
    judges=Equals(measured="excess", to="predicted", relative=0.3),
    controls=[Control("independent Gaussian noise of the same variance", gaussian=True)],
    hypotheses={
        "sampling": SAMPLING,
        "simple": SIMPLE,
        "rows": r"(ii) of Theorem 3: $\frac1P\sum_i|\frac1P\sum_j\sigma_{ij}^2 - \sigma^2| \to 0$",
        "dependence": r"(i) of Theorem 3: $\frac1{P^2}\sum_{ij}E|E(\epsilon_{ij}^2|F^{ij}) - \sigma_{ij}^2| \to 0$",
    },
    expected="violated",
    reason="noise of real data is low-rank and strongest along the outliers; the hypotheses of Theorem 3 do not hold",
)
def theorem_4_on_data(sizes: Array, rng: np.random.Generator, *, gaussian: bool = False) -> dict[str, Any]:
    r"""Used for data, the excess of Theorem 4 is two orders of magnitude too small: its noise is not the data's.

    **Problem.** That of `jensen-excess`. $\lambda_1 = 0.71$ and $P\sigma^2 = 0.017$ are exact, so $\sigma\sqrt{P/b}
    \le 0.033$ is far below the transition for every $B \ge 16$.

    **Guarantee** (tight, Theorem 4). $E\lambda_1' - \lambda_1 = P\sigma^2/(b\lambda_1)$. Section 8.2 uses the formula
    for deep networks, with $\sigma$ measured; its goal "is to show Theorems 4, 7 are accurate and representative".

    **Why it fails.** The theorem needs noise whose rows have equal variance and whose entries hardly depend on each
    other. The noise of a mean of matrices $A_i \otimes x_ix_i^\top$ has neither: every pixel that is black in all
    samples gives a row of zeros, and the variance along $u_1$ and its neighbours, the only one that moves $\lambda_1$,
    is a hundred times the average one. The theorem is not refuted, its use is: on Gaussian noise of the same variance
    around the same $H_{\mathrm{emp}}$ the formula holds, which is the control.

    **Measured.** The excess by the control variate of `jensen-excess` against the formula, within 30 %:
    $H_{\mathrm{emp}}$ has other eigenvalues than zero, for which second-order theory adds $1/(\lambda_1 - \lambda_j)$
    in place of $1/\lambda_1$. Hypothesis (ii) is an asymptotic one that no single $P$ refutes; measured is the mean
    deviation of row variances over their mean, which is small where the theorem may be used.

    **Reference.** Granziol, Zohren and Roberts (2022), Theorems 3 and 4, Section 8.2.
    """
    problem = softmax.softmax_digits()
    n, p = problem.samples, problem.parameters
    whole = softmax.hessian(problem)
    top, gap, v = _top_pair(whole)
    noise = softmax.batch_noise(problem, whole)
    predicted = np.array([noise / (effective_batch(int(size), n) * top) for size in sizes])
    excess = np.zeros(sizes.size)
    for k, size in enumerate(sizes):
        if gaussian:
            deviation = np.sqrt(noise / (p * effective_batch(int(size), n)))
            excess[k] = _gaussian_excess(whole, v, deviation, rng)
        else:
            excess[k] = softmax.excess_sample(problem, v, draw_batch(n, int(size), rng))
    deviation_of_rows = 0.0 if gaussian else row_deviation(problem, whole)
    return {
        "excess": excess,
        "predicted": predicted,
        "rows": not_certified("mean deviation of row variances over their mean", deviation_of_rows),
        "dependence": not_certified("not measured; one sample is of rank nine"),
        **_audited(gap),
    }


def _gaussian_excess(whole: Array, v: Array, deviation: float, rng: np.random.Generator) -> float:
    """The excess under symmetric Gaussian noise of off-diagonal standard deviation ``deviation``."""
    draws = rng.standard_normal(whole.shape)
    moved = whole + deviation * (draws + draws.T) / np.sqrt(2.0)
    return float(np.linalg.eigvalsh(moved)[-1] - v @ moved @ v)


def row_deviation(problem: softmax.SoftmaxRegression, whole: Array) -> float:
    r"""Return ``mean_i |r_i - r| / r`` of the row sums r_i of the variances of per-sample entries, r their mean.

    ``(H_i^2)_{(k,a),(k,a)} = (A_i^2)_{kk} x_a^2 ||x||^2``, less the diagonal of ``H^2``.
    """
    p, x = problem.probabilities, problem.features
    small = p**2 - 2.0 * p**3 + p**2 * np.sum(p**2, axis=1, keepdims=True)
    weighted = x**2 * np.einsum("nd,nd->n", x, x)[:, None] / problem.samples
    rows = (small.T @ weighted).ravel() - np.einsum("ij,ij->i", whole, whole)
    return float(np.abs(rows - rows.mean()).mean() / rows.mean())
