"""Charts of the lesson on learning rates: two rules in the model, runs of SGD, a small network, and real noise."""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from problems import softmax_digits as softmax
from problems.labelled_data import draw_batch
from problems.random_matrix_hessians import SpikedWigner
from problems.spiked_ensembles import dense_goe, extreme_draws
from theorylab.algorithms.network_training import draw_batches, train
from theorylab.algorithms.random_matrix_laws import bulk_radius, effective_batch
from theorylab.algorithms.stability_chains import CurvaturePairs, gaussian_pairs, lyapunov_threshold
from theorylab.algorithms.stability_rules import dynamic_rate, static_rate
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Progress, Readout, Slider
from verify.random_matrix.rates import OPTIMISERS, log_log_slope, new_network
from verify.random_matrix.sgd import BATCHES, PARAMETERS, SMALL, STEPS
from verify.random_matrix.training import BATCHES as NETWORK_BATCHES
from verify.random_matrix.training import SHORT

Array = npt.NDArray[np.float64]

CURVATURES = (0.5, 1.0, 2.0)
NOISES = (20.0, 200.0, 2000.0)
ONE_DIRECTION = "control: one direction of noise, not P + 1"

TUNED_AT = 64  # the batch size for which the rate of the runs was chosen, at nine tenths of its threshold
RUN_NOISES = (50.0, 200.0, 1000.0)
RUN_STEPS, RUNS = 300, 5
SHOWN = np.arange(0, RUN_STEPS + 1, 5)
LOGARITHMS = (-80.0, 80.0)  # squared norms beyond are far outside the chart
RULES = {"rate ∝ B": 1.0, "rate ∝ √B": 0.5, "control: one rate for all B": 0.0}

NETWORK_RUNS = 3
RATE_GRID = 2.0 ** (np.arange(-12, 7) / 2.0)
TRAINED = (0.5, 1.0, 1.5)  # nats; a guess has 2.30
ARMS = {"heavy ball": "measured", "adam": "second", "sgd": "control"}
SLOPES = {"heavy ball": "slope, heavy ball", "adam": "slope, Adam", "sgd": "control: SGD without momentum"}
ARM_NAMES = {"heavy ball": "heavy ball, ρ = 0.9", "adam": "Adam", "sgd": "control: SGD without momentum"}

DATA_BATCHES = (16, 32, 64, 128, 256, 512, 1024)
DATA_STEPS = (100, 200, 400)
GAUSSIAN = "control: Gaussian noise of the same variance"


def thresholds(rng: np.random.Generator) -> dict[str, Array]:
    """Largest rates (C, X, n) over curvature, noise and batch size: "fresh" and "fixed" measured, the rest stated."""
    names = ("fresh", "fixed", "dynamic", "static", "single")
    found = {name: np.empty((len(CURVATURES), len(NOISES), len(BATCHES))) for name in names}
    for i, curvature in enumerate(CURVATURES):
        for k, noise in enumerate(NOISES):
            deviation = sqrt(noise / PARAMETERS)
            one = deviation / sqrt(PARAMETERS + 1)
            for j, batch in enumerate(BATCHES):
                place = (i, k, j)
                pairs = gaussian_pairs(curvature, PARAMETERS, deviation, float(batch), STEPS, rng)
                model = SpikedWigner(PARAMETERS, (curvature,), deviation, batch)
                found["fresh"][place] = lyapunov_threshold(pairs)
                found["fixed"][place] = 2.0 / extreme_draws(model, 20, rng).eigenvalues.mean()
                found["dynamic"][place] = dynamic_rate(curvature, PARAMETERS, deviation, float(batch))
                found["static"][place] = static_rate(curvature, bulk_radius(PARAMETERS, deviation, float(batch)))
                found["single"][place] = dynamic_rate(curvature, PARAMETERS, one, float(batch))
    return found


def slopes(rates: Array, batches: tuple[int, ...] = BATCHES, largest: int = SMALL) -> Array:
    """Fitted slopes (C, X) of log rates (C, X, n) over the log of the batch sizes up to ``largest``."""
    small = np.array(batches) <= largest
    chosen = np.array(batches, dtype=float)[small]
    return np.array([[log_log_slope(chosen, row[small]) for row in block] for block in rates])


