"""What stands around the images: secrets that are made, and targets of the Makefile that ask before they remove."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make_secrets(folder: Path) -> str:
    done = subprocess.run([ROOT / "docker/make-secrets", folder], capture_output=True, text=True, check=True)
    return done.stdout


def test_secrets_that_are_missing_are_made(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    said = make_secrets(folder)
    texts = "".join(path.read_text() for path in (ROOT / "docker").glob("compose*.yaml"))
    names = set(re.findall(r"file: secrets/(\w+)", texts))
    assert {"postgres_password", "gateway_users"} <= names
    assert {path.name for path in folder.iterdir()} == names
    assert folder.stat().st_mode & 0o777 == 0o700
    made = {name: (folder / name).read_text() for name in names}
    random = {value for name, value in made.items() if not re.search("gateway|_url$", name)}
    assert len(random) == len([name for name in names if not re.search("gateway|_url$", name)]), "two are the same"
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in random)
    assert made["gateway_users"] == made["gateway_operators"] == ""
    assert all((folder / name).stat().st_mode & 0o444 == 0o444 for name in names), "users of containers cannot read it"
    assert not any(value in said for value in random)
    assert "gateway user NAME" in said


def test_a_secret_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("chosen by hand")
    (tmp_path / "gateway_users").write_text("ann:$6$x")
    (tmp_path / "redis_password").chmod(0o640)
    said = make_secrets(tmp_path)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert make_secrets(tmp_path) == ""
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first
    assert first["redis_password"] == "chosen by hand"
    assert (tmp_path / "redis_password").stat().st_mode & 0o777 == 0o640
    assert "Nobody may sign in" not in said


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and docker/ on their own, and in bin/docker an engine that only writes down what it is asked."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "docker", tmp_path / "docker", ignore=shutil.ignore_patterns("secrets", ".env"))
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n')
    docker.chmod(0o755)
    return tmp_path


def make(checkout: Path, target: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{checkout}/bin:{os.environ['PATH']}", "HOME": str(checkout)}
    return subprocess.run(
        ["make", target], cwd=checkout, env=environment, input=answer, capture_output=True, text=True, check=False
    )


def test_without_docker_or_settings_the_targets_say_what_to_do(checkout: Path) -> None:
    done = make(checkout, "docker-up")
    assert done.returncode != 0
    assert "cp docker/env/production.env.example docker/.env" in done.stderr
    (checkout / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")
    done = make(checkout, "docker-up")
    assert done.returncode != 0
    assert "not installed" in done.stderr
    assert not (checkout / "docker" / "secrets").exists()


def test_data_is_removed_only_after_a_yes(checkout: Path) -> None:
    (checkout / "docker" / ".env").touch()
    assert make(checkout, "docker-down").returncode == 0
    for answer in ("", "y\n", "yes\n"):
        done = make(checkout, "docker-clean", answer)
        assert done.returncode != 0
        assert "nothing was removed" in done.stdout
    assert "--volumes" not in (checkout / "asked").read_text()
    assert make(checkout, "docker-clean", "atlas\n").returncode == 0
    assert "down --volumes" in (checkout / "asked").read_text()
