"""The losses of two-layer ReLU networks, their conjugates, and the checks of what training is given.

Losses are sums over the n samples, not means, and convex in the outputs ``yhat`` (n,): squared ``||yhat - y||^2 / 2``,
logistic ``sum log(1 + exp(-y_k yhat_k))`` and hinge ``sum (1 - y_k yhat_k)_+``, the last two with labels of -1 and 1.
Notation is that of Bai, Gautam and Sojoudi, Efficient Global Optimization of Two-Layer ReLU Networks, SIAM Journal on
Mathematics of Data Science, 2023.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import entr, expit

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SQUARED, LOGISTIC, HINGE = "squared", "logistic", "hinge"
LOSSES = (SQUARED, LOGISTIC, HINGE)


def loss_value(loss: str, outputs: Array, targets: Array, slack: Array | float = 0.0) -> float:
    """Return the loss of ``outputs`` (n,) at ``targets`` (n,), in the worst case over outputs within ``slack`` (n,).

    ``loss`` is one of `LOSSES`. With a slack s >= 0: ``sum (|yhat - y| + s)^2 / 2``, ``sum log(1 + exp(-y yhat + s))``
    and ``sum (1 - y yhat + s)_+``.
    """
    if loss == SQUARED:
        return 0.5 * float(np.sum((np.abs(outputs - targets) + slack) ** 2))
    if loss == LOGISTIC:
        return float(np.sum(np.logaddexp(0.0, slack - targets * outputs)))
    return float(np.sum(np.maximum(1.0 - targets * outputs + slack, 0.0)))


def negative_gradient(loss: str, outputs: Array, targets: Array) -> Array:
    """Return ``-grad l`` (n,) at ``outputs`` (n,), the dual point that belongs to an optimum; 0 at the hinge's kink."""
    if loss == SQUARED:
        return targets - outputs
    if loss == LOGISTIC:
        return np.asarray(targets * expit(-targets * outputs))
    return targets * (targets * outputs < 1.0)


def dual_value(loss: str, point: Array, targets: Array) -> float:
    """Return ``-l*(-v)`` at ``point`` v (n,), the objective of the dual; minus infinity outside its domain.

    Squared: ``v'y - ||v||^2 / 2``. With ``t_k = y_k v_k``, logistic: ``sum -t_k log t_k - (1 - t_k) log(1 - t_k)``, and
    hinge: ``sum t_k``, both on ``0 <= t_k <= 1``. Re-derived: l* is the conjugate ``sup_yhat <yhat, .> - l(yhat)``.
    """
    if loss == SQUARED:
        return float(point @ targets - 0.5 * point @ point)
    share = targets * point
    if np.any(share < 0.0) or np.any(share > 1.0):
        return -np.inf
    if loss == LOGISTIC:
        return float(np.sum(entr(share) + entr(1.0 - share)))
    return float(np.sum(share))


def checked_loss_name(loss: str) -> str:
    """Return ``loss``; raise ValueError unless it is one of `LOSSES`."""
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r}: must be one of {', '.join(map(repr, LOSSES))}")
    return loss


def checked_inputs(X: npt.ArrayLike) -> Array:
    """Return ``X`` as contiguous float64 (n, d); raise ValueError unless it is finite with n, d >= 1 and not zero."""
    checked = np.ascontiguousarray(X, dtype=np.float64)
    if checked.ndim != 2 or checked.size == 0:
        raise ValueError(f"X.shape={checked.shape}: must be (n, d), samples by features, neither empty")
    checked_finite("X", checked)
    if not np.any(checked):
        raise ValueError(f"X.shape={checked.shape} holds zeros only: no hyperplane passes through such data")
    return checked


def checked_targets(y: npt.ArrayLike, samples: int, loss: str) -> Array:
    """Return ``y`` as float64 (n,); raise ValueError unless finite, and -1 or 1 for the logistic and the hinge loss."""
    checked = checked_vector("y", y, samples)
    wrong = checked[np.abs(checked) != 1.0]
    if checked_loss_name(loss) != SQUARED and wrong.size:
        raise ValueError(f"y holds {wrong[0]:g}: labels must be -1 or 1 for loss={loss!r}; map the two classes to them")
    return checked


def checked_vector(name: str, values: npt.ArrayLike, samples: int) -> Array:
    """Return ``values`` as contiguous float64 (n,); raise ValueError on another shape or entries not finite."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    if checked.shape != (samples,):
        raise ValueError(f"{name}.shape={checked.shape}: must be ({samples},), one number a row of X")
    checked_finite(name, checked)
    return checked


def checked_finite(name: str, values: Array) -> None:
    """Raise ValueError where an entry is NaN or infinite, with its place and value."""
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        place = tuple(int(index) for index in wrong[0])
        raise ValueError(
            f"{name}[{', '.join(map(str, place))}]={values[place]}: must be finite, {len(wrong)} entries are not;"
            " drop or impute them"
        )


def checked_training(X: npt.ArrayLike, y: npt.ArrayLike, beta: float, loss: str) -> tuple[Array, Array, float]:
    """Return X (n, d), y (n,) and beta, checked; the boundary of every training routine.

    Raises ValueError on one sample, rows that are all equal, entries that are not finite, labels other than -1 and 1
    where the loss needs them, and a weight decay that is not positive. X of deficient rank is welcome.
    """
    inputs = checked_inputs(X)
    if inputs.shape[0] < 2:
        raise ValueError("n=1: must be at least 2 samples; a single one says nothing about a function")
    if np.all(inputs == inputs[0]):
        raise ValueError(f"X is constant, its n={inputs.shape[0]} rows are equal: no output can depend on the input")
    targets = checked_targets(y, inputs.shape[0], loss)
    return inputs, targets, checked_decay(beta)


def checked_decay(beta: float) -> float:
    """Return the weight decay; raise ValueError unless it is positive and finite."""
    if not (np.isfinite(beta) and beta > 0.0):
        raise ValueError(f"beta={beta!r}: must be positive and finite; without weight decay no optimum need exist")
    return float(beta)


def checked_activations(patterns: npt.ArrayLike, samples: int) -> Array:
    """Return activation patterns D as contiguous float64 (n, P) of 0 and 1; raise ValueError on anything else."""
    checked = np.ascontiguousarray(patterns, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[0] != samples or checked.shape[1] == 0:
        raise ValueError(f"patterns.shape={checked.shape}: must be ({samples}, P), P >= 1 patterns as columns")
    wrong = checked[(checked != 0.0) & (checked != 1.0)]
    if wrong.size:
        raise ValueError(f"patterns hold {wrong[0]:g}: must be 0 or 1, 1 where the neuron is active")
    return checked


def checked_radius(epsilon: float) -> float:
    """Return the radius of the perturbation; raise ValueError unless it is finite and at least 0."""
    if not (np.isfinite(epsilon) and epsilon >= 0.0):
        raise ValueError(f"epsilon={epsilon!r}: must be finite and at least 0, the l_inf radius of the perturbation")
    return float(epsilon)


def checked_perturbed(perturbed: npt.ArrayLike | None, features: int) -> Mask:
    """Return the mask (d,) of the columns that an adversary may change, all of them if None; raise ValueError else."""
    if perturbed is None:
        return np.ones(features, dtype=np.bool_)
    checked = np.asarray(perturbed)
    if checked.dtype != np.bool_ or checked.shape != (features,) or not checked.any():
        raise ValueError(f"perturbed={perturbed!r}: must be {features} booleans, one a column of X, not all False")
    return checked
