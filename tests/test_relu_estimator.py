"""The estimators: scikit-learn's checks, cvxpy as arbiter, certificates, robustness, search, bad input."""

import pickle
import warnings

import cvxpy as cp
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from problems.relu_networks import gauss, rings
from theorylab.algorithms.hyperplane_arrangement import enumerate_patterns
from theorylab.algorithms.relu_admm import admm, split_admm
from theorylab.algorithms.relu_certificate import restricted_dual_bound
from theorylab.algorithms.relu_convex_program import train_convex
from theorylab.algorithms.relu_fit import FitSettings, fit_network
from theorylab.algorithms.relu_pattern_choice import added_patterns, choose_patterns, violated_directions
from theorylab.algorithms.relu_recovery import Network, network_outputs
from theorylab.algorithms.relu_robust import worst_case_loss
from theorylab.algorithms.relu_robust_certificate import robust_dual_bound, worst_case_bound
from theorylab.relu import ConvexReLUClassifier, ConvexReLURegressor

LOSSES = ("squared", "logistic", "hinge")


@parametrize_with_checks(
    [
        ConvexReLUClassifier(patterns=20, max_iter=300),
        ConvexReLUClassifier(patterns=10, max_iter=100, loss="hinge", fit_intercept=False, search_rounds=1),
        ConvexReLURegressor(patterns=20, max_iter=300),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:the trained network does not")
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)


def ring_data(n=14, seed=0):
    """Two rings without their bias column, and their labels."""
    problem = rings(n, np.random.default_rng(seed))
    return problem.X[:, :2].copy(), problem.y


def as_network(model):
    return Network(np.vstack([model.u_.T, model.bias_]), model.alpha_)


def by_definition(model, X, y, loss):
    """The training objective, from the attributes that users see."""
    outputs = np.maximum(X @ model.u_.T + model.bias_, 0.0) @ model.alpha_
    costs = {
        "squared": lambda: 0.5 * np.sum((outputs - y) ** 2),
        "logistic": lambda: np.sum(np.logaddexp(0.0, -y * outputs)),
        "hinge": lambda: np.sum(np.maximum(0.0, 1.0 - y * outputs)),
    }
    return costs[loss]() + model.beta / 2 * (np.sum(model.u_**2) + np.sum(model.bias_**2) + np.sum(model.alpha_**2))


def program_value(X, y, loss, beta):
    """The convex program over all patterns, written down once more."""
    D = enumerate_patterns(X).astype(float)
    v, w = cp.Variable((X.shape[1], D.shape[1])), cp.Variable((X.shape[1], D.shape[1]))
    outputs = cp.sum(cp.multiply(D, X @ (v - w)), axis=1)
    costs = {
        "squared": 0.5 * cp.sum_squares(outputs - y),
        "logistic": cp.sum(cp.logistic(-cp.multiply(y, outputs))),
        "hinge": cp.sum(cp.pos(1 - cp.multiply(y, outputs))),
    }
    cones = [cp.multiply(2 * D - 1, X @ side) >= 0 for side in (v, w)]
    penalty = cp.sum(cp.norm(v, axis=0)) + cp.sum(cp.norm(w, axis=0))
    return cp.Problem(cp.Minimize(costs[loss] + beta * penalty), cones).solve(solver="CLARABEL")


@pytest.mark.parametrize("loss", LOSSES)
def test_the_certified_interval_holds_the_optimum_of_cvxpy(loss):
    X, y = ring_data()
    model = ConvexReLUClassifier(beta=0.05, loss=loss, tol=1e-5).fit(X, y)
    optimum = program_value(np.column_stack([X, np.ones(len(X))]), y, loss, 0.05)
    assert model.scope_ == "global" and model.certificate_.startswith("global: ")
    assert model.dual_bound_ <= optimum * (1 + 1e-7)
    assert optimum * (1 - 1e-7) <= model.objective_ <= optimum * (1 + 2e-5)
    assert model.relative_gap_ == (model.objective_ - model.dual_bound_) / model.objective_ <= 1e-5
    assert model.objective_ == pytest.approx(by_definition(model, X, y, loss), rel=1e-12)
    assert model.worst_case_objective_ == model.objective_
    bound, gap = model.global_bound(X, y)
    assert bound <= optimum * (1 + 1e-7) and gap <= 1e-2


def test_regressor_finds_the_optimum_without_an_intercept():
    problem = gauss(10, 2, np.random.default_rng(0))
    model = ConvexReLURegressor(beta=0.1, tol=1e-7, fit_intercept=False).fit(problem.X, problem.y)
    assert model.scope_ == "global" and not model.bias_.any()
    assert model.objective_ == pytest.approx(program_value(problem.X, problem.y, "squared", 0.1), rel=1e-6)
    assert model.score(problem.X, problem.y) > 0.9
    assert model.global_bound(problem.X, problem.y)[1] < 1e-4


def test_polish_reaches_what_few_iterations_do_not():
    X, y = ring_data()
    settings = FitSettings(
        beta=0.05, loss="hinge", patterns="all", epsilon=0.0, tol=1e-7, max_iter=300, search_rounds=0
    )
    fit = fit_network(X, y, settings, np.random.default_rng(0), intercept=True)
    optimum = program_value(np.column_stack([X, np.ones(len(X))]), y, "hinge", 0.05)
    assert fit.iterations == 300 and fit.gap < 1e-5
    assert fit.dual_bound <= optimum * (1 + 1e-7) and optimum * (1 - 1e-7) <= fit.objective


@pytest.mark.parametrize("loss", LOSSES)
def test_a_sample_is_certified_for_itself_alone(loss):
    X, y = ring_data()
    model = ConvexReLUClassifier(beta=0.05, loss=loss, patterns=12, tol=1e-4, random_state=1).fit(X, y)
    optimum = program_value(np.column_stack([X, np.ones(len(X))]), y, loss, 0.05)
    assert model.scope_ == "within the sampled patterns" and model.certificate_.startswith(model.scope_)
    assert model.n_patterns_ <= 12 and model.relative_gap_ <= 1e-4
    # The restricted bound is above the optimum over all patterns: it says nothing about other networks.
    assert model.dual_bound_ > optimum and model.objective_ >= optimum * (1 - 1e-7)
    bound, gap = model.global_bound(X, y)
    assert bound <= optimum * (1 + 1e-7) and gap >= 1 - optimum / model.objective_ - 1e-7


def test_a_network_that_beats_its_sample_says_so():
    X = StandardScaler().fit_transform(load_breast_cancer().data[:150])
    y = load_breast_cancer().target[:150]
    model = ConvexReLUClassifier(beta=10.0, patterns=20, tol=1e-3, random_state=0).fit(X, y)
    assert model.relative_gap_ < 0.0 and model.certificate_.endswith("this network beats them all")


def test_search_adds_the_patterns_that_a_sample_misses():
    X, y = ring_data(20, 1)
    plain = ConvexReLUClassifier(beta=0.05, patterns=5, tol=1e-4, random_state=0).fit(X, y)
    searched = clone(plain).set_params(search_rounds=10).fit(X, y)
    optimum = program_value(np.column_stack([X, np.ones(len(X))]), y, "logistic", 0.05)
    assert plain.objective_ > 1.05 * optimum and np.isnan(plain.search_violation_)
    assert optimum * (1 - 1e-7) <= searched.objective_ < 1.001 * optimum
    assert searched.search_violation_ < 2e-3 and searched.n_patterns_ > plain.n_patterns_
    assert searched.scope_ == "within the sampled patterns" and searched.n_iter_ > plain.n_iter_


def test_violated_directions_are_unit_vectors_with_their_values():
    rng = np.random.default_rng(0)
    X, point = rng.standard_normal((12, 3)), rng.standard_normal(12)
    found, values = violated_directions(X, point, rng.standard_normal((3, 5)), beta=0.5)
    assert np.allclose(np.linalg.norm(found, axis=0), 1.0) and np.all(np.diff(values) <= 0.0)
    assert np.allclose(np.abs(point @ np.maximum(X @ found, 0.0)) / 0.5, np.abs(values))
    sphere = rng.standard_normal((3, 20_000))
    sphere /= np.linalg.norm(sphere, axis=0)
    # Local search: near the best of many directions, which may lie on a ridge, and clearly above the starts.
    assert values[0] >= 0.99 * np.abs(point @ np.maximum(X @ sphere, 0.0)).max() / 0.5
    old = X @ found[:, :2] >= 0.0
    grown = added_patterns(np.unique(old, axis=1), np.hstack([old, ~old]), 1)
    assert grown.shape[1] == np.unique(old, axis=1).shape[1] + 1


@pytest.mark.parametrize("loss", LOSSES)
def test_robust_training_is_certified_and_holds_at_the_vertices(loss):
    X, y = ring_data(10, 2)
    epsilon = 0.04
    model = ConvexReLUClassifier(beta=0.05, loss=loss, epsilon=epsilon, tol=1e-5, patterns="all").fit(X, y)
    ones = np.column_stack([X, np.ones(len(X))])
    perturbed = np.array([True, True, False])
    exact = train_convex(ones, y, enumerate_patterns(ones), beta=0.05, loss=loss, epsilon=epsilon, perturbed=perturbed)
    assert exact.accurate
    assert model.dual_bound_ <= exact.value * (1 + 1e-7)
    assert model.worst_case_objective_ == pytest.approx(exact.value, rel=1e-5)
    assert model.relative_gap_ < 1e-5 and "robust convex program" in model.certificate_
    penalty = (
        model.objective_
        - by_definition(model, X, y, loss)
        + 0.025 * sum(np.sum(part**2) for part in (model.u_, model.bias_, model.alpha_))
    )
    truth = penalty + worst_case_loss(as_network(model), ones, y, loss=loss, epsilon=epsilon, perturbed=perturbed)
    assert truth <= model.worst_case_objective_ * (1 + 1e-12)
    assert truth == pytest.approx(model.worst_case_objective_, rel=1e-5)
    assert model.objective_ < model.worst_case_objective_
    corners = epsilon * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    attacked = np.max([y * -model.decision_function(X + corner) for corner in corners], axis=0)
    cost = {"squared": 0.5 * (1 + attacked) ** 2, "logistic": np.logaddexp(0, attacked), "hinge": 1 + attacked}[loss]
    if loss != "squared":
        assert np.maximum(cost, 0.0).sum() + penalty <= model.worst_case_objective_ * (1 + 1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_robust_bound_is_below_the_optimum_for_any_candidate(loss):
    X, y = ring_data(8, 3)
    X, perturbed = np.column_stack([X, np.ones(8)]), np.array([True, True, False])
    patterns = enumerate_patterns(X).astype(float)
    problem = {"beta": 0.05, "loss": loss, "epsilon": 0.05, "perturbed": perturbed}
    optimum = train_convex(X, y, patterns, **problem).value
    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 10.0):
        point, shift = scale * y * rng.random(8), scale * 0.05 * rng.standard_normal((8, 3))
        eta = rng.exponential(scale, (2, *patterns.shape)) * rng.integers(0, 2, (2, 1, patterns.shape[1]))
        assert robust_dual_bound(X, y, patterns, point, shift, eta, **problem) <= optimum * (1 + 1e-9)


def test_worst_case_bound_covers_networks_whose_neurons_switch():
    rng = np.random.default_rng(0)
    X, y = ring_data(8, 3)
    X, perturbed = np.column_stack([X, np.ones(8)]), np.array([True, True, False])
    for loss in LOSSES:
        network = Network(rng.standard_normal((3, 5)), rng.standard_normal(5))
        weights = 0.5 * 0.05 * float(np.sum(network.U**2) + np.sum(network.alpha**2))
        for epsilon in (0.01, 0.1, 0.5):
            exact = weights + worst_case_loss(network, X, y, loss=loss, epsilon=epsilon, perturbed=perturbed)
            bound = worst_case_bound(network, X, y, beta=0.05, loss=loss, epsilon=epsilon, perturbed=perturbed)
            assert exact * (1 - 1e-12) <= bound


def test_robust_patterns_with_an_empty_cone_do_not_stall_the_solver():
    X, y = ring_data(14, 0)
    model = ConvexReLUClassifier(beta=0.05, epsilon=0.03, patterns="all", tol=1e-5).fit(X, y)
    assert model.relative_gap_ < 1e-5 and model.n_patterns_ == 184


def test_robust_training_on_many_features_with_sampled_patterns():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)[:60, :10]
    model = ConvexReLUClassifier(beta=1.0, loss="hinge", epsilon=0.05, patterns=6, random_state=0).fit(X, y[:60])
    assert abs(model.relative_gap_) < 1e-6 and model.scope_ == "within the sampled patterns"
    assert model.score(X, y[:60]) > 0.9
    clean = clone(model).set_params(epsilon=0.0, patterns=50).fit(X, y[:60])
    assert model.worst_case_objective_ > max(model.objective_, clean.objective_)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_dual_point_of_admm_certifies_its_network(loss):
    X, y = ring_data()
    patterns = enumerate_patterns(X)
    run = split_admm(X, y, patterns, 0.05, loss=loss, gap=1e-5, iterations=1500)
    # The bound of the kernel is of the same point, with an upper bound on its dual norm in place of the norm.
    bound = restricted_dual_bound(X, y, run.dual, patterns, beta=0.05, loss=loss).value
    assert run.dual_bound[-1] * (1 - 1e-9) <= bound <= run.network[-1]
    direct = admm(X, y, patterns, 0.05, iterations=1500)
    bound = restricted_dual_bound(X, y, direct.dual, patterns, beta=0.05).value
    assert direct.dual_bound[-1] * (1 - 1e-9) <= bound <= direct.network[-1]


