r"""The convex program that is equivalent to training a two-layer ReLU network, solved by an interior-point method.

Over activation patterns ``D_1..D_P`` of the data, with ``V`` and ``W`` (d, P) and ``E_i = 2 D_i - I``, it is

    min  l(sum_i D_i X (v_i - w_i), y) + beta sum_i (||v_i|| + ||w_i||)   s.t.  E_i X v_i >= 0,  E_i X w_i >= 0.

With all patterns its value is that of the non-convex problem of enough width (Pilanci and Ergen, ICML 2020;
Bai, Gautam and Sojoudi, SIAM Journal on Mathematics of Data Science, 2023). With some of them it is the *restricted*
program, whose value is larger or equal. The robust program for ``||delta_k||_inf <= epsilon`` shrinks the cones to
``E_i X v_i >= epsilon ||v_i||_1`` and takes the worst case of the loss over ``yhat_k +- epsilon ||g_k||_1``, where
``g_k = sum_i d_ik (v_i - w_i)`` (same paper); columns that are not perturbed stay out of both 1-norms.

cvxpy states the program and Clarabel solves it, to 1e-10 where it can. y, beta and epsilon are parameters: a sweep over
them builds one program and solves it many times.
"""

import warnings
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.relu_losses import (
    HINGE,
    SQUARED,
    Array,
    Mask,
    checked_activations,
    checked_inputs,
    checked_loss_name,
    checked_perturbed,
    checked_radius,
    checked_training,
    loss_value,
)
from theorylab.algorithms.relu_robust import largest_robust_radius, pattern_radii, patterns_within

# Tolerance and largest share of the way to the boundary of the cones: a step too long can stall the exponential cones.
ATTEMPTS = ((1e-10, 0.99), (1e-10, 0.95), (1e-9, 0.95), (1e-8, 0.9))
CONES = ("exact", "nominal", "none")
# Clarabel's matrices, their copies and the factor take about this much an entry of the cone constraints.
BYTES_PER_ENTRY = 100


@dataclass(frozen=True, slots=True, eq=False)
class ConvexProgram:
    """A stated program for fixed ``X`` (n, d) and ``patterns`` D (n, P), 0 or 1 in float64; see `convex_program`.

    ``problem``, ``parameters`` and ``variables`` are cvxpy's, by name.
    """

    X: Array
    patterns: Array
    loss: str
    robust: bool
    perturbed: Mask
    cones: str
    both_signs: bool
    problem: Any
    parameters: dict[str, Any]
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class ConvexOptimum:
    """What the solver found, measured again by us.

    ``value`` is the objective at ``V`` and ``W`` (d, P), ``outputs`` ``yhat`` (n,), ``dual`` v (n,) the multiplier of
    ``yhat = sum_i D_i X (v_i - w_i)``, the candidate of the dual bounds. ``status`` is cvxpy's and ``tolerance`` that
    of the solver, 1e-10 or the tightest that it could reach down to 1e-8. ``cone_violation`` is
    the largest amount by which a constraint of the stated program fails (0 if none does), ``solver_gap`` Clarabel's
    relative duality gap, ``solver_residual`` the larger of its primal and dual residuals, all relative or in units of
    X times V.
    """

    value: float
    V: Array
    W: Array
    outputs: Array
    dual: Array
    status: str
    tolerance: float
    cone_violation: float
    solver_gap: float
    solver_residual: float

    @property
    def accurate(self) -> bool:
        """Whether the solver reached its tolerances; otherwise nothing should be concluded from the value alone."""
        return self.status == "optimal"


