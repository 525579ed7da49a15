"""Every page, in light and dark, on a phone and on paper."""

from urllib.parse import unquote, urldefrag

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.conftest import Book, page_names
from tests.browser.visits import MODES, Visit, fenced


def test_page_opens_without_an_error(pages: Book, name: str) -> None:
    assert not pages[name].errors


def test_page_asks_nothing_of_anyone_else(pages: Book, name: str) -> None:
    assert not pages[name].refused


@pytest.mark.parametrize("mode", MODES)
def test_page_fits_and_can_be_read(pages: Book, name: str, mode: str) -> None:
    assert not pages[name].faults[mode]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(pages: Book, name: str, theme: str) -> None:
    assert not pages[name].axe[theme]


def test_links_and_cross_references_lead_somewhere(
    pages: Book, context: BrowserContext, origin: str, name: str
) -> None:
    seen: dict[str, Visit] = {f"{origin}/{page}": pages[page] for page in page_names()}
    broken = []
    for link in {link for link in pages[name].links if link.startswith(f"{origin}/")}:
        address, fragment = urldefrag(link)
        address = address.split("?")[0]
        if address not in seen:  # a download, or a page outside the table of contents
            if not context.request.head(address).ok:
                broken.append(link)
        elif fragment and unquote(fragment) not in seen[address].ids:
            broken.append(link)
    assert not broken


def test_page_without_scripts_shows_its_pictures(browser: Browser, origin: str, name: str) -> None:
    with fenced(browser, origin, scripts=False) as context:
        page = context.new_page()
        page.goto(f"{origin}/{name}")
        assert page.locator("h1:visible").count()  # another one is for print alone
        for figure in page.locator(".lb-figure svg").all():
            assert len((figure.get_attribute("aria-label") or "").split()) >= 4
            box = figure.bounding_box()
            assert box
            assert min(box["width"], box["height"]) > 40
        # A control that does nothing is not shown.
        assert not page.locator(".lb-control:visible").count()
