"""Rows are swept for personal data while they are sent: what is swept is what is stored, or it is read back."""

from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from atlas_pipeline.ingest.dataset import Column
from atlas_pipeline.ingest.typing_rows import typed_rows
from atlas_pipeline.pii.leaks import stores_as_sent
from atlas_pipeline_tests.integration.conftest import Feed

pytestmark = pytest.mark.slow

ROWS = 40_000
COLUMNS = (Column("id", "integer", action=None), Column("note", action=None), Column("more", "json", action=None))
HEADER = "id,note,more\n"
HOSTILE = (
    "plain",
    'with ""quotes""',
    "of two\nlines",
    "with, commas",
    "\\.",
    "\\N",
    " blanks ",
    "é日本\u00a0",
    "NULL",
    "",
)


def outside_the_sample(place: int) -> int:
    """A line from `place` on that the sample of half the rows leaves out."""
    return next(line for line in range(place, place + 100) if ((line * 2654435761) & 4294967295) % 2)


def content(cells: dict[int, str], more: dict[int, str] | None = None) -> str:
    """A file of many clean rows, and these cells by line."""
    more = more or {}
    lines = (
        f'{line},"{cells.get(line, HOSTILE[line % len(HOSTILE)])}","{more.get(line, "{}")}"\n'
        for line in range(2, ROWS + 2)
    )
    return HEADER + "".join(lines)


def test_text_is_stored_as_it_was_swept(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", content({}))
    result = feed.run()
    assert (sorted(result.audited.leaks.columns), result.audited.leaks.rows) == (["id", "more", "note"], ROWS)
    written = [text.replace('""', '"') for text in HOSTILE]
    stored = feed.query("SELECT id, note FROM silver.things ORDER BY id")
    assert stored == [(line, written[line % len(written)]) for line in range(2, ROWS + 2)]
    assert stores_as_sent(feed.connection, "silver", "things")


@pytest.mark.parametrize("shape", [text for text in HOSTILE if text])
def test_what_the_sample_missed_is_cut_out_however_it_is_written(make_feed: Any, shape: str) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    line = outside_the_sample(ROWS - 200)
    feed.land("a.csv", content({line: f"{shape} ada@example.com"}))
    result = feed.run()
    assert result.published.rows == ROWS
    ((note,),) = feed.query("SELECT note FROM silver.things WHERE id = %s", [line])
    assert note == shape.replace('""', '"') + " <EMAIL_ADDRESS>"


def test_json_is_swept_as_postgres_writes_it(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    line = outside_the_sample(ROWS - 200)
    feed.land("a.csv", content({}, {line: r'{""a"": ""ada\u0040example.com""}'}))
    result = feed.run()
    assert result.published.rows == ROWS
    ((found,),) = feed.query("SELECT count(*) FROM silver.things WHERE more::text LIKE '%%ada@%%'")
    assert found == 0


def test_what_a_trigger_changes_is_read_back_and_refused(make_feed: Any, postgres: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    meddle(feed, postgres)
    feed.land("a.csv", HEADER + "".join(f"{n},all is well,{{}}\n" for n in range(100)))
    result = feed.run()
    assert result.published is None
    assert "'note' holds EMAIL_ADDRESS in 100 cells" in str(result.audited.refusal)
    assert feed.query("SELECT to_regclass('silver.things')") == [(None,)]


def meddle(feed: Feed, postgres: Any) -> None:
    """Have the database put a trigger on each new staging table, which changes rows when they arrive."""
    name = feed.connection.info.dbname
    with psycopg.connect(postgres.url(name, "postgres"), autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.note := 'ada@example.com'; RETURN NEW; END $$;"
            "CREATE FUNCTION public.meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'staging.silver__things')"
            " THEN CREATE TRIGGER change BEFORE INSERT ON staging.silver__things FOR EACH ROW"
            " EXECUTE FUNCTION public.change(); END IF; END $$;"
            "CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN ('CREATE TABLE')"
            " EXECUTE FUNCTION public.meddle()"
        )


def test_an_error_over_a_value_does_not_reach_the_log_of_the_server(
    make_feed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """psycopg names the error that ends a COPY to the server; the messages to it are traced."""
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", content({}))
    blocks = count()

    def failing(*args: Any) -> Any:
        if next(blocks):
            raise ValueError("no number: ada@example.com")
        return typed_rows(*args)

    monkeypatch.setattr("atlas_pipeline.ingest.staging.typed_rows", failing)
    with (tmp_path / "trace").open("w+b") as trace:
        feed.connection.pgconn.trace(trace.fileno())
        with pytest.raises(ValueError, match="no number"):
            feed.run()
        feed.connection.pgconn.untrace()
        trace.seek(0)
        said = trace.read()
    assert b"CopyFail" in said
    assert b"ada@example.com" not in said
    feed.connection.rollback()
    monkeypatch.undo()
    assert feed.run().published is not None
