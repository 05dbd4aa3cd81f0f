"""Where the boxes of a graph go: left to right in layers, few crossings, near to what they are connected with.

Belongs here: coordinates. Does not belong here: what is drawn (`graphs.py`). The method is that of Sugiyama, Tagawa and
Toda (1981): layers by the longest path, order by barycentres, then positions, here by isotonic regression.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Node = str | tuple[str, str, int]
"""A box by its key, or a place that a long edge passes."""
Edge = tuple[str, str]
_SWEEPS = 6
_ROUNDS = 12
_MOST_PASSES = 3000
"""Places that long edges pass, at most: beyond, they are drawn straight."""


@dataclass(frozen=True)
class Box:
    """A box in pixels; `x` and `y` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Boxes by key, the points that each edge passes between its two boxes, and the size of all."""

    boxes: Mapping[str, Box]
    passes: Mapping[Edge, Sequence[tuple[float, float]]]
    width: float
    height: float


def layered(
    sizes: Mapping[str, tuple[float, float]], edges: Collection[Edge], gap: tuple[float, float] = (64, 18)
) -> Layout:
    """Lay a graph out. Edges in circles are let go backwards.

    Args:
        sizes: width and height of each box, by key.
        edges: from the left box to the right one.
        gap: pixels between layers, and between boxes of one layer.
    """
    kept = _without_circles(sorted(sizes), [edge for edge in edges if edge[0] != edge[1]])
    ranks = _ranks(sorted(sizes), kept)
    layers, segments, chains = _layers(ranks, kept)
    layers = _ordered(layers, segments)
    heights: dict[Node, float] = {
        node: sizes[node][1] if isinstance(node, str) else 0 for layer in layers for node in layer
    }
    centres = _centres(layers, segments, heights, gap[1])
    boxes: dict[str, Box] = {}
    middles: dict[Node, float] = {}
    x = 0.0
    for layer in layers:
        width = max((sizes[node][0] for node in layer if isinstance(node, str)), default=0)
        for node in layer:
            middles[node] = x + width / 2
            if isinstance(node, str):
                boxes[node] = Box(x, centres[node] - sizes[node][1] / 2, *sizes[node])
        x += width + gap[0]
    passes = {edge: [(middles[node], centres[node]) for node in chain] for edge, chain in chains.items()}
    bottom = max((box.y + box.height for box in boxes.values()), default=0)
    lowest = max((y for points in passes.values() for _, y in points), default=0)
    return Layout(boxes, passes, max(x - gap[0], 0), max(bottom, lowest))


def _without_circles(nodes: Sequence[str], edges: Collection[Edge]) -> list[Edge]:
    """The edges that close no circle, found by a depth-first search without recursion."""
    following: dict[str, list[str]] = {node: [] for node in nodes}
    for one, other in sorted(set(edges)):
        following[one].append(other)
    kept: list[Edge] = []
    done: set[str] = set()
    for root in nodes:
        if root in done:
            continue
        path, walk = {root}, [(root, iter(following[root]))]
        while walk:
            node, rest = walk[-1]
            end = next(rest, None)
            if end is None:
                walk.pop()
                path.discard(node)
                done.add(node)
            elif end not in path:
                kept.append((node, end))
                if end not in done:
                    path.add(end)
                    walk.append((end, iter(following[end])))
    return kept


def _ranks(nodes: Sequence[str], edges: Collection[Edge]) -> dict[str, int]:
    """The layer of each box: after all that lead to it; what nothing leads to stands just before its first reader."""
    before: dict[str, list[str]] = {node: [] for node in nodes}
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        after[start].append(end)
        before[end].append(start)
    waiting = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    ranks = dict.fromkeys(nodes, 0)
    for node in ready:
        for end in after[node]:
            ranks[end] = max(ranks[end], ranks[node] + 1)
            waiting[end] -= 1
            if not waiting[end]:
                ready.append(end)
    for node in nodes:
        if after[node] and not before[node]:
            ranks[node] = min(ranks[end] for end in after[node]) - 1
    return ranks


def _layers(
    ranks: Mapping[str, int], edges: Collection[Edge]
) -> tuple[list[list[Node]], list[tuple[Node, Node]], dict[Edge, list[Node]]]:
    """The nodes of each layer, the pieces of edges between neighbouring layers, and the places each edge passes."""
    layers: list[list[Node]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for key, rank in ranks.items():
        layers[rank].append(key)
    needed = sum(max(ranks[end] - ranks[start] - 1, 0) for start, end in edges)
    segments: list[tuple[Node, Node]] = []
    chains: dict[Edge, list[Node]] = {}
    for start, end in edges:
        between = range(ranks[start] + 1, ranks[end]) if needed <= _MOST_PASSES else range(0)
        chain: list[Node] = [(start, end, rank) for rank in between]
        for rank, node in zip(between, chain, strict=True):
            layers[rank].append(node)
        chains[start, end] = chain
        if chain or ranks[end] == ranks[start] + 1:
            segments += pairwise([start, *chain, end])
    return layers, segments, chains


def _ordered(layers: list[list[Node]], segments: Collection[tuple[Node, Node]]) -> list[list[Node]]:
    """The layers with each node at the barycentre of its neighbours, swept to and fro; the best sweep counts."""
    before, after = _neighbours(segments)
    best, fewest = layers, _crossings(layers, segments)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 0
        places = {node: place for layer in layers for place, node in enumerate(layer)}
        swept: list[list[Node]] = []
        for layer in layers if forward else layers[::-1]:
            near = before if forward else after
            means = {node: _mean([places[other] for other in near.get(node, ())], places[node]) for node in layer}
            ordered = sorted(layer, key=lambda node: means[node])
            places |= {node: place for place, node in enumerate(ordered)}
            swept.append(ordered)
        layers = swept if forward else swept[::-1]
        crossings = _crossings(layers, segments)
        if crossings < fewest:
            best, fewest = layers, crossings
    return best


def _neighbours(
    segments: Collection[tuple[Node, Node]],
) -> tuple[dict[Node, list[Node]], dict[Node, list[Node]]]:
    before: dict[Node, list[Node]] = {}
    after: dict[Node, list[Node]] = {}
    for start, end in segments:
        after.setdefault(start, []).append(end)
        before.setdefault(end, []).append(start)
    return before, after


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(layers: Sequence[Sequence[Node]], segments: Collection[tuple[Node, Node]]) -> int:
    """How often pieces of edges cross, counted by a binary indexed tree for each pair of layers."""
    places = {node: place for layer in layers for place, node in enumerate(layer)}
    ranks = {node: rank for rank, layer in enumerate(layers) for node in layer}
    between: dict[int, list[tuple[int, int]]] = {}
    for start, end in segments:
        between.setdefault(ranks[start], []).append((places[start], places[end]))
    total = 0
    for rank, pairs in between.items():
        size = len(layers[rank + 1])
        tree = [0] * (size + 1)
        for seen, (_, place) in enumerate(sorted(pairs)):
            total += seen - sum(tree[index] for index in _down(place + 1))
            for index in _up(place + 1, size):
                tree[index] += 1
    return total


def _down(index: int) -> Iterator[int]:
    while index > 0:
        yield index
        index -= index & -index


def _up(index: int, size: int) -> Iterator[int]:
    while index <= size:
        yield index
        index += index & -index


def _centres(
    layers: Sequence[Sequence[Node]],
    segments: Collection[tuple[Node, Node]],
    heights: Mapping[Node, float],
    gap: float,
) -> dict[Node, float]:
    """The middle of each node from the top: as near to its neighbours as the order and the gaps allow."""
    before, after = _neighbours(segments)
    centres: dict[Node, float] = {}
    for layer in layers:
        y = 0.0
        for node in layer:
            centres[node] = y + heights[node] / 2
            y += heights[node] + gap
    for step in range(_ROUNDS):
        for layer in layers if step % 2 == 0 else layers[::-1]:
            wanted = [
                _mean([centres[other] for other in (*before.get(node, ()), *after.get(node, ()))], centres[node])
                for node in layer
            ]
            centres |= zip(layer, _apart(wanted, [heights[node] for node in layer], gap), strict=True)
    top = min((centres[node] - heights[node] / 2 for node in centres), default=0)
    return {node: centre - top for node, centre in centres.items()}


def _apart(wanted: Sequence[float], heights: Sequence[float], gap: float) -> list[float]:
    """The positions nearest to the wanted ones that keep order and gaps: pooled adjacent violators."""
    offsets = [0.0]
    for one, other in pairwise(heights):
        offsets.append(offsets[-1] + (one + other) / 2 + gap)
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            total, count = total + blocks[-1][0], count + blocks[-1][1]
            blocks.pop()
        blocks.append((total, count))
    means = [total / count for total, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]
