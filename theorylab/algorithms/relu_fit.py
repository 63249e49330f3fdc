"""Training of a two-layer ReLU network with a certificate of how far from optimal it is: the numbers of an estimator.

The program over the chosen patterns is solved by ADMM to a certified relative duality gap; where ADMM ends short of it
and few patterns are in use, an interior-point method solves the program over those, and its multipliers certify it
against all chosen ones. With a radius epsilon the robust program is solved by the interior-point method. Everything is
that of Bai, Gautam and Sojoudi, SIAM Journal on Mathematics of Data Science, 2023; the certificates are re-derived.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theorylab.algorithms.relu_admm import AdmmRun, AdmmState, split_admm
from theorylab.algorithms.relu_certificate import pattern_dual_norms, relative_gap, restricted_dual_bound
from theorylab.algorithms.relu_convex_program import (
    ConvexOptimum,
    ConvexProgram,
    convex_program,
    solve_program,
    train_convex,
)
from theorylab.algorithms.relu_losses import SQUARED, Array, Mask, checked_radius, checked_training
from theorylab.algorithms.relu_pattern_choice import (
    added_patterns,
    checked_choice,
    choose_patterns,
    violated_directions,
)
from theorylab.algorithms.relu_recovery import Network, recover_network, training_objective
from theorylab.algorithms.relu_robust import pattern_radii, patterns_within
from theorylab.algorithms.relu_robust_certificate import robust_dual_bound, worst_case_bound
from theorylab.algorithms.relu_solver_checks import checked_number

# The interior-point method takes a few seconds for this many entries n P d.
POLISH_ENTRIES = 20_000
POLISH_ROUNDS = 5
STARTS, ADDED = 64, 32


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What `fit_network` is asked for: see the parameters of `theorylab.relu.ConvexReLUClassifier`."""

    beta: float
    loss: str
    patterns: str | int
    epsilon: float
    tol: float
    max_iter: int
    search_rounds: int


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A trained network and its certificate.

    ``objective`` is the non-convex training objective of ``network``, ``worst_case`` an upper bound on it over all
    perturbations, exact up to the accuracy of the solver, and equal to it at epsilon 0. ``dual_bound`` is a lower bound
    on the program over the chosen patterns, and so is ``gap = (worst_case - dual_bound) / worst_case`` about them
    alone unless ``complete`` says that they are all. ``dual`` (n,) is the dual point. ``patterns`` is how many patterns
    there are, ``iterations`` those of the solvers together. ``violation`` is the largest ``|v'(Xu)_+| / beta - 1`` that
    the search for further patterns met, NaN without a search.
    """

    network: Network
    objective: float
    worst_case: float
    dual_bound: float
    dual: Array
    patterns: int
    complete: bool
    iterations: int
    violation: float

    @property
    def gap(self) -> float:
        """The relative duality gap; negative where the network beats all networks on the sampled patterns."""
        return relative_gap(self.worst_case, self.dual_bound)


def checked_settings(settings: FitSettings) -> FitSettings:
    """Return the settings; raise ValueError on numbers out of range. Loss and beta are checked with the data."""
    checked_choice(settings.patterns)
    checked_radius(settings.epsilon)
    checked_number("tol", settings.tol)
    for name, least in (("max_iter", 1), ("search_rounds", 0)):
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name}={value!r}: must be an integer of at least {least}")
    return settings


def fit_network(X: Array, y: Array, settings: FitSettings, rng: np.random.Generator, *, intercept: bool) -> Fit:
    """Train on ``X`` (n, d) and ``y`` (n,), -1 or 1 for the logistic and the hinge loss.

    ``intercept`` appends a column of ones: the last row of the weights U of the network, and not perturbed. Raises
    ValueError on bad data or settings, more patterns than memory allows, and an epsilon so large that only the zero
    network is feasible.
    """
    checked_settings(settings)
    inputs, targets, _ = checked_training(X, y, settings.beta, settings.loss)
    perturbed = np.ones(inputs.shape[1], dtype=np.bool_)
    if intercept:
        inputs = np.ascontiguousarray(np.column_stack([inputs, np.ones(targets.size)]))
        perturbed = np.append(perturbed, False)
    patterns, complete = choose_patterns(inputs, settings.patterns, rng, bias=intercept, robust=settings.epsilon > 0.0)
    if settings.epsilon > 0.0:
        return _fit_robust(inputs, targets, patterns, complete, settings, perturbed)
    run, iterations, violation = _admm(inputs, targets, patterns, settings, None), 0, np.nan
    if settings.search_rounds > 0 and not complete:
        patterns, run, iterations, violation = _with_search(inputs, targets, patterns, run, settings, rng)
    fit = Fit(
        network=recover_network(run.v.T, run.w.T),
        objective=float(run.network[-1]),
        worst_case=float(run.network[-1]),
        dual_bound=float(run.dual_bound.max()),
        dual=run.dual,
        patterns=patterns.shape[1],
        complete=complete,
        iterations=iterations + run.residuals.size,
        violation=violation,
    )
    return fit if fit.gap <= settings.tol else _polished(inputs, targets, patterns, run, fit, settings)


def _admm(X: Array, y: Array, patterns: Mask, settings: FitSettings, start: AdmmState | None) -> AdmmRun:
    """Run ADMM to the wanted gap."""
    return split_admm(
        X, y, patterns, settings.beta, loss=settings.loss, gap=settings.tol, iterations=settings.max_iter, start=start
    )


def _with_search(
    X: Array, y: Array, patterns: Mask, run: AdmmRun, settings: FitSettings, rng: np.random.Generator
) -> tuple[Mask, AdmmRun, int, float]:
    """Add patterns that the dual point violates and train on, round by round; the search also ends the last round.

    Returns the patterns, their run, the iterations of earlier runs, and the largest violation left.
    """
    earlier = 0
    for left in range(settings.search_rounds, -1, -1):
        starts = np.hstack([rng.standard_normal((X.shape[1], STARTS)), run.v[run.v.any(axis=1)].T])
        found, values = violated_directions(X, run.dual, starts, beta=settings.beta)
        grown = added_patterns(patterns, X @ found[:, values > 1.0 + settings.tol] >= 0.0, ADDED)
        if left == 0 or grown.shape[1] == patterns.shape[1]:
            break
        start = _grown_state(run.state, patterns.shape[1], grown.shape[1])
        earlier += run.residuals.size
        patterns, run = grown, _admm(X, y, grown, settings, start)
    return patterns, run, earlier, max(0.0, float(values[0]) - 1.0)


def _grown_state(state: AdmmState, before: int, after: int) -> AdmmState:
    """Return the state with blocks of zeros for the patterns from ``before`` on."""

    def grown(rows: Array) -> Array:
        spare = np.zeros((after - before, rows.shape[1]))
        return np.vstack([rows[:before], spare, rows[before:], spare])

    return replace(
        state,
        u=grown(state.u),
        v=grown(state.v),
        lam=grown(state.lam),
        s=grown(state.s),
        nu=grown(state.nu),
    )


def _polished(X: Array, y: Array, patterns: Mask, run: AdmmRun, fit: Fit, settings: FitSettings) -> Fit:
    """Return the better of ``fit`` and the optimum over the patterns in use, certified against all ``patterns``.

    Patterns that its dual point violates come into use, a few times over.
    """
    problem: dict[str, Any] = {"beta": settings.beta, "loss": settings.loss}
    used = run.v.any(axis=1) | run.w.any(axis=1)
    for _ in range(POLISH_ROUNDS):
        if not 0 < used.sum() * X.size <= POLISH_ENTRIES:
            break
        optimum = train_convex(X, y, patterns[:, used], **problem)
        network = recover_network(optimum.V, optimum.W, relative_size=1e-7)
        objective = training_objective(network, X, y, **problem)
        if objective < fit.objective:
            fit = replace(fit, network=network, objective=objective, worst_case=objective)
        bound = restricted_dual_bound(X, y, optimum.dual, patterns, **problem).value
        if bound > fit.dual_bound:
            fit = replace(fit, dual_bound=bound, dual=optimum.dual)
        missing = pattern_dual_norms(X, optimum.dual, patterns) > settings.beta * (1.0 + 0.1 * settings.tol)
        if fit.gap <= settings.tol or not np.any(missing & ~used):
            break
        used |= missing
    return fit


def _fit_robust(X: Array, y: Array, patterns: Mask, complete: bool, settings: FitSettings, perturbed: Mask) -> Fit:
    """Solve the robust program by an interior-point method; the bounds on both sides are our own."""
    on = patterns.astype(np.float64)
    kept = patterns_within(pattern_radii(X, on, perturbed=perturbed), settings.epsilon)
    program = convex_program(X, on[:, kept], loss=settings.loss, robust=True, perturbed=perturbed)
    optimum = solve_program(program, y, beta=settings.beta, epsilon=settings.epsilon)
    network = recover_network(optimum.V, optimum.W, relative_size=1e-7)
    shift = _worst_shift(X, y, on[:, kept], program, optimum, settings, perturbed)
    # The last four are width and margin of the cones of V, then those of W.
    multipliers = np.zeros((2, *on.shape))
    multipliers[:, :, kept] = [program.problem.constraints[place].dual_value for place in (-3, -1)]
    problem: dict[str, Any] = {
        "beta": settings.beta,
        "loss": settings.loss,
        "epsilon": settings.epsilon,
        "perturbed": perturbed,
    }
    return Fit(
        network=network,
        objective=training_objective(network, X, y, beta=settings.beta, loss=settings.loss),
        worst_case=worst_case_bound(network, X, y, **problem),
        dual_bound=robust_dual_bound(X, y, on, optimum.dual, shift, multipliers, **problem),
        dual=optimum.dual,
        patterns=patterns.shape[1],
        complete=complete,
        iterations=int(program.problem.solver_stats.num_iters),
        violation=np.nan,
    )


def _worst_shift(
    X: Array,
    y: Array,
    on: Array,
    program: ConvexProgram,
    optimum: ConvexOptimum,
    settings: FitSettings,
    perturbed: Mask,
) -> Array:
    """Return zeta (n, d) of `robust_dual_bound` from the solver's multipliers of ``+-epsilon g <= sizes``.

    These constraints follow the link and are stated once for all samples that share ``g_k``. The parts of samples are
    in proportion to c: ``|v|``, and for the squared loss ``|r| + s``, which is larger where the residual r vanishes.
    """
    above, below = (np.asarray(constraint.dual_value) for constraint in program.problem.constraints[1:3])
    groups, member = np.unique(on, axis=0, return_inverse=True)
    weights = np.abs(optimum.dual)
    if settings.loss == SQUARED:
        slopes = (on @ (optimum.V - optimum.W).T)[:, perturbed]
        weights = np.abs(optimum.outputs - y) + settings.epsilon * np.abs(slopes).sum(axis=1)
    totals = np.bincount(member.ravel(), weights, minlength=len(groups))
    parts = weights / np.maximum(totals[member.ravel()], 1e-300)
    shift = np.zeros_like(X)
    shift[:, perturbed] = -settings.epsilon * (above - below)[member.ravel()] * parts[:, None]
    return shift
