"""``run``: an experiment becomes run records, one for each method."""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from localbook import data as images
from localbook import runs
from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.experiments import catalogue
from localbook.experiments.harness import Job, Outcome, Setting, differences, label, plain
from localbook.threads import FILE, Threads, computing


def run(
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
    processes: int = 1,
) -> list[Path]:
    """Run an experiment at a profile and write one record for each method.

    A method that is recorded already, with the same settings on the same data, is not run again.

    Parameters
    ----------
    experiment, profile : str
    setting : Setting, optional
        Another than the profile's own, such as ``replace(setting(experiment, profile), epochs=3)``.
        Its records bear a profile's name of their own, such as ``quick+epochs=3``, and say in
        ``config["changed"]`` what was changed; other images or seeds alone do not count.
    data : str or Path, optional
        Another image set, or a folder of images, in place of the profile's.
    seeds : int, optional
        How many seeds, in place of the profile's number.
    methods : sequence of str, optional
        Only these, so that several processes or machines can share an experiment.
    out : path
        Where the records go; unfinished work is kept below ``<out>/<experiment>/.partial``.
    resume : bool
        Continue unfinished work found there, with the threads it was begun with.
    threads : int, optional
        Of torch. If not given, as many as OMP_NUM_THREADS says; else one, or the cores' number
        where some steps of the network show that it is faster.
    processes : int
        Such runs that share this machine's cores.

    Returns
    -------
    list of Path
        The records, one for each method.

    Raises
    ------
    ConfigError
        On an unknown method, another experiment's setting, without the device the profile needs, on
        unfinished work without ``resume`` or with other ``threads``, or when a record of other
        settings is in the way.
    """
    origin = runs.provenance(_device(profile))  # now: the checkout may move on while this runs
    written = []
    for job, path in planned(
        experiment, profile, setting, data=data, seeds=seeds, methods=methods, out=out,
        resume=resume,
    ):  # fmt: skip
        if not path.exists():
            with _threads(job, threads, processes):
                outcome = catalogue.EXPERIMENTS[experiment].run(job)
                origin["hardware"]["threads"] = torch.get_num_threads()
            runs.write(_record(job, outcome, origin), out)
            shutil.rmtree(job.partial, ignore_errors=True)
        written.append(path)
    return written


@contextmanager
def _threads(job: Job, count: int | None, processes: int) -> Iterator[None]:
    """Let a job compute with the threads that are asked for or kept with its unfinished work."""
    threads = Threads.kept(job.partial, count, processes)
    threads.keep(job.partial)
    try:
        with computing(threads.now):
            yield
    finally:
        if not _begun(job.partial):
            shutil.rmtree(job.partial, ignore_errors=True)


def planned(
    experiment: str,
    profile: str,
    setting: Setting | None,
    *,
    data: str | Path | None,
    seeds: int | None,
    methods: Sequence[str] | None,
    out: str | Path,
    resume: bool,
) -> list[tuple[Job, Path]]:
    """Return what :func:`run` would run, and where each record goes, after all of its checks.

    A record that exists is of the same settings on the same data.
    """
    own = catalogue.setting(experiment, profile)
    if setting is not None and type(setting) is not type(own):
        raise ConfigError(
            f"{experiment!r} has settings of {type(own).__name__}, not {type(setting).__name__}; "
            "change a field of its own by dataclasses.replace(setting(experiment, profile), ...)."
        )
    chosen, sets = _with_data(experiment, setting or own, data)
    if seeds is not None:
        chosen = dataclasses.replace(chosen, seeds=seeds)
    if chosen.seeds < 1:
        raise ConfigError(f"seeds={chosen.seeds} must be at least 1.")
    changes = {k: v for k, v in differences(own, chosen).items() if k not in ("data", "seeds")}
    device, name = _device(profile), profile + label(changes)
    home = Path(out) / experiment
    jobs = []
    for method in _methods(chosen, methods):
        job = Job(
            experiment,
            name,
            method,
            chosen,
            list(range(chosen.seeds)),
            sets,
            device,
            partial=home / ".partial" / f"{name}-{method}",
            draw=catalogue.EXPERIMENTS[experiment].draw,
            changed=changes,
        )
        path = home / f"{name}-{method}.json"
        if path.exists():
            _refuse_another(path, job)
        jobs.append((job, path))
    _refuse_unfinished([job for job, _ in jobs], resume)
    return jobs


