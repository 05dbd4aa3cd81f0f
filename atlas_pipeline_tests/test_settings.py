"""Settings: where they come from, what is refused, and that no secret is ever shown."""

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
