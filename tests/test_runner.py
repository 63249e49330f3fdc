"""The runner: streams, checks of what a claim returns, verdicts, notes, progress, bad arguments."""

import re
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from theorylab import judging
from theorylab.audit import Status, by_construction
from theorylab.cells import WHOLE_TRAJECTORY, Cell, Measured, cells_of, measure, spawn_key, stream
from theorylab.claims import ClaimError, Sweep, claims_of, load_file
from theorylab.results import Failure, claim_json
from theorylab.runner import run
from theorylab.schedule import Chunk, Outcomes, Queue, chunks
from theorylab.verdicts import FAMILY_LEVEL, Verdict

TOY = load_file(Path(__file__).with_name("engine_claims.py"))
CLAIMS = {c.id: c for c in claims_of(TOY)}
SEPARATE, ALONG = CLAIMS["toy/separate"], CLAIMS["toy/along"]


def serially(claims, folder, **options):
    return run(claims, workers=1, folder=folder, **options)


def returning(thing, base=CLAIMS["toy/raises"], **changes):
    return TOY.with_function(base, lambda value, rng, *, scale=1.0: thing, **changes)


# Streams


def test_streams_do_not_depend_on_arm_position_or_checkpoints():
    points = SEPARATE.sweep.points(False)
    moved = (*points[::-1], 77)
    key = spawn_key(SEPARATE, Cell("", 0, 2), points)
    assert key == spawn_key(SEPARATE, Cell("ten times", 0, 2), points)
    assert key == spawn_key(SEPARATE, Cell("", 2, 2), moved)
    whole = Cell("", WHOLE_TRAJECTORY, 1)
    assert spawn_key(ALONG, whole, (1, 2)) == spawn_key(ALONG, whole, (1, 2, 3))
    others = [
        spawn_key(SEPARATE, Cell("", 1, 2), points),
        spawn_key(SEPARATE, Cell("", 0, 1), points),
        spawn_key(CLAIMS["toy/raises"], Cell("", 0, 2), points),
    ]
    assert len({key, *others}) == 4


def test_streams_are_frozen_for_ever():
    # Published numbers rest on these words and this draw; if one changes, every recorded result does.
    key = spawn_key(SEPARATE, Cell("", 1, 2), (1, 2, 4))
    assert key == (1414443888, 3667207838, 979268564, 3994443302, 2)
    assert stream(7, key).integers(1 << 62) == 226392539160857049


def test_arms_share_randomness(tmp_path):
    (result,) = serially([SEPARATE], tmp_path)
    assert np.array_equal(result.controls[0].values["error"], 10 * result.arm.values["error"])
    assert np.array_equal(result.controls[0].values["top"], result.arm.values["top"])
    assert len(np.unique(result.arm.values["error"])) == 9


# What a claim may return


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, r"gave back nothing; return a mapping"),
        (3.0, r"returned=3.0; return a mapping"),
        ({}, r"returned no number"),
        ({"error": float("nan")}, r"'error' is nan; return inf for a diverged run"),
        ({"error": np.ones(2)}, r"'error' has shape=\(2,\), allowed is \(\): return one number"),
        ({"error": "small"}, r"'error' is 'small', which is no real number"),
        ({"error": None}, r"'error' is None, which is no real number"),
        ({"error": 1j}, r"no real number"),
        ({"error": 10**400}, r"no real number"),
        ({"error": [[1.0], [1.0, 2.0]]}, r"no real number"),
        ({1: 1.0}, r"the name 1; names are strings"),
        ({"error": 1.0, "smoth": by_construction("x")}, r"'smoth' is not one of \['smooth'\]; did it mean 'smooth'\?"),
        ({"error": 1.0}, r"hypotheses \['smooth'\] were not reported; return an audit.Hypothesis"),
        ({"error": 1.0, "smooth": 0.3}, r"hypotheses \['smooth'\] were not reported"),
    ],
)
def test_a_wrong_return_is_a_sentence(returned, sentence):
    found = measure(returning(returned, SEPARATE), Cell("", 1, 2), full=False, seed=0)
    assert isinstance(found, Failure)
    assert found.message.startswith("toy/separate at T=2, replicate 2: ")
    assert (found.point, found.replicate) == (2, 2)
    assert re.search(sentence, found.message), found.message


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        ({"error": 1.0}, "'error' has shape=(), allowed is (3,): return one number a checkpoint"),
        ({"error": np.array([1.0, np.nan, 1.0])}, "'error' is nan at t=10; return inf"),
    ],
)
def test_a_wrong_trajectory_is_a_sentence(returned, sentence):
    found = measure(returning(returned, ALONG), Cell("", WHOLE_TRAJECTORY, 0), full=False, seed=0)
    assert isinstance(found, Failure)
    assert sentence in found.message
    assert "toy/along at whole trajectory, replicate 0" in found.message


