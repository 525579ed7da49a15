"""What an experiment and a job are, and what all experiments have in common."""

from localbook.experiments.harness.changes import changed, differences, label, plain
from localbook.experiments.harness.job import Experiment, Job, Outcome, Samples, Setting, Split
from localbook.experiments.harness.trials import (
    TUNING_SEED,
    each_seed,
    fewer_images,
    seed_by_seed,
    tune,
    with_threads_that_pay,
)
from localbook.experiments.harness.unfinished import rows_once, tensors_once

__all__ = [
    "TUNING_SEED",
    "Experiment",
    "Job",
    "Outcome",
    "Samples",
    "Setting",
    "Split",
    "changed",
    "differences",
    "each_seed",
    "fewer_images",
    "label",
    "plain",
    "rows_once",
    "seed_by_seed",
    "tensors_once",
    "tune",
    "with_threads_that_pay",
]
