"""``run``: an experiment becomes run records, one for each method."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from localbook import data as images
from localbook import runs
from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.experiments.catalogue import EXPERIMENTS, setting
from localbook.experiments.harness import Job, Outcome, Setting


def run(
    experiment: str,
    profile: str = "quick",
    *,
    data: str | Path | None = None,
    seeds: int | None = None,
    methods: Sequence[str] | None = None,
    out: str | Path,
    resume: bool = False,
) -> list[Path]:
    """Run an experiment at a profile and write one record for each method.

    A method that is recorded already, with the same settings on the same images, is not run again.

    Parameters
    ----------
    experiment, profile : str
    data : str or Path, optional
        Another image set, or a folder of images, in place of the profile's.
    seeds : int, optional
        How many seeds, in place of the profile's number.
    methods : sequence of str, optional
        Only these, so that several processes or machines can share an experiment.
    out : path
        Where the records go; unfinished work is kept below ``<out>/<experiment>/.partial``.
    resume : bool
        Continue unfinished work found there.

    Returns
    -------
    list of Path
        The records, one for each method.

    Raises
    ------
    ConfigError
        On an unknown method, without the device the profile needs, on unfinished work without
        ``resume``, or when a record of other settings is in the way.
    """
    origin = runs.provenance(_device(profile))  # now: the checkout may move on while this runs
    written = []
    for job, path in planned(
        experiment, profile, data=data, seeds=seeds, methods=methods, out=out, resume=resume
    ):
        if not path.exists():
            runs.write(_record(job, EXPERIMENTS[experiment].run(job), origin), out)
            shutil.rmtree(job.partial, ignore_errors=True)
        written.append(path)
    return written


def planned(
    experiment: str,
    profile: str,
    *,
    data: str | Path | None,
    seeds: int | None,
    methods: Sequence[str] | None,
    out: str | Path,
    resume: bool,
) -> list[tuple[Job, Path]]:
    """Return what :func:`run` would run, and where each record goes, after all of its checks.

    A record that exists is of the same settings on the same images.
    """
    chosen = _adapted(setting(experiment, profile), data, seeds)
    device = _device(profile)
    wanted = _methods(chosen, methods)
    sets = {
        split: images.load(chosen.data if data is None else data, split) for split in images.SPLITS
    }
    sets = EXPERIMENTS[experiment].prepare(chosen, sets)
    home = Path(out) / experiment
    own_seeds = list(range(chosen.seeds))
    jobs = []
    for method in wanted:
        partial = home / ".partial" / f"{profile}-{method}"
        job = Job(experiment, profile, method, chosen, own_seeds, sets, device, partial)
        path = home / f"{profile}-{method}.json"
        if path.exists():
            _refuse_another(path, job)
        jobs.append((job, path))
    _refuse_unfinished([job for job, _ in jobs], resume)
    return jobs


def _adapted(chosen: Setting, data: str | Path | None, seeds: int | None) -> Setting:
    changes: dict[str, Any] = {}
    if data is not None:
        changes["data"] = Path(data).name  # a record names no machine's folders
    if seeds is not None:
        if seeds < 1:
            raise ConfigError(f"seeds={seeds} must be at least 1.")
        changes["seeds"] = seeds
    return dataclasses.replace(chosen, **changes)


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
    unfinished = [job.partial for job in jobs if job.partial.exists()]
    if unfinished and not resume:
        raise ConfigError(
            f"unfinished work of this experiment is in {unfinished[0].parent}; "
            "add --resume to continue it, or delete that folder to start over."
        )


def _refuse_another(path: Path, job: Job) -> None:
    """Refuse to overwrite a record of something else, or to take it for this job's."""
    old = runs.read(path)
    recorded, wanted = _completed(old.config["setting"], job.setting), _plain(job.setting)
    # What else the experiment compares has no part in what this method measured.
    same = (
        recorded | {"methods": []} == wanted | {"methods": []}
        and old.source == _sources(job)
        and old.seeds == job.seeds
    )
    if not same:
        raise ConfigError(
            f"{path} records other settings or other images; delete it or choose another --out."
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
            found[field.name] = _jsonable(field.default)
    return found


def _record(job: Job, outcome: Outcome, origin: Row) -> runs.Record:
    """Join what the job measured with where it comes from."""
    return runs.Record(
        experiment=job.experiment,
        profile=job.profile,
        method=job.method,
        config={
            "setting": _plain(job.setting),
            "chosen": outcome.chosen,
            "tuning": outcome.tuning,
        },
        seeds=job.seeds,
        source=_sources(job),
        sizes={split: len(s) for split, s in job.sets.items()} | {"parameters": outcome.parameters},
        history=outcome.history,
        final=outcome.final,
        wall_s=round(outcome.wall_s, 3),
        peak_bytes=outcome.peak_bytes,
        **origin | {"date": runs.now()},
    )


def _sources(job: Job) -> dict[str, str]:
    return {split: s.source for split, s in job.sets.items()}


def _plain(chosen: Setting) -> dict[str, Any]:
    """Return a setting as JSON would give it back: lists for tuples."""
    return {key: _jsonable(v) for key, v in dataclasses.asdict(chosen).items()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value
