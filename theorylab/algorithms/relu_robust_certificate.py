r"""Bounds for the robust convex program: below, a dual bound; above, the worst case of a network.

Robust duality (re-derived). With ``g_k = sum_i d_ik (v_i - w_i)``, every loss is bounded from below by an affine
function of ``g_k``: for ``|zeta_k| <= epsilon c_k`` entry by entry, ``epsilon c_k ||g_k||_1 >= -zeta_k'g_k``. So

    squared:   (|r| + s)^2 / 2   >= -v r - zeta'g - c^2 / 2,           r = x'g - y, s = epsilon ||g||_1, c >= |v|
    logistic:  log(1 + exp(-y x'g + s)) >= -v x'g - zeta'g + H(t),     t = c = y v in [0, 1], H the binary entropy
    hinge:     (1 - y x'g + s)_+ >= -v x'g - zeta'g + t

The terms left over in ``v_i`` are ``beta ||v_i|| - b_i'v_i`` with ``b_i = sum_k d_ik (v_k x_k + zeta_k)``, and with the
opposite sign in ``w_i``. They are non-negative if the projection of ``+-b_i`` on the shrunken cone ``K_i = {v : E_i X v
>= epsilon ||v||_1}`` is no longer than beta, which scaling ``(v, zeta)`` down achieves. Two upper bounds on that length
are at hand. For any ``eta >= 0`` it is at most ``||+-b_i + X'E_i eta + t||`` with any ``|t| <= epsilon sum(eta)``, and
the multipliers of a solver make this tight. And ``K_i`` is cut out by one plane for each sample and corner of the box;
any of them give a larger cone and thus a longer projection, and the corners that matter are added one after another.
"""

import numpy as np
from scipy.optimize import nnls
from scipy.special import entr

from theorylab.algorithms.relu_losses import HINGE, SQUARED, Array, Mask, loss_value
from theorylab.algorithms.relu_recovery import Network, network_outputs


def robust_dual_bound(
    X: Array,
    y: Array,
    patterns: Array,
    point: Array,
    shift: Array,
    multipliers: Array,
    *,
    beta: float,
    loss: str,
    epsilon: float,
    perturbed: Mask,
) -> float:
    """Return a lower bound on the robust program over ``patterns`` (n, P), from any ``point`` v and ``shift`` zeta.

    ``X`` (n, d), ``y`` and ``point`` (n,), ``shift`` (n, d), ``multipliers`` eta >= 0 (2, n, P) of the cones of V and
    of W, zeros where unknown; ``epsilon`` > 0, ``perturbed`` (d,). What is outside the domain of the dual is clipped,
    and the candidate is scaled down as far as need be. Taken as checked. Source: re-derived, see above.
    """
    v, zeta = point, np.where(perturbed, shift, 0.0)
    if loss == SQUARED:
        reach = np.maximum(np.abs(v), np.abs(zeta).max(axis=1) / epsilon)
    else:
        reach = np.clip(y * point, 0.0, 1.0)
        v, zeta = y * reach, np.clip(zeta, -epsilon * reach[:, None], epsilon * reach[:, None])
    slopes = patterns.T @ (v[:, None] * X + zeta)
    radii = np.where(perturbed, epsilon, 0.0)
    largest = beta
    for i in np.argsort(-np.linalg.norm(slopes, axis=1)):
        signed = (2.0 * patterns[:, i] - 1.0)[:, None] * X
        for slope, eta in zip((slopes[i], -slopes[i]), np.maximum(multipliers[:, :, i], 0.0), strict=True):
            # The best t for this eta shrinks every entry towards zero.
            left = np.maximum(np.abs(slope + eta @ signed) - radii * eta.sum(), 0.0)
            length = float(np.linalg.norm(left))
            if length > largest:
                largest = max(largest, min(length, _projected_length(signed, slope, radii, largest)))
    multiple = beta / largest
    if loss == SQUARED:
        square = float(reach @ reach)
        multiple = min(multiple, max(0.0, float(v @ y)) / square) if square > 0.0 else 0.0
        return multiple * float(v @ y) - 0.5 * multiple**2 * square
    share = multiple * reach
    return float(np.sum(share)) if loss == HINGE else float(np.sum(entr(share) + entr(1.0 - share)))


def worst_case_bound(
    network: Network, X: Array, y: Array, *, beta: float, loss: str, epsilon: float, perturbed: Mask
) -> float:
    """Return an upper bound on the worst-case training objective of any network; exact if no neuron switches in a box.

    A neuron of pre-activation z that may move by r differs from its linear part at z by at most ``(r - |z|)_+``.
    Unlike `relu_robust.worst_case_loss`, which is exact, this costs no more than the outputs themselves. ``X`` (n, d),
    ``y`` (n,), ``perturbed`` (d,). Source: re-derived.
    """
    values = X @ network.U
    reach = epsilon * np.abs(network.U[perturbed]).sum(axis=0)
    slopes = ((values >= 0.0) * network.alpha) @ network.U.T
    slack = epsilon * np.abs(slopes[:, perturbed]).sum(axis=1)
    slack += np.maximum(reach - np.abs(values), 0.0) @ np.abs(network.alpha)
    weights = float(np.sum(network.U**2) + np.sum(network.alpha**2))
    return loss_value(loss, network_outputs(network, X), y, slack) + 0.5 * beta * weights


def _projected_length(signed: Array, slope: Array, radii: Array, enough: float) -> float:
    """Return the length of the projection of ``slope`` (d,) on ``{v : signed v >= radii'|v|}``, or a little more.

    Stops early once it is at most ``enough``, for then it does not count.
    """
    length, rest = float(np.linalg.norm(slope)), slope
    planes = np.empty((0, slope.size))
    for _ in range(20):
        corner = signed - radii * np.sign(rest)
        if length <= enough or np.all(corner @ rest >= -1e-12 * length):
            break
        planes = np.vstack([planes, corner])
        multipliers, length = nnls(-planes.T, slope, maxiter=50 * len(planes))
        rest = slope + planes.T @ multipliers
    return float(length)
