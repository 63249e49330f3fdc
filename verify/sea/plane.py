"""The picture of this paper: regret over the plane of noise and drift, measured and stated.

``python -m verify.sea.plane`` plays optimistic mirror descent at every point of a grid and draws two maps, the mean
measured regret and the bound on it, into ``figures/sea_online_learning/plane.svg``. The lower edge is stochastic
optimisation, the left edge adversarial, the corner between them a single loss.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from problems.comparators import linear_regret
from problems.sea_games import QuadraticGame, quadratic_game, sphere
from theorylab.algorithms.online_bounds import convex_omd_rederived
from theorylab.algorithms.online_learners import play
from verify.sea.measures import convex_learner, drawn_losses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

ROUNDS, DIMENSION, SEEDS = 4096, 5, 20
TILT = 0.05  # of the mean loss that never changes; without it the corner would have nothing to learn
LEVELS = (0.0, *(2.0**k for k in range(-6, 2)))  # of sigma and Sigma per round
TARGET = Path("figures/sea_online_learning/plane.svg")


def game_at(noise: float, drift: float, rng: np.random.Generator) -> QuadraticGame:
    """Return linear losses on the unit ball with ``sigma_t = noise`` and ``mean Sigma_t^2`` near ``drift^2``.

    The adversary tosses the signs of ``c_t = 0.05 e_1 +- (drift / sqrt(2)) e_2`` before the game. A sign changes in
    half of the rounds, by ``2 drift / sqrt(2)``, which makes ``drift^2`` on average.
    """
    tilts = np.zeros((ROUNDS, DIMENSION))
    tilts[:, 0] = TILT
    tilts[:, 1] = drift / np.sqrt(2.0) * (2.0 * rng.integers(0, 2, ROUNDS) - 1.0)
    flat = np.zeros((DIMENSION, DIMENSION))
    return quadratic_game(flat, tilts, noise * sphere(ROUNDS, DIMENSION, rng), variances=noise**2)


def regret_and_bound(noise: float, drift: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the regret of one play against the best point in hindsight, and the re-derived bound of Theorem 1."""
    game = game_at(noise, drift, rng)
    played = play(drawn_losses(game), convex_learner(game.constants), radius=game.radius)
    return linear_regret(played.gradients, played.iterates, game.radius), convex_omd_rederived(game.constants)


def maps(seeds: int = SEEDS) -> tuple[Array, Array]:
    """Return the mean measured regret and the mean bound (L, L): rows are Sigma, columns sigma, ascending."""
    size = len(LEVELS)
    found = np.empty((2, size, size))
    for i, drift in enumerate(LEVELS):
        for j, noise in enumerate(LEVELS):
            # The same seeds at every point of the plane: neighbours differ by scale and not by luck.
            pairs = [regret_and_bound(noise, drift, np.random.default_rng(seed)) for seed in range(seeds)]
            found[:, i, j] = np.mean(pairs, axis=0)
    return found[0], found[1]


def draw(measured: Array, stated: Array) -> Figure:
    """Draw both maps (L, L) with one logarithmic scale of colours and the number in every cell."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.0), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    # The corner without noise and drift, where the regret is next to nothing, would take half of the colours.
    norm = LogNorm(vmin=0.5, vmax=float(stated.max()))
    _map(left, measured, norm, f"measured: mean regret over {SEEDS} seeds")
    image = _map(right, stated, norm, "stated: Theorem 1, re-derived under one root")
    left.set_ylabel("Σ, drift of the mean loss per round\nstochastic  →  adversarial")
    bar = figure.colorbar(image, ax=[left, right], pad=0.015, fraction=0.03, extend="min")
    bar.set_label(f"regret after {ROUNDS} rounds, units of loss")
    figure.suptitle("One learner from the stochastic edge to the adversarial edge", fontsize=14, x=0.01, ha="left")
    figure.supxlabel(
        "Optimistic mirror descent on linear losses, unit ball of R⁵. The bound grows with the root of 8σ² + 4Σ²: "
        "along the dashed line, Σ = √2 σ, both count the same.",
        fontsize=9.5,
        x=0.01,
        ha="left",
    )
    return figure


def main() -> None:
    """Measure, draw, and write the picture below the current folder."""
    import matplotlib

    measured, stated = maps()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    fonts = ["DejaVu Sans", "sans-serif"]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "theorylab", "font.sans-serif": fonts}):
        draw(measured, stated).savefig(TARGET, metadata={"Date": None})
    ratio = stated / measured
    print(f"{TARGET}: stated / measured from {ratio.min():.3g} to {ratio.max():.3g}")


def _map(axes: Axes, values: Array, norm: LogNorm, title: str) -> QuadMesh:
    """Draw one map; text is dark on light cells and light on dark ones."""
    places = np.arange(len(LEVELS))
    mesh = axes.pcolormesh(places, places, values, norm=norm, cmap="cividis", edgecolors="white", linewidth=0.5)
    for (i, j), value in np.ndenumerate(values):
        ink = "#111111" if float(norm(value)) > 0.5 else "white"
        text = f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"
        axes.text(j, i, text, ha="center", va="center", fontsize=9, color=ink)
    # Levels double from cell to cell, so a factor of sqrt(2) is half a cell; the first cell is level 0.
    axes.plot([0.5, places[-1]], [1.0, places[-1] + 0.5], color="#D55E00", linestyle="--", linewidth=1.4)
    labels = ["0", *(f"{level:g}" if level >= 1.0 else f"1/{round(1.0 / level)}" for level in LEVELS[1:])]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.set_xlabel("σ, noise of a single loss per round\nadversarial  →  stochastic")
    axes.set_title(title, fontsize=11, loc="left")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return mesh


if __name__ == "__main__":
    main()
