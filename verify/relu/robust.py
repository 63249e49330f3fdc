"""Training that is robust against perturbed inputs: what the robust convex program states, and what it does not."""

from typing import Any

import numpy as np

from problems.relu_networks import TrainingProblem, gauss, rings
from theorylab.algorithms.hyperplane_arrangement import distinct_patterns, enumerate_patterns, sample_patterns
from theorylab.algorithms.relu_convex_program import (
    ConvexOptimum,
    convex_program,
    over_patterns,
    program_objective,
    solve_program,
)
from theorylab.algorithms.relu_descent import SignAttack, fgsm, pgd, train
from theorylab.algorithms.relu_losses import LOSSES, Mask
from theorylab.algorithms.relu_recovery import Network, prune_network, recover_network
from theorylab.algorithms.relu_robust import pattern_radii, patterns_within, worst_case_loss
from theorylab.audit import Hypothesis, certified
from theorylab.claims import Control, Replicates, Sweep, claim
from theorylab.judges import EveryRun
from verify.relu import PAPER
from verify.relu.measures import CONVEX, Array, audited_loss
from verify.relu.solved import WhereSolved, solve_error

USEFUL = "the radius is so small that the robust optimum is better than the zero network"
DATA = (("rings", 12), ("rings", 14), ("rings", 16), ("gauss", 12))
RADII = (0.0, 0.01, 0.03, 0.06)
WIDTH, RESTARTS, STEPS = 30, 4, 3000
# Robust programs are now and then solved to 1e-8 and not to 1e-10, see `relu_convex_program`.
SOLVED = 1e-7


def _drawn(point: tuple[str, int], loss: str, rng: np.random.Generator) -> TrainingProblem:
    """Rings, or planted Gaussian data in three dimensions, always with weight decay 0.05."""
    name, samples = point
    return rings(samples, rng, loss=loss) if name == "rings" else gauss(samples, 3, rng, beta=0.05, loss=loss)


def _problems(point: tuple[str, int], rng: np.random.Generator) -> list[TrainingProblem]:
    """One data set with each of the three losses."""
    seed = int(rng.integers(2**32))
    return [_drawn(point, loss, np.random.default_rng(seed)) for loss in LOSSES]


def robust_path(
    problem: TrainingProblem, patterns: Mask, radii: tuple[float, ...], *, cones: str = "exact"
) -> list[ConvexOptimum]:
    """Solve the robust program at all ``radii``, over the patterns with an interior there; at zero the standard one."""
    reach = np.full(patterns.shape[1], np.inf)
    if cones == "exact" and max(radii) > 0.0:
        reach = pattern_radii(problem.X, patterns, perturbed=problem.perturbed)
    path: list[ConvexOptimum] = []
    for radius in radii:
        used = patterns_within(reach, radius)
        program = convex_program(
            problem.X, patterns[:, used], loss=problem.loss, robust=radius > 0.0, perturbed=problem.perturbed,
            cones=cones if radius > 0.0 else "exact",
        )  # fmt: skip
        optimum = solve_program(program, problem.y, beta=problem.beta, epsilon=radius)
        path.append(over_patterns(optimum, used))
    return path


def robust_objective(network: Network, problem: TrainingProblem, radius: float) -> float:
    """Return the exact worst-case loss over the boxes of ``radius`` plus the weight decay of the network."""
    worst = worst_case_loss(
        network, problem.X, problem.y, loss=problem.loss, epsilon=radius, perturbed=problem.perturbed
    )
    return worst + 0.5 * problem.beta * float(np.sum(network.U**2) + np.sum(network.alpha**2))


def rescaled_change(problem: TrainingProblem, patterns: Mask, optimum: ConvexOptimum, radius: float) -> float:
    """Return the least relative change of the convex objective when V and W are rescaled, which keeps them feasible."""
    values = [
        program_objective(
            problem.X, problem.y, patterns.astype(np.float64), scale * optimum.V, scale * optimum.W, beta=problem.beta,
            loss=problem.loss, epsilon=radius, perturbed=problem.perturbed,
        )
        for scale in (0.9, 0.99, 1.01, 1.1)
    ]  # fmt: skip
    return min(values) / optimum.value - 1.0


