"""Settings: where they come from, what is refused, and that no secret is ever shown."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas_pipeline import environment
from atlas_pipeline.settings import PROJECT_ROOT, Settings, SettingsError, load_settings, source_database_url

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No cache from before, no `.env` of the checkout."""
    monkeypatch.setattr(environment, "_dotenv", lambda: {})
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_defaults_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATLAS_SETTLE_SECONDS", raising=False)
    settings = load_settings()
    assert settings.home_path == PROJECT_ROOT / ".atlas"
    assert settings.landing_path == PROJECT_ROOT / ".atlas" / "landing"
    assert (settings.host, settings.port, settings.settle_seconds) == ("127.0.0.1", 3000, 5.0)


def test_paths_count_from_the_project_root_unless_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATLAS_HOME", "elsewhere")
    monkeypatch.setenv("ATLAS_LANDING", str(tmp_path))
    assert load_settings().home_path == PROJECT_ROOT / "elsewhere"
    assert load_settings().landing_path == tmp_path


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ATLAS_PORTT", "did you mean ATLAS_PORT?"), ("ATLAS_ZZZZZZ_QQQQ", "see docs/configuration.md")],
)
def test_an_unknown_setting_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(SettingsError, match=f"unknown setting {name}") as caught:
        load_settings()
    assert hint in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_unknown_setting_in_dotenv_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_dotenv", lambda: {"ATLAS_HOEM": "x", "SHOP_DATABASE_URL": "postgresql://h/db"})
    with pytest.raises(SettingsError, match="ATLAS_HOEM: did you mean ATLAS_HOME"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATLAS_DATABASE_URL", "<CHANGE_ME_URL>"),
        ("ATLAS_DATABASE_URL", f"postgresql://atlas:{SECRET}<CHANGE_ME_PASSWORD>@db/atlas"),
        ("ATLAS_PII_HASH_KEY", f"{SECRET}<CHANGE_ME_KEY>"),
        ("ATLAS_LANDING", "<CHANGE_ME_FOLDER>"),
        ("ATLAS_SECRETS_DIR", "<CHANGE_ME_FOLDER>"),
    ],
)
def test_a_placeholder_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} still holds a <CHANGE_ME_") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


def test_every_value_to_change_in_the_example_is_refused() -> None:
    from dotenv import dotenv_values

    example = dotenv_values(PROJECT_ROOT / ".env.example")
    assert {name for name, value in example.items() if "<CHANGE_ME" in (value or "")} >= {
        "ATLAS_DATABASE_URL",
        "ATLAS_DAGSTER_DATABASE_URL",
        "ATLAS_PII_HASH_KEY",
    }
    assert set(example) <= {f"ATLAS_{name.upper()}" for name in Settings.model_fields}


def filled(environment: str) -> dict[str, str]:
    """The variables that an example in docker/env/ sets."""
    from dotenv import dotenv_values

    values = dotenv_values(PROJECT_ROOT / "docker" / "env" / f"{environment}.env.example")
    return {name: value or "" for name, value in values.items()}


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_an_example_is_refused_as_it_is_and_loads_when_it_is_filled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: str
) -> None:
    import yaml

    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    compose = yaml.safe_load((PROJECT_ROOT / "docker" / "compose.yaml").read_text())["x-atlas-environment"]
    example = filled(environment)
    for name, value in (example | compose).items():
        monkeypatch.setenv(name, str(secret) if name.endswith("_FILE") else value)
    left = [name for name, value in example.items() if "<CHANGE_ME_" in value]
    assert "GATEWAY_SERVER_NAME" in left
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert [name for name in left if f"{name} still holds" not in str(caught.value)] == []
    for name in left:
        monkeypatch.setenv(name, "ops=json://alerts.example.com" if name == "ATLAS_ALERT_CHANNELS" else "real.example")
    settings = load_settings()
    assert settings.environment == environment
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == f"postgresql://atlas_owner:{SECRET}@postgres:5432/atlas"


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("GATEWAY_SERVER_NAME", "<CHANGE_ME_SERVER_NAME>", True),
        ("SHOP_DATABASE_URL", "postgresql://shop:<CHANGE_ME_PASSWORD>@h/db", True),
        ("CI_COMMIT_MESSAGE", "a <CHANGE_ME_…> is refused", False),
    ],
)
def test_placeholders_of_other_variables(monkeypatch: pytest.MonkeyPatch, name: str, value: str, refused: bool) -> None:
    monkeypatch.setenv(name, value)
    if not refused:
        load_settings()
        return
    with pytest.raises(SettingsError, match=f"{name} still holds a <CHANGE_ME_"):
        load_settings()