def test_divergence_is_a_number(tmp_path):
    (result,) = serially([returning({"error": np.inf})], tmp_path)
    assert result.arm.verdict is Verdict.VIOLATED
    assert np.isinf(result.arm.values["error"]).all()


def test_controls_need_not_report_hypotheses():
    assert isinstance(
        measure(returning({"error": 1.0}, SEPARATE), Cell("ten times", 0, 0), full=False, seed=0), Measured
    )


def test_names_must_agree_between_cells(tmp_path):
    def function(T, rng, *, scale=1.0):
        return {"error": scale / 2, "extra" if T == 4 else "other": 1.0}

    (result,) = serially([TOY.with_function(CLAIMS["toy/raises"], function)], tmp_path)
    assert result.arm.verdict is Verdict.COULD_NOT_MEASURE
    assert {failure.point for failure in result.arm.failures} == {4}
    assert "returned the names ['error', 'extra'], other cells ['error', 'other']" in result.arm.failures[0].message


# Verdicts


def test_a_run_from_cells_to_verdicts(tmp_path):
    separate, along = serially([SEPARATE, ALONG], tmp_path)
    assert separate.ok and along.ok
    assert separate.arm.values["error"].shape == along.arm.values["error"].shape == (3, 3)
    assert (along.arm.values["bound"] == 1).all()
    assert along.arm.values["error"][0, 0] == pytest.approx(100 * along.arm.values["error"][2, 0])
    (smooth,) = separate.hypotheses
    assert (smooth.status, smooth.low, smooth.high) == (Status.CERTIFIED, 0.25, 1.0)
    assert separate.seconds > 0
    assert set(separate.versions) == {"theorylab", "python", "numpy", "scipy", "numba"}


def test_violated_hypothesis_makes_it_not_applicable(tmp_path):
    (result,) = serially([CLAIMS["toy/inapplicable"]], tmp_path)
    assert result.arm.verdict is Verdict.NOT_APPLICABLE
    assert result.controls[0].verdict is Verdict.VIOLATED
    assert (result.hypotheses[0].status, result.hypotheses[0].high) == (Status.VIOLATED, 2.0)


def test_a_raise_does_not_take_the_run_down(tmp_path):
    broken, healthy = serially([CLAIMS["toy/raises"], SEPARATE], tmp_path)
    assert broken.arm.verdict is Verdict.COULD_NOT_MEASURE
    assert broken.controls[0].verdict is Verdict.VIOLATED
    assert healthy.ok
    first, *others = broken.arm.failures
    assert "toy/raises at T=4, replicate 0: raised ArithmeticError: the step overflowed" in first.message
    assert "engine_claims.py" in first.traceback and "cells.py" not in first.traceback
    assert len(others) == 2 and not any(failure.traceback for failure in others)
    assert claim_json(broken)["evidence"]["summary"] == first.message


