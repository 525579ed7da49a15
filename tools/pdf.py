"""Print the built book as one PDF, with bookmarks: `make pdf`.

Chromium prints each page, just as a reader's browser would, and pypdf joins them. A link to another
chapter leads to that chapter's first page.
"""

import io
import sys
from pathlib import Path
from urllib.parse import urldefrag

import yaml
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject
from tqdm import tqdm

from tools import book, browser

TARGET = book.BUILD / "localbook.pdf"
PATIENCE = 120_000  # ms


def chapters() -> list[str]:
    """Return the pages in reading order, as the table of contents has them."""
    toc = yaml.safe_load((book.ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [f"{name}.html" for name in (toc["root"], *listed)]


def printed(driven: Browser, address: str) -> tuple[str, bytes]:
    """Return a page's title and its PDF, in the light theme."""
    page = driven.new_page(color_scheme="light")
    page.goto(address, timeout=PATIENCE)
    page.evaluate("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready])")
    title = page.evaluate("document.querySelector('h1').cloneNode(true).textContent")
    made = page.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    page.close()
    return title.strip().rstrip("#"), made


def join(pages: dict[str, tuple[str, bytes]], origin: str) -> PdfWriter:
    """Return one document of all chapters, whose links stay inside it where they can."""
    writer = PdfWriter()
    first: dict[str, int] = {}
    for name, (title, made) in pages.items():
        reader = PdfReader(io.BytesIO(made))
        _name_no_places(reader)
        first[f"{origin}/{name}"] = len(writer.pages)
        writer.append(reader, outline_item=title)
    for page in writer.pages:
        kept = ArrayObject()
        for reference in page.get("/Annots", ArrayObject()):
            link = reference.get_object()
            address = urldefrag(link.get("/A", {}).get("/URI", ""))[0]
            if address in first:
                link[NameObject("/Dest")] = _top(writer, first[address])
                del link["/A"]
            if not address.startswith(origin) or address in first:
                kept.append(reference)
        page[NameObject("/Annots")] = kept
    writer.add_metadata({"/Title": "localbook", "/Author": "The localbook authors"})
    writer.compress_identical_objects()
    return writer


def _top(writer: PdfWriter, number: int) -> ArrayObject:
    return ArrayObject([writer.pages[number].indirect_reference, NameObject("/Fit")])


def _name_no_places(reader: PdfReader) -> None:
    """Point links at places, not at names: two chapters may name places alike."""
    places = reader.named_destinations
    for page in reader.pages:
        for reference in page.get("/Annots", ArrayObject()):
            link = reference.get_object()
            action: DictionaryObject = link.get("/A", DictionaryObject())
            name = link.get("/Dest") or action.get("/D")
            if isinstance(name, str) and name.removeprefix("/") in places:
                link[NameObject("/Dest")] = places[name.removeprefix("/")].dest_array
                link.pop("/A", None)
            elif isinstance(name, str) and name in places:
                link[NameObject("/Dest")] = places[name].dest_array
                link.pop("/A", None)


def make(html: Path, target: Path) -> int:
    """Print the pages of a build into one file; return how many sheets it has."""
    with sync_playwright() as playwright, browser.serve(html) as origin:
        driven = browser.launch(playwright)
        names = tqdm(chapters(), unit="page")
        pages = {name: printed(driven, f"{origin}/{name}") for name in names}
        driven.close()
        writer = join(pages, origin)
    target.parent.mkdir(parents=True, exist_ok=True)
    writer.write(target)
    return len(writer.pages)


def main() -> int:
    """Print the book that `make book` built; return an exit code."""
    if not book.HTML.exists():
        print("There are no pages to print: run `make book` first.", file=sys.stderr)
        return 1
    try:
        sheets = make(book.HTML, TARGET)
    except browser.NoBrowserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{sheets} pages are at {TARGET.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
