"""Patterns of an arrangement: counts, completeness in any position, samples, refusals."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theorylab.algorithms.hyperplane_arrangement import (
    arrangement_rank,
    distinct_patterns,
    enumerate_patterns,
    enumeration_bytes,
    general_position_margin,
    pattern_count,
    pattern_count_bound,
    sample_patterns,
)


def columns(patterns):
    """The set of patterns, each as bytes."""
    return {column.tobytes() for column in np.asarray(patterns, dtype=np.uint8).T.copy()}


def integers(samples, features, seed):
    """Small integers: dependent, repeated and opposite rows abound."""
    X = np.random.default_rng(seed).integers(-1, 2, (samples, features)).astype(float)
    X[0, 0] = 1.0
    return X


@pytest.mark.parametrize(("n", "d"), [(6, 2), (12, 2), (8, 3), (12, 3), (9, 4), (5, 1), (4, 4), (3, 5), (14, 4)])
def test_general_position_has_covers_count(n, d):
    X = np.random.default_rng(n * d).standard_normal((n, d))
    patterns = enumerate_patterns(X)
    assert general_position_margin(X) > 1e-9
    assert patterns.dtype == np.bool_
    assert patterns.shape == (n, pattern_count(n, min(n, d)))
    assert len(columns(patterns)) == patterns.shape[1]
    if n > d:
        assert patterns.shape[1] <= pattern_count_bound(n, d)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 10**6))
def test_random_directions_find_nothing_new_in_any_position(n, d, seed):
    X = integers(n, d, seed)
    found, all_of_them = columns(sample_patterns(X, 3000, np.random.default_rng(seed))), columns(enumerate_patterns(X))
    assert found <= all_of_them
    assert len(all_of_them) <= pattern_count(n, arrangement_rank(X))


@pytest.mark.parametrize("seed", range(6))
def test_degenerate_arrangements_hold_only_cells(seed):
    # In small dimension enough directions reach every cell: equality both ways.
    X = integers(8, 3, seed)
    rng = np.random.default_rng(seed)
    assert columns(sample_patterns(X, 60_000, rng)) == columns(enumerate_patterns(X))


def test_deficient_rank_is_the_arrangement_of_the_coordinates():
    rng = np.random.default_rng(3)
    low = rng.standard_normal((8, 2))
    X = low @ rng.standard_normal((2, 5))
    assert arrangement_rank(X) == 2
    assert columns(enumerate_patterns(X)) == columns(enumerate_patterns(low))
    assert enumerate_patterns(X).shape[1] == pattern_count(8, 2)


def test_equal_rows_agree_and_zero_rows_are_active():
    X = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [-1.0, -2.0], [3.0, 1.0]])
    patterns = enumerate_patterns(X)
    assert patterns.shape == (5, 4)
    assert np.array_equal(patterns[0], patterns[1])
    assert patterns[2].all()
    assert np.array_equal(patterns[0], ~patterns[3])
    assert general_position_margin(X) == 0.0
    assert enumerate_patterns(np.ones((4, 1))).shape == (4, 2)


def test_scale_and_row_lengths_change_nothing():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((7, 3))
    scaled = X * 10.0 ** rng.uniform(-4, 4, (7, 1))
    assert columns(enumerate_patterns(scaled)) == columns(enumerate_patterns(X))


def test_samples_nest_keep_duplicates_and_lose_them_on_request():
    X = np.random.default_rng(0).standard_normal((10, 2))
    short = sample_patterns(X, 15, np.random.default_rng(1))
    long = sample_patterns(X, 200, np.random.default_rng(1))
    assert np.array_equal(long[:, :15], short)
    assert len(columns(long)) < 200
    distinct = distinct_patterns(long)
    assert distinct.shape[1] == len(columns(long))
    first = [distinct[:, i].tobytes() for i in range(distinct.shape[1])]
    seen = list(dict.fromkeys(long[:, h].tobytes() for h in range(200)))
    assert first == seen


def test_a_half_space_misses_patterns():
    X = np.random.default_rng(0).standard_normal((10, 2))
    half = columns(sample_patterns(X, 5000, np.random.default_rng(1), half_space=True))
    assert len(half) < pattern_count(10, 2)
    assert len(columns(sample_patterns(X, 5000, np.random.default_rng(1)))) == pattern_count(10, 2)


def test_margin_shrinks_with_a_nearly_dependent_row():
    X = np.random.default_rng(2).standard_normal((6, 3))
    before = general_position_margin(X)
    X[5] = X[0] + X[1] + 1e-6 * X[2]
    assert general_position_margin(X) < min(before, 1e-5)


def test_more_patterns_than_memory_says_how_many_and_what_to_do():
    X = np.random.default_rng(0).standard_normal((300, 20))
    assert enumeration_bytes(X) > 2**30
    with pytest.raises(ValueError, match=r"n=300 rows of rank 20: up to .*e\+.* patterns.*max_bytes=.*sample_patterns"):
        enumerate_patterns(X)
    with pytest.raises(ValueError, match="subsets of rows"):
        general_position_margin(X)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([[np.nan, 1.0]], r"X\[0, 0\]=nan"),
        ([[1.0, inf]], r"X\[0, 1\]=inf"),
        (np.zeros((3, 2)), "zeros only"),
        (np.zeros((0, 2)), r"X.shape=\(0, 2\)"),
        ([1.0, 2.0], r"X.shape=\(2,\)"),
    ],
)
def test_bad_inputs(bad, said):
    for function in (enumerate_patterns, arrangement_rank, general_position_margin):
        with pytest.raises(ValueError, match=said):
            function(bad)


def test_bad_sizes():
    X = np.eye(2)
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="count="):
            sample_patterns(X, bad, np.random.default_rng(0))
        with pytest.raises(ValueError, match="samples="):
            pattern_count(bad, 2)
    with pytest.raises(ValueError, match="must exceed rank=3"):
        pattern_count_bound(3, 3)
    with pytest.raises(ValueError, match="must be 0 or 1"):
        distinct_patterns([[2.0]])
