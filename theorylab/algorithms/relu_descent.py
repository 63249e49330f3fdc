"""Training two-layer ReLU networks by gradient: the non-convex baselines, plain and adversarial, with restarts.

The objective is ``loss(sum_j (X u_j)_+ alpha_j, y) + beta/2 sum_j (|u_j|^2 + alpha_j^2)`` with losses summed over
samples: 1/2 squared error, logistic, hinge. Adversarial training replaces X by ``X + Delta`` within ``|delta_kc| <=
epsilon``, found by sign steps: one of length epsilon (FGSM; Goodfellow, Shlens and Szegedy, 2015) or several with
projection (PGD; Madry et al., 2018). On the hinge they follow ``-y`` times the output, which rises with the loss, as
the hinge itself is flat where a sample has its margin. Nothing here is certified: an attack gives a lower bound of the
worst case.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import relu_descent_kernels as kernels
from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.relu_losses import (
    Array,
    checked_inputs,
    checked_perturbed,
    checked_radius,
    checked_targets,
    checked_training,
)
from theorylab.algorithms.relu_solver_checks import (
    Integers,
    checked_checkpoints,
    checked_number,
    checked_shape,
    loss_kind,
)

METHODS = {"sgd": kernels.SGD, "adam": kernels.ADAM}


@dataclass(frozen=True, slots=True)
class SignAttack:
    """An l_inf attack: radius ``epsilon``, and sign steps of ``eta`` times the radius; made by `fgsm` and `pgd`."""

    epsilon: float
    steps: int
    eta: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """R trained networks of width m: ``U`` (R, d, m), ``alpha`` (R, m); ``values`` (R, C) at ``checkpoints`` (C,).

    Values are objectives of the non-convex problem, weight decay included, on the data as given, also where training
    was adversarial. A run that diverged has values that are not finite.
    """

    U: Array
    alpha: Array
    values: Array
    checkpoints: Integers

    @property
    def best(self) -> int:
        """The restart of least final value; one that diverged never wins unless all did."""
        return int(np.argmin(np.where(np.isfinite(self.values[:, -1]), self.values[:, -1], np.inf)))


def fgsm(epsilon: float) -> SignAttack:
    """Return the fast gradient sign attack: one step of length ``epsilon``; ValueError unless it is >= 0 and finite."""
    return SignAttack(checked_radius(epsilon), 1, 1.0)


def pgd(epsilon: float, *, steps: int = 7) -> SignAttack:
    """Return projected sign steps, ``steps`` of length ``2.5 epsilon / steps`` from zero; ValueError as `fgsm`."""
    count = checked_count("steps", steps)
    return SignAttack(checked_radius(epsilon), count, 2.5 / count)


def train(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    beta: float,
    rng: np.random.Generator,
    *,
    width: int,
    loss: str = "squared",
    method: str = "adam",
    restarts: int = 10,
    steps: int = 4000,
    learning_rate: float = 0.02,
    init: float = 0.5,
    batch: int | None = None,
    attack: SignAttack | None = None,
    perturbed: npt.ArrayLike | None = None,
    checkpoints: npt.ArrayLike | None = None,
) -> Trained:
    """Train ``restarts`` networks of ``width`` m by Adam or SGD with weight decay and a step that falls as a cosine.

    ``x`` (n, d), ``y`` (n,; -1 or 1 unless squared), ``beta`` > 0. Weights start as ``init`` times standard normals,
    drawn from ``rng``: all hidden layers, then all output layers. ``batch`` samples are drawn with replacement at each
    step, their gradient is scaled by n / batch; None takes all n. ``attack`` trains adversarially, on the columns of
    ``perturbed`` (d,), all if None. ``checkpoints`` (C,) ascend in 1..steps, None being the end. For SGD the gradient
    is a sum: its ``learning_rate`` has to fall with n. Raises ValueError on bad shapes, entries, labels and settings.

    Source: baselines of Bai, Gautam and Sojoudi, 2023; Adam is that of Kingma and Ba, 2015.

    >>> x, y = np.array([[1.0], [-1.0]]), np.array([1.0, 1.0])
    >>> trained = train(x, y, 0.1, np.random.default_rng(0), width=6, steps=2000)
    >>> round(float(trained.values.min()), 4)
    0.19
    """
    kind = loss_kind(loss)
    features, targets, decay = checked_training(x, y, beta, loss)
    n, d = features.shape
    m, runs = checked_count("width", width), checked_count("restarts", restarts)
    if method not in METHODS:
        raise ValueError(f"method={method!r}: must be one of {', '.join(METHODS)}")
    size = n if batch is None else _checked_batch(batch, n)
    scale = checked_number("init", init)
    at = checked_checkpoints(checkpoints, checked_count("steps", steps))
    hidden, output = scale * rng.standard_normal((runs, m, d)), scale * rng.standard_normal((runs, m))
    values = np.empty((runs, at.size))
    chosen = SignAttack(0.0, 0, 0.0) if attack is None else attack
    kernels.train(
        kind,
        METHODS[method],
        features,
        targets,
        (decay, checked_number("learning_rate", learning_rate), chosen.eta),
        _bounds(chosen.epsilon, perturbed, d),
        chosen.steps,
        size,
        at,
        rng,
        hidden,
        output,
        values,
    )
    return Trained(np.ascontiguousarray(hidden.transpose(0, 2, 1)), output, values, at)


def attacked(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    U: npt.ArrayLike,
    alpha: npt.ArrayLike,
    attack: SignAttack,
    *,
    loss: str = "squared",
    perturbed: npt.ArrayLike | None = None,
) -> Array:
    """Return ``X + Delta`` (n, d): the data after ``attack`` on the network with ``U`` (d, m) and ``alpha`` (m,).

    Its loss is a lower bound of the worst case over the box. Columns with ``perturbed`` (d,) false stay as they are.
    Raises ValueError on shapes that do not fit, entries that are not finite, and labels as `train`.
    """
    kind = loss_kind(loss)
    features = checked_inputs(x)
    targets = checked_targets(y, features.shape[0], loss)
    n, d = features.shape
    output = checked_shape("alpha", alpha, (np.size(alpha),))
    hidden = np.ascontiguousarray(checked_shape("U", U, (d, output.size)).T)
    moved = np.empty_like(features)
    work = (np.empty((n, output.size)), np.empty(n), np.empty(n))
    bounds = _bounds(attack.epsilon, perturbed, d)
    kernels.attack(kind, features, targets, hidden, output, bounds, attack.steps, attack.eta, work, moved)
    return moved


def _checked_batch(batch: int, n: int) -> int:
    """Return the size of a batch; raise ValueError unless it is an integer in 1..n."""
    size = checked_count("batch", batch)
    if size > n:
        raise ValueError(f"batch={batch!r}: must be at most the number of samples, {n}")
    return size


def _bounds(epsilon: float, perturbed: npt.ArrayLike | None, d: int) -> Array:
    """The radius of every column (d,): epsilon, or zero where it is not perturbed."""
    return np.where(checked_perturbed(perturbed, d), epsilon, 0.0)
