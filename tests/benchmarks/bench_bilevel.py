"""Speed of blockwise bilevel methods: against plain numpy, in sampled and in all blocks, in the lower dimension.

    python tests/benchmarks/bench_bilevel.py [--quick]

One thread; contestants take turns and medians of their processor time are compared.

- *numpy* is version 2 as one would write it down: a loop over the sampled blocks, all blocks moved at once.
- *I* and *m*: an iteration's cost should grow linearly with the sampled blocks and not with all of them. The record is
  taken at the ends only, as an exact hypergradient costs O(m dx dy).
- *dy*: version 2 through products with a tridiagonal Hessian should be linear in the lower dimension.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: BLAS reads them once

import argparse  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from theorylab.algorithms.bilevel_matrix_free import BlockOracle, bsvrb_v2  # noqa: E402
from theorylab.algorithms.bilevel_methods import BilevelMethod, BilevelSteps, bsvrb  # noqa: E402
from theorylab.algorithms.bilevel_quadratic import (  # noqa: E402
    QuadraticBlocks,
    bsvrb_v1_quadratic,
    bsvrb_v2_quadratic,
    quadratic_blocks,
)
from theorylab.algorithms.tracking_bounds import gamma_star  # noqa: E402

DX, DY, BATCH, ALPHA = 8, 6, 4, 0.1
NOISE = (0.1, 0.1, 0.5, 0.3)
Run = Callable[[], Any]


def drawn(m: int) -> QuadraticBlocks:
    """Blocks with lower eigenvalues in [1, 3]."""
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.standard_normal((m, DY, DY)))[0]
    a = (q * rng.uniform(1.0, 3.0, (m, 1, DY))) @ q.transpose(0, 2, 1)
    c = (rng.standard_normal((DY, DX)) + rng.standard_normal((m, DY, DX))) / np.sqrt(DX)
    b, targets, anchor = rng.standard_normal((m, DY)), rng.standard_normal((m, DY)), rng.standard_normal(DX)
    symmetric, start = (a + a.transpose(0, 2, 1)) / 2, np.full(DX, 3.0 / np.sqrt(DX))
    return quadratic_blocks(symmetric, c, b, targets, anchor, weight=0.05, start=start, noise=NOISE)


def plan(m: int, sampled: int) -> tuple[BilevelMethod, BilevelSteps]:
    """Weights and steps of the theory's shape."""
    step = 0.2 * sampled / m * np.sqrt(ALPHA)
    return bsvrb(ALPHA, ALPHA, gamma_star(ALPHA, blocks=m, sampled=sampled)), BilevelSteps(step, step, step)


def compiled(blocks: QuadraticBlocks, sampled: int, iterations: int, version: int = 2) -> Run:
    """A run of the compiled method without records in between."""
    method, steps = plan(blocks.count, sampled)
    face = bsvrb_v2_quadratic if version == 2 else bsvrb_v1_quadratic

    def run() -> float:
        rng = np.random.default_rng(0)
        seen = face(
            blocks, method, steps, iterations=iterations, sampled=sampled, batch=BATCH, rng=rng, every=iterations,
            initial_batch=BATCH,
        )  # fmt: skip
        return float(seen.gradient_squares[-1])

    return run


def slope(u: np.ndarray) -> np.ndarray:
    """The derivative of u^2 / (1 + u^2)."""
    return 2.0 * u / (1.0 + u * u) ** 2


def numpy_v2(blocks: QuadraticBlocks, sampled: int, iterations: int) -> float:
    """Version 2 in plain numpy; returns the squared hypergradient at the end."""
    (a, c, b, targets, anchor, gains, base, rho), m = blocks.problem, blocks.count
    method, steps = plan(m, sampled)
    keep, new, old, _ = method.trackers.weights
    rng, root = np.random.default_rng(0), np.sqrt(BATCH)
    sa, sc, sb, sf = (deviation / root for deviation in blocks.noise)
    x, y, v = blocks.start.copy(), np.zeros((m, DY)), np.zeros((m, DY))
    s, u, z = -c @ x - b, -slope(y - targets), rho * slope(x - anchor)
    for _ in range(iterations):
        x_old, y_old, v_old = x, y, v
        x, y, v = x - steps.upper * z, y - steps.lower * s, v - steps.implicit * u
        v = v * np.minimum(1.0, blocks.implicit_radius / np.linalg.norm(v, axis=1))[:, None]
        now, before = np.zeros(DX), np.zeros(DX)
        for i in rng.choice(m, sampled, replace=False):
            n = np.tril(rng.standard_normal((DY, DY)))
            h = a[i] + sa * (n + np.tril(n, -1).T)
            j = c[i] + sc * rng.standard_normal((DY, DX))
            shift, noise = b[i] + sb * rng.standard_normal(DY), sf * rng.standard_normal(DY)
            low, low_old = h @ y[i] - j @ x - shift, h @ y_old[i] - j @ x_old - shift
            adjoint = h @ v[i] - slope(y[i] - targets[i]) - noise
            adjoint_old = h @ v_old[i] - slope(y_old[i] - targets[i]) - noise
            s[i] = keep * s[i] + new * low - old * low_old
            u[i] = keep * u[i] + new * adjoint - old * adjoint_old
            now += j.T @ v[i]
            before += j.T @ v_old[i]
        now = now / sampled + rho * slope(x - anchor)
        before = before / sampled + rho * slope(x_old - anchor)
        z = (1.0 - ALPHA) * (z - before) + now
    gradient = np.einsum("mka,mk->a", gains, slope(base + gains @ x - targets)) / m + rho * slope(x - anchor)
    return float(gradient @ gradient)


