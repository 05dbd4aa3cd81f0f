"""`atlas pii spans`: where personal data is in texts, as a filter from JSON lines to JSON lines."""

import json
import re
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from atlas_pipeline.pii.policy import PolicyError, chosen_policy
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from atlas_pipeline.pii.text.scanner import TextScanner

_BATCH = 256
_CHUNK = 1 << 20
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _BadLine(Exception):
    pass


def run(policy_file: Path | None) -> int:
    """Answer each line of standard input. Returns 1 when a line was no text; the others are answered."""
    from atlas_pipeline.pii.text.scanner import scanner

    try:
        reader = scanner(chosen_policy(policy_file, load_settings().spacy_model).rules)
        return 1 if _answer(reader) else 0
    except (PolicyError, SettingsError, ModelMissing) as error:
        typer.echo(f"atlas pii spans: {error}", err=True)
        return 1


def _answer(reader: "TextScanner") -> bool:
    """Answer the lines; whether one of them was no text."""
    bad = False
    for batch in _batches():
        asked = []
        for number, line in batch:
            try:
                asked.append(_asked(line))
            except _BadLine as error:
                bad = True
                typer.echo(f"atlas pii spans: line {number}: {error}", err=True)
        for (_, rest), found in zip(asked, reader.spans([text for text, _ in asked]), strict=True):
            spans = [
                {"start": one.start, "end": one.end, "entity": one.entity, "score": round(float(one.score), 4)}
                for one in found
            ]
            sys.stdout.write(json.dumps({**rest, "spans": spans}) + "\n")
        sys.stdout.flush()
    return bad


def _asked(line: bytes) -> tuple[str, dict[str, Any]]:
    """The text of a line, and what is repeated in its answer."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise _BadLine("is no JSON: expected a JSON string, or an object with text") from None
    text, rest = document, {}
    if isinstance(document, dict):
        text = document.get("text")
        rest = {"id": document["id"]} if "id" in document else {}
    if not isinstance(text, str):
        raise _BadLine('holds no text: expected a JSON string, or an object with "text"')
    return _LONE_SURROGATE.sub("\ufffd", text), rest


def _batches() -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, up to 256 at a time and never waiting for more when some have come; blank ones not."""
    stream = cast(BufferedReader, sys.stdin.buffer)
    lines: list[tuple[int, bytes]] = []
    number, rest = 0, b""
    while True:
        chunk = stream.read1(_CHUNK)
        *whole, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
        for line in whole:
            number += 1
            if line.strip():
                lines.append((number, line))
        for start in range(0, len(lines), _BATCH):
            yield lines[start : start + _BATCH]
        lines = []
        if not chunk:
            return
