"""The film of the lesson: optimistic mirror descent chases a turning loss in the plane, with and without its hint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.comparators import mean_loss_gaps, minimiser_path
from problems.sea_games import QuadraticGame, quadratic_game, sphere
from problems.sea_quadratic_games import circle
from theorylab.algorithms.online_bounds import optimism_offset
from theorylab.algorithms.online_learners import adaptive_step, optimistic_omd, play
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Readout, Slider
from verify.sea.measures import drawn_losses

Array = npt.NDArray[np.float64]

ROUNDS, TRAIL = 121, 4
NOISES, DRIFTS = (0.0, 0.25, 1.0), (0.03, 0.1, 0.2)  # sigma and Sigma of a round; the mean gradient has norm 1
HINTS = (1.0, 0.0, -1.0)
NO_HINT = "control: no hint"
BACKWARDS = "control: the hint turned round"


@dataclass(frozen=True, slots=True, eq=False)
class Chase:
    """Points of one play: ``played`` x_t, ``centres`` xhat_t, both (T, 2), and what x_t loses to the minimiser (T,)."""

    played: Array
    centres: Array
    gaps: Array


def turning_game(noise: float, drift: float, seed: int) -> QuadraticGame:
    """Linear losses on the unit disc; the mean tilt, of norm 1, turns by the angle ``drift`` a round."""
    errors = noise * sphere(ROUNDS, 2, np.random.default_rng(seed))
    return quadratic_game(np.zeros((2, 2)), circle(ROUNDS, drift), errors, variances=noise**2)


def chase(game: QuadraticGame, hint: float) -> Chase:
    """Play mirror descent with the steps (10) and hints ``m_t = hint g_{t-1}``, and recover the points xhat_t."""
    c = game.constants
    learner = optimistic_omd(adaptive_step(c.diameter, optimism_offset(c) + 4.0 * c.gradient**2), hint=hint)
    rounds = np.arange(1, game.horizon + 1)
    played = play(drawn_losses(game), learner, radius=game.radius, checkpoints=rounds)
    centres = np.zeros_like(played.iterates)
    for t in range(game.horizon - 1):
        moved = centres[t] - played.steps[t] * played.gradients[t]
        centres[t + 1] = moved / max(1.0, float(np.linalg.norm(moved)) / game.radius)
    return Chase(played.iterates, centres, mean_loss_gaps(game, played.iterates, minimiser_path(game)))


def film(rng: np.random.Generator) -> Chart:
    """The plane, and the loss so far; sliders: noise, drift, and the round, which plays."""
    seed = int(rng.integers(2**62))
    games = [[turning_game(noise, drift, seed) for drift in DRIFTS] for noise in NOISES]
    chases = [[[chase(game, hint) for hint in HINTS] for game in row] for row in games]
    played = np.array([[[one.played for one in cell] for cell in row] for row in chases])  # (noise, drift, hint, T, 2)
    centres = np.array([[cell[0].centres for cell in row] for row in chases])
    lost = np.array([[[np.cumsum(one.gaps) for one in cell] for cell in row] for row in chases])
    return Chart(
        title="A learner that expects the last gradient again",
        look="Press play. The minimiser turns; the learner sees it only through one gradient a round, and keeps up. "
        "Show the first control: without the hint it comes one step later, every round. Turn the hint round, so "
        "that it climbs: worse still. Now raise the noise to 1: the last gradient says little, and the hint "
        "is worth little.",
        sliders=(
            Slider("noise σ of a round", NOISES, 0.25),
            Slider("drift Σ of a round", DRIFTS, 0.1),
            Slider("round t", tuple(range(1, ROUNDS + 1)), 40, plays=True, seconds=15.0),
        ),
        panels=(_plane(played, centres), _losses(lost)),
        readouts=(
            Readout("lost so far, with the hint", lost[:, :, 0]),
            Readout(NO_HINT, lost[:, :, 1], role="control"),
            Readout(BACKWARDS, lost[:, :, 2], role="control"),
        ),
    )


def _plane(played: Array, centres: Array) -> Panel:
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    targets = np.array([circle(ROUNDS, drift) for drift in DRIFTS])[None, :, :, None, :]
    hint = np.stack([centres, played[:, :, 0]], axis=-2)  # from xhat_t to x_t
    plain, wrong = played[:, :, 1, :, None], _trail(played[:, :, 2])
    return Panel(
        Axis("first coordinate", low=-1.9, high=1.9),
        Axis("second coordinate", low=-1.13, high=1.13),
        (
            Curve("the set", np.cos(angle), np.sin(angle), role="fourth"),
            Curve("minimiser of the mean loss", targets[..., 0], targets[..., 1], role="second", draw="points"),
            Curve("step along the hint, from x̂ₜ", hint[..., 0], hint[..., 1], role="third", draw="both"),
            Curve("learner, xₜ", hint[..., 1:, 0], hint[..., 1:, 1], draw="points"),
            Curve(NO_HINT, plain[..., 0], plain[..., 1], role="control", draw="points"),
            Curve(BACKWARDS, wrong[..., 0], wrong[..., 1], role="control", draw="both"),
        ),
        title="Now",
    )


def _losses(lost: Array) -> Panel:
    rounds = np.arange(1, ROUNDS + 1)
    return Panel(
        Axis("round t"),
        Axis("lost to the minimiser so far", log=True, low=0.8, high=300.0),
        (
            Curve("with the hint", rounds, lost[:, :, None, 0], grows=True),
            Curve(NO_HINT, rounds, lost[:, :, None, 1], role="control", grows=True),
            Curve(BACKWARDS, rounds, lost[:, :, None, 2], role="control", grows=True),
        ),
        title="So far",
    )


def _trail(points: Array) -> Array:
    """The last TRAIL points of (..., T, 2) at every round, (..., T, TRAIL, 2); NaN before the first."""
    padded = np.concatenate([np.full((*points.shape[:-2], TRAIL - 1, 2), np.nan), points], axis=-2)
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(padded, TRAIL, axis=-2), -1, -2)
