"""Sources on an SFTP server, with a real sshd: formats, awkward names, hostile files, and what goes wrong."""

import gzip
import io
import os
import sys
import tracemalloc
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile, resilience, sftp_server
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import Settings
from atlas_pipeline_tests.integration.cuts import Proxy
from atlas_pipeline_tests.integration.sshd import PASSWORD, Sshd, make_key, running
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow
ROWS = "id,name\n1,Ann\n2,Bob\n"
COLUMNS = {"id": "integer", "name": "text"}


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with running() as one:
        yield one


class Folder:
    """A folder of the test's own on the server, and how it is named there."""

    def __init__(self, server: Sshd):
        self.server = server
        self.port = server.port
        self.path = server.home / uuid.uuid4().hex
        self.path.mkdir()

    def put(self, name: str, body: bytes | str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        return path

    def url(self, pattern: str) -> str:
        return f"sftp://127.0.0.1:{self.port}{self.path}/{pattern}"

    def files(self, pattern: str, partition: str | None = None) -> list[SourceFile]:
        return FileSource(self.url(pattern)).list(Settings(), partition)

    def names(self, pattern: str) -> list[str]:
        return [file.uri.removeprefix(self.url("")) for file in self.files(pattern)]


@pytest.fixture
def folder(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    server.known_hosts.unlink(missing_ok=True)
    server.know(server.port)
    monkeypatch.setenv("ATLAS_SFTP_USER", server.user)
    monkeypatch.setenv("ATLAS_SFTP_KEY_FILE", str(server.key))
    monkeypatch.setenv("ATLAS_SFTP_KNOWN_HOSTS", str(server.known_hosts))
    monkeypatch.setattr(sftp_server, "PAUSE_SECONDS", 0.01)
    resilience.breaker.cache_clear()
    yield Folder(server)
    resilience.breaker.cache_clear()


@pytest.fixture
def proxy(folder: Folder) -> Iterator[Proxy]:
    one = Proxy(folder.port)
    folder.server.know(one.port)
    folder.port = one.port
    yield one
    one.stop()


def test_every_format(folder: Folder, make_feed: Any) -> None:
    parquet = io.BytesIO()
    pq.write_table(pa.table({"id": [5, 6], "name": ["Eve", None]}), parquet)
    folder.put("in/a.csv.gz", gzip.compress(ROWS.encode()))
    folder.put("in/b.jsonl", b'{"id": 3, "name": "Cid"}\n{"id": 4, "name": "D\\u00fc"}\n')
    folder.put("in/c.parquet", parquet.getvalue())
    feed = make_feed(COLUMNS, source=folder.url("in/*"))
    feed.run()
    assert feed.rows() == [(1, "Ann"), (2, "Bob"), (3, "Cid"), (4, "Dü"), (5, "Eve"), (6, None)]
    assert feed.ledger() == [(folder.url(f"in/{n}"), "loaded", None) for n in ("a.csv.gz", "b.jsonl", "c.parquet")]
    feed.run()
    assert len(feed.rows("bronze", ["id"])) == 6


def test_patterns_and_partitions(folder: Folder) -> None:
    names = ("a.csv", "x/b.csv", "x/y/c.csv", "d.txt", "e.csv.part", ".f.csv", "day-2024-01-01.csv", "q[1].csv")
    for name in (*names, "day-2024-01-02.csv"):
        folder.put(f"in/{name}", ROWS)
    assert folder.names("in/?.csv") == ["in/a.csv"]
    assert folder.names("in/a.csv") == ["in/a.csv"]
    assert folder.names("in/**/?.csv") == ["in/a.csv", "in/x/b.csv", "in/x/y/c.csv"]
    assert folder.names("*/*/b.csv") == ["in/x/b.csv"]
    assert folder.names("in/e*") == folder.names("in/.nothing*") == []
    assert folder.names("in/q[1].csv") == ["in/q[1].csv"]
    assert [file.partition for file in folder.files("in/day-{partition}.csv")] == ["2024-01-01", "2024-01-02"]
    assert [file.name for file in folder.files("in/day-{partition}.csv", "2024-01-02")] == ["day-2024-01-02.csv"]
    home = f"sftp://127.0.0.1:{folder.port}/~/{folder.path.name}/in/*.txt"
    assert [file.uri for file in FileSource(home).list(Settings())] == [home.replace("*", "d")]
    with pytest.raises(SourceError, match=r"nowhere cannot be read: there is no such file or folder"):
        folder.files("nowhere/*.csv")


def test_names_are_data(folder: Folder, make_feed: Any) -> None:
    names = [
        "a b 'q' \"d\".csv",
        "dots..in/..name.csv",
        "ü/日本.csv",
        "100%20+x.csv",
        "new\nline.csv",
        "hash#q?&x=1.csv",
    ]
    for number, name in enumerate(names):
        folder.put(f"in/{name}", f"id,name\n{number},x\n")
    folder.put(os.fsdecode(b"in/latin-\xfc.csv"), f"id,name\n{len(names)},x\n")
    feed = make_feed(COLUMNS, source=folder.url("in/**/*.csv"))
    feed.run()
    wanted = {*(folder.url(f"in/{name}") for name in names if "/.." not in name), folder.url("in/latin-\\xfc.csv")}
    assert {uri for (uri,) in feed.ledger("uri")} == wanted
    assert [id for id, _ in feed.rows()] == [0, 2, 3, 4, 5, 6]


def test_hostile_files_are_refused_by_rule_and_the_others_loaded(
    folder: Folder, make_feed: Any, tmp_path: Path
) -> None:
    folder.put("in/good.csv", ROWS)
    folder.put("outside/secret.csv", "id,name\n666,secret\n")
    folder.put("in/sub/inner.csv", "id,name\n3,Cid\n")
    (folder.path / "in/link.csv").symlink_to(folder.path / "outside/secret.csv")
    (folder.path / "in/within.csv").symlink_to("sub/inner.csv")
    (folder.path / "in/away").symlink_to(folder.path / "outside")
    (folder.path / "in/sub/back").symlink_to("..")
    (folder.path / "in/dead.csv").symlink_to("gone.csv")
    (folder.path / "in/loop.csv").symlink_to("loop.csv")
    os.mkfifo(folder.path / "in/pipe.csv")
    (folder.path / "in/closed").mkdir(mode=0)
    feed = make_feed(COLUMNS, source=folder.url("in/**/*.csv"))
    result = feed.load()
    refused = {file.uri.removeprefix(folder.url("in/")): file.rule for file in result.refused}
    assert refused == {
        "link.csv": "outside_landing",
        "away": "unavailable",
        "sub/back": "unavailable",
        "dead.csv": "unavailable",
        "loop.csv": "unavailable",
        "pipe.csv": "not_a_file",
        "closed": "unavailable",
    }
    assert sorted(feed.rows("bronze", ["id"])) == [("1",), ("2",), ("3",), ("3",)]


def test_a_file_that_is_another_one_by_the_time_it_is_read(folder: Folder, make_feed: Any) -> None:
    folder.put("outside.csv", ROWS)
    paths = {name: folder.put(f"in/{name}.csv", ROWS) for name in ("gone", "grown", "linked", "pipe", "same")}
    feed = make_feed(COLUMNS, source=folder.url("in/*.csv"))
    files = feed.dataset.source.list(feed.settings)
    for name in ("gone", "linked", "pipe"):
        paths[name].unlink()
    folder.put("in/grown.csv", ROWS + "3,Cid\n")
    paths["linked"].symlink_to(folder.path / "outside.csv")
    os.mkfifo(paths["pipe"])
    result = bronze.load(feed.connection, "things", files, run_id="test")
    reasons = {Path(file.uri).stem: (file.status, str(file.reason)) for file in result.refused}
    assert set(reasons) == {"gone", "grown", "linked", "pipe"}
    assert {status for status, _ in reasons.values()} == {"unavailable"}
    assert "there is no such file" in reasons["gone"][1]
    assert "it changed after it was listed" in reasons["grown"][1]
    assert "a link that leads out" in reasons["linked"][1]
    assert [uri for (uri,) in feed.ledger("uri")] == [folder.url("in/same.csv")]
    feed.load()
    assert len(feed.rows("bronze")) == 5


def test_a_replaced_file_is_loaded_anew(folder: Folder, make_feed: Any) -> None:
    path = folder.put("in/a.csv", ROWS)
    feed = make_feed(COLUMNS, source=folder.url("in/*"), key=("id",))
    feed.run()
    folder.put("in/a.csv", "id,name\n1,Ann\n2,Rob\n")
    os.utime(path, (1_700_000_001, 1_700_000_001))  # as many bytes as before: only the time tells
    feed.run()
    assert feed.rows() == [(1, "Ann"), (2, "Rob")]


def test_a_file_that_may_still_be_written_waits(folder: Folder, make_feed: Any) -> None:
    path = folder.put("in/a.csv", ROWS)
    os.utime(path)
    feed = make_feed(COLUMNS, source=folder.url("in/*"))
    assert feed.load(settle_seconds=3600).unsettled == 1
    assert feed.ledger() == []
    assert [file.status for file in feed.load(settle_seconds=0).files] == ["loaded"]


def test_an_unknown_or_changed_host_key_is_refused(folder: Folder) -> None:
    folder.put("a.csv", ROWS)
    server = folder.server
    server.known_hosts.write_text("")
    with pytest.raises(SourceError, match=r"so it is not trusted; its ssh-ed25519 key is SHA256:.*ssh-keyscan -p \d+"):
        folder.files("*")
    server.known_hosts.unlink()
    with pytest.raises(SourceError, match="is not trusted"):
        folder.files("*")
    server.know(server.port, "other_key")
    with pytest.raises(SourceError, match=r"has another host key than .*Somebody may be in between.*ssh-keygen -f"):
        folder.files("*")
    server.known_hosts.write_text("")
    server.know(server.port)
    assert folder.names("*") == ["a.csv"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user with a password")
def test_a_password(folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder.put("a.csv", ROWS)
    monkeypatch.delenv("ATLAS_SFTP_KEY_FILE")
    with pytest.raises(SourceError, match=r"no credentials for .*ATLAS_SFTP_KEY_FILE or ATLAS_SFTP_PASSWORD"):
        folder.files("*")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("ATLAS_SFTP_PASSWORD_FILE", str(tmp_path / "password"))
    assert folder.names("*") == ["a.csv"]
    (tmp_path / "password").write_text("another")
    with pytest.raises(SourceError, match=r"refuses to sign in: check ATLAS_SFTP_USER and ATLAS_SFTP_PASSWORD$"):
        folder.files("*")


def test_private_keys(folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder.put("a.csv", ROWS)
    allowed = folder.server.folder / "authorized_keys"
    for kind in ("rsa", "ecdsa", "ed25519"):
        key = make_key(tmp_path / kind, "correct horse", kind)
        monkeypatch.setenv("ATLAS_SFTP_KEY_FILE", str(key))
        monkeypatch.delenv("ATLAS_SFTP_KEY_PASSPHRASE", raising=False)
        with pytest.raises(SourceError, match="ATLAS_SFTP_KEY is encrypted: set ATLAS_SFTP_KEY_PASSPHRASE"):
            folder.files("*")
        monkeypatch.setenv("ATLAS_SFTP_KEY_PASSPHRASE", "wrong")
        with pytest.raises(SourceError, match="ATLAS_SFTP_KEY cannot be used"):
            folder.files("*")
        monkeypatch.setenv("ATLAS_SFTP_KEY_PASSPHRASE", "correct horse")
        with pytest.raises(SourceError, match=r"refuses to sign in: check ATLAS_SFTP_USER and ATLAS_SFTP_KEY$"):
            folder.files("*")
        allowed.write_text(allowed.read_text() + key.with_suffix(".pub").read_text())
        assert folder.names("*") == ["a.csv"]
    assert resilience.breaker(f"sftp://127.0.0.1:{folder.port}").fail_counter == 0


@pytest.mark.parametrize(
    "url",
    ["sftp://me:hunter2@host/x/*.csv", "sftp://me@host:22/x", "sftp://me:hun/ter2@host/x", "sftp://me:hunter2@host"],
)
def test_a_url_with_a_user_or_password_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SourceError, match=r"no user and no password in it\. Set ATLAS_SFTP_USER") as caught:
        FileSource(url).list(Settings())
    assert "hun" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sftp://host", "sftp:///x.csv", "sftp://host:0/x", "sftp://host/a/../b", "sftp://h:x/y"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(SourceError, match="expected sftp://host/path-pattern"):
        FileSource(url).list(Settings())


def test_without_the_extra(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(SourceError, match=r"pip install 'atlas-pipeline\[sftp\]'"):
        folder.files("*")


def test_a_server_that_is_away_is_left_alone_after_all_attempts(folder: Folder) -> None:
    folder.port = free_ports(1)[0]
    service = f"sftp://127.0.0.1:{folder.port}"
    with pytest.raises(ServiceUnavailable, match=rf"{service} does not answer \(ECONNREFUSED\)"):
        folder.files("*")
    with pytest.raises(ServiceUnavailable, match=f"{service} did not answer and is left alone for 60 s"):
        folder.files("*")
    folder.port = folder.server.port
    assert folder.names("*") == []


@pytest.fixture
def big(folder: Folder) -> int:
    """A file of 9 MB. Returns its number of rows."""
    rows = 150_000
    folder.put("in/big.csv", "id,name\n" + "".join(f"{n},{n:0>50}\n" for n in range(rows)))
    return rows


def test_a_connection_that_breaks_is_read_on_by_another(folder: Folder, proxy: Proxy, big: int, make_feed: Any) -> None:
    feed = make_feed(COLUMNS, source=folder.url("in/*"))
    files = feed.dataset.source.list(feed.settings)
    proxy.cut_after = 2_500_000
    result = bronze.load(feed.connection, "things", files, run_id="test")
    assert [(file.status, file.rows) for file in result.files] == [("loaded", big)]
    assert proxy.cuts >= 3
    counts = feed.query("SELECT count(*), count(DISTINCT id), min(id::int), max(id::int) FROM bronze.things")
    assert counts == [(big, big, 0, big - 1)]


@pytest.mark.parametrize("cut_after", [0, 500_000], ids=["before_the_answer", "soon_after_its_beginning"])
def test_a_connection_that_stays_broken_loads_nothing_and_the_next_run_all(
    folder: Folder, proxy: Proxy, big: int, make_feed: Any, cut_after: int
) -> None:
    feed = make_feed(COLUMNS, source=folder.url("in/*"))
    files = feed.dataset.source.list(feed.settings)
    proxy.cut_after = cut_after
    (refused,) = bronze.load(feed.connection, "things", files, run_id="test").refused
    assert refused.status == "unavailable"
    assert "does not answer" in str(refused.reason)
    assert feed.query("SELECT count(*) FROM bronze.things") == [(0,)]
    assert feed.ledger() == []
    proxy.cut_after = None
    resilience.breaker.cache_clear()
    feed.load()
    assert feed.query("SELECT count(*) FROM bronze.things") == [(big,)]


def test_a_listing_that_is_cut_is_unavailable(folder: Folder, proxy: Proxy) -> None:
    proxy.cut_after = 1_000
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        folder.files("*")


def test_a_large_file_is_read_in_little_memory(folder: Folder) -> None:
    with (folder.path / "large.csv").open("wb") as file:
        file.truncate(100 << 20)
    (listed,) = folder.files("large.csv")
    tracemalloc.start()
    try:
        with listed.open() as stream:
            length = sum(map(len, iter(lambda: stream.read(1 << 16), b"")))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == 100 << 20
    assert most < 20 << 20