def test_robust_logistic_training_on_all_samples_does_not_stall():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = ConvexReLUClassifier(beta=5.0, epsilon=0.1, patterns=1, random_state=0).fit(X, y)
    assert model.relative_gap_ < 1e-6 and model.score(X, y) > 0.95


def test_breast_cancer_at_a_third_of_its_size():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)[:190]
    model = ConvexReLUClassifier(beta=1.0, patterns=40, random_state=0).fit(X, y[:190])
    assert model.relative_gap_ < 1e-3 and model.scope_ == "within the sampled patterns"
    assert model.score(X, y[:190]) > 0.98


def test_prediction_agrees_with_its_parts():
    X, y = ring_data()
    names = np.where(y > 0, "inner", "outer")
    model = ConvexReLUClassifier(beta=0.05).fit(X, names)
    outputs = model.decision_function(X)
    assert np.allclose(outputs, network_outputs(as_network(model), np.column_stack([X, np.ones(len(X))])))
    assert np.array_equal(model.predict(X), np.where(outputs > 0, "outer", "inner"))
    assert np.allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-outputs)))
    assert model.score(X, names) == 1.0
    assert not hasattr(ConvexReLUClassifier(loss="hinge"), "predict_proba")


def test_same_seed_same_model_and_models_survive_pickling_and_cloning():
    X, y = ring_data()
    model = ConvexReLUClassifier(beta=0.05, patterns=8, random_state=3, search_rounds=1).fit(X, y)
    again = clone(model).fit(X, y)
    other = clone(model).set_params(random_state=4).fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    for same in (again, loaded):
        assert np.array_equal(same.decision_function(X), model.decision_function(X))
        assert same.certificate_ == model.certificate_
    assert not np.array_equal(other.decision_function(X), model.decision_function(X))


