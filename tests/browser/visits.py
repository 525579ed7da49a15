"""Open a page once, look at it in every mode, and keep what was seen for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import axe_playwright_python
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    ViewportSize,
)

MODES = ("light", "dark", "tablet", "phone", "print")
DESK = ViewportSize(width=1300, height=900)
TABLET = ViewportSize(width=1100, height=800)  # where the text keeps no room at its side
PHONE = ViewportSize(width=390, height=844)
PAPER = ViewportSize(width=718, height=1047)  # A4 at 96 dots an inch, less margins of a centimetre
SIZES = {"tablet": TABLET, "phone": PHONE, "print": PAPER}
PATIENCE = 120_000  # ms; a busy machine is not an error

CHECKS = Path(__file__).with_name("checks.js").read_text()
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()

# When the first figure stands in the page, in ms after the page was asked for.
FIRST_FIGURE = """
const look = () => {
  const figure = document.querySelector(".lb-figure svg");
  if (figure && figure.getBoundingClientRect().height) window.firstFigure = performance.now();
  else if (document.readyState !== "complete") requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


# The theme makes code that scrolls focusable 300 ms after the last change. A timer of the page that
# is due later fires later, however busy the machine is.
FOCUSABLE = """new Promise((done) => {
  window.dispatchEvent(new Event("resize"));
  setTimeout(done, 400);
})"""


@dataclass
class Visit:
    """What was seen on a page; by mode, where it may differ from mode to mode."""

    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    axe: dict[str, list[str]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    weight: int = 0
    first_figure: float | None = None


@contextmanager
def fenced(browser: Browser, origin: str, *, scripts: bool = True) -> Iterator[BrowserContext]:
    """Yield a context that refuses and lists whatever is asked of another origin."""
    context = browser.new_context(viewport=DESK, java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE)

    def fence(route: Route) -> None:
        if route.request.url.startswith((f"{origin}/", "data:", "blob:")):
            route.continue_()
        else:
            route.abort()

    context.route("**/*", fence)
    yield context
    context.close()


def watch(page: Page, origin: str, visit: Visit) -> None:
    """Note errors and requests to elsewhere, from now on."""

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith((f"{origin}/", "data:", "blob:")):
            visit.refused.append(request.url)

    page.on("console", said)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("request", asked)


def settle(page: Page) -> None:
    """Wait until the equations are set and the fonts are there."""
    page.evaluate("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready])")


def visit(context: BrowserContext, origin: str, name: str) -> Visit:
    """Open a page and look at it on a desk in light and dark, a tablet, a phone and paper."""
    seen = Visit()
    page = context.new_page()
    watch(page, origin, seen)
    page.add_init_script(FIRST_FIGURE)
    page.goto(f"{origin}/{name}", timeout=PATIENCE)
    settle(page)
    page.evaluate(CHECKS)
    page.evaluate(AXE)
    seen.first_figure = page.evaluate("window.firstFigure ?? null")
    seen.weight = page.evaluate(
        "performance.getEntries().reduce((sum, e) => sum + (e.decodedBodySize || 0), 0)"
    )
    seen.links, seen.ids = page.evaluate("checks.links()"), set(page.evaluate("checks.ids()"))
    for mode in MODES:
        enter(page, mode)
        seen.faults[mode] = faults(page, mode)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")  # solutions fold up again
    page.evaluate("checks.lighten()")
    for theme in ("light", "dark"):
        enter(page, theme)
        page.evaluate(FOCUSABLE)
        seen.axe[theme] = axe(page, theme)
    page.close()
    return seen


def enter(page: Page, mode: str) -> None:
    """Make an open page look as it does in a mode; paper comes from a dark screen, the worst."""
    scheme: Literal["dark", "light"] = "dark" if mode in ("dark", "print") else "light"
    page.emulate_media(media="print" if mode == "print" else "screen", color_scheme=scheme)
    page.set_viewport_size(SIZES.get(mode, DESK))
    if mode == "print":  # what only paper unfolds, such as the solutions
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
    # Colours that fade from theme to theme are judged when they have arrived.
    page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")


def faults(page: Page, mode: str) -> list[str]:
    """Return what does not fit or cannot be read."""
    paper = "true" if mode == "print" else "false"
    found: list[str] = page.evaluate(
        f"[...checks.overflow({paper}), ...checks.wideFigures(), ...checks.missingFigures(), "
        "...checks.unreadable(), ...checks.brokenEquations(), ...checks.glare(), "
        "...checks.squeezed(), ...checks.cutEquations()]"
    )
    return found


# Contrast is examined once for each look that letters have. Between themes only colours differ, so
# in the dark the other rules need not run again.
AXE_RUN = """async (theme) => {
  const options = { resultTypes: ["violations"], preload: false };
  const structure = theme === "light"
    ? { rules: { "color-contrast": { enabled: false } } } : { runOnly: ["link-in-text-block"] };
  const found = [
    await axe.run(document, { ...options, ...structure }),
    await axe.run({ include: checks.inks() }, { ...options, runOnly: ["color-contrast"] }),
  ];
  return found.flatMap((r) => r.violations)
    .filter((v) => ["serious", "critical"].includes(v.impact))
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`));
}"""


def axe(page: Page, theme: str) -> list[str]:
    """Return what axe-core calls serious or critical."""
    found: list[str] = page.evaluate(AXE_RUN, theme)
    return found
