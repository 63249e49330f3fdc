"""Charts of the lesson on patterns: a neuron that turns, and the certificate that no better network exists."""

from __future__ import annotations

import numpy as np

from problems.relu_networks import TrainingProblem, sphere
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns, pattern_count
from theorylab.algorithms.relu_certificate import restricted_dual_bound, zero_threshold
from theorylab.algorithms.relu_convex_program import ConvexOptimum, ConvexProgram, convex_program, solve_program
from theorylab.algorithms.relu_recovery import Network, prune_network, recover_network, training_objective
from theorylab.report.lessons import Axis, Bars, Chart, Curve, Panel, Readout, Slider
from verify.relu.measures import Array

SAMPLES = (3, 5, 8)
DEGREES = np.arange(0, 361, 3)
TURN = np.arange(0.0, 360.1, 2.0)
DECAYS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
MOST_NEURONS = 24
ONE_SIGN = "control: output weights of one sign"


def turning_patterns(X: Array, samples: int) -> tuple[Array, Array]:
    """Activations (F, n), NaN beyond the first ``samples`` rows, and how many patterns the turn has met (F,).

    Every row of ``X`` (n, 2) is crossed at two angles of a turn; each crossing starts a new pattern, but for the last,
    which comes back to the first one.
    """
    outputs = np.full((DEGREES.size, len(X)), np.nan)
    outputs[:, :samples] = np.maximum(_circle(DEGREES) @ X[:samples].T, 0.0)
    normals = np.degrees(np.arctan2(X[:samples, 0], -X[:samples, 1]))
    crossings = np.sort(np.mod(np.concatenate([normals, normals + 180.0]), 360.0))
    met = np.minimum(1 + np.searchsorted(crossings, DEGREES, side="right"), crossings.size)
    return outputs, met.astype(np.float64)


def film(rng: np.random.Generator) -> Chart:
    """One neuron turns round the plane; sliders: the number of samples, and the angle, which plays."""
    X = sphere(SAMPLES[-1], 2, rng).X
    outputs, met = (np.array(part) for part in zip(*(turning_patterns(X, n) for n in SAMPLES), strict=True))
    active, present = outputs > 0.0, ~np.isnan(outputs)
    u = _circle(DEGREES)
    border = np.stack([-u[:, 1], u[:, 0]], axis=-1)[:, None] * np.array([[-2.0], [2.0]])
    arrow = u[:, None] * np.array([[0.0], [0.75]])
    return Chart(
        title="A neuron turns, and its pattern switches",
        look="Press play. A sample switches on or off only when the dashed border passes over it. Between two switches "
        "its outputs are linear in $u$. Then add samples: a turn meets exactly $2n$ patterns, although there are $2^n$ "
        "ways to switch $n$ samples on and off.",
        sliders=(
            Slider("samples n", SAMPLES, 5),
            Slider("angle of u", DEGREES.tolist(), 63, unit="degrees", plays=True, seconds=14.0),
        ),
        panels=(
            Panel(
                Axis("first input", low=-1.85, high=1.85),
                Axis("second input", low=-1.15, high=1.15),
                (
                    Curve("active samples", X[:, 0], np.where(active, X[:, 1], np.nan), draw="points"),
                    Curve(
                        "silent samples", X[:, 0], np.where(present & ~active, X[:, 1], np.nan), "fourth", draw="points"
                    ),
                    Curve("direction u", arrow[..., 0], arrow[..., 1], role="second"),
                    Curve("border: x·u = 0", border[..., 0], border[..., 1], role="bound"),
                ),
                title="The plane of inputs",
            ),
            Panel(
                Axis("sample"),
                Axis("output (x·u)₊", low=0.0, high=1.1),
                (Bars("output of the neuron", [f"x{'₁₂₃₄₅₆₇₈'[k]}" for k in range(len(X))], outputs),),
                title="What the neuron says now",
            ),
            Panel(
                Axis("angle of u, degrees", low=0.0, high=360.0),
                Axis("patterns", low=0.0, high=18.0),
                (
                    Curve("patterns met so far", DEGREES, met[:, None], grows=True),
                    Curve("count of the theorem: 2n", [0.0, 360.0], _counts()[:, None, None] * np.ones(2), "bound"),
                ),
                title="So far",
            ),
        ),
        readouts=(
            Readout("samples switched on", np.sum(active, axis=-1)),
            Readout("patterns met", met),
            Readout("count of the theorem", _counts()[:, None]),
            Readout("on-off words, 2ⁿ", 2.0 ** np.array(SAMPLES)[:, None]),
        ),
    )


