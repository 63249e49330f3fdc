"""Extreme eigenvalues by the side of ARPACK, spectral densities by the side of a stochastic Lanczos package.

    python tests/benchmarks/bench_lanczos.py [--quick] [--repeats 5]

One thread; contestants take turns on the same matrix and the same start vector, and medians are compared.

- *eigsh* is `scipy.sparse.linalg.eigsh` with its default basis. Both are asked for the tolerance at which the largest
  residual of `extreme_eigenvalues` is not above that of eigsh; products and residuals of both are printed.
- *matfree* (``pip install matfree jax``) is compiled, batched over the probes, with full re-orthogonalisation; its
  compilation is not timed. It gets our probes, and the moments of its rules are compared before anything is timed.
  Without the package there is no second table. (scikit-primate was tried as well: the same numbers, but with full
  re-orthogonalisation several times slower than either.)
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: BLAS reads them once
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: E402

from theorylab.algorithms.extreme_eigenvalues import ExtremeEigenvalues, extreme_eigenvalues  # noqa: E402
from theorylab.algorithms.spectral_density import SpectralDensity, spectral_density  # noqa: E402

Rule = tuple[np.ndarray, np.ndarray]
PROBES, STEPS = 10, 80


def spiked_wigner(n: int) -> np.ndarray:
    """Wigner noise of radius 2 with a spike of 2.5 / 2 of the transition."""
    draws = np.random.default_rng(0).standard_normal((n, n))
    draws += draws.T.copy()
    draws /= np.sqrt(2 * n)
    draws[0, 0] += 1.25
    return draws


def diagonal(entries: np.ndarray) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(scipy.sparse.diags_array(entries))


def grid_laplacian(m: int) -> scipy.sparse.csr_array:
    """Five points on an m x (m + 1) grid, so that no eigenvalue is double."""
    lines = [
        scipy.sparse.diags_array([-np.ones(k - 1), 2 * np.ones(k), -np.ones(k - 1)], offsets=[-1, 0, 1])
        for k in (m, m + 1)
    ]
    return scipy.sparse.csr_array(scipy.sparse.kronsum(lines[0], lines[1]))


def clustered(n: int) -> scipy.sparse.csr_array:
    return diagonal(np.r_[1.0 + 1e-3 * np.arange(10), np.random.default_rng(1).uniform(0.0, 0.95, n - 10)])


# Name, matrix, number of eigenvalues, whether only products are shown to the contestants.
CASES = {
    "spiked Wigner 2000, dense": (lambda: spiked_wigner(2000), 1, False),
    "spiked Wigner 2000, 6 eigenvalues": (lambda: spiked_wigner(2000), 6, False),
    "decaying 1/i, 100 000": (lambda: diagonal(1.0 / np.arange(1, 100_001)), 6, False),
    "cluster of 10, 20 000": (lambda: clustered(20_000), 6, False),
    "grid 50 x 51": (lambda: grid_laplacian(50), 4, False),
    "grid 100 x 101": (lambda: grid_laplacian(100), 6, False),
    "grid 100 x 101, products only": (lambda: grid_laplacian(100), 6, True),
    "grid 200 x 201": (lambda: grid_laplacian(200), 1, False),
}


def by_turns(runs: list[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each run; they take turns so that all meet the same load."""
    seconds = np.empty((repeats, len(runs)))
    for r in range(repeats):
        for i, run in enumerate(runs):
            begin = time.perf_counter()
            run()
            seconds[r, i] = time.perf_counter() - begin
    return [float(s) for s in np.median(seconds, axis=0)]


def matched(a: object, k: int, start: np.ndarray, goal: float) -> tuple[float, ExtremeEigenvalues]:
    """The loosest tolerance of a descending grid at which no residual of ours is above ``goal``."""
    tol = 1e-8
    while True:
        found = extreme_eigenvalues(a, k=k, tol=tol, start=start, rng=np.random.default_rng(0))
        if found.residuals.max() <= goal or tol < 1e-15:
            return tol, found
        tol /= 4.0


