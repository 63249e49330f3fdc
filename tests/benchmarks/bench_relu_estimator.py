"""The estimator on the Wisconsin breast cancer data: seconds, certified gap, and accuracy beside scikit-learn's.

    python tests/benchmarks/bench_relu_estimator.py [--quick]

One thread, all 569 samples, standardised. Two tables:

- fits of all data with sampled patterns: seconds, the certified relative gap (of the program over these patterns,
  wanted below 1e-3 in under a minute; negative where the network beats all networks on them), and what that gap is
  silent about: by how much the dual point violates patterns outside the sample (a local search, so a lower bound), and
  the gap to the rigorous bound over all patterns, which is loose.
  Rows with search add the violated patterns and train on; without --quick only, as they take minutes.
- accuracy on a quarter of the data that is held out, with scikit-learn's logistic regression and multilayer perceptron.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: BLAS reads them once

import argparse  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from theorylab.relu import ConvexReLUClassifier  # noqa: E402


def table_of(title: str, *heads: str) -> Table:
    """An empty table with numbers to the right."""
    table = Table(title=title)
    for head in heads:
        table.add_column(head, justify="right")
    return table


def violation(model: ConvexReLUClassifier, X: np.ndarray) -> float:
    """The largest ``|v'(Xu)_+| / beta - 1`` that a local search meets, for the model's dual point."""
    from theorylab.algorithms.relu_pattern_choice import violated_directions

    inputs = np.column_stack([X, np.ones(len(X))])
    starts = np.random.default_rng(0).standard_normal((inputs.shape[1], 64))
    return float(violated_directions(inputs, model.dual_point_, starts, beta=model.beta)[1][0]) - 1.0


def fit_table(quick: bool) -> Table:
    """Every loss at two weight decays, and with search."""
    heads = ("loss", "beta", "search rounds", "patterns", "iterations", "neurons", "seconds")
    table = table_of("All 569 samples", *heads, "objective", "gap, sample", "violation outside", "gap, all patterns")
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ConvexReLUClassifier(patterns=2, max_iter=10, tol=1.0).fit(X, y)  # compiles
    for beta in (1.0, 10.0):
        for loss in ("logistic", "hinge", "squared"):
            for rounds in (0,) if quick else (0, 2):
                model = ConvexReLUClassifier(beta, loss=loss, search_rounds=rounds, random_state=0)
                begun = time.perf_counter()
                model.fit(X, y)
                seconds = time.perf_counter() - begun
                counts = (rounds, model.n_patterns_, model.n_iter_, len(model.alpha_))
                numbers = (f"{model.objective_:.4f}", f"{model.relative_gap_:.1e}", f"{violation(model, X):.2g}")
                overall = f"{model.global_bound(X, y)[1]:.2f}"
                table.add_row(loss, str(beta), *map(str, counts), f"{seconds:.1f}", *numbers, overall)
    return table


def accuracy_table() -> Table:
    """Held-out accuracy, the mean over three splits."""
    models = {
        "ConvexReLUClassifier, logistic, beta 10": ConvexReLUClassifier(10.0, random_state=0),
        "ConvexReLUClassifier, hinge, beta 10": ConvexReLUClassifier(10.0, loss="hinge", random_state=0),
        "ConvexReLUClassifier, logistic, beta 1": ConvexReLUClassifier(1.0, random_state=0),
        "LogisticRegression": LogisticRegression(max_iter=1000),
        "MLPClassifier, 100 neurons": MLPClassifier(max_iter=1000, random_state=0),
    }
    X, y = load_breast_cancer(return_X_y=True)
    table = table_of("A quarter held out, three splits", "model", "accuracy", "seconds a fit")
    for name, model in models.items():
        begun, scores = time.perf_counter(), []
        for seed in range(3):
            parts = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
            fitted = make_pipeline(StandardScaler(), model).fit(parts[0], parts[2])
            scores.append(fitted.score(parts[1], parts[3]))
        table.add_row(name, f"{np.mean(scores):.4f}", f"{(time.perf_counter() - begun) / 3:.2f}")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without the rows that search for patterns")
    quick = parser.parse_args().quick
    console = Console(width=160)
    console.print(fit_table(quick))
    console.print(accuracy_table())


if __name__ == "__main__":
    main()
