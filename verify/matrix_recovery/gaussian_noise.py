"""Claims on Gaussian noise, alone and mixed with outliers: rates, the constant, independence of the search rank."""

from typing import Any

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import MatrixSensing, Noise, draw_operator, ground_truth, measure, sense
from theorylab.algorithms.recovery_bounds import asymptotic_error
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import Equals, EveryRun, InExpectation
from verify.matrix_recovery import PAPER
from verify.matrix_recovery.measures import log_slope
from verify.matrix_recovery.noisy import HYPOTHESES, audited, first_measurements, recovery_errors

Array = npt.NDArray[np.float64]

ALPHA = 1e-3
DIMENSION, RANK, CONDITION, MEASUREMENTS, DEVIATION = 20, 3, 2.0, 1500, 0.1
STATED_SLOPES = {"noise": 1.0, "measurements": -0.5, "dimension": 0.5}


def instances_along(axis: str, share: float, rng: np.random.Generator) -> list[tuple[float, MatrixSensing]]:
    """Return (value, instance) along one axis, the rest at its nominal value.

    Noise levels share sensing and the drawn errors up to their size; sample sizes are nested.
    """
    noise = Noise(share, "normal", 10.0, DEVIATION)
    if axis == "dimension":
        return [(d, sense(ground_truth(d, RANK, CONDITION, rng), MEASUREMENTS, rng, noise)) for d in (10, 20, 30)]
    truth = ground_truth(DIMENSION, RANK, CONDITION, rng)
    if axis == "measurements":
        whole = sense(truth, 4800, rng, noise)
        return [(m, first_measurements(whole, m)) for m in (600, 1200, 2400, 4800)]
    operator = draw_operator(MEASUREMENTS, DIMENSION, rng)
    seed = int(rng.integers(2**62))
    return [
        (nu, measure(truth, operator, np.random.default_rng(seed), Noise(share, "normal", 10.0, nu)))
        for nu in (0.05, 0.1, 0.2, 0.4)
    ]


@claim(
    PAPER,
    source="Corollary 29 (order), exponents without its logarithms; margin ours",
    guarantee="tight",
    sweep=Sweep(
        name="axis",
        label="what is varied",
        quick=("noise",),
        full=("noise", "measurements", "dimension"),
    ),
    replicates=Replicates(quick=12, full=32),
    judges=Equals(measured="slope", to="stated", absolute=0.15),
    controls=[Control("least squares under outliers", method="least squares", share=0.2)],
    hypotheses=HYPOTHESES,
)
def gauss_rate(axis: str, rng: np.random.Generator, *, method: str = "geometric", share: float = 0.0) -> dict[str, Any]:
    r"""Under Gaussian noise the error is proportional to ν √(d/m) at full search rank.

    **Problem.** Rank 3, $\kappa = 2$, $r' = d$, all errors $N(0, \nu_g^2)$. Nominal $d = 20$, $m = 1500$, $\nu_g =
    0.1$; one of $\nu_g \in [0.05, 0.4]$, $m \in [600, 4800]$, $d \in [10, 30]$ is varied at a time.

    **Algorithm.** SubGM from the spectral start of scale $\alpha = 10^{-3}$ with geometric steps.

    **Guarantee.** Upper bound with orders, $\|\Delta\|_F = O(\sqrt{\nu_g^2 \kappa^4 d r^2 \log^5(1/\alpha)
    \log^2(m)/m})$; no method does better than $\sqrt{\nu_g^2 d r/m}$, so the exponents of $\nu_g$, $m$ and $d$ are
    tight.

    **Measured.** Log-log slopes of $\|\Delta\|_F$ over the varied quantity, one a run; their means are $1$, $-1/2$
    and $1/2$ within 0.15. Least squares has the same rates in pure Gaussian noise, so the control adds a share $p =
    0.2$ of $N(0, 100)$ outliers, under which SubGM keeps its rates (Remark 30) and least squares no longer sees
    $\nu_g$.

    **Chosen after measuring.** The number of seeds was raised from 8 to 12 after an undecided run at another seed;
    the tolerance was fixed before.

    **Reference.** Ma and Fattahi, JMLR 24(96), 2023, Corollary 29.
    """
    along = instances_along(axis, share, rng)
    errors = [recovery_errors(case, [case.truth.dimension], ALPHA, method=method)[0] for _, case in along]
    slope = log_slope([value for value, _ in along], errors)
    return {
        "slope": slope,
        "stated": STATED_SLOPES[axis],
        **audited(along[-1][1], ALPHA, rng),
    }


