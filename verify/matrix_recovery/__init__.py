"""The claims of Ma and Fattahi, Global Convergence of Sub-gradient Method for Robust Matrix Recovery, in parts."""

from theorylab.claims import Paper

PAPER = Paper(
    slug="robust_matrix_recovery",
    title=(
        "Global Convergence of Sub-gradient Method for Robust Matrix Recovery: "
        "Small Initialization, Noisy Measurements, and Over-parameterization"
    ),
    authors="Jianhao Ma and Salar Fattahi",
    reference="Journal of Machine Learning Research 24(96), 1-84, 2023",
)
