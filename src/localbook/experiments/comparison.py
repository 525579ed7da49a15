"""Comparing learning rules: tune each on the validation split, train several seeds, record."""

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from localbook import data as images
from localbook import runs
from localbook.data import ImageSet
from localbook.data.batches import DeviceImages
from localbook.errors import ConfigError, TrainingError
from localbook.experiments.settings import Candidate, Setting, setting
from localbook.local import BP, SGR, IsolatedNetwork, PlainLocal, Rule, accuracy, train
from localbook.progress import Progress

_TUNING_SEED = 9000  # never one of the seeds that are reported
_TEST_BATCH = 512

Row = dict[str, Any]


@dataclass(frozen=True)
class _Job:
    """One method's part of an experiment, and where its unfinished work is kept."""

    experiment: str
    profile: str
    method: str
    setting: Setting
    seeds: list[int]
    partial: Path

    def checkpoint(self, name: str) -> Path:
        return self.partial / f"{name}.pt"


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
    chosen = setting(experiment, profile)
    if data is not None:
        chosen = replace(chosen, data=Path(data).name)  # a record names no machine's folders
    if seeds is not None:
        if seeds < 1:
            raise ConfigError(f"seeds={seeds} must be at least 1.")
        chosen = replace(chosen, seeds=seeds)
    device = _device(profile)
    sets = {
        split: images.load(chosen.data if data is None else data, split) for split in images.SPLITS
    }
    home = Path(out) / experiment
    jobs = [
        _Job(
            experiment,
            profile,
            method,
            chosen,
            list(range(chosen.seeds)),
            home / ".partial" / f"{profile}-{method}",
        )
        for method in _methods(chosen, methods)
    ]
    _refuse_unfinished(jobs, resume)
    origin = runs.provenance(device)  # now, since the checkout may move on while this runs
    written = []
    for job in jobs:
        path = home / f"{profile}-{job.method}.json"
        if not _recorded(path, job, sets):
            path = runs.write(_run_method(job, sets, device, origin), out)
            shutil.rmtree(job.partial, ignore_errors=True)
        written.append(path)
    return written


def _methods(chosen: Setting, wanted: Sequence[str] | None) -> list[str]:
    unknown = [method for method in wanted or () if method not in chosen.candidates]
    if unknown:
        raise ConfigError(
            f"unknown method {unknown[0]!r}; this experiment has {', '.join(chosen.candidates)}."
        )
    return list(wanted or chosen.candidates)


def _device(profile: str) -> str:
    if profile == "gpu" and not torch.cuda.is_available():
        raise ConfigError(
            "profile 'gpu' needs a CUDA device and torch finds none; use profile 'cpu' or 'quick'."
        )
    return "cuda" if profile == "gpu" else "cpu"


def _refuse_unfinished(jobs: list[_Job], resume: bool) -> None:
    unfinished = [job.partial for job in jobs if job.partial.exists()]
    if unfinished and not resume:
        raise ConfigError(
            f"unfinished work of this experiment is in {unfinished[0].parent}; "
            "add --resume to continue it, or delete that folder to start over."
        )


def _recorded(path: Path, job: _Job, sets: dict[str, ImageSet]) -> bool:
    """Say whether the job is done already; refuse to overwrite a record of something else."""
    if not path.exists():
        return False
    old = runs.read(path)
    same = (
        old.config["setting"] == _plain(job.setting)
        and old.source == _sources(sets)
        and old.seeds == job.seeds
    )
    if not same:
        raise ConfigError(
            f"{path} records other settings or other images; delete it or choose another --out."
        )
    return True


