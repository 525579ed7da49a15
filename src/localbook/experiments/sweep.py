"""An experiment's methods at once, on the cores of a machine or the machines of a cluster."""

import os
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.experiments.harness import Setting
from localbook.experiments.runner import planned, run
from localbook.files import write_text
from localbook.pool import in_processes, on_cluster
from localbook.progress import Progress


def sweep(
    experiment: str,
    profile: str = "quick",
    *,
    setting: Setting | None = None,
    data: str | Path | None = None,
    seeds: int | None = None,
    methods: Sequence[str] | None = None,
    out: str | Path,
    resume: bool = False,
    threads: int | None = None,
    workers: int = 1,
    cluster: str | None = None,
) -> list[Path]:
    """Run an experiment as :func:`localbook.experiments.run` does, several methods at a time.

    Parameters
    ----------
    experiment, profile, setting, data, seeds, methods, out, resume, threads
        As for :func:`localbook.experiments.run`.
    workers : int
        Processes on this machine, which share its cores evenly (``threads`` are those of each).
    cluster : str, optional
        The address of a Dask scheduler, whose workers are used instead. Each needs the data and
        this package, works in a folder ``out`` of its own or a shared one, and sends its record.

    Returns
    -------
    list of Path
        The records, one for each method.

    Raises
    ------
    ConfigError
        As for :func:`localbook.experiments.run`, if ``workers`` is below 1, or without a scheduler.
    TrainingError
        If worker processes are killed again and again.
    """
    if workers < 1:
        raise ConfigError(f"workers={workers}: give at least one process.")
    jobs = planned(
        experiment, profile, setting, data=data, seeds=seeds, methods=methods, out=out,
        resume=resume,
    )  # fmt: skip
    common: Row = {
        "experiment": experiment,
        "profile": profile,
        "setting": setting,
        "data": None if data is None else str(data),
        "seeds": seeds,
        "out": str(out),
        "resume": True,
        "threads": threads,
        "processes": 1 if cluster else workers,
    }
    shares = [common | {"methods": [job.method]} for job, path in jobs if not path.exists()]
    found = on_cluster(_work, shares, cluster) if cluster else in_processes(_work, shares, workers)
    paths = {job.method: path for job, path in jobs}
    with Progress(f"{experiment}, {profile}", len(jobs), "method") as bar:
        done = len(jobs) - len(shares)
        bar.at(done, "recorded before")
        for share, text in found:
            (method,) = share["methods"]
            path = paths[method]
            if not path.exists():
                write_text(path, text)
            done += 1
            bar.at(done, method)
    return list(paths.values())


def _work(share: Row) -> str:
    """Run one method without a display of its own; return the text of its record."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        (path,) = run(**share)
    return path.read_text(encoding="utf-8")
