import pytest
import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import cifar_resnet, small_vit


@pytest.mark.parametrize(
    ("depth", "parameters"), [(20, 269_722), (32, 464_154), (56, 853_018), (110, 1_727_962)]
)
def test_cifar_resnets_have_the_parameters_of_the_paper(depth: int, parameters: int) -> None:
    # He et al., table 6: 0.27, 0.46, 0.85 and 1.7 million
    net = cifar_resnet(depth, seed=0)
    assert sum(p.numel() for p in net.parameters()) == parameters
    weighty = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighty) == depth


def test_shortcut_of_option_a() -> None:
    block = cifar_resnet(8, seed=0)[4][0].eval()  # from 16 channels to 32, strided
    nn.init.zeros_(block.conv2.weight)  # leaves the shortcut alone
    x = torch.rand(2, 16, 6, 6)
    out: Tensor = block(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: cifar_resnet(20, 7, seed=seed),
        lambda seed: small_vit(7, width=24, depth=2, heads=2, seed=seed),
    ],
)
def test_models_are_seeded_and_give_class_scores(build) -> None:
    before = torch.get_rng_state()
    net, same, other = build(0), build(0), build(1)
    assert torch.equal(torch.get_rng_state(), before)
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert net(x).shape == (3, 7)
    assert torch.equal(net(x), same(x))
    assert not torch.equal(net(x), other(x))


def test_vit_sees_patches_and_their_places() -> None:
    net = small_vit(width=24, depth=2, heads=2, patch=8, seed=0).eval()
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert net[0](x).shape == (1, 17, 24)
    swapped = x.clone()
    swapped[..., :8, :8], swapped[..., 8:16, :8] = x[..., 8:16, :8], x[..., :8, :8]
    assert not torch.allclose(net(x), net(swapped))
    nn.init.zeros_(net[0].position)
    assert torch.allclose(net(x), net(swapped), atol=1e-5)  # then it cannot tell them apart


@pytest.mark.parametrize("depth", [2, 21, 110.5, -4])
def test_depths_that_make_no_sense_are_refused(depth: int) -> None:
    with pytest.raises(ConfigError, match=r"6n \+ 2"):
        cifar_resnet(depth, seed=0)


@pytest.mark.parametrize("sizes", [{"patch": 5}, {"width": 64, "heads": 3}])
def test_vits_that_make_no_sense_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must tile the image"):
        small_vit(seed=0, **sizes)
