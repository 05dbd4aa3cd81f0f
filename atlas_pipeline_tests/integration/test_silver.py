"""Bronze and silver end with exactly the right rows: once each, the latest of a key, whatever order they came in."""

import gzip
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.silver import Published, SilverBuild, Staged, build_silver
from atlas_pipeline.ingest.sources import SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.ingest.sources.postgres import TableSource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse import publish
from atlas_pipeline.warehouse.publish import TableBusy
from atlas_pipeline_tests.builds import fails, holds

COLUMNS = {"id": "integer", "value": "text", "at": "timestamp"}
HEADER = "id,value,at\n"


def statuses(result: bronze.BronzeResult) -> list[str]:
    return [file.status for file in result.files]


# The same file again.


def test_the_same_files_again_change_nothing(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",), latest_by="at")
    feed.land("a.csv", HEADER + "1,x,2024-01-01\nbad,y,2024-01-01\n2\n")
    first = feed.run()
    state = feed.rows(), feed.quarantine(), feed.ledger("file_id, uri, status, silver_at"), publication(feed)
    assert first.published.changed
    again = feed.load()
    assert (again.files, len(again.known), again.total_rows) == ([], 1, 2)
    result = feed.build()
    assert (result.rebuilt, result.staged.typed.read, result.published) == (False, 0, Published(1, 2, changed=False))
    assert state == (
        feed.rows(),
        feed.quarantine(),
        feed.ledger("file_id, uri, status, silver_at"),
        publication(feed),
    )


def publication(feed: Any) -> list[tuple]:
    return feed.query("SELECT name, rows, quarantined, published_at, definition FROM atlas.publications")


def test_a_touched_file_is_no_new_rows_and_a_copy_of_other_name_is_a_file_of_its_own(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, source="**/*")
    path = feed.land("a.csv", HEADER + "1,x,2024-01-01\n1,x,2024-01-01\n")
    feed.run()
    os.utime(path, (1, 1))
    shutil.copy(path, feed.land("copy of a.csv", ""))
    shutil.copy(path, feed.land("other folder/a.csv", ""))
    assert statuses(feed.load()) == ["duplicate", "loaded", "loaded"]
    feed.build()
    assert len(feed.rows()) == 6, "no key: both rows of each file are kept"
    assert len(feed.load().known) == 3


def test_a_changed_file_of_the_same_name_takes_the_place_of_what_it_was(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,old,\n2,old,\n")
    feed.run()
    feed.land("a.csv", HEADER + "2,new,\n3,new,\n")
    assert statuses(feed.load()) == ["loaded"]
    feed.build()
    assert feed.rows(columns=["id", "value"]) == [(2, "new"), (3, "new")]
    assert len(feed.rows("bronze")) == 4, "bronze keeps what it was"


def test_other_bytes_of_the_same_rows_are_other_content(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    content = (HEADER + "1,x,\n").encode()
    feed.land("a.csv", content)
    feed.land("b.csv.gz", gzip.compress(content))
    assert statuses(feed.load()) == ["loaded", "loaded"]
    feed.build()
    assert len(feed.rows()) == 1


def test_a_file_still_being_written_is_left_alone(make_feed: Any) -> None:
    feed = make_feed(COLUMNS)
    path = feed.land("a.csv", HEADER + "1,x,\n")
    assert feed.load(settle_seconds=3600).unsettled == 1
    os.utime(path, (1, 1))
    assert statuses(feed.load(settle_seconds=3600)) == ["loaded"]


def test_a_file_that_grows_while_it_is_read_is_not_loaded_by_half(make_feed: Any) -> None:
    feed = make_feed(COLUMNS)
    path = feed.land("a.csv", HEADER + "1,x,\n")
    listed = feed.dataset.source.list(feed.settings)
    with path.open("a") as file:
        file.write("2,y,\n")
    result = bronze.load(feed.connection, "things", listed, run_id="test")
    assert [(one.status, one.rows) for one in result.files] == [("unavailable", 0)]
    assert statuses(feed.load()) == ["loaded"]
    assert len(feed.rows("bronze")) == 2


def test_an_unchanged_source_table_is_a_duplicate_and_a_changed_one_is_loaded(
    make_feed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = make_feed({"id": "integer", "value": "text"}, key=("id",))
    monkeypatch.setenv("SHOP_DATABASE_URL", feed.url)
    feed.dataset = replace(feed.dataset, source=TableSource("SHOP_DATABASE_URL", "public.shop"))
    feed.connection.execute(
        "CREATE TABLE public.shop AS SELECT n AS id, 'v' || n AS value FROM generate_series(1, 3) n"
    )
    feed.connection.commit()
    assert statuses(feed.load()) == ["loaded"]
    assert statuses(feed.load()) == ["duplicate"]
    feed.query("UPDATE public.shop SET value = 'new' WHERE id = 2 RETURNING id")
    assert statuses(feed.load()) == ["loaded"]
    feed.build()
    assert feed.rows() == [(1, "v1"), (2, "new"), (3, "v3")]


# Which row of a key stays.


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("latest_by", "deliveries", "winner"),
    [
        (None, ["old,2024-01-02", "new,2024-01-01"], "new"),
        ("at", ["old,2024-01-01", "new,2024-01-02"], "new"),
        ("at", ["new,2024-01-02", "late,2024-01-01"], "new"),
        ("at", ["first,2024-01-01", "second,2024-01-01"], "second"),
        ("at", ["first,2024-01-01T00:00:00Z", "second,2024-01-01T01:00:00+01:00"], "second"),
        ("at", ["known,2024-01-01", "unknown,"], "known"),
        ("at", ["unknown,", "known,2024-01-01"], "known"),
        ("at", ["first,", "second,"], "second"),
        ("at", ["a,2024-01-01", "b,2024-01-03", "c,2024-01-02"], "b"),
    ],
)
def test_the_latest_row_of_a_key_stays(
    make_feed: Any, latest_by: str | None, deliveries: list[str], winner: str, at_once: bool
) -> None:
    for name, one_file in (("in_files", False), ("in_one_file", True)):
        feed = make_feed(COLUMNS, key=("id",), latest_by=latest_by, name=name, source=f"{name}/*")
        rows = [f"7,{row}\n" for row in deliveries]
        for number, row in enumerate(["".join(rows)] if one_file else rows):
            feed.land(f"{name}/{number}.csv", HEADER + row)
            feed.load()
            if not at_once:
                feed.build()
        feed.build()
        assert feed.rows(columns=["id", "value"]) == [(7, winner)], name


@pytest.mark.parametrize("repeated", [0, 3, 60])
@pytest.mark.parametrize(
    ("part", "parts"),
    [(Column("part", "text"), ["a", "a", "a"]), (Column("part", "decimal", digits=(10, 2)), ["1", "1.0", "1.00"])],
)
def test_few_rows_of_a_key_and_many_leave_the_latest(
    make_feed: Any, repeated: int, part: Column, parts: list[str]
) -> None:
    columns = [Column("id", "integer"), part, Column("value", "text"), Column("at", "timestamp")]
    feed = make_feed(columns, key=("id", "part"), latest_by="at")
    rows = [f"{n},{parts[0]},old,2024-01-02\n" for n in range(100)]
    rows += [
        f"{n},{written},{word},{day}\n"
        for n in range(repeated)
        for written, word, day in ((parts[1], "new", "2024-01-03"), (parts[2], "older", "2024-01-01"))
    ]
    feed.land("a.csv", "id,part,value,at\n" + "".join(rows))
    result = feed.run()
    assert (result.staged.duplicates, result.published.rows) == (2 * repeated, 100)
    assert feed.rows(columns=["id", "value"]) == sorted(
        ((n, "new" if n < repeated else "old") for n in range(100)), key=lambda row: str(row[0]) + ","
    )
    assert feed.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == [(0,)]


def test_files_are_loaded_in_the_order_of_their_names(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("2024-02.csv", HEADER + "1,february,\n")
    feed.land("2024-01.csv", HEADER + "1,january,\n")
    feed.run()
    assert feed.rows(columns=["value"]) == [("february",)]


def test_composite_keys(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id", "value"))
    feed.land("a.csv", HEADER + "1,x,2024-01-01\n1,y,2024-01-01\n1,x,2024-01-02\n1,,2024-01-01\n")
    feed.run()
    feed.land("b.csv", HEADER + "1,y,2024-01-03\n2,x,2024-01-03\n")
    feed.run()
    assert [(i, value, at.day) for i, value, at in feed.rows()] == [(1, "x", 2), (1, "y", 3), (2, "x", 3)]
    assert feed.quarantine() == [("a.csv", 5, "missing_key")]


def test_without_a_key_every_row_is_kept_once(make_feed: Any) -> None:
    feed = make_feed(COLUMNS)
    for name in ("a", "b"):
        feed.land(f"{name}.csv", HEADER + f"1,x,\n1,x,\n,{name},\n")
        feed.run()
    assert feed.rows(columns=["id", "value"]) == [(None, "a"), (None, "b"), *[(1, "x")] * 4]


def test_hashed_keys_still_tell_rows_apart(make_feed: Any) -> None:
    columns = [Column("mail", pii="EMAIL_ADDRESS", action="hash"), Column("value")]
    feed = make_feed(columns, key=("mail",))
    feed.land("a.csv", "mail,value\na@example.com,1\nb@example.com,2\na@example.com,3\n,4\n")
    feed.run()
    feed.land("b.csv", "mail,value\nb@example.com,5\n")
    feed.run()
    assert [value for _, value in feed.rows()] != []
    assert sorted(value for _, value in feed.rows()) == ["3", "5"]
    assert all(len(mail) == 64 for mail, _ in feed.rows())
    assert feed.quarantine() == [("a.csv", 5, "missing_key")]


# Building bit by bit or at once, under any declaration.

ROW = st.tuples(
    st.sampled_from(["1", "2", "3", "4", "", "x"]),
    st.sampled_from(["p", "q"]),
    st.sampled_from(["", "2024-01-01", "2024-01-02", "2024-13-01"]),
)
DELIVERY = st.tuples(st.lists(ROW, min_size=1, max_size=6), st.sampled_from(["one", "two"]), st.booleans())


@contextmanager
def emptied(feed: Any) -> Iterator[None]:
    """Each example begins with nothing."""
    folder = Path(tempfile.mkdtemp(dir=feed.settings.home_path))
    feed.settings = feed.settings.model_copy(update={"home": folder})
    yield
    feed.connection.rollback()
    feed.connection.execute("DROP TABLE IF EXISTS bronze.things, silver.things, quarantine.things")
    feed.connection.execute("TRUNCATE atlas.files, atlas.publications, atlas.rejected_lines")
    feed.connection.commit()


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deliveries=st.lists(DELIVERY, min_size=1, max_size=5),
    key=st.sampled_from([("id",), ("id", "part"), ()]),
    latest_by=st.sampled_from([None, "at"]),
)
def test_builds_bit_by_bit_end_with_the_same_tables_as_one_build(
    make_feed: Any, deliveries: list, key: tuple[str, ...], latest_by: str | None
) -> None:
    columns = [Column("id", "integer"), Column("part"), Column("at", "timestamp"), Column("n")]
    feed = make_feed(columns, key=key, latest_by=latest_by, source="{partition}/*.csv")
    with emptied(feed):
        for number, (rows, partition, build_now) in enumerate(deliveries):
            lines = [f"{','.join(row)},{number}.{i}\n" for i, row in enumerate(rows)]
            feed.land(f"{partition}/{number}.csv", "id,part,at,n\n" + "".join(lines))
            feed.load()
            if build_now:
                # One partition at a time: the other one's files come into silver later than they were loaded.
                assert feed.build(partitions=[partition]).audited.rows.unaccounted == 0
        assert feed.build().audited.rows.unaccounted == 0
        in_steps = feed.rows(), feed.quarantine("file, line, stage, rule, columns, reason")
        definition = replace(feed.dataset, columns=(*columns, Column("other", optional=True)))
        assert feed.build(definition).rebuilt
        assert feed.build().rebuilt
        assert in_steps == (feed.rows(), feed.quarantine("file, line, stage, rule, columns, reason"))
        feed.connection.execute("DROP TABLE silver.things")
        feed.connection.commit()
        feed.build()
        assert in_steps == (feed.rows(), feed.quarantine("file, line, stage, rule, columns, reason"))


def test_partitions_are_built_alone_and_in_any_order(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",), source="{partition}/*.csv")
    feed.land("2024-01-01/a.csv", HEADER + "1,first,\n")
    feed.load()
    feed.land("2024-01-02/a.csv", HEADER + "1,second,\n2,second,\n")
    feed.load()
    feed.build(partitions=["2024-01-02"])
    assert feed.rows(columns=["id", "value"]) == [(1, "second"), (2, "second")]
    feed.build(partitions=["2024-01-01"])
    assert feed.rows(columns=["id", "value"]) == [(1, "second"), (2, "second")], "loaded last, though built first"


# Another declaration.


def test_another_type_action_or_key_rebuilds_from_all_of_bronze(make_feed: Any) -> None:
    feed = make_feed([Column("id"), Column("value", pii="PERSON", action="redact")], key=("id",))
    feed.land("a.csv", "id,value\n1,12345678\nx,12345678\n1\n")
    feed.run()
    feed.land("b.csv", "id,value\n1,87654321\ny,b\n")
    feed.run()
    assert feed.rows() == [("1", "<PERSON>"), ("x", "<PERSON>"), ("y", "<PERSON>")]
    broken = [("a.csv", 4, "too_few_fields")]
    assert feed.quarantine() == broken

    typed = replace(feed.dataset, columns=(Column("id", "integer"), Column("value", pii="PERSON", action="redact")))
    for _ in range(2):
        feed.build(typed)
        assert feed.rows() == [(1, "<PERSON>")]
        assert feed.quarantine() == [("a.csv", 3, "wrong_type"), *broken, ("b.csv", 3, "wrong_type")]

    masked = replace(typed, columns=(Column("id", "integer"), Column("value", pii="PERSON", action="mask")))
    result = feed.build(masked)
    assert (result.rebuilt, result.staged.typed.read, result.published) == (True, 4, Published(1, 3, changed=True))
    assert feed.rows() == [(1, "****4321")]
    assert len(feed.quarantine()) == 3

    keyless = replace(masked, key=())
    assert feed.build(keyless).published.rows == 2
    assert feed.rows() == [(1, "****4321"), (1, "****5678")]

    untyped = replace(masked, columns=(Column("id"), Column("value")))
    feed.build(untyped)
    assert feed.rows() == [("1", "87654321"), ("x", "12345678"), ("y", "b")]
    assert feed.quarantine() == broken, "what silver had rejected is not rejected any more"


def test_another_hash_key_rebuilds_and_a_description_does_not(make_feed: Any) -> None:
    feed = make_feed([Column("id"), Column("mail", pii="EMAIL_ADDRESS", action="hash")], key=("id",))
    feed.land("a.csv", "id,mail\n1,a@example.com\n")
    feed.run()
    before = feed.rows()
    described = replace(
        feed.dataset, columns=(replace(feed.dataset.columns[0], description="text"), feed.dataset.columns[1])
    )
    assert not feed.build(described).published.changed
    other = load_keys(Settings(home=feed.settings.home, pii_hash_key=SecretStr("other")))
    assert feed.build(keys=other).rebuilt
    assert feed.rows() != before


def test_another_declaration_of_an_empty_table_changes_the_table(make_feed: Any) -> None:
    feed = make_feed({"id": "integer"})
    feed.run()
    assert feed.rows() == []
    wider = replace(feed.dataset, columns=(Column("id", "integer"), Column("name")))
    feed.build(wider)
    assert feed.query("SELECT id, name FROM silver.things") == []


def test_silver_before_bronze_is_an_empty_table(make_feed: Any) -> None:
    feed = make_feed({"id": "integer"}, key=("id",))
    assert feed.build().published.rows == 0
    feed.land("a.csv", "id\n1\n")
    feed.run()
    assert feed.rows() == [(1,)]


# The contract.


def test_a_failed_contract_leaves_the_published_table_and_the_staging_table(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,x,\n")
    feed.run()
    before = feed.rows(), feed.quarantine(), publication(feed)
    feed.land("b.csv", HEADER + "2,y,\nbad,y,\n")
    feed.load()
    asked = []

    def verify(dataset: Dataset, staged: Staged) -> list[Outcome]:
        asked.append((staged.schema, staged.table))
        with psycopg.connect(feed.url) as auditor:
            statement = psycopg.sql.SQL("SELECT count(*) FROM {}").format(
                psycopg.sql.Identifier(staged.schema, staged.table)
            )
            asked.append(auditor.execute(statement).fetchone())
        return fails(dataset, staged)

    for _ in range(2):
        asked.clear()
        refused = feed.build(verify=verify)
        assert refused.published is None
        assert "was not published" in refused.audited.refusal
        assert asked == [("staging", "silver__things"), (2,)], "the audit sees the finished table"
        assert before == (feed.rows(), feed.quarantine(), publication(feed))
        assert feed.query("SELECT count(*) FROM staging.silver__things") == [(2,)]
    result = feed.build()
    assert result.published == Published(2, 1, changed=True)
    assert feed.rows(columns=["id"]) == [(1,), (2,)]
    assert feed.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == [(0,)]


def test_the_contract_is_verified_on_the_published_table_when_nothing_is_new(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,x,\n")
    feed.run()
    asked = []

    def verify(dataset: Dataset, staged: Staged) -> list[Outcome]:
        asked.append((staged.schema, staged.table))
        return fails(dataset, staged)

    refused = feed.build(verify=verify)
    assert asked == [("silver", "things")]
    assert (refused.published, refused.audited.refusal) == (None, "silver.things fails its contract")
    assert feed.rows(columns=["id"]) == [(1,)]


def test_an_audit_that_itself_fails_publishes_nothing_and_frees_the_table(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,x,\n")
    feed.load()

    def verify(dataset: Dataset, staged: Staged) -> list[Outcome]:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError):
        feed.build(verify=verify)
    assert feed.query("SELECT to_regclass('silver.things')") == [(None,)]
    with psycopg.connect(feed.url) as other:
        keys = load_keys(feed.settings)
        build_silver(SilverBuild(other, feed.url, feed.dataset, "test", keys, lock_seconds=1), holds)
    assert feed.rows(columns=["id"]) == [(1,)]


@pytest.mark.slow
def test_a_table_that_is_being_written_is_waited_for_and_then_named(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,x,\n")
    with (
        psycopg.connect(feed.url) as other,
        publish.table_lock(other, "bronze", "things", 5),
        pytest.raises(TableBusy, match=r"bronze\.things"),
    ):
        feed.load(lock_seconds=1)
    feed.load(lock_seconds=1)
    with (
        psycopg.connect(feed.url) as other,
        publish.table_lock(other, "silver", "things", 5),
        pytest.raises(TableBusy, match=r"silver\.things"),
    ):
        feed.build(lock_seconds=1)
    assert feed.build(lock_seconds=1).published.rows == 1


def test_a_source_that_lists_the_same_uri_anew_each_time_loads_once(make_feed: Any) -> None:
    feed = make_feed({"id": "integer"})
    path = feed.land("a.csv", "id\n1\n")
    for version in ("1", "2", "3"):
        file = SourceFile("x://a", "a.csv", version, 0, 0.0, lambda: path.open("rb"))
        bronze.load(feed.connection, "things", [file], run_id="test")
    assert feed.ledger("status, version") == [("loaded", "1"), ("duplicate", "2"), ("duplicate", "3")]
    assert feed.query("SELECT count(*) FROM bronze.things") == [(1,)]


def test_dataset_fingerprint_sees_every_option() -> None:
    base = Dataset("d", FileSource("*"), (Column("a"), Column("b")), ("a",))
    others = [
        replace(base, key=("a", "b")),
        replace(base, latest_by="b"),
        replace(base, timezone="Europe/Paris"),
        *(
            replace(base, columns=(Column("a"), replace(Column("b"), **change)))
            for change in (
                {"type": "date"},
                {"type": "date", "format": "%d.%m.%Y"},
                {"action": "mask"},
                {"pii": "PERSON"},
                {"null_values": ("NA",)},
            )
        ),
    ]
    keys = load_keys(Settings())
    assert len({one.definition(keys) for one in [base, *others]}) == len(others) + 1
