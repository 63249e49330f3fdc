"""The lesson of the paper: a matrix behind outliers, and why a small start finds it."""

from __future__ import annotations

import numpy as np

from theorylab.report.lessons import Lesson, Part, Progress, lesson
from verify.matrix_recovery import PAPER
from verify.matrix_recovery.lesson_charts import film, population_chart
from verify.matrix_recovery.lesson_outliers import breaking_chart, outlier_chart

CLAIMS = (
    "sequential-learning",
    "population-linear",
    "noiseless-linear",
    "outlier-exact",
    "alpha-floor",
    "rank-agnostic",
    "gauss-constant",
    "corruption-threshold",
)


@lesson(PAPER)
def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
    r"""A small start finds the matrix behind the outliers.

    A low-rank matrix was measured, and many of the measurements are grossly wrong. Nobody says how many, how wrong, or
    what the rank is. Sub-gradient steps from a small start find the matrix all the same. Four charts show how, what
    is promised, and where it ends.
    """
    first, second, third, fourth = rng.spawn(4)
    return Lesson(
        problem=Part(PROBLEM),
        algorithm=Part(ALGORITHM, charts=(film(first),)),
        guarantee=Part(GUARANTEE, charts=(population_chart(second),)),
        experiment=Part(EXPERIMENT, charts=(outlier_chart(third, progress),)),
        breaks=Part(BREAKS, charts=(breaking_chart(fourth),)),
        claims=CLAIMS,
    )


PROBLEM = r"""
A symmetric positive semidefinite matrix $X^\star$ of size $d \times d$ and small rank $r$ is hidden. We see $m$ numbers

$$y_i = \langle A_i, X^\star\rangle + s_i, \qquad i = 1, \dots, m,$$

with random Gaussian matrices $A_i$ that we know. A share $p$ of the errors $s_i$ are outliers of any size; the rest
vanish, or are Gaussian of deviation $\nu$. We do not know which are which, and we do not know $r$.
"""

ALGORITHM = r"""
Write $X = UU^\top$ with $U$ as wide as you like, even $d \times d$, and walk down the mean absolute misfit

$$f(U) = \frac1m \sum_i |y_i - \langle A_i, UU^\top\rangle|.$$

The sub-gradient needs only the **signs** of the misfits: one vote for each measurement, however wrong it is. Start at
the spectral matrix shrunk to scale $\alpha$, and never stop early.

In the film there are no outliers yet: $d = 20$, three eigenvalues $2$, $1$ and $0.5$, and $U$ has twenty columns. An
eigenvalue $\sigma_i$ grows from $\alpha$ by a factor $1 + \eta\varphi^2\sigma_i$ a step, so it should arrive after
$\log(1/\alpha)/(\eta\varphi^2\sigma_i)$ steps: the dots on the right (`sequential-learning`).
"""

GUARANTEE = r"""
The paper's theorem, in short: with enough Gaussian measurements, for **every** share $p < 1$ of outliers and **every**
width of $U$, from a start of scale $\alpha$ the error ends at about

$$\|UU^\top - X^\star\|_F \lesssim d\,\alpha^{2-o(1)},$$

or at the level of the Gaussian noise if that is higher. The paper hides the constants. Behind it stands the same walk
on the population loss, that of infinitely many measurements, where they can all be worked out (`population-linear`).
"""

EXPERIMENT = r"""
Now with $m = 800$ measurements of a $12 \times 12$ matrix of rank 2, outliers $N(0, 100)$, and a $U$ of full width. The
steps have length $\eta\rho^t$, whatever the loss is: outliers cannot stretch them.

The exponent 2 is a limit. With few measurements it is smaller, and it falls as $p$ grows: compare the dots with the
line of slope 2 (`alpha-floor`). The dashed line is not a bound but a prediction: the error of median regression over
rank-$r$ matrices, exact as $m \to \infty$ (`gauss-constant`, re-derived).
"""

BREAKS = r"""
- **A large start.** In the charts above, show the control: with $\alpha = 1$ the excess columns of $U$ are never
  forgotten (`rank-agnostic`).
- **No sign.** Least squares believes every outlier (`outlier-exact`).
- **A step that follows the loss.** Outliers keep the loss large, so the steps never shrink.
- **Outliers that know the measurements.** If more than half of them agree on another matrix, that one is found.
- **Too few measurements.** As $p$ goes to 1 the number needed grows at most like $1/(1-p)^2$ (`corruption-threshold`).
"""
