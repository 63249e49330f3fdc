"""Two-layer ReLU networks trained by convex programming, as scikit-learn estimators with a certificate.

The classes keep scikit-learn's conventions: the constructor only stores, `fit` validates. Training, certificates and
their sources are in `relu_fit`. The model is ``f(x) = sum_j alpha_j (x'u_j + b_j)_+``, and training minimises ``loss +
(beta / 2) sum_j (||u_j||^2 + b_j^2 + alpha_j^2)``, the loss being a sum over samples, not a mean: weight decay acts on
the hidden biases too, and there is no output bias. Standardise the features first, as for any network.
"""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from theorylab.algorithms.relu_certificate import global_dual_bound, relative_gap
from theorylab.algorithms.relu_fit import Fit, FitSettings, fit_network
from theorylab.algorithms.relu_losses import LOGISTIC, LOSSES, SQUARED, Array
from theorylab.algorithms.relu_recovery import Network, network_outputs

GLOBAL, SAMPLED = "global", "within the sampled patterns"


class ConvexReLUClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Binary classifier: a two-layer ReLU network trained to a certified optimum.

    Parameters: ``beta`` > 0 the weight decay; ``loss`` "logistic", "hinge" or "squared" (on labels -1 and 1);
    ``patterns`` "all" activation patterns, the number of random ones, or "auto": all where that is cheap, else a
    sample; ``epsilon`` >= 0 the l_inf radius of the perturbations of the features that training defends against, by
    an interior-point method for small data (the intercept is not perturbed); ``tol`` the relative duality gap at which
    training stops; ``max_iter`` the most iterations of ADMM; ``search_rounds`` how often to add patterns that the dual
    point shows to be missing from a sample (not with ``epsilon``); ``fit_intercept`` gives hidden neurons a bias.

    Attributes: ``u_`` (m, d), ``bias_`` (m,) and ``alpha_`` (m,), the m hidden neurons; ``objective_`` the training
    objective of this network; ``worst_case_objective_`` the same under the worst perturbations; ``dual_bound_`` and
    ``relative_gap_ = (worst_case_objective_ - dual_bound_) / worst_case_objective_``; ``scope_`` "global" or "within
    the sampled patterns", what these two are about; ``certificate_`` the sentence that they prove; ``n_patterns_``;
    ``n_iter_``; ``search_violation_``, by how much the dual point was seen to violate other patterns at the end,
    relative to beta, NaN without a search; ``dual_point_`` (n,); ``classes_`` (2,).

    Raises ValueError in `fit` on data or parameters out of range, more patterns than memory allows, and an epsilon so
    large that only the zero network is feasible; warns where the gap is not reached and where the network is constant.
    Source: Bai, Gautam and Sojoudi, SIAM Journal on Mathematics of Data Science, 2023.

    >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], ["low", "high", "high", "low"]
    >>> model = ConvexReLUClassifier(beta=0.01).fit(X, y)
    >>> model.predict(X).tolist(), model.scope_
    (['low', 'high', 'high', 'low'], 'global')
    """

    def __init__(
        self,
        beta: float = 1.0,
        *,
        loss: str = LOGISTIC,
        patterns: str | int = "auto",
        epsilon: float = 0.0,
        tol: float = 1e-3,
        max_iter: int = 10_000,
        search_rounds: int = 0,
        fit_intercept: bool = True,
        random_state: Any = None,
    ) -> None:
        self.beta = beta
        self.loss = loss
        self.patterns = patterns
        self.epsilon = epsilon
        self.tol = tol
        self.max_iter = max_iter
        self.search_rounds = search_rounds
        self.fit_intercept = fit_intercept
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train on ``X`` (n, d) and two classes ``y`` (n,); errors and warnings as in the text of the class."""
        features, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        kind = type_of_target(labels, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}. For more classes, wrap"
                " the estimator in sklearn.multiclass.OneVsRestClassifier."
            )
        self.classes_ = np.unique(labels)
        if self.classes_.size < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}: must hold two")
        _train(self, features, np.where(labels == self.classes_[1], 1.0, -1.0), self.loss)
        return self

    def decision_function(self, X: npt.ArrayLike) -> Array:
        """Return the outputs (n,) of the network at ``X`` (n, d); positive means ``classes_[1]``."""
        return _outputs(self, X)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the classes (n,) of ``X`` (n, d)."""
        positive = self.decision_function(X) > 0.0
        return np.asarray(self.classes_[positive.astype(np.int64)])

    @available_if(lambda self: self.loss == LOGISTIC)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Return the probabilities (n, 2) of the two classes under the logistic model; for ``loss="logistic"`` only."""
        positive = expit(self.decision_function(X))
        return np.column_stack([1.0 - positive, positive])

    def global_bound(self, X: npt.ArrayLike, y: npt.ArrayLike, *, max_bytes: int = 2**26) -> tuple[float, float]:
        """Return a lower bound on the training objective of all networks and the relative gap to it; see `_global`."""
        labels = np.where(np.asarray(y) == self.classes_[1], 1.0, -1.0)
        return _global(self, X, labels, self.loss, max_bytes)

    def __sklearn_tags__(self) -> Any:
        """Say that there are two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class ConvexReLURegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Regressor for ``||f(X) - y||^2 / 2``: a two-layer ReLU network trained to a certified optimum.

    Parameters, attributes, errors and source as `ConvexReLUClassifier`, without ``loss`` and ``classes_``. Centre y:
    the network has no output bias.

    >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], [2.0, 1.0, 1.0, 2.0]
    >>> model = ConvexReLURegressor(beta=0.01, tol=1e-6).fit(X, y)
    >>> model.predict(X).round(1).tolist(), model.relative_gap_ < 1e-6
    ([2.0, 1.0, 1.0, 2.0], True)
    """

    def __init__(
        self,
        beta: float = 1.0,
        *,
        patterns: str | int = "auto",
        epsilon: float = 0.0,
        tol: float = 1e-3,
        max_iter: int = 10_000,
        search_rounds: int = 0,
        fit_intercept: bool = True,
        random_state: Any = None,
    ) -> None:
        self.beta = beta
        self.patterns = patterns
        self.epsilon = epsilon
        self.tol = tol
        self.max_iter = max_iter
        self.search_rounds = search_rounds
        self.fit_intercept = fit_intercept
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train on ``X`` (n, d) and targets ``y`` (n,); errors and warnings as in the text of the class."""
        features, targets = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2, y_numeric=True)
        _train(self, features, targets.astype(np.float64), SQUARED)
        return self

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the outputs (n,) of the network at ``X`` (n, d)."""
        return _outputs(self, X)

    def global_bound(self, X: npt.ArrayLike, y: npt.ArrayLike, *, max_bytes: int = 2**26) -> tuple[float, float]:
        """Return a lower bound on the training objective of all networks and the relative gap to it; see `_global`."""
        return _global(self, X, np.asarray(y, dtype=np.float64), SQUARED, max_bytes)


