"""The built book, served on this machine, and headless browsers that may not leave it."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.visits import Visit, fenced, visit
from tools import book
from tools import browser as tool

SEEN: dict[str, Future[Visit]] = {}
AHEAD = 2  # browsers that look at pages while the tests of earlier ones run


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


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    yield opened
    opened.close()


@cache
def own_browser() -> Browser:
    """Return this process's browser, which ends with it."""
    return tool.launch(sync_playwright().start())


def look(origin: str, name: str) -> Visit:
    """Look at one page, in a process of the pool."""
    with fenced(own_browser(), origin) as context:
        return visit(context, origin, name)


class Book:
    """Every page, opened once: those that the chosen tests name ahead, others when asked for."""

    def __init__(self, pool: ProcessPoolExecutor, origin: str, names: list[str]) -> None:
        self.pool = pool
        self.origin = origin
        for name in names:
            self.send(name)

    def send(self, name: str) -> Future[Visit]:
        if name not in SEEN:
            SEEN[name] = self.pool.submit(look, self.origin, name)
        return SEEN[name]

    def __getitem__(self, name: str) -> Visit:
        return self.send(name).result()


@pytest.fixture(scope="session")
def pages(request: pytest.FixtureRequest, origin: str) -> Iterator[Book]:
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    names = dict.fromkeys(c.params["name"] for c in chosen if c and "name" in c.params)
    spawn = multiprocessing.get_context("spawn")  # playwright's own loop must not be copied
    with ProcessPoolExecutor(AHEAD, mp_context=spawn) as pool:
        yield Book(pool, origin, list(names))
        pool.shutdown(cancel_futures=True)


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
    done = {name: one for name, one in SEEN.items() if one.done() and not one.cancelled()}
    visits = {name: one.result() for name, one in done.items() if not one.exception()}
    if not visits:
        return
    terminalreporter.section("weight of each page, and time to its first figure")
    for name, seen in sorted(visits.items()):
        first = "no figure" if seen.first_figure is None else f"{seen.first_figure / 1000:5.2f} s"
        terminalreporter.line(f"{name:52} {seen.weight / 2**20:6.2f} MiB   {first}")
