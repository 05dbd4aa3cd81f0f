"""Where boxes of a graph go: none on another, sources to the left of what is made from them, and few crossings."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.catalog.site.layout import Box, Layout, layered

NAMES = [f"n{number}" for number in range(12)]
EDGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=40)
SIZES = st.lists(st.integers(20, 300), min_size=len(NAMES), max_size=len(NAMES))


def apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return beside or one.y + one.height <= other.y + 1e-6 or other.y + other.height <= one.y + 1e-6


@given(EDGES, SIZES)
def test_no_box_lies_on_another_whatever_the_edges(edges: list[tuple[str, str]], heights: list[int]) -> None:
    found = layered({name: (100, height) for name, height in zip(NAMES, heights, strict=True)}, edges)
    assert set(found.boxes) == set(NAMES)
    assert all(apart(one, other) for one, other in combinations(found.boxes.values(), 2))
    for box in found.boxes.values():
        assert box.x >= 0
        assert box.y >= -1e-6
        assert box.x + box.width <= found.width
        assert box.y + box.height <= found.height + 1e-6


@given(EDGES)
def test_what_is_made_from_a_box_is_to_its_right(edges: list[tuple[str, str]]) -> None:
    """Edges from a lower to a higher number make no circle."""
    forward = [(start, end) for start, end in edges if int(start[1:]) < int(end[1:])]
    found = layered(dict.fromkeys(NAMES, (100, 40)), forward)
    for start, end in forward:
        assert found.boxes[start].x + found.boxes[start].width < found.boxes[end].x


@given(EDGES)
def test_the_same_graph_looks_the_same(edges: list[tuple[str, str]]) -> None:
    sizes = dict.fromkeys(NAMES, (100, 40))
    assert layered(sizes, edges) == layered(dict(reversed(sizes.items())), edges[::-1])


def test_a_long_edge_passes_beside_the_boxes_between() -> None:
    found = layered(dict.fromkeys("abc", (100, 40)), [("a", "b"), ("b", "c"), ("a", "c")])
    [(_, y)] = found.passes["a", "c"]
    assert not found.boxes["b"].y < y < found.boxes["b"].y + 40


def test_two_pairs_do_not_cross() -> None:
    found = layered(dict.fromkeys(["a1", "a2", "b1", "b2"], (100, 40)), [("a1", "b2"), ("a2", "b1")])
    assert (found.boxes["a1"].y < found.boxes["a2"].y) == (found.boxes["b2"].y < found.boxes["b1"].y)


def test_a_source_stands_just_before_its_first_reader() -> None:
    found = layered(dict.fromkeys("abcd", (100, 40)), [("a", "b"), ("b", "c"), ("d", "c")])
    assert found.boxes["d"].x == found.boxes["b"].x


def test_a_graph_without_boxes() -> None:
    assert layered({}, []) == Layout({}, {}, 0, 0)


def test_every_table_reads_all_before_it() -> None:
    """Some 20,000 places that long edges would pass: they are drawn straight."""
    names = [f"n{number:03}" for number in range(120)]
    edges = list(combinations(names, 2))
    found = layered(dict.fromkeys(names, (100, 40)), edges)
    assert all(found.boxes[start].x < found.boxes[end].x for start, end in edges)
