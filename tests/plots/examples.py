"""An example of every picture, by the name of its function and what is special about it."""

import xml.etree.ElementTree as ET
from itertools import product

import numpy as np

from localbook import plots, tropical
from localbook.circuits import COPY, SAME, Box, Circuit

RNG = np.random.default_rng(0)
ALT = "What the picture shows, in a sentence."
SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
TRIANGLE = np.array([[0.0, 0], [1, 0], [0, 1]])
SIDES = TRIANGLE[[[0, 1], [1, 2], [2, 0]]]
RAYS = np.stack([np.zeros((3, 2)), [[0, -1], [1, 1], [-1, 0]]], axis=1)


def picture(page):
    """Return the one ``<svg>`` element of a page."""
    return ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def segments(count):
    return RNG.uniform(-1, 1, (count, 2, 2))


LINES = {name: RNG.random((3, 4)) for name in ("bp", "sgr", "rewind", "reinit", "finetune")}
SEEDS = {"accuracy": {"bp": [0.5, 0.6], "sgr": [0.7], "another": []}, "discord": {"sgr": [2, 3]}}
GAIN = "SGR minus plain, in points"
RATIOS = {
    "memory over BP": {"bp": 1.0, "local": 0.4, "another": None},
    "time": {"bp": 1.0, "local": 1.1, "another": 2.0},
}

ATTACK = plots.AttackFrame(
    *np.array([[0.5, 0.25], [0.6, 0.3]]),  # the input, and where it goes
    *np.array([[[[0.0, 0], [1, 0.6]]], [[[0.0, 0], [1, 0.4]]]]),
    {"$Z_1$": SQUARE, "$Z_2$": SQUARE / 2},
    {"$Z_1$": SQUARE[2], "$Z_2$": SQUARE[2] / 2},
)
PRICES = {"bp": 4.0, "checkpointed": 2.0, "local": 1.0, "sgr-dgl": 3.0}
ACCURACY = {"bp": [0.7, 0.8], "checkpointed": [0.7, 0.8], "local": [0.5], "sgr-dgl": [0.4, 0.6]}
TIME = np.arange(2000)
PATH = np.column_stack([0.9 * np.exp(-TIME / 500), np.exp(TIME / 700)])
LOSS = np.exp(-TIME / 300)
NEEDS = np.array([[True, True], [False, True]])
BOX = ((-1.0, 1.0), (-1.0, 1.0))
SAMPLES = (RNG.uniform(-1, 1, (300, 2)), np.arange(300) % 2)
HEADS = {
    name: [plots.DepthPanel(*map(segments, counts)) for counts in ((5, 0), (0, 0), (7, 2))]
    for name in ("one", "two")
}
PARTS = {
    "folds": (segments(4), segments(4)),
    "boundary": (np.stack([np.zeros((3, 2)), RNG.normal(size=(3, 2))], axis=1), segments(3)),
}
BOTH = {"$Z_1$": SQUARE, "$Z_2$": SQUARE + 0.5}
SIDE = np.linspace(0, 1, 21)[:-1]
TILES = [[x, y] + SQUARE / 20 for x, y in product(SIDE, SIDE)]
REGIONS = plots.RegionPanel(
    "a step", TILES, RNG.uniform(-1, 1, 400), RNG.random((30, 2, 2)), *SAMPLES
)
BLOCK = Circuit.of(
    COPY >> (Box("linear", "n m, m' m -> n m'", "w") @ SAME) >> Box("add", "n m, n m -> n m"),
    "n m", {"n": 2, "m": 3},
)  # fmt: skip
WINDOW = ((-3, 3), (-3, 3))
THREE, TWELVE = (
    tropical.initial_network((2, 20, k), "default", seed) for k, seed in ((3, 4), (12, 0))
)
FOUND, MANY = (tropical.decision_boundary(net, WINDOW) for net in (THREE, TWELVE))
FOLDS = tropical.linear_regions(THREE, WINDOW)
MAP = np.array([[1.0, 0.5], [0.25, 0.0]])
STEPS = {
    "one": [("forward", 1), ("forward", 2), ("backward", 2), ("backward", 1)],
    "two": [("forward", 1), ("backward", 1), ("forward", 2), ("backward", 2)],
}
UPDATES = [([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.5], [2.0, 3.0, 4.0])]
GENERATORS = np.array([[1.0, 0.2], [0.1, 1.0], [-0.7, 0.6]])
GROWN = [SQUARE[:2], SQUARE, SQUARE + SQUARE]


def dual_panel(title="line"):
    names = {"0": (np.array([-1, -1]), TRIANGLE[0])}
    return plots.DualPanel(title, RAYS, SIDES, TRIANGLE, np.array([[0.5, 0.5]]), names)


def pruned(shrink=0.5):
    duals = {"class 1": (SQUARE, shrink * SQUARE), "class 2": (SQUARE - 2, SQUARE[:1])}
    return plots.before_and_after((RAYS, shrink * RAYS), duals, SAMPLES, "5 of 10 neurons")


def lift():
    x = np.linspace(-2, 2, 5)
    lifted = np.array([[0.0, 0], [1, 1], [2, -3]])
    monomials = {"$0$": 0 * x, "$1 + x$": 1 + x, "$-3 + 2x$": 2 * x - 3}
    return plots.graph_and_lift(x, monomials, np.array([[-1.0, 0]]), lifted, lifted[:2])


