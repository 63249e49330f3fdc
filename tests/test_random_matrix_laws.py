"""Formulas of random-matrix Hessians: against limits, derivatives, quadrature and printed misprints; bad input."""

from math import inf, isclose, nan, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from theorylab.algorithms import random_matrix_laws as laws
from theorylab.algorithms import stability_rules as rules
from theorylab.algorithms import wishart_laws as wishart

positive = st.floats(0.05, 20.0)


@given(st.integers(2, 10**6), st.data())
def test_effective_batch_is_the_exact_variance_factor_of_equation_6(population, data):
    batch = data.draw(st.integers(1, population - 1))
    printed = (1 / batch - (batch - 1) / (batch * (population - 1))) * (population - 1) / population
    assert isclose(1 / laws.effective_batch(batch, population), printed, rel_tol=1e-6, abs_tol=1e-15)


def test_effective_batch_at_its_ends():
    assert laws.effective_batch(7) == 7.0
    assert laws.effective_batch(7, 7) == inf
    assert laws.bulk_radius(100, 1.0, inf) == 0.0


@given(positive, positive)
def test_outlier_solves_the_resolvent_equation(spike, radius):
    """The Stieltjes transform of the semicircle at the outlier is 1/lambda, by quadrature."""
    if spike <= 1.05 * radius:
        assert laws.batch_top(spike, radius) == (2 * radius if spike <= radius else laws.outlier_branch(spike, radius))
        return
    z = laws.batch_top(spike, radius)
    # With x = 2 rho cos(angle) the density times dx is smooth.
    transform, _ = quad(lambda a: 2 / pi * np.sin(a) ** 2 / (z - 2 * radius * np.cos(a)), 0, pi)
    assert isclose(transform, 1 / spike, rel_tol=1e-8)


@given(st.floats(-20, 20), st.floats(0.01, 20))
def test_wigner_top_is_continuous_above_its_edge_and_mirrored(spike, radius):
    top = laws.batch_top(spike, radius)
    assert top >= 2 * radius * (1 - 1e-15) and top >= spike
    assert laws.batch_bottom(-spike, radius) == -top
    lower, upper = laws.mean_top_bounds(max(spike, 0.0), radius)
    assert lower <= laws.batch_top(max(spike, 0.0), radius) <= upper * (1 + 1e-15)


@given(st.floats(1.001, 50))
def test_overlap_is_the_derivative_of_the_outlier(theta):
    step = 1e-6 * theta
    slope = (laws.outlier_branch(theta + step, 1.0) - laws.outlier_branch(theta - step, 1.0)) / (2 * step)
    assert isclose(laws.squared_overlap(theta, 1.0), slope, abs_tol=1e-8)
    assert 1 < laws.largest_relative_gain(theta, 1.0) < 2


def test_lemma_11_differs_from_theorem_10_only_between_the_thresholds():
    for spike in (0.5, 0.99, 1.5, 2.0, 2.1, -1.5, -3.0):
        same = not 1 < abs(spike) <= 2
        assert (laws.squared_overlap_lemma11(spike, 1.0) == laws.squared_overlap(spike, 1.0)) is same
    assert isclose(laws.squared_overlap(1.5, 1.0), 1 - 1 / 2.25)


def test_semicircle_density_and_distribution_agree():
    for x in (-1.9, -0.3, 0.0, 1.2, 2.0):
        mass, _ = quad(lambda y: float(laws.semicircle_density(y, 1.0)), -2, x)
        assert isclose(mass, float(laws.semicircle_cdf(x, 1.0)), abs_tol=1e-8)
    assert laws.semicircle_density([-2.5, 2.5], 1.0).tolist() == [0.0, 0.0]
    assert laws.semicircle_cdf([-9.0, 9.0], 0.5).tolist() == [0.0, 1.0]


def test_edge_mean_is_the_standardised_edge_of_minus_1_2065():
    assert isclose(float(laws.standardised_edge(laws.edge_mean(700, 1.3), 700, 1.3)), laws.TRACY_WIDOM_MEAN)


