import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    BPFreeSGR,
    CheckpointedBP,
    ConvNet,
    CrossEntropy,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    InfoPro,
    IsolatedNetwork,
    PlainLocal,
    PredSim,
    Rule,
    Schedule,
    equip,
    with_length_norm,
)
from localbook.local.rules.targets import mixed, onehot, smoothed

CLASSES = 4


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, 8, 8, generator=generator)
    return x, torch.randint(0, CLASSES, (8,), generator=generator)


def net() -> IsolatedNetwork:
    return ConvNet((8, 12), (1, 2)).build(3, CLASSES, 0)


def test_smoothing_is_that_of_torchs_cross_entropy() -> None:
    scores = torch.randn(8, CLASSES, generator=torch.Generator().manual_seed(1))
    _, y = batch()
    ours = F.cross_entropy(scores, smoothed(y, CLASSES, 0.2))
    assert torch.allclose(ours, F.cross_entropy(scores, y, label_smoothing=0.2), atol=1e-6)


def test_mixing_is_linear_in_images_and_targets() -> None:
    x, y = batch()
    targets = smoothed(y, CLASSES, 0.0)
    images, shares = mixed(x, targets, 0.75)
    assert torch.allclose(images[0], 0.75 * x[0] + 0.25 * x[-1])
    assert torch.allclose(shares[0], 0.75 * targets[0] + 0.25 * targets[-1])
    assert torch.allclose(shares.sum(1), torch.ones(8))


@pytest.mark.parametrize(
    "rule",
    [
        BP(),
        CheckpointedBP(),
        PlainLocal(),
        SGR(1.0),
        SGR(1.0, derivative="forward_over_reverse"),
        BPFreeSGR(1.0),
        FeedbackAlignment(),
        DirectFeedbackAlignment(),
    ],
)
def test_soft_targets_of_one_class_are_labels(rule: Rule) -> None:
    x, y = batch()
    found = []
    for target in (y, onehot(y, CLASSES).float()):
        trained = net()
        rule.gradients(trained, x, target)
        found.append([p.grad for p in trained.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    for mine, theirs in zip(*found, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_predsim_takes_soft_targets() -> None:
    x, y = batch()
    loss = PredSim()
    equipped = equip(net(), loss, x, seed=0)
    out = equipped.local_modules[0](x)
    hard = loss(equipped.heads[0], out, y, x)
    assert torch.allclose(hard, loss(equipped.heads[0], out, onehot(y, CLASSES).float(), x))
    assert loss(equipped.heads[0], out, smoothed(y, CLASSES, 0.3), x) != hard


def test_a_rule_that_needs_one_class_says_so() -> None:
    x, y = batch()
    soft = smoothed(y, CLASSES, 0.1)
    with pytest.raises(ConfigError, match=r"Forward-Forward needs one class .* label smoothing"):
        ForwardForward(CLASSES).gradients(with_length_norm(net()), x, soft)
    contrast = InfoPro(contrast=True)
    with pytest.raises(ConfigError, match="InfoPro with contrast needs one class"):
        PlainLocal(contrast).gradients(equip(net(), contrast, x, seed=0), x, soft)


def test_the_sum_over_samples_of_soft_targets() -> None:
    x, y = batch()
    head = net().heads[0]
    features = torch.randn(8, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    soft = smoothed(y, CLASSES, 0.1)
    expected = -(soft * head(features).log_softmax(1)).sum()
    assert torch.allclose(CrossEntropy()(head, features, soft, x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"optimiser": "lion"}, "no optimiser 'lion'; choose from: sgd, adamw"),
        ({"lr": -0.1}, "lr=-0.1 must be a number, zero or larger"),
        ({"clip": float("nan")}, "clip=nan must be a number"),
        ({"mixup": -1.0}, "mixup=-1.0 must be"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be at least 0 and less than 1"),
        ({"ema": -0.5}, "ema=-0.5 must be at least 0"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Schedule(**{"epochs": 1, "batch_size": 8, "lr": 0.1} | wrong)
