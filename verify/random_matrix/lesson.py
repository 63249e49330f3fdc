"""The lesson of this paper: its story in five steps. Charts are in `lesson_spectra` and `lesson_rates`."""

from __future__ import annotations

import numpy as np

from theorylab.report.lessons import Lesson, Part, Progress, lesson
from verify.random_matrix import PAPER
from verify.random_matrix.lesson_rates import data_chart, network_chart, runs_chart, threshold_chart
from verify.random_matrix.lesson_spectra import film, lanczos_film, population_chart


@lesson(PAPER)
def classroom(rng: np.random.Generator, progress: Progress) -> Lesson:
    r"""The learning rate and the batch size.

    A batch sees a Hessian that is not the one of all data: it is that plus a random matrix. Random matrix theory says
    how much sharper the batch looks. How the learning rate should grow with the batch, $\propto B$ or $\propto \sqrt
    B$, is then a calculation, and one with a trap in it.
    """
    streams = rng.spawn(7)
    spectra = film(streams[0], _share(progress, 0.0, 0.25))
    network = network_chart(streams[1], _share(progress, 0.25, 0.75))
    real = data_chart(streams[2])
    progress(85, 100)
    population = population_chart(streams[3])
    progress(95, 100)
    ritz, rules, runs = lanczos_film(streams[4]), threshold_chart(streams[5]), runs_chart(streams[6])
    progress(100, 100)
    return Lesson(
        problem=Part(PROBLEM, charts=(spectra,)),
        algorithm=Part(ALGORITHM, charts=(ritz,)),
        guarantee=Part(GUARANTEE, charts=(rules,)),
        experiment=Part(EXPERIMENT, charts=(runs, network)),
        breaks=Part(BREAKS, charts=(population, real)),
        claims=(
            "bbp-spike",
            "bbp-overlap",
            "lanczos-kps",
            "lanczos-kps-bottom",
            "static-slope-half",
            "static-linear",
            "sgd-linear",
            "max-rate-training",
            "max-rate-adam",
            "batch-correction",
            "jensen-excess",
            "theorem-4-on-data",
        ),
    )


def _share(progress: Progress, low: float, high: float) -> Progress:
    """A call that moves ``progress`` from the share ``low`` of the whole to ``high``."""

    def moved(done: int, total: int) -> None:
        progress(round(100 * (low + (high - low) * done / total)), 100)

    return moved


PROBLEM = r"""
The loss has $P$ parameters and a Hessian $H$. A batch of $B$ samples sees

$$H_{\text{batch}} = H + \epsilon, \qquad \rho = \sigma\sqrt{P/b}, \qquad b = \frac{B}{1 - B/N}.$$

$\sigma$ is the spread of one entry over the samples. For independent entries the eigenvalues of $\epsilon$ alone
fill a semicircle, the **bulk**, from $-2\rho$ to $2\rho$. Large batches have a narrow bulk.

Let $H$ have one sharp direction of curvature $\lambda_1$. Does the batch see it? Theorem 4 of the paper, known from
random matrix theory:

$$\lambda_1' = \lambda_1 + \rho^2/\lambda_1 \quad\text{if } \lambda_1 > \rho,
\qquad \lambda_1' = 2\rho \quad\text{otherwise.}$$

Below the transition the sharp direction is invisible: its eigenvector is lost as well (`bbp-spike`, `bbp-overlap`).
The model has $P = 1000$.
"""

ALGORITHM = r"""
No one can write down the Hessian of a network. But its product with a vector costs little more than a gradient.
**Lanczos** needs only products: after $m$ of them it has $m$ Ritz values, and the extreme ones come first.

Theorem 12 bounds the error at the top by the gap to the second eigenvalue (`lanczos-kps`). Printed, the line for
the bottom end takes the angle and the gap of the top pair, and fails; with its own pair it holds
(`lanczos-kps-bottom`).
"""

GUARANTEE = r"""
How large may the learning rate $\eta$ be? There are two questions.

- **Static.** One step on one batch must not raise that batch's loss: $\eta < 2/\lambda_1'$. With Theorem 4 this
  never grows faster than $\sqrt B$ (`static-slope-half`).
- **Dynamic.** With a fresh batch in every step the mean square of $w$ must stay bounded. For curvature $\lambda$ in
  every direction, $\eta < 2/(\lambda + (P+1)\sigma^2/(b\lambda))$: linear in small $B$ (`sgd-linear`, re-derived).

The paper gets the linear rule by putting the outlier's formula into the static rule, at batches so small that there
is no outlier (`static-linear`). The conclusion is right. The reason is another one: fresh noise.
"""

EXPERIMENT = r"""
First the model, $P = 500$ and $\lambda = 1$, where the dashed lines are exact: $E\|w_t\|^2$ is multiplied by the
same factor in every step.

Then a real network, where no theorem holds. The paper's advice is to scale the rate of SGD with momentum like $B$,
that of Adam like $\sqrt B$ (`max-rate-training`, `max-rate-adam`). The stand-in is a tanh network of 910 weights.
"""

BREAKS = r"""
- **No transition.** In the first chart, show the control: the outlier's formula at small batches.
- **No correction.** A batch of nearly all samples has hardly any noise: $b$, not $B$ (`batch-correction`).
- **Heavy tails.** One huge entry makes an outlier of its own.
- **Real data.** The noise of a real Hessian is strongest along its sharpest directions. That a batch is sharper
  on average, by an amount that falls like $1/b$, needs no model (`jensen-excess`). The amount does, and the model of
  Theorem 4 is not the data's (`theorem-4-on-data`).
"""
