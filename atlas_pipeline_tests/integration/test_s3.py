"""Sources in S3, with a real server: formats, awkward keys, many objects, and everything that goes wrong on the way."""

import gzip
import io
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, resilience
from atlas_pipeline.ingest.sources import s3 as sources_s3
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import Settings
from atlas_pipeline_tests.integration.cuts import Proxy
from atlas_pipeline_tests.servers import S3, SECRET, free_ports

pytestmark = pytest.mark.slow
ROWS = "id,name\n1,Ann\n2,Bob\n"


@pytest.fixture(scope="module")
def server(s3: S3) -> int:
    """The port of the S3 server."""
    return s3.port


class Bucket:
    """A folder of the test's own in a bucket."""

    def __init__(self, port: int):
        self.name = "first"
        self.folder = uuid.uuid4().hex
        self.s3 = S3(port).client()

    def put(self, key: str, body: bytes | str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=self.name, Key=f"{self.folder}/{key}", Body=data)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.name, Key=f"{self.folder}/{key}")

    def url(self, pattern: str) -> str:
        return f"s3://{self.name}/{self.folder}/{pattern}"


@pytest.fixture
def bucket(server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{server}")
    monkeypatch.setattr(sources_s3, "RETRIES", replace(sources_s3.RETRIES, pause_seconds=0.01))
    resilience.breaker.cache_clear()
    yield Bucket(server)
    resilience.breaker.cache_clear()


@pytest.fixture
def proxy(server: int, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    one = Proxy(server)
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{one.port}")
    yield one
    one.stop()


def listed(source: str, partition: str | None = None) -> list[str]:
    return [file.uri for file in FileSource(source).list(Settings(), partition)]


def test_every_format(bucket: Bucket, make_feed: Any) -> None:
    parquet = io.BytesIO()
    pq.write_table(pa.table({"id": [5, 6], "name": ["Eve", None]}), parquet)
    bucket.put("in/a.csv.gz", gzip.compress(ROWS.encode()))
    bucket.put("in/b.jsonl.zst", zstandard.compress(b'{"id": 3, "name": "Cid"}\n{"id": 4, "name": "D\\u00fc"}\n'))
    bucket.put("in/c.parquet", parquet.getvalue())
    feed = make_feed({"id": "integer", "name": "text"}, source=bucket.url("in/*"))
    feed.run()
    assert feed.rows() == [(1, "Ann"), (2, "Bob"), (3, "Cid"), (4, "Dü"), (5, "Eve"), (6, None)]
    assert feed.ledger() == [(bucket.url(f"in/{n}"), "loaded", None) for n in ("a.csv.gz", "b.jsonl.zst", "c.parquet")]
    feed.run()
    assert len(feed.rows("bronze", ["id"])) == 6


def test_keys_are_data(bucket: Bucket, make_feed: Any) -> None:
    keys = [
        "a b 'q' \"d\".csv",
        "dots..in/..name.csv",
        "ü/日本.csv",
        "100%20+x.csv",
        "new\nline.csv",
        "hash#q?&x=1.csv",
        "[1].csv",
    ]
    for number, key in enumerate(keys):
        bucket.put(f"in/{key}", f"id,name\n{number},x\n")
    feed = make_feed({"id": "integer", "name": "text"}, source=bucket.url("in/**/*.csv"))
    feed.run()
    assert [id for id, _ in feed.rows()] == list(range(len(keys)))
    assert {uri for (uri,) in feed.ledger("uri")} == {bucket.url(f"in/{key}") for key in keys}


def test_patterns_and_partitions(bucket: Bucket) -> None:
    for key in (
        "a.csv",
        "x/b.csv",
        "x/y/c.csv",
        "d.txt",
        "e.csv.part",
        "day-2024-01-01.csv",
        "day-2024-01-02.csv",
        "q[1].csv",
    ):
        bucket.put(f"in/{key}", ROWS)
    assert listed(bucket.url("in/?.csv")) == [bucket.url("in/a.csv")]
    assert listed(bucket.url("in/**/?.csv")) == [bucket.url(f"in/{key}") for key in ("a.csv", "x/b.csv", "x/y/c.csv")]
    assert listed(bucket.url("in/e*")) == []
    assert listed(bucket.url("in/q[1].csv")) == [bucket.url("in/q[1].csv")]
    days = bucket.url("in/day-{partition}.csv")
    assert listed(days, "2024-01-02") == [bucket.url("in/day-2024-01-02.csv")]
    assert [file.partition for file in FileSource(days).list(Settings())] == ["2024-01-01", "2024-01-02"]


def test_more_objects_than_one_page_holds(bucket: Bucket) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: bucket.put(f"in/{n:04}.csv", ROWS), range(1005)))
    assert listed(bucket.url("in/*.csv")) == [bucket.url(f"in/{n:04}.csv") for n in range(1005)]


def test_a_replaced_object_is_loaded_anew(bucket: Bucket, make_feed: Any) -> None:
    bucket.put("in/a.csv", ROWS)
    feed = make_feed({"id": "integer", "name": "text"}, source=bucket.url("in/*"), key=("id",))
    feed.run()
    bucket.put("in/a.csv", "id,name\n1,Ann\n2,Rob\n")  # as many bytes as before: only the ETag tells
    feed.run()
    assert feed.rows() == [(1, "Ann"), (2, "Rob")]


