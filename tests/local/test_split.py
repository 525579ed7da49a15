import copy
import gc
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations, pairwise

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from localbook.errors import ConfigError
from localbook.local import SGR, Split, add_heads, cifar_resnet, cut_points, small_vit, split


def images(side: int = 32) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def swin() -> nn.Module:
    sizes = {"patch_size": [4, 4], "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4]}
    return SwinTransformer(**sizes, window_size=[4, 4], stochastic_depth_prob=0.5, num_classes=10)


def mlp() -> nn.Sequential:
    widths = [3 * 32 * 32, 8, 8, 8]
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(8, 10))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "sequential": mlp,
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "resnet34": lambda: torchvision.models.resnet34(num_classes=10),
    "resnet50": lambda: torchvision.models.resnet50(num_classes=10),
    "resnet101": lambda: torchvision.models.resnet101(num_classes=10),
    "vgg": lambda: torchvision.models.vgg11_bn(num_classes=10, init_weights=False),
    "vit": lambda: VisionTransformer(32, 8, 3, 2, 24, 48, dropout=0.5, num_classes=10),
    "swin": swin,
    "cifar20": lambda: cifar_resnet(20, seed=0),
    "cifar32": lambda: cifar_resnet(32, seed=0),
    "cifar56": lambda: cifar_resnet(56, seed=0),
    "cifar110": lambda: cifar_resnet(110, seed=0),
    "small_vit": lambda: small_vit(width=24, depth=3, heads=2, seed=0),
}


def composed(parts: Split, x: Tensor) -> Tensor:
    for module in parts.modules:
        x = module(x)
    return x


def with_seed(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    torch.manual_seed(1)
    return model(x)


@pytest.mark.parametrize("name", MODELS)
def test_parts_compute_what_the_model_computes(name: str) -> None:
    torch.manual_seed(0)
    model, x = MODELS[name](), images()
    for k in (1, 2, 4):
        parts = split(model, k, x)
        assert len(parts.modules) == k
        assert len(parts.cuts) == k - 1
        # in train mode too: BatchNorm, dropout and stochastic depth follow the mode
        expected = with_seed(copy.deepcopy(model).train(), x)
        model.train()
        assert torch.equal(with_seed(lambda x, parts=parts: composed(parts, x), x), expected)
        model.eval()
        assert torch.equal(composed(parts, x), model(x))


@pytest.mark.parametrize("name", ["resnet18", "swin", "vit"])
def test_parts_share_parameters_under_their_names(name: str) -> None:
    model = MODELS[name]()
    parts = split(model, 3, images())
    union: dict[str, Tensor] = {}
    for module in parts.modules:
        for key, value in module.state_dict(keep_vars=True).items():
            assert key not in union
            union[key] = value
    own = model.state_dict(keep_vars=True)
    assert union.keys() == own.keys()
    assert all(union[key] is own[key] for key in own)


def test_loading_into_the_model_reaches_the_parts() -> None:
    model, other, x = MODELS["cifar20"](), cifar_resnet(20, seed=5).eval(), images()
    parts = split(model.eval(), 3, x)
    model.load_state_dict(other.state_dict())
    assert torch.equal(composed(parts, x), other(x))


def test_gradients_of_the_parts_together_are_those_of_the_model() -> None:
    model, x = MODELS["cifar20"](), images()
    twin = copy.deepcopy(model)
    composed(split(model, 4, x), x).square().sum().backward()
    twin(x).square().sum().backward()
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)


def test_splitting_changes_nothing_in_the_model() -> None:
    model = MODELS["resnet18"]()
    model.layer1.eval()  # someone froze its statistics
    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    split(model, 3, images())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in model.parameters())


def test_residual_networks_are_cut_between_blocks() -> None:
    blocks = {f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)}
    stages = {f"layer{stage}" for stage in range(1, 5)}
    for k in range(2, 9):
        cuts = split(MODELS["resnet18"](), k, images(64)).cuts
        assert set(cuts) <= blocks | stages | {"maxpool"}


def test_norm_and_activation_stay_with_their_layer() -> None:
    layers = [
        layer
        for channels in (3, 4, 4, 4)
        for layer in (nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    ]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 24 * 24, 10))
    assert split(model, 4, images()).cuts == ("2", "5", "8")


