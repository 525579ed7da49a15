import pytest

from localbook import runs
from localbook.cli import main
from localbook.errors import ConfigError
from localbook.experiments import run, sweep

PAIR = ("bp", "local")


def figures(path):
    record = runs.read(path)
    rows = [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_s")}
        for row in record.history
    ]
    return record.method, record.final, rows


def test_a_sweep_records_what_a_run_records_and_skips_what_is_there(tmp_path):
    alone = run("gradient-isolation", methods=PAIR, seeds=1, out=tmp_path / "alone")
    first = run("gradient-isolation", methods=PAIR[:1], seeds=1, out=tmp_path / "both")
    date = first[0].stat().st_mtime_ns
    both = sweep(
        "gradient-isolation", methods=PAIR, seeds=1, out=tmp_path / "both", resume=True, workers=2
    )
    assert [figures(path) for path in both] == [figures(path) for path in alone]
    assert both[0].stat().st_mtime_ns == date


def test_mistakes_are_found_before_a_process_starts(tmp_path):
    with pytest.raises(ConfigError, match="unknown method 'nope'"):
        sweep("gradient-isolation", methods=["nope"], out=tmp_path, workers=2)
    with pytest.raises(ConfigError, match="workers=0: give at least one process"):
        sweep("gradient-isolation", out=tmp_path, workers=0)


def test_the_command_line_has_both(tmp_path, capsys):
    words = ["run", "gradient-isolation", "--seeds", "1", "--method", "local"]
    assert main([*words, "--out", str(tmp_path), "--workers", "2"]) == 0
    assert (tmp_path / "gradient-isolation" / "quick-local.json").exists()
    assert main([*words, "--out", str(tmp_path / "other"), "--cluster", "nowhere"]) == 1
    assert "no Dask scheduler answers at 'nowhere'" in capsys.readouterr().err
