"""What experiments share: choose on the validation split, run every seed, limit images, round."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from localbook.arrays import Row
from localbook.data import SPLITS, ImageSet, limited, only_classes
from localbook.errors import TrainingError
from localbook.experiments.harness.job import Job, Outcome
from localbook.experiments.harness.unfinished import rows_once
from localbook.progress import Progress
from localbook.threads import FILE, Threads

TUNING_SEED = 9000
"""Of what candidates are judged by: never one of the seeds that are reported."""


def tune(
    job: Job,
    candidates: Sequence[Row],
    judge: Callable[[Row], Any],
    *,
    name: str = "",
    score: str = "val_accuracy",
) -> tuple[Row, list[Row]]:
    """Return the best candidate, and a row for each with its score.

    ``judge`` gives a candidate's score, larger is better, on the validation split and by networks
    of ``TUNING_SEED``; ``name`` tells a job's several choices apart. Of equals, the one that does
    least to the network: the smallest λ, then the smallest learning rate, then the first.

    A single one needs no judging; one whose training diverges has lost. Both have None for a score:
    none was measured. What an interrupted job has judged is not judged again.
    """
    if len(candidates) == 1:
        return candidates[0], [{"candidate": candidates[0], score: None}]
    rows: list[Row] = []
    with Progress(f"{job.method} {name} tuning", len(candidates), "candidate") as bar:
        for number, candidate in enumerate(candidates, start=1):

            def judged(candidate: Row = candidate) -> list[Row]:
                try:
                    found = judge(candidate)
                except TrainingError:
                    found = None
                return [{"candidate": candidate, score: found, "seed": TUNING_SEED}]

            rows += rows_once(job, f"tuning-{name}{number}", judged)
            bar.at(number, f"{rows[-1][score]}")
    return max(rows, key=lambda row: _rank(row["candidate"], row[score]))["candidate"], rows


def _rank(candidate: Row, score: Any) -> tuple[Any, ...]:
    """Return what is larger for a better candidate: its score, if it has one, then mildness."""
    mild = -candidate.get("weight", 0.0), -candidate.get("lr", 0.0)
    return (False, *mild) if score is None else (True, score, *mild)


def with_threads_that_pay(job: Job, step: Callable[[], Callable[[], object]]) -> None:
    """Let the rest of a job compute with more threads than one if its network's steps gain by them.

    ``step`` builds a network at its full size and returns what takes one step of it.
    """
    if job.device != "cpu" or not (job.partial / FILE).exists():
        return
    threads = Threads.kept(job.partial, None)
    if threads.now == threads.most:
        return
    # What does not fit, such as a batch of one, is refused in a sentence where training starts.
    with torch.random.fork_rng(devices=[]), suppress(RuntimeError, ValueError, IndexError):
        chosen = threads.measured(step())
        chosen.keep(job.partial)
        torch.set_num_threads(chosen.now)


def seed_by_seed(
    job: Job,
    measure: Callable[[int], tuple[Row, list[Row]]],
    chosen: Row | None = None,
    tuning: Sequence[Row] = (),
    parameters: int | None = None,
) -> Outcome:
    """Measure every seed; return that with what was chosen before. Finished seeds are kept.

    ``measure`` returns the final row and the history of one seed; the key ``seed`` is added, and
    ``seconds`` to the final row unless it has that.
    """

    def measured(seed: int) -> list[Row]:
        start = time.perf_counter()
        row, epochs = measure(seed)
        seconds = {"seconds": round(time.perf_counter() - start, 3)}
        return [{"seed": seed} | part for part in (seconds | row, *epochs)]

    final: list[Row] = []
    history: list[Row] = []
    with Progress(job.method, len(job.seeds), "seed") as bar:
        for count, seed in enumerate(job.seeds, start=1):
            row, *epochs = rows_once(job, f"seed{seed}", partial(measured, seed))
            final.append(row)
            history += epochs
            bar.at(count)
    wall = sum(row["seconds"] for row in final)
    return Outcome(history, final, wall, chosen or {}, list(tuning), parameters)


def each_seed(measure: Callable[[Job, int], tuple[Row, list[Row]]]) -> Callable[[Job], Outcome]:
    """Return the ``run`` of an experiment without tuning, from what measures one seed of a job."""
    return lambda job: seed_by_seed(job, partial(measure, job))


def fewer_images(setting: Any, sets: dict[str, ImageSet]) -> dict[str, ImageSet]:
    """Keep ``setting.classes`` classes, evenly spaced, and at most ``setting.images`` of a split.

    ``images`` are three numbers, for train, val and test, drawn evenly by class; None for all. A
    setting without ``classes`` keeps all of them.
    """
    if (count := getattr(setting, "classes", None)) is not None:
        total = len(sets["train"].class_names)
        chosen = [i * total // count for i in range(count)]
        sets = {split: only_classes(images, chosen) for split, images in sets.items()}
    limits = dict(zip(SPLITS, setting.images, strict=True))
    return {
        split: images if (n := limits[split]) is None or n >= len(images) else limited(images, n)
        for split, images in sets.items()
    }


def rounded(value: Any, places: int = 4) -> Any:
    """Return a number, or all those of nested lists, to so many decimal places."""
    if isinstance(value, list):
        return [rounded(one, places) for one in value]
    return round(float(value), places)


def significant(value: Any, digits: int) -> float:
    """Return a number to so many significant digits."""
    return float(f"{float(value):.{digits}g}")
