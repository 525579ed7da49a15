"""The map of the neighbours: every paper once, links that lead somewhere, verdicts from tables."""

import json
import re
from html.parser import HTMLParser

import nbformat
import pytest

from tools import book, neighbours

SLUGS = [row["slug"] for row in json.loads((book.ROOT / neighbours.TABLE).read_text())["papers"]]


def chapter(*verdicts, header="| claim | verdict | margin |"):
    rows = [f"| one | {verdict} | 2 % |" for verdict in verdicts]
    text = "\n".join([header, "|---|---|---|", *rows])
    output = nbformat.v4.new_output("display_data", data={"text/markdown": text})
    cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell(outputs=[output])]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def papers():
    return neighbours.read(book.ROOT, book.ROOT)[1]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    neighbours.write(book.ROOT, book.ROOT, folder)
    names = ("neighbours-map", "neighbours-list", "claims-neighbours", "open-neighbours")
    return [(folder / f"{name}.md").read_text() for name in names]


class Map(HTMLParser):
    """The links and the words of the picture."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.names = {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "a":
            assert found["data-paper"] not in self.links
            self.links[found["data-paper"]] = found["href"]
            self.names.append(found["aria-label"])
        self.loads += [found[key] for key in ("src", "xlink:href") if key in found]


def test_every_paper_is_on_the_map_and_in_the_list_once(papers, parts):
    drawn, listed = parts[:2]
    assert len(papers) == 25
    assert len({p.arxiv for p in papers}) == 25
    assert sorted(Map(drawn).links) == sorted(SLUGS)
    assert sorted(re.findall(r'<a id="([\w-]+)"></a>', listed)) == sorted(SLUGS)


def test_every_verdict_stands_on_the_reproduction_page_and_the_open_ones_beside(papers, parts):
    every, unseen = parts[2:]
    counts = [paper.verdicts for paper in papers if paper.verdicts]
    assert every.count("\n") - 2 == sum(sum(count.values()) for count in counts)
    assert unseen.count("\n") - 2 == sum(
        n for count in counts for word, n in count.items() if word != "seen"
    )
    for paper in papers:
        assert (f"neighbours/{paper.slug}>" in every) == (paper.verdicts is not None)


def test_every_link_leads_to_a_chapter_or_to_the_list(parts):
    for slug, address in Map(parts[0]).links.items():
        there = (book.ROOT / neighbours.FOLDER / f"{slug}.ipynb").exists()
        assert address == (f"{slug}.html" if there else f"#{slug}")


def test_every_chapter_of_the_street_is_a_paper_of_the_map():
    for path in (book.ROOT / neighbours.FOLDER).glob("*.ipynb"):
        assert path.stem in SLUGS


def test_chapters_stand_in_the_order_of_their_streets():
    chapters = re.findall(r"file: book/neighbours/([\w-]+)", (book.ROOT / "_toc.yml").read_text())
    assert chapters == ["index", *(slug for slug in SLUGS if slug in chapters)]


def test_the_picture_loads_one_file_of_this_book_and_nothing_else(parts):
    assert Map(parts[0]).loads == ["../../_static/neighbours.js"]
    assert (book.ROOT / "book" / "_static" / "neighbours.js").is_file()
    assert "http" not in parts[0]


def test_every_paper_says_its_claim_and_its_verdict(papers, parts):
    names = Map(parts[0]).names
    for paper in papers:
        assert paper.claim.count(". ") == 0  # one sentence
        assert f"{paper.name}: {paper.claim} Our verdict: {paper.found}." in names
        assert f"{paper.claim} **Our verdict: {paper.found}.**" in parts[1]


def test_every_paper_has_its_place_and_something_in_common_with_another(papers):
    at, _ = neighbours.places(papers)
    assert len(set(at.values())) == len(papers)
    for paper in papers:
        assert neighbours.kin(paper, papers)
        assert not paper.kin.keys() - set(SLUGS)
        for level, why in (
            (paper.local, paper.local_why),
            (paper.tropical, paper.tropical_why),
        ):
            assert (level == 0) == (why == "nothing")
        for other in papers:  # a name of 21 letters is 172 wide, and 20 high
            (x, y), (u, v) = at[paper.slug], at[other.slug]
            assert paper is other or abs(x - u) >= 180 or abs(y - v) >= 20
        assert len(paper.name) <= 21


def test_verdicts_are_counted_in_the_chapters_table():
    node = chapter("**seen**", "not seen", "seen", "only if p > 5", "*reversed* at depth 3")
    found = neighbours.verdicts(node, "one")
    assert found == {"seen": 2, "not seen": 1, "reversed": 1, "only if": 1}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (chapter("seen", "maybe"), "one: the verdict 'maybe' begins with none of seen, not seen"),
        (chapter("seen", header="| claim | word | margin |"), "one: no cell prints a table"),
        (nbformat.v4.new_notebook(), "one: no cell prints a table with a column 'verdict'"),
    ],
)
def test_a_chapter_without_verdicts_stops_the_build(node, message):
    with pytest.raises(ValueError, match=message):
        neighbours.verdicts(node, "one")


def test_a_paper_with_a_chapter_is_no_longer_to_come(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / neighbours.TABLE).write_text((book.ROOT / neighbours.TABLE).read_text())
    (tmp_path / neighbours.FOLDER).mkdir(parents=True)
    nbformat.write(chapter("seen", "undecided"), tmp_path / neighbours.FOLDER / "noprop.ipynb")
    streets, papers = neighbours.read(tmp_path, tmp_path)
    assert Map(neighbours.drawn(papers, streets)).links["noprop"] == "noprop.html"
    listed = neighbours.listed(papers, streets)
    assert "{doc}`NoProp </book/neighbours/noprop>`" in listed
    assert "**Our verdict: seen 1, undecided 1.**" in listed
    assert listed.count("to come") == 24
