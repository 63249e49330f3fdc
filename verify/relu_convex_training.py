"""Two-layer ReLU networks trained to global optimality: the claims of one paper, in a telling order.

Y. Bai, T. Gautam and S. Sojoudi, Efficient Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms
and Adversarial Training, SIAM Journal on Mathematics of Data Science, 2023.

Training a two-layer ReLU network with weight decay is not convex, and yet its optimal value is that of a convex
program over the activation patterns of the data. The claims follow what the paper makes of this:

1. the patterns and their number, the equality of the two optimal values, its certificate and the zero threshold;
2. sampled patterns and sampled neurons: what the sampling theorems promise, and what they leave open;
3. solvers of the convex program;
4. training that is robust against perturbed inputs.

The claims are defined in the parts of `verify/relu`; this file lists them.
"""

# Imported for the collector of claims, which lists them as they stand here: in the order of the paper.
# ruff: noqa: F401, I001
from verify.relu.equivalence import arrangement_count, hidden_convexity, hidden_convexity_real_data
from verify.relu.equivalence import nonconvex_never_below, beta_threshold
from verify.relu.sampled_patterns import sampled_monotone, pattern_improve
from verify.relu.sampled_neurons import scenario_identity, scenario_expected, scenario_tail, scenario_stated_size
from verify.relu.sampled_neurons import scp_to_optimum
from verify.relu.solvers import admm_equals_cvx, admm_linear
from verify.relu.early import admm_early, admm_early_in_space
from verify.relu.solvers import rbcd, quadratic_iteration
from verify.relu.robust import robust_exact, robust_monotone, robust_vs_pgd
from verify.relu.pictures import restarts_and_optimum
from verify.relu.regions import decision_regions
from verify.relu.lesson import classroom

if __name__ == "__main__":
    from theorylab.cli import run_file

    raise SystemExit(run_file(__file__))
