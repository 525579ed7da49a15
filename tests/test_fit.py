"""One loop for small networks, against plain torch."""

from functools import partial

import pytest
import torch
from torch import nn

from localbook.errors import ConfigError, TrainingError
from localbook.fit import accuracy, fit, mlp, seeded


def blobs(count=90, classes=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(count) % classes
    x = torch.randn(count, 2, generator=generator, dtype=dtype) + 4 * y[:, None]
    return x, y


def by_hand(net, x, y, *, epochs, size, loss, optimizer, seed):
    """Train as a reader of the docstring would."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.arange(len(x))
        if size < len(x):
            order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()


def state(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [20, 90])
@pytest.mark.parametrize("regression", [False, True])
def test_fit_is_the_plain_loop(dtype, size, regression):
    x, y = blobs(dtype=dtype)
    loss = nn.functional.mse_loss if regression else nn.functional.cross_entropy
    y = x.sin().sum(1, keepdim=True).expand(-1, 3) if regression else y
    mine, plain = (mlp((2, 8, 3), 0, dtype=dtype) for _ in range(2))
    fit(mine, x, y, epochs=3, batch_size=size, lr=0.01, seed=5, loss=loss)
    adam = torch.optim.Adam(plain.parameters(), lr=0.01)
    by_hand(plain, x, y, epochs=3, size=size, loss=loss, optimizer=adam, seed=5)
    assert torch.equal(state(mine), state(plain))


def test_another_optimiser_is_a_callable():
    x, y = blobs()
    mine, plain = mlp((2, 3), 0), mlp((2, 3), 0)
    sgd = partial(torch.optim.SGD, momentum=0.9, weight_decay=0.01)
    fit(mine, x, y, epochs=2, batch_size=32, lr=0.1, seed=0, optimiser=sgd)
    loss, of_plain = nn.functional.cross_entropy, sgd(plain.parameters(), lr=0.1)
    by_hand(plain, x, y, epochs=2, size=32, loss=loss, optimizer=of_plain, seed=0)
    assert torch.equal(state(mine), state(plain))


def test_steps_are_batches_of_as_many_epochs_as_it_takes():
    x, y = blobs()
    whole, counted = mlp((2, 8, 3), 0), mlp((2, 8, 3), 0)
    seen = []
    fit(whole, x, y, epochs=2, batch_size=40, lr=0.01, seed=0, after_step=seen.append)
    fit(counted, x, y, steps=6, batch_size=40, lr=0.01, seed=0)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert torch.equal(state(whole), state(counted))
    fit(counted, x, y, steps=1, batch_size=40, lr=0.01, seed=0)
    assert not torch.equal(state(whole), state(counted))


def test_what_is_not_trained_stays_and_what_is_held_at_zero_stays_zero():
    x, y = blobs()
    net = mlp((2, 8, 3), 0)
    before = net[0].bias.detach().clone()

    def held(step):
        net[2].weight[0].zero_()

    weights = [net[0].weight, net[2].weight]
    fit(net, x, y, epochs=3, batch_size=20, lr=0.1, seed=0, parameters=weights, after_step=held)
    assert torch.equal(net[0].bias, before)
    assert not net[2].weight[0].any()
    assert net[2].weight[1].all()


def test_a_network_comes_from_its_seed_and_leaves_the_global_state_alone():
    torch.manual_seed(3)
    expected = nn.Linear(4, 5, dtype=torch.float64)
    torch.manual_seed(11)
    free = torch.rand(1)
    torch.manual_seed(11)
    net = mlp((4, 5, 2), 3, activation=nn.Tanh, dtype=torch.float64)
    assert torch.equal(net[0].weight, expected.weight)
    assert isinstance(net[1], nn.Tanh)
    assert torch.equal(torch.rand(1), free)
    assert mlp((4, 5, 2), 3, bias=False)[0].bias is None


def test_accuracy_counts_right_answers():
    x, y = torch.eye(3).repeat(2000, 1), torch.tensor([0, 1, 0]).repeat(2000)
    assert accuracy(nn.Identity(), x, y) == pytest.approx(2 / 3)
    x, y = blobs()
    net = fit(mlp((2, 16, 3), 0), x, y, epochs=60, batch_size=30, lr=0.01, seed=0)
    assert accuracy(net, x, y) > 0.9


GOOD = {"epochs": 1, "batch_size": 5, "lr": 0.1, "seed": 0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 3}, "either epochs or steps"),
        ({"epochs": None}, "either epochs or steps"),
        ({"epochs": 0}, "steps 0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"parameters": []}, "0 parameters"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        fit(mlp((2, 3), 0), *blobs(), **GOOD | changes)


def test_bad_samples_are_refused():
    x, y = blobs()
    for bad, words in (((x, y[:-1]), "one y for each"), ((x[:0], y[:0]), "0 samples")):
        with pytest.raises(ConfigError, match=words):
            fit(mlp((2, 3), 0), *bad, **GOOD)
    with pytest.raises(ConfigError, match="float64"):
        fit(mlp((2, 3), 0), x.double(), y, **GOOD)
    for widths in ((3,), (3, 0)):
        with pytest.raises(ConfigError, match="at least 1"):
            mlp(widths, 0)


def test_a_loss_that_is_not_a_number_is_an_error_that_says_what_to_do():
    x, y = blobs()
    with pytest.raises(TrainingError, match=r"smaller lr than 1e\+30"):
        fit(mlp((2, 3), 0), x * 1e30, y, **GOOD | {"lr": 1e30})


def test_what_is_drawn_from_a_seed_leaves_no_trace():
    before = torch.get_rng_state()
    with seeded(3):
        drawn = torch.rand(4)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(torch.get_rng_state(), before)
