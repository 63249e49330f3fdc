"""Charts of the lesson on spectra: the outlier that leaves the bulk, Lanczos at work, and batches of a finite set."""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from problems.random_matrix_hessians import SpikedWigner
from problems.spiked_ensembles import extreme_draws, spectrum, spiked_wigner
from problems.subsampled_wigner import subsampled_wigner
from theorylab.algorithms.lanczos import Lanczos, lanczos, power_iteration, ritz_values
from theorylab.algorithms.lanczos_bounds import kaniel_paige_bottom, kaniel_paige_top
from theorylab.algorithms.random_matrix_laws import (
    batch_top,
    bulk_radius,
    effective_batch,
    outlier_branch,
    semicircle_density,
    squared_overlap,
)
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Progress, Readout, Slider
from verify.random_matrix.ensembles import DRAWS, NOISE, top_of_batches

Array = npt.NDArray[np.float64]

SPIKES = (0.25, 0.5, 1.0)
NOISES = (4.0, 16.0, 64.0)
BATCHES = tuple(sorted({round(2.0 ** (k / 4.0)) for k in range(37)}))  # 1 to 512
ORDER = 1000
BINS = np.linspace(-2.4, 2.4, 49)  # of eigenvalue over radius
NO_TRANSITION = "control: outlier formula without the transition"

LANCZOS_ORDER, LANCZOS_STEPS = 400, 40
LANCZOS_BATCHES = (4, 16, 64, 256)
LANCZOS_BINS = np.linspace(-2.2, 4.6, 35)
PRINTED = "control: the printed bound, from the top pair"

POPULATIONS = (100, 200, 400)
POPULATION_ORDER, POPULATION_DRAWS = 120, 10
UNCORRECTED = "control: b = B"
HEAVY = "control: heavy tails, Student t(2.2)"


def scaled_spectra(ratio: float, order: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array, Array]:
    """What the film shows of ``lambda = 1``, ``P sigma^2 = ratio``, P = ``order``, at all F batch sizes.

    Histograms (F, bins + 1) of one draw, as density of eigenvalue over radius; its two largest eigenvalues (F, 2); the
    mean (F,) and the range (F, 2) of the largest over 20 further draws, and their mean squared overlap (F,). The drawn
    noise is the same at all batch sizes, up to its scale; the further draws are independent.
    """
    deviation, seed = sqrt(ratio / order), int(rng.integers(2**62))
    heights, largest = np.empty((len(BATCHES), BINS.size)), np.empty((len(BATCHES), 2))
    mean, ends, overlap = np.empty(len(BATCHES)), np.empty((len(BATCHES), 2)), np.empty(len(BATCHES))
    for k, batch in enumerate(BATCHES):
        model = SpikedWigner(order, (1.0,), deviation, batch)
        values = spectrum(spiked_wigner(model, np.random.default_rng(seed)))
        counts = np.histogram(values / model.radius, BINS)[0] / (order * (BINS[1] - BINS[0]))
        heights[k], largest[k] = np.append(counts, 0.0), values[:-3:-1]
        drawn = extreme_draws(model, DRAWS, rng)
        mean[k], overlap[k] = drawn.eigenvalues.mean(), drawn.overlaps.mean()
        ends[k] = drawn.eigenvalues.min(), drawn.eigenvalues.max()
    return heights, largest, mean, ends, overlap


