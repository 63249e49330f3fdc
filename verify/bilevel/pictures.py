"""The picture of this paper: iterations to a given accuracy over sampled blocks and batch, measured beside stated."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.bilevel_bounds import stated_iterations
from theorylab.pictures import Drawing, canvas, picture
from verify.bilevel import PAPER
from verify.bilevel.descent import Setting, drawn
from verify.bilevel.speedup import IN_BLOCKS, arrival, planned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

BLOCKS = 32
SAMPLED, BATCHES = (2, 4, 8, 16, 32), (1, 2, 4, 8, 16)
INSTANCES = 2


def measured_iterations(rng: np.random.Generator) -> Array:
    """Return the iterations to the goal of `parallel_speedup_in_blocks` (|I|, |B|), geometric means over instances."""
    logs = np.zeros((INSTANCES, len(SAMPLED), len(BATCHES)))
    for instance in range(INSTANCES):
        _, blocks = drawn(rng, BLOCKS)
        for row, sampled in enumerate(SAMPLED):
            for column, batch in enumerate(BATCHES):
                setting = Setting(BLOCKS, sampled, batch)
                plan = planned(IN_BLOCKS, setting)
                logs[instance, row, column] = np.log(arrival(blocks, plan, setting, IN_BLOCKS, rng, every=2)[0])
    return np.asarray(np.exp(logs.mean(axis=0)))


def stated_shape() -> Array:
    """Return the stated order of the iterations (|I|, |B|), without its constant."""
    return np.array(
        [[stated_iterations(IN_BLOCKS.epsilon, blocks=BLOCKS, sampled=i, batch=b) for b in BATCHES] for i in SAMPLED]
    )


def heat_map(axes: "Axes", values: Array, title: str, form: str, limits: tuple[float, float]) -> None:
    """Draw ``values`` (|I|, |B|) as grey cells on a log scale between ``limits``, each with its number in it."""
    low, high = np.log(limits)
    shades = np.clip((np.log(values) - low) / (high - low), 0.0, 1.0)
    axes.pcolormesh(shades, cmap="Greys", vmin=0.0, vmax=1.15, edgecolors="white", linewidth=1.5)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if shades[row, column] > 0.6 else "black"
        axes.text(column + 0.5, row + 0.5, format(value, form), ha="center", va="center", color=colour, fontsize=8.5)
    axes.set_xticks(np.arange(len(BATCHES)) + 0.5, [str(batch) for batch in BATCHES])
    axes.set_yticks(np.arange(len(SAMPLED)) + 0.5, [str(sampled) for sampled in SAMPLED])
    axes.set_xlabel("samples of each block, B")
    axes.set_title(title, fontsize=10)
    axes.grid(visible=False)
    axes.tick_params(length=0)


@picture(PAPER)
def iterations_over_blocks_and_batch(rng: np.random.Generator) -> Drawing:
    r"""Iterations to a given accuracy over sampled blocks and batch, measured beside stated.

    BSVRB-v2 on quadratic lower problems, $m = 32$, until the mean of $\|\nabla F(x_t)\|^2$ so far is at most
    $0.1\varepsilon^2$, $\varepsilon = 0.3$. Left: measured, geometric means over two instances. Middle: the paper's
    order $m\varepsilon^{-3}(1[I<m]/(I\sqrt I) + 1/(I\sqrt B))$ times one constant, which makes the two maps agree on
    the average of their logarithms. Right: measured over stated; 1 is agreement. Up the columns
    both fall like $I^{-3/2}$. Along the rows of $I < m$ the measured ones stop falling where $B$ reaches $I$, the
    stated ones bend there; the top row, where all blocks are sampled, goes on. A sum with one constant for both halves
    cannot fit both cases: the ratio is largest in the top row, where the first half is zero.
    """
    measured, shape = measured_iterations(rng), stated_shape()
    stated = shape * np.exp(np.mean(np.log(measured) - np.log(shape)))
    ratio = measured / stated
    figure, (left, middle, right) = canvas(columns=3, height=3.3, sharey=True)
    both = (float(min(measured.min(), stated.min())), float(max(measured.max(), stated.max())))
    heat_map(left, measured, "measured iterations", ".0f", both)
    heat_map(middle, stated, "stated order, one constant fitted", ".0f", both)
    heat_map(right, ratio, "measured over stated", ".2f", (float(ratio.min()), float(ratio.max())))
    left.set_ylabel("blocks sampled of 32, I")
    said = (
        f"Measured iterations fall from {measured[0, 0]:.0f} at I = 2, B = 1 to {measured[-1, -1]:.0f} at I = 32, "
        f"B = 16; the stated order, times one constant, from {stated[0, 0]:.0f} to {stated[-1, -1]:.0f}. Their ratio "
        f"lies between {ratio.min():.2f} and {ratio.max():.2f} over the 25 cells."
    )
    return Drawing(figure, said)
