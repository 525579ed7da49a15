"""Other people's libraries beside this one, on the same networks and generators.

They are no dependencies: ZonoOpt comes from the package index, and edge subdivision is a folder of
Python files, cloned from github.com/arturs-berzins/relu_edge_subdivision and named by PYTHONPATH.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from localbook.arrays import Floats
from localbook.benchmarks.geometry.networks import BOX, name, network
from localbook.benchmarks.harness import Meter, Row, counted, timed
from localbook.errors import ConfigError
from localbook.tropical import ReLUNetwork, Zonotope, decision_boundary, linear_regions

NETWORKS: tuple[tuple[int, ...], ...] = ((2, 16, 2), (2, 64, 2), (2, 256, 2), (2, 32, 32, 32, 2))
GENERATORS: tuple[tuple[int, int], ...] = ((2, 10), (2, 100), (3, 10), (3, 20))
_HOW = {
    "zonoopt": "install it (`pip install zonoopt`)",
    "edge_subdivision": (
        "clone github.com/arturs-berzins/relu_edge_subdivision and name its folder in PYTHONPATH"
    ),
}


def measure(
    meter: Meter,
    networks: tuple[tuple[int, ...], ...] = NETWORKS,
    generators: tuple[tuple[int, int], ...] = GENERATORS,
) -> Iterator[Row]:
    """Yield times and counts: regions with the boundary, and vertices of zonotopes.

    Edge subdivision finds the whole complex, so it is timed beside regions and boundary together;
    it computes in single precision. What a peer misses shows as another count.
    """
    subdivision, zonoopt = _peer("edge_subdivision"), _peer("zonoopt")
    for widths in networks:
        net, size, peer = network(widths), name(widths), "edge subdivision"
        both, complex_of = partial(_regions_and_boundary, net), _complex(subdivision, net)
        times = meter.compare({"own": both, "other": complex_of})
        yield timed("regions and boundary", size, times["own"], peer, times["other"])
        (regions, segments), (vertices, edges, on_boundary) = both(), complex_of()
        by_euler = edges - vertices + 1
        cut = regions + segments  # a segment of the boundary cuts its region in two
        yield counted("cells", size, "regions and cuts", cut, peer, by_euler)
        yield counted("boundary", size, "segments", segments, peer, on_boundary)
    for dimension, count in generators:
        drawn = np.random.default_rng(0).normal(size=(count, dimension))
        own, other, peer = partial(_vertices, drawn), _zonoopt_vertices(zonoopt, drawn), "ZonoOpt"
        size = f"{count} generators in R^{dimension}"
        times = meter.compare({"own": own, "other": other})
        yield timed("zonotope's vertices", size, times["own"], peer, times["other"])
        yield counted("zonotope", size, "vertices", len(own()), peer, len(other()))


def _peer(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise ConfigError(f"the benchmark peers needs {module}: {_HOW[module]}.") from None


def _regions_and_boundary(net: ReLUNetwork) -> tuple[int, int]:
    return len(linear_regions(net, BOX)), len(decision_boundary(net, BOX).segments)


def _complex(peer: ModuleType, net: ReLUNetwork) -> Callable[[], tuple[int, int, int]]:
    """Return what finds the numbers of vertices, edges, and edges on the boundary."""
    import torch

    from_numpy = partial(torch.tensor, dtype=torch.float32)
    *hidden, last = zip(net.weights, net.biases, strict=True)
    # The two scores' difference is the one output, whose zeros it looks for as a neuron's.
    stack = [*hidden, (last[0][:1] - last[0][1:], last[1][:1] - last[1][1:])]

    class Net(torch.nn.Module):
        """What the peer reads: widths ``ks``, layers ``ls``, all neurons' values of a block."""

        def __init__(self) -> None:
            super().__init__()
            self.ks = [stack[0][0].shape[1], *(len(weight) for weight, _ in stack)]
            self.ls = list(range(1, len(self.ks)))
            self.layers = [tuple(from_numpy(x) for x in layer) for layer in stack]

        def eval_block(self, x: Any, device: Any = None) -> Any:
            values = []
            for weight, bias in self.layers:
                values.append(x @ weight.T + bias)
                x = values[-1].relu()
            return torch.hstack(values)

    @torch.no_grad()
    def run() -> tuple[int, int, int]:
        call = {"bbox": BOX[0], "device": torch.device("cpu"), "verbose": False}
        vertices, edges, signs = peer.skeletal_subdivision(Net(), **call)
        on = (peer.get_e_sv(signs, edges)[:, -1] == 0).sum()
        return len(vertices), len(edges), int(on)

    return run


def _vertices(generators: Floats) -> Floats:
    return Zonotope(generators, np.zeros(generators.shape[1])).vertices()


def _zonoopt_vertices(peer: ModuleType, generators: Floats) -> Callable[[], Floats]:
    from scipy.sparse import csc_matrix

    made = peer.Zono(csc_matrix(generators.T), np.zeros(generators.shape[1]))
    return lambda: np.asarray(peer.get_vertices(made))
