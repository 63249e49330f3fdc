r"""Softmax regression on the digits: a real Hessian whose every per-sample part is known in closed form.

With ``p_i`` the predicted probabilities of sample i and ``A_i = diag(p_i) - p_i p_i'`` (K, K), the Hessian of its loss
is ``H_i = A_i (x) x_i x_i'`` of rank at most K - 1, with parameters in the order of ``weights`` (K, d), row by row. The
loss is convex and its Hessian is the generalised Gauss-Newton matrix, since scores are linear in the weights. With
``S_i = diag(sqrt p_i)(I - sqrt p_i sqrt p_i')``, ``A_i = S_i S_i'`` because the second factor is a projector; so
``H_B = F F' / B`` for ``F`` (P, K B) with blocks ``S_i (x) x_i``, and eigenvalues may be taken of the smaller
``F'F / B``. Notation of Granziol, Zohren and Roberts, Learning Rates as a Function of Batch Size, JMLR 23, 2022.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from problems.labelled_data import Array, Integers, LabelledData, checked_batch, digits, principal_components
from theorylab.algorithms.online_losses import checked_array, checked_positive


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxRegression:
    """Softmax regression at a point: ``features`` (N, d), the last column ones, ``labels`` (N,), ``weights`` (K, d).

    ``probabilities`` (N, K) are ``p_i`` at the weights. The loss is the mean cross-entropy; P = K d.
    """

    features: Array
    labels: Integers
    weights: Array
    probabilities: Array

    @property
    def samples(self) -> int:
        """The number of samples N."""
        return int(self.features.shape[0])

    @property
    def parameters(self) -> int:
        """The number of parameters P = K d."""
        return int(self.weights.size)


def softmax_digits(
    *, samples: int | None = None, components: int | None = None, steps: int = 200, rate: float = 0.5
) -> SoftmaxRegression:
    """Return softmax regression on the first ``samples`` digits after ``steps`` of gradient descent from zero.

    All 1797 digits and their 64 pixels by default: P = 650. ``components=20`` keeps 20 principal components: P = 210.
    Raises ValueError on counts out of range, negative steps or a rate that is not positive.
    """
    data = digits(samples)
    return softmax_regression(
        data if components is None else principal_components(data, components), steps=steps, rate=rate
    )


def softmax_regression(data: LabelledData, *, steps: int = 200, rate: float = 0.5) -> SoftmaxRegression:
    """Return softmax regression on ``data`` after ``steps`` of gradient descent on all samples, from zero weights.

    Raises ValueError unless ``steps`` is an integer of at least 0 and ``rate`` positive.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"steps={steps!r}: must be an integer, zero or more")
    checked_positive("rate", rate)
    features = np.ascontiguousarray(np.column_stack([data.features, np.ones(data.samples)]))
    weights = np.zeros((data.classes, features.shape[1]))
    for _ in range(steps):
        weights -= rate * mean_gradient(features, data.labels, weights)
    return SoftmaxRegression(features, data.labels, weights, softmax(features @ weights.T))


def at_weights(problem: SoftmaxRegression, weights: npt.ArrayLike) -> SoftmaxRegression:
    """Return the same problem at other ``weights`` (K, d) or (P,); raises ValueError on a wrong size or non-finite."""
    flat = checked_array("weights", np.ravel(np.asarray(weights, dtype=np.float64)), (problem.parameters,))
    moved = flat.reshape(problem.weights.shape).copy()
    return SoftmaxRegression(problem.features, problem.labels, moved, softmax(problem.features @ moved.T))


def softmax(scores: Array) -> Array:
    """Return the probabilities (N, K) of ``scores`` (N, K), the largest score of a row being taken out first.

    >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def mean_loss(features: Array, labels: Integers, weights: Array) -> float:
    """Return the mean cross-entropy, in nats, of ``weights`` (K, d) on ``features`` (N, d) and ``labels`` (N,)."""
    scores = features @ weights.T
    top = scores.max(axis=1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float(np.mean(normaliser - scores[np.arange(labels.size), labels]))


def mean_gradient(features: Array, labels: Integers, weights: Array) -> Array:
    """Return the gradient (K, d) of `mean_loss`, ``sum_i (p_i - e_{y_i}) x_i' / N``."""
    residual = softmax(features @ weights.T)
    residual[np.arange(labels.size), labels] -= 1.0
    return np.asarray(residual.T @ features / labels.size)


def loss(problem: SoftmaxRegression) -> float:
    """Return the mean cross-entropy over all samples, in nats."""
    return mean_loss(problem.features, problem.labels, problem.weights)