def convex_program(
    X: npt.ArrayLike,
    patterns: npt.ArrayLike,
    *,
    loss: str = SQUARED,
    robust: bool = False,
    perturbed: npt.ArrayLike | None = None,
    cones: str = "exact",
    both_signs: bool = True,
    max_bytes: int = 2**31,
) -> ConvexProgram:
    """State the program over ``patterns`` D (n, P) of 0 and 1 for the data ``X`` (n, d).

    ``robust`` adds the radius epsilon, ``perturbed`` (d,) the columns it acts on. For controls: ``cones="nominal"``
    leaves the cones of the robust program as they are without perturbation, ``cones="none"`` drops them, and
    ``both_signs=False`` drops W. Raises ValueError on arguments that do not fit or an unknown loss or cone, and where
    the solver would take more than ``max_bytes``, by an estimate.
    """
    cp: Any = import_module("cvxpy")

    inputs = checked_inputs(X)
    n, d = inputs.shape
    D = checked_activations(patterns, n)
    mask = checked_perturbed(perturbed, d)
    if cones not in CONES:
        raise ValueError(f"cones={cones!r}: must be one of {', '.join(map(repr, CONES))}")
    checked_loss_name(loss)
    needed = (2 if both_signs else 1) * D.size * d * BYTES_PER_ENTRY
    if needed > max_bytes:
        raise ValueError(
            f"P={D.shape[1]} patterns of n={n} samples in d={d} columns: about {needed / 2**30:.3g} GiB for an"
            f" interior-point method, max_bytes={max_bytes}; use the ADMM of relu_admm or fewer sampled patterns"
        )
    y, beta = cp.Parameter(n, name="y"), cp.Parameter(nonneg=True, name="beta")
    epsilon = cp.Parameter(nonneg=True, name="epsilon") if robust else None
    blocks = [cp.Variable((d, D.shape[1])) for _ in range(2 if both_signs else 1)]
    outputs = cp.Variable(n)
    difference = blocks[0] - blocks[1] if both_signs else blocks[0]
    slopes = D @ difference.T
    link = outputs == cp.sum(cp.multiply(inputs, slopes), axis=1)
    # Samples in the same place of all patterns share g_k; copies of it would make the multipliers degenerate.
    groups, member = np.unique(D, axis=0, return_inverse=True)
    widths, widening = _stated_slack((groups @ difference.T)[:, mask], epsilon)
    slack = widths if epsilon is None else widths[member.ravel()]
    cost, losses = _stated_loss(loss, outputs, y, slack)
    constraints = [link, *widening, *losses]
    for block in blocks if cones != "none" else []:
        constraints += _stated_cones(inputs, D, block, mask, epsilon if cones == "exact" else None)
    penalty = sum(cp.sum(cp.norm(block, 2, axis=0)) for block in blocks)
    problem = cp.Problem(cp.Minimize(cost + beta * penalty), constraints)
    parameters = {"y": y, "beta": beta} | ({} if epsilon is None else {"epsilon": epsilon})
    variables = {"blocks": blocks, "outputs": outputs, "link": link}
    return ConvexProgram(inputs, D, loss, robust, mask, cones, both_signs, problem, parameters, variables)


def solve_program(
    program: ConvexProgram, y: npt.ArrayLike, *, beta: float, epsilon: float = 0.0, max_iterations: int = 200
) -> ConvexOptimum:
    """Solve a stated program for the targets ``y`` (n,), weight decay ``beta`` and l_inf radius ``epsilon``.

    Raises ValueError on bad targets or weights, a positive ``epsilon`` if and only if not ``robust``, and one so large
    that only the zero network is feasible; RuntimeError where Clarabel returns no point. A point short of the
    tolerances is returned with its ``status``.
    """
    _, targets, decay = checked_training(program.X, y, beta, program.loss)
    radius = checked_radius(epsilon)
    if (radius > 0.0) != program.robust:
        # With a zero radius the widths of the robust program are free, which the interior-point method does not bear.
        needed = "positive in a program stated with robust=True" if program.robust else "0 in one stated without robust"
        raise ValueError(f"epsilon={epsilon!r}: must be {needed}; state another program")
    program.parameters["y"].value, program.parameters["beta"].value = targets, decay
    if program.robust:
        program.parameters["epsilon"].value = radius
    solved, tolerance = _run_clarabel(program.problem, max_iterations)
    optimum = _measured(program, solved, tolerance, targets, decay, radius)
    if radius > 0.0 and program.cones == "exact" and not max(np.abs(optimum.V).max(), np.abs(optimum.W).max()) > 1e-7:
        largest = largest_robust_radius(program.X, program.patterns, perturbed=program.perturbed)
        if largest < radius:
            raise ValueError(f"epsilon={epsilon!r}: only the zero network is feasible; must be below {largest:.6g}")
    return optimum


