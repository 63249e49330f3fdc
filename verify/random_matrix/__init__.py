"""The claims of Granziol, Zohren and Roberts, Learning Rates as a Function of Batch Size, in parts."""

from theorylab.claims import Paper

PAPER = Paper(
    slug="random_matrix_hessian",
    title="Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach to Neural Network Training",
    authors="Diego Granziol, Stefan Zohren and Stephen Roberts",
    reference="Journal of Machine Learning Research 23, 1-65, 2022",
)