PICTURES = {
    "lines": lambda: plots.lines(LINES, xlabel="module", ylabel="accuracy"),
    "lines: panels": lambda: plots.lines(
        dict.fromkeys("abcd", LINES), [8, 4, 2, 1], xlabel="left", ylabel="accuracy", xscale="log",
        xlim=(9, 0.9), xticks=[8, 4, 2, 1], ylim=(0, None), baseline=0.5, margin=0.1,
    ),
    "lines: their own axes": lambda: plots.lines(
        {"accuracy": LINES, "cosine": {"sgr": ([0.1, 1], [0.2, 0.9])}}, xlabel="λ"
    ),
    "lines: long": lambda: plots.lines(
        {"loss": LOSS, "found": ([10, 90], [0.5, 0.6])}, points=["found"], xlabel="t", ylabel="F"
    ),
    "seeds": lambda: plots.seeds(SEEDS),
    "seeds: differences": lambda: plots.seeds(
        {GAIN: {"digits": [0.1, -0.2], "photographs": [1.0, 3.0]}},
        intervals={GAIN: {"digits": (-0.4, 0.3), "photographs": (0.8, 3.2)}},
        baseline=0, margin=0.5,
    ),
    "ratios": lambda: plots.ratios(RATIOS),
    "image_grid": lambda: plots.image_grid(RNG.integers(0, 256, (3, 3, 8, 8), np.uint8), "abc"),
    "image_grid: grey": lambda: plots.image_grid(np.zeros((2, 1, 8, 8), np.uint8), "ab"),
    "accuracy_against_price": lambda: plots.accuracy_against_price(
        {"MiB": PRICES, "time": PRICES}, ACCURACY
    ),
    "attack_panels": lambda: plots.attack_panels(ATTACK, (-1, 2, -1, 2)),
    "before_and_after": pruned,
    "boundaries_by_module": lambda: plots.boundaries_by_module(HEADS, *SAMPLES, BOX),
    "boundary": lambda: plots.boundary(FOUND, FOLDS, {"samples": SAMPLES[0]}),
    "boundary: many classes": lambda: plots.boundary(MANY),
    "circuits": lambda: plots.circuits({"": plots.CircuitPanel(BLOCK)}, size=(4, 3)),
    "circuits: kept and cut": lambda: plots.circuits(
        dict.fromkeys("ab", plots.CircuitPanel(BLOCK, BLOCK.kept(), [2])), axes=False
    ),
    "class_map": lambda: plots.class_map(
        TILES, RNG.random((30, 2, 2)), {"3": (0.5, 0.5)}, {"an image": (0.2, 0.8)}
    ),
    "contours": lambda: plots.contours(
        {"a": np.add.outer(SIDE**2, SIDE), "b": np.eye(20)}, SIDE, (0.5, 0.5), ("$u$", "$v$")
    ),
    "curves_and_duals": lambda: plots.curves_and_duals([dual_panel()]),
    "curves_and_duals: five": lambda: plots.curves_and_duals([dual_panel(n) for n in "abcde"]),
    "dependence": lambda: plots.dependence({"one": NEEDS, "two": NEEDS.T}),
    "dependence: two rows": lambda: plots.dependence(dict.fromkeys("01234", NEEDS)),
    "graph_and_lift": lift,
    "hull_of_polygons": lambda: plots.hull_of_polygons(
        {"one": SQUARE, "two": SQUARE + 2}, np.array([[0.0, 0], [3, 2], [3, 3]]), SIDES[:1]
    ),
    "hypersurface_and_dual": lambda: plots.hypersurface_and_dual(
        PARTS, BOTH, [SQUARE], normals=True
    ),
    "hypersurfaces": lambda: plots.hypersurfaces(
        {title: {k: v for k, (v, _) in PARTS.items()} for title in ("paper", "reduced")}
    ),
    "border_diagram": plots.border_diagram,
    "isolation_diagram": plots.isolation_diagram,
    "margins": lambda: plots.margins(RNG.random(200), RNG.random(200) > 0.1, 1.4),
    "paths_and_losses": lambda: plots.paths_and_losses(
        {"local": PATH, "sgr": PATH / 2}, {"local": LOSS, "sgr": LOSS / 2}, step=0.01, top=(6, 1)
    ),
    "region_panels": lambda: plots.region_panels([REGIONS, REGIONS]),
    "similarity_maps": lambda: plots.similarity_maps({"one": MAP, "other": MAP.T}, "the first"),
    "step_timeline": lambda: plots.step_timeline(STEPS),
    "subdivisions": lambda: plots.subdivisions(
        {"coarse": SIDES, "fine": SIDES},
        {name: (place, (5, 5)) for name, place in zip("ABC", TRIANGLE, strict=True)},
    ),
    "support_direction": lambda: plots.support_direction(
        GENERATORS, np.array([True, True, False]), SQUARE, SQUARE[2], SQUARE[3]
    ),
    "update_timeline": lambda: plots.update_timeline(UPDATES, 1, 2),
    "zonotope_growth": lambda: plots.zonotope_growth(GENERATORS, GROWN, 3),
    "zonotope_growth: first": lambda: plots.zonotope_growth(GENERATORS, GROWN, 1),
}  # fmt: skip