@claim(
    PAPER,
    source="Corollary 29, Remark 30; constant re-derived",
    guarantee="tight",
    sweep=Sweep(
        name="(d, r, m, nu, p)",
        label="dimension, rank, measurements, noise level, share of outliers",
        quick=((20, 1, 1500, 0.1, 0.0), (20, 3, 2000, 0.1, 0.2)),
        full=(
            (20, 3, 2000, 0.1, 0.0),
            (20, 1, 1500, 0.1, 0.0),
            (30, 2, 2500, 0.2, 0.0),
            (20, 3, 2000, 0.1, 0.2),
            (20, 3, 2000, 0.1, 0.4),
        ),
    ),
    replicates=Replicates(quick=6, full=16),
    judges=Equals(measured="ratio", between=(0.7, 1.4)),
    controls=[
        Control("large start, alpha = 1", start_scale=1.0),
        Control("least squares", method="least squares"),
    ],
    hypotheses=HYPOTHESES,
)
def gauss_constant(
    setting: tuple[int, int, int, float, float],
    rng: np.random.Generator,
    *,
    method: str = "geometric",
    start_scale: float | None = None,
) -> dict[str, Any]:
    r"""The error is about that of the best-informed ℓ₁ estimator, although the rank is unknown.

    **Problem.** Errors $N(0, \nu_g^2)$, on a share $p$ plus $N(0, 100)$ outliers; $\kappa = 2$ for ranks above one,
    $r' = d$.

    **Algorithm.** SubGM from the spectral start of scale $\alpha = 10^{-3}$ with geometric steps.

    **Guarantee.** The paper states the order $\tilde O(\nu_g \kappa^2 r \sqrt{d/m}/(1-p))$. Re-derived, as $m \to
    \infty$ with known rank: median regression on the $D = dr - r(r-1)/2$ directions tangent to the matrices of rank
    $r$, with density $h = (1-p)/(\nu_g\sqrt{2\pi})$ of the errors at zero, has variance $1/(4h^2m)$ in each, hence
    $\|\Delta\|_F \approx \frac{\nu_g}{1-p}\sqrt{\pi D/(2m)}$.

    **Measured.** The mean of the error over that value, in $[0.7, 1.4]$. It is not a limit theorem: excess directions
    add a little that grows with $\log(1/\alpha)$, so the window is wide. A large start fits the noise with all
    $d(d+1)/2$ parameters; least squares is lost once outliers are in the mixture.

    **Reference.** Ma and Fattahi, JMLR 24(96), 2023, Corollary 29, Remark 30.
    """
    d, r, m, nu, share = setting
    truth = ground_truth(d, r, CONDITION if r > 1 else 1.0, rng)
    instance = sense(truth, m, rng, Noise(share, "normal", 10.0, nu))
    error = recovery_errors(instance, [d], ALPHA, method=method, start_scale=start_scale)[0]
    return {"ratio": error / asymptotic_error(nu, share, d, r, m), **audited(instance, ALPHA, rng)}


@claim(
    PAPER,
    source="Corollary 29: no r' in the error; the factor 1.1 is ours",
    guarantee="upper bound",
    sweep=Sweep(
        name="r'",
        label="search rank r' (true rank 3, dimension 20)",
        quick=(3, 6, 20),
        full=(3, 6, 12, 20),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=20, full=48),
    judges=[
        InExpectation(measured="ratio", at_most=1.1),
        EveryRun(measured="ratio_above_rank", at_most=1.1),
    ],
    controls=[Control("least squares from alpha = 1/2", method="least squares", start_scale=0.5)],
    hypotheses=HYPOTHESES,
)
def gauss_rank_free(
    ranks: Array, rng: np.random.Generator, *, method: str = "geometric", start_scale: float | None = None
) -> dict[str, Any]:
    r"""Over-estimating the rank does not cost accuracy under Gaussian noise.

    **Problem.** Rank 3 in dimension 20, $\kappa = 2$, $m = 1500$, all errors $N(0, 0.2^2)$; all $r'$ share them.

    **Algorithm.** SubGM from the spectral start of scale $\alpha = 10^{-3}$ with geometric steps.

    **Guarantee.** Upper bound: the order of `gauss-rate`, without $r'$ in it.

    **Measured.** The error over that of the exact rank is at most 1.1 on average, and the errors of all $r' > r$ are
    within a factor 1.1 of each other in every run. (Against the exact rank a single run may lose more: there the
    excess part that grows from $\alpha$ is absent.) The control is least squares from half the true size, which gains
    a third over $\ell_1$ at the exact rank (in theory $\sqrt{\pi/2}$) and loses it again at higher ones.

    **Chosen after measuring.** That 1.1 is asked of the mean against the exact rank was settled after measuring: 6 of
    40 single runs exceeded it, up to 1.27.

    **Reference.** Ma and Fattahi, JMLR 24(96), 2023, Corollary 29.
    """
    truth = ground_truth(DIMENSION, RANK, CONDITION, rng)
    instance = sense(truth, MEASUREMENTS, rng, Noise(gaussian=0.2))
    searched = [int(rank) for rank in ranks]
    errors = recovery_errors(instance, searched, ALPHA, method=method, start_scale=start_scale)
    return {
        "ratio": np.where(np.isfinite(errors), errors / errors[ranks == RANK], np.inf),
        "ratio_above_rank": np.where(np.isfinite(errors), errors / errors[ranks > RANK].min(), np.inf),
        **audited(instance, ALPHA, rng),
    }
