"""What tests of the platform are handed: the services up and healthy, with users of the gateway and sample data.

A platform takes a minute to start, so that all tests of a file share one.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline_tests.deployment.gateway import OPERATOR, PROGRAM, VIEWER
from atlas_pipeline_tests.deployment.platform import PROGRAMS, Platform
from atlas_pipeline_tests.images import Image

SETTINGS = {
    "ATLAS_SENSOR_INTERVAL_SECONDS": "5",
    "ATLAS_SETTLE_SECONDS": "0",
    "ATLAS_STOP_SECONDS": "60",
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A copy of docker/, with secrets made as the README says, users of the gateway, and settings."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    if missing := [one for one in PROGRAMS if shutil.which(one) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="atlas-platform-"))
    shutil.copytree(PROJECT_ROOT / "docker", folder / "docker", ignore=shutil.ignore_patterns(".env", "secrets"))
    subprocess.run([folder / "docker" / "make-secrets"], check=True, stdout=subprocess.DEVNULL)
    secrets = folder / "docker" / "secrets"
    with (secrets / "gateway_users").open("w") as users:
        for name, password in (OPERATOR, VIEWER, PROGRAM):
            command = [folder / "docker" / "gateway" / "gateway", "user", name]
            subprocess.run(command, input=password, stdout=users, text=True, check=True)
    (secrets / "gateway_operators").write_text(f"{OPERATOR[0]}\n")
    (folder / "docker" / ".env").write_text(_settings((folder / "docker/env/production.env.example").read_text()))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def platform(place: Path, images: dict[str, Image]) -> Iterator[Platform]:
    """All services, healthy, with empty volumes at first."""
    with Platform(place / "docker", place / "data", images) as started:
        started.up()
        yield started


def _settings(example: str) -> str:
    """The example, filled in: a name for the site, no bucket and no channels, and what makes tests quick."""
    lines = example.replace("<CHANGE_ME_SERVER_NAME>", "atlas.example.com").splitlines()
    kept = [line for line in lines if "<CHANGE_ME" not in line]
    return "\n".join([*kept, *(f"{name}={value}" for name, value in SETTINGS.items()), ""])
