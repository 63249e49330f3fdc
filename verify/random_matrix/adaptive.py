"""Adaptive methods: the square-root rule, static with a known preconditioner and dynamic for Adam itself."""

from typing import Any

import numpy as np
import numpy.typing as npt

from problems.random_matrix_hessians import SpikedWigner
from problems.spiked_ensembles import extreme_draws, preconditioned_rates
from theorylab.algorithms.stability_rules import preconditioned_rate
from theorylab.algorithms.stationary_chains import Method, rate_for_loss
from theorylab.audit import by_construction, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals
from verify.random_matrix import PAPER
from verify.random_matrix.rates import log_log_slope

Array = npt.NDArray[np.float64]

PARAMETERS = 1000
SPIKE = 10.0
DEVIATION = (16.0 / PARAMETERS) ** 0.5  # P sigma^2 = 16: the bulk edge is 4 at B = 4, below the spike at all B
DAMPING = 0.01
POWERS = (4, 8, 16, 32, 64, 128, 256, 512)


@claim(
    PAPER,
    source="Section 11, equation (31) with kappa = delta",
    guarantee="tight",
    sweep=Sweep(name="B", label="batch size, B", quick=POWERS, full=POWERS, along_trajectory=True),
    replicates=Replicates(quick=6, full=20),
    judges=[
        Equals(measured="ratio", between=(0.97, 1.06)),
        Equals(measured="slope", between=(0.46, 0.54)),
    ],
    controls=[
        Control("large damping, delta = 1000", damping=1e3),
        Control("SGD, no preconditioner", damping=None),
    ],
    hypotheses={
        "noise": r"$H_{batch} - H_{emp}$ is symmetric Gaussian, fresh for each $B$",
        "aligned": r"the preconditioner has the eigenvectors and eigenvalues of $H_{emp}$, plus $\delta$",
        "edge": r"the preconditioned bulk edge $2\sigma\sqrt{P/b}/\delta$ exceeds 1, the preconditioned spike",
    },
)
def adam_sqrt_static(batches: Array, rng: np.random.Generator, *, damping: float | None = DAMPING) -> dict[str, Any]:
    r"""With a small damping, one preconditioned step may grow like the square root of the batch size.

    **Problem.** $H_{emp} = \lambda e_1e_1^\top$, $\lambda = 10$, $P = 1000$, Wigner noise with $P\sigma^2 = 16$, drawn
    afresh for each $B$. The spike is far outside the bulk at every $B$, so that it limits SGD, whatever $B$.

    **Algorithm.** One step of gradient descent preconditioned by $D = H_{emp} + \delta I$, $\delta = 0.01$.

    **Guarantee** (tight, equation (31) with $\kappa = \delta$, as the bulk has $\eta_{min} = 0$). The largest rate
    $2/\lambda_1(D^{-1/2}H_{batch}D^{-1/2})$ is $\delta\sqrt b/(\sigma\sqrt P)$ while the preconditioned bulk edge,
    $2\sigma\sqrt{P/b}/\delta$, exceeds the preconditioned spike, about 1: $D$ divides the spike by $\lambda + \delta$
    and the bulk by $\delta$ alone.

    **Measured.** The mean of four draws for each $B$ over the formula, within [0.97, 1.06], the excess being the edge
    of a finite matrix, which is low by $0.6P^{-2/3}$; and the slope over $B$, one a run, within [0.46, 0.54]. Controls:
    $\delta = 1000$, where spike and bulk are divided alike, and no preconditioner: there the spike limits, and more
    batch gains nothing.

    **Reference.** Granziol, Zohren and Roberts (2022), Section 11, equations (28) to (31).
    """
    rates, stated = [], []
    for batch in batches.astype(int).tolist():
        model = SpikedWigner(PARAMETERS, (SPIKE,), DEVIATION, batch)
        if damping is None:
            rates.append(np.mean(2.0 / extreme_draws(model, 4, rng).eigenvalues))
        else:
            rates.append(np.mean(preconditioned_rates(model, damping, 4, rng)))
        stated.append(preconditioned_rate(DAMPING if damping is None else damping, model.radius))
    edge = 2.0 * SpikedWigner(PARAMETERS, (SPIKE,), DEVIATION, int(batches.max())).radius / DAMPING
    return {
        "ratio": np.array(rates) / np.array(stated),
        "slope": np.full(batches.size, log_log_slope(batches, rates)),
        "noise": by_construction("independent draws of the tridiagonal form for each B"),
        "aligned": by_construction("the preconditioner is built from H_emp"),
        "edge": certified(edge, at_least=1.0, note="smallest edge over B, at delta = 0.01"),
    }