def certificate_chart(problem: TrainingProblem) -> Chart:
    """The dual function over all directions, below beta at the optimum; slider: the weight decay."""
    patterns = enumerate_patterns(problem.X)
    both, single = (_solved(convex_program(problem.X, patterns, both_signs=signs), problem) for signs in (True, False))
    values = np.array([found.value for found in both])
    bounds = np.array([_bound(problem, found, beta) for found, beta in zip(both, DECAYS, strict=True)])
    objectives, neurons, angles = _networks(problem, both)
    curves, touching = _dual_function(problem, both, TURN), _dual_function(problem, both, angles)
    return Chart(
        title="The certificate: no neuron anywhere could still help",
        look="Left: how much a new neuron in each direction would help, in units of what it costs. At the optimum the "
        "curve stays between the dashed lines, and touches them where the neurons are. Raise $\\beta$: fewer neurons, "
        "until the curve lets go of the lines and the network is zero. Show the control: without negative output "
        "weights the curve breaks through below. A neuron is missing there, and the curve says so.",
        sliders=(Slider("weight decay β", DECAYS, 0.1),),
        panels=(
            Panel(
                Axis("direction u, degrees", low=0.0, high=360.0),
                Axis("vᵀ(Xu)₊ / β", low=-3.0, high=2.0),
                (
                    Curve("use of a new neuron", TURN, curves),
                    Curve("neurons of the network", angles, touching, "second", draw="points"),
                    Curve("its cost, ±1", [0.0, 360.0, np.nan, 0.0, 360.0], [1.0, 1.0, np.nan, -1.0, -1.0], "bound"),
                    Curve(ONE_SIGN, TURN, _dual_function(problem, single, TURN), role="control"),
                ),
                title="All directions at once",
            ),
            Panel(
                Axis("weight decay β", log=True),
                Axis("training objective", low=0.0, high=8.0),
                (
                    Curve("network recovered", DECAYS, objectives, draw="both"),
                    Curve("this β", np.array(DECAYS)[:, None], values[:, None], "second", draw="points"),
                    Curve("dual bound: no network is below", DECAYS, bounds, "bound"),
                    Curve("zero network", DECAYS, np.full(len(DECAYS), 0.5 * problem.y @ problem.y), "third"),
                    Curve(ONE_SIGN, DECAYS, [found.value for found in single], role="control", draw="both"),
                ),
                title="Value and bound",
            ),
        ),
        readouts=(
            Readout("value of the convex program", values),
            Readout("objective of the network", objectives),
            Readout("gap to the bound, relative", np.maximum(objectives / bounds - 1.0, 0.0)),
            Readout("neurons of this optimum", neurons),
            Readout("zero network from β =", [zero_threshold(problem.X, problem.y, patterns)]),
            Readout(ONE_SIGN, [found.value for found in single], role="control"),
        ),
    )


def _circle(degrees: Array) -> Array:
    """Unit vectors (..., 2)."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _counts() -> Array:
    return np.array([float(pattern_count(n, 2)) for n in SAMPLES])


def _solved(program: ConvexProgram, problem: TrainingProblem) -> list[ConvexOptimum]:
    return [solve_program(program, problem.y, beta=beta) for beta in DECAYS]


def _bound(problem: TrainingProblem, optimum: ConvexOptimum, beta: float) -> float:
    patterns = enumerate_patterns(problem.X)
    return restricted_dual_bound(problem.X, problem.y, optimum.dual, patterns, beta=beta).value


def _dual_function(problem: TrainingProblem, optima: list[ConvexOptimum], degrees: Array) -> Array:
    """``v'(Xu)_+ / beta`` (B, K) at the angles (K,) or (B, K), v being the dual optimum for each beta."""
    duals = np.array([optimum.dual for optimum in optima]) / np.array(DECAYS)[:, None]
    values: Array = np.einsum("bn,bkn->bk", duals, _outputs(problem, degrees, len(optima)))
    return values


def _outputs(problem: TrainingProblem, degrees: Array, count: int) -> Array:
    """``(Xu)_+`` (B, K, n)."""
    spread = np.broadcast_to(degrees, (count, degrees.shape[-1]))
    return np.maximum(_circle(spread) @ problem.X.T, 0.0)


def _networks(problem: TrainingProblem, optima: list[ConvexOptimum]) -> tuple[Array, Array, Array]:
    """Objective (B,) and number (B,) of the recovered neurons, and their directions (B, 24) in degrees, NaN padded."""
    objectives, neurons = np.empty(len(optima)), np.empty(len(optima))
    angles = np.full((len(optima), MOST_NEURONS), np.nan)
    for k, (optimum, beta) in enumerate(zip(optima, DECAYS, strict=True)):
        network = recover_network(optimum.V, optimum.W)
        objectives[k] = training_objective(network, problem.X, problem.y, beta=beta, loss=problem.loss)
        found = _directions(network)
        neurons[k] = found.size
        angles[k, : found.size] = found[:MOST_NEURONS]
    return objectives, neurons, angles


def _directions(network: Network) -> Array:
    """The different directions of neurons in degrees, ascending; equal ones are one neuron, split between two cells.

    An interior point leaves dust of 1e-9 where a neuron, or the whole network, is zero: that is none.
    """
    if np.abs(network.U).max() < 1e-3:
        return np.empty(0)
    seen = prune_network(network, relative_size=1e-3)
    found = np.column_stack([np.mod(np.degrees(np.arctan2(seen.U[1], seen.U[0])), 360.0), np.sign(seen.alpha)])
    _, first = np.unique(found.round(3), axis=0, return_index=True)
    return found[first, 0]
