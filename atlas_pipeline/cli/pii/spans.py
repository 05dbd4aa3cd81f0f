"""`atlas pii spans`: a filter that reads texts as JSON Lines and writes their spans of personal data as JSON Lines."""

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
    """Answer each line of standard input. Returns the exit code: 1 when a line holds no text; others are answered."""
    from atlas_pipeline.pii.text.scanner import scanner

    try:
        reader = scanner(chosen_policy(policy_file, load_settings().spacy_model).rules)
        return 1 if _answer(reader) else 0
    except (PolicyError, SettingsError, ModelMissing) as error:
        typer.echo(f"atlas pii spans: {error}", err=True)
        return 1


def _answer(reader: "TextScanner") -> bool:
    """Answer the lines, and return whether one of them holds no text."""
    bad = False
    for batch in _batches():
        requests = []
        for number, line in batch:
            try:
                requests.append(_parsed(line))
            except _BadLine as error:
                bad = True
                typer.echo(f"atlas pii spans: line {number}: {error}", err=True)
        for (_, copied), spans in zip(requests, reader.spans([text for text, _ in requests]), strict=True):
            listed = [
                {"start": span.start, "end": span.end, "entity": span.entity, "score": round(float(span.score), 4)}
                for span in spans
            ]
            sys.stdout.write(json.dumps({**copied, "spans": listed}) + "\n")
        sys.stdout.flush()
    return bad


def _parsed(line: bytes) -> tuple[str, dict[str, Any]]:
    """The text of a line, and what is copied to its answer."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise _BadLine('is not JSON: expected a JSON string, or an object with "text"') from None
    text, copied = document, {}
    if isinstance(document, dict):
        text = document.get("text")
        copied = {"id": document["id"]} if "id" in document else {}
    if not isinstance(text, str):
        raise _BadLine('holds no text: expected a JSON string, or an object with "text"')
    return _LONE_SURROGATE.sub("\ufffd", text), copied


def _batches() -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, without blank ones: at most 256 at a time, and without waiting for more input while
    some are ready."""
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
