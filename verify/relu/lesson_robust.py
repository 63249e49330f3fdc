"""Chart of the lesson on robust training: decision regions, and the worst case that was promised."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from problems.relu_networks import TrainingProblem, rings
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_recovery import Network, network_outputs, recover_network
from theorylab.algorithms.relu_robust import output_ranges
from theorylab.report.lessons import Axis, Cells, Chart, Curve, Panel, Readout, Slider
from verify.relu.measures import Array
from verify.relu.robust import robust_objective, robust_path

RADII = (0.0, 0.03, 0.06, 0.08, 0.1)
REACH, CELLS, LINES, LOSS = 1.4, 45, 71, 0.01
NOMINAL = "control: cones of the data without perturbation"


def robust_charts(rng: np.random.Generator, samples: int = 14, radii: Sequence[float] = RADII) -> tuple[Chart, Chart]:
    """Regions of robust networks on two rings, and their worst cases; slider: the radius of the perturbations."""
    problem = rings(samples, rng)
    patterns, radii = enumerate_patterns(problem.X), tuple(radii)
    exact = robust_path(problem, patterns, radii)
    nominal = robust_path(problem, patterns, radii, cones="nominal")
    networks, wrong = ([recover_network(found.V, found.W) for found in path] for path in (exact, nominal))
    slider = Slider("trained for radius ε", radii, radii[len(radii) // 2])
    return _regions(problem, networks, wrong, slider), _worst_cases(
        problem, networks, wrong, np.array([[found.value for found in path] for path in (exact, nominal)]), slider
    )


def _regions(problem: TrainingProblem, networks: list[Network], wrong: list[Network], slider: Slider) -> Chart:
    widest = float(slider.values[-1])
    return Chart(
        title="Robust training moves the margins apart from the samples",
        look="Raise $\\epsilon$: every sample may be moved anywhere in its square, and the network has to be right in "
        "all of it. At $\\epsilon = 0$ samples lie on the margins. Then the margins close in, and every "
        "square stays beyond them. Show the control: with the cones of the unmoved data the margins cut through "
        "squares.",
        sliders=(slider,),
        panels=(
            Panel(
                Axis("first input"),
                Axis("second input"),
                (
                    Cells("output of the network", np.array([_picture(net) for net in networks]), largest=1.6),
                    Cells(NOMINAL, np.array([_picture(net) for net in wrong]), role="control", largest=1.6),
                ),
                title="Output: blue for the inner ring, orange for the outer",
            ),
            _plane(problem, networks, wrong, slider),
        ),
        readouts=(
            Readout(
                f"its own squares with a loss, of {problem.samples}",
                [
                    _lost(network, problem, float(radius))
                    for network, radius in zip(networks, slider.values, strict=True)
                ],
            ),
            Readout(
                f"squares of half width {widest:g} with a loss, of {problem.samples}",
                [_lost(network, problem, widest) for network in networks],
            ),
            Readout(
                NOMINAL,
                [_lost(network, problem, float(radius)) for network, radius in zip(wrong, slider.values, strict=True)],
                role="control",
            ),
        ),
    )


def _worst_cases(
    problem: TrainingProblem, networks: list[Network], wrong: list[Network], values: Array, slider: Slider
) -> Chart:
    """Exact worst cases under attacks of all radii; ``values`` (2, F): promised by the exact and the nominal cones."""
    radii = [float(value) for value in slider.values]
    attacked, broken = (
        np.array([[robust_objective(network, problem, radius) for radius in radii] for network in nets])
        for nets in (networks, wrong)
    )
    own = np.arange(len(radii))
    return Chart(
        title="What was promised, and what an adversary can do",
        look="The dashed line is the robust convex value. The solid one is the exact worst case of one network, by the "
        "radius of the attack. They meet where the network was trained: move $\\epsilon$ and follow the dot. Beyond, "
        "nothing was promised. Show the control: with the wrong cones the promise is broken where it was given.",
        sliders=(slider,),
        panels=(
            Panel(
                Axis("radius of the attack"),
                Axis("worst-case objective", low=0.0, high=5.0),
                (
                    Curve("this network under attack", radii, attacked),
                    Curve("robust convex value", radii, values[0], role="bound"),
                    Curve("where it was trained", np.array(radii)[:, None], values[0][:, None], "third", draw="points"),
                    Curve("standard network under attack", radii, attacked[0], role="second"),
                    Curve(NOMINAL, radii, broken, role="control", draw="both"),
                ),
            ),
        ),
        readouts=(
            Readout("promised worst case", values[0]),
            Readout("exact worst case", attacked[own, own]),
            Readout("standard network under this attack", attacked[0]),
            Readout("promised by the nominal cones", values[1]),
            Readout(NOMINAL, broken[own, own], role="control"),
        ),
    )


def _plane(problem: TrainingProblem, networks: list[Network], wrong: list[Network], slider: Slider) -> Panel:
    """Boundary, margins, samples and the squares they may be moved in."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1], [np.nan, np.nan]])
    # A sample that is not moved is drawn as a small square too.
    sizes = np.maximum(np.array(slider.values, dtype=np.float64), 0.02)[:, None, None, None]
    boxes = problem.X[None, :, None, :2] + sizes * square
    inner, outer = (boxes[:, problem.y * sign > 0.0].reshape(len(boxes), -1, 2) for sign in (1.0, -1.0))
    boundary, margins = (_level_lines(networks, levels) for levels in ((0.0,), (-1.0, 1.0)))
    others = _level_lines(wrong, (-1.0, 1.0))
    return Panel(
        Axis("first input", low=-2.2, high=2.2),
        Axis("second input", low=-REACH, high=REACH),
        (
            Curve("boundary", boundary[..., 0], boundary[..., 1]),
            Curve("margins, output ±1", margins[..., 0], margins[..., 1], role="bound"),
            Curve("inner ring, what it may become", inner[..., 0], inner[..., 1], role="third"),
            Curve("outer ring, what it may become", outer[..., 0], outer[..., 1], role="second"),
            Curve(NOMINAL, others[..., 0], others[..., 1], role="control"),
        ),
        title="Samples, squares, margins",
    )


