"""The lesson of the paper: many lower problems, few of them looked at, and a step that still goes the right way."""

from __future__ import annotations

import numpy as np

from theorylab.report.lessons import Lesson, Part, Progress, lesson
from verify.bilevel import PAPER
from verify.bilevel.lesson_runs import mistakes_chart, run_chart, speed_chart
from verify.bilevel.lesson_tracking import drift_chart, film

SHARES = (0.0, 0.15, 0.55, 0.8)  # where in the whole the charts that report begin and end


@lesson(PAPER)
def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
    r"""Follow many moving targets by looking at few.

    One decision depends on the answers of many small problems. A step can afford to look at a few of them, and while
    the others wait, their answers move. The paper corrects for that movement. Then few looks are enough, and each
    additional one counts.
    """
    rngs = rng.spawn(5)

    def share(part: int) -> Progress:
        def advance(done: int, total: int) -> None:
            start, end = SHARES[part], SHARES[part + 1]
            progress(round(100 * (start + (end - start) * done / total)), 100)

        return advance

    drift = drift_chart(rngs[1], share(0))
    runs = run_chart(rngs[2], share(1))
    mistakes = mistakes_chart(rngs[4], share(2))
    speed = speed_chart(rngs[3])
    progress(100, 100)
    return Lesson(
        problem=Part(PROBLEM),
        algorithm=Part(ALGORITHM, charts=(film(rngs[0]),)),
        guarantee=Part(GUARANTEE, charts=(drift,)),
        experiment=Part(EXPERIMENT, charts=(runs, speed)),
        breaks=Part(BREAKS, charts=(mistakes,)),
        claims=(
            "msvr-exact-recursion",
            "msvr-drift-exponent",
            "zero-fill-floor",
            "master-inequality",
            "eps-cubed-rate",
            "parallel-speedup-in-batch",
            "parallel-speedup-in-blocks",
            "parallel-speedup-ends-at-blocks",
        ),
    )


PROBLEM = r"""
There are $m$ lower problems, and an upper one that uses all their solutions:

$$\min_x F(x) = \frac1m\sum_{i=1}^m f_i(x, y_i^\ast(x)), \qquad y_i^\ast(x) = \arg\min_y g_i(x, y).$$

Each $g_i$ is strongly convex in $y$. $F$ need not be convex. All functions are seen through noisy samples.

The gradient of $F$ needs, for every block $i$, the solution $y_i^\ast$ and one vector $v_i^\ast$:

$$\nabla F(x) = \frac1m\sum_i\big[\nabla_xf_i - \nabla^2_{xy}g_i\,v_i^\ast\big], \qquad \nabla^2_{yy}g_i\,v_i^\ast =
\nabla_yf_i.$$

A step looks at $I$ of the $m$ blocks, with $B$ samples of each. But when $x$ moves, **all** $y_i^\ast$ and $v_i^\ast$
move.
"""

ALGORITHM = r"""
Keep for each block a tracker $u_i$ of a moving value $h_i(w_t)$. A block that is not sampled rests. A sampled one does
a step of MSVR:

$$u_i \leftarrow (1-\alpha)u_i + \alpha\,h_i(w_t;\xi) + \gamma\,[h_i(w_t;\xi) - h_i(w_{t-1};\xi)].$$

The bracket says how far the value has just moved, at **one and the same sample** $\xi$. A block waits for $m/I$ steps
on average, so the bracket has to count that often:

$$\gamma^\ast = \frac{m-I}{I(1-\alpha)} + 1 - \alpha.$$

The method, BSVRB-v2, tracks gradients that way. $y_i$ and $v_i$ follow their trackers, $x$ follows a direction $z$ with
the same kind of correction. No matrix is inverted.

The film shows the tracker alone, without any descent. $h_i(w) = M_iw$, $w$ goes round a circle in steps of length
$0.02$; $\alpha = 0.1$ and $B = 4$ (`msvr-exact-recursion`).
"""

GUARANTEE = r"""
With $\gamma^\ast$ the expected error has a recursion that can be written down exactly. It contracts, and does not see
in which direction values move. In the limit, when each step moves $w$ by $\delta$:

- **MSVR** errs by $\alpha + \delta^2/\alpha$. The best $\alpha$ leaves $\delta$.
- **A moving average** ($\gamma = 0$) errs by $\alpha + \delta^2/\alpha^2$. The best $\alpha$ leaves $\delta^{2/3}$.

Constants are left out here; the chart has them all (`msvr-drift-exponent`). This is the whole difference
between $\varepsilon^{-3}$ and $\varepsilon^{-4}$ iterations. The paper's theorem: $E\|\nabla F\| \le \varepsilon$
after

$$T = O\Big(\frac{m\,\varepsilon^{-3}}{I\sqrt I}\,1[I<m] + \frac{m\,\varepsilon^{-3}}{I\sqrt B}\Big)$$

iterations. Its constants are not stated.

**Zero-fill** is the older way out: take an unsampled value for zero, and weigh the others by $m/I$. It is right on
average, and keeps a floor that no $B$ removes (`zero-fill-floor`).
"""

EXPERIMENT = r"""
Now the whole method: $m = 32$ quadratic lower problems in $R^6$, an upper loss that is not convex, $x \in R^8$. Here
$\nabla F$ is known exactly, so both sides of the descent inequality can be drawn (`master-inequality`):

$$\frac1T\sum_t\|\nabla F(x_t)\|^2 \le \frac{2(F(x_0)-F(x_T))}{\eta T} + \frac1T\sum_t\|z_t-\nabla F(x_t)\|^2 -
\frac1{2T}\sum_t\|z_t\|^2.$$

It holds on every run with $\eta \le 1/(2L_F)$. All the paper's work is in the middle term. The steps are made for one
$\varepsilon$: $\alpha = \beta = 0.1\,q\,\varepsilon^2$ and $\eta = \tau = \tau_v = 0.5\,\frac Im\sqrt\alpha$, with $q =
\min(I, B)$, or $B$ if all blocks are sampled (`eps-cubed-rate`).
"""

BREAKS = r"""
- **No correction.** With $\gamma = 0$ the trackers lag, and longer runs do not help.
- **Fresh samples.** Two samples instead of one for the bracket: its noise no longer cancels.
- **No implicit term.** $\nabla_xf_i$ alone is the gradient of something else.
- **The forgotten $I/m$.** A block that rests goes on along its old direction. Steps have to be shorter by that factor.
- **Almost right.** $\gamma = (m-I)/(I(1-\alpha))$, with its last term forgotten, looks fine for $I < m$: the error even
  is a little smaller. At $I = m$ no correction is left (`msvr-exact-recursion`).
"""