def mass_of(density, q):
    """The mass of a density on the bulk, with y = centre + 2 sqrt(q) cos(angle)."""

    def integrand(angle):
        y = 1 + q + 2 * sqrt(q) * np.cos(angle)
        return float(density(y, q, 1.0)) * 2 * sqrt(q) * np.sin(angle)

    return quad(integrand, 0, pi, limit=200)[0]


@pytest.mark.parametrize("q", [0.25, 0.6, 2.0])
def test_marchenko_pastur_mass_and_mean(q):
    assert isclose(mass_of(wishart.marchenko_pastur_density, q), min(1, 1 / q), abs_tol=1e-6)
    mean = mass_of(lambda y, r, s: y * wishart.marchenko_pastur_density(y, r, s), q)
    assert isclose(mean, 1.0, abs_tol=1e-6)
    scaled = wishart.marchenko_pastur_density(4 * 1.1, q, 2.0)
    assert isclose(4 * scaled, float(wishart.marchenko_pastur_density(1.1, q, 1.0)))


@pytest.mark.parametrize(("q", "mass"), [(0.25, 0.0), (0.6, 1 / 3), (2.0, 1.0)])
def test_printed_marchenko_pastur_has_the_wrong_mass_even_with_pi(q, mass):
    # The printed support is around 3q - 1, which is 0 for a shift of sign in 1 - q.
    found, _ = quad(lambda y: float(wishart.printed_marchenko_pastur_density(y, q, 1.0)) / pi, 0, 30, limit=500)
    assert isclose(found, mass, abs_tol=2e-3)
    assert abs(found - min(1, 1 / q)) > 0.3


@given(st.floats(0.05, 20), positive, st.floats(0.2, 3))
def test_additive_outlier_solves_the_r_transform_and_ends_at_the_edge(q, excess, sigma):
    threshold = wishart.additive_transition(q, sigma)
    spike = threshold * (1 + excess)
    z = wishart.additive_top(spike, q, sigma)
    # 1/lambda = S-transform root: q s z g^2 - (z - s(1-q)) g + 1 = 0 with g = 1/lambda.
    s, g = sigma**2, 1 / spike
    assert abs(q * s * z * g**2 - (z - s * (1 - q)) * g + 1) < 1e-9 * (1 + z * g)
    step = 1e-6 * spike
    slope = (wishart.additive_top(spike + step, q, sigma) - wishart.additive_top(spike - step, q, sigma)) / (2 * step)
    assert isclose(wishart.additive_overlap(spike, q, sigma), slope, abs_tol=1e-4)
    just_above = wishart.additive_top(threshold * (1 + 1e-7), q, sigma)
    assert isclose(just_above, wishart.wishart_edge(q, sigma), rel_tol=1e-6)


@given(st.floats(0.05, 20), st.floats(0.2, 3))
def test_theorem_7_as_printed_is_right_at_q_one_only(q, sigma):
    s = sigma**2
    far = 3 * s * max(q + sqrt(q), 1 + q)
    assert isclose(wishart.theorem7_top(far, q, sigma), wishart.additive_top(far, q, sigma), rel_tol=1e-9)
    factor = 2 * (1 + q) / (1 + sqrt(q)) ** 2
    assert isclose(wishart.theorem7_top(0, q, sigma) / wishart.wishart_edge(q, sigma), factor)
    assert 1 <= factor < 2
    assert isclose(wishart.theorem7_top(0, 1, sigma), wishart.additive_top(0, 1, sigma))


@given(st.floats(0.05, 20), positive)
def test_covariance_laws_in_terms_of_ell(q, excess):
    ell = 1 + sqrt(q) * (1 + excess)
    assert isclose(wishart.covariance_top(ell - 1, q, 1.0), ell * (1 + q / (ell - 1)))
    expected = (1 - q / (ell - 1) ** 2) / (1 + q / (ell - 1))
    assert isclose(wishart.covariance_overlap(ell - 1, q, 1.0), expected, abs_tol=1e-12)
    assert wishart.covariance_overlap(0.9 * sqrt(q), q, 1.0) == 0.0


