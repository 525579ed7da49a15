from localbook.plots import RULES, accuracy_against_price, share_by_modules, svg
from localbook.plots.chapters.compared import undominated

SHARES = {"local": [0.5, 0.2], "sgr-dgl": [0.9, 0.5]}
PRICES = {"bp": 4.0, "checkpointed": 2.0, "local": 1.0, "sgr-dgl": 3.0}
ACCURACY = {"bp": [0.7, 0.8], "checkpointed": [0.7, 0.8], "local": [0.5], "sgr-dgl": [0.4, 0.6]}


def test_a_line_for_each_rule_and_one_for_back_propagation():
    figure = share_by_modules([2, 8], {"ResNet-32": SHARES, "ResNet-110": SHARES}, "saved, over BP")
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == [
        "back-propagation",
        "plain local learning",
        "SGR on DGL",
    ]
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["2", "8"]
    assert (left.get_ylabel(), left.get_xlabel()) == ("saved, over BP", "modules")


def test_a_value_above_those_of_the_first_panel_is_not_cut_off():
    figure = share_by_modules([2], {"low": {"local": [0.5]}, "high": {"sgr": [1.5]}}, "saved")
    assert [axes.get_ylim()[0] for axes in figure.axes] == [0, 0]
    assert figure.axes[1].get_ylim()[1] > 1.5


def test_a_point_for_each_method_in_each_panel():
    figure = accuracy_against_price({"MiB": PRICES, "time": PRICES}, ACCURACY)
    for axes, label in zip(figure.axes, ("MiB", "time"), strict=True):
        points = [line for line in axes.lines if line.get_label()[0] != "_"]
        assert [float(line.get_xdata()[0]) for line in points] == list(PRICES.values())
        assert axes.get_xlabel() == label
    assert figure.axes[0].get_ylabel() == "test accuracy"


def test_undominated_methods():
    scores = {"bp": 0.75, "checkpointed": 0.75, "local": 0.5, "sgr-dgl": 0.6}
    assert undominated(PRICES, scores) == ["local", "checkpointed"]
    assert undominated({"a": 1, "b": 1}, {"a": 0.1, "b": 0.2}) == ["b"]


def test_small_well_formed_svg():
    for figure in (
        share_by_modules([2, 8], {"ResNet-32": SHARES}, "saved"),
        accuracy_against_price({"MiB": PRICES}, ACCURACY),
    ):
        text = svg(figure, alt="Points and lines of several methods.")
        assert text.startswith("<svg")
        assert len(text) < 100_000


def test_rules_differ_in_more_than_colour():
    looks = set(RULES.values())  # SGR has two names
    for feature in ("label", "marker"):
        assert len({getattr(look, feature) for look in looks}) == len(looks) == len(RULES) - 1
