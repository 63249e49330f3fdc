"""Charts of the lesson with errors in the measurements: what the small start buys, and what breaks it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from problems.matrix_sensing import (
    GroundTruth,
    MatrixSensing,
    Noise,
    draw_operator,
    ground_truth,
    measure,
    with_impostor,
)
from theorylab.algorithms.low_rank_start import orthonormal_start, spectral_start
from theorylab.algorithms.recovery_bounds import asymptotic_error
from theorylab.algorithms.subgradient_method import Arm, Schedule, Trajectory, subgradient_method_stacked
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Progress, Readout, Slider
from verify.matrix_recovery.lesson_charts import LARGE
from verify.matrix_recovery.noisy import schedule_of

Array = npt.NDArray[np.float64]

DIMENSION, RANK, CONDITION, MEASUREMENTS = 12, 2, 2.0, 800
ALPHAS = (1e-2, 1e-3, 1e-4, 1e-5)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5)
DEVIATIONS = (0.0, 0.01, 0.05, 0.2)
SEEDS, POINTS = 5, 70
BREAKING_SHARES = (0.0, 0.1, 0.2, 0.4, 0.6)
SIZES = (1.0, 10.0, 100.0, 1e4)  # of the outliers
SETTLED = 1e-3  # alpha of the chart that compares methods
METHODS = ("geometric", "least squares", "noiseless")


def _checkpoints(schedule: Schedule) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, schedule.horizon, POINTS).astype(np.int64))


def _descend(instance: MatrixSensing, starts: list[tuple[Array, Schedule]]) -> tuple[Trajectory, ...]:
    arms = [Arm(start, schedule, _checkpoints(schedule)) for start, schedule in starts]
    return subgradient_method_stacked(instance.operator, instance.observations, arms, truth=instance.truth.matrix)


def _relative(path: Trajectory, truth: GroundTruth) -> Array:
    return path.errors / float(np.linalg.norm(truth.eigenvalues))


def outlier_errors(rng: np.random.Generator, progress: Progress, seeds: int) -> tuple[Array, Array, Array]:
    """Relative errors of all settings.

    Iterations (A + 1, n) of the checkpoints; errors (seeds, A, P, V, n) from small starts over alpha, p and nu; errors
    (seeds, P, V, n) from a start of scale one with the schedule of alpha = 1e-3. Settings of a seed share measurements
    and the outliers' places.
    """
    small = np.empty((seeds, len(ALPHAS), len(SHARES), len(DEVIATIONS), POINTS))
    large = np.empty((seeds, len(SHARES), len(DEVIATIONS), POINTS))
    times = np.empty((len(ALPHAS) + 1, POINTS))
    for k, stream in enumerate(rng.spawn(seeds)):
        truth = ground_truth(DIMENSION, RANK, CONDITION, stream)
        operator = draw_operator(MEASUREMENTS, DIMENSION, stream)
        seed = int(stream.integers(2**62))
        big = orthonormal_start(DIMENSION, DIMENSION, 1.0, stream)
        for i, share in enumerate(SHARES):
            for j, deviation in enumerate(DEVIATIONS):
                noise = Noise(share, "normal", 10.0, deviation)
                instance = measure(truth, operator, np.random.default_rng(seed), noise)
                starts = [
                    (spectral_start(operator, instance.observations, DIMENSION, alpha), _geometric(alpha, instance))
                    for alpha in ALPHAS
                ]
                paths = _descend(instance, [*starts, (big, _geometric(SETTLED, instance))])
                times[:] = [path.checkpoints for path in paths]
                small[k, :, i, j] = [_relative(path, truth) for path in paths[:-1]]
                large[k, i, j] = _relative(paths[-1], truth)
            progress(len(SHARES) * k + i + 1, seeds * len(SHARES))
    return times, small, large


def _geometric(alpha: float, instance: MatrixSensing) -> Schedule:
    return schedule_of("geometric", alpha, instance)


def outlier_chart(rng: np.random.Generator, progress: Progress, *, seeds: int = SEEDS) -> Chart:
    """Error along the run and at its end, over the start's scale, the share of outliers and Gaussian noise."""
    times, small, large = outlier_errors(rng, progress, seeds)
    low, middle, high = np.quantile(small, (0.0, 0.5, 1.0), axis=0)
    control = np.median(large, axis=0)
    ends = np.moveaxis(small[..., -1], 1, -1)  # (seeds, P, V, A)
    end_low, end, end_high = np.quantile(ends, (0.0, 0.5, 1.0), axis=0)
    norm = float(np.linalg.norm([CONDITION**0.5, CONDITION**-0.5]))
    floor = np.array([[_floor(share, deviation) for deviation in DEVIATIONS] for share in SHARES]) / norm
    across = np.array([min(ALPHAS), max(ALPHAS)])
    lines = np.repeat(floor[None, ..., None], 2, axis=-1)  # (1, P, V, 2)
    return Chart(
        title="Outliers of any size are forgotten, noise is averaged",
        look="Raise the share $p$ of outliers with $\\nu = 0$: the error on the left still falls to the level of the "
        "start. Make $\\alpha$ smaller: it falls further. Now add Gaussian noise: the curve settles on the dashed "
        "line, which goes up with $\\nu$ and with $p$ and knows nothing of $\\alpha$. Bands span five seeds.",
        sliders=(
            Slider("scale of the start α", ALPHAS, 1e-3),
            Slider("share of outliers p", SHARES, 0.1),
            Slider("Gaussian noise ν", DEVIATIONS, 0.0),
        ),
        panels=(
            Panel(
                Axis("share of the run, t/T"),
                Axis("relative error", log=True, low=1e-9, high=5.0),
                (
                    Curve("measured", times[:-1, None, None] / times[:-1, None, None, -1:], middle, low=low, high=high),
                    Curve("noise level (ν/(1−p))√(πD/2m)", np.array([0.0, 1.0]), lines, role="bound"),
                    Curve(LARGE, times[-1] / times[-1, -1], control, role="control"),
                ),
                title="Along the run",
            ),
            Panel(
                Axis("scale of the start α", log=True, low=7e-6, high=1.5e-2),
                Axis("final relative error", log=True, low=1e-9, high=5.0),
                (
                    Curve("at the end, all α", np.array(ALPHAS), end, low=end_low, high=end_high, draw="both"),
                    Curve("noise level (ν/(1−p))√(πD/2m)", across, lines, role="bound"),
                    Curve("slope 2: dα², hidden constant 1", across, DIMENSION * across**2 / norm, role="third"),
                ),
                title="At the end",
            ),
        ),
        readouts=(
            Readout("final relative error", middle[..., -1]),
            Readout("iterations T", times[:-1, None, None, -1]),
            Readout("noise level", np.where(floor > 0.0, floor, np.nan)),
            Readout(LARGE, control[..., -1], role="control"),
        ),
    )


