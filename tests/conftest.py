"""Shared set-up of the tests."""

from hypothesis import settings

# Deterministic runs: the same examples every time, on every machine.
settings.register_profile("theorylab", derandomize=True, deadline=None)
settings.load_profile("theorylab")
