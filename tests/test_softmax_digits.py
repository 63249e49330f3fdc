"""Softmax regression on digits: every closed form against another way to the same number, and training by rule."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import labelled_data as data
from problems import softmax_digits as softmax
from problems import softmax_training as training
from theorylab.algorithms.curvature_learner import learn_step


def small(seed=0, samples=5, dimension=2, classes=3, steps=7):
    rng = np.random.default_rng(seed)
    drawn = data.labelled(
        rng.standard_normal((samples, dimension)), rng.integers(classes, size=samples).astype(np.int64), classes
    )
    return softmax.softmax_regression(drawn, steps=steps)


@pytest.fixture(scope="module")
def reduced():
    return softmax.softmax_digits(samples=300, components=8)


def sample_hessians(problem):
    """The definition: ``(diag p - p p') (x) x x'`` of every sample by np.kron."""
    return np.array(
        [
            np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
            for p, x in zip(problem.probabilities, problem.features, strict=True)
        ]
    )


def test_sizes_and_loss_of_the_digits():
    problem = softmax.softmax_digits(steps=3)
    assert (problem.samples, problem.parameters) == (1797, 650)
    assert softmax.softmax_digits(samples=600, components=20, steps=1).parameters == 210
    start = softmax.softmax_digits(steps=0)
    assert softmax.loss(start) == pytest.approx(np.log(10.0), rel=1e-14)
    assert softmax.loss(problem) < softmax.loss(start)


def test_hessian_is_the_derivative_of_the_gradient_and_the_gradient_of_the_loss():
    problem = small(1, samples=9, dimension=3)
    flat, step = problem.weights.ravel(), 1e-5
    shape = problem.weights.shape

    def gradient(w):
        return softmax.mean_gradient(problem.features, problem.labels, w.reshape(shape)).ravel()

    def value(w):
        return softmax.loss(softmax.at_weights(problem, w))

    directions = np.eye(flat.size)
    by_loss = [(value(flat + step * e) - value(flat - step * e)) / (2 * step) for e in directions]
    by_gradient = [(gradient(flat + step * e) - gradient(flat - step * e)) / (2 * step) for e in directions]
    assert np.abs(gradient(flat) - by_loss).max() < 1e-9
    assert np.abs(softmax.hessian(problem) - by_gradient).max() < 1e-9


@given(seed=st.integers(0, 10**6), size=st.integers(1, 6))
@settings(max_examples=25)
def test_all_roads_to_a_batch_hessian_agree(seed, size):
    problem = small(seed, samples=6, dimension=3, classes=4)
    rng = np.random.default_rng(seed)
    batch = data.draw_batch(6, size, rng)
    each = sample_hessians(problem)
    direct = each[batch].mean(axis=0)
    v = rng.standard_normal(problem.parameters)
    factor = softmax.factor(problem, batch)
    assert np.abs(softmax.hessian(problem, batch) - direct).max() < 1e-13
    assert np.abs(factor @ factor.T / size - direct).max() < 1e-13
    assert np.abs(factor.T @ factor / size - softmax.gram(problem, batch)).max() < 1e-13
    assert np.abs(softmax.hessian_product(problem, v, batch) - direct @ v).max() < 1e-12
    assert np.abs(softmax.sample_products(problem, v) - each @ v).max() < 1e-12
    assert softmax.sample_product_norms(problem, v) == pytest.approx(np.sum((each @ v) ** 2, axis=1), abs=1e-12)
    assert softmax.sample_norms(problem) == pytest.approx(np.sum(each**2, axis=(1, 2)), abs=1e-13)
    top = np.sort(np.linalg.eigvalsh(direct))[::-1]
    found = softmax.batch_eigenvalues(problem, batch)
    assert found == pytest.approx(top[: found.size], abs=1e-12)
    assert softmax.top_eigenvalue(problem, batch) == pytest.approx(top[0], abs=1e-12)


def test_the_smaller_side_is_taken_and_right(reduced):
    few = data.draw_batch(reduced.samples, 4, np.random.default_rng(0))
    assert softmax.gram(reduced, few).shape == (40, 40)
    eigenvalues = softmax.batch_eigenvalues(reduced, few)
    assert eigenvalues.size == 40
    assert np.sum(eigenvalues > 1e-10 * eigenvalues[0]) == 36  # rank 9 a sample
    assert softmax.top_eigenvalue(reduced, few) == pytest.approx(
        float(np.linalg.eigvalsh(softmax.hessian(reduced, few))[-1]), rel=1e-12
    )


def test_noise_is_the_variance_over_all_batches_without_replacement():
    problem = small(3, samples=6)
    each, whole = sample_hessians(problem), softmax.hessian(problem)
    x = softmax.batch_noise(problem)
    assert softmax.batch_noise(problem, whole) == pytest.approx(x, rel=1e-12)
    for size in range(1, 7):
        batches = [list(b) for b in itertools.combinations(range(6), size)]
        spread = np.mean([np.sum((each[b].mean(axis=0) - whole) ** 2) for b in batches])
        assert spread == pytest.approx(problem.parameters * x * (1 / size - 1 / 6), rel=1e-10, abs=1e-15)
        if size < 6:  # the correction for the finite population is seen
            assert abs(spread - problem.parameters * x / size) > 1e-3 * spread


def test_products_stay_accurate_where_predictions_are_saturated():
    problem = small(2, samples=4, dimension=3, classes=3)
    saturated = softmax.at_weights(problem, 200.0 * problem.weights)
    assert saturated.probabilities.max(axis=1).min() > 1.0 - 1e-12
    u, v = np.random.default_rng(0).standard_normal((2, problem.parameters))
    one, other = u @ softmax.hessian_product(saturated, v), v @ softmax.hessian_product(saturated, u)
    assert 0 < abs(one) < 1e-12
    assert one == pytest.approx(other, rel=1e-10, abs=0)


def test_excess_constant_is_the_mean_of_the_second_order_term_over_all_batches():
    problem = small(3, samples=6)
    each, whole = sample_hessians(problem), softmax.hessian(problem)
    values, vectors = np.linalg.eigh(whole)
    for size in (1, 3, 5):
        second_order = []
        for batch in itertools.combinations(range(6), size):
            moved = (each[list(batch)].mean(axis=0) - whole) @ vectors[:, -1]
            second_order.append(np.sum((vectors[:, :-1].T @ moved) ** 2 / (values[-1] - values[:-1])))
        expected = softmax.excess_constant(problem) * (1 / size - 1 / 6)
        assert np.mean(second_order) == pytest.approx(expected, rel=1e-10)


def test_excess_constant_is_the_limit_of_the_mean_excess(reduced):
    whole = softmax.hessian(reduced)
    top = np.linalg.eigh(whole)[1][:, -1]
    n = reduced.samples
    everyone = np.arange(n)
    # All batches that leave one sample out: the mean is exact, and 1/b is as small as it gets.
    excess = [softmax.excess_sample(reduced, top, np.delete(everyone, i)) for i in everyone]
    assert np.mean(excess) == pytest.approx(softmax.excess_constant(reduced) / ((n - 1) * n), rel=0.02)
    assert abs(softmax.excess_sample(reduced, top, everyone)) < 1e-12


def test_control_variate_takes_out_the_noise(reduced):
    top = np.linalg.eigh(softmax.hessian(reduced))[1][:, -1]
    rng = np.random.default_rng(5)
    batches = [data.draw_batch(reduced.samples, 150, rng) for _ in range(40)]
    raw = np.std([softmax.top_eigenvalue(reduced, b) for b in batches])
    assert np.std([softmax.excess_sample(reduced, top, b) for b in batches]) < 0.3 * raw


def test_principal_components_and_whitening():
    raw = data.digits(400)
    reduced = data.principal_components(raw, 5)
    covariance = reduced.features.T @ reduced.features / 400
    variances = np.diag(covariance)
    assert np.abs(covariance - np.diag(variances)).max() < 1e-12
    assert np.all(np.diff(variances) < 0)
    original = np.linalg.eigvalsh(np.cov(raw.features.T, bias=True))[::-1]
    assert variances == pytest.approx(original[:5], rel=1e-10)
    white = data.whitened(raw, 0.01).features
    spectrum = np.linalg.eigvalsh(white.T @ white / 400)
    expected = np.sort(np.maximum(original, 0) / (np.maximum(original, 0) + 0.01))
    assert spectrum == pytest.approx(expected, abs=1e-10)
    scaled = data.standardised(raw).features
    moving = raw.features.std(axis=0) > 0
    assert np.abs(scaled.mean(axis=0)).max() < 1e-12
    assert scaled.std(axis=0)[moving] == pytest.approx(np.ones(moving.sum()))
    assert not scaled[:, ~moving].any()


def test_mixture_has_classes_only_where_they_are_apart():
    rng = np.random.default_rng(6)
    apart = data.gaussian_mixture(4000, 3, 2, 3.0, rng)
    together = data.gaussian_mixture(4000, 3, 2, 0.0, rng)

    def distance(mixture):
        means = [mixture.features[mixture.labels == k].mean(axis=0) for k in (0, 1)]
        return np.linalg.norm(means[0] - means[1])

    assert distance(apart) > 1.0
    assert distance(together) < 0.2
    separable = data.gaussian_inputs(50, 2, rng, separable=True)
    assert np.array_equal(separable.labels, separable.features @ [1.0, 0.5] > 0)


# ---------------------------------------------------------------------------------------------------------------------


def by_hand(problem, rate, inertia, nesterov, decay, batches):
    """The two momentum methods as they stand in textbooks, on the flat weights."""
    w = before = problem.weights
    path = []
    for rows in batches:
        at = w + inertia * (w - before) if nesterov else w
        x, y = problem.features[rows], problem.labels[rows]
        g = softmax.mean_gradient(x, y, at) + decay * at
        w, before = (at - rate * g if nesterov else w - rate * g + inertia * (w - before)), w
        path.append(w)
    return path


@pytest.mark.parametrize("method", ["polyak", "nesterov"])
def test_training_is_its_definition(method):
    problem = small(7, samples=12, dimension=3, steps=0)
    batches = training.draw_batches(12, 5, 6, np.random.default_rng(1))
    path = by_hand(problem, 0.4, 0.6, method == "nesterov", 0.01, batches)
    rule = training.constant_rule(0.4, 0.6)
    options = {"momentum": method, "batch": 5, "epochs": 3, "every": 3, "decay": 0.01}
    learned = training.train_by_rule(problem, rule, np.random.default_rng(1), averaged=0.5, **options)
    assert np.abs(learned.weights - np.mean(path[-3:], axis=0)).max() < 1e-14
    assert learned.loss == pytest.approx(softmax.loss(softmax.at_weights(problem, learned.weights)))
    assert not learned.diverged


def test_rule_sees_the_curvature_of_the_next_batch_with_decay():
    problem = small(8, samples=12, dimension=3, steps=0)
    seen = []

    def rule(product, n):
        seen.append(np.column_stack([product(e) for e in np.eye(n)]))
        return 0.1, 0.0

    learned = training.train_by_rule(problem, rule, np.random.default_rng(1), batch=4, epochs=4, every=2, decay=0.5)
    first = training.draw_batches(12, 4, 12, np.random.default_rng(1))[0]
    assert len(seen) == learned.rates.size == 2
    assert np.abs(seen[0] - softmax.hessian(problem, first) - 0.5 * np.eye(problem.parameters)).max() < 1e-14


def test_the_curvature_learner_is_a_rule():
    problem = softmax.softmax_digits(samples=400, components=10, steps=0)
    rng = np.random.default_rng(2)

    def rule(product, n):
        step = learn_step(product, n, rule="nesterov", steps=5, rng=rng)
        return step.rate, step.momentum

    learned = training.train_by_rule(problem, rule, np.random.default_rng(1), momentum="nesterov", epochs=30, every=10)
    slow = training.train_by_rule(problem, training.constant_rule(0.01, 0.0), np.random.default_rng(1), epochs=30)
    assert learned.rates.size == 3
    assert learned.loss < 0.5 * slow.loss


def test_divergence_is_an_infinite_loss():
    problem = small(9, samples=12, dimension=3, steps=0)
    wild = training.train_by_rule(
        problem, training.constant_rule(10.0, 0.0), np.random.default_rng(0), batch=4, epochs=200, decay=1.0
    )
    assert wild.diverged
    assert wild.loss == np.inf


def test_bad_input(reduced):
    rng = np.random.default_rng(0)
    n = reduced.samples
    cases = [
        (lambda: data.draw_batch(n, 0, rng), "size=0"),
        (lambda: data.draw_batch(n, n + 1, rng), f"size={n + 1}"),
        (lambda: data.draw_batch(n, 2.0, rng), "size=2.0"),
        (lambda: softmax.hessian(reduced, []), "batch"),
        (lambda: softmax.hessian(reduced, [0, n]), f"0..{n}"),
        (lambda: softmax.hessian(reduced, [-1]), "-1"),
        (lambda: softmax.hessian(reduced, [3, 3]), "repeated"),
        (lambda: softmax.hessian(reduced, [0.5]), "integers"),
        (lambda: softmax.hessian_product(reduced, np.ones(3)), "vector"),
        (lambda: softmax.hessian_product(reduced, np.full(reduced.parameters, np.nan)), "vector"),
        (lambda: softmax.at_weights(reduced, np.ones(3)), "weights"),
        (lambda: softmax.softmax_digits(steps=-1), "steps=-1"),
        (lambda: softmax.softmax_digits(rate=0.0), "rate=0.0"),
        (lambda: softmax.softmax_digits(samples=1798), "samples=1798"),
        (lambda: softmax.softmax_digits(samples=50, components=65), "components=65"),
        (lambda: softmax.batch_noise(small(samples=1)), "samples=1"),
        (lambda: softmax.excess_constant(small(samples=1)), "samples=1"),
        (lambda: data.labelled([[1.0]], [2], 2), "labels in 2..2"),
        (lambda: data.labelled([[np.inf]], [0], 2), "features"),
        (lambda: data.labelled([[1.0]], [0], 1), "classes=1"),
        (lambda: data.labelled([[1.0]], [0.0], 2), "integers"),
        (lambda: data.whitened(data.digits(20), 0.0), "regulariser=0.0"),
        (lambda: data.gaussian_mixture(5, 2, 2, -1.0, rng), "separation=-1.0"),
        (lambda: data.gaussian_inputs(5, 1, rng, separable=True), "dimension=1"),
        (lambda: training.train_by_rule(reduced, training.constant_rule(0.1, 0), rng, batch=n + 1), f"{n + 1}"),
        (lambda: training.train_by_rule(reduced, training.constant_rule(0.1, 0), rng, batch=0), "0"),
        (lambda: training.train_by_rule(reduced, training.constant_rule(0.1, 0), rng, decay=-1.0), "decay=-1.0"),
        (lambda: training.train_by_rule(reduced, training.constant_rule(0.1, 0), rng, averaged=0), "averaged=0"),
        (lambda: training.train_by_rule(reduced, training.constant_rule(np.inf, 0), rng), "rate=inf"),
        (lambda: training.train_by_rule(reduced, training.constant_rule(0.1, 0), rng, momentum="x"), "momentum='x'"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message.replace(".", r"\.")):
            call()
