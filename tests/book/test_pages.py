"""The pages as they are built: warnings are errors, links lead somewhere, nothing is foreign."""

import re
from collections import Counter
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

from tools import book

LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("link", "href"),
}


class Page(HTMLParser):
    """What a page links to, loads and is called by."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids, self.pictures = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[k] for k in ("id", "name") if found.get(k)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("img", "svg"):
            self.pictures.append((tag, found))
        for (name, key), value in ((pair, found.get(pair[1])) for pair in LOADING):
            foreign_kind = tag == "link" and found.get("rel") in ("canonical", "next", "prev")
            if tag == name and value and not foreign_kind:
                self.loads.append((key, value))


@pytest.fixture(scope="module")
def built():
    """The book, built from the notebooks as they are committed."""
    html = book.committed()
    assert html, "jupyter-book warned or failed, see above"
    return html


@pytest.fixture(scope="module")
def pages(built):
    return {path: Page(path.read_text()) for path in sorted(built.rglob("*.html"))}


def content(pages, built):
    return {p: page for p, page in pages.items() if p.is_relative_to(built / "book")}


def test_every_chapter_is_there(pages, built):
    names = {str(path.relative_to(built)) for path in pages}
    assert {"index.html", "search.html", "book/index.html", "book/notation.html"} <= names
    for notebook in book.notebooks():
        assert str(notebook.with_suffix(".html")) in names


@pytest.mark.parametrize("face", ["tropical", "local", "data", "runs", "plots"])
def test_the_reference_has_every_name_of_a_face_and_search_finds_it(pages, built, face):
    module = import_module(f"localbook.{face}")
    page = pages[built / "book" / "reference" / f"{face}.html"]
    search = (built / "searchindex.js").read_text()
    for name in module.__all__:
        if isinstance(inner := getattr(module, name), ModuleType):
            assert {f"{inner.__name__}.{own}" for own in inner.__all__} <= set(page.ids)
            continue
        assert f"localbook.{face}.{name}" in page.ids
        assert f'"{name.lower()}"' in search.lower()


def test_a_name_leads_to_the_reference_where_a_chapter_first_uses_it(built):
    page = (built / "book" / "tropical-geometry" / "zonotopes.html").read_text()
    links = re.findall(r'<a class="code-link" href="([^"]*)" title="([^"]*)">(\w+)</a>', page)
    assert max(Counter(links).values()) == 1
    assert {"Zonotope", "hausdorff"} <= {text for *_, text in links}
    for href, full, text in links:
        face, name = full.removeprefix("localbook.").split(".")
        assert href == f"../reference/{face}.html#{full}"
        assert name == text


def test_internal_links_lead_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            # The search page fills itself in the browser; only real pages have ids to check.
            lost = parts.fragment and target in pages and target.name != "search.html"
            if not target.exists() or (lost and unquote(parts.fragment) not in pages[target].ids):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_pages_load_nothing_from_elsewhere(pages, built):
    foreign = [
        f"{path.name}: {value}"
        for path, page in pages.items()
        for _, value in page.loads
        if urlsplit(value).netloc
    ]
    assert not foreign
    for path in pages:  # nor could an inline script load anything
        assert not re.search(r"unpkg|jsdelivr|cdnjs|googleapis|thebe@", path.read_text()), path
    for sheet in built.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet


def test_equations_find_mathjax_in_the_build(pages, built):
    page = pages[built / "book" / "local-learning" / "gradient-isolation.html"]
    scripts = [value for _, value in page.loads if "mathjax" in value.lower()]
    assert scripts
    for script in scripts:
        place = urlsplit(script).path
        assert (built / "book" / "local-learning" / place).resolve().is_file()


def test_the_citation_names_the_book_and_both_papers(built):
    page = (built / "book" / "index.html").read_text()
    block = page[page.index('id="cite-this"') :].split("</pre>")[0]
    for word in ("@software", "2406.05222", "2002.08838", "Alfarra"):
        assert word in block


def test_pages_are_dated_by_their_last_commit(built):
    dates = book.changed_on()
    for name in ("book/notation", "book/local-learning/sgr", "book/changes"):
        page = (built / f"{name}.html").read_text()
        assert f"Last updated on {dates[name]}" in page if dates else "Last updated" not in page


def test_commands_in_captions_can_be_copied(built):
    text = (built / "book" / "local-learning" / "cuts-and-speed.html").read_text(encoding="utf-8")
    assert "localbook run cifar10-speed --profile cpu" in text
    assert "–profile" not in text


def test_every_picture_has_alt_text(pages, built):
    for path, page in content(pages, built).items():
        for tag, attributes in page.pictures:
            if tag == "img":
                assert attributes.get("alt"), f"{path.name}: {attributes}"
            elif attributes.get("role") == "img":
                assert attributes.get("aria-label"), path.name


def test_pages_name_no_machine(pages):
    for path in pages:
        assert str(Path.home()) not in path.read_text()
        assert str(book.ROOT) not in path.read_text()
