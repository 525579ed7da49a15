import re
import subprocess
import sys

import pytest
from PIL import Image

from localbook import __version__
from localbook.benchmarks import BENCHMARKS
from localbook.cli import main


def run(capsys, *words):
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_and_version(capsys):
    for words, expected in ((["--help"], "experiment"), (["--version"], __version__)):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 0
        assert expected in capsys.readouterr().out


def test_help_names_every_benchmark(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")  # one line
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    assert set(BENCHMARKS) <= set(re.split(r"[\s,]+", capsys.readouterr().out))


@pytest.mark.parametrize("words", [[], ["fly"], ["run"], ["runs"], ["run", "x", "--seeds", "two"]])
def test_unusable_arguments_exit_with_2(capsys, words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nothing"], "unknown experiment 'nothing'"),
        (["run", "gradient-isolation", "--profile", "slow"], "must be one of quick, cpu, gpu"),
        (["run", "gradient-isolation", "--data", "/no/where"], "does not exist"),
        (["runs", "show", "nothing/quick-bp"], "nothing/quick-bp.json (No such file or directory)"),
        (
            ["runs", "show", "nothing.json"],
            "the run record nothing.json (No such file or directory)",
        ),
        (["runs", "compare", "nothing"], "no record of 'nothing'"),
        (["runs", "list"], "no records in"),
        (["data", "fetch", "digits"], "cannot be fetched"),
        (["data", "check", "mnist"], "is not there"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_1(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    out = ["--out", str(tmp_path)] if words[0] in ("run", "runs") else []
    code, stdout, stderr = run(capsys, *words, *out)
    assert code == 1
    assert not stdout
    assert stderr.startswith("localbook: ")
    assert message in stderr
    assert len(stderr.splitlines()) == 1


def test_run_list_show_compare(capsys, tmp_path):
    out = ["--out", str(tmp_path)]
    code, stdout, _ = run(capsys, "run", "gradient-isolation", "--seeds", "1", *out)
    assert code == 0
    assert len(stdout.splitlines()) == 3
    _, stdout, _ = run(capsys, "runs", "list", *out)
    assert "gradient-isolation/quick-sgr" in stdout
    _, stdout, _ = run(capsys, "runs", "show", "gradient-isolation/quick-sgr", *out)
    assert '"method": "sgr"' in stdout
    file = tmp_path / "gradient-isolation" / "quick-sgr.json"
    assert run(capsys, "runs", "show", str(file))[1] == stdout
    file.write_text(stdout[: len(stdout) // 2])
    code, _, stderr = run(capsys, "runs", "show", str(file))
    assert code == 1
    assert "is damaged" in stderr
    file.write_text(stdout)
    _, stdout, _ = run(capsys, "runs", "compare", "gradient-isolation", *out, "--baseline", "sgr")
    assert "| sgr" in stdout
    assert "test_accuracy over sgr" in stdout


def test_an_installed_package_writes_to_the_current_folder_and_shows_the_books_records(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr("localbook.cli.checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    _, stdout, _ = run(capsys, "runs", "list")
    assert "gradient-isolation/cpu-sgr" in stdout  # those that ship with the package
    run(capsys, "run", "gradient-isolation", "--seeds", "1", "--method", "local")
    assert (tmp_path / "runs" / "gradient-isolation" / "quick-local.json").is_file()
    _, stdout, _ = run(capsys, "runs", "list")
    assert stdout.startswith("gradient-isolation/quick-local ")


def test_data_list_and_check(capsys):
    _, stdout, _ = run(capsys, "data", "list")
    assert stdout.split() == [
        "digits", "shapes", "mnist", "cifar10", "cifar100", "imagenette", "tiny-imagenet",
    ]  # fmt: skip
    assert run(capsys, "data", "check", "shapes")[0] == 0


def test_a_reader_that_has_seen_enough_is_no_error():
    words = f"{sys.executable} -m localbook data list | head -n 1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "digits\n"
    assert not done.stderr


BARE = """
import sys
for name in ("pandas", "sklearn", "matplotlib", "IPython"):
    sys.modules[name] = None
from localbook.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_run_needs_only_what_the_package_depends_on(tmp_path):
    for number in range(200):
        file = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 200 * (number % 2), 0)).save(file)
    words = ["run", "gradient-isolation", "--data", str(tmp_path / "pictures"), "--seeds", "1"]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *words, "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(list((tmp_path / "out").rglob("*.json"))) == 3
    assert "6/6" in done.stderr  # epochs
