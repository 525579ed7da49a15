"""The examples in the docstrings of what the faces show print what they say."""

import doctest
from importlib import import_module

import pytest

FACES = [import_module(f"localbook.{name}") for name in ("tropical", "local", "data", "runs")]
SHOWN = {f"{face.__name__}.{name}": getattr(face, name) for face in FACES for name in face.__all__}
EXAMPLES = {name: shown for name, shown in SHOWN.items() if ">>>" in (shown.__doc__ or "")}


def test_what_a_user_meets_first_has_an_example():
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    for example in doctest.DocTestFinder(recurse=False).find(EXAMPLES[name], name, globs={}):
        doctest.DebugRunner().run(example)
