"""What a step holds at the paper's scale: ImageNet's images, 256 at a time, counted exactly.

Nothing is computed: steps run on symbolic tensors (:func:`localbook.local.symbolic_bytes`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from localbook.benchmarks.harness import Meter, Row, Target, counted
from localbook.benchmarks.training.steps import LESS, RECOMPUTED, TARGET
from localbook.local import (
    BP,
    SGR,
    CheckpointedBP,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    add_heads,
    in_blocks,
    small_vit,
    split,
    symbolic_bytes,
)

_MIB = 2**20
_CLASSES = 1000
_CHECKPOINTED = "checkpointed BP"


class Scale(NamedTuple):
    """The size at which bytes are counted."""

    side: int = 224
    batch: int = 256
    modules: tuple[int, ...] = (2, 3, 4, 8, 16)


class Network(NamedTuple):
    """How a network is made, for images of a side, and what its heads look at."""

    build: Callable[[int], nn.Module]
    head: str = "linear"
    channel_axis: int | None = None


def _of_torchvision(name: str) -> Callable[[int], nn.Module]:
    def build(side: int) -> nn.Module:
        from torchvision.models import get_model

        model: nn.Module = get_model(name, weights=None, num_classes=_CLASSES)
        return model

    return build


def _vit_s(side: int) -> nn.Module:
    return small_vit(_CLASSES, image=side, patch=16, width=384, depth=12, heads=6, seed=0)


NETWORKS: Mapping[str, Network] = {
    "ResNet-50": Network(_of_torchvision("resnet50")),
    "ResNet-101": Network(_of_torchvision("resnet101")),
    "ViT-S": Network(_vit_s, "class_token"),
    "Swin-T": Network(_of_torchvision("swin_t"), "linear", -1),
}
# All but forward over reverse, whose tangents PyTorch cannot make of symbolic tensors, and one
# module a step, which in its worst draw holds what all modules do.
COUNTED: Mapping[str, Rule] = {
    _CHECKPOINTED: CheckpointedBP(),
    "plain local": PlainLocal(),
    TARGET: SGR(0.1),
    RECOMPUTED: SGR(0.1, recompute=True),
}
# Times what checkpointed back-propagation holds, by the number of modules.
_LIMITS = {4: 1.1, 8: 1.0}


def measure_paper_scale(
    meter: Meter,
    networks: Mapping[str, Network] = NETWORKS,
    scale: Scale | None = None,
) -> Iterator[Row]:
    """Yield the most bytes alive in a step of every rule, by network, modules and precision.

    Weights, and the momentum that SGD keeps for them, are rows of their own: they are there beside
    what a step needs, whatever the rule.
    """
    scale = scale or Scale()
    for name, network in networks.items():
        torch.manual_seed(0)
        model = network.build(scale.side)
        held = sum(p.numel() * p.element_size() for p in model.parameters()) / _MIB
        yield counted("weights", name, "MiB", held)
        yield counted("momentum of SGD", name, "MiB", held)
        for k in scale.modules:
            yield from _counts(f"{name}, K = {k}", network, model, k, scale)


def _counts(size: str, network: Network, model: nn.Module, k: int, scale: Scale) -> Iterator[Row]:
    x = torch.zeros(2, 3, scale.side, scale.side)
    y = torch.tensor([0, _CLASSES - 1])

    def cut(rule: Rule) -> IsolatedNetwork:
        parts = split(model, k, x, shares=rule.shares(k)).modules
        axis = network.channel_axis
        net = add_heads(parts, network.head, x, y, seed=0, channel_axis=axis).train()
        return in_blocks(net, x) if name_of[rule] == RECOMPUTED else net

    name_of = {rule: name for name, rule in COUNTED.items()} | {BP(): "BP"}
    nets = {name: cut(rule) for rule, name in name_of.items()}
    for precision in (None, torch.bfloat16):
        where = f"{size}, {scale.batch} of {scale.side}²" + (", bfloat16" if precision else "")

        held = {
            name: symbolic_bytes(rule, nets[name], x, batch=scale.batch, autocast=precision) / _MIB
            for rule, name in name_of.items()
        }
        alive, whole = {name: held[name] for name in COUNTED}, held["BP"]
        for name, found in alive.items():
            target = Target("ratio", LESS) if name == TARGET else None
            yield counted(f"alive, {name}", where, "MiB", found, "BP", whole, target)
        limits = {} if precision else _LIMITS
        least = Target("ratio", limits[k]) if k in limits else None
        yield counted(
            f"alive, {RECOMPUTED}, over checkpointing", where, "MiB", alive[RECOMPUTED],
            _CHECKPOINTED, alive[_CHECKPOINTED], least,
        )  # fmt: skip