def film(rng: np.random.Generator, progress: Progress, *, order: int = ORDER) -> Chart:
    """The spectrum of a batch Hessian as the batch grows; sliders: spike, noise, and the batch size, which plays."""
    ratios = [[noise / spike**2 for noise in NOISES] for spike in SPIKES]
    wanted = sorted({ratio for row in ratios for ratio in row})
    found = {}
    for k, ratio in enumerate(wanted):
        found[ratio] = scaled_spectra(ratio, order, rng)
        progress(k + 1, len(wanted))
    # Eigenvalues are proportional to the spike where the ratio of noise to its square is the same: (S, X, F, ...).
    heights, largest, mean, ends, overlap = (
        np.array([[found[ratio][part] for ratio in row] for row in ratios]) for part in range(5)
    )
    sizes = np.array(SPIKES)[:, None, None]
    largest, ends, mean = largest * sizes[..., None], ends * sizes[..., None], mean * sizes
    radius = np.array([[sqrt(noise / batch) for batch in BATCHES] for noise in NOISES])
    stated = np.array([[[batch_top(spike, rho) for rho in row] for row in radius] for spike in SPIKES])
    branch = np.array([[[outlier_branch(spike, rho) for rho in row] for row in radius] for spike in SPIKES])
    kept = np.array([[[squared_overlap(spike, rho) for rho in row] for row in radius] for spike in SPIKES])
    circle = np.linspace(-2.0, 2.0, 61)
    return Chart(
        title="The outlier leaves the bulk",
        look="Press play. Left, in units of the noise radius $\\rho$: the bulk fills $[-2, 2]$ at every batch size; "
        "once $\\lambda_1 > \\rho$ one eigenvalue walks out. Right, the same in true size: first the edge falls, "
        "then the largest eigenvalue parts from it and settles near $\\lambda_1$. Halve $\\lambda_1$: it needs a "
        "batch four times as large. Show the control: without its condition the formula is far off at small "
        "batches.",
        sliders=(
            Slider("sharpest curvature λ₁", SPIKES, 1.0),
            Slider("noise Pσ²", NOISES, 16.0),
            Slider("batch size B", BATCHES, 38, plays=True, seconds=10.0),
        ),
        panels=(
            _spectrum_panel(heights, circle, radius, largest[..., 0], stated, branch),
            _track_panel(mean, ends, largest[..., 1], stated, branch),
        ),
        readouts=(
            Readout("largest eigenvalue, mean of 20", mean),
            Readout("Theorem 4", stated),
            Readout("squared overlap with φ₁", overlap),
            Readout("Theorem 10", kept),
            Readout(NO_TRANSITION, branch, role="control"),
        ),
    )


def _spectrum_panel(
    heights: Array, circle: Array, radius: Array, largest: Array, stated: Array, branch: Array
) -> Panel:
    """One drawn spectrum over the noise radius, with the drawn and the predicted largest eigenvalue."""
    stem = np.array([0.0, 0.2])
    return Panel(
        Axis("eigenvalue / ρ", low=-2.6, high=12.0),
        Axis("density × ρ", low=0.0, high=0.38),
        (
            Curve("drawn spectrum", BINS, heights, draw="steps"),
            Curve("semicircle", circle, semicircle_density(circle, 1.0), role="bound"),
            Curve("Theorem 4", np.repeat((stated / radius)[..., None], 2, axis=-1), stem, role="bound"),
            Curve("drawn largest", (largest / radius)[..., None], np.array([0.02]), role="second", draw="points"),
            Curve(NO_TRANSITION, np.repeat((branch / radius)[..., None], 2, axis=-1), stem, role="control"),
        ),
        title="One batch Hessian",
    )


def _track_panel(mean: Array, ends: Array, second: Array, stated: Array, branch: Array) -> Panel:
    """The largest eigenvalues against the batch size: measured up to the clock, the laws all along."""
    sizes = np.array(BATCHES)
    low, high = ends[:, :, None, :, 0], ends[:, :, None, :, 1]
    whole = np.array(SPIKES)[:, None, None, None] * np.ones(sizes.size)
    names = ("largest, mean of 20 and range", "second largest, the edge")
    return Panel(
        Axis("batch size B", log=True, low=0.9, high=600.0),
        Axis("eigenvalue", log=True, low=0.1, high=30.0),
        (
            Curve(names[0], sizes, mean[:, :, None], role="second", low=low, high=high, grows=True),
            Curve(names[1], sizes, second[:, :, None], grows=True),
            Curve("Theorem 4", sizes, stated[:, :, None], role="bound"),
            Curve(NO_TRANSITION, sizes, branch[:, :, None], role="control"),
            Curve("control: the curvature of all data", sizes, whole, role="control"),
        ),
        title="As the batch grows",
    )  # fmt: skip


