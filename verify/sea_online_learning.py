"""Online learning between stochastic and adversarial losses: the claims of one paper, in a telling order.

S. Chen, Y.-J. Zhang, W.-W. Tu, P. Zhao and L. Zhang, Optimistic Online Mirror Descent for Bridging Stochastic and
Adversarial Online Convex Optimization, Journal of Machine Learning Research 25(178), 2024.

In every round nature chooses a distribution and draws a loss from it. If the distribution never changes, this is
stochastic optimisation; if it has no noise, adversarial. The paper bounds regret by the cumulative variance of the
draws and the cumulative variation of their means, so that one learner covers both ends and all between.

The claims are defined in the parts of `verify/sea`; this file lists them.
"""

# Imported for the collector of claims, which lists them as they stand here: in the order of the paper.
# ruff: noqa: F401, I001
from verify.sea.convex import pathwise, expected, oftrl
from verify.sea.slopes import sigma_slope, t_slope, variation_slope
from verify.sea.convex import gradual
from verify.sea.strongly_convex import strong, strong_fading, one_change, slow_shift
from verify.sea.exp_concave import expconcave, expconcave_oftrl
from verify.sea.dynamic import dynamic, dynamic_known_variance, dynamic_pool_of_steps
from verify.sea.implicit import implicit, implicit_constant_loss, implicit_fixed_oracle
from verify.sea.nonsmooth_dynamic import nonsmooth_dynamic, nonsmooth_dynamic_flat
from verify.sea.corruption import corruption, corruption_sc
from verify.sea.random_order import rom, rom_sc
from verify.sea.batches import batch
from verify.sea.label_shift import label_hyp, ols_smooth, ols_implicit
from verify.sea.lesson import classroom

if __name__ == "__main__":
    from theorylab.cli import run_file

    raise SystemExit(run_file(__file__))
