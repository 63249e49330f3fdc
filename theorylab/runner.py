"""Run claims: every (arm, sweep point, replicate) is a cell, measured once, kept, judged together."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from theorylab import backends, judging
from theorylab.cells import Cell, Measured, canonical, cells_of, place_of, spawn_key
from theorylab.claims import Claim, ClaimError
from theorylab.judges import described
from theorylab.judging import Examined
from theorylab.results import ArmResult, ClaimResult, Failure
from theorylab.schedule import Chunk, Queue, chunks, run_chunk
from theorylab.store import (
    DamagedError,
    Store,
    cell_key,
    file_of,
    open_store,
    sources_of,
    sources_when_loaded,
    versions,
)
from theorylab.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a claim is: cells done (those found in the store included), and its verdict once all are.

    The verdict is provisional: the run's tests share one error budget, and the others may not be known yet.
    """

    claim: str
    done: int
    total: int
    stored: int
    verdict: Verdict | None


@dataclass(slots=True)
class _Track:
    """The state of one claim during a run."""

    claim: Claim
    sources: str
    keys: dict[Cell, str]
    outcomes: dict[Cell, Measured | Failure] = field(default_factory=dict)
    stored: int = 0
    damaged: int = 0
    arms: list[Examined] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == len(self.keys)

    def progress(self) -> Progress:
        verdict = judging.provisional(self.arms[0]) if self.arms else None
        return Progress(self.claim.id, len(self.outcomes), len(self.keys), self.stored, verdict)