def lanczos_runs(rng: np.random.Generator) -> dict[str, Array]:
    """Lanczos on one batch Hessian over its radius at each of the four batch sizes (S), after each of M steps.

    "heights" (S, bins + 1) share of eigenvalues a bin; "values", "weights" (S, M, M) of the Ritz values, NaN beyond
    step m; "top", "bottom", "power" errors (S, M), "top_bound", "bottom_bound", "printed" (S, M). The matrix is taken
    diagonal, as in `lanczos-kps`.
    """
    steps = LANCZOS_STEPS
    errors = ("top", "bottom", "power", "top_bound", "bottom_bound", "printed")
    found = {name: np.empty((len(LANCZOS_BATCHES), steps)) for name in errors}
    found["values"], found["weights"] = np.full((2, len(LANCZOS_BATCHES), steps, steps), np.nan)
    found["heights"] = np.empty((len(LANCZOS_BATCHES), LANCZOS_BINS.size))
    seed = int(rng.integers(2**62))
    for s, batch in enumerate(LANCZOS_BATCHES):
        stream = np.random.default_rng(seed)
        model = SpikedWigner(LANCZOS_ORDER, (1.0,), sqrt(NOISE / LANCZOS_ORDER), batch)
        eigenvalues = spectrum(spiked_wigner(model, stream))[::-1] / model.radius
        start = stream.standard_normal(LANCZOS_ORDER)
        start /= np.linalg.norm(start)
        found["heights"][s] = np.append(np.histogram(eigenvalues, LANCZOS_BINS)[0] / LANCZOS_ORDER, 0.0)
        matrix = np.diag(eigenvalues)
        run = lanczos(matrix, steps=steps, rng=stream, start=start)
        found["power"][s] = eigenvalues[0] - power_iteration(matrix, steps=steps, rng=stream, start=start)
        for m in range(1, steps + 1):
            ritz = ritz_values(Lanczos(run.diagonal[:m], run.off_diagonal[: m - 1], 1.0, run.basis[:, :m]))
            found["values"][s, m - 1, :m], found["weights"][s, m - 1, :m] = ritz.values, ritz.weights
            found["top"][s, m - 1] = eigenvalues[0] - ritz.values[-1]
            found["bottom"][s, m - 1] = ritz.values[0] - eigenvalues[-1]
            # The second line of Theorem 12 prints the number of the first one: angle and gap of the top pair.
            found["printed"][s, m - 1] = found["top_bound"][s, m - 1] = kaniel_paige_top(eigenvalues, start[0] ** 2, m)
            found["bottom_bound"][s, m - 1] = kaniel_paige_bottom(eigenvalues, start[-1] ** 2, m)
    return found


def lanczos_film(rng: np.random.Generator) -> Chart:
    """Ritz values of a batch Hessian step by step, and the errors of both ends; sliders: batch size, and the step."""
    run = lanczos_runs(rng)
    steps = np.arange(1, LANCZOS_STEPS + 1)
    floor = {name: np.maximum(run[name], 1e-16)[:, None] for name in ("top", "bottom", "power")}
    error = Axis("error / ρ", log=True, low=1e-12, high=1e4)
    return Chart(
        title="Lanczos finds the ends first",
        look="Press play. Each step is one product with the Hessian and adds one dot; its height is the share of the "
        "spectrum it stands for. Dots run to both ends long before they fill the bulk. At $B = 256$ the outlier "
        "is found in a few steps, and the control shows that the bound printed for the bottom end fails. At $B = "
        "4$ nothing stands out and the search is slow.",
        sliders=(
            Slider("batch size B", LANCZOS_BATCHES, 256),
            Slider("Lanczos steps m", steps.tolist(), 12, plays=True, seconds=10.0),
        ),
        panels=(
            Panel(
                Axis("eigenvalue / ρ", low=-2.3, high=4.6),
                Axis("share of the spectrum", low=0.0, high=0.25),
                (
                    Curve("spectrum", LANCZOS_BINS, run["heights"][:, None], draw="steps"),
                    Curve("Ritz values, weights", run["values"], run["weights"], role="second", draw="points"),
                ),
                title="What Lanczos sees",
            ),
            Panel(
                Axis("steps m"),
                error,
                (
                    Curve("Lanczos", steps, floor["top"], role="second", grows=True),
                    Curve("power iteration", steps, floor["power"], role="third", grows=True),
                    Curve("Theorem 12", steps, run["top_bound"][:, None], role="bound"),
                ),
                title="Largest eigenvalue",
            ),
            Panel(
                Axis("steps m"),
                error,
                (
                    Curve("Lanczos", steps, floor["bottom"], role="second", grows=True),
                    Curve("Theorem 12, corrected", steps, run["bottom_bound"][:, None], role="bound"),
                    Curve(PRINTED, steps, run["printed"][:, None], role="control"),
                ),
                title="Smallest eigenvalue",
            ),
        ),
        readouts=(
            Readout("error of the largest, over ρ", np.maximum(run["top"], 0.0)),
            Readout("Theorem 12", run["top_bound"]),
            Readout("error of the smallest, over ρ", np.maximum(run["bottom"], 0.0)),
        ),
    )


