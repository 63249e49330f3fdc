"""The numba kernels behind `theorylab.algorithms.network_training`: one tanh layer, softmax output, minibatches.

At this size (64-12-10) plain loops take about as long as a matrix library for batches of 128, and a third of its time
for batches of 2 and 8, where calls cost more than arithmetic. The first layer has one row a neuron, so that the long
loops run over the inputs. Sums may be re-associated and contracted: without that the sum over the inputs does not
vectorise. No other freedom is given, so infinity and NaN keep their meaning.
"""

from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rule = tuple[int, float, float, float]

REASSOCIATE = {"reassoc", "contract"}
HEAVY_BALL, MOVING_AVERAGE, ADAM = 0, 1, 2  # the kinds of optimisers


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def forward(x: Array, first: Array, second: Array, i: int, neurons: Array, scores: Array) -> None:
    """Fill ``neurons`` (h,) and ``scores`` (K,) of sample i; the last row of ``second`` (h + 1, K) holds the biases."""
    hidden, classes = first.shape[0], second.shape[1]
    for j in range(hidden):
        total = 0.0
        for a in range(x.shape[1]):
            total += first[j, a] * x[i, a]
        neurons[j] = total
    for k in range(classes):
        scores[k] = second[hidden, k]
    for j in range(hidden):
        neurons[j] = 1.0 - 2.0 / (exp(2.0 * neurons[j]) + 1.0)  # tanh; half the time of the library's
        for k in range(classes):
            scores[k] += neurons[j] * second[j, k]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def cross_entropy(scores: Array, label: int) -> float:
    """Return the loss of one sample and replace ``scores`` (K,) by the residual ``p - e_label``."""
    top = scores[0]
    for k in range(1, scores.size):
        top = max(top, scores[k])
    own = scores[label] - top
    total = 0.0
    for k in range(scores.size):
        scores[k] = exp(scores[k] - top)
        total += scores[k]
    for k in range(scores.size):
        scores[k] /= total
    scores[label] -= 1.0
    return float(log(total) - own)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def backward(
    x: Array, second: Array, i: int, neurons: Array, residual: Array, back: Array, first_sum: Array, second_sum: Array
) -> None:
    """Add the gradient of sample i to ``first_sum`` (h, d) and ``second_sum`` (h + 1, K); ``back`` (h,) is scratch."""
    hidden, classes = neurons.size, residual.size
    for k in range(classes):
        second_sum[hidden, k] += residual[k]
    for j in range(hidden):
        through = 0.0
        for k in range(classes):
            second_sum[j, k] += neurons[j] * residual[k]
            through += second[j, k] * residual[k]
        back[j] = through * (1.0 - neurons[j] * neurons[j])
    for j in range(hidden):
        for a in range(x.shape[1]):
            first_sum[j, a] += back[j] * x[i, a]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def update(weights: Array, gradient: Array, rule: Rule, rate: float, t: int, mean: Array, square: Array) -> None:
    """Take step t >= 1 of the optimiser; ``mean`` and ``square`` (P,) are its memory."""
    kind, momentum, memory, damping = rule
    if kind == ADAM:
        mean_scale = rate / (1.0 - momentum**t)
        square_scale = 1.0 / (1.0 - memory**t)
        for i in range(weights.size):
            mean[i] = momentum * mean[i] + (1.0 - momentum) * gradient[i]
            square[i] = memory * square[i] + (1.0 - memory) * gradient[i] * gradient[i]
            weights[i] -= mean_scale * mean[i] / (sqrt(square[i] * square_scale) + damping)
    else:
        share = 1.0 - momentum if kind == MOVING_AVERAGE else 1.0
        for i in range(weights.size):
            mean[i] = momentum * mean[i] + share * gradient[i]
            weights[i] -= rate * mean[i]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=REASSOCIATE)
def train(
    x: Array, labels: Integers, batches: Integers, rule: Rule, rate: float, hidden: int, classes: int, weights: Array
) -> int:
    """Train ``weights`` (P,) in place on ``batches`` (T, B); return the steps taken, below T after divergence."""
    split = x.shape[1] * hidden
    first, second = weights[:split].reshape(hidden, -1), weights[split:].reshape(-1, classes)
    gradient, mean, square = np.zeros(weights.size), np.zeros(weights.size), np.zeros(weights.size)
    first_sum, second_sum = gradient[:split].reshape(hidden, -1), gradient[split:].reshape(-1, classes)
    neurons, back, scores = np.empty(hidden), np.empty(hidden), np.empty(classes)
    size = batches.shape[1]
    for t in range(batches.shape[0]):
        gradient[:] = 0.0
        loss = 0.0
        for b in range(size):
            i = batches[t, b]
            forward(x, first, second, i, neurons, scores)
            loss += cross_entropy(scores, labels[i])
            backward(x, second, i, neurons, scores, back, first_sum, second_sum)
        if not np.isfinite(loss):
            return t
        for p in range(weights.size):
            gradient[p] /= size
        update(weights, gradient, rule, rate, t + 1, mean, square)
    return int(batches.shape[0])


@njit(nogil=True, cache=True, error_model="numpy", fastmath=REASSOCIATE)
def mean_loss(x: Array, labels: Integers, hidden: int, classes: int, weights: Array) -> float:
    """Return the mean cross-entropy over all samples, in nats."""
    split = x.shape[1] * hidden
    first, second = weights[:split].reshape(hidden, -1), weights[split:].reshape(-1, classes)
    neurons, scores = np.empty(hidden), np.empty(classes)
    total = 0.0
    for i in range(x.shape[0]):
        forward(x, first, second, i, neurons, scores)
        total += cross_entropy(scores, labels[i])
    return float(total / x.shape[0])