def _share_of_zero(problem: TrainingProblem, optimum: ConvexOptimum) -> float:
    """The value of an optimum over that of the zero network."""
    return optimum.value / robust_objective(Network(np.zeros((problem.features, 0)), np.zeros(0)), problem, 0.0)


def _audited_use(*shares: float) -> Hypothesis:
    """Certify that no program is vacuous: all values are below those of the zero network."""
    return certified(max(shares), at_most=0.999, note="value over that of zero")


DATA_SWEEP = Sweep(name="data, n", label="data, samples", quick=DATA[:1], full=DATA)


@claim(
    PAPER,
    source="the paper's theorem on robust training (upper bound); equality re-derived",
    guarantee="tight",
    sweep=DATA_SWEEP,
    replicates=Replicates(quick=1, full=3),
    judges=[
        *[WhereSolved(EveryRun(measured=f"{loss}_error", at_most=1e-5), at_most=SOLVED) for loss in LOSSES],
        *[WhereSolved(EveryRun(measured=f"{loss}_rescaled", at_least=-1e-6), at_most=SOLVED) for loss in LOSSES],
    ],
    controls=[
        Control("cones of the data without perturbation", cones="nominal"),
        Control("the standard optimal network under attack", robust=False),
    ],
    hypotheses={"loss": CONVEX, "useful": USEFUL},
)
def robust_exact(
    point: tuple[str, int], rng: np.random.Generator, *, cones: str = "exact", robust: bool = True
) -> dict[str, Any]:
    r"""The robust convex value is exactly the worst case of the recovered network over all perturbations.

    **Problem.** $\min \max_{\|\delta_k\|_\infty \le \epsilon} \ell(\sum_j((X+\Delta)u_j)_+\alpha_j, y) + \frac\beta2
    \sum_j(\|u_j\|^2 + \alpha_j^2)$ on two noisy rings with a bias that nobody perturbs, or planted labels ("gauss"),
    $\beta = 0.05$, hinge, logistic and squared loss, $\epsilon = 0, 0.01, 0.03, 0.06$.

    **Algorithm.** The convex program with shrunken cones $(2D_i-I)Xv_i \ge \epsilon\|v_i\|_1$, and with
    $g_k = \sum_i d_{ik}(v_i-w_i)$ the loss of sample $k$ at $y_k\hat y_k - \epsilon\|g_k\|_1$ (squared:
    $\frac12(|\hat y_k-y_k| + \epsilon\|g_k\|_1)^2$).

    **Guarantee** (tight). The value is the worst-case objective of the recovered network, hence an upper bound of the
    min-max optimum. Re-derived: in a shrunken cone $|x_k^\top v_i| \ge \epsilon\|v_i\|_1$, so that no neuron changes
    its activation on the box of a sample; there the network is affine with slope $g_k$, and $\epsilon\|g_k\|_1$ is the
    support function of the box.

    **Measured.** The worst case of the recovered network, computed without that argument: extremes of a piecewise
    affine function over each box, from all vertices of its pieces. Relative difference to the convex value, the largest
    over the radii, at most $10^{-5}$. And no multiple of the solution by 0.9 to 1.1, all of them feasible, has a convex
    objective lower by more than $10^{-6}$: a solution for the loss without $\epsilon\|g_k\|_1$ does not pass. With the
    cones of the unperturbed data the value promises too much; the network of standard training has another worst case.

    **Reference.** Bai, Gautam and Sojoudi (2023).
    """
    measured: dict[str, Any] = {}
    solved: list[ConvexOptimum] = []
    shares: list[float] = []
    for problem in _problems(point, rng):
        patterns = enumerate_patterns(problem.X)
        path = robust_path(problem, patterns, RADII, cones=cones)
        networks = [recover_network(optimum.V, optimum.W) for optimum in (path if robust else path[:1] * len(path))]
        worst = [robust_objective(net, problem, radius) for net, radius in zip(networks, RADII, strict=True)]
        values = np.array([optimum.value for optimum in path])
        measured[f"{problem.loss}_error"] = float(np.max(np.abs(np.array(worst) / values - 1.0)))
        measured[f"{problem.loss}_rescaled"] = min(
            rescaled_change(problem, patterns, optimum, radius) for optimum, radius in zip(path, RADII, strict=True)
        )
        measured[f"{problem.loss}_largest_value"] = float(values[-1])
        solved += path
        shares.append(_share_of_zero(problem, path[-1]))
    return measured | {
        "solve_error": solve_error(*solved),
        "loss": audited_loss(problem),
        "useful": _audited_use(*shares),
    }


