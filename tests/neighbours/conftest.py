"""What the tests of several neighbours share."""

import pytest

from localbook import runs
from localbook.experiments import run


@pytest.fixture(scope="module")
def records(request, tmp_path_factory):
    """The records of the test file's ``NAME`` by method, at ``quick`` or its ``OWN`` setting."""
    own = getattr(request.module, "OWN", None)
    paths = run(request.module.NAME, setting=own, out=tmp_path_factory.mktemp("out"))
    return {r.method: r for r in map(runs.read, paths)}