def eigenvalue_table(names: list[str], repeats: int) -> Table:
    table = Table(title="largest eigenvalues, to the same residual")
    for column in (
        "matrix",
        "k",
        "eigsh ms",
        "ours ms",
        "ratio",
        "products",
        "ours",
        "residual",
        "ours",
        "|difference|",
    ):
        table.add_column(column, justify="left" if column == "matrix" else "right")
    for name in names:
        make, k, hidden = CASES[name]
        matrix = make()
        calls: list[int] = []
        counted = LinearOperator(
            matrix.shape, matvec=lambda v, m=matrix, c=calls: c.append(1) or m @ v, dtype=np.float64
        )
        a = LinearOperator(matrix.shape, matvec=matrix.__matmul__, dtype=np.float64) if hidden else matrix
        start = np.random.default_rng(2).standard_normal(matrix.shape[0])
        values, vectors = eigsh(counted, k=k, which="LA", tol=1e-8, v0=start)
        goal = float(np.max(np.linalg.norm(matrix @ vectors - vectors * values, axis=0)))
        tol, found = matched(a, k, start, goal)
        theirs, ours = by_turns(
            [
                lambda a=a, k=k, v=start: eigsh(a, k=k, which="LA", tol=1e-8, v0=v),
                lambda a=a, k=k, v=start, t=tol: extreme_eigenvalues(
                    a, k=k, tol=t, start=v, rng=np.random.default_rng(0)
                ),
            ],
            repeats,
        )
        away = float(np.max(np.abs(np.sort(values)[::-1] - found.values)))
        numbers = (f"{1e3 * theirs:.1f}", f"{1e3 * ours:.1f}", f"{ours / theirs:.2f}")
        accuracy = (f"{goal:.1e}", f"{found.residuals.max():.1e}", f"{away:.1e}")
        table.add_row(name, str(k), *numbers, str(len(calls)), str(found.matvecs), *accuracy)
    return table


def ours_density(a: object) -> SpectralDensity:
    return spectral_density(a, probes=PROBES, steps=STEPS, rng=np.random.default_rng(0))


def our_probes(n: int) -> np.ndarray:
    """The starts (n, probes) that `spectral_density` draws after the two vectors of its symmetry test."""
    rng = np.random.default_rng(0)
    rng.standard_normal((2, n))
    return rng.choice([-1.0, 1.0], size=(n, PROBES)) / np.sqrt(n)


def matfree_density(a: object, starts: np.ndarray) -> Callable[[], list[Rule]]:
    import jax
    import jax.numpy as jnp
    from jax.experimental import sparse
    from matfree import decomp

    jax.config.update("jax_enable_x64", True)
    matrix = sparse.BCSR.from_scipy_sparse(a) if scipy.sparse.issparse(a) else jnp.asarray(a)
    process = decomp.tridiag_sym(STEPS, reortho="full")

    @jax.jit
    def rules(matrix: object, columns: object) -> tuple[object, object]:
        def rule(v: object) -> tuple[object, object]:
            values, vectors = jnp.linalg.eigh(process(lambda u: matrix @ u, v).J_small)
            return values, vectors[0] ** 2

        return jax.vmap(rule, in_axes=1)(columns)

    columns = jnp.asarray(starts)
    return lambda: list(zip(*[np.asarray(part) for part in rules(matrix, columns)], strict=True))


def density_table(quick: bool, repeats: int) -> Table:
    table = Table(title=f"spectral density, {PROBES} probes, {STEPS} steps, full re-orthogonalisation")
    for column in ("matrix", "matfree ms", "ours ms", "ratio", "largest relative difference of moments 1..20"):
        table.add_column(column, justify="left" if column == "matrix" else "right")
    matrices = {"spiked Wigner 2000, dense": spiked_wigner(2000), "grid 100 x 101": grid_laplacian(100)}
    if not quick:
        matrices["decaying 1/i, 100 000"] = diagonal(1.0 / np.arange(1, 100_001))
    for name, a in matrices.items():
        powers = np.arange(1, 21)
        scale = float(np.max(np.abs(ours_density(a).nodes)))
        exact = np.mean([w @ (x[:, None] / scale) ** powers for x, w in _rules(ours_density(a))], axis=0)
        run = matfree_density(a, our_probes(a.shape[0]))
        theirs = np.mean([w @ (x[:, None] / scale) ** powers for x, w in run()], axis=0)
        gap = float(np.max(np.abs(theirs - exact) / np.maximum(np.abs(exact), 1e-3)))
        its, ours = by_turns([run, lambda a=a: ours_density(a)], repeats)
        table.add_row(name, f"{1e3 * its:.0f}", f"{1e3 * ours:.0f}", f"{ours / its:.2f}", f"{gap:.1e}")
    return table


def _rules(found: SpectralDensity) -> list[Rule]:
    return list(zip(found.nodes, found.weights, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smaller half of the matrices")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions whose median is taken")
    options = parser.parse_args()
    names = [name for name in CASES if not options.quick or not any(big in name for big in ("100 000", "200 x"))]
    console = Console(width=160)
    console.print(eigenvalue_table(names, options.repeats))
    if importlib.util.find_spec("matfree") is None:
        console.print("matfree is not installed: no comparison of spectral densities (pip install matfree jax).")
    else:
        console.print(density_table(options.quick, options.repeats))


if __name__ == "__main__":
    main()
