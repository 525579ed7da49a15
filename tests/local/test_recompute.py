"""SGR that recomputes beside double backward, and counts on symbolic tensors beside real ones."""

import pytest
import torch
from torch import nn

from localbook import local
from localbook.errors import ConfigError


def conv(norm, *after):
    return [nn.Conv2d(8, 8, 3, padding=1), norm, nn.Tanh(), *after]


LAYERS = {
    "batch norm": lambda: nn.Sequential(*conv(nn.BatchNorm2d(8)), *conv(nn.BatchNorm2d(8))),
    "group norm": lambda: nn.Sequential(*conv(nn.GroupNorm(2, 8)), *conv(nn.GroupNorm(2, 8))),
    "dropout": lambda: nn.Sequential(
        *conv(nn.Identity(), nn.Dropout(0.4)), *conv(nn.Identity(), nn.Dropout2d(0.2))
    ),
    "gelu": lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.GELU(), nn.Conv2d(8, 8, 1), nn.ReLU()),
    "one layer": lambda: nn.Conv2d(8, 8, 3, padding=1),
    "no layer between": lambda: nn.Sequential(nn.Flatten(), nn.Linear(8 * 16, 8 * 16),
                                              nn.Unflatten(1, (8, 4, 4))),
}  # fmt: skip


def chain(make):
    torch.manual_seed(0)
    modules = [make() for _ in range(3)]
    heads = [local.linear_head(8, 3) for _ in modules]
    return local.IsolatedNetwork(modules, heads).double().train()


def transformer():
    x = torch.zeros(2, 3, 16, 16)
    model = local.small_vit(3, image=16, patch=4, width=16, depth=3, heads=2, seed=0)
    parts = local.split(model, 3, x).modules
    return local.add_heads(parts, "class_token", x, torch.arange(2) + 1, seed=0).double().train()


def gradients(rule, net, x, y):
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    losses = rule.gradients(net, x, y)
    buffers = [buffer.clone() for buffer in net.buffers()]
    net.load_state_dict(net.state_dict() | before)
    return losses, [p.grad for p in net.parameters()], buffers, torch.rand(())


@pytest.mark.parametrize("distance", ["squared", "relative", "cosine"])
@pytest.mark.parametrize("layers", [*LAYERS, "transformer"])
def test_recomputing_gives_the_gradients_of_double_backward(layers, distance):
    net = transformer() if layers == "transformer" else chain(LAYERS[layers])
    x = torch.randn(5, *((3, 16, 16) if layers == "transformer" else (8, 4, 4))).double()
    y = torch.arange(5) % 3
    kept = gradients(local.SGR(2.0, distance=distance), net, x, y)
    again = gradients(local.SGR(2.0, distance=distance, recompute=True), net, x, y)
    for one, other in zip(kept, again, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-13)


def test_recomputing_holds_less_and_blocks_compute_what_their_module_does():
    torch.manual_seed(0)
    x, y = torch.randn(4, 3, 32, 32), torch.arange(4)
    parts = local.split(local.cifar_resnet(20, seed=0), 3, x, shares=(6.0, 1.0, 1.0)).modules
    net = local.add_heads(parts, "linear", x, y, seed=0).train()
    blocks = local.in_blocks(net, x)
    assert [len(local.blocks(m, x)) for m in blocks.local_modules] == [
        len(m) for m in blocks.local_modules
    ]
    assert sum(len(m) for m in blocks.local_modules) > len(net)
    torch.testing.assert_close(blocks.eval()(x), net.eval()(x))
    kept, again = (
        local.symbolic_bytes(local.SGR(1.0, recompute=again), blocks.train(), x, batch=64)
        for again in (False, True)
    )
    assert again < 0.8 * kept


def test_recomputing_goes_with_double_backward_alone():
    with pytest.raises(ConfigError, match="goes with derivative='double_backward'"):
        local.SGR(1.0, derivative="forward_over_reverse", recompute=True)


CONTRAST = local.InfoPro(contrast=True)
RULES = {
    "bp": local.BP(),
    "checkpointed": local.CheckpointedBP(),
    "plain": local.PlainLocal(),
    "predsim": local.PlainLocal(local.PredSim()),
    "infopro": local.PlainLocal(local.InfoPro()),
    "contrast": local.PlainLocal(CONTRAST),
    "greedy": local.Greedy(0.0),
    "last stage": local.Greedy(1.0),
    "sgr": local.SGR(1.0),
    "sgr on predsim": local.SGR(1.0, loss=local.PredSim()),
    "half of the samples": local.SGR(1.0, samples_per_step=0.5),
    "recomputed": local.SGR(1.0, recompute=True),
    "feedback": local.FeedbackAlignment(),
    "direct feedback": local.DirectFeedbackAlignment(),
    "noprop": local.NoProp(),
}
VALUES = {  # rules whose step depends on values, or on tangents, which symbols have not
    "one module": local.SGR(1.0, modules_per_step=1),
    "forward over reverse": local.SGR(1.0, derivative="forward_over_reverse"),
    "bp-free": local.BPFreeSGR(0.1),
    "forward-forward": local.ForwardForward(3),
}


def network(name, x):
    if name == "noprop":
        torch.manual_seed(0)
        trunks = [nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten()) for _ in range(2)]
        return local.noprop_network(trunks, x, 3, seed=0).train()
    norm = "none" if "samples" in name else "batch"
    net = local.ConvNet((8, 12, 8), (1, 2, 1), norm=norm).build(in_channels=1, classes=3, seed=0)
    losses = {"predsim": local.PredSim(), "infopro": local.InfoPro(), "contrast": CONTRAST}
    for word, loss in losses.items():
        if word in name:
            net = local.equip(net, loss, x, seed=0)
    return local.in_blocks(net, x).train()


@pytest.mark.parametrize("name", RULES)
def test_symbolic_counts_are_the_real_ones(name):
    x, y = torch.randn(6, 1, 12, 12), torch.arange(6) % 3
    net = network(name, x)
    counted = local.symbolic_bytes(RULES[name], net, x[:2], batch=6)
    assert counted == local.live_bytes(RULES[name], net, x, y) > 0


@pytest.mark.parametrize("name", VALUES)
def test_what_has_no_symbolic_form_is_refused(name):
    x = torch.randn(6, 1, 12, 12)
    net = network(name, x)
    if name == "forward-forward":
        net = local.with_length_norm(net)
    with pytest.raises(ConfigError, match="cannot take a step on symbolic tensors"):
        local.symbolic_bytes(VALUES[name], net, x, batch=6)
