"""The page: one self-contained HTML file made from stored results."""
