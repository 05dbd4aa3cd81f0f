"""Files extracted together: which are new, what becomes of those that cannot be read, and of rows that are none."""

import gzip
import os
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster.components.core.component_tree import ComponentTreeException

from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.connectors.conftest import Read, Run, problem
from atlas_pipeline_tests.servers import S3, SECRET

pytestmark = pytest.mark.slow

NEW = """
source: {{filesystem: {{files: '{files}', cursor: {cursor}, path_column: file}}}}
key: id
columns:
- {{name: id, pii: none}}
- {{name: name, pii: none, optional: true}}
- {{name: file, pii: none}}
"""
STATE = """
source: {filesystem: {files: 'parts/*.csv'}}
key: id
delimiter: ';'
columns:
- {name: id, type: integer}
- {name: name, pii: none}
"""
EARLY = 1_700_000_000


@pytest.fixture
def put(atlas_env: Path) -> object:
    """Put a file into the landing folder, changed so many seconds after a moment."""

    def write(name: str, body: str | bytes, after: int = 0) -> Path:
        path = atlas_env / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        os.utime(path, (EARLY + after, EARLY + after))
        return path

    return write


def names(read: Read) -> list[tuple[str, str | None, str]]:
    return [
        (id, name, Path(file).name) for id, name, file in read("SELECT id, name, file FROM silver.things ORDER BY id")
    ]


def test_new_and_changed_files_of_all_formats(put, run: Run, read: Read) -> None:  # type: ignore[no-untyped-def]
    new = NEW.format(files="in/**/*", cursor="modified")
    put("in/a.csv", "id,name\n007,Ann\n")
    put("in/b/b.jsonl", '{"id": 3, "name": "Cid", "more": 1.10}\n{"id": 4}\n', 1)
    table = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [5], "name": ["Eve"]}), table)
    put("in/c.parquet", table.getvalue().to_pybytes(), 2)
    put("in/d.csv.part", "id,name\n666,half\n", 3)
    assert run(new).success
    first = [("007", "Ann", "a.csv"), ("3", "Cid", "b.jsonl"), ("4", None, "b.jsonl"), ("5", "Eve", "c.parquet")]
    assert names(read) == first
    assert run(new).success
    assert read("SELECT count(*), sum(rows) FROM atlas.files WHERE status = 'loaded'") == [(1, 4)]
    put("in/a.csv", "id,name\n007,Anne\n", 4)
    put("in/e.csv.gz", gzip.compress(b"id,name\n8,Fay\n"), 4)
    assert run(new).success
    assert names(read) == [("007", "Anne", "a.csv"), *first[1:], ("8", "Fay", "e.csv.gz")]
    put("in/f.csv", "id,name\n9,Gus\n", 4)  # of the very moment of the last one
    assert run(new).success
    assert names(read)[-1] == ("9", "Gus", "f.csv")
    assert read("SELECT rows FROM atlas.files WHERE status = 'loaded' ORDER BY file_id") == [(4,), (2,), (1,)]


def test_by_name_a_file_is_extracted_once(put, run: Run, read: Read) -> None:  # type: ignore[no-untyped-def]
    new = NEW.format(files="days/*.csv", cursor="name")
    put("days/2026-01-02.csv", "id,name\n1,a\n", 9)
    assert run(new).success
    put("days/2026-01-02.csv", "id,name\n1,changed\n", 10)
    put("days/2026-01-01.csv", "id,name\n2,before\n", 11)
    put("days/2026-01-03.csv", "id,name\n3,after\n", 5)
    assert run(new).success
    assert [id for id, _, _ in names(read)] == ["1", "3"]


def test_all_files_are_one_state(put, run: Run, read: Read) -> None:  # type: ignore[no-untyped-def]
    put("parts/1.csv", "id;name\n1;a\n2;b\n")
    put("parts/2.csv", "id;name\n3;c\n")
    assert run(STATE).success
    put("parts/2.csv", "id;name\n3;d\n4;e\n", 1)
    put("parts/1.csv", "id;name\n1;a\n", 1)
    assert run(STATE).success
    assert read("SELECT id, name FROM silver.things ORDER BY id") == [(1, "a"), (3, "d"), (4, "e")]
    for path in ("parts/1.csv", "parts/2.csv"):
        put(path, "id;name\n")
    run(STATE)
    assert len(read("SELECT FROM silver.things")) == 3, "a state that is suddenly empty was taken"


def test_what_cannot_be_read_is_in_quarantine_and_the_rest_loaded(  # type: ignore[no-untyped-def]
    put, run: Run, read: Read, tmp_path: Path
) -> None:
    put("in/a.csv", "id,name\n1,a\n2,b,secret\n3,c\n")
    put("in/cut.parquet", b"PAR1 no more", 1)
    put("in/empty.csv", "", 2)
    put("in/late.csv", "id,name\n" + "4,d\n" * 10 + 'x,"' + "y" * 99, 3)
    (tmp_path / "secret.csv").write_text("id,name\n9,secret\n")
    (tmp_path / "landing" / "in" / "link.csv").symlink_to(tmp_path / "secret.csv")
    result = run(NEW.format(files="in/*", cursor="modified"))
    assert result.success
    assert [id for id, _, _ in names(read)] == ["1", "3", "4"]
    found = read("SELECT rule, reason FROM quarantine.things ORDER BY line")
    assert [rule for rule, _ in found] == ["too_many_fields", "corrupt", "empty", "unterminated_quote"]
    assert "in/a.csv, line 3: " in found[0][1]
    assert "secret" not in str(found)
    assert read("SELECT raw FROM atlas.rejected_lines ORDER BY line LIMIT 1") == [(b"2,b,secret",)]
    [check] = [one for one in result.get_asset_check_evaluations() if one.check_name == "files_readable"]
    assert not check.passed
    assert check.metadata["measured"].value == 3.0


