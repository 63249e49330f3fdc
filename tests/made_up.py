"""Results made by hand, one of each kind that a figure or a table has to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from theorylab.audit import Status
from theorylab.results import ArmResult, AuditedHypothesis, ClaimResult, Failure
from theorylab.verdicts import Evidence, Mode, Verdict


def evidence(
    sentence: str, x: Sequence[Any] | None, curves: Sequence[dict[str, Any]], p: tuple[float, float], **details: Any
) -> Evidence:
    """Evidence with p-values (of violated, of upheld) and the curves that a figure draws."""
    return Evidence(
        judge="made up",
        mode=Mode.EXPECTATION,
        sentence=sentence,
        estimate=-0.5,
        interval=(-0.55, -0.45),
        allowed=(-math.inf, 0.0),
        p_violated=p[0],
        p_upheld=p[1],
        detectable=0.05,
        power="an exponent wrong by 0.05",
        would_decide="",
        details={"x": x, "x_label": "horizon T [steps]", "y_label": "regret", "curves": list(curves)} | details,
    )


def curve(name: str, role: str, runs: np.ndarray) -> dict[str, Any]:
    """Mean of runs (points, replicates) with an interval of two standard errors, or a line when there is one run."""
    if runs.shape[1] == 1:
        return {"name": name, "role": role, "y": runs[:, 0].tolist(), "low": runs[:, 0].tolist(), "high": []}
    with np.errstate(invalid="ignore"):
        mean, error = runs.mean(axis=1), 2 * runs.std(axis=1, ddof=1) / np.sqrt(runs.shape[1])
    return {"name": name, "role": role, "y": mean, "low": mean - error, "high": mean + error}


def arm(
    name: str, verdict: Verdict, found: Sequence[Evidence], values: dict[str, np.ndarray], **more: Any
) -> ArmResult:
    """One arm; its evidence is tested at one per cent."""
    return ArmResult(
        name=name,
        settings=more.pop("settings", {}),
        values=values,
        evidence=tuple(found),
        levels=(0.01,) * len(found),
        verdict=verdict,
        failures=more.pop("failures", ()),
        seconds=1.5,
    )


def result(own: ArmResult, *controls: ArmResult, **more: Any) -> ClaimResult:
    """A claim's result around its arms."""
    fields: dict[str, Any] = {
        "id": "made-up/regret",
        "paper": "made-up",
        "title": "Optimistic mirror descent has expected static regret at most $2 D \\sqrt{V_T}$",
        "statement": "Optimistic mirror descent has expected static regret at most a constant.\n\nMore text.",
        "source": "Theorem 5, constant re-derived",
        "guarantee": "upper bound",
        "mode": "in expectation",
        "expected": Verdict.UPHELD,
        "reason": "",
        "control_verdict": Verdict.VIOLATED,
        "sweep_name": "T",
        "sweep_label": "horizon T [steps]",
        "points": tuple(own.evidence[0].details["x"] or ()) if own.evidence else (256, 512),
        "replicates": 12,
        "along_trajectory": False,
        "budget": "quick",
        "seed": 0,
        "versions": {"theorylab": "0.1.0"},
        "judges": ("made up: at_most='bound'",),
        "sources": "",
        "arm": own,
        "controls": controls,
        "hypotheses": (
            AuditedHypothesis(
                name="Sign-RIP",
                statement="delta <= 0.1",
                status=Status.NOT_CERTIFIED,
                low=0.3,
                high=0.4,
                note="lower bound",
            ),
        ),
        "notes": (),
    }
    return ClaimResult(**(fields | more))


