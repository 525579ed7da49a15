"""The book on paper: chapters in order with bookmarks, links that stay inside, nothing cut away."""

import io
from pathlib import Path

from playwright.sync_api import Browser
from pypdf import PdfReader, PdfWriter

from tools import browser as tool
from tools import pdf

CHAPTER = """<!doctype html><title>A chapter</title><h1>Chapter {this}</h1>
<p><a href="{other}.html">The other chapter</a></p><p><a href="#end">The end</a></p>
<p><a href="file.zip">A file</a></p><p><a href="https://example.org/">Elsewhere</a></p>
<h2 id="end" style="break-before: page">The end of chapter {this}</h2>"""


def links(writer: PdfWriter) -> list[list[str | int]]:
    """Return where the links of each sheet lead: an address, or a sheet's number."""
    reader = PdfReader(io.BytesIO(written(writer)))
    sheets = [page.indirect_reference for page in reader.pages]
    found: list[list[str | int]] = []
    for page in reader.pages:
        annotations = [reference.get_object() for reference in page.get("/Annots", [])]
        found.append(
            [
                a["/A"]["/URI"] if "/A" in a else sheets.index(next(iter(a["/Dest"])))
                for a in annotations
            ]
        )
    return found


def written(writer: PdfWriter) -> bytes:
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_chapters_are_joined_and_their_links_stay_inside(browser: Browser, tmp_path: Path) -> None:
    for this, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"{this}.html").write_text(CHAPTER.format(this=this, other=other))
    with tool.serve(tmp_path) as origin:
        names = ("one.html", "two.html")
        writer = pdf.join({n: pdf.printed(browser, f"{origin}/{n}") for n in names}, origin)
    reader = PdfReader(io.BytesIO(written(writer)))
    top = [item.title for item in reader.outline if not isinstance(item, list)]
    assert top == ["Chapter one", "Chapter two"]
    # A file that is not in the document has no link; the two ends are named alike, and kept apart.
    assert links(writer) == [[2, 1, "https://example.org/"], [], [0, 3, "https://example.org/"], []]


def test_every_chapter_is_printed_in_the_order_of_the_contents() -> None:
    names = pdf.chapters()
    assert names[0] == "book/index.html"
    assert names.index("book/local-learning/sgr.html") < names.index(
        "book/tropical-geometry/theorem.html"
    )


def test_a_printed_chapter_shows_its_solutions_and_no_side_bars(
    browser: Browser, origin: str
) -> None:
    place = "book/local-learning/gradient-isolation.html"
    title, made = pdf.printed(browser, f"{origin}/{place}")
    assert title == "Learning without a global backward pass"
    sheets = PdfReader(io.BytesIO(made)).pages
    text = " ".join(" ".join(sheet.extract_text() for sheet in sheets).split())
    assert "The loop below runs the last module by itself" in text  # in a folded solution
    assert "Skip to main content" not in text
    assert "Back matter" not in text  # the side bar's
