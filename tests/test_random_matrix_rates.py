"""What the claims on learning rates measure: slopes, the search for the largest rate, the learner's factor."""

import numpy as np
import pytest

from verify.random_matrix import gradient_noise, learner, rates, sgd


def test_log_log_slope_is_the_exponent_of_a_power():
    x = np.array([1.0, 4.0, 16.0, 64.0])
    assert rates.log_log_slope(x, 3.0 * x**0.5) == pytest.approx(0.5)
    assert rates.log_log_slope(x, [1.0, np.inf, 1.0, 1.0]) == np.inf


@pytest.mark.kernels
def test_largest_rates_are_on_the_grid_and_shared_batches_make_them_repeatable():
    network, seed = rates.new_network(np.random.default_rng(0))
    found = rates.largest_rates("sgd", network, [2, 8], 300, 1.5, seed)
    assert np.isin(found, rates.GRID).all()
    assert found[1] >= found[0]
    np.testing.assert_array_equal(found, rates.largest_rates("sgd", network, [2, 8], 300, 1.5, seed))


@pytest.mark.kernels
def test_a_search_that_ends_at_the_end_of_its_grid_is_refused():
    network, seed = rates.new_network(np.random.default_rng(0))
    with pytest.raises(ValueError, match="end of the grid"):
        rates.largest_rates("heavy ball", network, [4], 5, 1e-3, seed)


@pytest.mark.parametrize("top", [0.2, 80.0])
def test_textbook_factors_do_not_depend_on_the_units(top):
    polyak = learner._factor(top, "polyak", "textbook", np.random.default_rng(1))
    nesterov = learner._factor(top, "nesterov", "textbook", np.random.default_rng(1))
    assert polyak == pytest.approx(learner.POLYAK, abs=0.01)
    assert nesterov == pytest.approx(learner.NESTEROV**2, abs=0.02)


def test_printed_rates_agree_with_the_textbook_at_their_matched_scales():
    for rule, top in learner.MATCHED.items():
        printed = learner.step_from_curvature(top, top / learner.CONDITION, rule=rule, form="printed")
        assert printed == pytest.approx(learner.step_from_curvature(top, top / learner.CONDITION, rule=rule))


def test_damping_without_the_factor_is_that_of_one_direction():
    whole, one = sgd._stated_damping(2.0, 1), sgd._stated_damping(2.0, 1, factor=False)
    assert whole == pytest.approx(1.0 + 501 * 200.0 / 500 - 1.0)
    assert one == pytest.approx(max(0.0, 1.0 + 200.0 / 500 - 1.0))


def test_gradients_have_the_stated_signal_to_noise():
    g, covariance = gradient_noise._gradients(0.3)
    assert g @ g / np.trace(covariance) == pytest.approx(0.3)