def hessian_product(problem: SoftmaxRegression, vector: npt.ArrayLike, batch: npt.ArrayLike | None = None) -> Array:
    """Return ``H_B v`` (P,) for ``vector`` (P,); ``batch`` (B,) are indices, all samples if None. O(B P) time.

    Raises ValueError on a vector of another shape or not finite, and on a wrong batch.
    """
    x, p = _chosen(problem, batch)
    return np.asarray((_bent(problem, vector, x, p).T @ x / x.shape[0]).ravel())


def sample_products(problem: SoftmaxRegression, vector: npt.ArrayLike) -> Array:
    """Return ``H_i v`` of every sample, (N, P): ``A_i t (x) x_i`` with ``t = V x_i``, V being ``vector`` as (K, d)."""
    x, p = problem.features, problem.probabilities
    return np.asarray((_bent(problem, vector, x, p)[:, :, None] * x[:, None, :]).reshape(problem.samples, -1))


def sample_product_norms(problem: SoftmaxRegression, vector: npt.ArrayLike) -> Array:
    """Return ``||H_i v||^2`` of every sample, (N,), without forming the products: ``||A_i t||^2 ||x_i||^2``."""
    x, p = problem.features, problem.probabilities
    bent = _bent(problem, vector, x, p)
    return np.asarray(np.einsum("nk,nk->n", bent, bent) * np.einsum("nd,nd->n", x, x))


def hessian(problem: SoftmaxRegression, batch: npt.ArrayLike | None = None) -> Array:
    """Return ``H_B`` (P, P) of the samples in ``batch`` (B,), all if None; raises ValueError on a wrong batch."""
    x, p = _chosen(problem, batch)
    classes, d = problem.weights.shape
    blocks = np.empty((classes, d, classes, d))
    for k in range(classes):
        for j in range(k, classes):
            curvature = p[:, k] * ((k == j) - p[:, j]) / x.shape[0]
            block = (x * curvature[:, None]).T @ x
            blocks[k, :, j, :] = block
            blocks[j, :, k, :] = block.T
    return blocks.reshape(problem.parameters, problem.parameters)


def factor(problem: SoftmaxRegression, batch: npt.ArrayLike | None = None) -> Array:
    """Return ``F`` (P, K B) with ``H_B = F F' / B``, K columns a sample; 93 MB for all digits and all pixels."""
    x, p = _chosen(problem, batch)
    return np.ascontiguousarray(np.einsum("nka,nd->kdna", _roots(p), x).reshape(problem.parameters, -1))


def gram(problem: SoftmaxRegression, batch: npt.ArrayLike | None = None) -> Array:
    """Return ``F'F / B`` (K B, K B), with the nonzero eigenvalues of ``H_B``: blocks ``S_i'S_j <x_i, x_j> / B``."""
    x, p = _chosen(problem, batch)
    count, classes = p.shape
    roots = _roots(p).transpose(1, 0, 2).reshape(classes, count * classes)
    inner = (roots.T @ roots).reshape(count, classes, count, classes)
    return np.asarray((inner * (x @ x.T / count)[:, None, :, None]).reshape(count * classes, count * classes))


def batch_eigenvalues(problem: SoftmaxRegression, batch: npt.ArrayLike | None = None) -> Array:
    """Return the ``min(P, K B)`` largest eigenvalues of ``H_B``, descending, from the smaller side; others are zero."""
    size = problem.samples if batch is None else np.size(batch)
    smaller = gram if size * problem.weights.shape[0] < problem.parameters else hessian
    return np.asarray(np.linalg.eigvalsh(smaller(problem, batch))[::-1])


def top_eigenvalue(problem: SoftmaxRegression, batch: npt.ArrayLike | None = None) -> float:
    """Return ``lambda'_1``, the largest eigenvalue of ``H_B``, from the smaller side."""
    from scipy.linalg import eigh

    size = problem.samples if batch is None else np.size(batch)
    smaller = gram if size * problem.weights.shape[0] < problem.parameters else hessian
    matrix = smaller(problem, batch)
    top = matrix.shape[0] - 1
    return float(eigh(matrix, eigvals_only=True, subset_by_index=[top, top], overwrite_a=True, check_finite=False)[0])


def sample_norms(problem: SoftmaxRegression) -> Array:
    """Return ``||H_i||_F^2`` of every sample, (N,): ``||A_i||_F^2 ||x_i||^4``, exact in O(N (K + d)).

    ``||diag p - p p'||_F^2 = sum p^2 - 2 sum p^3 + (sum p^2)^2``.
    """
    p, x = problem.probabilities, problem.features
    squares = np.sum(p**2, axis=1)
    small = squares - 2.0 * np.sum(p**3, axis=1) + squares**2
    return np.asarray(small * np.einsum("nd,nd->n", x, x) ** 2)


