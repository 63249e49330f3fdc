"""Where the work is done: this process, its threads, local processes or a Dask cluster, all through joblib."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import resource_tracker
from typing import Any, TypeVar

BACKENDS = ("loky", "threading", "dask")
_SECONDS_TO_CONNECT = 5
#: What loky and Dask raise, told by name because Dask may not be installed.
_LOST_WORKER = ("TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "FutureCancelledError", "CancelledError")

Task = TypeVar("Task")
Result = TypeVar("Result")


class BackendError(RuntimeError):
    """The workers cannot be had or have died; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Who does the work: a checked back-end, the number of workers, the address of a running Dask scheduler."""

    backend: str
    workers: int
    scheduler: str | None

    @property
    def serial(self) -> bool:
        """Whether everything runs in this thread; a Dask cluster of one worker is still a cluster."""
        return self.workers == 1 and self.backend != "dask"

    @property
    def in_process(self) -> bool:
        """Whether the workers share this process's memory."""
        return self.serial or self.backend == "threading"


def crew(backend: str = "loky", workers: int | None = None, scheduler: str | None = None) -> Crew:
    """Check the choice of workers; ``workers=None`` takes one for each usable core.

    Raises ValueError for an unknown back-end, fewer than one worker, or a scheduler without Dask.

    >>> crew("threading", 2).in_process
    True
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r} must be one of {', '.join(BACKENDS)}")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers={workers!r} must be a whole number of at least 1")
    if scheduler is not None and backend != "dask":
        raise ValueError(f"scheduler={scheduler!r} needs backend='dask', not backend={backend!r}")
    if workers is None:
        from joblib import cpu_count

        workers = int(cpu_count())
    return Crew(backend, workers, scheduler)


def spread(function: Callable[[Task], Result], tasks: Iterable[Task], crew: Crew) -> Generator[Result, None, None]:
    """Yield ``function(task)`` for all tasks, in the order in which they finish.

    Tasks are drawn lazily, a few ahead of the workers and possibly from another thread, so that an iterator can fit
    the next task to what has come back. BLAS and numba are held to one thread a worker. Close the iterator to stop:
    local workers end with it.

    Raises BackendError when the cluster cannot be reached or a worker process dies.
    """
    with _one_thread(), ExitStack() as stack:
        if crew.serial:
            for task in tasks:
                yield _work(function, task)
            return
        parallel = stack.enter_context(_parallel(crew))
        work: Callable[..., Result] = _work if crew.in_process else _work_apart
        if crew.backend == "loky":
            work = partial(_work_for, os.getpid())
        try:
            yield from parallel((work, (function, task), {}) for task in tasks)
        except BackendError:
            raise
        except Exception as error:
            if type(error).__name__ not in _LOST_WORKER:
                raise
            raise BackendError(
                "a worker process died: out of memory, or a crash in compiled code. Finished cells are kept: run "
                "again to resume, with fewer workers, or with workers=1 to see where it happens"
            ) from error


@contextmanager
def _parallel(crew: Crew) -> Iterator[Any]:
    from joblib import Parallel, parallel_config

    with ExitStack() as stack:
        backend: Any = crew.backend
        options: dict[str, Any] = {}
        if crew.backend == "loky":
            options["inner_max_num_threads"] = 1
            stack.callback(_end_processes)
        elif crew.backend == "dask":
            backend = _dask_backend(stack.enter_context(_dask_client(crew)))
        with parallel_config(backend, n_jobs=crew.workers, **options):
            # One task is one message: the tasks are already of the right size.
            parallel = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        yield parallel


def _end_processes() -> None:
    # joblib keeps its processes for the next call; they would go on with sources that may have been edited since.
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def _dask_client(crew: Crew) -> Iterator[Any]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise BackendError("backend='dask' needs Dask: pip install 'theorylab[cluster]'") from error
    with ExitStack() as stack:
        if crew.scheduler is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            with _interrupt_deferred():
                address: Any = stack.enter_context(_local_cluster(distributed, crew.workers, scratch))
        else:
            address = crew.scheduler
        try:
            client = stack.enter_context(distributed.Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False))
            client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
        except (OSError, TimeoutError, ValueError) as error:
            raise BackendError(
                f"scheduler={crew.scheduler!r} did not answer with at least one worker within {_SECONDS_TO_CONNECT} "
                f"seconds; start `dask scheduler` and `dask worker`, or leave scheduler out for a local cluster"
            ) from error
        yield client


def _dask_backend(client: Any) -> Any:
    from joblib._dask import DaskDistributedBackend

    class TellsOfLostTasks(DaskDistributedBackend):  # type: ignore[misc]
        """joblib waits for ever for a task whose worker died, because only results are reported to it."""

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: callback(done.exception()) if done.exception() else None)
            return future

    return TellsOfLostTasks(client=client)


def _local_cluster(distributed: Any, workers: int, scratch: str) -> Any:
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        local_directory=scratch,
        env={"NUMBA_NUM_THREADS": "1"},  # Dask itself sets those of BLAS and OpenMP only
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Hold numba, BLAS and OpenMP here to one thread; the environment does it for libraries that are loaded later."""
    import numba
    from threadpoolctl import threadpool_limits

    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    allowed = numba.get_num_threads()
    numba.set_num_threads(allowed)  # starts its threads, which sets those of OpenMP: before these are noted
    try:
        with threadpool_limits(1):
            yield
    finally:
        numba.set_num_threads(allowed)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _take_one_thread() -> None:
    import numba
    from threadpoolctl import threadpool_limits

    numba.set_num_threads(1)
    threadpool_limits(1)


def _work(function: Callable[[Task], Result], task: Task) -> Result:
    _take_one_thread()  # for every task: numba and OpenMP count for each thread separately
    return function(task)


def _work_apart(function: Callable[[Task], Result], task: Task) -> Result:
    _settle_down()
    return _work(function, task)


def _work_for(parent: int, function: Callable[[Task], Result], task: Task) -> Result:
    _end_with(parent)
    return _work_apart(function, task)


@cache
def _settle_down() -> None:
    """Make a worker process leave Ctrl-C to the process that runs the claims."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@cache
def _end_with(parent: int) -> None:
    """End this worker process soon after its parent was killed; by itself it would wait for work for minutes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupt_deferred() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block; processes started inside never get it, the parent stops them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it unblocks the signal when it starts, so let it start first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
