"""Backups as the settings configure them: databases, store, keys.

Belongs here: making `service.Backups` from settings. Does not belong here: what is done with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from psycopg import conninfo
from pydantic import SecretStr

from atlas_pipeline.backup import configuration
from atlas_pipeline.backup.engine import BackupFailed
from atlas_pipeline.backup.installation import installation
from atlas_pipeline.backup.pg_dump.engine import PgDump
from atlas_pipeline.backup.sealing import SealError, identities_of, recipient_of
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.signing import KeyFault, Signing, signing
from atlas_pipeline.backup.store import Store
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.settings import Settings, SettingsError
from atlas_pipeline.warehouse.bootstrap import BACKUP
from atlas_pipeline.warehouse.connect import DAGSTER, WAREHOUSE, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

MIB = 1 << 20


@dataclass(frozen=True)
class Database:
    """A database to back up: its name, the URL that reads it, and one of the same server that may replace it."""

    name: str
    url: str
    admin_url: str
    set_up: bool = True

    def refuse_unless_set_up(self) -> None:
        """Raise BackupFailed if the embedded server has no such database yet."""
        if not self.set_up:
            raise BackupFailed(
                f"{self.name} is not set up yet, so there is nothing to back up: `atlas up` or `atlas demo` does that"
            )


def databases(settings: Settings) -> dict[str, Database]:
    """The databases to back up, by name: the warehouse and Dagster's own.

    Starts the embedded server when one of them is there. On a server of the user's own the settings say which roles
    read and restore. Raises SettingsError when both have one name, or a password has no role.
    """
    by_name: dict[str, Database] = {}
    for name, url in _names_and_urls(settings):
        if url is None:
            server = EmbeddedPostgres.running(settings.home_path)
            admin_url = server.url(SUPERUSER, SUPERUSER)
            by_name[name] = Database(name, server.url(name, BACKUP), admin_url, _exists(admin_url, name))
        else:
            by_name[name] = Database(
                name,
                _as_role(url, settings, "backup"),
                conninfo.make_conninfo(_as_role(url, settings, "restore"), dbname="postgres"),
            )
    return by_name


def _exists(admin_url: str, name: str) -> bool:
    with connect(admin_url) as connection:
        return connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _as_role(url: str, settings: Settings, task: Literal["backup", "restore"]) -> str:
    """The URL with the role and password of a task (`ATLAS_BACKUP_ROLE`, …), if they are set."""
    role: str | None = getattr(settings, f"{task}_role")
    password: SecretStr | None = getattr(settings, f"{task}_password")
    if not role:
        if password:
            raise SettingsError(f"ATLAS_{task.upper()}_PASSWORD is set, and ATLAS_{task.upper()}_ROLE is not")
        return url
    parts = {name: value for name, value in conninfo.conninfo_to_dict(url).items() if name != "password"}
    return conninfo.make_conninfo(
        "", **parts | {"user": role, "password": password.get_secret_value() if password else None}
    )


def names(settings: Settings) -> list[str]:
    """The names of those databases; no server is started. Raises SettingsError as `databases` does."""
    return [name for name, _ in _names_and_urls(settings)]


def dagsters_own(settings: Settings) -> str:
    """The name of Dagster's own database."""
    return names(settings)[-1]


def _names_and_urls(settings: Settings) -> list[tuple[str, str | None]]:
    """The warehouse and Dagster's own: name, and URL unless it is on the embedded server."""
    urls: list[tuple[str, str | None]] = []
    for default, secret in ((WAREHOUSE, settings.database_url), (DAGSTER, settings.dagster_database_url)):
        url = secret.get_secret_value() if secret else None
        urls.append((str(conninfo.conninfo_to_dict(url)["dbname"]) if url else default, url))
    if urls[0][0] == urls[1][0]:
        raise SettingsError(f"two databases to back up are called {urls[0][0]}: give Dagster's another name")
    return urls


def backups(settings: Settings, make_s3_client: Callable[[], Any] | None = None) -> Backups:
    """The backups of this installation.

    Args:
        settings: place, keys, spool and exclusions.
        make_s3_client: makes the client when the place is in S3; null makes it from the settings.

    Raises:
        SettingsError: a place, key or AWS configuration cannot be used.
    """
    spool = settings.backup_spool or settings.home_path / "spool"
    try:
        recipients = tuple(recipient_of(item.strip()) for item in settings.backup_recipients.split(",") if item.strip())
        identities: tuple[object, ...] = ()
        if settings.backup_identity_file:
            path = settings.backup_identity_file
            identities = identities_of(path.read_text(encoding="utf-8"), str(path))
    except SealError as error:
        raise SettingsError(f"backups: {error}") from None
    except OSError as error:
        raise SettingsError(f"ATLAS_BACKUP_IDENTITY_FILE cannot be read: {error.strerror}") from None
    signed = _signing(settings)
    exclude = tuple(item.strip() for item in settings.backup_exclude.split(",") if item.strip())
    beside = {configuration.NAME: partial(configuration.configuration, settings)}
    asked = partial(_installation, settings)
    options = Options(settings.backup_jobs, exclude, recipients, identities, beside, asked, signed)
    return Backups(
        _store(settings, make_s3_client), PgDump(Path(spool), spool_bytes=settings.backup_spool_mb * MIB), options
    )


def _signing(settings: Settings) -> Signing | None:
    try:
        pem = settings.backup_signing_key_file.read_bytes() if settings.backup_signing_key_file else None
        return signing(pem, str(settings.backup_signing_key_file), settings.backup_signers)
    except KeyFault as error:
        raise SettingsError(f"backups: {error}") from None
    except OSError as error:
        raise SettingsError(f"ATLAS_BACKUP_SIGNING_KEY_FILE cannot be read: {error.strerror}") from None


def _installation(settings: Settings) -> str | None:
    """Which installation this is; no server is started to ask."""
    name, url = _names_and_urls(settings)[0]
    if url:
        url = _as_role(url, settings, "backup")
    elif (server := EmbeddedPostgres(settings.home_path)).is_up():
        url = server.url(name, BACKUP)
    return installation(url, settings.home_path)


def drill_url(settings: Settings) -> str | None:
    """The server of drills; null for an embedded one."""
    return settings.drill_url.get_secret_value() if settings.drill_url else None


def s3_options(settings: Settings) -> dict[str, Any]:
    """Arguments of `s3_client`. The store tries again by itself, so the client does not."""
    return {"endpoint_url": settings.s3_endpoint_url, "region_name": settings.s3_region, "max_attempts": 1}


def _store(settings: Settings, make_s3_client: Callable[[], Any] | None) -> Store:
    place = settings.backup_place
    if not place.startswith("s3://"):
        return FolderStore(settings.home_path / place)
    from atlas_pipeline.backup.store.s3 import S3Store
    from atlas_pipeline.s3.client import s3_client
    from atlas_pipeline.s3.errors import S3Error

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if not bucket:
        raise SettingsError(f"ATLAS_BACKUP_PLACE is {place}: expected s3://bucket/prefix")
    try:
        client = make_s3_client() if make_s3_client else s3_client(**s3_options(settings))
    except S3Error as error:
        raise SettingsError(f"backups: {error}") from None
    return S3Store(
        bucket,
        prefix,
        client,
        storage_class=settings.backup_storage_class,
        sse=settings.backup_sse,
        kms_key_id=settings.backup_kms_key_id,
    )