def _run_method(job: _Job, sets: dict[str, ImageSet], device: str, origin: Row) -> runs.Record:
    """Tune one method, train it with every seed, test each once at the end."""
    train_set = DeviceImages(sets["train"], device)
    val, test = (DeviceImages(sets[s], device, train_set.stats) for s in ("val", "test"))
    tuning = _tune(job, train_set, val, sets["train"])
    chosen: Candidate = max(tuning, key=lambda t: t["val_accuracy"])["candidate"]
    history: list[Row] = []
    final: list[Row] = []
    peak = None
    for seed in job.seeds:
        net, rows, used = _train_one(job, chosen, seed, train_set, val, sets["train"])
        peak = max(peak or 0, used) if used is not None else None
        history += [{"seed": seed} | row for row in rows]
        scores = [round(a, 6) for a in accuracy(net, test.in_order(_TEST_BATCH)).tolist()]
        final.append(
            {"seed": seed, "test_accuracy": scores[-1], "test_accuracy_by_module": scores}
            | {key: rows[-1][key] for key in ("discord", "cosine")}
            | {"val_accuracy": rows[-1]["accuracy"][-1]}
        )
    return runs.Record(
        experiment=job.experiment,
        profile=job.profile,
        method=job.method,
        config={"setting": _plain(job.setting), "chosen": chosen, "tuning": tuning},
        seeds=job.seeds,
        source=_sources(sets),
        sizes={split: len(s) for split, s in sets.items()}
        | {"parameters": sum(p.numel() for p in net.parameters())},
        history=history,
        final=final,
        wall_s=round(sum(row["seconds"] for row in history), 3),
        peak_bytes=peak,
        **origin | {"date": runs.now()},
    )


def _tune(job: _Job, data: DeviceImages, val: DeviceImages, train_set: ImageSet) -> list[Row]:
    """Judge every candidate on the validation split; a single one needs no judging."""
    candidates = job.setting.candidates[job.method]
    if len(candidates) == 1:
        return [{"candidate": candidates[0], "val_accuracy": 0.0}]
    schedule = replace(job.setting.schedule, epochs=job.setting.tuning_epochs)
    trial = replace(job, setting=replace(job.setting, schedule=schedule))
    rows = []
    for candidate in candidates:
        try:
            _, history, _ = _train_one(trial, candidate, _TUNING_SEED, data, val, train_set)
            score = history[-1]["accuracy"][-1]
        except TrainingError:  # a candidate that diverges has lost
            score = 0.0
        rows.append({"candidate": candidate, "val_accuracy": score, "seed": _TUNING_SEED})
    return rows


def _train_one(
    job: _Job,
    candidate: Candidate,
    seed: int,
    data: DeviceImages,
    val: DeviceImages,
    train_set: ImageSet,
) -> tuple[IsolatedNetwork, list[Row], int | None]:
    """Train one network; return it with its history and the peak of GPU memory."""
    device = data.labels.device
    net = job.setting.model.build(train_set.images.shape[1], len(train_set.class_names), seed)
    net.to(device)
    schedule = replace(job.setting.schedule, lr=candidate["lr"])
    name = "-".join(f"{key}{value:g}" for key, value in candidate.items()) + f"-seed{seed}"
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with Progress(f"{job.method} {name}", schedule.epochs, "epoch") as bar:
        rows = train(
            net,
            _rule(job.method, candidate),
            data,
            val,
            schedule,
            seed=seed,
            checkpoint=job.checkpoint(name),
            on_epoch=lambda row: bar.at(row["epoch"], _figures(row)),
        )
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return net, rows, peak


def _rule(method: str, candidate: Candidate) -> Rule:
    if method == "sgr":
        return SGR(weight=candidate["weight"])
    return BP() if method == "bp" else PlainLocal()


def _figures(row: Row) -> str:
    """Return what a progress display says of an epoch: the last head's accuracy, mean discord."""
    known = [value for value in row["discord"] if value is not None]
    discord = f", discord {sum(known) / len(known):.2f}" if known else ""
    return f"accuracy {row['accuracy'][-1]:.3f}{discord}, {row['images_per_s']:.0f} images/s"


def _sources(sets: dict[str, ImageSet]) -> dict[str, str]:
    return {split: s.source for split, s in sets.items()}


def _plain(chosen: Setting) -> dict[str, Any]:
    """Return a setting as JSON would give it back: lists for tuples."""
    return _jsonable(dataclasses.asdict(chosen))  # type: ignore[no-any-return]


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value
