"""Networks with one hidden layer and softmax output: loss, gradient, Hessian and its products in closed form.

For inputs ``x_i`` (with a last 1 where there are biases) and weights W (h, d), V (h, K): ``z = W x``, ``a = phi(z)``
(with a last 1), scores ``f = a V``, ``p = softmax(f)``, residual ``r = p - e_y``, loss the mean cross-entropy. With
``A = diag p - p p'`` and s = phi'(z), the blocks of the Hessian of one sample are

    W_ja, W_lb:  x_a x_b [ s_j s_l (V A V')_jl + 1{j=l} (V r)_j phi''(z_j) ]
    W_ja, V_gk:  x_a s_j [ (V A)_jk a_g + 1{g=j} r_k ]
    V_gk, V_ml:  a_g a_m A_kl

where the two terms with the residual are what the generalised Gauss-Newton matrix leaves out. So the whole Hessian is a
few matrix products, much faster than column by column. Products ``H v`` are exact: the gradient's derivative along
v, after Pearlmutter, Fast exact multiplication by the Hessian, 1994. For the rectifier, phi'' = 0 away from the kinks.
Parameters are one vector: W row by row, then V row by row; biases are the last column of W and the last row of V.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from problems.labelled_data import Array, Integers, LabelledData, checked_batch
from problems.softmax_digits import softmax
from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.online_losses import checked_array, checked_positive

Activation = Literal["tanh", "relu"]


@dataclass(frozen=True, slots=True, eq=False)
class HiddenLayerNetwork:
    """A network at a point: ``inputs`` (N, d), the last column ones if ``biases``; ``labels`` (N,); ``weights`` (P,).

    ``hidden`` h neurons, ``classes`` K, ``P = h d + (h + 1) K`` with biases and ``h d + h K`` without.
    """

    inputs: Array
    labels: Integers
    weights: Array
    hidden: int
    classes: int
    activation: Activation
    biases: bool

    @property
    def samples(self) -> int:
        """The number of samples N."""
        return int(self.inputs.shape[0])

    @property
    def parameters(self) -> int:
        """The number of parameters P."""
        return int(self.weights.size)


def initial_network(
    data: LabelledData,
    hidden: int,
    rng: np.random.Generator,
    *,
    activation: Activation = "tanh",
    biases: bool = True,
    gain: float = 1.0,
) -> HiddenLayerNetwork:
    """Return a network on ``data`` with weights N(0, gain^2 / inputs of the layer), biases zero.

    Raises ValueError on a hidden size that is not a positive integer, another activation or a gain not positive.
    """
    h = checked_count("hidden", hidden)
    if activation not in ("tanh", "relu"):
        raise ValueError(f"activation={activation!r}: must be 'tanh' or 'relu'")
    scale = checked_positive("gain", gain)
    first = scale / np.sqrt(data.dimension) * rng.standard_normal((h, data.dimension))
    second = scale / np.sqrt(h) * rng.standard_normal((h, data.classes))
    inputs = data.features
    if biases:
        first, second = np.column_stack([first, np.zeros(h)]), np.vstack([second, np.zeros(data.classes)])
        inputs = np.ascontiguousarray(np.column_stack([inputs, np.ones(data.samples)]))
    weights = np.concatenate([first.ravel(), second.ravel()])
    return HiddenLayerNetwork(inputs, data.labels, weights, h, data.classes, activation, biases)


def at_weights(network: HiddenLayerNetwork, weights: npt.ArrayLike) -> HiddenLayerNetwork:
    """Return the network at other ``weights`` (P,); raises ValueError on a wrong shape or entries not finite."""
    return replace(network, weights=checked_array("weights", weights, (network.parameters,)).copy())


def on_batch(network: HiddenLayerNetwork, batch: npt.ArrayLike) -> HiddenLayerNetwork:
    """Return the network on the samples of ``batch`` (B,) alone, so that every function gives the batch's value.

    Raises ValueError unless the batch holds distinct indices in 0..N-1.
    """
    indices = checked_batch(batch, network.samples)
    return replace(network, inputs=network.inputs[indices], labels=network.labels[indices])


def loss(network: HiddenLayerNetwork) -> float:
    """Return the mean cross-entropy in nats."""
    _, _, _, a = _forward(network)
    scores = a @ _split(network, network.weights)[1]
    top = scores.max(axis=1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float(np.mean(normaliser - scores[np.arange(network.samples), network.labels]))


def gradient(network: HiddenLayerNetwork) -> Array:
    """Return the gradient (P,) of the loss."""
    _, v = _split(network, network.weights)
    p, s, _, a = _forward(network)
    residual = _residual(network, p)
    back = (residual @ v[: network.hidden].T) * s
    return np.concatenate([(back.T @ network.inputs).ravel(), (a.T @ residual).ravel()])


def hessian_product(network: HiddenLayerNetwork, vector: npt.ArrayLike) -> Array:
    """Return ``H u`` (P,) for ``vector`` u (P,), exactly: every line of `gradient`, differentiated along u.

    Raises ValueError on a vector of another shape or not finite.
    """
    u = checked_array("vector", vector, (network.parameters,))
    h = network.hidden
    _, v = _split(network, network.weights)
    du, dv = _split(network, u)
    p, s, bend, a = _forward(network)
    residual = _residual(network, p)
    moved_z = network.inputs @ du.T
    moved_a = np.zeros_like(a)  # the constant 1 of the biases does not move
    moved_a[:, :h] = s * moved_z
    moved_scores = moved_a @ v + a @ dv
    moved_residual = p * (moved_scores - np.einsum("nk,nk->n", p, moved_scores)[:, None]) / network.samples
    moved_back = (moved_residual @ v[:h].T + residual @ dv[:h].T) * s + (residual @ v[:h].T) * bend * moved_z
    second = a.T @ moved_residual + moved_a.T @ residual
    return np.concatenate([(moved_back.T @ network.inputs).ravel(), second.ravel()])


def hessian(network: HiddenLayerNetwork) -> Array:
    """Return the Hessian (P, P) of the loss, away from kinks for the rectifier."""
    return _curvature(network, 1.0)


def gauss_newton(network: HiddenLayerNetwork) -> Array:
    """Return the generalised Gauss-Newton matrix (P, P): the Hessian without the terms with the residual."""
    return _curvature(network, 0.0)


def extreme_excess(
    network: HiddenLayerNetwork, top: npt.ArrayLike, bottom: npt.ArrayLike, batch: npt.ArrayLike
) -> tuple[float, float]:
    """Return ``lambda_max(H_B) - u'H_B u`` and ``v'H_B v - lambda_min(H_B)`` for the Hessian of a batch (B,).

    ``top`` u and ``bottom`` v (P,) are eigenvectors of the extreme eigenvalues of the whole Hessian. The quadratic
    forms are control variates, of mean exactly ``lambda_1`` and ``lambda_P`` over batches, so the means of the two
    numbers are the excesses of the extreme eigenvalues. Raises ValueError on wrong shapes and batches.
    """
    u = checked_array("top", top, (network.parameters,))
    v = checked_array("bottom", bottom, (network.parameters,))
    h = hessian(on_batch(network, batch))
    eigenvalues = np.linalg.eigvalsh(h)
    return float(eigenvalues[-1] - u @ h @ u / (u @ u)), float(v @ h @ v / (v @ v) - eigenvalues[0])


def descend(network: HiddenLayerNetwork, steps: int, rate: float) -> HiddenLayerNetwork:
    """Return the network after ``steps`` of gradient descent on all its samples.

    Raises ValueError unless ``steps`` is an integer of at least 0 and ``rate`` positive, and where weights leave the
    range of double precision.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"steps={steps!r}: must be an integer, zero or more")
    checked_positive("rate", rate)
    moving = replace(network, weights=network.weights.copy())
    for _ in range(steps):
        moving.weights[:] -= rate * gradient(moving)
    if not np.isfinite(moving.weights).all():
        raise ValueError(f"rate={rate!r}: gradient descent diverged in {steps} steps; take a smaller rate")
    return moving


