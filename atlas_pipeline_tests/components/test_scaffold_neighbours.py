"""Small files of the kinds that go wrong, run whole: scaffolded on the first file, loaded with the next, read."""

import datetime as dt
import json
import math
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import create_defs_folder_sandbox
from psycopg import sql

from atlas_pipeline_tests import projects

DATASET = "atlas_pipeline.components.Dataset"
UTC = dt.UTC


@dataclass(frozen=True)
class Case:
    """Files in the order in which they come, what is said to the scaffold, the types it finds, the rows of silver."""

    files: dict[str, str | bytes]
    types: list[str]
    rows: list[tuple]
    said: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    seen: int = 1  # files that lie there when it is scaffolded


def parquet(**columns: Any) -> bytes:
    stream = BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


CASES = {
    "staff": Case(
        {"1.csv": "staff_no,room\n7,a\n8,b\n", "2.csv": "staff_no,room\n007,c\n9.0,d\n"},
        ["text", "text"],
        [("007", "c"), ("7", "a"), ("8", "b"), ("9.0", "d")],
        {"key": "staff_no"},
    ),
    "receipts": Case(
        {"1.csv": "receipt,n\n20230101,1\n20230102,2\n20230131,3\n", "2.csv": "receipt,n\n20230201,4\n"},
        ["text", "integer"],
        [("20230101", 1), ("20230102", 2), ("20230131", 3), ("20230201", 4)],
    ),
    "lots": Case(
        {"1.csv": "lot,n\n12E05,1\n1200000,2\n7e3,3\n", "2.csv": "lot,n\n12E5,4\n"},
        ["text", "integer"],
        [("1200000", 2), ("12E05", 1), ("12E5", 4), ("7e3", 3)],
    ),
    "swiss": Case(
        {"1.csv": "Kundennr;Betrag;Stichtag\n17;1'234.50;01.02.2024\n18;-12.25;29.02.2024\n"},
        ["text", "decimal", "date"],
        [("17", Decimal("1234.50"), dt.date(2024, 2, 1)), ("18", Decimal("-12.25"), dt.date(2024, 2, 29))],
        fields={"delimiter": ";", "thousands": "'"},
    ),
    "french": Case(
        {"1.csv": "numéro;libellé;réglé\n7;crème brûlée;oui\n8;pâté;non\n".encode("cp1252")},
        ["text", "text", "boolean"],
        [("7", "crème brûlée", True), ("8", "pâté", False)],
        fields={"delimiter": ";", "encoding": "cp1252", "booleans": ["oui", "non"]},
    ),
    "wide_text": Case(
        {"1.tsv": "qty\tcolour\n1\tröd\n2\tblå\n".encode("utf-16")},
        ["integer", "text"],
        [(1, "röd"), (2, "blå")],
    ),
    "totals": Case(
        {"1.csv": "Artikel;Menge\nSeil;3\nHaken;4\nSumme;7\n"},
        ["text", "integer"],
        [("Haken", 4), ("Seil", 3)],
        fields={"delimiter": ";", "footer": 1},
    ),
    "parcels": Case(
        {
            "1.jsonl": lines({"dock": "01234", "kg": 1.5, "ok": True}, {"dock": "1e1", "kg": 2, "ok": False}),
            "2.jsonl": lines({"dock": "1234", "kg": 2.25, "ok": True}),
        },
        ["text", "decimal", "boolean"],
        [("01234", Decimal("1.5"), True), ("1234", Decimal("2.25"), True), ("1e1", Decimal(2), False)],
    ),
    "vouchers": Case(
        {
            "1.jsonl": lines({"n": 1, "voucher": "x"}, {"n": 2}),
            "2.jsonl": lines({"n": 3}),
        },
        ["integer", "text"],
        [(1, "x"), (2, None), (3, None)],
    ),
    "twice": Case(
        {"1.jsonl": '{"n":1,"o":{"k":[{"a":1,"a":2}]}}\n{"n":2,"o":{"k":[]}}\n'},
        ["integer", "json"],
        [(2, {"k": []})],
    ),
    "maps": Case(
        {
            "1.parquet": parquet(
                n=pa.array([1, 2]), m=pa.array([[("a", 1), ("a", 2)], [("a", 3)]], pa.map_(pa.string(), pa.int64()))
            )
        },
        ["integer", "json"],
        [(2, {"a": 3})],
    ),
    "readings": Case(
        {
            "1.parquet": parquet(
                v=pa.array([1.5, -math.inf], pa.float32()),
                at=pa.array([dt.datetime(1600, 1, 1), dt.datetime(9999, 12, 31)], pa.timestamp("us")),
                p=pa.array([Decimal("1.10"), None], pa.decimal128(7, 2)),
            )
        },
        ["real", "local_timestamp", "decimal(7,2)"],
        [(-math.inf, dt.datetime(9999, 12, 31), None), (1.5, dt.datetime(1600, 1, 1), Decimal("1.10"))],
    ),
    "fixes": Case(
        {"1.csv": "fix,at\nA1,2024-10-27T02:30:00+02:00\nA2,2024-10-27T02:30:00+01:00\n"},
        ["text", "timestamp"],
        [
            ("A1", dt.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),
            ("A2", dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC)),
        ],
    ),
    "clocks": Case(
        {"1.csv": "fix,at\nA1,2024-03-31 02:30\nA2,0001-01-01 00:00\n"},
        ["text", "local_timestamp"],
        [("A1", dt.datetime(2024, 3, 31, 2, 30)), ("A2", dt.datetime(1, 1, 1))],
    ),
    "berlin": Case(
        {"1.csv": "fix,at\nA1,2024-07-01 02:30\nA2,2024-01-01 00:00\n"},
        ["text", "timestamp"],
        [
            ("A1", dt.datetime(2024, 7, 1, 0, 30, tzinfo=UTC)),
            ("A2", dt.datetime(2023, 12, 31, 23, 0, tzinfo=UTC)),
        ],
        {"timezone": "Europe/Berlin"},
        {"timezone": "Europe/Berlin"},
    ),
    "units": Case(
        {
            "1.csv": "probe;Masse;Preis\n;[kg];[EUR]\na;1,5;2,25\nb;2,25;3,50\n",
            "2.csv": "probe;Masse;Preis\n;[kg];[EUR]\nc;3,5;4\n",
        },
        ["text", "decimal", "decimal"],
        [
            ("a", Decimal("1.5"), Decimal("2.25")),
            ("b", Decimal("2.25"), Decimal("3.50")),
            ("c", Decimal("3.5"), Decimal(4)),
        ],
        fields={"delimiter": ";", "decimal": ",", "skip_below": 1},
    ),
    "exported_by_mysql": Case(
        {
            "1.csv": 'id,note,n\n1,"say \\"hi\\" now",5\n2,\\N,\\N\n',
            "2.csv": 'id,note,n\n3,"C:\\\\temp\\tx",7\n',
        },
        ["text", "text", "integer"],
        [("1", 'say "hi" now', 5), ("2", None, None), ("3", "C:\\temp\tx", 7)],
        fields={"escape": "\\"},
    ),
    "releases": Case(
        {"1.csv": "version,n\n1.1,1\n1.10,2\n2.0,3\n"},
        ["text", "integer"],
        [("1.1", 1), ("1.10", 2), ("2.0", 3)],
    ),
    "padded": Case(
        {
            "1.parquet": parquet(
                n=pa.array([1, 2, 3]), c=pa.array([b"Ulm\0\0\0", b"Bonn\0\0", b"\xff\0\0\0\0\0"], pa.binary(6))
            )
        },
        ["integer", "text"],
        [(1, "Ulm"), (2, "Bonn"), (3, "\\xff0000000000")],
    ),
    "kinds": Case(
        {"1.csv": "fault_code,flag\nT,Y\nF,N\nT,Y\n"},
        ["text", "boolean"],
        [("F", False), ("T", True), ("T", True)],
    ),
    "marks": Case(
        {"1.csv": "score,n\n1.1,1\n1.10,2\n2.5,3\n"},
        ["text", "integer"],
        [("1.1", 1), ("1.10", 2), ("2.5", 3)],
        {"key": "score"},
    ),
    "header_of_comments": Case(
        {"1.csv": "#ort_nr;Menge\n7;2,5\n8;3,25\n"},
        ["text", "decimal"],
        [("7", Decimal("2.5")), ("8", Decimal("3.25"))],
        fields={"delimiter": ";", "decimal": ",", "comment": None, "header": None},
    ),
    "above": Case(
        {
            "1.csv": "Erstellt am;01.02.2024\nBenutzer;Muster\n\nPosten;Preis\nTee;12,50 €\nTasse;3,20 €\n".encode(
                "cp1252"
            )
        },
        ["text", "text"],
        [("Tasse", "3,20 €"), ("Tee", "12,50 €")],
        fields={"delimiter": ";", "encoding": "cp1252", "skip_lines": 3},
    ),
    "trailer": Case(
        {"1.csv": "pos_nr,qty\n1,10\n2,20\nTRL,2\n"},
        ["text", "integer"],
        [("1", 10), ("2", 20)],
        fields={"footer": 1},
    ),
    "orders": Case(
        {"1.jsonl": lines({"o": 1, "items": [{"sku": "01"}, {"sku": "2"}]}, {"o": 2, "items": []})},
        ["integer", "integer", "text"],
        [(1, 1, "01"), (1, 2, "2")],
        {"explode": "items"},
    ),
    "scales": Case(
        {"1.csv": "g,v\n1,NaN\n2,-Infinity\n3,0.5\n"},
        ["integer", "float"],
        [(1, math.nan), (2, -math.inf), (3, 0.5)],
    ),
    "stock": Case(
        {
            "stock_1_a.csv": "id,n\n1,10\n2,11\n",
            "stock_1_b.csv": "id,n\n3,12\n4,13\n",
            "stock_2_a.csv": "id,n\n1,20\n2,11\n",
            "stock_2_b.csv": "id,n\n5,14\n",
        },
        ["text", "integer"],
        [("1", 20), ("2", 11), ("5", 14)],
        {"source": "stock/stock_{delivery}_*.csv"},
        {"mode": "snapshot", "skip_lines": None},
        seen=4,
    ),
}


