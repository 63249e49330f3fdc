"""Training problems of two-layer ReLU networks: small planted and random data, rings, and real data.

A network of width m maps ``x`` to ``sum_j alpha_j (x'u_j)_+``. Training minimises ``l(outputs, y) + (beta / 2) sum_j
(||u_j||^2 + alpha_j^2)`` with a loss that is a sum over samples. Notation is that of Bai, Gautam and Sojoudi, Efficient
Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms and Adversarial Training, SIAM Journal on
Mathematics of Data Science, 2023. A bias is a last column of ones, which no adversary perturbs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count, checked_deviation
from theorylab.algorithms.relu_losses import SQUARED, checked_perturbed, checked_training

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingProblem:
    """Data and weights of one training problem; made and checked by `training_problem` and the generators.

    ``X`` (n, d) and ``y`` (n,) are C-contiguous float64; ``y`` is -1 or 1 for the logistic and the hinge loss. ``beta``
    is the weight decay, ``loss`` one of "squared", "logistic", "hinge". ``perturbed`` (d,) says which columns an
    adversary may change: all but the bias.
    """

    X: Array
    y: Array
    beta: float
    loss: str
    perturbed: Mask

    @property
    def samples(self) -> int:
        """The number of samples n."""
        return int(self.X.shape[0])

    @property
    def features(self) -> int:
        """The number of columns d, the bias included."""
        return int(self.X.shape[1])


def training_problem(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    beta: float,
    loss: str = SQUARED,
    bias: bool = False,
    perturbed: npt.ArrayLike | None = None,
) -> TrainingProblem:
    """Return the checked problem of ``X`` (n, d) and ``y`` (n,), with a column of ones appended if ``bias``.

    ``perturbed`` is a Boolean (d,) over the columns given, all of them if None. Raises ValueError on n = 1, equal rows,
    entries that are not finite, labels other than -1 and 1 for the logistic and the hinge loss, an unknown loss, a
    ``beta`` that is not positive and a mask that does not fit. Deficient rank is allowed.
    """
    inputs, targets, decay = checked_training(X, y, beta, loss)
    mask = checked_perturbed(perturbed, inputs.shape[1])
    if bias:
        inputs = np.ascontiguousarray(np.column_stack([inputs, np.ones(inputs.shape[0])]))
        mask = np.append(mask, False)
    return TrainingProblem(inputs, targets, decay, loss, mask)


def gauss(
    samples: int,
    features: int,
    rng: np.random.Generator,
    *,
    beta: float = 0.1,
    noise: float = 0.3,
    loss: str = SQUARED,
) -> TrainingProblem:
    """Return Gaussian inputs with the outputs of three planted neurons plus noise; their signs for +-1 labels.

    ``X ~ N(0, 1)``, planted ``U ~ N(0, 1)`` (d, 3), ``a = (1, -1, 0.7)``, ``y = (XU)_+ a + noise N(0, 1)``, drawn in
    this order. Raises ValueError on sizes that are not positive integers, n = 1 or a negative ``noise``.

    >>> gauss(10, 2, np.random.default_rng(0)).X.shape
    (10, 2)
    """
    n, d = checked_count("samples", samples), checked_count("features", features)
    deviation = checked_deviation("noise", noise)
    inputs = rng.standard_normal((n, d))
    planted = rng.standard_normal((d, 3))
    outputs = np.maximum(inputs @ planted, 0.0) @ np.array([1.0, -1.0, 0.7]) + deviation * rng.standard_normal(n)
    return training_problem(inputs, outputs if loss == SQUARED else np.sign(outputs), beta=beta, loss=loss)


def sphere(
    samples: int, features: int, rng: np.random.Generator, *, beta: float = 0.1, loss: str = SQUARED
) -> TrainingProblem:
    """Return inputs uniform on the unit sphere with random labels of -1 and 1: the hardest to fit, and degenerate.

    Raises ValueError on sizes that are not positive integers, or n = 1.
    """
    n, d = checked_count("samples", samples), checked_count("features", features)
    inputs = rng.standard_normal((n, d))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    return training_problem(inputs, np.sign(rng.standard_normal(n)), beta=beta, loss=loss)


def rings(
    samples: int, rng: np.random.Generator, *, beta: float = 0.05, loss: str = "hinge", noise: float = 0.05
) -> TrainingProblem:
    """Return two noisy rings, radius 0.6 with label 1 and 1.1 with label -1, in turn, and a bias column: d = 3.

    Angles are uniform, then radii get ``noise N(0, 1)``. Raises ValueError on a wrong size or a negative ``noise``.
    """
    n, deviation = checked_count("samples", samples), checked_deviation("noise", noise)
    angles = rng.uniform(0.0, 2.0 * np.pi, n)
    labels = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    radii = np.where(labels > 0.0, 0.6, 1.1) + deviation * rng.standard_normal(n)
    inputs = np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])
    return training_problem(inputs, labels, beta=beta, loss=loss, bias=True)


def breast_cancer(
    rng: np.random.Generator,
    *,
    samples: int | None = None,
    components: int | None = None,
    beta: float = 0.1,
    loss: str = SQUARED,
    bias: bool = True,
) -> TrainingProblem:
    """Return the Wisconsin breast cancer data: 569 samples, 30 features, label 1 for benign and -1 for malignant.

    Features are standardised, then rotated to their first ``components`` principal components (None: left as they
    are); ``samples`` of them are drawn without replacement (None: all, in order). Raises ValueError where either is not
    in range.
    """
    from sklearn.datasets import load_breast_cancer

    inputs, classes = load_breast_cancer(return_X_y=True)
    return _real(inputs, np.where(classes == 1, 1.0, -1.0), rng, samples, components, beta, loss, bias)


def digits(
    rng: np.random.Generator,
    *,
    samples: int | None = None,
    components: int | None = None,
    beta: float = 0.1,
    loss: str = SQUARED,
    bias: bool = True,
) -> TrainingProblem:
    """Return scikit-learn's handwritten digits 3 (label 1) against 8 (label -1): 357 samples of 8 x 8 pixels.

    Standardised, without pixels that are constant, and otherwise as `breast_cancer`.
    """
    from sklearn.datasets import load_digits

    inputs, classes = load_digits(return_X_y=True)
    chosen = (classes == 3) | (classes == 8)
    return _real(inputs[chosen], np.where(classes[chosen] == 3, 1.0, -1.0), rng, samples, components, beta, loss, bias)


def _real(
    inputs: Array,
    labels: Array,
    rng: np.random.Generator,
    samples: int | None,
    components: int | None,
    beta: float,
    loss: str,
    bias: bool,
) -> TrainingProblem:
    """Standardise, project to principal components and draw samples, in this order."""
    deviations = inputs.std(axis=0)
    scaled = (inputs - inputs.mean(axis=0))[:, deviations > 0.0] / deviations[deviations > 0.0]
    if components is not None:
        if checked_count("components", components) > scaled.shape[1]:
            raise ValueError(f"components={components}: must be at most {scaled.shape[1]}, the features that vary")
        scaled = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][:components].T
    if samples is not None:
        if checked_count("samples", samples) > len(labels):
            raise ValueError(f"samples={samples}: must be at most {len(labels)}, the size of the data set")
        drawn = rng.choice(len(labels), samples, replace=False)
        scaled, labels = scaled[drawn], labels[drawn]
    return training_problem(scaled, labels, beta=beta, loss=loss, bias=bias)