def test_what_s3_refuses(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said at once: trying again would not help, and the other sources of the service go on."""
    with pytest.raises(SourceError, match=r"s3://nowhere cannot be listed \(NoSuchBucket\): there is no such bucket"):
        listed("s3://nowhere/*.csv")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for _ in range(6):
        with pytest.raises(SourceError, match=r"\(SignatureDoesNotMatch\): check AWS_SECRET_ACCESS_KEY"):
            listed(bucket.url("*"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    with pytest.raises(SourceError, match=r"\(InvalidAccessKeyId\): check AWS_ACCESS_KEY_ID"):
        listed(bucket.url("*"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match=r"no credentials\. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        listed(bucket.url("*"))
    assert resilience.breaker(f"s3://{bucket.name}").fail_counter == 0


def test_a_server_that_is_away_is_left_alone_after_all_attempts(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, server: int
) -> None:
    service = f"s3://{bucket.name}"
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    said = []
    for _ in range(3):
        with pytest.raises(ServiceUnavailable) as caught:
            listed(bucket.url("*"))
        said.append(str(caught.value))
    left_alone = f"{service} did not answer and is left alone for 60 s; then try again"
    no_answer = "the server does not answer (EndpointConnectionError); check the endpoint and the network"
    assert said == [f"{service} cannot be listed: {no_answer}", left_alone, left_alone]
    # It is back, but nobody asks before the time is over; another bucket is asked.
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{server}")
    with pytest.raises(ServiceUnavailable, match="left alone"):
        listed(bucket.url("*"))
    assert listed("s3://second/pro*") == ["s3://second/probe"]
    assert resilience.breaker(service).reset_timeout == 60


def test_an_object_that_is_gone_when_it_is_read(bucket: Bucket, make_feed: Any) -> None:
    bucket.put("in/a.csv", ROWS)
    bucket.put("in/b.csv", "id,name\n3,Cid\n")
    bucket.put("in/c.csv", "id,name\n4,Dan\n")
    feed = make_feed({"id": "integer", "name": "text"}, source=bucket.url("in/*"))
    files = feed.dataset.source.list(feed.settings)
    bucket.delete("in/a.csv")
    bucket.put("in/c.csv", "id,name\n5,Eve\n")
    result = bronze.load(feed.connection, "things", files, run_id="test")
    assert [(file.uri, file.status, file.reason) for file in result.refused] == [
        (
            bucket.url("in/a.csv"),
            "unavailable",
            f"{bucket.url('in/a.csv')} cannot be read (NoSuchKey): it was deleted after it was listed",
        ),
        (
            bucket.url("in/c.csv"),
            "unavailable",
            f"{bucket.url('in/c.csv')} cannot be read (PreconditionFailed): it changed after it was listed; the next"
            " run takes it as it is then",
        ),
    ]
    assert feed.rows("bronze") == [("3", "Cid")]
    feed.run()
    assert feed.rows() == [(3, "Cid"), (5, "Eve")]


@pytest.fixture
def big(bucket: Bucket) -> int:
    """An object of 9 MB, which the server keeps in several parts. Returns its number of rows."""
    rows = 150_000
    bucket.put("in/big.csv", "id,name\n" + "".join(f"{n},{n:0>50}\n" for n in range(rows)))
    return rows


def test_a_connection_that_breaks_is_read_on_by_another(bucket: Bucket, proxy: Proxy, big: int, make_feed: Any) -> None:
    feed = make_feed({"id": "integer", "name": "text"}, source=bucket.url("in/*"))
    files = feed.dataset.source.list(feed.settings)
    proxy.cut_after = 2_500_000
    result = bronze.load(feed.connection, "things", files, run_id="test")
    assert [(file.status, file.rows) for file in result.files] == [("loaded", big)]
    assert proxy.cuts >= 3
    counts = feed.query("SELECT count(*), count(DISTINCT id), min(id::int), max(id::int) FROM bronze.things")
    assert counts == [(big, big, 0, big - 1)]


@pytest.mark.parametrize(
    ("cut_after", "message"),
    [(0, "the server does not answer (ConnectionClosedError)"), (2_000, "the connection broke 6 times in a row")],
    ids=["before_the_answer", "soon_after_its_beginning"],
)
def test_a_connection_that_stays_broken_loads_nothing_and_the_next_run_all(
    bucket: Bucket, proxy: Proxy, big: int, make_feed: Any, cut_after: int, message: str
) -> None:
    feed = make_feed({"id": "integer", "name": "text"}, source=bucket.url("in/*"))
    files = feed.dataset.source.list(feed.settings)
    proxy.cut_after = cut_after
    (refused,) = bronze.load(feed.connection, "things", files, run_id="test").refused
    assert refused.status == "unavailable"
    assert message in str(refused.reason)
    assert feed.query("SELECT count(*) FROM bronze.things") == [(0,)]
    assert feed.ledger() == []
    proxy.cut_after = None
    resilience.breaker.cache_clear()
    feed.load()
    assert feed.query("SELECT count(*) FROM bronze.things") == [(big,)]
