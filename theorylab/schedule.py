"""Which cells are run next, and how many at once: chunks of about half a second, long claims first."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from theorylab.backends import BackendError
from theorylab.cells import Cell, Measured, measure
from theorylab.claims import Claim
from theorylab.results import Failure
from theorylab.store import Store, sources_when_loaded

#: Computing time that one message to a worker should carry, in seconds: far above what a message costs.
_CHUNK_SECONDS = 0.5
#: What a cell costs beside its computing: its stream, the check, writing it to the store.
_OVERHEAD_SECONDS = 0.0005
#: A Dask worker may have several threads; the second must not find the first one's half-imported module.
_ONE_IMPORT = threading.Lock()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Cells of one claim for one worker, each with its key in the store; ``index`` is the claim's place in the run.

    Processes get the claim pickled, that is by file and id: one that cannot be loaded there fails in words.
    """

    index: int
    claim: Claim | bytes
    file: Path
    cells: tuple[tuple[Cell, str], ...]
    full: bool
    seed: int
    store: Store
    sources: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a chunk's cells."""

    index: int
    cells: tuple[tuple[Cell, Measured | Failure], ...]


@dataclass(slots=True)
class Queue:
    """The cells of one claim that wait for a worker.

    ``seconds`` says how long a cell of an arm and point took, where that is known, ``slowest`` the largest of these.
    One thread learns, another may take: each attribute is changed by one of them only.
    """

    template: Chunk
    waiting: deque[tuple[Cell, str]]
    started: bool = False
    seconds: dict[tuple[str, int], float] = field(default_factory=dict)
    slowest: float = 0.0

    def learn(self, outcomes: Outcomes) -> None:
        """Remember how long cells took; the last one counts, since the first may hold a compilation."""
        for cell, outcome in outcomes.cells:
            if isinstance(outcome, Measured):
                self.seconds[cell.arm, cell.point] = outcome.seconds
        self.slowest = max(self.seconds.values(), default=0.0)

    def take(self) -> Chunk:
        """Remove and return the next chunk: cells of about half a second together, one while nothing is known."""
        self.started = True
        taken, total = [self.waiting.popleft()], 0.0
        while self.waiting and self.seconds:
            total += self._cost(taken[-1][0])
            if total + self._cost(self.waiting[0][0]) > _CHUNK_SECONDS:
                break
            taken.append(self.waiting.popleft())
        return replace(self.template, cells=tuple(taken))

    def _cost(self, cell: Cell) -> float:
        return _OVERHEAD_SECONDS + self.seconds.get((cell.arm, cell.point), self.slowest)


def chunks(queues: Sequence[Queue]) -> Iterator[Chunk]:
    """Yield chunks until nothing waits: first one cell of each claim, then claim after claim, slow cells first."""
    current: Queue | None = None
    for queue in queues:
        if queue.waiting and not queue.started:
            yield queue.take()
    while True:
        if current is None or not current.waiting or not current.seconds:
            current = max((queue for queue in queues if queue.waiting), key=lambda q: q.slowest, default=None)
        if current is None:
            return
        yield current.take()


def run_chunk(chunk: Chunk) -> Outcomes:
    """Run the cells of a chunk in this process and keep each in the store as soon as it is finished.

    Raises StoreError when it cannot be kept, BackendError when this process has imported other sources.
    """
    try:
        claim = _loaded(chunk.claim) if isinstance(chunk.claim, bytes) else chunk.claim
    except Exception as error:
        raise BackendError(
            f"a worker could not load the claims of {str(chunk.file)!r}: {type(error).__name__}: {error}. "
            f"Give every worker the same files and libraries as here"
        ) from error
    if sources_when_loaded(chunk.file) != chunk.sources:
        raise BackendError(
            f"a worker has other sources or libraries for {str(chunk.file)!r} than this run: they were edited while "
            f"it ran, or the worker is an old one. Restart the workers and run again"
        )
    finished: list[tuple[Cell, Measured | Failure]] = []
    for cell, key in chunk.cells:
        outcome = measure(claim, cell, full=chunk.full, seed=chunk.seed)
        if isinstance(outcome, Measured):
            chunk.store.put(key, outcome)
        finished.append((cell, outcome))
    return Outcomes(chunk.index, tuple(finished))


def _loaded(pickled: bytes) -> Claim:
    with _ONE_IMPORT:
        return _unpickled(pickled)


@cache
def _unpickled(pickled: bytes) -> Claim:
    claim: Claim = pickle.loads(pickled)
    return claim
