"""Back-ends: the same bits everywhere, one thread a worker, errors in words."""

import os
import sys
from pathlib import Path

import numba
import pytest
from threadpoolctl import threadpool_info

from theorylab import backends
from theorylab.backends import BackendError, crew, spread
from theorylab.claims import claims_of, load_file
from theorylab.runner import run
from theorylab.verdicts import Verdict

CLAIMS = {c.id: c for c in claims_of(load_file(Path(__file__).with_name("engine_claims.py")))}
MEASURED = [CLAIMS[f"toy/{name}"] for name in ("separate", "along", "threads", "raises")]


def essence(results):
    """Everything that must not depend on where the cells ran, arrays as bytes."""
    return [
        (
            result.id,
            result.hypotheses,
            result.notes,
            [
                (
                    arm.name,
                    {name: values.tobytes() for name, values in arm.values.items()},
                    arm.evidence,
                    arm.levels,
                    arm.verdict,
                    [(f.point, f.replicate, f.message) for f in arm.failures],
                )
                for arm in (result.arm, *result.controls)
            ],
        )
        for result in results
    ]


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return essence(run(MEASURED, workers=1, folder=tmp_path_factory.mktemp("serial")))


@pytest.fixture(scope="module")
def scheduler():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def test_serial_is_worth_comparing(serial):
    values = dict(serial[2][3][0][1])
    assert serial[3][3][0][4] is Verdict.COULD_NOT_MEASURE
    assert set(values) == {"error", "blas", "numba"}


@pytest.mark.parametrize(("backend", "workers"), [("loky", 2), ("threading", 2), ("threading", 3), ("dask", 2)])
def test_every_backend_gives_the_same_bits(tmp_path, serial, backend, workers):
    if backend == "dask":
        pytest.importorskip("distributed")
    results = run(MEASURED, workers=workers, backend=backend, folder=tmp_path)
    assert essence(results) == serial
    assert "engine_claims.py" in results[3].arm.failures[0].traceback


def test_a_running_cluster_gives_the_same_bits(tmp_path, serial, scheduler):
    assert essence(run(MEASURED, backend="dask", scheduler=scheduler, folder=tmp_path)) == serial


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}, {"workers": 2, "backend": "threading"}])
def test_one_thread_a_worker(tmp_path, options):
    (result,) = run([CLAIMS["toy/threads"]], folder=tmp_path, **options)
    assert (result.arm.values["blas"] == 1).all()
    assert (result.arm.values["numba"] == 1).all()


def test_threads_are_given_back():
    numba.set_num_threads(numba.get_num_threads())  # start its threads now: they change those of OpenMP
    before = dict(os.environ), [library["num_threads"] for library in threadpool_info()], numba.get_num_threads()
    assert list(spread(abs, [-1, -2], crew("threading", 1))) == [1, 2]
    assert sorted(spread(abs, [-1, -2, -3], crew("threading", 2))) == [1, 2, 3]
    after = dict(os.environ), [library["num_threads"] for library in threadpool_info()], numba.get_num_threads()
    assert after == before


def test_tasks_are_drawn_only_a_little_ahead():
    finished, ahead = [], []

    def tasks():
        for number in range(100):
            ahead.append(number - len(finished))
            yield number

    assert sorted(spread(lambda n: finished.append(n) or n, tasks(), crew("threading", 2))) == list(range(100))
    assert max(ahead) <= 5


@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_a_dead_worker_is_a_sentence(tmp_path, backend):
    if backend == "dask":
        pytest.importorskip("distributed")
    with pytest.raises(BackendError, match=r"a worker process died: out of memory, or a crash.*run again to resume"):
        run([CLAIMS["toy/dies"]], workers=2, backend=backend, folder=tmp_path)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://somewhere", "tcp://no.such.host.invalid:8786"])
def test_an_unreachable_scheduler_is_a_sentence(tmp_path, monkeypatch, address):
    pytest.importorskip("distributed")
    monkeypatch.setattr(backends, "_SECONDS_TO_CONNECT", 0.3)
    with pytest.raises(BackendError, match=rf"scheduler='{address}' did not answer.*start `dask scheduler`"):
        run([CLAIMS["toy/along"]], backend="dask", scheduler=address, folder=tmp_path)


def test_without_dask_it_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendError, match=r"pip install 'theorylab\[cluster\]'"):
        run([CLAIMS["toy/along"]], backend="dask", folder=tmp_path)


def test_one_dask_worker_is_a_cluster_one_loky_worker_is_not():
    assert not crew("dask", 1).serial
    assert crew("loky", 1).serial and crew("loky", 1).in_process
    assert not crew("loky", 2).in_process
    assert crew("threading", 2).in_process and not crew("threading", 2).serial
    assert crew().workers >= 1
