"""Estimators of many moving mappings of which a few are sampled: MSVR, STORM, moving averages, zero-fill.

To follow m mappings ``h_i(w_t)`` an estimator keeps m numbers or arrays ``u_i`` and sees, for the I sampled blocks
only, ``h_i(w_t; xi)`` and ``h_i(w_{t-1}; xi)`` at the same sample. Every rule here has one form,

    sampled:      u_i <- keep u_i + new h_i(w_t; xi) - old h_i(w_{t-1}; xi)
    not sampled:  u_i <- rest u_i

so that a kernel holds one line and a rule is four numbers. Sources: STORM, Cutkosky and Orabona, NeurIPS 2019; MSVR,
Jiang, Li, Wang, Zhang and Yang, NeurIPS 2022; RSVRB, Guo, Hu, Zhang and Yang, arXiv 2105.02266. The letters alpha, beta
and gamma are those of Hu, Qiu, Guo, Zhang and Yang, ICML 2023.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BlockEstimator:
    """The four numbers of a rule: ``u <- keep u + new h(w_t) - old h(w_{t-1})``, unsampled ``u <- rest u``."""

    keep: float
    new: float
    old: float
    rest: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError on a weight that is not finite, and on ``rest`` outside [0, 1]."""
        for name in ("keep", "new", "old", "rest"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)!r}: must be finite")
        if not 0.0 <= self.rest <= 1.0:
            raise ValueError(f"rest={self.rest!r}: must be in [0, 1], the share an unsampled tracker keeps")

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """``(keep, new, old, rest)`` as kernels read them."""
        return float(self.keep), float(self.new), float(self.old), float(self.rest)


def msvr(alpha: float, gamma: float) -> BlockEstimator:
    """Return ``u <- (1 - alpha) u + alpha h_new + gamma (h_new - h_old)``, unsampled blocks unchanged.

    ``gamma* = (m - I) / (I (1 - alpha)) + 1 - alpha`` removes the cross term of the error's recursion. Raises
    ValueError unless ``0 < alpha <= 1`` and gamma is finite.

    >>> msvr(0.25, 2.0).weights
    (0.75, 2.25, 2.0, 1.0)
    """
    share = checked_rate("alpha", alpha)
    if not np.isfinite(gamma):
        raise ValueError(f"gamma={gamma!r}: must be finite; alpha=1 has no gamma*, take alpha at most 1/2")
    return BlockEstimator(1.0 - share, share + float(gamma), float(gamma))


def storm(beta: float) -> BlockEstimator:
    """Return ``u <- (1 - beta) (u - h_old) + h_new``: MSVR with ``gamma = 1 - beta``, right where all blocks are seen.

    On I < m blocks this is blockwise STORM, which forgets the drift of the unsampled. Raises ValueError unless
    ``0 < beta <= 1``.
    """
    share = checked_rate("beta", beta)
    return BlockEstimator(1.0 - share, 1.0, 1.0 - share)


def moving_average(alpha: float) -> BlockEstimator:
    """Return ``u <- (1 - alpha) u + alpha h_new``, as SOX has it (Wang and Yang, ICML 2022): no correction for drift.

    Raises ValueError unless ``0 < alpha <= 1``.
    """
    return msvr(alpha, 0.0)


def zero_fill(beta: float, *, sampled: int, blocks: int) -> BlockEstimator:
    """Return the rule of RSVRB: ``u <- (1 - beta) u + 1[sampled] (m / I) (h_new - (1 - beta) h_old)``.

    It is unbiased, an unsampled mapping being taken as zero; the price is a variance that no batch removes. ``sampled``
    is I, ``blocks`` m. Raises ValueError unless ``0 < beta <= 1`` and ``1 <= I <= m``.
    """
    share, scale = checked_rate("beta", beta), blocks / checked_sampled(sampled, blocks)
    return BlockEstimator(1.0 - share, scale, scale * (1.0 - share), 1.0 - share)


def memoryless() -> BlockEstimator:
    """Return ``u <- h_new`` for sampled blocks and 0 for the others: plain stochastic gradients."""
    return BlockEstimator(0.0, 1.0, 0.0, 0.0)


def msvr_update(tracker: npt.ArrayLike, new: npt.ArrayLike, old: npt.ArrayLike, *, alpha: float, gamma: float) -> Array:
    """Return the tracker of a sampled block after one step of MSVR; arrays of one shape, of any dimension.

    ``new`` is ``h_i(w_t; xi)`` and ``old`` is ``h_i(w_{t-1}; xi)``, at the SAME sample: independent samples destroy the
    variance reduction. Raises ValueError on shapes that differ, entries that are not finite, and as `msvr`.

    >>> msvr_update([1.0, 0.0], [2.0, 2.0], [1.0, 1.0], alpha=0.5, gamma=3.0).tolist()
    [4.5, 4.0]
    """
    return _updated(tracker, new, old, msvr(alpha, gamma))


def storm_update(tracker: npt.ArrayLike, new: npt.ArrayLike, old: npt.ArrayLike, *, beta: float) -> Array:
    """Return ``(1 - beta) (tracker - old) + new``; arrays and errors as in `msvr_update`.

    >>> storm_update(1.0, 3.0, 2.0, beta=0.5).tolist()
    2.5
    """
    return _updated(tracker, new, old, storm(beta))


def checked_rate(name: str, value: float) -> float:
    """Return a weight as a float; raise ValueError outside (0, 1]."""
    if not 0.0 < value <= 1.0:
        raise ValueError(f"{name}={value!r}: must be in (0, 1], the weight of the newest sample")
    return float(value)


def checked_sampled(sampled: int, blocks: int) -> int:
    """Return I, the number of blocks sampled an iteration; raise ValueError unless it is an integer in 1..m."""
    if checked_count("sampled", sampled) > checked_count("blocks", blocks):
        raise ValueError(
            f"sampled={sampled!r}: must be at most blocks={blocks!r}; blocks are drawn without replacement"
        )
    return int(sampled)


def _updated(tracker: npt.ArrayLike, new: npt.ArrayLike, old: npt.ArrayLike, rule: BlockEstimator) -> Array:
    """Apply the rule of a sampled block to arrays that have been checked."""
    arrays = [np.asarray(values, dtype=np.float64) for values in (tracker, new, old)]
    for name, values in zip(("tracker", "new", "old"), arrays, strict=True):
        if values.shape != arrays[0].shape or values.size == 0:
            raise ValueError(f"{name}.shape={values.shape}: must be the shape of tracker, {arrays[0].shape}, not empty")
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: must be finite, {int(np.sum(~np.isfinite(values)))} entries are not")
    return np.asarray(rule.keep * arrays[0] + rule.new * arrays[1] - rule.old * arrays[2])
