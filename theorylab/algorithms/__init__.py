"""Reference algorithms: one file a family of methods, numba kernels behind a thin validating Python face."""
