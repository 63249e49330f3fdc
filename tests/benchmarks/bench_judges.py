"""Coverage, false alarms and power of the judges on simulated truth, wider than the tests.

``python tests/benchmarks/bench_judges.py [--repeats N]`` prints three tables and exits with 1 if a coverage leaves 93
to 97 % or a false-alarm rate exceeds its level beyond the noise of the simulation.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulation import noisy, share, verdict_shares

from theorylab.intervals import log_mean_contrasts, mean_estimate
from theorylab.judges import Equals, InExpectation, Ordered, RateAtMost, RateExactly
from theorylab.rates import slope_weights

X = np.geomspace(1e2, 1e4, 8)
FLAT = np.arange(1.0, 5.0)
LEVEL = 0.01
REPLICATES, SIGMAS, CORRELATIONS = (8, 16, 64), (0.3, 1.0), (None, 0.8, 0.95)


def coverage(repeats: int) -> bool:
    """Coverage of the intervals of a mean, a paired quotient and a slope."""
    print(f"coverage at a nominal 95 %, {repeats} repeats a row")
    good = True
    slope = slope_weights(np.log(X))[None, :]
    one = np.ones((1, 1))
    for replicates in REPLICATES:
        for sigma in SIGMAS:
            rows = {
                "mean": lambda g, n=replicates, s=sigma: (mean_estimate(noisy(np.ones(1), n, s, g)[0]), 1.0),
                "quotient of paired means": lambda g, n=replicates, s=sigma: (
                    log_mean_contrasts(one, noisy(np.ones(1), n, s, g), noisy(np.ones(1), n, s, g))[0],
                    0.0,
                ),
            }
            for rho in CORRELATIONS:
                kind = "separate runs" if rho is None else f"checkpoints, correlation {rho}"
                rows[f"slope, {kind}"] = lambda g, n=replicates, s=sigma, r=rho: (
                    log_mean_contrasts(slope, noisy(X**-0.5, n, s, g, trajectory=r))[0],
                    -0.5,
                )
            for name, draw in rows.items():

                def hit(rng: np.random.Generator, draw=draw) -> bool:
                    estimate, truth = draw(rng)
                    return estimate.lower(0.025) <= truth <= estimate.upper(0.025)

                covered = share(hit, repeats, seed=1)
                inside = 0.93 <= covered <= 0.97
                good &= inside
                mark = "" if inside else "  <- outside 93..97 %"
                print(f"  {replicates:3d} replicates, sigma {sigma:3.1f}  {name:32s} {covered:6.1%}{mark}")
    return good


def false_alarms(repeats: int) -> bool:
    """Share of "violated" for statements that are exactly true, at the boundary of the tolerance."""
    limit = LEVEL + 3 * math.sqrt(LEVEL / repeats)
    print(f'\nfalse "violated" at level {LEVEL:.0%}, {repeats} repeats a row (limit {limit:.2%})')
    judges = {
        "in expectation, at most": (InExpectation(measured="measured", at_most=1.0), FLAT, np.ones(4)),
        "in expectation, at least": (InExpectation(measured="measured", at_least=1.0), FLAT, np.ones(4)),
        "equal within 10 %": (Equals(measured="measured", to=1.0, relative=0.1), FLAT, 1.1 * np.ones(4)),
        "ordered": (Ordered(smaller="measured", larger="other"), FLAT, np.ones(4)),
        "rate at most": (RateAtMost(measured="measured", rate=-0.5), X, X**-0.45),
        "rate exactly": (RateExactly(measured="measured", rate=-0.5), X, X**-0.45),
        "rate, logarithm": (RateAtMost(measured="measured", rate=-0.5), X, np.sqrt(np.log(X) / X)),
        "rate, floor": (RateAtMost(measured="measured", rate=-1.0), X, 1 / X + 1e-3),
        "rate, pre-asymptote": (RateAtMost(measured="measured", rate=-1.0), X, 1 / (X + 1000)),
    }
    good = True
    for name, (judge, x, curve) in judges.items():
        for replicates in REPLICATES:
            for sigma in SIGMAS:
                for rho in (None, 0.8):
                    found = verdict_shares(
                        judge,
                        x,
                        curve,
                        replicates,
                        sigma,
                        repeats=repeats,
                        seed=2,
                        level=LEVEL,
                        trajectory=rho,
                        other=1.0,
                    )
                    good &= found["violated"] <= limit
                    mark = "" if found["violated"] <= limit else "  <- too many"
                    where = f"{replicates:3d} replicates, sigma {sigma:3.1f}, correlation {rho or 0.0}"
                    print(f"  {name:26s} {where}  {found['violated']:6.2%}{mark}")
    return good


def power(repeats: int) -> None:
    """Share of right verdicts against a rate wrong by 0.1 and a constant wrong by 10 %."""
    print(f"\npower at level {LEVEL:.0%}, {repeats} repeats a row")
    long = np.geomspace(1e2, 1e5, 13)
    rate = RateAtMost(measured="measured", rate=-0.5, margin=0.03)
    mean = InExpectation(measured="measured", at_most=1.0)
    for sigma in (0.1, 0.3):
        for replicates in (16, 64, 256):
            for name, judge, x, curve, word in (
                ("rate wrong by 0.1", rate, long, long**-0.4, "violated"),
                ("rate right", rate, long, long**-0.5, "upheld"),
                ("constant wrong by 10 %", mean, FLAT, 1.1 * np.ones(4), "violated"),
                ("constant with 10 % slack", mean, FLAT, 0.9 * np.ones(4), "upheld"),
            ):
                found = verdict_shares(judge, x, curve, replicates, sigma, repeats=repeats, seed=3, level=LEVEL)
                print(f"  {name:26s} {replicates:3d} replicates, sigma {sigma}  {word} {found[word]:6.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=4000)
    repeats = parser.parse_args().repeats
    covered, quiet = coverage(repeats), false_alarms(max(100, repeats // 4))
    power(max(100, repeats // 10))
    sys.exit(0 if covered and quiet else 1)
