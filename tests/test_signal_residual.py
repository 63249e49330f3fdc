"""The signal/residual split: identities of the definition, and the error decomposition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.algorithms.signal_residual import orthogonal_complement, split, split_norms


def drawn(seed, d, r, width, count=3):
    rng = np.random.default_rng(seed)
    V, _ = np.linalg.qr(rng.standard_normal((d, r)))
    sigma = np.sort(np.exp(rng.uniform(-2, 2, r)))[::-1]
    return rng.standard_normal((count, d, width)) * np.exp(rng.uniform(-3, 2, (count, 1, 1))), V, sigma


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 7), st.data())
def test_parts_rebuild_the_iterate_and_bound_its_error(seed, d, data):
    r, width = data.draw(st.integers(1, d)), data.draw(st.integers(1, d))
    U, V, sigma = drawn(seed, d, r, width)
    V_perp = orthogonal_complement(V)
    parts = split(U, V)
    scale = np.abs(U).max()
    np.testing.assert_allclose(V @ parts.S + V_perp @ (parts.F + parts.G), U, atol=1e-13 * scale)
    np.testing.assert_allclose(parts.E, parts.F + parts.G, atol=1e-13 * scale)
    # G is orthogonal to the signal's rows, F lies inside them.
    np.testing.assert_allclose(parts.S @ np.swapaxes(parts.G, -1, -2), 0.0, atol=1e-12 * scale**2)
    inside = np.linalg.pinv(parts.S) @ parts.S
    np.testing.assert_allclose(parts.F @ inside, parts.F, atol=1e-9 * scale)
    norms = split_norms(U, V, sigma)
    assert np.all(norms.error <= (norms.signal_error + 2 * norms.cross + norms.residual) * (1 + 1e-12))
    assert np.all(norms.error >= np.maximum(norms.signal_error, norms.residual) * (1 - 1e-10) - 1e-13)


def test_norms_equal_those_of_the_dense_matrices():
    U, V, sigma = drawn(1, 6, 2, 5)
    V_perp = orthogonal_complement(V)
    norms = split_norms(U, V, sigma)
    for k, iterate in enumerate(U):
        S, E = V.T @ iterate, V_perp.T @ iterate
        P = S.T @ np.linalg.inv(S @ S.T) @ S
        F, G = E @ P, E @ (np.eye(5) - P)
        expected = [iterate @ iterate.T - V @ np.diag(sigma) @ V.T, np.diag(sigma) - S @ S.T, S @ E.T]
        expected += [E @ E.T, F @ F.T, G @ G.T]
        for name, matrix in zip(norms.__dataclass_fields__, expected, strict=True):
            assert getattr(norms, name)[k] == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-9), name


def test_exact_rank_leaves_no_excess_and_full_rank_no_residual():
    U, V, sigma = drawn(2, 6, 2, 2)
    assert np.all(split_norms(U, V, sigma).excess <= 1e-20 * split_norms(U, V, sigma).residual)
    square, V, sigma = drawn(3, 4, 4, 4)
    norms = split_norms(square, V, sigma)
    np.testing.assert_array_equal(norms.residual, 0.0)
    np.testing.assert_allclose(norms.error, norms.signal_error, rtol=1e-10)


def test_a_single_iterate_and_a_stack_agree_and_zero_is_split():
    U, V, sigma = drawn(4, 5, 2, 3)
    assert split_norms(U[1], V, sigma).error == pytest.approx(split_norms(U, V, sigma).error[1], rel=1e-13)
    parts = split(np.zeros((5, 3)), V)
    assert parts.F.shape == (3, 3) and not parts.F.any() and not parts.G.any()


def test_the_error_of_the_truth_is_zero():
    _, V, sigma = drawn(5, 6, 3, 3)
    norms = split_norms(V * np.sqrt(sigma), V, sigma)
    assert norms.error <= 1e-14 * sigma[0] * 10 and norms.residual <= 1e-28 * sigma[0]


@pytest.mark.parametrize(
    ("iterates", "basis", "sigma", "message"),
    [
        (np.ones((4, 2)), np.eye(3)[:, :1], [1.0], r"iterates.shape=\(4, 2\)"),
        (np.ones(3), np.eye(3)[:, :1], [1.0], r"iterates.shape=\(3,\)"),
        (np.full((3, 2), np.inf), np.eye(3)[:, :1], [1.0], "not finite"),
        (np.ones((3, 2)), np.ones((3, 1)), [1.0], "orthonormalise"),
        (np.ones((3, 2)), np.full((3, 1), np.nan), [1.0], "orthonormalise"),
        (np.ones((3, 2)), np.empty((3, 0)), [], r"eigenvectors.shape=\(3, 0\)"),
        (np.ones((3, 2)), np.eye(3)[:, :2], [1.0, 2.0], "descending"),
    ],
)
def test_bad_input_is_named(iterates, basis, sigma, message):
    with pytest.raises(ValueError, match=message):
        split_norms(iterates, basis, sigma)
