"""Two-layer ReLU networks trained to a certified optimum, with scikit-learn's interface.

>>> from theorylab.relu import ConvexReLUClassifier, ConvexReLURegressor
"""

from theorylab.algorithms.relu_estimator import ConvexReLUClassifier, ConvexReLURegressor

__all__ = ["ConvexReLUClassifier", "ConvexReLURegressor"]