def threshold_chart(rng: np.random.Generator) -> Chart:
    """The largest learning rate against the batch size, static and dynamic; sliders: curvature and noise."""
    found = thresholds(rng)
    sizes = np.array(BATCHES, dtype=float)
    return Chart(
        title="Two questions, two rules",
        look="Lines are formulas, dots are measured. Along **one** batch the limit grows like $\\sqrt B$; with a "
        "**fresh** batch in every step it grows like $B$. More noise moves both bends to the right, at $B = "
        "P\\sigma^2/\\lambda^2$. Beyond the bend both stop at $2/\\lambda$: larger batches buy nothing. Show the "
        "control: what is left of the dynamic rule if only one direction of noise counts.",
        sliders=(Slider("curvature λ", CURVATURES, 1.0), Slider("noise Pσ²", NOISES, 200.0)),
        panels=(
            Panel(
                Axis("batch size B", log=True, low=0.8, high=5200.0),
                Axis("largest learning rate η", log=True, low=2e-4, high=8.0),
                (
                    Curve("fresh batches, measured", sizes, found["fresh"], draw="points"),
                    Curve("one batch, measured", sizes, found["fixed"], role="second", draw="points"),
                    Curve("dynamic rule 2/(λ + (P+1)σ²/(Bλ))", sizes, found["dynamic"], role="bound"),
                    Curve("static rule 2/λ₁′", sizes, found["static"], role="bound"),
                    Curve(ONE_DIRECTION, sizes, found["single"], role="control"),
                ),
            ),
        ),
        readouts=(
            Readout("slope for B ≤ 16, fresh batches", slopes(found["fresh"])),
            Readout("slope for B ≤ 16, one batch", slopes(found["fixed"])),
            Readout(
                "largest error of the dynamic rule, 10 000 steps",
                np.abs(found["fresh"] / found["dynamic"] - 1.0).max(axis=-1),
            ),
        ),
    )


def squared_norms(pairs: CurvaturePairs, rate: float) -> Array:
    """``||w_t||^2`` at the shown steps (n,), from one, for SGD at one rate that meets these curvature pairs."""
    growth = np.log((1.0 - rate * pairs.along) ** 2 + rate**2 * pairs.across)
    return np.exp(np.clip(np.append(0.0, np.cumsum(growth))[SHOWN], *LOGARITHMS))


def runs_chart(rng: np.random.Generator) -> Chart:
    """SGD at a rate tuned for one batch size and scaled to another by a rule; sliders: batch size and noise."""
    shape = (len(RULES), len(BATCHES), len(RUN_NOISES))
    paths, mean_square = np.empty((RUNS, *shape, SHOWN.size)), np.empty((*shape, SHOWN.size))
    rates, stable = np.empty(shape), np.empty(shape[1:])
    for i, batch in enumerate(BATCHES):
        for k, noise in enumerate(RUN_NOISES):
            deviation = sqrt(noise / PARAMETERS)
            tuned = 0.9 * dynamic_rate(1.0, PARAMETERS, deviation, TUNED_AT)
            stable[i, k] = dynamic_rate(1.0, PARAMETERS, deviation, batch)
            rates[:, i, k] = [tuned * (batch / TUNED_AT) ** power for power in RULES.values()]
            for run in range(RUNS):
                pairs = gaussian_pairs(1.0, PARAMETERS, deviation, float(batch), RUN_STEPS, rng)
                paths[run, :, i, k] = [squared_norms(pairs, rate) for rate in rates[:, i, k]]
            # E||w||^2 = f^t, f = (1 - eta)^2 + eta^2 (P+1) sigma^2 / B, and f = 1 at the threshold.
            for rule, rate in enumerate(rates[:, i, k]):
                factor = 1.0 - 2.0 * rate + 2.0 * rate**2 / stable[i, k]
                mean_square[rule, i, k] = np.exp(np.clip(SHOWN * np.log(factor), *LOGARITHMS))
    low, middle, high = np.quantile(paths, (0.0, 0.5, 1.0), axis=0)
    roles = ("measured", "second", "control")
    curves = [
        Curve(name, SHOWN, middle[rule], role=roles[rule], low=low[rule], high=high[rule])
        for rule, name in enumerate(RULES)
    ]
    laws = [Curve(f"mean square, {name}", SHOWN, mean_square[rule], "bound") for rule, name in enumerate([*RULES][:2])]
    return Chart(
        title="Tune at B = 64, then change the batch",
        look="Go left, to small batches: the rate that shrinks like $\\sqrt B$ is soon too large and SGD diverges; the "
        "one that shrinks like $B$ is safe. Go right: past the bend the linear rule overshoots and diverges, the "
        "root lasts a little longer. The control keeps the rate of $B = 64$.",
        sliders=(Slider("batch size B", BATCHES, 16), Slider("noise Pσ²", RUN_NOISES, 200.0)),
        panels=(
            Panel(
                Axis("step t"),
                Axis("‖w‖²", log=True, low=1e-12, high=1e12),
                (*curves, *laws),
            ),
        ),
        readouts=(
            Readout("largest stable rate", stable),
            Readout("rate ∝ B", rates[0]),
            Readout("rate ∝ √B", rates[1]),
            Readout("control: one rate for all B", rates[2], role="control"),
        ),
    )


