"""The constants of an online game between stochastic and adversarial: all that the stated bounds depend on."""

from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class SeaConstants:
    """Constants of one game, exact or upper bounds that are certified in closed form; plain floats.

    Round t draws ``f_t ~ D_t``, whose mean is ``F_t``. The set X has ``diameter`` D. ``gradient`` G bounds
    ``||grad f_t||`` on X for every loss that can be drawn. ``smoothness`` L and ``strong_convexity`` lambda are those
    of ``F_t``; lambda is negative where ``F_t`` is not convex. ``smoothness`` is inf for losses with kinks.
    ``exp_concavity`` alpha is that of the individual losses, 0 if they are not.

    ``variance`` is ``sigma_{1:T}^2``, the sum of ``sigma_t^2 = sup_x E||grad f_t(x) - grad F_t(x)||^2``, and
    ``variance_max`` its largest term. ``uniform_variance`` is the sum of ``tilde-sigma_t^2``, with the supremum inside
    the expectation. ``variation`` is ``Sigma_{1:T}^2``, the sum from t = 2 of ``Sigma_t^2 = sup_x ||grad F_t(x) - grad
    F_{t-1}(x)||^2``, and ``variation_max`` its largest term. Raises ValueError on a horizon below 2, a diameter or
    gradient bound that is not positive and finite, or sums that are negative or not finite.
    """

    horizon: int
    dimension: int
    diameter: float
    gradient: float
    smoothness: float
    strong_convexity: float
    exp_concavity: float
    variance: float
    variance_max: float
    uniform_variance: float
    variation: float
    variation_max: float

    def __post_init__(self) -> None:
        if self.horizon < 2:
            raise ValueError(f"horizon={self.horizon!r}: must be an integer of at least 2 rounds")
        if self.dimension < 1:
            raise ValueError(f"dimension={self.dimension!r}: must be a positive integer")
        for name in ("diameter", "gradient"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0.0):
                raise ValueError(f"{name}={value!r}: must be positive and finite")
        for name in ("exp_concavity", "variance", "variance_max", "uniform_variance", "variation", "variation_max"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0.0):
                raise ValueError(f"{name}={value!r}: must be finite and at least 0")
        if not self.smoothness >= 0.0:
            raise ValueError(f"smoothness={self.smoothness!r}: must be at least 0; give inf for losses with kinks")
        if not isfinite(self.strong_convexity):
            raise ValueError(f"strong_convexity={self.strong_convexity!r}: must be finite; 0 for convex losses")
