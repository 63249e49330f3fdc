"""Weights of training samples tuned for many temperatures at once, on real data (the paper's experiment, small).

    g_i(x, w) = (1/n) sum_j sigmoid(x_j) log(1 + exp(-y_j <a_j, w> / t_i)) + lam ||w||^2 / 2      (training samples)
    f_i(x, w) = (1/n') sum_k log(1 + exp(-y'_k <a'_k, w> / t_i))                                  (validation samples)

One block is one temperature ``t_i``; ``x`` in R^n are logits of the samples' weights. Hu, Qiu, Guo, Zhang and Yang,
Blockwise Stochastic Variance-Reduced Methods, ICML 2023, run it with a hundred temperatures on larger data.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.bilevel_derivatives import (
    SIGMOID_BEND,
    BilevelCertificate,
    Derivatives,
    PartialSmoothness,
    count,
    finite,
    hypergradient_smoothness,
    positive,
)
from theorylab.algorithms.bilevel_constants import BilevelConstants

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TemperatureTuning:
    """An instance of the family of this module; arrays are C-contiguous float64.

    ``features`` (n, dy) hold ``y_j a_j`` of the training samples, the label already multiplied in, ``validation``
    (n', dy) ``y'_k a'_k``; ``temperatures`` ``t_i`` (m,); ``ridge`` is lam; ``flipped`` (n,), 1 where the label of a
    training sample was flipped, else 0; ``start`` ``x_0`` (n,) = 0. A batch draws B indices of training samples and B
    of validation samples uniformly with replacement. The gradient with respect to one logit is O(1/n): a step on x is
    n times the step of the theory's scale.
    """

    features: Array
    validation: Array
    temperatures: Array
    ridge: float
    flipped: Array
    start: Array
    constants: BilevelConstants


def temperature_tuning(
    features: npt.ArrayLike,
    validation: npt.ArrayLike,
    temperatures: npt.ArrayLike,
    *,
    ridge: float = 0.05,
    flipped: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
) -> TemperatureTuning:
    """Assemble an instance from label times features (n, dy), validation (n', dy) and temperatures (m,).

    ``flipped`` (n,) and ``start`` (n,) are zeros if None. mu is the ridge, ``L = lam + max ||Z'Z|| / (4 n t^2)``, ``C_f
    = mean ||z'_k|| / t``. Raises ValueError on shapes that do not fit, entries that are not finite, a ridge or a
    temperature that is not positive.
    """
    z = finite("features", features, (None, None))
    n, dy = z.shape
    far = finite("validation", validation, (None, dy))
    t = finite("temperatures", temperatures, (None,))
    if not np.all(t > 0.0):
        raise ValueError(f"temperatures: smallest is {float(t.min())!r}, must be positive")
    lam = positive("ridge", ridge)
    bounds = _bounds(z, far, float(t.min()), lam)
    constants = BilevelConstants(
        blocks=t.size,
        upper_dimension=n,
        lower_dimension=dy,
        strong_convexity=lam,
        smoothness=bounds.smoothness,
        upper_gradient=bounds.upper_gradient,
        coupling=bounds.coupling,
        hypergradient_smoothness=hypergradient_smoothness(
            lam,
            bounds.upper_gradient,
            bounds.coupling,
            upper_x=PartialSmoothness(0.0, 0.0),
            upper_y=PartialSmoothness(0.0, bounds.upper_smoothness),
            cross=bounds.cross,
            hessian=bounds.hessian,
        ),
        lower_bound=0.0,
    )
    return TemperatureTuning(
        features=z,
        validation=far,
        temperatures=t,
        ridge=lam,
        flipped=np.zeros(n) if flipped is None else finite("flipped", flipped, (n,)),
        start=np.zeros(n) if start is None else finite("start", start, (n,)),
        constants=constants,
    )


def breast_cancer_tuning(
    rng: np.random.Generator,
    *,
    blocks: int = 10,
    train: int = 200,
    validation: int = 150,
    flip_rate: float = 0.2,
    ridge: float = 0.05,
) -> TemperatureTuning:
    """Draw an instance on scikit-learn's breast_cancer data: disjoint splits, a share of the training labels flipped.

    The 30 features are standardised over all 569 samples, an intercept is added, and the result is divided by
    ``sqrt(31)``; ``t_i`` are uniform on [1/4, 11/4]. Exactly ``round(flip_rate n)`` labels are flipped. Raises
    ValueError on sizes that are not positive or exceed the data and a flip rate outside [0, 1].
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    total = int(data.target.size)
    n, held = count("train", train, total - 1), count("validation", validation, total)
    if n + held > total:
        raise ValueError(f"train={train!r}, validation={validation!r}: together must be at most {total}, the samples")
    if not 0.0 <= flip_rate <= 1.0:
        raise ValueError(f"flip_rate={flip_rate!r}: must be in [0, 1]")
    standard = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    scaled = np.column_stack([standard, np.ones(total)]) / np.sqrt(standard.shape[1] + 1.0)
    signed = (2.0 * data.target - 1.0)[:, None] * scaled
    order = rng.permutation(total)
    flipped = np.zeros(n)
    flipped[rng.permutation(n)[: round(flip_rate * n)]] = 1.0
    temperatures = rng.uniform(0.25, 2.75, count("blocks", blocks))
    features = (1.0 - 2.0 * flipped)[:, None] * signed[order[:n]]
    return temperature_tuning(features, signed[order[n : n + held]], temperatures, ridge=ridge, flipped=flipped)


def lower_solutions(problem: TemperatureTuning, x: Array, start: Array | None = None) -> Array:
    """Return ``w_i*(x)`` (m, dy) at ``x`` (n,), by Newton's method with halved steps; gradients end below 1e-12.

    ``start`` (m, dy) is zero if None. Raises ArithmeticError if a hundred iterations do not reach that, which a
    strongly convex problem with finite data does not do.
    """
    w = np.zeros((problem.temperatures.size, problem.features.shape[1])) if start is None else np.array(start)
    for _ in range(100):
        weights, pulls = _lower_weights(problem, x, w)
        gradient = _lower_gradient(problem, w, pulls)
        if np.abs(gradient).max() < 1e-13:
            break
        direction = np.linalg.solve(_lower_hessians(problem, weights), gradient[:, :, None])[:, :, 0]
        decrease = np.sum(gradient * direction, axis=1)
        before, step = lower_values(problem, x, w), np.ones(w.shape[0])
        for _ in range(40):
            # Near the solution the decrease drowns in rounding, and the full step is right.
            short = lower_values(problem, x, w - step[:, None] * direction) > before - 0.1 * step * decrease + 1e-14
            if not short.any():
                break
            step[short] *= 0.5
        w -= step[:, None] * direction
    if np.abs(gradient).max() > 1e-12:
        raise ArithmeticError(f"lower gradient {np.abs(gradient).max():.3g} after Newton's method: must be below 1e-12")
    return w


def upper_values(problem: TemperatureTuning, x: Array, y: Array) -> Array:
    """Return ``f_i(w_i)`` (m,) at ``y = w`` (m, dy); ``x`` is not used."""
    return np.asarray(np.logaddexp(0.0, -_margins(problem, problem.validation, y)).mean(axis=1))


def lower_values(problem: TemperatureTuning, x: Array, y: Array) -> Array:
    """Return ``g_i(x, w_i)`` (m,) at ``x`` (n,) and ``y = w`` (m, dy)."""
    losses = np.logaddexp(0.0, -_margins(problem, problem.features, y))
    return np.asarray((losses * _sigmoid(x)).mean(axis=1) + 0.5 * problem.ridge * np.sum(y**2, axis=1))


def derivatives(problem: TemperatureTuning, x: Array, y: Array) -> Derivatives:
    """Return the exact derivatives of all blocks at ``x`` (n,) and ``y = w`` (m, dy)."""
    t, held = problem.temperatures[:, None], problem.validation
    weights, pulls = _lower_weights(problem, x, y)
    share = _sigmoid(x)
    slopes = -_sigmoid(-_margins(problem, problem.features, y)) / t * (share * (1.0 - share)) / x.size
    return Derivatives(
        upper_x=np.zeros((t.size, x.size)),
        upper_y=-(_sigmoid(-_margins(problem, held, y)) / t) @ held / held.shape[0],
        lower=_lower_gradient(problem, y, pulls),
        cross=slopes[:, :, None] * problem.features,
        hessians=_lower_hessians(problem, weights),
    )


def certify(problem: TemperatureTuning, *, batch: int = 1) -> BilevelCertificate:
    """Certify A1 to A5 in closed form for batches of ``batch`` indices drawn with replacement.

    Each sample's derivative is Lipschitz, so the mean over a batch is too, with the largest constant of a sample; a
    sampled ``D2_xy g`` has the n times larger row of the drawn samples. Variances are at most second moments over B.
    """
    b, c = count("batch", batch), problem.constants
    t = float(problem.temperatures.min())
    lengths, held = np.linalg.norm(problem.features, axis=1), np.linalg.norm(problem.validation, axis=1)
    a, far, mean_square = float(lengths.max()), float(held.max()), float(np.mean(lengths**2))
    in_x = a / (4.0 * t)
    in_y = problem.ridge + a**2 / (4.0 * t**2)
    row_x, row_y = SIGMOID_BEND * a / t, a**2 / (16.0 * t**2)
    bend_x, bend_y = a**2 / (16.0 * t**2), SIGMOID_BEND * a**3 / t**3
    return BilevelCertificate(
        strong_convexity=problem.ridge,
        smoothness=c.smoothness,
        lower_smoothness=float(np.hypot(in_x, in_y)),
        hessian_smoothness=float(np.hypot(bend_x, bend_y)),
        cross_smoothness=float(np.hypot(row_x, row_y)),
        upper_smoothness=far**2 / (4.0 * t**2),
        upper_gradient=c.upper_gradient,
        coupling=c.coupling,
        lower_variance=mean_square / t**2 / b,
        hessian_variance=float(np.mean(lengths**4)) / (16.0 * t**4) / b,
        cross_variance=mean_square / (16.0 * t**2) / b,
        upper_variance=float(np.mean(held**2)) / t**2 / b,
        reach=float("inf"),
        lower_bound=0.0,
    )


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Bounds on derivatives of f and g over all points and all blocks."""

    smoothness: float
    upper_gradient: float
    upper_smoothness: float
    coupling: float
    cross: PartialSmoothness
    hessian: PartialSmoothness


def _bounds(z: Array, held: Array, t: float, lam: float) -> _Bounds:
    """Bound the derivatives at the lowest temperature; with ``||sum_j |c_j| z_j z_j'|| <= ||c|| max ||z_j|| ||Z||``."""
    n, spectral = z.shape[0], float(np.linalg.norm(z, 2))
    longest = float(np.linalg.norm(z, axis=1).max())
    return _Bounds(
        smoothness=lam + spectral**2 / (4.0 * n * t**2),
        upper_gradient=float(np.linalg.norm(held, axis=1).mean()) / t,
        upper_smoothness=float(np.linalg.norm(held, 2)) ** 2 / (4.0 * held.shape[0] * t**2),
        coupling=spectral / (4.0 * n * t),
        cross=PartialSmoothness(SIGMOID_BEND * longest / (n * t), longest * spectral / (16.0 * n * t**2)),
        hessian=PartialSmoothness(
            longest * spectral / (16.0 * n * t**2), SIGMOID_BEND * longest * spectral**2 / (n * t**3)
        ),
    )


def _margins(problem: TemperatureTuning, rows: Array, w: Array) -> Array:
    """Return ``<z_j, w_i> / t_i`` (m, rows)."""
    return np.asarray(w @ rows.T / problem.temperatures[:, None])


def _sigmoid(u: Array) -> Array:
    """Return ``1 / (1 + exp(-u))``; tanh cannot overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * u)))


def _lower_weights(problem: TemperatureTuning, x: Array, w: Array) -> tuple[Array, Array]:
    """Return each sample's weight in the Hessian and, with its sign turned, in the gradient, both (m, n)."""
    missed = _sigmoid(-_margins(problem, problem.features, w))
    t, share = problem.temperatures[:, None], _sigmoid(x) / x.size
    return np.asarray(share * missed * (1.0 - missed) / t**2), np.asarray(share * missed / t)


def _lower_gradient(problem: TemperatureTuning, w: Array, pulls: Array) -> Array:
    """Return ``grad_w g_i`` (m, dy) from the weights in the gradient (m, n)."""
    return np.asarray(problem.ridge * w - pulls @ problem.features)


def _lower_hessians(problem: TemperatureTuning, weights: Array) -> Array:
    """Return ``D2_ww g_i`` (m, dy, dy) from the weights in the Hessian (m, n)."""
    z = problem.features
    return np.asarray((weights[:, None, :] * z.T) @ z + problem.ridge * np.eye(z.shape[1]))
