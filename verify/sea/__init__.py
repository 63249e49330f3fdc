"""The claims of Chen, Zhang, Tu, Zhao and Zhang, JMLR 25(178), 2024, in parts."""

from theorylab.claims import Paper

PAPER = Paper(
    slug="sea_online_learning",
    title="Optimistic Online Mirror Descent for Bridging Stochastic and Adversarial Online Convex Optimization",
    authors="Sijia Chen, Yu-Jie Zhang, Wei-Wei Tu, Peng Zhao and Lijun Zhang",
    reference="Journal of Machine Learning Research 25(178), 1-62, 2024",
)