def batch_noise(problem: SoftmaxRegression, whole: npt.ArrayLike | None = None) -> float:
    """Return ``x = P sigma^2``, sigma^2 being the unbiased variance of an entry of ``H_i``, averaged over entries.

    ``x = N/(N-1) (mean ||H_i||_F^2 - ||H||_F^2) / P``, so that ``E ||H_B - H||_F^2 = P x (1/B - 1/N)`` exactly for a
    batch without replacement (equations 6 and 7 of the paper, with N - 1 for N). ``whole`` is H (P, P), if it is at
    hand. Raises ValueError where N = 1, which has no variance.
    """
    n = problem.samples
    if n < 2:
        raise ValueError(f"samples={n}: must be at least 2 to have a variance")
    h = hessian(problem) if whole is None else checked_array("whole", whole, (problem.parameters,) * 2)
    return float(n / (n - 1) * (np.mean(sample_norms(problem)) - np.sum(h**2)) / problem.parameters)


def excess_constant(problem: SoftmaxRegression) -> float:
    r"""Return kappa of ``E lambda'_1 - lambda_1 = kappa / b + o(1/b)``, b = B / (1 - B/N).

    ``kappa = N/(N-1) sum_{j>=2} Var_i(u_j'H_i u_1) / (lambda_1 - lambda_j)``, u_j being eigenvectors of H and Var_i the
    variance over the samples, normalised by N. Re-derived: by second-order perturbation theory ``lambda'_1 - lambda_1``
    is ``u_1'eps u_1 + sum_{j>=2} (u_j'eps u_1)^2 / (lambda_1 - lambda_j)`` up to third order; the first term has mean
    zero, and an entry of eps has the unbiased variance over b. Isotropic noise of entry variance sigma^2 and
    ``lambda_j = 0`` give ``P sigma^2 / lambda_1``, the excess of Theorem 4. Raises ValueError where N = 1 or lambda_1
    is a double eigenvalue.
    """
    n = problem.samples
    if n < 2:
        raise ValueError(f"samples={n}: must be at least 2 to have a variance")
    eigenvalues, vectors = np.linalg.eigh(hessian(problem))
    gaps = eigenvalues[-1] - eigenvalues[:-1]
    if not gaps[-1] > 1e-12 * eigenvalues[-1]:
        raise ValueError(f"lambda_1 - lambda_2={gaps[-1]:.3g}: the largest eigenvalue of H must be simple")
    along = sample_products(problem, vectors[:, -1]) @ vectors[:, :-1]
    return float(n / (n - 1) * np.sum(along.var(axis=0) / gaps))


def excess_sample(problem: SoftmaxRegression, direction: npt.ArrayLike, batch: npt.ArrayLike) -> float:
    """Return ``lambda_max(H_B) - v'H_B v``, v the top eigenvector of H: its mean is ``E lambda'_1 - lambda_1``.

    ``v'H_B v`` is a control variate of mean exactly lambda_1, which takes out the noise of first order. A single value
    is never negative, whatever the matrix: only its mean and size say anything. Raises ValueError as `hessian_product`.
    """
    v = checked_array("direction", direction, (problem.parameters,))
    return top_eigenvalue(problem, batch) - float(v @ hessian_product(problem, v, batch)) / float(v @ v)


def _chosen(problem: SoftmaxRegression, batch: npt.ArrayLike | None) -> tuple[Array, Array]:
    """Return features (B, d) and probabilities (B, K) of the batch, all samples if None."""
    if batch is None:
        return problem.features, problem.probabilities
    indices = checked_batch(batch, problem.samples)
    return problem.features[indices], problem.probabilities[indices]


def _bent(problem: SoftmaxRegression, vector: npt.ArrayLike, x: Array, p: Array) -> Array:
    """Return ``A_i V x_i`` (B, K), V being ``vector`` (P,) as (K, d).

    ``A_i`` does not see a constant added to t. The entry of the likeliest class is taken out first: where that class
    has all the probability but 1e-20, the rest would otherwise cancel, and the operator would lose its symmetry.
    """
    v = checked_array("vector", vector, (problem.parameters,)).reshape(problem.weights.shape)
    t = x @ v.T
    t -= np.take_along_axis(t, p.argmax(axis=1)[:, None], axis=1)
    return np.asarray(p * (t - np.einsum("nk,nk->n", p, t)[:, None]))


def _roots(p: Array) -> Array:
    """Return ``S_i = diag(sqrt p_i)(I - sqrt p_i sqrt p_i')`` (B, K, K) of probabilities (B, K)."""
    root = np.sqrt(p)
    return np.asarray(root[:, :, None] * (np.eye(p.shape[1]) - root[:, :, None] * root[:, None, :]))