def _with_data(experiment: str, chosen: Any, data: str | Path | None) -> tuple[Any, dict[str, Any]]:
    """Return the setting that names its data, and the data."""
    known = catalogue.EXPERIMENTS[experiment]
    if known.draw is not None:
        if data is not None:
            raise ConfigError(f"{experiment!r} draws its data itself; run it without --data.")
        return chosen, dict(known.draw(chosen, 0))
    place = chosen.data if data is None else data
    chosen = dataclasses.replace(chosen, data=Path(place).name)  # a record names no folders
    sets = {split: images.load(place, split) for split in images.SPLITS}
    return chosen, known.prepare(chosen, sets)


def _methods(chosen: Setting, wanted: Sequence[str] | None) -> list[str]:
    unknown = [method for method in wanted or () if method not in chosen.methods]
    if unknown:
        raise ConfigError(
            f"unknown method {unknown[0]!r}; this experiment has {', '.join(chosen.methods)}."
        )
    return list(wanted or chosen.methods)


def _device(profile: str) -> str:
    if profile == "gpu" and not torch.cuda.is_available():
        raise ConfigError(
            "profile 'gpu' needs a CUDA device and torch finds none; use profile 'cpu' or 'quick'."
        )
    return "cuda" if profile == "gpu" else "cpu"


def _refuse_unfinished(jobs: list[Job], resume: bool) -> None:
    unfinished = [job.partial for job in jobs if _begun(job.partial)]
    if unfinished and not resume:
        raise ConfigError(
            f"unfinished work of this experiment is in {unfinished[0].parent}; "
            "add --resume to continue it, or delete that folder to start over."
        )


def _begun(partial: Path) -> bool:
    """Return whether there is anything to continue."""
    return partial.exists() and any(path.name != FILE for path in partial.iterdir())


def _refuse_another(path: Path, job: Job) -> None:
    """Refuse to overwrite a record of something else, or to take it for this job's."""
    old = runs.read(path)
    recorded, wanted = _completed(old.config["setting"], job.setting), plain(job.setting)
    # What else the experiment compares has no part in what this method measured.
    same = (
        recorded | {"methods": []} == wanted | {"methods": []}
        and old.source == _sources(job)
        and old.seeds == job.seeds
    )
    if not same:
        earlier = recorded.keys() != wanted.keys()
        why = " (of an earlier version, with other fields)" if earlier else ""
        raise ConfigError(
            f"{path} records other settings{why} or other images; delete it or choose another "
            "--out."
        )


def _completed(old: Any, chosen: Any) -> Any:
    """Return a recorded setting with the defaults of fields that are younger than the record."""
    if not dataclasses.is_dataclass(chosen) or not isinstance(old, dict):
        return old
    found = dict(old)
    for field in dataclasses.fields(chosen):
        if field.name in old:
            found[field.name] = _completed(old[field.name], getattr(chosen, field.name))
        elif field.default is not dataclasses.MISSING:
            found[field.name] = plain(field.default)
    return found


def _record(job: Job, outcome: Outcome, origin: Row) -> runs.Record:
    """Join what the job measured with where it comes from."""
    config = {
        "setting": plain(job.setting),
        "chosen": outcome.chosen,
        "tuning": outcome.tuning,
    }
    sizes = {split: len(s) for split, s in job.sets.items()}
    if outcome.parameters is not None:
        sizes["parameters"] = outcome.parameters
    return runs.Record(
        experiment=job.experiment,
        profile=job.profile,
        method=job.method,
        config=config | ({"changed": job.changed} if job.changed else {}),
        seeds=job.seeds,
        source=_sources(job),
        sizes=sizes,
        history=outcome.history,
        final=outcome.final,
        wall_s=round(outcome.wall_s, 3),
        peak_bytes=outcome.peak_bytes,
        **origin | {"date": runs.now()},
    )


def _sources(job: Job) -> dict[str, str]:
    return {split: s.source for split, s in job.sets.items()}