def _train(model: Any, X: Array, y: Array, loss: str) -> None:
    """Fit the network and write the attributes that `ConvexReLUClassifier` describes."""
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r}: must be one of {', '.join(map(repr, LOSSES))}")
    settings = FitSettings(
        beta=model.beta,
        loss=loss,
        patterns=model.patterns,
        epsilon=model.epsilon,
        tol=model.tol,
        max_iter=model.max_iter,
        search_rounds=model.search_rounds,
    )
    seed = check_random_state(model.random_state).randint(2**31)
    fit = fit_network(X, y, settings, np.random.default_rng(seed), intercept=model.fit_intercept)
    weights, d = fit.network.U, X.shape[1]
    model.u_ = np.ascontiguousarray(weights[:d].T)
    model.bias_ = weights[d].copy() if model.fit_intercept else np.zeros(fit.network.width)
    model.alpha_ = fit.network.alpha
    model.objective_, model.worst_case_objective_ = fit.objective, fit.worst_case
    model.dual_bound_, model.relative_gap_, model.dual_point_ = fit.dual_bound, fit.gap, fit.dual
    model.scope_ = GLOBAL if fit.complete else SAMPLED
    model.certificate_ = _certificate(fit, model.epsilon)
    model.n_patterns_, model.n_iter_, model.search_violation_ = fit.patterns, fit.iterations, fit.violation
    _warn(model, float(np.ptp(_outputs(model, X))), float(np.ptp(y)))


