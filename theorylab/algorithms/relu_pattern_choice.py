"""Which activation patterns an estimator trains on: all of them where that is cheap, otherwise a sample, and more.

Sampled directions are Gaussian in standardised features, so that their hyperplanes pass through the data whatever its
units; the sampling theorems of Bai, Gautam and Sojoudi (SIAM Journal on Mathematics of Data Science, 2023) hold for any
distribution. For robust training biases are larger, and one neuron is active everywhere: no perturbation may switch a
neuron on any sample, and hyperplanes through the midst of many samples hardly allow that.

`violated_directions` is the pricing step of column generation: a pattern of a unit vector u with ``|v'(Xu)_+| > beta``,
v the dual point, would lower the optimum. The maximum over u is not a convex problem; the search is local, so that
finding nothing is evidence and no proof.
"""

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.hyperplane_arrangement import (
    arrangement_rank,
    distinct_patterns,
    enumerate_patterns,
    enumeration_bytes,
    pattern_count,
)
from theorylab.algorithms.relu_losses import Array, Mask

AUTO, ALL = "auto", "all"
# "auto" enumerates up to this many entries n P d of the cone constraints, about a millisecond an iteration of ADMM, and
# fewer where an interior-point method has to bear them; beyond, it draws this many directions, or as many as fit.
AFFORDABLE_ENTRIES, ROBUST_ENTRIES = 60_000, 20_000
SAMPLED = 100
ENUMERATION_BYTES = 2**30
# ADMM keeps five arrays of 2 P n doubles.
ADMM_BYTES_PER_ENTRY = 80


def checked_choice(patterns: str | int) -> str | int:
    """Return ``patterns``; raise ValueError unless it is "auto", "all" or a positive integer."""
    if isinstance(patterns, str):
        if patterns not in (AUTO, ALL):
            raise ValueError(f"patterns={patterns!r}: must be 'auto', 'all' or a positive integer")
        return patterns
    return checked_count("patterns", patterns)


def choose_patterns(
    X: Array, patterns: str | int, rng: np.random.Generator, *, bias: bool, robust: bool = False, max_bytes: int = 2**31
) -> tuple[Mask, bool]:
    """Return distinct patterns (n, P) of ``X`` (n, d), and whether they are all that there are.

    ``patterns`` is "all", the number of directions to draw, or "auto": all where ``n P d`` is at most
    `AFFORDABLE_ENTRIES`, otherwise `SAMPLED` draws; ``robust`` lowers both. ``bias`` says that the last column of X is
    constant. Raises ValueError on another choice, and where enumeration or training would take more memory than
    allowed.
    """
    choice = checked_choice(patterns)
    n, d = X.shape
    total = pattern_count(n, arrangement_rank(X))
    if choice == AUTO:
        entries = ROBUST_ENTRIES if robust else AFFORDABLE_ENTRIES
        few = min(SAMPLED, max(4, entries // (n * d)))
        choice = ALL if n * d * total <= entries else few if robust else SAMPLED
    fitting = max(1, max_bytes // (ADMM_BYTES_PER_ENTRY * n))
    if choice == ALL:
        needed = enumeration_bytes(X)
        if needed > ENUMERATION_BYTES or total > fitting:
            raise ValueError(
                f"patterns='all': X has up to {_magnitude(total)} patterns, more than memory allows ({fitting} fit for"
                f" training, enumeration takes {_magnitude(needed >> 30)} GiB); draw some with"
                f" patterns={min(SAMPLED, fitting)} or project X to fewer columns"
            )
        return enumerate_patterns(X), True
    count = int(choice)
    if count > fitting:
        raise ValueError(f"patterns={count}: more than memory allows, at most {fitting} for n={n} samples")
    directions = rng.standard_normal((d, count))
    if robust and bias:
        # Cones that bear a perturbation are wide: of hyperplanes beside the data or, first of all, outside it.
        directions[-1] *= rng.uniform(0.0, 3.0 * np.sqrt(d), count)
        directions[:, 0] = np.append(np.zeros(d - 1), 1.0)
    return distinct_patterns(_standardised(X, bias) @ directions >= 0.0), False


def violated_directions(
    X: Array, point: Array, starts: Array, *, beta: float, steps: int = 30
) -> tuple[Array, npt.NDArray[np.float64]]:
    """Return unit vectors (d, 2S) found by local search, and their ``+-v'(Xu)_+ / beta`` (2S,), greatest first.

    ``point`` v (n,) is a dual point, ``starts`` (d, S) the directions from which both signs are searched. The step
    ``u <- X'D(u)v``, scaled to the unit sphere, is the exact maximiser over the pattern of u if that lies in its cone;
    the best u on the way is kept. Source: re-derived.
    """
    # Both signs of v are searched from every start.
    weights = np.repeat(np.column_stack([point, -point]), starts.shape[1], axis=1)
    best = np.hstack([starts, starts]) / np.maximum(np.linalg.norm(np.hstack([starts, starts]), axis=0), 1e-300)
    current, values = best, np.full(best.shape[1], -np.inf)
    for _ in range(steps):
        outputs = X @ current
        reached = np.sum(weights * np.maximum(outputs, 0.0), axis=0)
        better = reached > values
        best, values = np.where(better, current, best), np.maximum(reached, values)
        slopes = X.T @ (weights * (outputs >= 0.0))
        lengths = np.linalg.norm(slopes, axis=0)
        current = np.where(lengths > 0.0, slopes / np.maximum(lengths, 1e-300), current)
    order = np.argsort(-values, kind="stable")
    return best[:, order], values[order] / beta


def added_patterns(patterns: Mask, found: Mask, most: int) -> Mask:
    """Return the first ``most`` columns of ``found`` (n, K) that are new, behind ``patterns`` (n, P)."""
    known = patterns.shape[1]
    return distinct_patterns(np.hstack([patterns, found]))[:, : known + most]


def _magnitude(count: int) -> str:
    """Return a count in words; counts of patterns can exceed the floating-point range."""
    return f"{count:.4g}" if count < 10**300 else "1e300 and more"


def _standardised(X: Array, bias: bool) -> Array:
    """Return X with columns of unit variance, centred where a constant last column makes that a change of basis."""
    if not bias:
        scale = np.sqrt(np.mean(X**2, axis=0))
        return X / np.where(scale > 0.0, scale, 1.0)
    scaled = X.copy()
    deviation = X[:, :-1].std(axis=0)
    scaled[:, :-1] = (X[:, :-1] - X[:, :-1].mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0)
    return scaled