@pytest.mark.slow
def test_what_is_loaded_is_what_the_source_says(atlas_env: Path, warehouse: psycopg.Connection) -> None:
    found = {}
    with create_defs_folder_sandbox() as sandbox:
        for name, case in CASES.items():
            folder = atlas_env / "landing" / name
            folder.mkdir(parents=True)
            for number, (file, content) in enumerate(case.files.items()):
                (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
                if number == case.seen - 1:
                    target = sandbox.defs_folder_path / name
                    params = json.dumps({"source": f"{name}/*"} | case.said)
                    scaffold_object(target, DATASET, params, "yaml", sandbox.project_root)
            found[name] = yaml.safe_load((target / "defs.yaml").read_text())["attributes"]
        job = projects.load(sandbox).resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            job.execute_in_process(instance=instance)
    wrong = []
    for name, case in CASES.items():
        columns = [column["name"] for column in found[name]["columns"]]
        chosen = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("SELECT {} FROM {} t ORDER BY t::text").format(chosen, sql.Identifier("silver", name))
        rows = warehouse.execute(statement).fetchall()
        types = [column["type"] for column in found[name]["columns"]]
        fields = {one: found[name].get(one) for one in case.fields}
        if (types, repr(sorted(rows, key=repr)), fields) != (
            case.types,
            repr(sorted(case.rows, key=repr)),
            case.fields,
        ):
            wrong.append((name, types, rows, fields))
    assert wrong == [], "\n".join(map(str, wrong))
