"""Training of a small tanh network with minibatches, and the largest learning rate at which it works.

The network has one hidden layer, biases and softmax output; the loss is the mean cross-entropy. Four optimisers with a
constant rate alpha, g the gradient of the batch:

    SGD, heavy ball      m <- rho m + g,             w <- w - alpha m         (SGD: rho = 0)
    EMA heavy ball       m <- rho m + (1 - rho) g,   w <- w - alpha m
    Adam                 m as above, s <- beta s + (1 - beta) g^2,
                         w <- w - alpha mhat / (sqrt(shat) + delta), mhat and shat corrected for their start at zero

The EMA convention alone scales the rate of the heavy ball by 1/(1 - rho), and Adam has it built in; comparisons of
largest rates (Granziol, Zohren and Roberts, JMLR 23, 2022, section 11.1) have to account for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from theorylab.algorithms import network_kernels as kernels
from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.online_losses import checked_array, checked_positive

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class TrainingStatus(Enum):
    """How training ended."""

    FINISHED = "all steps were taken"
    DIVERGED = "the loss of a batch left the range of double precision"


@dataclass(frozen=True, slots=True)
class Optimiser:
    """An optimiser: its ``kind``, ``momentum`` rho, ``memory`` beta of the squares and ``damping`` delta (Adam)."""

    kind: int
    momentum: float = 0.0
    memory: float = 0.0
    damping: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What training leaves: ``weights`` (P,), the final mean ``loss`` over all samples (nats), ``status``, ``steps``.

    After divergence the loss is infinite, and ``steps`` counts those taken before.
    """

    weights: Array
    loss: float
    status: TrainingStatus
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class LargestRate:
    """The result of `largest_training_rate`: ``rate``, and the ``losses`` (R,) at the grid's ``rates`` (R,).

    Rates that the bisection did not need have loss NaN. ``bracketed`` is False where the answer is an end of the grid:
    ``rate`` is then its last rate, which is too small a bound, or 0, none having worked.
    """

    rate: float
    rates: Array
    losses: Array
    bracketed: bool


def sgd() -> Optimiser:
    """Return stochastic gradient descent without momentum."""
    return Optimiser(kernels.HEAVY_BALL)


def heavy_ball(momentum: float = 0.9) -> Optimiser:
    """Return heavy-ball momentum with rho in [0, 1); raises ValueError otherwise."""
    return Optimiser(kernels.HEAVY_BALL, _checked_share("momentum", momentum))


def ema_heavy_ball(momentum: float = 0.9) -> Optimiser:
    """Return momentum as an exponential moving average: the heavy ball with rate (1 - rho) alpha."""
    return Optimiser(kernels.MOVING_AVERAGE, _checked_share("momentum", momentum))


def adam(momentum: float = 0.9, memory: float = 0.999, damping: float = 1e-8) -> Optimiser:
    """Return Adam with beta_1 = ``momentum``, beta_2 = ``memory`` in [0, 1) and ``damping`` delta > 0.

    Raises ValueError otherwise.
    """
    return Optimiser(
        kernels.ADAM,
        _checked_share("momentum", momentum),
        _checked_share("memory", memory),
        checked_positive("damping", damping),
    )


