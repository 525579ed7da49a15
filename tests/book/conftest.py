"""What the tests of notebooks share: each notebook of the book."""

from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).parents[2] / "book"
NOTEBOOKS = sorted(p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: str(p.relative_to(BOOK)), scope="module")
def notebook(request):
    return nbformat.read(request.param, as_version=4)