def test_a_file_that_turns_out_bad_late_leaves_none_of_its_rows(  # type: ignore[no-untyped-def]
    put, run: Run, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas_pipeline.ingest.connectors.filesystem.HELD_BYTES", 1000)
    whole = "id,name\n" + "".join(f"{n},x\n" for n in range(200_000))
    put("in/a.csv", whole)
    put("in/b.csv.gz", gzip.compress(whole.replace(",x", ",y").encode())[:-9], 1)
    assert run(NEW.format(files="in/*", cursor="modified")).success
    assert read("SELECT count(*), count(DISTINCT name), min(name) FROM bronze.things") == [(200_000, 1, "x")]
    assert read("SELECT rule FROM quarantine.things") == [("truncated",)]


def test_new_columns_are_kept_to_the_contract(put, run: Run, read: Read) -> None:  # type: ignore[no-untyped-def]
    frozen = NEW.format(files="in/*.csv", cursor="modified, schema: freeze")
    put("in/a.csv", "id,name\n1,a\n")
    assert run(frozen).success
    put("in/b.csv", "id,name,extra\n2,b\n3,c,d\n", 1)
    assert "the schema is frozen" in problem(run(frozen))
    assert run(NEW.format(files="in/*.csv", cursor="modified, schema: discard")).success
    assert [id for id, _, _ in names(read)] == ["1", "3"]
    assert read("SELECT rule FROM quarantine.things") == [("too_few_fields",)]


@pytest.mark.parametrize(("days", "left"), [(29, [1, 2, 3]), (31, [3])])
def test_extracts_that_were_loaded_long_ago_are_deleted(  # type: ignore[no-untyped-def]
    days: int, left: list[int], put, run: Run, read: Read, atlas_env: Path
) -> None:
    new = NEW.format(files="in/*.csv", cursor="modified")
    for number in (1, 2):
        put(f"in/{number}.csv", f"id,name\n{number},a\n", number)
        assert run(new).success
    read(f"UPDATE atlas.files SET loaded_at = loaded_at - interval '{days} days' RETURNING 1")
    put("in/3.csv", "id,name\n3,a\n", 3)
    assert run(new).success
    kept = sorted((atlas_env / "landing" / ".extracts" / "things").glob("*"))
    assert [int(path.stem.rpartition("-")[2]) for path in kept] == left
    assert [id for id, _, _ in names(read)] == ["1", "2", "3"]
    put("in/4.csv", "id,name\n4,a\n", 4)
    assert run(new).success
    assert read("SELECT sum(rows) FROM atlas.files WHERE status = 'loaded'") == [(4,)]


def test_objects_in_s3(s3: S3, run: Run, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    load_settings.cache_clear()
    folder = uuid.uuid4().hex
    for key, body in (("1.csv", b"id,name\n1,a\n"), ("x/1 +%.csv", b"id,name\n2,b\n")):
        s3.client().put_object(Bucket="atlas", Key=f"{folder}/{key}", Body=body)
    new = NEW.format(files=f"s3://atlas/{folder}/**/*.csv", cursor="{by: modified, lag: 60}")
    assert run(new).success
    assert run(new).success
    assert [id for id, _, _ in names(read)] == ["1", "2"]
    assert read("SELECT count(*), count(DISTINCT id) FROM bronze.things") == [(4, 2)], "the lag asks for both again"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("source: {filesystem: {files: '{partition}.csv'}}", "a connector has one state"),
        ("source: {filesystem: {files: 'a/*', cursor: modified}}", "declare a `key`, or `mode: append`"),
        ("source: {filesystem: {files: 'a/*', cursor: {by: name, lag: 5}}}", "lag is for the cursor `modified`"),
        ("source: {filesystem: {files: 'a/*', cursor: {by: modified, initial: soon}}}\nkey: id", "expected a moment"),
        ("source: {filesystem: {files: 'a/*', path_column: _atlas_x}}", "which is reserved"),
        ("source: {filesystem: {files: 'sftp://ann:secret@host/*'}}", "no user and no password"),
        ("source: {sql_database: {database: A_DATABASE_URL, table: t, cursor: a}}\ndelimiter: ';'", "do not apply"),
    ],
)
def test_declarations_that_cannot_be(attributes: str, words: str, run: Run) -> None:
    with pytest.raises(ComponentTreeException) as found:
        run(attributes + "\ncolumns: [{name: id}]")
    said = str(found.value.__cause__)
    assert words in said
    assert "secret" not in said
