"""Lanczos and extreme eigenvalues: against dense eigenvalues, bounds, breakdowns, bad input of all spectral tools."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

from theorylab.algorithms import lanczos_bounds
from theorylab.algorithms.extreme_eigenvalues import extreme_eigenvalues
from theorylab.algorithms.lanczos import lanczos, power_iteration, ritz_values
from theorylab.algorithms.operators import symmetric_operator
from theorylab.algorithms.spectral_density import spectral_density, weight_near_zero


def generator(seed=0):
    return np.random.default_rng(seed)


def wigner(n, seed=0, spike=0.0):
    draws = generator(seed).standard_normal((n, n))
    matrix = (draws + draws.T) / np.sqrt(2 * n)
    matrix[0, 0] += spike
    return matrix


def grid_laplacian(m):
    line = scipy.sparse.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    return scipy.sparse.kronsum(line, line, format="csr")


# The process itself


def test_basis_is_orthonormal_and_projects_to_t():
    a = wigner(120)
    process = lanczos(a, steps=60, rng=generator(1))
    v = process.basis
    t = np.diag(process.diagonal) + np.diag(process.off_diagonal, 1) + np.diag(process.off_diagonal, -1)
    assert np.abs(v.T @ v - np.eye(60)).max() < 1e-14
    assert np.abs(v.T @ a @ v - t).max() < 1e-13
    residual = a @ v - v @ t
    assert np.abs(residual[:, :-1]).max() < 1e-13  # all but the last column of A V = V T + beta v e'
    assert np.isclose(np.linalg.norm(residual[:, -1]), process.coupling, rtol=1e-12)


def test_as_many_steps_as_dimensions_give_all_eigenvalues():
    a = wigner(40)
    found = ritz_values(lanczos(a, steps=40, rng=generator()))
    values, vectors = np.linalg.eigh(a)
    assert np.abs(found.values - values).max() < 1e-13
    assert found.residuals.max() == 0.0
    start = generator(5).standard_normal(40)
    weights = ritz_values(lanczos(a, steps=40, rng=generator(), start=start)).weights
    assert np.abs(weights - (vectors.T @ start) ** 2 / (start @ start)).max() < 1e-12


def test_without_reorthogonalisation_ghosts_appear():
    eigenvalues = np.concatenate([[10.0, 8.0, 6.0], generator().uniform(0.0, 1.0, 497)])
    copies = {}
    for clean in (True, False):
        process = lanczos(np.diag(eigenvalues), steps=120, rng=generator(1), reorthogonalise=clean)
        copies[clean] = np.sum(np.abs(ritz_values(process).values - 10.0) < 1e-8)
        loss = np.abs(process.basis.T @ process.basis - np.eye(120)).max()
        assert loss < 1e-13 if clean else loss > 0.5
    assert copies[True] == 1
    assert copies[False] >= 3


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_breaks_down_after_as_many_steps_as_there_are_distinct_eigenvalues(n, distinct, seed):
    rng = generator(seed)
    levels = 3.0 * np.arange(min(distinct, n))
    eigenvalues = np.concatenate([levels, rng.choice(levels, n - levels.size)])
    process = lanczos(np.diag(eigenvalues), steps=n, rng=rng)
    assert process.broke_down
    assert process.diagonal.size == levels.size
    assert np.abs(ritz_values(process).values - levels).max() < 1e-9


def test_power_iteration_is_the_rayleigh_quotient_of_powers():
    a = wigner(30) @ wigner(30)
    start = generator(3).standard_normal(30)
    found = power_iteration(a, steps=6, rng=generator(), start=start)
    power = np.linalg.matrix_power(a, 5) @ start
    assert np.isclose(found[-1], power @ a @ power / (power @ power), rtol=1e-12)
    assert np.all(np.diff(found) > 0.0)
    assert np.all(power_iteration(np.zeros((3, 3)), steps=4, rng=generator()) == 0.0)


# Bounds of Theorem 12 and of the random start


def test_kaniel_paige_holds_at_both_ends_and_fails_as_printed_at_the_bottom():
    top = np.concatenate([[2.0, 1.3], generator().uniform(0.05, 1.0, 398)])
    bottom = np.concatenate([[4.0], generator().uniform(1.0, 1.9, 397), [0.999, 0.9985]])
    printed_fails = held = hundredth_fails = 0
    for seed in range(20):
        for m in (8, 10, 20):
            start = generator(seed).standard_normal(400)
            overlap = start**2 / (start @ start)
            values = ritz_values(lanczos(np.diag(top), steps=m, rng=generator(), start=start)).values
            bound = lanczos_bounds.kaniel_paige_top(top, overlap[0], m)
            assert -1e-12 <= 2.0 - values[-1] <= bound + 1e-12
            hundredth_fails += 2.0 - values[-1] > bound / 100 + 1e-12
            values = ritz_values(lanczos(np.diag(bottom), steps=m, rng=generator(), start=start)).values
            assert -1e-12 <= values[0] - 0.9985 <= lanczos_bounds.kaniel_paige_bottom(bottom, overlap[-1], m) + 1e-12
            printed_fails += values[0] - 0.9985 > lanczos_bounds.kaniel_paige_top(bottom, overlap[0], m) + 1e-12
            held += 1
    assert printed_fails == held  # the gap and the angle of the top pair say nothing about the bottom
    assert hundredth_fails > 0.2 * held


def test_ceilings_hold_on_average_and_power_iteration_is_slower():
    eigenvalues = np.linspace(0.0, 1.0, 300)
    krylov, power = np.empty(40), np.empty(40)
    for seed in range(40):
        krylov[seed] = 1.0 - ritz_values(lanczos(np.diag(eigenvalues), steps=10, rng=generator(seed))).values[-1]
        power[seed] = 1.0 - power_iteration(np.diag(eigenvalues), steps=10, rng=generator(seed))[-1]
    assert krylov.mean() < lanczos_bounds.lanczos_ceiling(300, 10)
    assert krylov.mean() < power.mean() < lanczos_bounds.power_ceiling(300, 10)
    assert power.mean() > lanczos_bounds.power_ceiling(300, 10) / 20


def test_bound_of_two_distinct_eigenvalues_is_exact():
    assert lanczos_bounds.kaniel_paige_top([2.0, 1.0, 1.0], 0.25, 2) == 0.0
    assert lanczos_bounds.kaniel_paige_top([2.0, 1.0, 1.0], 0.25, 1) == 3.0
    assert lanczos_bounds.kaniel_paige_top([1e3, 1.0, 0.0], 1e-3, 400) == 0.0  # Chebyshev beyond the largest double


# Extreme eigenvalues

OPERATORS = {
    "spiked Wigner": (lambda: wigner(300, spike=2.0), "largest", 4),
    "grid": (lambda: grid_laplacian(25), "smallest", 3),
    "grid, both ends": (lambda: grid_laplacian(25), "both", 2),
    "decaying": (lambda: np.diag(0.8 ** np.arange(200)), "largest", 6),
    "cluster": (lambda: np.diag(np.r_[1 + 1e-3 * np.arange(5), np.linspace(0, 0.9, 300)]), "largest", 5),
    "indefinite": (lambda: wigner(64), "smallest", 5),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_extreme_eigenvalues_are_those_of_the_matrix(name):
    make, which, k = OPERATORS[name]
    a = make()
    found = extreme_eigenvalues(a, k=k, which=which, tol=1e-10, rng=generator(2), confirm="grid" in name)
    exact = np.linalg.eigvalsh(a if isinstance(a, np.ndarray) else a.toarray())[::-1]
    wanted = {"largest": exact[:k], "smallest": exact[-k:], "both": np.r_[exact[:k], exact[-k:]]}[which]
    assert found.converged
    away = np.abs(found.values - wanted)
    assert np.all(away <= found.residuals + 1e-13)  # rigorous
    assert np.all(away <= 10 * found.errors + 1e-13)  # an estimate, to within rounding
    assert found.residuals.max() <= 2e-10 * np.abs(exact).max()
    assert np.abs(found.vectors.T @ found.vectors - np.eye(wanted.size)).max() < 1e-10


def test_fewer_products_with_a_larger_basis_and_the_count_is_true():
    a, calls = grid_laplacian(40), []
    spent = {}
    for basis in (12, 60):
        calls.clear()
        found = extreme_eigenvalues(lambda v: calls.append(1) or a @ v, 1600, k=2, rng=generator(), basis=basis)
        assert found.converged
        assert found.matvecs == len(calls)
        spent[basis] = found.matvecs
    assert spent[60] < 0.8 * spent[12]


@pytest.mark.parametrize("k", [1, 3, 20])
def test_multiple_eigenvalues_of_an_invariant_space_are_all_found(k):
    assert np.all(extreme_eigenvalues(np.zeros((20, 20)), k=k, rng=generator()).values == 0.0)
    assert np.abs(extreme_eigenvalues(np.eye(20), k=k, rng=generator()).values - 1.0).max() < 1e-13
    projector = np.diag(np.r_[np.full(3, 7.0), np.zeros(17)])
    assert np.abs(extreme_eigenvalues(projector, k=k, rng=generator()).values[:3] - 7.0).max() < 1e-12


def test_the_second_copy_of_a_double_eigenvalue_takes_a_second_look():
    line = 2.0 - 2.0 * np.cos(np.pi * np.arange(1, 26) / 26)
    exact = np.sort((line[:, None] + line).ravel())[::-1]
    once = extreme_eigenvalues(grid_laplacian(25), k=3, tol=1e-8, rng=generator())
    twice = extreme_eigenvalues(grid_laplacian(25), k=3, tol=1e-8, rng=generator(), confirm=True)
    assert np.abs(once.values - exact[:3]).max() > 1e-3
    assert np.abs(twice.values - exact[:3]).max() < 1e-9
    assert twice.residuals.max() < 1e-7


def test_one_dimension_and_an_exact_start():
    assert extreme_eigenvalues(np.array([[-3.0]]), rng=generator()).values == [-3.0]
    found = extreme_eigenvalues(np.diag([1.0, 5.0, 2.0]), rng=generator(), start=[0.0, 1.0, 0.0])
    assert np.isclose(found.values[0], 5.0)


def test_matrix_free_diagonal_of_a_hundred_thousand():
    entries = np.r_[3.0, 2.5, generator().uniform(-1.0, 1.0, 99_998)]
    found = extreme_eigenvalues(
        LinearOperator((100_000,) * 2, matvec=lambda v: entries * v.ravel()), k=2, rng=generator()
    )
    assert np.abs(found.values - [3.0, 2.5]).max() < 1e-9
    assert found.matvecs < 100


def test_a_spent_budget_is_said_and_not_hidden():
    found = extreme_eigenvalues(grid_laplacian(30), which="smallest", rng=generator(), basis=8, max_matvecs=20)
    assert not found.converged
    assert found.residuals[0] > 1e-3


# Bad input

TOOLS = {
    "lanczos": lambda a, n=None, **more: lanczos(a, n, steps=2, rng=generator(), **more),
    "power iteration": lambda a, n=None, **more: power_iteration(a, n, steps=2, rng=generator(), **more),
    "extreme": lambda a, n=None, **more: extreme_eigenvalues(a, n, rng=generator(), **more),
    "density": lambda a, n=None: spectral_density(a, n, steps=2, rng=generator()),
}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
@pytest.mark.parametrize(
    ("operator", "n", "message"),
    [
        (np.triu(np.ones((30, 30))), None, r"not symmetric: \|u'Av - v'Au\|="),
        (scipy.sparse.csr_array(np.triu(np.ones((30, 30)))), None, "not symmetric"),
        (lambda v: np.roll(v, 1), 30, "not symmetric"),
        (lambda v: v[:-1], 30, r"shape \(29,\): must be \(30,\)"),
        (lambda v: np.full(30, np.nan), 30, "not finite"),
        (np.full((3, 3), np.inf), None, "not finite"),
        (scipy.sparse.csr_array(np.diag([1.0, np.nan])), None, "not finite"),
        (np.ones((3, 4)), None, r"matvec.shape=\(3, 4\): must be \(n, n\)"),
        (np.ones(3), None, r"matvec.shape=\(3,\)"),
        (np.empty((0, 0)), None, r"matvec.shape=\(0, 0\)"),
        (1j * np.eye(3), None, "complex"),
        (lambda v: v, None, "n=None: must be a positive integer"),
        (lambda v: v, 0, "n=0"),
        (lambda v: v, 2.0, "n=2.0"),
        (np.eye(3), 4, "n=4: must be 3"),
    ],
)
def test_bad_operators(tool, operator, n, message):
    with pytest.raises(ValueError, match=message):
        tool(operator, n)


def test_an_operator_that_fails_later_is_caught():
    calls = []

    def fails(v):
        calls.append(1)
        return v * np.arange(1.0, 41.0) if len(calls) < 6 else np.full(40, np.nan)

    for run in (
        lambda: lanczos(fails, 40, steps=20, rng=generator()),
        lambda: extreme_eigenvalues(fails, 40, rng=generator()),
        lambda: spectral_density(fails, 40, probes=1, steps=20, rng=generator()),
        lambda: power_iteration(fails, 40, steps=20, rng=generator()),
    ):
        calls.clear()
        with pytest.raises(ValueError, match="not finite"):
            run()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda a: lanczos(a, steps=9, rng=generator()), "steps=9: must be at most n=5"),
        (lambda a: lanczos(a, steps=0, rng=generator()), "steps=0"),
        (lambda a: lanczos(a, steps=2.5, rng=generator()), "steps=2.5"),
        (lambda a: lanczos(a, steps=2, rng=generator(), start=np.zeros(5)), "start has norm 0"),
        (lambda a: lanczos(a, steps=2, rng=generator(), start=np.ones(4)), r"start.shape=\(4,\)"),
        (lambda a: lanczos(a, steps=2, rng=0), "rng=0: must be a numpy.random.Generator"),
        (lambda a: extreme_eigenvalues(a, k=6, rng=generator()), "k=6"),
        (lambda a: extreme_eigenvalues(a, k=3, which="both", rng=generator()), "k=3: asks for 6"),
        (lambda a: extreme_eigenvalues(a, which="LA", rng=generator()), "which='LA'"),
        (lambda a: extreme_eigenvalues(a, tol=0.0, rng=generator()), "tol=0.0"),
        (lambda a: extreme_eigenvalues(a, k=2, basis=3, rng=generator()), "basis=3: must be at least 4"),
        (lambda a: spectral_density(a, steps=80, rng=generator()), "steps=80: must be at most n=5"),
        (lambda a: spectral_density(a, steps=2, probes=0, rng=generator()), "probes=0"),
        (lambda a: spectral_density(a, steps=2, probe="cauchy", rng=generator()), "probe='cauchy'"),
        (lambda a: spectral_density(a, steps=2, rng=generator()).density(0.0, 0.0), "width=0.0"),
        (lambda a: spectral_density(a, steps=2, rng=generator()).cdf(np.nan), "x holds entries"),
        (lambda a: weight_near_zero(spectral_density(a, steps=2, rng=generator()), nearest=3), "nearest=3"),
        (lambda a: lanczos_bounds.kaniel_paige_top([1.0], 0.5, 3), "eigenvalues="),
        (lambda a: lanczos_bounds.kaniel_paige_top([1.0, 0.0], 0.0, 3), "overlap=0.0"),
        (lambda a: lanczos_bounds.lanczos_ceiling(100, 3), "steps=3"),
        (lambda a: lanczos_bounds.power_ceiling(1, 3), "n=1"),
    ],
)
def test_bad_arguments(run, message):
    with pytest.raises(ValueError, match=message):
        run(np.diag(np.arange(1.0, 6.0)))


def test_a_small_asymmetry_everywhere_is_found_and_noise_of_differences_is_not():
    a = wigner(400)
    skew = generator(9).standard_normal((400, 400)) / 20.0
    with pytest.raises(ValueError, match="not symmetric"):
        symmetric_operator(a + 1e-3 * (skew - skew.T), None, rng=generator())
    symmetric_operator(a + 1e-8 * (skew - skew.T), None, rng=generator())
