"""Located YAML: the line of every value, what is refused, and that nothing but the document's own error comes out."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from atlas_pipeline.documents.faults import DocumentError, Fault
from atlas_pipeline.documents.located import Document, Kind, read, read_if_any


class NoteError(DocumentError):
    """What is wrong with a note."""


NOTE = Kind("a note", NoteError, most_bytes=2048, most_values=200, deepest=10)
PLAIN = Kind("a note", NoteError, most_bytes=2048, most_values=200, deepest=10, merges=False, dates=False)


def written(folder: Path, text: str | bytes, kind: Kind = NOTE) -> Document:
    """A document with this text."""
    path = folder / "note.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path, kind)


def test_every_key_and_entry_has_its_line(tmp_path: Path) -> None:
    found = written(tmp_path, "a:\n  b: 1\n  c:\n    - x\n    - {d: 2,\n       e: 3}\n")
    assert found.data == {"a": {"b": 1, "c": ["x", {"d": 2, "e": 3}]}}
    assert found.lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
        ("a", "c", 1, "e"): 6,
    }
    assert (found.line(("a", "c", 7, "z")), found.line(())) == (3, 1)


def test_merges_and_dates_are_read_where_the_kind_has_them(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: 2024-01-31\n"
    found = written(tmp_path, text)
    assert found.data["b"] == {"y": 3, "x": 1}
    assert (found.line(("b", "x")), found.line(("b", "y"))) == (1, 4)
    assert found.data["c"].isoformat() == "2024-01-31"
    plain = written(tmp_path, text, PLAIN).data
    assert plain["b"] == {"<<": {"x": 1, "y": 2}, "y": 3}
    assert plain["c"] == "2024-01-31"


def test_faults_are_listed_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = written(tmp_path, "a: 1\nb: !odd x\nb: 2\nc: 3\n")
    faults = [Fault("too large", ("c",)), Fault("too small", ("a",)), Fault("too small", ("a",)), Fault("gone", ("b",))]
    with pytest.raises(NoteError) as caught:
        found.refuse(faults)
    path = tmp_path / "note.yaml"
    assert str(caught.value).split("\n") == [
        f"{path}:1: too small",
        f"{path}:2: not valid YAML: the tag !odd has no meaning here",
        f"{path}:3: duplicate key 'b': expected it once",
        f"{path}:4: too large",
    ]
    written(tmp_path, "a: 1\n").refuse()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", "2: not valid YAML: "),
        ("a:\n\t- b\n", "2: not valid YAML: found a tab, expected spaces"),
        (b"a: \xff\n", "1: not valid YAML: byte 0xff is not UTF-8"),
        ("[" * 11, "1: nested too deep: this is not a note"),
        ("a: [" + "1," * 300 + "]", "1: too many values, or nested too deep: this is not a note"),
        ("#" * 3000, "1: more than 2 KiB: this is not a note"),
        ("%YAML 1.1\n---\na: 1\n", "1: remove the line %YAML: a note is YAML 1.2"),
    ],
)
def test_what_is_not_such_a_document(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(NoteError) as caught:
        written(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'note.yaml'}:{message}")


def test_merges_that_multiply_are_stopped(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 9))]
    with pytest.raises(NoteError, match="too many values"):
        written(tmp_path, "\n".join(lines))


def test_a_number_too_long_to_print_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(NoteError, match=r"1: not valid YAML: this cannot be read as int$"):
        written(tmp_path, f"a: 0x{'f' * 1000}\n").refuse()


def test_only_a_missing_file_is_none(tmp_path: Path) -> None:
    assert read_if_any(tmp_path / "none.yaml", NOTE) is None
    with pytest.raises(NoteError, match=r"none.yaml:1: cannot be read: No such file or directory$"):
        read(tmp_path / "none.yaml", NOTE)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "none.yaml")
    for path in (tmp_path, tmp_path / "link.yaml", Path("a\0b")):
        with pytest.raises(NoteError, match=":1: cannot be read: "):
            read_if_any(path, NOTE)


def places(data: Any, place: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    """Every place in plain data but the root."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    inside = [((*place, key), value) for key, value in items]
    return {at for at, _ in inside}.union(*(places(value, at) for at, value in inside))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.binary(max_size=200),
        st.text("-:[]{}&*!?|>%@\"'# \n\tab0.e~<", max_size=100).map(str.encode),
        st.lists(st.sampled_from(["a: ", "- ", "\n", "  ", "&a ", "*a", "<<: ", "{", "}", "[", "]", ",", "1"])).map(
            lambda parts: "".join(parts).encode()
        ),
    ),
    kind=st.sampled_from([NOTE, PLAIN]),
)
@example(text=b"a: &a {<<: *a}", kind=NOTE)
def test_any_bytes_are_read_or_refused_and_every_place_has_a_line(tmp_path: Path, text: bytes, kind: Kind) -> None:
    try:
        found = written(tmp_path, text, kind)
    except NoteError as error:
        assert str(error).startswith(f"{tmp_path / 'note.yaml'}:")  # noqa: PT017 — either outcome is right
        return
    assert places(found.data) <= found.lines.keys()
    assert all(1 <= line <= found.text.count("\n") + 1 for line in found.lines.values())