def test_balanced_is_the_best_of_all_cuts() -> None:
    layers = [
        layer
        for c, d in pairwise((3, 8, 16, 8, 8))
        for layer in (nn.Conv2d(c, d, 3, 2, 1), nn.ReLU())
    ]
    model, x = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 10)), images()
    layer_ends = ("1", "3", "5", "8")
    for k in (2, 3):
        best = min(
            max(split(model, k, x, at=at).saved_bytes) for at in combinations(layer_ends, k - 1)
        )
        assert max(split(model, k, x).saved_bytes) == best


def test_saved_bytes_by_hand() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    parts = split(model, 2, torch.randn(7, 6), at=["1"])
    # The first saves its input and tanh's output; the second its own tanh's output: what it shares
    # with the first is counted there.
    assert parts.saved_bytes == (4 * 7 * (6 + 5), 4 * 7 * 4)


def test_named_cuts() -> None:
    model, x = MODELS["resnet18"](), images()
    parts = split(model.eval(), 3, x, at=["layer3", "layer1.1"])  # in any order, by any name
    assert parts.cuts == ("layer1", "layer3")
    assert torch.equal(composed(parts, x), model(x))
    assert {"layer1", "layer2.0", "avgpool"} <= set(cut_points(model, x))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=2, max_size=5), st.data())
def test_shares_are_kept_as_well_as_by_any_other_cuts(
    layers: list[tuple[int, bool]], data: st.DataObject
) -> None:
    model, width = nn.Sequential(), 4
    for number, (following, trained) in enumerate(layers):
        model.append(nn.Linear(width, following).requires_grad_(trained or not number))
        model.append(nn.Tanh())
        width = following
    k = data.draw(st.integers(1, 1 + sum(trained for _, trained in layers[1:])))
    shares = data.draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=k, max_size=k))

    def largest(parts: Split) -> float:
        return max(saved / share for saved, share in zip(parts.saved_bytes, shares, strict=True))

    x, found = torch.randn(3, 4), []
    for at in combinations([str(2 * i + 1) for i in range(len(layers) - 1)], k - 1):
        with suppress(ConfigError):  # a module without anything to train
            found.append(largest(split(model, k, x, at=at)))
    assert largest(split(model, k, x, shares=shares)) == min(found)


def test_shares_give_the_first_module_more() -> None:
    layers = [layer for _ in range(12) for layer in (nn.Linear(8, 8), nn.Tanh())]
    model, x = nn.Sequential(*layers, nn.Linear(8, 3)), torch.randn(5, 8)
    # thirteen activations of equal size: the input, and each tanh's output
    assert sorted(split(model, 3, x).saved_bytes) == [4 * 160, 4 * 160, 5 * 160]
    assert split(model, 3, x, shares=(2, 1, 1)).saved_bytes == (7 * 160, 3 * 160, 3 * 160)
    for shares in ((1, 1), (1, 0, 1), (1, float("nan"), 1)):
        with pytest.raises(ConfigError, match="must be k=3 numbers larger than zero"):
            split(model, 3, x, shares=shares)


FAMILIES = (  # the smallest of each; all 80 were tried once, see split
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf"),
    *(
        "resnet18",
        "shufflenet_v2_x0_5",
        "squeezenet1_1",
        "swin_t",
        "swin_v2_t",
        "vgg11",
        "vit_b_32",
    ),
)
WITHOUT_AUX = {"aux_logits": False, "init_weights": False}
MORE = {
    "googlenet": WITHOUT_AUX,
    "inception_v3": WITHOUT_AUX,
    "vit_b_32": {"image_size": 64},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_torchvision_is_cut_and_trained(name: str) -> None:
    more = MORE.get(name, {})
    model = torchvision.models.get_model(name, weights=None, num_classes=10, **more)
    x, labels = images(80 if name == "inception_v3" else 64), torch.tensor([1, 9])
    parts = split(model, 2, x)
    axis = -1 if name.startswith("swin") else None
    net = add_heads(parts.modules, "linear", x, labels, seed=0, channel_axis=axis)
    SGR(0.1).gradients(net.train(), x, labels)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_auxiliary_classifiers_are_named() -> None:
    model = torchvision.models.googlenet(init_weights=False, num_classes=10)
    with pytest.raises(ConfigError, match=r"step 'aux1'.* as aux_logits=False does"):
        split(model, 2, images())


# Models that are awkward, and what is said of them


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.linear(x)
        return x


class ReadsTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + (1.0 if self.training else 0.0)


class OneStepMore(ReadsTraining):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.sin() if self.training else x)


