from dataclasses import replace

import pytest
import torch

from localbook import data, runs
from localbook.data import DeviceImages
from localbook.experiments import run, setting
from localbook.experiments.comparisons import mirrored

NAME = "cifar10-speed"


def test_from_end_to_end_at_a_tiny_size(tmp_path):
    quick = setting(NAME, "quick")
    tiny = replace(
        quick,
        model=replace(quick.model, width=2),
        images=(60, 60, None),
        schedule=replace(quick.schedule, epochs=2),
    )
    for path in run(NAME, setting=tiny, out=tmp_path):
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
    assert mirrored(Brighter(), images) == {"test_accuracy_mirrored": 1.0}
