"""Versions 1 and 2 of the blockwise method on quadratic lower problems with a Gaussian oracle, compiled.

Hu, Qiu, Guo, Zhang and Yang, ICML 2023. Version 2 needs products with the lower Hessians only, version 1 tracks and
inverts them. `theorylab.algorithms.bilevel_matrix_free` runs both on any problem, in numpy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import bilevel_kernels as kernels
from theorylab.algorithms.bilevel_methods import (
    BilevelMethod,
    BilevelRun,
    BilevelSteps,
    as_bilevel_run,
    checked_positive,
    initial_calls,
    recorded_times,
    warn_outside_theory,
)
from theorylab.algorithms.block_estimators import Array, checked_sampled
from theorylab.algorithms.checks import checked_count, checked_deviation


@dataclass(frozen=True, slots=True, eq=False)
class QuadraticBlocks:
    """``g_i = y'A_i y/2 - y'(C_i x + b_i)``, ``f_i = sum_k phi(y_k - c_ik) + rho sum_j phi(x_j - a_j)``.

    Here ``phi(u) = u^2 / (1 + u^2)``. ``problem`` is the tuple of arrays that kernels read; ``noise`` the deviations of
    one call on ``A_i`` (symmetric, entries on and above the diagonal independent), ``C_i``, ``b_i`` and ``grad_y f_i``;
    ``strong_convexity`` mu, ``smoothness`` L and ``upper_smoothness`` L_F are those of the arrays, and
    ``implicit_radius`` is ``V = (3 sqrt(3) / 8) sqrt(dy) / mu``, beyond which no ``v_i*`` lies. Made by
    `quadratic_blocks`.
    """

    problem: kernels.Problem
    noise: kernels.Scales
    start: Array
    strong_convexity: float
    smoothness: float
    upper_smoothness: float
    implicit_radius: float

    @property
    def count(self) -> int:
        """The number of blocks m."""
        return int(self.problem[0].shape[0])


def quadratic_blocks(
    hessians: npt.ArrayLike,
    couplings: npt.ArrayLike,
    offsets: npt.ArrayLike,
    targets: npt.ArrayLike,
    anchor: npt.ArrayLike,
    *,
    weight: float,
    start: npt.ArrayLike,
    noise: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
) -> QuadraticBlocks:
    """Return blocks from ``A`` (m, dy, dy), ``C`` (m, dy, dx), ``b`` and ``c`` (m, dy), ``a`` and ``x_0`` (dx,).

    ``weight`` is rho; ``noise`` the deviations s_A, s_C, s_b, s_f. Raises ValueError on shapes that do not fit, entries
    that are not finite, lower Hessians that are not symmetric or not positive definite, and negative deviations.

    >>> eye = np.eye(2)[None]
    >>> blocks = quadratic_blocks(2 * eye, eye, [[0, 0]], [[1, 0]], [0, 0], weight=0.1, start=[1, 1])
    >>> blocks.count, blocks.strong_convexity, round(blocks.upper_smoothness, 6)
    (1, 2.0, 0.7)
    """
    a = _checked("hessians", hessians, (None, None, None))
    m, dy = a.shape[:2]
    c = _checked("couplings", couplings, (m, dy, None))
    dx = c.shape[2]
    _checked("hessians", a, (m, dy, dy))
    if not np.allclose(a, a.transpose(0, 2, 1), rtol=0.0, atol=1e-12 * (1.0 + float(np.abs(a).max()))):
        raise ValueError("hessians: must be symmetric up to rounding; pass (A + A.transpose(0, 2, 1)) / 2")
    spectrum = np.linalg.eigvalsh(a)
    mu = float(spectrum.min())
    if mu <= 0.0:
        raise ValueError(
            f"hessians: smallest eigenvalue mu={mu:.6g} at block {int(spectrum.min(axis=1).argmin())}, "
            "must be positive: the lower problem has to be strongly convex"
        )
    b, rho = _checked("offsets", offsets, (m, dy)), checked_deviation("weight", weight)
    jacobians = np.ascontiguousarray(np.linalg.solve(a, c))
    base = np.ascontiguousarray(np.linalg.solve(a, b[:, :, None])[:, :, 0])
    gram = np.einsum("ijk,ijl->kl", jacobians, jacobians) / m
    if len(noise) != 4:
        raise ValueError(f"noise={noise!r}: must be four deviations, of A, C, b and grad_y f")
    scales = [checked_deviation(f"noise[{k}]", value) for k, value in enumerate(noise)]
    return QuadraticBlocks(
        problem=(
            a,
            c,
            b,
            _checked("targets", targets, (m, dy)),
            _checked("anchor", anchor, (dx,)),
            jacobians,
            base,
            rho,
        ),
        noise=(scales[0], scales[1], scales[2], scales[3]),
        start=_checked("start", start, (dx,)),
        strong_convexity=mu,
        smoothness=float(spectrum.max()),
        upper_smoothness=2.0 * float(np.linalg.eigvalsh(gram)[-1]) + 2.0 * rho,
        implicit_radius=0.375 * float(np.sqrt(3.0 * dy)) / mu,
    )


def bsvrb_v2_quadratic(
    blocks: QuadraticBlocks,
    method: BilevelMethod,
    steps: BilevelSteps,
    *,
    iterations: int,
    sampled: int,
    batch: int,
    rng: np.random.Generator,
    every: int | None = None,
    threshold: float = 0.0,
    initial_batch: int | None = None,
    radius: float | None = None,
) -> BilevelRun:
    """Run version 2: every iteration samples I = ``sampled`` blocks, B = ``batch`` calls each, and moves all blocks.

    The trackers start with ``initial_batch`` calls of every block, ``ceil(B / alpha)`` if None, at ``x_0``, ``y_0 = v_0
    = 0``. ``v_i`` is kept in the ball of ``radius`` V, that of the blocks if None. Exact quantities are recorded at
    time 0, ``every``, 2 ``every``.. and T = ``iterations`` (about 2000 times if None); one record costs O(m dx dy), an
    iteration O(I (dx + dy) dy) whatever m. (Where a ``v_i`` would leave the ball, its steps along a resting tracker are
    made one by one, m/I of them on average.) The run ends as soon as the mean of the recorded ``||grad F||^2`` is at
    most ``threshold``. Steps and weights outside the theory are warned of; a divergence leaves infinity. Raises
    ValueError on I outside 1..m, sizes that are not positive integers, a negative threshold and a radius that is not
    positive.
    """
    ball = blocks.implicit_radius if radius is None else checked_positive("radius", radius)
    plan, times, scales, first = _checked_plan(
        2, blocks, method, steps, iterations, sampled, batch, every, threshold, initial_batch
    )
    state, z = np.zeros((blocks.count, 4, blocks.problem[0].shape[1])), np.zeros(blocks.start.size)
    implicit = np.zeros_like(z)
    for i in range(blocks.count):
        call = drawn_call(blocks, i, first, rng)
        kernels.lower_gradient(call, blocks.start, state[i, kernels.Y], state[i, kernels.S])
        kernels.quadratic_gradient(
            call, blocks.problem[3][i], state[i, kernels.Y], state[i, kernels.V], state[i, kernels.U]
        )
    points = np.stack([blocks.start, blocks.start])
    kernels.turn(blocks.problem, points, np.stack([implicit, implicit]), 0.0, (0.0, 1.0, 0.0, 1.0), z)
    record = np.full((times.size, kernels.COLUMNS), np.inf)
    choices = (method.trackers.weights, scales, bool(method.fresh), float(steps.lower), float(steps.implicit), ball)
    upper = (method.direction.weights, float(steps.upper), float(method.implicit))
    _, hit = kernels.run_v2(rng, blocks.problem, choices, upper, plan, points, z, state, record)
    lower, vectors = state[:, kernels.Y].copy(), state[:, kernels.V].copy()
    return as_bilevel_run(times, record, points[0].copy(), z, lower, vectors, hit)


def bsvrb_v1_quadratic(
    blocks: QuadraticBlocks,
    method: BilevelMethod,
    steps: BilevelSteps,
    *,
    iterations: int,
    sampled: int,
    batch: int,
    rng: np.random.Generator,
    every: int | None = None,
    threshold: float = 0.0,
    initial_batch: int | None = None,
) -> BilevelRun:
    """Run version 1: ``H_i`` tracks ``D2_yy g_i``, eigenvalues clipped from below at mu, and is inverted, O(I dy^3).

    z uses the H from before this iteration's update. Arguments, record and errors are those of `bsvrb_v2_quadratic`;
    ``steps.implicit`` has no part in it. Raises ValueError also on trackers that fade at rest, as zero-fill does.
    """
    if method.trackers.rest != 1.0:
        raise ValueError(f"trackers.rest={method.trackers.rest!r}: must be 1 in version 1; run version 2 instead")
    plan, times, scales, first = _checked_plan(
        1, blocks, method, steps, iterations, sampled, batch, every, threshold, initial_batch
    )
    dy = blocks.problem[0].shape[1]
    state, matrices, z = (
        np.zeros((blocks.count, 2, dy)),
        np.zeros((blocks.count, 3, dy, dy)),
        np.zeros(blocks.start.size),
    )
    implicit, vector = np.zeros((2, z.size)), np.empty(dy)
    for i in range(blocks.count):
        call = drawn_call(blocks, i, first, rng)
        kernels.lower_gradient(call, blocks.start, state[i, 0], state[i, 1])
        matrices[i, 0] = call[0]
        kernels.clip_and_invert(matrices[i], blocks.strong_convexity)
        matrices[i, 2] = matrices[i, 1]
        kernels.implicit_vector(call, blocks.problem[3][i], matrices[i, 1], state[i, 0], vector)
        kernels.add_implicit(call, vector, implicit[0])
    points, share = np.stack([blocks.start, blocks.start]), float(method.implicit) / blocks.count
    kernels.turn(blocks.problem, points, implicit, share, (0.0, 1.0, 0.0, 1.0), z)
    record = np.full((times.size, kernels.COLUMNS), np.inf)
    choices = (method.trackers.weights, scales, bool(method.fresh), float(steps.lower), blocks.strong_convexity)
    upper = (method.direction.weights, float(steps.upper), float(method.implicit))
    _, hit = kernels.run_v1(rng, blocks.problem, choices, upper, plan, points, z, state, matrices, record)
    return as_bilevel_run(times, record, points[0].copy(), z, state[:, 0].copy(), np.empty((0, dy)), hit)


def drawn_call(blocks: QuadraticBlocks, block: int, scales: kernels.Scales, rng: np.random.Generator) -> kernels.Call:
    """Return one call of the oracle at ``block``: ``A_i + N``, ``C_i + M``, ``b_i + n``, noise of ``grad_y f_i``.

    The normals are taken as kernels do: N on and below the diagonal by rows, M by rows, n and the noise in turn.
    """
    hessians, couplings, offsets = blocks.problem[:3]
    dy, dx = couplings.shape[1:]
    entries = dy * (dy + 1) // 2
    normals = rng.standard_normal(entries + dy * dx + 2 * dy)
    lower, matrix, pairs = np.split(normals, [entries, entries + dy * dx])
    symmetric = np.zeros((dy, dy))
    symmetric[np.tril_indices(dy)] = lower
    symmetric += np.tril(symmetric, -1).T
    return (
        hessians[block] + scales[0] * symmetric,
        couplings[block] + scales[1] * matrix.reshape(dy, dx),
        offsets[block] + scales[2] * pairs[::2],
        scales[3] * pairs[1::2],
    )


def _checked_plan(
    version: int,
    blocks: QuadraticBlocks,
    method: BilevelMethod,
    steps: BilevelSteps,
    iterations: int,
    sampled: int,
    batch: int,
    every: int | None,
    threshold: float,
    initial_batch: int | None,
) -> tuple[kernels.Schedule, npt.NDArray[np.int64], kernels.Scales, kernels.Scales]:
    """Return the schedule, the recorded times and the deviations of a batch and of the first one; check and warn."""
    chosen, size = checked_sampled(sampled, blocks.count), checked_count("batch", batch)
    first = initial_calls(method, size, initial_batch)
    if not threshold >= 0.0:
        raise ValueError(f"threshold={threshold!r}: must be zero or more, a bound on the mean of ||grad F||^2")
    warn_outside_theory(
        method,
        steps,
        share=chosen / blocks.count,
        curvatures=(blocks.strong_convexity, blocks.smoothness),
        upper_smoothness=blocks.upper_smoothness,
        implicit=version == 2,
    )
    times, spacing = recorded_times(iterations, every)
    plan = (chosen, int(times[-1]), spacing, float(threshold))
    return plan, times, _over_root(blocks.noise, size), _over_root(blocks.noise, first)


def _over_root(noise: kernels.Scales, calls: int) -> kernels.Scales:
    """Return the deviations of the mean of that many calls."""
    root = float(np.sqrt(calls))
    return noise[0] / root, noise[1] / root, noise[2] / root, noise[3] / root


def _checked(name: str, values: npt.ArrayLike, shape: tuple[int | None, ...]) -> Array:
    """Return a contiguous float64 array of that shape, None being any length; raise ValueError otherwise."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    fits = checked.ndim == len(shape) and all(
        want is None or want == is_ for want, is_ in zip(shape, checked.shape, strict=True)
    )
    if not fits or checked.size == 0:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name}.shape={checked.shape}: must be ({wanted}), not empty")
    if not np.isfinite(checked).all():
        raise ValueError(f"{name}: must be finite, {int(np.sum(~np.isfinite(checked)))} entries are not")
    return checked