class ReadsInVain(ReadsTraining):
    """As GoogLeNet does without its auxiliary classifiers."""

    aux = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return (x, x) if self.training and self.aux else x


def test_a_flag_that_changes_nothing_does_not_matter() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), ReadsInVain(), nn.Linear(4, 3)), torch.randn(5, 4)
    assert cut_points(model, x) == ("0", "1")
    assert cut_points(nn.Sequential(*ReadsInVain().children(), model), x)[0] == "0"
    assert split(ReadsInVain(), 1, x).cuts == ()


@pytest.mark.parametrize("inner", [Branching, ReadsTraining, OneStepMore])
def test_what_cannot_be_traced_is_one_step(inner: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 4), inner(), nn.Linear(4, 3)), torch.randn(5, 4)
    parts = split(model, 3, x)
    for mode in (True, False):
        model.train(mode)
        assert torch.equal(composed(parts, x), model(x))
    with pytest.raises(ConfigError, match=r"at most 3 .*'1' is a single step \(.*forward"):
        split(model, 4, x)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Branching, r"Branching cannot be cut: forward, line \d+ of test_split.py: .*control flow"),
        (ReadsTraining, r"ReadsTraining cannot be cut: .* reads self.training .*step 'add'"),
        (OneStepMore, r"OneStepMore cannot be cut: .* reads self.training .*step 'sin'"),
    ],
)
def test_untraceable_models_are_refused(model: type[nn.Module], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split(model(), 2, torch.randn(5, 4))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, scale: Tensor, unused: None = None) -> Tensor:
        return self.linear(x) * scale


class GivesDict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.linear(x)}


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.linear(x) * self.calls


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (TwoInputs, "needs 'scale' beside its input"),
        (GivesDict, "returns a dict"),
        (Counting, "the same at every call"),
    ],
)
def test_models_of_another_form_are_refused(model: type[nn.Module], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split(model(), 1, torch.randn(5, 4))


def test_a_look_at_a_model_keeps_no_activations() -> None:
    def tensors() -> int:
        gc.collect()
        return sum(type(held) is Tensor for held in gc.get_objects())

    model, x = cifar_resnet(8, seed=0), torch.zeros(2, 3, 8, 8)
    split(model, 2, x)
    before = tensors()
    split(model, 2, x)
    assert tensors() <= before


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(self.a(x) @ self.weight) @ self.weight)


def test_no_cut_between_two_uses_of_a_parameter() -> None:
    x = torch.randn(5, 4)
    assert cut_points(Tied(), x) == ("matmul_1",)
    with pytest.raises(ConfigError, match=r"cut at 'a': parameter weight is used before and after"):
        split(Tied(), 2, x, at=["a"])


def test_no_cut_before_a_step_that_works_in_place() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
    x = torch.randn(5, 4)
    assert cut_points(model, x) == ("1",)
    with pytest.raises(ConfigError, match=r"'0': the next step changes its output in place"):
        split(model, 2, x, at=["0"])


def test_no_cut_inside_a_residual_block() -> None:
    with pytest.raises(ConfigError, match=r"'layer1.0.conv1': several values pass it side by side"):
        split(MODELS["resnet18"](), 2, images(), at=["layer1.0.conv1"])


@pytest.mark.parametrize(
    ("k", "at", "words"),
    [
        (0, [], "k=0"),
        (6, [], r"k=6 modules, but at most 4 .*requires grad; cut points between layers: 2, 4, 6"),
        (2, ["9"], r"cut at '9': there is no such step; choose from: 0, 1, 2"),
        (2, ["1", "3"], "k=2 modules need 1 names"),
        (3, ["1", "1"], "module 2 would have no parameter"),
        (3, ["1", "2"], "module 2 would have no parameter"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(k: int, at: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split(mlp(), k, images(), at=at)


def test_frozen_models() -> None:
    model, x = mlp(), images()
    model[1].requires_grad_(False)
    parts = split(model, 3, x)  # the first module then reaches on to a layer that learns
    assert parts.cuts == ("4", "6")
    with pytest.raises(ConfigError, match="k=4 modules, but at most 3"):
        split(model, 4, x)
    with pytest.raises(ConfigError, match="module 1 would have no parameter that requires grad"):
        split(model, 2, x, at=["2"])
    with pytest.raises(ConfigError, match="Sequential is frozen"):
        split(model.requires_grad_(False), 2, x)
