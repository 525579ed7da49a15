"""The checks fail when they should: each on a page with one thing broken, and not without it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.visits import AXE, CHECKS, PHONE, Visit, axe, faults, fenced, watch
from tools import browser as tool

PAGE = """<!doctype html><html lang="en" data-theme="light"><head><title>A page</title>
<link rel="icon" href="data:,"></head>
<body style="background: white; color: black"><main><h1>A page</h1><p>A text, and one word.</p>
<figure class="lb-figure"><svg role="img" width="120" height="80"
aria-label="A blue square with a letter in it"><path d="M0 0H80V80H0z" fill="blue"/>
<text x="30" y="40" fill="white">A</text></svg></figure></main></body></html>"""

FAULTS = {
    "wide text": ("one word", "<span style='white-space: nowrap'>" + 80 * "long " + "</span>"),
    "wide figure": ('width="120"', 'width="600"'),
    "letters like the page": ('fill="blue"', 'fill="white"'),
    "letters like their ground": ('y="40" fill="white"', 'y="40" fill="#1111dd"'),
    "an empty figure": ('<path d="M0 0H80V80H0z" fill="blue"/>', ""),
    "an equation that failed": ("one word", "<mjx-merror>no such macro</mjx-merror>"),
    "a note that floats": ("one word", "<aside style='float: right; width: 9em'>a note</aside>"),
}
PALE = "<div style='background: #ced6dd; height: 40px'>a question</div>"
EQUATION = """</p><div class="math"><span class="eqno" style="float: right">(1)</span>
<div style="overflow: auto"><mjx-math style="display: inline-block; width: 110%">x</mjx-math></div>
</div><p>"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with fenced(browser, "http://127.0.0.1") as opened:
        yield opened


def see(context: BrowserContext, text: str) -> list[str]:
    page = context.new_page()
    page.set_viewport_size(PHONE)
    page.set_content(text)
    page.evaluate(CHECKS)
    return faults(page, "phone")


def test_a_good_page_passes(context: BrowserContext) -> None:
    assert not see(context, PAGE)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(context: BrowserContext, fault: str) -> None:
    old, new = FAULTS[fault]
    assert old in PAGE
    assert see(context, PAGE.replace(old, new))


def test_a_pale_box_is_a_fault_in_the_dark_only(context: BrowserContext) -> None:
    text = PAGE.replace("one word", PALE)
    assert not see(context, text)
    assert see(context, text.replace('data-theme="light"', 'data-theme="dark"'))


def test_an_equation_may_not_run_under_its_number(context: BrowserContext) -> None:
    page = context.new_page()
    page.set_content(PAGE.replace("one word", EQUATION))
    page.evaluate(CHECKS)
    assert page.evaluate("checks.cutEquations()")
    page.set_content(PAGE.replace("one word", EQUATION.replace("110%", "90%")))
    page.evaluate(CHECKS)
    assert not page.evaluate("checks.cutEquations()")


def test_only_on_paper_a_box_may_not_scroll(context: BrowserContext) -> None:
    box = "<div style='overflow: auto'><pre style='width: 900px'>code</pre></div>"
    page = context.new_page()
    page.set_viewport_size(PHONE)
    page.set_content(PAGE.replace("one word", f"</p>{box}<p>"))
    page.evaluate(CHECKS)
    assert not faults(page, "phone")
    assert faults(page, "print")


def examine(context: BrowserContext, text: str, theme: str = "light") -> str:
    page = context.new_page()
    page.set_content(text)
    page.evaluate(CHECKS)
    page.evaluate(AXE)
    return " ".join(axe(page, theme))


def test_axe_finds_a_picture_without_a_name_and_pale_letters(context: BrowserContext) -> None:
    assert not examine(context, PAGE)
    pale = PAGE.replace("one word", "<span>one</span> <span style='color: #ccc'>word</span>")
    assert "color-contrast" in examine(context, pale)
    assert "color-contrast" in examine(context, pale, "dark")
    assert "svg-img-alt" in examine(context, re.sub(r'aria-label="[^"]*"', "", PAGE))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<script>throw new Error('on purpose')</script>", "errors"),
        ("<script>console.error('on purpose')</script>", "errors"),
        ("<img src='missing.png' alt='a picture'>", "errors"),
        ("<img src='http://localhost:9/elsewhere.png' alt='a picture'>", "refused"),
        ("<script src='https://cdn.invalid/x.js'></script>", "refused"),
    ],
)
def test_errors_and_requests_to_elsewhere_are_noticed(
    browser: Browser, tmp_path: Path, text: str, what: str
) -> None:
    (tmp_path / "good.html").write_text(PAGE)
    (tmp_path / "bad.html").write_text(PAGE.replace("one word", text))
    with tool.serve(tmp_path) as origin, fenced(browser, origin) as context:
        found = {}
        for name in ("good", "bad"):
            found[name] = Visit()
            page = context.new_page()
            watch(page, origin, found[name])
            page.goto(f"{origin}/{name}.html")
    assert not found["good"].errors + found["good"].refused
    assert found["bad"].errors if what == "errors" else found["bad"].refused
