"""Objects in Google Cloud Storage as files of a source.

Belongs here: addresses, signing in, and what an error means. Does not belong here: patterns, asking again and reading
on (`object_store.py`). Messages of a server are not passed on: they may quote what was sent.
"""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from atlas_pipeline.ingest.sources import CHANGED, ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.object_store import ANSWER_SECONDS, CONNECT_SECONDS, StoredObject, matching
from atlas_pipeline.settings import Settings, SettingsError

SCHEME = "gs://"
_FIELDS = "items(name,size,generation,updated,contentEncoding),nextPageToken"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_TIMEOUT = (CONNECT_SECONDS, ANSWER_SECONDS)
_HINTS = {
    400: "the server does not understand the request; check ATLAS_GCS_ENDPOINT_URL",
    401: "it needs credentials; set ATLAS_GCS_CREDENTIALS_FILE",
    403: "the credentials may not do that; they need storage.objects.list and storage.objects.get",
    404: "there is no such bucket or object",
    412: CHANGED,
    416: CHANGED,
}


def split_url(pattern: str) -> tuple[str, str]:
    """Bucket and key pattern of a gs:// URL. Raises SourceError."""
    bucket, _, key = pattern.removeprefix(SCHEME).partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket) or not key:
        raise SourceError(f"source {pattern!r}: expected gs://bucket/key-pattern")
    return bucket, key


def objects(pattern: str, settings: Settings) -> Iterator[tuple[str, SourceFile]]:
    """Each object that matches, with its URL.

    Args:
        pattern: gs://bucket/key-pattern.
        settings: credentials and endpoint.

    Raises:
        SourceError: the URL is not one, or the bucket cannot be listed.
        ServiceUnavailable: the server does not answer.
        SettingsError: the credentials cannot be used.
    """
    bucket, key_pattern = split_url(pattern)
    yield from matching(_Bucket(bucket, settings), key_pattern)


class _Bucket:
    def __init__(self, name: str, settings: Settings):
        self.url = f"{SCHEME}{name}"
        with _words(self.url, "listed"):
            client = _client(settings)
        self._bucket = client.bucket(name)
        self._client = client

    def list(self, prefix: str) -> Iterator[StoredObject]:
        with _words(self.url, "listed"):
            listed = self._client.list_blobs(
                self._bucket, prefix=prefix, fields=_FIELDS, timeout=_TIMEOUT, retry=None, page_size=1000
            )
            for blob in listed:
                yield StoredObject(
                    key=blob.name,
                    bytes=blob.size or 0,
                    version=str(blob.generation),
                    modified=blob.updated.timestamp(),
                    packed=blob.content_encoding == "gzip",
                )

    def fetch(self, item: StoredObject, offset: int, length: int) -> bytes:
        generation = int(item.version)
        blob = self._bucket.blob(item.key, generation=generation)
        data = io.BytesIO()
        with _words(f"{self.url}/{item.key}", "read", {404: CHANGED}):
            blob.download_to_file(
                data,
                client=self._client,
                start=offset,
                end=offset + length - 1,
                raw_download=True,  # else what is stored as gzip comes unpacked, and cannot be asked for in parts
                if_generation_match=generation,
                checksum=None,
                timeout=_TIMEOUT,
                retry=None,
            )
        return data.getvalue()


def _client(settings: Settings) -> Any:
    try:
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage
    except ImportError as error:
        raise SourceError(
            f"gs:// sources need packages that are not installed ({error.name} is missing): "
            "pip install 'atlas-pipeline[gcs]'"
        ) from None
    endpoint = settings.gcs_endpoint_url
    if settings.gcs_credentials is not None:
        text = settings.gcs_credentials.get_secret_value()
        try:
            load: Any = google.auth.load_credentials_from_dict
            credentials, _ = load(json.loads(text), scopes=[_SCOPE])
        except (ValueError, TypeError, AttributeError, google.auth.exceptions.GoogleAuthError):
            raise SettingsError(
                "ATLAS_GCS_CREDENTIALS: expected the JSON of a service account's key, or of a federated identity, as "
                "Google hands it out"
            ) from None
    elif endpoint:
        anonymous: Any = AnonymousCredentials
        credentials = anonymous()
    else:
        try:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
        except google.auth.exceptions.DefaultCredentialsError:
            raise SourceError(
                "gs:// sources need credentials: set ATLAS_GCS_CREDENTIALS_FILE to the JSON key of a service account"
            ) from None
    return storage.Client(
        project="atlas", credentials=credentials, client_options={"api_endpoint": endpoint} if endpoint else None
    )


@contextmanager
def _words(what: str, verb: str, hints: dict[int, str] | None = None) -> Iterator[None]:
    """Raise SourceError or ServiceUnavailable in place of what Google's libraries and requests do."""
    import requests

    try:
        yield
    except (SourceError, SettingsError):
        raise
    except Exception as error:
        status = getattr(error, "code", None)
        status = status if isinstance(status, int) else None
        name, library = type(error).__name__, type(error).__module__.partition(".")[0]
        if (
            isinstance(error, requests.RequestException) or library == "urllib3"
        ):  # which comes through where raw is read
            raise ServiceUnavailable(f"{what} cannot be {verb}: no whole answer ({name})") from None
        if type(error).__module__.startswith("google.auth"):
            if name == "TransportError" or getattr(error, "retryable", False):
                raise ServiceUnavailable(f"{what} cannot be {verb}: Google does not sign in ({name})") from None
            raise SourceError(f"{what} cannot be {verb}: Google refuses the credentials ({name})") from None
        if status is None:
            raise
        if status == 429 or status == 408 or status >= 500:
            raise ServiceUnavailable(f"{what} cannot be {verb}: the server answered {status}") from None
        hint = {**_HINTS, **(hints or {})}.get(status, name)
        raise SourceError(f"{what} cannot be {verb}: {hint}") from None
