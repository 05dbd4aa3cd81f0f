"""The built image: who runs it, what is in it and what is not, and that it does its work without writing to itself.

`make docker-test` builds it and says where its root file system is; without that, this file is not collected.
"""

import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from atlas_pipeline_tests.images import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]

# A container without an engine: namespaces and mounts of its own, the image read-only, its user, its environment.
ENTER = """
set -eu
root=$1 home=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$home" "$root/var/lib/atlas"
cd /
exec chroot --userspec=10001:10001 "$root" /usr/bin/env -i "$@"
"""


@pytest.fixture
def image(images: dict[str, Image]) -> Image:
    return images["atlas"]


@pytest.fixture
def run(image: Image) -> Iterator[Run]:
    """Runs a command in the image on an empty volume."""
    home = Path(tempfile.mkdtemp(prefix="atlas-image-"))
    for folder in (home, home / "landing", home / "backups"):
        folder.mkdir(exist_ok=True)
        os.chown(folder, 10001, 10001)

    def run(*command: str, seconds: int = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        given = [*image.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", ENTER, "enter"]
        done = [*enter, str(image.root), str(home), *given, *command]
        return subprocess.run(done, capture_output=True, text=True, check=False, timeout=seconds)

    yield run
    shutil.rmtree(home)


def test_it_says_what_it_is(image: Image) -> None:
    labels = image.config["Labels"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.version"] == version
    assert labels[f"{prefix}.licenses"] == "Apache-2.0"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert labels[f"{prefix}.revision"] == commit.stdout.strip()
    assert all(labels[f"{prefix}.{name}"] for name in ("title", "description", "created"))
    assert image.config["User"] == "10001:10001"
    assert image.config["Entrypoint"] == ["atlas"]
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["Healthcheck"]["Test"] == ["CMD", "atlas", "health", "webserver"]


def test_it_is_run_by_a_user_of_its_own_who_may_write_to_volumes_alone(image: Image, run: Run) -> None:
    who = run("id")
    assert "uid=10001(atlas) gid=10001(atlas)" in who.stdout, who.stderr
    find = ["find", image.root, "-xdev", "-not", "-type", "l", "(", "-uid", "10001", "-o", "-perm", "-o+w", ")"]
    found = subprocess.run([*find, "-printf", "%P\\n"], capture_output=True, text=True, check=True)
    volumes = {"var/lib/atlas", "var/lib/atlas/landing", "var/lib/atlas/backups"}
    writable = {path for path in found.stdout.split() if not path.startswith("dev/")}
    assert writable - {"tmp", "var/tmp", "run/lock"} == volumes
    assert run("touch", "/opt/atlas/x").returncode != 0
    assert run("touch", "/var/lib/atlas/x", "/tmp/x").returncode == 0


def test_nothing_is_in_it_that_builds(image: Image, run: Run) -> None:
    for program in ("pip", "pip3", "uv", "gcc", "cc", "make", "strip", "git"):
        assert run("sh", "-c", f"command -v {program}").returncode != 0, f"{program} is in the image"
    assert run("python", "-c", "import pip").returncode != 0
    for folder in ("var/lib/apt/lists", "var/cache", "var/log", "root", "tmp"):
        left = [
            path
            for path in (image.root / folder).rglob("*")
            if path.is_file() and path.name not in (".bashrc", ".profile")
        ]
        assert left == []
    names = {path.name for path in (image.root / "opt" / "atlas").iterdir()}
    assert names == {".venv", "LICENSE", "atlas_pipeline", "dagster.yaml", "pyproject.toml", "workspace.yaml"}


def test_every_package_is_that_of_the_lock(run: Run) -> None:
    found = run(
        "python", "-c", "from importlib.metadata import *; [print(d.name + '==' + d.version) for d in distributions()]"
    )
    installed = {
        Requirement(line).name.lower().replace("_", "-").replace(".", "-"): line.split("==")[1]
        for line in found.stdout.split()
    }
    locked = {}
    for line in (ROOT / "docker" / "requirements.lock").read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            if not requirement.marker or requirement.marker.evaluate(
                {"python_version": "3.11", "python_full_version": "3.11.2"}
            ):
                locked[requirement.name] = str(requirement.specifier).removeprefix("==")
    assert installed.pop("atlas-pipeline")
    assert installed == locked


LOAD = """
import importlib, pathlib, sysconfig
import psycopg
site = pathlib.Path(sysconfig.get_path("purelib"))
loaded = 0
for path in sorted(site.rglob("*.so")):
    parts = path.relative_to(site).parts
    beside = path.name.startswith("lib") or any(part.endswith(".libs") or part == "pginstall18" for part in parts)
    if not beside:
        importlib.import_module(".".join([*parts[:-1], path.name.split(".")[0]]))
        loaded += 1
print(loaded)
"""


def test_compiled_code_is_whole_and_bytecode_is_there(run: Run, image: Image) -> None:
    """What was left out of the packages is missed by nothing that stayed."""
    done = run("python", "-c", LOAD, seconds=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
    bare = [
        path
        for path in (image.root / "opt/atlas").rglob("*.py")
        if path.parent.parts[-1] != "bin" and not any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
    ]
    assert len(bare) < 20, bare[:20]


def test_the_main_job_a_backup_and_its_drill_on_an_empty_volume(run: Run) -> None:
    done = run("atlas", "demo", "--json", seconds=300, ATLAS_SAMPLE_ROWS="200")
    assert done.returncode == 0, done.stderr
    assert {table["layer"] for table in json.loads(done.stdout)["tables"]} == {"bronze", "silver", "gold"}
    done = run("atlas", "backup", "run", seconds=120)
    assert done.returncode == 0, done.stderr
    done = run("atlas", "backup", "drill", "--json", seconds=120)
    assert done.returncode == 0, done.stderr
    assert [proof["problem"] for proof in json.loads(done.stdout)["proofs"]] == [None, None]
