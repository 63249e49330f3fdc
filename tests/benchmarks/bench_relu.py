"""Speed of the solvers of the convex program of two-layer ReLU networks.

    python tests/benchmarks/bench_relu.py [--quick]

One thread, planted Gaussian data, the squared loss. Three tables:

- one ADMM iteration with the structured u-step, beside the one that factors the 2dP x 2dP matrix, over growing P;
- time to a relative gap of 1e-4 beside cvxpy with Clarabel on the same program, over growing P: cvxpy's time includes
  building the program, which a user pays as well, and the solver's own time stands beside it;
- the same beside ``pyscnn``, the convex-network package, on the same program. Its loss is a mean, so its weight is beta
  / n. Its tolerances are tightened until the network that it returns is within 1e-4 of the optimum; each tolerance
  that was tried has its row. Without the package (``pip install pyscnn``, which brings torch) the table is left out.

Values come first: the objective of the returned network, and the certified bounds of ours, are in the tables.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: BLAS reads them once

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from theorylab.algorithms.relu_admm import admm, split_admm, structured_flops  # noqa: E402
from theorylab.algorithms.relu_admm_dense import admm_dense, dense_flops, factor_dense  # noqa: E402

SAMPLES, FEATURES, BETA, GAP = 40, 6, 0.3, 1e-4


def planted(patterns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data (n, d), targets (n,) and the directions (d, P) whose patterns make the program."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, FEATURES))
    y = np.maximum(x @ rng.standard_normal((FEATURES, 3)), 0.0) @ [1.0, -1.0, 0.7]
    y += 0.3 * rng.standard_normal(SAMPLES)
    return x, y, rng.standard_normal((FEATURES, patterns))


def least_seconds(task: Callable[[], object], repeats: int) -> float:
    """The least duration of a task, which a busy machine disturbs least."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def network_value(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray) -> float:
    """Objective of the network with first layers ``v`` and ``w`` (P, d), which is its value on the training problem."""
    outputs = np.maximum(x @ v.T, 0.0).sum(axis=1) - np.maximum(x @ w.T, 0.0).sum(axis=1)
    penalty = np.linalg.norm(v, axis=1).sum() + np.linalg.norm(w, axis=1).sum()
    return float(0.5 * np.sum((outputs - y) ** 2) + BETA * penalty)


def iteration_table(counts: list[int], repeats: int) -> Table:
    """Milliseconds an iteration of both u-steps; a run of many iterations less a run of few leaves out the start."""
    table = Table(title=f"One ADMM iteration, n = {SAMPLES}, d = {FEATURES}")
    heads = ("P", "2dP", "dense factor, s", "dense, ms", "structured, ms", "ratio", "ratio of flops", "max difference")
    for head in heads:
        table.add_column(head, justify="right")
    structured, admitted = [], []
    for p in counts:
        x, y, directions = planted(p)
        patterns = x @ directions >= 0.0
        begun = time.perf_counter()
        problem = factor_dense(x, y, patterns, BETA)
        factor = time.perf_counter() - begun
        long = least_seconds(lambda problem=problem: admm_dense(problem, 25), repeats)
        dense = (long - least_seconds(lambda problem=problem: admm_dense(problem, 5), repeats)) / 20

        def ours(iterations: int, x: np.ndarray = x, y: np.ndarray = y, patterns: np.ndarray = patterns) -> object:
            return admm(x, y, patterns, BETA, iterations=iterations, checkpoints=[iterations])

        ours(1)
        each = (
            least_seconds(lambda ours=ours: ours(220), repeats) - least_seconds(lambda ours=ours: ours(20), repeats)
        ) / 200
        structured.append(each)
        admitted.append(p)
        gap = np.abs(admm_dense(problem, 20)[0] - admm(x, y, patterns, BETA, iterations=20).state.u).max()
        flops = dense_flops(SAMPLES, FEATURES, p) / structured_flops(SAMPLES, FEATURES, p)
        table.add_row(
            str(p), str(2 * FEATURES * p), f"{factor:.3f}", f"{dense * 1e3:.2f}", f"{each * 1e3:.3f}",
            f"{dense / each:.0f} x", f"{flops:.0f} x", f"{gap:.0e}",
        )  # fmt: skip
    slope = np.polyfit(np.log(admitted[-3:]), np.log(structured[-3:]), 1)[0]
    table.caption = f"structured: grows as P^{slope:.2f} over the largest three"
    return table


