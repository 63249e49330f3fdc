"""Online label shift: class frequencies move, a learner sees unlabelled points and has to follow.

Corollary 4 of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024. The population is a pool of labelled points of a
real data set. Round t draws labels with frequencies ``mu_t`` and points of that class from the pool, with replacement.
Black-box shift estimation (BBSE: Lipton, Wang and Smola, ICML 2018) turns the predictions of a fixed classifier on
them into weights ``muhat_t = C^{-1} qhat_t``, unbiased because the confusion matrix ``C`` is that of the pool. The mean
loss is ``F_t = sum_k mu_tk R_k`` whatever the weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.sea_games import checked_count, checked_positive, checked_rounds
from theorylab.algorithms.sea_constants import SeaConstants

Array = npt.NDArray[np.float64]

DIGITS = (1, 8, 9)  # three digits that two principal components confuse
PRIORS = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
POOL_RADIUS = 1.5  # root mean square norm of the points


@dataclass(frozen=True, slots=True, eq=False)
class LabelShiftGame:
    """``f_t(W) = sum_k muhat_tk R_k(W)``, ``R_k`` the mean softmax cross-entropy of class k, on the ball of ``radius``.

    ``features`` (K, n, p) are the n pool points of each of the K classes; the decision x is ``W`` (K, p) flattened row
    by row, so d = K p, and the logits of a point z are ``W z``. ``weights`` are ``muhat_t`` (T, K), ``frequencies``
    ``mu_t`` (T, K), ``samples`` the unlabelled points a round. ``confusion`` is ``C`` (K, K), ``C_ij`` the share of
    class j that the fixed classifier calls i. ``projected`` tells whether the weights were projected on the simplex,
    which makes every ``f_t`` convex (A8) and biased; raw weights can be negative. ``weight_errors`` (T,) are ``E
    ||muhat_t - mu_t||^2`` of the raw estimator, exact. ``class_gradient`` bounds all ``||grad R_k||``.

    In ``constants``, sigma^2 and tilde-sigma^2 are the bound ``K G_R^2 sum_t E||muhat_t - mu_t||^2`` and Sigma^2 is
    ``K G_R^2 sum_t ||mu_t - mu_{t-1}||^2``, ``G_R`` being ``class_gradient``.
    """

    features: Array
    weights: Array
    frequencies: Array
    samples: int
    confusion: Array
    radius: float
    projected: bool
    weight_errors: Array
    class_gradient: float
    constants: SeaConstants

    @property
    def horizon(self) -> int:
        """The number of rounds T."""
        return int(self.weights.shape[0])

    @property
    def dimension(self) -> int:
        """The dimension d = K p of the decision."""
        return int(self.features.shape[0] * self.features.shape[2])


def digit_pool(classes: tuple[int, ...] = DIGITS, *, count: int = 40, components: int = 2) -> Array:
    """Return the first ``count`` images of each class of scikit-learn's digits on principal components, (K, n, p).

    Centred, projected on the leading ``components``, and scaled to a root mean square norm of 1.5. Deterministic.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = [digits.data[digits.target == label][: checked_count("count", count, 174)] for label in classes]
    points = np.vstack(chosen) - np.vstack(chosen).mean(axis=0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    scores = points @ axes[: checked_count("components", components, 64)].T
    scores *= POOL_RADIUS / np.sqrt(np.mean(np.sum(scores**2, axis=1)))
    return np.ascontiguousarray(scores.reshape(len(classes), count, components))


def confusion_matrix(features: npt.ArrayLike) -> Array:
    """Return ``C`` (K, K) of the nearest-class-mean classifier on the pool (K, n, p); its columns sum to 1."""
    z = np.asarray(features, dtype=np.float64)
    distances = np.linalg.norm(z[:, :, None, :] - z.mean(axis=1), axis=3)
    called = np.argmin(distances, axis=2)
    return np.array([[np.mean(called[j] == i) for j in range(len(z))] for i in range(len(z))])


def switching_priors(T: int, *, block: int = 250) -> Array:
    """Return class frequencies (T, 3): (.8, .1, .1) and (.1, .1, .8) in turn, in blocks of ``block`` rounds."""
    return PRIORS[np.arange(checked_rounds(T)) // checked_count("block", block) % 2]


def label_shift(
    frequencies: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    samples: int,
    projected: bool = False,
    radius: float = 2.0,
    features: npt.ArrayLike | None = None,
) -> LabelShiftGame:
    """Draw the weights of all rounds for ``frequencies`` (T, K), ``samples`` unlabelled points a round.

    ``features`` (K, n, p) is the pool, by default `digit_pool`. The counts of predicted classes are multinomial with
    probabilities ``C mu_t``, so they are drawn directly. Raises ValueError on frequencies outside the simplex, a
    confusion matrix that cannot be inverted, or sizes that are not positive.
    """
    z = digit_pool() if features is None else np.ascontiguousarray(features, dtype=np.float64)
    mu = np.ascontiguousarray(frequencies, dtype=np.float64)
    if mu.ndim != 2 or mu.shape[1] != z.shape[0] or not (np.all(mu >= 0.0) and np.allclose(mu.sum(axis=1), 1.0)):
        raise ValueError(f"frequencies.shape={mu.shape}: must be (T, {z.shape[0]}), rows non-negative with sum 1")
    checked_rounds(mu.shape[0])
    checked_positive("radius", radius)
    confusion = confusion_matrix(z)
    if not np.linalg.cond(confusion) < 1e6:
        raise ValueError("confusion: must be invertible; the classifier never predicts some class, take other features")
    inverse = np.linalg.inv(confusion)
    predicted = mu @ confusion.T
    predicted /= predicted.sum(axis=1, keepdims=True)
    raw = rng.multinomial(checked_count("samples", samples), predicted) / samples @ inverse.T
    weights = project_on_simplex(raw) if projected else np.ascontiguousarray(raw)
    # tr(C^{-1} (diag q - q q') C^{-T}) / n, the exact mean square of the estimator's error
    errors = (predicted @ np.sum(inverse**2, axis=0) - np.sum((predicted @ inverse.T) ** 2, axis=1)) / samples
    gradient = float(np.sqrt(2.0) * np.max(np.mean(np.linalg.norm(z, axis=2), axis=1)))
    largest_weight = 1.0 if projected else float(np.max(np.sum(np.abs(inverse), axis=0)))
    constants = _constants(z, mu, errors, radius, gradient, largest_weight)
    return LabelShiftGame(z, weights, mu, samples, confusion, radius, projected, errors, gradient, constants)


def project_on_simplex(points: npt.ArrayLike) -> Array:
    """Return the Euclidean projection of each row of (n, K) on the probability simplex.

    >>> project_on_simplex([[0.2, 0.8], [1.5, -0.5], [0.0, 0.0]])
    array([[0.2, 0.8],
           [1. , 0. ],
           [0.5, 0.5]])
    """
    p = np.asarray(points, dtype=np.float64)
    ordered = -np.sort(-p, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1.0) / np.arange(1, p.shape[1] + 1)
    last = np.sum(ordered > excess, axis=1) - 1
    return np.maximum(p - excess[np.arange(len(p)), last][:, None], 0.0)


def negative_share(game: LabelShiftGame) -> float:
    """Return the share of rounds with a negative weight, in which ``f_t`` need not be convex and A8 fails."""
    return float(np.mean(np.min(game.weights, axis=1) < 0.0))


def shift_length(game: LabelShiftGame) -> float:
    """Return ``L_T = sum_t ||mu_t - mu_{t-1}||_1``."""
    return float(np.sum(np.abs(np.diff(game.frequencies, axis=0))))


def loss_bound(game: LabelShiftGame) -> float:
    """Return a bound of ``sup |f_t|``: logits of a point z differ by at most ``sqrt(2) R ||z||``, losses by ln K more.

    The largest 1-norm of the weights that can be drawn multiplies it.
    """
    classes = game.features.shape[0]
    largest = float(np.max(np.linalg.norm(game.features, axis=2)))
    weight = game.constants.gradient / game.class_gradient
    return weight * (float(np.log(classes)) + float(np.sqrt(2.0)) * game.radius * largest)


def class_risks(features: Array, points: npt.ArrayLike) -> Array:
    """Return ``R_k(W)`` (n, K) at each row of ``points`` (n, K p)."""
    classes, _, p = features.shape
    w = np.asarray(points, dtype=np.float64).reshape(-1, classes, p)
    risks = np.empty((len(w), classes))
    for k in range(classes):
        logits = np.einsum("tcp,np->tnc", w, features[k])
        top = logits.max(axis=2)
        total = top + np.log(np.sum(np.exp(logits - top[:, :, None]), axis=2))
        risks[:, k] = np.mean(total - logits[:, :, k], axis=1)
    return risks


def class_gradients(features: Array, point: npt.ArrayLike) -> Array:
    """Return the gradients of all ``R_k`` (K, K p) at one point (K p,)."""
    classes, count, p = features.shape
    logits = features @ np.asarray(point, dtype=np.float64).reshape(classes, p).T
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    shares -= np.eye(classes)[:, None, :]
    return np.einsum("knc,knp->kcp", shares, features).reshape(classes, classes * p) / count


def best_point(features: Array, weights: npt.ArrayLike, radius: float) -> tuple[Array, float]:
    """Return the minimiser (d,) of ``sum_k w_k R_k`` over the ball for weights (K,) of the simplex, and its gap.

    The gap ``max_u <grad F(x), x - u>`` over the ball bounds ``F(x) - min F`` for convex F: a certificate, whatever the
    solver did. Sequential quadratic programming.
    """
    from scipy.optimize import minimize

    mu = np.asarray(weights, dtype=np.float64)

    def objective(x: Array) -> tuple[float, Array]:
        return float((class_risks(features, x) @ mu)[0]), mu @ class_gradients(features, x)

    ball = {"type": "ineq", "fun": lambda x: radius**2 - x @ x, "jac": lambda x: -2.0 * x}
    start = np.zeros(features.shape[0] * features.shape[2])
    found = minimize(
        objective, start, jac=True, constraints=[ball], method="SLSQP", options={"ftol": 1e-15, "maxiter": 500}
    )
    x = np.asarray(found.x * min(1.0, radius / max(float(np.linalg.norm(found.x)), 1e-300)))
    slope = objective(x)[1]
    return x, float(slope @ x + radius * np.linalg.norm(slope))


def minimiser_path(game: LabelShiftGame) -> tuple[Array, float]:
    """Return ``u_t = argmin F_t`` (T, d) and the largest gap of them; one solve for each distinct frequency."""
    distinct, which = np.unique(game.frequencies, axis=0, return_inverse=True)
    solved = [best_point(game.features, mu, game.radius) for mu in distinct]
    return np.array([x for x, _ in solved])[which.reshape(-1)], max(gap for _, gap in solved)


def mean_loss_gaps(game: LabelShiftGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return ``F_t(x_t) - F_t(u_t)`` (T,) for iterates (T, d) and a comparator (d,) or (T, d) in the ball."""
    return _gaps(game, game.frequencies, iterates, comparator)


def drawn_loss_gaps(game: LabelShiftGame, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return ``f_t(x_t) - f_t(u_t)`` (T,), the losses with the estimated weights."""
    return _gaps(game, game.weights, iterates, comparator)


def _gaps(game: LabelShiftGame, weights: Array, iterates: npt.ArrayLike, comparator: npt.ArrayLike) -> Array:
    """Return the gaps (T,) of the losses with the given weights (T, K); check the comparator."""
    x, u = np.asarray(iterates, dtype=np.float64), np.atleast_2d(np.asarray(comparator, dtype=np.float64))
    shape = (game.horizon, game.dimension)
    if x.shape != shape or u.shape not in (shape, (1, game.dimension)):
        raise ValueError(f"iterates.shape={x.shape}, comparator.shape={u.shape}: must be {shape}, or (d,) for u")
    norm = float(np.max(np.linalg.norm(u, axis=1)))
    if not norm <= game.radius * (1.0 + 1e-9):
        raise ValueError(f"comparator: its largest norm is {norm:.6g}, must be at most radius={game.radius!r}; project")
    distinct, which = np.unique(u, axis=0, return_inverse=True)
    reached = class_risks(game.features, distinct)[which.reshape(-1)]
    return np.asarray(np.sum(weights * (class_risks(game.features, x) - reached), axis=1))


def _constants(
    features: Array, mu: Array, errors: Array, radius: float, gradient: float, largest_weight: float
) -> SeaConstants:
    """Return the constants with the variance and variation bounds of Corollary 4."""
    scale = features.shape[0] * gradient**2
    drift = scale * np.sum(np.diff(mu, axis=0) ** 2, axis=1)
    curvature = [np.linalg.eigvalsh(z.T @ z / len(z))[-1] for z in features]
    return SeaConstants(
        horizon=mu.shape[0],
        dimension=features.shape[0] * features.shape[2],
        diameter=2.0 * radius,
        gradient=largest_weight * gradient,
        smoothness=0.5 * float(max(curvature)),
        strong_convexity=0.0,
        exp_concavity=0.0,
        variance=scale * float(errors.sum()),
        variance_max=scale * float(errors.max()),
        uniform_variance=scale * float(errors.sum()),
        variation=float(drift.sum()),
        variation_max=float(drift.max()),
    )