def network_losses(steps: int, runs: int, rng: np.random.Generator, progress: Progress) -> Array:
    """Final losses (runs, A, B, R) of the small network: optimisers, the claims' batch sizes, rates; inf if diverged.

    Every run has a start of its own; all its arms and rates share that and the batches.
    """
    losses = np.full((runs, len(ARMS), len(NETWORK_BATCHES), RATE_GRID.size), np.inf)
    for run in range(runs):
        network, seed = new_network(rng)
        for k, size in enumerate(NETWORK_BATCHES):
            drawn = draw_batches(network.samples, size, steps, np.random.default_rng([seed, size]))
            for i, arm in enumerate(ARMS):
                for j, rate in enumerate(RATE_GRID):
                    trained = train(
                        network.inputs, network.labels, network.weights, drawn, OPTIMISERS[arm], float(rate),
                        hidden=network.hidden, classes=network.classes,
                    )  # fmt: skip
                    losses[run, i, k, j] = trained.loss if np.isfinite(trained.loss) else np.inf
            progress(len(NETWORK_BATCHES) * run + k + 1, len(NETWORK_BATCHES) * runs)
    return losses


def largest_below(losses: Array, limit: float) -> Array:
    """The largest rate of the grid whose loss (..., R) is below ``limit``, of shape (...); NaN where none is."""
    works = losses < limit
    last = RATE_GRID.size - 1 - np.argmax(works[..., ::-1], axis=-1)
    return np.where(works.any(axis=-1), RATE_GRID[last], np.nan)