def _curvature(network: HiddenLayerNetwork, share: float) -> Array:
    """Return Gauss-Newton plus ``share`` times the terms with the residual, (P, P)."""
    _, v = _split(network, network.weights)
    p, s, bend, a = _forward(network)
    residual = _residual(network, p) * share
    first = network.inputs.shape[1] * network.hidden
    whole = np.empty((network.parameters, network.parameters))
    whole[:first, :first] = _first_block(network, v[: network.hidden], p, s, residual, bend)
    whole[:first, first:] = _cross_block(network, v[: network.hidden], p, s, residual, a)
    whole[first:, :first] = whole[:first, first:].T
    whole[first:, first:] = _second_block(a, p)
    return whole


def _first_block(network: HiddenLayerNetwork, v: Array, p: Array, s: Array, residual: Array, bend: Array) -> Array:
    """Return the block of W with W, (h d, h d)."""
    x, h = network.inputs, network.hidden
    mean_v = p @ v.T  # (N, h), V p
    own = (residual @ v.T) * bend
    blocks = np.empty((h, x.shape[1], h, x.shape[1]))
    for j in range(h):
        for i in range(j, h):
            weight = s[:, j] * s[:, i] * (p @ (v[j] * v[i]) - mean_v[:, j] * mean_v[:, i]) / network.samples
            if i == j:
                weight = weight + own[:, j]
            block = (x * weight[:, None]).T @ x
            blocks[j, :, i, :] = block
            blocks[i, :, j, :] = block.T
    return blocks.reshape(h * x.shape[1], h * x.shape[1])


