"""Bilevel instances: derivatives against differences, minimisers by brute force, certificates against every sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from problems import bilevel_quadratic as quadratic
from problems import bilevel_temperature as temperature
from problems import bilevel_topk as topk
from problems import multi_block_bilevel as bilevel
from problems.bilevel_quadratic import OracleNoise, drawn_quadratic, quadratic_bilevel
from problems.bilevel_temperature import breast_cancer_tuning, temperature_tuning
from problems.bilevel_topk import drawn_ranking, topk_ranking

FAMILIES = ["quadratic", "temperature", "top-K"]


def drawn(name, seed=0):
    rng = np.random.default_rng(seed)
    if name == "quadratic":
        return drawn_quadratic(rng, blocks=4)
    if name == "temperature":
        return breast_cancer_tuning(rng, blocks=3, train=40, validation=60)
    return drawn_ranking(rng, blocks=4, items=12, top=3)


def anywhere(problem, rng, spread=1.0):
    """A random x (dx,) and y (m, dy)."""
    c = problem.constants
    return rng.normal(0, spread, c.upper_dimension), rng.normal(0, spread, (c.blocks, c.lower_dimension))


def slopes(function, point, width=1e-5):
    """Central differences of a function of an array, the differentiated axis first."""
    return np.array(
        [(function(point + width * e) - function(point - width * e)) / (2 * width) for e in np.eye(point.size)]
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", FAMILIES)
def test_hypergradient_is_the_difference_quotient(name, seed):
    problem, rng = drawn(name, seed), np.random.default_rng(seed + 9)
    for x in (problem.start, problem.start + rng.standard_normal(problem.start.size)):
        along = rng.standard_normal((8, x.size))
        exact = bilevel.hypergradient(problem, x)
        assert np.abs(bilevel.difference_quotients(problem, x, along) - along @ exact).max() < 1e-7
        assert np.abs(along @ exact).max() > 1e-4
        d = bilevel.derivatives(problem, x, bilevel.lower_solutions(problem, x))
        # Dropping the implicit term is far from the truth: the difference quotient would notice.
        assert np.abs(along @ (d.upper_x.mean(axis=0) - exact)).max() > 1e-4


def test_full_size_instances_have_exact_hypergradients():
    rng = np.random.default_rng(4)
    for problem in (drawn_quadratic(rng), breast_cancer_tuning(rng), drawn_ranking(rng)):
        along = rng.standard_normal((4, problem.start.size))
        exact = along @ bilevel.hypergradient(problem, problem.start)
        assert np.abs(bilevel.difference_quotients(problem, problem.start, along) - exact).max() < 1e-7


@pytest.mark.parametrize("name", FAMILIES)
def test_lower_solutions_are_what_a_minimiser_finds(name):
    problem, rng = drawn(name), np.random.default_rng(2)
    x, y = anywhere(problem, rng)
    exact = bilevel.lower_solutions(problem, x)
    assert np.abs(bilevel.derivatives(problem, x, exact).lower).max() < 1e-12
    for i in range(problem.constants.blocks):

        def objective(point, i=i):
            moved = y.copy()
            moved[i] = point
            return bilevel.lower_values(problem, x, moved)[i]

        found = minimize(objective, np.zeros(y.shape[1]), method="BFGS", options={"gtol": 1e-7})
        assert found.x == pytest.approx(exact[i], abs=2e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_derivatives_are_difference_quotients(name):
    problem, rng = drawn(name), np.random.default_rng(3)
    x, y = anywhere(problem, rng)
    d = bilevel.derivatives(problem, x, y)

    def at(part, moved_y):
        return getattr(bilevel.derivatives(problem, x, moved_y), part)

    assert d.upper_x == pytest.approx(slopes(lambda p: bilevel.upper_values(problem, p, y), x).T, abs=1e-8)
    cross = slopes(lambda p: bilevel.derivatives(problem, p, y).lower, x)
    assert d.cross == pytest.approx(cross.transpose(1, 0, 2), abs=1e-8)
    for b in range(y.shape[1]):
        move = np.zeros_like(y)
        move[:, b] = 1e-5

        def quotient(function, move=move):
            return (function(y + move) - function(y - move)) / 2e-5

        assert d.upper_y[:, b] == pytest.approx(quotient(lambda p: bilevel.upper_values(problem, x, p)), abs=1e-8)
        assert d.lower[:, b] == pytest.approx(quotient(lambda p: bilevel.lower_values(problem, x, p)), abs=1e-8)
        assert d.hessians[:, :, b] == pytest.approx(quotient(lambda p: at("lower", p)), abs=1e-8)


@given(st.sampled_from(FAMILIES), st.integers(0, 30), st.floats(0.1, 5.0))
@settings(max_examples=45, deadline=None)
def test_certified_constants_hold_at_random_points(name, seed, spread):
    problem, rng = drawn(name, seed % 3), np.random.default_rng(seed)
    certificate, constants = bilevel.certify(problem), problem.constants
    x, y = anywhere(problem, rng, spread)
    d = bilevel.derivatives(problem, x, y)
    eigenvalues, near = np.linalg.eigvalsh(d.hessians), 1.0 + 1e-12
    assert certificate.strong_convexity <= eigenvalues.min() * near
    assert eigenvalues.max() <= certificate.smoothness * near
    assert np.linalg.norm(d.upper_y, axis=1).max() <= certificate.upper_gradient * near
    assert np.linalg.norm(d.cross, 2, axis=(1, 2)).max() <= certificate.coupling * near
    assert np.linalg.norm(bilevel.implicit_vectors(problem, x), axis=1).max() <= constants.implicit_radius * near
    other = x + rng.normal(0, 0.1, x.size)
    turned = np.linalg.norm(bilevel.hypergradient(problem, x) - bilevel.hypergradient(problem, other))
    assert turned <= constants.hypergradient_smoothness * np.linalg.norm(x - other) * near
    assert bilevel.value(problem, x) >= certificate.lower_bound


def test_quadratic_constants_are_those_of_the_draw():
    problem = drawn_quadratic(np.random.default_rng(0))
    c, grid = problem.constants, np.linspace(-20.0, 20.0, 400_001)
    slope = quadratic.bounded_slope(grid)
    assert (c.strong_convexity, c.smoothness) == pytest.approx((1.0, 3.0), rel=1e-12)
    assert c.upper_gradient == pytest.approx(np.sqrt(6) * slope.max(), rel=1e-8)
    bends = np.diff(slope) / np.diff(grid)
    assert bends.max() == pytest.approx(quadratic.BEND, abs=1e-4)
    assert bends.min() == pytest.approx(-0.5, abs=1e-4)
    assert np.linalg.norm(problem.start) == pytest.approx(3.0)
    gain = np.linalg.solve(problem.hessians, problem.couplings)
    smooth = 2.0 * np.linalg.norm(np.mean([j.T @ j for j in gain], axis=0), 2) + 0.1
    assert c.hypergradient_smoothness == pytest.approx(smooth)
    x = np.random.default_rng(1).standard_normal(8)
    assert quadratic.closed_hypergradient(problem, x) == pytest.approx(bilevel.hypergradient(problem, x), abs=1e-14)
    one = drawn_quadratic(np.random.default_rng(0), blocks=1, lower_dimension=1, upper_dimension=1)
    assert one.constants.smoothness == pytest.approx(1.0)


def test_gaussian_oracle_has_the_certified_moments():
    problem, calls, rng = drawn("quadratic"), 40_000, np.random.default_rng(8)
    dy, dx, s = 6, 8, problem.noise
    upper = s.hessian * rng.standard_normal((calls, dy, dy))
    n = np.triu(upper) + np.triu(upper, 1).transpose(0, 2, 1)
    m = s.coupling * rng.standard_normal((calls, dy, dx))
    u, w = rng.standard_normal(dy), rng.standard_normal(dx)
    assert np.mean(np.sum((n @ u) ** 2, axis=1)) == pytest.approx(dy * s.hessian**2 * u @ u, rel=0.03)
    for batch in (1, 4):
        certificate = quadratic.certify(problem, batch=batch, reach=2.0)
        joint = np.concatenate([problem.hessians[0], -problem.couplings[0]], axis=1)
        spread = np.diag([dy * s.hessian**2] * dy + [dy * s.coupling**2] * dx) / batch
        top = np.linalg.eigh(joint.T @ joint + spread)[1][:, -1]
        seen = joint @ top + (n @ top[:dy] - m @ top[dy:]) / np.sqrt(batch)
        squared = np.mean(np.sum(seen**2, axis=1))
        assert squared == pytest.approx(top @ (joint.T @ joint + spread) @ top, rel=0.01)
        assert squared <= certificate.lower_smoothness**2 * 1.01
        offsets = s.offset * rng.standard_normal((calls, dy))
        y, x = 2.0 * u / np.linalg.norm(u), 2.0 * w / np.linalg.norm(w)
        noisy = (n @ y - m @ x - offsets) / np.sqrt(batch)
        assert np.mean(np.sum(noisy**2, axis=1)) == pytest.approx(certificate.lower_variance, rel=0.03)
        assert np.mean(np.sum(n**2, axis=(1, 2))) / batch == pytest.approx(certificate.hessian_variance, rel=0.03)
        assert np.mean(np.sum(m**2, axis=(1, 2))) / batch == pytest.approx(certificate.cross_variance, rel=0.03)


def test_mean_squared_smoothness_is_the_largest_eigenvalue():
    noise = OracleNoise(hessian=1.5, coupling=0.7)
    problem = drawn_quadratic(np.random.default_rng(0), blocks=3, noise=noise)
    spread = np.diag([6 * 1.5**2] * 6 + [6 * 0.7**2] * 8) / 2
    joint = np.concatenate([problem.hessians, -problem.couplings], axis=2)
    largest = max(np.linalg.eigvalsh(j.T @ j + spread).max() for j in joint)
    assert bilevel.certify(problem, batch=2).lower_smoothness ** 2 == pytest.approx(largest, rel=1e-12)


def test_certificates_of_finite_sums_are_of_the_right_size():
    # Two opposite samples of full weight at w = 0: the variance is a quarter of the second moment that is certified.
    z = np.array([[3.0, 4.0], [-3.0, -4.0]])
    pair = temperature_tuning(z, z, [0.5])
    lower, curve, _, upper = sampled_oracle(pair, np.full(2, 40.0), np.zeros((1, 2)))
    certificate = bilevel.certify(pair)
    assert np.mean(np.sum(lower**2, axis=1)) == pytest.approx(certificate.lower_variance / 4)
    assert np.mean(np.sum(upper**2, axis=1)) == pytest.approx(certificate.upper_variance / 4)
    # The lower Hessian itself is 0.05 I less than this, and reaches L at w = 0.
    assert np.linalg.norm(curve.mean(axis=0), 2) == pytest.approx(certificate.smoothness)
    # sigmoid'' is largest where sigmoid = (3 + sqrt 3)/6; the direction of fastest change there is (a, -1).
    problem = topk_ranking(np.full((1, 3, 2), 0.5), np.ones((1, 3)), 1)
    level = 1.0 - problem.softness * np.log(2.0 + np.sqrt(3.0))
    move = 1e-4 * np.array([0.5, 0.5, -1.0])
    one = sampled_oracle(problem, np.ones(2) + move[:2], np.array([[level + move[2]]]))
    other = sampled_oracle(problem, np.ones(2) - move[:2], np.array([[level - move[2]]]))
    limits = bilevel.certify(problem)
    for part, limit in ((1, limits.hessian_smoothness), (2, limits.cross_smoothness)):
        change = np.linalg.norm((one[part] - other[part])[0]) / (2.0 * np.linalg.norm(move))
        assert change == pytest.approx(limit, rel=1e-5)


def sampled_oracle(problem, x, y):
    """Every single sample's grad_y g, D2_yy g, D2_xy g and grad f, block 0, the sample first; written out plainly."""

    def sigmoid(u):
        return 1.0 / (1.0 + np.exp(-u))

    if isinstance(problem, temperature.TemperatureTuning):
        z, t, n = problem.features, problem.temperatures[0], problem.features.shape[0]
        miss, share = sigmoid(-z @ y[0] / t), sigmoid(x)
        lower = -(share * miss / t)[:, None] * z + problem.ridge * y[0]
        curve = (share * miss * (1 - miss) / t**2)[:, None, None] * z[:, :, None] * z[:, None, :]
        cross = np.zeros((n, n, y.shape[1]))
        cross[np.arange(n), np.arange(n)] = -(share * (1 - share) * miss / t)[:, None] * z
        far = problem.validation
        upper = np.hstack([np.zeros((far.shape[0], n)), -(sigmoid(-far @ y[0] / t) / t)[:, None] * far])
        return lower, curve + problem.ridge * np.eye(y.shape[1]), cross, upper
    a, gains, n = problem.features[0], problem.gains[0], problem.features.shape[1]
    keep, above = sigmoid((a @ x - y[0]) / problem.softness), sigmoid((a @ x - y[0]) / problem.sharpness)
    lower = (problem.top / n + problem.ridge * y[0] - keep)[:, None]
    curve = (problem.ridge + keep * (1 - keep) / problem.softness)[:, None, None]
    cross = (-(keep * (1 - keep) / problem.softness)[:, None] * a)[:, :, None]
    pull = n * gains * above * (1 - above) / problem.sharpness
    upper = np.hstack([problem.weight * x - pull[:, None] * a, pull[:, None]])
    return lower, curve, cross, upper


