import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from torch import nn

from localbook.errors import ConfigError
from localbook.tropical import descent, fgsm, pgd, shortened, tropical_attack
from tests.tropical.networks import batch


def network(n=12, hidden=20, classes=4, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(n, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()


def successes(model, x, y, eta):
    return int((model(x + eta).argmax(dim=1) != y).sum())


def linear(w):
    """Two classes whose scores differ by w x."""
    model = nn.Sequential(nn.Linear(len(w), 2, bias=False)).double()
    model[0].weight.data = torch.stack([w / 2, -w / 2])
    return model


def test_fgsm_on_a_linear_model_is_a_step_against_the_weights():
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    x = torch.full((2, 3), 0.5, dtype=torch.float64)
    eta = fgsm(linear(w), x, torch.tensor([0, 1]), 0.25)
    torch.testing.assert_close(eta, 0.25 * torch.stack([-w.sign(), w.sign()]), rtol=0, atol=0)


@pytest.mark.parametrize("attack", [fgsm, lambda *args: pgd(*args, step=0.02, steps=40)])
def test_a_linear_model_falls_exactly_beyond_its_certificate(attack):
    """The nearest wrong input in the maximum norm is |w x| / |w|_1 away."""
    w = torch.tensor([1.0, -2.0, 0.5, 0.1], dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    x = 0.5 + 0.1 * torch.rand(30, 4, dtype=torch.float64, generator=generator)
    model = linear(w)
    y = model(x).argmax(dim=1)
    for one, label, certificate in zip(x, y, (x @ w).abs() / w.abs().sum(), strict=True):
        below, above = (0.999 * float(certificate), 1.001 * float(certificate))
        sample = model, one[None], label[None]
        assert successes(*sample, attack(*sample, below)) == 0
        assert successes(*sample, attack(*sample, above)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_perturbed_inputs_stay_in_range_and_within_the_bound(seed):
    model = network(seed=seed)
    x, y = batch(model)
    x = x.round(decimals=1)  # some coordinates at 0 and 1
    for eta in (fgsm(model, x, y, 0.3), pgd(model, x, y, 0.3, step=0.1, steps=10)):
        assert float(eta.abs().max()) <= 0.3
        assert float((x + eta).min()) >= 0
        assert float((x + eta).max()) <= 1


def test_no_bound_no_perturbation():
    model = network()
    x, y = batch(model)
    assert not fgsm(model, x, y, 0.0).any()
    assert not pgd(model, x, y, 0.0, step=0.1, steps=3).any()


@pytest.mark.parametrize("seed", range(4))
def test_pgd_succeeds_at_least_as_often_as_fgsm(seed):
    model = network(seed=seed)
    x, y = batch(model, 200)
    one = successes(model, x, y, fgsm(model, x, y, 0.2))
    many = successes(model, x, y, pgd(model, x, y, 0.2, step=0.02, steps=40))
    assert many >= one > 0


@pytest.mark.parametrize(("steps", "step"), [(1, 0.1), (20, 0.02)])
def test_the_same_as_the_library_at_the_same_settings(steps, step):
    model = network().float()
    x, y = batch(network())
    x = x.float()
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (12,), 4, clip_values=(0, 1), device_type="cpu"
    )
    theirs = ProjectedGradientDescent(
        classifier, eps=0.1, eps_step=step, max_iter=steps, verbose=False
    ).generate(x.numpy(), y.numpy())
    ours = x + pgd(model, x, y, 0.1, step=step, steps=steps)
    # Equal but for coordinates whose gradient is zero up to rounding, where the sign is chance.
    assert np.isclose(ours.numpy(), theirs, atol=1e-6).mean() > 0.995


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": -0.1}, "eps=-0.1 must be a finite number that is not negative"),
        ({"eps": float("nan")}, "eps=nan must be a finite"),
        ({"x": torch.rand(3, 12).double() + 0.5}, r"values in \[0, 1\]"),
        ({"x": torch.full((3, 12), torch.nan).double()}, "without NaN"),
        ({"x": torch.zeros(0, 12).double(), "y": torch.zeros(0).long()}, "the batch is empty"),
        ({"y": torch.tensor([0, 1, 4])}, "must lie in 0..3"),
        ({"y": torch.tensor([0, -1, 1])}, "labels run from -1"),
        ({"y": torch.zeros(2).long()}, r"int64 labels of shape \(3,\)"),
        ({"y": torch.zeros(3)}, "dtype torch.float32"),
        ({"model": network(classes=1)}, "one class"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(change, words):
    given = {"model": network(), "x": torch.rand(3, 12).double(), "y": torch.zeros(3).long()}
    with pytest.raises(ConfigError, match=words):
        fgsm(**given | {"eps": 0.1} | change)
    with pytest.raises(ConfigError, match=words):
        pgd(**given | {"eps": 0.1} | change, step=0.1, steps=2)


@pytest.mark.parametrize(
    ("change", "words"), [({"steps": 0}, "steps=0 must be"), ({"step": -1.0}, "step=-1.0 must be")]
)
def test_a_schedule_without_steps_is_refused(change, words):
    model = network()
    with pytest.raises(ConfigError, match=words):
        pgd(model, *batch(model), 0.1, **{"step": 0.1, "steps": 2} | change)


@pytest.mark.parametrize("attack", [fgsm, lambda *args: pgd(*args, step=0.02, steps=5)])
def test_images_of_which_float32_is_certain_are_attacked_as_in_float64(attack):
    model = network()
    x, y = batch(model)
    model[2].weight.data *= 400  # leads of up to some hundreds: the cross-entropy is 0 in float32
    model[2].bias.data *= 400
    scores = model(x)
    lead = scores.gather(1, y[:, None])[:, 0] - scores.scatter(1, y[:, None], -1e9).amax(dim=1)
    assert (lead > 20).sum() > 10
    exact = attack(model, x, y, 0.1)
    found = attack(model.float(), x.float(), y, 0.1)
    torch.testing.assert_close(found.double(), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "attack",
    [
        lambda *args: fgsm(*args, 0.1),
        lambda *args: pgd(*args, 0.1, step=0.02, steps=3),
        lambda *args: tropical_attack(*args, eps=0.1, weight_eps=0.1).eta,
    ],
    ids=["fgsm", "pgd", "tropical"],
)
@pytest.mark.parametrize("count", [1, 8])
def test_a_model_in_training_mode_is_attacked_in_evaluation_mode_and_left_as_it_was(attack, count):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Dropout(0.5), nn.ReLU(), nn.Linear(9, 3)
    )
    model[2].eval()
    x = torch.rand(count, 6)
    y = torch.arange(count) % 3
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = attack(model, x, y)
    assert [module.training for module in model] == [True, True, False, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(found, attack(model.eval(), x, y))


def test_descent_on_a_linear_model_ends_at_the_nearest_point_of_the_boundary():
    """The nearest wrong input in the 2-norm is |w x| / |w|_2 away, where no bound is met."""
    w = torch.tensor([1.0, -2.0, 0.5, 0.1], dtype=torch.float64)
    x = 0.5 + 0.05 * torch.rand(
        30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    model = linear(w)
    y = model(x).argmax(dim=1)
    eta = descent(model, x, y, 0.5, step=0.05, steps=40)
    torch.testing.assert_close(eta.norm(dim=1), (x @ w).abs() / w.norm(), rtol=1e-4, atol=0)
    assert successes(model, x, y, eta) == 30


@pytest.mark.parametrize("seed", range(3))
def test_shortened_perturbations_are_wrong_and_no_shorter_ones_nearby(seed):
    model = network(seed=seed)
    x, y = batch(model)
    eta = pgd(model, x, y, 0.3, step=0.05, steps=20)
    wrong = model(x + eta).argmax(dim=1) != y
    short = shortened(model, x, y, eta)
    assert torch.equal(model(x + short).argmax(dim=1) != y, wrong)
    assert not short[~wrong].any()
    shares = (short / eta).nan_to_num().amax(dim=1)
    assert ((shares <= 1) & (shares >= 0)).all()
    nearer = model(x + (1 - 1e-4) * short).argmax(dim=1) != y
    assert not nearer[wrong].any()
    assert (shares[wrong] < 1).any()


@pytest.mark.parametrize("seed", range(3))
def test_descent_keeps_the_bounds_and_is_shorter_than_pgd(seed):
    model = network(seed=seed)
    x, y = batch(model)
    eta = descent(model, x, y, 0.2, step=0.05, steps=40)
    assert float(eta.abs().max()) <= 0.2 + 1e-12
    assert ((x + eta >= 0) & (x + eta <= 1)).all()
    hit = eta.any(dim=1)
    assert (model(x + eta).argmax(dim=1) != y)[hit].all()
    other = pgd(model, x, y, 0.2, step=0.02, steps=40)
    assert hit.any()
    assert (eta[hit].norm(dim=1) < other[hit].norm(dim=1)).all()
