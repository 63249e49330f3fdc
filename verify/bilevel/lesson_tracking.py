"""Charts of the lesson without any descent: many moving mappings, few of them seen, and what drift costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.moving_mappings import MovingMappings, moving_mappings, noise_energy, tracking_constants, values
from theorylab.algorithms import block_estimators as rules
from theorylab.algorithms.block_estimators import BlockEstimator
from theorylab.algorithms.block_tracking import track_mappings
from theorylab.algorithms.tracking_bounds import (
    TrackingConstants,
    circle_error,
    exact_errors,
    gamma_star,
    msvr_bound,
)
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Progress, Readout, Slider
from verify.bilevel.drift import WEIGHTS
from verify.bilevel.measures import log_slope
from verify.bilevel.tracking import BLOCKS, CHORD, NONE, STEPS, gamma_of

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ALPHA, FILM_BATCH, FILM_SAMPLED = 0.1, 4, (1, 2, 4, 16)
FRAMES = np.arange(0, STEPS + 1, 2)
CHORDS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
SAMPLED, BATCHES = (2, 4, 8, 16), (1, 4, 16, 64)
CHOICES = ("the best", 0.02, 0.1, 0.3)
LONG = 8000  # steps of a run that has to settle with the smallest weight
MEAN, FRESH, STORM = "control: γ = 0", "control: fresh samples", "control: STORM on each block"


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """One run with everything kept: ``trackers`` (T+1, m, dy) and whether a block was ``seen`` in a step (T+1, m)."""

    trackers: Array
    seen: Flags


def followed(
    mappings: MovingMappings, rule: BlockEstimator, rng: np.random.Generator, *, sampled: int, batch: int
) -> Followed:
    """Follow the mappings from the truth step by step, with the draws of `track_mappings` in their order."""
    truth, path, (m, dy, dx) = values(mappings), mappings.path, mappings.matrices.shape
    trackers, seen = truth.copy(), np.zeros(truth.shape[:2], dtype=bool)
    order, scale = np.arange(m), 1.0 / np.sqrt(batch)
    for t in range(1, path.shape[0]):
        trackers[t] = rule.rest * trackers[t - 1]
        for j in range(sampled):
            other = j + int(rng.random() * (m - j))
            order[[j, other]] = order[[other, j]]
        for i in order[:sampled]:
            drawn = mappings.matrices[i] + scale * mappings.matrix_noise * rng.standard_normal((dy, dx))
            shift = scale * mappings.offset_noise * rng.standard_normal(dy)
            now, before = drawn @ path[t] + shift, drawn @ path[t - 1] + shift
            trackers[t, i] = rule.keep * trackers[t - 1, i] + rule.new * now - rule.old * before
            seen[t, i] = True
    return Followed(trackers, seen)


def film(rng: np.random.Generator) -> Chart:
    """Sixteen truths and their trackers as they move, those just sampled lit; sliders: I, and the step, which plays."""
    mappings = moving_mappings(rng, chord=CHORD, steps=STEPS, blocks=BLOCKS)
    truth, constants, seed = values(mappings), tracking_constants(mappings), int(rng.integers(2**62))
    shape = (len(FILM_SAMPLED), FRAMES.size)
    resting, lit, lagging = (np.empty((*shape, BLOCKS)) for _ in range(3))
    errors, expected, bound, mean, fresh = (np.empty(shape) for _ in range(5))
    for k, sampled in enumerate(FILM_SAMPLED):
        rule = rules.msvr(ALPHA, gamma_star(ALPHA, blocks=BLOCKS, sampled=sampled))
        plain = rules.msvr(ALPHA, gamma_of(NONE, ALPHA, sampled))
        right, wrong = (
            followed(mappings, one, np.random.default_rng(seed), sampled=sampled, batch=FILM_BATCH)
            for one in (rule, plain)
        )
        # A frame is two steps long: lit is what either of them sampled.
        just = right.seen[FRAMES] | right.seen[np.maximum(FRAMES - 1, 0)]
        first = right.trackers[FRAMES, :, 0]
        resting[k], lit[k] = np.where(just, np.nan, first), np.where(just, first, np.nan)
        lagging[k] = wrong.trackers[FRAMES, :, 0]
        errors[k], mean[k] = (mean_square(run.trackers, truth)[FRAMES] for run in (right, wrong))
        noise = noise_energy(mappings, rule.new, rule.old, FILM_BATCH)
        expected[k] = exact_errors(truth, noise, rule, sampled=sampled)[FRAMES]
        bound[k] = [msvr_bound(constants, ALPHA, sampled=sampled, batch=FILM_BATCH, steps=float(t)) for t in FRAMES]
        twice = track_mappings(
            mappings.matrices, mappings.path, rule, sampled=sampled, batch=FILM_BATCH, fresh=True,
            matrix_noise=mappings.matrix_noise, offset_noise=mappings.offset_noise, rng=np.random.default_rng(seed),
        )  # fmt: skip
        fresh[k] = np.concatenate([[0.0], twice[0]])[FRAMES]
    for series in (errors, expected, bound, mean, fresh):
        series[:, 0] = np.nan  # all start with the truth, and zero has no place on a logarithmic axis
    numbers = np.arange(1, BLOCKS + 1)
    return Chart(
        title="Sixteen values move, and few are seen",
        look="Press play. Two steps make a frame, and the blocks sampled in it are lit. The others rest while their "
        "truth moves on; the next sample brings them back. Show the control $\\gamma = 0$: these trackers stay behind. "
        "Sample one block a step, then all.",
        sliders=(
            Slider("sampled blocks of 16, I", FILM_SAMPLED, 2),
            Slider("step t", FRAMES.tolist(), 200, plays=True, seconds=20.0),
        ),
        panels=(
            Panel(
                Axis("block i", low=0.0, high=17.0),
                Axis("first entry of hᵢ", low=-1.5, high=1.5),
                (
                    Curve("truth", numbers, truth[FRAMES, :, 0], role="bound", draw="points"),
                    Curve("tracker, resting", numbers, resting, draw="points"),
                    Curve("tracker, just sampled", numbers, lit, role="second", draw="points"),
                    Curve(MEAN, numbers, lagging, role="control", draw="points"),
                ),
                title="Now",
            ),
            Panel(
                Axis("step t", low=0.0, high=float(STEPS)),
                Axis("mean of ‖uᵢ − hᵢ‖²", log=True, low=1e-3, high=1e3),
                (
                    Curve("MSVR, this run", FRAMES, errors[:, None], grows=True),
                    Curve("MSVR, expected exactly", FRAMES, expected[:, None], role="third"),
                    Curve("bound on the expected", FRAMES, bound[:, None], role="bound"),
                    Curve(MEAN, FRAMES, mean[:, None], role="control", grows=True),
                    Curve(FRESH, FRAMES, fresh[:, None], role="control", grows=True),
                ),
                title="So far",
            ),
        ),
        readouts=(
            Readout("γ*", np.array([gamma_of("gamma*", ALPHA, sampled) for sampled in FILM_SAMPLED])[:, None]),
            Readout("error of MSVR", errors),
            Readout(MEAN, mean, "error", role="control"),
            Readout(FRESH, fresh, "error", role="control"),
        ),
    )


def mean_square(trackers: Array, truth: Array) -> Array:
    """Return ``(1/m) sum_i ||u_i - h_i||^2`` at every time (T+1,)."""
    return np.asarray(np.sum((trackers - truth) ** 2, axis=2).mean(axis=1))


def rule_of(name: str, alpha: float, sampled: int) -> BlockEstimator:
    """Return a rule by its name on the chart."""
    if name == "MSVR":
        return rules.msvr(alpha, gamma_star(alpha, blocks=BLOCKS, sampled=sampled))
    if name == "zero-fill":
        return rules.zero_fill(alpha, sampled=sampled, blocks=BLOCKS)
    return rules.moving_average(alpha) if name == "moving average" else rules.storm(alpha)


def limits(name: str, constants: list[TrackingConstants], sampled: int, batch: int) -> tuple[Array, Array]:
    """Return limits of the error for every choice of alpha and every chord, and the alpha; each (choices, chords).

    For ``"MSVR bound"`` they are the bounds.
    """

    def limit(c: TrackingConstants, alpha: float) -> float:
        if name == "MSVR bound":
            return msvr_bound(c, alpha, sampled=sampled, batch=batch)
        return circle_error(c, rule_of(name, alpha, sampled), sampled=sampled, batch=batch)

    grid = np.array([[limit(c, float(alpha)) for alpha in WEIGHTS] for c in constants])
    fixed = [[limit(c, float(alpha)) for c in constants] for alpha in CHOICES[1:]]
    weights = [WEIGHTS[grid.argmin(axis=1)], *(np.full(len(constants), alpha) for alpha in CHOICES[1:])]
    return np.array([grid.min(axis=1), *fixed]), np.array(weights, dtype=np.float64)


def drift_chart(rng: np.random.Generator, progress: Progress, *, long: int = LONG) -> Chart:
    """Error in the limit over the drift of a step, for four rules; sliders: I, B, alpha. ``long`` is private to tests.

    Lines are the recursions' limits in closed form, dots are runs of MSVR of ``long`` steps, their second half.
    """
    seed = int(rng.integers(2**62))
    drawn = [moving_mappings(np.random.default_rng(seed), chord=c, steps=long, blocks=BLOCKS) for c in CHORDS]
    constants = [tracking_constants(mappings) for mappings in drawn]
    names = ("MSVR", "moving average", "zero-fill", "STORM", "MSVR bound")
    shape = (len(SAMPLED), len(BATCHES), len(CHOICES), len(CHORDS))
    found = {name: np.empty(shape) for name in names}
    seen, weights = np.empty(shape), np.empty(shape)
    for place, (i, b) in enumerate(np.ndindex(shape[:2])):
        for name in names:
            found[name][i, b], best = limits(name, constants, SAMPLED[i], BATCHES[b])
            weights[i, b] = best if name == "MSVR" else weights[i, b]
        for choice, c in np.ndindex(shape[2:]):
            rule = rule_of("MSVR", float(weights[i, b, choice, c]), SAMPLED[i])
            run = track_mappings(
                drawn[c].matrices, drawn[c].path, rule, sampled=SAMPLED[i], batch=BATCHES[b], rng=rng,
                matrix_noise=drawn[c].matrix_noise, offset_noise=drawn[c].offset_noise,
            )  # fmt: skip
            seen[i, b, choice, c] = run[0, long // 2 :].mean()
        progress(place + 1, shape[0] * shape[1])
    slopes = {name: np.apply_along_axis(lambda e: log_slope(CHORDS, e), 3, found[name]) for name in names}
    return Chart(
        title="What drift costs: δ, or δ to the power 2/3",
        look="Lines are exact, dots are runs. Take the best weight, $I = 4$, $B = 1$: MSVR falls like $\\delta$, the "
        "moving average more slowly. Then fix $\\alpha$: noise of order $\\alpha$ stays, however slow the drift. Now "
        "raise $B$: the noise falls, but zero-fill keeps a floor. At $I = 16$ it has none, and is MSVR. No order holds "
        "everywhere: where much moves and noise is large, zero-fill errs a little less.",
        sliders=(
            Slider("sampled blocks of 16, I", SAMPLED, 4),
            Slider("samples of each block, B", BATCHES, 1),
            Slider("weight α", CHOICES, "the best"),
        ),
        panels=(
            Panel(
                Axis("drift of a step, δ", log=True, low=0.002, high=0.1),
                Axis("mean of ‖uᵢ − hᵢ‖² in the limit", log=True, low=1e-4, high=10.0),
                (
                    Curve("MSVR, exact", CHORDS, found["MSVR"]),
                    Curve("MSVR, run", CHORDS, seen, draw="points"),
                    Curve("moving average", CHORDS, found["moving average"], role="second"),
                    Curve("zero-fill", CHORDS, found["zero-fill"], role="third"),
                    Curve("bound for MSVR", CHORDS, found["MSVR bound"], role="bound"),
                    Curve(STORM, CHORDS, found["STORM"], role="control"),
                ),
            ),
        ),
        readouts=(
            Readout("slope of MSVR", slopes["MSVR"]),
            Readout("slope of the moving average", slopes["moving average"]),
            Readout(STORM, slopes["STORM"], "slope", role="control"),
        ),
    )
