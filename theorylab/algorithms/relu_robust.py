"""Two-layer ReLU networks under perturbations of their inputs: the exact worst case, and the largest useful radius.

Sample k may be moved by any ``||delta_k||_inf <= epsilon``, except in columns that are not perturbed (a bias).

Worst case (re-derived). On the box of sample k the output is affine but for the neurons whose hyperplane ``x'u = 0``
crosses the box. Its extremes over the box lie at vertices of the subdivision of the box by these hyperplanes: points
where q of the crossing hyperplanes and faces of the box meet, q being the number of perturbed columns. All such points
are tried. Every loss is convex in the output, thus largest at the least or the greatest output. Where no hyperplane
crosses, as for networks recovered from the robust convex program, the extremes are ``yhat_k +- epsilon ||g_k||_1``.
"""

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from theorylab.algorithms.relu_losses import (
    Array,
    Mask,
    checked_activations,
    checked_inputs,
    checked_loss_name,
    checked_perturbed,
    checked_radius,
    checked_targets,
    loss_value,
)
from theorylab.algorithms.relu_recovery import Network, network_outputs


def worst_case_loss(
    network: Network,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    loss: str,
    epsilon: float,
    perturbed: npt.ArrayLike | None = None,
    max_points: int = 10**7,
) -> float:
    """Return the largest loss of ``network`` over all allowed perturbations of ``X`` (n, d), exactly up to rounding.

    Raises ValueError on arguments that do not fit, and where a sample has more than ``max_points`` candidate vertices:
    ``C(c + 2q, q)`` for c crossing neurons and q perturbed columns.
    """
    inputs = checked_inputs(X)
    targets = checked_targets(y, inputs.shape[0], checked_loss_name(loss))
    least, greatest = output_ranges(network, inputs, epsilon=epsilon, perturbed=perturbed, max_points=max_points)
    # The losses are sums over samples whose perturbations are independent.
    middle, slack = 0.5 * (least + greatest), 0.5 * (greatest - least)
    return loss_value(loss, middle, targets, slack)


def output_ranges(
    network: Network,
    X: npt.ArrayLike,
    *,
    epsilon: float,
    perturbed: npt.ArrayLike | None = None,
    max_points: int = 10**7,
) -> tuple[Array, Array]:
    """Return the least and the greatest output (n,) over the box around each row of ``X`` (n, d), exactly.

    >>> one = Network(np.array([[1.0], [0.0]]), np.array([2.0]))
    >>> [ends.tolist() for ends in output_ranges(one, [[0.5, 0.0], [-0.1, 0.0]], epsilon=0.2)]
    [[0.6, 0.0], [1.4, 0.2]]
    """
    inputs = checked_inputs(X)
    radius, mask = checked_radius(epsilon), checked_perturbed(perturbed, inputs.shape[1])
    values = inputs @ network.U
    reach = radius * np.abs(network.U[mask]).sum(axis=0)
    crossing = np.abs(values) < reach
    slopes = (values >= 0.0).astype(np.float64) * network.alpha @ network.U.T
    centre = network_outputs(network, inputs)
    slack = radius * np.abs(slopes[:, mask]).sum(axis=1)
    least, greatest = centre - slack, centre + slack
    for k in np.flatnonzero(crossing.any(axis=1)):
        points = _vertices(network.U[:, crossing[k]], inputs[k], radius, mask, max_points)
        outputs = network_outputs(network, points)
        least[k], greatest[k] = outputs.min(), outputs.max()
    return least, greatest


def largest_robust_radius(
    X: npt.ArrayLike, patterns: npt.ArrayLike, *, perturbed: npt.ArrayLike | None = None
) -> float:
    """Return the greatest epsilon at which the robust program over ``patterns`` (n, P) has a feasible neuron not zero.

    It is ``max_i max {min_k (E_i X v)_k : ||v||_1 <= 1}``, the norm over the perturbed columns: P linear programs.
    Infinite where the columns that are not perturbed separate the data alone, as a bias always does. 0 where no pattern
    has an interior. Raises ValueError on arrays that do not fit.
    """
    return float(pattern_radii(X, patterns, perturbed=perturbed).max())


