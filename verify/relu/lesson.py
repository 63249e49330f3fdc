"""The lesson of the paper: a network that is hard to train, and the convex program hidden behind it."""

from __future__ import annotations

import numpy as np

from problems.relu_networks import sphere
from theorylab.report.lessons import Lesson, Part, Progress, lesson
from verify.relu import PAPER
from verify.relu.lesson_patterns import certificate_chart, film
from verify.relu.lesson_robust import robust_charts
from verify.relu.lesson_training import admm_chart, restart_chart, sampling_chart
from verify.relu.measures import INSTANCES, drawn_instance


@lesson(PAPER)
def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
    r"""Two-layer ReLU networks can be trained to the global optimum.

    Gradient runs end at many values, and none of them says whether it is the best. Yet the best value is that of a
    convex program, with a proof that nothing is better. Seven charts show why, how it is solved, and what sampling and
    robust training add.
    """
    turning, labels, planted, runs, sampled, circles = rng.spawn(6)
    problem = sphere(12, 2, labels, beta=0.05)
    certificate = certificate_chart(problem)
    progress(1, 10)
    easy = drawn_instance(INSTANCES[0], planted)
    restarts = restart_chart({"planted": easy, "random labels": problem}, runs, progress)
    solver = admm_chart(easy)
    progress(8, 10)
    sampling = sampling_chart(sampled)
    progress(9, 10)
    regions, worst = robust_charts(circles)
    progress(10, 10)
    return Lesson(
        problem=Part(PROBLEM, charts=(film(turning),)),
        algorithm=Part(ALGORITHM, charts=(solver,)),
        guarantee=Part(GUARANTEE, charts=(certificate,)),
        experiment=Part(EXPERIMENT, charts=(restarts, sampling)),
        breaks=Part(BREAKS, charts=(regions, worst)),
        claims=(
            "arrangement-count",
            "hidden-convexity",
            "nonconvex-never-below",
            "beta-threshold",
            "admm-equals-cvx",
            "admm-linear",
            "scenario-expected",
            "sampled-monotone",
            "robust-exact",
            "robust-vs-pgd",
        ),
    )


PROBLEM = r"""
Data $X \in \mathbb R^{n\times d}$ and targets $y$. Train $m$ neurons with weight decay $\beta$:

$$\min_{u_j,\,\alpha_j}\ \ell\Bigl(\sum_{j\le m}(Xu_j)_+\alpha_j,\ y\Bigr)
+ \frac\beta2\sum_j\bigl(\|u_j\|^2+\alpha_j^2\bigr).$$

This is not convex. But a neuron sees the data only through a half space: a sample is on or off. Such a word of ons and
offs is a **pattern** $D_i = \operatorname{diag}(1[Xu\ge0])$. Of the $2^n$ words only $P = 2\sum_{k<d}\binom{n-1}{k}$
occur (`arrangement-count`).
"""

ALGORITHM = r"""
Give each pattern a block $v_i$ for positive output weights and $w_i$ for negative ones. Inside its pattern a neuron is
linear, so that

$$p^\star = \min\ \ell\Bigl(\sum_i D_iX(v_i-w_i),\ y\Bigr) + \beta\sum_i\bigl(\|v_i\|+\|w_i\|\bigr)$$

over the cones $(2D_i-I)Xv_i\ge0$ and $(2D_i-I)Xw_i\ge0$ is convex. The network is read off: a neuron for each
block that is not zero.

**ADMM** solves it. Least squares for $u$, shrinking for its copy $v$, cutting at zero for the slack $s = Gu$, a step
$\tau$ of the multipliers. For $\tau < (1+\sqrt5)/2$ it converges (`admm-equals-cvx`), and linearly in the end; nobody
says how fast (`admm-linear`). The chart has planted data, $n = 10$, $d = 2$, $\beta = 0.1$.
"""

GUARANTEE = r"""
With enough neurons the network and the convex program have **the same optimal value** (`hidden-convexity`). The proof
can be looked at. Take the residual $v = y - \hat y$. A new neuron in direction $u$, $\|u\| \le 1$, helps only if

$$|v^\top(Xu)_+| > \beta.$$

If no direction does, and the neurons in use sit exactly at $\pm\beta$, no network of any width is better. If even
$v = y$ lets no direction help, the best network is zero
(`beta-threshold`). The chart has 12 points on the circle with random labels, squared loss.
"""

EXPERIMENT = r"""
Planted neurons ($n = 10$, $d = 2$), or the 12 points with random labels. Adam takes 4000 full gradients from random
starts, its step falling to zero. No run ends below $p^\star$; that the best comes close is seen, not proved
(`nonconvex-never-below`).

With many data nobody can list all patterns. The paper samples $N$ directions. Take fixed neurons in these directions,
or convex blocks in their patterns: more of them never hurt (`sampled-monotone`). What is proved is that **one more**
rarely helps: with probability at most $n/(N+1)$ in the mean (`scenario-expected`). How far from $p^\star$ one is, it
does not say. The second chart has random labels on the circle, 40 sets of them (5 for the patterns).
"""

BREAKS = r"""
- **Too few neurons.** With $m = 1$ the optimum is out of reach: first chart of the experiment.
- **Dropped cones.** Without them the program promises what no network has.
- **Half of the directions.** The sampling theorem needs all of them.
- **A long dual step.** ADMM diverges from $\tau = 2$ on.
- **An adversary.** The best network keeps its samples just on the margin. Moved a little, they fall off it.

The last one can be repaired. Shrink the cones, $(2D_i-I)Xv_i \ge \epsilon\|v_i\|_1$, and pay for the worst case in the
loss. Then the convex value **is** the worst case of the network (`robust-exact`). It is not the best worst case of all
networks: adversarial training is sometimes better (`robust-vs-pgd`). The charts have two noisy rings, hinge loss,
$\beta = 0.05$.
"""
