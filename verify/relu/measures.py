"""What several claims of this paper draw, measure or audit in the same way."""

import numpy as np
import numpy.typing as npt

from problems.relu_networks import TrainingProblem, gauss, sphere
from theorylab.algorithms.hyperplane_arrangement import general_position_margin
from theorylab.algorithms.relu_sampling import random_directions, relu_features, sampled_lasso, violation_probability
from theorylab.audit import Hypothesis, by_construction, certified

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Instance = tuple[str, int, int, float, str]  # generator, n, d, beta, loss

GENERATORS = {"gauss": gauss, "sphere": sphere}
INSTANCES: tuple[Instance, ...] = (
    ("gauss", 10, 2, 0.1, "squared"),
    ("gauss", 12, 3, 0.3, "squared"),
    ("sphere", 12, 2, 0.05, "squared"),
    ("sphere", 10, 3, 0.2, "logistic"),
    ("gauss", 9, 4, 0.5, "squared"),
)

POSITION = r"any $d$ rows of $X$ are linearly independent"
CONVEX = r"the loss $\ell(\cdot, y)$ is convex"
DIRECTIONS = "directions are drawn independently of one law and of the data, and duplicates count"


def drawn_instance(point: Instance, rng: np.random.Generator) -> TrainingProblem:
    """Draw the training problem of a sweep point."""
    name, samples, features, beta, loss = point
    return GENERATORS[name](samples, features, rng, beta=beta, loss=loss)


def audited_position(X: Array) -> Hypothesis:
    """Certify that the rows of ``X`` (n, d) are in general position; measured is the margin to dependence."""
    return certified(general_position_margin(X), at_least=1e-9, note="least sine between a row and d - 1 others")


def audited_loss(problem: TrainingProblem) -> Hypothesis:
    """Report that the losses of the generators are convex."""
    return by_construction(f"the {problem.loss} loss")


def audited_directions() -> Hypothesis:
    """Report that directions come one after the other from one generator."""
    return by_construction("independent draws from one generator, all of them kept")


def log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the least-squares slope of ``log y`` over ``log x``, both (n,); inf where a ``y`` is not positive."""
    values = np.asarray(y, dtype=np.float64)
    if not (np.isfinite(values).all() and (values > 0.0).all()):
        return float("inf")
    return float(np.polyfit(np.log(x), np.log(values), 1)[0])


def violation(problem: TrainingProblem, features: Array) -> float:
    """Return V_N: the exact probability that a uniform direction lowers the sampled optimum of ``features`` (n, N)."""
    residual = sampled_lasso(features, problem.y, beta=problem.beta).residual
    return violation_probability(problem.X, residual, beta=problem.beta)


def share_that_matters(problem: TrainingProblem, features: Array) -> float:
    """Return s_N / N: the share of the ``features`` (n, N) on which the sampled optimum depends."""
    return sampled_lasso(features, problem.y, beta=problem.beta).support.size / features.shape[1]


def drawn_features(problem: TrainingProblem, count: int, rng: np.random.Generator, *, half: bool) -> Array:
    """Return the outputs (n, N) of N = ``count`` random neurons, of a half space only if ``half``."""
    return relu_features(problem.X, random_directions(count, problem.features, rng, half_space=half))
