"""Figures that answer to the reader do so, by keyboard alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page

from tests.browser.visits import settle
from tools import book


def with_figure(kind: str) -> list[str]:
    """Return the pages with a figure of a kind, as their sources say."""
    call = f"plots.{kind}("
    found = [n for n in book.notebooks() if call in (book.ROOT / n).read_text()]
    return [str(notebook.with_suffix(".html")) for notebook in found]


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    yield opened
    opened.close()


def drawn(figure: Locator) -> bytes:
    """Return what is to be seen, and not what the page says is to be seen."""
    return figure.locator("svg").screenshot(animations="disabled")


@pytest.mark.parametrize("place", with_figure("slider"))
def test_sliders_change_their_figures(page: Page, origin: str, place: str) -> None:
    page.goto(f"{origin}/{place}")
    settle(page)
    figures = page.locator(".lb-slider").all()
    assert figures
    for figure in figures:
        control = figure.locator("input[type=range]")
        last = control.get_attribute("max")
        before, value = drawn(figure), figure.locator("output").inner_text()
        control.focus()
        control.press("ArrowLeft" if control.input_value() == last else "ArrowRight")
        assert figure.locator("output").inner_text() != value
        assert control.get_attribute("aria-valuetext") == figure.locator("output").inner_text()
        page.evaluate("document.activeElement.blur()")
        assert drawn(figure) != before, control.get_attribute("aria-label")
        control.press("End")
        assert control.input_value() == last


@pytest.mark.parametrize("place", with_figure("turn"))
def test_polytopes_turn_and_turn_back(page: Page, origin: str, place: str) -> None:
    page.goto(f"{origin}/{place}")
    settle(page)
    figures = page.locator(".lb-turn").all()
    assert figures
    for figure in figures:
        picture = figure.locator("svg")
        picture.press("Home")
        before = drawn(figure)
        picture.press("ArrowRight")
        turned = drawn(figure)
        assert turned != before
        picture.press("ArrowUp")
        assert drawn(figure) != turned
        picture.press("Home")
        assert drawn(figure) == before
