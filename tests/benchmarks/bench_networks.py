"""Speed of the training kernel and of the closed-form Hessians, each beside the plain way to the same numbers.

    python tests/benchmarks/bench_networks.py [--quick]

One thread; the contestants take turns and medians are compared, after a check that they agree.

- Training: the compiled kernel against numpy matrix products, by batch size, 64-12-10 tanh network on digits.
- Hessian of that network: closed form against one exact Hessian-vector product for each column.
- Top eigenvalue of a small batch's softmax Hessian: the Gram side against the whole matrix.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: BLAS reads them once

import argparse  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from scipy.linalg import eigh  # noqa: E402

from problems import digit_networks, hidden_layer_networks, labelled_data, softmax_digits  # noqa: E402
from theorylab.algorithms import network_training  # noqa: E402

Run = Callable[[], np.ndarray]


def numpy_training(network: hidden_layer_networks.HiddenLayerNetwork, batches: np.ndarray, rate: float) -> np.ndarray:
    """Plain SGD with matrix products, as one would write it."""
    weights = network.weights.copy()
    split = network.inputs.shape[1] * network.hidden
    first, second = weights[:split].reshape(network.hidden, -1), weights[split:].reshape(-1, network.classes)
    size = batches.shape[1]
    rows, ones = np.arange(size), np.ones((size, 1))
    for batch in batches:
        x = network.inputs[batch]
        neurons = np.tanh(x @ first.T)
        extended = np.hstack([neurons, ones])
        scores = extended @ second
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[rows, network.labels[batch]] -= 1.0
        p /= size
        back = (p @ second[:-1].T) * (1.0 - neurons**2)
        second -= rate * (extended.T @ p)
        first -= rate * (back.T @ x)
    return weights


def column_by_column(network: hidden_layer_networks.HiddenLayerNetwork) -> np.ndarray:
    """The Hessian by one exact product for each unit vector."""
    return np.column_stack([hidden_layer_networks.hessian_product(network, e) for e in np.eye(network.parameters)])


def whole_top(problem: softmax_digits.SoftmaxRegression, batch: np.ndarray) -> np.ndarray:
    """The top eigenvalue from the P x P matrix."""
    top = problem.parameters - 1
    return eigh(softmax_digits.hessian(problem, batch), eigvals_only=True, subset_by_index=[top, top])


def compare(title: str, tasks: dict[str, Run], repeats: int) -> Table:
    """A table of median durations; the first task is ours, and the others have to agree with it."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    values = {}
    for _ in range(repeats + 1):
        for name, task in tasks.items():
            begun = time.perf_counter()
            values[name] = task()
            seconds[name].append(time.perf_counter() - begun)
    median = {name: float(np.median(times[1:])) for name, times in seconds.items()}
    ours = next(iter(tasks))
    table = Table(title=title)
    for column in ("way", "ms", "ours is faster", "largest difference"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name in tasks:
        gap = float(np.max(np.abs(values[name] - values[ours])))
        table.add_row(name, f"{median[name] * 1e3:.2f}", f"{median[name] / median[ours]:.1f} x", f"{gap:.1e}")
    return table


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps and repeats")
    quick = parser.parse_args().quick
    repeats, steps, console = (2, 200, Console()) if quick else (5, 1000, Console())
    rng = np.random.default_rng(0)
    network = digit_networks.digit_network(rng)
    for size in (2, 8, 32, 128):
        batches = network_training.draw_batches(network.samples, size, steps, rng)
        tasks: dict[str, Run] = {
            "kernel": lambda batches=batches: (
                network_training.train(
                    network.inputs,
                    network.labels,
                    network.weights,
                    batches,
                    network_training.sgd(),
                    0.1,
                    hidden=network.hidden,
                    classes=network.classes,
                ).weights
            ),
            "numpy": lambda batches=batches: numpy_training(network, batches, 0.1),
        }
        console.print(compare(f"{steps} steps of SGD, B = {size}", tasks, repeats))
    tasks = {
        "closed form": lambda: hidden_layer_networks.hessian(network),
        "columns": lambda: column_by_column(network),
    }
    console.print(compare("Hessian of the network, P = 910, N = 1797", tasks, min(repeats, 2)))
    problem = softmax_digits.softmax_digits()
    few = labelled_data.draw_batch(problem.samples, 16, rng)
    tasks = {
        "Gram side": lambda: np.array([softmax_digits.top_eigenvalue(problem, few)]),
        "whole": lambda: whole_top(problem, few),
    }
    console.print(compare("Top eigenvalue, softmax Hessian, P = 650, B = 16", tasks, repeats))


if __name__ == "__main__":
    main()
