"""Blobs in Azure Storage as files of a source.

Belongs here: addresses, signing in, and what an error means. Does not belong here: patterns, asking again and reading
on (`object_store.py`). Messages of a server are not passed on: they may quote what was sent.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from atlas_pipeline.ingest.sources import CHANGED, ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.object_store import ANSWER_SECONDS, CONNECT_SECONDS, StoredObject, matching
from atlas_pipeline.settings import Settings, SettingsError

SCHEMES = ("az://", "abfs://", "abfss://")
_URL = re.compile(
    r"(?P<container>\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62})"
    r"(?:@(?P<account>[a-z0-9]{3,24})\.(?:dfs|blob)\.core\.windows\.net)?"
)
_HINTS = {
    400: "the server does not understand the request; check ATLAS_AZURE_ENDPOINT_URL",
    401: "it needs credentials; set ATLAS_AZURE_ACCOUNT_KEY or ATLAS_AZURE_SAS_TOKEN",
    403: "the credentials may not do that, or are out of date; they need the role Storage Blob Data Reader, or a token "
    "that may list and read",
    404: "there is no such container or blob",
    409: "the blob is archived or being moved; restore it first",
    412: CHANGED,
    416: CHANGED,
}


def split_url(pattern: str) -> tuple[str, str, str | None]:
    """Container, pattern of names and account of an az://, abfs:// or abfss:// URL. Raises SourceError."""
    address, _, name = pattern.partition("://")[2].partition("/")
    match = _URL.fullmatch(address)
    if not match or not name:
        raise SourceError(
            f"source {pattern.partition('?')[0]!r}: expected az://container/name-pattern, or "
            "abfss://container@account.dfs.core.windows.net/name-pattern"
        )
    return match["container"], name, match["account"]


def objects(pattern: str, settings: Settings) -> Iterator[tuple[str, SourceFile]]:
    """Each blob that matches, with its URL.

    Args:
        pattern: az://container/name-pattern.
        settings: account, credentials and endpoint.

    Raises:
        SourceError: the URL is not one, or the container cannot be listed.
        ServiceUnavailable: the server does not answer.
        SettingsError: the account is not set, or the credentials cannot be used.
    """
    container, name_pattern, account = split_url(pattern)
    base = pattern[: len(pattern) - len(name_pattern) - 1]
    yield from matching(_Container(base, container, account, settings), name_pattern)


class _Container:
    def __init__(self, url: str, name: str, account: str | None, settings: Settings):
        self.url = url
        self._client = _client(settings, name, account)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        with _words(self.url, "listed"):
            for blob in self._client.list_blobs(name_starts_with=prefix, include=["metadata"]):
                if (blob.metadata or {}).get("hdi_isfolder") == "true":  # what folders are where names are paths
                    continue
                yield StoredObject(
                    key=blob.name,
                    bytes=blob.size,
                    version=blob.etag,
                    modified=blob.last_modified.timestamp(),
                    packed=blob.content_settings.content_encoding == "gzip",
                )

    def fetch(self, item: StoredObject, offset: int, length: int) -> bytes:
        from azure.core import MatchConditions

        with _words(f"{self.url}/{item.key}", "read", {404: CHANGED}):
            stream = self._client.download_blob(
                item.key,
                offset=offset,
                length=length,
                etag=item.version,
                match_condition=MatchConditions.IfNotModified,
                max_concurrency=1,
                decompress=False,  # of what is stored as gzip a part could not be unpacked
            )
            return bytes(stream.readall())


def _client(settings: Settings, container: str, account: str | None) -> Any:
    try:
        from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import ContainerClient
    except ImportError as error:
        raise SourceError(
            f"az:// sources need packages that are not installed ({error.name} is missing): "
            "pip install 'atlas-pipeline[azure]'"
        ) from None
    known = settings.azure_account
    if known and account and account != known:
        raise SourceError(
            f"the URL names the storage account {account}, and credentials are those of ATLAS_AZURE_ACCOUNT, {known}"
        )
    account = account or known
    if not account:
        raise SettingsError("az:// sources need the name of the storage account: set ATLAS_AZURE_ACCOUNT")
    if settings.azure_account_key is not None:
        credential: Any = AzureNamedKeyCredential(account, _key(settings.azure_account_key.get_secret_value()))
    elif settings.azure_sas_token is not None:
        credential = AzureSasCredential(settings.azure_sas_token.get_secret_value().removeprefix("?"))
    else:
        credential = DefaultAzureCredential()
    endpoint = settings.azure_endpoint_url or f"https://{account}.blob.core.windows.net"
    try:
        return ContainerClient(
            endpoint,
            container,
            credential=credential,
            retry_total=0,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
        )
    except ValueError:
        raise SettingsError(
            "ATLAS_AZURE_ENDPOINT_URL: expected a URL such as https://account.blob.core.windows.net"
        ) from None


def _key(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise SettingsError("ATLAS_AZURE_ACCOUNT_KEY: expected the account's key, as the portal shows it") from None
    return text


@contextmanager
def _words(what: str, verb: str, hints: dict[int, str] | None = None) -> Iterator[None]:
    """Raise SourceError or ServiceUnavailable in place of what Azure's libraries do."""
    from azure.core import exceptions

    try:
        yield
    except exceptions.ClientAuthenticationError as error:
        hint = _HINTS[401 if error.status_code == 401 else 403]
        raise SourceError(f"{what} cannot be {verb}: {hint}") from None
    except exceptions.HttpResponseError as error:
        status = error.status_code
        if status is None or status in (408, 429) or status >= 500 or isinstance(error, exceptions.IncompleteReadError):
            said = f"the server answered {status}" if status else f"no whole answer ({type(error).__name__})"
            raise ServiceUnavailable(f"{what} cannot be {verb}: {said}") from None
        hint = {**_HINTS, **(hints or {})}.get(status, type(error).__name__)
        raise SourceError(f"{what} cannot be {verb}: {hint}") from None
    except (exceptions.ServiceRequestError, exceptions.ServiceResponseError) as error:
        raise ServiceUnavailable(f"{what} cannot be {verb}: no whole answer ({type(error).__name__})") from None
