"""What every chapter gives its reader: goals, questions with answers, exercises, terms."""

import ast
import re

from tests.book.conftest import BOOK

LEVELS = ("easy", "medium", "hard")


def prose(notebook):
    return "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def calls(notebook, name):
    """Every cell that calls a function of ``teaching``, and the call."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and f"teaching.{name}(" in cell.source:
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == f"teaching.{name}":
                    yield cell, node


def keywords(call):
    return {k.arg: k.value for k in call.keywords}


def test_goals_prerequisites_and_time_are_at_the_top(notebook):
    top = " ".join(notebook.cells[0].source.split())
    places = [top.find(word) for word in ("**You will**", "**You need**", "**Time:**")]
    assert -1 not in places
    assert places == sorted(places)
    assert re.search(r"\*\*Time:\*\* \d+ minutes", top)


def test_exercises_have_three_levels(notebook):
    begins = re.findall(r"\{exercise-start\}\n:label: \S+\n```\n\*\*\((\w+)\)\*\*", prose(notebook))
    assert len(begins) == prose(notebook).count("{exercise-start}")
    assert set(begins) == set(LEVELS)


def test_solutions_are_folded_and_run_and_print_what_is_compared(notebook):
    inside, ran = False, []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            starts, ends = (cell.source.count(f"{{solution-{w}}}") for w in ("start", "end"))
            assert cell.source.count(":class: dropdown") == starts
            assert not ends or any(ran), f"no cell of the solution prints: {cell.source}"
            inside, ran = inside + starts - ends, [] if ends else ran
        elif inside:
            ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
            printed = any(out.get("name") == "stdout" for out in cell.outputs)
            ran.append(printed and not ignored)
    assert not inside


def test_readers_can_check_themselves(notebook):
    both = [*calls(notebook, "choices"), *calls(notebook, "check")]
    assert len(both) >= 2


def test_every_answer_to_choose_is_explained_and_one_is_right(notebook):
    for cell, call in calls(notebook, "choices"):
        answers = ast.literal_eval(call.args[1])
        assert len(answers) >= 3, "wrong answers are misconceptions: give two"
        assert ast.literal_eval(keywords(call)["right"]) in answers
        assert all(len(why.split()) >= 4 for why in answers.values())
        assert len(set(answers.values())) == len(answers)
        assert "remove-input" in cell.metadata.get("tags", []), "the page would show the answer"


def test_an_answer_to_compute_is_left_open_and_computed_here(notebook):
    for cell, call in calls(notebook, "check"):
        assert isinstance(call.args[0], ast.Constant)
        assert call.args[0].value is ..., "the answer is the reader's"
        right = keywords(call)["right"]
        assert any(isinstance(node, ast.Name) for node in ast.walk(right)), "compute it"
        assert {"hint", "because"} <= set(keywords(call))
        assert "Put your answer in place of the dots" in cell.outputs[0].text


def glossary_terms():
    text = (BOOK / "glossary.md").read_text()
    blocks = re.findall(r"```\{glossary\}\n(.*?)\n```", text, flags=re.DOTALL)
    return [term for block in blocks for term in re.findall(r"^(\S.*)$", block, re.MULTILINE)]


def test_the_glossary_has_no_term_twice_and_is_in_order():
    assert len(set(map(str.lower, glossary_terms()))) == len(glossary_terms())
    text = (BOOK / "glossary.md").read_text()
    for block in re.findall(r"```\{glossary\}\n(.*?)\n```", text, flags=re.DOTALL):
        terms = re.findall(r"^(\S.*)$", block, re.MULTILINE)
        assert terms == sorted(terms, key=str.lower)


def test_terms_link_to_the_glossary(notebook):
    linked = re.findall(r"\{term\}`([^`]+)`", prose(notebook))
    targets = [re.sub(r".*<([^>]+)>$", r"\1", " ".join(link.split())) for link in linked]
    known = set(map(str.lower, glossary_terms()))
    assert targets
    assert {t for t in targets if t.lower() not in known} == set()


def test_asides_are_few(notebook):
    assert prose(notebook).count("```{margin}") <= 3


def test_no_chapter_is_referred_to_without_a_link(notebook):
    vague = r"\b(see above|see below|(later|earlier|next|previous|last|first) chapters?)\b"
    for paragraph in re.split(r"\n\s*\n", prose(notebook)):
        if re.search(vague, paragraph):
            assert re.search(r"\{(doc|prf:ref|ref|eq)\}`", paragraph), paragraph