def run(
    claims: Sequence[Claim],
    *,
    full: bool = False,
    seed: int = 0,
    workers: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
    folder: str | Path = "results",
    fresh: bool = False,
    on_event: Callable[[Progress], None] | None = None,
) -> list[ClaimResult]:
    """Run all cells of the claims that the store does not hold yet, judge them, and return one result a claim.

    Results depend on the claims, the budget and the seed alone, bit for bit: not on workers, back-end, the order of
    the claims, or on how often the run was interrupted and resumed.

    Parameters
    ----------
    claims
        The claims, each written in a file; ids must differ.
    full
        Run the full budget instead of the quick one.
    seed
        Entropy of all random streams, a whole number of at least 0.
    workers, backend, scheduler
        See :func:`theorylab.backends.crew`.
    folder, fresh
        Results folder, whose ``store`` keeps finished cells; ``fresh`` computes these again.
    on_event
        Called with the progress of a claim, once at the start and then whenever it has advanced.

    Raises
    ------
    ValueError
        An argument is not allowed, two claims share an id, or sources were edited after this process imported them.
    StoreError, BackendError
        The folder cannot be used; the workers cannot be had. Finished cells are kept.
    KeyboardInterrupt
        Passed on after the workers have ended. Finished cells are kept.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r} must be a whole number of at least 0")
    crew = backends.crew(backend, workers, scheduler)
    _check_ids(claims)
    store = open_store(Path(folder))
    files = [file_of(claim) for claim in claims]
    sources = {file: _sources(file) for file in set(files)}
    blanks = [
        Chunk(i, c, f, (), full, seed, store, sources[f]) for i, (c, f) in enumerate(zip(claims, files, strict=True))
    ]
    prepared = [_prepare(blank, claim, crew, fresh) for blank, claim in zip(blanks, claims, strict=True)]
    tracks, queues = [track for track, _ in prepared], [queue for _, queue in prepared]
    tell = on_event or (lambda progress: None)
    for track in tracks:
        _advance(track, full, tell)
    if any(queue.waiting for queue in queues):
        _measure_all(tracks, queues, crew, full, tell)
    return _conclude(tracks, full, seed, store)


def _check_ids(claims: Sequence[Claim]) -> None:
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ClaimError(f"{claim.id}: two claims of this run have this id; rename one with id=")
        seen.add(claim.id)


def _sources(file: Path) -> str:
    now = sources_of(file)
    if now != sources_when_loaded(file):
        raise ValueError(f"file={str(file)!r} or what it imports was edited after this process read it; start anew")
    return now


def _prepare(blank: Chunk, claim: Claim, crew: backends.Crew, fresh: bool) -> tuple[_Track, Queue]:
    """Find what the store holds of a claim and queue the rest, past counterexamples first."""
    full, seed, store, sources = blank.full, blank.seed, blank.store, blank.sources
    points = claim.sweep.points(full)
    keys = {cell: cell_key(claim, cell, full=full, seed=seed, sources=sources) for cell in cells_of(claim, full)}
    track = _Track(claim, sources, keys)
    for cell, key in keys.items() if not fresh else ():
        try:
            measured = store.get(key)
        except DamagedError:
            track.damaged += 1
        else:
            if measured is not None:
                track.outcomes[cell] = measured
    track.stored = len(track.outcomes)
    known = {(r.get("seed"), r.get("point"), r.get("replicate")) for r in store.counterexamples(claim.id)}
    waiting = [cell for cell in keys if cell not in track.outcomes]
    waiting.sort(key=lambda cell: cell.arm != "" or (seed, place_of(cell, points), cell.replicate) not in known)
    template = replace(blank, claim=claim if crew.in_process else pickle.dumps(claim))
    return track, Queue(template, deque((cell, keys[cell]) for cell in waiting))


def _measure_all(
    tracks: Sequence[_Track],
    queues: Sequence[Queue],
    crew: backends.Crew,
    full: bool,
    tell: Callable[[Progress], None],
) -> None:
    with closing(backends.spread(run_chunk, chunks(queues), crew)) as finished:
        for outcomes in finished:
            queues[outcomes.index].learn(outcomes)
            tracks[outcomes.index].outcomes.update(outcomes.cells)
            _advance(tracks[outcomes.index], full, tell)


def _advance(track: _Track, full: bool, tell: Callable[[Progress], None]) -> None:
    """Judge a claim as soon as its last cell is there, and say how far it is."""
    if track.complete:
        claim = track.claim
        track.arms = [judging.examine(claim, arm, full=full, outcomes=track.outcomes) for arm in claim.arms()]
    tell(track.progress())


def _conclude(tracks: Sequence[_Track], full: bool, seed: int, store: Store) -> list[ClaimResult]:
    decided = iter(judging.decide([arm for track in tracks for arm in track.arms]))
    results = [_result(track, [next(decided) for _ in track.arms], full, seed) for track in tracks]
    for track, result in zip(tracks, results, strict=True):
        _keep_counterexamples(track, result, store)
    return results


def _result(track: _Track, arms: Sequence[ArmResult], full: bool, seed: int) -> ClaimResult:
    claim = track.claim
    cells = "1 stored cell was" if track.damaged == 1 else f"{track.damaged} stored cells were"
    return ClaimResult(
        id=claim.id,
        paper=claim.paper.slug,
        title=claim.title,
        statement=claim.statement,
        source=claim.source,
        guarantee=claim.guarantee.value,
        mode=claim.mode.value,
        expected=claim.expected,
        reason=claim.reason,
        control_verdict=claim.control_verdict,
        sweep_name=claim.sweep.name,
        sweep_label=claim.sweep.label,
        points=claim.sweep.points(full),
        replicates=claim.replicates.count(full),
        along_trajectory=claim.sweep.along_trajectory,
        budget="full" if full else "quick",
        seed=seed,
        versions=versions(),
        judges=tuple(described(judge) for judge in claim.judges),
        sources=track.sources,
        arm=arms[0],
        controls=tuple(arms[1:]),
        hypotheses=judging.audited(claim, track.outcomes),
        notes=(f"{cells} damaged and computed again",) if track.damaged else (),
    )


def _keep_counterexamples(track: _Track, result: ClaimResult, store: Store) -> None:
    """Keep the runs that contradict a statement made for every run; forget those that this run found harmless."""
    claim, seed = track.claim, result.seed
    places = {(seed, place_of(cell, result.points), cell.replicate): cell for cell in track.keys if cell.arm == ""}
    kept = {(r.get("seed"), r.get("point"), r.get("replicate")): r for r in store.counterexamples(claim.id)}
    if result.arm.verdict in (Verdict.UPHELD, Verdict.INCONCLUSIVE):
        kept = {place: record for place, record in kept.items() if place not in places}
    for evidence in result.arm.evidence:
        found = evidence.details.get("counterexample")
        if isinstance(found, dict):
            point = "trajectory" if claim.sweep.along_trajectory else canonical(found["point"])
            replicate = int(found["replicate"])
            key = spawn_key(claim, places[seed, point, replicate], result.points)
            kept[seed, point, replicate] = {
                "seed": seed,
                "point": point,
                "replicate": replicate,
                "spawn_key": list(key),
            }
    store.keep_counterexamples(claim.id, list(kept.values()))
