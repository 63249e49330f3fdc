"""A small lesson with everything in it, that tests write to a folder and compute."""

from __future__ import annotations

from pathlib import Path

import claim_files

LESSON = '''
import numpy as np

from theorylab.report.lessons import (
    Axis, Bars, Cells, Chart, Curve, Lesson, Panel, Part, Progress, Readout, Slider, lesson,
)


@lesson(PAPER)
def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
    """Small numbers become smaller.

    The number $x_t$ shrinks by a factor $1 - \\\\eta$ at every step; see `holds`.
    """
    steps, scales, times = np.array([0.1, 0.2, 0.4]), np.array([1e-2, 1e-1, 1.0, 10.0]), np.arange(50)
    mean = scales[:, None] * (1 - steps)[:, None, None] ** times  # (3, 4, 50)
    seen = mean * rng.uniform(0.9, 1.0, times.size)
    progress(1, 2)
    noisy = np.where(times < 30, mean * 3.0, np.inf)
    curves = Chart(
        title="The size along the run",
        look="Move $\\\\eta$: the line gets steeper.",
        sliders=(Slider("step η", steps.tolist(), 0.2), Slider("scale <x₀>", scales.tolist(), 0.1, "m")),
        panels=(
            Panel(
                Axis("step t"),
                Axis("size of x", log=True),
                (
                    Curve("measured", times, seen, low=0.8 * seen, high=1.2 * seen),
                    Curve("bound", times, scales[:, None] * np.ones(50), role="bound"),
                    Curve("control: step 3", times, noisy, role="control"),
                ),
            ),
        ),
        readouts=(Readout("final size", seen[..., -1], "m"),),
    )
    progress(2, 2)
    film = Chart(
        title="Three bars grow",
        look="Press play.",
        sliders=(Slider("step t", range(50), 0, plays=True, seconds=0.5),),
        panels=(
            Panel(
                Axis("bar"),
                Axis("height"),
                (
                    Bars("grown", ("a", "b", "c"), times[:, None] * np.array([1.0, 2.0, 3.0])),
                    Bars("limit", ("a", "b", "c"), [50.0, 100.0, 150.0], role="bound"),
                    Bars("control: half", ("a", "b", "c"), times[:, None] * 0.5 * np.ones(3), role="control"),
                ),
            ),
            Panel(Axis("step"), Axis("walk"), (Curve("walk", times, rng.standard_normal(50).cumsum(), grows=True),)),
            Panel(Axis("column"), Axis("row"), (Cells("matrix", rng.standard_normal((50, 4, 4))),)),
        ),
    )
    return Lesson(
        problem=Part("A number $x_0$ is small."),
        algorithm=Part("It is multiplied by $1 - \\\\eta$.", charts=(film,)),
        guarantee=Part("It is at most $x_0$, by `holds`."),
        experiment=Part("We looked.", charts=(curves,)),
        breaks=Part("- A step of 3.\\n- Nothing else."),
        claims=("holds",),
    )
'''


def write(folder: Path, slug: str = "small-numbers", text: str = LESSON) -> Path:
    """Write ``folder/verify/<slug>.py`` with one claim that holds and a lesson, and return its path."""
    return claim_files.write(folder, slug, claim_files.HOLDS, text)
