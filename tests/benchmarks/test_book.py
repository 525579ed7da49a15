import subprocess

import pytest

from localbook.benchmarks import Meter, book
from localbook.errors import ConfigError

# Stands for tools/book.py: slow once, and then nothing is left to do.
BUILDER = """
import pathlib, sys, time
done = pathlib.Path("done")
time.sleep(0 if done.exists() else 0.5)
done.touch()
sys.exit({code})
"""


def checkout(folder, code=0):
    (folder / "tools").mkdir()
    (folder / "tools" / "book.py").write_text(BUILDER.format(code=code))
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for words in (["init"], ["add", "tools"], ["commit", "--message", "a book"]):
        subprocess.run([*git, *words, "--quiet"] if words[0] != "add" else [*git, *words],
                       cwd=folder, check=True)  # fmt: skip
    return folder


def test_imports_and_both_builds_are_timed(tmp_path):
    root = checkout(tmp_path)
    library, tropical, first, again = book.measure(Meter(samples=1), root)
    assert (library.size, tropical.size) == ("localbook", "localbook.tropical")
    assert min(library.value, tropical.value, library.baseline_value) > 1  # ms, of the child
    assert first.value >= 0.5
    assert again.value < first.value == again.baseline_value
    assert not (root / "done").exists()  # the checkout itself is left alone


def test_a_build_that_fails_is_told(tmp_path):
    with pytest.raises(ConfigError, match="mend what `make book` reports"):
        list(book.measure(Meter(samples=1), checkout(tmp_path, code=1)))


def test_without_a_checkout_there_is_nothing_to_build(tmp_path):
    with pytest.raises(ConfigError, match="git checkout"):
        next(book.measure(Meter(), tmp_path))
