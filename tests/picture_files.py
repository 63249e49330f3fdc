"""Small files with pictures that tests write to a folder and draw."""

from __future__ import annotations

from pathlib import Path

import claim_files

HEAD = """
from theorylab.pictures import COLOURS, Drawing, canvas, picture
"""

WALK = '''
@picture(PAPER)
def random_walk(rng):
    r"""A random walk leaves its start.

    After $n$ steps it is about $\\sqrt{n}$ away.
    """
    path = rng.choice([-1.0, 1.0], 200).cumsum()
    figure, (left, right) = canvas(columns=2)
    left.plot(path, color=COLOURS["measured"], label="walk")
    left.set_xlabel("step")
    left.legend()
    right.hist(path, color=COLOURS["control"])
    figure.suptitle("A walk")
    return Drawing(figure, f"After 200 steps the walk is at {path[-1]:.0f}.")
'''

BROKEN = '''
@picture(PAPER)
def broken(rng):
    """Nothing is seen."""
    raise ValueError("rank=9 exceeds d=5")
'''


def write(folder: Path, slug: str = "small-numbers", *pictures: str, claims: tuple[str, ...] = ()) -> Path:
    """Write ``folder/verify/<slug>.py`` with one claim that holds and the given pictures, and return its path."""
    return claim_files.write(folder, slug, *(claims or (claim_files.HOLDS,)), HEAD, *(pictures or (WALK,)))