def cvxpy_run(x: np.ndarray, y: np.ndarray, patterns: np.ndarray) -> tuple[float, float, float]:
    """Value, total seconds and the solver's own seconds of the program in cvxpy with Clarabel's default tolerances."""
    import cvxpy as cp

    begun = time.perf_counter()
    v, w = cp.Variable((x.shape[1], patterns.shape[1])), cp.Variable((x.shape[1], patterns.shape[1]))
    outputs = cp.sum(cp.multiply(patterns.astype(float), x @ (v - w)), axis=1)
    penalty = cp.sum(cp.norm(v, axis=0)) + cp.sum(cp.norm(w, axis=0))
    cones = [cp.multiply(2.0 * patterns - 1.0, x @ side) >= 0 for side in (v, w)]
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(outputs - y) + BETA * penalty), cones)
    value = problem.solve(solver="CLARABEL")
    return float(value), time.perf_counter() - begun, float(problem.solver_stats.solve_time)


def cvxpy_table(counts: list[int], repeats: int) -> Table:
    """Seconds to a certified gap of 1e-4, and those of cvxpy."""
    table = Table(title=f"Time to a relative gap of {GAP:g}, squared loss, n = {SAMPLES}, d = {FEATURES}")
    heads = (
        "P",
        "cvxpy value",
        "our network",
        "our lower bound",
        "cvxpy, s",
        "Clarabel alone, s",
        "ours, s",
        "iterations",
        "ratio",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for p in counts:
        x, y, directions = planted(p)
        patterns = np.unique(x @ directions >= 0.0, axis=1)
        value, total, solver = cvxpy_run(x, y, patterns)
        run = split_admm(x, y, patterns, BETA, gap=GAP, iterations=100_000)
        ours = least_seconds(
            lambda x=x, y=y, patterns=patterns: split_admm(x, y, patterns, BETA, gap=GAP, iterations=100_000), repeats
        )
        table.add_row(
            str(patterns.shape[1]), f"{value:.6f}", f"{run.network[-1]:.6f}", f"{run.dual_bound.max():.6f}",
            f"{total:.3f}", f"{solver:.3f}", f"{ours:.3f}", str(run.residuals.size), f"{total / ours:.1f} x",
        )  # fmt: skip
    table.caption = "a network below cvxpy's value is no error: it may use patterns that are not in the sample"
    return table


def scnn_table(patterns: int, tolerances: list[float]) -> Table:
    """Value and seconds of pyscnn's augmented Lagrangian at its tolerances, ours last."""
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    x, y, directions = planted(patterns)
    run = split_admm(x, y, x @ directions >= 0.0, BETA, gap=GAP, iterations=100_000)
    ours = least_seconds(lambda: split_admm(x, y, x @ directions >= 0.0, BETA, gap=GAP, iterations=100_000), 3)
    lower = float(run.dual_bound.max())
    table = Table(title=f"pyscnn on the same program, P = {patterns}, lower bound {lower:.6f}")
    for head in ("solver", "network", "above the bound", "s", "ours is faster"):
        table.add_column(head, justify="left" if head == "solver" else "right")
    for tolerance in tolerances:
        model = ConvexReLU(directions)
        solver = AL(model, tol=tolerance, constraint_tol=tolerance)
        begun = time.perf_counter()
        fitted, _ = optimize_model(
            model, solver, Metrics(), x, y, regularizer=NeuronGL1(BETA / SAMPLES), return_convex=True,
            unitize_data=False, dtype="float64",
        )  # fmt: skip
        taken = time.perf_counter() - begun
        v, w = (np.asarray(blocks[0], dtype=np.float64) for blocks in fitted.parameters)
        value = network_value(x, y, v, w)
        name, above = f"pyscnn AL, tolerance {tolerance:g}", value / lower - 1.0
        table.add_row(name, f"{value:.6f}", f"{above:.1e}", f"{taken:.3f}", f"{taken / ours:.0f} x")
        if above <= GAP:
            break
    value = network_value(x, y, run.v, run.w)
    table.add_row("theorylab split_admm", f"{value:.6f}", f"{value / lower - 1.0:.1e}", f"{ours:.3f}", "1 x")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Benchmark the solvers of the convex ReLU program.")
    parser.add_argument(
        "--quick", action="store_true", help="fewer patterns and repeats: about a minute, more with pyscnn"
    )
    options = parser.parse_args()
    console, repeats = Console(width=140), 3 if options.quick else 7
    console.print(iteration_table([50, 100, 200] if options.quick else [50, 100, 200, 400], repeats))
    console.print(cvxpy_table([10, 50, 200] if options.quick else [10, 25, 50, 100, 200, 400, 800], repeats))
    if importlib.util.find_spec("scnn") is None:
        console.print("pyscnn is not installed (pip install pyscnn): its table is left out")
    else:
        console.print(scnn_table(25 if options.quick else 50, [1e-6, 1e-8, 1e-10]))


if __name__ == "__main__":
    main()