def _certificate(fit: Fit, epsilon: float) -> str:
    """Return the sentence that the two bounds prove, starting with its scope."""
    scope = GLOBAL if fit.complete else SAMPLED
    which = "any activation patterns" if fit.complete else f"the {fit.patterns} sampled activation patterns alone"
    if epsilon > 0.0:
        what = f"the optimum of the robust convex program over {which}, itself an upper bound on robust training"
    else:
        what = f"the least training objective of networks of every width with {which}"
    values = f"{fit.worst_case:.9g} is {abs(fit.gap):.2e} of itself"
    if fit.gap < 0.0:
        return f"{scope}: the objective {values} below a lower bound on {what}: this network beats them all"
    rest = "" if fit.complete else "; networks of other patterns may be better"
    return f"{scope}: the objective {values} above a lower bound on {what}{rest}"


def _warn(model: Any, spread: float, wanted: float) -> None:
    """Warn where training ended short of the gap, or in outputs that do not vary, up to accuracy, as targets do."""
    if model.relative_gap_ > model.tol:
        remedy = "Raise max_iter, standardise the features or loosen tol"
        if model.epsilon > 0.0:
            remedy = (
                "The interior-point method stalled: standardise the features, or take another loss or fewer samples"
            )
        warnings.warn(
            f"relative_gap_={model.relative_gap_:.3g} after n_iter_={model.n_iter_} iterations, wanted tol={model.tol};"
            f" the certificate holds all the same. {remedy}",
            ConvergenceWarning,
            stacklevel=4,
        )
    if spread <= 1e-6 * wanted and wanted > 0.0:
        cause = f"beta={model.beta}" if model.epsilon == 0.0 else f"beta={model.beta} or epsilon={model.epsilon}"
        warnings.warn(
            f"the trained network does not depend on its inputs: {cause} is too large for these data",
            UserWarning,
            stacklevel=4,
        )


def _outputs(model: Any, X: npt.ArrayLike) -> Array:
    """Return the outputs (n,) of a fitted model."""
    check_is_fitted(model)
    features = validate_data(model, X, dtype=np.float64, reset=False)
    return network_outputs(Network(np.vstack([model.u_.T, model.bias_]), model.alpha_), _with_ones(features))


def _global(model: Any, X: npt.ArrayLike, y: Array, loss: str, max_bytes: int) -> tuple[float, float]:
    """Return a lower bound on the training objective (without perturbations) of every network, and the gap to it.

    ``X`` and ``y`` are the training data, the candidate is ``dual_point_``. Cost: where all patterns fit into
    ``max_bytes``, their enumeration and a small least-squares problem for each; otherwise a relaxation of 120 times n
    d^2 + d^3 operations, valid but loose, on tens of features all but vacuous. Raises ValueError on other data.
    """
    check_is_fitted(model)
    features = validate_data(model, X, dtype=np.float64, reset=False)
    if len(features) != model.dual_point_.size:
        raise ValueError(f"X has {len(features)} rows: must be the {model.dual_point_.size} of the training data")
    inputs = _with_ones(features) if model.fit_intercept else features
    bound = global_dual_bound(inputs, y, model.dual_point_, beta=model.beta, loss=loss, max_bytes=max_bytes)
    return bound.value, relative_gap(model.objective_, bound.value)


def _with_ones(X: Array) -> Array:
    """Return ``X`` (n, d) with a last column of ones."""
    return np.column_stack([X, np.ones(len(X))])
