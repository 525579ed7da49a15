"""Random graphs as the structure of recurrent networks, their properties, and their accuracies.

A node is a unit, and unit j hears unit i, one time step later, if there is an arc from i to j. The
accuracies are recorded with properties of the graph, and with those of a second network on the same
graph: what two such networks do not share, no property of the graph can explain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from localbook import neighbours
from localbook.arrays import Indices, Masks, Row
from localbook.errors import ConfigError
from localbook.experiments.harness import Experiment, Job, Samples, each_seed

sparse = neighbours.sparse_rnn
KINDS = ("barabasi-albert", "watts-strogatz")


def random_graph(kind: str, n: int, seed: int) -> Masks:
    """Return a connected random graph (n, n) whose arcs lead from nodes to later ones.

    Barabási-Albert graphs with ⌊n/10⌋ edges for each new node, and Watts-Strogatz graphs with ⌊n/5⌋
    neighbours of which all are rewired, as in the paper.
    """
    if kind not in KINDS or n < 10:
        raise ConfigError(f"kind={kind!r}, n={n}: give {' or '.join(KINDS)}, and n of 10 or more.")
    if kind == KINDS[0]:
        graph = nx.barabasi_albert_graph(n, n // 10, seed=seed)
    else:
        graph = nx.connected_watts_strogatz_graph(n, n // 5, 1.0, tries=10_000, seed=seed)
    arcs: Masks = np.triu(nx.to_numpy_array(graph, nodelist=range(n)) > 0)
    return arcs


def depths(graph: Masks) -> Indices:
    """Return the layer of each node (n,): the length of the longest path that ends in it."""
    found = np.zeros(len(graph), dtype=np.intp)
    for node in range(len(graph)):
        found[node] = (1 + found[graph[:, node]]).max(initial=0)
    return found


def properties(graph: Masks) -> dict[str, float]:
    """Return what a graph looks like: sizes, distances, and centralities by mean and deviation."""
    g = nx.from_numpy_array(graph | graph.T)
    by_node: Mapping[str, Mapping[Any, float]] = {
        "degree": dict(g.degree),
        "eccentricity": nx.eccentricity(g),
        "closeness": nx.closeness_centrality(g),
        "betweenness": nx.betweenness_centrality(g),
        "edge_betweenness": nx.edge_betweenness_centrality(g),
    }
    found = {
        "nodes": len(g),
        "edges": g.number_of_edges(),
        "layers": depths(graph).max() + 1,
        "sources": (~graph.any(axis=0)).sum(),
        "sinks": (~graph.any(axis=1)).sum(),
        "density": nx.density(g),
        "diameter": nx.diameter(g),
        "path_length": nx.average_shortest_path_length(g),
    }
    for name, numbers in by_node.items():
        values = np.array(list(numbers.values()), dtype=float)
        found |= {f"{name}_mean": values.mean(), f"{name}_spread": values.std()}
    return {name: round(float(value), 5) for name, value in found.items()}


def wired(
    cell: str, graph: Masks, seed: int, *, embedding: int = 32
) -> tuple[Any, dict[Any, Tensor]]:
    """Return a network with a unit for each node, and the masks of what the arcs allow.

    Units hear those with an arc to them, those of their own depth, and themselves; nodes without an
    arc into them hear the letters; those without one that leaves are read out, as many blanks after
    the last letter as the longest path has arcs.
    """
    depth, arcs = depths(graph), torch.from_numpy(graph.T.copy())  # (to, from)
    net = sparse.Network(cell, len(graph), seed, embedding=embedding, wait=int(depth.max()))
    layer = torch.from_numpy(depth)
    (w_ih,), (w_hh,) = net.matrices("input"), net.matrices("recurrent")
    gates = len(w_hh) // len(graph)
    return net, {
        w_ih: (~arcs.any(1)[:, None]).expand(-1, embedding).repeat(gates, 1),
        w_hh: (arcs | (layer[:, None] == layer)).repeat(gates, 1),
        net.read.weight: ~arcs.any(0).repeat(2, 1),
    }


@dataclass(frozen=True)
class Structures:
    """Networks of random graphs, one graph a seed, on the strings of seed 0.

    Attributes
    ----------
    seeds, methods
        How many graphs, both kinds in turn, and which cells.
    nodes : tuple of int
        The fewest and the most.
    longest, train, test : int
        Letters of a string, and strings; any edit makes a wrong one.
    epochs, batch_size, lr
    every : int
        One graph in so many is trained from a second start, too.
    """

    seeds: int = 48
    methods: tuple[str, ...] = ("gru", "tanh", "lstm")
    nodes: tuple[int, int] = (10, 50)
    longest: int = 20
    train: int = 1000
    test: int = 800
    epochs: int = 30
    batch_size: int = 64
    lr: float = 0.02
    every: int = 3


def draw(setting: Structures, seed: int) -> Mapping[str, Samples]:
    """Return the same strings for all graphs."""
    counts = {"train": setting.train, "test": setting.test}
    return sparse.draw(counts, setting.longest, 0, hard=False)


def measured(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train a graph's network, some from two starts."""
    s: Structures = job.setting
    low, high = s.nodes
    kind, n = KINDS[seed % 2], int(np.random.default_rng([seed, 1]).integers(low, high + 1))
    graph = random_graph(kind, n, seed)
    splits, found = job.splits(seed), {}
    starts = {"test_accuracy": 2 * seed} | ({} if seed % s.every else {"again": 2 * seed + 1})
    for name, start in starts.items():
        net, kept = wired(job.method, graph, start)
        how: Row = {"epochs": s.epochs, "batch_size": s.batch_size, "lr": s.lr, "seed": start}
        found[name] = sparse.train(net, splits["train"], splits["test"], kept=kept, **how)[-1]
    return found | {"kind": kind, **properties(graph)}, []


RANDOM_STRUCTURES = Experiment(
    {
        "quick": Structures(seeds=4, nodes=(10, 12), train=400, test=200, epochs=2),
        "cpu": Structures(),
    },
    each_seed(measured),
    draw=draw,
)
"""At ``cpu`` 48 graphs, a third of them trained twice."""
