from dataclasses import replace

import pytest
import torch

from localbook import data
from localbook.errors import ConfigError
from localbook.experiments import Job, setting
from localbook.experiments.harness.unfinished import (
    keep_rows,
    keep_tensors,
    kept_rows,
    kept_tensors,
)

SETS = {split: data.load("digits", split) for split in data.SPLITS}
ROWS = [{"seed": 0, "score": 0.5}]


@pytest.fixture
def job(tmp_path):
    chosen = setting("tropical-attack", "quick")
    return Job("tropical-attack", "quick", "fgsm", chosen, [0], SETS, "cpu", tmp_path / "partial")


def test_rows_come_back(job):
    path = job.partial / "seed0.json"
    assert kept_rows(path, job) == []
    keep_rows(path, job, ROWS)
    assert kept_rows(path, job) == ROWS
    assert [p.name for p in job.partial.iterdir()] == ["seed0.json"]


def test_more_seeds_are_no_other_work(job):
    keep_rows(job.partial / "seed0.json", job, ROWS)
    more = replace(job, setting=replace(job.setting, seeds=99))
    assert kept_rows(job.partial / "seed0.json", more) == ROWS


def test_rows_of_other_work_are_refused(job):
    path = job.partial / "seed0.json"
    keep_rows(path, job, ROWS)
    other_images = replace(job, sets=SETS | {"test": data.load("shapes", "test")})
    for other in (replace(job, method="pgd"), other_images):
        with pytest.raises(ConfigError, match="belongs to other settings or other images; delete"):
            kept_rows(path, other)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rows": []}', "3"])
def test_damaged_rows(job, content):
    path = job.partial / "seed0.json"
    keep_rows(path, job, ROWS)
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"seed0\.json cannot be read; delete it"):
        kept_rows(path, job)


def test_tensors_come_back(tmp_path):
    path = tmp_path / "shared" / "net.pt"
    assert kept_tensors(path, "cpu") is None
    keep_tensors(path, {"weight": torch.arange(3.0)})
    assert torch.equal(kept_tensors(path, "cpu")["weight"], torch.arange(3.0))


def test_damaged_tensors_and_code_in_disguise(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"PK damaged")
    with pytest.raises(ConfigError, match="cannot be read; delete it"):
        kept_tensors(path, "cpu")
    torch.save({"weight": tmp_path}, path)  # an object, which unpickling would have to build
    with pytest.raises(ConfigError, match="cannot be read; delete it"):
        kept_tensors(path, "cpu")
