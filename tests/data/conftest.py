"""Hearing what the data door says while it loads."""

import warnings

import pytest

from localbook import data
from localbook.errors import DataWarning


@pytest.fixture
def heard():
    """Load all splits of a folder; return them, and every sentence that was said."""

    def load(home):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sets = [data.load(home, split) for split in data.SPLITS]
        assert all(issubclass(w.category, DataWarning) for w in caught)
        assert all(w.filename == __file__ for w in caught)  # the caller's line
        assert len({s.class_names for s in sets}) == 1
        return sets, " ".join(dict.fromkeys(str(w.message) for w in caught))

    return load
