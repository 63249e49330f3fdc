"""The judges judged: false alarms, power and guards on simulated truth; every judge red where it must be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from simulation import noisy, verdict_shares

from theorylab.judges import (
    Equals,
    EveryRun,
    InExpectation,
    LinearConvergence,
    Ordered,
    RateAtLeast,
    RateAtMost,
    RateExactly,
    WithProbability,
)
from theorylab.measurements import measurements
from theorylab.verdicts import Verdict, all_of, conclude, holm_levels

X = np.geomspace(1e2, 1e4, 8)
LONG = np.geomspace(1e2, 1e5, 13)
FLAT = np.arange(1.0, 5.0)
LEVEL = 0.01
# 300 repeats at a true false-alarm rate of 1 % show at most 8 with probability 99.6 %.
REPEATS, FALSE_ALARMS = 300, 8 / 300
RATE = RateAtMost(measured="measured", rate=-0.5, margin=0.05)


def shares(judge, x, curve, replicates, sigma, **options):
    return verdict_shares(judge, x, curve, replicates, sigma, repeats=REPEATS, seed=21, level=LEVEL, **options)


@pytest.mark.parametrize("replicates", [8, 64])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
@pytest.mark.parametrize(
    ("judge", "truth"),
    [
        (InExpectation(measured="measured", at_most=1.0), 1.0),
        (InExpectation(measured="measured", at_least=1.0), 1.0),
        (Equals(measured="measured", to=1.0, relative=0.1), 1.1),
        (Ordered(smaller="measured", larger="other"), 1.0),
    ],
)
def test_false_alarms_about_a_mean_stay_at_their_level(judge, truth, sigma, replicates):
    found = shares(judge, FLAT, truth * np.ones(4), replicates, sigma, other=1.0)
    assert found["violated"] <= FALSE_ALARMS
    assert found["upheld"] <= 0.05


@pytest.mark.parametrize("trajectory", [None, 0.8])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_false_alarms_about_a_rate_stay_at_their_level(sigma, trajectory):
    on_the_limit = X**-0.45
    found = shares(RATE, X, on_the_limit, 16, sigma, trajectory=trajectory)
    assert found["violated"] <= FALSE_ALARMS
    assert found["upheld"] <= 0.05


@pytest.mark.parametrize(("delta", "runs"), [(0.1, 60), (0.05, 200)])
def test_false_alarms_about_a_probability_stay_at_their_level(delta, runs):
    judge = WithProbability(measured="measured", at_most=0.0, delta=delta)
    rng = np.random.default_rng(3)
    verdicts = []
    for _ in range(1000):
        missed = (rng.random((3, runs)) < delta).astype(float)
        verdicts.append(conclude(judge.examine(measurements(FLAT[:3], missed)), level_violated=LEVEL))
    assert verdicts.count(Verdict.VIOLATED) <= 20
    assert verdicts.count(Verdict.UPHELD) <= 50


def test_power_against_a_rate_wrong_by_a_tenth_and_a_constant_wrong_by_ten_percent():
    strict = RateAtMost(measured="measured", rate=-0.5, margin=0.03)
    assert shares(strict, LONG, LONG**-0.4, 64, 0.1)["violated"] >= 0.9
    assert shares(strict, LONG, LONG**-0.5, 64, 0.1)["upheld"] >= 0.9
    mean = InExpectation(measured="measured", at_most=1.0)
    assert shares(mean, FLAT, 1.1 * np.ones(4), 128, 0.3)["violated"] >= 0.9
    assert shares(mean, FLAT, 0.9 * np.ones(4), 256, 0.3)["upheld"] >= 0.9


TRAPS = {
    "logarithm": (np.sqrt(np.log(X) / X), -0.5),
    "squared logarithm": (np.log(X) ** 2 / X, -1.0),
    "floor": (1 / X + 1e-3, -1.0),
    "pre-asymptote": (1 / (X + 1000), -1.0),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize(("replicates", "sigma"), [(8, 0.3), (64, 0.3), (8, 1.0), (64, 0.03)])
def test_traps_neither_refute_the_true_rate_nor_uphold_the_fitted_one(trap, replicates, sigma):
    curve, true_rate = TRAPS[trap]
    fitted_rate = float(np.polyfit(np.log(X), np.log(curve), 1)[0])
    assert abs(fitted_rate - true_rate) > 0.06
    true = RateAtMost(measured="measured", rate=true_rate, margin=0.05)
    assert shares(true, X, curve, replicates, sigma)["violated"] <= FALSE_ALARMS
    false = RateExactly(measured="measured", rate=fitted_rate, margin=0.05)
    assert shares(false, X, curve, replicates, sigma)["upheld"] <= 0.05


def test_declaring_the_floor_drops_its_points_and_removes_the_excuse():
    rng = np.random.default_rng(0)
    values = noisy(1 / LONG + 1e-4, 32, 0.02, rng)
    excused = RateAtMost(measured="measured", rate=-1.0, margin=0.1).examine(measurements(LONG, values))
    assert conclude(excused) is Verdict.INCONCLUSIVE
    declared = RateAtMost(measured="measured", rate=-1.0, margin=0.1, floor=1e-4).examine(measurements(LONG, values))
    assert conclude(declared) is Verdict.UPHELD
    assert "at the floor left out" in declared.sentence
    plateau = noisy(1 / LONG + 1e-2, 32, 0.02, rng)
    refuted = RateAtMost(measured="measured", rate=-1.0, margin=0.1, floor=1e-4).examine(measurements(LONG, plateau))
    assert conclude(refuted) is Verdict.VIOLATED


def test_the_bounds_own_slope_is_the_stated_rate():
    bound = np.sqrt(np.log(X) / X)
    values = noisy(bound, 64, 0.05, np.random.default_rng(1))
    judge = RateAtMost(measured="measured", rate="bound", margin=0.05)
    assert conclude(judge.examine(measurements(X, values, bound=bound))) is Verdict.UPHELD
    slower = noisy(bound * X**0.2, 64, 0.05, np.random.default_rng(1))
    evidence = judge.examine(measurements(X, slower, bound=bound))
    assert conclude(evidence) is Verdict.VIOLATED
    assert evidence.estimate == pytest.approx(0.2, abs=0.02)
    assert [s.ratio for s in evidence.slack] == sorted((s.ratio for s in evidence.slack), reverse=True)


def test_lower_bounds_are_judged_from_below():
    fast = noisy(LONG**-1.0, 64, 0.05, np.random.default_rng(2))
    judge = RateAtLeast(measured="measured", rate=-0.5, margin=0.05)
    assert conclude(judge.examine(measurements(LONG, fast))) is Verdict.VIOLATED
    slow = noisy(LONG**-0.4, 64, 0.05, np.random.default_rng(2))
    assert conclude(judge.examine(measurements(LONG, slow))) is Verdict.UPHELD


def test_growth_that_outruns_its_rate_has_no_floor_as_an_excuse():
    regret = noisy(np.sqrt(LONG) + 0.05 * LONG, 64, 0.02, np.random.default_rng(4))
    judge = RateAtMost(measured="measured", rate=0.5, margin=0.05)
    assert conclude(judge.examine(measurements(LONG, regret))) is Verdict.VIOLATED


def test_linear_convergence_reads_the_factor_and_refutes_a_sublinear_curve():
    steps = np.arange(0.0, 60.0, 4.0)
    linear = noisy(0.8**steps, 16, 0.02, np.random.default_rng(5), trajectory=0.5)
    judge = LinearConvergence(measured="measured", factor_at_most=0.85, floor=1e-12)
    evidence = judge.examine(measurements(steps, linear))
    assert conclude(evidence) is Verdict.UPHELD
    assert evidence.interval[0] < 0.8 < evidence.interval[1]
    sublinear = noisy(1 / (1 + steps), 16, 0.02, np.random.default_rng(5), trajectory=0.5)
    assert conclude(judge.examine(measurements(steps, sublinear))) is Verdict.VIOLATED


def test_every_run_reports_the_worst_cell_and_allows_rounding_only():
    values = np.array([[1.0, 1.0 + 1e-12], [0.2, 0.3]])
    judge = EveryRun(measured="measured", at_most="bound")
    assert conclude(judge.examine(measurements([10, 20], values, bound=[1.0, 1.0]))) is Verdict.UPHELD
    values[1, 1] = 1.001
    evidence = judge.examine(measurements([10, 20], values, bound=[1.0, 1.0]))
    assert conclude(evidence) is Verdict.VIOLATED
    assert evidence.details["counterexample"] == {"point": 20, "replicate": 1}
    assert "1 of 4 cells" in evidence.sentence


def test_every_run_window_is_two_sided():
    judge = EveryRun(measured="measured", at_least=0.9, at_most=1.1)
    assert conclude(judge.examine(measurements([1], [[0.95, 1.05]]))) is Verdict.UPHELD
    assert conclude(judge.examine(measurements([1], [[0.85, 1.05]]))) is Verdict.VIOLATED
    assert conclude(judge.examine(measurements([1], [[0.95, 1.15]]))) is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("judge", "word"),
    [
        (InExpectation(measured="measured", at_most=10.0), "violated"),
        (InExpectation(measured="measured", at_least=0.001), "upheld"),
        (Equals(measured="measured", to=1.0, relative=0.5), "violated"),
        (Ordered(smaller="measured", larger="other"), "violated"),
        (EveryRun(measured="measured", at_most=10.0), "violated"),
        (RATE, "violated"),
        (RateAtLeast(measured="measured", rate=-0.5), "inconclusive"),
    ],
)
def test_a_diverged_run_contradicts_every_upper_bound(judge, word):
    values = noisy(X**-0.5, 8, 0.1, np.random.default_rng(6))
    values[3, 2] = math.inf
    assert conclude(judge.examine(measurements(X, values, other=5.0))).word == word


def test_a_diverged_run_contradicts_even_an_infinite_bound():
    judge = EveryRun(measured="measured", at_most="bound")
    values = np.array([[1.0, math.inf]])
    assert conclude(judge.examine(measurements([1], values, bound=math.inf))) is Verdict.VIOLATED


def test_one_diverged_run_in_many_is_a_failure_of_a_probability_and_no_more():
    values = np.zeros((1, 200))
    values[0, 0] = math.inf
    judge = WithProbability(measured="measured", at_most=1.0, delta=0.05)
    assert conclude(judge.examine(measurements([1], values))) is Verdict.UPHELD


def test_probability_needs_enough_runs_to_uphold_anything():
    judge = WithProbability(measured="measured", at_most=1.0, delta=0.05)
    enough = judge.least_replicates
    assert conclude(judge.examine(measurements([1], np.zeros((1, enough))))) is Verdict.UPHELD
    assert conclude(judge.examine(measurements([1], np.zeros((1, enough - 1))))) is Verdict.INCONCLUSIVE


def test_negative_measurements_are_compared_by_difference():
    rng = np.random.default_rng(7)
    regret = -1 + 0.1 * rng.standard_normal((3, 12))
    judge = InExpectation(measured="measured", at_most="bound")
    assert conclude(judge.examine(measurements(FLAT[:3], regret, bound=0.5))) is Verdict.UPHELD
    assert conclude(judge.examine(measurements(FLAT[:3], regret, bound=-2.0))) is Verdict.VIOLATED
    assert conclude(judge.examine(measurements(FLAT[:3], regret, bound=-1.0))) is Verdict.INCONCLUSIVE


def test_a_small_positive_difference_is_no_skewed_quantity():
    judge = Equals(measured="measured", to=1.0, absolute=0.15)
    slopes = np.array([[1.002, 1.07, 1.13, 1.09]])
    evidence = judge.examine(measurements([1], slopes))
    assert evidence.interval == pytest.approx((-0.012, 0.158), abs=2e-3)
    assert conclude(judge.examine(measurements([1], slopes - 0.05))) is Verdict.UPHELD


def test_paired_arms_cancel_their_common_noise():
    common = noisy(np.ones(4), 12, 1.0, np.random.default_rng(8))
    judge = Ordered(smaller="measured", larger="other")
    assert conclude(judge.examine(measurements(FLAT, common, other=1.05 * common))) is Verdict.UPHELD
    assert conclude(judge.examine(measurements(FLAT, 1.05 * common, other=common))) is Verdict.VIOLATED


def test_holm_keeps_the_family_level_and_orders_its_levels():
    assert holm_levels([0.5, 0.001, 0.004], 0.01) == [0.01, 0.01 / 3, 0.005]
    assert holm_levels([0.5, 0.2, 0.003], 0.01) == [0.005, 0.005, 0.01 / 3]
    rng = np.random.default_rng(9)
    # Half of the 40 hypotheses are true; false rejections of true ones happen in at most 1 % of the families.
    wrong = 0
    for _ in range(2000):
        p = np.concatenate([rng.random(20), rng.random(20) * 1e-6])
        wrong += bool((p <= holm_levels(p.tolist(), 0.01))[:20].any())
    assert wrong / 2000 <= 0.017


def test_all_of_is_as_weak_as_its_weakest_part():
    assert all_of([Verdict.UPHELD, Verdict.UPHELD]) is Verdict.UPHELD
    assert all_of([Verdict.INCONCLUSIVE, Verdict.VIOLATED]) is Verdict.VIOLATED
    assert all_of([Verdict.VIOLATED, Verdict.NOT_APPLICABLE]) is Verdict.NOT_APPLICABLE
    assert all_of([Verdict.COULD_NOT_MEASURE, Verdict.VIOLATED]) is Verdict.COULD_NOT_MEASURE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateAtMost(measured="e", rate=-1, margin=0.0), "margin=0.0"),
        (lambda: EveryRun(measured="e"), "at_most=None"),
        (lambda: InExpectation(measured="e", at_most=1, at_least=0), "exactly one"),
        (lambda: WithProbability(measured="e", at_most=1, delta=1.5), "delta=1.5"),
        (lambda: Equals(measured="e", to=1.0), "give to="),
        (lambda: Equals(measured="e", to=1.0, relative=-0.1), "tolerance=-0.1"),
        (lambda: Equals(measured="e", between=(2.0, 1.0)), r"between=\(2.0, 1.0\)"),
        (lambda: LinearConvergence(measured="e", factor_at_most=1.5), "factor=1.5"),
        (lambda: LinearConvergence(measured="e"), "exactly one"),
    ],
)
def test_thresholds_that_decide_nothing_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_missing_quantity_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did it mean 'measured'"):
        EveryRun(measured="measurd", at_most=1.0).examine(measurements([1], [[1.0]]))


def test_rates_refuse_points_that_are_no_positive_numbers():
    values = noisy(np.ones(3), 4, 0.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="not numbers"):
        RATE.examine(measurements(["a", "b", "c"], values))
    with pytest.raises(ValueError, match="must be positive"):
        RATE.examine(measurements([0.0, 1.0, 2.0], values))
    with pytest.raises(ValueError, match="at least 3"):
        RATE.examine(measurements([1.0, 2.0], values[:2]))
