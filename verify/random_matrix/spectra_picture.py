"""The first picture of this paper: the spectrum of a batch Hessian as the batch grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from problems.spiked_ensembles import spectrum, spiked_wigner
from theorylab.algorithms.random_matrix_laws import batch_top, semicircle_density
from theorylab.pictures import COLOURS, Drawing, canvas, picture
from verify.random_matrix import PAPER
from verify.random_matrix.ensembles import wigner

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

BATCHES = (2, 8, 16, 32, 128, 1024)


@picture(PAPER)
def spectrum_against_batch(rng: np.random.Generator) -> Drawing:
    r"""The outlier of a batch Hessian leaves the bulk when the batch is large enough.

    One drawn Hessian a panel: $\lambda_1 = 1$, $P = 2000$, $P\sigma^2 = 16$, so the transition is at $B = 16$. The
    semicircle of Theorem 3 (line) shrinks like $1/\sqrt B$. Below the transition the largest eigenvalue is its edge,
    whatever $\lambda_1$ (dotted) is. Above it an outlier stands at $\lambda_1 + P\sigma^2/(B\lambda_1)$, which falls
    to $\lambda_1$ but is never above $2\lambda_1$. Each panel has its own scale.
    """
    figure, panels = canvas(2, 3, height=4.6)
    said = []
    for axes, batch in zip(panels, BATCHES, strict=True):
        model = wigner(batch)
        eigenvalues = spectrum(spiked_wigner(model, rng))
        stated = batch_top(1.0, model.radius)
        panel(axes, eigenvalues, model.radius, stated)
        outlier = "outlier" if model.radius < 1.0 else "edge"
        axes.set_title(f"B = {batch}: largest {eigenvalues[-1]:.2f}, {outlier} {stated:.2f}", fontsize=9)
        said.append(f"B = {batch}: {eigenvalues[-1]:.3f} against the {outlier} {stated:.3f}")
    for axes in panels:
        axes.locator_params(axis="x", nbins=5)
    for axes in panels[3:]:
        axes.set_xlabel("eigenvalue of the batch Hessian")
    for axes in panels[::3]:
        axes.set_ylabel("density")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return Drawing(figure, "Largest eigenvalue drawn and predicted: " + "; ".join(said) + ".")


def panel(axes: Axes, eigenvalues: Array, radius: float, stated: float) -> None:
    """Draw one spectrum: histogram, semicircle of radius ``2 radius``, predicted and drawn largest eigenvalue."""
    edge = 2.0 * radius
    right = 1.12 * max(edge, stated, 1.0)
    left = -1.12 * edge
    bins = np.linspace(-1.05 * edge, 1.05 * edge, 43)
    inside = eigenvalues[eigenvalues <= bins[-1]]
    weights = np.full(inside.size, 1.0 / (eigenvalues.size * (bins[1] - bins[0])))
    axes.hist(inside, bins, weights=weights, color=COLOURS["measured"], alpha=0.35, label="drawn spectrum")
    grid = np.linspace(-edge, edge, 201)
    density = semicircle_density(grid, radius)
    axes.plot(grid, density, color=COLOURS["bound"], label="semicircle, Theorem 3")
    peak = float(density.max())
    axes.plot(
        [eigenvalues[-1]], [0.06 * peak], "v", color=COLOURS["measured"], markersize=7, label="drawn largest", zorder=4
    )
    axes.plot([stated, stated], [0.0, 0.5 * peak], "--", color=COLOURS["bound"], label="predicted largest, Theorem 4")
    axes.axvline(1.0, color=COLOURS["control"], linestyle=":", label="full Hessian, λ₁ = 1")
    axes.set_xlim(left, right)
    axes.set_ylim(0.0, 1.15 * peak)
