"""Every work that the book cites can be found by its identifier."""

import re
from pathlib import Path

import pytest

BIBLIOGRAPHY = Path(__file__).parents[2] / "book" / "references.bib"
ENTRIES = dict(
    re.findall(r"^@\w+\{([^,]+),\n(.+?)^\}$", BIBLIOGRAPHY.read_text(), re.MULTILINE | re.DOTALL)
)
WITHOUT = {"glorot2010understanding"}  # its proceedings give out neither; it has their address


def identifier(entry):
    """A DOI, or an arXiv number in the note or as eprint."""
    doi = re.search(r"^  doi = \{(10\.\d{4,}/\S+)\}", entry, re.MULTILINE)
    arxiv = re.search(r"^  (?:note = \{arXiv:|eprint = \{)(\d{4}\.\d{4,5})\}", entry, re.MULTILINE)
    return (doi or arxiv or [None, None])[1]


def test_all_entries_are_read():
    assert len(ENTRIES) == BIBLIOGRAPHY.read_text().count("\n@") + 1


@pytest.mark.parametrize("key", sorted(ENTRIES))
def test_each_entry_has_a_doi_or_an_arxiv_number(key):
    if key in WITHOUT:
        assert re.search(r"^  url = \{https://\S+\}", ENTRIES[key], re.MULTILINE)
        assert identifier(ENTRIES[key]) is None, f"{key} has an identifier: take it off the list"
    else:
        assert identifier(ENTRIES[key]), f"give {key} a doi, or note = {{arXiv:number}}"


def test_no_identifier_is_used_twice():
    found = [number for number in map(identifier, ENTRIES.values()) if number]
    assert len(found) == len(set(found))
