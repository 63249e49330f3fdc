"""The picture of what a convex optimum is good for: it tells how far gradient runs are from the best network."""

from typing import TYPE_CHECKING

import numpy as np

from problems.relu_networks import TrainingProblem, sphere
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_certificate import restricted_dual_bound
from theorylab.algorithms.relu_convex_program import train_convex
from theorylab.algorithms.relu_descent import train
from theorylab.pictures import COLOURS, Drawing, canvas, picture
from verify.relu import PAPER
from verify.relu.measures import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS, RESTARTS = 4000, 20
WIDTHS = (1, 2, 4, 8, 16, 32)


@picture(PAPER)
def restarts_and_optimum(rng: np.random.Generator) -> Drawing:
    r"""Gradient training ends at many values, the convex program at the best one, and its dual proves it.

    Random labels on the circle, $n = 12$, $\beta = 0.05$, squared loss. Left: the objective of 20 restarts of Adam with
    8 neurons; the convex optimum $p^\star$ and the dual lower bound lie on one line, so that nothing can be below it,
    whatever the width. Right: how far above $p^\star$ each restart ends, by width. Few neurons cannot reach it; with
    many some restarts still end in spurious minima, and without $p^\star$ nobody could tell which.
    """
    problem = sphere(12, 2, rng, beta=0.05)
    patterns = enumerate_patterns(problem.X)
    optimum = train_convex(problem.X, problem.y, patterns, beta=problem.beta)
    bound = restricted_dual_bound(problem.X, problem.y, optimum.dual, patterns, beta=problem.beta).value
    checkpoints = np.unique(np.geomspace(1, STEPS, 60).astype(np.int64))
    values = {width: _restarts(problem, width, checkpoints, rng) for width in WIDTHS}
    ends = {width: run[:, -1] / optimum.value - 1.0 for width, run in values.items()}
    figure, (left, right) = canvas(columns=2, height=3.6)
    _draw_runs(left, checkpoints, values[8], optimum.value, bound)
    _draw_ends(right, ends)
    near = {width: int(np.sum(gaps < 1e-3)) for width, gaps in ends.items()}
    return Drawing(
        figure,
        f"The convex optimum is {optimum.value:.6f}, the dual bound {bound:.6f}. Of {RESTARTS} restarts with 8 neurons"
        f" the best ends at {values[8][:, -1].min():.4f} and the worst at {values[8][:, -1].max():.4f}. Within a"
        f" thousandth of the optimum end, by width: {', '.join(f'{w}: {count}' for w, count in near.items())}.",
    )


def _restarts(problem: TrainingProblem, width: int, checkpoints: Array, rng: np.random.Generator) -> Array:
    """Objectives (restarts, checkpoints) of Adam."""
    return train(
        problem.X, problem.y, problem.beta, rng, width=width, restarts=RESTARTS, steps=STEPS, checkpoints=checkpoints
    ).values


def _draw_runs(axes: "Axes", checkpoints: Array, values: Array, optimum: float, bound: float) -> None:
    axes.plot(checkpoints, values.T, color=COLOURS["measured"], lw=0.7, alpha=0.6)
    axes.plot([], [], color=COLOURS["measured"], lw=0.7, label="restarts of Adam, 8 neurons")
    axes.axhline(optimum, color=COLOURS["bound"], lw=2.0, label=r"convex optimum $p^\star$")
    axes.axhline(bound, color="black", lw=1.0, ls=(0, (2, 4)), label="dual lower bound")
    axes.axhspan(0.0, bound, color="0.9", lw=0, label="no network of any width")
    axes.set(xscale="log", xlabel="gradient step", ylabel="training objective", ylim=(0.8 * optimum, 3.0 * optimum))
    axes.legend(fontsize="small", loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")


def _draw_ends(axes: "Axes", ends: dict[int, Array]) -> None:
    floor = 1e-8
    for place, gaps in enumerate(ends.values()):
        across = place + np.linspace(-0.25, 0.25, gaps.size)
        axes.plot(across, np.sort(np.maximum(gaps, floor)), ".", ms=4, color=COLOURS["measured"])
    axes.set_yscale("log")
    axes.set_xticks(range(len(ends)), [str(width) for width in ends])
    axes.set(xlabel="width m", ylabel=r"final objective above $p^\star$, relative", ylim=(0.5 * floor, 10.0))
