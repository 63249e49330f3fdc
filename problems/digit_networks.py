"""The small networks on which curvature and training are measured: tanh on digits or mixtures, rectifiers on noise.

They stand in for the deep networks of Granziol, Zohren and Roberts, Learning Rates as a Function of Batch Size, JMLR
23, 2022, and are small enough for every eigenvalue of the Hessian to be computed. Loss, products and Hessian are in
`problems.hidden_layer_networks`, the data in `problems.labelled_data`.
"""

from typing import Literal

import numpy as np

from problems.hidden_layer_networks import HiddenLayerNetwork, descend, initial_network
from problems.labelled_data import digits, gaussian_inputs, gaussian_mixture, standardised, whitened

Preparation = Literal["raw", "standardised", "whitened"]


def digit_network(
    rng: np.random.Generator,
    *,
    steps: int = 0,
    rate: float = 0.5,
    samples: int | None = None,
    hidden: int = 12,
    preparation: Preparation = "raw",
    regulariser: float = 0.1,
) -> HiddenLayerNetwork:
    """Return a tanh network 64-``hidden``-10 with biases on digits (P = 910 for 12) after ``steps`` of descent.

    ``preparation`` is "raw" (pixels in [0, 1]), "standardised" (mean 0, deviation 1) or "whitened" (ZCA with
    ``regulariser`` eps, section 13.2). Raises ValueError on another preparation, counts out of range and as `descend`.
    """
    data = digits(samples)
    if preparation == "standardised":
        data = standardised(data)
    elif preparation == "whitened":
        data = whitened(data, regulariser)
    elif preparation != "raw":
        raise ValueError(f"preparation={preparation!r}: must be 'raw', 'standardised' or 'whitened'")
    return descend(initial_network(data, hidden, rng), steps, rate)


def mixture_network(
    rng: np.random.Generator,
    separation: float,
    *,
    steps: int = 0,
    rate: float = 0.2,
    samples: int = 600,
    dimension: int = 30,
    classes: int = 10,
    hidden: int = 12,
) -> HiddenLayerNetwork:
    """Return a tanh network with biases on a Gaussian mixture, section 13, after ``steps`` of gradient descent.

    ``separation=0`` is the control without classes. Raises ValueError as `gaussian_mixture` and `descend`.
    """
    data = gaussian_mixture(samples, dimension, classes, separation, rng)
    return descend(initial_network(data, hidden, rng), steps, rate)


def rectifier_network(
    rng: np.random.Generator,
    samples: int,
    *,
    separable: bool = False,
    steps: int = 0,
    rate: float = 0.5,
    dimension: int = 20,
    hidden: int = 40,
) -> HiddenLayerNetwork:
    """Return a rectifier network without biases, 20-40-2 (P = 880), on Gaussian inputs, after ``steps`` of descent.

    Labels are random, or the sign of ``x_1 + x_2/2`` if ``separable``: then training reaches a small loss. Weights are
    N(0, 2 / inputs of the layer). Raises ValueError as `gaussian_inputs` and `descend`.
    """
    data = gaussian_inputs(samples, dimension, rng, separable=separable)
    start = initial_network(data, hidden, rng, activation="relu", biases=False, gain=float(np.sqrt(2.0)))
    return descend(start, steps, rate)
