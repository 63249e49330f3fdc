"""Multi-block bilevel optimisation: the claims of one paper, in a telling order.

Q. Hu, Z.-H. Qiu, Z. Guo, L. Zhang and T. Yang, Blockwise Stochastic Variance-Reduced Methods with Parallel Speedup for
Multi-Block Bilevel Optimization, ICML 2023.

An upper problem depends on the solutions of many lower problems, of which a step can afford to look at a few. The
paper tracks what all of them do by an estimator that knows how far the unseen ones have drifted; with it the method
needs no more iterations than for one lower problem, is faster with more blocks and with more samples a step, and never
inverts a lower Hessian.

The claims are defined in the parts of `verify/bilevel`; this file lists them.
"""

# Imported for the collector of claims, which lists them as they stand here: mechanism first, then the method.
# ruff: noqa: F401, I001
from verify.bilevel.tracking import msvr_exact_recursion, general_recursion
from verify.bilevel.drift import msvr_drift_exponent, zero_fill_floor_stays
from verify.bilevel.every_path import hypergradient_exact, master_inequality
from verify.bilevel.agreement import v1_v2_agree, v1_v2_agree_temperatures, top_k_thresholds
from verify.bilevel.rates import eps_cubed_rate, eps_cubed_rate_all_blocks
from verify.bilevel.rates import eps_cubed_rate_v1, eps_cubed_rate_v1_all_blocks
from verify.bilevel.comparisons import vr_beats_ma, vr_beats_soba
from verify.bilevel.speedup import parallel_speedup_in_batch, parallel_speedup_in_blocks
from verify.bilevel.speedup import parallel_speedup_ends_at_blocks
from verify.bilevel.pictures import iterations_over_blocks_and_batch
from verify.bilevel.lesson import classroom

if __name__ == "__main__":
    from theorylab.cli import run_file

    raise SystemExit(run_file(__file__))
