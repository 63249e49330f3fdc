"""Cost of a sub-gradient iteration: against plain numpy, stacked against alone, and the share of memory bandwidth.

Run ``python tests/benchmarks/bench_subgradient.py [--quick]``. All ratios come from one run on one thread and are
medians; the competitors of a ratio take turns, so that a slow phase of the machine hits both.

- numpy: ``F @ vec(UU^T)`` and ``sign @ F`` with the full m x d^2 operator, and the spectral norm of the symmetric
  d x d result.
- alone: an iteration of `subgradient_method`, everything included.
- an arm: the same per arm of `subgradient_method_stacked`.
- triad: bytes per second of ``a = b + 3 c`` on arrays that have the operator's size together.
- share: what the lone iteration reaches of the triad, counting only the one reading of the operator.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: BLAS reads them once

import argparse  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
from numba import njit  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from problems.matrix_sensing import Noise, ground_truth, measure  # noqa: E402
from theorylab.algorithms.low_rank_start import spectral_start  # noqa: E402
from theorylab.algorithms.packed_symmetric import pack_measurements  # noqa: E402
from theorylab.algorithms.subgradient_method import (  # noqa: E402
    Arm,
    Schedule,
    StepRule,
    subgradient_method,
    subgradient_method_stacked,
)

SIZES = ((20, 2000), (60, 8000))
STEP, DECAY = 0.1, 0.99


@njit(nogil=True, error_model="numpy")
def triad(a: np.ndarray, b: np.ndarray, c: np.ndarray, rounds: int) -> None:
    """Fill ``a`` with ``b + 3 c``, again and again."""
    for _ in range(rounds):
        for i in range(a.size):
            a[i] = b[i] + 3.0 * c[i]


def numpy_iterations(full: np.ndarray, observations: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """The method as one would write it down: ``full`` is (m, d^2)."""
    u, d = start.copy(), start.shape[0]
    for t in range(steps):
        signs = np.sign(full @ (u @ u.T).ravel() - observations)
        q = (signs @ full).reshape(d, d) / observations.size
        q = 0.5 * (q + q.T)
        u -= 2.0 * STEP * DECAY**t / np.linalg.norm(q, 2) * (q @ u)
    return u


def median_seconds(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median duration of each task, the tasks taking turns; a first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats + 1):
        for name, task in tasks.items():
            begun = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - begun)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def measure_size(d: int, m: int, arms: int, steps: int, repeats: int) -> tuple[str, ...]:
    """One row of the table."""
    rng = np.random.default_rng(0)
    truth = ground_truth(d, 3, 2.0, rng)
    matrices = rng.standard_normal((m, d, d))
    instance = measure(truth, pack_measurements(matrices), rng, Noise(share=0.1))
    full = matrices.reshape(m, d * d)
    start = spectral_start(instance.operator, instance.observations, d, 1e-3)
    schedule = Schedule(StepRule.NORMALISED, STEP, steps, DECAY)
    packed, observed = instance.operator, instance.observations
    a, b, c = np.zeros((3, packed.size // 3))
    seconds = median_seconds(
        {
            "numpy": lambda: numpy_iterations(full, observed, start, steps),
            "alone": lambda: subgradient_method(packed, observed, start, schedule, truth=truth.matrix),
            "stacked": lambda: subgradient_method_stacked(
                packed, observed, [Arm(start, schedule)] * arms, truth=truth.matrix
            ),
            "triad": lambda: triad(a, b, c, steps),
        },
        repeats,
    )
    # Ours evaluates the loss at the last point too: T steps are T + 1 passes.
    plain, alone, stacked = (
        seconds["numpy"] / steps,
        seconds["alone"] / (steps + 1),
        seconds["stacked"] / (steps + 1) / arms,
    )
    bandwidth = 3 * a.nbytes * steps / seconds["triad"]
    return (
        f"({d}, {m})",
        f"{packed.nbytes / 1e6:.1f}",
        f"{plain * 1e6:.0f}",
        f"{alone * 1e6:.0f}",
        f"{plain / alone:.2f}",
        f"{stacked * 1e6:.1f}",
        f"{alone / stacked:.2f}",
        f"{bandwidth / 1e9:.1f}",
        f"{packed.nbytes / alone / bandwidth:.0%}",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Benchmark the sub-gradient method.")
    parser.add_argument("--quick", action="store_true", help="fewer steps and repeats: a few seconds")
    parser.add_argument("--arms", type=int, default=32, help="arms that run stacked (default 32)")
    options = parser.parse_args()
    if options.arms < 2:
        parser.error(f"--arms {options.arms}: must be at least 2")
    table = Table(title=f"One iteration of SubGM, microseconds; {options.arms} arms stacked; one thread")
    for name in ("(d, m)", "B, MB", "numpy", "alone", "faster", "an arm", "cheaper", "triad, GB/s", "share"):
        table.add_column(name, justify="right")
    for d, m in SIZES:
        steps = 400 if d < 40 else 60
        table.add_row(
            *measure_size(d, m, options.arms, steps // 3 if options.quick else steps, 3 if options.quick else 9)
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
