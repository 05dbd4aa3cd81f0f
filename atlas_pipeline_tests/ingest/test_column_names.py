"""Names of columns that are values about people, in any format: what is taken for one, and what becomes of it."""

import json
from io import BytesIO

import pytest

from atlas_pipeline.ingest.column_names import seems_personal
from atlas_pipeline.ingest.readers import ReadOptions, read
from atlas_pipeline.ingest.readers.csv_sniffer import sniff
from atlas_pipeline.ingest.readers.json_shape import Shape

PEOPLE = [
    "Anna Meier",
    "Karl-Heinz Huber",
    "Meier, Anna",
    "José Pérez",
    "Hauptstr. 5",
    "12 Main Street",
    "rue de Metz 4",
]
LABELS = [
    "First Name",
    "Max Temp",
    "Gene Name",
    "Jean Size",
    "Virginia Pop",
    "Sydney Store",
    "Street 1",
    "Address 2",
    "Martin Ratio",
    "2024-01",
]


@pytest.mark.parametrize("name", PEOPLE)
def test_full_names_and_addresses_seem_personal(name: str) -> None:
    assert seems_personal(name)


@pytest.mark.parametrize("name", LABELS)
def test_labels_with_a_name_in_them_do_not(name: str) -> None:
    assert not seems_personal(name)


HEADLESS = [
    ("ada@mail.example\nbo@mail.example\n", False),
    ("DE89370400440532013000,Meier\nDE02120300000000202051,Huber\n", False),
    ("078-05-1120,x\n219-09-9999,y\n", False),
    ("Hauptstr. 5;10115\nRingweg 7;53111\n", False),
    ("Anna Meier;12\nKarl Huber;13\n", False),
    ("Anna Meier\nKarl Huber\nEva Moser\n", None),
    ("10.1.2.3 x\n10.1.2.4 y\n", False),
    ("invoice\n4711\n4712\n", True),
    ("note\nhello\nworld\n", True),
]


@pytest.mark.parametrize(("text", "header"), HEADLESS)
def test_a_first_row_of_people_is_none_of_names(text: str, header: bool | None) -> None:
    found = sniff(text.encode(), whole=True)
    assert (not found.options.names, found.header_in_doubt) == (header is not False, header is None)


@pytest.mark.parametrize("key", ["ada@mail.example", "Anna Meier", "+49 30 55501000"])
@pytest.mark.parametrize("shape", [Shape(flatten=True), Shape(flatten=True, explode="items")])
def test_objects_whose_keys_are_people_stay_objects(key: str, shape: Shape) -> None:
    row = {"id": 1, "by": {key: 3}, "items": [{key: 4}]}
    data = (json.dumps(row, ensure_ascii=False) + "\n").encode()
    (batch,) = read(BytesIO(data), "a.jsonl", options=ReadOptions(shape=shape))
    assert not any(part in name for name in batch.columns for part in ("ada", "Anna", "55501000"))
    assert batch.rows["by"].to_pylist() == [json.dumps({key: 3}, ensure_ascii=False, separators=(",", ":"))]


def test_the_position_of_an_item_is_a_number() -> None:
    data = b'{"o":1,"items":[{"s":"a"},{"s":"b"}]}\n'
    (batch,) = read(BytesIO(data), "a.jsonl", options=ReadOptions(shape=Shape(explode="items")))
    assert batch.rows["items_index"].to_pylist() == ["1", "2"]
    assert (batch.types or {})["items_index"] == (batch.types or {})["o"]
