"""What every test shares: a data folder of its own, so that nothing touches the user's."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "localbook-data"
    monkeypatch.setenv("LOCALBOOK_DATA", str(root))
    return root