@given(st.sampled_from(FAMILIES[1:]), st.integers(0, 30), st.floats(0.1, 3.0))
@settings(max_examples=30, deadline=None)
def test_finite_sums_meet_their_mean_squared_certificates(name, seed, spread):
    problem, rng = drawn(name, seed % 3), np.random.default_rng(seed)
    certificate, near = bilevel.certify(problem), 1.0 + 1e-12
    x, y = anywhere(problem, rng, spread)
    d = bilevel.derivatives(problem, x, y)
    here = sampled_oracle(problem, x, y)
    means = (d.lower[0], d.hessians[0], d.cross[0], np.concatenate([d.upper_x[0], d.upper_y[0]]))
    variances = (
        certificate.lower_variance,
        certificate.hessian_variance,
        certificate.cross_variance,
        certificate.upper_variance,
    )
    for each, mean, variance in zip(here, means, variances, strict=True):
        assert each.mean(axis=0) == pytest.approx(mean, abs=1e-12)
        assert np.mean(np.sum((each - mean).reshape(each.shape[0], -1) ** 2, axis=1)) <= variance * near
    dx, dy = rng.normal(0, 0.1, x.size), rng.normal(0, 0.1, y.shape)
    there, moved = sampled_oracle(problem, x + dx, y + dy), np.sqrt(dx @ dx + dy[0] @ dy[0])
    limits = (
        certificate.lower_smoothness,
        certificate.hessian_smoothness,
        certificate.cross_smoothness,
        certificate.upper_smoothness,
    )
    for one, other, limit in zip(here, there, limits, strict=True):
        gap = (one - other).reshape(one.shape[0], -1)  # of one sample, of rank one: Frobenius is the spectral norm
        assert np.mean(np.sum(gap**2, axis=1)) <= (limit * moved) ** 2 * near


