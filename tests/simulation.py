"""Simulated measurements with known truth, on which the judges are themselves judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from theorylab.judges import Judge
from theorylab.measurements import measurements
from theorylab.verdicts import Verdict, conclude

Array = NDArray[np.float64]


def noisy(
    curve: Array, replicates: int, sigma: float, rng: np.random.Generator, *, trajectory: float | None = None
) -> Array:
    """Log-normal measurements with mean ``curve`` (points,), shape (points, replicates).

    ``trajectory`` is the correlation of neighbouring checkpoints of one run; None draws separate runs.
    """
    noise = rng.standard_normal((curve.size, replicates))
    if trajectory is not None:
        for i in range(1, curve.size):
            noise[i] = trajectory * noise[i - 1] + np.sqrt(1 - trajectory**2) * noise[i]
    return np.asarray(curve[:, None] * np.exp(sigma * noise - sigma**2 / 2))


def share(hits: Callable[[np.random.Generator], bool], repeats: int, seed: int) -> float:
    """Share of repeats in which ``hits`` is true, each with its own stream."""
    streams = np.random.default_rng(seed).spawn(repeats)
    return sum(hits(stream) for stream in streams) / repeats


def verdict_shares(
    judge: Judge,
    x: Array,
    curve: Array,
    replicates: int,
    sigma: float,
    *,
    repeats: int,
    seed: int,
    level: float,
    trajectory: float | None = None,
    **named: object,
) -> dict[str, float]:
    """Share of every verdict of ``judge`` on simulated measurements of ``curve``."""
    counts = {verdict.word: 0 for verdict in Verdict}
    for stream in np.random.default_rng(seed).spawn(repeats):
        data = measurements(x, noisy(curve, replicates, sigma, stream, trajectory=trajectory), **named)
        counts[conclude(judge.examine(data), level_violated=level).word] += 1
    return {word: count / repeats for word, count in counts.items()}
