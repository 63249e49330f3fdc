"""Cost of random-matrix samplers and stability chains: the tridiagonal sampler against dense sampling plus eigvalsh.

Run ``python tests/benchmarks/bench_random_matrices.py [--quick]``. All ratios come from one run on one thread and are
ratios of medians; the competitors of a ratio take turns, so that a slow phase of the machine hits both. Before they are
timed, their mean largest eigenvalues are compared with the law.

- dense: draw a symmetric Gaussian matrix, add the spike, ``numpy.linalg.eigvalsh``; values alone, no overlap.
- dense, one: the same with ``scipy.linalg.eigh`` asked for the top pair only, which also gives the overlap.
- eigh_tridiagonal: the tridiagonal form with scipy's selection of the top pair.
- ours: the tridiagonal form with the compiled root finder, top eigenvalue and overlap.
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
from scipy.linalg import eigh, eigh_tridiagonal  # noqa: E402

from problems.random_matrix_hessians import SpikedWigner  # noqa: E402
from problems.spiked_ensembles import dense_spiked_wigner, extreme_draws, spiked_wigner  # noqa: E402
from theorylab.algorithms.random_matrix_laws import batch_top  # noqa: E402
from theorylab.algorithms.stability_chains import gaussian_pairs, lyapunov_threshold  # noqa: E402
from theorylab.algorithms.stationary_chains import Method, simulated_loss  # noqa: E402

Sampler = Callable[[SpikedWigner, np.random.Generator], float]


def dense(model: SpikedWigner, rng: np.random.Generator) -> float:
    return float(np.linalg.eigvalsh(dense_spiked_wigner(model, rng))[-1])


def dense_one(model: SpikedWigner, rng: np.random.Generator) -> float:
    last = model.parameters - 1
    return float(eigh(dense_spiked_wigner(model, rng), subset_by_index=[last, last])[0][0])


def tridiagonal(model: SpikedWigner, rng: np.random.Generator) -> float:
    drawn, last = spiked_wigner(model, rng), model.parameters - 1
    return float(eigh_tridiagonal(drawn.diagonal, drawn.off_diagonal, select="i", select_range=(last, last))[0][0])


def ours(model: SpikedWigner, rng: np.random.Generator) -> float:
    return float(extreme_draws(model, 1, rng).eigenvalues[0])


SAMPLERS: dict[str, tuple[Sampler, int]] = {  # with the draws of one turn
    "dense": (dense, 1),
    "dense, one": (dense_one, 1),
    "eigh_tridiagonal": (tridiagonal, 20),
    "ours": (ours, 20),
}


def seconds_a_draw(model: SpikedWigner, turns: int) -> dict[str, tuple[float, float]]:
    """Median seconds a draw and the mean eigenvalue found, for each sampler."""
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in SAMPLERS}
    tops: dict[str, list[float]] = {name: [] for name in SAMPLERS}
    ours(model, rng)  # compiles
    for _ in range(turns):
        for name, (sampler, draws) in SAMPLERS.items():
            start = time.perf_counter()
            tops[name] += [sampler(model, rng) for _ in range(draws)]
            times[name].append((time.perf_counter() - start) / draws)
    return {name: (float(np.median(times[name])), float(np.mean(tops[name]))) for name in SAMPLERS}


def chain_table(turns: int) -> Table:
    """Nanoseconds a step of the chains."""
    table = Table("chain", "ns a step", title="stability chains")
    pairs = gaussian_pairs(1.0, 500, 0.6, 4.0, 20_000, np.random.default_rng(0))
    noise = np.random.default_rng(0).standard_normal((20, 5001))
    jobs: dict[str, tuple[Callable[[], float], int]] = {
        "Lyapunov threshold (60 halvings)": (lambda: lyapunov_threshold(pairs), 60 * 20_000),
        "heavy ball": (
            lambda: simulated_loss(Method("heavy ball", 0.9), 0.1, noise, deviation=1.0, batch=4),
            100_000,
        ),
        "Adam": (lambda: simulated_loss(Method("adam", 0.9), 0.01, noise, deviation=1.0, batch=4), 100_000),
    }
    for name, (job, steps) in jobs.items():
        job()
        times = []
        for _ in range(turns):
            start = time.perf_counter()
            job()
            times.append(time.perf_counter() - start)
        table.add_row(name, f"{1e9 * float(np.median(times)) / steps:.1f}")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="P = 500 alone, three turns")
    quick = parser.parse_args().quick
    table = Table("P", "sampler", "ms a draw", "times ours", "mean top / law", title="top of a spiked Wigner matrix")
    for parameters in (500,) if quick else (500, 1000, 2000):
        model = SpikedWigner(parameters, (1.0,), 0.5 / np.sqrt(parameters), 1)
        found = seconds_a_draw(model, 3 if quick else 5)
        law = batch_top(1.0, model.radius)
        for name, (seconds, top) in found.items():
            ratio = seconds / found["ours"][0]
            table.add_row(str(parameters), name, f"{1e3 * seconds:.3f}", f"{ratio:.1f}", f"{top / law:.4f}")
    Console().print(table)
    Console().print(chain_table(3 if quick else 15))


if __name__ == "__main__":
    main()
