"""Backups in S3, with a real server, and with a way to it on which requests go wrong."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atlas_pipeline.backup.store import AlreadyThere, Entry, StoreError, StoreUnavailable
from atlas_pipeline.backup.store import s3 as s3_module
from atlas_pipeline.backup.store.s3 import S3Store
from atlas_pipeline.s3.client import s3_client
from atlas_pipeline_tests.s3.proxy import Proxy, Request
from atlas_pipeline_tests.servers import BUCKET, S3, SECRET

pytestmark = pytest.mark.slow
PART = 5 << 20  # the least that S3 takes
DATA = random.Random(5).randbytes(2 * PART + 1_000_000)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


class Broken(Exception):
    pass


def chunks(data: bytes = DATA, size: int = 300_000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def make(s3: S3, client: Any = None, prefix: str = "", **options: Any) -> S3Store:
    chosen = {"part_bytes": PART, "pause_seconds": 0.01, "attempts": 3, **options}
    return S3Store(BUCKET, prefix or uuid.uuid4().hex, client or s3.client(), **chosen)


@pytest.fixture
def store(s3: S3) -> S3Store:
    return make(s3)


@pytest.fixture
def faulty(s3: S3, proxy: Proxy) -> S3Store:
    """A store on the way with faults."""
    return make(s3, s3.client(port=proxy.port))


def read(store: S3Store, key: str) -> bytes:
    return b"".join(store.get(key))


def names(store: S3Store, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def folder(store: S3Store) -> str:
    """Its prefix."""
    return store.place.removeprefix(f"s3://{BUCKET}/")


def uploads(s3: S3, store: S3Store) -> list[str]:
    found = s3.client().list_multipart_uploads(Bucket=BUCKET, Prefix=folder(store))
    return [one["Key"] for one in found.get("Uploads", [])]


def untouched(s3: S3, store: S3Store) -> None:
    """Nothing is there, and nothing half."""
    straight = make(s3, prefix=folder(store))
    assert names(straight) == []
    assert uploads(s3, straight) == []


# What it does.


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, len(DATA)])
def test_sizes(store: S3Store, s3: S3, size: int) -> None:
    data = DATA[:size]
    written = store.put("a/b", chunks(data))
    assert (written.bytes, written.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert read(store, "a/b") == data
    (entry,) = store.list("a/")
    assert (entry.key, entry.bytes, entry.modified.tzinfo) == ("a/b", size, UTC)
    assert uploads(s3, store) == []


def test_several_parts_are_several_requests(faulty: S3Store, proxy: Proxy) -> None:
    faulty.put("big", [DATA])  # one chunk, larger than two parts
    assert [proxy.count("PUT", f"partNumber={n}") for n in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert read(faulty, "big") == DATA


def test_listing_and_deleting(store: S3Store) -> None:
    for key in ("b/2", "b/1", "a", "bb/1", "b/c/ü 1"):
        store.put(key, [b"x"])
    assert names(store, "b/") == ["b/1", "b/2", "b/c/ü 1"]
    assert names(store) == ["a", "b/1", "b/2", "b/c/ü 1", "bb/1"]
    assert names(store, "nothing/") == []
    store.delete(["b/1", "b/c/ü 1", "not there"])
    assert names(store) == ["a", "b/2", "bb/1"]
    with pytest.raises(StoreError, match="does not end in /"):
        names(store, "b")


def test_more_objects_than_one_page_holds(store: S3Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put_new(f"{n:04}", b""), range(1005)))
    assert names(store) == [f"{n:04}" for n in range(1005)]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", "x" * 300])
def test_keys_that_lead_elsewhere(store: S3Store, key: str) -> None:
    for act in (lambda: store.put(key, [b"x"]), lambda: read(store, key), lambda: store.delete([key])):
        with pytest.raises(StoreError, match="is not a key"):
            act()


def test_of_twenty_at_once_one_wins(store: S3Store) -> None:
    barrier = threading.Barrier(20)

    def attempt(number: int) -> bool:
        barrier.wait(30)
        try:
            store.put_new("manifest", f"{number}".encode())
        except AlreadyThere:
            return False
        return True

    for _ in range(3):
        with ThreadPoolExecutor(20) as pool:
            won = list(pool.map(attempt, range(20)))
        assert sum(won) == 1
        with pytest.raises(AlreadyThere, match="manifest is already there, and stays as it is"):
            store.put_new("manifest", b"late")
        assert read(store, "manifest") == f"{won.index(True)}".encode()
        store.delete(["manifest"])


def test_options_are_passed_on(s3: S3) -> None:
    client, seen = s3.client(), []
    client.meta.events.register(
        "before-parameter-build.s3", lambda params, model, **_: seen.append((model.name, params))
    )
    store = make(s3, client, storage_class="STANDARD_IA", sse="aws:kms", kms_key_id="a-key")
    wanted = {"StorageClass": "STANDARD_IA", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "a-key"}
    for put in (lambda: store.put("a", [b"x"]), lambda: store.put_new("b", b"x"), lambda: store.put("c", [DATA])):
        with pytest.raises(StoreError):  # this server has no KMS, and says so
            put()
    asked = [(name, {key: params.get(key) for key in wanted}) for name, params in seen if not name.startswith("Abort")]
    assert {name for name, _ in asked} >= {"PutObject", "CreateMultipartUpload"}
    assert all(options == wanted for name, options in asked if name in ("PutObject", "CreateMultipartUpload"))
    plain = make(s3, storage_class="STANDARD_IA")
    plain.put("a", [b"x"])
    plain.put("b", [DATA])
    found = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=folder(plain))["Contents"]
    assert [one["StorageClass"] for one in found] == ["STANDARD_IA"] * 2


# What breaks off.


@pytest.mark.parametrize("after", [0, 1, 20, 36])
def test_a_source_that_breaks_leaves_nothing(store: S3Store, s3: S3, after: int) -> None:
    def breaking() -> Iterator[bytes]:
        for number, chunk in enumerate(chunks()):
            if number == after:
                raise Broken
            yield chunk

    with pytest.raises(Broken):
        store.put("big", breaking())
    untouched(s3, store)


def test_a_kill_leaves_nothing_visible_and_is_swept(store: S3Store, s3: S3) -> None:
    code = f"""
