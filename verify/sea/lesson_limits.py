"""Charts of the lesson on what breaks the guarantee: no hint, and a wrong sub-gradient at kinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from problems.sea_nonsmooth_games import best_fixed_point, fixed_kinks, mean_loss_gaps
from problems.sea_quadratic_games import square_wave
from theorylab.algorithms.implicit_descent import KinkRule, play_implicit
from theorylab.algorithms.online_bounds import convex_omd_rederived
from theorylab.algorithms.online_dynamic_bounds import nonsmooth_omd_rederived
from theorylab.algorithms.online_learners import fixed_step, online_gradient_descent, play
from theorylab.report.lessons import Axis, Chart, Curve, Panel, Readout, Slider
from verify.sea.implicit import drawn_kinks
from verify.sea.lesson_regret import checkpoints
from verify.sea.measures import convex_learner, drawn_losses
from verify.sea.trajectories import linear_regrets

Array = npt.NDArray[np.float64]
Blocks = npt.NDArray[np.int64]

HORIZONS = {"2¹²": 2**12, "2¹⁴": 2**14, "2¹⁶": 2**16, "2¹⁸": 2**18, "2²⁰": 2**20, "2²²": 2**22}
BLOCKS = np.array([2**k for k in range(4, 15)])
SHOWN = 5  # the number of the block that is read out
SPREADS = (0.0, 0.02, 0.2)
NO_HINT = "control: gradient descent, step D/(G√T), no hint"
KINK_CONTROLS = {
    "control: sub-gradient at a kink from sign(0) = +1": KinkRule.ONE,
    "control: explicit step": KinkRule.EXPLICIT,
}


def wave_regrets(horizons: Sequence[int], blocks: Blocks = BLOCKS) -> tuple[Array, Array, Array]:
    """Regret with the hint, without it, and the bound, each (H, P); NaN where P does not fit an even number of times.

    The square wave of the claim `gradual`: ``f_t(x) = -c_t x`` on [-1, 1], c_t = +-1 switching every P rounds.
    """
    hinted, plain, stated = (np.full((len(horizons), blocks.size), np.nan) for _ in range(3))
    for i, horizon in enumerate(horizons):
        for j, block in enumerate(blocks[horizon >= 2 * blocks]):
            game = square_wave(horizon, block=int(block))
            c = game.constants
            descent = online_gradient_descent(fixed_step(c.diameter / (c.gradient * np.sqrt(horizon))))
            for found, learner in ((hinted, convex_learner(c)), (plain, descent)):
                played = play(drawn_losses(game), learner, radius=game.radius, keep=False)
                found[i, j] = linear_regrets(played, game.radius)[0]
            stated[i, j] = convex_omd_rederived(c)
    return hinted, plain, stated


def wave_chart(horizons: Mapping[str, int] = HORIZONS) -> Chart:
    """The bound falls with the rounds between switches; gradient descent does not; slider: the horizon."""
    lengths = tuple(horizons.values())
    hinted, plain, stated = wave_regrets(lengths)
    root = np.sqrt(np.array(lengths, dtype=np.float64))[:, None]
    return Chart(
        title="An adversary that seldom moves, and a learner that does not listen",
        look="The adversary switches every $P$ rounds. The learner with the hint gains on every fixed point, so its "
        "regret is below zero and is drawn at zero. Show the control: gradient descent pays $DG\\sqrt T/2$, however "
        "rare the switches, until $P$ exceeds $\\sqrt T/2$. From $T = 2^{20}$ rounds on, that is above the bound "
        "for some $P$.",
        sliders=(Slider("rounds T", tuple(horizons), tuple(horizons)[-1]),),
        panels=(
            Panel(
                Axis("rounds between switches, P", log=True, low=BLOCKS[0], high=BLOCKS[-1]),
                Axis("regret divided by √T", low=0.0, high=3.0),
                (
                    Curve("measured with the hint, positive part", BLOCKS, np.maximum(hinted, 0.0) / root, draw="both"),
                    Curve("bound, Theorem 1 re-derived", BLOCKS, stated / root, role="bound"),
                    Curve(NO_HINT, BLOCKS, np.maximum(plain, 0.0) / root, role="control", draw="both"),
                ),
            ),
        ),
        readouts=(
            Readout(f"regret with the hint, P = {BLOCKS[SHOWN]}", hinted[:, SHOWN]),
            Readout(f"bound, P = {BLOCKS[SHOWN]}", stated[:, SHOWN]),
            Readout(NO_HINT, plain[:, SHOWN], role="control"),
        ),
    )


def kink_regrets(rng: np.random.Generator, horizon: int, seeds: int) -> tuple[Array, Array, Array]:
    """Rounds (n,); mean regret (3, S, n) of the implicit step and of the two controls, and the bound (S, n)."""
    T = checkpoints(horizon, 45)
    streams = rng.integers(2**62, size=seeds)
    rules = (KinkRule.REALISED, *KINK_CONTROLS.values())
    found, stated = np.zeros((len(rules), len(SPREADS), T.size)), np.empty((len(SPREADS), T.size))
    for i, spread in enumerate(SPREADS):
        for stream in streams:
            game = fixed_kinks(horizon, np.random.default_rng(stream), spread=spread)
            c, u = game.constants, best_fixed_point(game)
            for k, rule in enumerate(rules):
                played = play_implicit(drawn_kinks(game), diameter=c.diameter, gradient=c.gradient, rule=rule)
                found[k, i] += np.cumsum(mean_loss_gaps(game, played.iterates, u))[T - 1] / seeds
        noise = c.uniform_variance / c.horizon  # the same in every round, and the means never change
        stated[i] = [nonsmooth_omd_rederived(replace(c, horizon=int(t), uniform_variance=noise * t)) for t in T]
    return T.astype(np.float64), found, stated


def kink_chart(rng: np.random.Generator, horizon: int = 16_384, seeds: int = 5) -> Chart:
    """Losses with kinks: the implicit step with the sub-gradient it realised, and with another; slider: noise."""
    T, found, stated = kink_regrets(rng, horizon, seeds)
    return Chart(
        title="At a kink the choice of the sub-gradient decides",
        look="Without noise the loss never changes, and regret stops after a few rounds. Show the controls: at a kink "
        "any sub-gradient is a sub-gradient, but not any will do. With the wrong one, or with an explicit step, the "
        "learner pays for kinks as if they were an adversary.",
        sliders=(Slider("noise of a round", SPREADS, 0.0),),
        panels=(
            Panel(
                Axis("rounds T", log=True),
                Axis("regret", log=True, low=0.3, high=30_000.0),
                (
                    Curve("implicit optimistic step", T, found[0]),
                    Curve("bound, Theorem 8 re-derived", T, stated, role="bound"),
                    *(Curve(name, T, found[k], role="control") for k, name in enumerate(KINK_CONTROLS, start=1)),
                ),
            ),
        ),
        readouts=(
            Readout("regret at the end", found[0, :, -1]),
            Readout("bound at the end", stated[:, -1]),
            *(Readout(name, found[k, :, -1], role="control") for k, name in enumerate(KINK_CONTROLS, start=1)),
        ),
    )
