"""The claims of Bai, Gautam and Sojoudi, Efficient Global Optimization of Two-Layer ReLU Networks, in parts."""

from theorylab.claims import Paper

PAPER = Paper(
    slug="relu_convex_training",
    title=(
        "Efficient Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms and Adversarial Training"
    ),
    authors="Yatong Bai, Tanmay Gautam and Somayeh Sojoudi",
    reference="SIAM Journal on Mathematics of Data Science, 2023; arXiv 2201.01965",
)
