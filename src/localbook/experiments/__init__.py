"""The book's experiments: what each profile means, and how an experiment becomes run records."""

from localbook.experiments.catalogue import EXPERIMENTS, PROFILES, setting
from localbook.experiments.harness import Experiment, Job, Outcome, Setting
from localbook.experiments.parallel import train_parallel
from localbook.experiments.runner import run
from localbook.experiments.sweep import sweep

__all__ = [
    "EXPERIMENTS",
    "PROFILES",
    "Experiment",
    "Job",
    "Outcome",
    "Setting",
    "run",
    "setting",
    "sweep",
    "train_parallel",
]