def train_convex(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: npt.ArrayLike,
    *,
    beta: float,
    loss: str = SQUARED,
    epsilon: float = 0.0,
    perturbed: npt.ArrayLike | None = None,
    cones: str = "exact",
    both_signs: bool = True,
) -> ConvexOptimum:
    """State and solve in one call: `convex_program`, then `solve_program`, with their arguments and errors.

    Patterns whose shrunken cone holds nothing but zero are left out of a robust program, see `over_patterns`.

    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
    >>> optimum = train_convex(X, [1.0, 0.0, 1.0], enumerate_patterns(X), beta=0.1)
    >>> optimum.status, round(optimum.value, 4)
    ('optimal', 0.0967)
    """
    checked_training(X, y, beta, loss)
    robust = checked_radius(epsilon) > 0.0
    used: Mask | None = None
    if robust and cones == "exact":
        used = patterns_within(pattern_radii(X, patterns, perturbed=perturbed), epsilon)
        patterns = np.asarray(patterns)[:, used]
    program = convex_program(
        X, patterns, loss=loss, robust=robust, perturbed=perturbed, cones=cones, both_signs=both_signs
    )
    optimum = solve_program(program, y, beta=beta, epsilon=epsilon)
    return optimum if used is None else over_patterns(optimum, used)


def over_patterns(optimum: ConvexOptimum, used: Mask) -> ConvexOptimum:
    """Return an optimum over the ``used`` (P,) of all patterns as a point over them all, V and W (d, P) zero elsewhere.

    It is the optimum over them all where the other cones are {0}; otherwise that remains to be certified.
    """

    def wide(block: Array) -> Array:
        full = np.zeros((block.shape[0], used.size))
        full[:, used] = block
        return full

    return replace(optimum, V=wide(optimum.V), W=wide(optimum.W))


def program_objective(
    X: Array,
    y: Array,
    patterns: Array,
    V: Array,
    W: Array,
    *,
    beta: float,
    loss: str,
    epsilon: float = 0.0,
    perturbed: Mask | None = None,
) -> float:
    """Return the objective of the program at V and W (d, P), feasible or not; arrays as in `convex_program`."""
    slopes = patterns @ (V - W).T
    mask = checked_perturbed(perturbed, X.shape[1])
    slack = epsilon * np.abs(slopes[:, mask]).sum(axis=1)
    penalty = float(np.linalg.norm(V, axis=0).sum() + np.linalg.norm(W, axis=0).sum())
    return loss_value(loss, np.sum(X * slopes, axis=1), y, slack) + beta * penalty


def cone_violation(
    X: Array, patterns: Array, V: Array, *, epsilon: float = 0.0, perturbed: Mask | None = None
) -> float:
    """Return the largest ``epsilon ||v_i||_1 - (E_i X v_i)_k`` over patterns and samples, 0 where none is positive."""
    mask = checked_perturbed(perturbed, X.shape[1])
    margins = (2.0 * patterns - 1.0) * (X @ V)
    return max(0.0, float(np.max(epsilon * np.abs(V[mask]).sum(axis=0) - margins)))


def _stated_slack(slopes: Any, epsilon: Any) -> tuple[Any, list[Any]]:
    """Return ``epsilon ||g_k||_1`` over the rows of ``slopes``, as bounded by variables, and the constraints; or 0."""
    cp: Any = import_module("cvxpy")

    if epsilon is None:
        return 0.0, []
    # Said to be non-negative, so that the square of the sum is known to be convex.
    sizes = cp.Variable(slopes.shape, nonneg=True)
    return cp.sum(sizes, axis=1), [sizes >= epsilon * slopes, sizes >= -epsilon * slopes]


