"""What a change reaches, and the picture of the house: both read from the imports."""

from graphlib import CycleError
from pathlib import Path

import pytest

from tools import check, house, imports

GRAPH = {"roof": {"wall", "ground"}, "wall": {"ground"}, "shed": {"ground"}, "ground": set()}


def names(paths):
    return {str(path.relative_to(imports.ROOT)) for path in paths}


def test_the_picture_is_the_present_house():
    drawn = house.draw(*house.graphs())
    assert house.PICTURE.read_text() == drawn, "python -m tools.house"


def test_floors_and_the_arrows_that_no_others_imply():
    assert house.floors(GRAPH) == [["ground"], ["shed", "wall"], ["roof"]]
    assert house.direct(GRAPH) == [("roof", "wall"), ("shed", "ground"), ("wall", "ground")]
    with pytest.raises(CycleError):
        house.floors({"a": {"b"}, "b": {"a"}})


def test_a_change_reaches_those_who_use_the_name_from_whichever_face():
    reached = names(check.affected([house.SOURCE / "tropical" / "zonotopes" / "hausdorff.py"]))
    assert "tests/tropical/test_zonotope_hausdorff.py" in reached  # from localbook.tropical
    assert "book/tropical-geometry/zonotopes.ipynb" in reached  # tropical.hausdorff
    assert "tests/local/test_rules_dgl.py" not in reached
    assert "book/local-learning/convergence.ipynb" not in reached


def test_the_nearest_come_first():
    rule = house.SOURCE / "local" / "rules" / "plain.py"
    steps = imports.reached([rule])
    tests = check.affected([rule])
    assert [steps.get(path, 1) for path in tests] == sorted(steps.get(path, 1) for path in tests)
    assert all(path.name.startswith("test_") or path.suffix == ".ipynb" for path in tests)


def test_a_changed_page_reaches_the_tests_of_the_pages_and_a_changed_test_itself():
    assert "tests/book/test_pages.py" in names(check.affected([imports.ROOT / "book/notation.md"]))
    assert check.affected([Path(__file__)]) == [Path(__file__)]


def test_what_takes_too_long_is_stopped_and_what_has_not_begun_is_known(tmp_path):
    for name in "ab":
        code = "import time\n\n\ndef test_sleeps():\n    time.sleep(1)\n"
        (tmp_path / f"test_{name}.py").write_text(code)
    limit = check.Limit(0)
    words = ["-q", "-p", "no:cacheprovider", "-n", "1", "--dist", "loadfile", str(tmp_path)]
    assert pytest.main([*words, "--rootdir", str(tmp_path)], plugins=[limit]) == 2
    assert {path.name for path in limit.begun} == {"test_a.py"}
    assert not limit.failed
