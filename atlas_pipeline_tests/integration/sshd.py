"""An SSH server of the tests' own: OpenSSH's sshd with its sftp-server, on a port, with keys and, as root, a user.

Belongs here: starting and removing it. Does not belong here: what tests do with it, and cut connections (`cuts.py`).
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from atlas_pipeline_tests.servers import free_ports

SSHD = Path("/usr/sbin/sshd")
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
PASSWORD = "not-for-anyones-eyes"
NOBODY = 65534


@dataclass(frozen=True)
class Sshd:
    """The server. `user` may sign in with `key`, and as root also with PASSWORD; `home` is its folder."""

    port: int
    folder: Path
    user: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def key(self) -> Path:
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def know(self, port: int, key: str = "host_key") -> None:
        """Let a host key be known as that of this machine's port."""
        kind, text = (self.folder / f"{key}.pub").read_text().split()[:2]
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {kind} {text}\n")


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """Make a key pair."""
    options = ["-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(["ssh-keygen", *options], check=True)
    return path


@contextlib.contextmanager
def running() -> Iterator[Sshd]:
    """A server; skips the test where openssh-server is not installed."""
    if not SSHD.exists() or not SFTP_SERVER.exists():
        pytest.skip("openssh-server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="atlas-sshd-"))
    folder.chmod(0o755)
    root = os.geteuid() == 0
    server = Sshd(free_ports(1)[0], folder, "feeds" if root else getpass.getuser())
    server.home.mkdir()
    for name in ("host_key", "other_key", "user_key"):
        make_key(folder / name)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{server.port}\nHostKey {folder}/host_key\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nSubsystem sftp {SFTP_SERVER}\nMaxStartups 100\n"
        f"PasswordAuthentication {'yes' if root else 'no'}\nKbdInteractiveAuthentication no\n"
    )
    command = [str(SSHD), "-D", "-e", "-f", f"{folder}/config"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_with_user(server, command) if root else command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1) as probe:
                if probe.recv(4) == b"SSH-":
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"sshd did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _with_user(server: Sshd, command: list[str]) -> list[str]:
    """The command where there is the user, in a list of users that only it sees."""
    os.chown(server.home, NOBODY, NOBODY)
    Path("/run/sshd").mkdir(exist_ok=True)
    entry = f"{server.user}:x:{NOBODY}:{NOBODY}::{server.home}:/bin/sh\n"
    secret = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True)
    (server.folder / "passwd").write_text(Path("/etc/passwd").read_text() + entry)
    (server.folder / "shadow").write_text(f"{server.user}:{secret.stdout.strip()}:20000:0:99999:7:::\n")
    mounts = " && ".join(f"mount --bind {server.folder}/{name} /etc/{name}" for name in ("passwd", "shadow"))
    return ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command]
