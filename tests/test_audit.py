"""Hypotheses told apart: certified, sampled, not certified, violated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theorylab.audit import (
    Status,
    bounded_variance,
    by_construction,
    certified,
    convex,
    diameter,
    lipschitz,
    not_certified,
    positive_semidefinite,
    sampled,
)


@given(value=st.floats(-10, 10), low=st.floats(-10, 0), high=st.floats(0, 10))
def test_a_computed_constant_is_certified_exactly_inside_its_range(value, low, high):
    found = certified(value, at_least=low, at_most=high).status
    assert found is (Status.CERTIFIED if low <= value <= high else Status.VIOLATED)


def test_samples_never_certify():
    assert sampled(0.5, at_most=1.0).status is Status.SAMPLED
    assert sampled(1.5, at_most=1.0).status is Status.VIOLATED
    assert not_certified("the supremum is out of reach", 0.7).status is Status.NOT_CERTIFIED
    assert by_construction("drawn independently").note.startswith("by construction")


def test_limits_may_be_numpy_numbers_and_stand_in_the_note():
    found = certified(np.float64(0.5), at_least=np.float64(0.25), at_most=np.float64(1.0), note="step")
    assert found.note == "step >= 0.25 and <= 1"


def test_nan_violates():
    assert certified(float("nan"), at_most=1.0).status is Status.VIOLATED


@given(seed=st.integers(0, 1000), d=st.integers(1, 6))
def test_positive_semidefinite_is_decided_by_the_spectrum(seed, d):
    factor = np.random.default_rng(seed).standard_normal((d, d))
    gram = factor @ factor.T
    assert positive_semidefinite(gram).status is Status.CERTIFIED
    assert positive_semidefinite(gram - 10 * np.trace(gram) * np.eye(d)).status is Status.VIOLATED


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"matrix\.shape=\(2, 3\)"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "not symmetric"),
        (np.array([[np.nan]]), "not finite"),
    ],
)
def test_matrices_that_cannot_be_audited_are_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        positive_semidefinite(matrix)


POINTS = np.random.default_rng(0).standard_normal((30, 3))


def test_the_lipschitz_constant_of_a_linear_map_is_its_norm():
    matrix = np.diag([3.0, 1.0, 0.5])
    assert lipschitz(lambda x: matrix @ x, POINTS, 3.0).status is Status.SAMPLED
    assert lipschitz(lambda x: matrix @ x, POINTS, 2.0).status is Status.VIOLATED


def test_midpoints_tell_convex_from_not():
    assert convex(lambda x: float(np.sum(x**2)), POINTS, modulus=2.0).status is Status.SAMPLED
    assert convex(lambda x: float(np.sum(x**2)), POINTS, modulus=2.2).status is Status.VIOLATED
    assert convex(lambda x: -float(np.sum(x**2)), POINTS).status is Status.VIOLATED


def test_variance_and_diameter():
    noise = np.random.default_rng(1).standard_normal((4000, 2))
    assert bounded_variance(noise, 2.0).status is Status.SAMPLED
    assert bounded_variance(noise, 1.5).status is Status.VIOLATED
    corners = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert diameter(corners, 5.0).status is Status.SAMPLED
    assert diameter(corners, 4.9).status is Status.VIOLATED


def test_empty_samples_are_refused():
    with pytest.raises(ValueError, match=r"points\.shape=\(1, 2\)"):
        diameter(np.zeros((1, 2)), 1.0)
