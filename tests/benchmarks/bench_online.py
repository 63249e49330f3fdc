"""Rounds per second of online learners, by the side of a plain numpy loop and of PyNOL.

    python tests/benchmarks/bench_online.py [--quick] [--rounds 20000]

One thread; the contestants take turns and medians are compared, beside the regret of each, which has to be the same.
Optimistic mirror descent plays d = 10, Newton's method d = 5 to 40 to show the growth of its cost.

- *numpy* is the learner as one would write it down, with the sums that the pathwise certificate needs.
- *PyNOL* (``pip install pynol-xzp``) is the package for non-stationary online learning of the field: its
  ``OptimisticOGD`` with the last gradient as optimism and our constant step, once as shipped, where autograd forms
  the gradients, once with the gradient handed over. Without the package its rows are left out.
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

from theorylab.algorithms.online_learners import (  # noqa: E402
    Step,
    adaptive_step,
    fixed_step,
    optimistic_omd,
    play,
)
from theorylab.algorithms.online_losses import SmoothLosses, quadratic_losses  # noqa: E402
from theorylab.algorithms.online_newton import optimistic_newton  # noqa: E402

DIMENSION, RADIUS = 10, 1.0
Run = Callable[[], float]


def drawn(rounds: int, d: int = DIMENSION) -> SmoothLosses:
    """Noisy quadratics with a minimiser near the sphere, so that projections happen."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((d, d))
    return quadratic_losses(a @ a.T / d, 0.3 + rng.standard_normal((rounds, d)) / np.sqrt(d))


def numpy_loop(losses: SmoothLosses, step: Step, adaptive: bool) -> float:
    """Algorithm 1 in plain numpy, with the sums of the pathwise certificate that the compiled learner also forms."""
    _, h, b, *_ = losses.game
    centre, hint, total = np.zeros(DIMENSION), np.zeros(DIMENSION), np.zeros(DIMENSION)
    variation, linear, loss, weighted, moved = 0.0, 0.0, 0.0, 0.0, 0.0
    previous, before = np.zeros(DIMENSION), 1.0
    for t in range(losses.horizon):
        eta = step.scale / np.sqrt(step.offset + variation) if adaptive else step.scale
        x = centre - eta * hint
        norm = np.linalg.norm(x)
        if norm > RADIUS:
            x *= RADIUS / norm
        g = h @ x - b[t]
        centre = centre - eta * g
        norm = np.linalg.norm(centre)
        if norm > RADIUS:
            centre *= RADIUS / norm
        loss += 0.5 * (g - b[t]) @ x
        linear += g @ x
        error = g - hint
        error = error @ error
        variation += error
        weighted += eta * error
        move = x - previous
        moved += move @ move / (4.0 * before)
        total += g
        hint, previous, before = g, x, eta
    return loss


def pynol_loop(losses: SmoothLosses, eta: float, gradient_given: bool) -> float:
    """PyNOL's optimistic gradient descent on the same losses with the same constant step."""
    import autograd.numpy as anp
    from pynol.environment.domain import Ball
    from pynol.environment.environment import Environment
    from pynol.learner.base import OptimisticOGD

    _, h, b, *_ = losses.game
    learner = OptimisticOGD(Ball(DIMENSION, RADIUS), eta, optimism_type="last_grad", prior=np.zeros(DIMENSION))
    total = 0.0
    for t in range(losses.horizon):

        def loss(x: np.ndarray, t: int = t) -> float:
            return 0.5 * anp.dot(x, anp.dot(h, x)) - anp.dot(b[t], x)

        def slope(x: np.ndarray, t: int = t) -> np.ndarray:
            return h @ x - b[t]

        total += learner.opt(Environment(func=loss, grad_func=slope if gradient_given else None))[1]
    return total


def median_seconds(tasks: dict[str, Run], repeats: int) -> dict[str, float]:
    """Median duration of each task, the tasks taking turns; a first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats + 1):
        for name, task in tasks.items():
            begun = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - begun)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def compare(title: str, losses: SmoothLosses, tasks: dict[str, Run], repeats: int) -> Table:
    """A table of regret and speed; the first task is ours."""
    seconds = median_seconds(tasks, repeats)
    ours = next(iter(seconds.values()))
    table = Table(title=title)
    for name in ("learner", "regret against 0", "ns a round", "rounds a second", "ours is faster"):
        table.add_column(name, justify="left" if name == "learner" else "right")
    for name, task in tasks.items():
        each = seconds[name] / losses.horizon
        table.add_row(name, f"{task():.9f}", f"{each * 1e9:.0f}", f"{1 / each:,.0f}", f"{seconds[name] / ours:.0f} x")
    return table


def newton_growth(rounds: int, repeats: int) -> Table:
    """Nanoseconds a round of online Newton where no point leaves the ball, and where most do."""
    table = Table(title="Optimistic online Newton, ns a round")
    for name in ("d", "inside the ball", "on its sphere"):
        table.add_column(name, justify="right")
    for d in (5, 10, 20, 40):
        losses = drawn(rounds, d)
        tasks: dict[str, Run] = {
            name: lambda radius=radius, losses=losses: optimistic_newton(
                losses, radius=radius, beta=0.1, gradient=4.0, keep=False
            ).losses[-1]
            for name, radius in (("inside", 1e3), ("sphere", 0.05))
        }
        seconds = median_seconds(tasks, repeats)
        table.add_row(str(d), *(f"{value / rounds * 1e9:.0f}" for value in seconds.values()))
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Benchmark online learners.")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a few seconds")
    parser.add_argument("--rounds", type=int, default=20_000, help="rounds of a game (default 20000)")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds}: must be at least 2")
    repeats = 3 if options.quick else 7
    losses = drawn(options.rounds)
    console = Console(width=120)

    adaptive, constant = adaptive_step(2.0 * RADIUS, 100.0), fixed_step(0.05)
    tasks: dict[str, Run] = {
        "theorylab": lambda: play(losses, optimistic_omd(adaptive), radius=RADIUS, keep=False).losses[-1],
        "numpy loop": lambda: numpy_loop(losses, adaptive, adaptive=True),
    }
    console.print(compare(f"Optimistic mirror descent, adaptive step, d = {DIMENSION}", losses, tasks, repeats))

    tasks = {
        "theorylab": lambda: play(losses, optimistic_omd(constant), radius=RADIUS, keep=False).losses[-1],
        "numpy loop": lambda: numpy_loop(losses, constant, adaptive=False),
    }
    if importlib.util.find_spec("pynol") is None:
        console.print("PyNOL is not installed (pip install pynol-xzp): its rows are left out")
    else:
        tasks["PyNOL, gradient given"] = lambda: pynol_loop(losses, constant.scale, gradient_given=True)
        tasks["PyNOL, as shipped"] = lambda: pynol_loop(losses, constant.scale, gradient_given=False)
    console.print(compare(f"Optimistic mirror descent, constant step, d = {DIMENSION}", losses, tasks, repeats))
    console.print(newton_growth(options.rounds, repeats))


if __name__ == "__main__":
    main()