def pattern_radii(X: npt.ArrayLike, patterns: npt.ArrayLike, *, perturbed: npt.ArrayLike | None = None) -> Array:
    """Return for each of ``patterns`` (n, P) the radius (P,) up to which its shrunken cone holds more than zero.

    Arguments and errors are those of `largest_robust_radius`, the maximum of the radii; one linear program each.

    >>> pattern_radii([[1.0], [0.05]], [[1, 0], [1, 0]]).tolist()
    [0.05, 0.05]
    """
    inputs = checked_inputs(X)
    n, d = inputs.shape
    D, mask = checked_activations(patterns, n), checked_perturbed(perturbed, d)
    radii = np.zeros(D.shape[1])
    # Variables are v+ and v- (2d) and the margin t; the 1-norm bounds only the perturbed columns.
    norm = np.concatenate([mask, mask, [False]]).astype(np.float64)[None, :]
    cost = np.append(np.zeros(2 * d), -1.0)
    bounds = [(0.0, None)] * (2 * d) + [(None, None)]
    for i, pattern in enumerate(D.T):
        signed = (2.0 * pattern - 1.0)[:, None] * inputs
        rows = np.vstack([np.column_stack([-signed, signed, np.ones(n)]), norm])
        solved = linprog(cost, A_ub=rows, b_ub=np.append(np.zeros(n), 1.0), bounds=bounds)
        if solved.status == 3:
            radii[i] = np.inf
        elif solved.status == 0:
            radii[i] = max(0.0, -float(solved.fun))
    return radii


def patterns_within(radii: Array, epsilon: float) -> Mask:
    """Return which patterns (P,) have cones with an interior at ``epsilon``, given their `pattern_radii` (P,).

    In a cone without interior, ``v_i = 0``, interior-point methods stall; its pattern adds nothing to the robust
    program. Raises ValueError where no pattern is left.
    """
    within = radii > epsilon * (1.0 + 1e-6)
    if not within.any():
        raise ValueError(f"epsilon={epsilon!r}: only the zero network is feasible; must be below {radii.max():.6g}")
    return np.asarray(within)


def _vertices(directions: Array, centre: Array, radius: float, mask: Mask, max_points: int) -> Array:
    """Return the points (K, d) in the box around ``centre`` (d,) where q hyperplanes or faces meet; its corners too."""
    q, crossing = int(mask.sum()), directions.shape[1]
    count = comb(crossing + 2 * q, q)
    if count > max_points:
        raise ValueError(
            f"{crossing} neurons cross the box of a sample in {q} columns: {count:.4g} candidate vertices,"
            f" max_points={max_points}; prune the network or attack it by projected gradient steps instead"
        )
    normals = np.vstack([directions[mask].T, np.eye(q), np.eye(q)])
    offsets = np.concatenate([-(centre @ directions), np.full(q, radius), np.full(q, -radius)])
    subsets = np.array(list(combinations(range(len(offsets)), q)), dtype=np.int64)
    matrices = normals[subsets]
    # Parallel planes meet nowhere; the threshold is relative to the lengths of the normals.
    lengths = np.prod(np.linalg.norm(matrices, axis=2), axis=1)
    regular = np.abs(np.linalg.det(matrices)) > 1e-12 * lengths
    moves = np.linalg.solve(matrices[regular], offsets[subsets[regular]][:, :, None])[:, :, 0]
    inside = moves[np.all(np.abs(moves) <= radius * (1.0 + 1e-12), axis=1)]
    points = np.repeat(centre[None, :], len(inside), axis=0)
    points[:, mask] += np.clip(inside, -radius, radius)
    return points
