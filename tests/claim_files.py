"""Small files of claims that the tests of the command line write to a folder and run."""

from __future__ import annotations

from pathlib import Path

HEAD = """
from theorylab.audit import by_construction
from theorylab.claims import Control, Paper, Replicates, Sweep, claim
from theorylab.judges import EveryRun

PAPER = Paper("{slug}", "On small numbers (≤ 1)", "A. Nobody", "A journal, 2026")
SWEEP = Sweep(name="n", label="size n", quick=(1, 2, 4), full=(1, 2, 4, 8))
SEEDS = Replicates(quick=2, full=3)


def small(**more):
    options = {{
        "source": "Theorem 1", "guarantee": "upper bound", "sweep": SWEEP, "replicates": SEEDS,
        "judges": EveryRun(measured="error", at_most="bound"), "controls": [Control("ten times larger", scale=10.0)],
        "hypotheses": {{"positive": "n ≥ 1"}},
    }}
    return claim(PAPER, **(options | more))


def numbers(n, rng, scale):
    return {{"error": scale * rng.uniform(0.2, 1.0) / n, "bound": 1.0 / n, "positive": by_construction("n ≥ 1")}}
"""

HOLDS = '''
@small()
def holds(n, rng, *, scale=1.0):
    """The error is at most 1/n.

    Second paragraph: α ≤ β.
    """
    return numbers(n, rng, scale)
'''

FAILS = '''
@small({options})
def fails(n, rng, *, scale=1.0):
    """The error is at most 1/n, which is false."""
    return numbers(n, rng, 10.5 - scale)
'''


def write(folder: Path, slug: str = "small-numbers", *claims: str) -> Path:
    """Write ``folder/verify/<slug>.py`` with the given claims (by default one that holds) and return its path."""
    path = folder / "verify" / f"{slug.replace('-', '_')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD.format(slug=slug) + "\n".join(claims or (HOLDS,)), encoding="utf-8")
    return path
