"""What the claims on whole bilevel runs share: schedules, their audit, goals."""

from dataclasses import replace

import numpy as np
import pytest

from theorylab.audit import Status
from verify.bilevel.descent import HYPOTHESES, Setting, Variant, audited, drawn, method_of, scheduled, streams
from verify.bilevel.rates import FEW, target
from verify.bilevel.speedup import IN_BATCH, arrivals, lengthened, planned, spread


def test_schedule_is_the_stated_one_and_the_variant_forgets_a_factor():
    setting = Setting(32, 4, 16)
    stated = scheduled(0.3, setting)
    assert stated.alpha == pytest.approx(0.1 * 4 * 0.09)  # q = min(I, B)
    assert stated.eta == stated.tau == stated.implicit == pytest.approx(0.5 * 4 / 32 * np.sqrt(stated.alpha))
    assert scheduled(0.3, setting, variant=Variant(scaled=False)).eta == pytest.approx(8 * stated.eta)
    assert scheduled(0.3, Setting(32, 32, 16)).alpha == pytest.approx(0.1 * 16 * 0.09)  # q = B at I = m


def test_variants_change_what_they_name_and_nothing_else():
    schedule = scheduled(0.3, FEW)
    paper = method_of(schedule, FEW)
    assert paper.trackers.old == pytest.approx((32 - 4) / (4 * (1 - schedule.alpha)) + 1 - schedule.alpha)
    assert method_of(schedule, FEW, Variant(corrected=False)).trackers.old == 0.0
    assert method_of(schedule, FEW, Variant(corrected=False)).direction == paper.direction
    assert method_of(schedule, FEW, Variant(implicit=False)) == replace(paper, implicit=False)
    assert method_of(schedule, FEW, Variant(fresh=True)) == replace(paper, fresh=True)


def test_audit_sees_steps_beyond_their_limits():
    problem, _ = drawn(np.random.default_rng(0), 8)
    setting, schedule = Setting(8, 4, 4), scheduled(0.2, Setting(8, 4, 4))
    good = audited(problem, [(schedule, setting)])
    assert good.keys() == HYPOTHESES.keys()
    assert all(found.status is Status.CERTIFIED for found in good.values())
    steep = replace(schedule, eta=0.6 / problem.constants.hypergradient_smoothness)
    assert audited(problem, [(schedule, setting), (steep, setting)])["descent"].status is Status.VIOLATED
    falling = audited(problem, [(steep, setting), (schedule, setting)], falling=True)
    assert falling["descent"].status is Status.CERTIFIED
    quick = replace(schedule, tau=0.26)  # 2 (I/m) / (mu + L) = 1/4
    assert audited(problem, [(quick, setting)])["weights"].status is Status.VIOLATED


def test_streams_are_independent_and_repeatable():
    first, second = (streams(np.random.default_rng(3), 2) for _ in range(2))
    assert [a.random() == b.random() for a, b in zip(first, second, strict=True)] == [True, True]
    one, two = streams(np.random.default_rng(3), 2)
    assert one.random() != two.random()


def test_target_and_planned_steps():
    assert target(np.array([512.0, 4096.0])) == pytest.approx([0.7, 0.35])
    plan = planned(IN_BATCH, Setting(8, 8, 4))
    assert plan.tau == plan.implicit == pytest.approx(4 * plan.eta)
    longer = lengthened(plan, 2.0)
    assert (longer.eta, longer.tau, longer.alpha) == (2 * plan.eta, 2 * plan.tau, plan.alpha)


def test_spread_is_a_ratio_or_infinite():
    assert spread(np.array([2.0, 1.0, 4.0])) == 4.0
    assert spread(np.array([1.0, np.inf])) == np.inf


def test_a_run_that_does_not_arrive_needs_infinitely_many_iterations():
    settings = [Setting(4, 4, 16)]
    easy = replace(IN_BATCH, epsilon=1.0, share=1.0, step=0.1, pace=1.0)
    assert np.isfinite(arrivals(settings, easy, np.random.default_rng(0))["iterations"]).all()
    wild = [lengthened(planned(easy, settings[0]), 200.0)]
    assert np.isinf(
        arrivals(settings, replace(easy, share=1e-9), np.random.default_rng(0), schedules=wild)["iterations"]
    ).all()
