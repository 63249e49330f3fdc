"""Learning rate and momentum from the spectrum of the batch Hessian: the on-the-fly learner of Section 10.2.

Every 20 epochs the paper runs m = 20 Lanczos steps from a random vector on the batch Hessian, or a positive
semi-definite stand-in for it, and puts the largest and smallest Ritz values into Polyak's or Nesterov's formulas.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.lanczos import lanczos, ritz_values
from theorylab.algorithms.operators import Array, Matvec

Rule = Literal["polyak", "nesterov"]
Form = Literal["textbook", "printed"]


@dataclass(frozen=True, slots=True)
class LearnedStep:
    """Learning ``rate`` and ``momentum``, with the ``top`` and ``bottom`` curvature they come from.

    ``capped`` says that the rate was cut at the cap, ``floored`` that the bottom was lifted to the floor, ``deleted``
    that the Ritz value of largest weight was dropped first.
    """

    rate: float
    momentum: float
    top: float
    bottom: float
    capped: bool
    floored: bool
    deleted: bool


def step_from_curvature(top: float, bottom: float, *, rule: Rule, form: Form = "textbook") -> tuple[float, float]:
    r"""Return learning rate and momentum for curvatures in [``bottom``, ``top``] = ``[lambda_P, lambda_1]``.

    Polyak: ``rho = ((sqrt(lambda_1) - sqrt(lambda_P)) / (sqrt(lambda_1) + sqrt(lambda_P)))^2``, rate ``(2 /
    (sqrt(lambda_1) + sqrt(lambda_P)))^2``, which (26) prints without the square. Nesterov: ``rho = (sqrt(lambda_1) -
    sqrt(lambda_P)) / (sqrt(lambda_1) + sqrt(lambda_P))``, rate ``1 / lambda_1``, for which (26) prints
    ``sqrt(lambda_P / lambda_1)``. A rate has to scale as one over the curvature, as ``w - rate H w`` has to keep its
    units; neither printed one does. Momenta are those of (27). The textbook pairs are those of Polyak, 1964, and
    Nesterov's constant momentum for strongly convex functions.

    Raises ValueError unless ``0 < bottom <= top``, both finite, and the names are known.

    >>> step_from_curvature(4.0, 1.0, rule="nesterov")
    (0.25, 0.3333333333333333)
    """
    if not (np.isfinite(top) and 0.0 < bottom <= top):
        raise ValueError(f"top={top!r}, bottom={bottom!r}: must satisfy 0 < bottom <= top; set a floor on the bottom")
    if rule not in ("polyak", "nesterov") or form not in ("textbook", "printed"):
        raise ValueError(f"rule={rule!r}, form={form!r}: must be 'polyak' or 'nesterov', and 'textbook' or 'printed'")
    high, low = float(np.sqrt(top)), float(np.sqrt(bottom))
    contrast = (high - low) / (high + low)
    if rule == "polyak":
        root = 2.0 / (high + low)
        return (root if form == "printed" else root**2), contrast**2
    return (low / high if form == "printed" else 1.0 / top), contrast


def drop_heavy(values: npt.ArrayLike, weights: npt.ArrayLike, *, share: float = 0.5) -> tuple[Array, Array]:
    """Return Ritz values and weights without the one of largest weight, if that is more than ``share`` of the total.

    The rest is renormalised ("Dealing with Rank Degeneracy", Section 10.2): the heavy one stands for the flat
    directions near zero, which would set the momentum to one. A single Ritz value stays. Raises ValueError on
    different shapes, no values, negative weights, or a share outside (0, 1].

    >>> drop_heavy([0.0, 1.0, 4.0], [0.6, 0.3, 0.1])[0]
    array([1., 4.])
    """
    nodes, mass = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if nodes.ndim != 1 or nodes.size == 0 or nodes.shape != mass.shape:
        raise ValueError(f"values.shape={nodes.shape}, weights.shape={mass.shape}: must be equal, (m,) with m >= 1")
    if not (np.isfinite(nodes).all() and np.isfinite(mass).all() and np.all(mass >= 0.0) and np.sum(mass) > 0.0):
        raise ValueError("values and weights must be finite, weights not negative and not all zero")
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share={share!r}: must be in (0, 1], the paper takes 0.5")
    mass = mass / np.sum(mass)
    heavy = int(np.argmax(mass))
    if nodes.size == 1 or not mass[heavy] > share:
        return nodes, mass
    rest = np.delete(mass, heavy)
    return np.delete(nodes, heavy), rest / np.sum(rest)


def learn_step(
    matvec: Matvec,
    n: int | None = None,
    *,
    rule: Rule,
    rng: np.random.Generator,
    form: Form = "textbook",
    steps: int = 20,
    floor: float = 0.0,
    cap: float = np.inf,
    share: float = 0.5,
) -> LearnedStep:
    """Return learning rate and momentum for a batch Hessian, given as matrix, LinearOperator or function of (n,).

    ``steps`` m Lanczos steps from a random vector, at most n; Ritz values in modulus, so that an indefinite Hessian
    gets a positive definite stand-in; `drop_heavy` with ``share``; then `step_from_curvature`. ``floor`` lifts the
    smallest curvature: add the weight decay to the Hessian, or set the floor to it, as the smallest Ritz value falls
    towards zero with more steps and the momentum goes to one. ``cap`` bounds the rate where curvature vanishes.

    Raises ValueError as `lanczos`, for a floor or cap out of range, and where no curvature is left at all.

    >>> batch_hessian = np.diag([1.0, 2.0, 4.0])
    >>> found = learn_step(batch_hessian, rule="nesterov", steps=3, share=1.0, rng=np.random.default_rng(0))
    >>> round(found.rate, 12), round(found.momentum, 12)
    (0.25, 0.333333333333)
    """
    if not (np.isfinite(floor) and floor >= 0.0):
        raise ValueError(f"floor={floor!r}: must be finite, zero or more, in units of the curvature")
    if not cap > 0.0:
        raise ValueError(f"cap={cap!r}: must be positive, the largest learning rate allowed")
    ritz = ritz_values(lanczos(matvec, n, steps=steps, rng=rng))
    order = np.argsort(np.abs(ritz.values))
    kept, _ = drop_heavy(np.abs(ritz.values)[order], ritz.weights[order], share=share)
    top, bottom = float(kept[-1]), float(kept[0])
    lifted = max(bottom, floor)
    if lifted <= 0.0:
        raise ValueError(f"smallest Ritz value={bottom!r} with floor={floor!r}: must be positive; set floor > 0")
    rate, momentum = step_from_curvature(max(top, lifted), lifted, rule=rule, form=form)
    return LearnedStep(min(rate, cap), momentum, top, lifted, rate > cap, bottom < floor, kept.size < ritz.values.size)
