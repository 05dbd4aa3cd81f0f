"""Lineage as SVG within a page: of tables, and of columns, each a link to where it is described.

Belongs here: choosing what is near, and drawing it. Does not belong here: where boxes go (`layout.py`) and colours
(`style.css`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from atlas_pipeline.catalog.site.addresses import anchor_of
from atlas_pipeline.catalog.site.layout import Box, Edge, Layout, layered

_WIDTH, _HEIGHT, _ROW, _HEAD = 240, 46, 22, 34
_LETTERS, _HEAD_LETTERS = 24, 19
_MARGIN = 8


@dataclass(frozen=True)
class Node:
    """A table in a picture; `state` is the worst of its checks, as a class of the style."""

    key: str
    layer: str
    name: str
    href: str
    state: str
    note: str


@dataclass(frozen=True)
class Near:
    """What is near a table: keys, the edges between them, and how many tables are connected but left out."""

    keys: Sequence[str]
    edges: Sequence[Edge]
    left_out: int


class Lineage:
    """What is made from what: tables by key, or columns, each written as table, NUL, column."""

    def __init__(self, edges: Collection[Edge]):
        self.edges = sorted(set(edges))
        self.after = _adjacent(self.edges)
        self.before = _adjacent((end, start) for start, end in self.edges)


def near(key: str, lineage: Lineage, most: int) -> Near:
    """The tables that a table is made from, and those made from it, the nearest first.

    Args:
        key: of the table.
        lineage: of tables.
        most: how many to take.
    """
    order = [*_reached(key, lineage.before), *_reached(key, lineage.after)]
    order.sort(key=lambda step: step[0])
    keys = list(dict.fromkeys([key, *(other for _, other in order)]))
    chosen = set(keys[:most])
    edges = [(start, end) for start in keys[:most] for end in lineage.after.get(start, ()) if end in chosen]
    return Near(keys[:most], edges, len(keys) - len(chosen))


def _adjacent(edges: Iterable[Edge]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for start, end in edges:
        found.setdefault(start, []).append(end)
    return found


def _reached(key: str, following: Mapping[str, Sequence[str]]) -> list[tuple[int, str]]:
    """Keys with their distance, breadth first."""
    distances = {key: 0}
    queue = [key]
    for one in queue:
        for other in following.get(one, ()):
            if other not in distances:
                distances[other] = distances[one] + 1
                queue.append(other)
    return [(distance, other) for other, distance in distances.items() if other != key]


def near_columns(key: str, columns: Collection[str], lineage: Lineage, most: int) -> Near:
    """The tables whose columns a table's columns are made from, or that are made from them.

    Args:
        key: of the table.
        columns: its own.
        lineage: of columns.
        most: tables to take.
    """
    steps = {written(key, column): 0 for column in columns}
    for column in list(steps):
        for following in (lineage.before, lineage.after):
            for distance, other in _reached(column, following):
                steps[other] = min(distance, steps.get(other, distance))
    tables: dict[str, int] = {}
    for other, distance in steps.items():
        table = _table_of(other)
        tables[table] = min(distance, tables.get(table, distance))
    keys = sorted(tables, key=lambda table: (table != key, tables[table], table))
    chosen = set(keys[:most])
    edges = [
        (start, end)
        for start in sorted(steps)
        for end in lineage.after.get(start, ())
        if end in steps and {_table_of(start), _table_of(end)} <= chosen
    ]
    return Near(keys[:most], edges, len(keys) - len(chosen))


def written(key: str, column: str) -> str:
    """A column as an end of edges."""
    return f"{key}\0{column}"


def table_graph(nodes: Mapping[str, Node], edges: Sequence[Edge], focus: str | None, label: str) -> Markup:
    """A picture of tables and what is made from what.

    Args:
        nodes: the tables by key.
        edges: from each table to those that read it.
        focus: the table that it is about; null for none.
        label: what the picture is, for those who do not see it.
    """
    layout = layered(dict.fromkeys(nodes, (_WIDTH, _HEIGHT)), edges)
    lines = Markup().join(
        Markup('<path d="{}"/>').format(_route(edge, layout, lambda _, box: box.y + box.height / 2)) for edge in edges
    )
    boxes = Markup().join(_table(nodes[key], layout.boxes[key], key == focus) for key in sorted(nodes))
    return _picture(layout, label, lines, boxes)


def column_graph(
    nodes: Mapping[str, Node], edges: Sequence[Edge], focus: str, columns: Mapping[str, Sequence[str]], label: str
) -> Markup:
    """A picture of tables with those of their columns that are connected, and which is made from which.

    Args:
        nodes: the tables by key.
        edges: of columns, each written as table, NUL, column.
        focus: the table that it is about.
        columns: of each table, in their order.
        label: what the picture is, for those who do not see it.
    """
    used = {one for edge in edges for one in edge}
    rows = {key: [name for name in columns.get(key, ()) if written(key, name) in used] for key in nodes}
    places = {written(key, name): place for key, names in rows.items() for place, name in enumerate(names)}
    drawn = [edge for edge in edges if edge[0] in places and edge[1] in places]
    between = list(dict.fromkeys((_table_of(start), _table_of(end)) for start, end in drawn))
    sizes = {key: (_WIDTH, _HEAD + _ROW * len(names) + 6) for key, names in rows.items()}
    layout = layered(sizes, between)

    def middle(end: str, box: Box) -> float:
        return box.y + _HEAD + _ROW * (places[end] + 0.5)

    lines = Markup().join(
        Markup('<path data-from="{}" data-to="{}" d="{}"/>').format(
            _id(start), _id(end), _route((start, end), layout, middle)
        )
        for start, end in drawn
    )
    boxes = Markup().join(
        _with_columns(nodes[key], layout.boxes[key], key == focus, rows[key]) for key in sorted(nodes)
    )
    return _picture(layout, label, lines, boxes)


def _table_of(end: str) -> str:
    return end.partition("\0")[0]


def _id(end: str) -> str:
    return end.replace("\0", ":")


def _route(edge: Edge, layout: Layout, middle: Callable[[str, Box], float]) -> str:
    """A smooth line from the right of one box, through the places it passes, to the left of the other."""
    start, end = (layout.boxes[_table_of(one)] for one in edge)
    passes = layout.passes.get((_table_of(edge[0]), _table_of(edge[1])), ())
    first = (start.x + start.width, middle(edge[0], start))
    points = [first, *passes, (end.x, middle(edge[1], end))]
    drawn = [f"M{first[0] + _MARGIN:.0f} {first[1] + _MARGIN:.0f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        bend = (to_x - x) / 2
        drawn.append(
            f"C{x + bend + _MARGIN:.0f} {y + _MARGIN:.0f} {to_x - bend + _MARGIN:.0f} {to_y + _MARGIN:.0f} "
            f"{to_x + _MARGIN:.0f} {to_y + _MARGIN:.0f}"
        )
    return "".join(drawn)


def _picture(layout: Layout, label: str, lines: Markup, boxes: Markup) -> Markup:
    return Markup(
        '<svg class="graph" role="group" aria-label="{}" width="{:.0f}" height="{:.0f}">'
        '<g class="edges">{}</g><g class="nodes">{}</g></svg>'
    ).format(label, layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN, lines, boxes)


def _frame(node: Node, box: Box, focused: bool) -> Markup:
    return Markup(
        '<a href="{href}" class="node {layer}{focus}" transform="translate({x:.0f} {y:.0f})">'
        "<title>{key}: {note}</title>"
        '<rect class="box" width="{w:.0f}" height="{h:.0f}" rx="7"/>'
        '<rect class="band" x="0" y="8" width="3" height="{band:.0f}" rx="1.5"/>'
    ).format(
        href=node.href,
        layer=node.layer if node.layer in ("bronze", "silver", "gold") else "other",
        focus=" focus" if focused else "",
        x=box.x + _MARGIN,
        y=box.y + _MARGIN,
        key=node.key,
        note=node.note,
        w=box.width,
        h=box.height,
        band=box.height - 16,
    )


def _table(node: Node, box: Box, focused: bool) -> Markup:
    return _frame(node, box, focused) + Markup(
        '<text class="name" x="14" y="20">{}</text><text class="note" x="14" y="36">{} · {}</text>'
        '<circle class="{}" cx="{:.0f}" cy="16" r="4.5"/></a>'
    ).format(_short(node.name), node.layer, node.note, node.state, box.width - 14)


def _with_columns(node: Node, box: Box, focused: bool, names: Sequence[str]) -> Markup:
    head = _frame(node, box, focused) + Markup(
        '<text class="name" x="14" y="21">{}</text><text class="note end" x="{:.0f}" y="21">{}</text></a>'
    ).format(_short(node.name, _HEAD_LETTERS), box.width - 10, node.layer)
    rows = Markup().join(
        Markup(
            '<a href="{}#{}" class="column" data-column="{}" transform="translate({:.0f} {:.0f})">'
            '<title>{}.{}</title><rect width="{}" height="{}" rx="4"/><text x="10" y="15">{}</text></a>'
        ).format(
            node.href,
            anchor_of(name),
            _id(written(node.key, name)),
            box.x + _MARGIN + 4,
            box.y + _MARGIN + _HEAD + _ROW * place,
            node.key,
            name,
            _WIDTH - 8,
            _ROW - 1,
            _short(name),
        )
        for place, name in enumerate(names)
    )
    return head + rows


def _short(text: str, letters: int = _LETTERS) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
