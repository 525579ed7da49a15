"""What a step of each learning rule holds and takes, beside back-propagation's."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from localbook.benchmarks.meter import Meter
from localbook.benchmarks.row import Row, Target, counted, timed
from localbook.local import (
    BP,
    SGR,
    CheckpointedBP,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    add_heads,
    cifar_resnet,
    live_bytes,
    saved_bytes,
    small_vit,
    split,
)

_MIB = 2**20
_MODULES = 4
RULES: Mapping[str, Rule] = {
    "checkpointed BP": CheckpointedBP(),
    "plain local": PlainLocal(),
    "SGR, double backward": SGR(0.1),
    "SGR, one module a step": SGR(0.1, paying=1),
    "SGR, forward over reverse": SGR(0.1, path="forward_over_reverse"),
}
TARGET = "SGR, double backward"  # the rule whose costs are bounded

Case = tuple[IsolatedNetwork, Tensor, Tensor]


def _resnet50() -> nn.Module:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    model: nn.Module = resnet50(num_classes=200)
    return model


def _case(model: nn.Module, head: str, batch: int, side: int) -> Case:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 3, side, side, generator=generator)
    y = torch.arange(batch) % 10
    # The first module pays no penalty, so it may hold three times as much.
    parts = split(model, _MODULES, x, shares=(3.0,) + (1.0,) * (_MODULES - 1))
    return add_heads(parts.modules, head, x, y, seed=0).train(), x, y


CASES: Mapping[str, Callable[[], Case]] = {
    "ResNet-32, 16 of 32²": lambda: _case(cifar_resnet(32, seed=0), "linear", 16, 32),
    "ResNet-50, 16 of 64²": lambda: _case(_resnet50(), "linear", 16, 64),
    "ViT-S, 16 of 64²": lambda: _case(
        small_vit(200, image=64, patch=8, width=384, depth=12, heads=6, seed=0),
        "class_token", 16, 64,
    ),
}  # fmt: skip


def measure_memory(meter: Meter, cases: Mapping[str, Callable[[], Case]] = CASES) -> Iterator[Row]:
    """Yield the bytes saved for backward and the most bytes alive, for every rule."""
    for size, build in cases.items():
        net, x, y = build()
        saved, live = saved_bytes(BP(), net, x, y).peak / _MIB, live_bytes(BP(), net, x, y) / _MIB
        for name, rule in RULES.items():
            target = Target("ratio", 0.6) if name == TARGET else None
            if not (isinstance(rule, SGR) and rule.path == "forward_over_reverse"):
                found = saved_bytes(rule, net, x, y).peak / _MIB
                yield counted(f"saved, {name}", size, "MiB", found, "BP", saved, target)
            found = live_bytes(rule, net, x, y) / _MIB
            yield counted(f"alive, {name}", size, "MiB", found, "BP", live, target)


def measure_time(meter: Meter, cases: Mapping[str, Callable[[], Case]] = CASES) -> Iterator[Row]:
    """Yield the time of a step without the optimiser's, for every rule."""
    for size, build in cases.items():
        net, x, y = build()
        rules: dict[str, Rule] = {"BP": BP(), **RULES}
        times = meter.compare({name: partial(step, r, net, x, y) for name, r in rules.items()})
        for name in RULES:
            target = Target("ratio", 2.0) if name == TARGET else None
            yield timed(name, size, times[name], "BP", times["BP"], target)


def step(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> None:
    """Compute one batch's gradients."""
    net.zero_grad(set_to_none=True)
    rule.gradients(net, x, y)