def test_automatic_choice_enumerates_what_is_cheap():
    rng = np.random.default_rng(0)
    small, large = rng.standard_normal((30, 2)), rng.standard_normal((60, 8))
    assert choose_patterns(small, "auto", rng, bias=False)[1]
    patterns, complete = choose_patterns(large, "auto", rng, bias=False)
    assert not complete and patterns.shape[1] <= 100
    robust, _ = choose_patterns(np.column_stack([large, np.ones(60)]), "auto", rng, bias=True, robust=True)
    assert robust[:, 0].all() and robust.shape[1] < 50


def test_deficient_rank_is_welcome_and_scaling_does_not_starve_the_sample():
    X, y = ring_data()
    doubled = np.column_stack([X, X[:, 0] + X[:, 1], np.full(len(X), 7.0)])
    model = ConvexReLUClassifier(beta=0.05, tol=1e-4, patterns="all").fit(doubled, y)
    assert model.scope_ == "global" and model.relative_gap_ < 1e-4 and model.n_patterns_ == 184
    far = np.column_stack([1e3 + X, np.ones(len(X))])
    patterns, complete = choose_patterns(far, 100, np.random.default_rng(0), bias=True)
    assert not complete and patterns.shape[1] > 30


@pytest.mark.parametrize("make", [ConvexReLUClassifier, ConvexReLURegressor])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.0}, r"beta=0\.0: must be positive"),
        ({"beta": -1.0}, r"beta=-1\.0: must be positive"),
        ({"beta": np.nan}, "beta=nan: must be positive"),
        ({"epsilon": -0.1}, r"epsilon=-0\.1: must be finite and at least 0"),
        ({"tol": 0.0}, r"tol=0\.0: must be finite and positive"),
        ({"max_iter": 0}, "max_iter=0: must be an integer of at least 1"),
        ({"search_rounds": -1}, "search_rounds=-1: must be an integer of at least 0"),
        ({"patterns": "some"}, "patterns='some': must be 'auto', 'all' or a positive integer"),
        ({"patterns": 0}, "patterns=0: must be a positive integer"),
        ({"patterns": 2.5}, r"patterns=2\.5: must be a positive integer"),
        ({"patterns": 10**9}, "patterns=1000000000: more than memory allows, at most"),
    ],
)
def test_bad_settings_are_named(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings).fit(*ring_data())


