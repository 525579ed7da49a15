"""Figures that answer to the reader do so, by keyboard alone."""

from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Locator, Page

from tests.browser.visits import PHONE, settle
from tools import book


def with_figure(kind: str) -> list[str]:
    """Return the pages with a figure of a kind, as their sources say."""
    call = f"plots.{kind}("
    found = [n for n in book.notebooks() if call in (book.ROOT / n).read_text()]
    return [str(notebook.with_suffix(".html")) for notebook in found]


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
        # The lines, not the pixels: a page that has scrolled by half a pixel is drawn otherwise.
        before, at_home = drawn(figure), picture.inner_html()
        picture.press("ArrowRight")
        turned = drawn(figure)
        assert turned != before
        picture.press("ArrowUp")
        assert drawn(figure) != turned
        picture.press("Home")
        assert picture.inner_html() == at_home


def test_the_door_moves_by_itself_only_if_that_is_wanted(
    context: BrowserContext, origin: str
) -> None:
    wishes: dict[Literal["no-preference", "reduce"], bool] = {
        "no-preference": True,
        "reduce": False,
    }
    for wish, moves in wishes.items():
        page = context.new_page()
        page.emulate_media(reduced_motion=wish)
        page.goto(f"{origin}/book/index.html")
        button, range_ = page.locator(".lb-door button"), page.locator(".lb-door input")
        if moves:
            button.get_by_text("Play").wait_for()  # at its end
        assert button.inner_text() == "Play"
        assert range_.input_value() == range_.get_attribute("max")
        before = page.locator(".lb-door svg").first.screenshot()
        range_.press("Home")
        assert page.locator(".lb-door output").inner_text() == "0"
        assert range_.get_attribute("aria-valuetext") == "step 0"
        assert page.locator(".lb-door svg").first.screenshot() != before
        page.close()


def test_the_map_of_the_neighbours_answers_to_the_keyboard(page: Page, origin: str) -> None:
    page.goto(f"{origin}/book/neighbours/index.html")
    settle(page)
    papers = page.locator(".street a[data-paper]").all()
    assert len(papers) == 25
    for paper in papers:
        paper.focus()
        said = page.locator(".street-said").inner_text()
        name, claim = (paper.get_attribute("aria-label") or "").split(": ", 1)
        assert said.startswith(f"{name}. {claim[:12]}")
        assert "Our verdict" in said
    slug, address = papers[0].get_attribute("data-paper"), page.url
    assert slug
    papers[0].press("Enter")  # it opens its chapter, or its line in the list
    page.wait_for_url(lambda url: url != address)
    assert slug in page.url


def test_no_name_on_the_map_lies_on_another(page: Page, origin: str) -> None:
    page.goto(f"{origin}/book/neighbours/index.html")
    settle(page)
    boxes = [text.bounding_box() for text in page.locator(".street text").all()]
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert one
            assert other
            across = min(one["x"] + one["width"], other["x"] + other["width"])
            down = min(one["y"] + one["height"], other["y"] + other["height"])
            over = across - max(one["x"], other["x"]), down - max(one["y"], other["y"])
            assert min(over) <= 1


def test_on_a_phone_the_list_stands_for_the_map(page: Page, origin: str) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{origin}/book/neighbours/index.html")
    assert not page.locator(".street-map").is_visible()
    assert page.locator("main li a[id]").count() == 25