@given(positive, positive)
def test_static_exponent_is_the_derivative_and_at_most_one_half(spike, radius):
    found = rules.static_exponent(spike, radius)
    assert found <= 0.5
    h = 1e-5
    if abs(spike / radius - 1) > 1e-3:
        rates = [rules.static_rate(spike, radius * np.exp(-0.5 * side * h)) for side in (1, -1)]
        assert isclose(found, np.log(rates[0] / rates[1]) / (2 * h), abs_tol=1e-4)


@given(positive)
def test_static_gain_above_the_transition_is_under_two(spike):
    gain = rules.static_rate(spike, 0.0) / rules.static_rate(spike, spike * (1 - 1e-12))
    assert gain < 2 and isclose(gain, 2, rel_tol=1e-9)


def test_extrapolated_rate_is_linear_where_theorem_4_has_the_square_root():
    first, second = (rules.extrapolated_rate(1.0, laws.bulk_radius(1000, 1.0, b)) for b in (1, 2))
    assert 0.99 < np.log2(second / first) < 1
    first, second = (rules.static_rate(1.0, laws.bulk_radius(1000, 1.0, b)) for b in (1, 2))
    assert isclose(np.log2(second / first), 0.5)


@given(positive)
def test_wishart_exponent_is_the_derivative_of_the_edge(q):
    h = 1e-5
    rates = [2 / wishart.wishart_edge(q * np.exp(-side * h), 1.0) for side in (1, -1)]
    assert isclose(rules.wishart_static_exponent(q), np.log(rates[0] / rates[1]) / (2 * h), abs_tol=1e-6)


@given(st.integers(1, 6), st.integers(1, 9), positive, st.floats(0, 3))
def test_dynamic_rate_solves_the_mean_square_equation(p, b, lam, sigma):
    eta = rules.dynamic_rate(lam, p, sigma, b)
    assert isclose((1 - eta * lam) ** 2 + eta**2 * (p + 1) * sigma**2 / b, 1, abs_tol=1e-9)
    eta = rules.least_squares_rate(p, b)
    assert isclose(1 - 2 * eta + eta**2 * (1 + (p + 1) / b), 1, abs_tol=1e-9)


@pytest.mark.parametrize("eta", [0.5, 3.0])
def test_damping_is_where_the_damped_step_meets_the_threshold(eta):
    delta = brentq(lambda d: eta / (1 + d) - rules.dynamic_rate(1.0, 500, 0.6, 4), 0, 1e4)
    assert isclose(rules.dynamic_damping(eta, 1.0, 500, 0.6, 4), delta)
    delta = brentq(lambda d: eta / (1 + d) * laws.batch_top(1.0, 7.0) - 2, 0, 1e4)
    assert isclose(rules.static_damping(eta, 1.0, 7.0), delta)
    assert rules.dynamic_damping(1e-3, 1.0, 5, 0.1, 4) == 0.0


def test_equation_29_as_printed_is_twice_the_ratio():
    spike, radius = 3.0, 1.2
    correct = laws.batch_top(spike, radius) / (2 * radius)
    assert isclose(rules.edge_over_outlier(spike / radius), correct)
    assert isclose(rules.edge_over_outlier_printed(spike / radius), 2 * correct)
    assert isclose(rules.preconditioned_rate(0.01, radius), 2 / (2 * radius / 0.01))


def test_squared_norm_variance_against_simulation():
    rng = np.random.default_rng(3)
    root = rng.standard_normal((6, 6))
    g = rng.standard_normal(6)
    seen = np.var(np.sum((g + rng.standard_normal((200_000, 6)) @ root.T / sqrt(4)) ** 2, axis=1))
    assert isclose(rules.squared_norm_variance(g, root @ root.T, 4), seen, rel_tol=0.03)