def population_tops(noise: float, population: int, law: str, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Batch sizes (n,), mean largest eigenvalue (n,) over 10 batches, and the population's sigma."""
    drawn = subsampled_wigner(POPULATION_ORDER, population, rng, deviation=sqrt(noise / POPULATION_ORDER), law=law)
    sizes = np.unique(
        np.concatenate([2 ** np.arange(1, 7), population * np.array([0.4, 0.6, 0.8, 0.9, 1.0])]).astype(int)
    )
    sizes = sizes[sizes <= population]
    tops = [
        top_of_batches(drawn, size, POPULATION_DRAWS if size < population else 1, rng).mean() for size in sizes.tolist()
    ]
    return sizes.astype(float), np.array(tops), drawn.deviation


def population_chart(rng: np.random.Generator) -> Chart:
    """Batches without replacement from a finite population, with b and with B in Theorem 4; sliders: noise and N."""
    shape = (len(NOISES), len(POPULATIONS), 11)
    sizes, signs, heavy, corrected, plain = np.full((5, *shape), np.nan)
    for i, noise in enumerate(NOISES):
        for k, population in enumerate(POPULATIONS):
            x, tops, deviation = population_tops(noise, population, "rademacher", rng)
            n = x.size
            sizes[i, k, :n], signs[i, k, :n] = x, tops
            heavy[i, k, :n] = population_tops(noise, population, "student", rng)[1]
            for values, total in ((corrected, population), (plain, None)):
                values[i, k, :n] = [
                    batch_top(1.0, bulk_radius(POPULATION_ORDER, deviation, effective_batch(int(b), total))) for b in x
                ]
    return Chart(
        title="A batch that is nearly everything has nearly no noise",
        look="Batches are drawn without replacement from $N$ samples, so Theorem 4 needs $b = B/(1 - B/N)$. Watch the "
        "right end: at $B = N$ the dots reach $\\lambda_1 = 1$ exactly. Show the controls: with $B$ in place of "
        "$b$ the curve stays too high, and entries with heavy tails ignore the theorem at small batches.",
        sliders=(Slider("noise Pσ²", NOISES, 64.0), Slider("samples N", POPULATIONS, 200)),
        panels=(
            Panel(
                Axis("batch size B", log=True, low=1.8, high=450.0),
                Axis("largest eigenvalue", log=True, low=0.8, high=30.0),
                (
                    Curve("random signs, mean of 10", sizes, signs, draw="points"),
                    Curve("Theorem 4 with b", sizes, corrected, role="bound"),
                    Curve(UNCORRECTED, sizes, plain, role="control"),
                    Curve(HEAVY, sizes, heavy, role="control", draw="both"),
                ),
            ),
        ),
        readouts=(
            Readout("worst relative error, with b", np.nanmax(np.abs(signs / corrected - 1.0), axis=-1)),
            Readout(UNCORRECTED, np.nanmax(np.abs(signs / plain - 1.0), axis=-1), role="control"),
        ),
    )
