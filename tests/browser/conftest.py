"""The built book, served on this machine, and a headless browser that may not leave it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.visits import Visit, fenced, visit
from tools import book
from tools import browser as tool

SEEN: dict[str, Visit] = {}


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder of the pages, built from the committed outputs."""
    folder = book.committed()
    assert folder, "jupyter-book warned or failed, see above"
    return folder


@pytest.fixture(scope="session")
def origin(html: Path) -> Iterator[str]:
    with tool.serve(html) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = tool.launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="session")
def context(browser: Browser, origin: str) -> Iterator[BrowserContext]:
    with fenced(browser, origin) as opened:
        yield opened


class Book:
    """Every page, opened when it is first asked for, and once."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.origin = origin

    def __getitem__(self, name: str) -> Visit:
        if name not in SEEN:
            SEEN[name] = visit(self.context, self.origin, name)
        return SEEN[name]


@pytest.fixture(scope="session")
def pages(context: BrowserContext, origin: str) -> Book:
    return Book(context, origin)


@cache
def page_names() -> tuple[str, ...]:
    """Return the pages that readers meet, from the table of contents."""
    lines = (book.ROOT / "_toc.yml").read_text().splitlines()
    found = [line.split(": ")[1].strip() for line in lines if "file: " in line or "root: " in line]
    return (*(f"{name}.html" for name in found), "search.html", "genindex.html")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that names a page once for every page."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", page_names())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each page weighs, and how soon its first figure stood there."""
    if not SEEN:
        return
    terminalreporter.section("weight of each page, and time to its first figure")
    for name, seen in sorted(SEEN.items()):
        first = "no figure" if seen.first_figure is None else f"{seen.first_figure / 1000:5.2f} s"
        terminalreporter.line(f"{name:52} {seen.weight / 2**20:6.2f} MiB   {first}")
