"""What the claims on learning rates share: slopes, the small network, and the search for its largest rate."""

import numpy as np
import numpy.typing as npt

from problems.digit_networks import digit_network
from problems.hidden_layer_networks import HiddenLayerNetwork
from theorylab.algorithms import network_training as training
from theorylab.audit import Hypothesis, by_construction

Array = npt.NDArray[np.float64]

#: Half-octave steps; every search that was tried ended well inside.
GRID = 2.0 ** (np.arange(-18, 9) / 2.0)
OPTIMISERS = {
    "heavy ball": training.heavy_ball(),
    "averaged heavy ball": training.ema_heavy_ball(),
    "sgd": training.sgd(),
    "adam": training.adam(),
    "adam, delta = 1": training.adam(damping=1.0),
}
NETWORK = {
    "network": "a tanh network 64-12-10 on all 1797 digits, from a random start; a substitute for the paper's networks",
    "paired": "all rates and optimisers see the same start and the same batches",
}


def log_log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the least-squares slope of ``log y`` over ``log x``, both positive (n,); inf where y is not finite."""
    values = np.asarray(y, dtype=np.float64)
    if not np.isfinite(values).all():
        return np.inf
    return float(np.polyfit(np.log(x), np.log(values), 1)[0])


def largest_rates(
    optimiser: str, network: HiddenLayerNetwork, batches: list[int], steps: int, threshold: float, seed: int
) -> Array:
    """Return the largest rate at which ``optimiser`` trains ``network``, one for each batch size of ``batches``.

    Training counts if the loss over all samples is below ``threshold`` (nats) after ``steps`` steps. Equal ``seed``
    gives equal batches. The grid of "averaged heavy ball" is ten times that of the others: the same grid for both
    conventions of momentum. Raises ValueError where the answer is an end of the grid.
    """
    scale = 10.0 if optimiser == "averaged heavy ball" else 1.0
    rates = np.empty(len(batches))
    for k, size in enumerate(batches):
        drawn = training.draw_batches(network.samples, size, steps, np.random.default_rng([seed, size]))
        found = training.largest_training_rate(
            network.inputs,
            network.labels,
            network.weights,
            drawn,
            OPTIMISERS[optimiser],
            scale * GRID,
            hidden=network.hidden,
            classes=network.classes,
            threshold=threshold,
        )
        if not found.bracketed:
            raise ValueError(f"rate={found.rate!r} of {optimiser} at B={size} is an end of the grid; widen it")
        rates[k] = found.rate
    return rates


def new_network(rng: np.random.Generator) -> tuple[HiddenLayerNetwork, int]:
    """Return the untrained network on digits and a seed for its batches."""
    return digit_network(rng), int(rng.integers(2**32))


def audited_network() -> dict[str, Hypothesis]:
    """Report the hypotheses `NETWORK`."""
    return {
        "network": by_construction("weights N(0, 1/fan-in), biases zero"),
        "paired": by_construction("one start and one sequence of batches for each batch size"),
    }
