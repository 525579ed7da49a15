from dataclasses import replace

import pytest
import torch

from localbook import data, runs
from localbook.data.batches import DeviceImages
from localbook.experiments import EXPERIMENTS, PROFILES, run, setting
from localbook.experiments.comparisons.speed import _mirrored

NAME = "cifar10-speed"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_method_tries_equally_many_candidates_on_the_same_network(profile):
    chosen = setting(NAME, profile)
    assert chosen.methods == ("bp", "local", "sgr")
    assert len({len(chosen.tried(method)) for method in chosen.methods}) == 1
    for rates in chosen.candidates.values():
        assert all(rate["lr"] > 0 for rate in rates)


def test_from_end_to_end_at_a_tiny_size(tmp_path, monkeypatch):
    quick = setting(NAME, "quick")
    tiny = replace(
        quick, width=2, seeds=2, train_images=60, schedule=replace(quick.schedule, epochs=2)
    )
    monkeypatch.setitem(EXPERIMENTS[NAME].profiles, "quick", tiny)
    for path in run(NAME, out=tmp_path):
        record = runs.read(path)
        assert record.sizes["train"] == 60
        assert ["accuracy" in row for row in record.history] == [False, True] * 2
        for row in record.final:
            epochs = [r for r in record.history if r["seed"] == row["seed"]]
            for key in ("seconds", "processor_seconds"):
                assert row[key] == pytest.approx(sum(r[key] for r in epochs), abs=1e-3)
                assert row[key] > 0
            assert 0 <= row["test_accuracy_mirrored"] <= 1
            assert len(row["test_accuracy_by_module"]) == 3


def test_mirror_images_count_as_much_as_images():
    class Brighter(torch.nn.Module):
        """Tell which of two corners is brighter; a mirror image says the opposite."""

        def forward(self, x):
            left, right = x[:, 0, 0, 0], x[:, 0, 0, -1]
            return torch.stack([left - right, right - left], dim=1)

    images = DeviceImages(data.load("shapes", "test"))
    images.labels = torch.zeros_like(images.labels)  # the sum of both is always a tie: class 0
    assert _mirrored(Brighter(), images) == {"test_accuracy_mirrored": 1.0}
