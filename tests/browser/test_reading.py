"""What a reader does first: search, move about by keyboard, copy the citation."""

import pytest
from playwright.sync_api import Page

from tests.browser.test_figures import with_figure
from tests.browser.visits import settle

FOCUSED = """(() => {
  const e = document.activeElement;
  if (e.closest(".skip-link, #pst-skip-link")) return "skip link";
  if (e.closest(".bd-sidebar-primary nav")) return "chapters";
  if (e.matches(".lb-slider input")) return "slider";
  return e.closest("main") ? "text" : "header";
})()"""


@pytest.mark.parametrize(
    ("term", "chapter"), [("zonotope", "zonotopes"), ("discord", "gradient-isolation")]
)
def test_search_finds_a_term(page: Page, origin: str, term: str, chapter: str) -> None:
    page.goto(f"{origin}/book/index.html")
    page.locator(".search-button-field:visible").click()
    page.keyboard.type(term)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#search-results li a[href*='{chapter}.html']")
    assert page.url.startswith(f"{origin}/search.html?q={term}")


def test_what_stands_around_a_term_is_the_chapters_text(page: Page, origin: str) -> None:
    """And not the names of the theme's buttons."""
    page.goto(f"{origin}/search.html?q=zonotope")
    page.wait_for_selector("#search-results p.context")
    around = page.locator("#search-results p.context").all_inner_texts()
    assert not [text for text in around if "Contents" in text or ".ipynb" in text]


def test_search_says_when_it_finds_nothing(page: Page, origin: str) -> None:
    page.goto(f"{origin}/search.html?q=qqqqzzzz")
    page.wait_for_function(
        "document.querySelector('#search-results').innerText.includes('did not match')"
    )


def test_the_tab_key_reaches_everything(page: Page, origin: str) -> None:
    page.goto(f"{origin}/{with_figure('slider')[0]}")
    settle(page)
    met = []
    for _ in range(400):
        page.keyboard.press("Tab")
        met.append(page.evaluate(FOCUSED))
        if met[-1] == "slider":
            break
    assert met[0] == "skip link"
    assert {"chapters", "text", "slider"} <= set(met)


def test_code_in_an_unfolded_solution_can_be_scrolled_by_keyboard(page: Page, origin: str) -> None:
    page.goto(f"{origin}/book/local-learning/sgr.html")
    settle(page)
    wide = """[...document.querySelectorAll(".solution pre")]
        .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth)"""
    for title in page.locator(".solution > .admonition-title").all():
        title.click(position={"x": 5, "y": 5})
    page.wait_for_function(f"{wide}.length > 0 && {wide}.every((e) => e.tabIndex === 0)")


def test_the_skip_link_skips(page: Page, origin: str) -> None:
    page.goto(f"{origin}/book/index.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "text"


def test_the_citation_is_copied_whole(page: Page, origin: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{origin}/book/index.html")
    page.locator(".cite-this").hover()
    page.locator(".cite-this button.copybtn").click()
    page.wait_for_function("navigator.clipboard.readText().then((t) => t.includes('@software'))")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.count("@") == 3
    assert copied.count("{") == copied.count("}")
