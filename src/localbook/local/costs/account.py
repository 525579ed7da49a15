"""What each rule costs, beside back-propagation with and without checkpointing."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.local.costs.live import live_bytes
from localbook.local.costs.saved import SavedBytes, saved_bytes
from localbook.local.networks import IsolatedNetwork, check_inputs, copied
from localbook.local.rules import BP, CheckpointedBP, Rule
from localbook.local.training import Compute

BASELINES: Mapping[str, Rule] = {"bp": BP(), "checkpointed": CheckpointedBP()}


@dataclass(frozen=True)
class Account:
    """What one rule costs on one batch.

    Attributes
    ----------
    name : str
    images : int
        Samples in the batch.
    saved : SavedBytes or None
        What autograd keeps for backward; None for a rule that differentiates by torch.func.
    live : int
        The most bytes of new tensors alive at once; see
        :func:`localbook.local.costs.live.live_bytes`.
    cuda_peak : int or None
        On a GPU, the most that the allocator gave out beyond what was there before the step.
    seconds : tuple of float
        One for each repetition of a step without the optimiser's.
    """

    name: str
    images: int
    saved: SavedBytes | None
    live: int
    cuda_peak: int | None
    seconds: tuple[float, ...]

    @property
    def step_s(self) -> float:
        """Return the median time of a step."""
        return statistics.median(self.seconds)

    def row(self, bp: "Account") -> Row:
        """Return the figures, and their ratios to back-propagation's in the same process.

        Returns
        -------
        dict
            ``name``; ``saved_bytes``, ``saved_by_module``, ``live_bytes`` and ``cuda_peak_bytes``;
            ``step_s`` (median), ``step_s_min`` and ``step_s_max``, ``images_per_s``; and ``saved``,
            ``live``, ``cuda_peak`` and ``time``, each over back-propagation's. None where a figure
            could not be taken.
        """
        saved = None if self.saved is None else self.saved.peak
        return {
            "name": self.name,
            "saved_bytes": saved,
            "saved_by_module": None if self.saved is None else list(self.saved.per_module),
            "live_bytes": self.live,
            "cuda_peak_bytes": self.cuda_peak,
            "step_s": self.step_s,
            "step_s_min": min(self.seconds),
            "step_s_max": max(self.seconds),
            "images_per_s": self.images / self.step_s,
            "saved": _ratio(saved, None if bp.saved is None else bp.saved.peak),
            "live": _ratio(self.live, bp.live),
            "cuda_peak": _ratio(self.cuda_peak, bp.cuda_peak),
            "time": self.step_s / bp.step_s,
        }


def account(
    net: IsolatedNetwork,
    rules: Mapping[str, Rule],
    x: Tensor,
    y: Tensor,
    *,
    nets: Mapping[str, IsolatedNetwork] | None = None,
    repeats: int = 5,
    compute: Compute | None = None,
) -> list[Account]:
    """Measure rules on one batch, always beside back-propagation with and without checkpointing.

    All in one process; the repetitions take turns, so that what slows the machine down for a while
    slows all rules. Networks and random state are left as they were.

    Parameters
    ----------
    net : IsolatedNetwork
        Measured in train mode.
    rules : mapping from names to rules
    x : float tensor, shape (N, ...)
    y : int64 tensor, shape (N,)
    nets : mapping from names to networks, optional
        For rules that need another than ``net``, such as one with DGL's heads.
    repeats : int
        How often each step is timed, after one that is not.
    compute : Compute, optional

    Returns
    -------
    list of Account
        First ``"bp"`` and ``"checkpointed"``, then the rules in their order.

    Raises
    ------
    ConfigError
        On NaN inputs, no repetition, or what a rule or ``compute`` refuses.
    """
    check_inputs(x)
    if repeats < 1:
        raise ConfigError(f"repeats={repeats} must be at least 1.")
    chosen, compute = {**BASELINES, **rules}, compute or Compute()
    own = {name: copied((nets or {}).get(name, net)).train() for name in chosen}
    fast = {
        name: (compute.rule(rule), compute.prepared(own[name], rule, x))
        for name, rule in chosen.items()
    }
    x = compute.arranged(x)
    times: dict[str, list[float]] = {name: [] for name in chosen}
    peaks: dict[str, int | None] = {}
    with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
        for _ in range(1 + repeats):
            for name in chosen:
                seconds, peaks[name] = _step(*fast[name], x, y, compute)
                times[name].append(seconds)
    found = []
    for name, rule in chosen.items():
        with compute.precision(x.device):
            hidden, live = rule.hides_saved_tensors, live_bytes(rule, own[name], x, y)
            saved = None if hidden else saved_bytes(rule, own[name], x, y)
        found.append(Account(name, len(x), saved, live, peaks[name], tuple(times[name][1:])))
    return found


def _step(
    rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor, compute: Compute
) -> tuple[float, int | None]:
    """Run a rule once; return its time and, on a GPU, what it allocated at most."""
    net.zero_grad(set_to_none=True)
    gpu, before = x.device.type == "cuda", 0
    if gpu:
        torch.cuda.synchronize(x.device)
        torch.cuda.reset_peak_memory_stats(x.device)
        before = torch.cuda.memory_allocated(x.device)
    start = time.perf_counter()
    with compute.precision(x.device):
        rule.gradients(net, x, y)
    if gpu:
        torch.cuda.synchronize(x.device)
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated(x.device) - before if gpu else None
    net.zero_grad(set_to_none=True)
    return seconds, peak


def _ratio(value: int | None, of: int | None) -> float | None:
    return None if value is None or not of else value / of
