"""Small claims for the tests of store, runner and back-ends; loaded as a file of claims, or copied and edited."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_info

from theorylab import audit
from theorylab.bound_judges import EveryRun
from theorylab.claims import Control, Paper, Replicates, Sweep, claim
from theorylab.verdicts import Evidence, Mode

FACTOR = 1.0


@dataclass(frozen=True, slots=True)
class MeanBelow:
    """A judge that is sure of itself: mean(measured) < limit. ``p_value`` is what it claims for the other case."""

    measured: str = "error"
    limit: float = 1.0
    p_value: float = 0.0
    statistical: bool = True
    name: str = "mean below"
    mode: Mode = Mode.EXPECTATION
    least_replicates: int = 1

    def examine(self, data):
        mean = float(data.quantity(self.measured).mean())
        below = mean < self.limit
        return Evidence(
            judge=self.name,
            mode=self.mode,
            sentence=f"mean {mean!r}",
            estimate=mean,
            interval=(mean, mean),
            allowed=(0.0, self.limit),
            p_upheld=0.0 if below else 1.0,
            p_violated=1.0 if below else self.p_value,
            detectable=0.0,
            power="",
            would_decide="",
            statistical=self.statistical,
        )


TOY = Paper("toy", "Toy claims", "Nobody", "Nowhere")
SWEEP = Sweep(name="T", label="horizon", quick=(1, 2, 4), full=(1, 2, 4, 8))
PATH = Sweep(name="t", label="iteration", quick=(1, 10, 100), full=(1, 10, 100, 1000), along_trajectory=True)
FEW = Replicates(quick=3, full=5)
COMMON = {
    "source": "Theorem 1",
    "guarantee": "upper bound",
    "replicates": FEW,
    "judges": MeanBelow(),
    "controls": [Control("ten times", scale=10.0)],
    "hypotheses": {},
}


@claim(TOY, sweep=SWEEP, **(COMMON | {"hypotheses": {"smooth": "the gradient is 1-Lipschitz"}}))
def separate(T, rng, *, scale=1.0):
    """Separate runs. Writes a mark in the file $THEORYLAB_MARKS, one a call."""
    if "THEORYLAB_MARKS" in os.environ:
        with Path(os.environ["THEORYLAB_MARKS"]).open("a") as marks:
            marks.write(f"{T} {scale}\n")
    eigenvalues = np.linalg.eigvalsh(np.cov(rng.normal(size=(40, 80))))
    error = FACTOR * scale * rng.uniform() / T
    return {"error": error, "top": eigenvalues[-1], "smooth": audit.certified(1 / T, at_most=1.0, note="L")}


@claim(TOY, sweep=PATH, **COMMON)
def along(t, rng, *, scale=1.0):
    """Along a trajectory."""
    return {"error": scale * rng.uniform() / t, "bound": np.ones(len(t))}


@claim(TOY, sweep=SWEEP, **(COMMON | {"judges": EveryRun(measured="error", at_most=1.0)}))
def every_run(T, rng, *, scale=1.0):
    """Every run; replicate 1 at T=2 breaks the bound when FACTOR is large."""
    first = rng.uniform()
    return {"error": scale * (FACTOR if T == 2 and first > 0.5 else 0.5) * 2.0}


@claim(TOY, sweep=SWEEP, **(COMMON | {"hypotheses": {"smooth": "the gradient is 1-Lipschitz"}}))
def inapplicable(T, rng, *, scale=1.0):
    """A hypothesis fails at the last point."""
    return {"error": 0.5 * scale, "smooth": audit.certified(T / 2, at_most=1.0)}


@claim(TOY, sweep=SWEEP, **COMMON)
def raises(T, rng, *, scale=1.0):
    """Raises in one cell of each replicate."""
    if T == 4 and scale == 1.0:
        raise ArithmeticError("the step overflowed")
    return {"error": 0.5 * scale}


@claim(TOY, sweep=SWEEP, **COMMON)
def threads(T, rng, *, scale=1.0):
    """Counts the threads that BLAS, OpenMP and numba may use."""
    np.linalg.eigvalsh(np.eye(3))
    return {
        "error": 0.5 * scale,
        "blas": max(i["num_threads"] for i in threadpool_info()),
        "numba": numba.get_num_threads(),
    }


@claim(TOY, sweep=SWEEP, **COMMON)
def dies(T, rng, *, scale=1.0):
    """Takes its process with it, as a crash in compiled code does."""
    os._exit(3)


def with_function(base, function, **changes):
    """Return a claim with another function, which belongs to this file."""
    function.__module__ = __name__
    return replace(base, function=function, **changes)