def rate(*, seed: int = 0, exponent: float = 0.5, verdict: Verdict = Verdict.UPHELD, **more: Any) -> ClaimResult:
    """Regret below its bound over a sweep of horizons, and a control with linear regret."""
    rng = np.random.default_rng(seed)
    x = [2**k for k in range(8, 14)]
    scale = np.array(x, dtype=float)[:, None]
    runs = scale**exponent * rng.lognormal(0, 0.3, (6, 12))
    wrong = 0.2 * scale * rng.lognormal(0, 0.2, (6, 12))
    bound = curve("bound", "bound", 2.5 * scale**0.5)
    p = {Verdict.UPHELD: (1.0, 1e-6), Verdict.VIOLATED: (1e-6, 1.0)}.get(verdict, (0.3, 0.2))
    own = evidence(
        "Mean regret is below bound at all 6 points; the closest is T = 8192, where it is 41 % of the bound "
        "[37 %, 46 %]; slope 0.50 [0.47, 0.53] against the bound's 0.50.",
        x,
        [curve("regret", "measured", runs), bound],
        p,
        log_x=True,
        log_y=True,
    )
    off = evidence(
        "Exceeds the bound", x, [curve("regret", "measured", wrong), bound], (1e-9, 1.0), log_x=True, log_y=True
    )
    control = arm(
        "gradient ascent on the hint", Verdict.VIOLATED, [off], {"regret": wrong}, settings={"hint_sign": -1.0}
    )
    return result(arm("", verdict, [own], {"regret": runs, "bound": 2.5 * scale**0.5 + 0 * runs}), control, **more)


def squeezed() -> ClaimResult:
    """A flat quantity on a linear axis whose control is fifty times larger; numbers of the sweep evenly spaced."""
    rng = np.random.default_rng(1)
    x = [3, 6, 12, 20]
    runs = 1 + 0.02 * rng.standard_normal((4, 8))
    wrong = 50 + 5 * rng.standard_normal((4, 8))
    limit = curve("allowed", "limit", np.full((4, 1), 1.1))
    low = curve("allowed from", "limit", np.full((4, 1), 0.9))
    look = {"x_label": "search rank r'", "y_label": "error / error at r' = r", "log_x": False, "log_y": False}
    own = evidence(
        "Ratio 1.00 [0.99, 1.01], allowed [0.9, 1.1].",
        x,
        [curve("ratio", "measured", runs), limit, low],
        (1.0, 1e-4),
        **look,
    )
    off = evidence("Ratio 50", x, [curve("ratio", "measured", wrong)], (1e-4, 1.0), **look)
    return result(
        arm("", Verdict.UPHELD, [own], {"ratio": runs}),
        arm("large initialisation", Verdict.VIOLATED, [off], {"ratio": wrong}),
        id="made-up/rank-free",
        title="The final error does not depend on the search rank",
    )


def categories() -> ClaimResult:
    """Named sweep points over decades, two controls (one diverges), one zero on a log axis."""
    rng = np.random.default_rng(2)
    x = ["normal, scale 100", "normal, scale 1e6", "cauchy", "signs", ("one-sided", 100)]
    runs = 1e-6 * rng.lognormal(0, 0.5, (5, 6))
    runs[3] = 0.0
    wrong = np.array([1.0, 1e3, 1e4, 30.0, 1e2])[:, None] * rng.lognormal(0, 0.3, (5, 6))
    diverged = np.full((5, 6), np.inf)
    bound = curve("stated bound", "bound", np.full((5, 1), 1e-4))
    look = {"x_label": None, "y_label": "final_error", "log_x": False, "log_y": True}
    own = evidence(
        "Relative error at most 1e-4 in all 30 runs; the largest is 2.3e-06.",
        x,
        [curve("error", "measured", runs), bound],
        (1.0, 0.0),
        **look,
    )
    first = evidence("", None, [curve("error", "measured", wrong)], (0.0, 1.0), **look)
    second = evidence("", None, [curve("error", "measured", diverged)], (0.0, 1.0), **look)
    return result(
        arm("", Verdict.UPHELD, [own], {"error": runs}),
        arm("least squares instead of least absolute deviations", Verdict.VIOLATED, [first], {"error": wrong}),
        arm("step ten times larger", Verdict.VIOLATED, [second], {"error": diverged}),
        points=tuple(x),
        sweep_label="distribution of the outliers",
        id="made-up/outliers",
        mode="for every run",
        title="The error does not depend on the size of the outliers",
    )


