"""Exact hypergradients by an implicit solve, and the constants and certificates that bilevel families share.

Assumptions A1 to A5 are the usual ones of stochastic bilevel optimisation, numbered by us; the bound on the smoothness
of F is Lemma 2.2 of Ghadimi and Wang, Approximation Methods for Bilevel Programming, 2018, re-derived with separate
constants for x and y.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SIGMOID_BEND = 1.0 / (6.0 * 3.0**0.5)  # the largest |sigmoid''|; the largest sigmoid' is 1/4


@dataclass(frozen=True, slots=True, eq=False)
class Derivatives:
    """Derivatives of all blocks at one ``x`` and at points ``y_i`` of each block, usually ``y_i*(x)``.

    ``upper_x`` is ``grad_x f_i`` (m, dx), ``upper_y`` ``grad_y f_i`` (m, dy), ``lower`` ``grad_y g_i`` (m, dy),
    ``cross`` ``D2_xy g_i`` (m, dx, dy), entry (a, b) the derivative with respect to ``x_a`` and ``y_b``, ``hessians``
    ``D2_yy g_i`` (m, dy, dy).
    """

    upper_x: Array
    upper_y: Array
    lower: Array
    cross: Array
    hessians: Array


@dataclass(frozen=True, slots=True)
class BilevelCertificate:
    """What holds for a drawn instance, plain floats, exact or erring to the safe side.

    A1: ``strong_convexity`` and ``smoothness``, the smallest and largest eigenvalue of any ``D2_yy g_i``. A2, all in
    the mean-squared sense, ``E||G(w; xi) - G(w'; xi)||^2 <= Lbar^2 ||w - w'||^2`` with one sample at both points:
    ``lower_smoothness`` of ``grad_y g_i``, ``hessian_smoothness`` of ``D2_yy g_i`` and ``cross_smoothness`` of
    ``D2_xy g_i`` in the spectral norm, ``upper_smoothness`` of ``grad f_i``. A3: ``upper_gradient`` C_f and
    ``coupling`` C_gxy. A4, variances of one oracle call, of matrices in the Frobenius norm: ``lower_variance`` of
    ``grad_y g_i``, ``hessian_variance``, ``cross_variance``, ``upper_variance`` of ``grad f_i``. ``reach`` is the norm
    up to which of ``x`` and of ``y_i`` the variances hold, inf if everywhere. A5: ``lower_bound`` of F.
    """

    strong_convexity: float
    smoothness: float
    lower_smoothness: float
    hessian_smoothness: float
    cross_smoothness: float
    upper_smoothness: float
    upper_gradient: float
    coupling: float
    lower_variance: float
    hessian_variance: float
    cross_variance: float
    upper_variance: float
    reach: float
    lower_bound: float


def implicit_vectors(derivatives: Derivatives) -> Array:
    """Return ``v_i = [D2_yy g_i]^{-1} grad_y f_i`` (m, dy), by a dense solve for each block."""
    return np.asarray(np.linalg.solve(derivatives.hessians, derivatives.upper_y[:, :, None])[:, :, 0])


def implicit_hypergradient(derivatives: Derivatives) -> Array:
    """Return ``(1/m) sum_i (grad_x f_i - D2_xy g_i v_i)`` (dx,), which is ``grad F(x)`` if every ``y_i = y_i*(x)``.

    From ``grad_y g_i(x, y_i*(x)) = 0``: the Jacobian of ``y_i*`` is ``-[D2_yy g_i]^{-1} (D2_xy g_i)'``, and the chain
    rule gives the formula.
    """
    through_lower = np.einsum("mab,mb->a", derivatives.cross, implicit_vectors(derivatives))
    return np.asarray((derivatives.upper_x.sum(axis=0) - through_lower) / derivatives.upper_x.shape[0])


@dataclass(frozen=True, slots=True)
class PartialSmoothness:
    """Lipschitz constants of a map in x and in y, ``||M(x, y) - M(x', y')|| <= in_x ||x - x'|| + in_y ||y - y'||``."""

    in_x: float
    in_y: float


def hypergradient_smoothness(
    strong_convexity: float,
    upper_gradient: float,
    coupling: float,
    *,
    upper_x: PartialSmoothness,
    upper_y: PartialSmoothness,
    cross: PartialSmoothness,
    hessian: PartialSmoothness,
) -> float:
    """Return a Lipschitz constant ``L_F`` of ``grad F`` from those of ``grad_x f``, ``grad_y f``, D2_xy g and D2_yy g.

    ``Phi(x, y) = grad_x f - D2_xy g H^{-1} grad_y f`` with ``H = D2_yy g`` has, in each argument, the constant
    ``l(grad_x f) + l(D2_xy g) C_f / mu + C_gxy (l(H) C_f / mu^2 + l(grad_y f) / mu)``, as ``||H^{-1} - H'^{-1}|| <= ||H
    - H'|| / mu^2``. Since ``y*`` is ``C_gxy / mu``-Lipschitz, ``L_F = l_x + l_y C_gxy / mu``.
    """
    radius, gain = upper_gradient / strong_convexity, coupling / strong_convexity
    l_x = upper_x.in_x + cross.in_x * radius + gain * (hessian.in_x * radius + upper_y.in_x)
    l_y = upper_x.in_y + cross.in_y * radius + gain * (hessian.in_y * radius + upper_y.in_y)
    return float(l_x + l_y * gain)


def finite(name: str, values: npt.ArrayLike, shape: tuple[int | None, ...]) -> Array:
    """Return contiguous float64 of that shape, None being any positive size; raise ValueError otherwise or on NaN."""
    checked = np.ascontiguousarray(values, dtype=np.float64)
    fits = checked.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, checked.shape, strict=True)
    )
    if not fits or checked.size == 0:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name}.shape={checked.shape}: must be ({wanted}), no axis empty")
    if not np.isfinite(checked).all():
        raise ValueError(f"{name}: must be finite, {int(np.sum(~np.isfinite(checked)))} entries are not")
    return checked


def count(name: str, value: int, largest: int | None = None) -> int:
    """Return a positive integer, at most ``largest``; raise ValueError otherwise."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
    if not fits or (largest is not None and value > largest):
        allowed = "a positive integer" if largest is None else f"an integer in 1..{largest}"
        raise ValueError(f"{name}={value!r}: must be {allowed}")
    return int(value)


def positive(name: str, value: float) -> float:
    """Return a positive finite number; raise ValueError otherwise."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name}={value!r}: must be positive and finite")
    return float(value)


def amplitude(name: str, value: float) -> float:
    """Return a finite number of at least 0; raise ValueError otherwise."""
    if not (np.isfinite(value) and value >= 0.0):
        raise ValueError(f"{name}={value!r}: must be finite and zero or more")
    return float(value)
