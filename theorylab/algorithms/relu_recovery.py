"""Two-layer ReLU networks: recovered from the convex program, their outputs, and the non-convex training objective.

Notation is that of Bai, Gautam and Sojoudi, SIAM Journal on Mathematics of Data Science, 2023: ``x`` is mapped to
``sum_j alpha_j (x'u_j)_+``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.relu_losses import Array, checked_inputs, checked_training, loss_value


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A two-layer network without output bias: ``U`` (d, m), a hidden neuron a column, and ``alpha`` (m,)."""

    U: Array
    alpha: Array

    @property
    def width(self) -> int:
        """The number of hidden neurons m."""
        return int(self.alpha.size)


def recover_network(V: npt.ArrayLike, W: npt.ArrayLike, *, relative_size: float = 0.0) -> Network:
    """Return the network of a point ``V``, ``W`` (d, P) of the convex program; zero columns give no neuron.

    ``(u, alpha) = (v / sqrt||v||, sqrt||v||)`` for columns of V and ``(w / sqrt||w||, -sqrt||w||)`` for those of W, so
    that neurons are balanced and ``(||u||^2 + alpha^2) / 2 = ||v||``. Columns no longer than ``relative_size`` times
    the longest are left out, as an interior-point method leaves none exactly zero; losses with kinks feel that, so
    evaluate again. Raises ValueError on shapes that differ, entries that are not finite, or a ``relative_size`` outside
    [0, 1). Source: Pilanci and Ergen, ICML 2020.

    >>> recover_network([[4.0], [0.0]], [[0.0], [0.0]]).alpha.tolist()
    [2.0]
    """
    positive, negative = np.asarray(V, dtype=np.float64), np.asarray(W, dtype=np.float64)
    if positive.ndim != 2 or positive.shape != negative.shape:
        raise ValueError(f"V.shape={positive.shape}, W.shape={negative.shape}: must both be (d, P)")
    columns = np.hstack([positive, negative])
    if not np.isfinite(columns).all():
        raise ValueError(f"V, W: must be finite, {int(np.sum(~np.isfinite(columns)))} entries are not")
    if not 0.0 <= relative_size < 1.0:
        raise ValueError(f"relative_size={relative_size!r}: must be in [0, 1)")
    lengths = np.linalg.norm(columns, axis=0)
    kept = lengths > relative_size * lengths.max(initial=0.0)
    roots = np.sqrt(lengths[kept])
    signs = np.repeat([1.0, -1.0], positive.shape[1])[kept]
    return Network(np.ascontiguousarray(columns[:, kept] / roots), signs * roots)


def network_outputs(network: Network, X: npt.ArrayLike) -> Array:
    """Return ``(XU)_+ alpha`` (n,) for ``X`` (n, d); zeros for a network without neurons."""
    return np.asarray(np.maximum(np.asarray(X, dtype=np.float64) @ network.U, 0.0) @ network.alpha)


def training_objective(network: Network, X: npt.ArrayLike, y: npt.ArrayLike, *, beta: float, loss: str) -> float:
    """Return ``l((XU)_+ alpha, y) + (beta / 2) sum_j (||u_j||^2 + alpha_j^2)``, the non-convex objective (NC).

    Of any network, it is an upper bound on the optimum of every width at least that of the network. Raises ValueError
    on data as in training, or a network for another number of columns.
    """
    inputs, targets, decay = checked_training(X, y, beta, loss)
    if network.U.shape != (inputs.shape[1], network.width):
        raise ValueError(f"network.U.shape={network.U.shape}: must be ({inputs.shape[1]}, {network.width})")
    weights = float(np.sum(network.U**2) + np.sum(network.alpha**2))
    return loss_value(loss, network_outputs(network, inputs), targets) + 0.5 * decay * weights


def prune_network(network: Network, *, relative_size: float = 1e-6) -> Network:
    """Return the balanced network without the neurons whose ``||u|| |alpha|`` is at most a share of the largest.

    Balancing, ``||u|| = |alpha|``, leaves the outputs as they are and makes the weight decay as small as it can be.
    Raises ValueError on a ``relative_size`` outside [0, 1). Evaluate `training_objective` again after pruning.
    """
    columns = network.U * np.abs(network.alpha)
    positive = network.alpha > 0.0
    return recover_network(
        np.where(positive, columns, 0.0), np.where(positive, 0.0, columns), relative_size=relative_size
    )


def network_patterns(network: Network, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return where each neuron is active on ``X`` (n, d), Boolean (n, m).

    Optimal neurons lie on hyperplanes of the data up to rounding, so that these patterns may differ from the ones that
    the neurons came from; judge a recovered network by its objective.
    """
    return np.asarray(checked_inputs(X) @ network.U >= 0.0)