def network_chart(
    rng: np.random.Generator, progress: Progress, *, steps: int = SHORT, runs: int = NETWORK_RUNS
) -> Chart:
    """Loss over the learning rate, and the largest rate that trains over B; sliders: batch size and loss to reach."""
    every = network_losses(steps, runs, rng, progress)
    low, losses, high = np.sort(every, axis=0)[[0, runs // 2, -1]]
    walls = np.array([largest_below(every, limit) for limit in TRAINED])  # (L, runs, A, B)
    largest = np.exp(np.log(walls).mean(axis=1))
    sizes = np.array(NETWORK_BATCHES, dtype=float)
    fitted = np.array([[log_log_slope(sizes, row) for row in block] for block in largest])
    levels = np.repeat(np.array(TRAINED)[:, None], 2, axis=1)
    ends = RATE_GRID[[0, -1]]
    across, upwards, guides = [], [], []
    for i, (arm, role) in enumerate(ARMS.items()):
        name = ARM_NAMES[arm]
        across.append(Curve(name, RATE_GRID, losses[i][:, None], role, low[i][:, None], high[i][:, None], "both"))
        ends_of = (walls[None, :, :, i].min(axis=2), walls[None, :, :, i].max(axis=2))
        upwards.append(Curve(name, sizes, largest[None, :, i], role, *ends_of, "both"))
    for i, (power, name) in enumerate(((1.0, "slope 1"), (0.5, "slope ½"))):
        line = largest[None, :, i, :1] * (sizes / sizes[0]) ** power
        guides.append(Curve(f"{name}, from B = 2", sizes, line, role="bound"))
    return Chart(
        title="A small network on digits",
        look="Left: final loss over the learning rate; the wall is where training breaks. Raise $B$: heavy ball's wall "
        "moves fastest. Right: where the walls are. The dashed lines start at $B = 2$ with slope 1 for heavy ball "
        "and slope ½ for Adam: the paper's rules, which are no theorem here. The control, SGD without momentum, "
        "soon stops gaining. Bands span three runs.",
        sliders=(Slider("batch size B", NETWORK_BATCHES, 8), Slider("loss to reach", TRAINED, 1.0, unit="nat")),
        panels=(
            Panel(
                Axis("learning rate", log=True),
                Axis("final loss, all data", low=0.0, high=4.0),
                (*across, Curve("loss to reach", ends, levels[None], role="bound")),
                title=f"After {steps} steps",
            ),
            Panel(
                Axis("batch size B", log=True, low=1.6, high=160.0),
                Axis("largest rate that trains", log=True, low=0.01, high=10.0),
                (*upwards, *guides),
                title="The largest rate",
            ),
        ),
        readouts=[
            Readout(SLOPES[arm], fitted[None, :, i], role="control" if arm == "sgd" else "measured")
            for i, arm in enumerate(ARMS)
        ],
    )


def data_excess(steps: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array, float, float]:
    """Excess of the batch's top eigenvalue on digits (n, draws), under Gaussian noise (n,), and two constants.

    ``steps`` of gradient descent come first. The constants are kappa of second-order theory and ``P sigma^2/lambda_1``
    of Theorem 4: either over b is a prediction. The control variate is that of `jensen-excess`.
    """
    from scipy.linalg import eigh, eigvalsh

    problem = softmax.softmax_digits(steps=steps)
    whole, last = softmax.hessian(problem), [problem.parameters - 1] * 2
    values, vectors = eigh(whole, subset_by_index=last)
    v, noise = vectors[:, 0], softmax.batch_noise(problem, whole)
    excess, gaussian = np.empty((len(DATA_BATCHES), draws)), np.empty(len(DATA_BATCHES))
    for k, size in enumerate(DATA_BATCHES):
        batches = [draw_batch(problem.samples, size, rng) for _ in range(draws)]
        excess[k] = [softmax.excess_sample(problem, v, batch) for batch in batches]
        scale = sqrt(noise / (problem.parameters * effective_batch(size, problem.samples)))
        moved = whole + scale * dense_goe(problem.parameters, rng)
        gaussian[k] = eigvalsh(moved, subset_by_index=last)[0] - v @ moved @ v
    return excess, gaussian, softmax.excess_constant(problem), float(noise / values[0])


def data_chart(rng: np.random.Generator, *, draws: int = 6) -> Chart:
    """The excess of a batch's sharpest curvature on real data; slider: how long the model was trained."""
    found = [data_excess(steps, draws, rng) for steps in DATA_STEPS]
    excess, gaussian = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    shares = np.array([1.0 / effective_batch(size, 1797) for size in DATA_BATCHES])
    second, stated = (np.array([f[part] * shares for f in found]) for part in (2, 3))
    mean, sizes = excess.mean(axis=-1), np.array(DATA_BATCHES, dtype=float)
    return Chart(
        title="Real noise is not a Wigner matrix",
        look="Softmax regression on digits: how much sharper is a batch than all the data? The mean excess falls about "
        "like $1/b$. But it is about a hundred times what Theorem 4 says. Show the control: with Gaussian noise "
        "of the same variance around the same Hessian, the theorem is right again.",
        sliders=(Slider("gradient steps before", DATA_STEPS, 200),),
        panels=(
            Panel(
                Axis("batch size B", log=True, low=14.0, high=1200.0),
                Axis("excess λ₁′ − λ₁", log=True, low=3e-6, high=2.0),
                (
                    Curve(f"digits, mean of {draws} and range", sizes, mean, low=excess.min(axis=-1),
                          high=excess.max(axis=-1), draw="both"),
                    Curve("second-order theory κ/b", sizes, second, role="third"),
                    Curve("Theorem 4", sizes, stated, role="bound"),
                    Curve(GAUSSIAN, sizes, gaussian, role="control", draw="both"),
                ),
            ),
        ),
        readouts=(
            Readout("digits over Theorem 4, at B = 256", (mean / stated)[:, DATA_BATCHES.index(256)]),
            Readout("κ/b over Theorem 4", (second / stated)[:, 0]),
            Readout("digits over κ/b, at B = 256", (mean / second)[:, DATA_BATCHES.index(256)]),
        ),
    )  # fmt: skip