def _stated_cones(X: Array, D: Array, block: Any, mask: Mask, epsilon: Any) -> list[Any]:
    """Return ``E_i X v_i >= epsilon ||v_i||_1`` for all patterns; ``epsilon`` None is 0."""
    cp: Any = import_module("cvxpy")

    margins = cp.multiply(2.0 * D - 1.0, X @ block)
    if epsilon is None:
        return [margins >= 0.0]
    widths = cp.Variable((1, D.shape[1]))
    norms = cp.norm1(block[mask, :], axis=0)
    return [norms <= widths[0], margins >= epsilon * (np.ones((X.shape[0], 1)) @ widths)]


def _stated_loss(loss: str, outputs: Any, y: Any, slack: Any) -> tuple[Any, list[Any]]:
    """Return cvxpy's expression of `loss_value` and the constraints that it needs."""
    cp: Any = import_module("cvxpy")

    n = outputs.shape[0]
    if loss == SQUARED:
        return 0.5 * cp.sum_squares(outputs - y if isinstance(slack, float) else cp.abs(outputs - y) + slack), []
    margins = slack - cp.multiply(y, outputs)
    if loss == HINGE:
        return cp.sum(cp.pos(1.0 + margins)), []
    # cvxpy's own logistic atom stalls Clarabel on the robust program; exp(z - t) + exp(-t) <= 1 with z >= margin not.
    z, t, active, rest = (cp.Variable(n) for _ in range(4))
    cones = [cp.ExpCone(z - t, np.ones(n), active), cp.ExpCone(-t, np.ones(n), rest)]
    return cp.sum(t), [z >= margins, active + rest <= 1.0, *cones]


def _run_clarabel(problem: Any, max_iterations: int) -> tuple[Any, float]:
    """Solve into the problem's variables; return Clarabel's own solution, which cvxpy does not keep, and its tolerance.

    Shorter steps and looser tolerances are tried in turn where the tightest is out of reach.
    """
    cp: Any = import_module("cvxpy")

    for tolerance, step in ATTEMPTS:
        options: dict[str, Any] = {"max_iter": max_iterations, "max_step_fraction": step, "accept_unknown": True}
        options |= dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
        data, chain, inverse = problem.get_problem_data(cp.CLARABEL, solver_opts=options)
        solved = chain.solve_via_data(problem, data, solver_opts=options)
        if str(solved.status) == "Solved":
            break
    with warnings.catch_warnings():
        # The status says the same, and stays with the result.
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        try:
            problem.unpack_results(solved, chain, inverse)
        except cp.SolverError as error:
            raise RuntimeError(f"Clarabel stopped with {solved.status}, without a point; rescale X and y") from error
    return solved, tolerance


def _measured(
    program: ConvexProgram, solved: Any, tolerance: float, targets: Array, beta: float, epsilon: float
) -> ConvexOptimum:
    """Evaluate what the solver returned."""
    V = np.ascontiguousarray(program.variables["blocks"][0].value)
    W = np.ascontiguousarray(program.variables["blocks"][1].value) if program.both_signs else np.zeros_like(V)
    data = program.X, targets, program.patterns
    value = program_objective(*data, V, W, beta=beta, loss=program.loss, epsilon=epsilon, perturbed=program.perturbed)
    radius = epsilon if program.cones == "exact" else 0.0
    violations = [
        cone_violation(program.X, program.patterns, block, epsilon=radius, perturbed=program.perturbed)
        for block in (V, W)
    ]
    return ConvexOptimum(
        value=value,
        V=V,
        W=W,
        outputs=np.sum(program.X * (program.patterns @ (V - W).T), axis=1),
        dual=np.asarray(program.variables["link"].dual_value, dtype=np.float64),
        status=str(program.problem.status),
        tolerance=tolerance,
        cone_violation=0.0 if program.cones == "none" else max(violations),
        solver_gap=abs(solved.obj_val - solved.obj_val_dual) / max(1.0, abs(solved.obj_val)),
        solver_residual=max(float(solved.r_prim), float(solved.r_dual)),
    )
