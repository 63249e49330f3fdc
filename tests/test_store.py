"""The store: bit-exact entries, noticed damage, errors in words, keys that depend on what matters."""

import errno
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab import store as stores
from theorylab.audit import Hypothesis, Status
from theorylab.cells import WHOLE_TRAJECTORY, Cell, Measured, canonical, cells_of
from theorylab.claims import Control, claims_of, load_file
from theorylab.store import DamagedError, StoreError, cell_key, file_of, open_store, sources_of

CLAIMS = {c.id: c for c in claims_of(load_file(Path(__file__).with_name("engine_claims.py")))}
KEY = "ab" + "0" * 62
FLOATS = st.floats(allow_nan=False, width=64)
VALUES = st.dictionaries(st.text(min_size=1), FLOATS | st.lists(FLOATS, min_size=1).map(tuple), min_size=1)


def bits(measured):
    def raw(x):
        return np.array(x, dtype=float).tobytes()

    values = {name: raw(value) for name, value in measured.values.items()}
    return values, {n: (h.status, raw(h.measured), h.note) for n, h in measured.hypotheses.items()}, measured.seconds


def test_every_float_survives_bit_for_bit(tmp_path):
    store = open_store(tmp_path)

    @settings(deadline=None, derandomize=True)
    @given(VALUES, st.sampled_from(Status), FLOATS | st.just(math.nan), st.text())
    def check(values, status, measured, note):
        cell = Measured(values, {"smooth": Hypothesis(status, measured, note)}, 0.1)
        store.put(KEY, cell)
        assert bits(store.get(KEY)) == bits(cell)

    check()


def test_missing_entry_is_none(tmp_path):
    assert open_store(tmp_path).get(KEY) is None


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip", "moved"])
def test_damage_is_noticed(tmp_path, damage):
    store = open_store(tmp_path)
    store.put(KEY, Measured({"error": 0.25}, {}, 1.0))
    path = next(p for p in tmp_path.rglob("*") if p.is_file())
    content = path.read_bytes()
    other = KEY
    if damage == "truncate":
        path.write_bytes(content[:-3])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flip":
        path.write_bytes(content.replace(b"0.25", b"0.75"))
    else:
        other = "ab" + "1" * 62
        path.rename(path.with_name(other[2:]))
    with pytest.raises(DamagedError):
        store.get(other)


def test_results_folder_that_is_a_file(tmp_path):
    file = tmp_path / "results"
    file.write_text("mine")
    with pytest.raises(StoreError, match=r"folder='.*results' is a file"):
        open_store(file)
    with pytest.raises(StoreError, match=r"file|directory"):
        open_store(file / "below")
    assert file.read_text() == "mine"


def test_full_disk_is_a_sentence_and_loses_nothing(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    kept = Measured({"error": 1.0}, {}, 0.0)
    store.put(KEY, kept)
    written = Path.write_bytes

    def full(path, content):
        written(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"No space left on device.*run again to resume"):
        store.put(KEY, Measured({"error": 2.0}, {}, 0.0))
    monkeypatch.undo()
    assert store.get(KEY) == kept
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_unwritable_folder_is_a_sentence(tmp_path, monkeypatch):
    def refuse(self, content):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreError, match=r"Permission denied.*make the folder writable"):
        open_store(tmp_path / "results")


def keys(claim, *, full=False, seed=0, sources="s"):
    return [cell_key(claim, cell, full=full, seed=seed, sources=sources) for cell in cells_of(claim, full)]


def test_keys_tell_cells_budget_seed_and_sources_apart():
    claim = CLAIMS["toy/separate"]
    first = keys(claim)
    assert len(set(first)) == len(first) == 3 * 2 * 3
    assert not set(first) & set(keys(claim, seed=1))
    assert not set(first) & set(keys(claim, sources="t"))
    assert set(first) < set(keys(claim, full=True))  # separate runs of the quick budget serve the full one
    assert not set(first) & set(keys(CLAIMS["toy/raises"]))


def test_keys_of_a_trajectory_depend_on_its_checkpoints():
    quick, full = keys(CLAIMS["toy/along"]), keys(CLAIMS["toy/along"], full=True)
    assert not set(quick) & set(full)


def test_key_depends_on_the_settings_of_an_arm_not_on_its_name():
    claim = CLAIMS["toy/separate"]
    renamed = replace(claim, controls=(Control("another name", scale=10.0),))
    changed = replace(claim, controls=(Control("ten times", scale=11.0),))
    cell = Cell("ten times", 0, 0)
    key = cell_key(claim, cell, full=False, seed=0, sources="s")
    assert key == cell_key(renamed, Cell("another name", 0, 0), full=False, seed=0, sources="s")
    assert key != cell_key(changed, cell, full=False, seed=0, sources="s")


def test_canonical_distinguishes():
    different = [1, 1.0, True, "1", None, (1,), ((1,),), (1, 1), -0.0, 0.0, {"a": 1}, np.ones(2), np.ones(3)]
    assert len({canonical(value) for value in different}) == len(different)
    assert canonical(np.float64(0.1)) == canonical(0.1)
    assert canonical(np.int64(3)) == canonical(3)
    with pytest.raises(ValueError, match=r"value=.*numbers, strings, tuples"):
        canonical(print)


def test_sources_follow_problems_and_the_file_but_not_others(tmp_path):
    (tmp_path / "verify").mkdir()
    (tmp_path / "problems").mkdir()
    file, problem = tmp_path / "verify" / "paper.py", tmp_path / "problems" / "family.py"
    file.write_text("x = 1\n")
    problem.write_text("y = 1\n")
    before = sources_of(file)
    (tmp_path / "verify" / "other.py").write_text("z = 1\n")
    assert sources_of(file) == before
    problem.write_text("y = 2\n")
    edited = sources_of(file)
    file.write_text("x = 2\n")
    assert len({before, edited, sources_of(file)}) == 3


def test_sources_follow_the_other_files_of_a_paper_in_its_own_folder(tmp_path):
    folder = tmp_path / "verify" / "paper"
    folder.mkdir(parents=True)
    file, part = folder / "rates.py", folder / "bounds.py"
    file.write_text("x = 1\n")
    part.write_text("y = 1\n")
    before = sources_of(file)
    part.write_text("y = 2\n")
    assert sources_of(file) != before


def test_sources_follow_library_versions(tmp_path, monkeypatch):
    file = tmp_path / "paper.py"
    file.write_text("x = 1\n")
    before = sources_of(file)
    monkeypatch.setattr(stores, "_version", lambda library: "0")
    assert sources_of(file) != before


def test_counterexamples_are_kept_and_damage_to_them_is_harmless(tmp_path):
    store = open_store(tmp_path)
    assert store.counterexamples("toy/every-run") == []
    record = {"seed": 3, "point": "2", "replicate": 1, "spawn_key": [1, 2, 3]}
    store.keep_counterexamples("toy/every-run", [record])
    assert store.counterexamples("toy/every-run") == [record]
    next(tmp_path.rglob("every-run.json")).write_bytes(b"[{")
    assert store.counterexamples("toy/every-run") == []


def test_file_of_a_claim():
    assert file_of(CLAIMS["toy/along"]) == Path(__file__).with_name("engine_claims.py").resolve()


def test_cells_of_a_trajectory_are_its_replicates():
    assert {cell.point for cell in cells_of(CLAIMS["toy/along"], False)} == {WHOLE_TRAJECTORY}
    assert len(cells_of(CLAIMS["toy/along"], False)) == 2 * 3