def test_bad_data_are_named():
    X, y = ring_data()
    model = ConvexReLUClassifier()
    holed = X.copy()
    holed[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.fit(holed, y)
    with pytest.raises(ValueError, match="1 sample"):
        model.fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="X is constant, its n=14 rows are equal"):
        model.fit(np.ones_like(X), y)
    with pytest.raises(ValueError, match="zeros only"):
        model.fit(np.zeros_like(X), y)
    with pytest.raises(ValueError, match=r"one class only, .*1\.0.*: must hold two"):
        model.fit(X, np.ones(len(X)))
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        model.fit(X, np.arange(len(X)) % 3)
    with pytest.raises(ValueError, match="loss='absolute': must be one of"):
        ConvexReLUClassifier(loss="absolute").fit(X, y)
    with pytest.raises(ValueError, match="X has 3 rows: must be the 14 of the training data"):
        model.fit(X, y).global_bound(X[:3], y[:3])


def test_all_patterns_of_real_data_are_refused_with_their_number():
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match=r"patterns='all': X has up to \d.*e\+.* patterns, .* patterns=100 or project"):
        ConvexReLUClassifier(patterns="all").fit(StandardScaler().fit_transform(X), y)
    small = PCA(2).fit_transform(StandardScaler().fit_transform(X))[:40]
    assert choose_patterns(small, "all", np.random.default_rng(0), bias=False)[1]


