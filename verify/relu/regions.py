"""The picture of robust training: decision regions on two rings, standard and robust."""

from typing import TYPE_CHECKING

import numpy as np

from problems.relu_networks import TrainingProblem, rings
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_losses import Mask
from theorylab.algorithms.relu_recovery import Network, network_outputs, recover_network
from theorylab.algorithms.relu_robust import output_ranges
from theorylab.pictures import COLOURS, Drawing, canvas, picture
from verify.relu import PAPER
from verify.relu.robust import robust_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RADII = (0.0, 0.05, 0.1)
REACH, GRID, LOSS = 1.4, 141, 0.01


@picture(PAPER)
def decision_regions(rng: np.random.Generator) -> Drawing:
    r"""Robust training keeps the margin in whole boxes around the samples, standard training at the samples alone.

    Two noisy rings, 20 samples, hinge loss, $\beta = 0.05$: globally optimal networks of the convex programs with
    $\epsilon = 0$, $0.05$ and $0.1$. Solid: the decision boundary, shaded the side of the inner ring; dashed: the
    margins, outputs $\pm1$, within which a sample has a loss. Squares are what an adversary with $\epsilon = 0.1$ can
    reach, thick where some point of the square, computed exactly, has a loss of more than 0.01. Standard training
    leaves the samples on the margins and their squares beyond; robust training moves the margins
    together, at the price of larger weights.
    """
    problem = rings(20, rng)
    path = robust_path(problem, enumerate_patterns(problem.X), RADII)
    figure, panels = canvas(columns=len(RADII), height=3.9)
    said = []
    for axes, radius, optimum in zip(panels, RADII, path, strict=True):
        network = recover_network(optimum.V, optimum.W, relative_size=1e-6)
        lost = _lost(network, problem, RADII[-1])
        _draw_regions(axes, network)
        _draw_samples(axes, problem, lost, RADII[-1])
        kind = rf"robust, $\epsilon$ = {radius:g}" if radius > 0.0 else "standard training"
        axes.set_title(f"{kind}\n{int(lost.sum())} of {lost.size} squares with a loss", fontsize="medium")
        axes.set_xlabel("first input")
        name = f"radius {radius:g}" if radius > 0.0 else "standard training"
        said.append(f"{name}: value {optimum.value:.4f}, {int(lost.sum())} of {problem.samples} squares with a loss")
    panels[0].set_ylabel("second input")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return Drawing(
        figure,
        f"Decision regions of globally optimal networks on two rings; squares of half width {RADII[-1]:g} in which an"
        f" adversary finds a loss: {'; '.join(said)}.",
    )


def _lost(network: Network, problem: TrainingProblem, radius: float) -> Mask:
    """Whether the box of a sample (n,) holds a point with a hinge loss of more than 0.01."""
    least, greatest = output_ranges(network, problem.X, epsilon=radius, perturbed=problem.perturbed)
    return np.asarray(1.0 - np.where(problem.y > 0.0, least, -greatest) > LOSS)


def _draw_regions(axes: "Axes", network: Network) -> None:
    line = np.linspace(-REACH, REACH, GRID)
    first, second = np.meshgrid(line, line)
    points = np.column_stack([first.ravel(), second.ravel(), np.ones(first.size)])
    outputs = network_outputs(network, points).reshape(first.shape)
    axes.contourf(first, second, outputs, levels=[0.0, np.inf], colors=["0.85"])
    axes.contour(first, second, outputs, levels=[0.0], colors=[COLOURS["bound"]], linewidths=1.8)
    axes.contour(first, second, outputs, levels=[-1.0, 1.0], colors=[COLOURS["bound"]], linewidths=1.0, linestyles="--")


def _draw_samples(axes: "Axes", problem: TrainingProblem, lost: Mask, radius: float) -> None:
    inner = problem.y > 0.0
    axes.plot(*problem.X[inner, :2].T, "o", ms=4, color=COLOURS["measured"], label="inner ring")
    axes.plot(*problem.X[~inner, :2].T, "^", ms=5, mfc="white", color="black", label="outer ring")
    for place, wrong in zip(problem.X[:, :2], lost, strict=True):
        corners = place + radius * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
        axes.plot(*corners.T, color="black" if wrong else COLOURS["control"], lw=1.8 if wrong else 0.7)
    axes.set(aspect="equal", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
