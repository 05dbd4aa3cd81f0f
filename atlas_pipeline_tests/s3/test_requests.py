"""What S3 answers, as sources and backups take it: retried, followed, or refused in one sentence."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.backup.configured import backups
from atlas_pipeline.backup.store import StoreError, StoreUnavailable
from atlas_pipeline.backup.store.s3 import S3Store
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, resilience
from atlas_pipeline.ingest.sources import s3 as sources_s3
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.s3.bucket import Retries
from atlas_pipeline.s3.client import s3_client
from atlas_pipeline.settings import Settings, SettingsError
from atlas_pipeline_tests.s3.proxy import Proxy, Request
from atlas_pipeline_tests.servers import BUCKET, S3, SECRET

pytestmark = pytest.mark.slow
DATA = b"id,name\n" + b"1,Ann\n" * 500_000
ATTEMPTS = Retries.attempts
REGION = ("x-amz-bucket-region", "eu-west-1")

Side = Callable[[], Any]


@pytest.fixture
def folder(s3: S3) -> str:
    """A prefix of the test's own, with one object in it."""
    folder = uuid.uuid4().hex
    s3.client().put_object(Bucket=BUCKET, Key=f"{folder}/a.csv", Body=DATA)
    return folder


@pytest.fixture(autouse=True)
def environment(s3: S3, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to the server goes through the proxy."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setattr(sources_s3, "RETRIES", replace(sources_s3.RETRIES, pause_seconds=0.001))
    resilience.breaker.cache_clear()


@pytest.fixture(params=["source", "store"])
def read(request: pytest.FixtureRequest, folder: str) -> Side:
    """List the folder and read its object, as one of those that do."""

    def source() -> bytes:
        (file,) = FileSource(f"s3://{BUCKET}/{folder}/*.csv").list(Settings())
        with file.open() as stream:
            return stream.read()

    def store() -> bytes:
        settings = Settings()
        client = s3_client(settings.s3_endpoint_url, settings.s3_region)
        kept = S3Store(BUCKET, folder, client, pause_seconds=0.001)
        (entry,) = kept.list("")
        return b"".join(kept.get(entry.key))

    return {"source": source, "store": store}[request.param]


def error(status: int, code: str, *headers: tuple[str, str]) -> Callable[[Request], None]:
    return lambda request: request.error(status, code, *headers)


REFUSED = (SourceError, StoreError)
UNAVAILABLE = (ServiceUnavailable, StoreUnavailable)
BUSY = {
    "SlowDown": 503,
    "TooManyRequests": 429,
    "RequestTimeout": 400,
    "ThrottlingException": 400,
    "OperationAborted": 409,
    "InternalError": 500,
}


@pytest.mark.parametrize(("code", "status"), BUSY.items())
@pytest.mark.parametrize("path", ["list-type", ".csv"])
def test_a_busy_server_is_asked_again(read: Side, proxy: Proxy, path: str, code: str, status: int) -> None:
    proxy.on("GET", path, error(status, code), times=ATTEMPTS - 1)
    assert read() == DATA
    assert proxy.count("GET", path) == ATTEMPTS


@pytest.mark.parametrize("path", ["list-type", ".csv"])
def test_a_server_that_stays_busy(read: Side, proxy: Proxy, path: str) -> None:
    proxy.on("GET", path, error(503, "SlowDown"))
    with pytest.raises(UNAVAILABLE, match="the server answered SlowDown; try again later") as caught:
        read()
    assert proxy.count("GET", path) == ATTEMPTS
    assert SECRET not in str(caught.value)


REFUSALS = {
    "ExpiredToken": (400, "the credentials have expired; renew them"),
    "InvalidToken": (400, "check AWS_SESSION_TOKEN"),
    "RequestTimeTooSkewed": (403, "the clock of this machine is wrong; set it"),
    "SignatureDoesNotMatch": (403, "check AWS_SECRET_ACCESS_KEY"),
    "AccessDenied": (403, "the credentials lack s3:ListBucket"),
    "AllAccessDisabled": (403, "check the bucket's name, the region and the credentials"),
    "NotImplemented": (501, "the server"),
}


@pytest.mark.parametrize(("code", "status", "hint"), [(code, *rest) for code, rest in REFUSALS.items()], ids=REFUSALS)
def test_a_refusal_is_final_and_one_sentence(read: Side, proxy: Proxy, code: str, status: int, hint: str) -> None:
    proxy.on("GET", "list-type", error(status, code))
    with pytest.raises(REFUSED, match=rf"cannot be listed \({code}\): {hint}") as caught:
        read()
    assert proxy.count("GET", "list-type") == 1
    assert not isinstance(caught.value, UNAVAILABLE)
    assert SECRET not in str(caught.value)


def test_a_bucket_is_followed_to_its_region(read: Side, proxy: Proxy) -> None:
    regions = []

    def redirect(request: Request) -> None:
        regions.append(request.headers["Authorization"].split("/")[2])
        if regions[-1] == REGION[1]:
            request.reply(*request.forward())
        else:
            request.error(301, "PermanentRedirect", REGION)

    proxy.on("GET", "", redirect)
    assert read() == DATA
    assert regions == ["us-east-1", "eu-west-1", "eu-west-1"], "the region is kept for later requests"


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
@pytest.mark.parametrize(("headers", "region"), [([REGION], "eu-west-1"), ([], "another region")])
def test_a_region_that_leads_nowhere(
    read: Side, proxy: Proxy, code: str, headers: list[tuple[str, str]], region: str
) -> None:
    proxy.on("GET", "list-type", error(301 if code == "PermanentRedirect" else 400, code, *headers))
    with pytest.raises(REFUSED, match=rf"\({code}\): the bucket is in {region}; set ATLAS_S3_REGION to it"):
        read()


def test_checksums_are_left_to_those_who_require_them(read: Side, proxy: Proxy) -> None:
    headers: list[str] = []

    def noted(request: Request) -> None:
        headers.extend(name.lower() for name in request.headers)
        request.reply(*request.forward())

    for method in ("GET", "PUT"):
        proxy.on(method, "", noted)
    assert read() == DATA
    settings = Settings()
    kept = S3Store(BUCKET, uuid.uuid4().hex, s3_client(settings.s3_endpoint_url, settings.s3_region))
    kept.put("a", [b"x"])
    assert "content-md5" in headers
    assert not [name for name in headers if "checksum" in name or name in ("x-amz-trailer", "content-encoding")]


def test_a_read_goes_on_where_it_broke_off_in_the_same_version(read: Side, proxy: Proxy, s3: S3, folder: str) -> None:
    def broken(request: Request) -> None:
        request.reply(*request.forward(), cut=1_500_000)

    proxy.on("GET", ".csv", broken, times=1)
    assert read() == DATA
    assert proxy.count("GET", ".csv") == 2

    def replaced(request: Request) -> None:
        answer = request.forward()
        s3.client().put_object(Bucket=BUCKET, Key=f"{folder}/a.csv", Body=DATA[::-1])
        request.reply(*answer, cut=1_500_000)

    proxy.on("GET", ".csv", replaced, times=1)
    with pytest.raises(REFUSED, match="PreconditionFailed"):
        read()


def test_a_server_without_ranges_is_not_read_on(read: Side, proxy: Proxy) -> None:
    proxy.on("GET", ".csv", lambda request: request.reply(*request.forward(), cut=1_500_000), times=1)
    proxy.on("GET", ".csv", lambda request: request.reply(200, [("ETag", "x")], DATA))
    with pytest.raises(REFUSED, match="the server knows no ranges"):
        read()


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    said = r"no client for S3 \(ProfileNotFound\): check AWS_PROFILE"
    with pytest.raises(SourceError, match=said):
        FileSource(f"s3://{BUCKET}/*.csv").list(Settings())
    monkeypatch.setenv("ATLAS_BACKUP_PLACE", f"s3://{BUCKET}/p")
    with pytest.raises(SettingsError, match=said):
        backups(Settings())
