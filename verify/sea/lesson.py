"""The lesson of the paper: one learner for losses between stochastic and adversarial."""

from __future__ import annotations

import numpy as np

from theorylab.report.lessons import Lesson, Part, Progress, lesson
from verify.sea import PAPER
from verify.sea.lesson_film import film
from verify.sea.lesson_limits import kink_chart, wave_chart
from verify.sea.lesson_regret import regret_chart, strong_chart


@lesson(PAPER)
def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
    r"""One learner between chance and an adversary.

    Decisions come first, losses later, round after round. Either the losses are noise around a fixed mean, or an
    adversary moves the mean, or both. One learner need not be told: its regret is at most a constant plus a multiple of
    $\sqrt{\sigma^2 + \Sigma^2}$, the noise and the drift that there are.
    """
    first, second, third, fourth = rng.spawn(4)
    chase = film(first)
    progress(1, 5)
    plane = regret_chart(second)
    progress(2, 5)
    strong = strong_chart(third)
    progress(3, 5)
    wave = wave_chart()
    progress(4, 5)
    kinks = kink_chart(fourth)
    progress(5, 5)
    return Lesson(
        problem=Part(PROBLEM),
        algorithm=Part(ALGORITHM, charts=(chase,)),
        guarantee=Part(GUARANTEE, charts=(plane,)),
        experiment=Part(EXPERIMENT, charts=(strong,)),
        breaks=Part(BREAKS, charts=(wave, kinks)),
        claims=(
            "pathwise",
            "expected",
            "sigma-slope",
            "variation-slope",
            "gradual",
            "strong",
            "strong-fading",
            "implicit",
        ),
    )


PROBLEM = r"""
In round $t$ you choose a point $x_t$ of a convex set of diameter $D$. Nature then chooses a distribution of losses with
mean $F_t$, draws $f_t$ from it, and you pay $f_t(x_t)$. Two numbers say how hard nature plays:

$$\sigma^2 = \sum_t \sup_x \mathbb E\|\nabla f_t(x) - \nabla F_t(x)\|^2$$

is the **noise**, and

$$\Sigma^2 = \sum_{t \ge 2} \sup_x \|\nabla F_t(x) - \nabla F_{t-1}(x)\|^2$$

is the **drift**. With $\Sigma = 0$ this is stochastic optimisation. With $\sigma = 0$ it is a game against an
adversary. **Regret** is what you pay beyond the best fixed point. You are told neither number.
"""

ALGORITHM = r"""
Optimistic mirror descent takes the last gradient $g_{t-1}$ as a **hint** for the next:

$$x_t = \Pi(\hat x_t - \eta_t g_{t-1}), \qquad \hat x_{t+1} = \Pi(\hat x_t - \eta_t g_t).$$

The steps shrink only with what the hints missed,

$$\eta_t = \frac{D}{\sqrt{10D^2L^2 + 4G^2 + \sum_{s<t}\|g_s - g_{s-1}\|^2}}.$$

In the film the mean loss is linear on a disc, and its minimiser runs along the edge.
"""

GUARANTEE = r"""
If the means $F_t$ are convex with gradients that are $L$-Lipschitz, and no gradient exceeds $G$, then

$$\mathbb E\,\mathrm{Regret} \le 5\sqrt2\,D\sigma + 5D\,\Sigma + 5\sqrt{10}\,D^2L + \tfrac{5\sqrt5}2 DG.$$

The single draws need not be convex (`expected`). The order is optimal: regret is proportional to $\sigma$ without drift
(`sigma-slope`), and to $\Sigma$ without noise (`variation-slope`). The dashed line is the same proof without splitting
one root, which is sharper. It lies ten to thirty times above what is measured here: the shape is right, the constant is
not.
"""

EXPERIMENT = r"""
Curvature helps. If the means are $\lambda$-strongly convex, steps $2/(\lambda t)$ make regret logarithmic (`strong`):
it is of order

$$\frac{\sigma_{\max}^2 + \Sigma_{\max}^2}\lambda\,\log(\sigma^2 + \Sigma^2),$$

plus a constant: the largest terms of a round times the logarithm of the sums. There is no $T$ in it: when the
noise ends, so does the growth (`strong-fading`). Neither learner is claimed to be the better one.
"""

BREAKS = r"""
- **No hint.** Gradient descent with the best step against the worst adversary pays for it also when the adversary
  hardly moves (`gradual`).
- **A wrong sub-gradient.** Losses with kinks have no $L$. An implicit step helps, but only with the sub-gradient that
  this step itself found at the kink (`implicit`).
- **Means that are not convex.** Then regret grows with $T$, though the linearised regret stays small (`expected`).
"""