def _floor(share: float, deviation: float) -> float:
    return asymptotic_error(deviation, share, DIMENSION, RANK, MEASUREMENTS) if deviation else np.nan


def breaking_chart(rng: np.random.Generator) -> Chart:
    """The same data for wrong variants: the sign dropped, a step that follows the loss, outliers that know the A_i."""
    truth, decoy = (ground_truth(DIMENSION, RANK, CONDITION, rng) for _ in range(2))
    operator = draw_operator(MEASUREMENTS, DIMENSION, rng)
    seed = int(rng.integers(2**62))
    errors = np.empty((len(METHODS), len(BREAKING_SHARES), len(SIZES), POINTS))
    known = np.empty((len(BREAKING_SHARES), 1, POINTS))
    times = np.empty((len(METHODS), POINTS))
    for i, share in enumerate(BREAKING_SHARES):
        for j, size in enumerate(SIZES):
            instance = measure(truth, operator, np.random.default_rng(seed), Noise(share, "normal", size))
            start = spectral_start(operator, instance.observations, DIMENSION, SETTLED)
            paths = _descend(instance, [(start, schedule_of(method, SETTLED, instance)) for method in METHODS])
            errors[:, i, j] = [_relative(path, truth) for path in paths]
            times[:] = [path.checkpoints for path in paths]
        fooled = with_impostor(instance, decoy)
        start = spectral_start(operator, fooled.observations, DIMENSION, SETTLED)
        known[i, 0] = _relative(_descend(fooled, [(start, _geometric(SETTLED, fooled))])[0], truth)
    names = (
        "sign steps of decaying length",
        "control: least squares, the sign dropped",
        "control: step proportional to the loss",
    )
    roles = ("measured", "control", "control")
    curves = [Curve(name, x, y, role=role) for name, x, y, role in zip(names, times, errors, roles, strict=True)]
    impostor = Curve("control: outliers that know the measurements", times[0], known, role="control")
    return Chart(
        title="What breaks it",
        look="Make the outliers larger: the sign does not see their size, so the solid curve hardly moves. Drop the "
        "sign, or let the step follow the loss: the error follows the outliers up, or out of the chart. Last, "
        "let the outliers be honest measurements of another matrix and move $p$ to 0.6.",
        sliders=(Slider("share of outliers p", BREAKING_SHARES, 0.2), Slider("size of the outliers", SIZES, 10.0)),
        panels=(
            Panel(
                Axis("iteration t"),
                Axis("relative error", log=True, low=1e-5, high=100.0),
                (*curves, impostor),
            ),
        ),
        # A control's number has the control's name, so that one button shows both.
        readouts=[Readout(curve.name, np.asarray(curve.y)[..., -1], role=curve.role) for curve in (*curves, impostor)],
    )
