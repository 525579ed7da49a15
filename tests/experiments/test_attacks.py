from dataclasses import replace

import pytest
import torch
from torch import nn

from localbook import runs
from localbook.experiments import run, setting
from localbook.experiments.attacks import ATTACKS, trained

NAME = "tropical-attack"
TINY = replace(
    setting(NAME, "quick"),
    hidden=(8,),
    epochs=3,
    images=20,
    candidates={
        "tropical": ({"margin": 0.02, "steps": 10},),
        "tropical-tight": ({"margin": 0.02, "steps": 10},),
        "fgsm": ({},),
        "pgd": ({"step": 0.01}, {"step": 0.1}),
    },
)


def test_every_attack_is_measured_on_the_same_networks(tmp_path):
    records = [runs.read(path) for path in run(NAME, setting=TINY, out=tmp_path)]
    assert [r.method for r in records] == list(TINY.methods)
    for r in records:
        assert r.sizes["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
        for row, other in zip(r.final, records[0].final, strict=True):
            assert row["clean_accuracy"] == other["clean_accuracy"]
            assert row["images"] == 20
            assert 0 <= row["success_both"] <= row["success"] <= row["wrong"] <= 1
            assert row["l2"] is None or row["linf"] <= 0.1 + 1e-6
        assert not list(tmp_path.glob("**/.partial/*"))
    tight = records[1].final
    assert all(row["success_both"] == row["success"] for row in tight)


def test_the_candidate_with_most_successes_is_chosen(tmp_path):
    (path,) = run(NAME, setting=TINY, methods=["pgd"], out=tmp_path)
    record = runs.read(path)
    best = max(record.config["tuning"], key=lambda row: row["score"])
    assert record.config["chosen"] == best["candidate"] == {"step": 0.1}
    assert all(row["seed"] not in record.seeds for row in record.config["tuning"])


def test_what_happened_to_every_image_is_recorded(tmp_path):
    for record in map(runs.read, run(NAME, setting=TINY, out=tmp_path)):
        for row, images in zip(record.final, record.history, strict=True):
            for key in ("success", "success_both"):
                assert images[key].count("1") / 20 == pytest.approx(row[key])
            assert sum(length is not None for length in images["l2"]) / 20 == row["wrong"]


@pytest.mark.parametrize("method", ["art-pgd", "art-apgd", "art-cw", "ddn", "deepfool", "fmn"])
def test_the_librarys_attacks_change_images_within_their_range(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)).requires_grad_(False)
    x = torch.rand(6, 16)
    y = model(x).argmax(dim=1)
    candidate = setting("tropical-attack-digits", "cpu").candidates[method][0]
    eta = ATTACKS[method](model, x, y, TINY, candidate)
    assert eta.shape == x.shape
    assert eta.any()
    assert float((x + eta).min()) >= 0
    assert float((x + eta).max()) <= 1
    if method in ("art-pgd", "art-apgd"):
        assert float(eta.abs().max()) <= 0.1 + 1e-6


def test_a_seeds_network_is_always_the_same():
    data = torch.rand(50, 16), torch.arange(50) % 3
    first, again = (trained(TINY, data, seed=3) for _ in range(2))
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, trained(TINY, data, seed=4)[0].weight)
