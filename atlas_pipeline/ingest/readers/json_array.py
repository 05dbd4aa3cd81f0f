"""A file that is one JSON array, as JSON Lines: each item a line, read piece by piece.

Belongs here: where items begin and end, and finding the array within an object. Does not belong here: what an item
means (`jsonl.py`).
"""

import codecs
import json
import re
from collections.abc import Iterator

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.readers import text
from atlas_pipeline.ingest.readers.compression import Source

_PIECE_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_BREAKS = re.compile(rb"[\r\n]+")


def as_lines(source: Source, records: str | None) -> Source:
    """The items of an array, each on a line of its own; the number of the line is that of the item.

    Args:
        source: text in UTF-8.
        records: where the array is within an object, keys with dots between them; None for the file itself.

    Raises:
        FileRefused: here or from a later read: `wrong_format` when there is no array, `bad_json`.
    """
    items = _items(_Text(text.as_utf8(source, "JSON")), records)

    def chunk(size: int) -> bytes:
        parts, length = [], 0
        while length < size and (item := next(items, None)) is not None:
            parts.append(item + b"\n")
            length += len(parts[-1])
        return b"".join(parts)

    return Source(chunk)


class _Text:
    """The text of a file from a position on, of which as much is held as is needed."""

    def __init__(self, source: Source):
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._scan = json.JSONDecoder()
        self._held = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._held, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> bool:
        """Pass over a character if it is the next one."""
        found = self.peek() == expected
        self._at += found
        return found

    def value(self) -> tuple[object, str]:
        """The next value, and as it is written."""
        self.peek()
        while True:
            try:
                value, end = self._scan.raw_decode(self._held, self._at)
            except RecursionError:
                raise _bad("it is nested too deeply") from None
            except ValueError:
                end = -1
            # A number at the end of what is held may go on.
            if end >= 0 and (end < len(self._held) or self._ended):
                written, self._at = self._held[self._at : end], end
                return value, written
            if not self._more():
                raise _bad("it is not valid, or was cut")
            if len(self._held) - self._at > text.MAX_LINE_BYTES:
                raise _bad(f"an item is longer than {text.MAX_LINE_BYTES:,} bytes, or it is not valid")

    def _more(self) -> bool:
        """Hold twice as much, so that a long value is not looked at again and again."""
        if self._ended:
            return False
        self._held, self._at = self._held[self._at :], 0
        data = self._source.read(max(_PIECE_BYTES, len(self._held)))
        self._ended = not data
        self._held += self._decoder.decode(data, final=not data)
        return True


def _items(written: _Text, records: str | None) -> Iterator[bytes]:
    if not written.peek():
        raise FileRefused("empty", "The file is empty. An array of JSON objects was expected.")
    for key in records.split(".") if records else ():
        _enter(written, key)
    if not written.take("["):
        raise FileRefused(
            "wrong_format",
            "The file is not an array of JSON objects. Where the array is in an object, declare its key as `records`; "
            "one object a line is JSON Lines: name it .jsonl.",
        )
    if written.take("]"):
        raise FileRefused("empty", "The array is empty. Send the file with its rows, or not at all.")
    while True:
        _, item = written.value()
        yield _BREAKS.sub(b" ", item.encode("utf-8", "surrogateescape"))
        if written.take(","):
            continue
        if not written.take("]"):
            raise _bad("items must have commas between them and a bracket after the last")
        return


def _enter(written: _Text, wanted: str) -> None:
    """Go to the value of a key."""
    if written.take("{"):
        while not written.take("}"):
            key, _ = written.value()
            if not written.take(":"):
                raise _bad("a colon was expected after a key")
            if key == wanted:
                return
            written.value()
            if not written.take(",") and written.peek() != "}":
                raise _bad("a comma was expected after a value")
    raise FileRefused("wrong_format", "The file has no array where `records` says. Correct `records`, or the file.")


def _bad(what: str) -> FileRefused:
    return FileRefused("bad_json", f"The JSON cannot be read: {what}. Send it again, or as JSON Lines.")
