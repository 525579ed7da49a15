import IPython.display
import pytest


@pytest.fixture
def outputs(monkeypatch):
    """Return a list to which each display adds what a notebook would get, by MIME type."""
    found = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: found.append(data))
    return found