def test_a_radius_that_only_zero_survives_is_refused_or_reported():
    X, y = ring_data(8, 0)
    with pytest.raises(ValueError, match=r"epsilon=5\.0: only the zero network is feasible; must be below"):
        ConvexReLUClassifier(epsilon=5.0, fit_intercept=False, beta=0.05, patterns="all").fit(X, y)
    with pytest.warns(UserWarning, match=r"does not depend on its inputs: beta=0\.05 or epsilon=5\.0 is too large"):
        ConvexReLUClassifier(epsilon=5.0, beta=0.05, patterns="all").fit(X, y)
    with pytest.warns(UserWarning, match=r"does not depend on its inputs: beta=1000\.0 is too large"):
        model = ConvexReLUClassifier(beta=1000.0).fit(X, y)
    assert model.u_.shape == (0, 2) and np.array_equal(model.decision_function(X), np.zeros(8))


def test_a_gap_that_is_not_reached_is_a_warning_and_still_certified():
    X = StandardScaler().fit_transform(load_breast_cancer().data[:100])
    y = load_breast_cancer().target[:100]
    with pytest.warns(ConvergenceWarning, match="wanted tol=0.001; the certificate holds all the same"):
        short = ConvexReLUClassifier(beta=0.1, patterns=30, max_iter=50, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        long = clone(short).set_params(max_iter=10_000).fit(X, y)
    assert short.dual_bound_ <= long.objective_ * (1 + 1e-9) and long.relative_gap_ < 1e-3
