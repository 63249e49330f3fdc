"""Random-matrix Hessians and learning rates as a function of batch size: the claims of one paper, in a telling order.

D. Granziol, S. Zohren and S. Roberts, Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach to
Neural Network Training, Journal of Machine Learning Research 23, 2022.

The Hessian of a batch is that of the whole data plus a random matrix. The paper asks how much larger its extreme
eigenvalues are, and concludes how the largest learning rate grows with the batch: linearly for SGD, like the square
root for Adam. The claims have seven parts:

1. the laws: noise with a semicircle, outliers that leave it, sampling without replacement, finite sizes;
2. learning rates along one batch, the static rule, and what Theorem 4 gives of it;
3. learning rates with a fresh batch in every step, the dynamic rule, for SGD and Adam, in models and for a network;
4. Gauss-Newton matrices, whose noise is positive semidefinite;
5. real data: excess, variance, ranks, and what of the model survives there;
6. the tool: Lanczos, its bounds and its quadrature;
7. the learner that measures curvature on the fly.

The claims are defined in the parts of `verify/random_matrix`; this file lists them.
"""

# Imported for the collector of claims, which lists them as they stand here: in the order above.
# ruff: noqa: F401, I001
from verify.random_matrix.densities import semicircle
from verify.random_matrix.sampling import lemma1_bound, lemma1_corrected, hessian_clt, hessian_clt_law
from verify.random_matrix.outliers import bbp_spike, bbp_all_outliers, bbp_overlap, lemma11_threshold
from verify.random_matrix.sampling import batch_correction
from verify.random_matrix.fluctuations import excess_slope, factor_two_ceiling, tw_edge, spike_clt
from verify.random_matrix.densities import thm4_edge_gap, thm4_edge_gap_corrected
from verify.random_matrix.static_rules import static_slope_half, static_linear, eq29_ratio, eq29_corrected
from verify.random_matrix.adaptive import adam_sqrt_static
from verify.random_matrix.sgd import sgd_linear, sgd_linear_least_squares, batch_curvature, damping
from verify.random_matrix.gradient_noise import noise_variance_printed, noise_variance
from verify.random_matrix.adaptive import adam_sqrt_dynamic
from verify.random_matrix.training import max_rate_training, max_rate_adam, momentum_factor_printed, momentum_factor
from verify.random_matrix.training import adam_delta1_inference, adam_delta1_confound
from verify.random_matrix.wishart import mp_spike, thm7_printed, thm7_corrected, thm7_eq16, thm7_eq16_corrected
from verify.random_matrix.densities import mp_density, mp_density_corrected
from verify.random_matrix.wishart import mp_linear
from verify.random_matrix.excess import jensen_excess, jensen_excess_network, theorem_4_on_data
from verify.random_matrix.variance import alg1_printed, alg1_variance, noise_ceiling
from verify.random_matrix.ranks import rank_sample, rank_data, rank_one_percent, degeneracy_proxy, degeneracy_estimate
from verify.random_matrix.whitening import zca_outliers, gmm_outliers
from verify.random_matrix.krylov import lanczos_kps, lanczos_kps_bottom_printed, lanczos_kps_bottom
from verify.random_matrix.krylov import lanczos_interlacing, slq_exact
from verify.random_matrix.learner import learner_formulas_printed, learner_formulas, learner_digits
from verify.random_matrix.spectra_picture import spectrum_against_batch
from verify.random_matrix.rate_pictures import largest_learning_rates
from verify.random_matrix.lesson import classroom

if __name__ == "__main__":
    from theorylab.cli import run_file

    raise SystemExit(run_file(__file__))