def test_temperature_data_are_split_and_flipped():
    problem = breast_cancer_tuning(np.random.default_rng(0))
    assert problem.features.shape == (200, 31)
    assert problem.validation.shape == (150, 31)
    assert problem.flipped.sum() == 40
    labels = problem.features[:, -1] * np.sqrt(31)
    assert np.abs(labels) == pytest.approx(np.ones(200))
    rows = np.vstack([problem.features * labels[:, None], problem.validation])
    rows[200:] *= np.sign(problem.validation[:, -1:])
    assert np.unique(rows.round(9), axis=0).shape[0] == 350
    assert np.all((problem.temperatures >= 0.25) & (problem.temperatures <= 2.75))
    # Descent tells flipped samples from clean ones.
    x = problem.start
    for _ in range(60):
        x = x - 200.0 * bilevel.hypergradient(problem, x)
    assert bilevel.value(problem, x) < 0.9 * bilevel.value(problem, problem.start)
    assert x[problem.flipped == 0].mean() > 1.0 > -1.0 > x[problem.flipped == 1].mean()


def test_newton_finds_the_same_from_anywhere():
    problem, rng = drawn("temperature"), np.random.default_rng(0)
    x, y = anywhere(problem, rng, 30.0)
    far = temperature.lower_solutions(problem, x, y)
    assert far == pytest.approx(temperature.lower_solutions(problem, x), abs=1e-9)