def test_stationary_loss_of_an_autoregression_by_lyapunov():
    eta, beta, h, noise = 0.3, 0.6, 1.4, 0.7
    step = np.array([[1 + beta - eta * h, -beta], [1.0, 0.0]])
    drive = np.diag([eta**2 * noise**2 / 5, 0.0])
    second = np.linalg.solve(np.eye(4) - np.kron(step, step), drive.ravel())
    assert isclose(rules.stationary_loss(noise, 5, eta, h, beta), 0.5 * h * second[0])
    assert rules.stationary_loss(noise, 5, 4.0, h, 0.0) == inf


def test_rank_bounds_of_the_papers_example():
    assert rules.rank_bound([13_416], 1024, 10) == 577_600
    assert rules.small_loss_rank_bound([40, 2], 20) == 124


def test_psd_ceiling_holds_on_every_batch_of_a_small_population():
    rng = np.random.default_rng(0)
    p, n, rank, batch = 6, 5, 2, 2
    factors = rng.standard_normal((n, p, rank))
    hessians = factors @ factors.transpose(0, 2, 1)
    full = hessians.mean(axis=0)
    variance = n / (n - 1) * (np.mean(np.sum(hessians**2, axis=(1, 2))) - np.sum(full**2)) / p**2
    pairs = [(i, j) for i in range(n) for j in range(i)]
    tops = [np.linalg.eigvalsh((hessians[i] + hessians[j]) / 2)[-1] for i, j in pairs]
    ceiling = rules.psd_ceiling(float(np.mean(np.square(tops))), p, batch, rank, n)
    assert p * variance / batch <= ceiling < 100 * p * variance / batch


BAD = {
    "batch=0": lambda: laws.effective_batch(0, 10),
    "batch=11": lambda: laws.effective_batch(11, 10),
    "batch=2.5": lambda: laws.effective_batch(2.5, 10),
    "batch=True": lambda: laws.effective_batch(True, 10),
    "deviation=-1.0": lambda: laws.bulk_radius(10, -1.0, 2.0),
    "effective=nan": lambda: laws.bulk_radius(10, 1.0, nan),
    "effective=0.0": lambda: laws.bulk_radius(10, 1.0, 0.0),
    "radius=-0.5": lambda: laws.batch_top(1.0, -0.5),
    "radius=nan": lambda: laws.squared_overlap(1.0, nan),
    "spike=inf": lambda: laws.batch_top(inf, 1.0),
    "spike=0.0": lambda: laws.outlier_branch(0.0, 1.0),
    "spike=1.0: must exceed": lambda: laws.largest_relative_gain(1.0, 1.0),
    "theta=1.0": lambda: laws.outlier_fluctuation(1.0),
    "radius=0.0": lambda: laws.semicircle_cdf(0.0, 0.0),
    "spike=-1.0": lambda: wishart.additive_top(-1.0, 1.0, 1.0),
    "ratio=0.0": lambda: wishart.covariance_top(1.0, 0.0, 1.0),
    "deviation=nan": lambda: wishart.theorem7_top(1.0, 1.0, nan),
    "deviation=0.0": lambda: wishart.marchenko_pastur_density(1.0, 1.0, 0.0),
    "curvature=0.0": lambda: rules.dynamic_rate(0.0, 10, 1.0, 2.0),
    "parameters=-3": lambda: rules.dynamic_rate(1.0, -3, 1.0, 2.0),
    "rate=-1.0": lambda: rules.dynamic_damping(-1.0, 1.0, 10, 1.0, 2.0),
    "momentum=1.0": lambda: rules.stationary_loss(1.0, 1, 0.1, 1.0, 1.0),
    "neurons=\\[\\]": lambda: rules.rank_bound([], 3, 2),
    "population=1": lambda: rules.psd_ceiling(1.0, 5, 1, 2, 1),
    "smallest eigenvalue=-1": lambda: rules.squared_norm_variance([1.0], [[-1.0]], 2),
    "covariance.shape": lambda: rules.squared_norm_variance([1.0], np.eye(2), 2),
    "mean_squared_top=-1.0": lambda: rules.psd_ceiling(-1.0, 5, 1, 2),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named_with_its_value(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