def _lost(network: Network, problem: TrainingProblem, radius: float) -> float:
    """The number of samples whose square holds a point with a hinge loss of more than 0.01."""
    least, greatest = output_ranges(network, problem.X, epsilon=radius, perturbed=problem.perturbed)
    return float(np.sum(1.0 - np.where(problem.y > 0.0, least, -greatest) > LOSS))


def _outputs_on_square(network: Network, count: int) -> tuple[Array, Array]:
    """Coordinates (count,) and outputs (count, count), a row for each second input, the lowest first."""
    line = np.linspace(-REACH, REACH, count)
    first, second = np.meshgrid(line, line)
    points = np.column_stack([first.ravel(), second.ravel(), np.ones(first.size)])
    return line, network_outputs(network, points).reshape(first.shape)


def _picture(network: Network) -> Array:
    """Outputs with the largest second input in the first row, as a heat map is drawn."""
    return _outputs_on_square(network, CELLS)[1][::-1]


def _level_lines(networks: Sequence[Network], levels: Sequence[float]) -> Array:
    """Level lines (F, K, 2) of the outputs, separated by NaN and padded with it."""
    contours: Any = import_module("contourpy")
    found = []
    for network in networks:
        line, outputs = _outputs_on_square(network, LINES)
        drawn = contours.contour_generator(line, line, outputs)
        pieces = [piece for level in levels for piece in drawn.lines(level)]
        # Every second point is enough; the last one closes the line.
        parted = [np.vstack([piece[:-1:2], piece[-1:], [[np.nan, np.nan]]]) for piece in pieces]
        found.append(np.vstack(parted) if parted else np.full((1, 2), np.nan))
    longest = max(len(lines) for lines in found)
    return np.array([np.pad(lines, ((0, longest - len(lines)), (0, 0)), constant_values=np.nan) for lines in found])
