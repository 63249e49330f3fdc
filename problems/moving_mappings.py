"""Moving mappings: many linear maps of a point on a circle, of which only a few are seen at a time.

The tracker has to follow ``h_i(w_t) = M_i w_t``, i = 1..m. A call at a sampled block returns ``(M_i + N) w + n`` with
Gaussian ``N`` and ``n``, the same draw at w_t and w_{t-1}. The problem isolates the estimator of Hu, Qiu, Guo, Zhang
and Yang, ICML 2023, from the bilevel algorithm around it; the family is ours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.bilevel_derivatives import amplitude, count, positive
from theorylab.algorithms.tracking_bounds import TrackingConstants

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MovingMappings:
    """Linear mappings and the path on which they are to be tracked; arrays are C-contiguous float64.

    ``matrices`` ``M_i`` (m, dy, dx); ``path`` ``w_0..w_T`` (T+1, dx), on a circle of ``radius`` about the origin with
    chords of length ``chord`` delta, so each step turns by ``angle`` = 2 arcsin(delta / (2 radius)). One call has noise
    ``N w + n``: ``N`` (dy, dx) with entries N(0, matrix_noise^2), ``n`` (dy,) with entries N(0, offset_noise^2); a
    batch of B calls divides both by sqrt(B). Tracking starts with the truth ``h_i(w_0)``.
    """

    matrices: Array
    path: Array
    radius: float
    chord: float
    angle: float
    matrix_noise: float
    offset_noise: float


def moving_mappings(
    rng: np.random.Generator,
    *,
    chord: float,
    steps: int,
    blocks: int = 16,
    lower_dimension: int = 3,
    upper_dimension: int = 4,
    radius: float = 1.0,
    matrix_noise: float = 0.3,
    offset_noise: float = 0.5,
) -> MovingMappings:
    """Draw ``M_i`` with entries N(0, 1/4) and a circle in a random plane through the origin, T = ``steps`` chords long.

    Raises ValueError on sizes that are not positive integers, dx < 2 (no plane), a radius that is not positive, a chord
    outside [0, 2 radius], and negative noise.

    >>> mappings = moving_mappings(np.random.default_rng(0), chord=0.02, steps=5)
    >>> mappings.matrices.shape, mappings.path.shape
    ((16, 3, 4), (6, 4))
    >>> np.round(np.linalg.norm(np.diff(mappings.path, axis=0), axis=1), 12)
    array([0.02, 0.02, 0.02, 0.02, 0.02])
    """
    m, dy, dx = (
        count("blocks", blocks),
        count("lower_dimension", lower_dimension),
        count("upper_dimension", upper_dimension),
    )
    if dx < 2:
        raise ValueError(f"upper_dimension={upper_dimension!r}: must be at least 2, the path is a circle")
    size = positive("radius", radius)
    if amplitude("chord", chord) > 2.0 * size:
        raise ValueError(f"chord={chord!r}: must be at most 2 radius = {2.0 * size!r}")
    matrices = 0.5 * rng.standard_normal((m, dy, dx))
    plane = np.linalg.qr(rng.standard_normal((dx, 2)))[0]
    angle = 2.0 * float(np.arcsin(chord / (2.0 * size)))
    turned = angle * np.arange(count("steps", steps) + 1)
    path = size * np.stack([np.cos(turned), np.sin(turned)], axis=1) @ plane.T
    return MovingMappings(
        matrices=matrices,
        path=np.ascontiguousarray(path),
        radius=size,
        chord=float(chord),
        angle=angle,
        matrix_noise=amplitude("matrix_noise", matrix_noise),
        offset_noise=amplitude("offset_noise", offset_noise),
    )


def values(mappings: MovingMappings) -> Array:
    """Return ``h_i(w_t)`` (T+1, m, dy)."""
    return np.ascontiguousarray(np.einsum("mka,ta->tmk", mappings.matrices, mappings.path))


def noise_energy(mappings: MovingMappings, new: float, old: float, batch: int, *, fresh: bool = False) -> Array:
    """Return ``N_t = E||new nbar(w_t) - old nbar(w_{t-1})||^2`` (T,), nbar the noise of a batch; same for all blocks.

    ``new`` and ``old`` are the weights of the estimator. One draw at both points makes it ``dy (s_M^2 ||new w_t - old
    w_{t-1}||^2 + (new - old)^2 s_b^2) / B``. ``fresh`` takes independent draws, the classic mistake: ``new^2`` and
    ``old^2`` times the whole variance at each point, which no short step makes small. Raises ValueError on B that is no
    positive integer.
    """
    w, dy = mappings.path, mappings.matrices.shape[1] / count("batch", batch)
    if fresh:
        one = dy * (mappings.matrix_noise**2 * np.sum(w**2, axis=1) + mappings.offset_noise**2)
        return np.asarray(new**2 * one[1:] + old**2 * one[:-1])
    seen = np.sum((new * w[1:] - old * w[:-1]) ** 2, axis=1)
    return np.asarray(dy * (mappings.matrix_noise**2 * seen + (new - old) ** 2 * mappings.offset_noise**2))


def tracking_constants(mappings: MovingMappings) -> TrackingConstants:
    """Return the constants, exact; the plane is that of the first two points of the path.

    Over a full turn ``w w'`` averages to ``radius^2 / 2`` times the projection onto the plane, so the mean of ``||M_i
    w||^2`` is ``radius^2 ||M_i P||_F^2 / 2``. A path that does not move has only one direction, and no mean over a
    turn.
    """
    if mappings.chord > 0.0:
        plane = np.linalg.svd(mappings.path[:2], full_matrices=False)[2]
    else:
        plane = mappings.path[:1] / mappings.radius
    seen = float(np.mean(np.sum((mappings.matrices @ plane.T) ** 2, axis=(1, 2)))) / plane.shape[0]
    m, dy = mappings.matrices.shape[:2]
    return TrackingConstants(
        blocks=m,
        size=mappings.radius**2 * seen,
        angle=mappings.angle,
        radius=mappings.radius,
        lipschitz=float(np.sqrt(np.mean(np.linalg.norm(mappings.matrices, 2, axis=(1, 2)) ** 2))),
        matrix_variance=dy * mappings.matrix_noise**2,
        offset_variance=dy * mappings.offset_noise**2,
    )
