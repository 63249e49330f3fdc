"""What the claims on the bilevel paper measure with."""

import numpy as np
import pytest

from problems.bilevel_quadratic import drawn_quadratic
from problems.moving_mappings import moving_mappings, noise_energy, values
from theorylab.algorithms.bilevel_methods import as_bilevel_run
from theorylab.algorithms.block_estimators import msvr, zero_fill
from theorylab.algorithms.tracking_bounds import exact_errors, gamma_star
from theorylab.audit import Status
from verify.bilevel.measures import (
    SETTING,
    audited_setting,
    errors_without_cross_term,
    log_slope,
    root_mean_gradient,
    zero_fill_errors,
)
from verify.bilevel.tracking import BLOCKS, FORGOTTEN, NONE, STORM, gamma_of


def recursions(gamma):
    mappings = moving_mappings(np.random.default_rng(0), chord=0.02, steps=60, blocks=8)
    rule = msvr(0.1, gamma)
    noise = noise_energy(mappings, rule.new, rule.old, 2)
    return [predict(values(mappings), noise, rule, sampled=2) for predict in (exact_errors, errors_without_cross_term)]


def test_cross_term_vanishes_at_gamma_star_and_nowhere_else():
    best = gamma_star(0.1, blocks=8, sampled=2)
    with_it, without = recursions(best)
    assert without == pytest.approx(with_it, rel=1e-12)
    for gamma in (0.0, 0.9, best + 0.5):
        with_it, without = recursions(gamma)
        assert abs(without[-1] / with_it[-1] - 1.0) > 0.01


def test_zero_fill_has_its_own_form_and_the_general_one():
    mappings = moving_mappings(np.random.default_rng(0), chord=0.02, steps=60, blocks=8)
    rule, h = zero_fill(0.1, sampled=2, blocks=8), values(mappings)
    general = exact_errors(h, noise_energy(mappings, rule.new, rule.old, 2), rule, sampled=2)
    own = zero_fill_errors(h, noise_energy(mappings, 1.0, 0.9, 2), 0.1, sampled=2)
    assert own == pytest.approx(general, rel=1e-12)


def test_the_wrong_gammas_are_the_mistakes_they_are_called():
    best = gamma_of("gamma*", 0.25, 4)
    assert best == pytest.approx((BLOCKS - 4) / (4 * 0.75) + 0.75)
    assert gamma_of(FORGOTTEN, 0.25, 4) == pytest.approx(best - 0.75)
    assert gamma_of(STORM, 0.25, 4) == 0.75 == gamma_of("gamma*", 0.25, BLOCKS)
    assert gamma_of(NONE, 0.25, 4) == 0.0
    with pytest.raises(ValueError, match="name='gamma'"):
        gamma_of("gamma", 0.25, 4)


def test_slope_and_divergence():
    x = np.array([1.0, 2.0, 8.0])
    assert log_slope(x, 3.0 * x**-0.5) == pytest.approx(-0.5)
    assert log_slope(x, [1.0, np.inf, 1.0]) == np.inf


def test_gradient_is_that_of_the_last_part():
    squares = np.array([100.0, 100.0, 100.0, 1.0, 9.0])
    record = np.stack([squares, squares, squares, squares], axis=1)
    run = as_bilevel_run(np.arange(5), record, np.zeros(1), np.zeros(1), np.zeros((1, 1)), np.zeros((0, 1)), -1)
    assert root_mean_gradient(run) == pytest.approx(np.sqrt(5.0))
    assert root_mean_gradient(run, share=0.2) == pytest.approx(3.0)


def test_every_assumption_is_certified_on_a_drawn_instance():
    audits = audited_setting(drawn_quadratic(np.random.default_rng(0), blocks=4), 2)
    assert set(audits) == set(SETTING)
    assert all(audit.status is Status.CERTIFIED for audit in audits.values())
    assert audits["A1"].measured == pytest.approx(1.0)
