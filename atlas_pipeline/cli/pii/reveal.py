"""`atlas pii reveal`: decrypt tokens, and keep an audit log of who asked for them.

Belongs here: the order of steps: decrypt, write the log to disk, print. Does not belong here: decryption itself
(`atlas_pipeline/pii/actions/tokens.py`).
"""

import json
import os
import pwd
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import typer

from atlas_pipeline.pii.actions.tokens import TokenError, reveal, token_source
from atlas_pipeline.pii.keys import KeyMissing, load_keys
from atlas_pipeline.settings import SettingsError, load_settings


def run(tokens: list[str], reason: str) -> int:
    """Print the value of each token, in their order.

    Args:
        tokens: The tokens; none to read one a line from standard input.
        reason: Why the values are needed, for the audit log.

    Returns:
        The exit code: 1, with no value printed, when a token cannot be decrypted or the log cannot be written.
    """
    tokens = tokens or [line for line in sys.stdin.read().splitlines() if line.strip()]
    try:
        if not tokens:
            raise ValueError("no tokens: expected some as arguments, or one a line on standard input")
        if not reason.strip():
            raise ValueError("--reason is blank: say why the values are needed")
        settings = load_settings()
        keys = load_keys(settings)
        values = [reveal(token, keys) for token in tokens]
        _audit(settings.home_path / "audit" / "pii_reveal.jsonl", tokens, reason)
    except OSError as error:
        typer.echo(
            f"atlas pii reveal: the audit log cannot be written, so nothing is shown: {error.strerror}", err=True
        )
        return 1
    except (TokenError, KeyMissing, SettingsError, ValueError) as error:
        typer.echo(f"atlas pii reveal: {error}", err=True)
        return 1
    for value in values:
        sys.stdout.write(value + "\n")
    return 0


def _audit(path: Path, tokens: list[str], reason: str) -> None:
    """Append an entry to the log and sync it to disk. It holds key ids and domains, never a value. Raises OSError."""
    sources = [token_source(token) for token in tokens]
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "user": _user(),
        "host": socket.gethostname(),
        "count": len(tokens),
        "domains": sorted({domain for _, domain in sources}),
        "key_ids": sorted({key_id for key_id, _ in sources}),
        "reason": reason.strip(),
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0) as log:
        log.write((json.dumps(entry, ensure_ascii=False) + "\n").encode())
        os.fsync(log.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _user() -> str:
    """The name of the process's account by its user id, since environment variables can be set to anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
