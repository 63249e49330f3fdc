"""Kernels of gradient training of two-layer ReLU networks: value and gradient, sign attacks, Adam and SGD.

A network has hidden neurons in rows ``U`` (m, d) and output weights ``a`` (m,); its objective is ``loss(sum_j (X u_j)_+
a_j, y) + beta/2 sum_j (|u_j|^2 + a_j^2)`` with losses summed over samples. Restarts run one after another, so that the
memory of one stays in cache. The derivative of the ReLU at zero is taken as zero.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SQUARED, LOGISTIC, HINGE = 0, 1, 2
SGD, ADAM = 0, 1
FIRST_MOMENT, SECOND_MOMENT, SMALL = 0.9, 0.999, 1e-8


@njit(nogil=True, cache=True, error_model="numpy")
def losses(kind: int, outputs: Array, y: Array, slope: Array) -> float:
    """Sum of the losses; ``slope`` (b,) gets their derivatives with respect to the outputs."""
    total = 0.0
    for k in range(y.size):
        margin = y[k] * outputs[k]
        if kind == LOGISTIC:
            total += max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))
            slope[k] = -y[k] / (1.0 + np.exp(margin))
        elif kind == HINGE:
            total += max(1.0 - margin, 0.0)
            slope[k] = -y[k] if margin < 1.0 else 0.0
        else:
            slope[k] = outputs[k] - y[k]
            total += 0.5 * slope[k] * slope[k]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def forward(x: Array, hidden_weights: Array, output_weights: Array, hidden: Array, outputs: Array) -> None:
    """Fill pre-activations ``hidden`` (b, m) and ``outputs`` (b,)."""
    np.dot(x, hidden_weights.T, hidden)
    for k in range(outputs.size):
        total = 0.0
        for j in range(output_weights.size):
            total += max(hidden[k, j], 0.0) * output_weights[j]
        outputs[k] = total


@njit(nogil=True, cache=True, error_model="numpy")
def gradient(
    kind: int,
    x: Array,
    y: Array,
    hidden_weights: Array,
    output_weights: Array,
    work: tuple[Array, ...],
    to_hidden: Array,
    to_output: Array,
) -> float:
    """Sum of the losses on ``x`` (b, d), and its gradient with respect to both layers; no weight decay."""
    hidden, outputs, slope = work
    forward(x, hidden_weights, output_weights, hidden, outputs)
    total = losses(kind, outputs, y, slope)
    to_output[:] = 0.0
    for k in range(y.size):
        for j in range(output_weights.size):
            active = hidden[k, j] > 0.0
            if active:
                to_output[j] += slope[k] * hidden[k, j]
            hidden[k, j] = slope[k] * output_weights[j] if active else 0.0
    np.dot(hidden.T, x, to_hidden)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def attack(
    kind: int,
    x: Array,
    y: Array,
    hidden_weights: Array,
    output_weights: Array,
    bounds: Array,
    steps: int,
    eta: float,
    work: tuple[Array, ...],
    moved: Array,
) -> None:
    """Fill ``moved`` (b, d) with ``x + delta``, ``delta <- clip(delta + eta_c sign(gradient))`` from zero.

    The gradient is that of the loss, for the hinge that of ``-y`` times the output, of which the loss is monotone.

    ``bounds`` (d,) is the radius of each column, zero where it is not perturbed; the step is ``eta`` times it.
    """
    hidden, outputs, slope = work
    push = np.empty_like(x)
    moved[:] = x
    for _ in range(steps):
        forward(moved, hidden_weights, output_weights, hidden, outputs)
        losses(kind, outputs, y, slope)
        for k in range(y.size):
            # The hinge is flat beyond its margin: an attack that read its slope there would never leave the start.
            slope[k] = -y[k] if kind == HINGE else slope[k]
            for j in range(output_weights.size):
                hidden[k, j] = slope[k] * output_weights[j] if hidden[k, j] > 0.0 else 0.0
        np.dot(hidden, hidden_weights, push)
        for k in range(y.size):
            for c in range(bounds.size):
                if bounds[c] > 0.0:
                    delta = moved[k, c] - x[k, c] + eta * bounds[c] * np.sign(push[k, c])
                    moved[k, c] = x[k, c] + min(max(delta, -bounds[c]), bounds[c])


@njit(nogil=True, cache=True, error_model="numpy")
def update(method: int, step: float, t: int, weights: Array, slope: Array, moments: tuple[Array, Array]) -> None:
    """One step of SGD or Adam on a flat array of weights."""
    if method == SGD:
        for i in range(weights.size):
            weights[i] -= step * slope[i]
        return
    first, second = moments
    first_scale, second_scale = 1.0 / (1.0 - FIRST_MOMENT**t), 1.0 / (1.0 - SECOND_MOMENT**t)
    for i in range(weights.size):
        first[i] += (1.0 - FIRST_MOMENT) * (slope[i] - first[i])
        second[i] += (1.0 - SECOND_MOMENT) * (slope[i] * slope[i] - second[i])
        weights[i] -= step * first[i] * first_scale / (np.sqrt(second[i] * second_scale) + SMALL)


@njit(nogil=True, cache=True, error_model="numpy")
def gather(x: Array, y: Array, rng: np.random.Generator, rows: Array, targets: Array) -> None:
    """Fill ``rows`` (b, d) and ``targets`` (b,) with samples drawn uniformly with replacement."""
    n = y.size
    for k in range(targets.size):
        chosen = min(int(n * rng.random()), n - 1)
        rows[k] = x[chosen]
        targets[k] = y[chosen]


@njit(nogil=True, cache=True, error_model="numpy")
def train(
    kind: int,
    method: int,
    x: Array,
    y: Array,
    numbers: tuple[float, float, float],
    bounds: Array,
    attack_steps: int,
    batch: int,
    checkpoints: Integers,
    rng: np.random.Generator,
    hidden_layers: Array,
    output_layers: Array,
    values: Array,
) -> None:
    """Train every restart in place; ``values`` (R, C) gets the objectives on the data as given.

    ``numbers`` are beta, the first step size, which falls to zero along a cosine, and eta of the attack.
    """
    beta, rate, eta = numbers
    n, d = x.shape
    restarts, m = output_layers.shape
    horizon = checkpoints[-1]
    full = (np.empty((n, m)), np.empty(n), np.empty(n))
    work = (np.empty((batch, m)), np.empty(batch), np.empty(batch))
    rows, targets, moved = x[:batch].copy(), y[:batch].copy(), np.empty((batch, d))
    to_hidden, to_output = np.empty((m, d)), np.empty(m)
    for r in range(restarts):
        hidden, output, filled = hidden_layers[r], output_layers[r], 0
        hidden_moments, output_moments = (np.zeros(m * d), np.zeros(m * d)), (np.zeros(m), np.zeros(m))
        for t in range(1, horizon + 1):
            if batch < n:
                gather(x, y, rng, rows, targets)
            inputs = rows
            if attack_steps > 0:
                attack(kind, rows, targets, hidden, output, bounds, attack_steps, eta, work, moved)
                inputs = moved
            gradient(kind, inputs, targets, hidden, output, work, to_hidden, to_output)
            for j in range(m):
                to_output[j] = to_output[j] * n / batch + beta * output[j]
                for c in range(d):
                    to_hidden[j, c] = to_hidden[j, c] * n / batch + beta * hidden[j, c]
            step = 0.5 * rate * (1.0 + np.cos(np.pi * (t - 1) / horizon))
            update(method, step, t, hidden.reshape(m * d), to_hidden.reshape(m * d), hidden_moments)
            update(method, step, t, output, to_output, output_moments)
            if t == checkpoints[filled]:
                forward(x, hidden, output, full[0], full[1])
                decay = 0.5 * beta * (np.sum(hidden * hidden) + np.sum(output * output))
                values[r, filled] = losses(kind, full[1], y, full[2]) + decay
                filled += 1
