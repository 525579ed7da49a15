"""Harness."""

from localbook.experiments.harness.job import Experiment, Job, Outcome, Setting
from localbook.experiments.harness.unfinished import (
    keep_rows,
    keep_tensors,
    kept_rows,
    kept_tensors,
)

__all__ = [
    "Experiment",
    "Job",
    "Outcome",
    "Setting",
    "keep_rows",
    "keep_tensors",
    "kept_rows",
    "kept_tensors",
]
