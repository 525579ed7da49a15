"""The book's experiments: what each profile means, and how an experiment becomes run records."""

from localbook.experiments.comparison import run
from localbook.experiments.settings import EXPERIMENTS, PROFILES, Setting, setting

__all__ = ["EXPERIMENTS", "PROFILES", "Setting", "run", "setting"]
