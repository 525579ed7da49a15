"""What a step of each learning rule holds and takes, beside back-propagation's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
_CHECKPOINTED = "checkpointed BP"
RULES: Mapping[str, Rule] = {
    _CHECKPOINTED: CheckpointedBP(),
    "plain local": PlainLocal(),
    "SGR, double backward": SGR(0.1),
    "SGR, one module a step": SGR(0.1, paying=1),
    "SGR, forward over reverse": SGR(0.1, path="forward_over_reverse"),
}
TARGET = "SGR, double backward"  # the rule whose memory is bounded
_LESS = 0.6  # of back-propagation's bytes
_LIMITS = {TARGET: 2.0, "SGR, one module a step": 1.5}  # times back-propagation's step


@dataclass(frozen=True)
class Case:
    """A network in four modules, and a batch.

    Attributes
    ----------
    even : IsolatedNetwork
        Cut so that all modules save about the same, which is best for checkpointing and plain
        local learning.
    uneven : IsolatedNetwork
        The same with three times the share for the first module, which is best for SGR: that module
        pays no penalty.
    x : float tensor, shape (N, 3, H, W)
    y : int64 tensor, shape (N,)
    """

    even: IsolatedNetwork
    uneven: IsolatedNetwork
    x: Tensor
    y: Tensor

    def net(self, rule: Rule) -> IsolatedNetwork:
        """Return the network with the cuts that suit a rule."""
        return self.uneven if isinstance(rule, SGR) else self.even


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
    even, uneven = (
        add_heads(split(model, _MODULES, x, shares=shares).modules, head, x, y, seed=0).train()
        for shares in ((), (3.0,) + (1.0,) * (_MODULES - 1))
    )
    return Case(even, uneven, x, y)


CASES: Mapping[str, Callable[[], Case]] = {
    "ResNet-32, 16 of 32²": lambda: _case(cifar_resnet(32, seed=0), "linear", 16, 32),
    "ResNet-50, 16 of 64²": lambda: _case(_resnet50(200), "linear", 16, 64),
    "ViT-S, 16 of 64²": lambda: _case(_vit_s(200, 64, 8), "class_token", 16, 64),
}
# ImageNet's own size and classes, where activations outweigh weights: to count, not to time.
LARGE: Mapping[str, Callable[[], Case]] = {
    "ResNet-50, 16 of 224²": lambda: _case(_resnet50(1000), "linear", 16, 224),
    "ViT-S, 16 of 224²": lambda: _case(_vit_s(1000, 224, 16), "class_token", 16, 224),
}


def measure_memory(
    meter: Meter, cases: Mapping[str, Callable[[], Case]] = {**CASES, **LARGE}
) -> Iterator[Row]:
    """Yield the bytes saved for backward and the most bytes alive, for every rule.

    Beside back-propagation; and SGR beside back-propagation with checkpointing too.
    """
    for size, build in cases.items():
        case = build()
        held = {name: _held(rule, case) for name, rule in {"BP": BP(), **RULES}.items()}
        for name in RULES:
            target = Target("ratio", _LESS) if name == TARGET else None
            for count, found in held[name].items():
                yield counted(
                    f"{count}, {name}", size, "MiB", found, "BP", held["BP"][count], target
                )
        for count, found in held[TARGET].items():
            yield counted(
                f"{count}, {TARGET}, over checkpointing", size, "MiB", found, _CHECKPOINTED,
                held[_CHECKPOINTED][count], Target("ratio", 1.0),
            )  # fmt: skip


def _held(rule: Rule, case: Case) -> dict[str, float]:
    """Return what a step holds in MiB: saved, unless torch.func hides it, and alive."""
    what = (rule, case.net(rule), case.x, case.y)
    found = {}
    if not (isinstance(rule, SGR) and rule.path == "forward_over_reverse"):
        found["saved"] = saved_bytes(*what).peak / _MIB
    return found | {"alive": live_bytes(*what) / _MIB}


def measure_time(meter: Meter, cases: Mapping[str, Callable[[], Case]] = CASES) -> Iterator[Row]:
    """Yield the time of a step without the optimiser's, for every rule."""
    for size, build in cases.items():
        case = build()
        rules: dict[str, Rule] = {"BP": BP(), **RULES}
        times = meter.compare({name: partial(step, rule, case) for name, rule in rules.items()})
        for name in RULES:
            limit = _LIMITS.get(name)
            target = None if limit is None else Target("ratio", limit)
            yield timed(name, size, times[name], "BP", times["BP"], target)


def step(rule: Rule, case: Case) -> None:
    """Compute one batch's gradients."""
    net = case.net(rule)
    net.zero_grad(set_to_none=True)
    rule.gradients(net, case.x, case.y)
