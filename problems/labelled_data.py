"""Labelled data for classification: handwritten digits and their variants, Gaussian mixtures, random labels.

The digits are the 1797 pictures of 8 x 8 pixels that come with scikit-learn (UCI, Optical Recognition of Handwritten
Digits). They and the mixtures stand in for the image data of Granziol, Zohren and Roberts, JMLR 23, 2022: section 13
looks at mixtures with ten classes, section 13.2 at ZCA whitening with ``(C + eps I)^{-1/2}``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theorylab.algorithms.checks import checked_count, checked_deviation
from theorylab.algorithms.online_losses import checked_array, checked_positive

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledData:
    """N samples: ``features`` (N, d) float64, ``labels`` (N,) int64 in 0..K-1, and ``classes`` K."""

    features: Array
    labels: Integers
    classes: int

    @property
    def samples(self) -> int:
        """The number of samples N."""
        return int(self.features.shape[0])

    @property
    def dimension(self) -> int:
        """The dimension d of the features."""
        return int(self.features.shape[1])


def labelled(features: npt.ArrayLike, labels: npt.ArrayLike, classes: int) -> LabelledData:
    """Return `LabelledData` from ``features`` (N, d) and integer ``labels`` (N,).

    Raises ValueError on features that are empty or not finite, labels that are no integers in 0..K-1 or do not match,
    and fewer than two classes.

    >>> labelled([[0.0, 1.0], [2.0, 3.0]], [1, 0], 2).samples
    2
    """
    x = checked_array("features", features, (None, None))
    if checked_count("classes", classes) < 2:
        raise ValueError(f"classes={classes!r}: must be at least 2")
    y = np.asarray(labels)
    if y.shape != (x.shape[0],) or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"labels.shape={y.shape}, dtype {y.dtype}: must be ({x.shape[0]},) integers, one a sample")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels in {y.min()}..{y.max()}: must be in 0..{classes - 1}; number the classes from 0")
    return LabelledData(x, np.ascontiguousarray(y, dtype=np.int64), int(classes))


def digits(samples: int | None = None) -> LabelledData:
    """Return the first ``samples`` digits, all 1797 if None: pixels divided by 16, so in [0, 1], ten classes.

    Raises ValueError unless 2 <= samples <= 1797.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    count = pixels.shape[0] if samples is None else checked_count("samples", samples)
    if not 2 <= count <= pixels.shape[0]:
        raise ValueError(f"samples={samples!r}: must be in 2..{pixels.shape[0]}, the digits there are")
    return labelled(pixels[:count] / 16.0, labels[:count].astype(np.int64), 10)


def principal_components(data: LabelledData, components: int) -> LabelledData:
    """Return ``data`` in its leading ``components`` principal components, centred and in decreasing variance.

    Raises ValueError unless 1 <= components <= min(N, d).
    """
    largest = min(data.samples, data.dimension)
    if checked_count("components", components) > largest:
        raise ValueError(f"components={components!r}: must be at most {largest}, the smaller of N and d")
    centred = data.features - data.features.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return labelled(centred @ directions[:components].T, data.labels, data.classes)


def standardised(data: LabelledData) -> LabelledData:
    """Return ``data`` with features of mean 0 and standard deviation 1; constant features become 0."""
    deviation = data.features.std(axis=0)
    scale = np.where(deviation > 0.0, deviation, 1.0)
    return labelled((data.features - data.features.mean(axis=0)) / scale, data.labels, data.classes)


def whitened(data: LabelledData, regulariser: float) -> LabelledData:
    """Return ``data`` after ZCA whitening: ``(x - mean)(C + eps I)^{-1/2}``, C (d, d) the covariance, normalised by N.

    ``regulariser`` is eps of section 13.2, in units of the squared features: the smaller, the whiter. Raises ValueError
    unless it is positive and finite (C of the digits is singular).
    """
    checked_positive("regulariser", regulariser)
    centred = data.features - data.features.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / data.samples)
    scale = 1.0 / np.sqrt(np.maximum(variances, 0.0) + regulariser)
    return labelled(centred @ ((directions * scale) @ directions.T), data.labels, data.classes)


def gaussian_mixture(
    samples: int, dimension: int, classes: int, separation: float, rng: np.random.Generator
) -> LabelledData:
    """Return a mixture of ``classes`` Gaussians of unit covariance with means ``separation`` times N(0, I).

    Labels are uniform. ``separation=0`` is the control without classes: labels carry no information. Raises ValueError
    on sizes that are not positive integers, fewer than two classes or a negative separation.
    """
    n, d = checked_count("samples", samples), checked_count("dimension", dimension)
    k = checked_count("classes", classes)
    means = checked_deviation("separation", separation) * rng.standard_normal((k, d))
    labels = rng.integers(k, size=n)
    return labelled(means[labels] + rng.standard_normal((n, d)), labels, k)


def gaussian_inputs(samples: int, dimension: int, rng: np.random.Generator, *, separable: bool = False) -> LabelledData:
    """Return inputs ``x ~ N(0, I)`` with two classes: fair random labels, or the sign of ``x_1 + x_2/2``.

    Raises ValueError on sizes that are not positive integers, and on one dimension when ``separable``.
    """
    n, d = checked_count("samples", samples), checked_count("dimension", dimension)
    if separable and d < 2:
        raise ValueError(f"dimension={dimension!r}: must be at least 2 where labels depend on x_1 and x_2")
    x = rng.standard_normal((n, d))
    labels = (x[:, 0] + 0.5 * x[:, 1] > 0.0).astype(np.int64) if separable else rng.integers(2, size=n)
    return labelled(x, labels, 2)


def draw_batch(samples: int, size: int, rng: np.random.Generator) -> Integers:
    """Return ``size`` B distinct indices below ``samples`` N, uniform among all batches without replacement.

    Raises ValueError unless 1 <= B <= N.
    """
    n, b = checked_count("samples", samples), checked_count("size", size)
    if b > n:
        raise ValueError(f"size={size!r}: must be at most samples={n}; a batch is drawn without replacement")
    return rng.choice(n, size=b, replace=False).astype(np.int64)


def checked_batch(batch: npt.ArrayLike, samples: int) -> Integers:
    """Return the indices of a batch (B,); raise ValueError unless they are 1..N distinct integers in 0..N-1."""
    indices = np.asarray(batch)
    if indices.ndim != 1 or indices.size == 0 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"batch={batch!r}: must be a non-empty one-dimensional array of integers; see draw_batch")
    if indices.min() < 0 or indices.max() >= samples:
        raise ValueError(f"batch has indices {indices.min()}..{indices.max()}: must be in 0..{samples - 1}")
    if np.unique(indices).size < indices.size:
        raise ValueError(f"batch of {indices.size} has repeated indices: draw without replacement, see draw_batch")
    return np.ascontiguousarray(indices, dtype=np.int64)
