"""Charts of the lesson on smooth losses: regret between stochastic and adversarial, and with strong convexity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from problems.comparators import best_fixed_point, mean_loss_gaps
from problems.sea_games import QuadraticGame, quadratic_game, sphere, variations
from problems.sea_quadratic_games import BENT_CENTRE, BENT_SPECTRUM, DIMENSION, strongly_convex
from theorylab.algorithms.online_bounds import (
    convex_omd_rederived,
    gradient_change_bound,
    strongly_convex_omd_rederived,
)
from theorylab.algorithms.online_learners import (
    Learner,
    fixed_step,
    optimistic_omd,
    play,
    strongly_convex_ftrl,
    strongly_convex_step,
)
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Readout, Slider
from verify.sea.measures import convex_learner, drawn_losses
from verify.sea.trajectories import constants_at, linear_regrets, parts

Array = npt.NDArray[np.float64]
Rounds = npt.NDArray[np.int64]

LEVELS = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0)  # of sigma and Sigma per round
SPECTRUM = BENT_SPECTRUM / 4.0  # L = 1/2
STEEP = 4.0  # a step that does not decay; times L it is 2, where mirror descent with a hint is stable below 2/3
NOISES = (0.1, 0.3, 1.0)
QUIET = {"100": 100, "3000": 3000, "never": None}  # the round after which there is no noise
OVERESTIMATE = 40.0
NEVER_SHRINKS = "control: step 4 that never shrinks"
CONVEX_STEPS = "control: steps for convex losses"
TOO_CURVED = "control: λ over-estimated 40 times"


def checkpoints(horizon: int, count: int, first: int = 8) -> Rounds:
    """Return about ``count`` rounds from ``first`` to ``horizon``, even on a logarithmic axis."""
    return np.unique(np.geomspace(first, horizon, count).astype(np.int64))


def tossed_game(noise: float, drift: float, horizon: int, rng: np.random.Generator) -> QuadraticGame:
    """Quadratics on the unit ball with ``sigma_t = noise`` and ``mean Sigma_t^2`` near ``drift^2``.

    The adversary tosses the sign of ``drift / sqrt(2)`` in the first coordinate of ``c_t`` before the game: it changes
    in half of the rounds. Mean losses are flat in that coordinate.
    """
    tilts = np.tile(SPECTRUM * BENT_CENTRE, (horizon, 1))
    tilts[:, 0] += drift / np.sqrt(2.0) * (2.0 * rng.integers(0, 2, horizon) - 1.0)
    return quadratic_game(np.diag(SPECTRUM), tilts, noise * sphere(horizon, DIMENSION, rng), variances=noise**2)


def regrets_on_plane(rng: np.random.Generator, horizon: int, seeds: int) -> tuple[Rounds, Array, Array, Array, Array]:
    """Rounds (n,); regret (S, D, seeds, n), that of the control, stated bound and ``sqrt(A)`` of it, (S, D, n)."""
    T = checkpoints(horizon, 45)
    streams = rng.integers(2**62, size=seeds)  # every point of the plane plays the same seeds
    shape = (len(LEVELS), len(LEVELS), seeds, T.size)
    measured, steep, stated, scale = (np.empty(shape) for _ in range(4))
    for i, noise in enumerate(LEVELS):
        for j, drift in enumerate(LEVELS):
            for k, stream in enumerate(streams):
                game = tossed_game(noise, drift, horizon, np.random.default_rng(stream))
                measured[i, j, k] = _regret(game, convex_learner(game.constants), T)
                steep[i, j, k] = _regret(game, optimistic_omd(fixed_step(STEEP)), T)
                constants = constants_at(game, T)
                stated[i, j, k] = [convex_omd_rederived(c) for c in constants]
                scale[i, j, k] = [np.sqrt(gradient_change_bound(c)) for c in constants]
    return T, measured, steep.mean(axis=2), stated.mean(axis=2), scale.mean(axis=2)


def _regret(game: QuadraticGame, learner: Learner, T: Rounds) -> Array:
    """Linearised regret in hindsight (n,)."""
    played = play(drawn_losses(game), learner, radius=game.radius, checkpoints=T, keep=False)
    return linear_regrets(played, game.radius)


def regret_chart(rng: np.random.Generator, horizon: int = 4096, seeds: int = 10) -> Chart:
    """Regret along the rounds below the bound; sliders: noise and drift."""
    T, runs, steep, stated, scale = regrets_on_plane(rng, horizon, seeds)
    # Regret of a single run may be negative: then the band leaves the logarithmic chart at the bottom.
    low, mean, high = np.maximum(runs.min(axis=2), 1e-6), runs.mean(axis=2), runs.max(axis=2)
    end, stated_end, at = mean[..., -1], stated[..., -1], scale[..., -1]
    order = np.argsort(at.ravel())
    return Chart(
        title="One learner from stochastic to adversarial, and a bound that moves with it",
        look="Start with both sliders at zero: the losses never change, regret stops growing, the bound is flat. Raise "
        "$\\sigma$ alone, which is stochastic optimisation, then $\\Sigma$ alone, an adversary. On the right the bound "
        "depends on one number only, and the dot moves along it. Show the control: steps that never shrink swing for "
        "ever, and regret grows with $T$ whatever the sliders say.",
        sliders=(
            Slider("noise σ of a round", LEVELS, 0.25),
            Slider("drift Σ of a round", LEVELS, 0.125),
        ),
        panels=(
            Panel(
                Axis("rounds T", log=True),
                Axis("regret", log=True, low=0.3, high=3000.0),
                (
                    Curve(f"measured, mean and range of {seeds} runs", T, mean, low=low, high=high),
                    Curve("bound, Theorem 1 re-derived", T, stated, role="bound"),
                    Curve(NEVER_SHRINKS, T, steep, role="control"),
                ),
                title="Along the rounds",
            ),
            Panel(
                Axis("√(G² + 8σ² + 4Σ²), summed over the rounds", log=True, low=0.5, high=400.0),
                Axis(f"regret after {horizon} rounds", log=True, low=0.3, high=3000.0),
                (
                    Curve("all positions", at.ravel()[order], end.ravel()[order], role="fourth", draw="points"),
                    Curve("measured, here", at[..., None], end[..., None], draw="points"),
                    Curve("bound", at.ravel()[order], stated_end.ravel()[order], role="bound"),
                    Curve(NEVER_SHRINKS, at[..., None], steep[..., -1:], role="control", draw="points"),
                ),
                title="At the end",
            ),
        ),
        readouts=(
            Readout("regret at the end", end),
            Readout("bound at the end", stated_end),
            Readout(NEVER_SHRINKS, steep[..., -1], role="control"),
        ),
    )


def strong_regrets(rng: np.random.Generator, horizon: int, seeds: int) -> tuple[Rounds, Array, Array]:
    """Rounds (n,); mean regret of the four learners (4, S, Q, n) and the bound on the first (S, Q, n)."""
    T = checkpoints(horizon, 45)
    streams = rng.integers(2**62, size=seeds)
    found, stated = np.zeros((4, len(NOISES), len(QUIET), T.size)), np.empty((len(NOISES), len(QUIET), T.size))
    for i, noise in enumerate(NOISES):
        for j, quiet in enumerate(QUIET.values()):
            for stream in streams:
                game = strongly_convex(horizon, np.random.default_rng(stream), spread=noise, quiet_after=quiet)
                found[:, i, j] += _strong_regrets(game, T) / seeds
            stated[i, j] = [
                strongly_convex_omd_rederived(part.constants, part.variances, variations(part.tilts))
                for part in parts(game, T)
            ]
    return T, found, stated


def _strong_regrets(game: QuadraticGame, T: Rounds) -> Array:
    """Regret on the means (4, n): mirror descent, FTRL, mirror descent with steps for convex losses, with 40 lambda."""
    lam, u = game.constants.strong_convexity, best_fixed_point(game)  # F_t is the same in every round, so is its u
    learners = (
        optimistic_omd(strongly_convex_step(lam)),
        strongly_convex_ftrl(lam),
        convex_learner(game.constants),
        optimistic_omd(strongly_convex_step(OVERESTIMATE * lam)),
    )
    played = [play(drawn_losses(game), learner, radius=game.radius) for learner in learners]
    return np.array([np.cumsum(mean_loss_gaps(game, one.iterates, u))[T - 1] for one in played])


def strong_chart(rng: np.random.Generator, horizon: int = 100_000, seeds: int = 3) -> Chart:
    """Logarithmic regret on strongly convex losses; sliders: noise, and the round after which there is none."""
    T, found, stated = strong_regrets(rng, horizon, seeds)
    return Chart(
        title="With curvature: the logarithm of the noise, not of the rounds",
        look="Noise off after 100 rounds: from there on regret and bound are flat, though the game goes on. Noise to "
        "the end: both grow like a logarithm. Show the controls: steps made for convex losses pay $\\sqrt T$, and a "
        "learner that believes in forty times the curvature stands still too early.",
        sliders=(
            Slider("noise σ of a round", NOISES, 0.3),
            Slider("noise off after round", tuple(QUIET), "never"),
        ),
        panels=(
            Panel(
                Axis("rounds T", log=True),
                Axis("regret", log=True, low=0.1, high=10_000.0),
                (
                    Curve(f"mirror descent, step 2/(λt), mean of {seeds} runs", T, found[0]),
                    Curve("follow the regularised leader", T, found[1], role="second"),
                    Curve("bound on mirror descent, Theorem 3 re-derived", T, stated, role="bound"),
                    Curve(CONVEX_STEPS, T, found[2], role="control"),
                    Curve(TOO_CURVED, T, found[3], role="control"),
                ),
            ),
        ),
        readouts=(
            Readout("mirror descent at the end", found[0, ..., -1]),
            Readout("bound at the end", stated[..., -1]),
            Readout(CONVEX_STEPS, found[2, ..., -1], role="control"),
            Readout(TOO_CURVED, found[3, ..., -1], role="control"),
        ),
    )
