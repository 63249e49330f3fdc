"""ADMM for the convex program of two-layer ReLU networks, with a u-step that never forms the large matrix.

The program over patterns ``D_1..D_P`` (all of them, or a sample) is ``min loss(F u, y) + beta sum_i |v_i|`` over
``u = v, G u = s, s >= 0``, where ``F u = sum_i D_i X (u_i - z_i)`` and ``(G u)_i = (2 D_i - I) X u_i``. `admm` is the
algorithm of Bai, Gautam and Sojoudi, 2023, for the squared loss; `split_admm` adds the split ``F u = p``, which moves
any convex loss into a scalar proximal step and leaves the u-step quadratic: squared, logistic and hinge loss at one
cost. An iteration costs O(ndP + d^2 P + n^2); `relu_admm_dense` is the reference that factors the 2dP x 2dP matrix.

Two numbers bracket the optimum at every checkpoint, whatever the residuals are:
- *network*: the objective of the network recovered from ``v`` on the non-convex problem. Each block, taken with the
  activation pattern that it really has, is feasible for the program over all patterns with this very objective, so it
  is at least p* of that program. It may fall below the optimum over a sample, as blocks may leave their cones.
- *dual bound*: the value of a feasible point of the restricted dual, at most the optimum over the given patterns. With
  all patterns it is a lower bound of p*; with a sample it bounds the restricted optimum and no more.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from theorylab.algorithms import relu_admm_kernels as kernels
from theorylab.algorithms.checks import checked_count
from theorylab.algorithms.relu_losses import SQUARED, Array, checked_training
from theorylab.algorithms.relu_solver_checks import (
    Integers,
    checked_checkpoints,
    checked_number,
    checked_shape,
    loss_kind,
    pattern_rows,
)


@dataclass(frozen=True, slots=True, eq=False)
class AdmmState:
    """All variables, blocks stacked ``u_1..u_P, z_1..z_P``: what a later run continues from.

    ``u``, ``v``, ``lam`` (2P, d); ``s``, ``nu`` (2P, n); ``p``, ``mu`` (n,), zero in `admm`. The multipliers ``lam``
    (lambda), ``nu`` and ``mu`` are scaled by ``penalty`` rho.
    """

    u: Array
    v: Array
    lam: Array
    s: Array
    nu: Array
    p: Array
    mu: Array
    penalty: float


@dataclass(frozen=True, slots=True, eq=False)
class AdmmRun:
    """What ADMM leaves behind: the blocks, and at C checkpoints how far they are from optimal.

    ``v``, ``w`` (P, d): blocks of positive and of negative output weight, exactly zero where shrunken. ``residuals``
    (T,): ``sqrt(|u-v|^2 + |Gu-s|^2)`` of every iteration. All others are (C,): ``checkpoints``; ``copy`` ``|u-v|``;
    ``cone`` ``|Gu-s|``; ``fit`` ``|Fu-p|``, zero in `admm`; ``stationarity`` ``|F^T g + rho (lambda + kappa G^T nu)|``
    with ``g`` the gradient of the loss; ``subgradient``, the largest ``|beta v_i/|v_i| - rho lambda_i|``, for ``v_i =
    0`` the excess of ``rho |lambda_i|`` over beta; ``objective`` of ``v`` in the program, cones ignored; ``network``
    and ``dual_bound``, the upper and the lower bound of the module's text; ``penalties`` rho. ``dual`` (n,) is the last
    multiplier of the outputs, near ``-grad loss``: a candidate for the bounds of `relu_certificate`. ``converged`` says
    that a tolerance was met; a ``diverged`` run (a residual beyond 1e150) has infinite residuals from then on.
    """

    v: Array
    w: Array
    residuals: Array
    checkpoints: Integers
    copy: Array
    cone: Array
    fit: Array
    stationarity: Array
    subgradient: Array
    objective: Array
    network: Array
    dual_bound: Array
    penalties: Array
    dual: Array
    converged: bool
    diverged: bool
    state: AdmmState

    @property
    def gap(self) -> float:
        """Certified ``(network - best dual bound) / network`` at the end, infinite without a checkpoint.

        With all patterns no network can be better than the one returned by more than this share; with a sample, no
        network on the sample, and a negative number says that this one beats all of those.
        """
        if self.network.size == 0:
            return np.inf
        return float((self.network[-1] - self.dual_bound.max()) / max(abs(float(self.network[-1])), 1e-300))


def admm(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: npt.ArrayLike,
    beta: float,
    *,
    penalty: float = 0.05,
    dual_step: float = 1.0,
    decay: float = 1.0,
    cone_weight: float = 1.0,
    iterations: int = 6000,
    checkpoints: npt.ArrayLike | None = None,
    tolerance: float | None = None,
    start: AdmmState | None = None,
) -> AdmmRun:
    """Run the paper's ADMM for the squared loss ``|F u - y|^2 / 2``, all variables starting at zero.

    ``x`` (n, d), ``y`` (n,), ``patterns`` (n, P) of 0 and 1, ``beta`` > 0. ``penalty`` is rho; ``dual_step`` is tau =
    gamma_a / rho, multiplied by ``decay`` in (0, 1] after each iteration: any constant below (1 + sqrt 5)/2 converges,
    2 and more diverge. ``cone_weight`` kappa weighs ``G u = s`` (1 in the paper). ``checkpoints`` (C,) ascend, None
    being every hundredth; at them the run ends early once copy, cone, stationarity and subgradient residuals are all
    at most ``tolerance``. Raises ValueError on bad shapes, entries or settings.

    Source: Bai, Gautam and Sojoudi, 2023, the paper's ADMM; the structured u-step is ours, see the kernels.

    >>> x, y = np.array([[1.0], [2.0], [-1.0]]), np.array([1.0, 2.0, 1.0])
    >>> run = admm(x, y, (x @ [[1.0, -1.0]] >= 0), 0.5, iterations=2000)
    >>> bool(abs(run.network[-1] - run.dual_bound[-1]) < 1e-9)
    True
    """
    features, targets, decay_weight = checked_training(x, y, beta, SQUARED)
    rho = checked_number("penalty", penalty)
    return _run(
        kernels.DIRECT,
        (features, targets, pattern_rows(patterns, targets.size), decay_weight),
        (rho, checked_number("cone_weight", cone_weight), rho),
        (checked_number("dual_step", dual_step), _checked_decay(decay)),
        (-1.0 if tolerance is None else checked_number("tolerance", tolerance, zero=True), -np.inf),
        False,
        checked_checkpoints(checkpoints, checked_count("iterations", iterations), 100),
        start,
    )


def split_admm(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: npt.ArrayLike,
    beta: float,
    *,
    loss: str = "squared",
    penalty: float = 1.0,
    adapt: bool = True,
    dual_step: float = 1.6,
    cone_weight: float | None = None,
    fit_weight: float | None = None,
    iterations: int = 5000,
    every: int = 25,
    gap: float = 1e-4,
    start: AdmmState | None = None,
) -> AdmmRun:
    """Solve the convex program with squared, logistic or hinge loss until the certified relative gap is below ``gap``.

    ``x`` (n, d), ``y`` (n,; -1 or 1 unless ``loss="squared"``), ``patterns`` (n, P) of 0 and 1, ``beta`` > 0. Every so
    many iterations the bounds of the module's text are formed, and, if ``adapt``, the ``penalty`` rho is changed where
    relative primal and dual residuals differ by more than a factor 3, ever more rarely (no theorem covers a penalty
    that moves; the gap is certified all the same). ``dual_step`` is tau. ``cone_weight`` kappa and ``fit_weight`` theta
    weigh ``G u = s`` and ``F u = p`` against ``u = v``; None takes 1 over the mean squared norm of a row of X, and 1
    over the root of the largest eigenvalue of ``F K^{-1} F^T``: rules of thumb that were good on standardised data. A
    gap below zero is no error: with a sample of patterns the network may use others and beat every network on it.
    ``start`` continues an earlier run with the same weights, and replaces ``penalty``. Raises ValueError on bad shapes,
    entries, labels or settings.

    Source: re-derived; the split of the loss is the standard one of ADMM for sums of composed convex functions.
    """
    kind = loss_kind(loss)
    features, targets, decay_weight = checked_training(x, y, beta, loss)
    on = pattern_rows(patterns, targets.size)
    mean_square = float(np.mean(np.sum(features**2, axis=1)))
    kappa = 1.0 / max(mean_square, 1e-300) if cone_weight is None else checked_number("cone_weight", cone_weight)
    if fit_weight is None:
        largest = float(np.linalg.eigvalsh(_fit_matrix(features, on, kappa)[1])[-1])
        theta = 1.0 / np.sqrt(max(largest, 1e-300))
    else:
        theta = checked_number("fit_weight", fit_weight)
    return _run(
        kind,
        (features, targets, on, decay_weight),
        (checked_number("penalty", penalty) if start is None else start.penalty, kappa, 1.0 / theta),
        (checked_number("dual_step", dual_step), 1.0),
        (-1.0, checked_number("gap", gap, zero=True)),
        adapt,
        checked_checkpoints(None, checked_count("iterations", iterations), checked_count("every", every)),
        start,
    )


def structured_flops(n: int, d: int, p: int) -> int:
    """Floating-point operations of one structured iteration, linear in the number ``p`` of patterns.

    Products with X: ``12 n d p``; with ``M^{-1}``: ``6 d^2 p``; with the n x n triangle: ``4 n^2``; ten operations for
    each of the ``2 n p`` slacks and ``2 d p`` copies.
    """
    return 12 * n * d * p + 6 * d * d * p + 4 * n * n + 10 * 2 * p * (n + d) + 4 * n * p


def _fit_matrix(features: Array, on: Array, kappa: float) -> tuple[Array, Array]:
    """``M^{-1}`` (d, d) and ``F K^{-1} F^T = 2 (X M^{-1} X^T) o (D D^T)`` (n, n)."""
    d = features.shape[1]
    inverse = cho_solve(cho_factor(np.eye(d) + kappa * features.T @ features), np.eye(d))
    inverse = 0.5 * (inverse + inverse.T)
    return np.ascontiguousarray(inverse), 2.0 * (features @ inverse @ features.T) * (on.T @ on)


def _run(
    kind: int,
    problem: tuple[Array, Array, Array, float],
    numbers: tuple[float, float, float],
    steps: tuple[float, float],
    limits: tuple[float, float],
    adapt: bool,
    checkpoints: Integers,
    start: AdmmState | None,
) -> AdmmRun:
    """Factor, iterate and name the results; ``numbers`` are rho, kappa and the shift of the n x n matrix."""
    features, targets, on, beta = problem
    rho, kappa, shift = numbers
    n, patterns = targets.size, on.shape[0]
    inverse, fit = _fit_matrix(features, on, kappa)
    triangle = solve_triangular(np.linalg.cholesky(fit + shift * np.eye(n)), np.eye(n), lower=True)
    state = _first_state(start, patterns, n, features.shape[1])
    residuals = np.full(int(checkpoints[-1]), np.inf)
    record = np.full((checkpoints.size, kernels.COLUMNS), np.nan)
    iterations, filled, rho, converged = kernels.run(
        kind,
        (features, np.ascontiguousarray(features.T), on, targets),
        (inverse, np.ascontiguousarray(triangle)),
        (beta, rho, kappa, shift),
        steps,
        limits,
        adapt,
        checkpoints,
        state,
        residuals,
        record,
    )
    diverged = not residuals[iterations - 1] < kernels.DIVERGED
    columns = [np.ascontiguousarray(column) for column in record[:filled].T]
    if kind == kernels.DIRECT:
        fitted = np.sum((on.T @ (state[0][:patterns] - state[0][patterns:])) * features, axis=1)
        dual = targets - fitted
    else:
        dual = -rho * state[6] / shift
    return AdmmRun(
        v=state[1][:patterns].copy(),
        w=state[1][patterns:].copy(),
        residuals=residuals if diverged else residuals[:iterations],
        checkpoints=checkpoints[:filled],
        copy=columns[kernels.COPY],
        cone=columns[kernels.CONE],
        fit=columns[kernels.FIT],
        stationarity=columns[kernels.STATIONARITY],
        subgradient=columns[kernels.SUBGRADIENT],
        objective=columns[kernels.OBJECTIVE],
        network=columns[kernels.NETWORK],
        dual_bound=columns[kernels.DUAL],
        penalties=columns[kernels.PENALTY],
        dual=dual,
        converged=converged,
        diverged=diverged,
        state=_last_state(state, rho),
    )


def _first_state(start: AdmmState | None, patterns: int, n: int, d: int) -> tuple[Array, ...]:
    """Copies of the variables to start from, zeros if None; raise ValueError where they belong to another problem."""
    blocks = 2 * patterns
    shapes = ((blocks, d), (blocks, d), (blocks, d), (blocks, n), (blocks, n), (n,), (n,))
    if start is None:
        return tuple(np.zeros(shape) for shape in shapes)
    given = (start.u, start.v, start.lam, start.s, start.nu, start.p, start.mu)
    names = ("u", "v", "lam", "s", "nu", "p", "mu")
    return tuple(
        checked_shape(f"start.{name}", values, shape).copy()
        for name, values, shape in zip(names, given, shapes, strict=True)
    )


def _last_state(state: tuple[Array, ...], penalty: float) -> AdmmState:
    """Name the arrays of a kernel's state."""
    u, v, lam, s, nu, p, mu = state
    return AdmmState(u=u, v=v, lam=lam, s=s, nu=nu, p=p, mu=mu, penalty=penalty)


def _checked_decay(decay: float) -> float:
    """Return the factor of tau; raise ValueError outside (0, 1]."""
    if not 0.0 < decay <= 1.0:
        raise ValueError(f"decay={decay!r}: must be in (0, 1], 1 for a constant dual step")
    return float(decay)
