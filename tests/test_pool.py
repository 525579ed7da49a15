import os
import signal
from pathlib import Path

import pytest

from localbook.errors import ConfigError, TrainingError
from localbook.pool import in_processes, on_cluster


def square(item):
    return item**2


def square_unless_killed(item):
    """Be killed by the system the first time, as when memory runs out."""
    number, folder = item
    trace = Path(folder) / str(number)
    if number == 1 and not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def always_killed(item):
    os.kill(os.getpid(), signal.SIGKILL)


def refused(item):
    raise ConfigError(f"item {item} makes no sense.")


def begun_and_first_refused(item):
    number, folder = item
    (Path(folder) / str(number)).touch()
    if number == 0:
        raise ConfigError("the first makes no sense.")


def test_every_item_comes_with_its_result():
    assert sorted(in_processes(square, range(5), workers=2)) == [(n, n**2) for n in range(5)]


def test_nothing_to_do_needs_no_worker():
    assert list(in_processes(square, [], workers=2)) == []


def test_work_of_a_killed_process_is_done_by_another(tmp_path):
    items = [(n, str(tmp_path)) for n in range(4)]
    found = dict(in_processes(square_unless_killed, items, workers=2))
    assert found == {item: item[0] ** 2 for item in items}
    assert (tmp_path / "1").exists()


def test_processes_that_are_killed_again_and_again_end_the_sweep():
    with pytest.raises(TrainingError, match="killed 3 times, so 2 runs are unfinished"):
        list(in_processes(always_killed, [1, 2], workers=1))


def test_an_error_of_a_worker_is_the_sweeps_own():
    with pytest.raises(ConfigError, match="item 3 makes no sense"):
        list(in_processes(refused, [3], workers=1))


def test_after_an_error_nothing_else_begins(tmp_path):
    items = [(n, str(tmp_path)) for n in range(4)]
    with pytest.raises(ConfigError, match="the first"):
        list(in_processes(begun_and_first_refused, items, workers=1))
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


@pytest.mark.filterwarnings("default")  # Dask's own: a killed worker leaves sockets behind
def test_a_cluster_gives_a_killed_workers_work_to_another(tmp_path):
    from distributed import LocalCluster

    items = [(n, str(tmp_path)) for n in range(4)]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        found = dict(on_cluster(square_unless_killed, items, cluster.scheduler_address))
    assert found == {item: item[0] ** 2 for item in items}
    assert (tmp_path / "1").exists()


def test_a_missing_scheduler_is_named():
    with pytest.raises(ConfigError, match="no Dask scheduler answers at 'nowhere'"):
        list(on_cluster(square, [1], "nowhere"))