@claim(
    PAPER,
    source="re-derived: corollaries of the paper's theorem on robust training",
    guarantee="lower bound",
    sweep=Sweep(
        name="epsilon",
        label="radius of the perturbation, units of the data",
        quick=(0.0, 0.001, 0.01, 0.03, 0.06),
        full=(0.0, 0.001, 0.01, 0.03, 0.06),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=2, full=12),
    judges=[
        *[
            WhereSolved(EveryRun(measured=loss, at_least=f"{loss}_before", rounding=1e-6), at_most=SOLVED)
            for loss in LOSSES
        ],
        *[WhereSolved(EveryRun(measured=f"{loss}_start", at_most=0.02), at_most=SOLVED) for loss in LOSSES],
    ],
    controls=[Control("another sample of patterns at every radius", fresh=True)],
    hypotheses={"loss": CONVEX, "useful": USEFUL},
)
def robust_monotone(radii: Array, rng: np.random.Generator, *, fresh: bool = False) -> dict[str, Any]:
    r"""The robust convex value starts at the standard one and does not fall as the perturbations grow.

    **Problem and algorithm.** As in `robust-exact`, on rings of 12 samples.

    **Guarantee** (lower bound; re-derived). $p_{rob}(0) = p^\star$ and $p_{rob}(\epsilon) \le p_{rob}(\epsilon')$ for
    $\epsilon \le \epsilon'$: larger boxes shrink the cones and raise every loss, and with $\epsilon = 0$ the programs
    are the same. The patterns of $X$ are enough, as $v_i \ne 0$ in a shrunken cone has the pattern $D_i$ on $X$.

    **Measured.** $p_{rob}$ against its value at the radius before, which it must not fall below by more than
    $10^{-6}$, relative; a solve that is not accurate to $10^{-7}$ makes the claim inconclusive. At $\epsilon = 0$ the
    program without perturbations is solved; that the other one starts there is seen at $\epsilon = 0.001$, where it
    may be above by 2 %, a limit of ours: the outputs have slopes of order 10, so one expects 1 % or less. The control
    draws a few patterns anew at every radius.

    **Reference.** Bai, Gautam and Sojoudi (2023).
    """
    measured: dict[str, Any] = {}
    solved: list[ConvexOptimum] = []
    shares: list[float] = []
    for problem in _problems(DATA[0], rng):
        path = _fresh_path(problem, radii, rng) if fresh else _full_path(problem, radii)
        # The hypothesis is on the program of the statement, in the control too.
        shares.append(_share_of_zero(problem, _full_path(problem, radii[-1:])[0] if fresh else path[-1]))
        values = np.array([optimum.value for optimum in path])
        measured[problem.loss] = values
        measured[f"{problem.loss}_before"] = np.append(values[0], values[:-1])
        measured[f"{problem.loss}_start"] = np.full(len(radii), values[1] / values[0] - 1.0)
        solved += path
    return measured | {
        "solve_error": np.full(len(radii), solve_error(*solved)),
        "loss": audited_loss(problem),
        "useful": _audited_use(*shares),
    }


def _full_path(problem: TrainingProblem, radii: Array) -> list[ConvexOptimum]:
    return robust_path(problem, enumerate_patterns(problem.X), tuple(float(radius) for radius in radii))


def _fresh_path(problem: TrainingProblem, radii: Array, rng: np.random.Generator) -> list[ConvexOptimum]:
    """One sample of six patterns a radius, and the pattern of the bias alone, which is feasible at every radius."""
    path: list[ConvexOptimum] = []
    for radius in radii:
        drawn = sample_patterns(problem.X, 6, rng)
        patterns = distinct_patterns(np.column_stack([np.ones(problem.samples, dtype=np.bool_), drawn]))
        path += robust_path(problem, patterns, (float(radius),))
    return path


