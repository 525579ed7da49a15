from dataclasses import replace

import numpy as np
import pytest
import torch

from localbook import data, runs
from localbook.data import DeviceImages
from localbook.depths import chain, head_networks
from localbook.experiments import run, setting
from localbook.experiments.comparisons import geometry
from localbook.local import Schedule
from localbook.tropical import linear_regions, plane_through

NAME = "boundaries-by-depth"


@pytest.fixture(scope="module")
def test_images():
    digits = data.load("digits", "test")
    return DeviceImages(digits, "cpu", digits.channel_stats())


def test_records_hold_the_geometry_and_the_first_module_is_not_reconciled(tmp_path):
    schedule = Schedule(epochs=1, batch_size=128, lr=0.05)
    quick = setting(NAME, "quick")
    model = replace(quick.model, width=5)
    tiny = replace(quick, model=model, schedule=schedule, seeds=1, slices=1)
    records = map(runs.read, run(NAME, setting=tiny, out=tmp_path))
    rows = {r.method: r.final[0] for r in records}
    assert list(rows) == ["bp", "local", "sgr"]
    for row in rows.values():
        assert len(row["regions"]) == len(row["pieces"]) == 3
        assert len(row["agreement"]) == len(row["same_on_images"]) == 2
        assert all(0 <= share <= 1 for share in (*row["agreement"], row["first_and_last"]))
    for key in ("regions", "pieces"):
        assert rows["local"][key][0] == rows["sgr"][key][0]
    assert rows["local"]["agreement"] != rows["sgr"]["agreement"]


def test_geometry_counts_what_lies_in_the_slices(test_images):
    net = chain((64, 6, 6), 10, seed=0).eval()
    row = geometry(net, test_images, slices=1)
    images = test_images.at(slice(0, len(test_images)))[0].flatten(1).double().numpy()
    rng = np.random.default_rng(0)
    labels = test_images.labels.numpy()
    three = rng.choice(np.unique(labels), 3, replace=False)
    chosen = images[[rng.choice(np.flatnonzero(labels == k)) for k in three]]
    plane = plane_through(*chosen)
    corners = plane.coordinates(chosen)
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = tuple(zip(low - (high - low) / 4, high + (high - low) / 4, strict=True))
    heads = [plane.restrict(head) for head in head_networks(net)]
    assert row["regions"] == [len(linear_regions(head, box)) for head in heads]
    steps = [np.linspace(*side, 200) for side in box]
    grid = np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2)
    same = heads[0](grid).argmax(axis=1) == heads[1](grid).argmax(axis=1)
    assert row["agreement"][0] == pytest.approx(same.mean(), abs=0.01)


def test_a_chain_is_seeded_and_leaves_the_global_generator_alone():
    state = torch.random.get_rng_state()
    one, other = chain((4, 3), 2, seed=1), chain((4, 3), 2, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
