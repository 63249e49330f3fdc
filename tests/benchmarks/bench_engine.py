"""What the engine itself costs, and what a second worker gains. Run it: python tests/benchmarks/bench_engine.py

Prints milliseconds a cell over 2,000 cells of a claim that does nothing (allowed: 2), and how much faster two workers
are than one on a claim that computes for about 30 seconds (wanted: 1.7). Medians over the repeats of one run; the runs
alternate, so that a busy machine disturbs all alike.
"""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from engine_claims import FEW, SWEEP, TOY, MeanBelow

from theorylab.claims import Control, Replicates, claim, claims_of, load_file
from theorylab.runner import run

COMMON = {
    "source": "none",
    "guarantee": "upper bound",
    "sweep": replace(SWEEP, quick=(1, 2, 3, 4)),
    "replicates": Replicates(quick=250, full=FEW.full),
    "judges": MeanBelow(),
    "controls": [Control("ten times", scale=10.0)],
    "hypotheses": {},
}


@claim(TOY, **COMMON)
def nothing(T, rng, *, scale=1.0):
    """Nothing: 2,000 cells."""
    return {"error": 0.5 * scale}


@claim(TOY, **COMMON)
def compute(T, rng, *, scale=1.0):
    """Some 15 ms of arithmetic: 2,000 cells."""
    x = rng.uniform()
    for _ in range(200_000):
        x = math.sin(x) + 1e-9
    return {"error": x * scale}


def timed(claim, **options) -> float:
    folder = tempfile.mkdtemp()
    try:
        start = time.perf_counter()
        run([claim], folder=folder, **options)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)


def resumed(claim) -> float:
    folder = tempfile.mkdtemp()
    try:
        run([claim], folder=folder, workers=1)
        start = time.perf_counter()
        run([claim], folder=folder, workers=1)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)


def main(repeats: int) -> None:
    # As the command line loads them, so that workers find them too.
    claims = {c.id: c for c in claims_of(load_file(__file__))}
    idle, busy = claims["toy/nothing"], claims["toy/compute"]
    timed(idle, workers=1)  # imports
    seconds: dict[str, list[float]] = {}
    for _ in range(repeats):
        seconds.setdefault("one", []).append(timed(idle, workers=1))
        seconds.setdefault("two", []).append(timed(idle, workers=2))
        seconds.setdefault("stored", []).append(resumed(idle))
        seconds.setdefault("busy one", []).append(timed(busy, workers=1))
        seconds.setdefault("busy two", []).append(timed(busy, workers=2))
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, label in (("one", "one worker"), ("two", "two workers and their start"), ("stored", "from the store")):
        each = 1000 * median[name] / 2000
        print(f"engine, {label}: {each:.3f} ms a cell, {each / 2:.2f} of the allowed 2 ms")
    ratio = statistics.median(a / b for a, b in zip(seconds["busy one"], seconds["busy two"], strict=True))
    print(f"computing: {median['busy one']:.1f} s with one worker, two are {ratio:.2f} times faster (wanted: 1.7)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