@claim(
    PAPER,
    source="an observation and no theorem: the paper states an upper bound",
    guarantee="lower bound",
    sweep=Sweep(
        name="epsilon",
        label="radius of the perturbation, units of the data",
        quick=(0.01, 0.03, 0.06),
        full=(0.01, 0.03, 0.06),
        along_trajectory=True,
    ),
    replicates=Replicates(quick=4, full=20),
    judges=[
        WhereSolved(EveryRun(measured="best_pgd", at_least="convex", rounding=1e-6), at_most=SOLVED),
        WhereSolved(EveryRun(measured="best_fgsm", at_least="convex", rounding=1e-6), at_most=SOLVED),
    ],
    controls=[Control("no perturbation", scale=0.0)],
    hypotheses={"loss": CONVEX, "useful": USEFUL},
    expected="violated",
    reason="the robust convex value is an upper bound of the min-max optimum, and networks whose neurons switch inside"
    " a box, which the shrunken cones exclude, can do better",
)
def robust_vs_pgd(radii: Array, rng: np.random.Generator, *, scale: float = 1.0) -> dict[str, Any]:
    r"""No network trained against FGSM or PGD has a smaller worst case than the robust convex value (not a theorem).

    **Problem.** As in `robust-exact`, hinge loss, rings of 14 samples.

    **Algorithm.** The robust convex program; and Adam on the non-convex objective of 30 neurons, 3000 steps, 4
    restarts, inputs moved in each step by FGSM (one sign step of length $\epsilon$) or PGD (seven projected ones of
    $2.5\epsilon/7$).

    **Guarantee** (none: an empirical ordering). The paper proves that the convex value is an upper bound of the min-max
    optimum, and no more; an empirical comparison is all that can be claimed. That the bound is not always
    attained two samples show: $x = 1$ and $x = 0.05$ with labels 1, hinge loss, $\epsilon = 0.1$. The cone of the
    second asks for $0.05|v| \ge 0.1|v|$, so that $v = 0$ and $p_{rob} = 2$. One neuron of positive weights with
    $u\alpha = 1/0.9$ has the worst case $0 + 1 + \beta/0.9 < 2$. The corrected statement is `robust-exact`.

    **Measured.** The exact worst-case objective of the trained networks (see `robust-exact`), the best of the
    restarts, against the convex value. On some rings all trained networks are worse than the convex one, on others the
    best is better, up to several per cent: violated, as expected. The control has no perturbation, where the convex
    value is the global optimum and the ordering a theorem: it must hold.

    **Chosen after measuring.** That the statement is expected to fail: one instance on which it holds, rings of 16
    samples, was known first; of twelve others PGD was below the convex value at one of the radii in seven.

    **Reference.** Bai, Gautam and Sojoudi (2023); I. Goodfellow, J. Shlens and C. Szegedy, ICLR 2015; A. Madry et al.,
    ICLR 2018.
    """
    problem = _drawn(("rings", 14), "hinge", rng)
    used = tuple(float(scale * radius) for radius in radii)
    path = robust_path(problem, enumerate_patterns(problem.X), used)
    measured: dict[str, Array] = {}
    for name, attack in (("fgsm", fgsm), ("pgd", pgd)):
        values = np.array([_trained_objectives(problem, attack(radius), rng) for radius in used])
        measured |= {f"best_{name}": values.min(axis=1), f"median_{name}": np.median(values, axis=1)}
    return measured | {
        "convex": np.array([optimum.value for optimum in path]),
        "solve_error": np.full(len(used), solve_error(*path)),
        "loss": audited_loss(problem),
        "useful": _audited_use(_share_of_zero(problem, path[-1])),
    }


def _trained_objectives(problem: TrainingProblem, attack: SignAttack, rng: np.random.Generator) -> Array:
    """Robust objectives (R,) of the restarts of adversarial training, after neurons are balanced."""
    trained = train(
        problem.X, problem.y, problem.beta, rng, width=WIDTH, loss=problem.loss, restarts=RESTARTS, steps=STEPS,
        attack=attack, perturbed=problem.perturbed,
    )  # fmt: skip
    networks = [
        prune_network(Network(np.ascontiguousarray(U), alpha))
        for U, alpha in zip(trained.U, trained.alpha, strict=True)
    ]
    return np.array([robust_objective(network, problem, attack.epsilon) for network in networks])
