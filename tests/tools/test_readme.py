"""The README's table says what the chapters' verdicts say."""

import re

from tools import readme


def test_the_readme_is_up_to_date():
    text = readme.README.read_text()
    assert text == readme.renewed(text, readme.found(readme.ROOT)), "run: python -m tools.readme"


def test_every_picture_of_the_readme_is_there():
    for place in re.findall(r"\]\((book/[^)#]*)\)", readme.README.read_text()):
        assert (readme.ROOT / place).is_file()


def test_verdicts_are_counted_and_terms_are_words():
    assert readme.counted(["yes", "**no**", "yes"]) == "yes 2, no 1"
    assert readme.counted(["confirmed, if λ is large enough"]) == "confirmed, if λ is large enough"
    assert readme.plain("{term}`SGR` and {term}`modules <module>`") == "SGR and modules"
