"""Training problems of ReLU networks: the instances that the generators draw, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems import relu_networks as networks


@given(st.integers(2, 12), st.integers(2, 5), st.sampled_from(["squared", "logistic", "hinge"]), st.integers(0, 10**6))
def test_generators_give_contiguous_finite_data_with_labels_where_needed(n, d, loss, seed):
    for generator in (networks.gauss, networks.sphere):
        problem = generator(n, d, np.random.default_rng(seed), loss=loss, beta=0.3)
        again = generator(n, d, np.random.default_rng(seed), loss=loss, beta=0.3)
        assert problem.X.flags.c_contiguous
        assert problem.X.shape == (problem.samples, problem.features) == (n, d)
        assert np.array_equal(problem.X, again.X)
        assert np.array_equal(problem.y, again.y)
        assert problem.perturbed.all()
        assert loss == "squared" or set(problem.y) <= {-1.0, 1.0}


def test_gauss_is_planted():
    problem = networks.gauss(10, 2, np.random.default_rng(0), noise=0.0)
    rng = np.random.default_rng(0)
    X, U = rng.standard_normal((10, 2)), rng.standard_normal((2, 3))
    assert np.array_equal(problem.X, X)
    assert problem.y == pytest.approx(np.maximum(X @ U, 0.0) @ [1.0, -1.0, 0.7])


def test_sphere_has_unit_rows_and_rings_alternate_around_the_bias():
    assert np.linalg.norm(networks.sphere(9, 3, np.random.default_rng(1)).X, axis=1) == pytest.approx(np.ones(9))
    rings = networks.rings(16, np.random.default_rng(0))
    radii = np.linalg.norm(rings.X[:, :2], axis=1)
    assert rings.y.tolist() == [1.0, -1.0] * 8
    assert radii[rings.y > 0].max() < 0.85 < radii[rings.y < 0].min()
    assert (rings.X[:, 2] == 1.0).all()
    assert rings.perturbed.tolist() == [True, True, False]


@pytest.mark.parametrize(("generator", "size"), [(networks.breast_cancer, (569, 30)), (networks.digits, (357, 60))])
def test_real_data_is_standardised_and_projected(generator, size):
    whole = generator(np.random.default_rng(0), bias=False)
    assert whole.X.shape[0] == size[0]
    assert whole.X.shape[1] <= 60
    assert whole.X.mean(axis=0) == pytest.approx(np.zeros(whole.features), abs=1e-12)
    assert whole.X.std(axis=0) == pytest.approx(np.ones(whole.features))
    small = generator(np.random.default_rng(0), samples=40, components=3, loss="hinge")
    assert small.X.shape == (40, 4)
    assert set(small.y) == {-1.0, 1.0}
    scores = generator(np.random.default_rng(0), components=3, bias=False).X
    covariance = scores.T @ scores
    assert covariance == pytest.approx(np.diag(np.diag(covariance)), abs=1e-8)
    assert np.all(np.diff(np.diag(covariance)) < 0)
    with pytest.raises(ValueError, match="components=100"):
        generator(np.random.default_rng(0), components=100)
    with pytest.raises(ValueError, match="samples=1000"):
        generator(np.random.default_rng(0), samples=1000)


GOOD = {"X": [[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]], "y": [1.0, -1.0, 1.0], "beta": 0.1, "loss": "hinge"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"X": [[1.0, 2.0]], "y": [1.0]}, "n=1"),
        ({"X": np.ones((3, 2))}, "X is constant, its n=3 rows"),
        ({"X": [[1.0, np.nan], [3.0, 4.0], [0.0, 1.0]]}, r"X\[0, 1\]=nan"),
        ({"X": np.zeros((3, 2))}, "zeros only"),
        ({"X": np.zeros((3, 0))}, r"X.shape=\(3, 0\)"),
        ({"y": [1.0, 0.0, 1.0]}, "y holds 0: labels must be -1 or 1"),
        ({"y": [1.0, np.inf, 1.0]}, r"y\[1\]=inf"),
        ({"y": [1.0, 1.0]}, r"y.shape=\(2,\)"),
        ({"beta": 0.0}, "beta=0.0"),
        ({"beta": -1.0}, "beta=-1.0"),
        ({"beta": np.nan}, "beta=nan"),
        ({"loss": "absolute"}, "loss='absolute'"),
        ({"perturbed": [True]}, "perturbed="),
        ({"perturbed": [False, False]}, "not all False"),
    ],
)
def test_bad_problems(change, said):
    arguments = GOOD | change
    with pytest.raises(ValueError, match=said):
        networks.training_problem(arguments.pop("X"), arguments.pop("y"), **arguments)


def test_deficient_rank_is_welcome():
    problem = networks.training_problem([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]], [0.3, 1.0, 2.0], beta=1.0, bias=True)
    assert problem.X.shape == (3, 3)


@pytest.mark.parametrize("bad", [0, -3, 2.5, True])
def test_bad_sizes(bad):
    for draw in (
        lambda rng: networks.gauss(bad, 2, rng),
        lambda rng: networks.sphere(4, bad, rng),
        lambda rng: networks.rings(bad, rng),
        lambda rng: networks.digits(rng, samples=bad),
        lambda rng: networks.digits(rng, components=bad),
    ):
        with pytest.raises(ValueError, match="must be a positive integer"):
            draw(np.random.default_rng(0))
    with pytest.raises(ValueError, match="noise=-1"):
        networks.rings(4, np.random.default_rng(0), noise=-1.0)