def test_failed_cells_are_tried_again(tmp_path):
    marks = []

    def function(T, rng, *, scale=1.0):
        marks.append(T)
        if len(marks) <= 18 and T == 4:
            raise ArithmeticError
        return {"error": scale / 2}

    claim = TOY.with_function(CLAIMS["toy/raises"], function)
    assert serially([claim], tmp_path)[0].arm.verdict is Verdict.COULD_NOT_MEASURE
    assert serially([claim], tmp_path)[0].ok
    assert marks[18:] == [4] * 6


def test_a_judge_that_cannot_decide(tmp_path):
    claim = replace(SEPARATE, judges=(TOY.MeanBelow(measured="eror"),))
    (result,) = serially([claim], tmp_path)
    assert result.arm.verdict is Verdict.COULD_NOT_MEASURE
    said = result.arm.failures[0].message
    assert said.startswith("toy/separate: the judge 'mean below' cannot decide") and "did it mean 'error'" in said


def examined(judges):
    """The claim's own arm and its control, both with the p-values of the judges."""
    claim = returning({"error": 0.5}, judges=judges)
    outcomes = {c: measure(claim, c, full=False, seed=0) for c in cells_of(claim, False)}
    return [judging.examine(claim, arm, full=False, outcomes=outcomes) for arm in claim.arms()]


WEAK = TOY.MeanBelow(limit=0.1, p_value=0.006)
CERTAIN = TOY.MeanBelow(limit=0.1, p_value=0.006, statistical=False)


def test_the_error_budget_is_shared_by_the_claims_of_a_run():
    own, _ = examined((WEAK,))
    # Alone 0.006 is below the level of 0.01; for two claims it is above 0.01 / 2, and then neither is rejected.
    assert [arm.verdict for arm in judging.decide([own])] == [Verdict.VIOLATED]
    both = judging.decide([own, own])
    assert [arm.verdict for arm in both] == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]
    assert both[0].levels == (FAMILY_LEVEL / 2,)


def test_the_tests_of_one_arm_share_its_level_and_certain_ones_spend_nothing():
    two, _ = examined((WEAK, WEAK))
    (arm,) = judging.decide([two])
    assert arm.levels == (FAMILY_LEVEL / 2, FAMILY_LEVEL / 2)
    assert arm.verdict is Verdict.INCONCLUSIVE
    with_certain, _ = examined((WEAK, CERTAIN))
    (arm,) = judging.decide([with_certain])
    assert arm.levels == (FAMILY_LEVEL, FAMILY_LEVEL)
    assert arm.verdict is Verdict.VIOLATED


def test_controls_are_a_family_of_their_own():
    own, control = examined((WEAK,))
    assert [arm.verdict for arm in judging.decide([own, control])] == [Verdict.VIOLATED, Verdict.VIOLATED]
    many = judging.decide([own, control, control])
    assert [arm.verdict for arm in many] == [Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]


def test_settled_arms_spend_no_error_budget():
    own, _ = examined((WEAK,))
    settled = replace(own, settled=Verdict.NOT_APPLICABLE)
    decided = judging.decide([settled, own])
    assert [arm.verdict for arm in decided] == [Verdict.NOT_APPLICABLE, Verdict.VIOLATED]


# Counterexamples


def test_a_counterexample_is_kept_run_first_and_forgotten_once_harmless(tmp_path, monkeypatch):
    claim = CLAIMS["toy/every-run"]
    monkeypatch.setattr(TOY, "FACTOR", 2.0)
    (result,) = serially([claim], tmp_path)
    assert result.arm.verdict is Verdict.VIOLATED
    stored = next((tmp_path / "store" / "counterexamples").rglob("every-run.json")).read_text()
    found = result.arm.evidence[0].details["counterexample"]
    assert found["point"] == 2
    cell = Cell("", 1, found["replicate"])
    assert all(str(word) in stored for word in spawn_key(claim, cell, result.points))

    ran = []
    spy = TOY.with_function(claim, lambda T, rng, *, scale=1.0: ran.append((T, rng.uniform())) or {"error": 0.5})
    (result,) = serially([spy], tmp_path, fresh=True)
    assert ran[0] == (2, stream(0, spawn_key(claim, cell, result.points)).uniform())
    assert result.arm.verdict is Verdict.UPHELD
    assert "seed" not in next((tmp_path / "store" / "counterexamples").rglob("every-run.json")).read_text()


