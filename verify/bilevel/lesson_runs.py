"""Charts of the lesson on whole runs: the gradient and the error of its estimate, the speed-up, and mistakes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.bilevel_bounds import master_sides
from theorylab.algorithms.bilevel_methods import BilevelRun
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Progress, Readout, Slider
from verify.bilevel.descent import PAPER_LOOP, Setting, Variant, drawn, method_of, run, scheduled
from verify.bilevel.measures import log_slope
from verify.bilevel.pictures import BATCHES, SAMPLED, measured_iterations, stated_shape
from verify.bilevel.rates import BATCH, BLOCKS, averages, target

Array = npt.NDArray[np.float64]

TARGETS, RUN_SAMPLED, RUN_BATCHES = (0.6, 0.45, 0.3), (2, 8, 32), (1, 4, 16)
ITERATIONS = 4096
NO_GAMMA, FRESH, LONG_STEPS = "control: γ = 0", "control: fresh samples", "control: steps without I/m"
CONTROLS = {NO_GAMMA: Variant(corrected=False), FRESH: Variant(fresh=True), LONG_STEPS: Variant(scaled=False)}
MISTAKES = {
    "γ = 0": Variant(corrected=False),
    "fresh samples at t − 1": Variant(fresh=True),
    "no implicit term": Variant(implicit=False),
    "steps without I/m": Variant(scaled=False),
}
HORIZONS = np.array([512, 1024, 2048, 4096, 8192])
RATE_SAMPLED = (2, 4, 16)
INSTANCES = 3


def means_so_far(played: BilevelRun, at: npt.NDArray[np.int64]) -> Array:
    """Return the means of ``||grad F||^2`` and ``||z - grad F||^2`` over the first ``at`` iterates, (2, n)."""
    series = np.stack([played.gradient_squares, played.error_squares])[:, :-1]
    return np.asarray((np.cumsum(series, axis=1) / np.arange(1, series.shape[1] + 1))[:, at - 1])


def stated_bound(played: BilevelRun, eta: float, smoothness: float, at: npt.NDArray[np.int64]) -> Array:
    """Return the right-hand side of the master inequality (n,); NaN where the step is beyond ``1/(2 L_F)``."""
    if played.diverged or 2.0 * smoothness * eta > 1.0:
        return np.full(at.size, np.nan)
    record = (played.objectives, played.gradient_squares[:-1], played.error_squares[:-1], played.direction_squares[:-1])
    return master_sides(*record, eta=eta)[1][at - 1]


def run_chart(rng: np.random.Generator, progress: Progress, *, iterations: int = ITERATIONS) -> Chart:
    """One run of version 2 on one instance; sliders: the accuracy, I, B. ``iterations`` is private to tests."""
    problem, blocks = drawn(rng, BLOCKS)
    smooth, seed = problem.constants.hypergradient_smoothness, int(rng.integers(2**62))
    at = np.unique(np.geomspace(1, iterations, 56).astype(np.int64))
    grid = (len(TARGETS), len(RUN_SAMPLED), len(RUN_BATCHES))
    seen = {name: np.empty((*grid, 2, at.size)) for name in ("paper", *CONTROLS)}
    bound, step = np.empty((*grid, at.size)), np.empty(grid)
    for done, place in enumerate(np.ndindex(grid)):
        epsilon, setting = TARGETS[place[0]], Setting(BLOCKS, RUN_SAMPLED[place[1]], RUN_BATCHES[place[2]])
        for name, variant in {"paper": PAPER_LOOP, **CONTROLS}.items():
            schedule = scheduled(epsilon, setting, variant=variant)
            method, own = method_of(schedule, setting, variant), np.random.default_rng(seed)
            played = run(blocks, method, schedule, setting, own, iterations=iterations, every=1)
            seen[name][place] = means_so_far(played, at)
            if name == "paper":
                bound[place] = stated_bound(played, schedule.eta, smooth, at)
                step[place] = 2.0 * smooth * schedule.eta
        progress(done + 1, int(np.prod(grid)))
    squares = np.array(TARGETS)[:, None, None] ** 2
    level = np.broadcast_to(squares[..., None], (len(TARGETS), 1, 1, 2))
    wrong = [[Curve(name, at, seen[name][..., k, :], role="control") for name in CONTROLS] for k in range(2)]
    time = Axis("iteration t", log=True, low=1.0, high=float(iterations))
    return Chart(
        title="The gradient falls as far as its estimate is right",
        look="Left, the gradient below its bound; right, the error that the bound is made of. Aim at a smaller "
        "$\\varepsilon$: the error ends lower, but steps are shorter and the gradient falls later. Sample more blocks: "
        "the same fall in fewer iterations. The bound needs $2L_F\\eta \\le 1$ and is not drawn beyond. Show each "
        "control, one at a time. The factor $I/m$ shows at $I = 2$.",
        sliders=(
            Slider("accuracy aimed at, ε", TARGETS, 0.45),
            Slider("sampled blocks of 32, I", RUN_SAMPLED, 8),
            Slider("samples of each block, B", RUN_BATCHES, 4),
        ),
        panels=(
            Panel(
                time,
                Axis("‖∇F‖², mean so far", log=True, low=3e-4, high=3.0),
                (
                    Curve("measured", at, seen["paper"][..., 0, :]),
                    Curve("bound from descent", at, bound, role="bound"),
                    *wrong[0],
                ),
                title="The gradient",
            ),
            Panel(
                time,
                Axis("‖z − ∇F‖², mean so far", log=True, low=3e-4, high=3.0),
                (
                    Curve("measured", at, seen["paper"][..., 1, :]),
                    Curve("aimed at: ε²", np.array([1.0, float(iterations)]), level, role="bound"),
                    *wrong[1],
                ),
                title="Error of the direction z",
            ),
        ),
        readouts=(
            Readout("‖∇F‖², mean of the run", seen["paper"][..., 0, -1]),
            Readout("error of z over ε²", seen["paper"][..., 1, -1] / squares),
            Readout("2 L_F η", step),
            *(Readout(name, seen[name][..., 1, -1] / squares, "error over ε²", role="control") for name in CONTROLS),
        ),
    )  # fmt: skip


def speed_chart(rng: np.random.Generator) -> Chart:
    """Iterations to a goal over I, as measured and as stated; slider: B."""
    iterations, stated = measured_iterations(rng).T, stated_shape().T
    order = stated / stated[:, :1] * iterations[:, :1]
    samples = iterations * np.array(SAMPLED) * np.array(BATCHES)[:, None]
    sampled = np.array(SAMPLED)
    return Chart(
        title="Twice the blocks, half the iterations or fewer",
        look="The goal is the same for all: a mean squared gradient of $0.1\\varepsilon^2$, $\\varepsilon = 0.3$. At "
        "$B = 16$ the iterations fall nearly like $I^{-1.5}$, so even the samples in total become fewer. Move $B$ at "
        "$I = 2$: beyond $B = 2$ nothing is gained. At $I = 32$, all blocks, $B$ helps to the end. What $B$ saves in "
        "iterations it costs in samples.",
        sliders=(Slider("samples of each block, B", BATCHES, 16),),
        panels=(
            Panel(
                Axis("sampled blocks of 32, I", log=True, low=1.8, high=36.0),
                Axis("iterations", log=True, low=100.0, high=1e5),
                (
                    Curve("measured", sampled, iterations, draw="both"),
                    Curve("stated order, through the first point", sampled, order, role="bound"),
                ),
                title="Iterations",
            ),
            Panel(
                Axis("sampled blocks of 32, I", log=True, low=1.8, high=36.0),
                Axis("samples in total, T·I·B", log=True, low=3e4, high=3e6),
                (Curve("measured", sampled, samples, role="second", draw="both"),),
                title="Samples",
            ),
        ),
        readouts=(
            Readout("slope over I from 2 to 16", np.array([log_slope(sampled[:4], row[:4]) for row in iterations])),
            Readout("stated slope", np.array([log_slope(sampled[:4], row[:4]) for row in order])),
        ),
    )


def mistakes_chart(
    rng: np.random.Generator, progress: Progress, *, horizons: Array = HORIZONS, instances: int = INSTANCES
) -> Chart:
    """Means over runs of length T, the paper's beside a mistake; sliders: that, I. Sizes are private to tests."""
    seeds = rng.integers(2**62, size=instances)
    variants = {"paper": PAPER_LOOP, **MISTAKES}
    found = np.empty((len(variants), len(RATE_SAMPLED), 2, instances, len(horizons)))
    for done, (v, i, s) in enumerate(np.ndindex(len(variants), len(RATE_SAMPLED), instances)):
        setting, variant = Setting(BLOCKS, RATE_SAMPLED[i], BATCH), list(variants.values())[v]
        seen = averages(np.asarray(horizons), np.random.default_rng(int(seeds[s])), setting, 2, variant)
        found[v, i, :, s] = seen["squared gradient"], seen["squared error of z"]
        progress(done + 1, len(variants) * len(RATE_SAMPLED) * instances)
    low, mean, high = found.min(axis=3), np.exp(np.log(found).mean(axis=3)), found.max(axis=3)
    aims = target(np.asarray(horizons)) ** 2

    def panel(k: int, label: str) -> Panel:
        right, wrong = (slice(0, 1), slice(1, None))
        return Panel(
            Axis("iterations of the run, T", log=True, low=450.0, high=9500.0),
            Axis(label, log=True, low=1e-3, high=10.0),
            (
                Curve("the paper's method", horizons, mean[right, :, k], low=low[right, :, k], high=high[right, :, k],
                      draw="both"),
                Curve("with the mistake", horizons, mean[wrong, :, k], low=low[wrong, :, k], high=high[wrong, :, k],
                      role="third", draw="both"),
                Curve("aimed at: ε²", horizons, aims, role="bound"),
            ),
        )  # fmt: skip

    slopes = np.apply_along_axis(lambda e: log_slope(horizons, e), 3, mean)
    return Chart(
        title="One mistake, and the direction is wrong",
        look="Each $T$ has its own $\\varepsilon$ and its own steps. Look right. With the first three mistakes the "
        "error of the direction stays, or grows, while the aim goes down. The fourth is of another kind: at $I = 2$ "
        "the error is several times as large, though it falls; at $I = 16$ nothing is seen. Bands: three instances.",
        sliders=(
            Slider("mistake", tuple(MISTAKES), "γ = 0"),
            Slider("sampled blocks of 32, I", RATE_SAMPLED, 4),
        ),
        panels=(panel(0, "‖∇F‖², mean of the run"), panel(1, "‖z − ∇F‖², mean of the run")),
        readouts=(
            Readout("slope of the error, the paper's", slopes[:1, :, 1]),
            Readout("slope of the error, with the mistake", slopes[1:, :, 1]),
            Readout("slope of the gradient, the paper's", slopes[:1, :, 0]),
            Readout("slope of the gradient, with the mistake", slopes[1:, :, 0]),
        ),
    )
