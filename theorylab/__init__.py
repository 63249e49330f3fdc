"""Executable theorems: hypotheses, bound, experiment, verdict and a negative control that has to be refuted."""

__version__ = "0.1.0"
