"""The buttons that need the repository's address are there with it, and not without it."""

import re
import shutil

import nbformat
import pytest
import yaml

from tools import book

URL = "https://github.com/someone/localbook"
TOC = {"format": "jb-book", "root": "book/index", "chapters": [{"file": "book/part/chapter"}]}


@pytest.fixture
def page(tmp_path):
    """Build a book of one page and one notebook at an address; return the notebook's HTML."""

    def build(url):
        pages = tmp_path / "pages"
        for name in ("_ext", "_static"):
            shutil.copytree(book.ROOT / "book" / name, pages / "book" / name)
        shutil.copy(book.ROOT / "book" / "references.bib", pages / "book")
        config = yaml.safe_load((book.ROOT / "_config.yml").read_text())
        config["repository"]["url"] = url
        (pages / "_config.yml").write_text(yaml.safe_dump(config))
        (pages / "_toc.yml").write_text(yaml.safe_dump(TOC))
        (pages / "dates.json").write_text("{}")
        (pages / "book" / "index.md").write_text("# Title\n\nText.\n")
        cells = [nbformat.v4.new_markdown_cell("# Chapter"), nbformat.v4.new_code_cell("1")]
        node = nbformat.v4.new_notebook(cells=cells)
        book.tidy(node)
        (pages / "book" / "part").mkdir()
        nbformat.write(node, pages / "book" / "part" / "chapter.ipynb")
        assert book.build_html(pages, tmp_path) == 0
        return (tmp_path / "_build" / "html" / "book" / "part" / "chapter.html").read_text()

    return build


def foreign(html):
    return set(re.findall(r'<a\b[^>]*href="(https://(?:github|colab|mybinder|gitlab)[^"]*)"', html))


def loaded(html):
    return re.findall(r'<(?:img|script|iframe)[^>]*src="(?:https?:)?//', html)


def test_with_an_address_each_chapter_opens_on_colab_binder_and_in_jupyterlab(page):
    html = page(URL)
    notebook = "book/part/chapter.ipynb"
    binder = "https://mybinder.org/v2/gh/someone/localbook/main?urlpath="
    issue = f"{URL}/issues/new?title="
    links = foreign(html)
    assert links >= {
        f"https://colab.research.google.com/github/someone/localbook/blob/main/{notebook}",
        f"{binder}tree/{notebook}",
        f"{binder}lab/tree/{notebook}",
        f"{URL}/edit/main/{notebook}",
        URL,
    }
    assert any(link.startswith(issue) for link in links)
    assert not loaded(html)


def test_without_an_address_they_are_left_out(page):
    html = page("")
    assert not foreign(html)
    assert "launch-buttons" not in html
    assert "source-buttons" not in html
    assert "CC BY 4.0" in html  # the theme's other options are kept


def test_a_host_that_colab_cannot_read_loses_colab_only(page):
    links = foreign(page("https://gitlab.com/someone/localbook"))
    assert not any("colab" in link for link in links)
    assert any("mybinder.org/v2/gl/someone%2Flocalbook/main?urlpath=lab" in link for link in links)
