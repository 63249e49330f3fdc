"""Charts of the lesson on training: ADMM on the convex program, restarts of Adam, and sampled neurons and patterns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from problems.relu_networks import TrainingProblem, sphere
from theorylab.algorithms.hyperplane_arrangement import distinct_patterns, enumerate_patterns
from theorylab.algorithms.relu_admm import AdmmRun, admm
from theorylab.algorithms.relu_certificate import restricted_dual_bound
from theorylab.algorithms.relu_convex_program import convex_program, solve_program, train_convex
from theorylab.algorithms.relu_descent import train
from theorylab.algorithms.relu_sampling import (
    expected_violation_bound,
    random_directions,
    relu_features,
    sampled_lasso,
)
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Progress, Readout, Slider
from verify.relu.measures import Array, violation
from verify.relu.settled import REST, tail_envelope

PENALTIES = (0.005, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0)
DUAL_STEPS = (0.5, 1.0, 1.5)
ITERATIONS, FLOOR = 4000, 1e-13
TOO_LONG = "control: dual step 2.1"
WIDTHS = (1, 2, 4, 8, 16, 32)
DECAYS = (0.02, 0.05, 0.1, 0.2, 0.5)
NO_CONES = "control: convex program without its cones"
SAMPLED = (4, 8, 12)
SAMPLED_DECAYS = (0.05, 0.1, 0.3)
COUNTS = (5, 10, 20, 40, 80, 160, 320)
HALF = "control: directions of a half circle only"


def admm_chart(problem: TrainingProblem, iterations: int = ITERATIONS) -> Chart:
    """Residual and bracket of ADMM on planted data; sliders: the penalty and the dual step."""
    patterns = enumerate_patterns(problem.X)
    best = train_convex(problem.X, problem.y, patterns, beta=problem.beta).value
    at = np.unique(np.geomspace(1, iterations, 70).astype(np.int64))
    even = np.arange(iterations // 80, iterations + 1, iterations // 80)

    def run(penalty: float, dual_step: float) -> AdmmRun:
        data = problem.X, problem.y, patterns, problem.beta
        return admm(*data, penalty=penalty, dual_step=dual_step, iterations=iterations, checkpoints=at)

    runs = [[run(penalty, step) for step in DUAL_STEPS] for penalty in PENALTIES]
    wrong = [[run(penalty, 2.1)] for penalty in PENALTIES]

    def each(rows: Sequence[Sequence[AdmmRun]], kind: str) -> Array:
        return np.array([[_admm_curve(found, kind, best, at, even) for found in row] for row in rows])

    rested = np.array([[_first_at_rest(found) for found in row] for row in runs])
    near = np.array([[_first_within(found, best) for found in row] for row in runs])
    return Chart(
        title="ADMM: a plateau, then a straight line",
        look="Move the penalty $\\rho$. Too small or too large, and the residual crawls. Once the right blocks are "
        "found the line is straight on this scale: linear convergence. On the right the value is caught between two "
        "bounds that ADMM computes itself. Show the control: a dual step beyond 2 blows up.",
        sliders=(Slider("penalty ρ", PENALTIES, 0.05), Slider("dual step τ", DUAL_STEPS, 1.0)),
        panels=(
            Panel(
                Axis("iteration", low=0.0, high=1.03 * iterations),
                Axis("residual from here on", log=True, low=FLOOR, high=1e3),
                (
                    Curve("largest residual from here on", even, each(runs, "residual")),
                    Curve(TOO_LONG, even, each(wrong, "residual"), role="control"),
                ),
                title="How far from feasible",
            ),
            Panel(
                Axis("iteration", log=True),
                Axis("distance to p*, relative", log=True, low=1e-10, high=1e2),
                (
                    Curve("network, above p*", at, each(runs, "network")),
                    Curve("dual bound, below p*", at, each(runs, "dual"), role="second"),
                    Curve("one per cent", at[[0, -1]], [0.01, 0.01], role="bound"),
                    Curve(TOO_LONG, at, each(wrong, "network"), role="control"),
                ),
                title="How far from optimal",
            ),
        ),
        readouts=(
            Readout("within one per cent from iteration", near),
            Readout("residual below 10⁻⁹ from iteration", rested),
            Readout("convex optimum p*", [[best]]),
        ),
    )


def _admm_curve(run: AdmmRun, kind: str, best: float, at: Array, even: Array) -> Array:
    """One of the three curves, kept above rounding; infinite from where the run has diverged, which ends it."""
    if kind == "residual":
        shown = run.residuals if run.diverged else tail_envelope(run.residuals)
        return np.maximum(shown, 0.5 * FLOOR)[even - 1]
    found = run.network / best - 1.0 if kind == "network" else 1.0 - np.maximum.accumulate(run.dual_bound) / best
    return np.append(np.maximum(found, 0.5 * FLOOR), np.full(at.size - found.size, np.inf))


def _first_within(run: AdmmRun, best: float) -> float:
    """The first checkpoint from which on the network is within one per cent; NaN if there is none."""
    far = np.flatnonzero(run.network > 1.01 * best)
    first = int(far[-1]) + 1 if far.size else 0
    return float(run.checkpoints[first]) if first < run.checkpoints.size else float("nan")


def _first_at_rest(run: AdmmRun) -> float:
    """The iteration from which on the residual stays below 1e-9; NaN if there is none."""
    below = tail_envelope(run.residuals) < REST
    return float(np.argmax(below)) + 1.0 if below[-1] else float("nan")


def restart_chart(
    problems: dict[str, TrainingProblem],
    rng: np.random.Generator,
    progress: Progress,
    restarts: int = 12,
    steps: int = 4000,
) -> Chart:
    """Restarts of Adam against the convex optimum; sliders: the data, the width and the weight decay."""
    found = np.array([_optima(problem) for problem in problems.values()])
    best, bounds, loose = np.moveaxis(found, 1, 0)[:, :, None]  # each (data, 1, B)
    at = np.unique(np.geomspace(1, steps, 45).astype(np.int64))
    values = np.empty((len(problems), len(WIDTHS), len(DECAYS), restarts, at.size))
    for p, problem in enumerate(problems.values()):
        for i, width in enumerate(WIDTHS):
            for j, beta in enumerate(DECAYS):
                settings = {"width": width, "restarts": restarts, "steps": steps, "checkpoints": at}
                values[p, i, j] = train(problem.X, problem.y, beta, rng, **settings).values
        progress(4 + 2 * p, 10)
    gaps = np.sort(values[..., -1] / bounds[..., None] - 1.0, axis=-1)
    zero = np.array([0.5 * float(problem.y @ problem.y) for problem in problems.values()])[:, None, None]
    ends, flat = at[[0, -1]], np.ones(2)
    across = np.tile(np.append(at, np.nan), restarts)
    shown = values / zero[..., None, None]
    lines = np.concatenate([shown, np.full((*shown.shape[:-1], 1), np.nan)], axis=-1)
    return Chart(
        title="Twelve gradient runs, and a line that none can cross",
        look="Start with one neuron and widen the network: more and more runs reach the line. Those that stop above "
        "look just as finished; only the line tells. Random labels are harder. Move $\\beta$: the line moves, and no "
        "run goes below. Show the control: without the cones the program promises a value that no network has.",
        sliders=(
            Slider("data", tuple(problems), "planted"),
            Slider("width m", WIDTHS, 8),
            Slider("weight decay β", DECAYS, 0.1),
        ),
        panels=(
            Panel(
                Axis("gradient step", log=True),
                Axis("objective, zero network = 1", log=True, low=0.005, high=10.0),
                (
                    Curve("restarts of Adam", across, lines.reshape(*values.shape[:3], -1)),
                    Curve("dual bound: no network is below", ends, (bounds / zero)[..., None] * flat, role="bound"),
                    Curve(NO_CONES, ends, (loose / zero)[..., None] * flat, role="control"),
                ),
                title="The runs",
            ),
            Panel(
                Axis("restart, the best first", low=0.5, high=restarts + 0.5),
                Axis("end above the bound, relative", log=True, low=1e-9, high=10.0),
                (
                    Curve("restarts of Adam", np.arange(1, restarts + 1), np.maximum(gaps, 1.2e-9), draw="points"),
                    Curve("a thousandth", [0.5, restarts + 0.5], [1e-3, 1e-3], role="bound"),
                ),
                title="Where they end",
            ),
        ),
        readouts=(
            Readout("convex optimum p*", best),
            Readout("dual bound", bounds),
            Readout("best restart above the bound, relative", gaps[..., 0]),
            Readout("worst restart above the bound, relative", gaps[..., -1]),
            Readout("restarts within a thousandth", np.sum(gaps < 1e-3, axis=-1)),
            Readout(NO_CONES, loose, role="control"),
        ),
    )


def _optima(problem: TrainingProblem) -> tuple[list[float], list[float], list[float]]:
    """For each weight decay: the convex optimum, its dual bound, and the value without the cones."""
    patterns = enumerate_patterns(problem.X)
    exact, none = (convex_program(problem.X, patterns, cones=cones) for cones in ("exact", "none"))
    optima = [solve_program(exact, problem.y, beta=beta) for beta in DECAYS]
    bounds = [
        restricted_dual_bound(problem.X, problem.y, found.dual, patterns, beta=beta).value
        for found, beta in zip(optima, DECAYS, strict=True)
    ]
    loose = [solve_program(none, problem.y, beta=beta).value for beta in DECAYS]
    return [found.value for found in optima], bounds, loose


def sampled_values(
    problem: TrainingProblem, best: Array, rng: np.random.Generator, *, half: bool, patterns_too: bool
) -> Array:
    """For one nested sample: (3, B, C) gaps of neurons, of patterns, and the chance that one more neuron helps.

    ``best`` (B,) are the optima over all patterns; those of sampled patterns are NaN unless wanted.
    """
    X, y = problem.X, problem.y
    directions = random_directions(COUNTS[-1], problem.features, rng, half_space=half)
    features = relu_features(X, directions)
    found = np.full((3, len(SAMPLED_DECAYS), len(COUNTS)), np.nan)
    known: dict[int, list[float]] = {}
    for c, count in enumerate(COUNTS):
        distinct = distinct_patterns(X @ directions[:, :count] >= 0.0)
        # Samples nest: equally many different patterns are the same ones.
        if patterns_too and distinct.shape[1] not in known:
            program = convex_program(X, distinct)
            known[distinct.shape[1]] = [solve_program(program, y, beta=beta).value for beta in SAMPLED_DECAYS]
        for b, beta in enumerate(SAMPLED_DECAYS):
            value = sampled_lasso(features[:, :count], y, beta=beta).value
            chance = violation(_with_decay(problem, beta), features[:, :count])
            patterned = known[distinct.shape[1]][b] / best[b] - 1.0 if patterns_too else np.nan
            found[:, b, c] = value / best[b] - 1.0, patterned, chance
    return found


def _with_decay(problem: TrainingProblem, beta: float) -> TrainingProblem:
    return TrainingProblem(problem.X, problem.y, beta, problem.loss, problem.perturbed)


def sampling_chart(rng: np.random.Generator, trials: int = 40, patterned: int = 5) -> Chart:
    """Sampled neurons and patterns: the gap, and the chance that one more helps; sliders: samples and weight decay."""
    kept = np.empty((len(SAMPLED), trials, 2, 3, len(SAMPLED_DECAYS), len(COUNTS)))
    for i, n in enumerate(SAMPLED):
        for k, child in enumerate(rng.spawn(trials)):
            problem = sphere(n, 2, child)
            program = convex_program(problem.X, enumerate_patterns(problem.X))
            best = np.array([solve_program(program, problem.y, beta=beta).value for beta in SAMPLED_DECAYS])
            # The control reflects the same directions.
            seed = int(child.integers(2**32))
            for half in (False, True):
                directions = np.random.default_rng(seed)
                wanted = k < patterned and not half
                kept[i, k, int(half)] = sampled_values(problem, best, directions, half=half, patterns_too=wanted)
    found = np.moveaxis(kept, 4, 1)  # the axes of the sliders first
    fair, half = found[:, :, :, 0], found[:, :, :, 1]
    low, gap, high = np.quantile(np.maximum(fair[..., 0, :], 1e-12), (0.1, 0.5, 0.9), axis=2)
    patterns = np.maximum(np.nanmedian(fair[..., 1, :], axis=2), 1e-12)
    chance, spoiled = fair[..., 2, :].mean(axis=2), half[..., 2, :].mean(axis=2)
    doubt = 2.0 * fair[..., 2, :].std(axis=2) / np.sqrt(trials)
    bound = np.array([[[expected_violation_bound(n, count) for count in COUNTS]] for n in SAMPLED])
    return Chart(
        title="Sampling: what the theorem promises, and what it does not",
        look="Left: fixed random neurons come near the optimum slowly, sampled patterns reach it as soon as the right "
        "ones are among them. Right: the mean chance that one more random neuron helps, and its bound $n/(N+1)$. Move "
        "$n$: the bound moves. Show the control: if half of the circle is never sampled, the bound is broken and the "
        "gap stays.",
        sliders=(Slider("data n", SAMPLED, 8), Slider("weight decay β", SAMPLED_DECAYS, 0.05)),
        panels=(
            Panel(
                Axis("sampled directions N", log=True),
                Axis("gap to p*, relative", log=True, low=1e-8, high=100.0),
                (
                    Curve("random neurons, median", COUNTS, gap, low=low, high=high),
                    Curve("sampled patterns, median", COUNTS, patterns, role="second"),
                    Curve(HALF, COUNTS, np.median(half[..., 0, :], axis=2), role="control"),
                ),
                title="No theorem about this",
            ),
            Panel(
                Axis("sampled directions N", log=True),
                Axis("chance that one more helps", log=True, low=1e-3, high=2.0),
                (
                    Curve("random neurons, mean ± 2 errors", COUNTS, chance, low=chance - doubt, high=chance + doubt),
                    Curve("bound n/(N+1)", COUNTS, np.minimum(bound, 1.0), role="bound"),
                    Curve(HALF, COUNTS, spoiled, role="control"),
                ),
                title="The theorem is about this",
            ),
        ),
        readouts=(
            Readout("chance at N = 320", chance[..., -1]),
            Readout("its bound", bound[..., -1]),
            Readout("gap of random neurons at N = 320", gap[..., -1]),
            Readout(HALF, spoiled[..., -1], role="control"),
        ),
    )