def test_placeholders_of_dotenv_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_dotenv", lambda: {"GATEWAY_AUTH": "<CHANGE_ME", "ATLAS_PORT": None})
    with pytest.raises(SettingsError, match="GATEWAY_AUTH still holds a <CHANGE_ME_"):
        load_settings()


def test_a_setting_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in (("port", "4000\n"), ("key", f"{SECRET}\r\n"), ("url", "postgresql://h/db\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("ATLAS_PORT_FILE", str(tmp_path / "port"))
    monkeypatch.setenv("ATLAS_PII_HASH_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("SHOP_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("ATLAS_ALERTS_FILE", "policies.yaml")
    settings = load_settings()
    assert settings.port == 4000
    assert settings.pii_hash_key is not None
    assert settings.pii_hash_key.get_secret_value() == SECRET
    assert settings.alerts_file == Path("policies.yaml"), "a setting of its own, no file of another"
    assert source_database_url("SHOP_DATABASE_URL") == "postgresql://h/db"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "no UTF-8"),
        (b"<CHANGE_ME_\xe2\x80\xa6>", "placeholder"),
    ],
)
@pytest.mark.parametrize("name", ["ATLAS_PII_HASH_KEY_FILE", "SHOP_DATABASE_URL_FILE"])
def test_a_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv(name, str(tmp_path / "file"))
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings() if name.startswith("ATLAS_") else source_database_url("SHOP_DATABASE_URL")
    assert f"{name}: " in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)


def test_a_setting_that_is_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    monkeypatch.setenv("ATLAS_PII_HASH_KEY", SECRET)
    monkeypatch.setenv("ATLAS_PII_HASH_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="ATLAS_PII_HASH_KEY and ATLAS_PII_HASH_KEY_FILE are both set") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://atlas_owner@db:5432/atlas", "postgresql://atlas_owner:a%2Fb%40c%25%20d@db:5432/atlas"),
        ("postgresql://atlas_owner@a:1,b:2/atlas?x=y", "postgresql://atlas_owner:a%2Fb%40c%25%20d@a:1,b:2/atlas?x=y"),
        ("postgresql://atlas_owner:own@db/atlas", "postgresql://atlas_owner:own@db/atlas"),
        ("postgresql://atlas_owner@db/atlas?password=own", "postgresql://atlas_owner@db/atlas?password=own"),
    ],
)
def test_the_password_is_put_into_urls_that_hold_none(monkeypatch: pytest.MonkeyPatch, url: str, expected: str) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_PASSWORD", "a/b@c% d")
    monkeypatch.setenv("ATLAS_DATABASE_URL", url)
    monkeypatch.setenv("ATLAS_DAGSTER_DATABASE_URL", url)
    settings = load_settings()
    for one in (settings.database_url, settings.dagster_database_url):
        assert one is not None
        assert one.get_secret_value() == expected


def test_a_url_without_a_user_takes_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_PASSWORD", SECRET)
    monkeypatch.setenv("ATLAS_DAGSTER_DATABASE_URL", "postgresql://db/dagster")
    with pytest.raises(SettingsError, match="ATLAS_DAGSTER_DATABASE_URL names no user") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


WEAK = [
    "postgres",
    "Password",
    "changeme",
    "atlas_owner",
    "123456",
    "aaaaaaaaaaaaaaaa",
    "short-one",
    "admin-admin-2024",
]


@pytest.mark.parametrize("weak", WEAK)
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("ATLAS_DATABASE_PASSWORD", "{}"),
        ("ATLAS_DATABASE_URL", "postgresql://atlas_owner:{}@db/atlas"),
        ("ATLAS_BACKUP_PASSWORD", "{}"),
        ("ATLAS_PII_HASH_KEY", "{}"),
        ("ATLAS_ALERT_CHANNELS", "mail=mailtos://atlas_owner:{}@mail.example.com"),
    ],
)
@pytest.mark.parametrize("where", ["staging", "production"])
def test_weak_secrets_are_refused_outside_of_development(
    monkeypatch: pytest.MonkeyPatch, where: str, name: str, template: str, weak: str
) -> None:
    for key in ("ATLAS_PII_HASH_KEY", "ATLAS_PII_ENCRYPT_KEY"):
        monkeypatch.setenv(key, SECRET)
    monkeypatch.setenv("ATLAS_BACKUP_ROLE", "atlas_owner")
    monkeypatch.setenv(name, template.format(weak))
    load_settings()
    load_settings.cache_clear()
    monkeypatch.setenv("ATLAS_ENVIRONMENT", where)
    with pytest.raises(SettingsError, match=f"refused in {where}: {name}: the (password|key) is weak") as caught:
        load_settings()
    assert "openssl rand -base64 32" in str(caught.value)
    assert weak not in str(caught.value).replace(name, "")
    monkeypatch.setenv(name, template.format(SECRET))
    load_settings()


