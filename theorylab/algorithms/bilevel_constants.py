"""The constants of a multi-block bilevel problem that its theorems are stated in.

Notation is that of Hu, Qiu, Guo, Zhang and Yang, Blockwise Stochastic Variance-Reduced Methods with Parallel Speedup
for Multi-Block Bilevel Optimization, ICML 2023: ``min_x F(x) = (1/m) sum_i f_i(x, y_i*(x))`` with ``y_i*(x)`` the
minimiser of ``g_i(x, .)``.
"""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True)
class BilevelConstants:
    """What an instance certifies about itself; every number holds on all of ``R^dx x R^dy`` and for every block.

    ``blocks`` is m, ``upper_dimension`` dx, ``lower_dimension`` dy. ``strong_convexity`` mu and ``smoothness`` L bound
    the lower Hessians, ``mu I <= D2_yy g_i <= L I``. ``upper_gradient`` is ``C_f >= ||grad_y f_i||``, ``coupling``
    ``C_gxy >= ||D2_xy g_i||``, ``hypergradient_smoothness`` ``L_F``, a Lipschitz constant of ``grad F``, and
    ``lower_bound`` a number below F. Raises ValueError on sizes that are not positive integers, mu <= 0 and constants
    that are negative, not finite or in the wrong order.
    """

    blocks: int
    upper_dimension: int
    lower_dimension: int
    strong_convexity: float
    smoothness: float
    upper_gradient: float
    coupling: float
    hypergradient_smoothness: float
    lower_bound: float

    def __post_init__(self) -> None:
        """Validate once, where the constants come into being."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{field.name}={value!r}: must be a positive integer")
            if not np.isfinite(value):
                raise ValueError(f"{field.name}={value!r}: must be finite")
        if self.strong_convexity <= 0.0:
            raise ValueError(f"strong_convexity={self.strong_convexity!r}: mu must be positive, or y* is not unique")
        if self.smoothness < self.strong_convexity:
            raise ValueError(
                f"smoothness={self.smoothness!r}: must be at least strong_convexity={self.strong_convexity!r}"
            )
        for name in ("upper_gradient", "coupling", "hypergradient_smoothness"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be zero or more")

    @property
    def implicit_radius(self) -> float:
        """The radius ``V = C_f / mu`` of the ball that holds every ``v_i* = [D2_yy g_i]^{-1} grad_y f_i``."""
        return self.upper_gradient / self.strong_convexity
