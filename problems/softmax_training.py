"""Minibatch training of softmax regression whose rate and momentum a rule sets anew from the batch's curvature.

Granziol, Zohren and Roberts, Learning Rates as a Function of Batch Size, JMLR 23, 2022, section 10.2: every 20 epochs
a few Lanczos steps on the batch Hessian give a rate and a momentum. The rule is any function of a matrix-vector product
and its dimension, for instance `theorylab.algorithms.curvature_learner.learn_step`; a constant rule is an arm of a
grid. Weight decay counts in the loss that is trained and in the
curvature, as otherwise the smallest eigenvalue is zero. The weights of the last part of training are averaged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from problems.labelled_data import Array, Integers
from problems.softmax_digits import SoftmaxRegression, at_weights, hessian_product, mean_gradient, mean_loss
from theorylab.algorithms.checks import checked_count, checked_deviation
from theorylab.algorithms.network_training import draw_batches

Product = Callable[[Array], Array]
# From the product with a batch's curvature (P,) -> (P,) and P to a learning rate and a momentum.
Rule = Callable[[Product, int], tuple[float, float]]
Momentum = Literal["polyak", "nesterov"]


@dataclass(frozen=True, slots=True, eq=False)
class LearnedTraining:
    """What training leaves: the averaged ``weights`` (K, d), their data ``loss`` (nats, infinite after divergence).

    ``rates`` and ``momenta`` (E,) are those that the rule set, at every one of its E calls.
    """

    weights: Array
    loss: float
    rates: Array
    momenta: Array

    @property
    def diverged(self) -> bool:
        """Whether weights left the range of double precision."""
        return not bool(np.isfinite(self.loss))


def constant_rule(rate: float, momentum: float) -> Rule:
    """Return the rule that never looks at the curvature: an arm of a grid."""
    return lambda product, n: (rate, momentum)


def train_by_rule(
    problem: SoftmaxRegression,
    rule: Rule,
    rng: np.random.Generator,
    *,
    momentum: Momentum = "polyak",
    batch: int = 128,
    epochs: int = 60,
    every: int = 20,
    decay: float = 5e-4,
    averaged: float = 0.25,
) -> LearnedTraining:
    """Train from the problem's weights with batches of B = ``batch``; ``rule`` is asked every ``every`` epochs.

    ``momentum`` "polyak" is the heavy ball, "nesterov" takes the gradient at ``w + rho (w - w_before)``. The rule sees
    the curvature of the batch whose step is next, plus ``decay`` times the identity. The last share ``averaged`` of the
    iterates is averaged. ``rng`` draws the batches and nothing else, so arms with equal seeds share them. Divergence is
    an infinite loss. Raises ValueError unless 1 <= B <= N, counts are positive, ``decay`` is not negative and
    ``averaged`` in (0, 1], and where the rule returns a rate or momentum that is not finite.
    """
    checked_deviation("decay", decay)
    if momentum not in ("polyak", "nesterov"):
        raise ValueError(f"momentum={momentum!r}: must be 'polyak' or 'nesterov'")
    if not 0.0 < averaged <= 1.0:
        raise ValueError(f"averaged={averaged!r}: must be in (0, 1], the share of the iterates that is averaged")
    # Sizes are checked by draw_batches; here only what the length of an epoch needs.
    steps_an_epoch = max(1, problem.samples // checked_count("batch", batch))
    total = steps_an_epoch * checked_count("epochs", epochs)
    batches = draw_batches(problem.samples, batch, total, rng)
    between = steps_an_epoch * checked_count("every", every)
    first_averaged = total - max(1, int(averaged * total))
    w, before, mean = problem.weights.copy(), problem.weights.copy(), np.zeros_like(problem.weights)
    asked: list[tuple[float, float]] = []
    for t in range(total):
        if t % between == 0:
            asked.append(_ask(rule, at_weights(problem, w), batches[t], decay))
        rate, inertia = asked[-1]
        ahead = w + inertia * (w - before)
        at = ahead if momentum == "nesterov" else w
        rows = batches[t]
        gradient = mean_gradient(problem.features[rows], problem.labels[rows], at) + decay * at
        before, w = w, ahead - rate * gradient
        if not np.all(np.abs(w) < 1e100):
            return _ended(problem, np.full_like(w, np.nan), asked)
        if t >= first_averaged:
            mean += w / (total - first_averaged)
    return _ended(problem, mean, asked)


def _ask(rule: Rule, here: SoftmaxRegression, rows: Integers, decay: float) -> tuple[float, float]:
    """Return what the rule makes of the curvature of a batch; raise ValueError where it is not finite."""

    def product(vector: Array) -> Array:
        return hessian_product(here, vector, rows) + decay * np.asarray(vector, dtype=np.float64)

    rate, inertia = rule(product, here.parameters)
    if not (np.isfinite(rate) and np.isfinite(inertia)):
        raise ValueError(f"the rule returned rate={rate!r}, momentum={inertia!r}: must be finite; cap the rate")
    return float(rate), float(inertia)


def _ended(problem: SoftmaxRegression, weights: Array, asked: list[tuple[float, float]]) -> LearnedTraining:
    """Collect the result; weights that are not finite have infinite loss."""
    finite = bool(np.isfinite(weights).all())
    loss = mean_loss(problem.features, problem.labels, weights) if finite else np.inf
    rates, momenta = np.array(asked, dtype=np.float64).T
    return LearnedTraining(weights, float(loss), np.ascontiguousarray(rates), np.ascontiguousarray(momenta))
