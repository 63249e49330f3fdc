"""Sequences of losses as compiled learners take them: a kind and plain arrays, checked once.

Smooth losses are quadratics, `quadratic_losses`, or mixtures of softmax regressions, `softmax_losses`; losses with
kinks, `kinked_losses`, are for learners with an implicit step. Round t of the text is row t - 1 of an array.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.online_kernels import QUADRATIC, SOFTMAX, Game

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SmoothLosses:
    """T differentiable losses of a point in R^d: ``game`` is the tuple of kind and arrays that kernels read."""

    game: Game
    horizon: int
    dimension: int


@dataclass(frozen=True, slots=True, eq=False)
class KinkedLosses:
    """``f_t(x) = sum_j h(x_j - c_tj) + <a_t, x>``: ``centres`` ``c_t`` and ``tilts`` ``a_t`` are (T, d).

    ``width`` is w of Huber's ``h(z) = z^2/(2w)`` for ``|z| <= w``, else ``|z| - w/2``; 0 means the absolute value.
    """

    centres: Array
    tilts: Array
    width: float

    @property
    def horizon(self) -> int:
        """The number of rounds T."""
        return int(self.tilts.shape[0])

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.tilts.shape[1])


def quadratic_losses(
    hessian: npt.ArrayLike,
    tilts: npt.ArrayLike,
    curvatures: npt.ArrayLike | None = None,
    directions: npt.ArrayLike | None = None,
) -> SmoothLosses:
    """Return the losses ``f_t(x) = x'Hx/2 - <b_t, x> + (k_t/2) <v_t, x>^2``.

    ``hessian`` ``H`` (d, d), symmetric, of any sign; ``tilts`` ``b_t`` (T, d), for the games of the paper ``c_t -
    xi_t``; ``curvatures`` ``k_t`` (T,) and ``directions`` ``v_t`` (T, d) come together or, empty or None, not at all.
    Raises ValueError on shapes that do not fit, entries that are not finite and a Hessian that is not symmetric.

    >>> quadratic_losses(np.eye(2), np.zeros((5, 2))).horizon
    5
    """
    b = checked_array("tilts", tilts, (None, None))
    horizon, d = b.shape
    h = checked_array("hessian", hessian, (d, d))
    gap = float(np.max(np.abs(h - h.T)))
    if gap > 1e-12 * float(np.max(np.abs(h))):
        raise ValueError(f"hessian: max|H - H'|={gap:.3g}, must be symmetric up to rounding; pass (H + H.T) / 2")
    h = 0.5 * (h + h.T)
    k = checked_array("curvatures", np.empty(0) if curvatures is None else curvatures, (None,), empty=True)
    v = checked_array("directions", np.empty((0, d)) if directions is None else directions, (None, d), empty=True)
    if k.size not in (0, horizon) or v.shape[0] != k.size:
        raise ValueError(
            f"curvatures.shape={k.shape}, directions.shape={v.shape}: must be ({horizon},) and ({horizon}, {d}), one a "
            "round, or both empty"
        )
    return SmoothLosses((QUADRATIC, h, b, k, v, np.empty((0, 0, 0)), np.empty((0, 0))), horizon, d)


def softmax_losses(features: npt.ArrayLike, weights: npt.ArrayLike) -> SmoothLosses:
    """Return the losses ``f_t(x) = sum_k w_tk R_k(x)``, ``R_k`` the mean softmax cross-entropy of class k.

    ``features`` (K, n, p) are n points of each of K >= 2 classes; ``weights`` (T, K), of any sign; ``x`` (K p,) holds
    the rows of the (K, p) matrix that maps a point to its logits. Raises ValueError on shapes that do not fit and
    entries that are not finite.

    >>> softmax_losses(np.zeros((3, 10, 2)), np.ones((7, 3))).dimension
    6
    """
    z = checked_array("features", features, (None, None, None))
    if z.shape[0] < 2:
        raise ValueError(f"features.shape={z.shape}: must be (K, n, p) with at least K=2 classes")
    w = checked_array("weights", weights, (None, z.shape[0]))
    none = np.empty((0, 0))
    game = (SOFTMAX, none, none, np.empty(0), none, z, w)
    return SmoothLosses(game, int(w.shape[0]), int(z.shape[0] * z.shape[2]))


def kinked_losses(centres: npt.ArrayLike, tilts: npt.ArrayLike, width: float = 0.0) -> KinkedLosses:
    """Return the losses ``f_t(x) = sum_j h(x_j - c_tj) + <a_t, x>``; arguments as in `KinkedLosses`.

    Raises ValueError on shapes that do not fit, entries that are not finite, or a width that is negative or not finite.
    """
    a = checked_array("tilts", tilts, (None, None))
    c = checked_array("centres", centres, a.shape)
    if not (np.isfinite(width) and width >= 0.0):
        raise ValueError(f"width={width!r}: must be finite and at least 0; 0 means the absolute value")
    return KinkedLosses(c, a, float(width))


def quadratic_arrays(losses: SmoothLosses) -> tuple[Array, Array, Array, Array]:
    """Return ``H``, ``b``, ``k`` and ``v`` of `quadratic_losses`; raise ValueError on losses of another kind."""
    kind, hessian, tilts, curvatures, directions, _, _ = losses.game
    if kind != QUADRATIC:
        raise ValueError(
            f"losses of kind={kind!r}: must be made by quadratic_losses; the ensembles play softmax losses"
        )
    return hessian, tilts, curvatures, directions


def checked_array(name: str, values: npt.ArrayLike, shape: Sequence[int | None], empty: bool = False) -> Array:
    """Return ``values`` as contiguous float64 of ``shape``, None being any positive length (or zero, if ``empty``).

    Raises ValueError on another shape and on entries that are not finite.
    """
    checked = np.ascontiguousarray(values, dtype=np.float64)
    fits = checked.ndim == len(shape) and all(
        n == wanted or (wanted is None and (n > 0 or empty)) for n, wanted in zip(checked.shape, shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name}.shape={checked.shape}: must be ({wanted}), without empty axes")
    if not np.isfinite(checked).all():
        bad = np.unravel_index(int(np.argmin(np.isfinite(checked))), checked.shape)
        where = ", ".join(str(int(i)) for i in bad)
        raise ValueError(f"{name}[{where}]={float(checked[bad])!r}: must be finite in every round")
    return checked


def checked_positive(name: str, value: float, infinite: bool = False) -> float:
    """Return ``value`` as a float; raise ValueError unless it is positive and finite (or, if allowed, infinite)."""
    if not (float(value) > 0.0 and (infinite or np.isfinite(value))):
        raise ValueError(f"{name}={value!r}: must be positive{'' if infinite else ' and finite'}")
    return float(value)


def checked_checkpoints(checkpoints: npt.ArrayLike | None, horizon: int) -> Integers:
    """Return the rounds to record, all T if None; raise ValueError unless they are ascending integers in 1..T."""
    if checkpoints is None:
        return np.array([horizon], dtype=np.int64)
    wanted = np.asarray(checkpoints)
    if wanted.ndim != 1 or wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer):
        raise ValueError(f"checkpoints={checkpoints!r}: must be a non-empty one-dimensional array of integers")
    if wanted[0] < 1 or wanted[-1] > horizon or np.any(np.diff(wanted) <= 0):
        raise ValueError(f"checkpoints={checkpoints!r}: must ascend within 1..{horizon}, the rounds of the game")
    return np.ascontiguousarray(wanted, dtype=np.int64)
