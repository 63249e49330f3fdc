"""ADMM and ADMM-RBCD for the convex ReLU program: against the dense algorithm, cvxpy, their definitions, bad input."""

from functools import cache

import cvxpy as cp
import numpy as np
import pytest

from theorylab.algorithms import relu_admm_kernels as kernels
from theorylab.algorithms import relu_rbcd
from theorylab.algorithms.relu_admm import admm, split_admm, structured_flops
from theorylab.algorithms.relu_admm_dense import admm_dense, dense_flops, factor_dense
from theorylab.algorithms.relu_rbcd import admm_rbcd

pytestmark = pytest.mark.kernels
LOSSES = ("squared", "logistic", "hinge")


def planted(n, d, seed):
    """Gaussian data with a planted network, and the patterns of many directions, which at d = 2 are all of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    y = np.maximum(x @ rng.standard_normal((d, 3)), 0.0) @ [1.0, -1.0, 0.7] + 0.3 * rng.standard_normal(n)
    angles = np.linspace(0.0, 2.0 * np.pi, 20_000)
    directions = np.vstack([np.cos(angles), np.sin(angles)]) if d == 2 else rng.standard_normal((d, 60))
    return x, y, np.unique(x @ directions >= 0.0, axis=1).astype(float)


def data_for(loss, n=10, d=2, seed=0):
    x, y, patterns = planted(n, d, seed)
    return x, y if loss == "squared" else np.sign(y), patterns


@cache
def cvxpy_value(loss, beta, n=10, d=2, seed=0):
    """The program as it is printed, written down a second time."""
    x, y, patterns = data_for(loss, n, d, seed)
    v, w = cp.Variable((d, patterns.shape[1])), cp.Variable((d, patterns.shape[1]))
    outputs = cp.sum(cp.multiply(patterns, x @ (v - w)), axis=1)
    costs = {
        "squared": 0.5 * cp.sum_squares(outputs - y),
        "logistic": cp.sum(cp.logistic(-cp.multiply(y, outputs))),
        "hinge": cp.sum(cp.pos(1 - cp.multiply(y, outputs))),
    }
    cost = costs[loss] + beta * (cp.sum(cp.norm(v, axis=0)) + cp.sum(cp.norm(w, axis=0)))
    cones = [cp.multiply(2 * patterns - 1, x @ side) >= 0 for side in (v, w)]
    return cp.Problem(cp.Minimize(cost), cones).solve(solver="CLARABEL")


def network_by_definition(loss, x, y, beta, v, w):
    """The objective of the balanced network with first layers ``v/sqrt|v|`` and outputs ``+-sqrt|v|``, in words."""
    total, outputs = 0.0, np.zeros(len(y))
    for blocks, sign in ((v, 1.0), (w, -1.0)):
        for block in blocks[np.any(blocks != 0.0, axis=1)]:
            alpha = np.sqrt(np.linalg.norm(block))
            outputs += sign * alpha * np.maximum(x @ (block / alpha), 0.0)
            total += beta / 2 * (np.sum((block / alpha) ** 2) + alpha**2)
    costs = {
        "squared": lambda: 0.5 * np.sum((outputs - y) ** 2),
        "logistic": lambda: np.sum(np.logaddexp(0.0, -y * outputs)),
        "hinge": lambda: np.sum(np.maximum(1 - y * outputs, 0.0)),
    }
    return total + costs[loss]()


@pytest.mark.parametrize(("n", "d", "seed"), [(10, 2, 0), (12, 3, 1), (5, 4, 2)])
def test_structured_iterates_are_the_dense_ones(n, d, seed):
    x, y, patterns = planted(n, d, seed)
    u, v, residuals = admm_dense(factor_dense(x, y, patterns, 0.3), 200)
    run = admm(x, y, patterns, 0.3, iterations=200)
    assert np.abs(run.state.u - u).max() < 1e-12
    assert np.abs(np.vstack([run.v, run.w]) - v).max() < 1e-12
    assert np.abs(run.residuals - residuals).max() < 1e-12
    assert np.any(v == 0.0) and np.any(v != 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_limit_is_the_value_of_the_program(seed):
    x, y, patterns = planted(10, 2, seed)
    run = admm(x, y, patterns, 0.1, tolerance=1e-9, iterations=40_000)
    value = cvxpy_value("squared", 0.1, 10, 2, seed)
    assert run.converged and not run.diverged
    assert run.network[-1] == pytest.approx(value, rel=1e-6)
    assert run.objective[-1] == pytest.approx(value, rel=1e-6)
    assert run.dual_bound[-1] == pytest.approx(value, rel=1e-6)
    last = [run.copy, run.cone, run.stationarity, run.subgradient]
    assert max(column[-1] for column in last) <= 1e-9 < max(column[-2] for column in last)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", [0, 1])
def test_split_admm_closes_the_gap_around_the_value_of_the_program(loss, seed):
    x, y, patterns = data_for(loss, seed=seed)
    run = split_admm(x, y, patterns, 0.1, loss=loss, gap=1e-5, iterations=40_000)
    value = cvxpy_value(loss, 0.1, 10, 2, seed)
    assert run.converged and run.gap <= 1e-5
    # With all patterns both are bounds at every checkpoint, far from the optimum too.
    assert np.all(run.dual_bound <= value * (1 + 1e-6))
    assert np.all(run.network >= value * (1 - 1e-6))
    assert run.network[-1] == pytest.approx(network_by_definition(loss, x, y, 0.1, run.v, run.w), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_dual_bound_holds_for_a_sample_of_patterns_and_any_multipliers(loss):
    x, y, patterns = data_for(loss, 12, 3, 5)
    value = cvxpy_value(loss, 0.2, 12, 3, 5)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        first = split_admm(x, y, patterns, 0.2, loss=loss, iterations=1, gap=0.0)
        state = type(first.state)(
            *(
                rng.standard_normal(np.shape(getattr(first.state, name)))
                for name in ("u", "v", "lam", "s", "nu", "p", "mu")
            ),
            penalty=0.3,
        )
        wild = split_admm(x, y, patterns, 0.2, loss=loss, iterations=40, every=1, gap=0.0, start=state, dual_step=1.5)
        assert np.all(wild.dual_bound <= value * (1 + 1e-6))
    run = split_admm(x, y, patterns, 0.2, loss=loss, gap=-0.0, iterations=20_000)
    assert run.dual_bound.max() == pytest.approx(value, rel=1e-3)


def test_a_run_continues_where_another_stopped():
    x, y, patterns = data_for("logistic")
    whole = split_admm(x, y, patterns, 0.1, loss="logistic", gap=0.0, iterations=300)
    half = split_admm(x, y, patterns, 0.1, loss="logistic", gap=0.0, iterations=150)
    rest = split_admm(x, y, patterns, 0.1, loss="logistic", gap=0.0, iterations=150, start=half.state)
    assert len(set(whole.penalties)) > 1
    assert np.array_equal(rest.v, whole.v) and np.array_equal(rest.state.nu, whole.state.nu)


def test_split_and_direct_algorithms_meet():
    x, y, patterns = planted(12, 3, 7)
    direct = admm(x, y, patterns, 0.3, iterations=20_000, tolerance=1e-8)
    split = split_admm(x, y, patterns, 0.3, iterations=40_000, gap=1e-7)
    assert direct.objective[-1] == pytest.approx(split.dual_bound.max(), rel=1e-5)


def test_compiled_admm_is_its_python():
    x, y, patterns = data_for("logistic", 6, 2, 1)
    compiled = split_admm(x, y, patterns, 0.1, loss="logistic", iterations=30, every=10)
    names = ("run", "u_step", "cone_step", "copy_step", "fit_step", "multiplier_record", "value_record", "rescale")
    kept = {name: getattr(kernels, name) for name in (*names, "balance", "proximal_loss", "loss_value", "dual_value")}
    with pytest.MonkeyPatch.context() as patch:
        for name, kernel in kept.items():
            patch.setattr(kernels, name, kernel.py_func)
        python = split_admm(x, y, patterns, 0.1, loss="logistic", iterations=30, every=10)
    for name in (
        "v",
        "w",
        "residuals",
        "stationarity",
        "subgradient",
        "objective",
        "network",
        "dual_bound",
        "penalties",
    ):
        assert np.allclose(getattr(compiled, name), getattr(python, name), rtol=1e-10, atol=1e-12), name


@pytest.mark.parametrize("kind", [kernels.SQUARED, kernels.LOGISTIC, kernels.HINGE])
def test_proximal_step_is_optimal(kind):
    rng = np.random.default_rng(0)
    for _ in range(300):
        point, label, weight = 20.0 * rng.standard_normal(), rng.choice([-1.0, 1.0]), 10.0 ** rng.uniform(-4, 4)
        found = kernels.proximal_loss(kind, point, label, weight)
        tried = found + np.linspace(-1.0, 1.0, 41) * 10.0 ** rng.uniform(-4, 1)
        cost = [
            kernels.loss_value(kind, np.array([p]), np.array([label])) + weight / 2 * (p - point) ** 2 for p in tried
        ]
        assert cost[20] <= min(cost) + 1e-12 * (1.0 + abs(cost[20]))


def test_wrong_dual_steps_fail():
    x, y, patterns = planted(10, 2, 2)
    blown = admm(x, y, patterns, 0.1, dual_step=2.1, iterations=12_000)
    assert blown.residuals[1499] > 1e10 or blown.diverged
    stuck = admm(x, y, patterns, 0.1, decay=0.99, iterations=6000)
    right = admm(x, y, patterns, 0.1, iterations=6000)
    assert stuck.residuals[-1] > 1e-3 > 1e-6 > right.residuals[-1]


def test_divergence_is_a_status():
    x, y, patterns = planted(10, 2, 2)
    run = admm(x, y, patterns, 0.1, dual_step=5.0, iterations=3000)
    assert run.diverged and not run.converged
    assert run.residuals.size == 3000 and np.isinf(run.residuals[-1])


@pytest.mark.parametrize("loss", LOSSES)
def test_deficient_rank_and_unequal_scales_are_no_trouble(loss):
    x, y, patterns = data_for(loss)
    doubled = np.hstack([x, 1e-3 * x[:, :1], np.zeros((len(y), 1))])
    run = split_admm(doubled, y, patterns, 0.1, loss=loss, gap=1e-3, iterations=20_000)
    assert run.converged
    # A copy of a column at a thousandth of its size changes the value by a millionth.
    assert run.network[-1] == pytest.approx(cvxpy_value(loss, 0.1), rel=2e-3)


def test_flop_counts_grow_as_stated():
    patterns = np.array([200, 400, 800])
    dense = np.polyfit(np.log(patterns), np.log([dense_flops(40, 6, int(p)) for p in patterns]), 1)[0]
    structured = np.polyfit(np.log(patterns), np.log([structured_flops(40, 6, int(p)) for p in patterns]), 1)[0]
    assert 1.6 < dense < 2.01 and 0.9 < structured < 1.01
    assert dense_flops(40, 6, 400) > 20 * structured_flops(40, 6, 400)


@pytest.mark.parametrize("armijo", [False, True])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_block_steps_never_increase_the_objective_they_descend(loss, armijo):
    x, y, patterns = data_for(loss, 9, 3, 4)
    rng = np.random.default_rng(1)
    on, kind, rho = np.ascontiguousarray(patterns.T), LOSSES.index(loss), 0.4
    p, (n, d) = len(on), x.shape
    data, u = (x, on, x.T @ x, y), rng.standard_normal((2 * p, d))
    point, slack = rng.standard_normal((2 * p, d)), rng.standard_normal((2 * p, n))
    signs = np.vstack([2 * on - 1, 2 * on - 1])
    pull = point + (signs * slack) @ x
    fitted = np.sum(on * ((u[:p] - u[p:]) @ x.T), axis=0)
    safe = relu_rbcd.safe_steps(x, on, relu_rbcd.CURVATURE[kind], rho)
    work = (np.empty(n), np.empty(n), np.empty(n), np.empty((2, d)))

    def value():
        """The objective of the u-step, by its definition."""
        outputs = np.sum(on * ((u[:p] - u[p:]) @ x.T), axis=0)
        cost = 0.5 * np.sum((outputs - y) ** 2) if loss == "squared" else np.sum(np.logaddexp(0.0, -y * outputs))
        return cost + rho / 2 * (np.sum((u - point) ** 2) + np.sum((signs * (u @ x.T) - slack) ** 2))

    for _ in range(200):
        i, before = int(rng.integers(p)), value()
        change = relu_rbcd.block_step(kind, data, i, rho, safe[i], armijo, pull, u, fitted, work)
        assert change <= 1e-12
        assert value() - before == pytest.approx(change, abs=1e-10)
    assert value() == pytest.approx(relu_rbcd.u_step_value(kind, data, rho, point, slack, u), rel=1e-12)


def test_twice_the_safe_step_can_increase_the_objective():
    """The bound is attained: one pattern that is active everywhere, the squared loss, one column."""
    x, y, on = np.array([[1.0], [2.0]]), np.array([1.0, -1.0]), np.ones((1, 2))
    safe = relu_rbcd.safe_steps(x, on, 1.0, 1e-9)
    work = (np.empty(2), np.empty(2), np.empty(2), np.empty((2, 1)))
    for factor, sign in ((1.9, -1.0), (2.1, 1.0)):
        u, fitted = np.array([[5.0], [-5.0]]), 10.0 * x[:, 0]
        change = relu_rbcd.block_step(
            0, (x, on, x.T @ x, y), 0, 1e-9, factor * safe[0], False, np.zeros((2, 1)), u, fitted, work
        )
        assert sign * change > 0.0


@pytest.mark.parametrize("armijo", [False, True])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_rbcd_reaches_the_value_of_the_program(loss, armijo):
    x, y, patterns = data_for(loss)
    rng = np.random.default_rng(0)
    run = admm_rbcd(x, y, patterns, 0.1, rng, loss=loss, armijo=armijo, iterations=3000, checkpoints=[10, 100, 3000])
    value = cvxpy_value(loss, 0.1)
    assert run.objective[-1] == pytest.approx(value, rel=2e-3)
    assert run.network[-1] == pytest.approx(value, rel=2e-3) and np.all(run.network >= value * (1 - 1e-7))
    assert run.network[-1] == pytest.approx(network_by_definition(loss, x, y, 0.1, run.v, run.w), rel=1e-12)


def test_rbcd_with_many_block_steps_is_admm():
    """With the u-step solved exactly the two algorithms make the same iterates."""
    x, y, patterns = planted(6, 2, 3)
    rng = np.random.default_rng(2)
    inexact = admm_rbcd(x, y, patterns, 0.2, rng, loss="squared", penalty=1.0, block_steps=20_000, iterations=5)
    exact = admm(x, y, patterns, 0.2, penalty=1.0, iterations=5)
    assert np.abs(inexact.v - exact.v).max() < 1e-6 and np.abs(inexact.w - exact.w).max() < 1e-6
    assert inexact.residual[-1] == pytest.approx(exact.residuals[-1], abs=1e-5)


X, Y, D = planted(8, 2, 0)
LABELS = np.sign(Y)
BAD = {
    "beta=0": lambda: admm(X, Y, D, 0),
    "beta=nan": lambda: split_admm(X, Y, D, np.nan),
    "X\\[0, 1\\]=nan": lambda: admm(np.where(np.arange(16).reshape(8, 2) == 1, np.nan, X), Y, D, 0.1),
    "n=1": lambda: admm(X[:1], Y[:1], D[:1], 0.1),
    "X is constant": lambda: split_admm(np.ones((8, 2)), Y, D, 0.1),
    "y holds": lambda: split_admm(X, Y, D, 0.1, loss="hinge"),
    "y.shape": lambda: admm(X, Y[:-1], D, 0.1),
    "loss='cubic'": lambda: split_admm(X, Y, D, 0.1, loss="cubic"),
    "loss='hinge'": lambda: admm_rbcd(X, LABELS, D, 0.1, np.random.default_rng(), loss="hinge"),
    "patterns.shape": lambda: admm(X, Y, D[:-1], 0.1),
    "patterns.shape=\\(8, 0\\)": lambda: admm(X, Y, D[:, :0], 0.1),
    "patterns hold": lambda: admm(X, Y, 2 * D - 1, 0.1),
    "penalty=-1": lambda: admm(X, Y, D, 0.1, penalty=-1),
    "dual_step=0": lambda: admm(X, Y, D, 0.1, dual_step=0),
    "decay=1.5": lambda: admm(X, Y, D, 0.1, decay=1.5),
    "iterations=0": lambda: admm(X, Y, D, 0.1, iterations=0),
    "iterations=2.5": lambda: admm_rbcd(X, LABELS, D, 0.1, np.random.default_rng(), iterations=2.5),
    "block_steps=0": lambda: admm_rbcd(X, LABELS, D, 0.1, np.random.default_rng(), block_steps=0),
    "checkpoints": lambda: admm(X, Y, D, 0.1, iterations=10, checkpoints=[5, 20]),
    "gap=-1": lambda: split_admm(X, Y, D, 0.1, gap=-1),
    "every=0": lambda: split_admm(X, Y, D, 0.1, every=0),
    "cone_weight=inf": lambda: split_admm(X, Y, D, 0.1, cone_weight=np.inf),
    "tolerance=nan": lambda: admm(X, Y, D, 0.1, tolerance=np.nan),
    "start.u": lambda: admm(X, Y, D[:, :2], 0.1, start=admm(X, Y, D, 0.1, iterations=1).state),
    "GB": lambda: factor_dense(X, Y, np.tile(D, 500), 0.1),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