def single(**more: Any) -> ClaimResult:
    """One sweep point: a strip of replicates against a constant; the control is undecided."""
    rng = np.random.default_rng(3)
    runs, wrong = 0.95 + 0.05 * rng.standard_normal((1, 16)), 1.3 + 0.1 * rng.standard_normal((1, 16))
    bound = curve("closed form", "bound", np.ones((1, 1)))
    look = {"x_label": "iterations T", "y_label": "error / (noise * sqrt(D / m))"}
    own = evidence(
        "Ratio 0.95 [0.93, 0.98], allowed [0.7, 1.4].",
        [1000],
        [curve("ratio", "measured", runs), bound],
        (0.4, 0.3),
        **look,
    )
    off = evidence("", [1000], [curve("ratio", "measured", wrong), bound], (0.2, 1.0), **look)
    return result(
        arm("", Verdict.INCONCLUSIVE, [own], {"ratio": runs}),
        arm("wrong variance", Verdict.INCONCLUSIVE, [off], {"ratio": wrong}),
        points=(1000,),
        id="made-up/constant",
        title="The asymptotic constant is the sandwich formula's",
        **more,
    )


def trajectory() -> ClaimResult:
    """Two judges along one run: a linear rate above a floor, then ordered arms; a control that leaves the axis."""
    rng = np.random.default_rng(4)
    x = sorted({round(1.12**k) for k in range(60)})
    t = np.array(x, dtype=float)[:, None]
    fast = (np.exp(-0.02 * t) + 1e-7) * rng.lognormal(0, 0.4, (len(x), 24))
    slow = (np.exp(-0.005 * t) + 1e-7) * rng.lognormal(0, 0.4, (len(x), 24))
    wrong = np.minimum(np.exp(0.02 * t), 1e300) * rng.lognormal(0, 0.2, (len(x), 24))
    wrong[-6:] = np.inf
    look = {"x_label": "iteration t", "y_label": "error |UU' - X*|", "log_x": False, "log_y": True}
    factor = evidence(
        "Contracts by 0.980 [0.979, 0.981] a step above the floor of 1e-7, stated at most 0.985.",
        x,
        [curve("subgradient_error", "measured", fast), curve("stated rate", "bound", 3 * np.exp(-0.015 * t))],
        (1.0, 1e-3),
        **look,
    )
    order = evidence(
        "Subgradient error is smaller than gradient error at 41 of 41 checkpoints, beyond noise at 38.",
        x,
        [curve("subgradient_error", "measured", fast), curve("gradient_error", "larger", slow)],
        (1.0, 1e-3),
        **look | {"log_x": True},
    )
    off = [evidence("", x, [curve("subgradient_error", "measured", wrong)], (1e-5, 1.0), **look) for _ in range(2)]
    return result(
        arm("", Verdict.UPHELD, [factor, order], {"subgradient_error": fast, "gradient_error": slow}),
        arm("sign dropped", Verdict.VIOLATED, off, {"subgradient_error": wrong}),
        id="made-up/linear",
        title="Sub-gradient descent converges linearly, and faster than gradient descent",
        replicates=24,
        along_trajectory=True,
        points=tuple(x),
    )


def unmeasured() -> ClaimResult:
    """A claim whose cells raised, so that there is nothing to draw."""
    failure = Failure(
        point=256,
        replicate=3,
        message="made-up/regret at T=256, replicate 3: ValueError: rank=9 exceeds d=5",
        traceback="…",
    )
    return result(
        arm("", Verdict.COULD_NOT_MEASURE, [], {}, failures=(failure,)),
        arm("ascent", Verdict.COULD_NOT_MEASURE, [], {}, failures=(failure,)),
        id="made-up/broken",
    )
