"""What the judges judge: numbers by name at sweep points and seeds, looked up with helpful errors."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measured numbers of one arm: name -> array of shape (points, replicates), and the sweep's points in order.

    The points are listed towards the asymptotic regime: the last one is the farthest.
    """

    points: tuple[Any, ...]
    values: Mapping[str, Array]

    @property
    def replicates(self) -> int:
        """Number of seeds at each point."""
        return int(next(iter(self.values.values())).shape[1])

    def quantity(self, name: str) -> Array:
        """Return the quantity called ``name``, shape (points, replicates).

        Raises ValueError when the claim did not return it.
        """
        if name not in self.values:
            near = difflib.get_close_matches(name, self.values, n=1)
            hint = f"; did it mean {near[0]!r}?" if near else ""
            raise ValueError(f"the judge asks for {name!r}, the claim returned {sorted(self.values)}{hint}")
        return self.values[name]

    def bound(self, bound: str | float) -> Array:
        """Return a bound given by name or as a number, shape (points, replicates)."""
        if isinstance(bound, str):
            return self.quantity(bound)
        return np.full((len(self.points), self.replicates), float(bound))

    def positions(self, against: str | None = None) -> Array:
        """Return the abscissae, shape (points,): the sweep's values, or the mean of the quantity ``against``.

        Raises ValueError unless these are numbers.
        """
        if against is not None:
            return np.asarray(self.quantity(against).mean(axis=1), dtype=float)
        if not self.numeric:
            raise ValueError(f"points={self.points!r} are not numbers; name a measured quantity with against=")
        return np.asarray(self.points, dtype=float)

    @property
    def numeric(self) -> bool:
        """Whether the sweep's points are numbers."""
        return all(isinstance(point, int | float) for point in self.points)


def measurements(points: object, values: object, **others: object) -> Measurements:
    """Build measurements from plain arrays: ``values`` and each of ``others`` of shape (points, replicates).

    Scalars and arrays of shape (points,) are repeated over the replicates. Raises ValueError with the name and the
    shape when something does not fit, is empty or is NaN.

    >>> measurements([1, 2], [[1.0, 1.1], [0.5, 0.6]], bound=[2.0, 1.0]).quantity("bound").tolist()
    [[2.0, 2.0], [1.0, 1.0]]
    """
    sweep = tuple(points.tolist() if isinstance(points, np.ndarray) else points)  # type: ignore[arg-type]
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.shape[0] != len(sweep) or array.size == 0:
        raise ValueError(f"values.shape={array.shape} must be (points, replicates) with points={len(sweep)}")
    named = {"measured": array}
    for name, other in others.items():
        raw = np.asarray(other, dtype=float)
        column = raw[:, None] if raw.ndim == 1 and raw.shape == (len(sweep),) else raw
        try:
            named[name] = np.broadcast_to(column, array.shape).copy()
        except ValueError:
            raise ValueError(f"{name}.shape={raw.shape} must be (), ({len(sweep)},) or {array.shape}") from None
    for name, item in named.items():
        if np.isnan(item).any():
            raise ValueError(f"{name} holds NaN; use inf for a diverged run and remove what was not measured")
    return Measurements(sweep, named)
