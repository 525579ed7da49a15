from .catalogue import EXPERIMENTS, PROFILES, setting
from .comparisons import Method
from .harness import Experiment, Job, Outcome, Samples, Setting, changed, each_seed
from .parallel import train_parallel
from .runner import run
from .sweep import sweep

__all__ = [
    "EXPERIMENTS",
    "PROFILES",
    "Experiment",
    "Job",
    "Method",
    "Outcome",
    "Samples",
    "Setting",
    "changed",
    "each_seed",
    "run",
    "setting",
    "sweep",
    "train_parallel",
]
