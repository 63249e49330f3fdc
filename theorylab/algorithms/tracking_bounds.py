"""How well many moving mappings can be tracked when few are sampled: exact recursions, steady states, a bound.

Setting: ``h_i(w_t)``, i = 1..m, along a path that does not depend on the noise; in every step I of the m blocks are
sampled uniformly without replacement, p = I/m, each seen through the mean of B calls whose noise has mean zero and does
not depend on the past. Estimators are those of `theorylab.algorithms.block_estimators`; MSVR is that of Hu, Qiu, Guo,
Zhang and Yang, Blockwise Stochastic Variance-Reduced Methods, ICML 2023. Every formula here is re-derived, with exact
constants; the paper states orders.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
from numba import njit

from theorylab.algorithms.block_estimators import BlockEstimator, checked_rate, checked_sampled
from theorylab.algorithms.checks import checked_count

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrackingConstants:
    """Constants of linear mappings ``M_i w`` followed around a circle, seen with noise ``N w + n``; plain floats.

    ``blocks`` is m; ``size`` the mean of ``||M_i w||^2`` over blocks and a full turn; ``angle`` the turn of one step in
    radians, ``radius`` that of the circle; ``lipschitz`` C, with ``C^2`` the mean of ``||M_i||^2``. Of one call:
    ``matrix_variance`` is C_n^2 with ``E||N u||^2 = C_n^2 ||u||^2`` for every u, ``offset_variance`` is ``E||n||^2``.
    Raises ValueError on m that is no positive integer, other constants that are negative or not finite, and a radius of
    zero.
    """

    blocks: int
    size: float
    angle: float
    radius: float
    lipschitz: float
    matrix_variance: float
    offset_variance: float

    def __post_init__(self) -> None:
        checked_count("blocks", self.blocks)
        for name in ("size", "angle", "radius", "lipschitz", "matrix_variance", "offset_variance"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name}={value!r}: must be finite and zero or more")
        if self.radius == 0.0:
            raise ValueError("radius=0.0: must be positive, or nothing moves")

    @property
    def chord(self) -> float:
        """``delta = ||w_t - w_{t-1}||``."""
        return float(2.0 * self.radius * np.sin(0.5 * self.angle))

    @property
    def variance(self) -> float:
        """``sigma^2``, the variance of one call on the circle."""
        return self.matrix_variance * self.radius**2 + self.offset_variance


def gamma_star(alpha: float, *, blocks: int, sampled: int) -> float:
    """Return ``gamma* = (m - I) / (I (1 - alpha)) + 1 - alpha``, at which MSVR's error does not see the drift's sign.

    With e_i = u_i - h_i, D_i = h_i(w_t) - h_i(w_{t-1}), a = 1 - alpha and b = gamma - a, a sampled error becomes ``a e
    + b D`` plus noise and an unsampled one ``e - D``; the cross term ``2 (p a b - (1 - p)) <e, D>`` of the expected
    square vanishes at b = (1 - p)/(p a). All blocks sampled, it is STORM's 1 - alpha. Raises ValueError unless ``0 <
    alpha < 1`` and ``1 <= I <= m``.

    >>> gamma_star(0.5, blocks=16, sampled=4), gamma_star(0.25, blocks=8, sampled=8)
    (6.5, 0.75)
    """
    if checked_rate("alpha", alpha) == 1.0:
        raise ValueError(f"alpha={alpha!r}: must be below 1, gamma* grows without bound; take at most 1/2")
    return (blocks - checked_sampled(sampled, blocks)) / (sampled * (1.0 - alpha)) + 1.0 - alpha


def exact_errors(
    values: npt.ArrayLike,
    noise: npt.ArrayLike,
    estimator: BlockEstimator,
    *,
    sampled: int,
    start: npt.ArrayLike | None = None,
) -> Array:
    """Return ``E (1/m) sum_i ||u_i,t - h_i(w_t)||^2`` (T+1,), exactly, for any rule that is linear in what it sees.

    ``values`` are ``h_i(w_t)`` (T+1, m, d); ``noise`` (T,) holds ``N_t = E||new nbar(w_t) - old nbar(w_{t-1})||^2``,
    nbar the centred noise of a batch; ``start`` (m, d) are the errors at t = 0, zero if None, not random. A sampled
    error becomes ``keep e + S``, ``S = (new - 1) h_t + (keep - old) h_{t-1}``, plus noise; an unsampled one ``rest e +
    U``, ``U = rest h_{t-1} - h_t``. As the sample is independent of the past,

        E||e'||^2 = (p keep^2 + (1-p) rest^2) E||e||^2 + p ||S||^2 + (1-p) ||U||^2
                    + 2 <E e, p keep S + (1-p) rest U> + p N_t,
        E e'      = (p keep + (1-p) rest) E e + p S + (1-p) U.

    MSVR: ``S = (gamma - 1 + alpha) D``, ``U = -D``. Zero-fill: the cross term vanishes and ``E' = (1-beta)^2 E + (m/I -
    1) ||h_t - (1-beta) h_{t-1}||^2 + p N_t``. Raises ValueError on shapes that do not fit, entries that are not finite,
    negative noise, and I outside 1..m.
    """
    h = _checked("values", values, 3)
    energies = _checked("noise", noise, 1)
    if h.shape[0] < 2 or energies.shape != (h.shape[0] - 1,) or np.any(energies < 0.0):
        raise ValueError(
            f"noise.shape={energies.shape}, values.shape={h.shape}: noise must be zero or more, one number a step of "
            "the path, and the path must have at least one step"
        )
    first = np.zeros(h.shape[1:]) if start is None else _checked("start", start, 2)
    if first.shape != h.shape[1:]:
        raise ValueError(f"start.shape={first.shape}: must be {h.shape[1:]}, one error a block")
    share = checked_sampled(sampled, h.shape[1]) / h.shape[1]
    errors = np.empty(h.shape[0])
    fill_errors(h, energies, estimator.weights, share, first.copy(), errors)
    return errors


@njit(nogil=True, cache=True, error_model="numpy")
def fill_errors(
    values: Array,
    noise: Array,
    weights: tuple[float, float, float, float],
    share: float,
    mean: Array,
    errors: Array,
) -> None:
    """Fill ``errors`` (T+1,) by the recursion of `exact_errors`; ``mean`` (m, d), ``E e_i``, is overwritten."""
    keep, new, old, rest = weights
    steps, m, d = values.shape
    contraction = share * keep * keep + (1.0 - share) * rest * rest
    shrink = share * keep + (1.0 - share) * rest
    errors[0] = np.sum(mean * mean) / m
    for t in range(1, steps):
        moved = 0.0
        for i in range(m):
            for k in range(d):
                now, before = values[t, i, k], values[t - 1, i, k]
                seen = (new - 1.0) * now + (keep - old) * before
                unseen = rest * before - now
                moved += share * seen * seen + (1.0 - share) * unseen * unseen
                moved += 2.0 * mean[i, k] * (share * keep * seen + (1.0 - share) * rest * unseen)
                mean[i, k] = shrink * mean[i, k] + share * seen + (1.0 - share) * unseen
        errors[t] = contraction * errors[t - 1] + moved / m + share * noise[t - 1]


def circle_error(constants: TrackingConstants, estimator: BlockEstimator, *, sampled: int, batch: int) -> float:
    """Return the limit of `exact_errors` on the circle, averaged over a full turn, in closed form.

    With ``h_t = Re(H e^{i theta t})`` both S and U are H times the complex numbers ``s = new - 1 + (keep - old) e^{-i
    theta}`` and ``u = rest e^{-i theta} - 1``; the mean error turns along, ``E e_t = Re(c H e^{i theta t})``, ``c = (p
    s + (1-p) u) / (1 - (p keep + (1-p) rest) e^{-i theta})``, and a mean over the turn takes ``Re(z H e^{i theta t})``
    to ``|z|^2 ||h||^2``. The noise is ``N = (C_n^2 ||new w_t - old w_{t-1}||^2 + (new - old)^2 E||n||^2) / B``. Raises
    ValueError on I outside 1..m, B that is no positive integer, and a rule whose error does not settle.

    >>> from theorylab.algorithms.block_estimators import msvr
    >>> still = TrackingConstants(4, 1.0, 0.0, 1.0, 1.0, 0.0, 3.0)
    >>> round(circle_error(still, msvr(0.5, 0.5), sampled=4, batch=1), 12)  # sigma^2 alpha / (2 - alpha)
    1.0
    """
    p = checked_sampled(sampled, constants.blocks) / constants.blocks
    keep, new, old, rest = estimator.weights
    contraction = p * keep**2 + (1.0 - p) * rest**2
    if not contraction < 1.0:
        raise ValueError(f"keep={keep!r}, rest={rest!r}: with p={p:.6g} the error does not settle, take |keep| < 1")
    back = np.exp(-1j * constants.angle)
    seen, unseen = new - 1.0 + (keep - old) * back, rest * back - 1.0
    mean = (p * seen + (1.0 - p) * unseen) / (1.0 - (p * keep + (1.0 - p) * rest) * back)
    cross = np.conj(mean * back) * (p * keep * seen + (1.0 - p) * rest * unseen)
    moved = p * abs(seen) ** 2 + (1.0 - p) * abs(unseen) ** 2 + 2.0 * cross.real
    shift = constants.radius**2 * abs(new - old * back) ** 2
    noise = constants.matrix_variance * shift + (new - old) ** 2 * constants.offset_variance
    return float((constants.size * moved + p * noise / checked_count("batch", batch)) / (1.0 - contraction))


def least_circle_error(
    constants: TrackingConstants,
    rule: Callable[[float], BlockEstimator],
    weights: npt.ArrayLike,
    *,
    sampled: int,
    batch: int,
) -> tuple[float, float]:
    """Return the smallest `circle_error` of ``rule(alpha)`` over ``weights`` alpha (k,), and the alpha it is found at.

    Over a chord delta that shrinks, the smallest error falls like delta for MSVR with gamma* and like delta^(2/3) for a
    moving average, whose lag costs ``(delta/alpha)^2`` where MSVR pays ``delta^2/alpha``, against noise of order alpha:
    the mechanism of eps^-3 iterations against eps^-4. Raises ValueError on an empty grid and as `circle_error`.
    """
    grid = _checked("weights", weights, 1)
    errors = [circle_error(constants, rule(float(alpha)), sampled=sampled, batch=batch) for alpha in grid]
    best = int(np.argmin(errors))
    return errors[best], float(grid[best])


def msvr_bound(
    constants: TrackingConstants, alpha: float, *, sampled: int, batch: int, steps: float = inf, start: float = 0.0
) -> float:
    """Return an upper bound on the mean squared error of MSVR with gamma* after ``steps``, from error ``start``.

    ``(1 - p alpha (2-alpha))^t E_0 + ([(1-p)^2/(p (1-alpha)^2) + 1-p] C^2 delta^2 + (2p/B)(alpha^2 sigma^2 + gamma*^2
    C_n^2 delta^2)) / (p alpha (2-alpha))``: the recursion without its cross term, ``mean ||D_i||^2 <= C^2 delta^2``,
    and ``||a + b||^2 <= 2 ||a||^2 + 2 ||b||^2`` on the noise. Raises ValueError as `gamma_star`, on B that is no
    positive integer, and on negative ``steps`` or ``start``.
    """
    gamma = gamma_star(alpha, blocks=constants.blocks, sampled=sampled)
    for name, value in (("steps", steps), ("start", start)):
        if not value >= 0.0:
            raise ValueError(f"{name}={value!r}: must be zero or more")
    p, chord = sampled / constants.blocks, constants.chord
    rate = p * alpha * (2.0 - alpha)
    drift = ((1.0 - p) ** 2 / (p * (1.0 - alpha) ** 2) + 1.0 - p) * (constants.lipschitz * chord) ** 2
    noise = alpha**2 * constants.variance + (gamma * chord) ** 2 * constants.matrix_variance
    remaining = 0.0 if steps == inf else (1.0 - rate) ** steps * start
    return float(remaining + (drift + 2.0 * p * noise / checked_count("batch", batch)) / rate)


def zero_fill_floor(constants: TrackingConstants, beta: float, *, sampled: int) -> float:
    """Return the part of the zero-fill estimator's limit that no batch size removes: its circle error without noise.

    ``(m/I - 1) mean ||h_t - (1-beta) h_{t-1}||^2 / (1 - (1-beta)^2)``, about ``(m/I - 1) beta ||h||^2 / 2`` where
    little moves. Raises ValueError unless ``0 < beta <= 1`` and ``1 <= I <= m``.
    """
    keep = 1.0 - checked_rate("beta", beta)
    part = checked_sampled(sampled, constants.blocks) / constants.blocks
    # |1 - keep e^{-i theta}|^2, written without cancellation.
    moved = beta**2 + 4.0 * keep * np.sin(0.5 * constants.angle) ** 2
    return float((1.0 / part - 1.0) * constants.size * moved / (1.0 - keep**2))


def _checked(name: str, values: npt.ArrayLike, axes: int) -> Array:
    """Return a contiguous float64 array with that many axes; raise ValueError on others or entries not finite."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    if checked.ndim != axes or checked.size == 0:
        raise ValueError(f"{name}.shape={checked.shape}: must have {axes} axes, none empty")
    if not np.isfinite(checked).all():
        raise ValueError(f"{name}: must be finite, {int(np.sum(~np.isfinite(checked)))} entries are not")
    return checked
