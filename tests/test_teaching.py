import numpy as np
import pytest

from localbook import teaching
from localbook.errors import ConfigError

ANSWERS = {"two": "One for each side.", "a < b": "Counts only one side."}


def test_choices_tells_right_from_wrong_and_escapes_what_it_shows():
    html = teaching.choices("How many?", ANSWERS, right="two").data
    assert html.count("<details>") == 2
    assert "<summary>two</summary><p><strong>Right.</strong> One for each side." in html
    assert "a &lt; b</summary><p><strong>Not so.</strong>" in html


def test_the_right_choice_is_one_of_the_answers():
    with pytest.raises(ConfigError, match="must be one of the answers: two, a < b"):
        teaching.choices("How many?", ANSWERS, right="three")
    with pytest.raises(ConfigError, match="at least two"):
        teaching.choices("How many?", {"two": "Yes."}, right="two")


def test_a_profile_that_a_notebook_does_not_have_is_refused():
    assert teaching.profile("cpu", "quick", "cpu") is None
    with pytest.raises(ConfigError, match="profile='large' must be one of quick, cpu: this"):
        teaching.profile("large", "quick", "cpu")
    with pytest.raises(ConfigError, match="profile='cpu' must be quick: this"):
        teaching.profile("cpu", "quick")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., "Put your answer in place of the dots"),
        (4, "Right. Both sides count."),
        (4 + 1e-9, "Right."),
        (np.float32(4), "Right."),
        (5, "Not yet. Hint: count"),
        (float("nan"), "Not yet. Hint: count"),
        ([4, 4], "Not yet: the answer has shape (), yours (2,)."),
        ("four", "Not yet: the answer is a number"),
    ],
)
def test_check_says_whether_an_answer_is_right(answer, said, capsys):
    teaching.check(answer, 4, hint="count.", because="Both sides count.")
    assert capsys.readouterr().out.startswith(said)


def test_check_compares_arrays(capsys):
    teaching.check([1, 2, 0], np.array([1.0, 2.0, 0.0]), hint="", because="Yes.")
    teaching.check([1, 2, 1e-3], [1, 2, 0], hint="", because="Yes.")
    assert [line[:5] for line in capsys.readouterr().out.splitlines()] == ["Right", "Not y"]