def test_a_counterexample_of_another_seed_is_not_forgotten(tmp_path, monkeypatch):
    claim = CLAIMS["toy/every-run"]
    monkeypatch.setattr(TOY, "FACTOR", 2.0)
    assert serially([claim], tmp_path, seed=5)[0].arm.verdict is Verdict.VIOLATED
    monkeypatch.setattr(TOY, "FACTOR", 0.5)
    assert serially([claim], tmp_path, seed=6)[0].arm.verdict is Verdict.UPHELD
    assert '"seed": 5' in next((tmp_path / "store" / "counterexamples").rglob("every-run.json")).read_text()


# Progress and order


def test_progress_counts_cells_and_ends_with_a_verdict(tmp_path):
    events = []
    serially([SEPARATE, CLAIMS["toy/raises"]], tmp_path, on_event=events.append)
    mine = [event for event in events if event.claim == "toy/separate"]
    assert [mine[0].done, mine[0].total, mine[0].stored, mine[0].verdict] == [0, 18, 0, None]
    assert [event.done for event in mine] == sorted(event.done for event in mine)
    assert (mine[-1].done, mine[-1].verdict) == (18, Verdict.UPHELD)
    events.clear()
    serially([SEPARATE], tmp_path, on_event=events.append)
    assert [(e.done, e.stored, e.verdict) for e in events] == [(18, 18, Verdict.UPHELD)]


def test_chunks_fill_half_a_second_and_slow_claims_go_first():
    quick, slow = (
        Queue(Chunk(index, claim, Path("f"), (), True, 0, None, ""), _waiting(claim))
        for index, claim in enumerate([SEPARATE, CLAIMS["toy/raises"]])
    )
    cost = {0: 0.05, 1: 0.3}
    order = []
    for chunk in chunks([quick, slow]):
        order.append((chunk.index, len(chunk.cells)))
        done = tuple((cell, Measured({}, {}, cost[chunk.index])) for cell, _ in chunk.cells)
        (quick, slow)[chunk.index].learn(Outcomes(chunk.index, done))
    assert order[:2] == [(0, 1), (1, 1)]  # one of each, to learn how long they take
    assert order[2:41] == [(1, 1)] * 39
    assert order[41:45] == [(0, 9)] * 4
    assert sum(n for index, n in order if index == 0) == 40


def _waiting(claim):
    return deque((cell, "key") for cell in cells_of(claim, True))


# Bad arguments


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": -1}, "seed=-1 must be a whole number of at least 0"),
        ({"seed": 1.5}, "seed=1.5 must be"),
        ({"seed": True}, "seed=True must be"),
        ({"workers": 0}, "workers=0 must be a whole number of at least 1"),
        ({"workers": 1.0}, "workers=1.0 must be"),
        ({"backend": "mpi"}, "backend='mpi' must be one of loky, threading, dask"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "scheduler='tcp://127.0.0.1:1' needs backend='dask'"),
    ],
)
def test_bad_arguments(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        run([SEPARATE], **({"folder": tmp_path / "r"} | options))
    assert not (tmp_path / "r").exists()


def test_duplicate_ids(tmp_path):
    with pytest.raises(ClaimError, match="toy/separate: two claims of this run have this id"):
        serially([SEPARATE, SEPARATE], tmp_path)


def test_no_claims(tmp_path):
    assert serially([], tmp_path) == []


def test_budget_changes_points_and_replicates(tmp_path):
    (result,) = serially([replace(SEPARATE, sweep=Sweep(name="T", label="T", quick=(1,), full=("a", "b")))], tmp_path)
    assert (result.points, result.replicates, result.budget) == ((1,), 3, "quick")
    (result,) = serially([SEPARATE], tmp_path, full=True)
    assert (result.points, result.replicates, result.budget) == ((1, 2, 4, 8), 5, "full")
