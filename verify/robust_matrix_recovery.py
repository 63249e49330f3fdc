"""Robust matrix recovery by the sub-gradient method from a small start: the claims of one paper, in a telling order.

J. Ma and S. Fattahi, Global Convergence of Sub-gradient Method for Robust Matrix Recovery: Small Initialization,
Noisy Measurements, and Over-parameterization, Journal of Machine Learning Research 24(96), 2023.

A positive semidefinite matrix of rank r is recovered from linear measurements, many of them grossly wrong, by
sub-gradient steps on the factored l1 loss with a search rank r' that may be as large as the dimension. The paper
claims that from a small spectral start the error ends at a power of the start's scale, whatever r' and whatever the
size of the outliers. The claims follow its order:

1. the population loss, whose every constant can be made explicit, and one inequality that needs a correction;
2. the sign map, whose restricted isometry carries the population's dynamics over to measurements;
3. noiseless measurements: the final error, the time to it, and the phases on the way;
4. outliers and Gaussian noise.

The claims are defined in the parts of `verify/matrix_recovery`; this file lists them.
"""

# Imported for the collector of claims, which lists them as they stand here: in the order of the paper.
# ruff: noqa: F401, I001
from verify.matrix_recovery.population import population_one_step
from verify.matrix_recovery.growth import growth_arbitrary_iterate, growth_conditioned
from verify.matrix_recovery.population import population_residual, population_linear, population_sublinear
from verify.matrix_recovery.sign_rip import sign_rip_scaling, sign_rip_rate, lemma_12
from verify.matrix_recovery.noiseless import noiseless_linear, noiseless_time, sequential_learning, residual_split
from verify.matrix_recovery.sign_rip import spurious_optimum
from verify.matrix_recovery.outliers import outlier_exact, alpha_floor, rank_agnostic
from verify.matrix_recovery.sample_size import sample_rank_free, sample_linear_d, corruption_threshold
from verify.matrix_recovery.gaussian_noise import gauss_rate, gauss_constant, gauss_rank_free
from verify.matrix_recovery.outliers import real_spectrum_recovery
from verify.matrix_recovery.lesson import classroom

if __name__ == "__main__":
    from theorylab.cli import run_file

    raise SystemExit(run_file(__file__))