METHODS = {"sgd": Method("heavy ball"), "heavy ball": Method("heavy ball", 0.9), "adam": Method("adam", 0.9)}
TARGET = 2.5e-4
BATCHES = (1, 4, 16, 64, 256)


@claim(
    PAPER,
    source="Sections 10 and 11, the two rules; re-derived to first order for a stationary loss",
    guarantee="tight",
    sweep=Sweep(name="T", label="steps, T", quick=(5000,), full=(5000, 20000)),
    replicates=Replicates(quick=6, full=16),
    judges=[
        Equals(measured="adam_slope", between=(0.43, 0.57)),
        Equals(measured="momentum_slope", between=(0.93, 1.07)),
    ],
    controls=[
        Control("plain SGD in Adam's place", root="sgd"),
        Control("Adam in heavy ball's place", linear="adam"),
    ],
    hypotheses={
        "noise": r"gradients $hw + (s_g/\sqrt B)\,\xi_t$ with independent standard normal $\xi_t$",
        "dominated": r"noise dominates the gradient: $2hL \ll s_g^2/B$ at all $B$",
    },
)
def adam_sqrt_dynamic(
    steps: int, rng: np.random.Generator, *, linear: str = "heavy ball", root: str = "adam"
) -> dict[str, Any]:
    r"""At a fixed stationary loss Adam's rate grows like the square root of the batch size, heavy ball's linearly.

    **Problem.** Twenty copies of $hw^2/2$, $h = 1$, with gradient noise of variance $s_g^2/B$, $s_g = 1$.

    **Algorithm.** Heavy ball with $\rho = 0.9$, and Adam with $\beta = (0.9, 0.999)$; $T$ steps, the first half
    discarded. For $B = 1, 4, \ldots, 256$ the rate at which the stationary loss is $L = 2.5 \cdot 10^{-4}$, by
    bisection with common random numbers.

    **Guarantee** (tight, re-derived to first order in the rate; the paper argues from the batch Hessian instead, see
    `adam-sqrt-static`). Heavy ball has the stationary loss $\eta s_g^2/(4(1-\rho)B)$, so $\eta \propto B$ at fixed $L$.
    Where noise dominates, Adam's $v$ is $s_g^2/B$: it is gradient descent of rate $\eta\sqrt B/s_g$, whose loss is
    $\eta s_g/(4\sqrt B)$, so $\eta \propto \sqrt B$. Adam divides by the standard deviation of its own noise, and that
    loses half of the exponent.

    **Measured.** The slope of the rate over all $B$, one a run: Adam within 0.07 of 1/2, heavy ball within 0.07 of 1.
    Controls: each rule on the other method.

    **Chosen after measuring.** The loss $L$ is so small that noise dominates up to $B = 256$; with $L = 10^{-3}$ the
    slope of Adam was 0.56, as the gradient itself enters $v$. Five seeds, and six with ten copies of the problem, were
    inconclusive; six with twenty decide.

    **Reference.** Granziol, Zohren and Roberts (2022), Sections 10.1 and 11.
    """
    noise = rng.standard_normal((20, steps + 1))
    rates = {
        name: [rate_for_loss(METHODS[name], TARGET, noise, deviation=1.0, batch=batch) for batch in BATCHES]
        for name in sorted({linear, root})
    }
    return {
        "adam_slope": log_log_slope(BATCHES, rates[root]),
        "momentum_slope": log_log_slope(BATCHES, rates[linear]),
        "noise": by_construction("drawn independently of the iterates"),
        "dominated": certified(2.0 * TARGET * BATCHES[-1], at_most=0.2, note="2 h L B / s_g^2 at the largest B"),
    }