def _cross_block(network: HiddenLayerNetwork, v: Array, p: Array, s: Array, residual: Array, a: Array) -> Array:
    """Return the block of W with V, (h d, width of a times K)."""
    x, n, classes = network.inputs, network.samples, network.classes
    mean_v = p @ v.T
    blocks = np.empty((network.hidden, x.shape[1], a.shape[1], classes))
    for j in range(network.hidden):
        through = p * (v[j] - mean_v[:, j, None]) / n  # (N, K), (V A)_j
        terms = a[:, :, None] * through[:, None, :]
        terms[:, j, :] += residual
        blocks[j] = ((x * s[:, j, None]).T @ terms.reshape(n, -1)).reshape(x.shape[1], a.shape[1], classes)
    return blocks.reshape(network.hidden * x.shape[1], -1)


def _second_block(a: Array, p: Array) -> Array:
    """Return the block of V with V, (width of a times K, the same)."""
    n, classes = p.shape
    blocks = np.empty((a.shape[1], classes, a.shape[1], classes))
    for k in range(classes):
        for j in range(k, classes):
            weight = p[:, k] * ((k == j) - p[:, j]) / n
            blocks[:, k, :, j] = (a * weight[:, None]).T @ a
            blocks[:, j, :, k] = blocks[:, k, :, j].T
    return blocks.reshape(a.shape[1] * classes, -1)


def _split(network: HiddenLayerNetwork, weights: Array) -> tuple[Array, Array]:
    """Return views W (h, d) and V (width of a, K) of a vector (P,) of parameters."""
    first = network.inputs.shape[1] * network.hidden
    return weights[:first].reshape(network.hidden, -1), weights[first:].reshape(-1, network.classes)


def _forward(network: HiddenLayerNetwork) -> tuple[Array, Array, Array, Array]:
    """Return p (N, K), phi' and phi'' (N, h), and a (N, h or h + 1) at the weights."""
    w, v = _split(network, network.weights)
    z = network.inputs @ w.T
    if network.activation == "tanh":
        neurons = np.tanh(z)
        slope = 1.0 - neurons**2
        bend = -2.0 * neurons * slope
    else:
        neurons, slope, bend = np.maximum(z, 0.0), (z > 0.0).astype(np.float64), np.zeros_like(z)
    a = np.column_stack([neurons, np.ones(network.samples)]) if network.biases else neurons
    return softmax(a @ v), slope, bend, a


def _residual(network: HiddenLayerNetwork, p: Array) -> Array:
    """Return ``(p - e_y) / N``, (N, K)."""
    residual = p.copy()
    residual[np.arange(network.samples), network.labels] -= 1.0
    return residual / network.samples
