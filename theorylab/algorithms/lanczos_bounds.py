"""Bounds on the error of Lanczos and of power iteration for the extreme eigenvalues.

Eigenvalues are ``lambda_1 >= ... >= lambda_n`` and ``theta_1 >= ... >= theta_m`` are the Ritz values after m steps
from the unit vector v. All bounds hold in exact arithmetic; allow for rounding of a few ``1e-15 ||A||``.
"""

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count


def kaniel_paige_top(eigenvalues: npt.ArrayLike, overlap: float, steps: int) -> float:
    r"""Return the bound on ``lambda_1 - theta_1`` of Kaniel and Paige, Theorem 12, first line.

    ``(lambda_1 - lambda_n) (tan phi / T_{m-1}(1 + 2 gamma))^2`` with ``gamma = (lambda_1 - lambda_2) / (lambda_2 -
    lambda_n)``, Chebyshev's polynomial ``T_{m-1}``, and ``overlap = cos^2 phi = (v'u_1)^2`` in (0, 1]. ``eigenvalues``
    (n,) in any order, n >= 2. Raises ValueError on fewer, values that are not finite, or an overlap outside (0, 1].

    Proof: ``theta_1`` is the largest Rayleigh quotient over ``p(A) v`` with ``deg p < m``; take for p the Chebyshev
    polynomial of ``[lambda_n, lambda_2]``, at most 1 there and ``T_{m-1}(1 + 2 gamma)`` at ``lambda_1``.

    >>> kaniel_paige_top([2.0, 1.0, 0.0], 0.5, 2)  # T_1(3) = 3, so 2 / 9
    0.2222222222222222
    """
    values = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
        raise ValueError(f"eigenvalues={eigenvalues!r}: must be at least two finite numbers")
    if not 0.0 < overlap <= 1.0:
        raise ValueError(f"overlap={overlap!r}: must be in (0, 1], the squared cosine of start and eigenvector")
    spread, rest = float(values[0] - values[-1]), float(values[1] - values[-1])
    degree = checked_count("steps", steps) - 1
    if rest == 0.0:
        # Two distinct eigenvalues at most: two steps are exact.
        return spread * (1.0 / overlap - 1.0) if degree == 0 else 0.0
    gamma = float(values[0] - values[1]) / rest
    # cosh overflows to infinity, a bound of zero, beyond about 1e308; that is what it should be.
    with np.errstate(over="ignore"):
        chebyshev = float(np.cosh(degree * np.arccosh(1.0 + 2.0 * gamma)))
    return spread * (1.0 / overlap - 1.0) / chebyshev / chebyshev


def kaniel_paige_bottom(eigenvalues: npt.ArrayLike, overlap: float, steps: int) -> float:
    """Return the bound on ``theta_m - lambda_n``: `kaniel_paige_top` of ``-A``, re-derived.

    ``overlap`` is that of the start with the *bottom* eigenvector, and ``gamma = (lambda_{n-1} - lambda_n) / (lambda_1
    - lambda_{n-1})``. The second line of Theorem 12 prints the angle and the gap of the top pair here, that is, the
    number of `kaniel_paige_top`; nothing ties the bottom Ritz value to those. Raises ValueError as `kaniel_paige_top`.

    >>> kaniel_paige_bottom([2.0, 1.0, 0.0], 0.5, 2)
    0.2222222222222222
    """
    return kaniel_paige_top(-np.asarray(eigenvalues, dtype=np.float64), overlap, steps)


def lanczos_ceiling(n: int, steps: int) -> float:
    """Return the ceiling of the mean relative error ``(lambda_1 - theta_1) / (lambda_1 - lambda_n)`` of Lanczos.

    ``0.103 (ln(n (m-1)^4) / (m-1))^2`` for a start uniform on the sphere and any spectrum (Kuczynski and Wozniakowski,
    SIAM J. Matrix Anal. Appl. 13, 1992). Raises ValueError unless ``steps`` m is at least 4, as there, and n >= m.

    >>> round(lanczos_ceiling(1000, 20), 4)
    0.0996
    """
    m, size = checked_count("steps", steps), checked_count("n", n)
    if not 4 <= m <= size:
        raise ValueError(f"steps={steps!r}: must be in 4..n={n}, where the ceiling is proved")
    return 0.103 * (float(np.log(size * (m - 1.0) ** 4)) / (m - 1.0)) ** 2


def power_ceiling(n: int, steps: int) -> float:
    """Return the ceiling of the mean relative error of power iteration, ``0.871 ln n / (m - 1)``, source as above.

    For positive semi-definite matrices, relative to ``lambda_1``. Raises ValueError unless steps and n are at least 2.

    >>> round(power_ceiling(1000, 20), 4)
    0.3167
    """
    m, size = checked_count("steps", steps), checked_count("n", n)
    if min(m, size) < 2:
        raise ValueError(f"steps={steps!r}, n={n!r}: must both be at least 2")
    return 0.871 * float(np.log(size)) / (m - 1.0)
