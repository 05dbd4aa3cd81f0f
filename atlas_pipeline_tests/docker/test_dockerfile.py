"""The Dockerfiles and what goes into them: their style, the lock of what runs, and what the engine is sent."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.rglob("Dockerfile"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(DOCKER)))
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def locked(path: Path) -> dict[str, tuple[str, set[str]]]:
    """Each package of a lock file: version with marker, and hashes."""
    found: dict[str, tuple[str, set[str]]] = {}
    for name, version, rest in re.findall(
        r"(?ms)^([a-z0-9][\w.-]*)(==.*?)\\\n((?:    --hash=\S+(?: \\)?\n)+)", path.read_text()
    ):
        found[name] = (version.split(" ;")[0].strip(), set(re.findall(r"sha256:\w+", rest)))
    return found


def normal(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def test_the_image_has_what_the_tests_ran_with_and_none_of_the_tools() -> None:
    image, everything = locked(DOCKER / "requirements.lock"), locked(ROOT / "requirements.lock")
    assert len(image) > 100
    assert image == {name: everything[name] for name in image}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {normal(one) for one in project["project"]["dependencies"]}
    assert needed - image.keys() == set()
    tools = {normal(one) for one in project["dependency-groups"]["dev"]}
    # These are needed by packages that the image has.
    assert tools & image.keys() == {"attrs", "graphql-core", "packaging", "websockets"}


def test_the_engine_is_sent_what_is_copied_and_nothing_else() -> None:
    copied: set[str] = set()
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in rules
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert not any(path.startswith("docker/secrets") or path == "docker" for path in copied)