def test_threshold_keeps_the_top_and_has_its_derivative():
    problem, rng = drawn("top-K"), np.random.default_rng(0)
    x = rng.standard_normal(6)
    level = topk.lower_solutions(problem, x)
    share = 1.0 / (1.0 + np.exp(-(topk.scores(problem, x) - level) / problem.softness))
    assert share.mean(axis=1) == pytest.approx(3 / 12 + problem.ridge * level[:, 0], abs=1e-13)
    moved = slopes(lambda p: topk.lower_solutions(problem, p)[:, 0], x)
    assert topk.threshold_gradients(problem, x) == pytest.approx(moved.T, abs=1e-8)
    sharp = topk_ranking(problem.features, problem.gains, 3, softness=1e-4, ridge=1e-4)
    above = topk.scores(sharp, x) > topk.lower_solutions(sharp, x)
    assert above.sum(axis=1).tolist() == [3] * 4
    chosen = np.sort(topk.scores(sharp, x), axis=1)[:, -3:]
    assert chosen.min(axis=1).tolist() == [topk.scores(sharp, x)[i][above[i]].min() for i in range(4)]


EYE, C, B = np.tile(np.eye(2), (3, 1, 1)), np.ones((3, 2, 4)), np.ones((3, 2))


def built(hessians=EYE, couplings=C, offsets=B, targets=B, anchor=None, start=None, **more):
    ends = {"anchor": np.zeros(4) if anchor is None else anchor, "start": np.zeros(4) if start is None else start}
    return quadratic_bilevel(hessians, couplings, offsets, targets, **ends, **more)