def draw_batches(samples: int, size: int, steps: int, rng: np.random.Generator) -> Integers:
    """Return the indices of ``steps`` batches (steps, B), B = ``size``: epochs without replacement, then reshuffled.

    What an epoch has left over when B does not divide N is not used. Pass the same batches to all arms of a comparison.
    Raises ValueError unless 1 <= B <= N and ``steps`` is a positive integer.
    """
    n, b, count = checked_count("samples", samples), checked_count("size", size), checked_count("steps", steps)
    if b > n:
        raise ValueError(f"size={size!r}: must be at most samples={n}; a batch is drawn without replacement")
    each = n // b
    epochs = [rng.permutation(n)[: each * b].reshape(each, b) for _ in range(-(-count // each))]
    return np.ascontiguousarray(np.concatenate(epochs)[:count], dtype=np.int64)


def train(
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    start: npt.ArrayLike,
    batches: npt.ArrayLike,
    optimiser: Optimiser,
    rate: float,
    *,
    hidden: int,
    classes: int,
) -> Trained:
    """Train the tanh network from ``start`` (P,) with one step for each row of ``batches`` (T, B).

    ``inputs`` (N, d) have a last column of ones, ``labels`` (N,) are integers below ``classes`` K, and the weights are
    (h, d) row by row, then (h + 1, K) row by row: ``P = h d + (h + 1) K``. Divergence is a status, no error. Raises
    ValueError on shapes that do not fit, indices out of range, entries not finite and a rate that is not positive.

    >>> rng = np.random.default_rng(0)
    >>> x, y = np.array([[1.0, 1.0], [-1.0, 1.0]]), np.array([0, 1])
    >>> batches = draw_batches(2, 1, 200, rng)
    >>> train(x, y, rng.standard_normal(10), batches, heavy_ball(), 0.1, hidden=2, classes=2).loss < 0.1
    True
    """
    x, y, w, steps = _checked_network(inputs, labels, start, batches, hidden, classes)
    return _run(x, y, w, steps, optimiser, checked_positive("rate", rate), int(hidden), int(classes))


def largest_training_rate(
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    start: npt.ArrayLike,
    batches: npt.ArrayLike,
    optimiser: Optimiser,
    rates: Sequence[float] | Array,
    *,
    hidden: int,
    classes: int,
    threshold: float,
) -> LargestRate:
    """Bisect the ascending grid ``rates`` (R,) for the largest rate whose final loss is below ``threshold`` (nats).

    All rates see the same start and the same ``batches`` (common random numbers). The first rate is taken to work or
    the answer is 0; then a rate that works and a next one that does not are found by bisection, about ``log2 R`` runs.
    With two such pairs, as noise may make, it finds one of them. Arguments as in `train`; raises ValueError also on a
    grid that is empty or not ascending and a threshold that is not positive.
    """
    x, y, w, steps = _checked_network(inputs, labels, start, batches, hidden, classes)
    grid = checked_array("rates", rates, (None,))
    if grid[0] <= 0.0 or np.any(np.diff(grid) <= 0.0):
        raise ValueError(f"rates={grid}: must be positive and ascending")
    limit = checked_positive("threshold", threshold)
    losses = np.full(grid.size, np.nan)

    def works(index: int) -> bool:
        losses[index] = _run(x, y, w, steps, optimiser, float(grid[index]), int(hidden), int(classes)).loss
        return bool(losses[index] < limit)

    low, high = -1, grid.size  # the rate at low works, the rate at high does not; both ends are taken on trust
    while high - low > 1:
        middle = (low + high) // 2
        if works(middle):
            low = middle
        else:
            high = middle
    return LargestRate(float(grid[low]) if low >= 0 else 0.0, grid, losses, 0 <= low < grid.size - 1)


def _run(
    x: Array, y: Integers, start: Array, batches: Integers, optimiser: Optimiser, rate: float, hidden: int, classes: int
) -> Trained:
    """Train with arguments already checked."""
    weights = start.copy()
    rule = (optimiser.kind, optimiser.momentum, optimiser.memory, optimiser.damping)
    taken = int(kernels.train(x, y, batches, rule, rate, hidden, classes, weights))
    final = np.inf
    if taken == batches.shape[0]:
        final = float(kernels.mean_loss(x, y, hidden, classes, weights))
    status = TrainingStatus.FINISHED if np.isfinite(final) else TrainingStatus.DIVERGED
    return Trained(weights, final if np.isfinite(final) else np.inf, status, taken)


def _checked_network(
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    start: npt.ArrayLike,
    batches: npt.ArrayLike,
    hidden: int,
    classes: int,
) -> tuple[Array, Integers, Array, Integers]:
    """Return the arrays of a network and its batches, contiguous; raise ValueError where they do not fit."""
    x = checked_array("inputs", inputs, (None, None))
    h, k = checked_count("hidden", hidden), checked_count("classes", classes)
    w = checked_array("start", start, (x.shape[1] * h + (h + 1) * k,))
    y = _checked_indices("labels", labels, 1, k)
    if y.size != x.shape[0]:
        raise ValueError(f"labels.shape={y.shape}: must be ({x.shape[0]},), one a sample")
    steps = _checked_indices("batches", batches, 2, x.shape[0])
    if steps.shape[1] > x.shape[0]:
        raise ValueError(f"batches.shape={steps.shape}: a batch must be at most the {x.shape[0]} samples; B > N")
    return x, y, w, steps


def _checked_indices(name: str, values: npt.ArrayLike, axes: int, limit: int) -> Integers:
    """Return ``values`` as int64 with ``axes`` axes; raise ValueError unless they are integers in 0..limit-1."""
    checked = np.asarray(values)
    if checked.ndim != axes or checked.size == 0 or not np.issubdtype(checked.dtype, np.integer):
        raise ValueError(f"{name}.shape={checked.shape}, dtype {checked.dtype}: must be non-empty integers, {axes}-d")
    if checked.min() < 0 or checked.max() >= limit:
        raise ValueError(f"{name} in {checked.min()}..{checked.max()}: must be in 0..{limit - 1}")
    return np.ascontiguousarray(checked, dtype=np.int64)


def _checked_share(name: str, value: float) -> float:
    """Return ``value`` as a float; raise ValueError outside [0, 1)."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}={value!r}: must be in [0, 1)")
    return float(value)