def chain_run(dy: int, iterations: int) -> Run:
    """Version 2 on blocks with a tridiagonal lower Hessian, through products only."""
    force = np.random.default_rng(0).standard_normal((4, 2, dy)) / np.sqrt(dy)

    def product(i: int, x: np.ndarray, y: np.ndarray, v: np.ndarray, sample: float) -> np.ndarray:
        out = (3.0 + sample) * v
        out[1:] -= v[:-1]
        out[:-1] -= v[1:]
        return out

    oracle = BlockOracle(
        blocks=4,
        upper_dimension=2,
        lower_dimension=dy,
        draw=lambda i, batch, rng: 0.01 * rng.standard_normal(),
        lower_gradient=lambda i, x, y, sample: product(i, x, y, y, sample) - x @ force[i],
        hessian_vector=product,
        cross_vector=lambda i, x, y, v, sample: -(force[i] @ v),
        upper_gradient_x=lambda i, x, y, sample: 0.1 * x,
        upper_gradient_y=lambda i, x, y, sample: y - 1.0 / np.sqrt(dy),
    )
    method, steps = bsvrb(ALPHA, ALPHA, gamma_star(ALPHA, blocks=4, sampled=2)), BilevelSteps(0.02, 0.02, 0.02)
    return lambda: bsvrb_v2(
        oracle, method, steps, start=[1.0, -1.0], iterations=iterations, sampled=2, batch=1, radius=np.inf,
        rng=np.random.default_rng(0),
    )  # fmt: skip


def median_seconds(tasks: dict[str, Run], repeats: int) -> dict[str, float]:
    """Median duration of each task, the tasks taking turns; a first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats + 1):
        for name, task in tasks.items():
            begun = time.process_time()
            task()
            seconds[name].append(time.process_time() - begun)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def table(title: str, seconds: dict[str, float], iterations: dict[str, int], base: str) -> Table:
    """Microseconds an iteration and the ratio to the row ``base``."""
    shown = Table(title=title)
    for name in ("case", "us an iteration", "iterations a second", f"cost, {base} = 1"):
        shown.add_column(name, justify="left" if name == "case" else "right")
    each = {name: value / iterations[name] for name, value in seconds.items()}
    for name, value in each.items():
        shown.add_row(name, f"{value * 1e6:.2f}", f"{1 / value:,.0f}", f"{value / each[base]:.2f}")
    return shown


def marginal(cases: dict[str, tuple[int, int]], iterations: int, repeats: int) -> dict[str, float]:
    """Seconds of the last ``iterations`` of a long run for each (m, I): the trackers' start, O(m), drops out."""
    tasks: dict[str, Run] = {}
    for name, (m, sampled) in cases.items():
        blocks = drawn(m)
        tasks[name] = compiled(blocks, sampled, iterations + 100)
        tasks[f"{name}, start"] = compiled(blocks, sampled, 100)
    seconds = median_seconds(tasks, repeats)
    return {name: seconds[name] - seconds[f"{name}, start"] for name in cases}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Benchmark blockwise bilevel methods.")
    parser.add_argument("--quick", action="store_true", help="fewer iterations and repeats: a few seconds")
    quick = parser.parse_args().quick
    repeats, iterations = (3, 4000) if quick else (7, 20_000)
    console = Console(width=110)

    blocks = drawn(32)
    for sampled in (4, 32):
        few = iterations // 40
        tasks: dict[str, Run] = {
            "compiled v2": compiled(blocks, sampled, iterations),
            "compiled v1": compiled(blocks, sampled, iterations // 4, version=1),
            "numpy v2": lambda sampled=sampled, few=few: numpy_v2(blocks, sampled, few),
        }
        counts = {"compiled v2": iterations, "compiled v1": iterations // 4, "numpy v2": few}
        title = f"m = 32, I = {sampled}, dx = {DX}, dy = {DY}"
        console.print(table(title, median_seconds(tasks, repeats), counts, "compiled v2"))

    seconds = marginal({f"I = {i}": (32, i) for i in (2, 4, 8, 16, 32)}, iterations, repeats)
    console.print(table("v2, m = 32", seconds, dict.fromkeys(seconds, iterations), "I = 4"))

    seconds = marginal({f"m = {m}": (m, 4) for m in (32, 320, 3200)}, 5 * iterations, repeats)
    console.print(table("v2, I = 4", seconds, dict.fromkeys(seconds, 5 * iterations), "m = 32"))

    few = 50 if quick else 200
    tasks = {f"dy = {dy}": chain_run(dy, few) for dy in (1000, 10_000, 100_000)}
    console.print(
        table("matrix-free v2, tridiagonal Hessian", median_seconds(tasks, 3), dict.fromkeys(tasks, few), "dy = 10000")
    )


if __name__ == "__main__":
    main()