def rng():
    return np.random.default_rng(0)


Z, FEATURES, GAINS = np.ones((5, 2)), np.ones((2, 4, 3)), np.ones((2, 4))
BAD = {
    "hessians\\[0\\] has smallest eigenvalue -1: must be positive": lambda: built(-EYE),
    "hessians\\[0\\] has smallest eigenvalue 0: must": lambda: built(np.zeros((3, 2, 2))),
    "hessians: must be symmetric": lambda: built(EYE + np.array([[0.0, 0.1], [0.0, 0.0]])),
    "hessians.shape=\\(3, 2, 1\\): must be \\(m, dy, dy\\)": lambda: built(EYE[:, :, :1]),
    "hessians: must be finite": lambda: built(EYE * np.nan),
    "couplings.shape=\\(2, 2, 4\\): must be \\(3, 2, any\\)": lambda: built(couplings=C[:2]),
    "offsets.shape=\\(3, 1\\): must be \\(3, 2\\)": lambda: built(offsets=B[:, :1]),
    "start.shape=\\(3,\\): must be \\(4\\)": lambda: built(start=np.zeros(3)),
    "anchor: must be finite, 4": lambda: built(anchor=np.full(4, np.inf)),
    "weight=-0.1: must": lambda: built(weight=-0.1),
    "offset=-1.0: must": lambda: OracleNoise(offset=-1.0),
    "hessian=nan: must": lambda: OracleNoise(hessian=np.nan),
    "strong_convexity=0: must be positive": lambda: drawn_quadratic(rng(), strong_convexity=0),
    "strong_convexity=-1: must be positive": lambda: drawn_quadratic(rng(), strong_convexity=-1),
    "smoothness=0.5: must be at least": lambda: drawn_quadratic(rng(), smoothness=0.5),
    "blocks=0: must": lambda: drawn_quadratic(rng(), blocks=0),
    "lower_dimension=2.5: must": lambda: drawn_quadratic(rng(), lower_dimension=2.5),
    "x.shape=\\(3,\\): must be \\(8\\)": lambda: bilevel.hypergradient(drawn("quadratic"), np.zeros(3)),
    "x: must be finite": lambda: bilevel.value(drawn("quadratic"), np.full(8, np.nan)),
    "y.shape=\\(4, 5\\): must be \\(4, 6\\)": lambda: bilevel.derivatives(
        drawn("quadratic"), np.zeros(8), np.zeros((4, 5))
    ),
    "directions.shape=\\(8,\\)": lambda: bilevel.difference_quotients(drawn("quadratic"), np.zeros(8), np.zeros(8)),
    "batch=0: must": lambda: bilevel.certify(drawn("quadratic"), batch=0),
    "ridge=0.0: must be positive": lambda: temperature_tuning(Z, Z, [1.0], ridge=0.0),
    "temperatures: smallest is -1.0": lambda: temperature_tuning(Z, Z, [1.0, -1.0]),
    "validation.shape=\\(5, 1\\): must be \\(any, 2\\)": lambda: temperature_tuning(Z, Z[:, :1], [1.0]),
    "train=500, validation=150: together": lambda: breast_cancer_tuning(rng(), train=500),
    "flip_rate=1.5: must": lambda: breast_cancer_tuning(rng(), flip_rate=1.5),
    "top=4: must be an integer in 1..3": lambda: topk_ranking(FEATURES, GAINS, 4),
    "ridge=-0.1: must be positive": lambda: topk_ranking(FEATURES, GAINS, 1, ridge=-0.1),
    "gains: smallest is -1.0": lambda: topk_ranking(FEATURES, -GAINS, 1),
    "gains.shape=\\(2, 3\\): must be \\(2, 4\\)": lambda: topk_ranking(FEATURES, GAINS[:, :3], 1),
    "items=1: must be at least 2": lambda: drawn_ranking(rng(), items=1),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
