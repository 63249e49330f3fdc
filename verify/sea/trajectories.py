"""Regrets along a run, and hypotheses of several games at once, shared by the claims on fixed comparators."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from problems.comparators import best_drawn_point, best_fixed_point, drawn_loss_gaps, mean_loss_gaps
from problems.sea_games import QuadraticGame, first_rounds
from theorylab.algorithms.online_learners import Played
from theorylab.algorithms.sea_constants import SeaConstants
from theorylab.audit import Hypothesis, Status

Array = npt.NDArray[np.float64]


def linear_regrets(played: Played, radius: float) -> Array:
    """Return ``max_u sum_{s<=t} <g_s, x_s - u>`` (C,) over the ball, inf from divergence on."""
    regrets = played.linear_losses + radius * np.linalg.norm(played.gradient_sums, axis=1)
    return np.asarray(np.where(np.isfinite(regrets), regrets, np.inf))


def mean_regrets(game: QuadraticGame, played: Played) -> Array:
    """Return ``sum_{s<=t} F_s(x_s) - F_s(u)`` (C,), u the best fixed point of the rounds so far; inf if diverged."""
    regrets = []
    for part in parts(game, played.rounds):
        iterates = played.iterates[: part.horizon]
        finite = bool(np.isfinite(iterates).all())
        regrets.append(mean_loss_gaps(part, iterates, best_fixed_point(part)).sum() if finite else np.inf)
    return np.array(regrets)


def drawn_regrets(game: QuadraticGame, played: Played) -> tuple[Array, Array]:
    """Return ``sum_{s<=t} f_s(x_s) - f_s(u)`` (C,) and the norms of u (C,), u the best point in hindsight so far."""
    points = [(part, best_drawn_point(part)) for part in parts(game, played.rounds)]
    regrets = [drawn_loss_gaps(part, played.iterates[: part.horizon], u).sum() for part, u in points]
    return np.array(regrets), np.array([np.linalg.norm(u) for _, u in points])


def parts(game: QuadraticGame, rounds: npt.ArrayLike) -> list[QuadraticGame]:
    """Return the game stopped at each of ``rounds`` (C,)."""
    return [first_rounds(game, int(t)) for t in np.asarray(rounds)]


def constants_at(game: QuadraticGame, rounds: npt.ArrayLike) -> list[SeaConstants]:
    """Return the constants of the game stopped at each of ``rounds`` (C,)."""
    return [part.constants for part in parts(game, rounds)]


def share(regrets: Array, bounds: Array) -> Array:
    """Return ``1 + (regret - bound) / |bound|`` (C,), above 1 exactly where the bound is exceeded.

    This is regret over bound where the bound is positive. An infinite regret exceeds every bound.
    """
    ratios = 1.0 + (regrets - bounds) / np.abs(bounds)
    return np.asarray(np.where(np.isfinite(regrets), ratios, np.inf))


def growth(values: npt.ArrayLike) -> Array:
    """Return the largest relative change since the first of ``values`` (C,), at each of them."""
    v = np.asarray(values, dtype=np.float64)
    return np.asarray(np.maximum.accumulate(np.abs(v / v[0] - 1.0)))


def worst(
    reports: Iterable[Mapping[str, Hypothesis]], least: Sequence[str] = ("convex", "strong")
) -> dict[str, Hypothesis]:
    """Join the reports of several games: of each hypothesis a violated one, else the most extreme constant.

    ``least`` names the hypotheses whose smallest constant is the extreme one.
    """
    joined: dict[str, Hypothesis] = {}
    for report in reports:
        for name, found in report.items():
            known = joined.setdefault(name, found)
            sign = -1.0 if name in least else 1.0
            stricter = sign * found.measured > sign * known.measured
            if known.status is not Status.VIOLATED and (found.status is Status.VIOLATED or stricter):
                joined[name] = found
    return joined