import os, sys, time
from atlas_pipeline_tests.servers import S3
from atlas_pipeline.backup.store.s3 import S3Store
from atlas_pipeline.s3.client import s3_client
store = S3Store({BUCKET!r}, {folder(store)!r}, S3({s3.port}).client(), part_bytes={PART})
def chunks():
    yield os.urandom({PART} + 1)
    print("half", flush=True)
    time.sleep(600)
store.put("big", chunks())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
        child.send_signal(signal.SIGKILL)
    assert names(store) == []
    assert len(uploads(s3, store)) == 1
    other = make(s3)
    assert other.sweep(TOMORROW) == 0, "it is below another prefix"
    assert store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0, "it is not old"
    assert store.sweep(TOMORROW) == 1
    assert uploads(s3, store) == []
    assert store.sweep(TOMORROW) == 0


def error(status: int, code: str) -> Any:
    return lambda request: request.error(status, code)


def cut_answer(request: Request) -> None:
    """The server has done it, and nobody hears of it."""
    request.forward()
    request.hang_up()


def flipped(request: Request) -> None:
    body = bytearray(request.body)
    body[len(body) // 2] ^= 1
    request.body = bytes(body)
    request.reply(*request.forward())


FAULTS = {
    "500": error(500, "InternalError"),
    "503": error(503, "SlowDown"),
    "429": error(429, "TooManyRequests"),
    "400 timeout": error(400, "RequestTimeout"),
    "cut": "cut",
    "flipped": flipped,
    "answer lost": cut_answer,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_part_that_fails_is_sent_again(faulty: S3Store, proxy: Proxy, name: str) -> None:
    proxy.on("PUT", "partNumber=2", FAULTS[name], times=2)
    faulty.put("big", chunks())
    assert proxy.count("PUT", "partNumber=2") == 3
    assert proxy.count("PUT", "partNumber=1") == 1
    assert read(faulty, "big") == DATA


@pytest.mark.parametrize("name", list(FAULTS))
@pytest.mark.parametrize("part", [1, 3])
def test_a_part_that_fails_for_good_leaves_nothing(faulty: S3Store, proxy: Proxy, s3: S3, name: str, part: int) -> None:
    proxy.on("PUT", f"partNumber={part}", FAULTS[name])
    with pytest.raises(StoreUnavailable, match=f"{faulty.place}/big cannot be written: the server") as caught:
        faulty.put("big", chunks())
    assert SECRET not in str(caught.value)
    assert proxy.count("PUT", f"partNumber={part}") == 3
    untouched(s3, faulty)


def test_a_server_that_hangs(faulty: S3Store, proxy: Proxy, s3: S3) -> None:
    proxy.on("PUT", "partNumber=2", proxy.hang, times=1)
    faulty.put("big", chunks())
    proxy.on("PUT", "partNumber=1", proxy.hang)
    with pytest.raises(StoreUnavailable, match=r"does not answer \(ReadTimeoutError\); check the endpoint"):
        faulty.put("other", chunks())
    assert names(faulty) == ["big"]
    assert uploads(s3, faulty) == []


def ok_with_error(request: Request) -> None:
    """How S3 answers when it fails after it began to answer."""
    request.error(200, "InternalError")


def ok_and_half(request: Request) -> None:
    status, headers, data = request.forward()
    request.reply(status, headers, data[: len(data) // 2])


def ok_and_nothing(request: Request) -> None:
    """A proxy in between says that all is well, and asked nobody."""
    request.reply(200, [], b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")


COMPLETE = "uploadId="


@pytest.mark.parametrize("fault", [ok_with_error, error(500, "InternalError"), "cut"], ids=["200", "500", "cut"])
def test_a_completion_that_fails(faulty: S3Store, proxy: Proxy, s3: S3, fault: Any) -> None:
    proxy.on("POST", COMPLETE, fault, times=2)
    faulty.put("once", chunks())
    assert read(faulty, "once") == DATA
    faulty.delete(["once"])
    proxy.on("POST", COMPLETE, fault)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        faulty.put("big", chunks())
    untouched(s3, faulty)


@pytest.mark.parametrize("fault", [cut_answer, ok_and_half], ids=["lost", "half"])
def test_a_completion_whose_answer_got_lost_is_one(faulty: S3Store, proxy: Proxy, fault: Any) -> None:
    proxy.on("POST", COMPLETE, fault, times=1)
    faulty.put("big", chunks())
    assert proxy.count("POST", COMPLETE) == 2
    assert read(faulty, "big") == DATA


def test_a_completion_whose_answer_got_lost_where_the_upload_is_then_unknown(faulty: S3Store, proxy: Proxy) -> None:
    """As some servers have it: the second time there is no such upload. The object's token tells whose it is."""
    proxy.on("POST", COMPLETE, cut_answer, times=1)
    proxy.on("POST", COMPLETE, error(404, "NoSuchUpload"))
    faulty.put("big", chunks())
    assert read(faulty, "big") == DATA
    with pytest.raises(StoreError, match=r"\(NoSuchUpload\): its upload was ended by someone else"):
        faulty.put("big", chunks())  # as large as what is there, and not it


def test_a_completion_that_did_not_happen_is_noticed(faulty: S3Store, proxy: Proxy) -> None:
    proxy.on("POST", COMPLETE, ok_and_nothing)
    with pytest.raises(StoreError, match=r"cannot be read \(NoSuchKey\): it is not there"):
        faulty.put("big", chunks())
    faulty.put("old", [b"x"])
    with pytest.raises(StoreError, match="is of someone else"):
        faulty.put("old", chunks())


def test_an_object_of_another_size_is_noticed(faulty: S3Store, proxy: Proxy, s3: S3) -> None:
    def longer(request: Request) -> None:
        status, headers, data = request.forward()
        request.reply(status, [*[one for one in headers if one[0] != "Content-Length"], ("Content-Length", "7")], data)

    proxy.on("HEAD", "big", longer)
    with pytest.raises(StoreError, match=f"has 7 bytes where {len(DATA)} were sent; it was removed"):
        faulty.put("big", chunks())
    untouched(s3, faulty)


def test_an_upload_that_someone_else_ended(faulty: S3Store, proxy: Proxy, s3: S3) -> None:
    def ended(request: Request) -> None:
        assert make(s3, prefix=folder(faulty)).sweep(TOMORROW) == 1
        request.reply(*request.forward())

    proxy.on("PUT", "partNumber=2", ended, times=1)
    with pytest.raises(StoreError, match=r"\(NoSuchUpload\): its upload was ended by someone else"):
        faulty.put("big", chunks())
    untouched(s3, faulty)


def test_a_new_object_whose_answer_got_lost_is_ones_own(faulty: S3Store, proxy: Proxy) -> None:
    proxy.on("PUT", "manifest", cut_answer, times=1)
    faulty.put_new("manifest", b"mine")
    assert proxy.count("PUT", "manifest") == 2
    with pytest.raises(AlreadyThere):
        faulty.put_new("manifest", b"mine")


# Reading.


@pytest.mark.parametrize("cut", [0, 3_000_000])
def test_a_read_that_breaks_goes_on(faulty: S3Store, proxy: Proxy, cut: int) -> None:
    faulty.put("big", [DATA])

    def broken(request: Request) -> None:
        status, headers, data = request.forward()
        request.reply(status, headers, data, cut=cut)

    proxy.on("GET", "big", broken, times=2)
    assert read(faulty, "big") == DATA
    proxy.on("GET", "big", broken)
    if cut == 0:
        with pytest.raises(StoreUnavailable, match=f"has {len(DATA)} bytes, and only 0 came: the connection broke 3 t"):
            read(faulty, "big")
    else:
        assert read(faulty, "big") == DATA


def test_a_read_of_something_else_halfway(faulty: S3Store, proxy: Proxy) -> None:
    """It was replaced, or the server begins anew: nothing is put together of two."""
    faulty.put("big", [DATA])

    def broken(request: Request) -> None:
        status, headers, data = request.forward()
        faulty.put("big", [DATA[::-1]])
        request.reply(status, headers, data, cut=3_000_000)

    proxy.on("GET", "big", broken, times=1)
    with pytest.raises(StoreError, match=r"\(PreconditionFailed\): it was replaced while it was read"):
        read(faulty, "big")

    def from_the_start(request: Request) -> None:
        del request.headers["Range"]
        request.reply(*request.forward())

    proxy.faults.clear()
    proxy.on("GET", "big", lambda request: request.reply(*request.forward(), cut=3_000_000), times=1)
    proxy.on("GET", "big", lambda request: request.reply(200, [("ETag", "x")], DATA), times=1)
    with pytest.raises(StoreError, match="the server knows no ranges"):
        read(faulty, "big")


# What S3 refuses.


def test_refusals_are_one_sentence(s3: S3, store: S3Store) -> None:
    def said(client: Any, bucket: str = BUCKET) -> str:
        with pytest.raises(StoreError) as caught:
            S3Store(bucket, "p", client, attempts=2, pause_seconds=0.01).check()
        assert SECRET not in str(caught.value)
        return str(caught.value)

    assert "(NoSuchBucket): there is no such bucket; make it" in said(s3.client(), "nowhere")
    assert "(AccessDenied): the credentials lack s3:PutObject" in said(s3.client("reader"))
    assert "(AccessDenied): the credentials lack s3:GetObject" in said(s3.client("writer"))
    assert "(AccessDenied): the credentials lack s3:ListBucket" in said(s3.client("blind"))
    assert "(SignatureDoesNotMatch): check AWS_SECRET_ACCESS_KEY" in said(s3.client(secret="wrong"))
    assert "(InvalidAccessKeyId): check AWS_ACCESS_KEY_ID" in said(s3.client("stranger"))
    assert "does not answer (EndpointConnectionError); check the endpoint" in said(s3.client(port=1))
    assert "check the bucket's name" in said(s3.client(), "no bucket!")
    with pytest.raises(StoreError, match=r"cannot be read \(NoSuchKey\): it is not there"):
        read(store, "nothing")


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3Store("bucket", "", s3_client("http://127.0.0.1:1", "us-east-1"))
    with pytest.raises(StoreError, match=r"s3://bucket .* no credentials. Set AWS_ACCESS_KEY_ID"):
        store.check()


def test_a_check_finds_what_a_server_cannot(faulty: S3Store, proxy: Proxy, s3: S3) -> None:
    faulty.check()
    untouched(s3, faulty)
    proxy.on("PUT", "/new", error(501, "NotImplemented"))
    with pytest.raises(StoreError, match=r"\(NotImplemented\): the server cannot do this; it needs multipart uploads"):
        faulty.check()
    proxy.faults.clear()

    def unconditional(request: Request) -> None:
        request.reply(200, [("ETag", "x")], b"")

    proxy.on("PUT", "/new", unconditional)
    with pytest.raises(StoreError, match="replaces objects that were not to be"):
        faulty.check()
    for method, path, permission in (
        ("DELETE", "/put", "s3:DeleteObject"),
        ("DELETE", "uploadId", "s3:AbortMultipartUpload"),
        ("GET", "uploads", "s3:ListBucketMultipartUploads"),
        ("POST", "uploads", "s3:PutObject"),
    ):
        proxy.faults.clear()
        proxy.on(method, path, error(403, "AccessDenied"))
        with pytest.raises(StoreError, match=rf"\(AccessDenied\): the credentials lack .*{permission}"):
            faulty.check()


def test_too_many_parts(store: S3Store, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "MOST_PARTS", 2)
    with pytest.raises(StoreError, match="is larger than 0 GiB, which S3 takes in parts of this size"):
        store.put("big", chunks())
    untouched(s3, store)


def test_memory_is_that_of_one_part(s3: S3) -> None:
    code = f"""
import os, resource
from atlas_pipeline_tests.servers import S3
from atlas_pipeline.backup.store.s3 import S3Store
from atlas_pipeline.s3.client import s3_client
store = S3Store({BUCKET!r}, "memory", S3({s3.port}).client(), part_bytes=32 << 20)
block = os.urandom(1 << 20)
for size in (33, 200):
    store.put("big", (block for _ in range(size)))
    assert sum(map(len, store.get("big"))) == size << 20
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
store.delete(["big"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    few, many = map(int, done.stdout.split())
    assert many - few < 8, done.stdout


def test_entries_are_plain(store: S3Store) -> None:
    store.put("a", [b"x"])
    assert isinstance(next(iter(store.list(""))), Entry)
