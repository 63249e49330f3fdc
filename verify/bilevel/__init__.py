"""The claims of Hu, Qiu, Guo, Zhang and Yang, ICML 2023, in parts."""

from theorylab.claims import Paper

PAPER = Paper(
    slug="multi_block_bilevel",
    title="Blockwise Stochastic Variance-Reduced Methods with Parallel Speedup for Multi-Block Bilevel Optimization",
    authors="Quanqi Hu, Zi-Hao Qiu, Zhishuai Guo, Lijun Zhang and Tianbao Yang",
    reference="Proceedings of the 40th International Conference on Machine Learning (ICML), 2023, arXiv 2305.18730",
)
