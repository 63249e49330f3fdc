"""Charts of the lesson without errors in the measurements: eigenvalues being learned, and the population loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import ground_truth, sense, truth_with_spectrum
from theorylab.algorithms.low_rank_start import orthonormal_start, spectral_start
from theorylab.algorithms.population_bounds import linear_horizon
from theorylab.algorithms.population_gradient import population_gradient, small_start
from theorylab.algorithms.sign_rip import NOISELESS_SCALING
from theorylab.algorithms.subgradient_method import Arm, Schedule, StepRule, subgradient_method_stacked
from theorylab.report.lessons import Axis, Bars, Chart, Curve, Panel, Readout, Slider

Array = npt.NDArray[np.float64]

SPECTRUM = (2.0, 1.0, 0.5)
FILM_ALPHAS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
FRAMES = np.arange(0, 401, 4)
STEP_SHARE = 0.3  # eta sigma_1, as in the claims
NAMES = ("1st", "2nd", "3rd", "4th", "5th", "6th")
STEPS = (0.02, 0.05, 0.1)  # eta sigma_1 on the population loss; the proof allows 0.1
ALPHAS = (5e-2, 1e-2, 1e-3, 1e-4)
LARGE = "control: large start, α = 1"
TOO_LONG = "control: step 1.2/σ₁"


def learned_eigenvalues(rng: np.random.Generator) -> tuple[Array, Array]:
    """The six largest eigenvalues of ``U_t U_t^T`` at the frames: of the small starts (5, F, 6), of a large one (F, 6).

    2000 Gaussian measurements without errors, d = r' = 20, the rule ``eta_t = (eta/2) f(U_t)``.
    """
    instance = sense(truth_with_spectrum(20, SPECTRUM, rng), 2000, rng)
    schedule = Schedule(StepRule.QUASI_POLYAK, STEP_SHARE / SPECTRUM[0], int(FRAMES[-1]))
    starts = [spectral_start(instance.operator, instance.observations, 20, alpha) for alpha in FILM_ALPHAS]
    starts.append(orthonormal_start(20, 20, 1.0, rng))
    arms = [Arm(start, schedule, FRAMES) for start in starts]
    paths = subgradient_method_stacked(
        instance.operator, instance.observations, arms, truth=instance.truth.matrix, keep_iterates=True
    )
    squares = np.array([np.linalg.svd(path.iterates, compute_uv=False)[:, : len(NAMES)] ** 2 for path in paths])
    return squares[:-1], squares[-1]


def predicted_times(alphas: npt.ArrayLike) -> Array:
    """Iterations (A, 3) after which an eigenvalue should be learned: ``log(1/alpha) / (eta phi_0^2 sigma_i)``."""
    rate = STEP_SHARE / SPECTRUM[0] * NOISELESS_SCALING**2 * np.array(SPECTRUM)
    times: Array = np.log(1.0 / np.asarray(alphas))[:, None] / rate
    return times


def film(rng: np.random.Generator) -> Chart:
    """Eigenvalues learned one after the other; sliders: the start's scale, and the iteration, which plays."""
    small, large = learned_eigenvalues(rng)
    truth = (*SPECTRUM, 0.0, 0.0, 0.0)
    roles = ("measured", "second", "third")
    grown = [Curve(f"{NAMES[i]} eigenvalue", FRAMES, small[:, None, :, i], role=roles[i], grows=True) for i in range(3)]
    times = predicted_times(FILM_ALPHAS)
    return Chart(
        title="The eigenvalues are learned one after the other",
        look="Press play: the largest eigenvalue comes first, the others wait. Then make $\\alpha$ ten times smaller "
        "and play again: the waits get longer, and the three eigenvalues that should stay zero stay smaller. Show the "
        "control: from a large start nothing waits, and what should vanish does so slowly.",
        sliders=(
            Slider("scale of the start α", FILM_ALPHAS, 1e-3),
            Slider("iteration t", FRAMES.tolist(), 92, plays=True, seconds=12.0),
        ),
        panels=(
            Panel(
                Axis("eigenvalue of UUᵀ"),
                Axis("size", low=0.0, high=2.4),
                (
                    Bars("learned so far", NAMES, small),
                    Bars("truth", NAMES, truth, role="bound"),
                    Bars(LARGE, NAMES, large, role="control"),
                ),
                title="Now",
            ),
            Panel(
                Axis("iteration t"),
                Axis("eigenvalue", low=0.0, high=2.4),
                (
                    *grown,
                    Curve("predicted: half is learned", times[:, None], np.array(SPECTRUM) / 2, "bound", draw="points"),
                ),
                title="So far",
            ),
        ),
        readouts=(
            Readout("largest eigenvalue that should be zero", small[..., 3]),
            Readout(LARGE, large[:, 3], role="control"),
        ),
    )


def population_chart(rng: np.random.Generator) -> Chart:
    """Error along gradient descent on the population loss, below the bound with all its constants."""
    truth = ground_truth(12, 2, 2.0, rng)
    sigma_1, sigma_r = float(truth.eigenvalues[0]), float(truth.eigenvalues[-1])
    horizons = np.array([[linear_horizon(a, share / sigma_1, sigma_1, sigma_r) for a in ALPHAS] for share in STEPS])
    end = 2 * int(horizons.max())
    times = np.unique(np.geomspace(1, end, 110).astype(int))

    def run(scale: float, share: float) -> Array:
        start = small_start(truth.basis, truth.eigenvalues, 12, scale, np.random.default_rng(seed))
        return population_gradient(start, truth.basis, truth.eigenvalues, share / sigma_1, times).error

    seed = int(rng.integers(2**62))
    errors = np.array([[run(alpha, share) for alpha in ALPHAS] for share in STEPS])
    levels = 4.0 * np.array(ALPHAS) ** 2
    corner = np.stack([horizons, horizons, np.full_like(horizons, end)], axis=-1).astype(float)
    height = np.stack([np.full_like(levels, 1e3), levels, levels], axis=-1)
    reached = np.array(
        [[times[np.argmax(errors[i, k] <= level)] for k, level in enumerate(levels)] for i in range(len(STEPS))]
    )
    return Chart(
        title="A guarantee with every constant: the run passes below the corner",
        look="With infinitely many measurements all constants can be worked out. The dashed corner is the promise: "
        "from there on the error stays below $4\\alpha^2$. Move $\\alpha$: the corner goes down by its square and only "
        "a little to the right. Shorten the step: everything takes longer, nothing gets worse.",
        sliders=(
            Slider("step times largest eigenvalue, ησ₁", STEPS, 0.1),
            Slider("scale of the start α", ALPHAS, 1e-2),
        ),
        panels=(
            Panel(
                Axis("iteration t", log=True),
                Axis("error ‖UUᵀ − X*‖", log=True, low=1e-9, high=10.0),
                (
                    Curve("measured", times, errors),
                    Curve("promise: 4α² from here on", corner, height, role="bound"),
                    Curve(LARGE, times, np.array([run(1.0, share) for share in STEPS])[:, None], role="control"),
                    Curve(TOO_LONG, times, np.array([run(alpha, 1.2) for alpha in ALPHAS]), role="control"),
                ),
            ),
        ),
        readouts=(
            Readout("4α² reached at iteration", reached.astype(float)),
            Readout("promised from iteration", horizons.astype(float)),
            Readout("final error over 4α²", errors[..., -1] / levels),
        ),
    )
