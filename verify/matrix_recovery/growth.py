"""Proposition 16 at an arbitrary iterate: a counter-example to the printed growth inequality, and a form that holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from theorylab.algorithms.population_bounds import LARGEST_STEP, conditioned_growth_bound, growth_bound
from theorylab.algorithms.population_gradient import population_gradient
from theorylab.audit import certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun
from verify.matrix_recovery import PAPER

Array = npt.NDArray[np.float64]

SIGMA = np.array([1.0, 0.1])
PROPOSITION_16 = {
    "step": r"$\eta\sigma_1 \le 1/10$, where the paper writes $\eta \lesssim 1/\sigma_1$",
    "signal": r"$SS^\top \succ 0$ and $\|SS^\top\| \le 2\sigma_1$",
    "residual": r"$\|EE^\top\| \le \sigma_1$",
}


def _rotation(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _critical_ratio(step: float) -> float:
    """The s of order step^2 at which det S+ vanishes; see the docstring of `growth_arbitrary_iterate`."""

    def determinant(s: float) -> float:
        a, c, b = 1.0 + step * (0.55 - 1.0), 1.0 + step * (0.55 - s**2), 0.45 * step
        return s * ((a - step / 2) * (c - step / 2) - b**2 - step**2 / 4) - step * b / 2 * (1.0 + s**2)

    return float(brentq(determinant, 0.0, 0.1, xtol=1e-18, rtol=1e-14))


def _after_one_step(S: Array, E: Array, sigma: Array, step: float) -> dict[str, float]:
    """Norms before the step and lambda_min(S+ S+^T) after it, from singular values for relative accuracy.

    ``S`` (r, r') and ``E`` (d-r, r') are signal and residual in the basis of the truth, ``sigma`` (r,).
    """
    run = population_gradient(np.vstack([S, E]), np.eye(len(S) + len(E), len(S)), sigma, step, [0, 1])
    before = np.linalg.svd(S, compute_uv=False)
    after = np.linalg.svd(run.final[: len(S)], compute_uv=False)
    return {
        "lam": float(before[-1] ** 2),
        "norm": float(before[0] ** 2),
        "residual": float(np.linalg.norm(E, 2) ** 2),
        "next": float(after[-1] ** 2),
    }


@claim(
    PAPER,
    source="Proposition 16, read for an arbitrary iterate",
    guarantee="lower bound",
    sweep=Sweep(
        name="eta", label="step size, η (σ₁ = 1)", quick=(0.1, 0.03, 0.01), full=(0.1, 0.03, 0.01, 0.003, 0.001)
    ),
    replicates=Replicates(quick=1, full=2),
    judges=EveryRun(measured="next", at_least="printed"),
    controls=[Control("signal aligned with the truth", angle=0.0)],
    hypotheses=PROPOSITION_16,
    expected="violated",
    reason=(
        "at a tilted, badly conditioned signal one step can make S+ singular, for every step size; "
        "growth-conditioned is a form that holds"
    ),
)
def growth_arbitrary_iterate(eta: float, rng: np.random.Generator, *, angle: float = math.pi / 4) -> dict[str, Any]:
    r"""The printed growth inequality, read for an arbitrary iterate, fails when the signal is tilted.

    **Problem.** $\Sigma = \mathrm{diag}(1, 0.1)$, $d = 3$, $r' = 2$. The iterate: $SS^\top$ has eigenvectors at
    45 degrees to those of $\Sigma$ and eigenvalues $1$ and $s^2$; $E = v^\top$ is one unit row.

    **Guarantee** (lower bound, Proposition 16 as printed). If $\eta \lesssim 1/\sigma_1$, $SS^\top \succ 0$,
    $\|EE^\top\| \le \sigma_1$ and $\|SS^\top\| \le 2\sigma_1$, then, with $\lambda = \lambda_{\min}(SS^\top)$,
    $\lambda_{\min}(S^+S^{+\top}) \ge ((1+\eta\sigma_r)^2 - 2\eta\|EE^\top\|)\lambda - 2\eta(1+\eta\sigma_r)\lambda^2$.

    **Why it fails.** In the eigenbasis of $SS^\top$ write $S = \mathrm{diag}(1, s)$, $v = (1,-1)/\sqrt2$ and
    $W = I + \eta(\Sigma - SS^\top)$, which has diagonal $a = 1 - 0.45\eta$, $c = 1 + \eta(0.55 - s^2)$ and off-diagonal
    $b = 0.45\eta$. Then $S^+ = WS - \eta Svv^\top$ and
    $$\det S^+ = s\,[(a - \tfrac\eta2)(c - \tfrac\eta2) - b^2 - \tfrac{\eta^2}4] - \tfrac{\eta b}2(1 + s^2).$$
    At $s = 0$ this is $-0.225\,\eta^2 < 0$, and at $s = \eta$ it is positive for $\eta \le 1/10$: between them, near
    $s = 0.225\,\eta^2$, $S^+$ is singular, while the right-hand side is about $(1 - 2\eta)s^2 > 0$. No constant in
    $\eta \lesssim 1/\sigma_1$ excludes it.

    The printed proof bounds $\|SE^\top ES^\top(SS^\top)^{-1}\|$ by the norm of the similar symmetric matrix
    $(SS^\top)^{-1/2}SE^\top ES^\top(SS^\top)^{-1/2}$, in display (72). Similar matrices share their spectral radius,
    not their norm; the two norms agree when $SS^\top$ commutes with the product. The gap is in this step alone: a run
    that starts as Theorem 18 asks keeps $SS^\top$ nearly commuting with $\Sigma$, and along it the inequality is
    measured to hold (`population-one-step`). Theorem 18 is not affected by this example.

    **Measured.** $\lambda_{\min}(S^+S^{+\top})$ after one step of the reference algorithm against the printed bound.
    Control: the same $s$, $\eta$ and $v$ with $SS^\top$ aligned with $\Sigma$, where the inequality must hold.

    **Reference.** Ma and Fattahi (2023), Proposition 16 and display (72).
    """
    turned = np.linalg.qr(rng.standard_normal((2, 2)))[0]  # U -> U R changes nothing but rounding
    S = _rotation(angle) @ np.diag([1.0, _critical_ratio(eta)]) @ turned
    # At 45 degrees the rotated truth has the off-diagonal entry -0.45, so v is (1, 1) where the text has (1, -1).
    E = np.array([[1.0, 1.0]]) / math.sqrt(2.0) @ turned
    found = _after_one_step(S, E, SIGMA, eta)
    printed = growth_bound(np.array(found["lam"]), np.array(found["residual"]), eta, float(SIGMA[-1]))
    return {
        "next": found["next"],
        "printed": float(printed),
        "step": certified(eta, at_most=LARGEST_STEP, note="eta sigma_1"),
        "signal": certified(found["norm"] if found["lam"] > 0 else math.inf, at_most=2.0, note="||SS^T|| / sigma_1"),
        "residual": certified(found["residual"], at_most=1.0 + 1e-12, note="||EE^T|| / sigma_1"),
    }


@claim(
    PAPER,
    source="Proposition 16, corrected form re-derived",
    guarantee="lower bound",
    sweep=Sweep(name="eta", label="step size, η (σ₁ = 1)", quick=(0.1, 0.03, 0.01), full=(0.1, 0.03, 0.01, 0.003)),
    replicates=Replicates(quick=4, full=20),
    judges=EveryRun(measured="shortfall", at_most=0.0, absolute=1e-7),
    controls=[
        Control("without the conditioning factor", conditioned=False),
        Control("ten times the step", larger=10.0),
    ],
    hypotheses=PROPOSITION_16,
)
def growth_conditioned(
    eta: float, rng: np.random.Generator, *, conditioned: bool = True, larger: float = 1.0
) -> dict[str, Any]:
    r"""With the conditioning of the signal in it, the growth inequality holds at every iterate.

    **Problem.** The counter-example of `growth-arbitrary-iterate`, and 100 random hard iterates with $\sigma_1 = 1$:
    tilted signals with $\lambda_{\min}(SS^\top)$ down to $e^{-12}$, residuals up to $\sigma_1$.

    **Guarantee** (lower bound, re-derived). For $\eta\sigma_1 \le 1/10$, $\|SS^\top\| \le 2\sigma_1$,
    $$\lambda_{\min}(S^+S^{+\top}) \ge \Bigl(1 - 1.25\,\eta\,\|EE^\top\|\sqrt{\|SS^\top\|/\lambda}\Bigr)_+^2
    (1 + \eta\sigma_r - \eta\lambda)^2\lambda.$$
    In $S^+ = WS(I - X)$ with $W = I + \eta(\Sigma - SS^\top)$ and $X = \eta S^\dagger W^{-1}SE^\top E$, the norm of
    $S^\dagger W^{-1}S$ is at most $1.25\sqrt{\|SS^\top\|/\lambda}$. In the counter-example the first factor is zero:
    the bound promises nothing there, and nothing more is true. Along the runs of Theorem 18 the factor is close to one.

    **Measured.** The largest relative shortfall, bound minus $\lambda_{\min}(S^+S^{+\top})$ over $\lambda$, which may
    exceed zero by rounding alone: $10^{-7}$, since $\lambda$ is an eigenvalue of a far larger matrix.

    **Reference.** Ma and Fattahi (2023), Proposition 16; correction in `theorylab.algorithms.population_bounds`.
    """
    iterates = [(_rotation(math.pi / 4) @ np.diag([1.0, _critical_ratio(eta)]), np.full((1, 2), math.sqrt(0.5)), SIGMA)]
    iterates += [_hard_iterate(rng) for _ in range(100)]
    shortfalls, found = [], {"norm": 0.0, "residual": 0.0, "lam": math.inf}
    for S, E, sigma in iterates:
        state = _after_one_step(S, E, sigma, larger * eta)
        norm = state["norm"] if conditioned else state["lam"]
        arguments = [np.array(value) for value in (state["lam"], state["residual"], norm)]
        bound = conditioned_growth_bound(*arguments, larger * eta, float(sigma[-1]))
        shortfalls.append((float(bound) - state["next"]) / state["lam"])
        found = {key: max(found[key], state[key]) for key in ("norm", "residual")} | {
            "lam": min(found["lam"], state["lam"])
        }
    return {
        "shortfall": max(shortfalls),
        "step": certified(larger * eta, at_most=LARGEST_STEP, note="eta sigma_1"),
        "signal": certified(found["norm"] if found["lam"] > 0 else math.inf, at_most=2.0 + 1e-9, note="||SS^T||"),
        "residual": certified(found["residual"], at_most=1.0 + 1e-9, note="||EE^T|| / sigma_1"),
    }


def _hard_iterate(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """A random tilted, badly conditioned signal (r, r'), a residual (q, r') of any size up to 1, and sigma (r,)."""
    r = rng.integers(1, 4)
    width = r + rng.integers(0, 3)
    q = rng.integers(max(1, width - r), 4)  # the search rank is at most the dimension
    sigma = np.sort(np.exp(rng.uniform(-4.0, 0.0, r)))[::-1]
    tilt = np.linalg.qr(rng.standard_normal((r, r)))[0]
    rows = np.linalg.qr(rng.standard_normal((width, r)))[0]
    strengths = np.sqrt(2.0 * np.exp(rng.uniform(-12.0, 0.0, r)))
    E = rng.standard_normal((q, width))
    return tilt * strengths @ rows.T, E * math.exp(rng.uniform(-4.0, 0.0) / 2) / np.linalg.norm(E, 2), sigma / sigma[0]
