"""What a step of each learning rule holds and takes, beside back-propagation's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from localbook.benchmarks.harness import Meter, Row, Target, counted, timed
from localbook.local import (
    BP,
    SGR,
    CheckpointedBP,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    account,
    add_heads,
    cifar_resnet,
    small_vit,
    split,
)
from localbook.local.networks import has_batch_norm

_MIB = 2**20
_MODULES = 4
_BATCH = {"cpu": 16, "cuda": 64}
_FEW = 4
_CHECKPOINTED = "checkpointed BP"
RULES: Mapping[str, Rule] = {
    _CHECKPOINTED: CheckpointedBP(),
    "plain local": PlainLocal(),
    "SGR, double backward": SGR(0.1),
    "SGR, one module a step": SGR(0.1, modules_per_step=1),
    "SGR, forward over reverse": SGR(0.1, derivative="forward_over_reverse"),
}
TARGET = "SGR, double backward"  # the rule whose memory is bounded
LESS = 0.6  # of back-propagation's bytes
SAMPLED = "SGR, a quarter of the samples"  # where no BatchNorm ties them together
RECOMPUTED = "SGR, recomputed"
_LIMITS = {  # times back-propagation's step
    TARGET: 2.0,
    "SGR, one module a step": 1.6,
    SAMPLED: 1.6,
    RECOMPUTED: 3.5,
}


@dataclass(frozen=True)
class Case:
    """A batch of images (N, 3, H, W), and a network in four modules.

    ``cuts`` are from the shares of memory that suit a rule (:meth:`localbook.local.Rule.shares`) to
    the network cut by them.
    """

    cuts: Mapping[tuple[float, ...], IsolatedNetwork]
    x: Tensor
    y: Tensor

    def on(self, device: str) -> "Case":
        """Return the case on a device."""
        cuts = {shares: net.to(device) for shares, net in self.cuts.items()}
        return Case(cuts, self.x.to(device), self.y.to(device))

    def net(self, rule: Rule) -> IsolatedNetwork:
        """Return the network with the cuts that suit a rule."""
        return self.cuts[rule.shares(_MODULES)]


def _resnet50(classes: int) -> nn.Module:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    model: nn.Module = resnet50(num_classes=classes)
    return model


def _vit_s(classes: int, side: int, patch: int) -> nn.Module:
    return small_vit(classes, image=side, patch=patch, width=384, depth=12, heads=6, seed=0)


def _case(model: nn.Module, head: str, batch: int, side: int) -> Case:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 3, side, side, generator=generator)
    y = torch.arange(batch) % 10
    cuts = {}
    for shares in {rule.shares(_MODULES) for rule in (BP(), SGR(), SGR(recompute=True))}:
        parts = split(model, _MODULES, x, shares=shares).modules
        cuts[shares] = add_heads(parts, head, x, y, seed=0).train()
    return Case(cuts, x, y)


Cases = Mapping[str, Callable[[], Case]]


def small(batch: int) -> Cases:
    """Return the cases whose steps are timed, by network and size of the batch."""
    return {
        f"ResNet-32, {batch} of 32²": lambda: _case(cifar_resnet(32, seed=0), "linear", batch, 32),
        f"ResNet-50, {batch} of 64²": lambda: _case(_resnet50(200), "linear", batch, 64),
        f"ViT-S, {batch} of 64²": lambda: _case(_vit_s(200, 64, 8), "class_token", batch, 64),
    }


def large(batch: int) -> Cases:
    """Return those of ImageNet's own size and classes, where activations outweigh weights."""
    return {
        f"ResNet-50, {batch} of 224²": lambda: _case(_resnet50(1000), "linear", batch, 224),
        f"ViT-S, {batch} of 224²": lambda: _case(_vit_s(1000, 224, 16), "class_token", batch, 224),
    }


def _counted(meter: Meter) -> Cases:
    batch = _BATCH[meter.device]
    return {**small(batch), **large(batch)}


def _timed(meter: Meter) -> Cases:
    """Return the cases to time: on a processor, the large ones with fewer images."""
    if meter.device == "cpu":
        return {**small(_BATCH["cpu"]), **large(_FEW)}
    return _counted(meter)


def measure_memory(meter: Meter, cases: Cases | None = None) -> Iterator[Row]:
    """Yield the bytes saved for backward and the most bytes alive, for every rule.

    Beside back-propagation; and SGR beside back-propagation with checkpointing too. On a GPU also
    what its allocator gave out at most.
    """
    for size, build in (cases or _counted(meter)).items():
        case = build().on(meter.device)
        held = _held(case)
        for name in RULES:
            target = Target("ratio", LESS) if name == TARGET else None
            for count, found in held[name].items():
                yield counted(
                    f"{count}, {name}", size, "MiB", found, "BP", held["bp"][count], target
                )
        for count, found in held[TARGET].items():
            yield counted(
                f"{count}, {TARGET}, over checkpointing", size, "MiB", found, _CHECKPOINTED,
                held[_CHECKPOINTED][count], Target("ratio", 1.0),
            )  # fmt: skip


def _held(case: Case) -> dict[str, dict[str, float]]:
    """Return what a step of each rule holds in MiB: saved, alive, and allocated on a GPU.

    What torch.func saves is hidden from hooks, and left out.
    """
    nets = {name: case.net(rule) for name, rule in RULES.items()}
    accounts = account(case.net(BP()), RULES, case.x, case.y, nets=nets, repeats=1)
    held = {}
    for found in accounts:
        saved = None if found.saved is None else found.saved.peak
        counts = {"saved": saved, "alive": found.live, "allocated": found.cuda_peak}
        held[found.name] = {name: n / _MIB for name, n in counts.items() if n is not None}
    return held


def measure_time(meter: Meter, cases: Cases | None = None) -> Iterator[Row]:
    """Yield the time of a step without the optimiser's, for every rule beside back-propagation.

    And that of SGR beside back-propagation with checkpointing too.
    """
    for size, build in (cases or _timed(meter)).items():
        case = build().on(meter.device)
        rules: dict[str, Rule] = {"BP": BP(), **RULES, RECOMPUTED: SGR(0.1, recompute=True)}
        if not has_batch_norm(case.net(BP())):
            rules[SAMPLED] = SGR(0.1, samples_per_step=0.25)
        times = meter.compare({name: partial(step, rule, case) for name, rule in rules.items()})
        for name in list(rules)[1:]:
            limit = _LIMITS.get(name)
            target = None if limit is None else Target("ratio", limit)
            yield timed(name, size, times[name], "BP", times["BP"], target)
        for name in [name for name in rules if name in _LIMITS]:
            yield timed(
                f"{name}, over checkpointing", size, times[name], _CHECKPOINTED,
                times[_CHECKPOINTED], Target("ratio", 1.0),
            )  # fmt: skip


def step(rule: Rule, case: Case) -> None:
    """Compute one batch's gradients."""
    net = case.net(rule)
    net.zero_grad(set_to_none=True)
    rule.gradients(net, case.x, case.y)