def test_production_names_each_key_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_ENVIRONMENT", "staging")
    load_settings()
    load_settings.cache_clear()
    monkeypatch.setenv("ATLAS_ENVIRONMENT", "production")
    with pytest.raises(SettingsError, match=r"ATLAS_PII_HASH_KEY is not set.*ATLAS_PII_ENCRYPT_KEY is not set"):
        load_settings()


@pytest.mark.parametrize("address", ["code", "code:", ":4000", "code:x", "code:70000"])
def test_the_address_of_the_code_server_is_read(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("ATLAS_CODE_SERVER", address)
    with pytest.raises(SettingsError, match="ATLAS_CODE_SERVER: expected host:port"):
        load_settings()


def test_health_knows_the_defaults() -> None:
    """It does not load the settings, which takes longer than all that it does."""
    health = importlib.import_module("atlas_pipeline.cli.health")
    fields = Settings.model_fields
    assert (fields["host"].default, str(fields["port"].default)) == (health.HOST, health.PORT)
    assert (fields["ops_host"].default, str(fields["ops_port"].default)) == (health.OPS_HOST, health.OPS_PORT)
    assert fields["home"].default == Path(health.HOME)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ATLAS_DATABASE_URL", f"mysql://{SECRET}@db/x", "expected postgresql://"),
        ("ATLAS_PORT", f"70000{SECRET}", "valid integer"),
        ("ATLAS_PORT", "70000", "less than or equal to 65535"),
        ("ATLAS_ENVIRONMENT", SECRET, "'development', 'staging' or 'production'"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{name}: " in str(caught.value)
    assert expected in str(caught.value)
    assert value not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_URL", f"postgres://atlas:{SECRET}@db/atlas")
    monkeypatch.setenv("ATLAS_PII_HASH_KEY", SECRET)
    settings = load_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith(f"{SECRET}@db/atlas")


def test_an_empty_url_means_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_URL", "")
    assert load_settings().database_url is None


def test_secret_files_set_what_the_environment_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "atlas_pii_hash_key").write_text(f"{SECRET}\n")
    (tmp_path / "atlas_port").write_text("4000")
    monkeypatch.setenv("ATLAS_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("ATLAS_PORT", "5000")
    settings = load_settings()
    assert settings.pii_hash_key is not None
    assert settings.pii_hash_key.get_secret_value() == SECRET
    assert settings.port == 5000


def test_a_missing_folder_of_secrets_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATLAS_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="ATLAS_SECRETS_DIR: no such folder"):
        load_settings()


def test_the_order_of_places(tmp_path: Path) -> None:
    """In a project of its own: environment, then `.env`, then secret files, then the default."""
    (tmp_path / "atlas_pipeline").mkdir()
    for name in ("environment.py", "passwords.py", "settings.py"):
        shutil.copy(PROJECT_ROOT / "atlas_pipeline" / name, tmp_path / "atlas_pipeline" / name)
    (tmp_path / "atlas_pipeline" / "__init__.py").touch()
    (tmp_path / "workspace.yaml").touch()
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, value in (("atlas_port", 1003), ("atlas_sample_rows", 1003), ("atlas_max_queued_runs", 1003)):
        (secrets / name).write_text(str(value))
    (tmp_path / ".env").write_text(f"ATLAS_SECRETS_DIR={secrets}\nATLAS_PORT=1002\nATLAS_SAMPLE_ROWS=1002\n")
    code = (
        "from atlas_pipeline.settings import load_settings as s, PROJECT_ROOT\n"
        "print(PROJECT_ROOT, s().port, s().sample_rows, s().max_queued_runs, s().lock_timeout_seconds)"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")}
    environment = clean | {"PYTHONPATH": str(tmp_path), "ATLAS_PORT": "1001"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path), "1001", "1002", "1003", "600"]


def test_a_source_database_is_found_in_each_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shop_database_url").write_text("postgresql://file/db\n")
    monkeypatch.setenv("ATLAS_SECRETS_DIR", str(tmp_path))
    assert source_database_url("SHOP_DATABASE_URL") == "postgresql://file/db"
    monkeypatch.setattr(environment, "_dotenv", lambda: {"SHOP_DATABASE_URL": "postgresql://dotenv/db"})
    assert source_database_url("SHOP_DATABASE_URL") == "postgresql://dotenv/db"
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://environment/db")
    assert source_database_url("SHOP_DATABASE_URL") == "postgresql://environment/db"


def test_a_source_database_that_is_not_set_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match="SHOP_DATABASE_URL is not set: put the connection URL"):
        source_database_url("SHOP_DATABASE_URL")


def test_a_dataset_cannot_read_any_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(SettingsError, match="expected a name ending in _DATABASE_URL"):
        source_database_url("AWS_SECRET_ACCESS_KEY")
