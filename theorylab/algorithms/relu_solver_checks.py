"""Checks shared by the first-order solvers of two-layer ReLU networks; all failures are ValueErrors.

What the data must be is decided in `relu_losses`; here are the settings, and the form in which kernels read patterns.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.relu_losses import LOSSES, Array, checked_activations, checked_finite, checked_loss_name

Integers = npt.NDArray[np.int64]


def loss_kind(loss: str) -> int:
    """Return the integer by which kernels know ``loss``; raise ValueError unless it is one of `LOSSES`."""
    return LOSSES.index(checked_loss_name(loss))


def pattern_rows(patterns: npt.ArrayLike, samples: int) -> Array:
    """Return the patterns ``D`` (n, P) of 0 and 1 as contiguous rows (P, n) of float64; raise ValueError otherwise."""
    return np.ascontiguousarray(checked_activations(patterns, samples).T)


def checked_number(name: str, value: float, *, zero: bool = False) -> float:
    """Return ``value`` as float; raise ValueError unless it is finite and positive (or zero, if allowed)."""
    number = float(value)
    if not (np.isfinite(number) and (number > 0.0 or (zero and number == 0.0))):
        raise ValueError(f"{name}={value!r}: must be finite and {'at least zero' if zero else 'positive'}")
    return number


def checked_checkpoints(checkpoints: npt.ArrayLike | None, iterations: int, every: int | None = None) -> Integers:
    """Return the iterations to record: those given, or every so many and the last; ValueError unless they ascend."""
    if checkpoints is None:
        step = iterations if every is None else every
        return np.unique(np.append(np.arange(step, iterations + 1, step), iterations)).astype(np.int64)
    wanted = np.asarray(checkpoints)
    if wanted.ndim != 1 or wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer):
        raise ValueError(f"checkpoints={checkpoints!r}: must be a non-empty one-dimensional array of integers")
    if wanted[0] < 1 or wanted[-1] > iterations or np.any(np.diff(wanted) <= 0):
        raise ValueError(f"checkpoints={checkpoints!r}: must ascend within 1..{iterations}, the iterations")
    return np.ascontiguousarray(wanted, dtype=np.int64)


def checked_shape(name: str, values: npt.ArrayLike, shape: Sequence[int]) -> Array:
    """Return ``values`` as contiguous finite float64 of ``shape``; raise ValueError otherwise."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    if checked.shape != tuple(shape):
        raise ValueError(f"{name}.shape={checked.shape}: must be {tuple(shape)}")
    checked_finite(name, checked)
    return checked
