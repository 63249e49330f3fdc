"""The variance of per-sample Hessians from products with random vectors: Algorithm 1, printed and corrected.

``H_i`` is the Hessian of sample i of N, ``H`` their mean, P the number of parameters, and ``sigma^2`` the variance of
one entry over the samples (normalised by N - 1), averaged over all entries. What a product with a random unit vector
shows is ``x = P sigma^2``, not ``sigma^2``: the factor P is easily lost, so x is carried everywhere.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.operators import Array, checked_start, random_unit

# All products H_i v as rows (N, n), or blocks of rows one after another.
SampleProducts = Callable[[Array], npt.ArrayLike | Iterable[npt.ArrayLike]]


@dataclass(frozen=True, slots=True)
class HessianVariance:
    """What N per-sample products with one unit vector v say.

    ``noise`` is ``(1/(N-1)) sum_i ||(H_i - H) v||^2``, whose mean over random v is ``x = P sigma^2`` [re-derived: the
    mean of ``v'Mv`` over the sphere is ``tr M / P``]. ``corrected`` is it times ``(N-1)/N``, the corrected Algorithm 1,
    ``(1/N) sum_i ||H_i v||^2 - ||H v||^2``. ``printed`` is Algorithm 1 as it stands, ``sum_i v'H_i^2 v - (v'Hv)^2``,
    without the 1/N and with ``v'Hv`` in place of ``||Hv||``. ``samples`` is N, ``curvature`` is ``v'Hv``.
    """

    noise: float
    corrected: float
    printed: float
    samples: int
    curvature: float


def hessian_variance_probe(
    sample_products: SampleProducts, n: int, *, rng: np.random.Generator, direction: npt.ArrayLike | None = None
) -> HessianVariance:
    """Return the variance of per-sample Hessians seen along ``direction`` (n,), a random unit vector if None.

    ``sample_products(v)`` returns the products ``H_i v`` of all samples as rows (N, n), or an iterable of such blocks,
    so that N vectors need not be held at once. Average ``noise`` over several probes to estimate x; one probe is off
    by tens of percent where few eigenvalues dominate. Raises ValueError on fewer than two samples, wrong shapes, or
    products that are not finite.

    >>> hessians = np.array([[[1.0, 0.0], [0.0, 3.0]], [[3.0, 0.0], [0.0, 1.0]]])
    >>> hessian_variance_probe(lambda v: hessians @ v, 2, rng=np.random.default_rng(0)).noise.__round__(12)
    2.0
    """
    size = checked_count("n", n)
    v = random_unit(size, rng) if direction is None else checked_start(direction, size)
    samples, total, squares = 0, np.zeros(size), 0.0
    shift: Array | None = None
    for rows in _blocks(sample_products(v), size):
        # Squares around the first block's mean: the variance must not drown in that of a large mean.
        shift = np.mean(rows, axis=0) if shift is None else shift
        samples += rows.shape[0]
        total += np.sum(rows - shift, axis=0)
        squares += float(np.sum((rows - shift) ** 2))
    if samples < 2 or shift is None:
        raise ValueError(f"sample_products returned {samples} rows: must be at least two samples")
    if not np.isfinite(squares):
        raise ValueError("sample_products returned entries that are not finite; check the products at a random vector")
    offset = total / samples
    spread = max(squares - samples * float(offset @ offset), 0.0)
    mean = shift + offset
    curvature = float(v @ mean)
    printed = spread + samples * float(mean @ mean) - curvature**2
    return HessianVariance(spread / (samples - 1), spread / samples, printed, samples, curvature)


def _blocks(products: npt.ArrayLike | Iterable[npt.ArrayLike], n: int) -> Iterable[Array]:
    parts = [products] if isinstance(products, np.ndarray) else products
    for part in parts:  # type: ignore[union-attr]
        rows = np.asarray(part, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != n or rows.shape[0] == 0:
            raise ValueError(f"sample_products returned a block of shape {rows.shape}: must be (samples, {n})")
        yield rows
