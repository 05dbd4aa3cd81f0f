"""The compose files of docker/, as docker compose itself reads them.

Belongs here: that reading. Does not belong here: whether the files are good ones (`docker/`, `monitoring/`), and
starting what they say (`deployment/`, `monitoring/`).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from atlas_pipeline.settings import PROJECT_ROOT

PLATFORM = PROJECT_ROOT / "docker" / "compose.yaml"
MONITORING = PROJECT_ROOT / "docker" / "compose.monitoring.yaml"
_COMPOSE = Path(sys.executable).with_name("docker-compose")


def resolved(*files: Path, dotenv: bool = False) -> dict[str, Any]:
    """One document of all files, in compose's long forms. Fails when compose complains of anything.

    With `dotenv`, variables and settings are those of `.env` beside the first file; else variables have their defaults.
    """
    options = [] if dotenv else ["--env-file=/dev/null"]
    command = [_COMPOSE, *options, *(f"--file={file}" for file in files), "--profile=*", "config", "--format=json"]
    command += [] if dotenv else ["--no-env-resolution"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    # What it prints may be read by it again, so that a dollar sign stands there twice.
    found: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))
    return found
